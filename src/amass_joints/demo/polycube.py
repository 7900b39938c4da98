"""A person of bricks: boxes of unit cells in index space, their outside, and how it is bent into shape.

The boxes (trunk, leg, foot, arm, palm, five fingers...) meet face to face, as a tree. So the unit squares on the
outside of their union are a closed surface of genus 0: the topology of the mesh, free of any geometry. Only the
left half is made; x = 0 is the plane of symmetry. Index axes are x, y, z of model space.

Each box then is bent around its centre line, given in statures, which is a first, rough place for each vertex.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.demo.anatomy import FINGERS, WRIST, Vector, along_arm, finger_joints

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Box:
    """A box of unit cells in index space, and the body part that it becomes."""

    low: tuple[int, int, int]
    """Its first corner."""
    high: tuple[int, int, int]
    """Its last corner."""
    axis: int
    """The index axis that runs along the part."""
    line: tuple[tuple[Vector, tuple[float, float]], ...]
    """Centre line in statures from the box's low to its high end, with the half widths of the section
    along the two other axes."""


def _finger_box(finger: str, low: tuple[int, int, int], high: tuple[int, int, int], axis: int) -> Box:
    radius = FINGERS[finger][3][1]
    return Box(low, high, axis, tuple((point, (radius, radius)) for point in finger_joints(finger)))


BOXES: dict[str, Box] = {
    "trunk": Box(
        (0, 45, 2),
        (7, 69, 10),
        1,
        (
            ((0.0, 0.485, -0.005), (0.092, 0.060)),
            ((0.0, 0.560, -0.002), (0.090, 0.062)),
            ((0.0, 0.640, 0.0), (0.078, 0.056)),
            ((0.0, 0.740, 0.0), (0.088, 0.062)),
            ((0.0, 0.822, -0.010), (0.080, 0.045)),
        ),
    ),
    "neck": Box(
        (0, 69, 3),
        (3, 72, 9),
        1,
        (((0.0, 0.826, -0.012), (0.035, 0.035)), ((0.0, 0.872, -0.005), (0.033, 0.035))),
    ),
    "head": Box(
        (0, 72, 2),
        (4, 84, 10),
        1,
        (
            ((0.0, 0.876, 0.008), (0.034, 0.045)),
            ((0.0, 0.930, 0.0), (0.047, 0.058)),
            ((0.0, 0.994, -0.004), (0.030, 0.034)),
        ),
    ),
    "leg": Box(
        (1, 3, 2),
        (7, 45, 10),
        1,
        (
            ((0.066, 0.045, -0.014), (0.020, 0.022)),
            ((0.063, 0.210, -0.010), (0.032, 0.034)),
            ((0.060, 0.285, 0.0), (0.031, 0.033)),
            ((0.053, 0.480, -0.002), (0.047, 0.056)),
        ),
    ),
    "foot": Box(
        (1, 0, 2),
        (7, 3, 20),
        2,
        (((0.066, 0.024, -0.046), (0.018, 0.022)), ((0.073, 0.013, 0.105), (0.026, 0.013))),
    ),
    "arm": Box(
        (7, 64, 2),
        (33, 68, 9),
        0,
        (
            (along_arm(0.095), (0.032, 0.034)),
            (along_arm(0.190), (0.028, 0.029)),
            (along_arm(0.300), (0.023, 0.025)),
            (along_arm(WRIST[0]), (0.0135, 0.017)),
        ),
    ),
    "palm": Box(
        (33, 65, 0),
        (39, 67, 11),
        0,
        ((along_arm(WRIST[0] + 0.006), (0.0115, 0.018)), (along_arm(WRIST[0] + 0.052), (0.0085, 0.025))),
    ),
    "pinky": _finger_box("pinky", (39, 65, 0), (48, 67, 2), 0),
    "ring": _finger_box("ring", (39, 65, 3), (48, 67, 5), 0),
    "middle": _finger_box("middle", (39, 65, 6), (48, 67, 8), 0),
    "index": _finger_box("index", (39, 65, 9), (48, 67, 11), 0),
    "thumb": _finger_box("thumb", (34, 65, 11), (36, 67, 19), 2),
}
"""The left half of the polycube. Fingers are one empty cell apart; x = 0 is the plane of symmetry.

Only its topology is final: the centre lines merely seed the relaxation onto the flesh of :mod:`.anatomy`.
"""


def polycube_surface(
    boxes: Sequence[Box],
) -> tuple[Int[np.ndarray, "points 3"], Int[np.ndarray, "quads 4"]]:
    """Lattice points and squares of the outside of a union of boxes, open at the plane of symmetry."""
    # One empty layer all around, except before x = 0: there the first layer stands for the mirror image.
    shape = np.max([box.high for box in boxes], axis=0) + 2
    filled = np.zeros(shape, dtype=bool)
    for box in boxes:
        filled[tuple(slice(low + 1, high + 1) for low, high in zip(box.low, box.high, strict=True))] = True
    filled[0] = filled[1]

    corners = []
    for axis in range(3):
        here = filled.take(range(shape[axis] - 1), axis)
        there = filled.take(range(1, shape[axis]), axis)
        second, third = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
        anticlockwise = np.stack([0 * second, second, second + third, third])
        for is_outside, around in ((here & ~there, anticlockwise), (there & ~here, anticlockwise[::-1])):
            cells = np.argwhere(is_outside)
            cells = cells[cells[:, 0] > 0]  # not the mirror image's own
            cells[:, axis] += 1
            corners.append(cells[:, None] + around - 1)  # the empty layer
    lattice, quads = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
    return lattice, quads.reshape(-1, 4)


def embed(lattice: Int[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Bend all boxes around their centre lines; points that boxes share go to the mean."""
    total: Float[np.ndarray, "points 3"] = np.zeros(lattice.shape)
    count = np.zeros((len(lattice), 1))
    for box in BOXES.values():
        inside = in_box(lattice, box)
        total[inside] += _bend(lattice[inside], box)
        count[inside] += 1
    return total / count


def in_box(lattice: Int[np.ndarray, "points 3"], box: Box) -> Bool[np.ndarray, " points"]:
    """Which lattice points are in a box or on its outside."""
    inside: Bool[np.ndarray, " points"] = np.all((lattice >= box.low) & (lattice <= box.high), axis=1)
    return inside


def _bend(lattice: Int[np.ndarray, "points 3"], box: Box) -> Float[np.ndarray, "points 3"]:
    """Turn the box into a tube along its centre line, and its square sections into ellipses."""
    low, high = np.array(box.low), np.array(box.high)
    if low[0] == 0:
        low[0] = -high[0]  # the plane of symmetry is the middle of the whole
    unit = (lattice - low) / (high - low)
    line = np.array([centre for centre, _ in box.line])
    half_widths = np.array([widths for _, widths in box.line])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    along = unit[:, box.axis] * length[-1]
    points = np.stack([np.interp(along, length, line[:, n]) for n in range(3)], axis=1)

    across = [axis for axis in range(3) if axis != box.axis]
    a, b = (2 * unit[:, across] - 1).T
    disc = (a * np.sqrt(1 - b**2 / 2), b * np.sqrt(1 - a**2 / 2))
    for n, axis in enumerate(across):
        points[:, axis] += disc[n] * np.interp(along, length, half_widths[:, n])
    return points
