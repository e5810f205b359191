# SPDX-License-Identifier: Apache-2.0
"""Where a user's stages meet: never in a place that another user can make first. With real users, so it needs root."""

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
DATA = b"for whoever asks"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")


@pytest.fixture
def place():
    """A directory that everybody may enter, with the programs in it; a home of each user."""
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
    """Another user makes these first, as far as it can."""
    script = "import os, sys\nfor p in sys.argv[1:]:\n    try: os.mkdir(p, 0o777)\n    except OSError: pass\n"
    subprocess.run(["/usr/bin/python3", "-c", script, *map(str, paths)], check=True, user=OTHER, group=OTHER, extra_groups=[])


def fetch(place, url, environment, *words):
    words = [place / "bin/sluice", *words, "fetch", url, "--digest", digest_of(DATA)]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", **environment}
    return subprocess.run(words, env=environment, user=USER, group=USER, extra_groups=[], capture_output=True, text=True, timeout=120)


def hex_of(store):
    return digest_of(str(store).encode()).partition(":")[2][:16]


@pytest.mark.parametrize("home", ["mine", "nowhere", "unset", "read-only"])
def test_nobody_takes_the_place_of_a_user(place, bad, home):
    """Without a runtime directory of its own: whatever name another user makes first, the command works."""
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
    assert not [path for path in (*mine.rglob(".run"), *mine.rglob(".sluice-*"))], "nothing is left of the stages"


def test_runtime_directory_of_another_user_is_passed_over(place, bad):
    """As sudo leaves it in the environment."""
    bad.on("/file", badserver.whole(DATA))
    mine = place / str(USER)
    result = fetch(place, bad.url("/file"), {"HOME": str(mine), "XDG_RUNTIME_DIR": str(place / str(OTHER))}, "--store", str(mine / "store"))
    assert result.returncode == OK, result.stderr


def test_store_that_others_may_replace(place, bad):
    """No home, and a new store in a directory that anybody may write in: it is made first, and then only its owner writes there."""
    bad.on("/file", badserver.whole(DATA))
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    assert fetch(place, bad.url("/file"), {}, "--store", str(shared / "a/store")).returncode == OK
    squat([shared / "b"])
    refused = fetch(place, bad.url("/file"), {}, "--store", str(shared / "b"))
    assert refused.returncode == CANNOT_CREATE, refused
    assert "XDG_RUNTIME_DIR" in refused.stderr
