"""What the joints of files are that do not say it: other programs' files, or older ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.datasets import iterate, read_metadata
from amass_joints.errors import InputError
from amass_joints.motions import Source
from amass_joints.skeletons import H36M17, SKELETONS, Skeleton

if TYPE_CHECKING:
    from jaxtyping import Float


def check_joint_names(source: Source, wanted: Skeleton | None) -> None:
    """See that a file's joints are known where some are wanted, and that those are among them.

    Where the user says it, the sides are checked: orders of Human3.6M's 17 joints differ just in which leg is the left.

    Args:
        source: the file.
        wanted: the skeleton whose joints are wanted; None: whatever joints there are.

    Raises:
        InputError: they are wanted and not known; or the user's word cannot be right; or joints are lacking.
    """
    skeleton = source.metadata().skeleton
    if read_metadata(source.path).skeleton is None and (wanted is not None or source.skeleton is not None):
        skeleton = _said(source)
    if wanted is not None and skeleton is not None:
        wanted.rows_in(skeleton)


def _said(source: Source) -> Skeleton:
    """Give what the user says, if it can be.

    Raises:
        InputError: it cannot, or nothing is said.
    """
    motions = (found["positions_3d"] for _, _, found in iterate(source.path))
    positions = next((one for one in motions if len(one)), None)
    if positions is None:
        raise InputError(f"{source.path}: it has no motions.")
    joints = positions.shape[1]
    joints_too = [one for one in SKELETONS.values() if len(one.joints) == joints]
    against = _against(positions, joints_too)
    advice = _advice(joints_too, next((one for one in joints_too if against[one.name] is None), None))
    if source.skeleton is None:
        raise InputError(
            f"{source.path}: it does not say what its {joints} joints are. Name them with --skeleton NAME: {advice}"
        )
    named = source.skeleton
    if named not in joints_too:
        raise InputError(
            f"{source.path}: it has {joints} joints; {named.name}, which --skeleton names, has {len(named.joints)}. "
            f"Name another: {advice}"
        )
    if against[named.name] is not None:
        raise InputError(
            f"{source.path}: its joints are not those of {named.name}, which --skeleton names: {against[named.name]}. "
            f"Name another: {advice}"
        )
    return source.skeleton


def _against(positions: Float[np.ndarray, "frames joints 3"], skeletons: Sequence[Skeleton]) -> dict[str, str | None]:
    """Say what speaks against each skeleton, by its name; None: nothing."""
    lengths = {one.name: _length_of_bones(positions, one) for one in skeletons}
    longest = 1.2 * min(lengths.values(), default=0)
    return {
        one.name: "its bones would be far too long"
        if lengths[one.name] > longest
        else "the left leg would be on the side of the right arm"
        if _are_crossed(positions, one)
        else None
        for one in skeletons
    }


def _length_of_bones(positions: Float[np.ndarray, "frames joints 3"], skeleton: Skeleton) -> float:
    """Give the length of all bones together, over all frames: of trees on the same joints, the person's is short."""
    children, parents = np.array(list(skeleton.bones.values())).T
    return float(np.linalg.norm(positions[:, children] - positions[:, parents], axis=-1).sum(dtype=np.float64))


def _are_crossed(positions: Float[np.ndarray, "frames joints 3"], skeleton: Skeleton) -> bool:
    """Whether the hips would lie the other way round than the shoulders, over all frames."""
    across = []
    for pair in ("hip", "shoulder"):
        names = (f"left_{pair}", f"right_{pair}")
        if not set(names) <= set(skeleton.joints):
            return False
        left, right = (positions[:, skeleton.joints.index(name)] for name in names)
        across.append(left.astype(np.float64) - right)
    return bool(np.sum(across[0] * across[1]) < 0)


def _advice(skeletons: Sequence[Skeleton], likely: Skeleton | None) -> str:
    if not skeletons:
        return f"no known skeleton has so many joints ({', '.join(SKELETONS)})."
    if H36M17 not in skeletons:
        return f"{' or '.join(one.name for one in skeletons)}."
    return (
        "h36m17-spin is SPIN's and HMR's J_regressor_h36m.npy, which has the left leg first; h36m17 is Pose2Mesh's "
        "J_regressor_h36m_correct.npy, which has the right leg first. The wrong one swaps left and right"
        + (f"; by where the joints lie, it is {likely.name}." if likely else ".")
    )
