"""Is it plausible? What converted motions are measured by, and what gives reason to doubt them.

Stages::

    rest_pose.at_rest(FoldedBody)                -> RestPose        once per body
    examine(positions_3d, frame_rate, RestPose)  -> Plausibility    once per sequence

Nothing is changed and nothing is refused here. A doubt is a sentence for people: what was found, what was expected. The
bounds are wide, so that doubts are few: what lies within them need not be right. A walk that is played four times too
fast, say, looks like a hasty person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.rest_pose import RestPose
from amass_joints.skeletons import Skeleton

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

LIMB_LENGTHS: dict[tuple[str, str], tuple[float, float]] = {
    ("hip", "knee"): (0.25, 0.60),
    ("knee", "ankle"): (0.25, 0.60),
    ("shoulder", "elbow"): (0.18, 0.45),
    ("elbow", "wrist"): (0.15, 0.40),
}
"""Metres, shortest and longest.

Thigh, shank, upper arm and forearm are 0.245, 0.246, 0.186 and 0.146 of the stature (Drillis and Contini, 1966, as in
Winter, Biomechanics and Motor Control of Human Movement). Here they are of people of 1.40 to 2.10 m, and a seventh
shorter or longer yet, because regressed joints are near the anatomical ones, not in them.
"""

LONGEST_BONE = 0.60
"""Metres, of any other bone: nothing in a human is longer than the thigh."""

LARGEST_CHANGE = 0.5
"""Of a bone's length, relative to its median.

Bones between joints of the body itself are rigid. Regressed joints slide with the skin, by centimetres, and some of
their bones are not much longer than ten.
"""

HIGHEST_SPEED = 25.0
"""Metres per second, of any joint.

The fastest sprint is 12.4 m/s (Bolt's 100 m, Berlin 2009), and a foot swings forward at twice the runner's speed. The
fastest pitch leaves the fingertips at 47 m/s (105.8 mph, Chapman, 2010); the wrist moves about half as fast.
"""

HIGHEST_ACCELERATION = 1000.0
"""Metres per second squared, of any joint: a hundred times gravity.

A wrist that gets to 20 m/s within 50 ms, as in throwing, is accelerated by 400; two millimetres of noise at 250 Hz look
like 500. A joint that jumps by 0.5 m in one frame of 50 Hz and back in the next looks like 2,500.
"""

STILL = 2.0**-21
"""Of the distance from the origin: a frame in which no joint moves by more repeats the one before.

That is what float32 rounds to when it blends equal frames. A person who stands still sways by more, and is measured
with more noise.
"""

LONGEST_FREEZE = 0.25
"""Seconds in which all frames repeat the one before, and the motion stops or goes on at once."""

FREEZING_SPEED = 0.02
"""Metres per second, of the fastest joint, just before or after: who is slower may have come to rest.

People slow down first. None who is measured does so down to nothing, but whoever is invented may.
"""

LARGEST_SHARE_OF_REPEATS = 0.3
"""Of all frames. Half of them repeat where a recording has twice the frame rate of its content."""

LEAST_UPRIGHT = 0.9
"""The mean of the unit vectors from the lowest joints (at rest) to the highest has at least this along the up axis.

Standing, walking and running have 0.97 or more, and sitting somewhat less. Crawling, bowing and somersaults have less.
"""

LYING_HEIGHT = 0.9
"""Metres above the floor, z = 0. Who stays below is not upright, but lies, crawls or does press-ups."""

FARTHEST = 100.0
"""Metres from the origin. Rooms for motion capture are shorter than 30 m; a treadmill may add to that."""

LARGEST_ROW_SUM_EFFECT = 10.0
"""Millimetres. Estimators of 3D poses are compared by single millimetres."""

BLOCK = 1024
"""How many frames are examined at a time: what a second-level cache holds."""

_SAMPLED = 65
"""From how many frames at most, evenly spread, a median is taken: those of all would have to be kept."""

_CANDIDATES = 1000
"""How many of the longest runs of repeated frames are looked at more closely: every other frame may be one."""

_ABSURD = 1e6
"""Metres. Coordinates beyond this are taken for it, so that no square overflows, in float32 either."""

_LEAST_BONE = 1e-3
"""Metres. Shorter ones are taken for this where a length is divided by."""


@dataclass(frozen=True)
class Plausibility:
    """What was measured of a sequence, and what of that is doubtful. Joints are rows of its positions."""

    bone_lengths: dict[str, float]
    """Median length of each bone, metres, by its outer joint, from up to 65 frames; empty without a skeleton."""
    largest_bone_change: float
    """How far a bone's length gets from its median, relative to it ..."""
    changing_bone: str | None
    """... and which bone's does."""
    highest_speed: float
    """Metres per second, from a frame to the next ..."""
    fastest: tuple[int, int] | None
    """... and where: the later frame, and the joint. None where nothing moves."""
    highest_acceleration: float
    """Metres per second squared ..."""
    most_accelerated: tuple[int, int] | None
    """... and where: the frame in the middle, and the joint."""
    repeated_frames: int
    """How many frames repeat the one before, but for rounding."""
    longest_standstill: float
    """For how long they do so in a row, at most, seconds."""
    longest_freeze: float
    """The same, where the motion stops or goes on at once ..."""
    freezes_at: int | None
    """... and the first frame that repeats the one before."""
    up_axis: str
    """Along which axis the person stands on average: ``x``, ``-x`` ...; ``none`` where that is not clear."""
    farthest: float
    """The largest distance of a joint from the origin, metres."""
    row_sum_effect_mm: float
    """How far a joint is from where it would be if its regressor row summed to 1, at most; millimetres."""
    doubts: tuple[str, ...]
    """Sentences for people; empty where all is plausible."""


def examine(positions_3d: Float[np.ndarray, "frames joints 3"], frame_rate: float, rest: RestPose) -> Plausibility:
    """Measure a sequence, and say what is doubtful.

    Args:
        positions_3d: metres, finite, float32 or float64; one frame or more.
        frame_rate: hertz.
        rest: the same joints at rest.
    """
    frames = len(positions_3d)
    extremes = _Extremes(frames, rest)
    for start in range(0, frames, BLOCK):
        first = max(start - 2, 0)  # with the two before, to which there are differences
        extremes.take(_by_axis(positions_3d[first : start + BLOCK]), first)
    sample = _by_axis(positions_3d[:: -(-frames // _SAMPLED)])
    lengths = _medians(np.sqrt(_squares(_bones(sample, rest))))
    change, changing = extremes.bone_change(lengths)
    speed, fastest = extremes.speed
    acceleration, most_accelerated = extremes.acceleration
    starts, stops = _runs(extremes.repeats)
    runs = (stops - starts).tolist()
    freeze = _longest_freeze(positions_3d, starts, stops, FREEZING_SPEED / frame_rate)
    found = Plausibility(
        bone_lengths=dict(zip(rest.bones, lengths.round(4).tolist(), strict=True)),
        largest_bone_change=change,
        changing_bone=changing,
        highest_speed=speed**0.5 * frame_rate,
        fastest=fastest,
        highest_acceleration=acceleration**0.5 * frame_rate**2,
        most_accelerated=most_accelerated,
        repeated_frames=sum(runs),
        longest_standstill=max(runs, default=0) / frame_rate,
        longest_freeze=0.0 if freeze is None else (freeze.stop - freeze.start) / frame_rate,
        freezes_at=None if freeze is None else freeze.start,
        up_axis=_up_axis(sample, rest),
        farthest=float(extremes.distances.max()) ** 0.5,
        row_sum_effect_mm=extremes.row_sum_effect_mm(),
        doubts=(),
    )
    doubts = _doubts(found, rest, frames, frame_rate)
    return replace(found, doubts=doubts) if doubts else found


# ---------------------------------------------------------------------------------------------- what is measured


class _Extremes:
    """The most extreme of what was seen, block by block. Lengths are squares, until they are asked for."""

    def __init__(self, frames: int, rest: RestPose) -> None:
        self._rest = rest
        self.distances = np.zeros(len(rest.positions))
        self.speed: tuple[float, tuple[int, int] | None] = (0.0, None)
        """Square of metres per frame; frame and joint."""
        self.acceleration: tuple[float, tuple[int, int] | None] = (0.0, None)
        """Square of metres per frame and frame; frame and joint."""
        self.repeats = np.zeros(frames, bool)
        self._shortest = np.full(len(rest.bones), np.inf)
        self._longest = np.zeros(len(rest.bones))

    def take(self, joints: Float[np.ndarray, "3 joints block"], first: int) -> None:
        """Look at a block of frames, of which ``first`` is the first. Some may have been seen before."""
        frames = joints.shape[2]
        distances = _squares(joints)
        self.distances = np.maximum(self.distances, distances.max(axis=1))
        lengths = _squares(_bones(joints, self._rest))
        self._shortest = np.minimum(self._shortest, lengths.min(axis=1))
        self._longest = np.maximum(self._longest, lengths.max(axis=1))
        if frames < 2:
            return
        steps = _differences(joints)
        squares = _squares(steps)[:, :-1]
        of_frames = squares.max(axis=0)
        self.speed = _higher(self.speed, squares, of_frames, first + 1)
        self.repeats[first + 1 : first + frames] = of_frames <= STILL**2 * distances[:, 1:].max(axis=0)
        if frames < 3:
            return
        squares = _squares(_differences(steps))[:, :-2]
        self.acceleration = _higher(self.acceleration, squares, squares.max(axis=0), first + 1)

    def bone_change(self, lengths: Float[np.ndarray, " bones"]) -> tuple[float, str | None]:
        """Say how far a bone's length gets from these, at most, relative to them, and which bone's."""
        if not len(lengths):
            return 0.0, None
        changes = np.maximum(np.sqrt(self._longest) - lengths, lengths - np.sqrt(self._shortest))
        changes /= np.maximum(lengths, _LEAST_BONE)
        bone = int(changes.argmax())
        return float(changes[bone]), self._rest.bones[bone]

    def row_sum_effect_mm(self) -> float:
        """Say how far a joint is from where it would be if its row summed to 1, at most."""
        effects = self._rest.row_sum_effects
        return 0.0 if effects is None else 1000 * float((np.sqrt(self.distances) * effects).max())


def _higher(
    highest: tuple[float, tuple[int, int] | None],
    squares: Float[np.ndarray, "joints block"],
    of_frames: Float[np.ndarray, " block"],
    first: int,
) -> tuple[float, tuple[int, int] | None]:
    """Give the highest square so far, and its frame and joint; of equals, the first."""
    frame = int(of_frames.argmax())
    if of_frames[frame] <= highest[0]:
        return highest
    return float(of_frames[frame]), (first + frame, int(squares[:, frame].argmax()))


def _by_axis(positions_3d: Float[np.ndarray, "block joints 3"]) -> Float[np.ndarray, "3 joints block"]:
    """Lay the coordinates out so that those of all frames are contiguous, and no square of them overflows."""
    joints = np.ascontiguousarray(positions_3d.transpose(2, 1, 0))
    if joints.max() > _ABSURD or joints.min() < -_ABSURD:
        np.clip(joints, -_ABSURD, _ABSURD, out=joints)
    return joints


def _differences(values: Float[np.ndarray, "3 joints block"]) -> Float[np.ndarray, "3 joints block"]:
    """Subtract each frame from the next. The last column means nothing: with it, all is one contiguous run."""
    differences = np.empty_like(values)
    minuends, run = values.reshape(-1), differences.reshape(-1)
    np.subtract(minuends[1:], minuends[:-1], out=run[:-1])
    run[-1] = 0
    return differences


def _squares(vectors: Float[np.ndarray, "3 vectors block"]) -> Float[np.ndarray, "vectors block"]:
    return np.einsum("xvf,xvf->vf", vectors, vectors)


def _bones(joints: Float[np.ndarray, "3 joints block"], rest: RestPose) -> Float[np.ndarray, "3 bones block"]:
    outer, inner = rest.bone_rows
    bones: Float[np.ndarray, "3 bones block"] = joints.take(outer, axis=1)
    bones -= joints.take(inner, axis=1)
    return bones


def _medians(lengths: Float[np.ndarray, "bones sample"]) -> Float[np.ndarray, " bones"]:
    ordered = np.sort(lengths, axis=1)
    last = lengths.shape[1] - 1
    return (ordered[:, last // 2].astype(np.float64) + ordered[:, -(-last // 2)]) / 2


def _runs(marked: Bool[np.ndarray, " frames"]) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """Find the runs of marked frames: where each starts, and where it stops."""
    frames = np.flatnonzero(marked)
    if not len(frames):
        return frames, frames
    last = np.append(np.diff(frames) > 1, True)
    return frames[np.append(True, last[:-1])], frames[last] + 1


def _longest_freeze(
    positions_3d: Float[np.ndarray, "frames joints 3"],
    starts: Int[np.ndarray, " runs"],
    stops: Int[np.ndarray, " runs"],
    least_step: float,
) -> range | None:
    """Find the longest of the runs of repeated frames where the step into them or out of them is at least so long."""
    if not len(starts):
        return None
    longest = np.argsort(starts - stops, kind="stable")[:_CANDIDATES]
    starts, stops = starts[longest], stops[longest]
    # A run starts with the first copy: what is copied is the frame before, and the step into that is one earlier.
    into = _longest_steps(positions_3d, np.maximum(starts - 2, 0), starts - 1)
    out = _longest_steps(positions_3d, stops - 1, np.minimum(stops, len(positions_3d) - 1))
    lengths = np.where(np.maximum(into, out) >= least_step, stops - starts, 0)
    run = int(lengths.argmax())
    return range(int(starts[run]), int(stops[run])) if lengths[run] else None


def _longest_steps(
    positions_3d: Float[np.ndarray, "frames joints 3"],
    before: Int[np.ndarray, " runs"],
    after: Int[np.ndarray, " runs"],
) -> Float[np.ndarray, " runs"]:
    return np.sqrt(_squares(_by_axis(positions_3d[after]) - _by_axis(positions_3d[before])).max(axis=0))


def _up_axis(joints: Float[np.ndarray, "3 joints sample"], rest: RestPose) -> str:
    """Say along which axis the highest joints at rest are above the lowest."""
    if rest.upwards is None:
        return "none"
    # No matrix products: BLAS may set the flag of an invalid operation for what it computes beyond an array, and drops.
    upwards = np.einsum("j,xjf->xf", rest.upwards.astype(joints.dtype), joints)
    lengths = np.sqrt(np.einsum("xf,xf->f", upwards, upwards))
    mean = (np.einsum("xf,f->x", upwards, 1 / np.maximum(lengths, _LEAST_BONE)) / len(lengths)).tolist()
    axis = max(range(3), key=lambda k: abs(mean[k]))
    if abs(mean[axis]) < LEAST_UPRIGHT:
        return "none"
    heights = joints[2]
    if axis != 2 and heights.min() >= 0 and heights.max() <= LYING_HEIGHT:
        return "none"  # on the floor
    return ("-" if mean[axis] < 0 else "") + "xyz"[axis]


# ------------------------------------------------------------------------------------------------ what is doubtful


def _doubts(found: Plausibility, rest: RestPose, frames: int, frame_rate: float) -> tuple[str, ...]:
    doubts = _doubts_of_bones(found, rest)
    if found.fastest and found.highest_speed > HIGHEST_SPEED:
        frame, row = found.fastest
        doubts.append(
            f"the {rest.name(row)} moves at {_told(found.highest_speed)} m/s in frame {frame}, "
            f"expected at most {HIGHEST_SPEED:g} m/s"
        )
    if found.most_accelerated and found.highest_acceleration > HIGHEST_ACCELERATION:
        frame, row = found.most_accelerated
        doubts.append(
            f"the {rest.name(row)} is accelerated by {_told(found.highest_acceleration)} m/s^2 in frame {frame}, "
            f"expected at most {HIGHEST_ACCELERATION:g} m/s^2"
        )
    if found.longest_freeze > LONGEST_FREEZE:
        doubts.append(
            f"{round(found.longest_freeze * frame_rate):,} frames in a row repeat the one before "
            f"({_told(found.longest_freeze)} s), from frame {found.freezes_at} on, "
            f"expected at most {LONGEST_FREEZE:g} s"
        )
    elif found.repeated_frames > max(LARGEST_SHARE_OF_REPEATS * frames, LONGEST_FREEZE * frame_rate):
        doubts.append(
            f"{found.repeated_frames:,} of {frames:,} frames repeat the one before, expected at most "
            f"{LARGEST_SHARE_OF_REPEATS:.0%}"
        )
    if found.up_axis not in ("z", "none"):
        hint = {"y": "was it converted from y up to z up?", "-z": "is it upside down?"}
        doubts.append(f"it stands along {found.up_axis}, expected z: {hint.get(found.up_axis, 'is it turned?')}")
    if found.farthest > FARTHEST:
        doubts.append(f"up to {_told(found.farthest)} m from the origin, expected at most {FARTHEST:g} m")
    if found.row_sum_effect_mm > LARGEST_ROW_SUM_EFFECT:
        doubts.append(
            f"a joint is {_told(found.row_sum_effect_mm)} mm from where it would be if its row of the joint regressor "
            f"summed to 1, expected at most {LARGEST_ROW_SUM_EFFECT:g} mm: see --normalize-rows"
        )
    return tuple(doubts)


def _doubts_of_bones(found: Plausibility, rest: RestPose) -> list[str]:
    doubts = []
    lengths = np.array(list(found.bone_lengths.values()))
    shortest, longest = _plausible_lengths(rest.skeleton)
    excess = np.maximum(shortest / np.maximum(lengths, _LEAST_BONE), lengths / longest)
    wrong = int((excess > 1).sum())
    if wrong:
        bone = int(excess.argmax())
        several = f"{wrong} bones are too short or too long: " if wrong > 1 else ""
        doubts.append(
            f"{several}{_ends(rest, bone)} is {_told(lengths[bone])} m, "
            f"expected {shortest[bone]:.2f} to {longest[bone]:.2f} m"
        )
    if found.changing_bone and found.largest_bone_change > LARGEST_CHANGE:
        doubts.append(
            f"{_ends(rest, rest.bones.index(found.changing_bone))} changes its length by "
            f"{_told(100 * found.largest_bone_change)}%, expected at most {LARGEST_CHANGE:.0%}"
        )
    return doubts


def _ends(rest: RestPose, bone: int) -> str:
    outer, inner = rest.bone_rows[:, bone].tolist()
    return f"{rest.name(inner)} to {rest.name(outer)}"


def _told(value: float) -> str:
    """Three digits are enough."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@cache
def _plausible_lengths(skeleton: Skeleton | None) -> Float[np.ndarray, "2 bones"]:
    """Give the least and the greatest length of each bone, metres."""
    bounds = []
    if skeleton is not None:
        for outer, inner in skeleton.bones.values():
            ends = _part(skeleton.joints[inner]), _part(skeleton.joints[outer])
            bounds.append(LIMB_LENGTHS.get(ends, (0.0, LONGEST_BONE)))
    return np.array(bounds).reshape(-1, 2).T


def _part(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")
