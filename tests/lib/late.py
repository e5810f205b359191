# SPDX-License-Identifier: Apache-2.0
"""
A server far away: a relay to `address` that passes on each request `latency_s` later, and the answers at once. What it
holds of a connection is limited, so a client that reads slowly slows the server.
"""

import contextlib
import socket
import socketserver
import threading
import time

BUFFER = 128 << 10  # of a socket; the kernel doubles it
PIECE = 64 << 10


def pump(source, target, latency_s):
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            if latency_s:
                time.sleep(latency_s)
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.socket() as server:
            for one in (server, self.request):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect(self.server.target)
            requests = threading.Thread(target=pump, args=(self.request, server, self.server.latency_s), daemon=True)
            requests.start()
            pump(server, self.request, 0)
            requests.join()


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


class Late:
    def __init__(self, address, latency_s):
        host, _, port = address.rpartition(":")
        self.relay = Threads(("127.0.0.1", 0), Handler)
        self.relay.target, self.relay.latency_s = (host, int(port)), latency_s
        self.address = f"127.0.0.1:{self.relay.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.relay.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.relay.shutdown()
        self.relay.server_close()
