"""What is in a tree, and what would be converted, skipped, and why: from headers alone, with nothing posed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amass_joints import executors
from amass_joints.amass import is_same_rate, known_frame_rate
from amass_joints.body_models import SMPLX, ModelType, body_files, check_model_file, find_body_models
from amass_joints.errors import InputError
from amass_joints.finding import (
    Archive,
    Dataset,
    SequenceFile,
    SkippedSequence,
    Variant,
    as_globs,
    find_datasets,
)
from amass_joints.regressors import VERTEX_MAP, find_vertex_map
from amass_joints.sequences import SequenceSummary, Skipped, summarise_sequence


@dataclass
class DatasetScan:
    """What one dataset holds."""

    name: str
    sequences: int = 0
    frames: int = 0
    hours: float = 0.0
    model_types: Counter[str] = field(default_factory=Counter)
    """How many sequences there are of each: ``smplh``, ``smplx``, ``smpl``."""
    frame_rates: Counter[float] = field(default_factory=Counter)
    """How many sequences there are at each rate, Hz."""
    genders: Counter[str] = field(default_factory=Counter)
    bodies: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    """How many sequences need each body: model type, gender, and whether with soft tissue."""
    without_dmpls: int = 0
    known_frame_rates: int = 0
    """How many sequences are known to give a wrong frame rate."""
    set_aside: int = 0
    """How many sequences are there in the other release, too."""
    skipped: list[SkippedSequence] = field(default_factory=list)
    passed_over: int = 0
    archives: list[Archive] = field(default_factory=list)
    """Archives, which were not looked into."""
    notes: list[str] = field(default_factory=list)


def total(scans: list[DatasetScan]) -> DatasetScan:
    """Give all datasets as if they were one."""
    return DatasetScan(
        name="total",
        sequences=sum(one.sequences for one in scans),
        frames=sum(one.frames for one in scans),
        hours=sum(one.hours for one in scans),
        model_types=sum((one.model_types for one in scans), Counter()),
        frame_rates=sum((one.frame_rates for one in scans), Counter()),
        genders=sum((one.genders for one in scans), Counter()),
        bodies=sum((one.bodies for one in scans), Counter()),
        without_dmpls=sum(one.without_dmpls for one in scans),
        known_frame_rates=sum(one.known_frame_rates for one in scans),
        set_aside=sum(one.set_aside for one in scans),
        skipped=[skip for one in scans for skip in one.skipped],
        passed_over=sum(one.passed_over for one in scans),
        archives=[archive for one in scans for archive in one.archives],
        notes=[note for one in scans for note in one.notes],
    )


def scan_tree(
    amass_dir: str | os.PathLike[str],
    only: str | Iterable[str] = (),
    *,
    keep_names: bool = False,
    prefer: Variant = "smplh",
) -> list[DatasetScan]:
    """Look at all datasets below a directory.

    Not seen is what only the data itself can tell: a broken checksum, values that are not finite; and what is in
    archives.

    Args:
        amass_dir: holds ``DATASET/SUBJECT/SEQUENCE_poses.npz``.
        only: globs on ``dataset/subject/sequence``; none: everything.
        keep_names: whether datasets are called as their directories are, and not by the canonical names.
        prefer: which release is taken of a motion that is there in both.

    Raises:
        InputError: there is no such directory, or not one sequence in it.
    """
    datasets = find_datasets(
        Path(amass_dir),
        as_globs(only, keep_names=keep_names),
        keep_names=keep_names,
        prefer=prefer,
        open_archives=False,
    )
    return [_scan(dataset) for dataset in datasets]


@dataclass(frozen=True)
class ModelFile:
    """A body model file, and for how many sequences it is needed."""

    path: Path
    sequences: int
    is_there: bool
    problem: str | None
    """Why a file that is there cannot be used, as far as headers tell."""


def model_files(scan: DatasetScan, body_models: Path | None, joint_regressor: Path | None = None) -> list[ModelFile]:
    """Say which model files the sequences need, where a regressor is for the vertices of SMPL.

    Args:
        scan: what was found.
        body_models: the directory of the models; None: where :func:`amass_joints.body_models.find_body_models` finds
            it, or ``body_models`` where there is none.
        joint_regressor: the one that will be used, which the models may lie beside.
    """
    try:
        directory = find_body_models(body_models, joint_regressor)
    except InputError:
        directory = body_models or Path("body_models")
    needed: Counter[Path] = Counter()
    files = body_files(directory, dmpls=True)
    for (model_type, gender, soft_tissue), count in scan.bodies.items():
        body = files[model_type, gender]
        needed[body.body] += count
        if soft_tissue and body.dmpls is not None:
            needed[body.dmpls] += count
    if any(model_type == SMPLX.name for model_type, _, _ in scan.bodies):
        vertex_map = find_vertex_map(directory) or directory / VERTEX_MAP
        needed[vertex_map] = sum(count for (name, _, _), count in scan.bodies.items() if name == SMPLX.name)
    types = {path: one.model_type for one in files.values() for path in (one.body, one.dmpls) if path in needed}
    return [
        ModelFile(path, count, path.is_file(), _problem(path, types.get(path)))
        for path, count in sorted(needed.items())
    ]


def _problem(path: Path, model_type: ModelType | None) -> str | None:
    try:
        if model_type is not None and path.is_file():
            check_model_file(path, model_type)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def as_json(scans: list[DatasetScan], files: list[ModelFile], command: str) -> dict[str, Any]:
    """Give a scan as what JSON knows."""

    def plain(scan: DatasetScan) -> dict[str, Any]:
        return {
            "name": scan.name,
            "sequences": scan.sequences,
            "frames": scan.frames,
            "hours": scan.hours,
            "model_types": dict(scan.model_types),
            "frame_rates": {f"{rate!r}": count for rate, count in sorted(scan.frame_rates.items())},
            "genders": dict(scan.genders),
            "without_dmpls": scan.without_dmpls,
            "known_frame_rates": scan.known_frame_rates,
            "set_aside": scan.set_aside,
            "skipped": [{"name": one.name, "reason": one.reason} for one in scan.skipped],
            "passed_over": scan.passed_over,
            "archives": [{"path": str(one.path), "bytes": one.num_bytes} for one in scan.archives],
            "notes": list(scan.notes),
        }

    return {
        "total": plain(total(scans)),
        "datasets": [plain(scan) for scan in scans],
        "body_models": [asdict(one) | {"path": str(one.path)} for one in files],
        "command": command,
    }


def _scan(dataset: Dataset) -> DatasetScan:
    def job(file: SequenceFile) -> tuple[SequenceFile, object]:
        return file, summarise_sequence(file.path)

    scan = DatasetScan(
        dataset.name,
        skipped=list(dataset.skipped),
        passed_over=dataset.passed_over,
        set_aside=len(dataset.set_aside),
        archives=list(dataset.archives),
        notes=list(dataset.notes),
    )
    for file, outcome in executors.run(job, dataset.sequences, executors.cores_at_hand(), processes=False):
        match outcome:
            case SequenceSummary():
                scan.sequences += 1
                scan.frames += outcome.frames
                scan.hours += outcome.frames / outcome.frame_rate / 3600
                scan.model_types[outcome.model_type.name] += 1
                scan.frame_rates[outcome.frame_rate] += 1
                scan.genders[outcome.gender] += 1
                scan.bodies[outcome.model_type.name, outcome.gender, outcome.has_dmpls] += 1
                scan.without_dmpls += not outcome.has_dmpls
                known = known_frame_rate(file.dataset, file.subject, file.name)
                scan.known_frame_rates += known is not None and not is_same_rate(known, outcome.frame_rate)
            case Skipped(reason):
                scan.skipped.append(SkippedSequence(str(file), reason))
            case _:
                scan.passed_over += 1
    return scan
