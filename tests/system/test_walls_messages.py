# SPDX-License-Identifier: Apache-2.0
"""
Limits of a compromised fetchd, and of a member of the group: no answer to another request, no content of one source
under the ref of another, no flooded log. docs/WALLS.md has the table.
"""

import contextlib
import os
import pathlib
import socket

import pytest

import badserver
import nano
import wire
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from peers import Fetchd, Member
from servers import wait_for
from stages import AGAIN, BAD_DATA

GOOD, EVIL = b"requested content", b"other content"
FAILED, COMMITTED = 6, 4
DESCRIPTORS = 128  # of ingestd, at most
URL = "https://registry.invalid/blob"


@contextlib.contextmanager
def without_fetchd(box, *options):
    """ingestd and commitd, without fetchd."""
    box.store.mkdir(exist_ok=True)
    with open(box.up_log, "ab") as log:
        stages = [box.popen("ingestd", *options, stdout=log, stderr=log)]
        wait_for("the store", lambda: (box.store / "ingest").exists())
        stages.append(box.popen("commitd", stdout=log, stderr=log))
        for name in ("ingestd/ctl", "commitd/ctl", "fetch/chunks", "seal/receipts"):
            wait_for(name, lambda: (box.runtime / name).exists())
        yield
    for stage in stages:
        stage.terminate()
        box.finish(stage, want=0)


def fill(box, pid, pipe, role, crowd):
    """Connect to the pipe, as nanomsg does, until ingestd has no descriptor left."""
    fds = pathlib.Path(f"/proc/{pid}/fd")
    while len(os.listdir(fds)) < DESCRIPTORS:
        crowd.append(each := socket.socket(socket.AF_UNIX))
        with contextlib.suppress(OSError):  # if it has just dropped them all
            each.connect(str(box.runtime / "fetch" / pipe))
            each.sendall(b"\0SP\0\0" + bytes([role]) + b"\0\0")


def ended(member, ref):
    """The RECORD of a transfer that has ended."""
    return wait_for(f"the end of {ref}", lambda: (r := member.status(ref)).get("state") in (FAILED, COMMITTED) and r)


@pytest.mark.parametrize("source", [URL, "manifest://registry.invalid/app:1"])
def test_resolved_does_not_override_a_pinned_digest(box, source):
    """A user requests one digest. fetchd answers with another one, which is stored already."""
    wanted, other = digest_of(GOOD), digest_of(EVIL)
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        url = "https://registry.invalid/other"
        member.get(other, url, other)
        fetchd.serve(fetchd.order(other), EVIL)
        assert ended(member, other)["state"] == COMMITTED
        member.get(wanted, source, wanted)
        order = fetchd.order(wanted)
        assert order["expected"] == wanted
        fetchd.answer(order, "RESOLVED", digest=other, media_type="x/y")
        record = ended(member, wanted)
        assert (record["state"], record["fail_class"]) == (FAILED, 4), record
        member.get(wanted, source, wanted)
        order = fetchd.order(wanted, order["attempt"])
        assert order["expected"] == wanted
        fetchd.serve(order, GOOD)
        record = ended(member, wanted)
        assert (record["state"], record["digest"]) == (COMMITTED, wanted)
    assert box.blob(wanted).read_bytes() == GOOD


def test_resolved_does_not_override_a_pinned_digest_after_restart(box):
    """The new ingestd has only the record, and takes the requested digest from the ref."""
    wanted, other = digest_of(GOOD), digest_of(EVIL)
    with without_fetchd(box), Member(box.runtime) as member:
        member.get(wanted, "manifest://registry.invalid/app:1", wanted)
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        order = fetchd.order(wanted)
        assert order["expected"] == wanted
        fetchd.answer(order, "RESOLVED", digest=other)
        assert ended(member, wanted)["state"] == FAILED
    assert not box.blob(other).exists()


def test_wrong_resolved_ends_the_command(box):
    """The command ends and says why; it does not loop."""
    wanted, other = digest_of(GOOD), digest_of(EVIL)
    with without_fetchd(box), Fetchd(box.runtime) as fetchd:
        fetch = box.popen("sluice", "fetch", URL, "--digest", wanted)
        fetchd.answer(fetchd.order(wanted), "RESOLVED", digest=other)
        said = box.finish(fetch, want=BAD_DATA).stderr
    assert "not requested" in said


def test_ref_cannot_be_fetched_from_another_source(box):
    """A member requests evil's content under good's ref. It is refused, and a pull from good gets good's content."""
    config, layer = config_blob(), b"layer"
    manifest = manifest_blob(config, [descriptor(layer, LAYER)])
    ref, evil = "manifest://good.invalid/app:1", "manifest://evil.invalid/app:1"
    blobs = {digest_of(data): data for data in (config, layer, manifest)}
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        kind, answer = member.get(ref, evil)
        assert (kind, answer["fail_class"]) == ("ERROR", 9), answer
        assert "'manifest://evil.invalid/app:1'" in answer["text"]
        assert member.request("STATUS", ref=ref)[0] == "ERROR"
        pull = box.popen("sluice", "pull", "good.invalid/app:1")
        order = fetchd.order(ref)
        assert order["source"] == ref
        fetchd.answer(order, "RESOLVED", digest=digest_of(manifest), media_type=MANIFEST)
        for _ in range(3):
            kind, order = fetchd.hear()
            while kind != "FETCH":
                kind, order = fetchd.hear()
            fetchd.serve(order, blobs[order["expected"]])
        box.finish(pull, want=0)
    assert box.blob(digest_of(manifest)).read_bytes() == manifest


LIMIT = 4 << 20
MANIFEST_REF = "manifest://registry.invalid/app:1"


@pytest.mark.parametrize("size", [LIMIT + 1, wire.SIZE_UNKNOWN], ids=["announced", "unannounced"])
def test_oversized_manifest_from_fetchd_is_dropped(box, size):
    """Whatever fetchd says or sends, ingestd keeps no manifest that nobody could read; the one that fits, it takes."""
    fits = b" " * LIMIT
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        member.get(MANIFEST_REF, MANIFEST_REF)
        order = {"attempt": 0}
        for _ in range(2):  # as with all wrong bytes: once more from zero
            order = fetchd.order(MANIFEST_REF, order["attempt"])
            assert order["offset"] == 0
            fetchd.answer(order, "OPENED", offset=0, size=size)
            for at in range(0, LIMIT + 1, 256 << 10):
                fetchd.answer(order, "CHUNK", offset=at, payload=b" " * (256 << 10))
        record = ended(member, MANIFEST_REF)
        assert (record["state"], record["fail_class"]) == (FAILED, 4), record
        assert f"more than {LIMIT} bytes" in record["text"]
        assert box.size(MANIFEST_REF) == 0
        member.get(MANIFEST_REF, MANIFEST_REF)
        fetchd.serve(fetchd.order(MANIFEST_REF, order["attempt"]), fits)
        assert ended(member, MANIFEST_REF)["state"] == COMMITTED
    assert box.blob(digest_of(fits)).stat().st_size == LIMIT


def test_request_for_an_oversized_manifest_is_refused(box):
    """A member is told at once, and nothing is made for it."""
    with without_fetchd(box), Member(box.runtime) as member:
        kind, answer = member.get(MANIFEST_REF, MANIFEST_REF, size=LIMIT + 1)
        assert (kind, answer["fail_class"]) == ("ERROR", 4) and str(LIMIT) in answer["text"], answer
        assert member.request("STATUS", ref=MANIFEST_REF)[0] == "ERROR"
        assert member.get(MANIFEST_REF, MANIFEST_REF, size=LIMIT)[0] == "RECORD"


def test_oversized_blob_is_not_used_as_a_manifest(box):
    """It came as a blob. commitd does not name it, and the command does not read it."""
    long = b" " * (LIMIT + 1)
    digest = digest_of(long)
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        member.get(digest, URL, digest)
        fetchd.serve(fetchd.order(digest), long)
        assert ended(member, digest)["state"] == COMMITTED
        with Member(box.runtime, "commitd") as namer:
            values = {"digest": digest, "media_type": MANIFEST, "size": len(long), "platform": ""}
            kind, answer = namer.request("SET_NAME", name="registry.invalid/app:1", **values)
        assert (kind, answer["fail_class"]) == ("ERROR", 4) and "too many for a manifest" in answer["text"], answer
        said = box.sluice("pull", f"registry.invalid/app@{digest}", want=BAD_DATA).stderr
        assert "too many for a manifest" in said


def test_member_can_list_reset_and_abort_transfers_of_others(box):
    """There is no wall between members. Whoever requested the transfer is told."""
    ref = digest_of(GOOD)
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as other:
        fetch = box.popen("sluice", "fetch", URL, "--digest", ref)
        order = fetchd.order(ref)
        assert other.request("NEXT")[1]["ref"] == ref
        assert other.request("RESET", ref=ref)[0] == "RECORD"
        assert fetchd.order(ref, order["attempt"])["offset"] == 0
        assert other.request("ABORT", ref=ref)[0] == "OK"
        said = box.finish(fetch, want=AGAIN).stderr
    assert "aborted" in said


def test_member_can_fetch_from_this_machine(box, bad):
    """fetchd connects, so every member reaches what this machine reaches."""
    bad.on("/inner", badserver.whole(GOOD))
    with box.up(), Member(box.runtime) as member:
        member.get(bad.url("/inner"), bad.url("/inner"))
        assert ended(member, bad.url("/inner"))["state"] == COMMITTED


def test_many_connections_end_no_transfer(box):
    """
    A compromised fetchd takes all descriptors of ingestd by connecting. Members still reach it, what they request waits,
    and an honest fetchd serves it afterwards.
    """
    box.prefix = ["prlimit", f"--nofile={DESCRIPTORS}", "--"]
    with without_fetchd(box), Member(box.runtime) as member:
        box.prefix = []
        crowd = []
        refs = [f"{URL}/{number}" for number in range(20)]
        pid = box.stage("ingestd")
        for pipe, role in (("chunks", nano.PUSH), ("orders", nano.PULL)):
            fill(box, pid, pipe, role, crowd)
            for ref in refs:
                kind, answer = member.get(ref, ref)
                assert kind == "RECORD" and answer["state"] not in (FAILED, COMMITTED), answer
        with Member(box.runtime) as other:  # waits until there is room
            assert other.request("STATUS", ref=refs[0])[0] == "RECORD"
        for each in crowd:
            each.close()
        with Fetchd(box.runtime) as fetchd:
            while any(member.status(ref)["state"] != COMMITTED for ref in refs):
                kind, order = fetchd.hear()
                if kind == "FETCH":
                    fetchd.serve(order, GOOD)
                    assert ended(member, order["ref"])["state"] == COMMITTED
    assert "too many connections to 'chunks' or 'orders'" in box.logs()


def test_beats_do_not_fill_the_log(box):
    """Each BEAT has another text. The log shows one now and then, and events come no more often than progress."""
    count = 20_000
    with without_fetchd(box, "--log-level", "debug"), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        member.get(URL, URL)
        order = fetchd.order(URL)
        with Member(box.runtime) as listener:
            listener.request("SUBSCRIBE", ref="")
            before = box.up_log.stat().st_size
            for number in range(count):
                fetchd.answer(order, "BEAT", until=number, text=f"{number} " + "x" * 400)
            fetchd.answer(order, "FAIL", fail_class=1, text="enough")
            heard = 0
            while wire.parse(listener.receive())[1]["text"] != "enough":
                heard += 1
        grown = box.up_log.stat().st_size - before
    assert grown < 100_000 and heard < count / 20, (grown, heard)


def test_answers_do_not_flood_listeners(box):
    """OPENED again and again, each time with other values: a listener that reads slowly is not dropped."""
    count = 5000
    with without_fetchd(box), Fetchd(box.runtime) as fetchd, Member(box.runtime) as member:
        member.get(URL, URL)
        order = fetchd.order(URL)
        with Member(box.runtime) as listener:
            listener.request("SUBSCRIBE", ref="")
            for number in range(count):
                fetchd.answer(order, "OPENED", offset=0, size=wire.SIZE_UNKNOWN, media_type=f"x/{number}", validator="v" * 500)
            fetchd.answer(order, "FAIL", fail_class=1, text="enough")
            assert ended(member, URL)["media_type"] == f"x/{count - 1}"
            heard = 0
            while (message := wire.parse(listener.receive())) and message[1]["text"] != "enough":
                assert message[0] == "RECORD", message
                heard += 1
        assert heard < count / 20, heard
