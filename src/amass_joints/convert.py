"""The story of the program: one dataset; one archive; a whole tree.

A sequence is one job (:mod:`amass_joints.conversion`), and no job needs another. A dataset is its sequences, written as
they come. An archive is one job, whose sequences come in any order. A tree is its datasets.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from threadpoolctl import threadpool_limits

from amass_joints import executors, kernels
from amass_joints.amass import is_same_rate, known_frame_rate
from amass_joints.archives import ArchiveError, read_members
from amass_joints.bodies import FoldedBodies
from amass_joints.body_models import find_body_models
from amass_joints.conversion import Converted, Outcome, Settings, convert_sequence
from amass_joints.datasets import DatasetWriter, Positions
from amass_joints.errors import InputError
from amass_joints.files import check_target, check_writable
from amass_joints.finding import (
    Archive,
    Dataset,
    Found,
    SequenceFile,
    SkippedSequence,
    Variant,
    as_globs,
    find_datasets,
    is_wanted,
    preferred,
)
from amass_joints.regressors import load_regressor
from amass_joints.report import ConvertedSequence, DatasetReport, Disagreement, Listener, Report
from amass_joints.sequences import (
    NotASequence,
    SequenceSummary,
    Skipped,
    summarise_sequence,
)
from amass_joints.skeletons import JOINT_SETS


def write_dataset(
    dataset: Dataset,
    output: Path,
    outcomes: Iterable[tuple[SequenceFile, Outcome]],
    listener: Listener,
    started: float,
    frame_rates: Mapping[Path, float | None],
) -> DatasetReport:
    """Write the joints of a dataset's sequences to ``output``, as they come: in the order of subject and name.

    Args:
        dataset: the dataset.
        output: the file.
        outcomes: what became of its sequences.
        listener: is told how it goes.
        started: when the dataset was begun, by :func:`time.monotonic`.
        frame_rates: Hz, of sequences that were set aside in archives.
    """
    converted: list[ConvertedSequence] = []
    skipped = list(dataset.skipped)
    passed_over = dataset.passed_over
    with DatasetWriter(output) as writer:
        for file, outcome in outcomes:
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
        set_aside=len(dataset.set_aside),
        disagreements=_disagreements(dataset, converted, frame_rates),
        notes=dataset.notes,
        seconds=time.monotonic() - started,
    )
    listener.dataset_ends(report)
    return report


def _disagreements(
    dataset: Dataset, converted: list[ConvertedSequence], frame_rates: Mapping[Path, float | None]
) -> tuple[Disagreement, ...]:
    """Compare the frame rates of both releases of a motion."""
    labels = {one.name: one.labelled_frame_rate for one in converted}
    found = []
    for taken, other in dataset.set_aside:
        ours = labels.get(f"{taken.subject}/{taken.name}")
        theirs = _labelled_frame_rate(other.path) if other.archive is None else frame_rates.get(other.path)
        if ours and theirs and not is_same_rate(ours, theirs):
            found.append(Disagreement(str(taken), ours, str(other), theirs))
    return tuple(found)


@dataclass(frozen=True)
class ConvertedArchive:
    """What became of an archive."""

    outcomes: list[tuple[SequenceFile, Outcome]]
    skipped: list[SkippedSequence]
    passed_over: int
    left_out: int
    set_aside: list[tuple[SequenceFile, SequenceFile]]
    frame_rates: dict[Path, float | None]
    """Hz, of the sequences set aside."""


def convert_archive(
    archive: Archive,
    bodies: FoldedBodies,
    settings: Settings,
    *,
    only: tuple[str, ...] = (),
    prefer: Variant = "smplh",
    threads: int = 1,
) -> ConvertedArchive:
    """Convert the sequences in an archive, which is read once, from its beginning to its end.

    Memory is needed for the results, and for one sequence at a time.

    Args:
        archive: the archive.
        bodies: the folded bodies.
        settings: how sequences are converted.
        only: globs on ``dataset/subject/sequence``; none: everything.
        prefer: which release is taken of a motion that is there in both.
        threads: how many may decompress.
    """
    found = Found(archive.dataset, archive.path)
    outcomes: dict[Path, Outcome] = {}
    frame_rates: dict[Path, float | None] = {}
    left_out = 0
    skipped = []
    try:
        for member in read_members(archive.path, threads=threads):
            executors.end_if_unwanted()
            path = archive.path / member.path
            content = lru_cache(maxsize=1)(member.read)
            try:
                if path in archive.set_aside:
                    frame_rates[path] = _labelled_frame_rate(content())
                if archive.wanted is not None and path not in archive.wanted:
                    continue
                file = found.look_at(member.path.parts, member.size, member.problem, content)
                if file is None:
                    continue
                if is_wanted(str(file), only):
                    outcomes[path] = _convert_file(file, content(), bodies, settings)
                else:
                    left_out += 1
            except ArchiveError as error:  # others may be whole; if not, the next one is not to be had
                found.skip(member.path.parts, str(error))
    except ArchiveError as error:
        reason = f"{error}; what comes before that in the archive is converted" if outcomes else str(error)
        skipped.append(SkippedSequence(f"{archive.dataset}/{archive.path.name}", reason))
    wanted, set_aside = preferred([file for file in found.in_order() if file.path in outcomes], prefer)
    for _, other in set_aside:
        if isinstance(outcome := outcomes[other.path], Converted):
            frame_rates[other.path] = outcome.labelled_frame_rate
    return ConvertedArchive(
        outcomes=[(file, outcomes[file.path]) for file in wanted],
        skipped=[*(one for one in found.skipped if is_wanted(one.name, only)), *skipped],
        passed_over=found.passed_over,
        left_out=left_out,
        set_aside=set_aside,
        frame_rates=frame_rates,
    )


def _labelled_frame_rate(file: Path | bytes) -> float | None:
    """Give the frame rate that a sequence file says it has; None where it says none."""
    summary = summarise_sequence(file)
    return summary.frame_rate if isinstance(summary, SequenceSummary) else None


def _with_archives(
    dataset: Dataset, outcomes: Iterable[tuple[SequenceFile, Outcome]], archives: Iterator[ConvertedArchive]
) -> tuple[Dataset, list[tuple[SequenceFile, Outcome]], dict[Path, float | None]]:
    """Give a dataset with what its archives held, all its outcomes in order, and frame rates of what was set aside."""
    held = [(file, _kept(outcome)) for file, outcome in outcomes]
    frame_rates: dict[Path, float | None] = {}
    for _, converted in zip(dataset.archives, archives, strict=False):
        held += [(file, _kept(outcome)) for file, outcome in converted.outcomes]
        dataset = replace(
            dataset,
            skipped=(*dataset.skipped, *converted.skipped),
            passed_over=dataset.passed_over + converted.passed_over,
            left_out=dataset.left_out + converted.left_out,
            set_aside=(*dataset.set_aside, *converted.set_aside),
        )
        frame_rates |= converted.frame_rates
    return dataset, sorted(held, key=lambda one: (one[0].subject, one[0].name)), frame_rates


def _kept(outcome: Outcome) -> Outcome:
    """Give an outcome whose array holds longer than until the next is asked for."""
    if isinstance(outcome, Converted):
        return replace(outcome, positions_3d=outcome.positions_3d.copy())
    return outcome


def _convert_file(file: SequenceFile, content: Path | bytes, bodies: FoldedBodies, settings: Settings) -> Outcome:
    known = known_frame_rate(file.dataset, file.subject, file.name)
    try:
        return convert_sequence(content, bodies, settings, known)
    except MemoryError as error:
        raise InputError(
            f"{file.path}: there was not enough memory to convert it. Use fewer --workers, or a machine with more."
        ) from error


def convert_tree(
    amass_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str] | None = None,
    *,
    joints: str | None = None,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
    only: str | Iterable[str] = (),
    keep_names: bool = False,
    prefer: Variant = "smplh",
    skip_existing: bool = False,
    workers: int | None = None,
    listener: Listener | None = None,
) -> Report:
    """Convert all datasets below a directory, each to one file of its name.

    Args:
        amass_dir: holds ``DATASET/SUBJECT/SEQUENCE_poses.npz``, or ``DATASET.tar.bz2``.
        out_dir: gets ``DATASET.npz``; made where it is not there.
        joint_regressor: a matrix (joints, 6890), or (joints, 10475) for SMPL-X alone, in a file.
        joints: in place of it, the name of a set of :data:`amass_joints.skeletons.JOINT_SETS`: joints straight from the
            kinematic tree.
        body_models: the directory that holds ``smplh/`` and ``dmpls/``; None: where
            :func:`amass_joints.body_models.find_body_models` finds it.
        settings: how sequences are converted.
        only: globs on ``dataset/subject/sequence``; none: everything.
        keep_names: whether outputs are called as their directories and archives are, and not by the canonical names.
        prefer: ``smplh`` or ``smplx``: which release is taken of a motion that is there in both.
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
    only = as_globs(only, keep_names=keep_names)
    out_dir = Path(out_dir)
    datasets = find_datasets(Path(amass_dir), only, keep_names=keep_names, prefer=prefer)
    outputs = {dataset.name: out_dir / f"{dataset.name}.npz" for dataset in datasets}
    bodies = _bodies(joint_regressor, joints, body_models, settings)
    check_writable(out_dir)
    for output in outputs.values():
        check_target(output)
    listener.begins(datasets)
    there_already = {name for name, output in outputs.items() if skip_existing and output.exists()}
    to_convert = [dataset for dataset in datasets if dataset.name not in there_already]
    # Those that are in directories alone come first: what is in archives has to be held until it can be put in order.
    to_convert.sort(key=lambda dataset: bool(dataset.archives))
    files = [file for dataset in to_convert for file in dataset.sequences]
    archives = [archive for dataset in to_convert for archive in dataset.archives]
    threads = max(1, workers // max(1, len(archives)))

    def convert_one(file: SequenceFile) -> Outcome:
        return _convert_file(file, file.path, bodies, settings)

    def convert_all_in(archive: Archive) -> ConvertedArchive:
        return convert_archive(archive, bodies, settings, only=only, prefer=prefer, threads=threads)

    reports = {
        dataset.name: _left_alone(dataset, outputs[dataset.name], listener)
        for dataset in datasets
        if dataset.name in there_already
    }
    processes = settings.device == "cpu"  # what a GPU was set up for does not survive a fork
    # Every worker does its own matrix products; a BLAS that shares them out only gets in the way.
    with threadpool_limits(1, user_api="blas"):
        if to_convert:
            _get_ready(bodies, settings, {file.variant for file in files})
        with (
            closing(executors.run(convert_one, files, workers, processes=processes)) as of_files,
            closing(executors.run(convert_all_in, archives, workers, processes=processes)) as of_archives,
        ):
            for dataset in to_convert:
                begun = time.monotonic()
                listener.dataset_begins(dataset)
                outcomes: Iterable[tuple[SequenceFile, Outcome]] = zip(dataset.sequences, of_files, strict=False)
                frame_rates: dict[Path, float | None] = {}
                if dataset.archives:
                    dataset, outcomes, frame_rates = _with_archives(dataset, outcomes, of_archives)
                reports[dataset.name] = write_dataset(
                    dataset, outputs[dataset.name], outcomes, listener, begun, frame_rates
                )
    if only and not any(report.already_there or report.converted or report.skipped for report in reports.values()):
        raise InputError(f"--only {' '.join(only)}: no sequence of {amass_dir} matches.")
    return Report(
        options={
            "amass_dir": os.path.abspath(amass_dir),
            "out_dir": os.path.abspath(out_dir),
            "joint_regressor": None if joint_regressor is None else os.path.abspath(joint_regressor),
            "joints": joints,
            "body_models": os.path.abspath(bodies.directory),
            "only": list(only),
            "keep_names": keep_names,
            "prefer": prefer,
            "skip_existing": skip_existing,
            "workers": workers,
            **asdict(settings),
        },
        inputs=(
            *([] if joint_regressor is None else [Path(os.path.abspath(joint_regressor))]),
            *_body_files(bodies, reports.values()),
        ),
        datasets=tuple(reports[dataset.name] for dataset in datasets),
        seconds=time.monotonic() - started,
    )


def convert_file(
    path: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str] | None = None,
    *,
    joints: str | None = None,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
) -> Converted | Skipped:
    """Convert one sequence file, wherever it lies.

    For many files, :func:`convert_tree` is the way: this loads regressor and body model anew at each call.

    Raises:
        InputError: the joint regressor or the body models cannot be used.
    """
    settings = _with_usable_device(settings, Listener())
    outcome = convert_sequence(Path(path), _bodies(joint_regressor, joints, body_models, settings), settings)
    if isinstance(outcome, NotASequence):
        return Skipped("it is no AMASS sequence: it holds neither 'poses' nor 'trans'")
    return outcome


def _bodies(
    joint_regressor: str | os.PathLike[str] | None,
    joints: str | None,
    body_models: str | os.PathLike[str] | None,
    settings: Settings,
) -> FoldedBodies:
    if (joint_regressor is None) == (joints is None):
        raise InputError("give one of a joint regressor and a set of joints.")
    if joints is not None and joints not in JOINT_SETS:
        raise InputError(f"the joints are '{joints}', expected one of {', '.join(JOINT_SETS)}.")
    beside = None if joint_regressor is None else Path(joint_regressor)
    wanted = JOINT_SETS[joints] if joints is not None else load_regressor(Path(joint_regressor or ""))
    directory = find_body_models(None if body_models is None else Path(body_models), beside)
    return FoldedBodies(wanted, directory, dmpls=settings.dmpls)


def _with_usable_device(settings: Settings, listener: Listener) -> Settings:
    problem = kernels.problem_with_device(settings.device)
    if problem is None:
        return settings
    listener.warning(f"{problem}: converting on the CPU instead, which gives the same joints up to rounding.")
    return replace(settings, device="cpu")


def _get_ready(bodies: FoldedBodies, settings: Settings, model_types: set[str]) -> None:
    """Load the kernel and the bodies. What goes wrong does so again where they are needed, and is said there.

    Not in this thread, where Numba, while it is imported, would lose a Ctrl-C; nor in threads that would be waited for,
    because the first time the kernel is compiled, which takes seconds.
    """

    def warm_up() -> None:
        with suppress(Exception):
            kernels.warm_up(settings.device, settings.dtype)

    threads = [
        threading.Thread(target=warm_up, daemon=True),
        threading.Thread(target=bodies.get_ready, args=(model_types,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _body_files(bodies: FoldedBodies, reports: Iterable[DatasetReport]) -> list[Path]:
    used = {(one.model_type, one.gender, one.soft_tissue) for report in reports for one in report.converted}
    paths = {path for model_type, gender, soft_tissue in used for path in bodies.files(model_type, gender, soft_tissue)}
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
        model_type=converted.model_type,
        source_frame_rate=converted.source_frame_rate,
        labelled_frame_rate=converted.labelled_frame_rate,
        known_frame_rate=converted.known_frame_rate,
        frame_rate=converted.frame_rate,
        source_frames=converted.source_frames,
        frames=len(converted.positions_3d),
    )
