"""For mmpose's lifting on Human3.6M: ``annotation_body3d/``, with ``fps50/h36m_train.npz`` and ``cameras.pkl``.

As its ``tools/dataset_converters/preprocess_h36m.py`` writes them and its ``Human36mDataset`` loads them
(``mmpose/datasets/datasets/body3d/h36m_dataset.py`` in https://github.com/open-mmlab/mmpose), 50 Hz; a row is a frame
as one camera sees it:

=========== ======================== ===================================================================================
``imgname`` text (rows,)             ``S1/S1_ACTION.54138969/S1_ACTION.54138969_000001.jpg``; there are no such images
``center``  float32 (rows, 2)        pixels: the middle of the box around the joints that are visible
``scale``   float32 (rows,)          1.2 times the box's longer side, over 200
``part``    float32 (rows, 17, 3)    pixels, and 1 where the joint is visible, else 0
``S``       float32 (rows, 17, 4)    metres along the camera's axes, and 1
=========== ======================== ===================================================================================

``cameras.pkl``: ``{(subject, camera): {"R", "T", "c", "f", "k", "p", "w", "h", "name", "id"}}``, as ``SimpleCamera``
has them (``mmpose/core/camera/single_camera.py`` of its releases 0.x): ``R`` (3, 3) and ``T`` (3, 1, metres) are from
the camera to the world, and vectors are columns. Its ``p`` is that of Human3.6M's own files, where p1 and p2 stand the
other way round than in VideoPose3D. It doubles a term of theirs, as OpenCV does: what it makes of ``S`` is beside
``part`` by the other half of that term, less than a pixel in the image.

The loader takes apart the name of an image: subject up to the first ``_``, action up to the first ``.``, camera up to
the next ``_``. Where a camera has the name of a subject of Human3.6M, that is the subject here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import are_same
from amass_joints.cameras import Camera, View
from amass_joints.deflate import DeflatedArchive
from amass_joints.directories import check_new
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.export.outputs import Outputs
from amass_joints.export.pickled_tree import pickled_dict
from amass_joints.motions import Motion, Source
from amass_joints.npz_writing import CHUNK, npy_header
from amass_joints.skeletons import H36M17
from amass_joints.splits import PARTS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MARGIN = 1.2
"""How much larger than the joints' box a person's box is (``scale_factor``) ..."""

PIXELS = 200
"""... and the side that a box of scale 1 has."""

COLUMNS = {"center": (2,), "scale": (), "part": (17, 3), "S": (17, 4)}
"""The numbers of a row, and their shapes."""

BLOCK = 4096
"""Names of images that are made at a time."""


class MMPose(Exporter):
    """Writes an ``.npz`` for each part of the split, and the cameras."""

    format = "mmpose"
    skeleton = H36M17
    frame_rate = 50.0
    needs_cameras = True

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._parts: dict[Split, _Rows] = {}
        self._cameras: dict[tuple[str, str], Camera] = {}
        self._actions: dict[str, str] = {}
        """The motion of each."""

    def check(self, sources: Sequence[Source]) -> None:
        """See that no annotations are there: they may be Human3.6M's own, or of cameras that would be written over."""
        for path in (self._cameras_path, *map(self._part_path, PARTS)):
            check_new(path)

    @property
    def _cameras_path(self) -> Path:
        return self.out_dir / "annotation_body3d" / "cameras.pkl"

    def _part_path(self, part: Split) -> Path:
        return self.out_dir / "annotation_body3d" / "fps50" / f"h36m_{part}.npz"

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Keep the rows of a motion: all frames of the first camera, then those of the others."""
        part: Split = split or "train"
        if part not in self._parts:
            self._parts[part] = _Rows(self._files, self._part_path(part))
        action = self._action(motion)
        for view in views:
            subject, camera = self._camera(motion, view.camera)
            self._parts[part].add(f"{subject}_{action}.{camera}", view)

    def _action(self, motion: Motion) -> str:
        """Name a motion as no other one is. mmpose prints an error for each of what comes before the first ``_``."""
        name = f"{_safe(motion.dataset)}_{_safe(motion.subject)}_{_safe(motion.name, '_')}"
        return next(one for one in _numbered(name) if self._actions.setdefault(one, str(motion)) == str(motion))

    def _camera(self, motion: Motion, camera: Camera) -> tuple[str, str]:
        """Name subject and camera such that this is the only camera of that name."""
        subject = _safe(camera.subject or f"{motion.dataset}-{motion.subject}")
        names = ((subject, name) for name in _numbered(_safe(camera.id)))
        return next(one for one in names if are_same(self._cameras.setdefault(one, camera), camera))

    def end(self) -> None:
        """Write the annotations, whose number is known now, and the cameras."""
        for rows in self._parts.values():
            rows.end()
        if self._cameras:
            cameras = self._files.file(self._cameras_path)
            cameras.writelines(pickled_dict({key: camera_parameters(one) for key, one in self._cameras.items()}))

    @property
    def notes(self) -> list[str]:
        """What mmpose's configurations ask for and is not there."""
        lacking = [f"h36m_{part}.npz" for part in ("train", "test") if part not in self._parts]
        also = "mmpose's configurations also name"
        return [f"{also} {' and '.join(lacking)}: --train, --test or --split"] if lacking else []


def camera_parameters(camera: Camera) -> dict[str, Any]:
    """Give a camera as mmpose's ``SimpleCamera`` takes it."""
    p1, p2 = camera.tangential_distortion
    return {
        "R": camera.rotation.T,
        "T": camera.position[:, None],
        "c": camera.center[:, None],
        "f": camera.focal_length[:, None],
        "k": camera.radial_distortion[:, None],
        # SimpleCamera adds p[1] r2 to x and p[0] r2 to y; which of the two we do is the lens's model.
        "p": np.array([[p2], [p1]] if camera.model == "h36m" else [[p1], [p2]]),
        "w": camera.width,
        "h": camera.height,
        "name": camera.id,
        "id": camera.id,
    }


class _Rows:
    """The annotations of one part. How many there are is known in the end: until then columns wait, each in a file."""

    def __init__(self, files: Outputs, path: Path) -> None:
        self._archive = DeflatedArchive(files.file(path))
        self._columns = {name: files.spool(path.parent) for name in COLUMNS}
        self._videos: list[tuple[str, int]] = []

    def add(self, video: str, view: View) -> None:
        """Keep a row for each frame of a video, ``SUBJECT_ACTION.CAMERA``."""
        self._videos.append((f"{video.partition('_')[0]}/{video}/{video}", len(view.visible)))
        center, scale = _box(view)
        columns = {"center": center, "scale": scale, "part": _with(view.visible, view.positions_2d)}
        columns["S"] = _with(np.ones_like(view.visible), view.positions_camera)
        for name, values in columns.items():
            self._columns[name].write(np.ascontiguousarray(values, "<f4").data)

    def end(self) -> None:
        """Complete the file."""
        rows = sum(frames for _, frames in self._videos)
        longest = max(len(_image(video, frames)) for video, frames in self._videos)
        self._begin("imgname", f"<U{longest}", (rows,))
        for video, frames in self._videos:
            for start in range(1, frames + 1, BLOCK):
                names = [_image(video, frame) for frame in range(start, min(start + BLOCK, frames + 1))]
                self._archive.write(np.array(names, f"<U{longest}").view(np.uint8).data)
        self._archive.end()
        for name, file in self._columns.items():
            self._begin(name, "<f4", (rows, *COLUMNS[name]))
            file.seek(0)
            while block := file.read(CHUNK):
                self._archive.write(block)
            self._archive.end()
        self._archive.close()

    def _begin(self, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        self._archive.begin(f"{name}.npy")
        self._archive.write(npy_header({"descr": dtype, "fortran_order": False, "shape": shape}))


def _image(video: str, frame: int) -> str:
    return f"{video}_{frame:06}.jpg"


def _with(last: Bool[np.ndarray, "*axes"], values: Float[np.ndarray, "*axes numbers"]) -> Float[np.ndarray, "*axes _"]:
    return np.concatenate([values, last[..., None]], axis=-1, dtype=np.float32)


def _box(view: View) -> tuple[Float[np.ndarray, "frames 2"], Float[np.ndarray, " frames"]]:
    """Give centre and scale of the box around what is visible of the person; 0 where nothing is."""
    # Joints first: so the smallest is found for all frames at a time.
    points = np.ascontiguousarray(np.moveaxis(view.positions_2d, 1, 0))
    visible = np.moveaxis(view.visible, 1, 0)[..., None]
    lower = np.where(visible, points, np.float32(np.inf)).min(axis=0)
    upper = np.where(visible, points, np.float32(-np.inf)).max(axis=0)
    nothing = ~view.visible.any(axis=1)
    lower[nothing] = upper[nothing] = 0
    return (lower + upper) / 2, MARGIN * (upper - lower).max(axis=1) / PIXELS


def _safe(name: str, kept: str = "") -> str:
    """Make a name of letters, digits and hyphens, and of what else is kept: others have a meaning in image names."""
    return "".join(c if c.isalnum() or c in kept else "-" for c in name)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))
