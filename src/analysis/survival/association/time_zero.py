"""Other time zeros: a fixed landmark, the start, and response as a time-dependent covariate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import (
    EXPOSED,
    REFERENCE,
    Analysis,
    estimate_hazard_ratio,
    estimate_row,
    estimates_table,
    main_estimator,
    stack,
)
from analysis.survival.association.sets import analysis_set
from analysis.survival.cox import cox
from analysis.survival.landmark import study_day_date
from analysis.survival.outcome import NotEstimable, select_response, to_time_event
from analysis.survival.simon_makuch import counting_process, mantel_byar, simon_makuch

# State before the scan: everybody a non-responder until shown otherwise, or nobody at risk.
_SETUPS = {
    EXPOSED: "response as a time-dependent covariate (Mantel-Byar): everybody a non-responder until the scan",
    None: "delayed entry at the own scan: time from the start of treatment, nobody at risk before the scan",
}


def estimate_time_zero(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Estimate the hazard ratio from other time zeros: a fixed landmark, and, only to be compared, the start.

    Parameters
    ----------
    analysis, admr, adtte, adsl, plan
        As in `analysis_set`.

    Returns
    -------
    DataFrame
        Estimates rows ``cox`` with LANDMARK ``fixed`` (SENSITIVITY) and ``none`` (DESCRIPTIVE: immortal
        time; LABEL counts the events before the scan, without which there is none).
    """
    labels = {
        "scan": ("SENSITIVITY", "landmark at the scan"),
        "fixed": ("SENSITIVITY", "fixed landmark"),
        "none": ("DESCRIPTIVE", "naive, from the start of treatment: shown only to be compared"),
    }
    parts = []
    if adtte["ADT"].isna().all():
        del labels["scan"]  # a table of days has no dates of scans
    for name, (role, label) in labels.items():
        if name != analysis.landmark:
            other = replace(analysis, landmark=name)
            data, _ = analysis_set(other, admr, adtte, adsl, plan)
            if name == "none":
                label += f"; {_describe_bias(analysis, admr, adtte, adsl, plan)}"
            parts.append(estimate_hazard_ratio(data, other, plan, role=role, label=label, main_only=True))
    return stack([*parts, *_other_days(analysis, admr, adtte, adsl, plan)])


def _other_days(analysis: Analysis, admr, adtte, adsl, plan: Plan) -> list[pd.DataFrame]:
    """Estimate from the further fixed days of the plan, where the landmark is a fixed day."""
    if analysis.landmark != "fixed":
        return []
    parts = []
    for day in plan.survival.landmark_days_shown:
        moved = plan.override({"survival.fixed_landmark_day": day})
        data, _ = analysis_set(analysis, admr, adtte, adsl, moved)
        label = f"fixed landmark at day {day:g}"
        parts.append(
            estimate_hazard_ratio(data, analysis, plan, role="SENSITIVITY", label=label, main_only=True)
        )
    return parts


def time_dependent_set(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Join class and outcome from the endpoint's own time zero, with the day the class becomes known.

    Nobody is chosen by what happened later: a patient whose scan gave no class counts until the day of it
    (until the plan's fixed landmark day, where there was no scan) and is censored there, her state being
    unknown afterwards. So those who had their event before the scan are in, and no future is looked at.

    Parameters
    ----------
    analysis : Analysis
        Endpoint, day, metric, rule and cut.
    admr, adtte, adsl : DataFrame
        Response, time to event (any endpoints), subjects (TRTSDT).
    plan : Plan
        Section survival: fixed_landmark_day, which also stands for the scan in a study without scan dates.

    Returns
    -------
    DataFrame
        One row a patient: USUBJID, time and change_time (days from the endpoint's time zero), event, state
        (class, or missing). Patients for whom this day's scan was not planned (no row in `admr`), without the
        endpoint or without its date are left out.
    """
    response = select_response(
        admr, timepoint=analysis.timepoint, metric=analysis.metric, rule=analysis.rule, cut=analysis.cut
    )
    outcome = to_time_event(adtte[adtte["PARAMCD"].eq(analysis.endpoint)])
    data = outcome.merge(
        response[["USUBJID", "MRESP", "PETDT"]], on="USUBJID", how="inner", validate="one_to_one"
    )
    end, scan = pd.to_datetime(data["ADT"]), pd.to_datetime(data["PETDT"])
    known = data["MRESP"].isin([EXPOSED, REFERENCE])
    day = plan.survival.fixed_landmark_day
    if end.isna().all() or scan.isna().all():
        change = pd.Series(float(day), index=data.index)
    else:
        start = pd.to_datetime(data["USUBJID"].map(adsl.set_index("USUBJID")["TRTSDT"]))
        # A class whose scan has no date cannot be placed in time: it is as if it were unknown.
        known &= scan.notna()
        # Counted back from the end, so that follow-up after the scan is the landmark's to the day.
        change = data["time"] - (end - scan.fillna(study_day_date(start, day))).dt.days
    data = data.assign(change_time=change, state=data["MRESP"].astype(object).where(known, None))
    data = data[data["change_time"].notna()]
    columns = ["USUBJID", "time", "event", "change_time", "state"]
    return data[columns].sort_values("USUBJID", ignore_index=True)


def estimate_time_dependent(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Estimate the hazard ratio with response as a time-dependent covariate, from the start of treatment.

    Parameters
    ----------
    analysis, admr, adtte, adsl, plan
        As in `time_dependent_set`; the plan's ties and alpha.

    Returns
    -------
    DataFrame
        Estimates rows, LANDMARK ``time_dependent``, SENSITIVITY: ``cox_time_dependent`` (maximum likelihood,
        profile limits) with everybody a non-responder until the scan, and with delayed entry at the own scan;
        ``logrank``, the Mantel-Byar test of the first. Patients and events of a group are counted by the
        class a patient ends in.
    """
    analysis = replace(analysis, landmark="time_dependent")
    data = time_dependent_set(analysis, admr, adtte, adsl, plan)
    rows = []
    for before, label in _SETUPS.items():
        periods = _periods(data, before)
        fit = _cox_of(periods, plan)
        last = periods[periods["last"]]
        if main_estimator(last, analysis, plan) == "FIRTH":
            label += "; maximum likelihood, as Firth has no time-dependent covariates"
        if before is not None and (unclassed := _count_unclassed(data, admr, analysis)):
            label += f"; {unclassed} without a class count until their scan or the fixed landmark, not after"
        row = estimate_row(last, analysis, "cox_time_dependent", fit, "SENSITIVITY", label)
        rows.append({**row, "ESTIMATOR": "ML", "TIES": plan.survival.ties_ml})
    periods = _periods(data, EXPOSED)
    last = periods[periods["last"]]
    label = "Mantel-Byar test: log-rank, the class changes at the scan"
    rows.append(estimate_row(last, analysis, "logrank", _test_of(periods), "SENSITIVITY", label))
    return estimates_table(rows)


def tabulate_simon_makuch(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Tabulate the Simon-Makuch curves of the two classes, as the table ``curves`` wants it.

    Time runs from the endpoint's own time zero; everybody is a non-responder until the scan, and a patient
    counts in the curve of the class she has at the time. The curves start at the plan's fixed landmark day,
    given being event-free then: before it few have been scanned and a single event would ruin a curve.

    Parameters
    ----------
    analysis, admr, adtte, adsl, plan
        As in `time_dependent_set`; also the plan's days_per_month, ci_type and alpha.

    Returns
    -------
    DataFrame
        CURVE (``simon_makuch``) ENDPOINT GROUP TIME (months) SURVIVAL LOWER UPPER AT_RISK EVENTS CENSORED;
        the first row of a group is its start (SURVIVAL 1). Without rows where nobody is left by then.
    """
    columns = ["CURVE", "ENDPOINT", "GROUP", "TIME", "SURVIVAL", "LOWER", "UPPER"]
    columns += ["AT_RISK", "EVENTS", "CENSORED"]
    data = time_dependent_set(analysis, admr, adtte, adsl, plan)
    try:
        table = simon_makuch(
            *_arrays(data),
            before=EXPOSED,
            origin=plan.survival.fixed_landmark_day,
            ci=plan.survival.ci_type,
            alpha=plan.primary.alpha,
        )
    except NotEstimable:
        return pd.DataFrame(columns=columns)
    names = {"n_risk": "AT_RISK", "n_event": "EVENTS", "n_censor": "CENSORED"}
    table = table.assign(time=table["time"] / plan.design.days_per_month).rename(columns=names)
    table = table.rename(columns=str.upper)
    return table.assign(CURVE="simon_makuch", ENDPOINT=analysis.endpoint)[columns]


def _count_unclassed(data: pd.DataFrame, admr: pd.DataFrame, analysis: Analysis) -> int:
    """Count the patients of the time-dependent set whose scan gave no class."""
    rows = select_response(
        admr, timepoint=analysis.timepoint, metric=analysis.metric, rule=analysis.rule, cut=analysis.cut
    )
    known = rows.loc[rows["MRESP"].isin([EXPOSED, REFERENCE]), "USUBJID"]
    return int((~data["USUBJID"].isin(known)).sum())


def _describe_bias(analysis: Analysis, admr, adtte, adsl, plan: Plan) -> str:
    """Count events before the own scan, which a landmark leaves out; else those before others had theirs."""
    dated = adtte["ADT"].notna().any()
    own, any_ = ("the own scan", "a scan") if dated else (f"day {plan.survival.fixed_landmark_day}",) * 2
    place = replace(analysis, landmark="scan" if dated else "fixed")
    data, ledger = analysis_set(place, admr, adtte, adsl, plan)
    before = int(ledger["CODE"].eq("EVENT_BEFORE_LANDMARK").sum())
    if before:
        return f"{before} {'event lies' if before == 1 else 'events lie'} before {own} or on its day"
    # Whoever is at risk at an event before her own scan is there because she lived to be scanned.
    shared = data["event"] & (data["time"] + data["STARTDELAY"] <= data["STARTDELAY"].max())
    if count := int(shared.sum()):
        return f"no event lies before {own}, {count} before the last patient's"
    return f"no event lies before {any_} here, so nothing is biased"


def _arrays(data: pd.DataFrame) -> tuple:
    return data["time"], data["event"], data["change_time"], data["state"]


def _periods(data: pd.DataFrame, before: str | None) -> pd.DataFrame:
    """Return rows (start, stop] with the state as ``exposed``; none where there is no patient."""
    if data.empty:
        names = ["patient", "start", "stop", "event", "state", "last"]
        return pd.DataFrame({name: pd.Series(dtype=float) for name in names}).assign(
            exposed=np.zeros(0, dtype=bool), last=np.zeros(0, dtype=bool)
        )
    periods = counting_process(*_arrays(data), before=before)
    return periods.assign(exposed=periods["state"].eq(EXPOSED))


def _cox_of(periods: pd.DataFrame, plan: Plan):
    def fit() -> dict:
        """Fit it."""
        found = cox(
            periods["stop"],
            periods["event"],
            periods["exposed"].astype(float),
            ties=plan.survival.ties_ml,
            alpha=plan.primary.alpha,
            entry=periods["start"],
        ).iloc[0]
        names = {"ESTIMATE": "estimate", "LOWER": "lower", "UPPER": "upper", "P": "p"}
        return {column: found[name] for column, name in names.items()}

    return fit


def _test_of(periods: pd.DataFrame):
    def test() -> dict:
        """Test it."""
        if periods.empty:
            raise NotEstimable("no patients are left")
        found = mantel_byar(periods["start"], periods["stop"], periods["event"], periods["state"]).iloc[0]
        return {"ESTIMATE": found["chi2"], "P": found["p"]}

    return test
