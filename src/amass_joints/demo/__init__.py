"""The demonstration: stand-in bodies and motions in the published file formats, converted like real ones.

Bodies, joint regressor and motions are our own invention and free of anyone's licence; what they are is in
:mod:`amass_joints.demo.body`, :mod:`amass_joints.demo.smplx` and :mod:`amass_joints.demo.motions`. This module owns the
files::

    DIR/support_data/body_models/{smplh,dmpls}/GENDER/model.npz
    DIR/support_data/body_models/smplx/SMPLX_NEUTRAL.npz
    DIR/support_data/body_models/smplx2smpl_deftrafo_setup.pkl
    DIR/support_data/J_regressor_h36m.npy
    DIR/data/DATASET/...        AMASS trees in both layouts, with what else is found in such trees
    DIR/data/DATASET.tar.bz2    the same in an archive
    DIR/joints/DATASET.npz      what the conversion makes of them

Everything is deterministic: the same version writes the same numbers up to rounding. (Matrix products round as the
processor's instructions do, and NumPy 1's sines as the arrays happen to lie in memory.)
"""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amass_joints import display
from amass_joints.archives import archive_stem
from amass_joints.body_models import GENDERS
from amass_joints.conversion import Settings
from amass_joints.convert import convert_tree
from amass_joints.demo.body import StandInBody, make_body, make_joint_regressor
from amass_joints.demo.motions import Motion, make_motion
from amass_joints.demo.smplx import NUM_SHAPE, make_smplx_body, pickled_vertex_map, with_face
from amass_joints.errors import InputError
from amass_joints.files import check_writable, written_whole
from amass_joints.finding import Variant
from amass_joints.regressors import VERTEX_MAP
from amass_joints.report import Report

if TYPE_CHECKING:
    from jaxtyping import Float

MARK = "This directory was written by 'amass-joints demo'."

README = f"""{MARK}

Its body models, joint regressor and motions are stand-ins: invented, free of any licence, in the file formats of
SMPL+H, DMPLs, SMPL-X and AMASS. They are for trying the program, not for science. Writing the demo again replaces
them.

DFaust and BMLhandball are stand-ins, too. They only go by the names of datasets of AMASS, to show what the program
knows of such names: nothing in them is of those datasets or of the people in them.
"""

FRAME_RATE = 50.0
"""Hz, of the demo's joints: Human3.6M's."""


@dataclass(frozen=True)
class Recording:
    """One stand-in sequence: who does what, and how it is filed."""

    where: str
    """``DATASET/SUBJECT`` or ``DATASET/INNER_DIRECTORY/SUBJECT``. ``DATASET.tar.bz2`` is an archive."""
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
    release: Variant = "smplh"
    wrong_frame_rate: float | None = None
    """Hz, that the file gives in place of the true one."""

    @property
    def path(self) -> str:
        """Where its file is."""
        return f"{self.where}/{self.motion}_{'stageii' if self.release == 'smplx' else 'poses'}.npz"


RECORDINGS = (
    Recording("Gait/01", "male", "walk", 120, 20),
    Recording("Gait/01", "male", "run", 120, 10, heading=1.0),
    Recording("Gait/02", b"female", "walk", 100, 20, pace=0.9, heading=-0.6),
    Recording("Gait/02", b"female", "turn", 100, 12),
    Recording("Sports/Sports_stand_in/Zoë Müller", "b'female'", "squat", 60, 15),
    Recording("Sports/Sports_stand_in/Zoë Müller", "b'female'", "jump", 250, 12),
    Recording("Sports/Sports_stand_in/player (2)", "neutral", "run", 250, 10, pace=1.05, heading=2.5),
    Recording("Gestures.tar.bz2/Gestures_stand_in/anyone", "neutral", "wave", 60, 10),
    Recording("Gestures.tar.bz2/Gestures_stand_in/anyone", "neutral", "turn", 120, 10, heading=-1.5, soft_tissue=False),
    Recording("Gait/01", "neutral", "walk", 120, 20, soft_tissue=False, release="smplx"),
    Recording("DFaust/nobody", "neutral", "jump", 60, 8, soft_tissue=False, release="smplx"),
    Recording("BMLhandball/nobody", "male", "run", 240, 6, heading=-2.0, wrong_frame_rate=120),
)
"""Both layouts, an archive, a lone subject, several frame rates and ways to write a gender, one sequence without DMPLs;
a motion in both releases; a dataset under another than its canonical name; a frame rate that is known to be wrong."""

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
    """Write body models and joint regressor as users of the real ones lay them out; give the bodies of SMPL+H.

    Of SMPL-X there is one body, to spare the disk.
    """
    bodies = {gender: make_body(gender) for gender in GENDERS}
    models = directory / "body_models"
    for gender, body in bodies.items():
        _save(models / "smplh" / gender / "model.npz", **_model(body))
        _save(models / "dmpls" / gender / "model.npz", eigvec=body.dmpl_eigvec)
    _save(models / "smplx" / "SMPLX_NEUTRAL.npz", **_model(make_smplx_body(bodies["neutral"])))
    _write(models / VERTEX_MAP, pickled_vertex_map())
    with written_whole(directory / "J_regressor_h36m.npy") as stream:
        np.save(stream, make_joint_regressor())
    return bodies


def write_motions(directory: Path, bodies: dict[str, StandInBody]) -> None:
    """Write the recordings as an AMASS tree, with the other files that such trees have, and a broken one."""
    archives: dict[str, list[tuple[str, bytes]]] = {}
    for path, content in _motion_files(bodies):
        dataset, _, member = path.partition("/")
        if archive_stem(dataset) is None:
            _write(directory / path, content)
        else:
            archives.setdefault(dataset, []).append((member, content))
    for name, members in archives.items():
        _write(directory / name, _tar_bz2(members))


def _motion_files(bodies: dict[str, StandInBody]) -> Iterator[tuple[str, bytes]]:
    """Give the files of the tree: where, and what is in them."""
    rng = np.random.default_rng(2023)
    betas: dict[tuple[str, Variant], Float[np.ndarray, " betas"]] = {}
    for recording in RECORDINGS:
        body = bodies[_plain(recording.gender)]
        person = recording.where, recording.release
        if person not in betas:
            betas[person] = rng.normal(0, 0.8, size=body.shapedirs.shape[2:])
            if recording.release == "smplx":
                betas[person][NUM_SHAPE:] = 0  # of which the stand-in for SMPL-X knows nothing
            yield _shape_file(recording, betas[person])
        motion = make_motion(
            recording.motion,
            body.rest_joints(betas[person]),
            recording.frame_rate,
            recording.seconds,
            heading=recording.heading,
            pace=recording.pace,
        )
        yield recording.path, _npz(**_sequence(recording, motion, betas[person]))
    yield "Gait/LICENSE.txt", b"The stand-in motions are free of any licence.\n"
    whole = _npz(poses=np.zeros((100, 156)), trans=np.zeros((100, 3)))
    yield BROKEN, whole[: len(whole) // 2]


def _model(body: StandInBody) -> dict[str, np.ndarray]:
    """The arrays of a body model file."""
    return {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": body.posedirs,
        "J_regressor": body.J_regressor,
        "weights": body.weights,
        "kintree_table": body.kintree_table,
        "f": body.f,
    }


def _sequence(recording: Recording, motion: Motion, betas: Float[np.ndarray, " betas"]) -> dict[str, np.ndarray]:
    """The arrays of one AMASS sequence file."""
    frame_rate = float(recording.wrong_frame_rate or recording.frame_rate)
    if recording.release == "smplh":
        return {
            "trans": motion.trans,
            "gender": np.array(recording.gender),
            "mocap_framerate": np.array(frame_rate),
            "betas": betas,
            "poses": motion.poses,
            **({"dmpls": motion.dmpls} if recording.soft_tissue else {}),
        }
    parts = with_face(motion.poses, recording.frame_rate)
    return {
        **_smplx_person(recording, betas),
        "mocap_frame_rate": np.array(frame_rate),
        "mocap_time_length": np.array(len(motion.poses) / frame_rate),
        "trans": motion.trans,
        "poses": np.hstack(list(parts.values())),
        **parts,
    }


def _shape_file(recording: Recording, betas: Float[np.ndarray, " betas"]) -> tuple[str, bytes]:
    """What AMASS has beside a person's sequences: where, and what is in it."""
    if recording.release == "smplh":
        return f"{recording.where}/shape.npz", _npz(betas=betas, gender=np.array(recording.gender))
    return f"{recording.where}/{_plain(recording.gender)}_stagei.npz", _npz(**_smplx_person(recording, betas))


def _smplx_person(recording: Recording, betas: Float[np.ndarray, " betas"]) -> dict[str, np.ndarray]:
    return {
        "gender": np.array(recording.gender),
        "surface_model_type": np.array("smplx"),
        "betas": betas,
        "num_betas": np.array(len(betas)),
    }


def _save(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as stream:
        np.savez(stream, **arrays)


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _tar_bz2(members: list[tuple[str, bytes]]) -> bytes:
    """Make an archive: of nobody, of no time, in the order given."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:bz2") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as stream:
        stream.write(content)


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
    names = ("data", "joints", "again", "smplx", "videopose3d", "support_data/J_regressor_h36m.npy")
    data, joints, again, preferred, exported, regressor = (shlex.quote(str(directory / name)) for name in names)
    return f"""
One file was broken on purpose: that is how a skip looks.

What to try next:

  Read what came out:
    python -c {reading}

  Make of it what VideoPose3D loads, as Human3.6M's cameras see it; docs/ has other trainers' formats:
    amass-joints export {joints} --format videopose3d --out {exported} --cameras h36m --place --turn

  Convert one subject again, at its own frame rates, and write down what was done:
    amass-joints convert --amass-dir {data} --out-dir {again} --joint-regressor {regressor} \\
      --only 'Gait/01' --report report.json

  See what is in a tree before anything is converted:
    amass-joints scan {data}

  Take SMPL-X where a motion is there in both releases, and put right the frame rates that are known to be wrong:
    amass-joints convert --amass-dir {data} --out-dir {preferred} --joint-regressor {regressor} \\
      --prefer smplx --fix-frame-rates

  Convert AMASS itself: the README says where to get it, and the body models."""
