# SPDX-License-Identifier: Apache-2.0
"""What a person sees of the store: ls, images, cat, tag and rm, by name and by digest."""

import json
import os
import re
import time

import pytest

from conftest import BINDIR, settled
from images import CONFIG, INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import BAD_DATA, NOT_FOUND, USAGE, one_line
from terminal import Terminal

NAME = "org.opencontainers.image.ref.name"
EMPTY = "application/vnd.oci.empty.v1+json"
LONG = "registry.example.org/some/rather/long/path/to/the/image:v1.2.3"
SHARED = b"a layer of both images"


def put(box, data):
    """Write a blob as another tool would. Returns its digest."""
    path = box.blob(digest_of(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    rewrite(path, data)
    return digest_of(data)


def rewrite(path, data):
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o444)


def named(data, name, media_type=MANIFEST, **more):
    return {**descriptor(data, media_type), **more, "annotations": {NAME: name} if name else {}}


def write_index(box, entries):
    (box.store / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def artifact(layers, artifact_type="application/vnd.example.model"):
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type, "config": descriptor(b"{}", EMPTY),
        "layers": [descriptor(layer, "application/octet-stream") for layer in layers],
    }).encode()


class Filled:
    """A store with one name of each kind, and a blob that nobody needs."""

    def __init__(self, box):
        self.box = box
        box.store.mkdir()
        (box.store / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.configs = [config_blob("amd64"), config_blob("arm64")]
        self.layer = b"a layer of the first image"
        self.image = manifest_blob(self.configs[0], [descriptor(SHARED, LAYER), descriptor(self.layer, LAYER)])
        self.other = manifest_blob(self.configs[1], [descriptor(SHARED, LAYER)])
        self.index = json.dumps({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [descriptor(self.image, MANIFEST), descriptor(self.other, MANIFEST)],
        }).encode()
        self.content = b"content of a file\n"
        self.file = artifact([self.content], "application/vnd.sluice.file.v1")
        self.model = artifact([self.content, b"more"])
        self.unneeded = b"nobody needs this"
        for data in (*self.configs, SHARED, self.layer, self.image, self.other, self.index, b"{}", self.content, b"more",
                     self.file, self.model, self.unneeded):
            put(box, data)
        self.entries = [
            named(self.image, LONG, platform={"os": "linux", "architecture": "amd64"}), named(self.index, "all:1", INDEX),
            named(self.file, "files.local/readme"), named(self.model, "model:1"),
        ]
        write_index(box, self.entries)

    def listed(self, *words):
        return {entry["name"]: entry for entry in self.box.json("ls", *words)}


@pytest.fixture
def filled(box):
    return Filled(box)


@pytest.fixture
def harmed(filled):
    """The same, to be damaged on purpose: what is left is no store that must be in order."""
    yield filled
    filled.box.store.rename(filled.box.directory / "harmed")


# ── ls and images ──


def test_kinds(filled):
    listed = filled.listed()
    assert {name: entry["kind"] for name, entry in listed.items()} == {
        LONG: "image", "all:1": "index", "files.local/readme": "file", "model:1": "artifact",
    }
    assert [entry["name"] for entry in filled.box.json("images")] == [LONG, "all:1"]
    one = listed[LONG]
    assert one["digest"] == digest_of(filled.image) and one["media_type"] == MANIFEST and one["platform"] == "linux/amd64"
    assert one["size"] == sum(map(len, (filled.image, filled.configs[0], SHARED, filled.layer)))
    assert not any(entry["incomplete"] for entry in listed.values())
    assert filled.box.sluice("-q", "ls").stdout.splitlines() == list(listed)


def test_age_is_since_the_manifest_was_stored(filled):
    two_days = time.time() - 50 * 3600
    os.utime(filled.box.blob(digest_of(filled.image)), (two_days, two_days))
    assert filled.listed()[LONG]["stored"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(two_days))
    rows = {line.split()[0]: line.split()[-1] for line in filled.box.sluice("ls").stdout.splitlines()[1:]}
    assert rows[LONG] == "2d"
    later = time.time() + 1e6
    os.utime(filled.box.blob(digest_of(filled.image)), (later, later))
    rows = {line.split()[0]: line.split()[-1] for line in filled.box.sluice("ls").stdout.splitlines()[1:]}
    assert rows[LONG] == "-", "a clock that was set back"


def incomplete(box):
    return {entry["name"] for entry in box.json("ls") if entry["incomplete"]}


HARM = {
    "a layer is missing": (lambda f: f.box.blob(digest_of(f.layer)).unlink(), {LONG, "all:1"}),
    "a shared layer is empty": (lambda f: rewrite(f.box.blob(digest_of(SHARED)), b""), {LONG, "all:1"}),
    "a layer is longer": (lambda f: rewrite(f.box.blob(digest_of(f.content)), f.content + b"x"), {"files.local/readme", "model:1"}),
    "a config is a directory": (lambda f: swap(f.box.blob(digest_of(f.configs[1]))), {"all:1"}),
    "a manifest is missing": (lambda f: f.box.blob(digest_of(f.image)).unlink(), {LONG, "all:1"}),
    "a manifest has a flipped bit": (lambda f: flip(f.box.blob(digest_of(f.other))), {"all:1"}),
    "a manifest that is named": (lambda f: flip(f.box.blob(digest_of(f.file))), {"files.local/readme"}),
}


def swap(path):
    path.unlink()
    path.mkdir()


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    rewrite(path, data)


@pytest.mark.parametrize("harm", HARM)
def test_incomplete(harmed, harm):
    do, want = HARM[harm]
    assert incomplete(harmed.box) == set()
    do(harmed)
    assert incomplete(harmed.box) == want
    rows = harmed.box.sluice("ls").stdout.splitlines()[1:]
    assert {row.split()[0] for row in rows if row.endswith("incomplete")} == want
    assert {entry["name"] for entry in harmed.box.json("images") if entry["incomplete"]} == want - {"model:1"} - (
        {"files.local/readme"} if harm != "a manifest that is named" else set())  # what cannot be read may be an image


def test_left_out_layers_are_not_missing(harmed):
    harmed.box.blob(digest_of(harmed.layer)).unlink()
    entry = dict(harmed.entries[0])
    entry["annotations"] = {**entry["annotations"], "vnd.sluice.left-out": f"sha256:{'0' * 64},{digest_of(harmed.layer)}"}
    write_index(harmed.box, [entry, harmed.entries[1]])
    assert incomplete(harmed.box) == {"all:1"}


def test_operands(filled):
    assert list(filled.listed("all:1", LONG)) == [LONG, "all:1"]
    assert list(filled.listed(digest_of(filled.file))) == ["files.local/readme"]
    assert list(filled.listed(digest_of(filled.file)[7:13])) == ["files.local/readme"]
    some = filled.box.run("sluice", "ls", "all:1", "nobody", "sha256:abcdefabcdef", want=NOT_FOUND)
    assert "all:1" in some.stdout
    assert [line.count("'nobody'") + line.count("'sha256:abcdefabcdef'") for line in some.stderr.splitlines()] == [1, 1]
    one_line(filled.box.run("sluice", "images", "nobody", want=NOT_FOUND).stderr, "nobody")


def test_entries_of_other_tools(harmed):
    """Without a name, and one that is not a descriptor at all."""
    write_index(harmed.box, [*harmed.entries, named(harmed.other, None), {"digest": 7}])
    listed = harmed.box.json("ls")
    assert [entry.get("name") for entry in listed] == [LONG, "all:1", "files.local/readme", "model:1", None]
    assert harmed.box.sluice("ls").stdout.splitlines()[-1].startswith("-  ")
    needed = {blob["digest"]: blob for blob in harmed.box.json("ls", "--blobs")}
    assert needed[digest_of(harmed.configs[1])]["needed_by"] == ["all:1", digest_of(harmed.other)]


def test_blobs(filled):
    blobs = filled.box.json("ls", "--blobs")
    assert {blob["digest"] for blob in blobs} == {f"sha256:{path.name}" for path in (filled.box.store / "blobs/sha256").iterdir()}
    assert [blob["digest"] for blob in blobs] == sorted(blob["digest"] for blob in blobs)
    needed = {blob["digest"]: (blob["size"], blob["needed_by"], blob["needed_by_count"]) for blob in blobs}
    assert needed[digest_of(SHARED)] == (len(SHARED), [LONG, "all:1"], 2)
    assert needed[digest_of(filled.content)] == (len(filled.content), ["files.local/readme", "model:1"], 2)
    assert needed[digest_of(filled.unneeded)] == (len(filled.unneeded), [], 0)
    rows = {line.split(None, 2)[0]: line.split(None, 2)[1:] for line in filled.box.sluice("ls", "--blobs").stdout.splitlines()}
    assert len(rows) == len(blobs), "no heads for scripts"
    assert rows[digest_of(SHARED)] == [str(len(SHARED)), f"{LONG}, all:1"]
    assert rows[digest_of(filled.unneeded)] == [str(len(filled.unneeded)), "-"]
    assert filled.box.sluice("-q", "ls", "--blobs").stdout.splitlines() == [blob["digest"] for blob in blobs]
    one_line(filled.box.run("sluice", "ls", "--blobs", LONG, want=USAGE).stderr, "--blobs", "inspect")


def test_blobs_of_many_names(filled):
    write_index(filled.box, [named(filled.image, f"name:{number}") for number in range(7)])
    row = next(line for line in filled.box.sluice("ls", "--blobs").stdout.splitlines() if digest_of(SHARED) in line)
    assert row.endswith("  name:0, name:1, name:2, +4 more")
    blob = next(blob for blob in filled.box.json("ls", "--blobs") if blob["digest"] == digest_of(SHARED))
    assert (blob["needed_by"], blob["needed_by_count"]) == (["name:0", "name:1", "name:2"], 7)


@pytest.mark.parametrize("columns", [140, 80, 50, 30])
@pytest.mark.parametrize("words", [["ls"], ["images"], ["ls", "--blobs"]], ids=" ".join)
def test_tables_fit_the_terminal(harmed, words, columns):
    harmed.box.blob(digest_of(harmed.layer)).unlink()
    with Terminal(harmed.box.directory, ["sh", "-c", f"{BINDIR}/sluice {' '.join(words)}; echo end; cat"], columns, 24,
                  harmed.box.environment) as terminal:
        terminal.see("end")
        *lines, end = terminal.screen()
        assert end == "end" and terminal.tmux("capture-pane", "-p", "-J").split() == "\n".join([*lines, end]).split()
        assert all(len(line) < columns for line in lines)
        heads, *rows = lines
        assert heads.startswith("DIGEST" if "--blobs" in words else "NAME")
        assert len(rows) == {"ls": 4, "images": 2, "ls --blobs": 12}[" ".join(words)]
        label = digest_of(harmed.image)[7:19]
        if words == ["ls", "--blobs"]:
            assert any(row.startswith(f"{label}  ") for row in rows)
        else:
            long = rows[0]
            assert (LONG in long) == (columns == 140)
            assert re.match(re.escape(LONG[:5]) + r"\S*(\.\.|path)\S*" + re.escape(LONG[-5:]) + " ", long), long
            assert long.endswith("incomplete"), "the mark is never left out"
            assert (label in long) == (columns > 30)
            assert ("linux/amd64" in long) == (columns > 50)


def test_nothing_is_shortened_off_a_terminal(filled):
    filled.box.prefix = ["env", "COLUMNS=40"]
    assert LONG in filled.box.sluice("ls").stdout and digest_of(filled.image) in filled.box.sluice("ls").stdout


# ── short digests, and several of them ──


def test_cat(filled):
    box = filled.box
    assert box.sluice("cat", "files.local/readme").raw == filled.content
    for digest in (digest_of(filled.content), digest_of(filled.content)[:13], digest_of(filled.content)[7:13]):
        assert box.sluice("cat", digest).raw == filled.content
    assert box.sluice("cat", digest_of(filled.file)[7:19]).raw == filled.file, "of a digest, that blob"
    one_line(box.run("sluice", "cat", LONG, want=USAGE).stderr, LONG, "an image", "sluice inspect")
    one_line(box.run("sluice", "cat", "all:1", want=USAGE).stderr, "all:1", "an index", "sluice inspect")
    one_line(box.run("sluice", "cat", "model:1", want=USAGE).stderr, "model:1", "2 files")
    one_line(box.run("sluice", "cat", "nobody", want=NOT_FOUND).stderr, "nobody", "nothing has that name")
    one_line(box.run("sluice", "cat", "abcde", want=NOT_FOUND).stderr, "abcde", "nothing has that name")
    one_line(box.run("sluice", "cat", digest_of(b"absent"), want=NOT_FOUND).stderr, digest_of(b"absent"), "not stored")
    (box.store / "index.json").write_text("{")
    assert box.sluice("cat", digest_of(filled.content)[:13]).raw == filled.content
    one_line(box.run("sluice", "cat", LONG, want=NOT_FOUND).stderr, "index.json")
    write_index(box, filled.entries)


DAMAGE = {
    "truncated": lambda path: rewrite(path, path.read_bytes()[:-1]),
    "empty": lambda path: rewrite(path, b""),
    "longer": lambda path: rewrite(path, path.read_bytes() + b"x"),
    "directory": swap,
    "link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", [*DAMAGE, "flipped bit"])
@pytest.mark.parametrize("by", ["name", "digest"])
def test_cat_of_damaged_content(harmed, damage, by):
    """Before the first byte if the size or the type tell, else after the last. With the path, and why."""
    digest = digest_of(harmed.content)
    path = harmed.box.blob(digest)
    DAMAGE.get(damage, flip)(path)
    said = harmed.box.run("sluice", "cat", "files.local/readme" if by == "name" else digest, want=BAD_DATA)
    one_line(said.stderr, path, "is damaged")
    assert len(said.raw) == (len(harmed.content) if damage == "flipped bit" else 0)


def test_cat_of_a_blob_that_nothing_describes(harmed):
    path = harmed.box.blob(digest_of(harmed.unneeded))
    rewrite(path, b"")
    one_line(harmed.box.run("sluice", "cat", digest_of(harmed.unneeded), want=BAD_DATA).stderr, path, "do not hash")


def test_ambiguous_digits(filled):
    """What the digits fit is listed; one more digit decides."""
    box, name = filled.box, digest_of(filled.content)[7:]
    near = name[:12] + ("0" if name[12] != "0" else "1") + name[13:]
    twin = box.store / "blobs/sha256" / near
    twin.write_bytes(b"only its name matters")
    for words in (["cat"], ["tag"]):
        said = box.run("sluice", *words, name[:12], *(["new:1"] if words == ["tag"] else []), want=USAGE)
        one_line(said.stderr, f"sha256:{name}", f"sha256:{near}")
    assert box.sluice("cat", name[:13]).raw == filled.content
    twin.unlink()


def names(box):
    return {entry["name"]: entry["digest"] for entry in box.json("ls")}


def test_tag(filled):
    box = filled.box
    box.sluice("tag", "files.local/readme", "readme:2")
    box.sluice("tag", digest_of(filled.model)[7:13], "model:2")
    box.sluice("tag", digest_of(filled.other)[:13], "arm:1")
    after = names(box)
    assert (after["readme:2"], after["model:2"], after["arm:1"]) == tuple(map(digest_of, (filled.file, filled.model, filled.other)))
    assert filled.listed()["arm:1"]["platform"] == "linux/arm64"
    said = box.run("sluice", "tag", digest_of(filled.content)[7:13], "x:1", want=BAD_DATA)
    one_line(said.stderr, "is not a manifest", "names are for images and artifacts")


def test_rm_of_several(filled):
    """All are tried; the first failure is the exit code."""
    box = filled.box
    box.sluice("tag", LONG, "another:1")
    said = box.run("sluice", "rm", "nobody:1", "model:1", digest_of(filled.image)[7:15], "all:1", want=NOT_FOUND)
    assert "model:1" in said.stdout and "all:1" in said.stdout and "removed 2 names" in said.stdout and "gc" in said.stdout
    missing, several = said.stderr.splitlines()
    one_line(missing, "nobody:1", "nothing has that name")
    one_line(several, "several names", LONG, "another:1")
    assert set(names(box)) == {LONG, "another:1", "files.local/readme"}
    box.sluice("rm", "another:1")
    assert "removed 1 name;" in box.sluice("rm", digest_of(filled.image)[7:15]).stdout, "it has one name now"
    assert set(names(box)) == {"files.local/readme"}
    assert box.blob(digest_of(filled.image)).exists(), "only names are removed"
    one_line(box.run("sluice", "rm", digest_of(filled.image), want=NOT_FOUND).stderr, digest_of(filled.image), "has a name")
    settled(box)


def test_rm_prints_json(filled):
    lines = filled.box.sluice("--json", "rm", "model:1", "all:1").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["model:1", "all:1"]
    assert filled.box.sluice("-q", "rm", LONG).stdout == ""
