"""AMASS trees: which sequence files there are, and what else.

What lies in a tree (see https://amass.is.tue.mpg.de)::

    AMASS_DIR/DATASET/SUBJECT/SEQUENCE_poses.npz
    AMASS_DIR/DATASET/ANY_INNER_DIRECTORY/SUBJECT/SEQUENCE_poses.npz

The directory that a sequence file lies in is its subject; what stands between that and the dataset is only how
the archive was packed. ``shape.npz``, ``*_stagei.npz`` and whatever else is no sequence is passed over.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from amass_joints.arrays import ArrayFileError, NpzFile
from amass_joints.errors import InputError


@dataclass(frozen=True)
class SkippedSequence:
    """A sequence of a tree that cannot be converted, by name."""

    name: str
    """``dataset/subject/sequence``, or the directory that cannot be read."""
    reason: str


@dataclass(frozen=True)
class SequenceFile:
    """Where a sequence is: dataset, subject and name, and the file."""

    dataset: str
    subject: str
    name: str
    path: Path
    num_bytes: int

    def __str__(self) -> str:
        """Give ``dataset/subject/name``, which ``--only`` is matched against."""
        return f"{self.dataset}/{self.subject}/{self.name}"


@dataclass(frozen=True)
class Dataset:
    """What one dataset directory holds."""

    name: str
    sequences: tuple[SequenceFile, ...]
    """In the order of subject and name."""
    skipped: tuple[SkippedSequence, ...] = ()
    """Files and directories that cannot even be looked at."""
    passed_over: int = 0
    """How many files are no sequences by their names."""
    left_out: int = 0
    """How many sequences were not asked for."""


def as_globs(only: str | Iterable[str]) -> tuple[str, ...]:
    """Make one glob, or any number of them, a tuple."""
    return (only,) if isinstance(only, str) else tuple(only)


def find_datasets(amass_dir: Path, only: tuple[str, ...] = ()) -> list[Dataset]:
    """List the datasets below ``amass_dir`` and their sequence files, in the order of their names.

    Args:
        amass_dir: the directory of the datasets; links are followed.
        only: globs on ``dataset/subject/sequence``; a sequence that matches none is left out. A glob may also name a
            whole dataset or subject. None given: everything.

    Raises:
        InputError: there is no such directory, or not one sequence in it.
    """
    if not amass_dir.is_dir():
        raise InputError(f"{amass_dir}: not a directory. Pass the directory that holds the AMASS datasets.")
    try:
        entries = _entries(amass_dir)
    except OSError as error:
        raise InputError(f"{amass_dir}: the directory cannot be read: {error.strerror}.") from error
    everything = [_look_into(Path(entry.path)) for entry in entries if os.path.isdir(entry.path)]
    if not any(dataset.sequences for dataset in everything):
        misplaced = any(dataset.skipped for dataset in everything)
        raise InputError(
            f"{amass_dir}: no AMASS sequences in the {len(everything)} directories below it: expected "
            f"{amass_dir / 'DATASET' / 'SUBJECT' / 'SEQUENCE_poses.npz'}. "
            + (f"If this is one dataset, pass {amass_dir.parent}." if misplaced else "Pass the directory above it.")
        )
    if not only:
        return everything
    chosen = [chosen for dataset in everything if (chosen := _restrict(dataset, only))]
    if not chosen:
        example = next(dataset.sequences[0] for dataset in everything if dataset.sequences)
        raise InputError(
            f"--only {' '.join(only)}: no sequence of {amass_dir} matches; sequences are named like '{example}'."
        )
    return chosen


def _restrict(dataset: Dataset, only: Iterable[str]) -> Dataset | None:
    patterns = [pattern for glob in only for pattern in (glob, f"{glob.rstrip('/')}/*")]

    def wanted(name: str) -> bool:
        return any(fnmatchcase(candidate, pattern) for candidate in (name, f"{name}/") for pattern in patterns)

    sequences = tuple(file for file in dataset.sequences if wanted(str(file)))
    skipped = tuple(one for one in dataset.skipped if wanted(one.name))
    if not sequences and not skipped:
        return None
    return replace(dataset, sequences=sequences, skipped=skipped, left_out=len(dataset.sequences) - len(sequences))


@dataclass
class _Walk:
    """What a walk through one dataset's directories has found so far."""

    files: list[SequenceFile] = field(default_factory=list)
    skipped: list[SkippedSequence] = field(default_factory=list)
    passed_over: int = 0


def _look_into(directory: Path) -> Dataset:
    walk = _look_through(directory)
    walk.files.sort(key=lambda file: (file.subject, file.name, str(file.path)))
    sequences: list[SequenceFile] = []
    for file in walk.files:
        if sequences and str(sequences[-1]) == str(file):
            taken = f"{file.path} has the same subject and name as {sequences[-1].path}, which is taken"
            walk.skipped.append(SkippedSequence(str(file), taken))
        else:
            sequences.append(file)
    return Dataset(directory.name, tuple(sequences), tuple(walk.skipped), walk.passed_over)


def _look_through(dataset: Path) -> _Walk:
    walk = _Walk()

    def skip(path: Path, reason: str) -> None:
        name = str(path.relative_to(dataset.parent))
        walk.skipped.append(SkippedSequence(name[:-4] if name.lower().endswith(".npz") else name, reason))

    # Directories still to be listed, each with those above it: a link to one of these would lead round for ever.
    waiting = [(dataset, frozenset({_identity(dataset.stat())}))]
    while waiting:
        directory, above = waiting.pop()
        try:
            entries = _entries(directory)
        except OSError as error:
            skip(directory, f"the directory cannot be read: {error.strerror}")
            continue
        for entry in entries:
            path = Path(entry.path)
            candidate = _named_like_a_sequence(entry.name)
            try:
                status = entry.stat()
            except OSError as error:
                if candidate:
                    skip(path, f"cannot be read: {error.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                if _identity(status) not in above:
                    waiting.append((path, above | {_identity(status)}))
            elif not candidate or (directory == dataset and not _has_poses(path)):
                walk.passed_over += 1
            elif directory == dataset:
                skip(path, "it lies in the dataset's own directory, expected DATASET/SUBJECT/SEQUENCE_poses.npz")
            elif not stat.S_ISREG(status.st_mode):
                skip(path, "it is not a regular file")
            else:
                walk.files.append(SequenceFile(dataset.name, directory.name, path.stem, path, status.st_size))
    walk.skipped.sort(key=lambda one: one.name)
    return walk


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """List a directory, hidden entries left out, in the order of names."""
    with os.scandir(directory) as scan:
        return sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _named_like_a_sequence(name: str) -> bool:
    name = name.lower()
    return name.endswith(".npz") and name != "shape.npz" and not name.endswith("_stagei.npz")


def _has_poses(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with NpzFile(path, at_once=False) as npz:
            return "poses" in npz.names
    except ArrayFileError:
        return False
