"""Operating characteristics: the virtual trial many times with known truth, and the size a trial needs."""

from analysis.operating.describe import check_plan, describe_cells
from analysis.operating.expected import (
    curve_power,
    expect_power,
    formula_beside,
    needed_size,
    sizes_by_patients,
)
from analysis.operating.grid import UnfinishedGrid, run_grid
from analysis.operating.planning import describe_groups, plan_size

__all__ = [
    "UnfinishedGrid",
    "check_plan",
    "curve_power",
    "describe_cells",
    "describe_groups",
    "expect_power",
    "formula_beside",
    "needed_size",
    "plan_size",
    "run_grid",
    "sizes_by_patients",
]
