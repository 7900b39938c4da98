"""How jobs are run. Serial execution is the specification; any other way gives the same results in the same order.

On Linux jobs run in forked processes, which have what a job needs without its being sent, and never wait for each
other's Python. Where processes cannot be forked, and on a GPU, which a fork may not use, jobs run in threads.
"""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, cycle
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NoReturn, TypeVar, cast

from amass_joints.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_this_thread = threading.local()

CAN_FORK = sys.platform == "linux"
"""macOS can, too, but its system libraries do not survive it."""

SLOTS = 8
"""How many items a worker may be given whose results have not been used yet: so memory stays bounded."""

SLOT = 1 << 23
"""Bytes of a result's arrays that come back through shared memory; larger ones come back through a pipe."""


def run(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int, *, processes: bool = CAN_FORK
) -> Generator[Result, None, None]:
    """Run the job on each item, on this many at a time.

    Args:
        job: what to do; in a process of its own it sees this one as it was when the first result was asked for.
        items: their text names them in errors.
        workers: how many at a time; 1 is serial.
        processes: whether workers are processes or threads.

    Returns:
        The results in the order of the items. The arrays in one hold until the next is asked for.

    Raises:
        InputError: a worker died.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        return run_serially(job, items)
    return run_in_processes(job, items, workers) if processes else run_in_threads(job, items, workers)


def run_serially(job: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
    """Run the job on each item."""
    yield from map(job, items)


# ------------------------------------------------------------------------------------------------ processes


def run_in_processes(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    """Run the job in forked processes. When the caller stops early (an error, Ctrl-C), they are killed."""
    team: list[_Worker[Item, Result]] = []
    results: dict[int, tuple[_Worker[Item, Result], Result]] = {}
    begun = 0
    try:
        team.extend(_Worker(job, items) for _ in range(workers))
        for wanted in range(len(items)):
            while wanted not in results:
                # Every worker gets an item to work on, and one to go on with.
                while begun < len(items) and (ready := [worker for worker in team if worker.can_take_one()]):
                    min(ready, key=_Worker.load).begin(begun)
                    begun += 1
                busy = {worker.connection: worker for worker in team if worker.load()}
                for connection in wait(list(busy)):
                    worker = busy[cast("Connection", connection)]
                    number, result = worker.receive()
                    results[number] = worker, result
            worker, result = results.pop(wanted)
            yield result
            worker.unused -= 1
    finally:
        for worker in team:
            worker.kill()


class _Worker(Generic[Item, Result]):
    """A forked process that does a job on the items whose numbers it is sent, one after the other."""

    def __init__(self, job: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.unused = 0
        """How many items it has been given whose results have not been used yet."""
        self._items = items
        self._in_hand: deque[int] = deque()
        self._shared = mmap.mmap(-1, SLOTS * SLOT)  # takes memory only where it is written to
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        arguments = (job, items, theirs, self.connection, self._shared)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings():
            # Python warns of forking where there are threads. Those of BLAS, which are all that need be there, know.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()

    def load(self) -> int:
        return len(self._in_hand)

    def can_take_one(self) -> bool:
        return self.load() < 2 and self.unused < SLOTS

    def begin(self, number: int) -> None:
        self._in_hand.append(number)
        self.unused += 1
        try:
            self.connection.send(number)
        except OSError:
            self._say_who_died()

    def receive(self) -> tuple[int, Result]:
        try:
            result = _receive(self.connection, self._shared)
        except (EOFError, OSError):
            self._say_who_died()
        if isinstance(result, _Failure):
            raise result.error
        return self._in_hand.popleft(), result

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _say_who_died(self) -> NoReturn:
        self._process.join(1)
        code = self._process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"
        raise InputError(
            f"{self._items[self._in_hand[0]]}: the worker process that was at it {how}. If that was for want of "
            "memory, use fewer --workers. What was finished is complete: --skip-existing goes on from there."
        )


class _Failure:
    """What a job raised, on its way to the parent."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _work(
    job: Callable[[Any], Any],
    items: Sequence[Any],
    connection: Connection,
    parents_end: Connection,
    shared: mmap.mmap,
) -> None:
    parents_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    gc.freeze()  # the parent's objects are not ours to look through
    slots = cycle(range(0, len(shared), SLOT))
    try:
        while True:
            number = connection.recv()
            try:
                result = job(items[number])
            except Exception as error:
                result = _Failure(error)
            _send(connection, result, shared, next(slots))
    except (EOFError, OSError):  # the parent has gone
        pass


def _send(connection: Connection, result: Any, shared: mmap.mmap, slot: int) -> None:
    """Send a result, its arrays through shared memory where they fit."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    pieces = [buffer.raw() for buffer in buffers]
    sizes = [len(piece) for piece in pieces]
    if sum(sizes) <= SLOT:
        for piece, start in zip(pieces, accumulate(sizes, initial=slot), strict=False):
            shared[start : start + len(piece)] = piece
        connection.send((data, sizes, slot))
    else:
        connection.send((data, sizes, None))
        for piece in pieces:
            connection.send_bytes(piece)


def _receive(connection: Connection, shared: mmap.mmap) -> Any:
    data, sizes, slot = connection.recv()
    if slot is None:
        return pickle.loads(data, buffers=[connection.recv_bytes() for _ in sizes])
    starts = accumulate(sizes, initial=slot)
    held = memoryview(shared)
    return pickle.loads(data, buffers=[held[start : start + size] for start, size in zip(starts, sizes, strict=False)])


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
