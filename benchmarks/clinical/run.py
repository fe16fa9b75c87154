"""Benchmark of `analysis.clinical`: 2,000 and 20,000 subjects with 12 visits and 5 lesions each.

    make benchmark-clinical       (or: .venv/bin/python benchmarks/clinical/run.py [--subjects 2000 20000])

Each study is simulated as CSV (`simulate.py`), then read, derived and queried as notebook 01 does, in a
process of its own (`derive.py`). The largest must take at most 60 s and 4 GiB, and time must grow no faster
than the number of subjects; the clock on the wall needs a quiet machine, CPU time stands beside it. Writes
build/benchmark-clinical/result.json and result.md and prints the latter. Exits with 1 if a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import simulate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "benchmark-clinical"
LIMIT_S, LIMIT_GIB = 60.0, 4.0
LINEAR_WITHIN = 1.25  # time may grow by this much more than the number of subjects


def measure(subjects: int) -> dict[str, Any]:
    """Simulate a study, if it is not there, and return what the work on it took."""
    folder = FOLDER / f"sdtm-{subjects}"
    if not (folder / "tr.csv").exists():
        simulate.write(subjects, folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-W", "ignore", str(HERE / "derive.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the derivation of {subjects} subjects failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def table(found: dict[int, dict[str, Any]]) -> list[str]:
    """Return rows, seconds and memory of every size, with the ratio of the largest to the smallest."""
    sizes = sorted(found)
    small, large = found[sizes[0]], found[sizes[-1]]
    lines = ["| | " + " | ".join(f"{size:,} subjects" for size in sizes) + " | ratio |"]
    lines.append("|---|" + "---:|" * (len(sizes) + 1))

    def line(name: str, values: list[float], shape: str) -> None:
        ratio = values[-1] / values[0] if values[0] else float("nan")
        shown = " | ".join(format(value, shape) for value in values)
        lines.append(f"| {name} | {shown} | {ratio:.1f} |")

    for name in [name for name in large["rows"] if name in small["rows"]]:
        line(f"rows, {name}", [found[size]["rows"][name] for size in sizes], ",d")
    for name in large["seconds"]:
        line(f"seconds, {name}", [found[size]["seconds"][name] for size in sizes], ".2f")
    line("seconds, all", [total(found[size]) for size in sizes], ".2f")
    line("CPU seconds, all", [found[size]["cpu_seconds"] for size in sizes], ".2f")
    line("peak memory, GiB", [found[size]["peak_gib"] for size in sizes], ".2f")
    return lines


def total(result: dict[str, Any]) -> float:
    """Return the seconds of all stages."""
    return sum(result["seconds"].values())


def verdicts(found: dict[int, dict[str, Any]]) -> list[tuple[str, bool]]:
    """Return each limit in words and whether it holds."""
    sizes = sorted(found)
    small, large = found[sizes[0]], found[sizes[-1]]
    times, growth = sizes[-1] / sizes[0], total(large) / total(small)
    return [
        (f"{sizes[-1]:,} subjects within {LIMIT_S:.0f} s: {total(large):.1f} s", total(large) <= LIMIT_S),
        (f"within {LIMIT_GIB:.0f} GiB: {large['peak_gib']:.2f} GiB", large["peak_gib"] <= LIMIT_GIB),
        (
            f"linear: {times:.0f} times the subjects take {growth:.1f} times as long",
            growth <= LINEAR_WITHIN * times,
        ),
    ]


def main() -> int:
    """Run every size, print the report, and tell by the exit code whether every limit holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, nargs="+", default=[2_000, 20_000])
    sizes = sorted(set(parser.parse_args().subjects))
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {size: measure(size) for size in sizes}
    judged = verdicts(found)
    text = "\n".join(
        [*table(found), "", *(f"- {'passes' if good else 'FAILS'}: {words}" for words, good in judged)]
    )
    (FOLDER / "result.json").write_text(json.dumps(found, indent=1))
    (FOLDER / "result.md").write_text(text + "\n")
    print(text)
    return int(not all(good for _, good in judged))


if __name__ == "__main__":
    sys.exit(main())
