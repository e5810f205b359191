# SPDX-License-Identifier: Apache-2.0
"""
Files on disk are damaged while the stages are down, in every way: each file of an ingest in each state, and the store's
own files. All cases of one state share a store, and then everything is requested again. There is never a wrong blob and
never a wedge: the ingest recovers by itself, or is refused with a message that names the file until `sluice abort`.
"""

import collections
import contextlib
import os
import stat

import pytest

import badserver
from conftest import settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import BAD_DATA, CONFIG as BAD_CONFIGURATION, IO, NOT_FOUND, OK, one_line

SIZE, HAD, SLOT_EVERY = 400_000, 300_000, 65536
VICTIM = b"precious"
FILES = ("data", "checkpoint", "transfer", "lock")
ITSELF = ""  # the ingest's directory

Case = collections.namedtuple("Case", "file damage data digest path")


# ── damages: (path, victim) ──


def flip(path, _):
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 3] ^= 0x10
    overwrite(path, content)


def cut(path, _):
    truncate(path, path.stat().st_size // 2)


def empty(path, _):
    truncate(path, 0)


def lengthen(path, _):
    overwrite(path, path.read_bytes() + os.urandom(1000))


def garbage(path, _):
    overwrite(path, os.urandom(max(path.stat().st_size, 100)))


def missing(path, _):
    path.unlink()


@contextlib.contextmanager
def in_place(path):
    """Open to change it as a bad disk or a careless user would: same inode, same mode. Sealed files are read-only, to users."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0o644)
    with open(path, "r+b") as f:
        yield f
    path.chmod(mode)


def overwrite(path, content):
    with in_place(path) as f:
        f.write(content)


def truncate(path, size):
    with in_place(path) as f:
        f.truncate(size)


def instead(make):
    def damage(path, victim):
        remove(path)
        make(path, victim)

    return damage


def remove(path):
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            entry.unlink()
        path.rmdir()
    elif os.path.lexists(path):
        path.unlink()


DAMAGES = {"flip": flip, "cut": cut, "empty": empty, "lengthen": lengthen, "garbage": garbage, "missing": missing}
NOT_OURS = {
    "symlink": instead(lambda path, victim: path.symlink_to(victim)),
    "dangling symlink": instead(lambda path, victim: path.symlink_to("nowhere")),
    "symlink to a directory": instead(lambda path, victim: path.symlink_to(victim.parent)),
    "hard link": instead(lambda path, victim: path.hardlink_to(victim)),
    "FIFO": instead(lambda path, _: os.mkfifo(path)),
    "directory": instead(lambda path, _: path.mkdir()),
    "device": instead(lambda path, _: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))),
}
SWAP = "swap"  # with the same file of another ingest


def can_make_devices(directory):
    try:
        os.mknod(directory / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        return False
    (directory / "device").unlink()
    return True


def case_of(file, damage):
    data = os.urandom(SIZE)
    return Case(file, damage, data, digest_of(data), f"/{digest_of(data)[7:19]}")


def all_cases():
    for file in FILES:
        for damage in (*DAMAGES, "symlink", "hard link", "FIFO", "directory", SWAP, SWAP):
            yield case_of(file, damage)
    for damage in ("symlink", "dangling symlink", "symlink to a directory", "FIFO"):
        yield case_of(ITSELF, damage)


# ── the states; each prepares all cases at once ──


def put(box, case, data, *more):
    return box.run("ingestd", "put", "--raw", *more, "--digest", case.digest, "--size", SIZE, case.digest, data=data)


def fresh(box, bad, cases):
    """A record and no data."""
    for case in cases:
        put(box, case, b"")


def live(box, bad, cases):
    """Half of the data, with a live slot and no durable slot."""
    for case in cases:
        put(box, case, case.data[:HAD])


def durable(box, bad, cases):
    """Half of the data, with a durable slot. After a power cut, only its bytes are valid."""
    for case in cases:
        put(box, case, case.data[:HAD], "--checkpoint-bytes", SLOT_EVERY)
    box.boot = "b007" * 8


def sealed(box, bad, cases):
    for case in cases:
        assert put(box, case, case.data).returncode == OK


def failed(box, bad, cases):
    """A failed transfer, under the daemons."""
    for case in cases:
        bad.on(case.path, badserver.cut_short(case.data, HAD), badserver.status(404))
    with box.up():
        ask_all(box, bad, cases, NOT_FOUND)


STATES = {state.__name__: state for state in (fresh, live, durable, sealed, failed)}


def swap(one, other):
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def damage_all(box, cases, victim):
    for case in cases:
        if case.damage != SWAP:
            path = box.ingest(case.digest) / case.file
            (DAMAGES.get(case.damage) or NOT_OURS[case.damage])(path, victim)
    for file in FILES:
        two = [box.ingest(case.digest) / file for case in cases if (case.file, case.damage) == (file, SWAP)]
        if two:
            swap(*two)


def ask_all(box, bad, cases, want=None):
    asked = [box.popen("sluice", "fetch", bad.url(case.path), "--digest", case.digest) for case in cases]
    done = [box.finish(process) for process in asked]
    wrong = [f"{case.file} {case.damage}: {result.returncode}: {result.stderr}" for case, result in zip(cases, done)
             if want is not None and result.returncode != want]
    assert not wrong, "\n".join(wrong)
    return done


def keeps_all(state, case):
    """Whether the damage affects no byte, so that nothing is requested again."""
    on_lock = case.file == "lock" and case.damage in (*DAMAGES, SWAP)
    return state in ("live", "durable") and (on_lock or (case.file, case.damage) == ("transfer", "missing"))


def heal(box, bad, state, cases):
    """Fetch everything; abort and fetch again where that is refused. Then every blob is stored and correct."""
    for case in cases:
        bad.on(case.path, badserver.whole(case.data))
    had = {case: box.size(case.digest) for case in cases if keeps_all(state, case)}
    asked = {case: len(bad.asked(case.path)) for case in cases}
    with box.up():
        ask_all(box, bad, [case for case in cases if case.damage not in NOT_OURS], OK)
        there = [case for case in cases if case.damage in NOT_OURS]
        for case, said in zip(there, ask_all(box, bad, there)):
            if said.returncode != OK:
                assert said.returncode == IO, f"{case.file} {case.damage}: {said.stderr}"
                one_line(said.stderr, f"{box.ingest(case.digest)}/{case.file}")
                box.sluice("abort", case.digest)
        ask_all(box, bad, there, OK)
    for case in cases:
        assert box.blob(case.digest).read_bytes() == case.data, f"{case.file} {case.damage}"
    for case, size in had.items():
        lost = [size - start for start in starts(bad.asked(case.path)[asked[case]:])]
        assert len(lost) == 1 and 0 <= lost[0] < (SLOT_EVERY if state == "durable" else 1), f"{case.file}: {lost}"


def starts(requests):
    """The offset of each request."""
    return [int(request.range[len("bytes="):].partition("-")[0] or 0) for request in requests]


@pytest.fixture
def victim(box):
    """The target of the links, in a directory of its own."""
    path = box.directory / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_bytes(VICTIM)
    path.chmod(0o600)
    yield path
    assert path.read_bytes() == VICTIM and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["victim"]


@pytest.mark.parametrize("state", STATES)
def test_damaged_ingests(box, bad, victim, state):
    box.configure("[fetchd]\nretry_delay = 10ms\n[ingestd]\nmax_active = 100\n")
    cases = list(all_cases())
    STATES[state](box, bad, cases)
    damage_all(box, cases, victim)
    heal(box, bad, state, cases)
    settled(box)


def test_devices_in_place_of_files(box, bad, victim):
    if not can_make_devices(box.directory):
        pytest.skip("needs mknod(2)")
    cases = [case_of(file, "device") for file in FILES]
    live(box, bad, cases)
    damage_all(box, cases, victim)
    heal(box, bad, "live", cases)
    settled(box)


def test_foreign_files_in_an_ingest_are_kept(box, bad, victim):
    """Only our files are removed. abort says where the others are, and succeeds once they are gone."""
    cases = [case_of(file, "directory") for file in FILES]
    live(box, bad, cases)
    damage_all(box, cases, victim)
    for case in cases:
        (box.ingest(case.digest) / case.file / "precious").write_bytes(VICTIM)
        bad.on(case.path, badserver.whole(case.data))
    with box.up():
        for case in cases:
            said = box.sluice("abort", case.digest, want=IO)
            one_line(said.stderr, box.ingest(case.digest), "not empty")
            assert (box.ingest(case.digest) / case.file / "precious").read_bytes() == VICTIM
            remove(box.ingest(case.digest) / case.file)
        ask_all(box, bad, cases, OK)
    settled(box)


def test_wrong_bytes_from_put(box, bad):
    """There is no source to fetch from until a fetch by URL."""
    data = os.urandom(400_000)
    digest = digest_of(data)
    box.run("ingestd", "put", "--raw", "--digest", digest, digest, data=data, want=OK)
    path = box.ingest(digest) / "data"
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    path.chmod(0o444)
    bad.on("/file", badserver.whole(data))
    with box.up():
        wait_for("the transfer to wait for data", lambda: "fed by 'ingestd put'" in box.sluice("status").stdout)
        box.sluice("fetch", bad.url("/file"), "--digest", digest)
    assert box.blob(digest).read_bytes() == data
    assert "killed by signal" not in box.logs()
    settled(box)


# ── the store's own files ──

LAYER_DATA = os.urandom(50_000)
MANIFEST_DATA = manifest_blob(config_blob(), [descriptor(LAYER_DATA, LAYER)])


@pytest.fixture
def image(bad):
    """The name of an image to pull."""
    blobs = {digest_of(data): [badserver.whole(data)] for data in (config_blob(), LAYER_DATA)}
    bad.image("app", "1", MANIFEST_DATA, MANIFEST, blobs)
    bad.on(f"/v2/app/manifests/{digest_of(MANIFEST_DATA)}", badserver.whole(MANIFEST_DATA, {"Content-Type": MANIFEST}))
    return f"{bad.address}/app:1"


def pull_over(box, image, path, subjects, damage, victim):
    """Pull over the damage. It is repaired, or refused in one line with the reason; then pull without it."""
    damage(path, victim)
    said = box.run("sluice", "pull", image)
    if said.returncode != OK:
        assert said.returncode in (BAD_DATA, IO, BAD_CONFIGURATION), said.stderr
        assert any(str(subject) in said.stderr.splitlines()[-1] for subject in subjects), said.stderr
        remove(path)
        box.sluice("pull", image)
    settled(box)
    assert [entry["name"] for entry in box.json("images")] == [image]
    return said.returncode


def store_damages(directory):
    some = {name: NOT_OURS[name] for name in ("symlink", "dangling symlink", "hard link", "FIFO", "directory")}
    return {**DAMAGES, **some, **({"device": NOT_OURS["device"]} if can_make_devices(directory) else {})}


def test_damaged_store(box, image, victim):
    """The index and the blobs are read for each request, so the stages may keep running."""
    digests = {"manifest": digest_of(MANIFEST_DATA), "config": digest_of(config_blob()), "layer": digest_of(LAYER_DATA)}
    places = {"index": (box.store / "index.json", ["index.json"])}
    for name, digest in digests.items():
        places[name] = (box.blob(digest), [digest, box.blob(digest)])
    healed = []
    with box.up():
        box.sluice("pull", image)
        for name, (path, subjects) in places.items():
            for word, damage in store_damages(box.directory).items():
                if name in ("layer", "config") and word in ("flip", "garbage"):
                    continue  # it is not read, because names in blobs/ are trusted
                if pull_over(box, image, path, subjects, damage, victim) == OK:
                    healed.append((name, word))
    assert {(name, "missing") for name in places} <= set(healed)


def test_damaged_layout_file(box, image, victim):
    """This file is read when a stage starts."""
    box.sluice("pull", image)
    box.gone()
    for damage in store_damages(box.directory).values():
        pull_over(box, image, box.store / "oci-layout", [box.store / "oci-layout"], damage, victim)
        box.gone()
