"""The output archive: one ``.npz`` per dataset, in one of three formats with the same content.

``npz``, as Uplift and Upsample and its readers expect it: one pickle. ``np.load(path, allow_pickle=True)``
``["positions_3d"].item()`` gives, in metres, world frame, z up::

    {subject: {sequence: {"positions_3d": (frames, joints, 3) float, "frame_rate": float}}}

``npz-flat``, with no pickle in it: every sequence is an array (frames, joints, 3), ``np.load(path)["01/01_01_poses"]``.
The array ``index`` holds JSON, as bytes, which every reader of arrays knows:
``json.loads(np.load(path)["index"].tobytes())`` gives::

    {"format": "amass-joints npz-flat", "version": 1, "units": "metres", "axes": ["frames", "joints", "xyz"], "up": "z",
     "sequences": [{"subject", "sequence", "key", "frame_rate", "frames", "joints"}, ...]}

The index alone says which array is whose: in an array's name, what is not printable stands as ``%0A``.

``npz-stored`` is ``npz-flat`` that is not compressed: its arrays can be mapped into memory where they lie in the file.

All of them say what their joints are (:mod:`.metadata`): ``npz`` in arrays beside the pickle, the others in the index.
:func:`load` reads them, and runs no code that is in them (:mod:`.dataset_readers`).
"""

from __future__ import annotations

import json
import math
import os
import pickle
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

import numpy as np

from amass_joints.deflate import DeflatedArchive
from amass_joints.errors import InputError
from amass_joints.files import written_whole
from amass_joints.metadata import NAMES, Metadata
from amass_joints.npz_writing import array_begins, array_key, npy_header, opcodes, write_array, write_member
from amass_joints.zips import Zip

if TYPE_CHECKING:
    from jaxtyping import Float


class Positions(TypedDict):
    """One sequence's result."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up; float32 or float64."""
    frame_rate: float
    """Hz."""


@dataclass(frozen=True)
class StoredSequence:
    """Where a sequence lies in a file of ``npz-stored``."""

    subject: str
    name: str
    shape: tuple[int, ...]
    """(frames, joints, 3)"""
    dtype: np.dtype[np.generic]
    """float32 or float64."""
    frame_rate: float
    """Hz."""
    place: int
    """Where in the file its positions begin, in C's order and the machine's byte order."""


PositionsTree: TypeAlias = dict[str, dict[str, Positions]]
"""{subject: {sequence: Positions}}"""

Format = Literal["npz", "npz-flat", "npz-stored"]
"""How a dataset is written: as one pickle, or as plain arrays, or as those, but not compressed."""

PICKLED = "positions_3d"
"""The one array of ``npz``."""

INDEX = "index"
"""The array of ``npz-flat`` and ``npz-stored`` that says what the others are."""

INDEX_BEGINS = {"format": "amass-joints npz-flat", "version": 1}


def check(array: np.ndarray, frame_rate: float) -> None:
    """See that a sequence is what all formats promise.

    Raises:
        ValueError: it is not.
    """
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise ValueError(f"an array {array.shape} of {array.dtype}, expected (frames, joints, 3) of float32 or float64")
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"a frame rate of {frame_rate} Hz, expected a positive number")


# ----------------------------------------------------------------------------------------------------- writing


def save(path: Path, tree: PositionsTree, format: Format = "npz", metadata: Metadata = Metadata()) -> None:
    """Write one dataset. The file appears under its name when it is complete.

    Raises:
        InputError: it cannot be written.
    """
    with DatasetWriter(path, format, metadata) as writer:
        for subject, sequences in tree.items():
            for name, positions in sequences.items():
                writer.add(subject, name, positions)


class DatasetWriter:
    """Writes one dataset, sequence by sequence, and holds none of them. The same content gives the same bytes.

    The file appears under its name when the ``with`` statement ends, if there was a sequence, and no error.
    """

    def __init__(self, path: Path, format: Format = "npz", metadata: Metadata = Metadata()) -> None:
        self.metadata = metadata
        """What the file says of itself in the end; may be put in until then."""
        self._path, self._layout_of, self._stored = path, FORMATS[format], format == "npz-stored"
        self._open = ExitStack()
        self._layout: _Layout | None = None
        self._subjects: list[str] = []
        self._names: set[str] = set()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._layout is not None and exception[0] is None:
            with self._open:
                self._layout.end(self.metadata)
                self._archive.close()
        else:
            self._open.__exit__(*exception)

    def add(self, subject: str, name: str, positions: Positions) -> None:
        """Write a sequence. Those of a subject follow each other.

        Raises:
            InputError: it cannot be written.
            ValueError: it is not what a dataset holds, or in a wrong place, or there already.
        """
        array, frame_rate = np.asarray(positions["positions_3d"]), float(positions["frame_rate"])
        check(array, frame_rate)
        if subject not in self._subjects[-1:]:
            if subject in self._subjects:
                raise ValueError(f"subject {subject!r} comes a second time: sequences of a subject follow each other")
            self._subjects.append(subject)
            self._names.clear()
        if name in self._names:
            raise ValueError(f"subject {subject!r} has two sequences {name!r}")
        self._names.add(name)
        if self._layout is None:
            stream = self._open.enter_context(written_whole(self._path))
            self._archive = DeflatedArchive(stream, stored=self._stored)
            self._layout = self._layout_of(self._archive)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self._layout.add(subject, name, array, frame_rate)


class _Layout(Protocol):
    """How sequences lie in the archive."""

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        """Write a sequence."""

    def end(self, metadata: Metadata) -> None:
        """Write what comes after the last one."""


class _Pickled:
    """One pickle, of a zero-dimensional array of one dict.

    It is put together from its opcodes: a pickler would need the whole dict. Arrays are pickled by NumPy's public
    names alone: NumPy's own way names its private module, which NumPy 2 moved, so what NumPy 2 pickles, older ones
    cannot load.
    """

    def __init__(self, archive: DeflatedArchive) -> None:
        self._archive = archive
        self._subject: str | None = None
        archive.begin(f"{PICKLED}.npy")
        archive.write(npy_header({"descr": "|O", "fortran_order": False, "shape": ()}))
        archive.write(pickle.PROTO + b"\4" + array_begins(np.empty((), object)) + pickle.EMPTY_LIST)
        archive.write(pickle.EMPTY_DICT + pickle.MARK)

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        if subject != self._subject:
            ends_the_one_before = b"" if self._subject is None else pickle.SETITEMS
            self._archive.write(ends_the_one_before + opcodes(subject) + pickle.EMPTY_DICT + pickle.MARK)
            self._subject = subject
        self._archive.write(
            opcodes(name)
            + pickle.EMPTY_DICT
            + pickle.MARK
            + opcodes("positions_3d")
            + array_begins(array)
            + pickle.BINBYTES8
            + struct.pack("<Q", array.nbytes)
        )
        write_array(self._archive, array)
        frame_rate_too = opcodes("frame_rate") + opcodes(frame_rate)
        self._archive.write(pickle.TUPLE + pickle.BUILD + frame_rate_too + pickle.SETITEMS)

    def end(self, metadata: Metadata) -> None:
        # Ends the last subject's dict, the dict of subjects, the list that holds it, and the array's state.
        self._archive.write(pickle.SETITEMS * 2 + pickle.APPEND + pickle.TUPLE + pickle.BUILD + pickle.STOP)
        self._archive.end()
        for name, entry in metadata.entries().items():
            text = json.dumps(entry) if isinstance(entry, dict) else entry
            array = np.array(text)
            write_member(self._archive, name, array.astype(array.dtype.newbyteorder("<")))


class _Flat:
    """An array for each sequence, and the index. Whether they are compressed is the archive's matter."""

    def __init__(self, archive: DeflatedArchive) -> None:
        self._archive = archive
        self._sequences: list[dict[str, object]] = []

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        key = array_key(subject, name, len(self._sequences))
        frames, joints, _ = array.shape
        self._sequences.append(
            {
                "subject": subject,
                "sequence": name,
                "key": key,
                "frame_rate": frame_rate,
                "frames": frames,
                "joints": joints,
            }
        )
        write_member(self._archive, key, array)

    def end(self, metadata: Metadata) -> None:
        index = {**INDEX_BEGINS, "axes": ["frames", "joints", "xyz"], **metadata.entries()}
        text = json.dumps({**index, "sequences": self._sequences})
        write_member(self._archive, INDEX, np.frombuffer(text.encode(), np.uint8))


FORMATS: dict[Format, type[_Pickled | _Flat]] = {"npz": _Pickled, "npz-flat": _Flat, "npz-stored": _Flat}
"""The formats, and how their archives are laid out."""


# ----------------------------------------------------------------------------------------------------- reading


def load(path: str | os.PathLike[str]) -> PositionsTree:
    """Read one dataset in any of the formats, safely: no code in the file is run.

    Returns:
        ``{subject: {sequence: {"positions_3d": (frames, joints, 3) float32 or float64, "frame_rate": Hz}}}``, positions
        in metres, world frame, z up, unless its metadata says otherwise, in the order of the file.

    Raises:
        InputError: the file cannot be read, or is no such dataset, or promises more than it can hold.
    """
    # Not imported above: converting does without.
    from amass_joints.dataset_readers import read

    with _readable(path):
        return read(Path(path))


def iterate(path: str | os.PathLike[str]) -> Iterator[tuple[str, str, Positions]]:
    """Read one dataset as :func:`load` does, sequence by sequence: subject, name, positions.

    Of ``npz-flat`` and ``npz-stored``, one sequence is in memory at a time. An ``npz`` is read whole first.

    Raises:
        InputError: as :func:`load`, also in the middle.
    """
    from amass_joints.dataset_readers import sequences

    with _readable(path):
        yield from sequences(Path(path))


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """Read what a dataset says of itself, and nothing of its motions.

    Raises:
        InputError: as :func:`load`.
    """
    from amass_joints.dataset_readers import metadata_of

    with _readable(path):
        return metadata_of(Path(path))


def stored_sequences(path: str | os.PathLike[str]) -> list[StoredSequence] | None:
    """Say where in the file of a dataset its sequences lie, to be mapped into memory; None where they cannot be.

    Raises:
        InputError: as :func:`load`.
    """
    from amass_joints import dataset_readers

    with _readable(path):
        return dataset_readers.stored_sequences(Path(path))


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn everything that a file can do wrong into an error for people."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise InputError(f"{os.fspath(path)}: cannot be read: it is no regular file.")
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise InputError(f"{os.fspath(path)}: there is not enough memory to read it.") from error
    except Exception as error:  # a damaged archive can raise anything
        raise InputError(
            f"{os.fspath(path)}: not a dataset of joints ({_reason(error)}); expected an .npz of this program or of "
            "AMASS-to-3DHPE."
        ) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if not text or isinstance(error, (LookupError, TypeError, AttributeError)):  # whose text says little alone
        text = f"damaged: {type(error).__name__} {text}"
    line = text.splitlines()[0][:300]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """Say which format a file is in, by what its zip directory lists; None where it is none, or is truncated."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            members = Zip(file).members
    except Exception:  # a damaged directory can raise anything
        return None
    names = {member.filename for member in members}
    # What lost bytes in the middle has its members earlier than its directory says.
    if not members or len(names) < len(members) or members[0].header_offset != 0:
        return None
    if f"{PICKLED}.npy" in names:
        return "npz" if names <= {f"{name}.npy" for name in (PICKLED, *NAMES)} else None
    others = names - {f"{INDEX}.npy"}
    if not (others and len(others) < len(names) and all("/" in name and name.endswith(".npy") for name in others)):
        return None
    return "npz-flat" if members[0].compress_type else "npz-stored"
