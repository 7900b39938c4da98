"""The commands that make of converted motions what trainers load. No logic, and no heavy import before one runs."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amass_joints.cli_errors import check_report, errors_for_people, wrong_usage
from amass_joints.options import (
    LeaveOut,
    LengthUnits,
    MinSeconds,
    Only,
    Order,
    Quiet,
    RootRelative,
    SkeletonName,
    Trims,
    TrimStart,
    Units,
    Up,
    UpAxis,
)

if TYPE_CHECKING:
    from amass_joints.export.report import ExportReport
    from amass_joints.skeletons import Skeleton
    from amass_joints.splits import Splits
    from amass_joints.views import Viewpoints


class ExportFormat(str, enum.Enum):
    """What trainers load (:data:`amass_joints.export.FORMATS`)."""

    uplift = "uplift"
    videopose3d = "videopose3d"
    motionbert = "motionbert"
    mmpose = "mmpose"
    hdf5 = "hdf5"
    zarr = "zarr"
    parquet = "parquet"


Sources = Annotated[list[Path], typer.Argument(metavar="SRC...", help="What convert wrote: files, or directories.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Gets what is written.")]
SkeletonOfFiles = Annotated[
    SkeletonName | None, typer.Option("--skeleton", help="What the joints are, of files that do not say it.")
]
SplitName = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="NAME", help="What each motion is used for: uplift, humor, or a .json file of globs."
    ),
]
Train = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="In place of --split: what is for training. May be repeated."),
]
Validation = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="The same for validation.")]
Test = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="The same for testing.")]
Cameras = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="S1, S5 to S9, S11: the four of this subject of Human3.6M. h36m: the four of a subject drawn for each "
        "motion. random or random:K: 4 or K of all 28, drawn for each motion. Or a .json file of cameras.",
    ),
]
Place = Annotated[
    bool, typer.Option("--place", help="Move each motion to where the cameras look: Human3.6M's place in the room.")
]
Turn = Annotated[bool, typer.Option("--turn", help="Turn each motion about the vertical by an angle that is drawn.")]
Reject = Annotated[
    bool, typer.Option("--reject", help="Draw again where a person is not wholly inside the images, up to 100 times.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]


def export(
    sources: Sources,
    format: Annotated[ExportFormat, typer.Option(help="Who is to load it. docs/ has a page on each.")],
    out: Out,
    skeleton: SkeletonOfFiles = None,
    split: SplitName = None,
    train: Train = None,
    validation: Validation = None,
    test: Test = None,
    only: Only = None,
    cameras: Cameras = None,
    place: Place = False,
    turn: Turn = False,
    reject: Reject = False,
    seed: Seed = 0,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="In the names of files that hold several datasets: data_3d_NAME.npz.")
    ] = "amass",
    clip_length: Annotated[int, typer.Option(min=1, help="Frames of a clip (motionbert).")] = 243,
    clip_stride: Annotated[int, typer.Option(min=1, help="Frames from one clip to the next (motionbert).")] = 81,
    min_seconds: MinSeconds = 0,
    trim_start: TrimStart = 0,
    trims: Trims = None,
    leave_out: LeaveOut = None,
    order: Order = None,
    up: Up = UpAxis.z,
    units: LengthUnits = Units.m,
    root_relative: RootRelative = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was exported, and what was left out, as JSON.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write converted motions in the format that a trainer loads."""
    with errors_for_people():
        from amass_joints.choices import Choices
        from amass_joints.export import display
        from amass_joints.export import export as export_motions
        from amass_joints.export.exporter import ExportOptions

        check_report(report)
        with wrong_usage():
            choices = Choices(
                order=None if order is None else order.value,
                up=up.value,
                units=units.value,
                root_relative=root_relative,
                min_seconds=min_seconds,
                trim_start=trim_start,
                trims=trims,
                leave_out=tuple(leave_out or ()),
            )
            options = ExportOptions(name=name, clip_length=clip_length, clip_stride=clip_stride)
        outcome = export_motions(
            sources,
            out,
            format.value,
            skeleton=_skeleton(skeleton),
            choices=choices,
            splits=_splits(split, {"train": train, "validation": validation, "test": test}),
            cameras=_viewpoints(cameras, place=place, turn=turn, reject=reject, seed=seed),
            only=only or (),
            options=options,
            listener=display.listener(quiet),
        )
        _tell(outcome, report, quiet)


def project(
    sources: Sources,
    cameras: Cameras,
    out: Out,
    skeleton: SkeletonOfFiles = None,
    split: SplitName = None,
    train: Train = None,
    validation: Validation = None,
    test: Test = None,
    order: Order = None,
    normalized: Annotated[
        bool, typer.Option("--normalized", help="Give 2D as networks take it: the width of the image is [-1, 1].")
    ] = False,
    place: Place = False,
    turn: Turn = False,
    reject: Reject = False,
    seed: Seed = 0,
    only: Only = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was projected, and what was left out, as JSON.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write what cameras see of converted motions: 2D, what is visible, and 3D, as plain arrays."""
    with errors_for_people():
        from amass_joints.choices import Choices
        from amass_joints.export import display
        from amass_joints.export import export as export_motions
        from amass_joints.export.exporter import ExportOptions

        check_report(report)
        outcome = export_motions(
            sources,
            out,
            "project",
            skeleton=_skeleton(skeleton),
            choices=Choices(order=None if order is None else order.value),
            splits=_splits(split, {"train": train, "validation": validation, "test": test}),
            cameras=_viewpoints(cameras, place=place, turn=turn, reject=reject, seed=seed),
            only=only or (),
            options=ExportOptions(normalized=normalized),
            listener=display.listener(quiet),
        )
        _tell(outcome, report, quiet)


def _tell(outcome: ExportReport, report: Path | None, quiet: bool) -> None:
    from amass_joints.export import display

    if not quiet:
        display.show(outcome)
    if report is not None:
        outcome.save(report)


def _skeleton(name: SkeletonName | None) -> Skeleton | None:
    from amass_joints.skeletons import skeleton_named

    return None if name is None else skeleton_named(name.value)


def _splits(name: str | None, globs: dict[str, list[str] | None]) -> Splits | None:
    from amass_joints.splits import find_splits

    given = {part: some for part, some in globs.items() if some}
    if name is not None and given:
        raise typer.BadParameter("--split says what --train, --validation and --test say: give one of them.")
    if name is not None:  # also "", of a variable that is not set
        return find_splits(name)
    return find_splits(given) if given else None


def _viewpoints(cameras: str | None, *, place: bool, turn: bool, reject: bool, seed: int) -> Viewpoints | None:
    from amass_joints.views import viewpoints

    if cameras is not None:
        return viewpoints(cameras, place=place, turn=turn, reject=reject, seed=seed)
    if place or turn or reject or seed:
        raise typer.BadParameter("--place, --turn, --reject and --seed are for what cameras see: add --cameras.")
    return None
