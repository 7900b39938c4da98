"""The reference against an independent one: homogeneous matrices, SciPy's rotations, one vertex at a time."""

import numpy as np
from hypothesis import given, settings
from scipy.spatial.transform import Rotation

from amass_joints import mesh
from random_bodies import Case, cases


def translation(vector: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix


def independent_vertex(case: Case, frame: int, vertex: int) -> np.ndarray:
    body = case.body
    betas = np.zeros(body.shapedirs.shape[2])
    betas[: len(case.betas)] = case.betas[: len(betas)]
    dmpls = np.zeros(body.dmpldirs.shape[2])
    if case.dmpls is not None:
        dmpls[: case.dmpls.shape[1]] = case.dmpls[frame, : len(dmpls)]

    def shaped(i: int) -> np.ndarray:
        return body.v_template[i] + body.shapedirs[i] @ betas + body.dmpldirs[i] @ dmpls

    rest = [sum(w * shaped(i) for i, w in enumerate(row)) for row in body.J_regressor]
    local = [Rotation.from_rotvec(vector).as_matrix() for vector in case.poses[frame].reshape(-1, 3)]
    features = np.array([r - np.eye(3) for r in local[1:]]).ravel()
    in_rest_pose = np.append(shaped(vertex) + body.posedirs[vertex] @ features, 1)

    def world(joint: int) -> np.ndarray:
        """Turn about the joint's place at rest, then do what the parent does."""
        turn = np.eye(4)
        turn[:3, :3] = local[joint]
        about = translation(rest[joint]) @ turn @ translation(-rest[joint])
        parent = body.parents[joint]
        return about if parent < 0 else world(parent) @ about

    blended = sum(w * world(joint) for joint, w in enumerate(body.weights[vertex]))
    return (blended @ in_rest_pose)[:3] + case.trans[frame]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_mesh_is_what_skinning_by_homogeneous_matrices_gives(case: Case) -> None:
    frame, vertex = len(case.poses) - 1, len(case.body.v_template) - 1
    posed = mesh.pose_mesh(
        case.body,
        case.betas,
        case.poses[[frame]],
        case.trans[[frame]],
        None if case.dmpls is None else case.dmpls[[frame]],
    )
    np.testing.assert_allclose(posed[0, vertex], independent_vertex(case, frame, vertex), atol=1e-12)


def test_rotation_of_a_quarter_turn_about_z() -> None:
    np.testing.assert_allclose(mesh.rotation_matrix(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-15)
