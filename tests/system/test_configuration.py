# SPDX-License-Identifier: Apache-2.0
"""Where configuration and certificates are found if nobody names them."""

import json
import os
import shutil
import subprocess

import pytest

import badserver
from authority import Authority
from images import LAYER, MANIFEST, config_blob, descriptor, digest_of, manifest_blob
from stages import CONFIG, OK, UNAVAILABLE, one_line

DATA = os.urandom(50_000)
DIGEST = digest_of(DATA)


@pytest.fixture
def home(box, home):
    """And nothing in the environment that names a configuration."""
    box.config = ""
    return home


@pytest.fixture
def quick(box, home):
    """No patience with a server."""
    box.config = box.directory / "sluice.conf"
    box.configure("[fetchd]\nmax_retries = 1\nretry_delay = 10ms\n")
    return home


def configuration(directory, server, word):
    """A configuration that shows in each request."""
    (directory / "sluice").mkdir(parents=True)
    path = directory / "sluice/sluice.conf"
    path.write_text(f"[registry {server.address}]\nheader = X-Word: {word}\n")
    return path


def said(box, bad):
    """The word of the configuration that counts, for a download by hand and for one with the stages."""
    bad.on("/blob", badserver.whole(DATA))
    box.run("fetchd", "get", "--raw", bad.url("/blob"), want=OK)
    box.run("sluice", "fetch", bad.url("/blob"), want=OK)
    words = {r.headers.get("X-Word") for r in bad.requests}
    assert len(words) == 1
    return words.pop()


def test_config_home(box, home, bad):
    configuration(home / ".config", bad, "home")
    assert said(box, bad) == "home"


def test_xdg_config_home_wins(box, home, bad, monkeypatch):
    configuration(home / ".config", bad, "home")
    path = configuration(home / "xdg", bad, "xdg")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    assert said(box, bad) == "xdg"
    assert str(path) in box.run("fetchd", "get", "--log-level", "info", "--raw", bad.url("/blob"), want=OK).stderr
    assert f"'{path}' is valid" in box.run("sluice", "doctor").stdout
    path.write_text("[fetchd]\nmax_retries = many\n")
    one_line(box.run("fetchd", "get", bad.url("/blob"), want=CONFIG).stderr, path, "line 2", "many")
    doctor = box.run("sluice", "doctor").stdout
    assert "many" in doctor and "all have version" in doctor


def test_named_file_wins(box, home, bad):
    configuration(home / ".config", bad, "home")
    box.config = configuration(home / "named", bad, "named")
    assert said(box, bad) == "named"
    box.config = "/dev/null"
    bad.requests.clear()
    assert said(box, bad) is None


def overlay_of_etc(box, directory):
    """The programs of the box see these files besides those in /etc."""
    work = box.directory / "work"
    work.mkdir()
    box.prefix = ["unshare", "-m", "sh", "-c", f"mount -t overlay -o lowerdir=/etc,upperdir={directory},workdir={work} none /etc "
                  '&& exec "$0" "$@"']
    if subprocess.run([*box.prefix, "true"], capture_output=True).returncode:
        pytest.skip("needs root and an overlay of its own, for a view of its own of /etc")


def test_file_of_the_machine(box, home, bad):
    etc = box.directory / "etc"
    configuration(etc, bad, "machine")
    overlay_of_etc(box, etc)
    assert said(box, bad) == "machine"
    configuration(home / ".config", bad, "home")
    bad.requests.clear()
    assert said(box, bad) == "home"


# ── certs.d ──


def certs(directory, server, **files):
    """certs.d/HOST:PORT with these files: suffix → original."""
    place = directory / "certs.d" / server.address
    place.mkdir(parents=True)
    for suffix, original in files.items():
        shutil.copy(original, place / f"registry.{suffix}")
    return place


def fetch(box, server, want=OK):
    return box.run("sluice", "fetch", f"https://{server.address}/blob", "--digest", DIGEST, want=want)


def test_authority_of_the_user(box, quick, authority):
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        box.gone()
        certs(quick / ".config/containers", server, crt=authority.certificate)
        fetch(box, server)


def test_authority_that_cannot_be_read(box, quick, authority):
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        place = certs(quick / ".config/containers", server, crt=__file__)
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, f"cannot use '{place}/registry.crt'", "PEM")
        assert not server.requests


def test_authority_of_the_environment_counts_besides(box, quick, authority, tmp_path, monkeypatch):
    other = Authority(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        certs(quick / ".config/containers", server, crt=other.certificate)
        fetch(box, server)


@pytest.mark.parametrize("place", ["containers", "docker"])
def test_authority_of_the_machine(box, quick, authority, place):
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        certs(box.directory / "etc" / place, server, crt=authority.certificate)
        overlay_of_etc(box, box.directory / "etc")
        fetch(box, server)


def test_client_certificate_of_the_user(box, quick, authority):
    certificate, key = authority.issue("client")
    with badserver.BadServer(tls=authority.require(authority.context())) as server:
        server.on("/blob", badserver.whole(DATA))
        place = certs(quick / ".config/containers", server, crt=authority.certificate, cert=certificate)
        failed = fetch(box, server, want=None)  # how it ends with TLS 1.3 is a matter of time
        assert failed.returncode != OK
        one_line(failed.stderr, f"cannot use '{place}/registry.key': No such file or directory")
        assert not server.requests
        box.gone()
        shutil.copy(key, place / "registry.key")
        fetch(box, server)


def test_section_wins_over_certs_d(box, quick, authority, tmp_path):
    other = Authority(tmp_path / "other")
    with badserver.BadServer(tls=authority.context()) as server:
        server.on("/blob", badserver.whole(DATA))
        certs(quick / ".config/containers", server, crt=authority.certificate)
        box.configure(f"[fetchd]\nmax_retries = 0\n[registry {server.address}]\nca_file = {other.certificate}\n")
        one_line(fetch(box, server, want=UNAVAILABLE).stderr, server.address, "TLS")
        assert not server.requests


# ── what is configured for other tools ──

REGISTRIES_CONF = """
unqualified-search-registries = ["docker.io"]
[[registry]]
  prefix = "docker.io" # the hub
  location = "registry-1.docker.io"
  [[registry.mirror]]
    location = "mirror.test:5000/hub"
  [[registry.mirror]]
    insecure = true
    location = 'old.test'
[[registry]]
location = "quay.io"
insecure = true
[[registry.mirror]]
location = "mirror.test/quay"
[[registry]]
prefix = "*.part.test"
location = "elsewhere.test"
[[registry]]
prefix = "part.test/team"
location = "elsewhere.test"
[[registry]]
location = "alone.test"
insecure = true
[[registry]]
prefix = "moved.test"
insecure = true
location = "new.test/old"
"""
LINES = """[registry docker.io]
mirror = https://mirror.test:5000/hub
# insecure: one of the next two is right
mirror = https://old.test
mirror = http://old.test
[registry old.test]
skip_verify = yes
# also sends passwords without TLS:
# plain_http = yes
"""
MOVED = """[registry moved.test]
# insecure: one of the next two is right
mirror = https://new.test/old
mirror = http://new.test/old
[registry new.test]
skip_verify = yes
# also sends passwords without TLS:
# plain_http = yes
"""
QUAY = """[registry quay.io]
mirror = https://mirror.test/quay
skip_verify = yes
# insecure; if it does not speak TLS, instead:
# plain_http = yes
"""
HOSTS_TOML = """
server = "https://app.test"
[host."https://mirror.test/v2/app"]
  capabilities = ["pull", "resolve"]
  override_path = true
  ca = "CA"
[host."http://plain.test:5000"]
[host."https://push.test"]
  capabilities = ["push"]
[host."https://mirror.test/below"]
"""


def mirrors(box):
    """What doctor finds: {registry: lines}."""
    box.gone()
    findings = json.loads(box.sluice("--json", "doctor").stdout)
    assert not [f for f in findings if f["state"] == "fail"], findings
    found = [f for f in findings if f["check"] == "mirrors"]
    return {f["text"].split("mirrors of ")[1].split(";")[0]: f["advice"].partition("\n")[2] for f in found}


def test_mirrors_of_podman(box, quick):
    """doctor prints lines that make its warning go away."""
    containers = quick / ".config/containers"
    containers.mkdir(parents=True)
    (containers / "registries.conf").write_text(REGISTRIES_CONF)
    found = mirrors(box)
    assert found == {"docker.io": LINES, "quay.io": QUAY, "moved.test": MOVED}
    box.configure(box.config.read_text() + found["docker.io"] + found["moved.test"])
    assert mirrors(box).keys() == {"quay.io"}
    (box.config.parent / "registries.d").mkdir()
    (box.config.parent / "registries.d/quay.conf").write_text(found["quay.io"].replace("quay.io", "QUAY.io"))
    assert not mirrors(box)


@pytest.mark.parametrize("has_tls", [True, False])
def test_insecure_mirror_of_podman(box, quick, authority, has_tls):
    """With doctor's lines a pull comes from the mirror, whether it speaks TLS or not: podman tries both."""
    containers = quick / ".config/containers"
    containers.mkdir(parents=True)
    with badserver.BadServer(tls=authority.context() if has_tls else None) as server:
        config, layer = config_blob(), DATA
        manifest = manifest_blob(config, [descriptor(layer, LAYER)])
        server.image("app", "1", manifest, MANIFEST, {digest_of(blob): [badserver.whole(blob)] for blob in (config, layer)})
        (containers / "registries.conf").write_text(
            f'[[registry]]\nlocation = "hub.invalid"\n[[registry.mirror]]\nlocation = "{server.address}"\ninsecure = true\n')
        box.configure(box.config.read_text() + mirrors(box)["hub.invalid"])
        assert not mirrors(box)
        box.sluice("pull", "hub.invalid/app:1")
        assert box.blob(DIGEST).exists()


def test_mirrors_of_containerd(box, quick, authority):
    etc = box.directory / "etc"
    (etc / "containerd/certs.d/app.test").mkdir(parents=True)
    (etc / "containerd/certs.d/app.test/hosts.toml").write_text(HOSTS_TOML.replace("CA", str(authority.certificate)))
    overlay_of_etc(box, etc)
    lines = mirrors(box)["app.test"]
    assert lines.splitlines() == [
        "[registry app.test]", "mirror = https://mirror.test/v2/app", "mirror = http://plain.test:5000",
        "[registry mirror.test]", f"ca_file = {authority.certificate}",
    ]
    box.configure(box.config.read_text() + lines)
    assert not mirrors(box)
