"""Which motions are for training, for validation and for testing: published lists, or the user's own globs.

Globs are those of ``--only``: on ``dataset/subject/sequence``, with the canonical names of datasets
(:mod:`amass_joints.amass`); one may also name a whole dataset or subject. The published lists, with their sources, are
in ``splits.json`` beside this file. The user's own are globs for each part, or a file with these in JSON::

    {"train": ["CMU", "KIT/3"], "validation": ["SFU"], "test": ["HumanEva/S1/*"]}
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from amass_joints.amass import with_canonical_name
from amass_joints.errors import InputError
from amass_joints.finding import as_globs, is_wanted
from amass_joints.json_files import read_json, shown

Split = Literal["train", "validation", "test"]
"""What a motion is used for."""

PARTS: tuple[Split, ...] = get_args(Split)

ALIASES: Mapping[str, Split] = {"val": "validation"}
"""Other names of parts."""

EXPECTED = '{"train": ["CMU", "KIT/3/*"], "validation": ["SFU"], "test": ["HumanEva"]}'
"""What a file looks like."""


@dataclass(frozen=True)
class Splits:
    """What each motion is used for."""

    train: tuple[str, ...] = ()
    """Globs, with the canonical names of datasets."""
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    source: str = "splits"
    """Who says so: a page, a file, or options."""

    def __post_init__(self) -> None:
        """Refuse globs that can match nothing, and no globs at all, with an :class:`InputError`."""
        if not (self.train or self.validation or self.test):
            raise InputError(f"{self.source}: no globs; expected some for {', '.join(PARTS)}.")
        for part in PARTS:
            if not all(glob.strip("/") for glob in getattr(self, part)):
                raise InputError(f"{self.source}: an empty glob for {part}; expected one like CMU or 'CMU/01/*'.")
            try:
                self._globs[part]
            except re.error as error:
                raise InputError(f"{self.source}: a glob for {part} that cannot be matched ({error}).") from error

    def of(self, name: str) -> Split | None:
        """Say what a motion is used for; None: nothing.

        Args:
            name: ``dataset/subject/sequence``; the dataset by any of its names.

        Raises:
            InputError: it is in two splits.
        """
        name = with_canonical_name(name)
        found = [part for part in PARTS if self._globs[part].match(name)]
        if len(found) > 1:
            by = {part: next(glob for glob in getattr(self, part) if is_wanted(name, [glob])) for part in found}
            both = " and ".join(f"{part} (by '{glob}')" for part, glob in by.items())
            raise InputError(f"{self.source}: {name} is in {both}; expected each motion in one split.")
        return found[0] if found else None

    @cached_property
    def _globs(self) -> dict[Split, _Globs]:
        return {part: _Globs(getattr(self, part)) for part in PARTS}


class _Globs:
    """Globs as :func:`amass_joints.finding.is_wanted` matches them, for thousands of them: lists name each motion."""

    def __init__(self, globs: Iterable[str]) -> None:
        globs = tuple(globs)
        self._names = {glob.rstrip("/") for glob in globs if not re.search(r"[*?\[]", glob)}
        patterns = [
            pattern
            for glob in globs
            if glob.rstrip("/") not in self._names
            for pattern in (glob, f"{glob.rstrip('/')}/*")
        ]
        self._patterns = re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else None

    def match(self, name: str) -> bool:
        """Whether one of them matches a name, or names what it is in."""
        return any(one in self._names for one in _with_what_it_is_in(name)) or (
            self._patterns is not None and any(self._patterns.match(one) for one in (name, f"{name}/"))
        )


def _with_what_it_is_in(name: str) -> Iterator[str]:
    yield name
    yield from (name[: slash.start()] for slash in re.finditer("/", name))


def find_splits(given: str | os.PathLike[str] | Mapping[str, Sequence[str]]) -> Splits:
    """Give published splits by their name, those in a file, or those of globs.

    Args:
        given: ``uplift`` or ``humor``; or the path of a JSON file; or globs for ``train``, ``validation`` and ``test``.

    Raises:
        InputError: there is no such list; or it is none; or it has no globs.
    """
    if isinstance(given, Mapping):
        return _of_parts(given, "--train, --validation and --test")
    if given in published_splits():
        return published_splits()[str(given)]
    return _of_parts(_read(given), os.fspath(given))


@lru_cache(maxsize=1)
def published_splits() -> Mapping[str, Splits]:
    """Give the published splits, by name."""
    table = json.loads(Path(__file__).with_name("splits.json").read_text(encoding="utf-8"))["splits"]
    return {
        name: Splits(**{part: tuple(splits[part]) for part in PARTS}, source=splits["source"])
        for name, splits in table.items()
    }


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    if not os.path.lexists(path):
        raise InputError(
            f"{os.fspath(path)}: no split and no file has this name; expected {', '.join(published_splits())}, or a "
            f"file with {EXPECTED}."
        )
    content = read_json(path, EXPECTED)
    if not isinstance(content, dict):
        raise InputError(f"{os.fspath(path)}: {shown(content)}; expected {EXPECTED}.")
    return content


def _of_parts(given: Mapping[str, Any], source: str) -> Splits:
    globs: dict[Split, tuple[str, ...]] = {}
    for name, value in given.items():
        part = ALIASES.get(name, name)
        if part not in PARTS:
            raise InputError(f"{source}: a split called {name!r:.60}, expected {', '.join(PARTS)}.")
        if part in globs:
            raise InputError(f"{source}: {' and '.join(sorted((*ALIASES, part)))} are the same; expected one of them.")
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, (list, tuple)) or not all(isinstance(glob, str) for glob in listed):
            raise InputError(f"{source}: {value!r:.60} for {name}, expected a list of globs.")
        globs[part] = as_globs(listed)
    return Splits(**globs, source=source)
