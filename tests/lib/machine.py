# SPDX-License-Identifier: Apache-2.0
"""A Debian with systemd as process 1, booted in a container from a tree on disk, with our units installed."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

from servers import wait_for
from stages import STAGES, Box, text

TESTS = pathlib.Path(__file__).resolve().parent.parent
STORE, RUNTIME = "/var/lib/sluice", "/run/sluice"
REBOOT = 133  # exit code of systemd-nspawn when the machine reboots
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"  # nspawn refuses them, a real machine does not
UNITS = {name: f"sluice-{name}.service" for name in STAGES}


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in found.read_text().split()] if found.exists() else []


class Machine:
    def __init__(self, directory, base):
        self.directory = pathlib.Path(directory)
        self.root = self.directory / "root"
        self.root.mkdir(parents=True)
        self.console = self.directory / "console"
        self.process = None
        self.started = []
        subprocess.run(["tar", "-xf", base, "-C", self.root, "--exclude=./dev/*", "--numeric-owner"], check=True)
        self.box = Box(self.root / "usr/bin", self.directory / "box", self.root / STORE.lstrip("/"))

    def install(self, build):
        subprocess.run(
            ["make", "-s", f"BUILD={build}", f"DESTDIR={self.root}", "PREFIX=/usr", "install"],
            cwd=TESTS.parent, check=True, stdout=subprocess.DEVNULL,
        )

    def set_up(self):
        """The steps after `make install`."""
        self.run("systemd-sysusers", want=0)
        self.run("systemd-tmpfiles", "--create", "sluice.conf", want=0)
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--now", "sluice.target")

    def install_package(self, deb):
        shutil.copy(deb, self.root / "sluice.deb")
        self.run("dpkg", "--install", "/sluice.deb", want=0)

    # ── on and off ──

    def boot(self):
        """Start it, and wait until systemd reports that it is running."""
        with open(self.console, "ab") as out:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", self.root, "-M", self.directory.name, "--register=no", "--keep-unit",
                 "--boot", "--console=pipe", f"--system-call-filter={LANDLOCK}"],
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )
        wait_for("the machine to boot", self.is_up)

    def is_up(self):
        assert self.process.poll() is None, f"the machine ended: {self.console.read_text(errors='replace')}"
        state = self.run("systemctl", "is-system-running").stdout.strip() if self.leader else None
        assert state != "degraded", self.run("systemctl", "--failed").stdout + self.journal()
        return state == "running"

    @property
    def leader(self):
        """The host's pid of systemd, or None."""
        return next(iter(children(self.process.pid)), None)

    def reboot(self):
        """Reboot in order."""
        self.run("systemctl", "reboot")
        wait_for("the machine to go down", self.is_down)
        assert self.process.returncode == REBOOT, self.console.read_text(errors="replace")
        self.boot()

    def is_down(self):
        """systemd stops and kills everything at its end. Our nsenter stops with its child, and must reap it."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        return self.process.poll() is not None

    def cut_power(self):
        """Kill the machine. Unsynced data survives, but no stage can clean up, and the next boot id differs."""
        os.kill(self.leader, signal.SIGKILL)
        wait_for("the machine to be gone", self.is_down)

    def stop(self):
        if self.process and self.process.poll() is None:
            if self.leader:
                self.cut_power()
            self.process.kill()
            self.process.wait()

    # ── running ──

    def popen(self, *words, user=None, env=None, **options):
        # Without the environment of the host.
        variables = [f"{key}={value}" for key, value in (env or {}).items()]
        login = ["runuser", "-u", user, "--"] if user else []
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(
            ["nsenter", "-t", str(self.leader), "-a", "env", "-i", "PATH=/usr/sbin:/usr/bin", "LC_ALL=C", *variables,
             *login, *[str(word) for word in words]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )
        self.started.append(process)
        return process

    def finish(self, process, want=None):
        out, err = process.communicate(timeout=120)
        result = subprocess.CompletedProcess(process.args, process.returncode, text(out), text(err))
        assert want is None or result.returncode == want, (
            f"{result.args} gave {result.returncode}, not {want}:\n{result.stdout}{result.stderr}"
        )
        return result

    def run(self, *words, want=None, user=None, env=None):
        return self.finish(self.popen(*words, user=user, env=env), want)

    def sluice_popen(self, *words, user="member"):
        return self.popen("sluice", *words, user=user, env={"SLUICE_STORE": STORE, "SLUICE_RUNTIME_DIR": RUNTIME})

    def sluice(self, *words, want=0, user="member"):
        return self.finish(self.sluice_popen(*words, user=user), want)

    def status(self, ref):
        return json.loads(self.sluice("--json", "status", ref).stdout)[0]

    def write(self, path, content, mode=0o644):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(mode)

    # ── units ──

    def systemctl(self, *words, want=0):
        return self.run("systemctl", *words, want=want)

    def show(self, unit, key):
        return self.systemctl("show", "-P", key, unit).stdout.strip()

    def main_pid(self, name):
        """The pid inside the machine."""
        return wait_for(f"{name} to run", lambda: int(self.show(UNITS[name], "MainPID")))

    def kill_unit(self, name, sig="KILL"):
        """Kill it, and wait until its successor serves."""
        old = self.main_pid(name)
        self.systemctl("kill", "--kill-who=main", "-s", sig, UNITS[name])
        self.wait_other(name, old)

    def wait_other(self, name, old):
        wait_for(f"another {name} than {old}", lambda: self.main_pid(name) != old and self.is_active(UNITS[name]))

    def is_active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def journal(self, *words):
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-b", *(words or ("-u", "sluice*"))).stdout

    def entries(self, *words):
        """Entries of the journal with all fields."""
        return [json.loads(line) for line in self.journal("-o", "json", *words).splitlines()]
