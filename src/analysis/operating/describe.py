"""What is planted in each cell of the grid of virtual trials, in words and values."""

from __future__ import annotations

import pandas as pd

from analysis.operating.cells import list_cells
from analysis.operating.planning import describe_groups
from analysis.plan import Plan, PlanError
from analysis.survival.power import schoenfeld_events


def describe_cells(plan: Plan) -> pd.DataFrame:
    """Tabulate the truth and the design of every cell of the plan's grid.

    Parameters
    ----------
    plan : Plan
        As `cells.list_cells`.

    Returns
    -------
    DataFrame
        One row a cell, in the plan's order: Truth, Size, and what may differ between them, each value as it
        is in force, whether the cell or the plan sets it. The loading of a day is the correlation of its
        change in uptake with the latent resistance.

    Raises
    ------
    PlanError, ValueError
        As `cells.list_cells`.
    """
    earlier, later = plan.design.followup_visits
    rows = []
    for cell in list_cells(plan):
        virtual = cell.plan.virtual
        rows.append(
            {
                "Truth": cell.truth,
                "Size": cell.size,
                "Hazard ratio per SD of resistance": virtual.hr_score,
                "Hazard ratio of ctDNA": virtual.hr_ctdna,
                "Hazard ratio of the gene": virtual.hr_gene,
                f"Loading {earlier}": virtual.loading_d14,
                f"Loading {later}": virtual.loading_d28,
                "Patients": virtual.n_patients,
                "Accrual, months": virtual.accrual_months,
                "Cut-off, months": cell.plan.design.cutoff_months,
            }
        )
    return pd.DataFrame(rows)


def check_plan(plan: Plan) -> None:
    """Refuse what cannot be simulated or planned, before hours of virtual trials and not after.

    Parameters
    ----------
    plan : Plan
        Sections of step 07.

    Raises
    ------
    PlanError
        For a grid without cells, or as `cells.list_cells`.
    ValueError
        For an effect, a share or a median no trial can have.
    """
    named = [*plan.operating.truths, *plan.operating.sizes]
    if not all(isinstance(name, str) for name in named):
        raise PlanError(
            "operating: truths and sizes need names in words (YAML reads null, yes and no otherwise)"
        )
    if not plan.operating.cells:
        raise PlanError("operating.cells is empty: name at least one pair [truth, size]")
    list_cells(plan)
    rules, alpha = plan.planning, plan.primary.alpha
    for ratio in {rules.hazard_ratio, *rules.hazard_ratios_shown}:
        schoenfeld_events(ratio, rules.nonresponse_share, power=rules.power, alpha=alpha)
    describe_groups(plan)
