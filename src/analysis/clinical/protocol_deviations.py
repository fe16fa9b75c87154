"""Protocol deviations that the clinical records show: assessments, treatment, eligibility, follow-up, DV.

Rules and limits are values of the plan (``clinical.deviation_rules`` and what follows it). Treated subjects
only: who was never treated is in the ledger. What scans show is derived in `scan_deviations`, and both are
joined, set against the ledger and told apart from each other in `deviation_ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical import deviation_assessments
from analysis.clinical.dates import impute_dates
from analysis.clinical.deviation_frame import (
    Found,
    found_rows,
    joined,
    rules_in_use,
    tabulate_found,
    unknown,
    why_not_asked,
)
from analysis.clinical.deviation_records import Records, first_progression
from analysis.clinical.responses import cutoff_dates
from analysis.clinical.terms import has_word, is_word, to_number, upper

NOT_CODED = "NOT CODED"
_DAY = pd.Timedelta(days=1)


def derive_protocol_deviations(
    sdtm: Mapping[str, pd.DataFrame],
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    plan: plans.Plan | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Derive the protocol deviations of treated subjects that the clinical records show.

    Where outcomes came as one ready table no rule can be answered, and each says why.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains as `read_sdtm` returns them; CM, DV and EX are read.
    adsl, adtr, adrs : DataFrame
        Tables of these names.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    (DataFrame, DataFrame)
        Tables deviations_01 (a deviation a row) and deviation_rules_01 (a rule a row, answered or not).
    """
    plan = plan or plans.defaults()
    treated = adsl[adsl["SAFFL"].eq("Y")]
    records = Records(sdtm, treated, adtr, adrs, plan)
    asked = [code for code in rules_in_use(plan.clinical) if code in _RULES]
    why = why_not_asked(plan.clinical) or ("" if records.start.notna().any() else "no date of time zero")
    found = {code: unknown(why) if why else _RULES[code](records) for code in asked}
    return tabulate_found(found, adsl, plan.clinical, ("deviations_01", "deviation_rules_01"))


def _doses(e: Records) -> pd.DataFrame:
    """Return the periods in which a drug was given, with both dates complete: USUBJID DRUG FIRST LAST."""
    ex = e.sdtm["EX"]
    dose = to_number(ex["EXDOSE"])
    given = dose.gt(0) | (dose.eq(0) & has_word(ex["EXTRT"], ["PLACEBO"]))
    rows = ex[given & ex["USUBJID"].isin(e.adsl["USUBJID"])]
    dated = {name: impute_dates(rows[f"EX{name}DTC"], "none").DATE for name in ("ST", "EN")}
    periods = pd.DataFrame(
        {
            "USUBJID": rows["USUBJID"],
            "DRUG": upper(rows["EXTRT"]).fillna(""),
            "FIRST": dated["ST"],
            "LAST": dated["EN"],
        }
    )
    return periods.dropna(subset=["FIRST", "LAST"]).sort_values(["USUBJID", "DRUG", "FIRST", "LAST"])


def _dose_gap(e: Records) -> Found:
    doses, limit = _doses(e), e.rules.deviation_gap_days
    if doses.empty:
        return unknown("no complete dates of dosing")
    by = [doses["USUBJID"], doses["DRUG"]]
    until = doses["LAST"].astype("int64").groupby(by).cummax()  # a period may lie within an earlier one
    before = pd.to_datetime(until.groupby(by).shift())
    gap = (doses["FIRST"] - before) / _DAY - 1
    text = f"at most {limit:g} days without a drug"
    rows = found_rows(doses.assign(AVAL=gap)[gap > limit], "EX", UNIT="days", LIMIT=text)
    return Found(rows, doses["USUBJID"].nunique())


def _new_therapy(e: Records) -> Found:
    if e.adsl["NACTDT"].isna().all() and e.sdtm["CM"].empty:
        return unknown("no record of other therapies")
    seen = e.adsl["USUBJID"].map(first_progression(e.adrs, e.rules, stops=True))
    cut = e.adsl["USUBJID"].map(cutoff_dates(e.adsl, e.rules))
    start = e.adsl["NACTDT"]
    early = start.notna() & ~seen.le(start) & ~start.gt(cut)
    rows = e.adsl.loc[early, ["USUBJID"]]
    return Found(found_rows(rows, "CM, ADRS", LIMIT="after progression"), len(e.adsl))


def _not_eligible(e: Records) -> Found:
    pieces, known = [], np.zeros(len(e.adsl), dtype=bool)
    for criterion in e.rules.deviation_eligibility:
        can_tell, broken, text = _criterion(e, criterion)
        known |= can_tell.to_numpy()
        pieces.append(found_rows(e.adsl.loc[broken, ["USUBJID"]], "ADSL", LIMIT=text))
    if not known.any():
        return unknown("no criterion of eligibility is recorded")
    return Found(joined(pieces), int(known.sum()))


def _criterion(e: Records, criterion: Mapping) -> tuple[pd.Series, pd.Series, str]:
    """Return who can be judged by a criterion, who breaks it, and the criterion in words."""
    subjects = e.adsl["USUBJID"]
    if "therapy" in criterion:
        category = criterion["therapy"]
        told = pd.Series(len(e.sdtm["CM"]) > 0, index=subjects.index)
        had = subjects.isin(e.sdtm["CM"].loc[is_word(e.sdtm["CM"]["CMCAT"], [category]), "USUBJID"])
        return told, told & ~had, category.lower()
    values = e.adsl[criterion["column"]]
    told = values.notna() & values.ne("U")
    name = criterion["column"]
    if "one_of" in criterion:
        kept, text = values.isin(criterion["one_of"]), f"{name} {' or '.join(criterion['one_of'])}"
    elif "at_least" in criterion:
        kept, text = values.ge(criterion["at_least"]), f"{name} at least {criterion['at_least']:g}"
    elif "at_most" in criterion:
        kept, text = values.le(criterion["at_most"]), f"{name} at most {criterion['at_most']:g}"
    else:
        raise plans.PlanError(
            f"clinical.deviation_eligibility: one_of, at_least, at_most or therapy, found {criterion!r}"
        )
    return told, told & ~kept, text


def _contact_lost(e: Records) -> Found:
    alive = e.adsl[e.adsl["DTHFL"].ne("Y") & e.adsl["LSTALVDT"].notna() & e.adsl["DCUTDT"].notna()]
    if e.adsl["DCUTDT"].isna().all() or e.adsl["LSTALVDT"].isna().all():
        return unknown("no data cut-off or no dates of contact")
    limit = e.rules.deviation_contact_days
    silent = (alive["DCUTDT"] - alive["LSTALVDT"]) / _DAY
    rows = alive.assign(AVAL=silent)[silent > limit]
    text = f"a contact within {limit:g} days before the data cut-off"
    return Found(found_rows(rows, "ADSL", UNIT="days", LIMIT=text), len(e.adsl))


def _recorded(e: Records) -> Found:
    dv, rules = e.sdtm["DV"], e.rules
    if dv.empty and "file" not in dv.attrs:
        return unknown("no domain DV")
    rows = dv[dv["USUBJID"].isin(e.adsl["USUBJID"])]
    code = upper(rows["DVDECOD"])
    coded = code.str.fullmatch(rules.deviation_dv_form).fillna(False).astype(bool)
    important = has_word(rows["DVCAT"], [rf"^\s*{word}" for word in rules.deviation_important_words])
    grade = np.where(important, "important", rules.deviation_rules["RECORDED"]["grade"])
    said = found_rows(rows, "DV").assign(DVDECOD=code.where(coded, NOT_CODED).astype(object), GRADE=grade)
    return Found(said, len(e.adsl))


_RULES: dict[str, Callable[[Records], Found]] = {
    "DOSE_GAP": _dose_gap,
    "NEW_THERAPY_BEFORE_PROGRESSION": _new_therapy,
    "BASELINE_ASSESSMENT_MISSING": deviation_assessments.baseline_missing,
    "BASELINE_ASSESSMENT_OLD": deviation_assessments.baseline_old,
    "ASSESSMENT_MISSED": deviation_assessments.assessment_missed,
    "ASSESSMENT_OUT_OF_WINDOW": deviation_assessments.assessment_out_of_window,
    "NOT_ELIGIBLE": _not_eligible,
    "CONTACT_LOST": _contact_lost,
    "RECORDED": _recorded,
}
