"""The fold: a joint regressor and a body model become one small body that poses joints without a mesh.

Stages, each its own immutable type, none of which can be made out of order::

    fold(BodyModel, JointRegressor) -> FoldedBody        once per body model
    FoldedBody.with_shape(betas)    -> ShapedBody        once per sequence
    ShapedBody.pose(poses, trans, dmpls) -> (frames, regressed_joints, 3)

Linear blend skinning takes vertex i of the rest mesh y_i = T_i + S_i b + D_i d + P_i f (shape b, soft tissue d, pose
features f = vec(R - I) of the local rotations) to v_i = sum_k w_ik (R_k (y_i - J_k) + g_k), with R_k bone k's rotation
in the world, g_k its joint's place, and J_k = Jreg_k (T + S b + D d) its place at rest. A joint regressed by the
row r_n, at root translation tau, is

    x_n = sum_i r_ni (v_i + tau) = sum_k (R_k z_nk + c_nk g_k) + s_n tau
    z_nk = sum_i r_ni w_ik (y_i - J_k),    c_nk = sum_i r_ni w_ik,    s_n = sum_i r_ni.

z_nk is linear in (1, b, d, f), and so are the steps J_k - J_parent(k) from which the g_k follow: all sums over vertices
are taken once, before any frame is seen. Nothing is approximated. The row sum s_n of a real regressor is not quite
1, and x_n keeps it, because the mesh has it too.

(Equations of the body: Loper et al., SMPL, SIGGRAPH Asia 2015, section 3.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from amass_joints import kernels
from amass_joints.body_models import BodyModel
from amass_joints.errors import InputError
from amass_joints.regressors import JointRegressor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class FoldedBody(kernels.Structure):
    """What a body model and a joint regressor become together."""

    num_joints: int
    """How many joints the body model has, and ``poses`` rotation vectors."""
    num_betas: int
    """How many shape coefficients the body model has."""
    pair_vectors: Float[np.ndarray, "pairs 3 pair_columns"]
    """z_nk as linear in (1, betas, pose features, dmpls); metres, model space."""
    steps: Float[np.ndarray, "chain 3 step_columns"]
    """J_k - J_parent(k), for the root J_0, as linear in (1, betas, dmpls); metres, model space."""
    rest_joints: Float[np.ndarray, "joints 3"]
    """The body model's own joints at rest, J_k, mean shape; metres, model space."""

    def with_shape(self, betas: Float[np.ndarray, " betas"], dtype: DTypeLike = np.float32) -> ShapedBody:
        """Fix the shape of a sequence.

        Args:
            betas: shape coefficients; missing ones are zero, surplus ones are ignored.
            dtype: float32 or float64: what :meth:`ShapedBody.pose` computes in.

        Raises:
            InputError: another dtype, or betas that are no vector.
        """
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise InputError(f"dtype: found {np.dtype(dtype)}, expected float32 or float64.")
        if betas.ndim != 1:
            raise InputError(f"betas: their shape is {betas.shape}, expected (betas,).")
        return ShapedBody(
            folded=self,
            pair_matrix=_fix_shape(self.pair_vectors, self.num_betas, betas, dtype),
            step_matrix=_fix_shape(self.steps, self.num_betas, betas, dtype),
        )


@dataclass(frozen=True)
class ShapedBody:
    """A folded body whose shape is fixed: it takes poses to joints."""

    folded: FoldedBody
    pair_matrix: Float[np.ndarray, "pair_rows pair_columns"]
    """z_nk as a matrix on the column (1, pose features, dmpls), rows (axis, pair)."""
    step_matrix: Float[np.ndarray, "step_rows step_columns"]
    """The chain's steps as a matrix on the column (1, dmpls), rows (axis, bone)."""

    def pose(
        self,
        poses: Float[np.ndarray, "frames pose_values"],
        trans: Float[np.ndarray, "frames 3"],
        dmpls: Float[np.ndarray, "frames dmpls"] | None = None,
        *,
        looked_at: Int[np.ndarray, " looked_at"] | None = None,
        device: str = "cpu",
    ) -> Float[np.ndarray, "looked_at regressed_joints 3"]:
        """Give the regressed joints, frame by frame.

        Args:
            poses: rotation vectors of all the body model's joints, radians.
            trans: root translation, metres.
            dmpls: soft-tissue coefficients; missing columns are zero, surplus ones are ignored. None: no soft tissue.
            looked_at: the frames to pose; None for all.
            device: ``cpu``, or a PyTorch device such as ``cuda:0``.

        Returns:
            Joints, metres, in the frame of reference of ``trans``, in the dtype that the body was shaped for.

        Raises:
            InputError: the arrays do not fit each other or the body.
        """
        folded = self.folded
        frames = len(poses)
        if dmpls is None:
            dmpls = np.empty((frames, 0))
        looked_at = np.arange(frames) if looked_at is None else np.asarray(looked_at)
        shapes = {"poses": poses.shape, "trans": trans.shape, "dmpls": dmpls.shape}
        expected = {
            "poses": (frames, 3 * folded.num_joints),
            "trans": (frames, 3),
            "dmpls": (frames, *dmpls.shape[-1:]),
        }
        if shapes != expected:
            raise InputError(f"the arrays have the shapes {shapes}, expected {expected}.")
        if looked_at.ndim != 1 or looked_at.dtype.kind not in "iu" or ((looked_at < 0) | (looked_at >= frames)).any():
            raise InputError(f"looked_at: expected a vector of integers from 0 to {frames - 1}, found {looked_at}.")
        num_dmpls = min(dmpls.shape[1], self.step_matrix.shape[1] - 1)
        body = kernels.Body(
            structure=folded,
            pair_matrix=self.pair_matrix[:, : 1 + 9 * len(folded.featured) + num_dmpls],
            step_matrix=self.step_matrix[:, : 1 + num_dmpls],
        )
        return kernels.pose(
            body,
            np.ascontiguousarray(poses, np.float64),
            np.ascontiguousarray(trans, np.float64),
            np.ascontiguousarray(dmpls[:, :num_dmpls], np.float64),
            np.ascontiguousarray(looked_at, np.int64),
            device,
        )


def fold(body: BodyModel, joints: JointRegressor | Sequence[int]) -> FoldedBody:
    """Fold a joint regressor into a body model, exactly, in float64.

    Args:
        body: the body model.
        joints: what joints are wanted; in place of a regressor, indices of the body model's own, which come straight
            from its kinematic tree.

    Raises:
        InputError: the regressor is not for as many vertices as the body has, or there is no such joint.
    """
    # The rest mesh before any pose, and the rest joints, as linear in (1, betas, dmpls).
    unposed = np.concatenate([body.v_template[:, :, None], body.shapedirs, body.dmpldirs], axis=2)
    rest_joints = np.tensordot(body.J_regressor, unposed, axes=1)
    if isinstance(joints, JointRegressor):
        matrix = joints.matrix
        if matrix.shape[1] != len(body.v_template):
            raise InputError(
                f"the joint regressor is for {matrix.shape[1]} vertices, the body model has {len(body.v_template)}: "
                "use the regressor that belongs to the body model."
            )
        pair_joints, pair_bones, pair_weights, carried, features = _fold_vertices(body, matrix, unposed, rest_joints)
        row_sums = matrix.sum(axis=1)
    else:
        # A joint is where the bone before it carries it, whatever its own rotation: one pair. The root is its own bone.
        wanted = np.asarray(joints)
        if wanted.ndim != 1 or not set(wanted.tolist()) <= set(range(len(body.parents))) or not len(wanted):
            raise InputError(f"joints: expected indices from 0 to {len(body.parents) - 1}, found {list(joints)}.")
        pair_joints, pair_bones = np.arange(len(wanted)), np.maximum(body.parents[wanted], 0)
        pair_weights = row_sums = np.ones(len(wanted))
        carried = rest_joints[wanted] - rest_joints[pair_bones]
        features = np.zeros((len(wanted), 3, body.posedirs.shape[2]))

    # Exact pruning: a bone needs pose features only if they move something, a rotation only if it has features or
    # carries a bone of some pair.
    features = features.reshape(len(features), 3, len(body.parents) - 1, 9)
    featured = 1 + np.flatnonzero(features.any(axis=(0, 1, 3)))  # the root has none
    kept = features[:, :, featured - 1].reshape(len(features), 3, 9 * len(featured))
    chain = _topological(body.parents, _with_ancestors(body.parents, pair_bones))
    bones = np.concatenate([chain, np.setdiff1d(featured, chain)])
    index = np.full(len(body.parents) + 1, -1)
    index[bones] = np.arange(len(bones))  # index[-1], for the root's parent, stays -1

    num_betas = body.shapedirs.shape[2]
    steps = rest_joints - rest_joints[body.parents]
    steps[0] = rest_joints[0]
    return FoldedBody(
        num_joints=len(body.parents),
        num_betas=num_betas,
        bones=bones,
        parents=index[body.parents[chain]],
        featured=index[featured],
        pair_joints=pair_joints,
        pair_bones=index[pair_bones],
        pair_weights=pair_weights,
        pair_vectors=np.concatenate([carried[:, :, : 1 + num_betas], kept, carried[:, :, 1 + num_betas :]], axis=2),
        steps=steps[chain],
        rest_joints=rest_joints[:, :, 0].copy(),
        row_sums=row_sums,
    )


def _fold_vertices(
    body: BodyModel,
    matrix: Float[np.ndarray, "regressed_joints vertices"],
    unposed: Float[np.ndarray, "vertices 3 step_columns"],
    rest_joints: Float[np.ndarray, "joints 3 step_columns"],
) -> tuple[
    Int[np.ndarray, " pairs"],
    Int[np.ndarray, " pairs"],
    Float[np.ndarray, " pairs"],
    Float[np.ndarray, "pairs 3 step_columns"],
    Float[np.ndarray, "pairs 3 pose_features"],
]:
    """Take all sums over vertices: the pairs (n, k), their c_nk, and their z_nk without and for the pose features."""
    by_joint = []
    for joint, row in enumerate(matrix):
        vertices = np.flatnonzero(row)
        moving = np.flatnonzero(body.weights[vertices].any(axis=0))
        coefficients = (row[vertices, None] * body.weights[np.ix_(vertices, moving)]).T
        c = coefficients.sum(axis=1)
        by_joint.append(
            (
                np.full(len(moving), joint),
                moving,
                c,
                _weighted_sums(coefficients, unposed, vertices) - c[:, None, None] * rest_joints[moving],
                _weighted_sums(coefficients, body.posedirs, vertices),
            )
        )
    joints, bones, weights, carried, features = (np.concatenate(part) for part in zip(*by_joint, strict=True))
    return joints, bones, weights, carried, features


def _weighted_sums(
    coefficients: Float[np.ndarray, "bones some_vertices"],
    directions: Float[np.ndarray, "vertices 3 columns"],
    vertices: Int[np.ndarray, " some_vertices"],
) -> Float[np.ndarray, "bones 3 columns"]:
    """Sum over vertices, in pieces: a dense regressor would make one more copy of the blend shapes at once."""
    sums = np.zeros((len(coefficients), *directions.shape[1:]))
    for start in range(0, len(vertices), 1024):
        piece = slice(start, start + 1024)
        sums += np.tensordot(coefficients[:, piece], directions[vertices[piece]], axes=1)
    return sums


def _fix_shape(
    linear: Float[np.ndarray, "rows 3 columns"], num_betas: int, betas: Float[np.ndarray, " betas"], dtype: DTypeLike
) -> Float[np.ndarray, "rows_of_axes rest"]:
    """Fix the betas of what is linear in (1, betas, ...): a matrix on (1, ...), rows (axis, row).

    So a component of all rows is contiguous, as the kernels want it.
    """
    used = min(num_betas, len(betas))
    fixed = np.empty((3, len(linear), linear.shape[2] - num_betas), dtype)
    by_axis = linear.transpose(1, 0, 2)
    fixed[:, :, 0] = by_axis[:, :, 0] + by_axis[:, :, 1 : 1 + used] @ betas[:used]
    fixed[:, :, 1:] = by_axis[:, :, 1 + num_betas :]
    return fixed.reshape(3 * len(linear), fixed.shape[2])


def _with_ancestors(
    parents: Int[np.ndarray, " joints"], bones: Int[np.ndarray, " bones"]
) -> Bool[np.ndarray, " joints"]:
    """Mark the bones and all that carries them. The root is always marked: ``trans`` moves it."""
    marked = np.zeros(len(parents), bool)
    marked[0] = True
    for bone in np.unique(bones):
        while not marked[bone]:
            marked[bone] = True
            bone = parents[bone]
    return marked


def _topological(parents: Int[np.ndarray, " joints"], marked: Bool[np.ndarray, " joints"]) -> Int[np.ndarray, " chain"]:
    """Order the marked bones so that parents come before children (SMPL+H's order already does)."""
    depths = np.zeros(len(parents), int)
    for bone in range(len(parents)):
        above = parents[bone]
        while above >= 0:
            depths[bone] += 1
            above = parents[above]
    order = np.argsort(depths, kind="stable")
    return order[marked[order]]
