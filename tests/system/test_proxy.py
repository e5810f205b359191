# SPDX-License-Identifier: Apache-2.0
"""Proxies from the environment: what goes through them, what past them, and that no server hears what is for another."""

import base64
import json
import os

import pytest

import badserver
from authority import Authority
from conftest import BINDIR, MIB
from images import digest_of
from proxy import Proxy
from stages import AGAIN, BAD_DATA, DENIED, OK, UNAVAILABLE, memory_peak, one_line

DATA = os.urandom(300_000)
DIGEST = digest_of(DATA)
PASSWORD = "proxy-user:canary-proxy"
BASIC = base64.b64encode(b"tester:canary-origin").decode()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def configure(box, server, authority=None):
    auth = box.directory / "auth.json"
    auth.write_text(json.dumps({"auths": {server.address: {"auth": BASIC}}}))
    trust = f"ca_file = {authority.certificate}\n" if authority else ""
    box.configure(f"[fetchd]\nmax_retries = 1\nretry_delay = 10ms\nauth_file = {auth}\n[registry {server.address}]\n{trust}")
    server.on("/blob", badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}), badserver.whole(DATA))


def fetch(box, server, want=OK):
    return box.run("sluice", "fetch", server.url("/blob"), "--digest", DIGEST, want=want)


def test_http_through_a_proxy_with_a_password(box, bad, monkeypatch):
    configure(box, bad)
    with Proxy(PASSWORD) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{PASSWORD}@{proxy.address}")
        fetch(box, bad)
        assert len(proxy.heads) == 2 and all(head.startswith(f"GET {bad.url('/blob')} ") for head in proxy.heads)
    assert all("Proxy-Authorization" not in r.headers for r in bad.requests)
    assert bad.requests[1].headers["Authorization"] == f"Basic {BASIC}"
    assert "canary" not in box.logs()


def test_https_through_a_proxy_with_a_password(box, authority, monkeypatch):
    """The proxy hears where to, and not with which password; the origin does not hear the proxy's."""
    with badserver.BadServer(tls=authority.context()) as server, Proxy(PASSWORD) as proxy:
        configure(box, server, authority)
        monkeypatch.setenv("https_proxy", f"http://{PASSWORD}@{proxy.address}")
        fetch(box, server)
        assert proxy.heads and all(head.startswith(f"CONNECT {server.address} ") for head in proxy.heads)
        assert all("\r\nAuthorization" not in head and BASIC not in head for head in proxy.heads)
        assert all("Proxy-Authorization" not in r.headers for r in server.requests)
        assert server.requests[1].headers["Authorization"] == f"Basic {BASIC}"


def test_no_proxy(box, bad, monkeypatch):
    """What goes past the proxy does not carry its password."""
    configure(box, bad)
    with Proxy(PASSWORD) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{PASSWORD}@{proxy.address}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(box, bad)
        assert not proxy.heads
    assert len(bad.requests) == 2 and all("Proxy-Authorization" not in r.headers for r in bad.requests)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_does_not_know_us(box, bad, authority, monkeypatch, scheme):
    with badserver.BadServer(tls=authority.context()) as tls, Proxy(PASSWORD) as proxy:
        server = tls if scheme == "https" else bad
        configure(box, server, authority if scheme == "https" else None)
        monkeypatch.setenv(f"{scheme}_proxy", f"http://wrong:canary-wrong@{proxy.address}")
        failed = fetch(box, server, want=DENIED)
        one_line(failed.stderr, server.address, "407", "proxy")
        assert not server.requests and len(proxy.heads) == 1 and "canary" not in failed.stderr


def test_proxy_that_is_not_there(box, bad, monkeypatch):
    configure(box, bad)
    with Proxy() as gone:
        address = gone.address
    monkeypatch.setenv("http_proxy", f"http://{address}")
    one_line(fetch(box, bad, want=UNAVAILABLE).stderr, bad.address, "refused", address.replace(":", " port "))
    assert not bad.requests


ENDLESS = {
    "fields": (b"HTTP/1.1 200 Fine\r\n", 1000 * b"X: y\r\n"),
    "a field": (b"HTTP/1.1 200 Fine\r\nX: ", bytes(1 << 16).replace(b"\0", b"y")),
    "interim answers": (b"", 1000 * b"HTTP/1.1 102 Wait\r\n\r\n"),
    "a body": (b"HTTP/1.1 502 Bad\r\nContent-Length: 9000000000000\r\n\r\n", bytes(1 << 16)),
    "chunks": (b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    "trailers": (b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 1000 * b"X: y\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_does_not_end(box, bad, authority, monkeypatch, scheme, kind):
    """Whatever it says for ever, to a CONNECT or in an origin's place, is bounded in time and memory."""
    begin, endless = kind
    with badserver.BadServer(tls=authority.context()) as tls, Proxy(begin=begin, endless=endless) as proxy:
        server = tls if scheme == "https" else bad
        configure(box, server, authority if scheme == "https" else None)
        with open(box.config, "a") as config:
            config.write("connect_timeout = 1s\nstall_timeout = 1s\n")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{proxy.address}")
        with box.up():
            failed = fetch(box, server, want=None)
            assert failed.returncode in (AGAIN, BAD_DATA, UNAVAILABLE), failed.stderr
            one_line(failed.stderr, server.address)
            assert "/san/" in f"{BINDIR}/" or memory_peak(box.stage("fetchd")) < 16 * MIB
        assert proxy.heads and not server.requests
