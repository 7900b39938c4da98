"""Other ways to the same joints, in PyTorch, float32: what ours is compared with.

* :class:`WholeMesh`: the method of the known converter (AMASS-to-3DHPE), written anew, for speed: pose all vertices,
  soft tissue included, then multiply by the joint regressor. The shape is fixed beforehand, not in every frame.
* :class:`Smplx`: the package ``smplx``, its SMPL+H model, then the joint regressor. It has no soft tissue.
* :class:`Smplfitter`: the package ``smplfitter``, told to make only the vertices that the regressor looks at, then the
  joint regressor. It has no soft tissue.

All take tensors on their device and give tensors there; :func:`from_host` goes from NumPy to NumPy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

import amass_joints as aj
from benchmarks.inputs import Inputs

if TYPE_CHECKING:
    from jaxtyping import Float


class Baseline(Protocol):
    """Another way from poses to regressed joints, for one body of one shape."""

    name: str
    soft_tissue: bool
    """Whether it can have any."""
    device: torch.device

    def __call__(
        self,
        poses: Float[Tensor, "frames 156"],
        trans: Float[Tensor, "frames 3"],
        dmpls: Float[Tensor, "frames dmpls"] | None,
    ) -> Float[Tensor, "frames regressed_joints 3"]:
        """Give the regressed joints, metres."""
        ...


def available(inputs: Inputs, device: str) -> tuple[list[Baseline], dict[str, str]]:
    """Make the baselines for these inputs; give those that can be had, and why the others cannot."""
    makers: dict[str, Callable[[Inputs, torch.device], Baseline]] = {
        "whole mesh": WholeMesh,
        "smplx": Smplx,
        "smplfitter": Smplfitter,
    }
    baselines: list[Baseline] = []
    absent = {}
    for name, make in makers.items():
        try:
            baselines.append(make(inputs, torch.device(device)))
        except ImportError as error:
            absent[name] = str(error)
    return baselines, absent


def on_device(motion: aj.Sequence, baseline: Baseline) -> tuple[Tensor, Tensor, Tensor | None]:
    """Bring a motion to a baseline's device, as float32."""
    poses, trans = _tensor(motion.poses, baseline.device), _tensor(motion.trans, baseline.device)
    if motion.dmpls is None or not baseline.soft_tissue:
        return poses, trans, None
    return poses, trans, _tensor(motion.dmpls, baseline.device)


@torch.inference_mode()
def from_host(baseline: Baseline, motion: aj.Sequence) -> Float[np.ndarray, "frames regressed_joints 3"]:
    """Pose a motion that lies in NumPy's memory, and bring the joints back there."""
    joints: np.ndarray = baseline(*on_device(motion, baseline)).cpu().numpy()
    return joints


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, torch.float32)


class WholeMesh:
    """The whole mesh, and the regressor on it (equations of :mod:`amass_joints.mesh`).

    Frames come last in the large arrays, so that the products are few and large: faster than the usual frames first.
    """

    name = "whole mesh"
    soft_tissue = True

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        body, betas = inputs.body, inputs.motion.betas
        used = min(body.shapedirs.shape[2], len(betas))
        shaped = body.v_template + body.shapedirs[:, :, :used] @ betas[:used]
        self.device = device
        self.parents = [int(parent) for parent in body.parents]
        self.shaped = _tensor(shaped.reshape(-1, 1), device)
        blend_shapes = np.concatenate([body.dmpldirs, body.posedirs], axis=2)
        self.blend_shapes = _tensor(blend_shapes.reshape(shaped.size, -1), device)
        self.rest_joints = _tensor(body.J_regressor @ shaped, device)
        self.joint_dmpldirs = _tensor(np.tensordot(body.J_regressor, body.dmpldirs, axes=1).transpose(2, 0, 1), device)
        self.weights = _tensor(body.weights, device)
        self.regressor = _tensor(inputs.regressor.matrix, device)

    def __call__(self, poses: Tensor, trans: Tensor, dmpls: Tensor | None) -> Tensor:
        """Give the regressed joints, metres."""
        frames = len(poses)
        if dmpls is None:
            dmpls = poses.new_zeros(frames, len(self.joint_dmpldirs))
        local = _rotation_matrices(poses.reshape(frames, -1, 3))
        features = (local[:, 1:] - torch.eye(3, device=self.device)).reshape(frames, -1)
        mesh = torch.addmm(self.shaped, self.blend_shapes, torch.cat([dmpls, features], dim=1).T)
        rest_joints = self.rest_joints + torch.tensordot(dmpls, self.joint_dmpldirs, 1)
        rotations, joints = self._chain(local, rest_joints)
        # One 3 x 4 transform a bone, column by column, blended for each vertex by the skinning weights.
        moved = joints - torch.einsum("fjab,fjb->fja", rotations, rest_joints)
        transforms = torch.cat([rotations, moved[..., None]], dim=3).permute(1, 3, 2, 0)
        blended = (self.weights @ transforms.reshape(len(self.parents), -1)).reshape(-1, 4, 3, frames)
        vertices = blended[:, 3] + trans.T
        for axis, coordinate in enumerate(mesh.reshape(-1, 3, 1, frames).unbind(dim=1)):
            vertices.addcmul_(blended[:, axis], coordinate)
        return torch.tensordot(self.regressor, vertices, 1).permute(2, 0, 1)

    def _chain(self, local: Tensor, rest_joints: Tensor) -> tuple[Tensor, Tensor]:
        """Follow the kinematic tree: each joint's rotation in the world, and its place."""
        rotations, joints = [local[:, 0]], [rest_joints[:, 0]]
        for joint, parent in enumerate(self.parents[1:], start=1):
            bone = rest_joints[:, joint] - rest_joints[:, parent]
            rotations.append(rotations[parent] @ local[:, joint])
            joints.append(joints[parent] + (rotations[parent] @ bone[..., None])[..., 0])
        return torch.stack(rotations, dim=1), torch.stack(joints, dim=1)


def _rotation_matrices(vectors: Float[Tensor, "frames joints 3"]) -> Float[Tensor, "frames joints 3 3"]:
    """Rodrigues' formula."""
    angle = torch.linalg.norm(vectors, dim=-1, keepdim=True).clamp_min(1e-12)
    x, y, z = (vectors / angle).unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)
    angle = angle[..., None]
    identity = torch.eye(3, device=vectors.device)
    return identity + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)


class Smplx:
    """The package ``smplx``."""

    name = "smplx"
    soft_tissue = False

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        from smplx.body_models import SMPLH
        from smplx.utils import Struct

        body = inputs.body
        num_betas = body.shapedirs.shape[2]
        # With fewer than 300 coefficients on file it uses ten at most; so the file has zeros behind its own.
        padding = np.zeros((*body.shapedirs.shape[:2], SMPLH.SHAPE_SPACE_DIM - num_betas))
        # Hands are posed joint by joint, without its principal components and mean poses of hands.
        no_hands = {f"hands_{what}{side}": np.zeros(45) for what in ("components", "mean") for side in "lr"}
        file = Struct(
            v_template=body.v_template,
            shapedirs=np.concatenate([body.shapedirs, padding], axis=2),
            posedirs=body.posedirs,
            J_regressor=body.J_regressor,
            weights=body.weights,
            kintree_table=np.stack([body.parents, np.arange(len(body.parents))]),
            f=np.zeros((1, 3), dtype=np.int64),
            **no_hands,
        )
        members = ("betas", "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "transl")
        self.device = device
        self.model = SMPLH(
            model_path="",
            data_struct=file,
            num_betas=num_betas,
            use_pca=False,
            **{f"create_{member}": False for member in members},
        ).to(device)
        self.betas = _tensor(inputs.motion.betas[None, :num_betas], device)
        self.regressor = _tensor(inputs.regressor.matrix, device)

    def __call__(self, poses: Tensor, trans: Tensor, dmpls: Tensor | None) -> Tensor:
        """Give the regressed joints, metres."""
        output = self.model(
            betas=self.betas.expand(len(poses), -1),
            global_orient=poses[:, :3],
            body_pose=poses[:, 3:66],
            left_hand_pose=poses[:, 66:111],
            right_hand_pose=poses[:, 111:],
            transl=trans,
        )
        return torch.matmul(self.regressor, output.vertices)


class Smplfitter:
    """The package ``smplfitter``."""

    name = "smplfitter"
    soft_tissue = False

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        from smplfitter.pt import BodyModel

        matrix = inputs.regressor.matrix
        looked_at = np.flatnonzero(matrix.any(axis=0))
        with tempfile.TemporaryDirectory() as directory:
            _write_for_smplfitter(inputs.body, Path(directory))
            self.model = BodyModel("smplh16", "male", directory, vertex_subset=looked_at).to(device)
        self.device = device
        self.betas = _tensor(inputs.motion.betas[None], device)
        self.regressor = _tensor(matrix[:, looked_at], device)

    def __call__(self, poses: Tensor, trans: Tensor, dmpls: Tensor | None) -> Tensor:
        """Give the regressed joints, metres."""
        output = self.model(pose_rotvecs=poses, shape_betas=self.betas.expand(len(poses), -1), trans=trans)
        return torch.matmul(self.regressor, output["vertices"])


def _write_for_smplfitter(body: aj.BodyModel, directory: Path) -> None:
    """Write a body as it reads one: the model of a male, whoever it is, and no template of a child."""
    (directory / "male").mkdir()
    np.savez(
        directory / "male" / "model.npz",
        v_template=body.v_template,
        shapedirs=body.shapedirs,
        posedirs=body.posedirs,
        J_regressor=body.J_regressor,
        weights=body.weights,
        kintree_table=np.stack([body.parents, np.arange(len(body.parents))]),
        f=np.zeros((1, 3), dtype=np.uint32),
    )
    np.save(directory / "kid_template.npy", np.zeros_like(body.v_template))
