"""Baseline covariates of the models: what each name means, and one row a subject from adsl and adpet."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.outcome import NotEstimable

# Every name the plan may use, in the words a reader sees, and what a hazard ratio of it is per. A flag is 1
# for Y and 0 for N: its hazard ratio is with / without.
COVARIATES = {
    "LNLESION": "ln(number of lesions)",
    "LNBASE": "ln(largest baseline value)",
    "VISCFL": "visceral disease",
    "BONEONLY": "disease of bone only",
    "ENDOSENS": "sensitivity to prior endocrine therapy",
    "PRIORCHM": "prior chemotherapy in the advanced setting",
    "ECOG": "ECOG performance status",
    "AGE": "age",
}
UNITS = {"LNLESION": "per unit", "LNBASE": "per unit", "ECOG": "per grade", "AGE": "per year"}
FLAGS = ("VISCFL", "BONEONLY", "ENDOSENS", "PRIORCHM")
NUMBERS = ("ECOG", "AGE")
NOT_KNOWN = "not known in this study"  # of a covariate no patient has: in the reason of a refusal
_CODES = {"Y": 1.0, "N": 0.0, "U": np.nan, "": np.nan}


def baseline_covariates(
    adsl: pd.DataFrame, adpet: pd.DataFrame | None, plan: Plan, *, timepoint: str = "D0"
) -> pd.DataFrame:
    """Collect the covariates of `COVARIATES` and the centre; what is not known stays missing.

    Parameters
    ----------
    adsl : DataFrame
        One row a subject: USUBJID, and those of VISCFL, BONEONLY, ENDOSENS, PRIORCHM (Y, N; U or nothing for
        unknown), ECOG (grade), AGE (years) and the plan's centre that the study has.
    adpet : DataFrame, optional
        Measurements: USUBJID, AVISIT, LESIONID, METRIC, ROLE, AVAL. Without it the lesions are unknown.
    plan : Plan
        ``primary.metric``, ``survival.centre``, and the names of covariates, which are checked here.
    timepoint : str
        AVISIT of the baseline scan.

    Returns
    -------
    DataFrame
        USUBJID, LNLESION (ln of the number of lesions with a value of the plan's metric at baseline), LNBASE
        (ln of the largest of these values; missing where it is not above 0), VISCFL, BONEONLY, ENDOSENS,
        PRIORCHM (1, 0), ECOG, AGE, and the centre as text; sorted by USUBJID. A subject without a lesion
        measured has neither number: not measured is not none.

    Raises
    ------
    ValueError
        For a subject that stands twice, a flag that is neither Y, N, U nor empty, an ECOG or AGE that is no
        number, or a name in the plan that is not in `COVARIATES` (which are listed).
    """
    rules = plan.survival
    check_names([*rules.adjust, *rules.adjust_singly, *rules.ipw_covariates])
    if adsl["USUBJID"].duplicated().any():
        raise ValueError(f"adsl has {int(adsl['USUBJID'].duplicated().sum())} subjects twice; one row each")
    table = pd.DataFrame({"USUBJID": adsl["USUBJID"].to_numpy()})
    values = _baseline_values(adpet, plan.primary.metric, timepoint)
    for name, found in (("LNLESION", values["count"]), ("LNBASE", values["max"])):
        found = table["USUBJID"].map(found).astype(float)
        table[name] = np.log(found.where(found > 0))
    for name in FLAGS:
        table[name] = _flag(adsl, name)
    for name in NUMBERS:
        table[name] = _number(adsl, name)
    table[rules.centre] = _text(adsl, rules.centre)
    return table.sort_values("USUBJID", ignore_index=True)


def describe_effect(name: str) -> str:
    """Name what the hazard ratio of a covariate is of, with its unit.

    Examples
    --------
    >>> describe_effect("ECOG"), describe_effect("VISCFL")
    ('ECOG performance status, per grade', 'visceral disease')
    """
    return f"{COVARIATES[name]}, {UNITS[name]}" if name in UNITS else COVARIATES[name]


def check_names(names: Iterable[str]) -> None:
    """Refuse a covariate that is not in `COVARIATES`.

    Raises
    ------
    ValueError
        With the names that are known.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in COVARIATES]
    if unknown:
        known = "; ".join(f"{name} ({words})" for name, words in COVARIATES.items())
        raise ValueError(f"the plan asks for covariates {unknown}, which are not known; known are: {known}")


def check_known(data: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse to go on without a covariate that no patient has.

    Parameters
    ----------
    data : DataFrame
        One row a patient, a column a covariate (or the centre).
    names : iterable of str
        Columns that are needed.

    Raises
    ------
    NotEstimable
        If a column has no value at all: the study does not know it.
    ValueError
        If a column is absent: the covariates were not joined.
    """
    names = list(names)
    absent = [name for name in names if name not in data]
    if absent:
        raise ValueError(f"data lack {absent}: join baseline_covariates(adsl, adpet, plan) on USUBJID")
    unknown = [name for name in names if data[name].isna().all()] if len(data) else []
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        raise NotEstimable(f"{', '.join(unknown)} {verb} {NOT_KNOWN}")


def known_rows(data: pd.DataFrame, names: Iterable[str]) -> tuple[pd.DataFrame, int]:
    """Return the patients in whom every one of `names` is known, and how many others there are."""
    kept = data.dropna(subset=[name for name in names if name in data])
    return kept.reset_index(drop=True), len(data) - len(kept)


def _baseline_values(adpet: pd.DataFrame | None, metric: str, timepoint: str) -> pd.DataFrame:
    if adpet is None or adpet.empty:
        return pd.DataFrame({"count": [], "max": []}, dtype=float)
    rows = adpet[adpet["AVISIT"].eq(timepoint) & adpet["METRIC"].eq(metric) & adpet["ROLE"].eq("LESION")]
    rows = rows.dropna(subset=["AVAL"]).groupby("USUBJID")
    return pd.DataFrame({"count": rows["LESIONID"].nunique(), "max": rows["AVAL"].max()})


def _flag(adsl: pd.DataFrame, name: str) -> np.ndarray:
    given = _text(adsl, name)
    codes = given.fillna("").str.strip().str.upper()
    if not codes.isin(list(_CODES)).all():
        wrong = sorted(set(codes) - set(_CODES))
        raise ValueError(f"adsl {name} must be Y, N, U or empty, found also {wrong[:5]}")
    return codes.map(_CODES).to_numpy(dtype=float)


def _number(adsl: pd.DataFrame, name: str) -> np.ndarray:
    if name not in adsl:
        return np.full(len(adsl), np.nan)
    found = pd.to_numeric(adsl[name], errors="coerce")
    if (found.isna() & adsl[name].notna()).any():
        raise ValueError(
            f"adsl {name} must be a number, found {int((found.isna() & adsl[name].notna()).sum())} texts"
        )
    return found.to_numpy(dtype=float, na_value=np.nan)


def _text(adsl: pd.DataFrame, name: str) -> pd.Series:
    if name not in adsl:
        return pd.Series(None, index=range(len(adsl)), dtype=object)
    given = adsl[name].reset_index(drop=True)
    return given.astype(str).astype(object).where(given.notna(), None)
