"""Draw the stand-in skeleton at several moments of its walk, from the joints that a demo run wrote.

From the project's directory, with the extra ``docs`` installed::

    amass-joints demo && python docs/draw_walk.py amass-joints-demo docs/walk.png
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import amass_joints as aj
from amass_joints.skeletons import H36M17_SPIN_JOINTS, H36M17_SPIN_PARENTS

MOMENTS = np.arange(4.0, 8.01, 0.4)  # seconds
COLOURS = {"left": "#0072b2", "right": "#d55e00", "middle": "#444444"}  # told apart by the colour-blind too


def draw(joints: np.ndarray, frame_rate: float) -> plt.Figure:
    """Draw the walk as seen from the walker's right; joints (frames, 17, 3) in metres, z up."""
    figure, axes = plt.subplots(figsize=(11, 4.4), layout="constrained")
    direction = joints[-1, 0, :2] - joints[0, 0, :2]
    along = joints[:, :, :2] @ (direction / np.linalg.norm(direction))
    frames = np.round(MOMENTS * frame_rate).astype(int)
    along = along - along[frames[0]].mean()
    for frame in frames:
        for joint, parent in enumerate(H36M17_SPIN_PARENTS):
            if parent >= 0:
                name = H36M17_SPIN_JOINTS[joint]
                side = next((side for side in ("left", "right") if name.startswith(side)), "middle")
                ends = [joint, parent]
                axes.plot(
                    *(along[frame, ends], joints[frame, ends, 2]),
                    color=COLOURS[side], linewidth=2.2, marker="o", markersize=3, solid_capstyle="round",
                    zorder={"left": 1, "middle": 2, "right": 3}[side],
                )  # fmt: skip
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
    axes.set(
        xlabel="along the path, m",
        ylabel="height, m",
        title=f"The stand-in's walk as 17 Human3.6M joints at {frame_rate:g} Hz, every 0.4 s",
        aspect="equal",
        ylim=(-0.05, 2.05),
    )
    axes.legend(handles=[plt.Line2D([], [], color=colour, label=side) for side, colour in COLOURS.items()], ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    demo, picture = map(Path, sys.argv[1:])
    walk = aj.load(demo / "joints" / "Gait.npz")["01"]["walk_poses"]
    draw(walk["positions_3d"], walk["frame_rate"]).savefig(picture, dpi=110)
