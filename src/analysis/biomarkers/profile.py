"""Who the non-responders are: clinically, on PET, in tumour and in plasma, beside the responders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from analysis import plan
from analysis.biomarkers.characteristics import (
    CLINICAL,
    PET,
    PLASMA,
    TUMOUR,
    Characteristic,
    list_clinical,
    list_pet,
    list_plasma,
    list_tumour,
)
from analysis.biomarkers.effects import Effect, estimate_fisher, estimate_shift
from analysis.biomarkers.multiplicity import bh
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.contracts import contract_of

# Numerical guard: more tables of the same margins than this are not enumerated.
_MOST_TABLES = 2_000_000
# As R's fisher.test: tables are as likely as the one seen within this factor.
_AS_LIKELY = 1 + 1e-7
_LACKING = {
    CLINICAL: "clinical characteristic",
    PET: "baseline PET",
    TUMOUR: "tumour sample",
    PLASMA: "plasma",
}
_NONE = Effect(np.nan, np.nan, np.nan, np.nan)


def profile_nonresponders(
    adsl: pd.DataFrame | None,
    adpet: pd.DataFrame | None,
    adbm: pd.DataFrame | None,
    outcomes: pd.DataFrame,
    *,
    early: str,
    cut: float,
    markers: pd.DataFrame | None = None,
    rules=None,
    response=None,
) -> Analysis:
    """Set the characteristics of metabolic non-responders beside those of responders.

    Present or absent: conditional odds ratio (Fisher). Numbers: Hodges-Lehmann difference, non-responders
    minus responders (Wilcoxon). Classes of several levels: Fisher-Freeman-Halton, a p-value alone. Q_BH is
    over the whole page. A characteristic with fewer than ``min_prevalence_n`` subjects in a group is listed,
    not tested.

    Parameters
    ----------
    adsl, adpet, adbm : DataFrame or None
        Tables of these names; None or empty where the study lacks the layer.
    outcomes : DataFrame
        As `assemble_outcomes` returns.
    early : str
        Visit of the early scan.
    cut : float
        Percent fall of the primary rule: which lesions were resistant.
    markers : DataFrame, optional
        Subjects x markers of tumour samples (1, 0, NaN), as `select_markers` returns: candidate genes
        (``GENE``, ``GENE_AMP``, ``GENE_DEL``) and the plan's pathways among its columns are shown.
    rules, response : Section, optional
        The plan's sections ``biomarkers`` and ``response``; its defaults if None.

    Returns
    -------
    Analysis
        Its table is ``profile``; its reason names the layers that are not there.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    group = outcomes["NONRESPONSE"].astype(float).dropna()
    empty = pd.DataFrame(columns=list(contract_of("profile").columns))
    if group.empty:
        return nothing("nobody has a metabolic class", empty)
    sections = {
        CLINICAL: list_clinical(adsl, rules),
        PET: list_pet(adpet, early=early, cut=cut, rules=rules, response=response),
        TUMOUR: list_tumour(markers, rules),
        PLASMA: list_plasma(adbm, rules, early=early),
    }
    lacking = [_LACKING[name] for name, found in sections.items() if not found]
    reason = f"not on the page: no {', no '.join(lacking)}" if lacking else None
    rows, lines = [], []
    for characteristic in [one for found in sections.values() for one in found]:
        row = _estimate(characteristic, group, rules)
        rows.append(row)
        lines.append(_write_lines(characteristic, group))
    if not rows:
        return nothing(reason or "no characteristic is known", empty)
    for row, q in zip(rows, bh(np.array([row["P"] for row in rows], float)), strict=True):
        row["Q_BH"] = q
    table = [
        _join_line(line, row, shown=place == 0)
        for own, row in zip(lines, rows, strict=True)
        for place, line in enumerate(own)
    ]
    return Analysis(as_rows(rows), pd.DataFrame(table, columns=list(empty.columns)), reason)


def _estimate(one: Characteristic, group: pd.Series, rules) -> dict[str, Any]:
    values = one.values.reindex(group.index).dropna()
    own = group.loc[values.index]
    row: dict[str, Any] = {
        **{"ANALYSIS": "profile", "MARKER": one.code, "PARTYPE": one.partype, "SAMPTYPE": one.samptype},
        **{"AVISIT": one.avisit, "OUTCOME": "NONRESPONSE", "N": len(values), "EVENTS": int(own.sum())},
        **{"METHOD": "wilcoxon" if one.kind == "number" else "fisher"},
        **{"STATISTIC": "difference" if one.kind == "number" else "odds_ratio"},
    }
    if one.kind == "present":
        row["N_POS"] = int(values.sum())
    sides = values.astype(float) if one.kind == "present" else own
    smallest = int(min(sides.sum(), len(sides) - sides.sum()))
    if smallest < rules.min_prevalence_n:
        text = f"listed, not tested: fewer than {rules.min_prevalence_n} subjects in one group"
        return {**row, **_numbers(_NONE), "TESTED": "N", "NOTE": join_notes(text, one.note)}
    if own.nunique() < 2:
        return {**row, **_numbers(_NONE), "TESTED": "N", "NOTE": "all subjects have the same response"}
    effect, note = _estimate_effect(one.kind, values, own, rules.interval_alpha)
    if one.describes:
        effect = effect._replace(p=np.nan)
    tested = "N" if all(np.isnan(value) for value in effect) else "Y"
    return {**row, **_numbers(effect), "TESTED": tested, "NOTE": join_notes(note, one.note)}


def _estimate_effect(kind: str, values, own, alpha: float) -> tuple[Effect, str | None]:
    if kind == "number":
        return estimate_shift(own.to_numpy(), values.to_numpy(float), alpha=alpha), None
    if kind == "present":
        return estimate_fisher(values.to_numpy(float), own.to_numpy(), alpha=alpha), None
    counts = pd.crosstab(values, own).to_numpy()
    p = estimate_freeman_halton(counts)
    note = "several levels: Fisher-Freeman-Halton, no single effect"
    return _NONE._replace(p=p), note if np.isfinite(p) else "too many levels to be enumerated"


def _numbers(effect: Effect) -> dict[str, float]:
    return {name.upper(): value for name, value in effect._asdict().items()}


def estimate_freeman_halton(counts: np.ndarray) -> float:
    """Compute the p-value of the Fisher-Freeman-Halton test of several levels against two groups.

    Parameters
    ----------
    counts : array of int, shape (levels, 2)
        Subjects by level and group.

    Returns
    -------
    float
        Probability, given both margins, of a table no more likely than this one; NaN where there are too many
        tables to enumerate.

    Examples
    --------
    As R's fisher.test gives it:

    >>> round(estimate_freeman_halton(np.array([[3, 4], [1, 7], [0, 8]])), 6)
    0.083004
    """
    counts = np.asarray(counts, int)
    levels, wanted = np.sort(counts.sum(axis=1)), int(counts[:, 0].sum())
    if np.prod(levels[:-1].astype(float) + 1) > _MOST_TABLES:
        return float("nan")
    taken, weight = np.zeros(1, int), np.zeros(1)
    for size in levels:
        of_level = np.arange(size + 1)
        taken = (taken[:, None] + of_level).ravel()
        weight = (weight[:, None] + _log_choose(size, of_level)).ravel()
        taken, weight = taken[taken <= wanted], weight[taken <= wanted]
    weight = weight[taken == wanted] - _log_choose(int(levels.sum()), wanted)
    observed = _log_choose(counts.sum(axis=1), counts[:, 0]).sum() - _log_choose(int(levels.sum()), wanted)
    return float(min(1.0, np.exp(weight[weight <= observed + np.log(_AS_LIKELY)]).sum()))


def _log_choose(n, k) -> np.ndarray:
    return gammaln(np.add(n, 1)) - gammaln(np.add(k, 1)) - gammaln(np.subtract(n, k) + 1)


def _write_lines(one: Characteristic, group: pd.Series) -> list[dict[str, Any]]:
    """Write a characteristic in words by group: a line, or one for each level."""
    values = one.values.reindex(group.index).dropna()
    sides = {
        name: values[group.loc[values.index].eq(code)]
        for name, code in (("NONRESPONDER", 1.0), ("RESPONDER", 0.0))
    }
    start = {"SECTION": one.section, "CHARACTERISTIC": one.name, "N": len(values)}
    if one.kind == "number":
        words = {name: _write_quartiles(own) for name, own in sides.items()}
        return [{**start, "LEVEL": "median (quartiles)", **words}]
    levels = {one.level: 1.0} if one.kind == "present" else {name: name for name in sorted(values.unique())}
    return [
        {**start, "LEVEL": level, **{name: _write_count(own.eq(code)) for name, own in sides.items()}}
        for level, code in levels.items()
    ]


def _write_quartiles(values: pd.Series) -> str:
    if values.empty:
        return "nobody"
    low, middle, high = np.quantile(values.astype(float), [0.25, 0.5, 0.75])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _write_count(present: pd.Series) -> str:
    if present.empty:
        return "nobody"
    return f"{int(present.sum())}/{len(present)} ({100 * present.mean():.0f} %)"


def _join_line(line: dict[str, Any], row: dict[str, Any], *, shown: bool) -> dict[str, Any]:
    """Give the effect to the first line of a characteristic; the levels below it have none of their own."""
    names = ("STATISTIC", "ESTIMATE", "LOWER", "UPPER", "P", "Q_BH")
    known = shown and row["TESTED"] == "Y"
    return {**line, **{name: row[name] if known else None for name in names}}
