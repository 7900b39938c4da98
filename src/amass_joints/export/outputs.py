"""The files of an export: they get their names together, when all is written."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar

from amass_joints.directories import directory_written_whole
from amass_joints.files import written_whole

Opened = TypeVar("Opened")


class Outputs:
    """What is open for writing. Each file and directory has a hidden name until :meth:`finish`."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        """The names they get."""
        self._open = ExitStack()

    def file(self, path: Path) -> BinaryIO:
        """Open a file.

        Raises:
            InputError: it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.enter(path, written_whole(path))

    def directory(self, path: Path) -> Path:
        """Make a directory that is not there yet, and say where it is for now.

        Raises:
            InputError: it is there, or cannot be written.
        """
        return self.enter(path, directory_written_whole(path))

    def enter(self, path: Path, output: AbstractContextManager[Opened]) -> Opened:
        """Open something else that is whole or not there."""
        opened = self._open.enter_context(output)
        self.paths.append(path)
        return opened

    def spool(self, directory: Path) -> BinaryIO:
        """Open a file without a name, for what has to wait. It is gone in the end, whatever happens."""
        directory.mkdir(parents=True, exist_ok=True)
        return self._open.enter_context(tempfile.TemporaryFile(dir=directory))

    def finish(self) -> None:
        """Give everything its name.

        Raises:
            InputError: something cannot be written.
        """
        self._open.close()

    def discard(self) -> None:
        """Remove everything."""
        error = _DiscardedError()
        self._open.__exit__(type(error), error, None)


class _DiscardedError(Exception):
    """Tells what writes files that they are not to be kept."""
