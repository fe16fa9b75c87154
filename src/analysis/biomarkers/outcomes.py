"""Outcomes of each subject side by side: response, change, time to event; and the clock from a landmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.survival.outcome import to_time_event

_NONRESPONSE = {"NON-RESPONDER": 1.0, "RESPONDER": 0.0}


class Outcome(NamedTuple):
    """One outcome to relate markers to.

    Attributes
    ----------
    name : str
        As in column OUTCOME: NONRESPONSE, PCTCHANGE, an endpoint, or another binary outcome.
    kind : {"binary", "change", "endpoint"}
        What it is.
    values : DataFrame
        Index USUBJID, complete rows only: 0/1; percent; or days and 1/0 for an event.
    """

    name: str
    kind: str
    values: pd.DataFrame


def assemble_outcomes(
    admr: pd.DataFrame,
    adtte: pd.DataFrame,
    *,
    endpoints: Iterable[str] = ("PFS", "OS"),
    binary: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Put the outcomes of each subject side by side.

    Parameters
    ----------
    admr : DataFrame
        Rows of table admr of one visit, metric, rule and cut: at most one a subject.
    adtte : DataFrame
        Table adtte.
    endpoints : iterable of str
        Endpoints to take from adtte; one that the study lacks is left out.
    binary : DataFrame, optional
        Further outcomes, index USUBJID: columns in capitals of 1 (resistance), 0, NaN.

    Returns
    -------
    DataFrame
        Index USUBJID, sorted: NONRESPONSE (1, 0, NaN for NE), PCTCHANGE (percent, from the score), SCORE (log
        ratio), PETDT (date of the scan), for each endpoint <E>_TIME (days), <E>_EVENT (1, 0), <E>_STARTDT,
        <E>_ADT, and the columns of `binary`, whose names are in ``attrs["binary"]``.

    Raises
    ------
    ValueError
        ``ADMR_NOT_ONE`` if a subject has more than one row: name visit, metric, rule and cut first.
        ``BINARY_VALUES`` for a further outcome that is not 0/1, or whose name is taken.
    """
    many = admr["USUBJID"][admr["USUBJID"].duplicated()].unique()
    if len(many):
        raise ValueError(
            f"ADMR_NOT_ONE: {len(many)} subjects have several rows; select one visit, metric, rule and cut"
        )
    parts = [_response_columns(admr.set_index("USUBJID"))]
    for endpoint in endpoints:
        rows = adtte[adtte["PARAMCD"] == endpoint]
        if len(rows):
            parts.append(_endpoint_columns(rows, endpoint))
    further = _checked(binary, [name for part in parts for name in part])
    outcomes = pd.concat([*parts, further], axis=1).sort_index().rename_axis("USUBJID")
    outcomes.attrs = {"binary": list(further.columns)}
    return outcomes


def _response_columns(response: pd.DataFrame) -> pd.DataFrame:
    score = response["SCORE"].astype(float)
    date = response["PETDT"] if "PETDT" in response else pd.Series(pd.NaT, index=response.index)
    return pd.DataFrame(
        {
            "NONRESPONSE": response["MRESP"].map(_NONRESPONSE).astype(float),
            "PCTCHANGE": 100.0 * np.expm1(score),
            "SCORE": score,
            "PETDT": pd.to_datetime(date).astype("datetime64[ns]"),
        }
    )


def _endpoint_columns(rows: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    converted = to_time_event(rows).set_index("USUBJID")
    columns = converted[["time", "event", "STARTDT", "ADT"]].astype({"event": float})
    return columns.set_axis([f"{endpoint}_{name}" for name in ("TIME", "EVENT", "STARTDT", "ADT")], axis=1)


def _checked(binary: pd.DataFrame | None, taken: list[str]) -> pd.DataFrame:
    if binary is None:
        return pd.DataFrame()
    values = binary.astype(float)
    wrong = [name for name in values if name in taken or not values[name].dropna().isin([0.0, 1.0]).all()]
    if wrong:
        raise ValueError(f"BINARY_VALUES: {wrong} hold other values than 0 and 1, or their name is taken")
    return values


def list_outcomes(outcomes: pd.DataFrame) -> list[Outcome]:
    """List what markers can be related to, in order: non-response, further binary ones, change, endpoints."""
    known = []
    for name in ["NONRESPONSE", *outcomes.attrs.get("binary", [])]:
        if name in outcomes:
            known.append(Outcome(name, "binary", outcomes[[name]].astype(float).dropna()))
    if "PCTCHANGE" in outcomes:
        known.append(Outcome("PCTCHANGE", "change", outcomes[["PCTCHANGE"]].astype(float).dropna()))
    for column in [name for name in outcomes if str(name).endswith("_TIME")]:
        endpoint = column.removesuffix("_TIME")
        if f"{endpoint}_EVENT" in outcomes:
            values = outcomes[[column, f"{endpoint}_EVENT"]].astype(float).dropna()
            known.append(Outcome(endpoint, "endpoint", values))
    return known


def landmark_outcomes(
    outcomes: pd.DataFrame, landmark: pd.Series | None = None, *, days: float | None = None
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Start the clock of every endpoint at each subject's landmark: a date, or so many days after time zero.

    A subject enters if the event or censoring is after the landmark, strictly; time is ADT minus landmark,
    without the day that CDISC adds. In days, where a study has no dates, time is time minus `days`.

    Parameters
    ----------
    outcomes : DataFrame
        As `assemble_outcomes`.
    landmark : Series of datetime64, optional
        Landmark date, index USUBJID; subjects without one are left out.
    days : float, optional
        Fixed landmark in days from time zero of each endpoint; every subject has it.

    Returns
    -------
    tuple
        The outcomes with <E>_TIME from the landmark (NaN for who is out), and for each endpoint the subjects
        out.

    Raises
    ------
    ValueError
        ``LANDMARK_ONE`` unless exactly one of `landmark` and `days` is given; ``LANDMARK_UNDATED`` where an
        endpoint is given in days only and the landmark is a date.
    """
    if (landmark is None) == (days is None):
        raise ValueError("LANDMARK_ONE: give a date a subject, or a fixed number of days")
    dated = None if landmark is None else landmark.dropna()
    kept = outcomes.index if dated is None else outcomes.index.intersection(dated.index)
    shifted = outcomes.loc[kept].copy()
    shifted.attrs = dict(outcomes.attrs)
    left_out: dict[str, list[str]] = {}
    for column in [name for name in shifted.columns if name.endswith("_TIME")]:
        endpoint = column.removesuffix("_TIME")
        time = shifted[column] - days if dated is None else _since(shifted, endpoint, dated)
        out = time <= 0
        left_out[endpoint] = sorted(shifted.index[out])
        shifted[column] = time.where(~out).astype(float)
    return shifted, left_out


def _since(outcomes: pd.DataFrame, endpoint: str, landmark: pd.Series) -> pd.Series:
    end = outcomes[f"{endpoint}_ADT"]
    undated = outcomes[f"{endpoint}_TIME"].notna() & end.isna()
    if undated.any():
        raise ValueError(
            f"LANDMARK_UNDATED: {endpoint} of {int(undated.sum())} subjects has days but no date; "
            "a study without dates needs a fixed landmark in days"
        )
    return (pd.to_datetime(end) - pd.to_datetime(landmark.reindex(outcomes.index))).dt.days.astype(float)
