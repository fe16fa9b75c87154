"""Benchmark of `analysis.survival`: resampling and permutation beside loops over lifelines and R.

    make benchmark-survival       (or: .venv/bin/python benchmarks/survival/run.py [--turns 5])

One simulated trial of 66 patients with 44 events and tied times; for the specification curve one of 45 with
40 specifications that share scans and outcomes. The contenders take turns, one thread each;
the median of a turn counts. Slow peers do a part of the work, and their time is scaled to all of it. Ours is
timed from arrays to the finished table, a peer in its fits alone: the resampled rows are made beforehand. R
is timed if it is there. Writes build/benchmark-survival/result.json and result.md and prints the latter.
Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
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

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "benchmark-survival"
DATA, COUNTS, COEFFICIENTS = (FOLDER / name for name in ("data.csv", "counts.csv", "coefficients.csv"))
PATIENTS, EVENTS, RESAMPLES, PERMUTATIONS, ENUMERATED = 66, 44, 10_000, 10_000, 26
# A turn of a slow peer: so many fits, tests or R fits.
LIFELINES_FITS, LIFELINES_TESTS, R_FITS = 60, 100, 2_000
COMPARED = 200
# The curve: patients, specifications, and sizes at which it is timed; R fits all specifications of so many.
CURVE_PATIENTS, CELLS = 45, 40
CELLS_TIMED, PERMUTATIONS_TIMED = (20, 40, 80), (2_500, 5_000, 10_000)
R_PERMUTATIONS = 50
SEED = 6
NO_R = "R is not installed: apt-get install r-base-core r-cran-survival r-cran-maxstat"
FIRST_CALL = """
import sys, time
import pandas as pd
from analysis.survival import cox_batch
data = pd.read_csv(sys.argv[1])
started = time.perf_counter()
cox_batch(data["time"], data["event"], data["score"], [[1] * len(data)])
print(time.perf_counter() - started)
"""


def simulate() -> tuple[pd.DataFrame, np.ndarray]:
    """Return the patients and how often each is drawn in every resample, and write both for R."""
    rng = np.random.default_rng(SEED)
    score = rng.normal(-0.3, 0.3, PATIENTS)
    weeks = np.ceil(rng.exponential(20 * np.exp(-1.5 * (score + 0.3))))
    event = rng.permutation(np.arange(PATIENTS) < EVENTS).astype(int)
    data = pd.DataFrame({"time": weeks, "event": event, "score": score})
    data["group"] = (score > np.median(score)).astype(int)
    counts = rng.multinomial(PATIENTS, np.full(PATIENTS, 1 / PATIENTS), size=RESAMPLES)
    FOLDER.mkdir(parents=True, exist_ok=True)
    data.to_csv(DATA, index=False, float_format="%.17g")
    pd.DataFrame(counts[:R_FITS]).to_csv(COUNTS, index=False, header=False)
    return data, counts


def simulate_curve(cells: int) -> tuple[np.ndarray, ...]:
    """Return outcomes and exposures (patients by specifications) and strata of a curve of related cells."""
    rng = np.random.default_rng(SEED)
    score, place = rng.normal(size=CURVE_PATIENTS), np.linspace(-0.5, 0.5, cells)
    days = np.ceil(rng.exponential(120 * np.exp(0.4 * score)))
    # Every other specification starts from a later landmark.
    time = days[:, None] - 14.0 * (np.arange(cells) % 2)
    event = np.repeat((rng.random(CURVE_PATIENTS) < 0.85)[:, None], cells, axis=1).astype(float)
    noise = rng.normal(0, 0.5, (CURVE_PATIENTS, CELLS_TIMED[-1]))[:, :cells]
    exposed = (score[:, None] + noise < place).astype(float)
    one_day = np.arange(CURVE_PATIENTS) >= 30
    exposed[one_day, cells // 2 :] = np.nan
    return np.where(time > 0, time, np.nan), event, exposed, one_day


def clock(work: Callable[[], Any]) -> float:
    """Return the seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def r_is_there() -> bool:
    """Tell whether R has what is measured."""
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", 'for (p in c("survival", "maxstat")) packageVersion(p)']
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def run_r(script: str, *arguments: object) -> list[str]:
    """Run an R script and return what it prints."""
    command = ["Rscript", str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    return done.stdout.splitlines()


def compile_seconds() -> tuple[float, float]:
    """Return what the first call takes in a new process: without, and with the machine code on disk."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-c", FIRST_CALL, str(DATA)]
        ask = {"env": environment, "capture_output": True, "text": True, "check": True}
        return tuple(float(subprocess.run(command, **ask).stdout) for _ in range(2))


def measure_cox(data: pd.DataFrame, counts: np.ndarray, turns: int, with_r: bool) -> dict[str, Any]:
    """Time 10,000 bootstrap fits: seconds for all of them, and the largest difference of a coefficient."""
    import lifelines

    from analysis.survival import cox_batch

    frames = [
        data.loc[np.repeat(data.index, drawn), ["time", "event", "score"]] for drawn in counts[:COMPARED]
    ]

    def ours() -> pd.DataFrame:
        return cox_batch(data["time"], data["event"], data["score"], counts)

    def peer(frame: pd.DataFrame, precision: float = 1e-12) -> float:
        options = {"precision": precision}
        return lifelines.CoxPHFitter().fit(frame, "time", "event", fit_options=options).params_.iloc[0]

    found = ours()  # compiled here
    seconds: dict[str, list[float]] = {"cox_batch": [], "lifelines": [], "R": []}
    words = ""
    for turn in range(turns):
        seconds["cox_batch"].append(statistics.median(clock(ours) for _ in range(5)))
        part = [frames[(turn * LIFELINES_FITS + k) % COMPARED] for k in range(LIFELINES_FITS)]
        seconds["lifelines"].append(clock(lambda part=part: list(map(peer, part))) * RESAMPLES / len(part))
        if with_r:
            compared = COMPARED if turn == 0 else 0
            lines = run_r("cox.R", DATA, COUNTS, R_FITS, compared, COEFFICIENTS)
            seconds["R"].append(float(lines[0]) * RESAMPLES)
            words = lines[1]
    coefficients = found["coef"].to_numpy()
    result = {name: statistics.median(values) for name, values in seconds.items() if values}
    # Stopped at a Newton decrement of 1e-12 lifelines has six digits; ten need what is not timed here.
    fitted = [peer(frame, precision=1e-20) for frame in frames[:LIFELINES_FITS]]
    result["difference lifelines"] = float(np.abs(coefficients[:LIFELINES_FITS] - fitted).max())
    result["left out"] = int((~found["converged"]).sum())
    if with_r:
        result["difference R"] = float(np.abs(coefficients[:COMPARED] - np.loadtxt(COEFFICIENTS)).max())
        result["version"] = words
    return result


def measure_log_rank(data: pd.DataFrame, turns: int) -> dict[str, float]:
    """Time 10,000 permutations of the log-rank test, and the enumeration of 26 patients."""
    from lifelines.statistics import logrank_test

    from analysis.survival import log_rank

    time_, event, group = (data[name].to_numpy() for name in ("time", "event", "group"))

    def ours() -> None:
        rng = np.random.default_rng(SEED)
        log_rank(time_, event, group, method="permutation", permutations=PERMUTATIONS, rng=rng)

    def peer() -> None:
        rng = np.random.default_rng(SEED)
        for _ in range(LIFELINES_TESTS):
            first = rng.permutation(group) == 1
            logrank_test(time_[first], time_[~first], event[first], event[~first])

    few = np.arange(ENUMERATED)

    def exact() -> None:
        log_rank(time_[few], event[few], few % 2, method="exact")

    ours()
    peer()
    exact()
    seconds: dict[str, list[float]] = {"log_rank": [], "lifelines": [], "exact": []}
    for _ in range(turns):
        seconds["log_rank"].append(clock(ours))
        seconds["lifelines"].append(clock(peer) * PERMUTATIONS / LIFELINES_TESTS)
        seconds["exact"].append(clock(exact))
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_maxstat(data: pd.DataFrame, turns: int, with_r: bool) -> dict[str, Any]:
    """Time the permutation p of the maximally selected log-rank."""
    from analysis.survival.cutpoint import max_selected_log_rank

    def ours() -> pd.DataFrame:
        options = {"min_share": 0.1, "max_share": 0.9, "permutations": PERMUTATIONS}
        rng = np.random.default_rng(SEED)
        arrays = (data["time"], data["event"], data["score"])
        return max_selected_log_rank(*arrays, methods=("permutation",), rng=rng, **options)

    found = ours().iloc[0]
    seconds: dict[str, list[float]] = {"max_selected_log_rank": [], "R": []}
    result: dict[str, Any] = {"p": float(found["p"]), "statistic": float(found["statistic"])}
    for _ in range(turns):
        seconds["max_selected_log_rank"].append(clock(ours))
        if with_r:
            lines = run_r("maxstat.R", DATA, PERMUTATIONS)
            seconds["R"].append(float(lines[0]))
            result["p R"], result["statistic R"] = map(float, lines[1].split())
            result["version"] = lines[2]
    return result | {name: statistics.median(values) for name, values in seconds.items() if values}


def measure_curve(turns: int, with_r: bool) -> dict[str, Any]:
    """Time the joint permutation test of a specification curve, and how its cost grows."""
    import lifelines

    from analysis.survival.multiverse import joint_permutation_test
    from analysis.survival.permuted import permute_within

    curves = {cells: simulate_curve(cells) for cells in CELLS_TIMED}
    time_, event, exposed, strata = curves[CELLS]
    moved = permute_within(strata, R_PERMUTATIONS, np.random.default_rng(SEED))
    files = [FOLDER / f"curve_{name}.csv" for name in ("time", "event", "exposed", "moved")]
    for file, table in zip(files, (time_, event, exposed, moved), strict=True):
        pd.DataFrame(table).to_csv(file, index=False, header=False)

    def ours(cells: int = CELLS, permutations: int = PERMUTATIONS) -> pd.DataFrame:
        return joint_permutation_test(*curves[cells], permutations, np.random.default_rng(SEED)).tests

    def peer(fit: int) -> float:
        row, k = moved[fit // CELLS], fit % CELLS
        frame = pd.DataFrame({"time": time_[:, k], "event": event[:, k], "x": exposed[row, k]}).dropna()
        return lifelines.CoxPHFitter().fit(frame, "time", "event").params_.iloc[0]

    few = ours(permutations=R_PERMUTATIONS).set_index("statistic")["expected"]  # compiled here
    sizes = [(cells, PERMUTATIONS) for cells in CELLS_TIMED] + [(CELLS, b) for b in PERMUTATIONS_TIMED[:-1]]
    seconds: dict[Any, list[float]] = {size: [] for size in sizes} | {"lifelines": [], "R": []}
    result: dict[str, Any] = {}
    for turn in range(turns):
        for size in sizes:
            seconds[size].append(clock(lambda size=size: ours(*size)))
        fits = [turn * LIFELINES_FITS + k for k in range(LIFELINES_FITS)]
        part = clock(lambda fits=fits: [peer(fit % (R_PERMUTATIONS * CELLS)) for fit in fits])
        seconds["lifelines"].append(part * CELLS * PERMUTATIONS / LIFELINES_FITS)
        if with_r:
            lines = run_r("curve.R", *files, R_PERMUTATIONS)
            seconds["R"].append(float(lines[0]) * CELLS * PERMUTATIONS)
            theirs = np.array(lines[1].split(), dtype=float)
            result["difference R"] = float(
                np.abs(few[["median_abs_log_hr", "stouffer_z"]].to_numpy() - theirs).max()
            )
            result["version"] = lines[2]
    medians = {name: statistics.median(values) for name, values in seconds.items() if values}
    result["sizes"] = [[*size, medians.pop(size)] for size in sizes]
    return result | medians


def seconds_of(curve: dict[str, Any], cells: int, permutations: int) -> float:
    """Return the seconds of a curve of this size."""
    return next(value for *size, value in curve["sizes"] if size == [cells, permutations])


def targets(found: dict[str, Any]) -> list[tuple[str, float | None, str, float]]:
    """Return what is asked: words, the value (None: not measured), at least or at most, the target."""
    cox, ranks, cut, curve = found["cox"], found["log_rank"], found["maxstat"], found["curve"]
    whole = seconds_of(curve, CELLS, PERMUTATIONS)
    wider, longer = CELLS_TIMED[-1] / CELLS_TIMED[0], PERMUTATIONS_TIMED[-1] / PERMUTATIONS_TIMED[0]
    cost_wider, cost_longer = (
        seconds_of(curve, *large) / seconds_of(curve, *small)
        for large, small in (
            ((CELLS_TIMED[-1], PERMUTATIONS), (CELLS_TIMED[0], PERMUTATIONS)),
            ((CELLS, PERMUTATIONS), (CELLS, PERMUTATIONS_TIMED[0])),
        )
    )

    def times(table: dict[str, Any], slow: str, fast: str) -> float | None:
        return table[slow] / table[fast] if slow in table else None

    return [
        ("cox_batch, times faster than lifelines", times(cox, "lifelines", "cox_batch"), ">=", 2000),
        ("cox_batch, times faster than R's coxph.fit", times(cox, "R", "cox_batch"), ">=", 20),
        (f"largest difference to R in {COMPARED} coefficients", cox.get("difference R"), "<=", 1e-8),
        (f"and to lifelines in {LIFELINES_FITS}, precision 1e-20", cox["difference lifelines"], "<=", 1e-8),
        (
            "permutation log-rank, times faster than lifelines",
            times(ranks, "lifelines", "log_rank"),
            ">=",
            100,
        ),
        ("permuted maxstat, times faster than R's condMC", times(cut, "R", "max_selected_log_rank"), ">=", 1),
        (f"exact log-rank of {ENUMERATED}, seconds", ranks["exact"], "<=", 2),
        (f"joint permutation of a curve of {CELLS}, seconds", whole, "<=", 5),
        ("and times faster than R's coxph.fit", curve["R"] / whole if "R" in curve else None, ">=", 20),
        (
            f"largest difference to R in means of {R_PERMUTATIONS} permutations",
            curve.get("difference R"),
            "<=",
            1e-8,
        ),
        (f"cost of {wider:g} times as many specifications, times", cost_wider, "<=", 1.25 * wider),
        (f"cost of {longer:g} times as many permutations, times", cost_longer, "<=", 1.25 * longer),
    ]


def verdict(value: float | None, kind: str, target: float) -> str:
    """Say whether a target is met."""
    if value is None:
        return "NOT MEASURED"
    return "PASS" if (value >= target if kind == ">=" else value <= target) else "MISS"


def report(found: dict[str, Any]) -> str:
    """Return the report."""
    cox, ranks, cut, curve = found["cox"], found["log_rank"], found["maxstat"], found["curve"]
    lines = ["| target | measured | asked | |", "|---|---:|---:|---|"]
    for words, value, kind, target in targets(found):
        shown = "" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
        lines.append(f"| {words} | {shown} | {kind} {target:g} | {verdict(value, kind, target)} |")
    lines += ["", "| seconds (median of turns) | ours | lifelines | R |", "|---|---:|---:|---:|"]

    def row(words: str, *values: float | None) -> None:
        lines.append(f"| {words} | " + " | ".join("" if v is None else f"{v:,.4g}" for v in values) + " |")

    row(f"{RESAMPLES:,} Cox fits", cox["cox_batch"], cox["lifelines"], cox.get("R"))
    row(f"{PERMUTATIONS:,} permutations, log-rank", ranks["log_rank"], ranks["lifelines"], None)
    row(f"{PERMUTATIONS:,} permutations, maxstat", cut["max_selected_log_rank"], None, cut.get("R"))
    row(f"exact log-rank of {ENUMERATED}", ranks["exact"], None, None)
    for cells, permutations, seconds in curve["sizes"]:
        asked = (cells, permutations) == (CELLS, PERMUTATIONS)
        peers = (curve["lifelines"], curve.get("R")) if asked else (None, None)
        row(f"{permutations:,} permutations, curve of {cells}", seconds, *peers)
    first, later = found["first call"]
    lines += [
        "",
        f"- {PATIENTS} patients, {EVENTS} events, tied times; one thread. Scaled to the whole from a part:"
        f" {LIFELINES_FITS} fits and {LIFELINES_TESTS} tests of lifelines, {R_FITS:,} fits of R in a turn.",
        f"- Curve: {CURVE_PATIENTS} patients; of {CELLS * PERMUTATIONS:,} fits {LIFELINES_FITS} of lifelines"
        f" and {R_PERMUTATIONS * CELLS:,} of R in a turn.",
        f"- First call of cox_batch in a process, not counted above: {first:.1f} s where it is compiled,"
        f" {later:.1f} s with the machine code on disk.",
        f"- Resamples without a finite estimate: {cox['left out']}.",
        f"- maxstat: M {cut['statistic']:.4f}, p {cut['p']:.4f}"
        + (f"; R: M {cut['statistic R']:.4f}, p {cut['p R']:.4f}." if "p R" in cut else "."),
        "- " + ", ".join(f"{name} {words}" for name, words in found["versions"].items()),
    ]
    return "\n".join(lines + ([] if "R" in cox else [f"- {NO_R}."]))


def main() -> int:
    """Run every item, print the report, and tell by the exit code whether every target is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")  # lifelines warns of resamples with few distinct values
    sys.path.insert(0, str(ROOT / "src"))
    data, counts = simulate()
    with_r = r_is_there()
    found: dict[str, Any] = {
        "first call": compile_seconds(),
        "cox": measure_cox(data, counts, turns, with_r),
        "log_rank": measure_log_rank(data, turns),
        "maxstat": measure_maxstat(data, turns, with_r),
        "curve": measure_curve(turns, with_r),
    }
    packages = {name: version(name) for name in ("numba", "numpy", "lifelines")}
    words = [found[part].pop("version") for part in ("cox", "maxstat", "curve") if "version" in found[part]]
    r_versions = dict(word.split(" ") for word in ", ".join(words).split(", ") if word)
    found["versions"] = {"Python": platform.python_version(), **packages, **r_versions}
    text = report(found)
    (FOLDER / "result.json").write_text(json.dumps(found, indent=1))
    (FOLDER / "result.md").write_text(text + "\n")
    print(text)
    return int(any(verdict(*rest) == "MISS" for _, *rest in targets(found)))


if __name__ == "__main__":
    sys.exit(main())
