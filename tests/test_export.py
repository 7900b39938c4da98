"""Exporting: what is chosen comes out, what cannot be is refused before anything is written, nothing is half-there."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from amass_joints import cli_export
from amass_joints.choices import Choices
from amass_joints.datasets import load, read_metadata, save
from amass_joints.errors import InputError
from amass_joints.export import FORMATS, export
from amass_joints.export.exporter import ExportOptions
from amass_joints.export.outputs import Outputs
from amass_joints.export.progress import Bar
from amass_joints.export.report import ExportListener, SourceReport
from amass_joints.motions import Motion, Source
from amass_joints.skeletons import BODY22, COCO17, H36M17, H36M17_SPIN, H36M17_UPLIFT, Skeleton
from amass_joints.splits import find_splits
from amass_joints.views import viewpoints
from tests.standing import person, save_motions

app = typer.Typer()
app.command()(cli_export.export)
app.command()(cli_export.project)

LENGTHS = {"CMU/01/a": 40, "CMU/01/b": 30, "CMU/02/c": 20, "SFU/0005/d": 50}

CLIPS = ExportOptions(clip_length=10, clip_stride=10)


@pytest.fixture
def joints(tmp_path: Path) -> Path:
    return save_motions(tmp_path / "joints", LENGTHS)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    return result.exit_code, result.output


def everything_below(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


# ----------------------------------------------------------------------------------------------------- what comes out


def test_the_report_says_what_was_exported_and_what_was_left_out(joints: Path, tmp_path: Path) -> None:
    splits = find_splits({"train": ["CMU/01"], "test": ["SFU"]})
    report = export([joints], tmp_path / "out", "uplift", splits=splits, only=["CMU", "SFU"])
    assert {part: (one.sequences, one.frames) for part, one in report.parts.items()} == {
        "train": (2, 70),
        "test": (1, 50),
    }
    assert (report.total.sequences, report.total.frames) == (3, 120)
    assert report.total.hours == pytest.approx(120 / 50 / 3600)
    assert [(one.name, one.reason) for one in report.left_out] == [("CMU/02/c", "in no part of the split")]
    assert report.outputs == tuple(str(tmp_path / "out" / name) for name in ("train/CMU.npz", "test/SFU.npz"))
    report.save(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["total"] == {"sequences": 3, "frames": 120, "hours": report.total.hours}
    assert list(written["parts"]) == ["train", "test"]
    assert written["sources"][0]["left_out"] == [{"name": "CMU/02/c", "reason": "in no part of the split"}]
    assert written["options"]["splits"]["train"] == ["CMU/01"]


def test_only_what_is_asked_for_is_exported(joints: Path, tmp_path: Path) -> None:
    report = export([joints], tmp_path / "out", "uplift", only="CMU/*/[ac]")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["CMU.npz"]
    assert {f"{subject}/{name}" for subject, some in load(tmp_path / "out" / "CMU.npz").items() for name in some} == {
        "01/a",
        "02/c",
    }
    assert [one.not_wanted for one in report.sources] == [1]
    assert report.left_out == []


def test_motions_are_trimmed_and_left_out_as_chosen(joints: Path, tmp_path: Path) -> None:
    choices = Choices(trim_start=0.2, min_seconds=0.5)
    report = export([joints], tmp_path / "out", "uplift", choices=choices)
    written = load(tmp_path / "out" / "CMU.npz")
    assert np.array_equal(written["01"]["a"]["positions_3d"], person(40)[10:])
    assert [one.name for one in report.left_out] == ["CMU/01/b", "CMU/02/c"]
    metadata = read_metadata(tmp_path / "out" / "CMU.npz")
    assert (metadata.skeleton, metadata.choices.trim_start) == (H36M17_SPIN, 0.2)


@pytest.mark.parametrize("choices", [Choices(units="mm"), Choices(up="y"), Choices(units="mm", up="y", order="h36m17")])
def test_files_in_other_units_axes_and_orders_come_out_as_the_format_demands(tmp_path: Path, choices: Choices) -> None:
    skeleton = H36M17 if choices.order else H36M17_SPIN
    joints = save_motions(tmp_path / "joints", LENGTHS, skeleton=skeleton, choices=choices)
    export([joints], tmp_path / "out", "uplift")
    written = load(tmp_path / "out" / "CMU.npz")["01"]["a"]["positions_3d"]
    assert np.abs(written - person(40)).max() < 1e-6
    metadata = read_metadata(tmp_path / "out" / "CMU.npz")
    assert (metadata.skeleton, metadata.choices.units, metadata.choices.up) == (H36M17_SPIN, "m", "z")


def test_frame_rates_that_are_all_but_50_are_50(tmp_path: Path) -> None:
    joints = save_motions(tmp_path / "joints", LENGTHS, frame_rate=50.00000190734863)
    export([joints], tmp_path / "out", "uplift")
    assert load(tmp_path / "out" / "SFU.npz")["0005"]["d"]["frame_rate"] == 50.0


def test_a_float64_file_gives_what_a_float32_file_gives(tmp_path: Path) -> None:
    written = []
    for dtype in (np.float32, np.float64):
        folder = tmp_path / np.dtype(dtype).name
        folder.mkdir()
        tree: Any = {"01": {"a": {"positions_3d": person(30).astype(dtype), "frame_rate": 50.0}}}
        save(folder / "CMU.npz", tree, metadata=read_metadata_of_spin(tmp_path))
        for format in ("uplift", "videopose3d", "motionbert"):
            export([folder / "CMU.npz"], folder / "out" / format, format, options=CLIPS)
        written.append(everything_below(folder / "out"))
    assert written[0] == written[1]


def read_metadata_of_spin(tmp_path: Path) -> Any:
    return read_metadata(save_motions(tmp_path / "any", {"CMU/01/a": 1}) / "CMU.npz")


@pytest.mark.parametrize("format", ["uplift", "videopose3d", "motionbert", "mmpose"])
def test_the_same_motions_give_the_same_bytes(joints: Path, tmp_path: Path, format: str) -> None:
    cameras = None if format == "uplift" else viewpoints("random:2", turn=True, seed=5)
    for name in ("one", "two"):
        export([joints], tmp_path / name, format, cameras=cameras, options=CLIPS)
    one, two = everything_below(tmp_path / "one"), everything_below(tmp_path / "two")
    assert one == two
    assert len(one) >= 2


def test_how_it_goes_is_told(joints: Path, tmp_path: Path) -> None:
    class Told(ExportListener):
        def __init__(self) -> None:
            self.said: list[str] = []

        def begins(self, sources: Any) -> None:
            self.said.append(f"begins {len(sources)}")

        def source_begins(self, source: Source) -> None:
            self.said.append(source.dataset)

        def motion_ends(self, motion: Motion) -> None:
            self.said.append(str(motion))

        def source_ends(self, report: SourceReport) -> None:
            self.said.append(f"ends {report.dataset}")

    listener = Told()
    export([joints], tmp_path / "out", "uplift", listener=listener)
    assert listener.said == [
        *("begins 2", "CMU", "CMU/01/a", "CMU/01/b", "CMU/02/c", "ends CMU", "SFU", "SFU/0005/d", "ends SFU"),
    ]


def test_a_bar_moves_to_its_end(joints: Path, tmp_path: Path) -> None:
    bar = Bar()
    export([joints], tmp_path / "out", "uplift", listener=bar)
    (task,) = bar._progress.tasks
    assert task.completed == task.total == sum(path.stat().st_size for path in joints.iterdir())
    assert task.fields["frames"] == sum(LENGTHS.values())


# ----------------------------------------------------------------------------------------------------- what is refused


def refused(match: str, joints: Path, tmp_path: Path, format: str = "uplift", **arguments: Any) -> None:
    out = tmp_path / "out"
    before = everything_below(out)
    with pytest.raises(InputError, match=match):
        export([joints], out, format, **arguments)
    assert everything_below(out) == before


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("there is no format 'bvh', expected one of uplift, videopose3d", {"format": "bvh"}),
    ("mmpose is what cameras see: add --cameras", {"format": "mmpose"}),
    ("uplift has no place for what cameras see", {"cameras": "S1"}),
    ("uplift has the joints in the order h36m17-spin: leave --order out", {"choices": Choices(order="h36m17")}),
    ("uplift is in metres, z up, in the world: leave --up", {"choices": Choices(units="mm")}),
    ("videopose3d is in metres, z up", {"format": "videopose3d", "choices": Choices(root_relative=True)}),
    ("what cameras see is in metres", {"format": "hdf5", "choices": Choices(up="y"), "cameras": "S1"}),
    ("nothing to export: too short: 0.* Nothing was written", {"choices": Choices(min_seconds=9)}),
    ("nothing to export: --only names none of these datasets", {"only": "KIT"}),
    ("nothing to export: not in --only: 4", {"only": "*/x"}),
    ("nothing to export: in no part of the split: 4", {"splits": {"train": ["KIT"]}}),
    ("shorter than a clip of 243 frames: 4", {"format": "motionbert"}),
]


@pytest.mark.parametrize(("match", "arguments"), REFUSED, ids=[match[:40] for match, _ in REFUSED])
def test_what_cannot_be_is_refused(joints: Path, tmp_path: Path, match: str, arguments: dict[str, Any]) -> None:
    if match.startswith("what cameras see is"):
        pytest.importorskip("h5py")
    arguments = dict(arguments)
    if "cameras" in arguments:
        arguments["cameras"] = viewpoints(arguments["cameras"])
    if "splits" in arguments:
        arguments["splits"] = find_splits(arguments["splits"])
    refused(match, joints, tmp_path, **arguments)


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("the name '../x' cannot be part", {"name": "../x"}),
        ("the name '' cannot", {"name": ""}),
        ("the name '.h' cannot", {"name": ".h"}),
        ("--clip-length is 0, expected 1 or more", {"clip_length": 0}),
        ("--clip-stride is -1", {"clip_stride": -1}),
    ],
)
def test_options_that_make_no_sense_are_refused(match: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=match):
        ExportOptions(**options)


def test_other_frame_rates_are_refused_with_what_to_type(tmp_path: Path) -> None:
    joints = save_motions(tmp_path / "joints", LENGTHS, frame_rate=60.0)
    for format, cameras in (("uplift", None), ("videopose3d", None), ("mmpose", viewpoints("S1"))):
        match = f"CMU/01/a: it has 60 Hz, and {format} has 50: convert it again with --rate 50"
        refused(match, joints, tmp_path, format, cameras=cameras)
    export([joints], tmp_path / "out", "motionbert", options=CLIPS)  # which has been trained at 50 and at 60


def test_root_relative_files_are_refused(tmp_path: Path) -> None:
    joints = save_motions(tmp_path / "joints", LENGTHS, choices=Choices(root_relative=True))
    refused("CMU.npz: its joints are relative to the pelvis, .* Convert again", joints, tmp_path)


@pytest.mark.parametrize(
    ("actual", "said", "match"),
    [
        (
            H36M17_SPIN,
            None,
            r"does not say what its 17 joints are\. .*left leg first.*right leg first.*it is h36m17-spin\.",
        ),
        (H36M17, None, "The wrong one swaps left and right; by where the joints lie, it is h36m17.$"),
        (H36M17_UPLIFT, None, "it is h36m17-uplift"),
        (H36M17_SPIN, H36M17_UPLIFT, "its bones would be far too long. .* it is h36m17-spin"),
        (H36M17_SPIN, H36M17, "are not those of h36m17, .* the left leg would be on the side of the right arm"),
        (H36M17, H36M17_SPIN, "are not those of h36m17-spin, .* it is h36m17.$"),
        (H36M17, BODY22, "has 17 joints; body22, which --skeleton names, has 22"),
    ],
)
def test_joints_that_are_not_known_are_asked_for(
    tmp_path: Path, actual: Skeleton, said: Skeleton | None, match: str
) -> None:
    tree: Any = {"01": {"a": {"positions_3d": person(30)[:, list(actual.rows_in(H36M17_SPIN))], "frame_rate": 50.0}}}
    save(tmp_path / "CMU.npz", tree)
    refused(match, tmp_path / "CMU.npz", tmp_path, skeleton=said)


def test_joints_that_nobody_knows_go_where_any_joints_do(tmp_path: Path) -> None:
    save(tmp_path / "CMU.npz", {"01": {"a": {"positions_3d": person(30)[:, :14], "frame_rate": 50.0}}})
    refused("does not say what its 14 joints are", tmp_path / "CMU.npz", tmp_path)
    as_body = {"skeleton": BODY22, "cameras": viewpoints("S1")}
    refused("has 14 joints; body22, which", tmp_path / "CMU.npz", tmp_path, "project", **as_body)
    export([tmp_path / "CMU.npz"], tmp_path / "out", "project", cameras=viewpoints("S1"))
    with np.load(tmp_path / "out" / "CMU.npz") as file:
        assert file["positions_2d/01/a"].shape == (4, 30, 14, 2)
        assert "joint_names" not in json.loads(file["index"].tobytes())


def test_joints_that_are_not_known_can_be_named(tmp_path: Path) -> None:
    for skeleton in (H36M17_SPIN, H36M17, H36M17_UPLIFT):
        positions = person(30)[:, list(skeleton.rows_in(H36M17_SPIN))]
        path = tmp_path / skeleton.name / "CMU.npz"
        path.parent.mkdir()
        save(path, {"01": {"a": {"positions_3d": positions, "frame_rate": 50.0}}})
        export([path], tmp_path / "out" / skeleton.name, "uplift", skeleton=skeleton)
        written = load(tmp_path / "out" / skeleton.name / "CMU.npz")["01"]["a"]["positions_3d"]
        assert np.array_equal(written, person(30))


def test_joints_that_are_lacking_are_named(tmp_path: Path) -> None:
    tree: Any = {"01": {"a": {"positions_3d": np.zeros((5, 17, 3), np.float32), "frame_rate": 50.0}}}
    save(tmp_path / "CMU.npz", tree, metadata=replace(read_metadata_of_spin(tmp_path), skeleton=COCO17))
    refused(
        "joints of coco17 cannot be put into the order h36m17-spin: they lack pelvis", tmp_path / "CMU.npz", tmp_path
    )


def test_two_names_of_one_dataset_are_refused(tmp_path: Path) -> None:
    joints = save_motions(tmp_path / "joints", {"MPI_HDM05/bk/a": 5, "MPIHDM05/bk/b": 5})
    refused("are both MPIHDM05, as Uplift and Upsample names them", joints, tmp_path)


def test_what_is_read_is_not_written_over(joints: Path) -> None:
    before = everything_below(joints)
    with pytest.raises(InputError, match="would be written over while it is read"):
        export([joints], joints, "uplift")
    assert everything_below(joints) == before


def test_what_is_read_is_not_written_over_in_a_part_of_a_split(joints: Path, tmp_path: Path) -> None:
    splits = find_splits({"train": ["CMU"], "test": ["SFU"]})
    out = joints.rename(tmp_path / "train").parent
    before = everything_below(out)
    with pytest.raises(InputError, match="would be written over while it is read"):
        export([out / "train"], out, "uplift", splits=splits)
    assert everything_below(out) == before


@pytest.mark.parametrize(
    ("format", "match"),
    [
        ("motionbert", "train: is there already; .* Remove it"),
        ("videopose3d", "data_3d_amass.npz: is there already"),
        ("mmpose", "cameras.pkl: is there already"),
    ],
)
def test_what_is_written_does_not_mix_with_what_is_there(joints: Path, tmp_path: Path, format: str, match: str) -> None:
    cameras = viewpoints("S1", place=True)
    export([joints], tmp_path / "out", format, cameras=cameras, options=CLIPS)
    refused(match, joints, tmp_path, format, cameras=cameras, options=CLIPS)


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("videopose3d", "data_2d_h36m_gt.npz"),
        ("videopose3d", "cameras_h36m.json"),
        ("mmpose", "annotation_body3d/fps50/h36m_test.npz"),
    ],
)
def test_files_that_would_not_belong_to_the_others_are_refused(
    joints: Path, tmp_path: Path, format: str, name: str
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.touch()
    cameras = viewpoints("S1") if format == "mmpose" else None
    refused(f"{name}: is there", joints, tmp_path, format, cameras=cameras, options=ExportOptions(name="h36m"))


@pytest.mark.parametrize("format", ["uplift", "videopose3d", "motionbert", "mmpose"])
def test_after_an_error_nothing_is_there(
    joints: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    motions = Source.motions

    def breaks_at_the_last(source: Source) -> Any:
        if source.dataset == "SFU":
            raise InputError("it broke")
        yield from motions(source)

    monkeypatch.setattr(Source, "motions", breaks_at_the_last)
    cameras = None if format == "uplift" else viewpoints("S1", place=True)
    with pytest.raises(InputError, match="it broke"):
        export([joints], tmp_path / "out", format, cameras=cameras, options=CLIPS)
    assert everything_below(tmp_path / "out") == {}
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    monkeypatch.undo()
    export([joints], tmp_path / "out", format, cameras=cameras, options=CLIPS)  # which nothing is in the way of


@pytest.mark.parametrize("cameras", ["S1", "random:2"])
def test_when_the_files_cannot_get_their_names_nothing_is_there(
    joints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cameras: str
) -> None:
    def full(outputs: Outputs) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr(Outputs, "finish", full)
    refused("the disk is full", joints, tmp_path, "videopose3d", cameras=viewpoints(cameras))


@pytest.mark.parametrize("format", ["uplift", "videopose3d", "motionbert", "mmpose"])
def test_a_full_disk_is_named(joints: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a write: with no name

    monkeypatch.setattr("amass_joints.deflate.DeflatedArchive.write", full)
    monkeypatch.setattr("amass_joints.export.motionbert.pickled_dict", full)
    cameras = None if format == "uplift" else viewpoints("S1", place=True)
    match = f"{tmp_path / 'out'}: cannot be written to: No space left on device"
    refused(match, joints, tmp_path, format, cameras=cameras, options=CLIPS)


# ------------------------------------------------------------------------------------------------------- command line


def test_the_command_line_knows_all_formats() -> None:
    assert [one.value for one in cli_export.ExportFormat] == [name for name in FORMATS if name != "project"]


def test_an_export_from_the_command_line(joints: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    arguments = ("--format", "videopose3d", "--name", "h36m", "--cameras", "h36m", "--place", "--train", "CMU")
    code, output = run("export", joints, *arguments, "--test", "SFU", "--out", out, "--report", report, "--only", "X")
    nothing = "Error: nothing to export: --only names none of these datasets. Nothing was written."
    assert (code, output.splitlines()) == (1, [nothing])
    code, output = run("export", joints, *arguments, "--test", "SFU", "--out", out, "--report", report)
    assert code == 0, output
    lines = output.splitlines()
    assert lines[:4] == [
        "CMU: 3 sequences, 0.00 hours, 90 frames, 0 left out",
        "SFU: 1 sequences, 0.00 hours, 50 frames, 0 left out",
        "train: 3 sequences, 0.00 hours, 90 frames",
        "test: 1 sequences, 0.00 hours, 50 frames",
    ]
    assert lines[4] == "total: 4 sequences, 0.00 hours, 140 frames"
    assert any(line.startswith("Of what cameras see: ") for line in lines)
    assert lines[-2:] == [f"Written: {out / name}" for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz")]
    options = json.loads(report.read_text(encoding="utf-8"))["options"]
    assert (options["cameras"]["cameras"], options["name"]) == ("h36m", "h36m")
    code, output = run("export", joints, *arguments, "--test", "SFU", "--out", tmp_path / "quiet", "--quiet")
    assert (code, output) == (0, "")
    assert everything_below(tmp_path / "quiet") == everything_below(out)


def test_choices_from_the_command_line(joints: Path, tmp_path: Path) -> None:
    arguments = ("--format", "uplift", "--trim-start", 0.2, "--min-seconds", 0.5, "--skeleton", "h36m17-spin")
    code, output = run("export", joints, *arguments, "--out", tmp_path / "out")
    assert code == 0, output
    assert "Left out (2; --report FILE lists them all):" in output
    assert list(load(tmp_path / "out" / "CMU.npz")) == ["01"]


def test_what_cameras_see_from_the_command_line(joints: Path, tmp_path: Path) -> None:
    code, output = run("project", joints, "--cameras", "S1", "--out", tmp_path / "out", "--order", "h36m17")
    assert code == 0, output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["CMU.npz", "SFU.npz"]


def test_test_motions_are_seen_by_the_cameras_of_test_subjects(joints: Path, tmp_path: Path) -> None:
    arguments = ("--cameras", "h36m", "--train", "CMU", "--test", "SFU")
    code, output = run("project", joints, *arguments, "--out", tmp_path / "out")
    assert code == 0, output
    for dataset, part, subjects in (("CMU", "train", {"S1", "S5", "S6", "S7", "S8"}), ("SFU", "test", {"S9", "S11"})):
        with np.load(tmp_path / "out" / f"{dataset}.npz") as file:
            index = json.loads(file["index"].tobytes())
        assert {one["split"] for one in index["sequences"]} == {part}
        assert {one["subject"] for one in index["cameras"]} <= subjects


MISUSED: list[tuple[int, str, Callable[[Path], tuple[object, ...]]]] = [
    (2, "--split says what --train", lambda joints: ("--split", "uplift", "--train", "CMU")),
    (2, "add --cameras", lambda joints: ("--place",)),
    (1, "Error: there are no cameras 'S2'", lambda joints: ("--cameras", "S2")),
    (2, "Invalid value: the name 'x", lambda joints: ("--name", "x" * 101)),
    (2, "is named like data", lambda joints: ("--report", "x.npz")),
    (1, "uplift is in metres", lambda joints: ("--units", "mm")),
    (1, "none: no split and no file has this name", lambda joints: ("--split", "none")),
    (1, "no split and no file has this name", lambda joints: ("--split", "")),
    (1, "its joints are those of h36m17-spin, by what it says itself", lambda joints: ("--skeleton", "h36m17")),
]


@pytest.mark.parametrize(("expected", "match", "arguments"), MISUSED, ids=[match for _, match, _ in MISUSED])
def test_misuse_is_said_in_one_message(
    joints: Path, tmp_path: Path, expected: int, match: str, arguments: Callable[[Path], tuple[object, ...]]
) -> None:
    code, output = run("export", joints, "--format", "uplift", "--out", tmp_path / "out", *arguments(joints))
    assert code == expected
    assert match in " ".join(output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'rich', 'h5py', 'numba'}"
    code = f"import sys; import amass_joints.cli_export; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
