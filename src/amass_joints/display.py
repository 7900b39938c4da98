"""What people see: a progress bar and a table in a terminal, plain lines anywhere else.

Rich is imported where it is used: plain lines, and the start of the program, do without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from amass_joints.arrays import shortened
from amass_joints.body_models import MODEL_TYPES
from amass_joints.choices import Choices
from amass_joints.finding import SkippedSequence
from amass_joints.report import DatasetReport, Listener, Report, VerifiedDataset
from amass_joints.scan import DatasetScan, ModelFile, total

if TYPE_CHECKING:
    from amass_joints.verify import Verification

SHOWN = 20
"""Lines of a list that is printed."""

LONGEST_LINE = 1000
"""Characters of one: names in an archive may have tens of thousands."""

_TITLES = {one.name: one.title for one in MODEL_TYPES}


def printable(text: str) -> str:
    """Make a name from a file system or a file safe to print: no control characters, nothing undecodable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listener(quiet: bool) -> Listener:
    """Choose how a run is shown."""
    if quiet:
        return Quiet()
    if not in_a_terminal():
        return Lines()
    from amass_joints.progress import Bar

    return Bar()


def show(report: Report) -> None:
    """Print the end of a run: the table, what was skipped, what else there is to know."""
    if in_a_terminal():
        columns = ("dataset", "sequences", "hours", "frames in", "frames out", "skipped", "seconds")
        show_table("Converted", columns, [[one.name, *_cells(one)] for one in (*report.datasets, report.total)])
    else:
        say(_line(report.total))
    _show_skips(report.skipped, _ALL)
    verified = [one.verified_error for one in report.total.converted if one.verified_error is not None]
    if verified:
        where = "Compared with the whole mesh, at a random frame each"
        say(f"{where}: {len(verified):,} sequences; largest error {max(verified):.1e} m.")
    _show_some("Doubtful", report.doubts, _ALL)
    _show_joints(report)
    _show_row_sums(report)
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


def show_wrong(report: Report) -> None:
    """Print what is wrong, compared with the mesh: an error, also for those who want to hear of nothing else."""
    _show_some("WRONG, compared with the whole mesh", report.wrong, _ALL, error=True)


_ALL = ": --report FILE lists them all"


def show_verification(verification: Verification, quiet: bool) -> None:
    """Print what a check of converted datasets found; quietly, only what is wrong."""
    from amass_joints.textbook import TOLERANCE

    datasets = verification.datasets
    sequences, frames = sum(one.sequences for one in datasets), sum(one.frames for one in datasets)
    if not quiet and in_a_terminal():
        columns = ("dataset", "sequences", "frames", "largest error, m", "median error, m", "problems")
        rows = [_verified_cells(one) for one in datasets]
        total = ["total", f"{sequences:,}", f"{frames:,}", "", "", f"{sum(len(one.problems) for one in datasets):,}"]
        show_table("Compared with the whole mesh", columns, [*rows, total])
    _show_some("Problems", [problem for one in datasets for problem in one.problems], _ALL, error=quiet)
    compared = f"{frames:,} frames of {sequences:,} sequences compared"
    if verification.not_converted:
        compared += f" (not in the output, and not compared: {', '.join(verification.not_converted)})"
    if not verification.passed:
        say(f"FAILED: {compared}. Were these the options that it was converted with?", error=quiet)
    elif not quiet:
        say(f"Passed: {compared}: every joint is where the whole mesh has it, within {TOLERANCE:g} m.")


def _verified_cells(dataset: VerifiedDataset) -> list[str]:
    return [
        dataset.name,
        f"{dataset.sequences:,}",
        f"{dataset.frames:,}",
        *("-" if error is None else f"{error:.1e}" for error in (dataset.largest_error, dataset.median_error)),
        f"{len(dataset.problems):,}",
    ]


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
    if in_a_terminal():
        show_table("Found", columns, rows)
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


def in_a_terminal() -> bool:
    """Whether people see what is printed as it comes."""
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

    def dataset_ends(self, report: DatasetReport | VerifiedDataset) -> None:
        """Print the line."""
        say(_line(report) if isinstance(report, DatasetReport) else _verified_line(report))


def show_table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """Print a table, whose last row is the total."""
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


def _verified_line(dataset: VerifiedDataset) -> str:
    name, sequences, frames, largest, median, problems = _verified_cells(dataset)
    return (
        f"{name}: {sequences} sequences, {frames} frames compared, largest error {largest} m, median {median} m, "
        f"{problems} problems"
    )


def _show_skips(skipped: list[SkippedSequence], where_else: str) -> None:
    _show_some("Skipped", [f"{one.name}: {one.reason}" for one in skipped], where_else)


def _show_some(title: str, lines: list[str], where_else: str, *, error: bool = False) -> None:
    if lines:
        say(f"{title} ({len(lines)}):", error=error)
    for line in lines[:SHOWN]:
        say(f"  {shortened(line, LONGEST_LINE)}", error=error)
    if len(lines) > SHOWN:
        say(f"  and {len(lines) - SHOWN} more{where_else}", error=error)


def _show_joints(report: Report) -> None:
    choices = Choices(**report.options["choices"])
    for name in sorted({str(body.skeleton) for body in report.bodies}):
        if name != "None":
            how = "as named" if report.options["skeleton"] or report.options["joints"] else "found out from the body"
            say(f"The joints are those of {name}, {how}.")
        else:
            say("What the joints are is not known, and the files do not say it: --skeleton names them.")
    if choices != Choices():
        say(f"Chosen: {choices}.")


def _show_row_sums(report: Report) -> None:
    off = {joint.name: joint.row_sum for body in report.bodies for joint in body.joints if joint.row_sum_is_off}
    effect = max((one.plausibility.row_sum_effect_mm for one in report.total.converted), default=0.0)
    if off:
        worst = max(off, key=lambda name: abs(off[name] - 1))
        say(
            f"Rows of the joint regressor that do not sum to 1: {len(off)}, of which {worst} has {off[worst]:.6g}. "
            f"This moves joints by up to {effect:,.1f} mm, more if farther from the origin: --normalize-rows mends it."
        )


def _show_set_aside(count: int) -> None:
    if count:
        say(f"There as SMPL+H and as SMPL-X, of which --prefer takes one: {count:,} sequences.")


def _show_notes(notes: Iterable[str]) -> None:
    for note in notes:
        say(f"Note: {note}.")


def _show_passed_over(count: int) -> None:
    if count:
        say(f"Passed over, because they are no sequences (shape.npz and the like): {count:,} files.")
