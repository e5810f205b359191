# SPDX-License-Identifier: Apache-2.0
"""
The stages as Unix tools in a pipeline:

    fetchd get --offset "$(ingestd offset R)" URL | ingestd put --digest D R | commitd commit
    curl -sf URL | ingestd put --raw --digest D R | commitd commit
"""

import collections
import os
import re
import struct
import subprocess
import threading

import pytest

import badserver
import wire
from conftest import MIB, settled, socket_buffers
from images import digest_of
from stages import AGAIN, BAD_DATA, OK, USAGE, kill

POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)
SENT_TWICE = 8 * MIB + socket_buffers()  # per kill: the pipe, and what is left in the kernel

Line = collections.namedtuple("Line", "source put commit")


def close(stream):
    """As in a shell, only the next program keeps the reading end."""
    stream.close()


def start_line(box, blob, source):
    put_flags = ["--raw"] if source.raw else []
    first = source.start()
    put = box.popen("ingestd", "put", *put_flags, "--digest", blob.digest, blob.digest, stdin=first.stdout)
    close(first.stdout)
    commit = box.popen("commitd", "commit", stdin=put.stdout)
    close(put.stdout)
    put.stdout = first.stdout = None
    return Line(first, put, commit)


class Frames:
    raw = False

    def __init__(self, box, url, ref):
        self.box, self.url, self.ref = box, url, ref

    def start(self):
        offset = self.box.run("ingestd", "offset", self.ref, want=OK).stdout.strip()
        return self.box.popen("fetchd", "get", "--offset", offset, self.url)


class Curl:
    raw = True

    def __init__(self, box, url):
        self.box, self.url = box, url

    def start(self):
        process = subprocess.Popen(
            ["curl", "-sf", self.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.box.started.append(process)
        return process


def finish_line(box, line):
    """Wait for all three. Returns the output of the last one, and the exit codes."""
    done = [box.finish(process) for process in line]
    return done[2].stdout.strip(), [result.returncode for result in done], done


@pytest.mark.parametrize("victim", ["source", "put"])
def test_killed_line_is_run_again_until_done(big_box, registry, big, victim):
    box = big_box
    source = Frames(box, registry.url(big.name, big.digest), big.digest)
    registry.settle()
    before = len(registry.accesses())
    for point in POINTS:
        line = start_line(box, big, source)
        assert box.wait_size(big.digest, int(big.size * point), line.put), f"over before {point:.0%}"
        kill(getattr(line, victim).pid)
        printed, codes, _ = finish_line(box, line)
        assert printed == "" and OK not in (codes[Line._fields.index(victim)], codes[2]), codes
        had = box.size(big.digest)
        assert had >= int(big.size * point)
        assert int(box.run("ingestd", "offset", big.digest, want=OK).stdout) == had
    printed, codes, done = finish_line(box, start_line(box, big, source))
    assert codes == [OK, OK, OK], [r.stderr for r in done]
    assert printed == big.digest
    registry.settle()
    sent = sum(a.bytes for a in registry.blob_gets(big.digest, since=before))
    assert 0 <= sent - big.size <= SENT_TWICE * len(POINTS)
    settled(box)
    assert box.blob(big.digest).exists()


TYPED = 'fetchd get --offset "$(ingestd offset "$R")" "$URL" | ingestd put --digest "$D" "$R" | commitd commit'


def type_line(box, ref, url):
    """Run the line of the manual in a shell. All three programs start at once, `offset` at the same time as `put`."""
    words = {"PATH": f"{box.bindir}:{os.environ['PATH']}", "R": ref, "D": ref, "URL": url}
    shell = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", TYPED],
        env=box.environment | words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    box.started.append(shell)
    return shell


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "begun"])
def test_typed_line(box, bad, is_new):
    """A program is killed when all bytes sent so far have arrived, so `offset` has ended."""
    victims = ["fetchd", "ingestd", "ingestd", "fetchd", "commitd"]
    data = os.urandom((len(victims) + 1) * MIB)
    gates = [threading.Event() for _ in victims]
    ref = digest_of(data)
    box.configure("[fetchd]\nstall_timeout = 1h\n")
    bad.on("/file", *[badserver.in_parts(data, MIB, gate) for gate in gates], badserver.whole(data))
    if not is_new:
        box.run("ingestd", "put", "--digest", ref, ref, data=b"", want=AGAIN)
    for turn, victim in enumerate(victims):
        shell = type_line(box, ref, bad.url("/file"))
        assert box.wait_size(ref, (turn + 1) * MIB, shell)
        kill(box.stage(victim))
        gates[turn].set()  # the writer must notice the broken pipe
        result = box.finish(shell)
        assert result.returncode != OK and result.stdout == ""
        said = [line for line in result.stderr.splitlines() if not line.startswith(("bash:", " "))]
        assert not any("offset" in line or "locked" in line for line in said), result.stderr
    result = box.finish(type_line(box, ref, bad.url("/file")), want=OK)
    assert result.stdout.strip() == ref
    assert [x.range for x in bad.requests][: len(victims)] == ["", *(f"bytes={n * MIB}-" for n in range(1, len(victims)))]
    settled(box)


@pytest.mark.parametrize("victim", Line._fields)
def test_raw_line_with_curl(big_box, registry, medium, victim):
    """curl starts at offset 0 each time, and only missing bytes are written."""
    box = big_box
    source = Curl(box, registry.url(medium.name, medium.digest))
    line = start_line(box, medium, source)
    assert box.wait_size(medium.digest, medium.size // 3, line.put)
    kill(getattr(line, victim).pid)
    finish_line(box, line)
    assert box.size(medium.digest) >= medium.size // 3
    printed, codes, done = finish_line(box, start_line(box, medium, source))
    assert codes == [OK, OK, OK], [r.stderr for r in done]
    assert printed == medium.digest
    settled(box)


def test_commit_is_killed(big_box, registry, medium):
    """ingestd finishes and writes its seal into a broken pipe. The same line seals again and fetches nothing."""
    box = big_box
    source = Frames(box, registry.url(medium.name, medium.digest), medium.digest)
    line = start_line(box, medium, source)
    assert box.wait_size(medium.digest, medium.size // 2, line.put)
    kill(line.commit.pid)
    _, codes, done = finish_line(box, line)
    assert codes[1] != OK and len(done[1].stderr.splitlines()) == 1, done[1]
    registry.settle()
    before = len(registry.accesses())
    printed, codes, done = finish_line(box, start_line(box, medium, source))
    assert codes == [OK, OK, OK] and printed == medium.digest, done
    registry.settle()
    assert sum(a.bytes for a in registry.blob_gets(medium.digest, since=before)) < 1000
    settled(box)


def put(box, data, *words):
    return box.run("ingestd", "put", "--raw", *words, data=data)


def commit(box, seal):
    return box.run("commitd", "commit", data=seal)


@pytest.mark.parametrize("data", [b"", b"6bytes", bytes(1 << 20)], ids=["empty", "six bytes", "a MiB"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_put_and_commit(box, data, algorithm):
    digest = digest_of(data, algorithm)
    sealed = put(box, data, "--digest", digest, digest)
    assert sealed.returncode == OK, sealed.stderr
    assert commit(box, sealed.raw).stdout.strip() == digest
    assert box.blob(digest).read_bytes() == data
    settled(box)


def test_put_without_a_digest_learns_it(box):
    data = b"content without a digest"
    sealed = put(box, data, "some-ref")
    assert sealed.returncode == OK, sealed.stderr
    assert commit(box, sealed.raw).stdout.strip() == digest_of(data)
    settled(box)


def test_offset_of_an_unknown_ref_is_zero(box):
    assert box.run("ingestd", "offset", digest_of(b"never seen"), want=OK).stdout == "0\n"


def test_seals_of_several_blobs_in_one_stream(box):
    contents = [b"one", b"two", b"three"]
    seals = b"".join(put(box, c, "--digest", digest_of(c), digest_of(c)).raw for c in contents)
    assert commit(box, seals).stdout.split() == [digest_of(c) for c in contents]
    settled(box)


def test_second_writer_is_told_who_holds_the_lock(box):
    digest = digest_of(b"never completed")
    first = box.popen("ingestd", "put", "--raw", "--digest", digest, digest, stdin=subprocess.PIPE)
    os.write(first.stdin.fileno(), b"never")
    assert box.wait_size(digest, 5, first)
    second = put(box, b"never completed", "--digest", digest, digest)
    assert second.returncode == AGAIN
    assert len(second.stderr.splitlines()) == 1 and str(first.pid) in second.stderr, second.stderr
    first.stdin.close()
    first.stdin = None
    box.finish(first)


def test_raw_bytes_that_end_early_are_kept(box):
    data = os.urandom(3 * MIB)
    digest = digest_of(data)
    short = put(box, data[: 2 * MIB], "--digest", digest, "--size", len(data), digest)
    assert short.returncode == AGAIN and short.stdout == ""
    assert int(box.run("ingestd", "offset", digest, want=OK).stdout) == 2 * MIB
    whole = put(box, data, "--digest", digest, "--size", len(data), digest)
    assert commit(box, whole.raw).stdout.strip() == digest
    settled(box)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "frames"])
def test_oversized_manifest_is_refused(box, raw):
    """The ref says that it is one, and nobody could read it: nothing of it is kept."""
    ref, limit = "manifest://h.io/a:1", 4 << 20
    if raw:
        long = put(box, b" " * (limit + 1), ref)
    else:
        opened = wire.message("OPENED", ref=ref, size=limit + 1)
        long = box.run("ingestd", "put", ref, data=struct.pack(">I", len(opened)) + opened)
    assert long.returncode == BAD_DATA and f"more than {limit} bytes" in long.stderr
    assert box.size(ref) == 0


def test_frames_are_not_read_from_a_terminal(box):
    ours, theirs = os.openpty()
    try:
        process = box.popen("ingestd", "put", "some-ref", stdin=theirs)
        done = box.finish(process, want=USAGE)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "terminal" in done.stderr and "--raw" in done.stderr


def test_what_does_not_fit_can_be_dropped(box, bad):
    """Bytes that were kept and are too many would make each run fail: the error says how to drop them."""
    data = os.urandom(1 * MIB)
    digest = digest_of(data)
    put(box, data + b"!", "--digest", digest, digest)
    bad.on("/file", badserver.whole(data))

    def line():
        frames = box.run("fetchd", "get", "--offset", len(data) + 1, bad.url("/file"))
        return box.run("ingestd", "put", "--digest", digest, digest, data=frames.raw)

    said = line().stderr
    advice = re.search(r"run '(sluice abort [^']*)'", said)
    assert advice, said
    box.run(*advice[1].split(), want=OK)
    assert box.size(digest) < 0  # there is no such file any more
    assert put(box, data, "--digest", digest, digest).returncode == OK


def test_bytes_beyond_the_size_are_refused(box):
    data = os.urandom(1 * MIB)
    digest = digest_of(data)
    long = put(box, data + b"!", "--digest", digest, "--size", len(data), digest)
    assert long.returncode == BAD_DATA
    assert box.size(digest) <= len(data)
