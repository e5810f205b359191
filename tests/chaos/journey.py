# SPDX-License-Identifier: Apache-2.0
"""
A small journey with every kind of message: a login, a pull whose server fails at first, names set and removed, content
that nobody needs and that is removed, content that is damaged and repaired, a transfer that fails, is reset and aborted,
and one that is aborted in progress, with an event listener. Every step is a command that may be run again.
"""

import time

import rig
from rig import badserver, images

ABSENT, ABSENT_DIGEST = "/absent", images.digest_of(b"nobody has it")
LOOSE, LOOSE_BYTES = "/loose", b"nobody needs it for long"
DAMAGE = "damage"  # a step that is no command: bytes of the image's manifest turn over
HELD, HELD_DIGEST = "/held", images.digest_of(b"it never comes")
NAMES = tuple(f"sluice {word}" for word in (
    "events", "login", "pull", "tag", "rm", "fetch", "status", "stats", "reset", "abort", "gc", "check",
))
TRIES = 2  # of a step that was struck
ABORT_AGAIN_S = 3


def held(x):
    """Send a good beginning, and then nothing until the client gives up."""
    x.head(200, {"Content-Length": 1000})
    x.body(b"it never")
    x.handler.connection.settimeout(rig.PATIENCE_S)
    x.handler.connection.recv(1)
    x.hang_up()


def steps(reference, directory):
    """Commands and their valid exit codes."""
    address = reference.partition("/")[0]
    absent = ("fetch", f"http://{address}{ABSENT}", "--digest", ABSENT_DIGEST)
    return [
        (("pull", reference), {0}),
        (("tag", reference, "second"), {0}),
        (("tag", reference, "third"), {0}),
        (("rm", "third"), {0, 66}),  # repeated after a kill, the name may be gone already
        (("rm", "third"), {66}),
        (("fetch", f"http://{address}{LOOSE}", "--digest", images.digest_of(LOOSE_BYTES), "-o", str(directory / "loose")), {0}),
        (("rm", f"{address}{LOOSE}"), {0, 66}),
        (absent, {66}),
        (("gc", "--grace", "0", "--dry-run"), {0}),
        (("gc", "--grace", "1d"), {0}),
        (("gc", "--older-than", "0"), {0}),
        (("check",), {0}),
        (DAMAGE, None),
        (("check", "--repair"), {0}),
        (absent, {66}),
        (("status",), {0}),
        (("stats",), {0}),
        (("reset", ABSENT_DIGEST), {0}),
        (("abort", ABSENT_DIGEST), {0}),
    ]


def name_digest(image):
    """A registry that sends the digest with its answer for a tag."""
    digest = images.digest_of(image.manifest)
    headers = {"Content-Type": images.MANIFEST, "Docker-Content-Digest": digest}
    for name in ("1", digest):
        image.server.on(f"/v2/app/manifests/{name}", badserver.whole(image.manifest, headers))


def step(r, words, wanted, given="/dev/null"):
    """Returns the exit codes of all tries. `given`: the file that is its standard input."""
    codes = []
    while not codes or (codes[-1] not in wanted and len(codes) < TRIES):
        with open(given, "rb") as stdin:
            codes.append(r.attend(r.begin("sluice", words, stdin=stdin), f"'sluice {words[0]}'"))
    return codes


def damage(r, image):
    path = r.store / "blobs" / images.digest_of(image.manifest).replace(":", "/")
    path.chmod(0o644)
    path.write_bytes(bytes(byte ^ 1 for byte in image.manifest))
    path.chmod(0o444)


def log_in(r, server):
    """Returns the exit codes of all tries."""
    password = r.directory / "password"
    password.write_text("secret\n")
    server.on("/v2/", badserver.whole(b"{}"))
    words = ("login", "-u", "tester", "--password-stdin", "--authfile", str(r.directory / "auth.json"), server.address)
    return step(r, words, {0}, password)


def abort_under_way(r, server):
    """Returns the exit codes of all tries to abort."""
    url = f"http://{server.address}{HELD}"
    asked = len(server.asked(HELD))
    fetch = None

    def is_asked():
        nonlocal fetch
        if fetch is None or fetch.poll() is not None:
            fetch = r.begin("sluice", ("fetch", url, "--digest", HELD_DIGEST))
        return len(server.asked(HELD)) > asked

    r.tend_until(is_asked, "a fetch that is to be aborted")
    # If ingestd died in between, the fetch may have repeated its request after the abort.
    for _ in range(TRIES):
        codes = step(r, ("abort", HELD_DIGEST), {0})
        again = time.monotonic() + ABORT_AGAIN_S
        r.tend_until(lambda: fetch.poll() is not None or time.monotonic() > again, "an aborted fetch")
        if fetch.poll() is not None:
            return codes
    raise rig.Broken("an aborted fetch continues")


def travel(r, image, strikes=None):
    """
    Run the journey once. Returns {step: exit codes of its tries} for steps that did not succeed at the first try;
    without a strike this is {}.
    """
    image.serve([badserver.status(503)], r.store)
    name_digest(image)
    image.server.on(HELD, held)
    image.server.on(LOOSE, badserver.whole(LOOSE_BYTES))
    r.arm(strikes)
    r.up()
    listener = r.begin("sluice", ("events",))
    failed = {}
    codes = log_in(r, image.server)
    if codes != [0]:
        failed["login"] = codes
    for words, wanted in steps(image.reference, r.directory):
        if words == DAMAGE:
            damage(r, image)
            continue
        codes = step(r, words, wanted)
        if len(codes) > 1 or codes[0] not in wanted:
            failed[" ".join(words[:2])] = codes
    codes = abort_under_way(r, image.server)
    if codes != [0]:
        failed["abort under way"] = codes
    listener.terminate()
    r.attend(listener, "'sluice events'")
    r.down()
    return failed
