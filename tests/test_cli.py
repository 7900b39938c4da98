"""The command line as users type it: options, exit codes, what is printed; and the known converter's entry point."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import amass_joints as aj
from amass_files import write_sequence
from amass_joints.regressors import VERTEX_MAP

SRC = Path(__file__).parents[1] / "src"
PROGRAM = [sys.executable, "-m", "amass_joints"]


Result = subprocess.CompletedProcess[str]


def run(*arguments: object, cwd: Path | None = None, program: list[str] = PROGRAM, **environment: str) -> Result:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200", **environment}
    environment.pop("AMASS_JOINTS_BODY_MODELS", None)
    return subprocess.run(
        [*program, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def clone(tmp_path: Path, support_data: Path) -> Path:
    """A directory laid out as the known converter's: src/, support_data/, data/."""
    (tmp_path / "src").symlink_to(SRC)
    (tmp_path / "support_data").symlink_to(support_data)
    write_sequence(tmp_path / "data/CMU/01/01_01_poses.npz", 120, 1)
    write_sequence(tmp_path / "data/KIT/KIT/3/wälk [b] (1)_poses.npz", 60, 2, gender=b"female")
    (tmp_path / "data/KIT/KIT/3/bro\x1b[31mken_poses.npz").write_bytes(b"PK")
    return tmp_path


def convert(clone: Path, *more: object, out: str = "out", **environment: str) -> Result:
    regressor = clone / "support_data/J_regressor_h36m.npy"
    return run(
        *("convert", "--amass-dir", clone / "data", "--out-dir", clone / out, "--joint-regressor", regressor),
        *more,
        **environment,
    )


def positions(clone: Path, out: str = "out", name: str = "CMU") -> dict[str, np.ndarray]:
    tree = aj.load(clone / out / f"{name}.npz")
    return {sequence: q["positions_3d"] for sequences in tree.values() for sequence, q in sequences.items()}


# ------------------------------------------------------------------- the known converter's own command line


def known_converter(clone: Path, *arguments: object) -> Result:
    return run(*arguments, cwd=clone / "src", program=[sys.executable, "convert.py"])


@pytest.mark.parametrize(
    ("options", "frames", "rate", "warned"),
    [
        ([], 120, 120, False),
        (["--r", "50"], 50, 50, False),
        (["--r=60"], 60, 60, False),
        (["--batch_size", "7"], 120, 120, False),
        (["--r", "50", "--gpu_id", "0", "--batch_size", "2048"], 50, 50, True),
        (["--gpu_id", "1,0"], 120, 120, True),
        (["--gpu_id", ""], 120, 120, False),
        (["--gpu_id", "-1"], 120, 120, False),
    ],
)
def test_every_option_of_the_known_converter(
    clone: Path, options: list[str], frames: int, rate: float, warned: bool
) -> None:
    result = known_converter(
        clone,
        *("--amass_dir", clone / "data", "--out_dir", clone / "out"),
        *("--joint_regressor", clone / "support_data/J_regressor_h36m.npy", *options),
    )
    assert result.returncode == 0, result.stderr
    with np.load(clone / "out/CMU.npz", allow_pickle=True) as file:
        sequence = file["positions_3d"].item()["01"]["01_01_poses"]
    assert sequence["positions_3d"].shape == (frames, 17, 3)
    assert sequence["frame_rate"] == rate
    assert result.stderr.count("Warning") == warned
    if warned:
        gpu = options[options.index("--gpu_id") + 1][0]
        assert f"device 'cuda:{gpu}'" in result.stderr
        assert "converting on the CPU instead" in result.stderr


@pytest.mark.parametrize("missing", ["--amass_dir", "--out_dir", "--joint_regressor"])
def test_its_required_options_are_required(tmp_path: Path, missing: str) -> None:
    options = {"--amass_dir": tmp_path, "--out_dir": tmp_path, "--joint_regressor": tmp_path}
    del options[missing]
    result = run(*[word for pair in options.items() for word in pair], program=[sys.executable, SRC / "convert.py"])
    assert result.returncode == 2
    assert missing in result.stderr


# ------------------------------------------------------------------------------------------------ our own


def test_a_run_without_a_terminal_prints_plain_lines(clone: Path) -> None:
    result = convert(clone, "--rate", "50")
    assert result.returncode == 0
    assert result.stderr == ""
    cmu, kit, total, skipped, broken, *_ = result.stdout.splitlines()
    assert cmu.startswith("CMU: 1 sequences, 0.00 hours, 120 frames in, 50 frames out, 0 skipped, ")
    assert kit.startswith("KIT: 1 sequences, 0.00 hours, 60 frames in, 25 frames out, 1 skipped, ")
    assert total.startswith("total: 2 sequences, 0.00 hours, 180 frames in, 75 frames out, 1 skipped, ")
    assert skipped == "Skipped (1):"
    assert broken.startswith(r"  KIT/3/bro\x1b[31mken_poses: broken or truncated")
    assert "\x1b" not in result.stdout
    assert "no DMPLs" not in result.stdout
    assert list(positions(clone, name="KIT")) == ["wälk [b] (1)_poses"]


def test_a_run_in_a_terminal_shows_a_bar_and_a_table(clone: Path) -> None:
    main, terminal = pty.openpty()
    arguments = ["convert", "--amass-dir", "data", "--out-dir", "out", "--rate", "50"]
    with subprocess.Popen(
        [*PROGRAM, *arguments, "--joint-regressor", "support_data/J_regressor_h36m.npy"],
        cwd=clone,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while block := os.read(main, 65536):
                shown += block
        except OSError:  # how a terminal ends on Linux
            pass
    text = shown.decode()
    assert process.returncode == 0
    assert "frames/s" in text
    assert "180 frames" in text  # the bar's last state
    for word in ("dataset", "hours", "frames in", "frames out", "seconds", "total"):
        assert word in text
    assert r"bro\x1b[31mken_poses" in text


def test_quiet_prints_nothing(clone: Path) -> None:
    result = convert(clone, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert positions(clone)["01_01_poses"].shape == (120, 17, 3)


def test_quiet_keeps_warnings(clone: Path) -> None:
    result = convert(clone, "--quiet", "--gpu_id", "0")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.count("Warning: device 'cuda:0'") == 1


def test_what_is_worth_a_note(clone: Path) -> None:
    write_sequence(clone / "data/CMU/01/stiff_poses.npz", dmpls=None)
    np.savez(clone / "data/CMU/01/shape.npz", betas=np.zeros(16))
    np.savez(clone / "data/CMU/01/other.npz", something=np.zeros(16))
    *_, stiff, passed_over = convert(clone).stdout.splitlines()
    assert stiff == "Converted without soft tissue, because the files have no DMPLs: 1 sequences."
    assert passed_over.endswith("(shape.npz and the like): 2 files.")
    assert "soft tissue" not in convert(clone, "--no-dmpls").stdout


def test_a_part_of_a_dataset_over_the_whole_is_warned_of(clone: Path) -> None:
    write_sequence(clone / "data/CMU/01/more_poses.npz")
    assert convert(clone).stderr == ""
    again = convert(clone, "--only", "CMU/01/more*", "--only", "KIT")
    what = f"{clone}/out/CMU.npz is replaced, and lacks 1 sequences that --only leaves out"
    assert again.stderr == f"Warning: {what}\n"
    assert list(positions(clone)) == ["more_poses"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "| head -n 1", "> /dev/full", "2> /dev/full", "2> >(true)"])
def test_the_work_goes_on_when_nobody_reads_what_is_printed(clone: Path, closed: str) -> None:
    command = f"{sys.executable} -m amass_joints convert --amass-dir data --out-dir out --report report.json"
    command += f" --joint-regressor support_data/J_regressor_h36m.npy --gpu_id 0 {closed}"
    result = subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in result.stderr
    assert result.returncode == 0
    assert (clone / "report.json").exists()
    assert sorted(path.name for path in (clone / "out").iterdir()) == ["CMU.npz", "KIT.npz"]


def test_a_report_to_standard_output_is_added_to_what_is_there(clone: Path) -> None:
    (clone / "log.txt").write_text("precious\n")
    command = f"{sys.executable} -m amass_joints convert --amass-dir data --out-dir out --report /dev/stdout"
    command += " --joint-regressor support_data/J_regressor_h36m.npy >> log.txt"
    subprocess.run(["bash", "-c", command], cwd=clone, check=True, timeout=120)
    log = (clone / "log.txt").read_text()
    assert log.startswith("precious\nCMU: 1 sequences")
    assert json.loads(log[log.index("{") :])["total"]["sequences"] == 2


def test_an_output_of_an_earlier_run_that_stays_is_warned_of(clone: Path) -> None:
    assert convert(clone, "--only", "KIT").stderr == ""
    again = convert(clone, "--only", "KIT/3/bro*")
    assert again.stderr == f"Warning: {clone}/out/KIT.npz is of an earlier run and stays as it was: " + (
        "nothing could be converted now\n"
    )
    assert list(positions(clone, name="KIT")) == ["wälk [b] (1)_poses"]


def test_scan(clone: Path) -> None:
    write_sequence(clone / "data/CMU/02/stiff_poses.npz", dmpls=None, mocap_framerate=60.0, gender="neutral")
    write_sequence(clone / "data/CMU/02/smplx_poses.npz", poses=np.zeros((24, 165)))
    np.savez(clone / "data/CMU/02/shape.npz", betas=np.zeros(16))
    result = run("scan", clone / "data", "--body-models", clone / "support_data/body_models")
    assert result.returncode == 0
    models = clone / "support_data/body_models"
    assert result.stdout.splitlines() == [
        "CMU: variant SMPL+H, SMPL-X; sequences 3; hours 0.00; frames 168; Hz 60 (1), 120 (2); genders male (2), "
        "neutral (1); without DMPLs 1; skipped 0",
        "KIT: variant SMPL+H; sequences 1; hours 0.00; frames 60; Hz 120 (1); genders female (1); without DMPLs 0; "
        "skipped 1",
        "total: variant SMPL+H, SMPL-X; sequences 4; hours 0.00; frames 228; Hz 60 (1), 120 (3); genders female (1), "
        "male (2), neutral (1); without DMPLs 1; skipped 1",
        "Skipped (1):",
        "  KIT/3/bro\\x1b[31mken_poses: broken or truncated (File is not a zip file)",
        "Passed over, because they are no sequences (shape.npz and the like): 1 files.",
        "Body model files:",
        f"  there    {models}/dmpls/female/model.npz, for 1 sequences",
        f"  there    {models}/dmpls/male/model.npz, for 1 sequences",
        f"  there    {models}/smplh/female/model.npz, for 1 sequences",
        f"  there    {models}/smplh/male/model.npz, for 1 sequences",
        f"  there    {models}/smplh/neutral/model.npz, for 1 sequences",
        f"  MISSING  {models}/smplx/male/model.npz, for 1 sequences",
        f"  {'there' if (models / VERTEX_MAP).is_file() else 'MISSING':7}  {models}/{VERTEX_MAP}, for 1 sequences",
        "To convert this:",
        f"  amass-joints convert --amass-dir {clone}/data --out-dir joints "
        f"--joint-regressor {clone}/support_data/J_regressor_h36m.npy --body-models {models} --rate 50",
    ]
    only = run("scan", clone / "data", "--only", "CMU/02/stiff*")
    assert only.stdout.startswith("CMU: variant SMPL+H; sequences 1;")
    assert run("scan", clone / "nowhere").returncode == 1


def test_strict_exits_with_3_when_something_was_skipped(clone: Path) -> None:
    assert convert(clone, "--strict").returncode == 3
    assert convert(clone, "--strict", "--only", "CMU").returncode == 0


def test_the_other_options(clone: Path) -> None:
    result = convert(
        clone,
        *("--rate", "50", "--dtype", "float64", "--only", "CMU/01/*", "--workers", "3", "--no-dmpls"),
        *(
            "--report",
            clone / "new/report.json",
            "--device",
            "cpu",
            "--body-models",
            clone / "support_data/body_models",
        ),
    )
    assert result.returncode == 0, result.stderr
    assert positions(clone)["01_01_poses"].dtype == np.float64
    assert not (clone / "out/KIT.npz").exists()
    report = json.loads((clone / "new/report.json").read_text())
    assert report["options"]["dtype"] == "float64"
    assert not report["datasets"][0]["converted"][0]["soft_tissue"]
    before = (clone / "out/CMU.npz").stat().st_mtime_ns
    result = convert(clone, "--skip-existing")
    assert "CMU: " in result.stdout
    assert "is there already" in result.stdout
    assert (clone / "out/CMU.npz").stat().st_mtime_ns == before
    assert (clone / "out/KIT.npz").exists()


def test_many_skips_are_listed_in_the_report_alone(clone: Path) -> None:
    for number in range(30):
        (clone / f"data/CMU/01/bad{number:02}_poses.npz").write_bytes(b"")
    result = convert(clone, "--report", clone / "report.json")
    assert sum(": broken" in line for line in result.stdout.splitlines()) == 20
    assert "and 11 more: --report FILE lists them all" in result.stdout
    report = json.loads((clone / "report.json").read_text())
    assert sum(len(dataset["skipped"]) for dataset in report["datasets"]) == 31


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "0"], "frame rate is 0 Hz"),
        (["--rate", "nan"], "frame rate is nan Hz"),
        (["--rate", "fast"], "--rate"),
        (["--batch-size", "0"], "--batch-size"),
        (["--workers", "0"], "--workers"),
        (["--dtype", "float16"], "float16"),
        (["--device", "tpu"], "the device is 'tpu'"),
        (["--device", "cuda:x"], "the device is 'cuda:x'"),
        (["--gpu_id", "zero"], "not the number of a GPU"),
        (["--gpu_id", "0", "--device", "cpu"], "--device and --gpu_id"),
        (["--nonsense"], "--nonsense"),
        (["--report", "out/CMU.npz"], "a report is JSON"),
    ],
)
def test_wrong_usage_exits_with_2(clone: Path, options: list[str], message: str) -> None:
    result = convert(clone, *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (clone / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--amass-dir": "nowhere"}, r"Error: nowhere: not a directory"),
        ({"--amass-dir": "data/CMU"}, r"If this is one dataset, pass data."),
        (
            {"--joint-regressor": "nowhere.npy"},
            r"nowhere.npy: not a usable joint regressor: cannot be read",
        ),
        (
            {"--joint-regressor": "support_data/body_models/dmpls/male/model.npz"},
            r"its shape is (6890, 3, 8); expected",
        ),
        ({"--body-models": "nowhere"}, r"body models not found (--body-models): looked for nowhere/smplh"),
        ({"--out-dir": "file"}, r"file: cannot be written to: File exists"),
        ({"--out-dir": "/proc/nothing"}, r"/proc/nothing: cannot be written to"),
        ({"--report": "file/report.json"}, r"cannot be written to"),
        ({"--report": "data"}, r"data: cannot be written: it is a directory"),
        ({"--out-dir": "taken"}, r"taken/CMU.npz: cannot be written: it is a directory"),
        ({"--only": "cmu"}, r"no sequence of data matches; sequences are named like 'CMU/01/01_01_poses'"),
    ],
)
def test_what_makes_a_run_pointless_stops_it_with_one_message(
    clone: Path, change: dict[str, str], message: str
) -> None:
    (clone / "file").write_text("a file")
    (clone / "taken/CMU.npz").mkdir(parents=True)
    options = {
        "--amass-dir": "data",
        "--out-dir": "out",
        "--joint-regressor": "support_data/J_regressor_h36m.npy",
    } | change
    result = run("convert", *[word for pair in options.items() for word in pair], cwd=clone)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_ctrl_c_leaves_what_was_finished_and_nothing_half_written(clone: Path) -> None:
    for number in range(400):
        write_sequence(clone / f"data/ZZZ/01/{number}_poses.npz", 500, number)
    with subprocess.Popen(
        [
            *(*PROGRAM, "convert", "--amass-dir", "data", "--out-dir", "out", "--workers", "1"),
            *("--joint-regressor", "support_data/J_regressor_h36m.npy"),
        ],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (clone / "out/KIT.npz").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in stderr
    assert "Traceback" not in stderr
    assert sorted(path.name for path in (clone / "out").iterdir()) == ["CMU.npz", "KIT.npz"]
    assert positions(clone)["01_01_poses"].shape == (120, 17, 3)


def test_help_and_version(tmp_path: Path) -> None:
    for arguments in (["--help"], ["convert", "--help"], ["demo", "--help"]):
        result = run(*arguments)
        assert result.returncode == 0
        assert "Usage" in result.stdout
    assert run("--version").stdout.count(".") == 2
    assert run().returncode == 2  # no command is wrong usage, and shows the help


def test_help_imports_nothing_heavy() -> None:
    script = """
import sys
from amass_joints.cli import main
sys.argv = ["amass-joints", "--help"]
try:
    main()
except SystemExit:
    print(*sys.modules, file=sys.stderr)
"""
    loaded = run("-c", script, program=[sys.executable]).stderr.split()
    assert "amass_joints.cli" in loaded
    assert not {"numpy", "numba", "torch", "jaxtyping", "rich.progress"} & set(loaded)
