"""Converted motions in a training loop: a PyTorch dataset of windows, in 3D and as cameras see them.

An item comes about in these steps, each of which is done to the window's frames alone::

    Windows.positions    from the file: at the frame rate, in the order of joints
    Viewpoints.see       placed and turned, and seen by one camera
    flipped, root-relative

What is drawn for an item (the camera, whether it is flipped) depends on the seed, the epoch and the item's number, and
on nothing else: neither on workers nor on the order in which items are asked for.

Needs PyTorch: ``pip install 'amass-joints[torch]'``.
"""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset

from amass_joints.amass import with_canonical_name
from amass_joints.cameras import Camera, View
from amass_joints.choices import ROOT
from amass_joints.errors import InputError
from amass_joints.finding import as_globs, is_wanted
from amass_joints.joint_names import check_joint_names
from amass_joints.motions import Motion, find_sources
from amass_joints.random_access import Entry, MotionFile
from amass_joints.sequences import FRAME_RATES
from amass_joints.skeletons import Skeleton, skeleton_named
from amass_joints.splits import PARTS, Split, find_splits
from amass_joints.views import CameraSet, Viewpoints, viewpoints
from amass_joints.windows import Windows

if TYPE_CHECKING:
    from jaxtyping import Float

Paths: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"


class PoseSequences(Dataset[dict[str, Any]]):
    """Windows of so many frames, from what ``amass-joints convert`` wrote.

    ::

        windows = amass_joints.PoseSequences("joints", length=243, stride=81, rate=50, cameras="h36m", place=True)
        for batch in torch.utils.data.DataLoader(windows, batch_size=64, shuffle=True, num_workers=2):
            error = model(batch["positions_2d"]) - batch["positions_3d"]  # (64, 243, 17, 2), (64, 243, 17, 3)

    An item is a dict:

    ================  ==================================================================================================
    ``positions_3d``  (length, joints, 3) float32, metres: along the camera's axes (x right, y down, z forward), or in
                      the world (z up)
    ``positions_2d``  with cameras: (length, joints, 2) float32, normalised or pixels; 0, 0 where a joint has no pixel,
                      because it is behind the camera, say
    ``visible``       with cameras: (length, joints) bool: whether the image shows it (:class:`.View`)
    ``camera``        with cameras: the camera's name
    ``mask``          with ``pad``: (length,) bool: whether it is a frame of the motion, and not its last one repeated
    ``frame_rate``    Hz
    ``dataset``       and ``subject`` and ``sequence``: which motion it is from
    ``start``         which of the motion's frames, at this frame rate, is its first
    ================  ==================================================================================================

    Files of ``npz-stored`` are mapped into memory; of other formats, all positions are in memory
    (:mod:`amass_joints.random_access`). Before each epoch, call :meth:`set_epoch`: or the same is drawn again.

    Args:
        paths: files that ``amass-joints convert`` wrote, or directories of such.
        length: frames of a window.
        stride: frames from the start of a window to that of the next in the same motion.
        rate: Hz; motions at other rates are interpolated, as ``convert --rate`` does it. None: each at its own.
        skeleton: what the joints are where a file does not say; a name, or a :class:`.Skeleton`. By where they lie, it
            is checked that they can be.
        order: the skeleton in whose order joints are wanted; None: as they are.
        only: globs on ``dataset/subject/sequence``; other motions are left out.
        splits: ``uplift``, ``humor``, a file, or globs (:func:`amass_joints.splits.find_splits`); motions that are not
            in ``split`` are left out.
        split: ``train``, ``validation`` or ``test``; with the cameras ``h36m``, it also says of which subjects.
        cameras: ``S1``, ``h36m``, ``random`` or a file (:func:`amass_joints.views.viewpoints`), or a
            :class:`.Viewpoints`, or some of :class:`.Camera`. Each item is seen by one of them, which is drawn.
        place: whether each window's person is moved to where the cameras look, as in ``viewpoints``.
        turn: whether each window is turned about the vertical by an angle that is drawn, as in ``viewpoints``.
        reject: whether what does not show the whole person is drawn again, as in ``viewpoints``.
        space: whether ``positions_3d`` are in the ``world`` or along the axes of the ``camera``. None: the camera's,
            where there is one.
        normalized: whether ``positions_2d`` are as VideoPose3D normalises them, the image's width being -1 to 1; if
            not, they are pixels.
        root_relative: whether ``positions_3d`` are relative to each frame's pelvis.
        flip: the probability that left and right are exchanged. Each joint then has the place of that on the other
            side, mirrored: along the camera's axes and in normalised coordinates x becomes -x, in pixels width - x, as
            VideoPose3D and MotionBERT flip. That is what the camera sees in a mirror if its optical axis is in the
            middle of the image and its lens symmetric; Human3.6M's nearly are. In the world (without cameras, or with
            ``space="world"``) x becomes -x, before the camera sees it: mirrored is across the plane x = 0.
        pad: ``edge``: where a motion's last window is not whole, it is filled with the last frame. None: there is none,
            and motions that are shorter than a window are left out (:attr:`left_out`).
        seed: of what is drawn.

    Raises:
        InputError: something of this makes no sense, or files do not have what it takes, or there is no window.
    """

    def __init__(
        self,
        paths: Paths,
        length: int,
        stride: int,
        *,
        rate: float | None = None,
        skeleton: str | Skeleton | None = None,
        order: str | Skeleton | None = None,
        only: str | Iterable[str] = (),
        splits: str | os.PathLike[str] | Mapping[str, Sequence[str]] | None = None,
        split: Split | None = None,
        cameras: str | Viewpoints | Iterable[Camera] | None = None,
        place: bool = False,
        turn: bool = False,
        reject: bool = False,
        space: Literal["camera", "world"] | None = None,
        normalized: bool = True,
        root_relative: bool = False,
        flip: float = 0.0,
        pad: Literal["edge"] | None = None,
        seed: int = 0,
    ) -> None:
        _check(length, stride, rate, splits, split, cameras, space, flip, pad, seed)
        rate = None if rate is None else float(rate)
        self._split, self._normalized, self._flip, self._pad, self._seed = split, normalized, flip, pad == "edge", seed
        self._viewpoints = _seen_by_one(cameras, place, turn, reject, seed)
        self._in_camera = cameras is not None and space != "world"
        listed = [paths] if isinstance(paths, (str, os.PathLike)) else paths
        sources = find_sources(listed, _skeleton(skeleton))
        for source in sources:
            check_joint_names(source, None)
        files = [MotionFile(source) for source in sources]
        wanted = _wanted(files, only, splits, split)
        self.windows = Windows(
            [file for file in files if not wanted.isdisjoint(file.entries)],
            length,
            stride,
            rate=rate,
            order=_skeleton(order),
            is_wanted=wanted.__contains__,
            pad=self._pad,
        )
        """The windows, before anything is seen or flipped."""
        self._root = self._row_of_root() if root_relative else None
        self._check_metadata()
        # In memory that workers share, also those that live on from epoch to epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def skeleton(self) -> Skeleton | None:
        """What the joints are; None: it is not known."""
        return self.windows.metadata.skeleton

    @property
    def left_out(self) -> int:
        """How many motions are shorter than a window, and have none."""
        return self.windows.left_out

    def set_epoch(self, epoch: int) -> None:
        """Have other cameras and flips drawn, by workers too. Call it before a loader is gone through."""
        self._epoch.fill_(operator.index(epoch))

    def __len__(self) -> int:
        """Say how many windows there are."""
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Give a window; see the class."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        index %= len(self)
        motion, start = self.windows.find(index)
        flipped = self._flip > 0 and self._draw_flip(index)
        positions = self.windows.positions(motion, start, mirrored=flipped)
        item: dict[str, Any] = {}
        if flipped and not self._in_camera:
            positions[..., 0] *= -1
        if self._viewpoints is not None:
            placed, view = self._see(self._viewpoints, index, motion.entry, positions, motion.frame_rate)
            positions = view.positions_camera if self._in_camera else placed
            if flipped and self._in_camera:
                positions[..., 0] *= -1
            positions_2d = _in_image(view, self._normalized, flipped and self._in_camera)
            item["positions_2d"] = torch.from_numpy(positions_2d)
            item["visible"] = torch.from_numpy(view.visible)
            item["camera"] = str(view.camera)
        if self._root is not None:
            positions -= positions[:, self._root : self._root + 1]
        item["positions_3d"] = torch.from_numpy(positions)
        if self._pad:
            item["mask"] = torch.arange(start, start + self.windows.length) < motion.frames
        entry = motion.entry
        item.update(
            frame_rate=motion.frame_rate,
            dataset=entry.dataset,
            subject=entry.subject,
            sequence=entry.name,
            start=start,
        )
        return item

    def _draw_flip(self, index: int) -> bool:
        """Draw whether an item is flipped: much sooner than NumPy has made a generator."""
        digest = hashlib.blake2b(f"{self._seed} {int(self._epoch)} {index}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self._flip * 2**64

    def _see(
        self,
        viewpoints: Viewpoints,
        index: int,
        entry: Entry,
        positions: Float[np.ndarray, "frames joints 3"],
        frame_rate: float,
    ) -> tuple[Float[np.ndarray, "frames joints 3"], View]:
        """Place a window where it is seen, and see it."""
        # What is drawn for a motion depends on its name: so a window in an epoch has one of its own.
        name = f"{entry.name}, window {index} in epoch {int(self._epoch)}"
        motion = Motion(entry.dataset, entry.subject, name, positions, frame_rate, self.windows.metadata)
        motion, (view,) = viewpoints.see(motion, self._split)
        return motion.positions_3d, view

    def _row_of_root(self) -> int:
        if self.skeleton is None or ROOT not in self.skeleton.joints:
            joints = self.skeleton.name if self.skeleton else "unknown: name them with skeleton=..."
            raise InputError(f"root_relative: it needs a {ROOT}; the joints are {joints}.")
        return self.skeleton.joints.index(ROOT)

    def _check_metadata(self) -> None:
        """See that what is to be done to motions can be done to these."""
        choices = self.windows.metadata.choices
        if self._flip and self.skeleton is None:
            raise InputError(
                f"flip: the files do not say which of the {self.windows.joints} joints are left and right: name them "
                "with skeleton=..."
            )
        if self._viewpoints and not choices.in_the_world:
            raise InputError(
                f"cameras: they see motions in metres, z up, in the world; the files have: {choices}. Convert without "
                "these."
            )


def _check(
    length: int,
    stride: int,
    rate: float | None,
    splits: object,
    split: str | None,
    cameras: object,
    space: str | None,
    flip: float,
    pad: str | None,
    seed: int,
) -> None:
    """Refuse arguments that make no sense, whatever the files are."""
    for name, number, least in (("length", length, 1), ("stride", stride, 1), ("seed", seed, 0)):
        if not isinstance(number, (int, np.integer)) or number < least:
            raise InputError(f"{name}: found {number!r:.40}, expected a whole number, {least} or more.")
    lowest, highest = FRAME_RATES
    if rate is not None and not (isinstance(rate, (int, float, np.number)) and lowest <= rate <= highest):
        raise InputError(
            f"rate: found {rate!s:.40} Hz, expected {lowest:g} to {highest:g}, or None for each motion's own."
        )
    if not 0 <= flip <= 1:
        raise InputError(f"flip: found {flip}, expected a probability, 0 to 1.")
    if split not in (None, *PARTS):
        raise InputError(f"split: found {split!r:.40}, expected one of {', '.join(PARTS)}.")
    if splits is not None and split is None:
        raise InputError(f"splits: which one is wanted? Pass split, one of {', '.join(PARTS)}.")
    if split is not None and splits is None and cameras is None:
        raise InputError(f"split: {split} of which splits? Pass splits, such as 'uplift'.")
    if space not in (None, "world", "camera"):
        raise InputError(f"space: found {space!r:.40}, expected 'world' or 'camera'.")
    if space == "camera" and cameras is None:
        raise InputError("space: 'camera' needs cameras, such as cameras='h36m'.")
    if pad not in (None, "edge"):
        raise InputError(f"pad: found {pad!r:.40}, expected 'edge' or None.")


def _skeleton(skeleton: str | Skeleton | None) -> Skeleton | None:
    return skeleton_named(skeleton) if isinstance(skeleton, str) else skeleton


def _seen_by_one(
    cameras: str | Viewpoints | Iterable[Camera] | None, place: bool, turn: bool, reject: bool, seed: int
) -> Viewpoints | None:
    """Give viewpoints of which each window is seen from one."""
    if not isinstance(cameras, str) and (place or turn or reject):
        raise InputError(
            "place, turn and reject are for cameras that are named, such as cameras='h36m'; others: "
            "cameras=amass_joints.views.viewpoints(...)."
        )
    if cameras is None:
        return None
    if isinstance(cameras, str):
        cameras = replace(viewpoints(cameras, place=place, turn=turn), reject=reject)
    if not isinstance(cameras, Viewpoints):
        listed = tuple(cameras) if isinstance(cameras, Iterable) else (cameras,)
        if not listed or not all(isinstance(camera, Camera) for camera in listed):
            raise InputError(f"cameras: found {cameras!r:.80}, expected a name such as 'h36m', or a list of Camera.")
        rooms = (CameraSet(listed, None),)
        cameras = Viewpoints("cameras", rooms, rooms, 1, turn=False, reject=False, seed=seed)
    one_camera = sum(len(room.cameras) for room in cameras.training + cameras.testing) == 2
    if cameras.reject and not cameras.turn and one_camera:
        raise InputError("reject: there is one camera, and nothing is turned, so there is nothing to draw again.")
    return replace(cameras, num_drawn=1, seed=seed)


def _wanted(
    files: Sequence[MotionFile],
    only: str | Iterable[str],
    splits: str | os.PathLike[str] | Mapping[str, Sequence[str]] | None,
    split: Split | None,
) -> set[Entry]:
    """Choose motions.

    Raises:
        InputError: there is none, or the splits make no sense.
    """
    globs, found = as_globs(only), None if splits is None else find_splits(splits)
    everything = [entry for file in files for entry in file.entries]
    wanted = set()
    for entry in everything:
        name = with_canonical_name(str(entry))
        if is_wanted(name, globs) and (found is None or found.of(name) == split):
            wanted.add(entry)
    if not wanted:
        chosen = [f"only {' '.join(globs)}"] if globs else []
        chosen += [f"{split} of splits"] if found else []
        example = f"; they are named like '{everything[0]}'" if everything else ""
        raise InputError(f"{', '.join(chosen) or 'paths'}: none of {len(everything)} motions is wanted{example}.")
    return wanted


def _in_image(view: View, normalized: bool, flipped: bool) -> Float[np.ndarray, "frames joints 2"]:
    """Give where in the image joints are; 0, 0 where they have no pixel."""
    pixels, width = view.positions_2d, view.camera.width
    places = view.camera.normalized(pixels) if normalized else pixels.copy()
    if flipped:
        np.subtract(0 if normalized else width, places[..., 0], out=places[..., 0])
    if not view.visible.all():
        places[~(view.visible | pixels.any(axis=-1))] = 0
    return places
