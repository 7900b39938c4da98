"""Viewpoints: which cameras see a motion, and from where.

Stages::

    viewpoints("h36m", turn=True, seed=1)   -> Viewpoints     what --cameras and its options say
    Viewpoints.see(motion, split)           -> Motion, Views  the motion where it was filmed, and what the cameras see
    Visibility.of(motion, views)            -> Visibility     how much of it the images show; for the report

What is drawn for a motion depends on the seed and the motion's name, and on nothing else.
"""

from __future__ import annotations

import heapq
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import load_cameras
from amass_joints.cameras import Camera, View, h36m_cameras
from amass_joints.choices import ROOT
from amass_joints.errors import InputError
from amass_joints.motions import Motion
from amass_joints.splits import Split

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_DRAWS = 100
"""How often cameras and angles are drawn for one motion, until they show all of it."""

TRAINING_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
"""Of Human3.6M, in its usual protocol 1."""

TEST_SUBJECTS = ("S9", "S11")
"""Of Human3.6M, in its usual protocol 1."""

_PARTS = (slice(0, None, 16), slice(8, None, 16), slice(4, None, 8), slice(2, None, 4), slice(1, None, 2))
"""Of the frames of a motion: together they are all, once; the first few tell most of what can be told."""


@dataclass(frozen=True, eq=False)
class CameraSet:
    """Cameras of one room."""

    cameras: tuple[Camera, ...]
    place: Float[np.ndarray, "2"] | None
    """Where people are put: x, y, metres; None: nowhere, they stay where they are."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Where a motion is seen from."""

    cameras: tuple[Camera, ...]
    place: Float[np.ndarray, "2"] | None
    angle: float | None
    """By which it is turned, radians, seen from above anticlockwise; None: it is not."""

    def arranged(
        self, positions: Float[np.ndarray, "frames joints 3"], middle: Float[np.ndarray, "2"]
    ) -> Float[np.ndarray, "frames joints 3"]:
        """Move and turn positions, in their own dtype; ``middle`` is the place that they are moved from."""
        if self.place is None and self.angle is None:
            return positions
        x, y, z = np.moveaxis(positions, -1, 0)
        x, y = x.astype(np.float64) - middle[0], y.astype(np.float64) - middle[1]
        arranged = np.empty((3, *z.shape), positions.dtype)
        to_x, to_y = middle if self.place is None else self.place
        cos, sin = (1.0, 0.0) if self.angle is None else (math.cos(self.angle), math.sin(self.angle))
        arranged[0] = cos * x - sin * y + to_x
        arranged[1] = sin * x + cos * y + to_y
        arranged[2] = z
        return np.moveaxis(arranged, 0, -1)

    def hidden(self, positions: Float[np.ndarray, "frames joints 3"], middle: Float[np.ndarray, "2"]) -> int:
        """Count what the images do not show: joints, in each frame, of each camera."""
        arranged = self.arranged(positions, middle)
        return sum(int(np.count_nonzero(~camera.sees(arranged))) for camera in self.cameras)


@dataclass(frozen=True, eq=False)
class Viewpoints:
    """How motions are seen: which cameras, and where the person is. :func:`viewpoints` makes it."""

    name: str
    """As people say it: ``S1``, ``h36m``, ``random:4``, or a file."""
    training: tuple[CameraSet, ...]
    """One of them sees a motion, drawn if there are more."""
    testing: tuple[CameraSet, ...]
    """The same for motions that are used for validation or test."""
    num_drawn: int | None
    """How many cameras of the set see it, drawn; None: all, in their order."""
    turn: bool
    """Whether motions are turned about the vertical through the middle of the root's path, by a random angle."""
    reject: bool
    """Whether what does not show all of the person is drawn again."""
    seed: int

    def see(self, motion: Motion, split: Split | None) -> tuple[Motion, tuple[View, ...]]:
        """Place a motion where it is seen, and give what each camera sees.

        Args:
            motion: in metres, z up, in the world.
            split: what it is used for.

        Returns:
            The motion as the cameras see it, in its dtype, and one view for each camera.

        Raises:
            InputError: the motion is in other units or axes, or is not finite.
        """
        choices = motion.metadata.choices
        if not choices.in_the_world:
            raise InputError(f"{motion}: cameras see motions in metres, z up, in the world; this one has: {choices}.")
        if not np.isfinite(motion.positions_3d).all():
            raise InputError(f"{motion}: it has positions that are not finite numbers; convert it again.")
        middle = _middle(motion)
        # One axis after the other in memory: so the arithmetic runs through each.
        positions = np.moveaxis(np.ascontiguousarray(np.moveaxis(motion.positions_3d, -1, 0)), 0, -1)
        draws = islice(self._draws(str(motion), split), MOST_DRAWS)
        drawn = _first_that_shows_most(draws, positions, middle) if self.reject else next(draws)
        arranged = drawn.arranged(positions, middle)
        if arranged is not positions:
            motion = replace(motion, positions_3d=np.ascontiguousarray(arranged))
        return motion, tuple(camera.look(arranged) for camera in drawn.cameras)

    def as_json(self) -> dict[str, Any]:
        """Give what was chosen, for reports and for what files say of themselves."""
        sets = self.training + self.testing
        place = any(one.place is not None for one in sets)
        chosen = {"cameras": self.name, "place": place, "turn": self.turn, "reject": self.reject}
        return {**chosen, "seed": self.seed}

    def _draws(self, name: str, split: Split | None) -> Iterator[_Drawn]:
        rng = np.random.default_rng((self.seed, zlib.crc32(name.encode("utf-8", "surrogatepass"))))
        sets = self.training if split in (None, "train") else self.testing
        while True:
            one = sets[rng.integers(len(sets))]
            cameras = one.cameras
            if self.num_drawn is not None:
                rows = rng.choice(len(cameras), self.num_drawn, replace=False, shuffle=False)
                cameras = tuple(cameras[row] for row in sorted(rows))
            yield _Drawn(cameras, one.place, rng.uniform(0, 2 * math.pi) if self.turn else None)


def viewpoints(
    cameras: str, *, place: bool = False, turn: bool = False, reject: bool = False, seed: int = 0
) -> Viewpoints:
    """Understand what people say of cameras.

    Args:
        cameras: one of

            * ``S1``, ``S5`` to ``S9`` or ``S11``: the four cameras of this subject of Human3.6M,
            * ``h36m``: for each motion the four of a subject, drawn: of S9 and S11 for validation and test, of the
              others for what is used for training, or if nobody said for what,
            * ``random`` or ``random:K``: for each motion 4 or K, drawn of all 28 of these,
            * the name of a file (:mod:`.camera_files`): those in it.
        place: whether each motion is moved horizontally, so that the middle of its root's path is where the axes of the
            cameras meet, as nearly as they do: that is where Human3.6M's people are.
        turn: whether each motion is turned about the vertical through the middle of its root's path, by an angle that
            is drawn.
        reject: whether it is drawn again, up to 100 times, where not every joint of each frame is in the image of each
            camera. If none shows all, the one that shows most is taken.
        seed: what is drawn depends on it, and on the motion's name.

    Raises:
        InputError: there are no such cameras, or they meet nowhere, or there is nothing that could be drawn again.
    """
    if seed < 0:
        raise InputError(f"the seed is {seed}, expected 0 or more.")
    of_subject, num_drawn = h36m_cameras(), None
    everyone = tuple(camera for subject in of_subject.values() for camera in subject)
    training: list[tuple[Camera, ...]] = []
    testing: list[tuple[Camera, ...]] = []
    if cameras in of_subject:
        training = testing = [of_subject[cameras]]
    elif cameras == "h36m":
        training = [of_subject[subject] for subject in TRAINING_SUBJECTS]
        testing = [of_subject[subject] for subject in TEST_SUBJECTS]
    elif re.fullmatch(r"random(:.*)?", cameras, re.DOTALL):
        training = testing = [everyone]
        num_drawn = _how_many(cameras, len(everyone))
    elif cameras.lower().endswith(".json"):
        training = testing = [load_cameras(cameras)]
    else:
        raise InputError(
            f"there are no cameras '{cameras}', expected {', '.join(of_subject)} (a subject of Human3.6M), h36m, "
            "random, random:K, or a file that ends in .json."
        )
    if reject and not turn and len(training) == 1 and num_drawn in (None, len(training[0])):
        raise InputError(
            f"--reject with --cameras {cameras}: each motion is seen from the same place, so there is nothing to draw "
            "again. Leave --reject out, or turn motions with --turn, or draw cameras with h36m or random."
        )

    def sets(each: list[tuple[Camera, ...]]) -> tuple[CameraSet, ...]:
        return tuple(CameraSet(some, _meeting_point(some, cameras) if place else None) for some in each)

    return Viewpoints(cameras, sets(training), sets(testing), num_drawn, turn, reject, seed)


def _how_many(cameras: str, all_of_them: int) -> int:
    _, colon, number = cameras.partition(":")
    if not colon:
        return 4
    if not re.fullmatch("[0-9]{1,4}", number) or not 1 <= int(number) <= all_of_them:
        raise InputError(f"cameras '{cameras}': expected random:K with K of 1 to {all_of_them}, such as random:4.")
    return int(number)


def _meeting_point(cameras: Sequence[Camera], name: str) -> Float[np.ndarray, "2"]:
    """Give x and y of the point that has the least sum of squared distances from the optical axes, metres.

    Raises:
        InputError: the axes are parallel, so that there is none, or it is not in front of the cameras.
    """
    axes = np.array([camera.rotation[2] for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # takes what is along the axis from a vector
    normal = across.sum(axis=0)
    if np.linalg.eigvalsh(normal)[0] < 1e-3 * len(cameras):
        raise InputError(
            f"--place with --cameras {name}: {'it looks' if len(cameras) == 1 else 'they look'} along one line, so "
            "there is no place where the axes meet. Leave --place out, or give cameras that look from several sides."
        )
    positions = np.array([camera.position for camera in cameras])
    point = np.linalg.solve(normal, (across @ positions[:, :, None]).sum(axis=0)[:, 0])
    for camera in cameras:
        if camera.to_camera(point)[2] <= 0:
            raise InputError(
                f"--place with --cameras {name}: the axes meet behind the camera {camera}, where it sees nobody. Leave "
                "--place out, or look whether R and t are those of X_camera = R X_world + t."
            )
    place: np.ndarray = point[:2]
    return place


def _middle(motion: Motion) -> Float[np.ndarray, "2"]:
    """Give the middle of the box around the root's path: x, y, metres. Where no joint is the root, their mean is."""
    positions, skeleton = motion.positions_3d[..., :2].astype(np.float64), motion.metadata.skeleton
    if not positions.size:
        return np.zeros(2)
    has_root = skeleton is not None and ROOT in skeleton.joints
    path = positions[:, skeleton.joints.index(ROOT)] if skeleton and has_root else positions.mean(axis=1)
    middle: np.ndarray = (path.min(axis=0) + path.max(axis=0)) / 2
    return middle


def _first_that_shows_most(
    draws: Iterator[_Drawn], positions: Float[np.ndarray, "frames joints 3"], middle: Float[np.ndarray, "2"]
) -> _Drawn:
    """Give the first draw that shows everything, or else the first of those that show most.

    Always the draw that is known to hide least is looked at further, part by part; so most are left after a few frames.
    What comes next is drawn only when the last one is known to hide something.
    """
    drawn = [next(draws)]
    best = [(0, 0, 0)]  # what it hides in the parts that were looked at; its number; how many parts these are
    while True:
        hides, number, parts = heapq.heappop(best)
        if parts == len(_PARTS):
            return drawn[number]
        hides += drawn[number].hidden(positions[_PARTS[parts]], middle)
        heapq.heappush(best, (hides, number, parts + 1))
        if hides and number == len(drawn) - 1:
            for another in islice(draws, 1):
                heapq.heappush(best, (0, len(drawn), 0))
                drawn.append(another)


@dataclass(frozen=True)
class Visibility:
    """How much of motions the images show. Those of several motions add up."""

    joints: int = 0
    """How many there are, in all frames, for all cameras."""
    visible: int = 0
    """How many of them the images show."""
    motions: int = 0
    never_whole: tuple[str, ...] = ()
    """Motions of which no image of any camera shows the whole person, by name."""

    @staticmethod
    def of(motion: Motion, views: Sequence[View]) -> Visibility:
        """Count it for one motion."""
        joints = sum(view.visible.size for view in views)
        visible = sum(int(np.count_nonzero(view.visible)) for view in views)
        is_whole = visible == joints or any(view.visible.all(axis=1).any() for view in views)
        return Visibility(joints, visible, 1, () if is_whole else (str(motion),))

    def __add__(self, other: Visibility) -> Visibility:
        return Visibility(
            self.joints + other.joints,
            self.visible + other.visible,
            self.motions + other.motions,
            self.never_whole + other.never_whole,
        )

    @property
    def hidden(self) -> float:
        """Which part of the joints no image shows, 0 to 1."""
        return 1 - self.visible / self.joints if self.joints else 0.0

    def __str__(self) -> str:
        """Say it on a line."""
        text = f"{self.hidden:.2%} of the joints are outside the images"
        if self.never_whole:
            text += f"; {len(self.never_whole)} of {self.motions} motions are never wholly inside one"
        return text
