"""What people see: a progress bar and a table in a terminal, plain lines anywhere else.

Rich is imported where it is used: plain lines, and the start of the program, do without.
"""

from __future__ import annotations

import os
import sys

from amass_joints.finding import SkippedSequence
from amass_joints.report import DatasetReport, Listener, Report
from amass_joints.scan import DatasetScan, total

SHOWN_SKIPS = 20


def printable(text: str) -> str:
    """Make a name from a file system or a file safe to print: no control characters, nothing undecodable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listener(quiet: bool) -> Listener:
    """Choose how a run is shown."""
    if quiet:
        return Quiet()
    if not _in_a_terminal():
        return Lines()
    from amass_joints.progress import Bar

    return Bar()


def show(report: Report) -> None:
    """Print the end of a run: the table, what was skipped, what else there is to know."""
    if _in_a_terminal():
        columns = ("dataset", "sequences", "hours", "frames in", "frames out", "skipped", "seconds")
        _show_table("Converted", columns, [[one.name, *_cells(one)] for one in (*report.datasets, report.total)])
    else:
        say(_line(report.total))
    _show_skips(report.skipped, ": --report FILE lists them all")
    stiff = sum(not one.soft_tissue for one in report.total.converted)
    if stiff and report.options["dmpls"]:
        say(f"Converted without soft tissue, because the files have no DMPLs: {stiff:,} sequences.")
    _show_passed_over(report.total.passed_over)


def show_scan(datasets: list[DatasetScan]) -> None:
    """Print what a scan found."""
    everything = total(datasets)
    rows = [
        [
            one.name,
            f"{one.sequences:,}",
            f"{one.hours:,.2f}",
            f"{one.frames:,}",
            ", ".join(f"{rate:g} ({count:,})" for rate, count in sorted(one.frame_rates.items())),
            ", ".join(f"{gender} ({count:,})" for gender, count in sorted(one.genders.items())),
            f"{one.without_dmpls:,}",
            f"{len(one.skipped):,}",
        ]
        for one in (*datasets, everything)
    ]
    columns = ("dataset", "sequences", "hours", "frames", "Hz", "genders", "without DMPLs", "skipped")
    if _in_a_terminal():
        _show_table("Found", columns, rows)
    else:
        for name, *cells in rows:
            named = (f"{column} {cell}" for column, cell in zip(columns[1:], cells, strict=True) if cell)
            say(f"{name}: {'; '.join(named)}")
    _show_skips(everything.skipped)
    _show_passed_over(everything.passed_over)


def _in_a_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def say(text: str, *, error: bool = False) -> None:
    """Print a line, whose names may come from anywhere. When nobody can read it any more, the work goes on."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # closed by who started us
        return
    try:
        print(printable(text), file=stream, flush=True)
    except OSError:  # the reader has gone (| head), or what the output is redirected to is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Quiet(Listener):
    """Says only what must be known."""

    def warning(self, message: str) -> None:
        """Print it as an error is printed."""
        say(f"Warning: {message}", error=True)


class Lines(Quiet):
    """A line per dataset."""

    def dataset_ends(self, report: DatasetReport) -> None:
        """Print the line."""
        say(_line(report))


def _show_table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    name, *others = columns
    table = Table(title=title)
    table.add_column(name, overflow="fold")
    for column in others:
        table.add_column(column, justify="right")
    for row in rows:
        if row is rows[-1]:  # the total
            table.add_section()
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def _cells(dataset: DatasetReport) -> list[str]:
    if dataset.already_there:
        return ["there already"]
    return [
        f"{len(dataset.converted):,}",
        f"{dataset.hours:,.2f}",
        f"{dataset.source_frames:,}",
        f"{dataset.frames:,}",
        f"{len(dataset.skipped):,}",
        f"{dataset.seconds:,.1f}",
    ]


def _line(dataset: DatasetReport) -> str:
    if dataset.already_there:
        return f"{dataset.name}: {dataset.output} is there already"
    sequences, hours, source_frames, frames, skipped, seconds = _cells(dataset)
    return (
        f"{dataset.name}: {sequences} sequences, {hours} hours, {source_frames} frames in, {frames} frames out, "
        f"{skipped} skipped, {seconds} s"
    )


def _show_skips(skipped: list[SkippedSequence], where_else: str = "") -> None:
    if skipped:
        say(f"Skipped ({len(skipped)}):")
    for one in skipped[:SHOWN_SKIPS]:
        say(f"  {one.name}: {one.reason}")
    if len(skipped) > SHOWN_SKIPS:
        say(f"  and {len(skipped) - SHOWN_SKIPS} more{where_else}")


def _show_passed_over(count: int) -> None:
    if count:
        say(f"Passed over, because they are no sequences (shape.npz and the like): {count:,} files.")
