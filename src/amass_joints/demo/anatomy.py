"""The tables of the stand-in body: bones, flesh and the ways in which people differ.

Everything is our own invention, but for the lengths of thigh, shank and forearm and the heights of ankle, knee and
hip: they are those of Drillis and Contini (1966), as fractions of stature, from Winter, *Biomechanics and Motor
Control of Human Movement*, figure 4.1. That figure measures the upper arm from the acromion; we put the shoulder's
joint centre 0.02 statures below it.

Lengths are in *statures*: a person stands on y = 0 and ends at y = 1. Axes are those of model space (x to the
person's left, y up, z forward). Only the middle and the left side are given; a name that starts with
``left_`` stands for its mirror image, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Vector: TypeAlias = tuple[float, float, float]

THIGH, SHANK, UPPER_ARM, FOREARM = 0.245, 0.246, 0.166, 0.146
"""Segment lengths. Winter's upper arm, 0.186, starts at the acromion: ours is less by 0.02."""

ANKLE_HEIGHT = 0.039
KNEE_HEIGHT = ANKLE_HEIGHT + SHANK
HIP_HEIGHT = KNEE_HEIGHT + THIGH
SHOULDER_HEIGHT = 0.798  # the acromion is at 0.818

_SHOULDER_X, _ARM_Z = 0.107, -0.012
_ELBOW_X = _SHOULDER_X + UPPER_ARM
_WRIST_X = _ELBOW_X + FOREARM
WRIST: Vector = (_WRIST_X, SHOULDER_HEIGHT, _ARM_Z)

FINGERS: dict[str, tuple[Vector, Vector, Vector, Vector]] = {
    # knuckle as seen from the wrist; direction; lengths of the three phalanges; radii at knuckle, middle, tip
    "index": ((0.054, 0.0, 0.0175), (1.0, 0.0, 0.10), (0.021, 0.013, 0.010), (0.0050, 0.0046, 0.0039)),
    "middle": ((0.056, 0.001, 0.0055), (1.0, 0.0, 0.02), (0.023, 0.015, 0.011), (0.0051, 0.0047, 0.0040)),
    "pinky": ((0.047, -0.001, -0.0180), (1.0, 0.0, -0.18), (0.017, 0.010, 0.009), (0.0045, 0.0041, 0.0035)),
    "ring": ((0.053, 0.0, -0.0065), (1.0, 0.0, -0.06), (0.021, 0.014, 0.011), (0.0049, 0.0045, 0.0038)),
    "thumb": ((0.013, -0.002, 0.0140), (0.72, -0.10, 0.69), (0.024, 0.019, 0.015), (0.0078, 0.0060, 0.0048)),
}
"""The five fingers, in SMPL+H's order."""


def finger_joints(finger: str) -> list[Vector]:
    """The three joints of a left finger and its tip, from the knuckle outwards, in statures."""
    knuckle, direction, lengths, _ = FINGERS[finger]
    norm = sum(component**2 for component in direction) ** 0.5
    x, y, z = (wrist + offset for wrist, offset in zip(WRIST, knuckle, strict=True))
    points = [(x, y, z)]
    for length in lengths:
        step = length / norm
        x, y, z = x + step * direction[0], y + step * direction[1], z + step * direction[2]
        points.append((x, y, z))
    return points


JOINTS: dict[str, Vector] = {
    "pelvis": (0.0, 0.555, -0.002),
    "left_hip": (0.053, HIP_HEIGHT, 0.0),
    "spine1": (0.0, 0.605, -0.010),
    "left_knee": (0.060, KNEE_HEIGHT, 0.0),
    "spine2": (0.0, 0.672, -0.010),
    "left_ankle": (0.066, ANKLE_HEIGHT, -0.014),
    "spine3": (0.0, 0.715, -0.006),
    "left_foot": (0.071, 0.014, 0.060),
    "neck": (0.0, 0.822, -0.012),
    "left_collar": (0.035, 0.785, -0.010),
    "head": (0.0, 0.876, -0.002),
    "left_shoulder": (_SHOULDER_X, SHOULDER_HEIGHT, _ARM_Z),
    "left_elbow": (_ELBOW_X, SHOULDER_HEIGHT, _ARM_Z),
    "left_wrist": WRIST,
    **{
        f"left_{finger}{number}": point
        for finger in FINGERS
        for number, point in enumerate(finger_joints(finger)[:3], start=1)
    },
}
"""Joint centres of the T pose."""


class Station(NamedTuple):
    """A point on the centre line of a piece of flesh, and how thick it is there."""

    joint: str
    """The joint whose bone carries the flesh from here to the next station; empty at the last one."""
    centre: Vector
    """The point."""
    semi_axes: Vector
    """Semi-axes along x, y, z of the ellipsoid around it."""


Flesh: TypeAlias = tuple[Station, ...]
"""A chain of tapered capsules with elliptical sections.

Its surface is where ``|(p - c) / s| = 1``, with ``c`` the point of the centre line nearest to ``p`` and ``s`` the
semi-axes there, interpolated between stations.
"""


def _flesh(*stations: tuple[str, Vector, Vector]) -> Flesh:
    return tuple(Station(*station) for station in stations)


def along_arm(x: float) -> Vector:
    """The point of the left arm's axis at ``x``: in T pose, the arm is straight."""
    return (x, SHOULDER_HEIGHT, _ARM_Z)


BODY_FLESH: tuple[Flesh, ...] = (
    _flesh(
        ("pelvis", (0.0, 0.525, -0.004), (0.093, 0.040, 0.064)),
        ("pelvis", (0.0, 0.560, -0.002), (0.092, 0.040, 0.064)),
        ("spine1", (0.0, 0.605, 0.002), (0.086, 0.040, 0.061)),
        ("spine1", (0.0, 0.640, 0.002), (0.082, 0.040, 0.059)),
        ("spine2", (0.0, 0.672, 0.002), (0.084, 0.040, 0.061)),
        ("spine3", (0.0, 0.715, 0.002), (0.091, 0.040, 0.066)),
        ("spine3", (0.0, 0.750, 0.000), (0.092, 0.040, 0.065)),
        ("", (0.0, 0.780, -0.006), (0.080, 0.036, 0.053)),
    ),
    _flesh(  # clavicle and shoulder blade
        ("left_collar", (0.020, 0.790, -0.010), (0.030, 0.030, 0.044)),
        ("", (0.085, 0.790, -0.012), (0.030, 0.034, 0.040)),
    ),
    _flesh(  # trapezius
        ("left_collar", (0.010, 0.808, -0.016), (0.030, 0.036, 0.030)),
        ("", (0.095, 0.798, -0.014), (0.030, 0.032, 0.033)),
    ),
    _flesh(
        ("neck", (0.0, 0.800, -0.014), (0.036, 0.030, 0.036)),
        ("neck", (0.0, 0.840, -0.012), (0.034, 0.030, 0.036)),
        ("", (0.0, 0.885, -0.006), (0.033, 0.030, 0.036)),
    ),
    _flesh(  # skull, jaw, nose
        ("head", (0.0, 0.932, -0.006), (0.044, 0.060, 0.056)),
        ("", (0.0, 0.940, -0.003), (0.045, 0.060, 0.056)),
    ),
    _flesh(
        ("head", (0.0, 0.915, 0.014), (0.038, 0.030, 0.036)),
        ("", (0.0, 0.893, 0.022), (0.026, 0.022, 0.028)),
    ),
    _flesh(
        ("head", (0.0, 0.932, 0.046), (0.008, 0.012, 0.012)),
        ("", (0.0, 0.914, 0.054), (0.011, 0.010, 0.013)),
    ),
    _flesh(  # buttock
        ("left_hip", (0.048, 0.528, -0.032), (0.044, 0.040, 0.040)),
        ("", (0.052, 0.500, -0.024), (0.042, 0.040, 0.040)),
    ),
    _flesh(
        ("left_hip", (0.054, 0.510, 0.000), (0.045, 0.040, 0.056)),
        ("left_hip", (0.056, 0.440, 0.002), (0.046, 0.040, 0.052)),
        ("left_knee", JOINTS["left_knee"], (0.033, 0.032, 0.036)),
        ("left_knee", (0.063, 0.210, -0.010), (0.033, 0.030, 0.036)),
        ("left_knee", (0.065, 0.100, -0.014), (0.021, 0.020, 0.024)),
        ("left_ankle", JOINTS["left_ankle"], (0.020, 0.020, 0.023)),
        ("", (0.066, 0.024, -0.028), (0.019, 0.024, 0.022)),
    ),
    _flesh(
        ("left_ankle", (0.067, 0.030, -0.005), (0.020, 0.026, 0.020)),
        ("left_foot", (0.071, 0.017, 0.060), (0.029, 0.017, 0.020)),
        ("", (0.073, 0.012, 0.088), (0.025, 0.012, 0.019)),
    ),
    _flesh(
        ("left_shoulder", JOINTS["left_shoulder"], (0.034, 0.034, 0.036)),
        ("left_shoulder", along_arm(0.185), (0.030, 0.030, 0.032)),
        ("left_elbow", JOINTS["left_elbow"], (0.024, 0.023, 0.025)),
        ("left_elbow", along_arm(0.315), (0.025, 0.024, 0.027)),
        ("", JOINTS["left_wrist"], (0.014, 0.0135, 0.018)),
    ),
)
"""What the bones of the body carry."""

PALM_FLESH: Flesh = _flesh(
    ("left_wrist", (WRIST[0] + 0.010, WRIST[1], WRIST[2]), (0.012, 0.0115, 0.019)),
    ("", (WRIST[0] + 0.044, WRIST[1], WRIST[2]), (0.012, 0.0085, 0.024)),
)
"""What the wrist carries."""


def _finger_flesh(finger: str) -> Flesh:
    """A chain along the phalanges, whose round end touches the tip of the finger."""
    first, second, third, tip = finger_joints(finger)
    _, _, (*_, last_length), (knuckle_radius, middle_radius, tip_radius) = FINGERS[finger]
    reach = 1 - tip_radius / last_length
    end = tuple(a + reach * (b - a) for a, b in zip(third, tip, strict=True))
    return _flesh(
        (f"left_{finger}1", first, (knuckle_radius,) * 3),
        (f"left_{finger}2", second, (middle_radius,) * 3),
        (f"left_{finger}3", third, ((middle_radius + tip_radius) / 2,) * 3),
        ("", (end[0], end[1], end[2]), (tip_radius,) * 3),
    )


FINGER_FLESH: dict[str, Flesh] = {finger: _finger_flesh(finger) for finger in FINGERS}
"""What the phalanges carry."""


@dataclass(frozen=True)
class Bump:
    """Soft tissue: a displacement that fades away like a Gaussian around a place."""

    centre: Vector
    """Where it is strongest, statures."""
    spread: float
    """The Gaussian's standard deviation, statures."""
    displacement: Vector
    """The displacement at the centre; its unit is said where the bump is used."""


@dataclass(frozen=True)
class Trait:
    """A way in which people differ, by one standard deviation."""

    name: str
    """What it changes."""
    stretch: dict[tuple[str, ...], Vector] = field(default_factory=dict)
    """For each group of joints: by how much (a fraction) their segments grow along x, y, z."""
    bumps: tuple[Bump, ...] = ()
    """Soft tissue that it adds, statures."""


_TORSO = ("pelvis", "spine1", "spine2", "spine3")
_LEG = ("left_hip", "left_knee")
_FOOT = ("left_ankle", "left_foot")
_ARM = ("left_shoulder", "left_elbow")
_FINGER = tuple(f"left_{finger}{number}" for finger in FINGERS for number in (1, 2, 3))
_HAND = ("left_wrist", *_FINGER)
_HEAD = ("head",)
_ALL = (*_TORSO, "left_collar", "neck", *_HEAD, *_LEG, *_FOOT, *_ARM, *_HAND)

_BELLY: Vector = (0.0, 0.615, 0.055)
_BREAST: Vector = (0.043, 0.728, 0.060)
_BUTTOCK: Vector = (0.048, 0.520, -0.066)
_THIGH: Vector = (0.070, 0.450, 0.0)
_UPPER_ARM: Vector = (0.180, SHOULDER_HEIGHT - 0.015, _ARM_Z)
_CALF: Vector = (0.063, 0.215, -0.035)
_FLANK: Vector = (0.078, 0.600, 0.0)
_UPPER_BACK: Vector = (0.045, 0.755, -0.055)

TRAITS: tuple[Trait, ...] = (
    Trait("size", {_ALL: (0.010, 0.010, 0.010)}),
    Trait(
        "girth",
        {
            _TORSO: (0.030, 0.0, 0.040),
            (*_LEG, "neck"): (0.030, 0.0, 0.030),
            _ARM: (0.0, 0.030, 0.030),
        },
    ),
    Trait("leg length", {_LEG: (0.0, 0.012, 0.0)}),
    Trait("arm length", {_ARM: (0.015, 0.0, 0.0)}),
    Trait("shoulder width", {("left_collar",): (0.030, 0.0, 0.0), ("spine3",): (0.020, 0.0, 0.0)}),
    Trait("hip width", {("pelvis", "left_hip"): (0.028, 0.0, 0.0), ("spine1",): (0.012, 0.0, 0.0)}),
    Trait("torso length", {_TORSO: (0.0, 0.020, 0.0)}),
    Trait("torso depth", {_TORSO: (0.0, 0.0, 0.035)}),
    Trait("belly", bumps=(Bump(_BELLY, 0.045, (0.0, -0.001, 0.006)),)),
    Trait("breast", bumps=(Bump(_BREAST, 0.026, (0.0015, -0.001, 0.005)),)),
    Trait("buttocks", bumps=(Bump(_BUTTOCK, 0.035, (0.001, 0.0, -0.004)),)),
    Trait("head size", {_HEAD: (0.015, 0.012, 0.015)}),
    Trait("neck length", {("neck",): (0.0, 0.035, 0.0)}),
    Trait("hand size", {_HAND: (0.025, 0.025, 0.025)}),
    Trait("foot size", {_FOOT: (0.025, 0.010, 0.025)}),
    Trait(
        "muscle",
        {("left_shoulder", "left_hip"): (0.0, 0.0, 0.025), ("left_collar", "neck"): (0.01, 0.0, 0.03)},
    ),
)
"""The meanings of the 16 shape coefficients."""


@dataclass(frozen=True)
class Build:
    """What one of the three bodies is like."""

    stature: float
    """Standing height, metres."""
    traits: dict[str, float]
    """How it differs from the neutral body: standard deviations of :data:`TRAITS`."""


BUILDS: dict[str, Build] = {
    "female": Build(
        1.65,
        {
            "girth": -0.8,
            "arm length": -0.8,
            "shoulder width": -2.0,
            "hip width": 1.6,
            "torso depth": -0.5,
            "breast": 3.0,
            "buttocks": 1.0,
            "head size": 0.8,
            "hand size": -1.4,
            "foot size": -1.4,
            "muscle": -1.2,
        },
    ),
    "male": Build(
        1.78,
        {
            "girth": 0.7,
            "arm length": 0.6,
            "shoulder width": 2.0,
            "hip width": -1.2,
            "torso depth": 0.4,
            "head size": -0.6,
            "hand size": 1.0,
            "foot size": 1.0,
            "muscle": 1.4,
        },
    ),
    "neutral": Build(1.71, {}),
}
"""The three bodies, of ordinary statures of adults."""

WOBBLES: tuple[tuple[Bump, ...], ...] = (
    (Bump(_BELLY, 0.050, (0.0, 0.0, 0.010)),),
    (Bump(_BELLY, 0.060, (0.0, 0.010, 0.0)), Bump(_FLANK, 0.040, (0.0, 0.006, 0.0))),
    (Bump(_BREAST, 0.035, (0.0, 0.010, 0.0)),),
    (Bump(_BREAST, 0.040, (0.003, 0.0, 0.009)), Bump(_UPPER_BACK, 0.040, (0.0, 0.0, -0.004))),
    (Bump(_BUTTOCK, 0.045, (0.0, 0.009, -0.004)),),
    (Bump(_THIGH, 0.055, (0.008, 0.0, 0.005)),),
    (Bump(_THIGH, 0.060, (0.0, 0.010, 0.0)), Bump(_CALF, 0.045, (0.0, 0.006, -0.002))),
    (Bump(_UPPER_ARM, 0.045, (0.0, -0.010, 0.0)), Bump(_FLANK, 0.040, (0.005, 0.0, 0.0))),
)
"""The meanings of the 8 soft-tissue coefficients; displacements in metres."""


class FaceJoint(NamedTuple):
    """A joint that SMPL-X has in the head, and the skin that follows it."""

    place: Vector
    """The joint's centre."""
    skin: Vector
    """The middle of the skin that follows it."""
    reach: float
    """How far that skin reaches."""
    share: float
    """How closely the middle follows; the rest is the head's."""


FACE: dict[str, FaceJoint] = {
    "jaw": FaceJoint((0.0, 0.908, 0.004), (0.0, 0.884, 0.040), reach=0.034, share=0.85),
    "left_eye": FaceJoint((0.017, 0.937, 0.036), (0.0175, 0.938, 0.050), reach=0.012, share=0.9),
}
"""The joints of the face, in statures."""

_BROW: Vector = (0.018, 0.952, 0.050)
_CHEEK: Vector = (0.026, 0.915, 0.038)
_MOUTH: Vector = (0.0, 0.897, 0.050)
_MOUTH_CORNER: Vector = (0.015, 0.899, 0.045)
_CHIN: Vector = (0.0, 0.882, 0.045)
_NOSTRIL: Vector = (0.007, 0.914, 0.062)

EXPRESSIONS: tuple[tuple[Bump, ...], ...] = (
    (Bump(_MOUTH_CORNER, 0.010, (0.003, 0.004, -0.002)),),
    (Bump(_MOUTH_CORNER, 0.010, (0.001, -0.005, 0.0)),),
    (Bump(_MOUTH, 0.009, (0.0, 0.0, 0.005)),),
    (Bump(_MOUTH, 0.009, (0.0, 0.004, 0.001)),),
    (Bump(_BROW, 0.011, (0.0, 0.005, 0.0)),),
    (Bump(_BROW, 0.011, (-0.002, -0.004, 0.001)),),
    (Bump(_CHEEK, 0.012, (0.004, 0.0, 0.003)),),
    (Bump(_CHEEK, 0.012, (-0.003, 0.0, -0.003)),),
    (Bump(_CHIN, 0.012, (0.0, 0.003, 0.002)),),
    (Bump(_NOSTRIL, 0.006, (0.002, 0.001, 0.0)),),
)
"""The meanings of SMPL-X's coefficients of expression: smile, frown, pout and so on; displacements in metres."""
