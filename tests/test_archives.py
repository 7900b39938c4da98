"""Archives give what was put into them, whatever their format; and whatever is wrong with them is said."""

import bz2
import gzip
import io
import lzma
import os
import random
import re
import stat
import struct
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from amass_joints import archives, bzip2, executors
from amass_joints.archives import ARCHIVE_SUFFIXES, ArchiveError, Member, archive_stem, read_members

RANDOM = random.Random(0).randbytes(1_200_000)  # more than a block of bzip2

LONG = "/".join(["a directory with a rather long name"] * 9)

TREE = {
    "KIT/3/912_3_01_poses.npz": RANDOM[:300_000],
    "KIT/3/empty.npz": b"",
    "KIT/3/a block.npz": bytes(512),
    f"KIT/{LONG}/and_a_long_name_itself_{'x' * 120}_poses.npz": RANDOM[:1000],
    "Eyes Japan (2)/Süß & Söhne/歩く_poses.npz": b"runs of one byte" + b"\0" * 200_000,
    "KIT/3/long_poses.npz": RANDOM,
    "KIT/LICENSE.txt": b"some text",
}


def tar(tree: dict[str, bytes] = TREE, format_: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as archive:
        for name, content in tree.items():
            add(archive, name, content)
    return stream.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **what: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in what.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def zipped(tree: dict[str, bytes] = TREE, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return stream.getvalue()


def in_streams(compress: Callable[[bytes], bytes], size: int, between: bytes = b"") -> Callable[[bytes], bytes]:
    def compress_all(data: bytes) -> bytes:
        return b"".join(compress(data[at : at + size]) + between for at in range(0, len(data), size))

    return compress_all


def in_small_blocks(data: bytes) -> bytes:
    return bz2.compress(data, 1)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "bzip2": bz2.compress,
    "bzip2, small blocks": in_small_blocks,
    "bzip2, a stream each block": in_streams(bz2.compress, 900_000),
    "bzip2, many streams": in_streams(bz2.compress, 10_007),
    "bzip2, streams, some empty": in_streams(bz2.compress, 100_001, bz2.compress(b"") * 2),
    "bzip2, zeros between streams": in_streams(bz2.compress, 500_001, bytes(5)),
    "bzip2, zeros behind": lambda data: bz2.compress(data) + bytes(3_000_000),
    "bzip2, garbage behind": lambda data: bz2.compress(data) + b"garbage" + RANDOM * 8,
    "gzip": gzip.compress,
    "gzip, streams": in_streams(gzip.compress, 100_001),
    "gzip, zeros between streams": in_streams(gzip.compress, 500_001, bytes(5)),
    "gzip, garbage behind": lambda data: gzip.compress(data) + b"garbage",
    "xz": lzma.compress,
    "xz, padded streams": in_streams(lzma.compress, 500_001, bytes(4)),
    "xz, garbage behind": lambda data: lzma.compress(data) + b"garbage",
}


@cache
def compressed(compression: str) -> bytes:
    """All of the tree."""
    return COMPRESSIONS[compression](tar())


both_ways = pytest.mark.parametrize("threads", [1, 2, 5])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def contents(path: Path, threads: int = 1) -> dict[str, bytes]:
    return {str(member.path): member.read() for member in read_members(path, threads=threads)}


def contents_before_fault(path: Path, threads: int = 1) -> tuple[list[tuple[str, bytes]], str]:
    """What was given before an :class:`ArchiveError`, and its text; none where there was no such error."""
    given: list[tuple[str, bytes]] = []
    try:
        for member in read_members(path, threads=threads):
            given.append((str(member.path), member.read()))
    except ArchiveError as error:
        return given, str(error)
    return given, ""


# ------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("KIT.tar.bz2", "KIT"),
        ("KIT.TAR.BZ2", "KIT"),
        ("KIT.tar.gz", "KIT"),
        ("KIT.tgz", "KIT"),
        ("KIT.tar.xz", "KIT"),
        ("KIT.txz", "KIT"),
        ("KIT.tbz2", "KIT"),
        ("KIT.tar", "KIT"),
        ("Eyes Japan (2).v1.Zip", "Eyes Japan (2).v1"),
        ("KIT.tar.bz2.part", None),
        ("KIT.bz2", None),
        ("KIT", None),
        ("KIT_poses.npz", None),
        (".tar.bz2", None),
        ("tar", None),
    ],
)
def test_stems(name: str, stem: str | None) -> None:
    assert archive_stem(name) == stem


def test_every_suffix_leaves_the_same_stem() -> None:
    assert {archive_stem(f"a.b{suffix}") for suffix in ARCHIVE_SUFFIXES} == {"a.b"}


@both_ways
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tars_give_what_was_put_into_them(tmp_path: Path, compression: str, threads: int) -> None:
    path = write(tmp_path / "a", compressed(compression))
    assert list(contents(path, threads).items()) == list(TREE.items())


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path: Path, format_: int) -> None:
    assert contents(write(tmp_path / "a.tar", tar(format_=format_))) == TREE


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_are_read_as_tarfile_reads_them(tmp_path: Path, format_: int) -> None:
    generator = random.Random(format_)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as archive:
        for number in range(200):
            parts = [generator.choice("ab ") * generator.randrange(1, 60) for _ in range(generator.randrange(1, 4))]
            kinds = [tarfile.REGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]
            kind = generator.choice(kinds)
            content = RANDOM[: generator.randrange(2000)] if kind in kinds[:2] else b""
            add(
                archive,
                "/".join([*parts, f"{number}"]),
                content,
                type=kind,
                linkname="x",
                mtime=generator.random() * 1e9,
            )
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        expected = {info.name: info for info in archive if not info.isdir()}
    found = list(read_members(write(tmp_path / "a.tar", stream.getvalue())))
    assert [str(one.path) for one in found] == list(expected)
    for one, info in zip(found, expected.values(), strict=True):
        assert one.size == info.size
        assert (one.problem is None) == info.isreg()
    members = read_members(tmp_path / "a.tar")
    assert all(one.read() == RANDOM[: one.size] for one in members if one.problem is None)


def test_fields_of_gnu_are_no_part_of_the_name(tmp_path: Path) -> None:
    """Where ustar has the beginning of a long name, GNU's incremental backups have times."""
    data = bytearray(tar({"a_poses.npz": b"a"}))
    set_field(data, 0, 345, b"14371773456\0")
    assert contents(write(tmp_path / "a.tar", bytes(data))) == {"a_poses.npz": b"a"}


def test_checksums_of_signed_bytes(tmp_path: Path) -> None:
    data = bytearray(tar({"ß": b"a"}))
    others = data[:148] + b" " * 8 + data[156:512]
    data[148:156] = b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in others)
    assert contents(write(tmp_path / "a.tar", bytes(data))) == {"ß": b"a"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_give_what_was_put_into_them(tmp_path: Path, method: int) -> None:
    assert list(contents(write(tmp_path / "a", zipped(method=method))).items()) == list(TREE.items())


@pytest.mark.parametrize("make", [tar, zipped], ids=["tar", "zip"])
def test_the_format_is_that_of_the_content_not_of_the_name(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert contents(write(tmp_path / "a.tar.bz2", make()), threads=2) == TREE


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunk", [16, 61, 4099, 100_000])
@pytest.mark.parametrize("compress", [in_small_blocks, gzip.compress, lzma.compress], ids=["bzip2", "gzip", "xz"])
def test_it_does_not_matter_how_much_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], chunk: int, threads: int
) -> None:
    monkeypatch.setattr(archives, "CHUNK", chunk)
    small = chunk < 100
    tree = {"a": RANDOM[: 3_000 if small else 500_000], "b": bytes(5_000)}
    path = write(tmp_path / "a", in_streams(compress, 1_009 if small else 250_007)(tar(tree)))
    assert contents(path, threads) == tree


@pytest.mark.parametrize("length", range(12))
@pytest.mark.parametrize("compress", [bz2.compress, gzip.compress, lzma.compress], ids=["bzip2", "gzip", "xz"])
def test_streams_may_be_split_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], length: int
) -> None:
    data = tar({"a": b"some content"})
    first = compress(data[:700])
    monkeypatch.setattr(archives, "CHUNK", len(first) - 4 + length)  # a chunk ends about where a stream does
    for threads in (1, 2):
        assert contents(write(tmp_path / "a", first + compress(data[700:])), threads) == {"a": b"some content"}


def bytes_with_marks() -> bytes:
    """Bytes whose bzip2 block has marks in it by chance: in the bit map of the bytes that occur."""
    bit_map = [0x3141, 0x5926, 0x5359, 0x1772, 0x4538, 0x5090, 0x3141, 0x5926, 0x5359, *[0x8000] * 7]
    used = [16 * row + bit for row, bits in enumerate(bit_map) for bit in range(16) if bits << bit & 0x8000]
    return bytes(random.Random(0).choices(used, k=50_000))


@both_ways
def test_marks_that_stand_in_a_block_by_chance(tmp_path: Path, threads: int) -> None:
    odd = bytes_with_marks()
    assert len(list(bzip2._find_marks(bz2.compress(odd) + bytes(2), 0))) == 5  # two are block and end
    # In tar there are zeros too, which take a mark's place in the map; so the stream is cut around the content.
    data = tar({"before": RANDOM[:1000], "odd": odd, "after": RANDOM[:1000]})
    at = data.index(odd)
    compressed = b"".join(map(bz2.compress, (data[:at], odd, data[at + len(odd) :])))
    assert contents(write(tmp_path / "a", compressed), threads)["odd"] == odd
    given, fault = contents_before_fault(write(tmp_path / "a", compressed.replace(bz2.compress(odd)[-10:], b"")))
    assert [name for name, _ in given] == ["before"]
    assert "broken or truncated" in fault


# ---------------------------------------------------------------------------------------- members and names


def test_members_say_what_they_are_before_they_are_read(tmp_path: Path) -> None:
    for data in (tar(), zipped(), compressed("bzip2")):
        members = list(read_members(write(tmp_path / "a", data)))
        assert [(str(one.path), one.size, one.problem) for one in members] == [
            (name, len(content), None) for name, content in TREE.items()
        ]


def test_links_and_devices_are_named_and_directories_are_not(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        add(archive, "KIT", type=tarfile.DIRTYPE)
        add(archive, "KIT/a_poses.npz", b"a")
        add(archive, "KIT/b_poses.npz", type=tarfile.SYMTYPE, linkname="a_poses.npz")
        add(archive, "KIT/c_poses.npz", type=tarfile.LNKTYPE, linkname="KIT/a_poses.npz")
        add(archive, "KIT/d_poses.npz", type=tarfile.FIFOTYPE)
        add(archive, "KIT/e_poses.npz", type=tarfile.CHRTYPE)
        add(archive, "KIT/f_poses.npz", b"f", type=tarfile.CONTTYPE)
        add(archive, "KIT/g_poses.npz", b"g", type=b"Z")  # which nobody knows is a regular file
    members = {str(one.path): one for one in read_members(write(tmp_path / "a", stream.getvalue()))}
    assert {name: member.problem for name, member in members.items()} == {
        "KIT/a_poses.npz": None,
        "KIT/b_poses.npz": "it is a link to 'a_poses.npz', which cannot be followed in an archive",
        "KIT/c_poses.npz": "it is a link to 'KIT/a_poses.npz', which cannot be followed in an archive",
        "KIT/d_poses.npz": "it is not a regular file",
        "KIT/e_poses.npz": "it is not a regular file",
        "KIT/f_poses.npz": None,
        "KIT/g_poses.npz": None,
    }
    with pytest.raises(ArchiveError, match="it is a link to"):
        members["KIT/b_poses.npz"].read()
    readable = (one for one in read_members(tmp_path / "a") if one.problem is None)
    assert [one.read() for one in readable] == [b"a", b"f", b"g"]


def test_links_in_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode in (("link", stat.S_IFLNK), ("pipe", stat.S_IFIFO), ("file", stat.S_IFREG), ("no mode", 0)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16 if mode else 0
            archive.writestr(info, "target")
        archive.writestr("directory/", "")
    assert {str(one.path): one.problem for one in read_members(tmp_path / "a.zip")} == {
        "link": "it is a link, which cannot be followed in an archive",
        "pipe": "it is not a regular file",
        "file": None,
        "no mode": None,
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./KIT/3/a.npz", "KIT/3/a.npz"),
        ("KIT/./3//a.npz", "KIT/3/a.npz"),
        ("/KIT/3/a.npz", "KIT/3/a.npz"),
        ("//KIT/3/a.npz", "KIT/3/a.npz"),
        ("../../KIT/3/a.npz", "KIT/3/a.npz"),
        ("KIT/4/../3/a.npz", "KIT/3/a.npz"),
        ("KIT/../../../3/a.npz", "3/a.npz"),
        ("..", "."),
        ("C:/KIT/a.npz", "C:/KIT/a.npz"),
        (" a /\t.npz", " a /\t.npz"),
    ],
)
@pytest.mark.parametrize("make", [tar, zipped], ids=["tar", "zip"])
def test_paths_are_relative_and_lead_nowhere(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes], name: str, path: str
) -> None:
    members = read_members(write(tmp_path / "a", make({name: b"content"})))
    member = next(members)
    assert member.path == PurePosixPath(path)
    assert not member.path.is_absolute()
    assert member.read() == b"content"


def test_names_in_other_encodings(tmp_path: Path) -> None:
    data = tar({"S\udcfc\udcdf/a_poses.npz": b"a"})  # Latin-1
    (member,) = read_members(write(tmp_path / "a.tar", data))
    assert os.fsencode(member.path.parts[0]) == "Süß".encode("latin-1")
    assert member.path.name == "a_poses.npz"


@pytest.mark.parametrize(
    ("raw", "flag", "system", "path"),
    [
        ("Süß/a.npz".encode(), 0x800, 3, "Süß/a.npz"),
        ("Süß/a.npz".encode(), 0, 3, "Süß/a.npz"),  # macOS
        (b"S\x81\xe1/a.npz", 0, 0, "Süß/a.npz"),  # cp437
        (b"KIT\\3\\a.npz", 0, 0, "KIT/3/a.npz"),  # PowerShell
        (b"KIT/3\\4/a.npz", 0, 3, "KIT/3\\4/a.npz"),
    ],
)
def test_names_in_zip(tmp_path: Path, raw: bytes, flag: int, system: int, path: str) -> None:
    stand_in = "x" * len(raw)
    data = bytearray(zipped({stand_in: b"a"}).replace(stand_in.encode(), raw))
    directory = data.index(b"PK\1\2")
    data[directory + 5] = system
    for flags in (6, directory + 8):
        data[flags : flags + 2] = flag.to_bytes(2, "little")
    assert contents(write(tmp_path / "a.zip", bytes(data))) == {path: b"a"}


# -------------------------------------------------------------------------------------------------- damage


SMALL_TREE = {f"KIT/{number}/a_poses.npz": RANDOM[: 700 * number] for number in range(6)}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compression", ["none", "bzip2", "bzip2, small blocks", "gzip", "xz"])
def test_truncated_archives_give_what_was_before(tmp_path: Path, compression: str, threads: int) -> None:
    tree = {f"{number}": random.Random(number).randbytes(250_000) for number in range(8)}
    whole = COMPRESSIONS[compression](tar(tree))
    end = (
        len(whole.rstrip(b"\0")) + 500 if compression == "none" else len(whole)
    )  # of a tar, before its mark of the end
    places = [1, 3, 5, 20, 600, *range(end // 7, end - end // 14, end // 7), end - 600, *range(end - 4, end)]
    counts = []
    for size in places:
        given, fault = contents_before_fault(write(tmp_path / "a", whole[:size]), threads)
        assert re.match("broken or truncated|it is not an archive", fault), size
        assert given == list(tree.items())[: len(given)]
        counts.append(len(given))
    assert counts == sorted(counts)
    assert counts[8] > 0
    assert counts[-4:] == [8] * 4 or compression == "none"  # what is cut is checksums alone


def test_a_tar_cut_between_two_members(tmp_path: Path) -> None:
    data = tar({"a": bytes(512), "b": bytes(512)})
    given, fault = contents_before_fault(write(tmp_path / "a", data[:1024]))
    assert [name for name, _ in given] == ["a"]
    assert fault == "broken or truncated (it ends early)"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compress", [bz2.compress, gzip.compress, lzma.compress], ids=["bzip2", "gzip", "xz"])
@pytest.mark.parametrize("size", [10, 13])
def test_another_stream_that_is_cut(
    tmp_path: Path, compress: Callable[[bytes], bytes], size: int, threads: int
) -> None:
    data = compress(tar(SMALL_TREE)) + compress(b"more")[:size]
    given, fault = contents_before_fault(write(tmp_path / "a", data), threads)
    assert given == list(SMALL_TREE.items())
    assert fault.startswith("broken or truncated")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("length", range(8))
def test_a_last_block_that_lacks_only_a_checksum_behind_it(tmp_path: Path, length: int, threads: int) -> None:
    data = bz2.compress(tar({"a": RANDOM[:length]}))
    given, fault = contents_before_fault(write(tmp_path / "a", data[:-4]), threads)
    assert given == [("a", RANDOM[:length])]
    assert fault == "broken or truncated (it ends early)"


def test_another_stream_of_which_there_is_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a", bz2.compress(tar(SMALL_TREE)) + b"BZh9")
    assert contents_before_fault(path, 1) == contents_before_fault(path, 2)
    assert contents_before_fault(path)[1] == "broken or truncated (it ends early)"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "compress",
    [bz2.compress, in_streams(bz2.compress, 3000), gzip.compress, lzma.compress],
    ids=["bzip2", "bzip2, streams", "gzip", "xz"],
)
def test_no_flipped_bit_is_overlooked(tmp_path: Path, compress: Callable[[bytes], bytes], threads: int) -> None:
    whole = compress(tar(SMALL_TREE))
    sizes = {*range(40), *range(0, len(whole), 97), *range(len(whole) - 40, len(whole))}
    faults = 0
    for place in sorted(sizes):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        given, fault = contents_before_fault(write(tmp_path / "a", bytes(data)), threads)
        assert fault or given == list(SMALL_TREE.items()), place
        assert re.match("broken or truncated|it is not an archive|cannot be read|$", fault), fault
        if whole.startswith(b"BZh"):  # each block has its checksum
            assert given == list(SMALL_TREE.items())[: len(given)]
        faults += bool(fault)
    assert faults > len(sizes) - 12  # the time of compression and the like may be anything


@pytest.mark.parametrize("threads", [1, 2])
def test_a_wrong_checksum_of_the_whole_is_found(tmp_path: Path, threads: int) -> None:
    for compress in (bz2.compress, gzip.compress, lzma.compress):
        data = bytearray(compress(tar(SMALL_TREE)))
        place = -3 if compress is bz2.compress else -7 if compress is gzip.compress else -11
        data[place] ^= 0x20
        given, fault = contents_before_fault(write(tmp_path / "a", bytes(data)), threads)
        assert len(given) in (0, 5, 6)
        assert "broken or truncated" in fault


def test_damaged_headers_do_not_end_a_tar(tmp_path: Path) -> None:
    whole = tar(SMALL_TREE)
    third = whole.index(b"KIT/3/a_poses.npz")
    for place in (0, 100, 130, 148, 156, 300):
        data = bytearray(whole)
        data[third + place] ^= 1
        given, fault = contents_before_fault(write(tmp_path / "a", bytes(data)))
        assert given == list(SMALL_TREE.items())[:3]
        assert fault == "broken or truncated (tar: bad checksum)"


def test_random_damage_is_an_archive_error_or_nothing(tmp_path: Path) -> None:
    generator = random.Random(1)
    for number in range(1500):
        make = generator.choice([tar, lambda tree: tar(tree, tarfile.PAX_FORMAT), zipped])
        data = bytearray(make({"a" * 150: b"a" * 600, "ß": b"b"}))
        for _ in range(generator.randrange(1, 4)):
            place = generator.randrange(len(data))
            piece = bytes(generator.choice([0, 0x30, 0xFF, generator.randrange(256)]) for _ in range(number % 9 + 1))
            data[place : place + len(piece)] = piece
        if make is not zipped and generator.random() < 0.8:
            mend_checksums(data)
        contents_before_fault(write(tmp_path / "a", bytes(data)))


def mend_checksums(data: bytearray) -> None:
    """Make the headers of a tar, wherever there may be one, ones that are looked at."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            set_field(data, at, 0, b"")


def set_field(data: bytearray, header: int, at: int, value: bytes) -> None:
    data[header + at : header + at + len(value)] = value
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])


# --------------------------------------------------------------------------------------------- lying sizes


def base_256(number: int) -> bytes:
    return (b"\x80" if number >= 0 else b"\xff") + (number % (1 << 88)).to_bytes(11, "big")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compress", [bytes, bz2.compress, gzip.compress], ids=["none", "bzip2", "gzip"])
@pytest.mark.parametrize(
    ("size", "problem"),
    [
        (10**12, "it has 1000000000000 bytes, more than 2147483648"),
        (1 << 85, "it has 38685626227668133590597632 bytes"),
        (1 << 63, "it has 9223372036854775808 bytes"),
        ((1 << 31) - 5, None),
        (1 << 20, None),
        (-1, None),
        (-(1 << 40), None),
    ],
)
def test_sizes_that_lie(
    tmp_path: Path, compress: Callable[[bytes], bytes], size: int, problem: str | None, threads: int
) -> None:
    data = bytearray(tar({"good": b"good", "bad": b"bad", "other": b"other"}))
    set_field(data, 1024, 124, base_256(size))
    path = write(tmp_path / "a", compress(bytes(data)))
    started = time.monotonic()
    members = read_members(path, threads=threads)
    assert next(members).read() == b"good"
    if size >= 0:
        bad = next(members)
        assert (bad.size, bad.problem is None) == (size, problem is None)
        with pytest.raises(ArchiveError, match=problem or "it ends early"):
            bad.read()
    with pytest.raises(ArchiveError, match=r"^broken or truncated"):
        next(members)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("size", ["1000000000000", "-1024", "-1536", "-1", "9" * 30, "9" * 5000, "x", ""])
def test_sizes_of_pax_headers_that_lie(tmp_path: Path, size: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "good", b"good")
        add(archive, "bad", b"bad", pax_headers={"size": size})
        add(archive, "other", b"other")
    given = []
    path = write(tmp_path / "a", stream.getvalue())
    try:
        for member in read_members(path):
            given.append(str(member.path))
            assert len(given) < 5
    except ArchiveError:
        assert given in (["good"], ["good", "bad"])
    else:
        assert size in ("x", "")  # which is as if it were not there
    assert given[0] == "good"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_extended_headers_have_their_limit(tmp_path: Path, kind: bytes) -> None:
    data = bytearray(tar({"good": b"good", "bad": RANDOM}))
    set_field(data, 1024, 156, kind)
    given, fault = contents_before_fault(write(tmp_path / "a", bytes(data)))
    assert given == [("good", b"good")]
    assert fault == "broken or truncated (a header of 1200000 bytes)"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_extended_headers_without_end(tmp_path: Path, kind: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        add(archive, "good", b"good")
        for _ in range(2000):
            add(archive, "name", b"12 path=abc\n", type=kind)
    given, fault = contents_before_fault(write(tmp_path / "a", stream.getvalue()))
    assert given == [("good", b"good")]
    assert fault == "broken or truncated (tar: a header of no member)"


def test_zip_sizes_that_lie(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = bytearray(zipped({"a.npz": b"content " * 1000, "b.npz": b"b"}, method))
        directory = data.index(b"PK\1\2")
        bomb = "would become 1073741824: nothing real compresses so far" if method else None
        for size, problem in ((4000, None), (9000, None), (1 << 30, bomb), (0xFFFFFFFE, "more than 2147483648")):
            for sizes in (directory + 24,) if method else (directory + 20, directory + 24):
                data[sizes : sizes + 4] = size.to_bytes(4, "little")
            members = read_members(write(tmp_path / "a.zip", bytes(data)))
            bad = next(members)
            assert (bad.problem is None) == (problem is None)
            with pytest.raises(ArchiveError, match=problem or r"^broken or truncated"):
                bad.read()
            assert next(members).read() == b"b"


def test_members_beyond_the_largest_are_named_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_MEMBER", 1400)
    for data in (tar(SMALL_TREE), bz2.compress(tar(SMALL_TREE)), zipped(SMALL_TREE)):
        members = read_members(write(tmp_path / "a", data))
        read = {str(one.path): one.read() for one in members if one.problem is None}
        assert read == {name: content for name, content in SMALL_TREE.items() if len(content) <= 1400}
    with pytest.raises(ArchiveError, match="it has 3500 bytes, more than 1400"):
        list(read_members(write(tmp_path / "a", tar(SMALL_TREE))))[-1].read()


def test_memory_that_xz_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "XZ_MEMORY", 1 << 20)
    _, fault = contents_before_fault(write(tmp_path / "a", compressed("xz")))
    assert "emory usage limit" in fault


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compress", [bytes, in_small_blocks, gzip.compress], ids=["none", "bzip2", "gzip"])
def test_one_member_is_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], threads: int
) -> None:
    monkeypatch.setattr(archives, "CHUNK", 1 << 16)
    path = write(tmp_path / "a", compress(tar({f"{number}": RANDOM[:1_000_000] for number in range(12)})))
    tracemalloc.start()
    try:
        for member in read_members(path, threads=threads):
            assert len(member.read()) == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------ ends, and what follows


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("compress", [bytes, bz2.compress, gzip.compress], ids=["none", "bzip2", "gzip"])
def test_archives_one_behind_the_other_are_read(
    tmp_path: Path, compress: Callable[[bytes], bytes], threads: int
) -> None:
    path = write(tmp_path / "a", compress(tar({"a": b"a"})) + compress(tar({"b": b"b"})))
    assert contents(path, threads) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize("behind", [b"garbage", b"garbage" * 1000, bytes(100), bytes(100_000), RANDOM])
def test_what_stands_behind_the_end_of_a_tar_is_passed_over(tmp_path: Path, behind: bytes) -> None:
    assert contents(write(tmp_path / "a", tar(SMALL_TREE) + behind)) == SMALL_TREE


def test_one_block_of_zeros_is_an_end(tmp_path: Path) -> None:
    data = tar({"a": bytes(512)})
    assert contents(write(tmp_path / "a", data[:1536])) == {"a": bytes(512)}


def test_an_archive_of_nothing(tmp_path: Path) -> None:
    for data in (bz2.compress(tar({})), gzip.compress(tar({}), mtime=0), zipped({})):
        assert contents(write(tmp_path / "a", data)) == {}


# --------------------------------------------------------------------------------------------- no archives


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "it is empty"),
        (b"hello " * 1000, r"it is not an archive that can be read \(it begins with b'hello hello '\)"),
        (b"\n<!DOCTYPE html><html>", "it is a web page, not an archive"),
        (b"<html>", "it is a web page, not an archive"),
        (bytes(10240), "it is not an archive that can be read"),
        (b"BZh9 this is text", "broken or truncated"),
        (b"BZh", "broken or truncated"),
        (b"\x1f\x8b", "broken or truncated"),
        (b"\x1f\x8b this is text", "broken or truncated"),
        (b"\xfd7zXZ\0 this is text", "broken or truncated"),
        (b"PK\3\4 this is text", "broken or truncated"),
        (bz2.compress(b"text"), "it is not an archive: it holds no tar"),
        (bz2.compress(b""), "it is not an archive: it holds no tar"),
        (gzip.compress(b"text" * 1000, mtime=0), "it is not an archive: it holds no tar"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_no_archive(tmp_path: Path, content: bytes, text: str, threads: int) -> None:
    given, fault = contents_before_fault(write(tmp_path / "KIT.tar.bz2", content), threads)
    assert given == []
    assert re.match(text, fault), fault


def test_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "KIT.tar.bz2").mkdir()
    assert contents_before_fault(tmp_path / "KIT.tar.bz2")[1] == "it is a directory, not an archive"
    assert contents_before_fault(tmp_path / "CMU.tar.bz2")[1] == "cannot be read: No such file or directory"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "KIT.tar")
    assert contents_before_fault(tmp_path / "KIT.tar")[1] == "it is no regular file, not an archive"


# ------------------------------------------------------------------------------------------- faults of zip


def test_encrypted_members_of_a_zip(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.npz": b"a", "b.npz": b"b"}))
    first = data.index(b"PK\1\2")
    for flags in (6, first + 8):
        data[flags] |= 1
    encrypted, other = read_members(write(tmp_path / "a.zip", bytes(data)))
    assert encrypted.problem == "it is encrypted"
    with pytest.raises(ArchiveError, match="it is encrypted"):
        encrypted.read()
    assert other.problem is None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_crc_in_a_zip(tmp_path: Path, method: int) -> None:
    data = bytearray(zipped({"a.npz": b"a" * 1000, "b.npz": b"b"}, method))
    data[data.index(b"PK\1\2") + 16] ^= 1
    read = {}
    for member in read_members(write(tmp_path / "a.zip", bytes(data))):
        if member.path.name == "a.npz":
            with pytest.raises(ArchiveError, match=r"broken or truncated \(.*CRC-32"):
                member.read()
        else:
            read[str(member.path)] = member.read()
    assert read == {"b.npz": b"b"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 96])
def test_other_compressions_of_zip_are_refused(tmp_path: Path, method: int) -> None:
    """Those that zipfile knows, too: it decompresses whatever it has read at once, and that may become gigabytes."""
    data = bytearray(zipped({"a.npz": b"a"}, zipfile.ZIP_STORED if method == 96 else method))
    for place in (8, data.index(b"PK\1\2") + 10):
        data[place : place + 2] = struct.pack("<H", method)
    (member,) = read_members(write(tmp_path / "a.zip", bytes(data)))
    with pytest.raises(ArchiveError, match=rf"compressed by zip's method {method}, expected 0 or 8"):
        member.read()


def test_truncated_zips(tmp_path: Path) -> None:
    whole = zipped(SMALL_TREE)
    for size in (4, 30, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        assert contents_before_fault(write(tmp_path / "a.zip", whole[:size]))[1].startswith("broken or truncated")


# --------------------------------------------------------------------------------------- threads and forks


def half_read(path: Path) -> Generator[Member, None, None]:
    members = read_members(path, threads=2)
    next(members)
    return members


def test_threads_end_with_the_iterator(tmp_path: Path) -> None:
    path = write(tmp_path / "a", compressed("bzip2"))
    before = threading.active_count()
    members = half_read(path)
    assert threading.active_count() > before
    members.close()
    assert threading.active_count() == before
    assert contents(path, 2) == TREE
    assert threading.active_count() == before
    contents_before_fault(write(path, path.read_bytes()[:-1]), 2)
    assert threading.active_count() == before


@pytest.mark.skipif(not executors.CAN_FORK, reason="no fork here")
def test_it_works_in_forked_workers_while_the_parent_reads(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{number}.tar.bz2", bz2.compress(tar({**TREE, f"{number}": b""}))) for number in range(4)
    ]
    members = half_read(paths[0])
    results = list(executors.run_in_processes(lambda path: list(contents(path, 2)), paths, 2))
    assert results == [[*TREE, f"{number}"] for number in range(4)]
    assert len(list(members)) == len(TREE)


def test_a_member_that_has_gone_by_cannot_be_read(tmp_path: Path) -> None:
    members = half_read(write(tmp_path / "a", bz2.compress(tar(SMALL_TREE))))
    member = next(members)
    next(members)
    with pytest.raises(ArchiveError, match="gone by"):
        member.read()
