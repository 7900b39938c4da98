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
import zipfile
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypedDict

import numpy as np
from jaxtyping import Float
from numpy.lib import format as npy_format

from amass_joints.errors import InputError
from amass_joints.files import written_whole


class Positions(TypedDict):
    """One sequence's result."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up."""
    frame_rate: float
    """Hz."""


PositionsTree: TypeAlias = dict[str, dict[str, Positions]]
"""{subject: {sequence: Positions}}"""

_MEMBER = "positions_3d.npy"


def save(path: Path, tree: PositionsTree) -> None:
    """Write one dataset. The file appears under its name when it is complete.

    Raises:
        InputError: it cannot be written.
    """
    as_array = np.empty((), object)
    as_array[()] = tree
    with (
        written_whole(path) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        # The member has no time of its own (ZipInfo's default is 1980), so that the same joints give the same bytes.
        archive.open(zipfile.ZipInfo(_MEMBER), "w", force_zip64=True) as member,
    ):
        npy_format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickler = _Pickler(member, protocol=4)
        pickler.fast = True  # no memo, which would keep a copy of every array until the end
        pickler.dump(as_array)


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


class _Pickler(pickle.Pickler):
    """Pickles arrays by public names alone.

    NumPy's own way names its private module, which NumPy 2 moved: what NumPy 2 pickles, older ones cannot load.
    """

    def reducer_override(self, thing: Any) -> Any:
        if type(thing) is not np.ndarray:
            return NotImplemented
        return np.ndarray, ((0,), "b"), thing.__reduce__()[2]


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
