"""Parquet: ``data/SPLIT-00000-of-00001.parquet``, a row for each sequence, as Hugging Face ``datasets`` loads them.

================ ==================================== ================================================================
``dataset``      string
``subject``      string
``sequence``     string
``frame_rate``   double                               Hz
``num_frames``   int64
``positions_3d`` list of list of list of float        (frames, joints, 3)
``positions_2d`` the same, one deeper                 (frames, cameras, joints, 2), pixels; only with cameras
``visible``      list of list of list of bool         (frames, cameras, joints), whether the image shows the joint; only
                                                      with cameras
``cameras``      string                               JSON: a list, as docs/cameras.md has them; only with cameras
================ ==================================== ================================================================

Lists carry the names and shapes of ``datasets``' own types for arrays (``Array3D``, ``Array4D``; the source:
https://github.com/huggingface/datasets/blob/main/src/datasets/features/features.py), by which it gives arrays hundreds
of times as fast as from plain lists; other readers see the lists. Of its arrays the first axis alone may differ from
row to row: so frames come first, also before cameras. Splits are found by the names of the files
(https://huggingface.co/docs/hub/datasets-file-names-and-splits); what has no split is ``train``.

The attributes that every store has (:mod:`.stores`) are the schema's metadata; lists in it are JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints.camera_files import camera_entry
from amass_joints.cameras import View
from amass_joints.directories import check_new, directory_written_whole
from amass_joints.export.exporter import ExportOptions, Split
from amass_joints.export.stores import Store, positions_2d_of, positions_of, text, visible_of
from amass_joints.motions import Motion

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_BYTES = 2 << 20
"""Of positions, before compression: whoever reads a row reads its group."""

FILE_BYTES = 256 << 20
"""Of a file, from which on there is a next one."""

_NAME = re.compile(r"(train|validation|test)-\d{5}-of-\d{5}\.parquet")


class Parquet(Store):
    """Writes ``data``."""

    format = "parquet"
    library = "pyarrow"

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._splits: dict[Split, _Split] = {}

    @property
    def path(self) -> Path:
        """The directory."""
        return self.out_dir / "data"

    def check_path(self) -> None:
        """See that nothing but such a directory is replaced."""
        check_new(self.path, self._is_ours)

    def _is_ours(self, directory: Path) -> bool:
        from pyarrow import parquet

        try:
            return all(
                _NAME.fullmatch(file.name)
                and (parquet.read_schema(file).metadata or {}).get(b"format") == self.mark.encode()
                for file in directory.iterdir()
            )
        except (OSError, ValueError):  # which pyarrow's are, too
            return False

    def begin(self, attributes: dict[str, Any], joints: int, cameras: int) -> None:
        """Open the directory."""
        self._directory = self._files.enter(self.path, directory_written_whole(self.path, self._is_ours))
        self._schema = _schema(attributes, joints, cameras)

    def write(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a row."""
        row: dict[str, Any] = {
            "dataset": text(motion.dataset),
            "subject": text(motion.subject),
            "sequence": text(motion.name),
            "frame_rate": motion.frame_rate,
            "num_frames": len(motion.positions_3d),
            "positions_3d": positions_of(motion),
        }
        if views:
            row["positions_2d"] = np.moveaxis(positions_2d_of(views), 0, 1)
            row["visible"] = np.moveaxis(visible_of(views), 0, 1)
            row["cameras"] = json.dumps([camera_entry(view.camera) for view in views])
        split = split or "train"
        if split not in self._splits:
            self._splits[split] = _Split(self._directory, split, self._schema)
        self._splits[split].write(row)

    def end(self) -> None:
        """Write the rows that are left, and say in the files' names how many they are."""
        for split in self._splits.values():
            split.end()

    def discard(self) -> None:
        """Close and remove the files."""
        for split in self._splits.values():
            with suppress(Exception):  # what cannot be written any more; it is removed
                split.close()
        super().discard()


class _Split:
    """The files of a split."""

    def __init__(self, directory: Path, name: Split, schema: pa.Schema) -> None:
        self._directory, self._name, self._schema = directory, name, schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        """Of the arrays in these rows."""
        self._paths: list[Path] = []
        self._open = ExitStack()
        self._is_open = False

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._bytes += sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))
        if self._bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def end(self) -> None:
        """Write the rows that are left, close the files, and name them."""
        if self._rows:
            self._write_row_group()
        self.close()
        for number, path in enumerate(self._paths):
            path.rename(path.with_name(f"{self._name}-{number:05}-of-{len(self._paths):05}.parquet"))

    def close(self) -> None:
        """Close the file that is open."""
        self._is_open = False
        self._open.close()

    def _write_row_group(self) -> None:
        import pyarrow as pa

        if not self._is_open:
            self._open_next()
        columns = [_column(field.type, [row[field.name] for row in self._rows]) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows, self._bytes = [], 0
        if self._file.tell() >= FILE_BYTES:
            self.close()

    def _open_next(self) -> None:
        from pyarrow import parquet

        self._paths.append(self._directory / f"{self._name}-{len(self._paths):05}")
        self._file = self._open.enter_context(self._paths[-1].open("wb"))
        floats = [path for path in map(_leaf, self._schema) if path.startswith("positions_")]
        self._writer = self._open.enter_context(
            parquet.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                use_dictionary=[field.name for field in self._schema if field.type == "string"],
                # Bytes of floats are sorted by their place, which makes a fifth less of joints than zstd alone.
                column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
                write_statistics=[field.name for field in self._schema if not _depth(field.type)],
            )
        )
        self._is_open = True


def _schema(attributes: dict[str, Any], joints: int, cameras: int) -> pa.Schema:
    import pyarrow as pa

    fields = [
        pa.field("dataset", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("sequence", pa.string()),
        pa.field("frame_rate", pa.float64()),
        pa.field("num_frames", pa.int64()),
        _array_field("positions_3d", "float32", joints, 3),
    ]
    if cameras:
        fields += [
            _array_field("positions_2d", "float32", cameras, joints, 2),
            _array_field("visible", "bool", cameras, joints),
            pa.field("cameras", pa.string()),
        ]
    about = {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}
    return pa.schema(fields, about)


def _array_field(name: str, dtype: str, *frame_shape: int) -> pa.Field:
    """Give a field of lists in lists, with what makes an array of them in ``datasets``."""
    import pyarrow as pa

    shape = (None, *frame_shape)
    kind = {"float32": pa.float32(), "bool": pa.bool_()}[dtype]
    for _ in shape:
        kind = pa.list_(kind)
    array_type = {
        "ARROW:extension:name": f"datasets.features.features.Array{len(shape)}DExtensionType",
        "ARROW:extension:metadata": json.dumps([shape, dtype]),
    }
    return pa.field(name, kind, metadata=array_type)


def _column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    import pyarrow as pa

    if not _depth(kind):
        return pa.array(values, kind)
    frames = np.concatenate(values)
    nested = pa.array(frames.reshape(-1))
    for length in frames.shape[:0:-1]:
        nested = pa.ListArray.from_arrays(np.arange(0, len(nested) + 1, length, dtype=np.int32), nested)
    starts = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.ListArray.from_arrays(starts, nested)


def _depth(kind: pa.DataType) -> int:
    """Say how many lists are in each other."""
    depth = 0
    while hasattr(kind, "value_type"):
        depth, kind = depth + 1, kind.value_type
    return depth


def _leaf(field: pa.Field) -> str:
    """Name a column as Parquet does."""
    return field.name + ".list.element" * _depth(field.type)
