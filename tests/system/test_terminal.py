# SPDX-License-Identifier: Apache-2.0
"""What a user sees of a pull and of status, on terminals of 80 and 40 columns, and without one."""

import os
import re
import shlex
import signal
import subprocess
import threading

import pytest

import badserver
from conftest import BINDIR, settled
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from servers import wait_for
from stages import OK, catches
from terminal import Terminal

SLUICE = shlex.quote(f"{BINDIR}/sluice")
ROWS = 24
SIZE = 96 << 10  # of a layer; its second half is held back
AT_ONCE = 8
WAITS = "the server answered 429"
BLOB = re.compile(r"(manifest|[0-9a-f]{12}) +(pending|queued|fetching|sealed|done|waiting|failed|exists) *(.*)")
NUMBERS = re.compile(r"(\[[=> ]*\])? *(\S+B)? *(\S+B/s)? *([0-9dhms]+)?")
NOTE = re.compile("waiting for (ingestd|commitd)")  # while stages start; it stays above the bars
TOTAL = re.compile(r"(\d+)(?: of |/)(\d+) (?:blobs, )?(\S+B)(?: of |/)([0-9.]+(?:B|.iB))(?:,? \S+B/s)?(?:,? [0-9dhms]+(?: left)?)?")


def human(size):
    if size < 1024:
        return f"{size}B"
    unit = 1024 if size < 1024 << 10 else 1 << 20
    return f"{size / unit:.{1 if size / unit < 99.95 else 0}f}{'KiB' if unit == 1024 else 'MiB'}"


def held(data, gate):
    """Send the first half, and the second when the gate is open."""

    def behave(x):
        start, end = x.promise(data)
        half = max(start, len(data) // 2)
        x.body(data[start:half])
        gate.wait()
        x.body(data[half:end])

    return behave


class Image:
    """An image of layers that hang in the middle until open()."""

    def __init__(self, bad, layers):
        self.gate = threading.Event()
        self.layers = [os.urandom(SIZE) for _ in range(layers)]
        self.config = config_blob()
        self.manifest = manifest_blob(self.config, [descriptor(layer, LAYER) for layer in self.layers])
        self.reference = f"{bad.address}/held:1"
        blobs = {digest_of(layer): [held(layer, self.gate)] for layer in self.layers}
        bad.image("held", "1", self.manifest, MANIFEST, {**blobs, digest_of(self.config): [badserver.whole(self.config)]})
        self.small = len(self.config) + len(self.manifest)
        self.total = self.small + layers * SIZE
        self.running = min(layers, AT_ONCE)
        self.blobs = layers + 2

    def configure(self, box, bad):
        box.configure(f"[fetchd]\nconnections_per_host = {AT_ONCE}\n[registry {bad.address}]\nplain_http = yes\n")


@pytest.fixture(params=[1, 8, 60], ids="{}-layers".format)
def image(request, box, bad):
    made = Image(bad, request.param)
    made.configure(box, bad)
    yield made
    made.gate.set()


def on_screen(terminal, columns):
    """The visible lines. Asserts that none is wrapped or reaches the edge, on one and the same screen."""
    def same_screen():
        screen, joined = terminal.screen(), terminal.tmux("capture-pane", "-p", "-J")
        return terminal.screen() == screen and (screen, joined)

    screen, joined = wait_for("a screen that does not change", same_screen)
    assert joined.split() == "\n".join(screen).split()
    assert all(len(line) < columns for line in screen), screen
    return screen


def blobs_of(lines):
    """{label: (state, rest)} of progress lines. Asserts that each line is valid."""
    found = [BLOB.fullmatch(line) for line in lines if not NOTE.fullmatch(line)]
    assert all(found), lines
    assert all(NUMBERS.fullmatch(line[3]) for line in found), lines
    assert len({line[1] for line in found}) == len(found), "a blob has two lines"
    return {line[1]: (line[2], line[3]) for line in found}


def is_so_far(screen, amount, count, total):
    """Whether `count` lines show that amount, and the last line that total."""
    found = TOTAL.fullmatch(screen[-1])
    return sum(amount in line for line in screen) == count and found is not None and found.groups() == total


def label(data):
    return digest_of(data)[7:19]


@pytest.mark.parametrize("columns", [80, 40])
def test_pull(box, image, columns):
    done = box.directory / "done"
    script = f"echo above; {SLUICE} pull {image.reference} >{box.directory}/out; echo $? >{done}; echo below; cat"
    half, halves = f"{human(SIZE // 2)}/{human(SIZE)}", image.small + image.running * (SIZE // 2)
    fits = image.blobs + 1 < ROWS - 1
    with Terminal(box.directory, ["sh", "-c", script], columns, ROWS, box.environment) as terminal:
        want = ("2", str(image.blobs), human(halves), human(image.total))
        wait_for("running layers to be half done, and small ones to be done", lambda: is_so_far(
            terminal.screen(), half, image.running, want))
        above, *lines, total = on_screen(terminal, columns)
        assert above == "above"
        blobs = blobs_of(lines)
        fetching = [name for name, (state, _) in blobs.items() if state == "fetching"]
        assert len(fetching) == image.running and set(fetching) <= {label(layer) for layer in image.layers}
        assert all(half in blobs[name][1] for name in fetching)
        if columns == 80:
            assert all(re.match(r"\[=+> +\]", blobs[name][1]) for name in fetching), "half a bar"
        assert set(blobs) == ({"manifest", *map(label, (image.config, *image.layers))} if fits else set(fetching))
        assert TOTAL.fullmatch(total).groups() == want

        image.gate.set()
        terminal.see("below")
        assert done.read_text() == "0\n"
        on_screen(terminal, columns)
        above, *lines, total, below = terminal.everything()
        assert (above, below) == ("above", "below")
        blobs = blobs_of(lines)
        assert len(blobs) == (image.blobs if fits else 0)
        assert all(state == "done" for state, _ in blobs.values())
        assert TOTAL.fullmatch(total).groups() == (str(image.blobs),) * 2 + (human(image.total),) * 2
        assert terminal.tmux("display-message", "-p", "#{cursor_flag} #{cursor_x}") == "1 0\n"
    assert image.reference in (box.directory / "out").read_text()
    box.gone()
    settled(box)


def test_pull_in_a_terminal_that_is_resized(box, bad):
    """The terminal becomes narrower in mid-pull. Lines that have wrapped are drawn over."""
    image = Image(bad, 2)
    image.configure(box, bad)
    half = f"{human(SIZE // 2)}/{human(SIZE)}"
    script = f"echo above; {SLUICE} pull {image.reference} >{box.directory}/out; echo below; cat"
    with Terminal(box.directory, ["sh", "-c", script], 80, ROWS, box.environment) as terminal:
        wait_for("all to be half done", lambda: sum(half in line for line in terminal.screen()) == 2)
        terminal.tmux("resize-window", "-x", "40", "-y", str(ROWS))
        image.gate.set()
        terminal.see("below")
        *lines, total, below = on_screen(terminal, 40)  # tmux has scrolled the lines above out of sight
        assert below == "below" and len(blobs_of(lines)) == image.blobs and TOTAL.fullmatch(total)


def test_pull_without_a_terminal(box, image):
    """A line for each change on stdout, without control bytes."""
    image.gate.set()
    pulled = box.run("sluice", "pull", image.reference, want=OK)
    assert pulled.stderr == "" and not re.search(rb"[^\n\x20-\x7e]", pulled.raw)
    *lines, last = pulled.stdout.splitlines()
    assert image.reference in last
    for data in (image.config, *image.layers):
        mine = [line.partition(": ")[2] for line in lines if line.startswith(label(data))]
        assert mine[-1] == f"done, {human(len(data))}" and mine[:-1] in ([], [f"started, {human(len(data))}"])
    assert len({line.partition(":")[0] for line in lines if not NOTE.fullmatch(line)}) == image.blobs
    settled(box)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_pull_on_a_dumb_terminal(box, bad, term):
    image = Image(bad, 1)
    image.configure(box, bad)
    image.gate.set()
    shown = subprocess.run(
        ["script", "-qec", f"{SLUICE} pull {image.reference}", "/dev/null"],
        env={**box.environment, "TERM": term}, capture_output=True, stdin=subprocess.DEVNULL, check=True,
    )
    assert b"\x1b" not in shown.stdout and f"{label(image.layers[0])}: done".encode() in shown.stdout
    box.gone()


# ── status ──


def records_of(lines):
    """{label: (state, rest)} of the rows of a table."""
    heads, *rows = lines
    assert heads.startswith("REF"), lines
    return {row.split()[0]: tuple(row.split()[1:]) for row in rows if not row.startswith((" ", "and "))}


@pytest.mark.parametrize("columns", [80, 40])
def test_status_watch(box, image, columns):
    with box.up():
        pull = box.popen("sluice", "pull", image.reference)
        script = f"trap : INT; echo above; {SLUICE} status --watch; echo exit $?; exec cat"
        with Terminal(box.directory, ["sh", "-c", script], columns, ROWS, box.environment) as terminal:
            amount, layers = f"{human(SIZE // 2)}/{human(SIZE)}", len(image.layers)
            terminal.see(f"{image.running} of {layers} transfers under way")
            wait_for("running layers to be half done", lambda: sum(
                amount in line for line in terminal.screen()) == image.running)
            lines = on_screen(terminal, columns)
            if lines[0] == "above":
                del lines[0]
            total, *lines = lines
            assert total.startswith(f"{image.running} of {layers} transfers under way")
            records = records_of([line for line in lines if line])
            moving = [name for name, row in records.items() if row[0] == "fetching" and row[1] == amount]
            assert len(moving) == image.running and list(records)[:len(moving)] == moving, "running transfers come first"
            more = re.fullmatch(r"and (\d+) more", lines[-1])
            assert len(records) + (int(more[1]) if more else 0) == layers
            assert bool(more) == (layers > ROWS)

            image.gate.set()
            box.finish(pull, want=OK)
            terminal.see("0 of 0 transfers under way")
            empty = "0 of 0 transfers under way, 0B/s"
            assert on_screen(terminal, columns)[-1] == empty, "the lines below are erased"
            terminal.key("C-c")
            terminal.see("exit 0")
            assert terminal.everything() == ["above", empty, "^Cexit 0"], "no line has scrolled away"
            assert terminal.tmux("display-message", "-p", "#{cursor_flag} #{cursor_x}") == "1 0\n"


@pytest.mark.parametrize("columns", [80, 40, 200])
def test_status_shows_what_a_transfer_waits_for(box, bad, columns):
    """The reason is complete at any width. Columns that do not fit are omitted."""
    image = Image(bad, 1)
    image.configure(box, bad)
    layer = image.layers[0]
    bad.on(f"/v2/held/blobs/{digest_of(layer)}", badserver.status(429, {"Retry-After": "500"}))
    with box.up():
        pull = box.popen("sluice", "pull", image.reference)
        wait_for("the layer to wait, alone", lambda: [r["state"] for r in box.json("status")] == ["waiting"])
        record = box.status(digest_of(layer))
        script = f"{SLUICE} status; exec cat"
        with Terminal(box.directory, ["sh", "-c", script], columns, ROWS, box.environment) as terminal:
            terminal.see(label(layer), "429")
            heads, row, *reason = on_screen(terminal, columns)
        assert row.split()[:3] == [label(layer), "waiting", f"0B/{human(SIZE)}"]
        assert heads.split() == ["REF", "STATE", "DONE", "RATE", "ETA", "TRIES", "UPDATED", "STARTED"][:{
            40: 3, 80: 6, 200: 8}[columns]]
        assert all(line.startswith("  ") for line in reason)
        assert " ".join(line.strip() for line in reason) == record["error"]
        assert bad.address in record["error"] and record["until"] in record["error"]
        assert record["error"] in box.sluice("status").stdout
        box.sluice("abort", digest_of(layer))
        box.finish(pull)


def test_status_watch_without_a_terminal(box, bad):
    """The table is printed again after each change, without control bytes."""
    image = Image(bad, 1)
    image.configure(box, bad)
    with box.up():
        with open(box.directory / "seen", "w+b") as seen:
            watching = box.popen("sluice", "status", "--watch", stdout=seen)
            wait_for("SIGINT to be caught", lambda: catches(watching.pid, signal.SIGINT))
            wait_for("the empty list", lambda: b"REF" in (box.directory / "seen").read_bytes())
            pull = box.popen("sluice", "pull", image.reference)
            wait_for("the transfer", lambda: str(SIZE // 2).encode() in (box.directory / "seen").read_bytes())
            image.gate.set()
            box.finish(pull, want=OK)
            wait_for("the empty list", lambda: (box.directory / "seen").read_bytes().splitlines()[-1].startswith(b"REF"))
            watching.send_signal(signal.SIGINT)
            assert box.finish(watching, want=OK).stderr == ""
    text = (box.directory / "seen").read_text()
    assert not re.search(r"[^\n\x20-\x7e]", text)
    tables = text.split("REF")[1:]
    assert all(a != b for a, b in zip(tables, tables[1:])), "an unchanged table was printed again"
    assert digest_of(image.layers[0]) in text, "the whole ref"
