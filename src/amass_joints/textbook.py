"""One converted sequence against the textbook: the whole mesh, in float64, at a few frames.

What is checked is not used here: no fold, no kernel, no plan of resampling. Joints come from :mod:`amass_joints.mesh`,
and frames are blended as their definition says: output frame j is at time j / target, between two source frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints import mesh
from amass_joints.amass import is_same_rate
from amass_joints.bodies import FoldedBodies, WholeBody
from amass_joints.choices import Choices
from amass_joints.datasets import Positions
from amass_joints.regressors import JointRegressor
from amass_joints.sequences import FRAME_RATES, NotASequence, OpenSequence, Skipped, use_sequence

if TYPE_CHECKING:
    from jaxtyping import Float, Int


TOLERANCE = 1e-5
"""Metres that a joint may be from where the mesh has it: an order of magnitude below what motion capture sees."""

ROUNDINGS = 2
"""Of a coordinate in float32, which may be more than that: 64 m from the origin and beyond."""


@dataclass(frozen=True)
class Comparison:
    """What comparing a sequence gave."""

    frames: Int[np.ndarray, " drawn"]
    """The output frames that were compared, ascending."""
    errors: Float[np.ndarray, "drawn joints"]
    """How far each joint is from where the mesh has it, metres; infinite where it is no number."""
    problem: str | None
    """What is wrong with it; None if nothing is."""

    @property
    def largest_error(self) -> float | None:
        """Metres; None where nothing could be compared, or a joint is no number."""
        largest = float(self.errors.max(initial=0))
        return largest if len(self.frames) and math.isfinite(largest) else None


def compare(
    positions: Positions,
    file: Path | bytes,
    bodies: FoldedBodies,
    *,
    dmpls: bool,
    replaced_frame_rate: float | None,
    num_frames: int,
    seed: int | tuple[int, ...] = 0,
    choices: Choices = Choices(),
    name: str = "",
) -> Comparison | Skipped | NotASequence:
    """Compare random frames of a converted sequence with what the whole mesh gives.

    Args:
        positions: what it was converted to.
        file: the sequence file, or what is in it.
        bodies: give the body model.
        dmpls: whether it was converted with soft tissue.
        replaced_frame_rate: Hz, which the conversion took in place of the file's, if that differs; None: the file's.
        num_frames: how many output frames are drawn, of those that there are.
        seed: of the draw.
        choices: how its joints are given.
        name: ``dataset/subject/sequence``, by which published choices know it.

    Raises:
        InputError: a body model is broken, or joints cannot be given as chosen.
    """

    def use(sequence: OpenSequence) -> Comparison | Skipped:
        return _compare(positions, sequence, bodies, replaced_frame_rate, num_frames, seed, choices, name)

    return use_sequence(file, use, dmpls=dmpls)


def _compare(
    positions: Positions,
    sequence: OpenSequence,
    bodies: FoldedBodies,
    replaced_frame_rate: float | None,
    num_frames: int,
    seed: int | tuple[int, ...],
    choices: Choices,
    name: str,
) -> Comparison | Skipped:
    source = sequence.summary
    body = bodies.get_whole(source)
    if isinstance(body, Skipped):
        return body
    frame_rate = source.frame_rate
    if replaced_frame_rate is not None and not is_same_rate(replaced_frame_rate, frame_rate):
        frame_rate = replaced_frame_rate
    found, target = positions["positions_3d"], positions["frame_rate"]
    if not FRAME_RATES[0] <= target <= FRAME_RATES[1]:
        return _wrong(f"its frame rate is {target:g} Hz, expected {FRAME_RATES[0]:g} to {FRAME_RATES[1]:g} Hz")
    skeleton = bodies.rest_pose(source.model_type.name, source.gender).skeleton
    num_joints = len(body.joints.matrix if isinstance(body.joints, JointRegressor) else body.joints)
    num_joints = choices.arrange(np.zeros((1, num_joints, 3)), skeleton).shape[1]
    if found.shape[1] != num_joints:
        return _wrong(f"it has {found.shape[1]} joints, expected {num_joints}")
    step = Fraction(frame_rate) / Fraction(target)  # exact: floats are rationals
    count = min(source.frames // step, (source.frames - 1) // step + 1)
    kept = choices.kept(name, int(count), target) if count else slice(0)
    if isinstance(kept, Skipped):
        return kept
    numbers = range(int(count))[kept]
    if not len(found) or len(found) != len(numbers):
        that_many = "that many" if len(numbers) == count else f"that many are kept of {count}, which"
        return _wrong(
            f"it has {len(found)} frames, expected {len(numbers)}: {that_many} at {target:g} Hz are {source.frames} "
            f"frames at {frame_rate:g} Hz"
        )
    drawn = np.sort(np.random.default_rng(seed).choice(len(numbers), min(num_frames, len(numbers)), replace=False))
    before = [int(numbers[frame] * step) for frame in drawn.tolist()]
    after_weight = [float(numbers[frame] * step % 1) for frame in drawn.tolist()]
    needed = {at for frame, weight in zip(before, after_weight, strict=True) for at in (frame, frame + (weight > 0))}
    joints = _textbook_joints(sequence, body, needed)
    expected = np.array(
        [
            joints[frame] if not weight else (1 - weight) * joints[frame] + weight * joints[frame + 1]
            for frame, weight in zip(before, after_weight, strict=True)
        ]
    )
    farthest = float(np.abs(expected).max())  # where the joints are in the world: that is what they were rounded at
    expected = choices.arrange(expected, skeleton)
    metre = 1000 if choices.units == "mm" else 1
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.linalg.norm(found[drawn].astype(np.float64) - expected, axis=2) / metre
    errors = np.where(np.isfinite(errors), errors, np.inf)
    allowed = TOLERANCE
    if found.dtype == np.float32:
        allowed = max(allowed, ROUNDINGS * float(np.spacing(np.float32(farthest))))
    problem = f"{errors.max():.1e} m from the mesh, expected at most {allowed:g} m" if errors.max() > allowed else None
    return Comparison(drawn, errors, problem)


def _wrong(problem: str) -> Comparison:
    return Comparison(np.empty(0, np.int64), np.empty((0, 0)), problem)


def _textbook_joints(
    sequence: OpenSequence, body: WholeBody, needed: set[int]
) -> dict[int, Float[np.ndarray, "joints 3"]]:
    """Pose the mesh at some source frames, one at a time, as they are read."""
    betas = sequence.read_betas()
    joints = {}
    for block in sequence.read_blocks():
        for frame in sorted(at for at in needed if block.start <= at < block.stop):
            here = slice(frame - block.start, frame - block.start + 1)
            dmpls = None if block.dmpls is None else block.dmpls[here]
            motion = (betas, block.poses[here], block.trans[here], dmpls)
            if isinstance(body.joints, JointRegressor):
                (joints[frame],) = mesh.regress(body.joints, mesh.pose_mesh(body.model, *motion))
            else:
                joints[frame] = mesh.pose_joints(body.model, *motion)[0][list(body.joints)]
    return joints
