"""What the report prints of notebook 05: titles of its tables, words of its curves."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis.tables.biomarkers import tabulate_biomarkers, tabulate_profile
from analysis.tables.words import label_of, phrase_of

_TABLES = {
    "biomarkers": ("Biomarkers (exploratory), smallest adjusted p first", tabulate_biomarkers),
    "profile": ("Non-responders beside responders (exploratory)", tabulate_profile),
    "remark": ("REMARK checklist, filled from the run", lambda table: table.rename(columns=str.capitalize)),
}
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
    title, tabulate = _TABLES[name]
    return title, tabulate(rows)


def name_curve(curve: str, visit: str) -> CurveWords:
    """Name a set of curves of table curves_biomarkers.

    Parameters
    ----------
    curve : str
        CURVE: ``CTDNA_<visit>``, ``CLEARANCE`` or ``PETCTDNA``.
    visit : str
        Visit of the plasma (plan, ``ctdna_main_visit``).

    Examples
    --------
    >>> name_curve("CTDNA_D14", "D14").title, name_curve("CTDNA_D14", "D14").origin
    ('ctDNA at day 14', 'the day 14 draw')
    >>> name_curve("PETCTDNA", "D14").labels["RESPONDER, DETECTED"]
    'Responder, ctDNA detected'
    """
    if curve.startswith("CTDNA_"):
        own = curve.removeprefix("CTDNA_")
        return CurveWords(f"ctDNA at {phrase_of(own)}", f"the {phrase_of(own)} draw", None)
    if curve == "CLEARANCE":
        labels = {sign: f"ctDNA {words}" for sign, words in _CLEARANCE.items()}
        return CurveWords(
            f"ctDNA from baseline to {phrase_of(visit)}", f"the {phrase_of(visit)} draw", labels
        )
    groups = [(a, b) for a in ("RESPONDER", "NON-RESPONDER") for b in ("NOT DETECTED", "DETECTED")]
    labels = {f"{a}, {b}": f"{label_of(a)}, {label_of(b)}" for a, b in groups}
    return CurveWords(f"response and ctDNA at {phrase_of(visit)}", "the later of scan and draw", labels)
