"""Benchmark of `analysis.operating`: virtual trials simulated and analysed, beside a plain loop over trials.

    .venv/bin/python benchmarks/operating/run.py [--turns 3]

One cell of the plan's grid as it stands (48 patients, 1,000 permutations), one thread. A trial is everything:
patients, lesions, scans, classes by the real rule, the pilot's decision on its date and on mature data, all
analyses of PFS and OS. The peers do less: from the finished landmark sets of PFS and OS they fit Cox models
by maximum likelihood and Firth with limits, and permute the log-rank, trial by trial; once with
`analysis.survival`, once with lifelines (which has neither Firth nor a permutation test: each permutation is
a log-rank test of its own; a part of them is run, and its time scaled). Writes
build/benchmark-operating/result.json and result.md and prints the latter. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # read when numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "benchmark-operating"
CELL = ("as planted", "as planned")
TRIALS = (250, 500, 1000, 2000)
# Trials of a turn of the peers, and the permutations lifelines runs in each.
LOOPED, LIFELINES_TESTS = 5, 50
MOST_MS, MOST_GROWTH = 50.0, 1.25
SEED = 7


def clock(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of this process that `work` takes: others on the machine do not count."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_grid(plan, turns: int) -> dict[int, float]:
    """Return milliseconds a trial, by the number of trials."""
    from analysis.operating.cells import list_cells, list_chunks
    from analysis.operating.chunk import run_chunk
    from analysis.operating.summarise import summarise_cell

    cell = next(cell for cell in list_cells(plan) if (cell.truth, cell.size) == CELL)

    def run(trials: int) -> None:
        parts = [run_chunk(chunk) for chunk in list_chunks(cell, trials, plan.operating.chunk)]
        rows, patients = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
        summarise_cell(cell, rows, patients)

    run(2)  # compiled here
    found: dict[int, list[float]] = {trials: [] for trials in TRIALS}
    for _ in range(turns):
        for trials in TRIALS:
            found[trials].append(1000 * clock(lambda trials=trials: run(trials)) / trials)
    return {trials: statistics.median(values) for trials, values in found.items()}


def landmark_sets(plan) -> list[pd.DataFrame]:
    """Return time, event and exposure of PFS and OS at the earlier day, of a few trials."""
    from analysis.operating.cells import list_cells
    from analysis.operating.follow import follow
    from analysis.operating.scans import simulate_scans
    from analysis.virtual_trial.many_trials import simulate_trials

    plan = next(cell.plan for cell in list_cells(plan) if (cell.truth, cell.size) == CELL)
    rng = np.random.default_rng(SEED)
    trials = simulate_trials(plan.virtual, plan.design, LOOPED, rng)
    scans = simulate_scans(trials, plan, rng)
    sets = []
    for endpoint in plan.primary.endpoints:
        part = follow(trials, scans, False, endpoint, plan)
        for time_, event, exposed in zip(part.time, part.event, part.exposed, strict=True):
            inside = np.isfinite(time_)
            columns = {"time": time_[inside], "event": event[inside], "exposed": exposed[inside]}
            sets.append(pd.DataFrame(columns))
    return sets


def measure_loops(plan, turns: int) -> dict[str, float]:
    """Return milliseconds a trial of the two plain loops."""
    import lifelines
    from lifelines.statistics import logrank_test

    from analysis.survival import NotEstimable, cox, log_rank

    sets, permutations = landmark_sets(plan), plan.operating.permutations

    def ours() -> None:
        rng = np.random.default_rng(SEED)
        for data in sets:
            arrays = (data["time"], data["event"])
            for penalty in (None, "firth"):
                try:
                    cox(*arrays, data["exposed"], penalty=penalty)
                except NotEstimable:
                    continue  # a monotone likelihood: as far as it gets
            log_rank(*arrays, data["exposed"], method="permutation", permutations=permutations, rng=rng)

    def fit() -> None:
        for data in sets:
            lifelines.CoxPHFitter().fit(data, "time", "event")

    def permute() -> None:
        rng = np.random.default_rng(SEED)
        for data in sets:
            time_, event = data["time"].to_numpy(), data["event"].to_numpy()
            for _ in range(LIFELINES_TESTS):
                first = rng.permutation(data["exposed"].to_numpy()) == 1
                logrank_test(time_[first], time_[~first], event[first], event[~first])

    ours()
    fit()
    seconds: dict[str, list[float]] = {"survival": [], "lifelines": []}
    for _ in range(turns):
        seconds["survival"].append(clock(ours))
        seconds["lifelines"].append(clock(fit) + clock(permute) * permutations / LIFELINES_TESTS)
    return {name: 1000 * statistics.median(values) / LOOPED for name, values in seconds.items()}


def targets(found: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return what is asked: words, the value, the most it may be."""
    by_size = found["grid"]
    growth = by_size[max(TRIALS)] / by_size[min(TRIALS)]
    return [
        (f"milliseconds a trial, {max(TRIALS):,} trials", by_size[max(TRIALS)], MOST_MS),
        (f"its ratio to that of {min(TRIALS)} trials: the cost is linear", growth, MOST_GROWTH),
    ]


def report(found: dict[str, Any]) -> str:
    """Return the report."""
    lines = ["| target | measured | at most | |", "|---|---:|---:|---|"]
    for words, value, most in targets(found):
        lines.append(f"| {words} | {value:.3g} | {most:g} | {'PASS' if value <= most else 'MISS'} |")
    lines += ["", "| one virtual trial, ms (median of turns, CPU time of one core) | |", "|---|---:|"]
    lines += [
        f"| analysis.operating, {trials:,} trials | {value:.2f} |" for trials, value in found["grid"].items()
    ]
    loops = {
        "survival": "analysis.survival: Cox, Firth, permutation",
        "lifelines": "lifelines: Cox, permuted",
    }
    lines += [
        f"| loop, {words} log-rank alone | {found['loops'][name]:,.0f} |" for name, words in loops.items()
    ]
    lines += [
        "",
        f"- {found['permutations']:,} permutations of each test; the loops take {LOOPED} trials.",
        "- " + ", ".join(f"{name} {words}" for name, words in found["versions"].items()),
    ]
    return "\n".join(lines)


def main() -> int:
    """Run every item, print the report, and tell by the exit code whether every target is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")  # lifelines warns of fits that have not converged
    sys.path.insert(0, str(ROOT / "src"))
    from analysis import plan as plans

    plan = plans.defaults()
    found: dict[str, Any] = {"grid": measure_grid(plan, turns), "loops": measure_loops(plan, turns)}
    found["permutations"] = plan.operating.permutations
    packages = {name: version(name) for name in ("numba", "numpy", "pandas", "lifelines")}
    found["versions"] = {"Python": platform.python_version(), **packages}
    text = report(found)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "result.json").write_text(json.dumps(found, indent=1))
    (FOLDER / "result.md").write_text(text + "\n")
    print(text)
    return int(any(value > most for _, value, most in targets(found)))


if __name__ == "__main__":
    sys.exit(main())
