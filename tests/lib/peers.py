# SPDX-License-Identifier: Apache-2.0
"""Peers of the stages, played by a test: a fetchd, and a member of the group at ctl."""

import contextlib
import random

import nano
import wire


class Fetchd:
    """
    A fetchd on the real sockets of ingestd, which says HELLO as it should and whatever else it is told to. One at a time:
    the pipe hands an order to one of those who are connected.
    """

    def __init__(self, runtime, incarnation=None, timeout_s=20):
        self.incarnation = incarnation or random.SystemRandom().randrange(1, 1 << 63)
        self.peer = 0
        self.chunks = nano.Socket(nano.PUSH, timeout_s).connect(runtime / "fetch/chunks")
        self.orders = nano.Socket(nano.PULL, timeout_s).connect(runtime / "fetch/orders")

    def say(self, kind, /, **values):
        self.chunks.send(wire.message(kind, **values))

    def answer(self, order, kind, /, **values):
        """Say something about that order, under its attempt."""
        self.say(kind, ref=order["ref"], attempt=order["attempt"], **values)

    def hear(self):
        """The next order, or CANCEL."""
        while True:
            kind, values = wire.parse(self.orders.receive())
            if kind != "HELLO":
                return kind, values
            self.peer = values["incarnation"]

    def greet(self):
        """Until ingestd has named us: what it has ordered comes behind that."""
        while True:
            self.say("HELLO", incarnation=self.incarnation, peer=self.peer)
            kind, values = wire.parse(self.orders.receive())
            if kind == "HELLO":
                self.peer = values["incarnation"]
            if kind == "HELLO" and values["peer"] == self.incarnation:
                self.say("HELLO", incarnation=self.incarnation, peer=self.peer)
                return self

    def orders_wait_ms(self, wait_ms):
        """How long hear() waits from now on."""
        self.orders.wait_ms(nano.RCVTIMEO, wait_ms)

    def order(self, ref, after=0):
        """The order for that ref, under a later attempt than `after`."""
        while True:
            kind, values = self.hear()
            if kind == "FETCH" and values["ref"] == ref and values["attempt"] > after:
                return values

    def serve(self, order, data, digest=""):
        """As it should be: all of it, from where the order wants it."""
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
    """A client of ingestd or commitd that speaks in values."""

    def __init__(self, runtime, stage="ingestd"):
        super().__init__(runtime / stage / "ctl")

    def request(self, kind, /, **values):
        """The answer to it; events are passed over."""
        return wire.parse(self.ask(wire.message(kind, **values)))

    def get(self, ref, source, expected="", size=wire.SIZE_UNKNOWN):
        return self.request("GET", ref=ref, source=source, expected=expected, size=size)

    def status(self, ref):
        return self.request("STATUS", ref=ref)[1]
