"""What people see of an export: a progress bar and a table in a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections import Counter

from amass_joints.arrays import shortened
from amass_joints.display import LONGEST_LINE, SHOWN, in_a_terminal, say, show_table
from amass_joints.export.report import Amount, ExportListener, ExportReport, SourceReport


def listener(quiet: bool) -> ExportListener:
    """Choose how an export is shown."""
    if quiet:
        return ExportListener()
    if not in_a_terminal():
        return Lines()
    from amass_joints.export.progress import Bar

    return Bar()


class Lines(ExportListener):
    """A line per source."""

    def source_ends(self, report: SourceReport) -> None:
        """Print the line."""
        say(f"{report.dataset}: {report.total}, {len(report.left_out):,} left out")


def show(report: ExportReport) -> None:
    """Print the end of an export: how much there is of what, what was left out, what was written."""
    amounts: list[tuple[str, Amount]] = [(part or "exported", amount) for part, amount in report.parts.items()]
    if len(amounts) > 1:
        amounts.append(("total", report.total))
    if in_a_terminal():
        columns = ("part", "sequences", "hours", "frames")
        show_table(f"Exported: {report.format}", columns, [_cells(name, amount) for name, amount in amounts])
    else:
        for name, amount in amounts:
            say(f"{name}: {amount}")
    if report.left_out:
        say(f"Left out ({len(report.left_out):,}; --report FILE lists them all):")
    for reason, count in Counter(one.reason for one in report.left_out).most_common(SHOWN):
        say(f"  {shortened(reason, LONGEST_LINE)}: {count:,}")
    not_wanted = sum(source.not_wanted for source in report.sources)
    if not_wanted:
        say(f"Not asked for (--only): {not_wanted:,} sequences.")
    if report.visibility is not None:
        say(f"Of what cameras see: {report.visibility}.")
    for note in report.notes:
        say(f"Note: {note}.")
    for output in report.outputs:
        say(f"Written: {output}")


def _cells(name: str, amount: Amount) -> list[str]:
    return [name, f"{amount.sequences:,}", f"{amount.hours:,.2f}", f"{amount.frames:,}"]
