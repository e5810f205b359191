# SPDX-License-Identifier: Apache-2.0
"""registries.d: settings of one registry apply to that registry only."""

import os
import signal
import threading
import time

import pytest

import badserver
from conftest import settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import AGAIN, BAD_DATA, CONFIG, OK, catches, one_line
from tokens import Realm

DATA = os.urandom(200_000)
DIGEST = digest_of(DATA)
QUICK = "[fetchd]\nmax_retries = 2\nretry_delay = 10ms\n"
CANARY = "X-Canary: canary-header"


def write_config(box, name, *lines):
    """Write a file in registries.d."""
    directory = box.config.parent / "registries.d"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("".join(f"{line}\n" for line in lines))
    return directory / name


def fetch(box, server, path="/blob", want=OK):
    return box.run("sluice", "fetch", server.url(path), "--digest", DIGEST, want=want)


def carriers(server):
    return [r.path for r in server.requests if "canary-header" in str(r.headers)]


def serve_image(bad, layers, behave=badserver.whole):
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in layers])
    bad.image("app", "1", manifest, MANIFEST, {digest_of(b): [behave(b)] for b in (config, *layers)})
    return f"{bad.address}/app:1"


# ── files ──


def test_mistake_names_file_and_line(box):
    path = write_config(box, "50-a.conf", "[registry a.example]", "ca_file = /does/not/exist")
    one_line(box.run("fetchd", "get", "--raw", "https://a.example/x", want=CONFIG).stderr, path, "line 2", "/does/not/exist")


def test_files_are_reread(box, bad):
    """A new file, too. After an error the old settings stay."""
    box.configure(QUICK)
    bad.on("/blob", badserver.status(503), badserver.whole(DATA))
    bad.on("/other", badserver.status(503))
    with box.up():
        fetchd = box.stage("fetchd")
        wait_for("fetchd to listen to signals", lambda: catches(fetchd, signal.SIGHUP))
        write_config(box, "10.conf", f"[registry {bad.address}]", "max_retries = 0", f"header = {CANARY}")
        os.kill(fetchd, signal.SIGHUP)
        wait_for("the settings to be read again", lambda: box.logs().count("configuration reloaded") == 1)
        fetch(box, bad, want=AGAIN)
        assert len(bad.requests) == 1 and carriers(bad) == ["/blob"]
        path = write_config(box, "20.conf", "[registry b.example]", "plain_http = perhaps")
        os.kill(fetchd, signal.SIGHUP)
        wait_for("the mistake to be told", lambda: "keeping the old configuration" in box.logs())
        assert f"'{path}' line 2" in box.logs()
        fetch(box, bad, path="/other", want=AGAIN)
        assert len(bad.asked("/other")) == 1 and carriers(bad) == ["/blob", "/other"]


def test_retries_of_one_registry(box, bad):
    box.configure("[fetchd]\nmax_retries = 0\n")
    write_config(box, "a.conf", f"[registry {bad.address}]", "max_retries = 3", "retry_delay = 10ms", "retry_delay_max = 20ms")
    bad.on("/blob", *[badserver.status(500)] * 3, badserver.whole(DATA))
    fetch(box, bad)
    with badserver.BadServer() as other:
        other.on("/blob", badserver.status(500))
        fetch(box, other, want=None)
        assert len(other.requests) <= 1


def test_connection_limit_of_one_registry(box, bad):
    """Eight blobs are requested at once, over one connection."""
    write_config(box, "a.conf", f"[registry {bad.address}]", "connections = 1")
    lock, now, most = threading.Lock(), [0], [0]

    def counted(data):
        def behave(x):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            x.promise(data)
            x.body(data[:-1])
            with lock:
                now[0] -= 1  # before the last byte is sent, after which the next request may come
            x.body(data[-1:])

        return behave

    box.sluice("pull", serve_image(bad, [os.urandom(50_000) for _ in range(8)], counted))
    assert most[0] == 1
    settled(box)


# ── headers ──


def test_headers_stay_at_their_origin(box, bad):
    """They are not sent to the target of a redirect, to a realm on another host or to another registry."""
    with badserver.BadServer() as away, badserver.BadServer() as auth, badserver.BadServer() as third:
        realm = Realm(auth)
        reference = serve_image(bad, [DATA], lambda b: realm.guard(badserver.status(307, {"Location": away.url("/" + digest_of(b))})))
        for blob in (DATA, config_blob()):
            away.on("/" + digest_of(blob), badserver.whole(blob))
        third.on("/blob", badserver.whole(DATA))
        write_config(box, "a.conf", f"[registry {bad.address}]", f"header = {CANARY}")
        box.sluice("pull", reference)
        fetch(box, third)
        assert len(carriers(bad)) == len(bad.requests) and {r.method for r in bad.requests} == {"HEAD", "GET"}
        for server in (away, auth, third):
            assert not carriers(server)
        assert len(away.requests) == 2 and realm.asked()
        box.gone()
        assert "canary-header" not in box.logs()


def test_redirect_target_gets_no_configured_headers(box, bad):
    """The target has a section with headers. They are for users who name that host."""
    with badserver.BadServer() as away:
        bad.on("/blob", badserver.status(307, {"Location": away.url("/blob")}))
        away.on("/blob", badserver.whole(DATA))
        write_config(box, "a.conf", f"[registry {away.address}]", f"header = {CANARY}")
        fetch(box, bad)
        assert len(away.requests) == 1 and not carriers(away)


def test_realm_at_the_same_origin_gets_the_headers(box, bad):
    realm = Realm(bad)
    bad.on("/blob", realm.guard(badserver.whole(DATA)))
    write_config(box, "a.conf", f"[registry {bad.address}]", f"header = {CANARY}", "header = X-More: 2")
    fetch(box, bad)
    assert len(carriers(bad)) == 3 and all(r.headers["X-More"] == "2" for r in bad.requests)


def test_each_mirror_has_its_own_headers(box, bad):
    with badserver.BadServer() as mirror:
        source = f"/v2/app/blobs/{DIGEST}"
        mirror.on(source, badserver.status(404))
        bad.on(source, badserver.whole(DATA))
        box.configure(QUICK)
        write_config(box, "a.conf", f"[registry {bad.address}]", f"mirror = {mirror.url('')}", "header = X-Of: registry")
        write_config(box, "b.conf", f"[registry {mirror.address}]", "header = X-Of: mirror")
        box.run("fetchd", "get", "--raw", f"blob://{bad.address}/app@{DIGEST}", want=OK)
        assert [r.headers["X-Of"] for r in (*mirror.requests, *bad.requests)] == ["mirror", "registry"]


# ── wrong bytes ──


@pytest.fixture
def three(box, bad):
    """Two mirrors and their registry."""
    with badserver.BadServer() as first, badserver.BadServer() as second:
        box.configure(QUICK)
        write_config(box, "m.conf", f"[registry {bad.address}]", f"mirror = {first.url('')}", f"mirror = {second.url('')}")
        yield first, second, bad


def wrong(data):
    return badserver.whole(b"x" * len(data))


def test_wrong_bytes_are_fetched_elsewhere(box, three):
    """The first mirror's content is wrong. The transfer restarts from the next."""
    first, second, registry = three
    reference = serve_image(registry, [DATA])
    path = f"/v2/app/blobs/{DIGEST}"
    first.on(path, wrong(DATA))
    second.on(path, badserver.whole(DATA))
    box.sluice("pull", reference)
    assert [len(s.asked(path)) for s in three] == [1, 1, 0]
    settled(box)


def test_wrong_bytes_of_two_mirrors_go_to_the_registry(box, three):
    """Each mirror sent half, and either may be wrong, so the registry is asked."""
    first, second, registry = three
    reference = serve_image(registry, [DATA])
    path = f"/v2/app/blobs/{DIGEST}"
    first.on(path, badserver.cut_short(b"x" * len(DATA), len(DATA) // 2))
    second.on(path, badserver.whole(DATA))
    box.sluice("pull", reference)
    assert [len(s.asked(path)) for s in three] == [1, 1, 1]


def test_wrong_bytes_of_the_registry_go_to_a_failed_mirror(box, three):
    """A mirror that had failed is tried again before the registry."""
    first, second, registry = three
    reference = serve_image(registry, [DATA])
    path = f"/v2/app/blobs/{DIGEST}"
    first.on(path, badserver.status(404), badserver.whole(DATA))
    second.on(path, badserver.status(404))
    registry.on(path, wrong(DATA))
    box.sluice("pull", reference)
    assert [len(s.asked(path)) for s in three] == [2, 1, 1]


def test_wrong_bytes_from_all_fail(box, three):
    first, second, registry = three
    reference = serve_image(registry, [DATA])
    path = f"/v2/app/blobs/{DIGEST}"
    for server in three:
        server.on(path, wrong(DATA))
    one_line(box.sluice("pull", reference, want=BAD_DATA).stderr, DIGEST, digest_of(b"x" * len(DATA)))
    assert [len(s.asked(path)) for s in three] == [1, 1, 0]


def test_wrong_manifest_of_a_mirror_is_fetched_elsewhere(box, three):
    """Its HEAD answers with the right digest, its GET with other content."""
    first, second, registry = three
    reference = serve_image(registry, [DATA])
    manifest = manifest_blob(config_blob(), [descriptor(DATA, LAYER)])
    by_digest = f"/v2/app/manifests/{digest_of(manifest)}"
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(manifest)}
    first.on("/v2/app/manifests/1", badserver.status(200, headers))
    first.on(by_digest, badserver.status(200, {"Content-Type": MANIFEST}, manifest.replace(b"linux", b"hurd?") + b" "))
    for path in ("/v2/app/manifests/1", by_digest):
        second.on(path, badserver.whole(manifest, headers))
    box.sluice("pull", reference)
    assert len(first.asked(by_digest)) == 1 and len(second.asked(by_digest)) == 1
    settled(box)


# ── Retry-After ──


def http_date(in_s):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + in_s))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_out(box, bad, form):
    at = []

    def stamped(behave):
        def stamping(x):
            at.append(time.time())
            behave(x)

        return stamping

    def not_now(x):
        badserver.status(429, {"Retry-After": "2" if form == "seconds" else http_date(3)})(x)

    bad.on("/blob", stamped(not_now), stamped(badserver.whole(DATA)))
    fetch(box, bad)
    assert len(at) == 2 and at[1] - at[0] >= 1.9


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked, told", [
    ("3600", "3600 s"), ("1000000000", "at least 31536000 s"), ("99999999999999999999999", "at least 31536000 s"),
], ids=["an hour", "decades", "over all numbers"])
def test_retry_after_beyond_the_limit(box, bad, status, asked, told):
    write_config(box, "a.conf", f"[registry {bad.address}]", "retry_after_max = 5s")
    bad.on("/blob", badserver.status(status, {"Retry-After": asked}))
    one_line(fetch(box, bad, want=AGAIN).stderr, bad.address, status, told, "retry_after_max is 5 s")
    assert len(bad.requests) == 1


@pytest.mark.parametrize("asked", ["-5", "-1000000000", "soon", "1e9", "", "Thu, 01 Jan 1970 00:00:01 GMT"])
def test_invalid_retry_after(box, bad, asked):
    box.configure(QUICK)
    bad.on("/blob", badserver.status(503, {"Retry-After": asked}), badserver.whole(DATA))
    fetch(box, bad)


def test_status_shows_the_end_of_a_wait(box, bad):
    bad.on("/blob", badserver.status(429, {"Retry-After": "500"}), badserver.whole(DATA))
    with box.up():
        waiting = box.popen("sluice", "fetch", bad.url("/blob"), "--digest", DIGEST)
        wait_for("the wait to be told", lambda: any(r["state"] == "waiting" for r in box.json("status")))
        record = box.status(DIGEST)
        left = time.mktime(time.strptime(record["until"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())
        assert 300 < left < 600 and bad.address in record["error"] and "429" in record["error"]
        table = box.sluice("status").stdout
        assert bad.address in table and record["until"] in table
        box.sluice("abort", DIGEST)
        box.finish(waiting)
