"""The arithmetic of posing a folded body, on arrays alone.

:class:`Body` is what a kernel is given; :func:`pose` chooses the kernel. Checking, files and options are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Structure:
    """What a body has whatever its shape. Bones that change no result are gone."""

    bones: Int[np.ndarray, " bones"]
    """The joints whose rotation matters, parents before children; the first ``chain`` of them carry the rest."""
    parents: Int[np.ndarray, " chain"]
    """For each bone of the kinematic chain its parent's index in ``bones``; -1 for the root."""
    featured: Int[np.ndarray, " featured"]
    """Indices in ``bones`` of those with pose features, in the order of the features."""
    pair_joints: Int[np.ndarray, " pairs"]
    """For each pair of a regressed joint and a bone that moves it: the regressed joint, ascending ..."""
    pair_bones: Int[np.ndarray, " pairs"]
    """... and the bone, as an index in ``bones``."""
    pair_weights: Float[np.ndarray, " pairs"]
    """c_nk."""
    row_sums: Float[np.ndarray, " regressed_joints"]
    """s_n."""


@dataclass(frozen=True, eq=False)
class Body:
    """A body whose shape is fixed."""

    structure: Structure
    pair_matrix: Float[np.ndarray, "pair_rows pair_columns"]
    """z_nk as a matrix on the column (1, pose features, dmpls), rows (axis, pair)."""
    step_matrix: Float[np.ndarray, "step_rows step_columns"]
    """The chain's steps as a matrix on the column (1, dmpls), rows (axis, bone)."""


def pose(
    body: Body,
    poses: Float[np.ndarray, "frames pose_values"],
    trans: Float[np.ndarray, "frames 3"],
    dmpls: Float[np.ndarray, "frames dmpls"],
    looked_at: Int[np.ndarray, " looked_at"],
    device: str,
) -> Float[np.ndarray, "looked_at regressed_joints 3"]:
    """Pose the frames looked at on a device, in the dtype of the body's matrices."""
    # Either import costs more than all the rest of the program's start.
    if device == "cpu":
        from amass_joints.kernels import cpu

        return cpu.pose(body, poses, trans, dmpls, looked_at)
    from amass_joints.kernels import torch

    return torch.pose(body, poses, trans, dmpls, looked_at, device)


def warm_up(device: str, dtype: str) -> None:
    """Load the kernel of a device, which takes long: while something else waits for a file, say."""
    one, none = np.zeros((1, 3), dtype), np.empty(0, np.int64)
    joint = Structure(
        bones=np.zeros(1, np.int64),
        parents=np.full(1, -1),
        featured=none,
        pair_joints=np.zeros(1, np.int64),
        pair_bones=np.zeros(1, np.int64),
        pair_weights=np.ones(1),
        row_sums=np.ones(1),
    )
    body = Body(joint, pair_matrix=one.reshape(3, 1), step_matrix=one.reshape(3, 1))
    pose(body, np.zeros((1, 3)), np.zeros((1, 3)), np.empty((1, 0)), np.zeros(1, np.int64), device)


def problem_with_device(device: str) -> str | None:
    """Say why a device cannot be used here; None where it can."""
    if device == "cpu":
        return None
    try:
        import torch
    except ImportError:
        return f"device '{device}' needs PyTorch, which is not installed"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # no such GPU; a PyTorch built for the CPU alone
        return f"device '{device}' cannot be used ({str(error).splitlines()[0]})"
    return None
