"""The progress bar of a run in a terminal."""

from __future__ import annotations

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from amass_joints.display import Quiet, printable
from amass_joints.finding import Dataset, SequenceFile
from amass_joints.report import DatasetReport, VerifiedDataset


def progress_of_frames() -> Progress:
    """Make a bar that names what is worked on, and counts frames: its task has a field ``frames``."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _FramesPerSecond(),
        TimeRemainingColumn(),
        transient=True,
    )


class _FramesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        frames = task.fields["frames"]
        speed = f"{frames / task.elapsed:,.0f} frames/s" if task.elapsed else ""
        return Text(f"{frames:,} frames  {speed}")


class Bar(Quiet):
    """A progress bar; how far the run is, is measured in bytes of the files, which are known beforehand."""

    def __init__(self) -> None:
        self._progress = progress_of_frames()

    def begins(self, datasets: list[Dataset]) -> None:
        """Show the bar, empty."""
        self._files = {file for dataset in datasets for file in dataset.sequences}
        self._archived = {dataset.name: sum(one.num_bytes for one in dataset.archives) for dataset in datasets}
        num_bytes = sum(file.num_bytes for file in self._files) + sum(self._archived.values())
        self._task = self._progress.add_task("", total=num_bytes, frames=0)
        self._progress.start()

    def dataset_begins(self, dataset: Dataset) -> None:
        """Name the dataset."""
        self._progress.update(self._task, description=printable(dataset.name))

    def sequence_ends(self, file: SequenceFile, source_frames: int) -> None:
        """Move the bar on."""
        frames = self._progress.tasks[0].fields["frames"] + source_frames
        self._progress.update(self._task, advance=file.num_bytes if file in self._files else 0, frames=frames)

    def dataset_ends(self, report: DatasetReport | VerifiedDataset) -> None:
        """Move the bar on by archives, which are measured whole."""
        self._progress.update(self._task, advance=self._archived[report.name])

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
