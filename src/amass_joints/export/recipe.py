"""What is done to each motion before a format's exporter gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amass_joints.amass import canonical_name, is_same_rate, with_canonical_name
from amass_joints.cameras import View
from amass_joints.choices import ROOT, Choices
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter
from amass_joints.finding import is_wanted, may_match
from amass_joints.joint_names import check_joint_names
from amass_joints.motions import Motion, Source
from amass_joints.sequences import Skipped
from amass_joints.splits import Split, Splits
from amass_joints.views import Viewpoints


@dataclass(frozen=True)
class Prepared:
    """A motion as the format demands it."""

    motion: Motion
    views: tuple[View, ...]
    split: Split | None


@dataclass(frozen=True)
class Recipe:
    """What is done: the same for all motions."""

    exporter: type[Exporter]
    choices: Choices
    splits: Splits | None
    cameras: Viewpoints | None
    only: tuple[str, ...]
    """Globs, with the canonical names of datasets."""

    def check(self) -> None:
        """See that the format takes what was chosen.

        Raises:
            InputError: it does not.
        """
        name, chosen = self.exporter.format, self.choices
        if self.cameras is None and self.exporter.needs_cameras:
            raise InputError(f"{name} is what cameras see: add --cameras h36m, or others.")
        if self.cameras is not None and not self.exporter.takes_cameras:
            raise InputError(f"{name} has no place for what cameras see: leave --cameras out.")
        if self.exporter.skeleton is not None and chosen.order not in (None, self.exporter.skeleton.name):
            raise InputError(f"{name} has the joints in the order {self.exporter.skeleton.name}: leave --order out.")
        if self._in_the_world and not chosen.in_the_world:
            why = name if self.exporter.in_the_world else "what cameras see"
            raise InputError(
                f"{why} is in metres, z up, in the world: leave --up, --units and --root-relative out. (Loaders "
                "subtract the root themselves.)"
            )

    def check_source(self, source: Source) -> None:
        """See, as far as a file says of itself, that its motions can be exported.

        Raises:
            InputError: they cannot.
        """
        check_joint_names(source, self.exporter.skeleton)
        if self._in_the_world and source.metadata().choices.root_relative:
            raise InputError(
                f"{source.path}: its joints are relative to the {ROOT}, and where that was in the world is no longer "
                "known. Convert again without --root-relative."
            )

    @property
    def _in_the_world(self) -> bool:
        return self.exporter.in_the_world or self.cameras is not None

    def may_want(self, source: Source) -> bool:
        """Whether motions of it can be among what is to be exported."""
        return not self.only or any(may_match(glob, f"{canonical_name(source.dataset)}/") for glob in self.only)

    def wants(self, motion: Motion) -> bool:
        """Whether it is among what is to be exported."""
        return is_wanted(with_canonical_name(str(motion)), self.only)

    def prepare(self, motion: Motion, exporter: Exporter) -> Prepared | Skipped:
        """Make of a motion what the format demands, or say why it is left out.

        Raises:
            InputError: that cannot be made of it.
        """
        split = None
        if self.splits is not None:
            split = self.splits.of(str(motion))
            if split is None:
                return Skipped("in no part of the split")
        chosen = motion.chosen(self.choices)
        if isinstance(chosen, Skipped):
            return chosen
        motion = chosen.in_the_world() if self._in_the_world else chosen
        if exporter.skeleton is not None:
            motion = motion.in_order(exporter.skeleton)
        _check_rate(motion, exporter)
        reason = exporter.reason_to_leave_out(motion)
        if reason is not None:
            return Skipped(reason)
        views: Sequence[View] = ()
        if self.cameras is not None:
            motion, views = self.cameras.see(motion, split)
        return Prepared(motion, tuple(views), split)


def _check_rate(motion: Motion, exporter: Exporter) -> None:
    rate = exporter.frame_rate
    if rate is not None and not is_same_rate(motion.frame_rate, rate):
        raise InputError(
            f"{motion}: it has {motion.frame_rate:g} Hz, and {exporter.format} has {rate:g}: convert it again with "
            f"--rate {rate:g}."
        )
