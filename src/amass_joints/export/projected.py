"""What cameras see of motions, as plain arrays: one ``DATASET.npz`` for each dataset, with no pickle in it.

For each sequence there are:

================================== ======= ========================= =================================================
``positions_2d/SUBJECT/SEQUENCE``  float32 cameras, frames, joints, 2 pixels, or normalized; see ``index``
``visible/SUBJECT/SEQUENCE``       bool    cameras, frames, joints    whether the image shows the joint
``positions_3d/SUBJECT/SEQUENCE``  float32 frames, joints, 3          metres in the world, z up, where it was filmed
================================== ======= ========================= =================================================

The array ``index`` holds JSON as bytes: ``json.loads(np.load(path)["index"].tobytes())`` gives::

    {"format": "amass-joints project", "version": 1, "axes": ["cameras", "frames", "joints", "uv"],
     "positions_2d": "pixels" or "normalized", "skeleton", "joint_names", "parents", "symmetric_pairs", "units", "up",
     "cameras": [as docs/cameras.md says, ...],
     "sequences": [{"subject", "sequence", "key", "frame_rate", "frames", "joints", "cameras": [rows], "split"}, ...]}

A ``key`` is what follows the ``/`` in the names of a sequence's arrays; its ``cameras`` are rows of the index's. It has
a ``split`` if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import camera_entry
from amass_joints.cameras import Camera, View
from amass_joints.datasets import INDEX
from amass_joints.deflate import DeflatedArchive
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.motions import Motion, Source
from amass_joints.npz_writing import array_key, write_member

if TYPE_CHECKING:
    from jaxtyping import Float


class Projected(Exporter):
    """Writes ``DATASET.npz``."""

    format = "project"
    needs_cameras = True

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._datasets: dict[str, _Dataset] = {}

    def check(self, sources: Sequence[Source]) -> None:
        """See that none of them is written over."""
        for source in sources:
            output = self.out_dir / f"{source.dataset}.npz"
            if output.exists() and output.samefile(source.path):
                raise InputError(f"{output}: it would be written over while it is read. Pass another --out.")

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write the arrays of a motion."""
        if motion.dataset not in self._datasets:
            archive = DeflatedArchive(self._files.file(self.out_dir / f"{motion.dataset}.npz"))
            about = {"positions_2d": "normalized" if self.options.normalized else "pixels", **motion.metadata.entries()}
            self._datasets[motion.dataset] = _Dataset(archive, about)
        positions_2d = [view.positions_2d for view in views]
        if self.options.normalized:
            positions_2d = [_normalized(view) for view in views]
        self._datasets[motion.dataset].add(motion, views, np.stack(positions_2d), split)

    def end(self) -> None:
        """Write the indices."""
        for dataset in self._datasets.values():
            dataset.end()


class _Dataset:
    """One file, to which sequences are written as they come."""

    def __init__(self, archive: DeflatedArchive, about: dict[str, Any]) -> None:
        self._archive, self._about = archive, about
        self._cameras: dict[Camera, int] = {}
        self._sequences: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, motion: Motion, views: Sequence[View], positions_2d: np.ndarray, split: Split | None) -> None:
        if (motion.subject, motion.name) in self._sequences:
            raise InputError(f"{motion}: it comes a second time; expected each sequence once.")
        key = array_key(motion.subject, motion.name, len(self._sequences))
        frames, joints, _ = motion.positions_3d.shape
        self._sequences[motion.subject, motion.name] = {
            "subject": motion.subject,
            "sequence": motion.name,
            "key": key,
            "frame_rate": motion.frame_rate,
            "frames": frames,
            "joints": joints,
            "cameras": [self._cameras.setdefault(view.camera, len(self._cameras)) for view in views],
            **({"split": split} if split else {}),
        }
        write_member(self._archive, f"positions_2d/{key}", positions_2d.astype("<f4", copy=False))
        write_member(self._archive, f"visible/{key}", np.stack([view.visible for view in views]))
        write_member(self._archive, f"positions_3d/{key}", np.ascontiguousarray(motion.positions_3d, "<f4"))

    def end(self) -> None:
        begins = {"format": "amass-joints project", "version": 1, "axes": ["cameras", "frames", "joints", "uv"]}
        cameras = [camera_entry(camera) for camera in self._cameras]
        index = {**begins, **self._about, "cameras": cameras, "sequences": list(self._sequences.values())}
        write_member(self._archive, INDEX, np.frombuffer(json.dumps(index).encode(), np.uint8))
        self._archive.close()


def _normalized(view: View) -> Float[np.ndarray, "frames joints 2"]:
    """Normalize pixels; what has none stays 0, 0."""
    has_none = ~view.positions_2d.any(axis=-1, keepdims=True)
    return np.where(has_none, np.float32(0), view.camera.normalized(view.positions_2d))
