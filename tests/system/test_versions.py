# SPDX-License-Identifier: Apache-2.0
"""
Programs of other releases side by side. `next` understands protocol 2 and 3, `later` only 3, ours 2: a neighbour is a real
one, which reads and writes nothing past its own versions except HELLO, PING, PONG and ERROR.
"""

import shutil
import signal

import pytest

import badserver
import nano
import peers
import wire
from conftest import BINDIR
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import OK, STAGES, UNAVAILABLE, catches, one_line

OURS, NEXT = wire.VERSION, wire.VERSION + 1
PROTOCOL = 76  # EX_PROTOCOL
PROGRAMS = (*STAGES, "sluice")


def mix(box, release, programs):
    """Programs of another release in place of ours, in one directory."""
    mixed = box.directory / "bin"
    mixed.mkdir()
    for name in PROGRAMS:
        shutil.copy((BINDIR.parent / release / "bin" if name in programs else BINDIR) / name, mixed)
    box.bindir = mixed


def use(box, bad):
    """What passes every kind of message: pull, name, follow, look, abort. Returns what was said to a person."""
    config, layer = config_blob(), b"layer"
    blobs = {digest_of(data): [badserver.whole(data)] for data in (config, layer)}
    bad.image("app", "1", manifest_blob(config, [descriptor(layer, LAYER)]), MANIFEST, blobs)
    box.configure(f"[registry {bad.address}]\nplain_http = yes\n")
    said = box.sluice("pull", f"{bad.address}/app:1").stderr
    bad.on("/bytes", badserver.whole(b"bytes"))
    box.sluice("fetch", bad.url("/bytes"), "--digest", digest_of(b"bytes"))
    assert f"{bad.address}/app:1" in box.sluice("images").stdout
    box.sluice("status")
    box.sluice("abort", "nothing")
    box.sluice("rm", f"{bad.address}/app:1")
    return said


def said_of_versions(text):
    """Lines about another release, without how often they came. The tests' own PINGs cause some, too."""
    return [line.partition(" (repeated ")[0] for line in text.splitlines() if "speaks protocol" in line]


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_of_the_next_release(box, bad, program):
    """Either side may be the later one. Both use the version that both have, say so, and refuse nothing."""
    mix(box, "next", [program])
    with box.up():
        said = use(box, bad)
        counted = box.sluice("metrics").stdout.splitlines()
    refused = [line for line in counted if "refused" in line and line[0] != "#"]
    assert refused and all(line.endswith(" 0") for line in refused), refused
    lines = said_of_versions(box.logs() + said)
    assert "refused" not in box.logs() and all(line.endswith(f"continuing with version {OURS}") for line in lines), box.logs()
    later, ours = f"speaks protocol {OURS} to {NEXT}, ", f"speaks protocol {OURS}, "
    for peer in {"fetchd": ["ingestd"], "commitd": ["ingestd"], "ingestd": ["fetchd", "commitd"], "sluice": []}[program]:
        assert len([line for line in lines if line.startswith(f"{peer}: {program} ") and later in line]) == 1, lines
        assert len([line for line in lines if line.startswith(f"{program}: {peer} ") and ours in line]) == 1, lines
    for stage in {"fetchd": [], "sluice": ["ingestd", "commitd"]}.get(program, [program]):
        theirs = later if program == "sluice" else ours
        assert any(line.startswith(f"{stage}: this client ") and theirs in line for line in lines), lines
        assert len([line for line in said.splitlines() if line.startswith(f"sluice: {stage} ") and "speaks protocol" in line]) == 1, said


def test_all_of_the_next_release(box, bad):
    """They use their highest version, and have nothing to say about that."""
    mix(box, "next", PROGRAMS)
    with box.up():
        said = use(box, bad)
        with wire.Ctl(box.runtime / "ingestd/ctl") as ctl:
            for version in (NEXT, OURS, NEXT):
                assert ctl.ask(wire.message("SUBSCRIBE", protocol=version))[2:4] == bytes([version, wire.OK])
    assert [line for line in said_of_versions(box.logs() + said) if "this client" not in line] == []


@pytest.mark.parametrize("stage", ["ingestd", "commitd"])
@pytest.mark.parametrize("release", ["ours", "next"])
def test_strict_client(box, stage, release):
    """A client of versions 2 to 3, or of the only one that a later stage still has, hears nothing that it cannot read."""
    if release == "next":
        mix(box, "next", PROGRAMS)
    highest = NEXT if release == "ours" else OURS
    request = "NEXT" if stage == "ingestd" else "REMOVE_NAME"
    fields = {} if stage == "ingestd" else {"name": "app:1"}
    with box.up(), wire.Ctl(box.runtime / stage / "ctl") as ctl:
        pong = ctl.ask(wire.message("PING", protocol=highest, lowest=OURS, highest=highest, version="9.9"))
        assert pong[2:4] == bytes([OURS, wire.PONG])
        assert ctl.ask(wire.message("SUBSCRIBE"))[2:4] == bytes([OURS, wire.OK])
        answer = ctl.ask(wire.message(request, **fields))
        assert answer[2:4] == bytes([OURS, wire.ERROR if stage == "ingestd" else wire.OK])
        assert ctl.ask(wire.message("STATS", stage=2 if stage == "ingestd" else 3))[2] == OURS
    lines = [line for line in said_of_versions(box.logs()) if "9.9" in line]
    assert len(lines) == (release == "ours"), lines


def test_strict_fetchd(box):
    """A fetchd of versions 2 to 3 gets each order in version 2."""
    box.store.mkdir()
    ingestd = box.popen("ingestd")
    wait_for("ingestd", lambda: box.answers("ingestd"))
    digest = digest_of(b"content")
    with peers.Member(box.runtime) as client, nano.Socket(nano.PUSH).connect(box.runtime / "fetch/chunks") as chunks, \
            nano.Socket(nano.PULL).connect(box.runtime / "fetch/orders") as orders:
        assert client.get(digest, "https://host.test/content", expected=digest)[0] == "RECORD"
        first = orders.receive()
        assert first[2:4] == bytes([OURS, 1]), "HELLO, in the version that every other one reads"
        for _ in range(2):
            chunks.send(wire.message("HELLO", protocol=NEXT, incarnation=7, lowest=OURS, highest=NEXT, version="9.9"))
            while (order := orders.receive())[3] == 1:
                pass
            assert order[2:4] == bytes([OURS, 2]), "FETCH"
    ingestd.terminate()
    said = box.finish(ingestd, want=OK).stderr
    assert said.count("fetchd 9.9 speaks protocol 2 to 3, this side ") == 1, said
    assert said.count("continuing with version 2") == 1, said


COMMANDS = [["pull", "host.test/app:1"], ["fetch", "http://127.0.0.1:1/x", "--digest", digest_of(b"")], ["status"],
            ["abort", "x"], ["reset", "x"], ["events"]]


@pytest.mark.parametrize("later", [["sluice"], ["ingestd"], ["commitd"]])
def test_command_without_a_common_version(box, later):
    """Each command ends with a message that names both sides, and does not wait."""
    mix(box, "later", later)
    box.store.mkdir()
    stages = [box.popen(stage) for stage in STAGES]
    for stage in ("ingestd", "commitd"):
        wait_for(stage, lambda stage=stage: (box.runtime / stage / "ctl").exists())
    theirs, ours = (NEXT, OURS) if later == ["sluice"] else (OURS, NEXT)
    named = ["ingestd"] if later == ["sluice"] else later
    for command in COMMANDS:
        if later == ["commitd"] and command[0] == "status":
            continue  # asks ingestd alone
        said = box.sluice(*command, want=PROTOCOL).stderr
        one_line(said, f"this client {wire.RELEASE} speaks protocol {theirs}, {named[0]} {wire.RELEASE} speaks {ours}")
    for stage in stages:
        wait_for("it to handle signals", lambda stage=stage: catches(stage.pid, signal.SIGTERM))
        stage.terminate()
    for stage in stages:
        box.finish(stage, want=OK)


def test_stages_without_a_common_version(box):
    """Each says so, and neither sends anything but HELLO to the other. A command is told why nothing comes."""
    mix(box, "later", ["fetchd"])
    digest = digest_of(b"content")
    with box.up():
        wait_for("both to say so", lambda: box.logs().count("speaks protocol") >= 2)
        said = box.sluice("fetch", "http://127.0.0.1:1/x", "--digest", digest, want=UNAVAILABLE).stderr
        one_line(said, f"ingestd cannot talk to fetchd: fetchd {wire.RELEASE} speaks protocol {NEXT}, ")
        assert box.status(digest)["state"] == "fetching", "it waits for a fetchd that can"
        assert f"fetchd {wire.RELEASE} speaks protocol {NEXT}" in box.sluice("stats").stdout
    for stage, peer, version in (("ingestd", "fetchd", NEXT), ("fetchd", "ingestd", OURS)):
        assert f"{stage}: {peer} {wire.RELEASE} speaks protocol {version}, " in box.logs()
    assert "another protocol version" not in box.logs()


def test_fetchd_without_a_common_version_comes_later(box, bad):
    """A command that waits already is told why nothing comes. The transfer waits for another fetchd."""
    bad.on("/bytes", badserver.whole(b"bytes"))
    digest = digest_of(b"bytes")
    mix(box, "later", ["fetchd"])
    box.store.mkdir()
    stages = [box.popen(stage) for stage in ("ingestd", "commitd")]
    for stage in ("ingestd", "commitd"):
        wait_for(stage, lambda stage=stage: box.answers(stage))
    command = box.popen("sluice", "fetch", bad.url("/bytes"), "--digest", digest)
    wait_for("the request", lambda: [each["state"] for each in box.json("status")] == ["fetching"])
    assert "error" not in box.status(digest)
    stages.append(box.popen("fetchd"))
    said = box.finish(command, want=UNAVAILABLE).stderr
    why = f"ingestd cannot talk to fetchd: fetchd {wire.RELEASE} speaks protocol {NEXT}, "
    one_line(said, why)
    for status in (box.status(digest), box.json("status")[0]):
        assert status["state"] == "fetching" and why in status["error"]
    later = stages.pop()
    later.terminate()
    box.finish(later, want=OK)
    shutil.copy(BINDIR / "fetchd", box.bindir)
    stages.append(box.popen("fetchd"))
    box.sluice("fetch", bad.url("/bytes"), "--digest", digest)
    assert box.blob(digest).read_bytes() == b"bytes"
    for stage in stages:
        stage.terminate()
    for stage in stages:
        box.finish(stage, want=OK)
