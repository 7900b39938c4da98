"""For VideoPose3D (Pavllo et al., CVPR 2019) and its descendants: ``data_3d_NAME.npz`` and ``data_2d_NAME_gt.npz``.

As its ``data/prepare_data_h36m.py`` writes them and its ``common/h36m_dataset.py`` and ``run.py`` load them
(https://github.com/facebookresearch/VideoPose3D/tree/main), 50 Hz, pickled::

    data_3d: positions_3d  {subject: {action: float32 (frames, 32, 3)}}              metres, in the world, z up
    data_2d: positions_2d  {subject: {action: [float32 (frames, 17, 2), ...]}}       pixels, one array per camera
             metadata      {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [left, right]}

and, which its loaders pass over, ``visibility`` (bool (frames, 17)) and ``cameras`` (names), both per camera like
``positions_2d``. Of the 32 joints, loaders drop 15, which have to be there:
:data:`amass_joints.skeletons.H36M32` says where they are put.

The loader takes a sequence's cameras from the name of its subject. So where the four cameras of one subject of
Human3.6M see a sequence, that subject is its name here. Otherwise no loader knows the cameras: subjects are called
``DATASET/SUBJECT``, or ``SPLIT/DATASET/SUBJECT``, and the cameras are in ``cameras_NAME.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amass_joints.camera_files import are_same, as_file
from amass_joints.cameras import Camera, View, h36m_cameras
from amass_joints.directories import check_new
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.export.pickled_tree import PickledTrees
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import H36M17, H36M32

METADATA: dict[str, Any] = {
    "layout_name": "h36m",
    "num_joints": len(H36M17.joints),
    "keypoints_symmetry": [sorted(H36M17.left), sorted(H36M17.right)],
}

TEST_SUBJECTS = {"S9", "S11"}
"""On which ``run.py`` tests, if it is told nothing else; it trains on the others."""


class VideoPose3D(Exporter):
    """Writes the 3D file, and with cameras the 2D file."""

    format = "videopose3d"
    skeleton = H36M17
    frame_rate = 50.0

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._positions: PickledTrees | None = None
        self._views: PickledTrees | None = None
        self._actions: dict[str, set[str]] = {}
        """By subject."""
        self._other_cameras: dict[tuple[str | None, str], Camera] = {}

    def _path(self, begins: str, ends: str) -> Path:
        return self.out_dir / f"{begins}_{self.options.name}{ends}"

    def check(self, sources: Sequence[Source]) -> None:
        """See that none of the files is there: it may be Human3.6M's own, or would be taken for a part of these."""
        for path in (self._path("data_3d", ".npz"), self._path("data_2d", "_gt.npz"), self._path("cameras", ".json")):
            check_new(path)

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion, and its views."""
        if self._positions is None:
            self._positions = PickledTrees(self._files, self._path("data_3d", ".npz"), "positions_3d")
        if self._views is None and views:
            members = ("positions_2d", "visibility", "cameras")
            self._views = PickledTrees(self._files, self._path("data_2d", "_gt.npz"), *members)
        subject, action = _names(motion, views, split)
        actions = self._actions.setdefault(subject, set())
        if action in actions:
            raise InputError(
                f"{motion}: two motions come out as {subject}, {action}: rename a file, or pass one of them."
            )
        actions.add(action)
        positions = motion.positions_3d[:, list(H36M32.rows_in(H36M17))]
        self._positions.put(subject, action, positions_3d=positions.astype(np.float32, copy=False))
        if self._views is not None:
            self._views.put(
                subject,
                action,
                positions_2d=[view.positions_2d for view in views],
                visibility=[view.visible for view in views],
                cameras=[str(view.camera) for view in views],
            )
        if subject not in h36m_cameras():
            self._other_cameras |= {(view.camera.subject, view.camera.id): view.camera for view in views}

    def end(self) -> None:
        """Write what belongs to all motions: the subjects that have none, the metadata, the cameras."""
        for trees, others in ((self._positions, {}), (self._views, {"metadata": METADATA})):
            if trees is not None:
                if self._is_human36m:  # run.py asks for all of its subjects, also for those that no sequence fell to
                    for subject in h36m_cameras():
                        trees.branch(subject)
                trees.end(**others)
        if self._other_cameras:
            self._files.file(self._path("cameras", ".json")).write(as_file(self._other_cameras.values()))

    @property
    def _is_human36m(self) -> bool:
        return self._actions.keys() <= h36m_cameras().keys()

    @property
    def notes(self) -> list[str]:
        """What is in the way of VideoPose3D's ``run.py``."""
        if not self._is_human36m:
            return ["VideoPose3D's own loader knows only the four cameras of a subject of Human3.6M: --cameras h36m"]
        notes = []
        if self.options.name != "h36m":
            notes.append("VideoPose3D's run.py loads data_3d_h36m.npz and no other name: --name h36m")
        if not self._actions.keys() & TEST_SUBJECTS:
            notes.append("VideoPose3D tests on S9 and S11, which no motion fell to: name some with --test or --split")
        if self._actions.keys() <= TEST_SUBJECTS:
            notes.append("VideoPose3D does not train on S9 and S11, which all motions fell to")
        return notes


def _names(motion: Motion, views: Sequence[View], split: Split | None) -> tuple[str, str]:
    """Say which subject and action a motion is, in VideoPose3D's terms."""
    human36m = _human36m_subject(views)
    if human36m is not None:
        # Its evaluation prints an error for each of what comes before the first space: here for each dataset.
        return human36m, f"{motion.dataset.replace(' ', '_')} {motion.subject}/{motion.name}"
    return "/".join(filter(None, (split, motion.dataset, motion.subject))), motion.name


def _human36m_subject(views: Sequence[View]) -> str | None:
    """Say whose cameras of Human3.6M these are, if they are all four of one of its subjects."""
    cameras = [view.camera for view in views]
    theirs = h36m_cameras().get(cameras[0].subject or "", ()) if cameras else ()
    is_so = len(cameras) == len(theirs) > 0 and all(map(are_same, cameras, theirs))
    return cameras[0].subject if is_so else None
