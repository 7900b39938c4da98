"""The output archive: what NumPy reads in it, what it cannot hold, and that it is whole or not there."""

import io
import os
import pickle
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amass_joints import datasets
from amass_joints.errors import InputError
from amass_joints.files import written_whole


def some_tree() -> datasets.PositionsTree:
    rng = np.random.default_rng(0)
    return {
        "Zoë (2)": {
            "walk_poses": {"positions_3d": rng.normal(size=(5, 17, 3)).astype(np.float32), "frame_rate": 50.0},
            "歩く_poses": {"positions_3d": rng.normal(size=(1, 17, 3)), "frame_rate": 120.00004577636719},
        },
        "01": {"a": {"positions_3d": np.zeros((2, 1, 3), np.float32), "frame_rate": 60.0}},
    }


def assert_equal(tree: Any, expected: datasets.PositionsTree) -> None:
    assert [(s, list(sequences)) for s, sequences in tree.items()] == [(s, list(q)) for s, q in expected.items()]
    for subject, sequences in expected.items():
        for name, sequence in sequences.items():
            found = tree[subject][name]
            assert set(found) == {"positions_3d", "frame_rate"}
            assert type(found["frame_rate"]) is float
            assert found["frame_rate"] == sequence["frame_rate"]
            assert found["positions_3d"].dtype == sequence["positions_3d"].dtype
            assert found["positions_3d"].flags.writeable
            np.testing.assert_array_equal(found["positions_3d"], sequence["positions_3d"])


def test_readers_of_the_known_format_read_it(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree())
    with np.load(tmp_path / "CMU.npz", allow_pickle=True) as file:
        assert file.files == ["positions_3d"]
        assert_equal(file["positions_3d"].item(), some_tree())


def test_load_reads_it_and_what_the_known_converter_writes(tmp_path: Path) -> None:
    datasets.save(tmp_path / "ours.npz", some_tree())
    assert_equal(datasets.load(tmp_path / "ours.npz"), some_tree())
    theirs: Any = some_tree()
    theirs["01"]["a"]["frame_rate"] = np.float64(60)  # NumPy's numbers are numbers
    np.savez_compressed(tmp_path / "theirs.npz", positions_3d=theirs)
    assert_equal(datasets.load(tmp_path / "theirs.npz"), some_tree())


def test_the_pickle_names_nothing_that_some_version_of_numpy_lacks(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree())
    named = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add((module, name))
            return super().find_class(module, name)

    with zipfile.ZipFile(tmp_path / "CMU.npz") as archive:
        Recorder(io.BytesIO(archive.read("positions_3d.npy").split(b"\n", 1)[1])).load()
    assert named == {("numpy", "ndarray"), ("numpy", "dtype")}


def test_the_same_joints_give_the_same_bytes(tmp_path: Path) -> None:
    datasets.save(tmp_path / "one.npz", some_tree())
    datasets.save(tmp_path / "two.npz", some_tree())
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


class Marked:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_load_runs_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    np.savez(tmp_path / "evil.npz", positions_3d=np.array(Marked(mark), dtype=object))
    with pytest.raises(InputError, match=r"evil.npz: not a dataset of joints \(it asks for .*which no joints need"):
        datasets.load(tmp_path / "evil.npz")
    assert not mark.exists()
    np.load(tmp_path / "evil.npz", allow_pickle=True)["positions_3d"]
    assert mark.exists()  # so the payload was one


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"positions_3d": np.zeros((3, 17, 3))},
        {"positions_3d": {"01": np.zeros(3)}},
        {"positions_3d": {"01": {"a": {"frame_rate": 50.0}}}},
        {"positions_3d": {"01": {"a": {"positions_3d": [1, 2], "frame_rate": 50.0}}}},
        {"positions_3d": {"01": {"a": {"positions_3d": np.zeros((1, 1, 3)), "frame_rate": "fast"}}}},
        {"positions_3d": [1, 2]},
    ],
)
def test_load_refuses_what_is_no_dataset(tmp_path: Path, content: dict[str, Any]) -> None:
    np.savez(tmp_path / "other.npz", **{name: np.array(value, dtype=object) for name, value in content.items()})
    with pytest.raises(InputError, match=r"other.npz: .*expected an .npz of this program or of AMASS-to-3DHPE"):
        datasets.load(tmp_path / "other.npz")


def test_load_says_that_a_file_is_missing_or_truncated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"CMU.npz: cannot be read: No such file"):
        datasets.load(tmp_path / "CMU.npz")
    datasets.save(tmp_path / "CMU.npz", some_tree())
    (tmp_path / "CMU.npz").write_bytes((tmp_path / "CMU.npz").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"CMU.npz: not a dataset of joints"):
        datasets.load(tmp_path / "CMU.npz")


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree())
    before = (tmp_path / "CMU.npz").read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        datasets.save(tmp_path / "CMU.npz", {"01": lambda: None})  # type: ignore[dict-item]
    assert (tmp_path / "CMU.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["CMU.npz"]


def test_a_write_that_fails_at_the_very_end_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "CMU.npz").write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"CMU.npz: cannot be written: No space left on device"):
        datasets.save(tmp_path / "CMU.npz", some_tree())
    assert (tmp_path / "CMU.npz").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["CMU.npz"]


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere/CMU.npz")
    datasets.save(tmp_path / "link", some_tree())
    assert (tmp_path / "link").is_symlink()
    assert_equal(datasets.load(tmp_path / "elsewhere/CMU.npz"), some_tree())
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        with written_whole(tmp_path / "pipe") as stream:
            stream.write(b"through")
    assert read.result() == b"through"


def test_an_output_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree())
    (tmp_path / "any").touch()
    assert (tmp_path / "CMU.npz").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_sequences_of_a_subject_must_follow_each_other(tmp_path: Path) -> None:
    positions: datasets.Positions = {"positions_3d": np.zeros((2, 17, 3), np.float32), "frame_rate": 50.0}
    with datasets.DatasetWriter(tmp_path / "a.npz") as writer:
        writer.add("01", "a", positions)
        writer.add("02", "b", positions)
        with pytest.raises(ValueError, match="subject '01' comes a second time"):
            writer.add("01", "c", positions)
    assert list(datasets.load(tmp_path / "a.npz")) == ["01", "02"]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no /dev/shm")
def test_a_file_below_dev_is_a_file_like_any_other() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory) / "a.npz"
        for frames in (3, 2):
            tree: datasets.PositionsTree = {
                "01": {"a": {"positions_3d": np.ones((frames, 17, 3), np.float32), "frame_rate": 50.0}}
            }
            datasets.save(path, tree)
            assert datasets.load(path)["01"]["a"]["positions_3d"].shape == (frames, 17, 3)
