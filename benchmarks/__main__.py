"""``python -m benchmarks COMMAND``: what is measured, and with which options. ``benchmarks/README.md`` says more.

Nothing here is a test: figures are printed, not judged.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from amass_joints.errors import InputError
from amass_joints.executors import cores_at_hand
from benchmarks import machine
from benchmarks.corpus import Corpus, write_corpus, write_long_sequence
from benchmarks.end_to_end import Conversion
from benchmarks.inputs import load
from benchmarks.measuring import Result
from benchmarks.processes import ProcessFailed

app = typer.Typer(help="Measurements of amass-joints: speed, memory, start, exactness.", add_completion=False)

SequenceOption = Annotated[Path | None, typer.Option("--sequence", help="An AMASS file. Default: the stand-in's walk.")]
RegressorOption = Annotated[Path | None, typer.Option("--joint-regressor", help="Default: the stand-in's.")]
BodyModelsOption = Annotated[Path | None, typer.Option("--body-models", help="Default: the stand-ins.")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="How often each contender has its turn.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")]
BatchSizesOption = Annotated[list[int], typer.Option("--batch-size", min=1, help="Of the baselines; may be repeated.")]
FramesOption = Annotated[list[int], typer.Option("--frames", min=1, help="Of one call of ours; may be repeated.")]
CorpusOption = Annotated[
    Path | None, typer.Option("--corpus", help="Where the corpus is, or is written. Default: the user's cache.")
]
SequencesOption = Annotated[int, typer.Option("--sequences", min=1, help="How many the corpus has.")]
RateOption = Annotated[float, typer.Option("--rate", help="Target frame rate, Hz; 0: each sequence's own.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Sequences converted at a time. Default: the cores at hand.")
]


@app.command()
def kernel(
    sequence: SequenceOption = None,
    joint_regressor: RegressorOption = None,
    body_models: BodyModelsOption = None,
    rounds: RoundsOption = 10,
    batch_sizes: BatchSizesOption = [64, 256, 2048],  # noqa: B006  # Typer copies it
    json: JsonOption = None,
) -> None:
    """Measure frames/s on the CPU: ours, the whole mesh, smplx, smplfitter."""
    from benchmarks.kernel import kernel as measure

    _give(measure(load(sequence, joint_regressor, body_models), rounds, batch_sizes), json)


@app.command("end-to-end")
def end_to_end(
    corpus: CorpusOption = None,
    sequences: SequencesOption = 2000,
    rate: RateOption = 50.0,
    workers: WorkersOption = None,
    rounds: RoundsOption = 5,
    json: JsonOption = None,
) -> None:
    """Measure whole runs over a corpus: time and memory of ours, and of reading the same files with NumPy."""
    from benchmarks.end_to_end import end_to_end as measure

    tree = _corpus(corpus, sequences)
    _give(measure([Conversion(tree, rate or None, workers or cores_at_hand())], rounds), json)


@app.command()
def memory(
    corpus: CorpusOption = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long the sequence is, at 250 Hz.")] = 3600.0,
    rate: RateOption = 50.0,
    workers: WorkersOption = None,
    rounds: RoundsOption = 3,
    json: JsonOption = None,
) -> None:
    """Measure the memory that one very long sequence takes, at the target rate and at its own."""
    from benchmarks.end_to_end import memory as measure

    tree = write_long_sequence(corpus or _cache() / f"long-{seconds:g}", seconds)
    _give(measure(Conversion(tree, rate or None, workers or cores_at_hand()), rounds), json)


@app.command()
def gpu(
    device: Annotated[
        str, typer.Option(help="cuda or cuda:N; cpu only to try the benchmark where no GPU is.")
    ] = "cuda",
    sequence: SequenceOption = None,
    joint_regressor: RegressorOption = None,
    body_models: BodyModelsOption = None,
    frames: FramesOption = [1200, 16384, 131072],  # noqa: B006  # Typer copies it
    batch_sizes: BatchSizesOption = [256, 2048, 8192],  # noqa: B006  # Typer copies it
    corpus: CorpusOption = None,
    sequences: Annotated[int, typer.Option(min=0, help="Of the corpus for whole runs; 0: no whole runs.")] = 500,
    rounds: RoundsOption = 10,
    json: JsonOption = None,
) -> None:
    """Measure frames/s on a GPU, ours and the baselines, and whole runs there and on the CPU."""
    if device != "cpu" and machine.gpu() is None:
        print("There is no GPU here that PyTorch can use. Pass --device cpu to try this benchmark without one.")
        raise typer.Exit(1)
    if find_spec("torch") is None:
        raise InputError("this benchmark needs PyTorch: pip install 'amass-joints[torch]'.")
    if device == "cpu":
        print("This runs on the CPU, only to try the benchmark: its figures say nothing about GPUs.")
    from benchmarks.end_to_end import end_to_end as measure_runs
    from benchmarks.gpu import gpu as measure

    result = measure(load(sequence, joint_regressor, body_models), device, rounds, frames, batch_sizes)
    if sequences:
        tree = _corpus(corpus, sequences)
        runs = [Conversion(tree, 50.0, cores_at_hand(), where) for where in dict.fromkeys(("cpu", device))]
        result = result.with_tables_of(measure_runs(runs, rounds))
    _give(result, json)


@app.command()
def windows(
    corpus: CorpusOption = None,
    sequences: SequencesOption = 500,
    length: Annotated[int, typer.Option(min=1, help="Frames of a window.")] = 351,
    stride: Annotated[int, typer.Option(min=1, help="Frames from the start of a window to that of the next.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows of a batch.")] = 64,
    batches: Annotated[int, typer.Option(min=1, help="In a round.")] = 40,
    workers: Annotated[int, typer.Option(min=0, help="Of the loader; measured are none, and so many.")] = 2,
    rounds: RoundsOption = 5,
    json: JsonOption = None,
) -> None:
    """Measure windows/s that a PyTorch loader gives, ours and the known way, and the time to the first batch."""
    if find_spec("torch") is None:
        raise InputError("this benchmark needs PyTorch: pip install 'amass-joints[torch]'.")
    from benchmarks.windows import windows as measure

    _give(measure(_corpus(corpus, sequences), length, stride, batch_size, batches, workers, rounds), json)


@app.command()
def startup(
    rounds: RoundsOption = 15,
    first_rounds: Annotated[int, typer.Option(min=1, help="How often the first run is repeated: it is slow.")] = 3,
    json: JsonOption = None,
) -> None:
    """Measure how long the program takes to start, and its first run after installation."""
    from benchmarks.startup import startup as measure

    _give(measure(rounds, first_rounds), json)


@app.command()
def exactness(
    sequence: SequenceOption = None,
    joint_regressor: RegressorOption = None,
    body_models: BodyModelsOption = None,
    every: Annotated[int, typer.Option(min=1, help="Compare every n-th frame: the mesh is slow.")] = 10,
    json: JsonOption = None,
) -> None:
    """Measure the largest difference between our joints and those of the whole mesh, posed in float64."""
    from benchmarks.exactness import exactness as measure

    _give(measure(load(sequence, joint_regressor, body_models), every), json)


@app.command("corpus")
def make_corpus(
    directory: Annotated[Path, typer.Argument(help="Is made where it is not there.")],
    sequences: SequencesOption = 2000,
    seed: int = 0,
) -> None:
    """Write an AMASS-like tree of stand-in sequences, with body models and a joint regressor."""
    corpus = write_corpus(directory, sequences, seed, say=print)
    print(f"{directory}: {corpus.sequences} sequences, {corpus.frames:,} frames, {corpus.num_bytes / 1e9:.2f} GB")


def _corpus(directory: Path | None, sequences: int) -> Corpus:
    directory = directory or _cache() / f"corpus-{sequences}"
    print(f"Corpus: {directory}", file=sys.stderr)
    return write_corpus(directory, sequences, say=lambda line: print(line, file=sys.stderr))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amass-joints-benchmarks"


def _give(result: Result, json: Path | None) -> None:
    result.show()
    if json is not None:
        result.save(json)


if __name__ == "__main__":
    try:
        app()
    except (InputError, ProcessFailed) as error:
        sys.exit(str(error))
