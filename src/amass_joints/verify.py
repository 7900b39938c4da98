"""Converted datasets, checked against their sources: are all sequences there, and is each where the mesh has it?"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from amass_joints.amass import known_frame_rate
from amass_joints.arrays import listed
from amass_joints.bodies import FoldedBodies, find_bodies
from amass_joints.conversion import Converted, Settings, convert_sequence
from amass_joints.datasets import PositionsTree, load, read_metadata
from amass_joints.errors import InputError
from amass_joints.files import written_whole
from amass_joints.finding import SequenceFile, Variant, as_globs, find_datasets, is_wanted
from amass_joints.report import Listener, VerifiedDataset
from amass_joints.sequences import NotASequence, Skipped
from amass_joints.textbook import TOLERANCE, Comparison, compare
from amass_joints.traversal import Results, go_through, number_of_workers


@dataclass(frozen=True)
class NotConverted:
    """A sequence that is not in the output, and could be."""


Verdict: TypeAlias = "Comparison | NotConverted | Skipped | NotASequence"


@dataclass(frozen=True)
class Verification:
    """What a whole check gave."""

    options: Mapping[str, Any]
    """Its arguments."""
    datasets: tuple[VerifiedDataset, ...]
    not_converted: tuple[str, ...]
    """Datasets of the source without an output file: nothing is said of them."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything that was converted is there, and right."""
        return all(dataset.passed for dataset in self.datasets)

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            InputError: it cannot be written.
        """
        as_json = asdict(self) | {"passed": self.passed}
        for dataset in as_json["datasets"]:  # JSON has no word for what is infinite
            for name in ("largest_error", "median_error"):
                if dataset[name] is not None and not math.isfinite(dataset[name]):
                    dataset[name] = None
        with written_whole(path) as stream:
            stream.write(json.dumps(as_json, indent=2, allow_nan=False).encode("ascii") + b"\n")


def verify_tree(
    out_dir: str | os.PathLike[str],
    amass_dir: str | os.PathLike[str],
    joint_regressor: str | os.PathLike[str] | None = None,
    *,
    joints: str | None = None,
    skeleton: str | None = None,
    body_models: str | os.PathLike[str] | None = None,
    settings: Settings = Settings(),
    only: str | Iterable[str] = (),
    keep_names: bool = False,
    prefer: Variant = "smplh",
    frames_per_sequence: int = 2,
    seed: int = 0,
    workers: int | None = None,
    listener: Listener | None = None,
) -> Verification:
    """Compare random frames of every converted sequence with the whole mesh, posed in float64.

    Args:
        out_dir: holds ``DATASET.npz``.
        amass_dir: what they were converted from.
        joint_regressor: what they were converted with, as are the arguments that follow; see
            :func:`amass_joints.convert.convert_tree`.
        joints: in place of it, the name of a set of joints.
        skeleton: what the regressor's rows are, if that was named.
        body_models: the directory of the body models.
        settings: of these, ``dmpls``, ``fix_frame_rates`` and ``normalize_rows`` matter; rate, dtype and choices are
            the files'.
        only: globs on ``dataset/subject/sequence``; none: everything.
        keep_names: whether outputs are called as their directories are.
        prefer: which release was taken of a motion that is there in both.
        frames_per_sequence: how many frames are drawn of each.
        seed: of the draw; with it, the draw of a sequence depends on its name alone.
        workers: how many sequences are compared at a time; None: as many as there are cores.
        listener: is told how it goes.

    Raises:
        InputError: nothing can be compared at all: no outputs, no sequences, no body model.
    """
    started = time.monotonic()
    listener = listener or Listener()
    out_dir = Path(out_dir)
    if frames_per_sequence < 1:
        raise InputError(f"the frames per sequence are {frames_per_sequence}, expected 1 or more.")
    workers = number_of_workers(workers)
    only = as_globs(only, keep_names=keep_names)
    datasets = find_datasets(Path(amass_dir), only, keep_names=keep_names, prefer=prefer)
    outputs = _outputs(out_dir)
    there = [dataset for dataset in datasets if dataset.name in outputs]
    without_source = [] if only else sorted(set(outputs) - {dataset.name for dataset in datasets})
    if not there and not without_source:
        names = listed(tuple(f"{dataset.name}.npz" for dataset in datasets), most=5)
        raise InputError(f"{out_dir}: it has no {names}: expected what 'amass-joints convert' made of {amass_dir}.")
    bodies = find_bodies(
        joint_regressor,
        joints,
        body_models,
        dmpls=settings.dmpls,
        normalize_rows=settings.normalize_rows,
        skeleton=skeleton,
    )
    no_source = f"{amass_dir} has no such dataset: is it of something else?"
    verified = [
        VerifiedDataset(name, str(outputs[name]), problems=(f"{name}: {no_source}",)) for name in without_source
    ]
    listener.begins(there)
    bodies.get_ready({file.variant for dataset in there for file in dataset.sequences}, whole=True)
    with threadpool_limits(1, user_api="blas"):
        for dataset in there:
            output = outputs[dataset.name]
            try:
                tree, choices = load(output), read_metadata(output).choices
            except InputError as error:
                one = VerifiedDataset(dataset.name, str(output), problems=(str(error),))
            else:
                job = _comparing(tree, bodies, replace(settings, choices=choices), frames_per_sequence, seed)
                with closing(go_through([dataset], job, only=only, prefer=prefer, workers=workers)) as everything:
                    one = _summed_up(next(everything), tree, output, only, listener)
            listener.dataset_ends(one)
            verified.append(one)
    if not any(one.sequences or one.problems for one in verified):
        matching = f" matching --only {' '.join(only)}" if only else ""
        raise InputError(f"{out_dir}: nothing could be compared: it has no sequence{matching} of {amass_dir}.")
    return Verification(
        options={
            "out_dir": os.path.abspath(out_dir),
            "amass_dir": os.path.abspath(amass_dir),
            "joint_regressor": None if joint_regressor is None else os.path.abspath(joint_regressor),
            "joints": joints,
            "skeleton": skeleton,
            "body_models": os.path.abspath(bodies.directory),
            "only": list(only),
            "frames_per_sequence": frames_per_sequence,
            "seed": seed,
            "tolerance": TOLERANCE,
        },
        datasets=tuple(sorted(verified, key=lambda one: one.name)),
        not_converted=tuple(dataset.name for dataset in datasets if dataset.name not in outputs),
        seconds=time.monotonic() - started,
    )


def _outputs(out_dir: Path) -> dict[str, Path]:
    """Find the datasets in a directory, by their names; what is named like one and is none is found out later."""
    if not out_dir.is_dir():
        raise InputError(f"{out_dir}: not a directory. Pass the one that 'amass-joints convert' wrote to.")
    return {path.stem: path for path in sorted(out_dir.glob("*.npz")) if not path.name.startswith(".")}


def _comparing(
    tree: PositionsTree, bodies: FoldedBodies, settings: Settings, num_frames: int, seed: int
) -> Callable[[SequenceFile, Path | bytes], Verdict]:
    """Make the job that compares a sequence of the source with what was made of it."""
    rates = {positions["frame_rate"] for sequences in tree.values() for positions in sequences.values()}
    to_rate = replace(settings, rate=rates.pop() if len(rates) == 1 else None)

    def job(file: SequenceFile, content: Path | bytes) -> Verdict:
        known = known_frame_rate(file.dataset, file.subject, file.name)
        positions = tree.get(file.subject, {}).get(file.name)
        if positions is None:
            outcome = convert_sequence(content, bodies, to_rate, known, str(file))
            return NotConverted() if isinstance(outcome, Converted) else outcome
        return compare(
            positions,
            content,
            bodies,
            dmpls=settings.dmpls,
            replaced_frame_rate=known if settings.fix_frame_rates else None,
            choices=settings.choices,
            name=str(file),
            num_frames=num_frames,
            seed=(seed, zlib.crc32(os.fsencode(str(file)))),
        )

    return job


def _summed_up(
    verdicts: Results[Verdict], tree: PositionsTree, output: Path, only: tuple[str, ...], listener: Listener
) -> VerifiedDataset:
    """Make of the verdicts on sequences one on the dataset."""
    name = verdicts.dataset.name
    errors: list[np.ndarray] = []
    problems: list[str] = []
    largest, where = -1.0, None
    frames = 0
    without_source = {(subject, sequence) for subject, sequences in tree.items() for sequence in sequences}
    for file, verdict in verdicts.results:
        is_in_output = (file.subject, file.name) in without_source
        without_source.discard((file.subject, file.name))
        compared = 0
        match verdict:
            case Comparison():
                compared = len(verdict.frames)
                if compared:
                    errors.append(verdict.errors.ravel())
                    row, joint = np.unravel_index(verdict.errors.argmax(), verdict.errors.shape)
                    if verdict.errors[row, joint] > largest:
                        largest = float(verdict.errors[row, joint])
                        where = f"{file}, frame {verdict.frames[row]}, joint {joint}"
                if verdict.problem is not None:
                    problems.append(f"{file}: {verdict.problem}")
            case NotConverted():
                problems.append(f"{file}: it is not in the output; if it need not be, pass --only as to convert")
            case Skipped(reason) if is_in_output:
                problems.append(f"{file}: it is in the output, but its source cannot be used: {reason}")
            case NotASequence() if is_in_output:
                problems.append(f"{file}: it is in the output, but its source is no sequence")
        frames += compared
        listener.sequence_ends(file, compared)
    names = sorted(f"{name}/{subject}/{sequence}" for subject, sequence in without_source)
    problems += [f"{one}: in the output, but not in the source" for one in names if is_wanted(one, only)]
    return VerifiedDataset(
        name=name,
        output=str(output),
        sequences=len(errors),
        frames=frames,
        largest_error=largest if errors else None,
        where=where,
        median_error=float(np.median(np.concatenate(errors))) if errors else None,
        problems=tuple(problems),
        seconds=time.monotonic() - verdicts.begun,
    )
