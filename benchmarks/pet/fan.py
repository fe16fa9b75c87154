"""Scans a minute on one and two workers, and scans a second of CPU of a warm one. Run in .venv.

    python benchmarks/pet/fan.py FOLDER [SCANS]

The last line printed is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

from distributed import Client
from ours import rules, scan_task

from analysis.fanout import Failure, fan_out, local_cluster
from analysis.pet.measurement import measure_scan

_WARM_UP = 4


def measure_rate(folder: Path, n_scans: int, workers: int, cluster=None) -> dict[str, float]:
    """Return scans a minute of the wall clock, and CPU ms a scan of all processes that take part."""
    task = scan_task(folder)
    work = partial(measure_scan, rules=rules().to_dict())
    address = None if cluster is None else cluster.scheduler_address

    def run(count: int) -> None:
        found = fan_out([task] * count, work, workers, address, report=lambda *_: None)
        failed = [result for result in found if isinstance(result, Failure) or result.exclusions]
        if failed:
            raise RuntimeError(f"{len(failed)} of {count} scans were not measured: {failed[0]}")

    run(_WARM_UP * workers)
    wall, cpu = time.perf_counter(), _cpu_seconds(cluster)
    run(n_scans)
    wall, cpu = time.perf_counter() - wall, _cpu_seconds(cluster) - cpu
    return {"scans_per_minute": 60 * n_scans / wall, "cpu_ms_per_scan": 1000 * cpu / n_scans}


def _cpu_seconds(cluster) -> float:
    """Return CPU seconds spent so far by this process, which schedules, and by the workers."""
    if cluster is None:
        return time.process_time()
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        return time.process_time() + sum(client.run(time.process_time).values())


def measure_workers(folder: Path, n_scans: int, workers: int) -> dict[str, float]:
    """Return the rate of warm Dask workers on this machine."""
    with local_cluster(workers) as cluster:
        return measure_rate(folder, n_scans, workers, cluster)


def main(folder: str, scans: str = "160") -> None:
    """Print the rates."""
    here, n_scans = Path(folder), int(scans)
    found = {
        "scans": n_scans,
        "here": measure_rate(here, n_scans, 1),
        "1 worker": measure_workers(here, n_scans, 1),
        "2 workers": measure_workers(here, n_scans, 2),
    }
    two = found["2 workers"]["scans_per_minute"]
    found["scaling"] = two / found["1 worker"]["scans_per_minute"]
    found["scaling_here"] = two / found["here"]["scans_per_minute"]
    found["scans_per_cpu_s"] = 1000 / found["1 worker"]["cpu_ms_per_scan"]
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
