# SPDX-License-Identifier: Apache-2.0
"""Files by URL without a digest: validators identify them, and files that change during the transfer are noticed."""

import json
import os
import stat
import threading

import pytest

import badserver
from conftest import MIB, settled
from images import digest_of
from servers import Nginx, wait_for
from stages import AGAIN, BAD_DATA, CANNOT_CREATE, OK, USAGE, one_line

DATA, OTHER = os.urandom(MIB), os.urandom(MIB + 1000)
HALF = len(DATA) // 2
REST = f"bytes={HALF}-{len(DATA) - 1}"
QUICK = "[fetchd]\nretry_delay = 2ms\nmax_retries = 2\n"
OLD = {"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "Sat, 01 Jan 2000 00:05:00 GMT"}
YOUNG = {"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT", "Date": "Sat, 01 Jan 2000 00:00:30 GMT"}
ONE, TWO = {"ETag": '"one"'}, {"ETag": '"two"'}

VALIDATORS = {  # header fields, and the If-Range that follows from them
    "strong ETag": (ONE, '"one"'),
    "both": ({**ONE, **OLD}, '"one"'),
    "old Last-Modified": (OLD, OLD["Last-Modified"]),
    "weak ETag, old Last-Modified": ({"ETag": 'W/"one"', **OLD}, OLD["Last-Modified"]),
    "young Last-Modified": (YOUNG, None),
    "weak ETag": ({"ETag": 'W/"one"'}, None),
    "no ETag": ({"ETag": "one"}, None),
    "none": ({}, None),
}
each_validator = pytest.mark.parametrize("fields, names", VALIDATORS.values(), ids=VALIDATORS)


class Tally:
    """Counts the body bytes that these behaviours send."""

    def __init__(self, bad, *behaviours):
        self.exchanges = []
        bad.on("/file", *[self.watch(behave) for behave in behaviours])

    def watch(self, behave):
        def answer(x):
            self.exchanges.append(x)
            behave(x)

        return answer

    def sent(self):
        return sum(x.sent for x in self.exchanges)


def half(fields):
    return lambda x: x.rest(DATA, len(DATA), list(fields.items()), send=HALF)


def half_and_silence(fields):
    def behave(x):
        x.rest(DATA, len(DATA), list(fields.items()), send=HALF, end=False)
        x.server.released.wait()
        x.hang_up()

    return behave


def honest(data, fields):
    """As in RFC 9110: a part only if If-Range names this version."""

    def behave(x):
        if x.headers.get("If-Range") not in (None, *fields.values()):
            x.start = x.end = None
        badserver.whole(data, fields)(x)

    return behave


def ranges(bad):
    return [r.range for r in bad.asked("/file")]


def fetch(box, bad, *options, want=OK):
    return box.run("sluice", "-q", "fetch", bad.url("/file"), *options, want=want)


def told(box, *words):
    """The last line of JSON."""
    return json.loads(box.sluice("--json", *words).stdout.splitlines()[-1])


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def stored(box, data):
    """Assert that the store has this file, the manifest and the empty config that wrap it, and nothing else."""
    assert box.blob(digest_of(data)).read_bytes() == data
    assert box.blob(digest_of(b"{}")).read_bytes() == b"{}"
    assert len(list(box.store.glob("blobs/*/*"))) == 3
    settled(box)


def test_digest_is_found_and_reported(box, bad):
    bad.on("/file", badserver.whole(DATA, ONE))
    digest = digest_of(DATA)
    url = bad.url("/file")
    name, path = url.partition("://")[2], str(box.blob(digest))
    lines = box.sluice("fetch", url).stdout.splitlines()
    assert lines[-2:] == [f"{name}  {digest}  {len(DATA)}", path] and all(line.startswith("file: ") for line in lines[:-2])
    said = json.loads(box.sluice("--json", "fetch", url).stdout.splitlines()[-1])
    manifest = said.pop("manifest")
    assert said == {"event": "done", "name": name, "digest": digest, "size": len(DATA), "path": path}
    wrapped = json.loads(box.blob(manifest).read_bytes())
    assert wrapped["artifactType"] == "application/vnd.sluice.file.v1"
    assert [layer["digest"] for layer in wrapped["layers"]] == [digest]
    assert fetch(box, bad).stdout == f"{digest}\n"
    stored(box, DATA)


def test_names(box, bad):
    """HOST/PATH, unless that has other content; --name replaces; no secret is in the store."""
    first = bad.url("/file")
    name = first.partition("://")[2]
    bad.on("/file", badserver.whole(DATA, ONE))
    assert told(box, "fetch", first + "?token=hidden")["name"] == name
    manifest = told(box, "fetch", first)["manifest"]
    bad.on("/file", badserver.whole(OTHER, TWO))
    assert told(box, "fetch", first)["name"] == "files.local/" + digest_of(OTHER).replace(":", "-")
    assert told(box, "fetch", first, "--name", name)["manifest"] != manifest
    assert told(box, "fetch", first, "--name", "mine:1")["name"] == "mine:1"
    assert "not a valid name" in box.run("sluice", "fetch", first, "--name", "../x", want=USAGE).stderr
    assert not [path for path in box.store.rglob("*") if path.is_file() and b"hidden" in path.read_bytes()]


def test_stored_and_named_file_needs_no_byte(box, bad):
    bad.on("/file", badserver.whole(DATA, ONE))
    words = ("fetch", bad.url("/file"), "--digest", digest_of(DATA))
    first = told(box, *words)
    asked = len(bad.requests)
    assert told(box, *words) == first
    assert len(bad.requests) == asked


def test_output(box, bad):
    """A file of its own, whole, in place of a file or a link, which is not followed."""
    bad.on("/file", badserver.whole(DATA, ONE))
    target, victim = box.directory / "out", box.directory / "victim"
    victim.write_bytes(b"victim")
    target.symlink_to(victim)
    for _ in range(2):
        said = told(box, "fetch", bad.url("/file"), "-o", str(target))
        assert said["output"] == str(target) and said["output_by"] in ("reflink", "copy")
        assert not target.is_symlink() and target.read_bytes() == DATA and victim.read_bytes() == b"victim"
        assert target.stat().st_nlink == 1 and stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask()
    assert sorted(path.name for path in box.directory.iterdir() if path.name.startswith(".sluice")) == []
    asked = len(bad.requests)
    assert "sluice cat" in box.run("sluice", "fetch", bad.url("/file"), "-o", "-", want=USAGE).stderr
    for bad_target in ("absent/out", "."):
        refused = box.run("sluice", "fetch", bad.url("/file"), "-o", str(box.directory / bad_target), want=CANNOT_CREATE)
        assert "cannot write" in refused.stderr
    assert len(bad.requests) == asked


@each_validator
def test_broken_connection_resumes_with_a_strong_validator(box, bad, fields, names):
    """With a strong validator no byte is sent twice. Without one, the file is sent again."""
    box.configure(QUICK)
    tally = Tally(bad, half(fields), honest(DATA, fields))
    fetch(box, bad)
    stored(box, DATA)
    assert ranges(bad) == ["", REST if names else ""]
    assert bad.asked("/file")[1].headers.get("If-Range") == names
    assert tally.sent() == (len(DATA) if names else HALF + len(DATA))


@each_validator
def test_next_run_resumes_with_a_strong_validator(box, bad, fields, names):
    """The same after all processes have ended, from the record in the store."""
    box.configure("[fetchd]\nmax_retries = 0\n")
    tally = Tally(bad, half(fields), honest(DATA, fields))
    one_line(fetch(box, bad, want=AGAIN).stderr, bad.url("/file"), "what arrived is kept")
    box.gone()
    assert box.size(bad.url("/file")) == HALF
    fetch(box, bad)
    stored(box, DATA)
    assert ranges(bad) == ["", REST if names else ""]
    assert tally.sent() == (len(DATA) if names else HALF + len(DATA))


@pytest.mark.parametrize("names", [True, False], ids=["validator", "none"])
@pytest.mark.parametrize("stage", ["fetchd", "ingestd"])
def test_stage_is_killed(box, bad, stage, names):
    fields = ONE if names else {}
    tally = Tally(bad, half_and_silence(fields), honest(DATA, fields))
    with box.up():
        process = box.popen("sluice", "-q", "fetch", bad.url("/file"))
        wait_for("half to arrive", lambda: box.size(bad.url("/file")) == HALF)
        box.kill_stage(stage)
        box.finish(process, want=OK)
    stored(box, DATA)
    assert ranges(bad) == ["", REST if names else ""]
    assert tally.sent() == (len(DATA) if names else HALF + len(DATA))


CHANGES = {
    "200 of the new file": honest(OTHER, TWO),
    "part of the new file": badserver.whole(OTHER, TWO),
    "part without an ETag": badserver.whole(OTHER),
    "part with a weak ETag": badserver.whole(OTHER, {"ETag": 'W/"one"'}),
    "part of another length": badserver.whole(OTHER, ONE),
    "416, it is shorter": badserver.status(416, {"Content-Range": f"bytes */{HALF - 1}", **TWO}),
    "200 without an ETag": badserver.ignores_range(OTHER),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_file_is_fetched_again(box, bad, change):
    """The new file is fetched from its start, never a mixture."""
    box.configure(QUICK)
    bad.on("/file", half(ONE), change, badserver.whole(OTHER, TWO))
    fetch(box, bad)
    stored(box, OTHER)
    assert ranges(bad) == ["", REST, ""]


def test_file_that_keeps_changing_fails(box, bad):
    """After one restart the user has to request it again."""
    box.configure(QUICK)
    versions = iter(range(1000))

    def another(x):
        x.start = x.end = None
        x.rest(DATA, len(DATA), [("ETag", f'"{next(versions)}"')], send=HALF)

    bad.on("/file", another)
    one_line(fetch(box, bad, want=AGAIN).stderr, bad.url("/file"), "the content has changed since the transfer began")
    assert ranges(bad) == ["", REST, "", REST]
    bad.on("/file", badserver.whole(DATA, ONE))
    fetch(box, bad)
    stored(box, DATA)


def test_validator_without_bytes_is_forgotten(box, bad):
    """A header arrived, but no byte of its body. The next answer brings its own validator."""
    box.configure(QUICK)
    bad.on("/file", lambda x: x.rest(OTHER, len(DATA), list(ONE.items()), send=0), half(TWO), honest(DATA, TWO))
    fetch(box, bad)
    stored(box, DATA)
    assert ranges(bad) == ["", "", REST] and bad.asked("/file")[2].headers["If-Range"] == TWO["ETag"]


def test_size_without_bytes_is_forgotten(box, bad):
    """A size from an earlier header is not used if the next run finds another."""
    box.configure("[fetchd]\nmax_retries = 0\n")
    bad.on("/file", lambda x: x.rest(OTHER, len(OTHER), list(ONE.items()), send=0), badserver.whole(DATA, TWO))
    fetch(box, bad, want=AGAIN)
    fetch(box, bad)
    stored(box, DATA)


def test_size_is_checked(box, bad):
    bad.on("/file", badserver.whole(DATA, ONE))
    one_line(fetch(box, bad, "--size", len(DATA) + 1, want=BAD_DATA).stderr, f"{len(DATA)} bytes long")
    fetch(box, bad, "--size", len(DATA))


def test_fetches_of_one_url_share_a_transfer(box, bad):
    gate = threading.Semaphore(0)
    bad.on("/file", badserver.in_steps(DATA, (HALF, len(DATA)), gate))
    with box.up():
        processes = [box.popen("sluice", "-q", "fetch", bad.url("/file")) for _ in range(2)]
        wait_for("half to arrive", lambda: box.size(bad.url("/file")) == HALF)
        wait_for("both to wait", lambda: all(p.poll() is None for p in processes))
        gate.release()
        for process in processes:
            assert box.finish(process, want=OK).stdout == f"{digest_of(DATA)}\n"
    assert 1 <= len(bad.requests) <= 2  # the second may have come after the end of the first


def test_query_is_not_shown(box, bad):
    """A query may be a signature. It is sent, but not logged or shown. Another query means another transfer."""
    gate = threading.Semaphore(0)
    bad.on("/file", badserver.in_steps(DATA, (HALF, len(DATA)), gate))
    url = bad.url("/file?key=canary")
    with box.up("-v"):
        process = box.popen("sluice", "-q", "fetch", url)
        wait_for("half to arrive", lambda: any(r["offset"] == HALF for r in box.json("status")))
        ref = box.json("status")[0]["ref"]
        assert ref.startswith(bad.url("/file?")) and len(ref) == len(bad.url("/file?")) + 16
        assert "canary" not in box.sluice("status").stdout + box.sluice("--json", "status").stdout
        gate.release()
        box.finish(process, want=OK)
    assert [r.path for r in bad.requests] == ["/file?key=canary"]
    assert "canary" not in box.logs() and ref in box.logs()


# ── a real server ──


@pytest.fixture
def files(area, box):
    """nginx, slow enough that one connection needs a second for this file."""
    directory = box.directory / "files"
    directory.mkdir()
    (directory / "file").write_bytes(DATA + OTHER)
    with Nginx(box.directory / "nginx", files=directory, paced=2 * MIB) as server:
        yield server, directory / "file"


@pytest.mark.parametrize("stage", ["fetchd", "ingestd"])
def test_nginx_and_a_killed_stage(box, files, stage):
    server, _ = files
    url = f"http://{server.address}/files/file"
    with box.up():
        process = box.popen("sluice", "-q", "fetch", url)
        wait_for("some bytes to arrive", lambda: box.size(url) >= HALF)
        box.kill_stage(stage)
        box.finish(process, want=OK)
    stored(box, DATA + OTHER)
    server.settle()
    first, *others = server.accesses()
    assert first.status == 200 and others and all(a.status == 206 for a in others)


def test_nginx_and_a_new_file(box, files):
    server, path = files
    url = f"http://{server.address}/files/file"
    with box.up():
        process = box.popen("sluice", "-q", "fetch", url)
        wait_for("some bytes to arrive", lambda: box.size(url) >= HALF)
        (path.parent / "new").write_bytes(OTHER)
        (path.parent / "new").rename(path)
        box.kill_stage("fetchd")
        assert box.finish(process, want=OK).stdout == f"{digest_of(OTHER)}\n"
    stored(box, OTHER)
    server.settle()
    assert [a.status for a in server.accesses()] == [200, 200, 200]


def test_body_without_a_length_needs_a_digest(box, bad):
    """A body that ends with the connection may have been cut short. Only a digest can tell."""
    box.configure(QUICK)
    bad.on("/file", lambda x: (x.head(200, {"Connection": "close"}), x.body(DATA), x.hang_up()))
    result = box.run("sluice", "fetch", bad.url("/file"), want=BAD_DATA)
    one_line(result.stderr, bad.url("/file"), "specify the digest")
    box.run("sluice", "fetch", bad.url("/file"), "--digest", digest_of(DATA), want=OK)
    assert box.blob(digest_of(DATA)).read_bytes() == DATA


# ── names and codings as curl takes them ──


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_compressed_file_that_is_said_to_be_encoded(box, bad, coding, digest):
    """As Apache says it of a .tar.gz: stored as it is."""
    bad.on("/f-1.0.tar.gz", badserver.whole(DATA, {"Content-Encoding": coding, "Content-Type": "application/x-tar", **ONE}))
    box.sluice("fetch", bad.url("/f-1.0.tar.gz"), *(["--digest", digest_of(DATA)] if digest else []))
    assert box.blob(digest_of(DATA)).read_bytes() == DATA
    settled(box)


def test_coding_that_the_name_does_not_have(box, bad):
    bad.on("/f.tar", badserver.whole(DATA, {"Content-Encoding": "gzip", **ONE}))
    one_line(box.run("sluice", "fetch", bad.url("/f.tar"), want=BAD_DATA).stderr, "encoded")


@pytest.mark.parametrize("path, want", [
    ("/st\u00f6r/\u0444.bin", "/st%C3%B6r/%D1%84.bin"),
    ("/f.bin?Policy=" + "a" * 6000, None),
    ("/f.bin?Policy=" + "a" * 8000, None),
], ids=["utf-8", "query of 6,000", "query of 8,000"])
def test_url_as_it_is_typed(box, bad, path, want):
    bad.on((want or path).partition("?")[0], badserver.whole(DATA, ONE))
    box.sluice("fetch", bad.url(path))
    assert bad.requests[0].path == (want or path)
    assert box.blob(digest_of(DATA)).read_bytes() == DATA


def test_url_that_is_too_long(box, bad):
    url = bad.url("/f?")
    one_line(box.run("sluice", "fetch", url + "a" * (8193 - len(url)), want=64).stderr, "8192")
    assert not bad.requests


def test_transfer_is_found_by_its_url_as_it_is_typed(box, bad):
    box.configure(QUICK)
    bad.on("/st%C3%B6r", badserver.cut_short(DATA, 100))
    with box.up():
        box.run("sluice", "fetch", bad.url("/st\u00f6r"), want=AGAIN)
        assert "st%C3%B6r" in box.sluice("status", bad.url("/st\u00f6r")).stdout
        box.sluice("abort", bad.url("/st\u00f6r"))
