"""NumPy arrays in files: ``.npy`` and ``.npz`` read without ever unpickling anything.

Every fault of a file is an :class:`ArrayFileError` that says what was found; who calls adds the file's name
and the way out. Sizes are checked before memory is taken: a header cannot promise more than the file holds.

What an archive stores uncompressed, as AMASS does, is not copied: a small file is read at once, and its arrays are
views of it; of a large one, the rows asked for are read. Files are not mapped into memory: reading is as fast, and a
disk that fails or a file that somebody shortens is an error, where a map would kill the program.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, runtime_checkable

import numpy as np
from isal import isal_zlib
from numpy.lib import format as npy_format

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from jaxtyping import Float


SMALL_FILE = 1 << 23
"""Bytes of an archive that is read at once."""

MOST_EXPANSION = 1100
"""How many bytes deflate makes of one at the most is 1032."""

CHUNK = 1 << 18
"""Bytes read at a time from larger ones: they are checked and copied while they are in the processor's cache."""


@runtime_checkable
class Stream(Protocol):
    """What headers are read from."""

    def read(self, size: int, /) -> bytes:
        """Give the next bytes."""


_WRONG_CRC = "its CRC-32 is not that of its bytes"


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
            self._content: bytes | None = None
            if isinstance(file, bytes):
                self._content = file
            else:
                self._file: BinaryIO = opened.enter_context(open(file, "rb"))
                if at_once and os.fstat(self._file.fileno()).st_size <= SMALL_FILE:
                    self._content = self._file.read()
            if self._content is not None:
                self._file = io.BytesIO(self._content)
            self._zip = opened.enter_context(zipfile.ZipFile(self._file))
            self._opened = opened.pop_all()
        self._members = {
            info.filename.removesuffix(".npy"): info for info in self._zip.infolist() if info.filename.endswith(".npy")
        }

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
        with _readable_faults(name):
            return ArrayReader(self._stream(member), member.file_size, name)

    def header(self, name: str) -> ArrayHeader:
        """Read one array's header."""
        return self.open(name).header

    def read(self, name: str) -> np.ndarray:
        """Read one array, in the machine's byte order."""
        return self.open(name).read()

    def read_float64(self, name: str) -> Float[np.ndarray, "..."]:
        """Read one array of real numbers as float64, C-contiguous."""
        return self.open(name).read_float64()

    def _stream(self, member: zipfile.ZipInfo) -> Stream:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            if member.file_size > MOST_EXPANSION * (member.compress_size + 1):
                raise zipfile.BadZipFile(f"{member.compress_size} bytes cannot hold {member.file_size}")
            return self._zip.open(member)
        # APPNOTE 4.3.7: the member's own header, with lengths of name and extra field that only it knows.
        self._file.seek(member.header_offset)
        signature, flags, name_length, extra_length = struct.unpack("<4s2xH18xHH", self._file.read(30).ljust(30))
        if signature != b"PK\3\4" or flags & 1:  # damaged or encrypted, which zipfile has words for
            return self._zip.open(member)
        start = member.header_offset + 30 + name_length + extra_length
        if self._content is not None:
            content = memoryview(self._content)[start : start + member.file_size]
            return _HeldMember(content, member)
        return _StoredMember(self._file, start, member)


class _StoredMember(io.RawIOBase):
    """The bytes of a member that is not compressed, checked like those of any other."""

    def __init__(self, file: BinaryIO, start: int, member: zipfile.ZipInfo) -> None:
        self._file, self._place, self._left, self._crc = file, start, member.file_size, member.CRC
        self._crc_so_far = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = memoryview(buffer).cast("B")[: self._left]
        self._file.seek(self._place)
        count = self._file.readinto(piece)  # type: ignore[attr-defined]
        self._crc_so_far = isal_zlib.crc32(piece[:count], self._crc_so_far)
        self._place += count
        self._left -= count
        if count < len(piece):
            raise EOFError("the file ends early")
        if not self._left and self._crc_so_far != self._crc:
            raise zipfile.BadZipFile(_WRONG_CRC)
        return int(count)


class _HeldMember:
    """The same where the file is in memory: checked at once, and not copied."""

    def __init__(self, data: memoryview, member: zipfile.ZipInfo) -> None:
        if len(data) < member.file_size:
            raise EOFError("the file ends early")
        if isal_zlib.crc32(data) != member.CRC:
            raise zipfile.BadZipFile(_WRONG_CRC)
        self.rest = data

    def read(self, size: int) -> bytes:
        data, self.rest = bytes(self.rest[:size]), self.rest[size:]
        return data


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
        # The rows of a matrix in Fortran's order are all over the file.
        if self._whole is None and (isinstance(self._stream, _HeldMember) or self.header.fortran_order):
            self.check_real()
            self._whole = float64(self._read())
        if self._whole is not None:
            return self._whole[first : self._rows_read]
        rows = np.empty((again + count, self.header.shape[1]))
        if again:
            rows[0] = self._last_row
        with _readable_faults(self._name):
            found = rows[again:] if self.header.dtype == rows.dtype else np.empty(rows[again:].shape, self.header.dtype)
            self._fill(found.reshape(-1).view(np.uint8).data)
            rows[again:] = found
        self._last_row = rows[-1].copy()
        return rows

    def check_real(self) -> None:
        """See that the array holds real numbers."""
        _check_real(self.header.dtype, self._name)

    def _read(self) -> np.ndarray:
        header = self.header
        with _readable_faults(self._name):
            if isinstance(self._stream, _HeldMember):
                data = self._stream.rest
            else:
                data = np.empty(self._bytes_left, np.uint8).data
                self._fill(data)
            order: Literal["F", "C"] = "F" if header.fortran_order else "C"
            array = np.frombuffer(data, header.dtype).reshape(header.shape, order=order)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _fill(self, data: memoryview) -> None:
        for start in range(0, len(data), CHUNK):
            piece = data[start : start + CHUNK]
            if self._stream.readinto(piece) != len(piece):  # type: ignore[attr-defined]
                raise ArrayFileError("it ends early")
        self._bytes_left -= len(data)
        if not self._bytes_left and self._stream.read(1):  # reading to the end is what checks the checksum
            raise ArrayFileError("it does not end where its header says")


def read_npy(path: Path) -> np.ndarray:
    """Read an ``.npy`` file, in the machine's byte order.

    Raises:
        ArrayFileError: the file cannot be opened, or is not a plain array.
    """
    with _readable_faults(), open(path, "rb") as stream:
        return ArrayReader(stream, os.fstat(stream.fileno()).st_size).read()


def float64(array: np.ndarray) -> Float[np.ndarray, "..."]:
    """Give the array as float64, C-contiguous.

    Raises:
        ArrayFileError: it does not hold real numbers.
    """
    _check_real(array.dtype)
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
    return ", ".join(names[:most]) + more


def _read_header(stream: Stream, size: int) -> ArrayHeader:
    # https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html: magic, version, the length of the header
    # in two bytes (version 1) or four, and the header, a Python literal.
    start = stream.read(10)
    if start[:6] != npy_format.MAGIC_PREFIX or len(start) < 10:
        raise ArrayFileError(f"its header is not that of a NumPy array (it begins with {start[:6]!r})")
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0)):
        raise ArrayFileError(f"its format version {version} is not one of (1, 0) and (2, 0)")
    length = start[8:] if version == (1, 0) else start[8:] + stream.read(2)
    text = stream.read(min(int.from_bytes(length, "little"), size))
    header = _header(version, length, text)
    promised = math.prod(header.shape) * header.dtype.itemsize
    found = size - 8 - len(length) - len(text)
    if promised != found:
        raise ArrayFileError(
            f"its header promises {promised} bytes ({header.shape} {header.dtype}), the file holds {found}"
        )
    return header


@lru_cache(maxsize=256)  # those of small arrays are the same in most files
def _header(version: tuple[int, int], length: bytes, text: bytes) -> ArrayHeader:
    try:
        shape, fortran_order, dtype = _parse_header(version, length, text)
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, tokenize.TokenError) as error:
        raise ArrayFileError(f"its header is not that of a NumPy array ({_first_line(error)})") from error
    if dtype.hasobject:
        raise ArrayFileError("it holds pickled Python objects, which are never loaded")
    if min(shape, default=0) < 0 or max(shape, default=0) >= 2**63 or len(shape) > 32 or not dtype.itemsize:
        raise ArrayFileError(f"its header gives the shape {shape} of {dtype}")
    return ArrayHeader(shape, dtype, fortran_order)


_USUAL_HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-zA-Z]\d+)', 'fortran_order': (False|True), 'shape': \((\d*(?:, ?\d+)*),?\), \} *\n"
)
"""As NumPy writes it."""


def _parse_header(version: tuple[int, int], length: bytes, text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    usual = _USUAL_HEADER.fullmatch(text)
    if usual:  # NumPy's own way compiles it as Python, which takes as long as all the rest of opening an array
        descr, fortran_order, shape = usual.groups()
        return tuple(int(n) for n in shape.split(b",") if n), fortran_order == b"True", np.dtype(descr.decode())
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return read(io.BytesIO(length + text))


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
            case zipfile.BadZipFile() | zlib.error() | lzma.LZMAError() | EOFError():
                raise ArrayFileError(f"{array}broken or truncated ({_first_line(error)})") from error
            case NotImplementedError() | RuntimeError() | ValueError() | TypeError():
                # zipfile: an unknown compression, a password, a damaged directory; NumPy: a shape that it does not make
                raise ArrayFileError(f"{array}cannot be read ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
