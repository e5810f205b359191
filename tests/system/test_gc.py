# SPDX-License-Identifier: Apache-2.0
"""
gc: what no name and no lease needs goes, after a grace, and nothing else; so do transfers that nobody works on. What
happens at the same moment is in test_gc_races.py.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import pytest

import badserver
import disks
from conftest import MIB, boxed, settled
from images import INDEX, LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, DENIED, NOT_FOUND, OK, one_line

DATA = os.urandom(3_000_000)
DIGEST = digest_of(DATA)
SHARED, FIRST, SECOND = (os.urandom(size) for size in (200_000, 300_000, 100_000))


def gc(box, *words, want=OK):
    """The object that gc prints."""
    return json.loads(box.run("sluice", "--json", "gc", *words, want=want).stdout.splitlines()[-1])


def blobs(box):
    return {f"sha256:{path.name}" for path in (box.store / "blobs/sha256").iterdir()}


def skopeo(*words):
    subprocess.run(["skopeo", *map(str, words)], check=True, capture_output=True, timeout=60)


def show_all(box):
    """Each name is whole for another tool, too."""
    for entry in json.loads((box.store / "index.json").read_text())["manifests"]:
        skopeo("inspect", "--raw", f"oci:{box.store}:{entry['annotations']['org.opencontainers.image.ref.name']}")


class Pair:
    """Two images that share a layer, as names and by what each alone needs."""

    def __init__(self, registry, name):
        pusher = Pusher(registry.address, name)
        layers = {data: pusher.blob_bytes(data) for data in (SHARED, FIRST, SECOND)}
        self.names, self.alone = [], []
        for tag, data, architecture in (("1", FIRST, "amd64"), ("2", SECOND, "arm64")):
            manifest = pusher.image(tag, [layers[SHARED], layers[data]], architecture)
            self.names.append(f"{registry.address}/{name}:{tag}")
            self.alone.append({digest_of(data), digest_of(config_blob(architecture)), manifest["digest"]})

    def pull(self, box):
        box.sluice("pull", self.names[0])
        box.sluice("pull", "--arch", "arm64", self.names[1])
        return self


@pytest.fixture
def pair(box, registry, request):
    return Pair(registry, f"gc-{request.node.name.split('[')[0].replace('_', '-')}").pull(box)


# ── content ──


def test_what_other_names_need_stays(box, pair):
    before = blobs(box)
    box.sluice("rm", pair.names[0])
    assert blobs(box) == before
    dry = gc(box, "--dry-run", "--grace", "0")
    assert {item["digest"] for item in dry["items"]} == pair.alone[0] and blobs(box) == before
    gone = gc(box, "--grace", "0")
    assert blobs(box) == before - pair.alone[0]
    assert gone["removed"] == len(pair.alone[0]) and gone["removed_bytes"] == dry["removed_bytes"] > len(FIRST)
    show_all(box)
    box.sluice("pull", "--arch", "arm64", pair.names[1])
    box.sluice("pull", pair.names[0])
    assert blobs(box) == before
    settled(box)


def test_grace(box, pair):
    """Two runs find it unneeded; the second one, if enough time has passed."""
    box.sluice("rm", pair.names[0])
    with box.up():
        for words in ((), (), ("--grace", "1h"), ("--older-than", "1h")):
            found = gc(box, *words)
            assert (found["removed"], found["waiting"]) == (0, len(pair.alone[0]))
        wait_for("a second to pass", lambda: gc(box, "--grace", "1s")["removed"] == len(pair.alone[0]), pause_s=0.1)
    assert not pair.alone[0] & blobs(box)


def test_named_again_in_the_grace(box, pair):
    """The age of what is needed again is forgotten."""
    box.sluice("rm", pair.names[0])
    gc(box)
    box.sluice("pull", pair.names[0])
    assert gc(box, "--grace", "0")["removed"] == 0
    assert pair.alone[0] <= blobs(box)


def test_free(box, pair):
    box.sluice("rm", *pair.names)
    gone = gc(box, "--grace", "0", "--free", "1")
    assert gone["removed"] == 1 and gone["waiting"] > 0
    one_line(box.run("sluice", "gc", "--free", "1T", "--grace", "0", want=AGAIN).stderr, "less than that")
    assert blobs(box) == set(), "it freed what there was"


def test_freed_of_content_before_transfers(box, bad, pair):
    box.sluice("rm", pair.names[0])
    with box.up():
        fail_halfway(box, bad)
        gone = gc(box, "--older-than", "0", "--free", len(FIRST))
        assert (gone["removed_transfers"], gone["waiting_transfers"]) == (0, 1)
        gone = gc(box, "--older-than", "0", "--free", len(FIRST))
        assert gone["removed_transfers"] == 1


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_unknown_needs_keep_everything(box, pair, harm):
    """What a named image needs is not known without its manifest. So nothing goes, and it says what to do."""
    box.sluice("rm", pair.names[0])
    digest = json.loads((box.store / "index.json").read_text())["manifests"][0]["digest"]
    path = box.blob(digest)
    text = path.read_bytes()
    path.unlink()
    if harm == "damaged":
        path.write_bytes(b"{" + text[1:].replace(b"sha256", b"sha257", 1))
    before = blobs(box)
    refused = box.run("sluice", "gc", "--older-than", "0", want=AGAIN)
    one_line(refused.stderr, pair.names[1], "nothing was removed", "pull it again")
    assert blobs(box) == before
    path.unlink(missing_ok=True)
    path.write_bytes(text)
    path.chmod(0o444)
    assert gc(box, "--older-than", "0")["removed"] == len(pair.alone[0])
    show_all(box)


def write_index(box, change):
    """As another tool does it."""
    path = box.store / "index.json"
    index = json.loads(path.read_text())
    change(index["manifests"])
    made = path.with_name("index.json.other")
    made.write_text(json.dumps(index))
    made.rename(path)


def test_entries_without_a_name_are_roots(box, pair):
    before = blobs(box)
    write_index(box, lambda entries: [entry.pop("annotations") for entry in entries])
    assert gc(box, "--older-than", "0")["removed"] == 0
    write_index(box, lambda entries: entries.clear())
    assert gc(box, "--older-than", "0")["removed"] == len(before)


def test_index_with_missing_platforms(box, pair):
    """Other tools copy one platform of an index. What is there stays."""
    before = blobs(box)
    entries = json.loads((box.store / "index.json").read_text())["manifests"]
    there = {key: entries[0][key] for key in ("mediaType", "digest", "size")}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [there, descriptor(b"absent", MANIFEST)]}).encode()
    box.blob(digest_of(index)).write_bytes(index)
    box.blob(digest_of(index)).chmod(0o444)
    write_index(box, lambda all_: all_.__setitem__(slice(None), [descriptor(index, INDEX)]))
    assert gc(box, "--older-than", "0")["removed"] == len(pair.alone[1])
    assert blobs(box) == (before - pair.alone[1]) | {digest_of(index)}
    write_index(box, lambda entries: entries.clear())


def test_what_others_write_has_its_grace(box, pair):
    """skopeo writes blobs and names them at the end, while one gc follows another."""
    stop, codes = threading.Event(), set()
    source = box.directory / "source"
    skopeo("copy", f"oci:{box.store}:{pair.names[0]}", f"oci:{source}:it")

    def collect():
        while not stop.is_set():
            # skopeo writes index.json and oci-layout in place, so that they are half written at times: nothing is removed.
            codes.add(box.run("sluice", "gc").returncode)

    with box.up():
        box.sluice("rm", *pair.names)
        gc(box, "--grace", "0")
        assert blobs(box) == set()
        thread = threading.Thread(target=collect)
        thread.start()
        try:
            for n in range(5):
                skopeo("copy", f"oci:{source}:it", f"oci:{box.store}:copy{n}")
        finally:
            stop.set()
            thread.join()
        assert OK in codes and codes <= {OK, AGAIN, 78}
        show_all(box)
        skopeo("copy", f"oci:{box.store}:copy4", f"oci:{box.directory / 'back'}:it")
    for path in (box.store / "blobs/sha256").iterdir():
        path.chmod(0o444)


# ── leases ──


def test_committed_by_hand_is_kept_for_an_hour(box):
    sealed = box.run("ingestd", "put", "--raw", "--digest", DIGEST, DIGEST, data=DATA, want=OK)
    box.run("commitd", "commit", data=sealed.raw, want=OK)
    for words in (("--grace", "0"), ("--older-than", "0"), ("--free", "1G", "--older-than", "0")):
        box.run("sluice", "gc", *words)
        assert box.blob(DIGEST).exists()
    assert gc(box, "--dry-run", "--older-than", "0")["leased_bytes"] == len(DATA)


def killed_pull(box, bad):
    """A pull that has a layer and is killed while it waits for the next. Returns its command, and what it has."""
    gate = threading.Event()
    layers, config = [FIRST, DATA], config_blob()
    manifest = manifest_blob(config, [descriptor(data, LAYER) for data in layers])

    def waits(x):
        if x.method == "GET":
            gate.wait()
        badserver.whole(DATA)(x)

    bad.image("app", "1", manifest, MANIFEST, {
        digest_of(config): [badserver.whole(config)], digest_of(FIRST): [badserver.whole(FIRST)], DIGEST: [waits],
    })
    bad.on(f"/v2/app/manifests/{digest_of(manifest)}", badserver.whole(manifest, {"Content-Type": MANIFEST}))
    command = ("sluice", "pull", f"{bad.address}/app:1")
    pull = box.popen(*command)
    have = {digest_of(data) for data in (manifest, config, FIRST)}
    wait_for("its first layer", lambda: have <= blobs(box))
    wait_for("its request", lambda: bad.asked(f"/v2/app/blobs/{DIGEST}"))
    pull.kill()
    pull.wait()
    return command, have, gate


def test_killed_pull_is_resumed_after_a_gc(box, bad):
    with box.up():
        command, have, gate = killed_pull(box, bad)
        gc(box, "--grace", "0")
        assert have <= blobs(box)
        assert gc(box, "--dry-run", "--grace", "0")["leased_bytes"] > len(FIRST)
        gate.set()
        box.run(*command, want=OK)
        assert len(bad.asked(f"/v2/app/blobs/{digest_of(FIRST)}")) == 1
        assert gc(box, "--older-than", "0")["removed"] == 0
    show_all(box)
    settled(box)


def test_killed_pull_is_given_up(box, bad):
    with box.up():
        _, have, gate = killed_pull(box, bad)
        wait_for("its lease to be left", lambda: gc(box, "--older-than", "0") and not blobs(box) & have)
        box.sluice("abort", DIGEST)
        gate.set()
    settled(box)


# ── where there is no space ──


@pytest.fixture
def small_box(request):
    why = disks.why_not("tmpfs")
    if why:
        pytest.skip(why)
    place = pathlib.Path(tempfile.mkdtemp(prefix="slt-"))
    try:
        with disks.tmpfs(place, 32 * MIB) as disk:
            for box in boxed(request, pathlib.Path(tempfile.mkdtemp(prefix="slt-")), disk.path / "store"):
                box.disk = disk
                yield box
    finally:
        shutil.rmtree(place)


def test_full_disk(small_box, bad, registry):
    """A fetch waits and says what helps; it goes on when gc has made room."""
    box = small_box
    pair = Pair(registry, "gc-full").pull(box)
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        box.sluice("rm", *pair.names)
        box.disk.leave(len(DATA) - len(FIRST) // 2)
        fetch = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, "--size", len(DATA))
        wait_for("it to wait", lambda: box.size(DIGEST) == 0 and box.status(DIGEST)["state"] == "waiting")
        assert "'sluice gc' may make room" in box.status(DIGEST)["error"]
        assert gc(box, "--grace", "0")["removed"] > 0
        box.finish(fetch, want=OK)
        assert box.blob(DIGEST).read_bytes() == DATA


def test_gc_without_any_space(small_box, registry):
    box = small_box
    pair = Pair(registry, "gc-no-space").pull(box)
    with box.up():
        box.sluice("rm", pair.names[0])
        box.disk.fill()
        assert gc(box, "--grace", "0")["removed"] == len(pair.alone[0])
        box.disk.drain()
    show_all(box)


# ── what is told ──


def test_events_and_doctor_tell(box, bad, pair):
    with box.up():
        box.sluice("rm", pair.names[0])
        wait_for("all stages to be connected", lambda: box.run("sluice", "doctor").returncode == OK)
        said = {row["check"]: row["text"] for row in box.json("doctor")}
        assert "could be freed: 'sluice gc --older-than 0'" in said["unneeded"]
        with open(box.directory / "events", "wb") as out:
            events = box.popen("sluice", "events", stdout=out)

        def told():
            return [json.loads(line) for line in (box.directory / "events").read_text().splitlines()]

        wait_for("both stages", lambda: len(told()) == 2)
        fail_halfway(box, bad)
        gc(box, "--older-than", "0", "--dry-run")
        gc(box, "--older-than", "0")
        wait_for("both parts", lambda: len([e for e in told() if e["type"] == "gc"]) == 2)
        parts = {e["stage"]: e for e in told() if e["type"] == "gc"}
        assert parts["commitd"]["removed"] == len(pair.alone[0])
        assert parts["ingestd"]["removed"] == 1 and parts["ingestd"]["removed_bytes"] >= len(DATA) // 2
        events.terminate()
        said = {row["check"]: row["text"] for row in box.json("doctor")}
        assert said["unneeded"] == "nothing: gc would free no space"
        assert f"{len(pair.alone[0])} blobs removed" in box.sluice("stats").stdout


# ── transfers ──


def fail_halfway(box, bad):
    """A transfer that has failed with half of its bytes. The next request gets the rest."""
    half = badserver.cut_short(DATA, len(DATA) // 2)
    bad.on("/half", half, badserver.status(403), badserver.whole(DATA))
    box.run("sluice", "fetch", bad.url("/half"), "--digest", DIGEST, want=DENIED)
    assert box.size(DIGEST) == len(DATA) // 2


def test_abandoned_transfers_go(box, bad):
    with box.up():
        fail_halfway(box, bad)
        box.run("sluice", "fetch", bad.url("/none"), want=NOT_FOUND)
        kept = [row["until"] for row in box.json("status")]
        assert len(set(kept)) == 2, "14 days, and one"
        assert all(f"; kept until {until}" in box.sluice("status").stdout for until in kept)
        dry = gc(box, "--dry-run", "--older-than", "0")
        assert (dry["removed"], dry["removed_transfers"], dry["waiting"]) == (2, 2, 0)
        assert dry["removed_bytes"] >= len(DATA) // 2
        items = {(item["ref"], item["fate"]) for item in dry["items"]}
        assert items == {(DIGEST, "removed"), (bad.url("/none"), "removed")}
        young = gc(box)
        assert (young["removed"], young["waiting_transfers"]) == (0, 2)
        assert box.size(DIGEST) == len(DATA) // 2
        gone = gc(box, "--older-than", "0")
        assert (gone["removed"], gone["removed_transfers"], gone["waiting"]) == (2, 2, 0)
        assert box.json("status") == []
        assert "2 removed by gc" in box.sluice("stats").stdout
    assert not box.ingest(DIGEST).exists()
    settled(box)


def test_young_partials_are_resumed(box, bad):
    with box.up():
        fail_halfway(box, bad)
        gc(box)
        gc(box, "--older-than", "1h")
        box.sluice("fetch", bad.url("/half"), "--digest", DIGEST)
    assert bad.asked("/half")[-1].range == f"bytes={len(DATA) // 2}-{len(DATA) - 1}"
    settled(box)
