"""RECIST 1.1 from lesion measurements: assessments, and the response at each.

Source: Eisenhauer et al. 2009, Eur J Cancer 45:228-247 (doi 10.1016/j.ejca.2008.10.026).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical.sdtm import has_word

_BY = ["USUBJID", "AVISITN"]


def number_assessments(lesions: pd.DataFrame, start: pd.Series, window_days: int) -> pd.Series:
    """Give each assessment of a subject its number: 0 is baseline, then 1, 2, ...

    Everything up to the start is the baseline. After it, scans within `window_days` of the first scan of an
    assessment belong to it (chest CT on Monday, liver MRI on Thursday). Days with only unscheduled records
    are assessments of their own: visit numbers are no key, since unscheduled visits share them.

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
    known = lesions[lesions.ADT.notna() & zero.notna()]
    after = known[zero.loc[known.index] < known.ADT]
    days = after.groupby(["USUBJID", "ADT"], as_index=False).UNSCHED.all()
    first = _first_scan(days, window_days)
    days["AVISITN"] = first.groupby(days.USUBJID).rank(method="dense")
    numbered = after[["USUBJID", "ADT"]].merge(days, how="left", on=["USUBJID", "ADT"], validate="m:1")
    number = pd.Series(np.nan, index=lesions.index)
    number.loc[known.index] = 0.0
    number.loc[after.index] = numbered.AVISITN.to_numpy()
    return number


def _first_scan(days: pd.DataFrame, window_days: int) -> pd.Series:
    # a scan opens an assessment when the last one is closed: a running decision, so a loop over scan days
    day = days.ADT.to_numpy().astype("datetime64[D]").astype("int64")
    subject, alone = days.USUBJID.to_numpy(), days.UNSCHED.to_numpy()
    opened = np.empty(len(days), dtype="float64")
    who, current = None, 0
    for row in range(len(days)):
        if alone[row]:
            opened[row] = day[row]
            continue
        if subject[row] != who or day[row] - current > window_days:
            who, current = subject[row], day[row]
        opened[row] = current
    return pd.Series(opened, index=days.index) + np.where(
        alone, 0.5, 0.0
    )  # half a day keeps the two kinds apart


def derive_responses(adtr: pd.DataFrame, rules) -> pd.DataFrame:
    """Derive target, non-target and overall response of every assessment after baseline (RECIST 1.1).

    Parameters
    ----------
    adtr : DataFrame
        Lesions at assessments: USUBJID ADT AVISITN LESIONID ORGAN LESTYPE DIAM_MM STATE.
    rules : Section
        ``clinical`` of the plan.

    Returns
    -------
    DataFrame
        One row a subject and assessment: USUBJID AVISITN ADT (PD: earliest scan that shows it, else the last
        scan) TRGRESP NTRGRESP (None where there are no such lesions) NEWLES (Y/N) OVRLRESP SUMDIAM NADIR (mm;
        the smallest complete sum before this assessment, baseline included).
    """
    after = adtr[adtr.AVISITN.gt(0)]
    visits = after.groupby(_BY, as_index=False).agg(LASTDT=("ADT", "max"))
    pieces = (
        _target_response(adtr, visits, rules),
        _non_target_response(adtr, visits),
        _new_lesions(after),
    )
    for piece in pieces:
        visits = visits.merge(piece, how="left", on=_BY, validate="1:1")
    visits["NEWLES"] = np.where(visits.NEWDT.notna(), "Y", "N")
    visits["TRGRESP"] = visits.TRGRESP.astype(object)
    visits["OVRLRESP"] = overall_response(visits.TRGRESP, visits.NTRGRESP, visits.NEWLES)
    visits = _reappearance(visits, rules)
    progressed = visits[["TRGPDDT", "NTPDDT", "NEWDT"]].min(axis=1)
    visits["ADT"] = visits.LASTDT.where(visits.OVRLRESP.ne("PD"), progressed)
    return visits[[*_BY, "ADT", "TRGRESP", "NTRGRESP", "NEWLES", "OVRLRESP", "SUMDIAM", "NADIR"]]


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


def _target_response(adtr: pd.DataFrame, visits: pd.DataFrame, rules) -> pd.DataFrame:
    grid = _target_grid(adtr, visits, rules)
    if grid.empty:
        empty = {
            "TRGRESP": object,
            "SUMDIAM": float,
            "NADIR": float,
            "TRGPDDT": "datetime64[ns]",
            "BACKDT": "datetime64[ns]",
        }
        return pd.DataFrame({**{name: visits[name].iloc[:0] for name in _BY},
                             **{name: pd.Series(dtype=kind) for name, kind in empty.items()}})  # fmt: skip
    sums = grid.groupby(_BY, as_index=False).agg(
        SUMDIAM=("DIAM_MM", "sum"),
        MISSING=("ABSENT_VALUE", "sum"),
        NORMAL=("NORMAL", "all"),
        BASESUM=("BASE_MM", "sum"),
    )
    sums["NADIR"] = _nadir(sums)
    grid = grid.merge(sums[[*_BY, "NADIR"]], on=_BY, validate="m:1")
    # progression may show before the last target is scanned: the scan at which the running sum reaches it
    running = grid.DIAM_MM.fillna(0).groupby([grid.USUBJID, grid.AVISITN]).cumsum()
    grid["HITDT"] = grid.ADT.where(_is_progression(running, grid.NADIR, rules) & grid.DIAM_MM.notna())
    grid["BACKDT"] = grid.ADT.where(grid.BACK)
    dates = grid.groupby(_BY, as_index=False).agg(TRGPDDT=("HITDT", "min"), BACKDT=("BACKDT", "min"))
    sums = sums.merge(dates, on=_BY, validate="1:1")
    sums["TRGRESP"] = _classify_targets(sums, rules)
    sums["TRGPDDT"] = sums.TRGPDDT.where(sums.TRGRESP.eq("PD"))
    sums["SUMDIAM"] = sums.SUMDIAM.where(sums.MISSING.eq(0))
    return sums[[*_BY, "TRGRESP", "SUMDIAM", "NADIR", "TRGPDDT", "BACKDT"]]


def _target_grid(adtr: pd.DataFrame, visits: pd.DataFrame, rules) -> pd.DataFrame:
    measured = adtr[adtr.LESTYPE.eq("TARGET") & adtr.AVISITN.notna()].sort_values("ADT")
    last = measured.dropna(subset="DIAM_MM").groupby([*_BY, "LESIONID"], as_index=False).last()
    base = last[last.AVISITN.eq(0)][["USUBJID", "LESIONID", "ORGAN", "DIAM_MM"]].rename(
        columns={"DIAM_MM": "BASE_MM"}
    )
    grid = (
        visits[_BY]
        .merge(base, on="USUBJID")
        .merge(last[[*_BY, "LESIONID", "DIAM_MM", "ADT"]], how="left", on=[*_BY, "LESIONID"], validate="1:1")
    )
    grid["NODE"] = has_word(grid.ORGAN, rules.node_words)
    grid["ABSENT_VALUE"] = grid.DIAM_MM.isna()
    normal_node = rules.node_normal_mm - rules.tolerance_mm > grid.DIAM_MM
    grid["NORMAL"] = np.where(grid.NODE, normal_node, grid.DIAM_MM.le(rules.tolerance_mm))
    grid = grid.sort_values(["USUBJID", "LESIONID", "AVISITN"])
    lesion = [grid.USUBJID, grid.LESIONID]
    lowest = grid.DIAM_MM.groupby(lesion).cummin().groupby(lesion).ffill()
    earlier = lowest.groupby(lesion).shift()
    grid["BACK"] = ~grid.NODE & earlier.le(rules.tolerance_mm) & grid.DIAM_MM.gt(rules.tolerance_mm)
    return grid.sort_values([*_BY, "ADT", "LESIONID"], ignore_index=True)


def _nadir(sums: pd.DataFrame) -> pd.Series:
    whole = sums.SUMDIAM.where(sums.MISSING.eq(0), np.inf)
    before = whole.groupby(sums.USUBJID).cummin().groupby(sums.USUBJID).shift().fillna(np.inf)
    return np.minimum(before, sums.BASESUM)


def _is_progression(total: pd.Series, nadir: pd.Series, rules) -> pd.Series:
    relative = total >= rules.pd_fraction * nadir - rules.tolerance_mm
    return relative & (total - nadir >= rules.pd_abs_mm - rules.tolerance_mm)


def _classify_targets(sums: pd.DataFrame, rules) -> np.ndarray:
    whole = sums.MISSING.eq(0)
    partial = rules.pr_fraction * sums.BASESUM + rules.tolerance_mm >= sums.SUMDIAM
    return np.select(
        [whole & sums.NORMAL, _is_progression(sums.SUMDIAM, sums.NADIR, rules), ~whole, partial],
        ["CR", "PD", "NE", "PR"],
        "SD",
    ).astype(object)


def _reappearance(visits: pd.DataFrame, rules) -> pd.DataFrame:
    # a target came back: PD whatever its size, if the rule says so (always, or once the patient was in CR)
    first_cr = visits.AVISITN.where(visits.OVRLRESP.eq("CR")).groupby(visits.USUBJID).transform("min")
    was_cr = visits.AVISITN.gt(first_cr)
    asked = {"pd_if_patient_cr": was_cr, "always_pd": True, "rejoin_sum": False}[rules.reappearance]
    back = visits.BACKDT.notna() & asked
    visits = visits.copy()
    visits["TRGRESP"] = visits.TRGRESP.mask(back, "PD")
    visits["OVRLRESP"] = visits.OVRLRESP.mask(back, "PD")
    visits["TRGPDDT"] = visits.TRGPDDT.where(~back, visits[["TRGPDDT", "BACKDT"]].min(axis=1))
    return visits


_STATE_RANK = {"ABSENT": 0.0, "PRESENT": 1.0, "PROGRESSION": 2.0}
_NON_TARGET = {0.0: "CR", 1.0: "NON-CR/NON-PD", 2.0: "PD"}


def state_of(text: pd.Series) -> pd.Series:
    """Reduce a lesion's state to ABSENT, EQUIVOCAL, PRESENT, PROGRESSION or None (not evaluable)."""
    words = text.astype("string").str.upper()
    say = lambda pattern: words.str.contains(pattern, regex=True).fillna(False).to_numpy(dtype=bool)
    found = np.select(
        [
            words.isna().to_numpy(dtype=bool),
            say(r"NOT EVAL|NOT ASSESS|UNEVAL|NOT DONE|^NE$"),
            say(r"PROGRESS|^PD$"),
            say(r"ABSENT|DISAPPEAR|RESOLVED|^CR$"),
            say(r"\bEQUIVOCAL"),
        ],
        ["", "", "PROGRESSION", "ABSENT", "EQUIVOCAL"],
        "PRESENT",
    )
    return pd.Series(found, index=text.index, dtype=object).replace("", None)


def _non_target_response(adtr: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    rows = adtr[adtr.LESTYPE.eq("NON-TARGET") & adtr.AVISITN.notna()].copy()
    rows["RANK"] = state_of(rows.STATE).map({**_STATE_RANK, "EQUIVOCAL": 1.0}).astype(float)
    base = rows.loc[rows.AVISITN.eq(0), ["USUBJID", "LESIONID"]].drop_duplicates()
    worst = rows.groupby([*_BY, "LESIONID"], as_index=False).RANK.max()
    grid = (
        visits[_BY].merge(base, on="USUBJID").merge(worst, how="left", on=[*_BY, "LESIONID"], validate="1:1")
    )
    grid["UNKNOWN"] = grid.RANK.isna()
    response = grid.groupby(_BY, as_index=False).agg(RANK=("RANK", "max"), UNKNOWN=("UNKNOWN", "max"))
    named = response.RANK.map(_NON_TARGET).astype(object)
    response["NTRGRESP"] = named.where(
        response.RANK.eq(_STATE_RANK["PROGRESSION"]) | ~response.UNKNOWN.astype(bool), "NE"
    )
    worse = rows[rows.RANK.eq(_STATE_RANK["PROGRESSION"])].merge(base, on=["USUBJID", "LESIONID"])
    worsened = worse.groupby(_BY).ADT.min().rename("NTPDDT").reset_index()
    return response[[*_BY, "NTRGRESP"]].merge(worsened, how="left", on=_BY, validate="1:1")


def _new_lesions(after: pd.DataFrame) -> pd.DataFrame:
    rows = after[after.LESTYPE.eq("NEW")].copy()
    rows["SEEN"] = state_of(rows.STATE.fillna("PRESENT"))
    sure = rows[rows.SEEN.isin(["PRESENT", "PROGRESSION"])][["USUBJID", "LESIONID"]].drop_duplicates()
    seen = rows[rows.SEEN.isin(["PRESENT", "PROGRESSION", "EQUIVOCAL"])]
    # an equivocal lesion confirmed later counts from its first sighting
    return seen.merge(sure, on=["USUBJID", "LESIONID"]).groupby(_BY).ADT.min().rename("NEWDT").reset_index()
