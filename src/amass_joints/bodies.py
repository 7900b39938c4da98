"""The folded bodies of a run: each is loaded and folded when a sequence first needs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from amass_joints.body_models import (
    SMPLX,
    BodyModel,
    BodyModelFiles,
    ModelType,
    body_model_files,
    find_body_models,
    load_body_model,
)
from amass_joints.errors import InputError
from amass_joints.folding import FoldedBody, fold
from amass_joints.regressors import VERTEX_MAP, JointRegressor, carried_over, find_vertex_map, load_regressor
from amass_joints.rest_pose import RestPose, at_rest
from amass_joints.sequences import SequenceSummary, Skipped
from amass_joints.skeletons import JOINT_SETS, Skeleton, skeleton_named

Joints: TypeAlias = "JointRegressor | Skeleton"
"""What joints are wanted: a regressor's, or a skeleton's, from the kinematic tree."""


@dataclass(frozen=True, eq=False)
class WholeBody:
    """A body model and the joints wanted of it, before they are folded."""

    model: BodyModel
    joints: JointRegressor | Sequence[int]
    """A regressor for its vertices, or indices of its own joints."""


_Key: TypeAlias = "tuple[str, str]"
"""Model type and gender."""

_Body = TypeVar("_Body")


class FoldedBodies:
    """Gives the folded body that a sequence needs, the same one every time, to any thread."""

    def __init__(
        self,
        joints: Joints,
        directory: Path,
        *,
        dmpls: bool,
        normalize_rows: bool = False,
        skeleton: Skeleton | None = None,
    ) -> None:
        """Look at the models in ``directory``, by their headers alone.

        Raises:
            InputError: there is none, or one is not what it should be.
        """
        self.directory = directory
        self._joints = joints
        self._skeleton = joints if isinstance(joints, Skeleton) else skeleton
        self._normalize_rows = normalize_rows
        self._files = body_model_files(directory, dmpls=dmpls)
        self._vertex_map = find_vertex_map(directory)
        self._present = {
            path
            for files in self._files.values()
            for path in (files.body, files.dmpls, self._vertex_map)
            if path and path.is_file()
        }
        self._folded: dict[_Key, FoldedBody] = {}
        self._rest_poses: dict[_Key, RestPose] = {}
        self._whole: dict[_Key, WholeBody] = {}
        self._lock = threading.Lock()

    def get(self, source: SequenceSummary) -> FoldedBody | Skipped:
        """Give the body for a sequence; one that needs files which are not there is skipped.

        Raises:
            InputError: a model file is broken.
        """
        return self._missing(source) or self._fold(source.model_type.name, source.gender)

    def rest_pose(self, model_type: str, gender: str) -> RestPose:
        """Give the rest pose of a body that :meth:`get` has given a sequence of this type and gender.

        Raises:
            InputError: its joints are not those of the skeleton that the user named.
        """
        key = model_type, gender
        if key not in self._rest_poses:
            body = self._fold(*key)
            assert not isinstance(body, Skipped)
            self._rest_poses[key] = at_rest(body, self._skeleton, check=self._skeleton is not self._joints)
        return self._rest_poses[key]

    def skeleton(self) -> Skeleton | None:
        """Say what the joints are, by the first body that can be used; None where it cannot be told.

        Raises:
            InputError: they are not those of the skeleton that the user named.
        """
        for (model_type, gender), files in self._files.items():
            if files.body not in self._present:
                continue
            try:
                body = self._fold(model_type, gender)
            except (InputError, OSError):  # it may not be needed; if it is, get reports this
                continue
            if not isinstance(body, Skipped):
                return self.rest_pose(model_type, gender).skeleton
        return self._skeleton

    def get_whole(self, source: SequenceSummary) -> WholeBody | Skipped:
        """Give the same before it is folded, with its mesh, which takes a hundred megabytes.

        Raises:
            InputError: a model file is broken.
        """
        return self._missing(source) or self._load_whole(source.model_type.name, source.gender)

    def _missing(self, source: SequenceSummary) -> Skipped | None:
        files = self.files(source.model_type.name, source.gender, source.has_dmpls)
        missing = [path for path in files if path not in self._present]
        if not missing:
            return None
        without = " or pass --no-dmpls" if files[0] in self._present else ""
        return Skipped(
            f"it needs {' and '.join(map(str, missing))}: not there. Put the {source.gender} model there{without}"
        )

    def get_ready(self, model_types: Collection[str], *, whole: bool = False) -> None:
        """Fold all the bodies of these types that there are: for workers that are forked afterwards.

        Args:
            model_types: names of model types.
            whole: whether they are wanted whole, too.
        """
        for (model_type, gender), files in self._files.items():
            if model_type in model_types and files.body in self._present:
                with suppress(InputError, OSError, MemoryError):  # it may not be needed; if it is, get reports this
                    if whole:
                        self._load_whole(model_type, gender)
                    if not isinstance(self._fold(model_type, gender), Skipped):
                        self.rest_pose(model_type, gender)

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
        def make() -> FoldedBody | Skipped:
            body = self._whole.get((model_type, gender)) or self._load(model_type, gender)
            return body if isinstance(body, Skipped) else fold(body.model, body.joints)

        return self._once(self._folded, (model_type, gender), make)

    def _load_whole(self, model_type: str, gender: str) -> WholeBody | Skipped:
        return self._once(self._whole, (model_type, gender), lambda: self._load(model_type, gender))

    def _once(self, made: dict[_Key, _Body], key: _Key, make: Callable[[], _Body | Skipped]) -> _Body | Skipped:
        with self._lock:  # one at a time: a body model takes much memory until it is folded
            if key not in made:
                body = make()
                if isinstance(body, Skipped):
                    return body
                made[key] = body
            return made[key]

    def _load(self, model_type: str, gender: str) -> WholeBody | Skipped:
        files = self._files[model_type, gender]
        joints = self._joints_of(files.model_type)
        if isinstance(joints, Skipped):
            return joints
        if self._normalize_rows and isinstance(joints, JointRegressor):
            joints = joints.normalized()
        dmpls = files.dmpls if files.dmpls in self._present else None
        return WholeBody(load_body_model(files.body, dmpls, expected=files.model_type), joints)

    def _joints_of(self, model_type: ModelType) -> JointRegressor | Sequence[int] | Skipped:
        """Say what the joints wanted are on a body model of this type."""
        if not isinstance(self._joints, JointRegressor):
            absent = [name for name in self._joints.joints if name not in model_type.joints]
            if absent:
                return Skipped(f"an {model_type} sequence, whose body has no joints {', '.join(absent)}")
            return [model_type.joints.index(name) for name in self._joints.joints]
        width = self._joints.matrix.shape[1]
        if width == model_type.num_vertices:
            return self._joints
        if model_type is SMPLX and self._vertex_map is not None:
            return carried_over(self._joints, self._vertex_map)
        return Skipped(
            f"an {model_type} sequence, whose body has {model_type.num_vertices} vertices; the joint regressor is for "
            f"{width}" + (f": put {VERTEX_MAP} into {self.directory}" if model_type is SMPLX else "")
        )


def find_bodies(
    joint_regressor: str | os.PathLike[str] | None,
    joints: str | None,
    body_models: str | os.PathLike[str] | None,
    *,
    dmpls: bool,
    normalize_rows: bool = False,
    skeleton: str | None = None,
) -> FoldedBodies:
    """Find and check what makes joints of motions.

    Args:
        joint_regressor: a file; or None, with ``joints``.
        joints: the name of a set of :data:`amass_joints.skeletons.JOINT_SETS`, in its place.
        body_models: their directory; None: where :func:`amass_joints.body_models.find_body_models` finds it.
        dmpls: whether soft tissue is wanted.
        normalize_rows: whether the regressor's rows are made to sum to 1.
        skeleton: the name of what the regressor's rows are; None: it is found out where it can be.

    Raises:
        InputError: something is missing, or not what it should be.
    """
    if (joint_regressor is None) == (joints is None):
        raise InputError("give one of a joint regressor and a set of joints.")
    if joints is not None and joints not in JOINT_SETS:
        raise InputError(f"the joints are '{joints}', expected one of {', '.join(JOINT_SETS)}.")
    if joints is not None and skeleton is not None:
        raise InputError(f"a skeleton is named for a regressor's rows: the joints '{joints}' have their names.")
    named = None if skeleton is None else skeleton_named(skeleton)
    beside = None if joint_regressor is None else Path(joint_regressor)
    wanted = JOINT_SETS[joints] if joints is not None else load_regressor(Path(joint_regressor or ""))
    if normalize_rows and isinstance(wanted, JointRegressor):
        wanted.normalized()  # refused here, if at all: before the first sequence
    directory = find_body_models(None if body_models is None else Path(body_models), beside)
    bodies = FoldedBodies(wanted, directory, dmpls=dmpls, normalize_rows=normalize_rows, skeleton=named)
    if named is not None:
        bodies.skeleton()  # refused here, if at all
    return bodies
