# SPDX-License-Identifier: Apache-2.0
"""
The worked pipelines of sluice-pipelines(7), as they stand there: each is killed in its middle, one program at a time and
as a whole, and the same line, run again, resumes at the very byte and ends with the content stored.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess

import pytest

from badserver import in_parts, whole
from conftest import BINDIR, MIB, TESTS
from images import digest_of
from servers import free_port, wait_for
from stages import STAGES, kill

PAGE = TESTS.parent / "man/sluice-pipelines.7"
PART = 1 * MIB
DATA = os.urandom(7 * PART)
DIGEST = digest_of(DATA)


def text_of(lines):
    """What a reader of the page sees of an example."""
    return "\n".join(lines).replace("\\-", "-")


def pipelines():
    """{title: lines} of each example."""
    found, title, lines = {}, None, None
    for line in PAGE.read_text().splitlines():
        if line.startswith((".SS ", ".SH ")):
            title = line[4:]
        elif line == ".EX":
            lines = []
        elif line == ".EE":
            found[title] = text_of(lines)
            lines = None
        elif lines is not None:
            lines.append(line)
    return found


PIPELINES = pipelines()


def start_sshd(place):
    """On a port that was free when it was picked. None: somebody else was there first."""
    port = free_port()
    (place / "known").write_text(f"[127.0.0.1]:{port} {(place / 'host.pub').read_text()}")
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nAcceptEnv SLUICE_*\nSetEnv PATH={BINDIR}:/usr/bin:/bin\n"
    )
    (place / "ssh_config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {place}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {place}/known\n  StrictHostKeyChecking yes\n  SendEnv SLUICE_*\n"
    )
    with open(place / "log", "wb") as log:
        daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"], stderr=log)

    def decided():
        return daemon.poll() is not None or b"Server listening" in (place / "log").read_bytes()

    wait_for("sshd to listen", decided)
    return daemon if daemon.poll() is None else None


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """A directory with an `ssh` that reaches the host `there`, which is a real sshd on loopback, with keys of its own."""
    place = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "authorized").write_text((place / "user.pub").read_text())
    (place / "bin").mkdir()
    (place / "bin/ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {place}/ssh_config "$@"\n')
    (place / "bin/ssh").chmod(0o755)
    if os.geteuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, and makes it only as a service
    daemon = next(filter(None, (start_sshd(place) for _ in range(5))), None)
    assert daemon, (place / "log").read_text()
    try:
        def reachable():
            assert daemon.poll() is None, (place / "log").read_text()
            return subprocess.run([place / "bin/ssh", "there", "true"], capture_output=True).returncode == 0

        wait_for("sshd to let us in", reachable, pause_s=0.1)
        yield place / "bin"
    finally:
        daemon.terminate()
        daemon.wait()


class Hand:
    """What a user of pipelines has: variables, two stores, a USB stick, another host."""

    def __init__(self, box, bad, ssh):
        self.box, self.bad = box, bad
        self.place = box.directory / "hand"
        self.stick = self.place / "stick"
        self.stick.mkdir(parents=True)
        self.one, self.two = self.place / "one", self.place / "two"
        box.configure("[fetchd]\nstall_timeout = 1h\n")
        self.env = {
            **box.environment, "PATH": f"{ssh}:{BINDIR}:/usr/bin:/bin", "D": DIGEST, "HOST": "there",
            "URL": bad.url("/file"), "STICK": str(self.stick), "ONE": str(self.one), "TWO": str(self.two),
        }

    def start(self, title):
        return subprocess.Popen(
            ["bash", "-c", f"set -o pipefail\n{PIPELINES[title]}"], env=self.env, cwd=self.place,
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def run(self, title):
        line = self.start(title)
        _, err = line.communicate(timeout=120)
        assert line.returncode == 0, err

    def stores(self, title):
        """Where it has to be in the end."""
        if title == "From one store to another":
            return [self.two]
        named = [store for name, store in (("$ONE", self.one), ("$TWO", self.two)) if f'--store "{name}"' in PIPELINES[title]]
        return named or ([] if ">>" in PIPELINES[title] else [self.box.store])

    def arrived(self, title):
        """How much is there, in whichever place has least of it."""
        places = [store / "ingest" / hashlib.sha256(DIGEST.encode()).hexdigest() / "data" for store in self.stores(title)]
        return min(path.stat().st_size if path.exists() else 0 for path in places or [self.stick / "file"])

    def starts(self):
        """From which byte each request so far asked."""
        return [int(re.sub(r"bytes=(\d+)-.*", r"\1", request.range) or 0) for request in self.bad.asked("/file")]


@pytest.fixture
def hand(box, bad, ssh):
    return Hand(box, bad, ssh)


def kill_in_the_middle(hand, title, names):
    """Start it, and when all that the server sent has arrived, kill -9 its programs of these names, then the rest."""
    asked = len(hand.starts())
    line = hand.start(title)
    wait_for(f"{title} to ask", lambda: len(hand.starts()) > asked)
    wait_for(f"{title} to get a part", lambda: hand.arrived(title) >= hand.starts()[-1] + PART)
    wait_for(f"{names} to run", lambda: set(hand.box.pids(*names).values()) == set(names))  # the last may still have to
    victims = hand.box.pids(*names)
    kill(next(iter(victims)))
    for pid in victims:  # those that did not end with it
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.killpg(line.pid, signal.SIGKILL)
    line.communicate()
    wait_for("all of it to end", hand.box.none_left)  # on the other host, too


NETWORK = [title for title in PIPELINES if '"$URL"' in PIPELINES[title] or "'$URL'" in PIPELINES[title]]


@pytest.mark.parametrize("title", NETWORK)
def test_killed_and_run_again(hand, title):
    pipeline = PIPELINES[title].partition("\ncommitd commit")[0]  # without a line of its own, behind it
    victims = [name for name in STAGES if name in pipeline]
    hand.bad.on("/file", *[in_parts(DATA, PART)] * (len(victims) + 1), whole(DATA))
    for name in victims:
        kill_in_the_middle(hand, title, [name])
    kill_in_the_middle(hand, title, victims)
    hand.run(title)
    check_stored(hand, title)
    goes_on = title != "With another downloader"
    assert hand.starts() == [PART * i if goes_on else 0 for i in range(len(victims) + 2)]


@pytest.mark.parametrize("title", [title for title in PIPELINES if title not in NETWORK])
def test_without_a_network(hand, title):
    """What these read is there: it is cut short, in place of a kill."""
    hand.bad.on("/file", whole(DATA))
    stick = hand.stick / "file"
    stick.write_bytes(DATA[:PART])
    if title == "From one store to another":
        hand.run("Into two stores at once")
        shutil.rmtree(hand.two)
    else:
        line = hand.start(title)
        line.communicate(timeout=120)
        assert line.returncode != 0 and hand.arrived(title) == PART
        stick.write_bytes(DATA)
    hand.run(title)
    check_stored(hand, title)


def check_stored(hand, title):
    for store in hand.stores(title):
        blob = store / "blobs/sha256" / DIGEST[7:]
        assert blob.read_bytes() == DATA
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444
        assert not [path for path in (store / "ingest").iterdir() if path.name != "lock"]
    if ">>" in PIPELINES[title]:
        assert (hand.stick / "file").read_bytes() == DATA


def test_the_page_has_them():
    assert len(NETWORK) >= 7 and len(PIPELINES) >= 9
    assert {"ssh", "pv", "tee", "curl"} <= set(re.findall(r"\w+", " ".join(PIPELINES.values())))
