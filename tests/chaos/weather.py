# SPDX-License-Identifier: Apache-2.0
"""The faults of chaos around the programs: network, time of day, disk."""

import contextlib
import ctypes
import multiprocessing
import os
import pathlib
import random
import select
import socket
import struct
import subprocess
import threading
import time

MIB = 1 << 20
PIECE = 128 << 10
LATER_S = 0.01  # until a connection notices a change


class Network:
    """
    A link to a server, in a process of its own. It has a plan for each connection, which may be slow, end early in
    order or not, fall silent, or be refused. All connections can be cut at once, and the weather made calm.
    """

    KINDS = ("clean", "slow", "ends", "breaks", "falls silent", "refused")
    WEIGHTS = (50, 15, 12, 12, 6, 5)
    SLOW = (3 * MIB, 10 * MIB, 40 * MIB)  # bytes per second
    SILENCES_S = (0.1, 1.0, 3.0)

    def __init__(self, server_port):
        self.server_port = server_port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        shared = multiprocessing.Value
        self.seed = shared(ctypes.c_uint64, 0)
        self.is_rough = shared(ctypes.c_bool, False)
        self.cut_count = shared(ctypes.c_uint64, 0)  # requests to cut everything
        self.sent = shared(ctypes.c_uint64, 0)  # bytes to clients
        self.broken = shared(ctypes.c_uint64, 0)  # connections that ended because of us
        self.open = shared(ctypes.c_int64, 0)
        self.process = multiprocessing.Process(target=self.serve, daemon=True)
        self.process.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()
        self.listener.close()

    # ── orders ──

    def begin(self, seed):
        """Start rough weather, which follows from the seed, until calm()."""
        self.seed.value = seed
        self.is_rough.value = True

    def calm(self):
        self.is_rough.value = False

    def cut(self):
        """Break every connection."""
        self.cut_count.value += 1

    # ── in the other process ──

    @staticmethod
    def add(counter, amount):
        with counter.get_lock():
            counter.value += amount

    def serve(self):
        seed, choices = None, None
        while True:
            client, _ = self.listener.accept()
            if self.seed.value != seed:
                seed = self.seed.value
                choices = random.Random(seed)
            plan = (
                choices.choices(self.KINDS, self.WEIGHTS)[0],
                choices.choice(self.SLOW),
                choices.randrange(16 * MIB),
                choices.choice(self.SILENCES_S),
            )
            self.add(self.open, 1)
            threading.Thread(target=self.carry, args=(client, plan), daemon=True).start()

    def carry(self, client, plan):
        server = None
        try:
            if plan[0] == "refused" and self.is_rough.value:
                self.add(self.broken, 1)
                self.reset(client)
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            self.forward(client, server, plan)
        except OSError:
            pass  # one end has gone, so the other ends, too
        finally:
            for end in (client, server):
                if end:
                    end.close()
            self.add(self.open, -1)

    @staticmethod
    def reset(end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def forward(self, client, server, plan):
        kind, rate, limit, silence_s = plan
        cuts, passed = self.cut_count.value, 0
        while True:
            readable, _, _ = select.select([client, server], [], [], LATER_S)
            rough = self.is_rough.value
            if self.cut_count.value != cuts:
                self.add(self.broken, 1)
                self.reset(client)
                return
            if client in readable:
                data = client.recv(PIECE)
                if not data:
                    return
                server.sendall(data)
            if server not in readable:
                continue
            data = server.recv(PIECE)
            if not data:
                return
            client.sendall(data)
            self.add(self.sent, len(data))
            passed += len(data)
            if rough and kind == "slow":
                time.sleep(len(data) / rate)
            elif rough and passed > limit and kind in ("ends", "breaks", "falls silent"):
                self.add(self.broken, 1)
                if kind == "falls silent":
                    time.sleep(silence_s)
                if kind != "ends":
                    self.reset(client)
                return


class Clock:
    """The time of day of the programs (tests/lib/warp.c)."""

    JUMPS_S = (-400 * 86400, -3600, -5, 5, 3600, 400 * 86400)

    def __init__(self, library, directory):
        self.path = pathlib.Path(directory) / "warp"
        self.environment = {"LD_PRELOAD": str(library), "WARP": str(self.path)}
        self.set(0)

    def set(self, wrong_by_s):
        with open(self.path, "r+b" if self.path.exists() else "w+b") as f:  # in place: it is mapped
            f.write(struct.pack("q", wrong_by_s))


class Disk:
    """A small file system that can be filled; `kind`: tmpfs or ext4."""

    def __init__(self, kind, directory, size):
        self.kind, self.directory = kind, pathlib.Path(directory)
        self.image, self.filler = self.directory.with_suffix(".image"), self.directory / "filler"
        self.directory.mkdir()
        if kind == "tmpfs":
            self.quiet("mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", self.directory)
        else:
            with open(self.image, "wb") as f:
                f.truncate(size)
            self.quiet("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
            self.quiet("mount", "-o", "loop", self.image, self.directory)

    @staticmethod
    def quiet(*command):
        subprocess.run(command, check=True, capture_output=True)

    def remove(self):
        subprocess.run(["umount", "--lazy", self.directory], check=False)
        self.image.unlink(missing_ok=True)

    @property
    def is_full(self):
        return self.filler.exists()

    def fill(self):
        """Fill this file system, while programs use it."""
        assert os.path.ismount(self.directory), f"'{self.directory}' is no longer mounted"
        with open(self.filler, "ab") as f:
            for piece in (8 * MIB, MIB, 64 << 10, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, piece)

    def drain(self):
        self.filler.unlink(missing_ok=True)


def disks(directory, size):
    """The kinds of disks that this machine can mount, and the reason if there is none."""
    found, why = [], ""
    for kind in ("tmpfs", "ext4"):
        try:
            found.append(Disk(kind, pathlib.Path(directory) / kind, size))
        except (OSError, subprocess.CalledProcessError) as error:
            why = (getattr(error, "stderr", b"") or str(error).encode()).decode().strip()
    return found, why
