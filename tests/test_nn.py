"""The PyTorch module equals the mesh, its gradients are right at every rotation; and what a GPU would make of it."""

import copy
import dataclasses
import io
import math
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings

from amass_joints import mesh
from amass_joints.errors import InputError
from amass_joints.folding import ShapedBody, fold
from random_bodies import Case, cases, random_body, random_regressor

torch = pytest.importorskip("torch")

from amass_joints import kernels  # noqa: E402  (what follows needs PyTorch)
from amass_joints.kernels import torch as kernel  # noqa: E402
from amass_joints.nn import RegressedJoints  # noqa: E402

# As in test_folding.py; no angle of float32 here is above 20 radians.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return request.param


@pytest.fixture
def precision() -> Iterator[Callable[[str], None]]:
    """Set how coarse float32 products may be, for one test."""
    before = torch.get_float32_matmul_precision()
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision(before)


def some_case(seed: int = 0, frames: int = 12, joints: int = 7, rows: int = 5) -> Case:
    rng = np.random.default_rng(seed)
    return Case(
        body=random_body(rng, joints=joints, vertices=50, betas=4, dmpls=3),
        regressor=random_regressor(rng, rows, 50, 0.06),  # joints with more pairs and with fewer
        betas=rng.normal(size=(frames, 4)),  # one shape a frame, which only the module takes
        poses=rng.normal(size=(frames, 3 * joints)),
        trans=rng.normal(size=(frames, 3)),
        dmpls=rng.normal(size=(frames, 3)),
    )


def through_the_mesh(case: Case) -> np.ndarray:
    """Joints of a case whose betas are one shape a frame."""
    vertices = [
        mesh.pose_mesh(case.body, case.betas[i], case.poses[[i]], case.trans[[i]], case.dmpls[[i]])
        for i in range(len(case.poses))
    ]
    return mesh.regress(case.regressor, np.concatenate(vertices))


def module(case: Case, dtype: torch.dtype = torch.float64) -> RegressedJoints:
    return RegressedJoints(fold(case.body, case.regressor), dtype)


def arguments(case: Case, device: str = "cpu", **options: object) -> tuple[torch.Tensor, ...]:
    arrays = (case.poses, case.trans, case.betas, case.dmpls)
    return tuple(torch.tensor(array, device=device, **options) for array in arrays)


def error(joints: torch.Tensor, expected: np.ndarray) -> float:
    assert joints.shape == expected.shape
    return float(np.abs(joints.detach().cpu().numpy() - expected).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_module_equals_mesh(device: str, dtype: torch.dtype) -> None:
    """For any body and regressor, with missing and surplus betas and dmpls, or none."""

    @settings(max_examples=40, deadline=None)
    @given(cases())
    def check(case: Case) -> None:
        poses, trans, betas = (torch.tensor(a, device=device) for a in (case.poses, case.trans, case.betas))
        dmpls = None if case.dmpls is None else torch.tensor(case.dmpls, device=device)
        joints = module(case, dtype).to(device)(poses, trans=trans, betas=betas, dmpls=dmpls)
        assert joints.dtype == dtype
        assert joints.is_contiguous()
        vertices = mesh.pose_mesh(case.body, case.betas, case.poses, case.trans, case.dmpls)
        assert error(joints, mesh.regress(case.regressor, vertices)) < TOLERANCE[dtype]

    check()


def test_each_frame_may_have_its_own_shape(device: str) -> None:
    case = some_case()
    assert error(module(case).to(device)(*arguments(case, device)), through_the_mesh(case)) < 1e-12


def test_module_equals_the_kernels() -> None:
    case = some_case(frames=300)
    shaped = fold(case.body, case.regressor).with_shape(case.betas[0], np.float64)
    poses, trans, betas, dmpls = arguments(case)
    joints = module(case)(poses, trans=trans, betas=betas[0], dmpls=dmpls)
    assert error(joints, shaped.pose(case.poses, case.trans, case.dmpls)) < 1e-12
    assert error(joints, shaped.pose(case.poses, case.trans, case.dmpls, device="cpu:0")) < 1e-12


@pytest.mark.parametrize("batch", [(), (1,), (12,), (3, 4), (2, 1, 6), (0,), (3, 0)])
def test_any_batch(batch: tuple[int, ...]) -> None:
    case = some_case()
    size = int(np.prod(batch))
    given_ = [values[:size].reshape(*batch, -1) if size else values.new_empty(*batch, values.shape[1])
              for values in arguments(case)]  # fmt: skip
    joints = module(case)(*given_)
    assert joints.shape == (*batch, 5, 3)
    assert not size or error(joints.reshape(-1, 5, 3), through_the_mesh(case)[:size]) < 1e-12


def test_batches_are_broadcast() -> None:
    case = some_case()
    poses, trans, betas, dmpls = arguments(case)
    joints = module(case)
    table = joints(poses[:3], trans=trans[3], betas=betas[:4, None], dmpls=dmpls[:2, None, None])
    assert table.shape == (2, 4, 3, 5, 3)
    torch.testing.assert_close(table[1, 2, 0], joints(poses[0], trans[3], betas[2], dmpls[1]), rtol=0, atol=1e-13)


def test_what_is_not_given_is_zero() -> None:
    case = some_case()
    poses, trans, betas, dmpls = arguments(case)
    joints = module(case)
    zeros = joints(poses, trans * 0, betas * 0, dmpls * 0)
    torch.testing.assert_close(joints(poses), zeros, rtol=0, atol=1e-14)
    torch.testing.assert_close(joints(poses, trans * 0, betas[:, :0], dmpls[:, :0]), zeros, rtol=0, atol=1e-14)


def test_far_from_the_origin_only_the_last_rounding_is_lost() -> None:
    case = some_case()
    far = dataclasses.replace(case, trans=np.round(case.trans) + 1000)  # exact in float32
    assert error(module(case, torch.float32)(*arguments(far)), through_the_mesh(far)) < np.spacing(np.float32(1500))


# Gradients


def at_angle(case: Case, angle: float) -> Case:
    """The case with all rotations by one angle, about axes of its own."""
    vectors = case.poses.reshape(len(case.poses), -1, 3)
    vectors = vectors * (angle / np.linalg.norm(vectors, axis=2, keepdims=True))
    return dataclasses.replace(case, poses=vectors.reshape(case.poses.shape))


# 0.1 is where power series begin.
ANGLES = [0.0, 1e-300, 1e-9, 1e-4, 0.1 - 1e-8, 0.1, 1.0, np.pi - 1e-9, np.pi, 2 * np.pi, 2 * np.pi + 1e-4, 9.0]


@pytest.mark.parametrize("angle", ANGLES)
def test_gradients_are_those_of_finite_differences(device: str, angle: float) -> None:
    case = at_angle(some_case(frames=1, joints=5, rows=3), angle)
    # A GPU sums gradients in any order.
    given_ = arguments(case, device, requires_grad=True)
    assert torch.autograd.gradcheck(module(case).to(device), given_, nondet_tol=0.0 if device == "cpu" else 1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.1, np.pi, 2 * np.pi])
def test_second_derivatives_too(angle: float) -> None:
    case = at_angle(some_case(frames=1, joints=3, rows=2), angle)
    assert torch.autograd.gradgradcheck(module(case), arguments(case, requires_grad=True))


@pytest.mark.parametrize("squared", [0.0, 5e-324, 1e-20, 1e-6, 0.005, 0.01 - 1e-15, 0.01, 0.02, 0.3, 1.0])
def test_the_sine_over_its_angle(squared: float) -> None:
    """And its first two derivatives by the squared angle, against many terms of the power series."""
    series = np.polynomial.Polynomial([(-1) ** n / math.factorial(2 * n + 1) for n in range(15)])
    x = torch.tensor(squared, dtype=torch.float64, requires_grad=True)
    found = kernel._sinc(x)
    for order in range(3):
        # Above the power series, each derivative divides its rounding by the square of the angle.
        rounding = 2e-16 * (1 if squared < 0.01 else 4 * squared**-order)
        assert abs(found.item() - series.deriv(order)(squared)) <= rounding, order
        (found,) = torch.autograd.grad(found, x, create_graph=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own forward mode
def test_forward_and_batched_derivatives_too() -> None:
    case = at_angle(some_case(frames=1, joints=3, rows=2), 0.0)
    assert torch.autograd.gradcheck(
        module(case), arguments(case, requires_grad=True), check_forward_ad=True, check_batched_grad=True
    )


def test_gradients_of_a_shared_shape_and_place() -> None:
    case = some_case(frames=3, joints=4, rows=3)
    poses, trans, betas, dmpls = arguments(case)
    shared = [values.requires_grad_() for values in (poses, trans[0], betas[0], dmpls[:, :2])]
    assert torch.autograd.gradcheck(module(case), shared)


@pytest.mark.parametrize("angle", [*ANGLES, 1e-30, 1e-20, 1e-7, 20.0])
def test_gradients_in_float32(device: str, angle: float) -> None:
    case = at_angle(some_case(), angle)
    exact, found = arguments(case, requires_grad=True), arguments(case, device, requires_grad=True)
    with torch.no_grad():
        for a, b in zip(exact, found, strict=True):
            a.copy_(a.float())  # what float32 is given
            b.copy_(a)
    module(case)(*exact).square().sum().backward()
    module(case, torch.float32).to(device)(*found).square().sum().backward()
    for a, b in zip(exact, found, strict=True):
        torch.testing.assert_close(b.grad.cpu(), a.grad, rtol=1e-5, atol=1e-5 * max(1.0, float(a.grad.abs().max())))


@pytest.mark.parametrize("angle", [0.0, 1e6, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite(dtype: torch.dtype, angle: float) -> None:
    """What is not taken of two ways to compute something must not spoil the gradient of the other."""
    case = at_angle(some_case(), angle)
    poses = torch.tensor(case.poses, dtype=dtype, requires_grad=True)
    (first,) = torch.autograd.grad(module(case, dtype)(poses).square().sum(), poses, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), poses)
    assert first.isfinite().all()
    assert second.isfinite().all()


def test_a_shape_is_found_from_its_joints() -> None:
    """What the module is for: gradient descent through it, from the mean shape at rest."""
    case = some_case(frames=20, rows=8)
    poses, trans, betas, _ = arguments(case)
    joints = module(case)
    seen = joints(poses, trans=trans, betas=betas[0])
    fitted = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([fitted], max_iter=50, line_search_fn="strong_wolfe", tolerance_change=1e-18)

    def loss() -> torch.Tensor:
        descent.zero_grad()
        distance = (joints(poses, trans=trans, betas=fitted) - seen).square().sum()
        distance.backward()
        return distance

    descent.step(loss)
    torch.testing.assert_close(fitted.detach(), betas[0], rtol=0, atol=1e-5)


# Precision


class Tf32(torch.utils._python_dispatch.TorchDispatchMode):
    """Rounds what goes into float32 matrix products as a GPU does where TF32 is allowed."""

    products = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = function.overloadpacket.__name__
        assert name not in ("addmm", "bmm", "baddbmm", "mv", "dot", "linear"), "another product than is expected here"
        if name == "mm" and args[0].dtype == torch.float32:
            self.products += 1
            args = [((a.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32) for a in args]
        return function(*args, **(kwargs or {}))


def test_products_in_halves_are_right_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU computes, without one. A plain product in TF32 would not be right: or else this shows nothing."""
    case = some_case(frames=300, joints=12)
    joints, given_ = module(case, torch.float32), arguments(case)
    errors = {}
    for product in (kernel._product_in_halves, torch.matmul):
        monkeypatch.setattr(kernel, "_product", product)
        with Tf32() as mode:
            errors[product] = error(joints(*given_), through_the_mesh(case))
        assert mode.products == 1
    assert errors[kernel._product_in_halves] < 1.5e-6
    assert errors[torch.matmul] > 2e-5


def test_products_in_halves_have_the_gradient_of_a_product() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 7, generator=generator)
    columns, upstream = torch.randn(7, 3, generator=generator, requires_grad=True), torch.randn(5, 3)
    kernel._product_in_halves(matrix, columns).backward(upstream)
    torch.testing.assert_close(columns.grad, matrix.T @ upstream)
    for a, b in zip(kernel._halves(columns), kernel._halves(matrix), strict=True):
        assert a.dtype == b.dtype == torch.float32
    high, low = kernel._halves(columns)
    assert torch.equal(high + low, columns)
    assert 0 < low.abs().max() < 2**-10 * columns.abs().max()


@pytest.mark.parametrize("allowed", ["high", "medium"])
def test_coarse_products_allowed_by_the_process_change_nothing(
    device: str, precision: Callable[[str], None], allowed: str
) -> None:
    """On a CPU with bfloat16, a plain product would be wrong by 1e-3 m and more at 'medium'."""
    case = some_case(frames=300, joints=12)
    joints, given_ = module(case, torch.float32).to(device), arguments(case, device)
    shaped = fold(case.body, case.regressor).with_shape(case.betas[0])
    here = "cpu:0" if device == "cpu" else device
    exact = shaped.pose(case.poses, case.trans, case.dmpls)
    precision(allowed)
    assert error(joints(*given_), through_the_mesh(case)) < 2e-6
    assert np.abs(shaped.pose(case.poses, case.trans, case.dmpls, device=here) - exact).max() < 2e-6
    assert torch.get_float32_matmul_precision() == allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_changes_nothing(device: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    if dtype == torch.float32:
        monkeypatch.setattr(kernel, "_product", kernel._product_in_halves)  # as on a GPU
    case = some_case()
    joints, given_ = module(case, dtype).to(device), arguments(case, device)
    expected = joints(*given_)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(joints(*given_), expected)


def test_arguments_of_other_dtypes_are_taken() -> None:
    case = some_case()
    case = dataclasses.replace(case, poses=np.round(case.poses * 8) / 8)  # exact in float16
    given_ = arguments(case)
    joints = module(case)
    assert torch.equal(joints(given_[0].half(), *given_[1:]), joints(*given_))


# A module among others


@pytest.mark.parametrize("dynamic", [None, True])
def test_it_compiles_to_one_graph(dynamic: bool | None) -> None:
    case = some_case(joints=4, rows=3)
    joints = module(case)
    torch._dynamo.reset()
    compiled = torch.compile(joints, fullgraph=True, backend="eager", dynamic=dynamic)  # no C++ compiler is needed
    for size in (12, 5):
        once, again = ([a[:size].clone().requires_grad_() for a in arguments(case)] for _ in range(2))
        joints(*once).square().sum().backward()
        compiled(*again).square().sum().backward()
        for a, b in zip(once, again, strict=True):
            torch.testing.assert_close(b.grad, a.grad)
    poses = arguments(case)[0]
    torch.testing.assert_close(compiled(poses), joints(poses))


def test_it_compiles_where_products_are_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, and through autograd and functionalization."""
    monkeypatch.setattr(kernel, "_product", kernel._product_in_halves)
    case = some_case(joints=3, rows=2)
    joints, given_ = module(case, torch.float32), arguments(case)
    torch._dynamo.reset()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(joints, fullgraph=True, backend="aot_eager")(*given_), joints(*given_))


def test_it_can_be_exported() -> None:
    case = some_case(joints=4, rows=3)
    joints, given_ = module(case), arguments(case)
    frames = torch.export.Dim("frames", min=2)
    program = torch.export.export(joints, given_, dynamic_shapes=[{0: frames}] * 4)
    fewer = [values[:7] for values in given_]
    torch.testing.assert_close(program.module()(*fewer), joints(*fewer))


def test_function_transforms() -> None:
    case = some_case()
    joints, (poses, trans, betas, dmpls) = module(case), arguments(case)
    torch.testing.assert_close(
        torch.func.vmap(joints, in_dims=(0, 0, None, 0))(poses, trans, betas[0], dmpls),
        joints(poses, trans, betas[0], dmpls),
    )
    jacobians = torch.func.vmap(torch.func.jacrev(joints))(poses)
    assert jacobians.shape == (12, 5, 3, 21)
    step = 1e-6 * torch.ones_like(poses)
    torch.testing.assert_close(
        (jacobians @ step[:, None, :, None])[..., 0],
        (joints(poses + step) - joints(poses - step)) / 2,
        atol=1e-14,
        rtol=1e-5,
    )


def test_it_moves_and_is_copied(device: str) -> None:
    case = some_case()
    joints, given_ = module(case, torch.float32), arguments(case)
    expected = joints(*given_)
    assert {buffer.device.type for buffer in joints.to(device).buffers()} == {device}
    joints = joints.to("cpu")
    assert torch.equal(copy.deepcopy(joints)(*given_), expected)
    assert torch.equal(pickle.loads(pickle.dumps(joints))(*given_), expected)
    wider = joints.to(torch.float64)(*given_)
    assert wider.dtype == torch.float64
    torch.testing.assert_close(wider, expected.double(), rtol=0, atol=2e-6)  # float32's constants


def test_a_checkpoint_holds_nothing_of_the_body() -> None:
    """Body models are licensed; and a checkpoint must not bring its body along to where another is used."""
    one, other = (module(some_case(seed)) for seed in range(2))
    given_ = arguments(some_case())
    expected = other(*given_)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    assert not one.state_dict()
    assert not list(one.parameters())
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(other(*given_), expected)


def test_it_says_what_it_takes() -> None:
    assert "regressed_joints=5, pose_values=21, betas=4, dmpls=3" in repr(module(some_case()))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"poses": torch.zeros(12, 20)}, r"poses: found the shape \(12, 20\), expected \(\.\.\., 21\)"),
        ({"poses": torch.zeros(12, 7, 3)}, r"poses: found the shape \(12, 7, 3\), expected \(\.\.\., 21\)"),
        ({"poses": torch.zeros(())}, r"poses: found the shape \(\), expected \(\.\.\., 21\)"),
        ({"trans": torch.zeros(12, 1)}, r"trans: found the shape \(12, 1\), expected \(\.\.\., 3\)"),
        ({"betas": torch.zeros(())}, r"betas: found the shape \(\), expected \(\.\.\., betas\)"),
        ({"dmpls": torch.zeros(())}, r"dmpls: found the shape \(\), expected \(\.\.\., dmpls\)"),
        (
            {"trans": torch.zeros(11, 3)},
            r"batch dimensions.*poses \(12,\), trans \(11,\), betas \(12,\), dmpls \(12,\)",
        ),
        ({"betas": torch.zeros(2, 5, 4)}, r"batch dimensions.*betas \(2, 5\)"),
        ({"trans": torch.zeros(12, 3, device="meta")}, "trans: on meta, expected cpu, where the module is"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict[str, torch.Tensor], expected: str) -> None:
    case = some_case()
    given_ = dict(zip(("poses", "trans", "betas", "dmpls"), arguments(case), strict=True))
    with pytest.raises(InputError, match=expected):
        module(case)(**given_ | change)


def test_other_dtypes_are_refused() -> None:
    case = some_case()
    with pytest.raises(InputError, match=r"dtype: found torch\.float16, expected torch\.float32 or torch\.float64"):
        module(case, torch.float16)
    with pytest.raises(InputError, match=r"dtype: found torch\.float16, expected float32 or float64"):
        module(case).half()(arguments(case)[0])


# The converter's side of the kernel: see also test_folding.py


def test_blocks_and_bodies_follow_each_other(device: str) -> None:
    """Many blocks, frames in any order; and arrays that stay on the device are not taken for another body's."""
    here = "cpu:0" if device == "cpu" else device
    frames = 2 * kernel.BLOCK + 100
    case = some_case(frames=frames)
    case = dataclasses.replace(case, betas=case.betas[0])
    folded = fold(case.body, case.regressor)
    looked_at = np.random.default_rng(1).permutation(frames)[: frames - 50]
    for betas in (case.betas, -case.betas, case.betas):
        shaped = folded.with_shape(betas)
        for dmpls in (case.dmpls, case.dmpls, None, case.dmpls[:, :1]):
            expected = shaped.pose(case.poses, case.trans, dmpls, looked_at=looked_at)
            found = shaped.pose(case.poses, case.trans, dmpls, looked_at=looked_at, device=here)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_body_is_put_on_the_device_once(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = "cpu:0" if device == "cpu" else device
    made: list[kernels.Body] = []

    class Counted(kernel.Posing):
        def __init__(self, body: kernels.Body) -> None:
            made.append(body)
            super().__init__(body)

    monkeypatch.setattr(kernel, "Posing", Counted)
    case = some_case()
    folded = fold(case.body, case.regressor)
    for seed in range(3):
        shaped = folded.with_shape(case.betas[seed])
        for _ in range(3):
            shaped.pose(case.poses, case.trans, case.dmpls, device=here)
        assert len(made) == seed + 1


def test_threads_do_not_disturb_each_other(device: str) -> None:
    here = "cpu:0" if device == "cpu" else device
    shaped: list[tuple[ShapedBody, Case]] = []
    for seed in range(4):
        case = some_case(seed, frames=500)
        shaped.append((fold(case.body, case.regressor).with_shape(case.betas[0]), case))

    def pose(job: int) -> np.ndarray:
        body, case = shaped[job % 4]
        return body.pose(case.poses, case.trans, case.dmpls, device=here)

    alone = [pose(job) for job in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for job, joints in enumerate(pool.map(pose, range(40))):
            np.testing.assert_array_equal(joints, alone[job % 4])
