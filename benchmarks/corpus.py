"""A tree of stand-in sequences of any size, in the layout, the formats and the mix of AMASS.

What is written::

    DIR/support_data/...                          body models and joint regressor, as the demo writes them
    DIR/data/DATASET/SUBJECT/SEQUENCE_poses.npz   the sequences, and each subject's shape.npz
    DIR/corpus.json                               what was written; comes last, so that it stands for a whole corpus

First the corpus is planned, then it is written. Datasets have their canonical names, their frame rates, and roughly
their shares of AMASS's sequences; lengths are log-normal. A sequence is a motion of the demo at a pace and in a
direction of its own, cut at a random moment, and every joint sways a little besides, smoothly, in each sequence
differently. Who travels does so for half a minute at most: nobody's motion capture is a kilometre long.

The same parameters give the same sequences. A corpus may also be one very long sequence, for what memory it takes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints import demo
from amass_joints.demo.body import StandInBody
from amass_joints.demo.motions import make_motion
from amass_joints.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

MANIFEST = "corpus.json"

FORMAT = 1
"""Of what is written for given parameters: a corpus of another format is not used again."""

MEAN_FRAMES, SIGMA = 1200, 0.9
SHORTEST, LONGEST = 60, 20_000
"""Frames of a sequence: log-normal, clipped."""

LONG_RATE = 250.0
"""Hz, of the long sequence."""

TRAVELLING, ON_THE_SPOT = ("walk", "run"), ("squat", "wave", "jump", "turn")
TRAVEL_SECONDS = 30.0
"""How long someone may travel."""


@dataclass(frozen=True)
class DatasetKind:
    """What a dataset of AMASS is like, roughly."""

    name: str
    sequences: int
    """How many there are in AMASS: their share in a corpus."""
    subjects: int
    rates: tuple[float, ...]
    """Frame rates, Hz; each stands as often as its share of the sequences."""


DATASETS = (
    DatasetKind("ACCAD", 250, 20, (120.0,)),
    DatasetKind("BMLhandball", 650, 10, (120.0,)),
    DatasetKind("BMLmovi", 1860, 85, (120.0,)),
    DatasetKind("BMLrub", 3060, 110, (120.0,)),
    DatasetKind("CMU", 2000, 95, (120.0, 120.0, 120.0, 60.0)),
    DatasetKind("DFaust67", 130, 10, (60.0,)),
    DatasetKind("EKUT", 350, 4, (100.0,)),
    DatasetKind("EyesJapanDataset", 750, 12, (120.0, 120.0, 120.0, 250.0)),
    DatasetKind("HumanEva", 28, 3, (120.0,)),
    DatasetKind("KIT", 4230, 55, (100.0,)),
    DatasetKind("MPIHDM05", 215, 4, (120.0,)),
    DatasetKind("MPILimits", 35, 3, (120.0,)),
    DatasetKind("MPImosh", 77, 19, (120.0, 100.0)),
    DatasetKind("SFU", 44, 7, (120.0,)),
    DatasetKind("SSMsynced", 30, 3, (120.00004577636719, 59.9999885559082)),
    DatasetKind("TCDhandMocap", 62, 1, (120.0, 150.0)),
    DatasetKind("TotalCapture", 37, 5, (60.0,)),
    DatasetKind("Transitionsmocap", 110, 1, (120.0,)),
)
"""Those with soft tissue whose frame rates are known. BMLhandball has the rate that its files claim."""


@dataclass(frozen=True)
class PlannedSequence:
    """One sequence, before it is made."""

    dataset: str
    subject: str
    name: str
    """File stem."""
    gender: str | bytes
    """As it stands in the file: AMASS has text and bytes."""
    motion: str
    """One of :data:`amass_joints.demo.motions.MOTIONS`."""
    frame_rate: float
    """Hz."""
    frames: int
    own_seed: tuple[int, ...]
    """Seeds what is the sequence's own."""
    subject_seed: tuple[int, ...]
    """Seeds the subject's shape."""


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk."""

    directory: Path
    sequences: int
    frames: int
    num_bytes: int
    """Of the sequence files."""

    @property
    def data(self) -> Path:
        """The directory of the datasets."""
        return self.directory / "data"

    @property
    def joint_regressor(self) -> Path:
        """The stand-in's."""
        return self.directory / "support_data" / "J_regressor_h36m.npy"

    @property
    def options(self) -> tuple[str, ...]:
        """What tells ``amass-joints convert`` to take its inputs here."""
        support_data = self.directory / "support_data"
        return (
            *("--amass-dir", str(self.data), "--joint-regressor", str(self.joint_regressor)),
            *("--body-models", str(support_data / "body_models")),
        )

    def files(self) -> list[Path]:
        """List the sequence files, by name."""
        return sorted(self.data.glob("*/*/*_poses.npz"))


def write_corpus(
    directory: Path, sequences: int, seed: int = 0, say: Callable[[str], None] = lambda line: None
) -> Corpus:
    """Write a corpus, or use again what an earlier call with the same parameters wrote.

    Args:
        directory: is made where it is not there.
        sequences: how many.
        seed: another one gives other sequences.
        say: is told, now and then, how it goes.

    Raises:
        InputError: there is something else in the directory.
    """

    def write(bodies: dict[str, StandInBody]) -> int:
        frames, planned = 0, plan(sequences, seed)
        for index, sequence in enumerate(planned):
            if index % 200 == 0:
                say(f"{index} of {sequences} sequences written")
            _write(directory / "data", sequence, bodies)
            frames += sequence.frames
        return frames

    return _written_once(directory, {"format": FORMAT, "sequences": sequences, "seed": seed}, write)


def write_long_sequence(directory: Path, seconds: float) -> Corpus:
    """Write, or use again, a corpus of one sequence so long, at 250 Hz.

    Raises:
        InputError: there is something else in the directory.
    """

    def write(bodies: dict[str, StandInBody]) -> int:
        frames = round(seconds * LONG_RATE)
        path = directory / "data" / "Long" / "01" / "01_squat_poses.npz"
        path.parent.mkdir(parents=True)
        _write_in_pieces(path, frames, bodies["male"])
        return frames

    return _written_once(directory, {"format": FORMAT, "seconds": seconds}, write)


def _written_once(
    directory: Path, parameters: dict[str, float], write: Callable[[dict[str, StandInBody]], int]
) -> Corpus:
    """Have a corpus written that is not there yet, by what gives its number of frames."""
    manifest = directory / MANIFEST
    if manifest.is_file():
        written = json.loads(manifest.read_text(encoding="utf-8"))
        if written["parameters"] != parameters:
            raise InputError(
                f"{directory}: it holds a corpus of {written['parameters']}, expected one of {parameters}. "
                "Pass another directory, or remove this one."
            )
        return Corpus(directory, **written["corpus"])
    if directory.exists() and any(directory.iterdir()):
        raise InputError(
            f"{directory}: there is something else in it, or a corpus that was not finished. Pass another directory."
        )
    frames = write(demo.write_support_data(directory / "support_data"))
    files = Corpus(directory, 0, frames, 0).files()
    content = {"sequences": len(files), "frames": frames, "num_bytes": sum(path.stat().st_size for path in files)}
    manifest.write_text(json.dumps({"parameters": parameters, "corpus": content}, indent=1) + "\n", encoding="utf-8")
    return Corpus(directory, **content)


# --- Planning ---------------------------------------------------------------------------------------------


def plan(sequences: int, seed: int = 0) -> list[PlannedSequence]:
    """Plan a corpus of so many sequences, dataset by dataset."""
    return [one for index, count in enumerate(_shares(sequences)) for one in _plan_dataset(index, count, seed)]


def _shares(sequences: int) -> list[int]:
    """Say how many sequences each dataset gets; what rounding leaves over goes to the largest remainders."""
    sizes = np.array([kind.sequences for kind in DATASETS])
    ideal = sizes * sequences / sizes.sum()
    counts = np.floor(ideal).astype(int)
    counts[np.argsort(counts - ideal, kind="stable")[: sequences - counts.sum()]] += 1
    return [int(count) for count in counts]


def _plan_dataset(index: int, count: int, seed: int) -> Iterator[PlannedSequence]:
    kind = DATASETS[index]
    for number in range(count):
        own_seed = (seed, index, number, 0)
        random = np.random.default_rng(own_seed)
        length = np.exp(random.normal(np.log(MEAN_FRAMES) - SIGMA**2 / 2, SIGMA))
        frames = int(np.clip(length, SHORTEST, LONGEST))
        frame_rate = kind.rates[random.integers(len(kind.rates))]
        motions = TRAVELLING + ON_THE_SPOT if frames <= TRAVEL_SECONDS * frame_rate else ON_THE_SPOT
        motion = motions[random.integers(len(motions))]
        subject = number % kind.subjects
        gender = ("male", "female")[subject % 2]
        yield PlannedSequence(
            dataset=kind.name,
            subject=f"{subject + 1:02}",
            name=f"{subject + 1:02}_{motion}_{number:04}_poses",
            gender=gender.encode() if index % 2 else gender,
            motion=motion,
            frame_rate=frame_rate,
            frames=frames,
            own_seed=own_seed,
            subject_seed=(seed, index, subject, 1),
        )


# --- Writing ----------------------------------------------------------------------------------------------


def make_arrays(sequence: PlannedSequence, body: StandInBody) -> dict[str, np.ndarray]:
    """Make the arrays of a sequence file, for a subject with this body."""
    random = np.random.default_rng((*sequence.own_seed, 1))
    betas = np.random.default_rng(sequence.subject_seed).normal(0, 0.8, body.shapedirs.shape[2:])
    skipped = int(random.uniform(0, 3) * sequence.frame_rate)
    motion = make_motion(
        sequence.motion,
        body.rest_joints(betas),
        sequence.frame_rate,
        (skipped + sequence.frames) / sequence.frame_rate,
        heading=random.uniform(-np.pi, np.pi),
        pace=random.uniform(0.85, 1.1),
    )
    trans = motion.trans[skipped:]
    start = np.array([*random.uniform(-2, 2, 2), trans[0, 2]])
    return {
        "trans": trans - trans[0] + start,
        "gender": np.array(sequence.gender),
        "mocap_framerate": np.array(sequence.frame_rate),
        "betas": betas,
        "dmpls": motion.dmpls[skipped:],
        "poses": motion.poses[skipped:] + _sway(sequence, random),
    }


def _sway(sequence: PlannedSequence, random: np.random.Generator) -> Float[np.ndarray, "frames 156"]:
    """Small smooth rotations of every joint but the root: a posture, and three slow oscillations about it; radians."""
    time = np.arange(sequence.frames)[:, None] / sequence.frame_rate
    oscillations = np.sin(2 * np.pi * random.uniform(0.1, 1.0, 3) * time + random.uniform(0, 2 * np.pi, 3))
    directions = random.normal(0, 0.03, (4, 156))
    directions[:, :3] = 0
    return directions[0] + oscillations @ directions[1:]


def _write(data: Path, sequence: PlannedSequence, bodies: dict[str, StandInBody]) -> None:
    """Write a sequence, and its subject's shape where it is not there."""
    gender = sequence.gender.decode() if isinstance(sequence.gender, bytes) else sequence.gender
    arrays = make_arrays(sequence, bodies[gender])
    subject = data / sequence.dataset / sequence.subject
    subject.mkdir(parents=True, exist_ok=True)
    if not (subject / "shape.npz").exists():
        np.savez(subject / "shape.npz", betas=arrays["betas"], gender=arrays["gender"])
    np.savez(subject / f"{sequence.name}.npz", **arrays)  # type: ignore[arg-type]  # the stub sees its own options


def _write_in_pieces(path: Path, frames: int, body: StandInBody) -> None:
    """Write a sequence of any length: eighteen squats, again and again, none of which are held in memory twice."""
    cycles = 18 * 3.2  # seconds, in which a squat at the usual pace comes round to where it began
    piece = make_motion("squat", body.rest_joints(np.zeros(16)), LONG_RATE, cycles)
    small = {"gender": np.array("male"), "mocap_framerate": np.array(LONG_RATE), "betas": np.zeros(16)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array)
        for name, array in {"trans": piece.trans, "dmpls": piece.dmpls, "poses": piece.poses}.items():
            header = {"descr": "<f8", "fortran_order": False, "shape": (frames, array.shape[1])}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for start in range(0, frames, len(array)):
                    stream.write(array[: frames - start].astype("<f8").tobytes())
