"""Populations of a study: who belongs to each, and the reason of everybody who does not.

Reasons come from the exclusions ledger where it has one, else from the tables themselves. A subject outside
without a reason is an error, so that the flow of patients drawn from here always adds up.
"""

from analysis.populations.derive import PopulationError, derive_populations
from analysis.populations.flow import (
    count_populations,
    flow_from_populations,
    nest_populations,
    reasons_outside,
)

__all__ = [
    "PopulationError", "count_populations", "derive_populations", "flow_from_populations",
    "nest_populations", "reasons_outside",
]  # fmt: skip
