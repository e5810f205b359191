# SPDX-License-Identifier: Apache-2.0
"""
Worker threads beside the loops of ingestd and commitd: as much as possible at once, with checkpoints as often as may be
and every blob read back. `make check-tsan` runs this with the thread sanitizer.
"""

import os
import random

import badserver
from conftest import settled
from images import MANIFEST, config_blob, digest_of, manifest_blob
from peers import Member
from servers import wait_for

BLOBS = 12
SIZE = 700_000
COMMITTED = 4
WRONG = 0  # the blob whose bytes change between its seal and its commit


def damage(path):
    """Other bytes, and no other sign of it: only reading them back tells."""
    before = path.stat()
    path.chmod(0o644)
    with open(path, "r+b") as data:
        data.write(b"damaged")
    path.chmod(before.st_mode & 0o7777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_everything_at_once(box, bad):
    blobs = [random.Random(n).randbytes(SIZE + n) for n in range(BLOBS)]
    manifest = manifest_blob(config_blob(), [])
    blobs += [config_blob(), manifest]
    for data in blobs:
        cut = badserver.cut_short(data, len(data) // 2)
        bad.on(f"/{digest_of(data)}", cut, badserver.whole(data))
    refs = [digest_of(data) for data in blobs]
    box.configure("[fetchd]\nretry_delay = 10ms\n")
    box.store.mkdir(exist_ok=True)
    with open(box.up_log, "ab") as log:
        said = {"stdout": log, "stderr": log}
        often = ("--checkpoint-bytes", "64K", "--checkpoint-interval", "100ms")
        stages = [box.popen("ingestd", "--log-level", "debug", *often, **said)]
        wait_for("ingestd", lambda: box.answers("ingestd"))
        stages.append(box.popen("fetchd", **said))
        with Member(box.runtime) as member:
            for ref in refs:
                member.get(ref, bad.url(f"/{ref}"), ref)
            wait_for("the seals", lambda: member.request("STATS", stage=2) and all(map(box.is_sealed, refs)))
            damage(box.ingest(refs[WRONG]) / "data")
            stages.append(box.popen("commitd", "--log-level", "debug", "--verify", "always", **said))
            wait_for("commitd", lambda: box.answers("commitd"))
            with Member(box.runtime, "commitd") as namer:
                for n in range(BLOBS):
                    # Refused until its content is stored; named and unnamed while commits go on.
                    what = {"digest": digest_of(manifest), "media_type": MANIFEST, "size": len(manifest)}
                    namer.request("SET_NAME", name=f"host.invalid/a:{n}", platform="", **what)
                    namer.request("STATS", stage=3)
                    member.request("NEXT", ref="")
                    if n % 2:
                        namer.request("REMOVE_NAME", name=f"host.invalid/a:{n}")
            wait_for("all of it", lambda: all(member.status(ref)["state"] == COMMITTED for ref in refs))
        for stage in reversed(stages):
            stage.terminate()
            box.finish(stage, want=0)
    assert len(bad.asked(f"/{refs[WRONG]}")) > 2, "the damage was not found"
    for data in blobs:
        assert box.blob(digest_of(data)).read_bytes() == data
    settled(box)
