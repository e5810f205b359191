# SPDX-License-Identifier: Apache-2.0
"""Content that stands in its manifest (`data` of a descriptor): it is requested from nobody, and never believed unseen."""

import base64
import hashlib
import json
import os

import pytest

import badserver
from images import CONFIG, LAYER, MANIFEST, digest_of
from stages import NOT_FOUND, OK, one_line

SMALL = b"{}"
MOST, MORE = os.urandom(6000), os.urandom(6001)


def text(data):
    return base64.b64encode(data).decode()


def described(content, media_type=CONFIG, **more):
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def serve(bad, config, *layers, served=()):
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers)}
    bad.on("/v2/app/manifests/1", badserver.whole(json.dumps(manifest).encode(), {"Content-Type": MANIFEST}))
    for data in served:
        bad.on(f"/v2/app/blobs/{digest_of(data)}", badserver.whole(data))
    return f"{bad.address}/app:1"


def blobs_asked(bad):
    return {r.path.rpartition("/")[2] for r in bad.requests if "/blobs/" in r.path}


def test_content_is_taken_from_the_manifest(box, bad):
    layer = described(MOST, LAYER, data=text(MOST))
    box.sluice("pull", serve(bad, described(SMALL, data=text(SMALL)), layer))
    assert not blobs_asked(bad)
    for data in (SMALL, MOST):
        assert box.blob(digest_of(data)).read_bytes() == data


@pytest.mark.parametrize("data", [
    "", "e30", "e3s=", text(b"{ }"), text(SMALL) + "\n", "e30=e30=", 7, None, {}, text(MORE),
], ids=["empty", "unpadded", "other bytes", "other length", "line end", "twice", "number", "null", "object", "too long"])
def test_what_does_not_match_is_requested(box, bad, data):
    """It makes no difference to what is stored."""
    box.sluice("pull", serve(bad, described(SMALL, data=data), served=[SMALL]))
    assert blobs_asked(bad) == {digest_of(SMALL)}
    assert box.blob(digest_of(SMALL)).read_bytes() == SMALL


def test_content_over_the_limit_is_requested(box, bad):
    box.sluice("pull", serve(bad, described(SMALL, data=text(SMALL)), described(MORE, LAYER, data=text(MORE)), served=[MORE]))
    assert blobs_asked(bad) == {digest_of(MORE)}


def test_wrong_content_that_nobody_has(box, bad):
    failed = box.run("sluice", "pull", serve(bad, described(SMALL, data=text(b"{ }"))), want=NOT_FOUND)
    one_line(failed.stderr, digest_of(SMALL))
    assert not box.blob(digest_of(SMALL)).exists()


def test_sha512(box, bad):
    digest = "sha512:" + hashlib.sha512(SMALL).hexdigest()
    box.sluice("pull", serve(bad, described(SMALL) | {"digest": digest, "data": text(SMALL)}))
    assert not blobs_asked(bad) and box.blob(digest).read_bytes() == SMALL


def test_by_hand(box):
    source = f"data:;base64,{text(MOST)}"
    assert box.run("fetchd", "get", "--raw", source, want=OK).raw == MOST
    assert box.run("fetchd", "get", "--raw", "--offset", "5000", source, want=OK).raw == MOST[5000:]
