"""Windows of so many frames of converted motions, numbered through all of them, at one frame rate and in one order.

Only the frames that a window needs are looked at. They become what :mod:`amass_joints.resample` makes of the whole
motion, bit for bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.errors import InputError
from amass_joints.metadata import Metadata
from amass_joints.random_access import Entry, MotionFile
from amass_joints.resample import Blend, resample
from amass_joints.skeletons import Skeleton

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Columns:
    """Which coordinates of a frame in a file are those of the joints that are wanted."""

    as_they_are: Int[np.ndarray, " columns"] | None
    """None: all, as they come."""
    mirrored: Int[np.ndarray, " columns"] | None
    """Those of the joints on the other side; None: it is not known which they are."""


@dataclass(frozen=True, eq=False)
class WindowedMotion:
    """A motion that has windows."""

    entry: Entry
    frame_rate: float
    """Hz, of its windows ..."""
    frames: int
    """... and how many frames it has at this rate."""
    file: MotionFile
    number: int
    """Its own, in the file."""
    columns: Columns


class Windows:
    """Numbered windows; there are ``len`` of them.

    Args:
        files: that have the motions.
        length: frames of a window.
        stride: frames from the start of one to that of the next in the same motion.
        rate: Hz; None: each motion's own.
        order: of the joints; None: as the files have them.
        is_wanted: whether a motion is to have windows.
        pad: whether windows go on until all frames are in one, the last of them beyond the end of the motion.

    Raises:
        InputError: the files do not go together, or no motion has a window.
    """

    def __init__(
        self,
        files: Sequence[MotionFile],
        length: int,
        stride: int,
        *,
        rate: float | None = None,
        order: Skeleton | None = None,
        is_wanted: Callable[[Entry], bool] = lambda entry: True,
        pad: bool = False,
    ) -> None:
        self.length, self.stride, self._rate = length, stride, rate
        self.metadata = _common_metadata(files, order)
        """What the joints of windows are, and how they are given."""
        self.left_out = 0
        """How many motions are shorter than a window, and have none."""
        self.motions: list[WindowedMotion] = []
        """Those that have windows."""
        self._ends: list[int] = []
        """For each of them, the number after that of its last window."""
        shorter = 0
        for file in files:
            columns = _columns(file.metadata.skeleton, self.metadata.skeleton)
            for number, entry in enumerate(file.entries):
                if is_wanted(entry):
                    frames = resample(entry.frames, entry.frame_rate, rate).num_frames
                    if windows := _num_windows(frames, length, stride, pad):
                        motion = WindowedMotion(entry, rate or entry.frame_rate, frames, file, number, columns)
                        self.motions.append(motion)
                        self._ends.append(len(self) + windows)
                    else:
                        self.left_out, shorter = self.left_out + 1, max(shorter, frames)
        if not self.motions:
            at_the_rate = "" if rate is None else f" at {rate:g} Hz"
            raise InputError(
                f"length {length}: no motion is so long; the longest of {self.left_out} has {shorter} frames"
                f"{at_the_rate}. Take shorter windows, or pad='edge'."
            )
        self.joints = _common_number_of_joints(self.motions, self.metadata.skeleton)
        """How many a frame has."""
        self._longest: dict[float, int] = {}
        """Frames, by frame rate, both as the files have them."""
        for motion in self.motions:
            entry = motion.entry
            self._longest[entry.frame_rate] = max(entry.frames, self._longest.get(entry.frame_rate, 0))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def find(self, number: int) -> tuple[WindowedMotion, int]:
        """Say in which motion a window is, and at which of its frames it starts."""
        place = bisect_right(self._ends, number)
        before = self._ends[place - 1] if place else 0
        return self.motions[place], (number - before) * self.stride

    def positions(
        self, motion: WindowedMotion, start: int, mirrored: bool = False
    ) -> Float[np.ndarray, "frames joints 3"]:
        """Give the positions of a window.

        Args:
            motion: which has it.
            start: its first frame.
            mirrored: whether each joint has the position of that on the other side; nothing is mirrored by that alone.

        Returns:
            An array of its own, float32. Where the motion ends before the window, its last frame is repeated.
        """
        stop = min(start + self.length, motion.frames)
        frames = motion.file.positions(motion.number)
        if motion.frame_rate == motion.entry.frame_rate:
            frames = frames[start:stop]
        else:
            times = _times(self._longest[motion.entry.frame_rate], motion.entry.frame_rate, motion.frame_rate)
            frames = times.interpolated(frames, start, stop)
        frames = frames.astype(np.float32, copy=False).reshape(stop - start, -1)
        columns = motion.columns.mirrored if mirrored else motion.columns.as_they_are
        out = np.empty((self.length, 3 * self.joints), np.float32)
        if columns is None:
            out[: stop - start] = frames
        else:  # with bounds checked, take makes a copy first
            frames.take(columns, axis=1, out=out[: stop - start], mode="clip")
        out[stop - start :] = out[stop - start - 1]
        return out.reshape(self.length, self.joints, 3)


@dataclass(frozen=True, eq=False)
class _Times:
    """Where the frames at another rate lie between those of a file: the same for all its motions, of any length."""

    before: Int[np.ndarray, " frames"]
    """The frame of the file before it, or at it."""
    after: Int[np.ndarray, " frames"]
    weight: Float[np.ndarray, " frames"]
    """Of the one after it."""

    def interpolated(
        self, positions: Float[np.ndarray, "source_frames joints 3"], start: int, stop: int
    ) -> Float[np.ndarray, "frames joints 3"]:
        """Give some of the frames at the other rate, in the dtype of the positions."""
        before, after = self.before[start:stop], self.after[start:stop]
        first = before[0]
        stretch = positions[first : after[-1] + 1]
        out = np.empty((stop - start, *positions.shape[1:]), positions.dtype)
        blend = Blend(
            slice(start, stop), np.arange(len(stretch)), before - first, after - first, self.weight[start:stop]
        )
        blend.interpolate(stretch, out)
        return out


@lru_cache(maxsize=64)
def _times(num_frames: int, source: float, target: float) -> _Times:
    plan = resample(num_frames, source, target).within(0, num_frames)
    return _Times(plan.looked_at[plan.before], plan.looked_at[plan.after], plan.weight)


def _num_windows(frames: int, length: int, stride: int, pad: bool) -> int:
    if pad and frames:
        whole_or_not = max(-(-(frames - length) // stride), 0) + 1
        return min(whole_or_not, -(-frames // stride))  # where windows are apart, the motion may end between two
    return max((frames - length) // stride + 1, 0)


def _common_metadata(files: Sequence[MotionFile], order: Skeleton | None) -> Metadata:
    """Give the metadata that all files have, when their joints are in the order.

    Raises:
        InputError: they have different ones; or joints are lacking, or not known.
    """
    found = []
    for file in files:
        metadata = file.metadata
        if order is not None:
            if metadata.skeleton is None:
                raise InputError(
                    f"{file}: it does not say what its joints are, so they cannot be put into the order {order.name}: "
                    "name them with skeleton=..., or convert again."
                )
            order.rows_in(metadata.skeleton)
            metadata = replace(metadata, skeleton=order)
        found.append((metadata.skeleton, metadata.choices.units, metadata.choices.up, metadata.choices.root_relative))
        if found[-1] != found[0]:
            one, other = (_described(*each) for each in (found[0], found[-1]))
            raise InputError(
                f"{files[0]} has {one}; {file} has {other}: windows of both would be mixed up. Pass files that were "
                "converted alike" + (", or order=..." if found[0][0] != found[-1][0] else "") + "."
            )
    return metadata


def _described(skeleton: Skeleton | None, units: str, up: str, root_relative: bool) -> str:
    joints = skeleton.name if skeleton else "joints that it does not name"
    return f"{joints}, {units}, {up} up" + (", relative to the root" if root_relative else "")


def _columns(source: Skeleton | None, wanted: Skeleton | None) -> Columns:
    if source is None or wanted is None:
        return Columns(None, None)
    rows = wanted.rows_in(source)
    mirrored = [rows[row] for row in wanted.mirror]
    return Columns(None if wanted == source else _of_rows(rows), _of_rows(mirrored))


def _of_rows(rows: Sequence[int]) -> Int[np.ndarray, " columns"]:
    columns: np.ndarray = (3 * np.array(rows)[:, None] + np.arange(3)).reshape(-1)
    return columns


def _common_number_of_joints(motions: Sequence[WindowedMotion], skeleton: Skeleton | None) -> int:
    if skeleton is not None:
        return len(skeleton.joints)
    first, other = (
        motions[0].entry,
        max(motions, key=lambda motion: abs(motion.entry.joints - motions[0].entry.joints)).entry,
    )
    if first.joints != other.joints:
        raise InputError(
            f"{first} has {first.joints} joints, {other} has {other.joints}: pass motions that have the same."
        )
    return first.joints
