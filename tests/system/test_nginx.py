# SPDX-License-Identifier: Apache-2.0
"""
A real web server with limits: requests per second (limit_req, 429), bytes per second (limit_rate), and links that
expire (secure_link).
"""

import base64
import collections
import hashlib
import os
import time

import pytest

from conftest import MIB, settled
from images import Pusher, digest_of
from servers import Nginx

LAYERS = 24
REQUESTS = 1 + 1 + 1 + LAYERS  # HEAD, manifest, config, layers
DATA = os.urandom(5 * MIB)
DIGEST = digest_of(DATA)
RANGES = "[fetchd]\nretry_delay = 500ms\nranges = 4\nrange_size = 512K\nrange_min = 1M\n"
LIFE_S = 2  # seconds; the stream reaches the ranges ahead of it after three, and two ranges are left then
# What may be in flight on a connection that we end: one second's bytes, and the kernel's buffers.
IN_FLIGHT = 1 * MIB


@pytest.fixture(scope="module")
def many(registry):
    """An image of many small layers, many:1."""
    pusher = Pusher(registry.address, "many")
    pusher.image("1", [pusher.blob_bytes(os.urandom(10_000)) for _ in range(LAYERS)])


def counted(server):
    """{status: requests}, after all connections have ended."""
    server.settle()
    return collections.Counter(access.status for access in server.accesses())


@pytest.mark.parametrize("more", ["", "add_header Retry-After 1 always;"], ids=["without a time", "with Retry-After"])
def test_too_many_requests(box, many, registry, tmp_path, more):
    """Many transfers at once: most are refused at first, all arrive, and the server is not flooded with requests."""
    box.configure("[fetchd]\nretry_delay = 500ms\n")
    with Nginx(tmp_path / "nginx", registry=registry, http="limit_req_zone $binary_remote_addr zone=all:1m rate=20r/s;",
               server=f"limit_req zone=all; limit_req_status 429; {more}") as server:
        box.sluice("pull", f"{server.address}/many:1")
        box.gone()
        counts = counted(server)
    assert counts[200] == REQUESTS and counts.keys() == {200, 429}
    assert 0 < counts[429] <= 4 * REQUESTS
    settled(box)


def test_rate_limited_mirror(box, registry, tmp_path):
    """nginx is a mirror of docker-registry and serves the blob in ranges that do not overlap."""
    pusher = Pusher(registry.address, "rate")
    pusher.image("1", [pusher.blob_bytes(DATA)])
    with Nginx(tmp_path / "nginx", registry=registry, rate="512k") as mirror:
        box.configure(f"{RANGES}[registry {registry.address}]\nmirror = http://{mirror.address}\n")
        registry.settle()
        before = len(registry.accesses())
        box.sluice("pull", f"{registry.address}/rate:1")
        box.gone()
        mirror.settle()
        registry.settle()
        sent = sum(access.bytes for access in mirror.blob_gets(DIGEST))
    assert 0 <= sent - len(DATA) <= IN_FLIGHT
    assert not registry.blob_gets(since=before)
    settled(box)


class SignedLinks:
    """A registry that redirects /blob to nginx: first by a link that lasts LIFE_S, then by links that do not expire."""

    RULES = """
        secure_link $arg_md5,$arg_expires;
        secure_link_md5 "$secure_link_expires$uri canary";
        if ($secure_link = "") { return 403; }
        if ($secure_link = "0") { return 410; }
    """

    def __init__(self, registry, nginx):
        self.nginx, self.given = nginx, 0
        registry.on("/blob", self.send)

    def link(self, expires):
        signature = hashlib.md5(f"{expires}/files/blob canary".encode()).digest()
        text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        return f"http://{self.nginx.address}/files/blob?md5={text}&expires={expires}"

    def send(self, x):
        self.given += 1
        x.answer(307, headers={"Location": self.link(int(time.time()) + (LIFE_S if self.given == 1 else 3600))})


def test_expiring_links(box, bad, tmp_path):
    """The link expires in mid-transfer. Late ranges are refused, and the registry issues a new link for the rest."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/blob").write_bytes(DATA)
    box.configure(RANGES)
    with Nginx(tmp_path / "nginx", files=tmp_path / "files", rate="256k", server=SignedLinks.RULES) as nginx:
        links = SignedLinks(bad, nginx)
        box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=0)
        box.gone()
        counts = counted(nginx)
        sent = sum(access.bytes for access in nginx.accesses() if access.status in (200, 206))
    assert counts[410] > 0 and counts.keys() == {200, 206, 410}
    assert links.given == len(bad.requests) > 1
    assert 0 <= sent - len(DATA) <= IN_FLIGHT
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)
