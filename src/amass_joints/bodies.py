"""The folded bodies of a run: each is loaded and folded when a sequence first needs it."""

from __future__ import annotations

import threading
from pathlib import Path

from amass_joints.body_models import BodyModelFiles, body_model_files, load_body_model
from amass_joints.files import sha256
from amass_joints.folding import FoldedBody, fold
from amass_joints.regressors import JointRegressor
from amass_joints.sequences import Skipped


class FoldedBodies:
    """Gives the folded body of a gender, the same one every time, to any thread."""

    def __init__(self, regressor: JointRegressor, directory: Path, *, dmpls: bool) -> None:
        """Look at the models in ``directory``, by their headers alone.

        Raises:
            InputError: there is none, or one is not what it should be.
        """
        self.directory = directory
        self.sha256: dict[Path, str] = {}
        """The fingerprints of the body model files that were used so far."""
        self._regressor = regressor
        self._files = body_model_files(directory, dmpls=dmpls)
        self._folded: dict[str, FoldedBody] = {}
        self._lock = threading.Lock()

    def get(self, gender: str, *, soft_tissue: bool) -> FoldedBody | Skipped:
        """Give the body of a gender; a sequence that needs files which are not there is skipped.

        Raises:
            InputError: a model file is broken.
        """
        files = self._files[gender]
        missing = [str(path) for path in files.missing() if soft_tissue or path == files.body]
        if missing:
            without = " or pass --no-dmpls" if str(files.body) not in missing else ""
            return Skipped(f"it needs {' and '.join(missing)}: not there. Put the {gender} model there{without}")
        with self._lock:
            if gender not in self._folded:
                self._folded[gender] = self._load(files)
            return self._folded[gender]

    def _load(self, files: BodyModelFiles) -> FoldedBody:
        dmpls = files.dmpls if files.dmpls is not None and files.dmpls.is_file() else None
        folded = fold(load_body_model(files.body, dmpls), self._regressor)
        for path in (files.body, dmpls):
            if path is not None:
                self.sha256[path] = sha256(path)
        return folded
