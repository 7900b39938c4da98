"""The command line: commands and their options. No logic, and no heavy import before a command runs."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from amass_joints.errors import InputError

app = typer.Typer(
    name="amass-joints",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="AMASS motion capture as joints: exact, and without a mesh.",
)


class Dtype(str, enum.Enum):
    """Output number formats."""

    float32 = "float32"
    float64 = "float64"


def _frame_rate(value: float | None) -> float | None:
    if value is not None:
        from amass_joints.sequences import FRAME_RATES

        lowest, highest = FRAME_RATES
        if not lowest <= value <= highest:
            raise typer.BadParameter(f"{value:g} Hz is no frame rate; give {lowest:g} to {highest:g}, such as 50.")
    return value


def _device(value: str) -> str:
    kind, _, index = value.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise typer.BadParameter(f"'{value}' is not a device; give cpu, cuda or cuda:N.")
    return value


def _gpu_id(value: str | None) -> str | None:
    """Accept what the known converter puts in CUDA_VISIBLE_DEVICES: a number, several, or none."""
    if value in (None, "", "-1"):
        return value
    first, *_ = numbers = value.split(",")
    if not all(number.isdecimal() for number in numbers):
        raise typer.BadParameter(f"'{value}' is not the number of a GPU; give one, such as 0, or leave it out.")
    return first


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
    amass_dir: Annotated[
        Path, typer.Option("--amass-dir", "--amass_dir", help="Holds DATASET/SUBJECT/SEQUENCE_poses.npz.")
    ],
    out_dir: Annotated[Path, typer.Option("--out-dir", "--out_dir", help="Gets DATASET.npz.")],
    joint_regressor: Annotated[
        Path,
        typer.Option("--joint-regressor", "--joint_regressor", help="A matrix (joints, 6890): .npy, or sparse .npz."),
    ],
    body_models: Annotated[
        Path | None,
        typer.Option(
            "--body-models",
            help="Holds smplh/ and dmpls/. Default: $AMASS_JOINTS_BODY_MODELS, or body_models/ beside the regressor, "
            "or support_data/body_models here or one folder up.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", "--r", callback=_frame_rate, help="Target frame rate, Hz. Default: each sequence's own."
        ),
    ] = None,
    device: Annotated[str, typer.Option(callback=_device, help="cpu, cuda or cuda:N.")] = "cpu",
    gpu_id: Annotated[
        str | None,
        typer.Option("--gpu-id", "--gpu_id", callback=_gpu_id, help="N is --device cuda:N."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "--batch_size", min=1, help="Frames a GPU takes at once. Changes no result.")
    ] = 2048,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Sequences converted at a time. Default: the cores at hand. Changes no result."),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Of the arithmetic and the joints.")] = Dtype.float32,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only these: globs on dataset/subject/sequence. May be repeated."),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave datasets that have their file.")
    ] = False,
    no_dmpls: Annotated[bool, typer.Option("--no-dmpls", help="Do without soft tissue.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any sequence was skipped.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was done, with what, and what was skipped, as JSON."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and warnings alone.")] = False,
) -> None:
    """Convert AMASS sequences to joints, one file per dataset."""
    with _errors_for_people():
        from amass_joints import display
        from amass_joints.convert import Settings, convert_tree
        from amass_joints.files import check_writable

        if gpu_id is not None:
            device = "cpu" if gpu_id in ("", "-1") else f"cuda:{gpu_id}"
        if report is not None:
            check_writable(report.absolute().parent)
        with display.listener(quiet) as listener:
            outcome = convert_tree(
                amass_dir,
                out_dir,
                joint_regressor,
                body_models=body_models,
                settings=Settings(
                    rate=rate, dtype=dtype.value, dmpls=not no_dmpls, device=device, batch_size=batch_size
                ),
                only=only or (),
                skip_existing=skip_existing,
                workers=workers,
                listener=listener,
            )
        if report is not None:
            outcome.save(report)
        if not quiet:
            display.show(outcome)
    if strict and outcome.skipped:
        raise typer.Exit(3)


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Gets the stand-ins and their joints.")] = Path(
        "amass-joints-demo"
    ),
) -> None:
    """Write stand-in bodies and motions, and convert them: the whole program, with no licensed file."""
    with _errors_for_people():
        from amass_joints.demo import run

        run(directory)


@contextmanager
def _errors_for_people() -> Iterator[None]:
    """Print what users can put right as one message, and end with the exit code for it."""
    try:
        yield
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}.")
    except KeyboardInterrupt:
        print("Interrupted. Datasets that were finished are complete; nothing is half-written.", file=sys.stderr)
        raise typer.Exit(130) from None


def _fail(message: str) -> None:
    from amass_joints.display import printable

    print(f"Error: {printable(message)}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    """Run the program."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names need not fit the terminal
    app()


if __name__ == "__main__":
    main()
