# SPDX-License-Identifier: Apache-2.0
"""
A web server that misbehaves on demand. A path has a list of behaviours: each request is answered by the next one, and
the last one repeats. A behaviour is a function of an Exchange.

    server.on("/blob", short_body(data, 1000), whole(data))
"""

import collections
import http.server
import re
import socket
import socketserver
import struct
import threading

Request = collections.namedtuple("Request", "method path range headers ns")  # `ns`: the registry for which a mirror is asked

PIECE = 16384  # bytes sent, and counted, at a time
STOP_POLL_S = 0.02  # delay of a stop, which almost every test has


class Exchange:
    """A request, and the ways to answer it."""

    def __init__(self, handler):
        self.handler = handler
        self.method, self.path, self.headers = handler.command, handler.path, handler.headers
        self.start, self.end = self.range()
        self.sent = 0  # bytes of bodies

    def range(self):
        """The range `bytes=N-M` as (N, M + 1); M + 1 is None if it is open; (None, None) without a range."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found:
            return None, None
        return int(found[1]), int(found[2]) + 1 if found[2] else None

    def wanted(self, data):
        """The requested bytes: (from, to)."""
        return self.start or 0, min(self.end or len(data), len(data))

    def promise(self, data):
        """Send the right header for the request. Returns wanted()."""
        start, end = self.wanted(data)
        where = {} if self.start is None else {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        self.head(200 if self.start is None else 206, {"Content-Length": end - start, **where})
        return start, end

    def head(self, status, headers, behind=b""):
        """Send a status line and headers (a dict, or pairs) and nothing else. `behind`: bytes in the same piece."""
        pairs = headers.items() if isinstance(headers, dict) else headers
        lines = [f"HTTP/1.1 {status} Said So", *(f"{name}: {value}" for name, value in pairs)]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + behind)

    def raw(self, data):
        """Send bytes that do not count as body."""
        self.handler.wfile.write(data)

    def body(self, data):
        """Send bytes and count them in `sent`. The client may have gone."""
        for at in range(0, len(data) if self.method != "HEAD" else 0, PIECE):
            piece = data[at : at + PIECE]
            self.sent += len(piece)  # before the client can have them
            self.handler.wfile.write(piece)
        self.handler.wfile.flush()

    def answer(self, status, data=b"", headers=None):
        self.head(status, {"Content-Length": len(data), **(headers or {})})
        self.body(data)

    def part(self, data, says=None, body=None, headers=None):
        """The requested 206. `says`: another Content-Range, "" for none; `body`: other bytes."""
        start, end = self.wanted(data)
        says = f"bytes {start}-{end - 1}/{len(data)}" if says is None else says
        self.answer(206, data[start:end] if body is None else body,
                    {**({"Content-Range": says} if says else {}), **(headers or {})})

    def rest(self, data, length=None, headers=(), send=None, end=True):
        """
        The requested bytes with `length` as Content-Length (None: none), `send` bytes of them (None: all), and then the
        end of the connection.
        """
        start, stop = self.wanted(data)
        pairs = [*headers]
        if length is not None:
            pairs.append(("Content-Length", length))
        if self.start is not None:
            pairs.append(("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}"))
        self.head(200 if self.start is None else 206, pairs)
        self.body(data[start:stop][:send])
        if end:
            self.hang_up()

    def chunks(self, data, size=5000, end=b"0\r\n\r\n", headers=(), send=None):
        """The requested bytes, or `send` of them, in chunks; `end`: what follows the last chunk."""
        self.rest(data, headers=[*headers, ("Transfer-Encoding", "chunked")], send=0, end=False)
        asked = data[self.start : self.end][:send]
        for at in range(0, len(asked), size):
            piece = asked[at : at + size]
            self.raw(b"%x\r\n" % len(piece))
            self.body(piece)
            self.raw(b"\r\n")
        self.raw(end)
        self.handler.wfile.flush()

    def is_read(self):
        """Whether the client has read everything that was sent, or has gone."""
        ends = [f":{port:04X}" for port in (self.handler.client_address[1], self.handler.connection.getsockname()[1])]
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table]
        queues = {row[1][-5:] + row[2][-5:]: row[4].split(":") for row in rows}
        unread, unsent = queues.get("".join(ends), "00")[1], queues.get("".join(ends[::-1]), "00")[0]
        return int(unread, 16) == int(unsent, 16) == 0

    def hang_up(self):
        """End the connection in order, whatever was promised."""
        self.handler.close_connection = True

    def reset(self):
        """RST instead of FIN."""
        self.handler.wfile.flush()
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()
        self.hang_up()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self):
        exchange = Exchange(self)
        try:
            self.server.owner.pick(exchange)(exchange)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = reply

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass  # reset by us, or the client has gone

    def log_message(self, *_):
        pass


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128  # if it is full, the client's kernel tries again a second later

    def process_request(self, request, client_address):
        self.owner.connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        """In the request's own thread, so that a slow handshake delays nobody."""
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that leaves early is checked by the test


class Threads6(Threads):
    address_family = socket.AF_INET6


class BadServer:
    """`tls`: a server's ssl context, for https."""

    def __init__(self, address="127.0.0.1", tls=None):
        self.server = (Threads6 if ":" in address else Threads)((address, 0), Handler)
        self.server.owner = self
        self.scheme = "https" if tls else "http"
        self.server.tls = tls
        self.address = f"{address}:{self.server.server_address[1]}"
        self.routes, self.requests, self.connections = {}, [], 0
        self.lock = threading.Lock()
        self.released = threading.Event()  # ends all silent behaviours
        self.thread = threading.Thread(target=self.server.serve_forever, args=(STOP_POLL_S,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, path):
        return f"{self.scheme}://{self.address}{path}"

    def on(self, path, *behaviours):
        self.routes[path] = list(behaviours)

    def pick(self, exchange):
        exchange.server = self
        with self.lock:
            path, _, ns = exchange.path.partition("?ns=")
            self.requests.append(
                Request(exchange.method, path, exchange.headers.get("Range", ""), dict(exchange.headers), ns)
            )
            behaviours = self.routes.get(exchange.path.partition("?")[0], [status(404)])
            return behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]

    def asked(self, path, method="GET"):
        """The requests for a path so far."""
        with self.lock:
            return [r for r in self.requests if r.path == path and r.method == method]

    def image(self, name, tag, manifest, media_type, blobs=()):
        """Serve a manifest by its tag, and blobs by digest: {digest: behaviours}."""
        self.on(f"/v2/{name}/manifests/{tag}", whole(manifest, {"Content-Type": media_type}))
        for digest, behaviours in dict(blobs).items():
            self.on(f"/v2/{name}/blobs/{digest}", *behaviours)


# ── behaviours ──


def whole(data, headers=None):
    """Behave correctly, with ranges."""

    def behave(x):
        total = len(data)
        if x.start is None:
            x.answer(200, data, {"Accept-Ranges": "bytes", **(headers or {})})
        elif x.start >= total:
            x.answer(416, b"", {"Content-Range": f"bytes */{total}", **(headers or {})})
        else:
            end = min(x.end or total, total)
            where = {"Content-Range": f"bytes {x.start}-{end - 1}/{total}"}
            x.answer(206, data[x.start : end], {**where, **(headers or {})})

    return behave


def status(code, headers=None, data=b""):
    return lambda x: x.answer(code, data, headers)


def ignores_range(data):
    """200 with the whole content, for every request."""
    return lambda x: x.answer(200, data)


def shifted_range(data, by):
    """A 206 that starts `by` bytes off, and says so."""

    def behave(x):
        start = max(0, (x.start or 0) + by)
        where = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        x.answer(206, data[start:], where)

    return behave


def wrong_total(data, total):
    """A 206 of the right bytes with a wrong total."""

    def behave(x):
        end = x.end or len(data)
        start = x.start or 0
        x.answer(206, data[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{total}"})

    return behave


def cut_short(data, after, reset=False):
    """Promises the requested bytes, sends `after` of them, and ends the connection."""

    def behave(x):
        start, end = x.promise(data)
        x.body(data[start : min(end, start + after)])
        if reset:
            x.reset()
        else:
            x.hang_up()

    return behave


def silent(data=b"", after=0):
    """Sends `after` bytes and then nothing, until the test ends."""

    def behave(x):
        if after:
            x.head(200, {"Content-Length": len(data)})
            x.body(data[:after])
        x.server.released.wait()
        x.hang_up()

    return behave


def in_parts(data, size, gate=None):
    """`size` of the requested bytes, and the rest when `gate`, an event, is set, or the test ends."""

    def behave(x):
        start, end = x.promise(data)
        x.body(data[start : start + size])
        (gate or x.server.released).wait()
        x.body(data[start + size : end])

    return behave


def endless(data):
    """No length, and more than the whole content."""

    def behave(x):
        x.head(200, {"Connection": "close"})
        x.body(data)
        while not x.server.released.is_set():
            x.body(bytes(1 << 16))

    return behave


def in_steps(data, ends, gate, with_length=True):
    """Sends up to each of `ends` in turn, waiting for `gate`, a semaphore, between them; then it is silent."""

    def behave(x):
        x.head(200, {"Content-Length": len(data)} if with_length else {"Connection": "close"})
        at = 0
        for end in ends:
            if at:
                gate.acquire()
            x.body(data[at:end])
            at = end
        x.server.released.wait()
        x.hang_up()

    return behave
