"""A state known only from a day on: counting process, Simon-Makuch curves, Mantel-Byar test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from analysis.survival.checks import check_labels
from analysis.survival.kaplan_meier import kaplan_meier
from analysis.survival.outcome import NotEstimable, check_groups, check_time_event, equal_times


def counting_process(time, event, change_time, state, *, before: str | None = None) -> pd.DataFrame:
    """Cut each patient's follow-up where the state becomes known: rows (start, stop] with one state each.

    Nothing that is learnt at `change_time` is used before it, so no patient is immortal in a group.

    Parameters
    ----------
    time, event : array-like
        Follow-up from a common time zero (any unit) and True for an event.
    change_time : array-like
        When the state becomes known, same unit; missing where it never does. An event on that very time
        still belongs to the state before, as with a landmark.
    state : array-like
        State from then on; missing where it stays unknown although the patient was looked at: follow-up then
        ends, censored, at `change_time`.
    before : str, optional
        State until then. None: nobody is at risk before the own `change_time` (delayed entry, left
        truncation). A label, as a rule that of patients without a response: everybody is in it until shown
        otherwise (Mantel and Byar).

    Returns
    -------
    DataFrame
        patient (position in the arrays), start, stop, event, state, last (the patient's last row). A patient
        whose state does not change has one row. Empty intervals are left out: a follow-up of 0, and, where
        `before` is None, patients whose follow-up ends before their state is known.

    Raises
    ------
    NotEstimable
        If there is no patient.
    ValueError
        For malformed input.

    References
    ----------
    Mantel and Byar, J Am Stat Assoc 1974;69:81-6. Anderson, Cain and Gelber, J Clin Oncol 1983;1:710-9.

    Examples
    --------
    >>> counting_process([9.0], [True], [4.0], ["R"], before="N")[["start", "stop", "event", "state"]].values
    array([[0.0, 4.0, False, 'N'],
           [4.0, 9.0, True, 'R']], dtype=object)
    """
    time, event = check_time_event(time, event)
    change = np.asarray(change_time, dtype=float)
    state = np.asarray(state, dtype=object)
    if change.shape != time.shape or state.shape != time.shape:
        raise ValueError(
            f"change_time and state need one value for each of the {len(time)} patients: "
            f"{change.shape} and {state.shape}"
        )
    if pd.notna(state).any():
        check_labels([*state[pd.notna(state)], *([] if before is None else [before])], "state")
    change = np.clip(np.where(np.isnan(change), np.inf, change), 0, None)
    finite = np.isfinite(change)
    change[finite], time = equal_times(change[finite], time)
    known = ~pd.isna(state)
    patient = np.arange(len(time))
    early = {"patient": patient, "start": 0.0, "stop": np.minimum(time, change), "state": before}
    late = {"patient": patient, "start": np.minimum(time, change), "stop": time, "state": state}
    parts = [pd.DataFrame(late)[known]]
    if before is not None:
        parts.insert(0, pd.DataFrame(early))
    rows = pd.concat(parts).sort_values(["patient", "start", "stop"], kind="stable", ignore_index=True)
    rows = rows[rows["stop"] > rows["start"]]
    # Two rows in one state are one stretch of follow-up.
    rows = rows.groupby(["patient", "state"], sort=False, as_index=False).agg(
        start=("start", "min"), stop=("stop", "max")
    )
    rows["event"] = event[rows["patient"]] & (rows["stop"] == time[rows["patient"]])
    rows["last"] = ~rows["patient"].duplicated(keep="last")
    return rows[["patient", "start", "stop", "event", "state", "last"]]


def simon_makuch(
    time,
    event,
    change_time,
    state,
    *,
    before: str | None = None,
    origin: float = 0.0,
    ci: str = "log-log",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Estimate the curve of each state by delayed entry, from a landmark on (Simon and Makuch).

    A patient counts in the curve of the state she is in. Right after time zero few or none are in a state
    that has to be reached: one event among two at risk would take its curve to a half, one of one to 0 for
    good. The curves therefore start at `origin`, given being event-free then.

    Parameters
    ----------
    time, event, change_time, state, before
        As in `counting_process`.
    origin : float
        Where the curves start, in the unit of `time`, from its time zero; moved to the first time at which
        every state that occurs has somebody at risk, if that is later.
    ci, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        As `kaplan_meier`, with `time` from time zero (not from `origin`); the first row of each group is the
        start (survival 1, n_risk at risk just after it, no limits). A change of state is no censoring.

    Raises
    ------
    NotEstimable
        If nobody is at risk after `origin`, or at no time after it all states have somebody at risk.
    ValueError
        For malformed input.

    References
    ----------
    Simon and Makuch, Stat Med 1984;3:35-44.
    """
    rows = counting_process(time, event, change_time, state, before=before)
    if not np.isfinite(origin):
        raise ValueError(f"origin must be a finite number, found {origin!r}")
    if not (rows["stop"] > origin).any():
        raise NotEstimable(f"nobody is at risk after {origin:g}: start the curves earlier")
    origin = _common_start(rows, float(origin))
    rows = rows[rows["stop"] > origin]
    rows = rows.assign(start=rows["start"].clip(lower=origin))
    table = kaplan_meier(
        rows["stop"], rows["event"], rows["state"].to_numpy(), ci=ci, alpha=alpha, entry=rows["start"]
    )
    censored = rows[rows["last"] & ~rows["event"]].groupby(["state", "stop"]).size()
    keys = pd.MultiIndex.from_frame(table[["group", "time"]])
    table["n_censor"] = censored.reindex(keys).fillna(0).astype(int).to_numpy()
    begun = rows[rows["start"].eq(origin)].groupby("state").size().rename("n_risk").rename_axis("group")
    first = begun.reset_index().assign(time=origin, n_event=0, n_censor=0, survival=1.0, se=0.0)
    table = pd.concat([first, table], ignore_index=True)[table.columns]
    return table.sort_values(["group", "time"], kind="stable", ignore_index=True)


def mantel_byar(start, stop, event, state) -> pd.DataFrame:
    """Test that the hazards of the states are equal where patients change state: log-rank of (start, stop].

    The score test of a Cox model with the state as time-dependent covariate; with ties, that of the exact
    (discrete) likelihood.

    Parameters
    ----------
    start, stop, event, state : array-like
        Rows of `counting_process`.

    Returns
    -------
    DataFrame
        One row: chi2 (hypergeometric variance), df, p, n (rows), events. Without an event at which two states
        are at risk the data carry no information: chi2 0, p 1.

    Raises
    ------
    NotEstimable
        If nobody has an event, all rows are in one state, or one of several states is never at risk at an
        event.
    ValueError
        For malformed input.

    References
    ----------
    Mantel and Byar, J Am Stat Assoc 1974;69:81-6.
    """
    from statsmodels.duration.survfunc import survdiff

    stop, event = check_time_event(stop, event)
    state, _ = check_groups(state, len(stop), name="state")
    start = np.asarray(start, dtype=float)
    if start.shape == stop.shape and np.isfinite(start).all():
        start, stop = equal_times(start, stop)
    if start.shape != stop.shape or not np.all(start < stop):
        raise ValueError("start must be given for each row and lie before its stop")
    levels, codes = np.unique(state, return_inverse=True)
    if len(levels) < 2:
        raise NotEstimable(f"only the state {levels.tolist()} occurs: nothing to compare")
    if not event.any():
        raise NotEstimable(f"no event in these {len(stop)} rows: the states cannot be compared")
    try:
        statistic, _ = survdiff(stop, event.astype(int), codes, entry=start)
    except np.linalg.LinAlgError:
        statistic = np.nan
    df = len(levels) - 1
    if not np.isfinite(statistic) and df > 1:
        raise NotEstimable("a state is never at risk at an event: leave it out or merge it with another")
    statistic = float(statistic) if np.isfinite(statistic) else 0.0
    found = {"chi2": statistic, "df": df, "p": float(chi2.sf(statistic, df)), "n": len(stop)}
    return pd.DataFrame([{**found, "events": int(event.sum())}])


def _common_start(rows: pd.DataFrame, origin: float) -> float:
    """Return the first time from `origin` on just after which every state has somebody at risk."""
    start, stop = rows["start"].to_numpy(), rows["stop"].to_numpy()
    # A state gains somebody only where a row starts.
    for at in np.unique(np.append(start[start > origin], origin)):
        if rows.loc[(start <= at) & (stop > at), "state"].nunique() == rows["state"].nunique():
            return float(at)
    raise NotEstimable(
        f"at no time from {origin:g} on do all the states {sorted(rows['state'].unique())} have somebody at "
        "risk: start the curves earlier, or leave out or merge a state"
    )
