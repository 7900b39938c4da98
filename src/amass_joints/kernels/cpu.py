"""The CPU kernel: compiled functions for rotations, chain and skinning, one BLAS product a block for what is linear.

How the work is cut depends on nothing but the frames posed, and blocks are always full (the last is padded): results
are the same to the bit whoever computes them.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from amass_joints.kernels import Body, Structure, machine_code

BLOCK = 128

BLOCKS_AT_A_TIME = 4
"""How many blocks share a matrix product, and a release of Python's lock. With 8, rows would be 4096 bytes apart, which
first-level caches take ill."""

WIDTH = BLOCKS_AT_A_TIME * BLOCK

INDEX: np.dtype[Any] = np.dtype(np.int64)
DOUBLE: np.dtype[Any] = np.dtype(np.float64)


def pose(body: Body, poses: np.ndarray, trans: np.ndarray, dmpls: np.ndarray, looked_at: np.ndarray) -> np.ndarray:
    """Pose the frames looked at; see :func:`amass_joints.kernels.pose`."""
    real = body.pair_matrix.dtype
    bench = _workbenches.get(body.structure, real, body.pair_matrix.shape[1], dmpls.shape[1])
    positions = np.empty((len(looked_at), len(body.structure.row_sums), 3), real)
    frames = address(looked_at, INDEX)
    for_linearise = (address(poses, DOUBLE), poses.shape[1], address(dmpls, DOUBLE), frames)
    for_assemble = (address(trans, DOUBLE), address(positions, real), frames)
    for start in range(0, len(looked_at), WIDTH):
        stop = min(start + WIDTH, len(looked_at))
        used = slice(-(-(stop - start) // BLOCK) * BLOCK)
        bench.linearise(*for_linearise, start, stop)
        np.matmul(body.pair_matrix, bench.columns[:, used], out=bench.vectors[:, used])
        np.matmul(body.step_matrix, bench.soft_tissue[:, used], out=bench.steps[:, used])
        bench.assemble(*for_assemble, start, stop)
    return positions


class _Workbench:
    """What a thread poses bodies of one structure with.

    That is memory, which takes longer to get than to fill, and the compiled functions, which are told where it is.
    """

    def __init__(self, structure: Structure, real: np.dtype[Any], num_columns: int, num_dmpls: int) -> None:
        assert num_columns == 1 + 9 * len(structure.featured) + num_dmpls
        functions = machine_code.load(real)
        num_bones, num_chain = len(structure.bones), len(structure.parents)
        num_pairs, num_joints = len(structure.pair_joints), len(structure.row_sums)
        # For each bone the first of the nine rows of its R - I. They are part of what the pair matrix is applied to,
        # (1, pose features, dmpls), for bones with pose features; for the others they come after that.
        others = np.setdiff1d(np.arange(num_bones), structure.featured)
        rows = np.empty(num_bones, INDEX)
        rows[structure.featured] = 1 + 9 * np.arange(len(structure.featured))
        rows[others] = num_columns + 9 * np.arange(len(others))
        columns = np.zeros((num_columns + 9 * len(others), WIDTH), real)
        columns[0] = 1
        self.columns = columns[:num_columns]
        self.soft_tissue = np.zeros((1 + num_dmpls, WIDTH), real)
        self.soft_tissue[0] = 1
        self.vectors = np.zeros((3 * num_pairs, WIDTH), real)
        self.steps = np.zeros((3 * num_chain, WIDTH), real)
        self._told: list[np.ndarray] = [columns]  # the arrays whose addresses the functions know

        def at(array: np.ndarray, dtype: np.dtype[Any] = real) -> int:  # of what is only read
            self._told.append(np.ascontiguousarray(array, dtype))
            return address(self._told[-1], dtype)

        def room(num_rows: int, dtype: np.dtype[Any] = real) -> int:
            self._told.append(np.zeros((num_rows, BLOCK), dtype))
            return address(self._told[-1], dtype)

        rows_at, columns_at = at(rows, INDEX), address(columns, real)
        self.linearise = partial(
            functions.linearise,
            at(structure.bones, INDEX),
            rows_at,
            columns_at,
            address(columns[num_columns - num_dmpls :], real),
            address(self.soft_tissue[1:], real),
            room(4, DOUBLE),
            room(9),
            num_bones,
            num_dmpls,
        )
        self.assemble = partial(
            functions.assemble,
            columns_at,
            rows_at,
            at(structure.parents, INDEX),
            address(self.steps, real),
            address(self.vectors, real),
            at(structure.pair_joints, INDEX),
            at(structure.pair_bones, INDEX),
            at(structure.pair_weights),
            at(structure.row_sums, DOUBLE),
            room(9 * num_chain),
            room(3 * num_chain),
            room(3 * num_joints),
            room(16),
            num_chain,
            num_pairs,
            num_joints,
        )


class _Workbenches(threading.local):
    """A thread's own."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Structure, dict[tuple[Any, ...], _Workbench]] = WeakKeyDictionary()

    def get(self, structure: Structure, *other: Any) -> _Workbench:
        of_structure = self._of.setdefault(structure, {})
        if other not in of_structure:
            of_structure[other] = _Workbench(structure, *other)
        return of_structure[other]


_workbenches = _Workbenches()


def address(array: np.ndarray, dtype: np.dtype[Any]) -> int:
    """Give the address of a C-contiguous array's data. It may be anywhere: files do not align theirs."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous array of {dtype}, found {array.dtype}, strides {array.strides}")
    found: int = array.__array_interface__["data"][0]
    return found
