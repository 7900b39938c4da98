"""The rest pose: what the joints of a conversion are on the body, and where.

A joint regressor is a matrix without names. What its joints are is told from where they lie on the body that stands in
its rest pose: the side, and the skeleton, if it is a known one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from amass_joints.errors import InputError
from amass_joints.regressors import LEAST_ROW_SUM
from amass_joints.skeletons import BODY_JOINTS, NUM_BODY_JOINTS, REGRESSED_SKELETONS, Skeleton

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from amass_joints.folding import FoldedBody

MIDDLE = 0.02
"""Metres from the middle plane, within which a joint is on neither side.

Joints of the middle are within 1 cm of it in the published models, whose means are not quite symmetric; the next ones
are SMPL-X's eyes, 3 cm from it, and the hips, 6 cm.
"""

LEAST_HEIGHT = 0.5
"""Metres between the lowest and the highest joint, below which they do not tell which way is up."""

_ROUNDING = 1e-9
"""By how much a row that sums to 1 may miss it."""

_LIMB_JOINTS = tuple(
    f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
_UPWARDS = ("pelvis", "neck", "head_top")

Side: TypeAlias = Literal["left", "right", "middle"]


@dataclass(frozen=True, eq=False)
class RestPose:
    """The joints of a conversion in the body's rest pose, in its mean shape."""

    positions: Float[np.ndarray, "regressed_joints 3"]
    """Metres, model space."""
    sides: tuple[Side, ...]
    """The side of the body on which each joint is."""
    skeleton: Skeleton | None
    """None where it is not known."""
    row_sums: Float[np.ndarray, " regressed_joints"]
    """Of the joint regressor; 1 for joints from the kinematic tree."""

    def name(self, row: int) -> str:
        """Name a joint for people."""
        return self.skeleton.joints[row].replace("_", " ") if self.skeleton else f"joint of row {row}"

    @cached_property
    def bones(self) -> tuple[str, ...]:
        """The bones, named by their outer joints; none without a skeleton."""
        return tuple(self.skeleton.bones) if self.skeleton else ()

    @cached_property
    def bone_rows(self) -> Int[np.ndarray, "2 bones"]:
        """The rows of their outer and their inner joints."""
        bones = list(self.skeleton.bones.values()) if self.skeleton else []
        return np.array(bones, np.intp).reshape(-1, 2).T

    @cached_property
    def upwards(self) -> Float[np.ndarray, " regressed_joints"] | None:
        """The joints' weights in the vector from the lowest to the highest; None where it does not tell much."""
        heights = self.positions[:, 1]
        lowest, highest = heights.min(), heights.max()
        if highest - lowest < LEAST_HEIGHT:
            return None
        margin = 0.1 * (highest - lowest)
        low, high = heights <= lowest + margin, heights >= highest - margin
        return high / high.sum() - low / low.sum()

    @cached_property
    def rows_off(self) -> Bool[np.ndarray, " regressed_joints"]:
        """Which rows of the regressor sum to not quite 1. Those that sum to nearly 0 give no points of the body."""
        return (np.abs(self.row_sums - 1) > _ROUNDING) & (np.abs(self.row_sums) >= LEAST_ROW_SUM)

    @cached_property
    def row_sum_effects(self) -> Float[np.ndarray, " regressed_joints"] | None:
        """|s - 1| / |s|: how far a joint would move if its row summed to 1, by its distance from the origin.

        None if none would. Rows that sum to nearly 0 cannot be mended, and have 0.
        """
        sums = np.where(self.rows_off, self.row_sums, 1)
        return np.abs(sums - 1) / np.abs(sums) if self.rows_off.any() else None


def at_rest(folded: FoldedBody, skeleton: Skeleton | None = None) -> RestPose:
    """Put a folded body into its rest pose.

    Args:
        folded: the body.
        skeleton: of the joints that it gives, where known; None: it is recognised, if it is one of
            :data:`.skeletons.REGRESSED_SKELETONS`.

    Raises:
        InputError: the skeleton has another number of joints.
    """
    if skeleton is not None and len(skeleton.joints) != len(folded.row_sums):
        raise InputError(
            f"the skeleton {skeleton.name} has {len(skeleton.joints)} joints, expected {len(folded.row_sums)}."
        )
    # Posed by zeros, all rotations are the identity and no pose feature is left: x_n = sum_k (z_nk + c_nk J_k).
    carriers = folded.rest_joints[folded.bones[folded.pair_bones]]
    positions = np.zeros((len(folded.row_sums), 3))
    np.add.at(positions, folded.pair_joints, folded.pair_vectors[:, :, 0] + folded.pair_weights[:, None] * carriers)
    across = positions[:, 0] - folded.rest_joints[0, 0]
    return RestPose(
        positions=positions,
        sides=tuple("left" if x > MIDDLE else "right" if x < -MIDDLE else "middle" for x in across.tolist()),
        skeleton=skeleton or _recognise(positions, folded.rest_joints),
        row_sums=folded.row_sums,
    )


def _recognise(
    positions: Float[np.ndarray, "regressed_joints 3"], body: Float[np.ndarray, "joints 3"]
) -> Skeleton | None:
    """Find the skeleton whose limbs are, joint by joint, nearest to those of the body, and whose trunk goes up."""
    if len(body) < NUM_BODY_JOINTS:
        return None
    own = body[[BODY_JOINTS.index(name) for name in _LIMB_JOINTS]]
    for skeleton in REGRESSED_SKELETONS:
        if len(skeleton.joints) == len(positions):
            limbs = positions[[skeleton.joints.index(name) for name in _LIMB_JOINTS]]
            nearest = np.linalg.norm(limbs[:, None] - own, axis=2).argmin(axis=1)
            heights = positions[[skeleton.joints.index(name) for name in _UPWARDS], 1]
            if (nearest == np.arange(len(own))).all() and (np.diff(heights) > 0).all():
                return skeleton
    return None
