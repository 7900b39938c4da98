"""Joint sets and their orders, against the sources' own lists, written out here."""

from __future__ import annotations

import re

import numpy as np
import pytest

import amass_joints as aj
from amass_joints.datasets import FORMATS
from amass_joints.options import OutputFormat, SkeletonName
from amass_joints.skeletons import (
    COCO17,
    H36M17,
    H36M17_SPIN,
    H36M17_UPLIFT,
    H36M32,
    REGRESSED_SKELETONS,
    SKELETONS,
    skeleton_named,
)

# VideoPose3D, common/h36m_dataset.py: what is removed of the 32; the sides of the 17 that stay, in its 2D metadata.
REMOVED = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]
LEFT_OF_32, RIGHT_OF_32 = [6, 7, 8, 9, 10, *range(16, 24)], [1, 2, 3, 4, 5, *range(24, 32)]
SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]

# Uplift and Upsample, common/dataset/amass_dataset.py.
FROM_SPIN = [6, 5, 4, 1, 2, 3, 0, 8, 7, 9, 10, 16, 15, 14, 11, 12, 13]
UPLIFT_PARENTS = (1, 2, 6, 6, 3, 4, -1, 8, 6, 7, 9, 12, 13, 7, 7, 14, 15)
UPLIFT_LEFT, UPLIFT_RIGHT = {3, 4, 5, 14, 15, 16}, {0, 1, 2, 11, 12, 13}


def test_the_names_are_those_that_people_ask_for() -> None:
    asked = ["h36m17-spin", "h36m17", "h36m17-uplift", "h36m32", "coco17", "smpl24", "smplh52", "smplx55"]
    assert set(asked) <= set(SKELETONS)
    assert [len(SKELETONS[name].joints) for name in asked] == [17, 17, 17, 32, 17, 24, 52, 55]
    assert all(skeleton_named(name).name == name for name in SKELETONS)
    assert {one.value for one in SkeletonName} == set(SKELETONS)  # those of the command line
    assert {one.value for one in OutputFormat} == set(FORMATS)
    with pytest.raises(aj.InputError, match="no skeleton 'h36m', expected one of h36m17-spin, h36m17, "):
        skeleton_named("h36m")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_sides_mirror_each_other(skeleton: aj.Skeleton) -> None:
    mirror = list(skeleton.mirror)
    assert [mirror[row] for row in mirror] == list(range(len(mirror)))  # twice is the identity
    assert len(set(skeleton.joints)) == len(skeleton.joints)
    for left, right in skeleton.symmetric_pairs:
        assert skeleton.joints[left].replace("left_", "right_") == skeleton.joints[right]
        assert (mirror[left], mirror[right]) == (right, left)
        assert skeleton.sides[left] == "left"
        assert skeleton.sides[right] == "right"
    assert {row for row, other in enumerate(mirror) if row != other} == {*skeleton.left, *skeleton.right}
    assert sum(parent == -1 for parent in skeleton.parents) == 1
    # The tree is symmetric, too: the mirrored parent is the parent of the mirrored joint.
    for row, parent in enumerate(skeleton.parents):
        assert skeleton.parents[mirror[row]] == (mirror[parent] if parent >= 0 else -1)


def test_video_pose_3d() -> None:
    kept = [row for row in range(32) if row not in REMOVED]
    assert tuple(H36M32.joints[row] for row in kept) == H36M17.joints
    assert (sorted(H36M32.left), sorted(H36M32.right)) == (LEFT_OF_32, RIGHT_OF_32)
    assert [sorted(H36M17.left), sorted(H36M17.right)] == SYMMETRY
    assert H36M17.symmetric_pairs == tuple(zip(*SYMMETRY, strict=True))
    rows = H36M32.rows_in(H36M17)
    assert [rows[row] for row in kept] == list(range(17))
    for row in REMOVED:  # lies where the nearest joint is that it hangs on; Human3.6M's collars lie in the neck
        above = 13 if row in (16, 24) else row
        while above in REMOVED:
            above = H36M32.parents[above]
        assert rows[row] == kept.index(above)


def test_uplift_and_upsample() -> None:
    assert list(H36M17_UPLIFT.rows_in(H36M17_SPIN)) == FROM_SPIN
    assert H36M17_UPLIFT.parents == UPLIFT_PARENTS
    assert (set(H36M17_UPLIFT.left), set(H36M17_UPLIFT.right)) == (UPLIFT_LEFT, UPLIFT_RIGHT)


def test_coco() -> None:
    assert COCO17.joints[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    # https://cocodataset.org: the edges of person keypoints, counted from 1.
    edges = [
        *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10)),
        *((9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
    ]
    assert {frozenset(bone) for bone in COCO17.bones.values()} <= {frozenset((a - 1, b - 1)) for a, b in edges}


@pytest.mark.parametrize("one", REGRESSED_SKELETONS[:3], ids=lambda one: one.name)
@pytest.mark.parametrize("other", REGRESSED_SKELETONS[:3], ids=lambda one: one.name)
def test_there_and_back(one: aj.Skeleton, other: aj.Skeleton) -> None:
    positions = np.arange(17)
    there = positions[list(other.rows_in(one))]
    assert [one.joints[row] for row in there] == list(other.joints)
    assert there[list(one.rows_in(other))].tolist() == positions.tolist()


@pytest.mark.parametrize(
    ("wanted", "source", "message"),
    [
        ("coco17", "h36m17", "joints of h36m17 .* the order coco17: they lack nose, left eye, right eye, left ear"),
        ("smplx55", "smplh52", "they lack jaw, left eye, right eye"),
        ("h36m32", "coco17", "they lack pelvis, "),
    ],
)
def test_joints_that_are_lacking(wanted: str, source: str, message: str) -> None:
    with pytest.raises(aj.InputError, match=message):
        SKELETONS[wanted].rows_in(SKELETONS[source])


def test_subsets() -> None:
    assert SKELETONS["smplh52"].rows_in(SKELETONS["smplx55"]) == (*range(22), *range(25, 55))
    assert SKELETONS["body22"].rows_in(SKELETONS["smpl24"]) == tuple(range(22))
    with pytest.raises(aj.InputError, match=re.escape("they lack left hand, right hand")):
        SKELETONS["smpl24"].rows_in(SKELETONS["smplh52"])
