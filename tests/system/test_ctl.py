# SPDX-License-Identifier: Apache-2.0
"""Requests and events: who receives what, which versions are accepted, and who owns the directories of the sockets."""

import os
import shutil
import stat

import pytest

import badserver
import nano
import wire
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import IO, OK, STAGES

BLOBS = [b"first", b"second"]
LATER = wire.VERSION + 1


def text_of(error):
    """The text of an ERROR."""
    assert error[3] == wire.ERROR, error
    return error[7 : 7 + int.from_bytes(error[5:7], "big")].decode()


def ref_of(record):
    assert record[3] == wire.RECORD, record
    return record[6 : 6 + int.from_bytes(record[4:6], "big")].decode()


def subscribed(box, ref, stage="ingestd"):
    ctl = wire.Ctl(box.runtime / stage / "ctl")
    assert ctl.ask(wire.message("SUBSCRIBE", ref=ref))[3] == wire.OK
    return ctl


def test_events_are_filtered(box, bad):
    """A subscriber to one ref receives no events of other refs."""
    mine, other = map(digest_of, BLOBS)
    for data in BLOBS:
        bad.on(f"/{data.decode()}", badserver.whole(data))
    with box.up(), subscribed(box, mine) as one, subscribed(box, "") as every:
        for data in BLOBS[::-1]:
            box.sluice("fetch", bad.url(f"/{data.decode()}"), "--digest", digest_of(data))
        assert ref_of(one.receive()) == mine
        assert ref_of(every.receive()) == other
        one.socket.settimeout(0)
        while True:
            try:
                assert ref_of(one.receive()) == mine
            except BlockingIOError:
                break


def test_slow_client_is_dropped_with_a_reason(box, bad):
    """It does not read while more events arrive than the buffers hold. It is told why, and nobody waited for it."""
    layers = [b"%d" % i for i in range(600)]
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in layers])
    bad.image("many", "1", manifest, MANIFEST, {digest_of(b): [badserver.whole(b)] for b in (config, *layers)})
    box.configure(f"[registry {bad.address}]\nplain_http = yes\n")
    with box.up(), subscribed(box, "") as slow:
        box.sluice("pull", f"{bad.address}/many:1")
        heard = []
        while packet := slow.receive():
            heard.append(packet)
    assert all(packet[3] == wire.RECORD for packet in heard[:-1]) and len(heard) > 64
    assert "too slowly" in text_of(heard[-1])


@pytest.mark.parametrize("stage", ["ingestd", "commitd"])
def test_versions(box, stage):
    """A client of a neighbouring version is served, one of another is refused by name. Others are not affected."""
    near = wire.message("PING", protocol=LATER, lowest=wire.VERSION, highest=LATER, version="9.9")
    far = wire.message("PING", protocol=LATER, lowest=LATER, highest=LATER + 2, version="9.9")
    with box.up():
        with wire.Ctl(box.runtime / stage / "ctl") as ctl:
            assert ctl.ask(near)[3] == wire.PONG
            assert ctl.ask(wire.message("PING"))[3] == wire.PONG
        with wire.Ctl(box.runtime / stage / "ctl") as ctl:
            said = text_of(ctl.ask(far))
            assert f"this client 9.9 speaks protocol {LATER} to {LATER + 2}, {stage} " in said
            assert said.endswith(f"speaks {wire.VERSION}")
            assert ctl.receive() == b""
        with wire.Ctl(box.runtime / stage / "ctl") as ctl:
            assert "another protocol version" in text_of(ctl.ask(wire.message("STATUS", protocol=LATER, ref="r")))
        box.sluice("status")


def test_stage_of_another_version_gets_no_order(box):
    """A fetchd with a later protocol is told so."""
    box.store.mkdir()
    ingestd = box.popen("ingestd")
    wait_for("ingestd", lambda: (box.runtime / "fetch/chunks").exists())
    with nano.Socket(nano.PUSH).connect(box.runtime / "fetch/chunks") as chunks, \
            nano.Socket(nano.PULL).connect(box.runtime / "fetch/orders") as orders:
        assert orders.receive()[3] == 1, "HELLO"
        chunks.send(wire.message("HELLO", protocol=LATER, incarnation=7, lowest=LATER, highest=LATER, version="9.9"))
        answer = orders.receive()
        assert answer[3] == 1 and answer[20:22] == bytes([wire.VERSION, wire.VERSION]), answer
    ingestd.terminate()
    assert f"fetchd 9.9 speaks protocol {LATER}, this side " in box.finish(ingestd, want=OK).stderr


def modes(box):
    return {name: stat.S_IMODE(os.stat(box.runtime / name).st_mode) for name in ("ingestd", "commitd", "fetchd", "fetch", "seal")}


def test_directories(box):
    with box.up():
        wait_for("all stages", lambda: all((box.runtime / stage / "holder").exists() for stage in STAGES))
        assert set(modes(box).values()) == {0o700}
        for stage in STAGES:
            assert stat.S_IMODE(os.stat(box.runtime / stage / "lock").st_mode) == 0o600
            assert (box.runtime / stage / "holder").read_text().startswith(f"{stage} {box.stage(stage)} since ")


@pytest.mark.parametrize("stage, name", [("ingestd", "ingestd"), ("ingestd", "fetch"), ("commitd", "seal"), ("commitd", "commitd"), ("fetchd", "fetchd"), ("fetchd", ".")])
def test_directory_writable_by_others_is_refused(box, stage, name):
    box.store.mkdir()
    (box.runtime / name).mkdir(parents=True, exist_ok=True)
    (box.runtime / name).chmod(0o770)
    said = box.run(stage)
    assert said.returncode == 77 and "others can write in" in said.stderr, said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize("stage", ["ingestd", "commitd"])
def test_directory_in_place_of_a_socket_is_named(box, stage):
    """The error is one line, and sluice shows that line."""
    box.store.mkdir()
    (box.runtime / stage / "ctl").mkdir(parents=True)
    box.runtime.chmod(0o750)
    said = box.run(stage)
    assert said.returncode == IO and len(said.stderr.splitlines()) == 1, said.stderr
    assert f"cannot listen on '{box.runtime}/{stage}/ctl'" in said.stderr
    shutil.rmtree(box.runtime)
