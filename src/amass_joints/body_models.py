"""Body models: SMPL, SMPL+H, SMPL-X and the DMPLs; finding the files, reading them, checking them.

A body model is what Loper et al. (SMPL, SIGGRAPH Asia 2015), Romero et al. (Embodied Hands, SIGGRAPH Asia 2017) and
Pavlakos et al. (Expressive Body Capture, CVPR 2019) publish: a template mesh; linear shape, pose and soft-tissue (DMPL)
displacements; skinning weights; a regressor of rest joints; a kinematic tree. Files, below one directory::

    smplh/GENDER/model.npz    or smplh/SMPLH_male.pkl, and so on     SMPL+H
    dmpls/GENDER/model.npz                                           soft tissue of SMPL+H and SMPL
    smplx/GENDER/model.npz    or smplx/SMPLX_MALE.npz, and so on     SMPL-X
    smpl/GENDER/model.npz     or smpl/SMPL_MALE.pkl, and so on       SMPL

Names in capitals may stand in the directory itself, too, and ``.pkl`` and ``.npz`` for each other: a file is what is in
it. Arrays are float64, metres, in model space (see :mod:`amass_joints.skeletons`).
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from amass_joints.arrays import ArrayFileError, ArrayHeader, NpzFile, float64, listed, open_regular, shortened
from amass_joints.errors import InputError
from amass_joints.skeletons import SMPL_JOINTS, SMPLH_JOINTS, SMPLX_JOINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxtyping import Float, Int

    from amass_joints.pickles import PickleFile

GENDERS = ("male", "female", "neutral")


@dataclass(frozen=True)
class ModelType:
    """A kind of body model."""

    name: str
    """As in AMASS's ``surface_model_type``, and the folder of its files."""
    title: str
    """As its authors write it."""
    num_vertices: int
    joints: tuple[str, ...]
    """The names of its joints, in the order of ``poses``."""
    where: str
    """Where to get it."""

    @property
    def num_joints(self) -> int:
        """How many joints it has."""
        return len(self.joints)

    @property
    def pose_values(self) -> int:
        """How many values ``poses`` has in a frame."""
        return 3 * len(self.joints)

    def __str__(self) -> str:
        """Give the title."""
        return self.title


SMPL = ModelType("smpl", "SMPL", 6890, SMPL_JOINTS, "SMPL is at https://smpl.is.tue.mpg.de.")
SMPLH = ModelType(
    "smplh",
    "SMPL+H",
    6890,
    SMPLH_JOINTS,
    "SMPL+H (the extended model with 16 betas) is at https://mano.is.tue.mpg.de, the DMPLs are at "
    "https://smpl.is.tue.mpg.de; 'amass-joints demo' writes stand-ins for both.",
)
SMPLX = ModelType(
    "smplx",
    "SMPL-X",
    10475,
    SMPLX_JOINTS,
    "SMPL-X is at https://smpl-x.is.tue.mpg.de; 'amass-joints demo' writes a stand-in.",
)
MODEL_TYPES = (SMPLH, SMPLX, SMPL)

NUM_VERTICES = SMPLH.num_vertices

NUM_DMPLS = 8
"""AMASS was fitted with the first eight DMPL components; a file of them may hold more."""

SHAPE_OF_SMPLX = {400: 300, 20: 10}
"""How many of SMPL-X's ``shapedirs`` are shape; the rest is expression (smplx 0.1.28, body_models.py)."""

MOST_COMPONENTS = 1000
"""Shape coefficients, and DMPLs, that a file may have; SMPL-X has 400, published DMPLs have 300."""

LARGEST_VALUE = 1e4
"""Of anything in a model: metres, metres per coefficient, weights. Real ones have none above 10."""

ENVIRONMENT_VARIABLE = "AMASS_JOINTS_BODY_MODELS"


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
    """Where the files of one body are, or should be."""

    model_type: ModelType
    body: Path
    dmpls: Path | None
    """None where soft tissue is not wanted, or the model has none."""


def find_body_models(given: Path | None, joint_regressor: Path | None) -> Path:
    """Find the directory that holds ``smplh/``, ``smplx/`` and the like.

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
        beside = [] if joint_regressor is None else [joint_regressor.parent / "body_models"]
        candidates, source = [*beside, here, ".." / here], ""
    for candidate in candidates:
        folders = (*(one.name for one in MODEL_TYPES), "dmpls")
        if any((candidate / folder).is_dir() for folder in folders) or _published_names(candidate):
            return candidate
    raise InputError(
        f"body models not found{source}: looked for {' and '.join(str(c / 'smplh') for c in candidates)}, and smplx "
        "and smpl beside it. Pass --body-models DIR, where DIR/smplh/GENDER/model.npz and DIR/dmpls/GENDER/model.npz "
        f"are the models. {SMPLH.where}"
    )


def body_files(directory: Path, *, dmpls: bool) -> dict[tuple[str, str], BodyModelFiles]:
    """Name the files of every body below ``directory``, by model type and gender, whether they are there or not."""
    published = _published_names(directory)
    return {
        (model_type.name, gender): BodyModelFiles(
            model_type,
            body=_body_file(
                directory / model_type.name / gender / "model.npz",
                (*of_type.get((model_type, gender), ()), *published.get((model_type, gender), ())),
            ),
            dmpls=directory / "dmpls" / gender / "model.npz" if dmpls and model_type is not SMPLX else None,
        )
        for model_type in MODEL_TYPES
        for of_type in [_published_names(directory / model_type.name)]
        for gender in GENDERS
    }


def body_model_files(directory: Path, *, dmpls: bool) -> dict[tuple[str, str], BodyModelFiles]:
    """The same, after a look at those that are there: in ``.npz``, headers tell what they are.

    Raises:
        InputError: there is none, or a file is not the model that it should be.
    """
    files = body_files(directory, dmpls=dmpls)
    # SMPL and SMPL+H share their DMPLs.
    model_types = {path: entry.model_type for entry in files.values() for path in (entry.body, entry.dmpls) if path}
    for path, model_type in model_types.items():
        if path.is_file():
            check_model_file(path, model_type)
    if not any(_is_complete(entry) for entry in files.values()):
        _check_places(directory)
        missing = tuple(
            str(path)
            for gender in GENDERS
            for path in (files[SMPLH.name, gender].body, files[SMPLH.name, gender].dmpls)
            if path is not None and not path.is_file()
        )
        only_dmpls = any(entry.body.is_file() for entry in files.values())
        raise InputError(
            f"no complete body model in {directory}: these are not there: {', '.join(missing)}. Put one gender's files "
            f"there{', or pass --no-dmpls to convert without soft tissue' if only_dmpls else ''}; models of SMPL-X "
            f"belong in smplx/, of SMPL in smpl/. {SMPLH.where}"
        )
    return files


def check_model_file(path: Path, model_type: ModelType) -> None:
    """See that a file is what its place says, if it is an ``.npz``, by its headers; pickles tell when they are read.

    Raises:
        InputError: it is broken, or something else.
    """
    if _is_pickle(path):
        return
    with _open_model(path, model_type) as model:
        if path.parent.parent.name == "dmpls":
            _check_dmpl_shape(path, model, model_type.num_vertices)
        else:
            _check_is(model_type, path, _check_shapes(path, model))


def _check_places(directory: Path) -> None:
    """See whether a file that its name says is a model lies in the folder of another kind."""
    folders = {one.name: one for one in MODEL_TYPES}
    for folder in (*folders, "dmpls"):
        for (model_type, _), paths in _published_names(directory / folder).items():
            if folders.get(folder) is not model_type:
                raise InputError(
                    f"{paths[0]}: an {model_type} model by its name, which belongs in {model_type.name}/; expected "
                    f"{folders.get(folder, 'the DMPLs')} there."
                )


def load_body_model(
    body: str | os.PathLike[str],
    dmpls: str | os.PathLike[str] | None = None,
    *,
    expected: ModelType | None = None,
) -> BodyModel:
    """Read a body model, with soft tissue where ``dmpls`` is given.

    Args:
        body: an ``.npz``, or a pickle as its authors publish it, which is read without running anything in it. It has
            ``v_template`` (vertices, 3), ``shapedirs`` (vertices, 3, betas), ``posedirs`` (vertices, 3, 9 * (joints -
            1)), ``J_regressor`` (joints, vertices), ``weights`` (vertices, joints) and ``kintree_table`` (2, joints).
            Of SMPL-X's shapedirs those that are expression are left out.
        dmpls: a DMPL ``model.npz`` with ``eigvec`` (vertices, 3, 8 or more); the first eight are used.
        expected: the kind of model that it must be; None: any.

    Raises:
        InputError: a file is missing, broken, or not the model that it should be.
    """
    body = Path(body)
    with _open_model(body, expected or SMPLH) as model:
        shapes = _check_shapes(body, model)
        if expected is not None:
            _check_is(expected, body, shapes)
        v_template = _read_finite(body, model, "v_template")
        arrays = {name: _read_finite(body, model, name) for name in ("shapedirs", "posedirs", "J_regressor", "weights")}
        parents = _parents(body, model)
    if _type_of(shapes) is SMPLX:
        arrays["shapedirs"] = arrays["shapedirs"][:, :, : SHAPE_OF_SMPLX.get(shapes["shapedirs"][2])]
    if dmpls is None:
        dmpldirs = np.empty((len(v_template), 3, 0))
    else:
        dmpls = Path(dmpls)
        with _open_model(dmpls) as model:
            _check_dmpl_shape(dmpls, model, len(v_template))
            dmpldirs = _read_finite(dmpls, model, "eigvec")[:, :, :NUM_DMPLS]
    return BodyModel(v_template=v_template, dmpldirs=dmpldirs, parents=parents, **arrays)


_BODY_ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")


# ------------------------------------------------------------------------------------------- names of files


def _body_file(usual: Path, others: Iterable[Path]) -> Path:
    """Give the file of a body: the first that exists of those it may have; of none, the usual one."""
    return next((path for path in (usual, usual.with_suffix(".pkl"), *others) if path.is_file()), usual)


_PUBLISHED_NAMES = re.compile(
    r"(?:(?P<type>smpl|smplh|smplx)_(?P<gender>male|female|neutral)|basicmodel_(?P<letter>m|f|neutral)_lbs.*)\.(npz|pkl)",
    re.IGNORECASE,
)


def _published_names(directory: Path) -> dict[tuple[ModelType, str], list[Path]]:
    """Find files with the names that their authors give them, ``.npz`` first.

    Such as ``SMPLX_MALE.npz``, ``SMPLH_male.pkl`` and ``basicModel_f_lbs_10_207_0_v1.0.0.pkl``.
    """
    types = {one.name: one for one in MODEL_TYPES}
    found: dict[tuple[ModelType, str], list[Path]] = {}
    try:
        names = sorted(os.listdir(directory), key=lambda name: (name.lower().endswith(".pkl"), name))
    except OSError:
        return {}
    for name in names:
        if match := _PUBLISHED_NAMES.fullmatch(name):
            model_type = types[(match["type"] or "smpl").lower()]
            gender = (match["gender"] or {"m": "male", "f": "female"}.get(match["letter"].lower(), "neutral")).lower()
            found.setdefault((model_type, gender), []).append(directory / name)
    return found


# ------------------------------------------------------------------------------------------ what is in them


class _Pickled:
    """The arrays of a pickle, with the face of :class:`NpzFile`."""

    def __init__(self, file: PickleFile) -> None:
        self._file = file
        self._read: dict[str, np.ndarray] = {}
        self.names = file.names

    def header(self, name: str) -> ArrayHeader:
        array = self.read(name)
        return ArrayHeader(array.shape, array.dtype, fortran_order=False)

    def read(self, name: str) -> np.ndarray:
        if name not in self._read:
            array = self._file.read(name)
            if not isinstance(array, np.ndarray):
                raise ArrayFileError(f"'{name}': expected an array, found {type(array).__name__}")
            self._read[name] = array
        return self._read[name]

    def read_float64(self, name: str) -> Float[np.ndarray, "..."]:
        return float64(self.read(name))


_Model: TypeAlias = "NpzFile | _Pickled"


@contextmanager
def _open_model(path: Path, model_type: ModelType = SMPLH) -> Iterator[_Model]:
    try:
        if _is_pickle(path):
            from amass_joints.pickles import PickleFile

            with PickleFile(path) as file:
                yield _Pickled(file)
        else:
            with NpzFile(path) as npz:
                yield npz
    except ArrayFileError as error:
        raise InputError(
            f"{path}: not a usable body model: {error}. Put the published file there. {model_type.where}"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory to read it. The published models need 300 MB.") from error


def _is_pickle(path: Path) -> bool:
    """Whether it is one by its name, and is no ``.npz`` under a wrong one."""
    try:
        file, _ = open_regular(path)
        with file:
            return path.suffix.lower() == ".pkl" and file.read(4) != b"PK\3\4"
    except (OSError, ArrayFileError):
        return False  # for NpzFile to report


def _is_complete(files: BodyModelFiles) -> bool:
    return files.body.is_file() and (files.model_type is not SMPLH or files.dmpls is None or files.dmpls.is_file())


def _check_shapes(path: Path, model: _Model) -> dict[str, tuple[int, ...]]:
    """See that the arrays of a body fit each other, and give their shapes."""
    absent = tuple(name for name in _BODY_ARRAYS if name not in model.names)
    if absent:
        kind = "a DMPL file, which belongs in dmpls/" if "eigvec" in model.names else "not a body model"
        raise InputError(
            f"{path}: {kind}: expected the arrays {listed(_BODY_ARRAYS)}; it lacks {listed(absent)} "
            f"(it has {listed(model.names)}). {SMPLH.where}"
        )
    shapes = {name: model.header(name).shape for name in _BODY_ARRAYS}
    vertices, joints = shapes["v_template"][:1], shapes["kintree_table"][1:2]
    expected = {
        "v_template": (*vertices, 3),
        "shapedirs": (*vertices, 3, *shapes["shapedirs"][2:3]),
        "posedirs": (*vertices, 3, *(9 * (n - 1) for n in joints)),
        "J_regressor": (*joints, *vertices),
        "weights": (*vertices, *joints),
        "kintree_table": (2, *joints),
    }
    if shapes["shapedirs"][2:] > (MOST_COMPONENTS,):
        raise InputError(
            f"{path}: its shapedirs has the shape {shapes['shapedirs']}, expected at most {MOST_COMPONENTS} betas. "
            f"{SMPLH.where}"
        )
    for name, shape in expected.items():
        dimensions = 3 if name in ("shapedirs", "posedirs") else 2
        if shapes[name] != shape or len(shape) != dimensions:
            raise InputError(
                f"{path}: its {name} has the shape {shapes[name]}, expected {shape} to match v_template "
                f"{shapes['v_template']} and kintree_table {shapes['kintree_table']}. {SMPLH.where}"
            )
    return shapes


def _type_of(shapes: dict[str, tuple[int, ...]]) -> ModelType | None:
    size = shapes["v_template"][0], shapes["kintree_table"][1]
    return next((one for one in MODEL_TYPES if (one.num_vertices, one.num_joints) == size), None)


def _check_is(expected: ModelType, path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    found = _type_of(shapes)
    if found is expected:
        return
    size = f"{shapes['v_template'][0]} vertices and {shapes['kintree_table'][1]} joints"
    what = f"a model with {size}" if found is None else f"an {found} model ({size}), which belongs in {found.name}/"
    raise InputError(
        f"{path}: {what}; expected {expected} with {expected.num_vertices} and {expected.num_joints}. {expected.where}"
    )


def _check_dmpl_shape(path: Path, model: _Model, vertices: int) -> None:
    if "eigvec" not in model.names:
        kind = "not a DMPL file"
        if all(name in model.names for name in _BODY_ARRAYS):
            model_type = _type_of(_check_shapes(path, model))
            kind = f"an {model_type} model, which belongs in {model_type.name}/" if model_type else "a body model"
        raise InputError(
            f"{path}: {kind}: expected the array eigvec (it has {listed(model.names)}). Put the DMPLs there, or pass "
            f"--no-dmpls to convert without soft tissue. {SMPLH.where}"
        )
    shape = model.header("eigvec").shape
    if len(shape) != 3 or shape[:2] != (vertices, 3) or not NUM_DMPLS <= shape[2] <= MOST_COMPONENTS:
        raise InputError(
            f"{path}: its eigvec has the shape {shape}, expected ({vertices}, 3, {NUM_DMPLS} to {MOST_COMPONENTS}). "
            f"{SMPLH.where}"
        )


def _read_finite(path: Path, model: _Model, name: str) -> Float[np.ndarray, "..."]:
    array = model.read_float64(name)
    largest = max(array.max(initial=0), -array.min(initial=0))  # not finite, where a value is none
    if not largest <= LARGEST_VALUE:
        what = f"as large as {largest:g}, expected at most {LARGEST_VALUE:g}" if np.isfinite(largest) else "not finite"
        raise InputError(f"{path}: its {name} holds values that are {what}. Download the file again.")
    return array


def _parents(path: Path, model: _Model) -> Int[np.ndarray, " joints"]:
    """Read the tree; the root's parent is -1, or 2**32 - 1 where -1 was stored in 32 unsigned bits."""
    dtype = model.header("kintree_table").dtype
    if dtype.kind not in "iu":
        raise ArrayFileError(f"array 'kintree_table': expected integers, found {dtype}")
    kintree_table = model.read("kintree_table")
    parents = kintree_table[0].astype(np.int64)
    if parents[0] == 2**32 - 1:
        parents[0] = -1
    if not _is_tree(parents):
        found = shortened(str(kintree_table[0].tolist()), 500)
        raise InputError(f"{path}: its kintree_table is not a tree with root 0: {found}.")
    return parents


def _is_tree(parents: Int[np.ndarray, " joints"]) -> bool:
    if parents[0] != -1 or (parents[1:] < 0).any() or (parents[1:] >= len(parents)).any():
        return False
    ancestors = np.maximum(parents, 0)  # the root is its own
    for _ in range(len(parents).bit_length()):  # as many steps at once, each time twice as many
        ancestors = ancestors[ancestors]
    return not ancestors.any()
