"""The whole mesh, posed slowly and obviously in float64: the reference that every fast way is measured against.

Equations of Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015
(https://smpl.is.tue.mpg.de), section 3, with soft tissue added to the shape as in its section 7 (DMPL).
Nothing here is fast, and nothing here should be made so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from amass_joints.body_models import BodyModel
from amass_joints.regressors import JointRegressor

if TYPE_CHECKING:
    from jaxtyping import Float


def pose_mesh(
    body: BodyModel,
    betas: Float[np.ndarray, " betas"],
    poses: Float[np.ndarray, "frames pose_values"],
    trans: Float[np.ndarray, "frames 3"],
    dmpls: Float[np.ndarray, "frames dmpls"] | None = None,
) -> Float[np.ndarray, "frames vertices 3"]:
    """Pose the mesh in every frame.

    Args:
        body: the body model.
        betas: shape coefficients; missing ones are zero, surplus ones are ignored.
        poses: rotation vectors, radians.
        trans: root translation, metres.
        dmpls: soft-tissue coefficients, as ``betas``; None for none.

    Returns:
        Vertices, metres, in the frame of reference of ``trans``.
    """
    if dmpls is None:
        dmpls = np.zeros((len(poses), 0))
    return np.array(
        [
            _pose_one_frame(body, betas, poses[frame].reshape(-1, 3), trans[frame], dmpls[frame])[0]
            for frame in range(len(poses))
        ]
    ).reshape(len(poses), -1, 3)


def pose_joints(
    body: BodyModel,
    betas: Float[np.ndarray, " betas"],
    poses: Float[np.ndarray, "frames pose_values"],
    trans: Float[np.ndarray, "frames 3"],
    dmpls: Float[np.ndarray, "frames dmpls"] | None = None,
) -> Float[np.ndarray, "frames joints 3"]:
    """Pose the body model's own joints, those of its kinematic tree, in every frame; as :func:`pose_mesh` otherwise."""
    if dmpls is None:
        dmpls = np.zeros((len(poses), 0))
    return np.array(
        [
            _pose_one_frame(body, betas, poses[frame].reshape(-1, 3), trans[frame], dmpls[frame])[1]
            for frame in range(len(poses))
        ]
    ).reshape(len(poses), -1, 3)


def regress(
    regressor: JointRegressor, vertices: Float[np.ndarray, "frames vertices 3"]
) -> Float[np.ndarray, "frames regressed_joints 3"]:
    """Regress joints from posed meshes."""
    return np.stack([regressor.matrix @ mesh for mesh in vertices])


def rotation_matrix(rotation_vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Turn an axis times an angle in radians into a matrix: Rodrigues' formula (equation 1)."""
    angle = np.linalg.norm(rotation_vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = rotation_vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _pose_one_frame(
    body: BodyModel,
    betas: Float[np.ndarray, " betas"],
    rotation_vectors: Float[np.ndarray, "joints 3"],
    trans: Float[np.ndarray, "3"],
    dmpls: Float[np.ndarray, " dmpls"],
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "joints 3"]]:
    # Shape and soft tissue move the rest mesh (equation 8), and the rest joints with it (equation 10).
    v_shaped = body.v_template + _blend(body.shapedirs, betas) + _blend(body.dmpldirs, dmpls)
    rest_joints = body.J_regressor @ v_shaped

    # The pose corrects the rest mesh by the local rotations of all joints but the root (equation 9).
    local = np.array([rotation_matrix(vector) for vector in rotation_vectors])
    v_posed = v_shaped + _blend(body.posedirs, (local[1:] - np.eye(3)).ravel())

    # Each joint's place and orientation follow its parent's (equations 3 and 4).
    rotations: dict[int, np.ndarray] = {}
    joints: dict[int, np.ndarray] = {}

    def place(joint: int) -> None:
        parent = int(body.parents[joint])
        if parent < 0:
            rotations[joint], joints[joint] = local[joint], rest_joints[joint]
            return
        if parent not in joints:
            place(parent)
        rotations[joint] = rotations[parent] @ local[joint]
        joints[joint] = joints[parent] + rotations[parent] @ (rest_joints[joint] - rest_joints[parent])

    for joint in range(len(body.parents)):
        place(joint)

    # Each vertex is the weighted mean of where its bones would take it (equation 7).
    vertices = np.zeros_like(v_posed)
    for joint in range(len(body.parents)):
        moved = (v_posed - rest_joints[joint]) @ rotations[joint].T + joints[joint]
        vertices += body.weights[:, [joint]] * moved
    return vertices + trans, np.array([joints[joint] for joint in range(len(body.parents))]) + trans


def _blend(
    directions: Float[np.ndarray, "vertices 3 d"], coefficients: Float[np.ndarray, " c"]
) -> Float[np.ndarray, "vertices 3"]:
    count = min(directions.shape[2], len(coefficients))
    return directions[:, :, :count] @ coefficients[:count]
