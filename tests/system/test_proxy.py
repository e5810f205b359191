# SPDX-License-Identifier: Apache-2.0
"""Proxies from the environment: which requests use them, and that no server gets what is for another."""

import base64
import json
import os
import socket
import subprocess

import pytest

import badserver
from conftest import BINDIR, MIB
from images import digest_of
from proxy import Proxy
from servers import own_address
from stages import AGAIN, BAD_DATA, DENIED, OK, UNAVAILABLE, memory_peak, one_line

DATA = os.urandom(300_000)
DIGEST = digest_of(DATA)
PASSWORD = "proxy-user:canary-proxy"
BASIC = base64.b64encode(b"tester:canary-origin").decode()


@pytest.fixture(autouse=True)
def through_the_proxy(home, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "<-loopback>")  # the servers are on this machine


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
    """The proxy gets the target but not its password. The origin does not get the proxy's password."""
    with badserver.BadServer(tls=authority.context()) as server, Proxy(PASSWORD) as proxy:
        configure(box, server, authority)
        monkeypatch.setenv("https_proxy", f"http://{PASSWORD}@{proxy.address}")
        fetch(box, server)
        assert proxy.heads and all(head.startswith(f"CONNECT {server.address} ") for head in proxy.heads)
        assert all("\r\nAuthorization" not in head and BASIC not in head for head in proxy.heads)
        assert all("Proxy-Authorization" not in r.headers for r in server.requests)
        assert server.requests[1].headers["Authorization"] == f"Basic {BASIC}"


def test_no_proxy(box, bad, monkeypatch):
    """A direct request does not carry the proxy's password."""
    configure(box, bad)
    with Proxy(PASSWORD) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{PASSWORD}@{proxy.address}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(box, bad)
        assert not proxy.heads
    assert len(bad.requests) == 2 and all("Proxy-Authorization" not in r.headers for r in bad.requests)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_refuses_the_password(box, bad, authority, monkeypatch, scheme):
    with badserver.BadServer(tls=authority.context()) as tls, Proxy(PASSWORD) as proxy:
        server = tls if scheme == "https" else bad
        configure(box, server, authority if scheme == "https" else None)
        monkeypatch.setenv(f"{scheme}_proxy", f"http://wrong:canary-wrong@{proxy.address}")
        failed = fetch(box, server, want=DENIED)
        one_line(failed.stderr, server.address, "407", "proxy")
        assert not server.requests and len(proxy.heads) == 1 and "canary" not in failed.stderr


def test_unreachable_proxy(box, bad, monkeypatch):
    configure(box, bad)
    with Proxy() as gone:
        address = gone.address
    monkeypatch.setenv("http_proxy", f"http://{address}")
    one_line(fetch(box, bad, want=UNAVAILABLE).stderr, bad.address, "no connection to the proxy", "refused", address.replace(":", " port "))
    assert not bad.requests


INVALID = [f"ftp://{PASSWORD}@127.0.0.1:1", f"socks9://{PASSWORD}@127.0.0.1", f"http://{PASSWORD}@", f"http://{PASSWORD}@a:99999",
           f"http://{PASSWORD}/b@127.0.0.1:1", f"http://{PASSWORD}@[::1", f"://{PASSWORD}@127.0.0.1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_invalid_proxy_is_not_quoted(box, bad, authority, monkeypatch, scheme):
    """Its password is in no message, log, status or file."""
    with badserver.BadServer(tls=authority.context()) as tls:
        server = tls if scheme == "https" else bad
        configure(box, server, authority if scheme == "https" else None)
        for url in INVALID:
            monkeypatch.setenv(f"{scheme}_proxy", url)
            failed = box.run("sluice", "fetch", server.url("/blob"), "--digest", DIGEST)
            one_line(failed.stderr, server.address, f"{scheme}_proxy")
            shown = [failed.stdout, failed.stderr, box.logs(), *(path.read_text() for path in box.store.rglob("transfer"))]
            assert failed.returncode == UNAVAILABLE and not any("canary" in text for text in shown), (url, shown)
        assert not server.requests


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
def test_endless_proxy_answer_is_bounded(box, bad, authority, monkeypatch, scheme, kind):
    """An endless answer, to CONNECT or to a plain request, is bounded in time and memory."""
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
            assert "/san/" in f"{BINDIR}/" or memory_peak(box.stage("fetchd")) < 8 * MIB
        assert proxy.heads and not server.requests


# ── where a remote server may redirect to; behind a proxy, every name is remote ──


def elsewhere(box, proxy, bad, monkeypatch, location):
    """Fetch from a remote server that redirects."""
    bad.on("/blob", badserver.status(307, {"Location": location}))
    proxy.names["elsewhere.test:8080"] = bad.address
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    box.configure("[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n")
    return box.run("sluice", "fetch", "http://elsewhere.test:8080/blob", "--digest", DIGEST)


def in_hosts(box, address, name):
    """Make the name resolve to this address for programs of the box."""
    hosts = box.directory / "hosts"
    hosts.write_text(f"{address} {name}\n")
    box.prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"']
    if subprocess.run([*box.prefix, "true"], capture_output=True).returncode:
        pytest.skip("needs root and mounts, to replace /etc/hosts")


def refused(failed):
    assert failed.returncode == BAD_DATA, failed.stderr
    one_line(failed.stderr, "elsewhere.test", "this machine or its link")


@pytest.mark.parametrize("name", [None, "inner.test"], ids=["by address", "by name"])
def test_redirect_to_an_address_of_this_machine_is_refused(box, bad, monkeypatch, name):
    """An address of a network interface is treated like loopback."""
    host = own_address()
    if not host or host.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    if name:
        in_hosts(box, host, name)
    with badserver.BadServer(address=host) as own, Proxy() as proxy:
        own.on("/blob", badserver.whole(DATA))
        monkeypatch.setenv("no_proxy", name or host)
        port = own.address.rpartition(":")[2]
        refused(elsewhere(box, proxy, bad, monkeypatch, f"http://{name or host}:{port}/blob"))
        assert own.connections == 0 and len(bad.requests) == 1


def test_redirect_to_the_port_of_the_proxy_is_refused(box, bad, monkeypatch):
    """The proxy may be on this machine. A redirect that bypasses it must not reach its port."""
    in_hosts(box, "127.0.0.1", "inner.test")
    with Proxy() as proxy:
        monkeypatch.setenv("no_proxy", "inner.test")
        refused(elsewhere(box, proxy, bad, monkeypatch, f"http://inner.test:{proxy.address.rpartition(':')[2]}/blob"))
        assert len(proxy.heads) == 1 and len(bad.requests) == 1


# Our own resolver takes some of them for names, but a proxy may have another one.
FORMS = ["127.0.0.1.", "127.1", "0x7f000001.", "0177.0.0.1.", "127.0.0.1%2e", "127.1..", "1%32%37.1", "[::ffff:127.0.0.1]", "0",
         "169.254.169.254.", "0xa9fea9fe.", "127.0.0.1.5", "ip6-localhost", "localhost.localdomain.", "\uff11\uff12\uff17.1"]


@pytest.mark.parametrize("host", FORMS)
def test_redirect_through_the_proxy_to_a_local_address_is_refused(box, bad, monkeypatch, host):
    with Proxy() as proxy:
        failed = elsewhere(box, proxy, bad, monkeypatch, f"http://{host}/blob")
        assert failed.returncode != OK and len(proxy.heads) == 1, proxy.heads
        one_line(failed.stderr, "elsewhere.test")


def test_redirect_through_the_proxy_to_any_name_is_followed(box, bad, monkeypatch):
    """Only the proxy can know where that leads."""
    with Proxy() as proxy, badserver.BadServer() as inner:
        inner.on("/blob", badserver.whole(DATA))
        proxy.names["inner.test"] = inner.address
        followed = elsewhere(box, proxy, bad, monkeypatch, "http://inner.test/blob")
        assert followed.returncode == OK and len(inner.requests) == 1, followed.stderr


METADATA = ["fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "169.254.169.254", "64:ff9b:1::7f00:1", "64:ff9b::a9fe:a9fe",
            "2001:0:5db8:d822::80ff:fffe"]


@pytest.mark.parametrize("address", METADATA)
def test_redirect_to_a_metadata_service_is_refused(box, bad, monkeypatch, address):
    """Through a name that resolves to it."""
    in_hosts(box, address, "inner.test")
    if ":" in address and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with Proxy() as proxy:
        monkeypatch.setenv("no_proxy", "inner.test")
        refused(elsewhere(box, proxy, bad, monkeypatch, "http://inner.test/blob"))


def test_redirect_into_a_private_network_needs_tls(box, bad, monkeypatch):
    """Or a section in the configuration that names the host."""
    in_hosts(box, "10.255.255.1", "inner.test")
    with Proxy() as proxy:
        monkeypatch.setenv("no_proxy", "inner.test")
        failed = elsewhere(box, proxy, bad, monkeypatch, "http://inner.test/blob")
        assert failed.returncode == BAD_DATA, failed.stderr
        one_line(failed.stderr, "elsewhere.test", "a private network", "[registry HOST]")


def test_no_proxy_takes_ports_blocks_and_blanks(box, bad, monkeypatch):
    """As other tools do. Each of them bypasses the proxy."""
    bad.on("/blob", badserver.whole(DATA))
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        for value in (bad.address, "127.0.0.0/8", " 10.0.0.0/8 , 127.0.0.1 "):
            monkeypatch.setenv("no_proxy", f"<-loopback> {value}")
            box.run("fetchd", "get", "--raw", bad.url("/blob"), want=OK)
            assert not proxy.heads, value
