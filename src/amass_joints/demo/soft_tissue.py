"""Soft tissue of the stand-in motions: eight damped oscillators that the pelvis shakes, and the breath.

A mode is a mass on a spring with a damper; its base is the pelvis, whose vertical acceleration drives it. The
response is the convolution of that acceleration with the mode's ringing, on a fine time grid of its own that begins
before time 0, so that it depends neither on the frame rate nor on the duration. Frequencies,
damping and gains are our own invention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from amass_joints.demo.posture import Track

if TYPE_CHECKING:
    from jaxtyping import Float

_GRID_RATE = 480.0  # of the inner time grid, hertz, whatever the frame rate
_MEMORY = 1.5  # seconds after which a push is forgotten
_HERTZ = np.array([4.5, 5.2, 6.0, 6.6, 7.4, 8.1, 9.0, 9.8])
_DAMPING = 0.16
_GAIN = np.array([0.030, -0.026, 0.022, 0.022, -0.020, 0.020, -0.018, 0.017])
"""Coefficients per m/s^2. A unit is about a centimetre: where the pelvis is pushed by 1 g, some 2 to 3 mm."""
_BREATH = np.array([0.09, 0.12, -0.08, 0.10, 0.07, -0.09, 0.08, 0.07])
"""Coefficients at the height of a breath: about a millimetre, so that nobody who stands still is a statue."""
_BREATH_RATE = 0.27  # hertz: sixteen a minute


def jiggle(time: Track, pelvis_height: Callable[[Track], Track]) -> Float[np.ndarray, "frames 8"]:
    """Soft-tissue coefficients at these times, seconds, of a body whose pelvis moves so (seconds to metres)."""
    grid = np.arange(-_MEMORY, time[-1] + 0.01, 1 / _GRID_RATE)
    height = pelvis_height(grid)
    shake = np.zeros_like(grid)
    shake[1:-1] = np.diff(height, 2) * _GRID_RATE**2
    age = np.arange(0, _MEMORY, 1 / _GRID_RATE)[:, None]
    omega = 2 * np.pi * _HERTZ
    ringing = omega / _GRID_RATE * np.exp(-_DAMPING * omega * age) * np.sin(omega * age)
    size = len(grid) + len(age)
    spectrum = np.fft.rfft(shake, size)[:, None] * np.fft.rfft(ringing, size, axis=0)
    response = np.fft.irfft(spectrum, size, axis=0)
    breath = np.sin(2 * np.pi * _BREATH_RATE * time)[:, None] * _BREATH
    modes = np.stack([np.interp(time, grid, mode) for mode in response[: len(grid)].T], axis=-1)
    return np.asarray(_GAIN * modes + breath)
