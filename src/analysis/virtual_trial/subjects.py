"""Subject-level SDTM domains of the virtual trial: DM DS EX AE CM QS SS LB SV and SUPPDM.

Dates stay days since first dose until `tables` writes them, except where a study only knows a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.virtual_trial.schedule import has_role

VISIT_NAMES = {"D0": "SCREENING", "D14": "DAY 14", "D28": "DAY 28", "PROG": "PROGRESSION"}
VISIT_NUMBERS = {"D0": 0.0, "D14": 2.0, "D28": 3.0, "PROG": 90.0}
ADVERSE_EVENTS = (
    "STOMATITIS",
    "FATIGUE",
    "RASH",
    "HYPERGLYCAEMIA",
    "ARTHRALGIA",
    "DIARRHOEA",
    "ANAEMIA",
    "COUGH",
)
_FASTING = (1, 1)  # below the stream of the SDTM tables
SUBSEQUENT = ("CAPECITABINE", "PACLITAXEL", "FULVESTRANT", "VINORELBINE")


def build_subject_domains(trial, rng: np.random.Generator, settings) -> dict[str, pd.DataFrame]:
    """Build the domains that do not measure tumours; column DAY holds days since first dose.

    Returns
    -------
    dict of str to DataFrame
        Domain in lower case; ``--DTC`` columns already filled are text, the others come from DAY and ENDDAY.
    """
    course = treatment_course(trial, rng, settings.off_treatment)
    return {
        "dm": _demographics(trial, course),
        "suppdm": _supplement(trial.patients),
        "ds": _disposition(trial, course),
        "ex": _exposure(trial, course, rng, settings.dosing),
        "ae": _adverse_events(trial, course, rng, settings.adverse_events),
        "cm": _medication(trial, rng, settings.medication),
        "qs": _performance(trial.patients),
        "ss": _survival_status(trial, course, rng, settings.follow_up_calls),
        "lb": _glucose(trial.scans, settings),
        "sv": _visits(trial),
    }


def treatment_course(trial, rng: np.random.Generator, rules: Mapping[str, Any]) -> pd.DataFrame:
    """Derive per patient the last day of treatment and its reason, and what is known of her death.

    Returns
    -------
    DataFrame
        ROW USUBJID END_DAY REASON CONTACT_DAY (last day known alive or dead) DIED DTHDTC.
    """
    patients = trial.patients
    n = len(patients)
    intolerant = rng.random(n) < rules["toxicity_share"]
    toxicity = np.where(intolerant, rng.integers(*rules["toxicity_days"], n, endpoint=True), np.nan)
    ends = pd.DataFrame(
        {
            "PROGRESSIVE DISEASE": patients["PD_DAY"],
            "DEATH": patients["DEATH_DAY"] - 1,
            "WITHDRAWAL BY SUBJECT": patients["LOST_DAY"],
            "ADVERSE EVENT": np.fmin(toxicity, patients["NACT_DAY"] - rules["days_before_new_therapy"]),
            "ONGOING": patients["EXTRACT_DAY"],
        }
    )
    until = patients[["LOST_DAY", "EXTRACT_DAY"]].min(axis=1)
    died = (patients["DEATH_DAY"] <= until).to_numpy()
    unheard = rng.integers(*rules["days_since_contact"], n, endpoint=True)
    contact = np.minimum(patients["LOST_DAY"], patients["EXTRACT_DAY"] - unheard)
    death = patients["TRTSDT"] + pd.to_timedelta(patients["DEATH_DAY"], unit="D")
    text = death.dt.strftime("%Y-%m-%d")
    text = text.where(~has_role(patients, trial.roles, "death_month_only"), text.str[:7])
    return pd.DataFrame(
        {
            "ROW": patients["ROW"],
            "USUBJID": patients["USUBJID"],
            "END_DAY": ends.min(axis=1).astype(int),
            "REASON": ends.columns.to_numpy()[np.nanargmin(ends.to_numpy(), axis=1)],
            "CONTACT_DAY": np.where(died, patients["DEATH_DAY"], contact).astype(int),
            "DIED": died,
            "DTHDTC": text.where(died, None),
        }
    )


def iso(dates: pd.Series) -> pd.Series:
    """Write dates as ISO 8601 text."""
    return dates.dt.strftime("%Y-%m-%d")


def _demographics(trial, course: pd.DataFrame) -> pd.DataFrame:
    patients, failures = trial.patients, trial.screen_failures
    treated = pd.DataFrame(
        {
            "USUBJID": patients["USUBJID"],
            "SUBJID": patients["SUBJID"],
            "RFSTDTC": iso(patients["TRTSDT"]),
            "RFENDTC": iso(patients["TRTSDT"] + pd.to_timedelta(course["END_DAY"], unit="D")),
            "RFICDTC": iso(patients["ICDT"]),
            "DTHDTC": course["DTHDTC"],
            "DTHFL": np.where(course["DIED"], "Y", None),
            "SITEID": patients["SITEID"],
            "AGE": patients["AGE"],
            "AGEU": "YEARS",
            "SEX": patients["SEX"],
            "ARMCD": "EVEEXE",
            "ARM": "EVEROLIMUS + EXEMESTANE",
        }
    )
    failed = failures[["USUBJID", "SUBJID", "SITEID", "AGE", "SEX"]].assign(
        RFICDTC=iso(failures["ICDT"]), AGEU="YEARS", ARMCD="SCRNFAIL", ARM="SCREEN FAILURE"
    )
    everyone = pd.concat([treated, failed.reindex(columns=treated.columns)], ignore_index=True)
    return everyone.sort_values("SUBJID", ignore_index=True)


def _supplement(patients: pd.DataFrame) -> pd.DataFrame:
    labels = {
        "PILOTFL": "Pilot phase",
        "PRIORCHM": "Prior chemotherapy",
        "ENDOSENS": "Sensitive to prior endocrine",
    }
    long = patients.melt(["USUBJID"], list(labels), "QNAM", "QVAL").sort_values(["USUBJID", "QNAM"])
    return long.assign(RDOMAIN="DM", QLABEL=long["QNAM"].map(labels))[
        ["RDOMAIN", "USUBJID", "QNAM", "QLABEL", "QVAL"]
    ]


def _disposition(trial, course: pd.DataFrame) -> pd.DataFrame:
    registered = pd.concat([trial.patients, trial.screen_failures])[["USUBJID", "ICDT"]]
    milestone = {
        "DSCAT": "PROTOCOL MILESTONE",
        "DSSTDTC": iso(registered["ICDT"]),
        "USUBJID": registered["USUBJID"],
    }
    consent = pd.DataFrame({**milestone, "DSDECOD": "INFORMED CONSENT OBTAINED"})
    enrolled = pd.DataFrame({**milestone, "DSDECOD": "ENROLLED"}).head(len(trial.patients))
    failed = pd.DataFrame({**milestone, "DSCAT": "DISPOSITION EVENT", "DSDECOD": "SCREEN FAILURE"})
    stopped = course[course["REASON"] != "ONGOING"]
    stopped = pd.DataFrame(
        {"USUBJID": stopped["USUBJID"], "DSDECOD": stopped["REASON"], "DAY": stopped["END_DAY"]}
    )
    dead = course[course["DIED"]]
    dead = pd.DataFrame({"USUBJID": dead["USUBJID"], "DSDECOD": "DEATH", "DSSTDTC": dead["DTHDTC"]})
    ended = [stopped.assign(DSSCAT="TREATMENT"), dead.assign(DSSCAT="STUDY")]
    parts = [
        consent,
        enrolled,
        failed.tail(len(trial.screen_failures)),
        *(e.assign(DSCAT="DISPOSITION EVENT") for e in ended),
    ]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table["DSTERM"] = table["DSDECOD"]
    table = table.sort_values("USUBJID", kind="stable", ignore_index=True)
    return table[["USUBJID", "DSTERM", "DSDECOD", "DSCAT", "DSSCAT", "DSSTDTC", "DAY"]]


def _exposure(trial, course: pd.DataFrame, rng, rules) -> pd.DataFrame:
    """Build EX: daily tablets; a few pause some days before an early scan, some go on with half the dose."""
    last = course["END_DAY"].to_numpy()
    n = len(course)
    some = rng.random(n) < rules["reduced_share"]
    reduced = np.where(some, rng.integers(*rules["reduced_days"], n, endpoint=True), 10**6)
    full, half = rules["everolimus_mg"]
    early = trial.scans[trial.scans["AVISIT"] == "D14"].set_index("ROW")["DAY"]
    pause = {row: early[row] for row in trial.roles.query("ROLE == 'pause'")["ROW"] if row in early.index}
    rows = []
    for row, end in zip(course["ROW"], last):
        rows.append((row, "EXEMESTANE", rules["exemestane_mg"], 0, end))
        for start, stop in _everolimus_intervals(end, pause.get(row), reduced[row], rules["pause_days"]):
            rows.append((row, "EVEROLIMUS", half if start >= reduced[row] else full, start, stop))
    table = pd.DataFrame(rows, columns=["ROW", "EXTRT", "EXDOSE", "DAY", "ENDDAY"])
    table["USUBJID"] = trial.patients["USUBJID"].to_numpy()[table["ROW"]]
    table = table.assign(EXDOSU="mg", EXDOSFRM="TABLET", EXDOSFRQ="QD", EXROUTE="ORAL")
    return table[["USUBJID", "EXTRT", "EXDOSE", "EXDOSU", "EXDOSFRM", "EXDOSFRQ", "EXROUTE", "DAY", "ENDDAY"]]


def _everolimus_intervals(end: int, scan_day, reduced_from: int, pause_days: int) -> list[tuple[int, int]]:
    intervals = [(0, end)]
    if scan_day is not None:
        intervals = [(0, int(scan_day) - 1 - pause_days), (int(scan_day), end)]
    if 0 < reduced_from <= end:
        start, _ = intervals.pop()
        intervals += [(start, reduced_from - 1), (reduced_from, end)]
    return [(start, stop) for start, stop in intervals if start <= stop]


def _adverse_events(trial, course: pd.DataFrame, rng, rules) -> pd.DataFrame:
    first, within = rules["first_day"], rules["within_days"]
    count = 1 + rng.poisson(rules["further_mean"], len(course))
    row = np.repeat(np.arange(len(course)), count)
    span = np.minimum(course["END_DAY"].to_numpy()[row] - first, within)
    start = first + np.floor(rng.random(len(row)) * span).astype(int)
    table = pd.DataFrame({"ROW": row, "AEDECOD": rng.choice(ADVERSE_EVENTS, len(row)), "DAY": start})
    table["AETOXGR"] = rng.choice(3, len(row), p=rules["grade_share"]) + 1
    table["ENDDAY"] = start + rng.integers(*rules["lasts_days"], len(row), endpoint=True)
    begins, ends = rules["pneumonitis_days"]
    lungs = {"AEDECOD": "PNEUMONITIS", "DAY": begins, "AETOXGR": 2, "ENDDAY": ends}
    inflamed = pd.DataFrame({"ROW": trial.roles.query("ROLE == 'pneumonitis'")["ROW"]})
    table = pd.concat([table, inflamed.assign(**lungs)], ignore_index=True)
    table = table.sort_values(["ROW", "DAY"], kind="stable", ignore_index=True)
    table["USUBJID"] = trial.patients["USUBJID"].to_numpy()[table["ROW"]]
    last = course["CONTACT_DAY"].to_numpy()[table["ROW"]]
    table["ENDDAY"] = table["ENDDAY"].where(table["ENDDAY"] < last)
    start_date = iso(
        trial.patients["TRTSDT"].iloc[table["ROW"]].reset_index(drop=True)
        + pd.to_timedelta(table["DAY"], unit="D")
    )
    month_only = has_role(table, trial.roles, "ae_month_only") & ~table["ROW"].duplicated()
    table["AESTDTC"] = start_date.str[:7].where(month_only, start_date)
    table = table.assign(AETERM=table["AEDECOD"], AESER="N", DAY=np.nan)
    return table[["USUBJID", "AETERM", "AEDECOD", "AETOXGR", "AESER", "AESTDTC", "DAY", "ENDDAY"]]


def _medication(trial, rng, rules) -> pd.DataFrame:
    """Build CM: earlier therapies (to the month) and new ones (in one patient before progression)."""
    patients = trial.patients
    n = len(patients)
    months = rng.integers(*rules["months_before"], n, endpoint=True)
    months_before = pd.to_timedelta(30 * months, unit="D")
    before = (patients["TRTSDT"] - months_before).dt.strftime("%Y-%m")
    inhibitor = rng.choice(["LETROZOLE", "ANASTROZOLE"], n)
    endocrine = pd.DataFrame({"CMTRT": inhibitor, "CMCAT": "PRIOR ENDOCRINE THERAPY", "CMSTDTC": before})
    chemotherapy = pd.DataFrame({"CMTRT": "DOCETAXEL", "CMCAT": "PRIOR CHEMOTHERAPY", "CMSTDTC": before})
    chemotherapy = chemotherapy[patients["PRIORCHM"] == "Y"]
    treated_again = rng.random(n) < rules["subsequent_share"]
    waited = rng.integers(*rules["subsequent_days"], n, endpoint=True)
    after = np.where(treated_again, patients["PD_DAY"] + waited, np.nan)
    start = patients["NACT_DAY"].fillna(pd.Series(after))
    until = patients[["EXTRACT_DAY", "LOST_DAY", "DEATH_DAY"]].min(axis=1)
    new = pd.DataFrame(
        {"CMTRT": rng.choice(SUBSEQUENT, n), "CMCAT": "SUBSEQUENT ANTI-CANCER THERAPY", "DAY": start}
    )
    new = new[start < until]
    table = pd.concat([endocrine, chemotherapy, new])
    table["USUBJID"] = patients["USUBJID"].to_numpy()[table.index]
    table = table.sort_values("USUBJID", kind="stable", ignore_index=True)
    return table.assign(CMDECOD=table["CMTRT"])[["USUBJID", "CMTRT", "CMDECOD", "CMCAT", "CMSTDTC", "DAY"]]


def _performance(patients: pd.DataFrame) -> pd.DataFrame:
    score = patients["ECOG"].astype(str)
    return pd.DataFrame(
        {
            "USUBJID": patients["USUBJID"],
            "QSTESTCD": "ECOG101",
            "QSTEST": "ECOG Performance Status",
            "QSCAT": "ECOG",
            "QSORRES": score,
            "QSSTRESC": score,
            "QSSTRESN": score,
            "VISITNUM": 0.0,
            "VISIT": "SCREENING",
            "DAY": -1,
        }
    )


def _survival_status(trial, course: pd.DataFrame, rng, rules) -> pd.DataFrame:
    """List the calls after treatment, and the last contact: alive, or dead with its date."""
    step, jitter = rules["interval_days"], rules["jitter_days"]
    parts = []
    for one in course.itertuples():
        calls = np.arange(one.END_DAY + step, one.CONTACT_DAY, step)
        days = [*(calls + rng.integers(-jitter, jitter + 1, len(calls))), one.CONTACT_DAY]
        status = ["ALIVE"] * len(calls) + ["DEAD" if one.DIED else "ALIVE"]
        part = pd.DataFrame({"USUBJID": one.USUBJID, "SSORRES": status, "DAY": days})
        part["SSDTC"] = [None] * len(calls) + [one.DTHDTC if one.DIED else None]
        parts.append(part[(part["DAY"] < one.CONTACT_DAY) | (np.arange(len(part)) == len(calls))])
    table = pd.concat([part.astype({"SSDTC": object}) for part in parts], ignore_index=True)
    table = table.assign(SSTESTCD="SURVSTAT", SSTEST="Survival Status", SSSTRESC=table["SSORRES"])
    return table[["USUBJID", "SSTESTCD", "SSTEST", "SSORRES", "SSSTRESC", "SSDTC", "DAY"]]


def _glucose(scans: pd.DataFrame, settings) -> pd.DataFrame:
    """Build LB; who was not fasting has a stream of its own, so that nothing else moves with it."""
    own = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=_FASTING))
    fasting = np.where(own.random(len(scans)) < settings.not_fasting_share, "N", "Y")
    value = scans["GLUCOSE_MMOLL"].map("{:.1f}".format)
    return pd.DataFrame(
        {
            "USUBJID": scans["USUBJID"],
            "LBTESTCD": "GLUC",
            "LBTEST": "Glucose",
            "LBORRES": value,
            "LBORRESU": "mmol/L",
            "LBSTRESC": value,
            "LBSTRESN": value,
            "LBSTRESU": "mmol/L",
            "LBFAST": fasting,
            "VISITNUM": scans["AVISIT"].map(VISIT_NUMBERS),
            "VISIT": scans["AVISIT"].map(VISIT_NAMES),
            "DAY": scans["DAY"],
        }
    )


def _visits(trial) -> pd.DataFrame:
    pet = trial.scans[trial.scans["AVISIT"] != "D0"]
    pet = pet.assign(
        VISITNUM=pet["AVISIT"].map(VISIT_NUMBERS), VISIT=pet["AVISIT"].map(VISIT_NAMES), SPREAD=0
    )
    columns = ["ROW", "USUBJID", "VISITNUM", "VISIT", "DAY", "SPREAD"]
    table = pd.concat([pet[columns], trial.assessments[columns]], ignore_index=True)
    table = table.sort_values(["ROW", "DAY", "VISITNUM"], ignore_index=True)
    return table.assign(ENDDAY=table["DAY"] + table["SPREAD"])[
        ["USUBJID", "VISITNUM", "VISIT", "DAY", "ENDDAY"]
    ]
