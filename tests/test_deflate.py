"""Our zip archives are ones that others read."""

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from amass_joints.deflate import DeflatedMember


def archive(*pieces: bytes) -> bytes:
    stream = io.BytesIO()
    member = DeflatedMember(stream, "some name.npy")
    for piece in pieces:
        member.write(piece)
    member.close()
    return stream.getvalue()


RANDOM = np.random.default_rng(0).bytes(300_000)


@pytest.mark.parametrize("pieces", [(), (b"",), (b"a",), (b"ab" * 50_000,), (RANDOM, b"", RANDOM[::-1], b"x" * 10)])
def test_zipfile_reads_what_was_written(pieces: tuple[bytes, ...]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(*pieces))) as file:
        assert file.namelist() == ["some name.npy"]
        assert file.testzip() is None
        assert file.read("some name.npy") == b"".join(pieces)


def test_a_member_beyond_four_gigabytes(tmp_path: Path) -> None:
    block = bytes(1 << 26)
    with open(tmp_path / "large.zip", "w+b") as stream:
        member = DeflatedMember(stream, "zeros")
        for _ in range(65):
            member.write(block)
        member.close()
    with zipfile.ZipFile(tmp_path / "large.zip") as file:
        (info,) = file.infolist()
        assert info.file_size == 65 << 26 > 1 << 32
        with file.open(info) as opened:
            assert sum(len(piece) for piece in iter(lambda: opened.read(1 << 24), b"")) == info.file_size


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive(RANDOM, b"x" * 1000))
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
