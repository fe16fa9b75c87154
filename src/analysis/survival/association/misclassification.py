"""What measurement error does to the classes and to the hazard ratio, from classes drawn again."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis import contracts
from analysis.plan import Plan
from analysis.survival.association.estimates import Analysis, estimate_row, estimates_table, stack
from analysis.survival.association.redrawn import Cell, Model, collect_cells, fit_cell, resample_patients
from analysis.survival.association.study import AnalysisSets
from analysis.survival.outcome import NotEstimable
from analysis.survival.simex import NO_ERROR, Simex, extrapolation_weights, simex

_ONE_ERROR = 1.0  # level at which the error of one more measurement is added
_AS_MEASURED = 0.0  # level of the error there is
_CURVE_STEP = 0.1  # levels at which the extrapolation is tabulated, for its figure


def estimate_misclassification(
    sets: AnalysisSets, redrawn: pd.DataFrame, by_lesions: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate how classes and hazard ratios move under added measurement error, and without any error.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`: who is analysed, and from when, stays as it is in every draw.
    redrawn : DataFrame
        CV CORRELATION LEVEL DRAW USUBJID AVISIT MRESP NLESION: classes under added error of LEVEL times the
        variance of one measurement, and those as they are (LEVEL and DRAW 0).
    by_lesions : DataFrame
        CV CORRELATION LESIONS FALL ESTIMATE N: chance of being called a non-responder.
    plan : Plan
        Sections primary, survival, response (`lesion_strata`) and misclassification (`extrapolation`;
        `draws`, as many bootstrap samples of patients are taken).
    rng : numpy.random.Generator
        For the bootstrap.

    Returns
    -------
    table : DataFrame
        Contract ``misclassification``. Limits are the middle of the redrawn studies (95 % by default), those
        of ``simex`` a confidence interval. ``class_change`` is the share of patients evaluable in the draw
        whose class is another, ``not_evaluable`` the share who have none in it, ``attenuation`` the share of
        the ln hazard ratio that the added error takes away (negative: it adds), ``simex_curve`` the curve
        fitted to the levels above 0: at LEVEL 0 it stands where the error there is puts the mean of many
        studies, of which the hazard ratio as measured is one.
    estimates : DataFrame
        Estimates rows ``simex`` (no error), ``simex_today`` (the fitted curve at the error there is, without
        limits) and ``hazard_ratio_redrawn`` (the error of one measurement on top of what there is) for each
        endpoint, CV and correlation; SENSITIVITY. No test. The label of ``simex`` says where added error does
        not move the hazard ratio towards 1: then nothing was corrected for attenuation.

        Both without rows where nothing was drawn or nobody is analysed.

    Raises
    ------
    ValueError
        REDRAWN_OTHERWISE if the classes as they are are not those analysed.

    Notes
    -----
    A class cut from a score jumps, so the extrapolation rests on the levels above 0 and its interval on a
    bootstrap over patients (see `survival.simex.simex`).
    """
    first = sets.data[plan.primary.endpoint] if len(redrawn) else redrawn
    if first.empty:
        return contracts.empty("misclassification"), stack([])
    at_day = redrawn[redrawn["AVISIT"].eq(sets.timepoint)]
    parts, rows = [_tabulate_classes(first, at_day, plan)], []
    for endpoint, analysis in sets.analyses.items():
        data = sets.data[endpoint]
        if data.empty:
            continue
        model = Model.of(data, analysis, plan)
        for cell in collect_cells(data, at_day):
            fits = fit_cell(model, cell)
            found, limits, reason = _without_error(model, cell, fits, plan, rng)
            place = {"ENDPOINT": endpoint, "CV": cell.cv, "CORRELATION": cell.correlation, "N": len(data)}
            parts.append(_tabulate_ratios(fits, found, limits, plan).assign(**place))
            say = {"simex": (limits, _label_simex(cell, fits, reason, plan))}
            if found is not None:
                say["simex_today"] = _fitted_today(cell, found, plan)
            if _ONE_ERROR in cell.level:
                say["hazard_ratio_redrawn"] = _redrawn_once(cell, fits, plan)
            rows += _estimate_rows(data, analysis, model, say)
    parts.append(by_lesions.assign(QUANTITY="nonresponse_true"))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table = table.reindex(columns=contracts.columns("misclassification"))
    return contracts.check("misclassification", table), estimates_table(rows)


def _tabulate_classes(data: pd.DataFrame, at_day: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Tabulate changes of class and shares of non-responders, of all patients and by number of lesions."""
    observed = data["exposed"].to_numpy(float)
    groups = {np.nan: np.full(len(data), True)} | _strata(data, at_day, plan)
    rows = []
    for cell in collect_cells(data, at_day):
        for level, exposed in cell.levels():
            for low, inside in groups.items():
                place = {"CV": cell.cv, "CORRELATION": cell.correlation, "LEVEL": level, "LESIONS": low}
                shares = _shares(exposed[:, inside], observed[inside])
                size = {"N": int(inside.sum()), "DRAWS": len(exposed) if level else 0}
                rows += [
                    {"QUANTITY": name, **place, **size, **_middle(values, plan)}
                    for name, values in shares.items()
                    if level or name == "nonresponse"
                ]
    return pd.DataFrame(rows)


def _strata(data: pd.DataFrame, at_day: pd.DataFrame, plan: Plan) -> dict[float, np.ndarray]:
    """Return who belongs to each stratum of the number of lesions the rule read, by its first count."""
    as_read = at_day[at_day["LEVEL"].eq(0)].set_index("USUBJID")["NLESION"]
    lows = np.array(sorted({0, *plan.response.lesion_strata}), dtype=float)
    read = as_read.reindex(data["USUBJID"]).to_numpy(float)
    own = lows[np.searchsorted(lows, read, side="right") - 1]
    return {float(low): own == low for low in np.unique(own)}


def _shares(exposed: np.ndarray, observed: np.ndarray) -> dict[str, np.ndarray]:
    """Return by draw: another class than as read, non-responders (both of the evaluable), not evaluable."""
    known = ~np.isnan(exposed)
    count = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    return {
        "class_change": ((exposed != observed) & known).sum(axis=1) / count,
        "nonresponse": (exposed == 1).sum(axis=1) / count,
        "not_evaluable": (~known).mean(axis=1),
    }


def _middle(values: np.ndarray, plan: Plan) -> dict[str, float]:
    """Return the mean over draws, and the limits between which the middle of several lies."""
    values = values[np.isfinite(values)]
    found = {"ESTIMATE": float(values.mean())} if len(values) else {}
    if len(values) > 1:
        tail = plan.primary.alpha / 2
        found["LOWER"], found["UPPER"] = (float(limit) for limit in np.quantile(values, [tail, 1 - tail]))
    return found


def _without_error(
    model: Model, cell: Cell, fits: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> tuple[Simex | None, dict[str, float], str]:
    """Extrapolate to no error: the curve, the hazard ratio with its limits, and why there is none."""
    rules, alpha = plan.misclassification, plan.primary.alpha
    shape = {"extrapolation": rules.extrapolation, "anchored": False, "alpha": alpha}
    try:
        found = simex(fits["level"], fits["coef"], fits["variance"], **shape)
    except NotEstimable as refusal:
        return None, {}, f"; not estimable: {refusal}"
    weights = extrapolation_weights(found.levels["level"], rules.extrapolation)
    se = resample_patients(model, cell, weights, rules.draws, rng)
    reach = norm.ppf(1 - alpha / 2) * se
    ends = np.exp([found.estimate, found.estimate - reach, found.estimate + reach])
    return found, dict(zip(("ESTIMATE", "LOWER", "UPPER"), ends.tolist(), strict=True)), ""


def _tabulate_ratios(
    fits: pd.DataFrame, found: Simex | None, limits: dict[str, float], plan: Plan
) -> pd.DataFrame:
    """Tabulate the hazard ratio and its attenuation at each level, and the extrapolation."""
    rows, own = [], float(fits.loc[fits["level"].eq(0), "coef"].iloc[0])
    for level, coef in fits[np.isfinite(fits["coef"])].groupby("level")["coef"]:
        place = {"LEVEL": level, "DRAWS": len(coef) if level else 0}
        middle = _middle(coef.to_numpy(), plan)
        rows.append({"QUANTITY": "hazard_ratio", **place, **_as_ratios(middle)})
        if level and np.isfinite(own) and own != 0:
            rows.append({"QUANTITY": "attenuation", **place, **_middle(1 - coef.to_numpy() / own, plan)})
    if found is not None:
        draws = int(found.levels["fits"].sum())
        rows.append({"QUANTITY": "simex", "LEVEL": NO_ERROR, "DRAWS": draws, **limits})
        steps = round((found.levels["level"].max() - NO_ERROR) / _CURVE_STEP)
        grid = (NO_ERROR + _CURVE_STEP * np.arange(steps + 1)).round(9)
        curve = zip(grid, np.exp(found.at(grid)), strict=True)
        rows += [{"QUANTITY": "simex_curve", "LEVEL": at, "DRAWS": draws, "ESTIMATE": hr} for at, hr in curve]
    return pd.DataFrame(rows)


def _as_ratios(logs: dict[str, float]) -> dict[str, float]:
    return {name: float(np.exp(value)) for name, value in logs.items()}


def _label_simex(cell: Cell, fits: pd.DataFrame, reason: str, plan: Plan) -> str:
    drawn = fits.loc[fits["level"].gt(0), "coef"]
    lost = int((~np.isfinite(drawn)).sum())
    left = f"; {lost} of {len(drawn)} redrawn studies without a finite estimate left out" if lost else ""
    shape = plan.misclassification.extrapolation
    added = "; added error does not move it towards 1: no attenuation corrected" if _adds(fits) else ""
    return f"no measurement error (SIMEX, {shape}, bootstrap limits), {_words(cell)}{added}{left}{reason}"


def _adds(fits: pd.DataFrame) -> bool:
    """Tell whether the error of one more measurement leaves the hazard ratio as far from 1, or farther."""
    finite = fits[np.isfinite(fits["coef"])]
    mean = finite.groupby("level")["coef"].mean()
    if not {_AS_MEASURED, _ONE_ERROR} <= set(mean.index):
        return False
    own = mean[_AS_MEASURED]
    return bool(np.sign(own) * mean[_ONE_ERROR] >= abs(own))


def _fitted_today(cell: Cell, found: Simex, plan: Plan) -> tuple[dict[str, float], str]:
    shape = plan.misclassification.extrapolation
    label = f"the error there is (fitted SIMEX curve, {shape}, without limits), {_words(cell)}"
    return {"ESTIMATE": float(np.exp(found.at(_AS_MEASURED)))}, label


def _redrawn_once(cell: Cell, fits: pd.DataFrame, plan: Plan) -> tuple[dict[str, float], str]:
    coef = fits.loc[fits["level"].eq(_ONE_ERROR) & np.isfinite(fits["coef"]), "coef"].to_numpy()
    level = f"{100 * (1 - plan.primary.alpha):g} %"
    limits = f"limits: middle {level} of {len(coef)} redrawn studies"
    label = f"the error of one more measurement added, {_words(cell)}, {limits}"
    return _as_ratios(_middle(coef, plan)), label


def _words(cell: Cell) -> str:
    return f"CV {cell.cv:g} %, errors of a scan's lesions correlated {cell.correlation:g}"


def _estimate_rows(data: pd.DataFrame, analysis: Analysis, model: Model, say: dict) -> list[dict]:
    """Make estimates rows from method -> (numbers, label)."""
    how = {"ESTIMATOR": model.estimator, "TIES": model.ties}
    return [
        {**estimate_row(data, analysis, method, numbers.copy, "SENSITIVITY", label), **how}
        for method, (numbers, label) in say.items()
    ]
