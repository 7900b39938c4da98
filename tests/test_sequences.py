"""Finding sequences in every layout, and reading what AMASS and the world put in them."""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amass_files import sequence_arrays, write_sequence
from amass_joints import arrays
from amass_joints.body_models import SMPLH
from amass_joints.errors import InputError
from amass_joints.finding import find_datasets
from amass_joints.sequences import (
    FrameBlock,
    NotASequence,
    OpenSequence,
    Sequence,
    SequenceSummary,
    Skipped,
    read_sequence,
    summarise_sequence,
    use_sequence,
)

# ------------------------------------------------------------------------------------------------ finding


def found(root: Path, only: tuple[str, ...] = ()) -> list[str]:
    return [str(file) for dataset in find_datasets(root, only) for file in dataset.sequences]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["CMU/01/01_01_poses.npz", "CMU/02/02_01_poses.npz"], ["CMU/01/01_01_poses", "CMU/02/02_01_poses"]),
        (["KIT/KIT/3/a_poses.npz", "KIT/KIT/4/b_poses.npz"], ["KIT/3/a_poses", "KIT/4/b_poses"]),
        (["TCD_handMocap/ExperimentDatabase/a_poses.npz"], ["TCDhandMocap/ExperimentDatabase/a_poses"]),
        (["T/Transitions_mocap/mazen_c3d/a_poses.npz"], ["T/mazen_c3d/a_poses"]),
        (["H/H/H/Subject3/a_poses.npz"], ["H/Subject3/a_poses"]),
        (
            ["Eyes Japan (2)/Süß & Söhne/tä nzer/a b_poses.npz", "日本/主体/歩く_poses.npz"],
            ["Eyes Japan (2)/tä nzer/a b_poses", "日本/主体/歩く_poses"],
        ),
        (["A/s/b_poses.npz", "A/s/a_poses.npz", "A/r/c_poses.npz"], ["A/r/c_poses", "A/s/a_poses", "A/s/b_poses"]),
        (["A/s/any name.npz", "A/s/UPPER.NPZ"], ["A/s/UPPER", "A/s/any name"]),
    ],
)
def test_layouts(tmp_path: Path, files: list[str], expected: list[str]) -> None:
    for file in files:
        written = write_sequence(tmp_path / file)  # np.savez adds ".npz" to a name that ends in ".NPZ"
        next(written.parent.glob(f"{written.name}*")).rename(written)
    assert found(tmp_path) == expected


def test_what_is_no_sequence_by_its_name_is_passed_over_and_counted(tmp_path: Path) -> None:
    write_sequence(tmp_path / "A/s/walk_poses.npz")
    for name in ("A/s/shape.npz", "A/s/male_stagei.npz", "A/LICENSE.txt", "A/s/notes.csv", "A/s/poses.npy"):
        (tmp_path / name).write_bytes(b"something")
    np.savez(tmp_path / "A/info.npz", anything=np.zeros(3))
    (tmp_path / "A/s/._walk_poses.npz").write_bytes(b"what macOS leaves")
    (tmp_path / "readme.txt").write_text("not a dataset")
    (dataset,) = find_datasets(tmp_path)
    assert [file.name for file in dataset.sequences] == ["walk_poses"]
    assert dataset.passed_over == 6
    assert dataset.skipped == ()


def test_a_sequence_in_the_dataset_directory_itself_is_skipped(tmp_path: Path) -> None:
    write_sequence(tmp_path / "A/s/walk_poses.npz")
    write_sequence(tmp_path / "A/lost_poses.npz")
    (dataset,) = find_datasets(tmp_path)
    (skipped,) = dataset.skipped
    assert skipped.name == "A/lost_poses"
    assert "DATASET/SUBJECT/SEQUENCE_poses.npz" in skipped.reason


def test_two_files_for_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    write_sequence(tmp_path / "A/one/s/walk_poses.npz")
    write_sequence(tmp_path / "A/two/s/walk_poses.npz")
    (dataset,) = find_datasets(tmp_path)
    assert [file.path.parts[-3] for file in dataset.sequences] == ["one"]
    (skipped,) = dataset.skipped
    assert skipped.name == "A/s/walk_poses"
    assert "same subject and name" in skipped.reason


def test_links_are_followed_but_not_round_and_round(tmp_path: Path) -> None:
    write_sequence(tmp_path / "elsewhere/s/walk_poses.npz")
    write_sequence(tmp_path / "elsewhere/t/walk_poses.npz")
    (tmp_path / "amass").mkdir()
    (tmp_path / "amass/A").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/s/up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/s/gone_poses.npz").symlink_to(tmp_path / "nowhere.npz")
    (tmp_path / "elsewhere/s/self_poses.npz").symlink_to(tmp_path / "elsewhere/s/self_poses.npz")
    os.mkfifo(tmp_path / "elsewhere/s/pipe_poses.npz")
    (tmp_path / "elsewhere/s/directory.npz").mkdir()
    (dataset,) = find_datasets(tmp_path / "amass")
    assert [str(file) for file in dataset.sequences] == ["A/s/walk_poses", "A/t/walk_poses"]
    troubled = ["A/s/gone_poses", "A/s/pipe_poses", "A/s/self_poses"]
    assert sorted(one.name for one in dataset.skipped) == troubled
    (dataset,) = find_datasets(tmp_path / "amass", ("A/s/*",))
    assert [str(file) for file in dataset.sequences] == ["A/s/walk_poses"]
    assert sorted(one.name for one in dataset.skipped) == troubled
    assert (dataset.left_out, dataset.passed_over) == (1, 0)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (("CMU/*",), ["CMU/01/01_01_poses", "CMU/01/01_02_poses", "CMU/02/02_01_poses"]),
        (("CMU",), ["CMU/01/01_01_poses", "CMU/01/01_02_poses", "CMU/02/02_01_poses"]),
        (("CMU/01",), ["CMU/01/01_01_poses", "CMU/01/01_02_poses"]),
        (("CMU/01/", "KIT"), ["CMU/01/01_01_poses", "CMU/01/01_02_poses", "KIT/3/walk_poses"]),
        (("*/*/*_01_poses",), ["CMU/01/01_01_poses", "CMU/02/02_01_poses"]),
        (("*walk*",), ["KIT/3/walk_poses"]),
    ],
)
def test_only(tmp_path: Path, only: tuple[str, ...], expected: list[str]) -> None:
    for file in ("CMU/01/01_01", "CMU/01/01_02", "CMU/02/02_01", "KIT/KIT/3/walk"):
        write_sequence(tmp_path / f"{file}_poses.npz")
    assert found(tmp_path, only) == expected


def test_only_that_matches_nothing_says_what_names_look_like(tmp_path: Path) -> None:
    write_sequence(tmp_path / "CMU/01/01_01_poses.npz")
    with pytest.raises(InputError, match=r"--only cmu: no sequence .*like 'CMU/01/01_01_poses'"):
        find_datasets(tmp_path, ("cmu",))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no AMASS sequences in the 0 directories below it"),
        (["01/01_01_poses.npz"], "If this is one dataset, pass "),
        (["s/notes.txt"], "Pass the directory above it"),
    ],
)
def test_a_tree_without_sequences_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for file in files:
        write_sequence(tmp_path / file) if file.endswith("npz") else (tmp_path / file).parent.mkdir()
    with pytest.raises(InputError, match=message):
        find_datasets(tmp_path)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: not a directory\. Pass the directory that holds"):
        find_datasets(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------ reading


@pytest.fixture(params=["held", "streamed"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are held in memory, large ones are read in pieces."""
    if request.param == "streamed":
        monkeypatch.setattr(arrays, "SMALL_FILE", 0)
        monkeypatch.setattr(arrays, "CHUNK", 1000)


both_ways = pytest.mark.usefixtures("_both_ways")


@both_ways
def test_what_a_good_file_holds(tmp_path: Path) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a.npz"))
    assert isinstance(sequence, Sequence)
    for name in ("poses", "trans", "betas", "dmpls"):
        np.testing.assert_array_equal(getattr(sequence, name), sequence_arrays()[name])
    assert (sequence.gender, sequence.frame_rate) == ("male", 120.0)


@pytest.mark.parametrize(
    "gender",
    [
        "female",
        b"female",
        "b'female'",
        'b"female"',
        "Female",
        " FEMALE\n",
        np.array(["female"]),
        np.array(b"female", "S9"),
    ],
)
def test_every_way_to_write_a_gender(tmp_path: Path, gender: object) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a.npz", gender=gender))
    assert isinstance(sequence, Sequence)
    assert sequence.gender == "female"


@both_ways
@pytest.mark.parametrize(
    "changes",
    [
        {"poses": sequence_arrays()["poses"].astype(">f8")},
        {"poses": np.asfortranarray(sequence_arrays()["poses"])},
        {"mocap_framerate": np.array([120])},
        {"betas": sequence_arrays()["betas"][None]},
    ],
)
def test_the_same_numbers_stored_in_other_ways(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a.npz", **changes))
    assert isinstance(sequence, Sequence)
    for name in ("poses", "betas"):
        array = getattr(sequence, name)
        np.testing.assert_array_equal(array, sequence_arrays()[name])
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
    assert sequence.frame_rate == 120


@both_ways
def test_float32_and_compressed_files_are_read(tmp_path: Path) -> None:
    arrays = sequence_arrays(poses=sequence_arrays()["poses"].astype(np.float32))
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    sequence = read_sequence(tmp_path / "a.npz")
    assert isinstance(sequence, Sequence)
    np.testing.assert_array_equal(sequence.poses, arrays["poses"])


def test_no_dmpls(tmp_path: Path) -> None:
    without = read_sequence(write_sequence(tmp_path / "a.npz", dmpls=None))
    unwanted = read_sequence(write_sequence(tmp_path / "b.npz"), dmpls=False)
    assert isinstance(without, Sequence)
    assert isinstance(unwanted, Sequence)
    assert without.dmpls is None
    assert unwanted.dmpls is None


@both_ways
def test_values_up_to_what_a_motion_may_have(tmp_path: Path) -> None:
    poses = sequence_arrays()["poses"].copy()
    poses[7, 2], poses[9, 3] = -1000, 1000
    sequence = read_sequence(write_sequence(tmp_path / "a.npz", poses=poses, trans=np.full((24, 3), -1e5)))
    assert isinstance(sequence, Sequence)
    np.testing.assert_array_equal(sequence.poses, poses)
    poses[7, 2] = -1000.1
    outcome = use_sequence(write_sequence(tmp_path / "a.npz", poses=poses), lambda one: list(one.read_blocks(5)))
    assert outcome == Skipped("array 'poses': -1000.1 in frame 7, expected at most 1000 radians")


@both_ways
def test_integers_are_read_block_by_block(tmp_path: Path) -> None:
    poses = np.arange(24 * 156).reshape(24, 156).astype(np.int16) % 500
    path = write_sequence(tmp_path / "a.npz", poses=poses)
    blocks = use_sequence(path, lambda one: list(one.read_blocks(5)))
    assert isinstance(blocks, list)
    np.testing.assert_array_equal(np.concatenate([block.poses[: block.stop - block.start] for block in blocks]), poses)


def test_an_archive_of_nothing_is_not_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("word/document.xml", "text")
    assert read_sequence(tmp_path / "a.npz") == Skipped("it holds no arrays")


def test_an_archive_of_other_arrays_is_not_a_sequence(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", betas=np.zeros(16), gender="male")
    assert read_sequence(tmp_path / "a.npz") == NotASequence()


def test_a_summary_says_the_same_from_headers_alone(tmp_path: Path) -> None:
    summary = summarise_sequence(write_sequence(tmp_path / "a.npz", gender=b"female", dmpls=None))
    assert summary == SequenceSummary(frames=24, frame_rate=120.0, gender="female", has_dmpls=False, model_type=SMPLH)
    too_wide = summarise_sequence(write_sequence(tmp_path / "b.npz", poses=np.zeros((24, 166))))
    assert isinstance(too_wide, Skipped)


def nan_in(name: str) -> np.ndarray:
    array = sequence_arrays()[name].copy()
    array[7, 2] = np.nan
    return array


@both_ways
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trans": None}, "no array 'trans'"),
        ({"poses": None}, "no array 'poses'"),
        ({"betas": None}, "no array 'betas'"),
        ({"gender": None}, "no array 'gender'"),
        ({"mocap_framerate": None}, "no array 'mocap_framerate'"),
        (
            {"poses": np.zeros((24, 166))},
            r"166 pose values a frame, expected 156 \(SMPL\+H\), 165 \(SMPL-X\) or 72 \(SMPL\)",
        ),
        ({"poses": np.zeros((24, 155))}, "155 pose values a frame, expected 156"),
        ({"poses": np.zeros((24, 52, 3))}, r"array 'poses': its shape is \(24, 52, 3\)"),
        ({"poses": np.zeros((24, 156), complex)}, "array 'poses': expected real numbers, found complex128"),
        ({"poses": np.zeros((24, 156), "U3")}, "array 'poses': expected real numbers, found <U3"),
        ({"poses": nan_in("poses")}, "array 'poses': it has values that are not finite, first in frame 7"),
        ({"dmpls": nan_in("dmpls")}, "array 'dmpls': it has values that are not finite, first in frame 7"),
        ({"trans": np.zeros((23, 3))}, "'poses' has 24 frames, 'trans' has 23"),
        ({"dmpls": np.zeros((25, 8))}, "'poses' has 24 frames, 'dmpls' has 25"),
        ({"trans": np.zeros((24, 2))}, "array 'trans': 2 values a frame, expected 3"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3)), "dmpls": np.zeros((0, 8))}, "it has no frames"),
        ({"betas": np.zeros((24, 16))}, r"array 'betas': its shape is \(24, 16\)"),
        ({"betas": np.float64(3)}, r"array 'betas': its shape is \(\)"),
        ({"gender": "unknown"}, "its gender is 'unknown', expected male, female, neutral"),
        ({"gender": ""}, "its gender is ''"),
        ({"gender": "b'"}, "its gender is"),
        ({"gender": np.array(["male", "female"])}, "array 'gender'"),
        ({"gender": 3.0}, "array 'gender': found float64"),
        ({"betas": np.zeros(100_000)}, r"array 'betas': its shape is \(100000,\)"),
        ({"mocap_framerate": 0.0}, "its frame rate is 0 Hz, expected 1 to 10000 Hz"),
        ({"mocap_framerate": -120.0}, "its frame rate is -120 Hz"),
        ({"mocap_framerate": np.nan}, "array 'mocap_framerate': it has values that are not finite"),
        ({"mocap_framerate": 1e-9}, "its frame rate is 1e-09 Hz"),
        ({"mocap_framerate": "120"}, "array 'mocap_framerate': expected real numbers"),
        ({"mocap_framerate": np.array([120.0, 60.0])}, "array 'mocap_framerate': its shape is"),
    ],
)
def test_bad_content_is_skipped_with_its_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    path = write_sequence(tmp_path / "a.npz", **changes)
    outcome = read_sequence(path)
    assert isinstance(outcome, Skipped)
    assert_matches(reason, outcome.reason)
    if not reason.endswith(("are not finite", "frame 7")):  # which headers do not tell
        assert summarise_sequence(path) == outcome


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


class Marked:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)


@both_ways
def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for name in ("poses", "gender"):
        payload = np.empty(1, object)
        payload[0] = Marked(mark)
        outcome = read_sequence(write_sequence(tmp_path / "a.npz", **{name: payload}))
        assert outcome == Skipped(f"array '{name}': it holds pickled Python objects, which are never loaded")
    assert not mark.exists()


@both_ways
def test_broken_files_are_skipped_wherever_they_break(tmp_path: Path) -> None:
    whole = write_sequence(tmp_path / "whole.npz").read_bytes()
    broken = tmp_path / "broken.npz"
    for size in [0, 1, 30, 100, 200, *range(1000, len(whole), 1999), len(whole) - 1]:
        broken.write_bytes(whole[:size])
        outcome = read_sequence(broken)
        assert isinstance(outcome, Skipped)
        assert "broken or truncated" in outcome.reason


@both_ways
def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    data = bytearray(write_sequence(tmp_path / "a.npz").read_bytes())
    data[2000] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    outcome = read_sequence(tmp_path / "a.npz")
    assert isinstance(outcome, Skipped)
    assert "CRC" in outcome.reason


@both_ways
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 156), }", "its header promises"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 156), }", "gives the shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 156), }", "its header promises 1248 bytes"),
        (b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }", "not that of a NumPy array"),
        (b"{" * 500, "not that of a NumPy array"),
        (b"__import__('os').getcwd()", "not that of a NumPy array"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775808, 0), }", "gives the shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 0), }", "its header promises"),
        (b"{'descr': '<U0', 'fortran_order': False, 'shape': (24, 156), }", "gives the shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (True, 156), }", "its header promises"),
        (b"", "not that of a NumPy array"),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: bytes, reason: str) -> None:
    write_sequence(tmp_path / "good.npz")
    with zipfile.ZipFile(tmp_path / "good.npz") as good, zipfile.ZipFile(tmp_path / "bad.npz", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "poses.npy":
                header = header.ljust(118) + b"\n"
                content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content[128:]
            bad.writestr(name, content)
    outcome = read_sequence(tmp_path / "bad.npz")
    assert isinstance(outcome, Skipped)
    assert_matches(reason, outcome.reason)


@both_ways
@pytest.mark.parametrize("frames_at_a_time", [1, 2, 5, 23, 24, 25])
@pytest.mark.parametrize(
    "store",
    [
        pytest.param(lambda array: array, id="as AMASS does"),
        pytest.param(lambda array: np.asarray(array, np.float32), id="float32"),
        pytest.param(np.asfortranarray, id="Fortran's order"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_blocks_overlap_by_a_frame_and_are_the_whole(
    tmp_path: Path, frames_at_a_time: int, store: Callable[[np.ndarray], np.ndarray], save: Callable[..., None]
) -> None:
    stored = {name: store(array) if array.ndim == 2 else array for name, array in sequence_arrays().items()}
    save(tmp_path / "a.npz", **stored)

    def use(sequence: OpenSequence) -> list[FrameBlock]:
        return list(sequence.read_blocks(frames_at_a_time))

    blocks = use_sequence(tmp_path / "a.npz", use)
    assert isinstance(blocks, list)
    starts = list(range(0, 24, frames_at_a_time))
    assert [block.start for block in blocks] == starts
    assert [block.stop for block in blocks] == [*starts[1:], 24]
    for block in blocks:
        for name in ("poses", "trans", "dmpls"):
            np.testing.assert_array_equal(getattr(block, name), stored[name][block.start : block.stop + 1])


@pytest.mark.parametrize(("dtype", "content"), [("<U1", b"\xff\xff\xff\xff"), ("<U0", b""), ("|S0", b"")])
def test_a_gender_that_is_no_text(tmp_path: Path, dtype: str, content: bytes) -> None:
    write_sequence(tmp_path / "good.npz")
    with zipfile.ZipFile(tmp_path / "good.npz") as good, zipfile.ZipFile(tmp_path / "bad.npz", "w") as bad:
        for name in good.namelist():
            header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': (), }}".encode().ljust(117) + b"\n"
            crafted = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
            bad.writestr(name, crafted if name == "gender.npy" else good.read(name))
    outcome = read_sequence(tmp_path / "bad.npz")
    assert isinstance(outcome, Skipped)
    assert outcome.reason.startswith("array 'gender': ")


def test_a_compressed_array_that_promises_too_much(tmp_path: Path) -> None:
    arrays_ = sequence_arrays()
    np.savez_compressed(tmp_path / "a.npz", **arrays_)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        size = file.getinfo("poses.npy").file_size
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data.replace(size.to_bytes(4, "little"), (1 << 31).to_bytes(4, "little")))
    outcome = read_sequence(tmp_path / "a.npz")
    assert isinstance(outcome, Skipped)
    assert_matches(r"array 'poses': broken or truncated \(\d+ bytes that would become 2147483648", outcome.reason)


@both_ways
def test_a_fault_in_a_late_block_is_found(tmp_path: Path) -> None:
    poses = np.zeros((24, 156))
    poses[17, 3] = np.inf
    path = write_sequence(tmp_path / "a.npz", poses=poses)
    outcome = use_sequence(path, lambda sequence: list(sequence.read_blocks(5)))
    assert outcome == Skipped("array 'poses': it has values that are not finite, first in frame 17")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    assert read_sequence(tmp_path / "a.npz") == Skipped("it is not a regular file")
    assert summarise_sequence(tmp_path / "a.npz") == Skipped("it is not a regular file")


@pytest.mark.parametrize("name", ["missing.npz", "directory.npz"])
def test_a_path_that_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory.npz").mkdir()
    outcome = read_sequence(tmp_path / name)
    assert isinstance(outcome, Skipped)
    assert "cannot be read" in outcome.reason
