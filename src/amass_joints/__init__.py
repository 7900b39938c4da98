"""AMASS motion capture as joints: exact, and without a mesh.

The stages, for use as a library::

    body = amass_joints.load_body_model("smplh/male/model.npz", "dmpls/male/model.npz")
    regressor = amass_joints.load_regressor("J_regressor_h36m.npy")
    folded = amass_joints.fold(body, regressor)                    # once per body
    shaped = folded.with_shape(betas)                              # once per sequence
    positions_3d = shaped.pose(poses, trans, dmpls)                # (frames, joints, 3), metres

For losses: :class:`RegressedJoints`, the same as a ``torch.nn.Module``. For training on what was converted:
:class:`PoseSequences`. For whole files and trees:
:func:`convert_file`, :func:`convert_tree`. For their results: :func:`load`, :func:`read_metadata`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amass_joints.body_models import BodyModel, load_body_model
    from amass_joints.choices import Choices
    from amass_joints.conversion import Converted, Settings
    from amass_joints.convert import convert_file, convert_tree
    from amass_joints.datasets import load, read_metadata
    from amass_joints.errors import InputError
    from amass_joints.folding import FoldedBody, ShapedBody, fold
    from amass_joints.metadata import Metadata
    from amass_joints.nn import RegressedJoints as RegressedJoints
    from amass_joints.regressors import JointRegressor, load_regressor
    from amass_joints.report import Report
    from amass_joints.sequences import NotASequence, Sequence, Skipped, read_sequence
    from amass_joints.skeletons import Skeleton
    from amass_joints.training import PoseSequences as PoseSequences

__all__ = [
    "BodyModel",
    "Choices",
    "Converted",
    "FoldedBody",
    "InputError",
    "JointRegressor",
    "Metadata",
    "NotASequence",
    "Report",
    "Sequence",
    "Settings",
    "ShapedBody",
    "Skeleton",
    "Skipped",
    "convert_file",
    "convert_tree",
    "fold",
    "load",
    "load_body_model",
    "load_regressor",
    "read_metadata",
    "read_sequence",
]

_HOMES = {
    "body_models": ("BodyModel", "load_body_model"),
    "choices": ("Choices",),
    "conversion": ("Converted", "Settings"),
    "convert": ("convert_file", "convert_tree"),
    "datasets": ("load", "read_metadata"),
    "errors": ("InputError",),
    "folding": ("FoldedBody", "ShapedBody", "fold"),
    "metadata": ("Metadata",),
    "nn": ("RegressedJoints",),
    "regressors": ("JointRegressor", "load_regressor"),
    "report": ("Report",),
    "sequences": ("NotASequence", "Sequence", "Skipped", "read_sequence"),
    "skeletons": ("Skeleton",),
    "training": ("PoseSequences",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts at once."""
    for module, names in _HOMES.items():
        if name in names:
            try:
                return getattr(importlib.import_module(f"{__name__}.{module}"), name)
            except ModuleNotFoundError as error:
                raise AttributeError(f"{name} needs {error.name}: pip install 'amass-joints[torch]'") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
