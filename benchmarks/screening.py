"""Benchmark of the expression screen: 20,000 genes x 60 patients, 10,000 permutations, beside plain loops.

    .venv/bin/python benchmarks/screening.py

Every contender runs in a process of its own, so that its peak memory is its own (resource.getrusage, imports
included); times are by the wall clock, the compiled code warm. Ours is timed from the frames to the finished
rows: estimates, limits, p, Benjamini-Hochberg and step-down maxT. The loops do less and a part of it, which
their times are scaled up from: the table says which. Writes build/benchmark-screening/result.json and
result.md and prints the latter. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "benchmark-screening"
GENES, PATIENTS, PERMUTATIONS, SEED = 20_000, 60, 10_000, 8
OUTCOMES = {
    "non-response": ["NONRESPONSE"],
    "percent change": ["PCTCHANGE"],
    "PFS": ["PFS_TIME", "PFS_EVENT"],
}
# What a turn of a loop takes: genes of one, permutations of all genes, and genes x permutations one by one.
LOOPED_GENES, LIFELINES_GENES, LOOPED_PERMUTATIONS, ONE_BY_ONE = 500, 40, 5, 2_000
MOST_SECONDS_ONE, MOST_SECONDS_ALL, MOST_GIB = 15.0, 60.0, 4.0


def simulate() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return expression (genes x patients) and outcomes of which the first 20 genes know something."""
    rng = np.random.default_rng(SEED)
    signal = rng.normal(size=PATIENTS)
    values = rng.normal(size=(GENES, PATIENTS))
    values[:20] += 1.5 * signal
    patients = pd.Index([f"P{i:02d}" for i in range(PATIENTS)], name="USUBJID")
    outcomes = pd.DataFrame(
        {
            "NONRESPONSE": (signal + rng.normal(0, 0.5, PATIENTS) > 0).astype(float),
            "PCTCHANGE": -30 + 20 * signal + rng.normal(0, 10, PATIENTS),
            "PFS_TIME": np.ceil(rng.exponential(200 * np.exp(-0.7 * signal))),
            "PFS_EVENT": (rng.random(PATIENTS) < 0.75).astype(float),
        },
        index=patients,
    )
    return pd.DataFrame(values, [f"G{i}" for i in range(GENES)], patients), outcomes


def clock(work: Callable[[], Any]) -> float:
    """Return the seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ours(columns: list[str] | None = None) -> dict[str, Any]:
    """Time the screen of the outcomes in `columns`, of all if None."""
    sys.path.insert(0, str(ROOT / "src"))
    from analysis import plan
    from analysis.biomarkers.screening import screen_expression

    rules = plan.defaults().override({"biomarkers.permutations": PERMUTATIONS}).biomarkers
    matrix, outcomes = simulate()
    outcomes = outcomes if columns is None else outcomes[columns]
    screen_expression(matrix.iloc[:10], outcomes, rng=np.random.default_rng(SEED), rules=rules)  # compiles
    found = {}

    def screen() -> None:
        found["rows"] = screen_expression(matrix, outcomes, rng=np.random.default_rng(SEED), rules=rules)

    seconds = clock(screen)
    rows = found["rows"].estimates
    planted = rows["MARKER"].isin([f"G{i}" for i in range(20)])
    small = rows["P_MAXT"] <= rules.fwer_level
    return {"seconds": seconds, "rows": len(rows), "planted": int((planted & small).sum())}


def scipy_genes() -> dict[str, Any]:
    """Time one Mann-Whitney test and one Spearman correlation a gene, without permutations."""
    from scipy import stats

    matrix, outcomes = simulate()
    case, change = outcomes["NONRESPONSE"].to_numpy() > 0, outcomes["PCTCHANGE"].to_numpy()
    genes = matrix.to_numpy()[:LOOPED_GENES]

    def loop() -> None:
        for gene in genes:
            stats.mannwhitneyu(gene[case], gene[~case])
            stats.spearmanr(gene, change)

    return {"seconds": clock(loop) * GENES / len(genes)}


def lifelines_genes() -> dict[str, Any]:
    """Time one Cox model a gene, without permutations."""
    import lifelines

    matrix, outcomes = simulate()
    frames = [
        outcomes[["PFS_TIME", "PFS_EVENT"]].assign(gene=row) for row in matrix.to_numpy()[:LIFELINES_GENES]
    ]

    def loop() -> None:
        for frame in frames:
            lifelines.CoxPHFitter().fit(frame, "PFS_TIME", "PFS_EVENT")

    return {"seconds": clock(loop) * GENES / len(frames)}


def scipy_permuted() -> dict[str, Any]:
    """Time maxT of one outcome by one call of scipy a permutation, all genes at once."""
    from scipy import stats

    matrix, outcomes = simulate()
    genes, case = matrix.to_numpy(), outcomes["NONRESPONSE"].to_numpy() > 0
    rng = np.random.default_rng(SEED)

    def loop() -> None:
        for _ in range(LOOPED_PERMUTATIONS):
            moved = rng.permutation(case)
            found = stats.mannwhitneyu(genes[:, moved], genes[:, ~moved], axis=1, method="asymptotic")
            np.abs(found.statistic).max()

    return {"seconds": clock(loop) * PERMUTATIONS / LOOPED_PERMUTATIONS}


def scipy_one_by_one() -> dict[str, Any]:
    """Time maxT of one outcome by one call of scipy a gene and permutation."""
    from scipy import stats

    matrix, outcomes = simulate()
    genes, case = matrix.to_numpy(), outcomes["NONRESPONSE"].to_numpy() > 0
    rng = np.random.default_rng(SEED)

    def loop() -> None:
        for gene in genes[:ONE_BY_ONE]:
            moved = rng.permutation(case)
            stats.mannwhitneyu(gene[moved], gene[~moved], method="asymptotic")

    return {"seconds": clock(loop) * GENES * PERMUTATIONS / ONE_BY_ONE}


CONTENDERS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "all": ("ours, three outcomes, estimates and maxT", ours),
    **{
        name: (f"ours, {name} alone", lambda columns=columns: ours(columns))
        for name, columns in OUTCOMES.items()
    },
    "genes": (
        f"loop over scipy, Mann-Whitney and Spearman, no permutation ({LOOPED_GENES} genes)",
        scipy_genes,
    ),
    "cox": (f"loop over lifelines, Cox, no permutation ({LIFELINES_GENES} genes)", lifelines_genes),
    "permuted": (
        f"permutations by scipy, all genes a call, one outcome ({LOOPED_PERMUTATIONS} permutations)",
        scipy_permuted,
    ),
    "one by one": (
        f"loop over scipy, a gene and a permutation a call, one outcome ({ONE_BY_ONE:,} calls)",
        scipy_one_by_one,
    ),
}


def run(name: str) -> dict[str, Any]:
    """Run a contender in a process of its own and return what it measured."""
    command = [sys.executable, str(Path(__file__).resolve()), "--only", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def targets(found: dict[str, dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Return what is asked: words, the value, the most it may be."""
    one = max(found[name]["seconds"] for name in OUTCOMES)
    return [
        ("seconds, three outcomes", found["all"]["seconds"], MOST_SECONDS_ALL),
        ("seconds, one outcome, the slowest", one, MOST_SECONDS_ONE),
        ("peak memory, GiB", found["all"]["gib"], MOST_GIB),
    ]


def report(found: dict[str, dict[str, Any]], versions: dict[str, str]) -> str:
    """Return the report."""
    lines = ["| target | measured | at most | |", "|---|---:|---:|---|"]
    for words, value, most in targets(found):
        lines.append(f"| {words} | {value:.3g} | {most:g} | {'PASS' if value <= most else 'MISS'} |")
    lines += ["", f"| {GENES:,} genes x {PATIENTS} patients | seconds | of ours | peak memory, GiB |"]
    lines.append("|---|---:|---:|---:|")
    for name, (words, _) in CONTENDERS.items():
        seconds, gib = found[name]["seconds"], found[name]["gib"]
        times = seconds / found["all"]["seconds"]
        lines.append(f"| {words} | {seconds:,.1f} | {times:,.2f} | {gib:.2f} |")
    lines += [
        "",
        f"- {PERMUTATIONS:,} permutations an outcome; loops run the part in brackets, their seconds are "
        "scaled to all of it.",
        f"- {found['all']['planted']} of 60 planted associations have maxT p at most the plan's level.",
        "- " + ", ".join(f"{name} {words}" for name, words in versions.items()),
    ]
    return "\n".join(lines)


def main() -> int:
    """Run every contender, print the report, and tell by the exit code whether every target is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(CONTENDERS), help="one contender; prints its numbers as JSON")
    only = parser.parse_args().only
    warnings.simplefilter("ignore")  # lifelines warns of fits that have not converged
    if only:
        measured = CONTENDERS[only][1]()
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({**measured, "gib": gib}))
        return 0
    found = {name: run(name) for name in CONTENDERS}
    packages = {name: version(name) for name in ("numba", "numpy", "scipy", "pandas", "lifelines")}
    versions = {"Python": platform.python_version(), **packages}
    text = report(found, versions)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "result.json").write_text(json.dumps({"found": found, "versions": versions}, indent=1))
    (FOLDER / "result.md").write_text(text + "\n")
    print(text)
    return int(any(value > most for _, value, most in targets(found)))


if __name__ == "__main__":
    sys.exit(main())
