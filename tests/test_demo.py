"""The stand-ins are what they stand in for, to the letter; and the demo runs as users run it."""

from pathlib import Path

import numpy as np
import pytest

import amass_joints as aj
from amass_joints import demo
from amass_joints.demo.body import make_body, make_joint_regressor
from amass_joints.demo.motions import MOTIONS, make_motion
from amass_joints.folding import fold
from amass_joints.sequences import find_datasets, read_sequence
from amass_joints.skeletons import H36M17_SPIN_JOINTS, SMPLH_JOINTS, SMPLH_PARENTS

GENDERS = ("male", "female", "neutral")


def spin(name: str) -> int:
    return H36M17_SPIN_JOINTS.index(name)


@pytest.mark.parametrize("gender", GENDERS)
def test_body_model_files_have_the_published_keys_shapes_and_types(support_data: Path, gender: str) -> None:
    with np.load(support_data / f"body_models/smplh/{gender}/model.npz") as file:
        assert {name: (file[name].shape, file[name].dtype.str) for name in file.files} == {
            "v_template": ((6890, 3), "<f8"),
            "shapedirs": ((6890, 3, 16), "<f8"),
            "posedirs": ((6890, 3, 459), "<f8"),
            "J_regressor": ((52, 6890), "<f8"),
            "weights": ((6890, 52), "<f8"),
            "kintree_table": ((2, 52), "<i8"),
            "f": ((13776, 3), "<u4"),
        }
        assert file["kintree_table"][0].tolist() == [2**32 - 1, *SMPLH_PARENTS[1:]]
        assert file["kintree_table"][1].tolist() == list(range(52))
    with np.load(support_data / f"body_models/dmpls/{gender}/model.npz") as file:
        assert file["eigvec"].shape == (6890, 3, 8)
    regressor = np.load(support_data / "J_regressor_h36m.npy")
    assert (regressor.shape, regressor.dtype) == ((17, 6890), np.float64)


@pytest.mark.parametrize("gender", GENDERS)
def test_the_mesh_is_one_closed_surface(gender: str) -> None:
    body = make_body(gender)
    edges = np.concatenate([body.f[:, [0, 1]], body.f[:, [1, 2]], body.f[:, [2, 0]]]).astype(int)
    directed = edges[:, 0] * 6890 + edges[:, 1]
    assert len(np.unique(directed)) == len(directed)
    assert set(directed) == set(edges[:, 1] * 6890 + edges[:, 0])  # each edge once in each direction
    assert len(np.unique(body.f)) == 6890
    assert 6890 - len(edges) // 2 + 13776 == 2  # Euler's number of a sphere
    corners = body.v_template[body.f]
    litres = 1000 * np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 45 < litres < 95  # outward, and of a person's size
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.min() > 1e-7


@pytest.mark.parametrize("gender", GENDERS)
def test_skinning_and_rest_joints(gender: str) -> None:
    body = make_body(gender)
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-12)
    assert body.weights.min() == 0
    assert (body.weights > 0).sum(axis=1).max() <= 4
    np.testing.assert_allclose(body.J_regressor.sum(axis=1), 1, atol=1e-12)
    joints = dict(zip(SMPLH_JOINTS, body.J_regressor @ body.v_template, strict=True))
    assert joints["left_hip"][0] > 0.05 > -0.05 > joints["right_hip"][0]  # x is the person's left
    assert joints["head"][1] > joints["neck"][1] > joints["left_hip"][1] > joints["left_knee"][1]  # y is up
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05  # z is forward
    assert joints["left_wrist"][0] > joints["left_elbow"][0] > joints["left_shoulder"][0]  # the T pose
    assert abs(joints["left_wrist"][1] - joints["left_shoulder"][1]) < 0.1
    for feature in (body.shapedirs, body.posedirs, body.dmpl_eigvec):
        assert np.isfinite(feature).all()
        assert np.abs(feature).max(axis=(0, 1)).min() > 0  # no component does nothing


def test_the_three_bodies_differ_as_people_do() -> None:
    stature = {gender: np.ptp(make_body(gender).v_template[:, 1]) for gender in GENDERS}
    assert 1.55 < stature["female"] < stature["neutral"] < stature["male"] < 1.9


@pytest.mark.parametrize("gender", GENDERS)
def test_the_regressor_finds_human36m_joints_in_spin_order(gender: str) -> None:
    body, regressor = make_body(gender), make_joint_regressor()
    assert ((regressor != 0).sum(axis=1) <= 9).all()
    joints = regressor @ body.v_template
    rest = dict(zip(SMPLH_JOINTS, body.J_regressor @ body.v_template, strict=True))
    for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        for side in ("left", "right"):
            name = f"{side}_{limb}"
            assert np.linalg.norm(joints[spin(name)] - rest[name]) < 0.03
    assert np.linalg.norm(joints[spin("pelvis")] - (rest["left_hip"] + rest["right_hip"]) / 2) < 0.03
    heights = [joints[spin(name), 1] for name in ("pelvis", "spine", "neck", "jaw", "head_top")]
    assert heights == sorted(heights)
    assert body.v_template[:, 1].max() - joints[spin("head_top"), 1] < 0.03


def test_the_fold_is_of_the_size_that_a_real_regressor_gives(support_data: Path) -> None:
    models = support_data / "body_models"
    body = aj.load_body_model(models / "smplh/male/model.npz", models / "dmpls/male/model.npz")
    folded = fold(body, aj.load_regressor(support_data / "J_regressor_h36m.npy"))
    assert 50 <= len(folded.pair_joints) <= 80
    assert 20 <= len(folded.featured) <= 30  # the body's pose blend shapes are dense, as the real ones are
    assert len(folded.bones) < 52  # most of the fingers are gone


@pytest.mark.parametrize("name", MOTIONS)
def test_motions_do_not_depend_on_the_frame_rate(name: str) -> None:
    rest_joints = make_body("neutral").rest_joints
    slow, fast = (make_motion(name, rest_joints, rate, 4.0) for rate in (50.0, 250.0))
    np.testing.assert_allclose(fast.poses[::5][:200], slow.poses[:200], atol=1e-9)
    np.testing.assert_allclose(fast.trans[::5][:200], slow.trans[:200], atol=1e-9)
    np.testing.assert_allclose(fast.dmpls[::5][:200], slow.dmpls[:200], atol=1e-6)
    assert np.abs(np.diff(fast.poses, axis=0)).max() * 250 < 30  # radians a second: nothing jumps
    assert fast.poses[:, 66:].std(axis=0).max() > 0 or name == "turn"  # hands move


def test_the_demo_as_users_run_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "a demo"
    demo.run(directory)
    shown = capsys.readouterr().out
    assert "Gait/02/broken_download_poses: broken or truncated" in shown
    assert "9 sequences" in shown
    assert "What to try next" in shown

    sources = {
        str(file): read_sequence(file.path)
        for dataset in find_datasets(directory / "data")
        for file in dataset.sequences
    }
    rates = {source.frame_rate for source in sources.values() if isinstance(source, aj.Sequence)}
    assert rates == {60, 100, 120, 250}
    assert {source.gender for source in sources.values() if isinstance(source, aj.Sequence)} == set(GENDERS)
    for output in ("Gait", "Gestures", "Sports"):
        with np.load(directory / f"joints/{output}.npz", allow_pickle=True) as file:
            for subject in file["positions_3d"].item().values():
                for converted in subject.values():
                    check_human(converted["positions_3d"])
                    assert converted["frame_rate"] == 50

    before = {path: path.read_bytes() for path in (directory / "joints").iterdir()}
    demo.run(directory)  # again, over itself
    assert {path: path.read_bytes() for path in (directory / "joints").iterdir()} == before


def check_human(positions: np.ndarray) -> None:
    assert positions.dtype == np.float32
    assert positions.shape[1:] == (17, 3)
    height = positions[:, :, 2]
    assert height.min() > -0.02  # above the floor, z is up
    assert (height[:, spin("head_top")] > height[:, spin("pelvis")] + 0.3).all()
    for above, below in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        for side in ("left", "right"):
            bone = np.linalg.norm(positions[:, spin(f"{side}_{above}")] - positions[:, spin(f"{side}_{below}")], axis=1)
            assert 0.2 < bone.min() <= bone.max() < 0.55
            assert np.ptp(bone) < 0.06  # skin and soft tissue move, bones do not


def test_walking_and_waving_left_and_right(support_data: Path) -> None:
    models = support_data / "body_models"
    folded = fold(
        aj.load_body_model(models / "smplh/male/model.npz"), aj.load_regressor(support_data / "J_regressor_h36m.npy")
    )
    rest_joints = make_body("male").rest_joints
    walk = make_motion("walk", rest_joints, 50.0, 8.0)
    joints = folded.with_shape(np.zeros(16)).pose(walk.poses, walk.trans)
    travelled = joints[-1, 0] - joints[0, 0]
    assert travelled[1] < -8  # towards -y, at more than a metre a second
    assert np.linalg.norm(joints[:, spin("left_hip")] - joints[:, spin("right_hip")], axis=1).min() > 0.1
    left_of_walker = joints[:, spin("left_hip"), 0] - joints[:, spin("right_hip"), 0]
    assert (left_of_walker > 0.1).all()
    wave = make_motion("wave", rest_joints, 50.0, 5.0)
    joints = folded.with_shape(np.zeros(16)).pose(wave.poses, wave.trans)
    middle = joints[len(joints) // 2]
    assert middle[spin("right_wrist"), 2] > middle[spin("right_shoulder"), 2] > middle[spin("left_wrist"), 2]


def test_the_demo_does_not_write_over_anything_of_its_users(tmp_path: Path) -> None:
    (tmp_path / "support_data").mkdir()
    with pytest.raises(aj.InputError, match=r"there is something else in it\. Pass the demo a new directory"):
        demo.run(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(aj.InputError, match=r"file: cannot be written to: .*Pass a directory that can"):
        demo.run(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "support_data"]
