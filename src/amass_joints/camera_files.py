"""Cameras in files: JSON in the convention of OpenCV. docs/cameras.md describes it for people.

::

    {"format": "amass-joints cameras", "version": 1, "cameras": [
        {"id": "left", "width": 1920, "height": 1080,
         "fx": 1500, "fy": 1500, "cx": 960, "cy": 540, "dist": [k1, k2, p1, p2, k3],
         "R": [[...], [...], [...]], "t": [...]}]}

``K`` may stand for the four numbers of the lens, and ``rvec`` for ``R``: X_camera = R X_world + t, in metres, z up.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from amass_joints.cameras import Camera, Model
from amass_joints.errors import InputError
from amass_joints.files import written_whole
from amass_joints.json_files import read_json, shown

if TYPE_CHECKING:
    from jaxtyping import Float

FORMAT = "amass-joints cameras"

VERSION = 1

MOST_PIXELS = 100_000
"""Of an image's width and height."""

FARTHEST = 1000.0
"""Metres, from the origin: nobody films people from there, but many files are in millimetres."""

_LENS = ("fx", "fy", "cx", "cy")
_KEYS = ("id", "subject", "width", "height", "K", *_LENS, "dist", "model", "R", "rvec", "t")
_EXAMPLE = "docs/cameras.md shows a whole file."


def camera_entry(camera: Camera) -> dict[str, Any]:
    """Give a camera as it stands in a file, with numbers that give the same camera again."""
    (fx, fy), (cx, cy) = camera.focal_length.tolist(), camera.center.tolist()
    (k1, k2, k3), (p1, p2) = camera.radial_distortion.tolist(), camera.tangential_distortion.tolist()
    return {
        "id": camera.id,
        **({"subject": camera.subject} if camera.subject is not None else {}),
        "width": camera.width,
        "height": camera.height,
        **dict(zip(_LENS, (fx, fy, cx, cy), strict=True)),
        "dist": [k1, k2, p1, p2, k3],
        "model": camera.model,
        "R": camera.rotation.tolist(),
        "t": (-camera.rotation @ camera.position).tolist(),
    }


def are_same(one: Camera, other: Camera) -> bool:
    """Whether two cameras have the same names and the same numbers."""
    return one is other or camera_entry(one) == camera_entry(other)


def save_cameras(path: str | os.PathLike[str], cameras: Iterable[Camera]) -> None:
    """Write cameras that :func:`load_cameras` reads.

    Raises:
        InputError: the file cannot be written.
    """
    with written_whole(Path(path)) as stream:
        stream.write(as_file(cameras))


def as_file(cameras: Iterable[Camera]) -> bytes:
    """Give the content of a file that :func:`load_cameras` reads."""
    lines = ",\n  ".join(json.dumps(camera_entry(camera), ensure_ascii=False) for camera in cameras)
    return f'{{"format": "{FORMAT}", "version": {VERSION}, "cameras": [\n  {lines}\n]}}\n'.encode()


def load_cameras(path: str | os.PathLike[str]) -> tuple[Camera, ...]:
    """Read cameras.

    Raises:
        InputError: the file cannot be read, or says anything that is no camera, or that nobody would know of.
    """
    name = os.fspath(path)
    content = read_json(name, "JSON with cameras, as docs/cameras.md shows it")
    if not isinstance(content, dict) or not isinstance(content.get("cameras"), list):
        raise InputError(f'{name}: expected {{"cameras": [...]}}, found {shown(content)}. {_EXAMPLE}')
    _no_others(name, content, ("format", "version", "cameras"))
    if content.get("format", FORMAT) != FORMAT or content.get("version", VERSION) != VERSION:
        raise InputError(
            f"{name}: it says format {shown(content.get('format'))}, version {shown(content.get('version'))}; "
            f"expected '{FORMAT}', version {VERSION}. A newer amass-joints may read it."
        )
    if not content["cameras"]:
        raise InputError(f"{name}: it has no cameras, expected at least one. {_EXAMPLE}")
    cameras: dict[tuple[str | None, str], Camera] = {}
    for number, entry in enumerate(content["cameras"], start=1):
        camera = _Entry.of(entry, f"{name}: camera {number}").camera()
        if (camera.subject, camera.id) in cameras:
            raise InputError(f"{name}: two cameras are called {shown(str(camera))}; each needs an 'id' of its own.")
        cameras[camera.subject, camera.id] = camera
    return tuple(cameras.values())


def _no_others(where: str, entry: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    others = [key for key in entry if key not in keys]
    if others:
        raise InputError(f"{where}: it has {shown(others[0])}, which is none of {', '.join(keys)}. {_EXAMPLE}")


class _Entry:
    """What a file says of one camera."""

    def __init__(self, entry: dict[str, Any], where: str) -> None:
        self._entry, self._where = entry, where

    @staticmethod
    def of(entry: Any, where: str) -> _Entry:
        if not isinstance(entry, dict):
            raise InputError(f"{where} is {shown(entry)}, expected an object with {', '.join(_KEYS)}. {_EXAMPLE}")
        if isinstance(entry.get("id"), str):
            where += f" ({shown(entry['id'])})"
        _no_others(where, entry, _KEYS)
        return _Entry(entry, where)

    def camera(self) -> Camera:
        """Give the camera, or say what is wrong with it."""
        subject = self._text("subject") if self._entry.get("subject") is not None else None
        fx, fy, cx, cy = self._lens()
        k1, k2, p1, p2, k3 = self._distortion()
        rotation = self._rotation()
        translation = self._numbers("t", (3,))
        # Of the files' rotations, most are rounded. So, X_camera = R X_world + t stays exactly true.
        position = -np.linalg.solve(rotation, translation)
        if np.linalg.norm(position) > FARTHEST:
            raise self._wrong(
                "t",
                f"puts the camera {np.linalg.norm(position):,.0f} metres from the origin",
                f"metres, at most {FARTHEST:g}: were these millimetres?",
            )
        return Camera(
            id=self._text("id"),
            subject=subject,
            width=self._size("width"),
            height=self._size("height"),
            focal_length=np.array([fx, fy]),
            center=np.array([cx, cy]),
            radial_distortion=np.array([k1, k2, k3]),
            tangential_distortion=np.array([p1, p2]),
            rotation=rotation,
            position=position,
            model=self._model(),
        )

    def _lens(self) -> Float[np.ndarray, "4"]:
        """Give fx, fy, cx, cy."""
        if self._one_of("K", "fx, fy, cx and cy", any(key in self._entry for key in _LENS)):
            matrix = self._numbers("K", (3, 3))
            lens = matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
            if matrix.tolist() != [[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]]:
                raise self._wrong("K", f"is {shown(self._entry['K'])}", "[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
        else:
            lens = np.array([self._numbers(key, ()) for key in _LENS])
        for key, value in zip(_LENS[:2], lens[:2], strict=True):
            if value <= 0:
                raise self._wrong(key, f"is {value:g}", "a focal length in pixels, more than 0")
        return lens

    def _distortion(self) -> tuple[float, ...]:
        """Give k1, k2, p1, p2, k3."""
        if "dist" not in self._entry:
            return (0.0,) * 5
        found = self._entry["dist"]
        if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):  # OpenCV's is (1, 5)
            found = found[0]
        if not isinstance(found, list) or len(found) not in (4, 5):
            has = f"has {len(found)} entries" if isinstance(found, list) else f"is {shown(found)}"
            raise self._wrong("dist", has, "k1, k2, p1, p2 and, if you like, k3; no other of OpenCV's models is known")
        return (*self._checked("dist", found, (len(found),)).tolist(), 0.0)[:5]

    def _rotation(self) -> Float[np.ndarray, "3 3"]:
        if not self._one_of("R", "rvec", "rvec" in self._entry):
            return _from_rotation_vector(self._numbers("rvec", (3,)))
        rotation = self._numbers("R", (3, 3))
        if np.abs(rotation).max() > 2 or np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
            raise self._wrong("R", f"is {shown(self._entry['R'])}", "a rotation, with rows of length 1 at right angles")
        if np.linalg.det(rotation) < 0:
            raise self._wrong("R", "is a reflection, with determinant -1, which swaps left and right", "a rotation")
        return rotation

    def _model(self) -> Model:
        model = self._entry.get("model", "opencv")
        if model not in get_args(Model):
            raise self._wrong("model", f"is {shown(model)}", " or ".join(get_args(Model)))
        return model

    def _text(self, key: str) -> str:
        text = self._value(key)
        if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= 100:
            raise self._wrong(key, f"is {shown(text)}", "a name of 1 to 100 printable characters")
        return text

    def _size(self, key: str) -> int:
        size = self._value(key)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_PIXELS:
            raise self._wrong(key, f"is {shown(size)}", f"a whole number of pixels, 1 to {MOST_PIXELS:,}")
        return size

    def _numbers(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        return self._checked(key, self._value(key), shape)

    def _checked(self, key: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Give a number, or numbers in lists of lists, as float64."""
        expected = f"numbers, {' x '.join(map(str, shape))}" if shape else "a number"
        found = value
        if (
            len(shape) == 1
            and isinstance(value, list)
            and all(isinstance(row, list) and len(row) == 1 for row in value)
        ):
            found = [row[0] for row in value]  # OpenCV's vectors are columns
        if not _is_shaped(found, shape):
            raise self._wrong(key, f"is {shown(value)}", expected)
        array = np.array(found, np.float64)
        if not np.abs(array).max() <= 1e9:  # NaN is not, either
            raise self._wrong(key, f"is {shown(value)}", f"{expected}, none of them beyond 1e9")
        return array

    def _value(self, key: str) -> Any:
        if key not in self._entry:
            raise InputError(f"{self._where}: it lacks '{key}', one of {', '.join(_KEYS)}. {_EXAMPLE}")
        return self._entry[key]

    def _one_of(self, key: str, other: str, has_other: bool) -> bool:
        """Whether there is one of two ways to say a thing, and not the other."""
        if (key in self._entry) == has_other:
            found = "both" if has_other else "neither"
            raise InputError(f"{self._where}: it has {found} of '{key}' and {other}; expected one of them. {_EXAMPLE}")
        return key in self._entry

    def _wrong(self, key: str, found: str, expected: str) -> InputError:
        return InputError(f"{self._where}: '{key}' {found}; expected {expected}.")


def _is_shaped(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return isinstance(value, float) or abs(value) < 1 << 64  # larger integers are no floats
    return isinstance(value, list) and len(value) == shape[0] and all(_is_shaped(one, shape[1:]) for one in value)


def _from_rotation_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Give the rotation about a vector by its length, radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # sin(a) / a and (1 - cos(a)) / a², which have limits at 0.
    first = math.sin(angle) / angle if angle else 1.0
    second = 2 * (math.sin(angle / 2) / angle) ** 2 if angle else 0.5
    rotation: np.ndarray = np.eye(3) + first * cross + second * cross @ cross
    return rotation
