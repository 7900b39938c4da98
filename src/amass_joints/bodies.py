"""The folded bodies of a run: each is loaded and folded when a sequence first needs it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from amass_joints.body_models import SMPLX, BodyModelFiles, ModelType, body_model_files, load_body_model
from amass_joints.errors import InputError
from amass_joints.folding import FoldedBody, fold
from amass_joints.regressors import VERTEX_MAP, JointRegressor, carried_over, find_vertex_map
from amass_joints.sequences import SequenceSummary, Skipped

Joints: TypeAlias = "JointRegressor | tuple[str, ...]"
"""What joints are wanted: a regressor's, or those of these names, from the kinematic tree."""


class FoldedBodies:
    """Gives the folded body that a sequence needs, the same one every time, to any thread."""

    def __init__(self, joints: Joints, directory: Path, *, dmpls: bool) -> None:
        """Look at the models in ``directory``, by their headers alone.

        Raises:
            InputError: there is none, or one is not what it should be.
        """
        self.directory = directory
        self._joints = joints
        self._files = body_model_files(directory, dmpls=dmpls)
        self._vertex_map = find_vertex_map(directory)
        self._present = {
            path
            for files in self._files.values()
            for path in (files.body, files.dmpls, self._vertex_map)
            if path and path.is_file()
        }
        self._folded: dict[tuple[str, str], FoldedBody] = {}
        self._lock = threading.Lock()

    def get(self, source: SequenceSummary) -> FoldedBody | Skipped:
        """Give the body for a sequence; one that needs files which are not there is skipped.

        Raises:
            InputError: a model file is broken.
        """
        files = self.files(source.model_type.name, source.gender, source.has_dmpls)
        missing = [path for path in files if path not in self._present]
        if missing:
            without = " or pass --no-dmpls" if files[0] in self._present else ""
            return Skipped(
                f"it needs {' and '.join(map(str, missing))}: not there. Put the {source.gender} model there{without}"
            )
        return self._fold(source.model_type.name, source.gender)

    def get_ready(self, model_types: Collection[str]) -> None:
        """Fold all the bodies of these types that there are: for workers that are forked afterwards."""
        for (model_type, gender), files in self._files.items():
            if model_type in model_types and files.body in self._present:
                with suppress(InputError, OSError, MemoryError):  # it may not be needed; if it is, get reports this
                    self._fold(model_type, gender)

    def files(self, model_type: str, gender: str, soft_tissue: bool) -> list[Path]:
        """Say which files make a body."""
        files = self._files[model_type, gender]
        return [files.body, *([files.dmpls] if soft_tissue and files.dmpls is not None else []), *self._map(files)]

    def _map(self, files: BodyModelFiles) -> list[Path]:
        """Give the vertex map, if the regressor has to be carried over to this body."""
        carried = (
            files.model_type is SMPLX
            and isinstance(self._joints, JointRegressor)
            and self._joints.matrix.shape[1] != SMPLX.num_vertices
        )
        return [self._vertex_map] if carried and self._vertex_map else []

    def _fold(self, model_type: str, gender: str) -> FoldedBody | Skipped:
        with self._lock:  # one at a time: a body model takes much memory until it is folded
            if (model_type, gender) not in self._folded:
                files = self._files[model_type, gender]
                joints = self._joints_of(files.model_type)
                if isinstance(joints, Skipped):
                    return joints
                dmpls = files.dmpls if files.dmpls in self._present else None
                body = load_body_model(files.body, dmpls, expected=files.model_type)
                self._folded[model_type, gender] = fold(body, joints)
            return self._folded[model_type, gender]

    def _joints_of(self, model_type: ModelType) -> JointRegressor | Sequence[int] | Skipped:
        """Say what the joints wanted are on a body model of this type."""
        if not isinstance(self._joints, JointRegressor):
            absent = [name for name in self._joints if name not in model_type.joints]
            if absent:
                return Skipped(f"an {model_type} sequence, whose body has no joints {', '.join(absent)}")
            return [model_type.joints.index(name) for name in self._joints]
        width = self._joints.matrix.shape[1]
        if width == model_type.num_vertices:
            return self._joints
        if model_type is SMPLX and self._vertex_map is not None:
            return carried_over(self._joints, self._vertex_map)
        return Skipped(
            f"an {model_type} sequence, whose body has {model_type.num_vertices} vertices; the joint regressor is for "
            f"{width}" + (f": put {VERTEX_MAP} into {self.directory}" if model_type is SMPLX else "")
        )
