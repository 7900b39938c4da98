"""Signals that end the program: at once, whatever it is at, and with nothing left half-done."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import TextIO

from amass_joints.files import remove_unfinished

ENDING = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
"""Ctrl-C; what schedulers and ``kill`` send; a connection that is lost, which Windows does not know."""

_begun = threading.Lock()


def end_on_signals() -> None:
    """Have these signals end this process, with one message. Those that are ignored, as under nohup, stay so.

    Not by an exception: that would be lost where Python cannot pass it on, as in finalisers, and a second signal would
    interrupt the clearing up after the first.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """End this process; its workers end with it (:mod:`amass_joints.executors`)."""
    if not _begun.acquire(blocking=False):  # this is a second signal
        return
    remove_unfinished()
    if "rich.live" in sys.modules and os.isatty(1):
        _write(sys.stdout, "\r\x1b[K\x1b[?25h")  # takes away the progress bar, and brings back the cursor
    name = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    _write(sys.stderr, f"Interrupted{name}. What was finished is complete; nothing is half-written.\n")
    os._exit(128 + number)


def _write(stream: TextIO | None, text: str) -> None:
    """Write to a stream, if it is open, that this thread may just be writing to: past its buffer."""
    if stream is not None:
        with suppress(OSError, ValueError):
            os.write(stream.fileno(), text.encode())
