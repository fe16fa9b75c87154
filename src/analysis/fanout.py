"""Run one pure function on many plain inputs, here or on Dask workers; one failure loses nothing else."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from analysis import progress

_SETTINGS = {
    # No further try on another worker: a unit that kills its worker kills the next one too; it is run alone.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.admin.low-level-log-length": 0,
    # Watching a unit of 50 ms costs a sixth of it, and so does giving its memory back after every one.
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 30,
}


@dataclass(frozen=True)
class Failure:
    """What stands in place of a result: `code` MEASURE_FAILED (it raised) or WORKER_LOST, and why.

    The message of a MEASURE_FAILED tells the type of the exception and where in this package it arose, never
    its text: that may quote names, dates or paths.
    """

    code: str
    message: str


def fan_out(
    tasks: Sequence[Any],
    function: Callable[[Any], Any],
    workers: int = 1,
    dask_scheduler: str | None = None,
    *,
    what: str = "units",
    report: Callable[[str, int, int], None] | None = None,
    keep: Callable[[int, Any], None] | None = None,
) -> list[Any]:
    """Apply `function` to every task.

    Parameters
    ----------
    tasks : sequence
        Plain inputs that can be pickled.
    function : callable
        Pure: its result depends on the task alone, so it does not matter where or in which order it runs.
    workers : int
        1 runs in this process; more start as many Dask worker processes on this machine.
    dask_scheduler : str, optional
        Address of a running scheduler, used instead of local workers.
    what : str
        What the units are called while progress is shown.
    report : callable, optional
        Called with `what`, units done and units in all; default ``analysis.progress.report``.
    keep : callable, optional
        Called in this process with the position of a task and its result (or `Failure`) as each one finishes,
        in whatever order: what it has saved outlives a run that is killed.

    Returns
    -------
    list
        Results in the order of `tasks`; a `Failure` where a task raised or its worker was lost.
    """
    report = progress.report if report is None else report
    results: list[Any] = [None] * len(tasks)
    finished = _run_here(tasks, function) if workers <= 1 and not dask_scheduler else None
    if finished is None:
        finished = _run_on_dask(tasks, function, workers, dask_scheduler)
    for done, (position, result) in enumerate(finished, start=1):
        results[position] = result
        if keep is not None:
            keep(position, result)
        report(what, done, len(tasks))
    return results


def _run_here(tasks: Sequence[Any], function: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
    for position, task in enumerate(tasks):
        yield position, _attempt(function, task)


def _attempt(function: Callable[[Any], Any], task: Any) -> Any:
    """Run one unit; where it runs is where it is still known in which line it failed."""
    try:
        return function(task)
    except Exception as error:  # one unit must not take the others with it: it becomes a ledger row
        return _failure(error)


def _run_on_dask(
    tasks: Sequence[Any], function: Callable[[Any], Any], workers: int, scheduler: str | None
) -> Iterator[tuple[int, Any]]:
    from distributed import as_completed

    if not tasks:
        return
    suspects = []
    with _client(min(workers, len(tasks)), scheduler) as client:
        futures = client.map(partial(_attempt, function), list(tasks), pure=False)
        position = {future.key: number for number, future in enumerate(futures)}
        for future in as_completed(futures, loop=client.loop):
            result = _outcome(future)
            if result == _lost():
                suspects.append(position[future.key])
            else:
                yield position[future.key], result
            future.release()
    # Units that merely waited on a worker another unit killed are blamed too: alone, each shows its own face.
    for number in sorted(suspects):
        yield number, _run_alone(tasks[number], function)


def _run_alone(task: Any, function: Callable[[Any], Any]) -> Any:
    """Run one unit in a process of its own, whose death is noticed at once."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_attempt, function, task).result()
        except BrokenProcessPool:
            return _lost()
        except Exception as error:  # not even handed over: a ledger row, not the end of the run
            return _failure(error)


def _outcome(future: Any) -> Any:
    error = future.exception()
    return future.result() if error is None else _failure(error)


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Start `workers` Dask worker processes of one thread each on this machine, as `fan_out` does.

    Yields
    ------
    distributed.LocalCluster
        Closed at the end.
    """
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


@contextlib.contextmanager
def _client(workers: int, scheduler: str | None):
    from distributed import Client

    with contextlib.ExitStack() as stack:
        address = scheduler or stack.enter_context(local_cluster(workers))
        yield stack.enter_context(Client(address, set_as_default=False))


def _failure(error: BaseException) -> Failure:
    if type(error).__name__ == "KilledWorker":
        return _lost()
    where = _place(error.__traceback__)
    what = type(error).__name__ + (f" at {where}" if where else "")
    return Failure("MEASURE_FAILED", f"{what}; run this unit alone to see why")


def _place(trace: TracebackType | None) -> str:
    """Return module and line of the innermost frame in this package, empty if it is in none."""
    place, package = "", __name__.partition(".")[0]
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith(f"{package}.") and module != __name__:
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _lost() -> Failure:
    return Failure("WORKER_LOST", "its process died, twice; run this unit alone to see why")
