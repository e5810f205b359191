# SPDX-License-Identifier: Apache-2.0
"""Every outcome has one clear line, from the command and in `sluice status`: what, which host, until when."""

import os
import re

import pytest

import badserver
from images import digest_of
from servers import wait_for
from stages import AGAIN, BAD_DATA, DENIED, NOT_FOUND, UNAVAILABLE, one_line

DATA = os.urandom(50_000)
DIGEST = digest_of(DATA)
CONFIG = "[fetchd]\nmax_retries = 1\nretry_delay = 2ms\nretry_after_max = 2h\n[registry {}]\n"


# Each returns a URL, the server that it started or None, and additional configuration.


def answers(behave, more=""):
    def begin(bad, _):
        bad.on("/file", behave)
        return bad.url("/file"), None, more

    return begin


def refused(bad, _):
    with badserver.BadServer() as gone:
        return gone.url("/file"), None, ""


def tls(**how):
    def begin(_, authority):
        pair = authority.self_signed("alone") if how.get("alone") else authority.issue("server", **how)
        server = badserver.BadServer(tls=authority.context(pair=pair))
        return server.url("/file"), server, f"ca_file = {authority.certificate}\n"

    return begin


OUTCOMES = {  # how to cause it, the exit code, text of the line
    "no address": (lambda *_: ("http://no-such-host.invalid/file", None, ""), UNAVAILABLE, "does not resolve"),
    "refused": (refused, UNAVAILABLE, "nothing listens there, or a firewall blocks it"),
    "reset": (answers(badserver.cut_short(DATA, 0, reset=True)), AGAIN, "connection reset by peer"),
    "self-signed": (tls(alone=True), UNAVAILABLE, "TLS: the certificate is self-signed"),
    "expired": (tls(expired=True), UNAVAILABLE, "TLS: the certificate has expired"),
    "wrong host": (tls(names="DNS:elsewhere.example"), UNAVAILABLE, "TLS: the certificate is for another host"),
    "401": (answers(badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'})), DENIED, "no credentials for"),
    "403": (answers(badserver.status(403)), DENIED, "403 Forbidden"),
    "403 with a reason": (answers(badserver.status(403, {}, b'{"errors":[{"code":"DENIED","message":"geo-blocked"}]}')), DENIED,
                          "403 Forbidden: DENIED: geo-blocked"),
    "429 with a reason": (answers(badserver.status(429, {}, b'{"errors":[{"message":"your quota is used up"}]}')), AGAIN,
                          "429 Too Many Requests: your quota is used up"),
    "TLS is spoken there": (answers(badserver.status(400, {}, b"Client sent an HTTP request to an HTTPS server.")), BAD_DATA,
                            "set plain_http = no under [registry HOST] in sluice.conf"),
    "404": (answers(badserver.status(404)), NOT_FOUND, "404 Not Found"),
    "429": (answers(badserver.status(429)), AGAIN, "429 Too Many Requests"),
    "429 for a day": (answers(badserver.status(429, {"Retry-After": "86400"})), AGAIN,
                      "the server requests a wait of 86400 s, and retry_after_max is 7200 s"),
    "500": (answers(badserver.status(500)), AGAIN, "500 Internal Server Error"),
    "503": (answers(badserver.status(503)), AGAIN, "503 Service Unavailable"),
    "stall": (answers(badserver.silent(DATA, 100), "stall_timeout = 300ms\n"), AGAIN, "no bytes arrived for"),
    "wrong digest": (answers(badserver.whole(DATA[:-1] + b"!")), BAD_DATA, "hashes to"),
    "wrong size": (answers(badserver.whole(DATA[:-1])), BAD_DATA, "bytes long, expected 50000"),
}


@pytest.mark.parametrize("begin, code, words", OUTCOMES.values(), ids=OUTCOMES)
def test_outcome(box, bad, authority, begin, code, words):
    url, server, more = begin(bad, authority)
    host = url.split("/")[2]
    box.configure(CONFIG.format(host) + more)
    with box.up():
        failed = box.run("sluice", "fetch", url, "--digest", DIGEST, "--size", len(DATA), want=code)
        one_line(failed.stderr, "cannot fetch", host, words)
        row = box.status(DIGEST)
        assert row["state"] == "failed" and words in row["error"], row
        assert words in box.sluice("status").stdout
    if server:
        server.__exit__()


def test_unreachable_proxy(box, monkeypatch):
    with badserver.BadServer() as gone:
        monkeypatch.setenv("http_proxy", f"http://{gone.address}")
    box.configure(CONFIG.format("a.example"))
    failed = box.run("sluice", "fetch", "http://a.example/file", "--digest", DIGEST, want=UNAVAILABLE)
    one_line(failed.stderr, "a.example", "connect", gone.address.partition(":")[2])


@pytest.mark.parametrize("with_digest", [True, False], ids=["by its digest", "by its URL"])
def test_status_shows_a_wait_and_its_end(box, bad, with_digest):
    """While the transfer waits: the server, its answer, and the end of the wait. Then it is aborted: the command fails."""
    box.configure(CONFIG.format(bad.address))
    bad.on("/file", badserver.status(429, {"Retry-After": "3600"}))
    with box.up():
        process = box.popen("sluice", "fetch", bad.url("/file"), *(["--digest", DIGEST] if with_digest else []))
        wait_for("the transfer to wait", lambda: any(row["state"] == "waiting" for row in box.json("status")))
        said = box.sluice("status").stdout
        assert re.search(rf"waiting until \S+ to try '{bad.address}' again: 429 Too Many Requests", said), said
        box.sluice("abort", DIGEST if with_digest else bad.url("/file"))
        one_line(box.finish(process, want=AGAIN).stderr.splitlines()[-1], "aborted")
    assert len(bad.requests) == 1
