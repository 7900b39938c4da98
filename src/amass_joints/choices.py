"""Choices on the motion that people make differently: units, axes, order, trims. Each is off by default.

What was chosen is done to a motion in two steps, both pure::

    Choices.kept(name, frames, frame rate)   -> which frames are kept, or why none are
    Choices.arrange(positions, skeleton)     -> those frames, in the order, axes and units that were chosen

Motions may come with choices that were made before (``before``, below: what is in the metadata of a file).
:meth:`Choices.on_top_of` then says what is chosen in all, and both steps do what is left to be done: nothing twice.

What others cut off and leave out, with its sources, is in ``choices.json`` beside this file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from amass_joints.amass import canonical_name
from amass_joints.errors import InputError
from amass_joints.json_files import shown
from amass_joints.sequences import MOST_HOURS, Skipped
from amass_joints.skeletons import Skeleton, skeleton_named

if TYPE_CHECKING:
    from jaxtyping import Float

ROOT = "pelvis"
"""The joint that positions are relative to."""

MOST_SECONDS = MOST_HOURS * 3600
"""No motion lasts longer."""

Json: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Choices:
    """How converted motions are given. The defaults change nothing."""

    order: str | None = None
    """The skeleton in whose order the joints are, by name; None: as the regressor's rows."""
    up: Literal["z", "y"] = "z"
    """The axis that points up; ``y`` is AMASS's world turned about x: (x, y, z) becomes (x, z, -y)."""
    units: Literal["m", "mm"] = "m"
    root_relative: bool = False
    """Whether each frame's root (``pelvis``) is the origin."""
    min_seconds: float = 0.0
    """Motions that are shorter, after they were trimmed, are skipped."""
    trim_start: float = 0.0
    """Seconds cut off at the start of each motion, after what published trims cut off."""
    trims: str | None = None
    """The name of published trims; None: none."""
    leave_out: tuple[str, ...] = ()
    """Names of published kinds of motions that are skipped, such as ``treadmill``; sorted, each once."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with an :class:`InputError`."""
        if self.order is not None:
            skeleton_named(self.order)
        if self.up not in ("z", "y"):
            raise InputError(f"the axis that points up is '{self.up}', expected z or y.")
        if self.units not in ("m", "mm"):
            raise InputError(f"the units are '{self.units}', expected m or mm.")
        for name in ("min_seconds", "trim_start"):
            seconds = getattr(self, name)
            if not 0 <= seconds <= MOST_SECONDS:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} is {seconds:g} seconds, expected 0 to {MOST_SECONDS:g}.")
        if self.trims is not None and self.trims not in published_trims():
            raise InputError(f"there are no trims '{self.trims}', expected one of {', '.join(published_trims())}.")
        for kind in self.leave_out:
            if kind not in published_kinds():
                raise InputError(
                    f"no kind of motions is called '{kind}', expected one of {', '.join(published_kinds())}."
                )
        object.__setattr__(self, "leave_out", tuple(sorted(set(self.leave_out))))  # so that the same ones are equal

    @property
    def in_the_world(self) -> bool:
        """Whether joints are in metres, z up, in the world: what cameras see, and most loaders take."""
        return (self.units, self.up, self.root_relative) == ("m", "z", False)

    def __str__(self) -> str:
        """Say on a line what was chosen."""
        chosen = (
            (self.order, f"joints in the order {self.order}"),
            (self.root_relative, f"relative to the {ROOT}"),
            (self.up == "y", "y up"),
            (self.units == "mm", "millimetres"),
            (self.trims, f"trimmed as by {self.trims}"),
            (self.trim_start, f"{self.trim_start:g} s cut off at the start"),
            (self.min_seconds, f"nothing shorter than {self.min_seconds:g} s"),
            (self.leave_out, f"without {', '.join(self.leave_out)}"),
        )
        return ", ".join(text for is_chosen, text in chosen if is_chosen) or "nothing"

    # ------------------------------------------------------------------------------------- what is done to motions

    def kept(self, name: str, num_frames: int, frame_rate: float, before: Choices | None = None) -> slice | Skipped:
        """Say which frames of a motion are kept, or why none are.

        First come the published trims, then ``trim_start``; what is left is compared with ``min_seconds``. Frames
        earlier than the time to be cut off go, and the arithmetic is exact, on decimal numbers as people type and read
        them: 0.1 s at 120 Hz are 12 frames.

        Args:
            name: ``dataset/subject/sequence``.
            num_frames: how many frames there are.
            frame_rate: of these frames, Hz.
            before: what was chosen when they were made, which these choices include; None: nothing.
        """
        before = before or Choices()
        dataset, _, rest = name.partition("/")
        dataset = canonical_name(dataset)
        for kind in self.leave_out:
            if published_kinds()[kind].has(f"{dataset}/{rest}"):
                return Skipped(f"left out: {published_kinds()[kind].about}")
        rate, seconds = _decimal(frame_rate), _decimal(self.min_seconds)
        frames = range(num_frames)
        if self.trims is not None:
            trims = published_trims()[self.trims]
            seconds = max(seconds, trims.min_seconds)
            if before.trims is None:
                frames = frames[trims.kept(dataset, num_frames, rate)]
        cut = math.ceil(_decimal(self.trim_start) * rate) - math.ceil(_decimal(before.trim_start) * rate)
        frames = frames[max(cut, 0) :]
        if not frames or len(frames) < seconds * rate:
            whole = f"{float(num_frames / rate):.4g} s"
            left = whole if len(frames) == num_frames else f"{float(len(frames) / rate):.4g} s are left of {whole}"
            return Skipped(f"too short: {left}" + (f", expected at least {float(seconds):g} s" if seconds else ""))
        return slice(frames.start, frames.stop)

    def arrange(
        self,
        positions: Float[np.ndarray, "frames joints 3"],
        skeleton: Skeleton | None,
        before: Choices | None = None,
    ) -> Float[np.ndarray, "frames rows 3"]:
        """Put joints into the order, axes and units that were chosen, in their own dtype.

        Args:
            positions: in metres, in the world, z up, or as ``before`` says. They are not changed.
            skeleton: what their joints are; None: not known.
            before: what was chosen when they were made, which these choices include; None: nothing.

        Returns:
            The positions; the same array if there is nothing to do.

        Raises:
            InputError: joints are lacking, or it is not known what they are.
        """
        before = before or Choices()
        if self.root_relative and not before.root_relative:
            root = _known(skeleton, "--root-relative")
            if ROOT not in root.joints:
                raise InputError(f"--root-relative: {root.name} has no {ROOT}, to which joints could be relative.")
            positions = positions - positions[:, [root.joints.index(ROOT)]]
        if self.order is not None:
            ordered, known = skeleton_named(self.order), _known(skeleton, "--order")
            if ordered != known:
                positions = positions[:, list(ordered.rows_in(known))]
        if self.up != before.up:
            positions = y_up(positions)
        if self.units != before.units:
            positions = positions * 1000
        return positions

    def on_top_of(self, before: Choices) -> Choices:
        """Say what is chosen in all when these choices are made of motions that come with others.

        What is at its default here stays as it was. What was already done is not done again: of 0.5 s cut off before,
        1 s now means 0.5 s more.

        Raises:
            InputError: what was done before stands against it.
        """
        if self.trims not in (None, before.trims) and (before.trims or before.trim_start):
            raise InputError(
                f"--trims {self.trims}: it is for whole motions, and these were trimmed before ({before}). "
                "Leave it out, or convert again."
            )
        if 0 < self.trim_start < before.trim_start:
            raise InputError(
                f"--trim-start {self.trim_start:g}: {before.trim_start:g} s of these motions are cut off already. "
                "Leave it out, or convert again."
            )
        return Choices(
            order=self.order or before.order,
            up="y" if "y" in (self.up, before.up) else "z",
            units="mm" if "mm" in (self.units, before.units) else "m",
            root_relative=self.root_relative or before.root_relative,
            min_seconds=max(self.min_seconds, before.min_seconds),
            trim_start=max(self.trim_start, before.trim_start),
            trims=self.trims or before.trims,
            leave_out=(*before.leave_out, *self.leave_out),
        )

    # -------------------------------------------------------------------------------------------- in the metadata

    def as_json(self) -> Json:
        """Give what differs from the defaults, for the metadata of files."""
        defaults = asdict(Choices())
        chosen = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}

    @classmethod
    def from_json(cls, chosen: object) -> Choices:
        """Read what :meth:`as_json` gave.

        Raises:
            InputError: it is something else, or of a newer version.
        """
        if not isinstance(chosen, dict):
            raise InputError(f"its choices are {shown(chosen)}, expected names and values.")
        values: dict[str, Any] = {}
        for name, value in chosen.items():
            if name not in _EXPECTED:
                raise InputError(
                    f"its choices have {shown(name)}, which this version of amass-joints does not know: a newer one "
                    "wrote it. Update amass-joints."
                )
            expected, is_so = _EXPECTED[name]
            if not is_so(value):
                raise InputError(f"its choices have {shown(value)} for {name}, expected {expected}.")
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)


def y_up(positions: Float[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """Turn AMASS's world, z up, about x, so that y is up: (x, y, z) becomes (x, z, -y)."""
    turned = np.empty_like(positions)
    turned[..., 0] = positions[..., 0]
    turned[..., 1] = positions[..., 2]
    np.negative(positions[..., 1], out=turned[..., 2])
    return turned


def z_up(positions: Float[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """Undo :func:`y_up`: (x, y, z) becomes (x, -z, y)."""
    turned = np.empty_like(positions)
    turned[..., 0] = positions[..., 0]
    np.negative(positions[..., 2], out=turned[..., 1])
    turned[..., 2] = positions[..., 1]
    return turned


def _known(skeleton: Skeleton | None, option: str) -> Skeleton:
    if skeleton is None:
        raise InputError(f"{option}: it is not known what the joints are. Say it with --skeleton.")
    return skeleton


def _decimal(value: float) -> Fraction:
    """Take a number for the shortest decimal that it is the nearest to: 0.1 is 1/10."""
    return Fraction(repr(float(value)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9  # and not NaN


_EXPECTED: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("order", "trims"), ("text", lambda value: isinstance(value, str))),
    "up": ("z or y", lambda value: value in ("z", "y")),
    "units": ("m or mm", lambda value: value in ("m", "mm")),
    **dict.fromkeys(("min_seconds", "trim_start"), ("a number", _is_number)),
    "root_relative": ("true or false", lambda value: isinstance(value, bool)),
    "leave_out": (
        "a list of texts",
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    ),
}
"""What each choice is in JSON, in words and as a test."""


# ----------------------------------------------------------------------------------------------------- published


@dataclass(frozen=True)
class PublishedTrims:
    """What others cut off of AMASS's motions."""

    about: str
    source: str
    seconds_at_start: Mapping[str, Fraction] = field(default_factory=dict)
    """What is cut off at the start of each motion of a dataset, by its canonical name."""
    begin: Fraction = Fraction(0)
    """The part of each motion's frames after which it is kept ..."""
    end: Fraction = Fraction(1)
    """... up to this one."""
    min_seconds: Fraction = Fraction(0)
    """Motions that are shorter after that are left out."""

    def kept(self, dataset: str, num_frames: int, frame_rate: Fraction) -> slice:
        """Say which frames of a motion are kept; there may be none."""
        at_start = math.ceil(self.seconds_at_start.get(dataset, 0) * frame_rate)
        return slice(max(at_start, int(self.begin * num_frames)), int(self.end * num_frames))


@dataclass(frozen=True)
class Kind:
    """Motions that others leave out, for what is done in them."""

    about: str
    source: str
    sequences: tuple[str, ...]
    """Regular expressions for ``dataset/subject/sequence``, with the canonical name of the dataset."""

    def has(self, name: str) -> bool:
        """Whether a motion is one of them."""
        return any(re.fullmatch(pattern, name) for pattern in self.sequences)


@lru_cache(maxsize=1)
def published_trims() -> Mapping[str, PublishedTrims]:
    """Give the published trims, by name."""
    return {
        name: PublishedTrims(
            about=trims["about"],
            source=trims["source"],
            seconds_at_start={one: _decimal(seconds) for one, seconds in trims.get("seconds_at_start", {}).items()},
            begin=Fraction(trims.get("begin", 0)),
            end=Fraction(trims.get("end", 1)),
            min_seconds=_decimal(trims.get("min_seconds", 0)),
        )
        for name, trims in _table()["trims"].items()
    }


@lru_cache(maxsize=1)
def published_kinds() -> Mapping[str, Kind]:
    """Give the kinds of motions that can be left out, by name."""
    return {name: Kind(**{**kind, "sequences": tuple(kind["sequences"])}) for name, kind in _table()["kinds"].items()}


def _table() -> Json:
    table: Json = json.loads(Path(__file__).with_name("choices.json").read_text(encoding="utf-8"))
    return table
