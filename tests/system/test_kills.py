"""
kill -9 of each process, at several offsets of one big blob, on progress and not on time. The server's access log proves
how much was sent twice, `sluice status` how much was hashed again.
"""

import os
import signal

import pytest

from conftest import MIB, settled
from stages import STAGES, kill

POINTS = (0.05, 0.25, 0.5, 0.75)  # of the blob
SENT_TWICE_FULL_SPEED = 16 * MIB  # a kill: all that was in flight, the kernel's socket buffers included
SENT_TWICE_AT_50_MB_S = 4 * MIB
HASHED_AGAIN = 1 * MIB

VICTIMS = [(name,) for name in STAGES] + [STAGES]


def kill_all(box, names):
    """All of them before any successor is looked for."""
    old = {name: box.stage(name) for name in names}
    for pid in old.values():
        kill(pid)
    for name, pid in old.items():
        assert box.stage(name) != pid


def sent(server, blob, since):
    return sum(a.bytes for a in server.blob_gets(blob.digest, since=since))


def pull_through_kills(box, server, blob, victims, bound):
    """One pull under `sluice up`, with the victims killed at each point; then the proofs."""
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
    """One stream: eight would be as fast as without a limit."""
    big_box.configure("[fetchd]\nretry_delay = 50ms\nranges = 1\n")
    pull_through_kills(big_box, slow, rated, victims, SENT_TWICE_AT_50_MB_S)


def test_sluice_killed_and_run_again(big_box, registry, big):
    box = big_box
    registry.settle()
    before = len(registry.accesses())
    for point in POINTS:
        pull = box.popen("sluice", "pull", f"{registry.address}/{big.name}:{big.tag}")
        assert box.wait_size(big.digest, int(big.size * point), pull), f"over before {point:.0%}"
        kill(pull.pid)
        box.finish(pull)
        box.gone()  # nobody is left whom the stages could serve
    box.sluice("pull", f"{registry.address}/{big.name}:{big.tag}")
    registry.settle()
    assert 0 <= sent(registry, big, before) - big.size <= SENT_TWICE_FULL_SPEED * len(POINTS)
    settled(box)


def test_everything_killed_and_run_again(big_box, registry, big):
    """The supervisor too: a power cut without the cut."""
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
    """A stopped commitd holds the seal for as long as it takes to see that the data is whole and has no name."""
    registry.settle()
    before = len(registry.accesses())
    with box.up():
        pull = box.popen("sluice", "pull", f"{registry.address}/{medium.name}:{medium.tag}")
        assert box.wait_size(medium.digest, medium.size // 2, pull)
        held = box.stage("commitd")
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


def test_killed_again_and_again_in_its_first_moments(box, registry, medium):
    """A successor that dies while it recovers leaves nothing worse than it found."""
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
