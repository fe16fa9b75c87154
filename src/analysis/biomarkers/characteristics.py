"""What is known of a patient before or at the early scan: clinically, on PET, in tumour and in plasma.

A layer that a study lacks gives no characteristic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.biomarkers.lesion_progression import classify_resistance, select_lesions
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED, select_visit

CLINICAL, PET, TUMOUR, PLASMA = "CLINICAL", "PET", "TUMOUR", "PLASMA"
_YES_NO = {"Y": 1.0, "N": 0.0}
_COPIES = {"AMP": "amplified", "DEL": "deleted"}


class Characteristic(NamedTuple):
    """One characteristic of the patients.

    Attributes
    ----------
    section : str
        CLINICAL, PET, TUMOUR or PLASMA.
    code, name : str
        MARKER of its row of estimates; what the reader sees.
    kind : {"number", "present", "levels"}
        A number; 1 or 0; a class of several levels.
    values : Series
        Index USUBJID, missing where not known.
    partype : str
        PARTYPE of its row.
    level : str
        What 1 means, for ``present``.
    samptype, avisit, note : str, optional
        Further columns of its row.
    describes : bool
        The response is defined by it: an effect is given, and no p-value.
    """

    section: str
    code: str
    name: str
    kind: str
    values: pd.Series
    partype: str
    level: str = "yes"
    samptype: str | None = None
    avisit: str | None = None
    note: str | None = None
    describes: bool = False


def list_clinical(adsl: pd.DataFrame | None, rules) -> list[Characteristic]:
    """List the plan's clinical characteristics that `adsl` has and that somebody has a value of."""
    if adsl is None or adsl.empty:
        return []
    own, found = adsl.set_index("USUBJID"), []
    for column, name in rules.profile_covariates.items():
        if column in own and own[column].notna().any():
            found.append(_clinical(column, name, own[column], column in rules.profile_numbers))
    return found


def _clinical(column: str, name: str, values: pd.Series, is_number: bool) -> Characteristic:
    start = (CLINICAL, column, name)
    if is_number:
        return Characteristic(*start, "number", values.astype(float), "CLIN")
    words = write_levels(values)
    levels = sorted(words.dropna().unique())
    if set(levels) <= set(_YES_NO):
        return Characteristic(*start, "present", words.map(_YES_NO).astype(float), "CLIN")
    if len(levels) == 2:
        present = words.map({levels[0]: 0.0, levels[1]: 1.0}).astype(float)
        note = f"{levels[1]} against {levels[0]}"
        return Characteristic(*start, "present", present, "CLIN", level=levels[1], note=note)
    return Characteristic(*start, "levels", words, "CLIN")


def write_levels(values: pd.Series) -> pd.Series:
    """Write levels as text; a whole number has no decimals, what is missing stays missing."""
    return values.map(
        lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_action="ignore"
    )


def list_pet(
    adpet: pd.DataFrame | None, *, early: str, cut: float, rules, response=None
) -> list[Characteristic]:
    """List baseline burden, hottest lesion, number and organs of lesions, and the early resistant share."""
    if adpet is None or adpet.empty:
        return []
    base = rules.baseline_visit
    at_base = adpet[adpet["AVISIT"].eq(base)]
    scanned = pd.Index(at_base["USUBJID"].unique(), name="USUBJID").sort_values()
    if scanned.empty:
        return []
    metric = rules.progression_metric
    lesions = select_lesions(at_base, metric).dropna(subset=["AVAL"])
    numbers = [(metric, f"{metric} of the hottest lesion", lesions.groupby("USUBJID")["AVAL"].max())]
    for name in rules.burden_metrics:
        total = at_base[at_base["ROLE"].eq("TOTAL") & at_base["METRIC"].eq(name)]
        numbers.append((name, f"{name} of the whole patient", total.set_index("USUBJID")["AVAL"]))
    count = lesions.groupby("USUBJID").size().reindex(scanned, fill_value=0).astype(float)
    numbers.append(("NLESION", "Lesions", count))
    found = [
        Characteristic(PET, code, name, "number", values.astype(float), "PET", avisit=base)
        for code, name, values in numbers
        if values.notna().any()
    ]
    found += [
        Characteristic(PET, f"ORGAN {organ}", f"Lesion in {organ}", "present", values, "PET", avisit=base)
        for organ, values in _list_organs(lesions, scanned)
    ]
    return found + _list_resistance(adpet, early=early, cut=cut, rules=rules, response=response)


def _list_organs(lesions: pd.DataFrame, scanned: pd.Index) -> list[tuple[str, pd.Series]]:
    unnamed = lesions.loc[lesions["ORGAN"].isna(), "USUBJID"]
    found = []
    for organ, rows in lesions.groupby("ORGAN", sort=True):
        has = pd.Series(scanned.isin(rows["USUBJID"]).astype(float), index=scanned)
        # A lesion of unnamed organ may lie in this one.
        found.append((str(organ), has.mask((has == 0) & scanned.isin(unnamed))))
    return found


def _list_resistance(adpet, *, early: str, cut: float, rules, response) -> list[Characteristic]:
    table = tabulate_early_resistance(adpet, early=early, cut=cut, rules=rules, response=response)
    known = table[table["EARLYRES"].notna()]
    if known.empty:
        return []
    share = known["EARLYRES"].eq("Y").groupby(known["USUBJID"]).mean()
    name = f"Share of lesions resistant at {early}"
    note = "describes: the response is defined by the same changes, so that there is no p"
    return [
        Characteristic(
            PET, "RESISTANT SHARE", name, "number", share, "PET", avisit=early, note=note, describes=True
        )
    ]


def tabulate_early_resistance(
    adpet: pd.DataFrame, *, early: str, cut: float, rules, response=None
) -> pd.DataFrame:
    """Tabulate USUBJID LESIONID ORGAN EARLYPCHG EARLYRES of each lesion at baseline.

    EARLYRES is missing for a lesion not measured at the early scan, or not FDG-evaluable at baseline.
    """
    lesions = select_lesions(adpet, rules.progression_metric)
    key = ["USUBJID", "LESIONID"]
    base = lesions[lesions["AVISIT"].eq(rules.baseline_visit) & (lesions["AVAL"] > 0)].set_index(key)
    later = lesions[lesions["AVISIT"].eq(early)].set_index(key)["AVAL"].reindex(base.index)
    change = 100 * (later.astype(float) / base["AVAL"].astype(float) - 1)
    resistant = classify_resistance(change.where(base["EVALFL"].ne("N")), cut, response=response)
    return base[["ORGAN"]].assign(EARLYPCHG=change, EARLYRES=resistant).sort_index().reset_index()


def list_tumour(markers: pd.DataFrame | None, rules) -> list[Characteristic]:
    """List the candidate genes and the plan's pathways among `markers` that were assessed in somebody.

    A change of copy number that nobody has is left out: each gene has two, and most never occur.
    """
    if markers is None:
        return []
    found = []
    for code in markers.columns[markers.notna().any()]:
        gene, _, copies = str(code).partition("_")
        if code in rules.pathways:
            words, partype = f"{code} pathway altered", "PATH"
        elif copies and not markers[code].eq(1).any():
            continue
        elif gene in rules.candidate_genes and copies in ("", *_COPIES):
            words, partype = f"{gene} {_COPIES.get(copies, 'mutated')}", "CNA" if copies else "MUT"
        else:
            continue
        samples = ">".join(rules.sample_preference)
        values = markers[code].astype(float)
        found.append(Characteristic(TUMOUR, str(code), words, "present", values, partype, samptype=samples))
    return found


def list_plasma(adbm: pd.DataFrame | None, rules, *, early: str) -> list[Characteristic]:
    """List ctDNA detected at each visit up to the early one, and the tumour fraction at baseline.

    Not detected is a fraction of 0. Of an early visit that is none of ``ctdna_visits`` nobody knows which of
    them come before it: baseline alone is listed.
    """
    if adbm is None or adbm.empty:
        return []
    found = []
    visits = list(rules.ctdna_visits)
    until = visits[: visits.index(early) + 1] if early in visits else [rules.baseline_visit]
    for visit in until:
        result = select_visit(adbm, visit)["AVALC"].map({DETECTED: 1.0, NOT_DETECTED: 0.0}).astype(float)
        if result.notna().any():
            name = f"ctDNA detected at {visit}"
            found.append(
                Characteristic(
                    PLASMA, "CTDNA", name, "present", result, "CTDNA", samptype="PLASMA", avisit=visit
                )
            )
    fraction = _tumour_fraction(adbm, rules.baseline_visit)
    if fraction.notna().any():
        name = f"Tumour fraction at {rules.baseline_visit}"
        place = {"samptype": "PLASMA", "avisit": rules.baseline_visit, "note": "not detected counts as 0"}
        found.append(Characteristic(PLASMA, "TUMFRAC", name, "number", fraction, "CTDNA", **place))
    return found


def _tumour_fraction(adbm: pd.DataFrame, visit: str) -> pd.Series:
    result = select_visit(adbm, visit)["AVALC"]
    value = select_visit(adbm, visit, param="TUMFRAC")["AVAL"].reindex(result.index).astype(float)
    if value.notna().sum() == 0:
        return value
    return value.where(result.eq(DETECTED), np.where(result.eq(NOT_DETECTED), 0.0, np.nan))
