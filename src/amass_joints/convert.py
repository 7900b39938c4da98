"""The story of the program: one sequence; one dataset; a whole tree.

A sequence is one job. It takes its body and, block by block, reads its file, poses the frames that the target frame
rate looks at, and blends them; no job needs another. A dataset is its sequences, written as they come. A tree is its
datasets.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from amass_joints import executors, kernels
from amass_joints.bodies import FoldedBodies
from amass_joints.body_models import find_body_models
from amass_joints.datasets import DatasetWriter, Positions
from amass_joints.errors import InputError
from amass_joints.files import check_target, check_writable
from amass_joints.finding import Dataset, SequenceFile, SkippedSequence, as_globs, find_datasets
from amass_joints.regressors import load_regressor
from amass_joints.report import ConvertedSequence, DatasetReport, Listener, Report
from amass_joints.resample import resample
from amass_joints.sequences import FRAME_RATES, NotASequence, OpenSequence, Skipped, use_sequence

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Settings:
    """How sequences are converted."""

    rate: float | None = None
    """Target frame rate, Hz; None: each sequence's own."""
    dtype: Literal["float32", "float64"] = "float32"
    """Of the arithmetic and the result."""
    dmpls: bool = True
    """Whether soft tissue is used where a sequence has it."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with an :class:`InputError`."""
        lowest, highest = FRAME_RATES
        if self.rate is not None and not lowest <= self.rate <= highest:
            raise InputError(f"the target frame rate is {self.rate:g} Hz, expected {lowest:g} to {highest:g} Hz.")
        if self.dtype not in ("float32", "float64"):
            raise InputError(f"the dtype is '{self.dtype}', expected float32 or float64.")
        if not re.fullmatch("cpu|cuda(:[0-9]+)?", self.device):
            raise InputError(f"the device is '{self.device}', expected cpu, cuda or cuda:N.")


@dataclass(frozen=True)
class Converted:
    """One sequence as joints."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up; joints in the order of the regressor's rows."""
    frame_rate: float
    """Hz."""
    gender: str
    """Of the body model that was used."""
    soft_tissue: bool
    """Whether DMPLs were used."""
    source_frames: int
    """How many frames the file has."""
    source_frame_rate: float
    """Hz, as the file says."""


Outcome: TypeAlias = "Converted | Skipped | NotASequence"


def convert_sequence(path: Path, bodies: FoldedBodies, settings: Settings) -> Outcome:
    """Convert one sequence file, block by block: memory is needed for the result alone."""
    return use_sequence(path, lambda sequence: _convert(sequence, bodies, settings), dmpls=settings.dmpls)


def _convert(sequence: OpenSequence, bodies: FoldedBodies, settings: Settings) -> Converted | Skipped:
    source = sequence.summary
    body = bodies.get(source.gender, soft_tissue=source.has_dmpls)
    if isinstance(body, Skipped):
        return body
    resampling = resample(source.frames, source.frame_rate, settings.rate)
    if not resampling.num_frames:
        return Skipped(
            f"too short: {source.frames} frames at {source.frame_rate:g} Hz give none at {settings.rate:g} Hz"
        )
    positions = np.empty((resampling.num_frames, len(body.row_sums), 3), settings.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is skipped below
        shaped = body.with_shape(sequence.read_betas(), settings.dtype)
        for block in sequence.read_blocks():
            executors.end_if_unwanted()
            blend = resampling.within(block.start, block.stop)
            posed = shaped.pose(
                block.poses, block.trans, block.dmpls, looked_at=blend.looked_at, device=settings.device
            )
            blend.interpolate(posed, out=positions[blend.frames])
    if not np.isfinite(positions).all():
        return Skipped("its joints would not be finite: it holds values too large for a human motion")
    return Converted(
        positions_3d=positions,
        frame_rate=settings.rate or source.frame_rate,
        gender=source.gender,
        soft_tissue=source.has_dmpls,
        source_frames=source.frames,
        source_frame_rate=source.frame_rate,
    )


def write_dataset(dataset: Dataset, output: Path, outcomes: Iterator[Outcome], listener: Listener) -> DatasetReport:
    """Write the joints of a dataset's sequences to ``output``, as they come."""
    started = time.monotonic()
    converted: list[ConvertedSequence] = []
    skipped = list(dataset.skipped)
    passed_over = dataset.passed_over
    listener.dataset_begins(dataset)
    with DatasetWriter(output) as writer:
        for file, outcome in zip(dataset.sequences, outcomes, strict=False):
            match outcome:
                case Converted():
                    positions: Positions = {"positions_3d": outcome.positions_3d, "frame_rate": outcome.frame_rate}
                    writer.add(file.subject, file.name, positions)
                    converted.append(_record(file, outcome))
                case Skipped(reason):
                    skipped.append(SkippedSequence(str(file), reason))
                case NotASequence():
                    passed_over += 1
            listener.sequence_ends(file, outcome.source_frames if isinstance(outcome, Converted) else 0)
        if converted and dataset.left_out and output.exists():
            listener.warning(f"{output} is replaced, and lacks {dataset.left_out} sequences that --only leaves out")
    if not converted and output.exists():
        listener.warning(f"{output} is of an earlier run and stays as it was: nothing could be converted now")
    report = DatasetReport(
        name=dataset.name,
        output=str(output) if converted else None,
        converted=tuple(converted),
        skipped=tuple(skipped),
        passed_over=passed_over,
        seconds=time.monotonic() - started,
    )
    listener.dataset_ends(report)
    return report


def convert_tree(
    amass_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str],
    *,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
    only: str | Iterable[str] = (),
    skip_existing: bool = False,
    workers: int | None = None,
    listener: Listener | None = None,
) -> Report:
    """Convert all datasets below a directory, each to one file of its name.

    Args:
        amass_dir: holds ``DATASET/SUBJECT/SEQUENCE_poses.npz``.
        out_dir: gets ``DATASET.npz``; made where it is not there.
        joint_regressor: a matrix (joints, 6890) in a file.
        body_models: the directory that holds ``smplh/`` and ``dmpls/``; None: where
            :func:`amass_joints.body_models.find_body_models` finds it.
        settings: how sequences are converted.
        only: globs on ``dataset/subject/sequence``; none: everything.
        skip_existing: leave alone what has an output file.
        workers: how many sequences are converted at a time; None: as many as there are cores. Changes no result.
        listener: is told how it goes.

    Raises:
        InputError: nothing can be converted at all: no body model, a regressor of the wrong shape, no sequences, an
            output that cannot be written. Raised before the first sequence. Later, when a body model that is first
            needed then turns out damaged, or a disk full: what was finished stays.
    """
    started = time.monotonic()
    listener = listener or Listener()
    settings = _with_usable_device(settings, listener)
    workers = executors.cores_at_hand() if workers is None else workers
    if workers < 1:
        raise InputError(f"the number of workers is {workers}, expected 1 or more.")
    only = as_globs(only)
    out_dir = Path(out_dir)
    found = [(dataset, out_dir / f"{dataset.name}.npz") for dataset in find_datasets(Path(amass_dir), only)]
    bodies = _bodies(Path(joint_regressor), body_models, settings)
    check_writable(out_dir)
    for _, output in found:
        check_target(output)
    listener.begins([dataset for dataset, _ in found])
    there_already = {dataset.name for dataset, output in found if skip_existing and output.exists()}
    to_convert = [file for dataset, _ in found if dataset.name not in there_already for file in dataset.sequences]

    def job(file: SequenceFile) -> Outcome:
        try:
            return convert_sequence(file.path, bodies, settings)
        except MemoryError as error:
            raise InputError(
                f"{file.path}: there was not enough memory to convert it. Use fewer --workers, or a machine with more."
            ) from error

    reports = []
    processes = settings.device == "cpu"  # what a GPU was set up for does not survive a fork
    # Every worker does its own matrix products; a BLAS that shares them out only gets in the way.
    with threadpool_limits(1, user_api="blas"):
        if to_convert:
            _get_ready(bodies, settings)
        with closing(executors.run(job, to_convert, workers, processes=processes)) as outcomes:
            for dataset, output in found:
                if dataset.name in there_already:
                    reports.append(_left_alone(dataset, output, listener))
                else:
                    reports.append(write_dataset(dataset, output, outcomes, listener))
    return Report(
        options={
            "amass_dir": os.path.abspath(amass_dir),
            "out_dir": os.path.abspath(out_dir),
            "joint_regressor": os.path.abspath(joint_regressor),
            "body_models": os.path.abspath(bodies.directory),
            "only": list(only),
            "skip_existing": skip_existing,
            "workers": workers,
            **asdict(settings),
        },
        inputs=(Path(os.path.abspath(joint_regressor)), *_body_files(bodies, reports)),
        datasets=tuple(reports),
        seconds=time.monotonic() - started,
    )


def convert_file(
    path: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str],
    *,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
) -> Converted | Skipped:
    """Convert one sequence file, wherever it lies.

    For many files, :func:`convert_tree` is the way: this loads regressor and body model anew at each call.

    Raises:
        InputError: the joint regressor or the body models cannot be used.
    """
    settings = _with_usable_device(settings, Listener())
    outcome = convert_sequence(Path(path), _bodies(Path(joint_regressor), body_models, settings), settings)
    if isinstance(outcome, NotASequence):
        return Skipped("it is no AMASS sequence: it holds neither 'poses' nor 'trans'")
    return outcome


def _bodies(joint_regressor: Path, body_models: str | os.PathLike[str] | None, settings: Settings) -> FoldedBodies:
    regressor = load_regressor(joint_regressor)
    directory = find_body_models(None if body_models is None else Path(body_models), joint_regressor)
    return FoldedBodies(regressor, directory, dmpls=settings.dmpls)


def _with_usable_device(settings: Settings, listener: Listener) -> Settings:
    problem = kernels.problem_with_device(settings.device)
    if problem is None:
        return settings
    listener.warning(f"{problem}: converting on the CPU instead, which gives the same joints up to rounding.")
    return replace(settings, device="cpu")


def _get_ready(bodies: FoldedBodies, settings: Settings) -> None:
    """Load the kernel and the bodies. What goes wrong does so again where they are needed, and is said there.

    Not in this thread, where Numba, while it is imported, would lose a Ctrl-C; nor in threads that would be waited for,
    because the first time the kernel is compiled, which takes seconds.
    """

    def warm_up() -> None:
        with suppress(Exception):
            kernels.warm_up(settings.device, settings.dtype)

    threads = [threading.Thread(target=one, daemon=True) for one in (warm_up, bodies.get_ready)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _body_files(bodies: FoldedBodies, reports: list[DatasetReport]) -> list[Path]:
    bodies_used = {(one.gender, one.soft_tissue) for report in reports for one in report.converted}
    paths = {path for gender, soft_tissue in bodies_used for path in bodies.files(gender, soft_tissue=soft_tissue)}
    return sorted(Path(os.path.abspath(path)) for path in paths)


def _left_alone(dataset: Dataset, output: Path, listener: Listener) -> DatasetReport:
    report = DatasetReport(dataset.name, str(output), already_there=True)
    for file in dataset.sequences:
        listener.sequence_ends(file, 0)
    listener.dataset_ends(report)
    return report


def _record(file: SequenceFile, converted: Converted) -> ConvertedSequence:
    return ConvertedSequence(
        name=f"{file.subject}/{file.name}",
        gender=converted.gender,
        soft_tissue=converted.soft_tissue,
        source_frame_rate=converted.source_frame_rate,
        frame_rate=converted.frame_rate,
        source_frames=converted.source_frames,
        frames=len(converted.positions_3d),
    )
