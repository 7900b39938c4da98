"""Resampling against exact fractions, one output frame at a time."""

import math
from fractions import Fraction

import numpy as np
import pytest

from amass_joints.resample import Blend, resample


def blend(plan: Blend, positions: np.ndarray) -> np.ndarray:
    """What the plan makes of positions at all the source frames."""
    out = np.empty((len(plan.before), *positions.shape[1:]), positions.dtype)
    plan.interpolate(positions[plan.looked_at], out)
    return out


def naive(num_frames: int, source: float, target: float) -> list[tuple[int, int, Fraction]]:
    """Each output frame's frame before, frame after and weight, from the times alone."""
    source_rate, target_rate = Fraction(source), Fraction(target)
    frames = []
    for j in range(math.floor(num_frames * target_rate / source_rate)):
        at = Fraction(j) / target_rate * source_rate
        if at <= num_frames - 1:  # none beyond the last
            frames.append((math.floor(at), math.ceil(at), at - math.floor(at)))
    return frames


@pytest.mark.parametrize(
    ("source", "target"),
    [(source, target) for source in (60, 100, 120, 120.00004577636719, 150, 250) for target in (50, 60, 25)]
    + [(50, 50), (59.9999885559082, 59.9999885559082), (25, 50), (7, 3.7)],
)
def test_every_length(source: float, target: float) -> None:
    for num_frames in range(1, 301):
        resampling = resample(num_frames, source, target)
        plan = resampling.within(0, num_frames)
        expected = naive(num_frames, source, target)
        assert resampling.num_frames == len(expected)
        assert plan.frames == slice(0, len(expected))
        before = plan.looked_at[plan.before].tolist()
        after = plan.looked_at[plan.after].tolist()
        assert list(zip(before, after, strict=True)) == [(floor, ceil) for floor, ceil, _ in expected]
        np.testing.assert_allclose(plan.weight, [float(weight) for *_, weight in expected], rtol=0, atol=1e-15)
        assert set(plan.looked_at.tolist()) == set(before + after)


@pytest.mark.parametrize("num_frames", [0, 1, 2, 300])
def test_no_target_gives_the_frames_as_they_are(num_frames: int) -> None:
    positions = np.random.default_rng(0).normal(size=(num_frames, 2, 3)).astype(np.float32)
    plan = resample(num_frames, 120.0, None).within(0, num_frames)
    assert plan.looked_at.tolist() == list(range(num_frames))
    np.testing.assert_array_equal(blend(plan, positions), positions)


def test_only_the_frames_that_matter_are_looked_at() -> None:
    assert len(resample(1200, 100, 50).within(0, 1200).looked_at) == 600
    assert len(resample(1200, 120, 50).within(0, 1200).looked_at) == 900  # nine of every twelve
    assert len(resample(1250, 250, 50).within(0, 1250).looked_at) == 250


def test_a_motion_at_constant_speed_stays_one() -> None:
    time = np.arange(241)[:, None, None] / 120
    positions = np.concatenate([time, 3 - 2 * time, 0 * time], axis=2)
    out = blend(resample(241, 120, 50).within(0, 241), positions)
    expected = np.arange(len(out)) / 50
    np.testing.assert_allclose(out[:, 0, 0], expected, atol=1e-14)
    np.testing.assert_allclose(out[:, 0, 1], 3 - 2 * expected, atol=1e-14)


def test_a_long_sequence_at_an_odd_rate() -> None:
    """The products of such rates' numerators leave 64 bits."""
    resampling = resample(1_000_000, 120.00004577636719, 50)
    assert resampling.num_frames == math.floor(1_000_000 * 50 / Fraction(120.00004577636719))
    plan = resampling.within(0, 1_000_000)
    at = Fraction(120.00004577636719) * (resampling.num_frames - 1) / 50
    assert plan.looked_at[plan.before[-1]] == math.floor(at)
    assert plan.weight[-1] == pytest.approx(float(at % 1), abs=1e-12)


@pytest.mark.parametrize("source", [60, 100, 120, 120.00004577636719, 250])
def test_against_the_known_formula_in_floating_point(source: float) -> None:
    """As AMASS-to-3DHPE evaluates it: it may lose the last frame to rounding, and all others are the same."""
    rng = np.random.default_rng(0)
    shorter = 0
    for num_frames in range(1, 400):
        positions = rng.normal(size=(num_frames, 1, 3))
        times = np.arange(np.floor(num_frames * (1 / source) / (1 / 50))) * (1 / 50) / (1 / source)
        before, after = np.floor(times).astype(int), np.ceil(times).astype(int)
        if (after >= num_frames).any():
            continue  # where that converter stops with an assertion
        weight = (times - before)[:, None, None]
        expected = positions[before] * (1 - weight) + positions[after] * weight
        ours = blend(resample(num_frames, source, 50).within(0, num_frames), positions)
        assert len(ours) - len(expected) in (0, 1)
        shorter += len(ours) > len(expected)
        np.testing.assert_allclose(ours[: len(expected)], expected, atol=1e-9)
    assert shorter < 20


@pytest.mark.parametrize("source", [25, 50, 60, 100, 120.00004577636719, 250, 9000.1])
@pytest.mark.parametrize("stretch", [1, 2, 7, 100, 299, 300])
def test_stretches_put_together_are_the_whole(source: float, stretch: int) -> None:
    num_frames = 300
    positions = np.random.default_rng(1).normal(size=(num_frames, 2, 3))
    resampling = resample(num_frames, source, 50)
    out = np.full((resampling.num_frames, 2, 3), np.nan)
    for start in range(0, num_frames, stretch):
        stop = min(start + stretch, num_frames)
        plan = resampling.within(start, stop)
        here = positions[start : stop + 1]  # as a block has them
        plan.interpolate(here[plan.looked_at], out[plan.frames])
    np.testing.assert_array_equal(out, blend(resampling.within(0, num_frames), positions))


def test_stretches_without_an_output_frame() -> None:
    resampling = resample(50_000, 9000.1, 1.3)
    plans = [resampling.within(start, min(start + 2048, 50_000)) for start in range(0, 50_000, 2048)]
    assert sum(len(plan.before) for plan in plans) == resampling.num_frames == 7
    assert min(len(plan.before) for plan in plans) == 0
