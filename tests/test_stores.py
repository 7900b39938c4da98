"""HDF5, Zarr and Parquet, read by their own libraries."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amass_joints as aj
from amass_joints.cameras import Camera, View, h36m_cameras
from amass_joints.choices import Choices
from amass_joints.export import exporter_for
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.metadata import Metadata
from amass_joints.motions import Motion
from amass_joints.skeletons import H36M17, H36M17_SPIN, SMPL24

FORMATS = [
    "hdf5",
    pytest.param("zarr", marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="no zarr 3 for Python 3.10")),
    "parquet",
]
OUTPUTS = {"hdf5": "amass.h5", "zarr": "amass.zarr", "parquet": "data"}
METADATA = Metadata(H36M17_SPIN)

# Written out here, and not taken from the program.
NAMES = [
    *("pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"),
    *("spine", "neck", "jaw", "head_top"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
]
PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
PAIRS = [[1, 4], [2, 5], [3, 6], [11, 14], [12, 15], [13, 16]]

WEIRD = ["line\nbreak", ".", "..", "...", "a.b", "Übung (1) & é", "100%", "%2E", "nul\0", "\udcff", "\\", "__a", ""]
"""Names that files, archives or their authors may have."""


def motion(
    name: str = "CMU/01/01_01_poses", frames: int = 300, joints: int = 17, metadata: Metadata = METADATA
) -> Motion:
    dataset, subject, sequence = name.split("/")
    seed = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "little")
    positions = np.random.default_rng(seed).normal(size=(frames, joints, 3)).astype(np.float32)
    return Motion(dataset, subject, sequence, positions, 50.0, metadata)


def seen_by(cameras: Sequence[Camera], motion: Motion) -> tuple[View, ...]:
    return tuple(camera.look(motion.positions_3d) for camera in cameras)


def write(
    format: str, out: Path, motions: Sequence[tuple[Motion, Sequence[View], Split | None]], name: str = "amass"
) -> Exporter:
    out.mkdir(parents=True, exist_ok=True)
    with exporter_for(format)(out, ExportOptions(name=name)) as exporter:
        exporter.check([])
        for one, views, split in motions:
            exporter.add(one, views, split)
    return exporter


def digests(out: Path) -> dict[str, str]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# -------------------------------------------------------------------------------- what each library reads, in one form


def read_hdf5(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    h5py = importlib.import_module("h5py")
    rows = []
    with h5py.File(out / "amass.h5", "r") as file:
        about = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in file.attrs.items()}
        assert file["/"].attrs["format"] == "amass-joints hdf5"
        for dataset in file.values():
            for subject in dataset.values():
                for group in subject.values():
                    row = dict(group.attrs) | {name: array[()] for name, array in group.items()}
                    if "cameras" in row:
                        row["cameras"] = [json.loads(camera) for camera in row["cameras"]]
                    rows.append(row)
    return about, rows


def read_zarr(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    zarr = importlib.import_module("zarr")
    root = zarr.open_group(out / "amass.zarr", mode="r")
    assert root.metadata.zarr_format == 3
    rows = []
    for _, group in root.groups():
        for entry in group.attrs["sequences"]:
            row = {"dataset": group.attrs["dataset"], **entry}
            frames = slice(row.pop("start"), entry["start"] + row.pop("frames"))
            row["positions_3d"] = group["positions_3d"][frames]
            if "cameras" in entry:
                row["cameras"] = [group.attrs["cameras"][camera] for camera in entry["cameras"]]
                row |= {name: group[name][:, frames] for name in ("positions_2d", "visible")}
            rows.append(row)
    return dict(root.attrs), sorted(rows, key=lambda row: row["dataset"])  # groups are in the order of the directory


def read_parquet(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    parquet = importlib.import_module("pyarrow.parquet")
    rows, about = [], {}
    for path in sorted((out / "data").iterdir()):
        table = parquet.read_table(path)
        about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        for row in table.to_pylist():
            assert row.pop("num_frames") == len(row["positions_3d"])
            row["positions_3d"] = np.array(row["positions_3d"], np.float32)
            if "cameras" in row:
                row["cameras"] = json.loads(row["cameras"])
                row["positions_2d"] = np.array(row["positions_2d"], np.float32).swapaxes(0, 1)
                row["visible"] = np.array(row["visible"]).swapaxes(0, 1)
            rows.append(row | {"split": path.name.split("-")[0]})
    texts = ("format", "skeleton", "units", "up")
    return {key: value if key in texts else json.loads(value) for key, value in about.items()}, rows


READERS: dict[str, Callable[[Path], tuple[dict[str, Any], list[dict[str, Any]]]]] = {
    "hdf5": read_hdf5,
    "zarr": read_zarr,
    "parquet": read_parquet,
}


# -------------------------------------------------------------------------------------------------------- what there is


@pytest.mark.parametrize("format", FORMATS)
def test_motions(format: str, tmp_path: Path) -> None:
    names = ["CMU/01/01_01_poses", "CMU/01/walk", "CMU/02/walk", "KIT/3/walk"]
    motions = [motion(name, frames) for name, frames in zip(names, (1, 300, 513, 7000), strict=True)]
    exporter = write(format, tmp_path, [(one, (), None) for one in motions])
    assert exporter.outputs == [tmp_path / OUTPUTS[format]]
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUTS[format]]
    about, rows = READERS[format](tmp_path)
    expected = {
        **{"format": f"amass-joints {format}", "version": 1, "units": "metres", "up": "z", "root_relative": False},
        **{"skeleton": "h36m17-spin", "joint_names": NAMES, "parents": PARENTS, "symmetric_pairs": PAIRS},
    }
    assert about == expected
    assert [f"{row['dataset']}/{row['subject']}/{row['sequence']}" for row in rows] == names
    for one, row in zip(motions, rows, strict=True):
        assert row["positions_3d"].dtype == np.float32
        np.testing.assert_array_equal(row["positions_3d"], one.positions_3d)
        assert row["frame_rate"] == 50.0
        assert row.get("split") == ("train" if format == "parquet" else None)
        assert "cameras" not in row


@pytest.mark.parametrize("format", FORMATS)
def test_what_cameras_see(format: str, tmp_path: Path) -> None:
    cameras = h36m_cameras()["S1"]
    motions = [motion("A/s/one", 700), motion("A/s/two", 20), motion("B/s/one", 30)]
    splits: list[Split] = ["train", "validation", "test"]
    write(format, tmp_path, [(one, seen_by(cameras, one), part) for one, part in zip(motions, splits, strict=True)])
    _, rows = READERS[format](tmp_path)
    rows.sort(key=lambda row: splits.index(row["split"]))
    for one, row in zip(motions, rows, strict=True):
        np.testing.assert_array_equal(row["positions_3d"], one.positions_3d)
        assert row["positions_2d"].dtype == np.float32
        assert row["visible"].dtype == np.bool_
        views = seen_by(cameras, one)
        np.testing.assert_array_equal(row["positions_2d"], [view.positions_2d for view in views])
        np.testing.assert_array_equal(row["visible"], [view.visible for view in views])
        assert 0 < np.mean(row["visible"]) < 1
        assert [camera["id"] for camera in row["cameras"]] == ["54138969", "55011271", "58860488", "60457274"]
        # One joint by the published formula, from what is in the file alone.
        camera, point = row["cameras"][2], row["positions_3d"][4, 5].astype(float)
        x, y, z = np.array(camera["R"]) @ point + camera["t"]
        if z > 0.5 and row["visible"][2, 4, 5]:
            k1, k2, p1, p2, k3 = camera["dist"]
            x, y = x / z, y / z
            r2 = x * x + y * y
            both = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
            pixel = (
                camera["fx"] * (x * both + p1 * r2) + camera["cx"],
                camera["fy"] * (y * both + p2 * r2) + camera["cy"],
            )
            np.testing.assert_allclose(row["positions_2d"][2, 4, 5], pixel, atol=1e-3)


@pytest.mark.parametrize("format", FORMATS)
def test_a_body_whose_left_arm_alone_moves(format: str, tmp_path: Path) -> None:
    for metadata in (METADATA, Metadata(H36M17), Metadata(SMPL24)):
        skeleton = metadata.skeleton
        assert skeleton is not None
        arm = [skeleton.joints.index(f"left_{joint}") for joint in ("elbow", "wrist")]
        still = motion(frames=40, joints=len(skeleton.joints), metadata=metadata)
        positions = np.repeat(still.positions_3d[:1], 40, axis=0)
        positions[:, arm] += np.arange(40, dtype=np.float32)[:, None, None]
        out = tmp_path / skeleton.name
        write(format, out, [(replace(still, positions_3d=positions), (), None)])
        about, (row,) = READERS[format](out)
        moving = np.flatnonzero(np.ptp(row["positions_3d"], axis=0).any(axis=1))
        assert [about["joint_names"][joint] for joint in moving] == ["left_elbow", "left_wrist"]
        lefts, rights = np.transpose(about["symmetric_pairs"])
        assert set(moving) <= set(lefts)
        assert not set(moving) & set(rights)


@pytest.mark.parametrize("format", FORMATS)
def test_units_and_axes_are_written_down(format: str, tmp_path: Path) -> None:
    choices = Choices(up="y", units="mm", root_relative=True, trim_start=0.5)
    write(format, tmp_path, [(motion(metadata=Metadata(None, choices)), (), None)])
    about, _ = READERS[format](tmp_path)
    others = about.pop("choices")
    assert (json.loads(others) if isinstance(others, str) else others)["trim_start"] == 0.5
    expected = {"version": 1, "units": "millimetres", "up": "y", "root_relative": True}
    assert about == {"format": f"amass-joints {format}", **expected}


@pytest.mark.parametrize("format", FORMATS)
def test_float64_and_other_layouts_become_float32(format: str, tmp_path: Path) -> None:
    one = motion()
    swapped = one.positions_3d.astype(">f8").transpose(2, 1, 0).copy().transpose(2, 1, 0)
    write(format, tmp_path, [(replace(one, positions_3d=swapped), (), None)])
    _, (row,) = READERS[format](tmp_path)
    assert row["positions_3d"].dtype == np.float32
    np.testing.assert_array_equal(row["positions_3d"], one.positions_3d)


@pytest.mark.parametrize("format", FORMATS)
def test_names(format: str, tmp_path: Path) -> None:
    names = [name for name in WEIRD if name]
    motions = [motion("/".join(("D", name, "s"))) for name in WEIRD] + [motion(f"D/s/{name}") for name in WEIRD]
    motions += [motion(f"{name}/s/s") for name in [*names, "zarr.json"]]
    write(format, tmp_path, [(one, (), None) for one in motions])
    _, rows = READERS[format](tmp_path)
    found = {(row["dataset"], row["subject"], row["sequence"]): row["positions_3d"] for row in rows}
    assert len(found) == len(motions)
    as_text = {"nul\0": "nul%00", "\udcff": "%ED%B3%BF"}
    for one in motions:
        name = tuple(as_text.get(part, part) for part in (one.dataset, one.subject, one.name))
        np.testing.assert_array_equal(found[name], one.positions_3d)  # type: ignore[index]
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUTS[format]]


def test_a_part_of_a_sequence_is_read_alone(tmp_path: Path) -> None:
    h5py = importlib.import_module("h5py")
    one = motion(frames=5000)
    write("hdf5", tmp_path, [(one, seen_by(h36m_cameras()["S5"], one), None)])
    with h5py.File(tmp_path / "amass.h5", "r") as file:
        group = file["CMU/01/01_01_poses"]
        assert group["positions_3d"].chunks == (256, 17, 3)
        assert group["positions_2d"].chunks == (1, 256, 17, 2)
        for array in group.values():
            assert (array.compression, array.shuffle) == ("gzip", True)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no zarr 3 for Python 3.10")
def test_zarr_files_are_few(tmp_path: Path) -> None:
    zarr = importlib.import_module("zarr")
    motions = [motion(f"CMU/01/{number}", 1000) for number in range(35)]
    cameras = h36m_cameras()["S5"][:2]
    write("zarr", tmp_path, [(one, seen_by(cameras, one), None) for one in motions])
    group = zarr.open_group(tmp_path / "amass.zarr", mode="r")["CMU"]
    assert group["positions_3d"].shape == (35_000, 17, 3)
    assert group["positions_3d"].metadata.dimension_names == ("frame", "joint", "coordinate")
    assert group["positions_2d"].metadata.dimension_names == ("camera", "frame", "joint", "coordinate")
    assert group["visible"].metadata.dimension_names == ("camera", "frame", "joint")
    assert (
        len([path for path in (tmp_path / "amass.zarr").rglob("*") if path.is_file()]) == 2 + 3 + 3 * 2
    )  # zarr.json, and shards of 32,768 frames
    for number, one in enumerate(motions):
        np.testing.assert_array_equal(group["positions_3d"][number * 1000 :][:1000], one.positions_3d)
    assert len(group.attrs["cameras"]) == 2


# ---------------------------------------------------------------------------------------------------- Hugging Face


@pytest.fixture
def load_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    datasets.disable_progress_bars()
    return lambda path, **options: datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"), **options)


@pytest.mark.filterwarnings("default")  # its own affair
def test_hugging_face_loads_parquet_as_it_is(load_dataset: Callable[..., Any], tmp_path: Path) -> None:
    cameras = h36m_cameras()["S1"][:3]
    motions = [motion("A/s/one", 700), motion("A/s/two", 20), motion("B/s/one", 30), motion("B/s/two", 1)]
    parts: list[Split | None] = [None, "validation", "test", "train"]
    out = tmp_path / "export"
    write("parquet", out, [(one, seen_by(cameras, one), part) for one, part in zip(motions, parts, strict=True)])
    splits = load_dataset(out).with_format("numpy")
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    for one, part, number in zip(motions, parts, (0, 0, 0, 1), strict=True):
        row = splits[part or "train"][number]
        assert (row["dataset"], row["sequence"], row["num_frames"]) == (one.dataset, one.name, len(one.positions_3d))
        assert row["positions_3d"].dtype == row["positions_2d"].dtype == np.float32
        np.testing.assert_array_equal(row["positions_3d"], one.positions_3d)
        views = seen_by(cameras, one)
        np.testing.assert_array_equal(row["positions_2d"], np.stack([view.positions_2d for view in views], 1))
        np.testing.assert_array_equal(row["visible"], np.stack([view.visible for view in views], 1))
        assert len(json.loads(str(row["cameras"]))) == 3
    assert splits["train"].features["positions_3d"].shape == (None, 17, 3)  # an array, and no list of lists
    streamed = list(load_dataset(out, split="train", streaming=True).with_format("numpy"))
    np.testing.assert_array_equal(streamed[0]["positions_3d"], motions[0].positions_3d)
    by_path = load_dataset("parquet", data_dir=str(out), split="test")
    assert by_path.num_rows == 1


def test_parquet_files_and_row_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    monkeypatch.setattr("amass_joints.export.parquet.FILE_BYTES", 1 << 19)
    monkeypatch.setattr("amass_joints.export.parquet.ROW_GROUP_BYTES", 1 << 17)
    motions = [motion(f"CMU/01/{number:03}") for number in range(50)]
    write("parquet", tmp_path, [(one, (), "test" if number == 7 else "train") for number, one in enumerate(motions)])
    files = sorted(path.name for path in (tmp_path / "data").iterdir())
    many = len(files) - 1
    assert many > 3
    assert files == ["test-00000-of-00001.parquet"] + [f"train-{n:05}-of-{many:05}.parquet" for n in range(many)]
    names = []
    for path in sorted((tmp_path / "data").glob("train*")):
        file = parquet.ParquetFile(path)
        assert path.stat().st_size < (1 << 19) + (1 << 18)
        assert {file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)} <= {3, 1}  # 3 of 61 kB
        column = file.metadata.row_group(0).column(5)
        assert column.compression == "ZSTD"
        assert "BYTE_STREAM_SPLIT" in column.encodings
        names += file.read(["sequence"])["sequence"].to_pylist()
    assert names == [f"{number:03}" for number in range(50) if number != 7]


# ------------------------------------------------------------------------------------------------- whole or not there


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_motions_give_the_same_bytes(format: str, tmp_path: Path) -> None:
    motions = [motion(f"{dataset}/s/{number}", 600) for dataset in "AB" for number in range(5)]
    rows = [(one, seen_by(h36m_cameras()["S9"], one), None) for one in motions]
    write(format, tmp_path / "one", rows)
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_stores as t\n"
        "motions = [t.motion(f'{dataset}/s/{number}', 600) for dataset in 'AB' for number in range(5)]\n"
        "rows = [(one, t.seen_by(t.h36m_cameras()['S9'], one), None) for one in motions]\n"
        "t.write(sys.argv[2], pathlib.Path(sys.argv[3]), rows)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), format, str(tmp_path / "two")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert digests(tmp_path / "one") == digests(tmp_path / "two") != {}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("format", FORMATS)
def test_an_error_leaves_nothing_behind(format: str, error: type[BaseException], tmp_path: Path) -> None:
    def motions() -> Iterator[tuple[Motion, Sequence[View], Split | None]]:
        for number in range(40):
            yield motion(f"A/s/{number}", 1000), (), None
        raise error

    with pytest.raises(error):
        write(format, tmp_path, motions())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_no_motions_nothing_written(format: str, tmp_path: Path) -> None:
    assert write(format, tmp_path, []).outputs == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_motion_without_frames_is_left_out(format: str, tmp_path: Path) -> None:
    exporter = exporter_for(format)(tmp_path, ExportOptions())
    assert exporter.reason_to_leave_out(motion(frames=0)) == "it has no frames"
    assert exporter.reason_to_leave_out(motion(frames=1)) is None


@pytest.mark.parametrize("format", FORMATS)
def test_an_earlier_export_is_replaced_at_the_end_alone(format: str, tmp_path: Path) -> None:
    write(format, tmp_path, [(motion("A/s/old"), (), None)])
    before = digests(tmp_path)
    with pytest.raises(aj.InputError, match="a second time"):
        write(format, tmp_path, [(motion("A/s/new"), (), None)] * 2)
    assert digests(tmp_path) == before
    write(format, tmp_path, [(motion("A/s/new"), (), "train")])
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUTS[format]]
    _, rows = READERS[format](tmp_path)
    assert [row["sequence"] for row in rows] == ["new"]


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_of_others_is_replaced(format: str, tmp_path: Path) -> None:
    output = tmp_path / OUTPUTS[format]
    output.mkdir()
    if format == "parquet":  # of the same names, but someone else's
        pyarrow, parquet = map(importlib.import_module, ("pyarrow", "pyarrow.parquet"))
        parquet.write_table(pyarrow.table({"a": [1]}), output / "train-00000-of-00001.parquet")
    elif format == "zarr":
        importlib.import_module("zarr").create_group(output, zarr_format=3, attributes={"mine": 1})
    else:
        (output / "thesis.txt").write_text("all of it")
    before = digests(tmp_path)
    with pytest.raises(aj.InputError, match=rf"{OUTPUTS[format]}: .*(is there already|it is a directory)"):
        write(format, tmp_path, [(motion(), (), None)])
    assert digests(tmp_path) == before


@pytest.mark.parametrize("format", FORMATS)
def test_killed_runs_leave_what_the_next_one_clears(format: str, tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib; sys.path.insert(0, sys.argv[1]); import test_stores as t\n"
        "exporter = t.exporter_for(sys.argv[2])(pathlib.Path(sys.argv[3]), t.ExportOptions())\n"
        "exporter.check([])\n"
        "exporter.add(t.motion('A/s/s', 40_000), (), None)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), format, str(tmp_path)])
    assert killed.returncode == -9
    left = list(tmp_path.iterdir())
    assert left
    assert all(path.name.startswith(".") and path.suffix != ".h5" for path in left)
    write(format, tmp_path, [(motion(), (), None)])
    assert [path.name for path in tmp_path.iterdir()] == [OUTPUTS[format]]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_said(format: str, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, resource; sys.path.insert(0, sys.argv[1]); import test_stores as t\n"
        "motions = [(t.motion(f'A/s/{number}', 2000), (), None) for number in range(50)]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n    t.write(sys.argv[2], pathlib.Path(sys.argv[3]), motions)\n"
        "except t.aj.InputError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), format, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{OUTPUTS[format]}: cannot be written: " in done.stdout
    assert not re.search("Traceback|ignored|Error", done.stderr), done.stderr
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("others", "says"),
    [
        (motion("B/s/b", joints=24), "the joints of A/s/a are 17 h36m17-spin, those of B/s/b 24 h36m17-spin;"),
        (motion("B/s/b", metadata=Metadata(H36M17)), "are 17 h36m17-spin, those of B/s/b 17 h36m17;"),
        (motion("B/s/b", metadata=Metadata()), "are 17 h36m17-spin, those of B/s/b 17 unnamed;"),
        (
            motion("B/s/b", metadata=Metadata(H36M17_SPIN, Choices(units="mm"))),
            "the choices of A/s/a are 'nothing', those of B/s/b 'millimetres'; expected the same",
        ),
        (motion("A/s/a"), "A/s/a: it comes a second time"),
    ],
    ids=["count", "order", "unnamed", "units", "twice"],
)
def test_motions_that_do_not_go_together(format: str, others: Motion, says: str, tmp_path: Path) -> None:
    with pytest.raises(aj.InputError) as caught:
        write(format, tmp_path, [(motion("A/s/a"), (), None), (others, (), None)])
    assert says in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_as_many_cameras_for_all(format: str, tmp_path: Path) -> None:
    one, other = motion("A/s/a"), motion("A/s/b")
    cameras = h36m_cameras()["S1"]
    with pytest.raises(aj.InputError, match="the cameras of A/s/a are 4, those of A/s/b 3; expected the same"):
        write(format, tmp_path, [(one, seen_by(cameras, one), None), (other, seen_by(cameras[:3], other), None)])


@pytest.mark.parametrize(("format", "library"), [("hdf5", "h5py"), ("zarr", "zarr"), ("parquet", "pyarrow")])
def test_a_library_that_is_missing(format: str, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    exporter = exporter_for(format)(tmp_path, ExportOptions())
    with pytest.raises(aj.InputError) as caught:
        exporter.check([])
    assert f"--format {format} needs {library}, which cannot be loaded" in str(caught.value)
    assert f"pip install 'amass-joints[{format}]'" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_zarr_2_is_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "zarr", type(sys)("zarr"))
    monkeypatch.setattr(sys.modules["zarr"], "__version__", "2.18.7", raising=False)
    with pytest.raises(aj.InputError, match=r"needs zarr 3, found 2\.18\.7: .* Python 3\.11"):
        exporter_for("zarr")(tmp_path, ExportOptions()).check([])


# ----------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_motions(format: str, tmp_path: Path) -> None:
    def peak(times: int) -> int:
        tracemalloc.start()
        write(format, tmp_path / str(times), ((motion(f"A/s/{n}", 3000), (), None) for n in range(times)))  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is made once
    few, many = peak(20), peak(60)
    assert many < few + (2 << 20)  # 40 motions more are 24 MB
