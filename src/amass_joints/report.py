"""What was converted and what was skipped, and why: as types, and as JSON."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from amass_joints.files import sha256, written_whole
from amass_joints.finding import Dataset, SequenceFile, SkippedSequence
from amass_joints.plausibility import Plausibility


@dataclass(frozen=True)
class ConvertedSequence:
    """What became of a sequence that was converted."""

    name: str
    """``subject/sequence``"""
    gender: str
    soft_tissue: bool
    """Whether DMPLs were used."""
    model_type: str
    """``smplh``, ``smplx`` or ``smpl``: the kind of body model."""
    source_frame_rate: float
    """Hz, that the file was taken to have."""
    labelled_frame_rate: float
    """Hz, as the file says."""
    known_frame_rate: float | None
    """Hz, where it is known that the file is wrong."""
    frame_rate: float
    """Hz, of the result."""
    source_frames: int
    frames: int
    """How many frames came out."""
    plausibility: Plausibility
    """What the joints measure, and what of that is doubtful."""
    verified_error: float | None
    """The farthest that a joint of a random frame is from where the whole mesh has it, metres; None: not compared."""
    problem: str | None
    """What is wrong with it, compared with the mesh; None: nothing, or it was not compared."""


@dataclass(frozen=True)
class JointAtRest:
    """What a joint is, as far as the body at rest tells."""

    name: str
    """In the skeleton that was recognised; or which row it is."""
    side: str
    """``left``, ``right`` or ``middle``: where it is on the body."""
    position: tuple[float, float, float]
    """Metres, in model space: x to the body's left, y up, z forward."""
    row_sum: float
    """Of its row of the regressor ..."""
    row_sum_is_off: bool
    """... and whether that is not quite 1: the joint is off by that much of its distance from the origin."""


@dataclass(frozen=True)
class BodyReport:
    """What joints a body gives."""

    model_type: str
    gender: str
    skeleton: str | None
    """Its name, of :data:`amass_joints.skeletons.SKELETONS`; None where it is not known."""
    joints: tuple[JointAtRest, ...]
    """In the order of the rows."""


@dataclass(frozen=True)
class Disagreement:
    """A motion whose two releases say different frame rates."""

    name: str
    """``dataset/subject/sequence`` of the one that was taken."""
    frame_rate: float
    """Hz, that it says."""
    other: str
    other_frame_rate: float

    def __str__(self) -> str:
        """Say it on a line."""
        return f"{self.name}: {self.frame_rate:g} Hz; {self.other}: {self.other_frame_rate:g} Hz"


@dataclass(frozen=True)
class DatasetReport:
    """What became of one dataset."""

    name: str
    output: str | None
    """The file written, or with ``already_there`` found; None where nothing could be converted."""
    converted: tuple[ConvertedSequence, ...] = ()
    skipped: tuple[SkippedSequence, ...] = ()
    passed_over: int = 0
    """How many files were no sequences."""
    set_aside: int = 0
    """How many sequences were not taken, because their motion was in the other release."""
    disagreements: tuple[Disagreement, ...] = ()
    notes: tuple[str, ...] = ()
    """What else people should know of where the dataset was found."""
    already_there: bool = False
    """Left alone, because its output existed (``--skip-existing``)."""
    seconds: float = 0.0

    @property
    def hours(self) -> float:
        """How long the converted motions last."""
        return sum(one.source_frames / one.source_frame_rate for one in self.converted) / 3600

    @property
    def source_frames(self) -> int:
        """How many frames were read."""
        return sum(one.source_frames for one in self.converted)

    @property
    def frames(self) -> int:
        """How many frames came out."""
        return sum(one.frames for one in self.converted)


@dataclass(frozen=True)
class Report:
    """A whole run: enough to make its datasets again."""

    options: Mapping[str, Any]
    """The arguments of the run."""
    inputs: tuple[Path, ...]
    """The joint regressor, and each body model file that was used."""
    bodies: tuple[BodyReport, ...]
    """The bodies that were used."""
    datasets: tuple[DatasetReport, ...]
    seconds: float
    versions: Mapping[str, str] = field(default_factory=lambda: versions_in_use())

    @property
    def skipped(self) -> list[SkippedSequence]:
        """All that was skipped."""
        return [one for dataset in self.datasets for one in dataset.skipped]

    @property
    def doubts(self) -> list[str]:
        """What is doubtful of what was converted: ``dataset/subject/sequence: doubt``."""
        return [
            f"{dataset.name}/{one.name}: {'; '.join(one.plausibility.doubts)}"
            for dataset in self.datasets
            for one in dataset.converted
            if one.plausibility.doubts
        ]

    @property
    def wrong(self) -> list[str]:
        """What is wrong, compared with the mesh, of what was converted: ``dataset/subject/sequence: problem``."""
        return [
            f"{dataset.name}/{one.name}: {one.problem}"
            for dataset in self.datasets
            for one in dataset.converted
            if one.problem is not None
        ]

    @property
    def disagreements(self) -> list[Disagreement]:
        """All motions whose two releases say different frame rates."""
        return [one for dataset in self.datasets for one in dataset.disagreements]

    @property
    def total(self) -> DatasetReport:
        """All datasets as if they were one."""
        return DatasetReport(
            name="total",
            output=None,
            converted=tuple(one for dataset in self.datasets for one in dataset.converted),
            skipped=tuple(self.skipped),
            passed_over=sum(dataset.passed_over for dataset in self.datasets),
            seconds=self.seconds,
        )

    def save(self, path: Path) -> None:
        """Write the report as JSON, with the fingerprints of the inputs.

        Raises:
            InputError: it cannot be written.
        """
        with written_whole(path) as stream:
            stream.write(json.dumps(self._as_json(), indent=2).encode("ascii") + b"\n")

    def _as_json(self) -> dict[str, Any]:
        total = self.total
        return {
            "versions": dict(self.versions),
            "options": dict(self.options),
            "sha256": {str(path): sha256(path) for path in self.inputs},
            "bodies": [asdict(body) for body in self.bodies],
            "total": _numbers(total),
            "datasets": [_numbers(dataset) | asdict(dataset) for dataset in self.datasets],
        }


@dataclass(frozen=True)
class VerifiedDataset:
    """What comparing a converted dataset with the whole mesh gave."""

    name: str
    output: str
    """The file that was compared."""
    sequences: int = 0
    """How many sequences were compared ..."""
    frames: int = 0
    """... and how many frames of them."""
    largest_error: float | None = None
    """The farthest that a joint is from where the mesh has it, metres; infinite where it is no number ..."""
    where: str | None = None
    """... and which joint that is. None where nothing was compared."""
    median_error: float | None = None
    """Metres, of all joints compared."""
    problems: tuple[str, ...] = ()
    """What is wrong: joints in wrong places, sequences that are missing, files that cannot be read."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


SomeListener = TypeVar("SomeListener", bound="Listener")


class Listener:
    """Is told how a run goes, between entering and leaving it. This one keeps silent, but for warnings."""

    def __enter__(self: SomeListener) -> SomeListener:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def begins(self, datasets: list[Dataset]) -> None:
        """Take note of what is going to be converted."""

    def dataset_begins(self, dataset: Dataset) -> None:
        """Take note that this dataset is next."""

    def sequence_ends(self, file: SequenceFile, source_frames: int) -> None:
        """Take note that a sequence was converted, or skipped (0 frames)."""

    def dataset_ends(self, report: DatasetReport | VerifiedDataset) -> None:
        """Take note that a dataset is done: written, or compared."""

    def warning(self, message: str) -> None:
        """Take note of something that does not stop the run."""
        warnings.warn(message, stacklevel=3)


def _numbers(dataset: DatasetReport) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "sequences": len(dataset.converted),
        "without_soft_tissue": sum(not one.soft_tissue for one in dataset.converted),
        "hours": dataset.hours,
        "source_frames": dataset.source_frames,
        "frames": dataset.frames,
        "skipped_sequences": len(dataset.skipped),
        "passed_over": dataset.passed_over,
        "doubtful_sequences": sum(bool(one.plausibility.doubts) for one in dataset.converted),
        "seconds": dataset.seconds,
    }


def versions_in_use() -> dict[str, str]:
    """Say which versions there are of this program, and of what its results may depend on."""
    import importlib.metadata  # which takes its time, and reports are not always saved

    return {
        **{name: importlib.metadata.version(name) for name in ("amass-joints", "numpy", "numba")},
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",
    }
