"""The grid of truths and sizes, divided into pieces whose results depend on nothing but themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.operating.pilot import SEEN_AT_VISITS
from analysis.operating.scans import check_days
from analysis.plan import Plan, PlanError

# Sections a virtual trial is simulated and analysed with.
SECTIONS = ("design", "primary", "pilot", "survival", "response", "pet", "virtual")
# Values of section operating that do; the others say which trials, and how many.
VALUES = ("missed_share", "missed_progressed_share", "permutations")
# With fewer there are no two patients to compare.
_LEAST_PILOT = 2
_EFFECTS = ("hr_score", "hr_ctdna", "hr_gene")


@dataclass(frozen=True)
class Cell:
    """One truth at one size.

    Attributes
    ----------
    truth, size : str
        Names in the plan.
    plan : Plan
        All a trial of this cell depends on, and nothing else.
    entropy : tuple of int
        Seed of the cell: the plan's, and digests of what truth and size change in the plan.
    """

    truth: str
    size: str
    plan: Plan
    entropy: tuple[int, ...]

    @property
    def is_null(self) -> bool:
        """Tell whether nothing that goes with response goes with the outcome."""
        return all(getattr(self.plan.virtual, name) == 1.0 for name in _EFFECTS)

    @property
    def later_is_better(self) -> bool | None:
        """Tell whether the later day foretells the outcome better; None where neither does."""
        earlier, later = self.plan.virtual.loading_d14, self.plan.virtual.loading_d28
        return None if self.is_null or earlier == later else later > earlier


@dataclass(frozen=True)
class Chunk:
    """Trials of a cell that are simulated together; all that a worker needs.

    Attributes
    ----------
    plan : Plan
        As of its `Cell`.
    entropy : tuple of int
        Seed: that of the cell, and the number of the chunk in it.
    trials : int
        How many.
    """

    plan: Plan
    entropy: tuple[int, ...]
    trials: int

    @property
    def key(self) -> dict[str, Any]:
        """What its results depend on, besides the code."""
        return {"plan": self.plan.digest(), "entropy": list(self.entropy), "trials": self.trials}


def list_cells(plan: Plan) -> list[Cell]:
    """List the cells of the plan's grid, in its order.

    Parameters
    ----------
    plan : Plan
        Sections operating, virtual, design, primary, pilot, survival, response and pet.

    Returns
    -------
    list of Cell
        One a row of `operating.cells`.

    Raises
    ------
    PlanError
        For a truth or size that the plan does not describe, a cell that stands twice, a value that both of a
        cell change, or a plan without one of the sections.
    ValueError
        For a design with other than two follow-up visits or without a pilot, or an endpoint the virtual trial
        has not.
    """
    plan = plan.restrict((*SECTIONS, "operating"))
    check_days(plan)
    _check_endpoints(plan)
    if plan.design.pilot_n < _LEAST_PILOT:
        raise ValueError(
            f"design.pilot_n is {plan.design.pilot_n}: without a pilot no day is chosen; "
            "leave step 07 out of design.steps"
        )
    rules = plan.operating
    cells = [tuple(cell) for cell in rules.cells]
    repeated = sorted({cell for cell in cells if cells.count(cell) > 1})
    if repeated:
        raise PlanError(f"operating.cells: {repeated} stand twice; keep one of each")
    found = []
    for cell in cells:
        truth, size = _look_up(rules, cell)
        both = sorted(set(truth) & set(size))
        if both:
            raise PlanError(f"operating: truth {cell[0]!r} and size {cell[1]!r} both set {both}")
        entropy = (rules.seed, _digest(truth), _digest(size))
        found.append(Cell(*cell, _restrict(plan.override({**truth, **size})), entropy))
    return found


def list_chunks(cell: Cell, trials: int, chunk: int) -> list[Chunk]:
    """Divide the trials of a cell; the last chunk may be smaller.

    Parameters
    ----------
    cell : Cell
        From `list_cells`.
    trials, chunk : int
        Trials in all, and together.

    Returns
    -------
    list of Chunk
        Whole chunks are the same whatever the number of trials: more trials are further chunks.
    """
    starts = range(0, trials, chunk)
    return [
        Chunk(cell.plan, (*cell.entropy, number), min(chunk, trials - start))
        for number, start in enumerate(starts)
    ]


def _check_endpoints(plan: Plan) -> None:
    wanted = [plan.primary.endpoint, *plan.primary.endpoints]
    unknown = sorted(set(wanted) - set(SEEN_AT_VISITS))
    if unknown:
        raise ValueError(
            f"the virtual trial has the endpoints {sorted(SEEN_AT_VISITS)}, not {unknown}: leave step 07 out "
            "of design.steps"
        )


def _look_up(rules, cell: tuple) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if len(cell) != 2 or cell[0] not in rules.truths or cell[1] not in rules.sizes:
        raise PlanError(
            f"operating.cells: {list(cell)} must be a truth of {sorted(rules.truths)} and a size of "
            f"{sorted(rules.sizes)}"
        )
    return rules.truths[cell[0]], rules.sizes[cell[1]]


def _digest(changes: Mapping[str, Any]) -> int:
    """Hash what is changed, not what it is called: another name, or place in the plan, is the same cell."""
    text = json.dumps(changes, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _restrict(plan: Plan) -> Plan:
    """Keep what a trial depends on; which scenario or study it comes from is no part of it."""
    names = {f"operating.{name}" for name in VALUES}
    values = {
        key: value for key, value in plan.values.items() if key.split(".")[0] in SECTIONS or key in names
    }
    return Plan("operating", values)
