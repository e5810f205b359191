# SPDX-License-Identifier: Apache-2.0
"""
These tests share one machine: a Debian with systemd as process 1 and our units installed (lib/machine.py). They run in
a network namespace of their own, with the servers on its loopback. BASE is the tree. `make install` installs the
programs of BUILD, unless DEB names a package to install.
"""

import collections
import os
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import zlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "lib"))

import badserver  # noqa: E402
import images  # noqa: E402
import invariants  # noqa: E402
import servers  # noqa: E402
from machine import STORE, UNITS, Machine  # noqa: E402

MIB = 1 << 20
SIZE = 24 * MIB
IN_FLIGHT = 4 * MIB  # per fault: bytes in a process or a socket are sent again
HASHED_AGAIN = 1 * MIB
IDLE = ("serving", "0 of 0 transfers under way")  # `systemctl status` of an idle stage
BUILD = os.environ.get("BUILD", "build")
BASE = os.environ["BASE"]
DEB = os.environ.get("DEB")

collect_ignore = [] if DEB else ["test_package.py"]

Blob = collections.namedtuple("Blob", "digest data name")


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


class Gate:
    """A server that sends a blob up to the gate and waits there, so that a test can strike in mid-transfer."""

    def __init__(self, data):
        self.data, self.sent, self.upto = data, 0, 0
        self.changed = threading.Condition()

    def open(self, upto):
        with self.changed:
            self.upto = max(self.upto, upto)
            self.changed.notify_all()

    def __call__(self, x):
        start, end = x.promise(self.data)
        while x.method != "HEAD" and start < end:
            with self.changed:
                self.changed.wait_for(lambda: self.upto > start)
                piece = self.data[start : min(end, self.upto, start + MIB)]
            x.body(piece)
            start += len(piece)
            with self.changed:
                self.sent += len(piece)


def one_stream(machine):
    """No ranges, because the bytes in flight when they take over are sent again and blur the counts."""
    unit = UNITS["fetchd"]
    installed = (machine.root / "usr/lib/systemd/system" / unit).read_text()
    start = re.search("^ExecStart=.*", installed, re.MULTILINE)[0]
    machine.write(f"/usr/local/lib/systemd/system/{unit}.d/one-stream.conf", f"[Service]\nExecStart=\n{start} --ranges 1\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)


@pytest.fixture(scope="session")
def booted(area):
    """The machine, set up as in docs/SERVICES.md."""
    made = Machine(area / "machine", BASE)
    for name in ("probe", "attack"):
        made.write(f"/usr/bin/{name}", (TESTS / f"systemd/{name}.py").read_text(), 0o755)
    made.write("/usr/lib/sluice-tests/version.h", (TESTS.parent / "common/base/version.h").read_text())
    for name in ("images", "lockall", "nano", "peers", "servers", "wire"):
        made.write(f"/usr/lib/sluice-tests/{name}.py", (TESTS / f"lib/{name}.py").read_text())
    if not DEB:
        made.install(BUILD)
    made.boot()
    try:
        if DEB:
            made.install_package(DEB)
        else:
            made.set_up()
        one_stream(made)
        for user in ("member", "other-member"):
            made.run("useradd", "--groups", "sluice", user, want=0)
        made.run("useradd", "--groups", "sluice-read", "reader", want=0)
        made.run("useradd", "stranger", want=0)
        yield made
    finally:
        made.stop()


@pytest.fixture
def machine(booted, request):
    """The machine with all three stages serving. Checks its store afterwards."""
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
def blob(request):
    """A new blob for each test; it is also the only layer of an image."""
    data = os.urandom(SIZE)
    return Blob(images.digest_of(data), data, f"image{zlib.crc32(request.node.nodeid.encode()):x}")


class Pull:
    """A pull of a blob through a gate, and its counters."""

    def __init__(self, machine, server, blob):
        self.machine, self.server, self.blob = machine, server, blob
        self.gate = Gate(blob.data)
        layer = {"mediaType": images.LAYER, "digest": blob.digest, "size": len(blob.data)}
        config = images.config_blob()
        server.image(
            blob.name, "1", images.manifest_blob(config, [layer]), images.MANIFEST,
            {blob.digest: [self.gate], images.digest_of(config): [badserver.whole(config)]},
        )
        self.reference = f"{server.address}/{blob.name}:1"
        self.again()

    def again(self):
        self.process = self.machine.sluice_popen("pull", self.reference)

    def wait(self, part):
        """Wait until this part has arrived. No more is sent before the next wait, or end()."""
        size = int(len(self.blob.data) * part)
        self.gate.open(size)
        assert self.machine.box.wait_size(self.blob.digest, size, self.process), f"over before {part:.0%}"

    def resumes(self):
        """The bytes hashed again at each resume of the transfer on this boot, from ingestd's log."""
        entries = self.machine.entries(f"REF={self.blob.digest}")
        found = (re.search(r"(\d+) bytes hashed again", entry["MESSAGE"]) for entry in entries)
        return [int(match[1]) for match in found if match]

    def end(self, sent_again=0, hashed_again=0):
        """Wait for success. At most this many bytes were sent or hashed more than once."""
        size = len(self.blob.data)
        self.gate.open(size)
        self.machine.finish(self.process, want=0)
        assert self.machine.box.blob(self.blob.digest).read_bytes() == self.blob.data
        assert self.reference in self.machine.sluice("images").stdout
        assert 0 <= self.gate.sent - size <= sent_again
        assert sum(self.resumes()) <= hashed_again


@pytest.fixture
def pull(machine, blob):
    with badserver.BadServer() as server:
        made = Pull(machine, server, blob)
        try:
            yield made
        finally:
            made.gate.open(SIZE)
