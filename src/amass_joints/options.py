"""The options of the command line that several commands have, and the values that they may take."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer


class Dtype(str, enum.Enum):
    """Output number formats."""

    float32 = "float32"
    float64 = "float64"


class JointSet(str, enum.Enum):
    """Sets of joints of the kinematic tree."""

    body = "body"
    smplh = "smplh"
    smplx = "smplx"


class Release(str, enum.Enum):
    """AMASS's releases."""

    smplh = "smplh"
    smplx = "smplx"


class OutputFormat(str, enum.Enum):
    """Formats of the output."""

    npz = "npz"
    npz_flat = "npz-flat"
    npz_stored = "npz-stored"


class SkeletonName(str, enum.Enum):
    """Skeletons (:data:`amass_joints.skeletons.SKELETONS`)."""

    h36m17_spin = "h36m17-spin"
    h36m17 = "h36m17"
    h36m17_uplift = "h36m17-uplift"
    h36m32 = "h36m32"
    coco17 = "coco17"
    body22 = "body22"
    smpl24 = "smpl24"
    smplh52 = "smplh52"
    smplx55 = "smplx55"


class UpAxis(str, enum.Enum):
    """Axes that may point up."""

    z = "z"
    y = "y"


class Units(str, enum.Enum):
    """Units of length."""

    m = "m"
    mm = "mm"


AmassDir = Annotated[
    Path, typer.Option("--amass-dir", "--amass_dir", help="Holds DATASET/SUBJECT/SEQUENCE_poses.npz, or archives.")
]
Regressor = Annotated[
    Path | None,
    typer.Option(
        "--joint-regressor",
        "--joint_regressor",
        help="A matrix (joints, 6890), or (joints, 10475) for SMPL-X: .npy, or sparse .npz.",
    ),
]
Joints = Annotated[
    JointSet | None,
    typer.Option(help="In place of a regressor: joints straight from the kinematic tree, 22, 52 or 55."),
]
SkeletonOfRows = Annotated[
    SkeletonName | None,
    typer.Option("--skeleton", help="What the joints are. Default: found out from where they lie on the body."),
]
NormalizeRows = Annotated[
    bool,
    typer.Option("--normalize-rows", help="Make each row of the regressor sum to 1; those of real files do not quite."),
]
BodyModels = Annotated[
    Path | None,
    typer.Option(
        "--body-models",
        help="Holds smplh/ and dmpls/, and smplx/ or smpl/. Default: $AMASS_JOINTS_BODY_MODELS, or body_models/ "
        "beside the regressor, or support_data/body_models here or one folder up.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Only these: globs on dataset/subject/sequence. May be repeated."),
]
Prefer = Annotated[Release, typer.Option(help="Which one is taken of a motion that is there as SMPL+H and as SMPL-X.")]
KeepNames = Annotated[
    bool, typer.Option("--keep-names", help="Name outputs as directories and archives are, not canonically.")
]
FixFrameRates = Annotated[
    bool, typer.Option("--fix-frame-rates", help="Replace frame rates that files are known to give wrongly.")
]
NoDmpls = Annotated[bool, typer.Option("--no-dmpls", help="Do without soft tissue.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Sequences worked on at a time. Default: the cores at hand. Changes no result."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors and warnings alone.")]

# How joints are given: the fields of amass_joints.choices.Choices.
Order = Annotated[SkeletonName | None, typer.Option(help="Give the joints in the order of this skeleton.")]
Up = Annotated[UpAxis, typer.Option(help="The axis that points up.")]
LengthUnits = Annotated[Units, typer.Option("--units", help="Metres or millimetres.")]
RootRelative = Annotated[bool, typer.Option("--root-relative", help="Make each frame's pelvis the origin.")]
MinSeconds = Annotated[float, typer.Option(min=0, help="Leave out motions that are shorter.")]
TrimStart = Annotated[float, typer.Option(min=0, help="Seconds that are cut off at the start of each motion.")]
Trims = Annotated[
    str | None, typer.Option(metavar="NAME", help="Cut off what others do at the ends: humor or humanml3d.")
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help="Leave out motions of a known kind: treadmill or skating. May be repeated."),
]
