"""What a converted file says of itself, beside its joints: what they are, and how they are given.

In ``npz`` these are plain arrays, which ``np.load(path)["joint_names"]`` reads without a pickle; in ``npz-flat`` they
are in the index, under the same names:

========================  =========================================================================================
``skeleton``              its name (:data:`amass_joints.skeletons.SKELETONS`), and with it, if it is known:
``joint_names``           of the rows
``parents``               the row of each joint's parent, -1 for the root
``symmetric_pairs``       rows of the same joint on the left and on the right
``units``                 ``metres`` or ``millimetres``
``up``                    ``z`` or ``y``
``choices``               what else was chosen (:mod:`amass_joints.choices`), as JSON; only if anything was
========================  =========================================================================================

A file without them, as AMASS-to-3DHPE writes it, has metres, z up, and joints that it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from amass_joints.choices import Choices
from amass_joints.skeletons import SKELETONS, Skeleton

UNITS: dict[str, Literal["m", "mm"]] = {"metres": "m", "millimetres": "mm"}
"""How the file calls them, and how the command line does."""

_OF_SKELETON = ("skeleton", "joint_names", "parents", "symmetric_pairs")

NAMES = (*_OF_SKELETON, "units", "up", "choices")
"""What entries there may be."""


@dataclass(frozen=True)
class Metadata:
    """What a converted file says of itself."""

    skeleton: Skeleton | None = None
    """What the rows are; None where it is not known."""
    choices: Choices = Choices()
    """How the motions are given."""

    def entries(self) -> dict[str, Any]:
        """Give what is written down, as JSON knows it."""
        units = next(name for name, short in UNITS.items() if short == self.choices.units)
        entries: dict[str, Any] = {"units": units, "up": self.choices.up}
        if self.skeleton is not None:
            values = (self.skeleton.name, self.skeleton.joints, self.skeleton.parents, self.skeleton.symmetric_pairs)
            entries = dict(zip(_OF_SKELETON, map(_as_lists, values), strict=True)) | entries
        others = self.choices.as_json()
        return entries | ({"choices": others} if others else {})

    @staticmethod
    def from_entries(entries: Mapping[str, Any]) -> Metadata:
        """Read what is written down.

        Raises:
            ValueError: it makes no sense.
            InputError: it was written by another version.
        """
        choices = Choices.from_json(entries.get("choices", {}))
        found = {"units": UNITS.get(entries.get("units", "metres")), "up": entries.get("up", "z")}
        if found != {"units": choices.units, "up": choices.up}:
            raise ValueError(f"units {entries.get('units')!r:.40}, up {entries.get('up')!r:.40}, which nobody writes")
        name = entries.get("skeleton")
        if name is None:
            return Metadata(None, choices)
        skeleton = SKELETONS.get(name) if isinstance(name, str) else None
        if skeleton is None:
            raise ValueError(f"a skeleton {name!r:.60}, expected one of {', '.join(SKELETONS)}")
        if any(entries.get(key) != value for key, value in Metadata(skeleton).entries().items() if key in _OF_SKELETON):
            raise ValueError(f"joints or parents that are not those of the skeleton {name}")
        return Metadata(skeleton, choices)


def _as_lists(value: Any) -> Any:
    return [_as_lists(one) for one in value] if isinstance(value, tuple) else value
