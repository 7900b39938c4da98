"""The stand-in for SMPL-X: that for SMPL+H with more skin and a face, and the map from one's vertices to the other's.

How it differs from the body of SMPL+H that it is made from:

1. a vertex in the centre of each of 3,585 faces, those of the head and the largest others, makes 10,475 of 6,890. The
   new ones come first, so that nobody takes SMPL+H's vertices for SMPL-X's by their numbers;
2. whatever belongs to a vertex is, in a new one, the mean of the face's corners;
3. jaw and eyes take their share of the skin that followed the head, and shape blend shapes are ten, with ten of
   expression behind them, as in SMPL-X's older and smaller files (the newer have 300 and 100).

Arrays are float32 where that halves a large file.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.body_models import NUM_VERTICES, SMPLX
from amass_joints.demo.anatomy import EXPRESSIONS, FACE
from amass_joints.demo.body import (
    BODY_CREASE,
    MIRROR_FEATURES,
    StandInBody,
    barycentric,
    bump_field,
    crease,
    ring_around,
)
from amass_joints.demo.sculpture import MIRROR, sculpt
from amass_joints.skeletons import NUM_BODY_JOINTS, SMPLH_JOINTS, SMPLX_JOINTS, SMPLX_PARENTS

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NUM_SHAPE = 10
"""How many coefficients of shape the stand-in has; as many of expression follow."""

NUM_NEW = SMPLX.num_vertices - NUM_VERTICES
"""How many vertices SMPL-X has that SMPL+H has not: here, the first."""

FACE_JOINTS = tuple(name for name in SMPLX_JOINTS if name not in SMPLH_JOINTS)

_OF_SMPLH = np.array([SMPLX_JOINTS.index(name) for name in SMPLH_JOINTS])
"""For each joint of SMPL+H, which of SMPL-X's it is."""


def make_smplx_body(body: StandInBody) -> StandInBody:
    """Make the stand-in for SMPL-X of the one for SMPL+H, of the same person."""
    points = _with_centres(sculpt().vertices)
    shares = {name: _share(points, name) for name in FACE_JOINTS}
    expression = np.stack([bump_field(points, bumps) for bumps in EXPRESSIONS], axis=2)
    shape = _with_centres(body.shapedirs[:, :, :NUM_SHAPE])
    regressor = np.zeros((len(SMPLX_JOINTS), SMPLX.num_vertices))
    regressor[_OF_SMPLH, NUM_NEW:] = body.J_regressor
    for name in FACE_JOINTS:
        regressor[SMPLX_JOINTS.index(name), NUM_NEW:] = _regressor_row(name)
    return replace(
        body,
        v_template=_with_centres(body.v_template),
        shapedirs=np.concatenate([shape, expression], axis=2).astype(np.float32),
        posedirs=_pose_blend_shapes(body.posedirs, shares),
        J_regressor=regressor,
        weights=_weights(body.weights, shares),
        kintree_table=np.array([[2**32 - 1, *SMPLX_PARENTS[1:]], range(len(SMPLX_JOINTS))], dtype=np.int64),
        f=_faces().astype(np.uint32),
        dmpl_eigvec=np.empty((SMPLX.num_vertices, 3, 0)),
    )


def with_face(
    poses: Float[np.ndarray, "frames 156"], frame_rate: float
) -> dict[str, Float[np.ndarray, "frames values"]]:
    """Make poses of SMPL+H such of SMPL-X, with somebody who talks and looks about; in parts, as AMASS names them.

    Args:
        poses: rotation vectors, radians.
        frame_rate: hertz.
    """
    time = np.arange(len(poses)) / frame_rate
    jaw, eye = np.zeros((2, len(poses), 3))
    jaw[:, 0] = 0.06 * (1 - np.cos(2 * np.pi * 1.3 * time)) * (1 + np.sin(2 * np.pi * 0.31 * time))
    eye[:, 0], eye[:, 1] = 0.05 * np.sin(2 * np.pi * 0.37 * time), 0.25 * np.sin(2 * np.pi * 0.23 * time)
    body = 3 * NUM_BODY_JOINTS
    return {
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:body],
        "pose_jaw": jaw,
        "pose_eye": np.hstack([eye, eye]),
        "pose_hand": poses[:, body:],
    }


def pickled_vertex_map() -> bytes:
    """Make what is in ``smplx2smpl_deftrafo_setup.pkl``: a dict with a matrix ``mtx`` (6890, 2 * 10475).

    The first half of its columns is for SMPL-X's vertices, the rest for their normals. It is a sparse matrix of
    SciPy's, which need not be installed to name its class.
    """
    state = {
        "_shape": (NUM_VERTICES, 2 * SMPLX.num_vertices),
        "maxprint": 50,
        "indptr": np.arange(NUM_VERTICES + 1, dtype=np.int32),
        "indices": np.arange(NUM_NEW, SMPLX.num_vertices, dtype=np.int32),
        "data": np.ones(NUM_VERTICES),
    }

    def program(value: object) -> bytes:
        without_ends = pickle.dumps(value, protocol=2)[2:-1]  # without the protocol at the beginning, and the stop
        return without_ends.replace(b"cnumpy._core.", b"cnumpy.core.")  # the name that all of NumPy's versions know

    return b"".join(
        (
            *(pickle.PROTO, b"\x02", pickle.EMPTY_DICT, program("mtx")),
            *(pickle.GLOBAL, b"scipy.sparse._csr\ncsr_matrix\n", pickle.EMPTY_TUPLE, pickle.NEWOBJ),
            *(program(state), pickle.BUILD, pickle.SETITEM, pickle.STOP),
        )
    )


# --- More skin ---------------------------------------------------------------------------------------------


@cache
def _split_and_whole() -> tuple[Int[np.ndarray, "split 3"], Int[np.ndarray, "whole 3"]]:
    """The faces that get a vertex in their centre, and the others; by the vertices of SMPL+H."""
    sculpture = sculpt()
    a, b, c = sculpture.vertices[sculpture.faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    of_head = sculpture.weights[:, SMPLH_JOINTS.index("head")][sculpture.faces].mean(axis=1) > 0.5
    # Rounded, so that a face and its mirror image have one area.
    order = np.lexsort([-np.round(area, 9), ~of_head])
    return sculpture.faces[order[:NUM_NEW]], sculpture.faces[order[NUM_NEW:]]


def _with_centres(values: Float[np.ndarray, "6890 ..."]) -> Float[np.ndarray, "10475 ..."]:
    """Values of SMPL-X's vertices, from those of SMPL+H's."""
    a, b, c = _split_and_whole()[0].T
    return np.concatenate([(values[a] + values[b] + values[c]) / 3, values])


def _faces() -> Int[np.ndarray, "faces 3"]:
    split, whole = (faces + NUM_NEW for faces in _split_and_whole())
    centres = np.arange(NUM_NEW)
    fans = [np.stack([split[:, n], split[:, (n + 1) % 3], centres], axis=1) for n in range(3)]
    return np.concatenate([whole, *fans])


# --- The face ----------------------------------------------------------------------------------------------


def _as_left(name: str) -> str:
    return name.replace("right_", "left_")


def _share(points: Float[np.ndarray, "vertices 3"], name: str) -> Float[np.ndarray, " vertices"]:
    """What a joint of the face takes of each vertex's weight on the head: most in its middle, nothing far away."""
    joint, side = FACE[_as_left(name)], MIRROR if name.startswith("right_") else np.ones(3)
    distance = np.linalg.norm(points - side * joint.skin, axis=1)
    share: Float[np.ndarray, " vertices"] = joint.share * np.maximum(1 - (distance / joint.reach) ** 2, 0) ** 2
    return share


def _regressor_row(name: str) -> Float[np.ndarray, " 6890"]:
    """The row of ``J_regressor``, on SMPL+H's vertices: fitted to the sculpture."""
    sculpture, place = sculpt(), np.array(FACE[_as_left(name)].place)
    ring = ring_around(sculpture, place, SMPLH_JOINTS.index("head"), sectors=6)
    row = np.zeros(NUM_VERTICES)
    row[sculpture.mirror[ring] if name.startswith("right_") else ring] = barycentric(sculpture.vertices[ring], place)
    return row


def _weights(
    weights: Float[np.ndarray, "6890 52"], shares: dict[str, Float[np.ndarray, " vertices"]]
) -> Float[np.ndarray, "vertices 55"]:
    """Skinning weights: the head's, shared with the face."""
    shared = np.zeros((SMPLX.num_vertices, len(SMPLX_JOINTS)))
    shared[:, _OF_SMPLH] = _with_centres(weights)
    head = SMPLX_JOINTS.index("head")
    for name, share in shares.items():
        shared[:, SMPLX_JOINTS.index(name)] = share * shared[:, head]
        shared[:, head] *= 1 - share
    return shared


def _pose_blend_shapes(
    posedirs: Float[np.ndarray, "6890 3 459"], shares: dict[str, Float[np.ndarray, " vertices"]]
) -> Float[np.ndarray, "vertices 3 486"]:
    """SMPL+H's, and what the skin of the face does beyond following."""
    blend_shapes = np.empty((SMPLX.num_vertices, 3, len(SMPLX_JOINTS) - 1, 9), dtype=np.float32)
    blend_shapes[:, :, _OF_SMPLH[1:] - 1] = _with_centres(posedirs.astype(np.float32)).reshape(
        SMPLX.num_vertices, 3, -1, 9
    )
    for name, share in shares.items():
        _, shift = crease(SMPLX_JOINTS.index(_as_left(name)), BODY_CREASE, in_the_middle=name == "jaw")
        if name.startswith("right_"):
            shift = MIRROR[:, None] * shift * MIRROR_FEATURES
        blend_shapes[:, :, SMPLX_JOINTS.index(name) - 1] = share[:, None, None] * shift
    return blend_shapes.reshape(SMPLX.num_vertices, 3, -1)
