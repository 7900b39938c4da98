"""What was exported, and what was left out and why: as types, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from amass_joints.files import written_whole
from amass_joints.finding import SkippedSequence
from amass_joints.motions import Motion, Source
from amass_joints.report import versions_in_use
from amass_joints.splits import Split
from amass_joints.views import Visibility


@dataclass(frozen=True)
class Amount:
    """How much was exported."""

    sequences: int = 0
    frames: int = 0
    hours: float = 0.0

    @staticmethod
    def of(motion: Motion) -> Amount:
        """Measure a motion."""
        frames = len(motion.positions_3d)
        return Amount(1, frames, frames / motion.frame_rate / 3600)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.sequences + other.sequences, self.frames + other.frames, self.hours + other.hours)

    def __str__(self) -> str:
        """Say it on a line."""
        return f"{self.sequences:,} sequences, {self.hours:,.2f} hours, {self.frames:,} frames"


@dataclass(frozen=True)
class SourceReport:
    """What became of one source."""

    dataset: str
    path: str
    parts: Mapping[Split | None, Amount]
    """By what it is used for; None: nobody said."""
    left_out: tuple[SkippedSequence, ...]
    not_wanted: int
    """How many sequences were not asked for (``--only``)."""

    @property
    def total(self) -> Amount:
        """All parts together."""
        return sum(self.parts.values(), Amount())


@dataclass(frozen=True)
class ExportReport:
    """A whole export."""

    format: str
    options: Mapping[str, Any]
    """The arguments of the run."""
    sources: tuple[SourceReport, ...]
    visibility: Visibility | None
    """How much of the motions the cameras' images show; None without cameras."""
    notes: tuple[str, ...]
    """What else people should know: a sentence each, without the full stop."""
    outputs: tuple[str, ...]
    """The files and directories that were written."""
    seconds: float
    versions: Mapping[str, str] = field(default_factory=lambda: versions_in_use())

    @property
    def parts(self) -> dict[Split | None, Amount]:
        """How much there is for each use."""
        parts: dict[Split | None, Amount] = {}
        for source in self.sources:
            for part, amount in source.parts.items():
                parts[part] = parts.get(part, Amount()) + amount
        return parts

    @property
    def total(self) -> Amount:
        """How much there is in all."""
        return sum((one.total for one in self.sources), Amount())

    @property
    def left_out(self) -> list[SkippedSequence]:
        """All that was left out."""
        return [one for source in self.sources for one in source.left_out]

    def save(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            InputError: it cannot be written.
        """
        with written_whole(path) as stream:
            stream.write(json.dumps(self._as_json(), indent=2).encode("ascii") + b"\n")

    def _as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "total": asdict(self.total),
            "parts": {str(part or "all"): asdict(amount) for part, amount in self.parts.items()},
            "sources": [
                asdict(one) | {"parts": {str(part or "all"): asdict(amount) for part, amount in one.parts.items()}}
                for one in self.sources
            ],
        }


SomeListener = TypeVar("SomeListener", bound="ExportListener")


class ExportListener:
    """Is told how an export goes, between entering and leaving it. This one keeps silent."""

    def __enter__(self: SomeListener) -> SomeListener:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def begins(self, sources: Sequence[Source]) -> None:
        """Take note of what is going to be exported."""

    def source_begins(self, source: Source) -> None:
        """Take note that this source is next."""

    def motion_ends(self, motion: Motion) -> None:
        """Take note that a motion was exported, or left out."""

    def source_ends(self, report: SourceReport) -> None:
        """Take note that all of a source was read."""
