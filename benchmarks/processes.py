"""Whole processes as contenders: what a command takes in time, in work and in memory.

Linux and macOS; Windows does not tell a process's usage in this way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Cell, Figure

LAUNCHER = Path(__file__).with_name("launcher.py")


class ProcessFailed(Exception):
    """A command that was to be measured did not do its work."""


@dataclass(frozen=True)
class Usage:
    """What a process used, from its start to its end."""

    wall: float
    """Seconds by the clock."""
    cpu: float
    """Seconds of all its threads, and of the processes that it waited for."""
    peak: int
    """Bytes of memory, at the most."""


def as_cells(usages: Sequence[Usage]) -> dict[str, Cell]:
    """Make columns of what a process used, round by round."""
    return {
        "time, s": Figure(tuple(usage.wall for usage in usages)),
        "CPU time, s": Figure(tuple(usage.cpu for usage in usages)),
        "peak memory, MB": Figure(tuple(usage.peak / 1e6 for usage in usages)),
    }


def rounds_note(usages: Mapping[str, Sequence[Usage]]) -> str:
    """Say how to read the columns."""
    rounds = len(next(iter(usages.values())))
    return f"Medians of {rounds} rounds (lowest to highest). CPU time is that of all cores together."


def measure(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end; what it prints is thrown away.

    Args:
        command: the program and its arguments.
        environment: what differs from this process's environment.

    Raises:
        ProcessFailed: it exited with something else than 0.
    """
    launched = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, *command],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    used = json.loads(launched.stdout) if launched.returncode == 0 else {"exit_code": launched.returncode}
    if used.pop("exit_code") != 0:
        raise ProcessFailed(f"{' '.join(map(str, command))}\nfailed:\n{launched.stderr.strip()}")
    return Usage(**used)
