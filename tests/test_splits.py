"""Which motions are for training, validation and testing: published lists, files and globs, and what is none."""

import json
import os
import re
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amass_joints import amass
from amass_joints.amass import canonical_name
from amass_joints.errors import InputError
from amass_joints.finding import is_wanted
from amass_joints.json_files import MOST_BYTES
from amass_joints.splits import PARTS, Splits, find_splits, published_splits

# What the sources say (the URLs are in splits.json), written down once more, with the names there.

UPLIFT = {
    "train": "CMU DanceDB MPILimits TotalCapture EyesJapanDataset HUMAN4D KIT BMLhandball BMLmovi BMLrub EKUT "
    "TCDhandMocap ACCAD Transitionsmocap",
    "validation": "MPIHDM05 SFU MPImosh",
}
HUMOR = {
    "train": "CMU MPI_Limits TotalCapture Eyes_Japan_Dataset KIT BioMotionLab_NTroje BMLmovi EKUT ACCAD",
    "validation": "MPI_HDM05 SFU MPI_mosh",
    "test": "Transitions_mocap HumanEva",
}
DATASETS = [*json.loads((Path(amass.__file__).with_name("amass.json")).read_text())["names"], "Mine"]


@pytest.mark.parametrize(("name", "published"), [("uplift", UPLIFT), ("humor", HUMOR)])
def test_published_splits_are_those_of_their_sources(name: str, published: dict[str, str]) -> None:
    splits = find_splits(name)
    for dataset in DATASETS:
        told = [part for part, names in published.items() if dataset in map(canonical_name, names.split())]
        assert splits.of(f"{dataset}/a subject/a_poses") == (told[0] if told else None)
    for part, names in published.items():
        for dataset in names.split():  # by the names of the source
            assert splits.of(f"{dataset}/s/a_poses") == part
    assert sum(len(getattr(splits, part)) for part in PARTS) == sum(len(names.split()) for names in published.values())
    assert splits.source.startswith("https://github.com/")


def test_all_published_splits_are_tested() -> None:
    assert list(published_splits()) == ["humor", "uplift"]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_users_have_their_own(tmp_path: Path) -> None:
    content = {"train": ["CMU", "KIT/3/*", "BioMotionLab_NTroje/rub00[1-3]"], "val": ["KIT/4"], "test": "SFU/*/0005_*"}
    expected = {
        "CMU/01/01_01_poses": "train",
        "KIT/3/a_poses": "train",
        "KIT/33/a_poses": None,
        "KIT/4/a_poses": "validation",
        "KIT/44/a_poses": None,
        "BMLrub/rub002/a_poses": "train",
        "BioMotionLab_NTroje/rub002/a_poses": "train",
        "BMLrub/rub004/a_poses": None,
        "SFU/0005/0005_Walking_poses": "test",
        "SFU/0005/0006_Walking_poses": None,
        "CMU2/01/01_01_poses": None,
        "cmu/01/01_01_poses": None,
    }
    path = write(tmp_path / "splits.json", content)
    for splits in (find_splits(path), find_splits(str(path)), find_splits({**content, "test": ["SFU/*/0005_*"]})):
        assert {name: splits.of(name) for name in expected} == expected
    with_mark = tmp_path / "mark.json"
    with_mark.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Windows' editors write it
    assert find_splits(with_mark).train == find_splits(path).train


texts = st.text("ab/*?[]!-é\n", max_size=6)


@given(st.lists(texts.filter(lambda glob: glob.strip("/")), min_size=1, max_size=4), texts, texts, texts)
def test_globs_match_as_everywhere(globs: list[str], dataset: str, subject: str, sequence: str) -> None:
    """As those of --only, of which there is one implementation per glob."""
    name = f"{dataset}/{subject}/{sequence}"
    assert Splits(train=tuple(globs)).of(name) == ("train" if is_wanted(name, globs) else None)
    plain = [re.sub(r"[*?\[\]]", "", glob) or "x" for glob in globs]
    if all(glob.strip("/") for glob in plain):
        below = any(f"{name}/".startswith(f"{glob.rstrip('/')}/") for glob in plain)
        assert Splits(train=tuple(plain)).of(name) == ("train" if below else None)


def test_what_lies_in_something_includes_it() -> None:
    for glob in ("CMU/01/a_poses/*", "CMU/0?/", "CMU/01/*/", "CMU/", "CMU/*"):
        assert Splits(test=(glob,)).of("CMU/01/a_poses") == "test"


def test_a_motion_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", {"train": ["KIT", "CMU"], "validation": ["SFU"], "test": ["CMU/01/*_poses"]})
    splits = find_splits(path)
    assert splits.of("CMU/02/02_01_poses") == "train"
    message = r"mine\.json: CMU/01/01_01_poses is in train \(by 'CMU'\) and test \(by 'CMU/01/\*_poses'\)"
    with pytest.raises(InputError, match=message):
        splits.of("CMU/01/01_01_poses")
    twice = find_splits({"train": ["CMU", "CMU/01"]})
    assert twice.of("CMU/01/01_01_poses") == "train"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: .*; expected {"),
        ('{"train": ["CMU"]', "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ('{"train": [1' + "0" * 10_000 + "]}", "not JSON: |expected a list of globs"),
        ("null", "None; expected {"),
        (["CMU"], r"\['CMU'\]; expected {"),
        ({}, "no globs; expected some for train, validation, test"),
        ({"train": [], "test": []}, "no globs; expected some"),
        ({"training": ["CMU"]}, "a split called 'training', expected train, validation, test"),
        ({"val": ["CMU"], "validation": ["SFU"]}, "val and validation are the same; expected one of them"),
        ('{"train": ["CMU"], "train": ["KIT"]}', "'train' stands twice in one object"),
        ({"train": 3}, "3 for train, expected a list of globs"),
        ({"train": None}, "None for train, expected a list of globs"),
        ({"train": {"CMU": "01"}}, r"\{'CMU': '01'\} for train, expected a list of globs"),
        ({"train": ["CMU", 3]}, "for train, expected a list of globs"),
        ({"train": ["CMU", None]}, "for train, expected a list of globs"),
        ({"train": ["CMU", ["01"]]}, "for train, expected a list of globs"),
        ({"train": ["CMU", ""]}, "an empty glob for train; expected one like CMU"),
        ({"train": "", "test": "/"}, "an empty glob for train"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path / "splits.json", content)
    with pytest.raises(InputError, match=rf"splits\.json: .*({message})"):
        find_splits(path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"amass: no split and no file has this name; expected humor, uplift, or a fi"):
        find_splits("amass")
    with pytest.raises(InputError, match="is no regular file"):
        find_splits(tmp_path)
    with pytest.raises(InputError, match="no split and no file has this name"):
        find_splits("a\0b")
    (tmp_path / "bytes.json").write_bytes(b'{"train": ["\xff"]}')
    with pytest.raises(InputError, match="not JSON: 'utf-8' codec can't decode"):
        find_splits(tmp_path / "bytes.json")
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="larger than 4 MiB"):
        find_splits(tmp_path / "huge.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="is no regular file"):
            find_splits(tmp_path / "pipe")
    with pytest.raises(InputError, match="--train, --validation and --test: no globs"):
        find_splits({"train": (), "validation": [], "test": ()})


def test_all_of_amass_one_by_one_is_quick(tmp_path: Path) -> None:
    names = [f"KIT/{number % 50}/sequence_number_{number:05}_poses" for number in range(18_000)]
    globs = [f"CMU/{number:02}/*_poses" for number in range(1000)]
    content = {"train": names[::2] + globs, "validation": names[1::2]}
    path = write(tmp_path / "long.json", content)
    start = time.perf_counter()
    splits = find_splits(path)
    assert [splits.of(name) for name in names] == ["train", "validation"] * 9000
    assert splits.of("CMU/999/a_poses") == "train"
    assert time.perf_counter() - start < 20  # it takes well under a second; glob by glob it would be an hour
    assert fnmatchcase("CMU/999/a_poses", globs[-1])
