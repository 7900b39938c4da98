"""Folded equals mesh, for any body and any regressor, on every kernel."""

import dataclasses
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from amass_joints import mesh
from amass_joints.errors import InputError
from amass_joints.folding import FoldedBody, ShapedBody, fold
from amass_joints.regressors import JointRegressor
from random_bodies import Case, cases, random_body, random_regressor

# float32 has 24 bits: 6e-8 of coordinates of about a metre, summed over chains of up to nine joints and over
# rotations by up to twenty radians. float64 has 53.
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture(params=["cpu", "torch", "cuda"])
def backend(request: pytest.FixtureRequest) -> str:
    """A device for each kernel. PyTorch's CPU by its number is a device of the PyTorch kernel."""
    if request.param == "cpu":
        return "cpu"
    torch = pytest.importorskip("torch")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return "cpu:0" if request.param == "torch" else "cuda:0"


def folded(case: Case, dtype: str, device: str = "cpu", **options: object) -> np.ndarray:
    shaped = fold(case.body, case.regressor).with_shape(case.betas, dtype)
    return shaped.pose(case.poses, case.trans, case.dmpls, device=device, **options)


def through_the_mesh(case: Case) -> np.ndarray:
    return mesh.regress(case.regressor, mesh.pose_mesh(case.body, case.betas, case.poses, case.trans, case.dmpls))


def some_case(seed: int = 0, frames: int = 300, joints: int = 12, rows: int = 17) -> Case:
    rng = np.random.default_rng(seed)
    return Case(
        body=random_body(rng, joints=joints, vertices=60, betas=5, dmpls=3),
        regressor=random_regressor(rng, rows, 60, 0.1),
        betas=rng.normal(size=5),
        poses=rng.normal(size=(frames, 3 * joints)),
        trans=rng.normal(size=(frames, 3)),
        dmpls=rng.normal(size=(frames, 3)),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_folded_equals_mesh(backend: str, dtype: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(cases())
    def check(case: Case) -> None:
        joints = folded(case, dtype, backend)
        assert joints.dtype == dtype
        np.testing.assert_allclose(joints, through_the_mesh(case), rtol=0, atol=TOLERANCE[dtype])

    check()


@pytest.mark.parametrize(
    "angle",
    [
        *(0.0, 5e-324, 1e-300, 1e-200, 1e-170, 1e-160, 1e-20, 1e-8, 1e-4, np.pi / 2),
        *(np.pi - 1e-9, np.pi, np.pi + 1e-9, 2 * np.pi - 1e-9, 2 * np.pi, 2 * np.pi + 1e-4, 7.0, 100.0, 12345.0),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rotations_of_any_angle(backend: str, dtype: str, angle: float) -> None:
    case = some_case(frames=40)
    axes = case.poses.reshape(40, -1, 3)
    axes /= np.linalg.norm(axes, axis=2, keepdims=True)
    case = dataclasses.replace(case, poses=(angle * axes).reshape(40, -1))
    np.testing.assert_allclose(folded(case, dtype, backend), through_the_mesh(case), rtol=0, atol=TOLERANCE[dtype])


def test_a_moved_root_moves_each_joint_by_its_row_sum(backend: str) -> None:
    case = some_case()
    shift = np.array([3.0, -40.0, 500.0])
    moved = dataclasses.replace(case, trans=case.trans + shift)
    sums = case.regressor.matrix.sum(axis=1)
    assert np.abs(sums - 1).max() > 1e-4
    difference = folded(moved, "float64", backend) - folded(case, "float64", backend)
    np.testing.assert_allclose(difference, np.broadcast_to(sums[:, None] * shift, difference.shape), atol=1e-10)


def test_far_from_the_origin_only_the_last_rounding_is_lost(backend: str) -> None:
    case = some_case()
    far = dataclasses.replace(case, trans=case.trans + 1000)
    spacing = np.spacing(np.float32(1500))
    np.testing.assert_allclose(folded(far, "float32", backend), through_the_mesh(far), rtol=0, atol=spacing)


def test_no_betas_and_no_dmpls_are_zeros(backend: str) -> None:
    case = some_case()
    without = dataclasses.replace(case, betas=np.zeros(0), dmpls=None)
    zeros = dataclasses.replace(case, betas=np.zeros(5), dmpls=np.zeros((300, 3)))
    np.testing.assert_allclose(folded(without, "float64", backend), folded(zeros, "float64", backend), atol=1e-14)


def test_surplus_betas_and_dmpls_are_ignored() -> None:
    case = some_case()
    surplus = dataclasses.replace(
        case,
        betas=np.concatenate([case.betas, [7.0]]),
        dmpls=np.concatenate([case.dmpls, np.full((300, 2), 7.0)], axis=1),
    )
    np.testing.assert_array_equal(folded(surplus, "float32"), folded(case, "float32"))


@pytest.mark.parametrize("start", [0, 1, 127, 128, 129, 256])
def test_the_frames_looked_at_are_those_of_the_whole(backend: str, start: int) -> None:
    case = some_case()
    frames = np.arange(start, 300, 3)
    np.testing.assert_allclose(
        folded(case, "float32", backend, looked_at=frames),
        folded(case, "float32", backend)[frames],
        rtol=0,
        atol=1e-6,
    )


def test_a_frame_alone_is_the_same_to_the_bit_as_in_company(backend: str) -> None:
    case = some_case()
    whole = folded(case, "float32", backend)
    for frame in (0, 1, 130, 299):
        alone = dataclasses.replace(
            case, poses=case.poses[[frame]], trans=case.trans[[frame]], dmpls=case.dmpls[[frame]]
        )
        np.testing.assert_array_equal(folded(alone, "float32", backend)[0], whole[frame])


def test_bones_that_change_nothing_are_pruned() -> None:
    """A chain 0-1-2-3 and a bone 4 on 1: the row looks at vertices of bone 1 alone, which bone 4's pose deforms."""
    rng = np.random.default_rng(1)
    body = random_body(rng, joints=5, vertices=5, betas=0, dmpls=0)
    posedirs = np.zeros((5, 3, 4, 9))
    posedirs[:, :, 3] = 0.1  # of bone 4
    body = dataclasses.replace(
        body, weights=np.eye(5), parents=np.array([-1, 0, 1, 2, 1]), posedirs=posedirs.reshape(5, 3, 36)
    )
    small = fold(body, JointRegressor(np.array([[0, 1.0, 0, 0, 0]])))
    assert small.bones.tolist() == [0, 1, 4]
    assert small.parents.tolist() == [-1, 0]
    assert small.bones[small.featured].tolist() == [4]
    assert small.pair_bones.tolist() == [1]
    case = Case(
        body,
        JointRegressor(np.array([[0, 1.0, 0, 0, 0]])),
        np.zeros(0),
        rng.normal(size=(9, 15)),
        np.zeros((9, 3)),
        None,
    )
    np.testing.assert_allclose(folded(case, "float64"), through_the_mesh(case), atol=1e-14)


def test_a_regressor_of_empty_rows_gives_the_origin() -> None:
    case = dataclasses.replace(some_case(), regressor=JointRegressor(np.zeros((4, 60))))
    np.testing.assert_array_equal(folded(case, "float32"), np.zeros((300, 4, 3)))


def test_a_regressor_for_another_mesh_is_refused() -> None:
    case = some_case()
    with pytest.raises(InputError, match="for 59 vertices, the body model has 60"):
        fold(case.body, JointRegressor(case.regressor.matrix[:, 1:]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"poses": np.zeros((300, 33))}, r"'poses': \(300, 36\)"),
        ({"poses": np.zeros((300, 12, 3))}, r"'poses': \(300, 36\)"),
        ({"trans": np.zeros((299, 3))}, r"'trans': \(300, 3\)"),
        ({"dmpls": np.zeros((1, 3))}, r"'dmpls': \(300, 3\)"),
        ({"dmpls": np.zeros(300)}, r"'dmpls': \(300, 300\)"),
        ({"looked_at": np.array([0, 300])}, "0 to 299"),
        ({"looked_at": np.zeros(300, bool)}, "integers from 0 to 299"),
        ({"looked_at": np.array([1.0])}, "integers from 0 to 299"),
        ({"looked_at": np.array([-1])}, "0 to 299"),
        ({"looked_at": np.zeros((300, 0), int)}, "a vector of integers from 0 to 299"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, np.ndarray], expected: str) -> None:
    case = some_case()
    shaped = fold(case.body, case.regressor).with_shape(case.betas)
    arrays = {"poses": case.poses, "trans": case.trans, "dmpls": case.dmpls} | change
    pose = inspect.unwrap(ShapedBody.pose)  # what users call has no type checker before it
    with pytest.raises(InputError, match=f"expected.*{expected}"):
        pose(shaped, **arrays)


def test_a_shape_that_makes_no_sense_is_refused() -> None:
    case = some_case()
    with_shape = inspect.unwrap(FoldedBody.with_shape)
    with pytest.raises(InputError, match=r"betas: their shape is \(1, 5\), expected \(betas,\)"):
        with_shape(fold(case.body, case.regressor), case.betas[None])
    for dtype in (np.float16, np.int32):
        with pytest.raises(InputError, match="expected float32 or float64"):
            fold(case.body, case.regressor).with_shape(case.betas, dtype)


POSE = """
import os, pwd, sys
if "HOME" not in os.environ:
    pwd.getpwuid = {}.__getitem__  # as for a user of a container
import numpy as np
from amass_joints.body_models import BodyModel
from amass_joints.folding import fold
from amass_joints.regressors import JointRegressor
one, none = np.ones((1, 1)), np.zeros((1, 3, 0))
body = BodyModel(np.zeros((1, 3)), none, none, none, one, one, np.array([-1]))
shaped = fold(body, JointRegressor(one)).with_shape(np.zeros(0))
print(shaped.pose(np.zeros((200, 3)), np.ones((200, 3))).mean(), "numba" in sys.modules)
"""


def pose_in_a_new_process(compiles: bool, directory: Path, **environment: str) -> None:
    unset = {"HOME", "XDG_CACHE_HOME"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    result = subprocess.run(
        [sys.executable, "-c", POSE], env=inherited | environment, cwd=directory, capture_output=True, text=True
    )
    assert result.stdout == f"1.0 {compiles}\n", result.stderr


def test_compiled_code_is_kept_and_damage_to_it_noticed(tmp_path: Path) -> None:
    def first_and_second() -> None:
        for compiles in (True, False):
            pose_in_a_new_process(compiles, tmp_path, XDG_CACHE_HOME=str(tmp_path))

    first_and_second()
    (kept,) = tmp_path.glob("amass-joints/kernel-float32-*")
    whole = kept.read_bytes()
    for damaged in (whole[:-100], whole[:5000] + b"?" + whole[5001:]):
        kept.write_bytes(damaged)
        first_and_second()


def test_without_a_place_to_keep_it_the_code_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pose_in_a_new_process(True, tmp_path)
    pose_in_a_new_process(True, tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_settings_for_debugging_other_code_change_nothing(tmp_path: Path) -> None:
    settings = {"NUMBA_DISABLE_JIT": "1", "NUMBA_BOUNDSCHECK": "1"}
    pose_in_a_new_process(True, tmp_path, XDG_CACHE_HOME=str(tmp_path), **settings)
    pose_in_a_new_process(False, tmp_path, XDG_CACHE_HOME=str(tmp_path), **settings)
    pose_in_a_new_process(True, tmp_path, XDG_CACHE_HOME=str(tmp_path))
