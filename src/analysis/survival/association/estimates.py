"""Rows of the estimates table: what identifies an analysis, and one function a family of estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.cox import cox
from analysis.survival.kaplan_meier import kaplan_meier, median_survival, survival_at
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import NotEstimable
from analysis.survival.rmst import rmst

EXPOSED, REFERENCE = "NON-RESPONDER", "RESPONDER"
REPORTED = "reported test"  # in the LABEL of the row whose p is the endpoint's
NOT_CORRECTED = "not corrected for the pilot's choice of the day"
NOT_THE_TEST = "p of the Cox model, not the test"  # in the LABEL of a main row beside a two-stage test
ESTIMATES = [
    *("ENDPOINT", "POPULATION", "LANDMARK", "TIMEPOINT", "METRIC", "RULE", "CUT", "CONTRAST", "REFERENCE"),
    *("METHOD", "ESTIMATOR", "TIES", "ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS"),
    *("N_EXPOSED", "EVENTS_EXPOSED", "N_REFERENCE", "EVENTS_REFERENCE", "ROLE", "LABEL"),
]


@dataclass(frozen=True)
class Analysis:
    """What is related to what: the identifying columns of an estimates row.

    Attributes
    ----------
    endpoint, population, timepoint, metric, rule, cut : str, float
        As in the columns of the estimates table.
    landmark : str
        ``"scan"``, ``"fixed"`` or ``"none"`` (time zero of the endpoint itself).
    contrast, reference : str
        The hazard ratio is contrast / reference.
    post_hoc : bool
        The cut was chosen after seeing outcomes: said in every label.
    scale : str
        What SCORE is: ``"change"`` (ln ratio to baseline; a cut is a percent fall) or ``"value"`` (log2 of a
        baseline value; a cut is that value).
    """

    endpoint: str
    population: str
    landmark: str
    timepoint: str
    metric: str
    rule: str
    cut: float
    contrast: str = EXPOSED
    reference: str = REFERENCE
    post_hoc: bool = False
    scale: str = "change"

    def to_cut(self, score):
        """Return the cut that stands for a SCORE: percent fall from baseline, or the value itself."""
        return -100 * np.expm1(score) if self.scale == "change" else np.exp2(score)

    def to_score(self, cut):
        """Return the SCORE that stands for a cut, the inverse of `to_cut`."""
        return np.log1p(-np.asarray(cut, dtype=float) / 100) if self.scale == "change" else np.log2(cut)

    def columns(self) -> dict:
        """Return the identifying columns of a row."""
        names = (
            "endpoint",
            "population",
            "landmark",
            "timepoint",
            "metric",
            "rule",
            "cut",
            "contrast",
            "reference",
        )
        return {name.upper(): getattr(self, name) for name in names}

    def label(self, text: str) -> str:
        """Return a label that says so where the cut is post hoc."""
        return f"{text}; post hoc cut" if self.post_hoc else text


def describe_groups(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate medians (months) and S(t) at the plan's times, by group.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    DataFrame
        Estimates rows ``km_median`` and ``km_survival_<t>m``; CONTRAST is the group, REFERENCE is missing.
    """
    rules, alpha = plan.survival, plan.primary.alpha
    if data.empty:
        return estimates_table([])
    arrays = (data["time"], data["event"])
    medians = median_survival(*arrays, data["group"], ci=rules.ci_type, alpha=alpha)
    levels = survival_at(*arrays, rules.km_times_months, data["group"], ci=rules.ci_type, alpha=alpha)
    rows = []
    for found in medians.to_dict("records"):
        numbers = {"ESTIMATE": found["median"], "LOWER": found["lower"], "UPPER": found["upper"]}
        rows.append(_group_row(data, analysis, found["group"], "km_median", numbers, "median, months"))
    for found in levels.to_dict("records"):
        numbers = {"ESTIMATE": found["survival"], "LOWER": found["lower"], "UPPER": found["upper"]}
        name, text = f"km_survival_{found['time']:g}m", f"S(t) at {found['time']:g} months"
        rows.append(_group_row(data, analysis, found["group"], name, numbers, text))
    return estimates_table(rows)


def compare_curves(
    data: pd.DataFrame,
    analysis: Analysis,
    plan: Plan,
    rng: np.random.Generator,
    *,
    role: str = "SECONDARY",
    reported: bool = True,
    note: str = "",
) -> pd.DataFrame:
    """Test equality of the two curves: asymptotic and permutation log-rank, and the RMST difference.

    Parameters
    ----------
    data, analysis, plan
        As in `describe_groups`.
    rng : numpy.random.Generator
        For the permutations.
    role : str
        Role of the log-rank the plan reports (the permutation one below the plan's number of events).
    reported : bool
        Its p is the endpoint's: LABEL says so. Not of an exploratory exposure, nor where the two-stage test
        (`estimate_pilot_choice`) is the reported one.
    note : str
        Added to the LABEL of both log-ranks, for example `NOT_CORRECTED`.

    Returns
    -------
    DataFrame
        Estimates rows ``logrank_permutation``, ``logrank`` (ESTIMATE is chi-square) and ``rmst_difference``
        (months, contrast minus reference).
    """
    arrays = (data["time"], data["event"], data["group"])
    few = int(data["event"].sum()) < plan.survival.permutation_max_events

    def test(method: str) -> Callable[[], dict]:
        """Return the test by one method, to be run."""

        def run() -> dict:
            """Run it."""
            options = (
                {"permutations": plan.survival.permutations, "rng": rng} if method == "permutation" else {}
            )
            found = log_rank(*arrays, method=method, **options).iloc[0]
            return {"ESTIMATE": found["chi2"], "P": found["p"]}

        return run

    def difference() -> dict:
        """Estimate the difference of means."""
        found = rmst(
            *arrays, tau=plan.survival.rmst_tau_months, reference=analysis.reference, alpha=plan.primary.alpha
        )
        last = found.iloc[-1]
        return {"ESTIMATE": last["estimate"], "LOWER": last["lower"], "UPPER": last["upper"], "P": last["p"]}

    tau = f"difference in mean event-free months within {plan.survival.rmst_tau_months:g}"
    roles = (role, "SENSITIVITY") if few else ("SENSITIVITY", role)
    labels = ["log-rank, permutation of the scores' sum O - E", "log-rank, asymptotic"]
    labels[0 if few else 1] += f"; {REPORTED}" if reported else ""
    labels = [f"{label}; {note}" if note else label for label in labels]
    return estimates_table(
        [
            estimate_row(data, analysis, "logrank_permutation", test("permutation"), roles[0], labels[0]),
            estimate_row(data, analysis, "logrank", test("asymptotic"), roles[1], labels[1]),
            estimate_row(data, analysis, "rmst_difference", difference, "SENSITIVITY", tau),
        ]
    )


def estimate_hazard_ratio(
    data: pd.DataFrame,
    analysis: Analysis,
    plan: Plan,
    *,
    role: str,
    label: str = "hazard ratio",
    main_only: bool = False,
    subgroup: bool = False,
) -> pd.DataFrame:
    """Estimate the hazard ratio by maximum likelihood and by Firth; the plan's switch says which is main.

    Parameters
    ----------
    data, analysis, plan
        As in `describe_groups`.
    role : str
        Role of the main estimator; the other ones are SENSITIVITY.
    label : str
        Text of the main row.
    main_only : bool
        Fit the main estimator alone.
    subgroup : bool
        `data` are a part of the main analysis set: Firth is the main estimator.

    Returns
    -------
    DataFrame
        Three estimates rows ``cox``, the main one first: maximum likelihood with the plan's ties, Firth,
        and Breslow maximum likelihood (what Firth, which has Breslow ties, is to be compared with). Profile
        limits.
    """
    main = main_estimator(data, analysis, plan, subgroup=subgroup)
    kinds = [
        ("ML", plan.survival.ties_ml),
        ("FIRTH", plan.survival.ties_firth),
        ("ML", plan.survival.ties_firth),
    ]
    kinds.sort(key=lambda kind: kind[0] != main)
    kinds = kinds[:1] if main_only else list(dict.fromkeys(kinds))
    rows = []
    for position, (estimator, ties) in enumerate(kinds):
        text = label if position == 0 else f"{label}; other estimator"
        # Beside Firth the two fits by maximum likelihood would read alike: this one has the ties of Firth.
        text += f"; {ties.capitalize()} ties" if position and ties == kinds[0][1] else ""
        fit = cox_of(data, "exposed", estimator, ties, plan)
        row = estimate_row(data, analysis, "cox", fit, role if position == 0 else "SENSITIVITY", text)
        rows.append({**row, "ESTIMATOR": estimator, "TIES": ties})
    return estimates_table(rows)


def estimate_score_effect(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Relate the continuous score to the outcome, linearly: hazard ratio per unit, larger is worse.

    Parameters
    ----------
    data, analysis, plan
        As in `describe_groups`; rows without a score are not used.

    Returns
    -------
    DataFrame
        One estimates row ``cox_score``.
    """
    scored = data[np.isfinite(data["SCORE"].astype(float))]
    unit = "per ln unit of the ratio to baseline" if analysis.scale == "change" else "per doubling"
    analysis = replace(analysis, contrast=unit, reference=None)
    estimator = main_estimator(scored, analysis, plan, groups=False)
    ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml
    fit = cox_of(scored, "SCORE", estimator, ties, plan)
    effect = estimate_row(scored, analysis, "cox_score", fit, "EXPLORATORY", f"hazard ratio {unit}")
    return estimates_table([{**effect, "ESTIMATOR": estimator, "TIES": ties}])


def main_estimator(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, *, subgroup: bool = False, groups: bool = True
) -> str:
    """Choose the main estimator by the plan: Firth for its endpoints, for subgroups and with few events.

    Parameters
    ----------
    data : DataFrame
        ``event`` and ``exposed``.
    analysis : Analysis
        Names the endpoint.
    plan : Plan
        Section survival: firth_endpoints, firth_max_events (in all), firth_min_group_events (in a group).
    subgroup : bool
        The patients are a part of the main analysis set.
    groups : bool
        The exposure is two groups, whose events count each; not a number.

    Returns
    -------
    str
        ``"FIRTH"`` or ``"ML"``.
    """
    if subgroup or is_firth_endpoint(analysis, plan):
        return "FIRTH"
    events, exposed = data["event"].astype(bool), data["exposed"].astype(bool)
    smaller = min(int((events & exposed).sum()), int((events & ~exposed).sum()))
    few = int(events.sum()) < plan.survival.firth_max_events
    few |= groups and smaller < plan.survival.firth_min_group_events
    return "FIRTH" if few else "ML"


def is_firth_endpoint(analysis: Analysis, plan: Plan) -> bool:
    """Tell whether the plan has the endpoint by Firth, whatever its events; OSALL and the like are OS."""
    return analysis.endpoint.startswith(tuple(plan.survival.firth_endpoints))


def cox_of(data: pd.DataFrame, column: str, estimator: str, ties: str, plan: Plan) -> Callable[[], dict]:
    """Return a fit of one covariate, to be passed to `estimate_row`."""
    penalty = "firth" if estimator == "FIRTH" else None

    def fit() -> dict:
        """Fit it."""
        found = cox(
            data["time"],
            data["event"],
            data[column].astype(float),
            ties=ties,
            penalty=penalty,
            alpha=plan.primary.alpha,
        ).iloc[0]
        return {
            "ESTIMATE": found["estimate"],
            "LOWER": found["lower"],
            "UPPER": found["upper"],
            "P": found["p"],
        }

    return fit


def estimate_row(
    data, analysis: Analysis, method: str, fit: Callable[[], dict], role: str, label: str, groups=True
) -> dict:
    """Make a row; what cannot be estimated has missing numbers and the reason in its label."""
    try:
        numbers = fit()
    except NotEstimable as refusal:
        numbers, label = {}, f"{label}; not estimable: {refusal}"
    row = {**analysis.columns(), "METHOD": method, **numbers, **_counts(data, groups)}
    return {**row, "ROLE": role, "LABEL": analysis.label(label)}


def _group_row(data, analysis: Analysis, group: str, method: str, numbers: dict, label: str) -> dict:
    inside = data[data["group"] == group]
    counts = {"N": len(inside), "EVENTS": int(inside["event"].sum())}
    row = {**analysis.columns(), "CONTRAST": group, "REFERENCE": None, "METHOD": method, "ESTIMATOR": "KM"}
    return {**row, **numbers, **counts, "ROLE": "DESCRIPTIVE", "LABEL": analysis.label(label)}


def _counts(data: pd.DataFrame, groups: bool) -> dict[str, int]:
    event, exposed = data["event"].astype(bool), data["exposed"].astype(bool)
    counts = {"N": len(data), "EVENTS": int(event.sum())}
    if groups:
        counts |= {"N_EXPOSED": int(exposed.sum()), "EVENTS_EXPOSED": int((event & exposed).sum())}
        counts |= {"N_REFERENCE": int((~exposed).sum()), "EVENTS_REFERENCE": int((event & ~exposed).sum())}
    return counts


def estimates_table(rows: Iterable[dict]) -> pd.DataFrame:
    """Make an estimates table with every column in its type, whatever is missing."""
    table = pd.DataFrame(list(rows)).reindex(columns=ESTIMATES)
    numbers = ["CUT", "ESTIMATE", "LOWER", "UPPER", "P"]
    table[numbers] = table[numbers].astype(float)
    counts = ["N", "EVENTS", "N_EXPOSED", "EVENTS_EXPOSED", "N_REFERENCE", "EVENTS_REFERENCE"]
    table[counts] = table[counts].astype("Int64")
    texts = [name for name in ESTIMATES if name not in {*numbers, *counts}]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), None)
    return table


def reported_test(rows: pd.DataFrame) -> pd.Series:
    """Return the row whose p is an endpoint's: its two-stage test or log-rank, or the main row without one.

    Parameters
    ----------
    rows : DataFrame
        Estimates rows of one endpoint, the main one first.
    """
    main = rows.iloc[0]
    same = rows["RULE"].eq(main["RULE"]) & rows["METRIC"].eq(main["METRIC"])
    tests = rows[same & rows["LABEL"].str.contains(REPORTED, regex=False)]
    return main if tests.empty else tests.iloc[0]


def stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put estimates tables under one another; tables without rows are passed over."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True)[ESTIMATES] if filled else estimates_table([])


def tabulate_curves(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Tabulate the Kaplan-Meier curve of each group, as the table ``curves`` wants it.

    Parameters
    ----------
    data, analysis, plan
        As in `describe_groups`.

    Returns
    -------
    DataFrame
        ENDPOINT GROUP TIME (months) SURVIVAL LOWER UPPER AT_RISK (T >= t) EVENTS CENSORED.
    """
    names = {"n_risk": "AT_RISK", "n_event": "EVENTS", "n_censor": "CENSORED"}
    columns = ["ENDPOINT", "GROUP", "TIME", "SURVIVAL", "LOWER", "UPPER", "AT_RISK", "EVENTS", "CENSORED"]
    if data.empty:
        return pd.DataFrame(columns=columns)
    table = kaplan_meier(
        data["time"], data["event"], data["group"], ci=plan.survival.ci_type, alpha=plan.primary.alpha
    )
    return table.rename(columns=names).rename(columns=str.upper).assign(ENDPOINT=analysis.endpoint)[columns]


def tabulate_set(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Tabulate who is analysed, as the table ``analysis_set`` wants it.

    Parameters
    ----------
    data, analysis
        As in `describe_groups`; SCORE is the log2 value where the exposure is a baseline metric.

    Returns
    -------
    DataFrame
        STUDYID USUBJID ENDPOINT TIMEPOINT GROUP SCORE LANDMARKDT TIME (months) EVENT.
    """
    columns = ["STUDYID", "USUBJID", "ENDPOINT", "TIMEPOINT", "GROUP", "SCORE", "LANDMARKDT", "TIME", "EVENT"]
    score = data["SCORE"] if "SCORE" in data else data["log2"]
    place = {"ENDPOINT": analysis.endpoint, "TIMEPOINT": analysis.timepoint, "SCORE": score}
    return data.assign(**place).rename(columns={"group": "GROUP", "time": "TIME", "event": "EVENT"})[columns]
