# SPDX-License-Identifier: Apache-2.0
"""TLS with a private CA; credentials of one origin are not sent to another."""

import base64
import json
import os
import shutil
import signal
import ssl
import threading
import warnings

import pytest

import badserver
from authority import Authority
from conftest import settled
from images import MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import Registry, loopback_names, own_address, wait_for
from stages import BAD_DATA, CONFIG, DENIED, NOT_FOUND, OK, UNAVAILABLE, catches, one_line
from tokens import Realm

DATA = os.urandom(300_000)
DIGEST = digest_of(DATA)
BASIC = base64.b64encode(b"tester:canary-secret").decode()
QUICK = "[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n"


@pytest.fixture(autouse=True)
def planted_netrc(home):
    """Plant a ~/.netrc that must not be used."""
    (home / ".netrc").write_text(
        "".join(f"machine {host} login canary password canary-netrc\n" for host in ("127.0.0.1", "localhost"))
        + "default login canary password canary-netrc\n"
    )


def configure(box, *sections, auths=None):
    text = QUICK
    if auths:
        path = box.directory / "auth.json"
        path.write_text(json.dumps({"auths": {host: {"auth": BASIC} for host in auths}}))
        text += f"auth_file = {path}\n"
    for host, *lines in sections:
        text += f"[registry {host}]\n" + "".join(f"{line}\n" for line in lines)
    box.configure(text)


def fetch(box, server, want=0, path="/blob"):
    return box.run("sluice", "fetch", server.url(path), "--digest", DIGEST, want=want)


# ── TLS ──


def test_registry_with_a_private_ca(box, tmp_path, authority):
    """docker-registry with TLS and a password."""
    trust = ssl.create_default_context(cafile=authority.certificate)
    with Registry(tmp_path / "registry", password="canary-secret", tls=authority.issue("registry")) as registry:
        pusher = Pusher(registry.address, "app", {"Authorization": f"Basic {BASIC}"}, tls=trust)
        pusher.image("1", [pusher.blob_bytes(DATA)])
        reference = f"{registry.address}/app:1"
        configure(box, (registry.address, "plain_http = no"), auths=[registry.address])
        failed = box.run("sluice", "pull", reference, want=UNAVAILABLE)
        one_line(failed.stderr, registry.address, "TLS")
        box.gone()
        configure(box, (registry.address, "plain_http = no", f"ca_file = {authority.certificate}"), auths=[registry.address])
        box.sluice("pull", reference)
    settled(box)


BAD_CERTIFICATES = {"expired": {"expired": True}, "of another host": {"names": "DNS:other.example"}}


@pytest.mark.parametrize("kind", BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES)
def test_bad_certificate(box, authority, kind):
    with badserver.BadServer(tls=authority.context("bad", **kind)) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        assert not server.requests


def test_self_signed_certificate_is_refused_unless_configured(box, authority):
    """Refused, unless the registry's section names this certificate."""
    pair = authority.self_signed("alone")
    with badserver.BadServer(tls=authority.context(pair=pair)) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS", "self-signed")
        assert not server.requests
        box.gone()
        configure(box, (server.address, f"ca_file = {pair[0]}"))
        fetch(box, server)


CUT_HANDSHAKES = {
    "nothing": b"",
    "half a record": b"\x16\x03\x03\x00\x7a\x02\x00\x00",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "no TLS": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


class CutOff:
    """Replaces an ssl context: reads the ClientHello, sends `said` and disconnects."""

    def __init__(self, said):
        self.said, self.heard = said, []

    def wrap_socket(self, connection, server_side):
        self.heard.append(connection.recv(1 << 16)[:3])
        connection.sendall(self.said)
        raise ConnectionError


@pytest.mark.parametrize("said", CUT_HANDSHAKES.values(), ids=CUT_HANDSHAKES)
def test_interrupted_handshake_is_retried(box, said):
    """And never without TLS."""
    tls = CutOff(said)
    with badserver.BadServer(tls=tls) as server:
        configure(box)
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        assert tls.heard == [b"\x16\x03\x01"] * 2 and not server.requests


def test_body_without_close_notify_is_checked_by_digest(box, authority):
    """
    Anybody on the path can end a connection. libcurl accepts that as the end of a body without a length, even without
    close_notify. The digest shows that the body is incomplete.
    """
    half = len(DATA) // 2
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", lambda x: x.rest(DATA, send=half), badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        fetch(box, server)
        assert [r.range for r in server.requests] == ["", ""]
        server.on("/blob", lambda x: x.rest(DATA[:half]))
        other = box.run("sluice", "fetch", server.url("/blob"), "--digest", digest_of(DATA + b"x"), want=BAD_DATA)
        one_line(other.stderr, digest_of(DATA[:half]))
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


def test_ca_file_replaces_all_other_cas(box, authority, tmp_path):
    """And does so for one registry only."""
    other = Authority(tmp_path / "other")
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {other.certificate}"), ("a.example", f"ca_file = {authority.certificate}"))
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        assert not server.requests


def test_skipped_verification_is_logged(box, authority):
    with badserver.BadServer(tls=authority.context(expired=True)) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, "skip_verify = yes"))
        with box.up():
            fetch(box, server)
            fetch(box, server)
        told = [line for line in box.logs().splitlines() if "NOT VERIFIED" in line]
        assert len(told) == 2 and all(server.address in line for line in told), "once at start, once at first use"


def test_client_certificate(box, authority):
    certificate, key = authority.issue("client")
    with badserver.BadServer(tls=authority.require(authority.context())) as server:
        server.on("/blob", badserver.whole(DATA))
        trust = f"ca_file = {authority.certificate}"
        configure(box, (server.address, trust))
        assert fetch(box, server, want=None).returncode != 0
        box.gone()
        assert not server.requests
        configure(box, (server.address, trust, f"client_cert = {certificate}", f"client_key = {key}"))
        fetch(box, server)


def test_old_tls_is_refused(box, authority, monkeypatch):
    """Even if OpenSSL's configuration allows it."""
    openssl = box.directory / "openssl.cnf"
    openssl.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
                       "MinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n")
    monkeypatch.setenv("OPENSSL_CONF", str(openssl))
    context = authority.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with badserver.BadServer(tls=context) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        assert not server.requests
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        fetch(box, server)


def test_key_log_is_not_written(box, authority, monkeypatch):
    keys = box.directory / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        fetch(box, server)
    assert not keys.exists()


# ── a reload reaches all state from the old configuration and from the files that it names ──


def reload(box, told="configuration reloaded"):
    fetchd = box.stage("fetchd")
    wait_for("fetchd to listen to signals", lambda: catches(fetchd, signal.SIGHUP))
    before = box.logs().count(told)
    os.kill(fetchd, signal.SIGHUP)
    wait_for(f"fetchd to say '{told}'", lambda: box.logs().count(told) > before)


def fetch_new(box, server, want=0):
    """Fetch content that is not stored yet."""
    data = os.urandom(1000)
    server.on("/new", badserver.whole(data))
    return box.run("sluice", "fetch", server.url("/new"), "--digest", digest_of(data), want=want)


TLS_VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.mark.parametrize("version", TLS_VERSIONS.values(), ids=TLS_VERSIONS)
def test_reload_with_another_ca(box, authority, tmp_path, version):
    """
    The ca_file is replaced. Certificates of the old CA are no longer trusted, not even over an open connection or a
    session that could be resumed. Certificates of the new CA are.
    """
    trusted, other = tmp_path / "trusted.pem", Authority(tmp_path / "other")
    shutil.copy(authority.certificate, trusted)
    former, renewed = authority.context(), other.context()
    former.maximum_version = version
    with badserver.BadServer(tls=former) as server:
        configure(box, (server.address, f"ca_file = {trusted}"))
        with box.up():
            fetch_new(box, server)
            fetch_new(box, server)
            assert server.connections == 1
            shutil.copy(other.certificate, trusted)
            reload(box)
            one_line(fetch_new(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
            assert len(server.requests) == 2
            server.server.tls = renewed
            fetch_new(box, server)


def test_reload_without_a_ca(box, authority, tmp_path):
    """The ca_file is missing, which is an error; then its line is. In both cases the old CA is no longer trusted."""
    trusted = tmp_path / "certificates/trusted.pem"
    trusted.parent.mkdir()
    shutil.copy(authority.certificate, trusted)
    with badserver.BadServer(tls=authority.context()) as server:
        configure(box, (server.address, f"ca_file = {trusted}"))
        with box.up():
            fetch_new(box, server)
            trusted.unlink()
            reload(box, told="keeping the old configuration")
            one_line(fetch_new(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
            shutil.copy(authority.certificate, trusted)
            reload(box)
            fetch_new(box, server)
            fetch(box, server, want=NOT_FOUND, path="/none")  # keeps the log from folding two equal lines
            configure(box, (server.address, "max_retries = 0"))
            reload(box)
            one_line(fetch_new(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")


def test_reload_with_another_client_certificate(box, authority, tmp_path):
    """The files are replaced in place, as a renewal does."""
    shown, seen = tmp_path / "shown.pem", []

    def behave(x):
        names = dict(field[0] for field in x.handler.connection.getpeercert()["subject"])
        seen.append(names["commonName"])
        badserver.whole(b"x" * len(seen))(x)

    def show(name):
        certificate, key = authority.issue(name)
        shown.write_bytes(certificate.read_bytes() + key.read_bytes())

    with badserver.BadServer(tls=authority.require(authority.context())) as server:
        server.on("/blob", behave)
        show("first")
        configure(box, (server.address, f"ca_file = {authority.certificate}", f"client_cert = {shown}"))
        with box.up():
            for number, name in enumerate(("first", "second"), 1):
                if number > 1:
                    show(name)
                    reload(box)
                box.run("sluice", "fetch", server.url("/blob"), "--digest", digest_of(b"x" * number), want=0)
        assert seen == ["first", "second"]


def test_reload_in_mid_transfer(box, authority, tmp_path):
    """A running request keeps its connection; the next request uses the new configuration."""
    trusted, other = tmp_path / "trusted.pem", Authority(tmp_path / "other")
    shutil.copy(authority.certificate, trusted)
    half = len(DATA) // 2

    def break_off(x):
        x.rest(DATA, len(DATA), send=half, end=False)
        x.handler.wfile.flush()
        assert reloaded.wait(60)
        x.hang_up()

    reloaded = threading.Event()
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", break_off, badserver.whole(DATA))
        configure(box, (server.address, f"ca_file = {trusted}"))
        with box.up():
            running = box.popen("sluice", "fetch", server.url("/blob"), "--digest", DIGEST)
            wait_for("half of it", lambda: box.size(DIGEST) > half // 2)
            shutil.copy(other.certificate, trusted)
            reload(box)
            server.server.tls = other.context()
            reloaded.set()
            box.finish(running, want=0)
        assert [r.range for r in server.requests][0] == "" and len(server.requests) == 2


def test_reload_drops_credentials(box, bad):
    """Neither the password nor a token obtained with it is used again."""
    realm = Realm(bad)

    def with_password(behaviour):
        def behave(x):
            (behaviour if x.headers.get("Authorization") == f"Basic {BASIC}" else badserver.status(401))(x)

        return behave

    bad.on(realm.path, with_password(realm.give))
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    bad.on("/other", realm.guard(badserver.whole(b"x")))
    configure(box, auths=[bad.address])
    with box.up():
        fetch(box, bad)
        (box.directory / "auth.json").write_text("{}")
        reload(box)
        box.run("sluice", "fetch", bad.url("/other"), "--digest", digest_of(b"x"), want=DENIED)
    assert realm.made == 1 and not [r for r in bad.asked("/other") if "Authorization" in r.headers]


def test_timeouts_of_one_registry(box, bad):
    box.configure(f"{QUICK}stall_timeout = 1h\n[registry {bad.address}]\nstall_timeout = 2s\n")
    bad.on("/blob", badserver.silent(), badserver.whole(DATA))
    fetch(box, bad)


@pytest.mark.parametrize("line, subject", [
    ("ca_file = /does/not/exist", "/does/not/exist"), ("client_key = /etc/hostname", "a.example"),
    ("skip_verify = perhaps", "perhaps"),
])
def test_wrong_configuration(box, line, subject):
    configure(box, ("a.example", line))
    one_line(box.run("fetchd", "get", "--raw", "https://a.example/x", want=CONFIG).stderr, subject)


def test_ca_file_applies_to_the_realm(box, authority):
    """The realm has no section of its own, so the registry's ca_file applies."""
    with badserver.BadServer(tls=authority.context()) as server, badserver.BadServer(tls=authority.context()) as other:
        realm = Realm(other)
        server.on("/blob", realm.guard(badserver.whole(DATA)))
        configure(box, (server.address, f"ca_file = {authority.certificate}"), auths=[server.address])
        fetch(box, server)
        assert [r.headers["Authorization"] for r in realm.asked()] == [f"Basic {BASIC}"]


# ── other origins ──


def elsewhere(server, authority, kind):
    """(another server, the URL of /other there); its port, host or scheme differs from that of `server`."""
    other = badserver.BadServer(tls=authority.context() if kind == "scheme" else None)
    url = other.url("/other")
    if kind == "host":
        url = url.replace("127.0.0.1", "localhost")
    return other, url


@pytest.mark.parametrize("kind", ["port", "host", "scheme"])
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("pass_kind", ["basic", "bearer"])
def test_redirect_drops_credentials(box, bad, authority, pass_kind, code, kind):
    other, url = elsewhere(bad, authority, kind)
    with other:
        realm = Realm(bad)
        leave = badserver.status(code, {"Location": url, "Set-Cookie": "canary=cookie"})

        def by_password(x):
            right = x.headers.get("Authorization") == f"Basic {BASIC}"
            (leave if right else badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}))(x)

        bad.on("/blob", by_password if pass_kind == "basic" else realm.guard(leave))
        other.on("/other", badserver.cut_short(DATA, 1000), badserver.whole(DATA))
        configure(box, (other.address, f"ca_file = {authority.certificate}"), auths=[bad.address, other.address])
        fetch(box, bad)
        assert len(other.requests) == 2
        for request in other.requests:
            assert "canary" not in str(request) and BASIC not in str(request)
            assert not {"authorization", "cookie", "proxy-authorization"} & {name.lower() for name in request.headers}


@pytest.fixture
def outside(box):
    """A server at a non-loopback address of this machine; it plays a server in a private network."""
    host = own_address()
    if not host or host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with badserver.BadServer(address=host) as server:
        yield server


INNER = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "a name"]


@pytest.mark.parametrize("host", INNER)
def test_redirect_to_a_local_address_is_refused(box, outside, host):
    """A remote server cannot redirect to this machine, under any name. No connection is made."""
    name = next(loopback_names(), None) if host == "a name" else host
    if not name:
        pytest.skip("this machine has no name for loopback besides localhost")
    with badserver.BadServer() as inner:
        port = inner.address.rpartition(":")[2]
        inner.on("/blob", badserver.whole(DATA))
        outside.on("/blob", badserver.status(307, {"Location": f"http://{name}:{port}/blob"}))
        configure(box)
        failed = fetch(box, outside, want=BAD_DATA)
        one_line(failed.stderr, outside.address, "this machine or ", "link")
        assert inner.connections == 0 and len(outside.requests) == 1


def test_redirect_does_not_reuse_a_local_connection(box, outside):
    """The open connection was made for a user who named that host. It must not serve a redirect to it."""
    name = next(loopback_names(), None)
    if not name:
        pytest.skip("this machine has no name for loopback besides localhost")
    with badserver.BadServer(address="::1" if name.startswith("ip6") else "127.0.0.1") as inner:
        url = f"http://{name}:{inner.server.server_address[1]}"
        inner.on("/typed", badserver.whole(b"typed"))
        inner.on("/blob", badserver.whole(DATA))
        outside.on("/blob", badserver.status(307, {"Location": f"{url}/blob"}))
        configure(box)
        with box.up():
            box.sluice("fetch", f"{url}/typed", "--digest", digest_of(b"typed"))
            fetch(box, outside, want=BAD_DATA)
        assert [r.path for r in inner.requests] == ["/typed"] and inner.connections == 1


def test_redirect_within_a_private_network(box, outside):
    """Registry and object store are both in it. Redirects work, over one connection to the store."""
    with badserver.BadServer(address=outside.address.rpartition(":")[0]) as store:
        blobs = [os.urandom(1000) for _ in range(5)]
        with box.up():
            for number, blob in enumerate(blobs):
                outside.on(f"/{number}", badserver.status(307, {"Location": store.url(f"/{number}")}))
                store.on(f"/{number}", badserver.whole(blob))
                box.sluice("fetch", outside.url(f"/{number}"), "--digest", digest_of(blob))
        assert len(store.requests) == 5 and store.connections == 1


def test_redirect_target_cannot_request_credentials(box, bad):
    """The target of a redirect requests a password or a token, and does not get what we have for the registry."""
    with badserver.BadServer() as other:
        realm = Realm(other)
        bad.on("/blob", badserver.status(307, {"Location": other.url("/other")}))
        other.on("/other", badserver.status(401, {"WWW-Authenticate": f'Basic realm="x", {realm.challenge()}'}))
        configure(box, auths=[bad.address])
        assert fetch(box, bad, want=None).returncode != 0
        assert realm.asked() and all(BASIC not in str(r.headers) for r in other.requests)


def test_redirect_from_https_to_http_is_refused(box, bad, authority):
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.status(302, {"Location": bad.url("/blob")}))
        configure(box, (server.address, f"ca_file = {authority.certificate}"))
        one_line(fetch(box, server, want=BAD_DATA).stderr, "https to http")
        assert not bad.requests


@pytest.mark.parametrize("media_type, without", [
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OK),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OK),
    ("application/vnd.oci.image.layer.v1.tar", NOT_FOUND),
])
def test_foreign_urls_are_not_followed(box, bad, media_type, without):
    """
    The `urls` of a layer name a server that requests a token (CVE-2020-15157). They are not followed, whether the
    registry has the layer or not. A foreign layer that it does not have is omitted.
    """
    with badserver.BadServer() as other:
        realm = Realm(bad)
        other.on("/layer", badserver.status(401, {"WWW-Authenticate": f'Bearer realm="{other.url("/token")}"'}))
        manifest = manifest_blob(config_blob(), [descriptor(DATA, media_type, urls=[other.url("/layer")])])
        bad.on("/v2/app/manifests/1", realm.guard(badserver.whole(manifest, {"Content-Type": MANIFEST})))
        bad.on(f"/v2/app/blobs/{digest_of(config_blob())}", realm.guard(badserver.whole(config_blob())))
        bad.on(f"/v2/app/blobs/{DIGEST}", realm.guard(badserver.status(404)))
        configure(box, auths=[bad.address, other.address])
        box.run("sluice", "pull", f"{bad.address}/app:1", want=without)
        assert other.connections == 0 and not box.blob(DIGEST).exists()
        bad.on(f"/v2/app/blobs/{DIGEST}", realm.guard(badserver.whole(DATA)))
        box.sluice("pull", f"{bad.address}/app:1")
        assert other.connections == 0


def test_netrc_is_not_read(box, bad):
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}))
    assert fetch(box, bad, want=None).returncode != 0
    assert all("Authorization" not in r.headers for r in bad.requests)
