# SPDX-License-Identifier: Apache-2.0
"""
sluice extract: the files of an artifact in a directory of the user's. Titles are whatever somebody pushed, so nothing may
lead out of the directory; a file is whole or absent; links into the store keep what they lead to.
"""

import ctypes
import json
import os
import pathlib
import platform
import shutil
import stat
import subprocess
import tempfile
import threading

import pytest

import disks
from conftest import MIB, boxed
from images import CONFIG, INDEX, LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, BAD_DATA, CANNOT_CREATE, NOT_FOUND, OK, USAGE, alive, one_line

NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
FILEPATH = "org.cnai.model.filepath"
EMPTY = "application/vnd.oci.empty.v1+json"
TEXT = "text/plain"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
HIDDEN = ".sluice-part-"


def put(box, data):
    """Store a blob as another tool would. Returns its digest."""
    path = box.blob(digest_of(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o444)
    return digest_of(data)


def layer(data, title=None, media_type=TEXT, key=TITLE, **annotations):
    if title is not None:
        annotations[key] = title
    return descriptor(data, media_type, **({"annotations": annotations} if annotations else {}))


def artifact(layers, artifact_type="application/vnd.example.files", config=(b"{}", EMPTY)):
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, **({"artifactType": artifact_type} if artifact_type else {}),
        "config": descriptor(*config), "layers": layers,
    }).encode()


class Shelf:
    """A store with artifacts that are put there by hand, and an empty directory to extract to."""

    def __init__(self, box):
        self.box = box
        self.entries = []
        self.place = box.directory / "place"
        self.place.mkdir()
        self.target = self.place / "out"
        box.store.mkdir(parents=True, exist_ok=True)
        (box.store / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        put(box, b"{}")

    def name(self, name, manifest, media_type=MANIFEST, **annotations):
        put(self.box, manifest)
        self.entries.append({**descriptor(manifest, media_type), "annotations": {NAME: name, **annotations}})
        (self.box.store / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.entries}))
        return manifest

    def files(self, name, files, **more):
        """An artifact of {title: content}, or of [(title, content)]."""
        pairs = list(files.items() if isinstance(files, dict) else files)
        for _, data in pairs:
            put(self.box, data)
        return self.name(name, artifact([layer(data, title) for title, data in pairs], **more))

    def extract(self, *words, want=OK, target=None):
        return self.box.run("sluice", "extract", *words, target or self.target, want=want)

    def found(self, target=None):
        """{path: content} of all files below the target, hidden ones too."""
        target = target or self.target
        return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if not path.is_dir()}


@pytest.fixture
def shelf(box):
    yield Shelf(box)


@pytest.fixture
def harmed(shelf):
    """The same, to be damaged on purpose: what is left is no store that must be in order."""
    yield shelf
    shelf.box.store.rename(shelf.box.directory / "harmed")


@pytest.fixture
def room():
    """A directory for mounts."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="slt-"))
    yield place
    shutil.rmtree(place)


def mounted(kind, make, place):
    why = disks.why_not(kind)
    if why:
        pytest.skip(why)
    return make(place)


FILES = {"readme.txt": b"read me\n", "a/b/weights.bin": os.urandom(300_000), "a/config.json": b"{}", "empty": b""}


# ── what is put where ──


def test_files_by_title(shelf):
    shelf.files("model:1", FILES)
    said = shelf.extract("model:1")
    assert shelf.found() == FILES
    rows = [line.split() for line in said.stdout.splitlines()]
    assert [row[-1] for row in rows] == [f"{shelf.target}/{title}" for title in sorted(FILES)]
    assert {row[0] for row in rows} <= {"copy", "reflink"}
    for path in shelf.target.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    shelf.extract("model:1")
    assert shelf.found() == FILES, "the same again"


def test_modes_follow_the_umask(shelf):
    shelf.files("model:1", {"a/x": b"x"})
    shelf.box.prefix = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
    shelf.extract("model:1")
    assert [stat.S_IMODE((shelf.target / name).stat().st_mode) for name in (".", "a", "a/x")] == [0o700, 0o700, 0o600]


def test_json_and_quiet(shelf):
    manifest = shelf.files("model:1", FILES)
    said = shelf.box.sluice("--json", "extract", "model:1", shelf.target)
    *lines, last = map(json.loads, said.stdout.splitlines())
    assert {line["title"]: (line["size"], line["digest"]) for line in lines} == {
        title: (len(data), digest_of(data)) for title, data in FILES.items()}
    assert all(line["path"] == f"{shelf.target}/{line['title']}" and line["how"] in ("copy", "reflink") for line in lines)
    assert last == {"event": "done", "digest": digest_of(manifest), "target": str(shelf.target), "files": len(FILES),
                    "size": sum(map(len, FILES.values()))}
    quiet = shelf.box.sluice("-q", "extract", "model:1", shelf.target)
    assert quiet.stdout.splitlines() == [f"{shelf.target}/{title}" for title in sorted(FILES)]


def test_names_of_what_has_no_title(shelf):
    for data in (b"one", b"two", b"three"):
        put(shelf.box, data)
    shelf.name("model:1", artifact([layer(b"one"), layer(b"two", "sub/two", key=FILEPATH), layer(b"three", "3", x="y")]))
    shelf.extract("model:1")
    assert shelf.found() == {"sha256-" + digest_of(b"one")[7:]: b"one", "sub/two": b"two", "3": b"three"}


def test_a_title_comes_before_a_file_path(shelf):
    put(shelf.box, b"one")
    both = {"annotations": {TITLE: "title", FILEPATH: "path"}}
    shelf.name("model:1", artifact([descriptor(b"one", TEXT, **both)]))
    shelf.extract("model:1")
    assert shelf.found() == {"title": b"one"}


def test_by_digest(shelf):
    manifest = shelf.files("model:1", FILES)
    shelf.extract(digest_of(manifest)[7:15])
    assert shelf.found() == FILES


def test_the_same_file_twice(shelf):
    shelf.files("model:1", [("a", b"same"), ("a", b"same"), ("b", b"same")])
    shelf.extract("model:1")
    assert shelf.found() == {"a": b"same", "b": b"same"}


def test_select(shelf):
    shelf.files("model:1", {**FILES, "../evil": b"evil"})
    weights = digest_of(FILES["a/b/weights.bin"])
    shelf.extract("--title", "readme.txt", "--digest", weights[7:17], "model:1")
    assert shelf.found() == {title: FILES[title] for title in ("readme.txt", "a/b/weights.bin")}, "others need no valid title"
    one_line(shelf.extract("--title", "absent", "model:1", want=NOT_FOUND).stderr, "'absent'", "readme.txt", "a/config.json")
    one_line(shelf.extract("--digest", "0" * 12, "model:1", want=NOT_FOUND).stderr, "0" * 12, "readme.txt")
    one_line(shelf.extract("--digest", "xyz", "model:1", want=USAGE).stderr, "'xyz'")
    shelf.extract("--title=empty", "--title=../evil", "model:1", want=BAD_DATA)


def test_replaces_files_and_links_but_not_directories(shelf):
    shelf.files("model:1", {"a": b"new", "b": b"new", "c": b"new"})
    outside = shelf.place / "outside"
    outside.write_bytes(b"mine")
    shelf.target.mkdir()
    (shelf.target / "a").write_bytes(b"old")
    held = open(shelf.target / "a", "rb")
    (shelf.target / "b").symlink_to(outside)
    shelf.extract("model:1")
    assert shelf.found() == {"a": b"new", "b": b"new", "c": b"new"}
    assert held.read() == b"old" and outside.read_bytes() == b"mine" and not (shelf.target / "b").is_symlink()
    (shelf.target / "c").unlink()
    (shelf.target / "c").mkdir()
    one_line(shelf.extract("model:1", want=CANNOT_CREATE).stderr, "'c'", "directory")


# ── hostile titles ──

LONG = "x" * 255
DEEP = "/".join("d" * 31)
BAD_TITLES = {
    "absolute": "/etc/passwd", "up": "../x", "up inside": "a/../../x", "only up": "..", "dot": "./x", "dot last": "a/.",
    "empty": "", "empty component": "a//b", "slash last": "a/", "newline": "a\nb", "escape": "\x1b[31mred", "del": "a\x7f",
    "c1": "a\u009bb", "long name": LONG + "x", "long path": "a/" * 16 + "x" * 1000,
    "deep": DEEP + "/d/d", "hidden": HIDDEN + "0" * 32, "hidden in capitals": HIDDEN.upper() + "x", "hidden dir": f"{HIDDEN}x/y",
}


@pytest.mark.parametrize("kind", BAD_TITLES)
def test_bad_title(shelf, kind):
    """Refused with the title, before anything is written; not even TARGET is made."""
    title = BAD_TITLES[kind]
    shelf.files("model:1", [("aa-good", b"good"), (title, b"evil"), ("zz-good", b"good")])
    said = shelf.extract("model:1", want=BAD_DATA)
    one_line(said.stderr, "title", "nothing is written")
    assert list(shelf.place.iterdir()) == []
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in said.stderr.replace("\n", ""))


def test_titles_at_the_limits(shelf):
    long = "/".join([LONG] * 4)
    files = {LONG: b"a", DEEP: b"b", long: b"c", "ümlaut/文": b"d", "...": b"e", "..x/y": b"f", " ": b"g", "-n": b"h", "a\\b": b"i"}
    files = {title: data for title, data in files.items() if title != LONG} | {"y" * 255: b"a"}
    assert len(long) == 1023 and DEEP.count("/") == 30
    shelf.files("model:1", files)
    shelf.extract("model:1")
    assert shelf.found() == files


PAIRS = {"same": ("a/b", "a/b"), "file and directory": ("a", "a/b"), "deep": ("x/a-b", "x/a-b/c/d"), "beside": ("a", "a/c")}


@pytest.mark.parametrize("pair", PAIRS)
def test_titles_that_collide(shelf, pair):
    one, other = PAIRS[pair]
    shelf.files("model:1", [("a!", b"0"), (other, b"1"), ("a-b", b"2"), (one, b"3"), ("b", b"4")])
    said = shelf.extract("model:1", want=BAD_DATA)
    one_line(said.stderr, f"'{one}'", "nothing is written")
    assert list(shelf.place.iterdir()) == []


def test_titles_that_differ_in_case(shelf):
    files = {"A": b"1", "a": b"2", "B/x": b"3", "b/x": b"4"}
    shelf.files("model:1", files)
    shelf.extract("model:1")
    assert shelf.found() == files, "they are two files here"


def test_where_case_does_not_count(shelf, room):
    shelf.files("model:1", {"Readme": b"1", "readme": b"2"})
    shelf.files("model:2", {"Dir": b"1", "d-r": b"2", "dir/x": b"3"})
    shelf.files("model:3", {"One": b"1", "two": b"2"})
    with mounted("vfat", lambda place: disks.on_loop("vfat", place, 8 * MIB), room) as disk:
        target = disk.path / "folding"
        target.mkdir()
        one_line(shelf.extract("model:1", target=target, want=CANNOT_CREATE).stderr, "'Readme'", "'readme'", "case")
        one_line(shelf.extract("model:2", target=target, want=CANNOT_CREATE).stderr, "'Dir'", "'dir/x'", "case")
        assert list(target.iterdir()) == []
        shelf.extract("model:3", target=target)
        assert shelf.found(target) == {"One": b"1", "two": b"2"}


def traps(shelf):
    """What is in the way, as (name, make it, title)."""
    target, outside = shelf.target, shelf.place / "outside"
    outside.mkdir()
    return outside, {
        "link to a directory": (lambda: (target / "a").symlink_to(outside), "a/x"),
        "link below": (lambda: ((target / "a").mkdir(), (target / "a/b").symlink_to(outside)), "a/b/x"),
        "dangling link": (lambda: (target / "a").symlink_to(outside / "new"), "a/x"),
        "link to itself": (lambda: (target / "a").symlink_to("a"), "a/x"),
        "link up": (lambda: (target / "a").symlink_to(".."), "a/x"),
        "file": (lambda: (target / "a").write_bytes(b"mine"), "a/x"),
        "fifo": (lambda: os.mkfifo(target / "a"), "a"),
        "fifo above": (lambda: os.mkfifo(target / "a"), "a/x"),
        "directory": (lambda: (target / "a/x").mkdir(parents=True), "a/x"),
    }


@pytest.mark.parametrize("trap", ["link to a directory", "link below", "dangling link", "link to itself", "link up", "file", "fifo",
                                  "fifo above", "directory"])
@pytest.mark.parametrize("link", ["auto", "symlink"])
def test_what_is_in_the_way(shelf, trap, link):
    outside, all_traps = traps(shelf)
    make, title = all_traps[trap]
    shelf.target.mkdir()
    make()
    before = sorted(shelf.target.rglob("*"))
    shelf.files("model:1", {"0": b"good", title: b"evil", "z": b"good"})
    said = shelf.extract("--link", link, "model:1", want=CANNOT_CREATE)
    one_line(said.stderr, f"'{title}'")
    assert sorted(shelf.target.rglob("*")) == before and list(outside.iterdir()) == []
    assert shelf.box.json("ls", "--extracted") == []


def test_links_in_the_path_of_the_target_are_the_users(shelf):
    shelf.files("model:1", FILES)
    (shelf.place / "real").mkdir()
    shelf.target.symlink_to("real")
    shelf.extract("model:1")
    assert shelf.found(shelf.place / "real") == FILES


def exchange(one, other):
    """Give each the other's name, in one step."""
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return ctypes.CDLL(None).renameat2(here, os.fsencode(one), here, os.fsencode(other), swap)


def test_a_directory_that_turns_into_a_link(shelf):
    """While files are put there, somebody exchanges a directory and a link to another: nothing is ever written there."""
    outside, link, real = shelf.place / "outside", shelf.place / "link", shelf.target / "d"
    outside.mkdir()
    link.symlink_to(outside)
    real.mkdir(parents=True)
    shelf.files("model:1", {f"d/{i}/x": b"x" for i in range(12)})
    over, swaps = threading.Event(), 0

    def swap():
        nonlocal swaps
        while not over.is_set():
            assert exchange(link, real) == 0
            swaps += 1

    swapper = threading.Thread(target=swap)
    with shelf.box.up():
        swapper.start()
        try:
            while swaps < 1000:
                shelf.extract("model:1", want=None)
        finally:
            over.set()
            swapper.join()
    assert list(outside.iterdir()) == []
    if link.is_dir() and not link.is_symlink():
        exchange(link, real)
    with shelf.box.up():
        shelf.extract("model:1")
    assert list(outside.iterdir()) == [] and len(shelf.found()) == 12


# ── what is no artifact of files ──


def test_an_image_is_refused(shelf):
    config = config_blob("amd64")
    for data in (config, b"layer"):
        put(shelf.box, data)
    shelf.name("image:1", manifest_blob(config, [descriptor(b"layer", LAYER)]))
    one_line(shelf.extract("image:1", want=USAGE).stderr, "image:1", "it is an image", "archives")
    assert not shelf.target.exists()


def test_an_image_config_with_files(shelf):
    config = config_blob("amd64")
    for data in (config, b"layer"):
        put(shelf.box, data)
    shelf.name("odd:1", artifact([layer(b"layer", "file")], None, (config, CONFIG)))
    shelf.extract("odd:1")
    assert shelf.found() == {"file": b"layer"}


def test_of_an_index_the_platform(shelf):
    ours, other = shelf.files("ours:1", {"x": b"ours"}), shelf.files("other:1", {"x": b"other"})
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    entries = [{**descriptor(other, MANIFEST), "platform": {"os": "plan9", "architecture": "mips"}},
               {**descriptor(ours, MANIFEST), "platform": {"os": "linux", "architecture": arch}}]
    shelf.name("index:1", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode(), INDEX)
    shelf.name("none:1", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries[:1]}).encode(), INDEX)
    shelf.extract("index:1")
    assert shelf.found() == {"x": b"ours"}
    one_line(shelf.extract("none:1", want=NOT_FOUND).stderr, "none:1", "index", "by digest")


def test_no_files(shelf):
    shelf.name("empty:1", artifact([layer(b"{}", media_type=EMPTY)]))
    one_line(shelf.extract("empty:1", want=NOT_FOUND).stderr, "no files")
    one_line(shelf.extract("nobody:1", want=NOT_FOUND).stderr, "nobody:1", "nothing has that name")
    one_line(shelf.extract(digest_of(b"{}"), want=BAD_DATA).stderr, digest_of(b"{}"))


def test_a_foreign_layer_that_is_not_there(harmed):
    """As a pull leaves it out: told, and the others are put out."""
    put(harmed.box, b"good")
    absent = descriptor(b"absent", FOREIGN, urls=["https://registry.invalid/x"], annotations={TITLE: "foreign"})
    harmed.name("model:1", artifact([layer(b"good", "good"), absent]))
    said = harmed.extract("model:1")
    one_line(said.stderr, "left out", "'foreign'")
    assert harmed.found() == {"good": b"good"}
    one_line(harmed.extract("--title", "foreign", "model:1", want=NOT_FOUND).stderr, "'foreign'", "not stored")


def test_a_missing_file_is_no_foreign_one(harmed):
    manifest = harmed.files("model:1", FILES)
    assert manifest
    harmed.box.blob(digest_of(b"read me\n")).unlink()
    one_line(harmed.extract("model:1", want=NOT_FOUND).stderr, "'readme.txt'", "not stored", "pull")
    assert not harmed.target.exists()


@pytest.mark.parametrize("link", ["auto", "copy", "symlink"])
@pytest.mark.parametrize("damage", ["shorter", "longer", "flipped", "directory"])
def test_damage(harmed, damage, link):
    """By size or type it is found at once; a copy is hashed on the way, and gets no name."""
    harmed.files("model:1", {"a": b"good", "b": b"0123456789"})
    path = harmed.box.blob(digest_of(b"0123456789"))
    path.unlink()
    {"shorter": lambda: path.write_bytes(b"012345678"), "longer": lambda: path.write_bytes(b"01234567890"),
     "flipped": lambda: path.write_bytes(b"0123456788"), "directory": path.mkdir}[damage]()
    if damage == "flipped" and link == "symlink":
        return  # nothing is read
    one_line(harmed.extract("--link", link, "model:1", want=BAD_DATA).stderr, path, "is damaged", "'b'")
    assert set(harmed.found()) == {"a"}


def test_never_into_the_store(shelf):
    shelf.files("model:1", FILES)
    for target in (shelf.box.store, shelf.box.store / "blobs", shelf.box.store / "blobs/sha256"):
        one_line(shelf.extract("model:1", target=target, want=USAGE).stderr, "in the store")
    (shelf.place / "way").symlink_to(shelf.box.store / "blobs")
    shelf.extract("model:1", target=shelf.place / "way", want=USAGE)


def test_targets_that_cannot_be(shelf):
    shelf.files("model:1", FILES)
    one_line(shelf.extract("model:1", target=shelf.place / "no/such", want=CANNOT_CREATE).stderr, "no/such", "above")
    (shelf.place / "file").write_bytes(b"")
    one_line(shelf.extract("model:1", target=shelf.place / "file", want=CANNOT_CREATE).stderr, "file")


# ── links ──


def collect(box):
    """Remove all content that is unneeded; what it did is then to be looked at."""
    box.run("sluice", "-q", "gc", "--grace", "0")


def targets(box):
    return [(entry["target"], entry["name"]) for entry in box.json("ls", "--extracted")]


def test_links_keep_what_they_lead_to(shelf):
    """A record comes first, and only 'rm --extracted' ends it."""
    box = shelf.box
    shelf.files("model:1", FILES)
    said = shelf.extract("--link", "symlink", "model:1")
    assert "rm --extracted" in said.stdout and shelf.found() == FILES
    for title, data in FILES.items():
        assert os.readlink(shelf.target / title) == str(box.blob(digest_of(data)).resolve())
    assert targets(box) == [(str(shelf.target), "model:1")]
    listed = box.sluice("ls", "--extracted").stdout.splitlines()
    assert listed[0].split() == ["TARGET", "NAME", "SINCE"] and listed[1].split()[:2] == [str(shelf.target), "model:1"]
    assert box.sluice("-q", "ls", "--extracted").stdout == f"{shelf.target}\n"
    box.sluice("rm", "model:1")
    collect(box)
    assert shelf.found() == FILES, "the record keeps it"
    assert targets(box) == [(str(shelf.target), "model:1")]
    one_line(box.run("sluice", "rm", "--extracted", shelf.place, want=NOT_FOUND).stderr, shelf.place, "ls --extracted")
    box.sluice("rm", "--extracted", shelf.target)
    assert targets(box) == []
    collect(box)
    assert not any(box.blob(digest_of(data)).exists() for title, data in FILES.items() if data != b"{}")


def test_links_again_and_then_copies(shelf):
    """A second run takes up the record; one that fails does not end it; copies in their place leave it, too."""
    box = shelf.box
    shelf.files("model:1", FILES)
    shelf.files("bad:1", {"readme.txt/x": b"x"})
    for _ in range(2):
        shelf.extract("--link", "symlink", "model:1")
        assert shelf.found() == FILES and targets(box) == [(str(shelf.target), "model:1")]
    (shelf.target / "empty").unlink()
    (shelf.target / "empty").mkdir()
    shelf.extract("--link", "symlink", "model:1", want=CANNOT_CREATE)
    assert targets(box) == [(str(shelf.target), "model:1")]
    (shelf.target / "empty").rmdir()
    shelf.extract("--link", "copy", "model:1")
    assert not any(path.is_symlink() for path in shelf.target.rglob("*"))
    assert targets(box) == [(str(shelf.target), "model:1")]
    shelf.extract("--link", "symlink", "bad:1", want=CANNOT_CREATE)
    assert targets(box) == [(str(shelf.target), "model:1")]
    shelf.extract("--link", "symlink", "bad:1", target=shelf.place / "other")
    assert len(targets(box)) == 2
    box.sluice("rm", "--extracted", shelf.target, shelf.place / "other")
    assert targets(box) == []


def test_a_record_outlives_its_directory(shelf):
    shelf.files("model:1", {"a": b"a"})
    shelf.extract("--link", "symlink", "model:1")
    shutil.rmtree(shelf.target)
    assert shelf.box.json("rm", "--extracted", shelf.target) == {"target": str(shelf.target), "name": "model:1"}
    assert targets(shelf.box) == []


def test_a_path_that_no_record_can_have(shelf):
    shelf.files("model:1", {"a": b"a"})
    long = shelf.place
    for _ in range(3):
        long = long / ("l" * 200)
        long.mkdir()
    for target in (long, shelf.place / "line\nbreak"):
        said = shelf.extract("--link", "symlink", "model:1", target=target, want=USAGE)
        assert "path of the directory" in said.stderr
        assert not target.exists() or list(target.iterdir()) == []
        shelf.extract("--link", "copy", "model:1", target=target)


# ── disks ──


def used(path):
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_reflinks(request, room, kind):
    """They take no space, and are files of their own: what is written to one is not in the store."""
    size = {"btrfs": 256 * MIB, "xfs": 400 * MIB}[kind]
    with mounted(kind, lambda place: disks.on_loop(kind, place, size), room) as disk:
        for box in boxed(request, pathlib.Path(tempfile.mkdtemp(prefix="slt-")), disk.path / "store"):
            shelf = Shelf(box)
            data = os.urandom(40 * MIB)
            shelf.files("model:1", {"w": data, "empty": b""})
            target = disk.path / "out"
            subprocess.run(["sync", "-f", disk.path], check=True)
            before = used(disk.path)
            for link in ("auto", "reflink"):
                said = shelf.extract("--link", link, "model:1", target=target)
                assert {line.split()[0] for line in said.stdout.splitlines()} == {"reflink"}
            subprocess.run(["sync", "-f", disk.path], check=True)
            assert used(disk.path) - before < 10 * MIB
            assert shelf.found(target) == {"w": data, "empty": b""}
            with open(target / "w", "r+b") as f:
                f.write(b"changed")
            assert box.blob(digest_of(data)).read_bytes() == data
            assert "copy" in shelf.extract("model:1").stdout, "to another file system"
            one_line(shelf.extract("--link", "reflink", "model:1", want=USAGE).stderr, "--link copy")


def test_more_than_a_gib_is_not_copied_unasked(harmed, room):
    """The blobs are sparse, so that they take no space; what they hash to does not matter before a copy ends."""
    with mounted("tmpfs", lambda place: disks.tmpfs(place, 8 * MIB), room) as disk:
        target = disk.path / "out"
        for name, size, want in (("more", (1 << 30) + 1, USAGE), ("at most", 1 << 30, AGAIN)):
            path = harmed.box.blob(put(harmed.box, name.encode()))
            path.chmod(0o644)
            os.truncate(path, size)
            entry = {**layer(name.encode(), "dir/big"), "size": size}
            harmed.name(name.replace(" ", "-"), artifact([layer(b"{}", "small"), entry]))
            said = harmed.extract(name.replace(" ", "-"), target=target, want=want)
            wanted = ["'dir/big'", "1 GiB", "--link copy", "--link symlink"] if want == USAGE else ["needs 1.0 GiB", target]
            one_line(said.stderr, *wanted)
            assert list(disk.path.iterdir()) == [], "nothing is written"
        one_line(harmed.extract("more", "--link", "copy", target=target, want=AGAIN).stderr, "needs 1.0 GiB")
        harmed.extract("more", "--link", "symlink", target=target)
        assert os.stat(target / "dir/big").st_size == (1 << 30) + 1


@pytest.mark.parametrize("kind", ["bytes", "inodes"])
def test_a_disk_that_fills_up(shelf, room, kind):
    """What does not fit is told with its path, and what is there is whole; with room, the same command ends right."""
    files = {f"d/{i}": os.urandom(1 * MIB) for i in range(6)}
    shelf.files("model:1", files)
    with mounted("tmpfs", lambda place: disks.tmpfs(place, 8 * MIB, inodes=40), room) as disk:
        target = disk.path / "out"
        if kind == "bytes":
            disk.leave(3 * MIB)
            one_line(shelf.extract("model:1", target=target, want=AGAIN).stderr, "needs 6.0 MiB", "3.0 MiB free", target)
            assert not target.exists()
            disk.drain()
        else:
            disk.take_inodes(5)
            said = shelf.extract("model:1", target=target, want=AGAIN)
            one_line(said.stderr, target, "No space left")
            assert 0 < len(shelf.found(target)) < len(files)
            assert all(files[title] == data for title, data in shelf.found(target).items())
            disk.free_inodes()
        shelf.extract("model:1", target=target)
        assert shelf.found(target) == files


# ── others at the same time ──


def test_gc_in_a_loop(shelf):
    """What is extracted by its digest alone has no name; the lease keeps it while it is read."""
    box = shelf.box
    files = {f"{i}": os.urandom(50_000) for i in range(30)}
    shelf.files("model:1", files)
    over = threading.Event()
    with box.up():

        def collect_on():
            while not over.is_set():
                collect(box)

        collector = threading.Thread(target=collect_on)
        collector.start()
        try:
            for i in range(5):
                target = shelf.place / f"out{i}"
                link = ("copy", "symlink")[i % 2]
                shelf.extract("--link", link, "model:1", target=target)
                assert shelf.found(target) == files
            box.sluice("rm", "model:1")
            linked = [shelf.place / "out1", shelf.place / "out3"]
            for target in linked:
                assert shelf.found(target) == files
            box.sluice("rm", "--extracted", *linked)
        finally:
            over.set()
            collector.join()
        collect(box)
        assert not any(box.blob(digest_of(data)).exists() for data in files.values())


def test_two_at_once(shelf):
    """Into one directory: each file is one of theirs, whole. One may have to be run again."""
    one = {f"d/{i}": os.urandom(200_000) for i in range(10)}
    other = {title: os.urandom(200_000) for title in one}
    shelf.files("model:1", one)
    shelf.files("model:2", other)
    with shelf.box.up():
        for _ in range(5):
            running = [shelf.box.popen("sluice", "extract", name, shelf.target) for name in ("model:1", "model:2")]
            ended = [shelf.box.finish(process) for process in running]
            assert {process.returncode for process in ended} <= {OK, AGAIN}, [process.stderr for process in ended]
            assert all(data in (one[title], other[title]) for title, data in shelf.found().items())
        shelf.extract("model:1")
    assert shelf.found() == one


def test_killed_at_some_file(shelf):
    """kill -9 as soon as some files are there: no half file has a name, and the next run leaves nothing behind."""
    files = {f"d{i % 3}/{i}": os.urandom(400_000) for i in range(60)}
    shelf.files("model:1", files)
    with shelf.box.up():
        for count in (1, 5, 20, 40):
            process = shelf.box.popen("sluice", "extract", "--link", "copy", "model:1", shelf.target)

            def named():
                return [path for path in shelf.target.rglob("*") if path.is_file() and not path.name.startswith(HIDDEN)]

            wait_for(f"{count} files", lambda: len(named()) >= count or process.poll() is not None, pause_s=0)
            if alive(process.pid):
                process.kill()
            process.wait()
            for path in named():
                assert path.read_bytes() == files[str(path.relative_to(shelf.target))]
            shelf.extract("model:1")
            assert shelf.found() == files
            shutil.rmtree(shelf.target)


def test_interrupted(shelf):
    files = {f"{i}": os.urandom(3 * MIB) for i in range(20)}
    shelf.files("model:1", files)
    with shelf.box.up():
        process = shelf.box.popen("sluice", "extract", "--link", "copy", "model:1", shelf.target)
        wait_for("a file", lambda: (shelf.target / "0").exists() or process.poll() is not None, pause_s=0)
        process.terminate()
        said = shelf.box.finish(process)
        assert said.returncode in (OK, -15)
        assert all(files[title] == data for title, data in shelf.found().items()), "no hidden file is left"
        shelf.extract("model:1")
    assert shelf.found() == files


# ── from a registry ──


def test_pushed_artifacts(box, registry):
    """As ORAS, Helm and model tools push them."""
    pusher = Pusher(registry.address, "artifacts/extract")
    files = {"chart": b"a chart", "weights": os.urandom(100_000), "notes": b"notes"}
    for data in (b"{}", *files.values(), b'{"name":"x"}'):
        pusher.blob_bytes(data)
    helm = artifact([layer(files["chart"], media_type="application/vnd.cncf.helm.chart.content.v1.tar+gzip")], None,
                    (b'{"name":"x"}', "application/vnd.cncf.helm.config.v1+json"))
    model = artifact([layer(files["weights"], "m/weights.bin", "application/vnd.cnai.model.weight.v1.raw", key=FILEPATH)],
                     "application/vnd.cnai.model.manifest.v1+json")
    oras = artifact([layer(files["notes"], "notes.txt"), layer(files["chart"], "dir", **{"io.deis.oras.content.unpack": "true"})])
    for tag, manifest in (("helm", helm), ("model", model), ("oras", oras)):
        pusher.manifest(tag, manifest)
        box.sluice("pull", f"{registry.address}/artifacts/extract:{tag}")
    out = box.directory / "out"
    out.mkdir()
    for tag in ("helm", "model", "oras"):
        said = box.sluice("extract", f"{registry.address}/artifacts/extract:{tag}", out / tag)
        assert ("packed" in said.stderr) == (tag == "oras")
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == {
        f"helm/sha256-{digest_of(files['chart'])[7:]}": files["chart"], "model/m/weights.bin": files["weights"],
        "oras/notes.txt": files["notes"], "oras/dir": files["chart"],
    }
