"""Projection against the published formulas, written out for one point; and files of cameras."""

import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from amass_joints.camera_files import load_cameras, save_cameras
from amass_joints.cameras import Camera, h36m_cameras
from amass_joints.errors import InputError

ALL = [camera for cameras in h36m_cameras().values() for camera in cameras]


def camera(**fields: object) -> Camera:
    """A camera in the origin that looks along y, with x to the right: people in front of it stand upright."""
    plain = Camera(
        id="plain",
        subject=None,
        width=1000,
        height=800,
        focal_length=np.array([1100.0, 1150.0]),
        center=np.array([510.0, 390.0]),
        radial_distortion=np.zeros(3),
        tangential_distortion=np.zeros(2),
        rotation=np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        position=np.zeros(3),
        model="opencv",
    )
    return replace(plain, **fields)


def bent(model: str) -> Camera:
    return camera(
        radial_distortion=np.array([-0.21, 0.24, -0.01]),
        tangential_distortion=np.array([-0.0012, 0.0031]),
        model=model,
    )


def looking_up(one: Camera) -> Camera:
    """The same with its axes along the world's."""
    return replace(one, rotation=np.eye(3), position=np.zeros(3))


def h36m_pixel(point: np.ndarray, one: Camera) -> tuple[float, float]:
    """VideoPose3D, common/camera.py, project_to_2d, for what it does not clamp."""
    (fx, fy), (cx, cy), k, p = one.focal_length, one.center, one.radial_distortion, one.tangential_distortion
    xx = [point[0] / point[2], point[1] / point[2]]
    r2 = xx[0] ** 2 + xx[1] ** 2
    radial = 1 + sum(k[i] * r2 ** (i + 1) for i in range(3))
    tan = p[0] * xx[0] + p[1] * xx[1]
    xxx = [xx[i] * (radial + tan) + p[i] * r2 for i in range(2)]
    return fx * xxx[0] + cx, fy * xxx[1] + cy


def opencv_pixel(point: np.ndarray, one: Camera) -> tuple[float, float]:
    """OpenCV, calib3d, "Detailed Description", with five coefficients."""
    (k1, k2, k3), (p1, p2) = one.radial_distortion, one.tangential_distortion
    x, y = point[0] / point[2], point[1] / point[2]
    r = math.hypot(x, y)
    x2 = x * (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2)
    y2 = y * (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y
    return one.focal_length[0] * x2 + one.center[0], one.focal_length[1] * y2 + one.center[1]


PIXEL = {"h36m": h36m_pixel, "opencv": opencv_pixel}


def some_points(count: int, seed: int = 0) -> np.ndarray:
    """In front of a camera, up to 40 degrees to the side."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(-0.6, 0.6, (count, 2)), np.ones((count, 1))], axis=1) * rng.uniform(
        1, 9, (count, 1)
    )


# -------------------------------------------------------------------------------------------------- projection


@pytest.mark.parametrize("one", [*ALL, bent("h36m"), bent("opencv")], ids=str)
def test_pixels_are_those_of_the_published_formula(one: Camera) -> None:
    points = some_points(200)
    expected = [PIXEL[one.model](point, one) for point in points]
    np.testing.assert_allclose(one.project(points), expected, atol=1e-8, rtol=0)  # asked for: 1e-4 pixels
    np.testing.assert_allclose(one.project(points.astype(np.float32)), expected, atol=1e-3, rtol=0)


def test_the_two_models_of_lenses_differ() -> None:
    points = some_points(200)
    differences = np.abs(bent("h36m").project(points) - bent("opencv").project(points))
    assert differences.max() > 0.5
    no_tangential = {"tangential_distortion": np.zeros(2)}
    alike = [replace(bent(model), **no_tangential).project(points) for model in ("h36m", "opencv")]
    np.testing.assert_array_equal(*alike)


def test_human36m_is_what_is_published() -> None:
    table = json.loads(files("amass_joints").joinpath("h36m_cameras.json").read_text())
    assert list(h36m_cameras()) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    points = np.random.default_rng(1).normal(0, 1, (50, 3))
    for subject, places in table["extrinsics"].items():
        assert [one.id for one in h36m_cameras()[subject]] == ["54138969", "55011271", "58860488", "60457274"]
        for one, place, lens in zip(h36m_cameras()[subject], places, table["intrinsics"], strict=True):
            assert (one.subject, one.width, one.height) == (subject, lens["res_w"], lens["res_h"])
            turned_into_the_world = Rotation.from_quat(np.roll(place["orientation"], -1))
            expected = turned_into_the_world.inv().apply(points - np.array(place["translation"]) / 1000)
            np.testing.assert_allclose(one.to_camera(points), expected, atol=1e-12)


@pytest.mark.parametrize("one", ALL, ids=str)
def test_human36m_cameras_stand_around_people(one: Camera) -> None:
    person = np.array([[[0.0, 0.3, 0.05], [0.0, 0.3, 1.7]]])
    view = one.look(person)
    assert view.visible.all()
    (feet, head), depth = view.positions_2d[0], view.positions_camera[0, :, 2]
    assert head[1] < 450 < 550 < feet[1]  # upright: v points down
    assert (depth > 3).all()
    assert (depth < 7).all()


@pytest.mark.parametrize("one", [*ALL, bent("opencv")], ids=str)
def test_what_is_straight_ahead_is_in_the_center(one: Camera) -> None:
    ahead = one.position + one.rotation.T @ [0, 0, 4.0]
    np.testing.assert_allclose(one.to_camera(ahead), [0, 0, 4], atol=1e-12)
    np.testing.assert_allclose(one.project(one.to_camera(ahead)), one.center, atol=1e-9)


def test_the_left_hand_of_who_faces_the_camera_is_to_the_right() -> None:
    # Who looks along -y, towards the camera, has the left hand at the larger x.
    hands = np.array([[[0.7, 4.0, 0.2], [-0.7, 4.0, 0.2]]])
    left, right = camera().look(hands).positions_2d[0]
    assert left[0] > 510 > right[0]
    assert left[1] < 390  # above the optical axis


@pytest.mark.parametrize("one", [camera(), bent("h36m"), bent("opencv")], ids=["plain", "h36m", "opencv"])
@pytest.mark.parametrize("depth", [0.0, -0.0, -1e-300, -1e-9, -3.0, -1e30, math.nan, -math.inf])
def test_nothing_behind_a_camera_is_projected(one: Camera, depth: float) -> None:
    points = np.array([[[0.0, 0, depth], [0.1, 0.1, depth], [-3, 2, depth], [0, 0, 3]]])
    pixels = one.project(points)
    assert np.isnan(pixels[0, :3]).all()
    np.testing.assert_allclose(pixels[0, 3], one.center)
    view = looking_up(one).look(points)
    assert not view.positions_2d[0, :3].any()
    assert view.visible.tolist() == [[False, False, False, True]]


def test_there_are_no_pixels_ten_images_away() -> None:
    """Trainers that look at no visibility would be fed with them."""
    close_to_its_plane = np.stack([np.ones(1000), np.zeros(1000), np.geomspace(1e-6, 1, 1000)], axis=-1)[None]
    for one in [looking_up(one) for one in (*ALL, camera())]:
        view, pixels = one.look(close_to_its_plane), one.project(close_to_its_plane)[0]
        expected = np.array([PIXEL[one.model](point, one) for point in close_to_its_plane[0]])
        near = np.abs(expected).sum(axis=-1) < 10 * (one.width + one.height)
        near &= 1 / close_to_its_plane[0, :, 2] < one.reach
        assert 0 < near.sum() < 1000
        assert np.isnan(pixels[~near]).all()
        np.testing.assert_allclose(pixels[near], expected[near], rtol=1e-9)
        assert np.abs(view.positions_2d).max() < 10 * (one.width + one.height)


@pytest.mark.parametrize("value", [1e-320, 1e-200, 1e200, math.inf, math.nan])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("curved", [0.0, 0.3])
def test_extreme_numbers_give_no_warnings_and_no_nonsense(value: float, axis: int, curved: float) -> None:
    one = camera(radial_distortion=np.full(3, curved))
    point = np.ones((1, 1, 3))
    point[..., axis] = value
    pixels, view = one.project(point), looking_up(one).look(point)
    assert np.isfinite(pixels).all() or np.isnan(pixels).all()
    assert np.isfinite(view.positions_2d).all()
    if view.visible.any():  # as what is straight below
        np.testing.assert_allclose(view.positions_2d[0, 0], opencv_pixel(point[0, 0], one), rtol=1e-6)


def test_visible_is_inside_the_image() -> None:
    one = camera(focal_length=np.array([1.0, 1.0]), center=np.zeros(2), width=100, height=50)
    u_v = {(0, 0): True, (99.9, 49.9): True, (100, 20): False, (20, 50): False, (-0.01, 5): False, (5, -0.01): False}
    u_v[99.999999999, 20] = False  # which is 100 in float32
    view = looking_up(one).look(np.array([[(u, v, 1.0) for u, v in u_v]]))
    assert view.visible[0].tolist() == list(u_v.values())


def test_a_view_is_in_float32_and_agrees_with_itself() -> None:
    points = np.random.default_rng(2).normal((0, 4, 0), 3, (40, 17, 3))
    one = bent("h36m")
    view = one.look(points)
    assert view.positions_camera.dtype == view.positions_2d.dtype == np.float32
    assert view.camera is one
    along = one.to_camera(points)
    np.testing.assert_allclose(view.positions_camera, along, rtol=1e-6)
    pixels = one.project(along)
    assert np.isnan(pixels).any()
    np.testing.assert_allclose(view.positions_2d, np.nan_to_num(pixels), rtol=1e-6)
    np.testing.assert_array_equal(view.visible, one.sees(points))
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= 0) & (pixels < [one.width, one.height])).all(axis=-1)
    np.testing.assert_array_equal(view.visible, inside)


def test_a_frame_is_the_same_alone_and_among_others() -> None:
    points = np.random.default_rng(3).normal(0, 1, (333, 17, 3)).astype(np.float32)
    one = h36m_cameras()["S1"][0]
    whole, some = one.look(points), one.look(points[7::13])
    np.testing.assert_array_equal(whole.positions_2d[7::13], some.positions_2d)
    np.testing.assert_array_equal(whole.positions_camera[7::13], some.positions_camera)


def test_normalized_pixels() -> None:
    pixels = np.array([[0.0, 0], [1000, 800], [500, 400], [250, 100]])
    expected = [[-1, -0.8], [1, 0.8], [0, 0], [-0.5, -0.6]]
    np.testing.assert_allclose(camera().normalized(pixels), expected, atol=1e-12)
    assert camera().normalized(pixels.astype(np.float32)).dtype == np.float32


# ------------------------------------------------------------------------------------- how far the lens's model holds


@pytest.mark.parametrize(
    ("k", "p", "model", "expected"),
    [
        ((0, 0, 0), (0, 0), "opencv", math.inf),
        ((0.1, 0.2, 0.3), (0, 0), "h36m", math.inf),
        ((-0.3, 0, 0), (0, 0), "opencv", math.sqrt(1 / 0.9)),  # r (1 - 0.3 r²) turns back there
        ((0, 0, -0.01), (0, 0), "h36m", (1 / 0.07) ** (1 / 6)),
        ((0, 0, 0), (0.003, 0.004), "h36m", 1 / (4 * 0.005)),
        ((0, 0, 0), (0.003, 0.004), "opencv", 1 / (6 * 0.005)),
    ],
)
def test_reach(k: tuple[float, ...], p: tuple[float, ...], model: str, expected: float) -> None:
    one = camera(radial_distortion=np.array(k, float), tangential_distortion=np.array(p, float), model=model)
    assert one.reach == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", ["h36m", "opencv"])
def test_within_reach_the_image_is_not_folded(model: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        k, p = rng.normal(0, (0.3, 0.3, 0.1)), rng.normal(0, 0.01, 2)
        one = camera(radial_distortion=k, tangential_distortion=p, model=model, width=1 << 60)  # all have pixels
        radius = min(one.reach, 10) * 0.999
        angles, radii = rng.uniform(0, 2 * math.pi, 500), radius * np.sqrt(rng.uniform(0, 1, 500))
        points = np.stack([radii * np.cos(angles), radii * np.sin(angles), np.ones(500)], axis=1)
        step = 1e-6
        right, down = (one.project(points + step * np.eye(3)[axis]) - one.project(points) for axis in (0, 1))
        assert (right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0] > 0).all()


def test_what_is_far_to_the_side_is_not_folded_into_the_image() -> None:
    one = camera(radial_distortion=np.array([-0.3, 0, 0]))
    point = np.array([[[1.8, 0.0, 1.0]]])  # 61 degrees off, and the formula has it inside
    assert 0 < opencv_pixel(point[0, 0], one)[0] < 1000
    assert not looking_up(one).sees(point).any()
    assert np.isnan(one.project(point)).all()


def test_reach_is_beyond_the_image_for_human36m() -> None:
    for one in ALL:
        assert one.reach > 4  # 76 degrees; an image's corner is at 32


@pytest.mark.parametrize("value", [0.0, 1e-320, -1e-320, 1e-12, 1e9, -1e9])
def test_any_coefficients_have_a_reach(value: float) -> None:
    for model in ("h36m", "opencv"):
        one = camera(radial_distortion=np.full(3, value), tangential_distortion=np.full(2, value), model=model)
        assert one.reach > 0
        assert np.isfinite(one.look(np.array([[[0.1, 4, 0.1]]])).positions_2d).all()


# ------------------------------------------------------------------------------------------------------- files


ENTRY = {
    "id": "left",
    "width": 1920,
    "height": 1080,
    "fx": 1500.0,
    "fy": 1510.0,
    "cx": 960.0,
    "cy": 540.0,
    "dist": [-0.1, 0.05, 0.001, -0.002, 0.01],
    "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "t": [0.1, 1.2, 3.0],
}


def without(*keys: str, **others: object) -> dict[str, object]:
    return {key: value for key, value in ENTRY.items() if key not in keys} | others


def written(path: Path, *entries: object) -> Path:
    path = path / "cameras.json"
    path.write_text(json.dumps({"cameras": entries}))
    return path


def test_a_file_in_opencv_convention(tmp_path: Path) -> None:
    (one,) = load_cameras(written(tmp_path, ENTRY))
    points = np.random.default_rng(0).normal(0, 1, (30, 3)) * [1, 0.5, 0.5] + [0, 3, 0]
    along = points @ np.array(ENTRY["R"]).T + ENTRY["t"]  # X_camera = R X_world + t
    np.testing.assert_allclose(one.to_camera(points), along, atol=1e-12)
    k1, k2, p1, p2, k3 = ENTRY["dist"]
    reference = camera(
        focal_length=np.array([1500.0, 1510.0]),
        center=np.array([960.0, 540.0]),
        radial_distortion=np.array([k1, k2, k3]),
        tangential_distortion=np.array([p1, p2]),
    )
    expected = [opencv_pixel(point, reference) for point in along]
    np.testing.assert_allclose(one.project(along), expected, atol=1e-8)
    assert (one.id, one.subject, one.width, one.height) == ("left", None, 1920, 1080)


def test_the_same_camera_said_otherwise(tmp_path: Path) -> None:
    rotation = Rotation.from_euler("xyz", [70, -20, 130], degrees=True)
    (one,) = load_cameras(written(tmp_path, without("R", R=rotation.as_matrix().tolist())))
    lens = {"K": [[1500, 0, 960], [0, 1510, 540], [0, 0, 1]], "dist": [ENTRY["dist"]]}
    columns = {"rvec": [[value] for value in rotation.as_rotvec()], "t": [[0.1], [1.2], [3.0]]}
    (other,) = load_cameras(written(tmp_path, without("fx", "fy", "cx", "cy", "R", "t", "dist", **lens, **columns)))
    points = np.random.default_rng(0).normal(0, 1, (30, 3))
    np.testing.assert_allclose(one.to_camera(points), other.to_camera(points), atol=1e-12)
    np.testing.assert_allclose(one.project(some_points(9)), other.project(some_points(9)), atol=1e-12)


@pytest.mark.parametrize("vector", [(0, 0, 0), (1e-200, 0, 0), (1e-9, -2e-9, 0), (0, 3.14159265358979, 0), (4, -7, 2)])
def test_rotation_vectors(tmp_path: Path, vector: tuple[float, ...]) -> None:
    (one,) = load_cameras(written(tmp_path, without("R", rvec=vector)))
    np.testing.assert_allclose(one.rotation, Rotation.from_rotvec(vector).as_matrix(), atol=1e-14)


def test_four_coefficients_or_none(tmp_path: Path) -> None:
    (four,) = load_cameras(written(tmp_path, without("dist", dist=[1, 2, 3, 4])))
    assert four.radial_distortion.tolist() == [1, 2, 0]
    assert four.tangential_distortion.tolist() == [3, 4]
    (none,) = load_cameras(written(tmp_path, without("dist")))
    assert not none.radial_distortion.any()
    assert none.reach == math.inf


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    cameras = [*ALL, replace(bent("opencv"), id="Kamera \N{LATIN SMALL LETTER U WITH DIAERESIS}ber Eck")]
    save_cameras(tmp_path / "all.json", cameras)
    again = load_cameras(tmp_path / "all.json")
    points = np.random.default_rng(0).normal(0, 1, (5, 4, 3))
    for one, other in zip(cameras, again, strict=True):
        fields = ("id", "subject", "width", "height", "model")
        assert [getattr(one, field) for field in fields] == [getattr(other, field) for field in fields]
        np.testing.assert_allclose(one.position, other.position, atol=1e-12)
        np.testing.assert_array_equal(one.rotation, other.rotation)
        np.testing.assert_allclose(one.look(points).positions_2d, other.look(points).positions_2d, atol=1e-4, rtol=1e-6)


def test_rounded_rotations_are_taken_as_they_are(tmp_path: Path) -> None:
    rotation = np.round(Rotation.from_euler("xyz", [70, -20, 130], degrees=True).as_matrix(), 4)
    (one,) = load_cameras(written(tmp_path, without("R", R=rotation.tolist())))
    np.testing.assert_allclose(one.to_camera(np.array([1.0, 2, 3])), rotation @ [1, 2, 3] + ENTRY["t"], atol=1e-12)


NAN = float("nan")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (without("id"), "camera 1: it lacks 'id'"),
        (without("t"), r"camera 1 \('left'\): it lacks 't'"),
        (without("width"), "it lacks 'width'"),
        (without("fx"), "it lacks 'fx'"),
        (without("fx", "fy", "cx", "cy"), "neither of 'K' and fx, fy, cx and cy"),
        (without("R"), "neither of 'R' and rvec"),
        (without(rvec=[0, 0, 0]), "both of 'R' and rvec"),
        (without(K=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]), "both of 'K' and fx"),
        (without(distortion=[0, 0, 0, 0, 0]), "it has 'distortion', which is none of id, "),
        (without(id=5), "'id' is 5; expected a name"),
        (without(id=""), "'id' is ''; expected a name"),
        (without(id="a\nb"), r"'id' is 'a\\nb'; expected a name"),
        (without(id="x" * 101), "expected a name of 1 to 100"),
        (without(subject=3), "'subject' is 3"),
        (without(width=0), "'width' is 0; expected a whole number of pixels"),
        (without(width=-5), "'width' is -5"),
        (without(width=True), "'width' is True"),
        (without(height=1080.5), "'height' is 1080.5"),
        (without(height="1080"), "'height' is '1080'"),
        (without(height=10**9), "'height' is 1000000000"),
        (without(fx=0), "'fx' is 0; expected a focal length"),
        (without(fy=-1500), "'fy' is -1500; expected a focal length"),
        (without(fx="1500"), "'fx' is '1500'; expected a number"),
        (without(fx=None), "'fx' is None; expected a number"),
        (without(fx=True), "'fx' is True; expected a number"),
        (without(fx=[1500]), r"'fx' is \[1500\]; expected a number"),
        (without(cx=NAN), "'cx' is nan; expected a number, none of them beyond 1e9"),
        (without(cx=-math.inf), "'cx' is -inf"),
        (without(cx=10**400), "'cx' is 1000"),
        (without("fx", "fy", "cx", "cy", K=[[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]), r"expected \[\[fx, 0, cx\]"),
        (without("fx", "fy", "cx", "cy", K=[[1, 0, 0], [0, 1, 0]]), "expected numbers, 3 x 3"),
        (without(dist=[0, 0, 0]), "'dist' has 3 entries; expected k1, k2, p1, p2"),
        (without(dist=[0] * 8), "'dist' has 8 entries; .* no other of OpenCV's models"),
        (without(dist="none"), "'dist' is 'none'"),
        (without(dist=[0, 0, 0, 0, NAN]), "'dist' is .*nan"),
        (without(dist=[0, 0, 0, 0, [1]]), "'dist' is"),
        (without(model="fisheye"), "'model' is 'fisheye'; expected h36m or opencv"),
        (without(model=["h36m"]), "'model' is"),
        (without(R=[[1, 0, 0], [0, 1, 0]]), "'R' is .* expected numbers, 3 x 3"),
        (without(R=[[1, 0, 0], [0, 1, 0], [0, 0]]), "'R' is .* expected numbers, 3 x 3"),
        (without(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "expected a rotation, with rows of length 1"),
        (without(R=[[1, 0, 0], [0.1, 1, 0], [0, 0, 1]]), "expected a rotation, with rows of length 1"),
        (without(R=[[0, 0, 0]] * 3), "expected a rotation, with rows of length 1"),
        (without(R=[[1, 0, 0], [0, 1, 0], [0, 0, -1]]), "a reflection, .* which swaps left and right"),
        (without(R=[[NAN, 0, 0], [0, 1, 0], [0, 0, 1]]), "'R' is .*nan"),
        (without("R", rvec=[1, 2]), "'rvec' is .* expected numbers, 3"),
        (without(t=[0, 0]), "'t' is .* expected numbers, 3"),
        (without(t={"x": 0}), "'t' is .* expected numbers, 3"),
        (without(t=[100, 1200, 3000]), "3,233 metres from the origin; .*millimetres"),
        (7, "camera 1 is 7, expected an object"),
        ([], "camera 1 is"),
    ],
)
def test_cameras_that_are_none(tmp_path: Path, entry: object, message: str) -> None:
    path = written(tmp_path, entry)
    with pytest.raises(InputError, match=f"cameras.json.*{message}"):
        load_cameras(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"cameras", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"cameras": ' + b"[" * 500 + b"]" * 500 + b"}", "camera 1 is"),
        (b"[]", 'expected {"cameras": '),
        (b"{}", 'expected {"cameras": '),
        (b'{"cameras": {}}', 'expected {"cameras": '),
        (b'{"cameras": []}', "it has no cameras"),
        (b'{"cameras": [], "units": "mm"}', "it has 'units'"),
        (b'{"cameras": [], "version": 2}', "version 2; expected .* version 1"),
        (b'{"cameras": [], "cameras": []}', "'cameras' stands twice"),
        (b'{"cameras": [1' + b"0" * 5000 + b"]}", "cameras.json: "),
        (b" " * (5 << 20), "larger than 4 MiB"),
        (json.dumps({"cameras": [ENTRY, ENTRY]}).encode(), "two cameras are called 'left'"),
    ],
)
def test_files_that_hold_no_cameras(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cameras.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_cameras(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.json", "a\0b.json"):
        with pytest.raises(InputError, match=r"cannot be read|no regular file"):
            load_cameras(path)
    with pytest.raises(InputError, match="cannot be written"):
        save_cameras(tmp_path / "missing" / "cameras.json", ALL[:1])
