"""One sequence as joints: how it is wanted, how it is made, and what comes out.

It takes its body and, block by block, reads its file, poses the frames that the target frame rate looks at, and blends
them.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from amass_joints import executors
from amass_joints.amass import is_same_rate
from amass_joints.bodies import FoldedBodies
from amass_joints.body_models import SMPLX
from amass_joints.choices import Choices
from amass_joints.errors import InputError
from amass_joints.plausibility import Plausibility, examine
from amass_joints.resample import resample
from amass_joints.sequences import FRAME_RATES, NotASequence, OpenSequence, Skipped, use_sequence

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Settings:
    """How sequences are converted."""

    rate: float | None = None
    """Target frame rate, Hz; None: each sequence's own."""
    dtype: Literal["float32", "float64"] = "float32"
    """Of the arithmetic and the result."""
    dmpls: bool = True
    """Whether soft tissue is used where a sequence has it."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""
    fix_frame_rates: bool = False
    """Whether frame rates that files are known to give wrongly are replaced (:mod:`amass_joints.amass`)."""
    normalize_rows: bool = False
    """Whether the regressor's rows are made to sum to 1."""
    verify: bool = False
    """Whether a random frame of each sequence is compared with the whole mesh (:mod:`amass_joints.textbook`)."""
    choices: Choices = Choices()
    """How the joints are given."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with an :class:`InputError`."""
        lowest, highest = FRAME_RATES
        if self.rate is not None and not lowest <= self.rate <= highest:
            raise InputError(f"the target frame rate is {self.rate:g} Hz, expected {lowest:g} to {highest:g} Hz.")
        if self.dtype not in ("float32", "float64"):
            raise InputError(f"the dtype is '{self.dtype}', expected float32 or float64.")
        if not re.fullmatch("cpu|cuda(:[0-9]+)?", self.device):
            raise InputError(f"the device is '{self.device}', expected cpu, cuda or cuda:N.")


@dataclass(frozen=True)
class Converted:
    """One sequence as joints."""

    positions_3d: Float[np.ndarray, "frames joints 3"]
    """Metres, world frame, z up, joints in the order of the regressor's rows, if not chosen otherwise."""
    frame_rate: float
    """Hz."""
    skeleton: str | None
    """What the joints are, by the name of a skeleton; None where it is not known."""
    gender: str
    """Of the body model that was used."""
    soft_tissue: bool
    """Whether DMPLs were used."""
    model_type: str
    """``smplh``, ``smplx`` or ``smpl``: the kind of body model."""
    source_frames: int
    """How many frames the file has."""
    source_frame_rate: float
    """Hz, that the file was taken to have."""
    labelled_frame_rate: float
    """Hz, as the file says."""
    known_frame_rate: float | None
    """Hz, where it is known that the file is wrong; ``source_frame_rate`` only with ``fix_frame_rates``."""
    plausibility: Plausibility
    """What the joints measure, and what of that is doubtful."""
    verified_error: float | None = None
    """The farthest that a joint of a random frame is from where the whole mesh has it, metres; None: not compared."""
    problem: str | None = None
    """What is wrong with it, compared with the mesh; None: nothing, or it was not compared."""


Outcome: TypeAlias = "Converted | Skipped | NotASequence"


def convert_sequence(
    file: Path | bytes,
    bodies: FoldedBodies,
    settings: Settings,
    known_frame_rate: float | None = None,
    name: str = "",
) -> Outcome:
    """Convert one sequence file, block by block: memory is needed for the result alone.

    Args:
        file: the file, or what is in it.
        bodies: the folded bodies.
        settings: how it is converted.
        known_frame_rate: Hz, where that of the file may be wrong.
        name: ``dataset/subject/sequence``, by which published choices know it.

    Raises:
        InputError: a body model is broken, or joints cannot be given as chosen.
    """
    outcome = use_sequence(
        file, lambda sequence: _convert(sequence, bodies, settings, known_frame_rate, name), dmpls=settings.dmpls
    )
    if settings.verify and isinstance(outcome, Converted):
        return _verified(outcome, file, bodies, settings, name)
    return outcome


def _verified(converted: Converted, file: Path | bytes, bodies: FoldedBodies, settings: Settings, name: str) -> Outcome:
    """Compare a random frame with the textbook."""
    from amass_joints.textbook import Comparison, compare

    comparison = compare(
        {"positions_3d": converted.positions_3d, "frame_rate": converted.frame_rate},
        file,
        bodies,
        dmpls=settings.dmpls,
        replaced_frame_rate=converted.known_frame_rate if settings.fix_frame_rates else None,
        choices=settings.choices,
        name=name,
        num_frames=1,
        # Another frame of each sequence, and the same one in every run.
        seed=zlib.crc32(converted.positions_3d.reshape(-1).view(np.uint8).data),
    )
    if isinstance(comparison, Comparison):
        return replace(converted, verified_error=comparison.largest_error, problem=comparison.problem)
    return Skipped("it changed while it was converted")


def _convert(
    sequence: OpenSequence, bodies: FoldedBodies, settings: Settings, known_frame_rate: float | None, name: str
) -> Converted | Skipped:
    source = sequence.summary
    if known_frame_rate is not None and is_same_rate(known_frame_rate, source.frame_rate):
        known_frame_rate = None
    source_frame_rate = known_frame_rate if settings.fix_frame_rates and known_frame_rate else source.frame_rate
    body = bodies.get(source)
    if isinstance(body, Skipped):
        return body
    resampling = resample(source.frames, source_frame_rate, settings.rate)
    if not resampling.num_frames:
        return Skipped(
            f"too short: {source.frames} frames at {source_frame_rate:g} Hz give none at {settings.rate:g} Hz"
        )
    frame_rate = settings.rate or source_frame_rate
    kept = settings.choices.kept(name, resampling.num_frames, frame_rate)
    if isinstance(kept, Skipped):
        return kept
    positions = np.empty((resampling.num_frames, len(body.row_sums), 3), settings.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is skipped below
        shaped = body.with_shape(sequence.read_betas(), settings.dtype)
        for block in sequence.read_blocks():
            executors.end_if_unwanted()
            blend = resampling.within(block.start, block.stop)
            posed = shaped.pose(
                block.poses, block.trans, block.dmpls, looked_at=blend.looked_at, device=settings.device
            )
            blend.interpolate(posed, out=positions[blend.frames])
    if not np.isfinite(positions).all():
        return Skipped("its joints would not be finite: it holds values too large for a human motion")
    positions = positions[kept]
    rest_pose = bodies.rest_pose(source.model_type.name, source.gender)
    given = settings.choices.order or (rest_pose.skeleton.name if rest_pose.skeleton else None)
    return Converted(
        positions_3d=settings.choices.arrange(positions, rest_pose.skeleton),
        frame_rate=frame_rate,
        skeleton=given,
        gender=source.gender,
        soft_tissue=source.has_dmpls and source.model_type is not SMPLX,
        model_type=source.model_type.name,
        source_frames=source.frames,
        source_frame_rate=source_frame_rate,
        labelled_frame_rate=source.frame_rate,
        known_frame_rate=known_frame_rate,
        plausibility=examine(positions, frame_rate, rest_pose),
    )
