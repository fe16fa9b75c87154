"""The sentences on a screen of markers and on its families of tests; nothing to say is ``""``."""

from __future__ import annotations

import pandas as pd

from analysis.tables.biomarker_words import analysis_words, marker_words, outcome_words, write_effect
from analysis.tables.effect_words import neutral_of, write_firth
from analysis.tables.format import counted, number, p_value

_MOST = 5
_FLOOR = "fewer than"  # NOTE of a marker below the prevalence floor
_FAMILY = ["ANALYSIS", "TIER", "OUTCOME", "METHOD"]
_VISITS = ("ctdna", "clearance")
_UNADJUSTED = {
    "combined": "PET with ctDNA",
    "trajectory": "the course over time",
    "burden": "tumour burden",
    "lesion_progression": "lesions",
}


def say_screen(
    estimates: pd.DataFrame,
    *,
    fdr_level: float,
    fwer_level: float,
    analysis: str = "gene",
    listed: int | None = None,
) -> str:
    """State how many markers of one analysis were tested and which stand out after correction.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    fdr_level, fwer_level : float
        Levels Q_BH and P_MAXT are read against.
    analysis : str
        ANALYSIS: gene, pathway, copy_number, expression, ...
    listed : int, optional
        Markers that were considered, where some never became a row; those of the rows without it.
    """
    rows = estimates[estimates["ANALYSIS"].eq(analysis)]
    if rows.empty:
        return ""
    tested = rows[rows["TESTED"].eq("Y")]
    total, many = max(listed or 0, _count_markers(rows)), _count_markers(tested)
    text = f"{analysis_words(analysis)}: {many} of {counted(total, 'marker')} could be tested"
    text += f"{' against at least one outcome' * bool(many)}{_by_outcome(tested)}.{_below_floor(rows)}"
    if not many:
        return text
    won = _below(tested, "P_MAXT", fwer_level)
    if tested["P_MAXT"].notna().any():
        text += f" Family-wise error held at {fwer_level:g} in each family: {_name(won, 'P_MAXT', rows)}."
    small = _below(tested, "Q_BH", fdr_level)
    rest = small[~small.index.isin(won.index)]
    if len(rest):
        text += f" Further with q ≤ {fdr_level:g}: {_name(rest, 'Q_BH', rows)}."
    return f"{text} Exploratory: to be confirmed elsewhere."


def say_families(estimates: pd.DataFrame, *, fwer_level: float) -> str:
    """State how many families of maxT there are, what they let through, and what has no adjusted p.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers, of all analyses.
    fwer_level : float
        Level P_MAXT is read against, in each family.
    """
    adjusted = estimates[estimates["P_MAXT"].notna()]
    families = len(adjusted[_FAMILY].drop_duplicates())
    said = []
    if families:
        expected = families * fwer_level
        about = f"about {expected:.0f}" if expected >= 1 else "fewer than one"
        what = "family" if families == 1 else "families"
        said.append(
            f"maxT was run in {families} {what} of tests (a tier of one analysis, outcome and method); at "
            f"{fwer_level:g} in each, {about} of them would hold a false finding if nothing were true."
        )
    visits = estimates[estimates["ANALYSIS"].isin(_VISITS) & estimates["P"].notna()]
    if len(visits) and visits["P_MAXT"].isna().all():
        said.append("Visits of ctDNA have no maxT, since their patients differ.")
    bare = estimates[estimates["P"].notna() & estimates["Q_BH"].isna() & estimates["P_MAXT"].isna()]
    names = [words for code, words in _UNADJUSTED.items() if bare["ANALYSIS"].eq(code).any()]
    if names:
        said.append(f"The p-values of {join_names(names)} are not adjusted.")
    return " ".join(said)


def join_names(words: list[str]) -> str:
    """Join words as a list in a sentence.

    Examples
    --------
    >>> join_names(["ESR1", "TP53", "PTEN"]), join_names(["ESR1"])
    ('ESR1, TP53 and PTEN', 'ESR1')
    """
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def _count_markers(rows: pd.DataFrame) -> int:
    return len(rows[["MARKER", "PARTYPE"]].drop_duplicates())


def _by_outcome(tested: pd.DataFrame) -> str:
    """Count the markers tested by outcome: the floor is of the patients of each."""
    counts = [(name, _count_markers(own)) for name, own in tested.groupby("OUTCOME", sort=False)]
    said = ", ".join(f"{outcome_words(name)} {count}" for name, count in counts)
    return f" ({said})" if said else ""


def _below_floor(rows: pd.DataFrame) -> str:
    """Name the candidates that no outcome could test, those below the prevalence floor apart."""
    own = rows[rows["TIER"].eq("CANDIDATE")]
    silent = own[~own["MARKER"].isin(own.loc[own["TESTED"].eq("Y"), "MARKER"])]
    rare = silent["NOTE"].astype("string").str.contains(_FLOOR, regex=False).fillna(False)
    floor = list(dict.fromkeys(map(marker_words, silent[rare].to_dict("records"))))
    other = list(dict.fromkeys(map(marker_words, silent[~rare].to_dict("records"))))
    other = [name for name in other if name not in floor]
    text = f" Candidates below the prevalence floor: {join_names(floor)}." if floor else ""
    return text + (f" Candidates not tested for another reason: {join_names(other)}." if other else "")


def _below(tested: pd.DataFrame, column: str, level: float) -> pd.DataFrame:
    small = tested[tested[column].le(level)]
    return small.sort_values([column, "P", "MARKER"], kind="stable")


def _name(rows: pd.DataFrame, column: str, estimates: pd.DataFrame) -> str:
    if rows.empty:
        return "none stands out"
    said = []
    for row in rows.head(_MOST).to_dict("records"):
        beside = write_firth(row, estimates)
        effect = write_effect(row) + (f", {beside}" if beside else "")
        adjusted = f"{'q' if column == 'Q_BH' else 'maxT p'} {p_value(row[column])}"
        said.append(f"{marker_words(row)} and {outcome_words(row['OUTCOME'])} ({effect}, {adjusted})")
        said[-1] += " (against resistance)" * bool(row["ESTIMATE"] < neutral_of(row["STATISTIC"]))
    more = len(rows) - len(said)
    return join_names([*said, *([f"{number(more, 0)} more"] if more else [])])
