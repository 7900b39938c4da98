"""A posture, and how it becomes the local rotations of the SMPL+H joints.

A `Posture` says where the pelvis and the feet are and how trunk and arms are bent, in the words of a gait
laboratory; a `Body` gives the measures of whoever takes it. `rotation_vectors` makes it a pose:

1. trunk and arms by anatomical angles, legs by inverse kinematics, with the knees over the toes;
2. rotation matrices to rotation vectors that are continuous over the frames;
3. fingers, each bent about one axis, straight as rotation vectors.

Coordinates are those of *stage space*: the axes of model space (y up, x left, z forward), the floor at y = 0.
Lengths are metres; angles are degrees until they become rotations. Flexion is positive, and so are abduction,
outward rotation, and leaning or turning to the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from amass_joints.skeletons import NUM_BODY_JOINTS, SMPLH_JOINTS

if TYPE_CHECKING:
    from jaxtyping import Float

    Angle: TypeAlias = Float[np.ndarray, " frames"] | float
    Track: TypeAlias = Float[np.ndarray, " frames"]
    Points: TypeAlias = Float[np.ndarray, "frames 3"]
    _Rotations: TypeAlias = Float[np.ndarray, "... 3 3"]
else:
    Angle = Track = Points = _Rotations = Any

SIDES = (("left", 1.0), ("right", -1.0))
"""The sides of the body, and the sign of x there."""

_SOLE_BELOW_BALL = 0.025  # metres from the joint at the ball of the foot down to the floor
_HEEL_BEHIND_ANKLE = 0.6  # heights of the ankle; that far back, the stand-in mesh still touches the floor
_STRAIGHTEST_KNEE = 3.0  # degrees


# --- A body and its posture -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """The measures of a body that is to move."""

    rest: Float[np.ndarray, "52 3"]
    """Rest joints, metres, moved so that the body stands on the floor, its pelvis above the origin."""

    @classmethod
    def standing(cls, rest_joints: Float[np.ndarray, "52 3"]) -> Body:
        """Stand the body of these rest joints, metres, model space, on the stage."""
        lowest = min(rest_joints[SMPLH_JOINTS.index(f"{side}_foot"), 1] for side, _ in SIDES)
        return cls(rest_joints - [rest_joints[0, 0], lowest - _SOLE_BELOW_BALL, rest_joints[0, 2]])

    def joint(self, name: str) -> Float[np.ndarray, " 3"]:
        """Rest place of the joint ``name``, metres."""
        return np.asarray(self.rest[SMPLH_JOINTS.index(name)])

    @property
    def leg(self) -> float:
        """Length of thigh and shank, metres."""
        hip, knee, ankle = (self.joint(f"left_{name}") for name in ("hip", "knee", "ankle"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))

    @property
    def heel(self) -> Float[np.ndarray, " 3"]:
        """From the ball of a foot to where its heel meets the floor, metres."""
        ankle, ball = self.joint("left_ankle"), self.joint("left_foot")
        return np.array([0.0, -ball[1], ankle[2] - _HEEL_BEHIND_ANKLE * ankle[1] - ball[2]])


@dataclass(frozen=True)
class Foot:
    """Where a foot is."""

    ball: Float[np.ndarray, "#frames 3"]
    """The ball of the foot, metres; at height 0 it stands on the floor. One place for all frames where it stays."""
    yaw: Angle = 0.0
    """Turn of the toes to the left, degrees."""
    toes_up: Angle = 0.0
    """Of the sole against the floor, degrees; less than 0 where the heel is higher."""


@dataclass(frozen=True)
class Arm:
    """Angles of an arm, degrees; at zero it hangs straight, the palm to the thigh."""

    flexion: Angle = 3.0
    """Of the upper arm, forward."""
    abduction: Angle = 10.0
    """Of the upper arm, away from the body."""
    rotation: Angle = 0.0
    """Of the upper arm about its own length, outward."""
    elbow: Angle = 15.0
    """Flexion of the elbow."""
    shrug: Angle = 0.0
    """Of the collar bone, upward."""
    curl: Angle = 25.0
    """Of the fingers, at a middle joint."""


@dataclass(frozen=True)
class Posture:
    """All that a choreography decides."""

    pelvis: Points
    """Metres from where it is in the rest pose."""
    feet: tuple[Foot, Foot]
    """Left, right."""
    arms: tuple[Arm, Arm]
    """Left, right."""
    tilt: Angle = 2.0
    """Of the pelvis, forward, degrees."""
    lean: Angle = 0.0
    """Of the pelvis, to the left, degrees."""
    yaw: Angle = 0.0
    """Of the pelvis, turned to the left, degrees."""
    bend: Angle = 1.0
    """Of the shoulders against the pelvis, forward, degrees."""
    side_bend: Angle = 0.0
    """Of the shoulders against the pelvis, to the left, degrees."""
    twist: Angle = 0.0
    """Of the shoulders against the pelvis, turned to the left, degrees."""


# --- From posture to rotations --------------------------------------------------------------------------


def rotation_vectors(
    body: Body, posture: Posture, to_world: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "frames 52 3"]:
    """Local rotation vectors of all joints, radians; ``to_world`` turns the root from stage space to the world."""
    rotations = _body_rotations(body, posture)
    rotations[:, 0] = to_world @ rotations[:, 0]
    frames = len(rotations)
    vectors = np.zeros((frames, len(SMPLH_JOINTS), 3))
    vectors[:, :NUM_BODY_JOINTS] = _logarithm(rotations)
    vectors[:, NUM_BODY_JOINTS:] = _hands(posture.arms, frames)
    return vectors


def turn(axis: int, degrees: Angle) -> _Rotations:
    """Rotations about the x (0), y (1) or z (2) axis."""
    angle = np.asarray(np.deg2rad(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((*np.shape(angle), 3, 3))
    turn[..., axis, axis] = 1.0
    turn[..., i, i] = turn[..., j, j] = np.cos(angle)
    turn[..., j, i] = np.sin(angle)
    turn[..., i, j] = -turn[..., j, i]
    return turn


def _transposed(rotations: _Rotations) -> _Rotations:
    return np.swapaxes(rotations, -1, -2)


def _upright(bend: Angle, lean: Angle, yaw: Angle) -> _Rotations:
    rotations: _Rotations = turn(1, yaw) @ turn(2, -lean) @ turn(0, bend)
    return rotations


def _body_rotations(body: Body, posture: Posture) -> Float[np.ndarray, "frames 22 3 3"]:
    """Local rotations of the body's joints; the root's are relative to stage space."""
    root = _upright(posture.tilt, posture.lean, posture.yaw)
    spine = _upright(posture.bend / 3, posture.side_bend / 3, posture.twist / 3)
    # Neck and head, half each: the face stays nearly upright and, when the shoulders twist, ahead.
    head = _upright(
        -0.4 * (posture.tilt + posture.bend), -0.4 * (posture.lean + posture.side_bend), -0.25 * posture.twist
    )
    joints = {"pelvis": root, "neck": head, "head": head} | {f"spine{n}": spine for n in (1, 2, 3)}
    for (side, sign), foot, arm in zip(SIDES, posture.feet, posture.arms, strict=True):
        limbs = _leg_rotations(body, side, posture.pelvis, root, foot) | _arm_rotations(arm, sign)
        joints |= {f"{side}_{name}": rotation for name, rotation in limbs.items()}
    shape = (len(posture.pelvis), 3, 3)
    return np.stack([np.broadcast_to(joints[name], shape) for name in SMPLH_JOINTS[:NUM_BODY_JOINTS]], axis=1)


def _leg_rotations(body: Body, side: str, pelvis: Points, root: _Rotations, foot: Foot) -> dict[str, _Rotations]:
    """Inverse kinematics: the leg between a pelvis and a foot, with the knee over the toes."""
    hip, knee, ankle, ball = (body.joint(f"{side}_{name}") for name in ("hip", "knee", "ankle", "foot"))
    origin = body.joint("pelvis")
    sole = turn(1, foot.yaw) @ turn(0, -foot.toes_up)
    ankle_place = foot.ball + [0.0, ball[1], 0.0] + sole @ (ankle - ball)
    reach = ankle_place - (origin + pelvis + root @ (hip - origin))
    knee_bend = turn(0, _knee_flexion(knee - hip, ankle - knee, np.linalg.norm(reach, axis=-1)))
    bent = (knee - hip) + knee_bend @ (ankle - knee)
    hinge = np.array([1.0, 0.0, 0.0])
    thigh = _frames(reach, turn(1, foot.yaw) @ hinge) @ _transposed(_frames(bent, hinge))
    return {
        "hip": _transposed(root) @ thigh,
        "knee": knee_bend,
        "ankle": _transposed(thigh @ knee_bend) @ sole,
        "foot": turn(0, -_toe_extension(foot)),
    }


def _knee_flexion(
    thigh: Float[np.ndarray, " 3"], shank: Float[np.ndarray, " 3"], reach: Track
) -> Float[np.ndarray, " frames"]:
    """Degrees about x at which hip and ankle are ``reach`` apart; a leg too short stays nearly straight."""
    # |thigh + R shank|^2 = reach^2, where thigh . R shank = along_x + swing cos(flexion - straight)
    along_x = thigh[0] * shank[0]
    inner = thigh[1:] @ shank[1:]
    outer = thigh[2] * shank[1] - thigh[1] * shank[2]
    swing, straight = np.hypot(inner, outer), np.arctan2(outer, inner)
    cosine = ((reach**2 - thigh @ thigh - shank @ shank) / 2 - along_x) / swing
    # A smooth minimum: a hard one would stop the knee with a jerk.
    softness, limit = 0.002, np.cos(np.deg2rad(_STRAIGHTEST_KNEE))
    cosine = limit - softness * np.logaddexp(0.0, (limit - cosine) / softness)
    flexion: Track = np.rad2deg(straight + np.arccos(np.maximum(cosine, -1.0)))
    return flexion


def _frames(along: Float[np.ndarray, "... 3"], hinge: Float[np.ndarray, "... 3"]) -> _Rotations:
    """Orthonormal frames with one axis along a limb and one as near to its hinge as can be."""
    down = along / np.linalg.norm(along, axis=-1, keepdims=True)
    ahead = np.cross(hinge, down)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    return np.stack(np.broadcast_arrays(np.cross(down, ahead), down, ahead), axis=-1)


def _toe_extension(foot: Foot) -> Angle:
    """Toes stay flat while the heel rises, and relax when they leave the floor."""
    heel_up = (np.hypot(foot.toes_up, 4.0) - foot.toes_up) / 2
    return heel_up * np.exp(-((foot.ball[:, 1] / 0.05) ** 2))


def _arm_rotations(arm: Arm, sign: float) -> dict[str, _Rotations]:
    hanging = turn(0, -arm.flexion) @ turn(2, sign * (arm.abduction - 90.0))
    return {
        "collar": turn(2, sign * arm.shrug),
        "shoulder": hanging @ turn(0, -arm.rotation),
        "elbow": turn(1, -sign * arm.elbow),
        "wrist": turn(2, sign * (5.0 - 0.2 * arm.curl)),
    }


_FINGER_CURL = {"index": 0.8, "middle": 1.0, "pinky": 1.15, "ring": 1.1}
_KNUCKLE_CURL = {"1": 0.9, "2": 1.1, "3": 0.7}


def _hands(arms: tuple[Arm, Arm], frames: int) -> Float[np.ndarray, "frames 30 3"]:
    """Rotation vectors of fingers, which bend to the palm, and thumbs, which bend to the fingers."""
    vectors = np.zeros((frames, len(SMPLH_JOINTS) - NUM_BODY_JOINTS, 3))
    for k, name in enumerate(SMPLH_JOINTS[NUM_BODY_JOINTS:]):
        side, finger = name[:-1].split("_")
        arm, sign = (arms[0], 1.0) if side == "left" else (arms[1], -1.0)
        axis, gain = (1, 0.4) if finger == "thumb" else (2, -_FINGER_CURL[finger] * _KNUCKLE_CURL[name[-1]])
        vectors[:, k, axis] = sign * gain * np.deg2rad(arm.curl)
    return vectors


def _logarithm(
    rotations: Float[np.ndarray, "frames joints 3 3"],
) -> Float[np.ndarray, "frames joints 3"]:
    """Logarithm by way of quaternions, continuous over the frames even beyond half a turn."""
    r = rotations
    trace = np.trace(r, axis1=-2, axis2=-1)
    # The symmetric matrix 4 q q^T (q = x, y, z, w) is linear in r; its row with the largest diagonal gives q.
    outer = np.empty((*r.shape[:-2], 4, 4))
    outer[..., :3, :3] = r + _transposed(r) + (1 - trace)[..., None, None] * np.eye(3)
    outer[..., 3, :3] = outer[..., :3, 3] = np.stack(
        [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], axis=-1
    )
    outer[..., 3, 3] = 1 + trace
    row = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(outer, row[..., None, None], axis=-2)[..., 0, :]
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    q[0] *= np.where(q[0, :, 3:] < 0, -1, 1)
    q[1:] *= np.cumprod(np.where(np.sum(q[1:] * q[:-1], axis=-1) < 0, -1, 1), axis=0)[..., None]
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., 3:])
    return np.asarray(q[..., :3] * np.divide(angle, sine, out=np.full_like(angle, 2.0), where=sine > 1e-12))
