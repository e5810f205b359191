#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
A fetchd that somebody took over, run where fetchd runs: with its user and groups and, as the program of its unit, in its
sandbox. It tries all that could make it more than a fetchd:

    attack INGESTD COMMITD BYSTANDER STORED VICTIM VICTIM VICTIM VICTIM

INGESTD and COMMITD are pids. BYSTANDER is a transfer that goes on, STORED a digest that is there already: nobody may do
anything to those. A VICTIM is a text that somebody requests by its digest; the last of them is served as it should be,
after all that was done. The places where the stages meet are tried, and tried again each time that ingestd was made to
restart. Whatever could be taken is used: a seal that comes by is passed on with another digest.

It prints JSON: "acts", what came of each ("ok", or an error's name), "restarts", how often ingestd died of a byte and came
back, "relayed", how many seals were changed, and "failure", what it did not come to. Then it stays until it is ended.
"""

import errno
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, "/usr/lib/sluice-tests")

import nano  # noqa: E402
import wire  # noqa: E402
from images import digest_of  # noqa: E402
from peers import Fetchd  # noqa: E402
from servers import wait_for  # noqa: E402

RUNTIME, STORE = pathlib.Path("/run/sluice"), pathlib.Path("/var/lib/sluice")
OWN = RUNTIME / "fetchd"  # its own directory, in which it may do what it likes
EVIL = b"what nobody asked for"
RESTARTS = 3
SEALS, RECEIPTS = "seal/seals", "seal/receipts"
SOCKETS = ("fetch/orders", "fetch/chunks", SEALS, RECEIPTS, "ingestd/ctl", "commitd/ctl")
FILES = ("services", "ingestd/lock", "ingestd/holder", "commitd/lock", "commitd/holder")
PLAIN = {"services", "lock", "holder"}
DIRECTORIES = (".", "fetch", "seal", "ingestd", "commitd")
STORE_PLACES = ("index.json", "oci-layout", "ingest", "ingest/lock", "commit", "commit/lock", "blobs/sha256")


def bind(path):
    """A socket of ours at that path, which listens as long as we run."""
    held = socket.socket(socket.AF_UNIX)
    held.bind(str(path))
    held.listen()
    return held


def moved(path):
    return path.with_name(f"{path.name}-moved")


def made(path):
    """What differs when it was made anew."""
    status = path.stat()
    return status.st_ino, status.st_ctime_ns


def lock(path):
    """Whoever can open it for reading can lock it. It stays locked."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def write(path):
    with open(path, "wb") as f:
        f.write(EVIL)


def ends_well(*words):
    done = subprocess.run(words, capture_output=True)
    if done.returncode:
        raise OSError(errno.EPERM, "it did not")


class Attack:
    def __init__(self, ingestd, commitd, bystander, stored, *victims):
        self.pids = {"ingestd": int(ingestd), "commitd": int(commitd)}
        self.bystander, self.stored = bystander, stored
        self.victims = {digest_of(text.encode()): text.encode() for text in victims}
        self.acts = {}  # name: what came of it; one that succeeded once has succeeded
        self.held = []  # sockets and locks
        self.taken = {}  # place: the pipe from whoever comes there to the one whose it was, or back
        self.restarts = self.relayed = 0
        self.peer, self.orders = None, {}

    def attempt(self, name, act, *arguments):
        """Whether it succeeded."""
        try:
            self.held.append(act(*arguments))
            outcome = "ok"
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, str(error))
        if self.acts.get(name) != "ok":
            self.acts[name] = outcome
        return outcome == "ok"

    # ── places ──

    def try_directory(self, path):
        inner = path / "attack"
        for name, act, arguments in (
            ("make a file in", write, (inner,)), ("remove", os.unlink, (inner,)),
            ("make a directory in", os.mkdir, (inner,)), ("remove a directory in", os.rmdir, (inner,)),
            ("bind in", bind, (path / "attack.socket",)), ("link into", os.link, (OWN / "mine", path / "attack.link")),
            ("link symbolically into", os.symlink, ("/etc", path / "attack.symlink")),
            ("open up", os.chmod, (path, 0o777)), ("own", os.chown, (path, os.getuid(), -1)), ("remove", os.rmdir, (path,)),
        ):
            self.attempt(f"{name} {path}", act, *arguments)

    def try_file(self, path):
        for name, act, arguments in (
            ("open", open, (path, "rb")), ("write", open, (path, "r+b")), ("lock", lock, (path,)),
            ("open up", os.chmod, (path, 0o777)), ("link", os.link, (path, OWN / "linked")),
        ):
            if path.name in PLAIN or name in ("open up", "link"):  # nobody opens a socket
                self.attempt(f"{name} {path}", act, *arguments)

    def try_to_take(self, place):
        """Put a socket of ours where another stage has its own, in each way that there is."""
        path = RUNTIME / place
        if self.attempt(f"rename {path}", os.rename, path, moved(path)):
            if place == SEALS:
                self.taken[place] = nano.Socket(nano.PULL).bind(path), nano.Socket(nano.PUSH).connect(moved(path))
            if place == RECEIPTS:
                self.taken[place] = nano.Socket(nano.PULL).connect(moved(path)), nano.Socket(nano.PUSH).bind(path)
            if place in self.taken:
                path.chmod(0o666)  # whoever comes is welcome
            return
        if not self.attempt(f"replace {path}", os.rename, OWN / "mine", path):
            self.attempt(f"unlink {path}", os.unlink, path)

    def try_to_move(self, place):
        """A whole directory, and one of ours in its place."""
        path = RUNTIME / place
        if self.attempt(f"rename {path}", os.rename, path, moved(path)):
            os.mkdir(path)

    def take_places(self):
        for place in SOCKETS:
            if not os.path.exists(moved(RUNTIME / place)):
                self.try_to_take(place)
        for place in DIRECTORIES[1:]:
            if not os.path.exists(moved(RUNTIME / place)):
                self.try_to_move(place)

    def try_places(self):
        mine = OWN / "mine"
        mine.unlink(missing_ok=True)
        self.held.append(bind(mine))
        for place in DIRECTORIES:
            self.try_directory(RUNTIME / place)
        for place in (*FILES, *SOCKETS):
            self.try_file(RUNTIME / place)
        for place in SOCKETS[2:]:
            self.attempt(f"connect {RUNTIME / place}", self.connect, RUNTIME / place)
        self.take_places()

    @staticmethod
    def connect(path):
        """As whoever may: a client, or a stage."""
        if path.name == "ctl":
            return wire.Ctl(path)
        return wire.dial(path)

    # ── the store, and the processes that have it ──

    def try_store(self):
        roots = [STORE, *(pathlib.Path(f"/proc/{pid}/root{STORE}") for pid in self.pids.values())]
        for root in roots:
            self.attempt(f"list {root}", os.listdir, root)
            self.attempt(f"lock {root}", lock, root)
            for place in STORE_PLACES:
                self.attempt(f"open {root / place}", os.open, root / place, os.O_RDONLY)
                self.attempt(f"lock {root / place}", lock, root / place)
            for place in ("index.json", "attack", "ingest/attack", "commit/attack", f"blobs/sha256/{'0' * 64}"):
                self.attempt(f"write {root / place}", write, root / place)
        for stage, pid in self.pids.items():
            self.attempt(f"look at the memory of {stage}", open, f"/proc/{pid}/mem", "rb")
            self.attempt(f"look at the files of {stage}", os.listdir, f"/proc/{pid}/fd")
            self.attempt(f"end {stage}", os.kill, pid, signal.SIGTERM)
            self.attempt(f"have {stage} stopped", ends_well, "systemctl", "stop", f"sluice-{stage}.service")

    # ── lies ──

    def meet(self):
        """Be the fetchd that ingestd has, and hear what it orders."""
        self.leave()
        self.peer = Fetchd(RUNTIME).greet()
        return self

    def leave(self):
        if self.peer:
            self.peer.close()
            self.peer = None

    def hear(self, *refs):
        """Until each of them was ordered."""
        missing = set(refs)
        while missing:
            kind, order = self.peer.hear()
            if kind == "FETCH":
                self.orders[order["ref"]] = order
                missing.discard(order["ref"])

    def lie_about(self, ref, attempt):
        """All that a fetchd can say of a transfer."""
        other = digest_of(EVIL)
        about = {"ref": ref, "attempt": attempt}
        self.peer.say("RESOLVED", digest=other, media_type="x/y", **about)
        self.peer.say("OPENED", size=len(EVIL), digest=other, **about)
        self.peer.say("CHUNK", payload=EVIL, **about)
        self.peer.say("END", size=len(EVIL), **about)
        for fail_class in range(1, 10):
            self.peer.say("FAIL", fail_class=fail_class, text="because", **about)

    def speak_as_others(self, ref):
        """What only another one may say, sent where fetchd speaks."""
        other = digest_of(EVIL)
        for kind, values in (
            ("SEALED", {"ref": ref, "digest": other, "size": len(EVIL)}), ("COMMITTED", {"ref": ref, "digest": ref}),
            ("COMMITTED", {"ref": ref, "digest": other}), ("REJECTED", {"ref": ref, "digest": ref, "fail_class": 4}),
            ("ABORT", {"ref": ref}), ("RESET", {"ref": ref}), ("REMOVE_NAME", {"name": "any:1"}),
            ("GET", {"ref": other, "source": "https://evil.invalid/", "expected": other}),
            ("SET_NAME", {"name": "evil:1", "digest": ref}), ("FETCH", {"ref": ref, "source": "https://evil.invalid/"}),
        ):
            self.peer.say(kind, **values)

    def lie(self):
        resolved, replaced, renamed, _ = self.victims
        for ref in (self.bystander, self.stored, *self.victims):
            self.speak_as_others(ref)
        true = self.orders[self.bystander]["attempt"]
        for attempt in {*range(10), true + 1, true + 1000, (1 << 64) - 1} - {true}:
            self.lie_about(self.bystander, attempt)
            self.lie_about(self.stored, attempt)
        self.peer.answer(self.orders[resolved], "RESOLVED", digest=digest_of(EVIL))
        self.peer.serve(self.orders[replaced], EVIL)
        self.peer.serve(self.orders[renamed], EVIL, digest_of(EVIL))

    # ── and a byte ──

    def kill_ingestd(self):
        """nanomsg asserts about a frame of a kind that there is not. Whatever can be taken is taken until it is back."""
        chunks = RUNTIME / "fetch/chunks"
        before = made(chunks)
        wire.say(chunks, wire.header(wire.PUSH), wire.framed(b"x", kind=7), until=wire.is_gone)

        def is_back():
            self.take_places()
            self.relay()
            try:
                wire.dial(chunks).close()  # what dies may still take connections
                return made(chunks) != before
            except OSError:
                return False

        wait_for("ingestd to be back", is_back, guard_s=20)
        self.restarts += 1

    def relay(self):
        """Pass on what comes to the places that are ours; and of the seals, that they are of something else."""
        for taken, given in self.taken.values():
            taken.wait_ms(nano.RCVTIMEO, 1)
            try:
                message = taken.receive()
            except OSError:
                continue
            kind, values = wire.parse(message)
            if kind == "SEALED":
                self.relayed += 1
                message = wire.message(kind, **values | {"digest": digest_of(EVIL)})
            given.send(message)

    def relay_a_seal(self):
        self.relay()
        return self.relayed

    # ── all of it ──

    def be_there(self):
        """As the command looks for it: a lock of our own, and a note beside it."""
        self.held.append(lock(OWN / "lock"))
        (OWN / "holder").write_text(f"fetchd {os.getpid()} since {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n")

    def run(self):
        *_, last = self.victims
        self.be_there()
        self.try_places()
        self.try_store()
        self.meet().hear(self.bystander, *self.victims)
        self.lie()
        for _ in range(RESTARTS):
            self.leave()
            self.kill_ingestd()
        self.meet().hear(last)
        self.peer.serve(self.orders[last], self.victims[last])
        if SEALS in self.taken:
            wait_for("a seal", self.relay_a_seal, guard_s=20)


def main():
    attack = Attack(*sys.argv[1:])
    failure = ""
    try:
        attack.run()
    except (AssertionError, OSError) as error:  # where it does harm, it may not come to its end
        failure = repr(error)
    print(json.dumps({"acts": attack.acts, "restarts": attack.restarts, "relayed": attack.relayed, "failure": failure}), flush=True)
    while True:
        attack.relay()
        time.sleep(0.01)


main()
