"""The sentences that state a result, computed from the tables: the notebook and the report say the same."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import counted, number, p_text, proportion, ratio
from analysis.tables.words import label_of, phrase_of

_NOT_CORRECTED = "not corrected for the pilot's choice of the day"
_BEFORE = ("EVENT_BEFORE_LANDMARK", "CENSORED_BEFORE_LANDMARK")
_CLASSES = ("NON-RESPONDER", "RESPONDER")
_TESTS = {
    "two_stage": "two-stage test, corrected for the pilot's choice of the day, ",
    "logrank_permutation": "log-rank by permutation ",
    "logrank": "log-rank ",
}


def say_main(estimates: pd.DataFrame, endpoint: str, *, alpha: float) -> str:
    """State the main hazard ratio of one endpoint, its interval, p, patients and events.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates; the endpoint's first row is its main hazard ratio.
    endpoint : str
        PARAMCD.
    alpha : float
        Two-sided level; also gives the level of the interval.

    Returns
    -------
    str
        One or two sentences; what the trial can and cannot say follows from the numbers.
    """
    row = estimates[estimates["ENDPOINT"].eq(endpoint)].iloc[0]
    level = f"{100 * (1 - alpha):g} %"
    if pd.isna(row["ESTIMATE"]):
        return f"{endpoint}: the hazard ratio cannot be estimated ({row['LABEL']})."
    shown = ratio(row["ESTIMATE"], row["LOWER"], row["UPPER"])
    test = _reported_test(estimates[estimates["ENDPOINT"].eq(endpoint)])
    p = f"; {_TESTS.get(test['METHOD'], '')}{p_text(test['P'])}" if pd.notna(test["P"]) else ""
    p += f", {_NOT_CORRECTED}" if p and _NOT_CORRECTED in test["LABEL"] else ""
    size = f"{counted(row['N'], 'patient')}, {counted(row['EVENTS'], 'event')}"
    text = f"{endpoint}: hazard ratio {shown} {_contrast(row)} ({level} interval{p}; {size})."
    parts = [text, _post_hoc(row["LABEL"]), _verdict(row, test, alpha), _power(estimates, endpoint)]
    return " ".join(part for part in parts if part)


def say_medians(estimates: pd.DataFrame, endpoint: str) -> str:
    """State the median time of each group of the main analysis, months, with limits."""
    rows = estimates[estimates["ENDPOINT"].eq(endpoint) & estimates["METHOD"].eq("km_median")]
    main = estimates[estimates["ENDPOINT"].eq(endpoint)].iloc[0]
    if main["RULE"] != "per_doubling":
        rows = rows[rows["RULE"].eq(main["RULE"]) & rows["TIMEPOINT"].eq(main["TIMEPOINT"])]
    rows = rows[rows["METRIC"].eq(main["METRIC"])].drop_duplicates("CONTRAST")
    parts = [f"{phrase_of(row.CONTRAST)} {_months(row)}" for row in rows.itertuples()]
    return f"Median {endpoint}, months (limits): " + "; ".join(parts) + "." if parts else ""


def say_proportion(
    proportions: pd.DataFrame,
    *,
    timepoint: str,
    metric: str,
    rule: str,
    cut: float,
    response: str = "response",
) -> str:
    """State the proportion of non-responders with its exact limits and its bounds under missing scans.

    Parameters
    ----------
    proportions : DataFrame
        Table proportions.
    timepoint, metric, rule, cut : str, float
        The analysis whose proportion is stated.
    response : str
        What the study calls the response, as ``"metabolic response"`` (``design.words``).

    Returns
    -------
    str
        One or two sentences; empty where the table has no such row.
    """
    asked = (
        proportions["TIMEPOINT"].eq(timepoint)
        & proportions["METRIC"].eq(metric)
        & proportions["RULE"].eq(rule)
        & proportions["CUT"].eq(cut)
        & proportions["METHOD"].eq("clopper_pearson")
    )
    rows = proportions[asked].set_index("CASE")
    if "observed" not in rows.index:
        return ""
    seen = rows.loc["observed"]
    shown = proportion(int(seen["N_NONRESPONDER"]), int(seen["N"]), 100 * seen["LOWER"], 100 * seen["UPPER"])
    who = response.replace("response", "non-responders")
    # A word with a capital of its own keeps it: ctDNA.
    head = who if who.split()[0] != who.split()[0].lower() else f"{who[:1].upper()}{who[1:]}"
    text = f"{head} at {phrase_of(timepoint)}: {shown}."
    text = " ".join(part for part in (text, _post_hoc(seen["LABEL"])) if part)
    if seen["N_MISSING"] > 0:
        low, high = (100 * rows.loc[case, "ESTIMATE"] for case in ("lowest", "highest"))
        text += (
            f" {counted(seen['N_MISSING'], 'patient')} not evaluable; with all of them responders, or all "
            f"non-responders, it would be {low:.0f} % or {high:.0f} %."
        )
    return text


def say_landmark_losses(ledger: pd.DataFrame, classes: pd.Series, endpoint: str, *, origin: str) -> str:
    """State how many of each class had the event, or left, before the landmark.

    Parameters
    ----------
    ledger : DataFrame
        Rows of exclusions_04: USUBJID, CODE, REASON (``<endpoint>: ...``).
    classes : Series
        MRESP, index USUBJID.
    endpoint : str
        Endpoint.
    origin : str
        Where the clock starts, as ``"day 60"``.

    Returns
    -------
    str
        One sentence; empty where nobody is left out.
    """
    mine = ledger["CODE"].isin(_BEFORE) & ledger["REASON"].astype(str).str.startswith(f"{endpoint}: ")
    lost = classes.index.isin(ledger.loc[mine, "USUBJID"])
    if not (lost & classes.isin(_CLASSES)).any():
        return ""
    sizes = {name: int(classes.eq(name).sum()) for name in _CLASSES}
    parts = [
        f"{int((lost & classes.eq(name)).sum())} of {counted(size, label_of(name).lower())}"
        for name, size in sizes.items()
    ]
    return (
        f"{endpoint}: {' and '.join(parts)} had the event or the end of follow-up on or before {origin}; the "
        "comparison is of those who were left."
    )


def _contrast(row: pd.Series) -> str:
    day = phrase_of(row["TIMEPOINT"])
    if row["RULE"] == "per_doubling":
        return f"per doubling of {phrase_of(row['METRIC'])} at {day}"
    return f"of {phrase_of(row['CONTRAST'])} against {phrase_of(row['REFERENCE'])} at {day}"


def _post_hoc(label: str | None) -> str:
    said = []
    if "post hoc cut" in str(label):
        said.append("The cut is post hoc: chosen after seeing outcomes.")
    if "post hoc change of the plan" in str(label):
        names = str(label).split("post hoc change of the plan: ")[-1].split(";")[0]
        said.append(f"The plan was changed after outcomes were first analysed ({names}): post hoc.")
    return " ".join(said)


def _reported_test(rows: pd.DataFrame) -> pd.Series:
    main = rows.iloc[0]
    same = rows["RULE"].eq(main["RULE"]) & rows["METRIC"].eq(main["METRIC"])
    tests = rows[same & rows["LABEL"].str.contains("reported test", regex=False)]
    return main if tests.empty else tests.iloc[0]


def _verdict(row: pd.Series, test: pd.Series, alpha: float) -> str:
    p = test["P"]
    if row["ROLE"] not in ("PRIMARY", "SECONDARY"):
        return (
            "Exploratory, not a test."
            if row["ROLE"] == "EXPLORATORY"
            else "A sensitivity analysis, not a test."
        )
    if pd.isna(p) and test["METHOD"] == "two_stage" and "not estimable" in test["LABEL"]:
        return "Not tested: neither pilot nor extension tells anything about the day the pilot chose."
    if pd.isna(p):
        return "Estimated only, not tested: the endpoint before it is not significant."
    edge = ""
    outside = not row["LOWER"] <= 1 <= row["UPPER"] if pd.notna(row["LOWER"]) else False
    if outside != (p <= alpha):
        edge = " Interval (likelihood of the Cox model) and log-rank are two methods: at the edge they part."
        if test["METHOD"] == "two_stage":
            edge = " The interval (Cox model of all patients) is not corrected for the pilot's choice."
    if p <= alpha:
        return f"Significant at {alpha:g}, two-sided.{edge}"
    return f"Not significant at {alpha:g}, which is no evidence of no effect: see the interval.{edge}"


def _power(estimates: pd.DataFrame, endpoint: str) -> str:
    rows = estimates[estimates["METHOD"].eq("power") & estimates["ENDPOINT"].eq(endpoint)]
    if rows.empty or pd.isna(rows["ESTIMATE"].iloc[0]):
        return ""
    text = f"The {rows['LABEL'].iloc[0]} is {100 * rows['ESTIMATE'].iloc[0]:.0f} %"
    found = estimates[estimates["METHOD"].eq("simulated_power") & estimates["ENDPOINT"].eq(endpoint)]
    if found.empty:
        return f"{text}."
    first = found.iloc[0]  # the truth nearest to the hazard ratio of the formula
    planted = next(part for part in first["LABEL"].split("; ") if part.startswith("true hazard ratio of "))
    share = f"in {100 * first['ESTIMATE']:.0f} % of virtual trials of this design"
    return f"{text}; the corrected test that is reported found a {planted} {share}."


def _months(row) -> str:
    if pd.isna(row.ESTIMATE):
        return "not reached"
    upper = number(row.UPPER) if pd.notna(row.UPPER) else "not reached"
    lower = number(row.LOWER) if pd.notna(row.LOWER) else "not reached"
    return f"{number(row.ESTIMATE)} ({lower} to {upper})"
