"""What each unit may do, tried from inside: the installed file with its program replaced by probe.py."""

import json

import pytest

from images import Pusher, digest_of
from machine import UNITS

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
        "connect to a data pipe": OK,
    },
    "ingestd": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "write below ingest": OK,
        "write in the store": REFUSED,
        "connect to a data pipe": OK,
    },
    "commitd": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "write below ingest": OK,  # it takes data from there
        "write below blobs": OK,
        "write in the store": OK,
    },
    "pull": {
        **NEVER, **NO_NETWORK,
        "list the store": OK,
        "connect to a control socket": OK,
        "connect to a data pipe": HIDDEN,
        "write below ingest": REFUSED,
        "write in the store": REFUSED,
        "write in the runtime directory": REFUSED,
    },
}
FILES = {**UNITS, "pull": "sluice-pull@.service"}


def probe_unit(machine, name):
    """The installed unit, but for what it runs and how that is watched."""
    dropped = ("Type=", "NotifyAccess=", "WatchdogSec=", "Restart", "ExecReload=", "TimeoutStartSec=", "PartOf=")
    other = machine.main_pid("ingestd" if name != "ingestd" else "commitd")
    installed = (machine.root / "usr/lib/systemd/system" / FILES[name]).read_text()
    lines = [
        f"ExecStart=/usr/bin/probe {other}" if line.startswith("ExecStart=") else line
        for line in installed.splitlines() if not line.startswith(dropped)
    ]
    return "\n".join(lines).replace("[Service]", "[Service]\nType=oneshot\nStandardOutput=truncate:/probe.out")


@pytest.mark.parametrize("name", FILES)
def test_forbidden(machine, name):
    machine.run("sh", "-c", "echo x >/home/secret; touch /tmp/probe-of-the-real-tmp; "
                "test -e /dev/probe-disk || mknod -m 666 /dev/probe-disk c 1 3", want=0)
    machine.write(f"/etc/systemd/system/probe-{name}.service", probe_unit(machine, name))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", f"probe-{name}.service")
    found = json.loads((machine.root / "probe.out").read_text())
    wrong = {act: found[act] for act, wanted in OF_UNIT[name].items() if found[act] not in wanted}
    assert not wrong


def test_member_may_ask_and_no_more(machine, registry):
    found = json.loads(machine.run("probe", user="member", want=0).stdout)
    assert found["connect to a control socket"] == "ok"
    assert found["read index.json"] == "ok"
    for act in ("connect to a data pipe", "write in the store", "write below ingest", "write below blobs",
                "write in the runtime directory"):
        assert found[act] == "EACCES", act
    pusher = Pusher(registry.address, "members")
    pusher.image("1", [pusher.blob_bytes(b"for members")])
    machine.sluice("pull", f"{registry.address}/members:1")
    assert machine.box.blob(digest_of(b"for members")).exists()


def test_stranger_may_do_nothing(machine, registry):
    found = json.loads(machine.run("probe", user="stranger", want=0).stdout)
    for act in ("connect to a control socket", "connect to a data pipe", "list the store", "read index.json",
                "write in the runtime directory"):
        assert found[act] == "EACCES", act
    pusher = Pusher(registry.address, "strangers")
    pusher.image("1", [pusher.blob_bytes(b"not for strangers")])
    refused = machine.sluice("pull", f"{registry.address}/strangers:1", user="stranger", want=None)
    assert refused.returncode in (73, 77, 78) and "Permission denied" in refused.stderr
    assert not machine.box.blob(digest_of(b"not for strangers")).exists()
