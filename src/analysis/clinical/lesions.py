"""ADTR: lesions at assessments, from TU (which lesion) and TR (what was measured)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.recist import number_assessments
from analysis.clinical.sdtm import Problem, SdtmError
from analysis.clinical.states import state_of
from analysis.clinical.subjects import assessment_dates
from analysis.clinical.terms import by_value, has_word, is_word, number_groups, to_number, upper

ADTR_COLUMNS = ["STUDYID", "USUBJID", "ADT", "AVISITN", "LESIONID", "ORGAN", "LESTYPE", "DIAM_MM", "STATE"]
# which diameter counts: nodes by their short axis, all else by the longest diameter
_DIAMETERS = {"LDIAM": 1, "DIAMETER": 2, "DIAM": 2, "SAXIS": 3}
_NODE_DIAMETERS = {"SAXIS": 1, "DIAMETER": 2, "DIAM": 2, "LDIAM": 3}
_STATES = ("TUMSTATE",)
_KEY = ["USUBJID", "ADT", "LESIONID"]
_MM = {"MM": 1.0, "CM": 10.0}
LARGEST_MM = 1e6  # a kilometre is no diameter of a lesion, whatever the unit


def derive_adtr(
    sdtm: Mapping[str, pd.DataFrame],
    adsl: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    records: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Derive ADTR: one row a subject, lesion and scan date, with the number of its assessment.

    Reads of the plan's evaluator only. What is seen on a study PET alone is left out unless the plan counts
    it: exposure and outcome would be one scan. A lesion too small to measure gets the plan's diameter.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains; TU and TR are used.
    adsl : DataFrame
        As `derive_adsl` returns it.
    plan : Plan, optional
        Sections `clinical`, `design` and `visits`.
    records : DataFrame, optional
        What `lesion_records` gives for `sdtm` and this plan, if it is at hand: plans that differ only in
        `pet_only_progression`, `assessment_window_days` or the time zero share it.

    Returns
    -------
    DataFrame
        ADTR columns; DIAM_MM in mm (nodes: short axis), AVISITN 0 = baseline, missing without
        a date or a start.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    lesions = lesion_records(sdtm, rules) if records is None else records
    lesions = lesions[lesions.USUBJID.isin(adsl.USUBJID)]
    start = start_dates(adsl, rules)
    if rules.pet_only_progression == "ignore":
        lesions = lesions[~on_study_pet(lesions, start, plan)]
    lesions = lesions.reset_index(drop=True)
    lesions["AVISITN"] = number_assessments(lesions, start, rules.assessment_window_days)
    lesions["STUDYID"] = lesions.USUBJID.map(adsl.set_index("USUBJID").STUDYID)
    return lesions[ADTR_COLUMNS]


def on_study_pet(lesions: pd.DataFrame, start: pd.Series, plan: plans.Plan) -> pd.Series:
    """Tell which records come from a study PET after baseline.

    It is a PET between the first day of the first planned one's window and the last day of the last one's
    (a study PET is not always on time), or one whose visit bears the name of a planned one. Any other PET is
    imaging like any: RECIST 1.1 lets a new lesion on FDG-PET count.

    Parameters
    ----------
    lesions : DataFrame
        USUBJID ADT PET VISIT, as `lesion_records` returns them.
    start : Series
        Time zero by USUBJID.
    plan : Plan
        Sections `design` (followup_visits) and `visits` (their windows, study days; day 1 is time zero).
    """
    day = (lesions.ADT - lesions.USUBJID.map(start).astype("datetime64[ns]")).dt.days + 1
    planned = [visit for visit in plan.design.followup_visits if hasattr(plan.visits, _window(visit))]
    if not planned:  # no study PET, or one without a window of days: a ready table names its visits
        return pd.Series(False, index=lesions.index)
    windows = [getattr(plan.visits, _window(visit)) for visit in planned]
    span = min(first for first, _ in windows), max(last for _, last in windows)
    names = [rf"^(?:STUDY |VISIT )?D(?:AY)?[ _-]*0*{visit[1:]}\b" for visit in planned]
    return lesions.PET & (day.between(*span) | (has_word(lesions.VISIT, names) & day.gt(1)))


def _window(visit: str) -> str:
    return f"{visit.lower()}_window"


def check_reads(sdtm: Mapping[str, pd.DataFrame], rules) -> None:
    """Refuse a plan whose evaluator, or reader, made none of the reads that feed PFS.

    Raises
    ------
    SdtmError
        NO_READS, with whose reads there are; without it every subject would count as never assessed.
    """
    reported = rules.tte_rules[rules.endpoint_rules]["responses"][rules.response_source] == "RSREP"
    domain = "RS" if reported else "TR"
    frame = sdtm[domain]
    if frame.empty or len(select_reads(frame, domain, rules)):
        return
    who = frame[f"{domain}EVAL"].fillna("(blank)") + " " + frame[f"{domain}EVALID"].fillna("")
    there = ", ".join(f"{name.strip()} ({count})" for name, count in who.value_counts().head(8).items())
    asked = " ".join(filter(None, [rules.evaluator, rules.reader and f"reader {rules.reader!r}"]))
    message = (
        f"no record of {asked} (independent reads need {domain}ACPTFL Y); there are {there}; "
        "choose another clinical.evaluator or clinical.reader"
    )
    raise SdtmError([Problem("NO_READS", domain, f"{domain}EVAL", message)])


def start_dates(adsl: pd.DataFrame, rules) -> pd.Series:
    """Return time zero by USUBJID: the ADSL date the rule set starts from."""
    return adsl.set_index("USUBJID")[rules.tte_rules[rules.endpoint_rules]["start"]]


def select_reads(frame: pd.DataFrame, domain: str, rules) -> pd.DataFrame:
    """Select the records of the plan's evaluator; a blank evaluator is the investigator.

    Independent reads must be the accepted ones; the plan's `reader`, if named, must have made them.
    """
    keep = is_word(frame[f"{domain}EVAL"].fillna("INVESTIGATOR"), [rules.evaluator])
    if rules.evaluator != "INVESTIGATOR":
        keep &= is_word(frame[f"{domain}ACPTFL"], ["Y"])
        if rules.reader:
            keep &= frame[f"{domain}EVALID"].eq(rules.reader)
    return frame if keep.all() else frame[keep]


def lesion_records(sdtm: Mapping[str, pd.DataFrame], rules) -> pd.DataFrame:
    """Join TU and TR to one row a subject, lesion and date.

    Returns
    -------
    DataFrame
        USUBJID ADT LESIONID ORGAN LESTYPE DIAM_MM STATE UNSCHED PET VISIT, sorted by subject, date and
        lesion. A lesion that TU identifies on a date (a new or a non-target one) and of which TR says nothing
        then has the state TU gives it: PRESENT, or EQUIVOCAL. What TR says was not done is no record.
    """
    identified = _identify(sdtm, rules)
    facts = identified.drop_duplicates(["USUBJID", "LESIONID"], ignore_index=True)
    readings = _read(sdtm, facts, rules)
    keys = pd.concat([readings[_KEY], identified[_KEY]], ignore_index=True)
    number = number_groups(*(keys[name] for name in _KEY))  # of a record, in the order of the result
    readings.index, identified.index = number[: len(readings)], number[len(readings) :]
    measured = _measure(readings, facts, rules)
    measured = _named_new(measured, readings, identified)
    pieces = [piece for piece in (measured, _seen_only(identified, measured.index)) if len(piece)]
    records = pd.concat(pieces).sort_index() if pieces else measured
    return records.reset_index(drop=True)


def diameter_mm(tr: pd.DataFrame, rules) -> pd.Series:
    """Read the diameters of TR in mm.

    A number in cm is converted; "too small to measure" becomes the plan's `too_small_mm`, also where the
    standard result beside it is 0; absent becomes 0; what is not done, not evaluable, of an unknown unit,
    below 0 or above `LARGEST_MM` is missing.
    """
    text = tr.TRSTRESN.fillna(tr.TRSTRESC).fillna(tr.TRORRES)
    value = written_mm(tr)
    value = value.where(value.between(0, LARGEST_MM))
    for written in (tr.TRSTRESN, tr.TRSTRESC, tr.TRORRES):
        tiny = has_word(written, ["TOO SMALL"]) & (value.isna() | value.eq(0))
        value = value.mask(tiny, rules.too_small_mm)
    value = value.mask(state_of(text, rules).eq("ABSENT") & value.isna(), 0.0)
    return value.mask(is_word(tr.TRSTAT, ["NOT DONE"]))


def written_mm(tr: pd.DataFrame) -> pd.Series:
    """Return the diameters of TR in mm as they are written, possible or not; missing as in `diameter_mm`."""
    standard = tr.TRSTRESN.fillna(tr.TRSTRESC)
    unit = upper(tr.TRSTRESU.where(standard.notna(), tr.TRORRESU)).fillna("MM")
    return to_number(standard.fillna(tr.TRORRES)) * by_value(unit, lambda v: v.map(_MM).astype(float))


def lesion_type(text: pd.Series) -> pd.Series:
    """Reduce the words of TU to TARGET, NON-TARGET, NEW or None."""
    return by_value(text, _lesion_type)


def _lesion_type(text: pd.Series) -> pd.Series:
    words = text.astype("string").str.upper()
    found = np.select(
        [words.str.startswith(start).fillna(False) for start in ("NON", "NEW", "TARGET")],
        ["NON-TARGET", "NEW", "TARGET"],
        "",
    )
    return pd.Series(found, index=text.index, dtype=object).replace("", None)


def _identify(sdtm: Mapping[str, pd.DataFrame], rules) -> pd.DataFrame:
    """Read TU: what each lesion is, the earliest record of a lesion first."""
    tu = select_reads(sdtm["TU"], "TU", rules)
    rows = pd.DataFrame(
        {
            "USUBJID": tu.USUBJID,
            "LESIONID": tu.TULNKID,
            "ADT": assessment_dates(sdtm, "TU", rules, tu).DATE,
            "ORGAN": tu.TULOC,
            "LESTYPE": lesion_type(tu.TUSTRESC.fillna(tu.TUORRES)),
            "UNSCHED": is_unscheduled(tu),
            "PET": has_word(tu.TUMETHOD, rules.pet_method_words),
            "SEQ": to_number(tu.TUSEQ),
            "STATE": state_of(tu.TUSTRESC.fillna(tu.TUORRES), rules),
            "VISIT": tu.VISIT,
        }
    ).dropna(subset=["LESIONID", "LESTYPE"])
    # every column takes part, so that the order of the file decides nothing
    order = number_groups(*(rows[name] for name in ["USUBJID", "LESIONID", "ADT", "LESTYPE", "SEQ", "PET"]),
                          *(rows[name] for name in ["UNSCHED", "ORGAN", "STATE", "VISIT"]))  # fmt: skip
    return rows.iloc[np.argsort(order)].reset_index(drop=True)


def _read(sdtm: Mapping[str, pd.DataFrame], facts: pd.DataFrame, rules) -> pd.DataFrame:
    """Read TR: the records of lesions that TU identifies; FACT is the place of the lesion in `facts`."""
    tr = select_reads(sdtm["TR"], "TR", rules)
    tr = tr[~is_word(tr.TRSTAT, ["NOT DONE"])]  # no scan: neither an assessment nor a proof of anything
    found = _find_lesions(tr, facts)
    tr, fact = tr[found >= 0], found[found >= 0]
    node = has_word(facts.ORGAN, rules.node_words).to_numpy()[fact]
    test = upper(tr.TRTESTCD)
    of_node, of_other = (
        by_value(test, lambda v, rank=rank: v.map(rank).astype(float))
        for rank in (_NODE_DIAMETERS, _DIAMETERS)
    )
    by_pet = has_word(tr.TRMETHOD, rules.pet_method_words)
    return pd.DataFrame(
        {
            "USUBJID": tr.USUBJID,
            "LESIONID": tr.TRLNKID,
            "ADT": assessment_dates(sdtm, "TR", rules, tr).DATE,
            "FACT": fact,
            "SEQ": to_number(tr.TRSEQ).fillna(-np.inf),  # a record without a number comes before all others
            "UNSCHED": is_unscheduled(tr),
            "PET": by_pet | (facts.PET.to_numpy()[fact] & tr.TRMETHOD.isna()),
            "WANTED": of_node.where(node, of_other),
            "MM": diameter_mm(tr, rules),
            "IS_STATE": is_word(test, _STATES),
            "TEXT": tr.TRSTRESC.fillna(tr.TRORRES),
            "VISIT": tr.VISIT,
        }
    )


def _find_lesions(tr: pd.DataFrame, facts: pd.DataFrame) -> np.ndarray:
    """Return the place in `facts` of the lesion of each record of TR, -1 where TU does not identify it."""
    number = number_groups(
        pd.concat([facts.USUBJID, tr.USUBJID]).to_numpy(), pd.concat([facts.LESIONID, tr.TRLNKID]).to_numpy()
    )
    place = np.full(len(number), -1)
    place[number[: len(facts)]] = np.arange(len(facts))
    return place[number[len(facts) :]]


def _measure(readings: pd.DataFrame, facts: pd.DataFrame, rules) -> pd.DataFrame:
    """Reduce the readings to one row a record (the index): its diameter, state, method and visit."""
    rows = readings[~readings.index.duplicated()]
    lesion = facts.iloc[rows.FACT].set_axis(rows.index)
    out = rows[_KEY].assign(ORGAN=lesion.ORGAN, LESTYPE=lesion.LESTYPE)
    # two records of one lesion and day: the measured one, the wanted diameter, the last record, the largest
    sizes = readings[readings.WANTED.notna()]
    best = _first_of_record(sizes, sizes.MM.isna(), sizes.WANTED, -sizes.SEQ, -sizes.MM)
    out["DIAM_MM"] = best.MM
    states = readings[readings.IS_STATE]
    severity = number_groups(
        state_of(states.TEXT, rules).fillna(""), states.TEXT
    )  # the states sort by severity
    last = _first_of_record(states, -states.SEQ, -severity)
    out["STATE"] = last.TEXT.reindex(out.index).astype(object)
    out["STATE"] = out.STATE.where(out.STATE.notna(), None)
    absent = out.DIAM_MM.isna() & out.LESTYPE.eq("TARGET") & state_of(out.STATE, rules).eq("ABSENT")
    out["DIAM_MM"] = out.DIAM_MM.mask(absent, 0.0)
    for name in ("UNSCHED", "PET"):  # only where all of its readings are
        out[name] = ~out.index.isin(readings.index[~readings[name]])
    on_pet = readings.VISIT[readings.PET & readings.VISIT.notna()]
    out["VISIT"] = on_pet if on_pet.index.is_unique else on_pet.groupby(level=0).min()
    return out


def _named_new(measured: pd.DataFrame, readings: pd.DataFrame, identified: pd.DataFrame) -> pd.DataFrame:
    """Give a new lesion that TU names on the day of a blank reading the state TU gives it."""
    said = readings.index[readings.TEXT.notna() | readings.MM.notna()]
    named = identified.STATE[identified.LESTYPE.eq("NEW") & ~identified.index.duplicated()]
    blank = measured.LESTYPE.eq("NEW") & ~measured.index.isin(said) & measured.index.isin(named.index)
    state = measured.STATE.mask(blank, measured.index.to_series().map(named))
    return measured.assign(STATE=state.astype(object).where(state.notna(), None))


def _first_of_record(rows: pd.DataFrame, *order) -> pd.DataFrame:
    """Select the row of each record (the index) that comes first by `order`."""
    if rows.index.is_unique:
        return rows
    sorted_rows = rows.iloc[np.lexsort((*reversed(order), rows.index))]
    return sorted_rows[~sorted_rows.index.duplicated()]


def _seen_only(identified: pd.DataFrame, measured: pd.Index) -> pd.DataFrame:
    """Return the records of TU on days without a reading of that lesion."""
    new = identified[~(identified.index.isin(measured) | identified.index.duplicated())]
    state = new.STATE.mask(new.LESTYPE.eq("TARGET"), None)
    return new.drop(columns="SEQ").assign(DIAM_MM=np.nan, STATE=state)


def is_unscheduled(frame: pd.DataFrame) -> pd.Series:
    """Tell which records belong to no planned visit: by the visit's name, or a fractional VISITNUM."""
    number = to_number(frame.VISITNUM)
    return has_word(frame.VISIT, ["UNSCHED"]) | (number.notna() & number.mod(1).ne(0))
