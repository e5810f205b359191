# SPDX-License-Identifier: Apache-2.0
"""
Faults of the network: loss, a slow link, delay, a black hole, resets, a link that is down, a firewall that drops
packets. Our programs and nginx are in two network namespaces. Each fault is shown to have happened, and each pull
finishes. The server's log shows that only bytes in flight were sent twice. NET_HOLD_S is the duration of a fault in
seconds; without it, a fault lasts until it is noticed.
"""

import os
import pathlib
import shutil
import tempfile
import time

import pytest

from conftest import MIB, boxed, settled
from images import digest_of
from netpath import FAR, FarNginx, Path
from servers import wait_for

DATA = os.urandom(16 * MIB)
DIGEST = digest_of(DATA)
LITTLE = 2 * MIB  # for slow links
QUARTER = len(DATA) // 4
HOLD_S = float(os.environ.get("NET_HOLD_S", "0"))
STALL_S = 5 if HOLD_S else 1
NO_STALL_S = 60  # for faults that TCP corrects: they may take it longer than a short stall timeout
# What a broken connection may lose: the send buffer of nginx, the window, and a chunk in fetchd.
IN_FLIGHT = 1 * MIB
MISSING = Path.missing()

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def path():
    with Path() as made:
        yield made


@pytest.fixture
def box(request, path, authority):
    for box in boxed(request, pathlib.Path(tempfile.mkdtemp(prefix="slt-"))):
        box.prefix = path.inside("near")
        configure(box, authority)
        yield box


def configure(box, authority, stall_s=STALL_S, retries=1000):
    box.configure(f"[fetchd]\nretry_delay = 20ms\nretry_delay_max = 500ms\nmax_retries = {retries}\nconnect_timeout = 1s\n"
                  f"stall_timeout = {int(stall_s * 1000)}ms\n[registry {FAR}]\nca_file = {authority.certificate}\n")


@pytest.fixture
def serve(path, area, authority, request):
    """A function that starts nginx with the first `size` bytes of DATA as /files/blob."""
    directory = area / f"far-{request.node.name}"
    files = directory / "files"
    files.mkdir(parents=True)
    started = []

    def start(size=len(DATA)):
        (files / "blob").write_bytes(DATA[:size])
        started.append(FarNginx(directory, path, files, authority.issue("far", names=f"IP:{FAR}")))
        return started[0]

    yield start
    for server in started:
        server.stop()
    shutil.rmtree(directory)


def begin(box, server, data=DATA):
    return box.popen("sluice", "fetch", server.url("blob"), "--digest", digest_of(data))


def end(box, server, process, data=DATA):
    """Wait for success. Returns (requests, bytes sent beyond the size of the blob)."""
    box.finish(process, want=0)
    box.gone()
    server.settle()
    assert box.blob(digest_of(data)).read_bytes() == data
    gets = server.accesses()
    settled(box)
    return len(gets), sum(access.bytes for access in gets) - len(data)


def hold(noticed):
    """Keep the fault for HOLD_S, and at least until it is noticed."""
    started = time.monotonic()
    wait_for("the fault to be noticed", noticed)
    time.sleep(max(0, started + HOLD_S - time.monotonic()))


def freeze(path, after=QUARTER):
    """
    Drop the server's packets after this many bytes, so that the fault hits the middle of the download, however slow
    this machine is. path.rules("far") ends it.
    """
    path.rules("far", f"tcp sport 443 quota over {after} bytes counter name hits drop")


def frozen(path):
    wait_for("the packets to be dropped", lambda: path.hits("far") > 0)


def begin_and_freeze(box, path, server):
    """Start a download that hangs in the middle."""
    freeze(path)
    process = begin(box, server)
    frozen(path)
    return process


def was_tried_again(box, times=2):
    return lambda: box.logs().count("trying") >= times


# ── faults that TCP corrects ──


def test_loss(box, path, serve, authority):
    """2 %."""
    configure(box, authority, stall_s=NO_STALL_S)
    server = serve()
    path.rules("far", "tcp sport 443 numgen random mod 1000 < 20 counter name hits drop")
    assert end(box, server, begin(box, server)) == (1, 0)
    assert path.hits("far") > 0


def test_slow_link(box, path, serve, authority):
    """20 Mbit/s."""
    configure(box, authority, stall_s=NO_STALL_S)
    server, data = serve(size=LITTLE), DATA[:LITTLE]
    path.rate("20mbit")
    assert end(box, server, begin(box, server, data), data) == (1, 0)
    assert path.held_up() > 0


def test_delay(box, path, serve, authority):
    """20 ms ± 10 ms, so that packets overtake each other."""
    configure(box, authority, stall_s=NO_STALL_S)
    server, data = serve(size=LITTLE), DATA[:LITTLE]
    with path.delay(20, 10) as held:
        assert end(box, server, begin(box, server, data), data) == (1, 0)
        assert held() > 0


def test_link_down_shorter_than_the_stall_timeout(box, path, serve, authority):
    """The same connection continues."""
    configure(box, authority, stall_s=NO_STALL_S)
    server = serve()
    process = begin_and_freeze(box, path, server)
    path.link("down")
    path.rules("far")
    before = path.retransmissions()
    hold(lambda: path.retransmissions() > before)
    path.link("up")
    assert end(box, server, process) == (1, 0)


# ── faults that fetchd recovers from ──


def check(box, server, process):
    """Every later request resumes where the last one stopped."""
    requests, twice = end(box, server, process)
    assert requests >= 2
    assert 0 <= twice <= IN_FLIGHT * (requests - 1), f"{twice} bytes were sent twice in {requests} requests"


def test_black_hole(box, path, serve):
    """A firewall passes some megabytes and then drops everything silently."""
    server = serve()
    process = begin_and_freeze(box, path, server)
    hold(was_tried_again(box))
    path.rules("far")
    check(box, server, process)


def test_three_resets(box, path, serve):
    """Every connection is reset, three times."""
    server = serve()
    freeze(path)
    process = begin(box, server)
    for _ in range(3):
        frozen(path)
        assert path.reset() > 0
        freeze(path)
    path.rules("far")
    check(box, server, process)


def test_firewall_drops_the_port(box, path, serve):
    """Port 443 is dropped in mid-download, in both directions."""
    server = serve()
    process = begin_and_freeze(box, path, server)
    path.rules("near", "tcp dport 443 counter name hits drop")
    path.rules("far", "tcp sport 443 drop")
    hold(was_tried_again(box))
    assert path.hits("near") > 0
    path.rules("near")
    path.rules("far")
    check(box, server, process)


def test_link_down(box, path, serve):
    server = serve()
    process = begin_and_freeze(box, path, server)
    path.link("down")
    path.rules("far")
    hold(was_tried_again(box))
    path.link("up")
    check(box, server, process)
