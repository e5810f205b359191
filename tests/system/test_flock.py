# SPDX-License-Identifier: Apache-2.0
"""
A file system on which flock(2) succeeds and does nothing (lib/flockless.c). Stages refuse a store there, since two sets
of them would damage each other's transfers. What is refused works where the same file system has locks. Needs root and
/dev/fuse.
"""

import contextlib
import json
import os
import subprocess

import pytest

import badserver
from images import digest_of
from servers import wait_for
from stages import CONFIG, STAGES, one_line

FLOCKLESS = os.path.abspath(os.environ["FLOCKLESS"]) if os.environ.get("FLOCKLESS") else ""
DATA = b"some content"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
    pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="there is no /dev/fuse"),
    pytest.mark.skipif(not FLOCKLESS, reason="built without libfuse3-dev"),
]


@contextlib.contextmanager
def mounted(box, kind):
    """One directory, whatever the kind."""
    below, at = box.directory / "below", box.directory / kind
    below.mkdir(exist_ok=True)
    at.mkdir(exist_ok=True)
    with subprocess.Popen([FLOCKLESS, kind, below, at]) as server:
        try:
            wait_for("the file system", lambda: server.poll() is not None or os.path.ismount(at))
            assert server.poll() is None
            yield at
        finally:
            server.terminate()
    assert not os.path.ismount(at)


def doctor(box):
    return {finding["check"]: finding for finding in json.loads(box.run("sluice", "--json", "doctor").stdout)}


def fill(box, bad):
    """A store in that directory, with one blob, made where locks work."""
    bad.on("/file", badserver.whole(DATA))
    with mounted(box, "works") as at:
        box.store = at / "store"
        box.sluice("fetch", bad.url("/file"), "--digest", digest_of(DATA))
        box.gone()
        assert box.blob(digest_of(DATA)).read_bytes() == DATA
        assert doctor(box)["store"]["state"] == "ok"
        with box.up():
            pass


def files_of(store):
    """But for the locks that were tried."""
    return {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file() and path.name != "lock"}


def test_each_program_refuses_a_store(box, bad):
    fill(box, bad)
    with mounted(box, "lies") as at:
        box.store = at / "store"
        before = files_of(box.store)
        for words in (("ingestd",), ("commitd",), ("ingestd", "put", digest_of(b"new")), ("commitd", "commit")):
            refused = box.run(*words, data=b"", want=CONFIG)
            one_line(refused.stderr, "flock) do nothing", f"'{box.store}'", "put the store on a local disk")
        for words in (("fetch", bad.url("/file")), ("pull", "localhost:1/a:1"), ("up",)):
            refused = box.sluice(*words, want=CONFIG)
            assert f"flock) do nothing on the file system of '{box.store}'" in refused.stderr
            assert "put the store on a local disk" in refused.stderr
            box.gone()
        assert files_of(box.store) == before


def test_doctor_reports_a_store(box, bad):
    """Without a stage, and without a lock in it that somebody could take."""
    fill(box, bad)
    for lock in box.directory.glob("below/store/*/lock"):
        lock.unlink()
    with mounted(box, "lies") as at:
        box.store = at / "store"
        found = doctor(box)["store"]
        assert found["state"] == "fail" and "do nothing" in found["text"] and "has locks" in found["advice"]
        assert not list(box.store.glob("*/lock")), "doctor creates nothing"


def test_runtime_directory_is_refused(box, bad):
    with mounted(box, "works") as at:
        box.runtime = at / "run"
        with box.up():
            pass
    with mounted(box, "lies") as at:
        box.runtime = at / "run"
        for stage in STAGES:
            refused = box.run(stage, want=CONFIG)
            one_line(refused.stderr, "flock) do nothing", f"'{box.runtime}'", "--runtime-dir")
        for words in (("up",), ("fetch", bad.url("/file")), ("pull", "localhost:1/a:1")):
            refused = box.sluice(*words, want=CONFIG)
            one_line(refused.stderr, "flock) do nothing", f"'{box.runtime}'", "--runtime-dir")
            box.gone()


def test_doctor_reports_a_runtime_directory(box):
    """By what the stages left in it."""
    with mounted(box, "works") as at:
        box.runtime = at / "run"
        with box.up():
            assert doctor(box)["runtime"]["state"] == "ok"
        for name in ("up.lock", "ingestd/lock"):
            lock = box.runtime / name
            lock.parent.mkdir(exist_ok=True, parents=True, mode=0o700)
            lock.touch(0o600)
        assert doctor(box)["runtime"]["state"] == "ok"
    for name in ("up.lock", "ingestd/lock"):
        with mounted(box, "lies") as at:
            box.runtime = at / "run"
            found = doctor(box)["runtime"]
            assert found["state"] == "fail" and "do nothing" in found["text"] and "--runtime-dir" in found["advice"], name
        next(box.directory.glob(f"below/run/{name}")).unlink()
