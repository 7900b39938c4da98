"""Datasets of joints read without ever unpickling anything, in all formats of :mod:`.datasets`.

A pickle is parsed by :mod:`.pickle_opcodes`, which only notes what it asks for. Of that, nothing is made here but dicts
with text keys, arrays of float32 and float64, and numbers. Python's own unpickler is not used, not even with a
``find_class`` that allows nothing but NumPy's arrays: NumPy believes what a pickle says of a type, and takes bytes of
the file for pointers. (What else there is against it: :mod:`.pickles`.)

Memory is taken for what the file holds, and not for what it promises.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from amass_joints.arrays import ArrayFileError, ArrayReader, listed
from amass_joints.datasets import (
    INDEX,
    INDEX_BEGINS,
    PICKLED,
    Positions,
    PositionsTree,
    StoredSequence,
    check,
)
from amass_joints.metadata import NAMES, Metadata
from amass_joints.npz_writing import CHUNK
from amass_joints.pickle_opcodes import (
    MOST_STEPS,
    Class,
    Object,
    PickleFileError,
    Source,
    Stored,
    described,
    parse,
)
from amass_joints.zips import FREE_EXPANSION, MOST_EXPANSION, Zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zipfile import ZipInfo

MOST_OF_METADATA = 1 << 16
"""Bytes of an array of metadata."""

MOST_OF_INDEX = 1 << 22
"""Bytes of the index in a small file; in a large one, four for each of its own. Sequences take more."""


def read(path: Path) -> PositionsTree:
    """Read a dataset in any format.

    Raises:
        ArrayFileError: it is none.
        Exception: whatever :mod:`zipfile` makes of damaged archives.
    """
    with open(path, "rb") as file:
        archive = Zip(file)
        members = _members(archive)
        _metadata(archive, members)  # refused here if it makes no sense
        if pickled := members.get(f"{PICKLED}.npy"):
            return _read_pickled(archive, pickled)
        tree: PositionsTree = {}
        for subject, name, positions in _read_flat(archive, members):
            tree.setdefault(subject, {})[name] = positions
        return tree


def sequences(path: Path) -> Iterator[tuple[str, str, Positions]]:
    """Read a dataset as :func:`read` does, sequence by sequence: subject, name, positions."""
    with open(path, "rb") as file:
        archive = Zip(file)
        members = _members(archive)
        if f"{PICKLED}.npy" not in members:
            yield from _read_flat(archive, members)
            return
    tree = read(path)
    for subject in list(tree):
        of_subject = tree.pop(subject)
        for name in list(of_subject):
            yield subject, name, of_subject.pop(name)


def metadata_of(path: Path) -> Metadata:
    """Read what a dataset says of itself.

    Raises:
        ArrayFileError: it is none.
        Exception: whatever :mod:`zipfile` makes of damaged archives.
    """
    with open(path, "rb") as file:
        archive = Zip(file)
        return _metadata(archive, _members(archive))


def _metadata(archive: Zip, members: dict[str, ZipInfo]) -> Metadata:
    if f"{INDEX}.npy" in members:
        return Metadata.from_entries(_read_index(archive, members))
    entries: dict[str, Any] = {}
    for name in NAMES:
        if member := members.get(f"{name}.npy"):
            if member.file_size > MOST_OF_METADATA:
                raise ArrayFileError(f"its {name} has {member.file_size} bytes, expected at most {MOST_OF_METADATA}")
            entries[name] = _open(archive, member).read().tolist()
    if "choices" in entries:
        entries["choices"] = json.loads(entries["choices"])
    return Metadata.from_entries(entries)


def _members(archive: Zip) -> dict[str, ZipInfo]:
    members = {member.filename: member for member in archive.members}
    if len(members) < len(archive.members):
        raise ArrayFileError("it has two members of one name")
    if f"{PICKLED}.npy" not in members and f"{INDEX}.npy" not in members:
        raise ArrayFileError(f"it has neither '{PICKLED}' nor '{INDEX}' (it has {listed(tuple(map(repr, members)))})")
    return members


# -------------------------------------------------------------------------------------- npz-flat and npz-stored


def stored_sequences(path: Path) -> list[StoredSequence] | None:
    """Say where the sequences of a dataset lie in its file; None where they are compressed or in another byte order.

    Raises:
        ArrayFileError: it is no dataset.
        Exception: whatever :mod:`zipfile` makes of damaged archives.
    """
    stored = []
    with open(path, "rb") as file:
        archive = Zip(file)
        members = _members(archive)
        if f"{PICKLED}.npy" in members:
            return None
        for subject, name, frame_rate, reader in _arrays(archive, members):
            shape, dtype, place = reader.header.shape, reader.header.dtype, reader.place
            if place is None or reader.header.fortran_order or not dtype.isnative:
                return None
            check(np.broadcast_to(np.zeros((), dtype), shape), frame_rate)
            stored.append(StoredSequence(subject, name, shape, dtype, frame_rate, place))
    return stored


def _read_flat(archive: Zip, members: dict[str, ZipInfo]) -> Iterator[tuple[str, str, Positions]]:
    for subject, name, frame_rate, reader in _arrays(archive, members):
        array = reader.read()
        check(array, frame_rate)
        yield subject, name, {"positions_3d": array, "frame_rate": frame_rate}


def _arrays(archive: Zip, members: dict[str, ZipInfo]) -> Iterator[tuple[str, str, float, ArrayReader]]:
    """Give subject, name, frame rate and the array of each sequence, before it is read."""
    sequences = list(_sequences(_read_index(archive, members)))
    others = set(members) - {f"{INDEX}.npy"}
    if {f"{key}.npy" for _, _, key, _, _ in sequences} != others or len(sequences) != len(others):
        raise ArrayFileError(f"its index lists {len(sequences)} arrays, which are not the {len(others)} that it has")
    names = Counter((subject, name) for subject, name, _, _, _ in sequences)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ArrayFileError(f"it has {'/'.join(twice[0])!r:.100} twice")
    left = max(FREE_EXPANSION, MOST_EXPANSION * archive.size)  # what several members share counts as often
    for subject, name, key, frame_rate, shape in sequences:
        reader = _open(archive, members[f"{key}.npy"])
        if reader.header.shape != shape:
            raise ArrayFileError(f"its index gives {key!r} the shape {shape}, its header {reader.header.shape}")
        left -= math.prod(shape) * reader.header.dtype.itemsize
        if left < 0:
            raise ArrayFileError("its arrays hold far more than the file does")
        yield subject, name, frame_rate, reader


def _open(archive: Zip, member: ZipInfo) -> ArrayReader:
    return ArrayReader(archive.open(member), member.file_size, member.filename)


def _read_index(archive: Zip, members: dict[str, ZipInfo]) -> dict[str, Any]:
    reader, most = _open(archive, members[f"{INDEX}.npy"]), max(MOST_OF_INDEX, 4 * archive.size)
    if reader.header.dtype != np.uint8 or len(reader.header.shape) != 1 or reader.header.shape[0] > most:
        raise ArrayFileError(
            f"its index is {reader.header.shape} of {reader.header.dtype}, expected JSON in at most {most} of uint8"
        )
    index = json.loads(reader.read().tobytes())
    if not isinstance(index, dict) or any(index.get(name) != value for name, value in INDEX_BEGINS.items()):
        begins = {name: index.get(name) for name in INDEX_BEGINS} if isinstance(index, dict) else type(index).__name__
        raise ArrayFileError(f"its index is {begins}, expected {INDEX_BEGINS}, which this version reads")
    return index


def _sequences(index: dict[str, Any]) -> Iterator[tuple[str, str, str, float, tuple[int, int, int]]]:
    """Give subject, name, array, frame rate and shape of each sequence."""
    for one in index["sequences"]:
        match one:
            case {
                "subject": str(subject),
                "sequence": str(name),
                "key": str(key),
                "frame_rate": float(frame_rate) | int(frame_rate),
                "frames": int(frames),
                "joints": int(joints),
            }:
                yield subject, name, key, float(frame_rate), (frames, joints, 3)
            case _:
                raise ArrayFileError(f"its index has {one!r:.100}, expected subject, sequence, key, frame_rate, ...")


# ------------------------------------------------------------------------------------------------------- npz


def _read_pickled(archive: Zip, member: ZipInfo) -> PositionsTree:
    source = _MemberSource(io.BufferedReader(cast("io.RawIOBase", archive.open(member))), member.file_size)
    # Each sequence has some 40 opcodes; in a large file, it has many more bytes.
    root = parse(source, MOST_STEPS + member.compress_size // 2)
    source.end()
    return _Rebuilder(source).dataset(root)


_HEADER = re.compile(rb"\{'descr': '\|O', 'fortran_order': (?:False|True), 'shape': \(\), \} *\n")


def _read_header(source: Source) -> None:
    start = source.take(10)
    header = source.take(int.from_bytes(start[8:], "little"))
    if start[:8] != b"\x93NUMPY\1\0" or not _HEADER.fullmatch(header):
        raise ArrayFileError(f"its array begins with {(start + header)[:100]!r}, expected that of one object")


class _MemberSource(Source):
    """A pickle in an archive, decompressed once, from front to back: long strings are kept as they pass."""

    def __init__(self, member: io.BufferedReader, size: int) -> None:
        self._file = member
        self.size = size
        self.place = 0
        self._kept: dict[int, np.ndarray] = {}
        _read_header(self)
        self.begins = member.peek(4)[:4]

    def skip(self, size: int) -> int:
        self.check(size)
        kept = np.empty(size, np.uint8)
        for start in range(0, size, CHUNK):
            piece = kept[start : start + CHUNK]
            if self._file.readinto(piece.data) != len(piece):  # type: ignore[attr-defined]
                raise PickleFileError("it ends early")
        self._kept[self.place] = kept
        self.place += size
        return self.place - size

    def take_kept(self, start: int) -> np.ndarray:
        """Give a long string, for good: what is pickled has each once."""
        if start not in self._kept:
            raise PickleFileError("it has one string in two places")
        return self._kept.pop(start)

    def line(self) -> bytes:
        line = self._file.readline(1000)
        self.place += len(line)
        if not line.endswith(b"\n"):
            raise PickleFileError("it has a line that does not end")
        return line[:-1]

    def end(self) -> None:
        """See that nothing follows; what reads to the end checks the checksum."""
        if self._file.read(1):
            raise PickleFileError("it goes on after its end")


class _Rebuilder:
    """Makes the dataset of what the parser noted. What stands in the file once is made once."""

    def __init__(self, source: _MemberSource) -> None:
        self._source = source
        self._made: dict[tuple[int, Callable[[Any], Any]], Any] = {}

    def dataset(self, root: Any) -> PositionsTree:
        _, shape, _, _, data = self._state(root)
        if shape != () or not isinstance(data, list) or len(data) != 1:
            raise PickleFileError(f"it holds {described(root)}, expected an array of one dict")
        tree: PositionsTree = {}
        for subject, sequences in self._items(data[0]):
            _add(tree, subject, self._once(sequences, self._subject))
        return tree

    def _once(self, node: Any, make: Callable[[Any], Any]) -> Any:
        made = (id(node), make)
        if made not in self._made:
            self._made[made] = make(node)
        return self._made[made]

    def _subject(self, node: Any) -> dict[str, Positions]:
        subject: dict[str, Positions] = {}
        for name, sequence in self._items(node):
            _add(subject, name, self._once(sequence, self._sequence))
        return subject

    def _sequence(self, node: Any) -> Positions:
        parts: dict[str, Any] = {}
        for name, part in self._items(node):
            _add(parts, name, part)
        if set(parts) != {"positions_3d", "frame_rate"}:
            raise PickleFileError(f"a sequence has {listed(tuple(map(repr, parts)))}, expected others")
        array, frame_rate = self._once(parts["positions_3d"], self._array), self._number(parts["frame_rate"])
        check(array, frame_rate)
        return {"positions_3d": array, "frame_rate": frame_rate}

    def _items(self, node: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, Object) or node.cls != Class("dict") or node.args:
            raise PickleFileError(f"it holds {described(node)}, expected a dict")
        for key, value in node.items:
            yield self._once(key, self._text), value

    def _text(self, node: Any) -> str:
        text = node.decode(self._source.take_kept(node.start).tobytes()) if isinstance(node, Stored) else node
        if not isinstance(text, str):
            raise PickleFileError(f"it has the name {described(node)}, expected text")
        return text

    def _number(self, node: Any) -> float:
        if isinstance(node, Object) and node.cls == Class("numpy.scalar") and len(node.args) == 2:
            return float(self._numbers((), node.args[0], False, node.args[1]))
        if isinstance(node, Object):
            return float(self._array(node, ()))
        if type(node) not in (int, float):
            raise PickleFileError(f"it has {described(node)} as a frame rate, expected a number")
        return float(node)

    def _array(self, node: Any, expected: tuple[int, ...] | None = None) -> np.ndarray:
        _, shape, dtype, fortran_order, data = self._state(node)
        if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**63 for size in shape):
            raise PickleFileError("it has an array with a shape that is not of sizes")
        if expected is not None and shape != expected:
            raise PickleFileError(f"it has an array of shape {shape}, expected {expected}")
        return self._numbers(shape, dtype, fortran_order, data)

    def _state(self, node: Any) -> tuple[Any, ...]:
        """Give what ndarray.__reduce__ does: version, shape, dtype, Fortran's order?, data."""
        if not isinstance(node, Object) or node.cls not in _ARRAYS:
            raise PickleFileError(f"it holds {described(node)}, expected an array")
        of_subclass = node.cls == Class("numpy._reconstruct") and node.args[:1] != (Class("numpy.ndarray"),)
        if of_subclass or not isinstance(node.state, tuple) or len(node.state) != 5:
            raise PickleFileError("it holds an array of an unknown kind, or without data")
        return node.state

    def _numbers(self, shape: tuple[int, ...], dtype: Any, fortran_order: Any, data: Any) -> np.ndarray:
        """Make an array. NumPy gets bytes, a type that is spelled here, and a shape that fits them."""
        found = _dtype(dtype)
        raw = self._source.take_kept(data.start) if isinstance(data, Stored) else data
        if isinstance(raw, bytes):
            raw = np.frombuffer(raw, np.uint8).copy()
        if not isinstance(raw, np.ndarray):
            raise PickleFileError(f"it has an array with {described(data)} as its data")
        if math.prod(shape) * found.itemsize != len(raw):
            raise PickleFileError(f"it has an array {shape} of {found} in {len(raw)} bytes")
        array = raw.view(found).reshape(shape, order="F" if fortran_order is True else "C")
        return array.astype(found.newbyteorder("="), copy=False)


_ARRAYS = (Class("numpy.ndarray"), Class("numpy._reconstruct"))
_ORDERS: dict[str, Literal["<", ">"]] = {"<": "<", ">": ">", "|": "<", "=": "<"}


def _dtype(node: Any) -> np.dtype[Any]:
    """Make a type of numbers, of its code and of the state that dtype.__reduce__ gives: version, byte order, others."""
    if not isinstance(node, Object) or node.cls != Class("numpy.dtype") or not node.args:
        raise PickleFileError(f"it has {described(node)} as the type of an array")
    code, state = node.args[0], (3, "<") if node.state is None else node.state
    if not isinstance(code, str) or not re.fullmatch("f[48]|[iu][1248]", code):
        raise PickleFileError(f"it has an array of {code!r:.30}, expected float32 or float64")
    if not isinstance(state, tuple) or len(state) < 2 or not isinstance(state[1], str) or state[1] not in _ORDERS:
        raise PickleFileError("it has an array in an unknown byte order")
    return np.dtype(code).newbyteorder(_ORDERS[state[1]])


def _add(values: dict[str, Any], name: str, value: Any) -> None:
    if name in values:
        raise ArrayFileError(f"it has {name!r:.100} twice")
    values[name] = value
