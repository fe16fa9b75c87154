"""Evidence on the two candidate days that needs no outcome: scans lacking, and how far the days agree."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.agreement import bland_altman, gwet_ac1, kappa, mcnemar
from analysis.survival.pilot.patients import CLASSES
from analysis.survival.proportion import proportion

COLUMNS = [
    *("SET", "ITEM", "TIMEPOINT", "ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS", "METHOD", "ROLE"),
]
DECISION, FINAL, EVERYONE = "DECISION", "FINAL", "EVERYONE"
DECIDES, DESCRIPTIVE, SENSITIVITY = "DECIDES", "DESCRIPTIVE", "SENSITIVITY"


def contrast_of(plan: Plan) -> str:
    """Name the contrast of the two days, as it stands in TIMEPOINT: the later minus the earlier.

    Parameters
    ----------
    plan : Plan
        Section design.

    Returns
    -------
    str
        For example ``"D28 - D14"``.
    """
    earlier, later = plan.design.followup_visits
    return f"{later} - {earlier}"


def missing_evidence(rows: dict[str, pd.DataFrame], plan: Plan) -> pd.DataFrame:
    """Tabulate the share of pilot patients whose scan is missing or not evaluable, by day.

    Parameters
    ----------
    rows : dict
        For each day one row a pilot patient with MRESP (missing where there is no scan).
    plan : Plan
        Section primary.

    Returns
    -------
    DataFrame
        Evidence rows ``missing_share`` with Clopper-Pearson limits.
    """
    items = []
    for day, table in rows.items():
        lacking = int((~table["MRESP"].isin(CLASSES)).sum())
        found = proportion(lacking, len(table), alpha=plan.primary.alpha).iloc[0]
        items.append(item("missing_share", day, found, len(table), "clopper_pearson", role=DECIDES))
    return evidence_table(items)


def agreement_evidence(paired: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Describe how far the two days agree; of it only kappa is read by a decision rule.

    Parameters
    ----------
    paired : DataFrame
        One row a patient with both scans: SCORE_<day> (ln ratio), MRESP_<day>.
    plan : Plan
        Sections design and primary.

    Returns
    -------
    DataFrame
        Evidence rows: kappa, gwet_ac1, class_change (share whose class differs), nonresponse_share (of each
        day; the difference with McNemar's exact and mid-p), and of the ln ratio and the percent change the
        bias with its interval and the limits of agreement. Empty without a patient.
    """
    n, alpha, contrast = len(paired), plan.primary.alpha, contrast_of(plan)
    if n == 0:
        return evidence_table([])
    days = plan.design.followup_visits
    first, second = (paired[f"MRESP_{day}"] for day in days)
    changed = proportion(int(first.ne(second).sum()), n, alpha=alpha).iloc[0]
    items = [
        item("kappa", contrast, kappa(first, second, alpha=alpha).iloc[0], n, "cohen", role=DECIDES),
        item("gwet_ac1", contrast, gwet_ac1(first, second, alpha=alpha).iloc[0], n, "gwet"),
        item("class_change", contrast, changed, n, "clopper_pearson"),
        *_nonresponse_items(first, second, plan),
    ]
    scores = [score_of(paired, day) for day in days]
    for name, values in (("ln_ratio", scores), ("percent_change", [100 * np.expm1(s) for s in scores])):
        found = bland_altman(*values, alpha=alpha).iloc[0]
        bias = {"estimate": found["bias"], "lower": found["bias_lower"], "upper": found["bias_upper"]}
        reach = {"estimate": found["bias"], "lower": found["lower"], "upper": found["upper"]}
        items.append(item(f"bias_{name}", contrast, bias, n, "bland_altman"))
        items.append(item(f"limits_of_agreement_{name}", contrast, reach, n, "bland_altman"))
    return evidence_table(items)


def score_of(frame: pd.DataFrame, day: str) -> np.ndarray:
    """Return the continuous response of one day, ln ratio.

    Parameters
    ----------
    frame : DataFrame
        With SCORE_<day>.
    day : str
        One of the plan's follow-up visits.

    Returns
    -------
    ndarray
        One number a row.
    """
    return frame[f"SCORE_{day}"].to_numpy(dtype=float)


def item(
    name: str,
    timepoint: str,
    found,
    n: int,
    method: str,
    *,
    events: float = np.nan,
    role: str = DESCRIPTIVE,
) -> dict:
    """Make one row of evidence.

    Parameters
    ----------
    name, timepoint : str
        ITEM and TIMEPOINT.
    found : mapping
        estimate, lower, upper, p; what it lacks is missing.
    n : int
        Patients.
    method : str
        METHOD.
    events : float
        Events behind it, where there are any.
    role : str
        ROLE.

    Returns
    -------
    dict
        The row without SET.
    """
    numbers = {key.upper(): float(found.get(key, np.nan)) for key in ("estimate", "lower", "upper", "p")}
    place = {"SET": None, "ITEM": name, "TIMEPOINT": timepoint}
    return {**place, **numbers, "N": float(n), "EVENTS": float(events), "METHOD": method, "ROLE": role}


def evidence_table(items: list[dict]) -> pd.DataFrame:
    """Put rows of evidence under one another in the columns of the contract.

    Parameters
    ----------
    items : list of dict
        From `item`.

    Returns
    -------
    DataFrame
        One row an item; SET is given by `label_set`.
    """
    return pd.DataFrame(items, columns=COLUMNS)


def label_set(tables: list[pd.DataFrame], name: str) -> pd.DataFrame:
    """Join evidence of one set; outside the decision's own set nothing decides.

    Parameters
    ----------
    tables : list of DataFrame
        Evidence rows.
    name : str
        SET.

    Returns
    -------
    DataFrame
        The rows with SET, and with ROLE DESCRIPTIVE for what decides in the set DECISION only.
    """
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else evidence_table([])
    role = joined["ROLE"] if name == DECISION else joined["ROLE"].replace(DECIDES, DESCRIPTIVE)
    return joined.assign(SET=name, ROLE=role)


def _nonresponse_items(first: pd.Series, second: pd.Series, plan: Plan) -> list[dict]:
    n, alpha, name = len(first), plan.primary.alpha, "nonresponse_share"
    resistant = [classes.eq(CLASSES[1]) for classes in (first, second)]
    items = []
    for day, part in zip(plan.design.followup_visits, resistant, strict=True):
        found = proportion(int(part.sum()), n, alpha=alpha).iloc[0]
        items.append(item(name, day, found, n, "clopper_pearson"))
    test, shift = mcnemar(*resistant).iloc[0], float(resistant[1].mean() - resistant[0].mean())
    for method in ("exact", "mid"):
        found = {"estimate": shift, "p": test[f"p_{method}"]}
        items.append(item(name, contrast_of(plan), found, n, f"mcnemar_{method}"))
    return items
