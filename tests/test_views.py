"""From where motions are seen: what is drawn, placed, turned and rejected; and the file of what cameras saw."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from amass_joints import views as views_module
from amass_joints.camera_files import load_cameras, save_cameras
from amass_joints.cameras import Camera, h36m_cameras
from amass_joints.choices import Choices
from amass_joints.errors import InputError
from amass_joints.export import exporter_for
from amass_joints.export.exporter import ExportOptions
from amass_joints.metadata import Metadata
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import COCO17, H36M17, H36M17_SPIN, Skeleton
from amass_joints.views import Viewpoints, Visibility, viewpoints

LEFT, RIGHT, PELVIS = (H36M17.joints.index(name) for name in ("left_wrist", "right_wrist", "pelvis"))


def motion(
    name: str = "walk", frames: int = 60, skeleton: Skeleton | None = H36M17, size: float = 1.0, seed: int = 0
) -> Motion:
    """Somebody who walks some way, well off the origin, and faces y: the left hand is at the smaller x."""
    rng = np.random.default_rng(seed)
    body = rng.uniform((-0.25, -0.2, 0.0), (0.25, 0.2, 1.75), (17, 3))
    body[PELVIS] = 0, 0, 0.95
    body[LEFT], body[RIGHT] = (-0.6, 0, 1), (0.6, 0, 1)
    path = np.cumsum(rng.normal(0, 0.03 * size, (frames, 1, 3)) * (1, 1, 0), axis=0) + np.array((3, -2, 0))
    positions = (path + size * body).astype(np.float32)
    return Motion("D", "s1", name, positions, 50.0, Metadata(skeleton))


def long_walk(metres: float) -> Motion:
    """Somebody who walks straight on, for 1600 frames."""
    path = np.linspace(0, metres, 1600, dtype=np.float32)[:, None, None] * np.array([1, 0, 0], np.float32)
    one = motion()
    return replace(one, positions_3d=one.positions_3d[:1] + path)


def middle(positions: np.ndarray, rows: slice | int = PELVIS) -> np.ndarray:
    """Of the box around the root's path."""
    path = positions[:, rows, :2]
    path = path if path.ndim == 2 else path.mean(axis=1)
    return (path.min(axis=0) + path.max(axis=0)) / 2


def where_axes_meet(cameras: tuple[Camera, ...]) -> np.ndarray:
    """The unknowns are the point and the distance along each axis: point - distance * axis = position."""
    equations = np.zeros((3 * len(cameras), 3 + len(cameras)))
    for number, camera in enumerate(cameras):
        equations[3 * number : 3 * number + 3, :3] = np.eye(3)
        equations[3 * number : 3 * number + 3, 3 + number] = -camera.rotation.T @ [0, 0, 1]
    positions = np.concatenate([camera.position for camera in cameras])
    point: np.ndarray = np.linalg.lstsq(equations, positions, rcond=None)[0][:3]
    return point


def subjects(points: Viewpoints, names: list[str], split: str | None = None) -> list[str]:
    """Whose cameras see motions of these names."""
    return ["".join({view.camera.subject for view in points.see(motion(name), split)[1]}) for name in names]


NAMES = [f"motion {number}" for number in range(60)]


# ------------------------------------------------------------------------------------------------- which cameras


@pytest.mark.parametrize("subject", ["S1", "S5", "S6", "S7", "S8", "S9", "S11"])
def test_the_cameras_of_a_subject(subject: str) -> None:
    one = motion()
    same, views = viewpoints(subject).see(one, "train")
    assert same is one
    assert tuple(view.camera for view in views) == h36m_cameras()[subject]
    for view in views:
        expected = view.camera.look(one.positions_3d)
        np.testing.assert_array_equal(view.positions_2d, expected.positions_2d)
        np.testing.assert_array_equal(view.visible, expected.visible)


def test_subjects_are_drawn_of_those_for_training_or_for_test() -> None:
    points = viewpoints("h36m")
    training = subjects(points, NAMES)
    assert set(training) == {"S1", "S5", "S6", "S7", "S8"}
    assert subjects(points, NAMES, "train") == training
    testing = subjects(points, NAMES, "test")
    assert set(testing) == {"S9", "S11"}
    assert subjects(points, NAMES, "validation") == testing


def test_a_draw_depends_on_seed_and_name_alone() -> None:
    points = viewpoints("h36m")
    drawn = subjects(points, NAMES)
    assert subjects(points, NAMES[::-1])[::-1] == drawn
    assert subjects(viewpoints("h36m"), NAMES) == drawn
    assert subjects(viewpoints("h36m", turn=True, place=True), NAMES) == drawn
    assert subjects(viewpoints("h36m", seed=1), NAMES) != drawn
    turned = viewpoints("S1", turn=True, seed=3)
    one, same = turned.see(motion("a"), None)[0], turned.see(motion("a"), None)[0]
    np.testing.assert_array_equal(one.positions_3d, same.positions_3d)
    other = turned.see(replace(motion("a"), dataset="E"), None)[0]
    assert np.abs(one.positions_3d - other.positions_3d).max() > 0.01


def test_names_may_be_any_text() -> None:
    assert len(viewpoints("h36m").see(motion("\udcff \N{SNOWMAN}\0"), None)[1]) == 4


@pytest.mark.parametrize(("said", "count"), [("random", 4), ("random:1", 1), ("random:9", 9), ("random:28", 28)])
def test_random_cameras_are_different_ones_of_all(said: str, count: int) -> None:
    points, seen = viewpoints(said), set()
    for name in map(str, range(40 if count > 1 else 300)):
        cameras = [view.camera for view in points.see(motion(name, frames=2), "test")[1]]
        assert len(set(cameras)) == len(cameras) == count
        seen |= set(cameras)
    assert len(seen) == 28


def test_cameras_of_a_file(tmp_path: Path) -> None:
    save_cameras(tmp_path / "mine.json", h36m_cameras()["S7"][:3])
    one = motion()
    views = viewpoints(str(tmp_path / "mine.json")).see(one, None)[1]
    expected = viewpoints("S7").see(one, None)[1]
    assert len(views) == 3
    for view, other in zip(views, expected, strict=False):
        np.testing.assert_allclose(view.positions_2d, other.positions_2d, atol=1e-3)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "there are no cameras '', expected S1, S5, .*h36m, random"),
        ("S2", "there are no cameras 'S2'"),
        ("s1", "there are no cameras 's1'"),
        ("random:", "'random:': expected random:K with K of 1 to 28"),
        ("random:0", "K of 1 to 28"),
        ("random:29", "K of 1 to 28"),
        ("random:-1", "K of 1 to 28"),
        ("random:99999999999999999999", "K of 1 to 28"),
        ("random:\N{SUPERSCRIPT TWO}", "K of 1 to 28"),
        ("random4", "there are no cameras"),
        ("nothing.json", "nothing.json: cannot be read"),
        ("cameras.yaml", "a file that ends in .json"),
    ],
)
def test_cameras_that_there_are_not(said: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        viewpoints(said)


@pytest.mark.parametrize("said", ["S1", "random:28", "FILE"])
def test_rejecting_what_cannot_be_drawn_again(said: str, tmp_path: Path) -> None:
    save_cameras(tmp_path / "mine.json", h36m_cameras()["S7"])
    said = said.replace("FILE", str(tmp_path / "mine.json"))
    with pytest.raises(InputError, match="nothing to draw again"):
        viewpoints(said, place=True, reject=True)
    viewpoints(said, turn=True, reject=True)


def test_a_negative_seed() -> None:
    with pytest.raises(InputError, match="the seed is -1"):
        viewpoints("h36m", seed=-1)


# ------------------------------------------------------------------------------------------- placed and turned


@pytest.mark.parametrize("subject", list(h36m_cameras()))
def test_people_are_placed_where_the_cameras_look(subject: str) -> None:
    one = motion(size=0.3)
    placed, views = viewpoints(subject, place=True).see(one, None)
    expected = where_axes_meet(h36m_cameras()[subject])
    assert np.abs(expected[:2]).max() < 0.6  # of a room of five metres by five
    np.testing.assert_allclose(middle(placed.positions_3d), expected[:2], atol=1e-5)
    np.testing.assert_array_equal(placed.positions_3d[..., 2], one.positions_3d[..., 2])
    moved = placed.positions_3d - one.positions_3d
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), atol=1e-5)
    assert all(view.visible.all() for view in views)
    assert placed.positions_3d.dtype == np.float32


def test_each_set_of_cameras_has_its_place() -> None:
    points = viewpoints("h36m", place=True)
    for name in NAMES[:10]:
        placed, views = points.see(motion(name), "test")
        expected = where_axes_meet(h36m_cameras()[str(views[0].camera.subject)])
        np.testing.assert_allclose(middle(placed.positions_3d), expected[:2], atol=1e-5)
    placed, views = viewpoints("random:1", place=True).see(motion(), None)
    everyone = tuple(camera for cameras in h36m_cameras().values() for camera in cameras)
    np.testing.assert_allclose(middle(placed.positions_3d), where_axes_meet(everyone)[:2], atol=1e-5)


@pytest.mark.parametrize("place", [False, True])
def test_turning(place: bool) -> None:
    one = motion()
    placed = viewpoints("S5", place=place).see(one, None)[0].positions_3d.astype(float)
    center = np.append(middle(placed), 0)
    angles = []
    for name in NAMES:
        turned = viewpoints("S5", place=place, turn=True).see(replace(one, name=name), None)[0].positions_3d
        a, b = (placed - center)[0, RIGHT, :2], (turned - center)[0, RIGHT, :2]
        angle = math.atan2(a[0] * b[1] - a[1] * b[0], a @ b)
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        np.testing.assert_allclose(turned - center, (placed - center) @ rotation.T, atol=2e-6)
        angles.append(angle)
    assert len(np.unique(np.floor(np.array(angles) / (math.pi / 4)))) == 8  # all around


def test_left_stays_left() -> None:
    """Whom a camera sees from the front has the left hand at the larger u, however they were turned."""
    for name in NAMES[:20]:
        turned, views = viewpoints("S1", place=True, turn=True).see(motion(name), None)
        assert any(view.positions_2d[0, LEFT, 0] > view.positions_2d[0, RIGHT, 0] for view in views)
        left, right = turned.positions_3d[0, LEFT], turned.positions_3d[0, RIGHT]
        facing = np.cross(right - left, (0, 0, 1)) * (-1, -1, 1)
        for view in views:
            from_the_front = facing @ (view.camera.position - turned.positions_3d[0, PELVIS]) > 0
            is_right = view.positions_2d[0, LEFT, 0] > view.positions_2d[0, RIGHT, 0]
            assert from_the_front == is_right


def test_one_arm_that_moves_moves_one_arm() -> None:
    still = motion(size=0.3)
    positions = np.repeat(still.positions_3d[:1], 10, axis=0)
    positions[:, LEFT, 2] += np.linspace(0, 0.3, 10, dtype=np.float32)
    for view in viewpoints("h36m", place=True, turn=True).see(replace(still, positions_3d=positions), None)[1]:
        moves = np.ptp(view.positions_2d, axis=0).max(axis=-1) > 0
        assert np.flatnonzero(moves).tolist() == [LEFT]
        assert (np.diff(view.positions_2d[:, LEFT, 1]) < 0).all()  # up


@pytest.mark.parametrize("said", ["S9", "h36m", "random:5"])
def test_what_is_seen_is_the_motion_that_is_returned(said: str) -> None:
    seen, views = viewpoints(said, place=True, turn=True, seed=5).see(motion(size=0.4), None)
    for view in views:
        expected = view.camera.look(seen.positions_3d)
        np.testing.assert_array_equal(view.positions_2d, expected.positions_2d)
        np.testing.assert_array_equal(view.positions_camera, expected.positions_camera)
        np.testing.assert_array_equal(view.visible, expected.visible)


@pytest.mark.parametrize(
    ("skeleton", "rows"), [(H36M17, PELVIS), (H36M17_SPIN, 0), (COCO17, slice(None)), (None, slice(None))]
)
def test_the_root_is_the_pelvis_or_the_mean(skeleton: Skeleton | None, rows: slice | int) -> None:
    placed = viewpoints("S1", place=True).see(motion(skeleton=skeleton), None)[0]
    expected = where_axes_meet(h36m_cameras()["S1"])[:2]
    np.testing.assert_allclose(middle(placed.positions_3d, rows), expected, atol=1e-5)


def test_float64_stays_float64() -> None:
    one = replace(motion(), positions_3d=motion().positions_3d.astype(np.float64))
    placed, views = viewpoints("S1", place=True, turn=True).see(one, None)
    assert placed.positions_3d.dtype == np.float64
    assert views[0].positions_2d.dtype == np.float32
    assert placed.positions_3d.flags.c_contiguous


def test_no_frames() -> None:
    none = motion(frames=0)
    for points in (viewpoints("h36m"), viewpoints("h36m", place=True, turn=True, reject=True)):
        seen, views = points.see(none, None)
        assert seen.positions_3d.shape == (0, 17, 3)
        assert {view.positions_2d.shape for view in views} == {(0, 17, 2)}
        assert Visibility.of(seen, views).hidden == 0


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(units="mm"), "millimetres"),
        (Choices(up="y"), "y up"),
        (Choices(root_relative=True), "relative to the pelvis"),
    ],
)
def test_motions_that_no_camera_could_see(choices: Choices, message: str) -> None:
    with pytest.raises(InputError, match=f"D/s1/walk: cameras see motions in metres, z up.*{message}"):
        viewpoints("S1").see(replace(motion(), metadata=Metadata(H36M17, choices)), None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_positions_that_are_not_finite(value: float) -> None:
    one = motion()
    one.positions_3d[3, 4, 1] = value
    with pytest.raises(InputError, match=r"D/s1/walk: .* not finite"):
        viewpoints("S1", place=True).see(one, None)


def test_cameras_that_meet_nowhere(tmp_path: Path) -> None:
    first, second = h36m_cameras()["S1"][:2]
    beside = replace(first, id="beside", position=first.position + np.array([0.5, 0, 0]))
    away = replace(second, id="away", rotation=np.diag([-1.0, 1, -1]) @ second.rotation)
    for cameras, message in (
        ([first], "it looks along one line"),
        ([first, beside], "they look along one line"),
        ([first, away], "meet behind the camera S1 away"),
    ):
        save_cameras(tmp_path / "mine.json", cameras)
        with pytest.raises(InputError, match=f"--place with --cameras .*mine.json: .*{message}"):
            viewpoints(str(tmp_path / "mine.json"), place=True)
        viewpoints(str(tmp_path / "mine.json"))


# ----------------------------------------------------------------------------------------------------- rejecting


def all_draws(points: Viewpoints, one: Motion) -> Iterator[tuple[int, np.ndarray, list[Camera]]]:
    """What each draw hides, where it puts people, and its cameras: all of it, the long way."""
    for drawn in islice(points._draws(str(one), None), views_module.MOST_DRAWS):
        positions = drawn.arranged(one.positions_3d, middle(one.positions_3d.astype(float)))
        hidden = sum(int((~camera.look(positions).visible).sum()) for camera in drawn.cameras)
        yield hidden, positions, list(drawn.cameras)


@pytest.mark.parametrize("said", ["S1", "h36m", "random:3"])
@pytest.mark.parametrize("size", [0.3, 1.3, 2.0, 40.0])
def test_the_first_draw_that_shows_all_is_taken_or_the_one_that_shows_most(said: str, size: float) -> None:
    one = motion(size=size, frames=21)
    points = viewpoints(said, place=True, turn=True, reject=True, seed=2)
    seen, views = points.see(one, None)
    hidden, positions, cameras = min(all_draws(points, one), key=lambda draw: draw[0])  # the first of the least
    np.testing.assert_array_equal(seen.positions_3d, positions)
    assert [view.camera for view in views] == cameras
    assert sum(int((~view.visible).sum()) for view in views) == hidden


def test_rejecting_helps() -> None:
    """People who stand off the middle are seen when they are turned to where there is room."""
    motions = [motion(name, size=1.3, seed=number) for number, name in enumerate(NAMES)]
    shown = {}
    for reject in (False, True):
        points = viewpoints("h36m", place=True, turn=True, reject=reject)
        shown[reject] = [Visibility.of(*points.see(one, None)).hidden == 0 for one in motions]
    assert 0 < sum(shown[False]) < sum(shown[True])
    assert all(after for before, after in zip(shown[False], shown[True], strict=True) if before)


def test_what_hides_something_is_soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    sees = Camera.sees
    monkeypatch.setattr(Camera, "sees", lambda self, some: looked_at.append(len(some)) or sees(self, some))
    one, points = long_walk(4.2), viewpoints("S1", place=True, turn=True, reject=True)
    seen, views = points.see(one, None)
    assert Visibility.of(seen, views).hidden == 0
    given_up = next(number for number, (hidden, _, _) in enumerate(all_draws(points, one)) if not hidden)
    assert given_up > 5
    assert sum(looked_at) == 4 * (1600 + given_up * 100)  # a sixteenth of each


# ------------------------------------------------------------------------------------------------- what is visible


def test_visibility_adds_up() -> None:
    whole = motion("whole", size=0.3)
    points = viewpoints("S1", place=True)
    never = motion("never", size=40)
    total = Visibility()
    visible, count = 0, 0
    for one in (whole, never):
        seen, views = points.see(one, None)
        total += Visibility.of(seen, views)
        visible += sum(int(view.visible.sum()) for view in views)
        count += 4 * 60 * 17
    assert (total.joints, total.visible, total.motions, total.never_whole) == (count, visible, 2, ("D/s1/never",))
    assert 0 < total.hidden < 0.5
    assert (
        str(total)
        == f"{total.hidden:.2%} of the joints are outside the images; 1 of 2 motions are never wholly inside one"
    )
    assert Visibility().hidden == 0


def test_a_whole_person_must_be_in_one_image() -> None:
    one, views = viewpoints("S1", place=True).see(motion(size=0.3), None)
    half = np.arange(17) < 8
    cut = tuple(
        replace(view, visible=np.broadcast_to(half if row % 2 else ~half, (60, 17))) for row, view in enumerate(views)
    )
    assert Visibility.of(one, cut).never_whole == ("D/s1/walk",)
    once = np.array(cut[1].visible)
    once[7] = True
    assert Visibility.of(one, (cut[0], replace(cut[1], visible=once))).never_whole == ()


def test_what_was_chosen() -> None:
    assert viewpoints("random:2", place=True, seed=4).as_json() == {
        "cameras": "random:2",
        "place": True,
        "turn": False,
        "reject": False,
        "seed": 4,
    }


# ----------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("normalized", [False, True])
def test_the_file_of_what_cameras_saw(tmp_path: Path, normalized: bool) -> None:
    points = viewpoints("h36m", place=True, turn=True)
    named = (("a", None), ("a.visible", "train"), ("b/..\n", "test"))
    seen = [
        (*points.see(motion(name, frames=9, seed=number), split), split) for number, (name, split) in enumerate(named)
    ]
    with exporter_for("project")(tmp_path / "out", ExportOptions(normalized=normalized)) as exporter:
        exporter.check([Source("D", tmp_path / "D.npz")])
        for one in seen:
            exporter.add(*one)
        assert not (tmp_path / "out" / "D.npz").exists()
    assert exporter.outputs == [tmp_path / "out" / "D.npz"]

    with np.load(tmp_path / "out" / "D.npz", allow_pickle=False) as file:
        arrays = dict(file)
    index = json.loads(arrays.pop("index").tobytes())
    assert len(arrays) == 9
    assert index["axes"] == ["cameras", "frames", "joints", "uv"]
    assert index["positions_2d"] == ("normalized" if normalized else "pixels")
    assert (index["units"], index["up"], index["joint_names"]) == ("metres", "z", list(H36M17.joints))
    assert len(index["cameras"]) == len({view.camera for _, views, _ in seen for view in views})
    for (one, views, split), entry in zip(seen, index["sequences"], strict=True):
        assert (entry["subject"], entry["sequence"], entry["frame_rate"]) == ("s1", one.name, 50)
        assert (entry["frames"], entry["joints"], entry.get("split")) == (9, 17, split)
        positions_2d, visible, positions_3d = (
            arrays[f"{kind}/{entry['key']}"] for kind in ("positions_2d", "visible", "positions_3d")
        )
        assert (positions_2d.dtype, visible.dtype, positions_3d.dtype) == (np.float32, np.bool_, np.float32)
        np.testing.assert_array_equal(positions_3d, one.positions_3d)
        np.testing.assert_array_equal(visible, [view.visible for view in views])
        (tmp_path / "c.json").write_text(json.dumps({"cameras": [index["cameras"][row] for row in entry["cameras"]]}))
        for found, view, again in zip(positions_2d, views, load_cameras(tmp_path / "c.json"), strict=True):
            width, height = view.camera.width, view.camera.height
            expected = view.positions_2d / width * 2 - [1, height / width] if normalized else view.positions_2d
            np.testing.assert_allclose(found, expected, atol=1e-6, rtol=1e-6)
            np.testing.assert_allclose(again.look(positions_3d).positions_2d, view.positions_2d, atol=1e-3)


def test_what_has_no_pixel_is_zero_in_the_file_however_it_is_given(tmp_path: Path) -> None:
    behind = motion(frames=9)
    behind = replace(behind, positions_3d=behind.positions_3d + np.array([0, 20, 0], np.float32))
    one, views = viewpoints("S1").see(behind, None)
    has_none = np.array([~view.positions_2d.any(axis=-1) for view in views])
    assert has_none.any()
    assert not has_none.all()
    with exporter_for("project")(tmp_path, ExportOptions(normalized=True)) as exporter:
        exporter.check([Source("D", tmp_path / "source.npz")])
        exporter.add(one, views, None)
    with np.load(tmp_path / "D.npz") as file:
        (name,) = (name for name in file.files if name.startswith("positions_2d"))
        assert (~file[name].any(axis=-1) == has_none).all()


def test_the_file_is_whole_or_not_there(tmp_path: Path) -> None:
    one, views = viewpoints("S1").see(motion(), None)
    exporter = exporter_for("project")(tmp_path, ExportOptions())

    def write_twice() -> None:
        with exporter:
            exporter.add(one, views, None)
            exporter.add(one, views, None)

    with pytest.raises(InputError, match="D/s1/walk: it comes a second time"):
        write_twice()
    assert list(tmp_path.iterdir()) == []


def test_the_same_motions_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        with exporter_for("project")(tmp_path, ExportOptions()) as exporter:
            exporter.add(*viewpoints("random", turn=True).see(motion(), None), None)
        written.append((tmp_path / "D.npz").read_bytes())
    assert written[0] == written[1]


def test_sources_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "D.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"D\.npz: it would be written over while it is read"):
        exporter_for("project")(tmp_path, ExportOptions()).check([Source("D", tmp_path / "D.npz")])
