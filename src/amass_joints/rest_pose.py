"""The rest pose: what the joints of a conversion are on the body, and where.

A joint regressor is a matrix without names. What its joints are is told from where they lie on the body that stands in
its rest pose: the side, and the skeleton, if it is a known one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.errors import InputError
from amass_joints.regressors import LEAST_ROW_SUM
from amass_joints.skeletons import BODY_JOINTS, NUM_BODY_JOINTS, REGRESSED_SKELETONS, Side, Skeleton

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from amass_joints.folding import FoldedBody

MIDDLE = 0.02
"""Metres from the middle plane, within which a joint is on neither side.

Joints of the middle are within 1 cm of it in the published models, whose means are not quite symmetric; the next ones
are SMPL-X's eyes, 3 cm from it, and the hips, 6 cm.
"""

FARTHEST_MIDDLE = 0.05
"""Metres from the middle plane, beyond which a joint is none of those that lie in it, whatever made it."""

LEAST_HEIGHT = 0.5
"""Metres between the lowest and the highest joint, below which they do not tell which way is up."""

_ROUNDING = 1e-9
"""By how much a row that sums to 1 may miss it."""

_LIMB_JOINTS = tuple(
    f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
_UPWARDS = ("pelvis", "neck", "head_top")
_UPWARD_CHAINS = (
    *(tuple(f"{side}_{name}" for name in ("ankle", "knee", "hip")) for side in ("left", "right")),
    ("pelvis", "spine", "neck", "head_top"),
)
_UPWARDS_OF_COCO = ("left_hip", "left_shoulder", "nose", "left_eye")


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


def at_rest(folded: FoldedBody, skeleton: Skeleton | None = None, *, check: bool = False) -> RestPose:
    """Put a folded body into its rest pose.

    Args:
        folded: the body.
        skeleton: of the joints that it gives, where known; None: it is recognised, if it is one of
            :data:`.skeletons.REGRESSED_SKELETONS`.
        check: whether its sides are compared with the body's: where it is what a person says of a regressor.

    Raises:
        InputError: the skeleton has another number of joints, or they lie on other sides of the body.
    """
    if skeleton is not None and len(skeleton.joints) != len(folded.row_sums):
        raise InputError(
            f"the skeleton {skeleton.name} has {len(skeleton.joints)} joints, the conversion gives "
            f"{len(folded.row_sums)}: name another --skeleton, or leave it out."
        )
    # Posed by zeros, all rotations are the identity and no pose feature is left: x_n = sum_k (z_nk + c_nk J_k).
    carriers = folded.rest_joints[folded.bones[folded.pair_bones]]
    positions = np.zeros((len(folded.row_sums), 3))
    np.add.at(positions, folded.pair_joints, folded.pair_vectors[:, :, 0] + folded.pair_weights[:, None] * carriers)
    across = positions[:, 0] - folded.rest_joints[0, 0]
    sides = tuple(_side(x) for x in across.tolist())
    recognised = _recognise(positions, folded.rest_joints)
    if skeleton is not None and check:
        _check_sides(skeleton, across, recognised)
        _check_heights(skeleton, positions[:, 1])
    return RestPose(positions=positions, sides=sides, skeleton=skeleton or recognised, row_sums=folded.row_sums)


def _side(x: float) -> Side:
    return "left" if x > MIDDLE else "right" if x < -MIDDLE else "middle"


def _check_sides(
    skeleton: Skeleton, across: Float[np.ndarray, " regressed_joints"], recognised: Skeleton | None
) -> None:
    """See that joints are on the side of the body that their names say; ``across`` is metres to the left.

    Raises:
        InputError: they are not.
    """
    named, found = skeleton.sides, [_side(x) for x in across.tolist()]
    wrong = [
        row
        for row, (name, x) in enumerate(zip(named, across.tolist(), strict=True))
        if (abs(x) > FARTHEST_MIDDLE if name == "middle" else _side(x) != name)
    ]
    if not wrong:
        return
    crossed = [row for row in wrong if {named[row], found[row]} == {"left", "right"}]
    row = (crossed or wrong)[0]
    what = "left and right are the other way round" if len(crossed) == len(wrong) else "joints are on other sides"
    instead = (
        f"It looks like {recognised.name}: pass that, or leave --skeleton out"
        if recognised
        else ("Is it of another skeleton, or in another order? Name that, or leave --skeleton out")
    )
    raise InputError(
        f"the joint regressor's rows are not those of the skeleton {skeleton.name}: {what} ({len(wrong)} of "
        f"{len(named)} joints). Row {row} would be the {skeleton.joints[row].replace('_', ' ')}, and lies "
        f"{_PLACES[found[row]]} of the body in its rest pose. {instead}."
    )


def _check_heights(skeleton: Skeleton, heights: Float[np.ndarray, " regressed_joints"]) -> None:
    """See that joints are above each other as their names say; ``heights`` are metres.

    Raises:
        InputError: they are not.
    """
    for chain in _UPWARD_CHAINS:
        rows = [skeleton.joints.index(name) for name in chain if name in skeleton.joints]
        for lower, upper in pairwise(rows):
            if heights[lower] >= heights[upper]:
                names = [skeleton.joints[row].replace("_", " ") for row in (lower, upper)]
                raise InputError(
                    f"the joint regressor's rows are not those of the skeleton {skeleton.name}: row {lower} would be "
                    f"the {names[0]}, and is not below row {upper}, the {names[1]}, in the body's rest pose. Is it of "
                    "another skeleton, or in another order? Name that, or leave --skeleton out."
                )


_PLACES: dict[Side, str] = {"left": "on the left", "right": "on the right", "middle": "in the middle"}


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
            trunk = _UPWARDS if "pelvis" in skeleton.joints else _UPWARDS_OF_COCO
            heights = positions[[skeleton.joints.index(name) for name in trunk], 1]
            if (nearest == np.arange(len(own))).all() and (np.diff(heights) > 0).all():
                return skeleton
    return None
