"""Archives of motions, read as a stream: ``NAME.tar.bz2``, as AMASS publishes its datasets, other tars, and zip.

An archive is read once, from front to back. Nothing is unpacked on the disk, and of its members those that are asked
for are in memory, one at a time. What kind of archive it is, its first bytes tell, not its name.

An archive is never trusted. Whatever is wrong with one is an :class:`ArchiveError` that says what was found; who
calls adds the archive's name. What stands before the damage is given first, but for zip, whose directory is at the end.

Nearly all the time goes into bzip2, which :mod:`amass_joints.bzip2` therefore does on several threads.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal, NoReturn, Protocol, cast

from isal import igzip_lib

from amass_joints import bzip2

ARCHIVE_SUFFIXES = (".tar.bz2", ".tar.gz", ".tar.xz", ".tbz2", ".tbz", ".tgz", ".txz", ".tar", ".zip")
"""How the names of archives end."""

LARGEST_MEMBER = 1 << 31
"""Bytes; a larger member is not read. (An hour at 250 Hz has 1.2 GB.)"""

LARGEST_EXTENDED_HEADER = 1 << 16
"""Bytes; tar's headers for long names and the like, which tarfile reads whole."""

XZ_MEMORY = 1 << 29
"""Bytes that a file may have xz's decoder take; ``xz -9`` needs an eighth of it."""

CHUNK = 1 << 20
"""Bytes read at a time."""


class ArchiveError(Exception):
    """An archive, or a member of one, cannot be read; the text says why."""


@dataclass(frozen=True)
class Member:
    """One member of an archive, anything but a directory."""

    path: PurePosixPath
    """Relative, and without ``.`` and ``..``."""
    size: int
    """Bytes, as the archive says."""
    problem: str | None
    """Why it cannot be read, where that is known beforehand: it is a link, too large, encrypted."""
    _open: Callable[[], IO[bytes] | None] = field(repr=False)

    def read(self) -> bytes:
        """Read its content: once, before the next member is asked for.

        Raises:
            ArchiveError: it cannot be read, or its bytes are not what they were.
        """
        if self.problem is not None:
            raise ArchiveError(self.problem)
        with _readable_faults(), cast("IO[bytes]", self._open()) as opened:
            content = io.BytesIO()
            while piece := opened.read(CHUNK):  # by pieces: the size may be a lie
                content.write(piece)
        if content.tell() != self.size:
            _broken(f"{content.tell()} bytes where {self.size} should be")
        return content.getvalue()


def archive_stem(name: str) -> str | None:
    """Give a file name without what makes it an archive's, ``KIT`` for ``KIT.tar.bz2``; None: it is no archive's."""
    for suffix in ARCHIVE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def read_members(path: Path, *, threads: int = 1) -> Generator[Member, None, None]:
    """Go through an archive's members, in its order.

    Only what :meth:`Member.read` is called for is kept; the rest is passed over, which costs nothing in a plain tar and
    in zip, and decompression in all others.

    Args:
        path: the archive.
        threads: how many may decompress at a time, where the format allows it: bzip2 does. They begin with the first
            member that is asked for, in the process that asks, and end with the iterator.

    Raises:
        ArchiveError: it is no archive, or broken. What was read before is good, but for gzip and plain tars: gzip has
            its checksum at the end, a tar has one for names and sizes only.
    """
    with _readable_faults(), _open_regular(path) as file:
        start = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        if _begins_tar(start):
            yield from _tar_members(file)
        elif start.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\b")):
            yield from _zip_members(file)
        elif (magic := next((magic for magic in _DECODERS if start.startswith(magic)), None)) is not None:
            if magic == bzip2.MAGIC and threads > 1:
                pieces = bzip2.decompressed(file, threads, CHUNK)
            else:
                pieces = _decompressed(file, magic)
            with closing(pieces):
                yield from _tar_members(cast("BinaryIO", _ForwardFile(pieces)))
        else:
            _no_archive(start)


def _open_regular(path: Path) -> BinaryIO:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
        raise ArchiveError(f"it is {'a directory' if path.is_dir() else 'no regular file'}, not an archive")
    return open(path, "rb")


def _no_archive(start: bytes) -> NoReturn:
    if not start:
        raise ArchiveError("it is empty")
    if re.match(rb"\s*<(!doctype|html)", start, re.IGNORECASE):
        raise ArchiveError("it is a web page, not an archive, as downloads give without a login")
    raise ArchiveError(f"it is not an archive that can be read (it begins with {start[:12]!r})")


# ----------------------------------------------------------------------------------------------- containers


def _begins_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _tar_members(file: BinaryIO) -> Iterator[Member]:
    # Not tarfile.open(mode="r|"), which, where a header says 10**19 bytes, would look for their end block by block.
    with tarfile.TarFile(
        fileobj=file, tarinfo=_strict_headers(), ignore_zeros=True, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            if info.size < 0:  # and for ever read the same one
                _broken(f"a member of {info.size} bytes")
            if not info.isdir():
                yield Member(_relative(info.name), info.size, _tar_problem(info), partial(tar.extractfile, info))


def _strict_headers() -> type[tarfile.TarInfo]:
    """Make tarfile, which takes a damaged header for the archive's end, know the one from the other.

    tarfile is told to go on behind the end, that is, blocks of zeros: so that another archive appended there is read,
    and the decompressor comes to its end and compares its checksum. What else stands there is nobody's.
    """
    place: Literal["start", "within", "end"] = "start"

    class StrictHeader(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictHeader:
            nonlocal place
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                place = "end"
            try:
                header = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if place == "end":
                    raise
                if place == "start":
                    raise ArchiveError(f"it is not an archive: it holds no tar ({error})") from error
                _broken("it ends early" if len(buf) < tarfile.BLOCKSIZE else f"tar: {error}")
            place = "within"
            extended = header.type in _EXTENDED and header.size > LARGEST_EXTENDED_HEADER
            if header.size < 0 or extended:
                _broken(f"a {'header' if extended else 'member'} of {header.size} bytes")
            return header

    return StrictHeader


_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def _tar_problem(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return f"it is a link to '{info.linkname}', which cannot be followed in an archive"
    if info.isdev():
        return "it is not a regular file"
    return _problem_of_size(info.size)


def _zip_members(file: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            if not name.endswith("/"):
                yield Member(_relative(name), info.file_size, _zip_problem(info), partial(archive.open, info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & 0x800:  # it does not say UTF-8, but is that all the same if macOS made it
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/") if info.create_system == 0 else name  # as Windows' PowerShell writes them


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a link, which cannot be followed in an archive"
    if kind not in (0, stat.S_IFREG):
        return "it is not a regular file"
    if info.flag_bits & 1:
        return "it is encrypted"
    return _problem_of_size(info.file_size)


def _problem_of_size(size: int) -> str | None:
    return f"it has {size} bytes, more than {LARGEST_MEMBER}" if size > LARGEST_MEMBER else None


def _relative(name: str) -> PurePosixPath:
    """Give a member's name without root, ``.`` and ``..``: it names a motion, and nothing is written under it."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return PurePosixPath(*parts)


class _ForwardFile:
    """What tarfile needs of a file, of bytes that come in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise ArchiveError("a member is read that has gone by")
        for _ in self._take(position - self._position):
            pass

    def read(self, size: int) -> bytes:
        return b"".join(self._take(size))

    def _take(self, size: int) -> Iterator[memoryview]:
        while size:
            while not self._piece:
                try:
                    self._piece = memoryview(next(self._pieces))
                except StopIteration:
                    return
            taken, self._piece = self._piece[:size], self._piece[size:]
            self._position += len(taken)
            size -= len(taken)
            yield taken


# -------------------------------------------------------------------------------------------- decompression


class _Decoder(Protocol):
    """Of one compressed stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


_DECODERS: dict[bytes, Callable[[], _Decoder]] = {
    bzip2.MAGIC: bz2.BZ2Decompressor,
    b"\x1f\x8b": lambda: igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP),
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
}
"""By the bytes that a stream begins with."""


def _decompressed(file: BinaryIO, magic: bytes) -> Generator[bytes, None, None]:
    """Decompress a file of one or more streams; what follows them and is none is passed over."""
    data = file.read(CHUNK)
    while data.startswith(magic):
        decoder = _DECODERS[magic]()
        while not decoder.eof:
            if decoder.needs_input and not data and not (data := file.read(CHUNK)):
                _broken("it ends early")
            given, data = (data, b"") if decoder.needs_input else (b"", data)
            yield decoder.decompress(given, CHUNK)
        data = decoder.unused_data.lstrip(b"\0")
        while len(data) < len(magic) and (more := file.read(CHUNK)):
            data = (data + more).lstrip(b"\0")


# --------------------------------------------------------------------------------------------------- faults


def _broken(what: str) -> NoReturn:
    raise ArchiveError(f"broken or truncated ({what})")


@contextmanager
def _readable_faults() -> Iterator[None]:
    """Turn everything that files, decoders, tarfile and zipfile can do wrong into :class:`ArchiveError`."""
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno is None:  # bz2 and isal say so that the data are wrong
            _broken(str(error))
        raise ArchiveError(f"cannot be read: {error.strerror or error}") from error
    except _FAULTS as error:
        _broken((str(error) or type(error).__name__).splitlines()[0][:200])
    except (NotImplementedError, RuntimeError) as error:  # zipfile: an unknown compression or version, a password
        raise ArchiveError(f"cannot be read ({error})") from error


_FAULTS: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    cast("type[Exception]", igzip_lib.IsalError),
    # tarfile and zipfile let these through where headers are nonsense, or one in the other without end
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    RecursionError,
    struct.error,
)
