"""Calendar of the virtual trial: registrations, sites, RECIST visits, and the planted untidiness (roles).

A *role* is one thing that goes wrong, or is unusual, in one patient: a missing scan, a withdrawal, a partial
date. A patient carries one at most; in a trial too small for that, a second one that changes only what is
written of her (`WRITTEN_ONLY`). Who carries which is written into the truth folder.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

WRITTEN_ONLY = ("dose_in_mbq", "ae_month_only", "pause")


def site_counts(n: int, weights: list[int]) -> np.ndarray:
    """Share `n` patients among sites in proportion to `weights`, at least one a site if there are enough."""
    ideal = n * np.array(weights) / sum(weights)
    least = 1 if n >= len(weights) else 0
    counts = np.maximum(np.floor(ideal).astype(int), least)
    while counts.sum() != n:
        step = 1 if counts.sum() < n else -1
        movable = (step > 0) | (counts > least)
        counts[np.argmax(np.where(movable, step * (ideal - counts), -np.inf))] += step
    return counts


def registration_days(settings, uniform: np.ndarray) -> np.ndarray:
    """Compute the days of registration, since the first one, from uniform draws along the last axis.

    The k-th patient to be registered comes at ``accrual_months * u_(k) ** accrual_power``, u_(k) the k-th
    smallest draw, on a whole day; the first at day 0.

    Parameters
    ----------
    settings : plan section
        Section ``virtual``.
    uniform : ndarray, shape (..., patients)
        Draws between 0 and 1, one a patient.

    Returns
    -------
    ndarray of int, same shape
        Days, never falling along the last axis.
    """
    spread = np.sort(uniform, axis=-1) ** settings.accrual_power
    spread = spread * settings.accrual_months * settings.days_per_month
    spread[..., 0] = 0
    return np.floor(spread).astype(int)


def data_cutoff(settings, design) -> pd.Timestamp:
    """Return the data cut-off: whole months, by the calendar, after the first registration."""
    return pd.Timestamp(settings.first_registration) + pd.DateOffset(months=int(design.cutoff_months))


def add_calendar(settings, design, patients: pd.DataFrame, lesions: pd.DataFrame, rng) -> pd.DataFrame:
    """Add identifiers, site, covariates and dates of the treated patients, in order of registration."""
    n = len(patients)
    first = pd.Timestamp(settings.first_registration)
    registered = first + pd.to_timedelta(registration_days(settings, rng.random(n)), unit="D")
    treated = registered + pd.to_timedelta(rng.integers(*settings.screening_days, n, endpoint=True), unit="D")
    cutoff = data_cutoff(settings, design)
    extracted = cutoff + pd.Timedelta(days=settings.extraction_days_after_cutoff)
    total = n + settings.n_screen_failures
    number = np.concatenate([[1], np.sort(rng.choice(np.arange(2, total + 1), n - 1, replace=False))])
    site = rng.permutation(
        np.repeat(np.arange(len(settings.site_weights)), site_counts(n, settings.site_weights))
    )
    calendar = pd.DataFrame(
        {
            "ROW": np.arange(n),
            "NUMBER": number,
            "SITE": site,
            "SITEID": np.array(settings.site_ids)[site],
            "PILOTFL": np.where(np.arange(n) < design.pilot_n, "Y", "N"),
            "ICDT": registered,
            "TRTSDT": treated,
            "CUT_DAY": (cutoff - treated).days,
            "EXTRACT_DAY": (extracted - treated).days,
            "NACT_DAY": np.nan,
        }
    )
    covariates = _covariates(settings.covariates, lesions, n, rng)
    return pd.concat([name_subjects(calendar), covariates, patients], axis=1)


def name_subjects(frame: pd.DataFrame) -> pd.DataFrame:
    """Put SUBJID and USUBJID (``PEARL-<site>-<number>``) in front."""
    subject = frame["NUMBER"].map("{:03d}".format)
    named = frame.assign(SUBJID=subject, USUBJID="PEARL-" + frame["SITEID"] + "-" + subject)
    return named[["USUBJID", "SUBJID", *frame.columns]]


def _covariates(rules, lesions: pd.DataFrame, n: int, rng) -> pd.DataFrame:
    organ, row = lesions["ORGAN"].to_numpy(), lesions["ROW"].to_numpy()
    yes_no = lambda mask: np.where(mask, "Y", "N")
    return pd.DataFrame(
        {
            "AGE": _draw_ages(rules, n, rng),
            "SEX": "F",
            "WEIGHT_KG": _draw_clipped(rules["weight_kg"], n, rng).round(1),
            "HEIGHT_M": _draw_clipped(rules["height_m"], n, rng).round(2),
            "ECOG": rng.choice(3, n, p=rules["ecog_share"]),
            "PRIORCHM": yes_no(rng.random(n) < rules["prior_chemotherapy_share"]),
            "ENDOSENS": yes_no(rng.random(n) < rules["endocrine_sensitive_share"]),
            "BONEONLY": yes_no(~any_in_row(row, organ != "bone", n)),
            "VISCFL": yes_no(any_in_row(row, (organ == "liver") | (organ == "lung"), n)),
        }
    )


def _draw_ages(rules, n: int, rng) -> np.ndarray:
    rule = rules["age_years"]
    return np.clip(rng.normal(rule["mean"], rule["sd"], n).round(), *rule["range"]).astype(int)


def _draw_clipped(rule, n: int, rng) -> np.ndarray:
    return np.clip(rng.normal(rule["mean"], rule["sd"], n), *rule["range"])


def any_in_row(row: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """Say for each of `n` patients whether `mask` holds for any of her lesions."""
    return np.bincount(row, mask, n) > 0


def list_screen_failures(settings, patients: pd.DataFrame, rng) -> pd.DataFrame:
    """List the registered, never treated: the numbers left free, with a registration date in their order."""
    free = np.setdiff1d(np.arange(1, len(patients) + settings.n_screen_failures + 1), patients["NUMBER"])
    before = np.searchsorted(patients["NUMBER"], free) - 1
    failures = pd.DataFrame(
        {
            "NUMBER": free,
            "SITEID": patients["SITEID"].to_numpy()[before],
            "ICDT": patients["ICDT"].to_numpy()[before] + np.timedelta64(1, "D"),
            "AGE": _draw_ages(settings.covariates, len(free), rng),
            "SEX": "F",
        }
    )
    return name_subjects(failures)


def assign_roles(settings, patients: pd.DataFrame, rng) -> pd.DataFrame:
    """Draw who carries which untidiness; a role nobody qualifies for stays out.

    Where everyone who qualifies carries another role already, one that changes only what is written
    (`WRITTEN_ONLY`) goes to one of them all the same.

    Returns
    -------
    DataFrame
        ROLE, ROW, USUBJID.
    """
    used = np.zeros(len(patients), dtype=bool)
    rows = []
    for role, eligible in _eligibility(settings.role_rules, patients).items():
        qualified = [row for row in rng.permutation(len(patients)) if eligible[row]]
        free = [row for row in qualified if not used[row]]
        if not free and role in WRITTEN_ONLY:
            free = qualified
        chosen = free[: settings.role_rules["carriers"].get(role, 1)]
        used[chosen] = True
        rows += [(role, row) for row in chosen]
    roles = pd.DataFrame(rows, columns=["ROLE", "ROW"])
    return roles.assign(USUBJID=patients["USUBJID"].to_numpy()[roles["ROW"]])


def _eligibility(rules, patients: pd.DataFrame) -> dict[str, np.ndarray]:
    """List the roles, rarest qualification first, with who may carry each."""
    pilot = (patients["PILOTFL"] == "Y").to_numpy()
    horizon = patients[["EXTRACT_DAY", "LOST_DAY"]].min(axis=1)
    progressed = (patients["PD_DAY"] <= horizon).to_numpy()
    stays = patients[["PD_DAY", "DEATH_DAY", "EXTRACT_DAY", "LOST_DAY"]].min(axis=1).to_numpy()
    stays = stays > rules["stays_days"]
    early = progressed & (patients["PD_DAY"] <= rules["early_days"]).to_numpy()
    died = (patients["DEATH_DAY"] <= horizon).to_numpy()
    anyone = np.ones(len(patients), dtype=bool)
    return {
        "new_lesion": early if not (early & pilot).any() else early & pilot,
        "death_month_only": died,
        "new_therapy": progressed & (patients["PD_DAY"] > rules["late_days"]).to_numpy(),
        "missing_d14": pilot,
        "pneumonitis": pilot & stays,
        "no_weight": anyone if pilot.all() else ~pilot,
        "not_evaluable": anyone,
        "withdrawn": anyone,
        "reported_disagrees": stays & progressed,
        "unscheduled": stays,
        "split_assessment": stays,
        "dose_in_mbq": anyone,
        "ae_month_only": anyone,
        "pause": anyone,
    }


def has_role(frame: pd.DataFrame, roles: pd.DataFrame, role: str) -> np.ndarray:
    """Mark the rows of `frame` (by ROW) whose patient carries `role`."""
    carriers = roles["ROW"].to_numpy()[roles["ROLE"].to_numpy() == role]
    return np.isin(frame["ROW"].to_numpy(), carriers)


def apply_roles(settings, patients: pd.DataFrame, roles: pd.DataFrame, rng) -> pd.DataFrame:
    """Let the roles that touch outcomes act: an early withdrawal, a new therapy before progression."""
    withdrawn, switched = has_role(patients, roles, "withdrawn"), has_role(patients, roles, "new_therapy")
    rules, n = settings.role_rules, len(patients)
    leaves = rng.integers(*rules["withdrawn_days"], n, endpoint=True)
    before = rng.integers(*rules["switch_days"], n, endpoint=True)
    lost = np.where(withdrawn, leaves, patients["LOST_DAY"])
    early_switch = np.where(switched, patients["PD_DAY"] - before, np.nan)
    return patients.assign(LOST_DAY=lost, NACT_DAY=early_switch)


def list_assessments(settings, patients, lesions, visits, roles, rng) -> pd.DataFrame:
    """List the RECIST assessments of each patient, baseline to progression, loss or data extraction.

    Returns
    -------
    DataFrame
        ROW USUBJID VISITNUM VISIT DAY (since first dose) RESULT (BASELINE, NONPD, PD) MODE (target,
        nontarget, new; how progression shows) and SPREAD (days between first and last examination of the
        assessment).
    """
    n = len(visits)
    horizon = patients[["LOST_DAY", "EXTRACT_DAY"]].min(axis=1).to_numpy()
    death = patients["DEATH_DAY"].fillna(np.inf).to_numpy()
    progression = patients["PD_DAY"].fillna(np.inf).to_numpy()
    done = (visits <= np.minimum(horizon, progression)[:, None]) & (visits < death[:, None])
    row, k = np.nonzero(done)
    scheduled = pd.DataFrame({"ROW": row, "VISITNUM": 10.0 * (k + 1), "DAY": visits[row, k]})
    scheduled["VISIT"] = [f"WEEK {settings.visit_interval_days // 7 * (i + 1)}" for i in k]
    baseline = pd.DataFrame({"ROW": np.arange(n), "VISITNUM": 0.0, "VISIT": "SCREENING"})
    baseline["DAY"] = -rng.integers(*settings.baseline_ct_days, n, endpoint=True)
    extra = pd.DataFrame({"ROW": np.flatnonzero(has_role(patients, roles, "unscheduled")), "VISITNUM": 10.1})
    extra = extra.assign(
        VISIT="UNSCHEDULED 10.1", DAY=visits[extra["ROW"], 0] + settings.role_rules["unscheduled_days"]
    )
    table = pd.concat([baseline, scheduled, extra], ignore_index=True).sort_values(
        ["ROW", "DAY"], ignore_index=True
    )
    is_pd = table["DAY"].to_numpy() == progression[table["ROW"]]
    table["RESULT"] = np.where(table["VISITNUM"] == 0, "BASELINE", np.where(is_pd, "PD", "NONPD"))
    mode = _progression_modes(settings, patients, lesions, roles, rng)
    table["MODE"] = np.where(is_pd, mode[table["ROW"]], None)
    # Two days at every visit but the last: at progression the date would depend on which organ came first.
    table["SPREAD"] = np.where(has_role(table, roles, "split_assessment") & ~is_pd, 1, 0)
    return table.assign(USUBJID=patients["USUBJID"].to_numpy()[table["ROW"]])


def _progression_modes(settings, patients, lesions, roles, rng) -> np.ndarray:
    """Draw how each patient's progression will show, among the ways her lesions allow."""
    kind, row = lesions["LESTYPE"].to_numpy(), lesions["ROW"].to_numpy()
    weight = np.tile(np.array(settings.progression_mode_share, dtype=float), (len(patients), 1))
    weight[~any_in_row(row, kind == "TARGET", len(patients)), 0] = 0
    weight[~any_in_row(row, kind == "NON-TARGET", len(patients)), 1] = 0
    weight[has_role(patients, roles, "new_lesion")] = [0, 0, 1]
    chosen = (
        rng.random((len(patients), 1)) > (weight / weight.sum(axis=1, keepdims=True)).cumsum(axis=1)
    ).sum(axis=1)
    return np.array(["target", "nontarget", "new"], dtype=object)[chosen]
