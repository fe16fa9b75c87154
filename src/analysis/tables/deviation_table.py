"""The table of protocol deviations: by category, the important ones first, with their consequence."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import MISSING, NothingToTabulate, count_percent, counted
from analysis.tables.words import REASONS

WORDS = {
    "SCAN_MISSING": "Scheduled scan not made",
    "SCAN_REFUSED": "Scan made, but not measurable",
    "BASELINE_SCAN_AFTER_DOSE": "Baseline scan after the first dose",
    "SCAN_OUT_OF_WINDOW": "Scan outside its window",
    "SCANNER_CHANGED": "Another scanner than at baseline",
    "RECONSTRUCTION_CHANGED": "Another reconstruction than at baseline",
    "UPTAKE_DIFFERENCE": "Uptake time too different from baseline",
    "UPTAKE_TIME": "Uptake time outside the window",
    "INJECTED_ACTIVITY": "Injected activity too different from baseline",
    "NOT_FASTING": "Not fasting before the scan",
    "GLUCOSE_HIGH": "Blood glucose too high at the scan",
    "OFF_DRUG_AT_SCAN": "Off the drug before the scan",
    "DOSE_GAP": "Pause of treatment longer than allowed",
    "NEW_THERAPY_BEFORE_PROGRESSION": "New anti-cancer therapy before progression",
    "BASELINE_ASSESSMENT_MISSING": "No tumour assessment at baseline",
    "BASELINE_ASSESSMENT_OLD": "Tumour assessment at baseline too old",
    "ASSESSMENT_MISSED": "Planned tumour assessment not made",
    "ASSESSMENT_OUT_OF_WINDOW": "Tumour assessment outside its window",
    "NOT_ELIGIBLE": "A criterion of eligibility not met",
    "CONTACT_LOST": "Survival follow-up ends before the data cut-off",
    "RECORDED": "Recorded by the study",
}
CATEGORIES = {
    "SCAN": "scans",
    "TREATMENT": "treatment",
    "ASSESSMENT": "tumour assessments",
    "ELIGIBILITY": "eligibility",
    "FOLLOW_UP": "follow-up",
    "RECORDED": "recorded by the study",
}
_WHY = {"no domain DV": "the study sent no list of its own"}  # reasons of the rules, for a reader
_GRADES = {"important": "Important", "minor": "Minor"}


def can_tabulate(rules: pd.DataFrame) -> bool:
    """Tell whether the records could answer any rule: else there is no table, not an empty one.

    Parameters
    ----------
    rules : DataFrame
        Table ``deviation_rules``.
    """
    return bool(rules["STATUS"].eq("LOOKED").any())


def tabulate_deviations(deviations: pd.DataFrame, rules: pd.DataFrame, treated: int) -> pd.DataFrame:
    """Tabulate protocol deviations: deviations, patients, and patients it left out of an analysis.

    Parameters
    ----------
    deviations : DataFrame
        Table ``protocol_deviations``.
    rules : DataFrame
        Table ``deviation_rules``: the order of print, and what was looked for.
    treated : int
        Treated patients, the denominator.

    Returns
    -------
    DataFrame
        Deviation, Deviations, Patients (n = ..), Left out of an analysis: ready text, important ones first, a
        block a category. What was looked for and not found, or cannot be known, stands in
        `note_deviations`. A patient with several deviations counts once in each line and in the totals.

    Raises
    ------
    NothingToTabulate
        If the records could answer no rule.
    """
    if not can_tabulate(rules):
        raise NothingToTabulate("no rule for deviations could be answered: leave the table out and say why")
    lines = []
    for grade, name in _GRADES.items():
        own = deviations[deviations["GRADE"].eq(grade)]
        if own.empty:
            continue
        for category in dict.fromkeys(rules["DVCAT"]):
            inside = own[own["DVCAT"].eq(category)]
            if len(inside):
                lines.append([f"{name}: {CATEGORIES.get(category, category)}", "", "", ""])
                lines += _codes(inside, rules, treated)
    lines.append(["All deviations", "", "", ""])
    for grade, name in _GRADES.items():
        own = deviations[deviations["GRADE"].eq(grade)]
        lines.append([f"{name}, any", *_counts(own, treated)])
    lines.append(["Any", *_counts(deviations, treated)])
    heads = [
        "Deviation",
        "Deviations",
        f"Patients (% of {treated} treated)",
        "Patients left out of an analysis",
    ]
    return pd.DataFrame(lines, columns=heads)


def note_deviations(rules: pd.DataFrame, reconciled: pd.DataFrame | None = None) -> list[str]:
    """Say what was looked for and not found, what cannot be known, and who was left out without a deviation.

    Parameters
    ----------
    rules : DataFrame
        Table ``deviation_rules``.
    reconciled : DataFrame, optional
        From ``clinical.reconcile_deviations``.

    Returns
    -------
    list of str
        Notes for under the table.
    """
    none = rules[rules["STATUS"].eq("LOOKED") & rules["FOUND"].eq(0)]
    notes = []
    if len(none):
        notes.append(f"Looked for and not found: {_listed(none['CODE'])}.")
    unknown = rules[rules["STATUS"].eq("UNKNOWN")]
    for why, rows in unknown.groupby("REASON", sort=False):
        notes.append(f"Cannot be known ({_WHY.get(why, why)}): {_listed(rows['CODE'])}.")
    others = [] if reconciled is None else reconciled[reconciled["OTHERWISE"].gt(0)].to_dict("records")
    said = [f"{row['OTHERWISE']:.0f} ({_cause(row['CODE'])})" for row in others]
    if said:
        notes.append(f"Left out of an analysis without a deviation, patients: {', '.join(said)}.")
    return notes


def say_deviations(deviations: pd.DataFrame, rules: pd.DataFrame, treated: int) -> str:
    """State how many patients have an important deviation, and how many were left out for one.

    Returns
    -------
    str
        One sentence; empty where the records could answer no rule.
    """
    if not can_tabulate(rules):
        return ""
    own = deviations[deviations["GRADE"].eq("important")]
    if own.empty:
        return f"None of the {treated} treated patients has an important protocol deviation."
    left = own.loc[own["IMPACT"].notna(), "USUBJID"].nunique()
    head = (
        f"{counted(len(own), 'important protocol deviation')} in {own['USUBJID'].nunique()} of {treated} "
        "treated patients"
    )
    return (
        f"{head}; {left} of them left out of an analysis for it."
        if left
        else f"{head}; none left out for it."
    )


def _codes(rows: pd.DataFrame, rules: pd.DataFrame, treated: int) -> list[list[str]]:
    lines = []
    for code in [name for name in rules["CODE"] if rows["CODE"].eq(name).any()]:
        own = rows[rows["CODE"].eq(code)]
        if code == "RECORDED":
            named = own.groupby("DVDECOD", sort=True)
            lines += [[_sentence(name), *_counts(part, treated)] for name, part in named]
        else:
            lines.append([WORDS.get(code, code), *_counts(own, treated)])
    return lines


def _counts(rows: pd.DataFrame, treated: int) -> list[str]:
    out = rows[rows["IMPACT"].notna()]
    causes = [_cause(code) for code in sorted(out["IMPACT"].unique())]
    left = out["USUBJID"].nunique()
    said = f"{left} ({', '.join(causes)})" if left else MISSING
    return [str(len(rows)), count_percent(rows["USUBJID"].nunique(), treated), said]


def _cause(code: str) -> str:
    return REASONS.get(code, code.lower().replace("_", " "))


def _listed(codes: pd.Series) -> str:
    words = [WORDS.get(code, code) for code in codes]
    return "; ".join(word[:1].lower() + word[1:] for word in words)


def _sentence(code: str) -> str:
    return code[:1] + code[1:].lower()
