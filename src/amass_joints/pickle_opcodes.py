"""The opcodes of pickles: a file becomes a tree of what it asks for, and nothing of it is done.

Calls become :class:`Object`, whatever has a name must be on a short list, long strings stay in the file, nothing is
hashed. What the values are, :mod:`.pickles` makes of the tree. Opcodes: ``pickletools`` in Python's library.
"""

from __future__ import annotations

import codecs
import os
import pickle
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from amass_joints.arrays import ArrayFileError

if TYPE_CHECKING:
    from collections.abc import Callable


MOST_STEPS = 1_000_000
"""Opcodes of a file; published ones have hundreds or thousands."""

MOST_NESTING = 30
"""Depth of what is in the dict."""

_LONG = 256
"""Bytes from which on a string stays in the file until it is wanted."""


class PickleFileError(ArrayFileError):
    """A pickle, or a value in it, cannot be read; the text says why."""


# ------------------------------------------------------------------------------------------------- what files name


@dataclass(frozen=True)
class Class:
    """A class or function that the file names: only a name, which ours are looked up by."""

    kind: str


_ALLOWED = {
    ("numpy", "ndarray"): "numpy.ndarray",
    ("numpy", "dtype"): "numpy.dtype",
    **{  # the module moved with NumPy 2
        (f"numpy.{core}.{module}", name): f"numpy.{name}"
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    },
    **{(module, "_reconstructor"): "_reconstructor" for module in ("copy_reg", "copyreg")},
    **{
        (module, name): kind
        for module in ("__builtin__", "builtins")
        for name, kind in (("object", "object"), ("set", "set"), ("frozenset", "set"), ("bytes", "bytes"))
    },
    ("collections", "OrderedDict"): "dict",
    ("_codecs", "encode"): "encode",  # how Python 3 writes bytes for Python 2
}
_SPARSE = re.compile(r"scipy\.sparse\._?(csc|csr|coo) \1_(?:matrix|array)")
_CHUMPY = re.compile(r"chumpy(?:\.\w{1,40}){0,3} \w{1,40}", re.ASCII)


def _class(module: str, name: str) -> Class:
    if (module, name) in _ALLOWED:
        return Class(_ALLOWED[module, name])
    if sparse := _SPARSE.fullmatch(f"{module} {name}"):
        return Class(sparse[1])
    if _CHUMPY.fullmatch(f"{module} {name}"):
        return Class(f"{module}.{name}")
    raise PickleFileError(f"it asks for {ascii(f'{module}.{name}'[:100])[1:-1]}, which no such file needs")


# ----------------------------------------------------------------------------------------------------- parsing


class Source:
    """The file, read from its beginning; no more is ever asked for than it has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self.begins = file.read(4)
        self.place = file.seek(0)

    def check(self, size: int) -> None:
        """See that so many bytes follow."""
        if size > self.size - self.place:
            raise PickleFileError(f"it ends early, at byte {self.size}: {size} bytes should follow byte {self.place}")

    def take(self, size: int) -> bytes:
        """Give the next bytes."""
        self.check(size)
        self.place += size
        data = self._file.read(size)
        if len(data) != size:
            raise PickleFileError("it ends early")
        return data

    def skip(self, size: int) -> int:
        """Pass over the next bytes, and say where they begin."""
        self.check(size)
        start = self.place
        self.place = self._file.seek(start + size)
        return start

    def line(self) -> bytes:
        """Give the next bytes up to the end of the line, without it."""
        line = self._file.readline()
        self.place += len(line)
        if not line.endswith(b"\n"):
            raise PickleFileError("it ends early, within a line")
        return line[:-1]

    def read_into(self, start: int, array: np.ndarray) -> None:
        """Fill an array of bytes from anywhere in the file."""
        self._file.seek(start)
        if self._file.readinto(array.data) != array.nbytes:  # type: ignore[attr-defined]
            raise PickleFileError("it ends early")


@dataclass(eq=False)
class Stored:
    """A string that is still in the file."""

    start: int
    size: int
    decode: Callable[[bytes], str | bytes]


@dataclass(eq=False)
class Object:
    """What the file wants made by a call: of what, and with what. Dicts and sets are such, too."""

    cls: Class
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[tuple[Any, Any]] = field(default_factory=list)


def parse(source: Source, most_steps: int | None = None) -> Any:
    """Make a tree of a file, of so many opcodes at the most; None: of as many as a body model may have.

    Raises:
        PickleFileError: it is damaged, or asks for what neither body models nor datasets need.
    """
    return _Parser(source).parse(MOST_STEPS if most_steps is None else most_steps)


class _Parser:
    """The machine that pickles are programs for, which here makes a tree of plain values and :class:`Object`.

    Its steps take time and memory in proportion to their size in the file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def parse(self, most_steps: int) -> Any:
        """Run the file, and give what it leaves."""
        if self._source.begins[:1] not in (pickle.PROTO, pickle.MARK, pickle.EMPTY_DICT, pickle.GLOBAL):
            raise PickleFileError(f"it is not a pickle of a dict (it begins with {self._source.begins!r})")
        for _ in range(most_steps):
            opcode = self._source.take(1)
            if opcode == pickle.STOP:
                return self._stack.pop()
            self._step(opcode)
        raise PickleFileError(f"it has more than {most_steps:,} opcodes, which no such file needs")

    def _step(self, opcode: bytes) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _NUMBERS:
            (number,) = struct.unpack(_NUMBERS[opcode], self._source.take(struct.calcsize(_NUMBERS[opcode])))
            self._stack.append(number)
        elif opcode in _STRINGS:
            self._stack.append(self._string(*_STRINGS[opcode]))
        elif opcode in _LINES:
            self._stack.append(_LINES[opcode](self._source.line()))
        elif opcode in _TUPLES:
            self._stack.append(tuple([self._stack.pop() for _ in range(_TUPLES[opcode])][::-1]))
        elif opcode in _OTHERS:
            _OTHERS[opcode](self)
        else:
            raise PickleFileError(
                f"it has the opcode {opcode!r} at byte {self._source.place - 1}, which no such file needs"
            )

    def number(self, size: int) -> int:
        return int.from_bytes(self._source.take(size), "little")

    def line(self) -> bytes:
        return self._source.line()

    def _string(self, length_size: int, decode: Callable[[bytes], str | bytes]) -> str | bytes | Stored:
        size = self.number(length_size)
        return decode(self._source.take(size)) if size < _LONG else Stored(self._source.skip(size), size, decode)

    def check_protocol(self) -> None:
        if (protocol := self.number(1)) > 5:
            raise PickleFileError(f"it is of the pickle protocol {protocol}, expected 0 to 5")

    def check_frame(self) -> None:  # what is in a frame are opcodes like any others
        self._source.check(self.number(8))

    def pop(self) -> Any:
        return self._stack.pop()

    def mark(self) -> None:
        self._below_marks.append(self._stack)
        self._stack = []

    def pop_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below_marks.pop()
        return items

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def memoize(self) -> None:
        self.put(len(self._memo))

    def put(self, number: int) -> None:
        if not 0 <= number < 2**32:  # of larger ones, many can have the same hash
            raise PickleFileError(f"it has a memo's number beyond 32 bits, at byte {self._source.place}")
        self._memo[number] = self._stack[-1]

    def get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    def extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Object) and target.cls.kind == "set":
            target = target.args[0]
        if not isinstance(target, list):
            raise PickleFileError(f"it adds to {described(target)} as if to a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, Object) or target.cls.kind != "dict":
            raise PickleFileError(f"it adds to {described(target)} as if to a dict")
        target.items.extend(_pairs(items))

    def name(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleFileError(f"it has a class's name that is no text, at byte {self._source.place}")
        self._stack.append(_class(module, name))

    def name_in_lines(self) -> None:
        self._stack += [_utf8(self.line()), _utf8(self.line())]
        self.name()

    def call_with_items(self) -> None:
        args = self.pop_mark()
        self.name_in_lines()
        self._stack.append(tuple(args))
        self.call()

    def call(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Class) or not isinstance(args, tuple):
            raise PickleFileError(f"it calls {described(function)} with {described(args)}")
        if function.kind == "_reconstructor":  # of an object of the class args[0], which has no base but object
            cls, base, state = args
            if not isinstance(cls, Class) or base != Class("object") or state is not None:
                raise PickleFileError(f"it makes an object of {described(cls)} in an unknown way")
            self._stack.append(Object(cls))
        else:
            self._stack.append(Object(function, args))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if not isinstance(target, Object):
            raise PickleFileError(f"it gives attributes to {described(target)}")
        target.state = state


def described(node: Any) -> str:
    """Say what a node of the tree is, for a message."""
    kind = node.cls.kind if isinstance(node, Object) else node.kind if isinstance(node, Class) else ""
    return kind or f"a {'str' if isinstance(node, Stored) else type(node).__name__}"


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _dict(items: list[Any]) -> Object:
    return Object(Class("dict"), items=_pairs(items))


def _set(items: list[Any]) -> Object:
    return Object(Class("set"), (items,))


def _latin1(data: bytes) -> str:
    return data.decode("latin-1")


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")  # names in file systems need not be Unicode


def _digits(line: bytes) -> bytes:
    if len(line) > 200:
        raise PickleFileError(f"it has a number of {len(line)} digits, which no such file needs")
    return line


def _integer(line: bytes) -> int:
    """Read what protocol 0 has for integers; Python 2 writes False and True as 00 and 01, and long ones with an L."""
    return line == b"01" if line in (b"00", b"01") else int(_digits(line).removesuffix(b"L"))


def _quoted(line: bytes) -> str:
    r"""Read a string as Python 2's repr() writes it: in quotes, with \\ and \' and \" and \n and \r and \t and \xNN."""
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise PickleFileError("it has a string without quotes")
    if re.search(rb"""\\(?!['"nrtx])""", line.replace(b"\\\\", b"--")):
        raise PickleFileError("it has a string with an unknown escape")
    return _latin1(codecs.escape_decode(line[1:-1])[0])


_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
_NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
_STRINGS: dict[bytes, tuple[int, Callable[[bytes], Any]]] = {
    # How many bytes give the length, and what the string is.
    pickle.SHORT_BINSTRING: (1, _latin1),
    pickle.BINSTRING: (4, _latin1),
    pickle.SHORT_BINUNICODE: (1, _utf8),
    pickle.BINUNICODE: (4, _utf8),
    pickle.BINUNICODE8: (8, _utf8),
    pickle.SHORT_BINBYTES: (1, bytes),
    pickle.BINBYTES: (4, bytes),
    pickle.BINBYTES8: (8, bytes),
    pickle.BYTEARRAY8: (8, bytes),
    pickle.LONG1: (1, lambda data: int.from_bytes(data, "little", signed=True)),
}
_LINES: dict[bytes, Callable[[bytes], Any]] = {
    pickle.INT: _integer,
    pickle.LONG: _integer,
    pickle.FLOAT: lambda line: float(_digits(line)),
    pickle.STRING: _quoted,
    pickle.UNICODE: lambda line: _utf8(line.decode("raw-unicode-escape").encode()),  # which lone surrogates fail
}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_OTHERS: dict[bytes, Callable[[_Parser], Any]] = {
    pickle.PROTO: _Parser.check_protocol,
    pickle.FRAME: _Parser.check_frame,
    pickle.MARK: _Parser.mark,
    pickle.POP: _Parser.pop,
    pickle.EMPTY_LIST: lambda parser: parser.push([]),
    pickle.EMPTY_DICT: lambda parser: parser.push(_dict([])),
    pickle.EMPTY_SET: lambda parser: parser.push(_set([])),
    pickle.TUPLE: lambda parser: parser.push(tuple(parser.pop_mark())),
    pickle.LIST: lambda parser: parser.push(parser.pop_mark()),
    pickle.DICT: lambda parser: parser.push(_dict(parser.pop_mark())),
    pickle.FROZENSET: lambda parser: parser.push(_set(parser.pop_mark())),
    pickle.APPEND: lambda parser: parser.extend([parser.pop()]),
    pickle.APPENDS: lambda parser: parser.extend(parser.pop_mark()),
    pickle.ADDITEMS: lambda parser: parser.extend(parser.pop_mark()),
    pickle.SETITEM: lambda parser: parser.set_items([parser.pop(), parser.pop()][::-1]),
    pickle.SETITEMS: lambda parser: parser.set_items(parser.pop_mark()),
    pickle.PUT: lambda parser: parser.put(_integer(parser.line())),
    pickle.BINPUT: lambda parser: parser.put(parser.number(1)),
    pickle.LONG_BINPUT: lambda parser: parser.put(parser.number(4)),
    pickle.MEMOIZE: _Parser.memoize,
    pickle.GET: lambda parser: parser.get(_integer(parser.line())),
    pickle.BINGET: lambda parser: parser.get(parser.number(1)),
    pickle.LONG_BINGET: lambda parser: parser.get(parser.number(4)),
    pickle.GLOBAL: _Parser.name_in_lines,
    pickle.STACK_GLOBAL: _Parser.name,
    pickle.REDUCE: _Parser.call,
    pickle.NEWOBJ: _Parser.call,
    pickle.INST: _Parser.call_with_items,
    pickle.BUILD: _Parser.build,
}
