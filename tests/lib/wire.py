"""
What goes over the pipes, hand-made: messages as common/wire/message.h has them, and nanomsg's own bytes around them,
so that a peer can say what no program of ours and no library would.
"""

import contextlib
import fcntl
import pathlib
import socket
import struct
import termios
import threading

from servers import GUARD_S, wait_for

NUMBERS = {
    "incarnation": 8, "peer": 8, "attempt": 8, "offset": 8, "size": 8, "stage": 1, "state": 1, "fail_class": 1,
    "provenance": 1, "restarts": 1, "http_status": 2, "started": 8, "updated": 8, "until": 8, "rate": 8, "rehashed": 8,
    "dev": 8, "ino": 8, "mtime": 8,
}
SIZE_UNKNOWN = (1 << 64) - 1
MESSAGES = {  # name: (type, fields)
    "HELLO": (1, "incarnation peer"),
    "FETCH": (2, "ref attempt source offset size expected validator restarts"),
    "CANCEL": (3, "ref attempt"),
    "OPENED": (4, "ref attempt offset size digest media_type validator"),
    "CHUNK": (5, "ref attempt offset payload"),
    "END": (6, "ref attempt size"),
    "FAIL": (7, "ref attempt fail_class http_status text"),
    "BEAT": (8, "ref attempt until text"),
    "SEALED": (9, "ref digest size provenance ino mtime"),
    "COMMITTED": (10, "ref digest"),
    "REJECTED": (11, "ref digest fail_class text"),
    "GET": (12, "ref source expected size"),
    "STATUS": (13, "ref"),
    "NEXT": (14, "ref"),
    "ABORT": (15, "ref"),
    "RESET": (16, "ref"),
    "SET_NAME": (17, "name digest media_type size platform"),
    "REMOVE_NAME": (18, "name"),
    "PING": (19, ""),
    "OK": (21, ""),
    "ERROR": (22, "fail_class text"),
    "RESOLVED": (25, "ref attempt digest media_type"),
    "STATS": (26, "stage"),
}
VERSION = 1


def message(kind, /, **values):
    """A message of that kind; numbers that are not given are 0, texts are empty."""
    number, fields = MESSAGES[kind]
    parts = [b"SL", bytes([VERSION, number])]
    for field in fields.split():
        value = values.pop(field, 0 if field in NUMBERS else b"")
        if field in NUMBERS:
            parts.append(value.to_bytes(NUMBERS[field], "big"))
            continue
        value = value.encode() if isinstance(value, str) else value
        parts.append(value if field == "payload" else struct.pack(">H", len(value)) + value)
    assert not values, f"{kind} has no {', '.join(values)}"
    return b"".join(parts)


# ── nanomsg on a unix socket ──

PUSH, PULL, REQ, REP, PUB, SUB = 80, 81, 48, 49, 32, 33


def header(protocol):
    """What each side sends first."""
    return b"\0SP\0" + struct.pack(">HH", protocol, 0)


def framed(data, length=None, kind=1):
    """A message as nanomsg has it on a unix socket; `length`: the one that is said."""
    return struct.pack(">BQ", kind, len(data) if length is None else length) + data


def asked(data):
    """The same for a REQ socket: with the number of a request before it."""
    return struct.pack(">I", 1 << 31 | 7) + data


def dial(path):
    """A connection, when there is room in the other side's backlog; a hang is a failure."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", GUARD_S, 0))
    s.connect(str(path))
    return s


def is_gone(s):
    """Whether the other side has hung up. What it says is thrown away."""
    try:
        while s.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def is_read(s):
    """Whether the other side has taken all that was sent, or is gone."""
    room = bytearray(4)
    fcntl.ioctl(s, termios.TIOCOUTQ, room)
    return is_gone(s) or not struct.unpack("i", room)[0]


def utter(s, pieces, until):
    """
    Send the pieces, and wait until `until` is so of the connection, if it is given: what a peer has not read when we
    hang up it never reads. A peer that has hung up meanwhile is fine.
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for piece in pieces:
            s.sendall(piece)
        if until:
            wait_for("the other side to have done with it", lambda: until(s), pause_s=0.0002)


def say(path, *pieces, until=None):
    """Connect, send the pieces, hang up."""
    with dial(path) as s:
        utter(s, pieces, until)


class Impostor:
    """
    Binds a socket in place of a stage and gives each who connects the next of `connections`: pieces, and until when.
    `done` once all are given.
    """

    def __init__(self, path, connections):
        self.connections = connections
        self.done = threading.Event()
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        with contextlib.suppress(OSError):  # shut down while it waits
            for pieces, until in self.connections:
                with self.listener.accept()[0] as s:
                    utter(s, pieces, until)
        self.done.set()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.path.unlink()
