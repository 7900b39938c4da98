"""What people see: a progress bar and a table in a terminal, plain lines anywhere else.

Rich is imported where it is used: plain lines, and the start of the program, do without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from amass_joints.body_models import MODEL_TYPES
from amass_joints.finding import SkippedSequence
from amass_joints.report import DatasetReport, Listener, Report
from amass_joints.scan import DatasetScan, ModelFile, total

SHOWN = 20


_TITLES = {one.name: one.title for one in MODEL_TYPES}


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
    _show_skips(report.skipped, _ALL)
    stiff = sum(not one.soft_tissue for one in report.total.converted)
    if stiff and report.options["dmpls"]:
        say(f"Converted without soft tissue, because the files have no DMPLs: {stiff:,} sequences.")
    known = [one for one in report.total.converted if one.known_frame_rate is not None]
    if known:
        fixed = report.options["fix_frame_rates"]
        what = "was replaced" if fixed else "is known to be wrong: --fix-frame-rates replaces it"
        say(f"The frame rate of {len(known):,} sequences {what}.")
    _show_set_aside(sum(dataset.set_aside for dataset in report.datasets))
    _show_some("Frame rates that differ between SMPL+H and SMPL-X", [str(one) for one in report.disagreements], _ALL)
    _show_notes(note for dataset in report.datasets for note in dataset.notes)
    _show_passed_over(report.total.passed_over)


_ALL = ": --report FILE lists them all"


def show_scan(datasets: list[DatasetScan], files: list[ModelFile], command: str) -> None:
    """Print what a scan found, which model files that needs, and the command to convert it."""
    everything = total(datasets)
    rows = [
        [
            one.name,
            ", ".join(_TITLES[name] for name in sorted(one.model_types)) or ("archive" if one.archives else ""),
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
    columns = ("dataset", "variant", "sequences", "hours", "frames", "Hz", "genders", "without DMPLs", "skipped")
    if _in_a_terminal():
        _show_table("Found", columns, rows)
    else:
        for name, *cells in rows:
            named = (f"{column} {cell}" for column, cell in zip(columns[1:], cells, strict=True) if cell)
            say(f"{name}: {'; '.join(named)}")
    _show_skips(everything.skipped, ": --json lists them all")
    _show_passed_over(everything.passed_over)
    for archive in everything.archives:
        say(f"Archive, not looked into: {archive.path} ({archive.num_bytes / 1e9:,.2f} GB).")
    _show_set_aside(everything.set_aside)
    if everything.known_frame_rates:
        say(f"Known to give a wrong frame rate, which --fix-frame-rates replaces: {everything.known_frame_rates:,}.")
    _show_notes(everything.notes)
    if files:
        say("Body model files:")
    for file in files:
        state = "WRONG" if file.problem else "there" if file.is_there else "MISSING"
        say(
            f"  {state:7}  {file.path}, for {file.sequences:,} sequences"
            + (f": {file.problem}" if file.problem else "")
        )
    say("To convert this:")
    say(f"  {command}")


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


def _show_skips(skipped: list[SkippedSequence], where_else: str) -> None:
    _show_some("Skipped", [f"{one.name}: {one.reason}" for one in skipped], where_else)


def _show_some(title: str, lines: list[str], where_else: str) -> None:
    if lines:
        say(f"{title} ({len(lines)}):")
    for line in lines[:SHOWN]:
        say(f"  {line}")
    if len(lines) > SHOWN:
        say(f"  and {len(lines) - SHOWN} more{where_else}")


def _show_set_aside(count: int) -> None:
    if count:
        say(f"There as SMPL+H and as SMPL-X, of which --prefer takes one: {count:,} sequences.")


def _show_notes(notes: Iterable[str]) -> None:
    for note in notes:
        say(f"Note: {note}.")


def _show_passed_over(count: int) -> None:
    if count:
        say(f"Passed over, because they are no sequences (shape.npz and the like): {count:,} files.")
