# SPDX-License-Identifier: Apache-2.0
"""What containerd's content suite expects of a content writer, and mistakes of other tools."""

import os

import pytest

import badserver
from conftest import MIB, settled
from images import MANIFEST, config_blob, digest_of, manifest_blob
from stages import BAD_DATA, NOT_FOUND, OK, kill

DATA = os.urandom(8 * MIB)
DIGEST = digest_of(DATA)


def fetch(box, url, digest, *more, want=OK):
    return box.run("sluice", "fetch", url, "--digest", digest, *more, want=want)


def test_pulls_of_one_layer_share_a_transfer(box, slow, medium):
    """Ten clients, one transfer, one request (without ranges)."""
    box.configure("[fetchd]\nranges = 1\n")
    slow.settle()
    before = len(slow.accesses())
    reference = f"{slow.address}/{medium.name}:{medium.tag}"
    with box.up():
        pulls = [box.popen("sluice", "pull", reference) for _ in range(10)]
        for pull in pulls:
            box.finish(pull, want=0)
    slow.settle()
    assert [a.bytes for a in slow.blob_gets(medium.digest, since=before)] == [medium.size]
    settled(box)


def test_two_embedded_pulls_share_the_stages(box, slow, medium):
    """The first one is killed. The stages keep running for the second."""
    reference = f"{slow.address}/{medium.name}:{medium.tag}"
    first = box.popen("sluice", "pull", reference)
    assert box.wait_size(medium.digest, medium.size // 8, first)
    second = box.popen("sluice", "fetch", slow.url(medium.name, medium.digest), "--digest", medium.digest)
    stages = box.pids("fetchd", "ingestd", "commitd")
    assert len(stages) == 3
    assert box.wait_size(medium.digest, medium.size // 4, second)
    kill(first.pid)
    box.finish(first)
    box.finish(second, want=0)
    box.gone()
    settled(box)


def test_killed_client_does_not_stop_the_transfer_of_another(box, slow, medium):
    reference = f"{slow.address}/{medium.name}:{medium.tag}"
    with box.up():
        first, second = (box.popen("sluice", "pull", reference) for _ in range(2))
        assert box.wait_size(medium.digest, medium.size // 4, first)
        kill(first.pid)
        box.finish(first)
        box.finish(second, want=0)
    settled(box)


@pytest.mark.parametrize("size", [0, 1, 6, 65535, 262144, 262145])
def test_small_blobs(box, bad, size):
    data = DATA[:size]
    bad.on("/blob", badserver.whole(data))
    fetch(box, bad.url("/blob"), digest_of(data))
    assert box.blob(digest_of(data)).read_bytes() == data
    settled(box)


def test_sha512(box, bad):
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad.url("/blob"), digest_of(DATA, "sha512"))
    assert box.blob(digest_of(DATA, "sha512")).read_bytes() == DATA


def test_stored_content_is_not_fetched(box, bad):
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad.url("/blob"), DIGEST)
    fetch(box, bad.url("/another"), DIGEST)
    assert len(bad.asked("/blob")) == 1 and not bad.asked("/another")


def test_commit_of_stored_content_removes_the_ingest(box):
    """A second ref with the same content is committed, and leaves no ingest."""
    for ref in (DIGEST, "another-ref"):
        sealed = box.run("ingestd", "put", "--raw", "--digest", DIGEST, ref, data=DATA, want=OK)
        assert box.run("commitd", "commit", data=sealed.raw, want=OK).stdout.strip() == DIGEST
        assert not box.ingest(ref).exists()
    settled(box)


def test_status_of_the_store_shows_when_it_failed(box, bad):
    """Also if that was long after the last byte."""
    bad.on("/blob", badserver.status(404))
    box.run("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST, want=NOT_FOUND)
    os.utime(box.ingest(DIGEST) / "data", (0, 0))
    status = box.status(DIGEST)
    assert status["state"] == "failed" and status["updated"] >= status["started"]


def stalled(box, bad, size):
    """Under `sluice up`: start a transfer of DATA that has exactly `size` bytes and waits for more."""
    bad.on("/blob", badserver.silent(DATA, after=size), badserver.whole(DATA))
    fetching = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
    box.wait_size(DIGEST, size, fetching)
    return fetching


def test_status_shows_the_offset(box, bad):
    with box.up():
        fetching = stalled(box, bad, 3 * MIB)
        status = box.status(DIGEST)
        assert status["ref"] == DIGEST
        assert status["offset"] == 3 * MIB
        assert status["total"] == len(DATA)
        assert status["state"] == "fetching"
        assert status["started"] <= status["updated"]
        assert box.sluice("-q", "status").stdout == f"{DIGEST}\n"
        kill(fetching.pid)


def test_restart_keeps_offset_and_start_time(box, bad):
    with box.up():
        fetching = stalled(box, bad, 3 * MIB)
        first = box.status(DIGEST)
        box.kill_stage("ingestd")
        box.finish(fetching, want=0)
    assert [r.range.partition("-")[0] for r in bad.asked("/blob")] == ["", f"bytes={3 * MIB}"]
    assert first["started"]
    settled(box)


@pytest.mark.parametrize("percent", [0, 10, 50, 90, 100])
def test_reset_restarts_from_zero(box, bad, percent):
    """Like Truncate(0) at some offset. The ref stays, and the next request fetches the whole blob."""
    bad.on("/blob", badserver.whole(DATA))
    size = len(DATA) * percent // 100
    box.run("ingestd", "put", "--raw", "--digest", DIGEST, "--size", len(DATA) + 1, DIGEST, data=DATA[:size])
    with box.up():
        box.sluice("reset", DIGEST)
        assert box.status(DIGEST)["offset"] == 0
        fetch(box, bad.url("/blob"), DIGEST, want=OK)
    settled(box)


def test_abort_drops_the_ingest(box, bad):
    with box.up():
        kill(stalled(box, bad, 3 * MIB).pid)
        box.sluice("abort", DIGEST)
        assert not box.ingest(DIGEST).exists()
        assert box.run("sluice", "status", DIGEST).returncode == NOT_FOUND
        fetch(box, bad.url("/blob"), DIGEST)
        assert [r.range for r in bad.asked("/blob")] == ["", ""]
    assert "silent" not in box.logs(), "the order after the abort was ignored"
    settled(box)


def test_unfinished_pull_is_resumed_after_a_clean_stop(box, bad):
    """SIGTERM leaves a checkpoint. Nothing is fetched or hashed again."""
    with box.up():
        fetching = stalled(box, bad, 3 * MIB)
        kill(fetching.pid)
    with box.up():
        fetch(box, bad.url("/blob"), DIGEST)
    assert bad.asked("/blob")[-1].range.startswith(f"bytes={3 * MIB}-")
    settled(box)


# ── wedges ──


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


def test_wrong_bytes_once_are_recovered_in_one_run(box, bad):
    bad.on("/blob", badserver.whole(flipped(DATA)), badserver.whole(DATA))
    fetch(box, bad.url("/blob"), DIGEST)
    assert box.blob(DIGEST).read_bytes() == DATA
    assert len(bad.asked("/blob")) == 2
    settled(box)


def test_wrong_bytes_forever_fail_and_do_not_wedge(box, bad):
    bad.on("/blob", badserver.whole(flipped(DATA)))
    failed = fetch(box, bad.url("/blob"), DIGEST, want=BAD_DATA)
    assert DIGEST in failed.stderr and digest_of(flipped(DATA)) in failed.stderr, failed.stderr
    assert len(bad.asked("/blob")) == 2, "it starts over once"
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad.url("/blob"), DIGEST)
    settled(box)


def test_flipped_byte_in_a_partial_file_is_recovered(box, bad):
    """The file changes while nothing runs, as on a bad disk, so it no longer matches the running digest."""
    with box.up():
        fetching = stalled(box, bad, 3 * MIB)
        kill(fetching.pid)
    with open(box.ingest(DIGEST) / "data", "r+b") as data:
        data.seek(MIB)
        data.write(bytes([DATA[MIB] ^ 1]))
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad.url("/blob"), DIGEST)
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


HALF_MADE = {
    "directory without files": [],
    "empty transfer": [("transfer", b"")],
    "torn transfer": [("transfer", b"ref=" + DIGEST[:20].encode())],
    "transfer without data": [("transfer", f"ref={DIGEST}\n".encode())],
    "empty checkpoint": [("transfer", f"ref={DIGEST}\n".encode()), ("data", DATA[:MIB]), ("checkpoint", b"")],
    "data without checkpoint": [("transfer", f"ref={DIGEST}\n".encode()), ("data", DATA[:MIB])],
    "garbage in checkpoint": [
        ("transfer", f"ref={DIGEST}\n".encode()), ("data", DATA[:MIB]), ("checkpoint", os.urandom(9000)),
    ],
    "data longer than the whole": [("transfer", f"ref={DIGEST}\nsize={len(DATA)}\n".encode()), ("data", DATA + b"!")],
}


@pytest.mark.parametrize("files", HALF_MADE.values(), ids=HALF_MADE)
def test_incomplete_ingest_does_not_wedge(box, bad, files):
    box.ingest(DIGEST).mkdir(parents=True)
    for name, content in files:
        (box.ingest(DIGEST) / name).write_bytes(content)
    bad.on("/blob", badserver.whole(DATA))
    fetch(box, bad.url("/blob"), DIGEST, "--size", len(DATA))
    assert box.blob(DIGEST).read_bytes() == DATA
    settled(box)


def test_failed_pull_keeps_what_arrived(box, bad):
    """One layer is missing at first. The next pull does not fetch the other one again."""
    config, other = config_blob(), os.urandom(1000)
    layers = [{"mediaType": "application/octet-stream", "digest": digest_of(d), "size": len(d)} for d in (DATA, other)]
    manifest = manifest_blob(config, layers)
    bad.image("half", "1", manifest, MANIFEST, {
        digest_of(config): [badserver.whole(config)],
        DIGEST: [badserver.whole(DATA)],
        digest_of(other): [badserver.status(404)],
    })
    reference = f"{bad.address}/half:1"
    box.run("sluice", "pull", reference, want=NOT_FOUND)
    assert reference not in box.sluice("images").stdout
    bad.on(f"/v2/half/blobs/{digest_of(other)}", badserver.whole(other))
    box.sluice("pull", reference)
    assert len(bad.asked(f"/v2/half/blobs/{DIGEST}")) == 1
    settled(box)
