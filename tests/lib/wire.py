# SPDX-License-Identifier: Apache-2.0
"""
The wire format in Python: messages as in common/wire/message.h, and nanomsg's framing around them, so that a test's peer
can send what neither our programs nor the library would.
"""

import contextlib
import fcntl
import pathlib
import re
import socket
import struct
import termios
import threading

from servers import GUARD_S, wait_for

NUMBERS = {
    "incarnation": 8, "peer": 8, "attempt": 8, "offset": 8, "size": 8, "stage": 1, "state": 1, "fail_class": 1,
    "provenance": 1, "restarts": 1, "http_status": 2, "started": 8, "updated": 8, "until": 8, "rate": 8, "rehashed": 8,
    "dev": 8, "ino": 8, "mtime": 8, "lowest": 1, "highest": 1,
    "ttl": 8, "flags": 1, "fate": 1, "age": 8, "number": 8, "removed": 8, "removed_bytes": 8, "waiting": 8,
    "waiting_bytes": 8, "leased_bytes": 8,
}
SIZE_UNKNOWN = (1 << 64) - 1
MESSAGES = {  # name: (type, fields)
    "HELLO": (1, "incarnation peer lowest highest version"),
    "FETCH": (2, "ref attempt source offset size expected validator restarts policy"),
    "CANCEL": (3, "ref attempt"),
    "OPENED": (4, "ref attempt offset size digest media_type validator"),
    "CHUNK": (5, "ref attempt offset payload"),
    "END": (6, "ref attempt size"),
    "FAIL": (7, "ref attempt fail_class http_status text"),
    "BEAT": (8, "ref attempt until text"),
    "SEALED": (9, "ref digest size provenance ino mtime"),
    "COMMITTED": (10, "ref digest"),
    "REJECTED": (11, "ref digest fail_class text"),
    "GET": (12, "ref source expected size policy"),
    "STATUS": (13, "ref"),
    "NEXT": (14, "ref"),
    "ABORT": (15, "ref"),
    "RESET": (16, "ref"),
    "SET_NAME": (17, "name digest media_type size platform"),
    "REMOVE_NAME": (18, "name"),
    "PING": (19, "lowest highest version"),
    "PONG": (20, "incarnation dev ino started updated version boot text lowest highest"),
    "OK": (21, ""),
    "ERROR": (22, "fail_class text"),
    "RECORD": (23, "ref state offset size digest media_type started updated attempt rate rehashed until fail_class text"),
    "NAMED": (24, "name digest"),
    "RESOLVED": (25, "ref attempt digest media_type"),
    "STATS": (26, "stage"),
    "COUNTS": (27, "stage incarnation started updated version counts"),
    "SUBSCRIBE": (28, "ref"),
    "LOGIN": (29, "name policy"),
    "LEASE": (30, "name text ref ttl members"),
    "RELEASE": (31, "name"),
    "GC": (32, "flags age size"),
    "COLLECTED": (33, "flags removed removed_bytes waiting waiting_bytes leased_bytes fail_class text"),
    "GC_ITEM": (34, "number"),
    "CHECK": (36, "digest flags age"),
    "ITEM": (35, "fate digest size age text"),
    "SET_FILE": (37, "name digest media_type size text source"),
}
VERSION = 2  # of the protocol, in every message unless the test gives another
HERE = pathlib.Path(__file__).resolve()
# In the sources; or beside this file, where it was copied without them.
HEADER = next(path for path in (HERE.parents[2] / "common/base/version.h", HERE.with_name("version.h")) if path.exists())
RELEASE = re.search(r'SLUICE_VERSION "(.+)"', HEADER.read_text())[1]
INTRODUCED = {"lowest": VERSION, "highest": VERSION, "version": RELEASE}
ERROR, PONG, OK, RECORD, NAMED = 22, 20, 21, 23, 24


def message(kind, /, protocol=VERSION, **values):
    """An encoded message; numbers that are not given are 0, texts are empty."""
    number, fields = MESSAGES[kind]
    parts = [b"SL", bytes([protocol, number])]
    if "lowest" in fields.split():
        values = INTRODUCED | values
    for field in fields.split():
        value = values.pop(field, 0 if field in NUMBERS else b"")
        if field in NUMBERS:
            parts.append(value.to_bytes(NUMBERS[field], "big"))
            continue
        value = value.encode(errors="surrogateescape") if isinstance(value, str) else value
        parts.append(value if field == "payload" else struct.pack(">H", len(value)) + value)
    assert not values, f"{kind} has no {', '.join(values)}"
    return b"".join(parts)


KINDS = {number: (kind, fields.split()) for kind, (number, fields) in MESSAGES.items()}


def parse(packet):
    """(kind, {field: value}) of a message from one of our programs; fields that are neither numbers nor text stay bytes."""
    assert packet[:2] == b"SL", packet
    kind, fields = KINDS[packet[3]]
    values, at = {}, 4
    for field in fields:
        if field == "payload":
            values[field], at = packet[at:], len(packet)
            continue
        width = NUMBERS.get(field, 2)
        number, at = int.from_bytes(packet[at : at + width], "big"), at + width
        values[field] = number
        if field not in NUMBERS:
            data, at = packet[at : at + number], at + number
            values[field] = data if field in ("counts", "policy") else data.decode(errors="surrogateescape")
    assert at == len(packet), packet
    return kind, values


# ── nanomsg on a unix socket ──

PUSH, PULL = 80, 81


def header(protocol):
    """The greeting that each side sends first."""
    return b"\0SP\0" + struct.pack(">HH", protocol, 0)


def framed(data, length=None, kind=1):
    """A message as nanomsg frames it on a unix socket; `length`: to announce instead of the true one."""
    return struct.pack(">BQ", kind, len(data) if length is None else length) + data


def dial(path):
    """Connect. Waits for room in the peer's backlog, GUARD_S at most, then raises."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", GUARD_S, 0))
    s.connect(str(path))
    return s


def is_gone(s):
    """Whether the peer has closed the connection. Discards what it sent."""
    try:
        while s.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def is_read(s):
    """Whether the peer has read everything that was sent, or is gone."""
    room = bytearray(4)
    fcntl.ioctl(s, termios.TIOCOUTQ, room)
    return is_gone(s) or not struct.unpack("i", room)[0]


def utter(s, pieces, until):
    """
    Send the pieces, then wait until `until(connection)` holds, if given: what the peer has not read when we close the
    connection it never reads. The peer may close it first.
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for piece in pieces:
            s.sendall(piece)
        if until:
            wait_for("the peer to handle what was sent", lambda: until(s), pause_s=0.0002)


def say(path, *pieces, until=None):
    """Connect, send the pieces, close."""
    with dial(path) as s:
        utter(s, pieces, until)


class Ctl:
    """A client of a stage's ctl socket; each packet is a message. Calls wait GUARD_S at most, then raise."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(GUARD_S)
        self.socket.connect(str(path))  # waits for room in the peer's backlog

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        """The next message; b"" if the stage has closed the connection."""
        return self.socket.recv(1 << 16)

    def ask(self, data):
        self.send(data)
        return self.receive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Impostor:
    """
    Binds a socket in place of a stage and serves each client the next of `connections`: (pieces, until), as for utter().
    `given` counts those served; `done` is set after the last.
    """

    def __init__(self, path, connections):
        self.connections, self.given = connections, 0
        self.done = threading.Event()
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        with contextlib.suppress(OSError):  # the listener is shut down while accept() waits
            for pieces, until in self.connections:
                with self.listener.accept()[0] as s:
                    utter(s, pieces, until)
                self.given += 1
        self.done.set()

    def wait(self, process):
        """Wait until all connections are served or the process has ended. Each connection may take GUARD_S."""
        while not self.done.is_set() and process.poll() is None:
            before = self.given
            wait_for(f"connection {before} of {len(self.connections)}",
                     lambda: self.given > before or self.done.is_set() or process.poll() is not None)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.path.unlink()
