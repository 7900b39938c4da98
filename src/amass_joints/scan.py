"""What is in a tree, and what would be converted, skipped, and why: from headers alone, with nothing posed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from amass_joints import executors
from amass_joints.finding import Dataset, SequenceFile, SkippedSequence, as_globs, find_datasets
from amass_joints.sequences import SequenceSummary, Skipped, summarise_sequence


@dataclass
class DatasetScan:
    """What one dataset holds."""

    name: str
    sequences: int = 0
    frames: int = 0
    hours: float = 0.0
    frame_rates: Counter[float] = field(default_factory=Counter)
    """How many sequences there are at each rate, Hz."""
    genders: Counter[str] = field(default_factory=Counter)
    without_dmpls: int = 0
    skipped: list[SkippedSequence] = field(default_factory=list)
    passed_over: int = 0


def total(scans: list[DatasetScan]) -> DatasetScan:
    """Give all datasets as if they were one."""
    return DatasetScan(
        name="total",
        sequences=sum(one.sequences for one in scans),
        frames=sum(one.frames for one in scans),
        hours=sum(one.hours for one in scans),
        frame_rates=sum((one.frame_rates for one in scans), Counter()),
        genders=sum((one.genders for one in scans), Counter()),
        without_dmpls=sum(one.without_dmpls for one in scans),
        skipped=[skip for one in scans for skip in one.skipped],
        passed_over=sum(one.passed_over for one in scans),
    )


def scan_tree(amass_dir: str | os.PathLike[str], only: str | Iterable[str] = ()) -> list[DatasetScan]:
    """Look at all datasets below a directory.

    Not seen is what only the data itself can tell: a broken checksum, values that are not finite.

    Args:
        amass_dir: holds ``DATASET/SUBJECT/SEQUENCE_poses.npz``.
        only: globs on ``dataset/subject/sequence``; none: everything.

    Raises:
        InputError: there is no such directory, or not one sequence in it.
    """
    return [_scan(dataset) for dataset in find_datasets(Path(amass_dir), as_globs(only))]


def _scan(dataset: Dataset) -> DatasetScan:
    def job(file: SequenceFile) -> tuple[SequenceFile, object]:
        return file, summarise_sequence(file.path)

    scan = DatasetScan(dataset.name, skipped=list(dataset.skipped), passed_over=dataset.passed_over)
    for file, outcome in executors.run(job, dataset.sequences, executors.cores_at_hand(), processes=False):
        match outcome:
            case SequenceSummary():
                scan.sequences += 1
                scan.frames += outcome.frames
                scan.hours += outcome.frames / outcome.frame_rate / 3600
                scan.frame_rates[outcome.frame_rate] += 1
                scan.genders[outcome.gender] += 1
                scan.without_dmpls += not outcome.has_dmpls
            case Skipped(reason):
                scan.skipped.append(SkippedSequence(str(file), reason))
            case _:
                scan.passed_over += 1
    return scan
