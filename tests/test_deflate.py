"""Our zip archives are ones that others read."""

import io
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from amass_joints.deflate import DeflatedArchive


def write(stream: BinaryIO, members: Iterable[tuple[str, Iterable[bytes]]], *, stored: bool = False) -> None:
    archive = DeflatedArchive(stream, stored=stored)
    for name, pieces in members:
        archive.begin(name)
        for piece in pieces:
            archive.write(piece)
        archive.end()
    archive.close()


def archive(*pieces: bytes) -> bytes:
    stream = io.BytesIO()
    write(stream, [("some name.npy", pieces)])
    return stream.getvalue()


RANDOM = np.random.default_rng(0).bytes(300_000)


@pytest.mark.parametrize("pieces", [(), (b"",), (b"a",), (b"ab" * 50_000,), (RANDOM, b"", RANDOM[::-1], b"x" * 10)])
def test_zipfile_reads_what_was_written(pieces: tuple[bytes, ...]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(*pieces))) as file:
        assert file.namelist() == ["some name.npy"]
        assert file.testzip() is None
        assert file.read("some name.npy") == b"".join(pieces)


@pytest.mark.parametrize("stored", [False, True])
def test_zipfile_reads_several_members(stored: bool) -> None:
    members = {"a.npy": [RANDOM], "Zoë/歩く.npy": [], "b": [b"", b"ab" * 1000, RANDOM[:10]]}
    stream = io.BytesIO()
    write(stream, members.items(), stored=stored)
    with zipfile.ZipFile(stream) as file:
        assert file.namelist() == list(members)
        assert file.testzip() is None
        assert {name: file.read(name) for name in members} == {name: b"".join(p) for name, p in members.items()}


def test_a_member_beyond_four_gigabytes(tmp_path: Path) -> None:
    block = bytes(1 << 26)
    with open(tmp_path / "large.zip", "w+b") as stream:
        write(stream, [("zeros", (block for _ in range(65)))])
    with zipfile.ZipFile(tmp_path / "large.zip") as file:
        (info,) = file.infolist()
        assert info.file_size == 65 << 26 > 1 << 32
        with file.open(info) as opened:
            assert sum(len(piece) for piece in iter(lambda: opened.read(1 << 24), b"")) == info.file_size


class FarOut(io.BytesIO):
    """Says of every place that it is five gigabytes further on."""

    def tell(self) -> int:
        return super().tell() + (5 << 30)

    def seek(self, place: int, whence: int = 0) -> int:
        return super().seek(place - (5 << 30), whence)


def test_members_that_begin_beyond_four_gigabytes() -> None:
    stream = FarOut()
    write(stream, [("a", [RANDOM]), ("b", [b"after it"])])
    # zipfile finds the directory from the file's end, and takes it that five gigabytes were cut off in front.
    with zipfile.ZipFile(io.BytesIO(stream.getvalue())) as file:
        assert (file.read("a"), file.read("b")) == (RANDOM, b"after it")


def test_more_members_than_sixteen_bits_count() -> None:
    stream = io.BytesIO()
    write(stream, ((str(number), [b"%d" % number]) for number in range(66_000)))
    with zipfile.ZipFile(stream) as file:
        assert len(file.namelist()) == 66_000
        assert file.read("65999") == b"65999"
    # zipfile does not look at how many there should be; others do (APPNOTE 4.3.14, 4.3.16).
    data = stream.getvalue()
    assert struct.unpack_from("<QQ", data, data.rindex(b"PK\6\6") + 24) == (66_000, 66_000)
    assert struct.unpack_from("<HH", data, data.rindex(b"PK\5\6") + 8) == (0xFFFF, 0xFFFF)


def test_what_is_stored_lies_in_the_file_as_it_is_and_where_arrays_may_begin() -> None:
    for name in ("a", "ab.npy", "Zoë" * 30):
        stream = io.BytesIO(b"")
        write(stream, [(name, [RANDOM, b"and on"]), ("next", [b"short"])], stored=True)
        data = stream.getvalue()
        places = data.index(RANDOM + b"and on"), data.index(b"short")
        assert [place % 64 for place in places] == [0, 0]


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
@pytest.mark.parametrize("stored", [False, True])
def test_unzip_finds_no_fault(tmp_path: Path, stored: bool) -> None:
    with open(tmp_path / "a.zip", "wb") as stream:
        write(stream, [("a.npy", [RANDOM, b"x" * 1000]), ("Zoë/b.npy", []), ("c", [RANDOM])], stored=stored)
    done = subprocess.run(["unzip", "-t", tmp_path / "a.zip"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors detected" in done.stdout


def test_the_same_bytes_give_the_same_archive() -> None:
    assert archive(RANDOM[:1000], RANDOM[1000:]) == archive(RANDOM[:1000], RANDOM[1000:])


def test_it_is_smaller_than_what_can_be_compressed() -> None:
    assert len(archive(b"ab" * 50_000)) < 2_000


def test_joints_become_smaller() -> None:
    """ISA-L's level 0 makes them larger."""
    steps = np.random.default_rng(0).normal(0, 1e-2, (500, 17, 3))
    joints = np.cumsum(steps, axis=0).astype(np.float32).tobytes()
    assert len(archive(joints)) < 0.97 * len(joints)
