"""What fuzzing found stays mended: each file in ``crashers/`` gives only what its reader documents.

A file is named after the target of ``fuzzing.py`` that it is for, and what was wrong. The rest is fuzzing as far as it
goes without atheris: on every Python and system, from the same files, with the same changes.
"""

import random
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

import fuzzing
from amass_joints import sequences
from amass_joints.sequences import Skipped, read_sequence
from mutations import Mutator

CRASHERS = sorted((Path(__file__).parent / "crashers").iterdir())


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise TimeoutError

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("crasher", CRASHERS, ids=[crasher.name for crasher in CRASHERS])
def test_what_crashed_once(tmp_path: Path, crasher: Path) -> None:
    fuzzing.check(crasher.name.split("-")[0], crasher.read_bytes(), tmp_path / "file.npz")


def changed(seed: int, data: bytes) -> bytes:
    rng = random.Random(seed)

    def blind(part: bytes) -> bytes:
        at = rng.randrange(len(part) + 1)
        return part[:at] + rng.randbytes(rng.randrange(3)) + part[at + rng.randrange(3) :]

    return Mutator(seed, blind).file(data)


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_changed_files(tmp_path: Path, target: str) -> None:
    seeds = list(fuzzing.SEEDS[target]())
    for number in range(100):
        data = changed(number, seeds[number % len(seeds)])
        assert data == changed(number, seeds[number % len(seeds)])
        fuzzing.check(target, data, tmp_path / "file.npz", memory=False)


@pytest.mark.parametrize(
    ("reads", "error", "says"),
    [
        (Mock(side_effect=KeyError("poses")), KeyError, "poses"),
        (Mock(side_effect=MemoryError), MemoryError, "^$"),
        (Mock(side_effect=RecursionError), RecursionError, "^$"),
        (lambda path: warnings.warn("a cast", RuntimeWarning, stacklevel=1), RuntimeWarning, "a cast"),
        (lambda path: Skipped("why"), fuzzing.Fault, "but also"),
        (
            lambda path: (bytes(fuzzing.MOST_MEMORY), read_sequence(path))[1],
            fuzzing.Fault,
            r"\d+ MB for a file of \d+ ",
        ),
    ],
)
def test_what_a_reader_should_not_do_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reads: Callable[[Path], object],
    error: type[BaseException],
    says: str,
) -> None:
    monkeypatch.setattr(sequences, "read_sequence", reads)
    with pytest.raises(error, match=says):
        fuzzing.check("sequence", next(fuzzing.sequence_seeds()), tmp_path / "file.npz")
