"""Response drawn again under measurement error: what the repeatability of uptake does to the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import lesion_count, response, response_rules
from analysis.pet.comparability import KEY
from analysis.pet.lesion_pairs import NOT_MEASURED
from analysis.pet.reference_regions import BASELINE
from analysis.survival.outcome import NotEstimable

CLASSES = ["CV", "CORRELATION", "LEVEL", "DRAW", "USUBJID", "AVISIT", "MRESP", "NLESION"]
# Why it does not apply, for a reader: by the code of the refusal.
_REASONS = {
    "NO_SECOND_SCAN": "Without a second {scan} there is no class to draw again under measurement error.",
    "REPEATABILITY_UNKNOWN": "The repeatability of the {change} the rule reads is not known: classes are not "
    "drawn again under measurement error.",
    "NO_LESION": "No {scan} has a lesion with the measurement the rule reads, and nothing is drawn again.",
    "RULE_READS_MORE": "The rule reads more than a change: its classes hang on the values themselves too, "
    "and the chance of a class by number of lesions is not simulated.",
}
# What any rule may read of a lesion beside its metric: its background, once it is gone, and its size.
_READ = ("SUVBKG", "SULBKG", "LONGDIAM")


@dataclass(frozen=True)
class Redrawn:
    """Classes drawn again, and the chance of a class by number of lesions.

    Attributes
    ----------
    classes : DataFrame
        Of `redraw_classes`; without rows where it does not apply.
    by_lesions : DataFrame
        Of `lesion_count.nonresponse_by_lesions`; without rows where it does not apply.
    reasons : tuple of str
        Why one of them has no rows: sentences for a reader.
    """

    classes: pd.DataFrame
    by_lesions: pd.DataFrame
    reasons: tuple[str, ...] = ()


def redraw(
    adpet: pd.DataFrame, plan: plans.Plan, rng: np.random.Generator, **known: pd.DataFrame | None
) -> Redrawn:
    """Draw the classes of a study again, and say why where that does not apply.

    Parameters
    ----------
    adpet, plan, rng, **known
        As in `redraw_classes`.

    Returns
    -------
    Redrawn
        Both tables; where the study has no second scan, no lesion, or a metric whose repeatability the plan
        does not know, they have no rows and `reasons` says so in the plan's words (`design.words`).
    """
    classes, chances, reasons = pd.DataFrame(columns=CLASSES), pd.DataFrame(columns=lesion_count.COLUMNS), []
    try:
        classes = redraw_classes(adpet, plan, rng, **known)
        chances = lesion_count.nonresponse_by_lesions(plan, rng)
    except NotEstimable as refusal:
        code = str(refusal).split(":")[0]
        reasons.append(_REASONS[code].format(**plan.design.words))
    return Redrawn(classes, chances, tuple(reasons))


def redraw_classes(
    adpet: pd.DataFrame,
    plan: plans.Plan,
    rng: np.random.Generator,
    *,
    cv_percent: Sequence[float] | None = None,
    correlation: Sequence[float] | None = None,
    levels: Sequence[float] | None = None,
    draws: int | None = None,
    subjects: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Add measurement error to the uptake of every lesion on every scan, and classify again by the rule.

    Parameters
    ----------
    adpet : DataFrame
        Table of this name.
    plan : Plan
        Sections ``primary``, ``response``, ``misclassification``, ``pet`` and ``design``.
    rng : numpy.random.Generator
        For the errors.
    cv_percent, correlation, levels : sequence of float, optional
        Within-subject CV of one measurement, percent; correlation of the errors of two lesions of one scan;
        variance of the error added, times that of one measurement. Each with each; default: the plan's.
    draws : int, optional
        Redrawn studies of each; default: the plan's.
    subjects, scans, decisions : DataFrame, optional
        As in `response.classify`: what made the classes of the main analysis.

    Returns
    -------
    DataFrame
        One row a CV, CORRELATION, LEVEL, DRAW, subject and follow-up visit: MRESP and NLESION (lesions the
        rule read). First the classes as they are: CV, CORRELATION, LEVEL and DRAW 0.

    Raises
    ------
    NotEstimable
        NO_SECOND_SCAN, REPEATABILITY_UNKNOWN or NO_LESION, and what to do.

    Notes
    -----
    A value is multiplied by exp(e), e normal with mean 0 and variance level x ln(1 + cv^2), so that its
    geometric mean stays. Only the metric the rule judges is redrawn: regions of reference, volumes, readers'
    decisions, and which lesions were called evaluable or targets stay as they were read. (Rules on a peak
    hold the redrawn baseline value against the reference region; a patient may then not be evaluable.) One
    set of standard normal errors serves every CV, correlation and level: they differ by them alone, and a
    trend over levels is not blurred.
    """
    rules = plan.misclassification
    metric = _metric_of(adpet, plan)
    cells = _cells(
        rules.cv_percent if cv_percent is None else cv_percent,
        rules.lesion_correlations if correlation is None else correlation,
        rules.levels if levels is None else levels,
    )
    asked, read = _lean(plan), _rows_read(adpet, plan, metric)
    tables = {"subjects": subjects, "scans": scans, "decisions": decisions}
    as_read = response.classify(read, asked, **tables)
    parts = [as_read.assign(CV=0.0, CORRELATION=0.0, LEVEL=0.0, DRAW=0)[CLASSES]]
    drawn = rules.draws if draws is None else draws
    trial, tables = _repeat(read, drawn), {name: _repeat(table, drawn) for name, table in tables.items()}
    noise = _Noise.draw(read, metric, drawn, rng)
    for cv, together, level in cells:
        moved = trial.assign(AVAL=noise.move(trial["AVAL"].to_numpy(), cv, together, level))
        found = _own_names(response.classify(moved, asked, **tables))
        parts.append(found.assign(CV=cv, CORRELATION=together, LEVEL=level)[CLASSES])
    return pd.concat(parts, ignore_index=True)


def _metric_of(adpet: pd.DataFrame, plan: plans.Plan) -> str:
    """Return the metric the primary rule judges, if the plan knows its error and a scan has it."""
    if plan.primary.exposure != "response" or not plan.design.followup_visits:
        raise NotEstimable("NO_SECOND_SCAN: without a second scan there is no class to be drawn again")
    metric = response.in_force(plan).primary.metric
    if metric not in plan.response.repeatability_metrics:
        raise NotEstimable(
            f"REPEATABILITY_UNKNOWN: the plan knows no repeatability of {metric}; where it is known, name "
            "the metric in response.repeatability_metrics and its CV in misclassification.cv_percent"
        )
    if not (adpet["ROLE"].eq("LESION") & adpet["METRIC"].eq(metric) & adpet["AVAL"].gt(0)).any():
        raise NotEstimable(f"NO_LESION: no scan has a lesion with {metric}: there is nothing to draw again")
    return metric


def _cells(*choices: Sequence[float]) -> list[tuple[float, ...]]:
    return [tuple(cell) for cell in np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, 3)]


def _lean(plan: plans.Plan) -> plans.Plan:
    """Drop the checks of two scans where the rule does not read their verdict: half of the time."""
    if response_rules.RULE_TABLES[plan.primary.response_rule] == "percist_table":
        return plan
    return plan.override({"response.comparability_checks": {}})


def _rows_read(adpet: pd.DataFrame, plan: plans.Plan, metric: str) -> pd.DataFrame:
    """Keep the rows of `adpet` that can decide a class: the rest would be repeated in every draw."""
    rows = adpet[adpet["AVISIT"].isin([BASELINE, *plan.design.followup_visits])].reset_index(drop=True)
    lesion, scale = rows["ROLE"].eq("LESION"), metric[:3]
    keep = lesion & rows["METRIC"].isin(_lesion_metrics(plan, metric))
    keep |= ~lesion & rows["METRIC"].isin([f"{scale}MEAN", f"{scale}SD"])
    # The factor from SUV to SUL of a scan is that of any region or lesion on it.
    keep |= rows["METRIC"].isin(["SUVMEAN", "SULMEAN"]) & (scale == "SUL")
    # That a scan was made, and a lesion seen and measured, any one row says; that it was not, its own does.
    order = rows.assign(UNKNOWN=~np.isfinite(rows["AVAL"].astype(float)), OTHER=~keep)
    seen = order.sort_values(["UNKNOWN", "OTHER"], kind="stable").drop_duplicates([*KEY, "LESIONID"]).index
    words = rows.reindex(columns=["FLAGS"])["FLAGS"].astype(str)
    keep |= lesion & (rows.index.isin(seen) | words.str.contains(NOT_MEASURED))
    keep |= ~rows.duplicated(KEY)
    return rows[keep].reset_index(drop=True)


def _lesion_metrics(plan: plans.Plan, metric: str) -> set[str]:
    """Name what the primary rule reads of a lesion: its metric, and what only some rules look at."""
    rules, rule = plan.response, plan.primary.response_rule
    read = {
        rules.dominance_weight: rule == "dominance_volume",
        rules.percist_tlg_metric: response_rules.RULE_TABLES[rule] == "percist_table",
        rules.target_metric: rules.lesion_cap is not None,
    }
    return {metric, *_READ, *(name for name, is_read in read.items() if is_read)}


def _repeat(table: pd.DataFrame | None, draws: int) -> pd.DataFrame | None:
    """Repeat a table, each copy with subjects of its own."""
    if table is None or table.empty:
        return table
    copies = table.iloc[np.tile(np.arange(len(table)), draws)].reset_index(drop=True)
    tag = np.repeat(np.array([f"|{draw}" for draw in range(1, draws + 1)], dtype=object), len(table))
    return copies.assign(USUBJID=copies["USUBJID"] + tag)


def _own_names(found: pd.DataFrame) -> pd.DataFrame:
    """Give the copies of a subject her own name, and the number of the draw."""
    name = found["USUBJID"].str.rsplit("|", n=1)
    return found.assign(USUBJID=name.str[0], DRAW=name.str[1].astype(int))


@dataclass(frozen=True)
class _Noise:
    """Standard normal errors of the lesions of every draw: a part of each one's own, one of its scan."""

    at: np.ndarray
    own: np.ndarray
    common: np.ndarray

    @classmethod
    def draw(cls, rows: pd.DataFrame, metric: str, draws: int, rng: np.random.Generator) -> _Noise:
        at = np.flatnonzero(rows["ROLE"].eq("LESION") & rows["METRIC"].eq(metric))
        scan = rows.iloc[at].groupby(KEY, sort=True).ngroup().to_numpy()
        own = rng.standard_normal((draws, len(at)))
        return cls(at, own, rng.standard_normal((draws, scan.max() + 1))[:, scan])

    def move(self, values: np.ndarray, cv: float, correlation: float, level: float) -> np.ndarray:
        """Return the values of all draws with the error in those of the lesions."""
        error = lesion_count.correlate(self.own, self.common, correlation)
        moved = values.reshape(len(self.own), -1).copy()
        moved[:, self.at] *= np.exp(lesion_count.error_sd(cv, level) * error)
        return moved.ravel()
