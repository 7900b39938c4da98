"""Bodies other than SMPL+H: SMPL-X and SMPL; where their files are and what they are called; joints of the tree."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import amass_joints as aj
from amass_files import write_sequence
from amass_joints import mesh
from amass_joints.conversion import Settings
from amass_joints.convert import convert_tree
from amass_joints.report import Report

# The trees, written down once more: a test that takes them from the program would agree with any mistake.
BODY = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]


def hand(wrist: int, first: int) -> list[int]:
    return [place - 1 if (place - first) % 3 else wrist for place in range(first, first + 15)]


PARENTS = {
    "smpl": np.array([*BODY, 20, 21]),
    "smplh": np.array([*BODY, *hand(20, 22), *hand(21, 37)]),
    "smplx": np.array([*BODY, 15, 15, 15, *hand(20, 25), *hand(21, 40)]),
}
VERTICES = {"smpl": 6890, "smplh": 6890, "smplx": 10475}
FRAMES = 10

Arrays = dict[str, np.ndarray]


def model_arrays(kind: str, *, betas: int, seed: int) -> Arrays:
    """A random model in its published shapes; two hundred vertices make its joints, and are made to move."""
    rng = np.random.default_rng(seed)
    vertices, parents = VERTICES[kind], PARENTS[kind]
    joints = len(parents)
    chosen = chosen_vertices(kind)
    arrays = {
        "v_template": rng.normal(0, 0.4, (vertices, 3)),
        "shapedirs": np.zeros((vertices, 3, betas), np.float32),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1)), np.float32),
        "J_regressor": np.zeros((joints, vertices)),
        "weights": np.zeros((vertices, joints)),
        "kintree_table": np.stack([parents, np.arange(joints)]).astype(np.int64),
        "f": rng.integers(0, vertices, (20, 3)).astype(np.uint32),
    }
    arrays["shapedirs"][chosen] = rng.normal(0, 0.02, (len(chosen), 3, betas))
    some = chosen[::4]
    arrays["posedirs"][some] = rng.normal(0, 0.005, (len(some), 3, 9 * (joints - 1)))
    arrays["J_regressor"][:, chosen] = rng.dirichlet(np.full(len(chosen), 0.1), joints)
    arrays["weights"][np.arange(vertices), rng.integers(joints, size=vertices)] = 1
    arrays["weights"][chosen] = rng.dirichlet(np.full(joints, 0.2), len(chosen))
    if kind == "smplx":  # what else SMPL-X's files hold: among them pickled objects, which nobody needs
        arrays |= {
            "joint2num": np.array({"Pelvis": 0}, dtype=object),
            "part2num": np.array({"Global": 0}, dtype=object),
            "hands_componentsl": np.zeros((45, 45)),
            "hands_meanl": np.zeros(45),
            "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
            "lmk_bary_coords": np.zeros((51, 3)),
        }
        arrays["kintree_table"][0, 0] = 4294967295
    return arrays


def chosen_vertices(kind: str) -> np.ndarray:
    return np.random.default_rng(77).choice(VERTICES[kind], 200, replace=False)


def regressor_matrix(vertices: int) -> np.ndarray:
    """Seventeen rows on vertices that matter; their sums are not quite 1."""
    rng = np.random.default_rng(vertices)
    matrix = np.zeros((17, vertices))
    for row in matrix:
        some = rng.choice(chosen_vertices("smplx" if vertices == 10475 else "smpl"), 6, replace=False)
        row[some] = rng.normal(1 / 6, 0.1, 6)
        row[:] *= 0.9997 / row.sum()
    return matrix


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, support_data: Path) -> Path:
    """Files for tests to put where they belong, and where not: the models, male, and regressors."""
    directory = tmp_path_factory.mktemp("files")
    np.savez_compressed(directory / "smplx.npz", **model_arrays("smplx", betas=400, seed=1))
    np.savez_compressed(directory / "smplx_old.npz", **model_arrays("smplx", betas=20, seed=1))
    np.savez_compressed(directory / "smpl.npz", **model_arrays("smpl", betas=10, seed=2))
    (directory / "smplh.npz").symlink_to(support_data / "body_models/smplh/male/model.npz")
    (directory / "dmpls.npz").symlink_to(support_data / "body_models/dmpls/male/model.npz")
    for vertices in (6890, 10475):
        np.save(directory / f"regressor_{vertices}.npy", regressor_matrix(vertices))
    return directory


def place(directory: Path, files: Path, **places: str) -> Path:
    """Make a directory of models: the file of each name, at each of its places."""
    for name, where in places.items():
        for path in where.split():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).symlink_to(files / f"{name}.npz")
    return directory


USUAL = {
    "smplh": "smplh/male/model.npz",
    "dmpls": "dmpls/male/model.npz",
    "smplx": "smplx/male/model.npz",
    "smpl": "smpl/male/model.npz",
}


@pytest.fixture
def models(tmp_path: Path, files: Path) -> Path:
    """Every model where it belongs."""
    return place(tmp_path / "models", files, **USUAL)


# ------------------------------------------------------------------------------------------------ sequences


def motion(kind: str, seed: int = 0, frames: int = FRAMES, **changes: Any) -> Arrays:
    """The arrays of a sequence in the published format of its kind."""
    rng = np.random.default_rng(seed)
    joints = len(PARENTS[kind])
    poses = rng.normal(0, 0.5, (frames, 3 * joints))
    poses[0], poses[1, 3:6] = 0, [np.pi, 0, 0]
    arrays: dict[str, Any] = {
        "poses": poses,
        "trans": rng.normal(0, 1, (frames, 3)),
        "betas": rng.normal(0, 1, {"smpl": 10}.get(kind, 16)),
        "gender": "male",
    }
    if kind == "smplx":
        stops = np.cumsum([3, 63, 3, 6, 90])[:-1]
        names = ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")
        arrays |= dict(zip(names, np.split(poses, stops, axis=1), strict=True))
        arrays |= {
            "surface_model_type": "smplx",
            "mocap_frame_rate": 120.0,
            "mocap_time_length": frames / 120,
            "num_betas": 16,
            "markers_latent": rng.normal(size=(3, 3)),
            "latent_labels": np.array(["C7", "CLAV", "LANK"]),
            "markers_latent_vids": np.array({"C7": 3832}, dtype=object),
        }
    else:
        arrays |= {"dmpls": rng.normal(0, 0.5, (frames, 8)), "mocap_framerate": 120.0}
    return {name: np.asarray(array) for name, array in (arrays | changes).items() if array is not None}


def write_motion(path: Path, arrays: Arrays) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


NAMES = {"smplh": "x_poses", "smplx": "x_stageii", "smpl": "y_poses"}


def a_tree(root: Path, *kinds: str, **changes: Any) -> Path:
    for number, kind in enumerate(kinds):
        write_motion(root / f"D/s/{NAMES[kind]}.npz", motion(kind, number, **changes))
    return root


def convert(amass: Path, out: Path, models: Path, regressor: Path | None = None, **options: Any) -> Report:
    return convert_tree(amass, out, regressor, body_models=models, **{"workers": 1} | options)


def positions(out: Path, kind: str) -> np.ndarray:
    array: np.ndarray = aj.load(out / "D.npz")["s"][NAMES[kind]]["positions_3d"]
    return array


def reference(arrays: Arrays, model: Arrays, matrix: np.ndarray, *, dmpls: np.ndarray | None = None) -> np.ndarray:
    """The slow float64 mesh, on a model that no code of the program has read."""
    parents = model["kintree_table"][0].astype(np.int64)
    parents[0] = -1
    body = aj.BodyModel(
        **{name: model[name].astype(np.float64) for name in ("v_template", "shapedirs", "posedirs")},
        **{name: model[name].astype(np.float64) for name in ("J_regressor", "weights")},
        dmpldirs=np.zeros((len(model["v_template"]), 3, 0)) if dmpls is None else dmpls,
        parents=parents,
    )
    soft = None if dmpls is None else arrays["dmpls"]
    vertices = mesh.pose_mesh(body, arrays["betas"].astype(float), arrays["poses"], arrays["trans"], soft)
    return mesh.regress(aj.JointRegressor(matrix), vertices)


def shape_alone(model: Arrays, count: int) -> Arrays:
    return model | {"shapedirs": model["shapedirs"][:, :, :count]}


# --------------------------------------------------------------------------------------------------- SMPL-X


@pytest.mark.parametrize(("name", "betas", "shape"), [("smplx", 400, 300), ("smplx_old", 20, 10)])
@pytest.mark.parametrize("given", [10, 16, 310])
def test_smplx_against_the_mesh(tmp_path: Path, files: Path, name: str, betas: int, shape: int, given: int) -> None:
    """Shape and expression are split as published: betas never reach the expression's displacements."""
    coefficients = np.random.default_rng(given).normal(0, 0.5, given)
    amass = a_tree(tmp_path / "amass", "smplx", betas=coefficients, frames=3)
    models = place(tmp_path / "models", files, **{name: USUAL["smplx"]})
    report = convert(amass, tmp_path / "out", models, files / "regressor_10475.npy")
    (converted,) = report.total.converted
    assert (converted.model_type, converted.soft_tissue, converted.frame_rate) == ("smplx", False, 120.0)
    model = shape_alone(model_arrays("smplx", betas=betas, seed=1), shape)
    arrays = motion("smplx", 0, betas=coefficients, frames=3)
    expected = reference(arrays, model, regressor_matrix(10475))
    np.testing.assert_allclose(positions(tmp_path / "out", "smplx"), expected, rtol=0, atol=1e-5)


def test_expression_is_left_out_of_the_loaded_model(files: Path) -> None:
    assert aj.load_body_model(files / "smplx.npz").shapedirs.shape == (10475, 3, 300)
    assert aj.load_body_model(files / "smplx_old.npz").shapedirs.shape == (10475, 3, 10)


@pytest.mark.parametrize(
    "where",
    [
        "smplx/male/model.npz",
        "smplx/SMPLX_MALE.npz",
        "SMPLX_MALE.npz",
        "smplx/SMPLX_male.npz",
    ],
)
def test_places_of_smplx(tmp_path: Path, files: Path, where: str) -> None:
    amass = a_tree(tmp_path / "amass", "smplx")
    models = place(tmp_path / "models", files, smplx_old=where)
    report = convert(amass, tmp_path / "out", models, files / "regressor_10475.npy")
    assert len(report.total.converted) == 1, report.skipped
    assert models / where in report.inputs


def test_smplx_neutral_in_the_directory_itself(tmp_path: Path, files: Path) -> None:
    amass = a_tree(tmp_path / "amass", "smplx", gender="neutral")
    models = place(tmp_path / "models", files, smplx_old="SMPLX_NEUTRAL.npz")
    report = convert(amass, tmp_path / "out", models, files / "regressor_10475.npy")
    (converted,) = report.total.converted
    assert converted.gender == "neutral"
    model = shape_alone(model_arrays("smplx", betas=20, seed=1), 10)
    expected = reference(motion("smplx", 0), model, regressor_matrix(10475))
    np.testing.assert_allclose(positions(tmp_path / "out", "smplx"), expected, rtol=0, atol=1e-5)


def test_models_are_found_without_being_named(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, and beside the regressor, where there is nothing of SMPL+H."""
    amass = a_tree(tmp_path / "amass", "smplx")
    models = place(tmp_path / "here/body_models", files, smplx_old="SMPLX_MALE.npz")
    shutil.copy(files / "regressor_10475.npy", tmp_path / "here/regressor.npy")
    convert_tree(amass, tmp_path / "out1", tmp_path / "here/regressor.npy")
    monkeypatch.setenv("AMASS_JOINTS_BODY_MODELS", str(models))
    convert_tree(amass, tmp_path / "out2", files / "regressor_10475.npy")
    assert (tmp_path / "out1/D.npz").read_bytes() == (tmp_path / "out2/D.npz").read_bytes()


def test_a_regressor_for_the_other_number_of_vertices(tmp_path: Path, files: Path, models: Path) -> None:
    """Without the map from one mesh to the other, what it does not fit is skipped, with what to do."""
    amass = a_tree(tmp_path / "amass", "smplh", "smplx", "smpl")
    for vertices, fitting in ((6890, ["smplh", "smpl"]), (10475, ["smplx"])):
        out = tmp_path / str(vertices)
        report = convert(amass, out, models, files / f"regressor_{vertices}.npy", prefer="smplx")
        taken = {"smplx", "smpl"}
        assert [one.model_type for one in report.total.converted] == [kind for kind in fitting if kind in taken]
        (skipped,) = report.skipped
        assert str(vertices) in skipped.reason
        assert str(6890 + 10475 - vertices) in skipped.reason
        assert ("smplx2smpl_deftrafo_setup.pkl" in skipped.reason) == (vertices == 6890)


def test_smplh_and_smplx_in_one_run(tmp_path: Path, files: Path, models: Path) -> None:
    amass = a_tree(tmp_path / "amass", "smplh", "smpl")
    write_motion(amass / "E/s/z_stageii.npz", motion("smplx", 5))
    report = convert(amass, tmp_path / "out", models, joints="body", workers=3)
    assert {one.name: one.model_type for one in report.total.converted} == {
        "s/x_poses": "smplh",
        "s/y_poses": "smpl",
        "s/z_stageii": "smplx",
    }


# ----------------------------------------------------------------------------------------------------- SMPL


@pytest.mark.parametrize("soft_tissue", [False, True])
def test_smpl_against_the_mesh(tmp_path: Path, files: Path, models: Path, soft_tissue: bool) -> None:
    amass = a_tree(tmp_path / "amass", "smpl")
    settings = Settings(dmpls=soft_tissue)
    report = convert(amass, tmp_path / "out", models, files / "regressor_6890.npy", settings=settings)
    (converted,) = report.total.converted
    assert (converted.model_type, converted.soft_tissue) == ("smpl", soft_tissue)
    with np.load(files / "dmpls.npz") as npz:
        dmpls = npz["eigvec"][:, :, :8]
    model = model_arrays("smpl", betas=10, seed=2)
    expected = reference(motion("smpl", 0), model, regressor_matrix(6890), dmpls=dmpls if soft_tissue else None)
    np.testing.assert_allclose(positions(tmp_path / "out", "smpl"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("where", ["smpl/male/model.npz", "smpl/SMPL_MALE.npz", "SMPL_MALE.npz"])
def test_places_of_smpl(tmp_path: Path, files: Path, where: str) -> None:
    """And where there are no DMPLs of SMPL, that does not stop SMPL without them."""
    amass = a_tree(tmp_path / "amass", "smpl", dmpls=None)
    models = place(tmp_path / "models", files, smpl=where)
    report = convert(amass, tmp_path / "out", models, files / "regressor_6890.npy")
    assert len(report.total.converted) == 1


@pytest.mark.parametrize("where", ["smplh/male/model.npz", "smplh/SMPLH_MALE.npz", "SMPLH_male.npz"])
def test_places_of_smplh(tmp_path: Path, files: Path, where: str) -> None:
    amass = a_tree(tmp_path / "amass", "smplh")
    usual = place(tmp_path / "usual", files, smplh=USUAL["smplh"], dmpls=USUAL["dmpls"])
    models = place(tmp_path / "models", files, smplh=where, dmpls=USUAL["dmpls"])
    for directory, out in ((usual, "out1"), (models, "out2")):
        convert(amass, tmp_path / out, directory, files / "regressor_6890.npy")
    assert (tmp_path / "out1/D.npz").read_bytes() == (tmp_path / "out2/D.npz").read_bytes()


# -------------------------------------------------------------------------- wrong files, and files not there


@pytest.mark.parametrize(
    ("places", "path", "is_a", "belongs"),
    [
        ({"smplh": "smplh/male/model.npz dmpls/male/model.npz"}, "dmpls/male/model.npz", "SMPL+H", "smplh/"),
        ({"smpl": "smplh/male/model.npz"}, "smplh/male/model.npz", "SMPL", "smpl/"),
        ({"smplx_old": "smplh/male/model.npz"}, "smplh/male/model.npz", "SMPL-X", "smplx/"),
        ({"smplh": "smplx/male/model.npz"}, "smplx/male/model.npz", "SMPL+H", "smplh/"),
        ({"smpl": "smplh/male/model.npz", "dmpls": USUAL["dmpls"]}, "smplh/male/model.npz", "SMPL", "smpl/"),
        ({"smplx_old": "smplh/male/model.npz", "dmpls": USUAL["dmpls"]}, "smplh/male/model.npz", "SMPL-X", "smplx/"),
        ({"dmpls": "smplh/male/model.npz dmpls/male/model.npz"}, "smplh/male/model.npz", "DMPL", "dmpls/"),
        ({"smplh": "dmpls/male/model.npz"}, "dmpls/male/model.npz", "SMPL+H", "smplh/"),
        ({"smpl": "smplx/SMPLX_MALE.npz"}, "smplx/SMPLX_MALE.npz", "SMPL", "smpl/"),
        ({"smplx_old": "smpl/SMPL_MALE.npz"}, "smpl/SMPL_MALE.npz", "SMPL-X", "smplx/"),
        ({"dmpls": "smplh/male/model.npz"}, "smplh/male/model.npz", "DMPL", "dmpls/"),
        ({"dmpls": "smplx/male/model.npz"}, "smplx/male/model.npz", "DMPL", "dmpls/"),
        (
            {"smplh": "smplh/male/model.npz", "smplx_old": "dmpls/male/model.npz"},
            "dmpls/male/model.npz",
            "SMPL-X",
            "smplx/",
        ),
        # under their own names, in other folders
        ({"smplx_old": "smplh/SMPLX_MALE.npz"}, "smplh/SMPLX_MALE.npz", "SMPL-X", "smplx/"),
        ({"smpl": "smplh/SMPL_MALE.npz"}, "smplh/SMPL_MALE.npz", "SMPL", "smpl/"),
        ({"smplx_old": "smplh/SMPLX_MALE.npz", "dmpls": USUAL["dmpls"]}, "smplh/SMPLX_MALE.npz", "SMPL-X", "smplx/"),
        ({"smplh": "smplh/male/model.npz dmpls/SMPLH_male.npz"}, "dmpls/SMPLH_male.npz", "SMPL+H", "smplh/"),
    ],
)
def test_a_wrong_file_in_a_wrong_place_is_told_so(
    tmp_path: Path, files: Path, places: dict[str, str], path: str, is_a: str, belongs: str
) -> None:
    amass = a_tree(tmp_path / "amass", "smplh")
    models = place(tmp_path / "models", files, **places)
    with pytest.raises(aj.InputError) as caught:
        convert(amass, tmp_path / "out", models, files / "regressor_6890.npy")
    message = str(caught.value)
    assert message.startswith(str(models / path))
    assert f"{is_a} " in message
    assert f"belongs in {belongs}" in message
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_the_gender_of_a_wrong_file_does_not_matter(tmp_path: Path, files: Path) -> None:
    """Not looked at: whether another gender is used."""
    amass = a_tree(tmp_path / "amass", "smplh")
    models = place(tmp_path / "models", files, **USUAL | {"smpl": "smplh/female/model.npz"})
    with pytest.raises(aj.InputError, match=r"smplh/female/model.npz: an SMPL model .* belongs in smpl/"):
        convert(amass, tmp_path / "out", models, files / "regressor_6890.npy")


def test_without_dmpls_nobody_looks_at_them(tmp_path: Path, files: Path) -> None:
    amass = a_tree(tmp_path / "amass", "smplh")
    models = place(tmp_path / "models", files, smplh="smplh/male/model.npz dmpls/male/model.npz")
    report = convert(amass, tmp_path / "out", models, files / "regressor_6890.npy", settings=Settings(dmpls=False))
    assert len(report.total.converted) == 1


@pytest.mark.parametrize(
    ("there", "kind", "missing"),
    [
        ({"smplh", "dmpls"}, "smplx", "smplx/male/model.npz"),
        ({"smplh", "dmpls"}, "smpl", "smpl/male/model.npz"),
        ({"smplx"}, "smplh", "smplh/male/model.npz"),
        ({"smplx", "smplh"}, "smplh", "dmpls/male/model.npz"),
        ({"smpl"}, "smplx", "smplx/male/model.npz"),
    ],
)
def test_what_has_no_model_is_skipped_with_what_to_do(
    tmp_path: Path, files: Path, there: set[str], kind: str, missing: str
) -> None:
    other = "smplx" if "smplx" in there else "smpl" if "smpl" in there else "smplh"
    amass = a_tree(tmp_path / "amass", kind)
    write_motion(amass / f"E/s/{NAMES[other]}.npz", motion(other))
    models = place(tmp_path / "models", files, **{name: where for name, where in USUAL.items() if name in there})
    if other == "smpl":  # whose motion here has soft tissue
        place(models, files, dmpls=USUAL["dmpls"])
    report = convert(amass, tmp_path / "out", models, joints="body")
    assert [one.model_type for one in report.total.converted] == [other]
    (skipped,) = report.skipped
    assert skipped.name == f"D/s/{NAMES[kind]}"
    assert str(models / missing) in skipped.reason
    assert "Put the male model there" in skipped.reason


# ------------------------------------------------------------------------------------ joints of the tree


def forward_kinematics(arrays: Arrays, model: Arrays, dmpls: np.ndarray | None, shape: int) -> np.ndarray:
    """Joints of the tree from 4x4 matrices."""
    mesh_at_rest = model["v_template"].astype(float)
    count = min(shape, len(arrays["betas"]))
    mesh_at_rest = mesh_at_rest + model["shapedirs"][:, :, :count].astype(float) @ arrays["betas"][:count]
    parents = model["kintree_table"][0].astype(np.int64)
    frames = []
    for frame, (pose, trans) in enumerate(zip(arrays["poses"], arrays["trans"], strict=True)):
        moved = mesh_at_rest if dmpls is None else mesh_at_rest + dmpls @ arrays["dmpls"][frame]
        rest = model["J_regressor"].astype(float) @ moved
        world: list[np.ndarray] = []
        for joint, rotation_vector in enumerate(pose.reshape(-1, 3)):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix()
            local[:3, 3] = rest[joint] - (rest[parents[joint]] if joint else 0)
            world.append(world[parents[joint]] @ local if joint else local)
        frames.append([matrix[:3, 3] + trans for matrix in world])
    return np.array(frames)


ORDER = {  # the joints of a set, as indices of the model's own
    ("body", "smpl"): [*range(22)],
    ("body", "smplh"): [*range(22)],
    ("body", "smplx"): [*range(22)],
    ("smplh", "smplh"): [*range(52)],
    ("smplh", "smplx"): [*range(22), *range(25, 55)],
    ("smplx", "smplx"): [*range(55)],
}


@pytest.mark.parametrize(("joints", "kind"), ORDER)
def test_joints_of_the_tree(tmp_path: Path, files: Path, models: Path, joints: str, kind: str) -> None:
    amass = a_tree(tmp_path / "amass", kind)
    report = convert(amass, tmp_path / "out", models, joints=joints)
    assert len(report.total.converted) == 1, report.skipped
    assert report.options["joints"] == joints
    with np.load(files / f"{kind}.npz", allow_pickle=True) as npz:
        model = {name: npz[name] for name in ("v_template", "shapedirs", "J_regressor", "kintree_table")}
    with np.load(files / "dmpls.npz") as npz:
        dmpls = None if kind == "smplx" else npz["eigvec"][:, :, :8]
    expected = forward_kinematics(motion(kind, 0), model, dmpls, {"smplx": 300}.get(kind, 16))
    result = positions(tmp_path / "out", kind)
    assert result.dtype == np.float32
    assert result.shape == (FRAMES, len(ORDER[joints, kind]), 3)
    np.testing.assert_allclose(result, expected[:, ORDER[joints, kind]], rtol=0, atol=1e-5)


def test_fingers_move(tmp_path: Path, models: Path) -> None:
    """A bent left index finger moves what hangs on its first joint, and nothing else."""
    straight = motion("smplh", 3)
    bent = straight | {"poses": straight["poses"].copy()}
    bent["poses"][:, 3 * 22 : 3 * 23] += 1
    results = []
    for name, arrays in (("straight", straight), ("bent", bent)):
        write_motion(tmp_path / name / "D/s/x_poses.npz", arrays)
        convert(tmp_path / name, tmp_path / f"{name}_out", models, joints="smplh")
        results.append(positions(tmp_path / f"{name}_out", "smplh"))
    moved = np.abs(results[1] - results[0]).max(axis=(0, 2)) > 1e-5
    assert np.flatnonzero(moved).tolist() == [23, 24]


@pytest.mark.parametrize(("joints", "kind"), [("smplx", "smplh"), ("smplh", "smpl"), ("smplx", "smpl")])
def test_joints_that_a_body_has_not_are_skipped(tmp_path: Path, models: Path, joints: str, kind: str) -> None:
    amass = a_tree(tmp_path / "amass", kind)
    write_motion(amass / "E/s/x_stageii.npz", motion("smplx"))
    report = convert(amass, tmp_path / "out", models, joints=joints)
    assert len(report.total.converted) == 1
    (skipped,) = report.skipped
    assert skipped.name == f"D/s/{NAMES[kind]}"
    assert ("jaw" if joints == "smplx" else "left_index1") in skipped.reason


def test_joints_at_another_rate_and_from_a_library_call(tmp_path: Path, models: Path) -> None:
    path = write_motion(tmp_path / "amass/D/s/x_stageii.npz", motion("smplx", 1, 25))
    every = aj.convert_file(path, joints="smplx", body_models=models)
    assert isinstance(every, aj.Converted)
    resampled = aj.convert_file(path, joints="smplx", body_models=models, settings=Settings(rate=60, dtype="float64"))
    assert isinstance(resampled, aj.Converted)
    assert resampled.positions_3d.dtype == np.float64
    np.testing.assert_allclose(resampled.positions_3d, every.positions_3d[:-1:2], rtol=0, atol=1e-5)


def two_wishes(models: Path, files: Path) -> list[tuple[dict[str, Any], str]]:
    return [
        ({"joints": "body", "joint_regressor": files / "regressor_6890.npy"}, "one of a joint regressor and"),
        ({}, "one of a joint regressor and"),
        ({"joints": "h36m"}, "'h36m', expected one of body, smplh, smplx"),
    ]


@pytest.mark.parametrize("number", range(3))
def test_one_of_regressor_and_joints(tmp_path: Path, files: Path, models: Path, number: int) -> None:
    options, message = two_wishes(models, files)[number]
    with pytest.raises(aj.InputError, match=message):
        convert_tree(a_tree(tmp_path / "amass", "smplh"), tmp_path / "out", body_models=models, **options)


@pytest.mark.parametrize(
    ("what", "break_it"),
    [
        ("pose values a frame", lambda arrays: arrays | {"poses": arrays["poses"][:, :-3]}),
        ("frames", lambda arrays: arrays | {"trans": arrays["trans"][:-1]}),
        ("gender", lambda arrays: {name: array for name, array in arrays.items() if name != "gender"}),
        ("not finite", lambda arrays: arrays | {"betas": np.full(16, np.nan)}),
    ],
)
def test_broken_smplx_sequences_are_skipped(
    tmp_path: Path, models: Path, what: str, break_it: Callable[[Arrays], Arrays]
) -> None:
    write_motion(tmp_path / "amass/D/s/x_stageii.npz", break_it(motion("smplx")))
    write_sequence(tmp_path / "amass/D/s/good_poses.npz", 4)
    report = convert(tmp_path / "amass", tmp_path / "out", models, joints="body")
    assert [one.name for one in report.total.converted] == ["s/good_poses"]
    (skipped,) = report.skipped
    assert what in skipped.reason
