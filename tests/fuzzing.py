"""Coverage-guided fuzzing of everything that reads files::

    pip install -e . atheris
    python tests/fuzzing.py sequence archive model output --seconds 60

Inputs are whole files, so what crashes a reader can be kept as it is: files in ``tests/crashers/`` go through the same
targets whenever the tests run (``test_crashers.py``). A target raises where its reader lets out anything but what it
documents, takes memory out of proportion, or contradicts itself when it is asked in another way.

Blind changes to a file end at its first checksum. So most changes are made to the parts of a file, as deep as it is
nested, and it is put together again with sizes and checksums that are right, or wrong where that is the change.

libFuzzer's loop never returns, so each target has a process of its own. It wants Linux, and a Python that atheris has
a wheel for.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import gzip
import io
import itertools
import lzma
import os
import pickle
import pickletools
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from amass_files import sequence_arrays
from mutations import Mutator

LARGEST = 1 << 15
"""Bytes of an input."""

MOST_MEMORY = 1 << 27
"""Bytes that a reader may take for an input: deflate makes a thousand bytes of one, bzip2 far more."""

SLOW = 20
"""Seconds that an input may take; the usual one takes a thousandth."""


# ------------------------------------------------------------------------------------------------------ targets


class Fault(AssertionError):
    """A reader did what it does not document."""


def expect(condition: Any, what: str) -> None:
    if not condition:
        raise Fault(what)


def check_sequence(data: bytes, path: Path) -> None:
    """However it is read, a sequence is the same; and good data, or a reason."""
    from amass_joints.sequences import NotASequence, OpenSequence, Skipped, read_sequence, summarise_sequence
    from amass_joints.sequences import use_sequence as use

    def by_blocks(sequence: OpenSequence) -> dict[str, np.ndarray]:
        blocks = list(sequence.read_blocks(5))
        expect([block.start for block in blocks] == list(range(0, sequence.summary.frames, 5)), "blocks are missing")
        arrays = {"betas": sequence.read_betas()}
        for name in ("poses", "trans", *(["dmpls"] if sequence.summary.has_dmpls else [])):
            arrays[name] = np.concatenate([getattr(block, name)[: block.stop - block.start] for block in blocks])
        return arrays

    path.write_bytes(data)
    whole = read_sequence(path)
    others = [use(data, by_blocks), use(path, by_blocks), use(path, by_blocks, at_once=False)]
    summary = summarise_sequence(data)
    summarise_sequence(path)
    if isinstance(whole, (Skipped, NotASequence)):
        expect(all(type(other) is type(whole) for other in others), f"{whole}, but also {others}")
        expect(isinstance(whole, NotASequence) or whole.reason, "no reason")
        return
    expect(whole.frame_rate > 0 and whole.gender in ("male", "female", "neutral"), f"{whole.frame_rate} {whole.gender}")
    expect(summary.frames == len(whole.poses) == len(whole.trans), "the summary has another number of frames")
    for other in others:
        for name, array in other.items():
            expected = getattr(whole, name)
            expect(np.isfinite(expected).all() and expected.dtype == np.float64, f"{name}: no finite float64")
            expect(np.array_equal(array, expected), f"{name}: in blocks it is not what it is as a whole")


def check_archive(data: bytes, path: Path) -> None:
    """Any number of threads gives the same members, and none of a wrong size or with a path out of here."""
    from amass_joints.archives import ArchiveError, read_members

    def contents(threads: int) -> tuple[list[tuple[str, bytes | None]], bool]:
        found: list[tuple[str, bytes | None]] = []
        try:
            for member in read_members(path, threads=threads):
                expect(not member.path.is_absolute() and ".." not in member.path.parts, f"the path {member.path}")
                try:
                    content = member.read()
                    expect(len(content) == member.size, "a size that is not the content's")
                except ArchiveError:
                    content = None
                found.append((str(member.path), content))
        except ArchiveError:
            return found, False
        return found, True

    path.write_bytes(data)
    one, whole = contents(threads=1)
    if data.startswith(b"BZh"):
        two, whole_by_two = contents(threads=2)
        expect(whole == whole_by_two, f"whole with one thread: {whole}, with two: {whole_by_two}")
        expect(not whole or one == two, "with two threads it has other members")


@patch("amass_joints.pickles.MOST_MADE", 1 << 20)  # what real files need is a gigabyte
def check_model(data: bytes, path: Path) -> None:
    """As every kind of file beside the motions: what is accepted is finite, and of shapes that fit."""
    from amass_joints import pickles
    from amass_joints.body_models import MODEL_TYPES, check_model_file, load_body_model
    from amass_joints.errors import InputError
    from amass_joints.regressors import JointRegressor, carried_over, load_regressor

    def accepted(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except InputError:
            return None

    pickled, dmpls = path.with_suffix(".pkl"), path.parent / "dmpls" / "male" / "model.npz"
    for place in (path, pickled, dmpls):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    for place in (path, pickled):
        accepted(lambda place=place: check_model_file(place, MODEL_TYPES[0]))
        if body := accepted(lambda place=place: load_body_model(place)):
            vertices, joints = len(body.v_template), len(body.parents)
            expect(body.v_template.shape == (vertices, 3), "v_template")
            expect(body.shapedirs.shape[:2] == (vertices, 3), "shapedirs")
            expect(body.posedirs.shape == (vertices, 3, 9 * (joints - 1)), "posedirs")
            expect(body.J_regressor.shape == body.weights.shape[::-1] == (joints, vertices), "J_regressor, weights")
            for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
                expect(np.isfinite(getattr(body, name)).all(), f"{name}: not finite")
    accepted(lambda: check_model_file(dmpls, MODEL_TYPES[0]))
    if b"eigvec" in data:
        good = path.parent / "good.npz"
        if not good.exists():
            np.savez(good, **body_arrays())
        if body := accepted(lambda: load_body_model(good, dmpls)):
            expect(body.dmpldirs.shape == (5, 3, 8) and np.isfinite(body.dmpldirs).all(), "dmpldirs")
    if regressor := accepted(lambda: load_regressor(path, 5)):
        expect(regressor.matrix.shape[1] == 5 and np.isfinite(regressor.matrix).all(), "a regressor")
    if data[:2] != b"PK":
        with suppress(pickles.PickleFileError):
            pickles.read_pickle(pickled)
        ones = JointRegressor(np.ones((1, 6890)))
        if regressor := accepted(lambda: carried_over(ones, pickled)):
            matrix = regressor.matrix
            expect(matrix.shape == (1, 10475) and np.isfinite(matrix).all(), "a regressor carried over")


def check_output(data: bytes, path: Path) -> None:
    """What is loaded is positions and frame rates under names, and nothing else."""
    from amass_joints.datasets import load
    from amass_joints.errors import InputError

    path.write_bytes(data)
    try:
        tree = load(path)
    except InputError:
        return
    for subject, sequences in tree.items():
        for name, positions in sequences.items():
            expect(type(subject) is str and type(name) is str, f"the names {subject!r}, {name!r}")
            rate, array = positions["frame_rate"], positions["positions_3d"]
            expect(type(rate) is float and 0 < rate < np.inf, f"a frame rate of {rate!r}")
            expect(type(array) is np.ndarray and array.dtype in ("f4", "f8"), "positions that are no numbers")
            expect(array.ndim == 3 and array.shape[2] == 3 and array.flags.writeable, f"positions {array.shape}")
            array.tobytes()


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "sequence": check_sequence,
    "archive": check_archive,
    "model": check_model,
    "output": check_output,
}


def check(target: str, data: bytes, path: Path, *, memory: bool = True) -> None:
    """Give a file to its reader.

    Args:
        target: which one.
        data: what is in the file.
        path: where it may be written, in a directory of its own.
        memory: whether to watch what memory it takes, which makes it four times slower.

    Raises:
        BaseException: whatever the reader should not have let out; a warning, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not memory:
            return TARGETS[target](data, path)
        tracemalloc.start()
        try:
            TARGETS[target](data, path)
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        expect(taken < MOST_MEMORY, f"{taken >> 20} MB for a file of {len(data)} bytes")


# -------------------------------------------------------------------------------------------------------- seeds


def npz(arrays: dict[str, Any], *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def small_sequence(frames: int = 7, **changes: Any) -> dict[str, np.ndarray]:
    """A sequence whose numbers compress well."""
    arrays = {name: array.round(1) for name, array in sequence_arrays(frames).items() if array.dtype.kind == "f"}
    arrays |= {"gender": np.array("male"), "mocap_framerate": np.array(120.0)} | changes
    return {name: array for name, array in arrays.items() if array is not None}


def sequence_seeds() -> Iterator[bytes]:
    yield npz(small_sequence())
    yield npz(small_sequence(), compressed=True)
    yield npz(small_sequence(poses=np.asfortranarray(np.ones((7, 156))), dmpls=None, gender=np.array(b"female")))
    yield npz(small_sequence(2, poses=np.zeros((2, 165), np.float32), dmpls=None, gender=np.array(["b'neutral'"])))
    yield npz(
        small_sequence(
            1,
            poses=np.zeros((1, 72), ">f4"),
            trans=np.zeros((1, 3), np.int16),
            mocap_framerate=None,
            mocap_frame_rate=np.array([60]),
            betas=np.zeros((1, 10), np.float16),
        ),
        compressed=True,
    )
    yield npz({"joints": np.zeros(3), "faces": np.array([{"an": "object"}], object)})


def archive_seeds() -> Iterator[bytes]:
    tree = {"KIT/3/a_poses.npz": b"a" * 700, "KIT/LICENSE.txt": b"", f"{'long name ' * 20}/ü.npz": bytes(1100)}
    tars = []
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tar_format) as tar:
            for name, content in tree.items():
                info = tarfile.TarInfo(name if tar_format != tarfile.USTAR_FORMAT else name[-90:])
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE):
                info = tarfile.TarInfo("other")
                info.type, info.linkname = kind, "KIT"
                tar.addfile(info)
        tars.append(stream.getvalue().rstrip(b"\0") + bytes(1024))
    sparse = tarfile.TarInfo("sparse.npz")
    sparse.size = 4
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9", "size": "12"}
    tars.append(sparse.tobuf(tarfile.PAX_FORMAT) + b"1\n3\n4\n".ljust(512, b"\0") + b"data".ljust(512, b"\0"))
    yield from tars
    for compress in (bz2.compress, gzip.compress, lzma.compress):
        yield compress(tars[0])
        yield compress(tars[1][:700]) + compress(tars[1][700:])
    pattern = tarfile.TarInfo("several blocks of bzip2.npz")
    pattern.size = 250_000
    yield bz2.compress(pattern.tobuf() + b"several " * (pattern.size // 8 + 64), 1)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, content in tree.items():
                archive.writestr(name, content)
            archive.writestr("directory/", b"")
        yield stream.getvalue()


def body_arrays(vertices: int = 5, joints: int = 3) -> dict[str, np.ndarray]:
    return {
        "v_template": np.zeros((vertices, 3)),
        "shapedirs": np.ones((vertices, 3, 2)),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1)), np.float16),
        "J_regressor": np.ones((joints, vertices)),
        "weights": np.ones((vertices, joints), np.float32),
        "kintree_table": np.array([[2**32 - 1, 0, 0], [0, 1, 2]], np.uint32),
    }


def instance(module: str, name: str, **state: Any) -> bytes:
    """The opcodes of an object that copyreg pickles, of a class that need not be there."""
    return f"c{module}\n{name}\n)\x81".encode("latin-1") + opcodes(state) + pickle.BUILD


def opcodes(value: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(value, protocol)[2:-1]


def with_items(items: dict[str, bytes]) -> bytes:
    """The pickle of a dict with these opcodes as its values."""
    inside = b"".join(opcodes(name) + value for name, value in items.items())
    return b"\x80\x02}(" + inside + b"u."


def model_seeds() -> Iterator[bytes]:
    arrays = body_arrays()
    yield npz(arrays)
    yield npz(arrays, compressed=True)
    yield npz({"eigvec": np.zeros((5, 3, 9))}, compressed=True)
    yield npy(arrays["J_regressor"])
    yield npy(np.asfortranarray(arrays["J_regressor"].astype(">f4")))
    yield npz({"J_regressor": arrays["J_regressor"]})
    ones, indices = np.ones(3), np.array([0, 1, 2], np.int32)
    pointers = np.array([0, 1, 2, 3], np.int32)
    shape = np.array([3, 5])
    yield npz({"format": np.array(b"csr"), "data": ones, "indices": indices, "indptr": pointers, "shape": shape})
    pointers_of_columns = np.array([0, 1, 2, 3, 3, 3])
    yield npz(
        {"format": np.array("csc"), "data": ones, "indices": indices, "indptr": pointers_of_columns, "shape": shape}
    )
    yield npz({"format": np.array(b"coo"), "data": ones, "row": indices, "col": indices, "shape": shape})
    for protocol in (0, 1, 2, 4, 5):
        yield pickletools.optimize(
            pickle.dumps(arrays | {"bs_type": "lrotmin", "f": [1, 2.5, None, (True,)]}, protocol)
        )
    values = {name: opcodes(array) for name, array in arrays.items()}
    dense = arrays["shapedirs"]
    csc = instance(
        "scipy.sparse.csc", "csc_matrix", _shape=(3, 5), data=ones, indices=indices, indptr=pointers_of_columns
    )
    yield with_items(values | {"shapedirs": instance("chumpy.ch", "Ch", x=dense), "J_regressor": csc})
    select = instance("chumpy.reordering", "Select", a=dense, idxs=np.arange(30), preferred_shape=(5, 3, 2))
    csr = instance("scipy.sparse._csr", "csr_array", _shape=(3, 5), data=ones, indices=indices, indptr=pointers)
    yield with_items(values | {"shapedirs": select, "J_regressor": csr})
    coo = instance("scipy.sparse._coo", "coo_matrix", _shape=(3, 5), data=ones, coords=(indices, indices))
    others = {"s": {1, 2}, "b": b"bytes", "o": OrderedDict(a=1), "n": np.float64(1), "t": np.array(["text", "x"])}
    yield pickle.dumps(others | {"i": np.arange(3, dtype=">i2"), "c": np.ones(1, complex)}, 2)
    yield with_items(values | {"J_regressor": coo, "joint2num": opcodes(np.array({"Pelvis": 0}, object))})
    mapped = instance("scipy.sparse.coo", "coo_matrix", _shape=(6890, 20950), data=ones, row=indices, col=indices)
    yield with_items({"mtx": mapped})
    yield with_items(
        {"mtx": mapped.replace(opcodes((6890, 20950))[:-2], opcodes((6890, 10475))[:-2]), "matrix": mapped}
    )


def output_seeds() -> Iterator[bytes]:
    from amass_joints.datasets import save

    def positions(frames: int, dtype: str = "f4") -> Any:
        return {"positions_3d": np.ones((frames, 2, 3), dtype), "frame_rate": 50.0}

    tree = {"01": {"01_01_poses": positions(2), "01_02_poses": positions(1, "f8")}, "s": {"p": positions(0)}}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "output.npz")
        for layout in ("npz", "npz-flat"):
            save(path, tree, layout)
            yield path.read_bytes()
    yield npz({"positions_3d": np.array(tree, object)}, compressed=True)
    yield npz({"positions_3d": np.array({"s": {"p": positions(1) | {"frame_rate": np.float64(50)}}}, object)})


SEEDS = {"sequence": sequence_seeds, "archive": archive_seeds, "model": model_seeds, "output": output_seeds}


# ------------------------------------------------------------------------------------------------------- running


WATCHED = ("tarfile", "zipfile")
"""What libFuzzer is to see into beside our own modules."""


def fuzz(target: str, options: list[str]) -> None:
    """Run libFuzzer's loop in this process, which ends with it."""
    import atheris

    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))

    def one_input(data: bytes) -> None:
        check(target, data, directory / "file.npz", memory=zlib.crc32(data) % 8 == 0)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        def blind(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, len(part) + 64)) if part else b""

        changed = Mutator(seed, blind).file(bytes(data))
        return changed if len(changed) <= most else blind(bytes(data))[:most]

    seeds = list(SEEDS[target]())
    for module in [name for name in sys.modules if name in WATCHED or name.startswith("amass_joints")]:
        del sys.modules[module]
    with atheris.instrument_imports(include=["amass_joints", *WATCHED]):
        for data in seeds:  # whatever they need is imported now
            one_input(data)
    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutated, internal_libfuzzer=True)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(target: str, seconds: int, seed: int, corpus: Path, crashes: Path) -> bool:
    """Fuzz one target in a process of its own, and say whether it crashed."""
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    before = set(crashes.glob(f"{target}-*"))
    known = Path(__file__).parent / "crashers"
    for number, data in enumerate(itertools.chain(SEEDS[target](), map(Path.read_bytes, known.glob(f"{target}-*")))):
        (corpus / f"seed-{number:02}").write_bytes(data)
    options = {
        "max_total_time": seconds, "seed": seed, "timeout": SLOW, "rss_limit_mb": 2048, "max_len": LARGEST,
        "len_control": 0, "print_final_stats": 1, "artifact_prefix": f"{crashes}/{target}-",
    }  # fmt: skip
    command = [sys.executable, "-c", "import sys, fuzzing; fuzzing.fuzz(sys.argv[1], sys.argv[2:])", target]
    command += [*(f"-{name}={value}" for name, value in options.items()), str(corpus)]
    done = subprocess.run(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        print(done.stderr[-8000:], file=sys.stderr)
        for crash in sorted(set(crashes.glob(f"{target}-*")) - before):
            print(f"{crash.name}, in base64: {base64.b64encode(crash.read_bytes()).decode()}", file=sys.stderr)
    with suppress(OSError):
        crashes.rmdir()  # which is empty, or stays
    stats = dict(re.findall(r"stat::(\w+): *(\d+)", done.stderr))
    print(
        f"{target}: {stats.get('number_of_executed_units', 'an unknown number of')} executions, "
        f"at most {stats.get('slowest_unit_time_sec', '?')} s each, {stats.get('peak_rss_mb', '?')} MB; "
        f"{len(list(corpus.iterdir()))} inputs in the corpus; "
        + (f"a crash, in {crashes}" if done.returncode else "no crash"),
        flush=True,
    )
    return bool(done.returncode)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("::")[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS, metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a directory to keep what was found to be interesting")
    parser.add_argument("--crashes", type=Path, default=Path("crashes"), help="a directory for inputs that crash")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = (given.corpus or Path(scratch)).resolve()
        crashed = [
            run(target, given.seconds, given.seed, corpus / target, given.crashes.resolve()) for target in given.targets
        ]
    return int(any(crashed))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
