"""Files that are whole or not there, and their fingerprints."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from amass_joints.errors import InputError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes ``path``'s place only when it is complete and on the disk.

    It is written under a hidden name beside ``path``; an error, an interrupt or a crash leaves ``path`` as it was. A
    link stays a link, to the new file; a device or a pipe is written to as it is.

    Raises:
        InputError: it cannot be written.
    """
    try:
        if _is_special(path):
            with open(path, "ab") as stream:
                yield stream
            return
        target, partial = _target_and_partial(path)
        try:
            with open(partial, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def check_target(path: Path) -> None:
    """See that a file can be written under this name, before work is put into it.

    Raises:
        InputError: it cannot.
    """
    if path.is_dir():
        raise InputError(f"{path}: cannot be written: it is a directory. Pass a file name, or move it away.")
    if not _is_special(path):
        _, partial = _target_and_partial(path)
        check_writable(partial.parent)
        try:
            partial.touch()
            partial.unlink()
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe, or a name for what is open already, such as ``/dev/stdout``."""
    return (path.exists() and not path.is_file()) or bool(re.match("/dev/(stdout|stderr|fd/)|/proc/", str(path)))


def _target_and_partial(path: Path) -> tuple[Path, Path]:
    target = Path(os.path.realpath(path))
    return target, target.with_name(f".{target.name}.{os.getpid()}.partial")


def sha256(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_writable(directory: Path) -> None:
    """Make the directory where it is not there, and see that a file can be written in it.

    Raises:
        InputError: neither.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(
            f"{directory}: cannot be written to: {error.strerror or error}. Pass a directory that can."
        ) from error
