# SPDX-License-Identifier: Apache-2.0
"""Servers that misbehave: what fetchd checks before it passes on a byte, and what it retries."""

import os

import pytest

import badserver
from conftest import MIB, settled
from images import digest_of
from stages import AGAIN, BAD_DATA, NOT_FOUND, OK, UNAVAILABLE, one_line

DATA = os.urandom(4 * MIB)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2


def fetch(box, bad, *more, want=OK):
    return box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, *more, want=want)


RECOVERED = {  # the answers before a good one
    "short body": [badserver.cut_short(DATA, HALF)],
    "reset": [badserver.cut_short(DATA, HALF, reset=True)],
    "three short bodies": [badserver.cut_short(DATA, MIB)] * 3,
    "500": [badserver.status(500)],
    "503 twice": [badserver.status(503)] * 2,
    "429": [badserver.status(429, {"Retry-After": "0"})],
    "200 for a range": [badserver.cut_short(DATA, HALF), badserver.ignores_range(DATA)],
}


@pytest.mark.parametrize("behaviours", RECOVERED.values(), ids=RECOVERED)
def test_failures_are_recovered_within_one_run(box, bad, behaviours):
    bad.on("/blob", *behaviours, badserver.whole(DATA))
    fetch(box, bad, "--size", len(DATA))
    assert box.blob(DIGEST).read_bytes() == DATA
    assert len(bad.asked("/blob")) <= len(behaviours) + 2
    settled(box)


def test_retries_resume_at_the_current_offset(box, bad):
    bad.on("/blob", *[badserver.cut_short(DATA, MIB)] * 3, badserver.whole(DATA))
    fetch(box, bad)
    starts = [r.range.removeprefix("bytes=").partition("-")[0] or "0" for r in bad.asked("/blob")]
    assert starts == ["0", str(MIB), str(2 * MIB), str(3 * MIB)]


def test_progress_refills_the_retries(box, bad):
    box.configure("[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n")
    bad.on("/blob", *[badserver.cut_short(DATA, MIB // 4)] * 12, badserver.whole(DATA))
    fetch(box, bad)
    settled(box)


STEP = 64 << 10  # new bytes that give one retry back


def test_worst_link_that_makes_progress_finishes(box, bad):
    """There is one retry, and each try brings just enough bytes to earn it back."""
    data = DATA[: 40 * STEP + 1]
    box.configure("[fetchd]\nmax_retries = 1\nretry_delay = 1ms\n")
    bad.on("/blob", badserver.cut_short(data, STEP))
    box.run("sluice", "fetch", bad.url("/blob"), "--digest", digest_of(data), want=OK)
    assert len(bad.asked("/blob")) == 41
    settled(box)


BARELY = {  # bytes of each answer: the behaviour, and the number of requests with two retries
    "single bytes": (badserver.cut_short(DATA, 1), 3),
    "half of what gives a retry back": (badserver.cut_short(DATA, STEP // 2), 5),
    "the same bytes": (lambda x: (x.head(200, {"Content-Length": len(DATA)}), x.body(DATA[:HALF]), x.hang_up()), 3),
}


@pytest.mark.parametrize("behaviour, requests", BARELY.values(), ids=BARELY)
def test_too_little_progress_is_given_up(box, bad, behaviour, requests):
    box.configure("[fetchd]\nmax_retries = 2\nretry_delay = 1ms\n")
    bad.on("/blob", behaviour)
    fetch(box, bad, want=AGAIN)
    assert len(bad.asked("/blob")) == requests
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad)
    settled(box)


def test_ranges_are_closed_and_no_encoding_is_accepted(box, bad):
    bad.on("/blob", badserver.cut_short(DATA, HALF), badserver.whole(DATA))
    fetch(box, bad, "--size", len(DATA))
    assert bad.asked("/blob")[1].range == f"bytes={HALF}-{len(DATA) - 1}"
    assert all(r.headers.get("Accept-Encoding", "identity") == "identity" for r in bad.asked("/blob"))


FAILED = {  # (behaviour, exit code)
    "404": (badserver.status(404), NOT_FOUND),
    "410": (badserver.status(410), NOT_FOUND),
    "500 for ever": (badserver.status(500), AGAIN),
    "only a reset": (badserver.cut_short(DATA, 0, reset=True), AGAIN),
}


@pytest.mark.parametrize("behaviour, code", FAILED.values(), ids=FAILED)
def test_failure_has_its_exit_code(box, bad, behaviour, code):
    box.configure("[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n")
    bad.on("/blob", behaviour)
    failed = fetch(box, bad, want=code)
    assert bad.address in failed.stderr, failed.stderr
    assert len(bad.asked("/blob")) <= 3
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad)
    settled(box)


def test_refused_connection(box, bad):
    box.configure("[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n")
    bad.server.shutdown()
    bad.server.server_close()
    failed = fetch(box, bad, want=UNAVAILABLE)
    assert bad.address in failed.stderr


REFUSED = {
    "206 that starts early": badserver.shifted_range(DATA, -MIB),
    "206 that starts late": badserver.shifted_range(DATA, MIB),
    "206 of another total": badserver.wrong_total(DATA, len(DATA) + 1),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_wrong_part_is_refused(box, bad, answer):
    """None of its bytes are kept, and none that were there are lost."""
    bad.on("/blob", badserver.cut_short(DATA, HALF), answer)
    failed = fetch(box, bad, "--size", len(DATA), want=BAD_DATA)
    one_line(failed.stderr, bad.address)
    assert box.size(DIGEST) == HALF
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad, "--size", len(DATA))
    assert bad.asked("/blob")[-1].range.startswith(f"bytes={HALF}-")
    settled(box)


def test_endless_body_is_cut_off(box, bad):
    """Whether the excess byte is seen before or after the digest of the content has been verified."""
    bad.on("/blob", badserver.endless(DATA))
    ended = fetch(box, bad, "--size", len(DATA), want=None)
    assert ended.returncode in (OK, BAD_DATA), ended.stderr
    if ended.returncode != OK:
        one_line(ended.stderr, bad.address, len(DATA))
    assert box.size(DIGEST) <= len(DATA)
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad, "--size", len(DATA))
    settled(box)


@pytest.mark.parametrize("after", [0, MIB], ids=["before the first byte", "in the middle"])
def test_silence_is_noticed(box, bad, after):
    box.configure("[fetchd]\nretry_delay = 10ms\nstall_timeout = 1s\n")
    bad.on("/blob", badserver.silent(DATA, after=after), badserver.whole(DATA))
    fetch(box, bad)
    assert len(bad.asked("/blob")) == 2
    settled(box)


def test_body_without_a_length(box, bad):
    def unmeasured(x):
        x.head(200, {"Connection": "close"})
        x.body(DATA)
        x.hang_up()

    bad.on("/blob", unmeasured)
    fetch(box, bad)
    settled(box)
