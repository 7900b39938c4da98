"""How long the program takes to start: each time, and the first time after installation."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from amass_joints.errors import InputError
from benchmarks.corpus import write_corpus
from benchmarks.measuring import Result, Table, in_turn
from benchmarks.processes import Usage, as_cells, measure, rounds_note

SEQUENCES = 2
"""Of the small tree whose conversion is the first run."""


def startup(rounds: int, first_rounds: int) -> Result:
    """Start programs that do next to nothing, in turn; then convert a small tree with and without compiled kernels."""
    program = shutil.which("amass-joints", path=str(Path(sys.executable).parent)) or shutil.which("amass-joints")
    if program is None:
        raise InputError("the command amass-joints is not installed: pip install -e . installs it.")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import numpy'": [sys.executable, "-c", "import numpy"],
        "python -c 'import amass_joints'": [sys.executable, "-c", "import amass_joints"],
        "amass-joints --help": [program, "--help"],
    }
    for command in commands.values():
        measure(command)  # compiles what Python compiles once
    starts = in_turn({name: partial(measure, command) for name, command in commands.items()}, rounds)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        corpus = write_corpus(work / "corpus", SEQUENCES)
        convert: tuple[str | Path, ...] = (program, "convert", *corpus.options, "--out-dir", work / "joints", "--quiet")

        def with_cache(cache: Path) -> Usage:
            return measure(convert, {"XDG_CACHE_HOME": str(cache)})

        def first() -> Usage:
            with tempfile.TemporaryDirectory() as empty:
                return with_cache(Path(empty))

        later = partial(with_cache, work / "cache")
        later()
        contenders: dict[str, Callable[[], Usage]] = {"first run": first, "later run": later}
        runs = in_turn(contenders, first_rounds)
    return Result(
        "startup",
        {"sequences converted": corpus.sequences, "frames converted": corpus.frames},
        (_table("Start", starts), _table("Convert a small tree: first and later", runs)),
    )


def _table(title: str, usages: dict[str, list[Usage]]) -> Table:
    rows = tuple({"process": name, **as_cells(of_name)} for name, of_name in usages.items())
    return Table(title, rows, (rounds_note(usages),))
