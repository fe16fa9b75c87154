"""Renew the golden notebooks: executed copies on the tiny trial, text outputs only, without times or versions.

``make golden`` runs this; ``make test`` runs nbval over the copies (tests/dag). A number that changes here is a CHANGELOG entry.
"""

import shutil
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat

from analysis import run
from analysis.steps import STEPS, writer_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDERS = {f"{kind}_dir": f"build/golden/{kind}" for kind in ("raw", "derived", "reports")}
PICTURES = ("image/png", "image/svg+xml", "image/jpeg")


def in_order() -> list[Path]:
    """List the copies, each after those that write what it reads."""
    needs = {
        name: {writer_of(table) for table in (*step.reads, *step.optional)} | ({"00"} if step.raw else set())
        for name, step in STEPS.items()
    }
    return [HERE / f"{STEPS[name].notebook}.ipynb" for name in TopologicalSorter(needs).static_order()]


def renew() -> None:
    """Run every notebook on the tiny trial and keep its text outputs."""
    shutil.rmtree(ROOT / "build" / "golden", ignore_errors=True)
    for golden in in_order():
        run.run_notebook(ROOT / "notebooks" / golden.name, golden, {"study": "tiny", **FOLDERS})
        content = nbformat.read(golden, as_version=4)
        for cell in content.cells:
            if cell.cell_type == "code":
                cell["outputs"] = [plain(output) for output in cell.outputs]
        nbformat.write(content, golden)


def plain(output):
    """Return an output without its pictures."""
    if "data" in output:
        for kind in PICTURES:
            output["data"].pop(kind, None)
    return output


if __name__ == "__main__":
    if sys.argv[1:] != ["renew"]:
        sys.exit("usage: golden.py renew")
    renew()
