# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with the blob."""

import json
import os

import pytest

from conftest import BIG, BINDIR, MIB
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, digest_of_file, manifest_blob, many_names
from late import Late
from servers import Nginx, room_for
from stages import STAGES, memory_peak

LIMIT = 8 * MIB
RANGES_LIMIT = 14 * MIB  # a slow machine is a far path, too
HUGE = 4 * BIG

pytestmark = pytest.mark.skipif("/san/" in f"{BINDIR}/", reason="sanitizers use memory of their own")


def peaks(box):
    return {name: memory_peak(box.stage(name)) for name in STAGES}


def check(box, limit=LIMIT):
    for name, peak in peaks(box).items():
        print(f"{name}: {peak / MIB:.1f} MiB")
        assert peak < limit, f"{name} had {peak / MIB:.1f} MiB"


def test_one_big_blob(big_box, registry, big):
    with big_box.up():
        big_box.sluice("pull", f"{registry.address}/{big.name}:{big.tag}")
        check(big_box)


def test_ranges(box, paced):
    """The maximum number of ranges, with the window that they need."""
    with box.up():
        box.sluice("fetch", f"http://{paced.address}/files/blob", "--digest", paced.digest)
        check(box, RANGES_LIMIT)
    paced.settle()
    assert len([a for a in paced.accesses() if a.range != "-"]) > 50


def test_long_ranges(box, paced):
    """They share a window that is larger, and are held when it is full."""
    with Late(paced.address, 0.2) as far, box.up():
        box.sluice("fetch", f"http://{far.address}/files/blob", "--digest", paced.digest)
        check(box, RANGES_LIMIT)
    paced.settle()
    assert max(a.bytes for a in paced.accesses() if a.range != "-") > MIB


def test_many_names(box):
    """A name is set in memory of less than three times index.json, and no more for the next ones."""
    with box.up():
        before = memory_peak(box.stage("commitd"))
        digest, size = many_names(box.store, 20_000)
        for number in range(4):
            box.sluice("tag", digest, f"tagged:{number}")
        grown = memory_peak(box.stage("commitd")) - before
        print(f"commitd: {grown / size:.1f} x the file")
        assert size > 5_000_000 and grown < 3 * size


def test_several_images_at_once(box, registry, sample):
    with box.up():
        pulls = [box.popen("sluice", "pull", "--all-platforms", sample) for _ in range(4)]
        for pull in pulls:
            box.finish(pull, want=0)
        check(box)


def test_four_times_the_big_blob(big_box, area):
    """A sparse file, so that only the store needs room for it."""
    if not room_for(HUGE + BIG, str(area)):
        pytest.skip(f"no room for {HUGE} bytes")
    files = area / "files"
    files.mkdir()
    with open(files / "huge", "wb") as f:
        f.truncate(HUGE)
        for at in range(0, HUGE, 64 * MIB):
            f.seek(at)
            f.write(os.urandom(64))
    digest = digest_of_file(files / "huge")
    with Nginx(area / "nginx-files", files=files) as server, big_box.up():
        big_box.sluice("fetch", f"http://{server.address}/files/huge", "--digest", digest)
        check(big_box, RANGES_LIMIT)
    (files / "huge").unlink()


NAMES, IMAGES = 10000, 1000


def test_listing_of_many_names(box):
    """Each manifest is read once, however many names lead to it; memory is in proportion to the distinct content."""
    config, layers = config_blob(), [f"layer {number}".encode() for number in range(8)]
    own = [str(number).encode() for number in range(IMAGES)]
    manifests = [manifest_blob(config, [descriptor(layer, LAYER) for layer in (*layers, mine)]) for mine in own]
    (box.store / "blobs/sha256").mkdir(parents=True)
    (box.store / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    for data in (config, *layers, *own, *manifests):
        box.blob(digest_of(data)).write_bytes(data)
    entries = [{**descriptor(manifests[number % IMAGES], MANIFEST),
                "annotations": {"org.opencontainers.image.ref.name": f"registry.example/name-{number}:1"}}
               for number in range(NAMES)]
    index = box.store / "index.json"
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    box.prefix = ["prlimit", f"--as={2 * LIMIT + 10 * index.stat().st_size + 1024 * IMAGES}"]
    for words in (["-q", "ls"], ["ls", "--blobs"]):
        box.sluice(*words)
    box.prefix = []
    needed = {blob["digest"]: blob["needed_by_count"] for blob in box.json("ls", "--blobs")}
    assert needed[digest_of(layers[0])] == NAMES and needed[digest_of(manifests[7])] == NAMES // IMAGES
    box.store.rename(box.directory / "checked")  # reading all of it back would take longer than the test
