# SPDX-License-Identifier: Apache-2.0
"""A password and a token in use by a pull are in no argv, environment, log or file of ours."""

import base64
import json
import os
import pathlib
import re
import secrets
import subprocess

import pytest

import badserver
from conftest import BINDIR, credential_helper
from images import digest_of
from servers import wait_for
from stages import OK

DATA = os.urandom(1 << 20)
DIGEST = digest_of(DATA)
HALF = len(DATA) // 2


def places(box):
    """What other users can see of every process, the store, the runtime directory and the log: (place, bytes)."""
    for entry in os.listdir("/proc"):
        for name in ("cmdline", "environ") if entry.isdigit() else ():
            yield pathlib.Path(f"/proc/{entry}/{name}")
    for root in (box.store, box.runtime):
        yield from (path for path in root.rglob("*") if path.is_file())
    if box.up_log.exists():
        yield box.up_log


def exposures(box, *words):
    found = []
    for path in places(box):
        try:
            text = path.read_bytes()
        except OSError:
            continue  # ended, or not ours to read
        found += [f"{word} in {path}" for word in words if word.encode() in text]
    return found


class Watched:
    """A registry that looks for secrets before each answer."""

    def __init__(self, box, bad):
        self.box, self.bad, self.seen, self.looks = box, bad, [], 0
        self.password, self.tokens = secrets.token_hex(12), [secrets.token_hex(12) for _ in range(2)]
        self.basic = base64.b64encode(f"tester:{self.password}".encode()).decode()
        self.made = 0
        bad.on("/token", self.give_token)
        bad.on("/file", self.give)

    def look(self):
        self.looks += 1
        self.seen += exposures(self.box, self.password, self.basic, *self.tokens)

    def give_token(self, x):
        self.look()
        assert x.headers["Authorization"] == f"Basic {self.basic}"
        self.made += 1
        x.answer(200, json.dumps({"token": self.tokens[self.made - 1], "expires_in": 300}).encode())

    def give(self, x):
        self.look()
        good = self.tokens[1] if x.start is not None else self.tokens[0]
        if x.headers.get("Authorization") != f"Bearer {good}":
            x.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{self.bad.url("/token")}",service="tests"'})
        elif x.start is None:
            badserver.cut_short(DATA, HALF)(x)
        else:
            badserver.whole(DATA)(x)


def by_file(box, bad, watched, _):
    path = box.directory / "auth.json"
    path.write_text(json.dumps({"auths": {bad.address: {"auth": watched.basic}}}))
    return path


def by_helper(box, bad, watched, monkeypatch):
    script = f'#!/bin/sh\necho \'{{"Username":"tester","Secret":"{watched.password}"}}\'\n'
    credential_helper(monkeypatch, box.directory / "helpers/docker-credential-tests", script)
    path = box.directory / "auth.json"
    path.write_text(json.dumps({"credHelpers": {bad.address: "tests"}}))
    return path


def by_creds(box, bad, watched, _):
    return "--creds", f"tester:{watched.password}"


def by_creds_in_one_word(box, bad, watched, _):
    return (f"--creds=tester:{watched.password}",)


def by_authfile(box, bad, watched, _):
    return "--authfile", by_file(box, bad, watched, _)


@pytest.mark.parametrize("tell", [by_file, by_helper, by_creds, by_creds_in_one_word, by_authfile])
def test_secrets_stay_secret(box, bad, monkeypatch, tell):
    """However they come, by configuration or by options of a command."""
    watched = Watched(box, bad)
    path = tell(box, bad, watched, monkeypatch)
    is_option = isinstance(path, tuple)
    box.configure("[fetchd]\nretry_delay = 2ms\n" + ("" if is_option else f"auth_file = {path}\n"))
    with box.up("-v"):
        box.run("sluice", "fetch", bad.url("/file"), "--digest", DIGEST, *(path if is_option else ()), want=OK)
        watched.look()
    assert watched.made == 2 and watched.looks == 7, "a token, a new one in the middle, and a look at each of them"
    assert not watched.seen, watched.seen
    assert not exposures(box, watched.password, watched.basic, *watched.tokens)
    assert DIGEST in box.logs(), "the log must say something"


@pytest.mark.parametrize("where", ["argv", "environment", "store", "log"])
def test_search_finds_planted_secrets(box, where):
    """Every place that is searched can fail the test above."""
    word = secrets.token_hex(12)
    box.store.mkdir()
    process = None
    if where == "store":
        (box.store / "x").write_text(word)
    elif where == "log":
        box.up_log.write_text(word)
    else:
        words, more = (["cat", "-", word], {}) if where == "argv" else (["cat"], {"X": word})
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **more}, bufsize=0)
        process.stdin.write(b"!")
        assert process.stdout.read(1) == b"!", "exec has returned, so /proc shows the new arguments"
    try:
        assert exposures(box, word)
    finally:
        if process:
            process.communicate()
        for path in (box.store / "x", box.up_log):
            path.unlink(missing_ok=True)
        box.store.rmdir()


PEEKS = {
    "environment": "open('/proc/{0}/environ', 'rb').read()",
    "memory": "open('/proc/{0}/mem', 'rb')",
    "descriptors": "__import__('os').listdir('/proc/{0}/fd')",
    "ptrace": "c = __import__('ctypes'); r = c.CDLL(None, use_errno=True).ptrace(16, {0}, 0, 0); "
              "assert r == 0, c.get_errno(); __import__('os').kill({0}, 18)",
}


def test_other_processes_of_the_user_cannot_look_into_fetchd(box, bad):
    """A process of the same user can look into an ordinary process, and not into fetchd."""
    if os.geteuid():
        pytest.skip("needs root, to become another user")
    box.directory.chmod(0o755)
    box.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    bad.on("/blob", badserver.silent())
    fetchd = box.popen("fetchd", "get", "--raw", bad.url("/blob"))
    wait_for("the request", lambda: bad.requests)
    other = box.popen("/bin/sleep", "60")
    wait_for("sleep to run as that user", lambda: os.stat(f"/proc/{other.pid}/mem").st_uid == 65534)

    def sees(peek, pid):
        return subprocess.run([*box.prefix, "/usr/bin/python3", "-c", peek.format(pid)], capture_output=True).returncode == 0

    for name, peek in PEEKS.items():
        assert sees(peek, other.pid), name
        assert not sees(peek, fetchd.pid), name
    limits = pathlib.Path(f"/proc/{fetchd.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    other.kill()
    fetchd.kill()


def copies(pid, word):
    """How often the word is in the memory of a process."""
    count = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last = (int(number, 16) for number in line.split()[0].split("-"))
            if line.split()[1].startswith("rw"):
                memory.seek(first)
                count += memory.read(last - first).count(word.encode())
    return count


def test_authorization_of_a_command_is_wiped(box, bad):
    """No request header with it is left in the memory of fetchd, nor in what libcurl has freed; malloc overwrites 16 bytes of that."""
    if os.geteuid() or "/san/" in f"{BINDIR}/" or "/tsan/" in f"{BINDIR}/":
        pytest.skip("needs root, to look into fetchd, and programs without a sanitizer's memory")
    password = secrets.token_hex(16)
    basic = "Basic " + base64.b64encode(f"tester:{password}".encode()).decode()
    bad.on("/blob", badserver.status(401, {"WWW-Authenticate": 'Basic realm="x"'}), badserver.cut_short(DATA, HALF), badserver.whole(DATA))
    box.configure("[fetchd]\nretry_delay = 1ms\n")
    with box.up():
        box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, "--creds", f"tester:{password}", want=OK)
        assert bad.requests[-1].headers["Authorization"] == basic
        fetchd = box.stage("fetchd")
        wait_for("the credentials to be wiped", lambda: not copies(fetchd, basic[1:]), pause_s=0.1)
