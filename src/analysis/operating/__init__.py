"""Operating characteristics: the virtual trial many times with known truth, and the size a trial needs."""

from analysis.operating.expected import curve_power, expect_power
from analysis.operating.grid import UnfinishedGrid, run_grid
from analysis.operating.planning import describe_groups, plan_size

__all__ = [
    "UnfinishedGrid",
    "curve_power",
    "describe_groups",
    "expect_power",
    "plan_size",
    "run_grid",
]
