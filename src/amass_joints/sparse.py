"""Sparse matrices as SciPy keeps them, checked, and made dense without SciPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amass_joints.arrays import ArrayFileError

LAYOUTS = ("csr", "csc", "coo")


@dataclass(frozen=True)
class SparseMatrix:
    """The entries of a sparse matrix. Those named twice add up, as they do in SciPy."""

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def toarray(self) -> np.ndarray:
        """Give the dense matrix."""
        dense = np.zeros(self.shape, self.values.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # who reads it sees what is not finite
            np.add.at(dense, (self.rows, self.columns), self.values)
        return dense


def sparse_matrix(
    layout: str, shape: tuple[int, ...], values: np.ndarray, first: np.ndarray, second: np.ndarray
) -> SparseMatrix:
    """Make a matrix of what SciPy keeps of it.

    Args:
        layout: one of :data:`LAYOUTS`.
        shape: two sizes, not negative.
        values: of the entries, a vector of real numbers.
        first: ``indptr`` of csr and csc; the rows of coo; a vector of integers.
        second: ``indices`` of csr and csc; the columns of coo; the same.

    Raises:
        ArrayFileError: they are not that, or do not fit each other.
    """
    if len(shape) != 2:
        raise ArrayFileError(f"it is a sparse matrix of shape {shape}, expected two axes")
    for vector, kinds in ((values, "biuf"), (first, "iu"), (second, "iu")):
        if vector.ndim != 1 or vector.dtype.kind not in kinds:
            raise ArrayFileError(
                f"it has a part that is {vector.dtype} of shape {vector.shape}, expected a vector of numbers"
            )
    rows, columns = first.astype(np.int64), second.astype(np.int64)
    if layout in ("csr", "csc"):
        starts, minor = rows, columns
        count = shape[0] if layout == "csr" else shape[1]
        # Compared, not subtracted: differences of hostile ones overflow.
        in_order = len(starts) == count + 1 and not (starts[1:] < starts[:-1]).any()
        if not in_order or starts[0] != 0 or starts[-1] > len(minor):
            raise ArrayFileError(f"it is a sparse matrix of shape {shape} whose indptr does not fit")
        major = np.repeat(np.arange(count), np.diff(starts))
        minor, values = minor[: len(major)], values[: len(major)]
        rows, columns = (major, minor) if layout == "csr" else (minor, major)
    for axis, indices in enumerate((rows, columns)):
        if len(indices) != len(values) or indices.min(initial=0) < 0 or indices.max(initial=-1) >= shape[axis]:
            raise ArrayFileError(f"it is a sparse matrix of shape {shape} with entries outside of it")
    return SparseMatrix((shape[0], shape[1]), rows, columns, values)
