"""Tar archives, read from front to back: what headers there are, and no more of tar than that.

:mod:`tarfile` is not used, because it believes what headers say: it will look for the end of 10**19 bytes block by
block, make gigabytes of zeros of a few bytes, and search a line of digits for seconds, header after header. Here all
headers cost time and memory in proportion to the bytes that are there.

Formats: pax and ustar (POSIX, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html), GNU's
(https://www.gnu.org/software/tar/manual/html_node/Standard.html), and what was before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

BLOCK = 512

LARGEST_EXTENDED_HEADER = 1 << 16
"""Bytes; headers for long names and the like, which are read whole."""

CHUNK = 1 << 20
"""Bytes of content given at a time."""


class TarError(Exception):
    """The archive is damaged; the text says how."""


class NoTarError(Exception):
    """It does not even begin like a tar."""


class Source(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """Give the next bytes; fewer only at the end."""

    def skip(self, size: int, /) -> None:
        """Pass over the next bytes, as far as there are any."""


@dataclass(frozen=True)
class TarMember:
    """One member, as its headers describe it."""

    name: str
    """Bytes that are no UTF-8 are surrogates in it, as in Python's names of files."""
    size: int
    """Bytes of its content."""
    kind: Literal["file", "directory", "link", "sparse file", "device"]
    """A pipe is a device here. What follows a sparse file is not its content, which would have to be made of it."""
    target: str
    """Of a link."""
    content: Content
    """To be read, if at all, before the next member is asked for."""


def begins_tar(start: bytes) -> bool:
    """Whether a file that begins so may be a tar."""
    try:
        _Header(start[:BLOCK])
    except TarError:
        return False
    return True


def read_tar(source: Source) -> Iterator[TarMember]:
    """Go through the members.

    Behind the end, which is a block of zeros, another archive may follow. What else stands there is nobody's.

    Raises:
        NoTarError: it does not begin like a tar.
        TarError: it is damaged, or ends early. What was given before is good.
    """
    place: Literal["start", "within", "end"] = "start"
    told: dict[str, str] = {}  # by extended headers, of the member that follows
    while True:
        block = source.read(BLOCK)
        if block == _ZEROS:
            if told:
                raise TarError("tar: a header of no member")
            place = "end"
            continue
        try:
            header = _Header(block)
        except TarError as error:
            if place == "start":
                raise NoTarError(str(error)) from error
            if place == "within":
                raise
            if len(block) < BLOCK:
                return
            continue
        place = "within"
        if header.kind in _EXTENDED:
            told |= header.extended(source)
            continue
        member = header.member(told, source)
        yield member
        member.content.pass_over()
        told = {}


class Content:
    """The bytes of a member: those that follow its header, filled up to whole blocks."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._left, self._filling = source, size, -size % BLOCK
        self._gone_by = False

    def __iter__(self) -> Iterator[bytes]:
        """Give them in pieces, once."""
        if self._gone_by:
            raise TarError("a member is read that has gone by")
        while self._left:
            piece = self._source.read(min(self._left, CHUNK))
            if not piece:
                raise TarError("it ends early")
            self._left -= len(piece)
            yield piece

    def pass_over(self) -> None:
        """Go to what follows."""
        self._source.skip(self._left + self._filling)
        self._left, self._gone_by = 0, True


_ZEROS = bytes(BLOCK)

# Kinds of headers. Any other is of a file.
_LINKS = (b"1", b"2")
_DEVICES = (b"3", b"4", b"6")
_DIRECTORY, _DIRECTORY_OF_GNU = b"5", b"D"
_SPARSE_OF_GNU = b"S"
_NAME_OF_GNU, _TARGET_OF_GNU = b"L", b"K"
_PAX, _PAX_OF_SOLARIS, _PAX_FOR_ALL = b"x", b"X", b"g"
_EXTENDED = (_NAME_OF_GNU, _TARGET_OF_GNU, _PAX, _PAX_OF_SOLARIS, _PAX_FOR_ALL)
_WITHOUT_CONTENT = (*_LINKS, *_DEVICES, _DIRECTORY)


class _Header:
    """A block that describes what follows it."""

    def __init__(self, block: bytes) -> None:
        if len(block) < BLOCK:
            raise TarError("it ends early")
        others = block[:148] + b" " * 8 + block[156:]
        wrong_by = sum(others) - _number(block[148:156])
        if wrong_by and wrong_by != 256 * sum(byte > 127 for byte in others):  # as some old programs added
            raise TarError("tar: bad checksum")
        self._block = block
        self.kind = block[156:157]
        self._size = _number(block[124:136])
        if self._size < 0:
            raise TarError(f"a member of {self._size} bytes")

    def extended(self, source: Source) -> dict[str, str]:
        """Read what an extended header says of the member that follows it, by pax's names."""
        if self._size > LARGEST_EXTENDED_HEADER:
            raise TarError(f"a header of {self._size} bytes")
        content = Content(source, self._size)
        data = b"".join(content)
        content.pass_over()
        if self.kind == _NAME_OF_GNU:
            return {"path": _text(data)}
        if self.kind == _TARGET_OF_GNU:
            return {"linkpath": _text(data)}
        return {} if self.kind == _PAX_FOR_ALL else dict(_records(data))

    def member(self, told: dict[str, str], source: Source) -> TarMember:
        """Give the member that this is the header of."""
        block = self._block
        name, prefix = _text(block[:100]), _text(block[345:500])
        if prefix and block[257:263] == b"ustar\0":  # GNU has other things there
            name = f"{prefix}/{name}"
        name = told.get("GNU.sparse.name", told.get("path", name))
        size = self._size
        if "size" in told:
            if not re.fullmatch("[0-9]{1,25}", told["size"]):
                raise TarError(f"a member of {told['size'][:25]!r} bytes")
            size = int(told["size"])
        kind: Literal["file", "directory", "link", "sparse file", "device"] = "file"
        if self.kind in (_DIRECTORY, _DIRECTORY_OF_GNU) or (self.kind in (b"0", b"\0") and name.endswith("/")):
            kind = "directory"
        elif self.kind in _LINKS:
            kind = "link"
        elif self.kind in _DEVICES:
            kind = "device"
        elif self.kind == _SPARSE_OF_GNU or any(key.startswith("GNU.sparse.") for key in told):
            kind = "sparse file"
        following = 0 if self.kind in _WITHOUT_CONTENT else size
        return TarMember(name, size, kind, told.get("linkpath", _text(block[157:257])), Content(source, following))


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Read a number: octal digits, or binary as GNU writes large ones."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    digits = field.split(b"\0", 1)[0].strip()
    if not re.fullmatch(b"[0-7]*", digits):
        raise TarError("tar: a number that is none")
    return int(digits or b"0", 8)


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """Give what is in a header of pax: records of their own length, a space, a name, an equals sign, and a value."""
    at = 0
    while at < len(data):
        length = re.compile(b"([0-9]{1,6}) ").match(data, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise TarError("tar: a pax header that is none")
        name, _, value = data[length.end() : end - 1].partition(b"=")
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "surrogateescape")
        at = end
