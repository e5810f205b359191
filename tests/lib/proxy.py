# SPDX-License-Identifier: Apache-2.0
"""A small HTTP proxy: CONNECT for https, whole URLs for http. It records the request headers."""

import base64
import select
import socket
import socketserver
import threading
import urllib.parse

from badserver import STOP_POLL_S

PIECE = 1 << 16


def read_head(connection):
    """Read up to the empty line. Nobody sends more before the answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(PIECE)
        if not piece:
            return b""
        head += piece
    return head


def relay(one, other):
    """Copy bytes in both directions until either side ends."""
    ends = {one: other, other: one}
    while True:
        for ready in select.select(list(ends), [], [])[0]:
            piece = ready.recv(PIECE)
            if not piece:
                return
            ends[ready].sendall(piece)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.serve(read_head(self.request))
        except OSError:
            pass  # a client or server has gone, which the test checks

    def serve(self, head):
        if not head:
            return
        proxy = self.server.owner
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
        with proxy.lock:
            proxy.heads.append(head.decode())
        if proxy.wanted and f"Proxy-Authorization: {proxy.wanted}\r\n" not in head.decode():
            self.request.sendall(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
            return
        if proxy.endless:
            self.request.sendall(proxy.begin)
            while True:
                self.request.sendall(proxy.endless)
        place = target if method == "CONNECT" else urllib.parse.urlsplit(target).netloc
        host, port = proxy.names.get(place, place).rsplit(":", 1)
        with socket.create_connection((host, int(port))) as origin:
            if method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Fine\r\n\r\n")
            else:
                origin.sendall(self.forwarded(head, target))
            relay(self.request, origin)

    @staticmethod
    def forwarded(head, target):
        """The header for the origin: its path, no fields for the proxy, and one request per connection."""
        lines = head.decode().split("\r\n")
        lines[0] = lines[0].replace(target, urllib.parse.urlsplit(target).path, 1)
        kept = [line for line in lines if not line.lower().startswith("proxy-")]
        return "\r\n".join(kept[:1] + ["Connection: close"] + kept[1:]).encode()


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Proxy:
    """
    `password`: the required "user:word". `begin`, `endless`: bytes sent in place of an answer, the latter repeated for
    ever. `names`: targets of hosts that only the proxy resolves, {"host:port": "host:port"}.
    """

    def __init__(self, password=None, begin=b"", endless=b"", names=()):
        self.names = dict(names)
        self.begin, self.endless = begin, endless
        self.wanted = "Basic " + base64.b64encode(password.encode()).decode() if password else None
        self.heads, self.lock = [], threading.Lock()
        self.server = Threads(("127.0.0.1", 0), Handler)
        self.server.owner = self
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(STOP_POLL_S,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
