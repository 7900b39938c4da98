"""How fast poses become joints on the CPU: ours, on one core and on all, and the baselines on all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Literal

import amass_joints as aj
from amass_joints import executors
from amass_joints.executors import cores_at_hand
from benchmarks.inputs import Inputs
from benchmarks.measuring import Result
from benchmarks.posing import Absent, Contender, compare

FRAMES = 1200
"""Of a sequence: what is usual in AMASS."""

SEQUENCES_PER_CORE = 32
"""In one call, where all cores work."""


def kernel(inputs: Inputs, rounds: int, batch_sizes: Sequence[int]) -> Result:
    """Measure ours and the baselines."""
    single = one_core(inputs, "float32")
    with closing(executors.run(lambda _: single.pose(), range(10**9), cores_at_hand())) as joints:
        on_all = all_cores(single, joints)
        ours = [single, on_all, one_core(inputs, "float64")]
        contenders = [*ours, *baselines(inputs, "cpu", batch_sizes)]
        table = compare("Poses to joints on the CPU", contenders, on_all.title, inputs, rounds)
    return Result("kernel", inputs.describe(), (table,))


def one_core(inputs: Inputs, dtype: Literal["float32", "float64"]) -> Contender:
    """Set up ours, one sequence at a time."""
    motion = inputs.frames(FRAMES)
    shaped = aj.fold(inputs.body, inputs.regressor).with_shape(motion.betas, dtype)
    pose = partial(shaped.pose, motion.poses, motion.trans, motion.dmpls)
    return Contender(f"ours, {dtype}", "1 core", FRAMES, pose, pose, blas_threads=1)


def all_cores(single: Contender, joints: Iterator[object]) -> Contender:
    """Set up ours, as many sequences at a time as there are cores, in workers as a conversion has them."""
    cores = cores_at_hand()
    sequences = SEQUENCES_PER_CORE * cores

    def pose() -> None:
        for _ in range(sequences):
            next(joints)

    return replace(single, where=f"{cores} cores", frames=sequences * FRAMES, pose=pose)


def baselines(inputs: Inputs, device: str, batch_sizes: Sequence[int]) -> list[Contender | Absent]:
    """Set up each baseline at each batch size, from NumPy's memory and back."""
    try:
        from benchmarks.baselines import available, from_host
    except ImportError as error:
        return [Absent("whole mesh, smplx, smplfitter", str(error))]
    where = f"{cores_at_hand()} cores" if device == "cpu" else device
    found, absent = available(inputs, device)
    contenders: list[Contender | Absent] = [Absent(name, reason) for name, reason in absent.items()]
    for baseline in found:
        for size in batch_sizes:
            pose = partial(from_host, baseline, inputs.frames(size))
            contenders.append(Contender(baseline.name, where, size, pose, pose, baseline.soft_tissue))
    return contenders
