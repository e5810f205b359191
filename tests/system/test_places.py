# SPDX-License-Identifier: Apache-2.0
"""A user's sockets are never in a directory that another user can create first. Needs root, to be two users."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import badserver
from conftest import BINDIR
from images import digest_of
from stages import CANNOT_CREATE, OK

USER, OTHER = 4711, 4712
DATA = b"public content"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")


@pytest.fixture
def place():
    """A directory that everybody may enter, with the programs and a home for each user."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="slp-", dir="/tmp"))
    directory.chmod(0o755)
    shutil.copytree(BINDIR, directory / "bin")
    for uid in (USER, OTHER):
        home = directory / str(uid)
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
    yield directory
    shutil.rmtree(directory)


def squat(paths):
    """Another user tries to create these first."""
    script = "import os, sys\nfor p in sys.argv[1:]:\n    try: os.mkdir(p, 0o777)\n    except OSError: pass\n"
    subprocess.run(["/usr/bin/python3", "-c", script, *map(str, paths)], check=True, user=OTHER, group=OTHER, extra_groups=[])


def fetch(place, url, environment, *words):
    words = [place / "bin/sluice", *words, "fetch", url, "--digest", digest_of(DATA)]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", **environment}
    return subprocess.run(words, env=environment, user=USER, group=USER, extra_groups=[], capture_output=True, text=True, timeout=120)


def hex_of(store):
    return digest_of(str(store).encode()).partition(":")[2][:16]


@pytest.mark.parametrize("home", ["mine", "nowhere", "unset", "read-only"])
def test_other_user_cannot_occupy_the_runtime_directory(place, bad, home):
    """The user has no XDG_RUNTIME_DIR. The command works whatever names another user creates first."""
    bad.on("/file", badserver.whole(DATA))
    mine = place / str(USER)
    store = mine / "store"
    environment = {"mine": {"HOME": str(mine)}, "nowhere": {"HOME": "/nonexistent"}, "unset": {}, "read-only": {"HOME": "/proc"}}[home]
    names = [f"sluice-{USER}-{hex_of(store)}", f"sluice-{hex_of(store)}", f".sluice-{hex_of(store)}"]
    squatted = [pathlib.Path("/tmp") / name for name in names]
    squat([*squatted, *(mine / name for name in names), store, store / ".run", mine / ".local"])
    try:
        result = fetch(place, bad.url("/file"), environment, "--store", str(store))
        assert result.returncode == OK, result.stderr
    finally:
        for path in squatted:
            with contextlib.suppress(FileNotFoundError):
                path.rmdir()
    assert not [path for path in (*mine.rglob(".run"), *mine.rglob(".sluice-*"))], "a runtime directory is left"


def test_runtime_directory_of_another_user_is_skipped(place, bad):
    """As sudo leaves in the environment."""
    bad.on("/file", badserver.whole(DATA))
    mine = place / str(USER)
    result = fetch(place, bad.url("/file"), {"HOME": str(mine), "XDG_RUNTIME_DIR": str(place / str(OTHER))}, "--store", str(mine / "store"))
    assert result.returncode == OK, result.stderr


def test_new_store_in_a_shared_directory_is_private(place, bad):
    """The user has no home. Only the owner can write in the new store. A directory of another user is refused."""
    bad.on("/file", badserver.whole(DATA))
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    assert fetch(place, bad.url("/file"), {}, "--store", str(shared / "a/store")).returncode == OK
    squat([shared / "b"])
    refused = fetch(place, bad.url("/file"), {}, "--store", str(shared / "b"))
    assert refused.returncode == CANNOT_CREATE, refused
    assert "XDG_RUNTIME_DIR" in refused.stderr
