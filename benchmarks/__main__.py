"""``python -m benchmarks kernel`` and ``python -m benchmarks exactness``.

Both take the stand-in body, regressor and walk, or real files where they are given. Nothing here is a test: figures
are printed, not judged.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from threadpoolctl import threadpool_limits

import amass_joints as aj
from amass_joints import demo, mesh
from amass_joints.body_models import body_model_files

app = typer.Typer(help=__doc__, add_completion=False)

SequenceOption = Annotated[Path | None, typer.Option("--sequence", help="An AMASS file; default: the stand-in's walk.")]
RegressorOption = Annotated[Path | None, typer.Option("--joint-regressor", help="Default: the stand-in's.")]
BodyModelsOption = Annotated[Path | None, typer.Option("--body-models", help="Default: the stand-ins.")]

FRAMES = 1200
"""Of a round of the kernel benchmark: a usual AMASS sequence."""


@app.command()
def kernel(
    sequence: SequenceOption = None,
    joint_regressor: RegressorOption = None,
    body_models: BodyModelsOption = None,
    rounds: int = 15,
) -> None:
    """Measure frames/s of the CPU kernel on one core: 1,200 frames with soft tissue, float32."""
    body, regressor, motion = _inputs(sequence, joint_regressor, body_models)
    folded = aj.fold(body, regressor)
    shaped = folded.with_shape(motion.betas)
    repeated = np.arange(FRAMES) % len(motion.poses)
    poses, trans = motion.poses[repeated], motion.trans[repeated]
    dmpls = None if motion.dmpls is None else motion.dmpls[repeated]
    speeds = []
    with threadpool_limits(1, user_api="blas"):
        shaped.pose(poses, trans, dmpls)  # compiles
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in range(20):
                shaped.pose(poses, trans, dmpls)
            speeds.append(20 * FRAMES / (time.perf_counter() - started))
    print(_machine())
    print(
        f"{len(folded.row_sums)} regressed joints, {len(folded.pair_joints)} pairs, {len(folded.bones)} bones, "
        f"{len(folded.featured)} with pose features, soft tissue {'on' if dmpls is not None else 'off'}"
    )
    print(
        f"frames/s on one core, {rounds} rounds: median {statistics.median(speeds):,.0f}, "
        f"{min(speeds):,.0f} to {max(speeds):,.0f}"
    )


@app.command()
def exactness(
    sequence: SequenceOption = None,
    joint_regressor: RegressorOption = None,
    body_models: BodyModelsOption = None,
    every: Annotated[int, typer.Option(min=1, help="Compare every n-th frame: the mesh is slow.")] = 10,
) -> None:
    """Measure the largest difference between our joints and those of the whole mesh, posed in float64."""
    body, regressor, motion = _inputs(sequence, joint_regressor, body_models)
    poses, trans = motion.poses[::every], motion.trans[::every]
    dmpls = None if motion.dmpls is None else motion.dmpls[::every]
    expected = []
    for frame in range(len(poses)):  # one at a time: the meshes of all would take much memory
        here = slice(frame, frame + 1)
        vertices = mesh.pose_mesh(body, motion.betas, poses[here], trans[here], None if dmpls is None else dmpls[here])
        expected.append(mesh.regress(regressor, vertices)[0])
    print(f"{len(poses)} frames, {len(expected[0])} joints, largest difference from the float64 mesh:")
    for dtype in ("float32", "float64"):
        joints = aj.fold(body, regressor).with_shape(motion.betas, dtype).pose(poses, trans, dmpls)
        print(f"  {dtype}: {np.abs(joints - np.array(expected)).max():.1e} m")


def _inputs(
    sequence: Path | None, joint_regressor: Path | None, body_models: Path | None
) -> tuple[aj.BodyModel, aj.JointRegressor, aj.Sequence]:
    with tempfile.TemporaryDirectory() as directory:
        stand_ins = Path(directory)
        bodies = demo.write_support_data(stand_ins)
        demo.write_motions(stand_ins / "data", bodies)
        motion = aj.read_sequence(sequence or stand_ins / "data/Gait/01/walk_poses.npz")
        if not isinstance(motion, aj.Sequence):
            raise SystemExit(f"{sequence}: {motion}")
        files = body_model_files(body_models or stand_ins / "body_models", dmpls=True)[motion.gender]
        body = aj.load_body_model(files.body, files.dmpls)
        return body, aj.load_regressor(joint_regressor or stand_ins / "J_regressor_h36m.npy"), motion


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux's; elsewhere Python knows the family at least
    models = re.findall("model name.*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else [platform.processor()]
    return f"{models[0]} ({os.cpu_count()} cores), Python {platform.python_version()}, NumPy {np.__version__}"


if __name__ == "__main__":
    app()
