"""Archives of motions, read as a stream: ``NAME.tar.bz2``, as AMASS publishes its datasets, other tars, and zip.

An archive is read once, from front to back. Nothing is unpacked on the disk, and of its members those that are asked
for are in memory, one at a time. What kind of archive it is, its first bytes tell, not its name.

An archive is never trusted. Whatever is wrong with one is an :class:`ArchiveError` that says what was found; who
calls adds the archive's name. What stands before the damage is given first, but for zip, whose directory is at the end.

Tar is read by :mod:`amass_joints.tars`, zip by :mod:`amass_joints.zips`. Nearly all the time goes into bzip2, which
:mod:`amass_joints.bzip2` therefore does on several threads.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn, Protocol, cast

from isal import igzip_lib

from amass_joints import bzip2
from amass_joints.arrays import shortened
from amass_joints.tars import BLOCK, NoTarError, Source, TarError, TarMember, begins_tar, read_tar
from amass_joints.zips import FREE_EXPANSION, MOST_EXPANSION, Zip, problem_of, unpacked_size

ARCHIVE_SUFFIXES = (".tar.bz2", ".tar.gz", ".tar.xz", ".tbz2", ".tbz", ".tgz", ".txz", ".tar", ".zip")
"""How the names of archives end."""

LARGEST_MEMBER = 1 << 31
"""Bytes; a larger member is not read. (An hour at 250 Hz has 1.2 GB.)"""

LONGEST_PATH = 4096
"""Characters of a member's path, as systems have it; an archive may have any number."""

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
    _pieces: Callable[[], Iterable[bytes]] = field(repr=False)
    _expansion: _Expansion = field(repr=False)

    def read(self) -> bytes:
        """Read its content: once, before the next member is asked for.

        Raises:
            ArchiveError: it cannot be read, or its bytes are not what they were.
        """
        if self.problem is not None:
            raise ArchiveError(self.problem)
        content = io.BytesIO()
        try:
            with _readable_faults():
                for piece in self._pieces():  # the size may be a lie
                    content.write(piece)
                    self._expansion.check(content.tell())
        except MemoryError as error:
            raise ArchiveError(f"it has {self.size} bytes, for which there is not enough memory") from error
        if content.tell() != self.size:
            _broken(f"{content.tell()} bytes where {self.size} should be")
        self._expansion.add(unpacked_size(content.getvalue()))
        return content.getvalue()


class _Expansion:
    """How far an archive has expanded: bombs may lie in bombs, and many in one archive."""

    def __init__(self, file: BinaryIO) -> None:
        self._size = os.fstat(file.fileno()).st_size
        self._unpacked = 0

    def add(self, unpacked: int) -> None:
        self.check(unpacked)
        self._unpacked += unpacked

    def check(self, unpacked: int) -> None:
        _check_expansion(self._unpacked + unpacked, self._size)


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
        expansion = _Expansion(file)
        start = file.read(BLOCK)
        file.seek(0)
        if begins_tar(start):
            yield from _tar_members(_PlainFile(file), expansion)
        elif start.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\b")):
            yield from _zip_members(file, expansion)
        elif (magic := next((magic for magic in _DECODERS if start.startswith(magic)), None)) is not None:
            if magic == bzip2.MAGIC and threads > 1:
                pieces = bzip2.decompressed(file, threads, CHUNK)
            else:
                pieces = _decompressed(file, magic)
            with closing(pieces):
                yield from _tar_members(_ForwardFile(_without_bombs(pieces, file)), expansion)
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


def _tar_members(source: Source, expansion: _Expansion) -> Iterator[Member]:
    for member in read_tar(source):
        if member.kind != "directory":
            path = _relative(member.name)
            problem = _tar_problem(member) or _problem_of(path, member.size)
            yield Member(path, member.size, problem, partial(iter, member.content), expansion)


def _tar_problem(member: TarMember) -> str | None:
    if member.kind == "link":
        return f"it is a link to '{shortened(member.target)}', which cannot be followed in an archive"
    if member.kind == "sparse file":
        return "it is a sparse file, which is not read from an archive"
    if member.kind == "device":
        return "it is not a regular file"
    return None


def _zip_members(file: BinaryIO, expansion: _Expansion) -> Iterator[Member]:
    archive = Zip(file)

    def pieces(info: zipfile.ZipInfo) -> Iterator[bytes]:
        opened = archive.open(info)
        while piece := opened.read(CHUNK):
            yield piece

    for info in archive.members:
        name = _zip_name(info)
        if not name.endswith("/"):
            path = _relative(name)
            problem = _zip_problem(info) or _problem_of(path, info.file_size) or problem_of(info)
            yield Member(path, info.file_size, problem, partial(pieces, info), expansion)


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
    return None


def _problem_of(path: PurePosixPath, size: int) -> str | None:
    if len(str(path)) > LONGEST_PATH:
        return f"its path has {len(str(path))} characters, expected at most {LONGEST_PATH}"
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


class _PlainFile:
    """A file, as :func:`read_tar` needs it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read = file.read
        self._end = file.seek(0, io.SEEK_END)
        file.seek(0)

    def skip(self, size: int) -> None:
        self._file.seek(min(self._file.tell() + size, self._end))


class _ForwardFile:
    """The same of bytes that come in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        return b"".join(self._take(size))

    def skip(self, size: int) -> None:
        for _ in self._take(size):
            pass

    def _take(self, size: int) -> Iterator[memoryview]:
        while size:
            while not self._piece:
                try:
                    self._piece = memoryview(next(self._pieces))
                except StopIteration:
                    return
            taken, self._piece = self._piece[:size], self._piece[size:]
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


_ZEROS = re.compile(b"\0*")


def _decompressed(file: BinaryIO, magic: bytes) -> Generator[bytes, None, None]:
    """Decompress a file of one or more streams; what follows them and is none is passed over."""
    data, at = file.read(CHUNK), 0
    while data.startswith(magic, at):
        decoder = _DECODERS[magic]()
        step = _FIRST_STEP
        while not decoder.eof:
            given = b""
            if decoder.needs_input:
                if at == len(data):
                    data, at = file.read(CHUNK), 0
                    if not data:
                        _broken("it ends early")
                given = data[at : at + step]
                at += len(given)
                step = min(2 * step, CHUNK)
            yield decoder.decompress(given, CHUNK)
        at -= len(decoder.unused_data)
        at = cast("re.Match[bytes]", _ZEROS.match(data, at)).end()
        while len(data) - at < len(magic) and (more := file.read(CHUNK)):
            data = data[at:] + more
            at = cast("re.Match[bytes]", _ZEROS.match(data)).end()


_FIRST_STEP = 1 << 12
"""Bytes that a decoder is given at first: it copies what is behind its stream, of which there may be very many."""


def _without_bombs(pieces: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    """Pass on what a file is decompressed to, as long as motions may be in it.

    Raises:
        ArchiveError: it becomes far too much.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        _check_expansion(size, file.tell())
        yield piece


def _check_expansion(size: int, compressed: int) -> None:
    if size > FREE_EXPANSION and size > MOST_EXPANSION * compressed:
        raise ArchiveError(
            f"it becomes more than {MOST_EXPANSION} times as large when it is decompressed, as no motions do"
        )


# --------------------------------------------------------------------------------------------------- faults


def _broken(what: str) -> NoReturn:
    raise ArchiveError(f"broken or truncated ({what})")


@contextmanager
def _readable_faults() -> Iterator[None]:
    """Turn everything that files, decoders and zipfile can do wrong into :class:`ArchiveError`."""
    try:
        yield
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno is None:  # bz2 and isal say so that the data are wrong
            _broken(str(error))
        raise ArchiveError(f"cannot be read: {error.strerror or error}") from error
    except NoTarError as error:
        raise ArchiveError(f"it is not an archive: it holds no tar ({error})") from error
    except _FAULTS as error:
        _broken((str(error) or type(error).__name__).splitlines()[0][:200])
    except (NotImplementedError, RuntimeError) as error:  # zipfile: an unknown compression or version, a password
        raise ArchiveError(f"cannot be read ({error})") from error


_FAULTS: tuple[type[Exception], ...] = (
    TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    cast("type[Exception]", igzip_lib.IsalError),
    # zipfile lets these through where headers are nonsense
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    struct.error,
)
