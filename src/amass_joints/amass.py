"""What is known of AMASS's datasets: the names they go by, and frame rates that their files give wrongly.

The tables, with their sources, are in ``amass.json`` beside this file.
"""

from __future__ import annotations

import json
import math
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any


def canonical_name(name: str) -> str:
    """Give the name of a dataset that trainers' splits know, whichever of its names this is; others stay."""
    return _aliases().get(name, name)


def with_canonical_name(path: str) -> str:
    """Give a motion's name, or a glob on such, ``dataset/...``, with the canonical name of the dataset."""
    dataset, slash, rest = path.partition("/")
    return f"{canonical_name(dataset)}{slash}{rest}"


def known_frame_rate(dataset: str, subject: str, sequence: str) -> float | None:
    """Give the frame rate of a sequence, Hz, where its file is known to give a wrong one.

    Args:
        dataset: any of its names.
        subject: as its directory is called.
        sequence: the file's name, without the suffix.
    """
    name = f"{canonical_name(dataset)}/{subject}/{sequence}"
    return next((hertz for glob, hertz in _frame_rates() if fnmatchcase(name, glob)), None)


def is_same_rate(one: float, other: float) -> bool:
    """Whether two frame rates are the same but for the way that they were computed: 120 and 120.00004577636719 Hz."""
    return math.isclose(one, other, rel_tol=1e-3)


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("amass.json").read_text(encoding="utf-8"))
    return table


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    return {alias: name for name, aliases in _table()["names"].items() for alias in aliases}


@lru_cache(maxsize=1)
def _frame_rates() -> list[tuple[str, float]]:
    return [(entry["sequences"], entry["hertz"]) for entry in _table()["frame_rates"]]
