"""The story of the program: one dataset; a whole tree.

A sequence is one job (:mod:`amass_joints.conversion`), and no job needs another. They are done in turn and on several
at a time (:mod:`amass_joints.traversal`). A dataset is its sequences, written as they come. A tree is its datasets.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from amass_joints import kernels
from amass_joints.amass import is_same_rate, known_frame_rate
from amass_joints.bodies import FoldedBodies, find_bodies
from amass_joints.choices import Choices
from amass_joints.conversion import Converted, Outcome, Settings, convert_sequence
from amass_joints.datasets import DatasetWriter, Format, Positions, format_of, read_metadata
from amass_joints.errors import InputError
from amass_joints.files import check_target, check_writable
from amass_joints.finding import Dataset, SequenceFile, SkippedSequence, Variant, as_globs, find_datasets
from amass_joints.metadata import Metadata
from amass_joints.report import (
    BodyReport,
    ConvertedSequence,
    DatasetReport,
    Disagreement,
    JointAtRest,
    Listener,
    Report,
)
from amass_joints.sequences import NotASequence, Skipped, labelled_frame_rate
from amass_joints.skeletons import skeleton_named
from amass_joints.traversal import Results, go_through, number_of_workers


def write_dataset(
    outcomes: Results[Outcome], output: Path, output_format: Format, choices: Choices, listener: Listener
) -> DatasetReport:
    """Write the joints of a dataset's sequences to ``output``, as they come: in the order of subject and name.

    Args:
        outcomes: what became of the dataset's sequences.
        output: the file.
        output_format: its format.
        choices: how the joints are given.
        listener: is told how it goes.
    """
    dataset = outcomes.dataset
    converted: list[ConvertedSequence] = []
    skeletons: set[str | None] = set()
    skipped = list(dataset.skipped)
    passed_over = dataset.passed_over
    with DatasetWriter(output, output_format) as writer:
        for file, outcome in outcomes.results:
            match outcome:
                case Converted():
                    positions: Positions = {"positions_3d": outcome.positions_3d, "frame_rate": outcome.frame_rate}
                    writer.add(file.subject, file.name, positions)
                    converted.append(_record(file, outcome))
                    skeletons.add(outcome.skeleton)
                case Skipped(reason):
                    skipped.append(SkippedSequence(str(file), reason))
                case NotASequence():
                    passed_over += 1
            listener.sequence_ends(file, outcome.source_frames if isinstance(outcome, Converted) else 0)
        skeleton = skeletons.pop() if len(skeletons) == 1 else None
        writer.metadata = Metadata(skeleton_named(skeleton) if skeleton else None, choices)
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
        disagreements=_disagreements(outcomes, converted),
        notes=dataset.notes,
        seconds=time.monotonic() - outcomes.begun,
    )
    listener.dataset_ends(report)
    return report


def _disagreements(outcomes: Results[Outcome], converted: list[ConvertedSequence]) -> tuple[Disagreement, ...]:
    """Compare the frame rates of both releases of a motion."""
    labels = {one.name: one.labelled_frame_rate for one in converted}
    found = []
    for taken, other in outcomes.dataset.set_aside:
        ours = labels.get(f"{taken.subject}/{taken.name}")
        theirs = labelled_frame_rate(other.path) if other.archive is None else outcomes.frame_rates.get(other.path)
        if ours and theirs and not is_same_rate(ours, theirs):
            found.append(Disagreement(str(taken), ours, str(other), theirs))
    return tuple(found)


def convert_tree(
    amass_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str] | None = None,
    *,
    joints: str | None = None,
    skeleton: str | None = None,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
    only: str | Iterable[str] = (),
    keep_names: bool = False,
    prefer: Variant = "smplh",
    output_format: Format = "npz",
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
        skeleton: what the regressor's rows are, by the name of one of :data:`amass_joints.skeletons.SKELETONS`; None:
            it is found out where it can be.
        body_models: the directory that holds ``smplh/`` and ``dmpls/``; None: where
            :func:`amass_joints.body_models.find_body_models` finds it.
        settings: how sequences are converted.
        only: globs on ``dataset/subject/sequence``; none: everything.
        keep_names: whether outputs are called as their directories and archives are, and not by the canonical names.
        prefer: ``smplh`` or ``smplx``: which release is taken of a motion that is there in both.
        output_format: ``npz``, as AMASS-to-3DHPE writes it, ``npz-flat``, without a pickle, or ``npz-stored``, also not
            compressed (:mod:`amass_joints.datasets`).
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
    workers = number_of_workers(workers)
    only = as_globs(only, keep_names=keep_names)
    out_dir = Path(out_dir)
    datasets = find_datasets(Path(amass_dir), only, keep_names=keep_names, prefer=prefer)
    outputs = {dataset.name: out_dir / f"{dataset.name}.npz" for dataset in datasets}
    bodies = find_bodies(
        joint_regressor,
        joints,
        body_models,
        dmpls=settings.dmpls,
        normalize_rows=settings.normalize_rows,
        skeleton=skeleton,
    )
    _check_choices(bodies, settings.choices)
    check_writable(out_dir)
    for output in outputs.values():
        check_target(output)
    listener.begins(datasets)
    there_already = {name for name, output in outputs.items() if skip_existing and output.exists()}
    to_convert = [dataset for dataset in datasets if dataset.name not in there_already]
    # Those that are in directories alone come first: what is in archives has to be held until it can be put in order.
    to_convert.sort(key=lambda dataset: bool(dataset.archives))

    def convert_one(file: SequenceFile, content: Path | bytes) -> Outcome:
        known = known_frame_rate(file.dataset, file.subject, file.name)
        return convert_sequence(content, bodies, settings, known, str(file))

    reports = {
        dataset.name: _left_alone(dataset, outputs[dataset.name], output_format, settings.choices, listener)
        for dataset in datasets
        if dataset.name in there_already
    }
    # Every worker does its own matrix products; a BLAS that shares them out only gets in the way.
    with threadpool_limits(1, user_api="blas"):
        if to_convert:
            _get_ready(bodies, settings, {file.variant for dataset in to_convert for file in dataset.sequences})
        everything = go_through(
            to_convert,
            convert_one,
            only=only,
            prefer=prefer,
            workers=workers,
            processes=settings.device == "cpu",  # what a GPU was set up for does not survive a fork
            listener=listener,
        )
        with closing(everything):
            for outcomes in everything:
                name = outcomes.dataset.name
                reports[name] = write_dataset(outcomes, outputs[name], output_format, settings.choices, listener)
    if only and not any(report.already_there or report.converted or report.skipped for report in reports.values()):
        raise InputError(f"--only {' '.join(only)}: no sequence of {amass_dir} matches.")
    return Report(
        options={
            "amass_dir": os.path.abspath(amass_dir),
            "out_dir": os.path.abspath(out_dir),
            "joint_regressor": None if joint_regressor is None else os.path.abspath(joint_regressor),
            "joints": joints,
            "skeleton": skeleton,
            "body_models": os.path.abspath(bodies.directory),
            "only": list(only),
            "keep_names": keep_names,
            "prefer": prefer,
            "output_format": output_format,
            "skip_existing": skip_existing,
            "workers": workers,
            **asdict(settings),
        },
        inputs=(
            *([] if joint_regressor is None else [Path(os.path.abspath(joint_regressor))]),
            *_body_files(bodies, reports.values()),
        ),
        bodies=_used_bodies(bodies, reports.values()),
        datasets=tuple(reports[dataset.name] for dataset in datasets),
        seconds=time.monotonic() - started,
    )


def convert_file(
    path: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str] | None = None,
    *,
    joints: str | None = None,
    skeleton: str | None = None,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
    name: str | None = None,
) -> Converted | Skipped:
    """Convert one sequence file, wherever it lies.

    For many files, :func:`convert_tree` is the way: this loads regressor and body model anew at each call.

    Args:
        path: the file.
        joint_regressor: as for :func:`convert_tree`, like the arguments that follow.
        joints: in place of it, the name of a set of joints.
        skeleton: what the regressor's rows are.
        body_models: the directory of the body models.
        settings: how it is converted.
        name: ``dataset/subject/sequence``, by which wrong frame rates and published choices are known. Where the file
            lies does not tell.

    Raises:
        InputError: the joint regressor or the body models cannot be used, or the name is needed.
    """
    dataset, subject, sequence = _parts_of_name(name, settings)
    settings = _with_usable_device(settings, Listener())
    bodies = find_bodies(
        joint_regressor,
        joints,
        body_models,
        dmpls=settings.dmpls,
        normalize_rows=settings.normalize_rows,
        skeleton=skeleton,
    )
    _check_choices(bodies, settings.choices)
    known = known_frame_rate(dataset, subject, sequence)
    outcome = convert_sequence(Path(path), bodies, settings, known, name or "")
    if isinstance(outcome, NotASequence):
        return Skipped("it is no AMASS sequence: it holds neither 'poses' nor 'trans'")
    return outcome


def _parts_of_name(name: str | None, settings: Settings) -> tuple[str, str, str]:
    """Give dataset, subject and sequence, without which some settings would do nothing."""
    match (name or "").split("/", 2):
        case [dataset, subject, sequence]:
            return dataset, subject, sequence
    if name or settings.fix_frame_rates or settings.choices.trims or settings.choices.leave_out:
        raise InputError(
            f"the name is {name!r}, expected 'dataset/subject/sequence': published trims, motions to be left out and "
            "wrong frame rates are known by it."
        )
    return "", "", ""


def _with_usable_device(settings: Settings, listener: Listener) -> Settings:
    problem = kernels.problem_with_device(settings.device)
    if problem is None:
        return settings
    listener.warning(f"{problem}: converting on the CPU instead, which gives the same joints up to rounding.")
    return replace(settings, device="cpu")


def _check_choices(bodies: FoldedBodies, choices: Choices) -> None:
    """See that joints can be given as chosen.

    Raises:
        InputError: they cannot: it is not known what they are, or they lack some.
    """
    if choices.order is not None or choices.root_relative:
        skeleton = bodies.skeleton()
        choices.arrange(np.zeros((1, len(skeleton.joints) if skeleton else 1, 3)), skeleton)


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
        threading.Thread(target=bodies.get_ready, args=(model_types,), kwargs={"whole": settings.verify}, daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _body_files(bodies: FoldedBodies, reports: Iterable[DatasetReport]) -> list[Path]:
    used = {(one.model_type, one.gender, one.soft_tissue) for report in reports for one in report.converted}
    paths = {path for model_type, gender, soft_tissue in used for path in bodies.files(model_type, gender, soft_tissue)}
    return sorted(Path(os.path.abspath(path)) for path in paths)


def _used_bodies(bodies: FoldedBodies, reports: Iterable[DatasetReport]) -> tuple[BodyReport, ...]:
    used = sorted({(one.model_type, one.gender) for report in reports for one in report.converted})
    found = []
    for model_type, gender in used:
        rest = bodies.rest_pose(model_type, gender)
        joints = tuple(
            JointAtRest(rest.name(row), side, tuple(position), row_sum, is_off)
            for row, (side, position, row_sum, is_off) in enumerate(
                zip(rest.sides, rest.positions.tolist(), rest.row_sums.tolist(), rest.rows_off.tolist(), strict=True)
            )
        )
        found.append(BodyReport(model_type, gender, rest.skeleton.name if rest.skeleton else None, joints))
    return tuple(found)


def _left_alone(
    dataset: Dataset, output: Path, output_format: Format, choices: Choices, listener: Listener
) -> DatasetReport:
    skipped: tuple[SkippedSequence, ...] = ()
    what = _other_than_wanted(output, output_format, choices)
    if what is not None:
        reason = f"{output} is left alone (--skip-existing), but is {what}: move it away to have it made anew"
        skipped = (SkippedSequence(dataset.name, reason),)
    report = DatasetReport(dataset.name, str(output), skipped=skipped, already_there=True)
    for file in dataset.sequences:
        listener.sequence_ends(file, 0)
    listener.dataset_ends(report)
    return report


def _other_than_wanted(output: Path, output_format: Format, choices: Choices) -> str | None:
    found = format_of(output)
    if found is None:
        return "not a whole dataset of joints"
    if found != output_format:
        return f"in the format {found}, not {output_format}"
    try:
        found_choices = read_metadata(output).choices
    except InputError as error:
        return f"not as it should be ({error})"
    return None if found_choices == choices else f"given otherwise ({found_choices}; not {choices})"


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
        plausibility=converted.plausibility,
        verified_error=converted.verified_error,
        problem=converted.problem,
    )
