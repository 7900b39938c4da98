"""Where sequences come from: archives, names, several sources for one dataset, both releases, frame rates, scan."""

import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amass_joints as aj
from amass_files import write_sequence
from amass_joints import traversal
from amass_joints.conversion import Settings
from amass_joints.convert import convert_tree
from amass_joints.report import Report

SUFFIXES = (".tar.bz2", ".tar", ".tar.gz", ".tar.xz", ".zip")

OTHER_NAMES = {  # the facts' table: canonical name, and the others that directories and archives have
    "ACCAD": ["ACCAD"],
    "BMLhandball": ["BMLhandball"],
    "BMLmovi": ["BMLmovi"],
    "BMLrub": ["BMLrub", "BioMotionLab_NTroje"],
    "CMU": ["CMU"],
    "DanceDB": ["DanceDB"],
    "DFaust67": ["DFaust67", "DFaust_67", "DFaust"],
    "EKUT": ["EKUT"],
    "EyesJapanDataset": ["EyesJapanDataset", "Eyes_Japan_Dataset"],
    "GRAB": ["GRAB"],
    "HUMAN4D": ["HUMAN4D"],
    "HumanEva": ["HumanEva"],
    "KIT": ["KIT"],
    "MPIHDM05": ["MPIHDM05", "MPI_HDM05", "HDM05"],
    "MPILimits": ["MPILimits", "MPI_Limits", "PosePrior"],
    "MPImosh": ["MPImosh", "MPI_mosh", "MoSh"],
    "SFU": ["SFU"],
    "SOMA": ["SOMA"],
    "SSMsynced": ["SSMsynced", "SSM_synced", "SSM"],
    "TCDhandMocap": ["TCDhandMocap", "TCD_handMocap", "TCDHands"],
    "TotalCapture": ["TotalCapture"],
    "Transitionsmocap": ["Transitionsmocap", "Transitions_mocap", "Transitions"],
    "CNRS": ["CNRS"],
    "WEIZMANN": ["WEIZMANN"],
    "MOYO": ["MOYO"],
}


# ------------------------------------------------------------------------------------------------- stand-ins


def smplx_model(seed: int = 0) -> dict[str, np.ndarray]:
    """A random SMPL-X model, of the published shapes but for fewer betas; a hundred vertices do anything."""
    rng = np.random.default_rng(seed)
    body = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
    fingers = [parent for wrist, first in ((20, 25), (21, 40)) for f in range(5) for parent in finger(wrist, first, f)]
    parents = np.array([*body, 15, 15, 15, *fingers])
    regressor = np.zeros((55, 10475))
    regressor[:, rng.choice(10475, 100, replace=False)] = rng.dirichlet(np.ones(100), 55)
    return {
        "v_template": rng.normal(0, 0.4, (10475, 3)),
        "shapedirs": rng.normal(0, 0.02, (10475, 3, 20)),
        "posedirs": np.zeros((10475, 3, 486), np.float16),
        "J_regressor": regressor,
        "weights": rng.dirichlet(np.ones(55), 10475).astype(np.float32),
        "kintree_table": np.stack([parents, np.arange(55)]),
    }


def finger(wrist: int, first: int, number: int) -> list[int]:
    return [wrist, first + 3 * number, first + 3 * number + 1]


@pytest.fixture(scope="session")
def models(support_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one body of SMPL+H, with DMPLs, and one of SMPL-X."""
    directory = tmp_path_factory.mktemp("male_models")
    for kind in ("smplh", "dmpls"):
        (directory / kind).mkdir()
        (directory / kind / "male").symlink_to(support_data / "body_models" / kind / "male")
    (directory / "smplx/male").mkdir(parents=True)
    np.savez_compressed(directory / "smplx/male/model.npz", **smplx_model())
    return directory


def stageii_arrays(frames: int = 24, seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    """The arrays of a good SMPL-X sequence, with its published keys."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.3, (frames, 165))
    parts = {"root_orient": 3, "pose_body": 63, "pose_jaw": 3, "pose_eye": 6, "pose_hand": 90}
    stops = np.cumsum(list(parts.values()))
    arrays = {
        "gender": np.array("male"),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(120.0),
        "mocap_time_length": np.array(frames / 120),
        "markers_latent": rng.normal(size=(5, 3)),
        "latent_labels": np.array(["C7", "CLAV", "LANK", "LELB", "LFHD"]),
        "markers_latent_vids": np.array({"C7": 3832}, dtype=object),
        "trans": rng.normal(0, 1, (frames, 3)),
        "poses": poses,
        "betas": rng.normal(0, 1, 16),
        "num_betas": np.array(16),
        **{name: poses[:, stop - size : stop] for (name, size), stop in zip(parts.items(), stops, strict=True)},
    }
    return {name: np.asarray(array) for name, array in (arrays | changes).items() if array is not None}


def write_stageii(path: Path, frames: int = 24, seed: int = 0, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **stageii_arrays(frames, seed, **changes))
    return path


def pack(directory: Path, archive: Path, inner: str = "", *, in_order: bool = False) -> Path:
    """Pack what is in a directory, in an order that is none, under an inner directory."""
    members = sorted(path for path in directory.rglob("*") if path.is_file())
    if not in_order:
        np.random.default_rng(len(members)).shuffle(members)  # type: ignore[arg-type]
    archive.parent.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in members:
                zipped.write(path, f"{inner}{path.relative_to(directory)}")
    else:
        compression: Any = archive.suffix[1:] if archive.suffix != ".tar" else ""
        with tarfile.open(archive, f"w:{compression}") as tar:
            tar.add(directory, inner or ".", recursive=False)
            for path in members:
                tar.add(path, f"{inner}{path.relative_to(directory)}")
    return archive


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A dataset with all that a dataset's directory may hold; two subjects share a sequence's name."""
    root = tmp_path / "unpacked/KIT"
    write_sequence(root / "3/912_3_01_poses.npz", 60, 1)
    write_sequence(root / "3/912_3_02_poses.npz", 10, 2, gender=b"male", dmpls=None)
    write_sequence(root / "11/912_3_01_poses.npz", 33, 3, gender="b'male'", mocap_framerate=100.0)
    write_sequence(root / "11/läuft (1) & springt_poses.npz", 20, 4)
    write_sequence(root / "11/woman_poses.npz", 5, 5, gender="female")  # of whom there is no model
    write_sequence(root / "2/x_poses.npz", 7, 6)
    np.savez(root / "3/shape.npz", betas=np.zeros(16), gender="male")
    whole = (root / "3/912_3_01_poses.npz").read_bytes()
    (root / "11/broken_poses.npz").write_bytes(whole[: len(whole) // 2])
    (root / "11/empty_poses.npz").write_bytes(b"")
    (root / "11/._läuft (1) & springt_poses.npz").write_bytes(b"Mac OS X")
    (root / ".hidden").mkdir()
    write_sequence(root / ".hidden/y_poses.npz")
    (root / "LICENSE.txt").write_text("text")
    return root


def convert(amass: Path, out: Path, models: Path, **options: Any) -> Report:
    return convert_tree(amass, out, joints="body", body_models=models, **{"workers": 1} | options)


def essence(report: Report) -> list[Any]:
    """What a report says, but for where things are and how long they took."""
    return [
        (one.name, one.converted, sorted((skip.name, skip.reason) for skip in one.skipped), one.passed_over)
        for one in report.datasets
    ]


def names_in(path: Path) -> list[str]:
    return [f"{subject}/{name}" for subject, sequences in aj.load(path).items() for name in sequences]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}


# -------------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize(("suffix", "inner"), [*zip(SUFFIXES, ["KIT/", "", "./", "Inner Name/", "KIT/"], strict=True)])
def test_an_archive_gives_what_its_tree_does(tmp_path: Path, kit: Path, models: Path, suffix: str, inner: str) -> None:
    pack(kit, tmp_path / f"packed/KIT{suffix}", inner)
    before = sorted(tmp_path.rglob("*"))
    unpacked = convert(kit.parent, tmp_path / "out1", models)
    packed = convert(tmp_path / "packed", tmp_path / "out2", models)
    assert contents(tmp_path / "out2") == contents(tmp_path / "out1")
    assert names_in(tmp_path / "out2/KIT.npz") == [
        "11/912_3_01_poses",
        "11/läuft (1) & springt_poses",
        "2/x_poses",
        "3/912_3_01_poses",
        "3/912_3_02_poses",
    ]
    assert essence(packed) == essence(unpacked)
    assert sorted(one.name for one in packed.skipped) == [
        "KIT/11/broken_poses",
        "KIT/11/empty_poses",
        "KIT/11/woman_poses",
    ]
    assert packed.total.passed_over == 2
    new = sorted(set(tmp_path.rglob("*")) - set(before))  # nothing is unpacked on the disk
    assert new == [tmp_path / "out1", tmp_path / "out1/KIT.npz", tmp_path / "out2", tmp_path / "out2/KIT.npz"]


@pytest.mark.parametrize("suffix", [".tar.bz2", ".zip"])
def test_at_another_rate_and_in_float64(tmp_path: Path, kit: Path, models: Path, suffix: str) -> None:
    pack(kit, tmp_path / f"packed/KIT{suffix}", "KIT/")
    for amass, out in ((kit.parent, "out1"), (tmp_path / "packed", "out2")):
        convert(amass, tmp_path / out, models, settings=Settings(rate=50, dtype="float64", dmpls=False))
    assert contents(tmp_path / "out2") == contents(tmp_path / "out1")


@pytest.mark.parametrize(
    "only", [["KIT/3"], ["KIT/11/l*"], ["KIT/*/912*", "KIT/2/x_poses"], ["*/broken_poses", "*/2/*"]]
)
@pytest.mark.parametrize("suffix", [".tar.bz2", ".zip"])
def test_only_in_archives(tmp_path: Path, kit: Path, models: Path, suffix: str, only: list[str]) -> None:
    pack(kit, tmp_path / f"packed/KIT{suffix}", "KIT/")
    unpacked = convert(kit.parent, tmp_path / "out1", models, only=only)
    packed = convert(tmp_path / "packed", tmp_path / "out2", models, only=only)
    assert contents(tmp_path / "out2") == contents(tmp_path / "out1")
    assert essence(packed) == essence(unpacked)


@pytest.mark.parametrize("only", ["KIT/3", "KIT/11"])
def test_only_leaves_out_what_is_wrong_elsewhere(tmp_path: Path, kit: Path, models: Path, only: str) -> None:
    """Whether a member is no file, or lies in the wrong place, is said of what was asked for alone."""
    (kit / "11/link_poses.npz").symlink_to("nowhere_poses.npz")
    write_sequence(kit / "misplaced_poses.npz")
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed/KIT.tar", "w") as tar:
        tar.add(kit, "")  # links included
    unpacked = convert(kit.parent, tmp_path / "out1", models, only=only)
    packed = convert(tmp_path / "packed", tmp_path / "out2", models, only=only)
    assert sorted(one.name for one in packed.skipped) == sorted(one.name for one in unpacked.skipped)


def test_only_that_matches_nothing_in_an_archive_is_said(tmp_path: Path, kit: Path, models: Path) -> None:
    pack(kit, tmp_path / "packed/KIT.tar")
    for amass in (kit.parent, tmp_path / "packed"):
        with pytest.raises(aj.InputError, match="matches"):
            convert(amass, tmp_path / "out", models, only=["KIT/no_such/*"])


@pytest.mark.parametrize("workers", [1, 3])
def test_archives_side_by_side(tmp_path: Path, kit: Path, models: Path, workers: int) -> None:
    for number, (name, suffix) in enumerate(zip(["CMU", "KIT", "ACCAD", "SFU", "EKUT"], SUFFIXES, strict=True)):
        dataset = tmp_path / "all" / name
        dataset.mkdir(parents=True)
        for path in sorted(kit.rglob("*"))[number:]:
            if path.is_file():
                target = dataset / path.relative_to(kit)
                target.parent.mkdir(exist_ok=True)
                os.link(path, target)
        pack(dataset, tmp_path / f"packed/{name}{suffix}", f"{name}/")
    write_sequence(tmp_path / "all/TotalCapture/s1/walk_poses.npz", 40, 9)  # one that is no archive, in between
    write_sequence(tmp_path / "packed/TotalCapture/s1/walk_poses.npz", 40, 9)
    unpacked = convert(tmp_path / "all", tmp_path / "out1", models)
    packed = convert(tmp_path / "packed", tmp_path / "out2", models, workers=workers)
    assert len(contents(tmp_path / "out1")) == 6
    assert contents(tmp_path / "out2") == contents(tmp_path / "out1")
    assert essence(packed) == essence(unpacked)


def test_two_inner_directories_with_one_sequence(tmp_path: Path, models: Path) -> None:
    root = tmp_path / "unpacked/KIT"
    write_sequence(root / "b/3/x_poses.npz", 6, 1)
    write_sequence(root / "a/3/x_poses.npz", 7, 2)
    pack(root, tmp_path / "packed/KIT.tar")
    unpacked = convert(tmp_path / "unpacked", tmp_path / "out1", models)
    packed = convert(tmp_path / "packed", tmp_path / "out2", models)
    assert contents(tmp_path / "out2") == contents(tmp_path / "out1")
    assert [one.name for one in packed.skipped] == [one.name for one in unpacked.skipped] == ["KIT/3/x_poses"]


def test_a_directory_wins_over_its_archive(tmp_path: Path, kit: Path, models: Path) -> None:
    archive = kit.parent / "KIT.tar.bz2"
    archive.write_bytes(b"never looked into")
    report = convert(kit.parent, tmp_path / "out", models)
    (dataset,) = report.datasets
    assert len(dataset.converted) == 5
    assert not any("tar" in one.name for one in dataset.skipped)
    (note,) = dataset.notes
    assert str(archive) in note
    assert str(kit) in note
    report.save(tmp_path / "report.json")
    assert note in json.loads((tmp_path / "report.json").read_text())["datasets"][0]["notes"]
    ran = program("convert", "--amass-dir", kit.parent, "--out-dir", tmp_path / "o", "--joints", "body", models=models)
    assert ran.returncode == 0, ran.stderr
    assert str(archive) in ran.stdout


def test_a_directory_wins_over_the_archive_that_it_was_unpacked_from(tmp_path: Path, models: Path) -> None:
    """``tar xf BMLrub.tar.bz2`` makes BioMotionLab_NTroje/ beside it: directory and archive of the same dataset."""
    root = tmp_path / "amass"
    write_sequence(root / "BioMotionLab_NTroje/rub001/0000_poses.npz", 12, 1)
    pack(root, root / "BMLrub.tar.bz2")
    report = convert(root, tmp_path / "out", models)
    assert names_in(tmp_path / "out/BMLrub.npz") == ["rub001/0000_poses"]
    assert any("BMLrub.tar.bz2" in note for note in report.datasets[0].notes)


@pytest.mark.parametrize(
    ("damage", "suffix", "workers"),
    [
        *itertools.product(["truncated", "overwritten"], [".tar.bz2", ".tar.gz"], [1, 3]),
        ("truncated", ".tar", 1),
        ("truncated", ".tar.xz", 1),
    ],
)
def test_a_damaged_archive(tmp_path: Path, models: Path, suffix: str, damage: str, workers: int) -> None:
    root = tmp_path / "unpacked/KIT"
    for number in range(3):
        write_sequence(root / f"{number}/x_poses.npz", 900, number)
    write_sequence(tmp_path / "packed/SFU/s/x_poses.npz", 12, 5)
    archive = pack(root, tmp_path / f"packed/KIT{suffix}", in_order=True)
    data = bytearray(archive.read_bytes())
    middle = len(data) * 6 // 10
    archive.write_bytes(data[:middle] if damage == "truncated" else data[:middle] + bytes(999) + data[middle + 999 :])
    report = convert(tmp_path / "packed", tmp_path / "out", models, workers=workers)
    kit, sfu = report.datasets
    assert [one.name for one in kit.converted] == ["0/x_poses"]
    assert len(sfu.converted) == 1
    (skipped,) = (one for one in kit.skipped if archive.name in one.name)
    assert "what comes before" in skipped.reason
    convert(tmp_path / "unpacked", tmp_path / "whole", models, only="KIT/0")
    assert (tmp_path / "out/KIT.npz").read_bytes() == (tmp_path / "whole/KIT.npz").read_bytes()


def test_what_is_no_archive_does_not_stop_the_others(tmp_path: Path, kit: Path, models: Path) -> None:
    pack(kit, tmp_path / "packed/KIT.tar.bz2")
    (tmp_path / "packed/CMU.tar.bz2").write_text("<!DOCTYPE html><html>Please log in</html>")
    (tmp_path / "packed/SFU.tar.bz2").write_bytes(b"")
    report = convert(tmp_path / "packed", tmp_path / "out", models)
    assert [(one.name, len(one.converted)) for one in report.datasets] == [("CMU", 0), ("KIT", 5), ("SFU", 0)]
    reasons = {one.name: one.reason for one in report.skipped if "tar" in one.name}
    assert "web page" in reasons["CMU/CMU.tar.bz2"]
    assert "empty" in reasons["SFU/SFU.tar.bz2"]


def test_an_archive_has_no_more_frames_than_its_size_allows(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their results are in memory until it is read."""
    for name, frames in {"a": 20, "b": 20, "c": 5}.items():
        write_sequence(tmp_path / f"amass/KIT/3/{name}_poses.npz", frames)
    pack(tmp_path / "amass/KIT", tmp_path / "packed/KIT.tar", in_order=True)
    size = (tmp_path / "packed/KIT.tar").stat().st_size
    monkeypatch.setattr(traversal, "FREE_FRAMES", 30)
    monkeypatch.setattr(traversal, "BYTES_A_FRAME", size // 9)
    report = convert(tmp_path / "packed", tmp_path / "out", models, workers=1)
    assert {one.name: one.reason for one in report.skipped} == {
        f"KIT/3/{name}_poses": "its archive has more frames than motions of its size have" for name in "bc"
    }
    monkeypatch.setattr(traversal, "BYTES_A_FRAME", size // 16)
    assert not convert(tmp_path / "packed", tmp_path / "out", models, workers=1).skipped


def test_links_to_nowhere_and_pipes_do_not_stop_the_others(tmp_path: Path, kit: Path, models: Path) -> None:
    pack(kit, tmp_path / "packed/KIT.tar.bz2")
    (tmp_path / "packed/CMU.tar.bz2").symlink_to("nowhere.tar.bz2")
    os.mkfifo(tmp_path / "packed/SFU.tar.gz")
    report = convert(tmp_path / "packed", tmp_path / "out", models)
    assert len(report.total.converted) == 5
    assert {one.name for one in report.skipped} >= {"CMU/CMU.tar.bz2", "SFU/SFU.tar.gz"}


def test_one_damaged_member_of_a_zip_costs_that_one_alone(tmp_path: Path, models: Path) -> None:
    """As when it is unpacked: a zip's directory says where the others are."""
    for number in range(3):
        write_sequence(tmp_path / f"unpacked/KIT/{number}/x_poses.npz", 20, number)
    archive = pack(tmp_path / "unpacked/KIT", tmp_path / "packed/KIT.zip", in_order=True)
    with zipfile.ZipFile(archive) as zipped:
        info = zipped.getinfo("1/x_poses.npz")
    data = bytearray(archive.read_bytes())
    at = info.header_offset + info.compress_size // 2
    data[at : at + 50] = bytes(50)
    archive.write_bytes(data)
    report = convert(tmp_path / "packed", tmp_path / "out", models)
    assert len(report.skipped) == 1
    assert names_in(tmp_path / "out/KIT.npz") == ["0/x_poses", "2/x_poses"]


def test_skip_existing_and_archives(tmp_path: Path, kit: Path, models: Path) -> None:
    pack(kit, tmp_path / "packed/KIT.tar.bz2")
    (tmp_path / "packed/HDM05.tar").write_bytes(b"not opened")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/MPIHDM05.npz").write_bytes(b"there")
    report = convert(tmp_path / "packed", tmp_path / "out", models, skip_existing=True)
    assert [one.already_there for one in report.datasets] == [False, True]
    assert (tmp_path / "out/MPIHDM05.npz").read_bytes() == b"there"


# ----------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("as_archives", [False, True])
def test_every_name_gives_the_canonical_one(tmp_path: Path, models: Path, column: int, as_archives: bool) -> None:
    names = {canonical: others[column] for canonical, others in OTHER_NAMES.items() if column < len(others)}
    for number, name in enumerate(names.values()):
        if as_archives:
            write_sequence(tmp_path / f"tree{number}/s/x_poses.npz", 2, number)
            pack(tmp_path / f"tree{number}", tmp_path / f"amass/{name}{SUFFIXES[number % 5]}", "inner/")
        else:
            write_sequence(tmp_path / f"amass/{name}/s/x_poses.npz", 2, number)
    report = convert(tmp_path / "amass", tmp_path / "canonical", models)
    assert sorted(contents(tmp_path / "canonical")) == sorted(f"{name}.npz" for name in names)
    convert(tmp_path / "amass", tmp_path / "kept", models, keep_names=True)
    assert sorted(contents(tmp_path / "kept")) == sorted(f"{name}.npz" for name in names.values())
    for canonical, name in names.items():
        assert (tmp_path / f"canonical/{canonical}.npz").read_bytes() == (tmp_path / f"kept/{name}.npz").read_bytes()
        (dataset,) = (one for one in report.datasets if one.name == canonical)
        assert (dataset.notes == ()) == (canonical == name)


def test_only_takes_canonical_names_of_all_sources(tmp_path: Path, models: Path) -> None:
    write_sequence(tmp_path / "amass/BioMotionLab_NTroje/rub001/a_poses.npz", 3, 1)
    write_sequence(tmp_path / "amass/BMLrub/rub002/b_poses.npz", 3, 2)
    write_sequence(tmp_path / "amass/CMU/1/c_poses.npz", 3, 2)
    convert(tmp_path / "amass", tmp_path / "out", models, only=["BMLrub/rub001"])
    assert sorted(contents(tmp_path / "out")) == ["BMLrub.npz"]
    assert names_in(tmp_path / "out/BMLrub.npz") == ["rub001/a_poses"]


SOURCES = [
    ("BMLrub", "BioMotionLab_NTroje"),
    ("BMLrub", "BioMotionLab_NTroje.tar.bz2"),
    ("BMLrub.zip", "BioMotionLab_NTroje"),
    ("BMLrub.tar", "BioMotionLab_NTroje.tar.gz"),
    ("BMLrub.tar", "BMLrub.zip"),
]


def source(tmp_path: Path, name: str, files: dict[str, int]) -> None:
    """Make a directory or an archive of sequences: subject/name, and a seed."""
    is_archive = "." in name
    tree = tmp_path / "trees" / name if is_archive else tmp_path / "amass" / name
    for file, seed in files.items():
        write_sequence(tree / "inner" / f"{file}_poses.npz", 8, seed)
    if is_archive:
        pack(tree, tmp_path / "amass" / name)


@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("workers", [1, 2])
def test_two_sources_for_one_name_are_merged(
    tmp_path: Path, models: Path, sources: tuple[str, str], workers: int
) -> None:
    source(tmp_path, sources[0], {"rub001/b": 1, "rub003/a": 2})
    source(tmp_path, sources[1], {"rub001/a": 3, "rub002/a": 4})
    report = convert(tmp_path / "amass", tmp_path / "out", models, workers=workers)
    both = {"rub001/b": 1, "rub003/a": 2, "rub001/a": 3, "rub002/a": 4}
    for file, seed in both.items():
        write_sequence(tmp_path / f"together/BMLrub/{file}_poses.npz", 8, seed)
    together = convert(tmp_path / "together", tmp_path / "expected", models)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    assert names_in(tmp_path / "out/BMLrub.npz") == [f"{file}_poses" for file in sorted(both)]
    assert essence(report) == essence(together)


@pytest.mark.parametrize("sources", [SOURCES[0], *SOURCES[3:]])
def test_two_sources_that_collide_are_refused(tmp_path: Path, models: Path, sources: tuple[str, str]) -> None:
    source(tmp_path, sources[0], {"rub001/a": 1, "rub001/b": 1})
    source(tmp_path, sources[1], {"rub001/b": 2, "rub002/a": 2})
    write_sequence(tmp_path / "amass/ACCAD/s/x_poses.npz", 8)  # comes first
    with pytest.raises(aj.InputError) as caught:
        convert(tmp_path / "amass", tmp_path / "out", models)
    message = str(caught.value)
    for expected in ("BMLrub/rub001/b_poses", *(str(tmp_path / "amass" / name) for name in sources), "--keep-names"):
        assert expected in message
    assert contents(tmp_path / "out") == {}
    if sources[0].split(".")[0] != sources[1].split(".")[0]:
        convert(tmp_path / "amass", tmp_path / "out", models, keep_names=True)
        assert sorted(contents(tmp_path / "out")) == ["ACCAD.npz", "BMLrub.npz", "BioMotionLab_NTroje.npz"]


def test_a_collision_in_what_was_not_asked_for_does_no_harm(tmp_path: Path, models: Path) -> None:
    source(tmp_path, "BMLrub", {"rub001/a": 1, "rub001/b": 1})
    source(tmp_path, "BioMotionLab_NTroje", {"rub001/b": 2})
    write_sequence(tmp_path / "amass/ACCAD/s/x_poses.npz", 8)
    convert(tmp_path / "amass", tmp_path / "out", models, only="ACCAD")
    assert sorted(contents(tmp_path / "out")) == ["ACCAD.npz"]


def test_a_damaged_archive_among_several_sources_is_reported_once(tmp_path: Path, models: Path) -> None:
    source(tmp_path, "BMLrub", {"rub001/a": 1})
    source(tmp_path, "BioMotionLab_NTroje.tar", {"rub002/a": 2, "rub003/a": 3})
    archive = tmp_path / "amass/BioMotionLab_NTroje.tar"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 6 // 10])
    report = convert(tmp_path / "amass", tmp_path / "out", models)
    assert names_in(tmp_path / "out/BMLrub.npz")[0] == "rub001/a_poses"
    assert len(names_in(tmp_path / "out/BMLrub.npz")) == 2
    of_archive = [one.name for one in report.skipped if "comes before that" in one.reason]
    assert of_archive == ["BMLrub/BioMotionLab_NTroje.tar"]
    assert len(report.skipped) == 2  # and the sequence that is cut


def test_what_archives_among_several_sources_hold_is_counted_once(tmp_path: Path, kit: Path, models: Path) -> None:
    pack(kit, tmp_path / "amass/MoSh.tar.bz2")
    write_sequence(tmp_path / "amass/MPI_mosh/s/x_poses.npz", 8)
    write_sequence(kit / "s/x_poses.npz", 8)
    unpacked = convert(kit.parent, tmp_path / "out1", models)
    merged = convert(tmp_path / "amass", tmp_path / "out2", models)
    assert (tmp_path / "out1/KIT.npz").read_bytes() == (tmp_path / "out2/MPImosh.npz").read_bytes()
    (one,), (other,) = essence(unpacked), essence(merged)
    assert other[1] == one[1]
    assert [name.replace("MPImosh", "KIT") for name, _ in other[2]] == [name for name, _ in one[2]]
    assert other[3] == one[3]


# ---------------------------------------------------------------------------------------------- both releases


def both_releases(tmp_path: Path, layout: str) -> None:
    """Motions a (in both, at one rate), b (in both, at two rates), c (SMPL+H alone), d (SMPL-X alone)."""
    smplh, smplx = {
        "one directory": ("HDM05", "HDM05"),
        "two directories": ("MPI_HDM05", "HDM05"),
        "directory and archive": ("MPI_HDM05", "HDM05.tar.bz2"),
        "archive and directory": ("MPI_HDM05.tar.gz", "HDM05"),
        "two archives": ("MPI_HDM05.tar.bz2", "HDM05.zip"),
        "one archive": ("HDM05.tar.xz", "HDM05.tar.xz"),
    }[layout]
    for name, write, suffix, motions in [
        (smplh, write_sequence, "poses", {"a": 120.0, "b": 120.0, "c": 60.0}),
        (smplx, write_stageii, "stageii", {"a": 120.0, "b": 100.0, "d": 60.0}),
    ]:
        tree = tmp_path / "trees" / name if "." in name else tmp_path / "amass" / name
        key = "mocap_framerate" if suffix == "poses" else "mocap_frame_rate"
        for motion, rate in motions.items():
            write(tree / f"dg/{motion}_{suffix}.npz", 8, ord(motion), **{key: rate})
        np.savez(tree / ("shape.npz" if suffix == "poses" else "male_stagei.npz"), betas=np.zeros(16))
    for tree in (tmp_path / "trees").iterdir() if (tmp_path / "trees").exists() else ():
        pack(tree, tmp_path / "amass" / tree.name)


LAYOUTS = (
    *("one directory", "two directories", "directory and archive"),
    *("archive and directory", "two archives", "one archive"),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prefer", ["smplh", "smplx", None])
def test_both_releases_side_by_side(tmp_path: Path, models: Path, layout: str, prefer: str | None) -> None:
    both_releases(tmp_path, layout)
    options = {} if prefer is None else {"prefer": prefer}
    report = convert(tmp_path / "amass", tmp_path / "out", models, **options)
    expected = {
        "smplh": {"dg/a_poses": "smplh", "dg/b_poses": "smplh", "dg/c_poses": "smplh", "dg/d_stageii": "smplx"},
        "smplx": {"dg/a_stageii": "smplx", "dg/b_stageii": "smplx", "dg/c_poses": "smplh", "dg/d_stageii": "smplx"},
    }[prefer or "smplh"]
    (dataset,) = report.datasets
    assert {one.name: one.model_type for one in dataset.converted} == expected
    assert names_in(tmp_path / "out/MPIHDM05.npz") == list(expected)
    assert dataset.skipped == ()
    assert dataset.passed_over == 2
    (differ,) = report.disagreements
    ours, theirs = ("poses", 120.0), ("stageii", 100.0)
    if prefer == "smplx":
        ours, theirs = theirs, ours
    assert (differ.name, differ.frame_rate) == (f"MPIHDM05/dg/b_{ours[0]}", ours[1])
    assert (differ.other, differ.other_frame_rate) == (f"MPIHDM05/dg/b_{theirs[0]}", theirs[1])
    report.save(tmp_path / "report.json")
    assert "b_poses" in json.dumps(json.loads((tmp_path / "report.json").read_text())["datasets"][0]["disagreements"])


def test_layouts_of_both_releases_make_no_difference(tmp_path: Path, models: Path) -> None:
    for layout, prefer in itertools.product(LAYOUTS, ("smplh", "smplx")):
        both_releases(tmp_path / layout, layout) if prefer == "smplh" else None
        convert(tmp_path / layout / "amass", tmp_path / f"{layout} {prefer}", models, prefer=prefer)
        first = contents(tmp_path / f"{LAYOUTS[0]} {prefer}")
        assert contents(tmp_path / f"{layout} {prefer}") == first
        assert first


@pytest.mark.parametrize("layout", ["one directory", "one archive", "two archives"])
def test_only_and_both_releases(tmp_path: Path, models: Path, layout: str) -> None:
    """--only that names one release asks for that one, or says that the other is taken; it never loses the motion."""
    both_releases(tmp_path, layout)
    convert(tmp_path / "amass", tmp_path / "out", models, only="*/dg/a_poses", prefer="smplh")
    assert names_in(tmp_path / "out/MPIHDM05.npz") == ["dg/a_poses"]
    convert(tmp_path / "amass", tmp_path / "out2", models, only="*/dg/[ac]_*", prefer="smplx")
    assert names_in(tmp_path / "out2/MPIHDM05.npz") == ["dg/a_stageii", "dg/c_poses"]


def test_the_program_says_which_rates_differ_and_how_many_were_set_aside(tmp_path: Path, models: Path) -> None:
    both_releases(tmp_path, "two directories")
    arguments = ("--amass-dir", tmp_path / "amass", "--out-dir", tmp_path / "out", "--joints", "body")
    ran = program("convert", *arguments, "--prefer", "smplx", models=models)
    assert ran.returncode == 0, ran.stderr
    assert "MPIHDM05/dg/b_stageii: 100 Hz; MPIHDM05/dg/b_poses: 120 Hz" in ran.stdout
    assert "dg/a_" not in ran.stdout.partition("Frame rates that differ")[2]
    assert program("convert", *arguments, "--prefer", "smpl", models=models).returncode == 2


# ------------------------------------------------------------------------------------------------ frame rates


def test_both_spellings_of_the_frame_rate(tmp_path: Path, models: Path) -> None:
    write_sequence(tmp_path / "amass/A/s/a_poses.npz", mocap_framerate=60.0)
    write_sequence(tmp_path / "amass/A/s/b_poses.npz", mocap_framerate=None, mocap_frame_rate=np.array(100.0))
    write_stageii(tmp_path / "amass/A/s/c_stageii.npz", mocap_frame_rate=np.array(150))
    write_stageii(tmp_path / "amass/A/s/d_stageii.npz", mocap_frame_rate=None, mocap_framerate=np.array([250.0]))
    write_stageii(tmp_path / "amass/A/s/e_stageii.npz", mocap_frame_rate=None)
    report = convert(tmp_path / "amass", tmp_path / "out", models)
    assert [one.frame_rate for one in report.total.converted] == [60, 100, 150, 250]
    (skipped,) = report.skipped
    assert skipped.name == "A/s/e_stageii"
    assert "mocap_framerate" in skipped.reason


WRONG = {"BMLhandball/S01/x": 240.0, "SSM_synced/20160930_50032/x": 59.0, "SSM/20161014_50033/x": 59.0}


@pytest.fixture
def mislabelled(tmp_path: Path) -> Path:
    root = tmp_path / "amass"
    for number, name in enumerate(WRONG):
        write_sequence(root / f"{name}_poses.npz", 240, number)
    write_sequence(root / "SSM_synced/20160330_03333/x_poses.npz", 240, 7, mocap_framerate=120.00004577636719)
    write_sequence(root / "BMLhandball/S01/right_poses.npz", 240, 8, mocap_framerate=240.0)
    write_sequence(root / "CMU/20160930_50032/x_poses.npz", 240, 9)
    return root


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("keep_names", [False, True])
@pytest.mark.parametrize("fix", [False, True])
def test_frame_rates_that_are_known_to_be_wrong(
    tmp_path: Path, mislabelled: Path, models: Path, fix: bool, keep_names: bool, packed: bool
) -> None:
    amass = mislabelled
    if packed:
        amass = tmp_path / "packed"
        for dataset in mislabelled.iterdir():
            pack(dataset, amass / f"{dataset.name}.tar.gz")
    settings = Settings(rate=60, fix_frame_rates=fix)
    report = convert(amass, tmp_path / "out", models, settings=settings, keep_names=keep_names)
    converted = {(dataset.name, one.name): one for dataset in report.datasets for one in dataset.converted}
    ssm = ("SSM_synced", "SSM") if keep_names else ("SSMsynced", "SSMsynced")
    concerned = {
        ("BMLhandball", "S01/x_poses"): 240.0,
        (ssm[0], "20160930_50032/x_poses"): 59.0,
        (ssm[1], "20161014_50033/x_poses"): 59.0,
    }
    assert {name: one.known_frame_rate for name, one in converted.items() if one.known_frame_rate} == concerned
    for name, one in converted.items():
        taken = concerned[name] if fix and name in concerned else one.labelled_frame_rate
        assert one.source_frame_rate == taken
        assert one.frame_rate == 60
    assert converted["BMLhandball", "S01/x_poses"].frames == (60 if fix else 120)
    assert converted["BMLhandball", "S01/right_poses"].frames == 60
    assert converted["CMU", "20160930_50032/x_poses"].frames == 120
    positions = aj.load(tmp_path / "out/BMLhandball.npz")["S01"]["x_poses"]["positions_3d"]
    assert len(positions) == (60 if fix else 120)
    report.save(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    named = [
        (dataset["name"], one["name"])
        for dataset in saved["datasets"]
        for one in dataset["converted"]
        if one["known_frame_rate"]
    ]
    assert sorted(named) == sorted(concerned)


def test_a_240_hz_motion_labelled_120_comes_out_with_half_the_frames_the_same_places(
    tmp_path: Path, models: Path
) -> None:
    write_sequence(tmp_path / "wrong/BMLhandball/s/x_poses.npz", 480, 3, mocap_framerate=120.0)
    write_sequence(tmp_path / "right/BMLhandball/s/x_poses.npz", 480, 3, mocap_framerate=240.0)
    fixed, off = Settings(rate=50, fix_frame_rates=True), Settings(rate=50)
    for tree, out, settings in (("wrong", "fixed", fixed), ("right", "right_out", off), ("wrong", "off", off)):
        convert(tmp_path / tree, tmp_path / out, models, settings=settings)
    assert contents(tmp_path / "fixed") == contents(tmp_path / "right_out")
    frames = [
        len(aj.load(tmp_path / out / "BMLhandball.npz")["s"]["x_poses"]["positions_3d"]) for out in ("fixed", "off")
    ]
    assert frames == [100, 200]


def test_without_a_target_rate_the_label_is_put_right(tmp_path: Path, mislabelled: Path, models: Path) -> None:
    convert(mislabelled, tmp_path / "out", models, settings=Settings(fix_frame_rates=True))
    motion = aj.load(tmp_path / "out/BMLhandball.npz")["S01"]["x_poses"]
    assert (len(motion["positions_3d"]), motion["frame_rate"]) == (240, 240.0)


@pytest.mark.parametrize("fix", [False, True])
def test_the_program_names_what_is_wrong(tmp_path: Path, mislabelled: Path, models: Path, fix: bool) -> None:
    ran = program(
        *("convert", "--amass-dir", mislabelled, "--out-dir", tmp_path / "out", "--joints", "body", "--rate", 60),
        *(["--fix-frame-rates"] if fix else []),
        *("--report", tmp_path / "report.json"),
        models=models,
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"frame rate of 3 sequences", ran.stdout)
    assert ("--fix-frame-rates" in ran.stdout) != fix


# ------------------------------------------------------------------------------------------------------- scan


def program(*arguments: object, models: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    environment.pop("AMASS_JOINTS_BODY_MODELS", None)
    command = [sys.executable, "-m", "amass_joints", *map(str, arguments)]
    command += [] if models is None else ["--body-models", str(models)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def mixed(tmp_path: Path, kit: Path) -> Path:
    """A tree of everything that there may be."""
    root = tmp_path / "mixed"
    both_releases(tmp_path / "both", "two directories")
    root.mkdir()
    for path in (tmp_path / "both/amass").iterdir():
        path.rename(root / path.name)
    write_sequence(root / "BMLhandball/S01/x_poses.npz", 240)
    write_sequence(root / "GRAB/s1/x_poses.npz", 120, dmpls=None, gender="neutral")
    write_sequence(root / "GRAB/s1/thing_poses.npz", 120, gender="robot")
    write_stageii(root / "MOYO/s1/x_stageii.npz", 60, gender="neutral", mocap_frame_rate=np.array(60.0))
    write_sequence(root / "smpl only/s/x_poses.npz", 60, poses=np.zeros((60, 72)), dmpls=None)
    pack(kit, root / "KIT.tar.bz2")
    (root / "ACCAD").mkdir()
    write_sequence(root / "ACCAD/s/x_poses.npz", 30)
    (root / "ACCAD.zip").write_bytes(b"left alone")
    return root


def dataset_of(saved: dict[str, Any], name: str) -> dict[str, Any]:
    (dataset,) = (one for one in saved["datasets"] if one["name"] == name)
    return dataset


def test_scan_as_json(mixed: Path, models: Path) -> None:
    ran = program("scan", mixed, "--json", models=models)
    assert ran.returncode == 0, ran.stderr
    saved = json.loads(ran.stdout)
    names = ["ACCAD", "BMLhandball", "GRAB", "KIT", "MOYO", "MPIHDM05", "smpl only"]
    assert [one["name"] for one in saved["datasets"]] == names
    handball = dataset_of(saved, "BMLhandball")
    assert (handball["sequences"], handball["frames"], handball["known_frame_rates"]) == (1, 240, 1)
    assert handball["hours"] == pytest.approx(240 / 120 / 3600)
    assert (handball["frame_rates"], handball["genders"], handball["without_dmpls"]) == ({"120.0": 1}, {"male": 1}, 0)
    grab = dataset_of(saved, "GRAB")
    assert (grab["sequences"], grab["without_dmpls"]) == (1, 1)
    assert grab["skipped"] == [
        {"name": "GRAB/s1/thing_poses", "reason": "its gender is 'robot', expected male, female, neutral"}
    ]
    assert dataset_of(saved, "MOYO")["model_types"] == {"smplx": 1}
    assert dataset_of(saved, "smpl only")["model_types"] == {"smpl": 1}
    hdm05 = dataset_of(saved, "MPIHDM05")
    assert hdm05["model_types"] == {"smplh": 3, "smplx": 1}
    assert (hdm05["sequences"], hdm05["set_aside"], hdm05["passed_over"]) == (4, 2, 2)
    assert hdm05["frame_rates"] == {"60.0": 2, "120.0": 2}
    assert [one["path"] for one in dataset_of(saved, "KIT")["archives"]] == [str(mixed / "KIT.tar.bz2")]
    assert any("ACCAD.zip" in note for note in dataset_of(saved, "ACCAD")["notes"])
    assert saved["total"]["sequences"] == 1 + 1 + 1 + 1 + 4 + 1
    files = {one["path"]: (one["sequences"], one["is_there"]) for one in saved["body_models"]}
    assert files == {
        str(models / "smplh/male/model.npz"): (5, True),
        str(models / "dmpls/male/model.npz"): (5, True),
        str(models / "smplh/neutral/model.npz"): (1, False),
        str(models / "smplx/male/model.npz"): (1, True),
        str(models / "smplx/neutral/model.npz"): (1, False),
        str(models / "smpl/male/model.npz"): (1, False),
        str(models / "smplx2smpl_deftrafo_setup.pkl"): (2, False),
    }


def test_scan_json_has_the_command_to_type_next(mixed: Path, models: Path) -> None:
    saved = json.loads(program("scan", mixed, "--json", models=models).stdout)
    assert "amass-joints convert" in json.dumps(saved)


def test_scan_for_people(mixed: Path, models: Path) -> None:
    ran = program("scan", mixed, "--prefer", "smplx", models=models)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    (hdm05,) = (line for line in lines if line.startswith("MPIHDM05:"))
    for expected in ("SMPL+H, SMPL-X", "sequences 4", "60 (2)", "100 (1)", "120 (1)", "male (4)"):
        assert expected in hdm05
    assert any(re.search(r"MISSING .*smplx/neutral/model.npz", line) for line in lines)
    assert any(re.search(r"there .*smplh/male/model.npz", line) for line in lines)
    assert any("GRAB/s1/thing_poses" in line and "robot" in line for line in lines)
    assert any("KIT.tar.bz2" in line for line in lines)
    assert any("--fix-frame-rates" in line for line in lines)
    command = lines[-1].strip()
    assert command.startswith("amass-joints convert")
    for expected in (str(mixed), str(models), "--prefer smplx"):
        assert expected in command


def test_the_command_that_scan_gives_runs(tmp_path: Path, mixed: Path, models: Path, support_data: Path) -> None:
    import shlex

    command = program("scan", mixed, "--only", "ACCAD", models=models).stdout.splitlines()[-1]
    words = shlex.split(command)[1:]
    words[words.index("--out-dir") + 1] = str(tmp_path / "joints")
    words[words.index("--joint-regressor") + 1] = str(support_data / "J_regressor_h36m.npy")
    ran = program(*words)
    assert ran.returncode == 0, ran.stderr
    assert sorted(contents(tmp_path / "joints")) == ["ACCAD.npz"]


def test_scan_says_what_convert_does(tmp_path: Path, mixed: Path, models: Path) -> None:
    (mixed / "KIT.tar.bz2").unlink()
    saved = json.loads(program("scan", mixed, "--json", models=models).stdout)
    report = convert(mixed, tmp_path / "out", models)
    missing = {path for path, there in ((one["path"], one["is_there"]) for one in saved["body_models"]) if not there}
    lacking = [one for one in report.skipped if any(path in one.reason for path in missing)]
    assert saved["total"]["sequences"] == len(report.total.converted) + len(lacking)
    assert len(saved["total"]["skipped"]) == len(report.skipped) - len(lacking)


def test_scan_says_when_a_model_file_is_a_wrong_one(tmp_path: Path, models: Path) -> None:
    """It is there, and convert refuses it."""
    write_stageii(tmp_path / "amass/CMU/s/x_stageii.npz")
    (tmp_path / "wrong/smplx/male").mkdir(parents=True)
    (tmp_path / "wrong/smplx/male/model.npz").symlink_to(models / "smplh/male/model.npz")
    ran = program("scan", tmp_path / "amass", models=tmp_path / "wrong")
    assert not re.search(r"^ *there .*smplx/male/model.npz", ran.stdout, re.MULTILINE)


def test_scan_of_archives_alone(tmp_path: Path, kit: Path, models: Path) -> None:
    """It cannot see what is in them without decompressing, and says so."""
    pack(kit, tmp_path / "packed/BioMotionLab_NTroje.tar.bz2")
    pack(kit, tmp_path / "packed/CMU.tar")
    ran = program("scan", tmp_path / "packed", models=models)
    assert ran.returncode == 0, ran.stderr
    assert "BMLrub" in ran.stdout
    assert "CMU" in ran.stdout
    assert str(tmp_path / "packed/CMU.tar") in ran.stdout


@pytest.mark.parametrize("keep", [False, True])
def test_scan_keeps_names(tmp_path: Path, models: Path, keep: bool) -> None:
    write_sequence(tmp_path / "amass/BioMotionLab_NTroje/s/x_poses.npz")
    ran = program("scan", tmp_path / "amass", *(["--keep-names"] if keep else []), models=models)
    assert any(line.startswith("BioMotionLab_NTroje:" if keep else "BMLrub:") for line in ran.stdout.splitlines())
    assert ("--keep-names" in ran.stdout.splitlines()[-1]) == keep


def test_scan_reads_headers_alone(tmp_path: Path, models: Path) -> None:
    """A thousand sequences take a tenth of the 20 s that ten thousand may take, with room for a busy machine."""
    import time

    first = write_sequence(tmp_path / "amass/CMU/0/0_poses.npz", 1200)
    for number in range(1, 1000):
        path = tmp_path / f"amass/CMU/{number % 20}/{number}_poses.npz"
        path.parent.mkdir(exist_ok=True)
        os.link(first, path)
    started = time.monotonic()
    ran = program("scan", tmp_path / "amass", models=models)
    assert time.monotonic() - started < 4
    assert "sequences 1,000" in ran.stdout
