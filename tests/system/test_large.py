# SPDX-License-Identifier: Apache-2.0
"""
A blob of more than 4 GiB, first with `put` and then over the network, with kills below and above 2 GiB and 4 GiB: no
size or offset is kept in 32 bits. Collected if LARGE is set; tests/release sets it for 32-bit machines.
"""

import hashlib
import subprocess

import pytest

import servers
from conftest import MIB, settled
from stages import AGAIN, OK, kill

GIB = 1 << 30
SIZE = 4 * GIB + 96 * MIB
BY_HAND = 4 * GIB + 32 * MIB  # the rest comes over the network
PATIENCE_S = 900  # an emulator hashes 30 MB/s


@pytest.fixture
def large(area):
    """A file of zeros with its offset written into each MiB, and its digest."""
    path = area / "large-files/blob"
    path.parent.mkdir()
    running = hashlib.sha256()
    with open(path, "wb") as f:
        for number in range(SIZE // MIB):
            piece = number.to_bytes(8, "big").ljust(MIB, b"\0")
            running.update(piece)
            f.seek(number * MIB)
            f.write(piece[:8])
        f.truncate(SIZE)
    yield path, f"sha256:{running.hexdigest()}"
    path.unlink()


class Put:
    """`ingestd put` of the first BY_HAND bytes. Bytes that it has are skipped."""

    def __init__(self, box, path, digest):
        self.box = box
        self.had = int(box.run("ingestd", "offset", digest, want=OK).stdout)
        self.head = subprocess.Popen(["head", "-c", str(BY_HAND), path], stdout=subprocess.PIPE)
        self.process = box.popen(
            "ingestd", "put", "--raw", "--digest", digest, "--size", str(SIZE), digest, stdin=self.head.stdout
        )
        self.head.stdout.close()

    def finish(self, want):
        servers.wait_for("put to end", lambda: self.process.poll() is not None, guard_s=PATIENCE_S)
        self.box.finish(self.process, want=want)
        self.head.wait()


def test_more_than_4_gib(big_box, area, large):
    box = big_box
    path, digest = large

    def wait_size(size, process):
        servers.wait_for(
            f"{size} bytes", lambda: box.size(digest) >= size or process.poll() is not None, guard_s=PATIENCE_S
        )
        assert process.poll() is None, box.finish(process).stderr

    for begins, killed_at in ((0, GIB), (GIB, 2 * GIB + MIB), (2 * GIB + MIB, 4 * GIB + MIB)):
        putting = Put(box, path, digest)
        assert putting.had >= begins
        wait_size(killed_at, putting.process)
        kill(putting.process.pid)
        putting.finish(want=None)
    Put(box, path, digest).finish(want=AGAIN)
    assert box.run("ingestd", "offset", digest, want=OK).stdout == f"{BY_HAND}\n"

    with servers.Nginx(area / "nginx-large", rate="40m", files=path.parent) as server:
        url = f"http://{server.address}/files/blob"
        fetching = box.popen("sluice", "fetch", url, "--digest", digest)
        wait_size(BY_HAND + 16 * MIB, fetching)
        kill(fetching.pid)
        box.finish(fetching)
        box.gone()
        fetching = box.popen("sluice", "fetch", url, "--digest", digest)
        servers.wait_for("the blob", lambda: fetching.poll() is not None, guard_s=PATIENCE_S)
        box.finish(fetching, want=OK)
        server.settle()
        asked = [access.range for access in server.accesses()]
        sent = sum(access.bytes for access in server.accesses())
    assert all(int(text.removeprefix("bytes=").partition("-")[0]) >= BY_HAND for text in asked), asked
    assert SIZE - BY_HAND <= sent <= SIZE - BY_HAND + 24 * MIB
    assert box.blob(digest).stat().st_size == SIZE
    assert [(blob["digest"], blob["size"]) for blob in box.json("ls", "--blobs")] == [(digest, SIZE)]
    settled(box)
