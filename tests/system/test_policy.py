# SPDX-License-Identifier: Apache-2.0
"""What a user says about a source on the command line: for that pull and nobody else's, with stages of any kind."""

import base64
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import ssl
import threading

import pytest

import badserver
import wire
from authority import Authority
from conftest import credential_helper
from images import LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from peers import Member
from servers import GUARD_S, Registry, wait_for
from stages import AGAIN, CONFIG, DENIED, NOT_FOUND, OK, UNAVAILABLE, USAGE, one_line
from terminal import Terminal

pytestmark = pytest.mark.usefixtures("home")

PASSWORD = "canary-" + secrets.token_hex(8)
DATA = os.urandom(1 << 20)
DIGEST = digest_of(DATA)


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def locked(area):
    """docker-registry that requires a password, with an image."""
    with Registry(area / "locked", password=PASSWORD) as server:
        pusher = Pusher(server.address, "app", {"Authorization": "Basic " + basic("tester", PASSWORD)})
        pusher.image("1", [pusher.blob_bytes(DATA)])
        yield server


def by_command(box):
    return contextlib.nullcontext()


def by_daemons(box):
    return box.up()


STAGES_OF = pytest.mark.parametrize("running", [by_command, by_daemons])


def contents(*roots):
    """(path, content) of all files, while others come and go."""
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in names:
                path = pathlib.Path(directory, name)
                with contextlib.suppress(OSError):
                    yield path, path.read_bytes()


def no_secret(box, *words):
    for path, content in contents(box.store, box.runtime):
        for word in words:
            assert word.encode() not in content, path
    for word in words:
        assert word not in box.logs()


# ── credentials ──


@STAGES_OF
def test_creds(box, locked, running):
    reference = f"{locked.address}/app:1"
    with running(box):
        box.sluice("pull", reference, want=DENIED)
        one_line(box.sluice("-q", "pull", "--creds", "tester:wrong", reference, want=DENIED).stderr, "credentials for", "refused")
        box.sluice("pull", f"--creds=tester:{PASSWORD}", reference)
    assert box.blob(DIGEST).exists()
    no_secret(box, PASSWORD, basic("tester", PASSWORD))


def test_password_from_standard_input(box, locked):
    reference = f"{locked.address}/app:1"
    for data in (b"", b"\n"):
        one_line(box.run("sluice", "pull", "--creds", "tester", reference, data=data, want=USAGE).stderr, "no password for 'tester'")
    box.run("sluice", "pull", "--creds", "tester", reference, data=PASSWORD.encode() + b"\r\n", want=OK)


def test_password_from_a_terminal(box, locked, tmp_path):
    """It is not shown, Ctrl-C is an end, and the terminal has its echo again."""
    reference = f"{locked.address}/app:1"
    shell = f"{box.bindir}/sluice -q pull --creds tester {reference}; echo ended $?; cat"
    with Terminal(tmp_path, ["sh", "-c", shell], env=box.environment) as terminal:
        terminal.see(f"Password of 'tester' at '{locked.address}':")
        terminal.type("wrongX")
        terminal.key("C-u")
        terminal.type(PASSWORD + "X")
        terminal.key("BSpace", "Enter")
        terminal.see("sha256:", "ended 0")
        assert PASSWORD not in "\n".join(terminal.everything())
        terminal.type("seen")
        terminal.see("seen")
    shell = f"{box.bindir}/sluice -q pull --creds tester {reference}; echo ended $?; cat"
    (tmp_path / "other").mkdir()
    with Terminal(tmp_path / "other", ["sh", "-c", shell], env=box.environment) as terminal:
        terminal.see("Password of")
        terminal.key("C-c")
        terminal.see("no password for 'tester'", "ended 75")
        terminal.type("seen")
        terminal.see("seen")


@STAGES_OF
def test_authfile(box, locked, running):
    """The entry for the repository counts, as containers-auth.json(5) has it. The file is not the daemon's."""
    path = box.directory / "my-auth.json"
    path.write_text(json.dumps({"auths": {locked.address: {"auth": basic("tester", "wrong")},
                                          f"{locked.address}/app": {"auth": basic("tester", PASSWORD)}}}))
    path.chmod(0o600)
    with running(box):
        box.sluice("pull", "--authfile", path, f"{locked.address}/app:1")
        no_secret(box, PASSWORD, basic("tester", PASSWORD))
        path.write_text(json.dumps({"auths": {"other.example": {"auth": basic("tester", PASSWORD)}}}))
        box.sluice("pull", "--authfile", path, f"{locked.address}/app:latest", want=DENIED)
        path.write_text("{")
        one_line(box.sluice("pull", "--authfile", path, f"{locked.address}/app:1", want=CONFIG).stderr, path)
        path.unlink()
        one_line(box.sluice("pull", "--authfile", path, f"{locked.address}/app:1", want=NOT_FOUND).stderr, path)


class Users:
    """A registry in which each user has a token of their own, and content that only some may see."""

    def __init__(self, bad, layer, *users):
        self.bad, self.layer = bad, layer
        self.tokens = {user: f"token-of-{user}" for user in users}
        self.config = config_blob()
        self.manifests = {}
        bad.on("/token", self.give)
        for blob in (self.config, layer):
            bad.on(f"/v2/app/blobs/{digest_of(blob)}", self.guard(badserver.whole(blob)))

    def give(self, x):
        for user, token in self.tokens.items():
            if x.headers.get("Authorization") == "Basic " + basic(user, f"password-of-{user}"):
                x.answer(200, json.dumps({"token": token}).encode())
                return
        x.answer(401, b"")

    def guard(self, behaviour, *users):
        def behave(x):
            good = {f"Bearer {token}" for user, token in self.tokens.items() if not users or user in users}
            if x.headers.get("Authorization") in good:
                behaviour(x)
            else:
                x.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{self.bad.url("/token")}",service="tests"'})

        return behave

    def image(self, tag, *users, blob=None):
        """An image of its own with the common layer, for these users."""
        config = config_blob(f"arch-{tag}")
        self.bad.on(f"/v2/app/blobs/{digest_of(config)}", self.guard(badserver.whole(config), *users))
        manifest = manifest_blob(config, [descriptor(self.layer, LAYER)])
        for name in (tag, digest_of(manifest)):
            self.bad.on(f"/v2/app/manifests/{name}", self.guard(badserver.whole(manifest, {"Content-Type": MANIFEST}), *users))
        return f"{self.bad.address}/app:{tag}"

    def shown(self, part):
        """Whose tokens came with the requests for paths that have `part`."""
        return [r.headers.get("Authorization", "").removeprefix("Bearer token-of-") for r in self.bad.requests
                if part in r.path and "Authorization" in r.headers]


@STAGES_OF
def test_two_users_and_one_layer(box, bad, running):
    """Each image is requested with its user's token and no other, and the layer comes once."""
    users = Users(bad, DATA, "ann", "bob")
    waits, goes = threading.Event(), threading.Event()

    def held(x):
        waits.set()
        goes.wait()
        badserver.whole(DATA)(x)

    bad.on(f"/v2/app/blobs/{DIGEST}", users.guard(held))
    images = {user: users.image(f"of-{user}", user) for user in ("ann", "bob")}
    with running(box):
        pulls = []
        for user, image in images.items():
            path = box.directory / f"auth-{user}.json"
            path.write_text(json.dumps({"auths": {bad.address: {"auth": basic(user, f"password-of-{user}")}}}))
            options = ["--creds", f"{user}:password-of-{user}"] if user == "ann" else ["--authfile", path]
            pulls.append(box.popen("sluice", "pull", *options, image))
        own = [digest_of(config_blob(f"arch-of-{user}")) for user in images]
        wait_for("both manifests", lambda: all(users.shown(digest) for digest in own))
        assert waits.wait(GUARD_S)
        goes.set()
        for process in pulls:
            box.finish(process, OK)
    for user in images:
        assert set(users.shown(f"/manifests/of-{user}")) == {user}
        assert set(users.shown(digest_of(config_blob(f"arch-of-{user}")))) == {user}
    assert len([r for r in bad.asked(f"/v2/app/blobs/{DIGEST}") if r.headers.get("Authorization")]) == 1
    no_secret(box, "password-of-", "token-of-", basic("ann", "password-of-ann"))


def test_token_of_another_is_not_used(box, bad):
    """One image, two users after each other: the second has no right to it, although the daemon has a token of the first."""
    users = Users(bad, DATA, "ann", "bob")
    image, other = users.image("1", "ann"), users.image("2", "ann")
    with box.up():
        box.sluice("pull", "--creds", "ann:password-of-ann", image)
        box.sluice("pull", "--creds", "bob:password-of-bob", other, want=DENIED)
        box.sluice("pull", other, want=DENIED)
        assert "ann" not in users.shown("/manifests/2")


def test_wrong_credentials_of_one_do_not_fail_the_other(box, bad):
    """The transfer that both wait for goes on with the next source at the same offset, and the same the other way round."""
    users = Users(bad, DATA, "ann", "bob")
    first = threading.Event()

    def refused(x):
        first.set()
        wait_for("the other pull to join", lambda: joined)
        x.answer(403, b"")

    joined = []
    bad.on(f"/v2/app/blobs/{DIGEST}", refused, users.guard(badserver.whole(DATA), "bob"))
    layer = f"blob://{bad.address}/app@{DIGEST}"
    policies = {user: policy_of(basic=basic(user, f"password-of-{user}")) for user in ("ann", "bob")}
    with box.up(), Member(box.runtime) as ann, Member(box.runtime) as bob:
        assert ann.request("GET", ref=DIGEST, source=layer, expected=DIGEST, size=wire.SIZE_UNKNOWN, policy=policies["ann"])[0] == "RECORD"
        assert first.wait(GUARD_S)
        assert bob.request("GET", ref=DIGEST, source=layer, expected=DIGEST, size=wire.SIZE_UNKNOWN, policy=policies["bob"])[0] == "RECORD"
        joined.append(1)
        wait_for("the layer", box.blob(DIGEST).exists)
    assert users.shown(DIGEST)[-1] == "bob"


def test_answer_that_only_another_trusts_is_not_shared(box, bad):
    """What a tag names, or a URL has, is for those alone who trust the same servers. By digest it makes no difference."""
    sources = [f"manifest://{bad.address}/app:1", bad.url("/file")]
    lax, certs = policy_of(tls_verify=b"\0"), policy_of(authorities="")
    with box.up(), Member(box.runtime) as first, Member(box.runtime) as second:
        for path in ("/v2/app/manifests/1", "/file"):
            bad.on(path, badserver.status(503, {"Retry-After": "60"}))
        for source in sources:
            for one, other in ((lax, b""), (b"", lax), (lax, policy_of(plain_http=b"\1")), (certs, lax)):
                get = dict(ref=source, source=source, size=wire.SIZE_UNKNOWN)
                assert first.request("GET", policy=one, **get)[0] == "RECORD"
                kind, answer = second.request("GET", policy=other, **get)
                assert (kind, answer["fail_class"]) == ("ERROR", 1) and "other TLS options" in answer["text"], (one, other)
                assert second.request("GET", policy=one, **get)[0] == "RECORD"
                assert first.request("ABORT", ref=source)[0] == "OK"
        get = dict(ref=DIGEST, source=bad.url("/file"), expected=DIGEST, size=wire.SIZE_UNKNOWN)
        assert first.request("GET", policy=lax, **get)[0] == second.request("GET", **get)[0] == "RECORD"


def test_tag_is_asked_once_for_two_users(box, bad):
    """Not a wall: who joins a transfer learns what the first one's credentials got. It is the same registry."""
    users = Users(bad, DATA, "ann", "bob")
    joined, asked = [], threading.Event()
    manifest = manifest_blob(config_blob(), [])

    def answer(x):
        asked.set()
        wait_for("the other pull to join", lambda: joined)
        badserver.whole(manifest, {"Content-Type": MANIFEST})(x)

    bad.on("/v2/app/manifests/1", users.guard(answer, "ann"))
    get = dict(ref=f"manifest://{bad.address}/app:1", source=f"manifest://{bad.address}/app:1", size=wire.SIZE_UNKNOWN)
    with box.up(), Member(box.runtime) as ann, Member(box.runtime) as bob:
        assert ann.request("GET", policy=policy_of(basic=basic("ann", "password-of-ann")), **get)[0] == "RECORD"
        assert asked.wait(GUARD_S)
        assert bob.request("GET", policy=policy_of(basic=basic("bob", "password-of-bob")), **get)[0] == "RECORD"
        joined.append(1)
        record = wait_for("the manifest", lambda: (r := bob.request("STATUS", ref=get["ref"])[1])["state"] == 4 and r)
    assert record["digest"] == digest_of(manifest)


# ── TLS, and what else was said ──


@pytest.fixture(scope="module")
def private(area):
    """docker-registry with a certificate of a private CA, with an image; .authority is that CA."""
    authority = Authority(area / "policy-ca")
    with Registry(area / "private", tls=authority.issue("registry")) as server:
        server.authority = authority
        pusher = Pusher(server.address, "app", tls=ssl.create_default_context(cafile=authority.certificate))
        pusher.image("1", [pusher.blob_bytes(DATA)])
        yield server


def certificates(directory, authority, client=None):
    directory.mkdir()
    shutil.copy(authority.certificate, directory / "ca.crt")
    for path, name in zip(client or (), ("me.cert", "me.key")):
        shutil.copy(path, directory / name)
    return directory


@STAGES_OF
def test_tls_verify_and_cert_dir(box, private, running, tmp_path):
    reference = f"{private.address}/app:1"
    box.configure(f"[registry {private.address}]\nplain_http = no\n")
    with running(box):
        for options in ((), ("--tls-verify=true",), ("--tls-verify",)):
            assert "CA" in box.sluice("-q", "pull", "--retry", "0", *options, reference, want=UNAVAILABLE).stderr
        box.sluice("pull", "--cert-dir", certificates(tmp_path / "certs", private.authority), reference)
        box.sluice("rm", reference)
        assert "CA" in box.sluice("pull", "--retry=0", reference, want=UNAVAILABLE).stderr, "the laxness was for that pull"
        box.sluice("pull", "--tls-verify=false", reference)
    assert running is by_command or "NOT VERIFIED" in box.logs()


def test_client_certificate(box, private, tmp_path):
    tls = private.authority.require(private.authority.context("strict"))
    with badserver.BadServer(tls=tls) as strict:
        strict.on("/file", badserver.whole(DATA))
        certs = certificates(tmp_path / "certs", private.authority)
        assert box.sluice("fetch", "--retry=0", "--cert-dir", certs, strict.url("/file"), want=None).returncode in (UNAVAILABLE, AGAIN)
        certs = certificates(tmp_path / "with-client", private.authority, private.authority.issue("me"))
        box.sluice("fetch", "--cert-dir", certs, strict.url("/file"))
    assert box.blob(DIGEST).exists()


@STAGES_OF
def test_plain_http(box, registry, running):
    """As for skopeo, a server without TLS will do where a certificate need not be verified; one look is enough for a pull."""
    pusher = Pusher(registry.address, "plain")
    pusher.image("1", [pusher.blob_bytes(os.urandom(1000)) for _ in range(3)])
    reference = f"{registry.address}/plain:1"
    with running(box):
        box.sluice("pull", "--retry", "0", "--tls-verify=true", reference, want=UNAVAILABLE)
        box.sluice("pull", "--tls-verify=false", reference)
        box.sluice("rm", reference)
        box.sluice("pull", "--plain-http", reference)
    assert box.logs().count("cannot fetch") <= 3


def test_configuration_is_overridden(box, private, registry):
    box.configure(f"[fetchd]\nmax_retries = 0\n[registry {private.address}]\nskip_verify = yes\n"
                  f"[registry {registry.address}]\nplain_http = no\n")
    box.sluice("pull", "--tls-verify=true", f"{private.address}/app:1", want=UNAVAILABLE)
    box.sluice("pull", f"{private.address}/app:1")
    pusher = Pusher(registry.address, "plain")
    pusher.image("2", [pusher.blob_bytes(DATA)])
    box.sluice("pull", f"{registry.address}/plain:2", want=UNAVAILABLE)
    box.sluice("pull", "--plain-http", f"{registry.address}/plain:2")


def test_password_of_the_daemon_is_not_sent_without_its_tls(box, bad, private, tmp_path):
    """With a policy that trusts more than the configuration does, a member would get the daemon's password and headers."""
    path = box.directory / "daemon.json"
    tls = private.authority.context("mitm")
    with badserver.BadServer(tls=tls) as mitm:
        path.write_text(json.dumps({"auths": {server.address: {"auth": basic("daemon", PASSWORD)} for server in (bad, mitm)}}))
        box.configure(f"[fetchd]\nauth_file = {path}\nmax_retries = 0\n" + "".join(
            f"[registry {server.address}]\nheader = X-Canary: {PASSWORD}\n" for server in (bad, mitm)))
        for server in (bad, mitm):
            server.on("/file", badserver.status(401, {"WWW-Authenticate": 'Basic realm="tests"'}))
        certs = certificates(tmp_path / "certs", private.authority)
        with box.up():
            box.sluice("fetch", bad.url("/file"), want=DENIED)
            assert [r.headers.get("Authorization") for r in bad.requests] == [None, "Basic " + basic("daemon", PASSWORD)]
            for server, option in ((bad, "--plain-http"), (mitm, "--tls-verify=false"), (mitm, f"--cert-dir={certs}")):
                asked = len(server.requests)
                said = box.sluice("fetch", option, server.url("/file"), want=DENIED).stderr
                one_line(said, f"no credentials for '{server.address}'")
                assert len(server.requests) > asked, option
            for server, option in ((bad, "--plain-http"), (mitm, "--tls-verify=false")):
                box.sluice("fetch", option, "--creds=ann:hers", server.url("/file"), want=DENIED)
            for server, policy in ((bad, policy_of(plain_http=b"\1")), (mitm, policy_of(tls_verify=b"\0"))):
                ask_of_own(box, server.url("/file"), policy)  # as our command never does: not a word about credentials
    shown = [r for r in (*bad.requests[2:], *mitm.requests)]
    assert {r.headers.get("Authorization") for r in shown} == {None, "Basic " + basic("ann", "hers")}
    assert not [r for r in shown if "X-Canary" in r.headers]


def ask_of_own(box, source, policy):
    """GET as a member's own program sends it, until the transfer has failed."""
    with Member(box.runtime) as member:
        assert member.request("GET", ref=source, source=source, size=wire.SIZE_UNKNOWN, policy=policy)[0] == "RECORD"
        wait_for("a failure", lambda: member.status(source)["state"] == 6)


def test_own_credentials_come_with_lax_tls(box, bad, monkeypatch):
    """As for skopeo: those of the user's own files, which the command reads."""
    path = box.directory / "mine.json"
    path.write_text(json.dumps({"auths": {bad.address: {"auth": basic("ann", "hers")}}}))

    def guarded(x):
        if x.headers.get("Authorization") == "Basic " + basic("ann", "hers"):
            badserver.whole(DATA)(x)
        else:
            x.answer(401, b"", {"WWW-Authenticate": 'Basic realm="tests"'})

    bad.on("/file", guarded)
    with box.up():
        box.sluice("fetch", bad.url("/file"), want=DENIED)
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
        box.sluice("fetch", bad.url("/file"), want=DENIED)
        box.sluice("fetch", "--plain-http", bad.url("/file"))


@pytest.fixture
def helper(box, monkeypatch):
    """write(script): docker-credential-own, which the user's own file names."""

    def write(script):
        credential_helper(monkeypatch, box.directory / "helpers/docker-credential-own", f"#!/bin/sh\n{script}\n")

    return write


HELD = f'read server; echo "{{\\"Username\\":\\"ann\\",\\"Secret\\":\\"{PASSWORD}\\",\\"ServerURL\\":\\"$server\\"}}"'


@pytest.mark.parametrize("options", [["--plain-http"], ["--authfile"]])
def test_own_helper(box, bad, helper, monkeypatch, options):
    """The command runs it, as its user, because its file names it; the daemon never does. Its words are in no file."""
    path = box.directory / "mine.json"
    path.write_text(json.dumps({"credHelpers": {bad.address: "own"}}))
    if options == ["--authfile"]:
        options = ["--authfile", path]
    bad.on("/file", lambda x: badserver.whole(DATA)(x) if x.headers.get("Authorization") == "Basic " + basic("ann", PASSWORD)
           else x.answer(401, b"", {"WWW-Authenticate": 'Basic realm="tests"'}))
    with box.up():
        helper(HELD)
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
        box.sluice("fetch", *options, bad.url("/file"))
        assert box.run("fetchd", "get", "--raw", "--plain-http", bad.url("/file"), want=OK).raw == DATA
    assert box.blob(DIGEST).exists()
    no_secret(box, PASSWORD, basic("ann", PASSWORD))


BROKEN_HELPERS = {"fails": "echo canary; exit 1", "says nonsense": "echo canary", "says too much": "head -c 100000 /dev/zero",
                  "is killed": "kill -9 $$"}


@pytest.mark.parametrize("script", BROKEN_HELPERS.values(), ids=BROKEN_HELPERS)
def test_own_helper_that_is_broken(box, bad, helper, monkeypatch, script):
    """Public content needs none; where a file was named for it, that is an error. The next place counts."""
    path = box.directory / "mine.json"
    path.write_text(json.dumps({"credsStore": "own"}))
    bad.on("/file", badserver.whole(DATA))
    helper(script)
    failed = box.sluice("fetch", "--authfile", path, bad.url("/file"), want=CONFIG).stderr
    one_line(failed, "docker-credential-own")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    warned = box.sluice("-q", "fetch", "--plain-http", bad.url("/file")).stderr
    one_line(warned, "docker-credential-own", f"continuing without these credentials for '{bad.address}'")
    assert "canary" not in failed + warned
    there = pathlib.Path(os.environ["HOME"], ".docker/config.json")
    there.parent.mkdir()
    there.write_text(json.dumps({"auths": {bad.address: {"auth": basic("ann", "hers")}}}))
    bad.on("/other", badserver.status(401, {"WWW-Authenticate": 'Basic realm="tests"'}))
    assert "were refused" in box.sluice("fetch", "--plain-http", bad.url("/other"), want=DENIED).stderr
    assert bad.requests[-1].headers["Authorization"] == "Basic " + basic("ann", "hers")


def test_own_helper_that_has_none(box, bad, helper, tmp_path):
    path = box.directory / "mine.json"
    path.write_text(json.dumps({"credsStore": "own"}))
    bad.on("/file", badserver.whole(DATA))
    helper("echo credentials not found in native keychain; exit 1")
    assert "docker-credential" not in box.sluice("fetch", "--authfile", path, bad.url("/file")).stderr
    path.write_text(json.dumps({"credsStore": "missing"}))
    one_line(box.sluice("fetch", "--authfile", path, bad.url("/file"), want=CONFIG).stderr, "docker-credential-missing", "No such file")


def test_credentials_are_for_the_named_host_only(box, bad):
    """Not for the target of a redirect, nor for a mirror."""
    box.configure("[fetchd]\nmax_retries = 0\n")
    with badserver.BadServer() as other:
        for path in ("/there", "/v2/app/manifests/1"):
            other.on(path, badserver.status(401, {"WWW-Authenticate": 'Basic realm="tests"'}))
        bad.on("/file", badserver.status(302, {"Location": other.url("/there")}))
        box.sluice("fetch", "--creds=ann:hers", bad.url("/file"), want=DENIED)
        box.configure(f"[fetchd]\nmax_retries = 0\n[registry {bad.address}]\nmirror = {other.url('')}\n")
        bad.on("/v2/app/manifests/1", badserver.status(401, {"WWW-Authenticate": 'Basic realm="tests"'}))
        box.sluice("pull", "--creds=ann:hers", f"{bad.address}/app:1", want=DENIED)
    assert len(other.requests) >= 2 and not [r for r in other.requests if "Authorization" in r.headers]
    assert [r for r in bad.requests if r.headers.get("Authorization") == "Basic " + basic("ann", "hers")]


@pytest.mark.parametrize("retries", [0, 2])
def test_retry(box, bad, retries):
    box.configure("[fetchd]\nretry_delay = 1ms\nmax_retries = 5\n")
    bad.on("/file", badserver.status(500))
    box.sluice("fetch", "--retry", str(retries), bad.url("/file"), want=AGAIN)
    assert len(bad.asked("/file")) == retries + 1


@STAGES_OF
def test_limit_rate(box, bad, running):
    """Two transfers of one command share the rate, and another command is not slowed down."""
    big = [os.urandom(8 << 20) for _ in range(2)]
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in big])
    bad.image("app", "1", manifest, MANIFEST, {digest_of(blob): [badserver.whole(blob)] for blob in (config, *big)})
    bad.on("/file", badserver.whole(DATA))
    with running(box):
        process = box.popen("sluice", "pull", "--limit-rate=64k", f"{bad.address}/app:1")
        wait_for("both layers", lambda: all(box.size(digest_of(layer)) > 0 for layer in big))
        box.sluice("fetch", bad.url("/file"))
        assert all(0 < box.size(digest_of(layer)) < 2 << 20 for layer in big), "at 128 KB/s this takes a minute"
        process.terminate()
        process.wait()
        for layer in big:
            box.sluice("abort", digest_of(layer))


@STAGES_OF
def test_timeout(box, bad, running):
    bad.on("/file", badserver.silent(DATA, 1000))
    with running(box):
        said = box.sluice("-q", "fetch", "--timeout", "300ms", "--digest", DIGEST, bad.url("/file"), want=AGAIN).stderr
        one_line(said, bad.url("/file"), "--timeout")
        box.sluice("abort", DIGEST)


BAD_VALUES = [
    ("--creds=", "'--creds'"), ("--creds=:secret", "'--creds'"), ("--creds=ann:", "'--creds'"),
    ("--authfile=", "'--authfile'"), ("--cert-dir=", "'--cert-dir'"), ("--tls-verify=maybe", "'maybe' for '--tls-verify'"),
    ("--plain-http=x", "'x' for '--plain-http'"), ("--retry=-1", "'-1' for '--retry'"), ("--retry=1000001", "'--retry'"),
    ("--limit-rate=fast", "'fast' for '--limit-rate'"), ("--limit-rate=2T", "'2T' for '--limit-rate'"),
    ("--timeout=0", "'0' for '--timeout'"), ("--timeout=1y", "'1y' for '--timeout'"),
]


@pytest.mark.parametrize("command", [("pull", "localhost:1/x"), ("fetch", "http://localhost:1/x")], ids=["pull", "fetch"])
def test_bad_values_are_refused(box, command, tmp_path):
    for option, subject in BAD_VALUES:
        one_line(box.sluice(*command, option, want=USAGE).stderr, subject)
        assert "secret" not in box.sluice(*command, option, want=USAGE).stderr
    one_line(box.sluice(*command, "--plain-http", "--tls-verify=true", want=USAGE).stderr, "--plain-http and --tls-verify=true exclude")
    one_line(box.sluice(*command, "--cert-dir", tmp_path / "none", want=NOT_FOUND).stderr, tmp_path / "none")
    for name, text, subject in (("x.crt", "no pem", "x.crt"), ("x.cert", "-----BEGIN", "x.key"), ("y.crt", "-----BEGIN" + "x" * 20000, "y.crt")):
        directory = tmp_path / f"certs-{name}"
        directory.mkdir()
        (directory / name).write_text(text)
        one_line(box.sluice(*command, "--cert-dir", directory, want=NOT_FOUND if name == "x.cert" else CONFIG).stderr, subject)
    assert not box.store.exists(), "nothing was started"


def test_by_hand(box, locked, private, tmp_path):
    """The same options of fetchd's own command."""
    blob = f"blob://{locked.address}/app@{DIGEST}"
    box.run("fetchd", "get", "--raw", blob, want=DENIED)
    assert box.run("fetchd", "get", "--raw", "--creds", "tester", blob, data=PASSWORD.encode(), want=OK).raw == DATA
    assert box.run("fetchd", "get", "--raw", f"--creds=tester:{PASSWORD}", blob, want=OK).raw == DATA
    blob = f"blob://{private.address}/app@{DIGEST}"
    certs = certificates(tmp_path / "certs", private.authority)
    for option in ("--tls-verify=false", f"--cert-dir={certs}"):
        assert box.run("fetchd", "get", "--raw", option, blob, want=OK).raw == DATA
    one_line(box.run("fetchd", "get", "--tls-verify=maybe", blob, want=USAGE).stderr, "'maybe' for '--tls-verify'")
    one_line(box.run("fetchd", "get", "--raw", "--plain-http", "--tls-verify", blob, want=USAGE).stderr, "exclude each other")


# ── the wire ──

TAGS = {"tls_verify": 1, "plain_http": 2, "authorities": 3, "client_cert": 4, "client_key": 5, "retries": 6, "rate": 7, "owner": 8,
        "anonymous": 9, "basic": 10, "identity": 11}


def policy_of(**fields):
    """The bytes of a policy."""
    parts = []
    for name, value in sorted(fields.items(), key=lambda field: TAGS[field[0]]):
        value = value.encode() if isinstance(value, str) else value
        parts.append(bytes([TAGS[name]]) + len(value).to_bytes(2, "big") + value)
    return b"".join(parts)


def test_member_cannot_send_a_malformed_policy(box):
    source = "https://host.invalid/x"
    with box.up(), Member(box.runtime) as member:
        for policy in (b"\0", b"\1\0\1\2", b"\1\0\1", policy_of(basic="not base64!"), policy_of(basic="YTpi\r\nX: y"),
                       policy_of(client_cert="x"), policy_of(plain_http=b"\1") * 2, policy_of(rate=b"\0" * 8, owner=b"\0" * 8),
                       policy_of(identity="a b")):
            kind, answer = member.request("GET", ref=source, source=source, size=wire.SIZE_UNKNOWN, policy=policy)
            assert kind == "ERROR" and answer["text"] == "the policy of the source is malformed", policy
        assert member.request("NEXT")[0] == "ERROR"


def test_member_cannot_fill_memory_with_policies(box, bad):
    sources = [bad.url(f"/silent/{n}") for n in range(33)]
    for n in range(33):
        bad.on(f"/silent/{n}", badserver.silent())
    with box.up(), Member(box.runtime) as member:
        answers = [member.request("GET", ref=source, source=source, size=wire.SIZE_UNKNOWN, policy=policy_of(retries=n.to_bytes(8, "big")))
                   for n, source in enumerate(sources, 1)]
        assert [kind for kind, _ in answers] == ["RECORD"] * 32 + ["ERROR"]
        assert "32 different policies" in answers[-1][1]["text"]
        member.request("ABORT", ref=sources[0])
        again = dict(ref=sources[32], source=sources[32], size=wire.SIZE_UNKNOWN, policy=policy_of(retries=(99).to_bytes(8, "big")))
        wait_for("room", lambda: member.request("GET", **again)[0] == "RECORD")
        for source in sources:
            member.request("ABORT", ref=source)


def test_credentials_do_not_outlive_ingestd(box, bad):
    """After a restart the transfer rests and says why, no file has the credentials, and the same request continues it."""
    source, secret = bad.url("/silent"), basic("ann", PASSWORD)
    bad.on("/silent", badserver.silent())
    get = dict(ref=DIGEST, source=source, expected=DIGEST, size=len(DATA))
    with box.up():
        with Member(box.runtime) as member:
            assert member.request("GET", policy=policy_of(basic=secret), **get)[0] == "RECORD"
        no_secret(box, PASSWORD, secret)
        assert "policy=credentials\n" in (box.ingest(DIGEST) / "transfer").read_text()
        box.kill_stage("ingestd")
        wait_for("the stages to answer", lambda: box.answers("ingestd"))
        told = box.status(DIGEST)
        assert (told["state"], told["error"]) == ("waiting", "needs credentials; run it again")
        with Member(box.runtime) as member:
            assert member.request("GET", policy=policy_of(retries=(3).to_bytes(8, "big")), **get)[0] == "RECORD"
        box.kill_stage("ingestd")
        wait_for("the stages to answer", lambda: box.answers("ingestd"))
        assert box.status(DIGEST)["error"] == "needs the options of its command; run it again"
        with Member(box.runtime) as member:
            member.request("ABORT", ref=DIGEST)


def test_pull_survives_a_restart_of_ingestd(box, locked, bad):
    """The command still has the credentials and sends them again."""
    users = Users(bad, DATA, "ann")
    reached, goes = threading.Event(), threading.Event()

    def half(x):
        badserver.cut_short(DATA, len(DATA) // 2)(x)

    def held(x):
        reached.set()
        goes.wait()
        badserver.whole(DATA)(x)

    bad.on(f"/v2/app/blobs/{DIGEST}", users.guard(half), users.guard(held), users.guard(badserver.whole(DATA)))
    with box.up():
        process = box.popen("sluice", "pull", "--creds", "ann:password-of-ann", users.image("1"))
        box.wait_size(DIGEST, len(DATA) // 4, process)
        box.kill_stage("ingestd")
        goes.set()
        box.finish(process, OK)
    no_secret(box, "password-of-ann", basic("ann", "password-of-ann"))
