"""The checker that all other tests trust: a right store passes, and each kind of damage is named."""

import hashlib
import json
import os

import pytest

from images import LAYER, config_blob, descriptor, digest_of, manifest_blob, MANIFEST
from invariants import check_runtime, problems_of

CONTENT = b"a layer"
REF = digest_of(b"not all here yet")


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
    (ingest / "transfer").write_text(f"ref={REF}\nsize=16\n")
    (ingest / "data").write_bytes(b"not all")
    return store


def layer(store):
    return store / "blobs/sha256" / digest_of(CONTENT).partition(":")[2]


def ingest(store):
    return next((store / "ingest").iterdir())


def rewrite(path, data):
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o444)


def edit_index(store, edit):
    path = store / "index.json"
    document = json.loads(path.read_text())
    edit(document["manifests"])
    path.write_text(json.dumps(document))


DAMAGE = {  # what is done to a store, and a word of the complaint
    "flipped byte": (lambda s: rewrite(layer(s), b"A layer"), "hash to"),
    "cut blob": (lambda s: rewrite(layer(s), b"a lay"), "bytes, where"),
    "missing layer": (lambda s: layer(s).unlink(), "missing"),
    "writable blob": (lambda s: layer(s).chmod(0o644), "mode 644"),
    "second link": (lambda s: os.link(layer(s), s / "oci-layout.link"), "2 links"),
    "symbolic link": (lambda s: (s / "blobs/sha256" / ("0" * 64)).symlink_to(layer(s)), "not a regular file"),
    "name that is no digest": (lambda s: (s / "blobs/sha256/note").write_text(""), "not the name of a blob"),
    "unknown algorithm": (lambda s: (s / "blobs/md5").mkdir(), "no state explains it"),
    "index that is no JSON": (lambda s: (s / "index.json").write_text("{"), "not readable"),
    "index that is none": (lambda s: (s / "index.json").write_text("{}"), "not an image index"),
    "one name twice": (lambda s: edit_index(s, lambda entries: entries.append(entries[0])), "twice"),
    "wrong size in the index": (lambda s: edit_index(s, lambda entries: entries[0].update(size=1)), "says 1"),
    "layout of another version": (lambda s: (s / "oci-layout").write_text("{}"), "version"),
    "missing layout": (lambda s: (s / "oci-layout").unlink(), "missing"),
    "stray file": (lambda s: (s / "tmp").write_text(""), "no state explains it"),
    "stray file in an ingest": (lambda s: (ingest(s) / "tmp").write_text(""), "no state explains it"),
    "ingest without a transfer": (lambda s: (ingest(s) / "transfer").unlink(), "no state explains it"),
    "ref of another ingest": (lambda s: (ingest(s) / "transfer").write_text("ref=a\n"), "does not belong"),
    "data beyond the size": (lambda s: (ingest(s) / "data").write_bytes(bytes(17)), "more than"),
}


def test_right_store_passes(store):
    assert problems_of(store, settled=True) == []


def test_absent_store_passes(tmp_path):
    assert problems_of(tmp_path / "nothing", settled=True) == []


@pytest.mark.parametrize("damage, complaint", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(store, damage, complaint):
    damage(store)
    problems = problems_of(store, settled=True)
    assert any(complaint in problem for problem in problems), problems


def test_leftovers_of_the_living_are_named(tmp_path):
    (tmp_path / "log").write_text("")
    (tmp_path / "ingest.ctl").write_text("")
    problems = []
    check_runtime(tmp_path, problems)
    assert len(problems) == 1 and "ingest.ctl" in problems[0]
