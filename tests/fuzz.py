"""The long fuzz run of PET reading: thousands of mutated series, region files and trees, one table of outcomes.

Run by ``make fuzz``. The seed is fixed and a case is a function of its number: ``--case series:123`` runs it again and
says what came of it. What counts as a failure is defined in `fuzzing.judge`; one makes the exit status 1.
`tests/pet/test_fuzz.py` runs a few hundred of the same cases. Crops of the real series join in where those are.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "pet"))

from fuzzing.cases import Cases, Result

SHARES = {"series": 0.80, "regions": 0.18, "trees": 0.02}
OUTCOMES = ["CLEAN", "NOTED", "LEGITIMATE", "REFUSED", "FAILED"]
SHARED_DATA = Path(
    os.environ.get("PEARL_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, default=5000, help="number of cases")
    parser.add_argument("--case", help="one case again, as the list of failures names it (series:123)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(Path(folder), SHARED_DATA)
        if chosen.case:
            kind, number = chosen.case.split(":")
            results = list(cases.run_all(kind, [int(number)]))
            print(*results, sep="\n")
        else:
            results = [
                result
                for kind, share in SHARES.items()
                for result in cases.run_all(kind, range(round(chosen.n * share)))
            ]
            _print(results)
    return int(any(result.outcome == "FAILED" for result in results))


def _print(results: list[Result]) -> None:
    table: dict[str, Counter] = defaultdict(Counter)
    failures: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        name = f"region: {result.mutation}" if result.kind == "regions" else result.mutation
        for row in (name, "all"):
            table[row][result.outcome] += 1
        if result.outcome == "FAILED":
            failures[result.detail].append(result)
    table["all"] = table.pop("all")
    print(f"{'mutation':<34}" + "".join(f"{outcome:>12}" for outcome in OUTCOMES))
    for name, counts in table.items():
        print(f"{name:<34}" + "".join(f"{counts[outcome]:>12}" for outcome in OUTCOMES))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    print(f"{seconds:.0f} s of processor time, at most {max(one.ru_maxrss for one in used) / 1024:.0f} MB")
    for reason, found in sorted(failures.items(), key=lambda entry: -len(entry[1])):
        print(f"{len(found):>5} x {reason}")
        print(
            "        "
            + "; ".join(f"{one.kind}:{one.number} ({one.base}, {one.mutation})" for one in found[:3])
        )


if __name__ == "__main__":
    sys.exit(main())
