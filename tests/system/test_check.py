# SPDX-License-Identifier: Apache-2.0
"""
check: stored content is damaged in every way. It is found, with the names that need it; the next pull, or --repair, fetches
again that and nothing else; a check that was interrupted goes on; pulls, gc and checks run beside each other.
"""

import json
import os

import pytest

import badserver
import wire
from conftest import settled
from images import INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import BAD_DATA, NOT_FOUND, OK
from test_corruption import DAMAGES, NOT_OURS, remove

CONFIG_DATA, LAYERS = config_blob(), [os.urandom(60_000), os.urandom(50_000)]
MANIFEST_DATA = manifest_blob(CONFIG_DATA, [descriptor(layer, LAYER) for layer in LAYERS])
INDEX_DATA = json.dumps({
    "schemaVersion": 2, "mediaType": INDEX,
    "manifests": [descriptor(MANIFEST_DATA, MANIFEST, platform={"os": "linux", "architecture": "amd64"})],
}).encode()
BLOBS = {"config": CONFIG_DATA, "layer": LAYERS[0]}
OTHERS = {name: NOT_OURS[name] for name in ("symlink", "FIFO", "directory")}
KINDS = {**DAMAGES, **OTHERS}


@pytest.fixture
def victim(box):
    """The target of links."""
    path = box.directory / "victim"
    path.write_bytes(b"precious")
    yield path
    assert path.read_bytes() == b"precious"


@pytest.fixture
def image(bad):
    """The name of an image, of which the registry has all content by digest, too."""
    blobs = {digest_of(data): [badserver.whole(data)] for data in (CONFIG_DATA, *LAYERS)}
    bad.image("app", "1", MANIFEST_DATA, MANIFEST, blobs)
    bad.image("app", "all", INDEX_DATA, INDEX)
    for data, media_type in ((MANIFEST_DATA, MANIFEST), (INDEX_DATA, INDEX)):
        bad.on(f"/v2/app/manifests/{digest_of(data)}", badserver.whole(data, {"Content-Type": media_type}))
    return f"{bad.address}/app:1"


def check(box, *words, want=OK):
    """The object that check prints."""
    return json.loads(box.run("sluice", "--json", "check", *words, want=want).stdout.splitlines()[-1])


def served(bad):
    """How often each content was sent."""
    paths = {request.path.rpartition("/")[2] for request in bad.requests if request.method == "GET"}
    return {path: len([r for r in bad.requests if r.method == "GET" and r.path.endswith(f"/{path}")]) for path in paths}


def fetched_since(bad, before):
    """The digests that were sent since."""
    return {path for path, count in served(bad).items() if path.startswith("sha256:") and count > before.get(path, 0)}


def kind_of(name):
    return ("missing", NOT_FOUND) if name == "missing" else ("damaged", BAD_DATA)


def is_incomplete(box, name):
    return next(row["incomplete"] for row in box.json("ls") if row["name"] == name)


@pytest.mark.parametrize("heal", ["pull", "repair"])
@pytest.mark.parametrize("what", ["config", "layer", "manifest"])
def test_damage_is_found_and_healed(box, bad, image, victim, what, heal):
    data = BLOBS.get(what, MANIFEST_DATA)
    digest = digest_of(data)
    with box.up():
        box.sluice("pull", image)
        assert check(box) == {"event": "done", "checked": 4, "bytes": sum(map(len, (CONFIG_DATA, *LAYERS, MANIFEST_DATA))),
                              "damaged": 0, "missing": 0, "unreadable": 0, "problems": [], "repaired": []}
        for name, damage in KINDS.items():
            state, code = kind_of(name)
            damage(box.blob(digest), victim)
            before = served(bad)
            if heal == "repair":
                found = check(box, "--repair")
                assert found["repaired"] == [image], name
            else:
                found = check(box, want=code)
                assert is_incomplete(box, image), name
                assert not box.blob(digest).exists(), name
                box.sluice("pull", image)
            assert [(p["digest"], p["state"], p["needed_by"]) for p in found["problems"]] == [(digest, state, [image])]
            assert str(box.blob(digest)) in found["problems"][0]["text"], name
            assert fetched_since(bad, before) == ({digest} if what != "manifest" or heal == "repair" else set()) or (
                what == "manifest" and fetched_since(bad, before) <= {digest}), name
            assert box.blob(digest).read_bytes() == data and not is_incomplete(box, image), name
        assert check(box)["problems"] == []
    settled(box)


def test_what_people_see(box, image, victim):
    digest = digest_of(LAYERS[0])
    with box.up():
        box.sluice("pull", image)
        DAMAGES["flip"](box.blob(digest), victim)
        said = box.sluice("check", want=BAD_DATA)
        lines = said.stdout.splitlines()
        assert f"damaged     {digest}" in lines and f"            needed by {image}" in lines
        assert lines[-1].endswith("1 damaged, 0 missing, 0 unreadable")
        assert len(said.stderr.splitlines()) == 1 and "--repair" in said.stderr
        assert "incomplete" in box.sluice("ls").stdout
        assert (box.store / "quarantine" / digest[7:]).exists()
    settled(box)


def test_the_tag_has_moved_on(box, bad, image, victim):
    """--repair fetches what the name stood for, by digest."""
    newer = manifest_blob(CONFIG_DATA, [])
    with box.up():
        box.sluice("pull", image)
        bad.image("app", "1", newer, MANIFEST)
        for data in (MANIFEST_DATA, LAYERS[1]):
            DAMAGES["flip"](box.blob(digest_of(data)), victim)
            assert check(box, "--repair")["repaired"] == [image]
        assert [row["digest"] for row in box.json("ls")] == [digest_of(MANIFEST_DATA)]
    settled(box)


def test_content_of_several_names(box, bad, image, victim):
    every = f"{bad.address}/app:all"
    digest = digest_of(LAYERS[0])
    with box.up():
        box.sluice("pull", image)
        box.sluice("pull", "--all-platforms", every)
        box.sluice("tag", image, "mine")
        DAMAGES["cut"](box.blob(digest), victim)
        assert check(box, digest_of(CONFIG_DATA))["checked"] == 1
        found = check(box, "mine", want=BAD_DATA)
        assert found["checked"] == 4 and set(found["problems"][0]["needed_by"]) == {image, every, "mine"}
        before = served(bad)
        assert set(check(box, digest, "--repair")["repaired"]) <= {image, every}
        assert fetched_since(bad, before) == {digest}
        assert not any(row["incomplete"] for row in box.json("ls"))
    settled(box)


def test_unknown_source(box, image, bad, victim):
    """A tag alone does not say where it came from."""
    digest = digest_of(LAYERS[0])
    with box.up():
        box.sluice("pull", image)
        box.sluice("tag", image, "mine")
        box.sluice("rm", image)
        DAMAGES["empty"](box.blob(digest), victim)
        said = box.sluice("check", "--repair", want=BAD_DATA)
        assert "cannot repair 'mine'" in said.stderr
    box.sluice("pull", image)
    settled(box)


def test_damaged_index(box, image, victim):
    with box.up():
        box.sluice("pull", image)
        text = (box.store / "index.json").read_bytes()
        DAMAGES["garbage"](box.store / "index.json", victim)
        DAMAGES["flip"](box.blob(digest_of(LAYERS[0])), victim)
        said = box.sluice("check", want=BAD_DATA)
        assert "index.json" in said.stderr and digest_of(LAYERS[0]) in said.stdout
        (box.store / "index.json").write_bytes(text)
        box.sluice("pull", image)
    settled(box)


# ── without a check ──


@pytest.mark.parametrize("what", ["config", "layer", "manifest"])
def test_pull_heals_what_it_meets(box, bad, image, victim, what):
    data = BLOBS.get(what, MANIFEST_DATA)
    digest = digest_of(data)
    names = ("cut", "empty", "lengthen", *OTHERS) if what != "manifest" else KINDS
    with box.up():
        box.sluice("pull", image)
        for name in names:
            KINDS[name](box.blob(digest), victim)
            before = served(bad)
            box.sluice("pull", image)
            assert fetched_since(bad, before) <= {digest} and (what == "manifest" or fetched_since(bad, before)), name
            assert box.blob(digest).read_bytes() == data, name
    settled(box)


@pytest.mark.parametrize("sized", [True, False])
def test_fetch_heals_what_it_meets(box, bad, victim, sized):
    data = LAYERS[0]
    digest = digest_of(data)
    bad.on("/file", badserver.whole(data))
    more = ("--size", len(data)) if sized else ()
    with box.up():
        box.sluice("fetch", bad.url("/file"), "--digest", digest)
        for name in ("cut", "empty", "lengthen", *OTHERS):
            KINDS[name](box.blob(digest), victim)
            before = len(bad.asked("/file"))
            box.sluice("fetch", bad.url("/file"), "--digest", digest, *more)
            assert len(bad.asked("/file")) == before + 1, name
            assert box.blob(digest).read_bytes() == data, name
    settled(box)


# ── interrupted ──


def ask_to_check(box, digest):
    with wire.Ctl(box.runtime / "commitd/ctl") as client:
        assert wire.parse(client.ask(wire.message("CHECK", digest=digest))) == ("OK", {})


@pytest.mark.parametrize("killed", ["client", "commitd"])
def test_an_interrupted_check_goes_on(box, image, victim, killed):
    """What it had found good is not read again in this round, but in the next one."""
    digest = digest_of(LAYERS[0])
    with box.up():
        box.sluice("pull", image)
        ask_to_check(box, digest)
        if killed == "commitd":
            box.kill_stage("commitd")
        DAMAGES["flip"](box.blob(digest), victim)
        assert check(box)["damaged"] == 0
        assert check(box, "--since", "1h")["damaged"] == 0
        assert check(box, want=BAD_DATA)["damaged"] == 1
        box.sluice("pull", image)
    settled(box)


def test_beside_pulls_and_gc(box, bad, image, victim):
    """Whatever comes first: nothing fails for good, and in the end all is well."""
    with box.up():
        box.sluice("pull", image)
        for round_ in range(6):
            for number, data in enumerate((CONFIG_DATA, *LAYERS, MANIFEST_DATA)):
                if number % 3 == round_ % 3:
                    DAMAGES["flip"](box.blob(digest_of(data)), victim)
            commands = [box.popen("sluice", *words) for words in
                        (("check",), ("pull", image), ("gc", "--older-than", "0"), ("pull", image))]
            codes = [box.finish(command).returncode for command in commands]
            assert codes[0] in (OK, BAD_DATA, NOT_FOUND) and codes[1] == codes[3] == OK and codes[2] in (OK, 75), codes
            box.sluice("check", "--repair", image)
        assert check(box)["problems"] == []
    settled(box)
