"""Pickled body models, read without ever unpickling anything.

SMPL, SMPL+H, SMPL-X and the map from SMPL-X to SMPL are published as pickles, most of them Python 2's: dicts of NumPy
arrays, SciPy's sparse matrices and objects of chumpy (https://github.com/mattloper/chumpy), none of which may be
installed here. Two stages read them:

1. :mod:`.pickle_opcodes` turns the file's opcodes into a tree, and only notes what the file asks for.
2. :class:`_Rebuilder` makes plain values of the parts of that tree that are wanted, in ways of our own: NumPy gets
   bytes, a type that we spelled and a shape whose size was checked against those bytes.

Python's own unpickler is not used, not even with a ``find_class`` that refuses everything: with a few bytes, files can
have it take gigabytes (the number of a memo, the length of a bytearray), and hash nested tuples until the stack is full
or the day is over. Opcodes: ``pickletools`` in Python's library. What NumPy pickles: ``ndarray.__reduce__``,
``dtype.__reduce__`` and ``numpy/_core/numeric.py::_frombuffer`` in its source.
"""

from __future__ import annotations

import math
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from amass_joints.arrays import ArrayFileError, listed, open_regular
from amass_joints.pickle_opcodes import (
    MOST_NESTING,
    Class,
    Object,
    PickleFileError,
    Source,
    Stored,
    described,
    parse,
)
from amass_joints.sparse import SparseMatrix, sparse_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType


MOST_MADE = 200_000_000
"""Values that do not stand in the file as such: those of dense matrices made of sparse ones, and what chumpy selects.

SMPL-X's map to SMPL has 6890 * 2 * 10475 of them.
"""


def read_pickle(path: Path) -> dict[str, Any]:
    """Read all of a pickled dict. Its keys are text.

    Raises:
        PickleFileError: like :class:`PickleFile`, and for any of the values.
    """
    with PickleFile(path) as file:
        return file.read_all()


class PickleFile:
    """The values of a pickled dict, each read when it is asked for.

    A value is a NumPy array in the machine's byte order and C order; or plain Python. Sparse matrices have become dense
    arrays; chumpy's objects what their ``.r`` gives, float64 arrays of at least one axis; NumPy's scalars, Python's;
    arrays of objects, such as ``joint2num`` and ``dynamic_lmk_bary_coords`` in SMPL-X, their object or a list; and
    Python 2's strings, text in Latin-1.

    Args:
        path: the file.

    Raises:
        PickleFileError: the file cannot be opened, is damaged, is not a pickle of a dict, or asks for a class or
            function that body models have no use for, even in values that nobody reads.
    """

    def __init__(self, path: Path) -> None:
        with ExitStack() as opened, _readable_faults():
            file, _ = open_regular(path)
            self._source = Source(opened.enter_context(file))
            self._values = _Rebuilder(self._source).named(parse(self._source))
            self._opened = opened.pop_all()

    def __enter__(self) -> PickleFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the dict."""
        return tuple(self._values)

    def read(self, name: str) -> Any:
        """Read one value.

        Raises:
            PickleFileError: it is not there, or is damaged, or nothing that can be made here.
        """
        if name not in self._values:
            raise PickleFileError(f"it has no {name!r} (it has {listed(self.names)})")
        return self._read(name, _Rebuilder(self._source))

    def read_all(self) -> dict[str, Any]:
        """Read all values."""
        rebuilder = _Rebuilder(self._source)
        return {name: self._read(name, rebuilder) for name in self._values}

    def read_sparse(self, name: str) -> SparseMatrix | None:
        """Read a sparse matrix as it is; None where the value is none.

        Raises:
            PickleFileError: like :meth:`read`.
        """
        with _readable_faults(name):
            value = _Rebuilder(self._source).value(self._values.get(name))
        return value if isinstance(value, SparseMatrix) else None

    def _read(self, name: str, rebuilder: _Rebuilder) -> Any:
        with _readable_faults(name):
            return rebuilder.dense(self._values[name])


@contextmanager
def _readable_faults(name: str = "") -> Iterator[None]:
    """Turn everything that a file can do wrong into :class:`PickleFileError`, and name the value."""
    value = f"{name!r}: " if name else ""
    try:
        yield
    except ArrayFileError as error:
        raise PickleFileError(f"{value}{error}") from error
    except OSError as error:
        raise PickleFileError(f"{value}cannot be read: {error.strerror or error}") from error
    except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise PickleFileError(f"{value}broken or truncated ({reason})") from error


# --------------------------------------------------------------------------------------------------- rebuilding


class _Attributes(dict[str, Any]):
    """The attributes of an object, as they were parsed."""

    def __missing__(self, name: str) -> None:
        raise PickleFileError(f"it is an object without the attribute '{name}' (it has {listed(tuple(self))})")


class _Rebuilder:
    """Makes plain values of what the parser noted. What stands in the file once is made once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 8 * source.size  # a string is copied up to three times on its way into an array
        self._made_left = MOST_MADE
        self._done: dict[int, Any] = {}
        self._depth = 0

    def named(self, node: Any) -> dict[str, Any]:
        """Give the values of a dict with text keys, as they were parsed."""
        if not isinstance(node, Object) or node.cls.kind != "dict":
            raise PickleFileError(f"it holds {described(node)}, expected a dict")
        values = {}
        for key, value in self._items(node):
            name = self._key(key)
            if not isinstance(name, str):
                raise PickleFileError(f"it holds a dict with the key {name}, expected text")
            values[name] = value
        return values

    def value(self, node: Any) -> Any:
        """Make a value."""
        if node is None or isinstance(node, (int, float, str, bytes)):
            return node
        if id(node) not in self._done:
            if self._depth == MOST_NESTING:
                raise PickleFileError(f"it is nested more than {MOST_NESTING} deep")
            self._depth += 1
            self._done[id(node)] = self._made(node)
            self._depth -= 1
        return self._done[id(node)]

    def _made(self, node: Any) -> Any:
        if isinstance(node, (list, tuple)):
            return type(node)(self.value(part) for part in node)
        if isinstance(node, Stored):
            return node.decode(self._raw(node, node.size).tobytes())
        if not isinstance(node, Object):
            raise PickleFileError(f"it is the class {described(node)}, expected a value")
        kind = node.cls.kind
        if kind.startswith("chumpy."):
            return self._chumpy(node)
        if kind not in _MAKERS:
            raise PickleFileError(f"it is made by {kind}, expected a value")
        return _MAKERS[kind](self, node)

    def _spend(self, size: int) -> None:
        """Count what is copied of the file: what stands in it once may be referred to a million times."""
        self._left -= size
        if self._left < 0:
            raise PickleFileError("its values hold far more than the file does")

    def _take_made(self, count: int) -> None:
        self._made_left -= count
        if self._made_left < 0:
            raise PickleFileError(f"it would become an array of {count} values, expected at most {MOST_MADE} in all")

    # Plain Python.

    def _key(self, node: Any) -> str | int:
        key = self.value(node)
        if isinstance(key, bytes):
            return key.decode("latin-1")
        # Of other keys, many can have the same hash, or a hash that takes ages.
        if isinstance(key, str) or (type(key) is int and abs(key) < 2**31):
            return key
        raise PickleFileError(f"it has {described(node)} as a key, expected text or a small integer")

    def _items(self, node: Object) -> list[tuple[Any, Any]]:
        # OrderedDict comes with its items, as lists or tuples of two, in Python 2; without them in Python 3.
        (given,) = node.args or ([],)
        self._spend(len(given))
        return [(key, value) for key, value in given] + node.items

    def make_dict(self, node: Object) -> dict[Any, Any]:
        return {self._key(key): self.value(value) for key, value in self._items(node)}

    def make_set(self, node: Object) -> set[Any]:
        (elements,) = node.args or ([],)
        self._spend(len(elements))
        return {self._key(element) for element in elements}

    def make_bytes(self, node: Object) -> bytes:
        """How Python 3 writes bytes for Python 2: none as bytes(), others as text that is to be encoded."""
        if not node.args:
            return b""
        text, encoding = (self.value(arg) for arg in node.args)
        if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
            raise PickleFileError(f"it encodes {described(node.args[0])} in an unknown way")
        self._spend(len(text))
        return text.encode("latin-1")

    # NumPy.

    def make_array(self, node: Object) -> Any:
        """Make an array of the state that ndarray.__reduce__ gives: version, shape, dtype, Fortran's order?, data."""
        if node.args[0] != Class("numpy.ndarray"):
            raise PickleFileError(f"it is an array of the class {described(node.args[0])}, expected numpy.ndarray")
        if not isinstance(node.state, tuple) or len(node.state) != 5:
            raise PickleFileError("it is an array without shape and data")
        _, shape, dtype, fortran_order, data = node.state
        code = self._dtype_code(dtype)
        if code.startswith("O"):
            return self._objects(self._shape(shape), data)
        return self._numbers(self._shape(shape), self._dtype(dtype), "F" if fortran_order else "C", data)

    def make_array_of_buffer(self, node: Object) -> np.ndarray:
        """Make an array of what protocol 5 has: data, dtype, shape, order."""
        data, dtype, shape, order = node.args
        return self._numbers(self._shape(shape), self._dtype(dtype), "F" if order == "F" else "C", data)

    def make_scalar(self, node: Object) -> Any:
        dtype, data = node.args
        return self._numbers((), self._dtype(dtype), "C", data).item()

    def _shape(self, node: Any) -> tuple[int, ...]:
        shape = self.value(node)
        if not isinstance(shape, (tuple, list)) or len(shape) > 32:
            raise PickleFileError(f"it has {described(node)} as its shape")
        if not all(type(size) is int and 0 <= size < 2**63 for size in shape):
            raise PickleFileError("it has a shape that is not of sizes")
        return tuple(shape)

    def _dtype_code(self, node: Any) -> str:
        if not isinstance(node, Object) or node.cls.kind != "numpy.dtype":
            raise PickleFileError(f"it has {described(node)} as its dtype")
        code = self.value(node.args[0])
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            found = ascii(code[:50]) if isinstance(code, str) else described(node.args[0])
            raise PickleFileError(f"it has the dtype {found}, expected numbers or text")
        return code

    def _dtype(self, node: Any) -> np.dtype[Any]:
        """Make a dtype of its code, and of the state that dtype.__reduce__ gives: version, byte order, and others."""
        code = self._dtype_code(node)
        state = ("", "=", None, None, None) if node.state is None else node.state
        if code.startswith("O") or not isinstance(state, tuple) or state[2:5] != (None, None, None):
            raise PickleFileError(f"it has a dtype {code} of an unknown kind")
        order = self.value(state[1])
        if not isinstance(order, str) or order not in tuple("<>=|"):
            raise PickleFileError(f"it has a dtype {code} in an unknown byte order")
        return np.dtype(code).newbyteorder(cast("Literal['<', '>', '=', '|']", order))

    def _numbers(self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Literal["C", "F"], data: Any) -> np.ndarray:
        raw = self._raw(data, math.prod(shape) * dtype.itemsize)
        array = raw.view(dtype).reshape(shape, order=order)
        array = array.astype(dtype.newbyteorder("="), order="C", copy=False)
        # What NumPy and Python take for granted of truth values and characters.
        if (dtype.kind == "b" and (raw > 1).any()) or (
            dtype.kind == "U" and (array.reshape(-1).view(np.uint32) > 0x10FFFF).any()
        ):
            raise PickleFileError(f"it holds values that no {dtype} has")
        return array

    def _raw(self, node: Any, size: int) -> np.ndarray:
        """Give a string of the file as bytes that nobody else has."""
        found = node if isinstance(node, Stored) else self.value(node)
        if isinstance(found, str):
            found = found.encode("latin-1")
        if not isinstance(found, (bytes, Stored)):
            raise PickleFileError(f"it is an array with {described(node)} as its data")
        count = found.size if isinstance(found, Stored) else len(found)
        if count != size:
            raise PickleFileError(f"its shape and dtype promise {size} bytes, the file holds {count}")
        self._spend(size)
        if isinstance(found, bytes):
            return np.frombuffer(found, np.uint8).copy()
        raw = np.empty(size, np.uint8)
        self._source.read_into(found.start, raw)
        return raw

    def _objects(self, shape: tuple[int, ...], data: Any) -> Any:
        if not isinstance(data, list) or len(data) != math.prod(shape) or len(shape) > 1:
            raise PickleFileError(f"it is an array of Python objects of shape {shape}, expected one or a list of them")
        objects = self.value(data)
        return objects if shape else objects[0]

    # SciPy and chumpy.

    def _attributes(self, node: Object) -> _Attributes:
        if not isinstance(node.state, Object) or node.state.cls.kind != "dict":
            raise PickleFileError(f"it is a {node.cls.kind} without attributes")
        self._spend(len(node.state.items))
        return _Attributes((name, value) for name, value in node.state.items if isinstance(name, str))

    def dense(self, node: Any) -> Any:
        """Give a value, dense if it is a sparse matrix."""
        value = self.value(node)
        if isinstance(value, SparseMatrix):
            self._take_made(math.prod(value.shape))
            return value.toarray()
        return value

    def make_sparse(self, node: Object) -> SparseMatrix:
        """Make a sparse matrix. SciPy keeps what its constructors are given; _shape was shape once."""
        parts = self._attributes(node)
        shape = self._shape(parts["shape" if "shape" in parts else "_shape"])
        layout = node.cls.kind
        names = ("row", "col") if layout == "coo" else ("indptr", "indices")
        first, second = parts["coords"] if "coords" in parts else (parts[name] for name in names)
        return sparse_matrix(layout, shape, self._vector(parts["data"]), self._vector(first), self._vector(second))

    def _vector(self, node: Any) -> np.ndarray:
        vector = self.value(node)
        if not isinstance(vector, np.ndarray):
            raise PickleFileError(f"it has a part that is {described(node)}, expected a vector of numbers")
        self._spend(vector.size)
        return vector

    def _chumpy(self, node: Object) -> np.ndarray:
        """Make what ``.r`` gives (chumpy/ch.py, ``Ch.r``; chumpy/reordering.py, ``Select.compute_r``)."""
        parts = self._attributes(node)
        if node.cls.kind == "chumpy.ch.Ch":
            array = self.value(parts["x"])
        elif node.cls.kind == "chumpy.reordering.Select":
            selected = self.value(parts["idxs"])
            if not isinstance(selected, np.ndarray) or selected.dtype.kind not in "iu":
                raise PickleFileError(f"it selects by {described(parts['idxs'])}, expected an array of integers")
            self._take_made(selected.size)
            array = self._number_array(self.value(parts["a"])).reshape(-1)[selected]
            if "preferred_shape" in parts:
                array = array.reshape(self._shape(parts["preferred_shape"]))
        else:
            raise PickleFileError(
                f"it is a {node.cls.kind}, which only chumpy can evaluate; expected chumpy.ch.Ch or "
                "chumpy.reordering.Select"
            )
        return self._number_array(array)

    def _number_array(self, value: Any) -> np.ndarray:
        if not isinstance(value, (int, float, np.ndarray)) or np.asarray(value).dtype.kind not in "biuf":
            raise PickleFileError(f"it holds a {type(value).__name__}, expected real numbers")
        array = np.atleast_1d(value)
        if array.dtype != np.float64:
            self._take_made(array.size)
        return np.asarray(array, np.float64)


_DTYPE_CODE = re.compile("b1|[iu][1248]|f[248]|c8|c16|[SU][1-9][0-9]{0,8}|O[48]?")

_MAKERS: dict[str, Callable[[_Rebuilder, Object], Any]] = {
    "dict": _Rebuilder.make_dict,
    "set": _Rebuilder.make_set,
    "bytes": _Rebuilder.make_bytes,
    "encode": _Rebuilder.make_bytes,
    "numpy._reconstruct": _Rebuilder.make_array,
    "numpy._frombuffer": _Rebuilder.make_array_of_buffer,
    "numpy.scalar": _Rebuilder.make_scalar,
    "csc": _Rebuilder.make_sparse,
    "csr": _Rebuilder.make_sparse,
    "coo": _Rebuilder.make_sparse,
}
