"""Frame rates: which source frames a target frame rate looks at, and how it blends them.

Output frame j is at time j / target. It lies between the source frames floor and ceil of j * source / target and is
their linear interpolation. Frame rates are floats, floats are rationals, and the arithmetic here is that of
rationals: nothing is lost at the last frame, and equal rates give the frames as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Blend:
    """How output frames come from a stretch of source frames."""

    frames: slice
    """Which output frames."""
    looked_at: Int[np.ndarray, " looked_at"]
    """The source frames that some output frame needs, ascending, counted from the start of the stretch."""
    before: Int[np.ndarray, " frames"]
    """For each output frame, where in ``looked_at`` its source frame before it (or at it) is."""
    after: Int[np.ndarray, " frames"]
    """The same for the source frame after it; equal to ``before`` where it falls on a source frame."""
    weight: Float[np.ndarray, " frames"]
    """The weight of ``after``, in [0, 1); that of ``before`` is 1 minus it."""

    def interpolate(
        self, positions: Float[np.ndarray, "looked_at joints 3"], out: Float[np.ndarray, "frames joints 3"]
    ) -> None:
        """Blend positions at the frames looked at into positions at the output frames, in their own dtype."""
        positions.take(self.before, axis=0, out=out, mode="clip")  # with bounds checked, take makes a copy first
        if self.weight.any():
            weight = self.weight.astype(positions.dtype)[:, None, None]
            after = positions[self.after]
            after *= weight
            out *= 1 - weight
            out += after


@dataclass(frozen=True)
class Resampling:
    """The frames of a sequence at another frame rate."""

    num_frames: int
    """How many come out."""
    step: Fraction
    """Source frames from one output frame to the next."""

    def within(self, start: int, stop: int) -> Blend:
        """Plan the output frames that lie at a source frame from ``start`` on and before ``stop``.

        The last of them may lie between the source frames ``stop - 1`` and ``stop``: the stretch from ``start`` to
        ``stop`` inclusive has all they need.
        """
        numerator, denominator = self.step.numerator, self.step.denominator
        first, end = (min(-(-source * denominator // numerator), self.num_frames) for source in (start, stop))
        # Output frame j is at source frame j * numerator / denominator. Where that does not fit 64 bits, Python's
        # integers do it.
        offset = first * numerator - start * denominator
        fits = max(abs(offset) + (end - first) * numerator, numerator, denominator) < 2**63
        scaled = offset + np.arange(end - first).astype(np.int64 if fits else object) * numerator
        floor = scaled // denominator
        weight = ((scaled - floor * denominator) / denominator).astype(np.float64)
        floor = floor.astype(np.int64)
        ceil = floor + (weight > 0)
        needed = np.zeros(stop - start + 1, bool)
        needed[floor] = needed[ceil] = True
        place = np.cumsum(needed) - 1
        return Blend(slice(first, end), np.flatnonzero(needed), place[floor], place[ceil], weight)


@lru_cache(maxsize=64)  # exact fractions of floats take their time, and a tree has few frame rates
def _step(source: float, target: float) -> Fraction:
    return Fraction(source) / Fraction(target)


def resample(num_frames: int, source: float, target: float | None) -> Resampling:
    """Plan how ``num_frames`` frames at ``source`` Hz become frames at ``target`` Hz (None: as they are).

    There are ``min(floor(F * target / source), floor((F - 1) * target / source) + 1)`` output frames: as long as the
    sequence lasts, and none beyond its last frame. The known converter of Uplift and Upsample (Einfalt et al., WACV
    2023) evaluates the same in floating point, and so loses the last frame of some sequences.
    """
    step = Fraction(1) if target is None else _step(source, target)
    count = 0 if num_frames == 0 else min(int(num_frames / step), int((num_frames - 1) / step) + 1)
    return Resampling(count, step)
