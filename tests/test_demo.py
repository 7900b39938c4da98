"""The stand-ins have the form of what they stand in for and move as people can; the demo runs as users run it."""

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

import amass_joints as aj
from amass_joints import demo
from amass_joints.archives import read_members
from amass_joints.body_models import GENDERS
from amass_joints.conversion import Settings
from amass_joints.convert import convert_file
from amass_joints.demo.body import StandInBody, make_body, make_joint_regressor
from amass_joints.demo.motions import MOTIONS, make_motion
from amass_joints.demo.smplx import make_smplx_body
from amass_joints.finding import find_datasets
from amass_joints.folding import fold
from amass_joints.mesh import pose_mesh
from amass_joints.sequences import read_sequence
from amass_joints.skeletons import H36M17_SPIN_JOINTS, NUM_BODY_JOINTS, SMPLH_JOINTS, SMPLH_PARENTS, SMPLX_JOINTS

FACE = slice(22, 25)
"""SMPL-X's jaw and eyes."""


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


def test_the_smplx_model_file_has_the_published_keys_and_shapes(support_data: Path) -> None:
    """Those of the older files, with 10 shape and 10 expression components; float32 where they are large."""
    with np.load(support_data / "body_models/smplx/SMPLX_NEUTRAL.npz") as file:
        assert {name: (file[name].shape, file[name].dtype.str) for name in file.files} == {
            "v_template": ((10475, 3), "<f8"),
            "shapedirs": ((10475, 3, 20), "<f4"),
            "posedirs": ((10475, 3, 486), "<f4"),
            "J_regressor": ((55, 10475), "<f8"),
            "weights": ((10475, 55), "<f8"),
            "kintree_table": ((2, 55), "<i8"),
            "f": ((20946, 3), "<u4"),
        }
        parents = file["kintree_table"][0]
    head = SMPLX_JOINTS.index("head")
    assert parents[0] == 2**32 - 1
    assert parents[FACE].tolist() == [head, head, head]
    # Without the face, it is the tree of SMPL+H.
    names = dict(zip(SMPLX_JOINTS[1:], (SMPLX_JOINTS[parent] for parent in parents[1:]), strict=True))
    assert [names[name] for name in SMPLH_JOINTS[1:]] == [SMPLH_JOINTS[parent] for parent in SMPLH_PARENTS[1:]]


@pytest.fixture(scope="module")
def smplx_body() -> StandInBody:
    return make_smplx_body(make_body("neutral"))


@pytest.mark.parametrize("body_type", [*GENDERS, "smplx"])
def test_the_mesh_is_one_closed_surface(body_type: str, smplx_body: StandInBody) -> None:
    body = smplx_body if body_type == "smplx" else make_body(body_type)
    vertices = len(body.v_template)
    edges = np.concatenate([body.f[:, [0, 1]], body.f[:, [1, 2]], body.f[:, [2, 0]]]).astype(int)
    directed = edges[:, 0] * vertices + edges[:, 1]
    assert len(np.unique(directed)) == len(directed)
    assert set(directed) == set(edges[:, 1] * vertices + edges[:, 0])  # each edge once in each direction
    assert len(np.unique(body.f)) == vertices
    assert vertices - len(edges) // 2 + len(body.f) == 2  # Euler's number of a sphere
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


def test_skinning_rest_joints_and_face_of_the_smplx_body(smplx_body: StandInBody) -> None:
    body = smplx_body
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-12)
    assert body.weights.min() == 0
    np.testing.assert_allclose(body.J_regressor.sum(axis=1), 1, atol=1e-12)
    for feature in (body.shapedirs, body.posedirs):
        assert np.isfinite(feature).all()
        assert np.abs(feature).max(axis=(0, 1)).min() > 0

    rest = body.J_regressor @ body.v_template
    joints = dict(zip(SMPLX_JOINTS, rest, strict=True))
    of_smplh = dict(zip(SMPLH_JOINTS, make_body("neutral").rest_joints(np.zeros(16)), strict=True))
    for name, place in of_smplh.items():
        np.testing.assert_allclose(joints[name], place, atol=1e-12)
    assert joints["left_eye"][0] > 0.02 > joints["jaw"][0] > -0.02 > joints["right_eye"][0]
    assert joints["left_eye"][1] > joints["jaw"][1] > joints["head"][1]
    assert joints["left_eye"][2] > joints["jaw"][2] + 0.04  # the eyes are in front, the jaw turns near the ears
    for name in ("jaw", "left_eye", "right_eye"):
        weights = body.weights[:, SMPLX_JOINTS.index(name)]
        skin = body.v_template[weights > 0]
        assert weights.max() > 0.5
        assert 8 < len(skin) < 300
        assert (skin[:, 2] > joints[name][2]).all()  # in front of the joint: the face
        assert skin[:, 1].min() > joints["neck"][1]
    # Expression is of the face alone, shape is not: whoever splits shapedirs wrongly shows.
    below = body.v_template[:, 1] < joints["neck"][1] - 0.1
    assert np.abs(body.shapedirs[below][:, :, :10]).max(axis=(0, 1)).min() > 1e-5
    assert np.abs(body.shapedirs[below][:, :, 10:]).max() < 1e-6
    assert np.abs(body.shapedirs[:, :, 10:]).max(axis=(0, 1)).min() > 5e-4


def test_scipy_unpickles_the_map_from_smplx_to_smpl(support_data: Path, smplx_body: StandInBody) -> None:
    with open(support_data / "body_models/smplx2smpl_deftrafo_setup.pkl", "rb") as stream:
        matrix = pickle.load(stream, encoding="latin1")["mtx"]
    assert isinstance(matrix, sparse.csr_matrix)
    matrix.check_format(full_check=True)
    assert matrix.shape == (6890, 2 * 10475)
    assert matrix[:, 10475:].nnz == 0
    np.testing.assert_array_equal(matrix[:, :10475] @ smplx_body.v_template, make_body("neutral").v_template)


def test_smplx_sequences_become_the_joints_of_their_whole_mesh(support_data: Path, recordings: Path) -> None:
    file, regressor = recordings / "Gait/01/walk_stageii.npz", support_data / "J_regressor_h36m.npy"
    sequence = read_sequence(file)
    converted = convert_file(file, regressor, settings=Settings(dtype="float64"))
    assert isinstance(sequence, aj.Sequence)
    assert isinstance(converted, aj.Converted)
    frames = np.linspace(0, len(sequence.poses) - 1, 8).astype(int)
    with open(support_data / "body_models/smplx2smpl_deftrafo_setup.pkl", "rb") as stream:
        to_smplh = pickle.load(stream)["mtx"][:, :10475]
    body = aj.load_body_model(support_data / "body_models/smplx/SMPLX_NEUTRAL.npz")
    assert body.shapedirs.shape == (10475, 3, 10)
    meshes = pose_mesh(body, sequence.betas, sequence.poses[frames], sequence.trans[frames])
    joints = np.load(regressor) @ [to_smplh @ mesh for mesh in meshes]
    np.testing.assert_allclose(converted.positions_3d[frames], joints, atol=1e-12)

    # The face does something, and with it the skin that the regressor looks at.
    still = sequence.poses.copy().reshape(-1, 55, 3)
    still[:, FACE] = 0
    faceless = pose_mesh(body, sequence.betas, still[frames].reshape(-1, 165), sequence.trans[frames])
    assert np.abs(faceless - meshes).max() > 0.005
    moved = np.abs(np.load(regressor) @ [to_smplh @ mesh for mesh in faceless] - joints).max(axis=(0, 2))
    assert np.flatnonzero(moved > 1e-4).tolist() == [spin("jaw")]


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
    (archive,) = directory.glob("*.tar.bz2")
    members = {member.path: member.read() for member in read_members(archive)}
    archive.unlink()  # and unpacked under its own name
    for path, content in members.items():
        (archive / path).parent.mkdir(parents=True, exist_ok=True)
        (archive / path).write_bytes(content)
    return directory


@pytest.mark.parametrize("recording", demo.RECORDINGS, ids=lambda recording: recording.path)
def test_people_could_move_so(recording: demo.Recording, recordings: Path, support_data: Path) -> None:
    """Each motion, with the body, the shape and the pace that it has in the demo."""
    sequence = read_sequence(recordings / recording.path)
    assert isinstance(sequence, aj.Sequence)
    assert sequence.frame_rate == (recording.wrong_frame_rate or recording.frame_rate)
    models = support_data / "body_models"
    files = [models / f"{kind}/{sequence.gender}/model.npz" for kind in ("smplh", "dmpls")]
    if recording.release == "smplx":
        files = [models / "smplx/SMPLX_NEUTRAL.npz"]
    sequence = replace(sequence, frame_rate=recording.frame_rate)
    whole = sequence
    if recording.release == "smplx":  # what is SMPL+H's in it moves as that does
        sequence = replace(sequence, poses=np.delete(sequence.poses.reshape(-1, 55, 3), FACE, axis=1).reshape(-1, 156))
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
    meshes = pose_mesh(aj.load_body_model(*files), sequence.betas, whole.poses[frames], sequence.trans[frames], dmpls)
    meshes = meshes[:, -6890:]
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


def test_smplx_sequence_files_have_the_published_keys_shapes_and_types(recordings: Path) -> None:
    with np.load(recordings / "DFaust/nobody/jump_stageii.npz") as file:
        arrays = dict(file)
    assert {name: (array.shape, array.dtype.str) for name, array in arrays.items()} == {
        "gender": ((), "<U7"),
        "surface_model_type": ((), "<U5"),
        "mocap_frame_rate": ((), "<f8"),
        "mocap_time_length": ((), "<f8"),
        "num_betas": ((), "<i8"),
        "betas": ((16,), "<f8"),
        "trans": ((480, 3), "<f8"),
        "poses": ((480, 165), "<f8"),
        "root_orient": ((480, 3), "<f8"),
        "pose_body": ((480, 63), "<f8"),
        "pose_jaw": ((480, 3), "<f8"),
        "pose_eye": ((480, 6), "<f8"),
        "pose_hand": ((480, 90), "<f8"),
    }
    assert (arrays["gender"], arrays["surface_model_type"]) == ("neutral", "smplx")
    assert (arrays["mocap_frame_rate"], arrays["mocap_time_length"], arrays["num_betas"]) == (60, 8, 16)
    parts = [arrays[name] for name in ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")]
    np.testing.assert_array_equal(np.hstack(parts), arrays["poses"])
    assert np.ptp(arrays["pose_jaw"]) > 0.1
    assert (recordings / "DFaust/nobody/neutral_stagei.npz").is_file()


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
    assert "11 sequences" in shown
    assert "What to try next" in shown

    sources = {
        str(file): read_sequence(file.path)
        for dataset in find_datasets(directory / "data")
        for file in dataset.sequences
    }
    rates = {source.frame_rate for source in sources.values() if isinstance(source, aj.Sequence)}
    assert rates == {60, 100, 120, 250}
    assert {source.gender for source in sources.values() if isinstance(source, aj.Sequence)} == set(GENDERS)
    for output in ("BMLhandball", "DFaust67", "Gait", "Gestures", "Sports"):
        with np.load(directory / f"joints/{output}.npz", allow_pickle=True) as file:
            for subject in file["positions_3d"].item().values():
                for converted in subject.values():
                    check_human(converted["positions_3d"])
                    assert converted["frame_rate"] == 50

    assert {name for name in aj.load(directory / "joints/Gait.npz")["01"]} == {"walk_poses", "run_poses"}
    again = aj.convert_tree(
        directory / "data",
        directory / "again",
        directory / "support_data/J_regressor_h36m.npy",
        settings=Settings(fix_frame_rates=True),
        only=("Gait/01", "BMLhandball"),
        prefer="smplx",
    )
    assert [(one.name, one.frame_rate) for one in again.total.converted] == [
        ("nobody/run_poses", 240),
        ("01/run_poses", 120),
        ("01/walk_stageii", 120),
    ]

    def written() -> tuple[set[Path], dict[str, np.ndarray]]:
        parts = (directory / "data", directory / "joints")
        files = {path for part in parts for path in part.rglob("*") if path.is_file()}
        positions = {
            f"{path.stem}/{subject}/{name}": sequence["positions_3d"]
            for path in (directory / "joints").iterdir()
            for subject, sequences in aj.load(path).items()
            for name, sequence in sequences.items()
        }
        return files, positions

    files, positions = written()
    demo.run(directory)  # again, over itself
    files_again, positions_again = written()
    assert files_again == files
    assert list(positions_again) == list(positions)
    for name, once in positions.items():
        np.testing.assert_allclose(positions_again[name], once, rtol=0, atol=1e-5, err_msg=name)


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
