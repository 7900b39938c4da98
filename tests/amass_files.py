"""AMASS files for tests: a good one, and good ones with something changed."""

from pathlib import Path
from typing import Any

import numpy as np


def sequence_arrays(frames: int = 24, seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    """The arrays of a good SMPL+H sequence. A change replaces an array; None leaves it out."""
    rng = np.random.default_rng(seed)
    arrays = {
        "poses": rng.normal(0, 0.3, (frames, 156)),
        "trans": rng.normal(0, 1, (frames, 3)),
        "betas": rng.normal(0, 1, 16),
        "dmpls": rng.normal(0, 0.3, (frames, 8)),
        "gender": np.array("male"),
        "mocap_framerate": np.array(120.0),
    }
    arrays |= changes
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def write_sequence(path: Path, frames: int = 24, seed: int = 0, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **sequence_arrays(frames, seed, **changes))
    return path
