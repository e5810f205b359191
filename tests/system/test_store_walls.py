# SPDX-License-Identifier: Apache-2.0
"""
The walls of a store, tried by other users: what a compromised ingestd can make commitd name, and what a reader of the
store can do to its stages. Needs root, to become these users.
"""

import hashlib
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

import pytest

import badserver
import wire
from conftest import BINDIR, TESTS
from images import digest_of
from servers import wait_for
from stages import AGAIN, BAD_DATA, OK

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

INGESTD, COMMITD, STORE_GROUP, STRANGER = 64101, 64102, 64103, 64104  # unused on any machine
SEALS = 150
SIZE = 64


def as_user(uid, *words, groups=()):
    more = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", *more, "--", *map(str, words)]


class Store:
    """A store as under the units: commitd's, except ingest/, which ingestd and commitd share by a group."""

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "store"
        self.commitd = directory / "commitd"
        shutil.copy(BINDIR / "commitd", self.commitd)
        self.path.mkdir(mode=0o755)
        self.ingest = self.path / "ingest"
        self.ingest.mkdir()
        os.chown(self.path, COMMITD, COMMITD)
        os.chown(self.ingest, INGESTD, STORE_GROUP)
        self.ingest.chmod(0o2770)

    def give(self, path, mode):
        os.chown(path, INGESTD, STORE_GROUP)
        path.chmod(mode)

    def record(self, ref, digest):
        path = self.ingest / id_of(ref) / "transfer"
        path.write_text(f"ref={ref}\nsize={SIZE}\nsealed={digest}\nend=1\n")
        self.give(path, 0o640)

    def sealed(self, ref, data, noted=True, digest=None, **others):
        """
        Make an ingest with this data and optional other files, all read-only, of the same length and time. Returns its
        seal. Seal and record have `digest`, by default the right one.
        """
        directory = self.ingest / id_of(ref)
        directory.mkdir()
        self.give(directory, 0o2770)
        for name, content in {"data": data, **others}.items():
            (directory / name).write_bytes(content.ljust(SIZE))
            self.give(directory / name, 0o444)
            os.utime(directory / name, (1, 1))
        digest = digest or digest_of(data.ljust(SIZE))
        if noted:
            self.record(ref, digest)
        status = (directory / "data").stat()
        return {"ref": ref, "digest": digest, "size": SIZE, "ino": status.st_ino, "mtime": status.st_mtime_ns}

    def command(self, *words):
        return as_user(COMMITD, self.commitd, "commit", "--store", self.path, *words, groups=[STORE_GROUP])

    def commit(self, seals, *words):
        """Run `commitd commit` on these seals, as its user."""
        return subprocess.run(self.command(*words), input=b"".join(map(frame, seals)), capture_output=True)

    def wrong(self):
        """Blobs that do not hash to their names."""
        return [path.name for path in (self.path / "blobs/sha256").iterdir()
                if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]

    def blobs(self):
        return len(list((self.path / "blobs/sha256").iterdir()))


def frame(seal):
    message = wire.message("SEALED", **seal)
    return struct.pack(">I", len(message)) + message


def line_of(process):
    line = process.stdout.readline()
    assert line, "commitd has ended"
    return line.decode().strip()


def id_of(ref):
    return hashlib.sha256(ref.encode()).hexdigest()


@pytest.fixture
def store():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="slt-", dir="/dev/shm"))
    directory.chmod(0o755)
    try:
        yield Store(directory)
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("words", [(), ("--verify", "always")], ids=["when-asked", "always"])
def test_data_exchanged_between_check_and_name_is_not_named(store, words):
    """Whatever replaces the data, and whenever: only the file that was checked gets the name."""
    marker = store.sealed("marker", b"marker")
    assert store.commit([marker]).returncode == OK
    seals = [store.sealed(f"ref/{number}", f"good {number}".encode(), evil=f"evil {number}".encode())
             for number in range(SEALS)]
    script = (TESTS / "lib/exchange.py").read_text()
    ids = [id_of(seal["ref"]) for seal in seals]
    attacker = as_user(INGESTD, sys.executable, "-c", script, store.ingest, *ids, groups=[STORE_GROUP])
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(attacker, stdout=subprocess.PIPE) as exchange, \
            subprocess.Popen(store.command(*words), **streams) as commitd:
        assert exchange.stdout.readline()
        for seal in seals:
            answers = []
            while seal["digest"] not in answers:  # refused if it is exchanged at the moment of the check
                commitd.stdin.write(frame(seal) + frame(marker))
                commitd.stdin.flush()
                answers = list(iter(lambda: line_of(commitd), marker["digest"]))
        commitd.stdin.close()
    assert store.wrong() == []
    assert store.blobs() == SEALS + 1


WANTED = digest_of(b"wanted".ljust(SIZE))


def test_seal_without_a_matching_record_is_refused(store):
    """A seal names nothing without a record, or with a record of another digest."""
    seal = store.sealed("some/ref", b"evil", noted=False, digest=WANTED)
    assert store.commit([seal]).returncode == AGAIN
    store.record("some/ref", digest_of(b"evil".ljust(SIZE)))
    assert store.commit([seal]).returncode == AGAIN
    assert store.blobs() == 0


def test_verify_always_detects_a_wrong_record(store):
    """ingestd writes both the data and the record. With --verify always commitd checks the bytes."""
    seal = store.sealed("some/ref", b"evil", digest=WANTED)
    assert store.commit([seal], "--verify", "always").returncode == BAD_DATA
    assert store.blobs() == 0


def test_kept_descriptor_can_change_a_blob(store):
    """Not a wall: the file stays the one that ingestd has written, and its descriptor remains open for writing."""
    seal = store.sealed("one", b"right")
    kept = os.open(store.ingest / id_of("one") / "data", os.O_RDWR)
    store.commit([seal], "--verify", "always")
    assert store.blobs() == 1 and not store.wrong()
    os.pwrite(kept, b"wrong", 0)
    os.close(kept)
    assert len(store.wrong()) == 1


def test_only_commitd_can_enter_its_custody(store):
    assert store.commit([store.sealed("some/ref", b"data")]).returncode == OK
    for user in (INGESTD, STRANGER):
        listed = subprocess.run(as_user(user, "ls", store.path / "commit", groups=[STORE_GROUP]), capture_output=True)
        assert b"Permission denied" in listed.stderr


def test_reader_cannot_lock_the_store(box, bad):
    """A stranger locks everything that it can open in a public store and its runtime directory. Stages still work."""
    box.directory.chmod(0o755)
    bad.on("/one", badserver.whole(b"one"))
    bad.on("/two", badserver.whole(b"two"))
    box.sluice("fetch", bad.url("/one"))
    box.gone()
    script = (TESTS / "lib/lockall.py").read_text()
    stranger = as_user(STRANGER, sys.executable, "-c", script, box.store, box.runtime)
    with subprocess.Popen(stranger, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert int(locker.stdout.readline()) > 5  # the store, its directories and files
        with box.up():
            box.sluice("fetch", bad.url("/two"))
        locker.stdin.close()
    box.gone()


NAMES_MAX = 16 << 20  # bytes of index.json


def fill_index(box, size):
    """Pad index.json to that many bytes and keep its names."""
    path = box.store / "index.json"
    index = json.loads(path.read_bytes()) | {"x-padded": ""}
    missing = size - len(json.dumps(index, separators=(",", ":")))
    path.write_text(json.dumps(index | {"x-padded": "x" * missing}, separators=(",", ":")))
    assert path.stat().st_size == size


def test_name_beyond_the_limit_of_the_index_is_refused(box, sample):
    """Nothing is written then, and other commands still work."""
    box.sluice("pull", sample)
    box.gone()
    fill_index(box, 5 << 20)
    box.sluice("tag", sample, "more:1")
    assert "more:1" in box.sluice("images").stdout
    fill_index(box, NAMES_MAX)
    index = (box.store / "index.json").read_bytes()
    refused = box.run("sluice", "tag", sample, "one-name-more:1", want=AGAIN)
    assert "index.json' is full" in refused.stderr and "sluice rm" in refused.stderr
    assert (box.store / "index.json").read_bytes() == index
    assert "16 MiB" in box.run("sluice", "doctor").stdout
    box.sluice("rm", "more:1")
    box.sluice("tag", sample, "one:1")


@pytest.mark.parametrize("mask, directory, file", [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600), (0o027, 0o750, 0o640),
                                                   (0o777, 0o700, 0o600), (0o000, 0o755, 0o644)], ids=oct)
def test_modes_respect_the_umask(box, bad, mask, directory, file):
    """Modes of the store, of directories created above it, and of files in it. Blobs are always 0444."""
    bad.on("/one", badserver.whole(b"one"))
    box.store = box.directory / "above/more/store"
    box.finish(box.popen("sluice", "fetch", bad.url("/one"), umask=mask), want=OK)
    box.gone()
    assert all(stat.S_IMODE(path.stat().st_mode) == directory
               for path in (box.store, *box.store.parents[:2], box.store / "blobs", box.store / "blobs/sha256"))
    assert stat.S_IMODE((box.store / "index.json").stat().st_mode) == file
    assert {stat.S_IMODE(path.stat().st_mode) for path in (box.store / "blobs/sha256").iterdir()} == {0o444}


def test_signed_urls_are_readable_only_by_the_stages(box, bad):
    """The source of a transfer may be as secret as a password, so its record has mode 0600."""
    bad.on("/signed", badserver.status(503, {"Retry-After": "60"}))
    fetching = box.popen("sluice", "fetch", bad.url("/signed?X-Signature=secret"), umask=0o022)
    wait_for("the request", lambda: bad.requests)
    (record,) = box.store.glob("ingest/*/transfer")
    assert "secret" in record.read_text()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    fetching.terminate()
    box.finish(fetching)
    box.gone()


@pytest.mark.parametrize("refs", [(digest_of(b"other"),) * 3, ("some/url", "some/url", "another/url"),
                                  ("some/url", "another/url", "some/url")], ids=["digest", "end", "chunk"])
def test_put_refuses_frames_of_another_ref(box, refs):
    data, digest = b"data", digest_of(b"data")
    opened, chunk, end = refs
    frames = (wire.message("OPENED", ref=opened, size=len(data)), wire.message("CHUNK", ref=chunk, payload=data),
              wire.message("END", ref=end, size=len(data)))
    refused = box.run("ingestd", "put", "--digest", digest, digest, want=BAD_DATA,
                      data=b"".join(struct.pack(">I", len(m)) + m for m in frames))
    assert f"cannot put '{digest}'" in refused.stderr


@pytest.mark.parametrize("size", [(1 << 63) - 1, 1 << 62], ids=["largest", "large"])
def test_size_of_an_earlier_stream_does_not_last(box, size):
    """It has no room on any disk. The next stream of the same content is put."""
    data, digest = b"data", digest_of(b"data")

    def put(announced, want):
        frames = (wire.message("OPENED", ref=digest, size=announced), wire.message("CHUNK", ref=digest, payload=data),
                  wire.message("END", ref=digest, size=len(data)))
        return box.run("ingestd", "put", "--digest", digest, digest, want=want,
                       data=b"".join(struct.pack(">I", len(m)) + m for m in frames))

    assert "no space" in put(size, AGAIN).stderr
    put(len(data), OK)
