"""Pickles of trees that are larger than memory: dicts of dicts of arrays, put together from their opcodes.

A pickler needs the whole tree at once. Here arrays are written as they come, into whichever dict: an unpickler keeps
the dicts in its memo, from where they are fetched again. Arrays are pickled by NumPy's public names alone: NumPy's own
way names its private module, which NumPy 2 moved, so what NumPy 2 pickles, older ones cannot load.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from amass_joints.deflate import DeflatedArchive
from amass_joints.export.outputs import Outputs
from amass_joints.npz_writing import CHUNK, array_begins, npy_header, opcodes

Write: TypeAlias = "Callable[[bytes | memoryview], object]"

_FIRST_PLACE = 1000
"""In the memo; what Python's pickler puts there for a name, a shape or a type comes before."""


class PickledTree:
    """An ``.npy`` of one dict of dicts, as NumPy pickles it: ``np.load(..., allow_pickle=True).item()`` gives it.

    Args:
        write: takes the file's bytes.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._places: dict[tuple[Any, ...], int] = {}
        write(npy_header({"descr": "|O", "fortran_order": False, "shape": ()}))
        write(pickle.PROTO + b"\4" + array_begins(np.empty((), object)) + pickle.EMPTY_LIST + self._new_dict(()))

    def branch(self, *keys: Any) -> None:
        """See that there is a dict under these keys, one in the other."""
        if keys not in self._places:
            *parents, key = keys
            self._put(tuple(parents), key, [self._new_dict(keys)])

    def put(self, *keys: Any, value: Any) -> None:
        """Put a value into the dict under all keys but the last: an array, a list of arrays, or anything small."""
        *parents, key = keys
        self._put(tuple(parents), key, _pickled(value))

    def end(self) -> None:
        """Write what comes after the last one: the ends of the list that holds the dict, and of the array's state."""
        self._write(pickle.APPEND + pickle.TUPLE + pickle.BUILD + pickle.STOP)

    def _new_dict(self, keys: tuple[Any, ...]) -> bytes:
        place = self._places[keys] = _FIRST_PLACE + len(self._places)
        return pickle.EMPTY_DICT + pickle.LONG_BINPUT + struct.pack("<I", place)

    def _put(self, parents: tuple[Any, ...], key: Any, value: Iterator[bytes | memoryview] | list[bytes]) -> None:
        if parents:
            self.branch(*parents)
        self._write(pickle.LONG_BINGET + struct.pack("<I", self._places[parents]) + opcodes(key))
        for piece in value:
            self._write(piece)
        self._write(pickle.SETITEM + pickle.POP)


class PickledTrees:
    """An ``.npz`` of such dicts. The first is written as it grows, the others wait in files that have no name.

    Args:
        files: what it and these are part of.
        path: of the ``.npz``.
        names: of the dicts.
    """

    def __init__(self, files: Outputs, path: Path, *names: str) -> None:
        self._archive = DeflatedArchive(files.file(path))
        first, *others = names
        self._archive.begin(f"{first}.npy")
        self._waiting = {name: files.spool(path.parent) for name in others}
        self._trees = {first: PickledTree(self._archive.write)}
        self._trees |= {name: PickledTree(file.write) for name, file in self._waiting.items()}

    def branch(self, *keys: str) -> None:
        """See that each has a dict under these keys."""
        for tree in self._trees.values():
            tree.branch(*keys)

    def put(self, *keys: str, **values: Any) -> None:
        """Put a value into each, by the name of the dict."""
        for name, value in values.items():
            self._trees[name].put(*keys, value=value)

    def end(self, **others: dict[str, Any]) -> None:
        """Complete the archive, with other dicts in it."""
        for tree in self._trees.values():
            tree.end()
        self._archive.end()
        for name, file in self._waiting.items():
            file.seek(0)
            self._archive.begin(f"{name}.npy")
            while block := file.read(CHUNK):
                self._archive.write(block)
            self._archive.end()
        for name, values in others.items():
            self._archive.begin(f"{name}.npy")
            tree = PickledTree(self._archive.write)
            for key, value in values.items():
                tree.put(key, value=value)
            tree.end()
            self._archive.end()
        self._archive.close()


def pickled_dict(values: dict[Any, Any]) -> Iterator[bytes | memoryview]:
    """Give the pickle of a dict of arrays, of dicts of such, and of anything small, piece by piece."""
    yield pickle.PROTO + b"\4"
    yield from _pickled(values)
    yield pickle.STOP


def _pickled(value: Any) -> Iterator[bytes | memoryview]:
    """Give the opcodes that put a value on the unpickler's stack."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        yield array_begins(array) + pickle.BINBYTES8 + struct.pack("<Q", array.nbytes)
        data = array.reshape(-1).view(np.uint8).data
        yield from (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
        yield pickle.TUPLE + pickle.BUILD
    elif isinstance(value, list):
        yield pickle.EMPTY_LIST + pickle.MARK
        for one in value:
            yield from _pickled(one)
        yield pickle.APPENDS
    elif isinstance(value, dict):
        yield pickle.EMPTY_DICT + pickle.MARK
        for key, one in value.items():
            yield opcodes(key)
            yield from _pickled(one)
        yield pickle.SETITEMS
    else:
        yield opcodes(value)
