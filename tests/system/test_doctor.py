# SPDX-License-Identifier: Apache-2.0
"""sluice doctor: a good installation passes, and each check finds its fault."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import nano
import wire
from conftest import boxed
from servers import GUARD_S, wait_for
from stages import CANNOT_CREATE, OK, STAGES, UNAVAILABLE, kill

PING, STATS = 0x13, 0x1A


class Findings:
    def __init__(self, result):
        self.code = result.returncode
        self.all = json.loads(result.stdout)

    def failed(self, state="fail"):
        return {finding["check"] for finding in self.all if finding["state"] == state}

    def text(self, check):
        return " ".join(f["text"] for f in self.all if f["check"] == check and f["state"] != "ok")


def doctor(box, *words):
    findings = Findings(box.run("sluice", "--json", *words, "doctor"))
    assert findings.code == (UNAVAILABLE if findings.failed() else OK)
    for finding in findings.all:
        assert (finding["state"] == "ok") == ("advice" not in finding), "a finding that is not ok has advice"
    return findings


@contextlib.contextmanager
def mounted(path, *options):
    path.mkdir(exist_ok=True)
    made = subprocess.run(["mount", *options, path], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"cannot mount here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_nothing_runs(box):
    findings = doctor(box)
    assert not findings.failed() and not findings.failed("warn")
    assert not box.runtime.exists() and not box.store.exists(), "doctor creates nothing"


def test_good_installation_passes(box):
    with box.up():
        wait_for("the pipes to connect", lambda: not doctor(box).failed())
        text = box.sluice("doctor").stdout
        assert box.sluice("-q", "doctor").stdout == ""
    lines = text.splitlines()
    assert all(line.startswith("ok    ") for line in lines), text
    checks = {line.split()[1] for line in lines}
    assert checks >= {"runtime", "fetchd", "ingestd", "commitd", "pipes", "versions", "served", "clock", "boot", "store",
                      "writing", "space", "programs", "config"}


def test_missing_stage(box):
    running = [box.popen("ingestd"), box.popen("commitd")]
    wait_for("both to serve", lambda: doctor(box).failed() == {"fetchd", "pipes"})
    assert "not running" in doctor(box).text("fetchd")
    assert "'orders'" in doctor(box).text("pipes")
    for process in running:
        process.terminate()


def test_hanging_stage(box):
    with box.up():
        pid = box.stage("commitd")
        os.kill(pid, signal.SIGSTOP)
        assert "does not answer" in doctor(box).text("commitd")
        os.kill(pid, signal.SIGCONT)


def test_second_process_on_a_pipe(box):
    with box.up(), nano.Socket(nano.PUSH).connect(box.runtime / "fetch/chunks"):
        wait_for("two on it", lambda: "2 processes are connected to 'chunks'" in doctor(box).text("pipes"))


def test_directories_open_to_others(box):
    with box.up():
        wait_for("all of it", lambda: not doctor(box).failed())
        box.runtime.chmod(0o757)
        assert "world-writable" in doctor(box).text("runtime")
        box.runtime.chmod(0o750)
        (box.runtime / "fetch").chmod(0o755)
        assert "open to other users" in doctor(box).text("pipes")
        (box.runtime / "fetch").chmod(0o700)
        (box.runtime / "seal").chmod(0o770)
        assert "open to other users" in doctor(box).text("pipes")


def test_leftovers(box):
    with box.up() as up:
        os.kill(up.pid, signal.SIGSTOP)  # so that it neither restarts them nor lets them end in order
        for name in STAGES:
            kill(box.stage(name))
        kill(up.pid)
        up.wait()
        box.gone()
        findings = doctor(box)
        assert findings.failed("warn") == {"leftovers"} and not findings.failed()
    shutil.rmtree(box.runtime)


@pytest.mark.parametrize("name", ["ingestd/ctl", "commitd/ctl", "fetch/chunks", "seal/seals", "ingestd/lock"])
def test_directory_in_the_way(box, name):
    """A stage replaces whatever else is in place of a socket."""
    way = box.runtime / name
    way.mkdir(parents=True)
    for made in (box.runtime, way.parent):
        made.chmod(0o700)
    findings = doctor(box)
    assert findings.failed() == {"leftovers"} and not findings.failed("warn"), findings.all
    assert f"'{way}' is in the way of a stage" in findings.text("leftovers")
    assert box.run(name.split("/")[0].replace("seal", "commitd").replace("fetch", "ingestd")).returncode != OK
    way.rmdir()
    assert not doctor(box).failed()
    if name != "ingestd/lock":
        way.symlink_to("/nowhere")
        with box.up():
            wait_for("the pipes to connect", lambda: not doctor(box).failed())


def test_another_store(box):
    with box.up():
        findings = doctor(box, "--store", box.directory / "other")
        assert "served" in findings.failed()
        assert str(box.store) in findings.text("served")


def test_unreadable_configuration(box):
    box.configure("[fetchd]\nmax_retries = many\n")
    findings = doctor(box)
    assert findings.failed() == {"config"} and "many" in findings.text("config")


def test_programs_of_different_versions(box):
    copies = box.directory / "bin"
    copies.mkdir()
    for program in ("sluice", "ingestd", "commitd"):
        shutil.copy(box.bindir / program, copies)
    (copies / "fetchd").write_text("#!/bin/sh\necho fetchd 0.0.9\n")
    (copies / "fetchd").chmod(0o755)
    box.bindir = copies
    assert "'fetchd 0.0.9'" in doctor(box).text("programs")


def test_no_space_and_no_inodes(box):
    with mounted(box.store, "-t", "tmpfs", "-o", "size=1m,nr_inodes=16", "none"):
        assert {"space", "files"} <= doctor(box).failed()


def test_store_on_two_mounts(box):
    with box.up():
        wait_for("the store", (box.store / "blobs/sha256").exists)
    with mounted(box.store / "blobs", "--bind", box.store / "blobs"):
        assert "store" in doctor(box).failed()


def test_store_on_a_read_only_mount(box):
    with mounted(box.store, "-t", "tmpfs", "none"), box.up():
        assert "writing" not in doctor(box).failed()
        subprocess.run(["mount", "-o", "remount,ro", box.store], check=True)
        text = doctor(box).text("writing")
        assert "ingestd cannot write" in text and "commitd cannot write" in text
        subprocess.run(["mount", "-o", "remount,rw", box.store], check=True)


def test_read_only_store_while_nothing_runs(box):
    with mounted(box.store, "-t", "tmpfs", "none"):
        with box.up():
            wait_for("the store", (box.store / "blobs/sha256").exists)
        assert "writing" not in doctor(box).failed()
        subprocess.run(["mount", "-o", "remount,ro", box.store], check=True)
        assert "read-only" in doctor(box).text("writing")


@pytest.fixture
def open_box(request):
    """Programs and a store that every user can reach, wherever the real ones are."""
    for box in boxed(request, pathlib.Path(tempfile.mkdtemp(prefix="slt-", dir="/tmp"))):
        box.directory.chmod(0o755)
        box.bindir = pathlib.Path(shutil.copytree(box.bindir, box.directory / "bin"))
        for path in (box.bindir, *box.bindir.iterdir()):
            path.chmod(0o755)
        yield box


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user_outside_the_group(open_box):
    box = open_box
    outsider = {"env": box.environment, "cwd": "/", "capture_output": True, "text": True, "user": 65534, "group": 65534,
                "extra_groups": []}
    with box.up():
        os.chown(box.runtime, 0, 12)
        box.runtime.chmod(0o750)
        said = subprocess.run([box.bindir / "sluice", "--json", "doctor"], **outsider)
        fetch = subprocess.run([box.bindir / "sluice", "fetch", "http://localhost:1/x"], **outsider)
    findings = {f["check"]: f for f in json.loads(said.stdout)}
    assert findings["runtime"]["state"] == "fail" and "adduser" in findings["runtime"]["advice"]
    assert said.returncode == UNAVAILABLE
    assert "stages" not in findings, "this user cannot see whether they run"
    assert fetch.returncode == CANNOT_CREATE and "sluice doctor" in fetch.stderr


class Impostor:
    """A faulty stage on ingestd's ctl socket."""

    def __init__(self, box, version=wire.RELEASE, talks=wire.VERSION, seconds=None, boot=""):
        (box.runtime / "ingestd").mkdir(parents=True, mode=0o750)
        box.store.mkdir()
        st = os.stat(box.store)
        now = int(seconds if seconds is not None else time.time())
        common = {"incarnation": 7, "started": now, "updated": now, "version": version}
        self.answers = {
            PING: wire.message("PONG", dev=st.st_dev, ino=st.st_ino, boot=boot, text=str(box.store), lowest=talks,
                               highest=talks, **common),
            STATS: wire.message("COUNTS", stage=2, counts=bytes(8 * 200), **common),
        }
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(box.runtime / "ingestd/ctl"))
        self.socket.listen()
        self.socket.settimeout(0.1)

    def serve(self, process):
        """Answer until the command ends."""
        while process.poll() is None:
            with contextlib.suppress(OSError):
                client, _ = self.socket.accept()
                with client:
                    client.settimeout(GUARD_S)
                    while asked := client.recv(1 << 16):
                        client.send(self.answers[asked[3]])


@pytest.mark.parametrize(
    "check, how, words",
    [
        ("versions", {"version": "0.0.9"}, "0.0.9"),
        ("ingestd", {"talks": wire.VERSION + 1}, f"ingestd {wire.RELEASE} speaks protocol {wire.VERSION + 1}, this command"),
        ("clock", {"seconds": 1_000_000_000}, "2001-09-09"),
        ("boot", {"boot": "0" * 32}, "0" * 32),
    ],
)
def test_faulty_stage(box, check, how, words):
    impostor = Impostor(box, **how)
    process = box.popen("sluice", "--json", "doctor")
    impostor.serve(process)
    findings = Findings(box.finish(process))
    assert findings.code == UNAVAILABLE and check in findings.failed()
    assert words in findings.text(check)
    impostor.socket.close()
    shutil.rmtree(box.runtime)
    shutil.rmtree(box.store)
