"""The benchmarks: every command runs, small, and what is measured is the right thing."""

import dataclasses
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import amass_joints as aj
from amass_joints import mesh
from amass_joints.demo.body import StandInBody, make_body
from amass_joints.demo.motions import make_motion
from benchmarks import __main__ as command_line
from benchmarks import corpus as corpora
from benchmarks import machine, posing, processes, startup
from benchmarks.inputs import Inputs
from benchmarks.measuring import Figure, Result, Table, in_turn, readable

SEQUENCES = 14


@pytest.fixture(scope="module")
def inputs(support_data: Path) -> Inputs:
    """The stand-in male, who walks for 30 frames."""
    body = aj.load_body_model(
        support_data / "body_models/smplh/male/model.npz", support_data / "body_models/dmpls/male/model.npz"
    )
    betas = np.random.default_rng(0).normal(size=16)
    motion = make_motion("walk", body.J_regressor @ (body.v_template + body.shapedirs @ betas), 120, 0.25, heading=2.0)
    sequence = aj.Sequence(motion.poses, motion.trans, betas, motion.dmpls, "male", 120.0)
    return Inputs(body, aj.load_regressor(support_data / "J_regressor_h36m.npy"), sequence)


@pytest.fixture(scope="module", autouse=True)
def bodies(support_data: Path) -> Iterator[dict[str, StandInBody]]:
    """The stand-in bodies; made once, for every corpus of these tests."""
    made = {gender: make_body(gender) for gender in ("male", "female")}

    def write_support_data(directory: Path) -> dict[str, StandInBody]:
        shutil.copytree(support_data, directory)
        return made

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(corpora.demo, "write_support_data", write_support_data)
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, bodies: dict[str, StandInBody]) -> corpora.Corpus:
    return corpora.write_corpus(tmp_path_factory.mktemp("corpus"), SEQUENCES, seed=3)


def run(*arguments: object, tmp_path: Path) -> dict[str, Any]:
    """Run a command, which must succeed; give its JSON."""
    file = tmp_path / "figures.json"
    ran = CliRunner().invoke(command_line.app, [*map(str, arguments), "--json", str(file)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert "Python" in ran.output
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["benchmark"] == arguments[0]
    assert figures["machine"]["cores"]
    assert figures["versions"]["numpy"] == np.__version__
    return figures


def rows(table: dict[str, Any], column: str) -> dict[str, dict[str, Any]]:
    return {row[column]: row for row in table["rows"]}


class TestCommands:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch, inputs: Inputs) -> None:
        monkeypatch.setattr(posing, "SECONDS", 0.0)
        monkeypatch.setattr(command_line, "load", lambda *paths: inputs)

    def test_kernel(self, tmp_path: Path) -> None:
        figures = run("kernel", "--rounds", 2, "--batch-size", 3, "--batch-size", 5, tmp_path=tmp_path)
        assert figures["settings"]["regressed joints"] == 17
        measured = [row for row in figures["tables"][0]["rows"] if "frames/s" in row]
        assert [row["contender"] for row in measured[:3]] == ["ours, float32", "ours, float32", "ours, float64"]
        for row in measured:
            assert len(row["frames/s"]["values"]) == 2
            assert row["frames/s"]["lowest"] <= row["frames/s"]["median"] <= row["frames/s"]["highest"]
            assert row["largest difference, m"] < 1e-5
        absent = {row["contender"]: row["where"] for row in figures["tables"][0]["rows"] if "frames/s" not in row}
        assert all("not measured" in reason for reason in absent.values())
        if importlib.util.find_spec("torch"):
            assert [row["frames a call"] for row in measured if row["contender"] == "whole mesh"] == [3, 5]

    def test_exactness(self, tmp_path: Path) -> None:
        figures = run("exactness", "--every", 10, tmp_path=tmp_path)
        by_dtype = rows(figures["tables"][0], "ours")
        assert by_dtype["float32"]["largest difference, m"] < 1e-5
        assert by_dtype["float64"]["largest difference, m"] < 1e-12

    def test_gpu_tried_on_the_cpu(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        small = ("--frames", 4, "--batch-size", 3, "--sequences", 0, "--rounds", 1)
        figures = run("gpu", "--device", "cpu", *small, tmp_path=tmp_path)
        from_host, resident = (rows(table, "contender") for table in figures["tables"])
        assert from_host["ours, ShapedBody.pose"]["frames a call"] == 4
        assert resident["ours, RegressedJoints"]["largest difference, m"] < 1e-5
        assert resident["whole mesh"]["frames/s"]["median"] > 0

    def test_no_gpu_is_said_and_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "gpu", lambda: None)
        ran = CliRunner().invoke(command_line.app, ["gpu"])
        assert ran.exit_code == 1
        assert ran.output.startswith("There is no GPU here")
        assert ran.output.count("\n") == 1

    def test_end_to_end(self, corpus: corpora.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command_line, "write_corpus", lambda *arguments, **options: corpus)
        figures = run("end-to-end", "--rounds", 1, "--workers", 2, tmp_path=tmp_path)
        assert figures["settings"]["frames"] == corpus.frames
        by_process = rows(figures["tables"][0], "process")
        assert list(by_process) == ["ours, --workers 2", "np.load: read", "np.load: read and sum"]
        assert by_process["np.load: read"]["time / 'np.load: read'"] == 1
        assert by_process["ours, --workers 2"]["peak memory, MB"]["median"] > 10

    def test_memory(self, tmp_path: Path) -> None:
        at_its_rate = ("--rate", 0, "--seconds", 2, "--rounds", 1, "--corpus", tmp_path / "long")
        figures = run("memory", *at_its_rate, tmp_path=tmp_path)
        assert figures["settings"]["frames"] == 500
        (table,) = figures["tables"]
        assert "frames out: 500" in table["notes"][1]

    def test_startup(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def without_conversions(command: Any, environment: Any = None) -> processes.Usage:
            if "convert" in command:  # compiles for many seconds
                assert environment
                return processes.Usage(wall=1.0, cpu=1.0, peak=1)
            return processes.measure(command, environment)

        monkeypatch.setattr(startup, "measure", without_conversions)
        figures = run("startup", "--rounds", 1, "--first-rounds", 1, tmp_path=tmp_path)
        starts, conversions = (rows(table, "process") for table in figures["tables"])
        assert starts["amass-joints --help"]["time, s"]["median"] > starts["python -c pass"]["time, s"]["median"]
        assert list(conversions) == ["first run", "later run"]

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12 and later, where there are threads
    def test_windows(self, corpus: corpora.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("torch")
        monkeypatch.setattr(command_line, "write_corpus", lambda *arguments, **options: corpus)
        from benchmarks import windows  # needs PyTorch

        measured, process = {}, windows._process  # each takes seconds: one of a kind is enough

        def process_of_a_kind(contender: dict[str, Any] | None) -> processes.Usage:
            kind = contender and contender["ours"]
            if kind not in measured:
                measured[kind] = process(contender)
            return measured[kind]

        monkeypatch.setattr(windows, "_process", process_of_a_kind)
        small = ("--rounds", 1, "--batches", 2, "--batch-size", 3, "--length", 20, "--workers", 1)
        figures = run("windows", *small, tmp_path=tmp_path)
        alone, with_a_worker, first_batches = (list(rows(table, next(iter(table["rows"][0]))).values())
                                               for table in figures["tables"])  # fmt: skip
        assert [row["loader"] for row in alone] == [row["loader"] for row in with_a_worker]
        assert all(row["windows/s"]["median"] > 0 for row in (*alone, *with_a_worker))
        assert [row["of the known way's"] for row in alone if row["loader"].startswith("known")] == [1, 1]
        assert first_batches[-1]["process"] == "import torch"

    def test_corpus(self, corpus: corpora.Corpus) -> None:
        again = ["corpus", str(corpus.directory), "--sequences", str(SEQUENCES), "--seed", "3"]
        ran = CliRunner().invoke(command_line.app, again, catch_exceptions=False)
        assert f"{SEQUENCES} sequences" in ran.output


class TestBaselines:
    @pytest.mark.parametrize("name", ["WholeMesh", "Smplx", "Smplfitter"])
    def test_agrees_with_the_mesh(self, inputs: Inputs, name: str) -> None:
        torch = pytest.importorskip("torch")
        if name != "WholeMesh":
            pytest.importorskip(name.lower())
        from benchmarks import baselines

        motion = inputs.frames(4)
        motion.poses[0] = 0
        motion.poses[1] *= 5
        baseline = getattr(baselines, name)(inputs, torch.device("cpu"))
        dmpls = motion.dmpls if baseline.soft_tissue else None
        vertices = mesh.pose_mesh(inputs.body, motion.betas, motion.poses, motion.trans, dmpls)
        joints = baselines.from_host(baseline, motion)
        # Single precision, with sums over hundreds of terms, metres from the origin.
        np.testing.assert_allclose(joints, mesh.regress(inputs.regressor, vertices), rtol=0, atol=1e-5)

    def test_the_whole_mesh_does_without_soft_tissue(self, inputs: Inputs) -> None:
        torch = pytest.importorskip("torch")
        from benchmarks import baselines

        motion = dataclasses.replace(inputs.frames(2), dmpls=None)
        vertices = mesh.pose_mesh(inputs.body, motion.betas, motion.poses, motion.trans)
        joints = baselines.from_host(baselines.WholeMesh(inputs, torch.device("cpu")), motion)
        np.testing.assert_allclose(joints, mesh.regress(inputs.regressor, vertices), rtol=0, atol=1e-5)

    def test_what_is_not_installed_is_said(self, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("torch")
        from benchmarks import baselines

        monkeypatch.setitem(sys.modules, "smplx.body_models", None)
        monkeypatch.setitem(sys.modules, "smplfitter.pt", None)
        found, absent = baselines.available(inputs, "cpu")
        assert [baseline.name for baseline in found] == ["whole mesh"]
        assert list(absent) == ["smplx", "smplfitter"]


class TestCorpus:
    def test_is_like_amass(self) -> None:
        planned = corpora.plan(2000)
        frames = np.array([sequence.frames for sequence in planned])
        assert len(planned) == 2000
        assert frames.mean() == pytest.approx(1200, rel=0.1)
        assert np.median(frames) == pytest.approx(1200 * np.exp(-(corpora.SIGMA**2) / 2), rel=0.1)
        assert frames.min() >= 60
        assert frames.max() <= 20_000
        assert {sequence.dataset for sequence in planned} == {kind.name for kind in corpora.DATASETS}
        assert {sequence.frame_rate for sequence in planned} >= {60.0, 100.0, 120.0, 250.0}
        assert {sequence.gender for sequence in planned} == {"male", "female", b"male", b"female"}
        assert len({(one.dataset, one.subject, one.name) for one in planned}) == 2000

    def test_is_the_same_for_the_same_seed(self) -> None:
        assert corpora.plan(50, seed=1) == corpora.plan(50, seed=1)
        assert corpora.plan(50, seed=1) != corpora.plan(50, seed=2)

    def test_every_file_is_a_sequence_in_human_motion(self, corpus: corpora.Corpus) -> None:
        planned = {(one.dataset, one.subject, one.name): one for one in corpora.plan(SEQUENCES, seed=3)}
        files = corpus.files()
        assert len(files) == SEQUENCES
        assert sum(path.stat().st_size for path in files) == corpus.num_bytes
        for path in files:
            sequence = aj.read_sequence(path)
            assert isinstance(sequence, aj.Sequence), sequence
            plan = planned[path.parts[-3], path.parts[-2], path.stem]
            assert len(sequence.poses) == len(sequence.trans) == plan.frames
            assert sequence.frame_rate == plan.frame_rate
            assert sequence.dmpls is not None
            assert np.abs(sequence.trans).max() < 200
            turning = np.abs(np.diff(sequence.poses[:, 3:], axis=0)) * sequence.frame_rate
            assert 0.01 < turning.mean() < 3  # radians per second, over all joints
            assert turning.max() < 60
            assert (turning.max(axis=0) > 0).all()

    def test_a_sequence_is_made_again_alike(self, corpus: corpora.Corpus, bodies: dict[str, StandInBody]) -> None:
        plan = corpora.plan(SEQUENCES, seed=3)[0]
        path = corpus.data / plan.dataset / plan.subject / f"{plan.name}.npz"
        gender = plan.gender.decode() if isinstance(plan.gender, bytes) else plan.gender
        again = corpora.make_arrays(plan, bodies[gender])
        with np.load(path) as written:
            assert set(written.files) == {"trans", "gender", "mocap_framerate", "betas", "dmpls", "poses"}
            for name in written.files:
                np.testing.assert_array_equal(written[name], again[name])

    def test_is_used_again_and_never_mixed(self, corpus: corpora.Corpus, tmp_path: Path) -> None:
        assert corpora.write_corpus(corpus.directory, SEQUENCES, seed=3) == corpus
        with pytest.raises(aj.InputError, match="holds a corpus of"):
            corpora.write_corpus(corpus.directory, SEQUENCES + 1, seed=3)
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(aj.InputError, match="something else"):
            corpora.write_corpus(tmp_path, SEQUENCES)


class TestMeasuring:
    def test_contenders_take_turns(self) -> None:
        calls: list[str] = []
        measured = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
        assert "".join(calls) == "ababab"
        assert {name: len(values) for name, values in measured.items()} == {"a": 3, "b": 3}

    def test_a_figure_is_a_median_and_its_spread(self) -> None:
        figure = Figure((5.0, 1.0, 2.0, 4.0, 300.0))
        assert figure.median == 4
        assert figure.quartiles == (2, 5)
        assert str(figure) == "4 (1 to 300)"

    @pytest.mark.parametrize(
        ("cell", "text"),
        [(None, ""), ("on", "on"), (0, "0"), (1234567.8, "1,234,568"), (0.01234, "0.0123"), (3.04e-7, "3.0e-07")],
    )
    def test_readable(self, cell: Any, text: str) -> None:
        assert readable(cell) == text

    def test_a_row_may_lack_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        table = Table("Speeds", ({"contender": "a", "speed": Figure((1.0,))}, {"contender": "b", "where": "nowhere"}))
        Result("kernel", {"frames": 3}, (table,), machine={}, versions={}).show()
        assert "nowhere" in capsys.readouterr().out

    def test_memory_is_that_of_the_process_alone(self) -> None:
        ballast = np.ones(2**25)  # 256 MiB
        usage = processes.measure([sys.executable, "-c", "pass"])
        assert usage.peak < ballast.nbytes / 4
        assert usage.cpu > 0
        assert usage.wall < 10

    def test_a_process_that_fails_is_no_figure(self) -> None:
        with pytest.raises(processes.ProcessFailed, match="oh dear"):
            processes.measure([sys.executable, "-c", "import sys; sys.exit('oh dear')"])
