"""NumPy arrays in files: ``.npy`` and ``.npz`` read without ever unpickling anything.

Every fault of a file is an :class:`ArrayFileError` that says what was found; who calls adds the file's name
and the way out. Sizes are checked before memory is taken: a header cannot promise more than the file holds.
"""

from __future__ import annotations

import lzma
import math
import os
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.lib import format as npy_format

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Float


CHUNK = 1 << 18
"""Bytes read at a time: they are checked and copied while they are in the processor's cache."""


class ArrayFileError(Exception):
    """A file, or an array in it, cannot be read; the text says why."""


@dataclass(frozen=True)
class ArrayHeader:
    """What an array's header says, checked against the bytes that follow it."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran_order: bool


class NpzFile:
    """The arrays of an ``.npz`` archive, each read when it is asked for.

    Raises:
        ArrayFileError: the file cannot be opened or is not a zip archive.
    """

    def __init__(self, path: Path) -> None:
        with _readable_faults():
            self._zip = zipfile.ZipFile(path)
        self._members = {
            info.filename.removesuffix(".npy"): info for info in self._zip.infolist() if info.filename.endswith(".npy")
        }

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(self._members)

    def header(self, name: str) -> ArrayHeader:
        """Read one array's header."""
        with self._open(name) as (stream, size):
            return _read_header(stream, size)

    def real_header(self, name: str) -> ArrayHeader:
        """Read one array's header, and see that the array holds real numbers."""
        with self._open(name) as (stream, size):
            header = _read_header(stream, size)
            _check_real(header.dtype)
            return header

    def read(self, name: str) -> np.ndarray:
        """Read one array, in the machine's byte order."""
        with self._open(name) as (stream, size):
            return _read_array(stream, size)

    def read_float64(self, name: str) -> Float[np.ndarray, "..."]:
        """Read one array of real numbers as float64, C-contiguous."""
        with self._open(name) as (stream, size):
            return float64(_read_array(stream, size))

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[BufferedIOBase, int]]:
        if name not in self._members:
            raise ArrayFileError(f"it has no array '{name}' (it has {listed(self.names)})")
        member = self._members[name]
        try:
            with _readable_faults(), self._zip.open(member) as stream:
                yield cast("BufferedIOBase", stream), member.file_size
        except ArrayFileError as error:
            raise ArrayFileError(f"array '{name}': {error}") from error


def read_npy(path: Path) -> np.ndarray:
    """Read an ``.npy`` file, in the machine's byte order.

    Raises:
        ArrayFileError: the file cannot be opened, or is not a plain array.
    """
    with _readable_faults(), open(path, "rb") as stream:
        return _read_array(stream, os.fstat(stream.fileno()).st_size)


def float64(array: np.ndarray) -> Float[np.ndarray, "..."]:
    """Give the array as float64, C-contiguous.

    Raises:
        ArrayFileError: it does not hold real numbers.
    """
    _check_real(array.dtype)
    return np.asarray(array, np.float64, order="C")


def _check_real(dtype: np.dtype[np.generic]) -> None:
    if dtype.kind not in "fiu":
        raise ArrayFileError(f"expected real numbers, found {dtype}")


def listed(names: tuple[str, ...], most: int = 12) -> str:
    """List names for a message: the first few of many."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _read_array(stream: BufferedIOBase, size: int) -> np.ndarray:
    header = _read_header(stream, size)
    data = np.empty(math.prod(header.shape) * header.dtype.itemsize, np.uint8)
    for start in range(0, len(data), CHUNK):
        piece = data.data[start : start + CHUNK]
        if stream.readinto(piece) != len(piece):
            raise ArrayFileError("it ends early")
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran_order else "C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_header(stream: BufferedIOBase, size: int) -> ArrayHeader:
    start = stream.tell()
    try:
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, fortran_order, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran_order, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise ArrayFileError(f"its format version {version} is not one of (1, 0) and (2, 0)")
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, tokenize.TokenError) as error:
        raise ArrayFileError(f"its header is not that of a NumPy array ({_first_line(error)})") from error
    if dtype.hasobject:
        raise ArrayFileError("it holds pickled Python objects, which are never loaded")
    if min(shape, default=0) < 0:
        raise ArrayFileError(f"its header gives the shape {shape}")
    promised = math.prod(shape) * dtype.itemsize
    found = size - (stream.tell() - start)
    if promised != found:
        raise ArrayFileError(f"its header promises {promised} bytes ({shape} {dtype}), the file holds {found}")
    return ArrayHeader(shape, dtype, fortran_order)


@contextmanager
def _readable_faults() -> Iterator[None]:
    """Turn everything that files and zip archives can do wrong into :class:`ArrayFileError`."""
    try:
        yield
    except OSError as error:
        raise ArrayFileError(f"cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise ArrayFileError(f"broken or truncated ({_first_line(error)})") from error
    except (NotImplementedError, RuntimeError, ValueError, MemoryError) as error:
        # zipfile: an unknown compression, a password, a damaged directory; a size that no memory holds
        raise ArrayFileError(f"cannot be read ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
