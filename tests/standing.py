"""A person who stands and moves a little, as joints that are known by their names."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from amass_joints.choices import Choices
from amass_joints.datasets import PositionsTree, save
from amass_joints.metadata import Metadata
from amass_joints.skeletons import H36M17_SPIN, Skeleton

# Metres, z up. The person looks along -y, so that the left side is at larger x.
PLACES = {
    "pelvis": (0.0, 0.0, 0.95),
    "left_hip": (0.12, 0.0, 0.93),
    "left_knee": (0.13, -0.02, 0.50),
    "left_ankle": (0.14, 0.03, 0.08),
    "right_hip": (-0.12, 0.01, 0.93),
    "right_knee": (-0.13, -0.03, 0.49),
    "right_ankle": (-0.15, 0.02, 0.09),
    "spine": (0.0, 0.01, 1.18),
    "neck": (0.0, 0.02, 1.45),
    "jaw": (0.0, -0.06, 1.55),
    "head_top": (0.0, 0.0, 1.70),
    "left_shoulder": (0.17, 0.02, 1.42),
    "left_elbow": (0.30, 0.03, 1.17),
    "left_wrist": (0.35, -0.09, 0.95),
    "right_shoulder": (-0.17, 0.03, 1.42),
    "right_elbow": (-0.29, 0.05, 1.18),
    "right_wrist": (-0.36, -0.07, 0.97),
}

LEFT_ARM = ("left_elbow", "left_wrist")


def person(
    frames: int,
    *,
    seed: int = 0,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    moving: Collection[str] = tuple(PLACES),
    skeleton: Skeleton = H36M17_SPIN,
) -> np.ndarray:
    """Give (frames, joints, 3), float32, of whom only some joints move."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 50
    positions = np.empty((frames, len(PLACES), 3))
    for row, name in enumerate(skeleton.joints):
        sway = 0.04 * np.sin(time * rng.uniform(1, 6, 3) + rng.uniform(0, 6, 3))
        positions[:, row] = np.array(PLACES[name]) + at + sway * (name in moving)
    return positions.astype(np.float32)


def save_motions(
    directory: Path,
    lengths: dict[str, int],
    *,
    frame_rate: float = 50.0,
    skeleton: Skeleton | None = H36M17_SPIN,
    choices: Choices = Choices(),
    moving: Collection[str] = tuple(PLACES),
) -> Path:
    """Write motions of so many frames, by ``dataset/subject/sequence``, as ``convert`` would; give the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    trees: dict[str, PositionsTree] = {}
    for seed, (name, frames) in enumerate(lengths.items()):
        dataset, subject, sequence = name.split("/")
        positions = choices.arrange(person(frames, seed=seed, moving=moving), H36M17_SPIN)
        sequences = trees.setdefault(dataset, {}).setdefault(subject, {})
        sequences[sequence] = {"positions_3d": positions, "frame_rate": frame_rate}
    for dataset, tree in trees.items():
        save(directory / f"{dataset}.npz", tree, metadata=Metadata(skeleton, choices))
    return directory
