"""Regressed joints in a training loop: a PyTorch module from poses to joints, differentiable, with no mesh.

It is the fold (:mod:`amass_joints.folding`) with the shape left open; its arithmetic is that of the PyTorch kernel,
:mod:`amass_joints.kernels.torch`. Needs PyTorch: ``pip install 'amass-joints[torch]'``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from amass_joints.errors import InputError
from amass_joints.folding import FoldedBody
from amass_joints.kernels import Body
from amass_joints.kernels.torch import Posing

if TYPE_CHECKING:
    from jaxtyping import Float


class RegressedJoints(torch.nn.Module):
    """Gives the regressed joints of a batch of poses, metres.

    ::

        joints = amass_joints.RegressedJoints(amass_joints.fold(body, regressor)).to("cuda")
        loss = (joints(poses, trans=trans, betas=betas) - positions_3d).square().mean()

    Differentiable in all its arguments, any number of times, forwards and backwards, at every rotation: at none (where
    the angle has no derivative), at half turns and beyond whole ones. Tested with ``torch.compile(fullgraph=True)``,
    ``torch.export`` and ``torch.func``.

    What it computes in is float32 or float64, whatever its arguments are, and under autocast too. Positions have full
    precision also where the process allows TF32 (``torch.set_float32_matmul_precision``); on a GPU, gradients with
    respect to ``betas`` and ``dmpls`` and through pose blend shapes then have TF32's.

    It has no parameters, and nothing in its ``state_dict``: its buffers are constants, made from a body model and a
    regressor whose licences keep them out of the checkpoints that people publish. So a checkpoint can also be loaded
    with another body in its place.

    Args:
        folded: the body model and the regressor.
        dtype: float32 or float64. A module made in float32 and then moved ``.to(torch.float64)`` keeps float32's
            constants, exact to 1e-7 m.

    Raises:
        InputError: another dtype.
    """

    row_sums: torch.Tensor

    def __init__(self, folded: FoldedBody, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if dtype not in (torch.float32, torch.float64):
            raise InputError(f"dtype: found {dtype}, expected torch.float32 or torch.float64.")
        self.pose_values = 3 * folded.num_joints
        self.num_betas = folded.num_betas
        self.num_dmpls = folded.steps.shape[2] - 1 - folded.num_betas
        self.posing = Posing(_with_open_shape(folded)).to(dtype)
        self.register_buffer("row_sums", torch.tensor(folded.row_sums, dtype=dtype)[:, None], persistent=False)

    def forward(
        self,
        poses: Float[torch.Tensor, "*#batch pose_values"],
        trans: Float[torch.Tensor, "*#batch 3"] | None = None,
        betas: Float[torch.Tensor, "*#batch betas"] | None = None,
        dmpls: Float[torch.Tensor, "*#batch dmpls"] | None = None,
    ) -> Float[torch.Tensor, "*batch regressed_joints 3"]:
        """Pose a batch, of any dimensions or none. Those of the arguments are broadcast.

        Args:
            poses: rotation vectors of all the body model's joints, radians.
            trans: root translation, metres; None: none.
            betas: shape coefficients; missing ones are zero, surplus ones are ignored. None: the mean shape.
            dmpls: soft-tissue coefficients, as ``betas``. None: no soft tissue.

        Returns:
            Joints, metres, in the frame of reference of ``trans``, in the module's dtype.

        Raises:
            InputError: the arguments do not fit each other or the module.
        """
        if self.row_sums.dtype not in (torch.float32, torch.float64):
            raise InputError(f"the module's dtype: found {self.row_sums.dtype}, expected float32 or float64.")
        poses = self._prepared("poses", poses, self.pose_values, exactly=True)
        trans = self._prepared("trans", trans, 3, exactly=True)
        betas = self._prepared("betas", betas, self.num_betas)
        dmpls = self._prepared("dmpls", dmpls, self.num_dmpls)
        batch = _batch(poses=poses, trans=trans, betas=betas, dmpls=dmpls)
        frames = math.prod(batch)
        coefficients = torch.cat([betas.expand(*batch, -1), dmpls.expand(*batch, -1)], dim=-1)
        joints = self.posing(
            poses.expand(*batch, -1).reshape(frames, self.pose_values),
            coefficients.reshape(frames, self.num_betas + self.num_dmpls),
        )
        # The translation last, as in the kernels, so that far from the origin nothing else is lost.
        return joints.reshape(*batch, *joints.shape[1:]) + self.row_sums * trans[..., None, :]

    def extra_repr(self) -> str:
        """Say what goes in and what comes out, for ``print``."""
        return (
            f"regressed_joints={len(self.row_sums)}, pose_values={self.pose_values}, "
            f"betas={self.num_betas}, dmpls={self.num_dmpls}"
        )

    def _prepared(self, name: str, values: torch.Tensor | None, width: int, exactly: bool = False) -> torch.Tensor:
        """Check an argument, and give it the module's dtype and so many values."""
        if values is None:
            return self.row_sums.new_zeros(width)
        if not isinstance(values, torch.Tensor) or values.is_complex():
            found = values.dtype if isinstance(values, torch.Tensor) else type(values).__name__
            raise InputError(f"{name}: found {found}, expected a tensor of real numbers.")
        if values.device != self.row_sums.device:
            raise InputError(f"{name}: on {values.device}, expected {self.row_sums.device}, where the module is.")
        if values.ndim == 0 or (exactly and values.shape[-1] != width):
            raise InputError(
                f"{name}: found the shape {tuple(values.shape)}, expected (..., {width if exactly else name})."
            )
        values = values[..., :width].to(self.row_sums.dtype)
        return torch.nn.functional.pad(values, (0, width - values.shape[-1]))


def _batch(**arguments: torch.Tensor) -> torch.Size:
    """Broadcast the dimensions before the last."""
    try:
        return torch.broadcast_shapes(*(values.shape[:-1] for values in arguments.values()))  # type: ignore[no-untyped-call]
    except RuntimeError:
        found = ", ".join(f"{name} {tuple(values.shape[:-1])}" for name, values in arguments.items())
    raise InputError(f"the batch dimensions do not fit each other: found {found}.")


def _with_open_shape(folded: FoldedBody) -> Body:
    """Make of a folded body one that the kernel takes, with betas as the first of its dmpls: both are linear."""
    betas = slice(1, 1 + folded.num_betas)
    dmpls = slice(folded.pair_vectors.shape[2] - (folded.steps.shape[2] - betas.stop), None)
    vectors = folded.pair_vectors
    by_axis = np.concatenate(
        [vectors[:, :, :1], vectors[:, :, betas.stop : dmpls.start], vectors[:, :, betas], vectors[:, :, dmpls]], axis=2
    ).swapaxes(0, 1)
    steps = folded.steps.swapaxes(0, 1)
    return Body(
        structure=folded,
        pair_matrix=by_axis.reshape(-1, by_axis.shape[2]),
        step_matrix=steps.reshape(-1, steps.shape[2]),
    )
