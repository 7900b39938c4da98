"""The arithmetic of posing a folded body, on arrays alone.

:class:`Body` is what a kernel is given; :func:`pose` chooses the kernel. Checking, files and options are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Body:
    """A shaped body as kernels take it. Shapes and meanings are those of :class:`amass_joints.folding.FoldedBody`."""

    bones: Int[np.ndarray, " bones"]
    parents: Int[np.ndarray, " chain"]
    featured: Int[np.ndarray, " featured"]
    pair_joints: Int[np.ndarray, " pairs"]
    pair_bones: Int[np.ndarray, " pairs"]
    pair_weights: Float[np.ndarray, " pairs"]
    row_sums: Float[np.ndarray, " regressed_joints"]
    pair_matrix: Float[np.ndarray, "pair_rows pair_columns"]
    step_matrix: Float[np.ndarray, "step_rows step_columns"]


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
    joint = Body(
        bones=np.zeros(1, np.int64),
        parents=np.full(1, -1),
        featured=none,
        pair_joints=np.zeros(1, np.int64),
        pair_bones=np.zeros(1, np.int64),
        pair_weights=np.ones(1, dtype),
        row_sums=np.ones(1),
        pair_matrix=one.reshape(3, 1),
        step_matrix=one.reshape(3, 1),
    )
    pose(joint, np.zeros((1, 3)), np.zeros((1, 3)), np.empty((1, 0)), np.zeros(1, np.int64), device)


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
