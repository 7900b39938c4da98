"""The output archive: one ``.npz`` per dataset, as Uplift and Upsample and its readers expect it.

``np.load(path, allow_pickle=True)["positions_3d"].item()`` gives::

    {subject: {sequence: {"positions_3d": (frames, joints, 3) float, "frame_rate": float}}}

in metres, world frame, z up. That format holds a pickle. Ours holds nothing in it but dicts, strings, floats and
NumPy arrays, arrays rebuilt in a way that every version of NumPy knows, and :func:`load` accepts nothing else, so
that reading a file with it cannot run code.
"""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from contextlib import ExitStack
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypedDict

import numpy as np
from numpy.lib import format as npy_format

from amass_joints.deflate import DeflatedMember
from amass_joints.errors import InputError
from amass_joints.files import written_whole

if TYPE_CHECKING:
    from jaxtyping import Float


class Positions(TypedDict):
    """One sequence's result."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up."""
    frame_rate: float
    """Hz."""


PositionsTree: TypeAlias = dict[str, dict[str, Positions]]
"""{subject: {sequence: Positions}}"""

_MEMBER = "positions_3d.npy"

CHUNK = 1 << 20
"""Bytes of an array that are deflated at a time."""


def save(path: Path, tree: PositionsTree) -> None:
    """Write one dataset. The file appears under its name when it is complete.

    Raises:
        InputError: it cannot be written.
    """
    with DatasetWriter(path) as writer:
        for subject, sequences in tree.items():
            for name, positions in sequences.items():
                writer.add(subject, name, positions)


class DatasetWriter:
    """Writes one dataset, sequence by sequence, and holds none of them.

    The file appears under its name when the ``with`` statement ends, if there was a sequence, and no error.

    What it writes is the pickle of a zero-dimensional array of one dict, put together from its opcodes: a pickler
    would need the whole dict. Arrays are pickled by NumPy's public names alone: NumPy's own way names its private
    module, which NumPy 2 moved, so what NumPy 2 pickles, older ones cannot load.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = ExitStack()
        self._member: DeflatedMember | None = None
        self._subjects: list[str] = []

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._member is not None and exception[0] is None:
            # Ends the last subject's dict, the dict of subjects, the list that holds it, and the array's state.
            self._member.write(pickle.SETITEMS * 2 + pickle.APPEND + pickle.TUPLE + pickle.BUILD + pickle.STOP)
            with self._open:
                self._member.close()
        else:
            self._open.__exit__(*exception)

    def add(self, subject: str, name: str, positions: Positions) -> None:
        """Write a sequence. Those of a subject follow each other.

        Raises:
            InputError: it cannot be written.
        """
        if self._member is None:
            self._member = self._begin()
        if subject not in self._subjects[-1:]:
            if subject in self._subjects:
                raise ValueError(f"subject '{subject}' comes a second time: sequences of a subject follow each other")
            ends_the_one_before = pickle.SETITEMS if self._subjects else b""
            self._member.write(ends_the_one_before + _opcodes(subject) + pickle.EMPTY_DICT + pickle.MARK)
            self._subjects.append(subject)
        array = np.ascontiguousarray(positions["positions_3d"])
        self._member.write(
            _opcodes(name)
            + pickle.EMPTY_DICT
            + pickle.MARK
            + _opcodes("positions_3d")
            + _array_begins(array)
            + pickle.BINBYTES8
            + struct.pack("<Q", array.nbytes)
        )
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), CHUNK):  # or all of a long sequence would be there deflated, too
            self._member.write(data[start : start + CHUNK])
        frame_rate = _opcodes("frame_rate") + _opcodes(float(positions["frame_rate"]))
        self._member.write(pickle.TUPLE + pickle.BUILD + frame_rate + pickle.SETITEMS)

    def _begin(self) -> DeflatedMember:
        member = DeflatedMember(self._open.enter_context(written_whole(self._path)), _MEMBER)
        header = BytesIO()
        npy_format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
        member.write(header.getvalue())
        member.write(pickle.PROTO + b"\4" + _array_begins(np.empty((), object)) + pickle.EMPTY_LIST)
        member.write(pickle.EMPTY_DICT + pickle.MARK)
        return member


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


def load(path: str | os.PathLike[str]) -> PositionsTree:
    """Read one dataset, safely: no code in the file is run.

    Raises:
        InputError: the file cannot be read, or is no such dataset.
    """
    expected = "expected an .npz of this program or of AMASS-to-3DHPE, with the one array 'positions_3d'"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_MEMBER) as member:
            npy_format.read_magic(member)
            npy_format.read_array_header_1_0(member)
            tree = _Unpickler(member).load()
        return _checked(tree.item() if isinstance(tree, np.ndarray) else tree)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}.") from error
    except KeyError as error:
        raise InputError(f"{os.fspath(path)}: it has no 'positions_3d'; {expected}.") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{os.fspath(path)}: not a dataset of joints ({error}); {expected}.") from error


def _checked(tree: Any) -> PositionsTree:
    for subject in tree.values():
        for sequence in subject.values():
            if not isinstance(sequence["positions_3d"], np.ndarray) or sequence["positions_3d"].dtype.hasobject:
                raise TypeError("positions_3d is not an array of numbers")
            sequence["frame_rate"] = float(sequence["frame_rate"])
    return tree


_REBUILDERS: tuple[Any, ...] = (np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0])
"""NumPy's private functions _reconstruct and scalar, wherever this NumPy has them."""


class _Unpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and scalars, and nothing else that has a name."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # What NumPy's own pickles name; the module moved with NumPy 2.
        **{
            (f"numpy.{core}.multiarray", rebuild.__name__): rebuild
            for core in ("core", "_core")
            for rebuild in _REBUILDERS
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no joints need") from None
