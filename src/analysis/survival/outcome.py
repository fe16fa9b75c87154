"""From tables to arrays: the one place where CNSR becomes an event and where times are checked."""

from __future__ import annotations

from datetime import date, timedelta
from numbers import Real

import numpy as np
import pandas as pd

from analysis.survival.checks import check_labels

# Times this close are one time, as in R: the root of the machine precision.
_SAME_TIME = float(np.sqrt(np.finfo(float).eps))


class NotEstimable(ValueError):
    """A quantity these data cannot give (no event, an empty group, separation), and what to do."""


def to_time_event(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with ``time`` (days, from AVAL) and ``event`` (True for an event, from CNSR equal to 0).

    Parameters
    ----------
    frame : DataFrame
        Rows of one endpoint of ADTTE: AVAL in days, CNSR 0 for an event and a positive number for a reason of
        censoring. USUBJID, where present, names the subjects in a refusal.

    Returns
    -------
    DataFrame
        A copy, in the same order, with the two columns added.

    Raises
    ------
    ValueError
        If a column is missing, if AVAL is missing, negative or not a number, or if CNSR is missing or not a
        whole number of at least 0.

    Examples
    --------
    >>> to_time_event(pd.DataFrame({"AVAL": [30, 61], "CNSR": [0, 1]}))["event"].tolist()
    [True, False]
    """
    missing = [name for name in ("AVAL", "CNSR") if name not in frame]
    if missing:
        raise ValueError(f"a time-to-event table needs AVAL and CNSR; missing: {missing}")
    time = pd.to_numeric(frame["AVAL"], errors="coerce").astype(float)
    censoring = pd.to_numeric(frame["CNSR"], errors="coerce").astype(float)
    _refuse_rows(frame, ~(time >= 0) | np.isinf(time), "AVAL must be a number of days, at least 0")
    whole = (censoring >= 0) & (censoring == censoring.round())
    _refuse_rows(frame, ~whole, "CNSR must be 0 (event) or a positive whole number (censored)")
    return frame.assign(time=time, event=censoring.eq(0))


def check_time_event(time, event) -> tuple[np.ndarray, np.ndarray]:
    """Return times as floats and events as booleans, or refuse them.

    Times that are equal up to rounding (0.1 + 0.2 and 0.3) are made equal, as R's survival does by default
    (``timefix``, `equal_times`).

    Parameters
    ----------
    time : array-like
        Follow-up, any unit, at least 0 and finite.
    event : array-like
        True or 1 for an event, False or 0 for a censored time.

    Returns
    -------
    tuple of ndarray
        The times and the events.

    Raises
    ------
    ValueError
        For arrays that are empty, of different length, not one-dimensional, or with values out of range; for
        two Series with different indexes: values are taken by position, never aligned.
    """
    check_index(time=time, event=event)
    _refuse_dates(time)
    time, event = np.asarray(time, dtype=float), np.asarray(event)
    if time.ndim != 1 or time.shape != event.shape:
        raise ValueError(
            f"time and event must be one-dimensional and as long: {time.shape} and {event.shape}"
        )
    if time.size == 0:
        raise NotEstimable(
            "no patients are left; look at who the landmark, the filters and missing values exclude"
        )
    if not np.all(np.isfinite(time) & (time >= 0)):
        raise ValueError(
            f"{np.sum(~(np.isfinite(time) & (time >= 0)))} times are missing, infinite or negative"
        )
    if pd.isna(event).any() or not np.isin(event, [0, 1]).all():
        raise ValueError("event must be True/1 (event) or False/0 (censored) with none missing")
    return *equal_times(time), event.astype(bool)


def equal_times(*times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Make times equal that differ by rounding only, as ``aeqSurv`` of R's survival.

    Sorted distinct times whose neighbours differ by at most 1.5e-8 (the root of the machine precision), or by
    that share of the mean of the distinct times, are a run; each time becomes the smallest of its run.

    Parameters
    ----------
    times : ndarray
        Finite times, in one unit. Starts and ends of intervals are given together.

    Returns
    -------
    tuple of ndarray
        As many arrays; the very same where there is nothing to do.
    """
    distinct = np.unique(np.concatenate(times) if len(times) > 1 else times[0])
    gaps = np.diff(distinct)
    if not gaps.size or gaps.min() > _SAME_TIME * max(1.0, np.abs(distinct).mean()):
        return times
    first = distinct[np.append(True, gaps > _SAME_TIME * max(1.0, np.abs(distinct).mean()))]
    return tuple(first[np.searchsorted(first, values, side="right") - 1] for values in times)


def check_index(**values) -> None:
    """Refuse Series and DataFrames that would be combined by position though their indexes differ.

    Parameters
    ----------
    **values
        By name; arrays, lists and what has another length are left alone.

    Raises
    ------
    ValueError
        If two have different indexes of the same length.
    """
    indexes = {
        name: part.index for name, part in values.items() if isinstance(part, pd.Series | pd.DataFrame)
    }
    first = next(iter(indexes), None)
    for name, index in indexes.items():
        if len(index) == len(indexes[first]) and not index.equals(indexes[first]):
            raise ValueError(f"{first} and {name} have different indexes: align them first, or pass arrays")


def check_groups(group, n: int, *, at_least: int = 1, name: str = "group") -> tuple[np.ndarray, np.ndarray]:
    """Return group labels as an array, and the sorted labels that occur.

    Parameters
    ----------
    group : array-like or None
        One label a patient; None puts everybody in the group ``"all"``.
    n : int
        Number of patients.
    at_least : int
        Fewest groups the caller can work with.
    name : str
        What the labels are called in a refusal.

    Returns
    -------
    tuple of ndarray
        Labels by patient; distinct labels in order.

    Raises
    ------
    ValueError
        If labels are missing, too few, or mix text with other things.
    NotEstimable
        If fewer than `at_least` groups have a patient.
    """
    labels = np.full(n, "all", dtype=object) if group is None else check_labels(group, name)
    if labels.shape != (n,):
        raise ValueError(
            f"{name} must have one label for each of the {n} patients, found shape {labels.shape}"
        )
    levels = np.unique(labels)
    if len(levels) < at_least:
        raise NotEstimable(
            f"{at_least} groups are compared but only {levels.tolist()} has patients: one group is empty"
        )
    return labels, levels


def _refuse_dates(time) -> None:
    """Refuse dates and spans of time, which would become nanoseconds."""
    kind = np.asarray(time)
    first = kind.flat[0] if kind.dtype == object and kind.size else None
    if kind.dtype.kind in "mM" or isinstance(first, (date, timedelta, np.datetime64, np.timedelta64)):
        raise ValueError("time must be numbers, not dates or spans: give days, (end - start).dt.days")


def _refuse_rows(frame: pd.DataFrame, bad: pd.Series, expected: str) -> None:
    if not bad.any():
        return
    whom = (
        frame.loc[bad, "USUBJID"].astype(str).head(5).tolist()
        if "USUBJID" in frame
        else list(frame.index[bad][:5])
    )
    raise ValueError(f"{expected}; {int(bad.sum())} of {len(frame)} rows are not, first in {whom}")


def select_response(
    admr: pd.DataFrame, *, timepoint: str, metric: str, rule: str, cut: float | None = None
) -> pd.DataFrame:
    """Select the rows of one time point, metric, rule and cut: one row a subject.

    Parameters
    ----------
    admr : DataFrame
        Classes of metabolic response: USUBJID, AVISIT, METRIC, RULE, CUT, MRESP, SCORE, PETDT.
    timepoint, metric, rule : str
        As in the columns AVISIT, METRIC and RULE.
    cut : float, optional
        In percent; None takes the only cut the rule has (a published table carries its own).

    Returns
    -------
    DataFrame
        The rows, NE included, sorted by USUBJID.

    Raises
    ------
    ValueError
        If no row fits (what there is, is listed), or a subject has two.
    """
    rows = admr[admr["METRIC"].eq(metric) & admr["RULE"].eq(rule)]
    cuts = sorted(rows["CUT"].dropna().unique())
    if cut is not None and any(np.isclose(cuts, cut)):
        rows = rows[np.isclose(rows["CUT"], cut)]
    elif cut is not None and len(cuts) > 1:
        raise ValueError(f"rule {rule!r} on {metric!r} has cuts {cuts}, not {cut:g}; ask for one of these")
    rows = rows[rows["AVISIT"].eq(timepoint)]
    if rows.empty:
        known = admr[["METRIC", "RULE", "AVISIT"]].drop_duplicates().to_numpy().tolist()
        raise ValueError(f"no response rows for {[metric, rule, timepoint]}; there are {known[:20]}")
    if rows["USUBJID"].duplicated().any():
        raise ValueError(
            f"rule {rule!r} at {timepoint!r} has two rows for a subject; name the cut (one of {cuts})"
        )
    return rows.sort_values("USUBJID").reset_index(drop=True)


def check_alpha(alpha) -> float:
    """Return one minus a confidence level as a float, or refuse it.

    Parameters
    ----------
    alpha : float
        One minus the confidence level: 0.05 for 95%.

    Returns
    -------
    float
        The same number.

    Raises
    ------
    ValueError
        If it is not a number between 0 and 1: 5 and 95 are slips for 0.05.

    Examples
    --------
    >>> check_alpha(0.05)
    0.05
    """
    is_number = isinstance(alpha, Real) and not isinstance(alpha, (bool, np.bool_))
    if not is_number or not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1 (0.05 for a 95% interval), found {alpha!r}")
    return float(alpha)
