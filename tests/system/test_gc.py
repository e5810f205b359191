# SPDX-License-Identifier: Apache-2.0
"""
gc: what no name and no lease needs goes, after a grace, and nothing else; so do transfers that nobody works on. What
happens at the same moment is in test_gc_races.py.
"""

import json
import os

import badserver
from conftest import settled
from images import digest_of
from stages import DENIED, NOT_FOUND, OK

DATA = os.urandom(3_000_000)
DIGEST = digest_of(DATA)


def gc(box, *words, want=OK):
    """The object that gc prints."""
    return json.loads(box.run("sluice", "--json", "gc", *words, want=want).stdout.splitlines()[-1])


# ── transfers ──


def fail_halfway(box, bad):
    """A transfer that has failed with half of its bytes. The next request gets the rest."""
    half = badserver.cut_short(DATA, len(DATA) // 2)
    bad.on("/half", half, badserver.status(403), badserver.whole(DATA))
    box.run("sluice", "fetch", bad.url("/half"), "--digest", DIGEST, want=DENIED)
    assert box.size(DIGEST) == len(DATA) // 2


def test_abandoned_transfers_go(box, bad):
    with box.up():
        fail_halfway(box, bad)
        box.run("sluice", "fetch", bad.url("/none"), want=NOT_FOUND)
        kept = [row["until"] for row in box.json("status")]
        assert len(set(kept)) == 2, "14 days, and one"
        assert all(f"; kept until {until}" in box.sluice("status").stdout for until in kept)
        dry = gc(box, "--dry-run", "--older-than", "0")
        assert (dry["removed"], dry["removed_transfers"], dry["waiting"]) == (2, 2, 0)
        assert dry["removed_bytes"] >= len(DATA) // 2
        items = {(item["ref"], item["fate"]) for item in dry["items"]}
        assert items == {(DIGEST, "removed"), (bad.url("/none"), "removed")}
        young = gc(box)
        assert (young["removed"], young["waiting_transfers"]) == (0, 2)
        assert box.size(DIGEST) == len(DATA) // 2
        gone = gc(box, "--older-than", "0")
        assert (gone["removed"], gone["removed_transfers"], gone["waiting"]) == (2, 2, 0)
        assert box.json("status") == []
        assert "2 removed by gc" in box.sluice("stats").stdout
    assert not box.ingest(DIGEST).exists()
    settled(box)


def test_young_partials_are_resumed(box, bad):
    with box.up():
        fail_halfway(box, bad)
        gc(box)
        gc(box, "--older-than", "1h")
        box.sluice("fetch", bad.url("/half"), "--digest", DIGEST)
    assert bad.asked("/half")[-1].range == f"bytes={len(DATA) // 2}-{len(DATA) - 1}"
    settled(box)
