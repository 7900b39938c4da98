"""Contenders that take the same motion to joints: each checked once, then timed in turn with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

import amass_joints as aj
from benchmarks.inputs import Inputs
from benchmarks.measuring import Cell, Figure, Table, calls_per_second, in_turn

if TYPE_CHECKING:
    from jaxtyping import Float

SECONDS = 0.25
"""How long a contender is called again and again in each round, at the least."""


@dataclass(frozen=True)
class Contender:
    """A way from poses to joints, on frames of its own."""

    name: str
    where: str
    """What computes."""
    frames: int
    """How many frames one call poses."""
    pose: Callable[[], object]
    """Poses them: what is timed."""
    joints: Callable[[], Float[np.ndarray, "frames regressed_joints 3"]]
    """The same joints, from the motion's start, for the check; frames may be fewer."""
    soft_tissue: bool = True
    """Whether it can have any."""
    blas_threads: int | None = None
    """How many threads NumPy's BLAS may have; None: its own choice."""

    @property
    def title(self) -> str:
        """Tells it from the others."""
        return f"{self.name}, {self.where}, {self.frames} frames"


@dataclass(frozen=True)
class Absent:
    """A contender that is not here."""

    name: str
    reason: str


class Reference:
    """Our joints in float64 on the CPU: what every contender is checked against."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.shaped = aj.fold(inputs.body, inputs.regressor).with_shape(inputs.motion.betas, "float64")

    def difference(self, contender: Contender) -> float:
        """Give the largest difference of a contender's joints, metres; where it has no soft tissue, we have none."""
        joints = contender.joints()
        motion = self.inputs.frames(len(joints))
        expected = self.shaped.pose(motion.poses, motion.trans, motion.dmpls if contender.soft_tissue else None)
        return float(np.abs(joints - expected).max())


def compare(title: str, contenders: Sequence[Contender | Absent], ours: str, inputs: Inputs, rounds: int) -> Table:
    """Check and time contenders.

    Args:
        title: of the table.
        contenders: all that take part, and those that cannot.
        ours: the title of the one that the others are compared with.
        inputs: what they pose.
        rounds: how many.
    """
    present = [one for one in contenders if isinstance(one, Contender)]
    reference = Reference(inputs)
    differences = {one.title: reference.difference(one) for one in present}  # warms up, too
    speeds = in_turn({one.title: _timed(one) for one in present}, rounds)
    figures = {name: Figure(tuple(values)) for name, values in speeds.items()}
    rows: list[dict[str, Cell]] = []
    for one in contenders:
        if isinstance(one, Absent):
            rows.append({"contender": one.name, "where": f"not measured: {one.reason}"})
            continue
        figure = figures[one.title]
        rows.append(
            {
                "contender": one.name,
                "where": one.where,
                "frames a call": one.frames,
                "soft tissue": "on" if one.soft_tissue and inputs.motion.dmpls is not None else "off",
                "frames/s": figure,
                "ours is faster by": figures[ours].median / figure.median,
                "largest difference, m": differences[one.title],
            }
        )
    return Table(
        title,
        tuple(rows),
        notes=(
            f"frames/s: the median of {rounds} rounds (lowest to highest), each of {SECONDS:g} s or one call. "
            f"'Ours' in 'faster by' is: {ours}.",
            "Largest difference: from ours in float64 on the CPU, without soft tissue where the contender has none.",
        ),
    )


def _timed(contender: Contender) -> Callable[[], float]:
    def frames_per_second() -> float:
        with threadpool_limits(contender.blas_threads, user_api="blas"):
            contender.pose()  # unmeasured: meanwhile the threads of the one before come to rest
            return contender.frames * calls_per_second(contender.pose, SECONDS)

    return frames_per_second
