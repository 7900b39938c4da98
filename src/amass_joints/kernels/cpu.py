"""The CPU kernel: Numba for rotations, chain and skinning, one BLAS product a block for all that is linear.

Arrays lie as (component, bone or pair, frame), frames innermost and :data:`BLOCK` of them, so that every inner loop
is over contiguous frames and the compiler makes vector instructions of it. A block stays in the second-level cache.

Blocks start at multiples of :data:`BLOCK` of the frames posed and are always full (the last is padded), so a frame
goes through the very same instructions however the work is cut: results are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from amass_joints.kernels import TINY, Body

BLOCK = 128

TURN = 2 * np.pi


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile for the processor at hand, once per machine: the code is kept in Numba's cache."""

    def compile(cache: bool) -> Callable[..., None]:
        return njit(cache=cache, nogil=True, error_model="numpy", fastmath={"contract"})(function)

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
    num_dmpls = dmpls.shape[1]
    first_dmpl = 1 + 9 * len(body.featured)
    columns = np.zeros((first_dmpl + num_dmpls, BLOCK), dtype)
    columns[0] = 1
    rotations = np.zeros((len(body.bones), 9, BLOCK), dtype)
    places = np.zeros((len(body.parents), 3, BLOCK), dtype)
    joints = np.zeros((len(body.row_sums), 3, BLOCK), dtype)
    vectors = np.empty((len(body.pair_matrix), BLOCK), dtype)
    steps = np.empty((len(body.step_matrix), BLOCK), dtype)
    soft_tissue = np.zeros((1 + num_dmpls, BLOCK), dtype)
    soft_tissue[0] = 1
    positions = np.empty((len(looked_at), len(body.row_sums), 3), dtype)
    for start in range(0, len(looked_at), BLOCK):
        frames = looked_at[start : start + BLOCK]
        soft_tissue[1:, : len(frames)] = dmpls[frames].T
        columns[first_dmpl:] = soft_tissue[1:]
        _rotate(poses, frames, body.bones, rotations)
        _feature(rotations, body.featured, columns)
        np.matmul(body.pair_matrix, columns, out=vectors)
        np.matmul(body.step_matrix, soft_tissue, out=steps)
        _chain(rotations, body.parents, steps, places)
        _skin(rotations, places, vectors, body.pair_joints, body.pair_bones, body.pair_weights, joints)
        _translate(joints, trans, frames, body.row_sums, positions[start : start + BLOCK])
    return positions


@_compiled
def _rotate(poses: np.ndarray, frames: np.ndarray, bones: np.ndarray, rotations: np.ndarray) -> None:
    """Rotation vectors to local rotation matrices (Rodrigues), row-major."""
    x = np.zeros(BLOCK)
    y = np.zeros(BLOCK)
    z = np.zeros(BLOCK)
    for b in range(len(bones)):
        first = 3 * bones[b]
        for i in range(len(frames)):
            x[i] = poses[frames[i], first]
            y[i] = poses[frames[i], first + 1]
            z[i] = poses[frames[i], first + 2]
        r = rotations[b]
        one = r.dtype.type(1)
        for i in range(BLOCK):
            squared = x[i] * x[i] + y[i] * y[i] + z[i] * z[i]
            angle = np.sqrt(squared)
            inverse = 1 / max(angle, TINY)
            ax = r.dtype.type(x[i] * inverse)
            ay = r.dtype.type(y[i] * inverse)
            az = r.dtype.type(z[i] * inverse)
            # Whole turns are taken off while there are digits for it.
            reduced = r.dtype.type(angle - TURN * np.rint(angle / TURN))
            s = np.sin(reduced)
            c = np.cos(reduced)
            v = one - c
            r[0, i] = c + v * ax * ax
            r[1, i] = v * ax * ay - s * az
            r[2, i] = v * ax * az + s * ay
            r[3, i] = v * ax * ay + s * az
            r[4, i] = c + v * ay * ay
            r[5, i] = v * ay * az - s * ax
            r[6, i] = v * ax * az - s * ay
            r[7, i] = v * ay * az + s * ax
            r[8, i] = c + v * az * az


@_compiled
def _feature(rotations: np.ndarray, featured: np.ndarray, columns: np.ndarray) -> None:
    """Pose features R - I of the local rotations, into the columns after the constant one."""
    for f in range(len(featured)):
        r = rotations[featured[f]]
        for e in range(9):
            identity = r.dtype.type(e % 4 == 0)
            for i in range(BLOCK):
                columns[1 + 9 * f + e, i] = r[e, i] - identity


@_compiled
def _chain(rotations: np.ndarray, parents: np.ndarray, steps: np.ndarray, places: np.ndarray) -> None:
    """Make local rotations those in the world, and place the joints, down the kinematic tree."""
    chain = len(parents)
    local = np.empty((9, BLOCK), rotations.dtype)
    for k in range(chain):
        if parents[k] < 0:
            for a in range(3):
                for i in range(BLOCK):
                    places[k, a, i] = steps[a * chain + k, i]
            continue
        up = rotations[parents[k]]
        place = places[parents[k]]
        r = rotations[k]
        sx = steps[k]
        sy = steps[chain + k]
        sz = steps[2 * chain + k]
        local[:] = r
        for a in range(3):
            for i in range(BLOCK):
                u0 = up[3 * a, i]
                u1 = up[3 * a + 1, i]
                u2 = up[3 * a + 2, i]
                r[3 * a, i] = u0 * local[0, i] + u1 * local[3, i] + u2 * local[6, i]
                r[3 * a + 1, i] = u0 * local[1, i] + u1 * local[4, i] + u2 * local[7, i]
                r[3 * a + 2, i] = u0 * local[2, i] + u1 * local[5, i] + u2 * local[8, i]
                places[k, a, i] = place[a, i] + u0 * sx[i] + u1 * sy[i] + u2 * sz[i]


@_compiled
def _skin(
    rotations: np.ndarray,
    places: np.ndarray,
    vectors: np.ndarray,
    pair_joints: np.ndarray,
    pair_bones: np.ndarray,
    pair_weights: np.ndarray,
    joints: np.ndarray,
) -> None:
    """Sum R_k z_nk + c_nk g_k over the pairs of each regressed joint."""
    pairs = len(pair_joints)
    joints[:] = 0
    for p in range(pairs):
        r = rotations[pair_bones[p]]
        place = places[pair_bones[p]]
        joint = joints[pair_joints[p]]
        c = pair_weights[p]
        zx = vectors[p]
        zy = vectors[pairs + p]
        zz = vectors[2 * pairs + p]
        for a in range(3):
            for i in range(BLOCK):
                joint[a, i] += r[3 * a, i] * zx[i] + r[3 * a + 1, i] * zy[i] + r[3 * a + 2, i] * zz[i] + c * place[a, i]


@_compiled
def _translate(
    joints: np.ndarray, trans: np.ndarray, frames: np.ndarray, row_sums: np.ndarray, positions: np.ndarray
) -> None:
    """Add the root translation last, in float64, so that far from the origin nothing else is lost."""
    for i in range(len(frames)):
        for n in range(len(row_sums)):
            for a in range(3):
                positions[i, n, a] = joints[n, a, i] + row_sums[n] * trans[frames[i], a]
