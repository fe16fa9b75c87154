"""Every metabolic non-responder in one line of words, all layers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis import plan
from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.characteristics import tabulate_early_resistance, write_levels
from analysis.biomarkers.lesion_progression import select_lesions
from analysis.biomarkers.plasma import DETECTED, select_visit
from analysis.contracts import contract_of

_YES_NO = {"Y": "yes", "N": "no"}
_YEARS = ("AGE",)  # whole years
_ALTERED = ("MUTATED", "AMPLIFIED", "DELETED")


def list_nonresponders(
    adsl: pd.DataFrame | None,
    adpet: pd.DataFrame | None,
    adbm: pd.DataFrame | None,
    outcomes: pd.DataFrame,
    *,
    early: str,
    cut: float,
    days_per_month: float | None = None,
    rules=None,
    response=None,
) -> pd.DataFrame:
    """Write each non-responder in one line: clinic, PET, resistant lesions, tumour, plasma, outcome.

    Parameters
    ----------
    adsl, adpet, adbm : DataFrame or None
        Tables of these names; None or empty where the study lacks the layer, which the line then says.
    outcomes : DataFrame
        As `assemble_outcomes` returns.
    early : str
        Visit of the early scan.
    cut : float
        Percent fall of the primary rule.
    days_per_month : float, optional
        Days of a month; the plan's ``design.days_per_month`` if None.
    rules, response : Section, optional
        The plan's sections ``biomarkers`` and ``response``; its defaults if None.

    Returns
    -------
    DataFrame
        Table nonresponders, the strongest rise in uptake first.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    days = plan.defaults().design.days_per_month if days_per_month is None else days_per_month
    chosen = outcomes[outcomes["NONRESPONSE"].eq(1.0)]
    chosen = chosen.sort_values("PCTCHANGE", ascending=False, kind="stable", na_position="last")
    columns = list(contract_of("nonresponders").columns)
    if chosen.empty:
        return pd.DataFrame(columns=columns)
    tables = [None if table is None or table.empty else table for table in (adsl, adpet, adbm)]
    study = _find_study(tables)
    lesions = {} if tables[1] is None else _write_resistant(tables[1], early, cut, rules, response)
    lines = {
        "STUDYID": {subject: study for subject in chosen.index},
        "CLINICAL": _write_clinical(tables[0], rules),
        "PET": _write_pet(tables[1], chosen, early, rules),
        "RESISTANT": lesions,
        "TUMOUR": _write_tumour(tables[2], rules),
        "PLASMA": _write_plasma(tables[2], rules),
        "OUTCOME": _write_outcomes(chosen, days),
    }
    lacking = {
        "CLINICAL": "no clinical facts",
        "PET": "no baseline PET",
        "RESISTANT": "no lesion measured on both scans",
        "TUMOUR": "no tumour sample",
        "PLASMA": "no plasma sample",
        "OUTCOME": "no follow-up",
    }
    rows = [
        {"USUBJID": subject, **{name: of.get(subject, lacking.get(name)) for name, of in lines.items()}}
        for subject in chosen.index
    ]
    return pd.DataFrame(rows)[columns]


def _find_study(tables: list[pd.DataFrame | None]) -> str:
    known = [table["STUDYID"].iloc[0] for table in tables if table is not None]
    return str(known[0]) if known else "unknown"


def _write_clinical(adsl: pd.DataFrame | None, rules) -> Mapping[str, str]:
    if adsl is None:
        return {}
    own = adsl.drop_duplicates("USUBJID").set_index("USUBJID")
    names = {column: name for column, name in rules.profile_covariates.items() if column in own}
    rounded = {column: own[column].map(_round) for column in _YEARS if column in names}
    words = {
        name: write_levels(rounded.get(column, own[column])).replace(_YES_NO)
        for column, name in names.items()
    }
    written = {}
    for subject in own.index:
        known = [f"{name} {of[subject]}" for name, of in words.items() if pd.notna(of[subject])]
        if known:
            written[subject] = ", ".join(known)
    return written


def _round(value: object) -> object:
    return round(value) if isinstance(value, float) and pd.notna(value) else value


def _write_pet(adpet: pd.DataFrame | None, chosen: pd.DataFrame, early: str, rules) -> Mapping[str, str]:
    if adpet is None:
        return {}
    at_base = adpet[adpet["AVISIT"].eq(rules.baseline_visit)]
    lesions = select_lesions(at_base, rules.progression_metric).dropna(subset=["AVAL"])
    total = at_base[at_base["ROLE"].eq("TOTAL") & at_base["METRIC"].isin(rules.burden_metrics)]
    written = {}
    for subject in chosen.index.intersection(at_base["USUBJID"].unique()):
        own = lesions.loc[lesions["USUBJID"].eq(subject), "AVAL"]
        count = f"{len(own)} lesion" + ("" if len(own) == 1 else "s")
        parts = [count] + ([f"{rules.progression_metric} up to {own.max():.1f}"] if len(own) else [])
        burden = total[total["USUBJID"].eq(subject) & total["AVAL"].notna()]
        parts += [f"{row.METRIC} {row.AVAL:.3g} {row.UNIT}" for row in burden.itertuples()]
        change = chosen.loc[subject, "PCTCHANGE"]
        parts += [f"change at {early} {change:+.0f} %"] if pd.notna(change) else []
        written[subject] = ", ".join(parts)
    return written


def _write_resistant(adpet, early: str, cut: float, rules, response) -> Mapping[str, str]:
    table = tabulate_early_resistance(adpet, early=early, cut=cut, rules=rules, response=response)
    known = table[table["EARLYRES"].notna()]
    known = known.assign(RESISTANT=known["EARLYRES"].eq("Y"), ORGAN=known["ORGAN"].fillna("organ not named"))
    written = {}
    for subject, own in known.groupby("USUBJID"):
        organs = own.groupby("ORGAN", sort=True)["RESISTANT"].agg(["sum", "size"])
        where = ", ".join(
            f"{organ} {row['sum']:g} of {row['size']:g}" for organ, row in organs.iterrows() if row["sum"]
        )
        count = f"{int(own['RESISTANT'].sum())} of {len(own)} lesion" + ("" if len(own) == 1 else "s")
        written[subject] = f"{count}: {where}" if where else count
    return written


def _write_tumour(adbm: pd.DataFrame | None, rules) -> Mapping[str, str]:
    if adbm is None:
        return {}
    rows = pd.concat([preferred_rows(adbm, partype, rules=rules) for partype in ("MUT", "CNA")])
    written = {}
    for subject, own in rows.groupby("USUBJID"):
        found = [
            f"{', '.join(sorted(own.loc[own['AVALC'].eq(kind), 'PARAMCD'].unique()))} {kind.lower()}"
            for kind in _ALTERED
            if own["AVALC"].eq(kind).any()
        ]
        kinds = " and ".join(sorted(own["SAMPTYPE"].str.lower().unique()))
        written[subject] = f"{kinds}: {'; '.join(found) or 'no alteration found'}"
    return written


def _write_plasma(adbm: pd.DataFrame | None, rules) -> Mapping[str, str]:
    if adbm is None:
        return {}
    parts: dict[str, list[str]] = {}
    for visit in rules.ctdna_visits:
        for subject, row in select_visit(adbm, visit).iterrows():
            level = f" (VAF {100 * row['AVAL']:.1f} %)" if _is_level(row) else ""
            parts.setdefault(str(subject), []).append(f"{visit} {row['AVALC'].lower()}{level}")
    return {subject: ", ".join(words) for subject, words in parts.items()}


def _is_level(row: pd.Series) -> bool:
    return row["AVALC"] == DETECTED and pd.notna(row["AVAL"])


def _write_outcomes(chosen: pd.DataFrame, days_per_month: float) -> Mapping[str, str]:
    endpoints = [name.removesuffix("_TIME") for name in chosen.columns if name.endswith("_TIME")]
    written = {}
    for subject, row in chosen.iterrows():
        parts = [
            f"{name} {row[f'{name}_TIME'] / days_per_month:.1f} months, "
            f"{'event' if row[f'{name}_EVENT'] else 'censored'}"
            for name in endpoints
            if pd.notna(row[f"{name}_TIME"])
        ]
        if parts:
            written[subject] = "; ".join(parts)
    return written
