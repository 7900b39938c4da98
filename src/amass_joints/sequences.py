"""AMASS sequences: reading one, whole or block by block, and checking it.

A sequence file is never trusted: nothing in it is unpickled, and what is wrong with it is a :class:`Skipped`, not
an exception.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from amass_joints.arrays import ArrayFileError, ArrayReader, NpzFile
from amass_joints.body_models import GENDERS, MODEL_TYPES, NUM_DMPLS, SMPLH, ModelType

if TYPE_CHECKING:
    from jaxtyping import Float

FRAME_RATES = (1.0, 10_000.0)
"""Hz; a rate outside is a mistake. (AMASS has 59 to 250.)"""

FRAME_RATE_NAMES = ("mocap_framerate", "mocap_frame_rate")
"""In SMPL+H files, and in SMPL-X files."""

MOST_BETAS = 1000
"""More shape coefficients no body model has."""

MOST_FRAMES = 2_000_000
"""More frames no motion has: it is two hours at 250 Hz. (The longest of AMASS have some ten thousand.)"""

MOST_HOURS = 6.0
"""Longer no motion lasts. Like the number of frames it bounds what comes out, whose frame rate may be higher."""

GREATEST: dict[str, tuple[float, str]] = {
    "poses": (1000.0, "1000 radians"),
    "trans": (1e5, "100000 metres"),
    "betas": (1000.0, "1000"),
    "dmpls": (1e6, "1000000"),
}
"""Absolute values beyond which numbers are no motion: finite, so that joints come out, which mean nothing. Far from any
real one, and from what rotations come to that were never wrapped."""

FRAMES_AT_A_TIME = 2048
"""How many frames of a long sequence are held at a time: most sequences come in one block, of 2.7 MB at most."""


@dataclass(frozen=True)
class Skipped:
    """A sequence that cannot be converted."""

    reason: str
    """What was found and what was expected, for people."""


@dataclass(frozen=True)
class NotASequence:
    """A file that is nothing we are after: it holds neither ``poses`` nor ``trans``."""


@dataclass(frozen=True)
class SequenceSummary:
    """What a sequence file says of itself, without its motion."""

    frames: int
    frame_rate: float
    """Hz."""
    gender: str
    """Which body model: one of :data:`amass_joints.body_models.GENDERS` ..."""
    has_dmpls: bool
    model_type: ModelType
    """... of this kind."""


@dataclass(frozen=True)
class Sequence:
    """One motion, as AMASS gives it. All arrays are finite."""

    poses: Float[np.ndarray, "frames pose_values"]
    """Rotation vectors of all joints, radians; joint 0 is the root."""
    trans: Float[np.ndarray, "frames 3"]
    """Root translation, metres, world frame, z up."""
    betas: Float[np.ndarray, " betas"]
    """Shape coefficients."""
    dmpls: Float[np.ndarray, "frames dmpls"] | None
    """Soft-tissue coefficients; None where the file has none or they are not wanted."""
    gender: str
    """Which body model: one of :data:`amass_joints.body_models.GENDERS` ..."""
    frame_rate: float
    """Hz."""
    model_type: ModelType = SMPLH
    """... of this kind."""


@dataclass(frozen=True)
class FrameBlock:
    """Frames of a sequence, all finite: from ``start`` to before ``stop``, and the one at ``stop`` where there is one.

    So whatever lies between two frames lies in one block.
    """

    start: int
    stop: int
    poses: Float[np.ndarray, "frames pose_values"]
    trans: Float[np.ndarray, "frames 3"]
    dmpls: Float[np.ndarray, "frames dmpls"] | None


class OpenSequence:
    """A motion in an open file: what it says of itself, and its frames, to be read."""

    def __init__(self, npz: NpzFile, *, dmpls: bool) -> None:
        """Check all that headers and the small arrays can tell, before memory is taken for the large ones."""
        names = ("poses", "trans", "dmpls") if dmpls and "dmpls" in npz.names else ("poses", "trans")
        self._frames = {name: npz.open(name) for name in names}
        frames, model_type = _check_frames(self._frames)
        self._betas = npz.open("betas")
        self._betas.check_real()
        shape = self._betas.header.shape
        if not shape or math.prod(shape) != shape[-1] or shape[-1] > MOST_BETAS:
            raise _Unusable(f"array 'betas': its shape is {shape}, expected (16,)")
        frame_rate = _frame_rate(npz)
        if frames > MOST_FRAMES or frames / frame_rate > MOST_HOURS * 3600:
            raise _Unusable(
                f"{frames} frames, {frames / frame_rate / 3600:.1f} hours, expected at most {MOST_FRAMES} frames and "
                f"{MOST_HOURS:g} hours"
            )
        self.summary = SequenceSummary(frames, frame_rate, _gender(npz), "dmpls" in names, model_type)

    def read_betas(self) -> Float[np.ndarray, " betas"]:
        """Read the shape coefficients."""
        betas = self._betas.read_float64().reshape(-1)
        _check_values("betas", betas)
        return betas

    def read_blocks(self, frames_at_a_time: int = FRAMES_AT_A_TIME) -> Iterator[FrameBlock]:
        """Read the frames, once."""
        frames = self.summary.frames
        read = 0
        for start in range(0, frames, frames_at_a_time):
            stop = min(start + frames_at_a_time, frames)
            end = min(stop + 1, frames)
            again = read - start  # 1 where a block went before, whose last frame is the first of this one
            arrays = {name: reader.read_rows(end - read, again) for name, reader in self._frames.items()}
            for name, array in arrays.items():
                _check_values(name, array[again:], read)
            read = end
            yield FrameBlock(start, stop, arrays["poses"], arrays["trans"], arrays.get("dmpls"))


def read_sequence(path: str | os.PathLike[str], *, dmpls: bool = True) -> Sequence | Skipped | NotASequence:
    """Read and check one sequence file, of SMPL+H, SMPL-X or SMPL.

    Args:
        path: an AMASS ``.npz`` file.
        dmpls: whether soft tissue is wanted.

    Returns:
        The sequence; or why there is none; or that the file is not meant to be one.
    """
    return use_sequence(path, _whole, dmpls=dmpls)


def summarise_sequence(file: str | os.PathLike[str] | bytes) -> SequenceSummary | Skipped | NotASequence:
    """Check one sequence file by the headers of its arrays, which is quick, and say what is in it."""
    return use_sequence(file, lambda sequence: sequence.summary, at_once=False)


def labelled_frame_rate(file: str | os.PathLike[str] | bytes) -> float | None:
    """Give the frame rate, Hz, that a sequence file says it has; None where it is no sequence that can be used."""
    summary = summarise_sequence(file)
    return summary.frame_rate if isinstance(summary, SequenceSummary) else None


_Result = TypeVar("_Result")


def use_sequence(
    file: str | os.PathLike[str] | bytes,
    use: Callable[[OpenSequence], _Result],
    *,
    dmpls: bool = True,
    at_once: bool = True,
) -> _Result | Skipped | NotASequence:
    """Open one sequence file, or what is in one, and give what ``use`` makes of it.

    Whatever turns out to be wrong with the file, while it is opened or while ``use`` reads it, ends that and is the
    result.
    """
    try:
        with NpzFile(file if isinstance(file, bytes) else Path(file), at_once=at_once) as npz:
            if not npz.names:
                return Skipped("it holds no arrays")
            if "poses" not in npz.names and "trans" not in npz.names:
                return NotASequence()
            return use(OpenSequence(npz, dmpls=dmpls))
    except (ArrayFileError, _Unusable) as error:
        return Skipped(str(error))


class _Unusable(Exception):
    """The file is whole, but what it says cannot be converted."""


def _whole(sequence: OpenSequence) -> Sequence:
    summary = sequence.summary
    betas = sequence.read_betas()
    (block,) = sequence.read_blocks(summary.frames)
    return Sequence(
        poses=np.array(block.poses),  # copies that may be written to, and hold no file in memory
        trans=np.array(block.trans),
        betas=betas,
        dmpls=None if block.dmpls is None else np.array(block.dmpls),
        gender=summary.gender,
        frame_rate=summary.frame_rate,
        model_type=summary.model_type,
    )


def _check_frames(arrays: dict[str, ArrayReader]) -> tuple[int, ModelType]:
    """Check the arrays that have a row for each frame: how many rows, and of which body model."""
    expected = {"poses": "156 (SMPL+H), 165 (SMPL-X) or 72 (SMPL)", "trans": 3, "dmpls": NUM_DMPLS}
    for name, reader in arrays.items():
        reader.check_real()
        shape = reader.header.shape
        if len(shape) != 2:
            raise _Unusable(f"array '{name}': its shape is {shape}, expected (frames, {expected[name]})")
    shapes = {name: reader.header.shape for name, reader in arrays.items()}
    frames, values = shapes["poses"]
    model_type = next((one for one in MODEL_TYPES if one.pose_values == values), None)
    if model_type is None:
        raise _Unusable(f"{values} pose values a frame, expected {expected['poses']}")
    for name, width in (("trans", 3), ("dmpls", NUM_DMPLS)):
        if name in shapes and shapes[name][1] != width:
            raise _Unusable(f"array '{name}': {shapes[name][1]} values a frame, expected {width}")
    for name, shape in shapes.items():
        if shape[0] != frames:
            raise _Unusable(f"'poses' has {frames} frames, '{name}' has {shape[0]}")
    if not frames:
        raise _Unusable("it has no frames")
    return frames, model_type


def _check_values(name: str, array: Float[np.ndarray, "..."], first_frame: int | None = None) -> None:
    """See that an array holds values that a motion may have.

    Args:
        name: of the array.
        array: its values, or those of some of its frames.
        first_frame: the number of the first of these frames; None: it has no frames.
    """
    greatest, in_words = GREATEST[name]
    if np.vdot(array, array) <= greatest * greatest:  # so is each of them then; to look at each takes far longer
        return
    if max(array.max(), -array.min()) <= greatest:
        return
    with np.errstate(invalid="ignore"):
        place = np.argwhere(~(np.abs(array) <= greatest))[0]
    value = array[tuple(place)]
    frame = "" if first_frame is None else f" in frame {first_frame + int(place[0])}"
    if not np.isfinite(value):
        raise _Unusable(f"array '{name}': it has values that are not finite" + (f", first{frame}" if frame else ""))
    raise _Unusable(f"array '{name}': {value:g}{frame}, expected at most {in_words}")


def _gender(npz: NpzFile) -> str:
    """Read the gender: text, bytes, or the text that Python makes of bytes, ``b'female'``."""
    reader = npz.open("gender")
    dtype, shape = reader.header.dtype, reader.header.shape
    if math.prod(shape) != 1 or dtype.kind not in "US" or dtype.itemsize > 1000:
        raise _Unusable(f"array 'gender': found {dtype} of shape {shape}, expected one text")
    value = reader.read().reshape(-1)[0]
    text = value.decode("latin1") if isinstance(value, bytes) else str(value)
    gender = text.strip().lower()
    if gender[:2] in ("b'", 'b"') and gender[-1] == gender[1]:
        gender = gender[2:-1]
    if gender not in GENDERS:
        raise _Unusable(f"its gender is {text[:40]!r}, expected {', '.join(GENDERS)}")
    return gender


def _frame_rate(npz: NpzFile) -> float:
    name = next((name for name in FRAME_RATE_NAMES if name in npz.names), FRAME_RATE_NAMES[0])
    reader = npz.open(name)
    reader.check_real()
    if math.prod(reader.header.shape) != 1:
        raise _Unusable(f"array '{name}': its shape is {reader.header.shape}, expected one number")
    frame_rate = float(reader.read_float64().reshape(-1)[0])
    if not math.isfinite(frame_rate):
        raise _Unusable(f"array '{name}': it has values that are not finite")
    lowest, highest = FRAME_RATES
    if not lowest <= frame_rate <= highest:
        raise _Unusable(f"its frame rate is {frame_rate:g} Hz, expected {lowest:g} to {highest:g} Hz")
    return frame_rate
