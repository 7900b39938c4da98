"""For Uplift and Upsample (Einfalt et al., WACV 2023): a folder of ``DATASET.npz``, as ``convert`` writes them.

Its loader (``AMASSDataset`` in
https://github.com/goldbricklemon/uplift-upsample-3dhpe/blob/main/common/dataset/amass_dataset.py) takes datasets by the
names of the files, asserts that every ``frame_rate`` is 50, and puts the joints from SPIN's order into its own. So the
joints are in SPIN's order here, in metres, z up, float32; the files have the names that its splits know; and with a
split, each of its parts is a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amass_joints.amass import canonical_name
from amass_joints.cameras import View
from amass_joints.datasets import DatasetWriter
from amass_joints.errors import InputError
from amass_joints.export.exporter import Exporter, ExportOptions, Split
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import H36M17_SPIN
from amass_joints.splits import PARTS


class Uplift(Exporter):
    """Writes ``DATASET.npz``, or ``SPLIT/DATASET.npz``."""

    format = "uplift"
    skeleton = H36M17_SPIN
    frame_rate = 50.0
    takes_cameras = False

    def __init__(self, out_dir: Path, options: ExportOptions) -> None:
        super().__init__(out_dir, options)
        self._writers: dict[Path, DatasetWriter] = {}

    def check(self, sources: Sequence[Source]) -> None:
        """See that no two of them get one name, and that none is written over."""
        names: dict[str, Source] = {}
        for source in sources:
            name = canonical_name(source.dataset)
            if name in names:
                raise InputError(
                    f"{source.path} and {names[name].path} are both {name}, as Uplift and Upsample names them: pass "
                    "one of them."
                )
            names[name] = source
            for part in ("", *PARTS):
                output = self.out_dir / part / f"{name}.npz"
                if output.exists() and output.samefile(source.path):
                    raise InputError(f"{output}: it would be written over while it is read. Pass another --out.")

    def add(self, motion: Motion, views: Sequence[View], split: Split | None) -> None:
        """Write a motion into its dataset's file."""
        path = self.out_dir / (split or "") / f"{canonical_name(motion.dataset)}.npz"
        if path not in self._writers:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[path] = self._files.enter(path, DatasetWriter(path, "npz", motion.metadata))
        try:
            self._writers[path].add(
                motion.subject,
                motion.name,
                # Its loader compares with == 50, and rates of files can be 50.0000001.
                {"positions_3d": motion.positions_3d.astype(np.float32, copy=False), "frame_rate": 50.0},
            )
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{motion}: {error}.") from error
