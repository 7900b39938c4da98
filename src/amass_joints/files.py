"""Files that are whole or not there, and their fingerprints."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from amass_joints.errors import InputError

if sys.platform != "win32":
    import fcntl

_ENDING = ".amass-joints"
"""Of temporary files: ``.CMU.npz.1f3a9c2e.amass-joints``."""

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}" + re.escape(_ENDING), re.DOTALL)

unfinished: set[Path] = set()
"""Temporary files of this process, and directories (:mod:`amass_joints.directories`)."""


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
        target = Path(os.path.realpath(path))
        with temporary_file(target) as (temporary, stream):
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if sys.platform == "win32":
                stream.close()  # it renames no open file; elsewhere the lock holds until the file has its name
            os.replace(temporary, target)
        _sync_directory(target.parent)
    except OSError as error:
        about = str(error.filename or path)
        if about != str(path) and not about.endswith(_ENDING):
            raise  # it is about a file that the caller meanwhile reads
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def check_target(path: Path) -> None:
    """See that a file can be written under this name, before work is put into it.

    Raises:
        InputError: it cannot.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: cannot be written: it is a directory. Pass a file name, or move it away.")
        if not _is_special(path):
            target = Path(os.path.realpath(path))
            check_writable(target.parent)
            with suppress(FileNotFoundError):
                os.lstat(target)  # names may be too long
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def check_writable(directory: Path) -> None:
    """Make the directory where it is not there, see that a file can be written in it, and remove leftovers from it.

    Raises:
        InputError: neither.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with temporary_file(directory / "check") as (_, stream):
            stream.write(b"\0")  # a full disk may still take names
    except OSError as error:
        raise InputError(
            f"{directory}: cannot be written to: {error.strerror or error}. Pass a directory that can."
        ) from error


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of runs that were killed.

    Those of runs that are alive are locked, and stay: on this machine and, where the file system's locks reach so far,
    on others. Where it has no locks, all stay.
    """
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in list(entries):
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unless_locked(entry.path)


def remove_unfinished() -> None:
    """Remove this process's temporary files and directories, when it is about to end whatever it is at."""
    for path in list(unfinished):
        with suppress(OSError):
            if path.is_dir():
                import shutil  # which who made the directory has loaded

                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


@contextmanager
def temporary_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a file beside ``target``, locked as long as it is open. In the end it is gone, if it was not renamed."""
    remove_leftovers(target.parent)
    for _ in range(100):
        # The name says what it is of, without becoming too long.
        path = target.with_name(f".{target.name[:40]}.{os.urandom(4).hex()}{_ENDING}")
        unfinished.add(path)
        try:
            with open(path, "xb") as stream:
                # Before it was locked, another run may have taken it for a leftover.
                if not _lock(stream) or not path.exists():
                    continue
                try:
                    yield path, stream
                except BaseException:
                    stream.raw.close()  # or what is in its buffer would now be written, and might raise once more
                    raise
                return
        finally:
            with suppress(OSError):
                path.unlink()
            unfinished.discard(path)
    raise OSError(errno.EAGAIN, "what is written there is taken away at once")


def _lock(stream: BinaryIO) -> bool:
    """Lock a file as long as it is open; False: another run has locked it."""
    if sys.platform != "win32":  # which removes no open file
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


def _remove_unless_locked(path: str) -> None:
    if sys.platform == "win32":
        os.unlink(path)
    else:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)  # NFS locks what may be written to
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """Have a file's new name on the disk, too. It is whole without that."""
    with suppress(OSError):  # Windows opens no directory
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe, or a name for what is open already, such as ``/dev/stdout``."""
    return (path.exists() and not path.is_file()) or bool(re.match("/dev/(stdout|stderr|fd/)|/proc/", str(path)))


def sha256(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal."""
    import hashlib  # which takes its time to load

    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
