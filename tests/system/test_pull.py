# SPDX-License-Identifier: Apache-2.0
"""Pull a real image from a real registry, and read the store with other tools."""

import base64
import json
import os
import platform
import subprocess

import pytest

from conftest import BINDIR, settled
from images import INDEX, Pusher, digest_of
from servers import Registry
from stages import DENIED, Box

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def stored(box):
    """Digests of all blobs in the store."""
    root = box.store / "blobs"
    return {f"{path.parent.name}:{path.name}" for path in root.glob("*/*")}


def document(box, digest):
    return json.loads(box.blob(digest).read_bytes())


def needs(box, manifest_digest):
    """A manifest and everything that it lists."""
    manifest = document(box, manifest_digest)
    return {manifest_digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}


def entry(box, name):
    """The image's descriptor in index.json."""
    index = json.loads((box.store / "index.json").read_bytes())
    found = [
        m for m in index["manifests"] if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == name
    ]
    assert len(found) == 1, f"'{name}' in {index}"
    return found[0]


def index_of(registry):
    """The sample's index as the registry serves it."""
    response = Pusher(registry.address, "sample").request("GET", "/v2/sample/manifests/1", headers={"Accept": INDEX})
    return response.getheader("Docker-Content-Digest")


@pytest.fixture(scope="module")
def pulled(sample, tmp_path_factory):
    """A store with the sample, for tests that only read it."""
    box = Box(BINDIR, tmp_path_factory.mktemp("p"))
    box.sluice("pull", sample)
    box.gone()
    yield box
    box.kill_everything()


def test_pull_stores_and_names_the_image(box, sample):
    box.sluice("pull", sample)
    digest = entry(box, sample)["digest"]
    assert needs(box, digest) <= stored(box)
    assert document(box, document(box, digest)["config"]["digest"])["architecture"] == ARCHITECTURE
    assert sample in box.sluice("images").stdout
    assert digest in box.sluice("ls", "--blobs").stdout
    box.gone()
    settled(box)


def test_pull_all_platforms(box, sample):
    box.sluice("pull", "--all-platforms", sample)
    digest = entry(box, sample)["digest"]
    children = document(box, digest)["manifests"]
    assert len(children) == 2
    want = {digest}.union(*(needs(box, child["digest"]) for child in children))
    assert stored(box) == want
    box.gone()
    settled(box)


def test_pull_of_another_platform(box, sample):
    box.sluice("pull", "--platform", "linux/arm64", sample)
    digest = entry(box, sample)["digest"]
    assert document(box, document(box, digest)["config"]["digest"])["architecture"] == "arm64"


def test_second_pull_fetches_no_blob(box, registry, sample):
    box.sluice("pull", sample)
    registry.settle()
    before = len(registry.accesses())
    box.sluice("pull", sample)
    registry.settle()
    assert registry.accesses(since=before), "the second pull must resolve the tag"
    assert registry.blob_gets(since=before) == []


def test_second_platform_fetches_only_what_is_new(box, registry, sample):
    box.sluice("pull", "--platform", "linux/amd64", sample)
    first = stored(box)
    registry.settle()
    before = len(registry.accesses())
    box.sluice("pull", "--platform", "linux/arm64", sample)
    registry.settle()
    fetched = {a.path.rpartition("/")[2] for a in registry.blob_gets(since=before)}
    assert fetched and not fetched & first


def test_pull_by_digest(box, registry, sample):
    digest = index_of(registry)
    reference = f"{registry.address}/sample@{digest}"
    box.sluice("pull", reference)
    assert needs(box, entry(box, reference)["digest"]) <= stored(box)


def test_no_blob_is_fetched_twice(box, registry, sample):
    box.configure("[fetchd]\nranges = 1\n")
    registry.settle()
    before = len(registry.accesses())
    box.sluice("pull", "--all-platforms", sample)
    registry.settle()
    gets = [a.path for a in registry.blob_gets(since=before)]
    assert len(gets) == len(set(gets))


def test_tag_follows_the_registry(box, registry):
    pusher = Pusher(registry.address, "moving")
    reference = f"{registry.address}/moving:1"
    seen = []
    for content in (b"the first", b"the second"):
        pusher.image("1", [pusher.blob_bytes(content)])
        box.sluice("pull", reference)
        assert digest_of(content) in stored(box)
        seen.append(entry(box, reference)["digest"])
    assert seen[0] != seen[1]


def test_pull_with_a_password(box, area):
    basic = base64.b64encode(b"tester:open sesame").decode()
    with Registry(area / "registry-password", password="open sesame") as private:
        pusher = Pusher(private.address, "secret", {"Authorization": f"Basic {basic}"})
        pusher.image("1", [pusher.blob_bytes(b"for those who know")])
        reference = f"{private.address}/secret:1"
        refused = box.run("sluice", "pull", reference, want=DENIED)
        assert private.address in refused.stderr
        auth = box.directory / "auth.json"
        auth.write_text(json.dumps({"auths": {private.address: {"auth": basic}}}))
        box.configure(f"[fetchd]\nauth_file = {auth}\n")
        box.gone()
        box.sluice("pull", reference)
        assert digest_of(b"for those who know") in stored(box)
        found = subprocess.run(["grep", "-r", "-e", basic, "-e", "sesame", box.store, box.runtime], capture_output=True)
        assert found.stdout == b"", "a password is in the store or in a log"


# ── other tools read the store ──


def tool(*command):
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def test_skopeo_inspects_the_store(pulled, sample):
    told = json.loads(tool("skopeo", "inspect", f"oci:{pulled.store}:{sample}"))
    manifest = document(pulled, entry(pulled, sample)["digest"])
    assert told["Architecture"] == ARCHITECTURE
    assert told["Layers"] == [layer["digest"] for layer in manifest["layers"]]


def test_skopeo_copies_out_of_the_store(pulled, sample, tmp_path):
    tool("skopeo", "--insecure-policy", "copy", "-q", f"oci:{pulled.store}:{sample}", f"dir:{tmp_path}/copy")
    copied = {f"sha256:{path.name}" for path in (tmp_path / "copy").iterdir()}
    manifest = document(pulled, entry(pulled, sample)["digest"])
    assert {layer["digest"] for layer in manifest["layers"]} <= copied


def test_umoci_unpacks_the_store(pulled, sample, tmp_path):
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    tool("umoci", "unpack", *rootless, "--image", f"{pulled.store}:{sample}", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/etc/issue").read_text() == "sample image of sluice\n"
    assert os.readlink(tmp_path / "bundle/rootfs/etc/issue.net") == "issue"
