"""HDF5: ``NAME.h5``, a group for each sequence.

::

    /                            the attributes that every store has (:mod:`.stores`)
    /DATASET/SUBJECT/SEQUENCE    attributes: dataset, subject, sequence (their names as they are), frame_rate (Hz),
                                 split, if there is one; with cameras: cameras, a JSON text each, as docs/cameras.md
        positions_3d             float32 (frames, joints, 3)
        positions_2d             float32 (cameras, frames, joints, 2), pixels; only with cameras
        visible                  bool (cameras, frames, joints), whether the image shows the joint; only with cameras

In paths, what is not printable and ``%`` stand as ``%25``. Positions are compressed in chunks of
:data:`~.stores.CHUNK_FRAMES` frames, those of each camera alone, with what every HDF5 has: shuffle and gzip.
Nothing newer than HDF5 1.8 is in the file, and no times: the same motions give the same bytes.
The format: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import FileIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import camera_entry
from amass_joints.cameras import View
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
from amass_joints.files import check_target, written_whole
from amass_joints.motions import Motion

if TYPE_CHECKING:
    import h5py

GZIP_LEVEL = 1
"""On joints, 4 and 9 take longer and save 2%."""


class HDF5(Store):
    """Writes ``NAME.h5``."""

    format = "hdf5"
    library = "h5py"

    @property
    def path(self) -> Path:
        """The file."""
        return self.out_dir / f"{self.options.name}.h5"

    def check_path(self) -> None:
        """See that the file can be written."""
        check_target(self.path)
        if self.path.exists() and not self.path.is_file():  # what is written is not written from start to end
            raise InputError(f"{self.path}: it is no regular file. Pass another --name, or move it away.")

    def begin(self, attributes: dict[str, Any], joints: int, cameras: int) -> None:
        """Open the file."""
        self._hdf5 = self._files.enter(self.path, _file_written_whole(self.path))
        self._hdf5.do(_write_attributes, attributes)

    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a group."""
        self._hdf5.do(_write_motion, motion, views, split)


def _write_attributes(file: h5py.File, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        file.attrs[name] = json.dumps(value) if isinstance(value, dict) else value


def _write_motion(file: h5py.File, motion: Motion, views: Sequence[View], split: Split | None) -> None:
    names = {"dataset": motion.dataset, "subject": motion.subject, "sequence": motion.name}
    group = file.create_group("/".join(map(path_part, names.values())))
    group.attrs.update({key: text(name) for key, name in names.items()})
    group.attrs["frame_rate"] = motion.frame_rate
    if split is not None:
        group.attrs["split"] = split
    _write(group, "positions_3d", positions_of(motion), frame_axis=0)
    if views:
        group.attrs["cameras"] = [json.dumps(camera_entry(view.camera)) for view in views]
        _write(group, "positions_2d", positions_2d_of(views), frame_axis=1)
        _write(group, "visible", visible_of(views), frame_axis=1)


def _write(group: h5py.Group, name: str, array: np.ndarray, frame_axis: int) -> None:
    frames = array.shape[frame_axis]
    chunks = (1,) * frame_axis + (min(frames, CHUNK_FRAMES), *array.shape[frame_axis + 1 :])
    group.create_dataset(
        name,
        data=array,
        chunks=chunks,
        shuffle=True,
        compression="gzip",
        compression_opts=GZIP_LEVEL,
        track_times=False,
    )


class _HDF5File:
    """A file that is written in a thread of its own, where no interrupt comes in between: HDF5 would crash."""

    def __init__(self, disk: _Disk, thread: ThreadPoolExecutor) -> None:
        self._disk, self._thread = disk, thread
        self._file: h5py.File | None = None

    def open(self) -> None:
        import h5py

        def open_file() -> None:
            self._file = h5py.File(self._disk, "w", libver=("earliest", "v108"))

        self._thread.submit(open_file).result()

    def do(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do something with the file.

        Raises:
            OSError: what was written until now cannot be.
        """
        self._thread.submit(step, self._file, *arguments).result()
        self._disk.check()

    def close(self) -> None:
        # Also if an interrupt came while it was opened: after that has been done.
        self._thread.submit(lambda: self._file and self._file.close()).result()


@contextmanager
def _file_written_whole(path: Path) -> Iterator[_HDF5File]:
    with written_whole(path) as stream, _Disk(stream.name) as disk:
        with ThreadPoolExecutor(1) as thread, closing(_HDF5File(disk, thread)) as file:
            file.open()
            yield file
        disk.check()


class _Disk(RawIOBase):
    """A file for HDF5, which never learns that something is wrong: it writes late, and crashes when it cannot."""

    def __init__(self, path: str) -> None:
        self._file = FileIO(path, "r+")
        self._at = self._size = 0
        self._error: Exception | None = None

    def check(self) -> None:
        """Raise what went wrong, whenever it was."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            self._file.seek(self._at)
            while left and self._error is None:
                left = left[self._file.write(left) :]
        except (OSError, ValueError) as error:  # ValueError: an interrupt closed this file before HDF5 closed its own
            self._error = error
        self._at += size
        self._size = max(self._size, self._at)
        return size

    def readinto(self, buffer: Any) -> int:
        try:
            self._file.seek(self._at)
            size = self._file.readinto(buffer) or 0
        except (OSError, ValueError) as error:
            self._error, size = error, 0
        self._at += size
        return size

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        try:
            self._file.truncate(self._size)
        except (OSError, ValueError) as error:
            self._error = self._error or error
        return self._size

    def close(self) -> None:
        self._file.close()
        super().close()
