# SPDX-License-Identifier: Apache-2.0
"""
docker-registry behind nginx, as companies have it: below a path prefix, with a private authority, client certificates and
logins. skopeo, podman and Sluice read the same files: certs.d and auth.json.
"""

import base64
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import pytest

from images import CONFIG, LAYER, MANIFEST, Pusher, descriptor, digest_of
from servers import Nginx, Registry
from stages import BAD_DATA, DENIED, OK, one_line

PASSWORD = "correct horse"


class Front(Nginx):
    """TLS with a client certificate; /v2/proxy/NAME is the registry's NAME, and nothing else is served."""

    def __init__(self, directory, authority, registry):
        self.pair, self.authority = authority.issue("front"), authority
        super().__init__(directory, server=f"""
        location = /v2/ {{ proxy_pass http://{registry.address}/v2/; }}
        location /v2/proxy/ {{
            proxy_pass http://{registry.address}/v2/;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
        }}""")

    def listen(self):
        certificate, key = self.pair
        return f"""listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {self.authority.certificate};
        ssl_verify_client on;"""


def layer_blob(content):
    """(layer, diff_id): one file."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(tar.getvalue()), digest_of(tar.getvalue())


DATA, DIFF_ID = layer_blob(os.urandom(100_000))


@pytest.fixture(scope="module")
def front(authority, tmp_path_factory):
    directory = tmp_path_factory.mktemp("front")
    with Registry(directory / "registry", password=PASSWORD) as registry, Front(directory / "nginx", authority, registry) as nginx:
        login = base64.b64encode(f"tester:{PASSWORD}".encode()).decode()
        pusher = Pusher(registry.address, "team/app", {"Authorization": f"Basic {login}"})
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]}}
        ).encode()
        pusher.blob_bytes(DATA)
        pusher.blob_bytes(config)
        pusher.manifest("1", json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
            "layers": [descriptor(DATA, f"{LAYER}+gzip")],
        }).encode())
        nginx.image = f"{nginx.address}/proxy/team/app:1"
        yield nginx


@pytest.fixture
def files(home, front, authority):
    """What all of them read: certs.d with an authority and a client certificate, and a login in auth.json."""
    containers = home / ".config/containers"
    certificates = containers / "certs.d" / front.address
    certificates.mkdir(parents=True)
    shutil.copy(authority.certificate, certificates / "ca.crt")
    for original, name in zip(authority.issue("member"), ("member.cert", "member.key")):
        shutil.copy(original, certificates / name)
    login = base64.b64encode(f"tester:{PASSWORD}".encode()).decode()
    (containers / "auth.json").write_text(json.dumps({"auths": {front.address: {"auth": login}}}))
    (containers / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return containers


def tool(*command):
    """Run somebody else's program."""
    return subprocess.run([*map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def skopeo(front, home):
    done = tool("skopeo", "copy", "-q", f"docker://{front.image}", f"oci:{home}/copy:1")
    return done, tool("skopeo", "inspect", f"oci:{home}/copy:1").stdout


def podman(front, home):
    with tempfile.TemporaryDirectory(prefix="slt-") as run:  # a short path, as podman wants it
        place = ["podman", "--root", home / "root", "--runroot", run, "--storage-driver", "vfs"]
        done = tool(*place, "pull", "-q", front.image)
        return done, tool(*place, "image", "inspect", front.image).stdout


def is_mounted(place):
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == place for line in mounts)


PODMAN_RUNS = pytest.mark.skipif(os.geteuid() != 0 or not is_mounted("/"), reason="podman wants to be root, and not in a chroot")
OTHERS = [skopeo, pytest.param(podman, marks=PODMAN_RUNS)]


def test_sluice_pulls(box, front, files):
    box.sluice("pull", front.image)
    assert box.blob(digest_of(DATA)).read_bytes() == DATA


def podman_logs_in(*words, password=None):
    return subprocess.run(["podman", *map(str, words)], capture_output=True, text=True, input=password)


@PODMAN_RUNS
def test_podman_has_what_login_wrote(box, front, files, home):
    auth = files / "auth.json"
    auth.unlink()
    said = box.run("sluice", "login", "-u", "tester", "--password-stdin", "--authfile", auth, front.address,
                   data=PASSWORD.encode(), want=OK)
    assert front.address in said.stdout
    got = podman_logs_in("login", "--get-login", "--authfile", auth, front.address)
    assert (got.returncode, got.stdout.strip()) == (0, "tester"), got.stderr
    done, inspected = podman(front, home)
    assert done.returncode == 0 and DIFF_ID in inspected, done.stderr
    box.sluice("logout", "--authfile", auth, front.address)
    assert podman_logs_in("login", "--get-login", "--authfile", auth, front.address).returncode != 0


@PODMAN_RUNS
def test_login_of_podman_is_used(box, front, files):
    auth = files / "auth.json"
    auth.unlink()
    done = podman_logs_in("login", "-u", "tester", "--password-stdin", "--authfile", auth, front.address, password=PASSWORD)
    assert done.returncode == 0, done.stderr
    box.sluice("pull", front.image)
    assert podman_logs_in("logout", "--authfile", auth, front.address).returncode == 0
    box.sluice("rm", front.image)
    box.sluice("pull", front.image, want=DENIED)


@pytest.mark.parametrize("other", OTHERS)
def test_others_pull(front, files, home, other):
    """What the others make of these files, so that the test above means something."""
    done, inspected = other(front, home)
    assert done.returncode == 0, done.stderr
    assert DIFF_ID in inspected or digest_of(DATA) in inspected


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("lost, code", [("auth.json", DENIED), ("certs.d", BAD_DATA)])
def test_all_fail_without_one_of_them(box, front, files, home, other, lost, code):
    (files / lost).rename(home / "elsewhere")
    box.configure("[fetchd]\nmax_retries = 0\n")
    one_line(box.run("sluice", "pull", front.image, want=code).stderr, front.address)
    done, _ = other(front, home)
    assert done.returncode != 0


def test_mirror_with_a_prefix(box, front, files):
    """The same nginx as a mirror of another registry, with a path: what is there below proxy/ has the registry's own names."""
    box.configure(f"[registry reg.test]\nmirror = https://{front.address}/v2/proxy\n")
    box.sluice("pull", "reg.test/team/app:1")
    assert box.blob(digest_of(DATA)).read_bytes() == DATA
