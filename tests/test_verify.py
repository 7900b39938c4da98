"""What verify finds wrong, and that it finds nothing wrong with what is right."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amass_joints as aj
from amass_files import sequence_arrays, write_sequence
from amass_joints import conversion, kernels, mesh
from amass_joints.bodies import find_bodies
from amass_joints.cli import main
from amass_joints.conversion import Settings
from amass_joints.convert import convert_tree
from amass_joints.datasets import PositionsTree, save
from amass_joints.errors import InputError
from amass_joints.textbook import TOLERANCE, Comparison, compare
from amass_joints.verify import verify_tree


@pytest.fixture(scope="module")
def regressor(support_data: Path) -> Path:
    return support_data / "J_regressor_h36m.npy"


@pytest.fixture(scope="module")
def amass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, of which one has a sequence that cannot be converted, and an archive."""
    root = tmp_path_factory.mktemp("amass")
    write_sequence(root / "CMU/01/01_01_poses.npz", 24, 1)
    write_sequence(root / "CMU/01/01_02_poses.npz", 30, 2, gender="female", mocap_framerate=59.9)
    write_sequence(root / "CMU/02/02_01_poses.npz", 20, 3, dmpls=None, gender="neutral")
    (root / "CMU/02/broken_poses.npz").write_bytes(b"PK\x03\x04")
    write_sequence(root / "CMU/02/short_poses.npz", 1, 6)  # gives no frame at 50 Hz
    write_sequence(root / "BMLhandball/S1/throw_poses.npz", 48, 4)  # 240 Hz, as is known; it says 120
    packed = write_sequence(root / "packed/3/walk_poses.npz", 25, 5, mocap_framerate=100.0)
    with tarfile.open(root / "KIT.tar.bz2", "w:bz2") as archive:
        archive.add(packed, "KIT/3/walk_poses.npz")
    shutil.rmtree(root / "packed")
    return root


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, amass: Path, regressor: Path) -> Path:
    out = tmp_path_factory.mktemp("converted")
    convert_tree(amass, out, regressor, settings=Settings(rate=50), workers=1)
    return out


@pytest.fixture
def out(tmp_path: Path, converted: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "out"))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_right_passes(out: Path, amass: Path, regressor: Path, workers: int) -> None:
    verification = verify_tree(out, amass, regressor, frames_per_sequence=3, workers=workers)
    assert verification.passed
    assert {one.name: (one.sequences, one.frames) for one in verification.datasets} == {
        "BMLhandball": (1, 3),
        "CMU": (3, 9),
        "KIT": (1, 3),
    }
    for dataset in verification.datasets:
        assert 0 < dataset.median_error < dataset.largest_error < TOLERANCE
        assert dataset.where.startswith(f"{dataset.name}/")


@pytest.mark.parametrize(
    ("conversion", "convert_options", "verify_options"),
    [
        (Settings(), {}, {}),
        (Settings(rate=240.0), {}, {}),
        (Settings(rate=50, dtype="float64"), {}, {}),
        (Settings(rate=50, dmpls=False), {}, {"settings": Settings(dmpls=False)}),
        (Settings(rate=50, fix_frame_rates=True), {}, {"settings": Settings(fix_frame_rates=True)}),
        (Settings(rate=50, normalize_rows=True), {}, {"settings": Settings(normalize_rows=True)}),
        (Settings(rate=50), {"only": "CMU/01"}, {"only": "CMU/01"}),
    ],
)
def test_every_way_to_convert_passes_with_its_own_options(
    tmp_path: Path,
    amass: Path,
    regressor: Path,
    conversion: Settings,
    convert_options: dict[str, Any],
    verify_options: dict[str, Any],
) -> None:
    convert_tree(amass, tmp_path / "out", regressor, settings=conversion, workers=1, **convert_options)
    verification = verify_tree(tmp_path / "out", amass, regressor, workers=1, **verify_options)
    assert verification.passed, verification.datasets
    if conversion.dtype == "float64":
        assert max(one.largest_error for one in verification.datasets) < 1e-14


def test_joints_of_the_kinematic_tree_pass(tmp_path: Path, amass: Path, support_data: Path) -> None:
    options = {"joints": "smplh", "body_models": support_data / "body_models", "workers": 1}
    convert_tree(amass, tmp_path / "out", settings=Settings(rate=50), **options)
    assert verify_tree(tmp_path / "out", amass, **options).passed


@pytest.mark.parametrize(
    "settings",
    [Settings(dmpls=False), Settings(fix_frame_rates=True), Settings(normalize_rows=True)],
    ids=["soft tissue", "frame rates", "row sums"],
)
def test_other_options_than_it_was_converted_with_fail(
    out: Path, amass: Path, regressor: Path, support_data: Path, tmp_path: Path, settings: Settings
) -> None:
    if settings.normalize_rows:  # the stand-in's rows sum to 1
        matrix = np.load(regressor) * 1.001
        regressor = tmp_path / "regressor.npy"
        np.save(regressor, matrix)
        convert_tree(amass, out, regressor, body_models=support_data / "body_models", settings=Settings(rate=50))
    only = "BMLhandball" if settings.fix_frame_rates else "CMU/01/01_01*"
    options = {"body_models": support_data / "body_models", "only": only, "workers": 1}
    assert verify_tree(out, amass, regressor, **options).passed
    assert not verify_tree(out, amass, regressor, settings=settings, **options).passed


def sequence(tree: PositionsTree) -> dict[str, Any]:
    return tree["01"]["01_02_poses"]  # type: ignore[return-value]


def move_one_joint(tree: PositionsTree) -> None:
    sequence(tree)["positions_3d"][5, 3, 1] += 2 * TOLERANCE


def swap_legs(tree: PositionsTree) -> None:
    order = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
    sequence(tree)["positions_3d"] = sequence(tree)["positions_3d"][:, order]


def shift_by_a_frame(tree: PositionsTree) -> None:
    sequence(tree)["positions_3d"] = np.roll(sequence(tree)["positions_3d"], 1, axis=0)


def lose_the_last_frame(tree: PositionsTree) -> None:
    sequence(tree)["positions_3d"] = sequence(tree)["positions_3d"][:-1]


def put_nan(tree: PositionsTree) -> None:
    sequence(tree)["positions_3d"][0, 0, 0] = np.nan


def say_another_frame_rate(tree: PositionsTree) -> None:
    sequence(tree)["frame_rate"] = 51.0


def lose_a_sequence(tree: PositionsTree) -> None:
    del tree["01"]["01_02_poses"]


def invent_a_sequence(tree: PositionsTree) -> None:
    tree["01"]["01_03_poses"] = tree["01"]["01_02_poses"]


def swap_two_sequences(tree: PositionsTree) -> None:
    subject = tree["01"]
    subject["01_01_poses"], subject["01_02_poses"] = subject["01_02_poses"], subject["01_01_poses"]


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (move_one_joint, ["CMU/01/01_02_poses: 2.0e-05 m from the mesh, expected at most 1e-05 m"]),
        (swap_legs, ["CMU/01/01_02_poses: * m from the mesh"]),
        (shift_by_a_frame, ["CMU/01/01_02_poses: * m from the mesh"]),
        (
            lose_the_last_frame,
            ["CMU/01/01_02_poses: it has 24 frames, expected 25: that many at 50 Hz are 30 frames at 59.9 Hz"],
        ),
        (put_nan, ["CMU/01/01_02_poses: "]),
        (say_another_frame_rate, ["CMU/01/01_02_poses: "]),
        (lose_a_sequence, ["CMU/01/01_02_poses: it is not in the output"]),
        (invent_a_sequence, ["CMU/01/01_03_poses: in the output, but not in the source"]),
        (
            swap_two_sequences,
            ["CMU/01/01_01_poses: it has 25 frames, expected 10", "CMU/01/01_02_poses: it has 10 frames"],
        ),
    ],
)
def test_what_is_wrong_is_found_and_named(
    out: Path, amass: Path, regressor: Path, change: Callable[[PositionsTree], None], problems: list[str]
) -> None:
    tree = aj.load(out / "CMU.npz")
    change(tree)
    save(out / "CMU.npz", tree)
    verification = verify_tree(out, amass, regressor, only="CMU/01", frames_per_sequence=1000, workers=1)
    found = [problem for one in verification.datasets for problem in one.problems]
    assert len(found) == len(problems)
    for problem, expected in zip(found, problems, strict=True):
        beginning, _, end = expected.partition("*")
        assert problem.startswith(beginning)
        assert end in problem


def test_the_errors_are_those_of_the_mesh(out: Path, amass: Path, regressor: Path, support_data: Path) -> None:
    """Source frames at 100 Hz, output at 50: every other one, posed here once more."""
    models = support_data / "body_models"
    body = aj.load_body_model(models / "smplh/male/model.npz", models / "dmpls/male/model.npz")
    arrays = sequence_arrays(25, 5)
    motion = (arrays["betas"], *(arrays[name][:24:2] for name in ("poses", "trans", "dmpls")))
    expected = mesh.regress(aj.load_regressor(regressor), mesh.pose_mesh(body, *motion))
    joints = aj.load(out / "KIT.npz")["3"]["walk_poses"]["positions_3d"]
    errors = np.linalg.norm(joints - expected, axis=2)
    (found,) = verify_tree(out, amass, regressor, only="KIT", frames_per_sequence=1000, workers=1).datasets
    assert found.frames == 12
    assert found.largest_error == pytest.approx(errors.max(), rel=1e-6)
    assert found.median_error == pytest.approx(np.median(errors), rel=1e-6)


def test_the_draw_depends_on_the_seed_and_the_name_alone(out: Path, amass: Path, regressor: Path) -> None:
    def largest(**options: Any) -> list[float]:
        verification = verify_tree(out, amass, regressor, only="CMU/01/01_01*", frames_per_sequence=1, **options)
        return [one.largest_error for one in verification.datasets]

    assert largest(seed=1, workers=1) == largest(seed=1, workers=2)
    assert len({tuple(largest(seed=seed, workers=1)) for seed in range(3)}) > 1


def test_all_frames_are_drawn_once_where_there_are_not_more(
    amass: Path, regressor: Path, support_data: Path, out: Path
) -> None:
    bodies = find_bodies(regressor, None, None, dmpls=True)
    positions = aj.load(out / "CMU.npz")["01"]["01_01_poses"]
    file = amass / "CMU/01/01_01_poses.npz"
    finding = compare(positions, file, bodies, dmpls=True, replaced_frame_rate=None, num_frames=99)
    assert isinstance(finding, Comparison)
    assert finding.frames.tolist() == list(range(10))
    assert finding.errors.shape == (10, 17)
    wrong = compare(positions, file, bodies, dmpls=True, replaced_frame_rate=240.0, num_frames=99)
    assert isinstance(wrong, Comparison)
    assert wrong.problem == "it has 10 frames, expected 5: that many at 50 Hz are 24 frames at 240 Hz"
    assert wrong.largest_error is None


def test_files_that_are_missing_damaged_or_of_no_source(out: Path, amass: Path, regressor: Path) -> None:
    (out / "KIT.npz").unlink()
    (out / "BMLhandball.npz").write_bytes((out / "BMLhandball.npz").read_bytes()[:-100])
    (out / "ACCAD.npz").write_bytes((out / "CMU.npz").read_bytes())
    verification = verify_tree(out, amass, regressor, workers=1)
    assert verification.not_converted == ("KIT",)
    passed = {one.name: one.passed for one in verification.datasets}
    assert passed == {"ACCAD": False, "BMLhandball": False, "CMU": True}
    problems = [problem for one in verification.datasets for problem in one.problems]
    assert "has no such dataset" in problems[0]
    assert "BMLhandball.npz" in problems[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out_dir": "nowhere"}, "nowhere: not a directory"),
        ({"out_dir": "."}, "it has no BMLhandball.npz, CMU.npz, KIT.npz: expected what 'amass-joints convert' made"),
        ({"frames_per_sequence": 0}, "frames per sequence are 0, expected 1 or more"),
        ({"workers": 0}, "the number of workers is 0, expected 1 or more"),
        ({"joint_regressor": None}, "give one of"),
        ({"only": "CMU/99"}, "no sequence of .* matches"),
        ({"only": "KIT/nobody/*"}, r"nothing could be compared: it has no sequence matching --only KIT/nobody/\* of"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path,
    out: Path,
    amass: Path,
    regressor: Path,
    change: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        verify_tree(**{"out_dir": out, "amass_dir": amass, "joint_regressor": regressor, **change})


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["amass-joints", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_line(
    tmp_path: Path,
    out: Path,
    amass: Path,
    regressor: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ("verify", out, "--amass-dir", amass, "--joint-regressor", regressor, "--report", tmp_path / "v.json")
    assert run(*command, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "CMU: 3 sequences, 6 frames compared, largest error " in printed
    assert "Passed: 10 frames of 5 sequences compared: every joint is where the whole mesh has it" in printed
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["passed"] is True
    assert [one["name"] for one in report["datasets"]] == ["BMLhandball", "CMU", "KIT"]

    tree = aj.load(out / "CMU.npz")
    put_nan(tree)
    save(out / "CMU.npz", tree)
    assert run(*command, "--frames-per-sequence", 100, monkeypatch=monkeypatch) == 3
    printed = capsys.readouterr().out
    assert "Problems (1):\n  CMU/01/01_02_poses" in printed
    assert "FAILED: " in printed
    assert run(*command, "--frames-per-sequence", 100, "--quiet", monkeypatch=monkeypatch) == 3
    quiet = capsys.readouterr()
    assert (quiet.out, "FAILED: " in quiet.err) == ("", True)
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["passed"] is False
    assert report["datasets"][1]["largest_error"] is None


def test_converting_with_verify(
    tmp_path: Path,
    amass: Path,
    regressor: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ("--amass-dir", amass, "--out-dir", tmp_path / "out", "--joint-regressor", regressor, "--rate", 50)
    command = ("convert", *files, "--verify", "--workers", 1, "--report", tmp_path / "r.json")
    assert run(*command, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "Compared with the whole mesh, at a random frame each: 5 sequences; largest error " in printed
    report = json.loads((tmp_path / "r.json").read_text())
    errors = [one["verified_error"] for dataset in report["datasets"] for one in dataset["converted"]]
    assert len(errors) == 5
    assert 0 < max(errors) < TOLERANCE

    right = kernels.pose
    monkeypatch.setattr(kernels, "pose", lambda *arguments: right(*arguments) + np.float32(1e-4))
    assert run(*command, monkeypatch=monkeypatch) == 3
    wrong = "WRONG, compared with the whole mesh (5):\n  BMLhandball/S1/throw_poses: "
    assert wrong in capsys.readouterr().err
    assert run(*command, "--quiet", monkeypatch=monkeypatch) == 3
    assert wrong in capsys.readouterr().err


def test_frames_that_the_conversion_loses_are_found_on_the_way(
    tmp_path: Path, amass: Path, regressor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = conversion.resample
    short = lambda *arguments: replace(right(*arguments), num_frames=right(*arguments).num_frames - 1)  # noqa: E731
    monkeypatch.setattr(conversion, "resample", short)
    report = convert_tree(amass, tmp_path / "out", regressor, only="CMU/01", settings=Settings(verify=True), workers=1)
    assert [problem.split(",")[0] for problem in report.wrong] == [
        "CMU/01/01_01_poses: it has 23 frames",
        "CMU/01/01_02_poses: it has 29 frames",
    ]
    report.save(tmp_path / "report.json")
    assert "Infinity" not in (tmp_path / "report.json").read_text()


def test_far_from_the_origin_what_float32_can_tell_is_expected(tmp_path: Path, regressor: Path) -> None:
    write_sequence(tmp_path / "amass/A/s/far_poses.npz", trans=np.full((24, 3), 700.0))
    settings = Settings(rate=50, verify=True)
    (converted,) = (
        convert_tree(tmp_path / "amass", tmp_path / "out", regressor, settings=settings).datasets[0].converted
    )
    assert converted.verified_error is not None
    assert converted.verified_error > TOLERANCE
    assert converted.problem is None
    tree = aj.load(tmp_path / "out/A.npz")
    tree["s"]["far_poses"]["positions_3d"] += np.float32(1e-3)
    save(tmp_path / "out/A.npz", tree)
    assert not verify_tree(tmp_path / "out", tmp_path / "amass", regressor).passed


@pytest.mark.parametrize(
    ("positions", "frame_rate", "problem"),
    [
        (np.zeros((0, 17, 3)), 1e-300, "its frame rate is 1e-300 Hz, expected 1 to 10000 Hz"),
        (np.zeros((0, 17, 3)), 1e308, "its frame rate is 1e+308 Hz"),
        (np.zeros((0, 17, 3)), 1.0, "it has 0 frames"),
        (np.zeros((5, 22, 3)), 50.0, "it has 22 joints, expected 17"),
    ],
)
def test_outputs_of_nonsense(
    out: Path, amass: Path, regressor: Path, positions: np.ndarray, frame_rate: float, problem: str
) -> None:
    tree = aj.load(out / "CMU.npz")
    tree["01"]["01_01_poses"] = {"positions_3d": positions.astype(np.float32), "frame_rate": frame_rate}
    save(out / "CMU.npz", tree)
    (found,) = verify_tree(out, amass, regressor, only="CMU/01/01_01*", workers=1).datasets
    assert found.problems[0].startswith(f"CMU/01/01_01_poses: {problem}")
    assert (found.largest_error, found.sequences) == (None, 0)
