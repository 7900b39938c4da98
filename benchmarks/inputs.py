"""What the benchmarks of posing pose: a body, a joint regressor and a motion; the stand-ins, or real files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import amass_joints as aj
from amass_joints import demo
from amass_joints.body_models import body_model_files
from benchmarks.measuring import Cell


@dataclass(frozen=True)
class Inputs:
    """Who moves, how, and which joints are wanted."""

    body: aj.BodyModel
    regressor: aj.JointRegressor
    motion: aj.Sequence

    def frames(self, count: int) -> aj.Sequence:
        """Give so many frames of the motion, from its start; when it ends, it begins again."""
        motion, repeated = self.motion, np.arange(count) % len(self.motion.poses)
        return replace(
            motion,
            poses=motion.poses[repeated],
            trans=motion.trans[repeated],
            dmpls=None if motion.dmpls is None else motion.dmpls[repeated],
        )

    def describe(self) -> dict[str, Cell]:
        """Say what decides how much work a frame is."""
        folded = aj.fold(self.body, self.regressor)
        return {
            "regressed joints": len(folded.row_sums),
            "pairs": len(folded.pair_joints),
            "bones": len(folded.bones),
            "with pose features": len(folded.featured),
            "soft tissue": "off" if self.motion.dmpls is None else "on",
            "vertices": len(self.body.v_template),
        }


def load(sequence: Path | None, joint_regressor: Path | None, body_models: Path | None) -> Inputs:
    """Take the files that are given, and for the others the demo's stand-ins: its walk of 2,400 frames.

    Raises:
        InputError: a file cannot be used.
    """
    with tempfile.TemporaryDirectory() as directory:
        stand_ins = Path(directory)
        bodies = demo.write_support_data(stand_ins)
        demo.write_motions(stand_ins / "data", bodies)
        motion = aj.read_sequence(sequence or stand_ins / "data/Gait/01/walk_poses.npz")
        if not isinstance(motion, aj.Sequence):
            raise aj.InputError(f"{sequence}: {motion}")
        files = body_model_files(body_models or stand_ins / "body_models", dmpls=True)["smplh", motion.gender]
        return Inputs(
            body=aj.load_body_model(files.body, files.dmpls),
            regressor=aj.load_regressor(joint_regressor or stand_ins / "J_regressor_h36m.npy"),
            motion=motion,
        )
