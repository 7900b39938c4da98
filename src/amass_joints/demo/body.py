"""Stand-in body models: people of our own invention, in the file format of SMPL+H.

They let the whole program run, be tested and be timed where the licensed body models are absent. The arrays are
those of the keys that the program reads, with the shapes and value conventions of SMPL+H's files; no number is
taken from them. :mod:`.smplx` makes one in the format of SMPL-X of them.

How a body is built:

1. :func:`.sculpture.sculpt` gives one mesh and its skinning weights, shared by all bodies;
2. each bone stretches what it carries along x, y and z, and the skinning weights blend the bones. The result
   is *linear* in the stretches, so that bodies (large stretches) and shape blend shapes (their
   derivatives) come from one function, and limbs keep their joints inside;
3. the rest-joint regressor takes a ring of vertices around each joint, weighted so that it meets the joint;
4. pose and soft-tissue blend shapes are smooth bumps around joints and around soft places.

Axes are those of model space: x to the person's left, y up, z forward, T pose, metres. Everything is
deterministic and symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.body_models import GENDERS, NUM_VERTICES
from amass_joints.demo.anatomy import BUILDS, JOINTS, TRAITS, WOBBLES, Bump, Trait, Vector
from amass_joints.demo.sculpture import MIRROR, MIRROR_JOINTS, Sculpture, sculpt
from amass_joints.skeletons import H36M17_SPIN_JOINTS, NUM_BODY_JOINTS, SMPLH_JOINTS, SMPLH_PARENTS

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt32

_ORIGIN = np.array([0.0, 0.69, 0.0])
"""Model space's origin, statures above the ground: in the chest, so that the pelvis is near y = -0.23 m."""


@dataclass(frozen=True)
class StandInBody:
    """The arrays of a model file and of its DMPL file, under the names that they have there: of SMPL+H, or SMPL-X."""

    v_template: Float[np.ndarray, "vertices 3"]
    """The mean person in T pose, metres."""
    shapedirs: Float[np.ndarray, "vertices 3 betas"]
    """Shape blend shapes, metres per standard deviation; their meanings are :data:`.anatomy.TRAITS`."""
    posedirs: Float[np.ndarray, "vertices 3 pose_features"]
    """Pose blend shapes, metres per unit of ``vec(R - I)``, row by row, of joints 1, 2, ..., 51."""
    J_regressor: Float[np.ndarray, "joints vertices"]
    """Rest joints from shaped vertices."""
    weights: Float[np.ndarray, "vertices joints"]
    """Skinning weights: at most four a vertex, each row sums to 1."""
    kintree_table: Int[np.ndarray, "2 joints"]
    """Parents, and the joints' own numbers. The root's parent is 2**32 - 1, as in the published files."""
    f: UInt32[np.ndarray, "faces 3"]
    """Vertices of each triangle, anticlockwise as seen from outside."""
    dmpl_eigvec: Float[np.ndarray, "vertices 3 dmpls"]
    """Soft-tissue blend shapes, metres per unit; their meanings are :data:`.anatomy.WOBBLES`. SMPL-X has none."""

    def rest_joints(self, betas: Float[np.ndarray, " betas"]) -> Float[np.ndarray, "joints 3"]:
        """Joints of the person of this shape in T pose, metres."""
        joints: Float[np.ndarray, "joints 3"] = self.J_regressor @ (self.v_template + self.shapedirs @ betas)
        return joints


def make_body(gender: str) -> StandInBody:
    """Make the stand-in for SMPL+H's model of ``gender``, one of :data:`.body_models.GENDERS`.

    Raises:
        ValueError: for any other gender.
    """
    if gender not in GENDERS:
        raise ValueError(f"expected a gender of {', '.join(GENDERS)}; found {gender!r}")
    build, sculpture, fields = BUILDS[gender], sculpt(), _trait_fields()
    traits = np.array([build.traits.get(trait.name, 0.0) for trait in TRAITS])
    vertices = sculpture.vertices + fields.vertices @ traits
    metres = build.stature / float(np.ptp(vertices[:, 1]))
    v_template = metres * (vertices - _ORIGIN)
    joints = metres * (sculpture.joints + fields.joints @ traits - _ORIGIN)
    return StandInBody(
        v_template=v_template,
        shapedirs=metres * fields.vertices,
        posedirs=_pose_blend_shapes(sculpture, v_template, joints),
        J_regressor=_rest_joint_regressor(sculpture, v_template, joints),
        weights=sculpture.weights.copy(),
        kintree_table=np.array([[2**32 - 1, *SMPLH_PARENTS[1:]], range(len(SMPLH_JOINTS))], dtype=np.int64),
        f=sculpture.faces.astype(np.uint32),
        dmpl_eigvec=np.stack([bump_field(sculpture.vertices, bumps) for bumps in WOBBLES], axis=2),
    )


# --- Proportions: stretched bones and soft tissue ----------------------------------------------------------


@dataclass(frozen=True)
class _TraitFields:
    """What one standard deviation of each trait does to the sculpture, statures. The pelvis stays in place."""

    vertices: Float[np.ndarray, "vertices 3 traits"]
    """How vertices move."""
    joints: Float[np.ndarray, "joints 3 traits"]
    """How joint centres move."""


@cache
def _trait_fields() -> _TraitFields:
    sculpture = sculpt()
    fields = [_trait_field(sculpture, trait) for trait in TRAITS]
    vertices, joints = zip(*fields, strict=True)
    return _TraitFields(np.stack(vertices, axis=2), np.stack(joints, axis=2))


def _trait_field(
    sculpture: Sculpture, trait: Trait
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "joints 3"]]:
    growth = np.zeros((len(SMPLH_JOINTS), 3))
    for joints, fractions in trait.stretch.items():
        own = [SMPLH_JOINTS.index(joint) for joint in joints]
        growth[own + list(MIRROR_JOINTS[own])] = fractions
    vertices, joint_shifts = _stretch(sculpture, growth)
    return vertices + bump_field(sculpture.vertices, trait.bumps), joint_shifts


def _stretch(
    sculpture: Sculpture, growth: Float[np.ndarray, "joints 3"]
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "joints 3"]]:
    """Displacements when each bone stretches what it carries, from its joint, by fractions along x, y, z."""
    shifts = np.zeros_like(growth)
    for joint, parent in enumerate(SMPLH_PARENTS[1:], start=1):
        bone = sculpture.joints[joint] - sculpture.joints[parent]
        shifts[joint] = shifts[parent] + growth[parent] * bone
    fixed = shifts - growth * sculpture.joints
    blended = sculpture.weights @ np.hstack([fixed, growth])
    return blended[:, :3] + blended[:, 3:] * sculpture.vertices, shifts


def bump_field(vertices: Float[np.ndarray, "vertices 3"], bumps: tuple[Bump, ...]) -> Float[np.ndarray, "vertices 3"]:
    """The sum of bumps and of their mirror images."""
    field = np.zeros_like(vertices)
    for bump in bumps:
        centre, displacement = np.array(bump.centre), np.array(bump.displacement)
        sides = [(centre, displacement)]
        if centre[0] != 0:
            sides.append((centre * MIRROR, displacement * MIRROR))
        for place, push in sides:
            squared_distance = np.sum((vertices - place) ** 2, axis=1)
            field += np.exp(-squared_distance / (2 * bump.spread**2))[:, None] * push
    return field


# --- Joint regressors: rings of vertices -------------------------------------------------------------------


def _rest_joint_regressor(
    sculpture: Sculpture, vertices: Float[np.ndarray, "vertices 3"], joints: Float[np.ndarray, "joints 3"]
) -> Float[np.ndarray, "joints vertices"]:
    """``J_regressor``: rings are chosen on the sculpture, weights are fitted to the body."""
    regressor = np.zeros((len(joints), len(vertices)))
    for joint, name in enumerate(SMPLH_JOINTS):
        if not name.startswith("right_"):
            ring = ring_around(sculpture, sculpture.joints[joint], joint, sectors=12)
            row = barycentric(vertices[ring], joints[joint])
            regressor[joint, ring] = row
            regressor[MIRROR_JOINTS[joint], sculpture.mirror[ring]] = row
    return regressor


_H36M_PLACES: dict[str, tuple[Vector, str, int]] = {
    "pelvis": ((0.0, JOINTS["left_hip"][1], 0.0), "pelvis", 4),
    "spine": ((0.0, 0.690, -0.002), "spine2", 4),
    "neck": ((0.0, 0.815, -0.010), "neck", 4),
    "jaw": ((0.0, 0.905, 0.020), "head", 4),
    "head_top": ((0.0, 0.996, -0.004), "head", 4),
    "left_hip": (JOINTS["left_hip"], "left_hip", 4),
    **{
        f"left_{part}": (JOINTS[f"left_{part}"], f"left_{part}", 3)
        for part in ("knee", "ankle", "shoulder", "elbow", "wrist")
    },
}
"""Human3.6M's joints: the place (statures), the joint of SMPL+H that carries the skin around it, and into how many
sectors that skin is divided."""


def make_joint_regressor() -> Float[np.ndarray, "17 6890"]:
    """Make the stand-in for ``J_regressor_h36m.npy``: Human3.6M's joints from posed vertices.

    The rows are :data:`.skeletons.H36M17_SPIN_JOINTS`. Each has a few positive entries that sum to 1. One
    regressor serves all bodies, as their meshes have one topology.
    """
    sculpture = sculpt()
    regressor = np.zeros((len(H36M17_SPIN_JOINTS), NUM_VERTICES))
    for name, (place, carrier, sectors) in _H36M_PLACES.items():
        ring = ring_around(sculpture, np.array(place), SMPLH_JOINTS.index(carrier), sectors)
        row = barycentric(sculpture.vertices[ring], np.array(place))
        regressor[H36M17_SPIN_JOINTS.index(name), ring] = row
        other_side = H36M17_SPIN_JOINTS.index(name.replace("left_", "right_"))
        regressor[other_side, sculpture.mirror[ring]] = row
    return regressor


def ring_around(
    sculpture: Sculpture, place: Float[np.ndarray, " 3"], joint: int, sectors: int
) -> Int[np.ndarray, " ring"]:
    """Vertices around a place: two in each sector of directions about the bone, on either side along it.

    They follow ``joint`` or its parent, and are of the left half; around the middle, with their mirror images.
    """
    axis, second, third = _bone_frame(sculpture, joint)
    offsets = sculpture.vertices - place
    along, across = offsets @ axis, np.stack([offsets @ second, offsets @ third])
    turn = np.arctan2(across[1], across[0]) / (2 * np.pi)
    sector = np.floor(turn * sectors).astype(np.int64) % sectors
    # A vertex well out to the side is better than one near by but further along the limb.
    cost = along**2 + np.sum(across**2, axis=0) / 4

    follows = sculpture.weights[:, [joint, max(SMPLH_PARENTS[joint], 0)]].sum(axis=1) > 0
    candidates = np.flatnonzero(follows & (sculpture.vertices[:, 0] >= 0))
    by_cost = candidates[np.argsort(cost[candidates], kind="stable")]
    _, best = np.unique(2 * sector[by_cost] + (along[by_cost] > 0), return_index=True)
    ring = by_cost[best]
    return ring if place[0] else np.union1d(ring, sculpture.mirror[ring])


def _bone_frame(sculpture: Sculpture, joint: int) -> Float[np.ndarray, "3 3"]:
    """Three perpendicular unit vectors, the first along the limb at a joint; upright in the trunk."""
    joints = sculpture.joints
    axis = np.array([0.0, 1.0, 0.0])
    if joints[joint, 0]:
        child = SMPLH_PARENTS.index(joint) if joint in SMPLH_PARENTS else joint
        axis = joints[child] - joints[SMPLH_PARENTS[joint]]
        axis /= np.linalg.norm(axis)
    second = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    second /= np.linalg.norm(second)
    return np.stack([axis, second, np.cross(axis, second)])


def barycentric(points: Float[np.ndarray, "points 3"], target: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " points"]:
    """Non-negative weights, as equal as can be, that sum to 1 and average the points to the target.

    The target has to lie within the points' convex hull.
    """
    weights = np.zeros(len(points))
    active = np.arange(len(points))
    while True:
        constraints = np.vstack([np.ones(len(active)), (points[active] - target).T])
        equal = np.full(len(active), 1 / len(active))
        missing = np.array([1.0, 0.0, 0.0, 0.0]) - constraints @ equal
        solution = equal + np.linalg.pinv(constraints) @ missing
        if np.all(solution >= 0):
            weights[active] = solution
            return weights
        active = np.delete(active, solution.argmin())


# --- Blend shapes that depend on the pose ------------------------------------------------------------------

BODY_CREASE, _PHALANX_CREASE = 0.0013, 0.0005
"""Displacement per unit of a pose feature at the joint, metres; a right angle has 2 units."""

_FAR_REACH = 0.01
"""The share of a body joint's pose blend shapes that fades slowly: nowhere are they zero, the costly case to fold."""

_FINGER_REACH = 0.022
"""Where a finger joint's pose blend shapes end, metres from the joint."""

MIRROR_FEATURES = np.outer(MIRROR, MIRROR).ravel()
"""Mirroring turns R into M R M: the signs that it gives to the entries of ``vec(R - I)``."""


def _pose_blend_shapes(
    sculpture: Sculpture, vertices: Float[np.ndarray, "vertices 3"], joints: Float[np.ndarray, "joints 3"]
) -> Float[np.ndarray, "vertices 3 pose_features"]:
    """Bulges and creases near each joint: along the skin's normal, and as a whole."""
    blend_shapes = np.zeros((len(vertices), 3, len(joints) - 1, 9))
    normals = _vertex_normals(vertices, sculpture.faces)
    for joint, name in enumerate(SMPLH_JOINTS[1:], start=1):
        if name.startswith("right_"):
            continue
        reached, falloff = _falloff(np.linalg.norm(vertices - joints[joint], axis=1), joint)
        size = _PHALANX_CREASE if joint >= NUM_BODY_JOINTS else BODY_CREASE
        bulge, shift = crease(joint, size, in_the_middle=not name.startswith("left_"))
        field = falloff[:, None, None] * (normals[reached, :, None] * bulge + shift)
        blend_shapes[reached, :, joint - 1] = field
        if name.startswith("left_"):
            mirrored = field * MIRROR[:, None] * MIRROR_FEATURES
            blend_shapes[sculpture.mirror[reached], :, MIRROR_JOINTS[joint] - 1] = mirrored
    return blend_shapes.reshape(len(vertices), 3, -1)


def _falloff(
    distance: Float[np.ndarray, " vertices"], joint: int
) -> tuple[Int[np.ndarray, " reached"], Float[np.ndarray, " reached"]]:
    """Which vertices a joint's pose blend shapes reach, and how strongly: everywhere, or a finger only."""
    if joint >= NUM_BODY_JOINTS:
        reached = np.flatnonzero(distance < _FINGER_REACH)
        return reached, (1 - (distance[reached] / _FINGER_REACH) ** 2) ** 3
    # As wide as the limb is thick there.
    relative = distance / (2 * np.partition(distance, 20)[20])
    everywhere = np.arange(len(distance))
    return everywhere, (1 - _FAR_REACH) * np.exp(-(relative**2) / 2) + _FAR_REACH / (1 + relative**2)


def crease(seed: int, size: float, *, in_the_middle: bool) -> tuple[Float[np.ndarray, " 9"], Float[np.ndarray, "3 9"]]:
    """A joint's own reaction to the nine pose features: along the normal, and along x, y, z; metres."""
    random = np.random.default_rng(seed)
    bulge, shift = size * random.standard_normal(9), size * random.standard_normal((3, 9)) / 2
    if in_the_middle:
        # Only what is its own mirror image.
        bulge = (bulge + MIRROR_FEATURES * bulge) / 2
        shift = (shift + MIRROR[:, None] * shift * MIRROR_FEATURES) / 2
    return bulge, shift


def _vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals, outwards."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    doubled_areas = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for axis in range(3):
        normals[:, axis] = np.bincount(faces.ravel(), np.repeat(doubled_areas[:, axis], 3), minlength=len(vertices))
    unit_normals: Float[np.ndarray, "vertices 3"] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return unit_normals
