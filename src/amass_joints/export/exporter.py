"""What every format has in common: it is given motions, one after the other, and makes files of them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from amass_joints.cameras import View
from amass_joints.errors import InputError
from amass_joints.export.outputs import Outputs
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import Skeleton
from amass_joints.splits import Split as Split


@dataclass(frozen=True)
class ExportOptions:
    """What can be chosen of formats; each takes what it has use for."""

    name: str = "amass"
    """In the names of files that hold several datasets."""
    clip_length: int = 243
    """Frames of a clip (MotionBERT)."""
    clip_stride: int = 81
    """Frames from the start of a clip to that of the next (MotionBERT)."""
    normalized: bool = False
    """Whether 2D positions are given as networks take them, and not as pixels (``project``)."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with an :class:`InputError`."""
        if not re.fullmatch(r"\w[\w.-]{0,99}", self.name):
            raise InputError(
                f"the name '{self.name[:200]}' cannot be part of the name of a file: expected letters, digits, '.', "
                "'_' and '-'."
            )
        for what in ("clip_length", "clip_stride"):
            if getattr(self, what) < 1:
                raise InputError(f"--{what.replace('_', '-')} is {getattr(self, what)}, expected 1 or more.")


class Exporter(ABC):
    """Writes motions in one format.

    A context manager: files appear under their names when the ``with`` statement ends without an error, and not before.
    """

    format: ClassVar[str]
    """Its name on the command line."""
    skeleton: ClassVar[Skeleton | None] = None
    """The order of joints that the format demands, in which motions are given; None: theirs."""
    frame_rate: ClassVar[float | None] = None
    """Hz, that the format demands; None: any."""
    in_the_world: ClassVar[bool] = True
    """Whether the format demands metres, z up, in the world; if not, it writes down what units and axes there are."""
    takes_cameras: ClassVar[bool] = True
    """Whether it has a place for what cameras see."""
    needs_cameras: ClassVar[bool] = False
    """Whether there is nothing to write without cameras."""

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        self.out_dir, self.options = out_dir, options
        self._files = Outputs()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *where: object) -> None:
        if error is not None:
            self.discard()
            self._check_disk(error)
            return
        try:
            self.finish()
        except BaseException as another:
            self.discard()
            self._check_disk(another)
            raise

    def _check_disk(self, error: BaseException) -> None:
        """See that an error is not one of the disk: what is read tells of its own as an :class:`InputError`.

        Raises:
            InputError: it is.
        """
        if isinstance(error, OSError) and str(error.filename or self.out_dir).startswith(str(self.out_dir)):
            raise InputError(f"{self.out_dir}: cannot be written to: {error.strerror or error}.") from error

    def check(self, sources: Sequence[Source]) -> None:
        """See, before anything is read or written, that these can be exported to this place.

        Raises:
            InputError: they cannot.
        """
        return

    def reason_to_leave_out(self, motion: Motion) -> str | None:
        """Say why a motion, in the order and the units that the format demands, is none for it; None: it is one."""
        return None

    @abstractmethod
    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion, or keep it to be written.

        Args:
            motion: in the order and the units that the format demands; those of a dataset follow each other.
            views: how each camera sees it; none without cameras.
            split: what it is used for; None: nobody said.

        Raises:
            InputError: it cannot be written.
        """

    def end(self) -> None:
        """Write what comes after the last motion.

        Raises:
            InputError: it cannot be written, or nothing of the motions could be.
        """
        return

    def finish(self) -> None:
        """Write what is left to be written, and give the files their names."""
        self.end()
        self._files.finish()

    def discard(self) -> None:
        """Remove what was written, after an error."""
        self._files.discard()

    @property
    def notes(self) -> list[str]:
        """What people should know of what was written: a sentence each, without the full stop."""
        return []

    @property
    def outputs(self) -> list[Path]:
        """The files or directories that there are in the end."""
        return self._files.paths
