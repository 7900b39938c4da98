"""The output archives: what NumPy reads in them, what they cannot hold, and that they are whole or not there."""

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import tempfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amass_joints import dataset_readers, datasets
from amass_joints.deflate import DeflatedArchive
from amass_joints.errors import InputError
from amass_joints.files import written_whole

FORMATS = get_args(datasets.Format)
both_formats = pytest.mark.parametrize("format", FORMATS)


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


def read_with_numpy(path: Path) -> Any:
    """The README's way."""
    with np.load(path) as file:
        tree: dict[str, Any] = {}
        for one in json.loads(file["index"].tobytes())["sequences"]:
            tree.setdefault(one["subject"], {})[one["sequence"]] = {
                "positions_3d": file[one["key"]],
                "frame_rate": one["frame_rate"],
            }
    return tree


def test_readers_of_the_known_format_read_it(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree())
    with np.load(tmp_path / "CMU.npz", allow_pickle=True) as file:
        assert file.files == ["positions_3d", "units", "up"]
        assert_equal(file["positions_3d"].item(), some_tree())


def test_numpy_and_json_read_the_flat_format(tmp_path: Path) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree(), "npz-flat")
    with np.load(tmp_path / "CMU.npz") as file:
        assert file.files == ["Zoë (2)/walk_poses", "Zoë (2)/歩く_poses", "01/a", "index"]
        np.testing.assert_array_equal(file["01/a"], np.zeros((2, 1, 3)))
        index = json.loads(file["index"].tobytes())
    assert {name: value for name, value in index.items() if name != "sequences"} == {
        "format": "amass-joints npz-flat",
        "version": 1,
        "units": "metres",
        "axes": ["frames", "joints", "xyz"],
        "up": "z",
    }
    assert index["sequences"][1] == {
        "subject": "Zoë (2)",
        "sequence": "歩く_poses",
        "key": "Zoë (2)/歩く_poses",
        "frame_rate": 120.00004577636719,
        "frames": 1,
        "joints": 17,
    }
    assert_equal(read_with_numpy(tmp_path / "CMU.npz"), some_tree())


@both_formats
def test_load_reads_it(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "CMU.npz", some_tree(), format)
    assert_equal(datasets.load(tmp_path / "CMU.npz"), some_tree())


# Names as archives and file systems may have them, bytes that are no UTF-8 included. (Text with both halves of a
# surrogate pair, as if they were two characters, is nowhere; JSON would make one of them.)
characters = st.one_of(
    st.sampled_from("abAB019 _.-%/\\\n\r\t\x00\x1b\x7f\x85\u202e\ufeffé歩😀\udc80\udcff"),
    st.characters(codec="utf-8"),
)
names = st.one_of(st.text(characters, max_size=8), st.sampled_from(["index", "index.npy", "a.npy", "a.npy.npy", ".."]))
frame_rates = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
arrays = st.builds(
    lambda seed, shape, dtype: np.random.default_rng(seed).normal(size=(*shape, 3)).astype(dtype),
    st.integers(0, 2**32),
    st.tuples(st.integers(0, 40), st.integers(1, 3)),
    st.sampled_from([np.float32, np.float64]),
)
sequences = st.fixed_dictionaries({"positions_3d": arrays, "frame_rate": frame_rates})
trees = st.dictionaries(names, st.dictionaries(names, sequences, min_size=1, max_size=4), min_size=1, max_size=4)


@given(trees)
@settings(deadline=None, max_examples=50)
def test_whatever_it_is_named_it_comes_back(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.npz"
        for format in FORMATS:
            datasets.save(path, tree, format)
            assert datasets.format_of(path) == format
            assert_equal(datasets.load(path), tree)
        assert_equal(read_with_numpy(path), tree)
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
            assert len(set(file.namelist())) == len(file.namelist())
            assert all(name.isprintable() for name in file.namelist())


ODD_NAMES = ["a/b", "b/c", "a", "c", "a.npy", "a.npy.npy", "a%2Enpy", "\n", "%0A", "\\n", "a\x00b", "..", ".", "index"]
ODD_NAMES += ["\x1b[31m", "\udcff" * 300, "\udc85", "\x85", "A", "é", "e\u0301", "歩" * 100]
LONG_NAMES = ["x" * 70_000, "x" * 70_001, "歩" * 30_000, "\n" * 333, "\n" * 334]


def odd_tree() -> datasets.PositionsTree:
    named = [(subject, name) for subject in ODD_NAMES for name in ODD_NAMES]
    named += [("long", name) for name in LONG_NAMES] + [(name, "long") for name in LONG_NAMES]
    tree: datasets.PositionsTree = {}
    for number, (subject, name) in enumerate(named):
        array = np.full((1, 2, 3), number, np.float32)
        tree.setdefault(subject, {})[name] = {"positions_3d": array, "frame_rate": 50.0}
    return tree


@both_formats
def test_odd_names_are_kept_apart(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "a.npz", odd_tree(), format)
    assert_equal(datasets.load(tmp_path / "a.npz"), odd_tree())
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert len(set(file.namelist())) == len(file.namelist())
        assert all(name.isprintable() and ".." not in name.split("/") for name in file.namelist())
    if format == "npz-flat":
        assert_equal(read_with_numpy(tmp_path / "a.npz"), odd_tree())


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
@both_formats
def test_unzip_finds_no_fault(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "a.npz", odd_tree(), format)
    done = subprocess.run(["unzip", "-tq", tmp_path / "a.npz"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------- what the known converter writes


def old_and_new(data: bytes) -> list[bytes]:
    """Name the module of NumPy 1 and that of NumPy 2, which moved, in what names either in a line."""
    return [data.replace(b"cnumpy._core.", b"cnumpy.core."), data.replace(b"cnumpy.core.", b"cnumpy._core.")]


def write_pickled(path: Path, data: bytes) -> None:
    """Write the format by hand, around any pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("positions_3d.npy", header.getvalue() + data)


def test_load_reads_what_the_known_converter_writes(tmp_path: Path) -> None:
    tree: Any = some_tree()
    long = tree["01"]["long"] = {"positions_3d": np.random.default_rng(1).normal(size=(600, 17, 3)), "frame_rate": 50.0}
    tree["nobody"] = {}
    np.savez_compressed(tmp_path / "a.npz", positions_3d=tree)
    assert_equal(datasets.load(tmp_path / "a.npz"), tree)
    np.savez(tmp_path / "a.npz", positions_3d=tree)
    assert_equal(datasets.load(tmp_path / "a.npz"), tree)
    long["positions_3d"] = np.asfortranarray(long["positions_3d"]).astype(">f4")
    for data in old_and_new(pickle.dumps(np.array(tree, object), protocol=3)):
        write_pickled(tmp_path / "a.npz", data)
        found = datasets.load(tmp_path / "a.npz")
        np.testing.assert_array_equal(found["01"]["long"]["positions_3d"], long["positions_3d"])
        assert found["01"]["long"]["positions_3d"].dtype == np.float32


@pytest.mark.parametrize(
    "rate", [60, np.float64(60), np.float32(60), np.int64(60), np.array(60), np.array(60.0, ">f8")]
)
def test_load_reads_every_number_as_a_frame_rate(tmp_path: Path, rate: Any) -> None:
    theirs: Any = some_tree()
    theirs["01"]["a"]["frame_rate"] = rate
    np.savez_compressed(tmp_path / "theirs.npz", positions_3d=theirs)
    assert_equal(datasets.load(tmp_path / "theirs.npz"), some_tree())


def test_what_stands_in_a_pickle_once_is_there_once(tmp_path: Path) -> None:
    sequence: datasets.Positions = {"positions_3d": np.ones((200, 17, 3)), "frame_rate": 50.0}
    name = "long" * 100
    np.savez(tmp_path / "a.npz", positions_3d={"01": {name: sequence, "b": dict(sequence)}, "02": {name: sequence}})
    tree = datasets.load(tmp_path / "a.npz")
    assert tree["01"][name] is tree["02"][name]
    assert tree["01"][name]["positions_3d"] is tree["01"]["b"]["positions_3d"]


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


@both_formats
def test_the_same_joints_give_the_same_bytes(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "one.npz", some_tree(), format)
    same: Any = some_tree()
    for sequence in (one for sequences in same.values() for one in sequences.values()):
        array = sequence["positions_3d"]
        sequence["positions_3d"] = np.asfortranarray(array).astype(array.dtype.newbyteorder(">"))
    datasets.save(tmp_path / "two.npz", same, format)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


# ------------------------------------------------------------------------------------------------------ hostile files


class Marked:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_load_runs_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    np.savez(tmp_path / "evil.npz", positions_3d=np.array(Marked(mark), dtype=object))
    with pytest.raises(InputError, match=r"evil.npz: not a dataset of joints \(it asks for "):
        datasets.load(tmp_path / "evil.npz")
    assert not mark.exists()
    np.load(tmp_path / "evil.npz", allow_pickle=True)["positions_3d"]
    assert mark.exists()  # so the payload was one


def put(value: Any) -> bytes:
    """Give the opcodes that put a value on the stack."""
    return pickle.dumps(value, 3)[2:-1]


def array_of(value: bytes) -> bytes:
    """Give a pickle of an array of one object, which these opcodes put on the stack."""
    state = put(1) + put(()) + put(np.dtype(object)) + put(False)
    return b"\x80\x04" + put(np.ndarray) + put(((0,), "b")) + b"R(" + state + b"](" + value + b"etb."


def tree_of(positions: bytes, frame_rate: bytes = put(50.0)) -> bytes:
    return array_of(
        b"}"
        + put("01")
        + b"}"
        + put("a")
        + b"}("
        + put("positions_3d")
        + positions
        + put("frame_rate")
        + frame_rate
        + b"uss"
    )


def array_with(shape: Any, dtype: bytes, data: bytes, order: Any = False) -> bytes:
    return put(np.ndarray) + put(((0,), "b")) + b"R(" + put(1) + put(shape) + dtype + put(order) + data + b"tb"


DOUBLES = put(np.dtype(np.float64))
POSITIONS = array_with((1, 1, 3), DOUBLES, put(bytes(24)))
DTYPE, SCALAR = put(np.dtype), b"cnumpy.core.multiarray\nscalar\n"
# A type that says of itself that it holds no objects, and holds one: NumPy would take bytes of the file for a pointer.
POINTERS = DTYPE + put(("O8",)) + b"R" + put((3, "|", None, None, None, 8, 8, 0)) + b"b"
BYTES = put(bytes(24))
# A subject, which holds 300 empty sequences, as every one of 300 subjects.
MANY = b"}q\x09(" + b"".join(put(f"q{i}") + b"}" for i in range(300)) + b"u"
MANY = put("s") + MANY + b"".join(put(f"s{i}") + b"h\x09" for i in range(300))


def sequence_with(array: bytes) -> bytes:
    return b"}(" + put("positions_3d") + array + put("frame_rate") + put(50.0) + b"u"


def type_with(code: str, *state: Any) -> bytes:
    return DTYPE + put((code,)) + b"R" + put((3, "|", None, None, None, *state)) + b"b"


def reconstructed(cls: bytes, state: Any) -> bytes:
    return b"cnumpy.core.multiarray\n_reconstruct\n(" + cls + put((0,)) + put(b"b") + b"tR" + put(state) + b"b"


def touching(mark: Path) -> dict[str, bytes]:
    """Pickles that leave a mark, in every way that pickles have."""
    command = f"open({str(mark)!r}, 'w')"
    return {
        "call": b"cbuiltins\neval\n" + put((command,)) + b"R",
        "call by name": put("builtins") + put("eval") + b"\x93" + put((command,)) + b"R",
        "instance": b"(" + put(command) + b"ibuiltins\neval\n",
        "object": b"(cbuiltins\neval\n" + put(command) + b"o",
        "new object": b"cbuiltins\neval\n" + put((command,)) + b"\x81",
        "new object with names": b"cbuiltins\neval\n" + put((command,)) + b"}\x92",
        "numpy's load": b"cnumpy\nload\n" + put((str(mark), "w+")) + b"R",
        "attribute of an array": b"cnumpy\nndarray.tofile\n" + POSITIONS + put(str(mark)) + b"\x86R",
        "extension": b"\x82\x01",
        "persistent": put(command) + b"Q",
    }


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a pickle"),
    "not a pickle": (b"hello", "not a pickle of a dict"),
    "a dict alone": (b"\x80\x04}.", "expected an array"),
    "after its end": (tree_of(POSITIONS) + b"N", "goes on"),
    "an empty stack": (b"\x80\x040.", "damaged: IndexError"),
    "not a dict": (array_of(b"]"), "expected a dict"),
    "a dict with arguments": (array_of(b"ccollections\nOrderedDict\n" + put(([],)) + b"R"), "expected a dict"),
    "a key that is no text": (array_of(b"}K\x01}s"), "expected text"),
    "tuples in tuples as a key": (array_of(b"})" + b"\x85" * 150_000 + b"Ns"), "expected text"),
    "tuples that hash for ever": (array_of(b"})" + b"q\x00h\x00\x86" * 64 + b"Ns"), "expected text"),
    "a subject that holds itself": (array_of(b"}q\x00" + put("a") + b"h\x00s"), "expected"),
    "one that is a sequence": (array_of(b"}(" + put("a") + b"}q\x09" + put("b") + b"}" + put("c") + b"h\x09su"), ""),
    "a subject in many places": (array_of(b"}(" + MANY + b"u"), "a sequence has none"),
    "a number of the memo": (b"\x80\x04}r\xff\xff\xff\x7f.", "expected an array"),
    "a long bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b"x.", "ends early"),
    "long bytes": (b"\x80\x04B" + struct.pack("<I", 1 << 31) + b"x.", "ends early"),
    "a long line": (b"\x80\x04c" + b"a" * 50_000_000, "line"),
    "a long integer": (tree_of(POSITIONS, b"\x8b" + struct.pack("<i", 1 << 20) + bytes(1 << 20)), "opcode"),
    "an integer beyond floats": (tree_of(POSITIONS, put(1 << 1500)), "too large"),
    "more opcodes than datasets have": (b"\x80\x04" + b"N" * 300_000 + b".", "more than"),
    "more tuples in tuples": (b"\x80\x04)" + b"\x85" * 300_000 + b".", "more than"),
    "an array of what was in memory": (tree_of(put(np.ndarray) + put(((4, 1, 3), "f8")) + b"R"), "without data"),
    "an array of pointers": (tree_of(array_with((1, 1, 3), POINTERS, BYTES)), "'O8'"),
    "one on bytes": (tree_of(put(np.ndarray) + b"(" + put((1, 1, 3)) + POINTERS + BYTES + b"tR"), "without data"),
    "one of terabytes": (tree_of(array_with((1 << 40, 1, 3), DOUBLES, BYTES)), "in 24 bytes"),
    "one of more than can be counted": (tree_of(array_with((1 << 62, 1 << 62, 3), DOUBLES, put(b""))), "in 0 bytes"),
    "one of less than nothing": (tree_of(array_with((-1, -1, 3), DOUBLES, BYTES)), "of sizes"),
    "one whose shape is none": (tree_of(array_with((1, 1.0, 3), DOUBLES, BYTES)), "of sizes"),
    "one whose data are text": (tree_of(array_with((1, 1, 3), DOUBLES, put("a" * 24))), "as its data"),
    "one whose data are objects": (tree_of(array_with((1, 1, 3), DOUBLES, put([1.0, 2.0, 3.0]))), "as its data"),
    "one of a subclass": (tree_of(reconstructed(DTYPE, (1, (1, 1, 3), np.dtype(float), False, bytes(24)))), "kind"),
    "one with attributes": (tree_of(put(np.zeros(3)) + b"}" + put("shape") + put((9,)) + b"sb"), "without data"),
    "one of a type of many bytes": (tree_of(array_with((1, 1, 3), type_with("V8", 1 << 20, 8, 0), BYTES)), "'V8'"),
    "two of the same bytes": (
        array_of(
            b"}" + put("01") + b"}("
            + put("a") + sequence_with(array_with((100, 1, 3), DOUBLES, put(bytes(2400)) + b"q\x09"))
            + put("b") + sequence_with(array_with((100, 1, 3), DOUBLES, b"h\x09")) + b"us"
        ),
        "two places",
    ),
    "text beyond Unicode": (
        tree_of(POSITIONS, SCALAR + b"(" + DTYPE + put(("U1",)) + b"R" + put(b"\xff" * 4) + b"tR"), "'U1'",
    ),
    "an object as a number": (tree_of(POSITIONS, SCALAR + b"(" + POINTERS + put(bytes(8)) + b"tR"), "'O8'"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Without much memory, either. (That the table's parts make sense together, the next test shows.)"""
    monkeypatch.setattr(dataset_readers, "MOST_STEPS", 200_000)  # or it would take minutes
    data, reason = HOSTILE[case]
    write_pickled(tmp_path / "evil.npz", data)
    tracemalloc.start()
    with pytest.raises(
        InputError, match=rf"(?s)evil.npz: not a dataset of joints \(.*({reason}).*\); expected an .npz of"
    ):
        datasets.load(tmp_path / "evil.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def test_what_hostile_pickles_are_made_of_is_a_dataset(tmp_path: Path) -> None:
    write_pickled(
        tmp_path / "good.npz", tree_of(POSITIONS, SCALAR + b"(" + DOUBLES + put(struct.pack("<d", 50)) + b"tR")
    )
    tree = datasets.load(tmp_path / "good.npz")
    assert_equal(tree, {"01": {"a": {"positions_3d": np.zeros((1, 1, 3)), "frame_rate": 50.0}}})


@pytest.mark.parametrize("case", touching(Path()))
def test_no_way_of_calling_leaves_a_mark(tmp_path: Path, case: str) -> None:
    mark = tmp_path / "mark"
    for data in (
        array_of(touching(mark)[case]),
        tree_of(POSITIONS, touching(mark)[case]),
        tree_of(touching(mark)[case]),
    ):
        write_pickled(tmp_path / "evil.npz", data)
        with pytest.raises(InputError, match=r"evil.npz: not a dataset of joints"):
            datasets.load(tmp_path / "evil.npz")
        assert not mark.exists()


def positions(**changes: Any) -> dict[str, Any]:
    return {"positions_3d": np.zeros((1, 1, 3)), "frame_rate": 50.0} | changes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "neither 'positions_3d' nor 'index'"),
        ({"other": {}}, "it has 'other.npy'"),
        ({"positions_3d": np.zeros((3, 17, 3))}, "expected that of one object"),
        ({"positions_3d": np.array([{}, {}])}, "expected that of one object"),
        ({"positions_3d": [1, 2]}, "expected that of one object"),
        ({"positions_3d": {"01": np.zeros(3)}}, "expected a dict"),
        ({"positions_3d": {1: {}}}, "expected text"),
        ({"positions_3d": {"01": {b"a": positions()}}}, "expected text|asks for _codecs.encode|expected"),
        ({"positions_3d": {"01": {"a": {"frame_rate": 50.0}}}}, "a sequence has 'frame_rate'"),
        ({"positions_3d": {"01": {"a": positions(gender="male")}}}, "'gender'"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=[1, 2])}}}, "expected an array"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.zeros((2, 3)))}}}, r"an array \(2, 3\) of float64"),
        (
            {"positions_3d": {"01": {"a": positions(positions_3d=np.zeros((2, 3, 2)))}}},
            r"an array \(2, 3, 2\) of float64",
        ),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.zeros((1, 1, 3), int))}}}, "of int64"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.zeros((1, 1, 3), np.float16))}}}, "'f2'"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.zeros((1, 1, 3), complex))}}}, "'c16'"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.full((1, 1, 3), None))}}}, "'O8'"),
        ({"positions_3d": {"01": {"a": positions(positions_3d=np.ma.zeros((1, 1, 3)))}}}, "asks for numpy.ma"),
        ({"positions_3d": {"01": {"a": positions(frame_rate="fast")}}}, "a str as a frame rate"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=None)}}}, "a NoneType as a frame rate"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=True)}}}, "a bool as a frame rate"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=np.array([50.0]))}}}, "expected \\(\\)"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=float("nan"))}}}, "a frame rate of nan Hz"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=np.inf)}}}, "a frame rate of inf Hz"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=0)}}}, "a frame rate of 0.0 Hz"),
        ({"positions_3d": {"01": {"a": positions(frame_rate=-50.0)}}}, "a frame rate of -50.0 Hz"),
    ],
)
def test_load_refuses_what_is_no_dataset(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    np.savez(tmp_path / "other.npz", **content)
    with pytest.raises(
        InputError, match=rf"other.npz: not a dataset of joints \(.*({reason}).*\); expected an .npz of this program"
    ):
        datasets.load(tmp_path / "other.npz")


def flat(**changes: Any) -> dict[str, Any]:
    """What is in a flat file, with other entries of the index, or of its one sequence, or other arrays."""
    one = {"subject": "01", "sequence": "a", "key": "01/a", "frame_rate": 50.0, "frames": 2, "joints": 1}
    index = {"format": "amass-joints npz-flat", "version": 1, "sequences": [one]}
    arrays: dict[str, Any] = {"01/a": np.zeros((2, 1, 3), np.float32)}
    for name, value in changes.items():
        (one if name in one else index if name in index else arrays)[name] = value
    return {"index": np.frombuffer(json.dumps(index).encode(), np.uint8)} | arrays


def in_bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


TWICE = [json.loads(flat()["index"].tobytes())["sequences"][0]] * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (flat(index=np.array("{}")), "expected JSON"),
        (flat(index=np.zeros(100)), "expected JSON"),
        (flat(index=in_bytes(b"{")), "Expecting property name"),
        (flat(index=in_bytes(b"\xff")), "decode"),
        (flat(index=in_bytes(b"[" * 500_000)), "recursion"),
        (flat(index=in_bytes(b" " * 5_000_000)), "at most 4194304"),
        (flat(index=in_bytes(b"[]")), "its index is list"),
        (flat(format="other"), "'format': 'other'"),
        (flat(version=2), "'version': 2"),
        (flat(sequences={}), "which are not the 1 that it has"),
        (flat(sequences=5), "not iterable"),
        (flat(sequences=TWICE), "its index lists 2 arrays, which are not the 1"),
        (flat(subject=1), "expected subject, sequence"),
        (flat(sequence=None), "expected subject, sequence"),
        (flat(key="01/b"), "which are not the 1 that it has"),
        (flat(**{"01/b": np.zeros((2, 1, 3))}), "which are not the 2 that it has"),
        (flat(frames=3), r"the shape \(3, 1, 3\), its header \(2, 1, 3\)"),
        (flat(joints=2), "the shape"),
        (flat(**{"01/a": np.zeros((2, 1, 3), int)}), "of int64"),
        (flat(**{"01/a": np.zeros((2, 1, 3), np.float16)}), "of float16"),
        (flat(**{"01/a": np.full((2, 1, 3), None)}), "pickled Python objects, which are never loaded"),
        (flat(frame_rate="50"), "expected subject, sequence"),
        (flat(frame_rate=0), "a frame rate of 0.0"),
        (flat(frame_rate=float("nan")), "a frame rate of nan"),
        (flat(frame_rate=10**400), "too large"),
    ],
)
def test_load_refuses_what_is_no_flat_dataset(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    np.savez_compressed(tmp_path / "flat.npz", **flat())
    assert list(datasets.load(tmp_path / "flat.npz")) == ["01"]
    np.savez_compressed(tmp_path / "other.npz", **content)
    with pytest.raises(
        InputError, match=rf"other.npz: not a dataset of joints \(.*{reason}.*\); expected an .npz of this program"
    ):
        datasets.load(tmp_path / "other.npz")


def test_a_sequence_in_two_arrays_is_refused(tmp_path: Path) -> None:
    again = {**TWICE[0], "key": "01/b"}
    np.savez(tmp_path / "a.npz", **flat(sequences=[TWICE[0], again], **{"01/b": np.zeros((2, 1, 3))}))
    with pytest.raises(InputError, match="it has '01/a' twice"):
        datasets.load(tmp_path / "a.npz")


@both_formats
def test_two_members_of_one_name_are_refused(tmp_path: Path, format: datasets.Format) -> None:
    """Readers differ in which of the two they take."""
    datasets.save(tmp_path / "a.npz", some_tree(), format)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr(file.namelist()[0], b"")
    assert datasets.format_of(tmp_path / "a.npz") is None
    with pytest.raises(InputError, match="two members of one name"):
        datasets.load(tmp_path / "a.npz")


def test_all_arrays_together_hold_no_more_than_the_file_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The members of an archive may lie over each other, so each of them alone tells nothing."""
    tree: Any = {"s": {str(i): positions(positions_3d=np.zeros((10_000, 1, 3))) for i in range(20)}}
    datasets.save(tmp_path / "a.npz", tree, "npz-flat")
    assert len(datasets.load(tmp_path / "a.npz")["s"]) == 20
    monkeypatch.setattr(dataset_readers, "FREE_EXPANSION", 20 * 240_000 - 1)
    with pytest.raises(InputError, match="its arrays hold far more than the file does"):
        datasets.load(tmp_path / "a.npz")


def test_what_an_archive_promises_and_does_not_hold_is_refused(tmp_path: Path) -> None:
    """The directory's sizes, at the end of its entry's 64-bit field."""
    datasets.save(tmp_path / "a.npz", some_tree())
    data = (tmp_path / "a.npz").read_bytes()
    place = data.rindex(b"\1\0\x18\0") + 4
    for size, compressed in ((1 << 40, None), (1 << 40, 1 << 40), (1 << 60, 1 << 58)):
        changed = bytearray(data)
        changed[place : place + 8] = struct.pack("<Q", size)
        if compressed:
            changed[place + 8 : place + 16] = struct.pack("<Q", compressed)
        (tmp_path / "a.npz").write_bytes(changed)
        with pytest.raises(InputError, match=r"a.npz: not a dataset of joints"):
            datasets.load(tmp_path / "a.npz")


@both_formats
def test_wherever_it_is_cut_off_it_is_refused(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "a.npz", some_tree(), format)
    data = (tmp_path / "a.npz").read_bytes()
    for size in (*range(0, 300), *range(300, len(data) - 300, 7), *range(len(data) - 300, len(data))):
        (tmp_path / "a.npz").write_bytes(data[:size])
        assert datasets.format_of(tmp_path / "a.npz") is None, size
        with pytest.raises(InputError, match=r"a.npz: not a dataset of joints"):
            datasets.load(tmp_path / "a.npz")


@both_formats
def test_a_byte_that_changes_is_noticed_or_makes_no_difference(tmp_path: Path, format: datasets.Format) -> None:
    tree: Any = {"é": {"a": positions(), "b": positions()}}
    datasets.save(tmp_path / "a.npz", tree, format)
    data = (tmp_path / "a.npz").read_bytes()
    noticed = 0
    for place in range(len(data)):
        (tmp_path / "a.npz").write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            found = datasets.load(tmp_path / "a.npz")
        except InputError:
            noticed += 1
        else:
            assert_equal(found, tree)
    assert noticed > len(data) / 2


def test_load_says_that_a_file_is_missing_or_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"CMU.npz: cannot be read: No such file"):
        datasets.load(tmp_path / "CMU.npz")
    with pytest.raises(InputError, match=r"cannot be read: it is no regular file"):
        datasets.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: cannot be read: it is no regular file"):
        datasets.load(tmp_path / "pipe")
    assert [datasets.format_of(tmp_path / name) for name in ("CMU.npz", ".", "pipe")] == [None] * 3


def test_what_a_message_repeats_is_safe_to_print(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **flat(key="\x1b[31m\n\udcff", **{"\x1b[31m": np.zeros(1)}))
    with pytest.raises(InputError) as refused:
        datasets.load(tmp_path / "a.npz")
    assert str(refused.value).isprintable()


# ------------------------------------------------------------------------------------------------- which format it is


@both_formats
def test_the_format_of_a_file_is_told_from_its_directory(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "a.npz", some_tree(), format)
    assert datasets.format_of(tmp_path / "a.npz") == format
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[:200] + data[300:])  # the end is there, the middle is not
    assert datasets.format_of(tmp_path / "a.npz") is None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"poses": np.zeros(3)},
        {"index": np.zeros(3)},
        {"positions_3d": np.zeros(3), "poses": np.zeros(3)},
        {"index": np.zeros(3), "poses": np.zeros(3)},
        {"01/a": np.zeros(3)},
    ],
)
def test_other_archives_are_of_neither_format(tmp_path: Path, content: dict[str, Any]) -> None:
    np.savez(tmp_path / "a.npz", **content)
    assert datasets.format_of(tmp_path / "a.npz") is None


# ------------------------------------------------------------------------------------------------- whole or not there


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


@both_formats
@pytest.mark.parametrize("step", ["write", "end", "close"])
def test_a_disk_that_is_full_at_the_end_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: datasets.Format, step: str
) -> None:
    (tmp_path / "CMU.npz").write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def write_and_fail_in_the_end() -> None:
        with datasets.DatasetWriter(tmp_path / "CMU.npz", format) as writer:
            writer.add("01", "a", {"positions_3d": np.zeros((1, 1, 3)), "frame_rate": 50.0})
            monkeypatch.setattr(DeflatedArchive, step, fail)

    with pytest.raises(InputError, match=r"CMU.npz: cannot be written: No space left on device"):
        write_and_fail_in_the_end()
    assert (tmp_path / "CMU.npz").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["CMU.npz"]


@both_formats
def test_without_a_sequence_there_is_no_file(tmp_path: Path, format: datasets.Format) -> None:
    datasets.save(tmp_path / "CMU.npz", {"01": {}}, format)
    assert not list(tmp_path.iterdir())


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


@both_formats
def test_a_sequence_has_its_place_and_has_it_once(tmp_path: Path, format: datasets.Format) -> None:
    some: datasets.Positions = {"positions_3d": np.zeros((2, 17, 3), np.float32), "frame_rate": 50.0}
    with datasets.DatasetWriter(tmp_path / "a.npz", format) as writer:
        writer.add("01", "a", some)
        writer.add("02", "a", some)
        writer.add("02", "b", some)
        with pytest.raises(ValueError, match="subject '01' comes a second time"):
            writer.add("01", "c", some)
        with pytest.raises(ValueError, match="subject '02' has two sequences 'a'"):
            writer.add("02", "a", some)
    assert {subject: list(one) for subject, one in datasets.load(tmp_path / "a.npz").items()} == {
        "01": ["a"],
        "02": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"positions_3d": np.zeros((2, 17, 2))}, r"an array \(2, 17, 2\) of float64"),
        ({"positions_3d": np.zeros((2, 17, 3), np.float16)}, "of float16"),
        ({"frame_rate": float("nan")}, "a frame rate of nan"),
        ({"frame_rate": 0}, "a frame rate of 0"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(tmp_path: Path, changes: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        datasets.save(tmp_path / "a.npz", {"01": {"a": positions(**changes)}})  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


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
