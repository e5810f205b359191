# SPDX-License-Identifier: Apache-2.0
"""
The walls between the stages, attacked under the real units: attack.py is a fetchd that somebody took over, once in
fetchd's place in its sandbox, once with fetchd's user alone. docs/WALLS.md has the table.
"""

import contextlib
import json
import os
import re

import pytest

import badserver
from conftest import HASHED_AGAIN, IN_FLIGHT
from images import digest_of
from machine import RUNTIME, STORE, UNITS
from servers import wait_for
from stages import AGAIN, BAD_DATA, OK

FETCHD = UNITS["fetchd"]
VICTIMS = ("resolved", "replaced", "renamed", "served")  # what is done to each
EVIL = b"what nobody asked for"
RESTARTS = 3
REPORT = "attack.json"

# A refusal: by permissions, because the sandbox shows something else there, or because it is on another mount there.
REFUSED = {"EACCES", "EPERM", "EROFS", "ENOENT", "ESRCH", "EBUSY", "EXDEV"}

# What says that the stages are systemd's: whoever may enter reads it, and nobody locks it.
ALLOWED = {f"open {RUNTIME}/services", f"lock {RUNTIME}/services"}

AS_UNIT = """[Service]
Type=exec
WatchdogSec=0
Restart=no
ExecStart=
ExecStart={command}
StandardOutput=truncate:/{report}
{more}
"""
AS_USER = """[Unit]
Description=fetchd's user and group, and no sandbox
[Service]
Type=exec
ExecStart=/usr/bin/setpriv --reuid sluice-fetch --regid sluice-fetch --clear-groups {command}
StandardOutput=truncate:/{report}
"""
NO_WALL = f"InaccessiblePaths=\nReadWritePaths={RUNTIME} {STORE}"


class Attack:
    """attack.py at work in fetchd's place."""

    def __init__(self, machine, pull, stored):
        self.machine, self.pull, self.stored = machine, pull, stored
        self.unit = None
        self.victims = [f"{text}-{pull.blob.name}" for text in VICTIMS]  # the store has those of former tests
        for text in self.victims:
            pull.server.on(f"/{text}", badserver.whole(text.encode()))

    def begin(self, how, more=""):
        machine = self.machine
        pids = [machine.main_pid(name) for name in ("ingestd", "commitd")]
        words = ["/usr/bin/attack", *pids, self.pull.blob.digest, self.stored, *self.victims]
        command = " ".join(map(str, words))
        with contextlib.suppress(FileNotFoundError):
            (machine.root / REPORT).unlink()
        if how == "unit":
            self.unit = FETCHD
            machine.write(f"/etc/systemd/system/{FETCHD}.d/zz-attack.conf", AS_UNIT.format(command=command, report=REPORT, more=more))
        else:
            self.unit = "attack.service"
            machine.write(f"/etc/systemd/system/{self.unit}", AS_USER.format(command=command, report=REPORT))
        machine.systemctl("daemon-reload")
        machine.systemctl("stop", FETCHD)
        machine.systemctl("start", self.unit)

    def report(self):
        """One line, whole when it has its end."""
        path = self.machine.root / REPORT
        return json.loads(wait_for("the attack", lambda: path.exists() and re.search(r".*\n", path.read_text()))[0])

    def end(self):
        machine = self.machine
        machine.systemctl("stop", self.unit)
        self.unit = None
        for path in (f"etc/systemd/system/{FETCHD}.d/zz-attack.conf", "etc/systemd/system/attack.service"):
            (machine.root / path).unlink(missing_ok=True)
        machine.systemctl("daemon-reload")

    def ask(self):
        """Somebody wants the victims, by digest."""
        return [self.machine.sluice_popen("fetch", self.pull.server.url(f"/{text}"), "--digest", digest_of(text.encode()))
                for text in self.victims]


@pytest.fixture
def attack(machine, pull):
    """A transfer in mid-way, one that is stored, and the attack to come."""
    pull.server.on("/stored", badserver.whole(b"stored"))
    machine.sluice("fetch", pull.server.url("/stored"), "--digest", digest_of(b"stored"))
    pull.wait(0.3)
    made = Attack(machine, pull, digest_of(b"stored"))
    try:
        yield made
    finally:
        if made.unit:
            made.end()
        machine.systemctl("start", "sluice.target")


@pytest.mark.parametrize("how", ["unit", "user"])
def test_attack(machine, attack, how):
    """Nothing wrong is named, no other transfer ended, and no stage stays down, neither meanwhile nor afterwards."""
    commitd, restarts = machine.main_pid("commitd"), int(machine.show(UNITS["ingestd"], "NRestarts"))
    attack.begin(how)
    *lied, honest = attack.ask()
    report = attack.report()
    assert not report["failure"]
    assert {act: said for act, said in report["acts"].items() if said not in REFUSED and act not in ALLOWED} == {}
    assert report["restarts"] == RESTARTS == int(machine.show(UNITS["ingestd"], "NRestarts")) - restarts
    assert machine.main_pid("commitd") == commitd

    machine.finish(honest, want=OK)
    assert machine.status(attack.pull.blob.digest)["state"] in ("queued", "fetching")
    assert machine.box.blob(attack.stored).read_bytes() == b"stored"
    assert not machine.box.blob(digest_of(EVIL)).exists()
    assert not any(machine.box.blob(digest_of(text.encode())).exists() for text in attack.victims[:-1])

    attack.end()
    machine.systemctl("start", FETCHD)
    assert {machine.finish(process).returncode for process in lied} <= {OK, BAD_DATA, AGAIN}
    for process in attack.ask():
        machine.finish(process, want=OK)
    attack.pull.end(IN_FLIGHT, RESTARTS * HASHED_AGAIN)


def make_hole(machine, place):
    """fetchd's user may write there, and connect to commitd."""
    may = {STORE: "--x", place: "rwx", f"{RUNTIME}/seal/seals": "rw-", f"{RUNTIME}/seal/receipts": "rw-"}
    machine.write("/hole.conf", "".join(f"a+ {path} - - - - user:sluice-fetch:{rights},mask::rwx\n" for path, rights in may.items()))
    machine.run("systemd-tmpfiles", "--create", "/hole.conf", want=0)


def mend_hole(machine):
    """What belongs where the stages meet and to the store, and nothing else."""
    machine.systemctl("stop", "sluice.target", *UNITS.values())
    machine.run("sh", "-c", f"rm -rf {RUNTIME}/* {STORE}/attack* {STORE}/*/attack*", want=0)
    store = machine.root / STORE.lstrip("/")
    for path in (store, store / "ingest"):
        with contextlib.suppress(OSError):  # it has none
            os.removexattr(path, "system.posix_acl_access")
    machine.run("systemd-tmpfiles", "--create", "sluice.conf", want=0)
    machine.systemctl("start", "sluice.target")


@pytest.mark.parametrize("how, place, act", [
    ("unit", f"{RUNTIME}/seal", f"rename {RUNTIME}/seal/seals"),
    ("user", f"{RUNTIME}/seal", f"rename {RUNTIME}/seal/receipts"),
    ("user", f"{RUNTIME}", f"rename {RUNTIME}/seal"),
    ("user", f"{RUNTIME}/commitd", f"rename {RUNTIME}/commitd/ctl"),
    ("user", f"{STORE}/ingest", f"write {STORE}/ingest/attack"),
])
def test_hole_is_used(machine, attack, how, place, act):
    """The same with a wall left out: it gets in there, and whose seals it has passes on what it likes."""
    make_hole(machine, place)
    try:
        attack.begin(how, NO_WALL)
        attack.ask()
        report = attack.report()
        assert report["acts"][act] == "ok"
        assert report["relayed"] or not place.endswith("seal"), report["failure"]
    finally:
        attack.end()
        mend_hole(machine)
