"""Random small bodies, regressors and motions: any tree, any weights, nothing anatomical."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from amass_joints.body_models import BodyModel
from amass_joints.regressors import JointRegressor


@dataclass(frozen=True)
class Case:
    body: BodyModel
    regressor: JointRegressor
    betas: np.ndarray
    poses: np.ndarray
    trans: np.ndarray
    dmpls: np.ndarray | None


def random_tree(rng: np.random.Generator, joints: int) -> np.ndarray:
    """A random tree with root 0, its other joints numbered in any order, children before parents too."""
    names = np.concatenate([[0], 1 + rng.permutation(joints - 1)])
    parents = np.full(joints, -1)
    for place in range(1, joints):
        parents[names[place]] = names[rng.integers(place)]
    return parents


def random_body(rng: np.random.Generator, joints: int, vertices: int, betas: int, dmpls: int) -> BodyModel:
    weights = rng.random((vertices, joints)) * (rng.random((vertices, joints)) < 0.4)
    weights[np.arange(vertices), rng.integers(joints, size=vertices)] += 0.1
    weights /= weights.sum(axis=1, keepdims=True)
    joint_regressor = rng.random((joints, vertices))
    # Some joints' pose blend shapes are zero, as those of fingers are nearly everywhere.
    posedirs = rng.normal(size=(vertices, 3, joints - 1, 9)) * 0.01 * (rng.random(joints - 1) < 0.6)[:, None]
    return BodyModel(
        v_template=rng.normal(size=(vertices, 3)) * 0.5,
        shapedirs=rng.normal(size=(vertices, 3, betas)) * 0.05,
        posedirs=posedirs.reshape(vertices, 3, -1),
        dmpldirs=rng.normal(size=(vertices, 3, dmpls)) * 0.02,
        J_regressor=joint_regressor / joint_regressor.sum(axis=1, keepdims=True),
        weights=weights,
        parents=random_tree(rng, joints),
    )


def random_regressor(rng: np.random.Generator, rows: int, vertices: int, density: float) -> JointRegressor:
    """Rows with negative entries, empty rows, row sums about 1 but not quite."""
    matrix = rng.normal(0.3, 0.3, (rows, vertices)) * (rng.random((rows, vertices)) < density)
    sums = matrix.sum(axis=1, keepdims=True)
    matrix = np.where(np.abs(sums) > 0.3, matrix / np.where(sums == 0, 1, sums) * 1.0004, 0.2 * matrix)
    matrix[rng.random(rows) < 0.1] = 0
    return JointRegressor(matrix)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    joints = draw(st.integers(1, 9), label="joints")
    vertices = draw(st.integers(1, 40), label="vertices")
    betas, dmpls = draw(st.integers(0, 4), label="betas"), draw(st.integers(0, 3), label="dmpls")
    rows = draw(st.integers(1, 6), label="rows")
    frames = draw(st.sampled_from([1, 2, 9, 128, 131]), label="frames")  # about a block of the kernel, and fewer
    largest_angle = draw(st.sampled_from([1e-9, 1e-4, 1.0, 3.2, 20.0]), label="largest angle")
    return Case(
        body=random_body(rng, joints, vertices, betas, dmpls),
        regressor=random_regressor(rng, rows, vertices, draw(st.sampled_from([0.05, 0.3, 1.0]), label="density")),
        betas=rng.normal(size=draw(st.integers(0, 6), label="betas given")),
        poses=rng.uniform(-1, 1, (frames, 3 * joints)) * largest_angle,
        trans=rng.normal(size=(frames, 3)) * 2,
        dmpls=rng.normal(size=(frames, draw(st.integers(0, 5), label="dmpls given")))
        if draw(st.booleans(), label="soft tissue")
        else None,
    )
