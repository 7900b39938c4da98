"""Pickles that are written piece by piece hold what was put into them; directories are whole or not there."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amass_joints.directories import directory_written_whole
from amass_joints.errors import InputError
from amass_joints.export import export
from amass_joints.export.exporter import ExportOptions
from amass_joints.export.outputs import Outputs
from amass_joints.export.pickled_tree import PickledTree, PickledTrees, pickled_dict
from amass_joints.views import viewpoints
from tests.standing import save_motions


def test_a_pickled_tree_is_what_was_put_into_it(tmp_path: Path) -> None:
    stream = io.BytesIO()
    tree = PickledTree(stream.write)
    arrays = [np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.zeros((0, 3)), np.array([True, False])]
    tree.put("S1", "a", value=arrays[0])
    tree.put("S9", "a", value=arrays)
    tree.put("S1", "b", value=["names", "", "ü"])  # back in the first dict
    tree.branch("S5")
    tree.put("number", value=17)
    for number in range(300):
        tree.put("S9", f"many {number}", value=arrays[2])
    tree.end()
    stream.seek(0)
    found = np.load(stream, allow_pickle=True).item()
    assert list(found) == ["S1", "S9", "S5", "number"]
    assert np.array_equal(found["S1"]["a"], arrays[0])
    assert found["S1"]["b"] == ["names", "", "ü"]
    assert found["S5"] == {}
    assert found["number"] == 17
    assert len(found["S9"]) == 301
    for one, expected in zip(found["S9"]["a"], arrays, strict=True):
        assert one.dtype == expected.dtype
        assert np.array_equal(one, expected)
    found["S1"]["a"][...] = 1  # run.py writes into them


def test_pickles_name_nothing_that_numpy_moves(tmp_path: Path) -> None:
    joints, cameras = save_motions(tmp_path / "joints", {"CMU/01/a": 40}), viewpoints("S1", place=True)
    clips = ExportOptions(clip_length=10, clip_stride=3)
    for format in ("videopose3d", "mmpose", "motionbert"):
        export([joints], tmp_path / format, format, cameras=cameras, options=clips)
    pickles = [path.read_bytes() for path in (tmp_path / "motionbert").rglob("*.pkl")]
    pickles.append((tmp_path / "mmpose" / "annotation_body3d" / "cameras.pkl").read_bytes())
    for path in (tmp_path / "videopose3d").glob("*.npz"):
        subprocess.run([sys.executable, "-m", "zipfile", "-e", path, tmp_path / path.stem], check=True)
        pickles += [member.read_bytes() for member in (tmp_path / path.stem).iterdir()]
    assert len(pickles) > 40
    assert not any(b"core" in one or b"_reconstruct" in one for one in pickles)


def test_a_pickled_dict_holds_what_it_was_given() -> None:
    values = {("S1", "54138969"): {"R": np.eye(3), "w": 1000, "id": "54138969"}, "none": None}
    found = pickle.loads(b"".join(pickled_dict(values)))
    assert np.array_equal(found["S1", "54138969"].pop("R"), np.eye(3))
    assert found == {("S1", "54138969"): {"w": 1000, "id": "54138969"}, "none": None}


def test_several_trees_are_one_archive(tmp_path: Path) -> None:
    files = Outputs()
    trees = PickledTrees(files, tmp_path / "some.npz", "first", "second")
    for number in range(3):
        trees.put("a", str(number), first=np.full(5, number), second=number)
    trees.branch("b")
    trees.end(third={"c": [1, 2]})
    assert list(tmp_path.glob("[!.]*")) == []
    files.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]
    with np.load(tmp_path / "some.npz", allow_pickle=True) as file:
        assert file["second"].item() == {"a": {"0": 0, "1": 1, "2": 2}, "b": {}}
        assert file["first"].item()["a"]["2"].tolist() == [2] * 5
        assert file["third"].item() == {"c": [1, 2]}


def fill(directory: Path, *, fails: bool) -> None:
    with directory_written_whole(directory) as temporary:
        assert temporary.parent == directory.parent
        (temporary / "x").write_text("x", encoding="utf-8")
        assert not (directory / "x").exists()
        if fails:
            raise RuntimeError


def test_a_directory_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fill(tmp_path / "new", fails=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        fill(tmp_path / name, fails=False)
        assert [path.name for path in (tmp_path / name).iterdir()] == ["x"]
    with pytest.raises(InputError, match="new: is there already"):
        fill(tmp_path / "new", fails=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


def test_an_interrupted_run_leaves_nothing_of_a_directory(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal; from amass_joints.interrupts import end_on_signals; end_on_signals()\n"
        "from amass_joints.directories import directory_written_whole\n"
        f"with directory_written_whole(pathlib.Path({str(tmp_path / 'train')!r})) as temporary:\n"
        "    (temporary / 'x').touch(); os.kill(os.getpid(), signal.SIGTERM)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "nothing is half-written" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_of_a_directory_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from amass_joints.directories import directory_written_whole\n"
        f"with directory_written_whole(pathlib.Path({str(tmp_path / 'train')!r})) as temporary:\n"
        "    (temporary / 'x').touch(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with directory_written_whole(tmp_path / "train"), directory_written_whole(tmp_path / "test"):
        assert len(list(tmp_path.iterdir())) == 4  # of those that are at work, each has two
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "train"]
