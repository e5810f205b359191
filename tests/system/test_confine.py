# SPDX-License-Identifier: Apache-2.0
"""
fetchd restricts itself, without a unit's help: what somebody who took it over cannot open, change or run (tests/lib/intruder.c
tries, from within), what it must still be able to do, and its keeper, which looks up credentials for it.
"""

import base64
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

import badserver
from conftest import BINDIR, TESTS, credential_helper
from images import digest_of
from servers import wait_for
from stages import AGAIN, KEEPER, OK, UNAVAILABLE, alive, catches, kill, one_line

DATA = b"behind a password"
DIGEST = digest_of(DATA)
SECRET = "canary-secret"
BASIC = base64.b64encode(f"tester:{SECRET}".encode()).decode()
QUICK = "[fetchd]\nretry_delay = 2ms\n"
CREATE_RULESET, VERSION = 444, 1

is_sanitized = "/san/" in f"{BINDIR}/" or "/tsan/" in f"{BINDIR}/"  # sanitizers need files themselves
has_landlock = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION) > 0


def credentials(*hosts):
    return json.dumps({"auths": {host: {"auth": BASIC} for host in hosts}})


def guarded(x):
    if x.headers.get("Authorization") == f"Basic {BASIC}":
        badserver.whole(DATA)(x)
    else:
        x.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})


def fetch(box, server, want=OK, path="/blob"):
    return box.run("sluice", "fetch", server.url(path), "--digest", DIGEST, want=want)


def reload(box, told):
    fetchd = box.stage("fetchd")
    wait_for("fetchd to listen to signals", lambda: catches(fetchd, signal.SIGHUP))
    before = box.logs().count(told)
    os.kill(fetchd, signal.SIGHUP)
    wait_for(f"fetchd to say '{told}'", lambda: box.logs().count(told) > before)


# ── files and programs ──


@pytest.fixture(scope="module")
def intruder(tmp_path_factory):
    library = tmp_path_factory.mktemp("intruder") / "intruder.so"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-o", library, TESTS / "lib/intruder.c"], check=True)
    return library


class Intrusion:
    """What is tried in a fetchd that has connected to a server, and what comes of it."""

    def __init__(self, box, library, monkeypatch):
        self.box, self.directory = box, box.directory / "intruder"
        self.directory.mkdir()
        self.home = box.directory / "home"
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh/id_ed25519").write_text(SECRET)
        self.auth = box.directory / "auth.json"
        self.auth.write_text("{}")
        box.configure(f"{QUICK}auth_file = {self.auth}\n")
        self.new = self.directory / "new"
        self.old = self.directory / "old"
        self.old.write_text("")
        self.acts, self.report = self.directory / "acts", self.directory / "report"
        self.allowed = [("read", "/etc/hostname"), ("list", "/etc"), ("list", "/usr"), ("read", box.config),
                        ("list", box.config.parent), ("read", "/dev/urandom")]
        self.others = [("connect", self.directory / "agent"), ("signal", os.getpid())]  # of the same user
        self.agent = socket.socket(socket.AF_UNIX)
        self.agent.bind(str(self.others[0][1]))
        self.agent.listen()
        self.forbidden = [
            ("list", "/"), ("list", self.home), ("list", self.home / ".ssh"), ("read", self.home / ".ssh/id_ed25519"),
            ("read", self.auth), ("list", box.directory), ("list", "/proc"), ("read", f"/proc/{os.getpid()}/environ"),
            ("write", self.old), ("write", box.config), ("make", self.new), ("remove", self.old),
            ("mkdir", self.directory / "inner"), ("link", self.directory / "symlink"), ("make", f"/dev/shm/slt-intruder-{os.getpid()}"),
            ("mkdir", box.config.parent / "inner"), ("write", "/dev/null"),
        ]
        for name, value in {"HOME": self.home, "LD_PRELOAD": library, "INTRUDER_ACTS": self.acts,
                            "INTRUDER_REPORT": self.report}.items():
            monkeypatch.setenv(name, str(value))
        for name in ("XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name, raising=False)

        # Not by Landlock, which does not know of most of them.
        changes = [(verb, self.old) for verb in ("truncate", "chmod", "chown", "touch", "xattr")]
        self.filtered = {("execute", "/bin/true"): "EPERM", ("type", "x"): "EPERM", ("clone", "mount"): "EPERM",
                         ("clone", "user"): "EPERM", ("clone", "user3"): "ENOSYS", ("chmod-open", str(box.config)): "EPERM",
                         **{(verb, str(path)): "EPERM" for verb, path in changes}}

    def plan(self, *more):
        self.forbidden += more
        acts = [*self.allowed, *self.others, *self.filtered, *self.forbidden]
        self.acts.write_text("".join(f"{verb} {path}\n" for verb, path in acts))

    def outcomes(self):
        """{(verb, path): error}"""
        wait_for("the report", lambda: self.report.exists() and self.report.read_text().endswith("end\n"))
        lines = [line.split() for line in self.report.read_text().splitlines()[:-1]]
        return {(verb, path): errno.errorcode.get(int(number), "ok") for verb, path, number in lines}

    def check_confined(self):
        """But there is no wall between it and other processes of its user."""
        found = self.outcomes()
        self.agent.close()
        assert {act: found[act] for act in self.filtered} == self.filtered
        for acts, outcome in (([*self.allowed, *self.others], "ok"), (self.forbidden, "EACCES")):
            assert {act: found[act[0], str(act[1])] for act in acts} == dict.fromkeys(acts, outcome)


@pytest.fixture
def intrusion(box, intruder, monkeypatch):
    if is_sanitized:
        pytest.skip("a sanitizer must be the first library, and its programs do not restrict files")
    return Intrusion(box, intruder, monkeypatch)


needs_landlock = pytest.mark.skipif(not has_landlock, reason="the kernel has no Landlock")


@needs_landlock
def test_get_can_read_configuration_and_no_more(box, bad, intrusion):
    bad.on("/blob", badserver.whole(DATA))
    intrusion.plan()
    got = box.run("fetchd", "get", "--raw", bad.url("/blob"), want=OK)
    assert got.raw == DATA
    intrusion.check_confined()


@needs_landlock
def test_daemon_can_read_configuration_and_no_more(box, bad, intrusion):
    """Nor the store, the sockets' directories and the locks."""
    bad.on("/blob", badserver.whole(DATA))
    intrusion.plan(("list", box.store), ("read", box.store / "index.json"), ("list", box.store / "blobs/sha256"),
                   ("list", box.runtime), ("list", box.runtime / "fetch"), ("read", box.runtime / "fetchd/lock"),
                   ("make", box.runtime / "fetchd/new"), ("remove", box.runtime / "fetch/orders"))
    with box.up():
        fetch(box, bad)
        intrusion.check_confined()


@pytest.mark.skipif("EMULATED" in os.environ, reason="qemu-user has no system call filters")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_kernel_without_landlock(box, bad, intrusion, number):
    """All is opened that the user may open; and a line at level info says that files are not restricted."""
    bad.on("/blob", badserver.whole(DATA))
    box.prefix = [TESTS / "lib/without-landlock", str(number)]
    intrusion.plan()
    got = box.run("fetchd", "--log-level", "info", "get", "--raw", bad.url("/blob"), want=OK)
    assert got.raw == DATA
    assert f"files are not restricted by fetchd itself: {os.strerror(number)}" in got.stderr
    found = intrusion.outcomes()
    assert {act: found.pop(act) for act in intrusion.filtered} == intrusion.filtered
    assert set(found.values()) == {"ok"}, found
    intrusion.agent.close()
    pathlib.Path(f"/dev/shm/slt-intruder-{os.getpid()}").unlink()


# ── a configuration that changes ──


def secured(box, server, *lines, section=""):
    box.configure(f"{QUICK}max_retries = 0\n{section}[registry {server.address}]\n" + "".join(f"{line}\n" for line in lines))


def test_new_files_beside_the_configuration(box, authority):
    """An authority that was not there when fetchd started, and a file in a directory registries.d that was not there."""
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        box.configure(f"{QUICK}max_retries = 0\n")
        with box.up():
            fetch(box, server, want=UNAVAILABLE)
            trusted, registries = box.config.parent / "trusted.pem", box.config.parent / "registries.d"
            shutil.copy(authority.certificate, trusted)
            registries.mkdir()
            (registries / "new.conf").write_text(f"[registry {server.address}]\nca_file = {trusted}\n")
            reload(box, "configuration reloaded")
            fetch(box, server)


@needs_landlock
@pytest.mark.skipif(is_sanitized, reason="with a sanitizer files are not restricted")
def test_new_files_elsewhere_need_a_restart(box, authority):
    """The old configuration is kept, and the log says what to do."""
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        box.configure(f"{QUICK}max_retries = 0\n")
        elsewhere = box.directory / "elsewhere"
        elsewhere.mkdir()
        trusted = elsewhere / "trusted.pem"
        with box.up():
            fetch(box, server, want=UNAVAILABLE)
            shutil.copy(authority.certificate, trusted)
            secured(box, server, f"ca_file = {trusted}")
            reload(box, f"cannot read '{trusted}': Permission denied")
            assert "restart fetchd" in box.logs()
            box.kill_stage("fetchd")
            fetch(box, server)


def test_replaced_files_are_found(box, authority):
    """A configuration and an authority that are replaced by rename, as most tools do."""
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        trusted = box.directory / "certificates/trusted.pem"
        trusted.parent.mkdir()
        trusted.write_bytes(b"")
        secured(box, server, f"ca_file = {trusted}")
        with box.up():
            fetch(box, server, want=UNAVAILABLE)
            for path in (box.config, trusted):
                shutil.copy(authority.certificate if path == trusted else path, f"{path}.new")
                os.rename(f"{path}.new", path)
            reload(box, "configuration reloaded")
            fetch(box, server)


def test_credentials_that_come_later(box, bad, monkeypatch):
    """As after a login with podman: neither the file nor its directory was there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(box.directory / "user"))
    bad.on("/blob", guarded)
    with box.up():
        box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=77)
        path = box.directory / "user/containers/auth.json"
        path.parent.mkdir(parents=True)
        path.write_text(credentials(bad.address))
        fetch(box, bad)


def test_another_file_of_credentials(box, bad, monkeypatch):
    """Named by a configuration that is read again; it names a helper."""
    box.configure(QUICK)
    helper = box.directory / "helpers/docker-credential-late"
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    bad.on("/blob", guarded)
    with box.up():
        box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=77)
        helper.parent.mkdir()
        helper.write_text(f'#!/bin/sh\necho \'{{"Username":"tester","Secret":"{SECRET}"}}\'\n')
        helper.chmod(0o755)
        auth = box.directory / "later.json"
        auth.write_text(json.dumps({"credHelpers": {bad.address: "late"}}))
        box.configure(f"{QUICK}auth_file = {auth}\n")
        reload(box, "configuration reloaded")
        fetch(box, bad)


# ── the keeper ──


@pytest.fixture
def gated(box, bad, monkeypatch):
    """A helper that waits until `gate` is opened and closed for writing."""
    gate, helper = box.directory / "gate", box.directory / "helpers/docker-credential-gated"
    os.mkfifo(gate)
    script = f'#!/bin/sh\ncat {gate}\necho \'{{"Username":"tester","Secret":"{SECRET}"}}\'\n'
    credential_helper(monkeypatch, helper, script)
    auth = box.directory / "auth.json"
    auth.write_text(json.dumps({"credHelpers": {bad.address: "gated"}}))
    box.configure(f"{QUICK}auth_file = {auth}\n")
    bad.on("/blob", guarded)
    return gate


def keeper_of(box):
    return wait_for("the keeper", lambda: next(iter(box.pids(KEEPER)), None))


def gone(pid):
    wait_for(f"process {pid} to end", lambda: not alive(pid))


def test_keeper_killed_while_it_waits_for_a_helper(box, gated, bad):
    """fetchd starts anew, the transfer goes on, and the helper is asked again."""
    with box.up():
        waiting = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        writer = os.open(gated, os.O_WRONLY)  # returns when the helper has opened its end
        fetchd = box.stage("fetchd")
        kill(keeper_of(box))
        gone(fetchd)
        assert f"{KEEPER}, which looks up credentials, was killed" in box.logs()
        os.close(writer)

        def is_over():
            with contextlib.suppress(OSError):  # no helper has opened it yet, or any more
                os.close(os.open(gated, os.O_WRONLY | os.O_NONBLOCK))
            return waiting.poll() is not None

        wait_for("the transfer", is_over)
        box.finish(waiting, want=OK)


def test_idle_keeper_killed(box, bad):
    box.configure(f"{QUICK}auth_file = {box.directory / 'auth.json'}\n")
    (box.directory / "auth.json").write_text(credentials(bad.address))
    bad.on("/blob", guarded)
    with box.up():
        fetchd = box.stage("fetchd")
        kill(keeper_of(box))
        gone(fetchd)
        fetch(box, bad)


def test_keeper_of_get_killed(box, gated, bad):
    fetching = box.popen("fetchd", "get", "--raw", bad.url("/blob"))
    writer = os.open(gated, os.O_WRONLY)
    kill(keeper_of(box))
    one_line(box.finish(fetching, want=AGAIN).stderr, bad.url("/blob"), "was killed")
    os.close(writer)


def test_keeper_ends_with_fetchd(box, bad):
    """However that ends, and not before: neither by what a terminal or a service manager sends to all of them."""
    with box.up():
        for sig in (signal.SIGKILL, signal.SIGTERM):
            fetchd, keeper = box.stage("fetchd"), keeper_of(box)
            wait_for("fetchd to listen to signals", lambda: catches(fetchd, signal.SIGTERM))
            for harmless in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(keeper, harmless)
            kill(fetchd, sig)
            gone(keeper)
            wait_for("another fetchd", lambda: box.serves("fetchd") not in (None, fetchd))
    assert KEEPER not in box.logs()


def test_helper_ends_with_fetchd(box, gated, bad):
    """By SIGTERM: a helper that still waits is ended, too."""
    with box.up():
        waiting = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        writer = os.open(gated, os.O_WRONLY)
        waiting.kill()

    def is_ended():
        try:
            return os.write(writer, b"x") == 0
        except BrokenPipeError:
            return True

    wait_for("the helper to end", is_ended)
    os.close(writer)


def test_stopped_keeper_does_not_wedge_fetchd(box, gated, bad):
    fetching = box.popen("fetchd")
    wait_for("fetchd to serve", lambda: box.serves("fetchd"))
    wait_for("fetchd to listen to signals", lambda: catches(fetching.pid, signal.SIGTERM))
    os.kill(keeper_of(box), signal.SIGSTOP)
    fetching.terminate()
    box.finish(fetching, want=OK)


def test_keeper_holds_nothing_of_fetchds(box):
    """Neither a lock nor an output."""
    if os.geteuid():
        pytest.skip("needs root, to look into fetchd-keeper")
    with box.up():
        keeper = keeper_of(box)
        found = {os.readlink(f"/proc/{keeper}/fd/{fd}") for fd in os.listdir(f"/proc/{keeper}/fd") if fd != "2"}
    assert not [path for path in found if not path.startswith(("socket:", "anon_inode:", "pipe:")) and path != "/dev/null"], found
