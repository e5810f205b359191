# SPDX-License-Identifier: Apache-2.0
"""Commands other than pull."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess

import pytest

import badserver
import wire
from conftest import BINDIR, settled
from images import Pusher, digest_of
from servers import GUARD_S, wait_for
from stages import CONFIG, NOT_FOUND, OK, STAGES, UNAVAILABLE, USAGE, catches, one_line

CONTENT = b"a layer of text"


@pytest.fixture
def pulled(box, registry):
    """A small image. box.reference is its name, box.manifest the digest of its manifest."""
    pusher = Pusher(registry.address, "small")
    box.manifest = pusher.image("1", [pusher.blob_bytes(CONTENT)])["digest"]
    box.reference = f"{registry.address}/small:1"
    box.sluice("pull", box.reference)
    return box


def names(box):
    return {image["name"]: image["digest"] for image in box.json("images")}


def test_images(pulled):
    assert names(pulled) == {pulled.reference: pulled.manifest}
    assert pulled.reference in pulled.sluice("images").stdout


def test_ls(pulled):
    listed = {blob["digest"]: blob["size"] for blob in pulled.json("ls", "--blobs")}
    assert listed[digest_of(CONTENT)] == len(CONTENT)
    assert set(listed) == {f"sha256:{path.name}" for path in (pulled.store / "blobs/sha256").iterdir()}


def test_cat(pulled):
    assert pulled.sluice("cat", digest_of(CONTENT)).raw == CONTENT
    assert pulled.run("sluice", "cat", digest_of(b"absent")).returncode == NOT_FOUND


def test_tag_and_rm(pulled):
    pulled.sluice("tag", pulled.reference, "mine:2")
    assert names(pulled) == {pulled.reference: pulled.manifest, "mine:2": pulled.manifest}
    pulled.sluice("rm", pulled.reference)
    assert names(pulled) == {"mine:2": pulled.manifest}
    assert pulled.blob(digest_of(CONTENT)).exists(), "only the name is removed"
    assert pulled.run("sluice", "rm", pulled.reference).returncode == NOT_FOUND
    assert pulled.run("sluice", "tag", "nobody:1", "x:1").returncode == NOT_FOUND
    settled(pulled)


def test_index_keeps_entries_of_other_tools(pulled):
    path = pulled.store / "index.json"
    index = json.loads(path.read_bytes())
    index["annotations"] = {"org.example.note": "mine"}
    index["manifests"][0]["annotations"]["org.example.more"] = "too"
    path.write_text(json.dumps(index))
    pulled.sluice("tag", pulled.reference, "mine:2")
    after = json.loads(path.read_bytes())
    assert after["annotations"] == {"org.example.note": "mine"}
    assert any(m["annotations"].get("org.example.more") == "too" for m in after["manifests"])


def test_commands_on_an_empty_store(box):
    for command in ("images", "ls", "ls --blobs", "status"):
        result = box.run("sluice", *command.split())
        assert result.returncode in (OK, NOT_FOUND), f"{command}: {result.stderr}"
    assert not box.store.exists() or not list(box.store.glob("blobs/*/*"))


def test_status_without_commitd(box):
    """Transfers belong to ingestd, so they can be listed while commitd hangs or is down."""
    with box.up():
        os.kill(box.stage("commitd"), signal.SIGSTOP)
        assert box.sluice("status").stdout.startswith("REF")
        assert "no such transfer" in box.run("sluice", "status", "nothing", want=NOT_FOUND).stderr
        os.kill(box.stage("commitd"), signal.SIGCONT)


def test_commands_without_running_stages(box):
    """Commands that need running stages say so, even if a runtime directory is left."""
    assert "ingestd: not running" in box.run("sluice", "stats", want=UNAVAILABLE).stderr
    box.runtime.mkdir(mode=0o750)
    assert "ingestd: not running" in box.run("sluice", "stats", want=UNAVAILABLE).stderr
    events = box.popen("sluice", "events")
    assert b"no stage runs" in events.stderr.readline()
    events.send_signal(signal.SIGTERM)
    box.finish(events)
    box.runtime.rmdir()


def test_json_of_a_pull_is_json(box, registry, pulled):
    for line in pulled.sluice("--json", "pull", pulled.reference).stdout.splitlines():
        json.loads(line)


def test_quiet_pull_prints_only_the_digest(pulled):
    again = pulled.sluice("-q", "pull", pulled.reference)
    assert again.stdout == f"{pulled.manifest}\n" and again.stderr == ""


@pytest.mark.parametrize("program", ["sluice", *STAGES])
def test_help_and_version(box, program):
    told = box.run(program, "--help", want=OK)
    assert program in told.stdout and told.stderr == ""
    assert box.run(program, "--version", want=OK).stdout.strip() == f"{program} {wire.RELEASE}"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("program", STAGES)
def test_stage_stops_cleanly(box, program, sig):
    daemon = box.popen(program)
    wait_for(f"{program} to catch signals", lambda: catches(daemon.pid, sig))
    os.kill(daemon.pid, sig)
    assert box.finish(daemon).returncode == OK


def test_repeated_lines_of_the_log_are_counted(box):
    """A repeated line is written once. The number of repeats is written before the next line, and at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(box.directory / "notify"))
        manager.settimeout(GUARD_S)

        def ready():
            while b"READY=1" not in manager.recv(4096).splitlines():
                pass

        box.prefix = ["env", f"NOTIFY_SOCKET={box.directory}/notify"]
        daemon = box.popen("fetchd")
        ready()
        for text, times in (("", 58), ("[fetchd]\nfoo = 1\n", 2), ("", 1), ("[fetchd]\nfoo = 1\n", 1), ("", 4)):
            box.configure(text)
            for _ in range(times):
                os.kill(daemon.pid, signal.SIGHUP)
                ready()
        daemon.terminate()
        said = box.finish(daemon, want=OK).stderr
    told = [re.match(r"fetchd: (configuration reloaded|keeping the old configuration)", line)[1] for line in said.splitlines()]
    counts = [(re.search(r" \(repeated .*\)$", line) or [""])[0] for line in said.splitlines()]
    read, stay = "configuration reloaded", "keeping the old configuration"
    assert list(zip(told, counts, strict=True)) == [
        (read, ""), (read, " (repeated 57 times)"), (stay, ""), (stay, " (repeated 1 time)"), (read, ""), (stay, ""),
        (read, ""), (read, " (repeated 3 times)"),
    ], said


@pytest.mark.parametrize("program", STAGES)
def test_second_instance_is_refused(box, program):
    with box.up():
        pid = box.serves(program)
        second = box.run(program)
        assert second.returncode == 75
        assert str(pid) in second.stderr


def test_second_up_is_refused(box):
    with box.up():
        second = box.run("sluice", "up")
        assert second.returncode != OK and len(second.stderr.splitlines()) == 1, second.stderr


def test_stages_start_in_any_order(box, registry):
    pusher = Pusher(registry.address, "small")
    pusher.image("1", [pusher.blob_bytes(CONTENT)])
    for order in (STAGES, STAGES[::-1], ("commitd", "fetchd", "ingestd")):
        daemons = []
        for program in order:
            daemons.append(box.popen(program))
            wait_for(f"{program} to serve", lambda program=program: box.serves(program))
        box.sluice("pull", f"{registry.address}/small:1")
        for daemon in daemons:
            wait_for("signals to be caught", lambda: catches(daemon.pid, signal.SIGTERM))
            daemon.terminate()
            assert box.finish(daemon).returncode == OK


def test_pull_to_a_terminal_shows_progress(box, registry, medium):
    """script(1) provides the terminal."""
    command = f"{shlex.quote(str(BINDIR))}/sluice pull {registry.address}/{medium.name}:{medium.tag}"
    shown = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env={**box.environment, "COLUMNS": "80"}, capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    assert shown.returncode == OK, shown.stdout
    assert medium.digest[7:19].encode() in shown.stdout
    settled(box)


def test_fetchd_get_writes_raw_bytes(box, bad):
    data = os.urandom(1 << 20)
    bad.on("/blob", badserver.whole(data))
    assert box.run("fetchd", "get", "--raw", bad.url("/blob"), want=OK).raw == data
    assert box.run("fetchd", "get", "--raw", "--offset", 1000, bad.url("/blob"), want=OK).raw == data[1000:]


def test_unknown_command_is_usage(box):
    assert box.run("sluice", "frobnicate").returncode == USAGE


def chatty(box, fetchd, ingestd=None):
    """Scripts in place of stages; the others are ours."""
    copies = box.directory / "bin"
    copies.mkdir()
    for name in ("sluice", *STAGES):
        shutil.copy(box.bindir / name, copies)
    for name, script in (("fetchd", fetchd), ("ingestd", ingestd)):
        if script:
            (copies / name).unlink()
            (copies / name).write_text(f"#!/bin/sh\n{script}\n")
            (copies / name).chmod(0o755)
    box.bindir = copies


def test_chatty_stage_does_not_hide_the_reason(box):
    """Neither before the stage that fails says why, nor until all have stopped."""
    reason = "cannot open the store: for a reason"
    chatty(box, "while :; do echo 'fetchd: noise' >&2; done", f"yes 'ingestd: noise' | head -n 300000 >&2; echo 'ingestd: {reason}' >&2; exit 78")
    one_line(box.sluice("fetch", "http://127.0.0.1:1/x", want=CONFIG).stderr, reason)
    box.gone()


def test_chatty_stage_does_not_fill_the_disk(box):
    noise = 32 << 20
    chatty(box, f"yes 'fetchd: noise' | head -c {noise} >&2; touch {box.directory}/said; exec sleep 1000")
    command = box.popen("sluice", "fetch", "http://127.0.0.1:1/x")
    wait_for("fetchd to say all of it", (box.directory / "said").exists)
    assert 0 < (box.runtime / "log").stat().st_size <= 1 << 20
    command.terminate()
    box.finish(command)
    wait_for("the supervisor to end", lambda: not box.runtime.exists())


@pytest.mark.parametrize("words, code", [(["fetch"], OK), (["ls"], 74), (["ls", "--blobs"], 74), (["cat"], 74)])
def test_closed_stdout(box, bad, words, code):
    """What is reported is lost with nobody to read it; what a command is for must not be."""
    bad.on("/blob", badserver.whole(CONTENT))
    digest = digest_of(CONTENT)
    if words != ["fetch"]:
        box.sluice("fetch", bad.url("/blob"))
    operands = {"fetch": [bad.url("/blob")], "cat": [digest]}.get(words[0], [])
    closed = shlex.join([str(box.bindir / "sluice"), *words, *operands]) + " >&-"
    done = subprocess.run(["sh", "-c", closed], env=box.environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert box.blob(digest).read_bytes() == CONTENT
