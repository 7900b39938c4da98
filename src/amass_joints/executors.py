"""How jobs are run. Serial execution is the specification; any other way gives the same results in the same order.

On one machine jobs run in threads, not processes: reading, BLAS and the kernels release Python's lock, and results need
no copying.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_serially(job: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Run the job on each item."""
    return map(job, items)


def run_on_threads(job: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Run the job on ``workers`` items at a time; few results wait to be fetched, so memory stays bounded.

    When the caller stops early (an error, Ctrl-C), jobs that have not begun never do.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(job, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def run(job: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Run the job on each item, in this many threads."""
    return run_serially(job, items) if workers == 1 else run_on_threads(job, items, workers)


def cores_at_hand() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
