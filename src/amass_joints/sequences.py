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

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

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
class NotASequence:
    """A file that is nothing we are after."""


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
    skipped: tuple[tuple[str, Skipped], ...] = ()
    """Files and directories that cannot even be looked at, by their names in the tree."""
    passed_over: int = 0
    """How many files are no sequences by their names."""


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


def find_datasets(amass_dir: Path, only: Iterable[str] = ()) -> list[Dataset]:
    """List the datasets below ``amass_dir`` and their sequence files, in the order of their names.

    Args:
        amass_dir: the directory of the datasets; links are followed.
        only: globs on ``dataset/subject/sequence``; a sequence that matches none is left out. A glob may also name a
            whole dataset or subject. None given: everything.

    Raises:
        InputError: there is no such directory, or not one sequence in it.
    """
    if not amass_dir.is_dir():
        raise InputError(
            f"{amass_dir}: not a directory. Pass the directory that holds the AMASS datasets (--amass-dir)."
        )
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
            + (
                f"If this is a single dataset, pass {amass_dir.parent}."
                if misplaced
                else "Pass the directory above them."
            )
        )
    if not only:
        return everything
    chosen = [_restrict(dataset, only) for dataset in everything]
    if not any(dataset.sequences for dataset in chosen):
        example = next(dataset.sequences[0] for dataset in everything if dataset.sequences)
        raise InputError(
            f"--only {' '.join(only)}: no sequence of {amass_dir} matches; sequences are named like '{example}'."
        )
    return [dataset for dataset in chosen if dataset.sequences]


def _restrict(dataset: Dataset, only: Iterable[str]) -> Dataset:
    patterns = [pattern for glob in only for pattern in (glob, f"{glob.rstrip('/')}/*")]
    chosen = [file for file in dataset.sequences if any(fnmatchcase(str(file), pattern) for pattern in patterns)]
    return Dataset(dataset.name, tuple(chosen))


@dataclass
class _Walk:
    """What a walk through one dataset's directories has found so far."""

    files: list[SequenceFile] = field(default_factory=list)
    skipped: list[tuple[str, Skipped]] = field(default_factory=list)
    passed_over: int = 0


def _look_into(directory: Path) -> Dataset:
    walk = _Walk()
    _walk_into(directory, directory, walk)
    walk.files.sort(key=lambda file: (file.subject, file.name, str(file.path)))
    sequences: list[SequenceFile] = []
    for file in walk.files:
        if sequences and str(sequences[-1]) == str(file):
            walk.skipped.append(
                (
                    str(file),
                    Skipped(f"{file.path} has the same subject and name as {sequences[-1].path}, which is converted"),
                )
            )
        else:
            sequences.append(file)
    return Dataset(directory.name, tuple(sequences), tuple(walk.skipped), walk.passed_over)


def _walk_into(directory: Path, dataset: Path, walk: _Walk, above: frozenset[tuple[int, int]] = frozenset()) -> None:
    def skip(path: Path, reason: str) -> None:
        walk.skipped.append((str(path.relative_to(dataset.parent).with_suffix("")), Skipped(reason)))

    try:
        entries = _entries(directory)
    except OSError as error:
        return skip(directory, f"the directory cannot be read: {error.strerror}")
    for entry in entries:
        path = Path(entry.path)
        candidate = _named_like_a_sequence(entry.name)
        try:
            status = entry.stat()
        except OSError as error:
            if candidate:
                skip(path, f"cannot be read: {error.strerror}")
            continue
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if identity not in above:  # a link to a directory above it would lead round for ever
                _walk_into(path, dataset, walk, above | {identity})
        elif not candidate or (directory == dataset and not _has_poses(path)):
            walk.passed_over += 1
        elif directory == dataset:
            skip(path, "it lies in the dataset's own directory, expected DATASET/SUBJECT/SEQUENCE_poses.npz")
        elif not stat.S_ISREG(status.st_mode):
            skip(path, "it is not a regular file")
        else:
            walk.files.append(SequenceFile(dataset.name, directory.name, path.stem, path, status.st_size))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """List a directory, hidden entries left out, in the order of names."""
    with os.scandir(directory) as scan:
        return sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)


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
    """
    try:
        with NpzFile(Path(path)) as npz:
            if "poses" not in npz.names and "trans" not in npz.names:
                return NotASequence()
            return _checked(npz, dmpls)
    except (ArrayFileError, _Unusable) as error:
        return Skipped(str(error))


class _Unusable(Exception):
    """The file is whole, but what it says cannot be converted."""


def _checked(npz: NpzFile, dmpls_wanted: bool) -> Sequence:
    poses = _per_frame(npz, "poses")
    if poses.shape[1] != 3 * NUM_JOINTS:
        known = {165: "an SMPL-X sequence", 72: "an SMPL sequence"}.get(poses.shape[1], "not SMPL+H")
        raise _Unusable(f"{known}: {poses.shape[1]} pose values a frame, expected {3 * NUM_JOINTS} (SMPL+H)")
    trans = _per_frame(npz, "trans")
    if trans.shape[1] != 3:
        raise _Unusable(f"array 'trans': {trans.shape[1]} values a frame, expected 3")
    dmpls = _per_frame(npz, "dmpls") if dmpls_wanted and "dmpls" in npz.names else None
    for name, array in (("trans", trans), ("dmpls", dmpls)):
        if array is not None and len(array) != len(poses):
            raise _Unusable(f"'poses' has {len(poses)} frames, '{name}' has {len(array)}")
    if not len(poses):
        raise _Unusable("it has no frames")
    return Sequence(poses, trans, _betas(npz), dmpls, _gender(npz), _frame_rate(npz))


def _per_frame(npz: NpzFile, name: str) -> Float[np.ndarray, "frames values"]:
    array = _finite(npz, name)
    if array.ndim != 2:
        raise _Unusable(f"array '{name}': its shape is {array.shape}, expected (frames, values)")
    return array


def _finite(npz: NpzFile, name: str) -> Float[np.ndarray, "..."]:
    array = npz.read_float64(name)
    finite = np.isfinite(array)
    if not finite.all():
        where = f", first in frame {int(np.argwhere(~finite)[0, 0])}" if array.ndim == 2 else ""
        raise _Unusable(f"array '{name}': {np.count_nonzero(~finite)} values are not finite{where}")
    return array


def _betas(npz: NpzFile) -> Float[np.ndarray, " betas"]:
    betas = _finite(npz, "betas")
    if betas.ndim == 0 or betas.size != betas.shape[-1]:
        raise _Unusable(f"array 'betas': its shape is {betas.shape}, expected (betas,)")
    return betas.reshape(-1)


def _gender(npz: NpzFile) -> str:
    """Read the gender: text, bytes, or the text that Python makes of bytes, ``b'female'``."""
    array = npz.read("gender")
    if array.size != 1 or array.dtype.kind not in "US":
        raise _Unusable(f"array 'gender': found {array.dtype} of shape {array.shape}, expected one text")
    value = array.reshape(-1)[0]
    text = value.decode("latin1") if isinstance(value, bytes) else str(value)
    gender = text.strip("\0 \t\r\n").lower()
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
