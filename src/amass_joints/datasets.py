"""The output archive: one ``.npz`` per dataset, in one of two formats with the same content.

``npz``, as Uplift and Upsample and its readers expect it: one pickle. ``np.load(path, allow_pickle=True)``
``["positions_3d"].item()`` gives, in metres, world frame, z up::

    {subject: {sequence: {"positions_3d": (frames, joints, 3) float, "frame_rate": float}}}

``npz-flat``, with no pickle in it: every sequence is an array (frames, joints, 3), ``np.load(path)["01/01_01_poses"]``.
The array ``index`` holds JSON, as bytes, which every reader of arrays knows:
``json.loads(np.load(path)["index"].tobytes())`` gives::

    {"format": "amass-joints npz-flat", "version": 1, "units": "metres", "axes": ["frames", "joints", "xyz"], "up": "z",
     "sequences": [{"subject", "sequence", "key", "frame_rate", "frames", "joints"}, ...]}

The index alone says which array is whose: in an array's name, what is not printable stands as ``%0A``.

:func:`load` reads both, and runs no code that is in them (:mod:`.dataset_readers`).
"""

from __future__ import annotations

import json
import math
import os
import pickle
import stat
import struct
from contextlib import ExitStack
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

import numpy as np
from numpy.lib import format as npy_format

from amass_joints.deflate import DeflatedArchive
from amass_joints.errors import InputError
from amass_joints.files import written_whole
from amass_joints.zips import Zip

if TYPE_CHECKING:
    from jaxtyping import Float


class Positions(TypedDict):
    """One sequence's result."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up; float32 or float64."""
    frame_rate: float
    """Hz."""


PositionsTree: TypeAlias = dict[str, dict[str, Positions]]
"""{subject: {sequence: Positions}}"""

Format = Literal["npz", "npz-flat"]
"""How a dataset is written: as one pickle, or as plain arrays."""

PICKLED = "positions_3d"
"""The one array of ``npz``."""

INDEX = "index"
"""The array of ``npz-flat`` that says what the others are."""

INDEX_BEGINS = {"format": "amass-joints npz-flat", "version": 1}

CHUNK = 1 << 20
"""Bytes of an array that are deflated at a time."""

LONGEST_KEY = 1000
"""Characters of an array's name; a zip archive has room for 65,535 bytes."""


def check(array: np.ndarray, frame_rate: float) -> None:
    """See that a sequence is what both formats promise.

    Raises:
        ValueError: it is not.
    """
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise ValueError(f"an array {array.shape} of {array.dtype}, expected (frames, joints, 3) of float32 or float64")
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"a frame rate of {frame_rate} Hz, expected a positive number")


# ----------------------------------------------------------------------------------------------------- writing


def save(path: Path, tree: PositionsTree, format: Format = "npz") -> None:
    """Write one dataset. The file appears under its name when it is complete.

    Raises:
        InputError: it cannot be written.
    """
    with DatasetWriter(path, format) as writer:
        for subject, sequences in tree.items():
            for name, positions in sequences.items():
                writer.add(subject, name, positions)


class DatasetWriter:
    """Writes one dataset, sequence by sequence, and holds none of them. The same content gives the same bytes.

    The file appears under its name when the ``with`` statement ends, if there was a sequence, and no error.
    """

    def __init__(self, path: Path, format: Format = "npz") -> None:
        self._path, self._layout_of = path, FORMATS[format]
        self._open = ExitStack()
        self._layout: _Layout | None = None
        self._subjects: list[str] = []
        self._names: set[str] = set()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._layout is not None and exception[0] is None:
            with self._open:
                self._layout.end()
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
            self._archive = DeflatedArchive(self._open.enter_context(written_whole(self._path)))
            self._layout = self._layout_of(self._archive)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self._layout.add(subject, name, array, frame_rate)


class _Layout(Protocol):
    """How sequences lie in the archive."""

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        """Write a sequence."""

    def end(self) -> None:
        """Write what comes after the last one."""


def _write_array(archive: DeflatedArchive, array: np.ndarray) -> None:
    data = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(data), CHUNK):  # or all of a long sequence would be there deflated, too
        archive.write(data[start : start + CHUNK])


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
        archive.write(_header({"descr": "|O", "fortran_order": False, "shape": ()}))
        archive.write(pickle.PROTO + b"\4" + _array_begins(np.empty((), object)) + pickle.EMPTY_LIST)
        archive.write(pickle.EMPTY_DICT + pickle.MARK)

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        if subject != self._subject:
            ends_the_one_before = b"" if self._subject is None else pickle.SETITEMS
            self._archive.write(ends_the_one_before + _opcodes(subject) + pickle.EMPTY_DICT + pickle.MARK)
            self._subject = subject
        self._archive.write(
            _opcodes(name)
            + pickle.EMPTY_DICT
            + pickle.MARK
            + _opcodes("positions_3d")
            + _array_begins(array)
            + pickle.BINBYTES8
            + struct.pack("<Q", array.nbytes)
        )
        _write_array(self._archive, array)
        frame_rate_too = _opcodes("frame_rate") + _opcodes(frame_rate)
        self._archive.write(pickle.TUPLE + pickle.BUILD + frame_rate_too + pickle.SETITEMS)

    def end(self) -> None:
        # Ends the last subject's dict, the dict of subjects, the list that holds it, and the array's state.
        self._archive.write(pickle.SETITEMS * 2 + pickle.APPEND + pickle.TUPLE + pickle.BUILD + pickle.STOP)
        self._archive.end()


def _array_begins(array: np.ndarray) -> bytes:
    """Give the opcodes that make an empty array, and begin the tuple of its state, which ends with its data.

    (The state: see the source of ``ndarray.__setstate__``; version, shape, dtype, whether in Fortran's order, data.)
    """
    state = _opcodes(1) + _opcodes(array.shape) + _opcodes(array.dtype) + _opcodes(False)
    return _opcodes(np.ndarray) + _opcodes(((0,), "b")) + pickle.REDUCE + pickle.MARK + state


@lru_cache(maxsize=1024, typed=True)
def _opcodes(value: Any) -> bytes:
    """Give the opcodes that put a value on the unpickler's stack: its pickle, without what begins and ends one."""
    return pickle.dumps(value, protocol=3)[2:-1]


class _Flat:
    """An array for each sequence, and the index."""

    def __init__(self, archive: DeflatedArchive) -> None:
        self._archive = archive
        self._sequences: list[dict[str, object]] = []

    def add(self, subject: str, name: str, array: Float[np.ndarray, "frames joints 3"], frame_rate: float) -> None:
        key = _key(subject, name, len(self._sequences))
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
        self._write(key, array)

    def end(self) -> None:
        index = {**INDEX_BEGINS, "units": "metres", "axes": ["frames", "joints", "xyz"], "up": "z"}
        self._write(INDEX, np.frombuffer(json.dumps({**index, "sequences": self._sequences}).encode(), np.uint8))

    def _write(self, key: str, array: np.ndarray) -> None:
        self._archive.begin(f"{key}.npy")
        self._archive.write(_header(npy_format.header_data_from_array_1_0(array)))
        _write_array(self._archive, array)
        self._archive.end()


def _key(subject: str, name: str, number: int) -> str:
    """Name the array of a sequence, which no other one is named like.

    In names, ``%`` stands before two hexadecimal digits, but for one that was too long.
    """
    key = f"{_escaped(subject)}/{_escaped(name)}"
    if key.endswith(".npy"):  # which NumPy takes for the member's name, and not the array's
        key = key.removesuffix(".npy") + "%2Enpy"
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}%...{number}"


def _escaped(name: str) -> str:
    if name in (".", ".."):  # where archives are unpacked, these lead elsewhere
        return "%2E" * len(name)
    # zipfile has its own ideas of backslashes, on Windows.
    return "".join(c if c.isprintable() and c not in "%/\\" else _percent(c) for c in name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _header(data: dict[str, Any]) -> bytes:
    header = BytesIO()
    npy_format.write_array_header_1_0(header, data)
    return header.getvalue()


FORMATS: dict[Format, type[_Pickled | _Flat]] = {"npz": _Pickled, "npz-flat": _Flat}
"""The formats, and how their archives are laid out."""


# ----------------------------------------------------------------------------------------------------- reading


def load(path: str | os.PathLike[str]) -> PositionsTree:
    """Read one dataset in either format, safely: no code in the file is run.

    Returns:
        ``{subject: {sequence: {"positions_3d": (frames, joints, 3) float32 or float64, "frame_rate": Hz}}}``, positions
        in metres, world frame, z up, in the order of the file.

    Raises:
        InputError: the file cannot be read, or is no such dataset, or promises more than it can hold.
    """
    # Not imported above: converting does without.
    from amass_joints.dataset_readers import read

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise InputError(f"{os.fspath(path)}: cannot be read: it is no regular file.")
        return read(Path(path))
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
    """Say which format a file is in, by what its zip directory lists; None where it is neither, or is truncated."""
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
    if names == {f"{PICKLED}.npy"}:
        return "npz"
    others = names - {f"{INDEX}.npy"}
    is_flat = others and len(others) < len(names) and all("/" in name and name.endswith(".npy") for name in others)
    return "npz-flat" if is_flat else None
