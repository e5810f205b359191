#!/usr/bin/python3
"""
What always holds of a store, whatever was killed on the way:

    tests/lib/invariants.py STORE [--settled] [--runtime DIR]

Prints what is wrong, a line each, and exits with 1 if something is. --settled: the stages have started and stopped
cleanly since the last fault, so that nothing half-made may be left. --runtime: nothing runs there any more.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import stat
import sys

HEX_DIGITS = {"sha256": 64, "sha512": 128}
INGEST_FILES = {"transfer", "data", "checkpoint", "lock"}
RUNTIME_FILES = re.compile(r"(fetchd|ingestd|commitd|up)\.lock|users|supervisor|log|pipes")
INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}


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
        known = {"oci-layout", "index.json", "blobs", "ingest", "leases"}
        for entry in sorted(self.store.iterdir()):
            if entry.name not in known:
                self.unexplained(entry)
        self.layout_file()
        self.blobs()
        self.names()
        self.ingests()

    def unexplained(self, path):
        if self.settled:
            self.wrong(path, "no state explains it")

    # ── the OCI layout ──

    def load(self, path):
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            self.wrong(path, f"not readable as JSON: {error}")
            return {}

    def layout_file(self):
        path = self.store / "oci-layout"
        if path.exists():
            if self.load(path).get("imageLayoutVersion") != "1.0.0":
                self.wrong(path, "not an OCI layout of version 1.0.0")
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
        if status.st_nlink != 1 and self.settled:  # a kill between link and unlink leaves two for a while
            self.wrong(path, f"{status.st_nlink} links")
        running = hashlib.new(algorithm)
        with open(path, "rb") as f:
            while piece := f.read(1 << 20):
                running.update(piece)
        if running.hexdigest() != path.name:
            self.wrong(path, f"its bytes hash to {running.hexdigest()}")

    def names(self):
        path = self.store / "index.json"
        if not path.exists():
            return
        index = self.load(path)
        if index.get("schemaVersion") != 2 or not isinstance(index.get("manifests"), list):
            self.wrong(path, "not an image index")
            return
        seen = set()
        for entry in index["manifests"]:
            name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
            if name is not None and name in seen:
                self.wrong(path, f"the name '{name}' stands there twice")
            seen.add(name)
            self.whole(entry, f"image '{name}'")

    def whole(self, descriptor, subject):
        """Everything that the descriptor leads to is stored, with the size that it says."""
        algorithm, _, digits = str(descriptor.get("digest", "")).partition(":")
        path = self.store / "blobs" / algorithm / digits
        if not digits or not path.is_file():
            self.wrong(path, f"missing, and {subject} needs it")
            return
        if path.stat().st_size != descriptor.get("size"):
            self.wrong(path, f"{path.stat().st_size} bytes, where {subject} says {descriptor.get('size')}")
        media_type = descriptor.get("mediaType")
        if media_type in INDEXES:
            children = self.load(path).get("manifests", [])
        elif media_type in MANIFESTS:
            document = self.load(path)
            children = [document.get("config", {}), *document.get("layers", [])]
        else:
            children = []
        for child in children:
            self.whole(child, subject)

    # ── ingests ──

    def ingests(self):
        root = self.store / "ingest"
        for directory in sorted(root.iterdir()) if root.exists() else []:
            if not directory.is_dir() or directory.is_symlink() or not re.fullmatch(r"[0-9a-f]{64}", directory.name):
                self.unexplained(directory)
                continue
            files = {path.name for path in directory.iterdir()}
            for name in sorted(files - INGEST_FILES):
                self.unexplained(directory / name)
            self.transfer(directory, files)

    def transfer(self, directory, files):
        path = directory / "transfer"
        if "transfer" not in files:
            self.unexplained(directory)
            return
        lines = path.read_text(errors="replace").split("\n")[:-1]  # a last line without its newline does not count
        keys = dict(line.partition("=")[::2] for line in lines)
        if not lines or not lines[0].startswith("ref="):
            if self.settled:
                self.wrong(path, "does not begin with a ref")
            return
        if hashlib.sha256(keys["ref"].encode()).hexdigest() != directory.name:
            self.wrong(path, f"the ref '{keys['ref']}' does not belong to this directory")
        data = directory / "data"
        if "size" in keys and data.exists() and data.stat().st_size > int(keys["size"]):
            self.wrong(data, f"{data.stat().st_size} bytes, more than the {keys['size']} of the whole")


def check_runtime(runtime, problems):
    """Nothing runs: sockets and files of the living must be gone."""
    if not os.path.isdir(runtime):
        return
    for name in sorted(os.listdir(runtime)):
        if not RUNTIME_FILES.fullmatch(name):
            problems.append(f"'{runtime}/{name}': left behind")


def problems_of(store, settled=False, runtime=None):
    checker = Checker(store, settled)
    checker.check()
    if runtime:
        check_runtime(runtime, checker.problems)
    return checker.problems


def main():
    parser = argparse.ArgumentParser(description="check what always holds of a store")
    parser.add_argument("store")
    parser.add_argument("--settled", action="store_true")
    parser.add_argument("--runtime")
    options = parser.parse_args()
    problems = problems_of(options.store, options.settled, options.runtime)
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
