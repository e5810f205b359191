# SPDX-License-Identifier: Apache-2.0
"""Which image of an index is pulled: containerd's rules, with an index in a registry."""

import json
import platform

import pytest

from images import INDEX, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from stages import NOT_FOUND, USAGE, one_line

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

# (os, architecture, variant, os.version), ordered so that the first suitable one is never the best.
PLATFORMS = [
    ("unknown", "unknown", "", ""),
    ("linux", "386", "", ""),
    ("linux", "amd64", "", ""),
    ("linux", "amd64", "v2", ""),
    ("linux", "amd64", "v4", ""),
    ("linux", "arm", "v5", ""),
    ("linux", "arm", "v7", ""),
    ("linux", "arm", "v6", ""),
    ("linux", "arm", "v8", ""),
    ("linux", "aarch64", "v8", ""),
    ("linux", "arm64", "v9", ""),
    ("windows", "amd64", "", "10.0.17763.6532"),
    ("windows", "amd64", "", "10.0.20348.2966"),
    ("windows", "amd64", "", "10.0.26100.2605"),
]

CHOICES = [
    ("linux/amd64", "linux/amd64"),
    ("linux/x86_64/v1", "linux/amd64"),
    ("linux/amd64/v2", "linux/amd64/v2"),
    ("linux/amd64/v3", "linux/amd64/v2"),
    ("linux/i386", "linux/386"),
    ("linux/arm", "linux/arm/v7"),
    ("linux/armhf", "linux/arm/v7"),
    ("linux/armel", "linux/arm/v6"),
    ("linux/arm/v8", "linux/arm/v8"),
    ("linux/arm64", "linux/arm64"),
    ("arm64", "linux/arm64"),
    ("armhf", "linux/arm/v7"),
    ("linux/arm64/v8.3", "linux/arm64"),
    ("linux/arm64/v9.1", "linux/arm64/v9"),
    ("windows/amd64", "windows(10.0.17763.6532)/amd64"),
    ("windows(10.0.17763)/amd64", "windows(10.0.17763.6532)/amd64"),
    ("windows(10.0.20348)/amd64", "windows(10.0.20348.2966)/amd64"),
    ("windows(10.0.22621)/amd64", "windows(10.0.20348.2966)/amd64"),
    ("windows(10.0.26200)/amd64", "windows(10.0.26100.2605)/amd64"),
]


class Shelf:
    """Images for several platforms in one repository, and indexes of some of them."""

    def __init__(self, registry):
        self.pusher = Pusher(registry.address, "platforms")
        self.reference = f"{registry.address}/platforms:"
        self.entries = [self.entry(*names) for names in PLATFORMS]

    def entry(self, os, architecture, variant, version):
        config = config_blob(architecture)
        layer = self.pusher.blob_bytes(f"{os} {architecture} {variant} {version}".encode())
        self.pusher.blob_bytes(config)
        manifest = manifest_blob(config, [layer])
        self.pusher.manifest(digest_of(manifest), manifest)
        parts = {"os": os, "architecture": architecture, "variant": variant, "os.version": version}
        return descriptor(manifest, MANIFEST, platform={name: text for name, text in parts.items() if text})

    def index(self, tag, entries):
        text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.pusher.manifest(tag, text, INDEX)
        return self.reference + tag


@pytest.fixture(scope="module")
def shelf(registry):
    return Shelf(registry)


def named(box, reference):
    """Digest and platform of a name in index.json."""
    found = next(image for image in box.json("images") if image["name"] == reference)
    return found["digest"], found["platform"]


def test_best_platform_is_pulled(box, shelf):
    reference = shelf.index("all", shelf.entries)
    with box.up():
        for want, got in CHOICES:
            box.sluice("pull", "--platform", want, reference)
            digest, pulled = named(box, reference)
            assert pulled == got, f"{want} got {pulled}"
            assert digest in {entry["digest"] for entry in shelf.entries}


def test_another_platform_under_the_same_name_is_told(box, shelf):
    """Once: in a line, and in the result."""
    reference = shelf.index("taken", shelf.entries[:12])

    def pull(*words):
        said = box.sluice("pull", *words, reference)
        done = json.loads(box.sluice("--json", "pull", *words, reference).stdout.splitlines()[-1])
        assert "former_platform" not in done, "it was told, and is the same now"
        return said.stderr

    with box.up():
        assert pull("--platform", "linux/amd64") == ""
        one_line(pull("--platform", "linux/386"), reference, "linux/amd64 until now", "linux/386")
        done = json.loads(box.sluice("--json", "pull", "--platform", "linux/amd64", reference).stdout.splitlines()[-1])
        assert done["former_platform"] == "linux/386" and done["platform"] == "linux/amd64"
        assert pull("-a") == "", "nothing is lost"
        one_line(pull("--platform", "linux/amd64"), reference, "all platforms until now")


def test_older_platform_is_a_fallback(box, shelf):
    """An older variant is pulled if there is nothing better."""
    old = shelf.index("old", shelf.entries[:2] + shelf.entries[5:6])
    with box.up():
        for want, got in (("linux/amd64/v3", "linux/386"), ("linux/arm64", "linux/arm/v5"), ("linux/arm", "linux/arm/v5")):
            box.sluice("pull", "--platform", want, old)
            assert named(box, old)[1] == got


def test_available_platforms_are_listed(box, shelf):
    some = shelf.index("some", [*shelf.entries[:3], shelf.entries[2], shelf.entries[12]])
    with box.up():
        for want in ("linux/s390x", "linux/arm64", "windows(10.0.17763)/amd64", "unknown/unknown"):
            said = box.sluice("pull", "--platform", want, some, want=NOT_FOUND).stderr
            one_line(said, f"no image for {want}", "available: linux/386, linux/amd64, windows(10.0.20348.2966)/amd64")
            assert "unknown" not in said.partition("available")[2].replace(want, "")
            assert said.count("linux/amd64") == 1
        nobody = shelf.index("nobody", shelf.entries[:1])
        one_line(box.sluice("pull", nobody, want=NOT_FOUND).stderr, "available: none")


@pytest.mark.parametrize("text", ["amd65", "linux/", "windows(10.0 1)", "windows()/amd64", "a/b/c/d"])
def test_invalid_platform_is_refused(box, text):
    one_line(box.sluice("pull", "--platform", text, "localhost:1/x", want=USAGE).stderr, f"'{text}' is not a platform")


PARTS = [
    (("--arch", "arm64"), "linux/arm64"),
    (("--arch=aarch64", "--variant=v9"), "linux/arm64/v9"),
    (("--arch", "arm", "--variant", "6"), "linux/arm/v6"),
    (("--os", "windows", "--arch", "x86_64"), "windows(10.0.17763.6532)/amd64"),
    (("--os", "linux", "--arch", "386"), "linux/386"),
]


@pytest.mark.parametrize("options, got", PARTS, ids=[" ".join(options) for options, _ in PARTS])
def test_parts_of_a_platform(box, shelf, options, got):
    reference = shelf.index("parts", shelf.entries)
    box.sluice("pull", *options, reference)
    assert named(box, reference)[1] == got


def test_parts_that_are_not_given_are_of_this_machine(box, shelf):
    reference = shelf.index("parts", shelf.entries)
    for options, want in ((("--os", "plan9"), f"plan9/{ARCHITECTURE}"), (("--os=plan9", "--variant=v77"), f"plan9/{ARCHITECTURE}/v77"),
                          (("--arch", "s390x"), "linux/s390x")):
        one_line(box.sluice("pull", *options, reference, want=NOT_FOUND).stderr, f"no image for {want};")


@pytest.mark.parametrize("options, text", [
    (("--arch", "amd 64"), "'linux/amd 64' is not a platform"),
    (("--os", "../linux"), "'../linux/"),
    (("--arch", "arm", "--variant", "v7/x"), "'linux/arm/v7/x' is not a platform"),
    (("--arch", ""), "bad value '' for '--arch'"),
    (("--os", "x" * 32), "bad value '" + "x" * 32 + "' for '--os'"),
    (("--platform", "linux/arm64", "--variant", "v8"), "--platform and --variant exclude each other"),
    (("--platform", "linux/arm64", "--arch", "arm"), "--platform and --arch exclude each other"),
    (("--all-platforms", "--os", "linux"), "--os and --all-platforms exclude each other"),
    (("--all-platforms", "--platform", "linux/arm64"), "--platform and --all-platforms exclude each other"),
])
def test_invalid_parts_are_refused(box, options, text):
    one_line(box.sluice("pull", *options, "localhost:1/x", want=USAGE).stderr, text)
