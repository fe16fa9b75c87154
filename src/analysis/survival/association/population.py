"""Who belongs to the population of an analysis: all scans, FDG-evaluable, comparable scans, on the drug."""

from __future__ import annotations

import pandas as pd

from analysis.plan import Plan


def apply_population(
    admr: pd.DataFrame,
    adpet: pd.DataFrame,
    plan: Plan,
    *,
    scans: pd.DataFrame | None = None,
    population: str | None = None,
) -> pd.DataFrame:
    """Return `admr` with whoever is outside the plan's population not evaluable: the ledger lists her.

    Parameters
    ----------
    admr, adpet : DataFrame
        Tables of these names.
    plan : Plan
        Sections primary (`population`) and response (`off_drug_max_days`).
    scans : DataFrame, optional
        ``scan_qc``; its OFFDRUG7 (days without drug in the seven before the scan) says who is ``on_drug``.
    population : str, optional
        Instead of the plan's.

    Returns
    -------
    DataFrame
        `admr`. ``all_scans`` keeps every class. ``fdg_evaluable`` asks for a baseline lesion with EVALFL
        equal to Y (else NEREAS NOT_FDG_EVALUABLE), ``comparable`` for PPFL equal to Y (else
        SCANS_NOT_COMPARABLE), ``on_drug`` for at most the plan's days off drug before that visit's scan
        (else OFF_DRUG); whose days are unknown stays, with OFF_DRUG_UNKNOWN among her FLAGS.

    Raises
    ------
    ValueError
        POPULATION_UNKNOWN if the table that says who belongs to the population does not say it of anyone.
    """
    population = plan.primary.population if population is None else population
    if population == "all_scans":
        return admr
    if population == "on_drug":
        return _keep_on_drug(admr, scans, plan.response.off_drug_max_days)
    if population == "comparable":
        if "PPFL" not in admr:
            raise ValueError("POPULATION_UNKNOWN: admr has no PPFL; run notebook 02 again")
        return _set_aside(admr, admr["PPFL"].ne("Y"), "SCANS_NOT_COMPARABLE")
    baseline = adpet[adpet["AVISIT"].eq("D0") & adpet["ROLE"].eq("LESION")]
    evaluable = baseline.loc[baseline["EVALFL"].eq("Y"), "USUBJID"].unique()
    return _set_aside(admr, ~admr["USUBJID"].isin(evaluable), "NOT_FDG_EVALUABLE")


def _set_aside(admr: pd.DataFrame, outside: pd.Series, reason: str) -> pd.DataFrame:
    """Make the rows `outside` not evaluable, for `reason` where they had none of their own."""
    kept = admr.copy()
    kept.loc[outside & admr["MRESP"].ne("NE"), ["AVALC", "MRESP", "NEREAS"]] = ["NE", "NE", reason]
    return kept


def _keep_on_drug(admr: pd.DataFrame, scans: pd.DataFrame | None, most: float) -> pd.DataFrame:
    if scans is None or "OFFDRUG7" not in scans or scans["OFFDRUG7"].isna().all():
        raise ValueError(
            "POPULATION_UNKNOWN: no scan has its days off drug (scan_qc OFFDRUG7); send EX, or choose "
            "another primary.population"
        )
    key = ["USUBJID", "AVISIT"]
    days = scans.dropna(subset=key).groupby(key)["OFFDRUG7"].max()
    days = days.reindex(pd.MultiIndex.from_frame(admr[key])).set_axis(admr.index)
    kept = _set_aside(admr, days > most, "OFF_DRUG")
    unknown = days.isna() & admr["MRESP"].ne("NE")
    flags = kept["FLAGS"] if "FLAGS" in kept else pd.Series(None, index=kept.index, dtype=object)
    marked = [
        f"{old};OFF_DRUG_UNKNOWN" if isinstance(old, str) and old else "OFF_DRUG_UNKNOWN" for old in flags
    ]
    return kept.assign(FLAGS=flags.mask(unknown, pd.Series(marked, index=kept.index)))
