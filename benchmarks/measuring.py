"""What a measurement is: contenders that run in turn, figures with their spread, and a result for people and programs.

A machine's speed changes from minute to minute. So every round runs every contender once, one after the other, and a
figure is the median over the rounds, with the spread beside it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

from amass_joints.files import written_whole
from benchmarks.machine import machine, versions

Measured = TypeVar("Measured")


def in_turn(contenders: Mapping[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Run every contender once a round, one after the other; give what each measured, round by round."""
    measured: dict[str, list[Measured]] = {name: [] for name in contenders}
    for _ in track(range(rounds), "Rounds", console=Console(stderr=True), transient=True):
        for name, run in contenders.items():
            measured[name].append(run())
    return measured


def calls_per_second(call: Callable[[], object], seconds: float) -> float:
    """Call again and again until at least so many seconds have passed."""
    calls, started = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return calls / elapsed


@dataclass(frozen=True)
class Figure:
    """One quantity, measured several times."""

    values: tuple[float, ...]
    """One a round, in the order of rounds."""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the values are between these two."""
        low, high = np.quantile(self.values, (0.25, 0.75))
        return float(low), float(high)

    def __str__(self) -> str:
        """Give the median, and the lowest and the highest value."""
        return f"{readable(self.median)} ({readable(min(self.values))} to {readable(max(self.values))})"

    def as_json(self) -> dict[str, Any]:
        """Give all there is."""
        return {
            "median": self.median,
            "lowest": min(self.values),
            "highest": max(self.values),
            "quartiles": list(self.quartiles),
            "values": list(self.values),
        }


Cell: TypeAlias = Figure | float | str | None
"""What stands in a table; None where there is nothing to say."""


@dataclass(frozen=True)
class Table:
    """Figures of contenders that ran in turn."""

    title: str
    rows: tuple[Mapping[str, Cell], ...]
    """Each by column; a column's name has its unit. The first column names the contender."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """All that a benchmark found, and where."""

    benchmark: str
    settings: Mapping[str, Cell]
    """What was measured on: inputs and options."""
    tables: tuple[Table, ...]
    machine: Mapping[str, str] = field(default_factory=machine)
    versions: Mapping[str, str] = field(default_factory=versions)

    def with_tables_of(self, other: Result) -> Result:
        """Add what another benchmark found in the same place."""
        return replace(self, settings={**self.settings, **other.settings}, tables=self.tables + other.tables)

    def show(self) -> None:
        """Print it for people."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 160
        for facts in (self.machine, self.versions, self.settings):
            console.print("; ".join(f"{name}: {readable(value)}" for name, value in facts.items()), soft_wrap=True)
        for table in self.tables:
            console.print()
            console.print(_for_people(table))
            for note in table.notes:
                console.print(note, soft_wrap=True)

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            InputError: it cannot be written.
        """
        content = {
            "benchmark": self.benchmark,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "settings": {name: _as_json(value) for name, value in self.settings.items()},
            "tables": [
                {
                    "title": table.title,
                    "rows": [{column: _as_json(cell) for column, cell in row.items()} for row in table.rows],
                    "notes": list(table.notes),
                }
                for table in self.tables
            ],
        }
        with written_whole(path) as stream:
            stream.write(json.dumps(content, indent=1).encode("ascii") + b"\n")


def readable(cell: Cell) -> str:
    """Write a cell as people like to read it: three digits, or whole numbers."""
    if cell is None:
        return ""
    if not isinstance(cell, (int, float)):
        return str(cell)
    if cell == 0 or 0.001 <= abs(cell) < 100:
        return f"{cell:.3g}"
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.1e}"


def _for_people(table: Table) -> RichTable:
    rich = RichTable(title=table.title, title_justify="left", title_style="bold")
    columns = list(dict.fromkeys(column for row in table.rows for column in row))
    for number, column in enumerate(columns):
        of_figures = any(isinstance(row.get(column), Figure) for row in table.rows)
        rich.add_column(column, justify="right" if number else "left", no_wrap=of_figures)
    for row in table.rows:
        rich.add_row(*(readable(row.get(column)) for column in columns))
    return rich


def _as_json(cell: Cell) -> Any:
    return cell.as_json() if isinstance(cell, Figure) else cell
