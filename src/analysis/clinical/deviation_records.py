"""What the rules for protocol deviations look at, and until when a subject owed visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import plan as plans
from analysis.clinical.facts import CLINICAL_PROGRESSION
from analysis.clinical.lesions import start_dates
from analysis.clinical.responses import cutoff_dates, response_parameter


@dataclass(frozen=True)
class Records:
    """What the rules look at: domains, tables of the treated subjects, the plan."""

    sdtm: Mapping[str, pd.DataFrame]
    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    plan: plans.Plan

    @property
    def rules(self) -> plans.Section:
        """Section `clinical` of the plan."""
        return self.plan.clinical

    @property
    def start(self) -> pd.Series:
        """Time zero by USUBJID."""
        return start_dates(self.adsl, self.rules)

    def assessments(self) -> pd.DataFrame:
        """Return the assessments of the response that counts: USUBJID ADT, from time zero on."""
        rows = self.adrs[self.adrs["PARAMCD"].eq(response_parameter(self.rules))]
        rows = rows[rows["USUBJID"].isin(self.adsl["USUBJID"])][["USUBJID", "ADT"]].dropna()
        first = rows["USUBJID"].map(self.start).astype("datetime64[ns]")
        return rows[rows["ADT"].ge(first)].drop_duplicates().sort_values(["USUBJID", "ADT"])


def duty_ends(adsl: pd.DataFrame, adrs: pd.DataFrame | None, plan: plans.Plan) -> pd.Series:
    """Compute until when scans and assessments of each subject were due.

    The first of progression (of the response that counts), new anti-cancer therapy, death, the last date
    known alive and the data cut-off: nobody misses a visit after any of these.

    Returns
    -------
    Series of datetime64[ns]
        By USUBJID; NaT where neither contact nor cut-off is known.
    """
    rules, subjects = plan.clinical, adsl.set_index("USUBJID")
    ends = subjects[["NACTDT", "DTHDT", "LSTALVDT"]].assign(CUTOFF=cutoff_dates(adsl, rules))
    # A death ends follow-up at its own date, whatever the last contact before it.
    ends["LSTALVDT"] = ends["LSTALVDT"].mask(ends["DTHDT"].notna())
    ends["PD"] = pd.NaT if adrs is None else first_progression(adrs, rules, stops=False)
    return ends.min(axis=1).where(ends[["LSTALVDT", "DTHDT", "CUTOFF"]].notna().any(axis=1))


def first_progression(adrs: pd.DataFrame, rules, *, stops: bool) -> pd.Series:
    """Return the first progression by USUBJID, of the response that counts or (`stops`) a stop for one."""
    seen = adrs["PARAMCD"].eq(response_parameter(rules)) & adrs["AVALC"].eq("PD")
    if stops:
        seen |= adrs["PARAMCD"].eq(CLINICAL_PROGRESSION)
    return adrs[seen].groupby("USUBJID")["ADT"].min()
