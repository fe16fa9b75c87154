"""Tables of notebook 05 in print: associations of markers, and the page of the non-responders."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from analysis.tables.biomarker_words import (
    code_words,
    first_upper,
    marker_words,
    outcome_words,
    row_words,
    write_effect,
)
from analysis.tables.effect_words import NEUTRAL, RATIOS, SHORT, event_words, with_words
from analysis.tables.format import MISSING, counted, number, p_value
from analysis.tables.present import to_html

COMPANION = "companion"  # NOTE of a second measure of the same question begins with it
_SAME = ("Outcome", "Sample", "Tier")
_EVENTS = "Events / n"
_OWN_SAMPLE = ("CTDNA", "PET", "CLIN")  # the marker's name says where it is from
_SIGNS = {"--": "never detected", "-+": "appeared", "+-": "cleared", "++": "still detected"}
_SECTIONS = {"PET": "Imaging"}
_DEVIATION = "per standard deviation"
_KINDS = {"LEVEL": "levels", "SIGN": "scores", "EXPR": "expression"}
_AGAINST = re.compile(r"against \d+ in \d+ ([^;]+)")


def tabulate_biomarkers(estimates: pd.DataFrame, *, level: int = 95) -> pd.DataFrame:
    """Tabulate associations of markers for a reader, in the order they stand.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    level : int
        Confidence level, percent, printed in the header.

    Returns
    -------
    DataFrame
        Marker, Sample, Outcome, With, Events / n, Effect, p, q, maxT, Tier: ready text. With: how many have
        the marker, a dash where it has levels; events: those of an endpoint, or those with a binary outcome.
        The short name of the statistic leads each effect.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if estimates.empty:
        raise ValueError("no marker to tabulate: leave the table out and say why it does not apply")
    rows = estimates.to_dict("records")
    outcomes = [outcome_words(row["OUTCOME"]) for row in rows]
    return pd.DataFrame(
        {
            "Marker": [first_upper(row_words(row)) for row in rows],
            "Sample": [_samples(row.get("SAMPTYPE")) for row in rows],
            "Outcome": [first_upper(text) for text in outcomes],
            "With": [with_words(row) for row in rows],
            _EVENTS: [event_words(row) for row in rows],
            f"Effect ({level} % CI)": [write_effect(row) for row in rows],
            "p": [p_value(row.get("P")) for row in rows],
            "q": [p_value(row.get("Q_BH")) for row in rows],
            "maxT": [p_value(row.get("P_MAXT")) for row in rows],
            "Tier": [str(row["TIER"]).capitalize() for row in rows],
        }
    )


def markers_html(
    estimates: pd.DataFrame,
    *,
    level: int = 95,
    most: int = 60,
    companions: bool = False,
    by: str | None = "Outcome",
    reason: str | None = None,
) -> str:
    """Write associations as HTML for a notebook: what has a number; what has none is counted below.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    level : int
        Confidence level, percent.
    most : int
        Rows printed; the others are counted.
    companions : bool
        Print the second measures of a question too (their NOTE begins with "companion"); else they are
        counted.
    by : {"Outcome", "Marker", None}
        Column whose rows stand together under one heading; None keeps the order (a ranking).
    reason : str, optional
        Why there may be nothing to print.

    Returns
    -------
    str
        A table with notes, or a sentence where there is nothing to print. A column that says the same in
        every row stands in the notes.
    """
    told = estimates[estimates[["ESTIMATE", "P"]].notna().any(axis=1)]
    second = told["NOTE"].astype("string").str.startswith(COMPANION).fillna(False).astype(bool)
    silent, aside = len(estimates) - len(told), 0 if companions else int(second.sum())
    told = told if companions else told[~second]
    gone = [f"{silent} more could not be estimated or are below the prevalence floor"] if silent else []
    if told.empty:
        why = gone[0] if gone else reason
        return f"<p>Nothing to estimate{': ' + why if why else ''}.</p>"
    if aside:
        gone.append(f"{counted(aside, 'row')} of a second measure (Firth, Spearman) not shown")
    if len(told) > most:
        gone.append(f"{len(told) - most} more rows not shown")
    tail = "; ".join(gone) + "; all stand in estimates_biomarkers." if gone else ""
    shown = told.head(most)
    table, notes = slim_biomarkers(shown, level=level)
    notes += [tail] if tail else []
    by = by if by in table and table[by].duplicated().any() else None
    if by:
        place = table[by].map({name: at for at, name in enumerate(dict.fromkeys(table[by]))})
        table = table.iloc[place.argsort(kind="stable")].reset_index(drop=True)
        first = "Outcome" if by == "Marker" else "Marker"
        table = table[
            [
                by,
                *(name for name in (first,) if name in table),
                *table.columns.drop([name for name in (by, first) if name in table]),
            ]
        ]
    return to_html(table, notes=notes, group_column=by)


def slim_biomarkers(rows: pd.DataFrame, *, level: int = 95) -> tuple[pd.DataFrame, list[str]]:
    """Tabulate associations as narrow as they allow, and say in notes what every row shares.

    Parameters
    ----------
    rows : DataFrame
        Rows of estimates_biomarkers.
    level : int
        Confidence level, percent.

    Returns
    -------
    table : DataFrame
        As `tabulate_biomarkers`, without empty columns and without those of one value.
    notes : list of str
        What was left out, and what the columns mean.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    table = tabulate_biomarkers(rows, level=level)
    dull = [name for name in ("With", "q", "maxT") if table[name].eq(MISSING).all()]
    eventless = not rows["EVENTS"].notna().any()
    if eventless:
        table = table.assign(**{_EVENTS: [number(count, 0) for count in rows["N"]]})
        table = table.rename(columns={_EVENTS: "n"})
    # A marker of plasma or PET says so in its name: the column is about the tissue of the others.
    tissue = table["Sample"].mask(rows["PARTYPE"].isin(_OWN_SAMPLE).to_numpy(), MISSING)
    one = len(set(tissue) - {MISSING}) == 1
    table, same = _take_out_constants(
        table.drop(columns=dull).assign(Sample=tissue if one else table["Sample"])
    )
    plain = "With: patients with the marker; a dash: it has levels." if "With" in table else ""
    notes = [same, plain, _reference(rows), *_clearance(rows), *_scales(rows), _ranks(rows), _clocks(rows)]
    return table, [text for text in notes if text]


def _ranks(rows: pd.DataFrame) -> str:
    """Say that the p-value of a ratio of levels and its maxT are of two tests."""
    two = rows["P_MAXT"].notna() & rows["PARTYPE"].isin(list(_KINDS)) & rows["STATISTIC"].isin(RATIOS)
    if not two.any():
        return ""
    kinds = ", ".join(words for kind, words in _KINDS.items() if rows.loc[two, "PARTYPE"].eq(kind).any())
    return f"Ratios of {kinds}: p is of the value {_DEVIATION}, maxT of the marker's ranks."


def _take_out_constants(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the table without what every row shares, and a sentence that says it."""
    values = {name: [text for text in table[name].unique() if text != MISSING] for name in _SAME}
    names = [name for name in _SAME if len(values[name]) <= 1 < len(table)]
    said = [f"{name}: {values[name][0]}" for name in names if values[name]]
    said = [text for text in said if text != "Tier: Single"]
    return table.drop(columns=names), "; ".join(said) + ("." if said else "")


def _reference(rows: pd.DataFrame) -> str:
    groups = rows[rows["ANALYSIS"].eq("combined") & rows["MARKER"].str.contains(", ", regex=False)]
    found = {match.group(1) for note in groups["NOTE"].dropna() if (match := _AGAINST.search(note))}
    if len(found) != 1:
        return ""
    return f"The groups are compared with: {marker_words({'MARKER': found.pop(), 'PARTYPE': 'PET'})}."


def _clearance(rows: pd.DataFrame) -> list[str]:
    """Say what McNemar's ratio compares, and how many of each class of clearance did not respond."""
    said = []
    if rows["MARKER"].str.startswith("CHANGE_").any():
        said.append("McNemar: patients detected only later to those detected only at baseline.")
    for row in rows[rows["MARKER"].str.startswith("CLASSES_")].to_dict("records"):
        found = re.findall(r"([+-]{2}) (\d+ of \d+)", str(row["NOTE"]))
        counts = ", ".join(f"{_SIGNS[sign]} {count}" for sign, count in found)
        said.append(f"Non-responders by {marker_words(row)}: {counts}." if found else "")
    return said


def _scales(rows: pd.DataFrame) -> list[str]:
    """Say what a ratio of a level is per, and what an area above one half means."""
    notes = rows["NOTE"].astype("string").fillna("")
    per = rows[notes.str.contains(_DEVIATION, regex=False) & rows["STATISTIC"].isin(RATIOS)]
    short = " and ".join(SHORT[name] for name in RATIOS if per["STATISTIC"].eq(name).any())
    kinds = ", ".join(words for kind, words in _KINDS.items() if per["PARTYPE"].eq(kind).any())
    said = [f"{short} of {kinds or 'levels'}: {_DEVIATION} among those in the row."] if short else []
    areas = rows.loc[rows["STATISTIC"].eq("auc"), "OUTCOME"]
    groups = ["non-responders"] * bool(areas.eq("NONRESPONSE").any())
    groups += ["those with the outcome"] * bool(areas.ne("NONRESPONSE").any())
    return said + ([f"AUC above {NEUTRAL['auc']:g}: higher in {' or in '.join(groups)}."] if groups else [])


def _clocks(rows: pd.DataFrame) -> str:
    clocks: dict[str, list[str]] = {}
    for row in rows[rows["NOTE"].notna()].to_dict("records"):
        visit = row["AVISIT"] if row["PARTYPE"] == "CTDNA" and isinstance(row["AVISIT"], str) else ""
        for part in str(row["NOTE"]).split("; "):
            if part.startswith("time zero: "):
                clocks.setdefault(part.partition(": ")[2], []).append(visit)
    # Clocks differ between visits: each says whose it is, unless it names its visit.
    own = [
        clock + f" ({', '.join(visits)})" * (len(clocks) > 1 and not any(name in clock for name in visits))
        for clock, found in clocks.items()
        for visits in [list(dict.fromkeys(found))]
    ]
    return f"Survival runs from: {'; '.join(map(code_words, own))}." if clocks else ""


def nonresponders_in_words(lines: pd.DataFrame, columns: Sequence[str] = ("PET", "PLASMA")) -> pd.DataFrame:
    """Return the lines of the non-responders with codes in words, without what every line says alike."""
    known = {name: lines[name].astype(str).map(code_words) for name in columns if name in lines}
    told = lines.assign(**known)
    alike = [name for name in told.columns if len(told) > 1 and len(set(told[name].astype(str))) == 1]
    return told.drop(columns=alike)


def tabulate_profile(profile: pd.DataFrame, *, level: int = 95) -> pd.DataFrame:
    """Tabulate the page of the non-responders for print.

    Parameters
    ----------
    profile : DataFrame
        Table profile: SECTION CHARACTERISTIC LEVEL NONRESPONDER RESPONDER N STATISTIC ESTIMATE LOWER UPPER
        P Q_BH.
    level : int
        Confidence level, percent, printed in the header.

    Returns
    -------
    DataFrame
        Section, Characteristic, Non-responders, Responders, n, Effect, p, q: ready text; what is said once
        for a characteristic stands in its first line.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if profile.empty:
        raise ValueError("no characteristic to tabulate: leave the table out and say why it does not apply")
    rows = profile.to_dict("records")
    return pd.DataFrame(
        {
            "Section": [_SECTIONS.get(row["SECTION"], str(row["SECTION"]).capitalize()) for row in rows],
            "Characteristic": [_characteristic(row) for row in rows],
            "Non-responders": [row["NONRESPONDER"] for row in rows],
            "Responders": [row["RESPONDER"] for row in rows],
            "n": [number(row["N"], 0) for row in rows],
            f"Effect ({level} % CI)": [
                MISSING if pd.isna(row["ESTIMATE"]) else write_effect(row) for row in rows
            ],
            "p": [p_value(row["P"]) for row in rows],
            "q": [p_value(row["Q_BH"]) for row in rows],
        }
    )


def _characteristic(row: dict) -> str:
    level, name = str(row["LEVEL"]), code_words(str(row["CHARACTERISTIC"]))
    name = first_upper(name)
    return name if level.lower() in ("", "y", "yes") else f"{name}: {level}"


def _samples(samptype: object) -> str:
    if not isinstance(samptype, str):
        return MISSING
    return first_upper(", else ".join(part.lower() for part in samptype.split(">")))
