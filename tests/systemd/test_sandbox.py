# SPDX-License-Identifier: Apache-2.0
"""What each unit may do, tried from inside: the installed unit runs probe.py in place of its program."""

import ctypes
import json
import subprocess

import pytest

from conftest import IN_FLIGHT
from images import Pusher
from machine import RUNTIME, STORE, UNITS
from servers import wait_for

REFUSED = {"EACCES", "EPERM", "EROFS"}
HIDDEN = {"ENOENT", *REFUSED}
ABSENT_FAMILY = {"EAFNOSUPPORT", *REFUSED}

# of every stage
NEVER = {
    "open a packet socket": ABSENT_FAMILY,
    "open a netlink socket": ABSENT_FAMILY,
    "write below blobs": HIDDEN,
    "write in /usr": REFUSED,
    "write in /etc": REFUSED,
    "write in /var": REFUSED,
    "see the real /tmp": HIDDEN,
    "read /root": REFUSED,
    "read /home": HIDDEN,
    "read /etc/shadow": REFUSED,
    "open a disk": HIDDEN,
    "read a kernel setting": HIDDEN,
    "see other processes": HIDDEN,
    "signal another process": {"ESRCH", *REFUSED},
    "trace another process": {"ESRCH", *REFUSED},
    "become root": REFUSED,
    "hold a capability": REFUSED,
    "give a file away": REFUSED,
    "make a device": REFUSED,
    "change the root": REFUSED,
    "make a namespace": REFUSED,
    "mount": REFUSED,
    "set the clock": REFUSED,
    "set the host name": REFUSED,
    "write to what is executed": REFUSED,
    "make a setuid file": REFUSED,
    "run in real time": REFUSED,
}
NO_NETWORK = {"open an IPv4 socket": ABSENT_FAMILY, "open an IPv6 socket": ABSENT_FAMILY}
OK = {"ok"}
ALLOWED = {"ENOSYS", "EOPNOTSUPP", *OK}  # the kernel may not have it

OF_UNIT = {
    "fetchd": {
        **NEVER,
        "list the store": HIDDEN,
        "read index.json": HIDDEN,
        "write below ingest": HIDDEN,
        "write in the store": HIDDEN,
        "open an IPv4 socket": OK,
        "restrict itself by Landlock": ALLOWED,
    },
    "ingestd": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "write below ingest": OK,
        "write in the store": REFUSED,
        "list commitd's custody": REFUSED,
        "lock the store": REFUSED,
    },
    "commitd": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "write below ingest": OK,  # it takes data from there
        "write below blobs": OK,
        "list commitd's custody": OK,
        "write in the store": OK,
    },
    "pull": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "write below ingest": REFUSED,
        "write in the store": REFUSED,
        "list commitd's custody": REFUSED,
        "lock the store": REFUSED,
        "lock ingest": REFUSED,
    },
}

FETCH = {"connect fetch/orders", "connect fetch/chunks"}
SEAL = {"connect seal/seals", "connect seal/receipts"}
ASK = {"connect ingestd/ctl", "connect commitd/ctl"}
NOTES = {"open fetchd/holder", "open ingestd/holder", "open commitd/holder"}
MARKS = {"open services"}  # which nobody locks

# Everything that each may do in the runtime directory; probe.py defines the words.
MAY = {
    "fetchd": {
        *FETCH, *MARKS, "make fetchd", "open fetchd/lock", "open fetchd/holder", "rename fetchd/lock", "rename fetchd/holder",
    },
    "ingestd": {
        *FETCH, *SEAL, *MARKS, "connect ingestd/ctl", "make ingestd", "make fetch", "open ingestd/lock",
        "open ingestd/holder", "rename ingestd/lock", "rename ingestd/holder", "rename ingestd/ctl", "rename fetch/orders",
        "rename fetch/chunks",
    },
    "commitd": {
        *SEAL, *MARKS, "connect commitd/ctl", "make commitd", "make seal", "open commitd/lock", "open commitd/holder",
        "rename commitd/lock", "rename commitd/holder", "rename commitd/ctl", "rename seal/seals", "rename seal/receipts",
    },
    "member": {*ASK, *NOTES, *MARKS},
    "reader": set(),
    "stranger": set(),
}
MAY["pull"] = MAY["gc"] = MAY["member"]
# with all their groups, and without any sandbox
USERS = {
    "sluice-fetch": "fetchd", "sluice-ingest": "ingestd", "sluice-commit": "commitd", "member": "member",
    "reader": "reader", "stranger": "stranger",
}
FILES = {**UNITS, "pull": "sluice-pull@.service", "gc": "sluice-gc.service"}
OF_UNIT["gc"] = OF_UNIT["pull"]


has_landlock = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


def places(machine):
    """All names in the runtime directory."""
    found = machine.run("find", RUNTIME, "-mindepth", "1", want=0).stdout.split()
    return [RUNTIME, *sorted(found)]


def assert_may(found, machine, who):
    """Assert that exactly these acts succeed, and that others fail with a permission error."""
    outcomes = {
        act.replace(f"{RUNTIME}/", ""): found[act]
        for act in found if RUNTIME in act
    }
    assert len(outcomes) == 2 * len(places(machine))
    wrong = {act: said for act, said in outcomes.items() if said not in (OK if act in MAY[who] else REFUSED)}
    assert not wrong
    assert MAY[who] <= set(outcomes)


def probe_unit(machine, name):
    """The installed unit, except for its program and the watchdog."""
    dropped = ("Type=", "NotifyAccess=", "WatchdogSec=", "Restart", "ExecReload=", "TimeoutStartSec=", "PartOf=")
    other = machine.main_pid("ingestd" if name != "ingestd" else "commitd")
    installed = (machine.root / "usr/lib/systemd/system" / FILES[name]).read_text()
    lines = [
        f"ExecStart=/usr/bin/probe {other} {' '.join(places(machine))}" if line.startswith("ExecStart=") else line
        for line in installed.splitlines() if not line.startswith(dropped)
    ]
    return "\n".join(lines).replace("[Service]", "[Service]\nType=oneshot\nStandardOutput=truncate:/probe.out")


@pytest.mark.parametrize("name", FILES)
def test_sandbox_forbids(machine, name):
    machine.run("sh", "-c", "echo x >/home/secret; touch /tmp/probe-of-the-real-tmp; "
                "test -e /dev/probe-disk || mknod -m 666 /dev/probe-disk c 1 3", want=0)
    machine.write(f"/etc/systemd/system/probe-{name}.service", probe_unit(machine, name))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", f"probe-{name}.service")
    found = json.loads((machine.root / "probe.out").read_text())
    wrong = {act: found[act] for act, wanted in OF_UNIT[name].items() if found[act] not in wanted}
    assert not wrong
    assert_may(found, machine, name)


def test_fetchd_restricts_itself_too(machine):
    """The unit's filter allows the calls for that, whose names @system-service of systemd 252 does not include."""
    started = machine.journal("-u", UNITS["fetchd"], f"_PID={machine.main_pid('fetchd')}")
    assert "fetchd" in started
    assert "system calls are not restricted" not in started
    assert "files are not restricted" not in started or not has_landlock


@pytest.mark.parametrize("user", USERS)
def test_rights_in_the_runtime_directory(machine, user):
    """Not even fetchd's user, with all its groups, can replace a socket of another stage."""
    found = machine.run("probe", 1, *places(machine), user=user, want=0).stdout
    assert_may(json.loads(found), machine, USERS[user])


def pushed(registry, name):
    """A reference of a new image there, and the digest of its layer."""
    pusher = Pusher(registry.address, name)
    layer = pusher.blob_bytes(name.encode())
    pusher.image("1", [layer])
    return f"{registry.address}/{name}:1", layer["digest"]


# What nobody may do who may only read the store.
READER_NEVER = ("write in the store", "write below ingest", "write below blobs", "lock the store", "lock ingest", "list commitd's custody")


def assert_can_only_read(machine, user):
    found = json.loads(machine.run("probe", user=user, want=0).stdout)
    assert found["read index.json"] == found["list the store"] == "ok"
    assert {act: found[act] for act in READER_NEVER} == dict.fromkeys(READER_NEVER, "EACCES")


def test_member_can_only_send_requests(machine, registry):
    """It pulls, lists, names and removes by requests; the store itself it can only read."""
    assert_can_only_read(machine, "member")
    reference, digest = pushed(registry, "members")
    machine.sluice("pull", reference)
    assert machine.box.blob(digest).exists()
    machine.sluice("tag", reference, "members-own:1")
    assert "members-own:1" in machine.sluice("images").stdout
    machine.sluice("rm", "members-own:1")
    assert "members-own:1" not in machine.sluice("images").stdout


def test_member_can_abort_transfers(machine, pull):
    """Its own transfer, and that of another member, as docs/WALLS.md says."""
    for user in ("member", "other-member"):
        pull.wait(0.2)
        machine.sluice("abort", pull.blob.digest, user=user)
        machine.finish(pull.process)
        assert pull.blob.digest not in machine.sluice("status").stdout
        pull.again()
    pull.gate.open(len(pull.blob.data))
    machine.finish(pull.process, want=0)


def test_reader_can_only_read(machine, registry):
    assert_can_only_read(machine, "reader")
    reference, digest = pushed(registry, "readers")
    machine.sluice("pull", reference)
    assert reference in machine.sluice("images", user="reader").stdout
    assert machine.run("cat", f"{STORE}/blobs/{digest.replace(':', '/')}", user="reader", want=0).stdout == "readers"
    for words in (("pull", reference), ("tag", reference, "readers-own:1"), ("rm", reference), ("abort", digest)):
        refused = machine.sluice(*words, user="reader", want=None)
        assert refused.returncode in (73, 77, 78) and "Permission denied" in refused.stderr, (words, refused)
    assert reference in machine.sluice("images").stdout


@pytest.mark.parametrize("user", ["reader", "member", "sluice-fetch"])
def test_locks_of_other_users_stop_no_stage(machine, pull, user):
    """A user locks all that it can open, in the store and in the runtime directory: the stages start and work nevertheless."""
    pull.wait(0.3)
    locker = machine.popen("python3", "/usr/lib/sluice-tests/lockall.py", STORE, RUNTIME, user=user, stdin=subprocess.PIPE)
    assert int(locker.stdout.readline()) >= (0 if user == "sluice-fetch" else 5)
    machine.systemctl("restart", *UNITS.values())
    for unit in UNITS.values():
        wait_for(f"{unit} to serve", lambda unit=unit: machine.is_active(unit))
    pull.end(IN_FLIGHT)
    assert locker.poll() is None


def test_ref_cannot_be_fetched_from_another_source(machine, registry):
    """A member requests evil's content under good's ref: refused, and another member's pull of good gets what good has."""
    good, digest = pushed(registry, "good")
    evil, wrong = pushed(registry, "evil")
    asks = ("import sys; sys.path.insert(0, '/usr/lib/sluice-tests'); import pathlib, peers; "
            f"print(peers.Member(pathlib.Path('{RUNTIME}')).get('manifest://{good}', 'manifest://{evil}'))")
    said = machine.run("python3", "-c", asks, user="other-member", want=0).stdout
    assert "ERROR" in said and f"manifest://{evil}" in said
    machine.sluice("pull", good)
    assert machine.box.blob(digest).exists() and not machine.box.blob(wrong).exists()


def test_stranger_can_do_nothing(machine, registry):
    found = json.loads(machine.run("probe", user="stranger", want=0).stdout)
    for act in ("list the store", "read index.json"):
        assert found[act] == "EACCES", act
    reference, digest = pushed(registry, "strangers")
    refused = machine.sluice("pull", reference, user="stranger", want=None)
    assert refused.returncode in (73, 77, 78) and "Permission denied" in refused.stderr
    assert not machine.box.blob(digest).exists()
