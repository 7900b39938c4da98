"""Body model files and joint regressor files: what is read, what is refused, what is said."""

import pickle
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from amass_joints.body_models import GENDERS, SMPLH, SMPLX, body_model_files, find_body_models, load_body_model
from amass_joints.errors import InputError
from amass_joints.regressors import load_regressor


def small_model(joints: int = 52, vertices: int = 6890, **changes: Any) -> dict[str, np.ndarray]:
    """The arrays of a body model file; pose blend shapes as one repeated zero, so that tests stay quick."""
    parents = np.arange(-1, joints - 1)
    arrays = {
        "v_template": np.zeros((vertices, 3)),
        "shapedirs": np.zeros((vertices, 3, 2)),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1)), np.float16),
        "J_regressor": np.full((joints, vertices), 1 / vertices),
        "weights": np.full((vertices, joints), 1 / joints),
        "kintree_table": np.stack([parents, np.arange(joints)]),
    } | changes
    return {name: array for name, array in arrays.items() if array is not None}


def write(path: Path, arrays: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


# --------------------------------------------------------------------------------------------- body models


@pytest.mark.parametrize("gender", GENDERS)
def test_a_body_model_in_the_published_format(support_data: Path, gender: str) -> None:
    directory = support_data / "body_models"
    body = load_body_model(directory / "smplh" / gender / "model.npz", directory / "dmpls" / gender / "model.npz")
    with np.load(directory / "smplh" / gender / "model.npz") as file:
        np.testing.assert_array_equal(body.posedirs, file["posedirs"])
        np.testing.assert_array_equal(body.parents[1:], file["kintree_table"][0, 1:])
    with np.load(directory / "dmpls" / gender / "model.npz") as file:
        np.testing.assert_array_equal(body.dmpldirs, file["eigvec"][:, :, :8])
    assert body.parents[0] == -1
    assert load_body_model(directory / "smplh" / gender / "model.npz").dmpldirs.shape == (6890, 3, 0)


@pytest.mark.parametrize(
    "kintree_table",
    [
        np.array([[2**32 - 1, 0, 0]] * 2, np.uint32),
        np.array([[2**32 - 1, 0, 0]] * 2),
        np.array([[-1, 0, 0]] * 2, np.int32),
    ],
)
def test_every_way_to_write_the_root(tmp_path: Path, kintree_table: np.ndarray) -> None:
    model = write(tmp_path / "model.npz", small_model(joints=3, vertices=5, kintree_table=kintree_table))
    assert load_body_model(model).parents.tolist() == [-1, 0, 0]


@pytest.mark.parametrize(
    ("place", "model_type", "joints", "gender"),
    [
        ("smplh/SMPLH_male.pkl", "smplh", 52, "male"),
        ("SMPLH_FEMALE.PKL", "smplh", 52, "female"),
        ("smpl/basicModel_f_lbs_10_207_0_v1.0.0.pkl", "smpl", 24, "female"),
        ("smpl/neutral/model.pkl", "smpl", 24, "neutral"),
    ],
)
def test_a_pickled_model_is_what_the_same_arrays_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, model_type: str, joints: int, gender: str
) -> None:
    rng = np.random.default_rng(0)
    arrays = small_model(joints, v_template=rng.normal(size=(6890, 3)), shapedirs=rng.normal(size=(6890, 3, 10)))
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    chumpy = types.ModuleType("chumpy.ch")
    chumpy.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", chumpy)
    wrapped = chumpy.Ch()
    wrapped.x = arrays["shapedirs"]
    rest_joints = sparse.csc_matrix(arrays["J_regressor"])
    published = arrays | {"shapedirs": wrapped, "J_regressor": rest_joints, "bs_type": "lrotmin"}
    path.write_bytes(pickle.dumps(published, protocol=2))
    assert body_model_files(tmp_path, dmpls=False)[model_type, gender].body == path
    body, expected = load_body_model(path), load_body_model(write(tmp_path / "model.npz", arrays))
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "parents"):
        np.testing.assert_array_equal(getattr(body, name), getattr(expected, name))
    other = SMPLX if model_type == "smplh" else SMPLH
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: an SMPL(\+H)? model .* expected SMPL"):
        load_body_model(path, expected=other)


def test_a_pickle_that_asks_for_code_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match=r"not a usable body model: it asks for os\.system"):
        load_body_model(tmp_path / "model.pkl")


def test_more_dmpls_than_amass_uses(tmp_path: Path) -> None:
    eigvec = np.random.default_rng(0).normal(size=(5, 3, 300))
    model = write(tmp_path / "model.npz", small_model(joints=3, vertices=5))
    body = load_body_model(model, write(tmp_path / "dmpls.npz", {"eigvec": eigvec}))
    np.testing.assert_array_equal(body.dmpldirs, eigvec[:, :, :8])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, r"it lacks weights \(it has .*\)\. SMPL\+H .* is at https://mano"),
        ({"v_template": None, "eigvec": np.zeros((5, 3, 8))}, r"a DMPL file, which belongs in dmpls/"),
        ({"weights": np.zeros((5, 4))}, r"its weights has the shape \(5, 4\), expected \(5, 3\)"),
        ({"posedirs": np.zeros((5, 3, 19))}, r"its posedirs has the shape \(5, 3, 19\), expected \(5, 3, 18\)"),
        ({"shapedirs": np.zeros((5, 3))}, r"its shapedirs has the shape \(5, 3\)"),
        ({"J_regressor": np.zeros((3, 4))}, r"its J_regressor has the shape \(3, 4\), expected \(3, 5\)"),
        ({"kintree_table": np.zeros((3,), int)}, r"kintree_table"),
        ({"kintree_table": np.array([[-1, 2, 1]] * 2)}, r"not a tree with root 0: \[-1, 2, 1\]"),
        ({"kintree_table": np.array([[0, 0, 0]] * 2)}, r"not a tree"),
        ({"kintree_table": np.array([[-1, 0, 3]] * 2)}, r"not a tree"),
        ({"kintree_table": np.array([[-1, -1, 0]] * 2)}, r"not a tree"),
        ({"kintree_table": np.array([[-1.0, 0, 0]] * 2)}, r"expected integers, found float64"),
        ({"v_template": np.full((5, 3), np.nan)}, r"its v_template holds values that are not finite"),
        ({"weights": np.zeros((5, 3), "U1")}, r"array 'weights': expected real numbers"),
        ({"J_regressor": np.array([None])}, r"pickled Python objects, which are never loaded"),
    ],
)
def test_a_wrong_body_model_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = write(tmp_path / "model.npz", small_model(joints=3, vertices=5, **changes))
    with pytest.raises(InputError, match=message) as caught:
        load_body_model(model)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (small_model(), r"an SMPL\+H model, which belongs in smplh/.*--no-dmpls"),
        (small_model(joints=24), r"an SMPL model, which belongs in smpl/"),
        (small_model(joints=3, vertices=5), r"a body model: expected the array eigvec"),
        ({"something": np.zeros(3)}, r"not a DMPL file: expected the array eigvec"),
        ({"eigvec": np.zeros((5, 3, 7))}, r"its eigvec has the shape \(5, 3, 7\), expected \(5, 3, 8 to 1000\)"),
        ({"eigvec": np.zeros((4, 3, 8))}, r"its eigvec has the shape \(4, 3, 8\), expected \(5, 3, 8 to 1000\)"),
    ],
)
def test_wrong_dmpls_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    model = write(tmp_path / "model.npz", small_model(joints=3, vertices=5))
    with pytest.raises(InputError, match=message):
        load_body_model(model, write(tmp_path / "dmpls.npz", arrays))


def test_a_truncated_body_model_is_refused(tmp_path: Path) -> None:
    model = write(tmp_path / "model.npz", small_model(joints=3, vertices=5))
    model.write_bytes(model.read_bytes()[:700])
    with pytest.raises(InputError, match=r"not a usable body model: broken or truncated"):
        load_body_model(model)


def test_looking_for_body_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMASS_JOINTS_BODY_MODELS", raising=False)
    places = {
        "given": tmp_path / "given",
        "environment": tmp_path / "environment",
        "beside": tmp_path / "support/body_models",
        "here": tmp_path / "here/support_data/body_models",
        "above": tmp_path / "support_data/body_models",
    }
    for place in places.values():
        (place / "smplh").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    regressor = tmp_path / "support/J_regressor_h36m.npy"

    monkeypatch.setenv("AMASS_JOINTS_BODY_MODELS", str(places["environment"]))
    assert find_body_models(places["given"], regressor) == places["given"]
    assert find_body_models(None, regressor) == places["environment"]
    monkeypatch.delenv("AMASS_JOINTS_BODY_MODELS")
    for name in ("beside", "here", "above"):
        assert find_body_models(None, regressor).resolve() == places[name]
        shutil.rmtree(places[name])
    with pytest.raises(InputError, match=r"body models not found: looked for .*support/body_models/smplh"):
        find_body_models(None, regressor)


@pytest.mark.parametrize(("given", "source"), [(True, "--body-models"), (False, r"\$AMASS_JOINTS_BODY_MODELS")])
def test_a_named_directory_that_is_wrong_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool, source: str
) -> None:
    (tmp_path / "body_models/smplh").mkdir(parents=True)
    monkeypatch.setenv("AMASS_JOINTS_BODY_MODELS", str(tmp_path / "typo"))
    with pytest.raises(InputError, match=rf"body models not found \({source}\): looked for .*typo"):
        find_body_models(tmp_path / "typo" if given else None, tmp_path / "J.npy")


def test_missing_files_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no complete body model in .*smplh/male/model.npz"):
        body_model_files(tmp_path, dmpls=True)
    write(tmp_path / "smplh/male/model.npz", small_model())
    with pytest.raises(InputError, match=r"pass --no-dmpls to convert without soft tissue"):
        body_model_files(tmp_path, dmpls=True)
    files = body_model_files(tmp_path, dmpls=False)["smplh", "male"]
    assert (files.body.is_file(), files.dmpls) == (True, None)


def test_dmpls_of_another_body_are_refused_before_any_sequence(tmp_path: Path) -> None:
    write(tmp_path / "smplh/male/model.npz", small_model())
    write(tmp_path / "dmpls/male/model.npz", {"eigvec": np.zeros((10475, 3, 8))})
    with pytest.raises(InputError, match=r"\(10475, 3, 8\), expected \(6890, 3, 8 to 1000\)"):
        body_model_files(tmp_path, dmpls=True)


def test_another_kind_of_model_is_refused_before_any_sequence(tmp_path: Path) -> None:
    write(tmp_path / "smplh/male/model.npz", small_model(joints=24))
    expected = (
        r"an SMPL model \(6890 vertices and 24 joints\), which belongs in smpl/; expected SMPL\+H with 6890 and 52"
    )
    with pytest.raises(InputError, match=expected):
        body_model_files(tmp_path, dmpls=False)


# ------------------------------------------------------------------------------------------- joint regressors


def matrix(rows: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 6890)) * (rng.random((rows, 6890)) < 0.01)


@pytest.mark.parametrize("rows", [1, 17, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_regressors_of_any_layout(tmp_path: Path, rows: int, dtype: Any, order: Any) -> None:
    expected = np.asarray(matrix(rows), dtype)
    np.save(tmp_path / "J.npy", np.asarray(expected, order=order))
    np.testing.assert_array_equal(load_regressor(tmp_path / "J.npy").matrix, expected)


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_sparse_regressors(tmp_path: Path, layout: str) -> None:
    sparse.save_npz(tmp_path / "J.npz", sparse.coo_array(matrix()).asformat(layout))
    np.testing.assert_array_equal(load_regressor(tmp_path / "J.npz").matrix, matrix())


def test_entries_named_twice_add_up_as_in_scipy(tmp_path: Path) -> None:
    twice = sparse.coo_array((np.array([1.0, 2.0]), ([0, 0], [5, 5])), shape=(1, 6890))
    sparse.save_npz(tmp_path / "J.npz", twice)
    assert load_regressor(tmp_path / "J.npz").matrix[0, 5] == 3


def test_an_archive_of_one_array_is_a_regressor(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "J.npz", whatever=matrix())
    np.testing.assert_array_equal(load_regressor(tmp_path / "J.npz").matrix, matrix())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((6890, 17)), r"its shape is \(6890, 17\).*It is transposed: save its \.T instead"),
        (np.zeros((17, 6891)), r"its shape is \(17, 6891\); expected a matrix of shape \(joints, 6890 or 10475\)"),
        (np.zeros(6890), r"its shape is \(6890,\)"),
        (np.zeros((0, 6890)), r"its shape is \(0, 6890\)"),
        (np.full((1, 6890), np.inf), r"not finite"),
        (np.zeros((1, 6890), complex), r"expected real numbers, found complex128"),
        (np.array([{}]), r"pickled Python objects, which are never loaded"),
    ],
)
def test_a_wrong_regressor_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "J.npy", array)
    with pytest.raises(InputError, match=message) as caught:
        load_regressor(tmp_path / "J.npy")
    assert str(tmp_path / "J.npy") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.npy", None, "cannot be read: No such file"),
        ("J.npy", b"", "not that of a NumPy array"),
        ("J.npy", b"\x80\x04\x95 a pickle", "not that of a NumPy array"),
        ("J.npz", b"PK\x03\x04 and no more", "broken or truncated"),
    ],
)
def test_an_unreadable_regressor_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_regressor(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": b"dia"}, "in the format 'dia', expected csr, csc or coo"),
        ({"row": np.array([0, 9])}, "not a valid sparse matrix"),
        ({"row": np.array([0, -1])}, "not a valid sparse matrix"),
        ({"row": np.array([0.0, 1.0])}, "not a valid sparse matrix"),
        ({"shape": np.array([2**40, 6890])}, r"\(1099511627776, 6890\).*more joints than vertices"),
        ({"col": None}, "no array 'col'"),
    ],
)
def test_a_broken_sparse_matrix_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arrays = {
        "format": b"coo",
        "shape": np.array([2, 6890]),
        "data": np.array([1.0, 2.0]),
        "row": np.array([0, 1]),
        "col": np.array([7, 8]),
    } | changes
    write(tmp_path / "J.npz", {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=message):
        load_regressor(tmp_path / "J.npz")
