"""Whole trees: what comes out, whatever the order of work; what is skipped; what stops a run."""

import hashlib
import inspect
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amass_joints as aj
from amass_files import sequence_arrays, write_sequence
from amass_joints import bodies, convert, display, executors, mesh
from amass_joints.conversion import Settings
from amass_joints.convert import convert_file, convert_tree
from amass_joints.errors import InputError
from amass_joints.resample import resample
from amass_joints.scan import scan_tree
from amass_joints.sequences import FRAMES_AT_A_TIME


@pytest.fixture
def regressor(support_data: Path) -> Path:
    return support_data / "J_regressor_h36m.npy"


@pytest.fixture
def amass(tmp_path: Path) -> Path:
    """Three datasets: genders, rates, lengths; a broken file; a sequence without soft tissue; a file of shapes."""
    root = tmp_path / "amass"
    write_sequence(root / "CMU/01/01_01_poses.npz", 130, 1)
    write_sequence(root / "CMU/01/01_02_poses.npz", 300, 2, gender=b"female", mocap_framerate=100.0)
    write_sequence(root / "CMU/02/02_01_poses.npz", 24, 3, dmpls=None, gender="neutral")
    (root / "CMU/02/broken_poses.npz").write_bytes(b"PK\x03\x04")
    np.savez(root / "CMU/02/shape.npz", betas=np.zeros(16))
    write_sequence(root / "KIT/KIT/3/walk_poses.npz", 60, 4, mocap_framerate=250.0)
    write_sequence(root / "None/x/tiny_poses.npz", 1, 5)
    return root


def test_a_tree_against_the_mesh(tmp_path: Path, amass: Path, regressor: Path, support_data: Path) -> None:
    report = convert_tree(amass, tmp_path / "out", regressor, settings=Settings(rate=50))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["CMU.npz", "KIT.npz"]
    tree = aj.load(tmp_path / "out/CMU.npz")
    assert {subject: list(sequences) for subject, sequences in tree.items()} == {
        "01": ["01_01_poses", "01_02_poses"],
        "02": ["02_01_poses"],
    }
    models = support_data / "body_models"
    for name, frames, seed, gender, rate, soft_tissue in [
        ("01_01_poses", 130, 1, "male", 120, True),
        ("01_02_poses", 300, 2, "female", 100, True),
        ("02_01_poses", 24, 3, "neutral", 120, False),
    ]:
        arrays = sequence_arrays(frames, seed)
        body = aj.load_body_model(models / f"smplh/{gender}/model.npz", models / f"dmpls/{gender}/model.npz")
        plan = resample(frames, rate, 50).within(0, frames)
        some = np.union1d(plan.looked_at[:7], plan.looked_at[-5:])  # the mesh takes its time
        whole = np.full((frames, 17, 3), np.nan)
        whole[some] = mesh.regress(
            aj.load_regressor(regressor),
            mesh.pose_mesh(
                body,
                arrays["betas"],
                arrays["poses"][some],
                arrays["trans"][some],
                arrays["dmpls"][some] if soft_tissue else None,
            ),
        )
        expected = np.empty((len(plan.before), 17, 3))
        plan.interpolate(whole[plan.looked_at], expected)
        known = np.isfinite(expected).all(axis=(1, 2))
        result = tree[name[:2]][name]
        assert result["frame_rate"] == 50
        assert result["positions_3d"].dtype == np.float32
        assert result["positions_3d"].shape == expected.shape
        assert known.sum() >= 5
        np.testing.assert_allclose(result["positions_3d"][known], expected[known], rtol=0, atol=1e-5)

    cmu, kit, none = report.datasets
    assert [one.name for one in cmu.converted] == ["01/01_01_poses", "01/01_02_poses", "02/02_01_poses"]
    assert [one.soft_tissue for one in cmu.converted] == [True, True, False]
    assert [(one.source_frames, one.frames) for one in cmu.converted] == [(130, 54), (300, 150), (24, 10)]
    assert cmu.hours == pytest.approx((130 / 120 + 300 / 100 + 24 / 120) / 3600)
    assert cmu.passed_over == 1
    assert [(one.name, one.reason.split(" (")[0]) for one in cmu.skipped] == [
        ("CMU/02/broken_poses", "broken or truncated")
    ]
    assert kit.output == str(tmp_path / "out/KIT.npz")
    assert none.output is None
    assert none.skipped[0].reason == "too short: 1 frames at 120 Hz give none at 50 Hz"


@pytest.mark.parametrize("workers", [1, 5])
def test_workers_change_no_byte(tmp_path: Path, amass: Path, regressor: Path, workers: int) -> None:
    convert_tree(amass, tmp_path / "one", regressor, settings=Settings(rate=50))
    convert_tree(amass, tmp_path / "two", regressor, settings=Settings(rate=50), workers=workers)
    for name in ("CMU.npz", "KIT.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_no_rate_keeps_every_frame_at_its_own_rate(tmp_path: Path, amass: Path, regressor: Path) -> None:
    convert_tree(amass, tmp_path / "out", regressor)
    tree = aj.load(tmp_path / "out/CMU.npz")
    rates = {name: (len(q["positions_3d"]), q["frame_rate"]) for s in tree.values() for name, q in s.items()}
    assert rates == {"01_01_poses": (130, 120), "01_02_poses": (300, 100), "02_01_poses": (24, 120)}
    assert len(aj.load(tmp_path / "out/None.npz")["x"]["tiny_poses"]["positions_3d"]) == 1


def walk_of(directory: Path) -> np.ndarray:
    return aj.load(directory / "KIT.npz")["3"]["walk_poses"]["positions_3d"]


def test_float64(tmp_path: Path, amass: Path, regressor: Path) -> None:
    for dtype in ("float32", "float64"):
        convert_tree(amass, tmp_path / dtype, regressor, settings=Settings(dtype=dtype), only=["KIT"])
    single, double = (
        aj.load(tmp_path / d / "KIT.npz")["3"]["walk_poses"]["positions_3d"] for d in ("float32", "float64")
    )
    assert double.dtype == np.float64
    assert 0 < np.abs(single - double).max() < 1e-5


def test_without_soft_tissue(tmp_path: Path, amass: Path, regressor: Path, support_data: Path) -> None:
    """--no-dmpls is what a file without DMPLs gives, and needs no DMPL model."""
    models = tmp_path / "bodies"
    models.mkdir()
    (models / "smplh").symlink_to(support_data / "body_models/smplh")
    settings = Settings(dmpls=False)
    report = convert_tree(amass, tmp_path / "out", regressor, body_models=models, settings=settings, only=["KIT"])
    assert not report.datasets[0].converted[0].soft_tissue
    write_sequence(tmp_path / "stiff/KIT/3/walk_poses.npz", 60, 4, mocap_framerate=250.0, dmpls=None)
    convert_tree(tmp_path / "stiff", tmp_path / "stiff_out", regressor)
    convert_tree(amass, tmp_path / "soft_out", regressor, only=["KIT"])
    out, stiff, soft = (
        aj.load(tmp_path / name / "KIT.npz")["3"]["walk_poses"]["positions_3d"]
        for name in ("out", "stiff_out", "soft_out")
    )
    np.testing.assert_allclose(out, stiff, rtol=0, atol=1e-6)
    assert np.abs(out - soft).max() > 1e-4


def test_body_models_are_loaded_only_when_a_sequence_needs_them(
    tmp_path: Path, amass: Path, regressor: Path, support_data: Path
) -> None:
    models = tmp_path / "bodies"
    for kind in ("smplh", "dmpls"):
        (models / kind).mkdir(parents=True)
        (models / kind / "male").symlink_to(support_data / "body_models" / kind / "male")
    report = convert_tree(amass, tmp_path / "out", regressor, body_models=models)
    needs = [(one.name, one.reason) for one in report.skipped if "needs" in one.reason]
    assert needs == [
        (
            "CMU/01/01_02_poses",
            f"it needs {models}/smplh/female/model.npz and {models}/dmpls/female/model.npz: not there. "
            "Put the female model there",
        ),
        ("CMU/02/02_01_poses", f"it needs {models}/smplh/neutral/model.npz: not there. Put the neutral model there"),
    ]
    assert [path.parent.name for path in report.inputs if path.suffix == ".npz"] == ["male", "male"]


def test_a_body_model_is_loaded_once(
    tmp_path: Path, amass: Path, regressor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []

    def load_body_model(body: Path, *others: Any, **options: Any) -> aj.BodyModel:
        loaded.append(body)
        return aj.load_body_model(body, *others, **options)

    monkeypatch.setattr(bodies, "load_body_model", load_body_model)
    for number in range(8):
        write_sequence(amass / f"CMU/01/again{number}_poses.npz")
    convert_tree(amass, tmp_path / "out", regressor, workers=4)
    assert sorted(path.parent.name for path in loaded) == ["female", "male", "neutral"]


def test_a_sequence_whose_dmpl_model_is_missing_is_told_what_to_do(
    tmp_path: Path, amass: Path, regressor: Path, support_data: Path
) -> None:
    models = tmp_path / "models"
    (models / "dmpls").mkdir(parents=True)
    (models / "smplh").symlink_to(support_data / "body_models/smplh")
    (models / "dmpls/male").symlink_to(support_data / "body_models/dmpls/male")
    report = convert_tree(amass, tmp_path / "out", regressor, body_models=models, only=["CMU"])
    assert [one.name for one in report.datasets[0].converted] == ["01/01_01_poses", "02/02_01_poses"]
    assert report.skipped[-2].reason.endswith("Put the female model there or pass --no-dmpls")


def test_skip_existing_and_only(tmp_path: Path, amass: Path, regressor: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/CMU.npz").write_bytes(b"left alone")
    report = convert_tree(amass, tmp_path / "out", regressor, skip_existing=True, only=["CMU", "KIT"])
    (skipped,) = report.skipped
    assert skipped.name == "CMU"
    assert "CMU.npz is left alone (--skip-existing), but is not a whole dataset of joints" in skipped.reason
    assert (tmp_path / "out/CMU.npz").read_bytes() == b"left alone"
    assert [(dataset.name, dataset.already_there) for dataset in report.datasets] == [("CMU", True), ("KIT", False)]
    with pytest.warns(UserWarning, match=r"CMU.npz is replaced, and lacks 3 sequences that --only leaves out"):
        convert_tree(amass, tmp_path / "out", regressor, only=["CMU/01/*_02_*"])
    assert {s: list(q) for s, q in aj.load(tmp_path / "out/CMU.npz").items()} == {"01": ["01_02_poses"]}


def test_the_format_without_a_pickle_holds_the_same(tmp_path: Path, amass: Path, regressor: Path) -> None:
    convert_tree(amass, tmp_path / "pickled", regressor, workers=1)
    convert_tree(amass, tmp_path / "flat", regressor, output_format="npz-flat", workers=1)
    pickled, flat = (aj.load(tmp_path / out / "CMU.npz") for out in ("pickled", "flat"))
    assert {s: list(q) for s, q in flat.items()} == {s: list(q) for s, q in pickled.items()}
    with np.load(tmp_path / "flat/CMU.npz") as arrays:
        index = json.loads(arrays["index"].tobytes())
        for one in index["sequences"]:
            expected = pickled[one["subject"]][one["sequence"]]
            assert one["frame_rate"] == expected["frame_rate"]
            np.testing.assert_array_equal(arrays[one["key"]], expected["positions_3d"])
    report = convert_tree(amass, tmp_path / "flat", regressor, skip_existing=True, only="CMU")
    assert "is in the format npz-flat, not npz" in report.skipped[0].reason


def test_rows_that_do_not_sum_to_1_are_reported_and_mended(
    tmp_path: Path, amass: Path, regressor: Path, support_data: Path
) -> None:
    matrix = np.load(regressor)
    matrix[3] *= 0.999
    np.save(tmp_path / "regressor.npy", matrix)
    options = {"body_models": support_data / "body_models", "only": "CMU/01", "workers": 1}

    def converted(regressor: Path, out: str, *, normalize_rows: bool) -> tuple[Any, np.ndarray]:
        settings = Settings(dtype="float64", normalize_rows=normalize_rows)
        report = convert_tree(amass, tmp_path / out, regressor, settings=settings, **options)
        return report, aj.load(tmp_path / out / "CMU.npz")["01"]["01_01_poses"]["positions_3d"]

    _, right = converted(regressor, "right", normalize_rows=False)
    report, found = converted(tmp_path / "regressor.npy", "off", normalize_rows=False)
    sequence = report.datasets[0].converted[0]
    assert sequence.name == "01/01_01_poses"
    off = 1000 * np.linalg.norm(found - right, axis=2)
    assert off[:, 3].min() > 0.1
    assert sequence.plausibility.row_sum_effect_mm == pytest.approx(off.max(), rel=1e-6)
    female, male = report.bodies
    assert (female.gender, male.gender) == ("female", "male")
    assert male.skeleton == "h36m17-spin"
    assert [row for row, joint in enumerate(male.joints) if joint.row_sum_is_off] == [3]
    assert male.joints[3].row_sum == pytest.approx(0.999)
    assert all(joint.name.startswith(joint.side) for joint in male.joints if joint.side != "middle")
    assert {joint.name for joint in male.joints if joint.side == "middle"} == {
        *("pelvis", "spine", "neck", "jaw", "head top")
    }

    report, mended = converted(tmp_path / "regressor.npy", "mended", normalize_rows=True)
    np.testing.assert_allclose(mended, right, rtol=0, atol=1e-12)
    assert report.datasets[0].converted[0].plausibility.row_sum_effect_mm == 0


def test_a_row_that_cannot_be_normalized_is_refused(tmp_path: Path, amass: Path, regressor: Path) -> None:
    matrix = np.load(regressor)
    matrix[3] -= matrix[4]
    np.save(tmp_path / "regressor.npy", matrix)
    with pytest.raises(InputError, match=r"row 3 sums to .* cannot be normalized: expected about 1"):
        convert_tree(amass, tmp_path / "out", tmp_path / "regressor.npy", settings=Settings(normalize_rows=True))


def test_what_is_implausible_is_said(
    tmp_path: Path, amass: Path, regressor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trans = np.zeros((130, 3))
    trans[60] = 0.5
    write_sequence(amass / "CMU/01/01_01_poses.npz", 130, poses=np.zeros((130, 156)), trans=trans)
    report = convert_tree(amass, tmp_path / "out", regressor, only="CMU/01/01_01*", workers=1)
    (sequence,) = report.datasets[0].converted
    assert any("m/s in frame 6" in doubt for doubt in sequence.plausibility.doubts)
    display.show(report)
    assert "Doubtful (1):\n  CMU/01/01_01_poses: the " in capsys.readouterr().out
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["datasets"][0]["doubtful_sequences"] == 1
    assert saved["datasets"][0]["converted"][0]["plausibility"]["doubts"] == list(sequence.plausibility.doubts)


def test_values_too_large_for_a_motion_are_skipped(tmp_path: Path, regressor: Path) -> None:
    poses = sequence_arrays()["poses"].copy()
    poses[3, 60] = 1e300
    write_sequence(tmp_path / "amass/A/s/a.npz", poses=poses)
    write_sequence(tmp_path / "amass/A/s/b.npz", trans=np.full((24, 3), 1e300))
    write_sequence(tmp_path / "amass/A/s/c.npz", betas=np.full(16, 1e300))
    write_sequence(tmp_path / "amass/A/s/d.npz", dmpls=np.full((24, 8), 1e300))
    report = convert_tree(tmp_path / "amass", tmp_path / "out", regressor)
    reasons = [one.reason for one in report.skipped]
    for name, reason in zip(("poses", "trans", "betas", "dmpls"), reasons, strict=True):
        assert reason.startswith(f"array '{name}': 1e+300")


def test_the_report_lets_a_run_be_repeated(tmp_path: Path, amass: Path, regressor: Path, support_data: Path) -> None:
    report = convert_tree(amass, tmp_path / "out", regressor, settings=Settings(rate=50), only=["CMU"], workers=3)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["options"] == {
        "amass_dir": str(amass),
        "out_dir": str(tmp_path / "out"),
        "joint_regressor": str(regressor),
        "joints": None,
        "skeleton": None,
        "body_models": str(support_data / "body_models"),
        "only": ["CMU"],
        "keep_names": False,
        "prefer": "smplh",
        "output_format": "npz",
        "skip_existing": False,
        "workers": 3,
        "rate": 50,
        "dtype": "float32",
        "dmpls": True,
        "device": "cpu",
        "fix_frame_rates": False,
        "normalize_rows": False,
        "verify": False,
        "choices": {
            "order": None,
            "up": "z",
            "units": "m",
            "root_relative": False,
            "min_seconds": 0,
            "trim_start": 0,
            "trims": None,
            "leave_out": [],
        },
    }
    assert set(saved["versions"]) >= {"amass-joints", "numpy", "numba", "python"}
    assert saved["sha256"][str(regressor)] == hashlib.sha256(regressor.read_bytes()).hexdigest()
    assert len(saved["sha256"]) == 1 + 2 + 2 + 1  # the neutral sequence has no soft tissue
    for path, digest in saved["sha256"].items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    (cmu,) = saved["datasets"]
    assert cmu["skipped"][0]["name"] == "CMU/02/broken_poses"
    assert cmu["without_soft_tissue"] == 1
    assert (cmu["sequences"], cmu["source_frames"], cmu["frames"]) == (3, 454, 214)


def test_one_file_alone(amass: Path, regressor: Path) -> None:
    converted = convert_file(amass / "CMU/01/01_01_poses.npz", regressor, settings=Settings(rate=50))
    assert isinstance(converted, aj.Converted)
    assert converted.positions_3d.shape == (54, 17, 3)
    assert converted.frame_rate == 50
    broken = convert_file(amass / "CMU/02/broken_poses.npz", regressor)
    assert isinstance(broken, aj.Skipped)
    shape = convert_file(amass / "CMU/02/shape.npz", regressor)
    assert isinstance(shape, aj.Skipped)
    assert "no AMASS sequence" in shape.reason


@pytest.mark.parametrize(
    ("senseless", "message"),
    [
        *(({"rate": rate}, "target frame rate") for rate in (0.0, -50.0, float("nan"), float("inf"), 1e-9)),
        ({"dtype": "float16"}, "the dtype is 'float16'"),
        ({"device": "cuda:-1"}, "the device is 'cuda:-1'"),
    ],
)
def test_senseless_settings_are_refused(senseless: dict[str, Any], message: str) -> None:
    with pytest.raises(aj.InputError, match=message):
        inspect.unwrap(Settings.__init__)(Settings(), **senseless)


@pytest.mark.parametrize(("source", "target"), [(250, 50), (120, 50), (60, None)])
def test_a_sequence_of_several_blocks(
    tmp_path: Path, regressor: Path, support_data: Path, source: float, target: float | None
) -> None:
    frames = 2 * FRAMES_AT_A_TIME + 500
    arrays = sequence_arrays(frames)
    path = write_sequence(tmp_path / "long_poses.npz", frames, mocap_framerate=source)
    converted = aj.convert_file(path, regressor, settings=Settings(rate=target))
    assert isinstance(converted, aj.Converted)
    models = support_data / "body_models"
    body = aj.load_body_model(models / "smplh/male/model.npz", models / "dmpls/male/model.npz")
    shaped = aj.fold(body, aj.load_regressor(regressor)).with_shape(arrays["betas"])
    plan = resample(frames, source, target).within(0, frames)
    expected = np.empty_like(converted.positions_3d)
    plan.interpolate(shaped.pose(arrays["poses"], arrays["trans"], arrays["dmpls"])[plan.looked_at], expected)
    np.testing.assert_allclose(converted.positions_3d, expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(not executors.CAN_FORK, reason="workers are threads here")
def test_a_worker_that_is_killed_names_its_sequence_and_spoils_nothing(
    tmp_path: Path, amass: Path, regressor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_one = convert.convert_sequence

    def convert_or_die(path: Path, *arguments: Any) -> object:
        if path.parent.parent.name == "KIT":
            os.kill(os.getpid(), signal.SIGKILL)
        return convert_one(path, *arguments)

    monkeypatch.setattr(convert, "convert_sequence", convert_or_die)
    out = tmp_path / "out"
    with pytest.raises(aj.InputError, match=r"KIT/.*: the worker process that was at it was killed by SIGKILL"):
        convert_tree(amass, out, regressor, settings=Settings(rate=50), workers=2)
    assert [path.name for path in out.iterdir()] == ["CMU.npz"]
    monkeypatch.undo()
    convert_tree(amass, out, regressor, settings=Settings(rate=50), workers=2, skip_existing=True)
    convert_tree(amass, tmp_path / "undisturbed", regressor, settings=Settings(rate=50), workers=1)
    assert sorted(path.name for path in out.iterdir()) == ["CMU.npz", "KIT.npz"]
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "undisturbed" / path.name).read_bytes()


def test_want_of_memory_names_the_sequence(
    tmp_path: Path, amass: Path, regressor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(convert, "convert_sequence", lack)
    with pytest.raises(aj.InputError, match=r"01_01_poses.npz: there was not enough memory for it"):
        convert_tree(amass, tmp_path / "out", regressor, workers=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_workers_are_refused(tmp_path: Path, amass: Path, regressor: Path) -> None:
    with pytest.raises(aj.InputError, match="number of workers is 0"):
        convert_tree(amass, tmp_path / "out", regressor, workers=0)


def test_only_may_be_one_glob_or_any_iterable(tmp_path: Path, amass: Path, regressor: Path) -> None:
    one = convert_tree(amass, tmp_path / "one", regressor, only="KIT")
    several = convert_tree(amass, tmp_path / "several", regressor, only=(glob for glob in ["KIT", "CMU/01"]))
    assert [dataset.name for dataset in one.datasets] == ["KIT"]
    assert several.options["only"] == ["KIT", "CMU/01"]
    assert [len(dataset.converted) for dataset in several.datasets] == [2, 1]
    assert [one.name for one in scan_tree(amass, "KIT")] == ["KIT"]


def test_an_output_directory_that_cannot_be_one_is_refused_first(tmp_path: Path, amass: Path, regressor: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(aj.InputError, match=r"out: cannot be written to: .*Pass a directory that can"):
        convert_tree(amass, tmp_path / "out", regressor)


@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
def test_without_a_gpu_the_cpu_converts_after_one_warning(
    tmp_path: Path, amass: Path, regressor: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    convert_tree(amass, tmp_path / "cpu", regressor, only=["KIT"])
    with pytest.warns(UserWarning, match=f"device '{device}' .*converting on the CPU") as caught:
        convert_tree(amass, tmp_path / "gpu", regressor, settings=Settings(device=device), only=["KIT"])
    assert len(caught) == 1
    assert (tmp_path / "cpu/KIT.npz").read_bytes() == (tmp_path / "gpu/KIT.npz").read_bytes()


def test_the_public_names_are_those_that_are_exported() -> None:
    from amass_joints import _HOMES

    optional = ["PoseSequences", "RegressedJoints"]  # need PyTorch: 'from amass_joints import *' must work without
    assert sorted(name for names in _HOMES.values() for name in names) == sorted([*aj.__all__, *optional])
    for name in aj.__all__:
        assert getattr(aj, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        aj.nonsense  # noqa: B018


def test_what_needs_pytorch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("torch", "amass_joints.nn", "amass_joints.kernels.t"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not hasattr(aj, "RegressedJoints")
    with pytest.raises(AttributeError, match=r"RegressedJoints needs torch: pip install 'amass-joints\[torch\]'"):
        _ = aj.RegressedJoints
