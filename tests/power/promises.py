# SPDX-License-Identifier: Apache-2.0
"""
The promises made up to a point of a recording, from the marks on its tape, and whether a store keeps them.

The marks are the lines that the programs print, when they are written, and these of the workload:

    begin NAME DIGEST|-      from here on the name may also lead there, or be gone
    collect REF              from here on a gc may have removed this content
    drop REF                 this transfer is about to be aborted or reset
    sent REF N               the server is about to send up to byte N
"""

import hashlib
import json
import os
import re
import struct
import zlib

import invariants

SLOT, STRIDE = 512, 4096  # ingestd/disk/checkpoint.h
SLOT_FACTS = struct.Struct(">8sBBBB4xQQ")  # magic, version, algorithm, provenance, durable, sequence, offset
SLOT_ID = slice(80, 112)

HEARD = [
    (re.compile(r"transfer '(\S+)' is durable up to (\d+)"), "durable_at"),
    (re.compile(r"transfer '(\S+)' (?:starts over|is removed)"), "drop"),
    (re.compile(r"committed '(\S+)' \d+ bytes"), "blob"),
    (re.compile(r"^(sha256:[0-9a-f]{64})$"), "printed"),
    (re.compile(r"transfer '(sha256:[0-9a-f]+)' committed at"), "blob"),
    (re.compile(r"^([0-9a-f]{12,}): (?:done|exists)"), "short_blob"),
    (re.compile(r"named '(\S+)' (sha256:[0-9a-f]{64})$"), "named"),
    (re.compile(r"removed the name '(\S+)'"), "unnamed"),
    (re.compile(r"^begin (\S+) (\S+)$"), "begin"),
    (re.compile(r"^collect (\S+)$"), "collect"),
    (re.compile(r"^drop (\S+)$"), "drop"),
    (re.compile(r"^sent (\S+) (\d+)$"), "sent_to"),
]


def id_of(ref):
    return hashlib.sha256(ref.encode()).hexdigest()


def durable_offset(checkpoint, ingest_id):
    """The offset of the newest valid durable slot; 0 if there is none."""
    best = (0, 0)
    for at in (STRIDE, 2 * STRIDE):
        slot = checkpoint[at : at + SLOT]
        if len(slot) == SLOT and zlib.crc32(slot[:-4]) == int.from_bytes(slot[-4:], "big"):
            magic, _, _, _, durable, sequence, offset = SLOT_FACTS.unpack_from(slot)
            if magic == b"SLUICECP" and durable and slot[SLOT_ID].hex() == ingest_id:
                best = max(best, (sequence, offset))
    return best[1]


def names_in(directory):
    return set(os.listdir(directory)) if directory.exists() else set()


def contents_or(path, default):
    return path.read_bytes() if path.exists() else default


class Promises:
    """`content`: the bytes of each ref."""

    def __init__(self, content, workload):
        self.content, self.workload = content, workload
        self.refs = {id_of(ref): ref for ref in content}
        self.digests = {ref: "sha256:" + hashlib.sha256(data).hexdigest() for ref, data in content.items()}
        self.blobs, self.durable, self.sent = set(), {}, {}
        self.names = {}  # name: where it may lead; None: nowhere
        self.most_lost = 0  # bytes of one transfer lost in a cut
        self.count = 0  # number of promises

    def hear(self, text):
        for line in text.splitlines():
            for pattern, what in HEARD:
                if found := pattern.search(line):
                    getattr(self, what)(*found.groups())
                    break

    def blob(self, digest):
        for known in self.content:
            if known.startswith(digest):
                self.count += known not in self.blobs
                self.blobs.add(known)

    def printed(self, digest):
        """`commitd commit` prints what it committed; others print what was requested."""
        if self.workload == "hand":
            self.blob(digest)

    def short_blob(self, digits):
        self.blob(f"sha256:{digits}")

    def named(self, name, digest):
        self.count += 1
        self.names[name] = {digest}

    def unnamed(self, name):
        self.count += 1
        self.names[name] = {None}

    def begin(self, name, digest):
        self.names.setdefault(name, {None}).add(None if digest == "-" else digest)

    def durable_at(self, ref, offset):
        self.count += 1
        self.durable[ref] = int(offset)

    def collect(self, ref):
        self.blobs.discard(ref)
        self.drop(ref)

    def drop(self, ref):
        self.durable.pop(ref, None)
        self.sent.pop(ref, None)

    def sent_to(self, ref, offset):
        self.sent[ref] = max(self.sent.get(ref, 0), int(offset))

    def broken(self, store):
        """The broken promises of a store after a cut, a line each."""
        stored = {f"sha256:{name}" for name in names_in(store / "blobs/sha256")}
        ingests = names_in(store / "ingest") - {"lock"}
        problems = invariants.problems_of(store)
        problems += [f"{digest} was committed, but is missing" for digest in self.blobs - stored]
        problems += self.broken_names(store)
        problems += [f"'{store}/ingest/{name}': of no requested ref" for name in ingests - self.refs.keys()]
        for ref in {self.refs[name] for name in ingests & self.refs.keys()} | self.durable.keys():
            if self.digests[ref] not in stored:
                problems += self.broken_ingest(store, ref)
        return problems

    def broken_names(self, store):
        index = json.loads(contents_or(store / "index.json", b'{"manifests":[]}'))
        found = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
                 for entry in index["manifests"]}
        return [f"the name '{name}' leads to {found.get(name)}, not to {' or '.join(str(a) for a in allowed)}"
                for name, allowed in self.names.items() if found.get(name) not in allowed] + [
                    f"the name '{name}' was never set" for name in found if name not in self.names]

    def broken_ingest(self, store, ref):
        """Check that the bytes below the durable slot are right, and that the slot is as new as promised."""
        directory = store / "ingest" / id_of(ref)
        taken = store / "commit" / id_of(ref)
        data = contents_or(directory / "data", None) or contents_or(taken, b"")
        offset = durable_offset(contents_or(directory / "checkpoint", b""), id_of(ref))
        self.most_lost = max(self.most_lost, self.sent.get(ref, 0) - offset)
        if offset > len(data):
            return [f"{ref}: {len(data)} bytes, but the durable checkpoint is at {offset}"]
        if data[:offset] != self.content[ref][:offset]:
            return [f"{ref}: wrong bytes below the durable checkpoint at {offset}"]
        if offset < self.durable.get(ref, 0):
            return [f"{ref}: durable up to {offset}, but {self.durable[ref]} was promised"]
        return []
