"""Changes to files by chance, made to their parts: for ``fuzzing.py``.

A file is taken apart as deep as it is nested: compression, tar, zip, ``.npy``, pickle. One part is changed, and all of
it is put together again with sizes and checksums that are right, or wrong where that is the change.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import pickle
import pickletools
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

LONGEST_ARRAY = 1 << 17
"""Bytes that an array is lengthened to, to fit its header."""

INTERESTING = [0, 1, 2, 3, 7, 8, 31, 255, 256, 511, 512, 1000, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31]
INTERESTING += [2**32 - 1, 2**33, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**18, -1, -2, -512, -(2**31), -(2**63)]


class Mutator:
    """Changes files. All that is by chance comes from one seed.

    Args:
        seed: the seed.
        blind: libFuzzer's changes to bytes that nothing is known of.
    """

    def __init__(self, seed: int, blind: Callable[[bytes], bytes]) -> None:
        self.rng = random.Random(seed)
        self.blind = blind

    def file(self, data: bytes) -> bytes:
        """Change a file a few times."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 4))):
            data = self.part(data)
        return data

    def part(self, data: bytes) -> bytes:
        """Change what is a file, or in one."""
        if not data or self.chance(0.15):
            return self.blind(data)
        if data.startswith(b"PK"):
            return self.zip(data)
        if data.startswith(npy_format.MAGIC_PREFIX):
            return self.npy(data)
        if data[257:262] == b"ustar":
            return self.tar(data)
        for magic in COMPRESSIONS:
            if data.startswith(magic):
                return self.compressed(data, magic)
        if data[:1] in (pickle.PROTO, pickle.MARK, pickle.EMPTY_DICT, pickle.GLOBAL):
            return self.pickle(data)
        return self.blind(data)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def number(self, old: int = 0) -> int:
        return self.rng.choice((self.rng.choice(INTERESTING), old + 1, old - 1, 2 * old, -old, self.rng.randrange(300)))

    def place(self, items: Any) -> int:
        return self.rng.randrange(len(items)) if items else 0

    def list(self, items: list[Any], change: Callable[[Any], Any]) -> list[Any]:
        """Change one of a list, or take it out, or have it twice, or elsewhere."""
        items = list(items)
        if not items:
            return items
        at, kind = self.place(items), self.rng.random()
        if kind < 0.75:
            items[at] = change(items[at])
        elif kind < 0.85:
            del items[at]
        elif kind < 0.95:
            items.insert(self.rng.randrange(len(items) + 1), items[at])
        else:
            items.insert(self.place(items), items.pop(at))
        return items

    # .npy

    def npy(self, data: bytes) -> bytes:
        size = 2 if data[6:7] == b"\1" else 4
        length = int.from_bytes(data[8 : 8 + size], "little")
        header, content = data[8 + size : 8 + size + length], data[8 + size + length :]
        what = self.rng.random()
        if b"|O" in header and what < 0.9:
            content = self.part(content)
        elif what < 0.35:
            content = self.numbers(content)
        elif what < 0.4:
            content = self.blind(content)
        else:
            header = self.npy_header(header)
            if self.chance(0.7):
                content = fitted(header, content)
        version = self.rng.choice((b"\1\0", b"\2\0", b"\3\0")) if self.chance(0.05) else data[6:8]
        size = 2 if version == b"\1\0" else 4
        length = self.number(len(header)) if self.chance(0.03) else len(header)
        return npy_format.MAGIC_PREFIX + version + (length % 256**size).to_bytes(size, "little") + header + content

    def npy_header(self, header: bytes) -> bytes:
        if self.chance(0.1):
            return self.blind(header)
        if self.chance(0.4):
            dtype = self.rng.choice("?bBhHiIlLqQefdgFDGSUVOMm") + self.rng.choice(("", "", "1", "4", "8", "16", "0"))
            dtype = self.rng.choice("<>=|") + dtype
            literal = self.rng.choice((repr(dtype), f"[('f0', '{dtype}')]", f"('{dtype}', ({self.number()},))"))
            return re.sub(rb"(?<='descr': )('[^']*')", lambda _: literal.encode(), header, count=1)
        if self.chance(0.2):
            swapped = {b"True": b"False", b"False": b"True"}
            return re.sub(rb"True|False", lambda found: swapped[found[0]], header, count=1)
        return re.sub(rb"(?<='shape': )\(([^)]*)\)", self.shape, header, count=1)

    def shape(self, found: re.Match[bytes]) -> bytes:
        sizes = [int(size) for size in re.findall(rb"-?\d+", found[1])[:70]] or [1]
        if self.chance(0.3):
            sizes.insert(self.place(sizes), self.number())
        sizes = self.list(sizes, self.number)
        return b"(" + b"".join(b"%d, " % size for size in sizes) + b")"

    def numbers(self, content: bytes) -> bytes:
        """Put a number that is none, or too large, or too small, into an array."""
        code = self.rng.choice(("<f8", "<f8", "<f4", ">f8", "<f2", "<i8", "<i4", "<u4"))
        if code[1] == "f":
            finfo = np.finfo(code)
            one = self.rng.choice((np.nan, np.inf, -np.inf, finfo.max, finfo.tiny, finfo.smallest_subnormal, -1.0, 1e3))
            raw = np.array(one, code).tobytes()
        else:
            raw = (self.number() % 256 ** int(code[2])).to_bytes(int(code[2]), "little")
        at = self.place(content) // len(raw) * len(raw)
        return content[:at] + raw + content[at + len(raw) :]

    # Zip.

    def zip(self, data: bytes) -> bytes:
        members = zip_members(data)
        if not members:
            return self.blind(data)
        return zip_of(self.list(members, self.member))

    def member(self, member: ZipMember) -> ZipMember:
        kind = self.rng.random()
        if kind < 0.65:
            return replace(member, content=self.part(member.content))
        if kind < 0.75:
            return replace(member, method=self.rng.choice((0, 8, 8, 8, 12, 14, 99)))
        if kind < 0.8:
            names = (
                b"poses.npy",
                b"trans.npy",
                b"dmpls.npy",
                b"eigvec.npy",
                b"data.npy",
                b"format.npy",
                b"\\a/../b",
                b"",
            )
            return replace(member, name=self.rng.choice((*names, self.blind(member.name)[:100])))
        name = self.rng.choice(list(ZIP_LIES))
        if name == "extra":
            extra = struct.pack("<HH", self.rng.choice((1, 1, 0x7075, 99)), self.rng.choice((0, 8, 16, 24, 28)))
            return replace(
                member, lies={**member.lies, name: extra + self.rng.randbytes(self.rng.choice((0, 8, 16, 28)))}
            )
        return replace(member, lies={**member.lies, name: self.number() % 256 ** ZIP_LIES[name]})

    # Tar, and what compresses it.

    def compressed(self, data: bytes, magic: bytes) -> bytes:
        if magic == b"BZh" and self.chance(0.1):  # a mark where none should be
            mark = self.rng.choice((0x314159265359, 0x177245385090))
            at, bits = self.place(data), self.rng.randrange(8)
            old = int.from_bytes(data[at : at + 7].ljust(7, b"\0"), "big")
            mask = (2**48 - 1) << bits
            return data[:at] + (old & ~mask | mark << bits).to_bytes(7, "big") + data[at + 7 :]
        content, rest = decompressed(data, magic)
        if not content or len(content) > 1 << 19:
            return self.blind(data)
        content = self.part(content)
        magic = self.rng.choice(list(COMPRESSIONS)) if self.chance(0.1) else magic
        compress = COMPRESSIONS[magic][0]
        if self.chance(0.1):  # in two streams
            at = self.place(content)
            between = self.rng.choice((b"", b"", bytes(4), bytes(5), compress(b"")))
            return compress(content[:at]) + between + compress(content[at:]) + rest
        return compress(content) + (self.blind(b"rest") if self.chance(0.03) else rest)

    def tar(self, data: bytes) -> bytes:
        members = list(tar_members(data))
        return b"".join(self.list(members, self.tar_member))

    def tar_member(self, member: bytes) -> bytes:
        header, content = bytearray(member[:512]), member[512:]
        if not any(header) or len(header) < 512:
            return self.blind(member)
        if self.chance(0.3) and content:
            if self.chance(0.7) and header[156:157] in b"xgX":
                content = self.pax(content)
                header[124:136] = b"%011o\0" % len(content)
            else:
                content = self.blind(content)
            content += bytes(-len(content) % 512)
        elif self.chance(0.9):
            start, stop = self.rng.choice(TAR_FIELDS)
            width = stop - start
            new = self.rng.choice(
                (
                    b"%o\0" % abs(self.number(len(content))),
                    self.rng.choice((b"\x80", b"\xff")) + (self.number() % 2**64).to_bytes(width - 1, "big")
                    if width > 8
                    else b"",
                    self.blind(bytes(header[start:stop])),
                    self.rng.choice((b"0", b"1", b"2", b"5", b"x", b"g", b"L", b"K", b"S", b"X", b"D", b"V", b"\0")),
                )
            )
            header[start:stop] = new[:width].ljust(width, b"\0")
        else:
            return self.blind(member)
        if self.chance(0.95):
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header) + content

    def pax(self, content: bytes) -> bytes:
        records = []
        while found := re.match(rb"(\d{1,9}) ([^=]*)=", content):
            length = int(found[1])
            records.append((found[2], content[found.end() : length - 1]))
            content = content[length:]
            if not length:
                break
        if self.chance(0.3):
            records.append((self.rng.choice(PAX_NAMES), b"1"))

        def change(record: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
            value = self.rng.choice((self.blind(record[1]), b"%d" % self.number(), b"1.5e999", b"nan", b"0,1,1,2"))
            return self.rng.choice((record[0], record[0], self.rng.choice(PAX_NAMES))), value

        written = b""
        for name, value in self.list(records, change):
            length = len(name) + len(value) + 3
            length += len(str(length + len(str(length))))
            length = self.number(length) if self.chance(0.05) else length
            written += b"%d %s=%s\n" % (length, name, value)
        return written

    # Pickles.

    def pickle(self, data: bytes) -> bytes:
        steps, rest = pickle_steps(data)
        if self.chance(0.25):
            at = self.rng.randrange(len(steps) + 1)
            steps.insert(at, self.rng.choice((self.step(b""), self.rng.choice(steps or [b"."]))))
        elif self.chance(0.1) and len(steps) > 3:
            start = self.place(steps)
            stop = start + self.rng.randrange(1, 12)
            steps[start:stop] = steps[start:stop] * self.rng.choice((0, 2, 2, 100))
        else:
            steps = self.list(steps, self.step)
        return b"".join(steps) + rest

    def step(self, step: bytes) -> bytes:
        """Change an opcode or its argument."""
        if not step or self.chance(0.3):
            opcode = self.rng.choice(OPCODES)
            number = self.number()
            match opcode:
                case b"J" | b"K" | b"M" | b"h" | b"q" | b"j" | b"r" | b"G" | b"\x95":
                    size = {b"J": 4, b"M": 2, b"j": 4, b"r": 4, b"G": 8, b"\x95": 8}.get(opcode, 1)
                    return opcode + (number % 256**size).to_bytes(size, "little")
                case b"I" | b"L" | b"g" | b"p" | b"F":
                    return opcode + b"%d\n" % number
                case b"c" | b"i":
                    return opcode + self.rng.choice(NAMES)
                case _ if opcode in STRINGS:
                    size = STRINGS[opcode]
                    text = self.rng.choice((b"", b"x", b"f8", b"latin1", self.rng.randbytes(8), bytes(300)))
                    length = number if self.chance(0.3) else len(text)
                    return opcode + (length % 256**size).to_bytes(size, "little") + text
            return opcode
        opcode, argument = step[:1], step[1:]
        if opcode in STRINGS:
            size = STRINGS[opcode]
            text = argument[size:]
            text = self.numbers(text) if self.chance(0.3) else self.blind(text)
            length = self.number(len(text)) if self.chance(0.2) else len(text)
            return opcode + (length % 256**size).to_bytes(size, "little") + text
        if opcode in b"ci":
            return opcode + self.rng.choice((self.rng.choice(NAMES), self.blind(argument)))
        if argument.endswith(b"\n") and self.chance(0.6):
            return opcode + b"%d\n" % self.number()
        if argument:
            return opcode + self.blind(argument)[: len(argument)].ljust(len(argument), b"\0")
        return self.rng.choice(OPCODES)


OPCODES = [bytes([ord(opcode.code)]) if ord(opcode.code) < 256 else b"" for opcode in pickletools.opcodes]
STRINGS = {
    b"U": 1,
    b"T": 4,
    b"\x8c": 1,
    b"X": 4,
    b"\x8d": 8,
    b"C": 1,
    b"B": 4,
    b"\x8e": 8,
    b"\x96": 8,
    b"\x8a": 1,
    b"\x8b": 4,
}
NAMES = [
    b"numpy\nndarray\n",
    b"numpy\ndtype\n",
    b"numpy.core.multiarray\n_reconstruct\n",
    b"numpy.core.multiarray\nscalar\n",
    b"numpy._core.numeric\n_frombuffer\n",
    b"copy_reg\n_reconstructor\n",
    b"__builtin__\nobject\n",
    b"builtins\nset\n",
    b"builtins\nbytes\n",
    b"collections\nOrderedDict\n",
    b"_codecs\nencode\n",
    b"scipy.sparse.csc\ncsc_matrix\n",
    b"scipy.sparse.coo\ncoo_matrix\n",
    b"chumpy.ch\nCh\n",
    b"chumpy.reordering\nSelect\n",
    b"os\nsystem\n",
]


def pickle_steps(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut a pickle into its opcodes, as far as they can be told; without frames, which no change would leave right."""
    places = list(places_of_opcodes(data))
    if not places:
        return [], data
    ends = [place for _, place in places[1:]] + [places[-1][1] + 1]
    steps = [data[place:end] for (name, place), end in zip(places, ends, strict=True) if name != "FRAME"]
    return steps, data[ends[-1] :]


def places_of_opcodes(data: bytes) -> Iterator[tuple[str, int]]:
    try:
        for opcode, _, place in pickletools.genops(data):
            yield opcode.name, place
    except Exception:  # how pickletools says that it is damaged
        return


def fitted(header: bytes, content: bytes) -> bytes:
    """Cut or lengthen an array's bytes to what its header says, if that is not much."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading = npy_format.read_array_header_1_0(io.BytesIO(struct.pack("<H", len(header)) + header))
        size = reading[2].itemsize
        for one in reading[0]:
            size *= one
    except Exception:  # a header that is none
        return content
    return content[:size].ljust(size, b"\0") if 0 <= size < LONGEST_ARRAY else content


@dataclass(frozen=True)
class ZipMember:
    """A member of a zip archive, and what is said of it that is not so."""

    name: bytes
    content: bytes
    method: int = 0
    lies: dict[str, Any] = field(default_factory=dict)


ZIP_LIES = {
    "version": 2, "flags": 2, "method": 2, "crc": 4, "compressed_size": 4, "size": 4, "disk": 2, "attributes": 4,
    "offset": 4, "system": 1, "extra": 0, "local_crc": 4, "local_size": 4, "local_flags": 2, "local_name_size": 2,
    "entries": 2, "directory_size": 4, "directory": 4,
}  # fmt: skip
"""What a zip archive says of a member, or of itself, and in how many bytes."""


def zip_members(data: bytes) -> list[ZipMember]:
    """Take a zip archive apart; without what cannot be read."""
    members = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist()[:100]:
                try:
                    content = archive.read(info)
                except Exception:  # a damaged member
                    continue
                name = info.filename.encode("utf-8", "surrogateescape")
                members.append(ZipMember(name, content[:LONGEST_ARRAY], info.compress_type))
    except Exception:  # a damaged archive
        return []
    return members


def zip_of(members: list[ZipMember]) -> bytes:
    """Put a zip archive together (APPNOTE 4.3)."""
    body, directory, whole = b"", b"", {}
    for member in members:
        says = member.lies
        whole |= says
        data, method = member.content, member.method
        if method == zipfile.ZIP_DEFLATED:
            compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
            data = compressor.compress(data) + compressor.flush()
        elif method == zipfile.ZIP_BZIP2:
            data = bz2.compress(data)
        elif method == zipfile.ZIP_LZMA:
            filters = [{"id": lzma.FILTER_LZMA1, "preset": 0}]
            data = struct.pack("<BBHBL", 9, 4, 5, 93, 1 << 18) + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
        extra, crc = says.get("extra", b""), zlib.crc32(member.content)

        def entry(prefix: str = "", *, member: ZipMember = member, size: int = len(data), crc: int = crc) -> bytes:
            says = member.lies
            return struct.pack(
                "<HHHIIIIHH",
                says.get("version", 45) if not prefix else 45,
                says.get(f"{prefix}flags", says.get("flags", 0x800 if not member.name.isascii() else 0)),
                says.get("method", member.method), 0x21 << 16,
                says.get(f"{prefix}crc", crc), says.get("compressed_size", size),
                says.get(f"{prefix}size", len(member.content)),
                says.get("local_name_size", len(member.name)) if prefix else len(member.name),
                len(says.get("extra", b"")),
            )  # fmt: skip

        offset = says.get("offset", len(body))
        body += b"PK\3\4" + entry("local_") + member.name + extra + data
        made_by = struct.pack("<BB", 20, says.get("system", 3))
        place = struct.pack("<HHHII", 0, says.get("disk", 0), 0, says.get("attributes", 0o100644 << 16), offset)
        directory += b"PK\1\2" + made_by + entry() + place + member.name + extra
    counts = [whole.get("entries", len(members)) % 2**16] * 2
    sizes = whole.get("directory_size", len(directory)), whole.get("directory", len(body))
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, *counts, *sizes, 0)


TAR_FIELDS = [(0, 100), (100, 108), (124, 136), (124, 136), (124, 136), (136, 148), (156, 157), (156, 157), (156, 157)]
TAR_FIELDS += [(157, 257), (257, 265), (329, 337), (345, 500), (386, 398), (398, 410), (482, 483), (483, 495)]
"""Name, mode, size, time, type, link, magic, device, prefix; and of GNU's sparse files, where they lie and how long."""

PAX_NAMES = [b"path", b"linkpath", b"size", b"mtime", b"uid", b"hdrcharset", b"GNU.sparse.map", b"GNU.sparse.size"]
PAX_NAMES += [
    b"GNU.sparse.major",
    b"GNU.sparse.minor",
    b"GNU.sparse.realsize",
    b"GNU.sparse.name",
    b"GNU.sparse.offset",
]


def tar_members(data: bytes) -> Iterator[bytes]:
    """Cut a tar before every header."""
    at = 0
    while at < len(data):
        digits = re.fullmatch(rb"[ 0]*([0-7]{1,11})[ \0]*", data[at + 124 : at + 136])
        blocks = 1 + -(-int(digits[1], 8) // 512) if digits else 1
        yield data[at : at + 512 * blocks]
        at += 512 * blocks


COMPRESSIONS: dict[bytes, tuple[Callable[[bytes], bytes], Callable[[], Any]]] = {
    b"BZh": (lambda data: bz2.compress(data, 1), bz2.BZ2Decompressor),
    b"\x1f\x8b": (functools.partial(gzip.compress, compresslevel=1, mtime=0), lambda: zlib.decompressobj(31)),
    b"\xfd7zXZ\0": (functools.partial(lzma.compress, preset=0), lambda: lzma.LZMADecompressor(memlimit=1 << 24)),
}
"""By their first bytes: how they compress, and what decompresses them."""


def decompressed(data: bytes, magic: bytes) -> tuple[bytes, bytes]:
    """Give the content of all streams, and what follows them."""
    content = b""
    try:
        while data.startswith(magic):
            decoder = COMPRESSIONS[magic][1]()
            content += decoder.decompress(data, 1 << 20)
            if not decoder.eof:
                break
            data = decoder.unused_data
    except (OSError, zlib.error, lzma.LZMAError):
        return content, b""
    return content, data
