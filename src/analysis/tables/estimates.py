"""Tables of estimates: one line an estimate, written as the figures and the sentences write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.tables.format import MISSING, fall, interval, number, p_value, ratio
from analysis.tables.present import to_left
from analysis.tables.words import ESTIMATORS, LANDMARKS, POPULATIONS, ROLES, label_of

# What the number of a row is, by the method that made it (first match). Other methods print two decimals.
RATIO, MONTHS, DIFFERENCE, PERCENT, PLAIN, TEST = "ratio", "months", "difference", "percent", "plain", "test"
QUANTITIES = {
    "curve_any": (PERCENT, "Curves, %"),
    "curve_side": (PERCENT, "Curves, %"),
    "curve_median": (PLAIN, "Median |ln HR|"),
    "curve_share": (PERCENT, "Specifications, %"),
    "curve_stouffer": (TEST, "Stouffer Z"),
    "two_stage": (TEST, "z"),
    "selection_bias": (RATIO, "Factor of the HR"),
    "cox_stages": (RATIO, "Ratio of the HRs"),
    "cox_spline": (TEST, "Statistic"),
    "ph_test": (TEST, "Statistic"),
    "maxstat": (TEST, "Statistic"),
    "cut_bootstrap": (PERCENT, "Share of resamples, %"),
    "cut_selected": (PLAIN, "Selected cut"),
    "km missing_pet": (MONTHS, "Median, months"),
    "cut_sweep": (RATIO, "HR"),
    "spline_curve": (RATIO, "HR"),
    "weibull": (RATIO, "HR"),
    "follow_up": (MONTHS, "Median follow-up, months"),
    "assessment_timing": (DIFFERENCE, "Days between scans"),
    "missing_pet": (PLAIN, "Standardised difference"),
    "reader_kappa": (PLAIN, "Kappa"),
    "reader_ac1": (PLAIN, "AC1"),
    "reader_icc": (PLAIN, "ICC"),
    "ppv": (PERCENT, "PPV, %"),
    "npv": (PERCENT, "NPV, %"),
    "sensitivity_": (PERCENT, "Sensitivity, %"),
    "specificity_": (PERCENT, "Specificity, %"),
    "uno_c": (PLAIN, "Uno C"),
    "auc_": (PLAIN, "AUC"),
    "brier_": (PLAIN, "Brier score"),
    "cox": (RATIO, "HR"),
    "hazard": (RATIO, "HR"),
    "odds": (RATIO, "OR"),
    "logistic": (RATIO, "OR"),
    "fisher": (RATIO, "OR"),
    "median": (MONTHS, "Median, months"),
    "km_survival": (PERCENT, "Survival, %"),
    "rmst": (DIFFERENCE, "Difference, months"),
    "clopper": (PERCENT, "Proportion, %"),
    "wilson": (PERCENT, "Proportion, %"),
    "proportion": (PERCENT, "Proportion, %"),
    "log_rank": (TEST, "Statistic"),
    "log-rank": (TEST, "Statistic"),
    "logrank": (TEST, "Statistic"),
    "concordance": (PLAIN, "C"),
    "power": (PERCENT, "Power, %"),
    "simex": (RATIO, "HR"),
}
# Columns in which a row may differ from the main analysis, and their words.
_CHOICES = {
    "TIMEPOINT": label_of,
    "METRIC": label_of,
    "RULE": label_of,
    "CUT": fall,
    "LANDMARK": lambda code: LANDMARKS.get(code, code),
    "POPULATION": lambda code: POPULATIONS.get(code, code),
    "ESTIMATOR": lambda code: ESTIMATORS.get(code, code),
    "TIES": lambda code: f"{str(code).capitalize()} ties",
}
_GENERIC = (
    *(
        "other rule, cut or day",
        "other censoring rule",
        "other population",
        "other estimator",
        "main analysis",
        "hazard ratio",
        "fixed landmark",
    ),
    "hazard ratio per doubling",
)
_FITTED = ("ML", "FIRTH", "firth", "ml")
_OWN_CUT = ("maxstat_lausen92", "maxstat_lausen94", "maxstat_hothorn_lausen", "maxstat_permutation")
_OWN_CUT += ("cut_selected",)  # their cut is a result, written with the number
UNTESTED = "estimated only, not tested"
_NOT_THE_TEST, _REPORTED = "p of the Cox model, not the test", "reported test"
_CHECKS = ("ph_test", "assessment_timing", "missing_pet")  # of assumptions and data, not of the exposure


def quantity_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Tell what the number of an estimate is: its kind and its short name.

    Parameters
    ----------
    row : mapping
        METHOD and ESTIMATOR of an estimate.

    Returns
    -------
    tuple of str
        Kind (``ratio``, ``months``, ``difference``, ``percent``, ``plain``, ``test``) and its name.

    Examples
    --------
    >>> quantity_of({"METHOD": "cox", "ESTIMATOR": "firth"})
    ('ratio', 'HR')
    """
    text = f"{row.get('ESTIMATOR') or ''} {row.get('METHOD') or ''}".casefold()
    return next((what for key, what in QUANTITIES.items() if key in text), (PLAIN, "Estimate"))


# Methods whose number is the hazard ratio of the exposure itself: what a forest plot of alternatives shows.
_EFFECTS = (
    *("cox", "cox_adjusted", "cox_adjusted_one", "cox_stratified", "cox_leave_centre_out", "cox_prior"),
    *("cox_time_dependent", "cox_ipw", "weibull_interval"),
)


def is_effect(estimates: pd.DataFrame) -> pd.Series:
    """Tell which rows are hazard ratios of the exposure (not of a covariate, nor at one cut of a sweep)."""
    of_exposure = estimates["REFERENCE"].notna() | estimates["RULE"].eq("per_doubling")
    return estimates["METHOD"].isin(_EFFECTS) & of_exposure


def is_ratio(estimates: pd.DataFrame) -> pd.Series:
    """Tell which rows are ratios (hazard, odds): those a forest plot can show."""
    kinds = [quantity_of(row)[0] for row in estimates.to_dict("records")]
    return pd.Series([kind == RATIO for kind in kinds], index=estimates.index, dtype=bool)


def name_analyses(estimates: pd.DataFrame, *, short: bool = False) -> pd.DataFrame:
    """Give every row a LABEL that tells it apart: endpoint, label, and how it differs from the main one.

    The main analysis is the first PRIMARY row, else the first row. Apply once, to the rows to be shown.

    Parameters
    ----------
    estimates : DataFrame
        Tidy estimates; columns that are absent are not compared.
    short : bool
        Keep the first words of a label, without its details: for a figure.

    Returns
    -------
    DataFrame
        A copy with LABEL rewritten, for example ``"PFS: Day 28, EORTC"``.
    """
    if estimates.empty:
        return estimates.copy()
    primary = estimates[estimates["ROLE"] == "PRIMARY"]
    main = (primary if len(primary) else estimates).iloc[0]
    choices = [name for name in _CHOICES if name in estimates]
    several = len(set(estimates["ENDPOINT"])) > 1
    labels = [_name(row, main, choices, several, short) for row in estimates.to_dict("records")]
    return estimates.assign(LABEL=labels)


def write_estimate(row: Mapping[str, Any]) -> str:
    """Write estimate and interval of one row in the form its quantity has.

    Proportions are fractions in the table (0 to 1) and percent in print; a median not reached says so.
    """
    kind, _ = quantity_of(row)
    value, low, high = row["ESTIMATE"], row["LOWER"], row["UPPER"]
    if kind == TEST:
        at = f" at the cut {number(row['CUT'], 1)}" if row["METHOD"] in _OWN_CUT else ""
        return MISSING if pd.isna(value) else f"{number(value, 2)}{at}"
    if kind == RATIO:
        return "not estimable" if pd.isna(value) else ratio(value, low, high)
    if kind == MONTHS:
        return interval(value, low, high, missing="not reached")
    if kind == DIFFERENCE:
        return interval(value, low, high)
    if kind == PERCENT:
        return interval(*(None if pd.isna(x) else 100 * x for x in (value, low, high)))
    return interval(value, low, high, decimals=2)


def tabulate_estimates(estimates: pd.DataFrame, *, level: int = 95, with_role: bool = True) -> pd.DataFrame:
    """Tabulate estimates for a reader, in the order they stand.

    Parameters
    ----------
    estimates : DataFrame
        Tidy estimates: ENDPOINT LABEL METHOD ESTIMATOR ESTIMATE LOWER UPPER P N EVENTS ROLE; CUT-based
        analyses chosen after seeing outcomes carry their mark in LABEL.
    level : int
        Confidence level, percent, printed in the header.
    with_role : bool
        Add the role as last column.

    Returns
    -------
    DataFrame
        Endpoint, Analysis, Quantity, Events / n, Estimate (.. % CI), p, Role: ready text.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if estimates.empty:
        raise ValueError("no estimate to tabulate: leave the table out and say why it does not apply")
    rows = estimates.to_dict("records")
    table = pd.DataFrame(
        {
            "Endpoint": [row["ENDPOINT"] for row in rows],
            "Analysis": [row["LABEL"] for row in rows],
            "Quantity": [quantity_of(row)[1] for row in rows],
            "Events / n": [f"{_count(row['EVENTS'])} / {_count(row['N'])}" for row in rows],
            f"Estimate ({level} % CI)": [write_estimate(row) for row in rows],
            "p": [p_value(row["P"]) for row in rows],
        }
    )
    return table.assign(Role=[ROLES.get(row["ROLE"], row["ROLE"]) for row in rows]) if with_role else table


def list_estimates(rows: pd.DataFrame, main: pd.DataFrame, *, level: int = 95) -> pd.DataFrame:
    """List estimates for a reader of a notebook, each named by what it has that the main analysis has not.

    Parameters
    ----------
    rows : DataFrame
        Tidy estimates, any endpoints and methods.
    main : DataFrame
        The main estimates; the first row of an endpoint is what its names refer to.
    level : int
        Confidence level, percent.

    Returns
    -------
    DataFrame
        As `tabulate_estimates`, Endpoint as index; empty where `rows` is.
    """
    named = []
    for endpoint, own in rows.groupby("ENDPOINT", sort=False):
        first = main[main["ENDPOINT"].eq(endpoint)].head(1)
        first = (main.head(1) if first.empty else first).assign(ROLE="PRIMARY", ENDPOINT=endpoint)
        both = name_analyses(pd.concat([first, own], ignore_index=True)).iloc[1:]
        # After an endpoint that is not significant the next is estimated only: no test of it is printed.
        untested = first["LABEL"].str.contains(UNTESTED).any() & ~own["METHOD"].isin(_CHECKS).to_numpy()
        named.append(both.assign(ROLE=own["ROLE"].to_numpy(), P=both["P"].mask(untested)))
    if not named:
        return pd.DataFrame()
    return tabulate_estimates(pd.concat(named), level=level).set_index("Endpoint")


def add_reported_test(rows: pd.DataFrame, estimates: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Put the corrected test of an endpoint directly under its main hazard ratio.

    Parameters
    ----------
    rows : DataFrame
        Named estimates of the endpoint, the main one first.
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.

    Returns
    -------
    DataFrame
        `rows` with the two-stage row second; as they are where no two-stage test is the reported one.
    """
    own = estimates["ENDPOINT"].eq(endpoint) & estimates["METHOD"].eq("two_stage")
    test = estimates[own & estimates["LABEL"].str.contains(_REPORTED, regex=False)].head(1)
    if test.empty:
        return rows
    name = test["LABEL"].iloc[0].split("; ")[0]
    named = test.assign(LABEL=f"{name[:1].upper()}{name[1:]}, {_REPORTED}")
    return pd.concat([rows.head(1), named, rows.iloc[1:]], ignore_index=True)


def reported_row(estimates: pd.DataFrame, endpoint: str, main: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row whose p is reported for a comparison: its corrected test or log-rank, else itself.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.
    main : mapping
        The hazard ratio of the comparison.
    """
    own = estimates["ENDPOINT"].eq(endpoint)
    for name in ("RULE", "METRIC", "CONTRAST"):
        own &= estimates[name].eq(main[name])
    tests = estimates[own & estimates["LABEL"].str.contains(_REPORTED, regex=False)]
    return tests.iloc[0] if len(tests) else main


def estimates_html(rows: pd.DataFrame, main: pd.DataFrame) -> str:
    """Write `list_estimates` as HTML for a notebook; a sentence where there is no row."""
    listed = list_estimates(rows, main)
    return to_left(listed.reset_index()) if len(listed) else "<p>No row: it does not apply to this study.</p>"


def say_alternatives(rows: pd.DataFrame, main: pd.Series) -> str:
    """State how far the main hazard ratio moves under its alternatives.

    Parameters
    ----------
    rows : DataFrame
        Estimates rows of the same endpoint and contrast.
    main : Series
        The main row.

    Returns
    -------
    str
        How many there are, the range, and how many lie on the other side of 1; empty without any.
    """
    known = rows[is_effect(rows) & rows["ESTIMATE"].notna()]
    if known.empty or pd.isna(main["ESTIMATE"]):
        return ""
    values, side = known["ESTIMATE"], main["ESTIMATE"] > 1
    other = int(((values > 1) != side).sum())
    return (
        f"{main['ENDPOINT']}: {len(known)} alternative hazard ratios lie between {number(values.min(), 2)} "
        f"and {number(values.max(), 2)}; {other} of them on the other side of 1. They share patients and are "
        "no independent evidence."
    )


def tabulate_values(values: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate the named numbers of a report and where each comes from.

    Parameters
    ----------
    values : mapping
        Name -> text or number, or a mapping with ``value`` and any of ``label``, ``file``, ``notebook``.

    Returns
    -------
    DataFrame
        Number, Value, File, Notebook: ready text, in the order given.
    """
    rows = []
    for name, given in values.items():
        entry = given if isinstance(given, Mapping) else {"value": given}
        value = entry.get("value")
        text = _write_value(name, value)
        rows.append(
            (entry.get("label", name), text, entry.get("file", MISSING), entry.get("notebook", MISSING))
        )
    table = pd.DataFrame(rows, columns=["Number", "Value", "File", "Notebook"])
    return table.loc[:, [*table.columns[:2], *[c for c in table.columns[2:] if (table[c] != MISSING).any()]]]


def _count(value: Any) -> str:
    return MISSING if pd.isna(value) else str(int(value))


def _write_value(name: str, value: Any) -> str:
    if value is None:
        return MISSING
    if not isinstance(value, float):
        return str(value)
    if name.endswith("_p"):
        return p_value(value)
    return number(value, 0 if value.is_integer() else 3)


def _name(row: Mapping, main: Mapping, choices: list[str], several: bool, short: bool) -> str:
    is_main = all(_same(row[name], main[name]) for name in [*choices, "METHOD", "ENDPOINT"])
    different = [name for name in choices if not pd.isna(row[name]) and not _same(row[name], main[name])]
    # How a number was found is told apart among hazard ratios of one model; elsewhere the label says it.
    if not str(row["METHOD"]).startswith("cox") or row.get("ESTIMATOR") not in (None, *_FITTED):
        different = [name for name in different if name not in ("ESTIMATOR", "TIES")]
    own_cut = row["METHOD"] in _OWN_CUT or row["RULE"] in ("median_split", "reported")
    different = [name for name in different if name != "CUT" or not own_cut]
    shown = [name for name in choices[:4] if not pd.isna(row[name])] if is_main else different
    shown = [name for name in shown if name != "CUT" or not own_cut]
    details = [_CHOICES[name](row[name]) for name in shown]
    said = [text for text in str(row["LABEL"]).split("; ") if text not in _GENERIC]
    said = [text for text in said if not text.startswith(UNTESTED)]  # the missing p says so, line by line
    last = [text for text in said if text in (_NOT_THE_TEST, _REPORTED)]  # after the name, in a figure too
    said = [text for text in said if text not in last]
    last = [text for text in last if text == _REPORTED or pd.notna(row.get("P"))]  # no p, no word on it
    said = said[:1] if short else said
    per_unit = row["RULE"] == "per_doubling" or row["METHOD"] == "cox_score"
    if pd.isna(row.get("REFERENCE")) and not pd.isna(row.get("CONTRAST")) and not per_unit:
        said.insert(0, label_of(row["CONTRAST"]))
    text = ", ".join([*said, *details, *last]) or str(row["LABEL"])
    return f"{row['ENDPOINT']}: {text}" if several else text[:1].upper() + text[1:]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (pd.isna(one) and pd.isna(other))
