"""Checks array shapes while the tests run, and makes the stand-in files that many tests need."""

import builtins
from pathlib import Path

import jaxtyping
import pytest

# The program imports these for type checkers alone: they would make its start longer. Here they are wanted.
for name in ("Bool", "Float", "Int"):
    setattr(builtins, name, getattr(jaxtyping, name))

# Every module with array annotations, but for the kernels: Numba compiles them as they stand.
jaxtyping.install_import_hook(
    [
        f"amass_joints.{module}"
        for module in (
            "arrays",
            "bodies",
            "body_models",
            "camera_files",
            "cameras",
            "choices",
            "conversion",
            "convert",
            "dataset_readers",
            "datasets",
            "demo",
            "directories",
            "export",
            "finding",
            "folding",
            "mesh",
            "metadata",
            "motions",
            "plausibility",
            "random_access",
            "regressors",
            "report",
            "resample",
            "rest_pose",
            "scan",
            "sequences",
            "splits",
            "textbook",
            "training",
            "views",
            "windows",
        )
    ],
    "typechecker.check",
)

SHARED = Path(__file__).parents[2] / "shared" / "samples"


@pytest.fixture(scope="session")
def support_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the stand-in ``body_models/`` and ``J_regressor_h36m.npy``."""
    from amass_joints.demo import write_support_data

    directory = tmp_path_factory.mktemp("support_data")
    write_support_data(directory)
    return directory


@pytest.fixture(scope="session")
def samples() -> Path:
    """The directory of the real samples, which are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"the real samples are not there: {SHARED}")
    return SHARED
