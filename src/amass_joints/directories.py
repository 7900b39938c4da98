"""Directories that are whole or not there, as :mod:`amass_joints.files` has it for files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from amass_joints.errors import InputError
from amass_joints.files import temporary_file, unfinished

_ENDING = ".d"
"""Of temporary directories: ``.train.1f3a9c2e.amass-joints.d`` is filled as long as the file without it is locked."""


@contextmanager
def directory_written_whole(path: Path, may_replace: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """Make a directory that takes ``path``'s place only when it is complete.

    It is filled under a hidden name beside ``path``; after an error or an interrupt it is removed. What a crash leaves
    of it, the next one beside it removes.

    Args:
        path: the directory.
        may_replace: says of a directory that is there whether this one may take its place. No system does that in one
            step: who is killed at just that moment loses both.

    Raises:
        InputError: there is something already that may not be replaced, or it cannot be written.
    """
    check_new(path, may_replace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_directory(path) as temporary:
            unfinished.add(temporary)
            try:
                yield temporary
            finally:
                unfinished.discard(temporary)
            check_new(path, may_replace)  # others may have written it meanwhile
            with _temporary_directory(path) as old:
                if path.exists():
                    path.rename(old / "old")
                try:
                    temporary.rename(path)
                except BaseException:
                    if (old / "old").exists():
                        (old / "old").rename(path)
                    raise
    except OSError as error:
        about = str(error.filename or path)
        if not about.startswith(str(path.parent)):
            raise  # it is about a file that the caller meanwhile reads
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error


def check_new(path: Path, may_replace: Callable[[Path], bool] = lambda _: False) -> None:
    """See that a directory is not there yet, or is empty, or may be replaced; or that a file is not there yet.

    Raises:
        InputError: it holds something.
    """
    try:
        if path.is_dir() and (not any(path.iterdir()) or may_replace(path)):
            return
        if path.exists():
            raise InputError(
                f"{path}: is there already; what is in it would be taken for part of what is written. Remove it, or "
                "pass another directory."
            )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error


@contextmanager
def _temporary_directory(target: Path) -> Iterator[Path]:
    """Make a directory beside ``target``. In the end it is gone, if it was not renamed."""
    with temporary_file(target) as (lock, _):
        _remove_leftovers(target.parent)
        directory = lock.with_name(lock.name + _ENDING)
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove what has no locked file beside it any more: files of runs that have ended are gone."""
    for directory in parent.glob(f".*.amass-joints{_ENDING}"):
        if not directory.with_name(directory.name.removesuffix(_ENDING)).exists():
            shutil.rmtree(directory, ignore_errors=True)
