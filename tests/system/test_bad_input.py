# SPDX-License-Identifier: Apache-2.0
"""Bad input gets its exit code and one clear line with the subject, and leaves the store valid."""

import json
import os
import random
import subprocess

import pytest

import badserver
from conftest import BINDIR, settled
from images import CONFIG, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import (
    AGAIN, BAD_DATA, CANNOT_CREATE, CONFIG as BAD_CONFIGURATION, NOT_FOUND, OK, UNAVAILABLE, USAGE, one_line,
)

DATA = random.Random(1).randbytes(100_000)  # fixed, because names of tests have its digest
DIGEST = digest_of(DATA)


@pytest.fixture
def quick(box, bad):
    """A store with an image, and a fetchd that gives up soon."""
    box.configure("[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n")
    bad.on("/good", badserver.whole(b"good"))
    box.run("sluice", "fetch", bad.url("/good"), "--digest", digest_of(b"good"), want=OK)
    yield box
    box.gone()
    settled(box)
    assert box.blob(digest_of(b"good")).read_bytes() == b"good"


def refused(box, code, *words, subjects=(), data=None):
    result = box.run(*words, data=data)
    assert result.returncode == code, f"{result.returncode}, not {code}: {result.stderr}"
    one_line(result.stderr, *subjects)
    return result


def test_wrong_digest(quick, bad):
    wrong = digest_of(b"something else")
    bad.on("/blob", badserver.whole(DATA))
    refused(quick, BAD_DATA, "sluice", "fetch", bad.url("/blob"), "--digest", wrong, subjects=[wrong, DIGEST])


def test_wrong_size(quick, bad):
    bad.on("/blob", badserver.whole(DATA))
    refused(quick, BAD_DATA, "sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, "--size", 99, subjects=[99])


BAD_MANIFESTS = {
    "not JSON": b"<html>please log in</html>",
    "empty": b"",
    "cut off": manifest_blob(config_blob(), [])[:-10],
    "an array": b"[]",
    "both manifest and index": json.dumps({
        "schemaVersion": 2, "manifests": [], "layers": [], "config": descriptor(config_blob(), CONFIG),
    }).encode(),
    "digest with ..": manifest_blob(
        config_blob(), [{"mediaType": LAYER, "digest": "sha256:../../../../etc/passwd", "size": 1}]
    ),
    "negative size": manifest_blob(config_blob(), [{"mediaType": LAYER, "digest": DIGEST, "size": -1}]),
    "unknown algorithm": manifest_blob(config_blob(), [{"mediaType": LAYER, "digest": "md5:" + "0" * 32, "size": 1}]),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("manifest", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_bad_manifest(quick, bad, manifest):
    bad.image("bad", "1", manifest, MANIFEST, {digest_of(config_blob()): [badserver.whole(config_blob())]})
    refused(quick, BAD_DATA, "sluice", "pull", f"{bad.address}/bad:1", subjects=[f"{bad.address}/bad:1"])


def test_manifest_with_a_wrong_digest(quick, bad):
    manifest = manifest_blob(config_blob(), [])
    announced = digest_of(b"another")
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": announced}
    for path in ("1", announced):
        bad.on(f"/v2/bad/manifests/{path}", badserver.whole(manifest, headers))
    refused(quick, BAD_DATA, "sluice", "pull", f"{bad.address}/bad:1", subjects=[announced, digest_of(manifest)])


def test_missing_manifest(quick, bad):
    refused(quick, NOT_FOUND, "sluice", "pull", f"{bad.address}/absent:1", subjects=[f"{bad.address}/absent"])


def test_missing_layer(quick, bad):
    manifest = manifest_blob(config_blob(), [{"mediaType": LAYER, "digest": DIGEST, "size": len(DATA)}])
    bad.image("bad", "1", manifest, MANIFEST, {digest_of(config_blob()): [badserver.whole(config_blob())]})
    refused(quick, NOT_FOUND, "sluice", "pull", f"{bad.address}/bad:1", subjects=[DIGEST])


def test_missing_blob(quick, bad):
    refused(quick, NOT_FOUND, "sluice", "fetch", bad.url("/absent"), "--digest", DIGEST, subjects=[bad.url("/absent")])


@pytest.mark.parametrize("digest", [
    "sha256:../../../../etc/passwd",
    "sha256:" + "0" * 31 + "/" + "0" * 32,
    DIGEST.upper().replace("SHA256", "sha256"),
    DIGEST[:-1],
    DIGEST + "0",
    "sha512:" + DIGEST[7:],
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256",
    "sha256:",
    DIGEST[7:],
])
def test_bad_digest(quick, bad, digest):
    refused(quick, USAGE, "sluice", "fetch", bad.url("/blob"), "--digest", digest, subjects=[digest])
    assert not bad.asked("/blob")


@pytest.mark.parametrize("command", ["cat", "rm"])
@pytest.mark.parametrize("digest", [
    "sha256:../../../../etc/passwd", "sha256:" + "0" * 31 + "/" + "0" * 32, DIGEST.upper().replace("SHA256", "sha256"),
    DIGEST + "0", "sha256:", "sha256:abcde", "sha512:xyzxyz",
])
def test_bad_digest_of_stored_content(quick, bad, command, digest):
    """Names, digests and their beginnings are accepted; what cannot be any of these is told apart from what is not there."""
    bad.on("/file", badserver.whole(DATA))
    quick.sluice("fetch", bad.url("/file"))
    refused(quick, USAGE, "sluice", command, digest, subjects=[digest, "6 digits"])


@pytest.mark.parametrize("reference", [
    "localhost:5000/../etc:1",
    "localhost:5000/a/../b:1",
    "localhost:5000/UPPER:1",
    "localhost:5000/a:" + "t" * 129,
    "localhost:5000/a@sha256:12",
    "localhost:5000/a@md5:d41d8cd98f00b204e9800998ecf8427e",
    "localhost:99999/a:1",
    "localhost:5000/a b:1",
    "http://localhost:5000/a:1",
])
def test_bad_reference(quick, reference):
    refused(quick, USAGE, "sluice", "pull", reference, subjects=[reference])


def test_empty_reference(quick):
    assert quick.run("sluice", "pull", "").returncode == USAGE


def test_control_bytes_do_not_reach_the_terminal(quick):
    result = quick.run("sluice", "pull", "localhost:5000/\x1b[31m\nroot:1")
    assert result.returncode == USAGE
    one_line(result.stderr)
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("url", ["ftp://localhost/x", "file:///etc/passwd", "http://user:secret@localhost/x", "nonsense"])
def test_bad_url(quick, url):
    result = refused(quick, USAGE, "sluice", "fetch", url, "--digest", DIGEST)
    assert "secret" not in result.stderr


def test_refused_connection(quick, bad):
    bad.server.shutdown()
    bad.server.server_close()
    refused(quick, UNAVAILABLE, "sluice", "pull", f"{bad.address}/a:1", subjects=[bad.address])


def test_unknown_host(quick):
    refused(quick, UNAVAILABLE, "sluice", "fetch", "http://no-such-host.invalid/x", "--digest", DIGEST,
            subjects=["no-such-host.invalid"])


GARBAGE = {
    "HTTP": (b"GET / HTTP/1.0\r\n\r\n", BAD_DATA),
    "ones": (b"\xff" * 100, BAD_DATA),
    "unknown type": (b"\0\0\0\4SL\1\xff", BAD_DATA),
    "another version": (b"\0\0\0\4SL\xff\5", BAD_DATA),
    "huge frame": (b"\x7f\xff\xff\xff" + bytes(1000), BAD_DATA),
    "bytes of a blob": (DATA, BAD_DATA),
    "frame of no bytes": (b"\0\0\0\0", BAD_DATA),
    "message that ends before its frame": (b"\0\0\0\5SL\1\5x", BAD_DATA),
    "half a length": (b"\0\0", AGAIN),  # as after a killed fetchd
    "half a frame": (b"\0\0\0\x40SL\1\5", AGAIN),
}


@pytest.mark.parametrize("garbage, code", GARBAGE.values(), ids=GARBAGE)
def test_garbage_frames_on_put(quick, garbage, code):
    refused(quick, code, "ingestd", "put", "--digest", DIGEST, DIGEST, data=garbage, subjects=[DIGEST])
    assert quick.size(DIGEST) <= 0


def test_garbage_seals_on_commit(quick):
    refused(quick, BAD_DATA, "commitd", "commit", data=b"GET / HTTP/1.0\r\n\r\n")


def test_bad_ref_on_put(quick):
    refused(quick, USAGE, "ingestd", "put", "--raw", "--digest", DIGEST, "a b", data=DATA, subjects=["a b"])


@pytest.mark.parametrize("words", [
    ["sluice"], ["sluice", "frobnicate"], ["sluice", "pull"], ["sluice", "fetch"],
    ["sluice", "pull", "--frobnicate", "a"], ["fetchd", "frobnicate"], ["fetchd", "get"], ["ingestd", "put"],
    ["ingestd", "offset"], ["commitd", "frobnicate"], ["fetchd", "get", "--offset", "-1", "http://localhost/"],
    ["ingestd", "put", "--size", "many", "a"],
], ids=" ".join)
def test_usage(quick, words):
    assert quick.run(*words).returncode == USAGE


@pytest.mark.parametrize("words", [["pull"], ["login"], ["tag", "a"]], ids=" ".join)
def test_operands(quick, words):
    refused(quick, USAGE, "sluice", *words, subjects=[f"'{words[0]}' takes", f"sluice {words[0]} --help"])


@pytest.mark.parametrize("words", [["ls"], ["ls", "--blobs"], ["images"], ["status"], ["cat", "a"], ["tag", "a", "b"], ["rm", "a"]], ids=" ".join)
def test_no_store(quick, words):
    absent = quick.directory / "absent"
    refused(quick, NOT_FOUND, "sluice", "--store", absent, *words, subjects=[absent, "the first pull creates it"])
    assert not absent.exists()


def test_bad_configuration(quick, bad):
    quick.configure("[fetchd]\nmax_retries = many\n")
    result = quick.run("fetchd", "get", bad.url("/good"))
    assert result.returncode == BAD_CONFIGURATION
    one_line(result.stderr, quick.config, "max_retries")


# ── places ──


def can_mount():
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs mounts")
@pytest.mark.parametrize("words", [
    ["sluice", "fetch", "URL", "--digest", DIGEST], ["ingestd", "put", "--raw", "--digest", DIGEST, DIGEST],
], ids=["fetch", "put"])
def test_read_only_store(quick, bad, words):
    bad.on("/blob", badserver.whole(DATA))
    quick.gone()
    program, *rest = [bad.url("/blob") if word == "URL" else word for word in words]
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", 'mount --bind -o ro "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"',
         "sh", quick.store, BINDIR / program, *rest],
        env=quick.environment, input=DATA, capture_output=True,
    )
    assert result.returncode == CANNOT_CREATE, result.stderr
    one_line(result.stderr.decode(), quick.store)


def test_directory_that_is_not_a_store_is_refused(quick, bad):
    (quick.directory / "other").mkdir()
    (quick.directory / "other/precious").write_text("keep me")
    result = quick.run("sluice", "--store", quick.directory / "other", "fetch", bad.url("/good"), "--digest",
                       digest_of(b"good"))
    assert result.returncode in (CANNOT_CREATE, BAD_CONFIGURATION), result.stderr
    one_line(result.stderr, quick.directory / "other")
    assert sorted(os.listdir(quick.directory / "other")) == ["precious"]


def test_long_store_path_works(quick, bad):
    store = quick.directory / ("s" * 120) / ("t" * 120)
    store.parent.mkdir()
    quick.run("sluice", "--store", store, "fetch", bad.url("/good"), "--digest", digest_of(b"good"), want=OK)
    assert (store / "blobs/sha256" / digest_of(b"good")[7:]).read_bytes() == b"good"


def test_long_runtime_directory_is_refused(quick, bad):
    place = quick.directory / ("r" * 120)
    refused(quick, BAD_CONFIGURATION, "sluice", "--runtime-dir", place, "fetch", bad.url("/good"), "--digest", DIGEST,
            subjects=[place])


def test_blobs_on_another_mount(quick):
    """rename fails between two mounts of one file system. This is found at start, not at the first commit."""
    if not can_mount():
        pytest.skip("needs mounts")
    quick.gone()
    blobs = quick.store / "blobs"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", 'mount --bind "$1" "$1"; shift; exec "$@"', "sh", blobs,
         BINDIR / "commitd", "commit"],
        env=quick.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )
    assert result.returncode == BAD_CONFIGURATION, result.stderr
    one_line(result.stderr, quick.store)
