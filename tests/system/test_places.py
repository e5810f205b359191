# SPDX-License-Identifier: Apache-2.0
"""
What another local user can do to the places of a user: sockets are never in a directory that somebody else can create first,
and a store is open to others as far as the umask says. Needs root, to be two users.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import badserver
from conftest import BINDIR
from images import digest_of
from stages import AGAIN, CANNOT_CREATE, OK

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


def fetch(place, url, environment, *words, umask=-1):
    words = [place / "bin/sluice", *words, "fetch", url, "--digest", digest_of(DATA)]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", **environment}
    options = {"user": USER, "group": USER, "extra_groups": [], "umask": umask, "capture_output": True, "text": True}
    return subprocess.run(words, env=environment, timeout=120, **options)


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


# Everything that a user can open below a directory, with a file's content.
SEEN = """
import json, os, sys
found = {}
for directory, _, names in os.walk(sys.argv[1]):
    found[directory] = os.access(directory, os.W_OK)
    for name in names:
        try:
            found[os.path.join(directory, name)] = open(os.path.join(directory, name), "rb").read().decode(errors="replace")
        except OSError:
            pass
print(json.dumps(found))
"""


def seen_by_another(directory, group):
    words = ["/usr/bin/python3", "-c", SEEN, str(directory)]
    found = subprocess.run(words, check=True, user=OTHER, group=OTHER, extra_groups=group, capture_output=True, text=True)
    return {pathlib.Path(path).relative_to(directory): what for path, what in json.loads(found.stdout).items()}


@pytest.mark.parametrize("umask, group, is_open", [
    (0o077, [], False), (0o077, [USER], False), (0o027, [], False), (0o027, [USER], True), (0o022, [], True), (0o000, [], True),
], ids=["077", "077-group", "027", "027-group", "022", "000"])
def test_another_user_sees_what_the_umask_says(place, bad, umask, group, is_open):
    """In a home that everybody may enter, where the first fetch creates the store and all directories above it."""
    bad.on("/file", badserver.whole(DATA))
    home = place / str(USER)
    home.chmod(0o755)
    result = fetch(place, bad.url("/file"), {"HOME": str(home)}, umask=umask)
    assert result.returncode == OK, result.stderr
    store = home / ".local/share/sluice"
    assert (store / "index.json").exists()
    seen = seen_by_another(home, group)
    if not is_open:
        assert set(seen) == {pathlib.Path(".")}
        return
    assert DATA.decode() in seen.values()
    assert not [path for path in seen if path.name == "lock"], "whoever can open a lock can hold it"
    assert [path for path, what in seen.items() if what is True] == [], "another user can write there"


@pytest.mark.parametrize("umask", [0o002, 0o000], ids=["002", "000"])
def test_group_cannot_write_in_an_unfinished_transfer(place, bad, umask):
    """Many users share a group. Who can plant a file there can have wrong bytes named."""
    bad.on("/file", badserver.cut_short(DATA, len(DATA) // 2))
    home = place / str(USER)
    home.chmod(0o755)
    once = place / "once.conf"
    once.write_text("[fetchd]\nmax_retries = 0\n")
    result = fetch(place, bad.url("/file"), {"HOME": str(home)}, "--config", str(once), umask=umask)
    assert result.returncode == AGAIN, result.stderr
    assert list(home.rglob("ingest/*/data"))
    assert [path for path, what in seen_by_another(home, [USER]).items() if what is True] == []
