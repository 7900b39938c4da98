"""NumPy arrays in files: ``.npy`` and ``.npz`` read without ever unpickling anything.

Every fault of a file is an :class:`ArrayFileError` that says what was found; who calls adds the file's name
and the way out. Sizes are checked before memory is taken: a header cannot promise more than the file holds, and
:mod:`amass_joints.zips` sees to it that a file cannot promise what it has not.

What an archive stores uncompressed, as AMASS does, is not copied: a small file is read at once, and its arrays are
views of it; of a large one, the rows asked for are read. Files are not mapped into memory: reading is as fast, and a
disk that fails or a file that somebody shortens is an error, where a map would kill the program.
"""

from __future__ import annotations

import ast
import math
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy_format

from amass_joints.zips import HeldMember, StoredMember, Zip

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Float


SMALL_FILE = 1 << 23
"""Bytes of an archive that is read at once."""


LARGEST_HEADER = 10_000
"""Bytes of an array's header, as in NumPy; the usual ones have 118."""

LARGEST_FORTRAN = 1 << 29
"""Bytes, as float64, of an array in Fortran's order that is to be read by rows: it is in memory twice."""

CHUNK = 1 << 18
"""Bytes read at a time from larger ones: they are checked and copied while they are in the processor's cache."""


@runtime_checkable
class Stream(Protocol):
    """What headers are read from."""

    def read(self, size: int, /) -> bytes:
        """Give the next bytes."""


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

    Args:
        file: the file, or what is in it.
        at_once: whether a small file is read at once; better not where headers are all that is wanted.

    Raises:
        ArrayFileError: the file cannot be opened or is not a zip archive.
    """

    def __init__(self, file: Path | bytes, *, at_once: bool = True) -> None:
        with ExitStack() as opened, _readable_faults():
            content: BinaryIO | bytes
            if isinstance(file, bytes):
                content = file
            else:
                content, size = open_regular(file)
                opened.enter_context(content)
                if at_once and size <= SMALL_FILE:
                    content = content.read()
            self._zip = Zip(content)
            self._opened = opened.pop_all()
        self._members: dict[str, zipfile.ZipInfo | None] = {}
        """By the arrays' names; None where there are two of a name."""
        for member in self._zip.members:
            if member.filename.endswith(".npy"):
                name = member.filename.removesuffix(".npy")
                self._members[name] = None if name in self._members else member

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(self._members)

    def open(self, name: str) -> ArrayReader:
        """Read one array's header, and get ready to read the array. Several arrays may be read by turns."""
        if name not in self._members:
            raise ArrayFileError(f"it has no array '{name}' (it has {listed(self.names)})")
        member = self._members[name]
        if member is None:
            raise ArrayFileError(f"array '{name}' is there twice")
        with _readable_faults(name):
            return ArrayReader(self._zip.open(member), member.file_size, name)

    def header(self, name: str) -> ArrayHeader:
        """Read one array's header."""
        return self.open(name).header

    def read(self, name: str) -> np.ndarray:
        """Read one array, in the machine's byte order."""
        return self.open(name).read()

    def read_float64(self, name: str) -> Float[np.ndarray, "..."]:
        """Read one array of real numbers as float64, C-contiguous."""
        return self.open(name).read_float64()


class ArrayReader:
    """One array, whose header has been read; the rest follows in order, at once or by rows.

    Raises:
        ArrayFileError: it is not a plain array of the size that it says, or its bytes are not what they were.
    """

    def __init__(self, stream: Stream, size: int, name: str = "") -> None:
        self.header = _read_header(stream, size)
        self._stream, self._name = stream, name
        self._bytes_left = math.prod(self.header.shape) * self.header.dtype.itemsize
        self._rows_read = 0
        self._whole: np.ndarray | None = None
        self._last_row: np.ndarray | None = None

    @property
    def place(self) -> int | None:
        """Where in the file the values begin, before any is read; None where they do not lie there as they are."""
        return self._stream.place if isinstance(self._stream, StoredMember) else None

    def read(self) -> np.ndarray:
        """Read the array, in the machine's byte order."""
        array = self._read()
        return array if array.flags.writeable else array.copy()

    def read_float64(self) -> Float[np.ndarray, "..."]:
        """Read the array of real numbers as float64, C-contiguous."""
        self.check_real()
        return float64(self.read())

    def read_rows(self, count: int, again: int = 0) -> Float[np.ndarray, "rows columns"]:
        """Read the next rows of a matrix of real numbers, as float64, C-contiguous.

        Args:
            count: how many.
            again: 1 to have the one before these once more, in front of them.

        Returns:
            An array that may be read-only, and lie at any address: files do not align theirs.
        """
        first, self._rows_read = self._rows_read - again, self._rows_read + count
        if self._whole is None and self.header.fortran_order:  # whose rows are all over the file
            if 8 * math.prod(self.header.shape) > LARGEST_FORTRAN:
                raise ArrayFileError(
                    f"{_array(self._name)}it is in Fortran's order and of shape {self.header.shape}, expected at most "
                    f"{LARGEST_FORTRAN // 8} values, or C's order, as AMASS has it"
                )
            self.check_real()
            self._whole = float64(self._read())
        elif self._whole is None and isinstance(self._stream, HeldMember):
            self._whole = self._read()
        if self._whole is not None:
            return float64(self._whole[first : self._rows_read])
        rows = np.empty((again + count, self.header.shape[1]))
        if again:
            rows[0] = self._last_row
        with _readable_faults(self._name):
            found = rows[again:] if self.header.dtype == rows.dtype else np.empty(rows[again:].shape, self.header.dtype)
            self._fill(found.reshape(-1).view(np.uint8).data)
            rows[again:] = float64(found)
        self._last_row = rows[-1].copy()
        return rows

    def check_real(self) -> None:
        """See that the array holds real numbers."""
        _check_real(self.header.dtype, self._name)

    def _read(self) -> np.ndarray:
        header = self.header
        with _readable_faults(self._name):
            if isinstance(self._stream, HeldMember):
                data = self._stream.rest
            else:
                data = np.empty(self._bytes_left, np.uint8).data
                self._fill(data)
            order: Literal["F", "C"] = "F" if header.fortran_order else "C"
            array = np.frombuffer(data, header.dtype).reshape(header.shape, order=order)
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            # NumPy takes for granted that text is text, and Python's functions for text fail on what is none.
            if array.dtype.kind == "U" and (np.ravel(array, "K").view(np.uint32) > sys.maxunicode).any():
                raise ArrayFileError("it holds text with characters that do not exist")
        return array

    def _fill(self, data: memoryview) -> None:
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            if self._stream.readinto(piece) != len(piece):  # type: ignore[attr-defined]
                raise ArrayFileError("it ends early")
        self._bytes_left -= len(data)
        if not self._bytes_left and self._stream.read(1):  # reading to the end is what checks the checksum
            raise ArrayFileError("it does not end where its header says")


@contextmanager
def open_npy(path: Path) -> Iterator[ArrayReader]:
    """Open an ``.npy`` file.

    Raises:
        ArrayFileError: the file cannot be opened, or is not a plain array.
    """
    with ExitStack() as opened:
        with _readable_faults():
            file, size = open_regular(path)
            opened.enter_context(file)
            reader = ArrayReader(file, size)
        yield reader


def open_regular(path: Path) -> tuple[BinaryIO, int]:
    """Open a file for reading, and give its size.

    Raises:
        ArrayFileError: it is none, but a pipe, say, which would be waited for.
        OSError: it cannot be opened.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  # who asks closes it
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise ArrayFileError("it is not a regular file")
    return file, status.st_size


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no such pipes


def float64(array: np.ndarray) -> Float[np.ndarray, "..."]:
    """Give the array as float64, C-contiguous.

    Raises:
        ArrayFileError: it does not hold real numbers.
    """
    _check_real(array.dtype)
    if array.dtype == np.float64:
        return np.asarray(array, np.float64, order="C")
    with np.errstate(all="ignore"):  # what is infinite then, or was no number before, is for others to find
        return np.asarray(array, np.float64, order="C")


def _check_real(dtype: np.dtype[np.generic], name: str = "") -> None:
    if dtype.kind not in "fiu":
        raise ArrayFileError(f"{_array(name)}expected real numbers, found {dtype}")


def _array(name: str) -> str:
    return f"array '{name}': " if name else ""


def listed(names: tuple[str, ...], most: int = 12) -> str:
    """List names for a message: the first few of many."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shortened(name) for name in names[:most]) + more


def shortened(text: str, most: int = 80) -> str:
    """Give a text for a message: the beginning of a long one."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _read_header(stream: Stream, size: int) -> ArrayHeader:
    # https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html: magic, version, the length of the header
    # in two bytes (version 1) or four, and the header, a Python literal.
    start = stream.read(10)
    if start[:6] != npy_format.MAGIC_PREFIX or len(start) < 10:
        raise ArrayFileError(f"its header is not that of a NumPy array (it begins with {start[:6]!r})")
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0)):
        raise ArrayFileError(f"its format version {version} is not one of (1, 0) and (2, 0)")
    length_size = 2 if version == (1, 0) else 4
    length = int.from_bytes(start[8:] + stream.read(length_size - 2), "little")
    if length > LARGEST_HEADER:
        raise ArrayFileError(f"its header has {length} bytes, expected at most {LARGEST_HEADER}")
    text = stream.read(length)
    header = _header(text)
    promised = math.prod(header.shape) * header.dtype.itemsize
    found = size - 8 - length_size - len(text)
    if promised != found:
        what = shortened(f"{header.shape} {header.dtype}")
        raise ArrayFileError(f"its header promises {promised:.20g} bytes ({what}), the file holds {found}")
    return header


@lru_cache(maxsize=256)  # those of small arrays are the same in most files
def _header(text: bytes) -> ArrayHeader:
    try:
        shape, fortran_order, dtype = _parse_header(text)
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        # The last two: of nesting, as Python's parser sees it. What they need memory for is a few thousand bytes.
        raise ArrayFileError(f"its header is not that of a NumPy array ({_first_line(error)})") from error
    if dtype.hasobject:
        raise ArrayFileError("it holds pickled Python objects, which are never loaded")
    if min(shape, default=0) < 0 or max(shape, default=0) >= 2**63 or len(shape) > 32 or not dtype.itemsize:
        raise ArrayFileError(f"its header gives the shape {shortened(str(shape))} of {dtype}")
    return ArrayHeader(shape, dtype, fortran_order)


_USUAL_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biufcSUV]\d+)', 'fortran_order': (False|True), 'shape': \((\d*(?:, ?\d+)*),?\), \} *\n"
)
"""As NumPy writes it."""

_DESCR = re.compile(r"[<>|=]?([biufcSUV]\d+|O\d?|[mM]8(\[\w+\])?)")
"""Types that have one part, or are one's business to refuse."""


def _parse_header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    usual = _USUAL_HEADER.fullmatch(text)
    if usual:  # the other way compiles it as Python, which takes as long as all the rest of opening an array
        descr, fortran_order, shape = usual.groups()
        return tuple(int(n) for n in shape.split(b",") if n), fortran_order == b"True", np.dtype(descr.decode())
    # As Python 2 and other programs than NumPy write it. (NumPy's own reader prints warnings of some of it.)
    header = ast.literal_eval(re.sub(rb"(\d)L\b", rb"\1", text).decode("latin-1").strip())
    descr, fortran_order, shape = (header[key] for key in ("descr", "fortran_order", "shape"))
    if isinstance(descr, list):
        raise ArrayFileError(f"expected numbers or text, found records of {shortened(repr(descr))}")
    if not isinstance(descr, str) or not _DESCR.fullmatch(descr):
        raise TypeError(f"the type {shortened(repr(descr))}")
    if not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
        raise TypeError(f"the shape {shortened(repr(shape))}")
    return shape, bool(fortran_order), np.dtype(descr)


class _readable_faults:
    """Turn everything that files and zip archives can do wrong into :class:`ArrayFileError`, and name the array."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        array = _array(self._name)
        match error:
            case ArrayFileError():
                raise ArrayFileError(f"{array}{error}") from error
            case OSError():
                raise ArrayFileError(f"{array}cannot be read: {error.strerror or error}") from error
            case zipfile.BadZipFile() | zlib.error() | EOFError():
                raise ArrayFileError(f"{array}broken or truncated ({_first_line(error)})") from error
            case NotImplementedError() | RuntimeError() | ValueError() | TypeError():
                # zipfile: something patched or encrypted, a damaged directory; NumPy: a shape that it does not make
                raise ArrayFileError(f"{array}cannot be read ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
