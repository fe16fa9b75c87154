"""Tables of notebook 05 in print: associations of markers, and the page of the non-responders."""

from __future__ import annotations

import pandas as pd

from analysis.tables.biomarker_words import count_words, marker_words, outcome_words, write_effect
from analysis.tables.format import MISSING, number, p_value
from analysis.tables.present import to_html


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
        Marker, Sample, Outcome, With / n, Effect, p, q, p (maxT), Tier: ready text. The short name of the
        statistic leads each effect.

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
            "Marker": [_first_upper(marker_words(row)) for row in rows],
            "Sample": [_samples(row.get("SAMPTYPE")) for row in rows],
            "Outcome": [_first_upper(text) for text in outcomes],
            "With / n": [count_words(row) for row in rows],
            f"Effect ({level} % CI)": [write_effect(row) for row in rows],
            "p": [p_value(row.get("P")) for row in rows],
            "q": [p_value(row.get("Q_BH")) for row in rows],
            "p (maxT)": [p_value(row.get("P_MAXT")) for row in rows],
            "Tier": [str(row["TIER"]).capitalize() for row in rows],
        }
    )


def markers_html(estimates: pd.DataFrame, *, level: int = 95, most: int = 60) -> str:
    """Write associations as HTML for a notebook: what has a number first; what has none is counted below.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    level : int
        Confidence level, percent.
    most : int
        Rows printed; the others are counted.

    Returns
    -------
    str
        A table with notes, or a sentence where there is nothing to print.
    """
    told = estimates[estimates[["ESTIMATE", "P"]].notna().any(axis=1)]
    silent = len(estimates) - len(told)
    notes = [f"{silent} more could not be estimated or are below the prevalence floor"] if silent else []
    if len(told) > most:
        notes.append(f"{len(told) - most} more stand in estimates_biomarkers")
    if told.empty:
        return f"<p>Nothing to estimate{': ' + notes[0] if notes else ''}.</p>"
    table = tabulate_biomarkers(told.head(most), level=level)
    dull = [name for name in ("q", "p (maxT)") if table[name].eq(MISSING).all()]
    return to_html(table.drop(columns=dull), notes=notes)


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
            "Section": [str(row["SECTION"]).capitalize() for row in rows],
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
    level = str(row["LEVEL"])
    return (
        str(row["CHARACTERISTIC"])
        if level.lower() in ("", "y", "yes")
        else f"{row['CHARACTERISTIC']}: {level}"
    )


def _samples(samptype: object) -> str:
    if not isinstance(samptype, str):
        return MISSING
    return _first_upper(", else ".join(part.lower() for part in samptype.split(">")))


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
