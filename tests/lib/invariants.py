#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Invariants of a store, which hold whatever was killed:

    tests/lib/invariants.py STORE [--settled] [--runtime DIR]

Prints a line for each violation, and exits with 1 if there is one. --settled: the stages have started and stopped
cleanly since the last fault, so nothing incomplete may be left. --runtime: no stage runs there any more, so nothing
holds a lock, a socket or a file of either.

 - every name in blobs/ hashes to itself and has mode 0444
 - index.json is valid and names only complete images, except for what a check has found damaged
 - data in commitd's custody is sealed, and its ingest exists; nobody else can enter that directory
 - every ingest has a ref and an age; it can resume from its data, or has the reason why it stopped
 - no slot covers bytes that are missing
 - no lock can be opened by another user
 - every file, lock, descriptor and socket is explained by a state
"""

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import stat
import sys
import zlib

HEX_DIGITS = {"sha256": 64, "sha512": 128}
INGEST_FILES = {"transfer", "data", "checkpoint", "lock"}
IMAGE_LAYOUT_VERSION = "1.0.0"
RECORD_END = "end=1\n"
SLOT_BYTES, DURABLE_SLOTS = 512, (4096, 8192)  # as in ingestd/disk/checkpoint.h
RUNTIME_FILES = re.compile(r"(fetchd|ingestd|commitd)(/(lock|holder))?|fetch|seal|up\.lock|users|supervisor|log")
INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}


LEASE = re.compile(r"for=[^\n]*\nuid=[0-9]+\nboot=[0-9a-f]{32}\nat=[0-9]+\nttl=[0-9]+\n(firm=1\n)?")


class Checker:
    def __init__(self, store, settled):
        self.store = pathlib.Path(store)
        self.settled = settled
        self.problems = []

    def wrong(self, path, what):
        self.problems.append(f"'{path}': {what}")

    def check(self):
        if not self.store.exists():
            return
        known = {"oci-layout", "index.json", "blobs", "ingest", "commit", "leases", "quarantine", "sluice-format"}
        for entry in sorted(self.store.iterdir()):
            if entry.name not in known:
                self.unexplained(entry)
        self.layout_file()
        self.blobs()
        self.names()
        self.taken()
        self.leases()
        self.ingests()
        self.locks()

    def unexplained(self, path):
        if self.settled:
            self.wrong(path, "no state explains it")

    # ── the OCI layout ──

    def load(self, path):
        if not is_regular(path):
            self.wrong(path, "not a regular file")
            return {}
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            self.wrong(path, f"not readable as JSON: {error}")
            return {}

    def layout_file(self):
        path = self.store / "oci-layout"
        if os.path.lexists(path):
            if self.load(path).get("imageLayoutVersion") != IMAGE_LAYOUT_VERSION:
                self.wrong(path, f"not an OCI layout of version {IMAGE_LAYOUT_VERSION}")
        elif (self.store / "blobs").exists() and self.settled:
            self.wrong(path, "missing")

    def blobs(self):
        root = self.store / "blobs"
        for directory in sorted(root.iterdir()) if root.exists() else []:
            digits = HEX_DIGITS.get(directory.name)
            if not digits:
                self.unexplained(directory)
                continue
            for path in sorted(directory.iterdir()):
                self.blob(path, directory.name, digits)

    def blob(self, path, algorithm, digits):
        if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", path.name):
            self.wrong(path, "not the name of a blob")
            return
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            self.wrong(path, "not a regular file")
            return
        if stat.S_IMODE(status.st_mode) != 0o444:
            self.wrong(path, f"mode {stat.S_IMODE(status.st_mode):o}, not 444")
        if status.st_nlink != 1 and self.settled:  # after a kill between link and unlink there are two for a while
            self.wrong(path, f"{status.st_nlink} links")
        running = hashlib.new(algorithm)
        with open(path, "rb") as f:
            while piece := f.read(1 << 20):
                running.update(piece)
        if running.hexdigest() != path.name:
            self.wrong(path, f"its bytes hash to {running.hexdigest()}")

    def names(self):
        path = self.store / "index.json"
        if not os.path.lexists(path):
            return
        index = self.load(path)
        if index.get("schemaVersion") != 2 or not isinstance(index.get("manifests"), list):
            self.wrong(path, "not an image index")
            return
        seen = set()
        for entry in index["manifests"]:
            name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
            if name is not None and name in seen:
                self.wrong(path, f"the name '{name}' appears twice")
            seen.add(name)
            if entry.get("mediaType") not in INDEXES | MANIFESTS:
                self.wrong(path, f"'{name}' is a '{entry.get('mediaType')}', no image")
            left_out = entry.get("annotations", {}).get("vnd.sluice.left-out", "")
            self.whole(entry, f"image '{name}'", left_out.split(","))

    def whole(self, descriptor, subject, left_out):
        """Check that everything below the descriptor is stored with its size, or listed as left out."""
        algorithm, _, digits = str(descriptor.get("digest", "")).partition(":")
        path = self.store / "blobs" / algorithm / digits
        if not path.exists() and descriptor.get("urls") and descriptor["digest"] in left_out:
            return
        if digits and not os.path.lexists(path) and os.path.lexists(self.store / "quarantine" / digits):
            return  # it was damaged, and a check has said so
        if not digits or not path.is_file():
            self.wrong(path, f"missing, and {subject} needs it")
            return
        if path.stat().st_size != descriptor.get("size"):
            self.wrong(path, f"{path.stat().st_size} bytes, where {subject} says {descriptor.get('size')}")
        media_type = descriptor.get("mediaType")
        if media_type in INDEXES:
            children = self.load(path).get("manifests") or []
        elif media_type in MANIFESTS:
            document = self.load(path)
            children = [document.get("config", {}), *(document.get("layers") or [])]
        else:
            children = []
        for child in children:
            self.whole(child, subject, left_out)

    # ── locks ──

    def locks(self):
        for path in (self.store / "commit/lock", self.store / "commit/claims", self.store / "leases/lock", self.store / "ingest/lock", *self.store.glob("ingest/*/lock")):
            if is_regular(path) and stat.S_IMODE(path.lstat().st_mode) != 0o600:
                self.wrong(path, f"mode {stat.S_IMODE(path.lstat().st_mode):o}: others can lock it")

    # ── commitd's custody ──

    def taken(self):
        root = self.store / "commit"
        if not os.path.lexists(root):
            return
        if not root.is_dir() or stat.S_IMODE(root.lstat().st_mode) & 0o777 != 0o700:
            self.wrong(root, "not a directory that only its owner can enter")
            return
        for path in sorted(root.iterdir()):
            transfer = self.store / "ingest" / path.name / "transfer"
            if path.name in ("lock", "claims"):
                continue
            if path.name == ".document":
                self.unexplained(path)
                continue
            if not re.fullmatch(r"[0-9a-f]{64}", path.name) or not is_regular(path):
                self.wrong(path, "not the data of an ingest")
            elif stat.S_IMODE(path.lstat().st_mode) != 0o444:
                self.wrong(path, f"in custody with mode {stat.S_IMODE(path.lstat().st_mode):o}, not 444")
            elif not is_regular(transfer) or "sealed" not in (last_record(transfer.read_text(errors="replace")) or {}):
                self.unexplained(path)

    # ── leases ──

    def leases(self):
        root = self.store / "leases"
        for path in sorted(root.iterdir()) if root.exists() else []:
            if path.name in ("lock", "unneeded", "checked", "checking"):
                continue
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*\.lease", path.name) or not is_regular(path):
                self.unexplained(path)
            elif not LEASE.match(path.read_text(errors="replace")):
                self.wrong(path, "does not begin like a lease")
        for path in sorted((self.store / "quarantine").glob("*")):
            if not re.fullmatch(r"[0-9a-f]{64}([0-9a-f]{64})?", path.name):
                self.unexplained(path)

    # ── ingests ──

    def ingests(self):
        root = self.store / "ingest"
        for directory in sorted(root.iterdir()) if root.exists() else []:
            if directory.name in ("lock", "ages", ".ages.new"):
                continue
            if not directory.is_dir() or directory.is_symlink() or not re.fullmatch(r"[0-9a-f]{64}", directory.name):
                self.unexplained(directory)
                continue
            files = {path.name for path in directory.iterdir()}
            for name in sorted(files - INGEST_FILES):
                self.unexplained(directory / name)
            foreign = {name for name in files & INGEST_FILES if not is_regular(directory / name)}
            for name in sorted(foreign):
                self.unexplained(directory / name)
            self.transfer(directory, files - foreign)

    def transfer(self, directory, files):
        path = directory / "transfer"
        if "transfer" not in files:
            self.unexplained(directory)
            return
        keys = last_record(path.read_text(errors="replace"))
        if keys is None:
            if self.settled:
                self.wrong(path, "has no whole record")
            return
        if hashlib.sha256(keys.get("ref", "").encode()).hexdigest() != directory.name:
            self.wrong(path, f"the ref '{keys.get('ref')}' does not belong to this directory")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", keys.get("started", "")):
            self.wrong(path, "does not say since when")
        if "failed" in keys and not keys.get("error"):
            self.wrong(path, "failed, and does not say why")
        data = directory / "data"
        if "data" not in files and is_regular(self.store / "commit" / directory.name):
            data = self.store / "commit" / directory.name
        size = data.stat().st_size if is_regular(data) else None
        if "size" in keys and size is not None and size > int(keys["size"]):
            self.wrong(data, f"{size} bytes, more than the {keys['size']} of the whole")
        if "sealed" in keys:
            self.sealed(data, size, keys)
        if size is not None or not self.is_stored(keys):
            self.slots(directory, size or 0)

    def is_stored(self, keys):
        """The data has moved. A power cut may leave the blob's name with a record from before the seal."""
        algorithm, _, digits = keys.get("digest", "").partition(":")
        return bool(digits) and (self.store / "blobs" / algorithm / digits).exists()

    def sealed(self, data, size, keys):
        """The whole data is here, or has moved to its name."""
        algorithm, _, digits = keys["sealed"].partition(":")
        if size is None and not (self.store / "blobs" / algorithm / digits).exists():
            self.wrong(data, f"sealed, and neither here nor in blobs/ as '{keys['sealed']}'")
        if size is not None and size != int(keys.get("size", -1)):
            self.wrong(data, f"{size} bytes, sealed with {keys.get('size')}")

    def slots(self, directory, size):
        path = directory / "checkpoint"
        for offset in durable_offsets(path) if is_regular(path) else ():
            if offset > size:
                self.wrong(path, f"vouches for {offset} bytes, of which {size} are there")


def is_regular(path):
    """Without following links. Nothing else may be opened, because opening a FIFO blocks."""
    return os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)


def last_record(text):
    """The keys of the last whole record, or None."""
    *whole, _ = text.split(RECORD_END)
    return dict(line.partition("=")[::2] for line in whole[-1].splitlines()) if whole else None


def durable_offsets(checkpoint):
    """The offset of each valid durable slot."""
    content = checkpoint.read_bytes()
    slots = [content[at : at + SLOT_BYTES] for at in DURABLE_SLOTS]
    return [offset for slot in slots if (offset := durable_offset(slot, checkpoint.parent.name)) is not None]


def durable_offset(slot, ingest):
    """The offset of a durable slot of this ingest, or None if it is invalid."""
    is_whole = len(slot) == SLOT_BYTES and zlib.crc32(slot[:-4]) == int.from_bytes(slot[-4:], "big")
    if not is_whole or not slot.startswith(b"SLUICECP") or slot[80:112].hex() != ingest:
        return None
    return int.from_bytes(slot[24:32], "big")


# ── leftovers of processes ──


def open_below(pids, *directories):
    """(pid, path) of every descriptor of these processes below the directories. `pids` None: of all but this process."""
    places = tuple(f"{os.path.realpath(directory)}/" for directory in directories)
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()) if pids is None else pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd") if pid != os.getpid() else ():
                with contextlib.suppress(OSError):
                    path = os.readlink(f"/proc/{pid}/fd/{name}")
                    if path.startswith(places):
                        yield pid, path


def kept_open(store, pids):
    """Removed ingests that these processes still have open, because a stage forgot to close them."""
    return [f"process {pid} keeps '{path}' open" for pid, path in open_below(pids, pathlib.Path(store) / "ingest")
            if not os.path.exists(path.removesuffix(" (deleted)"))]


def lock_holders():
    """{inode: pid} of every flock."""
    with open("/proc/locks") as f:
        rows = [line.split() for line in f]
    return {int(row[5].rpartition(":")[2]): int(row[4]) for row in rows if row[1] == "FLOCK"}


def check_locks(store, runtime, problems):
    """No stage runs, so no lock is held, except by this process."""
    store, runtime = pathlib.Path(store), pathlib.Path(runtime)
    holders = lock_holders()
    for path in (store / "commit/lock", store / "leases/lock", store / "ingest/lock", *store.glob("ingest/*/lock"), *runtime.glob("*.lock"), *runtime.glob("*/lock"), runtime / "users"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"'{path}': cannot be opened: {error.strerror}")
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = holders.get(os.fstat(fd).st_ino)
            if error.errno == errno.EWOULDBLOCK and holder != os.getpid():
                problems.append(f"'{path}': locked by process {holder}, but no stage should run")
        finally:
            os.close(fd)


def check_runtime(runtime, problems):
    """No stage runs, so there are no sockets and files of running stages."""
    with open("/proc/net/unix") as f:
        bound = {line.split()[-1] for line in f}
    problems += [f"'{path}': still a socket" for path in sorted(bound) if path.startswith(f"{runtime}/")]
    if not os.path.isdir(runtime):
        return
    for path in sorted(pathlib.Path(runtime).rglob("*")):
        name = str(path.relative_to(runtime))
        if not RUNTIME_FILES.fullmatch(name):
            problems.append(f"'{path}': left behind")


def problems_of(store, settled=False, runtime=None):
    checker = Checker(store, settled)
    checker.check()
    if runtime:
        check_runtime(runtime, checker.problems)
        check_locks(store, runtime, checker.problems)
        checker.problems += [f"'{path}': kept open by process {pid}" for pid, path in open_below(None, store, runtime)]
    return checker.problems


def main():
    parser = argparse.ArgumentParser(description="check the invariants of a store")
    parser.add_argument("store")
    parser.add_argument("--settled", action="store_true")
    parser.add_argument("--runtime")
    options = parser.parse_args()
    problems = problems_of(options.store, options.settled, options.runtime)
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
