"""The folded bodies of a run: each is loaded and folded when a sequence first needs it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from amass_joints.body_models import body_model_files, load_body_model
from amass_joints.errors import InputError
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
        self._regressor = regressor
        self._files = body_model_files(directory, dmpls=dmpls)
        self._absent = {
            path for gender in self._files for path in self.files(gender, soft_tissue=True) if not path.is_file()
        }
        self._folded: dict[str, FoldedBody] = {}
        self._lock = threading.Lock()

    def get(self, gender: str, *, soft_tissue: bool) -> FoldedBody | Skipped:
        """Give the body of a gender; a sequence that needs files which are not there is skipped.

        Raises:
            InputError: a model file is broken.
        """
        missing = [str(file) for file in self.files(gender, soft_tissue=soft_tissue) if file in self._absent]
        if missing:
            without = " or pass --no-dmpls" if self._files[gender].body not in self._absent else ""
            return Skipped(f"it needs {' and '.join(missing)}: not there. Put the {gender} model there{without}")
        with self._lock:  # one at a time: a body model takes much memory until it is folded
            if gender not in self._folded:
                body, *dmpls = (path for path in self.files(gender, soft_tissue=True) if path not in self._absent)
                self._folded[gender] = fold(load_body_model(body, *dmpls), self._regressor)
            return self._folded[gender]

    def get_ready(self) -> None:
        """Fold all the bodies there are: for workers that are forked afterwards."""
        for gender in self._files:
            with suppress(InputError, OSError, MemoryError):  # it may not be needed; if it is, get reports this
                self.get(gender, soft_tissue=False)

    def files(self, gender: str, *, soft_tissue: bool) -> list[Path]:
        """Say which files make the body of a gender."""
        files = self._files[gender]
        return [files.body, *([files.dmpls] if soft_tissue and files.dmpls is not None else [])]
