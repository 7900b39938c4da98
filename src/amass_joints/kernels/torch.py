"""The PyTorch kernel: the same arithmetic on a GPU.

Frames go through it in full blocks, the last one padded, as in the CPU kernel and for the same reason: results do not
depend on how the work is cut. Sums over pairs are matrix products, which, unlike atomic additions, have one order.
"""

from __future__ import annotations

import numpy as np
import torch

from amass_joints.kernels import TINY, Body

BLOCK = 4096


@torch.inference_mode()
def pose(
    body: Body, poses: np.ndarray, trans: np.ndarray, dmpls: np.ndarray, looked_at: np.ndarray, device: str
) -> np.ndarray:
    """Pose the frames looked at; see :func:`amass_joints.kernels.pose`."""
    positions = np.empty((len(looked_at), len(body.row_sums), 3), body.pair_matrix.dtype)
    on_device = _Body(body, torch.device(device))
    bones = np.add.outer(3 * body.bones, np.arange(3)).ravel()
    rotation_vectors = np.zeros((BLOCK, len(bones)))
    soft_tissue = np.zeros((BLOCK, dmpls.shape[1]))
    for start in range(0, len(looked_at), BLOCK):
        frames = looked_at[start : start + BLOCK]
        rotation_vectors[: len(frames)] = poses[np.ix_(frames, bones)]
        soft_tissue[: len(frames)] = dmpls[frames]
        joints = on_device.pose(torch.from_numpy(rotation_vectors).to(device), torch.from_numpy(soft_tissue).to(device))
        # The translation last, in float64, as in the CPU kernel.
        moved = body.row_sums[:, None] * trans[frames, None]
        positions[start : start + BLOCK] = joints[: len(frames)].cpu().numpy() + moved
    return positions


class _Body:
    """The body's arrays on a device."""

    def __init__(self, body: Body, device: torch.device) -> None:
        self.parents = body.parents.tolist()
        self.featured = torch.from_numpy(body.featured).to(device)
        membership = np.arange(len(body.row_sums))[:, None] == body.pair_joints
        self.membership = torch.from_numpy(membership.astype(body.pair_matrix.dtype)).to(device)
        self.pair_bones = torch.from_numpy(body.pair_bones).to(device)
        self.pair_weights = torch.from_numpy(body.pair_weights).to(device)
        self.pair_matrix = torch.from_numpy(np.ascontiguousarray(body.pair_matrix)).to(device)
        self.step_matrix = torch.from_numpy(np.ascontiguousarray(body.step_matrix)).to(device)

    def pose(self, rotation_vectors: torch.Tensor, dmpls: torch.Tensor) -> torch.Tensor:
        """Give (frames, regressed_joints, 3) for the bones' rotation vectors (frames, bones * 3)."""
        frames, dtype = len(rotation_vectors), self.pair_matrix.dtype
        local = _rotation_matrices(rotation_vectors.view(frames, -1, 3)).to(dtype)
        features = local[:, self.featured] - torch.eye(3, dtype=dtype, device=local.device)
        one = local.new_ones(frames, 1)
        dmpls = dmpls.to(dtype)
        vectors = torch.cat([one, features.reshape(frames, -1), dmpls], dim=1) @ self.pair_matrix.T
        steps = torch.cat([one, dmpls], dim=1) @ self.step_matrix.T
        rotations, places = self._chain(local, steps.view(frames, 3, -1).mT)
        moved = torch.einsum("fpij,fjp->fpi", rotations[:, self.pair_bones], vectors.view(frames, 3, -1))
        moved += self.pair_weights[:, None] * places[:, self.pair_bones]
        return self.membership @ moved

    def _chain(self, local: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rotations: list[torch.Tensor] = []
        places: list[torch.Tensor] = []
        for bone, parent in enumerate(self.parents):
            if parent < 0:
                rotations.append(local[:, bone])
                places.append(steps[:, bone])
            else:
                rotations.append(rotations[parent] @ local[:, bone])
                places.append(places[parent] + (rotations[parent] @ steps[:, bone, :, None])[..., 0])
        return torch.stack(rotations, dim=1), torch.stack(places, dim=1)


def _rotation_matrices(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (..., 3) to matrices (..., 3, 3), by Rodrigues' formula."""
    angle = vectors.norm(dim=-1, keepdim=True)[..., None]
    axis = vectors / angle[..., 0].clamp_min(TINY)
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(*x.shape, 3, 3)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
