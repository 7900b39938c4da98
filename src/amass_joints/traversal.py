"""Going through the sequences of datasets, in directories and in archives: a job is done on each, on several at a time.

A sequence in a directory is a job of its own. An archive is read once, from its beginning to its end, in one worker,
and its sequences come in any order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from amass_joints import executors
from amass_joints.archives import ArchiveError, read_members
from amass_joints.errors import InputError
from amass_joints.finding import Archive, Dataset, Found, SequenceFile, SkippedSequence, Variant, is_wanted, preferred
from amass_joints.report import Listener
from amass_joints.sequences import SequenceSummary, labelled_frame_rate, summarise_sequence

Result = TypeVar("Result")

FREE_FRAMES = 1_000_000
"""How many frames any archive may have ..."""

BYTES_A_FRAME = 8
"""... and for how many bytes of it one more, or its results, which are in memory until it is read, would be far larger
than it is. (AMASS's have a thousand.)"""


@dataclass(frozen=True)
class Results(Generic[Result]):
    """What became of the sequences of a dataset."""

    dataset: Dataset
    """The dataset, with what its archives held."""
    results: Iterable[tuple[SequenceFile, Result]]
    """In the order of subject and name. The arrays in one hold until the next is asked for."""
    frame_rates: Mapping[Path, float | None]
    """Hz, of sequences that were set aside in archives, as they say."""
    begun: float
    """When, by :func:`time.monotonic`."""


def number_of_workers(workers: int | None) -> int:
    """Give the number of workers: as many as there are cores at hand, where none is given.

    Raises:
        InputError: it is less than 1.
    """
    if workers is None:
        return executors.cores_at_hand()
    if workers < 1:
        raise InputError(f"the number of workers is {workers}, expected 1 or more.")
    return workers


def go_through(
    datasets: list[Dataset],
    job: Callable[[SequenceFile, Path | bytes], Result],
    *,
    only: tuple[str, ...] = (),
    prefer: Variant = "smplh",
    workers: int = 1,
    processes: bool = True,
    listener: Listener | None = None,
) -> Generator[Results[Result], None, None]:
    """Do a job on each sequence of each dataset.

    Args:
        datasets: those that have archives are best last: what is in one has to be held until it can be put in order.
        job: is given a sequence, and its file or what is in it.
        only: globs on ``dataset/subject/sequence``, for archives; none: everything.
        prefer: which release is taken of a motion that an archive has in both.
        workers: how many sequences are worked on at a time.
        processes: whether in processes, where that can be, or in threads.
        listener: is told which dataset is next.

    Returns:
        The results, dataset by dataset: those of one have to be used before the next is asked for.
    """
    files = [file for dataset in datasets for file in dataset.sequences]
    archives = [archive for dataset in datasets for archive in dataset.archives]
    threads = max(1, workers // max(1, len(archives)))

    def do(file: SequenceFile, content: Path | bytes) -> Result:
        try:
            return job(file, content)
        except MemoryError as error:
            raise InputError(
                f"{file.path}: there was not enough memory for it. Use fewer --workers, or a machine with more."
            ) from error

    def do_one(file: SequenceFile) -> Result:
        return do(file, file.path)

    def do_all_in(archive: Archive) -> _ArchiveResults[Result]:
        return _go_through_archive(archive, do, only, prefer, threads)

    with (
        closing(executors.run(do_one, files, workers, processes=processes)) as of_files,
        closing(executors.run(do_all_in, archives, workers, processes=processes)) as of_archives,
    ):
        for dataset in datasets:
            begun = time.monotonic()
            if listener is not None:
                listener.dataset_begins(dataset)
            results: Iterable[tuple[SequenceFile, Result]] = zip(dataset.sequences, of_files, strict=False)
            frame_rates: dict[Path, float | None] = {}
            if dataset.archives:
                dataset, results, frame_rates = _with_archives(dataset, results, of_archives)
            yield Results(dataset, results, frame_rates, begun)


@dataclass(frozen=True)
class _ArchiveResults(Generic[Result]):
    """What became of an archive."""

    results: list[tuple[SequenceFile, Result]]
    skipped: list[SkippedSequence]
    passed_over: int
    left_out: int
    set_aside: list[tuple[SequenceFile, SequenceFile]]
    frame_rates: dict[Path, float | None]
    """Hz, of the sequences set aside."""


def _go_through_archive(
    archive: Archive,
    job: Callable[[SequenceFile, Path | bytes], Result],
    only: tuple[str, ...],
    prefer: Variant,
    threads: int,
) -> _ArchiveResults[Result]:
    """Do a job on each sequence in an archive. Memory is needed for the results, and for one sequence at a time."""
    found = Found(archive.dataset, archive.path)
    results: dict[Path, Result] = {}
    frame_rates: dict[Path, float | None] = {}
    left_out = 0
    frames_left = FREE_FRAMES + archive.num_bytes // BYTES_A_FRAME
    skipped = []
    try:
        for member in read_members(archive.path, threads=threads):
            executors.end_if_unwanted()
            path = archive.path / member.path
            content = lru_cache(maxsize=1)(member.read)
            try:
                if path in archive.set_aside:
                    frame_rates[path] = labelled_frame_rate(content())
                if archive.wanted is not None and path not in archive.wanted:
                    continue
                file = found.look_at(member.path.parts, member.size, member.problem, content)
                if file is None:
                    continue
                if is_wanted(str(file), only):
                    summary = summarise_sequence(content())
                    if isinstance(summary, SequenceSummary):
                        frame_rates[path] = summary.frame_rate
                        frames_left -= summary.frames
                        if frames_left < 0:
                            raise ArchiveError("its archive has more frames than motions of its size have")
                    results[path] = job(file, content())
                else:
                    left_out += 1
            except ArchiveError as error:  # others may be whole; if not, the next one is not to be had
                found.skip(member.path.parts, str(error))
    except ArchiveError as error:
        reason = f"{error}; what comes before that in the archive is converted" if results else str(error)
        skipped.append(SkippedSequence(f"{archive.dataset}/{archive.path.name}", reason))
    wanted, set_aside = preferred([file for file in found.in_order() if file.path in results], prefer)
    others = {*archive.set_aside, *(other.path for _, other in set_aside)}
    return _ArchiveResults(
        results=[(file, results[file.path]) for file in wanted],
        skipped=[*(one for one in found.skipped if is_wanted(one.name, only)), *skipped],
        passed_over=found.passed_over,
        left_out=left_out,
        set_aside=set_aside,
        frame_rates={path: rate for path, rate in frame_rates.items() if path in others},
    )


def _with_archives(
    dataset: Dataset,
    results: Iterable[tuple[SequenceFile, Result]],
    archives: Iterator[_ArchiveResults[Result]],
) -> tuple[Dataset, list[tuple[SequenceFile, Result]], dict[Path, float | None]]:
    """Give a dataset with what its archives held, all its results in order, and frame rates of what was set aside."""
    held = [(file, deepcopy(result)) for file, result in results]  # their arrays hold until the next is asked for
    frame_rates: dict[Path, float | None] = {}
    for _, archive in zip(dataset.archives, archives, strict=False):
        held += [(file, deepcopy(result)) for file, result in archive.results]
        dataset = replace(
            dataset,
            skipped=(*dataset.skipped, *archive.skipped),
            passed_over=dataset.passed_over + archive.passed_over,
            left_out=dataset.left_out + archive.left_out,
            set_aside=(*dataset.set_aside, *archive.set_aside),
        )
        frame_rates |= archive.frame_rates
    return dataset, sorted(held, key=lambda one: (one[0].subject, one[0].name)), frame_rates
