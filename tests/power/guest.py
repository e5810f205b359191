# SPDX-License-Identifier: Apache-2.0
"""
A virtual machine: Debian with systemd and our units on user-mode Linux, which runs as a process. Its root is on one
disk, the store on another, and a docker-registry on its loopback. Killing the process is a power cut: the machine's
memory is lost.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading

import disks
import images
import promises
import servers

MIB = 1 << 20
LAYERS = (7, 64 << 10, 5 * MIB, 9 * MIB + 3, 16 * MIB + 1)  # bytes
REGISTRY = "127.0.0.1:5000"
NAME = f"{REGISTRY}/app:1"
UNIT = "sluice-pull@127.0.0.1:5000-app:1.service"
STORE_BYTES = 192 * MIB
ROOT_BYTES = 1536 * MIB
MEMORY = "384M"
BOOT_S = 900  # on a busy machine; after this time it is wedged

FILES = {
    # Without udev, systemd does not notice the disk, so it is not in fstab.
    "etc/systemd/system/store.service":
        "[Unit]\nDefaultDependencies=no\nBefore=local-fs.target systemd-tmpfiles-setup.service\n"
        "After=systemd-remount-fs.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=mount -o commit=1 /dev/ubdb /var/lib/sluice\n",
    "etc/registry.yml": "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                        "storage: {filesystem: {rootdirectory: /srv/registry}}\n"
                        f'http: {{addr: "{REGISTRY}", secret: tests}}\n',
    "etc/systemd/system/registry.service": "[Service]\nExecStart=/usr/bin/docker-registry serve /etc/registry.yml\n",
    # Their log lines are the promises, which we read from the kernel's console.
    "etc/systemd/journald.conf.d/console.conf": "[Journal]\nStorage=volatile\nForwardToConsole=yes\n"
                                                "MaxLevelConsole=debug\nRateLimitIntervalSec=0\n",
    "etc/systemd/system/sluice-ingestd.service.d/small.conf":
        "[Service]\nExecStart=\nExecStart=/usr/bin/ingestd --log-level debug --runtime-dir /run/sluice "
        "--store /var/lib/sluice --boot-id %b --checkpoint-bytes 1M\n",
    f"etc/systemd/system/{UNIT}.d/registry.conf":
        "[Unit]\nWants=registry.service\nAfter=registry.service\n[Service]\nRestartSec=1s\n",
}


class Content:
    """The image to pull, as bytes by ref."""

    def __init__(self):
        layers = [random.Random(f"machine/{size}").randbytes(size) for size in LAYERS]
        self.config = images.config_blob()
        self.layers = layers
        self.manifest = images.manifest_blob(self.config, [images.descriptor(data, images.LAYER) for data in layers])
        self.of = {images.digest_of(data): data for data in (self.manifest, self.config, *layers)}
        self.digests = list(self.of)
        self.of[f"manifest://{NAME}"] = self.manifest

    def push(self, directory):
        """Push it to a registry, and keep the registry's files in the directory."""
        with servers.Registry(directory) as registry:
            pusher = images.Pusher(registry.address, "app")
            for data in (self.config, *self.layers):
                pusher.blob_bytes(data)
            pusher.manifest("1", self.manifest)


def make_root(tree, build, content, image):
    """Make the machine's root file system from the tar of a Debian."""
    directory = image.with_suffix(".tree")
    directory.mkdir()
    try:
        subprocess.run(["tar", "-xf", tree, "-C", directory, "--exclude=./dev/*", "--numeric-owner"], check=True)
        subprocess.run(["make", "-s", f"BUILD={build}", f"DESTDIR={directory}", "PREFIX=/usr", "install"], check=True,
                       cwd=pathlib.Path(__file__).resolve().parent.parent.parent, stdout=subprocess.DEVNULL)
        for name, text in FILES.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shutil.copy(shutil.which("docker-registry"), directory / "usr/bin")
        content.push(image.parent / "registry")
        shutil.move(image.parent / "registry/data", directory / "srv/registry")
        (directory / "var/lib/sluice").mkdir(exist_ok=True)
        systemctl = ["systemctl", f"--root={directory}", "-q"]
        subprocess.run([*systemctl, "enable", "sluice.target"], check=True)
        subprocess.run([*systemctl, "add-wants", "multi-user.target", UNIT], check=True)
        subprocess.run([*systemctl, "add-wants", "local-fs.target", "store.service"], check=True)
        subprocess.run([*systemctl, "mask", "systemd-timesyncd.service", "getty.target", "network-online.target", "systemd-logind.service"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", directory, image, f"{ROOT_BYTES >> 10}k"], check=True,
                       stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(directory)


class Guest:
    """The machine, on or off. Its console output is in `lines`."""

    def __init__(self, directory, root):
        self.directory, self.root = pathlib.Path(directory), root
        self.store = self.directory / "store.img"
        self.process, self.lines, self.news = None, [], threading.Condition()

    def new_store(self):
        with open(self.store, "wb") as f:
            f.truncate(STORE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.store], check=True)

    def boot(self):
        cow = self.directory / "root.cow"
        cow.unlink(missing_ok=True)
        self.lines = []
        self.process = subprocess.Popen(
            ["linux.uml", f"mem={MEMORY}", f"ubd0={cow},{self.root}", f"ubd1={self.store}", "root=/dev/ubda", "rw",
             "con=null", "con0=null,fd:1", "init=/lib/systemd/systemd", "quiet", "systemd.show_status=no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            text=True, errors="replace",
        )
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip())
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def count(self, word):
        return sum(word in line for line in self.lines)

    def wait(self, what, condition):
        """Wait until `condition` of the output is true."""
        with self.news:
            if not self.news.wait_for(lambda: condition() or not self.listener.is_alive(), BOOT_S) or not condition():
                said = "\n".join(self.lines[-40:])
                raise AssertionError(f"waited in vain for {what}\n── console ──\n{said}")

    def cut(self):
        """kill -9, all at once. Returns the output so far."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.listener.join()
        self.process.stdout.close()
        return self.lines

    def off(self):
        if self.process and self.process.poll() is None:
            self.cut()

    @contextlib.contextmanager
    def mounted_store(self, mount):
        """The store after a cut, with its journal replayed and nothing else changed."""
        device = subprocess.run(["losetup", "-f", "--show", self.store], check=True, text=True,
                                capture_output=True).stdout.strip()
        try:
            with disks.mounted(device, mount, "ext4", disks.MS_RDONLY):
                yield mount
        finally:
            subprocess.run(["losetup", "-d", device], check=True)


def heard_in(lines, content, heard=None):
    """The promises in the lines of a console."""
    heard = heard or promises.Promises(content.of, "machine")
    heard.begin(NAME, images.digest_of(content.manifest))
    for line in lines:
        heard.hear(line)
    return heard
