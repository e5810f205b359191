# SPDX-License-Identifier: Apache-2.0
"""The Debian package on a fresh system: what it sets up, keeps and removes."""

import json

from conftest import DEB, IDLE, IN_FLIGHT
from images import Pusher, digest_of
from machine import RUNTIME, STORE, UNITS
from stages import STAGES
from test_sandbox import USERS, assert_may, places

CONFIG = "/etc/sluice/sluice.conf"

# Users and files of older packages, in which all three stages could write in one directory, and nobody could only read.
FORMER_USERS = """
g sluice-pipes  -
m sluice-fetch  sluice-pipes
m sluice-ingest sluice
m sluice-ingest sluice-pipes
m sluice-commit sluice-pipes
"""
FORMER_FILES = """
d  /run/sluice            2750 root          sluice
a  /run/sluice            -    -             -            - group:sluice-pipes:rwx,mask::rwx
d  /run/sluice/pipes      2770 root          sluice-pipes
f  /run/sluice/pipes/seals 0660 sluice-commit sluice-pipes
f  /run/sluice/ingest.ctl 0660 sluice-ingest sluice
f  /run/sluice/commit.events 0660 sluice-commit sluice
f  /run/sluice/fetchd.lock 0600 sluice-fetch sluice
d  /var/lib/sluice        0750 root          sluice
a  /var/lib/sluice        -    -             -            - user:sluice-ingest:r-x,user:sluice-commit:rwx,mask::rwx
"""


def files_of(machine):
    return [line for line in machine.run("dpkg", "--listfiles", "sluice", want=0).stdout.splitlines() if line]


def in_tree(machine, path):
    return machine.root / path.lstrip("/")


def store_of(machine):
    """All names in the store except transfers, with attributes that show a change."""
    store = in_tree(machine, STORE)
    paths = [path for path in sorted(store.rglob("*")) if path.relative_to(store).parts[0] != "ingest"]
    stats = [(path, path.lstat()) for path in paths]
    return [(path, st.st_ino, st.st_size, st.st_mtime_ns, st.st_uid, st.st_mode) for path, st in stats]


def store_access(machine):
    """The group of the store, and which people may list what is stored."""
    group = machine.run("stat", "--format=%G", STORE, want=0).stdout.strip()
    users = ("member", "reader", "stranger")
    return group, {user for user in users if machine.run("ls", f"{STORE}/blobs/sha256", user=user).returncode == 0}


def pull_small(machine, registry, name):
    content = name.encode()
    pusher = Pusher(registry.address, name)
    pusher.image("1", [pusher.blob_bytes(content)])
    machine.sluice("pull", f"{registry.address}/{name}:1")
    assert machine.box.blob(digest_of(content)).exists()


def test_package_is_installed_and_serves(machine):
    assert machine.run("dpkg", "--verify", "sluice", want=0).stdout == ""
    assert machine.run("dpkg", "--audit", want=0).stdout == ""
    assert machine.systemctl("is-enabled", "sluice.target").stdout.strip() == "enabled"
    assert machine.systemctl("is-system-running").stdout.strip() == "running"
    for unit in UNITS.values():
        assert machine.show(unit, "StatusText") in IDLE


def test_package_upgrade_mid_pull(machine, pull):
    """The stages are restarted and resume from their checkpoint. Local changes of the configuration stay."""
    pids = {name: machine.main_pid(name) for name in STAGES}
    config = in_tree(machine, CONFIG)
    config.write_text(config.read_text() + "# mine\n")
    pull.wait(0.3)
    machine.install_package(DEB)
    for name, old in pids.items():
        machine.wait_other(name, old)
    pull.end(IN_FLIGHT)
    assert len(pull.resumes()) == 1
    assert config.read_text().endswith("# mine\n")


def test_package_upgrade_from_the_old_layout(machine, pull):
    """On a running machine, in mid-pull. The old files are removed, and no user keeps old rights."""
    now = places(machine)
    pids = {name: machine.main_pid(name) for name in STAGES}
    pull.wait(0.3)
    machine.write("/former.users", FORMER_USERS)
    machine.write("/former.files", FORMER_FILES)
    machine.run("systemd-sysusers", "/former.users", want=0)
    machine.run("systemd-tmpfiles", "--create", "/former.files", want=0)
    machine.run("groupdel", "sluice-read", want=0)
    assert store_access(machine) == ("sluice", {"member"})
    open_to_all = json.loads(machine.run("probe", 1, RUNTIME, user="sluice-fetch", want=0).stdout)
    assert open_to_all[f"make {RUNTIME}"] == "ok"
    machine.install_package(DEB)
    for name, old in pids.items():
        machine.wait_other(name, old)
    pull.end(IN_FLIGHT)
    assert len(pull.resumes()) == 1
    assert places(machine) == now
    assert machine.run("getent", "group", "sluice-pipes").stdout == ""
    assert store_access(machine) == ("sluice-read", {"member"})
    machine.run("gpasswd", "--add", "reader", "sluice-read", want=0)
    assert store_access(machine) == ("sluice-read", {"member", "reader"})
    for user, who in USERS.items():
        found = machine.run("probe", 1, *now, user=user, want=0).stdout
        assert_may(json.loads(found), machine, who)


def test_package_removed_purged_and_reinstalled(machine, registry):
    pull_small(machine, registry, "before-removal")
    images = machine.sluice("images").stdout
    files = files_of(machine)
    store = store_of(machine)
    pull_unit = "sluice-pull@127.0.0.1:1-never.service"
    machine.systemctl("start", "--no-block", pull_unit)
    machine.systemctl("stop", "sluice.target")
    machine.systemctl("start", UNITS["ingestd"])

    machine.run("dpkg", "--remove", "sluice", want=0)
    assert machine.run("pidof", *STAGES, "sluice").stdout == ""
    assert machine.systemctl("is-system-running", want=None).stdout.strip() == "running"
    assert not in_tree(machine, "/run/sluice").exists()
    assert in_tree(machine, CONFIG).exists()
    assert [path for path in files if in_tree(machine, path).is_file()] == [CONFIG]
    assert store_of(machine) == store

    machine.run("dpkg", "--purge", "sluice", want=0)
    assert not in_tree(machine, "/etc/sluice").exists()
    assert "sluice" not in machine.run("dpkg", "--get-selections", want=0).stdout
    assert not list(in_tree(machine, "/etc/systemd/system").rglob("sluice*"))
    assert not list(in_tree(machine, "/var/lib/systemd").rglob("*sluice*"))
    assert store_of(machine) == store

    machine.install_package(DEB)
    assert machine.sluice("images").stdout == images
    pull_small(machine, registry, "after-the-purge")
