"""Joint regressors: matrices that give joints as linear combinations of a posed mesh's vertices."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.arrays import ArrayFileError, NpzFile, float64, listed, read_npy
from amass_joints.body_models import MODEL_TYPES, SMPLH, SMPLX
from amass_joints.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class JointRegressor:
    """Joints as linear combinations of vertices: ``joints = matrix @ vertices``."""

    matrix: Float[np.ndarray, "regressed_joints vertices"]
    """One row a joint; dimensionless. Rows need not sum to 1, and those of real files do not quite."""


VERTEX_MAP = "smplx2smpl_deftrafo_setup.pkl"
"""The file that gives SMPL's vertices as linear combinations of SMPL-X's (https://github.com/vchoutas/smplx)."""


def load_regressor(path: str | os.PathLike[str], num_vertices: int | None = None) -> JointRegressor:
    """Read a joint regressor.

    Args:
        path: an ``.npy`` file, or an ``.npz`` with one array in it: real numbers, shape (any, ``num_vertices``), C or
            Fortran order; or a sparse matrix that ``scipy.sparse.save_npz`` wrote (CSR, CSC or COO).
        num_vertices: how many vertices the body model's mesh has; None: as many as one of the body models.

    Raises:
        InputError: the file is missing, broken, or not such a matrix.
    """
    path = Path(path)
    widths = sorted({one.num_vertices for one in MODEL_TYPES}) if num_vertices is None else [num_vertices]
    expected = f"expected a matrix of shape (joints, {' or '.join(map(str, widths))}), saved with np.save()"
    try:
        matrix = float64(_read_npz(path) if _is_zip(path) else read_npy(path))
    except ArrayFileError as error:
        raise InputError(f"{path}: not a usable joint regressor: {error}; {expected}.") from error
    if matrix.ndim != 2 or matrix.shape[1] not in widths or not len(matrix):
        transposed = matrix.ndim == 2 and matrix.shape[0] in widths
        raise InputError(
            f"{path}: not a usable joint regressor: its shape is {matrix.shape}; {expected}."
            f"{' It is transposed: save its .T instead.' if transposed else ''}"
        )
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: not a usable joint regressor: it holds values that are not finite.")
    return JointRegressor(matrix)


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
                        carried = np.zeros((width, len(regressor.matrix)))
                        np.add.at(carried, sparse.columns, (regressor.matrix[:, sparse.rows] * sparse.values).T)
                        return JointRegressor(np.ascontiguousarray(carried[:columns].T))
                elif name in names:
                    dense = file.read(name)
                    if isinstance(dense, np.ndarray) and dense.shape == (rows, width):
                        return JointRegressor(regressor.matrix @ float64(dense[:, :columns]))
    except ArrayFileError as error:
        raise InputError(f"{vertex_map}: {error}; {expected}.") from error
    raise InputError(f"{vertex_map}: it holds {listed(names)}; {expected}.")


def _is_zip(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False  # for read_npy to report


def _read_npz(path: Path) -> np.ndarray:
    with NpzFile(path) as npz:
        if len(npz.names) == 1:
            return npz.read(npz.names[0])
        if "format" not in npz.names:
            raise ArrayFileError(f"it holds the arrays {listed(npz.names)}, expected one")
        return _read_sparse(npz)


def _read_sparse(npz: NpzFile) -> Float[np.ndarray, "rows columns"]:
    """Read what scipy.sparse.save_npz writes; SciPy itself is not needed for it."""
    layout = str(npz.read("format").astype(str))
    values = npz.read_float64("data")
    if layout == "coo":
        row, column = npz.read("row"), npz.read("col")
    elif layout in ("csr", "csc"):
        indptr, indices = npz.read("indptr"), npz.read("indices")
        major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        row, column = (major, indices) if layout == "csr" else (indices, major)
    else:
        raise ArrayFileError(f"it is a sparse matrix in the format '{layout}', expected csr, csc or coo")
    try:
        dense = np.zeros(npz.read("shape"))
        if row.min(initial=0) < 0 or column.min(initial=0) < 0:
            raise IndexError("negative indices")
        np.add.at(dense, (row, column), values)  # entries named twice add up, as they do in SciPy
    except (IndexError, TypeError, ValueError, MemoryError) as error:
        raise ArrayFileError(f"it is not a valid sparse matrix ({error})") from error
    return dense
