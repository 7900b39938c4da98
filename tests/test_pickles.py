"""Pickled body models: what is read of those that Python 2 and 3 write, and that no file can do anything else."""

import io
import pickle
import struct
import sys
import tracemalloc
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from amass_joints import pickle_opcodes, pickles
from amass_joints.pickles import PickleFile, PickleFileError, read_pickle

# ------------------------------------------------------------------------------------------- how the files are made


class Ch:
    """Has a state like chumpy's class: chumpy/ch.py, Ch.__new__ and Ch.__getstate__."""

    def __init__(self, **terms: Any) -> None:
        self._dirty_vars = set(terms)
        self._itr = None
        self._make_dense = False
        self._depends_on_deps = {"dr": {"deps": ("x",), "value": None, "out_of_date": True}}
        self.__dict__.update(terms)


class Select(Ch):
    pass


class Add(Ch):
    pass


PLACES = {Ch: "chumpy.ch Ch", Select: "chumpy.reordering Select", Add: "chumpy.ch_ops add"}


@dataclass(eq=False)
class Name:
    """A class or function."""

    module: str
    name: str


@dataclass(eq=False)
class Call:
    """What __reduce__ gives."""

    module: str
    name: str
    args: tuple[Any, ...]
    state: Any = None


@dataclass(eq=False)
class Instance:
    """An object without __reduce__."""

    module: str
    name: str
    state: Any


class Python2Pickler:
    """Writes what Python 2.7's cPickle wrote, and its NumPy, SciPy and chumpy had it write."""

    def __init__(self, protocol: int = 2) -> None:
        self.protocol = protocol
        self._out = io.BytesIO()
        self._memo: dict[int, int] = {}
        self._alive: list[Any] = []
        self._names: dict[str, Name] = {}
        self._dtypes: dict[np.dtype[Any], Call] = {}

    def dumps(self, value: Any) -> bytes:
        if self.protocol == 2:
            self._out.write(b"\x80\x02")
        self._save(value)
        return self._out.getvalue() + b"."

    def _save(self, value: Any) -> None:
        if id(value) in self._memo:
            number = self._memo[id(value)]
            self._out.write(self._numbered(b"g", b"h", b"j", number))
            return
        self._alive.append(value)
        match value:
            case None:
                self._out.write(b"N")
            case bool():
                self._out.write((b"\x89", b"\x88")[value] if self.protocol == 2 else (b"I00\n", b"I01\n")[value])
            case int():
                self._save_int(value)
            case float() if type(value) is float:
                self._out.write(b"G" + struct.pack(">d", value) if self.protocol else b"F%r\n" % value)
            case str():
                self._save_string(value)
            case tuple():
                self._save_tuple(value)
            case list():
                self._begin(value, b"]", b"(l")
                self._save_all([(item,) for item in value], b"a", b"e")
            case dict() if type(value) is dict:
                self._begin(value, b"}", b"(d")
                self._save_all(list(value.items()), b"s", b"u")
            case Name():
                self._out.write(f"c{value.module}\n{value.name}\n".encode())
                self._put(value)
            case Call():
                self._save_call(value, self._name(value.module, value.name), value.args, b"R", value.state)
            case Instance():
                cls = self._name(value.module, value.name)
                if self.protocol == 2:
                    self._save_call(value, cls, (), b"\x81", value.state)
                else:
                    args = (cls, self._name("__builtin__", "object"), None)
                    self._save_call(value, self._name("copy_reg", "_reconstructor"), args, b"R", value.state)
            case _:
                reduced = self._reduced(value)
                self._save(reduced)
                self._memo[id(value)] = self._memo[id(reduced)]

    def _numbered(self, text: bytes, short: bytes, long: bytes, number: int) -> bytes:
        if not self.protocol:
            return b"%s%d\n" % (text, number)
        return short + bytes([number]) if number < 256 else long + struct.pack("<I", number)

    def _put(self, value: Any) -> None:
        number = self._memo[id(value)] = len(self._memo) + 1
        self._out.write(self._numbered(b"p", b"q", b"r", number))

    def _begin(self, value: Any, binary: bytes, text: bytes) -> None:
        self._out.write(binary if self.protocol else text)
        self._put(value)

    def _save_all(self, groups: list[tuple[Any, ...]], one: bytes, many: bytes) -> None:
        together = self.protocol and len(groups) > 1
        self._out.write(b"(" if together else b"")
        for group in groups:
            for value in group:
                self._save(value)
            self._out.write(b"" if together else one)
        self._out.write(many if together else b"")

    def _save_int(self, value: int) -> None:
        if not self.protocol or not -(2**31) <= value < 2**63:
            if -(2**63) <= value < 2**63:
                self._out.write(b"I%d\n" % value)
            elif self.protocol == 2:
                data = value.to_bytes(9, "little", signed=True)
                self._out.write(b"\x8a" + bytes([len(data)]) + data)
            else:
                self._out.write(b"L%dL\n" % value)
        elif 0 <= value < 256:
            self._out.write(b"K" + bytes([value]))
        elif 0 <= value < 65536:
            self._out.write(b"M" + struct.pack("<H", value))
        elif value < 2**31:
            self._out.write(b"J" + struct.pack("<i", value))
        else:
            self._out.write(b"I%d\n" % value)

    def _save_string(self, value: str) -> None:
        try:
            data = value.encode("latin-1")
        except UnicodeEncodeError:  # what cannot be Python 2's str is its unicode
            data = value.encode()
            self._out.write(b"X" + struct.pack("<I", len(data)) + data if self.protocol else self._raw_unicode(value))
        else:
            if not self.protocol:
                self._out.write(b"S" + repr(data)[1:].encode() + b"\n")
            elif len(data) < 256:
                self._out.write(b"U" + bytes([len(data)]) + data)
            else:
                self._out.write(b"T" + struct.pack("<I", len(data)) + data)
        self._put(value)

    def _raw_unicode(self, value: str) -> bytes:
        return b"V" + value.replace("\\", "\\u005c").replace("\n", "\\u000a").encode("raw-unicode-escape") + b"\n"

    def _save_tuple(self, value: tuple[Any, ...]) -> None:
        if not value and self.protocol:
            self._out.write(b")")
            return
        short = self.protocol == 2 and len(value) <= 3
        self._out.write(b"" if short else b"(")
        for item in value:
            self._save(item)
        self._out.write((b"", b"\x85", b"\x86", b"\x87")[len(value)] if short else b"t")
        self._put(value)

    def _name(self, module: str, name: str) -> Name:
        return self._names.setdefault(f"{module} {name}", Name(module, name))

    def _save_call(self, value: Any, function: Name, args: tuple[Any, ...], opcode: bytes, state: Any) -> None:
        self._save(function)
        self._save(args)
        self._out.write(opcode)
        self._put(value)
        if state is not None:
            self._save(state)
            self._out.write(b"b")

    def _reduced(self, value: Any) -> Call | Instance:
        match value:
            case np.ndarray():
                order = "F" if value.flags.fnc else "C"
                data = list(value.reshape(-1)) if value.dtype.hasobject else value.tobytes(order).decode("latin-1")
                args = (self._name("numpy", "ndarray"), (0,), "b")
                state = (1, value.shape, value.dtype, order == "F", data)
                return Call("numpy.core.multiarray", "_reconstruct", args, state)
            case np.generic():
                return Call("numpy.core.multiarray", "scalar", (value.dtype, value.tobytes().decode("latin-1")))
            case np.dtype():
                order = {"=": "<>"[sys.byteorder == "big"]}.get(value.byteorder, value.byteorder)
                sizes = (-1, -1, 0) if value.kind not in "SU" else (value.itemsize, value.alignment, 0)
                made = Call("numpy", "dtype", (value.str[1:], 0, 1), (3, order, None, None, None, *sizes))
                return self._dtypes.setdefault(value, made)
            case OrderedDict():
                return Call("collections", "OrderedDict", ([[name, item] for name, item in value.items()],))
            case set():
                return Call("__builtin__", "set", (sorted(value),))
            case Ch():
                return Instance(*PLACES[type(value)].split(), vars(value))
        state = {"_shape": value.shape, "maxprint": 50, "data": value.data}
        names = ("row", "col") if value.format == "coo" else ("indices", "indptr")
        state |= {name: getattr(value, name) for name in names}
        return Instance(f"scipy.sparse.{value.format}", f"{value.format}_matrix", state)


def python2(value: Any, protocol: int = 2) -> bytes:
    return Python2Pickler(protocol).dumps(value)


def python3(value: Any, protocol: int) -> bytes:
    modules = {}
    for cls, place in PLACES.items():
        cls.__module__, cls.__qualname__ = place.split()
        module = modules[cls.__module__] = types.ModuleType(cls.__module__)
        setattr(module, cls.__qualname__, cls)
    modules["chumpy"] = types.ModuleType("chumpy")
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        return pickle.dumps(value, protocol)


WRITERS = [
    *(pytest.param(lambda value, p=p: python2(value, p), id=f"Python 2, protocol {p}") for p in range(3)),
    *(pytest.param(lambda value, p=p: python3(value, p), id=f"Python 3, protocol {p}") for p in range(6)),
]
Writer = Callable[[Any], bytes]

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(7, 3, 4))  # long enough to stay in the file
MATRIX = RNG.normal(size=(5, 40)) * (RNG.random((5, 40)) < 0.1)

VALUES: dict[str, tuple[Any, Any]] = {
    # What is pickled, and what is read.
    "array": (NUMBERS, NUMBERS),
    "short": (np.arange(3, dtype=np.int16), np.arange(3, dtype=np.int16)),
    "fortran": (np.asfortranarray(NUMBERS), NUMBERS),
    "big endian": (NUMBERS.astype(">f4"), NUMBERS.astype(np.float32)),
    "kintree_table": (np.array([[2**32 - 1, 0], [0, 1]], np.uint32), np.array([[2**32 - 1, 0], [0, 1]], np.uint32)),
    "truth": (np.array([True, False]), np.array([True, False])),
    "complex": (np.array([1 + 2j]), np.array([1 + 2j])),
    "no axes": (np.array(3.5), np.array(3.5)),
    "no values": (np.empty((0, 3)), np.empty((0, 3))),
    "every byte": (np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8)),
    "byte strings": (np.array([b"hip", b"knee"]), np.array([b"hip", b"knee"])),
    "texts": (np.array(["hip", "Knöchel"], ">U7"), np.array(["hip", "Knöchel"])),
    "csc": (sparse.csc_matrix(MATRIX), MATRIX),
    "Ch": (Ch(x=NUMBERS), NUMBERS),
    "Ch of a number": (Ch(x=2), np.array([2.0])),
    "Select": (
        Select(a=Ch(x=NUMBERS), idxs=np.arange(84)[::-1], preferred_shape=(7, 12)),
        NUMBERS.ravel()[::-1].reshape(7, 12),
    ),
    "Select of Select": (
        Select(a=Select(a=Ch(x=NUMBERS), idxs=np.arange(5), preferred_shape=(5, 1)), idxs=np.array([4, 0])),
        NUMBERS.ravel()[[4, 0]],
    ),
    "joint2num": (np.array({"Pelvis": 0}, object), {"Pelvis": 0}),
    "dynamic_lmk_bary_coords": (np.array([NUMBERS, None], object), [NUMBERS, None]),
    "scalar": (np.float64(1.5), 1.5),
    "scalar text": (np.bytes_(b"male"), b"male"),
    "plain": (
        {"a": [1, -2, 70000, 2**40, -(2**70), 1.5, float("inf"), True, False, None], "b": ((), (1,), ("x", 2, 3, 4))},
        {"a": [1, -2, 70000, 2**40, -(2**70), 1.5, float("inf"), True, False, None], "b": ((), (1,), ("x", 2, 3, 4))},
    ),
    "set": ({"a", "b"}, {"a", "b"}),
    "ordered": (OrderedDict(z=1, a=NUMBERS), {"z": 1, "a": NUMBERS}),
    "numbers as keys": ({3: "a", -1: "b"}, {3: "a", -1: "b"}),
    "latin": ("caf\xe9 \\ ' \" \n \r \t \x00", "caf\xe9 \\ ' \" \n \r \t \x00"),
    "unicode": ("歩く\\u0041 \n é", "歩く\\u0041 \n é"),
    "long text": ("\xe9" * 300, "\xe9" * 300),
}  # fmt: skip


def write(path: Path, content: bytes) -> Path:
    (path / "model.pkl").write_bytes(content)
    return path / "model.pkl"


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.dtype.isnative
        assert found.flags.c_contiguous
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


# ------------------------------------------------------------------------------------------------ what is read


@pytest.mark.filterwarnings("ignore")  # numpy.core has moved
@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_the_pickler_of_these_tests_writes_pickles(protocol: int) -> None:
    names = (
        "array",
        "fortran",
        "big endian",
        "byte strings",
        "scalar",
        "plain",
        "set",
        "latin",
        "unicode",
        "long text",
    )
    expected = {name: VALUES[name][1] for name in names}
    found = pickle.loads(python2({name: VALUES[name][0] for name in names}, protocol), encoding="latin1")
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", VALUES)
def test_every_value_of_every_writer(tmp_path: Path, writer: Writer, name: str) -> None:
    value, expected = VALUES[name]
    path = write(tmp_path, writer({name: value, "again": value, "other": "lbs"}))
    assert_same(read_pickle(path), {name: expected, "again": expected, "other": "lbs"})
    with PickleFile(path) as file:
        assert file.names == (name, "again", "other")
        assert_same(file.read(name), expected)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
@pytest.mark.parametrize(
    "dense",
    [MATRIX, (MATRIX * 3).astype(np.int8), MATRIX != 0, np.zeros((3, 2), np.float32), np.zeros((0, 4))],
    ids=["numbers", "integers", "truth", "zeros", "no rows"],
)
def test_sparse_matrices(tmp_path: Path, writer: Writer, kind: str, layout: str, dense: np.ndarray) -> None:
    matrix = getattr(sparse, f"{layout}_{kind}")(dense)
    assert_same(read_pickle(write(tmp_path, writer({"mtx": matrix})))["mtx"], matrix.toarray())


@pytest.mark.parametrize(
    "matrix",
    [
        sparse.coo_matrix(([1.0, 2.0], ([0, 0], [2, 2])), shape=(1, 4)),
        sparse.csr_matrix(([1.0, 2.0], [2, 2], [0, 2]), shape=(1, 4)),
    ],
)
def test_sparse_matrices_mean_what_they_mean_to_scipy(tmp_path: Path, matrix: Any) -> None:
    assert_same(read_pickle(write(tmp_path, python2({"mtx": matrix})))["mtx"], matrix.toarray())


@pytest.mark.parametrize(
    "changes",
    [
        {"_shape": None, "shape": (2, 3)},  # as it was called once
        {"data": np.ones(4), "indices": np.array([0, 1, 9, 9])},  # has room for more
    ],
)
def test_other_states_that_scipy_had(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read_pickle(write(tmp_path, python2({"mtx": csr(**changes)})))["mtx"].tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("protocol", range(6))
def test_byte_strings_as_keys(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({b"caf\xe9": b"x", b"": b"", b"inner": {b"y": b"\xff" * 300}}, protocol)
    assert read_pickle(write(tmp_path, content)) == {"caf\xe9": b"x", "": b"", "inner": {"y": b"\xff" * 300}}


def test_arrays_share_nothing_though_python_2_writes_equal_short_strings_once(tmp_path: Path) -> None:
    data = "a"
    arrays = {name: Call("numpy.core.multiarray", "_reconstruct", (Name("numpy", "ndarray"), (0,), "b"),
                         (1, (1,), np.dtype(np.uint8), False, data)) for name in ("one", "two")}  # fmt: skip
    found = read_pickle(write(tmp_path, python2(arrays)))
    found["one"][0] = 0
    assert found["two"].tolist() == [ord("a")]


def test_neither_scipy_nor_chumpy_is_needed_or_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, python2({"J_regressor": sparse.csc_matrix(MATRIX), "v_template": Ch(x=NUMBERS)}))
    for package in ("scipy", "scipy.sparse", "chumpy", "chumpy.ch"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it is an ImportError
    assert_same(read_pickle(path), {"J_regressor": MATRIX, "v_template": NUMBERS})


def test_what_nobody_reads_may_be_what_nobody_can_read(tmp_path: Path) -> None:
    objects = np.empty((2, 2), object)
    path = write(tmp_path, python2({"J": Add(a=1, b=2), "v_template": NUMBERS, "objects": objects}))
    with PickleFile(path) as file:
        assert file.names == ("J", "v_template", "objects")
        assert_same(file.read("v_template"), NUMBERS)
        with pytest.raises(PickleFileError, match=r"'J': it is a chumpy.ch_ops.add, which only chumpy can evaluate"):
            file.read("J")
        with pytest.raises(PickleFileError, match=r"'objects': .* Python objects of shape \(2, 2\), expected one or a"):
            file.read("objects")
        with pytest.raises(PickleFileError, match=r"it has no 'weights' \(it has J, v_template, objects\)"):
            file.read("weights")
    with pytest.raises(PickleFileError, match="'J'"):
        read_pickle(path)


@pytest.mark.parametrize("writer", WRITERS[1:])
def test_only_what_is_read_takes_memory(tmp_path: Path, writer: Writer) -> None:
    large = np.ones(2**18)
    path = write(tmp_path, writer({"other": large, "wanted": np.arange(100.0)}))
    with PickleFile(path) as file:
        tracemalloc.start()
        file.read("wanted")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < large.nbytes / 10


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("builtins", "object.__subclasses__"),
        ("builtins", "bytearray"),
        ("functools", "partial"),
        ("collections", "defaultdict"),
        ("copy_reg", "__newobj__"),
        ("_codecs", "decode"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.matrixlib.defmatrix", "matrix"),
        ("scipy.sparse.csc", "csr_matrix"),
        ("scipy.sparse.csc", "csc_matrix.todense"),
        ("scipy.sparse._evil", "csc_matrix"),
        ("scipy_sparse.csc", "csc_matrix"),
        ("chumpyevil.ch", "Ch"),
        ("evil.chumpy.ch", "Ch"),
        ("chumpy.ch", "Ch.__reduce__"),
        ("chumpy.ch", "os system"),
        ("amass_joints.pickles", "PickleFile"),
        ("\x1b[31m", "red"),
    ],
)
@pytest.mark.parametrize(
    "opcodes",
    [
        pytest.param(lambda module, name: b"c%s\n%s\n)R" % (module, name), id="GLOBAL, REDUCE"),
        pytest.param(lambda module, name: b"c%s\n%s\n)\x81" % (module, name), id="GLOBAL, NEWOBJ"),
        pytest.param(lambda module, name: b"(i%s\n%s\n" % (module, name), id="INST"),
        pytest.param(lambda module, name: b"(c%s\n%s\no" % (module, name), id="OBJ"),
        pytest.param(
            lambda module, name: (
                b"X%b%bX%b%b\x93)}\x92" % (struct.pack("<I", len(module)), module, struct.pack("<I", len(name)), name)
            ),
            id="STACK_GLOBAL, NEWOBJ_EX",
        ),
        pytest.param(
            lambda module, name: b"cchumpy.ch\nCh\n)\x81}U\4evilc%s\n%s\n)Rsb" % (module, name), id="unused attribute"
        ),
    ],
)
def test_other_names_are_refused_by_name(
    tmp_path: Path, module: str, name: str, opcodes: Callable[[bytes, bytes], bytes]
) -> None:
    content = b"\x80\x02}U\1x" + opcodes(module.encode(), name.encode()) + b"s."
    with pytest.raises(PickleFileError, match=r"it asks for .*, which no such file needs") as caught:
        PickleFile(write(tmp_path, content))
    assert f"it asks for {ascii(f'{module}.{name}')[1:-1]}," in str(caught.value)


class Marked:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("protocol", range(6))
def test_no_code_is_run(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path, pickle.dumps({"v_template": Marked(tmp_path / "mark")}, protocol))
    with pytest.raises(PickleFileError, match=r"it asks for (__builtin__|builtins)\.getattr|it asks for pathlib\."):
        PickleFile(path)
    assert not (tmp_path / "mark").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "mark").exists()  # so the payload was one


NDARRAY = Name("numpy", "ndarray")
F8 = Call("numpy", "dtype", ("f8", 0, 1), (3, "<", None, None, None, -1, -1, 0))


def array(shape: Any, dtype: Any, data: Any, args: tuple[Any, ...] = (NDARRAY, (0,), "b")) -> Call:
    return Call("numpy.core.multiarray", "_reconstruct", args, (1, shape, dtype, False, data))


def dtype(code: Any, order: Any = "<", subdtype: Any = None, names: Any = None) -> Call:
    return Call("numpy", "dtype", (code, 0, 1), (3, order, subdtype, names, None, -1, -1, 0))


def csr(**changes: Any) -> Instance:
    state = {"_shape": (2, 3), "data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])} | changes
    return Instance("scipy.sparse.csr", "csr_matrix", {k: v for k, v in state.items() if v is not None})


def coo(**changes: Any) -> Instance:
    state = {"_shape": (2, 3), "data": np.ones(2), "row": np.array([0, 1]), "col": np.array([0, 1])} | changes
    return Instance("scipy.sparse.coo", "coo_matrix", state)


def chumpy(name: str, **state: Any) -> Instance:
    return Instance(*name.split(), state)


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner, inner]
    return inner


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (array((10**9, 10**9), F8, "\0" * 8), r"promise 8000000000000000000 bytes, the file holds 8"),
        (array((0,), F8, "\0" * 8), r"promise 0 bytes, the file holds 8"),
        (array((2,), F8, "\0" * 300), r"promise 16 bytes, the file holds 300"),
        (array((-1,), F8, "\0" * 8), r"a shape that is not of sizes"),
        (array((True,), F8, "\0" * 8), r"a shape that is not of sizes"),
        (array((2**70, 0), F8, ""), r"a shape that is not of sizes"),
        (array((2**62, 0), F8, ""), r"broken or truncated \(.*\)"),
        (array((1,) * 33, F8, "\0" * 8), r"it has a tuple as its shape"),
        (array(8, F8, "\0" * 8), r"it has a int as its shape"),
        (array((1,), F8, ["\0"]), r"an array with a list as its data"),
        (array((1,), F8, "歩" * 8), r"broken or truncated \('latin-1'"),
        (array((1,), "f8", "\0" * 8), r"it has a str as its dtype"),
        (array((1,), F8, "\0" * 8, args=(Name("chumpy.ch", "Ch"), (0,), "b")), r"of the class chumpy.ch.Ch, expected"),
        (array((1,), F8, "\0" * 8, args=(Name("numpy", "dtype"), (0,), "b")), r"of the class numpy.dtype, expected"),
        (array((1,), F8, "\0" * 8, args=()), r"broken or truncated"),
        (Call("numpy.core.multiarray", "_reconstruct", (NDARRAY, (0,), "b")), r"an array without shape and data"),
        (Call("numpy.core.multiarray", "_reconstruct", (NDARRAY, (0,), "b"), (1, (1,))), r"without shape and data"),
        (Call("numpy", "ndarray", ((10**12,),)), r"it is made by numpy.ndarray, expected a value"),
        (Call("numpy.core.numeric", "_frombuffer", ("\0" * 8, F8, (2,), "C")), r"promise 16 bytes, the file holds 8"),
        (Call("numpy.core.numeric", "_frombuffer", ("\0" * 8,)), r"broken or truncated"),
        (Call("numpy.core.multiarray", "scalar", (F8, "\0" * 7)), r"promise 8 bytes, the file holds 7"),
        (Call("numpy.core.multiarray", "scalar", (dtype("O8"), "\0" * 8)), r"a dtype O8 of an unknown kind"),
        (array((1,), dtype("V8"), "\0" * 8), r"the dtype 'V8', expected numbers or text"),
        (array((1,), dtype("M8"), "\0" * 8), r"the dtype 'M8'"),
        (array((1,), dtype("S0"), ""), r"the dtype 'S0'"),
        (array((1,), dtype("f8,O"), "\0" * 16), r"the dtype 'f8,O'"),
        (array((1,), dtype("S999999999"), "\0" * 8), r"promise 999999999 bytes, the file holds 8|broken"),
        (array((1,), dtype(nested(28)), ""), r"the dtype a list, expected"),
        (array((1,), dtype("f8", subdtype=(F8, (1,))), "\0" * 8), r"a dtype f8 of an unknown kind"),
        (array((1,), dtype("f8", names=("a",)), "\0" * 8), r"a dtype f8 of an unknown kind"),
        (array((1,), dtype("f8", order="S"), "\0" * 8), r"a dtype f8 in an unknown byte order"),
        (array((1,), dtype("f8", order=np.arange(3)), "\0" * 8), r"a dtype f8 in an unknown byte order"),
        (array((1,), dtype("b1"), "\2"), r"values that no bool has"),
        (array((1,), dtype("U1"), "\xff\xff\xff\x7f"), r"values that no <U1 has"),
        (array((1,), dtype("U1", ">"), "\x7f\xff\xff\xff"), r"values that no >U1 has"),
        (array((), dtype("O8"), [Name("numpy", "ndarray")]), r"it is the class numpy.ndarray, expected a value"),
        (array((5,), dtype("O8"), [1]), r"Python objects of shape \(5,\), expected one or a list of them"),
        (array((1,), dtype("O8"), "\0" * 8), r"Python objects of shape \(1,\)"),
        (array((0, 10**9), dtype("O8"), []), r"Python objects of shape \(0, 1000000000\)"),
        (F8, r"it is made by numpy.dtype, expected a value"),
        (csr(_shape=(10**9, 10**9)), r"sparse matrix of shape \(1000000000, 1000000000\) whose indptr does not fit"),
        (coo(_shape=(10**9, 10**9)), r"it would become an array of 10{18} values, expected at most 200000000 in all"),
        (coo(_shape=(2, 3, 1)), r"a sparse matrix of shape \(2, 3, 1\), expected two axes"),
        (coo(row=np.array([0, 2])), r"shape \(2, 3\) with entries outside of it"),
        (coo(col=np.array([0, -1])), r"with entries outside of it"),
        (coo(col=np.array([0, 3])), r"with entries outside of it"),
        (coo(col=np.array([0])), r"with entries outside of it"),
        (coo(col=np.array([0, 2**64 - 1], np.uint64)), r"with entries outside of it"),
        (coo(col=np.array([0.0, 1.0])), r"expected a vector of numbers"),
        (coo(data=np.ones((2, 1))), r"expected a vector of numbers"),
        (coo(data=np.array([b"a", b"b"])), r"expected a vector of numbers"),
        (coo(data=[1.0, 2.0]), r"it has a part that is a list, expected a vector of numbers"),
        (csr(indices=np.array([0, 3])), r"with entries outside of it"),
        (csr(indptr=np.array([0, 2, 1])), r"whose indptr does not fit"),
        (csr(indptr=np.array([], int)), r"whose indptr does not fit"),
        (csr(_shape=(0, 3), indptr=np.array([], int)), r"broken or truncated|whose indptr does not fit"),
        (csr(indptr=np.array([0, 2, 10**15])), r"whose indptr does not fit"),
        (csr(indptr=np.array([-1, 0, 2])), r"whose indptr does not fit"),
        (csr(indptr=np.array([1, 1, 2])), r"whose indptr does not fit"),
        (csr(indptr=np.array([0, 2])), r"whose indptr does not fit"),
        (csr(data=None), r"without the attribute 'data' \(it has _shape, indices, indptr\)"),
        (csr(_shape=None), r"without the attribute '_shape'"),
        (Instance("scipy.sparse.csr", "csr_matrix", None), r"it is a csr without attributes"),
        (Instance("scipy.sparse.csr", "csr_matrix", (1, 2)), r"it is a csr without attributes"),
        (chumpy("chumpy.ch Ch"), r"without the attribute 'x'"),
        (chumpy("chumpy.ch Ch", x="text"), r"it holds a str, expected real numbers"),
        (chumpy("chumpy.ch Ch", x=np.array([1j])), r"it holds a ndarray, expected real numbers"),
        (chumpy("chumpy.ch Ch", x=2**70), r"it holds a int, expected real numbers"),
        (chumpy("chumpy.reordering Select", a=Ch(x=NUMBERS), idxs=[0]), r"it selects by a list, expected an array of"),
        (chumpy("chumpy.reordering Select", a=Ch(x=NUMBERS), idxs=np.array([84])), r"broken or truncated \(index 84"),
        (Select(a=Ch(x=NUMBERS), idxs=np.arange(4), preferred_shape=(5,)), r"broken or truncated \(cannot reshape"),
        (Call("chumpy.utils", "dfs_do_func_on_graph", ("os.system",)), r"it is a chumpy.utils.dfs_do_func_on_graph"),
        (Call("chumpy.ch", "Ch", (1,)), r"it is a chumpy.ch.Ch without attributes"),
        (Call("copy_reg", "_reconstructor", (Name("numpy", "ndarray"), Name("numpy", "ndarray"), "")), r"unknown way"),
        (Call("copy_reg", "_reconstructor", (Name("chumpy.ch", "Ch"), NDARRAY, None)), r"chumpy.ch.Ch in an unknown"),
        (
            Call("copy_reg", "_reconstructor", (Name("chumpy.ch", "Ch"), Name("__builtin__", "object"), 1)),
            r"chumpy.ch.Ch in an unknown way",
        ),
        (Call("copy_reg", "_reconstructor", ("os.system", Name("__builtin__", "object"), None)), r"object of a str in"),
        (Call("__builtin__", "object", ()), r"it is made by object, expected a value"),
        (Call("__builtin__", "bytes", (10**12,)), r"broken or truncated"),
        (Call("_codecs", "encode", ("text", "zip")), r"it encodes a str in an unknown way"),
        (Call("_codecs", "encode", (1, "latin1")), r"it encodes a int in an unknown way"),
        (Call("collections", "OrderedDict", (5,)), r"broken or truncated"),
        ({(1, 2): 3}, r"it has a tuple as a key, expected text or a small integer"),
        ({2**40: 3}, r"it has a int as a key"),
        ({1.5: 3}, r"it has a float as a key"),
        ({True: 3}, r"it has a bool as a key"),
        (Call("__builtin__", "set", ([[]],)), r"it has a list as a key"),
        (CYCLE, r"it is nested more than 30 deep"),
    ],
)  # fmt: skip
def test_what_is_damaged_or_hostile_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(PickleFileError, match=message) as caught:
        read_pickle(write(tmp_path, python2({"x": value})))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"it is not a pickle of a dict \(it begins with b''\)"),
        (b"version https://git-lfs", r"it is not a pickle of a dict \(it begins with b'vers'\)"),
        (b"<!DOCTYPE html>", r"it begins with b'<!DO'"),
        (b"(just some text\n", r"broken or truncated|it ends early|it has the opcode"),
        (b"\x80\x02]q\1.", r"it holds a list, expected a dict"),
        (b"\x80\x02K\1.", r"it holds a int, expected a dict"),
        (b"\x80\x02}K\1K\2s.", r"it holds a dict with the key 1, expected text"),
        (b"\x80\x02cchumpy.ch\nCh\n)\x81.", r"it holds chumpy.ch.Ch, expected a dict"),
        (b"\x80\x06}.", r"the pickle protocol 6, expected 0 to 5"),
        (b"\x80\x02Pid\n.", r"the opcode b'P' at byte 2, which no such file needs"),
        (b"\x80\x02\x82\1.", r"the opcode b'\\x82' at byte 2"),
        (b"\x80\x05\x97.", r"the opcode b'\\x97' at byte 2"),
        (b"\x80\x02.", r"broken or truncated"),
        (b"\x80\x02}t.", r"broken or truncated"),
        (b"\x80\x02h\7.", r"broken or truncated"),
        (b"\x80\x02}(Nu.", r"broken or truncated"),
        (b"\x80\x02}Na.", r"it adds to dict as if to a list"),
        (b"\x80\x02]NNs.", r"it adds to a list as if to a dict"),
        (b"\x80\x02]}b.", r"it gives attributes to a list"),
        (b"\x80\x02NNR.", r"it calls a NoneType with a NoneType"),
        (b"\x80\x02cchumpy.ch\nCh\nNR.", r"it calls chumpy.ch.Ch with a NoneType"),
        (b"\x80\x04NN\x93.", r"a class's name that is no text"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", r"it holds a NoneType, expected a dict"),
        (b"(dp99999999999\n.", r"a memo's number beyond 32 bits"),
        (b"(dp-1\n.", r"a memo's number beyond 32 bits"),
        (b"(dI" + b"9" * 5000 + b"\n.", r"a number of 5000 digits"),
        (b"(dF" + b"9" * 5000 + b"\n.", r"a number of 5000 digits"),
        (b"(dIone\n.", r"broken or truncated \(invalid literal"),
        (b"(dSno quotes\n.", r"a string without quotes"),
        (b"(dS'text'", r"it ends early, within a line"),
        (b"(dS'\n.", r"a string without quotes"),
        (b"(dS'\\q'\n.", r"a string with an unknown escape"),
        (b"(dS'\\\\\\101'\n.", r"a string with an unknown escape"),
        (b"(dS'\\x4'\n.", r"broken or truncated"),
        (b"(dS'\\'\n.", r"broken or truncated"),
        (b"(dV\\u12\n.", r"broken or truncated"),
        (b"(dV\\ud800\n.", r"broken or truncated .*surrogates not allowed"),
        (b"\x80\x02X\2\0\0\0\xff\xff.", r"broken or truncated"),
        (b"\x80\x02T\xff\xff\xff\xff.", r"it ends early, at byte 8: 4294967295 bytes should follow byte 7"),
        (b"\x80\x04B\xff\xff\xff\xff.", r"it ends early, at byte 8"),
        (b"\x80\x04\x8e" + b"\xff" * 8, r"it ends early"),
        (b"\x80\x04\x8d" + b"\0\0\0\0\0\1\0\0", r"it ends early"),
        (b"\x80\x05\x96" + b"\0\0\0\0\0\1\0\0", r"it ends early"),
        (b"\x80\x04\x95" + b"\0\0\0\0\0\1\0\0}.", r"it ends early"),
    ],
)  # fmt: skip
def test_damaged_or_hostile_opcodes_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    tracemalloc.start()
    with pytest.raises(PickleFileError, match=message):
        PickleFile(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000 + 30 * len(content)


def test_a_file_of_too_many_opcodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_opcodes, "MOST_STEPS", 1000)
    content = b"\x80\x02}" + b"N0" * 499
    assert read_pickle(write(tmp_path, content[:-2] + b".")) == {}
    with pytest.raises(PickleFileError, match="it has more than 1,000 opcodes"):
        PickleFile(write(tmp_path, content + b"."))


def shared(count: int, make: Callable[[Any], Any], part: Any) -> bytes:
    return python2({"x": [make(part) for _ in range(count)]})


@pytest.mark.parametrize(
    "content",
    [
        shared(2000, lambda data: array((100_000,), dtype("i1"), data), "\0" * 100_000),
        shared(2000, lambda text: Call("_codecs", "encode", (text, "latin1")), "\0" * 100_000),
        shared(2000, lambda pairs: Call("collections", "OrderedDict", (pairs,)), [["a", 1]] * 10_000),
        shared(2000, lambda elements: Call("__builtin__", "set", (elements,)), [1] * 100_000),
        shared(2000, lambda state: Instance("chumpy.ch", "Ch", state), {str(n): 1 for n in range(20_000)} | {"x": 1}),
        shared(2000, lambda data: coo(data=data, row=data, col=data), np.zeros(100_000, np.int8)),
        shared(2000, lambda idxs: Select(a=Ch(x=1), idxs=idxs), np.zeros(200_000, np.int8)),
        shared(2000, lambda x: Instance("chumpy.ch", "Ch", {"x": x}), np.zeros(200_000, np.int8)),
    ],
    ids=["arrays", "bytes", "dicts", "sets", "attributes", "sparse", "Select", "Ch"],
)
def test_what_stands_in_the_file_once_cannot_be_had_a_thousand_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(pickles, "MOST_MADE", 10_000_000)
    with pytest.raises(PickleFileError, match=r"far more than the file does|expected at most 10000000 in all"):
        read_pickle(write(tmp_path, content))


@pytest.mark.parametrize(
    "opcodes",
    [
        pytest.param(b")" + b"q\1h\1\x86" * 100, id="a tuple whose hash takes ages"),
        pytest.param(b")" + b"\x85" * 500_000, id="a tuple whose hash overflows the stack"),
        pytest.param(b"cchumpy.ch\nCh\n)\x81", id="an object"),
    ],
)
@pytest.mark.parametrize(("before", "after"), [(b"}", b"Ns"), (b"(", b"Nd"), (b"\x8f(", b"\x90"), (b"(", b"\x91")])
def test_nothing_in_the_file_is_hashed(tmp_path: Path, opcodes: bytes, before: bytes, after: bytes) -> None:
    path = write(tmp_path, b"\x80\x04}U\1x" + before + opcodes + after + b"s.")
    with (
        PickleFile(path) as file,
        pytest.raises(PickleFileError, match=r"as a key|nested more than|without attributes"),
    ):
        file.read("x")


def test_what_is_shared_is_made_once(tmp_path: Path) -> None:
    found = read_pickle(write(tmp_path, python2({"x": nested(25)})))["x"]
    for _ in range(25):
        assert found[0] is found[1]
        found = found[0]


MODEL = {name: value for name, (value, _) in VALUES.items()}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_truncated_file_is_refused(tmp_path: Path, writer: Writer) -> None:
    content = writer(MODEL)
    for size in (*range(0, len(content), 50), *range(len(content) - 5, len(content))):
        with pytest.raises(PickleFileError):
            read_pickle(write(tmp_path, content[:size]))


@pytest.mark.parametrize("writer", WRITERS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, writer: Writer) -> None:
    content = writer({name: value for name, value in MODEL.items() if name not in ("every byte", "long text")})
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        try:
            read_pickle(write(tmp_path, bytes(damaged)))
        except PickleFileError:
            refused += 1
    assert refused > 100


def test_files_that_are_no_pickles(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", v_template=NUMBERS)
    with pytest.raises(PickleFileError, match=r"not a pickle of a dict \(it begins with b'PK\\x03\\x04'\)"):
        PickleFile(tmp_path / "model.npz")
    with pytest.raises(PickleFileError, match="cannot be read: No such file"):
        PickleFile(tmp_path / "missing.pkl")
    with pytest.raises(PickleFileError, match="cannot be read: Is a directory"):
        PickleFile(tmp_path)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path: Path) -> None:
    path = write(tmp_path, python2({"x": np.ones(100_000)}))
    with PickleFile(path) as file:
        with path.open("r+b") as stream:
            stream.truncate(1000)
        with pytest.raises(PickleFileError, match="'x': it ends early"):
            file.read("x")


def test_a_sparse_matrix_as_it_is(tmp_path: Path) -> None:
    matrix = sparse.csr_matrix(([1.0, 2.0, 3.0], ([0, 1, 1], [5, 0, 0])), shape=(2, 10**9))
    with PickleFile(write(tmp_path, pickle.dumps({"mtx": matrix, "other": 1}))) as file:
        found = file.read_sparse("mtx")
        assert found is not None
        assert found.shape == (2, 10**9)
        entries = zip(found.rows.tolist(), found.columns.tolist(), found.values.tolist(), strict=True)
        assert list(entries) == [(0, 5, 1.0), (1, 0, 5.0)]
        assert file.read_sparse("other") is None
        with pytest.raises(PickleFileError, match="expected at most"):
            file.read("mtx")
