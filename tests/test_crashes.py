"""Runs that are ended before their time: ``crashes.py``, but shorter; and the temporary files that they leave."""

import errno
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import crashes
from amass_joints import files
from amass_joints.errors import InputError
from amass_joints.files import check_target, check_writable, remove_leftovers, written_whole


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, support_data: Path) -> crashes.Corpus:
    return crashes.make_corpus(tmp_path_factory.mktemp("corpus"), support_data, datasets=4, sequences=4, frames=600)


@pytest.fixture
def ordeal(corpus: crashes.Corpus, tmp_path: Path) -> crashes.Ordeal:
    return crashes.Ordeal(corpus, tmp_path / "out")


def assert_nothing_lost(tallies: list[crashes.Tally]) -> None:
    assert [fault for tally in tallies for fault in tally.faults] == []
    assert sum(tally.files for tally in tallies) > 0


def test_kills(ordeal: crashes.Ordeal) -> None:
    assert_nothing_lost(crashes.kill(ordeal, 8))


def test_interrupts(ordeal: crashes.Ordeal) -> None:
    assert_nothing_lost(crashes.interrupt(ordeal, 1))


def test_two_at_once(ordeal: crashes.Ordeal) -> None:
    assert_nothing_lost(crashes.run_two(ordeal, 1))


def test_a_full_disk_and_one_that_is_read_only(ordeal: crashes.Ordeal) -> None:
    try:
        assert_nothing_lost(crashes.fill_disk(ordeal, 1))
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"no disk can be mounted: {error}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_is_read_only(ordeal: crashes.Ordeal) -> None:
    ordeal.out.mkdir()
    ordeal.out.chmod(0o555)
    tally = crashes.Tally("read-only")
    crashes.fail(ordeal, tally, "Permission denied")
    assert (tally.faults, tally.too_late) == ([], 0)
    ordeal.out.chmod(0o755)


def test_writing_that_fails(ordeal: crashes.Ordeal) -> None:
    """At the first byte, in the middle, and at the very last byte of a file."""
    size = min(map(len, ordeal.corpus.outputs.values()))
    tally = crashes.Tally("a limit of file sizes")
    for limit in (1, size // 2, size - 1):
        crashes.fail(ordeal, tally, "File too large", limit=limit)
    ordeal.finish(tally)
    assert (tally.faults, tally.too_late) == ([], 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupt_while_the_kernel_is_compiled(ordeal: crashes.Ordeal, tmp_path: Path) -> None:
    tally = crashes.Tally("compiling")
    process = ordeal.start(cache=tmp_path / "cache")
    while "numba" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert re.fullmatch(r"Interrupted by SIGTERM\. .*\n", crashes.wait_for_the_end(process, tally))
    assert process.returncode == 143
    assert tally.faults == []
    assert not list(ordeal.out.iterdir())


def test_a_hangup_that_is_ignored_stays_so(ordeal: crashes.Ordeal) -> None:
    """As under nohup."""
    tally = crashes.Tally("nohup")
    process = ordeal.start(ignored=signal.SIGHUP)
    ordeal.in_writing(process)
    os.killpg(process.pid, signal.SIGHUP)
    assert crashes.wait_for_the_end(process, tally) == ""
    assert process.returncode == 0
    ordeal.check(tally)
    assert (tally.faults, tally.left) == ([], 0)


def test_a_second_signal_does_not_disturb_what_the_first_one_does() -> None:
    script = """
import os, signal
from amass_joints import interrupts
interrupts.remove_unfinished = lambda: os.kill(os.getpid(), signal.SIGHUP) or print("removed", flush=True)
interrupts.end_on_signals()
os.kill(os.getpid(), signal.SIGTERM)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 143
    assert result.stdout == "removed\n"
    assert result.stderr == "Interrupted by SIGTERM. What was finished is complete; nothing is half-written.\n"


def test_an_interrupt_brings_the_cursor_back(ordeal: crashes.Ordeal) -> None:
    """The progress bar hides it."""
    ours, theirs = pty.openpty()
    command = ["convert", "--amass-dir", ordeal.corpus.amass_dir, "--joint-regressor", ordeal.corpus.regressor]
    with subprocess.Popen(
        [sys.executable, "-m", "amass_joints", *command, "--out-dir", ordeal.out],
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = b""
        while b"\x1b[?25l" not in shown and (piece := _read(ours)):  # before the first sequence
            shown += piece
        process.send_signal(signal.SIGINT)
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    assert process.returncode == 130
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0
    assert shown.endswith(b"nothing is half-written.\r\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # as Linux has it when nobody has the other end any more
        return b""


# ------------------------------------------------------------------------------------------------ temporary files


WRITER = """
import sys, time
from pathlib import Path
from amass_joints.files import written_whole
with written_whole(Path(sys.argv[1])) as stream:
    stream.write(b"some")
    stream.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(path: Path) -> "subprocess.Popen[bytes]":
    """Begin a process that writes a file, until its standard input ends."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_leftovers_are_taken_away_but_not_those_of_whom_is_alive(tmp_path: Path) -> None:
    with writer(tmp_path / "CMU.npz") as killed, writer(tmp_path / "CMU.npz") as alive:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        remove_leftovers(tmp_path)
        (left,) = tmp_path.iterdir()
        assert re.fullmatch(r"\.CMU\.npz\.[0-9a-f]{8}\.amass-joints", left.name)
        alive.communicate()
        assert alive.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["CMU.npz"]
    assert (tmp_path / "CMU.npz").read_bytes() == b"some"


def write(path: Path) -> None:
    with written_whole(path) as stream:
        stream.write(b"whole")


@pytest.mark.parametrize(
    "next_one",
    [
        check_writable,
        lambda directory: check_target(directory / "report.json"),
        lambda directory: write(directory / "KIT.npz"),
    ],
)
def test_who_writes_next_takes_leftovers_away(tmp_path: Path, next_one: Any) -> None:
    leftover = tmp_path / ".CMU.npz.0123abcd.amass-joints"
    leftover.write_bytes(b"some")
    next_one(tmp_path)
    assert not leftover.exists()


def test_a_disk_that_is_full_is_noticed_before_the_run(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # which takes names, too, and no bytes
    try:
        with pytest.raises(InputError, match=r"cannot be written to: File too large\. Pass a directory that can"):
            check_target(tmp_path / "CMU.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_only_what_is_a_temporary_file_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / ".CMU.npz.0123abcd.amass-joints").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".directory.0123abcd.amass-joints").mkdir()
    os.mkfifo(tmp_path / ".pipe.0123abcd.amass-joints")
    for name in ("CMU.npz", ".CMU.npz.0123abcd", ".CMU.npz.amass-joints", "CMU.npz.0123abcd.amass-joints"):
        (tmp_path / name).touch()
    before = sorted(tmp_path.iterdir())
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "nowhere")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("when", ["before it is locked", "while it is locked by who takes it away"])
def test_a_file_that_is_taken_away_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    lock, locked = files._lock, []

    def lock_too_late(stream: Any) -> bool:
        if not locked:
            remove_leftovers(tmp_path)
        locked.append(stream.name)
        return lock(stream) and (len(locked) > 1 or when.startswith("before"))

    monkeypatch.setattr(files, "_lock", lock_too_late)
    write(tmp_path / "CMU.npz")
    assert len(set(locked)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["CMU.npz"]
    assert (tmp_path / "CMU.npz").read_bytes() == b"whole"


def test_without_locks_files_are_written_and_leftovers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", fail)
    leftover = tmp_path / ".CMU.npz.0123abcd.amass-joints"
    leftover.touch()
    write(tmp_path / "CMU.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [leftover.name, "CMU.npz"]


def test_an_error_is_not_covered_up_by_a_disk_that_is_full(tmp_path: Path) -> None:
    """What is in the buffer then must not be written, which would fail."""

    def write_until_interrupted() -> None:
        with written_whole(tmp_path / "CMU.npz") as stream:
            stream.write(b"some")
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            raise KeyboardInterrupt

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_until_interrupted()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_an_error_about_another_file_is_not_taken_for_one_in_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="model"), written_whole(tmp_path / "report.json"):
        (tmp_path / "model.npz").read_bytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n" * 250, "ü" * 120])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    check_target(tmp_path / name)
    write(tmp_path / name)
    with pytest.raises(InputError, match="File name too long"):
        check_target(tmp_path / (2 * name))
