"""What people see: a progress bar and a table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from amass_joints.report import DatasetReport, Listener, Report
from amass_joints.sequences import Dataset, SequenceFile

SHOWN_SKIPS = 20
"""The report file lists them all."""


def printable(text: str) -> str:
    """Make a name from a file system or a file safe to print: no control characters, nothing undecodable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listener(quiet: bool) -> Listener:
    """Choose how a run is shown."""
    if quiet:
        return _Quiet()
    return _Bar() if sys.stdout.isatty() else _Lines()


def show(report: Report) -> None:
    """Print the end of a run: the table, what was skipped, what else there is to know."""
    if sys.stdout.isatty():
        Console().print(_table(report))
    else:
        print(_line(report.total))
    _show_skips(report)
    for note in _notes(report):
        print(note)


class _Quiet(Listener):
    """Says only what must be known."""

    def warning(self, message: str) -> None:
        print(f"Warning: {printable(message)}", file=sys.stderr)


class _Lines(_Quiet):
    """A line per dataset."""

    def dataset_ends(self, report: DatasetReport) -> None:
        print(_line(report), flush=True)


class _FramesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        frames = task.fields["frames"]
        speed = f"{frames / task.elapsed:,.0f} frames/s" if task.elapsed else ""
        return Text(f"{frames:,} frames  {speed}")


class _Bar(_Quiet):
    """A progress bar; how far the run is, is measured in bytes of the files, which are known beforehand."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _FramesPerSecond(),
            TimeRemainingColumn(),
            transient=True,
        )

    def begins(self, datasets: list[Dataset]) -> None:
        total = sum(file.num_bytes for dataset in datasets for file in dataset.sequences)
        self._task = self._progress.add_task("", total=total, frames=0)
        self._progress.start()

    def dataset_begins(self, dataset: Dataset) -> None:
        self._progress.update(self._task, description=printable(dataset.name))

    def sequence_ends(self, file: SequenceFile, source_frames: int) -> None:
        frames = self._progress.tasks[0].fields["frames"] + source_frames
        self._progress.update(self._task, advance=file.num_bytes, frames=frames)

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()


def _table(report: Report) -> Table:
    table = Table(title="Converted")
    table.add_column("dataset", overflow="fold")
    for column in ("sequences", "hours", "frames in", "frames out", "skipped", "seconds"):
        table.add_column(column, justify="right")
    for dataset in report.datasets:
        table.add_row(Text(printable(dataset.name)), *_cells(dataset))
    table.add_section()
    table.add_row("total", *_cells(report.total))
    return table


def _cells(dataset: DatasetReport) -> list[str]:
    if dataset.already_there:
        return ["there", "", "", "", "", ""]
    return [
        f"{len(dataset.converted):,}",
        f"{dataset.hours:,.2f}",
        f"{dataset.source_frames:,}",
        f"{dataset.frames:,}",
        f"{len(dataset.skipped):,}",
        f"{dataset.seconds:,.1f}",
    ]


def _line(dataset: DatasetReport) -> str:
    name = printable(dataset.name)
    if dataset.already_there:
        return f"{name}: {dataset.output} is there already"
    sequences, hours, source_frames, frames, skipped, seconds = _cells(dataset)
    return (
        f"{name}: {sequences} sequences, {hours} hours, {source_frames} frames in, {frames} frames out, "
        f"{skipped} skipped, {seconds} s"
    )


def _show_skips(report: Report) -> None:
    skipped = report.skipped
    if not skipped:
        return
    print(f"Skipped ({len(skipped)}):")
    for one in skipped[:SHOWN_SKIPS]:
        print(f"  {printable(one.name)}: {printable(one.reason)}")
    if len(skipped) > SHOWN_SKIPS:
        print(f"  and {len(skipped) - SHOWN_SKIPS} more: --report FILE lists them all")


def _notes(report: Report) -> list[str]:
    total = report.total
    stiff = sum(not one.soft_tissue for one in total.converted)
    notes = []
    if stiff and report.options["dmpls"]:
        notes.append(f"Converted without soft tissue, because the files have no DMPLs: {stiff:,} sequences.")
    if total.passed_over:
        notes.append(
            f"Passed over, because they are no sequences (shape.npz and the like): {total.passed_over:,} files."
        )
    return notes
