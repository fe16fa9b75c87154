"""PET scans of the virtual trial: which were made, how, and how bright each lesion truly is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.virtual_trial.schedule import has_role

VISITS = ("D0", "D14", "D28", "PROG")


def add_new_lesions(settings, lesions: pd.DataFrame, patients, roles: pd.DataFrame, rng) -> pd.DataFrame:
    """Name the lesions, say which are RECIST targets, and append those that appear on treatment.

    Returns
    -------
    DataFrame
        `lesions` with USUBJID LESIONID LESTYPE TULNKID KIND (baseline, new, inflammatory) and NEWVIS, the
        first visit of a lesion absent at baseline.
    """
    low = has_role(lesions, roles, "not_evaluable")
    faint = rng.uniform(*settings.faint_suv_range, len(lesions)).round(3)
    table = lesions.assign(
        SUVMAX_D0=np.where(low, faint, lesions["SUVMAX_D0"]),
        KIND="baseline",
        NEWVIS=None,
        LESTYPE=_lesion_types(lesions),
    )
    rank = table.groupby(["ROW", "LESTYPE"]).cumcount() + 1
    prefix = np.where(table["LESTYPE"] == "TARGET", "T", "NT")
    table["TULNKID"] = [f"{a}{b:02d}" for a, b in zip(prefix, rank)]
    table = pd.concat([table, _appearing(settings, lesions, patients, roles, rng)], ignore_index=True)
    table = table.sort_values(["ROW", "NUMBER"], ignore_index=True)
    table["LESIONID"] = "L" + table["NUMBER"].astype(str)
    table["USUBJID"] = patients["USUBJID"].to_numpy()[table["ROW"]]
    return table


def _lesion_types(lesions: pd.DataFrame) -> np.ndarray:
    """RECIST 1.1 targets: soft tissue, at most two an organ and five in all; bone is not measurable."""
    soft = (lesions["ORGAN"] != "bone").to_numpy()
    measurable = soft & (lesions.groupby(["ROW", "ORGAN"]).cumcount() < 2).to_numpy()
    within_five = pd.Series(measurable.astype(int)).groupby(lesions["ROW"].to_numpy()).cumsum() <= 5
    return np.where(measurable & within_five.to_numpy(), "TARGET", "NON-TARGET")


def _appearing(settings, lesions: pd.DataFrame, patients, roles: pd.DataFrame, rng) -> pd.DataFrame:
    """Draw lesions new on PET: two that CT confirms (D28 in a pilot patient, D14), and one pneumonitis."""
    chosen = roles[roles["ROLE"].isin(["new_lesion", "pneumonitis"])].reset_index(drop=True)
    inflamed = chosen["ROLE"] == "pneumonitis"
    n = len(chosen)
    has_d28 = (patients["PILOTFL"] == "Y").to_numpy()[chosen["ROW"]] | (settings.extension_day == "D28")
    at_d28 = inflamed | (has_d28 & (chosen.index == 0))
    next_number = lesions.groupby("ROW")["NUMBER"].max()
    return pd.DataFrame(
        {
            "ROW": chosen["ROW"],
            "NUMBER": next_number.reindex(chosen["ROW"]).to_numpy() + 1,
            "ORGAN": np.where(inflamed, "lung", rng.choice(["bone", "liver"], n)),
            "DIAMETER_MM": rng.uniform(18, 28, n).round(1),
            "SUVMAX_D0": rng.uniform(*settings.new_suv_range, n).round(3),
            "LNRATIO_D14": 0.0,
            "LNRATIO_D28": 0.0,
            "KIND": np.where(inflamed, "inflammatory", "new"),
            "NEWVIS": np.where(at_d28, "D28", "D14"),
            "LESTYPE": np.where(inflamed, None, "NEW"),
            "TULNKID": np.where(inflamed, None, "NEW01"),
        }
    )


def list_scans(settings, patients: pd.DataFrame, roles: pd.DataFrame, rng) -> pd.DataFrame:
    """List the PET scans that were made, with the facts a scanner writes into its header.

    Pilot patients have D0, D14 and D28; the others D0 and `extension_day`; some have one at progression.
    """
    n = len(patients)
    day = {
        "D0": -rng.integers(1, 7, n).astype(float),
        "D14": 13 + rng.integers(-2, 4, n),
        "D28": 27 + rng.integers(-2, 4, n),
        "PROG": patients["PD_DAY"].to_numpy() + rng.integers(3, 15, n),
    }
    made = _made(settings, patients, roles, rng)
    table = pd.concat(
        [
            pd.DataFrame({"ROW": np.arange(n), "AVISIT": visit, "DAY": day[visit]})[made[visit]]
            for visit in VISITS
        ],
        ignore_index=True,
    )
    order = np.lexsort([table["AVISIT"].map(VISITS.index), table["ROW"]])
    table = table.iloc[order].reset_index(drop=True)
    until = patients[["DEATH_DAY", "LOST_DAY", "EXTRACT_DAY"]].min(axis=1).to_numpy()
    table = table[table["DAY"] < until[table["ROW"]]].reset_index(drop=True)
    columns = ["USUBJID", "SUBJID", "SITEID", "SITE", "SEX", "AGE", "WEIGHT_KG", "HEIGHT_M", "TRTSDT"]
    table = table.join(patients[columns], on="ROW", validate="many_to_one")
    table["SCANDT"] = table.pop("TRTSDT") + pd.to_timedelta(table["DAY"].astype(int), unit="D")
    table["VENDOR"] = np.array(settings.site_vendors)[table["SITE"]]
    table["ROIFORMAT"] = np.array(settings.site_roi_formats)[table["SITE"]]
    return table.assign(**_physiology(settings, table, n, rng), **_faults(table, roles))


def _made(settings, patients: pd.DataFrame, roles: pd.DataFrame, rng) -> dict[str, np.ndarray]:
    everyone = np.ones(len(patients), dtype=bool)
    pilot = (patients["PILOTFL"] == "Y").to_numpy()
    missed = has_role(patients, roles, "missing_d14")
    return {
        "D0": everyone,
        "D14": (pilot | (settings.extension_day == "D14")) & ~missed,
        "D28": pilot | (settings.extension_day == "D28"),
        "PROG": patients["PD_DAY"].notna().to_numpy()
        & (rng.random(len(patients)) < settings.progression_scan_share),
    }


def _physiology(settings, scans: pd.DataFrame, n: int, rng) -> dict[str, np.ndarray]:
    """Draw glucose (it rises under everolimus), liver and blood uptake, dose and uptake time of each scan."""
    step, row = scans["AVISIT"].map(VISITS.index).to_numpy(), scans["ROW"].to_numpy()
    size = len(scans)
    own = rng.standard_normal((4, n))
    rise = np.array(settings.glucose_rise_mmoll)[step]
    drift = np.array(settings.liver_drift)[step]
    return {
        "DOSE_MBQ": (settings.dose_mbq_per_kg * scans["WEIGHT_KG"] * rng.normal(1, 0.05, size))
        .round(1)
        .to_numpy(),
        "UPTAKE_MIN": np.clip(62 + 3 * own[0][row] + rng.normal(0, 2.5, size), 53, 75).round().astype(int),
        "GLUCOSE_MMOLL": np.clip(5.4 + 0.5 * own[1][row] + rise + rng.normal(0, 0.35, size), 3.9, 11.0).round(
            1
        ),
        "LIVER_SUV": (np.clip(2.1 + 0.18 * own[2][row], 1.6, 2.5) * drift * rng.normal(1, 0.04, size)).round(
            3
        ),
        "BLOOD_SUV": (np.clip(1.55 + 0.12 * own[3][row], 1.2, 1.9) * rng.normal(1, 0.04, size)).round(3),
    }


def _faults(scans: pd.DataFrame, roles: pd.DataFrame) -> dict[str, np.ndarray]:
    """Plant a follow-up scan without weight, a baseline with its dose in MBq, pneumonitis from D28 on."""
    visit = scans["AVISIT"]
    no_weight = has_role(scans, roles, "no_weight") & visit.isin(["D14", "D28"])
    in_mbq = has_role(scans, roles, "dose_in_mbq") & (visit == "D0")
    inflamed = has_role(scans, roles, "pneumonitis") & visit.isin(["D28", "PROG"])
    return {
        "FAULT": np.where(no_weight, "no_weight", np.where(in_mbq, "dose_in_mbq", "")),
        "PNEUMONITIS": np.where(inflamed, "Y", "N"),
    }


def list_uptake(settings, scans: pd.DataFrame, lesions: pd.DataFrame, rng) -> pd.DataFrame:
    """List every lesion of every scan with its true SUVmax (body weight), never below its surroundings.

    Returns
    -------
    DataFrame
        ROW USUBJID AVISIT LESIONID ORGAN DIAMETER_MM TULNKID SUVMAX IS_NEW LNRATIO (planted, before the
        floor).
    """
    facts = [
        "ROW",
        "LESIONID",
        "ORGAN",
        "DIAMETER_MM",
        "TULNKID",
        "SUVMAX_D0",
        "LNRATIO_D14",
        "LNRATIO_D28",
        "NEWVIS",
    ]
    rise = rng.normal(settings.progression_rise, 0.25, len(lesions))
    table = scans[["ROW", "USUBJID", "AVISIT", "LIVER_SUV"]].merge(
        lesions[facts].assign(RISE=rise), on="ROW", how="inner", validate="many_to_many"
    )
    step = table["AVISIT"].map(VISITS.index).to_numpy()
    since = table["NEWVIS"].map(lambda visit: VISITS.index(visit) if visit else 0).to_numpy()
    table, step = table[step >= since].reset_index(drop=True), step[step >= since]
    at_progression = table["LNRATIO_D28"] + table["RISE"]
    table["LNRATIO"] = np.choose(
        step, [np.zeros(len(table)), table["LNRATIO_D14"], table["LNRATIO_D28"], at_progression]
    )
    floor = np.where(table["ORGAN"] == "liver", settings.liver_floor * table["LIVER_SUV"], settings.suv_floor)
    table["SUVMAX"] = np.maximum(table["SUVMAX_D0"] * np.exp(table["LNRATIO"]), floor).round(3)
    table["IS_NEW"] = np.where(table["NEWVIS"].notna(), "Y", "N")
    columns = [
        "ROW",
        "USUBJID",
        "AVISIT",
        "LESIONID",
        "ORGAN",
        "DIAMETER_MM",
        "TULNKID",
        "SUVMAX",
        "IS_NEW",
        "LNRATIO",
    ]
    return table[columns]
