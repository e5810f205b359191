# SPDX-License-Identifier: Apache-2.0
"""Mirrors are tried in order; the next one continues at the same offset."""

import base64
import json
import os

import pytest

import badserver
from conftest import settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import CONFIG, NOT_FOUND, one_line

DATA = os.urandom(1 << 20)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2
PATH = f"/v2/app/blobs/{DIGEST}"
QUICK = "[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n"


@pytest.fixture
def three(box, bad):
    """Two mirrors and their registry."""
    with badserver.BadServer() as first, badserver.BadServer() as second:
        box.configure(f"{QUICK}[registry {bad.address}]\nmirror = {first.url('')}\nmirror = {second.url('')}\n")
        yield first, second, bad


def get(box, registry, want=0):
    return box.run("fetchd", "get", "--raw", "--digest", DIGEST, f"blob://{registry.address}/app@{DIGEST}", want=want)


def ranges(*servers):
    return [[r.range for r in server.requests] for server in servers]


REST = f"bytes={HALF}-{len(DATA) - 1}"


def test_first_mirror_serves_everything(box, three):
    three[0].on(PATH, badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [[""], [], []]


FAILURES = {
    "404": badserver.status(404),
    "403": badserver.status(403),
    "401": badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}),
    "500": badserver.status(500),
    "too long": badserver.wrong_total(DATA, len(DATA) + 1),
    "a reset": badserver.cut_short(DATA, 0, reset=True),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_next_mirror_takes_over(box, three, failure):
    three[0].on(PATH, failure)
    three[1].on(PATH, badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [[""], [""], []]


def test_next_mirror_continues_at_the_same_offset(box, three):
    quarter = len(DATA) // 4
    three[0].on(PATH, badserver.cut_short(DATA, HALF))
    three[1].on(PATH, badserver.cut_short(DATA, quarter))
    three[2].on(PATH, badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [[""], [REST], [f"bytes={HALF + quarter}-{len(DATA) - 1}"]]


def refuses_ranges(code, data=DATA):
    return lambda x: badserver.whole(data)(x) if x.start is None else x.answer(code)


def half_and_no_ranges(code):
    """Send the first half; then serve only the whole blob."""
    return [badserver.cut_short(DATA, HALF), refuses_ranges(code)]


@pytest.mark.parametrize("code", [400, 416])
def test_refused_range_is_requested_from_the_next_mirror(box, three, code):
    three[0].on(PATH, badserver.cut_short(DATA, HALF))
    three[1].on(PATH, refuses_ranges(code))
    three[2].on(PATH, badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [[""], [REST], [REST]]


def test_whole_blob_is_requested_if_nobody_serves_the_range(box, three):
    three[0].on(PATH, *half_and_no_ranges(416))
    three[1].on(PATH, refuses_ranges(416))
    three[2].on(PATH, refuses_ranges(400))
    got = get(box, three[2])
    assert got.raw == DATA
    assert ranges(*three) == [[""], [REST], [REST, ""]]
    line = next(line for line in got.stderr.splitlines() if "requesting all of" in line)
    for word in (three[2].address, "400 Bad Request", DIGEST, f"{HALF} bytes that have arrived"):
        assert word in line, line


def test_whole_blob_from_a_mirror_if_the_registry_is_down(box, three):
    three[0].on(PATH, *half_and_no_ranges(416))
    for server in three[1:]:
        server.on(PATH, badserver.status(503))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [["", REST, REST, ""], [REST, REST], [REST, REST]]


def test_mirrors_and_registry_are_retried(box, three):
    for server in three:
        server.on(PATH, badserver.status(503), badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    assert ranges(*three) == [["", ""], [""], [""]]


def test_registry_is_asked_last(box, three):
    failed = get(box, three[2], want=NOT_FOUND)
    assert failed.stderr.count("from the mirror") == 2 and three[2].address in failed.stderr.splitlines()[-1]
    assert ranges(*three) == [[""], [""], [""]]


@pytest.mark.parametrize("path", ["/v2/hub/proxy", "/hub/proxy", "/hub/proxy/"])
def test_mirror_below_a_path(box, bad, path):
    """As in Harbor's proxy projects and ECR's pull-through caches."""
    with badserver.BadServer() as mirror:
        box.configure(f"{QUICK}[registry {bad.address}]\nmirror = {mirror.url(path)}\n")
        mirror.on(PATH.replace("/v2/", "/v2/hub/proxy/"), badserver.whole(DATA))
        assert get(box, bad).raw == DATA
        assert not bad.requests


def test_mirror_is_told_the_registry(box, three):
    """Requests to a mirror have ?ns=REGISTRY. Requests to the registry do not."""
    three[0].on(PATH, badserver.status(404))
    three[1].on(PATH, badserver.status(404))
    three[2].on(PATH, badserver.whole(DATA))
    assert get(box, three[2]).raw == DATA
    registry = three[2].address.replace(":", "%3A")
    assert [[r.ns for r in server.requests] for server in three] == [[registry], [registry], [""]]


HTML = b"<html>who are you?</html>"
PORTALS = {
    "html": badserver.status(200, {"Content-Type": "text/html; charset=utf-8"}, HTML),
    "HTML": badserver.status(200, {"Content-Type": "Text/HTML"}, HTML),
    "xhtml": badserver.status(200, {"Content-Type": "application/xhtml+xml"}, HTML),
    "redirect to a page": badserver.status(302, {"Location": "/login"}),
    "202": badserver.status(202),
    "204": badserver.status(204),
}


@pytest.mark.parametrize("portal", PORTALS.values(), ids=PORTALS)
def test_mirror_that_answers_with_html_is_skipped(box, bad, portal):
    layer = b"layer"
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER)])
    with badserver.BadServer() as mirror:
        for path in ("1", digest_of(manifest)):
            mirror.on(f"/v2/app/manifests/{path}", portal)
            bad.on(f"/v2/app/manifests/{path}", badserver.whole(manifest, {"Content-Type": MANIFEST}))
        mirror.on("/login", PORTALS["html"])
        for blob in (config, layer):
            mirror.on(f"/v2/app/blobs/{digest_of(blob)}", PORTALS["html"])
            bad.on(f"/v2/app/blobs/{digest_of(blob)}", badserver.whole(blob))
        box.configure(f"{QUICK}[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        box.sluice("pull", f"{bad.address}/app:1")
        assert mirror.requests
        settled(box)


def test_each_mirror_has_its_own_credentials(box, three):
    words = [base64.b64encode(f"tester:canary-{n}".encode()).decode() for n in range(3)]
    auth = box.directory / "auth.json"
    auth.write_text(json.dumps({"auths": {s.address: {"auth": w} for s, w in zip(three, words)}}))
    box.configure(box.config.read_text().replace("[fetchd]\n", f"[fetchd]\nauth_file = {auth}\n"))
    for server in three:
        server.on(PATH, badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}), badserver.status(404))
    get(box, three[2], want=NOT_FOUND)
    for server, word in zip(three, words):
        assert [r.headers.get("Authorization") for r in server.requests] == [None, f"Basic {word}"]


def test_pull_from_a_mirror(box, three):
    three[0].on("/v2/app/manifests/1", badserver.status(404))
    assert box.run("sluice", "pull", f"{three[2].address}/app:1", want=NOT_FOUND)
    settled(box)


@pytest.mark.parametrize("mirror", ["mirror.example", "mirror.example:5000/x", "https://mirror.example/path?x=y", "https://mirror.example/../path", "https://u:p@mirror.example", "ftp://x"])
def test_invalid_mirror(box, mirror):
    box.configure(f"[registry a.example]\nmirror = {mirror}\n")
    said = box.run("fetchd", "get", "--raw", "https://a.example/x", want=CONFIG).stderr
    one_line(said, "a.example", "" if "://" in mirror else "does not begin with https:// or http://")
