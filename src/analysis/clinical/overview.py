"""What notebook 01 shows of the derived tables: counts, medians, and what each switch changes."""

from __future__ import annotations

import pandas as pd

from analysis import plan as plans
from analysis.clinical.lesions import start_dates
from analysis.clinical.responses import cutoff_dates
from analysis.survival.kaplan_meier import median_follow_up, median_survival


def count_subjects(adsl: pd.DataFrame, plan: plans.Plan | None = None) -> pd.DataFrame:
    """Count subjects, and deaths on either side of the data cut-off; no date is shown.

    Returns
    -------
    DataFrame
        One row a count: what, subjects.
    """
    plan = plan or plans.defaults()
    cut = cutoff_dates(adsl, plan.clinical)
    after = adsl.DTHDT.gt(adsl.USUBJID.map(cut).astype("datetime64[ns]"))
    within = f"within {plan.design.cutoff_months:g} months of the first patient in"
    rows = [
        ("in DM", len(adsl)),
        ("registered", adsl.ENRLDT.notna().sum()),
        ("treated", adsl.SAFFL.eq("Y").sum()),
        ("with a time zero", start_dates(adsl, plan.clinical).notna().sum()),
        ("with a new anti-cancer therapy", adsl.NACTDT.notna().sum()),
        ("died", adsl.DTHFL.eq("Y").sum()),
    ]
    if cut.notna().any():
        rows.append((f"died, {within} (data cut-off)", (adsl.DTHDT.notna() & ~after).sum()))
        rows.append(("died after the data cut-off: does not enter", after.sum()))
    return pd.DataFrame(rows, columns=["what", "subjects"]).set_index("what")


def study_days(dates: pd.Series, subjects: pd.Series, adsl: pd.DataFrame, rules) -> pd.Series:
    """Return the study day of each date: day 1 is time zero of its subject; there is no day 0."""
    zero = subjects.map(start_dates(adsl, rules)).astype("datetime64[ns]")
    days = (dates.astype("datetime64[ns]") - zero).dt.days
    return days.where(days.lt(0), days + 1)


def median_times(adtte: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Estimate the median of each endpoint and of its follow-up (reverse Kaplan-Meier), months.

    Returns
    -------
    DataFrame
        By PARAMCD: subjects, events, median, lower, upper, follow-up.
    """
    rows = {}
    for name, one in adtte.groupby("PARAMCD"):
        event = one.CNSR.eq(0)
        found = median_survival(one.AVALM, event, alpha=alpha).iloc[0]
        followed = median_follow_up(one.AVALM, event, alpha=alpha)["median"].iloc[0]
        rows[name] = (len(one), int(event.sum()), found["median"], found["lower"], found["upper"], followed)
    names = ["subjects", "events", "median, months", "lower", "upper", "median follow-up"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("PARAMCD")


def compare_variants(adtte: pd.DataFrame, variants: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
    """Count how many subjects each flipped switch moves: another date, or event instead of censoring.

    Returns
    -------
    DataFrame
        By PARAMCD: PARAM, subjects, events, moved.
    """
    endpoint_of = {
        name: spec["endpoint"]
        for name, spec in plan.clinical.tte_sensitivity[plan.clinical.endpoint_rules].items()
    }
    main = adtte.set_index(["USUBJID", "PARAMCD"])[["ADT", "CNSR"]]
    rows = {}
    for name, one in variants.groupby("PARAMCD"):
        where = pd.MultiIndex.from_arrays([one.USUBJID, [endpoint_of.get(name)] * len(one)])
        before = main.reindex(where)
        moved = (before.ADT.to_numpy() != one.ADT.to_numpy()) | (
            before.CNSR.to_numpy() != one.CNSR.to_numpy()
        )
        rows[name] = (one.PARAM.iloc[0], len(one), int(one.CNSR.eq(0).sum()), int(moved.sum()))
    columns = ["PARAM", "subjects", "events", "moved"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("PARAMCD")
