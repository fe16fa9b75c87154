"""Time one contender in a process of its own: CPU seconds beside the floor's, or its peak memory.

    python benchmarks/pet/clock.py MODULE CONTENDER FOLDER time|memory

MODULE is `ours` or `peers`. The last line printed is JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_BUDGET_S = 6.0  # repeats stop after so much CPU time, but not before _FEWEST of them
_FEWEST, _MOST = 3, 25
_LONG_S = 60.0  # a run this long is its own warm-up
_SHORT_S = 0.02  # shorter runs are repeated until so much is spent, and divided


class Floor:
    """The least anyone can do: read all bytes, view the pixels, scale them to float32."""

    def __init__(self, folder: Path):
        import pydicom

        self.files = sorted((folder / "pet").iterdir())
        headers = [pydicom.dcmread(file) for file in self.files]
        self.shape = (len(headers), headers[0].Rows, headers[0].Columns)
        self.slopes = [np.float32(header.RescaleSlope) for header in headers]
        self.n_bytes = len(headers[0].PixelData)

    def __call__(self) -> np.ndarray:
        """Return the volume in Bq/ml."""
        values = np.empty(self.shape, np.float32)
        for plane, file, slope in zip(values, self.files, self.slopes, strict=True):
            with open(file, "rb", buffering=0) as stream:
                content = stream.read()
            stored = np.frombuffer(content, "<i2", offset=len(content) - self.n_bytes)
            np.multiply(stored.reshape(plane.shape), slope, out=plane)
        return values


def cpu_seconds() -> float:
    """Return CPU seconds of this process, all its threads and its finished children."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Return the CPU seconds of one run, the mean of so many in a row."""
    begin = cpu_seconds()
    for _ in range(times):
        work()
    return (cpu_seconds() - begin) / times


def time_beside_floor(work: Callable[[], Any], floor: Callable[[], Any]) -> dict[str, float]:
    """Return medians of `work` and of the floor in ms, run in turn after a warm-up of both."""
    first = timed(work)
    timed(floor)
    spent, ours, floors = first, [], []
    if first > _LONG_S:
        ours, floors = [first], [timed(floor) for _ in range(_FEWEST)]
    # The first run may pay for what is loaded late: a second one tells how many fit into a repeat.
    times = max(1, round(_SHORT_S / max(timed(work), 1e-6))) if first < 1 else 1
    while first <= _LONG_S and len(ours) < _MOST and (len(ours) < _FEWEST or spent < _BUDGET_S):
        floors.append(timed(floor))
        ours.append(timed(work, times))
        spent += ours[-1] * times + floors[-1]
    return {
        "ms": 1000 * statistics.median(ours),
        "floor_ms": 1000 * statistics.median(floors),
        "x_floor": statistics.median(ours) / statistics.median(floors),
        "repeats": len(ours),
    }


def peak_mb() -> float:
    """Return the most memory this process or one of its children has held, in MB (1e6 bytes)."""
    with open("/proc/self/status", encoding="ascii") as status:
        own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024 / 1e6


def main(module: str, contender: str, folder: str, what: str) -> None:
    """Prepare the contender, run it and print what was measured."""
    warnings.simplefilter("ignore")
    prepare = importlib.import_module(module).CONTENDERS[contender]
    work = prepare(Path(folder))
    if what == "memory":
        result = work()
        found = {"peak_mb": peak_mb()}
        if type(result) is dict:  # values of regions, to be compared
            found["values"] = result
    else:
        found = time_beside_floor(work, Floor(Path(folder)))
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
