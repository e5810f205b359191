#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Try forbidden acts, inside a unit's sandbox or as some user, and print the result of each as JSON: "ok", or the name of
the error.

    probe [PID [PLACE...]]

PID is another process, to be attacked. For each PLACE in the runtime directory: whether a socket can be connected to, a
file opened, an entry created in a directory, and any of them renamed.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, PTRACE_ATTACH = 0x10000000, 16
LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1  # the number is the same on all architectures


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def write(path):
    with open(path, "wb") as f:
        f.write(b"x")
    os.unlink(path)


def read(path):
    with open(path, "rb") as f:
        f.read(1)


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(path)


def connect_pipe(path):
    """With nanomsg's handshake, because nanomsg keeps a peer that leaves without one, and sends to it."""
    pulls = path.endswith(("/orders", "/receipts"))
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"\0SP\0\0" + (b"\x51" if pulls else b"\x50") + b"\0\0")
        s.recv(8, socket.MSG_WAITALL)


def rename(path):
    """A process that can do this can replace the file."""
    os.rename(path, path + "-moved")
    os.rename(path + "-moved", path)


def capabilities():
    with open("/proc/self/status", encoding="ascii") as f:
        held = [line.split()[1] for line in f if line.startswith("Cap")]
    if len(held) == 5 and not any(int(each, 16) for each in held):
        raise OSError(errno.EPERM, "none")


def give_away():
    path = "/tmp/probe-owned"
    with open(path, "wb"):
        pass
    os.chown(path, 1, -1)


def other_pid():
    return int(sys.argv[1]) if len(sys.argv) > 1 else 1


def make_setuid():
    path = "/tmp/probe-setuid"
    with open(path, "wb"):
        pass
    os.chmod(path, 0o4755)


ACTS = {
    "list the store": lambda: os.listdir("/var/lib/sluice"),
    "read index.json": lambda: read("/var/lib/sluice/index.json"),
    "write below ingest": lambda: write("/var/lib/sluice/ingest/probe"),
    "list commitd's custody": lambda: os.listdir("/var/lib/sluice/commit"),
    "lock the store": lambda: read("/var/lib/sluice/commit/lock"),  # whoever can open it can lock it
    "lock ingest": lambda: read("/var/lib/sluice/ingest/lock"),
    "write below blobs": lambda: write("/var/lib/sluice/blobs/sha256/probe"),
    "write in the store": lambda: write("/var/lib/sluice/probe"),
    "open an IPv4 socket": lambda: socket.socket(socket.AF_INET),
    "open an IPv6 socket": lambda: socket.socket(socket.AF_INET6),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "write in /usr": lambda: write("/usr/probe"),
    "write in /etc": lambda: write("/etc/probe"),
    "write in /var": lambda: write("/var/probe"),
    "write in /dev/shm": lambda: write("/dev/shm/probe"),
    "see the real /tmp": lambda: os.stat("/tmp/probe-of-the-real-tmp"),
    "read /root": lambda: os.listdir("/root"),
    "read /home": lambda: read("/home/secret"),
    "read /etc/shadow": lambda: read("/etc/shadow"),
    "open a disk": lambda: os.open("/dev/probe-disk", os.O_RDONLY),
    "read a kernel setting": lambda: read("/proc/sys/kernel/hostname"),
    "see other processes": lambda: os.listdir(f"/proc/{other_pid()}"),
    "signal another process": lambda: os.kill(other_pid(), 0),
    "trace another process": lambda: call("ptrace", PTRACE_ATTACH, other_pid(), None, None),
    "become root": lambda: os.setuid(0),
    "hold a capability": capabilities,
    "give a file away": give_away,
    "make a device": lambda: os.mknod("/tmp/probe-device", 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
    "change the root": lambda: os.chroot("/"),
    "make a namespace": lambda: call("unshare", CLONE_NEWUSER),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "set the host name": lambda: socket.sethostname("probe"),
    "write to what is executed": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "make a setuid file": make_setuid,
    "restrict itself by Landlock": lambda: call("syscall", LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION),
    "run in real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
}


def outcome(act):
    try:
        act()
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def tries(path):
    """What to try there. The name decides, because a process that cannot enter a directory cannot stat its entries."""
    name = path.rsplit("/", 1)[1]
    if name in ("lock", "holder", "services"):
        return {"open": read, "rename": rename}
    if name == "ctl":
        return {"connect": connect, "rename": rename}
    if name in ("orders", "chunks", "seals", "receipts"):
        return {"connect": connect_pipe, "rename": rename}
    return {"make": lambda directory: write(directory + "/probe"), "rename": rename}


found = {name: outcome(act) for name, act in ACTS.items()}
for place in sys.argv[2:]:
    for name, act in tries(place).items():
        found[f"{name} {place}"] = outcome(lambda act=act, place=place: act(place))
json.dump(found, sys.stdout)
