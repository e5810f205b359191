# SPDX-License-Identifier: Apache-2.0
"""
Raw garbage on each socket while a pull runs: invalid handshakes, frames and messages, valid messages of another pipe,
and a thousand connections. The stage answers, or dies and is restarted. The pull continues, its content is right, and
bytes that had arrived are not requested again.

tests/systemd checks who can reach these sockets.
"""

import collections
import contextlib
import os
import random
import resource
import signal
import socket
import threading

import pytest

import badserver
import nano
import wire
from conftest import MIB, settled
from images import digest_of
from servers import wait_for
from stages import OK, kill

DATA = os.urandom(3 * MIB)
DIGEST = digest_of(DATA)
OTHER = digest_of(b"unrequested")
SEED = 20260131
CROWD = 1000  # connections; with the test's own descriptors below the usual limit of 1024

Pipe = collections.namedtuple("Pipe", "stage file binder connects")


def texts(ref):
    """Messages about a ref, under attempts that were never ordered or that prove nothing."""
    about = {"ref": ref, "attempt": 1 << 60}
    return {
        "fetch/orders": [wire.message("HELLO", incarnation=7)],
        "fetch/chunks": [
            wire.message("END", size=1, **about),
            wire.message("CHUNK", offset=len(DATA), payload=b"x", **about),
            wire.message("CHUNK", offset=0, payload=b"x" * 70_000, ref=ref, attempt=0),
            wire.message("OPENED", offset=5, size=9, digest=OTHER, **about),
            wire.message("FAIL", fail_class=2, http_status=404, text="gone", **about),
            wire.message("BEAT", until=1 << 62, text="for ever", **about),
            wire.message("RESOLVED", digest=OTHER, **about),
            wire.message("END", size=1, ref="never-asked-for", attempt=1),
            wire.message("COMMITTED", ref=ref, digest=DIGEST),
        ],
        "seal/receipts": [wire.message("HELLO", incarnation=7)],
        "seal/seals": [
            wire.message("SEALED", ref=ref, digest=DIGEST, size=len(DATA)),
            wire.message("SEALED", ref=ref, digest=DIGEST, size=1 << 62, ino=1, mtime=1),
            wire.message("SEALED", ref="../../..", digest=OTHER, size=3),
            wire.message("SEALED", ref=ref, digest="sha512:" + "0" * 128, size=0),
            wire.message("SEALED", ref=ref, digest="md5:" + "0" * 32, size=0),
        ],
    }


def requests(ref):
    """Requests without effect, or for the other stage."""
    return {
        "ingestd": [
            wire.message("GET", ref=OTHER, source="file:///etc/passwd", expected=OTHER, size=1),
            wire.message("GET", ref=ref, source="http://x/", expected=OTHER, size=1),
            wire.message("STATUS", ref="\x1b[31m"),
            wire.message("ABORT", ref="never-asked-for"),
            wire.message("RESET", ref="never-asked-for"),
            wire.message("SET_NAME", name="a:1", digest=DIGEST, size=1),
            wire.message("HELLO", incarnation=1),
            wire.message("STATS", stage=9),
        ],
        "commitd": [
            wire.message("SET_NAME", name="a:1", digest=OTHER, size=wire.SIZE_UNKNOWN),
            wire.message("SET_NAME", name="../a", digest=DIGEST, size=1),
            wire.message("SET_NAME", name="a:1", digest="sha256:" + "A" * 64, size=1),
            wire.message("REMOVE_NAME", name="never:there"),
            wire.message("ABORT", ref=ref),
        ],
    }


def orders(ref):
    """Orders that no ingestd would send."""
    order = {"ref": ref, "attempt": 1, "size": wire.SIZE_UNKNOWN}
    sources = ("file:///etc/passwd", "gopher://x/", "http://", "blob://", "blob://x/../y@md5:1", "manifest://\u202e/a:1")
    return [
        *(wire.message("FETCH", source=source, **order) for source in sources),
        wire.message("FETCH", source="http://127.0.0.1:1/", expected="md5:" + "0" * 32, **order),
        wire.message("CANCEL", ref="never-asked-for", attempt=7),
        wire.message("CHUNK", ref=ref, attempt=1, offset=0, payload=b"x"),
        wire.message("HELLO", incarnation=9, peer=9),
        wire.message("HELLO", incarnation=10, peer=0),
    ]


def receipts(ref):
    """Receipts that no commitd would send."""
    return [
        wire.message("COMMITTED", ref=ref, digest=DIGEST),
        wire.message("REJECTED", ref=ref, digest=DIGEST, fail_class=4, text="\u202eno"),
        wire.message("COMMITTED", ref=ref, digest="sha256:../../../etc/passwd"),
        wire.message("CHUNK", ref=ref, attempt=1, offset=0, payload=b"x"),
    ]


PIPES = [
    Pipe("ingestd", "fetch/orders", wire.PUSH, wire.PULL),
    Pipe("ingestd", "fetch/chunks", wire.PULL, wire.PUSH),
    Pipe("commitd", "seal/receipts", wire.PUSH, wire.PULL),
    Pipe("commitd", "seal/seals", wire.PULL, wire.PUSH),
]


def bad_handshakes(noise):
    """Pieces, for one connection each, in place of nanomsg's handshake."""
    good = wire.header(wire.PUSH)
    yield from ([], [b"\0"], [good[:4]], [good[:7]], [bytes(8)], [b"\xff" * 8], [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
    yield from ([wire.header(protocol)] for protocol in (0, 16, 49, 80, 81, 96, 65535))
    yield from ([noise.randbytes(noise.randrange(1, 4000))] for _ in range(10))


def bad_frames(pipe, message, step=1):
    """A handshake and an invalid frame: half a length, a huge length, or a message that ends early."""
    good = wire.header(pipe.connects)
    whole = wire.framed(message)
    yield from ([good, whole[:n]] for n in range(0, len(whole), step))
    yield from ([good, wire.framed(b"x" * 100, length)] for length in (1 << 20, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
    yield [good, wire.framed(b"")]


def bad_messages(pipe, noise, messages):
    """Whole frames on one connection: messages cut at each byte, changed, lengthened, or of another pipe."""
    pieces = [wire.header(pipe.connects)]
    for message in messages:
        step = max(1, len(message) // 200)
        pieces += (wire.framed(message[:n]) for n in range(0, len(message), step))
        pieces.append(wire.framed(message + b"\0"))
        for _ in range(20):
            changed = bytearray(message[:500])
            changed[noise.randrange(len(changed))] = noise.randrange(256)
            if b"x" * 100 not in changed:
                pieces.append(wire.framed(bytes(changed)))
        pieces.append(wire.framed(message))
    pieces += (wire.framed(noise.randbytes(noise.randrange(1, 300))) for _ in range(50))
    yield pieces


def deadly(pipe):
    """A frame of an unknown kind, on which nanomsg asserts."""
    return [wire.header(pipe.connects), wire.framed(b"x", kind=7)]


def answers(box, stage):
    """Wait until the stage, or its successor, answers."""
    wait_for(f"{stage} to answer", lambda: box.answers(stage))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def crowd(box, pipe):
    """Open CROWD connections, half of them with a valid handshake. When they end, their descriptors are closed."""
    pid = box.stage(pipe.stage)
    before = descriptors(pid)
    with contextlib.ExitStack() as stack:
        for i in range(CROWD):
            with contextlib.suppress(OSError):  # so many that the stage makes its socket anew
                s = stack.enter_context(wire.dial(box.runtime / pipe.file))
                s.send(wire.header(pipe.connects) if i % 2 else b"\0SP")
        wait_for("many connections to be accepted", lambda: descriptors(box.stage(pipe.stage)) > before + 100)
    wait_for("the descriptors to be closed", lambda: descriptors(box.stage(pipe.stage)) < before + 20)


@pytest.fixture
def room():
    """Raise the limit of descriptors for a crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * CROWD:
        pytest.skip(f"needs {2 * CROWD} descriptors, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * CROWD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def reads(pipe):
    return pipe.binder == wire.PULL


def say_all(box, pipe, connections):
    for pieces in connections:
        wire.say(box.runtime / pipe.file, *pieces, until=wire.is_read if reads(pipe) else None)


def refused(box, pipe):
    """The number of refused messages on this pipe, from the stage's metrics."""
    for line in box.sluice("metrics").stdout.splitlines():
        if line.startswith("sluice_refused_messages_total") and f'pipe="{os.path.basename(pipe.file)}"' in line:
            return int(line.split()[-1])
    return 0


@pytest.mark.parametrize("pipe", PIPES, ids=lambda pipe: pipe.file.replace("/", "-"))
def test_garbage_on_a_socket(box, bad, room, pipe):
    box.configure("[fetchd]\nretry_delay = 10ms\n[ingestd]\nlease = 2s\n")
    noise = random.Random(f"{SEED} {pipe.file}")
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (MIB, len(DATA)), gate), badserver.whole(DATA))
    with box.up():
        fetch = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        assert box.wait_size(DIGEST, MIB, fetch)
        messages = texts(DIGEST)[pipe.file]
        say_all(box, pipe, bad_handshakes(noise))
        say_all(box, pipe, bad_frames(pipe, messages[0]))
        say_all(box, pipe, bad_messages(pipe, noise, messages))
        answers(box, pipe.stage)
        crowd(box, pipe)
        answers(box, pipe.stage)
        if reads(pipe):
            assert refused(box, pipe) >= 100
            old = box.stage(pipe.stage)
            wire.say(box.runtime / pipe.file, *deadly(pipe), until=wire.is_gone)
            wait_for("the stage to abort", lambda: old not in box.pids())
            answers(box, pipe.stage)
        gate.release()
        box.finish(fetch, want=OK)
        asked = [int(r.range[6:].partition("-")[0] or 0) if r.range else 0 for r in bad.asked("/blob")]
        assert asked[0] == 0 and all(start >= MIB for start in asked[1:]), asked
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


# Which stage connects where, and to what in place of the stage that binds there. nanomsg may take a connection that
# ended in the handshake for a good one; the connecting end renews it.
IMPOSTORS = [
    Pipe("fetchd", "fetch/orders", wire.PULL, wire.PUSH),
    Pipe("fetchd", "fetch/chunks", wire.PUSH, wire.PULL),
    Pipe("ingestd", "seal/receipts", wire.PULL, wire.PUSH),
    Pipe("ingestd", "seal/seals", wire.PUSH, wire.PULL),
]


@pytest.mark.parametrize("pipe", IMPOSTORS, ids=lambda pipe: f"{pipe.stage}-{pipe.file.replace('/', '-')}")
def test_impostor_behind_a_socket(box, bad, pipe):
    """An impostor binds a socket before its owner does, and sends garbage. Later the owner takes the socket back."""
    noise = random.Random(f"{SEED} {pipe.stage} {pipe.file}")
    hello = [wire.message("HELLO", incarnation=7)]
    messages = {"fetch/orders": orders, "seal/receipts": receipts}.get(pipe.file, lambda ref: hello)(DIGEST)
    said = [*bad_handshakes(noise), *bad_frames(pipe, messages[0], 7), *bad_messages(pipe, noise, messages)]
    connections = [(pieces, wire.is_read if reads(pipe) else None) for pieces in said]
    if reads(pipe):  # it may end the connection at that moment, to renew it
        connections += [(deadly(pipe), wire.is_gone)] * 50
    box.runtime.mkdir()
    with wire.Impostor(box.runtime / pipe.file, connections) as impostor:
        stage = box.popen(pipe.stage)
        impostor.wait(stage)
        assert impostor.done.is_set() != reads(pipe), "an orderly stage has died, or a deadly frame did not kill it"
        if not reads(pipe):
            stage.terminate()
            box.finish(stage, want=OK)
    bad.on("/blob", badserver.whole(DATA))
    with box.up():
        box.sluice("fetch", bad.url("/blob"), "--digest", DIGEST)
    settled(box)


def test_receipt_for_a_missing_blob_is_refused(box, bad):
    """A receipt removes the ingest. ingestd looks for the blob first, and sends the seal again."""
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (MIB, len(DATA)), gate))
    with box.up() as up:
        fetch = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        assert box.wait_size(DIGEST, MIB, fetch)
        os.kill(up.pid, signal.SIGSTOP)  # commitd stays dead while we take its place
        kill(box.stage("commitd"))
        gate.release()
        assert box.wait_sealed(DIGEST)
        wait_for("the seal to be recorded", lambda: b"sealed=" in (box.ingest(DIGEST) / "transfer").read_bytes())
        (box.runtime / "seal/receipts").unlink()
        with nano.Socket(nano.PUSH).bind(box.runtime / "seal/receipts") as forger:
            forger.send(wire.message("COMMITTED", ref=DIGEST, digest=DIGEST))
            wait_for("the receipt to be refused", lambda: "reports a blob as stored that is not" in box.logs())
        assert box.is_sealed(DIGEST)
        os.kill(up.pid, signal.SIGCONT)
        box.finish(fetch, want=OK)
    assert len(bad.asked("/blob")) == 1
    settled(box)


# ── ctl ──


def packets(noise, messages):
    """Invalid messages: cut, changed, lengthened, of another version, or noise."""
    for message in messages:
        yield from (message[:n] for n in range(1, len(message), max(1, len(message) // 50)))
        yield message + b"\0"
        yield message[:2] + b"\x63" + message[3:]
        for _ in range(10):
            changed = bytearray(message)
            changed[noise.randrange(len(changed))] = noise.randrange(256)
            yield bytes(changed)
    yield from (noise.randbytes(noise.randrange(1, 300)) for _ in range(50))
    yield b"x" * 20_000


def ctl_crowd(box, stage):
    """Open CROWD connections, of which the stage drops the oldest. When they end, their descriptors are closed."""
    before = descriptors(box.stage(stage))
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            with contextlib.suppress(BlockingIOError):
                stack.enter_context(wire.Ctl(box.runtime / stage / "ctl"))
        wait_for("many connections to be accepted", lambda: descriptors(box.stage(stage)) > before + 100)
        answers(box, stage)
    wait_for("the descriptors to be closed", lambda: descriptors(box.stage(stage)) < before + 20)


@pytest.mark.parametrize("stage", ["ingestd", "commitd"])
def test_garbage_on_ctl(box, bad, room, stage):
    """It ends only the connection that it came on; the stage survives."""
    noise = random.Random(f"{SEED} {stage}")
    gate = threading.Semaphore(0)
    bad.on("/blob", badserver.in_steps(DATA, (MIB, len(DATA)), gate))
    with box.up():
        fetch = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        assert box.wait_size(DIGEST, MIB, fetch)
        pids = box.pids("ingestd", "commitd")
        path = box.runtime / stage / "ctl"
        with wire.Ctl(path) as good:
            for packet in packets(noise, requests(DIGEST)[stage]):
                with wire.Ctl(path) as ctl, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    ctl.send(packet)
                    assert ctl.receive()[3] in (wire.ERROR, wire.OK, wire.RECORD, wire.PONG), packet
            assert good.ask(wire.message("PING"))[3] == wire.PONG
        assert refused(box, Pipe(stage, f"{stage[:-1]}.ctl", None, None)) >= 100
        ctl_crowd(box, stage)
        assert box.pids("ingestd", "commitd") == pids
        gate.release()
        box.finish(fetch, want=OK)
    assert len(bad.asked("/blob")) == 1
    settled(box)
