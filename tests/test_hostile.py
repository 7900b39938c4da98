"""Bad files do no harm: nothing in them is run, time and memory are bounded, and each is named with what is wrong.

The files are those of ``hostile.py``. In the tree of the first tests, bad sequences and archives lie beside good ones.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import amass_joints as aj
import hostile
import hostile_archives
import hostile_models
import hostile_sequences
from amass_files import write_sequence
from amass_joints.bodies import FoldedBodies
from amass_joints.conversion import Converted, Settings, convert_sequence
from amass_joints.regressors import JointRegressor, carried_over

MEMORY = 1 << 30
"""Bytes of address space for each process of a run. Half of it goes to the libraries, and to the largest of the good
files; the bombs in the tree would take from 2 to 6,000 GB. On Python 3.10 to 3.13, 600 MB are enough."""

TIMEOUT = 300
"""Seconds, against hangs; such a run takes less than ten."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes, names of any bytes, and limits of memory")


@pytest.fixture(autouse=True)
def _nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Payloads of all that is read here would make a file. And nothing hangs."""

    def too_long(*_: object) -> None:
        raise TimeoutError

    mark = tmp_path / "a payload was run"
    monkeypatch.setenv(hostile.MARK, str(mark))
    if hasattr(signal, "SIGALRM"):
        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(TIMEOUT)
    yield
    if hasattr(signal, "SIGALRM"):
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert not mark.exists()


def test_the_payload_is_one(tmp_path: Path) -> None:
    mark = Path(os.environ[hostile.MARK])
    payload = hostile.objects()
    (tmp_path / "a.npz").write_bytes(hostile_sequences.sequence(poses=payload))
    (tmp_path / "b.npy").write_bytes(hostile.npy(payload))
    for read in (
        lambda: np.load(tmp_path / "a.npz", allow_pickle=True)["poses"],
        lambda: np.load(tmp_path / "b.npy", allow_pickle=True),
    ):
        read()
        assert mark.exists()
        mark.unlink()


# ----------------------------------------------------------------------------------------------- a hostile tree


@dataclass(frozen=True)
class Tree:
    data: Path
    expected: hostile.Expected


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    data = tmp_path_factory.mktemp("hostile") / "data"
    parts = [
        hostile_sequences.write_sequences(data),
        hostile_archives.write_archives(data),
        hostile_archives.write_file_systems(data),
    ]
    expected = hostile.Expected()
    for part in parts:
        for name in ("skipped", "converted", "any_of"):
            getattr(expected, name).update(getattr(part, name))
    return Tree(data, expected)


def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run the program with little memory."""
    return subprocess.run(
        [sys.executable, "-m", "amass_joints", *map(str, arguments)],
        capture_output=True,
        timeout=TIMEOUT,
        preexec_fn=limit_memory,
        check=False,
    )


def limit_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def convert(tree: Tree, out: Path, support_data: Path, *more: object) -> list[str]:
    regressor = support_data / "J_regressor_h36m.npy"
    words = ("convert", "--amass-dir", tree.data, "--out-dir", out, "--joint-regressor", regressor, "--workers", 2)
    return [*map(str, words), *map(str, more)]


def assert_printable(output: bytes) -> None:
    """No byte in it does anything to a terminal."""
    text = output.decode()  # as UTF-8, or this fails
    strange = {c for c in text if not c.isprintable() and c != "\n"}
    assert strange == set()
    assert "Traceback" not in text


@on_linux
def test_bad_files_are_skipped_and_good_ones_converted(tmp_path: Path, tree: Tree, support_data: Path) -> None:
    result = run(*convert(tree, tmp_path / "out", support_data, "--report", tmp_path / "report.json"))
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    assert_printable(result.stdout)
    assert max(map(len, result.stdout.splitlines())) < 4100  # such names there are
    report = json.loads((tmp_path / "report.json").read_text())
    skipped: dict[str, list[str]] = {}
    for one in (one for dataset in report["datasets"] for one in dataset["skipped"]):
        skipped.setdefault(one["name"], []).append(one["reason"])
    assert_as_expected(skipped, tree.expected)
    assert_converted(tmp_path / "out", tree.expected, support_data)


def assert_as_expected(skipped: dict[str, list[str]], expected: hostile.Expected, *, all_of_it: bool = True) -> None:
    wrong = []
    for name, reasons in skipped.items():
        of_dataset = expected.any_of.get(name.split("/")[0])
        pattern = expected.skipped.get(name, of_dataset)
        if pattern is None or not all(re.search(pattern, reason) for reason in reasons):
            wrong.append((name, reasons, pattern))
        elif len(reasons) > 1 and not of_dataset:
            wrong.append((name, reasons, "one reason"))
        wrong += [(name, reason, "a short reason") for reason in reasons if len(reason) > 2000]
    if all_of_it:
        wrong += [(name, "not skipped", expected.skipped[name]) for name in expected.skipped.keys() - skipped.keys()]
    assert wrong == []


def assert_converted(out: Path, expected: hostile.Expected, support_data: Path) -> None:
    bodies = FoldedBodies(
        aj.load_regressor(support_data / "J_regressor_h36m.npy"), support_data / "body_models", dmpls=True
    )
    outputs = {path.stem: aj.load(path) for path in out.iterdir()}
    names = {f"{dataset}/{s}/{name}" for dataset, tree in outputs.items() for s in tree for name in tree[s]}
    extra = {name for name in names - expected.converted.keys() if name.split("/")[0] not in expected.any_of}
    assert (extra, expected.converted.keys() - names) == (set(), set())
    made: dict[int, np.ndarray] = {}  # most are the same
    for name, arrays in expected.converted.items():
        if id(arrays) not in made:
            usual = convert_sequence(hostile.npz(arrays), bodies, Settings())
            assert isinstance(usual, Converted), (name, usual)
            made[id(arrays)] = usual.positions_3d
        dataset, subject, sequence = name.split("/")
        np.testing.assert_array_equal(outputs[dataset][subject][sequence]["positions_3d"], made[id(arrays)], name)


@on_linux
def test_scan_of_bad_files(tree: Tree, support_data: Path) -> None:
    result = run("scan", tree.data, "--body-models", support_data / "body_models", "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == b""
    assert_printable(result.stdout)
    scan = json.loads(result.stdout)
    skipped: dict[str, list[str]] = {}
    for one in scan["total"]["skipped"]:
        skipped.setdefault(one["name"], []).append(one["reason"])
    assert_as_expected(skipped, tree.expected, all_of_it=False)  # not in archives, and not what values tell
    assert len(skipped) > 120
    people = run("scan", tree.data, "--body-models", support_data / "body_models")
    assert (people.returncode, people.stderr) == (0, b"")
    assert_printable(people.stdout)


@on_linux
@pytest.mark.parametrize("command", ["convert", "scan"])
def test_names_do_nothing_to_a_terminal(tmp_path: Path, tree: Tree, support_data: Path, command: str) -> None:
    only = [word for glob in ("Files", "named *", "strange names in a tar") for word in ("--only", glob)]
    words = ["scan", str(tree.data)] if command == "scan" else convert(tree, tmp_path / "out", support_data)
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    arguments = [sys.executable, "-m", "amass_joints", *words, *only]
    shown = b""
    with subprocess.Popen(arguments, env=environment, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        try:
            while block := os.read(main, 65536):
                shown += block
        except OSError:  # how a terminal ends on Linux
            pass
    os.close(main)
    assert process.returncode == 0
    text = shown.decode()  # as UTF-8, or this fails
    own = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]")  # colours and the cursor's way, as Rich has them
    assert [c for c in own.sub("", text) if not c.isprintable()] == []
    assert "\x1b[31mred" not in text
    assert r"\x1b[31mred" in text
    assert not re.search("li[\r\n]+ne|a\rSkipped", text)


# --------------------------------------------------------------------------------------------- what is refused


def some(make: Callable[[], Iterator[hostile.Bad]], *names: str) -> list[hostile.Bad]:
    return [bad for bad in make() if bad.name in names]


@on_linux
@pytest.mark.parametrize(
    ("place", "bad"),
    [
        *(
            ("J_regressor_h36m.npy", bad)
            for bad in some(
                hostile_models.regressors,
                "of objects.npy",
                "with a header of minus signs.npy",
                "a bomb of ten gigabytes in C's order.npz",
                "a hole of 20000000 joints.npy",
            )
        ),
        *(
            (f"body_models/{name}/male/model.npz", bad)
            for name, make in (("smplh", hostile_models.models), ("dmpls", hostile_models.dmpls))
            for bad in some(make, "a directory of megabytes", "zero bytes")
        ),
        *(("body_models/smplh/SMPLH_male.pkl", bad) for bad in some(hostile_models.pickled_models, "a payload within")),
        *(
            ("body_models/smplx2smpl_deftrafo_setup.pkl", bad)
            for bad in some(hostile_models.vertex_maps, "os.system", "a map of NaN")
        ),
    ],
    ids=lambda one: one.name if isinstance(one, hostile.Bad) else one,
)
def test_what_is_refused_is_refused_with_one_message(
    tmp_path: Path, support_data: Path, place: str, bad: hostile.Bad
) -> None:
    support = tmp_path / "support_data"
    shutil.copytree(support_data, support, copy_function=os.link)
    (support / place).unlink(missing_ok=True)
    if place.endswith("male.pkl"):
        (support / "body_models/smplh/male/model.npz").unlink()
    bad.make(support / place)
    write_sequence(tmp_path / "data/CMU/01/a_poses.npz")
    write_sequence(tmp_path / "data/CMU/01/b_poses.npz", poses=np.zeros((24, 165)), gender="neutral", dmpls=None)
    result = run(*convert(Tree(tmp_path / "data", hostile.Expected()), tmp_path / "out", support))
    assert result.returncode == 1
    assert result.stdout == b""
    assert_printable(result.stderr)
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith(f"Error: {support / place}: ")
    assert re.search(bad.reason, line)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_what_is_made_bad_was_good(tmp_path: Path) -> None:
    """So it is the fault that is refused, each time."""
    models, path = hostile_models, tmp_path / "file.npz"
    for matrix in (models.CSR, models.changed(models.CSR, models.COO)):
        path.write_bytes(hostile.npz(matrix))
        assert aj.load_regressor(path).matrix.sum() == 2
    path.write_bytes(hostile.npz(models.SMALL))
    (tmp_path / "dmpls.npz").write_bytes(hostile.npz({"eigvec": np.ones((5, 3, 9))}))
    assert aj.load_body_model(path, tmp_path / "dmpls.npz").dmpldirs.sum() == 5 * 3 * 8
    pickled = tmp_path / "file.pkl"
    for changes in ({}, models.in_csc()):
        pickled.write_bytes(models.pickled(models.SMALL | changes))
        assert aj.load_body_model(pickled).v_template.sum() == 15
    pickled.write_bytes(models.pickled_map(models.MTX))
    assert carried_over(JointRegressor(np.ones((1, 6890))), pickled).matrix.sum() == 6890
    path.write_bytes(hostile.npz({"positions_3d": hostile.objects(models.JOINTS)}))
    assert list(aj.load(path)) == ["01"]


def assert_refused(path: Path, bad: hostile.Bad, read: Callable[[Path], object]) -> None:
    bad.make(path)
    if not bad.name.startswith("very many opcodes"):  # which it would make take ten times as long
        tracemalloc.start()
    try:
        with pytest.raises(aj.InputError, match=bad.reason) as caught:
            read(path)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1500 + len(str(path))
    assert taken < 300e6


@pytest.mark.parametrize("bad", list(hostile_models.regressors()), ids=lambda bad: bad.name)
def test_a_bad_joint_regressor_is_refused(tmp_path: Path, bad: hostile.Bad) -> None:
    assert_refused(tmp_path / bad.name, bad, aj.load_regressor)


@pytest.mark.parametrize("bad", list(hostile_models.models()), ids=lambda bad: bad.name)
def test_a_bad_body_model_is_refused(tmp_path: Path, bad: hostile.Bad) -> None:
    assert_refused(tmp_path / "model.npz", bad, aj.load_body_model)


@pytest.mark.parametrize("bad", list(hostile_models.pickled_models()), ids=lambda bad: bad.name)
def test_a_bad_pickled_model_is_refused(tmp_path: Path, bad: hostile.Bad) -> None:
    assert_refused(tmp_path / "model.pkl", bad, aj.load_body_model)


@pytest.mark.parametrize("bad", list(hostile_models.dmpls()), ids=lambda bad: bad.name)
def test_bad_dmpls_are_refused(tmp_path: Path, bad: hostile.Bad) -> None:
    (tmp_path / "good.npz").write_bytes(hostile.npz(hostile_models.SMALL))
    assert_refused(tmp_path / "model.npz", bad, lambda path: aj.load_body_model(tmp_path / "good.npz", path))


@pytest.mark.parametrize("bad", list(hostile_models.vertex_maps()), ids=lambda bad: bad.name)
def test_a_bad_vertex_map_is_refused(tmp_path: Path, bad: hostile.Bad) -> None:
    regressor = JointRegressor(np.full((2, 6890), 1 / 6890))
    assert_refused(tmp_path / "map.pkl", bad, lambda path: carried_over(regressor, path))


@pytest.mark.parametrize("bad", list(hostile_models.outputs()), ids=lambda bad: bad.name)
def test_a_bad_output_is_not_loaded(tmp_path: Path, bad: hostile.Bad) -> None:
    assert_refused(tmp_path / "CMU.npz", bad, aj.load)
