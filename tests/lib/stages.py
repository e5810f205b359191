# SPDX-License-Identifier: Apache-2.0
"""Our programs under test: run them on a store, watch the progress of a transfer, and kill them."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess

import wire
from servers import GUARD_S, wait_for

STAGES = ("fetchd", "ingestd", "commitd")
KEEPER = "fetchd-keeper"  # a second process of fetchd's, under this name

# sysexits(3), as in the manual pages
OK, USAGE, BAD_DATA, NOT_FOUND, UNAVAILABLE, CANNOT_CREATE, IO, AGAIN, DENIED, CONFIG = (
    0, 64, 65, 66, 69, 73, 74, 75, 77, 78,
)


def alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def descends_from(pid, ancestor):
    """Whether `ancestor` is the process itself, its parent, its parent's parent, and so on."""
    while pid not in (0, ancestor):
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


def kill(pid, sig=signal.SIGKILL):
    """Kill a process and wait for its end. A fault that did not happen must not count as survived."""
    assert alive(pid), f"process {pid}, which is to be killed, does not exist"
    os.kill(pid, sig)
    wait_for(f"process {pid} to die", lambda: not alive(pid), pause_s=0.001)


def catches(pid, sig):
    """Whether the process has installed a handler for the signal. It must not have ended."""
    assert alive(pid), f"process {pid}, which is to catch a signal, has ended"
    found = re.search(r"SigCgt:\s+([0-9a-f]+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return bool(int(found[1], 16) >> (sig - 1) & 1)


def memory_peak(pid):
    """The peak of resident memory in bytes, without the pages of files: those of libraries, which vary with the release."""
    found = dict(re.findall(r"(\w+):\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()))
    return (int(found["VmHWM"]) - int(found["RssFile"])) * 1024


def text(output):
    return (output or b"").decode(errors="replace")


class Box:
    """A store and a runtime directory, and our programs on them."""

    def __init__(self, bindir, directory, store=None):
        self.bindir = pathlib.Path(bindir)
        self.directory = pathlib.Path(directory)
        self.store = pathlib.Path(store) if store else self.directory / "store"
        self.runtime = self.directory / "run"
        self.config = self.directory / "conf/sluice.conf"  # in a directory of its own: fetchd may read all of that
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.reports = self.directory / "reports"
        self.reports.mkdir(parents=True, exist_ok=True)
        self.started = []
        self.boot = ""  # a boot id for ingestd in place of the real one
        self.prefix = []  # prefix of each command; it must exec the command
        self.sanitizer_options = "detect_leaks=1"
        self.config.write_text("[fetchd]\nretry_delay = 50ms\n")

    @property
    def environment(self):
        sanitizer = f"log_path={self.reports}/san:abort_on_error=0:print_stacktrace=1:{self.sanitizer_options}"
        return {
            **os.environ,
            "LC_ALL": "C",
            "SLUICE_STORE": str(self.store),
            "SLUICE_RUNTIME_DIR": str(self.runtime),
            "SLUICE_CONFIG": str(self.config),
            "SLUICE_BOOT_ID": self.boot,
            "ASAN_OPTIONS": sanitizer,
            "UBSAN_OPTIONS": sanitizer,
            "LSAN_OPTIONS": f"suppressions={pathlib.Path(__file__).with_name('leaks')}:print_suppressions=0",
            "TSAN_OPTIONS": f"suppressions={pathlib.Path(__file__).with_name('races')}:log_path={self.reports}/san",
        }

    def configure(self, text):
        self.config.write_text(text)

    # ── running ──

    def popen(self, *command, **options):
        program, *rest = [str(word) for word in command]
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen([*self.prefix, str(self.bindir / program), *rest], env=self.environment, **options)
        self.started.append(process)
        return process

    def run(self, *command, data=None, want=None):
        """Run to the end. `want`: the required exit code. stdout is in .raw as bytes, in .stdout as text."""
        process = self.popen(*command, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL)
        return self.finish(process, want, data)

    def finish(self, process, want=None, data=None):
        try:
            out, err = process.communicate(data, timeout=GUARD_S * 2)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        result = subprocess.CompletedProcess(process.args, process.returncode, text(out), text(err))
        result.raw = out
        if want is not None:
            assert result.returncode == want, f"{process.args} gave {result.returncode}, not {want}:\n{result.stderr}"
        return result

    def sluice(self, *words, want=OK):
        return self.run("sluice", *words, want=want)

    def json(self, *words):
        return json.loads(self.sluice("--json", *words).stdout)

    def status(self, ref):
        return self.json("status", ref)[0]

    # ── looking ──

    def ingest(self, ref):
        return self.store / "ingest" / hashlib.sha256(ref.encode()).hexdigest()

    def size(self, ref):
        """Bytes that have arrived; -1 if there is no such ingest."""
        try:
            return os.stat(self.ingest(ref) / "data").st_size
        except FileNotFoundError:
            return -1

    def is_sealed(self, ref):
        try:
            return not stat.S_IMODE(os.stat(self.ingest(ref) / "data").st_mode) & 0o222
        except FileNotFoundError:
            return False

    def blob(self, digest):
        algorithm, _, digits = digest.partition(":")
        return self.store / "blobs" / algorithm / digits

    def wait_size(self, ref, size, process=None):
        """Wait until `size` bytes have arrived, or the blob is stored. False: it was stored before."""

        def reached():
            if self.size(ref) >= size or self.blob(ref).exists():
                return True
            return process is not None and process.poll() is not None

        wait_for(f"{ref} to reach {size} bytes", reached, pause_s=0.0005)
        return self.size(ref) >= 0

    def wait_sealed(self, ref):
        wait_for(f"{ref} to be sealed", lambda: self.is_sealed(ref) or self.blob(ref).exists(), pause_s=0)
        return not self.blob(ref).exists()

    def pids(self, *names):
        """Our processes on the runtime directory: {pid: program}."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (program := self.program_of(entry)) and (not names or program in names):
                found[int(entry)] = program
        return found

    def program_of(self, pid):
        """The name of our program that process `pid` runs on our runtime directory, or None."""
        with contextlib.suppress(OSError):
            try:
                path = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
            except PermissionError:
                return self.our_fetchd(pid)
            place, name = os.path.split(path)
            if place != str(self.bindir) and not name.startswith("qemu-"):
                return None  # most processes; skip the slow checks
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            if name.startswith("qemu-"):  # under an emulator, the first word is the program
                place, name = os.path.split(b"".join(words.split(b"\0")[1:2]).decode())
            words += pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            if place == str(self.bindir) and str(self.directory).encode() in words and alive(pid):
                return KEEPER if name_of(pid) == KEEPER else name
        return None

    def our_fetchd(self, pid):
        """For users other than root, who can see only name, command line and parents of fetchd and its keeper."""
        name = name_of(pid)
        if name not in ("fetchd", KEEPER) or not alive(pid):
            return None
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        return name if str(self.directory).encode() in words or descends_from(int(pid), os.getpid()) else None

    def stage(self, name):
        """The pid of a running stage: the one that holds its lock."""
        return wait_for(f"{name} to run", lambda: next(iter(self.pids(name)), None), pause_s=0.001)

    # ── killing ──

    def kill_stage(self, name, restarted=True):
        """kill -9 a stage; with `restarted`, wait for its successor. Returns both pids."""
        old = self.stage(name)
        kill(old)
        new = None
        if restarted:
            new = wait_for(f"{name} to come back", lambda: next((p for p in self.pids(name) if p != old), None))
            assert new != old
        return old, new

    def kill_everything(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
        wait_for("all our processes to die", self.none_left)
        for process in self.started:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

    def none_left(self):
        """kill -9 all our processes, supervisors first. True once none is left."""
        running = self.pids()
        for pid in sorted(running, key=lambda pid: running[pid] != "sluice"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not running

    # ── the daemons ──

    @contextlib.contextmanager
    def up(self, *options):
        """`sluice up` in the background, with global options; its log is in self.up_log."""
        with open(self.up_log, "ab") as log:
            process = self.popen("sluice", *options, "up", stdout=log, stderr=log)
        try:
            wait_for("the stages to answer", lambda: self.answering(process))
            self.sanitizer_options = "detect_leaks=0"  # of commands: it takes half their time
            yield process
        finally:
            self.sanitizer_options = "detect_leaks=1"
            if process.poll() is None:
                process.terminate()
                process.wait(GUARD_S)
        self.gone()

    @property
    def up_log(self):
        return self.directory / "up.log"

    def answering(self, process):
        assert process.poll() is None, f"sluice up ended: {self.up_log.read_text()}"
        return all(map(self.serves, STAGES)) and self.answers("ingestd") and self.answers("commitd")

    def serves(self, stage):
        """The pid in the stage's holder file. Before it is written, another process may take the lock."""
        with contextlib.suppress(FileNotFoundError):
            noted = (self.runtime / stage / "lock").read_text().split()[1:2]
            return next((pid for pid in self.pids(stage) if noted == [str(pid)]), None)
        return None

    def answers(self, stage):
        """Whether the stage answers. Its socket exists before it listens and before its loop runs."""
        with contextlib.suppress(OSError), wire.Ctl(self.runtime / stage / "ctl") as ctl:
            return ctl.ask(wire.message("PING"))[3:4] == bytes([wire.PONG])
        return False

    def gone(self):
        """Wait until none of our processes runs on the runtime directory or still holds a lock there."""
        wait_for("all our processes to end", lambda: not self.pids() and not self.locked())

    def locked(self):
        """Whether a process holds one of our locks. A killed one does until its descriptors are closed."""
        for path in (*self.runtime.glob("*.lock"), *self.runtime.glob("*/lock")):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        return False

    def logs(self):
        """The log of the stages, whoever started them."""
        texts = [self.up_log.read_text()] if self.up_log.exists() else []
        if (self.runtime / "log").exists():
            texts.append((self.runtime / "log").read_text(errors="replace"))
        return "".join(texts)

    def sanitizer_reports(self):
        return "".join(path.read_text() for path in sorted(self.reports.glob("san.*")))


def one_line(said, *subjects):
    """Assert that it is one line for a person that contains each subject."""
    lines = said.splitlines()
    assert len(lines) == 1, f"one line was wanted, not:\n{said}"
    for subject in subjects:
        assert str(subject) in lines[0], f"'{subject}' is not in: {lines[0]}"


