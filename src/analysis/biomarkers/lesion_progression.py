"""The lesions on the PET at progression: which of them drove it, and were they the early resistant ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.biomarkers.stratified import estimate_mantel_haenszel
from analysis.contracts import contract_of
from analysis.survival.proportion import proportion

PROGRESSION = "PROG"
_KEY = ["STUDYID", "USUBJID", "LESIONID"]
_UNPLANNED = {PROGRESSION, "UNSCHED"}


def select_lesions(adpet: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Select the lesions of one metric: STUDYID USUBJID LESIONID AVISIT ADT ORGAN EVALFL AVAL."""
    rows = adpet[adpet["ROLE"].eq("LESION") & adpet["METRIC"].eq(metric)]
    return rows[[*_KEY, "AVISIT", "ADT", "ORGAN", "EVALFL", "AVAL"]]


def classify_resistance(change: pd.Series, cut: float, *, response=None) -> pd.Series:
    """Tell which lesions are resistant: they did not fall by `cut` percent. Missing where the change is.

    A fall of exactly the cut responds or not as the response rules have it (plan section ``response``:
    ``cut_inclusive``, ``comparison_tolerance``).

    Parameters
    ----------
    change : Series of float
        Percent change.
    cut : float
        Percent fall, above 0.
    response : Section, optional
        The plan's section ``response``; its defaults if None.

    Returns
    -------
    Series of object
        ``"Y"``, ``"N"`` or None.
    """
    response = plan.defaults().response if response is None else response
    eps = response.comparison_tolerance
    falls = change <= -cut + eps if response.cut_inclusive else change < -cut - eps
    return _flag(~falls, change.notna())


def _flag(condition: pd.Series, known: pd.Series) -> pd.Series:
    words = pd.Series(np.where(condition, "Y", "N"), index=condition.index, dtype=object)
    return words.where(known, None)


def tabulate_lesions_at_progression(
    adpet: pd.DataFrame, *, early: str, cut: float, rules=None, response=None
) -> pd.DataFrame:
    """Set each lesion of the PET at progression beside its baseline, its early change and its nadir.

    Every lesion seen on any scan up to progression has a row; one without a value at progression has PROG
    missing and DROVE unknown. A lesion is new if no earlier row names it, measured or not, though an earlier
    scan was measured; a lesion drove progression if it is new, or rose from its nadir by
    ``progression_rise_percent`` or more. One that was listed earlier and never measured is neither known to
    be new nor to have risen.

    Parameters
    ----------
    adpet : DataFrame
        Table adpet.
    early : str
        Visit of the early scan.
    cut : float
        Percent fall of the primary rule. A lesion that was not FDG-evaluable at baseline has no early class.
    rules, response : Section, optional
        The plan's sections ``biomarkers`` and ``response``; its defaults if None.

    Returns
    -------
    DataFrame
        Table lesion_progression: subjects with a PET at progression, in the metric ``progression_metric``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    response = plan.defaults().response if response is None else response
    columns = list(contract_of("lesion_progression").columns)
    lesions = select_lesions(adpet, rules.progression_metric)
    late = lesions[lesions["AVISIT"].eq(PROGRESSION) & lesions["AVAL"].notna()]
    if late.empty:
        return pd.DataFrame(columns=columns)
    before = _scans_before(lesions, late)
    table = _place_side_by_side(before, late, early, rules)
    change = 100 * (table["EARLY"] / table["BASE"].where(table["BASE"] > 0) - 1)
    table["EARLYPCHG"] = change
    table["EARLYRES"] = classify_resistance(change.where(table["EVALFL"].ne("N")), cut, response=response)
    for name, reference in (("PCHGNAD", "NADIR"), ("PCHGBASE", "BASE")):
        table[name] = 100 * (table["PROG"] / table[reference].where(table[reference] > 0) - 1)
    had_scan = table["USUBJID"].isin(before["USUBJID"])
    listed = pd.MultiIndex.from_frame(table[_KEY]).isin(_list_earlier(adpet, late))
    new = ~listed & table["PROG"].notna() & had_scan
    rose = table["PCHGNAD"] >= rules.progression_rise_percent - response.comparison_tolerance
    table["NEWFL"] = np.where(new, "Y", "N")
    table["DROVE"] = _flag(new | rose, new | table["PCHGNAD"].notna())
    return table.assign(METRIC=rules.progression_metric)[columns]


def _scans_before(lesions: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    """Keep the planned scans of these subjects that are not known to lie on or after progression."""
    day = lesions["USUBJID"].map(late.groupby("USUBJID")["ADT"].min())
    planned = ~lesions["AVISIT"].isin(_UNPLANNED) & lesions["USUBJID"].isin(late["USUBJID"])
    return lesions[planned & ~(lesions["ADT"] >= day) & lesions["AVAL"].notna()]


def _list_earlier(adpet: pd.DataFrame, late: pd.DataFrame) -> pd.MultiIndex:
    """List the lesions with any row, of any metric and planned or not, that is not known to be as late."""
    day = adpet["USUBJID"].map(late.groupby("USUBJID")["ADT"].min())
    earlier = adpet["ROLE"].eq("LESION") & adpet["AVISIT"].ne(PROGRESSION) & ~(adpet["ADT"] >= day)
    return pd.MultiIndex.from_frame(adpet.loc[earlier, _KEY])


def _place_side_by_side(before: pd.DataFrame, late: pd.DataFrame, early: str, rules) -> pd.DataFrame:
    at_baseline = before[before["AVISIT"].eq(rules.baseline_visit)].set_index(_KEY)
    index = pd.concat([before[_KEY], late[_KEY]]).drop_duplicates().sort_values(_KEY)
    table = index.set_index(_KEY)
    organs = pd.concat([before, late]).groupby(_KEY)["ORGAN"].first()
    values = {
        "ORGAN": organs,
        "EVALFL": at_baseline["EVALFL"],
        "BASE": at_baseline["AVAL"],
        "EARLY": before[before["AVISIT"].eq(early)].set_index(_KEY)["AVAL"],
        "NADIR": before.groupby(_KEY)["AVAL"].min(),
        "PROG": late.set_index(_KEY)["AVAL"],
    }
    return table.assign(
        **{name: column.reindex(table.index) for name, column in values.items()}
    ).reset_index()


def estimate_lesion_progression(
    adpet: pd.DataFrame,
    *,
    early: str,
    cut: float,
    outcomes: pd.DataFrame | None = None,
    endpoint: str | None = None,
    rules=None,
    response=None,
) -> Analysis:
    """Ask whether the lesions that drove progression were the early resistant ones.

    Parameters
    ----------
    adpet, early, cut, rules, response
        As in `tabulate_lesions_at_progression`.
    outcomes : DataFrame, optional
        As `assemble_outcomes`: the notes of the shares then say how many events have no such scan.
    endpoint : str, optional
        Endpoint of `outcomes` whose events those are; its first if None.

    Returns
    -------
    Analysis
        EARLYRES (DROVE): odds ratio of driving progression, resistant against not, stratified by patient
        (lesions that were there at baseline). EARLYRES_Y, EARLYRES_N (DROVE): share of the resistant, and of
        the responding, lesions that drove, pooled. EARLYRES (PROG): share of the progressions with a driver
        that was resistant; NEWFL: with a new lesion; LATEFL: with a driver without a value at baseline and
        at the early scan, new ones included. Its table is lesion_progression.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    table = tabulate_lesions_at_progression(adpet, early=early, cut=cut, rules=rules, response=response)
    if table.empty:
        return nothing(f"no PET at progression with {rules.progression_metric} of a lesion", table)
    place = {"ANALYSIS": "lesion_progression", "PARTYPE": "PET", "AVISIT": early}
    rows = [
        {**place, **_odds_row(table, rules)},
        *({**place, **row} for row in _pooled_rows(table, rules)),
        *({**place, **row} for row in _share_rows(table, _unscanned(table, outcomes, endpoint), rules)),
    ]
    return Analysis(as_rows(rows), table)


def _odds_row(table: pd.DataFrame, rules) -> dict[str, Any]:
    known = table[table["EARLYRES"].notna() & table["DROVE"].notna()]
    resistant, drove = known["EARLYRES"].eq("Y"), known["DROVE"].eq("Y")
    found = estimate_mantel_haenszel(resistant, drove, known["USUBJID"], alpha=rules.interval_alpha)
    note = (
        f"{len(known)} lesions of {known['USUBJID'].nunique()} subjects; {found.informative} of these have "
        "lesions of both kinds and of both courses, the others say nothing"
    )
    row = {"MARKER": "EARLYRES", "OUTCOME": "DROVE", "METHOD": "mantel_haenszel", "STATISTIC": "odds_ratio"}
    row |= {"N": len(known), "N_POS": int(resistant.sum()), "EVENTS": int(drove.sum())}
    if min(resistant.sum(), (~resistant).sum()) < rules.min_prevalence_n:
        text = f"listed, not tested: fewer than {rules.min_prevalence_n} lesions in one group"
        return {**row, "TESTED": "N", "NOTE": join_notes(text, note)}
    if not found.informative:
        return {**row, "TESTED": "N", "NOTE": join_notes("not estimable within patients", note)}
    numbers = {name.upper(): getattr(found, name) for name in ("estimate", "lower", "upper", "p")}
    one_sided = None if np.isfinite(found.lower) else "no interval: all that differs points one way"
    return {**row, **numbers, "NOTE": join_notes(note, one_sided)}


def _pooled_rows(table: pd.DataFrame, rules) -> Iterator[dict[str, Any]]:
    """Count the lesions that drove, among the resistant and among the responding ones."""
    known = table[table["EARLYRES"].notna() & table["DROVE"].notna()]
    for code in ("Y", "N"):
        own = known[known["EARLYRES"].eq(code)]
        note = (
            f"{len(own)} lesions of {own['USUBJID'].nunique()} subjects; pooled: lesions of a patient are "
            "not independent"
        )
        row = _share(f"EARLYRES_{code}", int(own["DROVE"].eq("Y").sum()), len(own), note, rules)
        yield {**row, "OUTCOME": "DROVE"}


def _unscanned(table: pd.DataFrame, outcomes: pd.DataFrame | None, endpoint: str | None) -> str | None:
    """Say how many had the event without a PET at progression."""
    known = [] if outcomes is None else [name for name in outcomes if str(name).endswith("_EVENT")]
    name = f"{endpoint}_EVENT" if endpoint else next(iter(known), None)
    if name not in known:
        return None
    had = outcomes.index[outcomes[name].eq(1)]
    lacking = int((~had.isin(table["USUBJID"])).sum())
    return f"{lacking} of {len(had)} {name.removesuffix('_EVENT')} events have no PET at progression"


def _share_rows(table: pd.DataFrame, unscanned: str | None, rules) -> Iterator[dict[str, Any]]:
    """Count progressions: with a resistant driver, with a new lesion, with a driver not seen early."""
    with_resistant = [_drove_resistant(own) for _, own in table.groupby("USUBJID", sort=True)]
    known = [value for value in with_resistant if value is not None]
    note = "progressions with a lesion that drove it and whose early class is known; a new lesion had none"
    yield _share("EARLYRES", sum(known), len(known), join_notes(note, unscanned), rules)
    subject = table["USUBJID"]
    scanned = table["NADIR"].notna().groupby(subject).any()
    new = table["NEWFL"].eq("Y").groupby(subject).any()[scanned]
    note = join_notes("progressions with an earlier PET", unscanned)
    yield _share("NEWFL", int(new.sum()), len(new), note, rules)
    valued = table[["BASE", "EARLY"]].notna().any(axis=1)
    unseen = ~valued & table["DROVE"].eq("Y")
    early = valued.groupby(subject).any()
    late = unseen.groupby(subject).any()[early]
    between = int((unseen & table["NEWFL"].ne("Y") & subject.map(early)).sum())
    note = (
        "progressions with a PET at baseline or early; a driver not seen there, with no value at baseline "
        f"and at the early scan: new at progression, or first seen between (lesions: {between})"
    )
    yield _share("LATEFL", int(late.sum()), len(late), join_notes(note, unscanned), rules)


def _drove_resistant(own: pd.DataFrame) -> bool | None:
    drivers = own[own["DROVE"].eq("Y")]
    if drivers.empty:
        return None
    if drivers["EARLYRES"].eq("Y").any():
        return True
    unknown = drivers["EARLYRES"].isna() & drivers["NEWFL"].eq("N")
    return None if unknown.any() else False


def _share(marker: str, count: int, of: int, note: str, rules) -> dict[str, Any]:
    row = {"MARKER": marker, "OUTCOME": "PROG", "METHOD": "clopper_pearson", "STATISTIC": "proportion"}
    row |= {"N": of, "EVENTS": count, "NOTE": note}
    if not of:
        return {**row, "TESTED": "N", "NOTE": join_notes("nobody to count", note)}
    exact = proportion(count, of, alpha=rules.interval_alpha).set_index("method").loc["clopper_pearson"]
    return {**row, **{name.upper(): float(exact[name]) for name in ("estimate", "lower", "upper")}}
