"""Datasets of windows for PyTorch, ours and as training scripts of the field have them; and who loads a batch of them.

The known way (VideoPose3D's, Uplift and Upsample's): read all files with ``np.load(allow_pickle=True)``, keep all
positions in memory, and slice. Its cameras are VideoPose3D's formulas, in float32, with nothing checked: what is behind
a camera gets a pixel, and nobody is told what the image shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

if TYPE_CHECKING:
    from jaxtyping import Float

MIRROR = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
"""Of Human3.6M's 17 joints, in SPIN's order and in VideoPose3D's: the same joint on the other side."""


class KnownWay(Dataset[dict[str, Any]]):
    """Windows of files that are read up front.

    Args:
        directory: holds ``DATASET.npz``, of the format ``npz``.
        length: frames of a window.
        stride: frames from the start of a window to that of the next.
        cameras: each a dict: rotation, position, focal_length, ...; one of them sees a window. None: none does.
        flip: how often left and right are exchanged.
    """

    def __init__(
        self, directory: Path, length: int, stride: int, cameras: list[dict[str, Any]] | None = None, flip: float = 0.0
    ) -> None:
        self.length, self.cameras, self.flip = length, cameras, flip
        self.motions: list[np.ndarray] = []
        self.places: list[tuple[int, int]] = []
        for path in sorted(directory.glob("*.npz")):
            for sequences in np.load(path, allow_pickle=True)["positions_3d"].item().values():
                for sequence in sequences.values():
                    starts = range(0, len(sequence["positions_3d"]) - length + 1, stride)
                    self.places += [(len(self.motions), start) for start in starts]
                    self.motions.append(sequence["positions_3d"].astype(np.float32))

    def __len__(self) -> int:
        """Say how many windows there are."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Give a window."""
        motion, start = self.places[index]
        positions = self.motions[motion][start : start + self.length]
        item = {}
        if self.cameras is not None:
            camera = self.cameras[np.random.randint(len(self.cameras))]  # noqa: NPY002  # as one finds it
            positions = (positions - camera["position"]) @ camera["rotation"].T
            item["positions_2d"] = projected(positions, camera)
        if np.random.rand() < self.flip:  # noqa: NPY002
            positions = positions[:, MIRROR] * np.array([-1, 1, 1], np.float32)
            if self.cameras is not None:
                item["positions_2d"] = item["positions_2d"][:, MIRROR] * np.array([-1, 1], np.float32)
        item["positions_3d"] = positions
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in item.items()}


def projected(
    positions: Float[np.ndarray, "frames joints 3"], camera: Mapping[str, Any]
) -> Float[np.ndarray, "frames joints 2"]:
    """Project by VideoPose3D's formulas (its ``common/camera.py``), to normalised coordinates."""
    xy = np.clip(positions[..., :2] / positions[..., 2:], -1, 1)
    r2 = (xy**2).sum(axis=-1, keepdims=True)
    radial = 1 + (camera["radial_distortion"] * np.concatenate([r2, r2**2, r2**3], axis=-1)).sum(axis=-1, keepdims=True)
    tangential = (camera["tangential_distortion"] * xy).sum(axis=-1, keepdims=True)
    pixels = camera["focal_length"] * (xy * (radial + tangential) + camera["tangential_distortion"] * r2)
    pixels += camera["center"]
    return pixels / camera["width"] * 2 - np.array([1, camera["height"] / camera["width"]], np.float32)


def h36m_cameras(subject: str) -> list[dict[str, Any]]:
    """Give the cameras of a subject of Human3.6M as the known way takes them, in float32."""
    from amass_joints import cameras

    fields = ("rotation", "position", "focal_length", "center", "radial_distortion", "tangential_distortion")
    return [
        {name: getattr(one, name).astype(np.float32) for name in fields} | {"width": one.width, "height": one.height}
        for one in cameras.h36m_cameras()[subject]
    ]


def loader(windows: Dataset[dict[str, Any]], batch_size: int, batches: int, workers: int) -> DataLoader[dict[str, Any]]:
    """Load so many batches of random windows, each time that one goes through it."""
    sampler = RandomSampler(windows, replacement=True, num_samples=batch_size * batches)  # type: ignore[arg-type]
    return DataLoader(windows, batch_size, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


def first_batch(ours: bool, directory: Path, length: int, stride: int, batch_size: int) -> None:
    """Load one batch, as a training script does at its start."""
    windows: Dataset[dict[str, Any]]
    if ours:
        from amass_joints.training import PoseSequences

        windows = PoseSequences(directory, length, stride)
    else:
        windows = KnownWay(directory, length, stride)
    (batch,) = loader(windows, batch_size, batches=1, workers=0)
    assert batch["positions_3d"].shape[:2] == (batch_size, length)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given is not None:
        first_batch(**given | {"directory": Path(given["directory"])})
