"""Threads and processes do what serial execution does, in the same order, with little in flight."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amass_joints import executors
from amass_joints.errors import InputError

needs_fork = pytest.mark.skipif(not executors.CAN_FORK, reason="processes cannot be forked here")
WAYS = [
    pytest.param(executors.run_in_threads, id="threads"),
    pytest.param(executors.run_in_processes, id="processes", marks=needs_fork),
]


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> object:
    before = set(threading.enumerate())  # libraries that other tests load keep some
    yield
    assert multiprocessing.active_children() == []
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=needs_fork)])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(workers: int, processes: bool) -> None:
    def job(n: int) -> int:
        time.sleep(0.01 * (n % 3))
        return n * n

    assert list(executors.run(job, range(20), workers, processes=processes)) == [n * n for n in range(20)]
    assert list(executors.run(job, [], workers, processes=processes)) == []


@pytest.mark.parametrize("run", WAYS)
def test_few_results_wait_to_be_fetched(run: Callable, tmp_path: Path) -> None:
    results = run(lambda n: (tmp_path / str(n)).touch(), range(1000), 2)
    next(results)
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) <= 2 * executors.SLOTS
    results.close()


@pytest.mark.parametrize("run", WAYS)
def test_an_error_ends_it_and_what_has_not_begun_never_does(run: Callable, tmp_path: Path) -> None:
    def job(n: int) -> None:
        (tmp_path / str(n)).touch()
        if n == 2:
            raise MemoryError("job 2")

    with pytest.raises((MemoryError, RuntimeError), match="job 2"):
        list(run(job, range(1000), 3))
    assert len(list(tmp_path.iterdir())) < 60


@pytest.mark.parametrize("run", WAYS)
def test_who_stops_early_does_not_wait_for_long_jobs(run: Callable) -> None:
    def job(n: int) -> None:
        for _ in range(1000 if n else 1):
            executors.end_if_unwanted()
            time.sleep(0.01)

    results = run(job, range(10), 2)
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 5  # of ten


def _squares() -> list[int]:
    return list(executors.run(lambda n: n * n, range(3), 2))


@needs_fork
class TestProcesses:
    @pytest.mark.parametrize("size", [0, 1000, executors.SLOT, executors.SLOT + 1])
    def test_arrays_come_back_whatever_their_size(self, size: int) -> None:
        def job(n: int) -> tuple[int, np.ndarray, np.ndarray]:
            return n, np.full(size, n, np.uint8), np.arange(n)

        for n, (number, large, small) in enumerate(executors.run_in_processes(job, range(20), 2)):
            assert number == n
            assert large.shape == (size,)
            assert (large == n).all()
            assert small.tolist() == list(range(n))

    def test_what_waits_to_be_used_is_bounded_in_bytes_too(self, tmp_path: Path) -> None:
        def job(n: int) -> np.ndarray:
            (tmp_path / str(n)).touch()
            return np.zeros(executors.UNUSED // 2)  # four times UNUSED bytes

        results = executors.run_in_processes(job, range(100), 2)
        next(results)
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) <= 5
        results.close()

    def test_errors_come_in_their_turn(self) -> None:
        def job(n: int) -> int:
            if n == 1:
                time.sleep(0.3)
            if n == 5:
                raise InputError("five")
            if n == 6:
                os._exit(1)
            return n

        results = executors.run_in_processes(job, range(100), 2)
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(InputError, match="five"):
            next(results)

    def test_an_exception_that_cannot_be_sent_still_says_what_it_was(self) -> None:
        class Odd(Exception):
            def __init__(self, a: object, b: object) -> None:
                super().__init__(lambda: a)

        def job(n: int) -> None:
            raise Odd(n, n)

        with pytest.raises(RuntimeError, match=r"(?s)^0: Odd in a worker process:.*in job"):
            list(executors.run_in_processes(job, range(3), 2))

    def test_a_file_error_of_a_job_is_not_taken_for_the_end_of_the_parent(self) -> None:
        def job(n: int) -> None:
            raise PermissionError("the job's own")

        with pytest.raises(RuntimeError, match=r"(?s)^0: PermissionError in a worker process:.*the job's own"):
            list(executors.run_in_processes(job, range(3), 2))

    def test_a_worker_of_a_pool_does_without_more(self) -> None:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(_squares) == [0, 1, 4]

    def test_a_result_holds_until_the_next_is_asked_for(self) -> None:
        for n, result in enumerate(executors.run_in_processes(lambda n: np.full(1000, n), range(50), 2)):
            time.sleep(0.005)  # so the workers are as far ahead as they may be
            assert (result == n).all()

    @pytest.mark.parametrize(
        ("end", "how"),
        [
            (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL"),
            (lambda: os._exit(7), "ended with 7"),
        ],
    )
    def test_the_death_of_a_worker_is_an_error_that_names_the_item(self, end: Callable[[], None], how: str) -> None:
        def job(item: str) -> str:
            if item == "item 5":
                end()
            return item

        items = [f"item {n}" for n in range(100)]
        with pytest.raises(InputError, match=f"item 5: the worker process that was at it {how}.*--skip-existing"):
            list(executors.run_in_processes(job, items, 2))

    def test_an_idle_worker_that_is_killed_is_noticed_too(self) -> None:
        results = executors.run_in_processes(lambda n: time.sleep(0.05), range(100), 2)
        next(results)
        for process in multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match="killed by SIGKILL"):
            list(results)

    def test_workers_end_with_a_parent_that_is_killed_whatever_they_are_at(self) -> None:
        script = """
import os
from amass_joints import executors
def job(n):
    os.write(1, f"{os.getpid()}\\n".encode())
    while True:
        pass
list(executors.run_in_processes(job, range(4), 2))
"""
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            workers = {int(parent.stdout.readline()) for _ in range(2)}
            parent.kill()
        assert len(workers) == 2
        deadline = time.monotonic() + 10
        while any(map(_is_alive, workers)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_workers_do_not_have_their_parents_ways_with_signals(self) -> None:
        def ways(_: int) -> tuple[list[object], set[int]]:
            handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
            return handlers, set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))

        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            handled = list(executors.run_in_processes(ways, range(2), 2))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
            ignored = list(executors.run_in_processes(ways, range(2), 2))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        assert handled == [([signal.SIG_IGN, signal.SIG_DFL, signal.SIG_DFL], set())] * 2
        assert ignored == [([signal.SIG_IGN, signal.SIG_DFL, signal.SIG_IGN], set())] * 2
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()

    def test_who_is_ended_after_its_workers_does_not_complain_of_them(self) -> None:
        class Ended(Exception):
            pass

        def end(*_: object) -> None:
            raise Ended

        results = executors.run_in_processes(lambda n: time.sleep(0.05), range(100), 2)
        next(results)
        before = signal.signal(signal.SIGTERM, end)
        try:
            for process in multiprocessing.active_children():
                assert process.pid is not None
                os.kill(process.pid, signal.SIGTERM)
            timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM))
            timer.start()
            with pytest.raises(Ended):
                list(results)
        finally:
            timer.cancel()
            timer.join()
            signal.signal(signal.SIGTERM, before)

    def test_a_worker_that_alone_is_ended_is_an_error(self) -> None:
        results = executors.run_in_processes(lambda n: time.sleep(0.05), range(100), 2)
        next(results)
        process = multiprocessing.active_children()[0]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        with pytest.raises(InputError, match="was killed by SIGTERM"):
            list(results)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False
