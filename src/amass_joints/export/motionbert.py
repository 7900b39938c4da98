"""For MotionBERT (Zhu et al., ICCV 2023) and MotionAGFormer: clips, ``train/00000000.pkl`` and so on.

Their loaders (``lib/data/dataset_motion_3d.py`` in https://github.com/Walter0807/MotionBERT,
``data/reader/motion_dataset.py`` in https://github.com/TaatiTeam/MotionAGFormer) take every file of ``train`` and of
``test``, and expect of each ``{"data_input": None or float32 (L, 17, 3), "data_label": float32 (L, 17, 3)}``.

Without cameras, clips are as MotionBERT prepares AMASS (its ``tools/convert_amass.py``): the label is the world turned
so that x is right, y down and z away, and made smaller; there is no input, and the loader takes x and y of the label
for it. For the parts that are no training data, its loader wants an input, so there that is written down.

With cameras, there is a clip for each of them, as MotionBERT prepares Human3.6M (its ``lib/data/datareader_h36m.py``).
The input is the projection, normalized, and 1 where the joint is visible, else 0. The label is what is called
``joint3d_image`` there: x and y by a pinhole camera, without distortion, and as z the depth from the pelvis on, in
pixels at the pelvis's distance; all of it normalized like the input. (How that is reckoned is from mmpose's
``mmpose/codecs/utils/camera_image_projection.py``, https://github.com/open-mmlab/mmpose, which makes these labels for
MotionBERT, and from ``_infer_box`` in https://github.com/CHUNYUWANG/H36M-Toolbox/blob/master/generate_labels.py.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.cameras import View
from amass_joints.directories import check_new
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.export.pickled_tree import pickled_dict
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import H36M17
from amass_joints.splits import PARTS

if TYPE_CHECKING:
    from jaxtyping import Float

METRES = 0.298
"""How long a metre is in labels without cameras: MotionBERT's ``scale_factor``."""

NEAREST = 0.5
"""Metres in front of the camera. What comes nearer, or is behind it, has no projection that one could learn from."""


class MotionBERT(Exporter):
    """Writes clips into a folder for each part of the split."""

    format = "motionbert"
    skeleton = H36M17

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._folders: dict[Split, Path] = {}
        self._clips: dict[Split, int] = dict.fromkeys(PARTS, 0)
        self._not_seen = 0
        self._rates: set[float] = set()

    def check(self, sources: Sequence[Source]) -> None:
        """See that no clips are there that one would train on, too."""
        for part in PARTS:
            check_new(self.out_dir / part)

    def reason_to_leave_out(self, motion: Motion) -> str | None:
        """Say that a motion is shorter than a clip."""
        # MotionBERT repeats frames of such at random, which distorts time.
        if len(motion.positions_3d) < self.options.clip_length:
            return f"shorter than a clip of {self.options.clip_length} frames"
        return None

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write the clips of a motion: all of the first camera, then those of the others."""
        if not self._folders:
            # The loaders list both, whatever there is to train and to test on.
            self._folders = {part: self._files.directory(self.out_dir / part) for part in ("train", "test")}
        part: Split = split or "train"
        if part not in self._folders:
            self._folders[part] = self._files.directory(self.out_dir / part)
        self._rates.add(motion.frame_rate)
        if not views:
            label = world_label(motion.positions_3d)
            self._write(part, None if part == "train" else _input_of(label), label)
        for view in views:
            self._write(part, image_input(view), image_label(view), view)

    def _write(
        self,
        part: Split,
        inputs: Float[np.ndarray, "frames 17 3"] | None,
        labels: Float[np.ndarray, "frames 17 3"],
        view: View | None = None,
    ) -> None:
        length = self.options.clip_length
        for start in range(0, len(labels) - length + 1, self.options.clip_stride):
            clip = slice(start, start + length)
            if view is not None and not _is_seen(view, clip):
                self._not_seen += 1
                continue
            content = {"data_input": None if inputs is None else inputs[clip], "data_label": labels[clip]}
            with open(self._folders[part] / f"{self._clips[part]:08}.pkl", "wb") as file:
                file.writelines(pickled_dict(content))
            self._clips[part] += 1

    def end(self) -> None:
        """See that there is a clip."""
        if self._folders and not any(self._clips.values()):
            raise InputError(
                f"no clip could be written: in none a camera sees the person, {NEAREST:g} m away or more. Choose other "
                "cameras, or --place."
            )

    @property
    def notes(self) -> list[str]:
        """How many clips there are, and of what."""
        notes = [f"clips: {', '.join(f'{clips:,} {part}' for part, clips in self._clips.items() if clips)}"]
        if self._not_seen:
            notes.append(
                f"left out, because the camera sees nothing of them, or joints are behind it or within {NEAREST:g} m: "
                f"{self._not_seen:,} clips"
            )
        if len(self._rates) > 1:
            notes.append(
                f"the clips are of {', '.join(f'{rate:g}' for rate in sorted(self._rates))} Hz, and do not say so: "
                "convert with --rate to have one frame rate"
            )
        return notes


def world_label(positions: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, "frames joints 3"]:
    """Give the label of positions in the world, z up, metres: x right, y down, z away, in its own unit."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack([x, -z, y], axis=-1).astype(np.float32) * np.float32(METRES)


def _input_of(label: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, "frames joints 3"]:
    """Give the input that MotionBERT makes of a label in training, where there is none: x, y and 1."""
    return np.concatenate([label[..., :2], np.ones_like(label[..., :1])], axis=-1)


def _is_seen(view: View, frames: slice) -> bool:
    """Whether a person is in front of the camera, and at times in the image."""
    return bool(view.visible[frames].any()) and bool((view.positions_camera[frames, :, 2] >= NEAREST).all())


def image_input(view: View) -> Float[np.ndarray, "frames joints 3"]:
    """Give the input of a view: x and y, normalized, and 1; all 0 where a joint is not visible, as masks have it."""
    points = view.camera.normalized(view.positions_2d.astype(np.float64))
    seen = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) * view.visible[..., None]
    return seen.astype(np.float32)


def image_label(view: View) -> Float[np.ndarray, "frames joints 3"]:
    """Give the label of a view: x and y by a pinhole camera, and z from the pelvis on, normalized like pixels."""
    camera, positions = view.camera, view.positions_camera.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # such frames are in no clip
        pixels = positions[..., :2] / positions[..., 2:] * camera.focal_length + camera.center
        # By a box at the pelvis that is 2 m wide, and in pixels as wide as from the first to the last: hence one more.
        pixels_per_metre = (camera.focal_length[0] * 2 / positions[:, :1, 2] + 1) / 2
        depth = pixels_per_metre * (positions[..., 2] - positions[:, :1, 2])
        label = np.concatenate([camera.normalized(pixels), depth[..., None] / (camera.width / 2)], axis=-1)
    return label.astype(np.float32)
