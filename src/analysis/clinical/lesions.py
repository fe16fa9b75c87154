"""ADTR: lesions at assessments, from TU (which lesion) and TR (what was measured)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.dates import impute_dates
from analysis.clinical.recist import number_assessments, state_of
from analysis.clinical.sdtm import has_word

ADTR_COLUMNS = ["STUDYID", "USUBJID", "ADT", "AVISITN", "LESIONID", "ORGAN", "LESTYPE", "DIAM_MM", "STATE"]
# which diameter counts: nodes by their short axis, all else by the longest diameter
_DIAMETERS = {"LDIAM": 1, "DIAMETER": 2, "DIAM": 2, "SAXIS": 3}
_NODE_DIAMETERS = {"SAXIS": 1, "DIAMETER": 2, "DIAM": 2, "LDIAM": 3}
_STATES = ("TUMSTATE",)
_MM = {"MM": 1.0, "CM": 10.0}


def derive_adtr(
    sdtm: Mapping[str, pd.DataFrame], adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Derive ADTR: one row a subject, lesion and scan date, with the number of its assessment.

    Reads of the plan's evaluator only. New and non-target lesions seen after baseline on a PET only are left
    out unless the plan counts them. A lesion too small to measure gets the plan's diameter.

    Returns
    -------
    DataFrame
        ADTR columns; DIAM_MM in mm (nodes: short axis), AVISITN 0 = baseline, missing without
        a date or a start.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    lesions = lesion_records(sdtm, rules)
    start = start_dates(adsl, rules)
    late = lesions.USUBJID.map(start).astype("datetime64[ns]") < lesions.ADT
    if rules.pet_only_progression == "ignore":
        lesions = lesions[~(lesions.PET & late & lesions.LESTYPE.ne("TARGET"))].reset_index(drop=True)
    lesions["AVISITN"] = number_assessments(lesions, start, rules.assessment_window_days)
    lesions["STUDYID"] = lesions.USUBJID.map(adsl.set_index("USUBJID").STUDYID)
    known = lesions[lesions.USUBJID.isin(adsl.USUBJID)]
    return known.sort_values(["USUBJID", "ADT", "LESIONID"], ignore_index=True)[ADTR_COLUMNS]


def start_dates(adsl: pd.DataFrame, rules) -> pd.Series:
    """Return time zero by USUBJID: the ADSL date the rule set starts from."""
    return adsl.set_index("USUBJID")[rules.tte_rules[rules.endpoint_rules]["start"]]


def select_reads(frame: pd.DataFrame, domain: str, rules) -> pd.DataFrame:
    """Select the records of the plan's evaluator; a blank evaluator is the investigator.

    Independent reads must be the accepted ones; the plan's `reader`, if named, must have made them.
    """
    evaluator = frame[f"{domain}EVAL"].astype("string").str.upper().fillna("INVESTIGATOR")
    keep = evaluator.eq(rules.evaluator)
    if rules.evaluator != "INVESTIGATOR":
        keep &= frame[f"{domain}ACPTFL"].astype("string").str.upper().eq("Y").fillna(False)
        if rules.reader:
            keep &= frame[f"{domain}EVALID"].astype("string").eq(rules.reader).fillna(False)
    return frame[keep.astype(bool)]


def lesion_records(sdtm: Mapping[str, pd.DataFrame], rules) -> pd.DataFrame:
    """Join TU and TR to one row a subject, lesion and date.

    Returns
    -------
    DataFrame
        USUBJID LESIONID ADT ORGAN LESTYPE DIAM_MM STATE UNSCHED PET; a lesion of TU that TR never mentions on
        its TU date (a new or a non-target lesion) is PRESENT on that date.
    """
    identified = _identify(select_reads(sdtm["TU"], "TU", rules), rules)
    facts = identified.drop_duplicates(["USUBJID", "LESIONID"])[
        ["USUBJID", "LESIONID", "ORGAN", "LESTYPE", "PET"]
    ]
    measured = _measure(select_reads(sdtm["TR"], "TR", rules), facts, rules)
    seen = identified[["USUBJID", "LESIONID", "ADT", "ORGAN", "LESTYPE", "UNSCHED", "PET"]]
    have = pd.MultiIndex.from_frame(measured[["USUBJID", "LESIONID", "ADT"]])
    new = seen[~pd.MultiIndex.from_frame(seen[["USUBJID", "LESIONID", "ADT"]]).isin(have)]
    new = new.drop_duplicates(["USUBJID", "LESIONID", "ADT"]).assign(DIAM_MM=np.nan, STATE="PRESENT")
    new.loc[new.LESTYPE.eq("TARGET"), "STATE"] = None
    pieces = [piece for piece in (measured, new) if len(piece)]
    return pd.concat(pieces, ignore_index=True) if pieces else measured


def diameter_mm(tr: pd.DataFrame, too_small_mm: float) -> pd.Series:
    """Read the diameters of TR in mm.

    A number in cm is converted; "too small to measure" becomes `too_small_mm`; absent becomes 0; what is not
    done, not evaluable or of an unknown unit is missing.
    """
    standard = tr.TRSTRESN.fillna(tr.TRSTRESC)
    text = standard.fillna(tr.TRORRES).astype("string").str.upper()
    unit = tr.TRSTRESU.where(standard.notna(), tr.TRORRESU).astype("string").str.upper()
    value = pd.to_numeric(text, errors="coerce").astype(float) * unit.fillna("MM").map(_MM).astype(float)
    value = value.mask(has_word(text, ["TOO SMALL"]), too_small_mm)
    value = value.mask(state_of(text).eq("ABSENT") & value.isna(), 0.0)
    return value.mask(tr.TRSTAT.astype("string").str.upper().eq("NOT DONE").fillna(False))


def lesion_type(text: pd.Series) -> pd.Series:
    """Reduce the words of TU to TARGET, NON-TARGET, NEW or None."""
    words = text.astype("string").str.upper()
    found = np.select(
        [words.str.startswith(start).fillna(False) for start in ("NON", "NEW", "TARGET")],
        ["NON-TARGET", "NEW", "TARGET"],
        "",
    )
    return pd.Series(found, index=text.index, dtype=object).replace("", None)


def _identify(tu: pd.DataFrame, rules) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "USUBJID": tu.USUBJID,
            "LESIONID": tu.TULNKID,
            "ADT": impute_dates(tu.TUDTC, rules.imputation["assessment"]).DATE,
            "ORGAN": tu.TULOC,
            "LESTYPE": lesion_type(tu.TUSTRESC.fillna(tu.TUORRES)),
            "UNSCHED": is_unscheduled(tu),
            "PET": has_word(tu.TUMETHOD, rules.pet_method_words),
        }
    )
    order = ["USUBJID", "LESIONID", "ADT", "LESTYPE"]
    return rows.dropna(subset=["LESIONID", "LESTYPE"]).sort_values(order, ignore_index=True)


def _measure(tr: pd.DataFrame, facts: pd.DataFrame, rules) -> pd.DataFrame:
    rows = tr.assign(
        LESIONID=tr.TRLNKID,
        ADT=impute_dates(tr.TRDTC, rules.imputation["assessment"]).DATE,
        TEST=tr.TRTESTCD.astype("string").str.upper(),
        SEQ=pd.to_numeric(tr.TRSEQ, errors="coerce"),
        UNSCHED=is_unscheduled(tr),
        MM=diameter_mm(tr, rules.too_small_mm),
        TEXT=tr.TRSTRESC.fillna(tr.TRORRES),
    ).merge(facts, on=["USUBJID", "LESIONID"], validate="m:1")
    key = ["USUBJID", "LESIONID", "ADT"]
    rows["PET"] = has_word(rows.TRMETHOD, rules.pet_method_words) | (rows.TRMETHOD.isna() & rows.PET)
    shared = rows.sort_values("SEQ").drop_duplicates(key, keep="last")[[*key, "ORGAN", "LESTYPE"]]
    flags = rows.groupby(key, as_index=False, dropna=False).agg(
        UNSCHED=("UNSCHED", "all"), PET=("PET", "all")
    )
    for name, values in (("DIAM_MM", _diameters(rows, rules)), ("STATE", _states(rows))):
        shared = shared.merge(values.rename(columns={"VALUE": name}), how="left", on=key, validate="1:1")
    absent = shared.DIAM_MM.isna() & shared.LESTYPE.eq("TARGET") & state_of(shared.STATE).eq("ABSENT")
    shared["DIAM_MM"] = shared.DIAM_MM.mask(absent, 0.0)
    return shared.merge(flags, on=key, validate="1:1")


def _diameters(rows: pd.DataFrame, rules) -> pd.DataFrame:
    node = has_word(rows.ORGAN, rules.node_words)
    rank = rows.TEST.map(_NODE_DIAMETERS).where(node, rows.TEST.map(_DIAMETERS))
    found = rows.assign(RANK=rank, VALUE=rows.MM)[rank.notna()]
    # two records of one lesion and day: the measured one, then the wanted diameter, then the last record
    found = found.assign(EMPTY=found.VALUE.isna()).sort_values(
        ["EMPTY", "RANK", "SEQ"], ascending=[True, True, False]
    )
    return found.drop_duplicates(["USUBJID", "LESIONID", "ADT"])[["USUBJID", "LESIONID", "ADT", "VALUE"]]


def _states(rows: pd.DataFrame) -> pd.DataFrame:
    found = (
        rows[rows.TEST.isin(_STATES)]
        .sort_values("SEQ")
        .drop_duplicates(["USUBJID", "LESIONID", "ADT"], keep="last")
    )
    return found.rename(columns={"TEXT": "VALUE"})[["USUBJID", "LESIONID", "ADT", "VALUE"]]


def is_unscheduled(frame: pd.DataFrame) -> pd.Series:
    """Tell which records belong to no planned visit: by the visit's name, or a fractional VISITNUM."""
    number = pd.to_numeric(frame.VISITNUM, errors="coerce")
    return has_word(frame.VISIT, ["UNSCHED"]) | (number.notna() & number.mod(1).ne(0))
