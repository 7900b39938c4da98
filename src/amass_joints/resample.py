"""Frame rates: which source frames a target frame rate looks at, and how it blends them.

Output frame j is at time j / target. It lies between the source frames floor and ceil of j * source / target and is
their linear interpolation. Frame rates are floats, floats are rationals, and the arithmetic here is that of
rationals: nothing is lost at the last frame, and equal rates give the frames as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Resampling:
    """How the output frames come from the source frames."""

    looked_at: Int[np.ndarray, " looked_at"]
    """The source frames that some output frame needs, ascending: no others need be posed."""
    before: Int[np.ndarray, " frames"]
    """For each output frame, where in ``looked_at`` its source frame before it (or at it) is."""
    after: Int[np.ndarray, " frames"]
    """The same for the source frame after it; equal to ``before`` where it falls on a source frame."""
    weight: Float[np.ndarray, " frames"]
    """The weight of ``after``, in [0, 1); that of ``before`` is 1 minus it."""

    @property
    def num_frames(self) -> int:
        """How many frames come out."""
        return len(self.before)

    def interpolate(self, positions: Float[np.ndarray, "looked_at joints 3"]) -> Float[np.ndarray, "frames joints 3"]:
        """Blend positions at the frames looked at into positions at the output frames, in their own dtype."""
        if not self.weight.any():
            return positions[self.before]
        weight = self.weight.astype(positions.dtype)[:, None, None]
        return positions[self.before] * (1 - weight) + positions[self.after] * weight


def resample(num_frames: int, source: float, target: float | None) -> Resampling:
    """Plan how ``num_frames`` frames at ``source`` Hz become frames at ``target`` Hz (None: as they are).

    There are ``min(floor(F * target / source), floor((F - 1) * target / source) + 1)`` output frames: as long as the
    sequence lasts, and none beyond its last frame. The known converter of Uplift and Upsample (Einfalt et al., WACV
    2023) evaluates the same in floating point, and so loses the last frame of some sequences.
    """
    step = Fraction(1) if target is None else Fraction(source) / Fraction(target)
    count = 0 if num_frames == 0 else min(int(num_frames / step), int((num_frames - 1) / step) + 1)
    # Output frame j is at source frame j * numerator / denominator. Where that does not fit 64 bits, Python's
    # integers do it.
    fits = max(count * step.numerator, step.denominator) < 2**63
    scaled = np.arange(count).astype(np.int64 if fits else object) * step.numerator
    floor = scaled // step.denominator
    weight = ((scaled - floor * step.denominator) / step.denominator).astype(np.float64)
    floor = floor.astype(np.int64)
    ceil = floor + (weight > 0)
    looked_at = np.union1d(floor, ceil)
    return Resampling(looked_at, np.searchsorted(looked_at, floor), np.searchsorted(looked_at, ceil), weight)
