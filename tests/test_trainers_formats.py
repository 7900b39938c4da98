"""What trainers load of our files is what is in them: each format, read as its trainer's own code says it does.

The readers here are written from those programs' rules, not from ours; numbers of joints are theirs.
"""

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amass_joints.datasets import save
from amass_joints.export import export
from amass_joints.export.exporter import ExportOptions
from amass_joints.metadata import Metadata
from amass_joints.skeletons import H36M17_SPIN
from amass_joints.splits import find_splits
from amass_joints.views import Viewpoints, viewpoints
from tests.standing import LEFT_ARM, person, save_motions

LENGTHS = {
    "CMU/01/01_01_poses": 60,
    "CMU/01/01_02_poses": 7,
    "CMU/02/02_01_poses": 33,
    "SFU/0005/a b.c_stageii": 41,
    "SFU/0007/x_poses": 25,
}
"""Motions, and their frames; the first has seed 0, and so on."""

# Human3.6M's joints by their numbers in VideoPose3D's order, which is also MotionBERT's and mmpose's.
H36M_NAMES = (
    *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("spine", "neck", "jaw", "head_top"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
)
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]

CAMERAS = json.loads(
    (Path(__file__).parents[1] / "src" / "amass_joints" / "h36m_cameras.json").read_text(encoding="utf-8")
)


def in_h36m_order(motion: np.ndarray) -> np.ndarray:
    return np.stack([motion[:, H36M17_SPIN.joints.index(name)] for name in H36M_NAMES], axis=1)


def original(name: str) -> np.ndarray:
    """Give a motion in VideoPose3D's order of joints."""
    return in_h36m_order(person(LENGTHS[name], seed=list(LENGTHS).index(name)))


@pytest.fixture(scope="module")
def joints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_motions(tmp_path_factory.mktemp("joints"), LENGTHS)


@pytest.fixture(scope="module")
def left_arm_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_motions(tmp_path_factory.mktemp("left"), {"CMU/01/wave": 50}, moving=LEFT_ARM)


@pytest.fixture(scope="module")
def h36m() -> Viewpoints:
    return viewpoints("h36m", place=True, turn=True, seed=3)


SPLITS = find_splits({"train": ["CMU"], "test": ["SFU"]})


def moving_rows(positions: np.ndarray) -> set[int]:
    """Say which joints move, of (frames, joints, axes)."""
    return set(np.flatnonzero(np.ptp(positions, axis=0).max(axis=-1) > 1e-3).tolist())


def intrinsics_of(camera: str) -> dict[str, Any]:
    return next(lens for lens in CAMERAS["intrinsics"] if lens["id"] == camera)


def extrinsics_of(subject: str, camera: str) -> dict[str, Any]:
    return next(place for place in CAMERAS["extrinsics"][subject] if place["id"] == camera)


# ---------------------------------------------------------------------------------------------- Uplift and Upsample


def uplift_loads(folder: Path) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Read as ``AMASSDataset`` of uplift-upsample-3dhpe does."""
    reorder = [6, 5, 4, 1, 2, 3, 0, 8, 7, 9, 10, 16, 15, 14, 11, 12, 13]
    for file in sorted(folder.iterdir()):
        assert file.suffix == ".npz"
        data = np.load(file, allow_pickle=True)["positions_3d"].item()
        for subject, actions in data.items():
            for action, sequence in actions.items():
                assert sequence["frame_rate"] == 50.0
                assert sequence["positions_3d"].dtype == np.float32
                yield file.stem, subject, action, sequence["positions_3d"].astype(np.float32)[:, reorder]


def test_uplift_and_upsample_loads_it(joints: Path, tmp_path: Path) -> None:
    export([joints], tmp_path / "out", "uplift")
    names = (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis"),
        *("neck", "spine", "jaw", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    )
    found = {f"{a}/{b}/{c}": positions for a, b, c, positions in uplift_loads(tmp_path / "out")}
    assert list(found) == list(LENGTHS)
    for seed, (name, positions) in enumerate(found.items()):
        expected = person(LENGTHS[name], seed=seed)
        for row, joint in enumerate(names):
            assert np.array_equal(positions[:, row], expected[:, H36M17_SPIN.joints.index(joint)])


def test_uplift_and_upsample_knows_the_names_and_folders(tmp_path: Path) -> None:
    joints = save_motions(tmp_path / "joints", {"MPI_HDM05/bk/a": 5, "BioMotionLab_NTroje/rub001/b": 5})
    splits = find_splits("uplift")
    export([joints], tmp_path / "out", "uplift", splits=splits)
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npz"))
    assert written == ["train/BMLrub.npz", "validation/MPIHDM05.npz"]


def test_uplift_and_upsample_sees_the_left_arm_move(left_arm_alone: Path, tmp_path: Path) -> None:
    export([left_arm_alone], tmp_path, "uplift")
    ((*_, positions),) = uplift_loads(tmp_path)
    assert moving_rows(positions) == {15, 16}  # its joints_left are 3, 4, 5, 14, 15, 16


# ------------------------------------------------------------------------------------------------------ VideoPose3D


def rotate_back(quaternion: Sequence[float], vectors: np.ndarray) -> np.ndarray:
    """Turn vectors by the inverse of a rotation w, x, y, z: v + 2 w (q x v) + 2 q x (q x v), with -q."""
    w, *xyz = quaternion
    axis = -np.array(xyz)
    cross = np.cross(axis, vectors)
    return vectors + 2 * (w * cross + np.cross(axis, cross))


def projected(camera: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """Project as Human3.6M does, in float64."""
    (k1, k2, k3), (p1, p2) = camera["radial_distortion"], camera["tangential_distortion"]
    x, y = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    r2 = x * x + y * y
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
    image = np.stack([x * factor + p1 * r2, y * factor + p2 * r2], axis=-1)
    return image * camera["focal_length"] + camera["center"]


class VideoPose3D:
    """Reads as VideoPose3D's ``Human36mDataset``, ``MocapDataset.remove_joints`` and ``run.py`` do."""

    def __init__(self, folder: Path) -> None:
        data = np.load(folder / "data_3d_h36m.npz", allow_pickle=True)["positions_3d"].item()
        removed = {4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31}
        kept = [joint for joint in range(32) if joint not in removed]
        self.positions = {
            subject: {action: positions[:, kept] for action, positions in actions.items()}
            for subject, actions in data.items()
        }
        self.cameras = {subject: CAMERAS["extrinsics"][subject] for subject in data}  # a KeyError, as there
        self.raw = data
        keypoints = np.load(folder / "data_2d_h36m_gt.npz", allow_pickle=True)
        self.symmetry = keypoints["metadata"].item()["keypoints_symmetry"]
        self.metadata = keypoints["metadata"].item()
        self.visibility = keypoints["visibility"].item()
        self.keypoints = keypoints["positions_2d"].item()
        for subject, actions in self.positions.items():
            assert subject in self.keypoints
            for action, positions in actions.items():
                assert action in self.keypoints[subject]
                assert len(self.keypoints[subject][action]) == len(self.cameras[subject])
                for points in self.keypoints[subject][action]:
                    assert len(points) >= len(positions)
                    points[..., :2] = points[..., :2] / 1  # in place, as there

    def of(self, *subjects: str) -> list[tuple[str, str]]:
        return [(subject, action) for subject in subjects for action in self.keypoints[subject]]


@pytest.fixture(scope="module")
def videopose3d(joints: Path, h36m: Viewpoints, tmp_path_factory: pytest.TempPathFactory) -> VideoPose3D:
    folder = tmp_path_factory.mktemp("videopose3d")
    report = export([joints], folder, "videopose3d", cameras=h36m, splits=SPLITS, options=ExportOptions(name="h36m"))
    assert sorted(path.name for path in folder.iterdir()) == ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]
    assert report.notes == ()
    return VideoPose3D(folder)


def test_videopose3d_loads_it_unedited(videopose3d: VideoPose3D) -> None:
    assert set(videopose3d.positions) == {"S1", "S5", "S6", "S7", "S8", "S9", "S11"}
    train, test = videopose3d.of("S1", "S5", "S6", "S7", "S8"), videopose3d.of("S9", "S11")
    assert sorted(action for _, action in train) == ["CMU 01/01_01_poses", "CMU 01/01_02_poses", "CMU 02/02_01_poses"]
    assert sorted(action for _, action in test) == ["SFU 0005/a b.c_stageii", "SFU 0007/x_poses"]
    assert {action.split(" ")[0] for _, action in test} == {"SFU"}  # what its evaluation prints an error for


def test_videopose3d_gets_dtypes_shapes_and_symmetry(videopose3d: VideoPose3D) -> None:
    for subject, action in videopose3d.of(*videopose3d.positions):
        frames = LENGTHS[action.replace(" ", "/", 1)]
        positions = videopose3d.raw[subject][action]
        assert (positions.shape, positions.dtype) == ((frames, 32, 3), np.float32)
        for points, visible in zip(
            videopose3d.keypoints[subject][action], videopose3d.visibility[subject][action], strict=True
        ):
            assert (points.shape, points.dtype) == ((frames, 17, 2), np.float32)
            assert (visible.shape, visible.dtype) == ((frames, 17), np.bool_)
    assert videopose3d.metadata == {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [LEFT, RIGHT]}
    assert [H36M_NAMES[row].replace("left", "right") for row in LEFT] == [H36M_NAMES[row] for row in RIGHT]


def test_videopose3d_gets_the_motion_and_what_its_own_cameras_see_of_it(videopose3d: VideoPose3D) -> None:
    for subject, action in videopose3d.of(*videopose3d.positions):
        positions = videopose3d.positions[subject][action].astype(np.float64)
        before = original(action.replace(" ", "/", 1)).astype(np.float64)
        # It was moved and turned about the vertical: heights and distances stay.
        assert np.abs(positions[..., 2] - before[..., 2]).max() < 1e-6
        assert np.abs(distances(positions) - distances(before)).max() < 1e-5
        for place, points in zip(videopose3d.cameras[subject], videopose3d.keypoints[subject][action], strict=True):
            along = rotate_back(place["orientation"], positions - np.array(place["translation"]) / 1000)
            expected = projected(intrinsics_of(place["id"]), along)
            assert np.abs(points - expected).max() < 2e-3  # joints are rounded to float32, some 1e-7 m, on either side
        assert all(visible.all() for visible in videopose3d.visibility[subject][action])  # in the middle of the room


def distances(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)


def test_videopose3d_gets_left_and_right(left_arm_alone: Path, tmp_path: Path) -> None:
    export(
        [left_arm_alone],
        tmp_path,
        "videopose3d",
        cameras=viewpoints("S9", place=True),
        options=ExportOptions(name="h36m"),
    )
    loaded = VideoPose3D(tmp_path)
    assert moving_rows(loaded.positions["S9"]["CMU 01/wave"]) == {12, 13}
    for points in loaded.keypoints["S9"]["CMU 01/wave"]:
        assert moving_rows(points) == {12, 13}
    # Among all 32: the left elbow, the wrist, and what hangs on it.
    assert moving_rows(loaded.raw["S9"]["CMU 01/wave"]) == {18, 19, 20, 21, 22, 23}


def test_videopose3d_has_other_cameras_in_a_file(joints: Path, tmp_path: Path) -> None:
    report = export([joints], tmp_path, "videopose3d", cameras=viewpoints("random:2"), splits=SPLITS)
    assert any("four cameras" in note for note in report.notes)
    assert [Path(path).name for path in report.outputs] == [
        "data_3d_amass.npz",
        "data_2d_amass_gt.npz",
        "cameras_amass.json",
    ]
    known = {
        f"{one['subject']} {one['id']}"
        for one in json.loads((tmp_path / "cameras_amass.json").read_text(encoding="utf-8"))["cameras"]
    }
    file = np.load(tmp_path / "data_2d_amass_gt.npz", allow_pickle=True)
    points, cameras = file["positions_2d"].item(), file["cameras"].item()
    assert list(points) == ["train/CMU/01", "train/CMU/02", "test/SFU/0005", "test/SFU/0007"]
    for subject, actions in points.items():
        for action, views in actions.items():
            assert len(views) == len(set(cameras[subject][action])) == 2
            assert set(cameras[subject][action]) <= known


def test_videopose3d_needs_no_cameras(joints: Path, tmp_path: Path) -> None:
    export([joints], tmp_path, "videopose3d")
    assert [path.name for path in tmp_path.iterdir()] == ["data_3d_amass.npz"]
    data = np.load(tmp_path / "data_3d_amass.npz", allow_pickle=True)["positions_3d"].item()
    assert list(data) == ["CMU/01", "CMU/02", "SFU/0005", "SFU/0007"]
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert np.array_equal(data["SFU/0007"]["x_poses"][:, kept], original("SFU/0007/x_poses"))


# ------------------------------------------------------------------------------------------------------- MotionBERT


def motionbert_loads(folder: Path, part: str) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """Read as MotionBERT's ``MotionDataset`` does."""
    clips = []
    for name in sorted(path.name for path in (folder / part).iterdir()):
        with open(folder / part / name, "rb") as file:
            content = pickle.load(file)
        assert set(content) == {"data_input", "data_label"}
        clips.append((content["data_input"], content["data_label"]))
    return clips


def split_clips(videos: Sequence[int], length: int, stride: int) -> list[range]:
    """Cut as MotionBERT's ``split_clips`` does what is as long as a clip, in its way: frame by frame."""
    clips, start = [], 0
    for frame in range(len(videos)):
        if frame > 0 and videos[frame] != videos[frame - 1]:
            start = frame
        if frame + 1 - start == length:
            clips.append(range(start, frame + 1))
            start += stride
    return clips


LONG = ("CMU/01/01_01_poses", "CMU/02/02_01_poses", "SFU/0005/a b.c_stageii", "SFU/0007/x_poses")
CLIPS = ExportOptions(clip_length=20, clip_stride=7)


def test_motionbert_gets_clips_as_it_prepares_amass(joints: Path, tmp_path: Path) -> None:
    report = export([joints], tmp_path, "motionbert", options=CLIPS)
    motions = [original(name) for name in LONG]
    videos = [number for number, motion in enumerate(motions) for _ in motion]
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    everything = np.concatenate(motions) @ turn * 0.298
    clips = motionbert_loads(tmp_path, "train")
    expected = split_clips(videos, 20, 7)
    assert len(clips) == len(expected) > 10
    for (inputs, label), frames in zip(clips, expected, strict=True):
        assert inputs is None
        assert (label.dtype, label.shape) == (np.float32, (20, 17, 3))
        assert np.abs(label - everything[list(frames)]).max() < 1e-6
    assert motionbert_loads(tmp_path, "test") == []  # its loader lists the folder
    assert [(one.name, one.reason) for one in report.left_out] == [
        ("CMU/01/01_02_poses", "shorter than a clip of 20 frames")
    ]


def test_motionbert_gets_inputs_to_test_on(joints: Path, tmp_path: Path) -> None:
    export([joints], tmp_path, "motionbert", splits=SPLITS, options=CLIPS)
    assert all(inputs is None for inputs, _ in motionbert_loads(tmp_path, "train"))
    for inputs, label in motionbert_loads(tmp_path, "test"):
        assert inputs is not None
        assert np.array_equal(inputs[..., :2], label[..., :2])
        assert (inputs[..., 2] == 1).all()


def joint3d_image(camera: dict[str, Any], positions: np.ndarray) -> np.ndarray:
    """Make labels frame by frame, in millimetres, by the box that H36M-Toolbox puts around the pelvis."""
    labels = np.empty_like(positions)
    (fx, fy), (cx, cy) = camera["focal_length"], camera["center"]
    for frame, pose in enumerate(positions * 1000):
        root = pose[0]
        left, right = ((root[0] + side) / root[2] * fx + cx for side in (-1000, 1000))
        ratio = (right - left + 1) / 2000
        labels[frame, :, 0] = pose[:, 0] / pose[:, 2] * fx + cx
        labels[frame, :, 1] = pose[:, 1] / pose[:, 2] * fy + cy
        labels[frame, :, 2] = ratio * (pose[:, 2] - root[2])
    return labels


def test_motionbert_gets_what_cameras_see_as_it_prepares_human36m(joints: Path, tmp_path: Path) -> None:
    cameras = viewpoints("S5", place=True)
    export([joints], tmp_path / "clips", "motionbert", cameras=cameras, options=CLIPS)
    export([joints], tmp_path, "videopose3d", cameras=cameras, options=ExportOptions(name="h36m"))
    seen = VideoPose3D(tmp_path)
    expected = []
    for name in LONG:
        action = name.replace("/", " ", 1)
        for place, points in zip(CAMERAS["extrinsics"]["S5"], seen.keypoints["S5"][action], strict=True):
            lens = intrinsics_of(place["id"])
            positions = seen.positions["S5"][action].astype(np.float64)
            along = rotate_back(place["orientation"], positions - np.array(place["translation"]) / 1000)
            label, (w, h) = joint3d_image(lens, along), (lens["res_w"], lens["res_h"])
            label[..., :2] = label[..., :2] / w * 2 - [1, h / w]
            label[..., 2:] = label[..., 2:] / w * 2
            inputs = np.concatenate([points / w * 2 - [1, h / w], np.ones((*points.shape[:2], 1))], axis=-1)
            for frames in split_clips([0] * len(label), 20, 7):
                expected.append((inputs[list(frames)], label[list(frames)]))
    clips = motionbert_loads(tmp_path / "clips", "train")
    assert len(clips) == len(expected)
    for (inputs, label), (expected_inputs, expected_label) in zip(clips, expected, strict=True):
        assert inputs is not None
        assert inputs.dtype == label.dtype == np.float32
        assert np.abs(inputs - expected_inputs).max() < 1e-6
        assert np.abs(label - expected_label).max() < 1e-5
        # By the lens's distortion, the two differ, by some pixels of 1000.
        assert 1e-5 < np.abs(inputs[..., :2] - label[..., :2]).max() < 0.02


def test_motionbert_gets_left_and_right(left_arm_alone: Path, tmp_path: Path) -> None:
    for name, cameras in (("world", None), ("seen", viewpoints("S1", place=True))):
        export([left_arm_alone], tmp_path / name, "motionbert", cameras=cameras, options=CLIPS)
        for inputs, label in motionbert_loads(tmp_path / name, "train"):
            assert moving_rows(label) == {12, 13}  # its left_joints are 4, 5, 6, 11, 12, 13
            assert inputs is None or moving_rows(inputs) == {12, 13}


def test_motionbert_is_not_given_what_is_behind_a_camera(tmp_path: Path) -> None:
    # Who stands at one of the cameras is behind it in part, beside the image of others, and in that of some.
    x, y, _ = (value / 1000 for value in CAMERAS["extrinsics"]["S1"][0]["translation"])
    motion = {"positions_3d": person(30, at=(x, y, 0.0)), "frame_rate": 50.0}
    save(tmp_path / "CMU.npz", {"01": {"far": motion}}, metadata=Metadata(H36M17_SPIN))
    report = export([tmp_path], tmp_path / "out", "motionbert", cameras=viewpoints("S1"), options=CLIPS)
    clips = motionbert_loads(tmp_path / "out", "train")
    every = 4 * len(split_clips([0] * 30, 20, 7))
    assert 0 < len(clips) < every
    assert any(f"within 0.5 m: {every - len(clips)} clips" in note for note in report.notes)
    for inputs, label in clips:
        assert np.abs(label).max() < 2
        assert inputs is not None
        assert inputs[..., 2].any()
        assert not inputs[inputs[..., 2] == 0].any()


# ----------------------------------------------------------------------------------------------------------- mmpose


class SimpleCamera:
    """Computes what mmpose's ``SimpleCamera`` does, from its parameters."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        shapes = {"R": (3, 3), "T": (3, 1), "f": (2, 1), "c": (2, 1), "k": (3, 1), "p": (2, 1)}
        for name, shape in shapes.items():
            assert parameters[name].shape == shape
        self.rotation, self.translation = parameters["R"], parameters["T"]  # camera to world
        self.f, self.c = parameters["f"][:, 0], parameters["c"][:, 0]
        self.k, self.p = parameters["k"][:, 0], parameters["p"][:, 0]

    def world_to_camera(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation - self.translation.T @ self.rotation

    def camera_to_pixel(self, points: np.ndarray, tangential_factor: float = 2) -> np.ndarray:
        image = points[..., :2] / points[..., 2:]
        r2 = (image**2).sum(axis=-1)
        radial = 1 + sum(k * r2 ** (power + 1) for power, k in enumerate(self.k))
        tangential = tangential_factor * (self.p[1] * image[..., 0] + self.p[0] * image[..., 1])
        image = image * (radial + tangential)[..., None] + r2[..., None] * self.p[::-1]
        return image * self.f + self.c


def mmpose_parses(image: str) -> tuple[str, str, str]:
    """Take apart a name as ``_parse_h36m_imgname`` does."""
    subject, rest = Path(image).name.split("_", 1)
    action, rest = rest.split(".", 1)
    camera, rest = rest.split("_", 1)
    return subject, action, camera


class MMPose:
    """Reads as mmpose's ``Human36mDataset`` does."""

    def __init__(self, folder: Path, part: str) -> None:
        data = np.load(folder / "annotation_body3d" / "fps50" / f"h36m_{part}.npz")  # with no pickle in it
        self.names, self.part, self.positions = data["imgname"], data["part"], data["S"]
        self.center, self.scale = data["center"], data["scale"]
        self.cameras = pickle.loads((folder / "annotation_body3d" / "cameras.pkl").read_bytes())
        self.videos: dict[tuple[str, str, str], list[int]] = {}
        for row, name in enumerate(self.names):
            self.videos.setdefault(mmpose_parses(str(name)), []).append(row)

    def camera(self, video: tuple[str, str, str]) -> SimpleCamera:
        subject, _, camera = video
        return SimpleCamera(self.cameras[subject, camera])


ACTIONS = {
    f"{a}_{b}_{c.replace(' ', '-').replace('.', '-')}": f"{a}/{b}/{c}" for a, b, c in (n.split("/") for n in LENGTHS)
}


@pytest.mark.parametrize("cameras", ["h36m", "random:3"])
def test_mmpose_loads_it(joints: Path, tmp_path: Path, cameras: str) -> None:
    export([joints], tmp_path, "mmpose", cameras=viewpoints(cameras, seed=1), splits=SPLITS)
    export([joints], tmp_path / "2d", "project", cameras=viewpoints(cameras, seed=1))
    seen = 0
    for part, dataset in (("train", "CMU"), ("test", "SFU")):
        loaded = MMPose(tmp_path, part)
        frames = sum(length for name, length in LENGTHS.items() if name.startswith(dataset))
        rows = frames * (4 if cameras == "h36m" else 3)
        assert loaded.names.shape == (rows,)
        for array, shape in (
            (loaded.part, (17, 3)),
            (loaded.positions, (17, 4)),
            (loaded.center, (2,)),
            (loaded.scale, ()),
        ):
            assert array.dtype == np.float32
            assert array.shape == (rows, *shape)
        for video, of_video in loaded.videos.items():
            subject, action, camera = video
            assert (np.diff(of_video) == 1).all()  # chronological, as it assumes
            name = str(loaded.names[of_video[0]])
            assert name == f"{subject}/{subject}_{action}.{camera}/{subject}_{action}.{camera}_000001.jpg"
            motion = original(ACTIONS[action]).astype(np.float64)
            assert len(of_video) == len(motion)
            positions = loaded.positions[of_video]
            assert (positions[..., 3] == 1).all()
            expected = loaded.camera(video).world_to_camera(motion)
            assert np.abs(positions[..., :3] - expected).max() < 1e-6
            points, visible = loaded.part[of_video, :, :2], loaded.part[of_video, :, 2] == 1
            assert set(np.unique(loaded.part[of_video, :, 2])) <= {0, 1}
            # Human3.6M's own projection has one of the two halves of SimpleCamera's tangential term.
            half, whole = (loaded.camera(video).camera_to_pixel(expected, factor) for factor in (1, 2))
            assert np.abs(points - half)[visible].max(initial=0) < 2e-3
            assert np.abs(points - whole)[visible].max(initial=0) < 1
            seen += visible.sum()
            whole_frames = np.array(of_video)[visible.all(axis=1)]
            lower, upper = loaded.part[whole_frames, :, :2].min(axis=1), loaded.part[whole_frames, :, :2].max(axis=1)
            assert np.abs(loaded.center[whole_frames] - (lower + upper) / 2).max(initial=0) < 1e-3
            assert np.abs(loaded.scale[whole_frames] - 1.2 * (upper - lower).max(axis=1) / 200).max(initial=0) < 1e-4
            place = extrinsics_of(subject, camera)
            assert np.abs(loaded.cameras[subject, camera]["T"][:, 0] * 1000 - place["translation"]).max() < 1e-6
    assert seen > 1000


def test_mmpose_gets_left_and_right(left_arm_alone: Path, tmp_path: Path) -> None:
    export([left_arm_alone], tmp_path, "mmpose", cameras=viewpoints("S7", place=True))
    loaded = MMPose(tmp_path, "train")
    assert len(loaded.videos) == 4
    for rows in loaded.videos.values():
        assert moving_rows(loaded.positions[rows]) == moving_rows(loaded.part[rows]) == {12, 13}
