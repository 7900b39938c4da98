"""What is compiled of the CPU kernel, as Numba takes it. :mod:`.machine_code` has it compiled, keeps it and loads it.

The functions are for C: they take addresses of C-contiguous arrays, and sizes, and no memory but what they are given.
So their machine code can be kept, and be called without Numba.

Arrays lie as (component, bone or pair, frame), frames innermost and in blocks of :data:`.cpu.BLOCK`, so that every
inner loop is over contiguous frames and the compiler makes vector instructions of it. It does so where it can see that
what is read is not what is written: hence the small scratch arrays, whose sizes it knows.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import carray, cfunc, from_dtype, njit, types  # type: ignore[attr-defined]

from amass_joints.kernels.cpu import BLOCK, BLOCKS_AT_A_TIME
from amass_joints.kernels.machine_code import NUM_ARGUMENTS

# The types of arguments: addresses of arrays of float32 or float64, of float64, of int64; and sizes.
Reals: TypeAlias = Any
Doubles: TypeAlias = Any
Indices: TypeAlias = Any
Size: TypeAlias = int

HALF_TURN_SQUARED = np.pi**2
TURN = 2 * np.pi

_TERMS = 11
"""Of the series below: for angles up to pi, what they leave out is less than float64 rounds away."""
_COSINE = tuple((-1) ** k / (4**k * math.factorial(2 * k)) for k in range(_TERMS))
"""cos(angle / 2) as a power series in the square of the angle."""
_SINE = tuple((-1) ** k / (4**k * math.factorial(2 * k + 1)) / 2 for k in range(_TERMS))
"""sin(angle / 2) / angle, likewise."""

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}


def compile_for(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Compile the functions, with ``dtype`` as that of ``Reals``, for the processor at hand."""
    address: Callable[..., Any] = types.CPointer
    arguments = {
        "Reals": address(from_dtype(dtype)),
        "Doubles": address(types.float64),
        "Indices": address(types.int64),
        "Size": types.intp,
    }
    compiled = {}
    for function in (linearise, assemble):
        signature = [arguments[parameter.annotation] for parameter in inspect.signature(function).parameters.values()]
        assert len(signature) == NUM_ARGUMENTS[function.__name__]
        compiled[function.__name__] = cfunc(types.void(*signature), **_OPTIONS)(function)
    return compiled


def _inlined(function: Callable[..., None]) -> Callable[..., None]:
    """Make the function a part of the compiled ones that call it, which then know the sizes of its scratch arrays."""
    inlined: Callable[..., None] = njit(inline="always", **_OPTIONS)(function)
    return inlined


def linearise(
    bones: Indices,
    rows: Indices,
    columns: Reals,
    dmpl_columns: Reals,
    soft_tissue: Reals,
    vectors: Doubles,
    matrices: Reals,
    num_bones: Size,
    num_dmpls: Size,
    poses: Doubles,
    num_values: Size,
    dmpls: Doubles,
    frames: Indices,
    start: Size,
    stop: Size,
) -> None:
    """Fill in R - I of each bone, which is what the pose features are, and the soft tissue."""
    poses = carray(poses, (1, num_values))
    dmpls = carray(dmpls, (1, num_dmpls))
    frames = carray(frames, (stop,))
    bones = carray(bones, (num_bones,))
    rows = carray(rows, (num_bones,))
    columns = carray(columns, (1, BLOCKS_AT_A_TIME, BLOCK))
    dmpl_columns = carray(dmpl_columns, (num_dmpls, BLOCKS_AT_A_TIME, BLOCK))
    soft_tissue = carray(soft_tissue, (num_dmpls, BLOCKS_AT_A_TIME, BLOCK))
    vectors = carray(vectors, (4, BLOCK))
    matrices = carray(matrices, (9, BLOCK))
    for a in range(3):
        for i in range(BLOCK):
            vectors[a, i] = 0
    for block in range(-(-(stop - start) // BLOCK)):
        first = start + block * BLOCK
        here = min(BLOCK, stop - first)
        for b in range(num_bones):
            value = 3 * bones[b]
            for i in range(here):
                frame = frames[first + i]
                for a in range(3):
                    vectors[a, i] = poses[frame, value + a]
            _rotate(vectors, matrices)
            row = rows[b]
            for e in range(9):
                for i in range(BLOCK):
                    columns[row + e, block, i] = matrices[e, i]
        for d in range(num_dmpls):
            for i in range(here):
                dmpl = dmpls[frames[first + i], d]
                dmpl_columns[d, block, i] = dmpl
                soft_tissue[d, block, i] = dmpl


@_inlined
def _rotate(vectors: np.ndarray, matrices: np.ndarray) -> None:
    """Rotation vectors to rotation matrices less the identity, by way of quaternions, in float64.

    Sine and cosine are power series in the square of the angle: no root, no quotient, nothing special near zero.
    The last row of ``vectors`` becomes the squares of the angles.
    """
    squares = vectors[3]
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


def assemble(
    columns: Reals,
    rows: Indices,
    parents: Indices,
    steps: Reals,
    vectors: Reals,
    pair_joints: Indices,
    pair_bones: Indices,
    pair_weights: Reals,
    row_sums: Doubles,
    rotations: Reals,
    places: Reals,
    joints: Reals,
    components: Reals,
    num_chain: Size,
    num_pairs: Size,
    num_joints: Size,
    trans: Doubles,
    positions: Reals,
    frames: Indices,
    start: Size,
    stop: Size,
) -> None:
    """Chain, skin, translate: from what is linear to the regressed joints."""
    columns = carray(columns, (1, BLOCKS_AT_A_TIME, BLOCK))
    rows = carray(rows, (num_chain,))
    parents = carray(parents, (num_chain,))
    steps = carray(steps, (3 * num_chain, BLOCKS_AT_A_TIME, BLOCK))
    vectors = carray(vectors, (3 * num_pairs, BLOCKS_AT_A_TIME, BLOCK))
    pair_joints = carray(pair_joints, (num_pairs,))
    pair_bones = carray(pair_bones, (num_pairs,))
    pair_weights = carray(pair_weights, (num_pairs,))
    row_sums = carray(row_sums, (num_joints,))
    trans = carray(trans, (1, 3))
    frames = carray(frames, (stop,))
    positions = carray(positions, (stop, num_joints, 3))
    rotations = carray(rotations, (num_chain, 9, BLOCK))
    places = carray(places, (num_chain, 3, BLOCK))
    joints = carray(joints, (num_joints, 3, BLOCK))
    components = carray(components, (16, BLOCK))
    for block in range(-(-(stop - start) // BLOCK)):
        _chain(columns, rows, parents, steps, block, rotations, places, components)
        _skin(rotations, places, vectors, block, pair_joints, pair_bones, pair_weights, joints, components)
        first = start + block * BLOCK
        _translate(joints, trans, frames, first, min(BLOCK, stop - first), row_sums, positions)


@_inlined
def _chain(
    columns: np.ndarray,
    rows: np.ndarray,
    parents: np.ndarray,
    steps: np.ndarray,
    block: int,
    rotations: np.ndarray,
    places: np.ndarray,
    components: np.ndarray,
) -> None:
    """Make local rotations those in the world, and place the joints, down the kinematic tree.

    Components: 0 to 8 a local rotation, 9 to 11 a step, 12 to 15 a row of their product with those of the parent.
    """
    one = columns.dtype.type(1)
    local = components[0:9]
    step = components[9:12]
    row = components[12:16]
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
            for e in range(9):
                for i in range(BLOCK):
                    rotations[k, e, i] = local[e, i]
            for a in range(3):
                for i in range(BLOCK):
                    places[k, a, i] = step[a, i]
            continue
        for a in range(3):
            for i in range(BLOCK):
                x = rotations[up, 3 * a, i]
                y = rotations[up, 3 * a + 1, i]
                z = rotations[up, 3 * a + 2, i]
                row[0, i] = x * local[0, i] + y * local[3, i] + z * local[6, i]
                row[1, i] = x * local[1, i] + y * local[4, i] + z * local[7, i]
                row[2, i] = x * local[2, i] + y * local[5, i] + z * local[8, i]
                row[3, i] = x * step[0, i] + y * step[1, i] + z * step[2, i] + places[up, a, i]
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
    components: np.ndarray,
) -> None:
    """Sum R_k z_nk + c_nk g_k over the pairs of each regressed joint.

    Components: 0 to 2 z_nk, 3 to 5 the sum's next term.
    """
    z = components[0:3]
    moved = components[3:6]
    pairs = len(pair_joints)
    for n in range(len(joints)):
        for a in range(3):
            for i in range(BLOCK):
                joints[n, a, i] = 0
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
    first: int,
    num_frames: int,
    row_sums: np.ndarray,
    positions: np.ndarray,
) -> None:
    """Add the root translation last, in float64, so that far from the origin nothing else is lost."""
    for i in range(num_frames):
        frame = frames[first + i]
        for n in range(len(row_sums)):
            for a in range(3):
                positions[first + i, n, a] = joints[n, a, i] + row_sums[n] * trans[frame, a]
