# SPDX-License-Identifier: Apache-2.0
"""
Other tools on a store with an image, an index, an artifact and a wrapped file: skopeo, umoci, podman and containerd. What
they cannot do is written down in sluice-store(5).
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import pytest

import badserver
from conftest import MIB, settled
from images import INDEX, MANIFEST, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, alive

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
HALF = os.urandom(2 * MIB)


def tar_of(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def artifact(artifact_type, title, content):
    layers = [descriptor(content, "text/plain", annotations={"org.opencontainers.image.title": title})]
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
                       "config": descriptor(b"{}", EMPTY), "layers": layers}).encode()


class Store:
    """Names: app:1 (an image), all:1 (an index of two platforms), model:1, file:1 and docker:1 (in Docker's form)."""

    def __init__(self, box, bad):
        self.box, self.bad = box, bad
        unpacked = tar_of(greeting=b"hello\n")
        self.layer, self.diff_id = gzip.compress(unpacked, mtime=0), digest_of(unpacked)
        configs = {machine: json.dumps({
            "architecture": machine, "os": "linux", "config": {"Cmd": ["/greeting"]}, "created": "2024-01-02T03:04:05Z",
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "a test"}],
            "rootfs": {"type": "layers", "diff_ids": [self.diff_id]},
        }).encode() for machine in ("amd64", "arm64")}
        self.manifests = {machine: manifest_blob(config, [descriptor(self.layer, LAYER)]) for machine, config in configs.items()}
        self.documents = {
            "app": self.manifests["amd64"],
            "all": json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
                descriptor(manifest, MANIFEST, platform={"os": "linux", "architecture": machine})
                for machine, manifest in self.manifests.items()]}).encode(),
            "model": artifact("application/vnd.example.model", "weights.bin", b"weights"),
            "file": artifact("application/vnd.sluice.file.v1", "readme.txt", b"read me"),
            "docker": json.dumps({
                "schemaVersion": 2, "mediaType": DOCKER,
                "config": descriptor(configs["amd64"], "application/vnd.docker.container.image.v1+json"),
                "layers": [descriptor(self.layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")]}).encode(),
        }
        blobs = {digest_of(data): [badserver.whole(data)] for data in (*configs.values(), self.layer, b"{}", b"weights", b"read me")}
        for name, document in self.documents.items():
            bad.image(name, "1", document, json.loads(document)["mediaType"], blobs)
            for manifest in self.manifests.values():
                bad.image(name, digest_of(manifest), manifest, MANIFEST, blobs)
            box.sluice("pull", *(["-a"] if name == "all" else ["--platform", "linux/amd64"]), self.name(name))
        settled(box)

    def name(self, name):
        return f"{self.bad.address}/{name}:1"

    def oci(self, name):
        return f"oci:{self.box.store}:{self.name(name)}"


@pytest.fixture
def store(box, bad):
    return Store(box, bad)


def tool(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def blobs_of(layout):
    return {path.name for path in (layout / "blobs/sha256").iterdir()}


@pytest.mark.parametrize("name", ["app", "all", "model", "file"])
def test_skopeo_copies(store, tmp_path, name):
    tool("skopeo", "--insecure-policy", "copy", "-q", "--all", store.oci(name), f"oci:{tmp_path}/copy:x")
    index = json.loads((tmp_path / "copy/index.json").read_bytes())
    assert [entry["digest"] for entry in index["manifests"]] == [digest_of(store.documents[name])]
    assert blobs_of(tmp_path / "copy") <= blobs_of(store.box.store)


def test_skopeo_copies_into_a_store(store, tmp_path):
    """Its names are ours, too. A name of ours stays."""
    tool("skopeo", "--insecure-policy", "copy", "-q", store.oci("app"), f"oci:{store.box.store}:theirs")
    names = {entry["name"]: entry for entry in store.box.json("ls")}
    assert names["theirs"]["digest"] == digest_of(store.documents["app"]) and not names["theirs"]["incomplete"]
    assert {store.name(name) for name in store.documents} <= set(names)
    for path in (store.box.store / "blobs/sha256").iterdir():
        path.chmod(0o444)  # theirs have another mode


def test_umoci_lists(store):
    assert tool("umoci", "ls", "--layout", store.box.store).split() == [store.name(name) for name in store.documents]


def test_umoci_shows_an_image(store):
    history = json.loads(tool("umoci", "stat", "--json", "--image", f"{store.box.store}:{store.name('app')}"))["history"]
    assert [entry["layer"]["digest"] for entry in history] == [digest_of(store.layer)]


def test_umoci_gc_keeps_what_has_a_name_and_what_is_unfinished(store, bad):
    """It removes what nobody needs, and nothing else: also what it does not know, such as ingest/."""
    box = store.box
    half = digest_of(HALF)
    box.run("ingestd", "put", "--raw", "--digest", half, "--size", len(HALF), half, data=HALF[:MIB], want=AGAIN)
    orphan = box.blob(digest_of(b"nobody needs this"))
    orphan.write_bytes(b"nobody needs this")
    before, entries = blobs_of(box.store) - {orphan.name}, sorted(path.name for path in box.store.iterdir())
    tool("umoci", "gc", "--layout", box.store)
    assert blobs_of(box.store) == before and sorted(path.name for path in box.store.iterdir()) == entries
    assert not any(entry["incomplete"] for entry in box.json("ls"))
    bad.on("/half", badserver.whole(HALF))
    box.sluice("fetch", bad.url("/half"), "--digest", half)
    assert [request.range.partition("-")[0] for request in bad.asked("/half")] == [f"bytes={MIB}"], "it is resumed"
    settled(box)


def is_mounted(place):
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == place for line in mounts)


RUNS = pytest.mark.skipif(os.geteuid() != 0 or not is_mounted("/"), reason="it wants to be root, and not in a chroot")


@RUNS
@pytest.mark.parametrize("name", ["app", "all"])
def test_podman_pulls(store, home, name):
    link = home / "store"  # podman makes a reference of the path, which must not end in "_"
    link.symlink_to(store.box.store)
    with tempfile.TemporaryDirectory(prefix="slt-") as run:  # a short path, as podman wants it
        place = ["podman", "--root", home / "root", "--runroot", run, "--storage-driver", "vfs"]
        image = tool(*place, "pull", "-q", f"oci:{link}:{store.name(name)}").strip()
        shown = json.loads(tool(*place, "image", "inspect", image))[0]
        assert shown["RootFS"]["Layers"] == [store.diff_id]


@contextlib.contextmanager
def containerd(directory):
    """A daemon of our own. Yields the beginning of a command that talks to it."""
    config = directory / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{directory}/grpc"\n[ttrpc]\naddress = "{directory}/ttrpc"\n'
    )
    with open(directory / "log", "wb") as log:
        daemon = subprocess.Popen(["containerd", "--config", config], stdout=log, stderr=log)
    command = ["ctr", "--address", directory / "grpc"]

    def answers():
        assert alive(daemon.pid), (directory / "log").read_text()[-2000:]
        return subprocess.run([*command, "version"], capture_output=True).returncode == 0

    try:
        wait_for("containerd to answer", answers)
        yield command
    finally:
        daemon.terminate()
        daemon.wait()


@RUNS
@pytest.mark.skipif(not shutil.which("containerd"), reason="containerd is not installed")
def test_containerd_imports_a_tar_of_the_layout(store):
    """With all names and kinds, also Docker's."""
    directory = store.box.directory / "containerd"
    directory.mkdir()
    archive = directory / "store.tar"
    tool("tar", "-C", store.box.store, "-cf", archive, "oci-layout", "index.json", "blobs")
    with containerd(directory) as ctr:
        tool(*ctr, "images", "import", "--no-unpack", "--all-platforms", archive)
        listed = {line.split()[0]: line.split()[2] for line in tool(*ctr, "images", "ls").splitlines()[1:]}
        assert listed == {store.name(name): digest_of(document) for name, document in store.documents.items()}
        assert tool(*ctr, "content", "get", digest_of(store.documents["model"])).encode() == store.documents["model"]
