# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the system tests. BINDIR sets the programs under test (default: build/bin), BIG_MIB the size of the big blob
(default: 1024; less for programs that a sanitizer slows down).
"""

import collections
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "lib"))

import badserver  # noqa: E402
import images  # noqa: E402
import invariants  # noqa: E402
import servers  # noqa: E402
import stages  # noqa: E402
from authority import Authority  # noqa: E402

MIB = 1 << 20
BINDIR = pathlib.Path(os.environ.get("BINDIR", TESTS.parent / "build/bin")).resolve()
BIG = int(os.environ.get("BIG_MIB", "1024")) * MIB
MEDIUM = min(128 * MIB, BIG)
RATED = min(320 * MIB, 2 * BIG)  # at 50 MB/s: time between kills, so that the supervisor does not see a crash loop
PACED, PACED_SIZE = 5_000_000, 64 * MIB

AREA = "SLUICE_TESTS_AREA"  # in the environment, for the workers

# What whoever runs the tests has set for programs like ours.
PROXIES = "http_proxy", "https_proxy", "no_proxy", "all_proxy"
for name in (
    "CREDENTIALS_DIRECTORY", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR", *PROXIES, *map(str.upper, PROXIES),
):
    os.environ.pop(name, None)

collect_ignore = [] if os.environ.get("LARGE") else ["test_large.py"]

Blob = collections.namedtuple("Blob", "digest size name tag")


def pytest_configure(config):
    """A directory for all workers with room for big blobs; in memory if that is large enough."""
    config.addinivalue_line("markers", "heavy: moves a lot of bytes")
    if not hasattr(config, "workerinput"):
        place = servers.room_for(5 * BIG, "/dev/shm", tempfile.gettempdir())
        os.environ[AREA] = tempfile.mkdtemp(prefix="sluice-tests-", dir=place)


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[AREA])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Set item.passed for fixtures."""
    outcome = yield
    if outcome.get_result().when == "call":
        item.passed = outcome.get_result().passed


def shared(name, make):
    """A directory that the first worker to need it fills with make(directory)."""
    place = pathlib.Path(os.environ[AREA]) / name
    made = place.with_suffix(".new")
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            made.rename(place)
    return place


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home directory with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def credential_helper(monkeypatch, path, text):
    """Make the program docker-credential-NAME at `path`, in a directory that is put on the PATH."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


@pytest.fixture(scope="session")
def area(worker_id):
    """This worker's part of the area."""
    directory = pathlib.Path(os.environ[AREA]) / worker_id
    directory.mkdir()
    return directory


@pytest.fixture(scope="session")
def registry(area):
    with servers.Registry(area / "registry") as server:
        yield server


def pushed(registry, name, push):
    """
    Fill this worker's registry with what push(registry, directory) pushes: once, to another registry, whose files are
    then linked here.
    """

    def make(place):
        with servers.Registry(place) as other:
            push(other, place)

    place = shared(name, make)
    subprocess.run(["cp", "-alf", place / "data", registry.directory], check=True)
    return place


@pytest.fixture(scope="session")
def sample(registry):
    """The image that `make run` pulls."""

    def push(other, _):
        subprocess.run([TESTS / "lib/sample-image", f"{other.address}/sample:1"], check=True)

    pushed(registry, "sample", push)
    return f"{registry.address}/sample:1"


def random_image(registry, name, size):
    """An image `name`:1 with one random layer, and that layer as a blob."""

    def push(other, place):
        path = place / "layer"
        digest = images.random_file(path, size)
        pusher = images.Pusher(other.address, name)
        pusher.image("1", [pusher.blob_file(path, digest)])
        path.unlink()
        (place / "digest").write_text(digest)

    return Blob((pushed(registry, name, push) / "digest").read_text(), size, name, "1")


@pytest.fixture(scope="session")
def big(registry):
    return random_image(registry, "big", BIG)


@pytest.fixture(scope="session")
def medium(registry):
    return random_image(registry, "medium", MEDIUM)


@pytest.fixture(scope="session")
def rated(registry):
    return random_image(registry, "rated", RATED)


@pytest.fixture(scope="session")
def slow(registry, area):
    """The registry's content at 50 MB/s per connection."""
    with servers.Nginx(area / "nginx-slow", rate="50m", registry=registry) as server:
        yield server


@pytest.fixture(scope="session")
def paced(area):
    """nginx that serves one file (`digest`, `size`) at PACED bytes per second and connection."""
    files = shared("paced", lambda place: (place / "digest").write_text(images.random_file(place / "blob", PACED_SIZE)))
    with servers.Nginx(area / "nginx-paced", files=files, paced=PACED) as server:
        server.digest, server.size = (files / "digest").read_text(), PACED_SIZE
        yield server


@pytest.fixture
def bad():
    with badserver.BadServer() as server:
        yield server


def check_afterwards(box, passed):
    """After each test: no process or leftover remains, the store is valid, no sanitizer reported."""
    if passed:
        box.gone()
    box.kill_everything()
    reports = box.sanitizer_reports()
    assert not reports, reports
    problems = invariants.problems_of(box.store, runtime=box.runtime if passed else None)
    assert not problems, "\n".join(problems)


@pytest.fixture
def box(request):
    """A store on disk, and our programs on it."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="slt-"))
    yield from boxed(request, directory)


@pytest.fixture
def big_box(request, area):
    """The same in a place for big blobs. The path is short, for the sockets of the runtime directory."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="slt-", dir=area))
    yield from boxed(request, directory)


def boxed(request, directory, store=None):
    box = stages.Box(BINDIR, directory, store)
    request.node.passed = False
    try:
        yield box
        check_afterwards(box, request.node.passed)
    finally:
        box.kill_everything()
        if not request.node.passed and box.logs():
            print(f"── log of the stages ──\n{box.logs()[-8000:]}")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def socket_buffers():
    """What the kernel may hold of one connection at both of its ends, where its reader is slow: bytes."""
    return sum(int(pathlib.Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split()[2]) for way in "rw")


def settled(box):
    """Assert that no ingest is left."""
    problems = invariants.problems_of(box.store, settled=True)
    assert not problems, "\n".join(problems)
