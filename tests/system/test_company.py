# SPDX-License-Identifier: Apache-2.0
"""Networks of companies: proxies, authorities of their own, plain HTTP where somebody said so, realms behind an ingress."""

import base64
import json
import os
import shutil
import subprocess
import threading

import pytest

import badserver
from authority import Authority
from conftest import settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from proxy import Proxy
from servers import wait_for
from stages import AGAIN, BAD_DATA, DENIED, OK, UNAVAILABLE, one_line
from tokens import Realm

pytestmark = pytest.mark.usefixtures("home")

DATA = os.urandom(50_000)
DIGEST = digest_of(DATA)
QUICK = "[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n"
IMAGE = manifest_blob(config_blob(), [descriptor(DATA, LAYER)])
BLOBS = {digest_of(config_blob()): config_blob(), DIGEST: DATA}


def serve(server, guard=lambda behaviour: behaviour):
    """An image app:1."""
    server.on("/v2/app/manifests/1", guard(badserver.whole(IMAGE, {"Content-Type": MANIFEST})))
    for digest, data in BLOBS.items():
        server.on(f"/v2/app/blobs/{digest}", guard(badserver.whole(data)))


def pull(box, host, want=OK):
    return box.run("sluice", "pull", f"{host}/app:1", want=want)


# ── proxies ──


def test_this_machine_is_not_behind_a_proxy(box, bad, monkeypatch):
    serve(bad)
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        pull(box, bad.address)
        assert not proxy.heads


def test_proxy_in_capitals(box, bad, monkeypatch):
    """As drop-ins of services have it; what a CGI finds there is its client's."""
    serve(bad)
    box.configure(f"{QUICK}[registry reg.test:5000]\nplain_http = yes\n")
    with Proxy(names={"reg.test:5000": bad.address}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        pull(box, "reg.test:5000")
        assert proxy.heads
    settled(box)
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    one_line(pull(box, "reg.test:5000", want=UNAVAILABLE).stderr, "does not resolve")


# ── plain HTTP where somebody said so ──


@pytest.mark.parametrize("said", [True, False], ids=["said", "not said"])
def test_realm_without_tls(box, bad, monkeypatch, said):
    """A registry and its realm on two ports of one host, as GitLab has them; the token is used, or its host's key is named."""
    realm = Realm(bad)
    challenge = {"WWW-Authenticate": 'Bearer realm="http://git.test/token",service="tests",scope="repository:app:pull"'}
    serve(bad, lambda b: lambda x: b(x) if x.headers.get("Authorization") in realm.good else x.answer(401, b"", challenge))
    box.configure(QUICK + "".join(
        f"[registry {host}]\nplain_http = yes\n" for host in ("git.test:5050", "git.test")[: 2 if said else 1]))
    with Proxy(names={"git.test:5050": bad.address, "git.test": bad.address}) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        pulled = pull(box, "git.test:5050", want=OK if said else DENIED)
    if said:
        assert realm.made == 1
    else:
        one_line(pulled.stderr, "'git.test' has no TLS", "plain_http = yes", "[registry git.test]", "sluice.conf")
        assert realm.made == 0


@pytest.mark.parametrize("said", [True, False], ids=["said", "not said"])
def test_store_without_tls(box, bad, authority, said):
    """A registry with TLS and a password, whose blobs are in a store without either."""
    basic = base64.b64encode(b"tester:canary-secret").decode()
    with badserver.BadServer(tls=authority.context()) as registry:
        serve(registry)
        for digest, data in BLOBS.items():
            bad.on(f"/store/{digest}", badserver.whole(data))
            away = badserver.status(307, {"Location": bad.url(f"/store/{digest}?signature=x")})
            ask = badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'})
            registry.on(f"/v2/app/blobs/{digest}", lambda x, away=away, ask=ask: (
                away if x.headers.get("Authorization") == f"Basic {basic}" else ask)(x))
        auth = box.directory / "auth.json"
        auth.write_text(json.dumps({"auths": {registry.address: {"auth": basic}}}))
        plain = f"[registry {bad.address}]\nplain_http = yes\n" if said else ""
        box.configure(f"{QUICK}auth_file = {auth}\n[registry {registry.address}]\nca_file = {authority.certificate}\n{plain}")
        pulled = pull(box, registry.address, want=OK if said else BAD_DATA)
    if said:
        assert len(bad.requests) == 2 and all("Authorization" not in r.headers for r in bad.requests)
    else:
        assert "https to http" in pulled.stderr and "plain_http = yes" in pulled.stderr and not bad.requests


# ── authorities ──


def test_tls_on_this_machine(box, authority):
    """Where an authority is given TLS is meant."""
    with badserver.BadServer(tls=authority.context()) as registry:
        serve(registry)
        box.configure(f"{QUICK}[registry {registry.address}]\nca_file = {authority.certificate}\n")
        pull(box, registry.address)


@pytest.mark.parametrize("kind", ["file", "directory", "file that is not there"])
def test_authorities_of_the_environment(box, authority, monkeypatch, tmp_path, kind):
    if kind == "directory":
        shutil.copy(authority.certificate, tmp_path / "a.pem")
        subprocess.run(["openssl", "rehash", tmp_path], check=True)
        monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere:{tmp_path}")
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate) if kind == "file" else "/nowhere/ca.pem")
    with badserver.BadServer(tls=authority.context()) as registry:
        serve(registry)
        box.configure(f"{QUICK}[registry {registry.address}]\nplain_http = no\n")
        pulled = pull(box, registry.address, want=UNAVAILABLE if "not there" in kind else OK)
    if pulled.returncode:
        one_line(pulled.stderr, "/nowhere/ca.pem")


def test_authority_of_a_section_counts_alone(box, authority, monkeypatch, tmp_path):
    other = Authority(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with badserver.BadServer(tls=authority.context()) as registry:
        serve(registry)
        box.configure(f"{QUICK}[registry {registry.address}]\nca_file = {other.certificate}\n")
        one_line(pull(box, registry.address, want=UNAVAILABLE).stderr, "unknown CA", "ca_file", "sluice.conf")
        assert not registry.requests


# ── realms ──


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["auth", "identitytoken"])
def test_realm_that_redirects_within_its_origin(box, bad, code, kind):
    """The password goes there; a form only where the status keeps it."""
    realm = Realm(bad, path="/auth/token/")
    realm.path = "/token"
    serve(bad, realm.guard)
    bad.on("/token", lambda x: x.answer(code, headers={"Location": "/auth/token/?" + x.path.partition("?")[2]}))
    auth = box.directory / "auth.json"
    basic = base64.b64encode(b"tester:canary-secret").decode()
    auth.write_text(json.dumps({"auths": {bad.address: {kind: basic}}}))
    box.configure(f"{QUICK}auth_file = {auth}\n")
    follows = kind == "auth" or code in (307, 308)
    pulled = pull(box, bad.address, want=OK if follows else BAD_DATA)
    asked = bad.asked("/auth/token/", "POST" if kind == "identitytoken" else "GET")
    if not follows:
        one_line(pulled.stderr, "it redirects, which is not followed", "form")
        assert not bad.asked("/auth/token/") and not asked
    elif kind == "auth":
        asked = [r for r in bad.requests if r.path.startswith("/auth/token/?")]
        assert [r.headers["Authorization"] for r in asked] == [f"Basic {basic}"]
        assert "scope=repository%3Aapp%3Apull" in asked[0].path
    else:
        assert realm.forms[0]["refresh_token"] == basic and len(realm.forms) == 1


# ── caches ──


def test_cache_that_is_slow_to_the_first_byte(box, bad):
    """It fetches all before it sends any: longer than a silence later may last. `sluice status` tells what is waited for."""
    serve(bad)
    gate = threading.Event()
    whole = badserver.whole(DATA)
    bad.on(f"/v2/app/blobs/{DIGEST}", lambda x: (gate.wait(), whole(x)))
    box.configure(f"{QUICK}stall_timeout = 50ms\nanswer_timeout = 10m\n")
    with box.up():
        process = box.popen("sluice", "pull", f"{bad.address}/app:1")
        said = f"waiting for an answer from '{bad.address}'"
        try:
            wait_for("the wait to be told", lambda: said in box.run("sluice", "status").stdout)
        finally:
            gate.set()
        box.finish(process, want=OK)
    assert len(bad.asked(f"/v2/app/blobs/{DIGEST}")) == 1


def test_mirror_that_is_silent_is_left(box, bad):
    """Where there is another site to ask, it is not waited for so long; nor where answer_timeout says so."""
    with badserver.BadServer() as mirror:
        serve(bad)
        for path in bad.routes:
            mirror.on(path, badserver.silent())
        box.configure(f"{QUICK}stall_timeout = 30s\nanswer_timeout = 10m\n[registry {mirror.address}]\nanswer_timeout = 50ms\n"
                      f"[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        pull(box, bad.address)
        assert mirror.requests


def test_registry_that_never_answers(box, bad):
    """A shorter stall_timeout also counts before the first byte."""
    bad.on("/v2/app/manifests/1", badserver.silent())
    box.configure(f"{QUICK}stall_timeout = 50ms\n")
    one_line(pull(box, bad.address, want=AGAIN).stderr, "no bytes arrived for")
