"""Arrays as bytes, as they are written: members of an ``.npz``, and what a pickle says of an array.

Nothing is written whole: what is large goes by in pieces of :data:`CHUNK`.
"""

from __future__ import annotations

import pickle
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from amass_joints.deflate import DeflatedArchive

CHUNK = 1 << 20
"""Bytes of an array that are deflated at a time."""

LONGEST_KEY = 1000
"""Characters of an array's name; a zip archive has room for 65,535 bytes."""


def write_member(archive: DeflatedArchive, name: str, array: np.ndarray) -> None:
    """Write an array, in C's order, as the member that NumPy knows by this name."""
    archive.begin(f"{name}.npy")
    archive.write(npy_header(npy_format.header_data_from_array_1_0(array)))
    write_array(archive, array)
    archive.end()


def write_array(archive: DeflatedArchive, array: np.ndarray) -> None:
    """Write the values of an array, in C's order, into the member that was begun."""
    data = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(data), CHUNK):  # or all of a long sequence would be there deflated, too
        archive.write(data[start : start + CHUNK])


def array_begins(array: np.ndarray) -> bytes:
    """Give the opcodes that make an empty array, and begin the tuple of its state, which ends with its data.

    (The state: see the source of ``ndarray.__setstate__``; version, shape, dtype, whether in Fortran's order, data.)
    """
    state = opcodes(1) + opcodes(array.shape) + opcodes(array.dtype) + opcodes(False)
    return opcodes(np.ndarray) + opcodes(((0,), "b")) + pickle.REDUCE + pickle.MARK + state


@lru_cache(maxsize=1024, typed=True)
def opcodes(value: Any) -> bytes:
    """Give the opcodes that put a value on the unpickler's stack: its pickle, without what begins and ends one."""
    return pickle.dumps(value, protocol=3)[2:-1]


def array_key(subject: str, name: str, number: int) -> str:
    """Name the array of a sequence, which no other one is named like.

    In names, ``%`` stands before two hexadecimal digits, but for one that was too long.
    """
    key = f"{escaped(subject)}/{escaped(name)}"
    if key.endswith(".npy"):  # which NumPy takes for the member's name, and not the array's
        key = key.removesuffix(".npy") + "%2Enpy"
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}%...{number}"


def escaped(name: str) -> str:
    """Give a name as a path may have it: without separators, and printable."""
    if name in (".", ".."):  # where archives are unpacked, these lead elsewhere
        return "%2E" * len(name)
    # zipfile has its own ideas of backslashes, on Windows.
    return "".join(c if c.isprintable() and c not in "%/\\" else percent(c) for c in name)


def percent(character: str) -> str:
    """Give a character as ``%`` and hexadecimal digits, for each byte of it in UTF-8."""
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def npy_header(data: dict[str, Any]) -> bytes:
    """Give what an ``.npy`` file begins with: ``descr``, ``fortran_order`` and ``shape``, as NumPy spells them."""
    header = BytesIO()
    npy_format.write_array_header_1_0(header, data)
    return header.getvalue()
