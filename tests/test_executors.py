"""Threads do what serial execution does, in the same order, with little in flight."""

import threading
import time

import pytest

from amass_joints import executors


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    def job(n: int) -> int:
        time.sleep(0.01 * (n % 3))
        return n * n

    assert list(executors.run(job, range(20), workers)) == [n * n for n in range(20)]


def test_few_results_wait_to_be_fetched() -> None:
    begun: list[int] = []
    results = executors.run(begun.append, range(1000), 2)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 6


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_it_and_what_has_not_begun_never_does(workers: int) -> None:
    begun: list[int] = []

    def job(n: int) -> None:
        begun.append(n)
        if n == 2:
            raise MemoryError("job 2")

    before = threading.active_count()
    with pytest.raises(MemoryError, match="job 2"):
        list(executors.run(job, range(1000), workers))
    assert len(begun) < 20
    assert threading.active_count() == before
