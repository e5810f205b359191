# SPDX-License-Identifier: Apache-2.0
"""login and logout: auth.json as podman and skopeo have it, written only once a registry has accepted the credentials."""

import base64
import json
import os
import secrets
import stat
import subprocess

import pytest

import badserver
from images import Pusher
from servers import Registry
from stages import AGAIN, CANNOT_CREATE, CONFIG, DENIED, NOT_FOUND, OK, UNAVAILABLE, USAGE, one_line
from terminal import Terminal
from tokens import Signer

pytestmark = pytest.mark.usefixtures("home")

PASSWORD = "canary-" + secrets.token_hex(8)
DATA = os.urandom(10000)


def basic(user="tester", password=PASSWORD):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def locked(area):
    with Registry(area / "login", password=PASSWORD) as server:
        pusher = Pusher(server.address, "app", {"Authorization": "Basic " + basic()})
        pusher.image("1", [pusher.blob_bytes(DATA)])
        yield server


@pytest.fixture
def place(box, monkeypatch):
    """Where podman keeps auth.json."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(box.directory / "xdg"))
    (box.directory / "xdg").mkdir(mode=0o700)
    return box.directory / "xdg/containers/auth.json"


def login(box, host, *options, password=PASSWORD, want=OK):
    return box.run("sluice", "login", "-u", "tester", "--password-stdin", *options, host, data=password.encode() + b"\n", want=want)


def test_login_and_logout(box, locked, place):
    one_line(login(box, locked.address).stdout, "logged in to", locked.address, place)
    assert json.loads(place.read_text()) == {"auths": {locked.address: {"auth": basic()}}}
    assert stat.S_IMODE(place.stat().st_mode) == 0o600 and os.listdir(place.parent) == ["auth.json"]
    box.sluice("pull", f"{locked.address}/app:1")
    one_line(box.sluice("logout", locked.address).stdout, "logged out of", locked.address)
    assert json.loads(place.read_text()) == {"auths": {}}
    one_line(box.sluice("logout", locked.address, want=NOT_FOUND).stderr, place, f"no credentials for '{locked.address}'")


def test_wrong_password_writes_nothing(box, locked, place):
    said = login(box, locked.address, password="wrong", want=DENIED).stderr
    one_line(said, f"cannot log in to '{locked.address}'", "401 Unauthorized", "were refused")
    assert not place.exists()
    with box.up():
        login(box, locked.address, password="wrong", want=DENIED)
        assert not place.exists()
        login(box, locked.address)
        before = place.read_text()
        login(box, locked.address, password="wrong", want=DENIED)
        assert place.read_text() == before
        for word in (PASSWORD, basic()):
            assert word not in box.logs()
    assert not list((box.store / "ingest").glob("*/transfer")), "a login leaves no transfer"


def test_registry_that_cannot_be_asked(box, bad, place):
    """Nothing is written then either, and the code says that trying again may help."""
    bad.on("/v2/", badserver.status(500))
    login(box, bad.address, want=AGAIN)
    login(box, "127.0.0.1:1", want=UNAVAILABLE)
    bad.on("/v2/", badserver.status(404))
    login(box, bad.address, want=NOT_FOUND)
    assert not place.exists()


def test_token_server(box, bad, area, place, tmp_path):
    signer = Signer(tmp_path)
    bad.on("/token", signer.realm("tests", password=PASSWORD))
    with Registry(area / "login-tokens", token=(bad.url("/token"), signer.certificate)) as server:
        login(box, server.address, password="wrong", want=DENIED)
        assert not place.exists()
        login(box, server.address)
        assert json.loads(place.read_text()) == {"auths": {server.address: {"auth": basic()}}}


def test_everything_else_is_kept(box, locked, place):
    place.parent.mkdir()
    others = {"auths": {"other.example": {"auth": "eDp5", "email": "a@b"}, locked.address: {"identitytoken": "old"}},
              "credHelpers": {"third.example": "x"}, "unknown": [1, {"a": None}]}
    place.write_text(json.dumps(others))
    login(box, locked.address)
    want = {**others, "auths": {"other.example": others["auths"]["other.example"], locked.address: {"auth": basic()}}}
    assert json.loads(place.read_text()) == want
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    box.sluice("logout", locked.address)
    del want["auths"][locked.address]
    assert json.loads(place.read_text()) == want


def test_places(box, locked, place, monkeypatch):
    given, variable = box.directory / "deep/er/given.json", box.directory / "variable.json"
    login(box, locked.address, "--authfile", given)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(variable))
    login(box, locked.address)
    assert given.exists() and variable.exists() and not place.exists()
    assert stat.S_IMODE(given.parent.stat().st_mode) == 0o700
    box.sluice("pull", "--authfile", given, f"{locked.address}/app:1")
    box.sluice("logout", "--authfile", given, locked.address)
    assert json.loads(given.read_text()) == {"auths": {}} != json.loads(variable.read_text())


def test_files_that_are_not_ours_to_write(box, locked, place):
    place.parent.mkdir()
    elsewhere = box.directory / "elsewhere.json"
    elsewhere.write_text("{}")
    place.symlink_to(elsewhere)
    one_line(login(box, locked.address, want=CANNOT_CREATE).stderr, place, "is a symbolic link")
    assert elsewhere.read_text() == "{}" and place.is_symlink()
    place.unlink()
    place.mkdir()
    one_line(login(box, locked.address, want=CANNOT_CREATE).stderr, place, "is not a file")
    place.rmdir()
    for text in ("{", "[]"):
        place.write_text(text)
        one_line(login(box, locked.address, want=CONFIG).stderr, place, "not a JSON object")
        assert place.read_text() == text
    place.write_text(json.dumps({"credHelpers": {locked.address: "pass"}}))
    one_line(login(box, locked.address, want=CONFIG).stderr, "docker-credential-pass")


def test_concurrent_logins(box, locked, place):
    """None gets lost: each waits for the lock."""
    with box.up():
        names = [f"h{n}.example" for n in range(8)]
        place.parent.mkdir()
        place.write_text(json.dumps({"auths": {name: {"auth": "eDp5"} for name in names}}))
        processes = [box.popen("sluice", "logout", name) for name in names]
        login(box, locked.address)
        for process in processes:
            box.finish(process, OK)
    assert json.loads(place.read_text()) == {"auths": {locked.address: {"auth": basic()}}}


def test_at_a_terminal(box, locked, place, tmp_path):
    shell = f"{box.bindir}/sluice login {locked.address}; echo ended $?; cat"
    with Terminal(tmp_path, ["sh", "-c", shell], env=box.environment) as terminal:
        terminal.see(f"User at '{locked.address}':")
        terminal.type("tester")
        terminal.key("Enter")
        terminal.see("Password of 'tester'")
        terminal.type(PASSWORD)
        terminal.key("Enter")
        terminal.see("ended 0")
        assert PASSWORD not in "\n".join(terminal.everything())
    assert json.loads(place.read_text())["auths"][locked.address] == {"auth": basic()}


def test_under_services_it_says_who_reads_that(box, locked, place):
    """The file is written all the same: podman and --authfile use it."""
    with box.up():
        (box.runtime / "services").touch()
        one_line(login(box, locked.address).stderr, "the services do not read that file", "--authfile", "credstore")
        assert place.exists() and login(box, locked.address, "-q").stderr == ""
        (box.runtime / "services").unlink()


@pytest.mark.parametrize("words, subject", [
    (["login", "-u", "a", "host/name"], "'host/name' is not a registry"),
    (["login", "-u", "a", "ho st"], "'ho st' is not a registry"),
    (["login", "-u", "a", ""], "'' is not a registry"),
    (["logout", "ftp://"], "'ftp://' is not a registry"),
    (["login", "-u", "a:b", "host.example"], "'a:b' for '--username'"),
    (["login", "host.example"], "--username"),
    (["login", "--password-stdin", "host.example"], "--password-stdin needs --username"),
    (["login", "-u", "a", "host.example"], "no password for 'a'"),
    (["login", "-u", "a", "--plain-http", "--tls-verify", "host.example"], "exclude each other"),
])
def test_bad_words_are_refused(box, place, words, subject):
    one_line(box.sluice(*words, want=USAGE).stderr, subject)
    assert not box.store.exists() and not place.exists()


@pytest.mark.parametrize("typed", ["docker.io", "index.docker.io", "https://index.docker.io/"])
def test_docker_hub_has_one_name(box, place, typed):
    place.parent.mkdir()
    place.write_text(json.dumps({"auths": {"docker.io": {"auth": basic()}}}))
    box.sluice("logout", typed)
    assert json.loads(place.read_text()) == {"auths": {}}


def test_skopeo_reads_what_login_wrote_and_the_other_way_round(box, locked, place):
    inspect = ["skopeo", "inspect", "--tls-verify=false", "--authfile", str(place), f"docker://{locked.address}/app:1"]
    assert subprocess.run(inspect, capture_output=True).returncode != 0
    login(box, locked.address)
    assert subprocess.run(inspect, capture_output=True).returncode == 0
    box.sluice("logout", locked.address)
    assert subprocess.run(inspect, capture_output=True).returncode != 0
    subprocess.run(["skopeo", "login", "--tls-verify=false", "--authfile", str(place), "-u", "tester", "--password-stdin", locked.address],
                   input=PASSWORD.encode(), check=True, capture_output=True)
    box.sluice("pull", "--authfile", place, f"{locked.address}/app:1")
    box.sluice("logout", "--authfile", place, locked.address)
