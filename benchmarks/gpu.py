"""How fast poses become joints on a GPU: ours and the baselines, at large batches.

Two tables: from NumPy's memory and back, as in a conversion; and with everything on the GPU, as in a training loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from torch import Tensor

import amass_joints as aj
from amass_joints import executors
from amass_joints.nn import RegressedJoints
from benchmarks.baselines import available, on_device
from benchmarks.inputs import Inputs
from benchmarks.kernel import all_cores, baselines, one_core
from benchmarks.measuring import Result
from benchmarks.posing import Absent, Contender, compare


def gpu(inputs: Inputs, device: str, rounds: int, frames: Sequence[int], batch_sizes: Sequence[int]) -> Result:
    """Measure ours, with so many frames a call, and the baselines at these batch sizes."""
    torch.backends.cuda.matmul.allow_tf32 = False
    single = one_core(inputs, "float32")
    with closing(executors.run(lambda _: single.pose(), range(10**9), executors.cores_at_hand())) as joints:
        mine = [_from_host(inputs, device, count) for count in frames]
        contenders = [all_cores(single, joints), *mine, *baselines(inputs, device, batch_sizes)]
        title = f"Poses to joints, from NumPy's memory and back ({device})"
        from_host = compare(title, contenders, mine[-1].title, inputs, rounds)
    mine = [_on_device(inputs, device, count) for count in frames]
    contenders = [*mine, *_baselines_on_device(inputs, device, batch_sizes)]
    title = f"Poses to joints, all on the device ({device})"
    resident = compare(title, contenders, mine[-1].title, inputs, rounds)
    return Result("gpu", {"device": device, **inputs.describe()}, (from_host, resident))


def _from_host(inputs: Inputs, device: str, frames: int) -> Contender:
    motion = inputs.frames(frames)
    shaped = aj.fold(inputs.body, inputs.regressor).with_shape(motion.betas, "float32")
    pose = partial(shaped.pose, motion.poses, motion.trans, motion.dmpls, device=device)
    return Contender("ours, ShapedBody.pose", device, frames, pose, pose)


def _on_device(inputs: Inputs, device: str, frames: int) -> Contender:
    motion = inputs.frames(frames)
    module = RegressedJoints(aj.fold(inputs.body, inputs.regressor), dtype=torch.float32).to(device)
    arrays = {"poses": motion.poses, "trans": motion.trans, "betas": motion.betas, "dmpls": motion.dmpls}
    tensors = {
        name: torch.as_tensor(array, dtype=torch.float32, device=device)
        for name, array in arrays.items()
        if array is not None
    }
    return _resident("ours, RegressedJoints", device, frames, partial(module, **tensors))


def _baselines_on_device(inputs: Inputs, device: str, batch_sizes: Sequence[int]) -> list[Contender | Absent]:
    found, absent = available(inputs, device)
    contenders: list[Contender | Absent] = [Absent(name, reason) for name, reason in absent.items()]
    for baseline in found:
        for size in batch_sizes:
            run = partial(baseline, *on_device(inputs.frames(size), baseline))
            contenders.append(_resident(baseline.name, device, size, run, baseline.soft_tissue))
    return contenders


def _resident(name: str, device: str, frames: int, run: Callable[[], Tensor], soft_tissue: bool = True) -> Contender:
    """Set up what takes tensors on the device to tensors there: a call ends when the device is done."""

    @torch.inference_mode()
    def pose() -> Tensor:
        joints = run()
        if joints.is_cuda:
            torch.cuda.synchronize(joints.device)
        return joints

    def joints() -> np.ndarray:
        array: np.ndarray = pose().cpu().numpy()
        return array

    return Contender(name, device, frames, pose, joints, soft_tissue)
