# SPDX-License-Identifier: Apache-2.0
"""What each unit may do, tried from inside: the installed unit runs probe.py in place of its program."""

import json

import pytest

from images import Pusher, digest_of
from machine import RUNTIME, UNITS

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

OF_UNIT = {
    "fetchd": {
        **NEVER,
        "list the store": HIDDEN,
        "read index.json": HIDDEN,
        "write below ingest": HIDDEN,
        "write in the store": HIDDEN,
        "open an IPv4 socket": OK,
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
    "stranger": set(),
}
MAY["pull"] = MAY["member"]
# with all their groups, and without any sandbox
USERS = {
    "sluice-fetch": "fetchd", "sluice-ingest": "ingestd", "sluice-commit": "commitd", "member": "member",
    "stranger": "stranger",
}
FILES = {**UNITS, "pull": "sluice-pull@.service"}


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


@pytest.mark.parametrize("user", USERS)
def test_rights_in_the_runtime_directory(machine, user):
    """Not even fetchd's user, with all its groups, can replace a socket of another stage."""
    found = machine.run("probe", 1, *places(machine), user=user, want=0).stdout
    assert_may(json.loads(found), machine, USERS[user])


def test_member_can_only_send_requests(machine, registry):
    found = json.loads(machine.run("probe", user="member", want=0).stdout)
    assert found["read index.json"] == "ok"
    for act in ("write in the store", "write below ingest", "write below blobs"):
        assert found[act] == "EACCES", act
    pusher = Pusher(registry.address, "members")
    pusher.image("1", [pusher.blob_bytes(b"for members")])
    machine.sluice("pull", f"{registry.address}/members:1")
    assert machine.box.blob(digest_of(b"for members")).exists()


def test_stranger_can_do_nothing(machine, registry):
    found = json.loads(machine.run("probe", user="stranger", want=0).stdout)
    for act in ("list the store", "read index.json"):
        assert found[act] == "EACCES", act
    pusher = Pusher(registry.address, "strangers")
    pusher.image("1", [pusher.blob_bytes(b"not for strangers")])
    refused = machine.sluice("pull", f"{registry.address}/strangers:1", user="stranger", want=None)
    assert refused.returncode in (73, 77, 78) and "Permission denied" in refused.stderr
    assert not machine.box.blob(digest_of(b"not for strangers")).exists()
