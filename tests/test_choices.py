"""What people choose of the motion: which frames are kept, how joints are given, and that nothing is done twice."""

import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import amass_joints as aj
from amass_joints.amass import canonical_name
from amass_joints.choices import Choices, published_kinds, published_trims, y_up, z_up
from amass_joints.errors import InputError
from amass_joints.metadata import Metadata
from amass_joints.motions import Motion
from amass_joints.sequences import Skipped
from amass_joints.skeletons import COCO17, H36M17, H36M17_SPIN, H36M17_UPLIFT, SKELETONS, Skeleton

WALK = "CMU/01/01_01_poses"

# What the sources say (the URLs are in choices.json), written down once more.
T_POSES = {  # HumanML3D: seconds, by the directories' names there
    "Eyes_Japan_Dataset": 3,
    "MPI_HDM05": 3,
    "TotalCapture": 1,
    "MPI_Limits": 1,
    "Transitions_mocap": 0.5,
}


def named(frames: int, joints: int = 17, dtype: Any = np.float32) -> np.ndarray:
    """Positions of which each says where it was: frame, joint, axis."""
    return (np.arange(frames)[:, None, None] * 1.0 + np.arange(joints)[:, None] / 32 + np.arange(3) * 1000).astype(
        dtype
    )


def motion(
    frames: int = 100,
    frame_rate: float = 50.0,
    *,
    dataset: str = "CMU",
    dtype: Any = np.float32,
    choices: Choices = Choices(),
) -> Motion:
    metadata = Metadata(H36M17_SPIN, choices)
    return Motion(dataset, "01", "01_01_poses", named(frames, dtype=dtype), frame_rate, metadata)


def whole(motion: Motion | Skipped) -> Motion:
    assert isinstance(motion, Motion), motion
    return motion


# ------------------------------------------------------------------------------------------------- which frames


def test_nothing_chosen_keeps_all_and_copies_nothing() -> None:
    positions = named(5)
    assert Choices().kept(WALK, 5, 120.0) == slice(0, 5)
    assert Choices().arrange(positions, None) is positions
    assert str(Choices()) == "nothing"
    assert Choices().as_json() == {}


@pytest.mark.parametrize(
    ("seconds", "frame_rate", "first"),
    [
        (0.5, 50.0, 25),
        (0.1, 120.0, 12),  # 0.1 in binary is a little more than 1/10
        (0.3, 10.0, 3),  # 0.3 * 10 is right, 0.1 * 3 * 10 is not
        (1.1, 100.0, 110),  # 1.1 * 100 is 110.00000000000001
        (0.57, 100.0, 57),  # 0.57 * 100 is 56.99999999999999
        (0.01, 50.0, 1),  # earlier frames go
        (0.02, 50.0, 1),
        (0.021, 50.0, 2),
        (1 / 3, 60.0, 20),  # 0.3333333333333333, as people read it, is less than a third
        (1.0, 59.9999885559082, 60),
        (1.0, 120.00004577636719, 121),
    ],
)
def test_first_frame_kept_is_the_first_that_is_not_too_early(seconds: float, frame_rate: float, first: int) -> None:
    assert Choices(trim_start=seconds).kept(WALK, 1000, frame_rate) == slice(first, 1000)
    assert Choices(trim_start=seconds).kept(WALK, 1000, np.float64(frame_rate)) == slice(first, 1000)


frame_rates = st.sampled_from([20.0, 29.97, 50.0, 59.9999885559082, 60.0, 100.0, 120.00004577636719, 250.0])
seconds = st.integers(0, 5000).map(lambda thousandths: thousandths / 1000)


@given(st.integers(0, 2000), frame_rates, seconds, seconds)
def test_kept_frames_are_those_of_the_rule(frames: int, frame_rate: float, trim_start: float, shortest: float) -> None:
    kept = Choices(trim_start=trim_start, min_seconds=shortest).kept(WALK, frames, frame_rate)
    hertz = Decimal(str(frame_rate))
    late_enough = [frame for frame in range(frames) if Decimal(frame) / hertz >= Decimal(str(trim_start))]
    if late_enough and len(late_enough) >= Decimal(str(shortest)) * hertz:
        assert kept == slice(late_enough[0], frames)
    else:
        assert isinstance(kept, Skipped)


@pytest.mark.parametrize(
    ("frames", "frame_rate", "is_kept"), [(50, 50.0, True), (49, 50.0, False), (12, 120.0, False), (60, 59.0, True)]
)
def test_a_motion_that_lasts_as_long_is_long_enough(frames: int, frame_rate: float, is_kept: bool) -> None:
    assert isinstance(Choices(min_seconds=1).kept(WALK, frames, frame_rate), slice) == is_kept


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (Choices(min_seconds=3), "too short: 2 s, expected at least 3 s"),
        (Choices(min_seconds=1.5, trim_start=0.6), "too short: 1.4 s are left of 2 s, expected at least 1.5 s"),
        (Choices(trim_start=2), "too short: 0 s are left of 2 s"),
        (Choices(trim_start=20), "too short: 0 s are left of 2 s"),
    ],
)
def test_short_motions_are_skipped_with_their_reason(choices: Choices, reason: str) -> None:
    assert choices.kept(WALK, 100, 50.0) == Skipped(reason)


# ---------------------------------------------------------------------------------------------------- published


def test_published_ones_have_sources_and_known_datasets() -> None:
    for one in (*published_trims().values(), *published_kinds().values()):
        assert one.source.startswith("https://github.com/")
        assert one.about
    assert list(published_trims()) == ["humanml3d", "humor"]
    assert list(published_kinds()) == ["skating", "treadmill"]
    datasets = published_trims()["humanml3d"].seconds_at_start
    assert datasets == {canonical_name(name): Decimal(str(seconds)) for name, seconds in T_POSES.items()}


@pytest.mark.parametrize("frame_rate", [20.0, 50.0, 120.0])
@pytest.mark.parametrize("dataset", [*T_POSES, "CMU", "KIT", "HumanEva", "Transitions"])
def test_humanml3d_cuts_t_poses_at_the_start(dataset: str, frame_rate: float) -> None:
    seconds = T_POSES.get({"Transitions": "Transitions_mocap"}.get(dataset, dataset), 0)
    for name in (dataset, canonical_name(dataset)):
        kept = Choices(trims="humanml3d").kept(f"{name}/s/a_poses", 1000, frame_rate)
        assert kept == slice(int(seconds * frame_rate), 1000)


def test_humor_keeps_the_middle_and_nothing_shorter_than_a_second() -> None:
    for frame_rate in (50.0, 120.0):
        for frames in range(2000):
            start, stop = int(0.1 * frames), int(0.9 * frames)  # as HuMoR has it
            kept = Choices(trims="humor").kept(WALK, frames, frame_rate)
            if stop - start < 1.0 * frame_rate:
                assert isinstance(kept, Skipped)
            else:
                assert kept == slice(start, stop)


def test_published_trims_come_before_the_others() -> None:
    assert Choices(trims="humor", trim_start=0.5).kept(WALK, 1000, 50.0) == slice(125, 900)
    assert Choices(trims="humanml3d", trim_start=0.5).kept("TotalCapture/s1/a_poses", 1000, 50.0) == slice(75, 1000)
    assert Choices(trims="humor", trim_start=15.5).kept(WALK, 1000, 50.0) == Skipped(
        "too short: 0.5 s are left of 20 s, expected at least 1 s"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BMLrub/rub001/0005_treadmill_slow_poses", "treadmill"),
        ("BMLrub/rub001/0005_normal_walk1_poses", "treadmill"),
        ("BMLrub/rub001/0005_normal_walk1_stageii", "treadmill"),
        ("BioMotionLab_NTroje/rub 001/0005_treadmill_jog_poses", "treadmill"),
        ("BMLrub/rub001/0005_treadmill", "treadmill"),
        ("BMLrub/rub001/0005_normally_poses", None),
        ("BMLrub/rub001/0005_walk_normal_poses", None),
        ("BMLrub/rub001/normal_poses", None),
        ("BMLrub/0005_normal_x/0005_jumping1_poses", None),
        ("KIT/3/0005_treadmill_slow_poses", None),
        ("MPIHDM05/dg/HDM_dg_07-01_01_120_poses", "skating"),
        ("HDM05/dg/HDM_dg_07-01_02_120_stageii", "skating"),
        ("MPI_HDM05/dg/HDM_dg_07-01", "skating"),
        ("MPIHDM05/dg/HDM_dg_07-02_01_120_poses", None),
        ("MPIHDM05/tr/HDM_dg_07-01_01_120_poses", None),
        ("MPIHDM05/dg/x/HDM_dg_07-01_01_120_poses", None),
    ],
)
def test_kinds_of_motions_are_left_out(name: str, kind: str | None) -> None:
    dataset, subject, file = name.split("/")[0], name.split("/")[1], name.split("/")[-1]
    by_humor = None  # cleanup_amass_data.py, with the names of today
    if canonical_name(dataset) == "BMLrub" and f"{file}.npz".split("_")[1].removesuffix(".npz") in (
        "treadmill",
        "normal",
    ):
        by_humor = "treadmill"
    if canonical_name(dataset) == "MPIHDM05" and subject == "dg" and name.count("/") == 2:
        by_humor = "skating" if file.startswith("HDM_dg_07-01") else None
    assert by_humor == kind
    for one in published_kinds():
        kept = Choices(leave_out=(one,)).kept(name, 100, 50.0)
        assert isinstance(kept, Skipped) == (one == kind)
    both = Choices(leave_out=("skating", "treadmill")).kept(name, 100, 50.0)
    assert both == (slice(0, 100) if kind is None else Skipped(f"left out: {published_kinds()[kind].about}"))


# -------------------------------------------------------------------------------------------------- arrangement


def by_hand(positions: np.ndarray, skeleton: Skeleton, choices: Choices) -> np.ndarray:
    """Say of each number where it comes from."""
    order = SKELETONS[choices.order] if choices.order else skeleton
    arranged = np.empty((len(positions), len(order.joints), 3), positions.dtype)
    for frame, joints in enumerate(positions):
        root = joints[skeleton.joints.index("pelvis")] if choices.root_relative else np.zeros(3, positions.dtype)
        for row, joint in enumerate(order.joints):
            x, y, z = joints[skeleton.joints.index(joint)] - root
            point = (x, z, -y) if choices.up == "y" else (x, y, z)
            arranged[frame, row] = point if choices.units == "m" else [1000 * value for value in point]
    return arranged


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("root_relative", [False, True])
@pytest.mark.parametrize("units", ["m", "mm"])
@pytest.mark.parametrize("up", ["z", "y"])
@pytest.mark.parametrize("order", [None, "h36m17", "h36m17-spin", "h36m17-uplift"])
def test_joints_are_given_as_chosen(order: Any, up: Any, units: Any, root_relative: bool, dtype: Any) -> None:
    choices = Choices(order=order, up=up, units=units, root_relative=root_relative)
    positions = np.random.default_rng(0).normal(size=(4, 17, 3)).astype(dtype)
    before = positions.copy()
    arranged = choices.arrange(positions, H36M17_SPIN)
    assert arranged.dtype == dtype
    np.testing.assert_array_equal(arranged, by_hand(positions, H36M17_SPIN, choices))
    np.testing.assert_array_equal(positions, before)
    assert (arranged is positions) == (arranged.tobytes() == positions.tobytes())


def test_left_arm_that_rises_is_the_left_arm_and_rises_along_the_axis_that_is_up(support_data: Path) -> None:
    body = aj.load_body_model(support_data / "body_models/smplh/male/model.npz")
    folded = aj.fold(body, aj.load_regressor(support_data / "J_regressor_h36m.npy"))
    poses = np.zeros((2, 156))
    poses[:, 0] = np.pi / 2  # the model's y, up, becomes the world's z
    poses[1, 3 * 16 + 2] = 1.0  # the left shoulder, about the axis that points forward
    still, risen = folded.with_shape(np.zeros(16)).pose(poses, np.array([[5.0, 3.0, 1.0]] * 2))[:, None]
    for order in (None, "h36m17", "h36m17-uplift"):
        rows = (SKELETONS[order] if order else H36M17_SPIN).joints
        for up, axis in (("z", 2), ("y", 1)):
            choices = Choices(order=order, up=up, units="mm", root_relative=True)  # type: ignore[arg-type]
            moved = choices.arrange(risen, H36M17_SPIN) - choices.arrange(still, H36M17_SPIN)
            far = {rows[row] for row in np.flatnonzero(np.abs(moved[0]).max(axis=1) > 100)}
            assert far == {"left_elbow", "left_wrist"}
            assert moved[0, rows.index("left_wrist"), axis] > 100


def test_root_is_found_by_its_name() -> None:
    """Uplift's order has the pelvis in row 6."""
    relative = Choices(root_relative=True).arrange(named(3), H36M17_UPLIFT)
    np.testing.assert_array_equal(relative[:, 6], 0)
    np.testing.assert_array_equal(relative[:, 0], named(3)[:, 0] - named(3)[:, 6])


def test_y_up_is_a_rotation_and_undone_by_z_up() -> None:
    positions = np.random.default_rng(1).normal(size=(5, 3))
    assert np.linalg.det(y_up(np.eye(3))) == 1  # and no mirror
    np.testing.assert_array_equal(z_up(y_up(positions)), positions)
    np.testing.assert_array_equal(y_up(y_up(y_up(y_up(positions)))), positions)
    np.testing.assert_array_equal(y_up(np.array([0.0, 0.0, 1.0])), [0, 1, 0])


@pytest.mark.parametrize(
    ("choices", "skeleton", "message"),
    [
        (Choices(order="h36m17"), None, "--order: it is not known what the joints are. Say it with --skeleton"),
        (Choices(root_relative=True), None, "--root-relative: it is not known what the joints are"),
        (Choices(root_relative=True), COCO17, "coco17 has no pelvis"),
        (Choices(order="coco17"), H36M17, "cannot be put into the order coco17: they lack nose"),
    ],
)
def test_what_cannot_be_arranged_is_refused(choices: Choices, skeleton: Skeleton | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choices.arrange(named(2), skeleton)


# ----------------------------------------------------------------------------------------------------- nonsense


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        ({"order": "h36m18"}, "there is no skeleton 'h36m18', expected one of h36m17-spin, h36m17"),
        ({"min_seconds": -1.0}, "--min-seconds is -1 seconds, expected 0 to 21600"),
        ({"min_seconds": 21601.0}, "--min-seconds is 21601 seconds"),
        ({"trims": "tpose"}, "no trims 'tpose', expected one of humanml3d, humor"),
        ({"leave_out": ["treadmill", "swimming"]}, "'swimming', expected one of skating, treadmill"),
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Choices.from_json(nonsense)


@pytest.mark.parametrize("seconds", [math.inf, -math.inf, math.nan, 1e300, -0.1])
def test_seconds_that_are_none_are_refused(seconds: float) -> None:
    with pytest.raises(InputError, match="--min-seconds is"):
        Choices(min_seconds=seconds)
    with pytest.raises(InputError, match="--trim-start is"):
        Choices(trim_start=seconds)


@pytest.mark.parametrize(
    ("nonsense", "message"), [({"up": "x"}, "is 'x', expected z or y"), ({"units": "cm"}, "are 'cm', expected m or mm")]
)
def test_axes_and_units_that_are_none_are_refused(nonsense: dict[str, Any], message: str) -> None:
    program = f"from amass_joints.choices import Choices; Choices(**{nonsense})"  # types are not checked there
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert message in failed.stderr
    assert "InputError" in failed.stderr


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], r"its choices are \[\], expected names and values"),
        ({"mirror": True}, "'mirror', which this version of amass-joints does not know: a newer one wrote it"),
        ({"order": 17}, "17 for order, expected text"),
        ({"order": None}, "None for order, expected text"),
        ({"up": "x"}, "'x' for up, expected z or y"),
        ({"units": ["mm"]}, r"\['mm'\] for units, expected m or mm"),
        ({"min_seconds": "1"}, "'1' for min_seconds, expected a number"),
        ({"min_seconds": True}, "True for min_seconds, expected a number"),
        ({"trim_start": 10**400}, "for trim_start, expected a number"),
        ({"trim_start": float("nan")}, "nan for trim_start, expected a number"),
        ({"root_relative": 1}, "1 for root_relative, expected true or false"),
        ({"leave_out": "treadmill"}, "'treadmill' for leave_out, expected a list of texts"),
        ({"leave_out": [["treadmill"]]}, "for leave_out, expected a list of texts"),
        ({"trims": "of tomorrow"}, "no trims 'of tomorrow'"),
    ],
)
def test_metadata_that_is_none_is_refused(found: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Choices.from_json(found)


# ----------------------------------------------------------------------------------------------- written and said

some_choices = st.fixed_dictionaries(  # made Choices of in the tests: their types are checked with random samples
    {
        "order": st.sampled_from([None, "h36m17", "h36m17-spin", "h36m17-uplift"]),
        "up": st.sampled_from(["z", "y"]),
        "units": st.sampled_from(["m", "mm"]),
        "root_relative": st.booleans(),
        "min_seconds": seconds,
        "trim_start": seconds,
        "trims": st.sampled_from([None, "humor", "humanml3d"]),
        "leave_out": st.lists(st.sampled_from(["treadmill", "skating"]), unique=True).map(tuple),
    }
)


@given(some_choices)
def test_choices_come_back_from_json(values: dict[str, Any]) -> None:
    choices = Choices(**values)
    written = choices.as_json()
    assert Choices.from_json(json.loads(json.dumps(written))) == choices
    assert all(written[name] != getattr(Choices(), name) for name in written)


def test_choices_are_said_on_a_line() -> None:
    assert str(Choices(up="y", units="mm", trim_start=0.5)) == "y up, millimetres, 0.5 s cut off at the start"
    everything = Choices("h36m17", "y", "mm", True, 1.0, 0.5, "humor", ("treadmill", "skating"))
    assert {getattr(everything, one.name) != one.default for one in fields(Choices)} == {True}
    assert str(everything) == (
        "joints in the order h36m17, relative to the pelvis, y up, millimetres, trimmed as by humor, "
        "0.5 s cut off at the start, nothing shorter than 1 s, without skating, treadmill"
    )


def test_motions_are_left_out_in_no_order() -> None:
    """So that --skip-existing takes what is there for the same."""
    one, other = Choices(leave_out=("treadmill", "skating")), Choices(leave_out=("skating", "treadmill", "skating"))
    assert one == other
    assert one.leave_out == ("skating", "treadmill")


# ---------------------------------------------------------------------------------------------------- on motions


@given(some_choices)
def test_the_same_choices_again_change_nothing(values: dict[str, Any]) -> None:
    choices = Choices(**values)
    once = motion(frames=1000, dataset="TotalCapture").chosen(choices)
    if isinstance(once, Motion):
        again = whole(once.chosen(choices))
        assert again.metadata == once.metadata
        assert again.positions_3d.tobytes() == once.positions_3d.tobytes()


@given(some_choices, some_choices, frame_rates)
def test_choices_in_two_steps_are_those_in_one(one: dict[str, Any], other: dict[str, Any], frame_rate: float) -> None:
    """And the metadata say what the numbers are: of the whole motion, they give the same."""
    first, then = Choices(**one), Choices(**other)
    start = motion(frames=1000, frame_rate=frame_rate, dataset="MPILimits", dtype=np.float64)
    once = start.chosen(first)
    if isinstance(once, Skipped):
        return
    if (then.trims not in (None, first.trims) and (first.trims or first.trim_start)) or (
        0 < then.trim_start < first.trim_start
    ):
        with pytest.raises(InputError, match="convert again"):
            once.chosen(then)
        return
    twice, at_once = once.chosen(then), start.chosen(then.on_top_of(first))
    assert type(at_once) is type(twice)
    if isinstance(twice, Motion):
        assert twice.metadata == whole(at_once).metadata
        assert twice.metadata.choices == then.on_top_of(first)
        np.testing.assert_allclose(twice.positions_3d, whole(at_once).positions_3d, rtol=1e-12, atol=1e-6)


def test_what_was_chosen_before_stays() -> None:
    before = Choices("h36m17", "y", "mm", True, 2.0, 0.5, "humor", ("treadmill",))
    assert Choices().on_top_of(before) == before
    assert before.on_top_of(Choices()) == before
    more = Choices("h36m17-spin", min_seconds=1.0, trim_start=0.6, leave_out=("skating", "treadmill"))
    in_all = Choices("h36m17-spin", "y", "mm", True, 2.0, 0.6, "humor", ("treadmill", "skating"))
    assert more.on_top_of(before) == in_all
    # What is cut off now may make motions shorter than what was asked of them before.
    long = motion(choices=Choices(min_seconds=1.9))
    assert long.chosen(Choices(trim_start=0.2)) == Skipped("too short: 1.8 s are left of 2 s, expected at least 1.9 s")


def test_what_is_cut_off_before_counts() -> None:
    cut = whole(motion().chosen(Choices(trim_start=0.5)))
    assert len(cut.positions_3d) == 75
    more = whole(cut.chosen(Choices(trim_start=0.9)))
    assert more.metadata.choices.trim_start == 0.9
    np.testing.assert_array_equal(more.positions_3d, motion().positions_3d[45:])
    assert cut.chosen(Choices(min_seconds=1.6)) == Skipped("too short: 1.5 s, expected at least 1.6 s")
    middle = whole(motion().chosen(Choices(trims="humor")))
    assert len(middle.positions_3d) == 80
    np.testing.assert_array_equal(whole(middle.chosen(Choices(trims="humor"))).positions_3d, middle.positions_3d)
    assert middle.chosen(Choices(trim_start=0.7)) == Skipped(
        "too short: 0.9 s are left of 1.6 s, expected at least 1 s"
    )


@pytest.mark.parametrize(
    ("before", "then", "message"),
    [
        (Choices(trims="humor"), Choices(trims="humanml3d"), r"--trims humanml3d: .* before \(trimmed as by humor\)"),
        (Choices(trim_start=0.2), Choices(trims="humor"), r"--trims humor: .* whole motions.*\(0\.2 s cut off at"),
        (Choices(trim_start=0.2), Choices(trim_start=0.1), r"--trim-start 0\.1: 0\.2 s of these .* cut off already"),
    ],
)
def test_what_was_cut_off_is_not_put_back(before: Choices, then: Choices, message: str) -> None:
    trimmed = motion(choices=before)
    with pytest.raises(InputError, match=message):
        trimmed.chosen(then)


def test_motions_of_a_kind_are_left_out_of_files_too() -> None:
    treadmill = replace(motion(dataset="BMLrub"), name="0005_treadmill_slow_poses")
    assert isinstance(treadmill.chosen(Choices(leave_out=("treadmill",))), Skipped)
    assert whole(motion().chosen(Choices(leave_out=("treadmill",)))).metadata.choices.leave_out == ("treadmill",)


def test_order_is_kept_true() -> None:
    ordered = motion().in_order(H36M17)
    assert ordered.metadata == Metadata(H36M17, Choices(order="h36m17"))
    np.testing.assert_array_equal(ordered.positions_3d, by_hand(motion().positions_3d, H36M17_SPIN, Choices("h36m17")))
    back = whole(ordered.chosen(Choices(order="h36m17-spin", up="y")))
    assert back.metadata == Metadata(H36M17_SPIN, Choices(order="h36m17-spin", up="y"))
    np.testing.assert_array_equal(back.positions_3d, y_up(motion().positions_3d))
    assert whole(ordered.chosen(Choices())).metadata == ordered.metadata


@pytest.mark.parametrize("up", ["z", "y"])
@pytest.mark.parametrize("units", ["m", "mm"])
def test_what_was_chosen_is_undone_for_formats_that_need_the_world(up: Any, units: Any) -> None:
    chosen = whole(motion().chosen(Choices(up=up, units=units, trim_start=0.1)))
    world = chosen.in_the_world()
    assert world.metadata == Metadata(H36M17_SPIN, Choices(trim_start=0.1))
    assert world.positions_3d.dtype == np.float32
    np.testing.assert_allclose(world.positions_3d, motion().positions_3d[5:], rtol=2**-22)
    assert world.in_the_world() is world


def test_where_the_root_was_cannot_be_had_back() -> None:
    relative = whole(motion().chosen(Choices(root_relative=True)))
    with pytest.raises(InputError, match=r"CMU/01/01_01_poses: .*Convert again without --root-relative"):
        relative.in_the_world()


def test_motions_of_unknown_joints_can_be_trimmed_and_turned() -> None:
    unknown = replace(motion(), metadata=Metadata(None, Choices()))
    turned = whole(unknown.chosen(Choices(up="y", units="mm", trim_start=1)))
    assert turned.metadata.skeleton is None
    np.testing.assert_array_equal(turned.positions_3d, y_up(unknown.positions_3d[50:]) * np.float32(1000))
    with pytest.raises(InputError, match="--order: it is not known"):
        unknown.chosen(Choices(order="h36m17"))
