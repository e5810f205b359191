# SPDX-License-Identifier: Apache-2.0
"""
Bandwidth limits and minimum speed. A limit is an upper bound: the bytes taken, less what a bucket holds at first, need
their time on any machine. No test has an upper bound on time.
"""

import os
import time

import pytest

import badserver
from conftest import MIB, settled
from images import digest_of
from servers import wait_for
from test_metrics import metrics, wait_metric

KIB = 1 << 10
DATA = os.urandom(MIB)
DIGEST = digest_of(DATA)
OTHER = DATA[::-1]
BURST_S = 0.1  # a bucket holds the bytes of this time
PIECE = 16 * KIB  # each connection may take one more


def elsewhere(bad, path):
    """The same server, as another host."""
    return bad.url(path).replace("127.0.0.1", "localhost")


LIMITS = {
    "all": ("bandwidth = 1M\n", [badserver.BadServer.url, elsewhere]),
    "a host": ("host_bandwidth = 1M\n", [badserver.BadServer.url] * 2),
    "a registry": ("bandwidth = 9G\n[registry {address}]\nbandwidth = 1M\n", [badserver.BadServer.url] * 2),
    "a transfer": ("transfer_bandwidth = 1M\n", [badserver.BadServer.url]),
    "the lowest": ("bandwidth = 8M\nhost_bandwidth = 1M\ntransfer_bandwidth = 4M\n", [badserver.BadServer.url]),
}


@pytest.mark.parametrize("limit, urls", LIMITS.values(), ids=LIMITS)
def test_limits(box, bad, limit, urls):
    """1 MiB/s, shared by all. Nothing is requested twice because of the limit."""
    box.configure("[fetchd]\n" + limit.format(address=bad.address))
    paths = {"/one": DATA, "/other": OTHER}
    for path, data in paths.items():
        bad.on(path, badserver.whole(data))
    with box.up():
        begin = time.monotonic()
        transfers = [box.popen("sluice", "fetch", url(bad, path), "--digest", digest_of(data))
                     for url, (path, data) in zip(urls, paths.items())]
        for transfer in transfers:
            box.finish(transfer, want=0)
        took = time.monotonic() - begin
        wait_metric(box, "sluice_fetchd_received_bytes_total", len(urls) * MIB)
        assert metrics(box)['sluice_fetchd_pauses_total{reason="bandwidth"}'] > 10
    assert took >= (len(urls) * MIB - len(urls) * PIECE) / MIB - BURST_S
    assert len(bad.requests) == len(urls)
    settled(box)


def test_limit_applies_to_all_ranges_together(box, paced):
    """The limit is more than one connection brings and less than eight do, so there are ranges, and they share it."""
    limit = 24 * MIB
    box.configure("[fetchd]\ntransfer_bandwidth = 24M\n")
    paced.settle()
    before = len(paced.accesses())
    begin = time.monotonic()
    box.sluice("fetch", f"http://{paced.address}/files/blob", "--digest", paced.digest)
    took = time.monotonic() - begin
    paced.settle()
    assert len(paced.accesses(since=before)) > 50
    assert took >= (paced.size - 8 * PIECE) / limit - BURST_S


def test_slow_transfer_does_not_delay_others(box, bad):
    """A host's limit does not delay another host, and the limited transfer can be aborted."""
    box.configure(f"[fetchd]\n[registry localhost:{bad.address.rpartition(':')[2]}]\nbandwidth = 16K\n")
    bad.on("/held", badserver.whole(DATA))
    bad.on("/free", badserver.whole(OTHER))
    with box.up():
        held = box.popen("sluice", "fetch", elsewhere(bad, "/held"), "--digest", DIGEST)
        wait_for("the transfer to be limited", lambda: box.size(DIGEST) > 0)
        box.sluice("fetch", bad.url("/free"), "--digest", digest_of(OTHER))
        assert 0 < box.size(DIGEST) < MIB
        box.sluice("abort", DIGEST)
        box.finish(held)
    assert [r.range for r in bad.requests] == [""] * 2


def test_paused_stream_is_neither_silent_nor_slow(box, bad):
    """
    Each pause is longer than stall_timeout, which applies to the server's answer too, and the whole is slower than
    min_speed.
    """
    data = DATA[: 48 * KIB]
    box.configure("[fetchd]\nstall_timeout = 1s\nmin_speed = 1M\nmin_speed_time = 1s\nbandwidth = 8K\n")
    bad.on("/blob", badserver.whole(data))
    box.sluice("fetch", bad.url("/blob"), "--digest", digest_of(data))
    assert [r.range for r in bad.requests] == [""]
    settled(box)


# ── minimum speed ──

FIRST = 300 * KIB
PATIENT = "stall_timeout = 1h\nmin_speed = 64K\nmin_speed_time = 1s\nretry_delay = 10ms\n"


def trickle(x):
    """The first part at once, then a byte now and then while the client listens: not silent, but slow."""
    _, end = x.promise(DATA)
    x.body(DATA[:FIRST])
    for at in range(FIRST, end):
        wait_for("the client to read what was sent", lambda: x.is_read() or x.server.released.is_set())
        if x.server.released.wait(0.05):
            return
        x.server.trickled = at + 1
        x.body(DATA[at : at + 1])


def check_resumed(request, server):
    """
    The request resumes behind the bytes of the trickle. One byte may be unread, and two may have been sent after the
    client had hung up.
    """
    start = int(request.range.removeprefix("bytes=").partition("-")[0])
    assert request.range == f"bytes={start}-{MIB - 1}"
    assert FIRST <= server.trickled - 3 <= start <= server.trickled


def test_trickle_is_dropped_and_requested_again(box, bad):
    box.configure("[fetchd]\n" + PATIENT)
    bad.on("/blob", trickle, badserver.whole(DATA))
    with box.up():
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    first, second = bad.requests
    assert first.range == ""
    check_resumed(second, bad)
    assert "too slow: " in box.logs()
    settled(box)


def test_trickling_mirror_gives_way_to_the_next(box, bad):
    path = f"/v2/app/blobs/{DIGEST}"
    with badserver.BadServer() as mirror:
        box.configure(f"[fetchd]\n{PATIENT}[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        mirror.on(path, trickle)
        bad.on(path, badserver.whole(DATA))
        got = box.run("fetchd", "get", "--raw", "--digest", DIGEST, f"blob://{bad.address}/app@{DIGEST}", want=0)
        assert got.raw == DATA
        assert len(mirror.requests) == len(bad.requests) == 1
        check_resumed(bad.requests[0], mirror)


def test_registry_has_its_own_minimum_speed(box, bad):
    """0 allows any speed."""
    box.configure(f"[fetchd]\nmin_speed = 1G\nmin_speed_time = 100ms\n[registry {bad.address}]\nmin_speed = 0\n")

    def slow(x):
        x.promise(DATA)
        for at in range(0, MIB, MIB // 4):
            x.server.released.wait(0.2)
            x.body(DATA[at : at + MIB // 4])

    bad.on("/blob", slow)
    box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    assert len(bad.requests) == 1
    settled(box)
