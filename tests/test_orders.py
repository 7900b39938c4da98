"""``convert`` with ``--skeleton``, ``--order`` and choices: what the rows are, what is written, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import amass_joints as aj
from amass_files import write_sequence
from amass_joints.conversion import Settings
from amass_joints.convert import convert_file, convert_tree
from amass_joints.skeletons import H36M17, H36M17_SPIN, H36M17_UPLIFT, H36M32, SKELETONS
from amass_joints.verify import verify_tree

FRAMES = 30
LEFT_SHOULDER = 16
"""Of SMPL+H's joints."""


@pytest.fixture(scope="module")
def amass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person of whom the left arm alone moves, walking nowhere, 3 m from the origin."""
    poses = np.zeros((FRAMES, 156))
    poses[:, 0] = np.pi / 2  # AMASS's world is z up
    poses[:, 3 * LEFT_SHOULDER + 2] = np.linspace(0, 1, FRAMES)
    directory = tmp_path_factory.mktemp("amass")
    write_sequence(
        directory / "CMU/01/01_01_poses.npz",
        poses=poses,
        trans=np.tile([1.0, 2.0, 0.9], (FRAMES, 1)),
        dmpls=np.zeros((FRAMES, 8)),
        mocap_framerate=50.0,
    )
    return directory


@pytest.fixture(scope="module")
def regressor_file(support_data: Path) -> Path:
    return support_data / "J_regressor_h36m.npy"


@pytest.fixture(scope="module")
def right_leg_first(tmp_path_factory: pytest.TempPathFactory, support_data: Path) -> Path:
    """The same joints as Pose2Mesh orders them."""
    matrix = np.load(support_data / "J_regressor_h36m.npy")
    path = tmp_path_factory.mktemp("regressor") / "J_regressor_h36m_correct.npy"
    np.save(path, matrix[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]])
    return path


@pytest.fixture(scope="module")
def body_models(support_data: Path) -> Path:
    return support_data / "body_models"


def converted(amass: Path, out: Path, regressor: Path, body_models: Path, **choices: object) -> np.ndarray:
    settings = Settings(choices=aj.Choices(**choices))  # type: ignore[arg-type]
    report = convert_tree(amass, out, regressor, body_models=body_models, settings=settings, workers=1)
    assert not report.skipped
    return aj.load(out / "CMU.npz")["01"]["01_01_poses"]["positions_3d"]


@pytest.mark.parametrize("name", ["h36m17-spin", "h36m17", "h36m17-uplift", "h36m32"])
def test_only_the_left_arm_moves_in_every_order(
    tmp_path: Path, amass: Path, regressor_file: Path, right_leg_first: Path, body_models: Path, name: str
) -> None:
    moved = {}
    for regressor in (regressor_file, right_leg_first):
        joints = converted(amass, tmp_path / regressor.stem, regressor, body_models, order=name)
        moving = np.ptp(joints, axis=0).max(axis=1) > 0.1  # the shoulder itself turns in its place
        moved[regressor] = joints
        names = [joint for joint, moves in zip(SKELETONS[name].joints, moving, strict=True) if moves]
        expected = {"left_elbow", "left_wrist"}
        if name == "h36m32":  # what hangs on the wrist lies in it
            expected |= {f"left_{part}" for part in ("thumb", "thumb_end", "hand", "hand_end")}
        assert set(names) == expected
        # The person stands upright and faces -y: their left is where x is larger.
        rows = {joint: row for row, joint in enumerate(SKELETONS[name].joints)}
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            assert joints[0, rows[f"left_{joint}"], 0] > joints[0, rows[f"right_{joint}"], 0] + 0.05
    np.testing.assert_array_equal(*moved.values())


def test_the_file_says_what_its_joints_are(
    tmp_path: Path, amass: Path, right_leg_first: Path, body_models: Path
) -> None:
    converted(amass, tmp_path / "out", right_leg_first, body_models)
    with np.load(tmp_path / "out/CMU.npz", allow_pickle=False) as file:
        assert file["joint_names"].tolist() == list(H36M17.joints)
        assert file["parents"].tolist() == list(H36M17.parents)
        assert file["symmetric_pairs"].tolist() == [[4, 1], [5, 2], [6, 3], [11, 14], [12, 15], [13, 16]]
        assert (file["skeleton"].item(), file["units"].item(), file["up"].item()) == ("h36m17", "metres", "z")
    assert aj.read_metadata(tmp_path / "out/CMU.npz") == aj.Metadata(H36M17)


@pytest.mark.parametrize("output_format", ["npz", "npz-flat", "npz-stored"])
def test_every_format_says_the_same(
    tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path, output_format: str
) -> None:
    choices = aj.Choices(order="h36m17-uplift", up="y", units="mm", root_relative=True, trim_start=0.1)
    convert_tree(
        amass,
        tmp_path,
        regressor_file,
        body_models=body_models,
        settings=Settings(choices=choices),
        output_format=output_format,  # type: ignore[arg-type]
    )
    assert aj.read_metadata(tmp_path / "CMU.npz") == aj.Metadata(H36M17_UPLIFT, choices)
    if output_format != "npz":
        with np.load(tmp_path / "CMU.npz") as file:
            index = json.loads(file["index"].tobytes())
        assert index["joint_names"] == list(H36M17_UPLIFT.joints)
        assert (index["units"], index["up"]) == ("millimetres", "y")


def test_choices_are_what_they_say(tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path) -> None:
    plain = converted(amass, tmp_path / "plain", regressor_file, body_models).astype(np.float64)
    chosen = converted(
        amass,
        tmp_path / "chosen",
        regressor_file,
        body_models,
        order="h36m32",
        up="y",
        units="mm",
        root_relative=True,
        trim_start=0.1,
    )
    expected = plain[5:] - plain[5:, :1]  # 0.1 s at 50 Hz
    expected = 1000 * np.stack([expected[..., 0], expected[..., 2], -expected[..., 1]], axis=-1)
    used = [H36M32.joints.index(name) for name in H36M17_SPIN.joints]
    np.testing.assert_allclose(chosen[:, used], expected, atol=1e-3)  # float32's rounding at 2 m, in mm
    assert chosen.shape == (FRAMES - 5, 32, 3)
    head, ankle = (H36M32.joints.index(name) for name in ("head_top", "left_ankle"))
    assert chosen[0, head, 1] - chosen[0, ankle, 1] > 1000  # y up


@pytest.mark.parametrize(
    "choices",
    [{"order": "h36m17"}, {"order": "h36m32", "up": "y", "units": "mm", "root_relative": True, "trim_start": 0.1}],
    ids=["order", "all"],
)
def test_verify_knows_what_was_chosen(
    tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path, choices: dict[str, object]
) -> None:
    converted(amass, tmp_path / "out", regressor_file, body_models, **choices)
    arguments = {"body_models": body_models, "workers": 1, "frames_per_sequence": 5}
    verification = verify_tree(tmp_path / "out", amass, regressor_file, **arguments)  # type: ignore[arg-type]
    assert verification.passed
    assert verification.datasets[0].frames == 5
    assert verification.datasets[0].largest_error < 1e-6  # metres, whatever the file's units are
    # The legs swapped, or a frame further: it is found.
    path = tmp_path / "out/CMU.npz"
    tree, metadata = aj.load(path), aj.read_metadata(path)
    sequence = tree["01"]["01_01_poses"]
    for wrong in (sequence["positions_3d"][:, metadata.skeleton.mirror], np.roll(sequence["positions_3d"], 9, axis=0)):
        aj.datasets.save(path, {"01": {"01_01_poses": {**sequence, "positions_3d": wrong}}}, metadata=metadata)
        assert not verify_tree(tmp_path / "out", amass, regressor_file, **arguments).passed  # type: ignore[arg-type]


def test_convert_verifies_what_was_chosen(tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path) -> None:
    settings = Settings(verify=True, choices=aj.Choices(order="h36m17-uplift", units="mm", trim_start=0.2))
    report = convert_tree(amass, tmp_path, regressor_file, body_models=body_models, settings=settings)
    (one,) = report.datasets[0].converted
    assert one.problem is None
    assert one.verified_error is not None
    assert one.verified_error < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"skeleton": "h36m17"},
            "not those of the skeleton h36m17: left and right are the other way round .6 of 17 joints.. Row 1 would be "
            "the right hip, and lies on the left of the body in its rest pose. It looks like h36m17-spin: pass that",
        ),
        ({"skeleton": "h36m17-uplift"}, "not those of the skeleton h36m17-uplift: joints are on other sides"),
        (
            {"skeleton": "coco17"},
            "not those of the skeleton coco17: joints are on other sides .* looks like h36m17-spin",
        ),
        ({"skeleton": "smpl24"}, "the skeleton smpl24 has 24 joints, the conversion gives 17: name another --skeleton"),
        ({"skeleton": "h36m"}, "there is no skeleton 'h36m', expected one of h36m17-spin, "),
        ({"settings": Settings(choices=aj.Choices(order="coco17"))}, "the order coco17: they lack nose, left eye"),
    ],
)
def test_skeletons_that_are_refused(
    tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(aj.InputError, match=message):
        convert_tree(amass, tmp_path / "out", regressor_file, body_models=body_models, **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_rows_on_the_right_sides_but_in_another_order_are_refused(
    tmp_path: Path, amass: Path, support_data: Path, body_models: Path
) -> None:
    matrix = np.load(support_data / "J_regressor_h36m.npy")
    for swapped, message in [
        ((7, 8), "row 7 would be the spine, and is not below row 8, the neck"),
        ((2, 3), "left knee"),
    ]:
        rows = list(range(17))
        rows[swapped[0]], rows[swapped[1]] = swapped[::-1]
        np.save(tmp_path / "swapped.npy", matrix[rows])
        with pytest.raises(aj.InputError, match=message):
            convert_tree(
                amass, tmp_path / "out", tmp_path / "swapped.npy", skeleton="h36m17-spin", body_models=body_models
            )


def test_a_broken_body_that_nobody_needs_stops_nothing(
    tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path
) -> None:
    shutil.copytree(body_models / "smplh", tmp_path / "body_models/smplh")
    shutil.copytree(body_models / "dmpls", tmp_path / "body_models/dmpls")
    for gender in ("female", "neutral"):  # the sequence is of a man
        path = tmp_path / f"body_models/smplh/{gender}/model.npz"
        with np.load(path) as arrays:
            np.savez(path, **{**arrays, "weights": np.full_like(arrays["weights"], np.inf)})
    settings = Settings(choices=aj.Choices(order="h36m17"))
    report = convert_tree(
        amass, tmp_path / "out", regressor_file, body_models=tmp_path / "body_models", settings=settings
    )
    assert not report.skipped


def test_the_other_way_round_is_refused_too(
    tmp_path: Path, amass: Path, right_leg_first: Path, body_models: Path
) -> None:
    with pytest.raises(
        aj.InputError, match=r"h36m17-spin: left and right are the other way round .* like h36m17: pass"
    ):
        convert_tree(amass, tmp_path / "out", right_leg_first, skeleton="h36m17-spin", body_models=body_models)
    report = convert_tree(amass, tmp_path / "out", right_leg_first, skeleton="h36m17", body_models=body_models)
    assert report.bodies[0].skeleton == "h36m17"


def test_joints_that_nobody_knows(tmp_path: Path, amass: Path, support_data: Path, body_models: Path) -> None:
    path = tmp_path / "few.npy"
    np.save(path, np.load(support_data / "J_regressor_h36m.npy")[:5])
    convert_tree(amass, tmp_path / "out", path, body_models=body_models)
    assert aj.read_metadata(tmp_path / "out/CMU.npz") == aj.Metadata()
    with np.load(tmp_path / "out/CMU.npz", allow_pickle=False) as file:
        assert "joint_names" not in file.files
    for choices in (aj.Choices(order="h36m17"), aj.Choices(root_relative=True)):
        with pytest.raises(aj.InputError, match="--skeleton"):
            convert_tree(amass, tmp_path / "no", path, body_models=body_models, settings=Settings(choices=choices))


def test_joints_of_the_tree_in_an_order(tmp_path: Path, amass: Path, body_models: Path) -> None:
    settings = Settings(choices=aj.Choices(order="body22"))
    convert_tree(amass, tmp_path / "out", joints="smplh", body_models=body_models, settings=settings)
    assert aj.read_metadata(tmp_path / "out/CMU.npz").skeleton == SKELETONS["body22"]
    one = convert_file(amass / "CMU/01/01_01_poses.npz", joints="body", body_models=body_models)
    assert isinstance(one, aj.Converted)
    assert one.skeleton == "body22"
    np.testing.assert_array_equal(
        aj.load(tmp_path / "out/CMU.npz")["01"]["01_01_poses"]["positions_3d"], one.positions_3d
    )
    with pytest.raises(aj.InputError, match="a skeleton is named for a regressor's rows"):
        convert_file(amass / "CMU/01/01_01_poses.npz", joints="body", skeleton="body22", body_models=body_models)


def test_a_file_alone_is_known_by_its_name(amass: Path, body_models: Path) -> None:
    file, trims = amass / "CMU/01/01_01_poses.npz", Settings(choices=aj.Choices(trims="humanml3d"))
    arguments = {"joints": "body", "body_models": body_models}
    for name, frames in (("Transitions_mocap/mazen_c3d/a_poses", FRAMES - 25), ("CMU/01/01_01_poses", FRAMES)):
        one = convert_file(file, settings=trims, name=name, **arguments)  # type: ignore[arg-type]
        assert isinstance(one, aj.Converted)
        assert len(one.positions_3d) == frames
    one = convert_file(file, name="BMLhandball/S01/a_poses", settings=Settings(fix_frame_rates=True), **arguments)  # type: ignore[arg-type]
    assert isinstance(one, aj.Converted)
    assert one.frame_rate == 240
    for settings in (trims, Settings(choices=aj.Choices(leave_out=("skating",))), Settings(fix_frame_rates=True)):
        for no_name in (None, "CMU"):
            with pytest.raises(aj.InputError, match="expected 'dataset/subject/sequence'"):
                convert_file(file, settings=settings, name=no_name, **arguments)  # type: ignore[arg-type]


def test_what_is_there_otherwise_is_not_taken_for_done(
    tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path
) -> None:
    converted(amass, tmp_path / "out", regressor_file, body_models)
    again = {"body_models": body_models, "skip_existing": True}
    assert not convert_tree(amass, tmp_path / "out", regressor_file, **again).skipped  # type: ignore[arg-type]
    settings = Settings(choices=aj.Choices(units="mm"))
    report = convert_tree(amass, tmp_path / "out", regressor_file, settings=settings, **again)  # type: ignore[arg-type]
    assert re.search("is given otherwise .nothing; not millimetres.: move it away", report.skipped[0].reason)


def test_too_short_and_left_out(tmp_path: Path, amass: Path, regressor_file: Path, body_models: Path) -> None:
    for choices, reason in [
        (aj.Choices(min_seconds=1), "too short: 0.6 s, expected at least 1 s"),
        (aj.Choices(trim_start=0.6), "too short: 0 s are left of 0.6 s"),
    ]:
        report = convert_tree(
            amass, tmp_path / "out", regressor_file, body_models=body_models, settings=Settings(choices=choices)
        )
        assert [one.reason for one in report.skipped] == [reason]


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("skeleton", "h36m18", "a skeleton 'h36m18', expected one of"),
        ("joint_names", ["pelvis"], "not those of the skeleton h36m17-spin"),
        ("parents", [0] * 17, "not those of the skeleton h36m17-spin"),
        ("units", "feet", "units 'feet'"),
        ("up", "x", "up 'x'"),
        ("units", "millimetres", "units 'millimetres'"),  # which the choices deny
    ],
)
def test_metadata_that_make_no_sense_are_refused(tmp_path: Path, entry: str, value: object, message: str) -> None:
    entries = aj.Metadata(H36M17_SPIN).entries() | {entry: value}
    joints = {"positions_3d": np.zeros((2, 17, 3), np.float32), "frame_rate": 50.0}
    arrays = {name: np.array(one) for name, one in entries.items()}
    np.savez(tmp_path / "a.npz", positions_3d=np.array({"s": {"a": joints}}, object), **arrays)
    for read in (aj.load, aj.read_metadata):
        with pytest.raises(aj.InputError, match=f"a.npz: not a dataset of joints .*{message}"):
            read(tmp_path / "a.npz")


def test_a_regressor_of_coco_is_recognised(tmp_path: Path, amass: Path, support_data: Path, body_models: Path) -> None:
    """Its limbs are those of Human3.6M, its face is put together from vertices of the head."""
    body = aj.load_body_model(body_models / "smplh/male/model.npz")
    limbs = dict(zip(H36M17_SPIN.joints, np.load(support_data / "J_regressor_h36m.npy"), strict=True))
    top = float((limbs["head_top"] @ body.v_template)[1])
    face = {"nose": (0, -0.13, 0.2), "eye": (0.035, -0.1, 0.1), "ear": (0.08, -0.12, 0)}
    coco = SKELETONS["coco17"]
    matrix = np.zeros((17, 6890))
    for row, (name, side) in enumerate(zip(coco.joints, coco.sides, strict=True)):
        if name in limbs:
            matrix[row] = limbs[name]
        else:
            x, y, z = face[name.split("_")[-1]]
            place = np.array([-x if side == "right" else x, top + y, z])
            matrix[row, np.argsort(np.linalg.norm(body.v_template - place, axis=1))[:1]] = 1
    np.save(tmp_path / "coco.npy", matrix)
    report = convert_tree(amass, tmp_path / "out", tmp_path / "coco.npy", body_models=body_models)
    assert [one.skeleton for one in report.bodies] == ["coco17"]
    np.save(tmp_path / "swapped.npy", matrix[list(coco.mirror)])
    with pytest.raises(aj.InputError, match=r"coco17: left and right are the other way round .16 of 17 joints"):
        convert_tree(amass, tmp_path / "out", tmp_path / "swapped.npy", body_models=body_models, skeleton="coco17")
