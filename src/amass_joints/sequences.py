"""AMASS sequences: finding them in a tree, reading one, checking it.

What lies in a tree (see https://amass.is.tue.mpg.de)::

    AMASS_DIR/DATASET/SUBJECT/SEQUENCE_poses.npz
    AMASS_DIR/DATASET/ANY_INNER_DIRECTORY/SUBJECT/SEQUENCE_poses.npz

The directory that a sequence file lies in is its subject; what stands between that and the dataset is only how
the archive was packed. ``shape.npz``, ``*_stagei.npz`` and whatever else is no sequence is passed over.

A sequence file is never trusted: nothing in it is unpickled, and what is wrong with it is a :class:`Skipped`, not
an exception.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from amass_joints.arrays import ArrayFileError, NpzFile
from amass_joints.body_models import GENDERS, NUM_JOINTS
from amass_joints.errors import InputError

FRAME_RATES = (1.0, 10_000.0)
"""Hz; a rate outside is a mistake. (AMASS has 59 to 250.)"""


@dataclass(frozen=True)
class Skipped:
    """A sequence that cannot be converted."""

    reason: str
    """What was found and what was expected, for people."""


@dataclass(frozen=True)
class SkippedSequence:
    """A sequence of a tree that cannot be converted, by name."""

    name: str
    """``dataset/subject/sequence``, or the directory that cannot be read."""
    reason: str


@dataclass(frozen=True)
class NotASequence:
    """A file that is nothing we are after: it holds neither ``poses`` nor ``trans``."""


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


@dataclass(frozen=True)
class SequenceSummary:
    """What a sequence file says of itself, without its motion."""

    frames: int
    frame_rate: float
    """Hz."""
    gender: str
    """Which body model: one of :data:`amass_joints.body_models.GENDERS`."""
    has_dmpls: bool


@dataclass(frozen=True)
class Sequence:
    """One motion, as AMASS gives it. All arrays are finite."""

    poses: Float[np.ndarray, "frames pose_values"]
    """Rotation vectors of all joints, radians; joint 0 is the root."""
    trans: Float[np.ndarray, "frames 3"]
    """Root translation, metres, world frame, z up."""
    betas: Float[np.ndarray, " betas"]
    """Shape coefficients."""
    dmpls: Float[np.ndarray, "frames dmpls"] | None
    """Soft-tissue coefficients; None where the file has none or they are not wanted."""
    gender: str
    """Which body model: one of :data:`amass_joints.body_models.GENDERS`."""
    frame_rate: float
    """Hz."""


# ---------------------------------------------------------------------------------------------- finding


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
        with NpzFile(path) as npz:
            return "poses" in npz.names
    except ArrayFileError:
        return False


# ---------------------------------------------------------------------------------------------- reading


def read_sequence(path: str | os.PathLike[str], *, dmpls: bool = True) -> Sequence | Skipped | NotASequence:
    """Read and check one SMPL+H sequence file.

    Args:
        path: an AMASS ``.npz`` file.
        dmpls: whether soft tissue is wanted.

    Returns:
        The sequence; or why there is none; or that the file is not meant to be one.
    """
    return _read(path, lambda npz: _sequence(npz, dmpls))


def summarise_sequence(path: str | os.PathLike[str]) -> SequenceSummary | Skipped | NotASequence:
    """Check one SMPL+H sequence file by the headers of its arrays, which is quick, and say what is in it."""
    return _read(path, lambda npz: _summary(npz, dmpls=True))


_Content = TypeVar("_Content")


def _read(path: str | os.PathLike[str], reader: Callable[[NpzFile], _Content]) -> _Content | Skipped | NotASequence:
    try:
        with NpzFile(Path(path)) as npz:
            if "poses" not in npz.names and "trans" not in npz.names:
                return NotASequence()
            return reader(npz)
    except (ArrayFileError, _Unusable) as error:
        return Skipped(str(error))


class _Unusable(Exception):
    """The file is whole, but what it says cannot be converted."""


def _sequence(npz: NpzFile, dmpls: bool) -> Sequence:
    summary = _summary(npz, dmpls)
    return Sequence(
        poses=_finite(npz, "poses"),
        trans=_finite(npz, "trans"),
        betas=_finite(npz, "betas").reshape(-1),
        dmpls=_finite(npz, "dmpls") if summary.has_dmpls else None,
        gender=summary.gender,
        frame_rate=summary.frame_rate,
    )


def _summary(npz: NpzFile, dmpls: bool) -> SequenceSummary:
    """Check all that headers and the small arrays can tell, before memory is taken for the large ones."""
    frames, values = _shape(npz, "poses", ("frames", 3 * NUM_JOINTS))
    if values != 3 * NUM_JOINTS:
        known = {165: "an SMPL-X sequence", 72: "an SMPL sequence"}.get(values, "not SMPL+H")
        raise _Unusable(f"{known}: {values} pose values a frame, expected {3 * NUM_JOINTS} (SMPL+H)")
    has_dmpls = dmpls and "dmpls" in npz.names
    others = {"trans": _shape(npz, "trans", ("frames", 3))}
    if has_dmpls:
        others["dmpls"] = _shape(npz, "dmpls", ("frames", 8))
    if others["trans"][1] != 3:
        raise _Unusable(f"array 'trans': {others['trans'][1]} values a frame, expected 3")
    for name, shape in others.items():
        if shape[0] != frames:
            raise _Unusable(f"'poses' has {frames} frames, '{name}' has {shape[0]}")
    if not frames:
        raise _Unusable("it has no frames")
    betas = npz.real_header("betas").shape
    if not betas or math.prod(betas) != betas[-1]:
        raise _Unusable(f"array 'betas': its shape is {betas}, expected (16,)")
    return SequenceSummary(frames, _frame_rate(npz), _gender(npz), has_dmpls)


def _shape(npz: NpzFile, name: str, expected: tuple[str, int]) -> tuple[int, ...]:
    shape = npz.real_header(name).shape
    if len(shape) != 2:
        raise _Unusable(f"array '{name}': its shape is {shape}, expected ({expected[0]}, {expected[1]})")
    return shape


def _finite(npz: NpzFile, name: str) -> Float[np.ndarray, "..."]:
    array = npz.read_float64(name)
    finite = np.isfinite(array)
    if not finite.all():
        where = f", first in frame {int(np.argwhere(~finite)[0, 0])}" if array.ndim == 2 else ""
        raise _Unusable(f"array '{name}': {np.count_nonzero(~finite)} values are not finite{where}")
    return array


def _gender(npz: NpzFile) -> str:
    """Read the gender: text, bytes, or the text that Python makes of bytes, ``b'female'``."""
    array = npz.read("gender")
    if array.size != 1 or array.dtype.kind not in "US":
        raise _Unusable(f"array 'gender': found {array.dtype} of shape {array.shape}, expected one text")
    value = array.reshape(-1)[0]
    text = value.decode("latin1") if isinstance(value, bytes) else str(value)
    gender = text.strip().lower()
    if gender[:2] in ("b'", 'b"') and gender[-1] == gender[1]:
        gender = gender[2:-1]
    if gender not in GENDERS:
        raise _Unusable(f"its gender is {text[:40]!r}, expected {', '.join(GENDERS)}")
    return gender


def _frame_rate(npz: NpzFile) -> float:
    array = _finite(npz, "mocap_framerate")
    if array.size != 1:
        raise _Unusable(f"array 'mocap_framerate': its shape is {array.shape}, expected one number")
    frame_rate = float(array.reshape(-1)[0])
    lowest, highest = FRAME_RATES
    if not lowest <= frame_rate <= highest:
        raise _Unusable(f"its frame rate is {frame_rate:g} Hz, expected {lowest:g} to {highest:g} Hz")
    return frame_rate
