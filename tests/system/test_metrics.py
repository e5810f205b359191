# SPDX-License-Identifier: Apache-2.0
"""The stages' counters, as Prometheus and as users see them, compared with what happened."""

import math
import os
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

import badserver
import nano
import wire
from conftest import MIB
from images import Pusher, digest_of
from servers import wait_for
from stages import STAGES, UNAVAILABLE

CONTENT = os.urandom(2 * MIB + 17)

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+(?:\.\d+)?)")
OF_HISTOGRAM = re.compile("_(bucket|sum|count)$")


def check_format(text):
    """Check the exposition format 0.0.4, more strictly than parsers do. Returns {sample: number}."""
    samples, families, family, kind = {}, set(), None, None
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    for i, line in enumerate(lines):
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families, f"{family} is in two places"
            families.add(family)
            assert lines[i + 1].startswith(f"# TYPE {family} "), line
        elif line.startswith("# TYPE "):
            kind = line.split(" ")[3]
            assert lines[i - 1].startswith(f"# HELP {family} ") and kind in ("counter", "gauge", "histogram")
            assert kind != "counter" or family.endswith("_total"), f"{family}: a counter ends in _total"
            assert kind == "counter" or not family.endswith("_total"), f"{family} is not a counter"
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"no sample: {line}"
            assert (OF_HISTOGRAM.sub("", found[1]) if kind == "histogram" else found[1]) == family, line
            key = line.rpartition(" ")[0]
            assert key not in samples, f"{key} appears twice"
            samples[key] = float(found[3])
    return samples


def check_histograms(text):
    """With prometheus_client's parser: buckets grow, and the last one is +Inf and equals the count."""
    histograms = 0
    for family in text_string_to_metric_families(text):
        series = {}
        for sample in family.samples if family.type == "histogram" else ():
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            one = series.setdefault(tuple(sorted(labels.items())), {"bounds": [], "counts": []})
            if sample.name.endswith("_bucket"):
                one["bounds"].append(float(sample.labels["le"]))
                one["counts"].append(sample.value)
            else:
                one[sample.name.rpartition("_")[2]] = sample.value
        for one in series.values():
            histograms += 1
            assert one["bounds"] == sorted(set(one["bounds"])) and one["bounds"][-1] == math.inf
            assert one["counts"] == sorted(one["counts"]) and one["counts"][-1] == one["count"]
            assert one["sum"] >= 0
    return histograms


def metrics(box):
    text = box.sluice("metrics").stdout
    check_histograms(text)
    return check_format(text)


def wait_metric(box, name, value):
    """fetchd sends changed counters at most every two seconds."""
    seen = []

    def reached():
        seen.append(metrics(box).get(name))
        return seen[-1] == value

    try:
        wait_for(f"{name} to be {value}", reached, pause_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}, it is {seen[-1]}") from None


@pytest.fixture
def image(registry):
    pusher = Pusher(registry.address, "metrics")
    pusher.image("1", [pusher.blob_bytes(CONTENT)])
    return f"{registry.address}/metrics:1"


def test_counters_of_a_pull(box, image):
    with box.up():
        box.sluice("pull", image)
        blobs = list(box.store.glob("blobs/sha256/*"))
        size = sum(path.stat().st_size for path in blobs)
        wait_metric(box, 'sluice_fetchd_ended_total{outcome="done"}', len(blobs))  # counted last
        text = box.sluice("metrics").stdout
        now = check_format(text)
        assert check_histograms(text) == 5
        shown = box.sluice("stats").stdout
        as_json = box.json("stats")
    assert all(now[f'sluice_up{{stage="{stage}"}}'] == 1 for stage in STAGES)
    assert now["sluice_fetchd_received_bytes_total"] == size
    assert now["sluice_ingestd_received_bytes_total"] == now["sluice_ingestd_written_bytes_total"] == size
    assert now["sluice_ingestd_rehashed_bytes_total"] == 0
    assert now["sluice_commitd_commits_total"] == now['sluice_ingestd_ended_total{outcome="committed"}'] == len(blobs)
    assert now["sluice_commitd_committed_bytes_total"] == size
    assert now['sluice_fetchd_ended_total{outcome="done"}'] == len(blobs)
    assert now['sluice_ingestd_sync_seconds_count{kind="seal"}'] == len(blobs)
    assert 1 <= now["sluice_commitd_batch_seconds_count"] <= len(blobs)
    assert now['sluice_commitd_names_total{change="set"}'] == 1
    assert all(now[f'sluice_pipe_peers{{pipe="{pipe}"}}'] == 1 for pipe in ("orders", "chunks", "seals", "receipts"))
    assert all(value == 0 for name, value in now.items() if name.startswith(("sluice_ingests", "sluice_pipe_backlog")))
    disk = os.statvfs(box.store)
    assert now["sluice_store_size_bytes"] == disk.f_blocks * disk.f_frsize
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "2.0 MiB written" in shown and f"{len(blobs)} blobs" in shown
    assert as_json["counts"]["sluice_commitd_committed_bytes_total"] == size
    assert [stage["up"] for stage in as_json["stages"]] == [True] * 3


def test_retries_are_counted_by_reason(box, bad):
    data = os.urandom(3000)
    bad.on("/busy", badserver.status(503), badserver.status(429), badserver.whole(data))
    bad.on("/short", badserver.cut_short(data, 1000), badserver.cut_short(data, 1000, reset=True), badserver.whole(data))
    bad.on("/wrong", badserver.status(404))
    with box.up():
        for path in ("/busy", "/short"):
            box.sluice("fetch", bad.url(path), "--digest", digest_of(data))
            box.sluice("rm", f"{bad.address}{path}")
            box.blob(digest_of(data)).unlink()
        box.run("sluice", "fetch", bad.url("/wrong"), "--digest", digest_of(b"x"))
        wait_metric(box, 'sluice_fetchd_ended_total{outcome="failed"}', 1)
        now = metrics(box)
    retries = {name: value for name, value in now.items() if name.startswith("sluice_fetchd_retries") and value}
    assert retries['sluice_fetchd_retries_total{reason="busy"}'] == 2
    assert retries['sluice_fetchd_retries_total{reason="broken_off"}'] == 2 and len(retries) == 2
    assert now['sluice_ingests{state="failed",why=""}'] == 1
    assert now['sluice_ingestd_ended_total{outcome="failed"}'] == 1


def test_restarts_are_counted_by_peers(box, image):
    saw = 'sluice_peer_restarts_total{{stage="{}",peer="{}"}}'.format
    with box.up("-v"):
        box.sluice("pull", image)
        for stage in ("fetchd", "commitd"):  # they may serve before their HELLO has arrived
            wait_for(f"the HELLO of {stage}", lambda stage=stage: f"ingestd: {stage} said hello" in box.logs())
        for stage in ("fetchd", "commitd"):
            box.kill_stage(stage)
            wait_metric(box, saw("ingestd", stage), 1)
        for path in box.store.glob("blobs/sha256/*"):
            path.unlink()
        box.sluice("pull", image)  # now all stages have exchanged HELLO
        box.kill_stage("ingestd")
        wait_metric(box, saw("fetchd", "ingestd"), 1)
        wait_metric(box, saw("commitd", "ingestd"), 1)
        wait_metric(box, saw("ingestd", "fetchd"), 0)  # a new ingestd counts from its own start


def test_refused_messages(box):
    with box.up():
        with nano.Socket(nano.PUSH).connect(box.runtime / "fetch/chunks") as chunks:
            chunks.send(b"GET / HTTP/1.1")
            wait_metric(box, 'sluice_refused_messages_total{stage="ingestd",pipe="chunks"}', 1)
            wait_metric(box, 'sluice_pipe_peers{pipe="chunks"}', 2)  # fetchd may still be connecting
        with wire.Ctl(box.runtime / "commitd/ctl") as ctl:
            assert ctl.ask(b"SL\x02\x7f")[3] == wire.ERROR
        wait_metric(box, 'sluice_refused_messages_total{stage="commitd",pipe="commit.ctl"}', 1)


def test_metrics_without_stages(box):
    """An unknown number is absent, not 0."""
    now = metrics(box)
    assert now == {f'sluice_up{{stage="{stage}"}}': 0 for stage in STAGES}
    assert box.run("sluice", "stats", want=UNAVAILABLE).stdout == ""


def test_ingestd_alone(box):
    box.store.mkdir()
    ingestd = box.popen("ingestd")
    wait_for("ingestd to answer", lambda: box.answers("ingestd"))
    now = metrics(box)
    assert [now[f'sluice_up{{stage="{stage}"}}'] for stage in STAGES] == [0, 1, 0]
    assert now['sluice_pipe_peers{pipe="chunks"}'] == 0
    assert not [name for name in now if name.startswith(("sluice_fetchd", "sluice_commitd"))]
    shown = box.sluice("stats").stdout
    ingestd.terminate()
    assert "fetchd     down: not running" in shown and "ingestd    up since" in shown
