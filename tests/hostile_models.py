"""Bad joint regressors, body models, DMPLs and vertex maps; and bad files in place of this program's own outputs."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hostile import (
    ARRAYS,
    NO_FILES,
    Bad,
    Part,
    Payload,
    bomb,
    damaged,
    header,
    not_files,
    npy,
    npz,
    objects,
    with_header,
    write_zip,
    written,
    zipped,
)

WIDTH = 6890

# ------------------------------------------------------------------------------------------------- regressors


def regressors() -> Iterator[Bad]:
    """Bad files in place of a joint regressor, in ``.npy`` or ``.npz``."""
    not_npy = "not that of a NumPy array|its format version|ends early"
    for name, (content, _) in NO_FILES.items():
        reason = "pickled Python objects, which are never loaded" if content[:6] == b"\x93NUMPY" else not_npy
        yield Bad(f"{name}.npy", written(content), reason)
    for name, (content, reason) in ARRAYS.items():
        yield Bad(f"{name}.npy", written(content), reason)
    whole = npy(np.ones((17, WIDTH)))
    for name, place in {"magic": 5, "header": 60, "numbers": 1000, "last number": len(whole) - 1}.items():
        yield Bad(f"cut at {name}.npy", written(whole[:place]), f"{not_npy}|header promises 937040 bytes")
    for bad in damaged({"J": np.ones((2, WIDTH)), "other": np.ones(3)}):
        if "other" not in bad.reason:  # which makes it no regressor before anything else
            yield Bad(f"{bad.name}.npz", bad.make, f"{bad.reason}|it holds the arrays|not that of a NumPy array")
    for name, matrix, reason in MATRICES:
        yield Bad(f"{name}.npy", written(partial(npy, matrix)), reason)
        yield Bad(f"{name}.npz", written(partial(npz, {"J": matrix}, zipfile.ZIP_DEFLATED)), reason)
    yield Bad("a directory.npy", Path.mkdir, "cannot be read: Is a directory")
    yield Bad("a link to nowhere.npy", lambda path: path.symlink_to("nowhere"), "cannot be read: No such file")
    yield Bad("zeros for ever.npy", lambda path: path.symlink_to("/dev/zero"), "it is not a regular file")
    yield Bad("a million joints.npz", many_joints, r"\(1000000, 6890\).*more joints than vertices")
    for joints in (WIDTH + 1, 20_000_000):
        reason = rf"\({joints}, 6890\).*more joints than vertices"
        yield Bad(f"a hole of {joints} joints.npy", partial(hole, joints), reason)
    yield Bad("none.npz", written(zipped({})), "it holds the arrays none, expected one|not that of a NumPy array")
    yield Bad(
        "two.npz", written(partial(npz, {"a": np.ones(3), "b": np.ones(3)})), "it holds the arrays a, b, expected one"
    )
    for name, changes, reason in SPARSE:
        arrays = {key: array for key, array in (CSR | changes).items() if array is not None}
        yield Bad(f"sparse {name}.npz", written(partial(npz, arrays)), reason)


def many_joints(path: Path) -> None:
    """It compresses well, says the directory, but not too well."""
    start, zeros = with_header(header(f"(1000000, {WIDTH})")), 8 * 1_000_000 * WIDTH
    part = Part("J.npy", bomb(start, 1 << 20), zipfile.ZIP_DEFLATED, len(start) + zeros, hole=zeros // 90)
    write_zip([part], path)


def hole(joints: int, path: Path) -> None:
    start = with_header(header(f"({joints}, {WIDTH})"))
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + 8 * joints * WIDTH)


ONES = np.ones((2, WIDTH))
MATRICES: list[tuple[str, np.ndarray, str]] = [
    ("transposed", ONES.T, r"\(6890, 2\).*It is transposed: save its \.T instead"),
    ("a vector", ONES[0], r"its shape is \(6890,\)"),
    ("of three axes", ONES[None], r"its shape is \(1, 2, 6890\)"),
    ("a number", np.array(1.0), r"its shape is \(\)"),
    ("of no joints", ONES[:0], r"its shape is \(0, 6890\).*no joints"),
    ("too narrow", ONES[:, 1:], r"its shape is \(2, 6889\)"),
    ("of NaN", ONES * np.nan, "not finite"),
    ("infinite", ONES * -np.inf, "not finite"),
    ("of 1e300", ONES * -1e300, r"values as large as 1e\+300, expected at most 1000"),
    ("of float32's largest", np.full((2, WIDTH), 3e38, "f4"), r"values as large as 3e\+38"),
    ("complex", ONES + 1j, "expected real numbers, found complex128"),
    ("of text", ONES.astype("U3"), "expected real numbers, found <U3"),
    ("of truth values", ONES > 0, "expected real numbers, found bool"),
    ("of objects", np.array([[None] * 3]), "pickled Python objects, which are never loaded"),
]

CSR: dict[str, Any] = {
    "format": np.array(b"csr"),
    "shape": np.array([2, WIDTH]),
    "data": np.ones(2),
    "indices": np.array([7, 8]),
    "indptr": np.array([0, 1, 2]),
}
COO = {"format": np.array(b"coo"), "indices": None, "indptr": None, "row": np.array([0, 1]), "col": np.array([7, 8])}
"""What is other than in :data:`CSR`."""
TWICE = np.zeros(2, int)
OUTSIDE = "not a valid sparse matrix .*entries outside of it"
UNFIT = "not a valid sparse matrix .*indptr does not fit"
NO_VECTOR = "expected a vector of numbers"
SPARSE: list[tuple[str, dict[str, Any], str]] = [
    ("of an absurd size", {"shape": np.array([10**12, WIDTH])}, r"\(1000000000000, 6890\).*more joints than vertices"),
    ("of overflowing size", {"shape": np.array([2**62, WIDTH])}, "more joints than vertices"),
    ("of negative size", {"shape": np.array([-2, WIDTH])}, r"its shape is \(-2, 6890\)"),
    ("transposed", {"shape": np.array([WIDTH, 2])}, "It is transposed"),
    ("of three axes", {"shape": np.array([1, 2, WIDTH])}, r"its shape is \(1, 2, 6890\)"),
    ("of many axes", {"shape": np.arange(1000)}, "'shape': its shape is .*expected a sparse matrix's shape"),
    ("of a broken size", {"shape": np.array([2.0, WIDTH])}, "not a valid sparse matrix"),
    ("of no size", {"shape": None}, "it has no array 'shape'"),
    ("in another layout", {"format": np.array(b"dia")}, "in the format 'dia', expected csr, csc or coo"),
    ("in a layout of a novel", {"format": np.array(b"csr" * 1000)}, "expected a sparse matrix's format"),
    ("in a layout of objects", {"format": objects()}, "pickled Python objects"),
    ("with pickled values", {"data": objects()}, "pickled Python objects"),
    ("of NaN", {"data": np.array([np.nan, 1])}, "not finite"),
    ("of 1e300", {"data": np.array([1e300, 1])}, r"as large as 1e\+300"),
    (
        "of sums without end",
        COO | {"data": np.full(2, 1.7e308), "row": np.zeros(2, int), "col": np.zeros(2, int)},
        "not finite",
    ),
    ("of complex numbers", {"data": np.array([1j, 1])}, "expected real numbers, found complex128"),
    ("of a matrix", {"data": np.ones((2, 1))}, NO_VECTOR),
    ("without values", {"data": None}, "it has no array 'data'"),
    ("of more entries than it has places", {"data": np.zeros(20_000, "i1")}, r"with parts of shape \(20000,\)"),
    ("of too few values", {"data": np.ones(1)}, OUTSIDE),
    ("beyond its columns", {"indices": np.array([7, WIDTH])}, OUTSIDE),
    ("before its columns", {"indices": np.array([-1, 8])}, OUTSIDE),
    ("at 2**64 - 1", {"indices": np.array([7, 2**64 - 1], np.uint64)}, OUTSIDE),
    ("at broken places", {"indices": np.array([7.0, 8])}, NO_VECTOR),
    ("that begins late", {"indptr": np.array([1, 1, 2])}, UNFIT),
    ("that goes back", {"indptr": np.array([0, 2, 1])}, UNFIT),
    ("that overflows", {"indptr": np.array([0, -(2**63), 2])}, UNFIT),
    ("that goes on", {"indptr": np.array([0, 1, 2**62])}, UNFIT),
    ("that is too short", {"indptr": np.array([0, 2])}, UNFIT),
    ("that is nowhere", {"indptr": np.zeros(0, int)}, UNFIT),
    ("beyond its rows", COO | {"row": np.array([0, 2])}, OUTSIDE),
    ("before its rows", COO | {"row": np.array([0, -1])}, OUTSIDE),
    ("without rows", COO | {"row": None}, "it has no array 'row'"),
]


# ------------------------------------------------------------------------------------------------ body models

SMALL = {
    "v_template": np.ones((5, 3)),
    "shapedirs": np.ones((5, 3, 2)),
    "posedirs": np.zeros((5, 3, 18)),
    "J_regressor": np.full((3, 5), 0.2),
    "weights": np.full((5, 3), 1 / 3),
    "kintree_table": np.array([[-1, 0, 0], [0, 1, 2]]),
}
"""A model of five vertices and three joints; what is large about real ones is of no interest here."""

FLOATS = tuple(SMALL)[:-1]

NO_TREE = "its kintree_table is not a tree with root 0"


def tree(*parents: Any, dtype: Any = np.int64) -> np.ndarray:
    return np.array([parents, range(len(parents))], dtype)


def with_number(name: str, number: float) -> dict[str, np.ndarray]:
    array = SMALL[name].astype(np.float64)
    array.flat[1] = number
    return {name: array}


MODELS: list[tuple[str, dict[str, Any], str]] = [
    # What is changed of a good one, and what is said of it.
    *((f"no {name}", {name: None}, f"not a body model: .*it lacks {name} ") for name in SMALL),
    *((f"{name} of NaN", with_number(name, np.nan), f"its {name} holds values that are not finite") for name in FLOATS),
    *((f"{name} of 1e300", with_number(name, 1e300), f"its {name} .*as large as 1e.300, expected") for name in FLOATS),
    ("infinite weights", with_number("weights", -np.inf), "its weights holds values that are not finite"),
    ("fewer weights", {"weights": np.ones((5, 2))}, r"its weights has the shape \(5, 2\), expected \(5, 3\)"),
    ("fewer vertices", {"v_template": np.ones((4, 3))}, r"has the shape \(5, 3, 2\), expected \(4, 3, 2\)"),
    ("flat vertices", {"v_template": np.ones((5, 2))}, r"its v_template has the shape \(5, 2\), expected \(5, 3\)"),
    ("vertices of no axes", {"v_template": np.array(1.0)}, r"its v_template has the shape \(\)"),
    ("no vertices", {"v_template": np.ones((0, 3))}, r"has the shape \(5, 3, 2\), expected \(0, 3, 2\)"),
    ("pose features of other joints", {"posedirs": np.zeros((5, 3, 207))}, r"posedirs has the shape \(5, 3, 207\)"),
    ("a million betas", {"shapedirs": np.zeros((5, 3, 10**6), "i1")}, "expected at most 1000 betas"),
    ("a shape of two axes", {"shapedirs": np.zeros((5, 3))}, "its shapedirs has the shape"),
    ("weights of text", {"weights": np.full((5, 3), "much")}, "expected real numbers, found <U4"),
    ("weights of complex numbers", {"weights": np.full((5, 3), 1j)}, "expected real numbers, found complex128"),
    ("weights of objects", {"weights": objects()}, "pickled Python objects|it asks for .*exec"),
    ("a tree of floats", {"kintree_table": tree(-1.0, 0, 0, dtype=float)}, "expected integers, found float64"),
    ("a ring", {"kintree_table": tree(-1, 2, 1)}, NO_TREE),
    ("a root that is its own parent", {"kintree_table": tree(0, 0, 0)}, NO_TREE),
    ("two roots", {"kintree_table": tree(-1, -1, 0)}, NO_TREE),
    ("parents that are not there", {"kintree_table": tree(-1, 0, 3)}, NO_TREE),
    ("parents at 2**31", {"kintree_table": tree(-1, 0, 2**31)}, NO_TREE),
    ("parents below nothing", {"kintree_table": tree(-1, 0, -(2**63))}, NO_TREE),
    ("a tree of one row", {"kintree_table": np.array([-1, 0, 0])}, "kintree_table"),
    ("no joints", {"kintree_table": np.zeros((2, 0), int)}, r"posedirs has the shape \(5, 3, 18\), expected"),
    ("DMPLs", {**dict.fromkeys(SMALL), "eigvec": np.ones((5, 3, 8))}, "a DMPL file, which belongs in dmpls/"),
]


def models() -> Iterator[Bad]:
    """Bad files in place of a body model, in ``.npz``."""
    yield from not_files()
    yield from damaged(SMALL)
    yield from (Bad(name, written(partial(npz, changed(SMALL, changes))), reason) for name, changes, reason in MODELS)


def changed(arrays: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def dmpls() -> Iterator[Bad]:
    """Bad files in place of the DMPLs of :data:`SMALL`."""
    yield from not_files()
    yield from (
        bad for bad in damaged({"eigvec": np.ones((5, 3, 8)), "other": np.ones(8)}) if "other" not in bad.reason
    )
    nan = np.ones((5, 3, 9))
    nan[1, 1, 1] = np.nan
    for name, array, reason in [
        (
            "of other vertices",
            np.ones((4, 3, 8)),
            r"its eigvec has the shape \(4, 3, 8\), expected \(5, 3, 8 to 1000\)",
        ),
        ("of seven components", np.ones((5, 3, 7)), r"\(5, 3, 7\), expected"),
        ("of a million components", np.zeros((5, 3, 10**6), "i1"), r"\(5, 3, 1000000\), expected"),
        ("of two axes", np.ones((15, 8)), r"\(15, 8\), expected"),
        ("of NaN", nan, "its eigvec holds values that are not finite"),
        ("of 1e300", nan * 0 + 1e300, "its eigvec holds values"),
        ("of text", np.full((5, 3, 8), "soft"), "expected real numbers, found <U4"),
    ]:
        yield Bad(name, written(partial(npz, {"eigvec": array})), reason)
    yield Bad("a body", written(partial(npz, SMALL)), "a body model: expected the array eigvec")
    yield Bad("something else", written(partial(npz, {"a": np.ones(3)})), "not a DMPL file: expected the array eigvec")


# ---------------------------------------------------------------------------------------------------- pickles


def opcodes(value: Any) -> bytes:
    """What puts a value on the unpickler's stack."""
    return pickle.dumps(value, 2)[2:-1].replace(b"numpy._core.", b"numpy.core.")


def pickled(values: Mapping[str, Any]) -> bytes:
    """A pickle of a dict; bytes are opcodes, as they are."""
    items = (opcodes(name) + (value if isinstance(value, bytes) else opcodes(value)) for name, value in values.items())
    return b"\x80\x02}(" + b"".join(items) + b"u."


def sparse(layout: str = "csr", **state: Any) -> bytes:
    """The opcodes of a sparse matrix of SciPy's."""
    return f"cscipy.sparse.{layout}\n{layout}_matrix\n)\x81".encode("latin-1") + opcodes(state) + pickle.BUILD


def array(shape: Any, data: Any, dtype: Any = "<f8") -> bytes:
    """The opcodes of an array with any shape and data."""
    begun = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + opcodes((0,)) + opcodes("b") + b"\x87R("
    return begun + opcodes(1) + opcodes(shape) + opcodes(np.dtype(dtype)) + opcodes(False) + opcodes(data) + b"tb"


PICKLES: dict[str, tuple[bytes, str]] = {
    # Of a dict that has a bad "v_template", or is none; and what is said of it.
    "zero bytes": (b"", "not a pickle of a dict"),
    "text": (b"Dear reader, this is no model.\n", "not a pickle of a dict"),
    "a web page": (b"<!DOCTYPE html><html></html>", "not a pickle of a dict"),
    "a list": (pickle.dumps([1, 2], 2), "it holds a list, expected a dict"),
    "a payload": (pickle.dumps(Payload(), 2), "it asks for (__builtin__|builtins).exec, which no such file needs"),
    "a payload within": (pickled({"v_template": Payload()}), "it asks for .*exec, which no such file needs"),
    "a payload that nobody reads": (pickled({"other": Payload()}), "it asks for .*exec, which no such file needs"),
    "os.system": (b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system, which no such file needs"),
    "a name in colour": (b"}(U\1xc\x1b[31mos\nsystem\n)Ru.", r"it asks for \\x1b\[31mos.system"),
    "eval by instance": (b"}(U\1x(S'1'\ni__builtin__\neval\nu.", "it asks for __builtin__.eval"),
    "an extension": (b"\x80\x02}(U\1x\x82\1u.", "it has the opcode"),
    "a persistent id": (b"\x80\x02}(U\1xPid\nu.", "it has the opcode"),
    "a memo of gigabytes": (b"\x80\x02}r\xff\xff\xff\xff(U\1x]r\xfe\xff\xff\xffu.", "(not a body model|it holds)"),
    "a bytearray of exabytes": (b"\x80\x05}(U\1x\x96\0\0\0\0\0\0\0\x10u.", "it ends early"),
    "text of gigabytes": (b"\x80\x02}(U\1xX\xff\xff\xff\xffu.", "it ends early"),
    "a number of many digits": (b"(dI" + b"9" * 100_000 + b"\n.", "a number of 100000 digits"),
    "very many opcodes": (b"\x80\x02" + b"N0" * 600_000 + b"}.", "more than 1,000,000 opcodes"),
    "tuples in tuples": (
        b"\x80\x02}(U\x0av_template)" + b"\x85" * 10_000 + b"u.",
        "not a body model|nested more than",
    ),
    "a key that hashes for ever": (b"\x80\x02}()" + b"q\1h\1\x86" * 100 + b"Nu.", "as a key|nested more"),
    "a future protocol": (b"\x80\x63}.", "the pickle protocol 99"),
    "half": (pickled(SMALL)[:700], "it ends early|broken or truncated"),
    "without its end": (pickled(SMALL)[:-1], "it ends early|broken or truncated"),
}


def pickled_models() -> Iterator[Bad]:
    """Bad files in place of a body model, in a pickle."""
    yield from (Bad(name, written(content), reason) for name, (content, reason) in PICKLES.items())
    for name, changes, reason in [*MODELS, *PICKLED_MODELS]:
        yield Bad(f"{name}, pickled", written(partial(pickled, changed(SMALL, changes))), reason)


CSC = {"_shape": (3, 5), "data": np.ones(3), "indices": np.array([0, 1, 2]), "indptr": np.array([0, 1, 2, 3, 3, 3])}
NONE = np.zeros(0, int)
EMPTY = {"_shape": (10**9, 10**9), "data": np.ones(0), "row": NONE, "col": NONE}


def in_csc(**changes: Any) -> dict[str, Any]:
    return {"J_regressor": sparse("csc", **CSC | changes)}


PICKLED_MODELS: list[tuple[str, dict[str, Any], str]] = [
    ("terabytes", {"v_template": array((10**12, 3), "x")}, "promise 24000000000000 bytes, the file holds 1"),
    ("a negative shape", {"v_template": array((-1, 3), "x")}, "a shape that is not of sizes"),
    ("an overflowing shape", {"v_template": array((2**63, 0), "")}, "a shape that is not of sizes"),
    ("a list for an array", {"v_template": [1.0, 2.0]}, "expected an array, found list"),
    ("records", {"v_template": array((1,), "x" * 16, "f8,f8")}, "it has the dtype 'V16'|unknown kind"),
    ("objects in records", {"v_template": array((1,), "x" * 8, [("a", "O")])}, "it has the dtype 'V8'|unknown"),
    ("a sparse matrix of an absurd size", in_csc(_shape=(10**9, 10**9)), "indptr does not fit"),
    ("a large sparse matrix of nothing", {"J_regressor": sparse("coo", **EMPTY)}, "an array of 10{18} values"),
    ("a sparse matrix with entries outside", in_csc(indices=np.array([0, 1, 9])), "entries outside of it"),
    ("a sparse matrix that goes back", in_csc(indptr=np.array([0, 3, 2, 3, 3, 3])), "indptr does not fit"),
    ("a sparse matrix of a list", in_csc(data=[1.0, 1.0, 1.0]), "expected a vector of numbers"),
    ("chumpy that only chumpy knows", {"v_template": b"cchumpy.ch_ops\nadd\n)\x81}b"}, "only chumpy can evaluate"),
    ("chumpy without a value", {"v_template": b"cchumpy.ch\nCh\n)\x81}b"}, "without the attribute 'x'"),
]


MTX: dict[str, Any] = {
    "_shape": (6890, 20950),
    "data": np.ones(6890),
    "indices": np.arange(6890),
    "indptr": np.arange(6891),
}
"""A good map."""


def vertex_maps() -> Iterator[Bad]:
    """Bad files in place of the map from SMPL-X's vertices to SMPL's."""
    for name, (content, reason) in PICKLES.items():
        yield Bad(name, written(content), reason.replace("not a body model", "it holds"))
    for name, changes, reason in [
        ("of another shape", {"_shape": (6890, 10475)}, "it holds mtx; expected"),
        ("of an absurd shape", {"_shape": (6890, 2**40)}, "it holds mtx; expected"),
        ("of NaN", {"data": np.full(6890, np.nan)}, "carried over with it.*not finite"),
        ("of 1e300", {"data": np.full(6890, 1e300)}, r"carried over with it.*as large as"),
        ("with entries outside", {"indices": np.full(6890, 20950)}, "entries outside of it"),
        ("with fewer values", {"data": np.ones(3)}, "entries outside of it"),
        ("that goes back", {"indptr": np.arange(6891)[::-1]}, "indptr does not fit"),
        ("of text", {"data": np.array(["a"] * 6890)}, "expected a vector of numbers"),
        ("without values", {"data": None}, "without the attribute 'data'|expected a vector"),
    ]:
        yield Bad(f"a map {name}", written(partial(pickled_map, MTX | changes)), reason)
    yield Bad("a map that is none", written(partial(pickled, {"other": 1})), "it holds other; expected")
    text = np.full((6890, 1), "a")
    yield Bad("a dense map of text", written(partial(pickled, {"matrix": text})), "it holds matrix; expected")
    narrow = np.ones((6890, 3), np.int8)
    yield Bad(
        "a dense map that is too narrow", written(partial(pickled, {"matrix": narrow})), "it holds matrix; expected"
    )


def pickled_map(state: dict[str, Any]) -> bytes:
    return pickled({"mtx": sparse("csr", **state)})


# ---------------------------------------------------------------------------------------------------- outputs


JOINTS: dict[str, Any] = {"01": {"a": {"positions_3d": np.zeros((3, 17, 3), np.float32), "frame_rate": 50.0}}}
"""A good dataset."""

NO_DATASET = "not a dataset of joints|it has no 'positions_3d'|cannot be read"


def outputs() -> Iterator[Bad]:
    """Bad files in place of a dataset that this program wrote."""
    yield from (Bad(name, written(content), NO_DATASET) for name, (content, _) in NO_FILES.items())
    joints = JOINTS["01"]["a"]["positions_3d"]
    for bad in damaged({"positions_3d": objects(JOINTS), "other": np.zeros(3)}):
        if "other" not in bad.reason and "names for the same" not in bad.name and "elsewhere" not in bad.name:
            yield Bad(bad.name, bad.make, NO_DATASET)
    for name, content in {
        "a payload": Payload(),
        "a payload as a subject": {"01": Payload()},
        "a payload as joints": {"01": {"a": {"positions_3d": Payload(), "frame_rate": 50.0}}},
        "a payload as a rate": {"01": {"a": {"positions_3d": joints, "frame_rate": Payload()}}},
        "joints of objects": {"01": {"a": {"positions_3d": objects(), "frame_rate": 50.0}}},
        "a list": [JOINTS],
        "a subject that is none": {"01": joints},
        "no joints": {"01": {"a": {"frame_rate": 50.0}}},
        "no rate": {"01": {"a": {"positions_3d": joints}}},
        "joints of text": {"01": {"a": {"positions_3d": np.array("joints"), "frame_rate": 50.0}}},
        "a rate of text": {"01": {"a": {"positions_3d": joints, "frame_rate": "fast"}}},
    }.items():
        yield Bad(name, written(partial(npz, {"positions_3d": objects(content)})), NO_DATASET)
    start = npy(objects(0)).split(b"\n", 1)[0] + b"\n"
    for name, (content, _) in PICKLES.items():
        yield Bad(f"{name}, as the pickle", written(partial(npz, {"positions_3d": start + content})), NO_DATASET)
    yield Bad("a bomb for a pickle", pickled_bomb, NO_DATASET)


def pickled_bomb(path: Path) -> None:
    """Ten gigabytes, of a pickle that begins with a string of as many."""
    zeros = 10 << 30
    start = npy(objects(0)).split(b"\n", 1)[0] + b"\n\x80\x04\x8e" + struct.pack("<Q", zeros)
    write_zip([Part("positions_3d.npy", bomb(start, zeros), zipfile.ZIP_DEFLATED, len(start) + zeros)], path)


KINDS: dict[str, tuple[Callable[[], Iterator[Bad]], str]] = {
    # How the files of a kind are called.
    "regressors": (regressors, "{}"),
    "models": (models, "{}.npz"),
    "pickled models": (pickled_models, "{}.pkl"),
    "dmpls": (dmpls, "{}.npz"),
    "vertex maps": (vertex_maps, "{}.pkl"),
    "outputs": (outputs, "{}.npz"),
}


def write(directory: Path) -> None:
    """Write all, a directory for each kind."""
    for kind, (bad_files, name) in KINDS.items():
        (directory / kind).mkdir(parents=True, exist_ok=True)
        for bad in bad_files():
            bad.make(directory / kind / name.format(bad.name))
