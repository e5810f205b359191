# SPDX-License-Identifier: Apache-2.0
"""
How fast bytes may come, and how fast they must: limits of the bandwidth, and what becomes of a trickle. A limit is a
promise about the most: what was taken, less what a bucket holds at first, needs its time on any machine. No test says
how little time something may take.
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
BURST_S = 0.1  # a bucket holds what comes in this time
PIECE = 16 * KIB  # and each connection may take one more


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
    """A megabyte a second, shared by all; and nothing is requested twice because of that."""
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


def test_a_limit_holds_for_all_ranges_together(box, paced):
    """More than a connection brings, and less than eight: there are ranges, and they share it."""
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
    """A limit of one host holds up no other, and the transfer that is held up can be ended."""
    box.configure(f"[fetchd]\n[registry localhost:{bad.address.rpartition(':')[2]}]\nbandwidth = 16K\n")
    bad.on("/held", badserver.whole(DATA))
    bad.on("/free", badserver.whole(OTHER))
    with box.up():
        held = box.popen("sluice", "fetch", elsewhere(bad, "/held"), "--digest", DIGEST)
        wait_for("it to be held up", lambda: box.size(DIGEST) > 0)
        box.sluice("fetch", bad.url("/free"), "--digest", digest_of(OTHER))
        assert 0 < box.size(DIGEST) < MIB
        box.sluice("abort", DIGEST)
        box.finish(held)
    assert [r.range for r in bad.requests] == [""] * 2


def test_paused_stream_is_neither_silent_nor_slow(box, bad):
    """
    Each wait is longer than the time-out for a stall, which the server has for its answer too, and all of it is slower than
    the least speed.
    """
    data = DATA[: 48 * KIB]
    box.configure("[fetchd]\nstall_timeout = 1s\nmin_speed = 1M\nmin_speed_time = 1s\nbandwidth = 8K\n")
    bad.on("/blob", badserver.whole(data))
    box.sluice("fetch", bad.url("/blob"), "--digest", digest_of(data))
    assert [r.range for r in bad.requests] == [""]
    settled(box)


# ── the least speed ──

FIRST = 300 * KIB
PATIENT = "stall_timeout = 1h\nmin_speed = 64K\nmin_speed_time = 1s\nretry_delay = 10ms\n"


def trickle(x):
    """A part of it at once, and then a byte now and then, for as long as the client listens: no silence, but no speed."""
    _, end = x.promise(DATA)
    x.body(DATA[:FIRST])
    for at in range(FIRST, end):
        wait_for("what was sent to be read", lambda: x.is_read() or x.server.released.is_set())
        if x.server.released.wait(0.05):
            return
        x.server.trickled = at + 1
        x.body(DATA[at : at + 1])


def went_on(request, server):
    """
    Asked for what is missing behind what the trickle brought. One byte may not have been read, and two sent to nobody before
    that was noticed.
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
    went_on(second, bad)
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
        went_on(bad.requests[0], mirror)


def test_registry_has_its_own_minimum_speed(box, bad):
    """0: as slow as it likes."""
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
