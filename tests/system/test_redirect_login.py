# SPDX-License-Identifier: Apache-2.0
"""A redirect to another registry, which asks for a login of its own (lscr.io to ghcr.io, for example)."""

import base64
import json
import os

import pytest

import badserver
from conftest import MIB, settled
from images import MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import own_address, wait_for
from stages import DENIED, one_line
from tokens import Realm

pytestmark = pytest.mark.usefixtures("home")

DATA = os.urandom(4 * MIB)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
QUICK = "[fetchd]\nmax_retries = 8\nretry_delay = 10ms\n"
FIRST, SECOND = (base64.b64encode(text.encode()).decode() for text in ("first:canary-first", "second:canary-second"))


@pytest.fixture
def other():
    with badserver.BadServer() as server:
        yield server


def configure(box, auths, more=""):
    path = box.directory / "auth.json"
    path.write_text(json.dumps({"auths": {host: {"auth": auth} for host, auth in auths.items()}}))
    box.configure(QUICK.replace("[fetchd]\n", f"[fetchd]\nauth_file = {path}\n{more}"))


def fetch(box, server, want=0):
    return box.run("sluice", "fetch", server.url("/blob"), "--digest", DIGEST, "--size", str(len(DATA)), want=want)


def by_password(auth, behaviour):
    def behave(x):
        right = x.headers.get("Authorization") == f"Basic {auth}"
        (behaviour if right else badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}))(x)

    return behave


def sends_to(server, path="/blob"):
    return badserver.status(307, {"Location": server.url(path)})


def shown(server):
    """The Authorization of each request that had one."""
    return [r.headers["Authorization"] for r in server.requests if "Authorization" in r.headers]


def test_registry_that_sends_everything_to_another(box, bad, other):
    """One anonymous token serves the whole pull, and the first registry never sees it."""
    realm = Realm(other)
    layers = [os.urandom(1000) for _ in range(8)]
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers])
    contents = {"manifests/1": badserver.whole(manifest, {"Content-Type": MANIFEST})}
    contents |= {f"blobs/{digest_of(blob)}": badserver.whole(blob) for blob in (config, *layers)}
    for name, behaviour in contents.items():
        bad.on(f"/v2/app/{name}", sends_to(other, f"/v2/app/{name}"))
        other.on(f"/v2/app/{name}", realm.guard(behaviour))
    box.sluice("pull", f"{bad.address}/app:1")
    assert len(realm.asked()) == 1 and not shown(bad)
    assert all("Authorization" not in r.headers for r in realm.asked())


@pytest.mark.parametrize("first", ["password", "token"])
@pytest.mark.parametrize("second", ["password", "token"])
def test_each_registry_gets_its_own(box, bad, other, first, second):
    realms = Realm(bad), Realm(other)
    leave, give = sends_to(other), badserver.whole(DATA)
    bad.on("/blob", by_password(FIRST, leave) if first == "password" else realms[0].guard(leave))
    other.on("/blob", by_password(SECOND, give) if second == "password" else realms[1].guard(give))
    configure(box, {bad.address: FIRST, other.address: SECOND})
    fetch(box, bad)
    for server, auth in ((bad, FIRST), (other, SECOND)):
        assert shown(server) and all(f"Basic {auth}" == text or text.startswith("Bearer ") for text in shown(server))
    realm = realms[1]
    assert all(r.headers["Authorization"] == f"Basic {SECOND}" for r in realm.asked())
    if first == second == "token":
        bearer = [{text for text in shown(s) if text.startswith("Bearer ")} for s in (bad, other)]
        assert bearer[0] == {"Bearer canary-token-1"} and bearer[1] <= realm.good


def test_ranges_show_the_login_of_the_target(box, bad, other):
    """They go where the stream was sent, with what it was let in by, and ask for no login of their own."""
    realm = Realm(other)

    def behave(x):
        if x.start is not None:
            badserver.whole(DATA)(x)
            return
        x.head(200, {"Content-Length": len(DATA)})
        x.body(DATA[:MIB])
        wait_for("the ranges", lambda: sum(r.range != "" for r in other.asked("/blob")) >= 2 or other.released.is_set())
        x.body(DATA[MIB:])

    bad.on("/blob", sends_to(other))
    other.on("/blob", realm.guard(behave))
    configure(box, {}, "ranges = 4\nrange_min = 1M\n")
    fetch(box, bad)
    assert len(realm.asked()) == 1 and not shown(bad)
    assert len([r for r in other.asked("/blob") if "Authorization" not in r.headers]) == 1


def test_token_of_the_target_is_revoked_mid_transfer(box, bad, other):
    """It costs one new token, and no byte twice."""
    realm = Realm(other)

    def cut_and_revoke(x):
        badserver.cut_short(DATA, HALF)(x)
        realm.revoke()

    bad.on("/blob", sends_to(other))
    other.on("/blob", realm.knock, realm.guard(cut_and_revoke), realm.guard(None), realm.guard(badserver.whole(DATA)))
    configure(box, {}, "ranges = 1\n")
    fetch(box, bad)
    assert [r.range for r in other.asked("/blob")] == ["", "", *[f"bytes={HALF}-{len(DATA) - 1}"] * 2]
    assert len(realm.asked()) == 2
    settled(box)


def test_target_that_refuses_its_own_token(box, bad, other):
    """The registry is asked for another target a few times, then the message says who refused."""
    realm = Realm(other)
    bad.on("/blob", sends_to(other))
    other.on("/blob", badserver.status(401, {"WWW-Authenticate": realm.challenge()}))
    configure(box, {})
    one_line(fetch(box, bad, want=DENIED).stderr, bad.address, other.address, "401")
    assert 2 <= len(bad.asked("/blob")) <= 4 and len(realm.asked()) <= 4 and not shown(bad)


def test_target_without_credentials_for_it(box, bad, other):
    """Those of the first registry are not tried."""
    bad.on("/blob", by_password(FIRST, sends_to(other)))
    other.on("/blob", badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}))
    configure(box, {bad.address: FIRST})
    one_line(fetch(box, bad, want=DENIED).stderr, other.address, "no credentials for")
    assert not shown(other)


def test_password_of_the_target_needs_tls(box, bad):
    """It is not sent in the clear through a network because a registry says so."""
    host = own_address()
    if not host or host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with badserver.BadServer(address=host) as other:
        bad.on("/blob", sends_to(other))
        other.on("/blob", by_password(SECOND, badserver.whole(DATA)))
        configure(box, {other.address: SECOND})
        one_line(fetch(box, bad, want=DENIED).stderr, other.address, "not sent without TLS")
        assert not shown(other)
