# SPDX-License-Identifier: Apache-2.0
"""
Full disks. Content that cannot fit is reported before the first byte. If space runs out later, the transfer waits, and
bytes that were written are not fetched again.
"""

import os
import pathlib
import re
import shutil
import tempfile
import threading

import pytest

import badserver
import disks
from conftest import MIB, boxed, settled
from images import LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, IO, OK, kill, one_line

DATA = os.urandom(12 * MIB)
DIGEST = digest_of(DATA)
SMALL = os.urandom(100_000)
SMALL_DIGEST = digest_of(SMALL)
DISK = 32 * MIB
BESIDE = 64 << 10  # reserved by ingestd for its records, in addition to the content

KINDS = {
    "tmpfs": lambda place: disks.tmpfs(place, DISK),
    "inodes": lambda place: disks.tmpfs(place, DISK, inodes=100),
    "ramfs": lambda place: disks.ramfs(place),
    "ext4": lambda place: disks.ext4(place, DISK),
    "btrfs": lambda place: disks.quota(place, 256 * MIB),
}


@pytest.fixture
def small_box(request):
    """A box whose store is on a small file system, box.disk."""
    kind = request.param
    why = disks.why_not("tmpfs" if kind == "inodes" else kind)
    if why:
        pytest.skip(why)
    place = pathlib.Path(tempfile.mkdtemp(prefix="slt-"))
    try:
        with KINDS[kind](place) as disk:
            for box in boxed(request, pathlib.Path(tempfile.mkdtemp(prefix="slt-")), disk.path / "store"):
                box.disk = disk
                yield box
    finally:
        shutil.rmtree(place)


def on(*kinds):
    return pytest.mark.parametrize("small_box", kinds, indirect=True)


def fetching(box, bad, path="/blob", digest=DIGEST, *more):
    return box.popen("sluice", "fetch", bad.url(path), "--digest", digest, *more)


def wait_for_rest(box, ref=DIGEST):
    """Wait until the transfer waits for space. Returns its status."""
    def resting():
        found = box.run("sluice", "--json", "status", ref)
        return found.returncode == OK and box.status(ref)["state"] == "waiting"

    wait_for(f"{ref} to wait", resting, pause_s=0.05)
    return box.status(ref)


def mib(size):
    return f"{size / MIB:.1f} MiB"


def starts(bad, path="/blob"):
    """The offset of each request for the blob."""
    return [int(r.range[6:].partition("-")[0]) if r.range else 0 for r in bad.asked(path)]


@on("tmpfs", "ext4")
@pytest.mark.parametrize("size", [("--size", len(DATA)), ()], ids=["known", "learned"])
def test_oversized_blob_is_reported_before_the_first_byte(small_box, bad, size):
    box = small_box
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        box.disk.leave(len(DATA) - MIB)
        fetch = fetching(box, bad, "/blob", DIGEST, *size)
        said = wait_for_rest(box)["error"]
        needs, free = re.search(r"needs (\S+ MiB) more; ([0-9.]+) MiB free on '.+'", said).groups()
        assert needs == mib(len(DATA) + BESIDE) and len(DATA) // 2 < float(free) * MIB < len(DATA)
        assert box.size(DIGEST) == 0
        # A client repeats a GET that is not answered in time. A size known only from the server is then learned again.
        assert len(bad.asked("/blob")) in ([0] if size else [1, 2])
        box.disk.drain()
        box.finish(fetch, want=OK)
    settled(box)


def begun(box, bad, with_length=True):
    """
    A transfer has 3 MiB of DATA when its disk gets full, and then gets some more. Returns the client when the transfer
    waits for space.
    """
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (3 * MIB, 3 * MIB + 4000), gate, with_length), badserver.whole(DATA))
    fetch = fetching(box, bad)
    assert box.wait_size(DIGEST, 3 * MIB, fetch)
    box.disk.fill()
    gate.release()
    wait_for_rest(box)
    assert box.size(DIGEST) >= 3 * MIB
    return fetch


@on("tmpfs", "ext4")
def test_transfer_waits_for_space(small_box, bad):
    """On ext4 the size is unknown, because space for a known size is reserved."""
    box = small_box
    with box.up():
        fetch = begun(box, bad, with_length=box.disk.is_tmpfs)
        had = box.size(DIGEST)
        box.disk.drain()
        box.finish(fetch, want=OK)
    assert starts(bad) == [0, had], "bytes that were written are fetched again"
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


@on("ext4")
def test_reserved_space_is_kept(small_box, bad):
    box = small_box
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (3 * MIB, len(DATA)), gate))
    with box.up():
        fetch = fetching(box, bad)
        assert box.wait_size(DIGEST, 3 * MIB, fetch)
        wait_for("the space to be reserved",
                 lambda: (box.ingest(DIGEST) / "data").stat().st_blocks * 512 >= len(DATA))
        box.disk.fill()
        gate.release()
        box.finish(fetch, want=OK)
    assert starts(bad) == [0]
    settled(box)


@on("tmpfs", "ext4")
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_stage_that_ends_on_a_full_disk_loses_no_bytes(small_box, bad, how):
    """The checkpoint has its space already, so the next ingestd can use the bytes."""
    box = small_box
    with box.up():
        fetch = begun(box, bad, with_length=box.disk.is_tmpfs)
        had = box.size(DIGEST)
        if how == "killed":
            box.kill_stage("ingestd")
        kill(fetch.pid)
    with box.up():
        assert wait_for_rest(box)["offset"] == had
        box.disk.drain()
        box.finish(fetching(box, bad), want=OK)
    assert starts(bad)[:2] == [0, had], "bytes that were written are fetched again"
    settled(box)


@on("tmpfs", "ext4")
def test_smaller_transfers_continue(small_box, bad):
    box = small_box
    bad.on("/blob", badserver.whole(DATA))
    bad.on("/small", badserver.whole(SMALL))
    with box.up():
        box.disk.leave(MIB)
        big = fetching(box, bad)
        wait_for_rest(box)
        box.finish(fetching(box, bad, "/small", SMALL_DIGEST), want=OK)
        assert box.status(DIGEST)["state"] == "waiting"
        box.disk.drain()
        box.finish(big, want=OK)
    settled(box)


@on("inodes")
def test_transfer_waits_for_inodes(small_box, bad):
    """There are too few to create the ingest. Nothing of it is left behind; the command has its lease."""
    box = small_box
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        box.disk.take_inodes(left=3)
        fetch = fetching(box, bad)
        assert "No space left on device" in wait_for_rest(box)["error"]
        assert not bad.asked("/blob")
        assert not box.ingest(DIGEST).exists() and os.statvfs(box.disk.path).f_favail == 2
        box.disk.free_inodes()
        box.finish(fetch, want=OK)
    settled(box)


@on("inodes")
def test_many_layers_share_few_inodes(small_box, bad):
    """Each needs five while it runs and one at the end. Transfers that cannot start wait for those that have."""
    box = small_box
    layers, gate = [os.urandom(1000) for _ in range(10)], threading.Event()
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in layers])
    blobs = {digest_of(data): [badserver.in_parts(data, 10, gate)] for data in (config, *layers)}
    bad.image("few-inodes", "1", manifest, MANIFEST, blobs)
    box.configure(f"[fetchd]\nretry_delay = 50ms\n[registry {bad.address}]\nplain_http = yes\n")
    with box.up():
        box.disk.take_inodes(left=26)
        pull = box.popen("sluice", "pull", f"{bad.address}/few-inodes:1")
        wait_for("a transfer that cannot start", lambda: "No space left on device" in box.logs())
        gate.set()
        box.finish(pull, want=OK)
    settled(box)


@on("btrfs")
def test_transfer_waits_for_quota_without_requests(small_box, bad):
    """statvfs(2) does not show a quota, so ingestd tries to reserve the space, at growing intervals."""
    box = small_box
    bad.on("/blob", badserver.whole(DATA))
    bad.on("/small", badserver.whole(SMALL))
    with box.up():
        box.disk.limit(8 * MIB)
        fetch = fetching(box, bad, "/blob", DIGEST, "--size", len(DATA))
        said = f"cannot reserve space for '{box.ingest(DIGEST)}/data': Disk quota exceeded"
        tries = re.compile(r'^sluice_ingestd_sync_seconds_count\{kind="reserve"\} (\d+)$', re.MULTILINE)
        wait_for("three tries", lambda: int(tries.search(box.sluice("metrics").stdout)[1]) >= 3)
        assert said in wait_for_rest(box)["error"]
        assert not bad.asked("/blob")
        box.finish(fetching(box, bad, "/small", SMALL_DIGEST), want=OK)
        assert box.size(DIGEST) == 0
        box.disk.limit(None)
        box.finish(fetch, want=OK)
    assert re.search(rf"{re.escape(said)} \(repeated \d+ times\)", box.logs()), "repeated lines are not counted"
    assert starts(bad) == [0]
    settled(box)


# ── naming ──


@on("tmpfs")
def test_naming_on_a_full_disk_fails_and_keeps_old_names(small_box, registry):
    box = small_box
    pusher = Pusher(registry.address, "named")
    pusher.image("1", [pusher.blob_bytes(SMALL)])
    reference = f"{registry.address}/named:1"
    box.sluice("pull", reference)
    index = (box.store / "index.json").read_bytes()
    with box.up():
        box.disk.fill()
        refused = box.run("sluice", "tag", reference, "other:1", want=AGAIN)
        one_line(refused.stderr, f"{box.store}/index.json", "No space left on device")
        assert (box.store / "index.json").read_bytes() == index
        assert sorted(os.listdir(box.store)) == ["blobs", "commit", "index.json", "ingest", "leases", "oci-layout", "quarantine", "sluice-format"]
        box.disk.drain()
        box.sluice("tag", reference, "other:1")
    settled(box)


# ── pipelines ──


def put(box, data, *words):
    return box.run("ingestd", "put", "--raw", "--digest", DIGEST, *words, DIGEST, data=data)


@on("tmpfs", "ext4")
def test_put_of_an_oversized_blob_is_refused(small_box):
    box = small_box
    box.disk.leave(len(DATA) - MIB)
    refused = put(box, DATA, "--size", len(DATA))
    assert refused.returncode == AGAIN and refused.stdout == ""
    one_line(refused.stderr, f"needs {mib(len(DATA) + BESIDE)} more", "make room")
    assert box.size(DIGEST) == 0
    box.disk.drain()
    sealed = put(box, DATA, "--size", len(DATA))
    box.run("commitd", "commit", data=sealed.raw, want=OK)
    settled(box)


@on("tmpfs", "ext4")
def test_put_stops_when_the_disk_is_full(small_box):
    box = small_box
    box.disk.leave(len(DATA) - MIB)
    stopped = put(box, DATA)
    assert stopped.returncode == AGAIN and stopped.stdout == ""
    one_line(stopped.stderr, "No space left on device", "make room", f"{box.ingest(DIGEST)}/data")
    had = box.size(DIGEST)
    assert had > len(DATA) // 2
    box.disk.drain()
    assert int(box.run("ingestd", "offset", DIGEST, want=OK).stdout) == had
    sealed = put(box, DATA[had:], "--offset", had)
    assert sealed.returncode == OK, sealed.stderr
    box.run("commitd", "commit", data=sealed.raw, want=OK)
    settled(box)


@on("tmpfs", "inodes")
def test_put_without_space_for_a_store(small_box):
    box = small_box
    if os.statvfs(box.disk.path).f_files:
        box.disk.take_inodes(left=0)
    else:
        box.disk.fill()
    refused = put(box, DATA)
    assert refused.returncode == AGAIN
    one_line(refused.stderr, box.store, "No space left on device")


def test_file_size_limit(box, bad):
    """RLIMIT_FSIZE of the caller is an ordinary error. SIGXFSZ does not kill ingestd over and over."""
    data = os.urandom(3 * MIB)
    bad.on("/large", badserver.whole(data))
    box.prefix = ["prlimit", f"--fsize={MIB}"]
    said = box.run("sluice", "fetch", bad.url("/large"), "--digest", digest_of(data), want=IO).stderr
    assert "File too large" in said
    box.prefix = []
    box.sluice("fetch", bad.url("/large"), "--digest", digest_of(data))


@on("ramfs")
@pytest.mark.parametrize("size", [[], ["--size", str(len(SMALL))]], ids=["no size", "size"])
def test_file_system_that_does_not_tell(small_box, bad, size):
    """0 blocks are not a full disk."""
    box = small_box
    assert os.statvfs(box.disk.path).f_blocks == 0
    bad.on("/blob", badserver.whole(SMALL))
    box.sluice("fetch", bad.url("/blob"), "--digest", SMALL_DIGEST, *size)
    assert box.blob(SMALL_DIGEST).read_bytes() == SMALL
    assert "does not report its free space" in box.run("sluice", "doctor").stdout
    settled(box)
