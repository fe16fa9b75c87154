"""Write the tables of the virtual trial: SDTM domains, ROI map, readers' decisions, and the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import plan as analysis_plan
from analysis.virtual_trial.biomarkers import write_biomarkers
from analysis.virtual_trial.renaming import renamed_lesions
from analysis.virtual_trial.subjects import build_subject_domains, iso
from analysis.virtual_trial.tumours import build_tumour_domains

__all__ = ["write_biomarkers", "write_reading", "write_sdtm", "write_truth"]

STUDYID = "PEARL"
# domain -> (name of the date that column DAY becomes, name of the one ENDDAY becomes)
DATE_COLUMNS = {
    "ds": ("DSSTDTC", None),
    "ex": ("EXSTDTC", "EXENDTC"),
    "ae": ("AESTDTC", "AEENDTC"),
    "cm": ("CMSTDTC", None),
    "qs": ("QSDTC", None),
    "ss": ("SSDTC", None),
    "lb": ("LBDTC", None),
    "sv": ("SVSTDTC", "SVENDTC"),
    "tu": ("TUDTC", None),
    "tr": ("TRDTC", None),
    "rs": ("RSDTC", None),
}
CORRECTION_COLUMNS = ["DOMAIN", "KEY", "VARIABLE", "OLD", "NEW", "REASON", "WHO", "WHEN"]
WITHOUT_SEQUENCE = ("dm", "suppdm", "sv")


def write_sdtm(trial, folder: str | Path, rng: np.random.Generator, settings=None) -> None:
    """Write ``<domain>.csv`` for every SDTM domain: text, ISO 8601 dates, ``--SEQ`` within subject.

    One date is mistyped, and ``corrections.csv`` mends it, so that the audit trail has a line.

    Parameters
    ----------
    trial : VirtualTrial
    folder : path
        Made if absent.
    rng : numpy.random.Generator
    settings : plan section, optional
        Section ``virtual`` of a plan; the defaults if None.
    """
    settings = analysis_plan.defaults().virtual if settings is None else settings
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    start = trial.patients.set_index("USUBJID")["TRTSDT"]
    domains = build_subject_domains(trial, rng, settings) | build_tumour_domains(trial, rng, settings)
    finished = {name: finish_domain(name, frame, start) for name, frame in domains.items()}
    finished["ae"], corrections = _mistype(finished["ae"])
    for name, frame in finished.items():
        write_csv(frame, folder / f"{name}.csv")
    write_csv(corrections, folder / "corrections.csv")


def finish_domain(name: str, frame: pd.DataFrame, start: pd.Series) -> pd.DataFrame:
    """Turn days into dates, and put STUDYID, DOMAIN, USUBJID and the sequence number in front."""
    table = frame.reset_index(drop=True)
    for day, column in zip(("DAY", "ENDDAY"), DATE_COLUMNS.get(name, (None, None))):
        if column is None:
            continue
        computed = iso(table["USUBJID"].map(start) + pd.to_timedelta(table[day].astype(float), unit="D"))
        written = table[column] if column in table else pd.Series(None, index=table.index, dtype=object)
        table[column] = written.where(written.notna(), computed)
    table = table.drop(columns=["DAY", "ENDDAY"], errors="ignore")
    if "VISITNUM" in table:
        table["VISITNUM"] = table["VISITNUM"].map("{:g}".format)
    front = {"STUDYID": STUDYID, "DOMAIN": name.upper(), "USUBJID": table.pop("USUBJID")}
    if name not in WITHOUT_SEQUENCE:
        front[f"{name.upper()}SEQ"] = front["USUBJID"].groupby(front["USUBJID"]).cumcount() + 1
    if name == "suppdm":
        front.pop("DOMAIN")
    return pd.concat([pd.DataFrame(front, index=table.index), table], axis=1)


def _mistype(ae: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write a day that does not exist into the last adverse event that ended, and the correction of it."""
    ended = ae.index[ae["AEENDTC"].notna()]
    if ended.empty:
        return ae, pd.DataFrame(columns=CORRECTION_COLUMNS)
    last = ended[-1]
    right = ae.loc[last, "AEENDTC"]
    wrong = f"{right[:4]}-02-30"
    correction = {
        "DOMAIN": "AE",
        "KEY": f"USUBJID={ae.loc[last, 'USUBJID']}; AESEQ={ae.loc[last, 'AESEQ']}",
        "VARIABLE": "AEENDTC",
        "OLD": wrong,
        "NEW": right,
        "REASON": "no such day; corrected from the source record",
        "WHO": "data manager",
        "WHEN": (pd.Timestamp(right) + pd.Timedelta(days=30)).strftime("%Y-%m-%d"),
    }
    typed = ae.copy()
    typed.loc[last, "AEENDTC"] = wrong
    return typed, pd.DataFrame([correction])


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV whose bytes depend on its values alone; missing is an empty field."""
    frame.to_csv(path, index=False, lineterminator="\n", date_format="%Y-%m-%d", float_format="%.6g")


def write_reading(trial, folder: str | Path) -> None:
    """Write ``roi_map.csv`` (what each ROI is) and ``reader_decisions.csv`` (what a new lesion is)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lesions = trial.lesions
    rois = pd.DataFrame(
        {
            "USUBJID": lesions["USUBJID"],
            "ROINAME": lesions["LESIONID"],
            "ROLE": "lesion",
            "LESIONID": lesions["LESIONID"],
            "ORGAN": lesions["ORGAN"],
            "TULNKID": lesions["TULNKID"],
        }
    )
    subjects = trial.patients["USUBJID"]
    references = [
        pd.DataFrame({"USUBJID": subjects, "ROINAME": name, "ROLE": name.lower(), "ORGAN": organ})
        for name, organ in (("LIVER", "liver"), ("AORTA", "aorta"))
    ]
    renamed = renamed_lesions(trial)[["USUBJID", "ROINAME", "ORGAN"]].drop_duplicates().assign(ROLE="lesion")
    table = pd.concat([rois, renamed, *references], ignore_index=True)
    write_csv(table.sort_values("USUBJID", kind="stable"), folder / "roi_map.csv")
    write_csv(_decisions(trial), folder / "reader_decisions.csv")


def _decisions(trial) -> pd.DataFrame:
    """Every lesion absent at baseline has a decision at each visit that shows it."""
    kind = trial.lesions.set_index(["ROW", "LESIONID"])["KIND"]
    seen = trial.uptake[trial.uptake["IS_NEW"] == "Y"]
    decision = [kind[(row, lesion)] for row, lesion in zip(seen["ROW"], seen["LESIONID"])]
    return seen[["USUBJID", "AVISIT", "LESIONID"]].assign(DECISION=decision, READER="R1")


def write_truth(trial, images: list[dict], folder: str | Path, faults: pd.DataFrame | None = None) -> None:
    """Write what was planted: patients, lesions, scans, visits, uptake, roles, effects, biomarker faults."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    uptake = trial.uptake.drop(columns="ROW")
    if images:
        shown = pd.DataFrame(images).drop(columns=["ORGAN", "SUVMAX_TRUE"], errors="ignore")
        uptake = uptake.merge(shown, on=["USUBJID", "AVISIT", "LESIONID"], how="left", validate="one_to_one")
    write_csv(trial.patients.drop(columns=["ROW", "NUMBER", "SITE"]), folder / "patients.csv")
    write_csv(trial.lesions.drop(columns=["ROW", "NUMBER"]), folder / "lesions.csv")
    how_sent = ["LESIONSONLY", "RENAMED", "PATIENTID"]  # the reader's tables say it
    write_csv(trial.scans.drop(columns=["ROW", "SITE", *how_sent]), folder / "scans.csv")
    write_csv(trial.assessments.drop(columns="ROW"), folder / "assessments.csv")
    write_csv(uptake, folder / "uptake.csv")
    write_csv(trial.roles[["ROLE", "USUBJID"]], folder / "roles.csv")
    if faults is not None:
        write_csv(faults, folder / "biomarker_faults.csv")
    (folder / "effects.json").write_text(json.dumps(trial.effects, indent=2) + "\n", encoding="utf-8")
