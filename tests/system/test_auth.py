# SPDX-License-Identifier: Apache-2.0
"""Tokens and credentials: how often they are requested, and that no other host sees them."""

import base64
import json
import os
import subprocess

import pytest

import badserver
from conftest import MIB, credential_helper, settled
from images import LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import Registry, loopback_names, own_address
from stages import AGAIN, BAD_DATA, DENIED, one_line
from tokens import Realm, Signer, query_of

pytestmark = pytest.mark.usefixtures("home")

DATA = os.urandom(2 * MIB)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
SECRET = "canary-secret"
BASIC = base64.b64encode(f"tester:{SECRET}".encode()).decode()
QUICK = "[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n"


def set_auth(box, document, config=QUICK):
    """Give fetchd this auth.json."""
    path = box.directory / "auth.json"
    path.write_text(json.dumps(document))
    box.configure(config.replace("[fetchd]\n", f"[fetchd]\nauth_file = {path}\n"))


def nothing_leaked(box, *secrets):
    """No secret is in the store, in the runtime directory with its log, or in a log."""
    for secret in ("canary", BASIC, *secrets):
        found = subprocess.run(["grep", "-r", "-l", "-e", secret, box.store, box.runtime], capture_output=True)
        assert found.stdout == b"", f"{secret} is in {found.stdout}"
        assert secret not in box.logs()


def serve(bad, realm, layers, **changes):
    """Image app:1 of `layers`; every request needs a token of the realm. `changes`: digest → behaviours."""
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


def test_one_token_serves_a_whole_pull(box, bad):
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [os.urandom(1000) for _ in range(12)]))
    assert len(realm.asked()) == 1
    request = realm.asked()[0]
    assert request.method == "GET" and "Authorization" not in request.headers
    assert query_of(request) == [("service", "tests"), ("scope", "repository:app:pull")]
    assert not statuses_of_blobs(bad, realm), "a blob was requested without the token"
    settled(box)
    nothing_leaked(box)


def test_transfers_share_one_token_refresh(box, bad):
    """The token is revoked while eight transfers start."""
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


def test_token_revoked_mid_transfer(box, bad):
    realm = Realm(bad)

    def cut_and_revoke(x):
        badserver.cut_short(DATA, HALF)(x)
        realm.revoke()

    bad.on("/blob", realm.knock, realm.guard(cut_and_revoke), realm.guard(None), realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST, "--size", str(len(DATA)))
    assert [r.range for r in bad.asked("/blob")] == ["", "", *[f"bytes={HALF}-{len(DATA) - 1}"] * 2]
    assert len(realm.asked()) == 2
    settled(box)


def test_token_is_renewed_before_it_expires(box, bad):
    """It lives for two seconds and the server requests a pause of two. It is renewed without a 401."""
    realm = Realm(bad, expires_in=2)
    bad.on("/blob", realm.knock, realm.guard(badserver.status(503, {"Retry-After": "2"})), realm.guard(badserver.whole(DATA)))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 2
    assert [r.headers.get("Authorization") for r in bad.asked("/blob")] == [
        None, "Bearer canary-token-1", "Bearer canary-token-2",
    ]


def test_expired_token_of_another_path_is_not_renewed(box, bad):
    """One host, two unrelated paths: the token of the first has expired when the second is requested."""
    set_auth(box, {"auths": {bad.address: {"auth": BASIC}}})
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


def test_refused_new_token_fails_the_pull(box, bad):
    box.configure(QUICK)
    realm = Realm(bad)
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": realm.challenge()}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.address, "401", "no credentials")
    assert len(realm.asked()) == 1 and len(bad.asked("/blob")) == 2
    nothing_leaked(box)


def test_403_renews_the_token(box, bad):
    """Some registries answer 403 to an expired token, and send a challenge only to a request without one."""
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


def test_realm_failure_is_not_remembered(box, bad):
    """After a refusal the same fetchd asks the realm again."""
    realm = Realm(bad, answers=[badserver.status(403)])
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    box.configure(QUICK)
    with box.up():
        failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
        one_line(failed.stderr, bad.address, "403")
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(realm.asked()) == 2


BAD_REALMS = {  # the answer, our exit code, how often it is asked
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
SHORT = "connect_timeout = 1s\nstall_timeout = 1s\n"  # long enough for a server that answers


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


def test_realm_redirect_is_refused(box, bad):
    set_auth(box, {"auths": {bad.address: {"auth": BASIC}}})
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
    set_auth(box, {"auths": {bad.address: {"auth": BASIC}}})
    realm = Realm(bad)
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": challenge.format(bad.address)}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.url("/blob"))
    assert not realm.asked() and len(bad.asked("/blob")) == 1


@pytest.mark.parametrize("realm", ["127.0.0.1", "localhost", "2130706433", "169.254.169.254", "[::1]", "a name"])
def test_remote_registry_cannot_name_a_local_realm(box, realm):
    """The registry's address is not loopback, so its realm may not be loopback either."""
    host = own_address()
    name = next(loopback_names(), None) if realm == "a name" else realm
    if not host or host.startswith("127.") or not name:
        pytest.skip("this machine has no other address, or no other name for loopback")
    with badserver.BadServer(address=host) as registry, badserver.BadServer() as inner:
        port = inner.address.rpartition(":")[2]
        set_auth(box, {"auths": {registry.address: {"auth": BASIC}}}, f"{QUICK}[registry {registry.address}]\nplain_http = yes\n")
        registry.on("/v2/app/manifests/1",
                    badserver.status(401, {"WWW-Authenticate": f'Bearer realm="https://{name}:{port}/token"'}))
        failed = box.run("sluice", "pull", f"{registry.address}/app:1")
        assert failed.returncode in (DENIED, BAD_DATA), failed.stderr
        one_line(failed.stderr, registry.address, "this machine or its link" if realm != "a name" else "of this machine or")
        assert inner.connections == 0


# ── credentials ──


def test_password_goes_only_to_the_realm(box, bad):
    set_auth(box, {"auths": {bad.address: {"auth": BASIC}}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert [r.headers.get("Authorization") for r in realm.asked()] == [f"Basic {BASIC}"]
    assert all(BASIC not in str(r.headers) + r.path for r in bad.requests if r not in realm.asked())
    nothing_leaked(box)


def test_identity_token_is_posted(box, bad):
    set_auth(box, {"auths": {bad.address: {"auth": "dGVzdGVyOg==", "identitytoken": SECRET}}})
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


def test_longest_key_of_auth_json_wins(box, bad):
    """Two repositories of one registry get different passwords."""
    other = base64.b64encode(b"tester:another").decode()
    set_auth(box, {"auths": {bad.address: {"auth": other}, f"{bad.address}/team/app": {"auth": BASIC}}})
    for name, expected in (("team/app", BASIC), ("team/other", other)):
        path = f"/v2/{name}/blobs/{DIGEST}"
        bad.on(path, guarded_by_password(expected))
        got = box.run("fetchd", "get", "--raw", f"blob://{bad.address}/{name}@{DIGEST}", want=0)
        assert got.raw == DATA
        assert len(bad.asked(path)) == 2


def install_helper(box, monkeypatch, script):
    """Put docker-credential-tests on the PATH. It appends its arguments and input to the file returned."""
    path = box.directory / "helpers/docker-credential-tests"
    asked = path.parent / "asked"
    credential_helper(monkeypatch, path, f"#!/bin/sh\nread server\necho \"$* $server\" >>{asked}\n{script}\n")
    return asked


def test_credential_helper(box, bad, monkeypatch):
    asked = install_helper(box, monkeypatch, f'echo \'{{"ServerURL":"x","Username":"tester","Secret":"{SECRET}"}}\'')
    set_auth(box, {"credHelpers": {bad.address: "tests"}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [os.urandom(1000) for _ in range(5)]))
    assert asked.read_text() == f"get {bad.address}\n"
    assert [r.headers.get("Authorization") for r in realm.asked()] == [f"Basic {BASIC}"]
    nothing_leaked(box)


def test_credentials_store_with_an_identity(box, bad, monkeypatch):
    asked = install_helper(box, monkeypatch, f'echo \'{{"Username":"<token>","Secret":"{SECRET}"}}\'')
    set_auth(box, {"credsStore": "tests", "auths": {bad.address: {}}})
    realm = Realm(bad)
    box.sluice("pull", serve(bad, realm, [DATA]))
    assert asked.read_text() == f"get {bad.address}\n"
    assert realm.forms[0]["refresh_token"] == SECRET


def test_helper_without_credentials_means_anonymous(box, bad, monkeypatch):
    """The search goes on to the next place, and ends without credentials."""
    install_helper(box, monkeypatch, "echo 'credentials not found in native keychain'; exit 1")
    set_auth(box, {"credsStore": "tests"})
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
    set_auth(box, {"credHelpers": {bad.address: "tests"}})
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
    set_auth(box, {"auths": "canary"})
    (box.directory / "auth.json").write_text("{")
    return str(box.directory / "auth.json")


def bad_entry(box, monkeypatch):
    set_auth(box, {"credsStore": "../../canary"})
    return str(box.directory / "auth.json")


def missing_program(box, monkeypatch):
    set_auth(box, {"credsStore": "nowhere"})
    return "docker-credential-nowhere"


def no_such_program(box, monkeypatch):
    """A helper that the kernel cannot execute."""
    credential_helper(monkeypatch, box.directory / "helpers/docker-credential-tests", "canary")
    set_auth(box, {"credsStore": "tests"})
    return "docker-credential-tests"


def failing_helper(box, monkeypatch):
    install_helper(box, monkeypatch, "echo canary; exit 1")
    set_auth(box, {"credsStore": "tests"})
    return "docker-credential-tests"


TROUBLES = [unreadable, malformed, bad_entry, missing_program, no_such_program, failing_helper]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_public_content_needs_no_credentials(box, bad, monkeypatch, trouble):
    """Unusable credentials are skipped, and the log names them."""
    subject = trouble(box, monkeypatch)
    realm = Realm(bad)
    with box.up("-v"):
        box.sluice("pull", serve(bad, realm, [DATA]))
    assert "Authorization" not in realm.asked()[0].headers
    assert any(subject in line and "without these credentials" in line for line in box.logs().splitlines())
    nothing_leaked(box)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_next_place_is_searched_for_credentials(box, bad, monkeypatch, trouble):
    trouble(box, monkeypatch)
    home = box.directory / "docker"
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"auths": {bad.address: {"auth": BASIC}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    bad.on("/blob", guarded_by_password(BASIC))
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_error_names_unusable_credentials(box, bad, monkeypatch, trouble, scheme):
    """The server does not serve without credentials."""
    subject = trouble(box, monkeypatch)
    if scheme == "Bearer":
        bad.on("/token", badserver.status(200, {}, b'{"token": "anybody"}'))
    challenge = f'Bearer realm="{bad.url("/token")}",service="x"' if scheme == "Bearer" else 'Basic realm="x"'
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": challenge}))
    failed = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=DENIED)
    one_line(failed.stderr, bad.url("/blob"), subject)


def test_slow_helper_does_not_delay_other_transfers(box, bad, monkeypatch):
    """While the helper runs, another transfer of the same fetchd starts and completes."""
    gate = box.directory / "gate"
    os.mkfifo(gate)
    install_helper(box, monkeypatch, f'cat {gate}; echo \'{{"Username":"tester","Secret":"{SECRET}"}}\'')
    set_auth(box, {"credHelpers": {bad.address: "tests"}})
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
        set_auth(box, {"auths": {}})
    with Registry(tmp_path / "registry", token=(bad.url("/token"), signer.certificate)) as registry:
        access = [{"type": "repository", "name": "app", "actions": ["pull", "push"]}]
        header = {"Authorization": f"Bearer {signer.token('tests', 'tests', access)}"}
        pusher = Pusher(registry.address, "app", header)
        pusher.image("1", [pusher.blob_bytes(os.urandom(1000)) for _ in range(5)])
        if password:
            failed = box.run("sluice", "pull", f"{registry.address}/app:1", want=DENIED)
            one_line(failed.stderr, registry.address, "no credentials")
            set_auth(box, {"auths": {registry.address: {"auth": BASIC}}})
            box.gone()
        asked = len(bad.requests)
        box.sluice("pull", f"{registry.address}/app:1")
        assert len(bad.requests) == asked + 1
    settled(box)
    nothing_leaked(box)
