# SPDX-License-Identifier: Apache-2.0
"""
Malformed documents, and text that attacks logs and terminals: from servers, in names, in URLs, in the store. One set of
daemons serves all cases. Each is refused in one line, and no control bytes are shown.
"""

import json
import os
import pty
import re

import badserver
from conftest import settled
from images import CONFIG, INDEX, LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import BAD_DATA, OK

DATA = b"a layer"
DIGEST = digest_of(DATA)
QUIET = "[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n"


def document(layers=(), config=None, **more):
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config or descriptor(config_blob(), CONFIG),
            "layers": list(layers), **more}


def layer(**fields):
    return json.dumps(document([{**descriptor(DATA, LAYER), **fields}])).encode()


GOOD = json.dumps(document()).encode()
HEX = DIGEST[7:]

MALFORMED = {
    "duplicate keys": GOOD[:-1] + b', "layers": []}',
    "duplicate keys in a layer": layer().replace(b'"size":', b'"size": 1, "size":'),
    "duplicate keys, one of them escaped": GOOD[:-1] + b', "\\u006cayers": []}',
    "deep": GOOD[:-1] + b', "x": ' + b'{"x":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "deep lists": GOOD[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "trailing bytes": GOOD + b"x",
    "two documents": GOOD + GOOD,
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "latin 1": GOOD[:-1] + b', "x": "\xe4"}',
    "overlong UTF-8": GOOD[:-1] + b', "x": "\xc0\xaf"}',
    "NUL in a string": layer(mediaType="a/b\0c"),
    "raw newline in a string": GOOD[:-1] + b', "x": "a\nb"}',
    "size of 2^63": layer(size=1 << 63),
    "size of 2^64": layer(size=1 << 64),
    "size of 400 digits": layer(size=int("9" * 400)),
    "float size": layer(size=7.0),
    "size with an exponent": layer().replace(b'"size": 7', b'"size": 7e0'),
    "string size": layer(size="7"),
    "negative size": layer(size=-7),
    "no size": layer(size=None),
    "not a number": layer().replace(b'"size": 7', b'"size": NaN'),
    "upper case digest": layer(digest="sha256:" + HEX.upper()),
    "upper case algorithm": layer(digest="SHA256:" + HEX),
    "short digest": layer(digest=DIGEST[:-1]),
    "long digest": layer(digest=DIGEST + "0"),
    "digest of the other length": layer(digest="sha512:" + HEX),
    "another algorithm": layer(digest="blake3:" + HEX),
    "two algorithms": layer(digest="sha256+b64:" + HEX),
    "digest with ..": layer(digest="sha256:../../../" + HEX[9:]),
    "digest with a slash": layer(digest="sha256:" + HEX[:31] + "/" + HEX[32:]),
    "digest with NUL": layer(digest=DIGEST[:-1] + "\0"),
    "digest with a percent sign": layer(digest=DIGEST[:-3] + "%2f"),
    "digest of digits of another alphabet": layer(digest=DIGEST[:-1] + "\uff11"),
    "digest of 1 MiB": layer(digest="sha256:" + "a" * (1 << 20)),
    "numeric digest": layer(digest=7),
    "media type of 1 MiB": layer(mediaType="a/" + "b" * (1 << 20)),
    "layers not a list": json.dumps(document() | {"layers": {}}).encode(),
    "null layer": json.dumps(document([None])).encode(),
    "20,000 layers": json.dumps(document([{**descriptor(DATA, LAYER), "digest": f"sha256:{n:064x}"} for n in range(20_000)])).encode(),
    "one layer, two sizes": json.dumps(document([descriptor(DATA, LAYER), {**descriptor(DATA, LAYER), "size": 8}])).encode(),
    "string schema version": GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": "2"'),
    "no schema version": GOOD.replace(b'"schemaVersion": 2, ', b""),
    "both lists": json.dumps(document(manifests=[])).encode(),
}


def test_malformed_manifests(box, bad):
    box.configure(QUIET)
    good = manifest_blob(config_blob(), [descriptor(DATA, LAYER)])
    blobs = {digest_of(data): [badserver.whole(data)] for data in (config_blob(), DATA)}
    bad.image("good", "1", good, MANIFEST, blobs)
    wrong = []
    with box.up():
        pids = set(box.pids("fetchd", "ingestd", "commitd"))
        for number, (name, manifest) in enumerate(MALFORMED.items()):
            bad.image(f"n{number}", "1", manifest, MANIFEST, blobs)
            said = box.run("sluice", "pull", f"{bad.address}/n{number}:1")
            if said.returncode != BAD_DATA or len(said.stderr.splitlines()) > 1 or f"n{number}:1" not in said.stderr:
                wrong.append(f"{name}: {said.returncode}: {said.stderr[:500]}")
        assert not wrong, "\n".join(wrong)
        box.sluice("pull", f"{bad.address}/good:1")
        assert set(box.pids("fetchd", "ingestd", "commitd")) == pids, "a stage died"
    assert [entry["name"] for entry in box.json("images")] == [f"{bad.address}/good:1"]
    settled(box)


# ── injected text ──

# A terminal title, a colour, a line break, text direction, an 8-bit control character and one of C1.
EVIL = "x\x1b]0;owned\x07\x1b[31m\u202etxt\u2066\u061c\u200f\u009b31m\u2028y"
EVIL_LINES = EVIL + "\r\nfetchd: forged\nsluice: forged"
RAW = re.compile(
    rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c|^(fetchd|sluice): forged",
    re.MULTILINE,
)
OURS = re.compile(rb"\x1b\[(\d+A|[KJ]|\?25[hl]|\?7[hl])|\r")  # sequences of the progress display


EVIL_HEADER = EVIL.encode().decode("latin-1")  # UTF-8 on the wire; a line end would end the header


def refusing(code, *names, **headers):
    return badserver.status(code, {**dict.fromkeys(names, EVIL_HEADER), **headers})


def errors(code):
    """An error body as in the distribution spec."""
    body = json.dumps({"errors": [{"code": EVIL_LINES, "message": EVIL_LINES, "detail": EVIL_LINES}]}).encode()
    return badserver.status(code, {"Content-Type": "application/json"}, body)


ANSWERS = {
    "reason": lambda x: x.raw(b"HTTP/1.1 404 " + EVIL.encode() + b"\r\nContent-Length: 0\r\n\r\n"),
    "no status": lambda x: (x.raw(EVIL.encode() + b"\r\n\r\n"), x.hang_up()),
    "challenge": refusing(401, **{"WWW-Authenticate": f'Bearer realm="http://{EVIL_HEADER}/"'}),
    "scheme": refusing(401, "WWW-Authenticate"),
    "location": refusing(307, Location=f"http://{EVIL_HEADER}/"),
    "relative location": refusing(307, "Location"),
    "retry after": refusing(429, "Retry-After"),
    "encoding": refusing(200, "Content-Encoding"),
    "range": refusing(416, "Content-Range"),
    "errors 400": errors(400),
    "errors 403": errors(403),
    "errors 404": errors(404),
    "digest": refusing(200, "Docker-Content-Digest", "ETag", "Content-Type"),
}
MANIFESTS = {
    "media type": layer(mediaType=EVIL_LINES),
    "digest": layer(digest=EVIL_LINES),
    "its own media type": json.dumps(document() | {"mediaType": EVIL_LINES}).encode(),
    "key": GOOD[:-1] + b"," + json.dumps(EVIL_LINES).encode() + b":" + b"1," + json.dumps(EVIL_LINES).encode() + b":2}",
    "platforms": json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {**descriptor(GOOD, MANIFEST), "platform": {"os": EVIL_LINES, "architecture": EVIL_LINES}}]}).encode(),
    "text": EVIL_LINES.encode(),
}
WORDS = [
    ("pull", f"localhost:5000/{EVIL_LINES}:1"),
    ("pull", EVIL),
    ("fetch", f"http://localhost/{EVIL_LINES}", "--digest", DIGEST),
    ("fetch", f"http://{EVIL}/", "--digest", DIGEST),
    ("fetch", "http://localhost/", "--digest", EVIL),
    ("pull", "localhost:5000/a:1", "--platform", EVIL),
    ("abort", EVIL_LINES),
    ("cat", EVIL),
    ("tag", EVIL, EVIL_LINES),
    ("rm", EVIL),
    (EVIL,),
    ("--store", f"/nowhere/{EVIL_LINES}", "ls"),
    ("--config", f"/nowhere/{EVIL_LINES}", "pull", "localhost:5000/a:1"),
]


def on_a_terminal(box, *words):
    """The output of a command on a terminal."""
    ours, its = pty.openpty()
    process = box.popen("sluice", *words, stdout=its, stderr=its)
    os.close(its)
    seen = bytearray()
    try:
        while piece := os.read(ours, 1 << 16):
            seen += piece
    except OSError:  # the last writer has closed the terminal
        pass
    os.close(ours)
    process.wait()
    return bytes(seen)


def is_clean(where, seen, ours=False):
    seen = OURS.sub(b"", seen) if ours else seen
    found = RAW.search(seen)
    assert not found, f"{where}: {seen[max(0, found.start() - 100):found.end() + 100]!r}"


def test_injected_text(box, bad):
    box.configure(QUIET)
    places = {**ANSWERS, **{f"manifest: {name}": badserver.whole(m, {"Content-Type": MANIFEST}) for name, m in MANIFESTS.items()}}
    with box.up():
        for number, (name, behaviour) in enumerate(places.items()):
            bad.on(f"/v2/n{number}/manifests/1", behaviour)
            bad.on(f"/blob{number}", behaviour)
            for words in (["pull", f"{bad.address}/n{number}:1"], ["fetch", bad.url(f"/blob{number}"), "--digest", DIGEST]):
                said = box.run("sluice", *words)
                assert said.returncode != OK, f"{name}: {words[0]}"
                is_clean(name, said.stderr.encode())
                assert len(said.stderr.splitlines()) == 1, f"{name}: {said.stderr}"
                is_clean(name, on_a_terminal(box, *words), ours=True)
        for words in (["status"], ["--json", "status"], ["-q", "status"], ["doctor"], ["metrics"], ["stats"]):
            is_clean(words, box.run("sluice", *words).raw)
            is_clean(words, on_a_terminal(box, *words), ours=True)
        for words in WORDS:
            said = box.run("sluice", *words)
            assert said.returncode != OK, words
            is_clean(words, said.stderr.encode())
        for path in box.store.glob("ingest/*/transfer"):
            is_clean(path, path.read_bytes())
    assert len(box.up_log.read_bytes()) > 1000
    is_clean("log", box.up_log.read_bytes())


def test_injected_text_in_the_store(box, bad):
    """An index.json and an image from another tool."""
    good = manifest_blob(config_blob(), [descriptor(DATA, LAYER)])
    bad.image("good", "1", good, MANIFEST, {digest_of(data): [badserver.whole(data)] for data in (config_blob(), DATA)})
    box.run("sluice", "pull", f"{bad.address}/good:1", want=OK)
    box.gone()
    path = box.store / "index.json"
    index = json.loads(path.read_bytes())
    entry = descriptor(good, MANIFEST)
    index["manifests"].append({**entry, "annotations": {"org.opencontainers.image.ref.name": EVIL_LINES}})
    path.write_text(json.dumps(index))
    for words in (["images"], ["-q", "images"], ["--json", "images"], ["images", EVIL_LINES], ["ls"], ["--json", "ls"], ["ls", "--blobs"], ["--json", "ls", "--blobs"]):
        said = box.run("sluice", *words)
        assert said.returncode == OK, said.stderr
        is_clean(words, said.raw)
        is_clean(words, on_a_terminal(box, *words), ours=True)
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": EVIL_LINES}))
    is_clean("images", box.run("sluice", "images", want=BAD_DATA).stderr.encode())
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
