"""Bad archives, and what is bad in directories: links, pipes, names."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hostile import ARRAYS, BROKEN, NO_FILES, BadArchive, Expected, objects, patched, written, zipped
from hostile_sequences import GOOD, deflated_sequence, sequence

END = bytes(1024)
"""Of a tar."""

NOISE = np.random.default_rng(0).bytes(600_000)
"""Which makes an archive of several blocks of bzip2."""


def member(name: str, content: bytes = b"", size: int | None = None, **what: Any) -> bytes:
    """A member of a tar, with any header; the last keywords are attributes of :class:`tarfile.TarInfo`."""
    info = tarfile.TarInfo(name)
    info.size = len(content) if size is None else size
    for attribute, value in what.items():
        setattr(info, attribute, value)
    format_ = tarfile.PAX_FORMAT if info.pax_headers else tarfile.GNU_FORMAT
    return info.tobuf(format_, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)


def extended(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    """A header of what follows it."""
    return member("././@Extended", content, size, type=kind)


def record(name: str, value: bytes) -> bytes:
    """A record of a pax header: its own length comes first."""
    rest = b" " + name.encode() + b"=" + value + b"\n"
    length = next(n for n in range(len(rest), len(rest) + 9) if n == len(str(n)) + len(rest))
    return str(length).encode() + rest


A, B = member("s/a_poses.npz", sequence()), member("s/b_poses.npz", sequence())
BAD = partial(member, "s/bad_poses.npz")
LONG = A + member("noise.bin", NOISE) + B + END

ONE, BOTH = ("s/a_poses",), ("s/a_poses", "s/b_poses")

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar.bz2": lambda data: bz2.compress(data, 1),
    ".tar.gz": gzip.compress,
    ".tar.xz": lzma.compress,
}


def tar(
    name: str, content: bytes, suffix: str = ".tar", converted: tuple[str, ...] = BOTH, **skipped: str
) -> BadArchive:
    """A bad tar; what is skipped of it goes by ``archive``, for itself, and ``member``, for its bad member."""
    keys = {"archive": "", "member": "s/bad_poses"}
    return BadArchive(name, written(content), {keys[key]: skipped[key] for key in skipped}, converted, suffix)


def archives() -> Iterator[BadArchive]:
    """All of them."""
    for name, (content, _) in NO_FILES.items():
        reason = "it is empty" if not content else "web page" if b"<html" in content else "not an archive|holds no tar"
        yield tar(f"{name} as an archive", content, ".tar.bz2", (), archive=f"^(it is )?.*({reason})")
    yield from cut()
    yield from members_of_tar()
    yield from headers_of_tar()
    yield from compressed()
    yield from names()
    yield from zips()


def cut() -> Iterator[BadArchive]:
    """Archives that end early, or are damaged."""
    both = A + B
    yield tar("cut in the first header", both[:100], converted=(), archive="not an archive")
    name = {"": f"{BROKEN}.*ends early", "s/a_poses": f"{BROKEN}.*ends early"}
    yield BadArchive("cut in the first member", written(both[:9000]), name)
    yield tar("cut after a member", A, converted=ONE, archive=f"{BROKEN}.*ends early")
    yield tar("cut in a later header", both[: len(A) + 200], converted=ONE, archive=f"{BROKEN}.*ends early")
    yield tar("cut before the end", both, archive=f"{BROKEN}.*ends early")
    flipped = patched(both, len(A) + 3, b"X")
    yield tar("a bit flipped in a header", flipped + END, converted=ONE, archive=f"{BROKEN}.*bad checksum")
    for suffix, compress in COMPRESSIONS.items():
        data = compress(LONG)
        yield tar(f"half of a {suffix}", data[: len(data) // 2], suffix, ONE, archive=f"{BROKEN}.*ends? early")
        yield tar(f"all but a byte of a {suffix}", data[:-1], suffix, archive=f"{BROKEN}.*ends? early")
        yield tar(f"the beginning of a {suffix}", data[:9], suffix, (), archive=BROKEN)
        middle = len(data) // 2
        flipped = patched(data, middle, bytes([data[middle] ^ 64]))
        yield tar(f"a bit flipped in a {suffix}", flipped, suffix, ONE, archive=BROKEN)


def members_of_tar() -> Iterator[BadArchive]:
    """Members that are no files, or lie about it."""
    kinds = {
        "a link to elsewhere": ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "it is a link to '/etc/passwd'"),
        "a link upwards": ({"type": tarfile.SYMTYPE, "linkname": "../../.."}, r"it is a link to '\.\./\.\./\.\.'"),
        "a link to itself": ({"type": tarfile.SYMTYPE, "linkname": "bad_poses.npz"}, "it is a link to 'bad_poses.npz'"),
        "a hard link": ({"type": tarfile.LNKTYPE, "linkname": "s/a_poses.npz"}, "it is a link to 's/a_poses.npz'"),
        "a terminal": ({"type": tarfile.CHRTYPE, "devmajor": 5}, "it is not a regular file"),
        "a disk": ({"type": tarfile.BLKTYPE, "devmajor": 8}, "it is not a regular file"),
        "a pipe": ({"type": tarfile.FIFOTYPE}, "it is not a regular file"),
    }
    for name, (what, reason) in kinds.items():
        yield tar(f"a tar with {name}", A + BAD(**what) + B + END, member=reason)
    huge = "it has 1000000000000 bytes, more than 2147483648"
    yield tar(
        "a tar of a terabyte", A + BAD(b"x", 10**12) + B + END, ".tar", ONE, member=huge, archive=f"{BROKEN}.*early"
    )
    almost = (1 << 31) - 5
    reason = f"{BROKEN}.*ends early"
    yield tar("a tar of two gigabytes", A + BAD(b"x", almost) + B + END, ".tar", ONE, member=reason, archive=reason)
    of_gnu = patched(BAD(b"x" * 512), 156, b"S")
    of_gnu = with_checksum(patched(of_gnu, 483, b"20000000000\0"))
    yield tar("a sparse file of GNU", A + of_gnu + B + END, member="it is a sparse file")
    for version, records in {
        "0.1": [("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"2000000000")],
        "1.0": [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"2000000000")],
    }.items():
        pax = extended(tarfile.XHDTYPE, b"".join(record(*one) for one in records))
        yield tar(f"a sparse file of pax {version}", A + pax + BAD(b"x" * 512) + B + END, member="it is a sparse file")
    twice = member("s/a_poses.npz", sequence(trans=GOOD["trans"] + 1))
    yield BadArchive("a member twice", written(twice + A + B + END), {"s/a_poses": "the archive has it twice"}, BOTH)
    yield tar("a tar of hidden files", A + B + member("s/._c_poses.npz", b"what macOS leaves") + END)
    yield tar("a tar in a tar", A + B + member("s/inner.tar", A + END) + END)
    for name in ("of objects", "with a header of minus signs", "of terabytes"):
        content, reason = ARRAYS[name]
        yield tar(f"a tar with poses {name}", A + BAD(sequence(poses=content)) + B + END, member=reason)
    yield tar("a tar with text", A + BAD(b"Dear reader, this is no motion.") + B + END, member=f"{BROKEN}.*not a zip")
    yield tar("a tar with nothing", A + BAD(b"") + B + END, member=BROKEN)
    yield tar("a tar with pickled labels", A + member("s/b_poses.npz", sequence(labels=objects())) + END)


def with_checksum(header: bytes) -> bytes:
    header = patched(header, 148, b" " * 8)
    return patched(header, 148, b"%06o\0 " % sum(header[:512]))


def headers_of_tar() -> Iterator[BadArchive]:
    """Headers that say what cannot be."""
    negative = with_checksum(patched(B, 124, b"\xff" * 12))
    yield tar("a member of less than nothing", A + negative + END, converted=ONE, archive="a member of -1 bytes")
    words = with_checksum(patched(B, 124, b"many bytes\0\0"))
    yield tar("a size in words", A + words + END, converted=ONE, archive="a number that is none")
    pax, long_name = tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME
    digits = extended(pax, b"1" * 65_000) * 50
    yield tar("headers of digits", A + digits + B + END, converted=ONE, archive="a pax header that is none")
    for kind in (pax, tarfile.XGLTYPE, long_name):
        name = kind.decode()
        large = extended(kind, b"", 10**9) + B
        yield tar(f"a header {name} of a gigabyte", A + large + END, converted=ONE, archive="a header of 1000000000")
        many = extended(kind, record("path", b"s/b_poses.npz") if kind != long_name else b"s/b_poses.npz\0") * 2000
        yield tar(f"two thousand headers {name}", many + B + A + END)
    yield tar("a header of nothing", A + B + extended(pax, record("path", b"x")) + END, archive="a header of no member")
    for size in (b"-1024", b"9" * 5000, b"many"):
        lie = extended(pax, record("size", size)) + B
        yield tar(f"a size of {size[:5].decode()}", A + lie + END, converted=ONE, archive=f"{BROKEN}.*a member of")
    lie = extended(pax, record("size", b"1000000000000")) + BAD(b"x")
    huge = "it has 1000000000000 bytes, more than"
    yield tar("a terabyte, by pax", A + lie + B + END, converted=ONE, member=huge, archive=BROKEN)


def compressed() -> Iterator[BadArchive]:
    """What is bad about compression."""
    start = A + member("readme.txt", b"", 8 << 30)
    zeros = bytes(40 << 20)
    for suffix, compress in COMPRESSIONS.items():
        bomb = partial(bombed, compress, start, zeros, 200 if suffix == ".tar.bz2" else 60)
        reason = {"": "more than 100 times as large"}
        yield BadArchive(f"a bomb in {suffix}", written(bomb), reason, ONE, suffix)
        streams = compress(b"") * 20_000
        yield tar(f"very many streams of {suffix}", streams + compress(A + B + END), suffix)
    padded = {f"s/{name}_poses.npz": partial(deflated_sequence, padding=np.zeros(20_000_000)) for name in "abcd"}
    reasons = dict.fromkeys(("s/b_poses", "s/c_poses", "s/d_poses"), "more than 100 times as large")
    nest = partial(nested, padded)
    yield BadArchive("bombs in a tar", written(nest), reasons, ONE, ".tar.xz")
    xz = lzma.compress(A + B + END)
    at = xz.index(b"\x21\x01", 12) + 2  # the size of the dictionary, in the header of the first block
    length = (xz[12] + 1) * 4
    block = patched(xz[12 : 12 + length - 4], at - 12, b"\x28")
    greedy = xz[:12] + block + struct.pack("<I", zlib.crc32(block)) + xz[12 + length :]
    yield tar("an xz that wants 4 GB", greedy, ".tar.xz", (), archive="emory usage limit")
    for name, magic in (("zstd", b"\x28\xb5\x2f\xfd"), ("7z", b"7z\xbc\xaf\x27\x1c"), ("rar", b"Rar!\x1a\7\1\0")):
        unknown = magic + NOISE[:5000]
        yield tar(f"an archive of {name}", unknown, ".tar.gz", (), archive="not an archive that can be read")
    yield tar("a zip by another name", zipped({"s/a_poses.npz": sequence()}), ".tar.bz2", ONE)


def nested(members: dict[str, Callable[[], bytes]]) -> bytes:
    return lzma.compress(b"".join(member(name, make()) for name, make in members.items()) + END)


def bombed(compress: Callable[[bytes], bytes], start: bytes, zeros: bytes, times: int) -> bytes:
    return compress(start) + compress(zeros) * times


NAMES = {
    "a line": "li\nne",
    "colour": "\x1b[31mred\x1b[0m",
    "a window's title": "\x1b]0;owned\x07",
    "a carriage return": "a\rSkipped (0)",
    "no UTF-8": "\udcff\udcfe",
    "text from right to left": "\u202ezpn.sesop",
    "markup": "[bold red]x {0} %s",
    "an option": "--strict",
    "quotes": "'\"`$(exit)`",
}
"""Of sequences: what is in them, and the names."""


def names() -> Iterator[BadArchive]:
    """Names of members."""
    good = b"".join(member(f"s/{text}_poses.npz", sequence()) for text in NAMES.values())
    bad = b"".join(member(f"s/{text}_bad_poses.npz", b"text") for text in NAMES.values())
    skipped = {f"s/{text}_bad_poses": BROKEN for text in NAMES.values()}
    converted = tuple(f"s/{text}_poses" for text in NAMES.values())
    yield BadArchive("strange names in a tar", written(good + bad + END), skipped, converted)
    outside = {"/s/a": "s/a", "../../../s/b": "s/b", "s/../s/./c": "s/c", "//s//d": "s/d", "x/../../s/e": "s/e"}
    for suffix, make in ((".tar", tar_of), (".zip", zipped)):
        data = make({f"{name}_poses.npz": sequence() for name in outside})
        converted = tuple(f"{name}_poses" for name in outside.values())
        yield BadArchive(f"names that lead out of a {suffix}", written(data), {}, converted, suffix)
        long = "n" * 50_000
        data = make({"s/a_poses.npz": sequence(), f"s/{long}_poses.npz": sequence()})
        reason = {f"s/{long}_poses": "its path has 500.. characters, expected at most 4096"}
        yield BadArchive(f"a name without end in a {suffix}", written(data), reason, ONE, suffix)
    nameless = b"".join(member(name, sequence()) for name in ("/", ".", "..", "./..", "\0"))
    yield tar("members without names", A + nameless + B + END)


def tar_of(members: dict[str, bytes]) -> bytes:
    return b"".join(member(name, content) for name, content in members.items()) + END


def zips() -> Iterator[BadArchive]:
    """Bad zip archives."""
    good = {"s/a_poses.npz": sequence()}
    bad = good | {"s/bad_poses.npz": sequence()}
    whole = zipped(bad)
    second = whole.index(b"PK\3\4", len(sequence()))
    first_entry = whole.rindex(b"PK\1\2", 0, whole.rindex(b"PK\1\2"))
    entry = whole.rindex(b"PK\1\2")

    def zip_(name: str, content: bytes | Callable[[], bytes], reason: str) -> BadArchive:
        return BadArchive(name, written(content), {"s/bad_poses": reason}, ONE, ".zip")

    places = {
        "in a member": 5000,
        "before its directory": first_entry,
        "in its directory": entry - 9,
        "at its end": len(whole) - 10,
    }
    for name, place in places.items():
        yield BadArchive(f"a zip cut {name}", written(whole[:place]), {"": BROKEN}, (), ".zip")
    encrypted = patched(patched(whole, entry + 8, b"\1\0"), second + 6, b"\1\0")
    yield zip_("an encrypted member", encrypted, "it is encrypted")
    yield zip_(
        "a member of an unknown method", patched(whole, entry + 10, b"\x63\0"), "zip's method 99, expected 0 or 8"
    )
    yield zip_("a member with a wrong checksum", patched(whole, entry + 16, b"\0\0\0\1"), "CRC-32")
    yield zip_("a member beyond the end", patched(whole, entry + 42, b"\xff\xff\xff\x7f"), BROKEN)
    other = patched(whole, second + 30, b"t")
    yield zip_("a member that has two names", other, "differ")
    for mode, reason in ((stat.S_IFLNK, "it is a link"), (stat.S_IFCHR, "not a regular file")):
        info = zipfile.ZipInfo("s/bad_poses.npz")
        info.external_attr = mode << 16
        special = zipped([*good.items(), (info, b"/dev/zero")])
        yield zip_(f"a zip with a special file {mode}", special, reason)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        info = zipfile.ZipInfo("s/bad_poses.npz")
        info.compress_type = method
        reason = f"zip's method {method}, expected 0 or 8"
        yield zip_(f"a member of method {method}", partial(zipped, [*good.items(), (info, bytes(1 << 24))]), reason)
    info = zipfile.ZipInfo("s/bad_poses.npz")
    info.compress_type = zipfile.ZIP_DEFLATED
    bomb = partial(zipped, [*good.items(), (info, bytes(300 << 20))])
    yield zip_("a member of zeros", bomb, r"would become 314572800: nothing real compresses so far")
    lie = zipped([*good.items(), (info, sequence())])
    at = lie.rindex(b"PK\1\2") + 24
    reason = r"would become 2147483647: nothing real compresses so far"
    yield zip_("a member that promises gigabytes", patched(lie, at, struct.pack("<I", 2**31 - 1)), reason)
    yield zip_(
        "a zip with pickled poses", zipped(good | {"s/bad_poses.npz": sequence(poses=objects())}), "never loaded"
    )
    yield BadArchive(
        "a zip of one member many times", overlapping, {"": "members have far more bytes than it has"}, (), ".zip"
    )
    many = zipped({f"s/bad{n}_poses.npz": bytes(100 << 20) for n in range(4)} | good, zipfile.ZIP_DEFLATED)
    reasons = {f"s/bad{n}_poses": BROKEN if n < 2 else "more than 100 times as large" for n in range(4)}
    yield BadArchive("a zip of many bombs", written(many), reasons, ONE, ".zip")
    twice = [("s/a_poses.npz", sequence(trans=GOOD["trans"] + 1)), *good.items()]
    has_twice = {"s/a_poses": "the archive has it twice"}
    yield BadArchive("a member twice in a zip", written(zipped(twice)), has_twice, ONE, ".zip")


def overlapping(path: Path) -> None:
    """A thousand names in the directory for the same two hundred megabytes."""
    info = zipfile.ZipInfo("s/bad_poses.npz")
    info.compress_type = zipfile.ZIP_DEFLATED
    whole = zipped([(info, bytes(200 << 20))])
    entry, end = whole.index(b"PK\1\2"), whole.rindex(b"PK\5\6")
    entries = whole[entry:end] * 1000
    ending = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1000, 1000, len(entries), entry, 0)
    path.write_bytes(whole[:entry] + entries + ending)


def write_archives(data: Path) -> Expected:
    """Write all, each as a dataset."""
    expected = Expected()
    for bad in archives():
        path = data / f"{bad.name}{bad.suffix}"
        bad.make(path)
        for name, reason in bad.skipped.items():
            expected.skipped[f"{bad.name}/{name or path.name}"] = reason
        expected.converted.update({f"{bad.name}/{name}": GOOD for name in bad.converted})
    return expected


# ----------------------------------------------------------------------------------------------- file systems


def write_file_systems(data: Path) -> Expected:
    """Write a dataset with what is bad in directories, and what is bad beside datasets."""
    expected = Expected()
    dataset = data / "Files"
    for text in NAMES.values():
        for directory, name in (("names", f"{text}_poses"), (f"in {text}", "a_poses")):
            write(dataset / directory / f"{name}.npz")
            expected.converted[f"Files/{directory}/{name}"] = GOOD
        write(dataset / "names" / f"{text}_bad_poses.npz", b"text")
        expected.skipped[f"Files/names/{text}_bad_poses"] = BROKEN
        write(data / f"named {text}" / "s/a_poses.npz")
        expected.converted[f"named {text}/s/a_poses"] = GOOD
    write(dataset / "a directory_poses.npz/a_poses.npz")
    expected.converted["Files/a directory_poses.npz/a_poses"] = GOOD
    (dataset / "s/nothing_poses.npz").mkdir(parents=True)
    special = {
        "dangling": (partial(link, "nowhere.npz"), "cannot be read: No such file"),
        "itself": (partial(link, "itself_poses.npz"), "cannot be read: Too many levels"),
        "round": (partial(link, "about_poses.npz"), "cannot be read: Too many levels"),
        "about": (partial(link, "round_poses.npz"), "cannot be read: Too many levels"),
        "zeros": (partial(link, "/dev/zero"), "not a regular file"),
        "terminal": (partial(link, "/dev/tty"), "not a regular file"),
        "pipe": (os.mkfifo, "not a regular file"),
        "socket": (bind, "not a regular file"),
    }
    for name, (make, reason) in special.items():
        make(dataset / f"s/{name}_poses.npz")
        expected.skipped[f"Files/s/{name}_poses"] = reason
    write(dataset / "s/a_poses.npz")
    expected.converted["Files/s/a_poses"] = GOOD
    (dataset / "s/up").symlink_to("..")
    (dataset / "s/here").symlink_to(".")
    write(data / "Maze/0/a_poses.npz")
    for level in range(40):  # two links in each of forty directories: a million million ways
        directory = data / "Maze" / str(level)
        directory.mkdir(exist_ok=True)
        for way in ("left", "right"):
            (directory / way).symlink_to(f"../{level + 1}")
    write(data / "Maze/40/b_poses.npz")
    expected.converted["Maze/0/a_poses"] = expected.converted["Maze/40/b_poses"] = GOOD
    expected.any_of["Maze"] = "has the same subject and name|can be reached in more than 16 ways"
    if os.geteuid():  # root may read anything
        for name, make in (("unreadable_poses.npz", write), ("unreadable", Path.mkdir)):
            make(dataset / "s" / name)
            (dataset / "s" / name).chmod(0)
            expected.skipped[f"Files/s/{name.removesuffix('.npz')}"] = "cannot be read: Permission denied"
    return expected


def write(path: Path, content: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sequence() if content is None else content)


def link(target: str, path: Path) -> None:
    path.symlink_to(target)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's path must be short
        try:
            server.bind(f"/proc/self/fd/{here}/{path.name}" if os.path.isdir("/proc/self/fd") else os.fspath(path))
        finally:
            os.close(here)
