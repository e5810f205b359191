# SPDX-License-Identifier: Apache-2.0
"""The units are killed, stopped, stuck, reloaded and rebooted in mid-pull."""

import errno
import itertools
import json
import re

import pytest

from conftest import HASHED_AGAIN, IN_FLIGHT, MIB
from images import Pusher, digest_of
from machine import RUNTIME, STORE, UNITS
from servers import Registry, free_port, wait_for
from stages import STAGES

CHECKPOINT = 64 * MIB  # bytes lost in a power cut: at most one interval


def test_units_are_up(machine):
    assert machine.systemctl("is-system-running").stdout.strip() == "running"
    for unit in UNITS.values():
        # what another test began may be under way
        assert re.fullmatch(r"serving|\d+ of \d+ transfers under way", machine.show(unit, "StatusText"))
    assert machine.systemctl("is-enabled", "sluice.target").stdout.strip() == "enabled"


def test_uninterrupted(pull):
    pull.end()


@pytest.mark.parametrize("victims", [*((name,) for name in STAGES), STAGES], ids="+".join)
def test_killed(machine, pull, victims):
    points = (0.2, 0.5, 0.8)
    for point in points:
        pull.wait(point)
        old = {name: machine.main_pid(name) for name in victims}
        machine.systemctl("kill", "--kill-who=main", "-s", "KILL", *(UNITS[name] for name in victims))
        for name in victims:
            machine.wait_other(name, old[name])
    pull.end(len(points) * IN_FLIGHT, len(points) * HASHED_AGAIN)
    assert len(pull.resumes()) == (len(points) if "ingestd" in victims else 0)


@pytest.mark.parametrize("name", STAGES)
def test_restarted_alone(machine, pull, name):
    """A stop leaves a checkpoint, so nothing is hashed again."""
    others = {other: machine.main_pid(other) for other in STAGES if other != name}
    pull.wait(0.5)
    machine.systemctl("restart", UNITS[name])
    assert others == {other: machine.main_pid(other) for other in others}, "another stage was restarted, too"
    pull.end(IN_FLIGHT)


@pytest.mark.parametrize("order", list(itertools.permutations(STAGES))[1::2], ids="+".join)
def test_all_stopped_and_started_in_another_order(machine, pull, order):
    pull.wait(0.4)
    machine.systemctl("stop", "sluice.target", *UNITS.values())
    size = machine.box.size(pull.blob.digest)
    for name in order:
        machine.systemctl("start", UNITS[name])
        assert machine.is_active(UNITS[name]), "it does not start without the others"
    assert machine.box.size(pull.blob.digest) >= size
    pull.end(IN_FLIGHT)
    machine.systemctl("start", "sluice.target")


def test_command_waits_for_a_unit_that_restarts(machine, pull):
    """A command does not start its own stage while a unit restarts."""
    pull.wait(0.3)
    machine.systemctl("stop", UNITS["ingestd"])
    late = machine.popen("sluice", "pull", pull.reference)  # as root, because this is root's default store
    wait_for("the command to run", lambda: len(machine.run("pidof", "sluice").stdout.split()) == 2)
    refused = machine.run("sluice", "up")
    assert refused.returncode == 78 and "systemctl start sluice.target" in refused.stderr
    assert not machine.run("pidof", "ingestd").stdout
    machine.systemctl("start", UNITS["ingestd"])
    pull.end(IN_FLIGHT)
    machine.finish(late, want=0)


@pytest.mark.parametrize("name", STAGES)
def test_stuck_stage_is_restarted(machine, pull, name):
    """By the watchdog."""
    machine.write(f"/etc/systemd/system/{UNITS[name]}.d/watchdog.conf", "[Service]\nWatchdogSec=1s\n")
    try:
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", UNITS[name])
        pull.wait(0.4)
        old = machine.main_pid(name)
        machine.systemctl("kill", "-s", "STOP", "--kill-who=main", UNITS[name])
        machine.wait_other(name, old)
        assert "Watchdog timeout" in machine.journal("-u", UNITS[name])
        pull.end(2 * IN_FLIGHT, HASHED_AGAIN)
    finally:
        (machine.root / f"etc/systemd/system/{UNITS[name]}.d/watchdog.conf").unlink()
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", UNITS[name])


@pytest.mark.parametrize("name", STAGES)
def test_many_kills_do_not_stop_a_unit(machine, name):
    """systemd's default limit, five starts in ten seconds, must not apply."""
    for _ in range(8):
        machine.kill_unit(name)
    assert int(machine.show(UNITS[name], "NRestarts")) >= 8


def test_gc_timer(machine, pull):
    """Off by default. Enabled, it has a next time, and what it starts removes what an earlier run found unneeded."""
    assert machine.run("systemctl", "is-enabled", "sluice-gc.timer").stdout.strip() == "disabled"
    pull.end()
    machine.sluice("rm", pull.reference)
    machine.sluice("gc", "--grace", "0", "--dry-run")
    machine.systemctl("enable", "--now", "sluice-gc.timer")
    try:
        assert machine.is_active("sluice-gc.timer")
        assert machine.show("sluice-gc.timer", "NextElapseUSecRealtime")
        machine.systemctl("start", "sluice-gc.service")
        assert machine.show("sluice-gc.service", "Result") == "success"
        assert machine.box.blob(pull.blob.digest).exists(), "it has a grace"
        machine.sluice("gc", "--grace", "0")
        assert not machine.box.blob(pull.blob.digest).exists()
    finally:
        machine.systemctl("disable", "--now", "sluice-gc.timer")


def test_reload(machine, pull):
    config = machine.root / "etc/sluice/sluice.conf"
    text = config.read_text()
    pids = {name: machine.main_pid(name) for name in STAGES}
    pull.wait(0.3)
    try:
        machine.write("/etc/sluice/sluice.conf", "[fetchd]\nmax_retries = 3\n")
        machine.systemctl("reload", UNITS["fetchd"])
        wait_for("the new settings", lambda: "configuration reloaded" in machine.journal("-u", UNITS["fetchd"]))
        machine.write("/etc/sluice/sluice.conf", "[fetchd]\nmax_retries = many\n")
        machine.systemctl("reload", UNITS["fetchd"])
        wait_for("a refusal", lambda: "keeping the old configuration" in machine.journal("-u", UNITS["fetchd"]))
        wait_for("fetchd to be active", lambda: machine.is_active(UNITS["fetchd"]))
        assert pids == {name: machine.main_pid(name) for name in STAGES}
    finally:
        config.write_text(text)
        machine.systemctl("reload", UNITS["fetchd"])
    pull.end()


def test_missing_configuration(machine):
    """fetchd's unit names the file, so fetchd does not start without it. doctor says so."""
    config = machine.root / "etc/sluice/sluice.conf"
    text = config.read_text()
    try:
        config.unlink()
        said = machine.run("sluice", "doctor")
        assert "cannot open '/etc/sluice/sluice.conf'" in said.stdout, said.stdout
    finally:
        config.write_text(text)


def test_password_by_load_credential(machine, area):
    with Registry(area / "registry-password", password="open sesame") as private:
        auth = {"auths": {private.address: {"username": "tester", "password": "open sesame"}}}
        pusher = Pusher(private.address, "secret", {"Authorization": "Basic dGVzdGVyOm9wZW4gc2VzYW1l"})
        pusher.image("1", [pusher.blob_bytes(b"for those who know")])
        reference = f"{private.address}/secret:1"
        machine.sluice("pull", reference, want=77)
        machine.write("/etc/credstore/sluice-auth.json", json.dumps(auth), 0o600)
        machine.systemctl("restart", UNITS["fetchd"])
        machine.sluice("pull", reference)
        assert machine.box.blob(digest_of(b"for those who know")).exists()


def test_login_of_a_member(machine, area):
    """It is the member's own: the message names what reads it, and a pull that is told so succeeds with it."""
    with Registry(area / "registry-login", password="open sesame") as private:
        pusher = Pusher(private.address, "own", {"Authorization": "Basic dGVzdGVyOm9wZW4gc2VzYW1l"})
        pusher.image("1", [pusher.blob_bytes(b"for one member")])
        path = "/tmp/login-of-member/auth.json"
        machine.run("install", "-d", "-m", "0700", "/tmp/login-of-member", user="member", want=0)
        log_in = f"echo open sesame | sluice login -u tester --password-stdin --authfile {path} {private.address}"
        places = {"SLUICE_STORE": STORE, "SLUICE_RUNTIME_DIR": RUNTIME}
        said = machine.run("sh", "-c", log_in, user="member", env=places, want=0)
        assert path in said.stdout
        for words in ("the services do not read that file", "--authfile in 'sluice pull'", "/etc/credstore/sluice-auth.json"):
            assert words in said.stderr
        assert machine.run("stat", "-c", "%a %U", path, want=0).stdout.split() == ["600", "member"]
        machine.sluice("pull", "--authfile", path, f"{private.address}/own:1")
        assert machine.box.blob(digest_of(b"for one member")).exists()
        said = machine.run("sh", "-c", log_in.replace("open sesame", "wrong"), user="member", env=places, want=77)
        assert "were refused" in said.stderr
        machine.sluice("logout", "--authfile", path, private.address)


def test_pull_unit_retries_until_the_image_exists(machine, registry, blob):
    """The image is pushed only after the first tries have failed."""
    name = f"{blob.name}-late"
    escaped = machine.run("systemd-escape", f"{registry.address}/{name}:1", want=0).stdout.strip()
    unit = f"sluice-pull@{escaped}.service"
    machine.write(f"/etc/systemd/system/{unit}.d/fast.conf", "[Service]\nRestartSec=200ms\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "--no-block", unit)
    wait_for("two tries to fail", lambda: int(machine.show(unit, "NRestarts")) >= 2)
    pusher = Pusher(registry.address, name)
    pusher.image("1", [pusher.blob_bytes(name.encode())])
    wait_for("the image", lambda: f"/{name}:1" in machine.sluice("images").stdout)
    wait_for("the unit to end", lambda: machine.show(unit, "ActiveState") == "inactive")
    assert machine.show(unit, "Result") == "success"


def test_journal_fields(machine, pull):
    pull.end()
    entries = machine.entries(f"REF={pull.blob.digest}")
    states = [e["MESSAGE"] for e in entries if e["SYSLOG_IDENTIFIER"] == "ingestd"]
    assert any("fetching" in text for text in states) and any("sealed" in text for text in states)
    (named,) = [e for e in entries if e["SYSLOG_IDENTIFIER"] == "commitd"]
    assert named["DIGEST"] == pull.blob.digest and int(named["BYTES"]) == len(pull.blob.data)
    assert named["PRIORITY"] == "6" and named["_SYSTEMD_UNIT"] == UNITS["commitd"]
    fetched = [e for e in entries if e["SYSLOG_IDENTIFIER"] == "fetchd"]
    assert any(e.get("HOST", "").endswith(pull.server.address) for e in fetched)


def test_log_lines_about_a_transfer_have_its_ref(machine, pull):
    pull.wait(0.3)
    machine.sluice("abort", pull.blob.digest)
    pull.gate.open(len(pull.blob.data))
    machine.finish(pull.process)
    named = [(found[1], entry.get("REF")) for entry in machine.entries(f"_SYSTEMD_UNIT={UNITS['ingestd']}")
             if (found := re.search(r"\btransfer '([^']+)'", entry["MESSAGE"]))]
    assert (pull.blob.digest, pull.blob.digest) in named
    assert all(ref == name for name, ref in named)
    assert f"transfer '{pull.blob.digest}' is removed" in machine.journal(f"REF={pull.blob.digest}")


def test_errno_in_the_journal(machine, registry, blob):
    """For a refused connection, and for a directory that is not writable."""
    pusher = Pusher(registry.address, blob.name)
    pusher.image("1", [pusher.blob_bytes(blob.name.encode())])
    blobs = machine.root / STORE.lstrip("/") / "blobs/sha256"
    machine.sluice("pull", f"127.0.0.1:{free_port()}/{blob.name}:1", want=69)
    mode = blobs.stat().st_mode & 0o777
    blobs.chmod(0o555)
    try:
        machine.sluice("pull", f"{registry.address}/{blob.name}:1", want=74)
    finally:
        blobs.chmod(mode)
    for number, stage in ((errno.ECONNREFUSED, "fetchd"), (errno.EACCES, "commitd")):
        entries = machine.entries(f"ERRNO={number}", f"_SYSTEMD_UNIT={UNITS[stage]}")
        assert any(blob.name in entry["REF"] or entry["REF"].startswith("sha256:") for entry in entries)
    machine.sluice("pull", f"{registry.address}/{blob.name}:1")


def test_reboot(machine, pull):
    pull.wait(0.5)
    machine.reboot()
    for unit in UNITS.values():
        wait_for(f"{unit} to serve", lambda unit=unit: machine.is_active(unit))
    size = machine.box.size(pull.blob.digest)
    assert size < 0 or size >= 0.5 * len(pull.blob.data), "the stop left no durable checkpoint"
    pull.again()
    pull.end(IN_FLIGHT)


def test_power_cut(machine, pull):
    pull.wait(0.6)
    machine.cut_power()
    machine.boot()
    pull.again()
    pull.end(CHECKPOINT, HASHED_AGAIN)
