"""Ends conversions before their time, at random moments and in many ways, and looks at what they leave.

    python tests/crashes.py --kills 200

A corpus of stand-ins is converted once undisturbed. Then conversions of it are killed (the program, a worker, all of
them), interrupted, given a disk that is full, a directory that goes away, another conversion into the same directory.
After each, every output file that is there must be, byte for byte, that of the undisturbed run; no worker may be
alive; what is said must be one message. Conversions go on with ``--skip-existing`` in what is there, until one is left
alone: then everything must be there, and nothing else, no temporary file either.

Most of the moments are chosen while files are written. Needs a POSIX system. A full disk and one that is read-only are
mounted in memory, which on Linux root may do; otherwise they are left out, and it is said.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import amass_joints
from amass_files import write_sequence

TEMPORARY = "*.amass-joints"
PATIENCE = 120
"""Seconds after which something hangs."""
SOON = 2.0
"""Seconds within which a worker ends after the program."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Process: TypeAlias = "subprocess.Popen[str]"


@dataclass(frozen=True)
class Corpus:
    """What is converted, and what comes of it undisturbed."""

    amass_dir: Path
    regressor: Path
    outputs: dict[str, bytes]
    seconds: float = 0.0
    """That the conversion takes."""
    writing: float = 0.0
    """Seconds of these, from the first byte written on."""


@dataclass
class Tally:
    """How it went with one way to end a conversion."""

    how: str
    runs: int = 0
    too_late: int = 0
    """Conversions that had done everything before."""
    writing: int = 0
    """Conversions that were just writing a file: its temporary file was there."""
    left: int = 0
    """Temporary files found afterwards. The next run has to take them away."""
    files: int = 0
    """Output files compared."""
    faults: list[str] = field(default_factory=list)

    def expect(self, right: bool, otherwise: str) -> None:
        if not right:
            self.faults.append(f"{self.how}: {otherwise}")


class Ordeal:
    """An output directory, in which conversions begin, are ended, and go on."""

    def __init__(self, corpus: Corpus, out: Path, seed: int = 0) -> None:
        self.corpus, self.out, self.rng = corpus, out, random.Random(seed)
        self.report = out.with_name(f"{out.name}-report") / "report.json"

    def start(
        self, *options: str, limit: int | None = None, cache: Path | None = None, ignored: int | None = None
    ) -> Process:
        """Begin a conversion, as the leader of a group of processes.

        Args:
            options: of the command line.
            limit: bytes that a file may have.
            cache: in place of the user's cache, which has the compiled kernel.
            ignored: a signal that it ignores.
        """

        def prepare() -> None:
            for number in SIGNALS:  # whatever they are here, as under nohup
                signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            [
                *(sys.executable, "-m", "amass_joints", "convert", "--workers", "2"),
                *("--amass-dir", self.corpus.amass_dir, "--out-dir", self.out),
                *("--joint-regressor", self.corpus.regressor, "--report", self.report, *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | ({} if cache is None else {"XDG_CACHE_HOME": str(cache)}),
            preexec_fn=prepare,
        )

    def missing(self) -> set[str]:
        """Name the output files that are still to be made."""
        return {name for name in self.corpus.outputs if not (self.out / name).exists()}

    def is_writing(self) -> bool:
        """Say whether there are bytes in a temporary file."""
        with suppress(OSError):
            return any(path.stat().st_size for path in self.out.glob(TEMPORARY))
        return False

    def check(self, tally: Tally) -> None:
        """Compare the output files that are there; note temporary files."""
        for path in self.out.iterdir() if self.out.exists() else ():
            if path.match(TEMPORARY):
                tally.left += 1
            else:
                tally.files += 1
                right = path.read_bytes() == self.corpus.outputs.get(path.name)
                tally.expect(right, f"{path.name} is not as undisturbed")
        if self.report.exists():
            tally.expect(self.report.read_text().endswith("}\n"), "the report is not whole")

    def finish(self, tally: Tally) -> None:
        """Let a conversion go on and end; then compare everything, and begin anew."""
        process = self.start("--skip-existing")
        stderr = wait_for_the_end(process, tally)
        tally.expect(process.returncode == 0 and not stderr, f"what was left could not be gone on with: {stderr}")
        tally.expect(not self.missing(), f"missing after all: {self.missing()}")
        left = tally.left
        self.check(tally)
        tally.expect(tally.left == left, "temporary files stayed after the next run")
        beside_the_report = [path.name for path in self.report.parent.iterdir()]
        tally.expect(beside_the_report == [self.report.name], f"{beside_the_report} where the report is alone")
        self.begin_anew()

    def begin_anew(self) -> None:
        for directory in (self.out, self.report.parent):
            shutil.rmtree(directory, ignore_errors=True)

    # Moments

    def in_writing(self, process: Process) -> None:
        """Wait for a random moment in the writing of an output file."""
        missing = self.missing()
        number = self.rng.randrange(max(1, len(missing)))
        while process.poll() is None and (len(missing - self.missing()) < number or not self.is_writing()):
            time.sleep(0.0002)
        time.sleep(self.rng.expovariate(100))

    def anywhere(self, process: Process) -> None:
        """Wait for a random moment of the run."""
        time.sleep(self.rng.uniform(0, self.corpus.seconds))

    def with_workers(self, process: Process) -> None:
        """Wait for a random moment from when there are workers."""
        while process.poll() is None and len(group_of(process)) < 2:
            time.sleep(0.0005)
        time.sleep(self.rng.uniform(0, self.corpus.writing / 4))

    def any_of_these(self, process: Process) -> None:
        """Wait for a random moment, mostly one while files are written."""
        self.rng.choices((self.in_writing, self.anywhere, self.with_workers), (6, 2, 2))[0](process)


def wait_for_handlers(process: Process) -> None:
    """Wait until the process has its own way with signals, which takes Python some hundredths of a second."""
    while process.poll() is None:
        if sys.platform != "linux":
            time.sleep(0.5)
            return
        with suppress(OSError):
            caught = int(re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[0], 16)
            if all(caught & 1 << (number - 1) for number in SIGNALS):
                return
        time.sleep(0.0005)


def group_of(process: Process) -> list[int]:
    """List the processes of a group that are alive, its leader first."""
    alive = []
    if sys.platform != "linux":  # where workers are threads
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 0)
            alive.append(process.pid)
        return alive
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group = path.read_text().rpartition(") ")[2].split()[:3]
            if int(group) == process.pid and state not in "ZX":
                alive.append(int(path.parent.name))
    return sorted(alive, key=lambda pid: pid != process.pid)


def wait_for_the_end(process: Process, tally: Tally) -> str:
    """Wait until a conversion and its workers have ended; give what it said."""
    try:
        _, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        tally.faults.append(f"{tally.how}: it did not end")
        os.killpg(process.pid, signal.SIGKILL)
        _, stderr = process.communicate()
    deadline = time.monotonic() + SOON
    while (alive := group_of(process)) and time.monotonic() < deadline:
        time.sleep(0.001)
    tally.expect(not alive, "a worker is alive")
    return stderr


def make_corpus(work: Path, support_data: Path, *, datasets: int = 6, sequences: int = 8, frames: int = 2000) -> Corpus:
    """Write motions, two datasets of them as archives, and convert them undisturbed."""
    rng = random.Random(0)
    for dataset, sequence in itertools.product(range(datasets), range(sequences)):
        archived = dataset >= datasets - 2
        write_sequence(
            work / f"amass/Set{dataset}/{sequence // 3:02}/{sequence:02}_poses.npz",
            rng.randrange(frames // 2, frames) // (4 if archived else 1),
            1000 * dataset + sequence,
            gender=rng.choice(["male", "female", "neutral"]),
        )
    for dataset in range(datasets - 2, datasets):
        directory = work / f"amass/Set{dataset}"
        with tarfile.open(f"{directory}.tar.bz2", "w:bz2") as archive:
            archive.add(directory, directory.name)
        shutil.rmtree(directory)
    corpus = Corpus(work / "amass", support_data / "J_regressor_h36m.npy", {})
    undisturbed, tally = Ordeal(corpus, work / "undisturbed"), Tally("undisturbed")
    undisturbed.start().communicate(timeout=PATIENCE)  # compiles the kernel, if need be
    undisturbed.begin_anew()
    started = time.monotonic()
    process = undisturbed.start()
    while process.poll() is None and not undisturbed.is_writing():
        time.sleep(0.001)
    first = time.monotonic()
    stderr = wait_for_the_end(process, tally)
    ended = time.monotonic()
    assert process.returncode == 0, stderr
    for path in undisturbed.out.iterdir():
        tree = amass_joints.load(path)
        assert sum(len(subject) for subject in tree.values()) == sequences
        corpus.outputs[path.name] = path.read_bytes()
    assert len(corpus.outputs) == datasets
    return Corpus(corpus.amass_dir, corpus.regressor, corpus.outputs, ended - started, ended - first)


# ---------------------------------------------------------------------------------------------------- ways to end


@dataclass(frozen=True)
class Way:
    """A way to end a conversion."""

    tally: Tally
    send: Callable[[Process], None]
    """Does it."""
    code: int
    """That the conversion then ends with."""
    message: str = ""
    """A pattern of what it says."""


def end(ordeal: Ordeal, way: Way, moment: Callable[[Process], None]) -> None:
    """Begin a conversion, or go on with one, and end it."""
    tally = way.tally
    tally.runs += 1
    process = ordeal.start("--skip-existing")
    if way.code > 0:
        wait_for_handlers(process)
    moment(process)
    tally.writing += process.poll() is None and ordeal.is_writing()
    with suppress(ProcessLookupError):
        way.send(process)
    check_end(ordeal, tally, process, way.code, way.message)


def check_end(ordeal: Ordeal, tally: Tally, process: Process, code: int, message: str) -> None:
    """Wait until a conversion has ended; see that it did so in the right way, or had come through."""
    stderr = wait_for_the_end(process, tally)
    # When all is done and Python takes itself down, it has its own ways with signals, and nothing to say, any more.
    done = code > 0 and not stderr and not ordeal.missing()
    if process.returncode == 0 or done:
        tally.too_late += 1
        tally.expect(not ordeal.missing(), f"it came through without {ordeal.missing()}")
    else:
        tally.expect(process.returncode == code, f"it ended with {process.returncode}, expected {code}: {stderr}")
        tally.expect(re.fullmatch(message, stderr) is not None, f"it said {stderr!r}")
    left = tally.left
    ordeal.check(tally)
    tally.expect(code < 0 or tally.left == left, "it left a temporary file")


def kill(ordeal: Ordeal, times: int) -> list[Tally]:
    """SIGKILL, to the program, to it and its workers, or to one worker."""

    def kill_worker(process: Process) -> None:
        if workers := group_of(process)[1:]:
            os.kill(ordeal.rng.choice(workers), signal.SIGKILL)

    died = r"Error: .*: the worker process that was at it was killed by SIGKILL\. .*\n"
    program = Way(Tally("SIGKILL, the program"), lambda process: process.kill(), -signal.SIGKILL)
    group = Way(Tally("SIGKILL, all processes"), lambda process: os.killpg(process.pid, signal.SIGKILL), program.code)
    worker = Way(Tally("SIGKILL, a worker"), kill_worker, 1, died)
    ways = (program, group, worker)
    while sum(way.tally.runs - way.tally.too_late for way in ways) < times:
        way = ordeal.rng.choices(ways, (4, 1, 1))[0]
        end(ordeal, way, ordeal.with_workers if way is worker else ordeal.any_of_these)
        if len(ordeal.missing()) < 2 or ordeal.rng.random() < 0.2:
            ordeal.finish(way.tally)
    ordeal.finish(program.tally)
    return [way.tally for way in ways]


def interrupt(ordeal: Ordeal, times: int) -> list[Tally]:
    """SIGINT, SIGTERM and SIGHUP, to the program, to it and its workers, or twice."""

    def way(number: signal.Signals, how: str) -> Way:
        def send(process: Process) -> None:
            if how == "all processes":
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)
            if how == "twice":
                time.sleep(ordeal.rng.choice((0, 0.001, 0.01)))
                os.kill(process.pid, number)

        by = "" if number == signal.SIGINT else f" by {number.name}"
        message = rf"Interrupted{by}\. What was finished is complete; nothing is half-written\.\n"
        return Way(Tally(f"{number.name}, {how}"), send, 128 + number, message)

    ways = [way(number, how) for number in SIGNALS for how in ("the program", "all processes", "twice")]
    for one in ways * times:
        end(ordeal, one, ordeal.any_of_these)
        if not ordeal.missing():
            ordeal.finish(one.tally)
    ordeal.finish(ways[0].tally)
    return [one.tally for one in ways]


def interrupt_compiling(ordeal: Ordeal, times: int) -> list[Tally]:
    """SIGTERM, while the kernel is compiled, which a user's first run does."""
    tally = Tally("SIGTERM, first run")
    seconds = 0.0
    for n in range(times + 1):
        with tempfile.TemporaryDirectory() as cache:
            started = time.monotonic()
            process = ordeal.start(cache=Path(cache))
            if n:
                tally.runs += 1
                wait_for_handlers(process)
                time.sleep(ordeal.rng.uniform(0, seconds))
                process.send_signal(signal.SIGTERM)
                check_end(ordeal, tally, process, 143, r"Interrupted by SIGTERM\. .*\n")
            else:  # see how long it takes
                wait_for_the_end(process, tally)
                seconds = time.monotonic() - started
            tally.expect(not list(Path(cache).rglob(TEMPORARY)), "there are temporary files in the cache")
            ordeal.begin_anew()
    return [tally]


def fail(ordeal: Ordeal, tally: Tally, reason: str, limit: int | None = None) -> None:
    """Run a conversion that has to stop with an error, unless nothing is missing."""
    before = ordeal.missing()
    tally.runs += 1
    process = ordeal.start("--skip-existing", limit=limit)
    check_end(ordeal, tally, process, 1, rf"Error: .*: cannot be written( to)?: {reason}\..*\n")
    tally.expect(ordeal.missing() <= before, "an output file is gone")


def limit_file_sizes(ordeal: Ordeal, times: int) -> list[Tally]:
    """A limit of file sizes, which is reached somewhere in a file."""
    tally = Tally("a limit of file sizes")
    largest = max(map(len, ordeal.corpus.outputs.values()))
    for _ in range(times):
        fail(ordeal, tally, "File too large", limit=ordeal.rng.randrange(1, largest))
        if ordeal.rng.random() < 0.5:
            ordeal.finish(tally)
    ordeal.finish(tally)
    return [tally]


def fill_disk(ordeal: Ordeal, times: int) -> list[Tally]:
    """A disk that is full somewhere in a file, and one that is read-only."""
    full, read_only = Tally("a full disk"), Tally("a read-only disk")
    size = sum(map(len, ordeal.corpus.outputs.values()))
    home = ordeal.out
    with disk_in_memory(home.with_name("disk")) as remount:
        ordeal.out = home.with_name("disk") / "out"
        for _ in range(times):
            remount(f"size={ordeal.rng.randrange(65536, size)}")
            fail(ordeal, full, "No space left on device")
            remount("ro")
            fail(ordeal, read_only, "Read-only file system")
            remount(f"rw,size={2 * size}")
            ordeal.finish(full)
    ordeal.out = home
    return [full, read_only]


@contextmanager
def disk_in_memory(directory: Path) -> Iterator[Callable[[str], None]]:
    """Mount a disk; give what sets its options, such as its size."""
    directory.mkdir()

    def mount(*arguments: str) -> None:
        subprocess.run(["mount", *arguments, directory], check=True, capture_output=True)

    mount("-t", "tmpfs", "none")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def take_directory_away(ordeal: Ordeal, times: int) -> list[Tally]:
    """An output directory that is removed meanwhile."""
    tally = Tally("a directory that goes away")
    for _ in range(times):
        tally.runs += 1
        process = ordeal.start()
        ordeal.in_writing(process)
        tally.writing += ordeal.is_writing()
        shutil.rmtree(ordeal.out, ignore_errors=True)
        stderr = wait_for_the_end(process, tally)
        if process.returncode == 0:
            tally.too_late += 1
        else:
            message = r"Error: .*: cannot be written( to)?: No such file or directory\..*\n"
            tally.expect(process.returncode == 1, f"it ended with {process.returncode}: {stderr}")
            tally.expect(re.fullmatch(message, stderr) is not None, f"it said {stderr!r}")
        ordeal.finish(tally)
    return [tally]


def run_two(ordeal: Ordeal, times: int) -> list[Tally]:
    """Two conversions into one directory at once, of which none is ended, or one is killed."""
    both, one_of_them = Tally("two at once"), Tally("two at once, one is killed")
    for tally, _ in itertools.product((both, one_of_them), range(times)):
        tally.runs += 2
        first = ordeal.start()
        time.sleep(ordeal.rng.uniform(0, ordeal.corpus.writing))
        second = ordeal.start()
        if tally is one_of_them:
            ordeal.in_writing(second)
            first.kill()
        for process in (first, second):
            stderr = wait_for_the_end(process, tally)
            killed = tally is one_of_them and process is first and process.returncode == -signal.SIGKILL
            tally.expect(killed or process.returncode == 0, f"it ended with {process.returncode}: {stderr}")
        tally.expect(not ordeal.missing(), f"missing: {ordeal.missing()}")
        left = tally.left
        ordeal.check(tally)
        tally.expect(tally is one_of_them or tally.left == left, "they left a temporary file")
        ordeal.finish(tally)
    return [both, one_of_them]


def show(tallies: list[Tally]) -> None:
    for one in tallies:
        cells = (one.runs, one.too_late, one.writing, one.left, one.files, len(one.faults))
        print(f"{one.how:30}" + "".join(f"{cell:>10,}" for cell in cells), flush=True)


def show_sum(tallies: list[Tally]) -> None:
    faults = [fault for tally in tallies for fault in tally.faults]
    kills = [tally for tally in tallies if tally.how.startswith("SIGKILL")]
    print(
        f"{sum(one.runs - one.too_late for one in kills):,} kills, {sum(one.writing for one in kills):,} of them while "
        f"a file was written; {sum(one.files for one in tallies):,} files compared; lost or wrong: {len(faults):,}"
    )
    for fault in faults:
        print(f"  {fault}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="how many conversions are killed")
    parser.add_argument("--others", type=int, default=5, help="how many are ended in each other way")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    from amass_joints.demo import write_support_data

    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        write_support_data(work / "support_data")
        corpus = make_corpus(work, work / "support_data")
        print(f"Undisturbed: {corpus.seconds:.2f} s, files are written in the last {corpus.writing:.2f} s.", flush=True)
        ordeal = Ordeal(corpus, work / "out", arguments.seed)
        columns = ("runs", "too late", "writing", "left", "files", "lost")
        print(f"{'ended by':30}" + "".join(f"{column:>10}" for column in columns))
        tallies = kill(ordeal, arguments.kills)
        show(tallies)
        for way in (interrupt, interrupt_compiling, limit_file_sizes, fill_disk, take_directory_away, run_two):
            try:
                new = way(ordeal, arguments.others)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                print(f"Left out: {(way.__doc__ or '').splitlines()[0]} ({error})")
            else:
                show(new)
                tallies += new
        show_sum(tallies)
        sys.exit(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    main()
