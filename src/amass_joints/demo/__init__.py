"""The demonstration: stand-in bodies and motions in the published file formats, converted like real ones.

Bodies, joint regressor and motions are our own invention and free of anyone's licence; what they are is in
:mod:`amass_joints.demo.body` and :mod:`amass_joints.demo.motions`. This module owns the files::

    DIR/support_data/body_models/{smplh,dmpls}/GENDER/model.npz
    DIR/support_data/J_regressor_h36m.npy
    DIR/data/DATASET/...        AMASS trees in both layouts, with what else is found in such trees
    DIR/joints/DATASET.npz      what the conversion makes of them

Everything is deterministic: the same version writes the same bytes on one machine, and the same numbers up to rounding
on any (matrix products round as the processor's instructions do).
"""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints import display
from amass_joints.body_models import GENDERS
from amass_joints.convert import Settings, convert_tree
from amass_joints.demo.body import StandInBody, make_body, make_joint_regressor
from amass_joints.demo.motions import make_motion
from amass_joints.errors import InputError
from amass_joints.files import check_writable, written_whole
from amass_joints.report import Report

if TYPE_CHECKING:
    from jaxtyping import Float

MARK = "This directory was written by 'amass-joints demo'."

README = f"""{MARK}

Its body models, joint regressor and motions are stand-ins: invented, free of any licence, in the file formats of
SMPL+H, DMPLs and AMASS. They are for trying the program, not for science. Writing the demo again replaces them.
"""

FRAME_RATE = 50.0
"""Hz, of the demo's joints: Human3.6M's."""


@dataclass(frozen=True)
class Recording:
    """One stand-in sequence: who does what, and how it is filed."""

    where: str
    """``DATASET/SUBJECT`` or ``DATASET/INNER_DIRECTORY/SUBJECT``."""
    gender: str | bytes
    """As it stands in the file: AMASS has text, bytes, and text made of bytes."""
    motion: str
    frame_rate: float
    """Hz."""
    seconds: float
    pace: float = 1.0
    heading: float = 0.0
    """Radians."""
    soft_tissue: bool = True


RECORDINGS = (
    Recording("Gait/01", "male", "walk", 120, 20),
    Recording("Gait/01", "male", "run", 120, 10, heading=1.0),
    Recording("Gait/02", b"female", "walk", 100, 20, pace=0.9, heading=-0.6),
    Recording("Gait/02", b"female", "turn", 100, 12),
    Recording("Sports/Sports_stand_in/Zoë Müller", "b'female'", "squat", 60, 15),
    Recording("Sports/Sports_stand_in/Zoë Müller", "b'female'", "jump", 250, 12),
    Recording("Sports/Sports_stand_in/player (2)", "neutral", "run", 250, 10, pace=1.05, heading=2.5),
    Recording("Gestures/anyone", "neutral", "wave", 60, 10),
    Recording("Gestures/anyone", "neutral", "turn", 120, 10, heading=-1.5, soft_tissue=False),
)
"""Both layouts, a lone subject, several frame rates and ways to write a gender, one sequence without DMPLs."""

BROKEN = "Gait/02/broken_download_poses.npz"
"""A sequence file that ends in its middle."""


def run(directory: Path) -> None:
    """Write the stand-ins, convert them, and say what to try next.

    Raises:
        InputError: the directory cannot be written, or holds something else.
    """
    _claim(directory)
    support_data, data, joints = directory / "support_data", directory / "data", directory / "joints"
    display.say(f"Stand-in body models and joint regressor: {support_data}")
    bodies = write_support_data(support_data)
    display.say(f"Stand-in motions in the format of AMASS:  {data}")
    write_motions(data, bodies)
    display.say(f"Converting them to joints at {FRAME_RATE:g} Hz:      {joints}")
    with display.listener(quiet=False) as listener:
        report = convert_tree(
            data,
            joints,
            support_data / "J_regressor_h36m.npy",
            settings=Settings(rate=FRAME_RATE),
            listener=listener,
        )
    display.show(report)
    for line in _what_next(directory, report).splitlines():
        display.say(line)


def write_support_data(directory: Path) -> dict[str, StandInBody]:
    """Write body models and joint regressor as users of the real ones lay them out; give the bodies."""
    bodies = {gender: make_body(gender) for gender in GENDERS}
    for gender, body in bodies.items():
        models = directory / "body_models"
        _save(
            models / "smplh" / gender / "model.npz",
            v_template=body.v_template,
            shapedirs=body.shapedirs,
            posedirs=body.posedirs,
            J_regressor=body.J_regressor,
            weights=body.weights,
            kintree_table=body.kintree_table,
            f=body.f,
        )
        _save(models / "dmpls" / gender / "model.npz", eigvec=body.dmpl_eigvec)
    with written_whole(directory / "J_regressor_h36m.npy") as stream:
        np.save(stream, make_joint_regressor())
    return bodies


def write_motions(directory: Path, bodies: dict[str, StandInBody]) -> None:
    """Write the recordings as an AMASS tree, with the other files that such trees have, and a broken one."""
    rng = np.random.default_rng(2023)
    betas: dict[str, Float[np.ndarray, " betas"]] = {}
    for recording in RECORDINGS:
        subject = directory / recording.where
        gender = _plain(recording.gender)
        if recording.where not in betas:
            betas[recording.where] = rng.normal(0, 0.8, size=bodies[gender].shapedirs.shape[2:])
            _save(subject / "shape.npz", betas=betas[recording.where], gender=np.array(recording.gender))
        arrays = _sequence(recording, bodies[gender], betas[recording.where])
        _save(subject / f"{recording.motion}_poses.npz", **arrays)
    (directory / "Gait" / "LICENSE.txt").write_text("The stand-in motions are free of any licence.\n", encoding="utf-8")
    whole = io.BytesIO()
    np.savez(whole, poses=np.zeros((100, 156)), trans=np.zeros((100, 3)))
    (directory / BROKEN).write_bytes(whole.getvalue()[: whole.tell() // 2])


def _sequence(recording: Recording, body: StandInBody, betas: Float[np.ndarray, " betas"]) -> dict[str, np.ndarray]:
    """The arrays of one AMASS sequence file."""
    motion = make_motion(
        recording.motion,
        body.rest_joints(betas),
        recording.frame_rate,
        recording.seconds,
        heading=recording.heading,
        pace=recording.pace,
    )
    return {
        "trans": motion.trans,
        "gender": np.array(recording.gender),
        "mocap_framerate": np.array(float(recording.frame_rate)),
        "betas": betas,
        "poses": motion.poses,
        **({"dmpls": motion.dmpls} if recording.soft_tissue else {}),
    }


def _save(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as stream:
        np.savez(stream, **arrays)


def _plain(gender: str | bytes) -> str:
    text = gender.decode() if isinstance(gender, bytes) else gender
    return text.removeprefix("b'").removesuffix("'")


def _claim(directory: Path) -> None:
    """Make the directory ours: nobody's own body models or motions may be written over."""
    mark = directory / "README.txt"
    elsewhere = "Pass the demo a new directory: amass-joints demo DIR."
    try:
        is_ours = mark.is_file() and mark.read_bytes().startswith(MARK.encode())
        if directory.is_dir() and any(directory.iterdir()) and not is_ours:
            raise InputError(f"{directory}: there is something else in it. {elsewhere}")
        check_writable(directory)
        mark.write_bytes(README.encode())
    except OSError as error:
        raise InputError(f"{directory}: cannot be used: {error.strerror or error}. {elsewhere}") from error


def _what_next(directory: Path, report: Report) -> str:
    written = next(dataset.output for dataset in report.datasets if dataset.output)
    reading = shlex.quote(f"import amass_joints; print(amass_joints.load({written!r}))")
    data, again, regressor = (
        shlex.quote(str(directory / name)) for name in ("data", "again", "support_data/J_regressor_h36m.npy")
    )
    return f"""
One file was broken on purpose: that is how a skip looks.

What to try next:

  Read what came out:
    python -c {reading}

  Convert one subject again, at its own frame rates, and write down what was done:
    amass-joints convert --amass-dir {data} --out-dir {again} --joint-regressor {regressor} \\
      --only 'Gait/01' --report report.json

  Convert AMASS itself: the README says where to get it, and the body models."""
