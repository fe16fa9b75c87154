"""Sentences on what the result hangs on: the choices a reviewer would accept, and measurement error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.tables.format import count_percent, counted, number, p_text, percent, ratio
from analysis.tables.specification_table import LEFT_OUT, say_published_cut
from analysis.tables.words import order_visits, phrase_of

_TESTS = {
    "curve_median": "the median |ln hazard ratio| {value} ({p})",
    "curve_share": "the share of specifications that are significant one by one, {value} ({p})",
    "curve_stouffer": "Stouffer's Z {value} ({p})",
}


def say_specifications(table: pd.DataFrame, tests: pd.DataFrame) -> str:
    """State what all specifications say together: their spread, also by scan, and the joint tests.

    Parameters
    ----------
    table : DataFrame
        Table ``specifications``.
    tests : DataFrame
        Estimates rows ``curve_median``, ``curve_share``, ``curve_stouffer``, ``curve_any`` and
        ``curve_side``, or none.

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
    if len(drawn) == 1:
        return f"{endpoint}: no specification beside the primary analysis, so there is no curve."
    values, above = drawn["ESTIMATE"], int((drawn["ESTIMATE"] > 1).sum())
    spread = (
        f"{endpoint} under {counted(len(drawn), 'specification')} of the main comparison: hazard ratios from "
        f"{number(values.min(), 2)} to {number(values.max(), 2)}, median {number(values.median(), 2)}; "
        f"{count_percent(above, len(drawn))} above 1."
    )
    parts = [spread, _say_days(drawn), _say_primary(drawn), _say_tests(tests, drawn)]
    parts += [_say_post_hoc(drawn), _say_left_out(table)]
    return " ".join(part for part in parts if part)


def _has_days(drawn: pd.DataFrame) -> bool:
    return len(order_visits(drawn["TIMEPOINT"])) > 1


def _say_days(drawn: pd.DataFrame) -> str:
    if not _has_days(drawn):
        return ""
    said = []
    for day in order_visits(drawn["TIMEPOINT"]):
        own = drawn[drawn["TIMEPOINT"].eq(day)]
        values, clear = own["ESTIMATE"], int(((own["LOWER"] > 1) | (own["UPPER"] < 1)).sum())
        limits = "" if said else " with an interval that excludes 1"
        said.append(
            f"{phrase_of(day)} {number(values.min(), 2)} to {number(values.max(), 2)}, median "
            f"{number(values.median(), 2)} ({clear} of {len(own)}{limits})"
        )
    return f"By scan: {'; '.join(said)}."


def _say_primary(drawn: pd.DataFrame) -> str:
    main = drawn[drawn["ROLE"].eq("PRIMARY")]
    if main.empty:
        return "The primary analysis itself could not be estimated."
    first, values = main.iloc[0], drawn["ESTIMATE"]
    below, over = int((values < first["ESTIMATE"]).sum()), int((values > first["ESTIMATE"]).sum())
    place = f"has {below} of them below and {over} above it"
    day = f" ({phrase_of(first['TIMEPOINT'])})" if _has_days(drawn) else ""
    return f"The primary analysis{day}, {number(first['ESTIMATE'], 2)}, {place}."


def _say_tests(tests: pd.DataFrame, drawn: pd.DataFrame) -> str:
    said = []
    for row in tests[tests["METHOD"].isin(_TESTS)].to_dict("records"):
        share = row["METHOD"] == "curve_share"
        value = f"{100 * row['ESTIMATE']:.0f} %" if share else number(row["ESTIMATE"], 2)
        said.append(_TESTS[row["METHOD"]].format(value=value, p=p_text(row["P"])))
    if not said:
        return ""
    joined = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
    together = ", all scans together" if _has_days(drawn) else ""
    return (
        f"Tested jointly{together}, against scans exchanged between patients: {joined}."
        f"{_say_expected(tests)} These are looks at one "
        "question; they do not correct the primary test, and no p of a single specification is a test."
    )


def _say_expected(tests: pd.DataFrame) -> str:
    shares = tests.set_index("METHOD")["ESTIMATE"]
    words = {
        "curve_any": "have at least one specification that is significant by itself",
        "curve_side": "lie wholly on one side of 1",
    }
    said = [f"{_share(shares[method])} {text}" for method, text in words.items() if method in shares]
    return f" Of such curves without any effect, {' and '.join(said)}." if said else ""


def _share(value: float) -> str:
    """Write a share of permutations in percent; what is below one percent, or nearly all, is said to be."""
    if value < 0.01:
        return "less than 1 %"
    return "more than 99 %" if value > 0.99 else percent(100 * value)


def _say_post_hoc(drawn: pd.DataFrame) -> str:
    post = drawn[drawn["POSTHOC"].eq("Y")]
    if post.empty:
        return ""
    values = post["ESTIMATE"]
    return (
        f"{len(post)} are at a cut that this study chose after seeing outcomes ({number(values.min(), 2)} to "
        f"{number(values.max(), 2)}){say_published_cut(post)}."
    )


def _say_left_out(table: pd.DataFrame) -> str:
    counts = table["STATUS"].value_counts()
    said = [f"{counts[status]} {text}" for status, text in LEFT_OUT.items() if status in counts]
    return f"Listed beside them: {', '.join(said)}." if said else ""


def say_misclassification(table: pd.DataFrame, *, endpoint: str, level: int = 95) -> str:
    """State what measurement error does to classes and hazard ratio, and what it makes of many lesions.

    Parameters
    ----------
    table : DataFrame
        Table ``misclassification``.
    endpoint : str
        Whose hazard ratio is stated.
    level : int
        Share of the redrawn studies between their limits, percent.

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
    parts = [
        _say_changes(once),
        _say_ratios(of, once, endpoint, level),
        _say_lesions(of.get("nonresponse_true")),
    ]
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


def _say_ratios(of: dict[str, pd.DataFrame], once: dict[str, pd.DataFrame], endpoint: str, level: int) -> str:
    ratios = once.get("hazard_ratio")
    if ratios is None or ratios["ESTIMATE"].isna().all():
        return f"{endpoint}: no hazard ratio of redrawn classes could be estimated."
    every = of["hazard_ratio"]
    measured = every.loc[every["LEVEL"].eq(0), "ESTIMATE"].dropna()
    shown = f", {ratio(measured.iloc[0])} as measured," if len(measured) else ""
    text = (
        f"The hazard ratio of {endpoint}{shown} then is {_span(ratios['ESTIMATE'], '{:.2f}')} on average; "
        f"the middle {level} % of single redrawn studies lie between {number(ratios['LOWER'].min(), 2)} and "
        f"{number(ratios['UPPER'].max(), 2)}: so much hangs on patients next to the cut."
    )
    none = of.get("simex", pd.DataFrame(columns=["ESTIMATE", "LOWER", "UPPER"])).dropna(subset=["ESTIMATE"])
    said = _say_attenuation(of)
    if none.empty:
        return f"{text} {said} It could not be extrapolated to no error."
    today = of.get("simex_curve", none.head(0))
    today = today.loc[today["LEVEL"].eq(0), "ESTIMATE"] if len(today) else pd.Series(dtype=float)
    draw = f" ({ratio(measured.iloc[0])} as measured is one draw of classes)" if len(measured) else ""
    fitted = f"at {_span(today, '{:.2f}')} with today's error{draw} and " if len(today) else ""
    return (
        f"{text} {said} The fitted curve stands {fitted}at {_span(none['ESTIMATE'], '{:.2f}')} without error "
        f"(limits {number(none['LOWER'].min(), 2)} to {number(none['UPPER'].max(), 2)}), an approximation."
    )


def say_attenuation(table: pd.DataFrame, *, endpoint: str) -> str:
    """State whether added measurement error moves the hazard ratio towards 1, as error is expected to.

    Parameters
    ----------
    table : DataFrame
        Table ``misclassification``.
    endpoint : str
        Whose hazard ratio is stated.

    Returns
    -------
    str
        A sentence: only where error moves it towards 1, under every CV and correlation, and the extrapolation
        away from 1, is there an attenuation to speak of.
    """
    rows = table[table["ENDPOINT"].eq(endpoint)]
    return _say_attenuation({name: part for name, part in rows.groupby("QUANTITY")})


def _say_attenuation(of: dict[str, pd.DataFrame]) -> str:
    ratios = of["hazard_ratio"]
    measured, added, today, none = (
        np.log(_by_cell(of, name, level))
        for name, level in (("hazard_ratio", 0), ("hazard_ratio", 1), ("simex_curve", 0), ("simex", -1))
    )
    moved = (np.sign(measured) * (added - measured)).dropna()
    if moved.empty:
        return ""
    back = (np.sign(today) * (none - today)).dropna()
    if (moved < 0).all() and (back > 0).all():
        return "Added error moves the hazard ratio towards 1."
    never = "does not move" if (moved >= 0).all() else "does not consistently move"
    return (
        f"Added error {never} the hazard ratio towards 1 here, so no attenuation can be estimated from these "
        f"{ratios['N'].iloc[0]:.0f} patients."
    )


def _by_cell(of: dict[str, pd.DataFrame], quantity: str, level: float) -> pd.Series:
    """Return the estimates of one level by CV and correlation; none where there are no such rows."""
    rows = of.get(quantity, of["hazard_ratio"].head(0))
    return rows[rows["LEVEL"].eq(level)].set_index(["CV", "CORRELATION"])["ESTIMATE"].astype(float)


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
