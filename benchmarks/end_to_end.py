"""How long whole runs over a tree take, and how much memory: ours, and one process that only reads the same files.

All are whole processes, from their start to their end, and the files are in the page cache.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import amass_joints as aj
from benchmarks.corpus import Corpus
from benchmarks.measuring import Cell, Result, Table, in_turn, readable
from benchmarks.processes import Usage, as_cells, measure, rounds_note

READER = """
import sys
import numpy as np

touch = {"read": lambda array: None, "read and sum": lambda array: array.dtype.kind == "f" and array.sum()}[sys.argv[1]]
with open(sys.argv[2], encoding="utf-8") as paths:
    for path in paths.read().splitlines():
        with np.load(path) as file:
            for name in file.files:
                touch(file[name])
"""
"""A program that loads every array of the files that a list names, and does nothing else, or adds it up."""


@dataclass(frozen=True)
class Conversion:
    """A run of ``amass-joints convert``."""

    corpus: Corpus
    rate: float | None
    """Target frame rate, Hz; None: each sequence's own."""
    workers: int
    device: str = "cpu"

    @property
    def title(self) -> str:
        """Tells it from the others."""
        return f"ours, --workers {self.workers}" + (f" --device {self.device}" if self.device != "cpu" else "")

    def usage(self, *options: str | Path) -> Usage:
        """Convert into a directory that is then removed."""
        with tempfile.TemporaryDirectory() as directory:
            rate = () if self.rate is None else ("--rate", str(self.rate))
            how = ("--workers", str(self.workers), "--device", self.device, "--quiet", "--strict")
            convert = (sys.executable, "-m", "amass_joints", "convert", *self.corpus.options, "--out-dir", directory)
            return measure((*convert, *rate, *how, *options))

    def report(self) -> dict[str, Any]:
        """Convert, and give the report that the run wrote."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "report.json"
            self.usage("--report", file)
            report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return report


def end_to_end(conversions: Sequence[Conversion], rounds: int) -> Result:
    """Convert one corpus in these ways, in turn with reading it."""
    corpus = conversions[0].corpus
    report = conversions[0].report()  # also compiles the kernel
    with tempfile.TemporaryDirectory() as directory:
        paths = Path(directory) / "paths.txt"
        paths.write_text("".join(f"{path}\n" for path in corpus.files()), encoding="utf-8")
        reading = {
            f"np.load: {how}": partial(measure, [sys.executable, "-c", READER, how, paths])
            for how in ("read", "read and sum")
        }
        reading["np.load: read"]()  # brings the files into the page cache
        contenders: dict[str, Callable[[], Usage]] = {one.title: one.usage for one in conversions}
        usages = in_turn(contenders | reading, rounds)
    settings: dict[str, Cell] = {
        "sequences": corpus.sequences,
        "frames": corpus.frames,
        "size on disk, GB": corpus.num_bytes / 1e9,
        **_describe_outputs(report, conversions[0]),
    }
    table = _table("Whole runs, files in the page cache", usages, corpus.frames, "np.load: read")
    return Result("end-to-end", settings, (table,))


def memory(conversion: Conversion, rounds: int) -> Result:
    """Convert a corpus at the target rate, and at its own."""
    frames = conversion.corpus.frames
    conversions = [replace(conversion, rate=rate) for rate in dict.fromkeys((conversion.rate, None))]
    tables = []
    for one in conversions:
        outputs = _describe_outputs(one.report(), one)
        table = _table("One long sequence", in_turn({one.title: one.usage}, rounds), frames)
        note = "; ".join(f"{name}: {readable(value)}" for name, value in outputs.items())
        tables.append(replace(table, notes=(*table.notes, note)))
    return Result("memory", {"frames": frames}, tuple(tables))


def _describe_outputs(report: dict[str, Any], conversion: Conversion) -> dict[str, Cell]:
    """Say what comes out, and how large the largest dataset is, uncompressed."""
    frames = {
        dataset["name"]: sum(sequence["frames"] for sequence in dataset["converted"]) for dataset in report["datasets"]
    }
    joints = len(aj.load_regressor(conversion.corpus.joint_regressor).matrix)
    largest = max(frames, key=lambda name: frames[name])
    return {
        "target rate, Hz": conversion.rate or "each sequence's own",
        "frames out": sum(frames.values()),
        "largest dataset": largest,
        "its output, uncompressed, MB": frames[largest] * joints * 3 * 4 / 1e6,
    }


def _table(title: str, usages: dict[str, list[Usage]], frames: int, compared_with: str | None = None) -> Table:
    wall = {name: statistics.median(usage.wall for usage in of_name) for name, of_name in usages.items()}
    rows: list[dict[str, Cell]] = []
    for name, of_name in usages.items():
        rows.append({"process": name, **as_cells(of_name), "source frames/s": frames / wall[name]})
        if compared_with:
            rows[-1][f"time / '{compared_with}'"] = wall[name] / wall[compared_with]
    return Table(title, tuple(rows), (rounds_note(usages),))
