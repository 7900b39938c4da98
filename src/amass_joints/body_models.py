"""SMPL+H body models and DMPLs: finding the files, reading them, checking them.

A body model is what Loper et al. (SMPL, SIGGRAPH Asia 2015) and Romero et al. (Embodied Hands, SIGGRAPH
Asia 2017) publish: a template mesh; linear shape, pose and soft-tissue (DMPL) displacements; skinning
weights; a regressor of rest joints; a kinematic tree. Files, below one directory::

    smplh/GENDER/model.npz    the body
    dmpls/GENDER/model.npz    its soft tissue

Arrays are float64, metres, in model space (see :mod:`amass_joints.skeletons`).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.arrays import ArrayFileError, NpzFile, listed
from amass_joints.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

if TYPE_CHECKING:
    from collections.abc import Iterator

GENDERS = ("male", "female", "neutral")

NUM_VERTICES = 6890
NUM_JOINTS = 52
"""The size of SMPL+H."""

NUM_DMPLS = 8
"""AMASS was fitted with the first eight DMPL components; a file of them may hold more."""

ENVIRONMENT_VARIABLE = "AMASS_JOINTS_BODY_MODELS"

WHERE_TO_GET_THEM = (
    "SMPL+H (the extended model with 16 betas) is at https://mano.is.tue.mpg.de, the DMPLs are at "
    "https://smpl.is.tue.mpg.de; 'amass-joints demo' writes stand-ins for both."
)


@dataclass(frozen=True)
class BodyModel:
    """A body for linear blend skinning: template, blend shapes, skinning weights, kinematic tree."""

    v_template: Float[np.ndarray, "vertices 3"]
    """Rest mesh of the mean shape, metres."""
    shapedirs: Float[np.ndarray, "vertices 3 betas"]
    """Displacement per unit of each shape coefficient, metres."""
    posedirs: Float[np.ndarray, "vertices 3 pose_features"]
    """Displacement per pose feature: 9 for each joint but the root, vec(R - I) of its local rotation, row-major."""
    dmpldirs: Float[np.ndarray, "vertices 3 dmpls"]
    """Displacement per unit of each soft-tissue coefficient, metres; (vertices, 3, 0) without soft tissue."""
    J_regressor: Float[np.ndarray, "joints vertices"]
    """Rest joints as linear combinations of the rest mesh's vertices."""
    weights: Float[np.ndarray, "vertices joints"]
    """Skinning weights."""
    parents: Int[np.ndarray, " joints"]
    """The kinematic tree: each joint's parent; joint 0 is the root and has -1."""


@dataclass(frozen=True)
class BodyModelFiles:
    """Where one gender's files are, or should be."""

    body: Path
    dmpls: Path | None
    """None where soft tissue is not wanted."""

    def paths(self) -> list[Path]:
        """List the files that this body is read from."""
        return [self.body] if self.dmpls is None else [self.body, self.dmpls]

    def missing(self) -> list[Path]:
        """List those of them that are not there."""
        return [path for path in self.paths() if not path.is_file()]


def find_body_models(given: Path | None, joint_regressor: Path) -> Path:
    """Find the directory that holds ``smplh/`` and ``dmpls/``.

    It is ``given``, or else the environment variable ``AMASS_JOINTS_BODY_MODELS``, or else the first that exists of:
    ``body_models/`` beside the joint regressor, ``support_data/body_models`` here and one folder up.

    Raises:
        InputError: there is no such directory.
    """
    if given is not None:
        candidates, source = [given], " (--body-models)"
    elif environment := os.environ.get(ENVIRONMENT_VARIABLE):
        candidates, source = [Path(environment)], f" (${ENVIRONMENT_VARIABLE})"
    else:
        here = Path("support_data", "body_models")
        candidates, source = [joint_regressor.parent / "body_models", here, ".." / here], ""
    for candidate in candidates:
        if (candidate / "smplh").is_dir():
            return candidate
    raise InputError(
        f"body models not found{source}: looked for {' and '.join(str(c / 'smplh') for c in candidates)}. "
        "Pass --body-models DIR, where DIR/smplh/GENDER/model.npz and DIR/dmpls/GENDER/model.npz are the models. "
        f"{WHERE_TO_GET_THEM}"
    )


def body_model_files(directory: Path, *, dmpls: bool) -> dict[str, BodyModelFiles]:
    """Name the files of every gender below ``directory``, and check those that exist by their headers alone.

    Raises:
        InputError: no gender has all its files, or a file is not the model that it should be.
    """
    files = {
        gender: BodyModelFiles(
            body=directory / "smplh" / gender / "model.npz",
            dmpls=directory / "dmpls" / gender / "model.npz" if dmpls else None,
        )
        for gender in GENDERS
    }
    missing = {gender: entry.missing() for gender, entry in files.items()}
    if all(missing.values()):
        only_dmpls = any(entry.body.is_file() for entry in files.values())
        raise InputError(
            f"no complete body model in {directory}: these are not there: "
            f"{listed(tuple(str(path) for paths in missing.values() for path in paths))}. Put one gender's files there"
            f"{', or pass --no-dmpls to convert without soft tissue' if only_dmpls else ''}. {WHERE_TO_GET_THEM}"
        )
    for entry in files.values():
        if entry.body.is_file():
            with _open_model(entry.body) as npz:
                _check_headers(entry.body, npz)
                _check_is_smplh(entry.body, npz)
        if entry.dmpls is not None and entry.dmpls.is_file():
            with _open_model(entry.dmpls) as npz:
                _check_dmpl_header(entry.dmpls, npz, NUM_VERTICES)
    return files


def load_body_model(body: str | os.PathLike[str], dmpls: str | os.PathLike[str] | None = None) -> BodyModel:
    """Read a body model, with soft tissue where ``dmpls`` is given.

    Args:
        body: an SMPL+H ``model.npz`` with ``v_template`` (vertices, 3), ``shapedirs`` (vertices, 3, betas),
            ``posedirs`` (vertices, 3, 9 * (joints - 1)), ``J_regressor`` (joints, vertices), ``weights`` (vertices,
            joints) and ``kintree_table`` (2, joints).
        dmpls: a DMPL ``model.npz`` with ``eigvec`` (vertices, 3, 8 or more); the first eight are used.

    Raises:
        InputError: a file is missing, broken, or not the model that it should be.
    """
    body = Path(body)
    with _open_model(body) as npz:
        _check_headers(body, npz)
        v_template = _read_finite(body, npz, "v_template")
        arrays = {name: _read_finite(body, npz, name) for name in ("shapedirs", "posedirs", "J_regressor", "weights")}
        parents = _parents(body, npz.read("kintree_table"))
    if dmpls is None:
        dmpldirs = np.empty((len(v_template), 3, 0))
    else:
        dmpls = Path(dmpls)
        with _open_model(dmpls) as npz:
            _check_dmpl_header(dmpls, npz, len(v_template))
            dmpldirs = _read_finite(dmpls, npz, "eigvec")[:, :, :NUM_DMPLS]
    return BodyModel(v_template=v_template, dmpldirs=dmpldirs, parents=parents, **arrays)


_BODY_ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")


@contextmanager
def _open_model(path: Path) -> Iterator[NpzFile]:
    try:
        with NpzFile(path) as npz:
            yield npz
    except ArrayFileError as error:
        raise InputError(
            f"{path}: not a usable body model: {error}. Put the published file there. {WHERE_TO_GET_THEM}"
        ) from error


def _check_headers(path: Path, npz: NpzFile) -> None:
    absent = tuple(name for name in _BODY_ARRAYS if name not in npz.names)
    if absent:
        kind = "a DMPL file, which belongs in dmpls/" if "eigvec" in npz.names else "not an SMPL+H model"
        raise InputError(
            f"{path}: {kind}: expected the arrays {listed(_BODY_ARRAYS)}; it lacks {listed(absent)} "
            f"(it has {listed(npz.names)}). {WHERE_TO_GET_THEM}"
        )
    shapes = {name: npz.header(name).shape for name in _BODY_ARRAYS}
    vertices, joints = shapes["v_template"][:1], shapes["kintree_table"][1:2]
    expected = {
        "v_template": (*vertices, 3),
        "shapedirs": (*vertices, 3, *shapes["shapedirs"][2:3]),
        "posedirs": (*vertices, 3, *(9 * (n - 1) for n in joints)),
        "J_regressor": (*joints, *vertices),
        "weights": (*vertices, *joints),
        "kintree_table": (2, *joints),
    }
    for name, shape in expected.items():
        dimensions = 3 if name in ("shapedirs", "posedirs") else 2
        if shapes[name] != shape or len(shape) != dimensions:
            raise InputError(
                f"{path}: its {name} has the shape {shapes[name]}, expected {shape} to match v_template "
                f"{shapes['v_template']} and kintree_table {shapes['kintree_table']}. {WHERE_TO_GET_THEM}"
            )


def _check_is_smplh(path: Path, npz: NpzFile) -> None:
    vertices, joints = npz.header("v_template").shape[0], npz.header("kintree_table").shape[1]
    if (vertices, joints) != (NUM_VERTICES, NUM_JOINTS):
        raise InputError(
            f"{path}: a model with {vertices} vertices and {joints} joints, expected SMPL+H with {NUM_VERTICES} and "
            f"{NUM_JOINTS}. {WHERE_TO_GET_THEM}"
        )


def _check_dmpl_header(path: Path, npz: NpzFile, vertices: int) -> None:
    if "eigvec" not in npz.names:
        kind = "a body model, which belongs in smplh/" if "v_template" in npz.names else "not a DMPL file"
        raise InputError(
            f"{path}: {kind}: expected the array eigvec (it has {listed(npz.names)}). Put the DMPLs there, or pass "
            f"--no-dmpls to convert without soft tissue. {WHERE_TO_GET_THEM}"
        )
    shape = npz.header("eigvec").shape
    if len(shape) != 3 or shape[:2] != (vertices, 3) or shape[2] < NUM_DMPLS:
        raise InputError(
            f"{path}: its eigvec has the shape {shape}, expected ({vertices}, 3, {NUM_DMPLS} or more). "
            f"{WHERE_TO_GET_THEM}"
        )


def _read_finite(path: Path, npz: NpzFile, name: str) -> Float[np.ndarray, "..."]:
    array = npz.read_float64(name)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: its {name} holds values that are not finite. Download the file again.")
    return array


def _parents(path: Path, kintree_table: np.ndarray) -> Int[np.ndarray, " joints"]:
    """Read the tree; the root's parent is -1, or 2**32 - 1 where -1 was stored in 32 unsigned bits."""
    if kintree_table.dtype.kind not in "iu":
        raise ArrayFileError(f"array 'kintree_table': expected integers, found {kintree_table.dtype}")
    parents = kintree_table[0].astype(np.int64)
    if parents[0] == 2**32 - 1:
        parents[0] = -1
    if not _is_tree(parents):
        raise InputError(f"{path}: its kintree_table is not a tree with root 0: {kintree_table[0].tolist()}.")
    return parents


def _is_tree(parents: Int[np.ndarray, " joints"]) -> bool:
    if parents[0] != -1 or (parents[1:] < 0).any() or (parents[1:] >= len(parents)).any():
        return False
    reached = np.arange(len(parents))
    for _ in parents:
        reached = np.where(reached > 0, parents[reached], 0)
    return not reached.any()
