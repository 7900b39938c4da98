"""The command line: commands and their options. No logic, and no heavy import before a command runs."""

from __future__ import annotations

import gc
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from amass_joints import cli_export
from amass_joints.cli_errors import check_report, errors_for_people, wrong_usage
from amass_joints.options import (
    AmassDir,
    BodyModels,
    Dtype,
    FixFrameRates,
    Joints,
    JointSet,
    KeepNames,
    LeaveOut,
    LengthUnits,
    MinSeconds,
    NoDmpls,
    NormalizeRows,
    Only,
    Order,
    OutputFormat,
    Prefer,
    Quiet,
    Regressor,
    Release,
    RootRelative,
    SkeletonName,
    SkeletonOfRows,
    Trims,
    TrimStart,
    Units,
    Up,
    UpAxis,
    Workers,
)

app = typer.Typer(
    name="amass-joints",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="AMASS motion capture as joints: exact, and without a mesh.",
)


@app.callback(invoke_without_command=True)
def amass_joints(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """AMASS motion capture as joints: exact, and without a mesh."""
    if version:
        import importlib.metadata

        print(importlib.metadata.version("amass-joints"))
        raise typer.Exit


@app.command()
def convert(
    amass_dir: AmassDir,
    out_dir: Annotated[Path, typer.Option("--out-dir", "--out_dir", help="Gets DATASET.npz.")],
    joint_regressor: Regressor = None,
    joints: Joints = None,
    skeleton: SkeletonOfRows = None,
    normalize_rows: NormalizeRows = False,
    body_models: BodyModels = None,
    rate: Annotated[
        float | None, typer.Option("--rate", "--r", help="Target frame rate, Hz. Default: each sequence's own.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N. Default: cpu.")] = None,
    gpu_id: Annotated[str | None, typer.Option("--gpu-id", "--gpu_id", help="N is --device cuda:N.")] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            "--batch_size",
            min=1,
            help="Accepted, and not needed: no result depends on it.",
        ),
    ] = 2048,
    workers: Workers = None,
    dtype: Annotated[Dtype, typer.Option(help="Of the arithmetic and the joints.")] = Dtype.float32,
    format: Annotated[
        OutputFormat,
        typer.Option(
            help="npz: as AMASS-to-3DHPE writes it, with a pickle. npz-flat: plain arrays, with none. npz-stored: "
            "those, not compressed, to be mapped into memory."
        ),
    ] = OutputFormat.npz,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only these: globs on dataset/subject/sequence. May be repeated. Outputs then hold these alone.",
        ),
    ] = None,
    order: Order = None,
    up: Up = UpAxis.z,
    units: LengthUnits = Units.m,
    root_relative: RootRelative = False,
    min_seconds: MinSeconds = 0,
    trim_start: TrimStart = 0,
    trims: Trims = None,
    leave_out: LeaveOut = None,
    prefer: Prefer = Release.smplh,
    keep_names: KeepNames = False,
    fix_frame_rates: FixFrameRates = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave datasets that have their file.")
    ] = False,
    no_dmpls: NoDmpls = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Compare a random frame of each sequence with the whole mesh; exit with 3 if wrong."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any sequence was skipped.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was done, with what, and what was skipped, as JSON."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Convert AMASS sequences to joints, one file per dataset."""
    del batch_size
    with errors_for_people():
        from amass_joints import display
        from amass_joints.choices import Choices
        from amass_joints.conversion import Settings
        from amass_joints.convert import convert_tree

        with wrong_usage():
            settings = Settings(
                rate=rate,
                dtype=dtype.value,
                dmpls=not no_dmpls,
                device=_device(device, gpu_id),
                fix_frame_rates=fix_frame_rates,
                normalize_rows=normalize_rows,
                verify=verify,
                choices=Choices(
                    order=None if order is None else order.value,
                    up=up.value,
                    units=units.value,
                    root_relative=root_relative,
                    min_seconds=min_seconds,
                    trim_start=trim_start,
                    trims=trims,
                    leave_out=tuple(leave_out or ()),
                ),
            )
        _check_joints(joint_regressor, joints, skeleton, normalize_rows)
        check_report(report)
        with display.listener(quiet) as listener:
            outcome = convert_tree(
                amass_dir,
                out_dir,
                joint_regressor,
                joints=None if joints is None else joints.value,
                skeleton=None if skeleton is None else skeleton.value,
                body_models=body_models,
                settings=settings,
                only=only or (),
                keep_names=keep_names,
                prefer=prefer.value,
                output_format=format.value,
                skip_existing=skip_existing,
                workers=workers,
                listener=listener,
            )
        if not quiet:
            display.show(outcome)
        display.show_wrong(outcome)
        if report is not None:
            outcome.save(report)
    if (strict and outcome.skipped) or outcome.wrong:
        raise typer.Exit(3)


@app.command()
def verify(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT", help="What convert wrote: DATASET.npz.")],
    amass_dir: AmassDir,
    joint_regressor: Regressor = None,
    joints: Joints = None,
    skeleton: SkeletonOfRows = None,
    normalize_rows: NormalizeRows = False,
    body_models: BodyModels = None,
    frames_per_sequence: Annotated[
        int, typer.Option("--frames-per-sequence", min=1, help="How many random frames of each are compared.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the random frames.")] = 0,
    workers: Workers = None,
    only: Only = None,
    prefer: Prefer = Release.smplh,
    keep_names: KeepNames = False,
    fix_frame_rates: FixFrameRates = False,
    no_dmpls: NoDmpls = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was found, as JSON.")] = None,
    quiet: Quiet = False,
) -> None:
    """Check converted datasets against the whole mesh, posed in float64, at random frames. Exits with 3 if they differ.

    Take the options that they were converted with.
    """
    with errors_for_people():
        from amass_joints import display
        from amass_joints.conversion import Settings
        from amass_joints.verify import verify_tree

        _check_joints(joint_regressor, joints, skeleton, normalize_rows)
        check_report(report)
        with display.listener(quiet) as listener:
            verification = verify_tree(
                out_dir,
                amass_dir,
                joint_regressor,
                joints=None if joints is None else joints.value,
                skeleton=None if skeleton is None else skeleton.value,
                body_models=body_models,
                settings=Settings(dmpls=not no_dmpls, fix_frame_rates=fix_frame_rates, normalize_rows=normalize_rows),
                only=only or (),
                keep_names=keep_names,
                prefer=prefer.value,
                frames_per_sequence=frames_per_sequence,
                seed=seed,
                workers=workers,
                listener=listener,
            )
        display.show_verification(verification, quiet)
        if report is not None:
            verification.save(report)
    if not verification.passed:
        raise typer.Exit(3)


app.command()(cli_export.export)
app.command()(cli_export.project)


@app.command()
def scan(
    amass_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Holds DATASET/SUBJECT/SEQUENCE_poses.npz.")],
    only: Only = None,
    body_models: BodyModels = None,
    prefer: Prefer = Release.smplh,
    keep_names: KeepNames = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what is in a tree, what would be converted, skipped, and why, as far as headers tell, and what that needs."""
    with errors_for_people():
        from amass_joints import display
        from amass_joints.scan import as_json, model_files, scan_tree, total

        scans = scan_tree(amass_dir, only or (), keep_names=keep_names, prefer=prefer.value)
        usual = Path("support_data", "J_regressor_h36m.npy")
        regressor = next((one for one in (amass_dir.parent / usual, usual, ".." / usual) if one.is_file()), usual)
        files = model_files(total(scans), body_models, regressor)
        options = {"--amass-dir": amass_dir, "--out-dir": "joints", "--joint-regressor": regressor}
        words = [f"{name} {shlex.quote(str(value))}" for name, value in options.items()]
        words += [f"--body-models {shlex.quote(str(body_models))}"] if body_models else []
        words += [f"--only {shlex.quote(glob)}" for glob in only or ()]
        words += ["--keep-names"] if keep_names else []
        words += [f"--prefer {prefer.value}"] if prefer is not Release.smplh else []
        command = " ".join(["amass-joints convert", *words, "--rate 50"])
        if json:
            from json import dumps

            for line in dumps(as_json(scans, files, command), indent=2).splitlines():
                display.say(line)
            return
        display.show_scan(scans, files, command)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Gets the stand-ins and their joints.")] = Path(
        "amass-joints-demo"
    ),
) -> None:
    """Write stand-in bodies and motions, and convert them: the whole program, with no licensed file."""
    with errors_for_people():
        from amass_joints.demo import run

        run(directory)


def _check_joints(
    joint_regressor: Path | None, joints: JointSet | None, skeleton: SkeletonName | None, normalize_rows: bool
) -> None:
    if (joint_regressor is None) == (joints is None):
        raise typer.BadParameter("give one of --joint-regressor (--joint_regressor) and --joints.")
    if skeleton is not None and joints is not None:
        raise typer.BadParameter("--skeleton says what a regressor's rows are: --joints have their names.")
    if normalize_rows and joints is not None:
        raise typer.BadParameter("--normalize-rows is for a regressor: --joints have no rows.")


def _device(device: str | None, gpu_id: str | None) -> str:
    """Make one of the two; a GPU's number is what the known converter puts in CUDA_VISIBLE_DEVICES."""
    if device is not None and gpu_id is not None:
        raise typer.BadParameter("--device and --gpu_id say the same thing: give one of them.")
    if gpu_id is None:
        return device or "cpu"
    if gpu_id in ("", "-1"):
        return "cpu"
    numbers = gpu_id.split(",")
    if not all(number.isdecimal() for number in numbers):
        raise typer.BadParameter(f"'{gpu_id}' is not the number of a GPU; give one, such as 0, or leave it out.")
    return f"cuda:{numbers[0]}"


def main() -> None:
    """Run the program."""
    _start_lightly()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a scheduler may have closed it
            stream.reconfigure(errors="backslashreplace")  # names need not fit the terminal
    try:
        app()
    finally:
        gc.freeze()  # or the end of the process would look through all objects once more


def _start_lightly() -> None:
    """Leave out what would make the start of this process longer, and is of no use in it."""
    gc.set_threshold(100_000)  # imports make many objects, and no garbage
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the work is shared out among workers
