"""A study whose reading centre only sent numbers: PET records of SDTM TR become adpet and scan_qc.

Visits, flags and checks are those of images; only the records are read here (`measurement_records`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import ledger, quality
from analysis.pet.measurement_decisions import derive_decisions, merge_decisions, select_reads
from analysis.pet.measurement_flags import derive_all_flags
from analysis.pet.measurement_records import (
    BETWEEN,
    FACT,
    MEASUREMENT,
    empty_table,
    interpret_records,
    select_records,
    set_aside,
)
from analysis.pet.measurement_scans import (
    assign_scans,
    describe_scans,
    list_refused,
    refuse_subjects_and_dates,
)
from analysis.pet.reference_regions import BASELINE

ADPET_KEY = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
_ABOVE = (("SUVMAX", "SUVMEAN"), ("SUVMAX", "SUVPEAK"), ("SULMAX", "SULMEAN"), ("SULMAX", "SULPEAK"))


@dataclass(frozen=True)
class Measurements:
    """Everything the PET records of a study gave; the names are those of `analysis.pet.study.Study`.

    Attributes
    ----------
    adpet, scan_qc, exclusions, queries, lesion_map, mips, reference_proposals : DataFrame
        Tables of these names (``analysis.contracts``); there are no projections and no proposals.
    decisions : DataFrame
        Table reader_decisions: those given, and what TU and TR say beyond them.
    files : Counter
        PET records by what became of them; every record counts once.
    tasks : list
        Empty: without images there is nothing to export.
    """

    adpet: pd.DataFrame
    scan_qc: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame
    lesion_map: pd.DataFrame
    decisions: pd.DataFrame
    mips: pd.DataFrame = field(default_factory=lambda: empty_table("mips"))
    reference_proposals: pd.DataFrame = field(default_factory=lambda: empty_table("reference_proposals"))
    files: Counter = field(default_factory=Counter)
    tasks: list = field(default_factory=list)


def choose_source(raw_dir: str | Path, tr: pd.DataFrame | None, plan: plans.Plan | None = None) -> str:
    """Choose where PET measurements come from: images where there are any, else the PET records of TR.

    Parameters
    ----------
    raw_dir : path
        Raw folder of the study.
    tr : DataFrame or None
        SDTM TR as text.
    plan : Plan, optional
        `pet.source`, `pet.dicom_folder`, `pet.measurements_*`.

    Returns
    -------
    str
        ``images`` or ``measurements``.

    Raises
    ------
    FileNotFoundError
        NO_PET_DATA if there is neither, or no PET record where the plan asks for them.
    """
    plan = plans.defaults() if plan is None else plan
    wanted, folder = plan.pet.source, Path(raw_dir) / plan.pet.dicom_folder
    if wanted == "images" or (wanted == "auto" and _holds_files(folder)):
        return "images"
    if tr is not None and len(tr):
        rows = interpret_records(select_records(tr, None, plan.pet), plan.pet)
        uptake = rows["METRIC"].astype("string").str.match("SU[VL]|MTV|TLG|TMTV|TTLG").fillna(False)
        if uptake.any():
            return "measurements"
    sought = f"no image below the folder {plan.pet.dicom_folder!r} and " if wanted == "auto" else ""
    raise FileNotFoundError(
        f"NO_PET_DATA: {sought}no record of uptake in TR with a method of pet.measurements_methods; "
        "send one of them, or leave step 02 out (design.steps)"
    )


def read_measurements(
    tr: pd.DataFrame,
    adsl: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    tu: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    step: str = "02",
) -> Measurements:
    """Read the PET measurements of a study from SDTM TR.

    A scan is a subject and a date of PET records. Nothing is converted, completed or chosen that the plan
    does not name: what is unclear stands in the ledger, one row a record.

    Parameters
    ----------
    tr : DataFrame
        SDTM TR as text: USUBJID TRTESTCD TRDTC, TRSTRESN TRSTRESC TRSTRESU or TRORRES TRORRESU, and TRSEQ
        TRLNKID TRGRPID TRMETHOD TREVAL TREVALID TRACPTFL TRSTAT TRREASND TRANMETH where known.
    adsl : DataFrame
        USUBJID, and STUDYID SITEID TRTSDT where known.
    plan : Plan, optional
        Sections ``pet`` (`measurements_*`), ``response`` (targets) and ``visits``.
    tu : DataFrame, optional
        SDTM TU: where a lesion lies, whether it is a reference region, and which lesions are new.
    decisions : DataFrame, optional
        ``reader_decisions.csv``; it wins over what TU and TR say.
    step : str
        Number of the notebook, for the ledger.

    Returns
    -------
    Measurements
        `adpet` holds what was sent, in g/ml, ml, g, mm and 1; `files` tells the fate of every PET record.
    """
    plan = plans.defaults() if plan is None else plan
    study = next(iter(adsl["STUDYID"].dropna()), plan.study) if "STUDYID" in adsl else plan.study
    rows = select_records(tr, tu, plan.pet)
    refuse_subjects_and_dates(rows, adsl)
    rows = select_reads(rows, plan.pet, by_scan=True)
    rows, scans, problems = assign_scans(rows, adsl, plan)
    rows = interpret_records(rows, plan.pet)
    _refuse_repeats(rows)
    _refuse_contradictions(rows)
    scans = describe_scans(scans, rows, study, plan)
    adpet = derive_all_flags(_adpet(rows, study), plan)
    derived, asked = derive_decisions(rows, tu, scans, plan.pet)
    decisions = merge_decisions(decisions, derived)
    exclusions = [
        *problems,
        *list_refused(scans),
        *_records(rows),
        *_without(adsl, rows),
        *ledger.not_evaluable(adpet),
    ]
    parts = [pd.DataFrame(asked, columns=quality.QUERY_COLUMNS), quality.check_subjects(scans, plan.pet)]
    parts += [quality.check_decisions(decisions, adpet)] if len(decisions) else []
    queries = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    queries.insert(0, "STEP", step)
    table = pd.DataFrame(exclusions, columns=["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"])
    used = rows.loc[rows["CODE"].isna(), "KIND"].map("used as {}".format)
    files = Counter([*used, *(["set aside"] * int(rows["CODE"].notna().sum()))])
    return Measurements(
        adpet, scans, table.assign(STEP=step), queries, _lesion_map(adpet), decisions, files=files
    )


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _refuse_repeats(rows: pd.DataFrame) -> None:
    """Keep one of several equal records of a quantity; where they differ, none: which is meant is unknown."""
    for kind, key in ((MEASUREMENT, ADPET_KEY), (FACT, ["USUBJID", "AVISIT", "COLUMN"])):
        live = rows[rows["CODE"].isna() & rows["KIND"].eq(kind)]
        groups = live.groupby(key, dropna=False)["AVAL"]
        same = np.isclose(groups.transform("max"), groups.transform("min"), rtol=1e-9, atol=0)
        for where, reason in (
            (live.index[live.duplicated(key) & same], "says what an earlier record says"),
            (live.index[live.duplicated(key, keep=False) & ~same],
             "several records of one quantity differ; send the accepted one (TRACPTFL), or name the reader "
             "(pet.measurements_reader)"),
        ):  # fmt: skip
            set_aside(rows, pd.Series(rows.index.isin(where), rows.index), "DUPLICATE_MEASUREMENT", reason)


def _refuse_contradictions(rows: pd.DataFrame) -> None:
    """Set aside a maximum below its region's mean or peak, and what it contradicts."""
    live = rows[rows["CODE"].isna() & rows["KIND"].eq(MEASUREMENT)]
    wide = live.pivot_table(index=ADPET_KEY[:3], columns="METRIC", values="AVAL")
    for above, below in _ABOVE:
        if not {above, below} <= set(wide):
            continue
        wrong = wide.index[wide[above] < wide[below] * (1 - 1e-9)]
        where = pd.MultiIndex.from_frame(rows[ADPET_KEY[:3]]).isin(wrong) & rows["METRIC"].isin(
            [above, below]
        )
        reason = f"{above} is below {below}, so one of them is wrong; ask the centre"
        set_aside(rows, where, "MEASUREMENT_INCONSISTENT", reason)


def _adpet(rows: pd.DataFrame, study: str) -> pd.DataFrame:
    used = rows[rows["CODE"].isna() & rows["KIND"].eq(MEASUREMENT)]
    place = used["PLACE"].where(used["ROLE"].eq("LESION"), "")
    table = used[["USUBJID", "AVISIT", "LESIONID", "METRIC", "ROLE", "AVAL", "UNIT"]].assign(
        STUDYID=study,
        ADT=used["DATE"],
        ORGAN=place.map(_organ_of),
        FLAGS=None, EVALFL=None, TARGETFL=None,
    )  # fmt: skip
    return table.astype({"AVAL": float, "ORGAN": object})


def _organ_of(place: str) -> str | None:
    """Return the organ of a lesion from its places in TU: in small letters, None if they disagree."""
    return place.lower() if place and BETWEEN not in place else None


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    aside = rows[rows["CODE"].notna()]
    visits = aside["AVISIT"].astype(object).where(aside["AVISIT"].notna(), None)
    return [
        {"USUBJID": row.USUBJID, "AVISIT": visit, "ITEM": "record", "CODE": row.CODE,
         "REASON": f"TR record {row.SEQ or '(no TRSEQ)'}: {row.REASON}"}
        for row, visit in zip(aside.itertuples(index=False), visits)
    ]  # fmt: skip


def _without(adsl: pd.DataFrame, rows: pd.DataFrame) -> list[dict[str, Any]]:
    reason = "no PET record of this subject is in TR; send it, or correct its USUBJID"
    missing = sorted(set(adsl["USUBJID"]) - set(rows["USUBJID"]))
    return [
        {"USUBJID": name, "AVISIT": None, "ITEM": "subject", "CODE": "NO_PET_SCAN", "REASON": reason}
        for name in missing
    ]


def _lesion_map(adpet: pd.DataFrame) -> pd.DataFrame:
    """Map every lesion of every scan to itself: the centre's link is the lesion's name."""
    lesions = adpet[adpet["ROLE"].eq("LESION")].drop_duplicates(["USUBJID", "AVISIT", "LESIONID"])
    base = pd.MultiIndex.from_frame(lesions.loc[lesions["AVISIT"].eq(BASELINE), ["USUBJID", "LESIONID"]])
    known = pd.MultiIndex.from_frame(lesions[["USUBJID", "LESIONID"]]).isin(base)
    status = np.select([lesions["AVISIT"].eq(BASELINE), known], ["BASELINE", "SAME"], "NEW")
    table = lesions[["USUBJID", "AVISIT", "LESIONID"]].assign(
        DRAWNID=lesions["LESIONID"], STATUS=status, SOURCE="NAME", DICE=np.nan, DISTANCEMM=np.nan, FLAGS=None
    )
    return table[list(empty_table("lesion_map").columns)].reset_index(drop=True)
