"""ADTTE under every flipped switch of the plan: one PARAMCD each, derived here and never again.

A flip that only changes how the table is read asks the same facts anew; one that changes which lesions or
responses count derives ADTR and ADRS anew, for the subjects it can touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.facts import (
    CLINICAL_PROGRESSION,
    RESPONSE_PARAMETERS,
    Records,
    collect_records,
    number_records,
)
from analysis.clinical.lesions import derive_adtr, select_reads, start_dates
from analysis.clinical.responses import derive_adrs, response_parameter
from analysis.clinical.rule_table import check_rules
from analysis.clinical.rule_words import DATES, START, rows_in_force
from analysis.clinical.states import state_of
from analysis.clinical.subjects import assessment_dates, derive_adsl
from analysis.clinical.terms import has_word
from analysis.clinical.time_to_event import ADTTE_COLUMNS, derive_endpoint

# plan values only the table and its facts ask for: a flip of them derives nothing anew
TABLE_VALUES = {
    *("interval_weeks", "window_days", "no_baseline", "missed_visits", "new_therapy"),
    *("death_without_assessment", "clinical_progression", "between_visits", "never_assessed"),
    *("not_evaluable", "response_source"),
}
# plan values that change lesions and responses, but not ADSL
RESPONSE_VALUES = {
    *("evaluator", "reader", "pet_only_progression", "reappearance", "followup", "assessment_window_days"),
    *("pr_fraction", "pd_fraction", "pd_abs_mm", "node_normal_mm", "too_small_mm", "tolerance_mm"),
}
# plan values that choose whose reads count: what they make stands in no other evaluator's ADRS
READ_VALUES = {"clinical.evaluator", "clinical.reader"}


def derive_adtte_sensitivity(
    sdtm: Mapping[str, pd.DataFrame],
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    plan: plans.Plan | None = None,
) -> pd.DataFrame:
    """Derive one PARAMCD for every flipped switch of the plan (``clinical.tte_sensitivity``).

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains, for flips that change which lesions or responses count.
    adsl, adtr, adrs : DataFrame
        As derived under `plan`.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        Columns of ADTTE, sorted by subject and PARAMCD. A variant whose responses are not in the study
        (reported without RS, derived without TR, reads of an evaluator who made none) has no rows. SRCSEQ
        counts within the ADRS given; it is missing where a flip made a response that stands in none, or takes
        the reads of another evaluator or reader.

    Raises
    ------
    PlanError
        BAD_RULES, see `check_rules`.
    """
    plan = plan or plans.defaults()
    check_rules(plan.clinical)
    study = _Study(sdtm, adsl, adtr, adrs, plan)
    pieces = []
    for name, spec in sorted(plan.clinical.tte_sensitivity[plan.clinical.endpoint_rules].items()):
        changed = plan.override(spec["changes"])
        if _needs_responses(spec["endpoint"], changed.clinical) and not study.has_reads(changed.clinical):
            continue
        rows = derive_endpoint(spec["endpoint"], study.records_under(changed), changed)
        pieces.append(rows.assign(PARAMCD=name, PARAM=spec["param"]))
    if not any(map(len, pieces)):
        return pd.DataFrame(columns=ADTTE_COLUMNS)
    every = pd.concat([piece for piece in pieces if len(piece)], ignore_index=True)
    # the pieces come in the order of PARAMCD: a stable sort by subject keeps it
    order = np.argsort(pd.factorize(every.USUBJID, sort=True)[0], kind="stable")
    return every.take(order).reset_index(drop=True)


def _needs_responses(endpoint: str, rules) -> bool:
    rows = rows_in_force(rules.tte_rules[rules.endpoint_rules]["endpoints"][endpoint]["rows"], rules)
    return any(row["date"] != START and DATES[row["date"]].domain == "ADRS" for row in rows)


@dataclass
class _Study:
    """One study's tables, and the records of each set of lesions and responses, derived when first asked."""

    sdtm: Mapping[str, pd.DataFrame]
    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    plan: plans.Plan
    _records: dict[tuple, Records] = field(default_factory=dict)
    _reads: dict[tuple, bool] = field(default_factory=dict)

    def has_reads(self, rules) -> bool:
        """Tell whether the chosen evaluator made the reads this plan's responses come from."""
        domain = {"RSREP": "RS", "OVRLRESP": "TR"}[response_parameter(rules)]
        key = (domain, rules.evaluator, rules.reader)
        if key not in self._reads:
            self._reads[key] = not select_reads(self.sdtm[domain], domain, rules).empty
        return self._reads[key]

    def records_under(self, changed: plans.Plan) -> Records:
        """Return the records under `changed`, the study's own where no lesion or response changes."""
        differ = {
            key: value
            for key, value in changed.values.items()
            if value != self.plan.values[key] and key.partition(".")[2] not in TABLE_VALUES
        }
        key = tuple(sorted((name, repr(value)) for name, value in differ.items()))
        if key not in self._records:
            self._records[key] = self._derive(set(differ), changed)
        return self._records[key]

    def _derive(self, differ: set[str], changed: plans.Plan) -> Records:
        if not differ:
            return collect_records(self.adsl, self.adtr, number_records(self.adrs))
        if not differ <= {f"clinical.{name}" for name in RESPONSE_VALUES}:
            return self._derive_all(derive_adsl(self.sdtm, changed), changed, differ)
        touched = self._touched(differ)
        if touched is None:
            return self._derive_all(self.adsl, changed, differ)
        if not len(touched):
            return self.records_under(self.plan)
        return self._derive_some(touched, changed)

    def _derive_all(self, adsl: pd.DataFrame, changed: plans.Plan, differ: set[str]) -> Records:
        adtr = derive_adtr(self.sdtm, adsl, changed)
        adrs = self._locate(derive_adrs(self.sdtm, adtr, adsl, changed))
        if differ & READ_VALUES:  # a stop of treatment is nobody's read
            adrs["SRCSEQ"] = adrs.SRCSEQ.where(adrs.PARAMCD.eq(CLINICAL_PROGRESSION))
        return collect_records(adsl, adtr, adrs)

    def _derive_some(self, touched: pd.Index, changed: plans.Plan) -> Records:
        mine = lambda frame: frame[frame.USUBJID.isin(touched)]
        others = lambda frame: frame[~frame.USUBJID.isin(touched)]
        sdtm = {name: mine(frame) for name, frame in self.sdtm.items()}
        lesions = derive_adtr(sdtm, mine(self.adsl), changed)
        responses = self._locate(derive_adrs(sdtm, lesions, mine(self.adsl), changed))
        adtr = pd.concat([piece for piece in (others(self.adtr), lesions) if len(piece)] or [lesions])
        adrs = pd.concat([others(number_records(self.adrs)), responses])
        return collect_records(self.adsl, adtr, adrs)

    def _touched(self, differ: set[str]) -> pd.Index | None:
        """Return the subjects a flip can touch, None where that is anyone."""
        found = pd.Index([])
        for name in differ:
            if name == "clinical.pet_only_progression":
                found = found.union(self._seen_on_pet())
            elif name == "clinical.reappearance":
                found = found.union(self._once_gone())
            elif name == "clinical.followup":
                found = found.union(self._new_after_cutoff())
            else:
                return None
        return found

    def _seen_on_pet(self) -> np.ndarray:
        """Return who has a lesion on a PET that may lie after time zero; a lesion's method is that of TU."""
        rules, tu, tr = self.plan.clinical, self.sdtm["TU"], self.sdtm["TR"]
        tu = tu[has_word(tu.TUMETHOD, rules.pet_method_words)]
        silent = tr.TRMETHOD.isna() & tr.USUBJID.isin(tu.USUBJID)
        tr = tr[has_word(tr.TRMETHOD, rules.pet_method_words) | silent]
        start = start_dates(self.adsl, rules)
        found = []
        for domain, rows in (("TU", tu), ("TR", tr)):
            date = assessment_dates(self.sdtm, domain, rules, rows).DATE
            before = date.lt(rows.USUBJID.map(start).astype("datetime64[ns]"))
            found.append(rows.USUBJID[~before])
        return pd.concat(found).unique()

    def _once_gone(self) -> np.ndarray:
        """Return who has a lesion that was gone at an assessment: only such a lesion can come back."""
        size, kind = self.adtr.DIAM_MM, self.adtr.LESTYPE
        gone = kind.eq("TARGET") & size.le(self.plan.clinical.tolerance_mm)
        gone |= kind.eq("NON-TARGET") & state_of(self.adtr.STATE, self.plan.clinical).eq("ABSENT")
        return self.adtr.USUBJID[gone].unique()

    def _new_after_cutoff(self) -> np.ndarray:
        """Return whose new lesion has a record after the data cut-off, which may confirm it."""
        rows = self.adtr[self.adtr.LESTYPE.eq("NEW")]
        cutoff = rows.USUBJID.map(self.adsl.set_index("USUBJID").DCUTDT).astype("datetime64[ns]")
        return rows.USUBJID[rows.ADT.gt(cutoff)].unique()

    def _locate(self, adrs: pd.DataFrame) -> pd.DataFrame:
        """Give responses derived anew the SRCSEQ of the record in the study's ADRS that says the same."""
        key = ["USUBJID", "PARAMCD", "ADT", "AVALC"]
        stored = number_records(self.adrs)[[*key, "SRCSEQ"]].drop_duplicates(key)
        used = adrs[adrs.PARAMCD.isin(RESPONSE_PARAMETERS)]
        return used.merge(stored, how="left", on=key, validate="m:1")
