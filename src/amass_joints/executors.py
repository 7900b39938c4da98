"""How jobs are run. Serial execution is the specification; any other way gives the same results in the same order.

On Linux jobs run in forked processes, which have what a job needs without its being sent, and never wait for each
other's Python. Where processes cannot be forked, and on a GPU, which a fork may not use, jobs run in threads.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from amass_joints import interrupts
from amass_joints.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_this_thread = threading.local()

CAN_FORK = sys.platform == "linux"
"""macOS can, too, but its system libraries do not survive it."""

SLOTS = 16
"""Slots of memory that a worker shares with its parent, for the arrays of a result each. With each item the parent says
which slot its result goes to, and it gives a slot out again when the result in it has been used."""

SLOT = 1 << 20
"""Bytes of a slot. Larger results come back through a pipe."""

UNUSED = 1 << 24
"""Bytes of results that may wait to be used before their worker is given anything more to do."""

_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def run(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int, *, processes: bool = True
) -> Generator[Result, None, None]:
    """Run the job on each item, on this many at a time.

    Args:
        job: what to do; in a process of its own it sees this one as it was when the first result was asked for.
        items: their text names them in errors.
        workers: how many at a time; 1 is serial.
        processes: whether workers are processes, where that can be, or threads.

    Returns:
        The results in the order of the items. The arrays in one hold until the next is asked for. What a job raises is
        raised in its turn.

    Raises:
        InputError: a worker died.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        return run_serially(job, items)
    # A process that is itself such a worker, of somebody's pool, may have none.
    if processes and CAN_FORK and not multiprocessing.current_process().daemon:
        return run_in_processes(job, items, workers)
    return run_in_threads(job, items, workers)


def run_serially(job: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
    """Run the job on each item."""
    yield from map(job, items)


# ------------------------------------------------------------------------------------------------ processes


def run_in_processes(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    """Run the job in forked processes. They are killed when the caller stops early (an error, Ctrl-C), or ends."""
    team: list[_Worker] = []
    answers: dict[int, _Answer] = {}
    begun = 0
    try:
        try:
            for _ in range(workers):
                team.append(_Worker(job, items))
        except OSError as error:
            raise InputError(f"{workers} workers cannot be started: {error.strerror}. Use fewer --workers.") from error
        for wanted in range(len(items)):
            while wanted not in answers:
                # Every worker gets an item to work on, and one to go on with.
                while begun < len(items) and (ready := [worker for worker in team if worker.can_take_one()]):
                    min(ready, key=lambda worker: len(worker.in_hand)).begin(begun)
                    begun += 1
                busy = {worker.connection: worker for worker in team if worker.in_hand}
                for connection in wait(list(busy)):
                    worker = busy[cast("Connection", connection)]
                    number = worker.in_hand[0]
                    answers[number] = worker.receive()
            answer = answers.pop(wanted)
            if answer.error is not None:
                raise answer.error
            yield answer.result
            answer.worker.take_back(answer)
    finally:
        for worker in team:
            worker.kill()


@dataclass
class _Answer:
    """What a worker made of an item."""

    worker: _Worker
    num_bytes: int
    """Of its arrays."""
    slot: int | None
    """Of the shared memory that they are in."""
    result: Any = None
    error: Exception | None = None


class _Worker:
    """A forked process that does a job on the items whose numbers it is sent, one after the other."""

    def __init__(self, job: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.in_hand: deque[int] = deque()
        """The numbers of the items that it has been given and not answered."""
        self._items = items
        self._dead = False
        self._unused = 0  # bytes of answers
        self._free = deque(range(SLOTS))
        self._shared = mmap.mmap(-1, SLOTS * SLOT)  # takes memory only where it is written to
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        arguments = (job, items, theirs, self.connection, self._shared)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings(), _no_signals():
            # Python warns of forking where there are threads. A worker waits for none: BLAS knows of forks, and a
            # progress bar is the parent's business.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()

    def can_take_one(self) -> bool:
        return not self._dead and len(self.in_hand) < 2 and bool(self._free) and self._unused < UNUSED

    def begin(self, number: int) -> None:
        self.in_hand.append(number)
        with suppress(OSError):  # it is dead, which receive() finds out in its turn
            self.connection.send((number, self._free.popleft()))

    def receive(self) -> _Answer:
        """Take the answer to the first item in hand; a dead worker's is that it died."""
        try:
            data, sizes, slot = self.connection.recv()
            if sum(sizes) <= SLOT:
                held, starts = memoryview(self._shared), accumulate(sizes, initial=slot * SLOT)
                pieces: list[Any] = [held[at : at + size] for at, size in zip(starts, sizes, strict=False)]
            else:
                pieces = [self.connection.recv_bytes() for _ in sizes]
        except (EOFError, OSError):
            self._dead = True
            return _Answer(self, 0, None, error=InputError(self._obituary(self._items[self.in_hand.popleft()])))
        self.in_hand.popleft()
        result = pickle.loads(data, buffers=pieces)
        self._unused += sum(sizes)
        error = result.as_exception() if isinstance(result, _Failure) else None
        return _Answer(self, sum(sizes), slot, result, error)

    def take_back(self, answer: _Answer) -> None:
        """Use an answer's memory again."""
        self._unused -= answer.num_bytes
        if answer.slot is not None:
            self._free.append(answer.slot)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _obituary(self, item: object) -> str:
        self._process.join(1)
        code = self._process.exitcode or 0
        if -code in interrupts.ENDING:
            time.sleep(0.5)  # who sent it that, such as a scheduler, may be about to send it to us, too
        names = {signal_.value: signal_.name for signal_ in signal.Signals}
        how = f"was killed by {names.get(-code, f'signal {-code}')}" if code < 0 else f"ended with {code}"
        return (
            f"{item}: the worker process that was at it {how}. If that was for want of memory, use fewer --workers. "
            "What was finished is complete: --skip-existing goes on from there."
        )


@dataclass(frozen=True)
class _Failure:
    """What a job raised, as text: not every exception can be sent."""

    item: str
    kind: str
    message: str
    traceback: str

    def as_exception(self) -> Exception:
        if self.kind == "InputError":
            return InputError(self.message)
        return RuntimeError(f"{self.item}: {self.kind} in a worker process:\n{self.traceback}")


def _work(
    job: Callable[[Any], Any],
    items: Sequence[Any],
    connection: Connection,
    parents_end: Connection,
    shared: mmap.mmap,
) -> None:
    parents_end.close()
    _end_with_parent()
    _take_signals()
    gc.freeze()  # the parent's objects are not ours to look through
    try:
        while True:
            number, slot = connection.recv()
            item = items[number]
            try:
                message = _pickled(job(item))
            except Exception as error:
                message = _pickled(_Failure(str(item), type(error).__name__, str(error), traceback.format_exc()))
            _send(connection, *message, shared, slot)
    except (EOFError, OSError):  # the parent has gone
        pass


def _pickled(result: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle a result, but for its arrays, which are given as they lie in memory."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    return data, [buffer.raw() for buffer in buffers]


def _send(connection: Connection, data: bytes, pieces: list[memoryview], shared: mmap.mmap, slot: int) -> None:
    """Send a pickled result, its arrays through shared memory where they fit."""
    sizes = [len(piece) for piece in pieces]
    if sum(sizes) <= SLOT:
        for piece, at in zip(pieces, accumulate(sizes, initial=slot * SLOT), strict=False):
            shared[at : at + len(piece)] = piece
        connection.send((data, sizes, slot))
    else:
        connection.send((data, sizes, slot))
        for piece in pieces:
            connection.send_bytes(piece)


def _end_with_parent() -> None:
    """Have Linux kill this process when its parent ends. At work on an item, it would not notice by itself."""
    parent = multiprocessing.parent_process()
    with suppress(OSError, AttributeError):  # a C library without it: then we end after the item
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent.pid:  # it had ended already
        os._exit(1)


@contextmanager
def _no_signals() -> Iterator[None]:
    """Let signals wait: what is forked here must not get them before it has left the parent's ways with them."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _take_signals() -> None:
    """Leave the parent's ways with signals, after :func:`_no_signals`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, with which we end
    for number in interrupts.ENDING - {signal.SIGINT}:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts.ENDING)


# -------------------------------------------------------------------------------------------------- threads


def run_in_threads(job: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Generator[Result, None, None]:
    """Run the job on ``workers`` items at a time; few results wait to be fetched, so memory stays bounded.

    When the caller stops early (an error, Ctrl-C), jobs that have not begun never do, and those that have end where
    they next call :func:`end_if_unwanted`.
    """
    unwanted = threading.Event()

    def wanted_job(item: Item) -> Result:
        _this_thread.unwanted = unwanted
        return job(item)

    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(wanted_job, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        unwanted.set()
        pool.shutdown(cancel_futures=True)


class Unwanted(Exception):
    """Nobody waits for this job's result any more."""


def end_if_unwanted() -> None:
    """Be called by a job that takes long, now and then.

    Raises:
        Unwanted: its caller has stopped.
    """
    unwanted = getattr(_this_thread, "unwanted", None)
    if unwanted is not None and unwanted.is_set():
        raise Unwanted


def cores_at_hand() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
