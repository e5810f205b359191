# SPDX-License-Identifier: Apache-2.0
"""Transfers by the first digits of their digest, as `status` shows them on a terminal."""

import pytest

from stages import AGAIN, NOT_FOUND, OK, USAGE, one_line

FIRST, SECOND = (f"sha256:{'abcdef012345' + last * 52}" for last in "67")


@pytest.fixture(params=["with daemons", "without"])
def waiting(request, box):
    """Two transfers that wait for more bytes."""
    for digest in (FIRST, SECOND):
        box.run("ingestd", "put", "--raw", "--digest", digest, "--size", 100, digest, data=b"half", want=AGAIN)
    if request.param == "without":
        yield box
        return
    with box.up():
        yield box


def refs(box, *words):
    return [status["ref"] for status in box.json("status", *words)]


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_status(waiting, prefix):
    assert refs(waiting, f"{prefix}abcdef0123456") == [FIRST]
    assert refs(waiting, f"{prefix}abcdef0123457", FIRST) in ([SECOND, FIRST], [FIRST, SECOND])
    said = waiting.run("sluice", "status", f"{prefix}abcdef", want=USAGE)
    one_line(said.stderr, FIRST, SECOND)
    for digits in ("abcde", "abcdef8", "sha512:abcdef0123456"):
        one_line(waiting.run("sluice", "status", digits, want=NOT_FOUND).stderr, digits, "no such transfer")


def test_reset_and_abort(waiting):
    assert [status["offset"] for status in waiting.json("status")] == [4, 4]
    one_line(waiting.run("sluice", "abort", "abcdef012345", want=USAGE).stderr, FIRST, SECOND)
    assert waiting.run("sluice", "reset", "abcdef0123456", want=OK).stdout.splitlines()[-1] == FIRST
    assert {status["ref"]: status["offset"] for status in waiting.json("status")} == {FIRST: 0, SECOND: 4}
    some = waiting.run("sluice", "abort", "abcdef", "abcdef0123457", want=USAGE)
    assert some.stdout.splitlines()[-1] == SECOND, "the others are tried"
    assert refs(waiting) == [FIRST]
    assert waiting.run("sluice", "abort", "sha256:abcdef", want=OK).stdout.splitlines()[-1] == FIRST
    assert refs(waiting) == []
    assert waiting.run("sluice", "abort", "abcdef", want=OK).stdout.splitlines()[-1] == "abcdef", "nothing is no error"


def test_a_ref_that_looks_like_digits(box):
    """It comes first."""
    for ref, more in ((FIRST, ["--digest", FIRST]), ("abcdef", [])):
        box.run("ingestd", "put", "--raw", *more, "--size", 100, ref, data=b"by hand", want=AGAIN)
    assert refs(box, "abcdef") == ["abcdef"] and refs(box, "abcdef0") == [FIRST]
    with box.up():
        assert refs(box, "abcdef") == ["abcdef"] and refs(box, "abcdef0") == [FIRST]
