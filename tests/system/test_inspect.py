# SPDX-License-Identifier: Apache-2.0
"""`sluice inspect`: what skopeo shows of the same image, also if it is incomplete."""

import json
import subprocess

import pytest

import badserver
from images import INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import BAD_DATA, NOT_FOUND, USAGE, one_line

FULL = json.dumps({
    "created": "2024-01-02T03:04:05.678Z", "author": "somebody", "docker_version": "20.1", "os": "linux",
    "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []},
    "config": {"Env": ["PATH=/bin", "GREETING=grüß <Gott> & alle"], "Labels": {"b": "2", "a": "é"}, "Cmd": ["/bin/sh"]},
}).encode()
BARE = config_blob("arm64")
LAYERS = [b"the first layer", b"the second layer"]
NO_CONFIG = "application/vnd.oci.empty.v1+json"
CONTENT = b"the content"


class Pulled:
    """A store into which several things were pulled."""

    def __init__(self, box, bad):
        self.box, self.bad = box, bad
        layers = [descriptor(LAYERS[0], LAYER, annotations={"note": "bottom"}), descriptor(LAYERS[1], LAYER)]
        self.full, self.bare = manifest_blob(FULL, layers), manifest_blob(BARE, layers[:1])
        self.none = manifest_blob(FULL, [])
        self.index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            descriptor(self.full, MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(self.bare, MANIFEST, platform={"os": "linux", "architecture": "arm64"}),
        ]}).encode()
        title = {"org.opencontainers.image.title": "file.txt"}
        self.artifact = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example", "annotations": {"why": "x"},
            "config": descriptor(b"{}", NO_CONFIG), "layers": [descriptor(CONTENT, "text/plain", annotations=title)],
        }).encode()
        blobs = {digest_of(data): [badserver.whole(data)] for data in (FULL, BARE, *LAYERS, b"{}", CONTENT)}
        for tag, document in self.documents.items():
            bad.image("app", tag, document, INDEX if tag == "index" else MANIFEST, blobs)
            if tag == "index":
                for manifest in (self.full, self.bare):
                    bad.image("app", digest_of(manifest), manifest, MANIFEST, blobs)
            box.sluice("pull", *(["-a"] if tag == "index" else ["--platform", "linux/arm64"] if tag == "bare" else []), self.name(tag))

    @property
    def documents(self):
        return {"full": self.full, "bare": self.bare, "none": self.none, "index": self.index, "artifact": self.artifact}

    def name(self, tag):
        return f"{self.bad.address}/app:{tag}"

    def inspect(self, *words):
        return json.loads(self.box.sluice("inspect", *words).stdout)

    def lose(self, data):
        self.box.blob(digest_of(data)).unlink()


@pytest.fixture
def pulled(box, bad):
    yield Pulled(box, bad)
    box.store.rename(box.directory / "harmed")  # some tests remove content


def skopeo(pulled, tag, *words):
    command = ["skopeo", *words, "inspect", f"oci:{pulled.box.store}:{pulled.name(tag)}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("tag, platform", [("full", []), ("bare", []), ("none", []), ("index", ["arm64"]), ("index", ["amd64"])])
def test_same_as_skopeo(pulled, tag, platform):
    """Field by field: each of skopeo's is ours, and but for the name ours are those of a newer skopeo."""
    theirs = skopeo(pulled, tag, *(["--override-arch", *platform] if platform else []))
    ours = pulled.inspect(pulled.name(tag), *(["--platform", *platform] if platform else []))
    assert ours.pop("Name") == pulled.name(tag)
    assert {key: ours.get(key) for key in theirs} == theirs
    assert set(ours) - set(theirs) <= {"LayersData"}
    assert [layer["Digest"] for layer in ours["LayersData"]] == ours["Layers"]


def test_config_of_skopeo(pulled):
    theirs = subprocess.run(["skopeo", "inspect", "--config", "--raw", f"oci:{pulled.box.store}:{pulled.name('full')}"],
                            capture_output=True, check=True).stdout
    assert pulled.box.sluice("inspect", "--config", pulled.name("full")).raw == theirs == FULL


@pytest.mark.parametrize("tag", ["full", "index", "artifact"])
def test_raw(pulled, tag):
    document = pulled.documents[tag]
    assert pulled.box.sluice("inspect", "--raw", pulled.name(tag)).raw == document
    assert pulled.box.sluice("inspect", "--raw", digest_of(document)[7:15]).raw == document
    theirs = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{pulled.box.store}:{pulled.name(tag)}"],
                            capture_output=True, check=True).stdout
    assert theirs == document


def test_index(pulled):
    name = pulled.name("index")
    assert pulled.box.sluice("inspect", "--raw", "--platform", "arm64", name).raw == pulled.bare
    assert pulled.box.sluice("inspect", "--config", "--platform", "arm64", name).raw == BARE
    assert [layer["digest"] for layer in pulled.inspect("--layers", "--platform", "amd64", name)] == list(map(digest_of, LAYERS))
    said = pulled.box.run("sluice", "inspect", "--platform", "linux/riscv64", name, want=NOT_FOUND)
    one_line(said.stderr, name, "linux/riscv64", "linux/amd64", "linux/arm64")


def test_artifact(pulled):
    """Which skopeo refuses to show."""
    shown = pulled.inspect(pulled.name("artifact"))
    assert shown["ArtifactType"] == "application/vnd.example" and shown["Annotations"] == {"why": "x"}
    assert shown["Layers"] == [digest_of(CONTENT)] and shown["Architecture"] == ""
    assert pulled.inspect("--layers", pulled.name("artifact")) == [{
        "digest": digest_of(CONTENT), "size": len(CONTENT), "media_type": "text/plain", "title": "file.txt", "state": "stored",
    }]


def test_of_an_incomplete_image(pulled):
    """Everything that is there."""
    name = pulled.name("full")
    assert "Missing" not in pulled.inspect(name)
    pulled.lose(LAYERS[1])
    assert pulled.inspect(name)["Missing"] == [digest_of(LAYERS[1])]
    assert [layer["state"] for layer in pulled.inspect("--layers", name)] == ["stored", "missing"]
    path = pulled.box.blob(digest_of(LAYERS[0]))
    path.unlink()
    path.write_bytes(b"")
    assert [layer["state"] for layer in pulled.inspect("--layers", name)] == ["damaged", "missing"]
    pulled.lose(FULL)
    shown = pulled.inspect(name)
    assert shown["Missing"] == [digest_of(FULL), *map(digest_of, LAYERS)]
    assert shown["Created"] is None and shown["Layers"] == list(map(digest_of, LAYERS))
    one_line(pulled.box.run("sluice", "inspect", "--config", name, want=NOT_FOUND).stderr, digest_of(FULL), "not stored")
    pulled.lose(pulled.full)
    one_line(pulled.box.run("sluice", "inspect", name, want=NOT_FOUND).stderr, digest_of(pulled.full), "not stored")
    said = pulled.box.run("sluice", "inspect", "--platform", "amd64", pulled.name("index"), want=NOT_FOUND)
    one_line(said.stderr, digest_of(pulled.full), "not stored")
    assert pulled.inspect("--needed-by", digest_of(LAYERS[1]))["names"] == [], "nothing that can be read needs it"


def test_left_out_layer(pulled):
    path = pulled.box.store / "index.json"
    index = json.loads(path.read_bytes())
    entry = next(e for e in index["manifests"] if e["digest"] == digest_of(pulled.full))
    entry["annotations"]["vnd.sluice.left-out"] = digest_of(LAYERS[1])
    path.write_text(json.dumps(index))
    pulled.lose(LAYERS[1])
    assert [layer["state"] for layer in pulled.inspect("--layers", pulled.name("full"))] == ["stored", "left out"]
    assert "Missing" not in pulled.inspect(pulled.name("full"))


def test_needed_by(pulled):
    by = pulled.inspect("--needed-by", digest_of(LAYERS[1])[7:13])
    assert by == {
        "digest": digest_of(LAYERS[1]), "names": [pulled.name("full"), pulled.name("index")],
        "manifests": [digest_of(pulled.full)],
    }
    by = pulled.inspect("--needed-by", digest_of(LAYERS[0]))
    assert by["names"] == [pulled.name(tag) for tag in ("full", "bare", "index")]
    assert by["manifests"] == sorted(map(digest_of, (pulled.full, pulled.bare)))
    by = pulled.inspect("--needed-by", digest_of(pulled.full))
    assert by["names"] == [pulled.name("full"), pulled.name("index")] and by["manifests"] == [digest_of(pulled.index)]
    pulled.lose(LAYERS[1])
    assert pulled.inspect("--needed-by", digest_of(LAYERS[1]))["manifests"] == [digest_of(pulled.full)], "though it is missing"
    assert pulled.inspect("--needed-by", digest_of(b"absent"))["names"] == []


def test_refusals(pulled):
    run = pulled.box.run
    one_line(run("sluice", "inspect", "--raw", "--layers", pulled.name("full"), want=USAGE).stderr, "exclude each other")
    one_line(run("sluice", "inspect", "--platform", "a/b/c/d/e", pulled.name("full"), want=USAGE).stderr, "a/b/c/d/e")
    one_line(run("sluice", "inspect", "nobody", want=NOT_FOUND).stderr, "nobody", "nothing has that name")
    one_line(run("sluice", "inspect", digest_of(LAYERS[0]), want=BAD_DATA).stderr, "is not a manifest", "sluice cat")
    one_line(run("sluice", "inspect", digest_of(b"absent"), want=NOT_FOUND).stderr, "not stored")


def test_json_is_one_line(pulled):
    said = pulled.box.sluice("--json", "inspect", pulled.name("full")).stdout
    assert said.count("\n") == 1 and json.loads(said) == pulled.inspect(pulled.name("full"))


def test_config_with_odd_members(pulled, bad):
    """Members of the wrong form are left empty."""
    config = json.dumps({"created": 7, "os": [], "architecture": "amd64", "config": {"Env": "x", "Labels": []}}).encode()
    manifest = manifest_blob(config, [])
    bad.image("odd", "1", manifest, MANIFEST, {digest_of(config): [badserver.whole(config)]})
    pulled.box.sluice("pull", f"{bad.address}/odd:1")
    shown = pulled.inspect(f"{bad.address}/odd:1")
    assert (shown["Created"], shown["Os"], shown["Env"], shown["Labels"]) == (None, "", None, None)
