# SPDX-License-Identifier: Apache-2.0
"""
The pipelines of sluice-pipelines(7), word for word: each is killed in the middle, one program at a time and as a whole.
Run again, the same line resumes at the exact byte and stores the content.
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

from badserver import in_parts, status, whole
from conftest import BINDIR, MIB, TESTS
from images import digest_of
from servers import free_port, wait_for
from stages import STAGES, kill

PAGE = TESTS.parent / "man/sluice-pipelines.7"
PART = 1 * MIB
DATA = os.urandom(7 * PART)
DIGEST = digest_of(DATA)


def text_of(lines):
    """An example as a reader of the page sees it."""
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
    """On a port that was free when it was chosen. None: another process took it first."""
    port = free_port()
    (place / "known").write_text(f"[127.0.0.1]:{port} {(place / 'host.pub').read_text()}")
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nAcceptEnv SLUICE_*\nSetEnv \"PATH={BINDIR}:/usr/bin:/bin\"\n"
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
    """A directory with an `ssh` that reaches the host `there`: a real sshd on loopback, with its own keys."""
    place = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "authorized").write_text((place / "user.pub").read_text())
    (place / "bin").mkdir()
    (place / "bin/ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {place}/ssh_config "$@"\n')
    (place / "bin/ssh").chmod(0o755)
    if os.geteuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd needs it, and creates it only as a service
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


class User:
    """Variables, two stores, a USB stick and another host, for the pipelines."""

    def __init__(self, box, bad, ssh):
        self.box, self.bad = box, bad
        self.place = box.directory / "user"
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
        """The stores that must have the content at the end."""
        if title == "From one store to another":
            return [self.two]
        named = [store for name, store in (("$ONE", self.one), ("$TWO", self.two)) if f'--store "{name}"' in PIPELINES[title]]
        return named or ([] if ">>" in PIPELINES[title] else [self.box.store])

    def arrived(self, title):
        """Bytes that have arrived, in the place that has least."""
        places = [store / "ingest" / hashlib.sha256(DIGEST.encode()).hexdigest() / "data" for store in self.stores(title)]
        return min(path.stat().st_size if path.exists() else 0 for path in places or [self.stick / "file"])

    def starts(self):
        """The offset of each request so far."""
        return [int(re.sub(r"bytes=(\d+)-.*", r"\1", request.range) or 0) for request in self.bad.asked("/file")]


@pytest.fixture
def user(box, bad, ssh):
    return User(box, bad, ssh)


def kill_in_the_middle(user, title, names):
    """Start it. When all bytes that the server sent have arrived, kill -9 the named programs, then the rest."""
    asked = len(user.starts())
    line = user.start(title)
    wait_for(f"{title} to ask", lambda: len(user.starts()) > asked)
    wait_for(f"{title} to get a part", lambda: user.arrived(title) >= user.starts()[-1] + PART)
    wait_for(f"{names} to run", lambda: set(user.box.pids(*names).values()) == set(names))  # the last may be starting
    victims = user.box.pids(*names)
    kill(next(iter(victims)))
    for pid in victims:  # those that have not ended
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.killpg(line.pid, signal.SIGKILL)
    line.communicate()
    wait_for("all programs to end", user.box.none_left)  # on the other host, too


NETWORK = [title for title in PIPELINES if '"$URL"' in PIPELINES[title] or "'$URL'" in PIPELINES[title]]


@pytest.mark.parametrize("title", NETWORK)
def test_killed_and_run_again(user, title):
    pipeline = PIPELINES[title].partition("\ncommitd commit")[0]  # without the separate line behind it
    victims = [name for name in STAGES if name in pipeline]
    user.bad.on("/file", *[in_parts(DATA, PART)] * (len(victims) + 1), whole(DATA))
    for name in victims:
        kill_in_the_middle(user, title, [name])
    kill_in_the_middle(user, title, victims)
    user.run(title)
    check_stored(user, title)
    resumes = title != "With another downloader"
    assert user.starts() == [PART * i if resumes else 0 for i in range(len(victims) + 2)]


@pytest.mark.parametrize("title", [title for title in PIPELINES if title not in NETWORK])
def test_local_pipeline_resumes(user, title):
    """These read local files, which are cut short in place of a kill."""
    user.bad.on("/file", whole(DATA))
    stick = user.stick / "file"
    stick.write_bytes(DATA[:PART])
    if title == "From one store to another":
        user.run("Into two stores at once")
        shutil.rmtree(user.two)
    else:
        line = user.start(title)
        line.communicate(timeout=120)
        assert line.returncode != 0 and user.arrived(title) == PART
        stick.write_bytes(DATA)
    user.run(title)
    check_stored(user, title)


def check_stored(user, title):
    for store in user.stores(title):
        blob = store / "blobs/sha256" / DIGEST[7:]
        assert blob.read_bytes() == DATA
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444
        assert not [path for path in (store / "ingest").iterdir() if path.name != "lock"]
    if ">>" in PIPELINES[title]:
        assert (user.stick / "file").read_bytes() == DATA


FROM_OFFSET = [title for title in NETWORK if "ingestd offset" in PIPELINES[title] and "fetchd" in PIPELINES[title]]


@pytest.mark.parametrize("title", FROM_OFFSET)
def test_run_again_when_all_is_stored(user, title):
    """Killed after the name was given and before that was printed: the line must be able to succeed."""
    user.bad.on("/file", whole(DATA))
    user.run(title)
    user.run(title)
    check_stored(user, title)


@pytest.mark.parametrize("missing", ["one", "two"])
def test_one_of_two_stores_has_it_already(user, missing):
    """What the stages for one store print must not reach the stages for the other."""
    title = "Into two stores at once"
    user.bad.on("/file", whole(DATA))
    user.run(title)
    shutil.rmtree(getattr(user, missing))
    user.run(title)
    check_stored(user, title)


def test_error_page_is_not_content(user):
    title = "With another downloader"
    user.bad.on("/file", status(503, data=b"try later"), whole(DATA))
    line = user.start(title)
    line.communicate(timeout=120)
    assert line.returncode != 0 and user.arrived(title) == 0
    user.run(title)
    check_stored(user, title)


def test_page_has_the_expected_pipelines():
    assert len(NETWORK) >= 7 and len(PIPELINES) >= 9
    assert {"ssh", "pv", "tee", "curl"} <= set(re.findall(r"\w+", " ".join(PIPELINES.values())))
