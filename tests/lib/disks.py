# SPDX-License-Identifier: Apache-2.0
"""Small file systems to fill up, each made for one test."""

import contextlib
import os
import pathlib
import shutil
import subprocess

MIB = 1 << 20


def run(*command):
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def why_not(kind):
    """Why this machine cannot mount a file system of that kind; None: it can."""
    probe = {
        "tmpfs": "mount -t tmpfs none /mnt",
        "ramfs": "mount -t ramfs none /mnt",
        "ext4": "truncate -s 8M /tmp/$$.img; trap 'rm /tmp/$$.img' EXIT; mkfs.ext4 -q /tmp/$$.img; mount -o loop /tmp/$$.img /mnt",
        "btrfs": "truncate -s 128M /tmp/$$.img; trap 'rm /tmp/$$.img' EXIT; mkfs.btrfs -q /tmp/$$.img; mount -o loop /tmp/$$.img /mnt",
        "xfs": "truncate -s 400M /tmp/$$.img; trap 'rm /tmp/$$.img' EXIT; mkfs.xfs -q /tmp/$$.img; mount -o loop /tmp/$$.img /mnt",
        "vfat": "truncate -s 8M /tmp/$$.img; trap 'rm /tmp/$$.img' EXIT; mkfs.vfat /tmp/$$.img; mount -o loop /tmp/$$.img /mnt",
    }[kind]
    tried = subprocess.run(["unshare", "--mount", "sh", "-ec", probe], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no {kind} can be mounted here: {tried.stderr.strip()}"


class Disk:
    """A mounted file system with a file `ballast` to fill it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.ballast = self.path / "ballast"

    @property
    def is_tmpfs(self):
        found = subprocess.run(["stat", "--file-system", "--format=%T", self.path], check=True, capture_output=True)
        return found.stdout == b"tmpfs\n"

    @property
    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, size):
        """Fill it except for `size` bytes."""
        self.ballast.unlink(missing_ok=True)
        with open(self.ballast, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, self.free - size)

    def fill(self):
        """Fill it completely."""
        with contextlib.suppress(OSError), open(self.ballast, "ab", buffering=0) as f:
            while f.write(bytes(1 << 16)):
                pass
        with contextlib.suppress(OSError), open(self.ballast, "ab", buffering=0) as f:
            while f.write(b"!"):
                pass

    def drain(self):
        self.ballast.unlink()

    def take_inodes(self, left):
        """Create empty files until only this many inodes are left."""
        directory = self.path / "inodes"
        directory.mkdir()
        for i in range(os.statvfs(self.path).f_favail - left):
            (directory / str(i)).touch()

    def free_inodes(self):
        shutil.rmtree(self.path / "inodes")


@contextlib.contextmanager
def mounted(path, *words):
    path.mkdir()
    run("mount", *words, path)
    try:
        yield Disk(path)
    finally:
        run("umount", "--lazy", path)


@contextlib.contextmanager
def on_loop(kind, directory, size, *options):
    """A file system in a file."""
    image = directory / f"{kind}.img"
    with open(image, "wb") as f:
        f.truncate(size)
    run(f"mkfs.{kind}", *([] if kind == "vfat" else ["-q"]), *options, image)
    with mounted(directory / "disk", "-o", "loop", image) as disk:
        yield disk


def tmpfs(directory, size, inodes=0):
    """`inodes`: 0 means no limit."""
    return mounted(directory / "disk", "-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes}", "none")


def ramfs(directory):
    """It says that it has 0 blocks, and has as many as there is memory."""
    return mounted(directory / "disk", "-t", "ramfs", "none")


def ext4(directory, size):
    return on_loop("ext4", directory, size, "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=0")


class Quota(Disk):
    """A subvolume of btrfs with a limit that statvfs(2) does not show."""

    def __init__(self, path):
        super().__init__(path)
        run("btrfs", "subvolume", "create", path)

    def limit(self, size):
        run("btrfs", "qgroup", "limit", size or "none", self.path)


@contextlib.contextmanager
def quota(directory, size):
    with on_loop("btrfs", directory, size) as disk:
        run("btrfs", "quota", "enable", disk.path)
        yield Quota(disk.path / "limited")
