"""The PyTorch kernel: the same arithmetic for a GPU, and for training (:mod:`amass_joints.nn`).

A GPU waits for launches more than for arithmetic, so there are few: one matrix product for all that is linear, one step
down the kinematic tree for all bones of a depth. Tensors lie as (component, bone or pair, frame), frames innermost, as
in the CPU kernel. No sum is atomic, so each has one order (those of gradients are PyTorch's, which on a GPU have none).

No result depends on PyTorch's process-wide switches for fast and coarse float32 products (TF32, bfloat16), and none of
them is touched: the one large product is made so that they cannot harm it (:func:`_product`), the small ones are sums
of elementwise products, which they do not concern.

For the converter, :func:`pose` takes frames in full blocks, the last one padded, as in the CPU kernel and for the same
reason: results do not depend on how the work is cut. As there, angles and translations are float64's: a few operations
a bone and a joint, which also GPUs do in time whose float64 is slow.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from amass_joints.kernels import Body

if TYPE_CHECKING:
    from jaxtyping import Float

BLOCK = 2048
"""Frames that go to the device at a time: most sequences make one such block."""


@torch.inference_mode()
def pose(
    body: Body, poses: np.ndarray, trans: np.ndarray, dmpls: np.ndarray, looked_at: np.ndarray, device: str
) -> np.ndarray:
    """Pose the frames looked at; see :func:`amass_joints.kernels.pose`.

    Each thread has a stream of its own, on which copies and arithmetic wait for nothing but each other, and a block is
    fetched only when the one after it is on its way: threads and blocks overlap.
    """
    positions = np.empty((len(looked_at), len(body.structure.row_sums), 3), body.pair_matrix.dtype)
    lane = _lane(torch.device(device))
    on_the_way: deque[tuple[int, torch.Tensor, torch.cuda.Event | None]] = deque()

    def fetch() -> None:
        start, joints, arrival = on_the_way.popleft()
        if arrival is not None:
            arrival.synchronize()
        positions[start : start + BLOCK] = joints.numpy()

    with torch.cuda.stream(lane.stream):  # does nothing where the stream is None
        lane.take(body)
        for start in range(0, len(looked_at), BLOCK):
            frames = looked_at[start : start + BLOCK]
            joints = lane.pose(lane.send(poses, frames), lane.send(trans, frames), lane.send(dmpls, frames))
            on_the_way.append((start, *lane.send_back(joints[: len(frames)])))
            if len(on_the_way) == 2:
                fetch()
        while on_the_way:
            fetch()
    return positions


class _Lane:
    """One thread's own way to a device and back."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.body: Body | None = None
        self.posing: Posing
        self.row_sums: torch.Tensor

    def take(self, body: Body) -> None:
        """Have the body's arrays on the device; those of the call before stay, if they are the same."""
        if self.body is None or not _same(self.body, body):
            self.posing = Posing(body).to(self.device)
            self.row_sums = torch.tensor(body.structure.row_sums, device=self.device)
            self.body = body  # kept, so that no other array can come to lie where its arrays are

    def send(self, array: np.ndarray, frames: np.ndarray) -> torch.Tensor:
        """Send the rows of some frames to the device, padded to a full block with zeros."""
        # PyTorch keeps pinned memory for the next block, and knows when a copy out of it is done.
        rows = torch.empty((len(frames), array.shape[1]), dtype=torch.float64, pin_memory=self.stream is not None)
        np.take(array, frames, axis=0, out=rows.numpy(), mode="clip")  # another mode would buffer
        block = torch.zeros((BLOCK, array.shape[1]), dtype=torch.float64, device=self.device)
        block[: len(frames)].copy_(rows, non_blocking=True)
        return block

    def pose(self, poses: torch.Tensor, trans: torch.Tensor, dmpls: torch.Tensor) -> torch.Tensor:
        """Pose a block. The translation comes last, in float64, as in the CPU kernel."""
        joints = self.posing(poses, dmpls)
        moved: torch.Tensor = joints + self.row_sums[:, None] * trans[:, None]
        return moved.to(joints.dtype)

    def send_back(self, joints: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event | None]:
        """Send joints to the CPU's memory, where they are once the event has come; None: at once."""
        if self.stream is None:
            return joints, None
        rows = torch.empty(joints.shape, dtype=joints.dtype, pin_memory=True)
        rows.copy_(joints, non_blocking=True)
        # A thread that waits for it leaves its core to the others.
        arrival = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        arrival.record(self.stream)
        return rows, arrival


_lanes = threading.local()


def _lane(device: torch.device) -> _Lane:
    lanes: dict[torch.device, _Lane] = _lanes.__dict__.setdefault("of_device", {})
    if device not in lanes:
        lanes[device] = _Lane(device)
    return lanes[device]


def _same(a: Body, b: Body) -> bool:
    """Whether two bodies are of one shaped body: all others of their arrays follow from these."""

    def place(array: np.ndarray) -> tuple[object, ...]:
        return array.__array_interface__["data"], array.shape, array.strides, array.dtype

    return (
        a.structure is b.structure
        and place(a.pair_matrix) == place(b.pair_matrix)
        and place(a.step_matrix) == place(b.step_matrix)
    )


class Posing(torch.nn.Module):
    """The arithmetic of posing a body, on tensors alone: differentiable, and compilable.

    It computes in the dtype of the body's matrices. Its buffers are constants, and in no ``state_dict``.
    """

    bone_values: torch.Tensor
    featured: torch.Tensor
    constant: torch.Tensor
    matrix: torch.Tensor
    carriers: torch.Tensor
    pair_bones: torch.Tensor
    pair_weights: torch.Tensor
    pairs_of_joints: torch.Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        depths = _depths(body.structure.parents)
        firsts = np.searchsorted(depths, np.arange(depths[-1] + 2))
        self.depths = list(pairwise(firsts.tolist()))
        constant, matrix = _linear(body)
        constants = {
            # Where the bones' rotation vectors lie in poses, by (axis, bone).
            "bone_values": np.add.outer(np.arange(3), 3 * body.structure.bones).ravel(),
            "featured": body.structure.featured,
            "constant": constant[:, None],
            "matrix": matrix,
            # For each bone, its parent's place among the bones of that depth.
            "carriers": body.structure.parents - np.where(depths > 0, firsts[depths - 1], 0),
            # The last pair is the one of zeros.
            "pair_bones": np.append(body.structure.pair_bones, 0),
            "pair_weights": np.append(body.structure.pair_weights, 0)[:, None].astype(matrix.dtype),
            "pairs_of_joints": _pairs_of_joints(body.structure.pair_joints, len(body.structure.row_sums)),
        }
        for name, array in constants.items():
            self.register_buffer(name, torch.tensor(array), persistent=False)

    def forward(
        self, poses: Float[torch.Tensor, "frames pose_values"], dmpls: Float[torch.Tensor, "frames dmpls"]
    ) -> Float[torch.Tensor, "frames regressed_joints 3"]:
        """Give the joints, metres, where the root is not translated."""
        dtype = self.matrix.dtype
        frames, bones = poses.shape[0], len(self.bone_values) // 3  # len(poses) would be a constant to torch.export
        chain, pairs = len(self.carriers), len(self.pair_bones)
        vectors = poses.T.index_select(0, self.bone_values).view(3, bones, frames)
        turns = _rotations_less_identity(vectors, dtype)
        features = turns.flatten(0, 1).index_select(1, self.featured).flatten(0, 1)
        linear = self.constant + _product(self.matrix, torch.cat([features, dmpls.T.to(dtype)]))
        pair_vectors = linear[: 3 * pairs].view(3, 1, pairs, frames)
        steps = linear[3 * pairs :].view(3, 1, chain, frames)
        placed = self._chain(torch.cat([turns[:, :, :chain], steps], dim=1))
        carrying = placed.index_select(2, self.pair_bones)
        moved = _plus_product(self.pair_weights * carrying[:, 3:], carrying, pair_vectors)[:, 0]
        by_joint = moved.index_select(1, self.pairs_of_joints.flatten()).view(3, *self.pairs_of_joints.shape, frames)
        return by_joint.sum(dim=2).permute(2, 1, 0).contiguous()

    def _chain(self, changes: Float[torch.Tensor, "3 4 chain frames"]) -> Float[torch.Tensor, "3 4 chain frames"]:
        """Take what bones change, (R - I | step), to where they are in the world, (R | g), down the kinematic tree.

        A bone below (R | g) is at (R | g) + R (R' - I | step').
        """
        nowhere = torch.eye(3, 4, dtype=changes.dtype, device=changes.device)[:, :, None, None]
        placed = [nowhere + changes[:, :, :1]]
        for first, last in self.depths[1:]:
            parents = placed[-1].index_select(2, self.carriers[first:last])
            placed.append(_plus_product(parents, parents, changes[:, :, first:last]))
        return torch.cat(placed, dim=2)


def _depths(parents: np.ndarray) -> np.ndarray:
    """How many bones carry each bone: ascending, as the fold orders them."""
    depths = np.zeros(len(parents), int)
    for bone, parent in enumerate(parents):
        depths[bone] = depths[parent] + 1 if parent >= 0 else 0
    assert (np.diff(depths) >= 0).all()
    return depths


def _linear(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Put together all that is linear in (1, features, dmpls): the column of the 1, and the matrix of the others.

    Rows are the pairs' vectors by (axis, pair), the last of the pairs being one of zeros, and the chain's steps by
    (axis, bone). Features are by (element of the matrix, bone), as the rotations lie.
    """
    pairs, chain, featured = len(body.structure.pair_joints), len(body.structure.parents), len(body.structure.featured)
    dmpls = body.step_matrix.shape[1] - 1
    first_dmpl = 1 + 9 * featured
    vectors = np.pad(body.pair_matrix.reshape(3, pairs, first_dmpl + dmpls), [(0, 0), (0, 1), (0, 0)])
    steps = body.step_matrix.reshape(3, chain, 1 + dmpls)
    features = vectors[:, :, 1:first_dmpl].reshape(3 * (pairs + 1), featured, 9).swapaxes(1, 2)
    constant = np.concatenate([vectors[:, :, 0].ravel(), steps[:, :, 0].ravel()])
    matrix = np.zeros((len(constant), 9 * featured + dmpls), constant.dtype)
    matrix[: 3 * (pairs + 1), : 9 * featured] = features.reshape(3 * (pairs + 1), 9 * featured)
    matrix[: 3 * (pairs + 1), 9 * featured :] = vectors[:, :, first_dmpl:].reshape(3 * (pairs + 1), dmpls)
    matrix[3 * (pairs + 1) :, 9 * featured :] = steps[:, :, 1:].reshape(3 * chain, dmpls)
    return constant, matrix


def _pairs_of_joints(pair_joints: np.ndarray, joints: int) -> np.ndarray:
    """Give the pairs of each joint, (joints, most pairs of one); the number after the last pair where it has fewer."""
    counts = np.bincount(pair_joints, minlength=joints)
    firsts = np.cumsum(counts) - counts
    pairs = np.full((joints, max(counts, default=0)), len(pair_joints))
    pairs[pair_joints, np.arange(len(pair_joints)) - firsts[pair_joints]] = np.arange(len(pair_joints))
    return pairs


def _rotations_less_identity(
    vectors: Float[torch.Tensor, "3 bones frames"], dtype: torch.dtype
) -> Float[torch.Tensor, "3 3 bones frames"]:
    """Rotation vectors v to R - I (Rodrigues), with all derivatives at every angle.

    With K u = v x u and the angle a = |v|, R - I = sin(a)/a K + (1 - cos(a))/a^2 (v v^T - a^2 I). The angle itself has
    no derivative at zero; both fractions are smooth functions of its square. Only they need all digits that the
    vectors have; what follows is computed in ``dtype``.
    """
    x, y, z = vectors
    squared = x * x + y * y + z * z
    of_cross = _sinc(squared).to(dtype)
    of_outer = (0.5 * _sinc(squared / 4).square()).to(dtype)  # 1 - cos(a) = 2 sin(a/2)^2, which cancels no digits
    vectors, squared = vectors.to(dtype), squared.to(dtype)
    x, y, z = vectors
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3, *x.shape)
    identity = torch.eye(3, dtype=dtype, device=vectors.device)[:, :, None, None]
    return of_cross * cross + of_outer * (vectors[:, None] * vectors - squared * identity)


def _sinc(squared: torch.Tensor) -> torch.Tensor:
    """sin(a) / a as a function of a^2.

    Below a = 0.1 by its power series, of which the next term is below float64's spacing, for its second derivative too:
    differentiating sin(a) / a loses digits there. Each side gets harmless values where the other one is taken, for
    a derivative that is not finite spoils the sum even when it counts for nothing.
    """
    small = squared < 0.01
    s = torch.where(small, squared, 0)
    angle = torch.where(small, 1, squared).sqrt()
    series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
    return torch.where(small, series, angle.sin() / angle)


def _plus_product(start: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Add to ``start`` the product of matrices of three columns and of three rows, matrix by matrix.

    Elementwise: much faster than a product of each of so many so small matrices, and in full precision always.
    """
    for k in range(3):
        start = torch.addcmul(start, left[:, k : k + 1], right[k])
    return start


def _product(
    matrix: Float[torch.Tensor, "rows columns"], columns: Float[torch.Tensor, "columns frames"]
) -> Float[torch.Tensor, "rows frames"]:
    """Multiply a matrix of constants, to 2e-6 of the terms or better, even where the process allows coarser products.

    ``torch.set_float32_matmul_precision`` ("high", "medium") allows TF32 on GPUs and bfloat16 on CPUs, to all threads
    of the process: to set it back and forth here would be seen by the others, and is nothing that a compiler can keep.
    """
    if columns.dtype == torch.float64 or columns.device.type == "cpu":
        return (matrix.double() @ columns.double()).to(columns.dtype)  # float64 is never coarse ...
    return _product_in_halves(matrix, columns)  # ... but slow on most GPUs, and some have none


def _product_in_halves(matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Multiply in float32 so that TF32 has the digits for it: by halves.

    The fourth product, of both lower halves, is left out: it is below 1e-6 of the terms. The gradient with respect to
    ``columns`` is an ordinary product, as coarse as the process allows.
    """
    matrix_high, matrix_low = _halves(matrix)
    high, low = _halves(columns)
    with torch.autocast(columns.device.type, enabled=False):  # which float64 needs not
        return torch.cat([matrix_high, matrix_high, matrix_low], dim=1) @ torch.cat([high, low, high])


def _halves(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Write float32 values as sums of two: one of the first 11 binary digits, which TF32 keeps, one of the other 13."""
    constant = values.detach()
    high = (constant.view(torch.int32) & ~0x1FFF).view(torch.float32)
    low = constant - high
    return values - low, low  # the derivative goes through the first, which meets both halves of the matrix
