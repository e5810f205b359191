# SPDX-License-Identifier: Apache-2.0
"""Peers of the stages, played by a test: a fetchd, and a member of the group on ctl."""

import contextlib
import random

import nano
import wire


class Fetchd:
    """
    A fetchd on the real sockets of ingestd. It sends a valid HELLO, and then what the test wants. One at a time,
    because the pipe gives each order to one of the connected peers.
    """

    def __init__(self, runtime, incarnation=None, timeout_s=20):
        self.incarnation = incarnation or random.SystemRandom().randrange(1, 1 << 63)
        self.peer = 0
        self.chunks = nano.Socket(nano.PUSH, timeout_s).connect(runtime / "fetch/chunks")
        self.orders = nano.Socket(nano.PULL, timeout_s).connect(runtime / "fetch/orders")

    def say(self, kind, /, **values):
        self.chunks.send(wire.message(kind, **values))

    def answer(self, order, kind, /, **values):
        """Send a message about that order, under its attempt."""
        self.say(kind, ref=order["ref"], attempt=order["attempt"], **values)

    def hear(self):
        """The next order, or CANCEL."""
        while True:
            kind, values = wire.parse(self.orders.receive())
            if kind != "HELLO":
                return kind, values
            self.peer = values["incarnation"]

    def greet(self):
        """Exchange HELLO until ingestd knows us. Its orders follow."""
        while True:
            self.say("HELLO", incarnation=self.incarnation, peer=self.peer)
            kind, values = wire.parse(self.orders.receive())
            if kind == "HELLO":
                self.peer = values["incarnation"]
            if kind == "HELLO" and values["peer"] == self.incarnation:
                self.say("HELLO", incarnation=self.incarnation, peer=self.peer)
                return self

    def orders_wait_ms(self, wait_ms):
        """Set how long hear() waits."""
        self.orders.wait_ms(nano.RCVTIMEO, wait_ms)

    def order(self, ref, after=0):
        """The order for that ref, under a later attempt than `after`."""
        while True:
            kind, values = self.hear()
            if kind == "FETCH" and values["ref"] == ref and values["attempt"] > after:
                return values

    def serve(self, order, data, digest=""):
        """Serve the order correctly, from its offset to the end."""
        self.answer(order, "OPENED", offset=order["offset"], size=len(data), digest=digest)
        for at in range(order["offset"], len(data), 256 << 10):
            self.answer(order, "CHUNK", offset=at, payload=data[at : at + (256 << 10)])
        self.answer(order, "END", size=len(data))

    def close(self):
        for end in (self.chunks, self.orders):
            with contextlib.suppress(OSError):
                end.__exit__()

    def __enter__(self):
        return self.greet()

    def __exit__(self, *_):
        self.close()


class Member(wire.Ctl):
    """A client of ingestd or commitd with decoded messages."""

    def __init__(self, runtime, stage="ingestd"):
        super().__init__(runtime / stage / "ctl")

    def request(self, kind, /, **values):
        """Send a request. Returns the answer, skipping events."""
        return wire.parse(self.ask(wire.message(kind, **values)))

    def get(self, ref, source, expected="", size=wire.SIZE_UNKNOWN):
        return self.request("GET", ref=ref, source=source, expected=expected, size=size)

    def status(self, ref):
        return self.request("STATUS", ref=ref)[1]
