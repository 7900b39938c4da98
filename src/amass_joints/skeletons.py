"""Named joint sets and skeletons: joint names, parents, row orders. The one home of conventions.

Units are metres, radians and hertz. Two frames of reference occur:

* model space, in which body models are given: y up, x towards the person's left, z forward, T pose;
* world space, in which AMASS's ``trans`` and our results are given: z up.

``parents[k]`` is the index of joint ``k``'s parent, -1 for the root.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """Named joints and the bones between them."""

    name: str
    joints: tuple[str, ...]
    """In the order of their rows."""
    parents: tuple[int, ...]

    @property
    def bones(self) -> dict[str, tuple[int, int]]:
        """Each bone's joints as rows (child, parent), by the name of the child."""
        return {self.joints[child]: (child, parent) for child, parent in enumerate(self.parents) if parent >= 0}


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

JOINT_SETS: dict[str, tuple[str, ...]] = {"body": BODY_JOINTS, "smplh": SMPLH_JOINTS, "smplx": SMPLX_JOINTS}
"""What can be taken from the kinematic tree in place of regressed joints."""

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

REGRESSED_SKELETONS: tuple[Skeleton, ...] = (H36M17_SPIN, H36M17)
"""The skeletons that joint regressors are known to give."""

SKELETONS: dict[str, Skeleton] = {
    one.name: one
    for one in (
        *REGRESSED_SKELETONS,
        Skeleton("body", BODY_JOINTS, _BODY_PARENTS),
        Skeleton("smpl", SMPL_JOINTS, (*_BODY_PARENTS, 20, 21)),
        Skeleton("smplh", SMPLH_JOINTS, SMPLH_PARENTS),
        Skeleton("smplx", SMPLX_JOINTS, SMPLX_PARENTS),
    )
}
"""All of them, by name; those of :data:`JOINT_SETS` go by the same names."""
