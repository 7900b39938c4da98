"""Windows are slices of the motions, whatever the format; cameras and flips are those of the published formulas."""

import copy
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest

from amass_joints.choices import Choices
from amass_joints.datasets import Format, PositionsTree, save
from amass_joints.errors import InputError
from amass_joints.metadata import Metadata
from amass_joints.motions import Source
from amass_joints.random_access import MotionFile
from amass_joints.resample import resample
from amass_joints.skeletons import COCO17, H36M17, H36M17_SPIN, H36M17_UPLIFT, SMPL24, Skeleton
from tests.standing import person

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402  (what follows needs PyTorch)

from amass_joints.cameras import Camera, h36m_cameras  # noqa: E402
from amass_joints.training import PoseSequences  # noqa: E402
from amass_joints.views import CameraSet, viewpoints  # noqa: E402

FORMATS: tuple[Format, ...] = ("npz", "npz-flat", "npz-stored")


def walks(*frames: int, rate: float = 50.0, joints: int = 17, dtype: Any = np.float32, seed: int = 0) -> PositionsTree:
    """Subjects who each have two motions, near the middle of a room."""
    rng = np.random.default_rng(seed)
    tree: PositionsTree = {}
    for number, count in enumerate(frames):
        positions = rng.normal([0, 0, 1], 0.3, size=(count, joints, 3)).astype(dtype)
        tree.setdefault(f"Zoë {number // 2}", {})[f"walk ({number})"] = {"positions_3d": positions, "frame_rate": rate}
    return tree


def written(
    directory: Path,
    tree: PositionsTree,
    format: Format = "npz-stored",
    skeleton: Skeleton | None = H36M17_SPIN,
    name: str = "CMU",
    choices: Choices = Choices(),
) -> Path:
    path = directory / f"{name}.npz"
    save(path, tree, format, Metadata(skeleton, choices))
    return path


def arrays(tree: PositionsTree) -> list[np.ndarray]:
    return [one["positions_3d"] for subject in tree.values() for one in subject.values()]


def slices(motions: list[np.ndarray], length: int, stride: int) -> list[np.ndarray]:
    """All windows, in order, in the plainest way."""
    return [one[start : start + length] for one in motions for start in range(0, len(one) - length + 1, stride)]


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        for key, value in one.items()
    )


def items(loader: Any) -> list[dict[str, Any]]:
    return list(loader)


# ------------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("length", "stride"), [(7, 1), (10, 4), (3, 5), (40, 40), (1, 1)])
def test_windows_are_slices(tmp_path: Path, format: Format, length: int, stride: int) -> None:
    tree = walks(40, 12, 10, 41, 3)
    windows = PoseSequences(written(tmp_path, tree, format), length, stride)
    expected = slices(arrays(tree), length, stride)
    assert len(windows) == len(expected)
    for index, positions in enumerate(expected):
        found = windows[index]["positions_3d"]
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.numpy(), positions)
    assert windows.left_out == sum(len(one) < length for one in arrays(tree))


@pytest.mark.parametrize("format", FORMATS)
def test_items_say_where_they_are_from(tmp_path: Path, format: Format) -> None:
    written(tmp_path, walks(12, 3, 11), format, name="CMU")
    written(tmp_path, walks(10, rate=25), format, name="SFU")
    windows = PoseSequences(tmp_path, 10, 2)
    of = [tuple(one[key] for key in ("dataset", "subject", "sequence", "start", "frame_rate")) for one in windows]
    assert of == [
        ("CMU", "Zoë 0", "walk (0)", 0, 50),
        ("CMU", "Zoë 0", "walk (0)", 2, 50),
        ("CMU", "Zoë 1", "walk (2)", 0, 50),
        ("SFU", "Zoë 0", "walk (0)", 0, 25),
    ]
    assert windows.left_out == 1
    assert windows.skeleton == H36M17_SPIN
    assert equal(windows[-1], windows[3])
    for index in (4, -5):
        with pytest.raises(IndexError):
            windows[index]


def test_items_are_their_own(tmp_path: Path) -> None:
    windows = PoseSequences(written(tmp_path, walks(10)), 10, 1)
    windows[0]["positions_3d"].zero_()
    assert windows[0]["positions_3d"].abs().sum() > 0


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("source", [120.0, 100.0, 59.9999885559082, 30.0, 50.0])
def test_resampled_windows_are_those_of_the_resampled_motion(
    tmp_path: Path, format: Format, dtype: Any, source: float
) -> None:
    tree = walks(100, 37, 400, rate=source, dtype=dtype)
    windows = PoseSequences(written(tmp_path, tree, format), 15, 2, rate=50)
    resampled = []
    for positions in arrays(tree):
        plan = resample(len(positions), source, 50.0).within(0, len(positions))
        out = np.empty((len(plan.before), 17, 3), dtype)
        plan.interpolate(positions[plan.looked_at], out)
        resampled.append(out.astype(np.float32))
    expected = slices(resampled, 15, 2)
    assert len(windows) == len(expected)
    for index, positions in enumerate(expected):
        np.testing.assert_array_equal(windows[index]["positions_3d"].numpy(), positions)
        assert windows[index]["frame_rate"] == 50


def test_motions_of_several_rates(tmp_path: Path) -> None:
    """Where frames lie at another rate is reckoned once for all motions of a rate: the longest must not decide."""
    tree = walks(60, 600, rate=120) | {"b": walks(300, rate=100, seed=1)["Zoë 0"]}
    windows = PoseSequences(written(tmp_path, tree), 20, 1, rate=50)
    times = {120.0: np.arange(20) / 50 * 120, 100.0: np.arange(20) / 50 * 100}
    for item in (windows[0], windows[len(windows) // 2], windows[len(windows) - 1]):
        one = tree[item["subject"]][item["sequence"]]
        at = times[one["frame_rate"]] + item["start"] / 50 * one["frame_rate"]
        floor = np.floor(at + 1e-9).astype(int)
        weight = (at - floor)[:, None, None]
        ceil = np.minimum(floor + 1, len(one["positions_3d"]) - 1)
        plain = (1 - weight) * one["positions_3d"][floor] + weight * one["positions_3d"][ceil]
        np.testing.assert_allclose(item["positions_3d"].numpy(), plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", [H36M17, H36M17_UPLIFT, "h36m17", H36M17_SPIN])
def test_order(tmp_path: Path, order: Skeleton | str) -> None:
    tree = walks(20)
    windows = PoseSequences(written(tmp_path, tree), 6, 3, order=order)
    names = windows.skeleton.joints
    for item, positions in zip(windows, slices(arrays(tree), 6, 3), strict=True):
        for row, name in enumerate(names):
            np.testing.assert_array_equal(item["positions_3d"][:, row], positions[:, H36M17_SPIN.joints.index(name)])


def test_files_in_several_orders_are_put_into_one(tmp_path: Path) -> None:
    one, other = walks(10), walks(10, seed=1)
    written(tmp_path, one, skeleton=H36M17, name="A")
    written(tmp_path, other, "npz", H36M17_SPIN, "B")
    windows = PoseSequences(tmp_path, 10, 1, order="h36m17", rate=50)
    np.testing.assert_array_equal(windows[0]["positions_3d"], arrays(one)[0])
    np.testing.assert_array_equal(windows[1]["positions_3d"], arrays(other)[0][:, list(H36M17.rows_in(H36M17_SPIN))])


@pytest.mark.parametrize(
    ("frames", "stride", "starts"),
    [
        *((4, 1, [0]), (10, 3, [0]), (11, 3, [0, 3]), (25, 10, [0, 10, 20])),
        *((4, 15, [0]), (12, 15, [0]), (15, 15, [0]), (16, 15, [0, 15]), (26, 15, [0, 15]), (31, 15, [0, 15, 30])),
    ],
)
def test_padding(tmp_path: Path, frames: int, stride: int, starts: list[int]) -> None:
    tree = walks(frames)
    windows = PoseSequences(written(tmp_path, tree), 10, stride, pad="edge")
    assert [one["start"] for one in windows] == starts
    assert windows.left_out == 0
    (positions,) = arrays(tree)
    for item in windows:
        rows = item["start"] + np.arange(10)
        np.testing.assert_array_equal(item["positions_3d"], positions[np.minimum(rows, frames - 1)])
        np.testing.assert_array_equal(item["mask"], rows < frames)


def test_padding_of_resampled_motions(tmp_path: Path) -> None:
    windows = PoseSequences(written(tmp_path, walks(30, rate=120)), 20, 5, rate=50, pad="edge")
    (item,) = windows
    assert item["mask"].sum() == 12  # frames 0, 2.4, ..., 26.4 of 30
    torch.testing.assert_close(item["positions_3d"][12:], item["positions_3d"][11:12].expand(8, -1, -1), rtol=0, atol=0)


def test_only_and_splits(tmp_path: Path) -> None:
    for name in ("CMU", "SFU", "MPI_HDM05"):
        written(tmp_path, walks(10, 10), name=name)

    def datasets(**options: Any) -> list[str]:
        return [f"{one['dataset']} {one['sequence']}" for one in PoseSequences(tmp_path, 10, 1, **options)]

    assert datasets(only="*/Zoë 0/*(1)") == ["CMU walk (1)", "MPI_HDM05 walk (1)", "SFU walk (1)"]
    assert datasets(only=["SFU", "CMU/*/*0*"]) == ["CMU walk (0)", "SFU walk (0)", "SFU walk (1)"]
    assert datasets(only="MPIHDM05") == datasets(only="MPI_HDM05") == ["MPI_HDM05 walk (0)", "MPI_HDM05 walk (1)"]
    splits = {"train": ["CMU"], "test": ["SFU", "MPIHDM05"]}
    assert datasets(splits=splits, split="train") == ["CMU walk (0)", "CMU walk (1)"]
    assert len(datasets(splits=splits, split="test")) == 4
    assert len(datasets(splits=splits, split="test", only="SFU")) == 2


def test_root_relative(tmp_path: Path) -> None:
    tree = walks(10)
    windows = PoseSequences(written(tmp_path, tree), 10, 1, root_relative=True, order="h36m17-uplift")
    (positions,) = arrays(tree)
    positions = positions[:, list(H36M17_UPLIFT.rows_in(H36M17_SPIN))]
    np.testing.assert_array_equal(windows[0]["positions_3d"], positions - positions[:, 6:7])


# -------------------------------------------------------------------------------------------------------- flips


def waving(frames: int = 20) -> PositionsTree:
    """Somebody of whom the left arm alone moves; each joint is somewhere else."""
    positions = np.tile(np.random.default_rng(0).normal([0, 0, 1], 0.3, size=(17, 3)), (frames, 1, 1))
    arm = [H36M17_SPIN.joints.index(f"left_{joint}") for joint in ("elbow", "wrist")]
    positions[:, arm] += np.linspace(0, 0.5, frames)[:, None, None]
    return {"s": {"wave": {"positions_3d": positions.astype(np.float32), "frame_rate": 50.0}}}


@pytest.mark.parametrize("order", [None, H36M17, H36M17_UPLIFT])
def test_a_flip_exchanges_the_sides(tmp_path: Path, order: Skeleton | None) -> None:
    path = written(tmp_path, waving())
    plain, flipped = (PoseSequences(path, 20, 1, order=order, flip=flip)[0]["positions_3d"] for flip in (0, 1))
    names = (order or H36M17_SPIN).joints
    moves = {name for row, name in enumerate(names) if flipped[:, row].std(dim=0).max() > 0}
    assert moves == {"right_elbow", "right_wrist"}
    for row, name in enumerate(names):
        other = {"left": "right", "right": "left"}
        side, _, joint = name.partition("_")
        of = names.index(f"{other[side]}_{joint}") if side in other else row
        np.testing.assert_array_equal(flipped[:, row], plain[:, of] * torch.tensor([-1.0, 1.0, 1.0]))


def camera(centred: bool = True, position: tuple[float, float, float] = (0.3, -5.0, 1.2)) -> Camera:
    """Looks along y; x is to the right, z up."""
    return Camera(
        id="front",
        subject=None,
        width=1000,
        height=800,
        focal_length=np.array([1100.0, 1150.0]),
        center=np.array([500.0, 400.0] if centred else [512.0, 415.0]),
        radial_distortion=np.array([-0.2, 0.24, -0.002]),
        tangential_distortion=np.zeros(2) if centred else np.array([-0.0009, -0.0016]),
        rotation=np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        position=np.array(position),
    )


def projected(positions: np.ndarray, of: Camera) -> np.ndarray:
    """Pixels by the published formula (VideoPose3D, common/camera.py), a joint at a time."""
    pixels = np.empty((*positions.shape[:-1], 2))
    for index in np.ndindex(positions.shape[:-1]):
        x, y = positions[index][:2] / positions[index][2]
        r2 = x * x + y * y
        radial = 1 + sum(k * r2**power for power, k in enumerate(of.radial_distortion, 1))
        tangential = of.tangential_distortion @ (x, y)
        pixels[index] = of.focal_length * (np.array([x, y]) * (radial + tangential) + of.tangential_distortion * r2)
    return pixels + of.center


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("normalized", [True, False])
def test_seen_by_a_camera(tmp_path: Path, flip: int, normalized: bool) -> None:
    """Of a camera whose image is symmetric, the flipped 2D are the projection of the flipped 3D."""
    tree, of = waving(), camera()
    item = PoseSequences(written(tmp_path, tree), 20, 1, cameras=[of], flip=flip, normalized=normalized)[0]
    (world,) = arrays(tree)
    along = (world - of.position) @ of.rotation.T
    if flip:
        along = along[:, list(H36M17_SPIN.mirror)] * [-1, 1, 1]
    pixels = projected(along, of)
    expected = pixels / 1000 * 2 - [1, 0.8] if normalized else pixels
    np.testing.assert_allclose(item["positions_3d"], along, rtol=0, atol=1e-6)  # float32, metres from the camera
    np.testing.assert_allclose(item["positions_2d"], expected, rtol=0, atol=1e-6 if normalized else 1e-3)
    np.testing.assert_array_equal(item["visible"], ((pixels >= 0) & (pixels < [1000, 800])).all(axis=-1))
    assert item["camera"] == "front"


@pytest.mark.parametrize("normalized", [True, False])
def test_flips_are_those_of_videopose3d_whatever_the_camera(tmp_path: Path, normalized: bool) -> None:
    """-x of normalised coordinates, also where the optical axis is not in the middle; and twice is not at all."""
    path = written(tmp_path, waving())
    plain, flipped = (
        PoseSequences(path, 20, 1, cameras=[camera(centred=False)], flip=flip, normalized=normalized)[0]
        for flip in (0, 1)
    )
    mirror = list(H36M17_SPIN.mirror)

    def again(item: dict[str, Any]) -> tuple[Any, Any, Any]:
        positions_2d = item["positions_2d"][:, mirror].clone()
        positions_2d[..., 0] = -positions_2d[..., 0] if normalized else 1000 - positions_2d[..., 0]
        return item["positions_3d"][:, mirror] * torch.tensor([-1, 1, 1]), positions_2d, item["visible"][:, mirror]

    for one, other in ((plain, flipped), (flipped, plain)):
        positions_3d, positions_2d, visible = again(one)
        torch.testing.assert_close(positions_3d, other["positions_3d"], rtol=0, atol=0)
        torch.testing.assert_close(positions_2d, other["positions_2d"], rtol=0, atol=0 if normalized else 1e-4)
        assert torch.equal(visible, other["visible"])


def test_the_world_is_flipped_before_the_camera_sees_it(tmp_path: Path) -> None:
    tree, of = waving(), camera(centred=False)
    item = PoseSequences(written(tmp_path, tree), 20, 1, cameras=[of], space="world", flip=1)[0]
    (world,) = arrays(tree)
    mirrored = world[:, list(H36M17_SPIN.mirror)] * np.float32([-1, 1, 1])
    np.testing.assert_array_equal(item["positions_3d"], mirrored)
    pixels = projected((mirrored - of.position) @ of.rotation.T, of)
    np.testing.assert_allclose(item["positions_2d"], pixels / 500 - [1, 0.8], rtol=0, atol=1e-6)


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("normalized", [True, False])
def test_what_has_no_pixel_is_at_0_and_never_visible(tmp_path: Path, flip: int, normalized: bool) -> None:
    path = written(tmp_path, waving())
    behind = camera(position=(0.0, 0.0, 1.0))  # in the midst of the person
    item = PoseSequences(path, 20, 1, cameras=[behind], flip=flip, normalized=normalized)[0]
    is_behind = item["positions_3d"][..., 2] <= 0
    assert 0 < is_behind.sum() < is_behind.numel()
    assert not item["visible"][is_behind].any()
    assert not item["positions_2d"][is_behind].any()
    assert item["visible"].any()
    assert item["positions_2d"].isfinite().all()


def test_what_is_outside_the_image_has_its_pixel(tmp_path: Path) -> None:
    tree, of = waving(), camera(position=(1.9, -3.0, 1.0))
    item = PoseSequences(written(tmp_path, tree), 20, 1, cameras=[of], normalized=False)[0]
    (world,) = arrays(tree)
    pixels = projected((world - of.position) @ of.rotation.T, of)
    is_outside = pixels[..., 0] < 0
    assert is_outside.any()
    assert not item["visible"][is_outside].any()
    np.testing.assert_allclose(item["positions_2d"], pixels, rtol=0, atol=1e-3)


def test_about_as_many_flips_as_wanted(tmp_path: Path) -> None:
    path = written(tmp_path, walks(600))
    plain, flipped = (PoseSequences(path, 1, 1, flip=flip, seed=3) for flip in (0, 0.25))
    count = sum(not equal(plain[index], flipped[index]) for index in range(600))
    assert 110 < count < 190  # 150, and the standard deviation is 11


# ------------------------------------------------------------------------------------------------------ cameras


def test_each_item_is_seen_by_one_of_the_cameras(tmp_path: Path) -> None:
    path = written(tmp_path, walks(200))

    def seen(**options: Any) -> set[str]:
        return {item["camera"] for item in PoseSequences(path, 5, 2, **options)}

    of_subjects = {subject: {str(one) for one in cameras} for subject, cameras in h36m_cameras().items()}
    assert seen(cameras="S5") == of_subjects["S5"]
    assert seen(cameras="h36m", split="test") == of_subjects["S9"] | of_subjects["S11"]
    assert seen(cameras=h36m_cameras()["S1"][:2]) <= of_subjects["S1"]
    everyone = set().union(*of_subjects.values())
    assert len(seen(cameras="random:2")) > 20
    assert seen(cameras=viewpoints("random", turn=True)) <= everyone
    training = seen(cameras="h36m")
    assert len(training) > 15
    assert training <= everyone - of_subjects["S9"] - of_subjects["S11"]


def test_a_window_is_placed_and_turned_where_the_cameras_look(tmp_path: Path) -> None:
    tree = walks(60)
    for subject in tree.values():
        for one in subject.values():
            one["positions_3d"] += np.float32([300, -200, 0])
    path = written(tmp_path, tree)
    far = PoseSequences(path, 10, 10, cameras="S1")
    near = PoseSequences(path, 10, 10, cameras="S1", place=True, turn=True)
    assert not any(item["visible"].any() for item in far)
    assert all(item["visible"].all() for item in near)
    world = PoseSequences(path, 10, 10, cameras="S1", place=True, turn=True, space="world")
    for item, in_world in zip(near, world, strict=True):
        of = next(one for one in h36m_cameras()["S1"] if str(one) == item["camera"])
        assert in_world["camera"] == item["camera"]
        along = (in_world["positions_3d"].double().numpy() - of.position) @ of.rotation.T
        np.testing.assert_allclose(item["positions_3d"], along, rtol=0, atol=2e-6)
        assert torch.equal(item["positions_2d"], in_world["positions_2d"])


def test_what_does_not_show_everything_is_drawn_again(tmp_path: Path) -> None:
    tree = walks(200)
    for subject in tree.values():
        for one in subject.values():  # higher and farther to the side than all cameras see
            one["positions_3d"] += np.float32([0, 2, 0.6])
    path = written(tmp_path, tree)

    def shown(reject: bool) -> float:
        windows = PoseSequences(path, 5, 5, cameras="S1", reject=reject)
        return float(np.mean([item["visible"].all().item() for item in windows]))

    assert 0.1 < shown(reject=False) < 0.9
    assert shown(reject=True) == 1


# ------------------------------------------------------------------------------- seeds, epochs, workers, memory

SEEN: dict[str, Any] = {"cameras": "h36m", "place": True, "turn": True, "flip": 0.5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, walks(30, 45, 28, rate=60))


@pytest.mark.parametrize("options", [SEEN, {"cameras": "h36m"}, {"flip": 0.5}])
def test_seeds_and_epochs(path: Path, options: dict[str, Any]) -> None:
    def drawn(seed: int, epoch: int) -> list[Any]:
        windows = PoseSequences(path, 5, 1, rate=50, seed=seed, **options)
        windows.set_epoch(epoch)
        assert equal(windows[0], windows[0])
        backwards = [windows[index] for index in reversed(range(len(windows)))][::-1]
        assert all(map(equal, windows, backwards))
        return list(windows)

    first = drawn(1, 0)
    assert all(map(equal, first, drawn(1, 0)))
    for other in (drawn(1, 1), drawn(2, 0)):
        assert sum(map(equal, first, other)) < len(first) * 0.7  # of flips alone, about half are the same


@pytest.mark.parametrize(
    ("start", "format"), [*(("fork", format) for format in FORMATS), ("spawn", "npz"), ("spawn", "npz-stored")]
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12 and later, where there are threads
def test_workers_change_nothing(tmp_path: Path, start: str, format: Format) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {start}")
    windows = PoseSequences(written(tmp_path, walks(30, 45, 28, rate=60), format), 10, 3, rate=50, pad="edge", **SEEN)
    alone = items(DataLoader(windows, batch_size=4))
    assert alone[0]["positions_3d"].shape == (4, 10, 17, 3)
    assert alone[0]["positions_2d"].shape == (4, 10, 17, 2)
    assert alone[0]["visible"].shape == (4, 10, 17)
    assert alone[0]["mask"].dtype == torch.bool
    assert alone[0]["start"].tolist() == [0, 3, 6, 9]
    assert alone[0]["sequence"] == ["walk (0)"] * 4
    with_workers = DataLoader(
        windows, batch_size=4, num_workers=2, multiprocessing_context=start, persistent_workers=True
    )
    assert all(map(equal, items(with_workers), alone))
    windows.set_epoch(1)  # which workers that live on must hear of, too
    other = items(DataLoader(windows, batch_size=4))
    assert not any(map(equal, other, alone))
    assert all(map(equal, items(with_workers), other))


@pytest.mark.parametrize("format", FORMATS)
def test_is_pickled_without_positions(tmp_path: Path, format: Format) -> None:
    windows = PoseSequences(written(tmp_path, walks(3000, 2000), format), 10, 3, **SEEN)
    windows[0]
    content = pickle.dumps(windows)
    assert len(content) < 100_000
    for again in (pickle.loads(content), copy.deepcopy(windows)):
        assert equal(again[5], windows[5])


def test_a_file_that_was_written_again_is_no_longer_the_same(tmp_path: Path) -> None:
    windows = PoseSequences(written(tmp_path, walks(30)), 10, 3)
    content = pickle.dumps(windows)
    os.utime(written(tmp_path, walks(29, seed=1)), (1, 1))
    with pytest.raises(InputError, match="has changed"):
        pickle.loads(content)[0]


@pytest.mark.parametrize(("format", "is_mapped"), [("npz", False), ("npz-flat", False), ("npz-stored", True)])
def test_what_is_stored_is_mapped(tmp_path: Path, format: Format, is_mapped: bool) -> None:
    file = MotionFile(Source("CMU", written(tmp_path, walks(30, 20), format)))
    assert file.is_mapped == is_mapped
    positions = file.positions(0)
    assert positions.flags.aligned
    assert positions.flags.writeable != is_mapped


def test_files_of_numpy_are_mapped_too(tmp_path: Path) -> None:
    """Where np.savez wrote it, whose arrays lie at any address."""
    tree = walks(30, 20)
    with np.load(written(tmp_path, tree)) as file:
        again = {name: file[name] for name in file.files}
    np.savez(tmp_path / "SFU.npz", **again)
    source = MotionFile(Source("SFU", tmp_path / "SFU.npz"))
    assert source.is_mapped
    windows = PoseSequences(tmp_path / "SFU.npz", 6, 2, order="h36m17", rate=40)
    expected = PoseSequences(tmp_path / "CMU.npz", 6, 2, order="h36m17", rate=40)
    for one, other in zip(windows, expected, strict=True):
        assert equal(one | {"dataset": "CMU"}, other)


# ------------------------------------------------------------------------------------------------------- errors

ONE = {"training": (CameraSet((camera(),), None),), "testing": (CameraSet((camera(),), None),)}


@pytest.fixture
def _nobody_checks_types() -> Iterator[None]:
    """As for users: the checker of these tests would find arguments of wrong types before the program does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length: found 0, expected a whole number, 1 or more"),
        ({"length": 2.5}, "length: found 2.5, expected a whole number"),
        ({"stride": 0}, "stride: found 0"),
        ({"stride": -1}, "stride: found -1"),
        ({"seed": -1}, "seed: found -1"),
        ({"rate": 0}, "rate: found 0 Hz"),
        ({"rate": float("nan")}, "rate: found nan Hz"),
        ({"rate": "50"}, "rate: found 50 Hz, expected 1 to "),
        ({"rate": 1e9}, "rate: found 1000000000.0 Hz, expected 1 to "),
        ({"flip": 2}, "flip: found 2, expected a probability"),
        ({"flip": float("nan")}, "flip: found nan"),
        ({"pad": "wrap"}, "pad: found 'wrap', expected 'edge' or None"),
        ({"space": "image"}, "space: found 'image'"),
        ({"space": "camera"}, "'camera' needs cameras"),
        ({"cameras": "S2"}, "no cameras 'S2'"),
        ({"cameras": []}, "cameras: found [], expected a name such as 'h36m', or a list of Camera"),
        ({"cameras": [1]}, "cameras: found [1], expected"),
        ({"cameras": 4}, "cameras: found 4, expected"),
        ({"cameras": replace(viewpoints("S1"), reject=True, **ONE)}, "there is nothing to draw again"),
        ({"place": True}, "place, turn and reject are for cameras that are named"),
        ({"cameras": [camera()], "turn": True}, "place, turn and reject are for"),
        ({"skeleton": "h36m18"}, "no skeleton 'h36m18'"),
        ({"skeleton": "h36m17"}, "its joints are those of h36m17-spin"),
        ({"order": "smpl24"}, "smpl24: they lack spine1"),
        ({"only": "KIT"}, "only KIT: none of 3 motions is wanted; they are named like 'CMU/Zoë 0/walk"),
        ({"splits": "uplift"}, "which one is wanted"),
        ({"split": "train"}, "of which splits"),
        ({"split": "training", "splits": "uplift"}, "split: found 'training'"),
        ({"splits": {"train": ["KIT"]}, "split": "train"}, "train of splits: none of 3 motions"),
        ({"length": 31}, "length 31: no motion is so long; the longest of 3 has 30 frames"),
        ({"length": 26, "rate": 25}, "the longest of 3 has 15 frames at 25 Hz"),
        ({"paths": "nowhere"}, "no such file"),
        ({"paths": []}, "pass files"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("_nobody_checks_types")
def test_nonsense_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    paths = written(tmp_path, walks(30, 20, 10))
    with pytest.raises(InputError, match=re.escape(message)):
        PoseSequences(**({"paths": paths, "length": 5, "stride": 1} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 0.5}, "flip: the files do not say which of the 17 joints are left and right"),
        ({"root_relative": True}, "it needs a pelvis; the joints are unknown"),
        ({"order": "h36m17"}, "does not say what its joints are"),
    ],
)
def test_joints_must_be_known(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    tree: PositionsTree = {"s": {"a": {"positions_3d": person(30), "frame_rate": 50.0}}}
    paths = written(tmp_path, tree, skeleton=None)
    with pytest.raises(InputError, match=message):
        PoseSequences(paths, 5, 1, **options)
    assert len(PoseSequences(paths, 5, 1, skeleton="h36m17-spin", **options)) == 26


@pytest.mark.parametrize("choices", [Choices(units="mm"), Choices(up="y"), Choices(root_relative=True)])
def test_cameras_see_the_world(tmp_path: Path, choices: Choices) -> None:
    paths = written(tmp_path, walks(30), choices=choices)
    with pytest.raises(InputError, match="in metres, z up, in the world; the files have"):
        PoseSequences(paths, 5, 1, cameras="S1")
    assert len(PoseSequences(paths, 5, 1, flip=0.5)) == 26


@pytest.mark.parametrize("actual", [H36M17_SPIN, H36M17, H36M17_UPLIFT])
def test_joints_are_not_taken_for_others(tmp_path: Path, actual: Skeleton) -> None:
    """The wrong order swaps the legs, and nothing else would show it."""
    tree: PositionsTree = {"s": {"a": {"positions_3d": person(30, skeleton=actual), "frame_rate": 50.0}}}
    paths = written(tmp_path, tree, skeleton=None)
    for said in {H36M17_SPIN, H36M17, H36M17_UPLIFT} - {actual}:
        with pytest.raises(InputError, match=f"its joints are not those of {said.name}"):
            PoseSequences(paths, 5, 1, skeleton=said)
    assert PoseSequences(paths, 5, 1, skeleton=actual).skeleton == actual


def test_a_skeleton_without_a_pelvis(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it needs a pelvis; the joints are coco17"):
        PoseSequences(written(tmp_path, walks(30), skeleton=COCO17), 5, 1, root_relative=True)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"skeleton": H36M17}, "has h36m17-spin, m, z up; .* has h36m17, m, z up: .* or order="),
        ({"skeleton": None}, "has joints that it does not name"),
        ({"choices": Choices(units="mm")}, "mm, z up: windows of both would be mixed up"),
        ({"choices": Choices(root_relative=True)}, "relative to the root"),
    ],
)
def test_files_that_do_not_go_together(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    written(tmp_path, walks(30), name="A")
    written(tmp_path, walks(30), name="B", **other)
    with pytest.raises(InputError, match=message):
        PoseSequences(tmp_path, 5, 1)
    assert len(PoseSequences(tmp_path, 5, 1, only="A")) == 26  # what is left out does no harm


def test_joints_of_different_numbers(tmp_path: Path) -> None:
    written(tmp_path, walks(30), skeleton=None, name="A")
    written(tmp_path, walks(30, joints=24), skeleton=None, name="B")
    with pytest.raises(InputError, match=r"17 joints, .* has 24"):
        PoseSequences(tmp_path, 5, 1)
    written(tmp_path, walks(30, joints=23), skeleton=SMPL24, name="B")
    with pytest.raises(InputError, match="has 23 joints; smpl24 has 24"):
        PoseSequences(tmp_path / "B.npz", 5, 1)


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files_are_refused(tmp_path: Path, format: Format) -> None:
    content = written(tmp_path, walks(30, 20), format).read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a dataset of joints"):
        PoseSequences(tmp_path / "cut.npz", 5, 1)
    places = np.random.default_rng(0).integers(len(content), size=60)
    for number, place in enumerate(places):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        file = tmp_path / f"damaged {number}.npz"
        file.write_bytes(damaged)
        try:
            windows = PoseSequences(file, 5, 1)
        except InputError:
            continue
        assert windows[0]["positions_3d"].shape == (5, 17, 3)  # what is stored is not compared with its checksum


def test_without_pytorch_it_says_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import amass_joints\n"
        "try: amass_joints.PoseSequences\n"
        "except AttributeError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'amass-joints[torch]'" in ran.stdout
