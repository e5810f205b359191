# SPDX-License-Identifier: Apache-2.0
"""
Delay the packets of a netfilter queue, without any library:

    delay.py QUEUE DELAY_MS JITTER_MS

Prints "ready", and at the end of standard input the number of packets. With jitter, packets overtake each other.
"""

import heapq
import random
import select
import socket
import struct
import sys
import time

NETLINK_NETFILTER, NFNL_SUBSYS_QUEUE = 12, 3
PACKET, VERDICT, CONFIG = 0, 1, 2
ACCEPT = 1
COPY_META = 1


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(kind, queue, payload):
    body = struct.pack(">BBH", 0, 0, queue) + payload
    return struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | kind, 1, 0, 0) + body


def packet_ids(data):
    """The ids of the packets in data from netlink."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind == NFNL_SUBSYS_QUEUE << 8 | PACKET:
            at = 20
            while at + 4 <= length:
                size, attribute_kind = struct.unpack_from("=HH", data, at)
                if attribute_kind == 1:
                    yield struct.unpack_from(">I", data, at + 4)[0]
                at += (max(size, 4) + 3) & ~3
        data = data[(length + 3) & ~3 :]


def main():
    queue, delay_ms, jitter_ms = map(int, sys.argv[1:])
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    netlink.bind((0, 0))
    netlink.send(message(CONFIG, queue, attribute(1, struct.pack(">BBH", 1, 0, 0))))  # bind
    netlink.send(message(CONFIG, queue, attribute(2, struct.pack(">IB", 0, COPY_META))))
    netlink.send(message(CONFIG, queue, attribute(3, struct.pack(">I", 65536))))  # the longest queue
    print("ready", flush=True)
    held, count = [], 0
    while True:
        wait_s = max(0, held[0][0] - time.monotonic()) if held else None
        readable = select.select([netlink, sys.stdin], [], [], wait_s)[0]
        if netlink in readable:
            for packet in packet_ids(netlink.recv(1 << 16)):
                count += 1
                due = time.monotonic() + (delay_ms + random.uniform(-jitter_ms, jitter_ms)) / 1000
                heapq.heappush(held, (due, packet))
        while held and held[0][0] <= time.monotonic():
            _, packet = heapq.heappop(held)
            netlink.send(message(VERDICT, queue, attribute(2, struct.pack(">II", ACCEPT, packet))))
        if sys.stdin in readable:
            print(count)
            return


if __name__ == "__main__":
    main()
