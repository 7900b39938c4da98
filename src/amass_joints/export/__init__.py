"""From converted motions to what trainers load: the story of ``amass-joints export``.

The stages::

    find_sources(paths)  -> Source, ...        what convert wrote
    Source.motions()     -> Motion, ...        one at a time
    Recipe.prepare       -> Prepared           chosen, as the format demands it, and as cameras see it; or left out
    Exporter.add         -> files              in the format

Formats are modules of this package, loaded when they are used: :data:`FORMATS`.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amass_joints.choices import Choices
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions
from amass_joints.export.recipe import Recipe
from amass_joints.export.report import Amount, ExportListener, ExportReport, SourceReport
from amass_joints.files import check_writable
from amass_joints.finding import SkippedSequence, as_globs
from amass_joints.motions import Source, find_sources
from amass_joints.sequences import Skipped
from amass_joints.skeletons import Skeleton
from amass_joints.splits import Split, Splits
from amass_joints.views import Viewpoints, Visibility

FORMATS: Mapping[str, tuple[str, str]] = {
    "uplift": ("uplift", "Uplift"),
    "videopose3d": ("videopose3d", "VideoPose3D"),
    "motionbert": ("motionbert", "MotionBERT"),
    "mmpose": ("mmpose", "MMPose"),
    "hdf5": ("hdf5", "HDF5"),
    "zarr": ("zarr_store", "Zarr"),
    "parquet": ("parquet", "Parquet"),
    "project": ("projected", "Projected"),
}
"""The module and the class of each. ``project`` is what the command of this name writes."""


def export(
    paths: Iterable[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    format: str,
    *,
    skeleton: Skeleton | None = None,
    choices: Choices = Choices(),
    splits: Splits | None = None,
    cameras: Viewpoints | None = None,
    only: str | Iterable[str] = (),
    options: ExportOptions | None = None,
    listener: ExportListener | None = None,
) -> ExportReport:
    """Write converted motions as trainers load them. What is written appears when all of it is complete.

    Args:
        paths: what ``convert`` wrote: files, or directories of such.
        out_dir: gets what is written; it is made if it is not there.
        format: one of :data:`FORMATS`.
        skeleton: what the joints are, for files that do not say.
        choices: what is chosen of the motions. Most formats leave little of it free.
        splits: what each motion is used for; None: all of them for what the format then takes them for.
        cameras: what sees the motions; None: nothing.
        only: globs on ``dataset/subject/sequence``; none: everything.
        options: of formats.
        listener: is told how it goes.

    Raises:
        InputError: something cannot be read, written, or exported to this format, or nothing is left to export.
    """
    started = time.monotonic()
    chosen = options or ExportOptions()
    recipe = Recipe(exporter_for(format), choices, splits, cameras, as_globs(only))
    recipe.check()
    sources = tuple(filter(recipe.may_want, find_sources(paths, skeleton)))
    for source in sources:
        recipe.check_source(source)
    check_writable(Path(out_dir))
    with recipe.exporter(Path(out_dir), chosen) as exporter, listener or ExportListener() as told:
        exporter.check(sources)
        told.begins(sources)
        run = _Run(recipe, exporter, told)
        reports = tuple(map(run.export, sources))
        if not any(report.parts for report in reports):
            raise InputError(_why_nothing(reports))
    return ExportReport(
        format=format,
        options=_as_json(recipe, skeleton, chosen),
        sources=reports,
        visibility=run.visibility if cameras is not None else None,
        notes=tuple(exporter.notes),
        outputs=tuple(map(str, exporter.outputs)),
        seconds=time.monotonic() - started,
    )


def exporter_for(format: str) -> type[Exporter]:
    """Load what writes a format.

    Raises:
        InputError: there is none, or a library that it needs is not there.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format '{format}', expected one of {', '.join(FORMATS)}.")
    module, name = FORMATS[format]
    found: type[Exporter] = getattr(importlib.import_module(f"amass_joints.export.{module}"), name)
    return found


class _Run:
    """One export, source by source."""

    def __init__(self, recipe: Recipe, exporter: Exporter, listener: ExportListener) -> None:
        self._recipe, self._exporter, self._listener = recipe, exporter, listener
        self.visibility = Visibility()

    def export(self, source: Source) -> SourceReport:
        """Export one source, motion by motion."""
        self._listener.source_begins(source)
        parts: dict[Split | None, Amount] = {}
        left_out, not_wanted = [], 0
        for motion in source.motions():
            if self._recipe.wants(motion):
                prepared = self._recipe.prepare(motion, self._exporter)
                if isinstance(prepared, Skipped):
                    left_out.append(SkippedSequence(str(motion), prepared.reason))
                else:
                    self._exporter.add(prepared.motion, prepared.views, prepared.split)
                    parts[prepared.split] = parts.get(prepared.split, Amount()) + Amount.of(prepared.motion)
                    self.visibility += Visibility.of(prepared.motion, prepared.views)
            else:
                not_wanted += 1
            self._listener.motion_ends(motion)
        report = SourceReport(source.dataset, str(source.path), parts, tuple(left_out), not_wanted)
        self._listener.source_ends(report)
        return report


def _why_nothing(reports: Sequence[SourceReport]) -> str:
    reasons = Counter(one.reason for report in reports for one in report.left_out)
    not_wanted = sum(report.not_wanted for report in reports)
    if not_wanted:
        reasons["not in --only"] = not_wanted
    why = "; ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common(5))
    what = why or ("there are no motions" if reports else "--only names none of these datasets")
    return f"nothing to export: {what}. Nothing was written."


def _as_json(recipe: Recipe, skeleton: Skeleton | None, options: ExportOptions) -> dict[str, Any]:
    return {
        "format": recipe.exporter.format,
        "skeleton": None if skeleton is None else skeleton.name,
        "choices": recipe.choices.as_json(),
        "splits": None if recipe.splits is None else asdict(recipe.splits),
        "cameras": None if recipe.cameras is None else recipe.cameras.as_json(),
        "only": list(recipe.only),
        **asdict(options),
    }
