"""Named joint sets and skeletons: joint names, parents, row orders. The one home of conventions.

Units are metres, radians and hertz. Two frames of reference occur:

* model space, in which body models are given: y up, x towards the person's left, z forward, T pose;
* world space, in which AMASS's ``trans`` and our results are given: z up.

``parents[k]`` is the index of joint ``k``'s parent, -1 for the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from amass_joints.errors import InputError

Side: TypeAlias = Literal["left", "right", "middle"]
"""Of the person's body."""


@dataclass(frozen=True)
class Skeleton:
    """Named joints and the bones between them. Joints of the two sides are called ``left_...`` and ``right_...``."""

    name: str
    joints: tuple[str, ...]
    """In the order of their rows."""
    parents: tuple[int, ...]
    stand_ins: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Joints that only few skeletons have, and the joint where each is put when it has to be made from another."""

    @property
    def bones(self) -> dict[str, tuple[int, int]]:
        """Each bone's joints as rows (child, parent), by the name of the child."""
        return {self.joints[child]: (child, parent) for child, parent in enumerate(self.parents) if parent >= 0}

    @property
    def symmetric_pairs(self) -> tuple[tuple[int, int], ...]:
        """Rows of the same joint on the left and on the right, in the order of the left rows."""
        return tuple(
            (row, self.joints.index(_mirrored(joint)))
            for row, joint in enumerate(self.joints)
            if joint.startswith("left_")
        )

    @property
    def left(self) -> tuple[int, ...]:
        """Rows of the left side."""
        return tuple(left for left, _ in self.symmetric_pairs)

    @property
    def right(self) -> tuple[int, ...]:
        """Rows of the right side, in the order of :attr:`left`."""
        return tuple(right for _, right in self.symmetric_pairs)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The side of the body on which each joint is, by its name."""
        return tuple(
            "left" if name.startswith("left_") else "right" if name.startswith("right_") else "middle"
            for name in self.joints
        )

    @property
    def mirror(self) -> tuple[int, ...]:
        """For each row, the row of the same joint on the other side: ``positions[:, mirror]`` swaps the sides."""
        return tuple(self.joints.index(_mirrored(joint)) for joint in self.joints)

    def rows_in(self, source: Skeleton) -> tuple[int, ...]:
        """Say which rows of another skeleton are this one's joints: ``positions[:, rows]`` are in this one's order.

        Raises:
            InputError: the other one lacks joints.
        """
        rows = {name: row for row, name in enumerate(source.joints)}
        wanted = [name if name in rows else self.stand_ins.get(name, name) for name in self.joints]
        lacking = [name for name in wanted if name not in rows]
        if lacking:
            raise InputError(
                f"joints of {source.name} cannot be put into the order {self.name}: they lack "
                f"{', '.join(name.replace('_', ' ') for name in lacking)}."
            )
        return tuple(rows[name] for name in wanted)


def _mirrored(joint: str) -> str:
    side, _, name = joint.partition("_")
    return {"left": f"right_{name}", "right": f"left_{name}"}.get(side, joint)


BODY_JOINTS: tuple[str, ...] = (
    "pelvis",
    *("left_hip", "right_hip", "spine1"),
    *("left_knee", "right_knee", "spine2"),
    *("left_ankle", "right_ankle", "spine3"),
    *("left_foot", "right_foot", "neck"),
    *("left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist"),
)
"""The 22 joints of the body, with which SMPL, SMPL+H and SMPL-X begin."""

NUM_BODY_JOINTS = len(BODY_JOINTS)

HAND_JOINTS: tuple[str, ...] = tuple(
    f"{side}_{finger}{number}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for number in (1, 2, 3)
)
"""The 15 joints of each hand in SMPL+H and SMPL-X (Romero et al., Embodied Hands, SIGGRAPH Asia 2017)."""

SMPL_JOINTS: tuple[str, ...] = (*BODY_JOINTS, "left_hand", "right_hand")
"""The 24 joints of SMPL (Loper et al., SIGGRAPH Asia 2015)."""

SMPLH_JOINTS: tuple[str, ...] = (*BODY_JOINTS, *HAND_JOINTS)
"""The 52 joints of SMPL+H (Romero et al., 2017)."""

SMPLX_JOINTS: tuple[str, ...] = (*BODY_JOINTS, "jaw", "left_eye", "right_eye", *HAND_JOINTS)
"""The 55 joints of SMPL-X (Pavlakos et al., Expressive Body Capture, CVPR 2019)."""

SMPLH_PARENTS: tuple[int, ...] = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19),
    *(20, 22, 23, 20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35),
    *(21, 37, 38, 21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50),
)
"""The kinematic tree of SMPL+H."""

_BODY_PARENTS = SMPLH_PARENTS[:NUM_BODY_JOINTS]

SMPLX_PARENTS: tuple[int, ...] = (
    *(*_BODY_PARENTS, 15, 15, 15),
    *(parent + 3 * (parent >= NUM_BODY_JOINTS) for parent in SMPLH_PARENTS[NUM_BODY_JOINTS:]),
)
"""The kinematic tree of SMPL-X: that of SMPL+H, with jaw and eyes on the head, before the hands."""

H36M17_SPIN_JOINTS: tuple[str, ...] = (
    "pelvis",
    *("left_hip", "left_knee", "left_ankle"),
    *("right_hip", "right_knee", "right_ankle"),
    *("spine", "neck", "jaw", "head_top"),
    *("left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)
"""Human3.6M's 17 joints in the row order of SPIN's and HMR's ``J_regressor_h36m.npy``."""

H36M17_SPIN_PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
"""The bones that people draw between the joints of :data:`H36M17_SPIN_JOINTS`."""

H36M17_SPIN = Skeleton("h36m17-spin", H36M17_SPIN_JOINTS, H36M17_SPIN_PARENTS)
"""Human3.6M's 17 joints as SPIN and HMR order them: the left leg first."""

H36M17 = Skeleton(
    "h36m17",
    (*H36M17_SPIN_JOINTS[:1], *H36M17_SPIN_JOINTS[4:7], *H36M17_SPIN_JOINTS[1:4], *H36M17_SPIN_JOINTS[7:]),
    H36M17_SPIN_PARENTS,
)
"""Human3.6M's 17 joints as VideoPose3D and Pose2Mesh (``J_regressor_h36m_correct.npy``) order them: the right leg
first."""

H36M17_UPLIFT = Skeleton(
    "h36m17-uplift",
    (
        *("right_ankle", "right_knee", "right_hip"),
        *("left_hip", "left_knee", "left_ankle"),
        *("pelvis", "neck", "spine", "jaw", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    (1, 2, 6, 6, 3, 4, -1, 8, 6, 7, 9, 12, 13, 7, 7, 14, 15),
)
"""Human3.6M's 17 joints as Uplift and Upsample works with them, after it has loaded SPIN's order (its
``common/dataset/amass_dataset.py``)."""

H36M32 = Skeleton(
    "h36m32",
    (
        "pelvis",
        *("right_hip", "right_knee", "right_ankle", "right_toe_base", "right_toe_end"),
        *("left_hip", "left_knee", "left_ankle", "left_toe_base", "left_toe_end"),
        *("spine_base", "spine", "neck", "jaw", "head_top"),
        *("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
        *("left_thumb", "left_thumb_end", "left_hand", "left_hand_end"),
        *("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
        *("right_thumb", "right_thumb_end", "right_hand", "right_hand_end"),
    ),
    (
        *(-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14),
        *(12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30),
    ),
    stand_ins={
        "spine_base": "pelvis",
        **{f"{side}_collar": "neck" for side in ("left", "right")},
        **{f"{side}_toe_{part}": f"{side}_ankle" for side in ("left", "right") for part in ("base", "end")},
        **{
            f"{side}_{part}": f"{side}_wrist"
            for side in ("left", "right")
            for part in ("thumb", "thumb_end", "hand", "hand_end")
        },
    },
)
"""All 32 joints of Human3.6M's files, with VideoPose3D's parents (its ``common/h36m_dataset.py``).

Nobody uses the 15 that are not in :data:`H36M17`. Where they have to be made up, they lie in the joint that they hang
on: bones of no length, as Human3.6M itself has for some of them (the collars lie in the neck, the spine's base in the
pelvis).
"""

COCO17 = Skeleton(
    "coco17",
    (
        "nose",
        *("left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    (-1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)
"""COCO's 17 keypoints (https://cocodataset.org/#keypoints-2020). COCO draws edges and has no root: these parents, from
the nose down both sides, are all among its edges."""

REGRESSED_SKELETONS: tuple[Skeleton, ...] = (H36M17_SPIN, H36M17, H36M17_UPLIFT, COCO17)
"""The skeletons that joint regressors are known to give."""

BODY22 = Skeleton("body22", BODY_JOINTS, _BODY_PARENTS)
"""The joints that SMPL, SMPL+H and SMPL-X share."""

SMPL24 = Skeleton("smpl24", SMPL_JOINTS, (*_BODY_PARENTS, 20, 21))
"""SMPL's own joints."""

SMPLH52 = Skeleton("smplh52", SMPLH_JOINTS, SMPLH_PARENTS)
"""SMPL+H's own joints."""

SMPLX55 = Skeleton("smplx55", SMPLX_JOINTS, SMPLX_PARENTS)
"""SMPL-X's own joints."""

JOINT_SETS: dict[str, Skeleton] = {"body": BODY22, "smplh": SMPLH52, "smplx": SMPLX55}
"""What can be taken from the kinematic tree in place of regressed joints."""

SKELETONS: dict[str, Skeleton] = {
    one.name: one for one in (*REGRESSED_SKELETONS, H36M32, BODY22, SMPL24, SMPLH52, SMPLX55)
}
"""All of them, by name."""


def skeleton_named(name: str) -> Skeleton:
    """Give a skeleton by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in SKELETONS:
        raise InputError(f"there is no skeleton '{name}', expected one of {', '.join(SKELETONS)}.")
    return SKELETONS[name]
