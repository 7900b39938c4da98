"""The PyTorch kernel: the same arithmetic in batches of frames, for a GPU."""

from __future__ import annotations

import numpy as np
import torch

from amass_joints.kernels import Body


@torch.inference_mode()
def pose(
    body: Body,
    poses: np.ndarray,
    trans: np.ndarray,
    dmpls: np.ndarray,
    looked_at: np.ndarray,
    device: str,
    batch_size: int,
) -> np.ndarray:
    """Pose the frames looked at; see :func:`amass_joints.kernels.pose`."""
    positions = np.empty((len(looked_at), len(body.row_sums), 3), body.pair_matrix.dtype)
    on_device = _Body(body, torch.device(device))
    bones = np.add.outer(3 * body.bones, np.arange(3)).ravel()
    for start in range(0, len(looked_at), batch_size):
        frames = looked_at[start : start + batch_size]
        joints = on_device.pose(
            torch.from_numpy(poses[np.ix_(frames, bones)]).to(device),
            torch.from_numpy(dmpls[frames]).to(device),
        )
        moved = body.row_sums[:, None] * trans[frames, None]
        positions[start : start + batch_size] = joints.cpu().numpy() + moved
    return positions


class _Body:
    """The body's arrays on a device."""

    def __init__(self, body: Body, device: torch.device) -> None:
        self.parents = body.parents.tolist()
        self.featured = torch.from_numpy(body.featured).to(device)
        self.pair_joints = torch.from_numpy(body.pair_joints).to(device)
        self.pair_bones = torch.from_numpy(body.pair_bones).to(device)
        self.pair_weights = torch.from_numpy(body.pair_weights).to(device)
        self.pair_matrix = torch.from_numpy(np.ascontiguousarray(body.pair_matrix)).to(device)
        self.step_matrix = torch.from_numpy(np.ascontiguousarray(body.step_matrix)).to(device)
        self.num_regressed = len(body.row_sums)

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
        joints = local.new_zeros(frames, self.num_regressed, 3)
        return joints.index_add_(1, self.pair_joints, moved)

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
    axis = vectors / angle[..., 0].clamp_min(1e-100)
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(*x.shape, 3, 3)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
