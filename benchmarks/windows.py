"""How many windows a second a training loop is given, by ours and in the known way; and what its first batch takes."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from amass_joints import cameras
from amass_joints.training import PoseSequences
from benchmarks.corpus import Corpus
from benchmarks.loading import KnownWay, h36m_cameras, loader
from benchmarks.measuring import Cell, Figure, Result, Table, in_turn
from benchmarks.processes import Usage, as_cells, measure, rounds_note

RATE = 50.0
"""Hz, of the converted corpus: what Human3.6M has."""

SUBJECT = "S1"
"""Of Human3.6M, whose four cameras see the windows."""

FORMATS = ("npz-stored", "npz")

TOLERANCE = 1e-4
"""Metres, and of the image's half width: the known way has float32, some metres from the camera."""


def windows(
    corpus: Corpus, length: int, stride: int, batch_size: int, batches: int, workers: int, rounds: int
) -> Result:
    """Convert a corpus, and load windows from it in turn."""
    with _converted(corpus) as directories:
        sets = _contenders(directories, length, stride)
        _check(directories, length, stride)
        tables = [_speeds(sets, batch_size, batches, each, rounds) for each in dict.fromkeys((0, workers))]
        settings: dict[str, Cell] = {
            "sequences": corpus.sequences,
            "rate, Hz": RATE,
            "frames of a window": length,
            "stride": stride,
            "windows": len(sets["ours, npz-stored: 3D"]),  # type: ignore[arg-type]
            "batch size": batch_size,
        }
        for format, directory in directories.items():
            settings[f"{format}, MB"] = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
        tables.append(_first_batches(directories, length, stride, batch_size, rounds))
    return Result("windows", settings, tuple(tables))


@contextmanager
def _converted(corpus: Corpus) -> Iterator[dict[str, Path]]:
    """Convert a corpus in every format, into directories that are then removed."""
    with tempfile.TemporaryDirectory() as directory:
        directories = {format: Path(directory) / format for format in FORMATS}
        for format, out_dir in directories.items():
            convert = (sys.executable, "-m", "amass_joints", "convert", *corpus.options, "--out-dir", str(out_dir))
            measure((*convert, "--rate", str(RATE), "--format", format, "--quiet"))
        yield directories


def _contenders(directories: dict[str, Path], length: int, stride: int) -> dict[str, Dataset[dict[str, Any]]]:
    stored, known = (directories[format] for format in FORMATS)
    everywhere: dict[str, Any] = {"cameras": "h36m", "place": True, "turn": True, "flip": 0.5}
    return {
        "ours, npz-stored: 3D": PoseSequences(stored, length, stride),
        "ours, npz: 3D": PoseSequences(known, length, stride),
        "known way: 3D": KnownWay(known, length, stride),
        "ours, npz-stored: camera, flip": PoseSequences(stored, length, stride, cameras=SUBJECT, flip=0.5),
        "known way: camera, flip": KnownWay(known, length, stride, h36m_cameras(SUBJECT), flip=0.5),
        "ours, npz-stored: camera, flip, placed, turned": PoseSequences(stored, length, stride, **everywhere),
    }


def _check(directories: dict[str, Path], length: int, stride: int) -> None:
    """See that both ways give the same windows, and see them alike where the image shows them."""
    stored, known = (directories[format] for format in FORMATS)
    for one, camera in zip(cameras.h36m_cameras()[SUBJECT], h36m_cameras(SUBJECT), strict=True):
        ours, theirs = PoseSequences(stored, length, stride, cameras=[one]), KnownWay(known, length, stride, [camera])
        assert len(ours) == len(theirs)
        for index in np.random.default_rng(0).integers(len(ours), size=10).tolist():
            mine, other = ours[index], theirs[index]
            assert torch.abs(mine["positions_3d"] - other["positions_3d"]).max() < TOLERANCE
            shown = mine["visible"]
            assert (torch.abs(mine["positions_2d"] - other["positions_2d"])[shown] < TOLERANCE).all()


def _speeds(
    sets: dict[str, Dataset[dict[str, Any]]], batch_size: int, batches: int, workers: int, rounds: int
) -> Table:
    loaders = {name: loader(one, batch_size, batches, workers) for name, one in sets.items()}
    for each in loaders.values():
        _gone_through(each)  # starts the workers
    speeds = in_turn({name: partial(_windows_per_second, each, batch_size) for name, each in loaders.items()}, rounds)
    figures = {name: Figure(tuple(values)) for name, values in speeds.items()}
    rows: list[dict[str, Cell]] = []
    for name, figure in figures.items():
        known = figures["known way: 3D" if name.endswith("3D") else "known way: camera, flip"]
        rows.append({"loader": name, "windows/s": figure, "of the known way's": figure.median / known.median})
    note = f"Medians of {rounds} rounds (lowest to highest) of {batches} batches of {batch_size} random windows."
    return Table(f"DataLoader, {workers} workers", tuple(rows), (note,))


def _windows_per_second(loader: DataLoader[dict[str, Any]], batch_size: int) -> float:
    started = time.perf_counter()
    return _gone_through(loader) * batch_size / (time.perf_counter() - started)


def _gone_through(loader: DataLoader[dict[str, Any]]) -> int:
    return sum(1 for _ in loader)


def _first_batches(directories: dict[str, Path], length: int, stride: int, batch_size: int, rounds: int) -> Table:
    stored, known = (directories[format] for format in FORMATS)
    window = {"length": length, "stride": stride, "batch_size": batch_size}
    contenders: dict[str, dict[str, Any] | None] = {
        "ours, npz-stored": {"ours": True, "directory": str(stored), **window},
        "ours, npz": {"ours": True, "directory": str(known), **window},
        "known way": {"ours": False, "directory": str(known), **window},
        "import torch": None,
    }
    runs: dict[str, Callable[[], Usage]] = {name: partial(_process, one) for name, one in contenders.items()}
    runs["import torch"]()  # brings it into the page cache
    usages = in_turn(runs, rounds)
    rows = tuple({"process": name, **as_cells(of_name)} for name, of_name in usages.items())
    return Table("From the start of a process to its first batch", rows, (rounds_note(usages),))


def _process(contender: dict[str, Any] | None) -> Usage:
    project = str(Path(__file__).parents[1])
    return measure([sys.executable, "-m", "benchmarks.loading", json.dumps(contender)], {"PYTHONPATH": project})
