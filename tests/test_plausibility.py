"""What is measured of a sequence, and that each doubt is raised by what is wrong in just that way."""

import json
import pickle
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import amass_joints as aj
from amass_joints import demo, plausibility
from amass_joints.body_models import GENDERS, BodyModel
from amass_joints.demo.body import make_body
from amass_joints.demo.motions import make_motion
from amass_joints.plausibility import Plausibility, examine
from amass_joints.regressors import JointRegressor
from amass_joints.resample import resample
from amass_joints.rest_pose import RestPose, at_rest
from amass_joints.skeletons import (
    BODY22,
    H36M17,
    H36M17_SPIN,
    H36M17_SPIN_JOINTS,
    H36M17_UPLIFT,
    JOINT_SETS,
    SKELETONS,
    SMPLX55,
    Skeleton,
)
from random_bodies import Case, cases

RATE = 50.0
SPIN = {name: row for row, name in enumerate(H36M17_SPIN_JOINTS)}


@pytest.fixture(scope="module")
def body(support_data: Path) -> BodyModel:
    return aj.load_body_model(support_data / "body_models/smplh/male/model.npz")


@pytest.fixture(scope="module")
def regressor(support_data: Path) -> JointRegressor:
    return aj.load_regressor(support_data / "J_regressor_h36m.npy")


@pytest.fixture(scope="module")
def folded(body: BodyModel, regressor: JointRegressor) -> aj.FoldedBody:
    return aj.fold(body, regressor)


@pytest.fixture(scope="module")
def rest(folded: aj.FoldedBody) -> RestPose:
    return at_rest(folded)


def moving(folded: aj.FoldedBody, name: str, seconds: float = 5, betas: np.ndarray | None = None) -> np.ndarray:
    """Joints of the stand-in at 50 Hz."""
    motion = make_motion(name, make_body("male").rest_joints(np.zeros(16)), RATE, seconds)
    return folded.with_shape(np.zeros(16) if betas is None else betas).pose(motion.poses, motion.trans)


@pytest.fixture(scope="module")
def walk(folded: aj.FoldedBody) -> np.ndarray:
    joints = moving(folded, "walk")
    joints.setflags(write=False)
    return joints


@pytest.fixture(scope="module", params=[None, RATE], ids=["own rate", "50 Hz"])
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, support_data: Path
) -> dict[str, dict[str, np.ndarray | float]]:
    """The demo's eleven sequences, by their names."""
    directory = tmp_path_factory.mktemp("demo")
    demo.write_motions(directory / "data", {gender: make_body(gender) for gender in GENDERS})
    settings = aj.Settings(rate=request.param)
    aj.convert_tree(directory / "data", directory / "joints", support_data / "J_regressor_h36m.npy", settings=settings)
    return {
        f"{path.stem}/{subject}/{name}": sequence
        for path in sorted((directory / "joints").iterdir())
        for subject, sequences in aj.load(path).items()
        for name, sequence in sequences.items()
    }


# ------------------------------------------------------------------------------------------- what raises no doubt


def test_the_demo_is_plausible(converted: dict[str, dict], rest: RestPose) -> None:
    assert len(converted) == 11
    for name, sequence in converted.items():
        found = examine(sequence["positions_3d"], sequence["frame_rate"], rest)
        assert found.doubts == (), name
        assert found.up_axis == "z"


@pytest.mark.parametrize("rate", [None, 50, 24, 250])
def test_a_real_sequence_is_plausible(samples: Path, folded: aj.FoldedBody, rest: RestPose, rate: float | None) -> None:
    with np.load(samples / "amass_sample.npz") as file:
        joints = folded.with_shape(file["betas"]).pose(file["poses"], file["trans"])
    found = examine(resampled(joints, 120, rate), rate or 120, rest)
    assert found.doubts == ()
    assert found.up_axis == "z"
    assert found.repeated_frames == 0


def resampled(joints: np.ndarray, source: float, target: float | None) -> np.ndarray:
    resampling = resample(len(joints), source, target)
    blend = resampling.within(0, len(joints))
    out = np.empty((resampling.num_frames, *joints.shape[1:]), joints.dtype)
    blend.interpolate(joints[blend.looked_at], out=out)
    return out


@pytest.mark.parametrize("name", ["body", "smplh"])
def test_joints_of_the_kinematic_tree_are_plausible(body: BodyModel, name: str) -> None:
    skeleton = JOINT_SETS[name]
    folded = aj.fold(body, range(len(skeleton.joints)))
    found = examine(moving(folded, "jump"), RATE, at_rest(folded, skeleton))
    assert found.doubts == ()
    assert len(found.bone_lengths) == len(skeleton.joints) - 1
    assert found.largest_bone_change < 1e-3


def test_joints_that_nobody_knows_are_examined_without_bones(walk: np.ndarray, rest: RestPose) -> None:
    found = examine(walk, RATE, replace(rest, skeleton=None))
    assert found.bone_lengths == {}
    assert (found.largest_bone_change, found.changing_bone) == (0, None)
    assert found == replace(examine(walk, RATE, rest), bone_lengths={}, largest_bone_change=0, changing_bone=None)


# --------------------------------------------------------------------------------------------- what raises a doubt

Fault = Callable[[np.ndarray], np.ndarray]


def lengthened(child: str, parent: str, factor: Callable[[np.ndarray], np.ndarray]) -> Fault:
    def make(joints: np.ndarray) -> np.ndarray:
        joints = joints.copy()
        outer, inner = joints[:, SPIN[child]], joints[:, SPIN[parent]]
        joints[:, SPIN[child]] = inner + factor(np.linspace(0, 1, len(joints)))[:, None] * (outer - inner)
        return joints

    return make


def constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda moments: np.full(len(moments), value)


def glitch(joints: np.ndarray) -> np.ndarray:
    joints = joints.copy()
    joints[112, SPIN["right_wrist"]] += 0.5
    return joints


FAULTS: dict[str, tuple[Fault, str]] = {
    "a long forearm": (
        lengthened("left_wrist", "left_elbow", constant(2)),
        r"left elbow to left wrist is 0\.5[23]\d? m, expected 0\.15 to 0\.40 m",
    ),
    "a short shank": (
        lengthened("right_ankle", "right_knee", constant(0.5)),
        r"right knee to right ankle is 0\.21\d? m, expected 0\.25 to 0\.60 m",
    ),
    "two wrong bones": (
        lambda joints: lengthened("left_wrist", "left_elbow", constant(0.5))(
            lengthened("head_top", "jaw", constant(10))(joints)
        ),
        r"2 bones are too short or too long: jaw to head top is 1\.6\d? m, expected 0\.00 to 0\.60 m",
    ),
    "a bone of no length": (
        lengthened("left_wrist", "left_elbow", constant(0)),
        r"left elbow to left wrist is 0 m, expected 0\.15 to 0\.40 m",
    ),
    "a growing bone": (
        lengthened("right_wrist", "right_elbow", lambda moments: 1 + 0.8 * np.sin(np.pi * moments) ** 8),
        r"right elbow to right wrist changes its length by 7\d(\.\d)?%, expected at most 50%",
    ),
    "a shrinking bone": (
        lengthened("right_wrist", "right_elbow", lambda moments: 1 - 0.8 * np.sin(np.pi * moments) ** 8),
        r"right elbow to right wrist changes its length by 7\d(\.\d)?%, expected at most 50%",
    ),
    "a flight": (
        lambda joints: joints[:100] + np.linspace(-30, 30, 100)[:, None, None] * np.array([1, 0, 0], np.float32),
        r"the .* moves at 3\d(\.\d)? m/s in frame \d+, expected at most 25 m/s",
    ),
    "a tremor": (
        lambda joints: joints + 0.12 * (-1) ** np.arange(len(joints))[:, None, None],
        r"the .* is accelerated by 2,\d{3} m/s\^2 in frame \d+, expected at most 1000 m/s\^2",
    ),
    "a pause": (
        lambda joints: np.repeat(joints, np.where(np.arange(len(joints)) == 99, 26, 1), axis=0),
        r"25 frames in a row repeat the one before \(0\.5 s\), from frame 100 on, expected at most 0\.25 s",
    ),
    "a freeze at the end": (
        lambda joints: np.concatenate([joints, np.repeat(joints[-1:], 30, axis=0)]),
        r"30 frames in a row repeat the one before \(0\.6 s\), from frame 250 on, expected at most 0\.25 s",
    ),
    "a freeze at the start": (
        lambda joints: np.concatenate([np.repeat(joints[:1], 30, axis=0), joints]),
        r"30 frames in a row repeat the one before \(0\.6 s\), from frame 1 on, expected at most 0\.25 s",
    ),
    "every frame twice": (
        lambda joints: np.repeat(joints[::2], 2, axis=0),
        r"125 of 250 frames repeat the one before, expected at most 30%",
    ),
    "a statue": (
        lambda joints: np.repeat(joints[:1], 100, axis=0),
        r"99 of 100 frames repeat the one before, expected at most 30%",
    ),
    "y up": (
        lambda joints: joints[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32),
        r"it stands along y, expected z: was it converted from y up to z up\?",
    ),
    "x up": (lambda joints: joints[..., [2, 0, 1]], r"it stands along x, expected z: is it turned\?"),
    "upside down": (
        lambda joints: joints * np.array([1, -1, -1], np.float32),
        r"it stands along -z, expected z: is it upside down\?",
    ),
    "far away": (
        lambda joints: joints + np.array([0, 500, 0], np.float32),
        r"up to 500 m from the origin, expected at most 100 m",
    ),
}


@pytest.mark.parametrize(("fault", "doubt"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_fault_raises_its_doubt_and_none_other(
    walk: np.ndarray, rest: RestPose, fault: Fault, doubt: str, dtype: type[np.floating]
) -> None:
    found = examine(fault(walk).astype(dtype), RATE, rest)
    assert len(found.doubts) == 1, found.doubts
    assert re.fullmatch(doubt, found.doubts[0]), found.doubts[0]


def test_rows_that_do_not_sum_to_1_raise_a_doubt_far_from_the_origin(walk: np.ndarray, rest: RestPose) -> None:
    sums = np.ones(17)
    sums[SPIN["left_ankle"]] = 0.9996
    near, far = (examine(walk + np.float32(shift), RATE, replace(rest, row_sums=sums)) for shift in (0, 20))
    assert near.doubts == ()
    assert 0.1 < near.row_sum_effect_mm < 10
    (doubt,) = far.doubts
    assert "of the joint regressor summed to 1, expected at most 10 mm: see --normalize-rows" in doubt


@pytest.mark.parametrize("rate", [50, 120])
def test_a_jump_of_a_joint_by_half_a_metre_in_one_frame_is_found(walk: np.ndarray, rest: RestPose, rate: float) -> None:
    found = examine(glitch(walk), rate, rest)
    assert any("the right wrist is accelerated" in doubt and "in frame 112" in doubt for doubt in found.doubts)
    assert found.most_accelerated == (112, SPIN["right_wrist"])
    assert found.fastest is not None
    assert found.fastest[0] in (112, 113)


@pytest.mark.parametrize("motion", ["run", "jump"])
def test_a_fast_motion_played_four_times_too_fast_is_found(
    converted: dict[str, dict], rest: RestPose, motion: str
) -> None:
    """A walk is not: it looks like one that hurries. Nor is anything that is played too slowly."""
    wrong = [
        examine(sequence["positions_3d"], 4 * sequence["frame_rate"], rest).doubts
        for name, sequence in converted.items()
        if motion in name and "BMLhandball" not in name  # half as fast as it was
    ]
    assert len(wrong) == 2
    assert all(any(" moves at " in doubt or " accelerated by " in doubt for doubt in doubts) for doubts in wrong)


def test_y_up_and_millimetres_are_found_in_any_motion(converted: dict[str, dict], rest: RestPose) -> None:
    for name, sequence in converted.items():
        joints, rate = sequence["positions_3d"], sequence["frame_rate"]
        (doubt,) = examine(joints[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32), rate, rest).doubts
        assert "stands along y" in doubt, name
        (doubt,) = examine(joints[..., [0, 2, 1]], rate, rest).doubts
        assert "stands along y" in doubt, name
        doubts = examine(1000 * joints, rate, rest).doubts
        assert "16 bones are too short or too long" in doubts[0], name
        assert "m from the origin" in doubts[-1], name


@pytest.mark.parametrize("betas", [np.full(16, 50.0), np.full(16, -50.0), 50 * np.eye(16)[0], -50 * np.eye(16)[0]])
def test_a_blown_up_body_is_found(folded: aj.FoldedBody, rest: RestPose, betas: np.ndarray) -> None:
    assert "bones are too short or too long" in examine(moving(folded, "walk", 1, betas), RATE, rest).doubts[0]


def test_half_a_second_that_froze_before_it_was_resampled_is_found(walk: np.ndarray, rest: RestPose) -> None:
    """Blending equal frames rounds: they come out nearly equal."""
    frozen = np.repeat(walk, np.where(np.arange(len(walk)) == 150, 61, 1), axis=0)
    joints = resampled(frozen + np.float32(20), 120, 50)
    assert np.count_nonzero(~np.diff(joints, axis=0).any(axis=(1, 2))) < 20
    (doubt,) = examine(joints, 50, rest).doubts
    assert "24 frames in a row repeat the one before (0.48 s)" in doubt


def coming_to_rest(joints: np.ndarray) -> np.ndarray:
    """The same motion ever slower, and then not at all for more than a second."""
    moments = np.append(200 - 200 * np.linspace(1, 0, 300) ** 3, np.full(60, 200))
    frames = moments.astype(int)
    weights = (moments - frames)[:, None, None]
    return (1 - weights) * joints[frames] + weights * joints[frames + 1]


def test_who_comes_to_rest_is_not_frozen(walk: np.ndarray, rest: RestPose) -> None:
    found = examine(coming_to_rest(walk), RATE, rest)
    assert found.longest_standstill > 1
    assert found.longest_freeze < 0.1
    assert found.doubts == ()


def test_a_freeze_is_found_beside_a_longer_rest(walk: np.ndarray, rest: RestPose) -> None:
    found = examine(np.repeat(coming_to_rest(walk), np.where(np.arange(360) == 99, 21, 1), axis=0), RATE, rest)
    assert found.longest_standstill > 1
    assert (found.longest_freeze, found.freezes_at) == (0.4, 100)
    assert len(found.doubts) == 1


@pytest.mark.parametrize("frames", [[0, 0], [0, 1, 1], [0, 0, 1, 1, 2, 2]])
def test_a_few_equal_frames_are_no_freeze(walk: np.ndarray, rest: RestPose, frames: list[int]) -> None:
    found = examine(walk[frames], RATE, rest)
    assert found.repeated_frames == len(frames) - len(set(frames))
    assert found.doubts == ()


def test_the_longest_freeze_is_told(walk: np.ndarray, rest: RestPose) -> None:
    times = np.ones(len(walk), int)
    times[[50, 100, 150]] = 10, 41, 31
    found = examine(np.repeat(walk, times, axis=0), RATE, rest)
    assert found.repeated_frames == 9 + 40 + 30
    assert found.longest_freeze == found.longest_standstill == 0.8
    assert found.freezes_at == 100 + 9 + 1


@pytest.mark.parametrize("turned", [np.eye(3), np.diag([-1, -1, 1])])
def test_who_lies_on_the_floor_raises_no_doubt(walk: np.ndarray, rest: RestPose, turned: np.ndarray) -> None:
    lying = (walk[:1] @ np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]]) + np.array([0, 0, 0.4])) @ turned
    breathing = np.zeros((50, 1, 3))
    breathing[:, 0, 2] = 0.001 * np.sin(np.arange(50))
    lying = lying + breathing
    assert lying[..., 2].max() < 0.9
    found = examine(lying, RATE, rest)
    assert found.up_axis == "none"
    assert found.doubts == ()
    hovering = examine(lying + np.array([0, 0, 3]), RATE, rest)
    assert hovering.up_axis in ("y", "-y")


@pytest.mark.parametrize("size", [0.5, 1])
@pytest.mark.parametrize(("degrees", "axis"), [(0, "z"), (15, "z"), (40, "none"), (75, "y"), (90, "y")])
def test_who_bends_far_has_no_up_axis(walk: np.ndarray, rest: RestPose, size: float, degrees: float, axis: str) -> None:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    bent = size * walk @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    assert examine(bent, RATE, rest).up_axis == axis


def test_somersaults_have_no_up_axis(walk: np.ndarray, rest: RestPose) -> None:
    angle = np.linspace(0, 2 * np.pi, len(walk))
    turns = np.zeros((len(walk), 3, 3))
    turns[:, 0, 0] = 1
    turns[:, 1, 1] = turns[:, 2, 2] = np.cos(angle)
    turns[:, 1, 2], turns[:, 2, 1] = np.sin(angle), -np.sin(angle)
    found = examine((walk - walk.mean(axis=1, keepdims=True)) @ turns, RATE, rest)
    assert found.up_axis == "none"
    assert found.doubts == ()


# ------------------------------------------------------------------------------------------------ what is measured


def plainly(joints: np.ndarray, rate: float, rest: RestPose) -> dict[str, object]:
    """The same once more, in float64 and as it reads."""
    joints = joints.astype(np.float64)
    assert rest.skeleton is not None
    lengths = {
        name: np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
        for name, (child, parent) in rest.skeleton.bones.items()
    }
    changes = {name: np.abs(of / np.median(of) - 1).max() for name, of in lengths.items()}
    speeds = np.linalg.norm(joints[1:] - joints[:-1], axis=2) * rate
    accelerations = np.linalg.norm(joints[2:] - 2 * joints[1:-1] + joints[:-2], axis=2) * rate**2
    distances = np.linalg.norm(joints, axis=2)
    return {
        "bone_lengths": {name: np.median(of) for name, of in lengths.items()},
        "largest_bone_change": max(changes.values()),
        "changing_bone": max(changes, key=lambda name: changes[name]),
        "highest_speed": speeds.max(),
        "fastest": tuple(np.argwhere(speeds == speeds.max())[0] + [1, 0]),
        "highest_acceleration": accelerations.max(),
        "most_accelerated": tuple(np.argwhere(accelerations == accelerations.max())[0] + [1, 0]),
        "repeated_frames": (speeds.max(axis=1) == 0).sum(),
        "farthest": distances.max(),
        "row_sum_effect_mm": 1000 * np.linalg.norm(joints - joints / rest.row_sums[:, None], axis=2).max(),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("frames", [3, 4, 60, 65])  # medians are of 65 frames
def test_it_agrees_with_a_plain_computation(rest: RestPose, frames: int, dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(frames)
    rest = replace(rest, row_sums=rng.uniform(0.9, 1.1, 17))
    joints = np.repeat(rng.normal(size=(frames, 17, 3)), rng.integers(1, 3, frames), axis=0)[:frames].astype(dtype)
    found = examine(joints, 30, rest)
    for name, expected in plainly(joints, 30, rest).items():
        value = getattr(found, name)
        if name == "bone_lengths":
            assert value == pytest.approx(expected, abs=6e-5)  # they are rounded to tenths of millimetres
        elif isinstance(expected, str | tuple):
            assert value == expected
        else:
            assert value == pytest.approx(expected, rel=1e-5 if dtype is np.float32 else 1e-12)


def test_the_median_of_a_long_sequence_is_nearly_that_of_all(rest: RestPose) -> None:
    rng = np.random.default_rng(0)
    joints = rest.positions + rng.normal(0, 0.01, (5000, 17, 3))
    found, expected = examine(joints, 50, rest), plainly(joints, 50, rest)
    assert found.bone_lengths == pytest.approx(expected["bone_lengths"], abs=0.005)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 128, 249, 250])
def test_the_size_of_blocks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, walk: np.ndarray, rest: RestPose, block: int
) -> None:
    sequences = [
        *(fault(walk) for fault, _ in FAULTS.values()),
        glitch(walk),
        np.broadcast_to(np.cumsum(np.tile([0, 0, 1, 1, 2], 60))[:, None, None], (300, 17, 3)).astype(
            np.float32
        ),  # ties
    ]
    rest = replace(rest, row_sums=np.linspace(0.9, 1.1, 17))
    whole = [examine(joints, RATE, rest) for joints in sequences]
    monkeypatch.setattr(plausibility, "BLOCK", block)
    assert [examine(joints, RATE, rest) for joints in sequences] == whole


def test_moving_and_turning_about_the_vertical_change_only_where_it_is(walk: np.ndarray, rest: RestPose) -> None:
    joints = walk.astype(np.float64)
    cos, sin = np.cos(0.7), np.sin(0.7)
    moved = joints @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + [3, -4, 0.5]
    found, before = examine(moved, RATE, rest), examine(joints, RATE, rest)
    assert found.bone_lengths == pytest.approx(before.bone_lengths, abs=1.1e-4)
    assert (found.changing_bone, found.up_axis) == (before.changing_bone, before.up_axis)
    for name in ("largest_bone_change", "highest_speed", "highest_acceleration", "longest_standstill"):
        assert getattr(found, name) == pytest.approx(getattr(before, name), rel=1e-9)
    assert found.farthest != pytest.approx(before.farthest, rel=1e-3)


def test_the_frame_rate_scales_speed_and_acceleration(walk: np.ndarray, rest: RestPose) -> None:
    slow, fast = (examine(walk, rate, rest) for rate in (25, 50))
    assert fast.highest_speed == pytest.approx(2 * slow.highest_speed)
    assert fast.highest_acceleration == pytest.approx(4 * slow.highest_acceleration)
    assert (fast.fastest, fast.bone_lengths) == (slow.fastest, slow.bone_lengths)


@pytest.mark.parametrize("frames", [1, 2])
def test_one_and_two_frames_have_no_acceleration(walk: np.ndarray, rest: RestPose, frames: int) -> None:
    found = examine(walk[:frames], RATE, rest)
    assert found.doubts == ()
    assert found.up_axis == "z"
    assert (found.highest_acceleration, found.most_accelerated) == (0, None)
    assert (found.highest_speed > 0) == (found.fastest is not None) == (frames == 2)
    assert found.bone_lengths["left_knee"] == pytest.approx(0.43, abs=0.02)


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 3e38), (np.float64, 1e308), (np.float64, 1e-308)])
def test_absurd_values_are_examined_without_a_warning(
    walk: np.ndarray, rest: RestPose, dtype: type[np.floating], value: float
) -> None:
    joints = walk.astype(dtype)
    joints[100:130, 3] = value
    joints[130:, 4] = -value
    found = examine(joints, RATE, rest)
    assert len(found.doubts) > 1
    json.dumps(asdict(found), allow_nan=False)


def test_a_body_in_a_single_point_is_examined(rest: RestPose) -> None:
    found = examine(np.zeros((50, 17, 3), np.float32), RATE, rest)
    assert found.up_axis == "none"
    assert (found.highest_speed, found.fastest, found.farthest) == (0, None, 0)
    assert len(found.doubts) == 2  # bones without length; nothing moves


def test_what_was_found_can_be_pickled_and_written_as_json(walk: np.ndarray, rest: RestPose) -> None:
    found = examine(glitch(walk), RATE, rest)
    assert pickle.loads(pickle.dumps(found)) == found
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["doubts"] == list(found.doubts)

    def check_plain(value: object) -> None:
        assert type(value) in (dict, tuple, str, int, float, type(None))
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
            check_plain(part)

    check_plain(asdict(found))


def test_long_sequences_take_little_memory(walk: np.ndarray, rest: RestPose) -> None:
    joints = np.tile(np.repeat(walk, 2, axis=0), (400, 1, 1))
    assert joints.nbytes > 40e6
    tracemalloc.start()
    examine(joints, RATE, rest)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


def test_plausibility_says_nothing_of_joints_that_do_not_tell_which_way_is_up(body: BodyModel) -> None:
    arms = [BODY22.joints.index(f"{side}_{part}") for side in ("left", "right") for part in ("elbow", "wrist")]
    folded = aj.fold(body, arms)
    found = examine(moving(folded, "walk"), RATE, at_rest(folded))
    assert (found.up_axis, found.doubts) == ("none", ())


# --------------------------------------------------------------------------------------------- the rest pose


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_rest_pose_is_that_of_a_body_posed_by_zeros(case: Case) -> None:
    folded = aj.fold(case.body, case.regressor)
    posed = folded.with_shape(np.zeros(0), np.float64).pose(np.zeros((1, case.poses.shape[1])), np.zeros((1, 3)))[0]
    found = at_rest(folded)
    np.testing.assert_allclose(found.positions, posed, rtol=0, atol=1e-12)
    assert found.skeleton is None
    np.testing.assert_allclose(folded.rest_joints, case.body.J_regressor @ case.body.v_template, atol=1e-12)


@pytest.mark.parametrize("name", sorted(JOINT_SETS.keys() - {"smplx"}))
def test_joints_of_the_tree_rest_where_the_body_has_them(body: BodyModel, name: str) -> None:
    skeleton = JOINT_SETS[name]
    folded = aj.fold(body, range(len(skeleton.joints)))
    found = at_rest(folded, skeleton)
    np.testing.assert_allclose(
        found.positions, (body.J_regressor @ body.v_template)[: len(skeleton.joints)], atol=1e-12
    )
    assert found.skeleton is skeleton
    assert found.sides == sides_by_name(skeleton)


def test_smplx_has_its_eyes_on_two_sides(support_data: Path) -> None:
    folded = aj.fold(aj.load_body_model(support_data / "body_models/smplx/SMPLX_NEUTRAL.npz"), range(55))
    assert at_rest(folded, SMPLX55).sides == sides_by_name(SMPLX55)


def sides_by_name(skeleton: Skeleton) -> tuple[str, ...]:
    return tuple(
        side if (side := name.partition("_")[0]) in ("left", "right") else "middle" for name in skeleton.joints
    )


@pytest.mark.parametrize("gender", GENDERS)
@pytest.mark.parametrize("skeleton", [H36M17_SPIN, H36M17, H36M17_UPLIFT], ids=lambda one: one.name)
def test_a_regressor_is_recognised_by_its_order(
    support_data: Path, regressor: JointRegressor, gender: str, skeleton: Skeleton
) -> None:
    rows = [SPIN[name] for name in skeleton.joints]
    body = aj.load_body_model(support_data / f"body_models/smplh/{gender}/model.npz")
    found = at_rest(aj.fold(body, JointRegressor(regressor.matrix[rows])))
    assert found.skeleton is skeleton
    assert found.sides == sides_by_name(skeleton)


def test_other_orders_and_numbers_of_rows_are_not_recognised(body: BodyModel, regressor: JointRegressor) -> None:
    matrix = regressor.matrix
    arms_swapped = [*range(11), 14, 15, 16, 11, 12, 13]
    upside_down = [10, *range(1, 8), 8, 9, 0]
    for rows in (arms_swapped, [*upside_down, *range(11, 17)], range(16), [*range(17), 0], range(16, -1, -1)):
        found = at_rest(aj.fold(body, JointRegressor(matrix[list(rows)])))
        assert found.skeleton is None
        assert found.bones == ()


@pytest.mark.parametrize("kind", ["many vertices", "few vertices", "single vertices", "empty"])
def test_a_regressor_of_random_rows_is_not_recognised(body: BodyModel, kind: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(5):
        if kind in ("many vertices", "few vertices"):
            matrix = rng.random((17, 6890)) * (rng.random((17, 6890)) < (0.02 if kind == "many vertices" else 0.001))
        else:
            matrix = np.zeros((17, 6890))
            matrix[np.arange(17), rng.integers(6890, size=17)] = kind != "empty"
        matrix /= np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        assert at_rest(aj.fold(body, JointRegressor(matrix))).skeleton is None


def test_the_regressor_of_pose2mesh_is_for_other_vertices_than_the_stand_ins(samples: Path, body: BodyModel) -> None:
    """On the stand-in its rows are points anywhere: they must not be taken for a skeleton."""
    found = at_rest(aj.fold(body, aj.load_regressor(samples / "J_regressor_h36m_correct.npy")))
    assert found.skeleton is None
    assert found.name(3) == "joint of row 3"


def test_a_skeleton_of_another_number_of_joints_is_refused(folded: aj.FoldedBody) -> None:
    with pytest.raises(aj.InputError, match="the skeleton body22 has 22 joints, the conversion gives 17: name another"):
        at_rest(folded, BODY22)


@pytest.mark.parametrize(
    ("sums", "effects"),
    [
        ([1, 1 + 1e-12, 1 - 1e-12], None),
        ([1, 0.5, 2], [0, 1, 0.5]),
        ([1, 0, 1e-9], None),  # differences of points, or nothing: no joints
        ([-1, 1, 0.1], [2, 0, 9]),
    ],
)
def test_row_sums_have_effects_by_the_distance(rest: RestPose, sums: list[float], effects: list[float] | None) -> None:
    found = RestPose(rest.positions[:3], rest.sides[:3], None, np.array(sums, float)).row_sum_effects
    assert found is None if effects is None else found == pytest.approx(effects)


# ------------------------------------------------------------------------------------------------- the skeletons


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_skeletons_are_trees_and_symmetric(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joints)) == len(skeleton.joints) == len(skeleton.parents)
    (root,) = (row for row, parent in enumerate(skeleton.parents) if parent == -1)
    for row in range(len(skeleton.joints)):  # from everywhere the root is reached
        steps = 0
        while row != root:
            row, steps = skeleton.parents[row], steps + 1
            assert steps < len(skeleton.joints)
    bones = {child: skeleton.joints[parent] for child, (_, parent) in skeleton.bones.items()}
    assert [skeleton.joints[row] for row, _ in skeleton.bones.values()] == list(bones)
    assert {*bones, skeleton.joints[root]} == set(skeleton.joints)
    for child, parent in bones.items():
        if child.startswith("left_"):
            assert bones[child.replace("left_", "right_")] == parent.replace("left_", "right_")


def test_the_bones_are_those_that_people_know() -> None:
    of_h36m = {child: H36M17.joints[parent] for child, (_, parent) in H36M17.bones.items()}
    assert of_h36m == {child: H36M17_SPIN.joints[parent] for child, (_, parent) in H36M17_SPIN.bones.items()}
    assert H36M17.joints[1:4] == ("right_hip", "right_knee", "right_ankle")
    assert {name: of_h36m[name] for name in ("spine", "neck", "jaw", "head_top", "left_shoulder", "left_hip")} == {
        "spine": "pelvis",
        "neck": "spine",
        "jaw": "neck",
        "head_top": "jaw",
        "left_shoulder": "neck",
        "left_hip": "pelvis",
    }
    for name, child, parent in [
        ("body22", "left_collar", "spine3"),
        ("body22", "head", "neck"),
        ("smpl24", "left_hand", "left_wrist"),
        ("smplh52", "right_thumb1", "right_wrist"),
        ("smplx55", "right_eye", "head"),
        ("smplx55", "jaw", "head"),
        ("smplx55", "left_index1", "left_wrist"),
        ("smplx55", "right_thumb3", "right_thumb2"),
    ]:
        skeleton = SKELETONS[name]
        assert skeleton.joints[skeleton.bones[child][1]] == parent


def test_the_trees_are_those_of_the_model_files(support_data: Path) -> None:
    for name, path in [("smplh52", "smplh/male/model.npz"), ("smplx55", "smplx/SMPLX_NEUTRAL.npz")]:
        assert tuple(aj.load_body_model(support_data / "body_models" / path).parents) == SKELETONS[name].parents


def test_joint_sets_have_skeletons_of_their_names() -> None:
    assert {name: len(one.joints) for name, one in JOINT_SETS.items()} == {"body": 22, "smplh": 52, "smplx": 55}
    assert all(one is SKELETONS[one.name] for one in JOINT_SETS.values())
    assert all(one.name == name for name, one in SKELETONS.items())


def test_nothing_found_is_left_out_of_the_comparison() -> None:
    """Each field is either checked against the plain computation, or has tests of its own."""
    own = {"longest_standstill", "longest_freeze", "freezes_at", "up_axis", "doubts"}
    names = {*Plausibility.__dataclass_fields__} - own
    rest = RestPose(np.zeros((17, 3)), ("middle",) * 17, H36M17_SPIN, np.ones(17))
    assert names == set(plainly(np.random.default_rng(0).normal(size=(5, 17, 3)), 50, rest))
