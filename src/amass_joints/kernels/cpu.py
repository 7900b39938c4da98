"""The CPU kernel: Numba for rotations, chain and skinning, one BLAS product a block for all that is linear.

Arrays lie as (component, bone or pair, frame), frames innermost and in blocks of :data:`BLOCK`, so that every inner
loop is over contiguous frames and the compiler makes vector instructions of it. It does so where it can see that what
is read is not what is written: hence the small scratch arrays, whose sizes it knows.

How the work is cut depends on nothing but the frames posed, and blocks are always full (the last is padded): results
are the same to the bit whoever computes them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike

from amass_joints.kernels import Body

BLOCK = 128

BLOCKS_AT_A_TIME = 4
"""How many blocks share a matrix product, and a release of Python's lock. With 8, rows would be 4096 bytes apart, which
first-level caches take ill."""

WIDTH = BLOCKS_AT_A_TIME * BLOCK

HALF_TURN_SQUARED = np.pi**2
TURN = 2 * np.pi

_TERMS = 11
"""Of the series below: for angles up to pi, what they leave out is less than float64 rounds away."""
_COSINE = tuple((-1) ** k / (4**k * math.factorial(2 * k)) for k in range(_TERMS))
"""cos(angle / 2) as a power series in the square of the angle."""
_SINE = tuple((-1) ** k / (4**k * math.factorial(2 * k + 1)) / 2 for k in range(_TERMS))
"""sin(angle / 2) / angle, likewise."""

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _inlined(function: Callable[..., None]) -> Callable[..., None]:
    """Make the function a part of the compiled ones that call it, which then know the sizes of its scratch arrays."""
    return njit(inline="always", **_OPTIONS)(function)


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile for the processor at hand, once per machine: the code is kept in Numba's cache."""

    def compile(cache: bool) -> Callable[..., None]:
        return njit(cache=cache, **_OPTIONS)(function)

    try:
        compiled = compile(cache=True)
    except RuntimeError:  # no directory to keep it in: compile in every run
        return compile(cache=False)

    def call(*arguments: np.ndarray) -> None:
        nonlocal compiled
        try:
            compiled(*arguments)
        except Exception:  # these functions raise nothing: it is the cache, which is damaged, or its disk full
            compiled = compile(cache=False)
            compiled(*arguments)

    return call


def pose(body: Body, poses: np.ndarray, trans: np.ndarray, dmpls: np.ndarray, looked_at: np.ndarray) -> np.ndarray:
    """Pose the frames looked at; see :func:`amass_joints.kernels.pose`."""
    dtype = body.pair_matrix.dtype
    num_columns, num_dmpls = body.pair_matrix.shape[1], dmpls.shape[1]
    rows = _feature_rows(body)
    # What the pair matrix is applied to: 1, pose features R - I, dmpls. After it, R - I of the bones without features.
    columns = _scratch("columns", max(num_columns, rows.max() + 9), dtype)
    columns[0] = 1
    soft_tissue = _scratch("soft_tissue", 1 + num_dmpls, dtype)
    soft_tissue[0] = 1
    vectors = _scratch("vectors", len(body.pair_matrix), dtype)
    steps = _scratch("steps", len(body.step_matrix), dtype)
    positions = np.empty((len(looked_at), len(body.row_sums), 3), dtype)
    poses, trans, dmpls = _read_only(poses), _read_only(trans), _read_only(dmpls)
    for start in range(0, len(looked_at), WIDTH):
        frames = looked_at[start : start + WIDTH]
        used = slice(-(-len(frames) // BLOCK) * BLOCK)
        _linearise(
            poses,
            dmpls,
            frames,
            body.bones,
            rows,
            _in_blocks(columns),
            _in_blocks(columns[num_columns - num_dmpls : num_columns]),
            _in_blocks(soft_tissue[1:]),
        )
        np.matmul(body.pair_matrix, columns[:num_columns, used], out=vectors[:, used])
        np.matmul(body.step_matrix, soft_tissue[:, used], out=steps[:, used])
        _assemble(
            _in_blocks(columns),
            rows,
            body.parents,
            _in_blocks(steps),
            _in_blocks(vectors),
            body.pair_joints,
            body.pair_bones,
            body.pair_weights,
            body.row_sums,
            trans,
            frames,
            positions[start : start + WIDTH],
        )
    return positions


def _feature_rows(body: Body) -> np.ndarray:
    """Give for each bone the first of the nine rows of its R - I, which for those with pose features is given."""
    rows = np.full(len(body.bones), -1)
    rows[body.featured] = 1 + 9 * np.arange(len(body.featured))
    others = np.flatnonzero(rows < 0)
    rows[others] = body.pair_matrix.shape[1] + 9 * np.arange(len(others))
    return rows


_kept = threading.local()


def _scratch(name: str, rows: int, dtype: DTypeLike) -> np.ndarray:
    """Give this thread's array of that name, (rows, WIDTH): to take new memory costs more than to fill it."""
    array: np.ndarray | None = getattr(_kept, name, None)
    if array is None or array.dtype != dtype or len(array) < rows:
        array = np.zeros((rows, WIDTH), dtype)
        setattr(_kept, name, array)
    return array[:rows]


def _in_blocks(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), BLOCKS_AT_A_TIME, BLOCK)


def _read_only(array: np.ndarray) -> np.ndarray:
    """Give a view that cannot be written through: Numba compiles for either kind, and one will do."""
    view = array.view()
    view.flags.writeable = False
    return view


@_compiled
def _linearise(
    poses: np.ndarray,
    dmpls: np.ndarray,
    frames: np.ndarray,
    bones: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    dmpl_columns: np.ndarray,
    soft_tissue: np.ndarray,
) -> None:
    """Fill in R - I of each bone, which is what the pose features are, and the soft tissue."""
    vectors = np.zeros((3, BLOCK))
    matrices = np.empty((9, BLOCK), columns.dtype)
    for block in range(-(-len(frames) // BLOCK)):
        here = frames[block * BLOCK : (block + 1) * BLOCK]
        for b in range(len(bones)):
            first = 3 * bones[b]
            for i in range(len(here)):
                for a in range(3):
                    vectors[a, i] = poses[here[i], first + a]
            _rotate(vectors, matrices)
            row = rows[b]
            for e in range(9):
                for i in range(BLOCK):
                    columns[row + e, block, i] = matrices[e, i]
        for d in range(dmpls.shape[1]):
            for i in range(len(here)):
                value = dmpls[here[i], d]
                dmpl_columns[d, block, i] = value
                soft_tissue[d, block, i] = value


@_inlined
def _rotate(vectors: np.ndarray, matrices: np.ndarray) -> None:
    """Rotation vectors to rotation matrices less the identity, by way of quaternions, in float64.

    Sine and cosine are power series in the square of the angle: no root, no quotient, nothing special near zero.
    """
    squares = np.empty(BLOCK)
    largest = 0.0
    for i in range(BLOCK):
        squares[i] = vectors[0, i] * vectors[0, i] + vectors[1, i] * vectors[1, i] + vectors[2, i] * vectors[2, i]
    for i in range(BLOCK):
        largest = max(largest, squares[i])
    if largest > HALF_TURN_SQUARED:
        for i in range(BLOCK):  # whole turns are taken off, while there are digits for it
            if squares[i] > HALF_TURN_SQUARED:
                angle = np.sqrt(squares[i])
                ratio = (angle - TURN * np.rint(angle / TURN)) / angle
                for a in range(3):
                    vectors[a, i] *= ratio
                squares[i] *= ratio * ratio
    for i in range(BLOCK):
        w = 0.0
        s = 0.0
        for k in range(_TERMS):
            w = w * squares[i] + _COSINE[_TERMS - 1 - k]
            s = s * squares[i] + _SINE[_TERMS - 1 - k]
        x = s * vectors[0, i]
        y = s * vectors[1, i]
        z = s * vectors[2, i]
        matrices[0, i] = -2 * (y * y + z * z)
        matrices[1, i] = 2 * (x * y - w * z)
        matrices[2, i] = 2 * (x * z + w * y)
        matrices[3, i] = 2 * (x * y + w * z)
        matrices[4, i] = -2 * (x * x + z * z)
        matrices[5, i] = 2 * (y * z - w * x)
        matrices[6, i] = 2 * (x * z - w * y)
        matrices[7, i] = 2 * (y * z + w * x)
        matrices[8, i] = -2 * (x * x + y * y)


@_compiled
def _assemble(
    columns: np.ndarray,
    rows: np.ndarray,
    parents: np.ndarray,
    steps: np.ndarray,
    vectors: np.ndarray,
    pair_joints: np.ndarray,
    pair_bones: np.ndarray,
    pair_weights: np.ndarray,
    row_sums: np.ndarray,
    trans: np.ndarray,
    frames: np.ndarray,
    positions: np.ndarray,
) -> None:
    """Chain, skin, translate: from what is linear to the regressed joints."""
    rotations = np.empty((len(parents), 9, BLOCK), columns.dtype)
    places = np.empty((len(parents), 3, BLOCK), columns.dtype)
    joints = np.empty((len(row_sums), 3, BLOCK), columns.dtype)
    for block in range(-(-len(frames) // BLOCK)):
        _chain(columns, rows, parents, steps, block, rotations, places)
        _skin(rotations, places, vectors, block, pair_joints, pair_bones, pair_weights, joints)
        _translate(joints, trans, frames, block, row_sums, positions)


@_inlined
def _chain(
    columns: np.ndarray,
    rows: np.ndarray,
    parents: np.ndarray,
    steps: np.ndarray,
    block: int,
    rotations: np.ndarray,
    places: np.ndarray,
) -> None:
    """Make local rotations those in the world, and place the joints, down the kinematic tree."""
    one = columns.dtype.type(1)
    local = np.empty((9, BLOCK), columns.dtype)
    step = np.empty((3, BLOCK), columns.dtype)
    row = np.empty((4, BLOCK), columns.dtype)
    chain = len(parents)
    for k in range(chain):
        first = rows[k]
        for e in range(9):
            for i in range(BLOCK):
                local[e, i] = columns[first + e, block, i]
        for e in range(0, 9, 4):
            for i in range(BLOCK):
                local[e, i] += one
        for a in range(3):
            for i in range(BLOCK):
                step[a, i] = steps[a * chain + k, block, i]
        up = parents[k]
        if up < 0:
            rotations[k] = local
            places[k] = step
            continue
        for a in range(3):
            for i in range(BLOCK):
                u0 = rotations[up, 3 * a, i]
                u1 = rotations[up, 3 * a + 1, i]
                u2 = rotations[up, 3 * a + 2, i]
                row[0, i] = u0 * local[0, i] + u1 * local[3, i] + u2 * local[6, i]
                row[1, i] = u0 * local[1, i] + u1 * local[4, i] + u2 * local[7, i]
                row[2, i] = u0 * local[2, i] + u1 * local[5, i] + u2 * local[8, i]
                row[3, i] = u0 * step[0, i] + u1 * step[1, i] + u2 * step[2, i] + places[up, a, i]
            for e in range(3):
                for i in range(BLOCK):
                    rotations[k, 3 * a + e, i] = row[e, i]
            for i in range(BLOCK):
                places[k, a, i] = row[3, i]


@_inlined
def _skin(
    rotations: np.ndarray,
    places: np.ndarray,
    vectors: np.ndarray,
    block: int,
    pair_joints: np.ndarray,
    pair_bones: np.ndarray,
    pair_weights: np.ndarray,
    joints: np.ndarray,
) -> None:
    """Sum R_k z_nk + c_nk g_k over the pairs of each regressed joint."""
    pairs = len(pair_joints)
    z = np.empty((3, BLOCK), vectors.dtype)
    moved = np.empty((3, BLOCK), vectors.dtype)
    joints[:] = 0
    for p in range(pairs):
        k = pair_bones[p]
        n = pair_joints[p]
        c = pair_weights[p]
        for a in range(3):
            for i in range(BLOCK):
                z[a, i] = vectors[a * pairs + p, block, i]
        for i in range(BLOCK):
            for a in range(3):
                moved[a, i] = (
                    rotations[k, 3 * a, i] * z[0, i]
                    + rotations[k, 3 * a + 1, i] * z[1, i]
                    + rotations[k, 3 * a + 2, i] * z[2, i]
                    + c * places[k, a, i]
                )
        for a in range(3):
            for i in range(BLOCK):
                joints[n, a, i] += moved[a, i]


@_inlined
def _translate(
    joints: np.ndarray,
    trans: np.ndarray,
    frames: np.ndarray,
    block: int,
    row_sums: np.ndarray,
    positions: np.ndarray,
) -> None:
    """Add the root translation last, in float64, so that far from the origin nothing else is lost."""
    first = block * BLOCK
    for i in range(min(BLOCK, len(frames) - first)):
        frame = frames[first + i]
        for n in range(len(row_sums)):
            for a in range(3):
                positions[first + i, n, a] = joints[n, a, i] + row_sums[n] * trans[frame, a]
