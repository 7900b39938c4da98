"""The stand-ins have the form of what they stand in for and move as people can; the demo runs as users run it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

import amass_joints as aj
from amass_joints import demo
from amass_joints.body_models import GENDERS
from amass_joints.demo.body import StandInBody, make_body, make_joint_regressor
from amass_joints.demo.motions import MOTIONS, make_motion
from amass_joints.finding import find_datasets
from amass_joints.folding import fold
from amass_joints.mesh import pose_mesh
from amass_joints.sequences import read_sequence
from amass_joints.skeletons import H36M17_SPIN_JOINTS, NUM_BODY_JOINTS, SMPLH_JOINTS, SMPLH_PARENTS


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
    joints = dict(zip(SMPLH_JOINTS, body.rest_joints(np.zeros(16)), strict=True))
    assert joints["left_hip"][0] > 0.05 > -0.05 > joints["right_hip"][0]  # x is the person's left
    assert joints["head"][1] > joints["neck"][1] > joints["left_hip"][1] > joints["left_knee"][1]  # y is up
    assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05  # z is forward
    assert joints["left_wrist"][0] > joints["left_elbow"][0] > joints["left_shoulder"][0]  # the T pose
    assert abs(joints["left_wrist"][1] - joints["left_shoulder"][1]) < 0.1
    for feature in (body.shapedirs, body.posedirs, body.dmpl_eigvec):
        assert np.isfinite(feature).all()
        assert np.abs(feature).max(axis=(0, 1)).min() > 0  # no component does nothing


def test_the_three_bodies_differ_as_people_do() -> None:
    stature, shoulders, hips = {}, {}, {}
    for gender in GENDERS:
        body = make_body(gender)
        joints = body.rest_joints(np.zeros(16))
        width = {part: 2 * joints[SMPLH_JOINTS.index(f"left_{part}"), 0] for part in ("shoulder", "hip")}
        stature[gender] = np.ptp(body.v_template[:, 1])
        shoulders[gender] = width["shoulder"] / stature[gender]
        hips[gender] = width["hip"] / width["shoulder"]
    assert 1.55 < stature["female"] < stature["neutral"] < stature["male"] < 1.9
    assert 0.19 < shoulders["female"] < shoulders["neutral"] < shoulders["male"] < 0.24
    assert 0.6 > hips["female"] > hips["neutral"] > hips["male"] > 0.4


@pytest.mark.parametrize("gender", GENDERS)
def test_the_regressor_finds_human36m_joints_in_spin_order(gender: str) -> None:
    body, regressor = make_body(gender), make_joint_regressor()
    assert ((regressor != 0).sum(axis=1) <= 9).all()
    joints = regressor @ body.v_template
    rest = dict(zip(SMPLH_JOINTS, body.rest_joints(np.zeros(16)), strict=True))
    for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        for side in ("left", "right"):
            name = f"{side}_{limb}"
            assert np.linalg.norm(joints[spin(name)] - rest[name]) < 0.03
    assert np.linalg.norm(joints[spin("pelvis")] - (rest["left_hip"] + rest["right_hip"]) / 2) < 0.03
    heights = [joints[spin(name), 1] for name in ("pelvis", "spine", "neck", "jaw", "head_top")]
    assert heights == sorted(heights)
    assert body.v_template[:, 1].max() - joints[spin("head_top"), 1] < 0.03


def test_the_fold_has_as_much_to_do_as_the_design_expects(support_data: Path) -> None:
    models = support_data / "body_models"
    body = aj.load_body_model(models / "smplh/male/model.npz", models / "dmpls/male/model.npz")
    folded = fold(body, aj.load_regressor(support_data / "J_regressor_h36m.npy"))
    assert 50 <= len(folded.pair_joints) <= 80
    assert 20 <= len(folded.featured) <= 30  # the body's pose blend shapes are dense
    assert len(folded.bones) < 52  # most of the fingers are gone


@pytest.mark.parametrize("name", MOTIONS)
def test_motions_do_not_depend_on_the_frame_rate(name: str) -> None:
    rest_joints = make_body("neutral").rest_joints(np.zeros(16))
    slow, fast = (make_motion(name, rest_joints, rate, 4.0) for rate in (50.0, 250.0))
    np.testing.assert_allclose(fast.poses[::5][:200], slow.poses[:200], atol=1e-9)
    np.testing.assert_allclose(fast.trans[::5][:200], slow.trans[:200], atol=1e-9)
    np.testing.assert_allclose(fast.dmpls[::5][:200], slow.dmpls[:200], atol=1e-6)
    assert np.abs(np.diff(fast.poses, axis=0)).max() * 250 < 30  # radians a second: nothing jumps


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recordings")
    demo.write_motions(directory, {gender: make_body(gender) for gender in GENDERS})
    return directory


@pytest.mark.parametrize("recording", demo.RECORDINGS, ids=lambda recording: f"{recording.where}-{recording.motion}")
def test_people_could_move_so(recording: demo.Recording, recordings: Path, support_data: Path) -> None:
    """Each motion, with the body, the shape and the pace that it has in the demo."""
    sequence = read_sequence(recordings / recording.where / f"{recording.motion}_poses.npz")
    assert isinstance(sequence, aj.Sequence)
    body = make_body(sequence.gender)
    angles = np.rad2deg(sequence.poses).reshape(-1, 52, 3)
    check_joint_angles(angles)
    assert angles[:, NUM_BODY_JOINTS:].std(axis=0).max(axis=1).min() > 1  # every joint of every finger moves
    assert (sequence.dmpls is None) == (not recording.soft_tissue)
    assert sequence.dmpls is None or sequence.dmpls.std(axis=0).min() > 0

    for side in ("left", "right"):
        check_planted(forward_kinematics(body, sequence, f"{side}_foot"), sequence.frame_rate)

    frames = np.linspace(1, len(angles) - 2, 25).astype(int)
    dmpls = None if sequence.dmpls is None else sequence.dmpls[frames]
    models = [support_data / f"body_models/{kind}/{sequence.gender}/model.npz" for kind in ("smplh", "dmpls")]
    meshes = pose_mesh(
        aj.load_body_model(*models), sequence.betas, sequence.poses[frames], sequence.trans[frames], dmpls
    )
    lowest = meshes[:, :, 2].min(axis=1)
    acceleration = np.diff(sequence.trans[:, 2], 2) * sequence.frame_rate**2
    falls = np.isclose(acceleration, -9.81, atol=0.05)[frames - 1]
    assert lowest.min() > -0.005
    assert lowest[~falls].max() < 0.01  # whoever does not fall has a foot on the floor
    if recording.motion in ("run", "jump"):
        assert lowest[falls].max() > 0.01
    else:
        assert not falls.any()
    assert min(clearance_of_hands(body, vertices) for vertices in meshes) > 0


def check_joint_angles(angles: np.ndarray) -> None:
    """Rotation vectors in degrees, against what joints of people can do."""
    for side, sign in (("left", 1), ("right", -1)):
        knee, ankle, elbow = (angles[:, SMPLH_JOINTS.index(f"{side}_{name}")] for name in ("knee", "ankle", "elbow"))
        assert knee[:, 0].min() > 0  # the leg is never too short for the way to the floor
        assert knee[:, 0].max() < 140
        assert np.abs(ankle).max() < 50
        flexion = -sign * elbow[:, 1]
        assert flexion.min() > 0
        assert flexion.max() < 150


def check_planted(ball: np.ndarray, frame_rate: float) -> None:
    """Where the ball of a foot (frames, 3) is down, but for the moments of landing and lifting, it stays."""
    is_down = ball[:, 2] < ball[:, 2].min() + 0.001
    is_planted = ndimage.binary_erosion(is_down, iterations=round(0.03 * frame_rate), border_value=1)
    assert is_planted.mean() > 0.1
    spells, count = ndimage.label(is_planted)
    for spell in range(1, count + 1):
        assert np.ptp(ball[spells == spell], axis=0).max() < 0.002


def forward_kinematics(body: StandInBody, sequence: aj.Sequence, name: str) -> np.ndarray:
    """Where the joint is in every frame, metres."""
    rest = body.rest_joints(sequence.betas)
    chain = [SMPLH_JOINTS.index(name)]
    while chain[0]:
        chain.insert(0, SMPLH_PARENTS[chain[0]])
    place, turn = rest[0] + sequence.trans, Rotation.identity()
    for parent, joint in pairwise(chain):
        turn = turn * Rotation.from_rotvec(sequence.poses[:, 3 * parent : 3 * parent + 3])
        place = place + turn.apply(rest[joint] - rest[parent])
    return place


def clearance_of_hands(body: StandInBody, vertices: np.ndarray) -> float:
    """How far the hands' skin is outside that of trunk, head and legs, metres; negative within."""
    a, b, c = vertices[body.f].transpose(1, 0, 2)
    centres, normals = (a + b + c) / 3, np.cross(b - a, c - a)
    owner = body.weights.argmax(axis=1)
    rest = (owner[body.f] < SMPLH_JOINTS.index("left_shoulder")).all(axis=1)
    hands = vertices[owner >= SMPLH_JOINTS.index("left_wrist")]
    _, nearest = cKDTree(centres[rest]).query(hands)
    normal = normals[rest][nearest] / np.linalg.norm(normals[rest][nearest], axis=1, keepdims=True)
    return float(np.sum((hands - centres[rest][nearest]) * normal, axis=1).min())


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
    assert (height[:, spin("head_top")] > height[:, spin("pelvis")] + 0.3).all()
    for above, below in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        for side in ("left", "right"):
            bone = np.linalg.norm(positions[:, spin(f"{side}_{above}")] - positions[:, spin(f"{side}_{below}")], axis=1)
            assert 0.2 < bone.min() <= bone.max() < 0.55
            assert np.ptp(bone) < 0.02  # skin and soft tissue move, bones do not


def test_walking_and_waving_left_and_right(support_data: Path) -> None:
    models = support_data / "body_models"
    folded = fold(
        aj.load_body_model(models / "smplh/male/model.npz"), aj.load_regressor(support_data / "J_regressor_h36m.npy")
    )
    rest_joints = make_body("male").rest_joints(np.zeros(16))
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
