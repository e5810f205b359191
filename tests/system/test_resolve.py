# SPDX-License-Identifier: Apache-2.0
"""Tags are resolved by HEAD, so that a pull of stored content costs no request that a registry counts."""

import json
import os

import pytest

import badserver
from conftest import settled
from images import INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import Registry
from stages import AGAIN, BAD_DATA, NOT_FOUND, one_line
from tokens import Realm

QUICK = "[fetchd]\nmax_retries = 0\nretry_delay = 10ms\n"
TAG = "/v2/app/manifests/1"
CONFIG_BLOB = config_blob()


def image(layer):
    return manifest_blob(CONFIG_BLOB, [descriptor(layer, LAYER)])


def path_of(data):
    return f"/v2/app/manifests/{digest_of(data)}"


def says(manifest, media_type=MANIFEST, **more):
    return {"Content-Type": media_type, "Docker-Content-Digest": digest_of(manifest), **more}


def serve(bad, manifest, layer, headers=None):
    """Serve `manifest` as app:1, as a registry does."""
    bad.on(TAG, badserver.whole(manifest, headers or says(manifest)))
    bad.on(path_of(manifest), badserver.whole(manifest, headers or says(manifest)))
    for blob in (CONFIG_BLOB, layer):
        bad.on(f"/v2/app/blobs/{digest_of(blob)}", badserver.whole(blob))
    return f"{bad.address}/app:1"


def manifests_asked(bad, since=0):
    return [(r.method, r.path) for r in bad.requests[since:] if "/manifests/" in r.path]


def test_second_pull_is_one_head(box, sample, registry):
    box.sluice("pull", sample)
    box.gone()
    registry.settle()
    before = len(registry.accesses())
    box.sluice("pull", sample)
    box.gone()
    registry.settle()
    assert [(a.method, a.path, a.status) for a in registry.accesses(before)] == [("HEAD", "/v2/sample/manifests/1", 200)]
    settled(box)


def test_pull_by_a_stored_digest_sends_no_request(box, bad):
    layer, reference = b"layer", f"{bad.address}/app"
    serve(bad, image(layer), layer)
    by_digest = f"{reference}@{digest_of(image(layer))}"
    box.sluice("pull", by_digest)
    asked = len(bad.requests)
    box.sluice("pull", by_digest)
    box.sluice("pull", f"{reference}:1@{digest_of(image(layer))}")
    assert len(bad.requests) == asked and ("GET", TAG) not in manifests_asked(bad)


def test_moved_tag_fetches_only_new_blobs(box, bad):
    """Only new blobs are fetched."""
    old, new = b"old", b"new"
    reference = serve(bad, image(old), old)
    box.sluice("pull", reference)
    serve(bad, image(new), new)
    since = len(bad.requests)
    with box.up():
        box.sluice("pull", reference)
        box.sluice("pull", reference)
    assert manifests_asked(bad, since) == [("HEAD", TAG), ("GET", path_of(image(new))), ("HEAD", TAG)]
    assert len(bad.requests) == since + 4
    assert digest_of(image(new)) in box.sluice("images").stdout
    settled(box)


def test_moved_tag_drops_a_partial_manifest(box, bad):
    """The bytes of the old manifest are not mixed with the new one."""
    old, new = b"old" * 1000, b"new" * 1000
    box.configure(QUICK)
    reference = serve(bad, image(old), old)
    bad.on(path_of(image(old)), badserver.cut_short(image(old), 100))
    box.sluice("pull", reference, want=AGAIN)
    assert box.size(f"manifest://{reference}") == 100
    serve(bad, image(new), new)
    box.sluice("pull", reference)
    assert bad.asked(path_of(image(new)))[0].range == ""
    settled(box)


def test_partial_manifest_resumes(box, bad):
    layer = b"layer" * 1000
    manifest = image(layer)
    box.configure(QUICK)
    reference = serve(bad, manifest, layer)
    bad.on(path_of(manifest), badserver.cut_short(manifest, 100), badserver.whole(manifest, says(manifest)))
    box.sluice("pull", reference, want=AGAIN)
    box.sluice("pull", reference)
    assert [r.range[:10] for r in bad.asked(path_of(manifest))] == ["", "bytes=100-"]
    assert [m for m, p in manifests_asked(bad) if p == TAG] == ["HEAD", "HEAD"]
    settled(box)


NO_DIGEST = {  # the answer to HEAD
    "no digest": badserver.status(200, {"Content-Type": MANIFEST}),
    "invalid digest": badserver.status(200, {"Docker-Content-Digest": "sha256:12"}),
    "unknown algorithm": badserver.status(200, {"Docker-Content-Digest": "md5:d41d8cd98f00b204e9800998ecf8427e"}),
    **{str(code): badserver.status(code) for code in (400, 403, 404, 405, 410, 429, 500, 501, 503)},
    "429 for an hour": badserver.status(429, {"Retry-After": "3600"}),
    "206": badserver.status(206),
}


@pytest.mark.parametrize("answer", NO_DIGEST.values(), ids=NO_DIGEST)
def test_head_without_a_digest_is_followed_by_get(box, bad, answer):
    """GET resolves the tag."""
    layer = b"layer"
    reference = serve(bad, image(layer), layer)
    bad.on(TAG, answer, badserver.whole(image(layer), {"Content-Type": MANIFEST}))
    box.sluice("pull", reference)
    assert manifests_asked(bad) == [("HEAD", TAG), ("GET", TAG)]
    settled(box)


def test_missing_tag(box, bad):
    one_line(box.sluice("pull", f"{bad.address}/app:1", want=NOT_FOUND).stderr, bad.address, "404")
    assert manifests_asked(bad) == [("HEAD", TAG), ("GET", TAG)]


def test_head_is_retried(box, bad):
    layer = b"layer"
    reference = serve(bad, image(layer), layer)
    bad.on(TAG, lambda x: x.reset(), lambda x: x.reset(), badserver.whole(image(layer), says(image(layer))))
    box.sluice("pull", reference)
    assert [m for m, _ in manifests_asked(bad)] == ["HEAD", "HEAD", "HEAD", "GET"]


def test_get_is_retried_after_a_failed_head(box, bad):
    layer = b"layer"
    reference = serve(bad, image(layer), layer)
    box.configure("[fetchd]\nretry_delay = 10ms\n")
    bad.on(TAG, badserver.status(503), badserver.status(503), badserver.whole(image(layer), {"Content-Type": MANIFEST}))
    box.sluice("pull", reference)
    assert [m for m, _ in manifests_asked(bad)] == ["HEAD", "GET", "GET"]


@pytest.mark.parametrize("code", [404, 410])
def test_manifest_that_is_served_only_by_tag(box, bad, code):
    """HEAD answers with the digest, but GET by digest fails."""
    layer = b"layer"
    manifest = image(layer)
    reference = serve(bad, manifest, layer)
    bad.on(path_of(manifest), badserver.status(code))
    box.sluice("pull", reference)
    assert manifests_asked(bad) == [("HEAD", TAG), ("GET", path_of(manifest)), ("GET", TAG)]
    settled(box)


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_moved_tag_is_noticed_if_served_only_by_tag(box, bad, told):
    """The tag moves between HEAD and GET. The new manifest is not taken for the announced one."""
    old, new, layer = image(b"old"), image(b"new"), b"new"
    box.configure(QUICK)
    reference = serve(bad, new, layer)
    bad.on(TAG, badserver.status(200, says(old)), badserver.whole(new, says(new) if told else {"Content-Type": MANIFEST}))
    bad.on(path_of(old), badserver.status(404))
    if told:
        one_line(box.sluice("pull", reference, want=BAD_DATA).stderr, digest_of(old), digest_of(new))
    else:  # the content shows it, and the tag is resolved again
        box.sluice("pull", reference)
        assert manifests_asked(bad)[2:] == [("GET", TAG), ("HEAD", TAG), ("GET", TAG)]
    assert not box.blob(digest_of(old)).exists()
    settled(box)


def test_head_behind_a_realm(box, bad):
    layer = b"layer"
    realm = Realm(bad)
    reference = serve(bad, image(layer), layer)
    for path in (TAG, path_of(image(layer))):
        bad.on(path, realm.guard(badserver.whole(image(layer), says(image(layer)))))
    box.sluice("pull", reference)
    assert [m for m, _ in manifests_asked(bad)] == ["HEAD", "HEAD", "GET"] and len(realm.asked()) == 1


def test_head_is_redirected(box, bad):
    layer = b"layer"
    reference = serve(bad, image(layer), layer)
    bad.on(TAG, badserver.status(307, {"Location": "/elsewhere"}))
    bad.on("/elsewhere", badserver.whole(image(layer), says(image(layer))))
    box.sluice("pull", reference)
    assert [r.method for r in bad.asked("/elsewhere", "HEAD")] == ["HEAD"]


def test_wrong_digest_from_head_is_refused(box, bad):
    """The message has both digests, whatever digest the answer to GET claims."""
    layer = b"layer"
    manifest, announced = image(layer), digest_of(b"another")
    box.configure(QUICK)
    bad.on(TAG, badserver.status(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": announced}))
    for headers in ({}, says(manifest)):
        bad.on(f"/v2/app/manifests/{announced}", badserver.whole(manifest, headers))
        failed = box.sluice("pull", f"{bad.address}/app:1", want=BAD_DATA)
        one_line(failed.stderr, announced, digest_of(manifest))
    assert ("GET", TAG) not in manifests_asked(bad)
    settled(box)


def test_schema_1_is_refused_clearly(box, bad):
    old = json.dumps({"schemaVersion": 1, "name": "app", "tag": "1", "architecture": "amd64", "fsLayers": [],
                      "history": []}).encode()
    reference = serve(bad, old, b"", says(old, "application/vnd.docker.distribution.manifest.v1+prettyjws"))
    one_line(box.sluice("pull", reference, want=BAD_DATA).stderr, reference, "schema 1")


@pytest.mark.parametrize("media_type", [INDEX, "application/pdf"])
def test_content_type_must_match_the_document(box, bad, media_type):
    """Content-Type and mediaType of the document must agree (CVE-2021-41190)."""
    layer = b"layer"
    reference = serve(bad, image(layer), layer, says(image(layer), media_type))
    one_line(box.sluice("pull", reference, want=BAD_DATA).stderr, reference, media_type, MANIFEST)


def test_html_is_not_a_manifest(box, bad):
    layer = b"layer"
    reference = serve(bad, image(layer), layer, says(image(layer), "text/html"))
    one_line(box.sluice("pull", reference, want=BAD_DATA).stderr, reference, "text/html", "not a manifest")


def test_accepted_types(box, bad):
    layer = b"layer"
    box.sluice("pull", serve(bad, image(layer), layer))
    for request in bad.requests:
        if "/manifests/" in request.path:
            accepted = {word.strip() for word in request.headers["Accept"].split(",")}
            assert accepted >= {INDEX, MANIFEST, "application/vnd.docker.distribution.manifest.v2+json",
                                "application/vnd.docker.distribution.manifest.list.v2+json"}


def test_oversized_manifest_is_refused(box, bad):
    """By its Content-Length, or at the limit if it has none."""
    limit = 4 << 20
    box.configure(QUICK)
    long = badserver.status(200, {"Content-Type": MANIFEST}, b" " * (limit + 1))

    def unmeasured(x):
        x.head(200, {"Content-Type": MANIFEST, "Connection": "close"})
        x.body(os.urandom(limit + (1 << 20)))
        x.hang_up()

    for answer in (long, unmeasured):
        bad.on(TAG, badserver.status(405), answer)
        one_line(box.sluice("pull", f"{bad.address}/app:1", want=BAD_DATA).stderr, bad.address, limit)
        assert box.size(f"manifest://{bad.address}/app:1") <= limit


def nested(bad, depth, leaf):
    """app:1 is an index of an index of … `leaf`, `depth` indexes in all."""
    document, media_type = leaf, MANIFEST
    for _ in range(depth):
        document = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                               "manifests": [descriptor(document, media_type)]}).encode()
        media_type = INDEX
        bad.on(path_of(document), badserver.whole(document, says(document, INDEX)))
    bad.on(TAG, badserver.whole(document, says(document, INDEX)))
    return f"{bad.address}/app:1"


@pytest.mark.parametrize("options", [[], ["--all-platforms"]], ids=["one", "all"])
def test_nested_indexes(box, bad, options):
    layer = b"layer"
    serve(bad, image(layer), layer)
    box.sluice("pull", *options, nested(bad, 4, image(layer)))
    assert box.blob(digest_of(layer)).read_bytes() == layer
    box.gone()
    settled(box)


def test_too_deeply_nested_indexes_are_refused(box, bad):
    """One level more than allowed. The limit is the same for pulling and for naming."""
    layer = b"layer"
    serve(bad, image(layer), layer)
    one_line(box.sluice("pull", nested(bad, 5, image(layer)), want=BAD_DATA).stderr, "deep")


@pytest.mark.parametrize("told", [True, False], ids=["told by HEAD", "not told"])
@pytest.mark.parametrize("size", [1, 2])
def test_index_cycle_ends(box, bad, size, told):
    """A cycle needs a wrong digest. It ends where that is found, after one restart."""
    box.configure(QUICK)
    names = [digest_of(b"name %d" % n) for n in range(size)]
    circle = [json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": names[(n + 1) % size], "size": 400}]}).encode().ljust(400) for n in range(size)]
    for name, index in zip(names, circle):
        bad.on(f"/v2/app/manifests/{name}", badserver.whole(index, {"Content-Type": INDEX}))
    says_name = {"Content-Type": INDEX, **({"Docker-Content-Digest": names[0]} if told else {})}
    bad.on(TAG, badserver.whole(circle[0], says_name))
    failed = box.sluice("pull", "--all-platforms", f"{bad.address}/app:1", want=BAD_DATA)
    wrong = 0 if told else 1 % size
    one_line(failed.stderr, names[wrong], digest_of(circle[wrong]))
    assert len(bad.asked(f"/v2/app/manifests/{names[wrong]}")) == 2
    assert len(manifests_asked(bad)) == 4
    settled(box)


@pytest.mark.parametrize("first, second", [(MANIFEST, INDEX), (INDEX, MANIFEST)])
def test_one_digest_with_two_media_types_is_refused(box, bad, first, second):
    """A manifest is not parsed as an index because another index says so."""
    layer = b"layer"
    serve(bad, image(layer), layer, {"Docker-Content-Digest": digest_of(image(layer))})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                        "manifests": [descriptor(image(layer), kind) for kind in (first, second)]}).encode()
    bad.on(TAG, badserver.whole(index, says(index, INDEX)))
    bad.on(path_of(index), badserver.whole(index, says(index, INDEX)))
    one_line(box.sluice("pull", "--all-platforms", f"{bad.address}/app:1", want=BAD_DATA).stderr, digest_of(image(layer)))
    assert not box.json("images")
    box.gone()


def test_repeated_manifest_is_fetched_once(box, bad):
    """An index lists the same manifest 2,000 times."""
    layer = b"layer"
    serve(bad, image(layer), layer)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                        "manifests": [descriptor(image(layer), MANIFEST)] * 2000}).encode()
    bad.on(TAG, badserver.whole(index, says(index, INDEX)))
    bad.on(path_of(index), badserver.whole(index, says(index, INDEX)))
    box.sluice("pull", "--all-platforms", f"{bad.address}/app:1")
    assert len(bad.asked(path_of(image(layer)))) == 1


VALIDATORS = {  # of the manifest, and whether a partial one may resume if nothing else identifies it
    "strong ETag": ({"ETag": '"one"'}, True),
    "weak ETag": ({"ETag": 'W/"one"'}, False),
    "none": ({}, False),
    "old Last-Modified": ({"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "Sat, 01 Jan 2000 00:05:00 GMT"}, True),
    "young Last-Modified": ({"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "Sat, 01 Jan 2000 00:00:30 GMT"}, False),
}


@pytest.mark.parametrize("headers, counts", VALIDATORS.values(), ids=VALIDATORS)
def test_partial_manifest_without_a_digest_needs_a_strong_validator(box, bad, headers, counts):
    """If-Range with a strong validator; with a weak one, a new start. Never a mixture."""
    layer = b"layer"
    manifest = image(layer)
    everything = {"Content-Type": MANIFEST, "Content-Length": len(manifest), **headers}

    def cut(x):
        x.head(200, everything)
        x.body(manifest[:100])
        x.hang_up()

    serve(bad, manifest, layer)
    bad.on(TAG, badserver.status(405), cut, badserver.status(405), badserver.whole(manifest, {"Content-Type": MANIFEST, **headers}))
    box.configure(QUICK)
    box.sluice("pull", f"{bad.address}/app:1", want=AGAIN)
    assert box.size(f"manifest://{bad.address}/app:1") == 100
    box.sluice("pull", f"{bad.address}/app:1")
    gets = bad.asked(TAG)
    assert len(gets) == 2
    if counts:
        assert gets[1].range.startswith("bytes=100-")
        assert gets[1].headers["If-Range"] == headers.get("ETag", headers.get("Last-Modified"))
    else:
        assert gets[1].range == "" and "If-Range" not in gets[1].headers
    assert box.blob(digest_of(manifest)).read_bytes() == manifest
    settled(box)
