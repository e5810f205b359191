# SPDX-License-Identifier: Apache-2.0
"""
The workloads on a disk while it is recorded: the real stages and `sluice`, with our own server.

A workload is a function of a Scene. Its content follows from its name and a seed; the timing of the machine does not.
The output of the programs goes into the tape line by line, together with the marks of promises.py.
"""

import ctypes
import json
import os
import pathlib
import random
import shutil
import subprocess
import threading
import time

import badserver
import disks
import images
import promises
import rig
import servers

KIB = 1 << 10
INTERVAL = 256 * KIB  # of durable checkpoints
IN_FLIGHT = 384 * KIB  # the server sends this much past the next durable checkpoint, and then waits for it
PIECE = 64 * KIB
SYNC_FILE_RANGE_WRITE = 2


class Content:
    """The images of a workload. Tags map to layers; `files` are fetched by URL or in a pipeline."""

    SHAPES = {  # workload: ({tag: sizes}, sizes of files); equal sizes mean the same layer
        "fresh": ({"a": (7, 64 * KIB, 900 * KIB + 1)}, ()),
        "resumed": ({"a": (1000, 700 * KIB + 100, 1100 * KIB + 17)}, ()),
        "many": ({"a": tuple(range(100, 12000, 500))}, ()),
        "names": ({"a": (700, 100_000), "b": (700, 300 * KIB), "c": (300, 100_000)}, (600 * KIB,)),
        "cleaned": ({"a": (700, 100_000), "b": (700, 300 * KIB)}, ()),
        "hand": ({}, (900 * KIB + 5, 40_000)),
    }

    def __init__(self, workload, seed, server):
        self.workload, self.server = workload, server
        shapes, files = self.SHAPES[workload]
        sizes = sorted({size for layers in shapes.values() for size in layers})
        layers = {size: random.Random(f"{workload}/{seed}/{size}").randbytes(size) for size in sizes}
        self.of = {images.digest_of(data): data for data in layers.values()}
        self.files = [random.Random(f"{workload}/{seed}/file/{size}").randbytes(size) for size in files]
        self.of.update((images.digest_of(data), data) for data in self.files)
        self.manifests = {}
        for tag, numbers in shapes.items():
            config = images.config_blob()
            layout = [images.descriptor(layers[size], images.LAYER) for size in numbers]
            self.manifests[tag] = images.manifest_blob(config, layout)
            for data in (config, self.manifests[tag]):
                self.of[images.digest_of(data)] = data
            self.of[f"manifest://{server.address}/app:{tag}"] = self.manifests[tag]

    def refs_of(self, tag):
        """The refs of an image's manifest, config and layers."""
        manifest = json.loads(self.manifests[tag])
        parts = [manifest["config"], *manifest["layers"]]
        return {f"manifest://{self.server.address}/app:{tag}", self.digest(tag), *(part["digest"] for part in parts)}

    def serve(self, behaviour):
        """`behaviour` returns one for a ref and its bytes."""
        blobs = {digest: [behaviour(digest, data)] for digest, data in self.of.items() if digest.startswith("sha")}
        for tag, manifest in self.manifests.items():
            self.server.image("app", tag, manifest, images.MANIFEST, blobs)
        for data in self.files:
            self.server.on(self.path(data), behaviour(images.digest_of(data), data))

    def path(self, data):
        return f"/files/{images.digest_of(data)}"

    def reference(self, tag):
        return f"{self.server.address}/app:{tag}"

    def digest(self, tag):
        return images.digest_of(self.manifests[tag])


class Stages(rig.Rig):
    """The stages on a store, with a given boot id."""

    words = {"ingestd": ("--checkpoint-bytes", "256K"), "commitd": ("--log-level", "info")}

    def __init__(self, bindir, directory, store, boot):
        super().__init__(bindir, None, directory, None)
        self.store = pathlib.Path(store)
        self.boot = f"00000000-0000-4000-8000-{boot:012x}"
        self.fresh_runtime()

    @property
    def environment(self):
        return {**super().environment, "SLUICE_BOOT_ID": self.boot, "SLUICE_LOG_LEVEL": "debug"}

    def do(self, *words, want=(0,)):
        """Run `sluice` to its end, and restart stages meanwhile."""
        code = self.attend(self.begin("sluice", words), f"'sluice {' '.join(words)}'")
        if code not in want:
            raise rig.Broken(f"'sluice {' '.join(words)}' gave {code}")

    def kill(self, *names):
        """kill -9 all of them before one is restarted."""
        for name in names:
            self.running[name].kill()
        for name in names:
            self.running[name].wait()


class Listener(threading.Thread):
    """Follows the tape: the lines printed so far."""

    def __init__(self, tape, content):
        super().__init__(daemon=True)
        self.tape, self.heard = tape, promises.Promises(content.of, content.workload)
        self.lines, self.ended = [], False
        self.news = threading.Condition()

    def run(self):
        while not self.ended:
            texts = [text for kind, text in self.tape.read() if kind == "M"]
            with self.news:
                for text in texts:
                    self.heard.hear(text)
                    self.lines += text.splitlines()
                if texts:
                    self.news.notify_all()
            time.sleep(0.002)

    def wait(self, what, condition):
        """Wait until `condition` of the lines so far is true. Returns its result."""
        with self.news:
            if not self.news.wait_for(lambda: condition(self.lines), rig.PATIENCE_S):
                raise rig.Broken(f"waited in vain for {what}")
            return condition(self.lines)

    def wait_for_line(self, word, count=1):
        self.wait(f"'{word}'", lambda lines: sum(word in line for line in lines) >= count)


class Scene:
    """The environment of a workload: the mounted disk, the stages on it, the server."""

    def __init__(self, disk, mount, content, stages, listener):
        self.disk, self.mount, self.content, self.stages, self.listener = disk, mount, content, stages, listener

    def paced(self, ref, data):
        """Serve correctly, but only a bounded amount past the next durable checkpoint."""

        def behave(x):
            start, end = x.promise(data)
            for at in range(start, end, PIECE):
                to = min(at + PIECE, end)
                self.listener.wait(f"a checkpoint of {ref} before {to}", lambda _, to=to: self.may_send(ref, to))
                self.disk.mark("sent", ref, to)
                x.body(data[at:to])

        return behave

    def may_send(self, ref, to):
        return to <= self.listener.heard.durable.get(ref, 0) + INTERVAL + IN_FLIGHT

    def pull(self, tag, want=(0,)):
        reference = self.content.reference(tag)
        self.disk.mark("begin", reference, self.content.digest(tag))
        self.stages.do("pull", reference, want=want)
        self.disk.mark(f"named '{reference}' {self.content.digest(tag)}")

    def tag(self, tag, name):
        self.disk.mark("begin", name, self.content.digest(tag))
        self.stages.do("tag", self.content.reference(tag), name)

    def remove(self, name):
        self.disk.mark("begin", name, "-")
        self.stages.do("rm", name)


    def collect(self, tag, kept):
        """A gc, after which what only `tag` needs may be gone."""
        for ref in sorted(self.content.refs_of(tag) - self.content.refs_of(kept)):
            self.disk.mark("collect", ref)
        self.stages.do("gc", "--older-than", "0")


# ── the workloads ──


def fresh(scene):
    """An image, and a second name for it."""
    scene.stages.up()
    scene.pull("a")
    scene.tag("a", "second")
    scene.stages.down()


def resumed(scene):
    """The same, with each stage killed in the middle, and a restart of all."""
    stages, listener = scene.stages, scene.listener
    reference = scene.content.reference("a")
    stages.up()
    scene.disk.mark("begin", reference, scene.content.digest("a"))
    pull = stages.begin("sluice", ("pull", reference))
    for pieces, victims in ((7, ["ingestd"]), (12, ["commitd"]), (17, ["fetchd", "ingestd"]), (22, list(stages.running))):
        listener.wait_for_line("sent sha256:", pieces)
        stages.kill(*victims)
        stages.tend()
    if stages.attend(pull, "the pull") != 0:
        raise rig.Broken("the pull failed")
    scene.tag("a", "second")
    stages.down()


def many(scene):
    """Many small blobs, which share syncs."""
    scene.stages.up()
    scene.pull("a")
    scene.stages.down()


def names(scene):
    """Images that share layers; names set, moved and removed; a transfer aborted in the middle."""
    scene.stages.up()
    scene.pull("a")
    scene.tag("a", "x")
    scene.pull("b")
    scene.tag("b", "x")
    scene.remove("x")
    dropped(scene, scene.content.files[0])
    scene.remove(scene.content.reference("a"))
    scene.pull("c")
    scene.pull("a")
    scene.stages.down()


def cleaned(scene):
    """Images that share a layer; each loses its name and what only it needs, and one of them comes again."""
    scene.stages.up()
    scene.pull("a")
    scene.pull("b")
    scene.remove(scene.content.reference("b"))
    scene.collect("b", kept="a")
    scene.pull("b")
    scene.remove(scene.content.reference("a"))
    scene.collect("a", kept="b")
    scene.stages.down()


def dropped(scene, data):
    """A transfer that stops in the middle, is reset, requested again, and aborted."""
    stages, digest, path = scene.stages, images.digest_of(data), scene.content.path(data)
    scene.content.server.on(path, stuck(data, 500 * KIB))
    fetch = stages.begin("sluice", ("fetch", scene.content.server.url(path), "--digest", digest))
    for count, word in ((1, "reset"), (2, "abort")):
        scene.listener.wait_for_line(f"'{digest}' is durable up to", count)
        scene.disk.mark("drop", digest)
        stages.do(word, digest)
    stages.attend(fetch, "the fetch")


def stuck(data, after):
    """Sends `after` of the requested bytes, and then nothing until the client has gone."""

    def behave(x):
        start, end = x.promise(data)
        x.body(data[start : min(end, start + after)])
        x.handler.connection.recv(1)
        x.hang_up()

    return behave


def hand(scene):
    """`ingestd put --raw | commitd commit`, interrupted once in the middle."""
    for data in scene.content.files:
        digest = images.digest_of(data)
        for cut in (len(data) * 2 // 3, len(data)):
            put_in_pipeline(scene.stages, digest, data[:cut], scene.content)


def put_in_pipeline(stages, digest, data, content):
    whole = len(data) == len(content.of[digest])
    with open(stages.log, "ab") as log:
        offset = stages.run("ingestd", "offset", digest).stdout
        start = int(offset or 0)
        put = stages.popen("ingestd", "put", *stages.words["ingestd"], "--raw", "--offset", start, "--digest", digest,
                           digest, stdin=subprocess.PIPE, stderr=log)
        commit = stages.popen("commitd", "commit", stdin=put.stdout, stdout=log, stderr=log)
        put.stdin.write(data[start:])
        put.stdin.close() if whole else put.stdin.flush()
        if not whole:
            servers.wait_for("the bytes to be written", lambda: stages.size(digest) >= len(data))
            put.kill()
    codes = put.wait(), commit.wait()
    if whole and codes != (0, 0):
        raise rig.Broken(f"put and commit gave {codes}")


WORKLOADS = {work.__name__: work for work in (fresh, resumed, many, names, cleaned, hand)}


# ── recording ──


def write_back(mount, ended):
    """Start writeback of any file's pages, as the kernel may do at any time, without a promise."""
    choices = random.Random(0)
    while not ended.wait(0.02):
        try:
            files = sorted(pathlib.Path(mount).glob("store/ingest/*/*")) or [mount]
            fd = os.open(choices.choice(files), os.O_RDONLY)
        except FileNotFoundError:  # removed in the meantime
            continue
        disks.libc.sync_file_range(fd, ctypes.c_long(0), ctypes.c_long(0), SYNC_FILE_RANGE_WRITE)
        os.close(fd)


def record(area, program, bindir, kind, workload, seed, server, tape):
    """Run the workload on a new disk and record it at `tape`. Returns the content."""
    content = Content(workload, seed, server)
    mount = area / "mount"
    mount.mkdir(exist_ok=True)
    what = disks.FILE_SYSTEMS[kind]
    with disks.Disk(program, area / "recorded", tape, what.size) as disk:
        subprocess.run([*what.make, disk.device], check=True, stdout=subprocess.DEVNULL)
        with disks.mounted(disk.device, mount, kind):
            subprocess.run(["sync", "-f", mount], check=True)
            disk.mark("start", kind, workload, seed, server.address)
            perform(area, bindir, workload, Scene(disk, mount, content, None, None), tape)
            disk.mark("end")
    (area / "recorded").rmdir()
    return content


def perform(area, bindir, workload, scene, tape):
    directory = area / "stages"
    scene.stages = Stages(bindir, directory, scene.mount / "store", 1)
    scene.stages.log = scene.disk.mark_path
    scene.listener = Listener(disks.Tape(tape), scene.content)
    scene.listener.start()
    ended = threading.Event()
    nudge = threading.Thread(target=write_back, args=(scene.mount, ended), daemon=True)
    nudge.start()
    scene.content.serve(scene.paced)
    try:
        WORKLOADS[workload](scene)
    except rig.Broken as error:
        raise rig.Broken(f"{error}\n── said ──\n" + "\n".join(scene.listener.lines[-40:])) from error
    finally:
        scene.stages.kill_everything()
        ended.set()
        nudge.join()
        scene.listener.ended = True
        scene.listener.join()
        shutil.rmtree(directory)
