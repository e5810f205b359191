"""
The tests here share one machine: a Debian with systemd as process 1 and our units installed (lib/machine.py). They
run in a network namespace of their own, with the servers on its loopback. BUILD says whose programs; BASE is the tree.
"""

import collections
import os
import pathlib
import shutil
import sys
import tempfile
import zlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "lib"))

import images  # noqa: E402
import invariants  # noqa: E402
import servers  # noqa: E402
from machine import STORE, UNITS, Machine  # noqa: E402

MIB = 1 << 20
SIZE = 48 * MIB
RATE = "16m"  # bytes a second: three seconds a blob, so that there is a middle to hit
BUILD = os.environ.get("BUILD", "build")
BASE = os.environ["BASE"]

Blob = collections.namedtuple("Blob", "digest size name reference")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().when == "call":
        item.passed = outcome.get_result().passed


@pytest.fixture(scope="session")
def area():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-systemd-", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def registry(area):
    with servers.Registry(area / "registry") as server:
        yield server


@pytest.fixture(scope="session")
def slow(registry, area):
    with servers.Nginx(area / "nginx", rate=RATE, registry=registry) as server:
        yield server


@pytest.fixture(scope="session")
def booted(area):
    """The machine, set up as README says."""
    made = Machine(area / "machine", BASE)
    made.install(BUILD)
    made.write("/usr/bin/probe", (TESTS / "systemd/probe.py").read_text(), 0o755)
    made.boot()
    try:
        made.run("systemd-sysusers", want=0)
        made.run("systemd-tmpfiles", "--create", "sluice.conf", want=0)
        made.run("useradd", "--groups", "sluice", "member", want=0)
        made.run("useradd", "stranger", want=0)
        made.systemctl("daemon-reload")
        made.systemctl("enable", "--now", "sluice.target")
        yield made
    finally:
        made.stop()


@pytest.fixture
def machine(booted, request):
    """The machine, with all three serving; and afterwards, nothing wrong with its store."""
    request.node.passed = False
    for unit in UNITS.values():
        servers.wait_for(f"{unit} to serve", lambda unit=unit: booted.is_active(unit), guard_s=20)
    yield booted
    for process in booted.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    booted.started.clear()
    problems = invariants.problems_of(booted.root / STORE.lstrip("/"), settled=request.node.passed)
    if not request.node.passed and booted.leader:
        print(booted.journal()[-8000:])
    assert not problems, "\n".join(problems)


@pytest.fixture
def blob(registry, slow, area, request):
    """An image of one layer that takes a while, a fresh one for each test."""
    path = area / "blob"
    digest = images.random_file(path, SIZE)
    name = f"image{zlib.crc32(request.node.nodeid.encode()):x}"
    pusher = images.Pusher(registry.address, name)
    pusher.image("1", [pusher.blob_file(path, digest)])
    path.unlink()
    return Blob(digest, SIZE, name, f"{slow.address}/{name}:1")


class Pull:
    """One pull of a blob from the slow server, and the counters afterwards."""

    def __init__(self, machine, server, blob):
        self.machine, self.server, self.blob = machine, server, blob
        self.before = len(server.accesses())
        self.process = machine.sluice_popen("pull", blob.reference)

    def wait(self, part):
        """Until so much has arrived. It must be under way still."""
        size = int(self.blob.size * part)
        assert self.machine.box.wait_size(self.blob.digest, size, self.process), f"over before {part:.0%}"

    def hashed_again(self):
        return self.machine.status(self.blob.digest)["rehashed_bytes"]

    def again(self):
        self.process = self.machine.sluice_popen("pull", self.blob.reference)

    def end(self):
        """It succeeds. Returns how many bytes were sent more than once."""
        self.machine.finish(self.process, want=0)
        assert self.machine.box.blob(self.blob.digest).stat().st_size == self.blob.size
        assert self.blob.reference in self.machine.sluice("images").stdout
        # A request is logged when it ends, and a connection that fetchd keeps has not.
        self.machine.systemctl("stop", UNITS["fetchd"])
        self.server.settle()
        self.machine.systemctl("start", UNITS["fetchd"])
        sent = sum(a.bytes for a in self.server.blob_gets(self.blob.digest, since=self.before))
        return sent - self.blob.size


@pytest.fixture
def pull(machine, slow, blob):
    return Pull(machine, slow, blob)
