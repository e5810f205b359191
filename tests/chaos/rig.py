# SPDX-License-Identifier: Apache-2.0
"""
A small pull by three stages that the caller starts, strikes (tests/lib/strike.c) and restarts, and the checks
afterwards.
"""

import contextlib
import fcntl
import multiprocessing
import os
import pathlib
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "lib"))

import badserver  # noqa: E402
import images  # noqa: E402
import invariants  # noqa: E402
import stages  # noqa: E402

PATIENCE_S = int(os.environ.get("PATIENCE", "60"))  # a case takes a second; after this time it is wedged
LAYERS = (7, 64 << 10, (4608 << 10) + 1)  # bytes: less than a block, one chunk, several checkpoints
PACE = 3 << 19  # bytes: more than between two durable checkpoints
PACE_PATIENCE_S = 2  # longer than a pause of fetchd, so that a restarted stage can continue


class Broken(Exception):
    """An invariant is violated."""


class SmallImage:
    """A small image: manifest, config, layers. The same bytes in every run."""

    def __init__(self, server):
        self.server = server
        source = random.Random(3)
        layers = [source.randbytes(size) for size in LAYERS]
        config = images.config_blob()
        self.manifest = images.manifest_blob(config, [images.descriptor(layer, images.LAYER) for layer in layers])
        self.blobs = {images.digest_of(data): data for data in (config, *layers)}
        self.digests = [images.digest_of(self.manifest), *self.blobs]
        self.reference = f"{server.address}/app:1"
        self.serve()

    def serve(self, first=(), store=None):
        """`first`: behaviours of each blob before the good one. `store`: the largest blob waits for checkpoints there."""
        served = {digest: [*first, badserver.whole(data)] for digest, data in self.blobs.items()}
        if store:
            largest = max(self.blobs, key=lambda digest: len(self.blobs[digest]))
            served[largest][-1] = paced(self.blobs[largest], store)
        self.server.image("app", "1", self.manifest, images.MANIFEST, served)


def durable_offset(store):
    """The highest offset of a durable checkpoint."""
    found = [0]
    for path in store.glob("ingest/*/checkpoint"):
        with contextlib.suppress(FileNotFoundError):
            found += invariants.durable_offsets(path)
    return max(found)


def paced(data, store):
    """
    Send a piece, and the next once some bytes are durable, because a fast client would have everything before its first
    checkpoint. A client that hangs up, or makes nothing durable, gets the rest.
    """

    def behave(x):
        at, end = x.promise(data)
        while end - at > PACE:
            x.body(data[at : at + PACE])
            at += PACE
            deadline = time.monotonic() + PACE_PATIENCE_S
            while durable_offset(store) <= at - PACE and not is_readable(x.handler.connection):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
        x.body(data[at:end])

    return behave


def is_readable(connection):
    return bool(select.select([connection], [], [], 0)[0])


class Rig(stages.Box):
    """
    The stages, supervised by us: we hold up.lock, and restart whatever ends, without a strike.

    A strike at a program is a tuple of options of strike, a text for SLUICE_FAILPOINTS, or an environment. A list is
    for a stage and its successors.
    """

    words = {"ingestd": ("--checkpoint-bytes", "1M")}  # so that a small blob has durable checkpoints too

    def __init__(self, bindir, strike, directory, reference):
        super().__init__(bindir, directory)
        self.strike, self.reference = strike, reference
        self.log = self.directory / "log"
        self.running, self.up_lock = {}, None
        self.strikes = {}  # for each name, the strikes at the programs started under it, in order
        self.more = {}  # of the environment

    def fresh(self):
        """Empty the store, and remove everything of the last case."""
        for path in (self.store, self.runtime, self.directory / "out"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.log, *self.directory.glob("report-*")):
            path.unlink(missing_ok=True)
        self.fresh_runtime()

    def fresh_runtime(self):
        self.started.clear()
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.runtime.mkdir(mode=0o750)
        self.up_lock = open(self.runtime / "up.lock", "w")
        fcntl.flock(self.up_lock, fcntl.LOCK_EX)

    def leave_to_sluice(self):
        """Without a supervisor, so commands start their own stages."""
        self.up_lock.close()
        shutil.rmtree(self.runtime, ignore_errors=True)

    @property
    def environment(self):
        return {**super().environment, **self.more}

    def arm(self, strikes):
        self.strikes = {name: list(what) if isinstance(what, list) else [what] for name, what in (strikes or {}).items()}

    def begin(self, program, words=(), **options):
        """Start a program with the next strike for its name."""
        name = " ".join((program, *words[:1]))  # "ingestd", "sluice pull"
        left = self.strikes.get(name)
        strike = left.pop(0) if left else None
        command, self.more = [self.bindir / program, *(words or self.words.get(program, ()))], {}
        if isinstance(strike, str):
            self.more = {"SLUICE_FAILPOINTS": strike, "SLUICE_FAILPOINT_TRACE": str(self.report(name))}
        elif isinstance(strike, dict):
            self.more = strike
        elif strike is not None:
            command = [self.strike, "-r", self.report(name), *strike, *command]
        with open(self.log, "ab") as log:
            return self.popen(*command, **{"stdout": log, "stderr": log, **options})

    def begin_first(self, programs, begin):
        """
        Start these. The one with a strike starts first, and creates the store if it can; otherwise timing decides which
        one does. Returns {program: process}.
        """
        struck = {name.partition(" ")[0] for name in self.strikes}
        begun = {}
        for program in sorted(programs, key=lambda program: program not in struck):
            begun[program] = begin(program)
            if program in struck - {"fetchd"}:
                process = begun[program]
                self.tend_until(lambda: self.store.exists() or process.poll() is not None, f"'{program}' before it makes a store")
        return begun

    def up(self):
        self.running = self.begin_first(stages.STAGES, self.begin)

    def tend(self):
        """Restart stages that have ended. Returns whether one had."""
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        for name in ended:
            self.running[name] = self.begin(name)
        return bool(ended)

    def tend_until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        tended = deadline
        while not condition():
            now = time.monotonic()
            if now > deadline:
                raise Broken(f"{what} hangs")
            if now > tended or tended == deadline:  # a stage that ends at once is not restarted at once
                tended = now + 0.05 if self.tend() else now
            time.sleep(0.001)

    def attend(self, process, what):
        """Tend the stages until `process` has ended; returns its exit code."""
        self.tend_until(lambda: process.poll() is not None, what)
        return process.returncode

    def down(self):
        self.tend_until(lambda: not invariants.kept_open(self.store, self.pids()), "a stage that keeps removed ingests open")
        deadline = time.monotonic() + PATIENCE_S
        for process in self.running.values():
            process.terminate()
        while any(process.poll() is None for process in self.running.values()):
            if time.monotonic() > deadline:
                raise Broken("a stage does not stop")
            time.sleep(0.001)
        self.running.clear()

    def pull(self, strikes=None):
        """
        Start everything, pull, set a second name, stop everything. A failed pull is tried once more before the stages
        stop. Returns the exit codes.
        """
        self.arm(strikes)
        self.up()
        codes = [self.attend(self.begin("sluice", ("pull", self.reference)), "the pull")]
        if codes[0] != 0:
            codes.append(self.attend(self.begin("sluice", ("pull", self.reference)), "the pull"))
        if codes[-1] == 0:
            codes.append(self.attend(self.begin("sluice", ("tag", self.reference, "second")), "the tag"))
        self.down()
        return codes

    def report(self, name):
        return self.directory / f"report-{name}"

    def reported(self, name, word):
        """The lines of the strike's report on a program that start with this word, split."""
        path = self.report(name)
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ") for line in lines if line.startswith(word)]

    def check(self, digests, tidy=True):
        """
        With no stage running: the image is complete and named, and nothing incomplete is left; with `tidy` no ingest at
        all, not even one with the reason why it is idle.
        """
        reports = self.sanitizer_reports()
        problems = invariants.problems_of(self.store, settled=True, runtime=self.runtime)
        problems += [f"{digest} is missing" for digest in digests if not self.blob(digest).exists()]
        problems += [f"'{path}' is left over" for path in (self.store / "ingest").glob("*") if tidy and path.name != "lock"]
        names = (self.store / "index.json").read_text()
        problems += [f"no name '{name}'" for name in (self.reference, "second") if f'"{name}"' not in names]
        if reports or problems:
            raise Broken("\n".join([*problems, reports]))

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


# ── many cases at once ──


class Walker:
    """Runs cases in a process of its own, with its own server and store."""

    def __init__(self, bindir, strike, area):
        self.server = badserver.BadServer()
        self.image = SmallImage(self.server)
        self.rig = Rig(bindir, strike, tempfile.mkdtemp(dir=area), self.image.reference)
        self.image.serve(store=self.rig.store)


walker = None


def open_walker(bindir, strike, area):
    global walker
    walker = Walker(bindir, strike, area)


def attempt(work, case):
    """Run one case. Returns (case, result, None) or (case, None, error)."""
    try:
        return case, work(walker.rig, walker.image, case), None
    except Exception as error:  # any error belongs to this case
        what = str(error) if isinstance(error, Broken) else traceback.format_exc()
        return case, None, f"{what}\n── said ──\n{walker.rig.said()[-3000:]}"
    finally:
        walker.rig.kill_everything()
        walker.rig.running.clear()


def area_place():
    """The directory for stores: AREA, or in memory if possible."""
    return os.environ.get("AREA") or ("/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir())


def is_in_memory():
    kind = subprocess.run(["stat", "-f", "-c", "%T", area_place()], check=True, capture_output=True, text=True)
    return kind.stdout.strip() == "tmpfs"


@contextlib.contextmanager
def new_area():
    area = tempfile.mkdtemp(prefix="slc-", dir=area_place())
    try:
        yield pathlib.Path(area)
    finally:
        shutil.rmtree(area, ignore_errors=True)


@contextlib.contextmanager
def pool(options):
    with new_area() as area:
        with multiprocessing.Pool(options.jobs, open_walker, (options.bindir, options.strike, area)) as workers:
            yield workers


def add_options(parser):
    build = TESTS.parent / "build"
    parser.add_argument("--bindir", default=os.environ.get("BINDIR", build / "bin"), type=pathlib.Path)
    parser.add_argument("--strike", default=os.environ.get("STRIKE", build / "chaos/strike"), type=pathlib.Path)
    parser.add_argument("--jobs", default=int(os.environ.get("JOBS", os.cpu_count())), type=int)
    parser.add_argument("--step", default=int(os.environ.get("STEP", "1")), type=int, help="every STEPth case only")
    parser.add_argument("--seed", default=int(os.environ.get("SEED", "0")), type=int, help="which of these")


def resolve(options):
    options.bindir, options.strike = options.bindir.resolve(), options.strike.resolve()
    for program in (options.bindir / "sluice", options.strike):
        if not program.exists():
            sys.exit(f"{program}: not built")
    return options


def chosen(cases, options):
    """A subset that depends only on the seed."""
    return cases[options.seed % options.step :: options.step]


def spread(count, wanted):
    """1 to count: all, or the first, the last and some between."""
    if not wanted or count <= wanted:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})


def dry_total(rig, image, victim):
    """The number of counted calls of a victim in a run without a strike."""
    name, what = victim
    rig.fresh()
    codes = rig.pull({name: what})
    if codes != [0, 0]:
        raise Broken(f"the pull without a strike gave {codes}")
    rig.check(image.digests)
    return int(rig.reported(name, "total")[0][1])


def quiet(command):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
