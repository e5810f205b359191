# SPDX-License-Identifier: Apache-2.0
"""The event stream: its content, and that no reader delays anybody."""

import contextlib
import json
import os
import signal

import pytest

import badserver
from conftest import MIB
from images import LAYER, MANIFEST, Pusher, config_blob, descriptor, digest_of, manifest_blob
from servers import GUARD_S, wait_for
from stages import OK, catches

CONTENT = os.urandom(3 * MIB)
LAYERS = 600


class Stream:
    """`sluice events` into a file."""

    def __init__(self, box, *words):
        self.path = box.directory / "events"
        with open(self.path, "wb") as out:
            self.process = box.popen("sluice", *words, "events", stdout=out)
        wait_for("sluice to catch SIGINT", lambda: catches(self.process.pid, signal.SIGINT))

    def all(self, **want):
        """The events so far with these members."""
        whole = self.path.read_text().rpartition("\n")[0]
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if want.items() <= event.items()]

    def wait(self, count=1, **want):
        return wait_for(f"{count} of {want}", lambda: len(self.all(**want)) >= count and self.all(**want))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(GUARD_S) == OK


@contextlib.contextmanager
def following(box, *words):
    """The stages, and a stream that is connected to both publishers."""
    stream = Stream(box, *words)
    with box.up():
        for stage in ("ingestd", "commitd"):
            stream.wait(type="stage", stage=stage, state="up")
        yield stream
        stream.stop()


@pytest.fixture
def image(registry):
    pusher = Pusher(registry.address, "events")
    manifest = pusher.image("1", [pusher.blob_bytes(CONTENT)])["digest"]
    return f"{registry.address}/events:1", manifest


def test_events_of_a_pull(box, image):
    reference, manifest = image
    ref = digest_of(CONTENT)
    with following(box) as stream:
        box.sluice("pull", reference)
        assert stream.wait(type="image", state="named")[0]["digest"] == manifest
        stream.wait(type="transfer", ref=ref, state="committed")
        box.sluice("rm", reference)
        assert stream.wait(type="image", state="removed")[0]["name"] == reference
    seen = stream.all(type="transfer", ref=ref)
    states = [event["state"] for event in seen]
    assert [state for i, state in enumerate(states) if states[:i][-1:] != [state]] == [
        "queued", "fetching", "sealed", "committed",
    ]
    assert seen[-1]["offset"] == seen[-1]["total"] == len(CONTENT)
    assert seen[-1]["digest"] == ref
    assert all(event["time"].endswith("Z") for event in stream.all())


def test_stream_outlives_the_stages(box, image):
    reference, _ = image
    with following(box, "--json") as stream:
        for stage in ("ingestd", "commitd"):
            box.kill_stage(stage)
            stream.wait(type="stage", stage=stage, state="down")
            stream.wait(2, type="stage", stage=stage, state="up")
        box.sluice("pull", reference)
        stream.wait(type="transfer", ref=digest_of(CONTENT), state="committed")
        stream.wait(type="image", state="named")


def test_stalled_reader_delays_nobody(box, bad):
    """The reader does not read, and there are more events than the buffers hold. The excess is dropped."""
    layers = [b"%d" % i for i in range(LAYERS)]
    config = config_blob()
    manifest = manifest_blob(config, [descriptor(layer, LAYER) for layer in layers])
    bad.image("many", "1", manifest, MANIFEST, {digest_of(b): [badserver.whole(b)] for b in (config, *layers)})
    box.configure(f"[registry {bad.address}]\nplain_http = yes\n")
    with following(box) as stream:
        stream.process.send_signal(signal.SIGSTOP)
        box.sluice("pull", f"{bad.address}/many:1")
        stream.process.send_signal(signal.SIGCONT)
        box.sluice("tag", f"{bad.address}/many:1", "last:1")
        stream.wait(type="image", name="last:1")
        seen = len(stream.all(type="transfer", state="committed"))
    assert 0 < seen < LAYERS, "the reader must miss some events, and not all"


def test_stream_ends_with_its_reader(box):
    """`sluice events | head -1` ends when head does, even without a further event to write."""
    process = box.popen("sluice", "events")
    wait_for("sluice to catch SIGINT", lambda: catches(process.pid, signal.SIGINT))
    process.stdout.close()
    assert process.wait(GUARD_S) == OK
