# SPDX-License-Identifier: Apache-2.0
"""
Targets of a registry's redirects: object stores whose signed URLs expire, and edges of which some serve other content.
"""

import itertools
import os
import threading

import pytest

import badserver
from conftest import MIB, settled
from images import digest_of
from servers import wait_for
from stages import BAD_DATA, DENIED, OK, one_line

DATA = os.urandom(4 * MIB)
OTHER = os.urandom(len(DATA))
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
PART = 256 << 10
FOREVER = 1 << 30
AWAY_RETRIES = 3  # as in fetchd/fetch.c
QUICK = "[fetchd]\nretry_delay = 2ms\n"
RANGES = f"{QUICK}ranges = 4\nrange_size = {PART}\nrange_min = 1M\n"


@pytest.fixture
def registry():
    with badserver.BadServer() as server:
        yield server


@pytest.fixture
def store():
    with badserver.BadServer() as server:
        yield server


def fetch(box, registry, want=OK):
    return box.run("sluice", "fetch", registry.url("/blob"), "--digest", DIGEST, "--size", len(DATA), want=want)


def right(box):
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


def capped(x):
    """A part of at most 1 MiB; the client requests the next one at once."""
    end = min(x.start + MIB, len(DATA))
    x.part(DATA, says=f"bytes {x.start}-{end - 1}/{len(DATA)}", body=DATA[x.start : end])


# ── signed URLs ──


class Signed:
    """
    The registry redirects /blob to the store, each time with another URL. `lives`: the number of requests that each URL
    allows, the last number for all later URLs. Then the store answers `status`.
    """

    def __init__(self, registry, store, status, lives, *behaviours):
        self.registry, self.store, self.status, self.behaviours = registry, store, status, behaviours
        self.lives, self.left, self.seen, self.lock = list(lives), [], [], threading.Lock()
        registry.on("/blob", self.send)
        store.on("/signed", self.give)

    def send(self, x):
        with self.lock:
            self.left.append(self.lives[min(len(self.left), len(self.lives) - 1)])
            number = len(self.left) - 1
        x.answer(307, headers={"Location": self.store.url(f"/signed?{number}")})

    def give(self, x):
        number = int(x.path.partition("?")[2])
        with self.lock:
            is_good = self.left[number] > 0
            self.left[number] -= 1
            self.seen.append((x, is_good))
            done = sum(good for _, good in self.seen)
        if is_good:
            self.behaviours[min(done, len(self.behaviours)) - 1](x)
        else:
            x.answer(self.status)

    def requests(self):
        return len(self.registry.requests), len(self.seen)

    def refused(self):
        return sum(not is_good for _, is_good in self.seen)

    def starts(self):
        return [x.start for x, _ in self.seen]

    def sent(self):
        return sum(x.sent for x, _ in self.seen)


over = pytest.mark.parametrize("status", [400, 401, 403, 410])


@over
def test_url_that_expires_before_use(box, registry, store, status):
    box.configure(QUICK)
    signed = Signed(registry, store, status, [0, FOREVER], badserver.whole(DATA))
    fetch(box, registry)
    right(box)
    assert signed.requests() == (2, 2) and signed.sent() == len(DATA)


@over
def test_url_that_expires_mid_transfer(box, registry, store, status):
    """The next part is requested from the registry, and no byte twice."""
    box.configure(f"{QUICK}ranges = 1\n")
    signed = Signed(registry, store, status, [1, 1, FOREVER], badserver.cut_short(DATA, HALF), capped)
    fetch(box, registry)
    right(box)
    assert signed.starts() == [None, HALF, HALF + MIB, HALF + MIB] and signed.refused() == 1
    assert signed.requests() == (3, 4) and signed.sent() == len(DATA)


@over
def test_url_that_expires_under_all_ranges(box, registry, store, status):
    """Their bytes are kept, and the registry is asked once for all ranges."""
    box.configure(RANGES)

    def first_range():
        """Start of the first range, where the stream ends."""
        return min(x.start for x, _ in signed.seen if x.start is not None)

    def held(x):
        x.head(200, {"Content-Length": len(DATA)})
        x.body(DATA[:MIB])
        wait_for("a range to be refused", lambda: signed.refused() or x.server.released.is_set())
        x.body(DATA[MIB : first_range()])

    signed = Signed(registry, store, status, [3, FOREVER], held, badserver.whole(DATA))
    fetch(box, registry)
    right(box)
    assert "in ranges" not in box.logs(), "the store's ranges were given up"
    assert 2 * PART <= first_range() <= MIB + 2 * PART
    assert len(registry.requests) in (2, 3), "the ranges needed one new URL, or two"
    assert all(x.end is None or x.start < x.end for x, _ in signed.seen)
    assert 0 <= signed.sent() - len(DATA) <= 4 * PART


@over
def test_url_that_is_always_expired(box, registry, store, status):
    box.configure(QUICK)
    signed = Signed(registry, store, status, [0], badserver.whole(DATA))
    failed = fetch(box, registry, want=DENIED)
    one_line(failed.stderr, registry.address, store.address, status)
    assert signed.requests() == (1 + AWAY_RETRIES, 1 + AWAY_RETRIES) and signed.sent() == 0


def test_store_that_refuses_ranges_with_400(box, registry, store):
    """400 may mean an expired URL. Only a new URL shows that it is the range that is refused."""
    box.configure(f"{QUICK}ranges = 1\n")
    asked = []

    def answer(x):
        asked.append(x.start)
        if len(asked) == 1:
            badserver.cut_short(DATA, HALF)(x)
        elif x.start is None:
            x.answer(200, DATA)
        else:
            x.answer(400)

    signed = Signed(registry, store, 403, [FOREVER], answer)
    fetch(box, registry)
    right(box)
    assert asked == [None, HALF, HALF, None] and signed.requests() == (3, 4)


# ── edges ──


class Edges:
    """The registry redirects /blob to one edge after the other. An edge: (server, behaviour)."""

    def __init__(self, registry, *edges):
        self.servers = [server for server, _ in edges]
        turns = itertools.cycle(self.servers)
        registry.on("/blob", lambda x: x.answer(307, headers={"Location": next(turns).url("/blob")}))
        for server, behave in edges:
            server.on("/blob", behave)

    def ranges(self):
        return [[r.range.partition("-")[0] for r in server.requests] for server in self.servers]


def halves(data):
    """Send half the blob to a request without a range, and then everything that is requested."""
    return lambda x: (badserver.cut_short(data, HALF) if x.start is None else badserver.whole(data))(x)


REST = f"bytes={HALF}"


def test_mixed_edges_are_recovered_from_one_edge(box, registry, store):
    """Each edge sends half. The digest is wrong, and the second try uses one edge only."""
    box.configure(f"{QUICK}ranges = 1\n")
    with badserver.BadServer() as wrong:
        right_edge = lambda x: (badserver.cut_short(DATA, HALF) if len(store.requests) == 1 else badserver.whole(DATA))(x)
        edges = Edges(registry, (store, right_edge), (wrong, badserver.whole(OTHER)))
        fetch(box, registry)
        right(box)
        assert edges.ranges() == [["", ""], [REST]] and len(registry.requests) == 3


def test_edges_that_always_differ_fail(box, registry, store):
    """After one restart the pull fails with both digests and names nothing. Later it can succeed."""
    box.configure(f"{QUICK}ranges = 1\n")
    with badserver.BadServer() as wrong:
        edges = Edges(registry, (store, halves(DATA)), (wrong, badserver.whole(OTHER)))
        mixed = digest_of(DATA[:HALF] + OTHER[HALF:])
        one_line(fetch(box, registry, want=BAD_DATA).stderr, DIGEST, mixed)
        assert edges.ranges() == [["", ""], [REST, REST]] and len(registry.requests) == 4
        assert not box.blob(DIGEST).exists() and not box.blob(mixed).exists()
        wrong.on("/blob", badserver.whole(DATA))
        fetch(box, registry)
        right(box)
