# SPDX-License-Identifier: Apache-2.0
"""
A server that costs time-outs costs one, and not one for each object: how often it is asked, what is asked instead, and
where an operator sees it. Requests and connections are counted. A dead server is tried again after ten times the
time-out at the earliest, so a few more are allowed than a quick machine needs.
"""

import os
import signal
import threading

import pytest

import badserver
from conftest import settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from test_metrics import metrics, wait_metric

LAYERS = [os.urandom(2000) for _ in range(24)]
CONFIG = config_blob()
IMAGE = manifest_blob(CONFIG, [descriptor(layer, LAYER) for layer in LAYERS])
BLOBS = {f"/v2/app/blobs/{digest_of(blob)}": blob for blob in (CONFIG, *LAYERS)}
TAG = "/v2/app/manifests/1"
MANIFESTS = (TAG, f"/v2/app/manifests/{digest_of(IMAGE)}")
HALF_OPEN = 2  # further tries, for a machine so slow that the pull takes minutes
AT_A_TIME = 8  # connections per host
STALLING = "[fetchd]\nstall_timeout = 3s\nmax_retries = 2\nretry_delay = 10ms\n"


def serve(server, image=IMAGE, blobs=(CONFIG, *LAYERS), tag="1"):
    server.image("app", tag, image, MANIFEST, {digest_of(blob): [badserver.whole(blob)] for blob in blobs})
    server.image("app", digest_of(image), image, MANIFEST)


def on_all(server, behaviour, paths=(*MANIFESTS, *BLOBS)):
    for path in paths:
        server.on(path, behaviour)


def silent(mirror, storage):
    """Accepts, and never answers."""
    on_all(mirror, badserver.silent())
    return mirror, 1


def silent_in_bodies(mirror, storage):
    """Each body stalls. All layers are asked for before the first one has."""
    serve(mirror)
    for path, blob in BLOBS.items():
        mirror.on(path, badserver.silent(blob, 100))
    return mirror, len(MANIFESTS) + AT_A_TIME


def silent_storage(mirror, storage):
    """Redirects to a server that never answers."""
    on_all(mirror, badserver.status(307, {"Location": storage.url("/data")}))
    storage.on("/data", badserver.silent())
    return storage, 1


def silent_realm(mirror, storage):
    """Requires a token from a server that never answers."""
    on_all(mirror, badserver.status(401, {"WWW-Authenticate": f'Bearer realm="{storage.url("/token")}"'}))
    storage.on("/token", badserver.silent())
    return storage, 1


@pytest.mark.parametrize("dead", [silent, silent_in_bodies, silent_storage, silent_realm], ids=lambda f: f.__name__)
def test_dead_mirror_costs_one_time_out(box, bad, dead):
    serve(bad)
    with badserver.BadServer() as mirror, badserver.BadServer() as storage:
        box.configure(f"{STALLING}[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        costly, most = dead(mirror, storage)
        with box.up():
            box.sluice("pull", f"{bad.address}/app:1")
        settled(box)
        assert 1 <= len(costly.requests) <= most + HALF_OPEN
        assert 1 <= costly.connections <= most + HALF_OPEN
        assert box.logs().count("is unavailable: ") == 1


def closed_port():
    with badserver.BadServer() as gone:
        return gone.url("")


def test_absent_mirror_is_reported_once(box, bad):
    serve(bad)
    box.configure(f"{STALLING}[registry {bad.address}]\nmirror = {closed_port()}\n")
    with box.up():
        box.sluice("pull", f"{bad.address}/app:1")
    settled(box)
    assert 1 <= box.logs().count("from the mirror") <= 1 + HALF_OPEN
    assert box.logs().count("is unavailable") == 1


def test_quick_errors_cost_nothing_and_are_no_reason(box, bad):
    """A mirror that lacks the content, or is busy, is asked for each object."""
    serve(bad)
    with badserver.BadServer() as mirror:
        box.configure(f"{STALLING}[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        on_all(mirror, badserver.status(503), BLOBS)
        with box.up():
            box.sluice("pull", f"{bad.address}/app:1")
        settled(box)
        assert all(mirror.asked(path) for path in BLOBS)
        assert "unavailable:" not in box.logs()


def test_reload_forgets_it(box, bad):
    layer = b"of another image"
    image = manifest_blob(CONFIG, [descriptor(layer, LAYER)])
    with badserver.BadServer() as mirror:
        box.configure(f"{STALLING}[registry {bad.address}]\nmirror = {mirror.url('')}\n")
        silent(mirror, None)
        serve(bad)
        with box.up():
            box.sluice("pull", f"{bad.address}/app:1")
            assert not any(mirror.asked(path) for path in BLOBS)
            wait_metric(box, "sluice_fetchd_breakers_open", 1)
            for server in (mirror, bad):
                serve(server, image, [CONFIG, layer], "2")
            os.kill(box.stage("fetchd"), signal.SIGHUP)
            wait_for("the settings to be read", lambda: "configuration reloaded" in box.logs())
            box.sluice("pull", f"{bad.address}/app:2")
            assert mirror.asked(f"/v2/app/blobs/{digest_of(layer)}")
        settled(box)


def test_an_operator_sees_it(box, bad):
    """In the log, status, stats, doctor and metrics; and that it is over."""
    serve(bad)
    works = threading.Event()

    def hangs(x):
        works.wait()
        badserver.whole(BLOBS[x.path])(x)

    layer = f"/v2/app/blobs/{digest_of(LAYERS[0])}"
    bad.on(layer, hangs)
    with badserver.BadServer() as mirror:
        silent(mirror, None)
        box.configure(f"{STALLING}[registry {bad.address}]\nstall_timeout = 10m\nmirror = {mirror.url('')}\n")
        try:
            with box.up():
                pull = box.popen("sluice", "pull", f"{bad.address}/app:1")
                text = f"waiting for an answer from '{bad.address}'; '{mirror.address}' is unavailable"
                wait_for("status to tell", lambda: text in box.sluice("status").stdout)
                wait_metric(box, "sluice_fetchd_breakers_open", 1)
                assert metrics(box)["sluice_fetchd_breaker_opened_total"] == 1
                assert "1 servers unavailable" in box.sluice("stats").stdout
                assert {row["check"]: row["state"] for row in box.json("doctor")}["servers"] == "warn"
                assert box.logs().count("is unavailable: no bytes arrived") == 1
                works.set()
                box.finish(pull, want=0)
        finally:
            works.set()
    settled(box)


def test_single_source_is_asked_as_always(box, bad):
    """Each has all its retries; the log tells once that it is unavailable, and that it is available again."""
    paths = list(BLOBS)[1:5]
    for path in paths:
        bad.on(path, badserver.silent(), badserver.silent(), badserver.whole(BLOBS[path]))
    box.configure(STALLING)
    with box.up():
        fetches = [
            box.popen("sluice", "fetch", bad.url(path), "--digest", path.rpartition("/")[2]) for path in paths
        ]
        for process in fetches:
            box.finish(process, want=0)
    settled(box)
    assert len(bad.requests) == 3 * len(paths)
    assert box.logs().count("is unavailable: no bytes arrived") == 1
    assert box.logs().count("is available again") == 1
