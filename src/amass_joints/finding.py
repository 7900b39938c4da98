"""AMASS trees: which sequence files there are, and what else.

What lies in a tree (see https://amass.is.tue.mpg.de)::

    AMASS_DIR/DATASET/SUBJECT/SEQUENCE_poses.npz         SMPL+H; SEQUENCE_stageii.npz: SMPL-X
    AMASS_DIR/DATASET/ANY_INNER_DIRECTORY/SUBJECT/SEQUENCE_poses.npz
    AMASS_DIR/DATASET.tar.bz2                            the same in an archive

The directory that a sequence file lies in is its subject; what stands between that and the dataset is only how
the archive was packed. ``shape.npz``, ``*_stagei.npz`` and whatever else is no sequence is passed over. Datasets go by
several names (:mod:`amass_joints.amass`); what has one canonical name is one dataset.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Literal

from amass_joints.amass import canonical_name, with_canonical_name
from amass_joints.archives import ArchiveError, archive_stem, read_members
from amass_joints.arrays import ArrayFileError, NpzFile
from amass_joints.errors import InputError

Variant = Literal["smplh", "smplx"]
"""Which of AMASS's releases a file is of, by its name."""

MOST_WAYS = 16
"""By how many ways, that is, links, a directory is entered. Two links in each of thirty make a thousand million."""


@dataclass(frozen=True)
class SkippedSequence:
    """A sequence of a tree that cannot be converted, by name."""

    name: str
    """``dataset/subject/sequence``, or the directory or archive that cannot be read."""
    reason: str


@dataclass(frozen=True)
class SequenceFile:
    """Where a sequence is: dataset, subject and name, and the file."""

    dataset: str
    subject: str
    name: str
    path: Path
    """In an archive: the archive's, with the member's after it."""
    num_bytes: int
    archive: Path | None = None
    """The archive that it is in."""

    def __str__(self) -> str:
        """Give ``dataset/subject/name``, which ``--only`` is matched against."""
        return f"{self.dataset}/{self.subject}/{self.name}"

    @property
    def variant(self) -> Variant:
        """Which release it is of."""
        return "smplx" if self.name.lower().endswith("_stageii") else "smplh"

    @property
    def motion(self) -> tuple[str, str]:
        """What the files of one motion in both releases have in common."""
        return self.subject, re.sub("_(poses|stageii)$", "", self.name, flags=re.IGNORECASE)


@dataclass(frozen=True)
class Archive:
    """A file that holds a dataset, or a part of one."""

    dataset: str
    path: Path
    num_bytes: int
    wanted: frozenset[Path] | None = None
    """The sequences in it that are wanted; None: all, whatever they are."""
    set_aside: frozenset[Path] = frozenset()
    """Those whose other release is taken."""

    def __str__(self) -> str:
        """Give the path."""
        return str(self.path)


@dataclass(frozen=True)
class Dataset:
    """What the directories and archives of one dataset hold."""

    name: str
    sequences: tuple[SequenceFile, ...] = ()
    """Those in directories, in the order of subject and name."""
    archives: tuple[Archive, ...] = ()
    skipped: tuple[SkippedSequence, ...] = ()
    """Files and directories that cannot even be looked at."""
    passed_over: int = 0
    """How many files are no sequences by their names."""
    left_out: int = 0
    """How many sequences were not asked for."""
    set_aside: tuple[tuple[SequenceFile, SequenceFile], ...] = ()
    """Sequences that are there in both releases: the one taken, and the other."""
    notes: tuple[str, ...] = ()
    """What else people should know of where it was found."""


def as_globs(only: str | Iterable[str], *, keep_names: bool = False) -> tuple[str, ...]:
    """Make one glob, or any number of them, a tuple, with the canonical names of datasets."""
    globs = (only,) if isinstance(only, str) else tuple(only)
    if keep_names:
        return globs
    return tuple(map(with_canonical_name, globs))


def find_datasets(
    amass_dir: Path,
    only: tuple[str, ...] = (),
    *,
    keep_names: bool = False,
    prefer: Variant = "smplh",
    open_archives: bool = True,
) -> list[Dataset]:
    """List the datasets below ``amass_dir`` and their sequence files, in the order of their names.

    Args:
        amass_dir: the directory of the datasets; links are followed.
        only: globs on ``dataset/subject/sequence``; a sequence that matches none is left out. A glob may also name a
            whole dataset or subject. None given: everything.
        keep_names: whether datasets keep the names of their directories and archives, or get the canonical ones.
        prefer: which release is taken of a motion that is there in both.
        open_archives: whether those of several sources for one dataset are listed, which decompresses them.

    Raises:
        InputError: there is no such directory, or not one sequence in it; or a sequence is there twice.
    """
    if not amass_dir.is_dir():
        raise InputError(f"{amass_dir}: not a directory. Pass the directory that holds the AMASS datasets.")
    try:
        entries = _entries(amass_dir)
    except OSError as error:
        raise InputError(f"{amass_dir}: the directory cannot be read: {error.strerror}.") from error
    sources = [source for entry in entries if (source := _as_source(Path(entry.path), keep_names))]
    sources.sort(key=lambda source: source.dataset)
    of_interest = [
        source for source in sources if not only or any(may_match(glob, f"{source.dataset}/") for glob in only)
    ]
    everything = [
        _merge(name, list(group), only, prefer, open_archives)
        for name, group in groupby(of_interest or sources, lambda one: one.dataset)
    ]
    if not any(dataset.sequences or dataset.archives or dataset.left_out for dataset in everything):
        misplaced = any(dataset.skipped for dataset in everything)
        raise InputError(
            f"{amass_dir}: no AMASS sequences in the {len(everything)} directories below it: expected "
            f"{amass_dir / 'DATASET' / 'SUBJECT' / 'SEQUENCE_poses.npz'}. "
            + (f"If this is one dataset, pass {amass_dir.parent}." if misplaced else "Pass the directory above it.")
        )
    if not only:
        return everything
    chosen = [chosen for dataset in everything if (chosen := _restrict(dataset, only))]
    if not chosen:
        names = (
            str(file)
            for source in sources
            if not source.is_archive
            for file in _look_through(source.dataset, source.path).in_order()
        )
        example = next(names, "CMU/01/01_01_poses")
        raise InputError(
            f"--only {' '.join(only)}: no sequence of {amass_dir} matches; sequences are named like '{example}'."
        )
    return chosen


def is_wanted(name: str, only: Iterable[str]) -> bool:
    """Whether ``dataset/subject/sequence`` matches one of the globs, or is in what one names; no globs match all."""
    patterns = [pattern for glob in only for pattern in (glob, f"{glob.rstrip('/')}/*")]
    return not patterns or any(
        fnmatchcase(candidate, pattern) for candidate in (name, f"{name}/") for pattern in patterns
    )


def _restrict(dataset: Dataset, only: Iterable[str]) -> Dataset | None:
    """Leave out what is skipped and not asked for; None where nothing is left."""
    skipped = tuple(one for one in dataset.skipped if is_wanted(one.name, only))
    archives = dataset.archives if any(may_match(glob, f"{dataset.name}/") for glob in only) else ()
    if not dataset.sequences and not skipped and not archives:
        return None
    return replace(dataset, archives=archives, skipped=skipped)


def may_match(glob: str, beginning: str) -> bool:
    """Whether anything that begins so may match, as far as the glob's own beginning tells."""
    literal = re.split(r"[*?\[]", f"{glob.rstrip('/')}/", maxsplit=1)[0]
    return literal.startswith(beginning) or beginning.startswith(literal)


# --------------------------------------------------------------------------------------- datasets and sources


@dataclass(frozen=True)
class _Source:
    """A directory or an archive, and the dataset that it is of."""

    dataset: str
    path: Path
    stem: str
    """Its name, without what makes an archive's."""
    is_archive: bool


def _as_source(path: Path, keep_names: bool) -> _Source | None:
    is_archive = not path.is_dir()
    stem = archive_stem(path.name) if is_archive else path.name
    if stem is None:
        return None
    return _Source(stem if keep_names else canonical_name(stem), path, stem, is_archive)


def _merge(name: str, sources: list[_Source], only: tuple[str, ...], prefer: Variant, open_archives: bool) -> Dataset:
    """Make one dataset of what goes by one name. An archive is left alone where it is seen to be unpacked."""
    notes = [f"{source.path} is converted to {name}" for source in sources if source.stem != name]
    found = [_look_through(name, source.path) for source in sources if not source.is_archive]
    directories = [source for source in sources if not source.is_archive]
    with_sequences = {source.stem: source.path for source, one in zip(directories, found, strict=True) if one.files}
    unpacked = [source for source in sources if source.is_archive and source.stem in with_sequences]
    notes += [f"{one.path} is left alone: the directory {with_sequences[one.stem]} is there" for one in unpacked]
    sources = [source for source in sources if source not in unpacked]
    archived = {source.path for source in sources if source.is_archive}
    # What is in an archive is seen when it is converted. Only what may be there twice has to be known before.
    alone = len(archived) == 1 and not any(one.files for one in found)
    unopened = archived if alone or not open_archives else set()
    found += [_list(name, path) for path in archived if path not in unopened]
    files, replaced = _without_twins([file for one in found for file in one.in_order()])
    notes += [f"{count} sequences of {path} are left alone: they are in a directory, too" for path, count in replaced]
    wanted = [file for file in files if is_wanted(str(file), only)]
    left_out = len(files) - len(wanted)
    files, set_aside = preferred(wanted, prefer)

    def within(archive: Path, files: Iterable[SequenceFile]) -> frozenset[Path]:
        return frozenset(file.path for file in files if file.archive == archive)

    archives = [
        Archive(
            name,
            path,
            _size(path),
            wanted=None if path in unopened else within(path, files),
            set_aside=within(path, (other for _, other in set_aside)),
        )
        for path in sorted(archived)
    ]
    return Dataset(
        name,
        sequences=tuple(file for file in files if file.archive is None),
        archives=tuple(archives),
        skipped=tuple(skip for one in found for skip in one.skipped),
        passed_over=sum(one.passed_over for one in found),
        left_out=left_out,
        set_aside=tuple(set_aside),
        notes=tuple(notes),
    )


def _without_twins(files: list[SequenceFile]) -> tuple[list[SequenceFile], list[tuple[Path, int]]]:
    """Leave out sequences of archives that are in directories, too; and say how many of which archive that are.

    The rest is in the order of subject and name.

    Raises:
        InputError: two directories, or two archives, have the same one.
    """
    taken: list[SequenceFile] = []
    replaced: Counter[Path] = Counter()
    for file in sorted(files, key=lambda file: (file.subject, file.name, file.archive is not None, str(file.path))):
        if not taken or (taken[-1].subject, taken[-1].name) != (file.subject, file.name):
            taken.append(file)
        elif file.archive is not None and taken[-1].archive is None:
            replaced[file.archive] += 1
        else:
            raise InputError(
                f"{file} is there twice: {taken[-1].path} and {file.path}. Move one away, or give the datasets "
                "different names and pass --keep-names."
            )
    return taken, sorted(replaced.items())


def preferred(
    files: list[SequenceFile], prefer: Variant
) -> tuple[list[SequenceFile], list[tuple[SequenceFile, SequenceFile]]]:
    """Take one file of each motion, and give the pairs of one taken and one not."""
    ours = {file.motion: file for file in files if file.variant == prefer}
    pairs = [(ours[file.motion], file) for file in files if file.variant != prefer and file.motion in ours]
    others = {other for _, other in pairs}
    return [file for file in files if file not in others], pairs


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # as of a link that leads nowhere; reading it says so
        return 0


def _list(name: str, archive: Path) -> Found:
    found = Found(name, archive)
    with suppress(ArchiveError):  # which is said when the archive is converted
        for member in read_members(archive):
            found.look_at(member.path.parts, member.size, member.problem, member.read)
    return found


# ------------------------------------------------------------------------------------------- what is in one


@dataclass
class Found:
    """What is in one directory or archive of a dataset, as far as it was looked through."""

    dataset: str
    root: Path
    """The directory or archive."""
    files: dict[Path, SequenceFile] = field(default_factory=dict)
    """By their paths: of two members of an archive with one, the last counts, as when it is unpacked."""
    skipped: list[SkippedSequence] = field(default_factory=list)
    passed_over: int = 0

    def look_at(
        self,
        parts: tuple[str, ...],
        num_bytes: int,
        problem: str | None,
        read: Callable[[], bytes] | None = None,
    ) -> SequenceFile | None:
        """Decide what a file is by its place, and give it if it is a sequence.

        Args:
            parts: of its path below the directory or in the archive.
            num_bytes: its size.
            problem: why it cannot be read, if that is known.
            read: in an archive, what reads it. It is looked into where the place does not tell.
        """
        if not parts or any(part.startswith(".") for part in parts):
            return None
        path = self.root.joinpath(*parts)
        *_, subject, name = (self.dataset, *parts)
        if not _named_like_a_sequence(name) or (len(parts) == 1 and not problem and not _has_poses(path, read)):
            self.passed_over += 1
        elif problem:
            self.skip(parts, problem)
        elif len(parts) == 1:
            self.skip(parts, "it lies in the dataset's own directory, expected DATASET/SUBJECT/SEQUENCE_poses.npz")
        else:
            if path in self.files:
                self.skip(parts, "the archive has it twice: the last one is taken, as when it is unpacked")
            archive = None if read is None else self.root
            file = SequenceFile(self.dataset, subject, name[:-4], path, num_bytes, archive)
            self.files[path] = file
            return file
        return None

    def skip(self, parts: tuple[str, ...], reason: str) -> None:
        """Note what cannot be used."""
        name = "/".join((self.dataset, *parts))
        self.skipped.append(SkippedSequence(name[:-4] if name.lower().endswith(".npz") else name, reason))

    def in_order(self) -> list[SequenceFile]:
        """Give the sequences in the order of subject and name. Of those that share both, the first is taken."""
        taken: list[SequenceFile] = []
        for file in sorted(self.files.values(), key=lambda file: (file.subject, file.name, str(file.path))):
            if taken and str(taken[-1]) == str(file):
                reason = f"{file.path} has the same subject and name as {taken[-1].path}, which is taken"
                self.skipped.append(SkippedSequence(str(file), reason))
            else:
                taken.append(file)
        return taken


def _look_through(name: str, dataset: Path) -> Found:
    found = Found(name, dataset)
    # Directories still to be listed, each with those above it: a link to one of these would lead round for ever.
    waiting: list[tuple[Path, tuple[str, ...], frozenset[tuple[int, int]]]]
    waiting = [(dataset, (), frozenset({_identity(dataset.stat())}))]
    ways: Counter[tuple[int, int]] = Counter()
    while waiting:
        directory, parts_above, above = waiting.pop()
        try:
            entries = _entries(directory)
        except OSError as error:
            found.skip(parts_above, f"the directory cannot be read: {error.strerror}")
            continue
        for entry in entries:
            parts = (*parts_above, entry.name)
            try:
                status = entry.stat()
                if stat.S_ISDIR(status.st_mode) and not status.st_ino:  # Windows does not tell it with the entry
                    status = os.stat(entry.path)
            except OSError as error:
                if _named_like_a_sequence(entry.name) or _is_directory(entry):
                    found.skip(parts, f"cannot be read: {error.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                identity = _identity(status)
                if identity in above:
                    continue
                ways[identity] += 1
                if ways[identity] <= MOST_WAYS:
                    waiting.append((directory / entry.name, parts, above | {identity}))
                elif ways[identity] == MOST_WAYS + 1:
                    found.skip(parts, f"the directory can be reached in more than {MOST_WAYS} ways, by links")
            else:
                problem = None if stat.S_ISREG(status.st_mode) else "it is not a regular file"
                found.look_at(parts, status.st_size, problem)
    found.skipped.sort(key=lambda one: one.name)
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """List a directory, hidden entries left out, in the order of names."""
    with os.scandir(directory) as scan:
        return sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _named_like_a_sequence(name: str) -> bool:
    name = name.lower()
    return name.endswith(".npz") and name != "shape.npz" and not name.endswith("_stagei.npz")


def _has_poses(path: Path, read: Callable[[], bytes] | None) -> bool:
    try:
        with NpzFile(path if read is None else read(), at_once=False) as npz:
            return "poses" in npz.names
    except (ArrayFileError, ArchiveError):
        return False
