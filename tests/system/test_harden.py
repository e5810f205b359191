# SPDX-License-Identifier: Apache-2.0
"""The system call filter of fetchd, without a unit's. A credential helper inherits it and tries the calls."""

import json
import pathlib
import re

import badserver
from conftest import BINDIR, credential_helper
from images import digest_of
from servers import wait_for
from stages import OK

DATA = b"behind a password"

# Harmless if they are allowed. A filter refuses them before they can fail otherwise.
PROBE = """#!/usr/bin/python3
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
room = (ctypes.c_char * 64)()
calls = {
    "ptrace": (0, 0, 0, 0), "process_vm_readv": (0, 0, 0, 0, 0, 0), "mount": (b"none", b"/does/not/exist", b"tmpfs", 0, 0),
    "umount2": (b"/does/not/exist", 0), "chroot": (b"/does/not/exist",), "unshare": (0,), "setns": (-1, 0),
    "name_to_handle_at": (-1, b"", room, room, 0), "personality": (-1,), "ioctl": (-1, ctypes.c_ulong(1 << 32 | 0x5412), room),
}
tried = {name: ctypes.get_errno() if getattr(libc, name)(*words) < 0 else 0 for name, words in calls.items()}
tried["clone3"] = ctypes.get_errno() if libc.syscall(435, room, 0) < 0 else 0
with open(os.environ["PROBED"], "w") as out:
    json.dump(tried, out)
print(json.dumps({"ServerURL": "", "Username": "tester", "Secret": "canary-secret"}))
"""
EPERM, ENOSYS = 1, 38


def test_filter_refuses_system_calls(box, bad, monkeypatch, tmp_path):
    """The helper works nevertheless: it starts, reads and writes files, and its password is used."""
    helper, auth, probed = tmp_path / "docker-credential-probe", tmp_path / "auth.json", tmp_path / "probed"
    auth.write_text(json.dumps({"credHelpers": {bad.address: "probe"}}))
    credential_helper(monkeypatch, helper, PROBE)
    monkeypatch.setenv("PROBED", str(probed))
    box.configure(f"[fetchd]\nauth_file = {auth}\n")
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}), badserver.whole(DATA))
    box.run("sluice", "fetch", bad.url("/blob"), "--digest", digest_of(DATA), want=OK)
    tried = json.loads(probed.read_text())
    assert tried.pop("clone3") == ENOSYS  # so that libraries use clone(2), whose flags can be filtered
    assert tried.pop("personality") != EPERM  # not filtered, so the probe can tell the difference
    if "/san/" in f"{BINDIR}/":  # LeakSanitizer needs it
        tried.pop("ptrace")
    assert set(tried.values()) == {EPERM}, tried


def test_filter_is_active_before_the_first_request(box, bad):
    """Only fetchd has one, because the other programs open no connection."""
    bad.on("/blob", badserver.silent())
    with box.up():
        asking = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", digest_of(DATA))
        wait_for("the request", lambda: bad.requests)
        status = pathlib.Path(f"/proc/{box.stage('fetchd')}/status").read_text()
        assert re.search(r"NoNewPrivs:\s+1\n", status) and re.search(r"Seccomp:\s+2\n", status), status
        asking.kill()
