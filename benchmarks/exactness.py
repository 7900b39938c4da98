"""How exact our joints are: their largest difference from those of the whole mesh, posed in float64."""

from __future__ import annotations

import numpy as np

import amass_joints as aj
from amass_joints import mesh
from benchmarks.inputs import Inputs
from benchmarks.measuring import Cell, Result, Table


def exactness(inputs: Inputs, every: int) -> Result:
    """Compare every n-th frame: the mesh is slow."""
    motion = inputs.motion
    poses, trans = motion.poses[::every], motion.trans[::every]
    dmpls = None if motion.dmpls is None else motion.dmpls[::every]
    expected = []
    for frame in range(len(poses)):  # one at a time: the meshes of all would take much memory
        here = slice(frame, frame + 1)
        soft_tissue = None if dmpls is None else dmpls[here]
        vertices = mesh.pose_mesh(inputs.body, motion.betas, poses[here], trans[here], soft_tissue)
        expected.append(mesh.regress(inputs.regressor, vertices)[0])
    folded = aj.fold(inputs.body, inputs.regressor)
    rows: list[dict[str, Cell]] = []
    for dtype in ("float32", "float64"):
        joints = folded.with_shape(motion.betas, dtype).pose(poses, trans, dmpls)
        rows.append({"ours": dtype, "largest difference, m": float(np.abs(joints - np.array(expected)).max())})
    table = Table(f"{len(poses)} frames", tuple(rows), ("From the whole mesh in float64.",))
    return Result("exactness", inputs.describe(), (table,))
