"""RECIST 1.1 from lesion measurements: assessments, and the response at each.

Source: Eisenhauer et al. 2009, Eur J Cancer 45:228-247 (doi 10.1016/j.ejca.2008.10.026).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical.states import state_of
from analysis.clinical.terms import has_word, number_groups

RESPONSE_COLUMNS = [
    "USUBJID",
    "AVISITN",
    "ADT",
    "TRGRESP",
    "NTRGRESP",
    "NEWLES",
    "OVRLRESP",
    "SUMDIAM",
    "NADIR",
]


def number_assessments(lesions: pd.DataFrame, start: pd.Series, window_days: int) -> pd.Series:
    """Give each assessment of a subject its number: 0 is baseline, then 1, 2, ...

    Everything up to the start is the baseline. After it, scans within `window_days` of the first scan of an
    assessment belong to it (chest CT on Monday, liver MRI on Thursday). Days with only unscheduled records
    are assessments of their own (visit numbers are no key, since unscheduled visits share them), but for
    those between two scan days of one assessment: they belong to it.

    Parameters
    ----------
    lesions : DataFrame
        USUBJID, ADT, UNSCHED (bool); one row a lesion and date.
    start : Series
        Time zero by USUBJID.
    window_days : int
        Width of an assessment, days, inclusive.

    Returns
    -------
    Series
        Float on the index of `lesions`; missing without a date or a start.
    """
    zero = lesions.USUBJID.map(start).astype("datetime64[ns]")
    after = (zero < lesions.ADT).to_numpy()
    rows = pd.DataFrame(
        {"WHO": number_groups(lesions.USUBJID), "ADT": lesions.ADT, "UNSCHED": lesions.UNSCHED}
    )[after]
    place = number_groups(rows.WHO, rows.ADT)
    days = rows.groupby(place).agg(WHO=("WHO", "first"), ADT=("ADT", "first"), UNSCHED=("UNSCHED", "all"))
    first = _first_scan(days, window_days)
    days["AVISITN"] = first.groupby(days.WHO).rank(method="dense")
    number = pd.Series(0.0, index=lesions.index).where(lesions.ADT.notna() & zero.notna())
    number.loc[after] = days.AVISITN.to_numpy()[place]
    return number


def _first_scan(days: pd.DataFrame, window_days: int) -> pd.Series:
    # a scan opens an assessment when the last one is closed: a running decision, so a loop over scan days
    day = days.ADT.to_numpy().astype("datetime64[D]").astype("int64")
    subject, alone = days.WHO.to_numpy(), days.UNSCHED.to_numpy()
    opened = np.empty(len(days), dtype="float64")
    who, current = None, 0
    for row in range(len(days)):
        if alone[row]:
            opened[row] = day[row]
            continue
        if subject[row] != who or day[row] - current > window_days:
            who, current = subject[row], day[row]
        opened[row] = current
    planned = pd.Series(opened, index=days.index).mask(alone).groupby(days.WHO)
    inside = planned.ffill().eq(planned.bfill())  # an unscheduled day within an assessment joins it
    first = planned.ffill().where(inside, opened)
    return first + np.where(alone & ~inside, 0.5, 0.0)  # half a day keeps the two kinds apart


def derive_responses(adtr: pd.DataFrame, rules, cutoff: pd.Series | None = None) -> pd.DataFrame:
    """Derive target, non-target and overall response of every assessment after baseline (RECIST 1.1).

    Parameters
    ----------
    adtr : DataFrame
        Lesions at assessments: USUBJID ADT AVISITN LESIONID ORGAN LESTYPE DIAM_MM STATE.
    rules : Section
        ``clinical`` of the plan.
    cutoff : Series, optional
        Last date that enters, by USUBJID (NaT: all): a later scan confirms no equivocal new lesion.

    Returns
    -------
    DataFrame
        One row a subject and assessment: USUBJID AVISITN ADT (PD: earliest scan that shows it, else the last
        scan) TRGRESP NTRGRESP (None where there are no such lesions) NEWLES (Y/N) OVRLRESP SUMDIAM NADIR (mm;
        the smallest complete sum before this assessment, baseline included).
    """
    # an undated target still tells that it was to be measured at baseline
    rows = adtr[adtr.AVISITN.notna() | (adtr.ADT.isna() & adtr.LESTYPE.eq("TARGET"))]
    rows = rows.assign(
        WHO=number_groups(rows.USUBJID),
        LESION=number_groups(rows.USUBJID, rows.LESIONID),
        VISIT=number_groups(rows.USUBJID, rows.AVISITN),
    )
    after = rows[rows.AVISITN.gt(0)]
    visits = after.drop_duplicates("VISIT").set_index("VISIT")[["USUBJID", "WHO", "AVISITN"]].sort_index()
    visits["LASTDT"] = after.groupby("VISIT").ADT.max()
    visits = visits.join(_target_response(rows, visits, rules))
    visits = visits.join(_non_target_response(rows, visits, rules)).join(_new_lesions(after, rules, cutoff))
    visits["NEWLES"] = np.where(visits.NEWDT.notna(), "Y", "N")
    visits["OVRLRESP"] = overall_response(visits.TRGRESP, visits.NTRGRESP, visits.NEWLES)
    visits = _reappearance(visits, rules)
    progressed = visits[["TRGPDDT", "NTPDDT", "NEWDT"]].min(axis=1)
    visits["ADT"] = visits.LASTDT.where(visits.OVRLRESP.ne("PD"), progressed)
    return visits.reset_index(drop=True)[RESPONSE_COLUMNS]


def baseline_targets(adtr: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ADTR in which a target lesion is measured at baseline."""
    return adtr[adtr.AVISITN.eq(0) & adtr.LESTYPE.eq("TARGET") & adtr.DIAM_MM.notna()]


def overall_response(target: pd.Series, non_target: pd.Series, new_lesion: pd.Series) -> np.ndarray:
    """Combine target, non-target and new lesions into the overall response (Eisenhauer 2009, Tables 1 and 2).

    Parameters
    ----------
    target : Series
        CR PR SD PD NE, or None where the subject has no target lesion.
    non_target : Series
        CR NON-CR/NON-PD PD NE, or None where the subject has no non-target lesion (counts as CR).
    new_lesion : Series
        Y or N.

    Returns
    -------
    ndarray of str
    """
    any_pd = target.eq("PD") | non_target.eq("PD") | new_lesion.eq("Y")
    no_target = target.isna()
    cleared = non_target.eq("CR") | non_target.isna()
    return np.select(
        [
            any_pd,
            no_target & non_target.isna(),
            no_target,
            target.eq("CR") & cleared,
            target.isin(["CR", "PR"]),
            target.eq("SD"),
        ],
        ["PD", "NE", non_target.fillna("NE"), "CR", "PR", "SD"],
        "NE",
    ).astype(object)


def _target_response(rows: pd.DataFrame, visits: pd.DataFrame, rules) -> pd.DataFrame:
    """Return TRGRESP SUMDIAM NADIR TRGPDDT BACKDT by VISIT."""
    grid = _target_grid(rows, visits, rules)
    by_visit = grid.groupby("VISIT")
    sums = by_visit.agg(
        WHO=("WHO", "first"),
        SUMDIAM=("DIAM_MM", "sum"),
        MISSING=("ABSENT_VALUE", "sum"),
        NORMAL=("NORMAL", "all"),
        UNKNOWN=("NO_BASE", "any"),
    )
    sums["BASESUM"] = by_visit.BASE_MM.sum(min_count=1)  # missing where no target has a baseline
    sums["NADIR"] = _nadir(sums)
    sums["TRGRESP"] = _classify_targets(sums, rules)
    sums["TRGPDDT"] = _first_shown(grid, sums.NADIR, rules)
    sums["TRGPDDT"] = sums.TRGPDDT.where(sums.TRGRESP.eq("PD"))
    sums["BACKDT"] = grid.ADT[grid.BACK].groupby(grid.VISIT).min()
    sums["SUMDIAM"] = sums.SUMDIAM.where(sums.MISSING.eq(0) & sums.BASESUM.notna())
    return sums[["TRGRESP", "SUMDIAM", "NADIR", "TRGPDDT", "BACKDT"]]


def _first_shown(grid: pd.DataFrame, nadir: pd.Series, rules) -> pd.Series:
    """Return the date at which the sum first reaches progression, by VISIT.

    An assessment may take several days. After each, the targets not yet scanned count with their last
    diameter: growth seen on Monday is progression on Monday, though the liver is scanned on Thursday. A
    target that is not measured at all does not count.
    """
    seen = grid[grid.DIAM_MM.notna()]
    before = seen.LAST_MM.groupby(seen.VISIT).transform("sum")
    total = before + (seen.DIAM_MM - seen.LAST_MM).groupby(seen.VISIT).cumsum()
    day_over = ~seen.duplicated(["VISIT", "ADT"], keep="last")
    hit = _is_progression(total, seen.VISIT.map(nadir), rules) & day_over
    return seen.ADT[hit].groupby(seen.VISIT).min()


def _target_grid(rows: pd.DataFrame, visits: pd.DataFrame, rules) -> pd.DataFrame:
    """Return one row a visit and target of the baseline, measured there or not, in the order of the scans.

    A target named at baseline without a diameter there (NO_BASE) has no part in the sums, but is known to be.
    """
    targets = rows[rows.LESTYPE.eq("TARGET")]
    measured = targets[targets.AVISITN.notna() & targets.DIAM_MM.notna()]
    last = measured.sort_values("ADT", kind="stable").drop_duplicates(["VISIT", "LESION"], keep="last")
    named = targets[targets.AVISITN.eq(0) | targets.ADT.isna()].drop_duplicates("LESION")
    base = named[["WHO", "LESION"]].assign(NODE=has_word(named.ORGAN, rules.node_words))
    base["BASE_MM"] = base.LESION.map(last[last.AVISITN.eq(0)].set_index("LESION").DIAM_MM)
    base["NO_BASE"] = base.BASE_MM.isna()
    grid = visits[["WHO"]].reset_index().merge(base.sort_values("LESION"), on="WHO")  # in the order of visits
    grid = grid.merge(last[["VISIT", "LESION", "DIAM_MM", "ADT"]], how="left", on=["VISIT", "LESION"])
    grid["ABSENT_VALUE"] = grid.DIAM_MM.isna() & ~grid.NO_BASE
    normal_node = rules.node_normal_mm - rules.tolerance_mm > grid.DIAM_MM
    grid["NORMAL"] = np.where(grid.NODE, normal_node, grid.DIAM_MM.le(rules.tolerance_mm))
    known = grid.DIAM_MM.groupby(grid.LESION).ffill()
    grid["LAST_MM"] = known.groupby(grid.LESION).shift().fillna(grid.BASE_MM)
    lowest = grid.DIAM_MM.groupby(grid.LESION).cummin().groupby(grid.LESION).ffill()
    earlier = lowest.groupby(grid.LESION).shift()
    grid["BACK"] = ~grid.NODE & earlier.le(rules.tolerance_mm) & grid.DIAM_MM.gt(rules.tolerance_mm)
    grid["DIAM_MM"] = grid.DIAM_MM.mask(grid.NO_BASE)
    return grid.iloc[np.lexsort((grid.ADT, grid.VISIT))]


def _nadir(sums: pd.DataFrame) -> pd.Series:
    whole = sums.SUMDIAM.where(sums.MISSING.eq(0), np.inf)
    before = whole.groupby(sums.WHO).cummin().groupby(sums.WHO).shift().fillna(np.inf)
    return np.minimum(before, sums.BASESUM)


def _is_progression(total: pd.Series, nadir: pd.Series, rules) -> pd.Series:
    relative = total >= rules.pd_fraction * nadir - rules.tolerance_mm
    return relative & (total - nadir >= rules.pd_abs_mm - rules.tolerance_mm)


def _classify_targets(sums: pd.DataFrame, rules) -> np.ndarray:
    whole = sums.MISSING.eq(0) & ~sums.UNKNOWN
    partial = rules.pr_fraction * sums.BASESUM + rules.tolerance_mm >= sums.SUMDIAM
    return np.select(
        [whole & sums.NORMAL, _is_progression(sums.SUMDIAM, sums.NADIR, rules), ~whole, partial],
        ["CR", "PD", "NE", "PR"],
        "SD",
    ).astype(object)


def _reappearance(visits: pd.DataFrame, rules) -> pd.DataFrame:
    # a lesion came back: PD whatever its size, if the rule says so (always, or once the patient was in CR);
    # a non-target, which has no size, only once the patient was in CR
    first_cr = visits.AVISITN.where(visits.OVRLRESP.eq("CR")).groupby(visits.WHO).transform("min")
    was_cr = visits.AVISITN.gt(first_cr)
    asked = {"pd_if_patient_cr": was_cr, "always_pd": True, "rejoin_sum": False}[rules.reappearance]
    back = visits.BACKDT.notna() & asked
    visits = visits.copy()
    visits["TRGRESP"] = visits.TRGRESP.mask(back, "PD")
    visits["OVRLRESP"] = visits.OVRLRESP.mask(back, "PD")
    visits["TRGPDDT"] = visits.TRGPDDT.where(~back, visits[["TRGPDDT", "BACKDT"]].min(axis=1))
    back = visits.NTBACKDT.notna() & was_cr & (rules.reappearance != "rejoin_sum")
    visits["NTRGRESP"] = visits.NTRGRESP.mask(back, "PD")
    visits["OVRLRESP"] = visits.OVRLRESP.mask(back, "PD")
    visits["NTPDDT"] = visits.NTPDDT.where(~back, visits[["NTPDDT", "NTBACKDT"]].min(axis=1))
    return visits


_STATE_RANK = {"ABSENT": 0.0, "PRESENT": 1.0, "PROGRESSION": 2.0}
_NON_TARGET = {0.0: "CR", 1.0: "NON-CR/NON-PD", 2.0: "PD"}


def _non_target_response(rows: pd.DataFrame, visits: pd.DataFrame, rules) -> pd.DataFrame:
    """Return NTRGRESP NTPDDT NTBACKDT (a lesion that was absent is present again; nodes apart) by VISIT."""
    rows = rows[rows.LESTYPE.eq("NON-TARGET")]
    state = state_of(rows.STATE, rules)
    rows = rows.assign(RANK=state.map({**_STATE_RANK, "EQUIVOCAL": 1.0}).astype(float))
    base = rows.loc[rows.AVISITN.eq(0), ["WHO", "LESION"]].drop_duplicates()
    worst = rows.groupby(["VISIT", "LESION"], as_index=False).RANK.max()
    grid = visits[["WHO"]].reset_index().merge(base, on="WHO")
    grid = grid.merge(worst, how="left", on=["VISIT", "LESION"], validate="1:1")
    response = grid.groupby("VISIT").agg(RANK=("RANK", "max"))
    unknown = response.index.isin(grid.VISIT[grid.RANK.isna()])
    worsened = response.RANK.eq(_STATE_RANK["PROGRESSION"])
    response["NTRGRESP"] = response.RANK.map(_NON_TARGET).astype(object).where(worsened | ~unknown, "NE")
    worse = rows[rows.RANK.eq(_STATE_RANK["PROGRESSION"]) & rows.LESION.isin(base.LESION)]
    response["NTPDDT"] = worse.groupby("VISIT").ADT.min()
    gone = rows[rows.AVISITN.gt(0) & rows.RANK.eq(0)].groupby("LESION").AVISITN.min()
    back = rows[rows.AVISITN.gt(rows.LESION.map(gone)) & state.isin(["PRESENT", "PROGRESSION"])]
    back = back[back.LESION.isin(base.LESION) & ~has_word(back.ORGAN, rules.node_words)]
    response["NTBACKDT"] = back.groupby("VISIT").ADT.min()
    return response[["NTRGRESP", "NTPDDT", "NTBACKDT"]]


def _new_lesions(after: pd.DataFrame, rules, cutoff: pd.Series | None) -> pd.Series:
    """Return the date of the first new lesion, NEWDT, by VISIT."""
    rows = after[after.LESTYPE.eq("NEW")]
    # a lesion without a state is there where it was measured; not evaluable or 0 mm shows nothing
    sized = pd.Series(np.where(rows.DIAM_MM.gt(rules.tolerance_mm), "PRESENT", None), index=rows.index)
    state = state_of(rows.STATE, rules).where(rows.STATE.notna(), sized)
    there = state.isin(["PRESENT", "PROGRESSION"])
    known = ~rows.ADT.gt(rows.USUBJID.map(cutoff).astype("datetime64[ns]")) if cutoff is not None else True
    # an equivocal lesion confirmed later counts from its first sighting
    confirmed = state.eq("EQUIVOCAL") & rows.LESION.isin(rows.LESION[there & known])
    return rows[there | confirmed].groupby("VISIT").ADT.min().rename("NEWDT")
