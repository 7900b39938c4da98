"""The progress bar of an export in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from amass_joints.display import printable
from amass_joints.export.report import ExportListener, SourceReport
from amass_joints.motions import Motion, Source
from amass_joints.progress import progress_of_frames


class Bar(ExportListener):
    """A progress bar; how far the export is, is measured in bytes of the files that it reads.

    A motion counts as many as its joints have, which deflate takes little from, up to the size of its file.
    """

    def __init__(self) -> None:
        self._progress = progress_of_frames()

    def begins(self, sources: Sequence[Source]) -> None:
        """Show the bar, empty."""
        total = sum(source.path.stat().st_size for source in sources)
        self._task = self._progress.add_task("", total=total, frames=0)
        self._progress.start()

    def source_begins(self, source: Source) -> None:
        """Name the source."""
        self._left = source.path.stat().st_size
        self._progress.update(self._task, description=printable(source.dataset))

    def motion_ends(self, motion: Motion) -> None:
        """Move the bar on."""
        frames = self._progress.tasks[0].fields["frames"] + len(motion.positions_3d)
        advance = min(motion.positions_3d.nbytes, self._left)
        self._left -= advance
        self._progress.update(self._task, advance=advance, frames=frames)

    def source_ends(self, report: SourceReport) -> None:
        """Move the bar on by what is left of the source."""
        self._progress.update(self._task, advance=self._left)

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
