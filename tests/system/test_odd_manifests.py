# SPDX-License-Identifier: Apache-2.0
"""Unusual manifests and indexes of real tools and registries, valid or harmless."""

import json

import pytest

import badserver
from conftest import settled
from images import CONFIG, INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of
from stages import NOT_FOUND, one_line

CONFIG_BLOB = config_blob()
AMD64 = {"os": "linux", "architecture": "amd64"}
FOREIGN = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
]


def text(value):
    return json.dumps(value).encode()


def manifest(*layers, **more):
    return text({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG_BLOB, CONFIG),
                 "layers": list(layers), **more})


def index(*entries):
    return text({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})


class App:
    """app:1 at a registry. `listed`: {document: media type} of documents that are served by digest only."""

    def __init__(self, box, bad, document, served, blobs=(), listed=None):
        self.box, self.bad, self.document, self.name = box, bad, document, f"{bad.address}/app:1"
        self.serve("1", document, served)
        for other, media_type in {document: served, **(listed or {})}.items():
            self.serve(digest_of(other), other, media_type)
        for blob in (CONFIG_BLOB, *blobs):
            bad.on(f"/v2/app/blobs/{digest_of(blob)}", badserver.whole(blob))

    def serve(self, reference, document, media_type):
        headers = {"Content-Type": media_type} if media_type else {}
        self.bad.on(f"/v2/app/manifests/{reference}", badserver.whole(document, headers))

    def pull(self, *options):
        """Pull, and assert that the name leads to the document."""
        said = self.box.sluice("pull", *options, self.name)
        assert [i["digest"] for i in self.box.json("images") if i["name"] == self.name] == [digest_of(self.document)]
        settled(self.box)
        return said

    def entry(self):
        entries = json.loads((self.box.store / "index.json").read_text())["manifests"]
        return next(e for e in entries if e["annotations"]["org.opencontainers.image.ref.name"] == self.name)


@pytest.mark.parametrize("layers", [[], None, ...], ids=["empty", "null", "absent"])
def test_no_layers(box, bad, layers):
    document = json.loads(manifest())
    document["layers"] = layers
    if layers is ...:
        del document["layers"]
    App(box, bad, text(document), MANIFEST).pull()


@pytest.mark.parametrize("served", [None, "application/json", "application/octet-stream", "binary/octet-stream",
                                    "text/plain; charset=utf-8"])
@pytest.mark.parametrize("kind", ["manifest", "index"])
def test_no_media_type(box, bad, kind, served):
    """As helm writes them and a file server serves them. The content decides what it is."""
    inner = text({k: v for k, v in json.loads(manifest()).items() if k != "mediaType"})
    outer = text({"schemaVersion": 2, "manifests": [{"digest": digest_of(inner), "size": len(inner), "platform": AMD64}]})
    if kind == "manifest":
        App(box, bad, inner, served).pull()
    else:
        App(box, bad, outer, served, listed={inner: served}).pull("-a")


@pytest.mark.parametrize("platform", [
    {"os": "linux", "architecture": "arm", "variant": "v7 hard-float"},
    {"os": "", "architecture": ""},
    {"os": "wasip1", "architecture": "w" * 100},
    {"os": "../..", "architecture": "amd64"},
    None,
    7,
])
@pytest.mark.parametrize("options", [[], ["-a"]], ids=["one", "all"])
def test_odd_platform_does_not_hinder_others(box, bad, platform, options):
    """Nobody's platform matches it; other platforms can be pulled."""
    good, odd = manifest(annotations={"of": "good"}), manifest(annotations={"of": "odd"})
    both = index(descriptor(odd, MANIFEST, platform=platform), descriptor(good, MANIFEST, platform=AMD64))
    app = App(box, bad, both if options else good, MANIFEST, listed={good: MANIFEST, odd: MANIFEST})
    app.serve("1", both, INDEX)
    app.pull(*(options or ["--platform", "linux/amd64"]))
    assert box.blob(digest_of(odd)).exists() == bool(options)


@pytest.mark.parametrize("value", ["a\\u0000b", "\\ud800", "\\ude00 \\ud83d", "\\ud83d\\ude00", "\\u007f\\u0085", "x" * 100000],
                         ids=["NUL", "high", "swapped", "pair", "controls", "long"])
def test_escapes_in_annotations(box, bad, value):
    document = manifest(annotations={"k": "VALUE"}).replace(b"VALUE", value.encode())
    App(box, bad, b"\n\t" + document + b"\n\n", MANIFEST).pull()


@pytest.mark.parametrize("member", ["digest", "mediaType"])
def test_escaped_nul_in_a_descriptor_is_refused(box, bad, member):
    """The value is not cut at the NUL."""
    layer = b"layer"
    said = descriptor(layer, LAYER)
    said[member] += "\0x"
    app = App(box, bad, manifest(said), MANIFEST, blobs=[layer])
    box.sluice("pull", app.name, want=65)


def test_listed_artifact_of_another_type(box, bad):
    """The registry serves it only to clients that accept its type."""
    artifact = text({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []})
    media_type = json.loads(artifact)["mediaType"]
    good = manifest()
    both = index(descriptor(good, MANIFEST, platform=AMD64), descriptor(artifact, media_type))
    app = App(box, bad, both, INDEX, listed={good: MANIFEST, artifact: media_type})
    serve = badserver.whole(artifact, {"Content-Type": media_type})

    def picky(x):
        taken = {word.split(";")[0].strip() for word in x.headers["Accept"].split(",")}
        serve(x) if taken & {media_type, "*/*"} else x.answer(404)

    bad.on(f"/v2/app/manifests/{digest_of(artifact)}", picky)
    app.pull("-a")
    assert box.blob(digest_of(artifact)).read_bytes() == artifact


def windows(far, media_type, **more):
    return manifest(descriptor(far, media_type, **more), descriptor(b"top", LAYER))


@pytest.mark.parametrize("media_type", FOREIGN)
def test_missing_foreign_layer_is_left_out(box, bad, media_type):
    """The pull and the entry in index.json say so."""
    far = b"windows" * 100
    win = windows(far, media_type, urls=["https://elsewhere.example/layer"])
    lin = manifest(descriptor(b"linux", LAYER))
    both = index(descriptor(lin, MANIFEST, platform=AMD64),
                 descriptor(win, MANIFEST, platform={"os": "windows", "architecture": "amd64"}))
    app = App(box, bad, both, INDEX, blobs=[b"top", b"linux"], listed={lin: MANIFEST, win: MANIFEST})
    said = app.pull("-a")
    one_line(said.stderr.splitlines()[-1], "left out", app.name, digest_of(far))
    assert app.entry()["annotations"]["vnd.sluice.left-out"] == digest_of(far)

    # The next pull finds it, and leaves nothing out.
    bad.on(f"/v2/app/blobs/{digest_of(far)}", badserver.whole(far))
    assert "left out" not in app.pull("-a").stderr
    assert "vnd.sluice.left-out" not in app.entry()["annotations"]
    assert box.blob(digest_of(far)).read_bytes() == far


def test_left_out_layers_in_json(box, bad):
    far = b"far"
    app = App(box, bad, windows(far, FOREIGN[0], urls=["https://elsewhere.example/layer"]), MANIFEST, blobs=[b"top"])
    lines = [json.loads(line) for line in box.sluice("--json", "pull", app.name).stdout.splitlines()]
    assert [layer["digest"] for layer in lines[-1]["left_out"]] == [digest_of(far)]


@pytest.mark.parametrize("why", ["ordinary type", "no urls", "ordinary elsewhere"])
def test_other_missing_layers_fail_the_pull(box, bad, why):
    """A layer is left out only if every descriptor has a foreign type and urls."""
    far, urls = b"far", {"urls": ["https://elsewhere.example/layer"]}
    layers = {
        "ordinary type": [descriptor(far, LAYER, **urls)],
        "no urls": [descriptor(far, FOREIGN[0], urls=[])],
        "ordinary elsewhere": [descriptor(far, FOREIGN[0], **urls), descriptor(far, LAYER)],
    }[why]
    app = App(box, bad, manifest(*layers), MANIFEST)
    assert digest_of(far) in box.sluice("pull", app.name, want=NOT_FOUND).stderr
    assert not box.json("images")
