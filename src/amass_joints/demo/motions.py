"""Stand-in motions: walk, run, squat, wave, jump and turn, as SMPL+H parameters. Our own invention.

A motion is a function of continuous time; the frame rate only says when it is looked at. Its stages are

1. a *choreography*, ``(body, time, pace) -> Posture``, all that this module owns. A foot on the floor is a foot
   whose place does not change, so nothing skates; a flight is a parabola;
2. `posture.rotation_vectors`: legs by inverse kinematics, all else by anatomical angles;
3. `soft_tissue.jiggle`: damped oscillators that the vertical acceleration of the pelvis drives.

All of it happens in stage space (see `posture`, which also says the units and signs). Only `make_motion` turns
it to the world of AMASS (z up, floor at z = 0).

Timings and curves are our own, drawn to look like human motion; nothing was measured. Between key values, curves
are minimum-jerk quintics (T. Flash and N. Hogan, The coordination of arm movements, 1985).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from amass_joints.demo.posture import SIDES, Angle, Arm, Body, Foot, Points, Posture, Track, rotation_vectors, turn
from amass_joints.demo.soft_tissue import jiggle
from amass_joints.skeletons import SMPLH_JOINTS

if TYPE_CHECKING:
    from jaxtyping import Float

_Keys: TypeAlias = tuple[tuple[float, ...], ...]
"""(time, value), (time, value, velocity) or (time, value, velocity, acceleration); what is missing is 0."""
_Choreography: TypeAlias = Callable[[Body, Track, float], Posture]

_GRAVITY = 9.81  # metres per second squared


@dataclass(frozen=True)
class Motion:
    """One motion, in the arrays of an AMASS sequence."""

    poses: Float[np.ndarray, "frames 156"]
    """Local rotation vectors of the 52 SMPL+H joints, radians."""
    trans: Float[np.ndarray, "frames 3"]
    """Root translation, metres, world space: z up, the floor at z = 0."""
    dmpls: Float[np.ndarray, "frames 8"]
    """Soft-tissue coefficients."""


# --- Tracks over time -----------------------------------------------------------------------------------


def _through(time: Track, keys: _Keys) -> Track:
    """Quintic segments through keys, constant before the first and after the last."""
    times, value, velocity, acceleration = np.array([(*key, 0.0, 0.0)[:4] for key in keys]).T
    time = np.clip(time, times[0], times[-1])
    i = np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2)
    span = times[i + 1] - times[i]
    u = (time - times[i]) / span
    slope, curve = velocity[i] * span, acceleration[i] * span**2 / 2
    # What the terms above the square must still add at u = 1, to value, slope and curvature:
    d0 = value[i + 1] - value[i] - slope - curve
    d1 = velocity[i + 1] * span - slope - 2 * curve
    d2 = acceleration[i + 1] * span**2 - 2 * curve
    cubic, quartic, quintic = 10 * d0 - 4 * d1 + d2 / 2, -15 * d0 + 7 * d1 - d2, 6 * d0 - 3 * d1 + d2 / 2
    track: Track = value[i] + u * (slope + u * (curve + u * (cubic + u * (quartic + u * quintic))))
    return track


def _cycle(phase: Track, amplitude: float, peak: float) -> Track:
    """Follow a cosine over the cycle, greatest at phase ``peak``."""
    return amplitude * np.cos(2 * np.pi * (phase - peak))


def _points(x: Angle, y: Angle, z: Angle) -> Points:
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


# --- Choreographies: walking and running ----------------------------------------------------------------


@dataclass(frozen=True)
class _Gait:
    """The feet over one stride: phase 0 is a foot's contact with the floor, 1 the same foot's next.

    All lengths are in lengths of a leg.
    """

    stride: float
    """From one footprint to the same foot's next."""
    width: float
    """From the line of progression to the ball of the foot."""
    lead: float
    """From below the pelvis, in the middle of stance, forward to the ball of the foot."""
    period: float
    """Seconds."""
    stance: float
    """Phase at which the toes leave the floor."""
    progress: _Keys
    """From one footprint (0) to the next (1)."""
    lift: _Keys
    """Of the ball of the foot off the floor."""
    toes_up: _Keys
    """Degrees."""
    on_heel: _Keys
    """1 where the foot rocks on its heel, 0 where it rocks on its ball."""

    def at(self, pace: float) -> _Gait:
        """At a pace: the stride grows with its square root."""
        return replace(self, stride=self.stride * pace**0.5, period=self.period / pace)

    def feet(self, body: Body, phase: Track) -> tuple[Foot, Foot]:
        return self._foot(body, phase, 0.0, 1.0), self._foot(body, phase, 0.5, -1.0)

    def _foot(self, body: Body, phase: Track, ahead: float, side: float) -> Foot:
        strides, phase = np.divmod(phase + ahead, 1.0)
        toes_up = _through(phase, self.toes_up)
        way = self.stride * (strides + _through(phase, self.progress) - ahead + self.stance / 2)
        ball = body.leg * _points(side * self.width, _through(phase, self.lift), way + self.lead)
        rocked = body.heel - turn(0, -toes_up) @ body.heel
        return Foot(ball + _through(phase, self.on_heel)[:, None] * rocked, side * 6.0, toes_up)


_WALK = _Gait(
    stride=1.56,
    width=0.075,
    lead=0.014,
    period=1.04,
    stance=0.62,
    progress=((0.56, 0.0), (0.80, 0.54, 3.12), (1.0, 1.0, 0.0, -49.0)),
    lift=((0.57, 0.0), (0.70, 0.065), (0.86, 0.029, -0.41), (1.0, 0.0)),
    toes_up=(
        *((0.0, 20.0, -333.0), (0.10, 0.0), (0.30, 0.0), (0.50, -17.8, -214.0)),
        *((0.62, -64.3, -109.0), (0.75, -40.6, 289.0), (0.88, -2.1, 157.0), (1.0, 20.0, -333.0)),
    ),
    on_heel=((0.20, 1.0), (0.30, 0.0), (0.68, 0.0), (0.92, 1.0)),
)
_RUN = _Gait(
    stride=2.4,
    width=0.05,
    lead=-0.03,
    period=0.68,
    stance=0.33,
    progress=((0.30, 0.0), (0.68, 0.471, 1.79), (1.0, 1.0, 0.0, -35.0)),
    lift=((0.31, 0.0), (0.50, 0.122, 0.182), (0.80, 0.133), (1.0, 0.0)),
    toes_up=(
        *((0.0, 10.0, -250.0), (0.08, 0.0), (0.11, 0.0), (0.33, -50.5, -393.0)),
        *((0.53, -71.0, 18.4), (0.70, -54.4, 147.0), (0.86, -17.9, 204.0), (1.0, 10.0, -250.0)),
    ),
    on_heel=((0.08, 1.0), (0.14, 0.0), (0.70, 0.0), (0.92, 1.0)),
)


def _walk(body: Body, time: Track, pace: float) -> Posture:
    gait = _WALK.at(pace)
    left = time / gait.period

    def arm(phase: Track) -> Arm:
        flexion, elbow = 2 + _cycle(phase, 20.0, 0.54), 22 + _cycle(phase, 12.0, 0.58)
        return Arm(flexion, abduction=9.0, elbow=elbow, curl=30 + _cycle(phase, 6.0, 0.6))

    bob = _cycle(2 * left, 0.016, 0.52) - 0.036
    return Posture(
        pelvis=body.leg * _points(_cycle(left, 0.022, 0.30), bob, gait.stride * left),
        feet=gait.feet(body, left),
        arms=(arm(left), arm(left + 0.5)),
        tilt=3.0,
        lean=_cycle(left, -3.5, 0.17),
        yaw=_cycle(left, -5.0, 0.0),
        bend=2.0,
        side_bend=_cycle(left, 3.0, 0.20),
        twist=_cycle(left, 10.0, 0.02),
    )


def _run(body: Body, time: Track, pace: float) -> Posture:
    gait = _RUN.at(pace)
    left = time / gait.period

    def arm(phase: Track) -> Arm:
        flexion, elbow = _cycle(phase, 34.0, 0.47) - 12, 92 + _cycle(phase, 12.0, 0.47)
        return Arm(flexion, 14.0, elbow=elbow, curl=50 + _cycle(phase, 6.0, 0.5))

    bounce = _bounce(time, gait.stance * gait.period, (0.5 - gait.stance) * gait.period) / body.leg
    return Posture(
        pelvis=body.leg * _points(_cycle(left, 0.012, 0.18), bounce - 0.046, gait.stride * left),
        feet=gait.feet(body, left),
        arms=(arm(left), arm(left + 0.5)),
        tilt=9.0,
        lean=_cycle(left, -4.0, 0.15),
        yaw=_cycle(left, -6.0, 0.95),
        bend=4.0,
        side_bend=_cycle(left, 3.0, 0.17),
        twist=_cycle(left, 18.0, 0.95),
    )


def _bounce(time: Track, contact: float, flight: float) -> Track:
    """Height above that of touchdown, metres, of a runner whom half-sine pushes keep in the air."""
    time = time % (contact + flight)
    push, rate = np.pi * _GRAVITY * (contact + flight) / (2 * contact), np.pi / contact
    on_floor = push / rate * (time - np.sin(rate * time) / rate) - _GRAVITY / 2 * time * (flight + time)
    airborne = _GRAVITY / 2 * (time - contact) * (contact + flight - time)
    return np.where(time < contact, on_floor, airborne)


# --- Choreographies: on the spot ------------------------------------------------------------------------


def _standing_feet(body: Body, width: float = 0.11, toes_out: float = 8.0) -> tuple[Foot, Foot]:
    ahead = body.joint("left_foot")[2]
    left, right = (Foot(np.array([[s * width * body.leg, 0.0, ahead]]), s * toes_out) for _, s in SIDES)
    return left, right


def _squat(body: Body, time: Track, pace: float) -> Posture:
    depth = _through(time * pace % 3.2, ((0.2, 0.0), (1.4, 1.0), (1.6, 1.0), (2.8, 0.0)))
    arm = Arm(3 + 117 * depth, 10 - 2 * depth, elbow=16 - 6 * depth, curl=28 - 14 * depth)
    return Posture(
        pelvis=body.leg * _points(0.0, -0.015 - 0.54 * depth, -0.25 * depth),
        feet=_standing_feet(body, width=0.18, toes_out=20.0),
        arms=(arm, arm),
        tilt=2 + 29 * depth,
        bend=2 + 12 * depth,
    )


def _wave(body: Body, time: Track, pace: float) -> Posture:
    time = time * pace % 5.6
    raised = _through(time, ((0.4, 0.0), (1.3, 1.0), (4.0, 1.0), (5.0, 0.0)))
    beat = np.sin(10 * time) * _through(time, ((1.0, 0.0), (1.6, 1.0), (3.6, 1.0), (4.2, 0.0)))
    sway = _cycle(time / 5.6, 1.0, 0.4)
    waving = Arm(
        flexion=3 + 9 * raised,
        abduction=10 + 68 * raised,
        rotation=88 * raised,
        elbow=15 + 75 * raised - 24 * beat,
        shrug=10 * raised,
        curl=28 - 22 * raised + 5 * beat,
    )
    return Posture(
        pelvis=body.leg * _points(0.018 * sway, -0.014 - 0.003 * sway**2, 0.004 * sway),
        feet=_standing_feet(body),
        arms=(Arm(flexion=3 + 3 * sway, curl=27 + 5 * sway), waving),
        lean=1.2 * sway,
        side_bend=3 * raised + beat - sway,
        twist=2 * sway,
    )


def _jump(body: Body, time: Track, pace: float) -> Posture:
    launch, catch_up = 2.3, 0.06  # metres per second; seconds in which the feet gain the pelvis's speed
    low = 0.8
    off = low + 0.27
    down = off + 2 * launch / _GRAVITY
    landed, upright = down + 0.24, down + 0.94
    time = time % (upright + 0.2 / pace)  # gravity sets the tempo of all but the rest
    leg, speed = body.leg, launch - catch_up * _GRAVITY
    lift = catch_up * (launch + speed) / 2 - 0.06 * leg  # as high as the pelvis, less what the legs straighten
    height = (
        *((0.1, -0.015 * leg), (low, -0.30 * leg, 0.0, 14.0), (off, 0.012 * leg, launch, -_GRAVITY)),
        *((down, 0.012 * leg, -launch, -_GRAVITY), (landed, -0.25 * leg, 0.0, 12.0), (upright, -0.015 * leg)),
    )
    take_off = ((off, 0.0), (off + catch_up, lift, speed, -_GRAVITY))
    landing = ((down - catch_up, lift, -speed, -_GRAVITY), (down, 0.0))
    heels = ((low + 0.06, 0.0), (off, -40.0, -200.0), (off + 0.15, -46.0), (down, -36.0, 120.0), (down + 0.14, 0.0))
    arms = ((0.1, 3.0), (low - 0.1, -45.0), (off + 0.05, 150.0), (down, 95.0), (landed + 0.1, 15.0), (upright, 3.0))
    elbow = 15 + 40 * _through(time, ((low - 0.1, 0.0), (low + 0.15, 1.0), (off + 0.1, 0.3), (upright, 0.0)))
    bent = _through(time, ((0.1, 0.0), (low, 1.0), (off, 0.1), (down, 0.2), (landed, 0.85), (upright, 0.0)))
    arm = Arm(_through(time, arms), elbow=elbow, curl=25 + 25 * bent)
    lifted, toes_up = _points(0.0, _through(time, take_off + landing), 0.0), _through(time, heels)
    left, right = (replace(foot, ball=foot.ball + lifted, toes_up=toes_up) for foot in _standing_feet(body))
    return Posture(
        pelvis=_points(0.0, _through(time, height), leg * (0.03 - 0.14 * bent)),
        feet=(left, right),
        arms=(arm, arm),
        tilt=2 + 32 * bent,
        bend=1 + 14 * bent,
    )


_TURN_STEP = 0.5
"""Seconds. Each of thirteen steps lands 30 degrees beyond the one before; the last closes the turn."""


def _turn_around(body: Body, time: Track, pace: float) -> Posture:
    """Once around to the left, in small steps, and back to the right."""
    rest = 13 * _TURN_STEP + 1.0
    time = time * pace % (2 * rest)
    there, back = time, time - rest
    course = ((0.0, 0.0), (0.6, 15.0, 60.0), (12 * _TURN_STEP, 345.0, 60.0), (13 * _TURN_STEP + 0.1, 360.0))
    yaw = _through(there, course) - _through(back, course)

    def foot(standing: Foot, first: int) -> Foot:
        (yaw_there, lift_there), (yaw_back, lift_back) = _steps(there, first), _steps(back, 1 - first)
        yaw, lift = yaw_there - yaw_back, lift_there + lift_back
        place = (turn(1, yaw) @ standing.ball[0]) + body.leg * _points(0.0, 0.06 * lift, 0.0)
        return Foot(place, yaw + standing.yaw, -14 * lift)

    left, right = _standing_feet(body)
    feet = foot(left, 0), foot(right, 1)
    lift = feet[0].ball[:, 1] - feet[1].ball[:, 1]
    sway, swing = _points(-0.5 * lift, -0.02 * body.leg, 0.0), 150 * lift
    return Posture(
        pelvis=(turn(1, yaw) @ sway[..., None])[..., 0],
        feet=feet,
        arms=(Arm(3 - swing, curl=25 + swing), Arm(3 + swing, curl=25 - swing)),
        yaw=yaw,
    )


def _steps(time: Track, first: int) -> tuple[Track, Track]:
    """Yaw, and lift from 0 to 1, of a foot that takes every other step from ``first`` on."""
    yaw: list[tuple[float, float]] = [(0.0, 0.0)]
    lift = list(yaw)
    for step in range(first, 13, 2):
        lifted, landed = (step + 0.02) * _TURN_STEP, (step + 0.88) * _TURN_STEP
        yaw += [(lifted, yaw[-1][1]), (landed, min(30.0 * (step + 1), 360.0))]
        lift += [(lifted, 0.0), ((lifted + landed) / 2, 1.0), (landed, 0.0)]
    return _through(time, tuple(yaw)), _through(time, tuple(lift))


_CHOREOGRAPHIES: dict[str, _Choreography] = {
    "walk": _walk,
    "run": _run,
    "squat": _squat,
    "wave": _wave,
    "jump": _jump,
    "turn": _turn_around,
}
MOTIONS: tuple[str, ...] = tuple(_CHOREOGRAPHIES)
"""The names of the motions."""


# --- The motions ----------------------------------------------------------------------------------------


def make_motion(
    name: str,
    rest_joints: Float[np.ndarray, "joints 3"],
    frame_rate: float,
    seconds: float,
    *,
    heading: float = 0.0,
    pace: float = 1.0,
) -> Motion:
    """Make the motion ``name`` of the body with these rest joints.

    Args:
        name: one of `MOTIONS`.
        rest_joints: the 52 SMPL+H joints of the body at its shape, T pose, metres, model space.
        frame_rate: hertz.
        seconds: duration.
        heading: radians about the vertical; at 0 the person faces world -y at first.
        pace: steps or repetitions a second, 1 is usual; of a jump, which gravity times, only the rests change.
            From 0.8 to 1.1.

    Raises:
        ValueError: for an unknown name, or a number of joints that is not 52.

    """
    if name not in _CHOREOGRAPHIES:
        raise ValueError(f"no motion is called {name!r}; there are {', '.join(MOTIONS)}")
    if rest_joints.shape != (len(SMPLH_JOINTS), 3):
        raise ValueError(f"expected the {len(SMPLH_JOINTS)} rest joints of SMPL+H, found {rest_joints.shape}")
    body = Body.standing(np.asarray(rest_joints, dtype=np.float64))
    time = np.arange(max(round(seconds * frame_rate), 1)) / frame_rate
    choreography = _CHOREOGRAPHIES[name]
    posture = choreography(body, time, pace)
    to_world = turn(2, np.rad2deg(heading)) @ turn(0, 90.0)
    poses = rotation_vectors(body, posture, to_world).reshape(len(time), -1)
    trans = (posture.pelvis + body.joint("pelvis")) @ to_world.T - rest_joints[0]
    dmpls = jiggle(time, lambda moments: choreography(body, moments, pace).pelvis[:, 1])
    return Motion(poses, trans, dmpls)
