"""What the report prints of notebook 05: titles of its tables, words of its curves."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis.tables.biomarkers import slim_biomarkers, tabulate_profile
from analysis.tables.format import MISSING
from analysis.tables.words import label_of, phrase_of

_TITLES = {
    "biomarkers": "Biomarkers (exploratory), smallest adjusted p first",
    "profile": "Non-responders beside responders (exploratory)",
    "remark": "REMARK checklist, filled from the run",
}
_QUARTILES = ": median (quartiles)"
_DIFFERENCE, _DELTA = "difference ", "Δ "
_STATES = {"MUT": ("gene", "mutated"), "PATH": ("pathway", "pathway altered")}  # analysis, and what of it
_TIERS = {"Candidate": "C", "Screen": "S"}
_CLEARANCE = {
    "--": "never detected",
    "-+": "newly detected",
    "+-": "cleared",
    "++": "stays detected",
}


class CurveWords(NamedTuple):
    """Words of a set of Kaplan-Meier curves: title, where the clock starts, names of the groups."""

    title: str
    origin: str
    labels: dict[str, str] | None


def print_markers(name: str, rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return title and ready text of one of the report's tables: biomarkers, profile or remark."""
    return _TITLES[name], _print(name, rows)[0]


def note_markers(name: str, rows: pd.DataFrame) -> list[str]:
    """Return the notes under the table that `print_markers` gives of the same rows."""
    return _print(name, rows)[1]


def _print(name: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    return {"biomarkers": _print_biomarkers, "profile": _print_profile, "remark": _print_remark}[name](rows)


def _print_biomarkers(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Print the associations with their tier as one letter, where it is not the same in all."""
    table, notes = slim_biomarkers(rows)
    table = table.assign(Marker=list(map(_whole_name, table["Marker"], rows["PARTYPE"], rows["ANALYSIS"])))
    if "Tier" not in table:
        return table, notes
    table = table.assign(Tier=table["Tier"].map(_TIERS).fillna(MISSING))
    return table, [*notes, "Tier: C candidate, S screen; a dash: neither."]


def _whole_name(name: str, kind: str, analysis: str) -> str:
    """Say of a gene or pathway what is meant: beside TP53 expression, TP53 alone is no name."""
    home, state = _STATES.get(kind, ("", ""))
    return f"{name} {state}" if analysis in (home, "profile") and state else name


def _print_profile(profile: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Print the page in few characters: a section is a line of its own, what all numbers share a note."""
    table, notes = tabulate_profile(profile), []
    effect = next(name for name in table.columns if name.startswith("Effect"))
    if table["Characteristic"].str.endswith(_QUARTILES).any():
        notes.append("Numbers: median (quartiles).")
    if table[effect].str.startswith(_DIFFERENCE).any():
        notes.append("Δ: Hodges-Lehmann difference, in the unit of the characteristic.")
    names = table["Characteristic"].str.removesuffix(_QUARTILES)
    effects = table[effect].str.replace(f"^{_DIFFERENCE}", _DELTA, regex=True)
    table = table.assign(Characteristic=names, **{effect: effects})
    lines = []
    for section, own in table.groupby("Section", sort=False):
        lines.append(dict.fromkeys(own.columns, "") | {"Characteristic": section})
        lines += own.to_dict("records")
    return pd.DataFrame(lines)[table.columns].drop(columns="Section"), notes


def _print_remark(remark: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Print the checklist in three columns: number and topic share one, so that the answers are wide."""
    items = remark["ITEM"].astype(str) + ". " + remark["TOPIC"]
    shown = {"Item": items, "Reported": remark["REPORTED"], "Where": remark["WHERE"]}
    return pd.DataFrame(shown), []


def name_curve(curve: str, visit: str, *, baseline: str, fixed: float | None = None) -> CurveWords:
    """Name a set of curves of table curves_biomarkers.

    Parameters
    ----------
    curve : str
        CURVE: ``CTDNA_<visit>``, ``CLEARANCE`` or ``PETCTDNA``.
    visit, baseline : str
        Visits of the early and of the baseline plasma (plan, ``ctdna_main_visit``, ``baseline_visit``).
    fixed : float, optional
        Day from the endpoint's own time zero on which the clock starts, in a study without dates.

    Examples
    --------
    >>> name_curve("CTDNA_D14", "D14", baseline="D0").title
    'ctDNA at day 14'
    >>> name_curve("CTDNA_D14", "D14", baseline="D0").origin
    'the day 14 draw'
    >>> name_curve("CTDNA_D0", "D14", baseline="D0", fixed=60.0).origin
    'the start of treatment'
    >>> name_curve("CLEARANCE", "D14", baseline="D0", fixed=60.0).origin
    'day 60'
    >>> name_curve("PETCTDNA", "D14", baseline="D0").labels["RESPONDER, DETECTED"]
    'Responder, ctDNA detected'
    """
    landmark = f"day {fixed:g}" if fixed is not None else None
    if curve.startswith("CTDNA_"):
        own = curve.removeprefix("CTDNA_")
        origin = "the start of treatment" if own == baseline else landmark or f"the {phrase_of(own)} draw"
        return CurveWords(f"ctDNA at {phrase_of(own)}", origin, None)
    if curve == "CLEARANCE":
        labels = {sign: f"ctDNA {words}" for sign, words in _CLEARANCE.items()}
        title = f"ctDNA from baseline to {phrase_of(visit)}"
        return CurveWords(title, landmark or f"the {phrase_of(visit)} draw", labels)
    groups = [(a, b) for a in ("RESPONDER", "NON-RESPONDER") for b in ("NOT DETECTED", "DETECTED")]
    labels = {f"{a}, {b}": f"{label_of(a)}, {label_of(b)}" for a, b in groups}
    return CurveWords(
        f"response and ctDNA at {phrase_of(visit)}", landmark or "the later of scan and draw", labels
    )
