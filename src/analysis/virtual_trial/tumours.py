"""TU, TR and RS of the virtual trial: diameters that obey RECIST 1.1 at every visit, and what was reported.

Progression is planted first (`outcomes`); the diameters are then drawn so that the sum reaches 120 % of its
nadir and 5 mm above it (Eisenhauer 2009) at the visit of a planted target progression, and at no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.virtual_trial.schedule import has_role

LOCATIONS = {"bone": "BONE", "liver": "LIVER", "lung": "LUNG", "node": "LYMPH NODE"}
CT, PET = "CT SCAN", "PET/CT SCAN"
MARGIN_MM = 1  # sums keep this distance from every limit, so that no simulated visit hangs on a rounding
PD_RATIO, PD_STEP_MM, PR_RATIO = (
    1.2,
    5,
    0.7,
)  # Eisenhauer 2009; written here so that the truth stays independent


def is_progression(total: int, nadir: int, margin: int = 0) -> bool:
    """Say whether a sum of diameters (mm) is progression: 20 % and 5 mm above the nadir, plus `margin` mm."""
    return total >= PD_RATIO * nadir + margin and total >= nadir + PD_STEP_MM + margin


def simulate_diameters(
    base: np.ndarray,
    floor: np.ndarray,
    progresses: list[bool],
    sensitivity: float,
    rng: np.random.Generator,
    rules: Mapping[str, Any],
) -> np.ndarray:
    """Draw the target diameters of one patient at baseline and at each visit.

    Parameters
    ----------
    base : ndarray of int
        Diameters at baseline, mm.
    floor : ndarray of int
        Smallest diameter each lesion may reach, mm.
    progresses : list of bool
        For each visit after baseline, whether the *targets* progress there.
    sensitivity : float
        Latent sensitivity: the larger, the deeper the shrinkage.
    rng : numpy.random.Generator
    rules : mapping
        ``virtual.tumour_course`` of the plan.

    Returns
    -------
    ndarray of int, shape (1 + visits, lesions)
        Row 0 is the baseline.
    """
    shrinks = rules["depth_mean"] - rules["depth_per_sd"] * sensitivity
    depth = np.exp(shrinks + rules["depth_sd"] * rng.standard_normal())
    depth = np.clip(depth, *rules["depth_range"])
    rows = [base]
    for visit, target_pd in enumerate(progresses):
        nadir = min(row.sum() for row in rows)
        reached_share = min(rules["first_visit_share"] + rules["share_per_visit"] * visit, 1.0)
        course = depth**reached_share * rules["regrowth_per_visit"] ** max(visit - 1, 0)
        wobble = np.exp(rules["reading_sd"] * rng.standard_normal(len(base)))
        if target_pd:
            growth = rules["growth"][0] + rules["growth"][1] * rng.random()
            drawn = np.maximum(np.round(rows[-1] * growth * wobble).astype(int), floor)
            reached = partial(is_progression, nadir=nadir, margin=MARGIN_MM)
            rows.append(_move_until(drawn, +1, reached))
        else:
            drawn = np.maximum(np.round(base * course * wobble).astype(int), floor)
            rows.append(_move_until(drawn, -1, partial(_stays, nadir=nadir, baseline=base.sum())))
    return np.array(rows)


def _stays(total: int, nadir: int, baseline: int) -> bool:
    """No progression against `nadir`, and not within the margin of it or of a partial response."""
    safe = not is_progression(total, nadir, -MARGIN_MM)
    return safe and abs(total - PR_RATIO * baseline) >= MARGIN_MM / 2


def _move_until(diameters: np.ndarray, step: int, reached) -> np.ndarray:
    """Grow or shrink the largest lesion by 1 mm until the sum is where it should be."""
    moved = diameters.copy()
    while not reached(moved.sum()):
        moved[np.argmax(moved)] += step
    return moved


def simulate_readings(trial, rng: np.random.Generator, settings) -> pd.DataFrame:
    """Read every RECIST lesion at every assessment.

    Returns
    -------
    DataFrame
        One row a lesion and assessment: ROW USUBJID VISITNUM VISIT DAY (since first dose) TULNKID LESTYPE
        ORGAN DIAM_MM (targets) STATE (others).
    """
    lesions = trial.lesions[trial.lesions["KIND"] == "baseline"]
    sensitivity = trial.patients["SENSITIVITY"].to_numpy()
    parts = []
    for row, visits in trial.assessments.groupby("ROW"):
        mine = lesions[lesions["ROW"] == row]
        targets = mine[mine["LESTYPE"] == "TARGET"]
        parts.append(_target_rows(targets, visits, sensitivity[row], rng, settings.tumour_course))
        parts.append(_non_target_rows(mine[mine["LESTYPE"] == "NON-TARGET"], visits))
        parts.append(_new_rows(trial, row, visits, rng))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _target_rows(targets: pd.DataFrame, visits: pd.DataFrame, sensitivity: float, rng, rules) -> pd.DataFrame:
    if targets.empty:
        return pd.DataFrame()
    node = (targets["ORGAN"] == "node").to_numpy()
    on_ct = rng.uniform(*rules["ct_over_metabolic"], len(targets))
    measured = np.round(targets["DIAMETER_MM"].to_numpy() * on_ct).astype(int)
    smallest = {name: np.where(node, *rules[name]) for name in ("baseline_least_mm", "least_mm")}
    base = np.maximum(measured, smallest["baseline_least_mm"])
    progresses = (visits["MODE"] == "target").tolist()[1:]
    diameters = simulate_diameters(base, smallest["least_mm"], progresses, sensitivity, rng, rules)
    table = _grid(targets, visits)
    # An assessment may stretch over two days: organs after the first are examined on the second.
    late = np.tile((targets["ORGAN"] != targets["ORGAN"].iloc[0]).to_numpy(), len(visits))
    return table.assign(DIAM_MM=diameters.ravel(), DAY=table["DAY"] + table["SPREAD"] * late)


def _grid(lesions: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    columns = ["ROW", "USUBJID", "VISITNUM", "VISIT", "DAY", "SPREAD", "MODE"]
    return visits[columns].merge(lesions[["TULNKID", "LESTYPE", "ORGAN"]], how="cross")


def _non_target_rows(others: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    if others.empty:
        return pd.DataFrame()
    table = _grid(others, visits)
    worse = (table["MODE"] == "nontarget") & (table["TULNKID"] == "NT01")
    return table.assign(STATE=np.where(worse, "UNEQUIVOCAL PROGRESSION", "PRESENT"))


def _new_rows(trial, row: int, visits: pd.DataFrame, rng) -> pd.DataFrame:
    at = visits[visits["MODE"] == "new"]
    if at.empty:
        return pd.DataFrame()
    seen = trial.lesions[(trial.lesions["ROW"] == row) & (trial.lesions["KIND"] == "new")]
    organ = seen["ORGAN"].iloc[0] if len(seen) else rng.choice(["bone", "liver", "node"])
    new = pd.DataFrame({"TULNKID": ["NEW01"], "LESTYPE": ["NEW"], "ORGAN": [organ]})
    return _grid(new, at).assign(STATE="PRESENT")


def derive_reported(readings: pd.DataFrame) -> pd.DataFrame:
    """Derive what the investigator reports at each visit after baseline: TRGRESP, NTRGRESP, OVRLRESP.

    Returns
    -------
    DataFrame
        ROW USUBJID VISITNUM VISIT DAY (last examination) TRGRESP NTRGRESP OVRLRESP; None where a patient has
        no such lesions.
    """
    key = ["ROW", "USUBJID", "VISITNUM", "VISIT"]
    kind = readings["LESTYPE"]
    sums = readings[kind == "TARGET"].groupby([*key], sort=False)["DIAM_MM"].sum().reset_index()
    sums = sums.assign(TRGRESP=_target_responses(sums))
    other = readings[kind == "NON-TARGET"].assign(WORSE=lambda frame: frame["STATE"] != "PRESENT")
    other = other.groupby(key, sort=False)["WORSE"].any().map({True: "PD", False: "NON-CR/NON-PD"})
    table = readings.groupby(key, sort=False)["DAY"].max().reset_index()
    table = table.merge(sums[[*key, "TRGRESP"]], on=key, how="left", validate="one_to_one")
    table = table.merge(other.rename("NTRGRESP").reset_index(), on=key, how="left", validate="one_to_one")
    new = table["ROW"].astype(str) + table["VISIT"]
    new = new.isin((readings["ROW"].astype(str) + readings["VISIT"])[kind == "NEW"])
    worse = new | (table["TRGRESP"] == "PD") | (table["NTRGRESP"] == "PD")
    calm = table["TRGRESP"].where(table["TRGRESP"].notna(), table["NTRGRESP"])
    table["OVRLRESP"] = calm.where(~worse, "PD")
    return table[table["VISITNUM"] > 0].sort_values(["ROW", "DAY"], ignore_index=True)


def _target_responses(sums: pd.DataFrame) -> list[str]:
    """Rows are in the order of visits within a patient; the first is the baseline."""
    responses, nadir, baseline = [], 0, 0
    for visit, total in zip(sums["VISITNUM"], sums["DIAM_MM"].astype(int)):
        if visit == 0:
            nadir = baseline = total
            responses.append(None)
            continue
        partial = total <= PR_RATIO * baseline
        responses.append("PD" if is_progression(total, nadir) else "PR" if partial else "SD")
        nadir = min(nadir, total)
    return responses


def build_tumour_domains(trial, rng: np.random.Generator, settings) -> dict[str, pd.DataFrame]:
    """Build TU, TR and RS; dates are still days since first dose (column DAY)."""
    readings = simulate_readings(trial, rng, settings)
    first = readings["VISITNUM"] == 0
    return {
        "tu": _identifications(trial, readings[first | (readings["LESTYPE"] == "NEW")]),
        "tr": _results(readings),
        "rs": _reported_rows(trial, derive_reported(readings)),
    }


def _identifications(trial, readings: pd.DataFrame) -> pd.DataFrame:
    table = pd.concat([readings.assign(TUMETHOD=CT), _seen_on_pet(trial)], ignore_index=True)
    table = table.sort_values(["ROW", "DAY", "TULNKID"], ignore_index=True)
    return pd.DataFrame(
        {
            "USUBJID": table["USUBJID"],
            "TULNKID": table["TULNKID"],
            "TUTESTCD": "TUMIDENT",
            "TUTEST": "Tumor Identification",
            "TUORRES": table["LESTYPE"],
            "TUSTRESC": table["LESTYPE"],
            "TULOC": table["ORGAN"].map(LOCATIONS),
            "TUMETHOD": table["TUMETHOD"],
            "TUEVAL": "INVESTIGATOR",
            "VISITNUM": table["VISITNUM"],
            "VISIT": table["VISIT"],
            "DAY": table["DAY"],
        }
    )


def _seen_on_pet(trial) -> pd.DataFrame:
    """List the new lesions first seen on the early PET, where that scan was made; CT confirms them later."""
    new = trial.lesions[trial.lesions["KIND"] == "new"]
    scans = trial.scans.rename(columns={"AVISIT": "NEWVIS"})[["ROW", "NEWVIS", "DAY"]]
    seen = new.merge(scans, on=["ROW", "NEWVIS"], validate="one_to_one")
    number = seen["NEWVIS"].map({"D14": 2.0, "D28": 3.0})
    name = seen["NEWVIS"].map({"D14": "DAY 14", "D28": "DAY 28"})
    return seen.assign(VISITNUM=number, VISIT=name, TUMETHOD=PET)


def _results(readings: pd.DataFrame) -> pd.DataFrame:
    table = readings.sort_values(["ROW", "DAY", "VISITNUM", "TULNKID"], ignore_index=True)
    target = (table["LESTYPE"] == "TARGET").to_numpy()
    node = (table["ORGAN"] == "node").to_numpy()
    size = table["DIAM_MM"].where(target).map(lambda mm: f"{mm:.0f}", na_action="ignore")
    value = size.where(target, table["STATE"])
    code = np.where(target, np.where(node, "SAXIS", "LDIAM"), "TUMSTATE")
    name = {"SAXIS": "Short Axis", "LDIAM": "Longest Diameter", "TUMSTATE": "Tumor State"}
    return pd.DataFrame(
        {
            "USUBJID": table["USUBJID"],
            "TRGRPID": table["LESTYPE"],
            "TRLNKID": table["TULNKID"],
            "TRTESTCD": code,
            "TRTEST": pd.Series(code).map(name),
            "TRORRES": value,
            "TRORRESU": np.where(target, "mm", None),
            "TRSTRESC": value,
            "TRSTRESN": size,
            "TRSTRESU": np.where(target, "mm", None),
            "TRMETHOD": CT,
            "TREVAL": "INVESTIGATOR",
            "VISITNUM": table["VISITNUM"],
            "VISIT": table["VISIT"],
            "DAY": table["DAY"],
        }
    )


def _reported_rows(trial, reported: pd.DataFrame) -> pd.DataFrame:
    reported = reported.assign(OVRLRESP=_with_disagreement(trial, reported))
    tests = {"TRGRESP": "Target Response", "NTRGRESP": "Non-target Response", "OVRLRESP": "Overall Response"}
    long = reported.melt(["ROW", "USUBJID", "VISITNUM", "VISIT", "DAY"], list(tests), "RSTESTCD", "RSORRES")
    long = long.dropna(subset="RSORRES").sort_values(["ROW", "DAY"], kind="stable", ignore_index=True)
    return pd.DataFrame(
        {
            "USUBJID": long["USUBJID"],
            "RSTESTCD": long["RSTESTCD"],
            "RSTEST": long["RSTESTCD"].map(tests),
            "RSCAT": "RECIST 1.1",
            "RSORRES": long["RSORRES"],
            "RSSTRESC": long["RSORRES"],
            "RSEVAL": "INVESTIGATOR",
            "VISITNUM": long["VISITNUM"],
            "VISIT": long["VISIT"],
            "DAY": long["DAY"],
        }
    )


def _with_disagreement(trial, reported: pd.DataFrame) -> pd.Series:
    """One patient's first response is reported otherwise than her lesions say."""
    hers = has_role(reported, trial.roles, "reported_disagrees")
    first = hers & ~reported["ROW"].duplicated().to_numpy()
    swapped = reported["OVRLRESP"].map({"SD": "PR", "PR": "SD", "NON-CR/NON-PD": "CR"})
    return reported["OVRLRESP"].where(~first | swapped.isna(), swapped)
