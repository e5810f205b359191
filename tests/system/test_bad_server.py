# SPDX-License-Identifier: Apache-2.0
"""
Every case of badcases.py at all of its places at once: token realm, manifest, blob from its start, rest of a blob.
One set of daemons serves all cases. After each case no content is wrong or lost, no secret has leaked, no descriptor is
left open, and the same command succeeds as soon as the server behaves.
"""

import base64
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import threading

import pytest

import badserver
import invariants
from badcases import CASES, FRESH, HEAD, MANIFEST, PLACES, RESUMED, RETRIES, TOKEN
from conftest import BINDIR, MIB
from images import LAYER, MANIFEST as MANIFEST_TYPE, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import NOT_FOUND, OK, STAGES, Box, alive, memory_peak, one_line

BASIC = "Basic " + base64.b64encode(b"tester:canary-secret").decode()
SIZE, HALF = 48_000, 20_000
STEP = 1000  # bytes of the companion
MEMORY_LIMIT = 8 * MIB
IDLE_CONNECTIONS = 32  # what fetchd keeps open for the next request
SANITIZED = "/san/" in f"{BINDIR}/"

CONFIG_FILE = """
[fetchd]
auth_file = {auth}
max_retries = {retries}
retry_delay = 2ms
[registry {slow}]
stall_timeout = 1s
[registry {good}]
stall_timeout = 1h
min_speed = 0
"""


class Companion:
    """A transfer that is always in progress; it advances by a step at each answer of a bad server."""

    def __init__(self, box, server):
        self.box, self.server = box, server
        self.data = os.urandom(1000 * STEP)
        self.digest = digest_of(self.data)
        self.ending, self.steps, self.go, self.lock = False, 0, threading.Semaphore(0), threading.Lock()
        server.on("/companion", self.behave)
        self.process = box.popen("sluice", "fetch", server.url("/companion"), "--digest", self.digest)

    def behave(self, x):
        x.head(200, {"Content-Length": len(self.data)})
        at = 0
        while not self.ending:
            self.go.acquire()
            x.body(self.data[at : at + STEP])
            at += STEP
        x.body(self.data[at:])

    def step(self):
        """The next bytes of the companion arrive although a bad server is at work."""
        with self.lock:
            self.steps += 1
            self.go.release()
            wait_for("another transfer to go on", lambda: self.box.size(self.digest) >= self.steps * STEP)

    def finish(self):
        self.ending = True
        self.go.release()
        self.box.finish(self.process, want=OK)
        assert len(self.server.asked("/companion")) == 1


def within(number, wanted):
    return number in wanted if isinstance(wanted, range) else number == wanted


Scene = collections.namedtuple("Scene", "path data rest digest other away address command ref")


class Rig:
    def __init__(self, box, servers):
        self.box = box
        self.good, self.bad, self.slow, self.elsewhere = servers
        self.pool = concurrent.futures.ThreadPoolExecutor(len(PLACES))
        auth = box.directory / "auth.json"
        auths = {server.address: {"auth": BASIC.removeprefix("Basic ")} for server in servers}
        auth.write_text(json.dumps({"auths": auths}))
        box.configure(CONFIG_FILE.format(auth=auth, retries=RETRIES, slow=self.slow.address, good=self.good.address))

    def begin(self):
        self.pids = {name: self.box.stage(name) for name in STAGES}
        self.companion = Companion(self.box, self.good)
        self.companion.step()
        for server in (self.bad, self.slow):
            self.log_in(server)
        self.blobs = set()
        self.other = self.descriptors()

    def log_in(self, server):
        """Let fetchd obtain its credentials for plain URLs there, whichever case comes first."""
        data = os.urandom(100)
        server.on("/first", self.locked(badserver.whole(data)))
        self.box.run(*self.fetch(server, data, "/first")[0], want=OK)

    # ── the four places ──

    def scene(self, case, place, number):
        server = self.slow if case.slow else self.bad
        build = {TOKEN: self.at_token, MANIFEST: self.at_manifest, HEAD: self.at_manifest, FRESH: self.at_blob,
                 RESUMED: self.at_rest}[place]
        path, data, rest, command, ref = build(server, number)
        self.elsewhere.on(f"/{number}", badserver.whole(data))
        away, other = self.elsewhere.url(f"/{number}"), digest_of(number.encode())
        if place == HEAD:
            for digest in (digest_of(data), other):
                server.on(f"/v2/app/manifests/{digest}", self.locked(badserver.whole(data)))
        return server, Scene(path, data, rest, digest_of(data), other, away, server.address, command, ref)

    def fetch(self, server, data, path):
        digest = digest_of(data)
        return ["sluice", "fetch", server.url(path), "--digest", digest, "--size", len(data)], digest

    def at_blob(self, server, number):
        data = os.urandom(SIZE)
        path = f"/v2/app/blobs/{number}"
        return path, data, SIZE, *self.fetch(server, data, path)

    def at_rest(self, server, number):
        """An earlier run has left the first part."""
        path, data, _, command, ref = self.at_blob(server, number)
        server.on(path, self.locked(lambda x: x.rest(data, SIZE, send=HALF) if x.start is None else x.answer(404)))
        self.box.run(*command, want=NOT_FOUND)
        assert self.box.size(ref) == HALF
        return path, data, SIZE - HALF, command, ref

    def at_manifest(self, server, number):
        config, layer = config_blob(), os.urandom(1000)
        data = manifest_blob(config, [descriptor(layer, LAYER)])
        for blob in (config, layer):
            server.on(f"/v2/app/blobs/{digest_of(blob)}", self.locked(badserver.whole(blob)))
        reference = f"{server.address}/app:{number}"
        return f"/v2/app/manifests/{number}", data, len(data), ["sluice", "pull", reference], f"manifest://{reference}"

    def at_token(self, server, number):
        token = f"canary-token-{number}"
        data = json.dumps({"token": token}).encode()
        blob = os.urandom(SIZE)
        challenge = f'Bearer realm="{server.url(f"/token/{number}")}",service="tests",scope="repository:app:pull"'
        server.on(f"/guarded/{number}", self.locked(badserver.whole(blob), f"Bearer {token}", challenge))
        return f"/token/{number}", data, len(data), *self.fetch(server, blob, f"/guarded/{number}")

    def locked(self, behave, key=BASIC, challenge='Basic realm="tests"'):
        def answer(x):
            if x.headers.get("Authorization") == key:
                behave(x)
            else:
                x.answer(401, b"", {"WWW-Authenticate": challenge})

        return answer

    # ── a case ──

    def play(self, case, number):
        """Play it at all places and report the failures of all."""
        runs = {}
        for at, place in enumerate(PLACES):
            if place in case.wants:
                runs[place] = self.pool.submit(self.play_at, case, place, f"{number}-{at}")
            if case.alone:
                concurrent.futures.wait(runs.values())
        errors = [f"{place}: {error!r}" for place, run in runs.items() if (error := run.exception())]
        assert not errors, "\n".join(errors)
        self.look()

    def play_at(self, case, place, number):
        server, scene = self.scene(case, place, number)
        want = case.wants[place]
        seen = []

        def behave(x):
            if x.method == "HEAD" and place != HEAD:  # answered correctly, and not counted
                badserver.whole(scene.data)(x)
                return
            seen.append(x)
            if len(seen) == 1:
                self.companion.step()
            if len(seen) > 1 and case.once or x.method != "HEAD" and place == HEAD:
                badserver.whole(scene.data)(x)
            else:
                case.behave(x, scene)

        server.on(scene.path, self.locked(behave))
        result = self.box.run(*scene.command)
        sent, amount = sum(x.sent for x in seen), want.sent(scene)
        said = f"{result.returncode}, {len(seen)} requests, {sent} bytes: {result.stderr}"
        assert result.returncode in want.codes, said
        assert within(len(seen), want.requests), said
        assert within(sent, amount), f"{said} (not {amount} bytes)"
        if result.returncode != OK:
            one_line(result.stderr, server.address, *want.says)
            self.heal(server, scene)
        if place in (FRESH, RESUMED):
            assert self.box.blob(scene.ref).read_bytes() == scene.data

    def heal(self, server, scene):
        """The server behaves now; bytes that are there already are not sent again."""
        seen = []

        def behave(x):
            seen.append(x)
            badserver.whole(scene.data)(x)

        server.on(scene.path, self.locked(behave))
        self.box.run(*scene.command, want=OK)
        assert sum(x.sent for x in seen) <= scene.rest

    # ── what holds after every case ──

    def look(self):
        self.look_at_blobs()
        assert all(alive(pid) for pid in self.pids.values()), "a stage has died"
        wait_for("the number of descriptors to return to what it was", self.has_closed_all, guard_s=30)
        for name, pid in self.pids.items() if not SANITIZED else ():
            assert memory_peak(pid) < MEMORY_LIMIT, f"{name} had {memory_peak(pid) / MIB:.1f} MiB"
        for other in (self.elsewhere, self.good):
            for request in other.requests:
                assert "canary" not in str(request) and BASIC not in str(request)

    def look_at_blobs(self):
        """Check the blobs that are new since the last case. The invariants of the store are checked at the end."""
        for path in self.box.store.glob("blobs/*/*"):
            if path not in self.blobs:
                assert digest_of(path.read_bytes(), path.parent.name).endswith(path.name), path
                self.blobs.add(path)

    def descriptors(self):
        """Open descriptors of each stage, without TCP connections, which have their own limit. Only root sees fetchd's."""
        return {name: self.open_files(pid) for name, pid in self.pids.items() if name != "fetchd" or os.geteuid() == 0}

    def has_closed_all(self):
        """What was open at the beginning may have been about to close."""
        return all(number <= self.other[name] for name, number in self.descriptors().items())

    def open_files(self, pid):
        tcp = set(re.findall(r"(?m)^ *\d+: (?:\S+ +){8}(\d+)", pathlib.Path(f"/proc/{pid}/net/tcp").read_text()))
        kinds = []
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                kinds.append(os.readlink(entry))
        connected = [kind for kind in kinds if kind[8:-1] in tcp]
        assert len(connected) <= IDLE_CONNECTIONS + 1, f"{len(connected)} connections are open"
        return len(kinds) - len(connected)

    def nothing_leaked(self):
        assert "canary" not in self.box.logs()
        for path in [*self.box.runtime.rglob("*"), *self.box.store.glob("ingest/*/*")]:
            if path.is_file():
                assert b"canary" not in path.read_bytes(), path


@pytest.fixture(scope="module")
def rig():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="slt-"))
    box = Box(BINDIR, directory)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(box.kill_everything)
        rig = Rig(box, [stack.enter_context(badserver.BadServer()) for _ in range(4)])
        with box.up():
            rig.begin()
            yield rig
            rig.companion.finish()
        rig.nothing_leaked()
        assert not box.sanitizer_reports(), box.sanitizer_reports()
        problems = invariants.problems_of(box.store, settled=True, runtime=box.runtime)
        assert not problems, "\n".join(problems)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_case(rig, number):
    rig.play(CASES[number], number)
