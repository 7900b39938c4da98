"""Zip archives that nobody vouches for: ``.npz`` files, and archives of motions.

:mod:`zipfile` reads the directory, and inflates. What it takes on trust is checked here, before memory or time is
spent: how large the directory is, how far a member expands, that it lies in the file and is the one that the directory
means. Only what is stored or deflated is read, which is all that NumPy writes: of other compressions zipfile expands
whatever it has read at once, and a few bytes of bzip2 to gigabytes.

A member that is stored, as AMASS's arrays are, is not copied where the archive is in memory.
(Layout: PKWARE, APPNOTE 6.3.10.)
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import IO, Any, BinaryIO, cast

from isal import isal_zlib

MOST_EXPANSION = 100
"""How many bytes of content a byte in a file may stand for, beyond :data:`FREE_EXPANSION`: motions, models and
regressors, which are noise in their last digits, never compress so far, and bombs are made to."""

FREE_EXPANSION = 1 << 28
"""Bytes of content that may compress as far as deflate can: of a file that holds zeros alone, say. (As the poses of
SMPL+H they are half an hour at 120 Hz.)"""

DEFLATE_LIMIT = 1032
"""How many bytes of content deflate makes of one, at the most."""

LARGEST_DIRECTORY = 1 << 24
"""Bytes, each of which takes about fifteen in memory; a hundred thousand members with long names."""

_WRONG_CRC = "its CRC-32 is not that of its bytes"

_MEMBER = b"PK\3\4"

_LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
"""Signature, flags, lengths of name and extra field (4.3.7)."""

_UTF8, _ENCRYPTED_OR_PATCHED = 0x800, 0x61


class _Limited:
    """A file, as zipfile needs it, that gives no more at a time than a directory may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {size} bytes, expected at most {LARGEST_DIRECTORY}")
        return self._file.read(LARGEST_DIRECTORY if size < 0 else size)


class Zip:
    """An open archive. Members are read from their beginning on, several by turns.

    Args:
        file: the file, or what is in it.

    Raises:
        zipfile.BadZipFile: it is none, or damaged. Other errors of zipfile's, too, here and wherever it is read.
    """

    def __init__(self, file: BinaryIO | bytes) -> None:
        self._content = memoryview(file) if isinstance(file, bytes) else None
        self._file = io.BytesIO(file) if isinstance(file, bytes) else file
        self.size = self._file.seek(0, io.SEEK_END)
        """Bytes of the archive."""
        self._zip = zipfile.ZipFile(cast("IO[bytes]", _Limited(self._file)))
        self.members = self._zip.infolist()
        self._file.seek(0)
        if self._file.read(4) == _MEMBER and all(member.header_offset for member in self.members):
            # What was cut off has the directory, and the last member is an archive itself, whose directory was found.
            raise zipfile.BadZipFile("its directory is not there, or of an archive within it")
        # One that is longer than the file is not read. Many that lie over each other would be, again and again.
        if sum(min(member.compress_size, self.size) for member in self.members) > 2 * self.size:
            raise zipfile.BadZipFile("its members have far more bytes than it has")

    def open(self, member: zipfile.ZipInfo) -> IO[bytes] | HeldMember:
        """Open a member, for reading; it is checked to the last byte as that is read.

        Raises:
            zipfile.BadZipFile: it cannot be read.
        """
        if (problem := problem_of(member)) is not None:
            raise zipfile.BadZipFile(problem)
        if member.header_offset < 0:
            raise zipfile.BadZipFile("it begins before the file does")
        if member.header_offset + member.compress_size > self.size:
            raise EOFError("the file ends early")
        start = self._start_of_stored(member)
        if start is None:
            return self._zip.open(member)
        if start + member.file_size > self.size:
            raise EOFError("the file ends early")
        if self._content is not None:
            return HeldMember(self._content[start : start + member.file_size], member)
        return cast("IO[bytes]", StoredMember(self._file, start, member))

    def _start_of_stored(self, member: zipfile.ZipInfo) -> int | None:
        """Say where the bytes of a member begin that is stored; None where zipfile is to see to it."""
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            return None
        name = member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437")
        self._file.seek(member.header_offset)
        header = self._file.read(_LOCAL_HEADER.size + len(name))
        if len(header) < _LOCAL_HEADER.size:
            return None
        signature, flags, name_length, extra_length = _LOCAL_HEADER.unpack_from(header)
        is_the_one = header[_LOCAL_HEADER.size :] == name and name_length == len(name)
        if signature != _MEMBER or flags & _ENCRYPTED_OR_PATCHED or not is_the_one:
            return None  # zipfile has words for it
        return member.header_offset + _LOCAL_HEADER.size + name_length + extra_length


def problem_of(member: zipfile.ZipInfo) -> str | None:
    """Say why a member is not to be read, as far as the directory tells; None: nothing is known against it."""
    size, compressed = member.file_size, member.compress_size
    if member.flag_bits & 1:
        return "it is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"it is compressed by zip's method {member.compress_type}, expected 0 or 8: stored or deflated"
    if size > DEFLATE_LIMIT * (compressed + 1) or (size > FREE_EXPANSION and size > MOST_EXPANSION * compressed):
        return f"{compressed} bytes that would become {size}: nothing real compresses so far"
    return None


def unpacked_size(content: bytes) -> int:
    """Say how large a file becomes when it is read: as large as its members together, if it is a zip archive."""
    try:
        return sum(member.file_size for member in Zip(content).members)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return len(content)


class StoredMember(io.RawIOBase):
    """The bytes of a member that is not compressed, checked like those of any other."""

    def __init__(self, file: BinaryIO, start: int, member: zipfile.ZipInfo) -> None:
        self.place = start
        """Where in the file the next one is."""
        self._file, self._left, self._crc = file, member.file_size, member.CRC
        self._crc_so_far = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        piece = memoryview(buffer).cast("B")[: self._left]
        self._file.seek(self.place)
        count = self._file.readinto(piece)  # type: ignore[attr-defined]
        self._crc_so_far = isal_zlib.crc32(piece[:count], self._crc_so_far)
        self.place += count
        self._left -= count
        if count < len(piece):
            raise EOFError("the file ends early")
        if not self._left and self._crc_so_far != self._crc:
            raise zipfile.BadZipFile(_WRONG_CRC)
        return int(count)


class HeldMember:
    """The same where the file is in memory: checked at once, and not copied."""

    def __init__(self, data: memoryview, member: zipfile.ZipInfo) -> None:
        if isal_zlib.crc32(data) != member.CRC:
            raise zipfile.BadZipFile(_WRONG_CRC)
        self.rest = data
        """What has not been read."""

    def read(self, size: int) -> bytes:
        """Give the next bytes."""
        data, self.rest = bytes(self.rest[:size]), self.rest[size:]
        return data
