# SPDX-License-Identifier: Apache-2.0
"""Tokens and credentials: who is asked for them how often, and that no other host ever sees them."""

import base64
import json
import os
import subprocess

import pytest

import badserver
from conftest import MIB, settled
from images import LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import Registry, loopback_names, own_address
from stages import AGAIN, BAD_DATA, DENIED, one_line
from tokens import Realm, Signer, query_of

DATA = os.urandom(2 * MIB)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
SECRET = "canary-secret"
BASIC = base64.b64encode(f"tester:{SECRET}".encode()).decode()
QUICK = "[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n"


@pytest.fixture(autouse=True)
def nobodys_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def know(box, document, config=QUICK):
    """Give fetchd an auth.json."""
    path = box.directory / "auth.json"
    path.write_text(json.dumps(document))
    box.configure(config.replace("[fetchd]\n", f"[fetchd]\nauth_file = {path}\n"))


def nothing_leaked(box, *secrets):
    """No secret lies in the store, the runtime directory with its log, or a log of ours."""
    for secret in ("canary", BASIC, *secrets):
        found = subprocess.run(["grep", "-r", "-l", "-e", secret, box.store, box.runtime], capture_output=True)
        assert found.stdout == b"", f"{secret} is in {found.stdout}"
        assert secret not in box.logs()


def serve(bad, realm, layers, **changes):
    """Image app:1 of `layers`, all of it behind the realm. `changes`: digest → behaviours."""
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in layers])
    manifest_type = {"Content-Type": MANIFEST}
    bad.on("/v2/app/manifests/1", realm.guard(badserver.whole(manifest, manifest_type)))
    for blob in (config, *layers):
        behaviours = changes.get(digest_of(blob), [badserver.whole(blob)])
        bad.on(f"/v2/app/blobs/{digest_of(blob)}", *(realm.guard(b) for b in behaviours))
    return f"{bad.address}/app:1"


def statuses_of_blobs(bad, realm):
    return [r for r in bad.requests if "/blobs/" in r.path and r.headers.get("Authorization") not in realm.good]


# ── tokens ──


def test_one_token_for_all_of_a_pull(box, bad):
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [os.urandom(1000) for _ in range(12)]))
    assert len(realm.asked()) == 1
    request = realm.asked()[0]
    assert request.method == "GET" and "Authorization" not in request.headers
    assert query_of(request) == [("service", "tests"), ("scope", "repository:app:pull")]
    assert not statuses_of_blobs(bad, realm), "a blob was requested without the token in hand"
    settled(box)
    nothing_leaked(box)


def test_one_refresh_for_all_transfers(box, bad):
    """The token is revoked while eight transfers begin."""
    realm = Realm(bad)
    layers = [os.urandom(MIB) for _ in range(7)]
    reference = serve(bad, realm, layers)
    seen = []

    def revoke_once(x):
        if realm.made == 1 and not seen:
            seen.append(1)
            realm.revoke()
        x.answer(401, b"", {"WWW-Authenticate": realm.challenge()})

    bad.on(f"/v2/app/blobs/{digest_of(config_blob())}", revoke_once, realm.guard(badserver.whole(config_blob())))
    box.sluice("pull", reference)
    assert len(realm.asked()) == 2
    settled(box)


def test_token_revoked_in_the_middle(box, bad):
    realm = Realm(bad)

    def cut_and_revoke(x):
        badserver.cut_short(DATA, HALF)(x)
        realm.revoke()

    bad.on("/blob", realm.knock, realm.guard(cut_and_revoke), realm.guard(None), realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST, "--size", str(len(DATA)))
    assert [r.range for r in bad.asked("/blob")] == ["", "", *[f"bytes={HALF}-{len(DATA) - 1}"] * 2]
    assert len(realm.asked()) == 2
    settled(box)


def test_token_is_renewed_before_its_end(box, bad):
    """It lives for two seconds, and the server requests a pause of two: it is renewed without a 401."""
    realm = Realm(bad, expires_in=2)
    bad.on("/blob", realm.knock, realm.guard(badserver.status(503, {"Retry-After": "2"})), realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 2
    assert [r.headers.get("Authorization") for r in bad.asked("/blob")] == [
        None, "Bearer canary-token-1", "Bearer canary-token-2",
    ]


def test_token_of_another_path_does_not_count(box, bad):
    """One host, two paths that have nothing in common: the token of the first has expired when the second is requested."""
    know(box, {"auths": {bad.address: {"auth": BASIC}}})
    realm = Realm(bad, expires_in=1)
    bad.on("/first", realm.guard(badserver.whole(b"first")))
    bad.on("/blob", badserver.status(503, {"Retry-After": "1"}), guarded_by_password(BASIC))
    with box.up():
        box.sluice("fetch", bad.url("/first"), "--digest", digest_of(b"first"))
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert bad.asked("/blob")[-1].headers["Authorization"] == f"Basic {BASIC}"


def test_token_without_a_lifetime_is_kept(box, bad):
    realm = Realm(bad, expires_in=None)
    bad.on("/blob", realm.knock, realm.guard(badserver.status(503)), realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 1


def test_fresh_token_refused(box, bad):
    box.configure(QUICK)
    realm = Realm(bad)
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": realm.challenge()}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.address, "401", "no credentials")
    assert len(realm.asked()) == 1 and len(bad.asked("/blob")) == 2
    nothing_leaked(box)


def test_403_with_an_expired_token(box, bad):
    """Some registries say 403: without the token they say what they want."""
    realm = Realm(bad)

    def forbid(x):
        realm.revoke()
        x.answer(403)

    bad.on("/blob", realm.knock, realm.guard(badserver.cut_short(DATA, HALF)), realm.guard(forbid), realm.knock,
           realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 2


def test_failed_realm_is_retried(box, bad):
    realm = Realm(bad, answers=[badserver.status(500), badserver.status(429, {"Retry-After": "0"})])
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 3


def test_failures_are_not_kept(box, bad):
    """A realm that refused once is asked again by the same fetchd."""
    realm = Realm(bad, answers=[badserver.status(403)])
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    box.configure(QUICK)
    with box.up():
        failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
        one_line(failed.stderr, bad.address, "403")
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 2


BAD_REALMS = {  # what it answers, our exit code, and how often it is asked
    "404": (badserver.status(404), DENIED, 1),
    "no JSON": (badserver.status(200, {}, b"<html>log in</html>"), BAD_DATA, 1),
    "no token": (badserver.status(200, {}, b'{"expires_in": 300}'), BAD_DATA, 1),
    "token that forges a line": (badserver.status(200, {}, b'{"token": "canary\\r\\nX: y"}'), BAD_DATA, 1),
    "over the limit": (badserver.status(200, {}, b'{"token": "canary"}' + b" " * 65536), BAD_DATA, 1),
    "endless": (badserver.endless(b" " * 65536), BAD_DATA, 1),
    "encoded": (badserver.status(200, {"Content-Encoding": "gzip"}, b'{"token": "canary"}'), BAD_DATA, 1),
    "deep": (badserver.status(200, {}, b"[" * 60000), BAD_DATA, 1),
    "500 for ever": (badserver.status(500), AGAIN, 3),
    "reset for ever": (badserver.cut_short(b"x" * 100, 0, reset=True), AGAIN, 3),
    "silent for ever": (badserver.silent(), AGAIN, 3),
}
SHORT = "connect_timeout = 1s\nstall_timeout = 1s\n"  # and enough for an answer that comes


@pytest.mark.parametrize("answer, code, times", BAD_REALMS.values(), ids=BAD_REALMS)
def test_bad_realm(box, bad, answer, code, times):
    box.configure(QUICK + (SHORT if answer == BAD_REALMS["silent for ever"][0] else ""))
    realm = Realm(bad)
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    bad.on("/token", answer)
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=code)
    one_line(failed.stderr, bad.url("/blob"), bad.address)
    assert len(realm.asked()) == times
    nothing_leaked(box)


def test_trickling_realm_has_a_deadline(box, bad):
    box.configure(f"[fetchd]\nmax_retries = 0\n{SHORT}")

    def trickle(x):
        x.head(200, {"Content-Length": 1000})
        while not x.server.released.wait(0.1):
            x.body(b" ")

    realm = Realm(bad)
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    bad.on("/token", trickle)
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=AGAIN)
    one_line(failed.stderr, "took too long")


def test_realm_that_redirects(box, bad):
    know(box, {"auths": {bad.address: {"auth": BASIC}}})
    with badserver.BadServer() as other:
        realm = Realm(bad, answers=[badserver.status(307, {"Location": other.url("/token")})])
        bad.on("/blob", realm.guard(badserver.whole(DATA)))
        failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=BAD_DATA)
        one_line(failed.stderr, "redirects")
        assert not other.requests


BAD_CHALLENGES = {
    "user in it": 'Bearer realm="http://user:word@{0}/token"',
    "no TLS": 'Bearer realm="http://auth.example/token"',
    "a file": 'Bearer realm="file:///etc/passwd"',
    "fragment": 'Bearer realm="http://{0}/token#x"',
    "no realm": "Bearer",
    "unfinished": 'Bearer realm="http://{0}/token',
    "two realms": 'Bearer realm="http://{0}/token",realm="http://{0}/token"',
    "another scheme": "Negotiate",
}


@pytest.mark.parametrize("challenge", BAD_CHALLENGES.values(), ids=BAD_CHALLENGES)
def test_bad_challenge(box, bad, challenge):
    know(box, {"auths": {bad.address: {"auth": BASIC}}})
    realm = Realm(bad)
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": challenge.format(bad.address)}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.url("/blob"))
    assert not realm.asked() and len(bad.asked("/blob")) == 1


@pytest.mark.parametrize("realm", ["127.0.0.1", "localhost", "2130706433", "169.254.169.254", "[::1]", "a name"])
def test_registry_elsewhere_does_not_send_us_here(box, realm):
    """The registry is at an address that is not loopback, so that no realm may be."""
    host = own_address()
    name = next(loopback_names(), None) if realm == "a name" else realm
    if not host or host.startswith("127.") or not name:
        pytest.skip("this machine has no address, or no name for loopback, to try it with")
    with badserver.BadServer(address=host) as registry, badserver.BadServer() as inner:
        port = inner.address.rpartition(":")[2]
        know(box, {"auths": {registry.address: {"auth": BASIC}}}, f"{QUICK}[registry {registry.address}]\nplain_http = yes\n")
        registry.on("/v2/app/manifests/1",
                    badserver.status(401, {"WWW-Authenticate": f'Bearer realm="https://{name}:{port}/token"'}))
        failed = box.run("sluice", "pull", f"{registry.address}/app:1")
        assert failed.returncode in (DENIED, BAD_DATA), failed.stderr
        one_line(failed.stderr, registry.address, "this machine or its link" if realm != "a name" else "of this machine or")
        assert inner.connections == 0


# ── credentials ──


def test_password_goes_to_the_realm_alone(box, bad):
    know(box, {"auths": {bad.address: {"auth": BASIC}}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert [r.headers.get("Authorization") for r in realm.asked()] == [f"Basic {BASIC}"]
    assert all(BASIC not in str(r.headers) + r.path for r in bad.requests if r not in realm.asked())
    nothing_leaked(box)


def test_identity_token_is_posted(box, bad):
    know(box, {"auths": {bad.address: {"auth": "dGVzdGVyOg==", "identitytoken": SECRET}}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert [(r.method, r.path) for r in realm.asked()] == [("POST", "/token")]
    assert realm.forms == [{
        "grant_type": "refresh_token", "service": "tests", "client_id": "sluice", "scope": "repository:app:pull",
        "refresh_token": SECRET,
    }]
    assert all(SECRET not in str(r.headers) + r.path for r in bad.requests)
    nothing_leaked(box)


def guarded_by_password(expected):
    def behave(x):
        right = x.headers.get("Authorization") == f"Basic {expected}"
        x.answer(*((200, DATA) if right else (401, b"", {"WWW-Authenticate": 'Basic realm="tests"'})))

    return behave


def test_credentials_of_a_repository(box, bad):
    """The longest key counts, and another repository of the same registry gets another password."""
    other = base64.b64encode(b"tester:another").decode()
    know(box, {"auths": {bad.address: {"auth": other}, f"{bad.address}/team/app": {"auth": BASIC}}})
    for name, expected in (("team/app", BASIC), ("team/other", other)):
        path = f"/v2/{name}/blobs/{DIGEST}"
        bad.on(path, guarded_by_password(expected))
        got = box.run("fetchd", "get", "--raw", f"blob://{bad.address}/{name}@{DIGEST}", want=0)
        assert got.raw == DATA
        assert len(bad.asked(path)) == 2


def install_helper(box, monkeypatch, script):
    """docker-credential-tests on the PATH; its arguments and input are in the file that this returns."""
    directory = box.directory / "helpers"
    directory.mkdir()
    path = directory / "docker-credential-tests"
    path.write_text(f"#!/bin/sh\nread server\necho \"$* $server\" >>{directory}/asked\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory / "asked"


def test_credential_helper(box, bad, monkeypatch):
    asked = install_helper(box, monkeypatch, f'echo \'{{"ServerURL":"x","Username":"tester","Secret":"{SECRET}"}}\'')
    know(box, {"credHelpers": {bad.address: "tests"}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [os.urandom(1000) for _ in range(5)]))
    assert asked.read_text() == f"get {bad.address}\n"
    assert [r.headers.get("Authorization") for r in realm.asked()] == [f"Basic {BASIC}"]
    nothing_leaked(box)


def test_credentials_store_with_an_identity(box, bad, monkeypatch):
    asked = install_helper(box, monkeypatch, f'echo \'{{"Username":"<token>","Secret":"{SECRET}"}}\'')
    know(box, {"credsStore": "tests", "auths": {bad.address: {}}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert asked.read_text() == f"get {bad.address}\n"
    assert realm.forms[0]["refresh_token"] == SECRET


def test_helper_that_knows_nothing(box, bad, monkeypatch):
    """The search continues, and ends anonymously."""
    install_helper(box, monkeypatch, "echo 'credentials not found in native keychain'; exit 1")
    know(box, {"credsStore": "tests"})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert "Authorization" not in realm.asked()[0].headers


BAD_HELPERS = {
    "fails": f"echo {SECRET}; echo {SECRET} >&2; exit 4",
    "prints nonsense": f"echo {SECRET}",
    "prints too much": "head -c 100000 /dev/zero",
    "dies": "kill -9 $$",
}


@pytest.mark.parametrize("script", BAD_HELPERS.values(), ids=BAD_HELPERS)
def test_bad_helper(box, bad, monkeypatch, script):
    install_helper(box, monkeypatch, script)
    know(box, {"credHelpers": {bad.address: "tests"}})
    bad.on("/blob", guarded_by_password(BASIC))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.url("/blob"), "docker-credential-tests")
    assert SECRET not in failed.stderr
    nothing_leaked(box)


def unreadable(box, monkeypatch):
    path = box.directory / "auth.json"
    path.mkdir()
    box.configure(QUICK.replace("[fetchd]\n", f"[fetchd]\nauth_file = {path}\n"))
    return str(path)


def malformed(box, monkeypatch):
    know(box, {"auths": "canary"})
    (box.directory / "auth.json").write_text("{")
    return str(box.directory / "auth.json")


def bad_entry(box, monkeypatch):
    know(box, {"credsStore": "../../canary"})
    return str(box.directory / "auth.json")


def no_such_program(box, monkeypatch):
    """A file that the kernel cannot run."""
    path = box.directory / "helpers" / "docker-credential-tests"
    path.parent.mkdir()
    path.write_text("canary")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    know(box, {"credsStore": "tests"})
    return "docker-credential-tests"


def failing_helper(box, monkeypatch):
    install_helper(box, monkeypatch, "echo canary; exit 1")
    know(box, {"credsStore": "tests"})
    return "docker-credential-tests"


TROUBLES = [unreadable, malformed, bad_entry, no_such_program, failing_helper]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_public_content_needs_no_credentials(box, bad, monkeypatch, trouble):
    """Those that cannot be used are passed over, and the log says which."""
    subject = trouble(box, monkeypatch)
    realm = Realm(bad)
    with box.up("-v"):
        box.sluice("pull", serve(bad, realm, [DATA]))
    assert "Authorization" not in realm.asked()[0].headers
    assert any(subject in line and "without these credentials" in line for line in box.logs().splitlines())
    nothing_leaked(box)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_credentials_of_the_next_place(box, bad, monkeypatch, trouble):
    trouble(box, monkeypatch)
    home = box.directory / "docker"
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"auths": {bad.address: {"auth": BASIC}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    bad.on("/blob", guarded_by_password(BASIC))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_trouble_with_credentials_is_the_reason(box, bad, monkeypatch, trouble, scheme):
    """Where nobody may come in without credentials."""
    subject = trouble(box, monkeypatch)
    if scheme == "Bearer":
        bad.on("/token", badserver.status(200, {}, b'{"token": "anybody"}'))
    challenge = f'Bearer realm="{bad.url("/token")}",service="x"' if scheme == "Bearer" else 'Basic realm="x"'
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": challenge}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.url("/blob"), subject)


def test_slow_helper_delays_nobody(box, bad, monkeypatch):
    """While it thinks, another transfer of the same fetchd runs from start to end."""
    gate = box.directory / "gate"
    os.mkfifo(gate)
    install_helper(box, monkeypatch, f'cat {gate}; echo \'{{"Username":"tester","Secret":"{SECRET}"}}\'')
    know(box, {"credHelpers": {bad.address: "tests"}})
    bad.on("/blob", guarded_by_password(BASIC))
    bad.on("/free", badserver.whole(b"free"))
    with box.up():
        waiting = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        writer = os.open(gate, os.O_WRONLY)  # returns when the helper has opened its end
        box.sluice("fetch", bad.url("/free"), "--digest", digest_of(b"free"))
        assert waiting.poll() is None
        os.close(writer)
        box.finish(waiting, want=0)


def test_systemd_credentials(box, bad, monkeypatch):
    directory = box.directory / "credentials"
    directory.mkdir()
    (directory / "sluice-auth.json").write_text(json.dumps({"auths": {bad.address: {"auth": BASIC}}}))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    bad.on("/blob", guarded_by_password(BASIC))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)


# ── a real registry ──


@pytest.mark.parametrize("password", [None, SECRET], ids=["anonymous", "with a password"])
def test_registry_with_signed_tokens(box, bad, tmp_path, password):
    signer = Signer(tmp_path)
    bad.on("/token", signer.realm("tests", password=password))
    if password:
        know(box, {"auths": {}})
    with Registry(tmp_path / "registry", token=(bad.url("/token"), signer.certificate)) as registry:
        access = [{"type": "repository", "name": "app", "actions": ["pull", "push"]}]
        header = {"Authorization": f"Bearer {signer.token('tests', 'tests', access)}"}
        pusher = Pusher(registry.address, "app", header)
        pusher.image("1", [pusher.blob_bytes(os.urandom(1000)) for _ in range(5)])
        if password:
            failed = box.run("sluice", "pull", f"{registry.address}/app:1", want=DENIED)
            one_line(failed.stderr, registry.address, "no credentials")
            know(box, {"auths": {registry.address: {"auth": BASIC}}})
            box.gone()
        asked = len(bad.requests)
        box.sluice("pull", f"{registry.address}/app:1")
        assert len(bad.requests) == asked + 1
    settled(box)
    nothing_leaked(box)
