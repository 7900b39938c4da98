"""One mesh of a person in T pose, made from nothing: vertices, faces, skinning weights.

Stages, the left half first:

1. :mod:`.polycube` gives squares that close up to a surface of genus 0, and a rough place for each vertex;
2. smoothing alternates with projection onto the flesh of :mod:`.anatomy`, a smooth union of capsules;
3. squares become triangles, the largest triangles are split until the count is SMPL's, and the right
   half is added, the left one's mirror image;
4. each vertex is given to the bone whose flesh is nearest, and diffusion along the surface makes
   skinning weights of that. So weights are local: two fingers that nearly touch are far apart on the skin.

Lengths are in statures, feet on y = 0, as in :mod:`.anatomy`. The order of the vertices is: those on the plane of
symmetry, those of the left, those of the right in the order of the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from amass_joints.body_models import NUM_VERTICES
from amass_joints.demo.anatomy import BODY_FLESH, FINGER_FLESH, FINGERS, JOINTS, PALM_FLESH, Flesh
from amass_joints.demo.polycube import BOXES, embed, in_box, polycube_surface
from amass_joints.skeletons import NUM_BODY_JOINTS, SMPLH_JOINTS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Region: TypeAlias = tuple[Flesh, ...]
"""Flesh that a vertex may lie on: a vertex of one finger knows nothing of the next."""

MIRROR = np.array([-1.0, 1.0, 1.0])
"""Turns a point into its mirror image."""

_SMOOTHING_STEPS = 40
_UNION_SOFTNESS = 0.08  # of the smooth minimum, relative to the thickness of the flesh
_DIFFUSION_STEPS = 24
_BODY_DIFFUSION, _FINGER_DIFFUSION = 0.5, 0.08  # a phalanx is only three squares long
_WEIGHTS_PER_VERTEX = 4
_FAINTEST_WEIGHT = 0.002


@dataclass(frozen=True)
class Sculpture:
    """A person in T pose, in statures."""

    vertices: Float[np.ndarray, "vertices 3"]
    """Vertex positions."""
    faces: Int[np.ndarray, "faces 3"]
    """Vertices of each triangle, anticlockwise as seen from outside."""
    mirror: Int[np.ndarray, " vertices"]
    """For each vertex, its mirror image."""
    joints: Float[np.ndarray, "joints 3"]
    """Joint centres of SMPL+H's joints."""
    weights: Float[np.ndarray, "vertices joints"]
    """Skinning weights."""


@cache
def sculpt() -> Sculpture:
    """The sculpture; made once, the same every time."""
    lattice, quads = polycube_surface(list(BOXES.values()))
    region_of = _region_of(lattice)
    points = _relax(embed(lattice), quads, region_of)
    points, triangles, region_of = _refine(points, _triangulate(points, quads), region_of)
    vertices, faces, mirror = _with_right_half(points, triangles)
    owners = _owners(points, region_of)
    owners = np.concatenate([owners, MIRROR_JOINTS[owners[mirror[len(points) :]]]])
    return Sculpture(vertices, faces, mirror, _joint_centres(), _diffused_weights(owners, faces))


# --- 2. Flesh, and the relaxation onto it ------------------------------------------------------------------


_REGIONS: tuple[Region, ...] = (
    (*BODY_FLESH, PALM_FLESH, *(flesh[:2] for flesh in FINGER_FLESH.values())),
    *((FINGER_FLESH[finger], PALM_FLESH) for finger in FINGERS),
)
"""The body with the palms and first phalanges; then each finger, which knows the palm but no other finger."""


def _region_of(lattice: Int[np.ndarray, "points 3"]) -> Int[np.ndarray, " points"]:
    """For each lattice point, the number of its region."""
    region_of = np.zeros(len(lattice), dtype=np.int64)
    for number, finger in enumerate(FINGERS, start=1):
        region_of[in_box(lattice, BOXES[finger]) & ~in_box(lattice, BOXES["palm"])] = number
    return region_of


def _flesh_field(
    points: Float[np.ndarray, "points 3"], flesh: Flesh
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points 3"], Int[np.ndarray, " points"]]:
    """The implicit function (1 on the surface, less inside), its gradient, and the number of the nearest bone."""
    centres = np.array([station.centre for station in flesh])
    semi_axes = np.array([station.semi_axes for station in flesh])
    bones = np.diff(centres, axis=0)
    from_start = points[:, None] - centres[:-1]
    t = np.clip(np.sum(from_start * bones, axis=2) / np.sum(bones**2, axis=1), 0.0, 1.0)[..., None]
    thickness = semi_axes[:-1] + t * np.diff(semi_axes, axis=0)
    scaled = (from_start - t * bones) / thickness
    values = np.linalg.norm(scaled, axis=2)
    nearest = values.argmin(axis=1)
    at_nearest = (np.arange(len(points)), nearest)
    value = np.maximum(values[at_nearest], 1e-6)
    return value, scaled[at_nearest] / thickness[at_nearest] / value[:, None], nearest


def _project(points: Float[np.ndarray, "points 3"], region: Region) -> Float[np.ndarray, "points 3"]:
    """One Newton step towards the surface of the smooth union of a region's flesh."""
    fields = [_flesh_field(points, flesh) for flesh in region]
    values = np.stack([value for value, _, _ in fields])
    gradients = np.stack([gradient for _, gradient, _ in fields])
    least = values.min(axis=0)
    shares = np.exp((least - values) / _UNION_SOFTNESS)
    total = shares.sum(axis=0)
    union = least - _UNION_SOFTNESS * np.log(total)
    gradient = np.einsum("fp,fpx->px", shares / total, gradients)
    step = (1 - union) / np.sum(gradient**2, axis=1)
    projected: Float[np.ndarray, "points 3"] = points + step[:, None] * gradient
    return projected


def _relax(
    points: Float[np.ndarray, "points 3"],
    quads: Int[np.ndarray, "quads 4"],
    region_of: Int[np.ndarray, " points"],
) -> Float[np.ndarray, "points 3"]:
    """Spread the points evenly over the flesh."""
    on_midplane = points[:, 0] == 0
    neighbours = _Neighbours.of(quads, len(points))
    for _ in range(_SMOOTHING_STEPS):
        points = (points + neighbours.mean(points)) / 2
        for number, region in enumerate(_REGIONS):
            members = region_of == number
            points[members] = _project(points[members], region)
        points[on_midplane, 0] = 0.0
    return points


@dataclass(frozen=True)
class _Neighbours:
    """The vertices at the other ends of each vertex's edges."""

    others: Int[np.ndarray, " ends"]
    """The neighbours of vertex 0, of vertex 1, and so on."""
    first: Int[np.ndarray, " vertices"]
    """Where each vertex's neighbours start."""
    count: Int[np.ndarray, " vertices"]
    """How many each vertex has."""

    @classmethod
    def of(cls, faces: Int[np.ndarray, "faces corners"], vertices: int) -> _Neighbours:
        """Collect them from the faces' edges."""
        following = np.roll(faces, -1, axis=1)
        ends = np.unique(np.concatenate([faces * vertices + following, following * vertices + faces]))
        count = np.bincount(ends // vertices, minlength=vertices)
        return cls(others=ends % vertices, first=np.cumsum(count) - count, count=count)

    def mean(self, values: Float[np.ndarray, "vertices channels"]) -> Float[np.ndarray, "vertices channels"]:
        """The mean of ``values`` over each vertex's neighbours."""
        means: Float[np.ndarray, "vertices channels"] = np.add.reduceat(values[self.others], self.first)
        means /= self.count[:, None]
        return means


# --- 3. Triangles, and the other half ----------------------------------------------------------------------


def _triangulate(
    points: Float[np.ndarray, "points 3"], quads: Int[np.ndarray, "quads 4"]
) -> Int[np.ndarray, "triangles 3"]:
    """Cut each square along its shorter diagonal."""
    a, b, c, d = points[quads].transpose(1, 0, 2)
    from_b = np.linalg.norm(d - b, axis=1) < np.linalg.norm(c - a, axis=1)
    turned = np.where(from_b[:, None], np.roll(quads, -1, axis=1), quads)
    return np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]])


def _refine(
    points: Float[np.ndarray, "points 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    region_of: Int[np.ndarray, " points"],
) -> tuple[
    Float[np.ndarray, "more 3"],
    Int[np.ndarray, "more_triangles 3"],
    Int[np.ndarray, " more"],
]:
    """Split the largest triangles, until both halves together have the right number of vertices."""
    on_midplane = int(np.sum(points[:, 0] == 0))
    missing = (NUM_VERTICES + on_midplane) // 2 - len(points)
    a, b, c = points[triangles].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    by_area = np.argsort(-area, kind="stable")
    split, whole = triangles[by_area[:missing]], triangles[by_area[missing:]]

    centre = len(points) + np.arange(missing)
    fans = [np.stack([split[:, n], split[:, (n + 1) % 3], centre], axis=1) for n in range(3)]
    return (
        np.concatenate([points, points[split].mean(axis=1)]),
        np.concatenate([whole, *fans]),
        np.concatenate([region_of, region_of[split].max(axis=1)]),
    )


def _with_right_half(
    points: Float[np.ndarray, "half 3"], triangles: Int[np.ndarray, "half_faces 3"]
) -> tuple[
    Float[np.ndarray, "vertices 3"],
    Int[np.ndarray, "faces 3"],
    Int[np.ndarray, " vertices"],
]:
    """Vertices, faces and mirror images of the whole."""
    half = len(points)
    middle = int(np.sum(points[:, 0] == 0))  # they come first: lattice points are sorted by x
    image = np.arange(half)
    image[middle:] += half - middle
    vertices = np.concatenate([points, points[middle:] * MIRROR])
    faces = np.concatenate([triangles, image[triangles][:, ::-1]])
    return vertices, faces, np.concatenate([image, np.arange(middle, half)])


# --- 4. Joints and skinning weights ------------------------------------------------------------------------


def _mirror_name(joint: str) -> str:
    side, _, rest = joint.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)


MIRROR_JOINTS: Int[np.ndarray, " joints"] = np.array([SMPLH_JOINTS.index(_mirror_name(name)) for name in SMPLH_JOINTS])
"""For each of SMPL+H's joints, the same joint of the other side."""


def _joint_centres() -> Float[np.ndarray, "joints 3"]:
    """The joints of both sides."""
    return np.array([JOINTS[name] if name in JOINTS else JOINTS[_mirror_name(name)] * MIRROR for name in SMPLH_JOINTS])


def _owners(points: Float[np.ndarray, "half 3"], region_of: Int[np.ndarray, " half"]) -> Int[np.ndarray, " half"]:
    """The joint whose flesh is nearest to each point of the left half."""
    owners = np.zeros(len(points), dtype=np.int64)
    for number, region in enumerate(_REGIONS):
        members = np.flatnonzero(region_of == number)
        least = np.full(len(members), np.inf)
        for flesh in region:
            value, _, nearest = _flesh_field(points[members], flesh)
            joints = np.array([SMPLH_JOINTS.index(station.joint) for station in flesh[:-1]])
            nearer = value < least
            owners[members[nearer]] = joints[nearest[nearer]]
            least = np.minimum(least, value)
    return owners


def _diffused_weights(
    owners: Int[np.ndarray, " vertices"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices joints"]:
    """Skinning weights: the owners' indicators, diffused along the surface."""
    allowed = _followable()[owners]
    pace = np.where(owners >= NUM_BODY_JOINTS, _FINGER_DIFFUSION, _BODY_DIFFUSION)[:, None]
    neighbours = _Neighbours.of(faces, len(owners))
    weights = np.eye(len(SMPLH_JOINTS))[owners]
    for _ in range(_DIFFUSION_STEPS):
        weights += pace * (neighbours.mean(weights) - weights)
        weights *= allowed
    # Subtracting the first weight that is too many, rather than cutting it off, keeps the others continuous.
    surplus = np.partition(weights, -_WEIGHTS_PER_VERTEX - 1, axis=1)[:, [-_WEIGHTS_PER_VERTEX - 1]]
    kept = np.maximum(weights - np.maximum(surplus, _FAINTEST_WEIGHT), 0.0)
    normalised: Float[np.ndarray, "vertices joints"] = kept / kept.sum(axis=1, keepdims=True)
    return normalised


def _followable() -> Bool[np.ndarray, "owners joints"]:
    """Which joints a vertex may follow: none of the other side, and from a finger none of the next."""
    side = np.array([name.partition("_")[0] for name in SMPLH_JOINTS])
    middle = ~np.isin(side, ("left", "right"))
    same_side = (side[:, None] == side) | middle[:, None] | middle

    limb = np.array([name.rstrip("123") for name in SMPLH_JOINTS])
    wrist = np.char.endswith(limb, "wrist")
    from_phalanx = (limb[:, None] == limb) | wrist
    from_body = np.arange(len(SMPLH_JOINTS))[:, None] < NUM_BODY_JOINTS
    followable: Bool[np.ndarray, "owners joints"] = same_side & (from_phalanx | from_body)
    return followable
