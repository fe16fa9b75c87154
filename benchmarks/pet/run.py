"""Benchmark of `analysis.pet` and its peers on one scan: one run, one thread, CPU time.

    make benchmark-pet            (or: .venv/bin/python benchmarks/pet/run.py [--only WORD] [--slow])

Every contender runs in a process of its own, warm, in turn with the floor F (read all bytes, view the pixels,
scale to float32), so that the ratio to F holds on any machine. Its peak memory is that of a second process in
which it runs once. Writes build/benchmark-pet/result.json and result.md, and prints the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from report import write_report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "benchmark-pet"
OURS = [
    "whole scan",
    "whole scan, RTSTRUCT",
    "whole scan, fast path off",
    "read slices",
    "load_pet",
    "load_pet, fast path off",
    "sparse SEG",
    "full-frame SEG",
    "RTSTRUCT",
    "NIfTI",
    "metrics of lesions",
    "metrics of references",
    "metrics",
    "SUVpeak",
    "growing 41 %",
    "MIP",
    "proposed references",
]
PEERS = [
    "pydicom headers",
    "pydicom + frombuffer",
    "pydicom + pixel_array",
    "dcm2niix",
    "SimpleITK",
    "highdicom",
    "MIRP",
    "z-rad",
    "pyCERR",
    "highdicom sparse SEG",
    "highdicom full SEG",
    "z-rad sparse SEG",
    "pydicom parses RTSTRUCT",
    "rt-utils RTSTRUCT",
    "scipy convolve",
    "scipy fftconvolve",
    "pyradiomics first order",
    "scipy label",
    "cc3d",
    "SimpleITK ConnectedThreshold",
    "MIRP cropped",
    "z-rad run",
    "pyCERR run",
]
SLOW = ["MIRP default"]
_MEMORY = {"whole scan", "whole scan, fast path off", "load_pet", "metrics", "MIRP cropped", "MIRP default"}
_MEMORY |= {"z-rad run", "pyCERR run", "pydicom + frombuffer"}
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM")
_PYTHON = {"ours": ROOT / ".venv/bin/python", "peers": ROOT / ".venv-peers/bin/python"}


def environment() -> dict[str, str]:
    """Return the environment of a contender: one thread, whatever library counts them."""
    single = {f"{name}_NUM_THREADS": "1" for name in _THREADS}
    single |= {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "PYTHONHASHSEED": "0"}
    return os.environ | single


def call(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder and return the JSON it prints last, or the error it ended with."""
    command = [str(python), "-W", "ignore", str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().rpartition("\n")[2]}
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def measure(module: str, name: str, scan: Path) -> dict[str, Any]:
    """Return time beside the floor, and where wanted peak memory and values, of one contender."""
    python = _PYTHON[module]
    found = call(python, "clock.py", module, name, str(scan), "time")
    if name in _MEMORY and "error" not in found:
        found |= call(python, "clock.py", module, name, str(scan), "memory")
    return found


def versions(module: str) -> dict[str, str]:
    """Return the versions installed in one environment, by name."""
    code = (
        "import importlib.metadata, json;"
        "print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))"
    )
    done = subprocess.run([str(_PYTHON[module]), "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def chosen(names: list[str], word: str | None) -> list[str]:
    """Return the names that hold a word."""
    return [name for name in names if word is None or word.lower() in name.lower()]


def main() -> int:
    """Run everything; the exit code tells only whether our own contenders ran."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="only contenders whose name holds this word; no report is kept")
    parser.add_argument("--slow", action="store_true", help="also MIRP as it is by default (minutes)")
    options = parser.parse_args()
    scan = FOLDER / "scan"
    if not (scan / "truth.json").exists():
        subprocess.run([str(_PYTHON["ours"]), str(HERE / "scan.py"), str(scan)], check=True)
    result: dict[str, Any] = {"ours": {}, "peers": {}}
    peers = PEERS + (SLOW if options.slow else [])
    for module, names in (("ours", OURS), ("peers", peers)):
        if not _PYTHON[module].exists():
            print(f"no {module}: {_PYTHON[module].relative_to(ROOT)} is not set up")
            continue
        for name in chosen(names, options.only):
            result[module][name] = found = measure(module, name, scan)
            shown = found.get("error") or f"{found['ms']:9.1f} ms {found['x_floor']:9.2f} F"
            print(f"{module:6} {name:32} {shown}", file=sys.stderr, flush=True)
    if options.only:
        return 0
    result["fan_out"] = call(_PYTHON["ours"], "fan.py", str(scan))
    result["versions"] = {module: versions(module) for module in _PYTHON if _PYTHON[module].exists()}
    (FOLDER / "result.json").write_text(json.dumps(result, indent=1))
    text = write_report(result)
    (FOLDER / "result.md").write_text(text)
    print(text)
    return int(any("error" in found for found in result["ours"].values()))


if __name__ == "__main__":
    sys.exit(main())
