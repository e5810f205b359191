# SPDX-License-Identifier: Apache-2.0
"""
Big blobs in several ranges at once: which requests are sent, what a server that mishandles ranges costs, and how a
range that breaks, hangs or is refused is recovered. A transfer begins with one stream; each case holds it until the
ranges have reached the state under test.
"""

import os
import re
import signal
import threading

import pytest

import badserver
from conftest import MIB, settled
from images import digest_of
from servers import wait_for

KIB = 1 << 10
PART = 256 * KIB
LEAD = 2 * PART  # distance of the first range from the stream
DATA = os.urandom(8 * MIB + 12345)
DIGEST = digest_of(DATA)
RANGE_TRIES = 4  # of one range without new bytes, before the stream takes over
SMALL_RANGES = f"[fetchd]\nlog_level = info\nretry_delay = 10ms\nranges = 4\nrange_size = {PART}\nrange_min = 1M\n"


def ranges_of(bad, path="/blob"):
    """[first, end) of each requested range."""
    found = (re.fullmatch(r"bytes=(\d+)-(\d+)", r.range) for r in bad.asked(path))
    return [(int(r[1]), int(r[2]) + 1) for r in found if r]


def joined(box, parts):
    """
    Whether they join without a gap or an overlap. A stream asks for all of the rest, and ends where the ranges ahead of
    it begin. A range that took a second, and much longer than others, is requested again: fetchd's log says so.
    """
    again = box.logs().count("far slower than the others")
    parts = sorted(parts)
    repeated = sum(one == other for one, other in zip(parts, parts[1:]))
    parts = sorted(set(parts))
    return repeated <= again and all(
        end == start or end == len(DATA) for (_, end), (start, _) in zip(parts, parts[1:])
    )


def first_of(server, path="/blob"):
    """Start of the first range, LEAD ahead of the bytes that had arrived. Each further range starts a PART later."""
    return ranges_of(server, path)[0][0]


def held(data, after, ready):
    """Serve the whole blob, but wait after `after` bytes until `ready(server)`."""

    def behave(x):
        x.head(200, {"Content-Length": len(data), "ETag": '"one"'})
        x.body(data[:after])
        wait_for("the ranges", lambda: ready(x.server) or x.server.released.is_set())
        x.body(data[after:])

    return behave


def asked(count, path="/blob"):
    """Whether this many ranges were requested. The second is requested only after a good answer to the first."""
    return lambda server: len(ranges_of(server, path)) >= count


def given_up(box):
    return lambda server: "in ranges" in box.logs()


def routed(stream, ranged):
    """`stream` for requests without a range, `ranged` for ranges."""
    return lambda x: (stream if x.start is None else ranged)(x)


def once(bad_one, right):
    """Answer the first range request with `bad_one`."""
    pending = [bad_one]
    return lambda x: (pending.pop() if pending else right)(x)


def nth(n, bad_one, right):
    """Answer the nth range request with `bad_one`."""
    count = iter(range(1, 1 << 30))
    return lambda x: (bad_one if next(count) == n else right)(x)


def fetch(box, bad, path="/blob", digest=DIGEST, **options):
    return box.run("sluice", "fetch", bad.url(path), "--digest", digest, want=0, **options)


@pytest.fixture
def small(box):
    box.configure(SMALL_RANGES)
    return box


def right(box):
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


# ── servers that support ranges ──


def test_ranges_join_without_gap_or_overlap(small, bad):
    """The first request has no range. Then come closed ranges, and each byte is requested once."""
    bad.on("/blob", routed(held(DATA, MIB, asked(2)), badserver.whole(DATA, {"ETag": '"one"'})))
    fetch(small, bad)
    right(small)
    assert [bool(r.range) for r in bad.asked("/blob")].index(True) == 1
    assert [r.range for r in bad.asked("/blob")].count("") == 1
    parts = sorted(ranges_of(bad))
    assert LEAD <= parts[0][0] <= MIB + LEAD  # up to 1 MiB had arrived at the first range request
    assert joined(small, parts)
    assert parts[-1][1] == len(DATA)
    assert all(end - start <= PART for start, end in parts)


def test_ranges_fit_the_path(box, bad):
    """On a long path they are longer than their share of the window, and still arrive in order and once."""
    data = os.urandom(40 * MIB)

    def far(x):
        x.server.released.wait(0.2)  # the latency
        badserver.whole(data)(x)

    def stream(x):
        x.server.released.wait(0.2)
        held(data, 2 * MIB, asked(2))(x)

    box.configure("[fetchd]\nlog_level = info\n")
    bad.on("/blob", routed(stream, far))
    fetch(box, bad, digest=digest_of(data))
    assert box.blob(digest_of(data)).read_bytes() == data
    parts = sorted(ranges_of(bad))
    assert max(end - start for start, end in parts) > 384 * KIB
    assert all(end == start for (_, end), (start, _) in zip(parts, parts[1:])) or "far slower" in box.logs()
    settled(box)


def test_small_blobs_use_no_ranges(small, bad):
    """However slow the stream is, because less than range_min is left."""
    small.configure(SMALL_RANGES.replace("range_min = 1M", "range_min = 8M"))
    data = DATA[: 8 * MIB - 1]

    def late(x):
        x.head(200, {"Content-Length": len(data)})
        x.body(data[:MIB])
        x.server.released.wait(0.5)
        x.body(data[MIB:])

    bad.on("/blob", late)
    fetch(small, bad, digest=digest_of(data))
    assert len(bad.asked("/blob")) == 1
    settled(small)


def test_resumed_in_ranges(small, bad):
    """A broken transfer resumes at its offset, and then uses ranges. It used none before."""
    small.configure(f"{SMALL_RANGES}ranges = 1\n")

    def broken_off(x):
        """New settings apply from the next request on."""
        x.promise(DATA)
        x.body(DATA[:MIB])
        small.configure(SMALL_RANGES)
        os.kill(small.stage("fetchd"), signal.SIGHUP)
        wait_for("the settings to be read", lambda: "configuration reloaded" in small.logs())
        x.hang_up()

    def resumed(x):
        if x.start is not None and x.end == len(DATA):
            x.head(206, {"Content-Length": x.end - x.start, "Content-Range": f"bytes {x.start}-{x.end - 1}/{x.end}"})
            x.body(DATA[x.start : x.start + MIB])
            wait_for("two ranges", lambda: len(ranges_of(x.server)) >= 3)
            x.body(DATA[x.start + MIB :])
        else:
            badserver.whole(DATA)(x)

    bad.on("/blob", broken_off, resumed)
    fetch(small, bad)
    right(small)
    assert ranges_of(bad)[0] == (MIB, len(DATA))
    assert MIB + LEAD <= sorted(ranges_of(bad))[1][0] <= 2 * MIB + LEAD
    assert [end for _, end in ranges_of(bad)].count(len(DATA)) == 2, "the resumed request and the last range"


def test_connections_per_host_are_limited(small, bad):
    """Two in all. A range that is done hands its connection to another transfer that waits."""
    small.configure(SMALL_RANGES + "connections_per_host = 2\n")
    other = os.urandom(1000)
    running, most, lock = [0], [0], threading.Lock()
    half_done = threading.Event()

    def counted(x):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            first = x.start is not None and x.start >= 4 * MIB and not half_done.is_set()
            if first:
                half_done.set()
        if first:
            wait_for("the other transfer", lambda: x.server.asked("/other") or x.server.released.is_set())
        with lock:
            running[0] -= 1  # before the last byte is sent, after which the next request may come
        badserver.whole(DATA if x.path == "/blob" else other)(x)

    bad.on("/blob", routed(held(DATA, MIB, asked(2)), counted))
    bad.on("/other", counted)
    with small.up():
        first = small.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        wait_for("the ranges to be half done", half_done.is_set)
        fetch(small, bad, "/other", digest_of(other))
        small.finish(first, want=0)
    assert most[0] <= 2
    right(small)


# ── mishandled ranges ──


def too_long(data):
    def behave(x):
        end = min(x.end + 1, len(data))
        x.answer(206, data[x.start : end], {"Content-Range": f"bytes {x.start}-{end - 1}/{len(data)}"})

    return behave


def too_short(data):
    def behave(x):
        x.answer(206, data[x.start : x.end - 1], {"Content-Range": f"bytes {x.start}-{x.end - 2}/{len(data)}"})

    return behave


def unsaid(data):
    return lambda x: x.answer(206, data[x.start : x.end])


MISHANDLED = {
    "200": badserver.ignores_range(DATA),
    "206 that starts early": badserver.shifted_range(DATA, -1),
    "206 of another total": badserver.wrong_total(DATA, len(DATA) + 1),
    "206 that is longer": too_long(DATA),
    "206 that is shorter": too_short(DATA),
    "206 without Content-Range": unsaid(DATA),
    "416": badserver.status(416, {"Content-Range": f"bytes */{len(DATA)}"}),
    "400": badserver.status(400),
}


@pytest.mark.parametrize("answer", MISHANDLED.values(), ids=MISHANDLED)
def test_mishandled_ranges_cost_one_request(small, bad, answer):
    """The stream continues to the end."""
    bad.on("/blob", routed(held(DATA, MIB, given_up(small)), answer))
    fetch(small, bad)
    assert [bool(r.range) for r in bad.asked("/blob")] == [False, True]
    right(small)


def test_host_that_mishandles_ranges_is_remembered(small, bad):
    bad.on("/blob", routed(held(DATA, MIB, given_up(small)), badserver.ignores_range(DATA)))
    other = DATA[::-1]

    def late(x):
        x.head(200, {"Content-Length": len(other)})
        x.body(other[:MIB])
        x.server.released.wait(0.5)  # long enough for a range to be requested
        x.body(other[MIB:])

    bad.on("/other", late)
    with small.up():
        fetch(small, bad)
        fetch(small, bad, "/other", digest_of(other))
    assert [r.range for r in bad.asked("/other")] == [""]
    right(small)


def test_range_mishandled_later_loses_no_bytes(small, bad):
    """One stream resumes where the good ranges stopped."""
    bad.on("/blob", routed(held(DATA, MIB, asked(2)), lambda x: (
        badserver.ignores_range if x.start >= 4 * MIB and x.end != len(DATA) else badserver.whole)(DATA)(x)))
    fetch(small, bad)
    right(small)
    assert any(end == len(DATA) and 3 * MIB <= start < 4 * MIB + PART for start, end in ranges_of(bad)), ranges_of(bad)


def test_ranges_of_another_version_are_not_used(small, bad):
    """Another ETag means another version, or another node. The stream has one version from start to end."""
    bad.on("/blob", routed(held(DATA, MIB, given_up(small)), badserver.whole(DATA[::-1], {"ETag": '"two"'})))
    fetch(small, bad)
    right(small)
    assert len(bad.asked("/blob")) == 2


# ── broken ranges ──


@pytest.mark.parametrize("reset", [False, True], ids=["short body", "reset"])
@pytest.mark.parametrize("n", [1, 6], ids=["the first", "a later one"])
def test_broken_range_resumes_where_it_stopped(small, bad, n, reset):
    ranged = nth(n, badserver.cut_short(DATA, PART // 2, reset=reset), badserver.whole(DATA))
    bad.on("/blob", routed(held(DATA, MIB, asked(2 if n > 1 else 3)), ranged))
    fetch(small, bad)
    right(small)
    halves = [r for r in ranges_of(bad) if (r[0] - first_of(bad)) % PART == PART // 2]
    assert reset or len(halves) == 1, ranges_of(bad)  # a reset may discard bytes that were not read yet
    assert [r.range for r in bad.asked("/blob")].count("") == 1


@pytest.mark.parametrize("brought", [0, PART // 3, PART // 2], ids=["nothing", "a third", "a chunk"])
def test_range_that_never_works_falls_back_to_the_stream(small, bad, brought):
    """Its budget of tries is small. Then the transfer's own rules apply, at the first missing byte."""
    small.configure(SMALL_RANGES.replace("10ms", "1ms"))  # shorter than the age at which a partial chunk is passed on
    tries = []

    def ranged(x):
        broken = first_of(bad) + 4 * PART
        if x.start == broken and brought and x.end == broken + PART:
            badserver.cut_short(DATA, brought)(x)
        elif x.start == broken + brought and len(tries) < RANGE_TRIES - bool(brought):
            tries.append(x.start)
            x.reset()
        else:
            badserver.whole(DATA)(x)

    bad.on("/blob", routed(held(DATA, MIB, asked(2)), ranged))
    fetch(small, bad)
    right(small)
    assert len(tries) == RANGE_TRIES - bool(brought)
    assert all(start < end for start, end in ranges_of(bad)), ranges_of(bad)
    assert [start for start, _ in ranges_of(bad)].count(tries[0]) == len(tries) + 1


def test_stream_resumes_behind_bytes_that_wait_for_the_pipe(small, bad):
    """A range is refused while ingestd is stopped. The bytes of other ranges are delivered, not requested again."""
    stopped = threading.Event()

    def ranged(x):
        number = (x.start - first_of(bad)) // PART
        if 3 <= number <= 5 and not stopped.is_set():
            stopped.wait()
        if number == 6 and not stopped.is_set():
            os.kill(small.stage("ingestd"), signal.SIGSTOP)
            stopped.set()
            badserver.status(403)(x)
            return
        badserver.whole(DATA)(x)

    bad.on("/blob", routed(held(DATA, MIB, asked(2)), ranged))
    with small.up():
        fetching = small.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        wait_for("ingestd to be stopped", stopped.is_set)
        bad.released.wait(0.5)  # nothing must be requested in this time
        os.kill(small.stage("ingestd"), signal.SIGCONT)
        small.finish(fetching, want=0)
    right(small)
    assert all(start < end for start, end in ranges_of(bad)), ranges_of(bad)
    assert [start for start, _ in ranges_of(bad)].count(first_of(bad) + 6 * PART) == 2


@pytest.mark.parametrize("which", ["the sixth", "the last"])
def test_slow_range_is_requested_again(small, bad, which):
    """No timeout ends it. The other ranges are done and wait for it."""
    small.configure(SMALL_RANGES + "stall_timeout = 1h\nmin_speed = 0\n")
    halves = []

    def ranged(x):
        number = (x.start - first_of(bad)) // PART
        if (number != 5 if which == "the sixth" else x.end != len(DATA)) or halves:
            badserver.whole(DATA)(x)
            return
        halves.append((x.start + x.end) // 2)
        x.promise(DATA)
        x.body(DATA[x.start : halves[0]])
        x.server.released.wait()
        x.hang_up()

    bad.on("/blob", routed(held(DATA, MIB, asked(2)), ranged))
    fetch(small, bad)
    right(small)
    assert [r[0] for r in ranges_of(bad)].count(halves[0]) == 1, ranges_of(bad)


def test_server_that_limits_connections(small, bad):
    """It allows two. A refused range is not requested over and over, and no part is lost."""
    running, lock, refused = [0], threading.Lock(), [0]

    def two_at_most(x):
        with lock:
            busy = running[0] >= 2
            running[0] += not busy
            refused[0] += busy
        if busy:
            badserver.status(503, {"Retry-After": "0"})(x)
            return
        try:
            badserver.whole(DATA)(x)
        finally:
            with lock:
                running[0] -= 1

    bad.on("/blob", routed(held(DATA, MIB, asked(2)), two_at_most))
    fetch(small, bad)
    right(small)
    assert refused[0] <= 8, refused


# ── signed URLs ──


@pytest.mark.parametrize("code", [401, 403])
def test_expired_signed_url_is_renewed(small, bad, code):
    """Ranges use the target of the registry's redirect. When it expires they ask the registry, and lose no bytes."""
    signed, sent = [], []

    def registry(x):
        signed.append(f"/signed/{len(signed)}")
        bad.on(signed[-1], expiring(len(signed) - 1))
        x.answer(307, b"", {"Location": signed[-1]})

    def expiring(number):
        def behave(x):
            if number == 0 and x.start is not None and x.start >= 4 * MIB:
                x.answer(code)
                return
            if x.start is not None:
                sent.append((x.start, x.end))
            (held(DATA, MIB, asked(2, signed[0])) if x.start is None else badserver.whole(DATA))(x)

        return behave

    bad.on("/blob", registry)
    fetch(small, bad)
    right(small)
    assert len(bad.asked("/blob")) == 2, bad.requests
    assert joined(small, sent), sent
