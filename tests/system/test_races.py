# SPDX-License-Identifier: Apache-2.0
"""
Concurrent users of one store: pulls of the same layers, aborts and resets of transfers that others wait for, two sets
of stages, tools beside the daemons. The loser gets a message, nothing is fetched twice without need, and content is
right.
"""

import fcntl
import hashlib
import os
import random
import re
import struct
import subprocess
import threading

import pytest

import badserver
import invariants
from conftest import MIB, settled
from images import CONFIG, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, NOT_FOUND, OK, one_line

LAYERS = [os.urandom(300_000), os.urandom(50_000), os.urandom(1000), b""]
DATA = os.urandom(3 * MIB)
DIGEST = digest_of(DATA)
CROWD = 16
SEEDS = (1, 2, 3)


@pytest.fixture
def image(bad):
    """Two tags of one repository that share all layers but one. Their blobs wait at `bad.gate` for all clients."""
    configs = [config_blob(), config_blob("arm64")]
    for data in (*configs, *LAYERS):
        bad.on(f"/v2/app/blobs/{digest_of(data)}", badserver.whole(data))
    for tag, config in zip("12", configs):
        layers = [descriptor(data, LAYER) for data in (LAYERS if tag == "1" else LAYERS[:-1])]
        manifest = manifest_blob(config, layers)
        for name in (tag, digest_of(manifest)):
            bad.on(f"/v2/app/manifests/{name}", badserver.whole(manifest, {"Content-Type": MANIFEST}))
    return f"{bad.address}/app"


@pytest.mark.parametrize("daemons", [True, False], ids=["up", "embedded"])
def test_concurrent_pulls_fetch_each_layer_once(box, bad, image, daemons):
    """`embedded`: the first client starts the stages for all, the last one stops them."""
    def pull_all():
        crowd = [box.popen("sluice", "pull", f"{image}:{1 + n % 2}") for n in range(CROWD)]
        for process in crowd:
            box.finish(process, want=OK)

    if daemons:
        with box.up():
            pull_all()
    else:
        pull_all()
        box.gone()
    for data in (config_blob(), config_blob("arm64"), *LAYERS):
        assert len(bad.asked(f"/v2/app/blobs/{digest_of(data)}")) == (1 if data else 0), "fetched more than once"
        assert box.blob(digest_of(data)).read_bytes() == data
    assert {entry["name"] for entry in box.json("images")} == {f"{image}:1", f"{image}:2"}
    settled(box)


@pytest.mark.parametrize("seed", SEEDS)
def test_abort_reset_and_fetch_together(box, bad, seed):
    """In an order that follows from the seed, a few at a time, on a few refs. Some bodies are cut short."""
    chance = random.Random(seed)
    contents = [random.Random(f"{seed} {n}").randbytes(400_000 + n) for n in range(3)]
    for n, data in enumerate(contents):
        cuts = [badserver.cut_short(data, chance.randrange(len(data)), reset=chance.random() < 0.5) for _ in range(20)]
        bad.on(f"/{n}", *cuts, badserver.whole(data))
    box.configure("[fetchd]\nretry_delay = 10ms\n")

    def words():
        n = chance.randrange(len(contents))
        verb = chance.choice(["fetch", "fetch", "abort", "reset"])
        more = [bad.url(f"/{n}"), "--digest"] if verb == "fetch" else []
        return [verb, *more, digest_of(contents[n])]

    allowed = {"fetch": (OK, AGAIN), "abort": (OK, AGAIN), "reset": (OK, AGAIN, NOT_FOUND)}
    with box.up():
        pids = box.pids("fetchd", "ingestd", "commitd")
        for _ in range(8):
            wave = [words() for _ in range(chance.randrange(3, 7))]
            for said, process in [(said, box.popen("sluice", *said)) for said in wave]:
                result = box.finish(process)
                assert result.returncode in allowed[said[0]], f"{said}: {result.returncode}: {result.stderr}"
        for n, data in enumerate(contents):
            box.sluice("fetch", bad.url(f"/{n}"), "--digest", digest_of(data))
            assert box.blob(digest_of(data)).read_bytes() == data
        assert box.pids("fetchd", "ingestd", "commitd") == pids, "a stage died"
        assert not invariants.kept_open(box.store, pids)
    settled(box)


def test_two_up_on_one_runtime_directory(box):
    with box.up() as first:
        second = box.run("sluice", "up", want=AGAIN)
        one_line(second.stderr, box.store, box.runtime, first.pid)


def test_two_up_on_one_store(box, bad):
    """The runtime directories differ. The second stages notice and give up, and the first are not disturbed."""
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        told = box.directory / "second.log"
        with open(told, "wb") as log:
            second = box.popen("sluice", "--runtime-dir", box.directory / "run2", "up", stdout=log, stderr=log)
        wait_for("both stages to say so", lambda: told.read_text().count(str(box.store)) >= 2)
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
        second.terminate()
        box.finish(second)
        text = told.read_text()
        assert re.search("is already served by ingestd [0-9]+ since", text)
        assert re.search("is already served by commitd [0-9]+ since", text)
    settled(box)


def put(box, *words, data=DATA, **options):
    return box.popen("ingestd", "put", "--raw", "--digest", DIGEST, "--size", len(DATA), *words, DIGEST,
                     stdin=subprocess.PIPE, **options)


def test_fetch_of_a_ref_that_put_writes(box, bad):
    """A fetch is told that `put` holds the lock. Later it resumes behind the bytes of `put`."""
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        by_hand = put(box)
        os.write(by_hand.stdin.fileno(), DATA[:1000])
        assert box.wait_size(DIGEST, 1000, by_hand)
        said = box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=AGAIN)
        one_line(said.stderr, bad.url("/blob"), "locked by ingestd put", by_hand.pid)
        assert not bad.asked("/blob")
        box.finish(by_hand, want=AGAIN, data=b"")
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
        assert [r.range for r in bad.asked("/blob")] == [f"bytes=1000-{len(DATA) - 1}"]
    settled(box)


def test_put_to_a_ref_that_a_daemon_fetches(box, bad):
    """It is told that ingestd holds the lock, and the fetch is not disturbed."""
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (MIB, len(DATA)), gate))
    with box.up():
        fetch = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        assert box.wait_size(DIGEST, MIB, fetch)
        by_hand = put(box)
        said = box.finish(by_hand, want=AGAIN, data=DATA)
        one_line(said.stderr, DIGEST, "locked by ingestd", box.stage("ingestd"))
        gate.release()
        box.finish(fetch, want=OK)
    assert len(bad.asked("/blob")) == 1
    settled(box)


def test_commit_waits_for_another_commitd(box):
    """One that was stopped in mid-commit holds up that blob alone, also in a daemon. When it is killed, the next goes on."""
    data, other = os.urandom(20_000), os.urandom(20_000)
    seal = box.run("ingestd", "put", "--raw", "--digest", digest_of(data), "r", data=data, want=OK).raw
    seal_of_other = box.run("ingestd", "put", "--raw", "--digest", digest_of(other), "o", data=other, want=OK).raw
    box.run("commitd", "commit", data=seal_of_other, want=OK)  # makes the directory, too
    name = hashlib.sha256(b"r").hexdigest()
    with open(box.store / "commit/claims", "r+b") as claims:
        fcntl.fcntl(claims, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, int(name[:15], 16), 1, 0))
        waits = box.popen("commitd", "commit", stdin=subprocess.PIPE)
        waits.stdin.write(seal)
        waits.stdin.close()
        waits.stdin = None
        box.run("commitd", "commit", data=seal_of_other, want=OK)
        assert "another commitd is working on 'r'" in waits.stderr.readline().decode()
        assert waits.poll() is None and not box.blob(digest_of(data)).exists()
        assert (box.store / "ingest" / name / "data").exists()
    box.finish(waits, want=OK)
    assert box.blob(digest_of(data)).read_bytes() == data
    settled(box)


def test_commit_beside_commitd(box, bad):
    """Tools and daemons name the same sealed blobs at the same time. The later ones find them named."""
    contents = [os.urandom(20_000 + n) for n in range(12)]
    with box.up():
        seals = b""
        for data in contents:
            digest = digest_of(data)
            seals += box.run("ingestd", "put", "--raw", "--digest", digest, digest, data=data, want=OK).raw
        by_hand = [box.popen("commitd", "commit", stdin=subprocess.PIPE) for _ in range(3)]
        for process in by_hand:
            process.stdin.write(seals)
            process.stdin.close()
            process.stdin = None
        asked = [box.popen("sluice", "fetch", bad.url("/absent"), "--digest", digest_of(data)) for data in contents]
        for process in asked:
            box.finish(process, want=OK)
        for process in by_hand:
            result = box.finish(process)
            assert result.returncode in (OK, AGAIN), result.stderr
            assert set(result.stdout.split()) <= {digest_of(data) for data in contents}
            assert result.returncode == AGAIN or len(result.stdout.split()) == len(contents)
    for data in contents:
        assert box.blob(digest_of(data)).read_bytes() == data
    assert not bad.asked("/absent"), "a sealed blob was fetched again"
    settled(box)
