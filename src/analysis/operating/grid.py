"""The whole grid of virtual trials, fanned out, resumable, and summarised as operating characteristics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis import contracts
from analysis.fanout import Failure, fan_out
from analysis.operating.cells import Chunk, list_cells, list_chunks
from analysis.operating.chunk import run_chunk
from analysis.operating.summarise import summarise_cell
from analysis.plan import Plan
from analysis.storage import Pieces, code_digest

TABLE = "operating_characteristics"
# What a piece's numbers come from; how they are summed up is no part of it.
_MODULES = ("analyses", "cells", "chunk", "follow", "kernel", "pilot", "scans", "truth")
CODE = (*(f"operating/{name}.py" for name in _MODULES), "virtual_trial", "survival", "pet", "plan.py")
_PARTS = ("trials", "patients")


class UnfinishedGrid(RuntimeError):
    """Some pieces of the grid failed; the finished ones are kept."""


def run_grid(
    plan: Plan,
    *,
    workers: int = 1,
    dask_scheduler: str | None = None,
    pieces: Pieces | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Run every virtual trial of the plan's grid and tabulate how each analysis behaves.

    Parameters
    ----------
    plan : Plan
        Sections operating, virtual, design, primary, pilot, survival, response and pet.
    workers, dask_scheduler
        As in `fanout.fan_out`. Results do not depend on them, nor on which other cells are run.
    pieces : Pieces, optional
        Where finished pieces are kept: what is found there is not run again, and further trials or cells are
        added to it. At the end pieces of other plans or other code are removed.
    report : callable, optional
        As in `fanout.fan_out`.

    Returns
    -------
    DataFrame
        Contract ``operating_characteristics``.

    Raises
    ------
    UnfinishedGrid
        If pieces failed, at the end; the others are kept.
    PlanError, ValueError
        As `cells.list_cells`.
    """
    cells, rules = list_cells(plan), plan.operating
    work = [list_chunks(cell, rules.trials, rules.chunk) for cell in cells]
    chunks = [chunk for of_cell in work for chunk in of_cell]
    done = {} if pieces is None else {n: found for n, c in enumerate(chunks) if (found := _find(pieces, c))}
    missing = [number for number in range(len(chunks)) if number not in done]

    def keep(position: int, result: Any) -> None:
        """Put a finished piece away."""
        if pieces is not None and not isinstance(result, Failure):
            for part, frame in zip(_PARTS, result, strict=True):
                pieces.put(_key(chunks[missing[position]], part), frame)

    what = f"pieces of {rules.chunk} virtual trials"
    tasks = [chunks[number] for number in missing]
    results = fan_out(tasks, run_chunk, workers, dask_scheduler, what=what, report=report, keep=keep)
    done |= dict(zip(missing, results, strict=True))
    _refuse_failures([done[number] for number in range(len(chunks))])
    tables, start = [], 0
    for cell, of_cell in zip(cells, work, strict=True):
        parts = [done[number] for number in range(start, start + len(of_cell))]
        rows, patients = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
        tables.append(summarise_cell(cell, rows, patients))
        start += len(of_cell)
    if pieces is not None:
        pieces.discard_others(_key(chunk, part) for chunk in chunks for part in _PARTS)
    return contracts.check(TABLE, pd.concat(tables, ignore_index=True))


def _find(pieces: Pieces, chunk: Chunk) -> tuple[pd.DataFrame, ...] | None:
    found = tuple(pieces.find(_key(chunk, part)) for part in _PARTS)
    return None if any(frame is None for frame in found) else found


def _key(chunk: Chunk, part: str) -> dict[str, Any]:
    return {**chunk.key, "code": code_digest(CODE), "part": part}


def _refuse_failures(results: list[Any]) -> None:
    failed = [(number, result) for number, result in enumerate(results) if isinstance(result, Failure)]
    if failed:
        number, failure = failed[0]
        raise UnfinishedGrid(
            f"{len(failed)} of {len(results)} pieces of the virtual trials failed, the first is number "
            f"{number}: {failure.code} {failure.message}. The finished ones are kept if there is a folder "
            "for them: mend the cause (WORKER_LOST: fewer workers, a smaller operating.chunk) and run again"
        )
