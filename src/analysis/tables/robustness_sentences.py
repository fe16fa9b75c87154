"""Sentences on what the result hangs on: the choices a reviewer would accept, and measurement error."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import count_percent, counted, number, p_text, percent, ratio

_TESTS = {
    "curve_median": "the median |ln hazard ratio| {value} ({p})",
    "curve_share": "the share of specifications that are significant one by one, {value} ({p})",
    "curve_stouffer": "Stouffer's Z {value} ({p})",
}


def say_specifications(table: pd.DataFrame, tests: pd.DataFrame) -> str:
    """State what all specifications say together: their spread, the primary's place, the joint tests.

    Parameters
    ----------
    table : DataFrame
        Table ``specifications``.
    tests : DataFrame
        Estimates rows ``curve_median``, ``curve_share`` and ``curve_stouffer``, or none.

    Returns
    -------
    str
        A few sentences; empty where the study has no specification.
    """
    if table.empty:
        return ""
    drawn = table[table["STATUS"].eq("ESTIMATED")]
    endpoint = table["ENDPOINT"].iloc[0]
    if drawn.empty:
        return f"{endpoint}: none of {counted(len(table), 'specification')} could be estimated."
    values, above = drawn["ESTIMATE"], int((drawn["ESTIMATE"] > 1).sum())
    spread = (
        f"{endpoint} under {counted(len(drawn), 'specification')} of the main comparison: hazard ratios from "
        f"{number(values.min(), 2)} to {number(values.max(), 2)}, median {number(values.median(), 2)}; "
        f"{count_percent(above, len(drawn))} above 1."
    )
    parts = [spread, _say_primary(drawn), _say_tests(tests), _say_post_hoc(drawn), _say_left_out(table)]
    return " ".join(part for part in parts if part)


def _say_primary(drawn: pd.DataFrame) -> str:
    main = drawn[drawn["ROLE"].eq("PRIMARY")]
    if main.empty:
        return "The primary analysis itself could not be estimated."
    first, values = main.iloc[0], drawn["ESTIMATE"]
    below, over = int((values < first["ESTIMATE"]).sum()), int((values > first["ESTIMATE"]).sum())
    place = f"has {below} of them below and {over} above it"
    return f"The primary analysis, {number(first['ESTIMATE'], 2)}, {place}."


def _say_tests(tests: pd.DataFrame) -> str:
    said = []
    for row in tests.to_dict("records"):
        share = row["METHOD"] == "curve_share"
        value = f"{100 * row['ESTIMATE']:.0f} %" if share else number(row["ESTIMATE"], 2)
        said.append(_TESTS[row["METHOD"]].format(value=value, p=p_text(row["P"])))
    if not said:
        return ""
    joined = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
    return (
        f"Tested jointly, against scans exchanged between patients: {joined}. These are looks at one "
        "question; they do not correct the primary test, and no p of a single specification is a test."
    )


def _say_post_hoc(drawn: pd.DataFrame) -> str:
    post = drawn[drawn["POSTHOC"].eq("Y")]
    if post.empty:
        return ""
    values = post["ESTIMATE"]
    return (
        f"{len(post)} are at a cut chosen after seeing outcomes ({number(values.min(), 2)} to "
        f"{number(values.max(), 2)})."
    )


def _say_left_out(table: pd.DataFrame) -> str:
    words = {
        "SAME": "the same in meaning as another",
        "NOT_APPLICABLE": "not applicable to this study",
        "NOT_ESTIMABLE": "not estimable",
    }
    counts = table["STATUS"].value_counts()
    said = [f"{counts[status]} {text}" for status, text in words.items() if status in counts]
    return f"Listed beside them: {', '.join(said)}." if said else ""


def say_misclassification(table: pd.DataFrame, *, endpoint: str) -> str:
    """State what measurement error does to classes and hazard ratio, and what it makes of many lesions.

    Parameters
    ----------
    table : DataFrame
        Table ``misclassification``.
    endpoint : str
        Whose hazard ratio is stated.

    Returns
    -------
    str
        A few sentences; empty where nothing was drawn again.
    """
    if table.empty:
        return ""
    rows = table[table["ENDPOINT"].isna() | table["ENDPOINT"].eq(endpoint)]
    of = {name: part for name, part in rows.groupby("QUANTITY")}
    once = {name: part[part["LEVEL"].eq(1) & part["LESIONS"].isna()] for name, part in of.items()}
    parts = [_say_changes(once), _say_ratios(of, once, endpoint), _say_lesions(of.get("nonresponse_true"))]
    return " ".join(part for part in parts if part)


def _say_changes(once: dict[str, pd.DataFrame]) -> str:
    changed = once.get("class_change")
    if changed is None or changed.empty:
        return ""
    lost, n = once["not_evaluable"]["ESTIMATE"].max(), changed["N"].iloc[0]
    text = (
        "With the error of one more measurement in the uptake of every lesion (within-subject CV "
        f"{_span(changed['CV'], '{:g}')} %), {_span(100 * changed['ESTIMATE'])} % of {n:.0f} patients change "
        "class on average"
    )
    return text + (f", and up to {percent(100 * lost, 1)} are not evaluable." if lost > 0 else ".")


def _say_ratios(of: dict[str, pd.DataFrame], once: dict[str, pd.DataFrame], endpoint: str) -> str:
    ratios = once.get("hazard_ratio")
    if ratios is None or ratios["ESTIMATE"].isna().all():
        return f"{endpoint}: no hazard ratio of redrawn classes could be estimated."
    every = of["hazard_ratio"]
    measured = every.loc[every["LEVEL"].eq(0), "ESTIMATE"].dropna()
    shown = f", {ratio(measured.iloc[0])} as measured," if len(measured) else ""
    text = (
        f"The hazard ratio of {endpoint}{shown} then is {_span(ratios['ESTIMATE'], '{:.2f}')} on average, in "
        f"single redrawn studies {number(ratios['LOWER'].min(), 2)} to {number(ratios['UPPER'].max(), 2)}: "
        "so much hangs on patients next to the cut."
    )
    none = of.get("simex", pd.DataFrame(columns=["ESTIMATE", "LOWER", "UPPER"])).dropna(subset=["ESTIMATE"])
    if none.empty:
        return text + " It could not be extrapolated to no error."
    return text + (
        f" Extrapolated to no error it is {_span(none['ESTIMATE'], '{:.2f}')} (limits "
        f"{number(none['LOWER'].min(), 2)} to {number(none['UPPER'].max(), 2)}), an approximation."
    )


def _say_lesions(chances: pd.DataFrame | None) -> str:
    if chances is None or chances.empty:
        return ""
    most = chances[chances["CV"].eq(chances["CV"].max())]
    most = most[most["CORRELATION"].eq(most["CORRELATION"].min())]
    wide = most.set_index(["FALL", "LESIONS"])["ESTIMATE"].sort_index()
    spread = wide.groupby(level="FALL").agg(lambda part: part.iloc[-1] - part.iloc[0])
    own = wide.loc[spread.idxmax()]
    return (
        f"A patient all of whose lesions truly fell by {spread.idxmax():g} % is called a non-responder in "
        f"{percent(100 * own.iloc[0])} of cases with {counted(own.index[0], 'lesion')}, in "
        f"{percent(100 * own.iloc[-1])} with {own.index[-1]:.0f} (CV {most['CV'].iloc[0]:g} %, errors "
        f"correlated {most['CORRELATION'].iloc[0]:g})."
    )


def _span(values: pd.Series, form: str = "{:.0f}") -> str:
    low, high = form.format(values.min()), form.format(values.max())
    return low if low == high else f"{low} to {high}"
