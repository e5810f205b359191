#!/usr/bin/python3
"""
Try forbidden things, from inside a unit's sandbox or as some user, and print what came of each as JSON: "ok", or the
name of the error.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, PTRACE_ATTACH = 0x10000000, 16


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
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


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
    "write below blobs": lambda: write("/var/lib/sluice/blobs/sha256/probe"),
    "write in the store": lambda: write("/var/lib/sluice/probe"),
    "write in the runtime directory": lambda: write("/run/sluice/probe"),
    "connect to a control socket": lambda: connect("/run/sluice/ingest.ctl"),
    "connect to a data pipe": lambda: connect("/run/sluice/pipes/chunks"),
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
    "make a namespace": lambda: call("unshare", CLONE_NEWUSER),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "set the host name": lambda: socket.sethostname("probe"),
    "write to what is executed": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "make a setuid file": make_setuid,
    "run in real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
}


def outcome(act):
    try:
        act()
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


json.dump({name: outcome(act) for name, act in ACTS.items()}, sys.stdout)
