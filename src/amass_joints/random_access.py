"""Converted motions in any order: any frames of any motion, in any process, without reading the others.

Files of ``npz-stored`` are mapped into memory: what is looked at is read, once for all processes, and the operating
system takes the memory back when it is short of it. (Checksums are not compared then, which would be to read
everything. And who shortens a file while it is mapped ends the program, as with every map.)

Files of the other formats are compressed. They are read whole and stay in memory, which processes that are forked
share; others read them again.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.datasets import StoredSequence, stored_sequences
from amass_joints.errors import InputError
from amass_joints.motions import Source

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Entry:
    """One motion of a file: all but its positions."""

    dataset: str
    subject: str
    name: str
    frames: int
    joints: int
    frame_rate: float
    """Hz."""

    def __str__(self) -> str:
        """Name it ``dataset/subject/sequence``, as globs see it."""
        return f"{self.dataset}/{self.subject}/{self.name}"


class MotionFile:
    """A converted file whose motions can be had in any order.

    Pickled, it takes along what there is and where, and no positions: whoever unpickles it opens the file again.

    Args:
        source: the file.

    Raises:
        InputError: it cannot be read, or is no such dataset, or its joints are others than the source says.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.metadata = source.metadata()
        """What its joints are, and how its motions are given."""
        self._version = self._version_now()
        self._stored = stored_sequences(source.path)
        self._positions: Sequence[np.ndarray] | None = None
        if self._stored is None:
            motions = list(source.motions())
            self._positions = [motion.positions_3d for motion in motions]
            named = [(motion.subject, motion.name, motion.positions_3d.shape, motion.frame_rate) for motion in motions]
        else:
            named = [(one.subject, one.name, one.shape, one.frame_rate) for one in self._stored]
        self.entries = tuple(
            Entry(source.dataset, subject, name, shape[0], shape[1], frame_rate)
            for subject, name, shape, frame_rate in named
        )
        """Its motions, in the order of the file."""
        for entry in self.entries:
            source.check_joints(f"{entry.subject}/{entry.name}", entry.joints, self.metadata)

    def __str__(self) -> str:
        """Name it as messages do."""
        return str(self._source.path)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_positions": None}

    @property
    def is_mapped(self) -> bool:
        """Whether positions are looked at where they lie in the file."""
        return self._stored is not None

    def positions(self, number: int) -> Float[np.ndarray, "frames joints 3"]:
        """Give the positions of a motion, which are not to be written to.

        Raises:
            InputError: the file has changed, or can no longer be read.
        """
        if self._positions is None:
            if self._version_now() != self._version:
                raise InputError(f"{self}: the file has changed since its motions were listed: list them again.")
            if self._stored is None:
                self._positions = [motion.positions_3d for motion in self._source.motions()]
            else:
                self._positions = self._mapped(self._stored)
        return self._positions[number]

    def _version_now(self) -> tuple[int, int]:
        """Give what is different when the file was written again."""
        with self._readable():
            status = os.stat(self._source.path)
        return status.st_size, status.st_mtime_ns

    def _mapped(self, stored: Sequence[StoredSequence]) -> list[np.ndarray]:
        with self._readable(), open(self._source.path, "rb") as file:
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        sizes = [one.dtype.itemsize * one.shape[0] * one.shape[1] * one.shape[2] for one in stored]
        return [
            content[one.place : one.place + size].view(one.dtype).reshape(one.shape)
            for one, size in zip(stored, sizes, strict=True)
        ]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self}: cannot be read: {error.strerror or error}.") from error
