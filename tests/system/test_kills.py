# SPDX-License-Identifier: Apache-2.0
"""
kill -9 of each process at several offsets of a big blob, on progress and not on time. The server's access log shows how
much was sent twice, `sluice status` how much was hashed again.
"""

import os
import signal

import pytest

from conftest import MIB, settled, socket_buffers
from stages import STAGES, kill

POINTS = (0.05, 0.25, 0.5, 0.75)  # of the blob
SENT_TWICE_FULL_SPEED = 14 * MIB + socket_buffers()  # per kill: ranges, the pipe, and what the stream left in the kernel
SENT_TWICE_AT_50_MB_S = 4 * MIB
HASHED_AGAIN = 1 * MIB

# With ranges, per kill: their window and what is in the pipe. Also, for each stream that is replaced by ranges, the
# server's socket buffer (net.ipv4.tcp_wmem), which its log counts as sent.
WINDOW = 8 * 1152 << 10  # of long ranges, as on a slow machine
PIPE = 1 * MIB
STREAM = 4 * MIB

VICTIMS = [(name,) for name in STAGES] + [STAGES]


def kill_all(box, names):
    """Kill all of them before waiting for successors."""
    old = {name: box.stage(name) for name in names}
    for pid in old.values():
        kill(pid)
    for name, pid in old.items():
        assert box.stage(name) != pid


def sent(server, blob, since):
    return sum(a.bytes for a in server.blob_gets(blob.digest, since=since))


def pull_through_kills(box, server, blob, victims, bound):
    """One pull under `sluice up` with the victims killed at each point; then check the counts."""
    server.settle()
    before = len(server.accesses())
    with box.up():
        pull = box.popen("sluice", "pull", f"{server.address}/{blob.name}:{blob.tag}")
        kills = 0
        for point in POINTS:
            assert box.wait_size(blob.digest, int(blob.size * point), pull), f"over before {point:.0%}"
            kill_all(box, victims)
            kills += 1
            hashed_again = box.status(blob.digest)["rehashed_bytes"]
            assert hashed_again <= HASHED_AGAIN * kills
        box.finish(pull, want=0)
    server.settle()
    assert box.blob(blob.digest).exists()
    sent_twice = sent(server, blob, before) - blob.size
    print(f"{victims}: {kills} kills, {sent_twice} bytes sent twice, {hashed_again} hashed again")
    assert 0 <= sent_twice <= bound * kills
    settled(box)


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
def test_stages_killed_at_full_speed(big_box, registry, big, victims):
    pull_through_kills(big_box, registry, big, victims, SENT_TWICE_FULL_SPEED)


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
def test_stages_killed_at_50_mb_s(big_box, slow, rated, victims):
    """
    One stream. nginx limits each request and sends its first second's bytes at once, so ranges would be as fast as
    without a limit. For ranges, see below.
    """
    big_box.configure("[fetchd]\nretry_delay = 50ms\nranges = 1\n")
    pull_through_kills(big_box, slow, rated, victims, SENT_TWICE_AT_50_MB_S)


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
def test_stages_killed_during_ranges(box, paced, victims):
    """Each successor resumes at its offset, first with one stream and then with ranges."""
    points = (8 * MIB, 16 * MIB, 24 * MIB)
    paced.settle()
    before = len(paced.accesses())
    with box.up():
        fetching = box.popen("sluice", "fetch", f"http://{paced.address}/files/blob", "--digest", paced.digest)
        for kills, point in enumerate(points, 1):
            assert box.wait_size(paced.digest, point, fetching)
            assert len(paced.accesses(since=before)) >= 8 * kills, "there were no ranges"
            kill_all(box, victims)
            hashed_again = box.status(paced.digest)["rehashed_bytes"]
            assert hashed_again <= HASHED_AGAIN * kills
        box.finish(fetching, want=0)
    paced.settle()
    accesses = paced.accesses(since=before)
    streams = [a for a in accesses if a.range == "-" or a.range.endswith(f"-{paced.size - 1}")]
    sent_twice = sum(a.bytes for a in accesses) - paced.size
    print(f"{victims}: {kills} kills, {len(accesses)} requests, {sent_twice} bytes sent twice, {hashed_again} hashed again")
    assert [a.range for a in accesses].count("-") == 1, "only the first request has no range"
    assert 0 <= sent_twice <= kills * (WINDOW + PIPE) + len(streams) * STREAM
    assert len(streams) <= kills + 2, "the last range, and one stream for each start"
    settled(box)


def test_sluice_killed_and_run_again(big_box, registry, big):
    box = big_box
    registry.settle()
    before = len(registry.accesses())
    for point in POINTS:
        pull = box.popen("sluice", "pull", f"{registry.address}/{big.name}:{big.tag}")
        assert box.wait_size(big.digest, int(big.size * point), pull), f"over before {point:.0%}"
        kill(pull.pid)
        box.finish(pull)
        box.gone()  # no client uses the stages any more
    box.sluice("pull", f"{registry.address}/{big.name}:{big.tag}")
    registry.settle()
    assert 0 <= sent(registry, big, before) - big.size <= SENT_TWICE_FULL_SPEED * len(POINTS)
    settled(box)


def test_everything_killed_and_run_again(big_box, registry, big):
    """Including the supervisor."""
    box = big_box
    registry.settle()
    before = len(registry.accesses())
    for point in POINTS:
        pull = box.popen("sluice", "pull", f"{registry.address}/{big.name}:{big.tag}")
        assert box.wait_size(big.digest, int(big.size * point), pull), f"over before {point:.0%}"
        doomed = box.pids()
        assert set(STAGES) <= set(doomed.values())
        box.kill_everything()
        assert not box.pids()
    box.sluice("pull", f"{registry.address}/{big.name}:{big.tag}")
    registry.settle()
    assert 0 <= sent(registry, big, before) - big.size <= SENT_TWICE_FULL_SPEED * len(POINTS)
    settled(box)


@pytest.mark.parametrize("victims", [("commitd",), ("ingestd",), STAGES], ids="+".join)
def test_killed_between_seal_and_commit(box, registry, medium, victims):
    """
    commitd is stopped until the data is seen to be whole and unnamed. One stream, because on a slow machine the bytes
    in flight when ranges take over would be sent twice.
    """
    box.configure("[fetchd]\nranges = 1\n")
    registry.settle()
    before = len(registry.accesses())
    with box.up():
        pull = box.popen("sluice", "pull", f"{registry.address}/{medium.name}:{medium.tag}")
        held = box.stage("commitd")
        assert box.wait_size(medium.digest, 1, pull)
        os.kill(held, signal.SIGSTOP)
        assert box.wait_sealed(medium.digest)
        assert not box.blob(medium.digest).exists()
        kill_all(box, victims)
        if "commitd" not in victims:
            os.kill(held, signal.SIGCONT)
        box.finish(pull, want=0)
    registry.settle()
    assert sent(registry, medium, before) == medium.size
    settled(box)


def test_ingestd_killed_repeatedly_during_recovery(box, registry, medium):
    """A successor that dies while it recovers does no damage."""
    with box.up():
        pull = box.popen("sluice", "pull", f"{registry.address}/{medium.name}:{medium.tag}")
        assert box.wait_size(medium.digest, medium.size // 3, pull)
        last = None
        for _ in range(8):
            pid = box.stage("ingestd")
            assert pid != last
            kill(pid)
            last = pid
        box.finish(pull, want=0)
    settled(box)
