"""PET scans of the virtual trial: which were made, how, and how bright each lesion truly is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.virtual_trial.dialects import DIALECTS, vendor_name
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


def examined_on_two_days(patients: pd.DataFrame, lesions: pd.DataFrame, roles: pd.DataFrame) -> np.ndarray:
    """Mark the patients whose targets are measured over two days at a visit: other organs on the second."""
    targets = lesions[_lesion_types(lesions) == "TARGET"]
    organs = targets.groupby("ROW")["ORGAN"].nunique().reindex(patients["ROW"], fill_value=0)
    return has_role(patients, roles, "split_assessment") & (organs > 1).to_numpy()


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
            "DIAMETER_MM": rng.uniform(*settings.new_diameter_range_mm, n).round(1),
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
    drawn = {visit: rng.integers(*settings.scan_days[visit], n, endpoint=True) for visit in VISITS}
    day = {
        **drawn,
        "D0": -drawn["D0"].astype(float),
        "PROG": patients["PD_DAY"].to_numpy() + drawn["PROG"],
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
    table = table.join(_equipment(settings, patients), on="ROW", validate="many_to_one")
    return table.assign(
        **_physiology(settings, table, n, rng),
        **_faults(table, roles),
        NAC=np.where(_has_uncorrected(settings, patients, table), "Y", "N"),
        LESIONSONLY=np.where(_lesions_alone(settings, table), "Y", "N"),
        RENAMED="N",
        PATIENTID=_patient_ids(settings, table),
    )


def _equipment(settings, patients: pd.DataFrame) -> pd.DataFrame:
    """Say which scanner and which form of regions each patient has: a site's own in turn, hers for good."""
    turn = patients.groupby("SITE").cumcount()
    picked = {
        name: [options[site][number % len(options[site])] for site, number in zip(patients["SITE"], turn)]
        for name, options in (("DIALECT", settings.site_dialects), ("ROIFORMAT", settings.site_roi_formats))
    }
    vendor = [vendor_name(dialect) for dialect in picked["DIALECT"]]
    return pd.DataFrame({"VENDOR": vendor, **picked}, index=patients["ROW"])


def _has_uncorrected(settings, patients: pd.DataFrame, scans: pd.DataFrame) -> np.ndarray:
    """Mark the baseline of the first patient of `nac_site`: its folder holds a second series."""
    there = patients.loc[patients["SITEID"] == settings.nac_site, "ROW"].head(1)
    return (scans["ROW"].isin(there) & (scans["AVISIT"] == "D0")).to_numpy()


def _lesions_alone(settings, scans: pd.DataFrame) -> np.ndarray:
    """Mark the scans of the site at which nobody draws liver and aorta."""
    rule = settings.lesions_only
    return np.zeros(len(scans), bool) if rule is None else (scans["SITEID"] == rule["SITEID"]).to_numpy()


def rename_lesions(settings, scans: pd.DataFrame, lesions: pd.DataFrame) -> pd.DataFrame:
    """Mark the follow-up scans of one patient, on which another reader numbered the lesions anew.

    The first patient of the plan's site with several lesions, none of which appeared on treatment, and with a
    follow-up scan; RENAMED is Y on those.
    """
    rule = settings.renamed_lesions
    if rule is None:
        return scans
    count = lesions.groupby("ROW")["LESIONID"].size()
    several = count.index[(count > 1) & ~lesions["NEWVIS"].notna().groupby(lesions["ROW"]).any()]
    later = (scans["SITEID"] == rule["SITEID"]) & (scans["AVISIT"] != "D0") & scans["ROW"].isin(several)
    first = scans.loc[later, "ROW"].head(1)
    return scans.assign(RENAMED=np.where(later & scans["ROW"].isin(first), "Y", "N"))


def _patient_ids(settings, scans: pd.DataFrame) -> pd.Series:
    """Give every scan its subject's identifier, and one scan the hospital's own."""
    names, rule = scans["USUBJID"].copy(), settings.hospital_id
    if rule is not None:
        there = (scans["SITEID"] == rule["SITEID"]) & (scans["AVISIT"] == rule["AVISIT"])
        names[scans.index[there][:1]] = rule["PATIENTID"]
    return names


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
    own = rng.standard_normal((4, n))[:, row]
    rise = np.array(settings.glucose_rise_mmoll)[step]
    drift = np.array(settings.liver_drift)[step]
    uptake, glucose, liver, blood = (
        settings.physiology[name] for name in ("uptake_min", "glucose_mmoll", "liver_suv", "blood_suv")
    )
    relative = lambda rule: rng.normal(1, rule["within"], size)
    typical = lambda rule, mine: np.clip(rule["mean"] + rule["between"] * mine, *rule["range"])
    dose = settings.dose_mbq_per_kg * scans["WEIGHT_KG"] * rng.normal(1, settings.dose_cv, size)
    waited = uptake["mean"] + uptake["between"] * own[0] + rng.normal(0, uptake["within"], size)
    sugar = glucose["mean"] + glucose["between"] * own[1] + rise + rng.normal(0, glucose["within"], size)
    return {
        "DOSE_MBQ": dose.round(1).to_numpy(),
        "UPTAKE_MIN": np.clip(waited, *uptake["range"]).round().astype(int),
        "GLUCOSE_MMOLL": np.clip(sugar, *glucose["range"]).round(1),
        "LIVER_SUV": (typical(liver, own[2]) * drift * relative(liver)).round(3),
        "BLOOD_SUV": (typical(blood, own[3]) * relative(blood)).round(3),
    }


def _faults(scans: pd.DataFrame, roles: pd.DataFrame) -> dict[str, np.ndarray]:
    """Plant a follow-up scan without weight, a baseline with its dose in MBq, pneumonitis from D28 on.

    In an Enhanced PET file MBq is what the standard asks for: no fault.
    """
    visit = scans["AVISIT"]
    no_weight = has_role(scans, roles, "no_weight") & visit.isin(["D14", "D28"])
    in_mbq = has_role(scans, roles, "dose_in_mbq") & (visit == "D0") & _is_classic(scans)
    inflamed = has_role(scans, roles, "pneumonitis") & visit.isin(["D28", "PROG"])
    return {
        "FAULT": np.where(no_weight, "no_weight", np.where(in_mbq, "dose_in_mbq", "")),
        "PNEUMONITIS": np.where(inflamed, "Y", "N"),
    }


def _is_classic(scans: pd.DataFrame) -> pd.Series:
    return scans["DIALECT"].map(lambda name: DIALECTS[name].storage == "CLASSIC")


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
    rise = rng.normal(settings.progression_rise, settings.progression_rise_sd, len(lesions))
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
