"""Converted motions as trainers get them: read from what ``convert`` wrote, one at a time.

Stages::

    find_sources(paths)  -> Source, ...       files of datasets
    Source.motions()     -> Motion, ...       one sequence each, in the order of the file
    Motion.in_order(skeleton)                 its joints in another order
    Motion.in_the_world()                     in metres, z up, whatever was chosen before
    Motion.chosen(choices)                    trimmed, in other units ...: with further choices
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.choices import ROOT, Choices, z_up
from amass_joints.datasets import iterate, read_metadata
from amass_joints.errors import InputError
from amass_joints.metadata import Metadata
from amass_joints.sequences import Skipped
from amass_joints.skeletons import Skeleton, skeleton_named

if TYPE_CHECKING:
    import os

    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Motion:
    """One converted sequence."""

    dataset: str
    subject: str
    name: str
    positions_3d: Float[np.ndarray, "frames joints 3"]
    """In the units and axes of ``metadata``; float32 or float64."""
    frame_rate: float
    """Hz."""
    metadata: Metadata
    """Of the file that it is from; kept true by what changes the motion."""

    def __str__(self) -> str:
        """Name it ``dataset/subject/sequence``, as globs see it."""
        return f"{self.dataset}/{self.subject}/{self.name}"

    @property
    def skeleton(self) -> Skeleton:
        """What the joints are.

        Raises:
            InputError: the file does not say.
        """
        if self.metadata.skeleton is None:
            raise InputError(
                f"{self.dataset}: its file does not say what its {self.positions_3d.shape[1]} joints are: name them "
                "with --skeleton, or convert again with --skeleton."
            )
        return self.metadata.skeleton

    def in_order(self, skeleton: Skeleton) -> Motion:
        """Give the same with its joints in another order.

        Raises:
            InputError: joints are lacking, or it is not known what they are.
        """
        if self.skeleton == skeleton:
            return self
        rows = list(skeleton.rows_in(self.skeleton))
        choices = replace(self.metadata.choices, order=skeleton.name)
        return replace(self, positions_3d=self.positions_3d[:, rows], metadata=Metadata(skeleton, choices))

    def in_the_world(self) -> Motion:
        """Give the same in metres, z up, in the world.

        Raises:
            InputError: where the root was in the world is no longer known.
        """
        choices, positions = self.metadata.choices, self.positions_3d
        if choices.root_relative:
            raise InputError(
                f"{self}: its joints are relative to the {ROOT}, and where that was in the world is no longer known. "
                "Convert again without --root-relative."
            )
        if choices.units == "mm":
            positions = positions / 1000
        if choices.up == "y":
            positions = z_up(positions)
        if positions is self.positions_3d:
            return self
        choices = replace(choices, units="m", up="z")
        return replace(self, positions_3d=positions, metadata=replace(self.metadata, choices=choices))

    def chosen(self, choices: Choices) -> Motion | Skipped:
        """Give the same with further choices, or say why nothing of it is left.

        What was chosen before stays, and is not done again (:meth:`.Choices.on_top_of`).

        Raises:
            InputError: what was chosen before stands against it; joints are lacking, or not known.
        """
        before = self.metadata.choices
        in_all = choices.on_top_of(before)
        kept = in_all.kept(str(self), len(self.positions_3d), self.frame_rate, before)
        if isinstance(kept, Skipped):
            return kept
        skeleton = self.metadata.skeleton
        positions = in_all.arrange(self.positions_3d[kept], skeleton, before)
        if in_all.order is not None:
            skeleton = skeleton_named(in_all.order)
        return replace(self, positions_3d=positions, metadata=Metadata(skeleton, in_all))


@dataclass(frozen=True)
class Source:
    """A file with one converted dataset."""

    dataset: str
    """Its name: the file's, without the suffix."""
    path: Path
    skeleton: Skeleton | None = None
    """What its joints are, where the file does not say."""

    def metadata(self) -> Metadata:
        """Say what the joints are, and how the motions are given.

        Raises:
            InputError: the file cannot be read, or is no such dataset, or its joints are others than ``skeleton``.
        """
        metadata = read_metadata(self.path)
        if self.skeleton is not None:
            if metadata.skeleton not in (None, self.skeleton):
                raise InputError(
                    f"{self.path}: its joints are those of {metadata.skeleton.name}, by what it says itself; "
                    f"--skeleton says {self.skeleton.name}. Leave --skeleton out; --order puts them into another order."
                )
            metadata = replace(metadata, skeleton=self.skeleton)
        return metadata

    def check_joints(self, sequence: str, joints: int, metadata: Metadata) -> None:
        """See that a sequence has as many joints as there are in the skeleton.

        Raises:
            InputError: it has not.
        """
        if metadata.skeleton is not None and joints != len(metadata.skeleton.joints):
            raise InputError(
                f"{self.path}: {sequence} has {joints} joints; {metadata.skeleton.name} has "
                f"{len(metadata.skeleton.joints)}."
            )

    def motions(self) -> Iterator[Motion]:
        """Read the sequences, one after the other.

        Raises:
            InputError: as :meth:`metadata`.
        """
        metadata = self.metadata()
        for subject, name, positions in iterate(self.path):
            self.check_joints(f"{subject}/{name}", positions["positions_3d"].shape[1], metadata)
            yield Motion(self.dataset, subject, name, positions["positions_3d"], positions["frame_rate"], metadata)


def find_sources(paths: Iterable[str | os.PathLike[str]], skeleton: Skeleton | None = None) -> tuple[Source, ...]:
    """Find converted datasets: files, and all in directories.

    Args:
        paths: ``DATASET.npz``, or directories that hold such.
        skeleton: what their joints are, where they do not say.

    Raises:
        InputError: there is none, or two have one name.
    """
    found: dict[str, Source] = {}
    for path in map(Path, paths):
        files = sorted(one for one in path.glob("*.npz") if not one.name.startswith(".")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: it has no .npz file: expected what 'amass-joints convert' wrote.")
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}: no such file. Pass what 'amass-joints convert' wrote, or its directory.")
            if file.stem in found and not file.samefile(found[file.stem].path):
                raise InputError(f"{file} and {found[file.stem].path} are both {file.stem}: pass one of them.")
            found[file.stem] = Source(file.stem, file, skeleton)
    if not found:
        raise InputError("pass files that 'amass-joints convert' wrote, or their directory.")
    return tuple(found.values())
