"""A real AMASS sequence, converted with the stand-in body: it must be the motion that its optical markers show."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import amass_joints as aj
from amass_joints import mesh
from amass_joints.skeletons import H36M17_SPIN_JOINTS


@pytest.fixture
def sample(samples: Path) -> dict[str, np.ndarray]:
    with np.load(samples / "amass_sample.npz") as file:
        return {name: file[name] for name in file.files}


def test_the_joints_move_with_the_markers(
    tmp_path: Path, samples: Path, sample: dict[str, np.ndarray], support_data: Path
) -> None:
    subject = tmp_path / "amass/CMU/01"
    subject.mkdir(parents=True)
    shutil.copy(samples / "amass_sample.npz", subject / "01_01_poses.npz")
    aj.convert_tree(
        tmp_path / "amass", tmp_path / "out", support_data / "J_regressor_h36m.npy", settings=aj.Settings(rate=50)
    )
    result = aj.load(tmp_path / "out/CMU.npz")["01"]["01_01_poses"]
    assert result["frame_rate"] == 50
    joints = result["positions_3d"]
    assert joints.shape == (250, 17, 3)
    markers = sample["marker_data"][np.round(np.arange(250) * 120 / 50).astype(int)]
    for limb in ("wrist", "elbow", "knee", "ankle"):
        for side in ("left", "right"):
            joint = joints[:, H36M17_SPIN_JOINTS.index(f"{side}_{limb}")]
            nearest = np.nanmin(np.linalg.norm(markers - joint[:, None], axis=2), axis=1)
            assert np.median(nearest) < 0.15


@pytest.mark.parametrize("regressor", ["stand-in", "Pose2Mesh"])
def test_the_joints_are_those_of_the_mesh(
    samples: Path, sample: dict[str, np.ndarray], support_data: Path, regressor: str
) -> None:
    """Pose2Mesh's regressor is for the real mesh; on the stand-in it is just some sparse matrix, and still exact."""
    models = support_data / "body_models"
    body = aj.load_body_model(models / "smplh/male/model.npz", models / "dmpls/male/model.npz")
    matrix = aj.load_regressor(
        support_data / "J_regressor_h36m.npy" if regressor == "stand-in" else samples / "J_regressor_h36m_correct.npy"
    )
    frames = slice(None, None, 60)  # the mesh takes its time
    motion = [sample[name][frames] for name in ("poses", "trans", "dmpls")]
    joints = aj.fold(body, matrix).with_shape(sample["betas"]).pose(*motion)
    expected = mesh.regress(matrix, mesh.pose_mesh(body, sample["betas"], *motion))
    np.testing.assert_allclose(joints, expected, rtol=0, atol=2e-6)
