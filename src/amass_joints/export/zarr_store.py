"""Zarr, version 3: ``NAME.zarr``, a directory with a group for each dataset.

::

    /                  the attributes that every store has (:mod:`.stores`)
    /DATASET           attributes: dataset (its name as it is); sequences, a list of {subject, sequence, start, frames,
                       frame_rate (Hz), split, cameras (rows of the next)}; cameras, as docs/cameras.md has them
        positions_3d   float32 (all frames, joints, 3): the sequences, one after the other
        positions_2d   float32 (cameras, all frames, joints, 2), pixels; only with cameras
        visible        bool (cameras, all frames, joints), whether the image shows the joint; only with cameras

A chunk is :data:`~.stores.CHUNK_FRAMES` frames; pixels of one camera, visibility of all. :data:`SHARD_CHUNKS` along
the frames are one file, or there would be as many files as chunks. The same motions give the same bytes.
The format: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import camera_entry
from amass_joints.cameras import Camera, View
from amass_joints.directories import check_new, directory_written_whole
from amass_joints.errors import InputError
from amass_joints.export.exporter import Split
from amass_joints.export.stores import (
    CHUNK_FRAMES,
    Store,
    path_part,
    positions_2d_of,
    positions_of,
    text,
    visible_of,
)
from amass_joints.motions import Motion

if TYPE_CHECKING:
    import zarr

SHARD_CHUNKS = 128
"""Chunks in a file, along the frames: with 17 joints, 6.7 MB before compression."""


class Zarr(Store):
    """Writes ``NAME.zarr``."""

    format = "zarr"
    library = "zarr"

    @property
    def path(self) -> Path:
        """The directory."""
        return self.out_dir / f"{self.options.name}.zarr"

    def check_path(self) -> None:
        """See that zarr is new enough, and that nothing but such a directory is replaced."""
        import zarr

        if int(zarr.__version__.split(".")[0]) < 3:
            raise InputError(
                f"--format zarr needs zarr 3, found {zarr.__version__}: pip install 'amass-joints[zarr]', with Python "
                "3.11 or newer, for which zarr 3 is."
            )
        check_new(self.path, self._is_ours)

    def _is_ours(self, directory: Path) -> bool:
        try:
            about = json.loads((directory / "zarr.json").read_bytes())
            return bool(about["attributes"]["format"] == self.mark)
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def begin(self, attributes: dict[str, Any], joints: int, cameras: int) -> None:
        """Open the directory."""
        directory, self._thread = self._files.enter(self.path, _directory_written_whole(self.path, self._is_ours))
        self._root = self._thread.submit(_Root, directory, attributes, joints, cameras).result()

    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion after those of its dataset."""
        self._thread.submit(self._root.write, motion, views, split).result()

    def end(self) -> None:
        """Write what is left of the last dataset."""
        self._thread.submit(self._root.end).result()


@contextmanager
def _directory_written_whole(
    path: Path, may_replace: Callable[[Path], bool]
) -> Iterator[tuple[Path, ThreadPoolExecutor]]:
    """Make a directory, and a thread that writes to it, where no interrupt comes in between.

    zarr goes on writing when it is interrupted: the directory could not be removed.
    """
    with directory_written_whole(path, may_replace) as directory, ThreadPoolExecutor(1) as thread:
        yield directory, thread


class _Root:
    """The group of all datasets."""

    def __init__(self, directory: Path, attributes: dict[str, Any], joints: int, cameras: int) -> None:
        import zarr

        self._group = zarr.create_group(directory, zarr_format=3, attributes=attributes)
        self._joints, self._cameras = joints, cameras
        self._dataset: _Dataset | None = None

    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        if self._dataset is None or self._dataset.name != motion.dataset:
            self.end()
            self._dataset = _Dataset(self._group, motion.dataset, self._joints, self._cameras)
        self._dataset.write(motion, views, split)

    def end(self) -> None:
        if self._dataset is not None:
            self._dataset.end()


class _Dataset:
    """A group, to which sequences are written as they come."""

    def __init__(self, root: zarr.Group, name: str, joints: int, cameras: int) -> None:
        self.name = name
        self._group = root.create_group(_node_name(name))
        self._positions_3d = _Concatenated(self._group, "positions_3d", np.float32, (), (joints, 3))
        if cameras:
            self._positions_2d = _Concatenated(self._group, "positions_2d", np.float32, (cameras,), (joints, 2))
            self._visible = _Concatenated(self._group, "visible", np.bool_, (cameras,), (joints,), together=cameras)
        self._cameras: dict[Camera, int] = {}
        self._sequences: list[dict[str, Any]] = []
        self._frames = 0

    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        frames = len(motion.positions_3d)
        rows = [self._cameras.setdefault(view.camera, len(self._cameras)) for view in views]
        self._sequences.append(
            {
                "subject": text(motion.subject),
                "sequence": text(motion.name),
                "start": self._frames,
                "frames": frames,
                "frame_rate": motion.frame_rate,
                **({"split": split} if split else {}),
                **({"cameras": rows} if views else {}),
            }
        )
        self._frames += frames
        self._positions_3d.write(positions_of(motion))
        if views:
            self._positions_2d.write(positions_2d_of(views))
            self._visible.write(visible_of(views))

    def end(self) -> None:
        self._positions_3d.end()
        if self._cameras:
            self._positions_2d.end()
            self._visible.end()
        cameras = {"cameras": [camera_entry(camera) for camera in self._cameras]} if self._cameras else {}
        self._group.attrs.update({"dataset": text(self.name), "sequences": self._sequences, **cameras})


class _Concatenated:
    """An array that grows along its frames. It holds back what does not fill a file: each is written once."""

    def __init__(
        self,
        group: zarr.Group,
        name: str,
        dtype: type,
        before: tuple[int, ...],
        after: tuple[int, ...],
        together: int = 1,
    ) -> None:
        """Make an array.

        Args:
            group: where.
            name: its name.
            dtype: of its elements.
            before: the axes before its frames: cameras, or none.
            after: those after them.
            together: cameras in a chunk.
        """
        from zarr.codecs import BloscCodec

        self._axis = len(before)
        shard = (*before, SHARD_CHUNKS * CHUNK_FRAMES, *after)
        self._array = group.create_array(
            name,
            shape=(*before, 0, *after),
            dtype=dtype,
            chunks=((together,) * len(before) + (CHUNK_FRAMES, *after)),
            shards=shard,
            # Bytes of floats are sorted by their place, which makes a fifth less of joints than zstd alone.
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=np.dtype(dtype).itemsize),
            dimension_names=("camera", "frame", "joint", "coordinate")[1 - len(before) :][: len(shard)],
        )
        self._held: np.ndarray = np.empty(shard, dtype)
        self._filled = 0

    def write(self, values: np.ndarray) -> None:
        frames = np.moveaxis(values, self._axis, 0)
        held = np.moveaxis(self._held, self._axis, 0)
        while len(frames):
            some = frames[: len(held) - self._filled]
            held[self._filled : self._filled + len(some)] = some
            self._filled += len(some)
            frames = frames[len(some) :]
            if self._filled == len(held):
                self.end()

    def end(self) -> None:
        """Write what is held back."""
        if self._filled:
            filled = np.moveaxis(np.moveaxis(self._held, self._axis, 0)[: self._filled], 0, self._axis)
            self._array.append(filled, axis=self._axis)
            self._filled = 0


def _node_name(name: str) -> str:
    """Name the group of a dataset: names that begin with ``__`` are Zarr's own, and so is ``zarr.json``."""
    part = path_part(name)
    return f"%{ord(part[0]):02X}{part[1:]}" if part.startswith("__") or part == "zarr.json" else part
