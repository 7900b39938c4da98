"""What HDF5, Zarr and Parquet have in common: they hold any motions, and write down what these are.

Every store has these attributes, in the words of its format:

===================== ================================================================================================
``format``            ``amass-joints hdf5`` and so on
``version``           1
``skeleton``          the name of the skeleton; it, ``joint_names``, ``parents`` and ``symmetric_pairs`` are there if it
                      is known what the joints are
``joint_names``       in the order of their rows
``parents``           the row of each joint's parent, -1 for the root
``symmetric_pairs``   rows of the same joint on the left and on the right
``units``             ``metres`` or ``millimetres``
``up``                ``z`` or ``y``
``root_relative``     whether the root is the origin of each frame
``choices``           what else was chosen of the motions; only if there is any
===================== ================================================================================================

They are true of all motions of a store, or it is not written.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from amass_joints.cameras import View
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.metadata import Metadata
from amass_joints.motions import Motion, Source
from amass_joints.npz_writing import escaped, percent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

CHUNK_FRAMES = 256
"""Frames that are compressed together, where a part of a sequence can be read. Trainers read windows of 27 to 351."""


class Store(Exporter):
    """Writes motions as they are, all alike."""

    in_the_world = False
    library: ClassVar[str]
    """What has to be installed."""

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._first: _Likeness | None = None
        self._names: set[tuple[str, str, str]] = set()

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file or directory that is written."""

    def check(self, sources: Sequence[Source]) -> None:
        """See that the library is there, and that nothing of others is written over."""
        _import(self.library, self.format)
        self.check_path()

    @abstractmethod
    def check_path(self) -> None:
        """See that the output can be written.

        Raises:
            InputError: it cannot.
        """

    def reason_to_leave_out(self, motion: Motion) -> str | None:
        """Say that a motion is empty."""
        return None if len(motion.positions_3d) else "it has no frames"

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion that is like the others."""
        likeness = _Likeness(str(motion), motion.positions_3d.shape[1], len(views), motion.metadata)
        name = (motion.dataset, motion.subject, motion.name)
        if name in self._names:
            raise InputError(f"{motion}: it comes a second time; expected each sequence once.")
        self._names.add(name)
        with self._writing():
            if self._first is None:
                self.begin(self.attributes_of(motion.metadata), likeness.joints, likeness.cameras)
                self._first = likeness
            self._first.check(likeness)
            self.write(motion, views, split)

    @abstractmethod
    def begin(self, attributes: dict[str, Any], joints: int, cameras: int) -> None:
        """Open what is written.

        Args:
            attributes: those that every store has, as JSON knows them.
            joints: of all motions.
            cameras: that see each motion.
        """

    @abstractmethod
    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion."""

    def finish(self) -> None:
        """Complete what is written."""
        if self._first is not None:
            with self._writing():
                super().finish()

    def attributes_of(self, metadata: Metadata) -> dict[str, Any]:
        """Give what is written down of all motions, as JSON knows it."""
        return {
            "format": self.mark,
            "version": 1,
            **metadata.entries(),
            "root_relative": metadata.choices.root_relative,
        }

    @property
    def mark(self) -> str:
        """By which this program's stores are known."""
        return f"amass-joints {self.format}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror or error}.") from error


@dataclass(frozen=True)
class _Likeness:
    """What all motions of a store have in common."""

    name: str
    joints: int
    cameras: int
    metadata: Metadata

    def check(self, other: _Likeness) -> None:
        """See that another motion is like this one."""
        skeletons = [one.metadata.skeleton.name if one.metadata.skeleton else "unnamed" for one in (self, other)]
        for have, this, that in (
            ("joints", *(f"{one.joints} {name}" for one, name in zip((self, other), skeletons, strict=True))),
            ("choices", f"'{self.metadata.choices}'", f"'{other.metadata.choices}'"),
            ("cameras", str(self.cameras), str(other.cameras)),
        ):
            if this != that:
                raise InputError(
                    f"the {have} of {self.name} are {this}, those of {other.name} {that}; expected the same of all "
                    "that is written together. Export them into different files."
                )


def positions_of(motion: Motion) -> Float[np.ndarray, "frames joints 3"]:
    """Give a motion's positions, float32 in C's order."""
    return np.ascontiguousarray(motion.positions_3d, np.float32)


def positions_2d_of(views: Sequence[View]) -> Float[np.ndarray, "cameras frames joints 2"]:
    """Give what cameras see, pixels, float32."""
    return np.stack([view.positions_2d for view in views]).astype(np.float32, copy=False)


def visible_of(views: Sequence[View]) -> Bool[np.ndarray, "cameras frames joints"]:
    """Give which joints the images show."""
    return np.stack([view.visible for view in views])


def text(name: str) -> str:
    """Give a name as text that every format can hold: what no text has stands as ``%00``."""
    return "".join(percent(c) if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in name)


def path_part(name: str) -> str:
    r"""Give a name as a part of a path, different for different names.

    What is not printable, ``/``, ``\`` and ``%`` stand as ``%2F``; so do the names ``.`` and ``..``.
    """
    if not name.strip("."):
        return "%2E" * len(name) or "%"
    return escaped(name)


def _import(library: str, extra: str) -> Any:
    """Load a library that not everyone has.

    Raises:
        InputError: it is not there.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"--format {extra} needs {library}, which cannot be loaded ({error}): pip install 'amass-joints[{extra}]'."
        ) from error
