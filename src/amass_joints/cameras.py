"""Cameras: from the world to a camera's axes, and from there to pixels. Human3.6M's, and others'.

Stages::

    Camera.to_camera(positions)        metres in the world (z up)  ->  metres along the camera's axes
    Camera.project(positions_camera)   ->  pixels
    Camera.normalized(pixels)          ->  the numbers that networks are given
    Camera.look(positions)             all of it, and which joints the image shows: a View

A camera's axes are x to the right, y down and z forward; pixels are counted from the image's upper left corner. What is
behind a camera, or so far to the side that the model of its lens no longer holds, has no pixel: NaN. Nor has what would
lie ten images away.

All is computed in float64, joint by joint, so that it is the same to the last bit for one frame and for all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Model = Literal["h36m", "opencv"]
"""How the tangential distortion is reckoned, in which the two differ: see :attr:`Camera.model`."""

_FARTHEST = 10
"""Times the image's size, beyond which there are no pixels: close to the camera's plane they would grow without bound,
to 1e23 and more, and trainers that look at no visibility would be fed with them."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera that stands still."""

    id: str
    """Its name: for Human3.6M's the serial number, such as "54138969"."""
    subject: str | None
    """Whose recordings it stood so in ("S1"), for Human3.6M's; None for others."""
    width: int
    """Of the image, pixels."""
    height: int
    """Of the image, pixels."""
    focal_length: Float[np.ndarray, "2"]
    """fx and fy, pixels."""
    center: Float[np.ndarray, "2"]
    """cx and cy: where the optical axis meets the image, pixels."""
    radial_distortion: Float[np.ndarray, "3"]
    """k1, k2, k3."""
    tangential_distortion: Float[np.ndarray, "2"]
    """p1, p2."""
    rotation: Float[np.ndarray, "3 3"]
    """From the world's axes to the camera's: X_camera = rotation @ (X_world - position)."""
    position: Float[np.ndarray, "3"]
    """Of the camera in the world, metres."""
    model: Model = "h36m"
    """The lens's model. With x = X / Z, y = Y / Z, r2 = x² + y² and radial = 1 + k1 r2 + k2 r2² + k3 r2³:

    * ``h36m``, as VideoPose3D projects (its ``common/camera.py``)::

          u = fx (x (radial + p1 x + p2 y) + p1 r2) + cx
          v = fy (y (radial + p1 x + p2 y) + p2 r2) + cy

      without its clamping of x and y to [-1, 1], which moves what is more than 45 degrees off the axis to where it is
      not; what an image of Human3.6M shows lies within 24 degrees, or 32 in its corners.

    * ``opencv``, as OpenCV's ``projectPoints`` does (https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html)::

          u = fx (x radial + 2 p1 x y + p2 (r2 + 2 x²)) + cx
          v = fy (y radial + p1 (r2 + 2 y²) + 2 p2 x y) + cy

    The roles of p1 and p2 are exchanged, and no choice of them turns one into the other.
    """

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"{self.subject} {self.id}" if self.subject else self.id

    def to_camera(self, positions: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 3"]:
        """Give points along the camera's axes.

        Args:
            positions: in the world, metres.

        Returns:
            Metres, float64: x to the right, y down, z forward.
        """
        x, y, z = np.moveaxis(positions - self.position, -1, 0)
        along = np.empty((3, *x.shape))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite has no pixel, later
            for axis, (a, b, c) in enumerate(self.rotation):
                along[axis] = a * x + b * y + c * z  # no matrix product: some sizes differ in the last bits
        return np.moveaxis(along, 0, -1)

    def project(self, positions_camera: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 2"]:
        """Give the pixels of points.

        Args:
            positions_camera: along the camera's axes, metres.

        Returns:
            Pixels, float64, also outside the image. NaN where a point has none: at the camera's plane or behind it,
            where the lens's model does not hold (:attr:`reach`), and where it would be ten images away.
        """
        image, has_pixel = self._image(np.asarray(positions_camera, np.float64))
        image[:, ~has_pixel] = np.nan
        return np.moveaxis(image, 0, -1)

    def normalized(self, pixels: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Give pixels as VideoPose3D and its descendants feed them to networks.

        The image's width becomes [-1, 1], and its height is scaled alike: x / w * 2 - 1, y / w * 2 - h / w.
        (VideoPose3D, ``common/camera.py``, ``normalize_screen_coordinates``.)
        """
        return pixels / (self.width / 2) - np.array([1, self.height / self.width], pixels.dtype)

    @cached_property
    def reach(self) -> float:
        """How far off the optical axis the lens's model holds: the tangent of the angle.

        Models of lenses are polynomials, fitted to what images show. Far from there they turn back, and would put into
        the image what the camera does not see. Within this radius they cannot: the distortion's Jacobian, made
        symmetric, is positive definite there, and such a map takes no two points of a disk to one place. Its radial
        part has the eigenvalues f'(r) and f(r) / r with f(r) = r (1 + k1 r² + k2 r⁴ + k3 r⁶); its tangential part
        changes them by at most 4 r |p| (``h36m``) or 6 r |p| (``opencv``).
        """
        tangential = (4 if self.model == "h36m" else 6) * float(np.hypot(*self.tangential_distortion))
        k1, k2, k3 = self.radial_distortion
        # In powers of 1 / r, from the 6th: so the first factor is 1, whatever the coefficients are.
        eigenvalues = ([1, -tangential, 3 * k1, 0, 5 * k2, 0, 7 * k3], [1, -tangential, k1, 0, k2, 0, k3])
        roots = np.concatenate([np.roots(polynomial) for polynomial in eigenvalues])
        real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
        nearest = float(max(real, default=0.0))
        return 1 / nearest if nearest > 1e-9 else float("inf")

    def look(self, positions: Float[np.ndarray, "frames joints 3"]) -> View:
        """Say how the camera sees a person.

        Args:
            positions: in the world, metres.
        """
        along = self.to_camera(positions)
        image, visible = self._shown(along)
        with np.errstate(over="ignore"):  # of numbers that are no metres of people
            positions_camera = np.ascontiguousarray(along, np.float32)
        return View(self, positions_camera, _interleaved(image), visible)

    def sees(self, positions: Float[np.ndarray, "frames joints 3"]) -> Bool[np.ndarray, "frames joints"]:
        """Say which joints are visible, as :meth:`look` does."""
        return self._shown(self.to_camera(positions))[1]

    def _shown(
        self, along: Float[np.ndarray, "frames joints 3"]
    ) -> tuple[Float[np.ndarray, "2 frames joints"], Bool[np.ndarray, "frames joints"]]:
        """Give float32 pixels, 0 where there are none, and which of them are in the image."""
        image, has_pixel = self._image(along)
        if not has_pixel.all():
            image[:, ~has_pixel] = 0
        pixels = image.astype(np.float32)
        # In the precision in which they are given, or 999.9999999 would be inside and be given as 1000.
        u, v = pixels
        return pixels, has_pixel & (u >= 0) & (u < self.width) & (v >= 0) & (v < self.height)

    def _image(self, along: Float[np.ndarray, "... 3"]) -> tuple[Float[np.ndarray, "2 ..."], Bool[np.ndarray, "..."]]:
        """Give pixels, any where there are none, and which points have one."""
        x, y, z = np.moveaxis(along, -1, 0)
        (k1, k2, k3), (p1, p2) = self.radial_distortion, self.tangential_distortion
        (fx, fy), (cx, cy) = self.focal_length, self.center
        image = np.empty((2, *x.shape))
        with np.errstate(all="ignore"):  # points in the camera's plane divide by 0; they have no pixel
            x, y = x / z, y / z
            r2 = x * x + y * y
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            if self.model == "h36m":
                radial += p1 * x + p2 * y
                image[0] = fx * (x * radial + p1 * r2) + cx
                image[1] = fy * (y * radial + p2 * r2) + cy
            else:
                radial += 2 * (p1 * y + p2 * x)
                image[0] = fx * (x * radial + p2 * r2) + cx
                image[1] = fy * (y * radial + p1 * r2) + cy
            far = np.abs(image[0]) + np.abs(image[1])
            has_pixel = (z > 0) & (r2 < np.square(self.reach)) & (far < _FARTHEST * (self.width + self.height))
        return image, np.asarray(has_pixel)  # of a single point, too


def _interleaved(components: Float[np.ndarray, "axes frames joints"]) -> Float[np.ndarray, "frames joints axes"]:
    return np.ascontiguousarray(np.moveaxis(components, 0, -1))


@dataclass(frozen=True, eq=False)
class View:
    """How one camera sees a sequence."""

    camera: Camera
    positions_camera: Float[np.ndarray, "frames joints 3"]
    """Metres along the camera's axes (x to the right, y down, z forward), float32."""
    positions_2d: Float[np.ndarray, "frames joints 2"]
    """Pixels, float32, also outside the image; 0, 0 where a joint has none (:meth:`Camera.project`)."""
    visible: Bool[np.ndarray, "frames joints"]
    """Whether the joint is in front of the camera, inside the image (0 <= u < width, 0 <= v < height), and where the
    lens's model holds."""


@lru_cache(maxsize=1)
def h36m_cameras() -> dict[str, tuple[Camera, ...]]:
    """Give Human3.6M's four cameras as they stood in each subject's recordings, by subject: S1, S5 to S9, S11."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("h36m_cameras.json").read_text(encoding="utf-8"))
    lenses = {lens["id"]: lens for lens in table["intrinsics"]}
    return {
        subject: tuple(_h36m_camera(subject, lenses[place["id"]], place) for place in places)
        for subject, places in table["extrinsics"].items()
    }


def _h36m_camera(subject: str, lens: dict[str, Any], place: dict[str, Any]) -> Camera:
    return Camera(
        id=lens["id"],
        subject=subject,
        width=lens["res_w"],
        height=lens["res_h"],
        focal_length=np.array(lens["focal_length"]),
        center=np.array(lens["center"]),
        radial_distortion=np.array(lens["radial_distortion"]),
        tangential_distortion=np.array(lens["tangential_distortion"]),
        rotation=rotation_matrix(np.array(place["orientation"])).T,
        position=np.array(place["translation"]) / 1000,
    )


def rotation_matrix(quaternion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "3 3"]:
    """Give the rotation of a quaternion w, x, y, z of any length but 0."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
