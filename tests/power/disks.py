# SPDX-License-Identifier: Apache-2.0
"""
A disk whose power is cut: the program `disk` (disk.c), a loop device on it and a file system on that; and the tape of
what reached it.
"""

import collections
import contextlib
import ctypes
import os
import pathlib
import struct
import subprocess

import servers

MIB = 1 << 20
BLOCK = 4096  # IMAGE_BLOCK
JBD2_MAGIC = bytes.fromhex("c03b3998")  # at the start of a block of an ext4 journal
HEAD = struct.Struct("=IIQ")  # struct tape_head: kind, length, offset
KINDS = {ord(letter): letter for letter in "SWFM"}  # enum tape_kind: size, write, flush, mark
MS_RDONLY, MS_NOATIME = 1, 1024
READ_AHEAD_KIB = 2048

Kind = collections.namedtuple("Kind", "size make options mount")
FILE_SYSTEMS = {  # `make` gets the device as its last word, `mount` is for mount(2) as `options` are
    "ext4": Kind(32 * MIB, ["mkfs.ext4", "-q", "-F", "-b4096", "-N512", "-Elazy_itable_init=0,lazy_journal_init=0,nodiscard"],
                 "commit=1", "ext4"),
    "xfs": Kind(300 * MIB, ["mkfs.xfs", "-q", "-f", "-K"], "nouuid,nodiscard", "xfs"),
    "btrfs": Kind(128 * MIB, ["mkfs.btrfs", "-q", "-f", "-K"], "commit=1,nodiscard", "btrfs"),
}

libc = ctypes.CDLL(None, use_errno=True)


def sure(result, what):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


@contextlib.contextmanager
def mounted(device, directory, kind, flags=0):
    """Mounting replays the journal, even with MS_RDONLY."""
    what = FILE_SYSTEMS[kind]
    words = [str(word).encode() for word in (device, directory, what.mount)]
    sure(libc.mount(*words, ctypes.c_ulong(MS_NOATIME | flags), what.options.encode()), f"cannot mount the {kind}")
    try:
        yield
    finally:
        sure(libc.umount2(words[1], 0), f"cannot unmount the {kind}")


class Disk:
    """The program `disk` in one of its two modes, and a loop device on its file."""

    def __init__(self, program, directory, tape, size=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        way = ["record", self.directory, tape, size] if size else ["replay", self.directory, tape]
        self.process = subprocess.Popen([program, *(str(word) for word in way)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.device = None
        servers.wait_for("the disk to appear", self.is_there)
        self.mark_path = self.directory / "mark"
        self.device = subprocess.run(["losetup", "-f", "--show", "-b4096", self.directory / "disk"], check=True, text=True,
                                     capture_output=True).stdout.strip()
        name = pathlib.Path(self.device).name
        pathlib.Path(f"/sys/block/{name}/queue/read_ahead_kb").write_text(str(READ_AHEAD_KIB))

    def is_there(self):
        assert self.process.poll() is None, "the disk ended"
        return os.path.ismount(self.directory)

    @contextlib.contextmanager
    def warm(self, begin, end):
        """Read that part of the disk at once, which is faster than block by block."""
        fd = os.open(self.device, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, begin, end - begin, os.POSIX_FADV_WILLNEED)
            yield
        finally:
            os.close(fd)

    def mark(self, *words):
        with open(self.mark_path, "wb", buffering=0) as f:
            f.write((" ".join(str(word) for word in words) + "\n").encode())

    def cut(self, *words):
        """Become the disk after a cut: "worst N", "prefix N", "random N SEED". Returns a sum of the surviving blocks."""
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] == "ok", f"the disk does not answer to '{words}'"
        return answer[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=True)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Tape:
    """
    The content of a tape: `entries` are (kind, text of a mark), `blocks` the number that a write touches, `journal` the
    first and last byte written by the journal. The tape may grow.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.entries, self.blocks, self.journal, self.at = [], [], (0, 0), 0

    def read(self):
        """The new entries since the last call."""
        new = []
        with open(self.path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            while self.at + HEAD.size <= size:
                f.seek(self.at)
                kind, length, offset = HEAD.unpack(f.read(HEAD.size))
                if self.at + HEAD.size + length > size:
                    break
                data = f.read(length if KINDS[kind] == "M" else len(JBD2_MAGIC))
                text = data.decode(errors="replace") if KINDS[kind] == "M" else ""
                if KINDS[kind] == "W" and data == JBD2_MAGIC:
                    self.journal = min(self.journal[0] or offset, offset), max(self.journal[1], offset + length)
                new.append((KINDS[kind], text))
                self.blocks.append((offset + length - 1) // BLOCK - offset // BLOCK + 1)
                self.at += HEAD.size + length
        self.entries += new
        return new
