# SPDX-License-Identifier: Apache-2.0
"""lib/invariants.py, which all tests rely on: a valid store passes, and each kind of damage is reported."""

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import zlib

import pytest

from images import LAYER, config_blob, descriptor, digest_of, manifest_blob, MANIFEST
from invariants import check_runtime, kept_open, problems_of

CONTENT = b"a layer"
REF = digest_of(b"not all here yet")
RECORD = f"ref={REF}\nsize=16\nstarted=2026-01-31T12:34:56Z\n"
SEAL = f"sealed={digest_of(b'elsewhere')}\n"


def add_blob(store, data):
    path = store / "blobs/sha256" / digest_of(data).partition(":")[2]
    path.write_bytes(data)
    path.chmod(0o444)
    return path


@pytest.fixture
def store(tmp_path):
    store = tmp_path / "store"
    (store / "blobs/sha256").mkdir(parents=True)
    manifest = manifest_blob(config_blob(), [descriptor(CONTENT, LAYER)])
    for data in (CONTENT, config_blob(), manifest):
        add_blob(store, data)
    entry = descriptor(manifest, MANIFEST, annotations={"org.opencontainers.image.ref.name": "a:1"})
    (store / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (store / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    ingest = store / "ingest" / hashlib.sha256(REF.encode()).hexdigest()
    ingest.mkdir(parents=True)
    (ingest / "transfer").write_text(f"{RECORD}end=1\nref=torn")
    (ingest / "data").write_bytes(b"not all")
    (ingest / "checkpoint").write_bytes(bytes(4096) + slot(7, ingest.name))
    return store


def slot(offset, ingest_name):
    """A durable slot, as far as the checker reads it."""
    head = b"SLUICECP" + bytes(16) + offset.to_bytes(8, "big") + bytes(48) + bytes.fromhex(ingest_name)
    head = head.ljust(508, b"\0")
    return head + zlib.crc32(head).to_bytes(4, "big")


def record(store, text):
    (ingest(store) / "transfer").write_text(f"{text}end=1\n")


def layer(store):
    return store / "blobs/sha256" / digest_of(CONTENT).partition(":")[2]


def ingest(store):
    return next(path for path in (store / "ingest").iterdir() if path.is_dir())


def rewrite(path, data):
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o444)


def instead(path, make):
    path.unlink()
    make(path)


def edit_index(store, edit):
    path = store / "index.json"
    document = json.loads(path.read_text())
    edit(document["manifests"])
    path.write_text(json.dumps(document))


DAMAGE = {  # the damage to a store, and a piece of the report
    "flipped byte": (lambda s: rewrite(layer(s), b"A layer"), "hash to"),
    "cut blob": (lambda s: rewrite(layer(s), b"a lay"), "bytes, where"),
    "missing layer": (lambda s: layer(s).unlink(), "missing"),
    "writable blob": (lambda s: layer(s).chmod(0o644), "mode 644"),
    "second link": (lambda s: os.link(layer(s), s / "oci-layout.link"), "2 links"),
    "symbolic link": (lambda s: (s / "blobs/sha256" / ("0" * 64)).symlink_to(layer(s)), "not a regular file"),
    "blob name that is not a digest": (lambda s: (s / "blobs/sha256/note").write_text(""), "not the name of a blob"),
    "unknown algorithm": (lambda s: (s / "blobs/md5").mkdir(), "no state explains it"),
    "index that is not JSON": (lambda s: (s / "index.json").write_text("{"), "not readable"),
    "empty object as index": (lambda s: (s / "index.json").write_text("{}"), "not an image index"),
    "one name twice": (lambda s: edit_index(s, lambda entries: entries.append(entries[0])), "twice"),
    "wrong size in the index": (lambda s: edit_index(s, lambda entries: entries[0].update(size=1)), "says 1"),
    "layout of another version": (lambda s: (s / "oci-layout").write_text("{}"), "version"),
    "missing layout": (lambda s: (s / "oci-layout").unlink(), "missing"),
    "stray file": (lambda s: (s / "tmp").write_text(""), "no state explains it"),
    "stray file in an ingest": (lambda s: (ingest(s) / "tmp").write_text(""), "no state explains it"),
    "ingest without a transfer": (lambda s: (ingest(s) / "transfer").unlink(), "no state explains it"),
    "torn transfer": (lambda s: (ingest(s) / "transfer").write_text(RECORD), "no whole record"),
    "ref of another ingest": (lambda s: record(s, RECORD.replace(REF, "a")), "does not belong"),
    "ingest without an age": (lambda s: record(s, RECORD.partition("started")[0]), "since when"),
    "failed without a reason": (lambda s: record(s, RECORD + "failed=7\n"), "does not say why"),
    "sealed before the end": (lambda s: record(s, RECORD + SEAL), "sealed with 16"),
    "sealed and gone": (lambda s: (record(s, RECORD + SEAL), (ingest(s) / "data").unlink()), "neither here nor in blobs"),
    "slot beyond the data": (lambda s: (ingest(s) / "data").write_bytes(b"not al"), "vouches for 7 bytes"),
    "name of a blob that is not an image": (lambda s: edit_index(s, lambda e: e[0].update(mediaType=LAYER)), "no image"),
    "FIFO for a record": (lambda s: instead(ingest(s) / "transfer", os.mkfifo), "transfer': no state explains it"),
    "FIFO for a checkpoint": (lambda s: instead(ingest(s) / "checkpoint", os.mkfifo), "no state explains it"),
    "FIFO for the index": (lambda s: instead(s / "index.json", os.mkfifo), "not a regular file"),
    "link for the layout": (lambda s: instead(s / "oci-layout", lambda p: p.symlink_to("/dev/null")), "not a regular"),
    "data beyond the size": (lambda s: (ingest(s) / "data").write_bytes(bytes(17)), "more than"),
}


def test_valid_store_passes(store):
    assert problems_of(store, settled=True) == []


def test_absent_store_passes(tmp_path):
    assert problems_of(tmp_path / "nothing", settled=True) == []


@pytest.mark.parametrize("damage, complaint", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_reported(store, damage, complaint):
    damage(store)
    problems = problems_of(store, settled=True)
    assert any(complaint in problem for problem in problems), problems


def test_torn_and_foreign_slots_are_ignored(store):
    for content in (slot(100, "0" * 64), slot(100, ingest(store).name)[:-1] + b"\0"):
        (ingest(store) / "checkpoint").write_bytes(bytes(4096) + content)
        assert problems_of(store, settled=True) == []


def test_leftovers_of_live_processes_are_reported(tmp_path):
    (tmp_path / "log").write_text("")
    for name in ("fetch", "ingestd"):
        (tmp_path / name).mkdir()
    for name in ("ingestd/ctl", "fetch/orders"):
        (tmp_path / name).write_text("")
    problems = []
    check_runtime(tmp_path, problems)
    assert len(problems) == 2 and "fetch/orders" in problems[0] and "ingestd/ctl" in problems[1]


def test_socket_without_a_name_is_reported(tmp_path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "x"))
        (tmp_path / "x").unlink()
        problems = []
        check_runtime(tmp_path, problems)
    assert len(problems) == 1 and "still a socket" in problems[0]


HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"


def make_lock(store):
    (ingest(store) / "lock").touch(mode=0o600)


@pytest.fixture
def holder(store):
    """Another process that holds the lock of the ingest until the end of the test."""
    make_lock(store)
    command = [sys.executable, "-c", HOLD, ingest(store) / "lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_held_lock_is_reported(store, tmp_path, holder):
    problems = problems_of(store, settled=True, runtime=tmp_path / "run")
    assert len(problems) == 2, problems
    assert f"locked by process {holder.pid}" in problems[0] and f"kept open by process {holder.pid}" in problems[1]


def test_our_own_lock_is_not_reported(store, tmp_path):
    make_lock(store)
    with open(ingest(store) / "lock") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert problems_of(store, settled=True, runtime=tmp_path / "run") == []


def test_descriptor_of_a_removed_ingest_is_reported(store, holder):
    assert kept_open(store, [holder.pid]) == []
    (ingest(store) / "lock").unlink()
    assert len(kept_open(store, [holder.pid])) == 1
