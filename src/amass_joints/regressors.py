"""Joint regressors: matrices that give joints as linear combinations of a posed mesh's vertices."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from amass_joints.arrays import ArrayFileError, ArrayReader, NpzFile, float64, listed, open_npy, open_regular, shortened
from amass_joints.body_models import MODEL_TYPES, SMPLH, SMPLX
from amass_joints.errors import InputError
from amass_joints.sparse import LAYOUTS, sparse_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float


@dataclass(frozen=True)
class JointRegressor:
    """Joints as linear combinations of vertices: ``joints = matrix @ vertices``."""

    matrix: Float[np.ndarray, "regressed_joints vertices"]
    """One row a joint; dimensionless. Rows need not sum to 1, and those of real files do not quite."""

    def normalized(self) -> JointRegressor:
        """Give the regressor whose rows sum to 1, so that moving a body moves its joints by as much.

        Raises:
            InputError: a row sums to nearly 0, and would not be a joint afterwards.
        """
        sums = self.matrix.sum(axis=1)
        wrong = np.flatnonzero(np.abs(sums) < LEAST_ROW_SUM)
        if len(wrong):
            raise InputError(
                f"the joint regressor's row {wrong[0]} sums to {sums[wrong[0]]:g}, which cannot be normalized: "
                "expected about 1, as for a point of the body. Leave --normalize-rows out, or mend the row."
            )
        return JointRegressor(self.matrix / sums[:, None])


LEAST_ROW_SUM = 0.1
"""Rows of joints sum to 1, or nearly; one that sums to less than this is a difference of points, or empty."""


LARGEST_WEIGHT = 1000.0
"""In a regressor; those of real ones are about as large as 1."""

VERTEX_MAP = "smplx2smpl_deftrafo_setup.pkl"
"""The file that gives SMPL's vertices as linear combinations of SMPL-X's (https://github.com/vchoutas/smplx)."""


def load_regressor(path: str | os.PathLike[str], num_vertices: int | None = None) -> JointRegressor:
    """Read a joint regressor.

    Args:
        path: an ``.npy`` file, or an ``.npz`` with one array in it: real numbers, shape (joints, ``num_vertices``), in
            C or Fortran order; or a sparse matrix that ``scipy.sparse.save_npz`` wrote (CSR, CSC or COO). There are at
            most as many joints as vertices.
        num_vertices: how many vertices the body model's mesh has; None: as many as one of the body models.

    Raises:
        InputError: the file is missing, broken, or not such a matrix.
    """
    path = Path(path)
    widths = sorted({one.num_vertices for one in MODEL_TYPES}) if num_vertices is None else [num_vertices]
    expected = f"expected a matrix of shape (joints, {' or '.join(map(str, widths))}), saved with np.save()"

    def check(shape: tuple[int, ...]) -> None:  # before memory is taken
        if len(shape) == 2 and shape[1] in widths and 0 < shape[0] <= shape[1]:
            return
        advice = ""
        if len(shape) == 2 and shape[0] in widths:
            advice = " It is transposed: save its .T instead."
        elif len(shape) == 2 and shape[1] in widths:
            advice = " There are more joints than vertices." if shape[0] else " There are no joints."
        raise InputError(
            f"{path}: not a usable joint regressor: its shape is {shortened(str(shape))}; {expected}.{advice}"
        )

    try:
        matrix = _read_zip(path, check) if _is_zip(path) else _read_npy(path, check)
    except ArrayFileError as error:
        raise InputError(f"{path}: not a usable joint regressor: {error}; {expected}.") from error
    _check_weights(f"{path}: not a usable joint regressor", matrix)
    return JointRegressor(matrix)


def _check_weights(what: str, matrix: Float[np.ndarray, "rows columns"]) -> None:
    if not np.isfinite(matrix).all():
        raise InputError(f"{what}: it holds values that are not finite.")
    largest = max(matrix.max(), -matrix.min())
    if largest > LARGEST_WEIGHT:
        raise InputError(f"{what}: it holds values as large as {largest:g}, expected at most {LARGEST_WEIGHT:g}.")


def find_vertex_map(directory: Path) -> Path | None:
    """Find :data:`VERTEX_MAP` in or beside a directory of body models."""
    places = (directory, directory / SMPLX.name, directory.parent)
    return next((place / VERTEX_MAP for place in places if (place / VERTEX_MAP).is_file()), None)


def carried_over(regressor: JointRegressor, vertex_map: Path) -> JointRegressor:
    """Make of a regressor for SMPL's vertices (6890) one for those of SMPL-X (10475).

    Args:
        regressor: the one for SMPL and SMPL+H.
        vertex_map: a pickle with a sparse matrix ``mtx`` (6890, 2 * 10475), of which the first half of the columns is
            for vertices and the rest for normals, or a matrix ``matrix`` (6890, 10475).

    Raises:
        InputError: the file is not that.
    """
    from amass_joints.pickles import PickleFile

    rows, columns = SMPLH.num_vertices, SMPLX.num_vertices
    expected = f"expected {VERTEX_MAP} with 'mtx' ({rows}, {2 * columns}) or 'matrix' ({rows}, {columns})"
    try:
        with PickleFile(vertex_map) as file:
            names = file.names
            for name, width in (("mtx", 2 * columns), ("matrix", columns)):
                if sparse := file.read_sparse(name):  # as a dense one it would take a gigabyte
                    if sparse.shape == (rows, width):
                        carried = [
                            np.bincount(sparse.columns, row[sparse.rows] * sparse.values, width)[:columns]
                            for row in regressor.matrix
                        ]
                        return _checked_map(vertex_map, np.stack(carried))
                elif name in names:
                    dense = file.read(name)
                    if isinstance(dense, np.ndarray) and dense.shape == (rows, width):
                        return _checked_map(vertex_map, regressor.matrix @ float64(dense))
    except ArrayFileError as error:
        raise InputError(f"{vertex_map}: {error}; {expected}.") from error
    raise InputError(f"{vertex_map}: it holds {listed(names)}; {expected}.")


def _checked_map(vertex_map: Path, carried: Float[np.ndarray, "rows columns"]) -> JointRegressor:
    _check_weights(f"{vertex_map}: the joint regressor, carried over with it, is not usable", carried)
    return JointRegressor(carried)


def _is_zip(path: Path) -> bool:
    try:
        file, _ = open_regular(path)
        with file:
            return file.read(4) == b"PK\x03\x04"
    except (OSError, ArrayFileError):
        return False  # for open_npy to report


_Check: TypeAlias = "Callable[[tuple[int, ...]], None]"
"""Raises where a shape is none of a regressor."""


def _read_npy(path: Path, check: _Check) -> Float[np.ndarray, "rows columns"]:
    with open_npy(path) as reader:
        return _read_dense(reader, check)


def _read_zip(path: Path, check: _Check) -> Float[np.ndarray, "rows columns"]:
    with NpzFile(path) as npz:
        if len(npz.names) == 1:
            return _read_dense(npz.open(npz.names[0]), check)
        if "format" not in npz.names:
            raise ArrayFileError(f"it holds the arrays {listed(npz.names)}, expected one")
        return _read_sparse(npz, check)


def _read_dense(reader: ArrayReader, check: _Check) -> Float[np.ndarray, "rows columns"]:
    reader.check_real()
    check(reader.header.shape)
    return reader.read_float64()


def _read_sparse(npz: NpzFile, check: _Check) -> Float[np.ndarray, "rows columns"]:
    """Read what scipy.sparse.save_npz writes; SciPy itself is not needed for it."""
    layout = _small(npz, "format").tobytes().replace(b"\0", b"").decode("latin-1")  # text, or bytes
    if layout not in LAYOUTS:
        raise ArrayFileError(f"it is a sparse matrix in the format {layout[:40]!r}, expected csr, csc or coo")
    sizes = _small(npz, "shape")
    if sizes.dtype.kind not in "iu" or sizes.ndim != 1:
        raise ArrayFileError(f"it is not a valid sparse matrix (its shape is {sizes.dtype} of shape {sizes.shape})")
    shape = tuple(sizes.tolist())
    check(shape)
    parts = [npz.open(name) for name in ("data", *(("row", "col") if layout == "coo" else ("indptr", "indices")))]
    for part in parts:
        if math.prod(part.header.shape) > math.prod(shape) + 1:
            raise ArrayFileError(f"it is a sparse matrix of shape {shape} with parts of shape {part.header.shape}")
    values, first, second = parts[0].read_float64(), *(part.read() for part in parts[1:])
    try:
        return sparse_matrix(layout, shape, values, first, second).toarray()
    except ArrayFileError as error:
        raise ArrayFileError(f"it is not a valid sparse matrix ({error})") from error


def _small(npz: NpzFile, name: str) -> np.ndarray:
    reader = npz.open(name)
    if math.prod(reader.header.shape) * reader.header.dtype.itemsize > 100:
        raise ArrayFileError(f"array '{name}': its shape is {reader.header.shape}, expected a sparse matrix's {name}")
    return reader.read()
