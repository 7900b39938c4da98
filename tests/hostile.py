"""A corpus of bad files: everything that this program reads, with everything that can be wrong with it.

To look at them::

    python tests/hostile.py DIR

A bad file says what must happen. A bad sequence or archive is skipped, with a reason, and the others beside it are
converted. Of a bad regressor or model there is one message, and no sequence is converted. What is only odd is read like
any other. Nothing in a file is ever run: the payloads would make a file, :data:`MARK`.

Here is how bad files are made, and what can be wrong with any; ``hostile_sequences.py`` and the others have what can be
wrong with one kind. All are made of the demo's stand-ins and of random numbers.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

MARK = "AMASS_JOINTS_TESTS_MARK"
"""The environment variable that names the file which a payload makes."""

BROKEN = "broken or truncated"


@dataclass(frozen=True)
class Bad:
    """A bad file, or a whole tree of them."""

    name: str
    make: Callable[[Path], object]
    """Makes it, at this path."""
    reason: str = ""
    """What is said of it: a regular expression. None where it is converted."""
    same_as: Mapping[str, np.ndarray] | None = None
    """Of a sequence that is only odd: the arrays of the usual one that gives the same."""


@dataclass(frozen=True)
class BadArchive:
    """A bad archive, or one with bad things in it."""

    name: str
    """Of the dataset."""
    make: Callable[[Path], object]
    skipped: Mapping[str, str]
    """The reasons, regular expressions, by ``subject/sequence``; of the archive itself, by the empty text."""
    converted: tuple[str, ...] = ()
    """What is read of it nevertheless: each is a good sequence."""
    suffix: str = ".tar"


@dataclass(frozen=True)
class Expected:
    """What must become of a tree, by ``dataset/subject/sequence``."""

    skipped: dict[str, str] = field(default_factory=dict)
    """The reasons, regular expressions."""
    converted: dict[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """The arrays of sequences that give the same."""
    any_of: dict[str, str] = field(default_factory=dict)
    """Datasets of which more may be skipped, for such reasons, or converted."""


# ---------------------------------------------------------------------------------------------- how they are made


class Payload:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; open(os.environ.get({MARK!r}, 'executed'), 'w').close()",)


def objects(content: Any = None) -> np.ndarray:
    """An array of a Python object."""
    array = np.empty((), object)
    array[()] = Payload() if content is None else content
    return array


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """An array with any header."""
    text = header.encode("latin-1") + b"\n"
    size = struct.pack("<I" if version > (1, 0) else "<H", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def header(shape: str, descr: str = "'<f8'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def npz(members: Mapping[str, Any], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of arrays, and of bytes as they are."""
    return zipped({f"{name}.npy": a if isinstance(a, bytes) else npy(a) for name, a in members.items()}, method)


def zipped(members: Mapping[str, bytes] | list[tuple[Any, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, content)
    return stream.getvalue()


@dataclass(frozen=True)
class Part:
    """A member of a zip archive as it shall stand there, whatever it says."""

    name: str
    data: bytes
    method: int = zipfile.ZIP_STORED
    size: int | None = None
    """Bytes that it says it becomes; None: as it is."""
    hole: int = 0
    """Bytes of zeros that follow, which take no room on most disks."""


def write_zip(parts: list[Part], path: Path) -> None:
    entries = []
    with path.open("wb") as stream:
        for part in parts:
            name, compressed = part.name.encode(), len(part.data) + part.hole
            sizes = struct.pack("<HHQQ", 1, 16, compressed if part.size is None else part.size, compressed)
            crc = zlib.crc32(part.data)
            shared = struct.pack("<HHHHHIIIHH", 45, 0, part.method, 0, 33, crc, 2**32 - 1, 2**32 - 1, len(name), 20)
            at = struct.pack("<HHHII", 0, 0, 0, 0, stream.tell())
            entries.append(b"PK\1\2\x2d\0" + shared + at + name + sizes)
            stream.write(b"PK\3\4" + shared + name + sizes + part.data)
            stream.seek(part.hole, os.SEEK_CUR)
        place, size, count = stream.tell(), sum(map(len, entries)), len(parts)
        end = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, place)
        stream.write(b"".join(entries) + b"PK\6\6" + end + b"PK\6\7" + struct.pack("<IQI", 0, place + size, 1))
        stream.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, size, 2**32 - 1, 0))


def deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


def bomb(start: bytes, zeros: int) -> bytes:
    """What deflate makes of these bytes and of so many zeros, a mebibyte at a time."""
    compressor = zlib.compressobj(9, wbits=-15)
    begun = compressor.compress(start) + compressor.flush(zlib.Z_FULL_FLUSH)
    mebibyte = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return begun + mebibyte * (zeros >> 20) + compressor.compress(bytes(zeros % (1 << 20))) + compressor.flush()


def patched(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) :]


def replaced(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    if old not in data:
        raise ValueError(f"{old!r} is not there")
    return data.replace(old, new, count)


def written(content: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content())


NO_FILES: dict[str, tuple[bytes, str]] = {
    # Of anything: what it may hold in place of what it should, and what an .npz of it is said to be.
    "zero bytes": (b"", BROKEN),
    "one byte": (b"P", BROKEN),
    "text": (b"Dear reader, this is no array.\n" * 40, f"{BROKEN}.*not a zip"),
    "a web page": (b"<!DOCTYPE html><html><body>Please log in.</body></html>" * 30, f"{BROKEN}.*not a zip"),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", BROKEN),
    "a pickle": (pickle.dumps({"poses": Payload()}), f"{BROKEN}.*not a zip"),
    "an array of objects": (npy(objects()), f"{BROKEN}.*not a zip"),
    "zeros": (bytes(5000), f"{BROKEN}.*not a zip"),
    "gzip": (gzip.compress(b"nothing"), f"{BROKEN}.*not a zip"),
}

ARRAYS: dict[str, tuple[bytes, str]] = {
    # What an array may be in place of what it should, and what is said of it.
    "empty": (b"", "not that of a NumPy array"),
    "of objects": (npy(objects()), "pickled Python objects, which are never loaded"),
    "of objects in a record": (
        with_header(header("(1,)", "[('a', '|O')]"), pickle.dumps(Payload())),
        "expected numbers or text, found records",
    ),
    "a bare pickle": (pickle.dumps(Payload()), "not that of a NumPy array"),
    "of terabytes": (with_header(header("(1000000000000, 156)"), bytes(800)), "header promises 1248000000000000 bytes"),
    "of a negative shape": (with_header(header("(-1, 156)"), bytes(800)), "gives the shape"),
    "of a shape that overflows to nothing": (with_header(header("(4294967296, 4294967296)")), "header promises"),
    "of a shape that no machine has": (with_header(header("(9223372036854775808, 0)")), "gives the shape"),
    "of a shape of many digits": (with_header(header(f"({'9' * 5000}, 1)")), "not that of a NumPy array"),
    "of a hundred axes": (with_header(header(f"({'1, ' * 100})"), bytes(8)), "gives the shape"),
    "of half a number": (with_header(header("(1.5, 156)")), "not that of a NumPy array"),
    "of no type": (with_header(header("(24, 156)", "'nonsense'")), "not that of a NumPy array"),
    "of nothings": (with_header(header("(24, 156)", "'|V0'")), "gives the shape"),
    "of dates": (with_header(header("(1,)", "'<M8[ns]'"), bytes(8)), "expected (real numbers|one text|integers)"),
    "with a header of gigabytes": (with_header("{}", version=(2, 0), length=2**32 - 1), "its header has 4294967295"),
    "with a header of code": (with_header("__import__('os').abort()"), "not that of a NumPy array"),
    "with a header of minus signs": (with_header("-" * 9900 + "1"), "not that of a NumPy array"),
    "with a header of powers": (with_header("1**" * 3000 + "1"), "not that of a NumPy array"),
    "with a header of brackets": (with_header("[" * 9000), "not that of a NumPy array"),
    "with a header that ends early": (with_header("{'descr': '<f8', 'shape'"), "not that of a NumPy array"),
    "without an order": (with_header("{'descr': '<f8', 'shape': (24, 156)}"), "not that of a NumPy array"),
    "of a future version": (with_header(header("(24, 156)"), version=(9, 0)), r"its format version \(9, 0\)"),
    "with fewer bytes than it says": (npy(np.zeros((24, 156)))[:-8], "header promises 29952 bytes.*holds 29944"),
    "with more bytes than it says": (npy(np.zeros((24, 156))) + b"more", "header promises 29952 bytes.*holds 29956"),
}


def not_files() -> Iterator[Bad]:
    """What is no ``.npz`` at all."""
    yield from (Bad(name, written(content), reason) for name, (content, reason) in NO_FILES.items())


def damaged(arrays: Mapping[str, np.ndarray]) -> Iterator[Bad]:
    """A good ``.npz`` of these arrays, damaged: in the first of them, where it is in one."""
    first, second, *_ = arrays
    whole = npz(arrays)
    for name, place in boundaries(whole).items():
        yield Bad(f"cut at {name}", written(whole[:place]), BROKEN)
    for name, (content, reason) in ARRAYS.items():
        reason = f"array '{first}': .*({reason})|its {first} has the shape"
        yield Bad(f"{first} {name}", written(partial(npz, {**arrays, first: content})), reason)
    directory = whole.index(b"PK\1\2")
    in_first = boundaries(whole)["array"] + 20
    flipped = patched(whole, in_first, bytes([whole[in_first] ^ 1]))
    yield Bad("a bit flipped", written(flipped), f"'{first}'.*CRC-32")
    yield Bad("a wrong checksum", written(patched(whole, directory + 16, b"\0\0\0\1")), f"'{first}'.*CRC-32")
    compressed = npz(arrays, zipfile.ZIP_DEFLATED)
    middle = (30 + compressed.index(b"PK\3\4", 4)) // 2
    flipped = patched(compressed, middle, bytes([compressed[middle] ^ 1]))
    yield Bad("a bit flipped in deflate", written(flipped), f"'{first}'.*({BROKEN}|header)")
    in_bzip2, in_lzma = (partial(npz, arrays, method) for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    yield Bad("in bzip2", written(in_bzip2), f"'{first}'.*zip's method 12, expected 0 or 8")
    yield Bad("in lzma of 4 GB", written(lambda: wanting_memory(in_lzma())), f"'{first}'.*zip's method 14, expected 0")
    yield Bad("of an unknown method", written(patched(whole, directory + 10, b"\x63\0")), f"'{first}'.*method 99")
    encrypted = patched(patched(whole, directory + 8, b"\1\0"), 6, b"\1\0")
    yield Bad("encrypted", written(encrypted), f"'{first}'.*encrypted")
    members = [(f"{name}.npy", npy(array)) for name, array in arrays.items()]
    for name in (first, second):
        twice = partial(zipped, [*members, (f"{name}.npy", npy(arrays[name]))])
        yield Bad(f"{name} twice", written(twice), f"array '{name}' is there twice")
    other = replaced(whole, f"{second}.npy".encode(), b"?" * len(second) + b".npy", 1)
    yield Bad("another name within", written(other), f"'{second}'.*differ")
    second_entry = whole.index(b"PK\1\2", directory + 4)
    overlapping = patched(whole, second_entry + 42, b"\0\0\0\0")
    yield Bad("two names for the same bytes", written(overlapping), f"'{second}'.*(differ|Overlapped)")
    beyond = patched(whole, second_entry + 42, struct.pack("<I", len(whole)))
    yield Bad("an array beyond the end", written(beyond), f"'{second}'.*{BROKEN}")
    hidden = patched(whole, directory + 42, struct.pack("<I", 30))
    yield Bad("a directory without the first", written(hidden), f"{BROKEN}.*its directory")
    for name, size in (("an array longer than the file", 1 << 31), ("an array too long", len(npy(arrays[first])) + 9)):
        longer = patched(whole, directory + 20, struct.pack("<II", size, size))
        yield Bad(name, written(longer), f"'{first}'.*({BROKEN}|header promises)")
    elsewhere = patched(whole, len(whole) - 6, b"\xff\xff\0\0")
    yield Bad("a directory that lies elsewhere", written(elsewhere), BROKEN)
    yield Bad("a directory of megabytes", large_directory, f"{BROKEN}.*a directory of 1\\d{{7}} bytes")
    others = [Part(f"{name}.npy", npy(array)) for name, array in arrays.items() if name != first]
    few = Part(f"{first}.npy", deflate(npy(arrays[first])), zipfile.ZIP_DEFLATED, size=4_000_000_000)
    make = partial(write_zip, [few, *others])
    yield Bad("more than deflate can make", make, f"'{first}'.*would become 4000000000")
    for order, name in (("False", "C's order"), ("True", "Fortran's order")):
        start = with_header(header("(10000000, 128)", order=order))
        make = partial(with_bomb, first, start, 10 * 1024 * 1000 * 1000, others)
        yield Bad(
            f"a bomb of ten gigabytes in {name}",
            make,
            f"'{first}'.*would become 1\\d{{10}}: nothing real compresses so far",
        )


def boundaries(data: bytes) -> dict[str, int]:
    """Where a zip archive of arrays may be cut: at each of its parts, and within them."""
    names = ["local header", "name", "extra field", "array's header", "array", "second member"]
    name_length, extra_length = struct.unpack_from("<HH", data, 26)
    begins = 30 + name_length + extra_length
    places = [12, 30, 30 + name_length, begins + 6, begins + 128, data.index(b"PK\3\4", 4)]
    directory, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    names += ["last byte of an array", "directory", "second entry", "end of the directory", "last byte"]
    places += [directory - 1, directory, data.index(b"PK\1\2", directory + 4), end, len(data) - 1]
    return dict(zip(names, places, strict=True))


def wanting_memory(data: bytes) -> bytes:
    """Have the first member want as large a dictionary as there is, of LZMA's."""
    return patched(data, data.index(b"\x05\0\x5d") + 3, b"\xff" * 4)


def large_directory(path: Path) -> None:
    """Seventeen megabytes, which would take two hundred and fifty in memory."""
    entry = b"PK\1\2" + bytes(24) + b"\5\0" + bytes(16) + b"a.npy"
    count = (17 << 20) // len(entry)
    end = struct.pack("<HHHHIIH", 0, 0, 0, 0, count * len(entry), 0, 0)
    path.write_bytes(entry * count + b"PK\5\6" + end)


def with_bomb(name: str, start: bytes, zeros: int, others: list[Part], path: Path) -> None:
    part = Part(f"{name}.npy", bomb(start, zeros), zipfile.ZIP_DEFLATED, size=len(start) + zeros)
    write_zip([part, *others], path)


def main(directory: Path) -> None:
    """Write the corpus."""
    import hostile_archives
    import hostile_models
    import hostile_sequences

    hostile_sequences.write_sequences(directory / "data")
    hostile_archives.write_archives(directory / "data")
    hostile_archives.write_file_systems(directory / "data")
    hostile_models.write(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
