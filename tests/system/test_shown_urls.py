# SPDX-License-Identifier: Apache-2.0
"""
A URL with a secret in its query, fragment or user part is given to every command. No output, log, event, answer or file
that others may read shows the secret.
"""

import json
import stat
import threading
import urllib.parse

import pytest

import badserver
from images import digest_of
from peers import Member
from stages import AGAIN

SECRET = "s3cr3tS1gnature"
DATA = b"content" * 5000
DIGEST = digest_of(DATA)


def forms(bad):
    """URLs by what is unusual about them."""
    at = bad.address
    return {
        "whole": f"http://{at}/file?X-Sig={SECRET}",
        "redirected": f"http://{at}/redirected?X-Sig={SECRET}",
        "redirected nowhere": f"http://{at}/nowhere?X-Sig={SECRET}",
        "missing": f"http://{at}/missing?X-Sig={SECRET}",
        "forbidden": f"http://{at}/forbidden?X-Sig={SECRET}",
        "quoted": f"http://{at}/quoted?X-Sig={SECRET}",
        "quoted without its name": f"http://{at}/signature?X-Sig={SECRET}",
        "quoted decoded": f"http://{at}/decoded?X-Sig={SECRET}%2B%2F",
        "quoted by another": f"http://{at}/there?X-Sig={SECRET}",
        "refused": f"http://127.0.0.1:1/file?X-Sig={SECRET}",
        "no such host": f"http://registry.invalid/file?X-Sig={SECRET}",
        "long": f"http://{at}/missing?X-Sig={SECRET * 200}",
        "too long": f"http://{at}/missing?X-Sig={SECRET * 600}",
        "a blank": f"http://{at}/file?X-Sig={SECRET} x",
        "another scheme": f"ftp://{at}/file?X-Sig={SECRET}",
        "no scheme": f"{at}/file?X-Sig={SECRET}",
        "no host": f"http:///file?X-Sig={SECRET}",
        "a user": f"http://tester:{SECRET}@{at}/file",
        "a user without a scheme": f"tester:{SECRET}@{at}/file",
        "a user with a slash": f"http://tester:{SECRET[:3]}/{SECRET}@{at}/file",
        "a fragment": f"http://{at}/missing#{SECRET}",
        "a bad port": f"http://{at}1111111/file?X-Sig={SECRET}",
        "a backslash": f"http://{at}\\file?X-Sig={SECRET}",
    }


def commands(url):
    """What a user might type, also by mistake."""
    return [
        ["fetch", url],
        ["fetch", url, "--digest", DIGEST],
        ["fetch", url, "--digest", "sha256:xyz"],
        ["fetch", url, url],
        ["fetch", url, "--size", "1"],
        ["fetch", "--size", url, url],
        ["pull", url],
        ["inspect", url],
        ["images", url],
        ["ls", url],
        ["cat", url],
        ["tag", url, "a:1"],
        ["tag", "a:1", url],
        ["rm", url],
        ["status", url],
        ["abort", url],
        ["reset", url],
        ["--json", "fetch", url],
        ["--json", "pull", url],
        ["-v", "fetch", url],
        [url],
        ["help", url],
    ]


def readable(box):
    """Files that others may read if the directories allow it."""
    for root in (box.store, box.runtime, box.directory / "reports"):
        for path in root.rglob("*"):
            if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                yield path


def listen(box, heard, ready):
    """Collect all events of ingestd."""
    with Member(box.runtime) as member:
        member.request("SUBSCRIBE", ref="")
        ready.set()
        while packet := member.receive():
            heard.append(packet)


def told(box):
    """Answers of the stages to commands."""
    for words in (["status"], ["status", "--json"], ["stats"], ["--json", "stats"], ["metrics"], ["doctor"], ["--json", "doctor"], ["images"]):
        result = box.run("sluice", *words)
        yield " ".join(words), result.stdout + result.stderr


@pytest.fixture
def served(bad):
    bad.on("/file", badserver.whole(DATA))
    bad.on("/forbidden", lambda x: x.answer(403))
    bad.on("/quoted", lambda x: x.answer(404, json.dumps({"message": f"Route GET:{x.path} not found"}).encode()))
    bad.on("/signature", lambda x: x.answer(403, json.dumps({"message": f"signature '{x.path.rpartition('=')[2]}' is wrong"}).encode()))
    bad.on("/decoded", lambda x: x.answer(403, json.dumps({"message": f"{urllib.parse.unquote(x.path.rpartition('=')[2])} is wrong"}).encode()))
    bad.on("/there", lambda x: x.answer(302, headers={"Location": f"/quoted?{SECRET}"}))
    bad.on("/missing", lambda x: x.answer(404))
    bad.on("/redirected", lambda x: x.answer(302, headers={"Location": f"/file?X-Sig={SECRET}"}))
    bad.on("/nowhere", lambda x: x.answer(302, headers={"Location": f"http://u:{SECRET}@127.0.0.1:1/?X-Sig={SECRET}"}))
    return bad


@pytest.mark.parametrize("form", forms(type("", (), {"address": "h"})), ids=lambda form: form.replace(" ", "-"))
def test_no_secret_is_shown(box, served, form):
    url = forms(served)[form]
    box.configure("[fetchd]\nmax_retries = 0\nretry_delay = 1ms\n")
    shown, heard, ready = {}, [], threading.Event()
    with box.up("-v"):
        listener = threading.Thread(target=listen, args=(box, heard, ready))
        listener.start()
        assert ready.wait(20)
        for words in commands(url):
            result = box.run("sluice", *words)
            shown[" ".join(words).replace(url, "URL")] = result.stdout + result.stderr
        shown |= told(box)
    listener.join()
    shown |= {str(path): path.read_bytes().decode(errors="replace") for path in readable(box) if "ingest" not in path.parts}
    shown["log"] = box.logs()
    shown["events"] = b"".join(heard).decode(errors="replace")
    found = {where: [line for line in text.splitlines() if SECRET in line] for where, text in shown.items() if SECRET in text}
    assert not found, json.dumps(found, indent=1)
    assert shown["log"], "the log must say something"


def test_failed_transfer_does_not_store_the_signature(box, bad):
    """Only the next request can resume it, and that brings the URL again. What arrived is kept."""
    half = len(DATA) // 2
    bad.on("/file", badserver.cut_short(DATA, half), badserver.whole(DATA))
    box.configure("[fetchd]\nmax_retries = 0\n")
    url = bad.url(f"/file?X-Sig={SECRET}#{SECRET}")
    with box.up():
        box.sluice("fetch", url, "--digest", DIGEST, want=AGAIN)
        assert box.status(DIGEST)["state"] == "failed"
        assert b"/file\n" in (box.ingest(DIGEST) / "transfer").read_bytes()
        stored = [path for path in box.store.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
        assert not stored
        box.sluice("fetch", url, "--digest", DIGEST)
    assert box.blob(DIGEST).read_bytes() == DATA
    resumed = bad.asked(f"/file?X-Sig={SECRET}")[1]
    assert resumed.headers["Range"].startswith(f"bytes={half}-")


@pytest.mark.parametrize("form", ["whole", "missing", "a user", "no scheme", "another scheme", "too long"])
def test_stages_in_a_pipeline_show_no_secret(box, served, form):
    url = forms(served)[form]
    box.store.mkdir()
    said = ""
    for words in (["fetchd", "get", "--raw", url], ["fetchd", "get", "--raw", "--digest", url, url], ["commitd", "commit", url], ["ingestd", "offset", url + " "]):
        said += box.run(*words).stderr
    assert SECRET not in said, said


def test_no_secret_in_the_configuration_is_shown(box, monkeypatch):
    """Of a mirror, and of a proxy."""
    box.configure(f"[registry r.example]\nmirror = http://tester:{SECRET}@127.0.0.1:1?X={SECRET}\n")
    for words in (["doctor"], ["pull", "r.example/a:1"]):
        result = box.run("sluice", *words)
        assert SECRET not in result.stdout + result.stderr
    box.configure("[fetchd]\nmax_retries = 0\n")
    monkeypatch.setenv("http_proxy", f"http://tester:{SECRET}@127.0.0.1:1")
    for words in (["doctor"], ["-v", "fetch", "http://registry.invalid/x"]):
        result = box.run("sluice", *words)
        assert SECRET not in result.stdout + result.stderr
    assert SECRET not in box.logs()
