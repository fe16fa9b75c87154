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
from analysis.pet.assign import VISITS
from analysis.pet.index import index_tree
from analysis.pet.measurement_decisions import (
    ask_new,
    derive_decisions,
    merge_decisions,
    refuse_several_readers,
    select_reads,
)
from analysis.pet.measurement_flags import add_unmeasured, ask_targets, derive_all_flags, flag_volumes
from analysis.pet.measurement_records import (
    BETWEEN,
    FACT,
    GONE,
    MEASUREMENT,
    empty_table,
    interpret_records,
    name_kinds,
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
_NO_LESION = ["OTHER_READER", "PET_METHOD_UNKNOWN", "SEVERAL_READERS", "LESION_UNNAMED"]
_UPTAKE = r"SU[VL]|MTV|TLG|VOLUME"
_ABOVE = (("SUVMAX", "SUVMEAN"), ("SUVMAX", "SUVPEAK"), ("SULMAX", "SULMEAN"), ("SULMAX", "SULPEAK"))


@dataclass(frozen=True)
class Measurements:
    """Everything the PET records of a study gave; the names are those of `analysis.pet.study.Study`.

    Attributes
    ----------
    adpet, scan_qc, exclusions, queries, lesion_map, mips, reference_proposals : DataFrame
        Tables of these names (``analysis.contracts``); there are no projections and no proposals.
    admr : DataFrame
        Table of this name, where the study sent classes (`analysis.pet.class_table`); else without rows:
        classes are derived from `adpet`.
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
    admr: pd.DataFrame = field(default_factory=lambda: empty_table("admr"))
    files: Counter = field(default_factory=Counter)
    tasks: list = field(default_factory=list)


def choose_source(
    raw_dir: str | Path,
    tr: pd.DataFrame | None,
    plan: plans.Plan | None = None,
    *,
    tu: pd.DataFrame | None = None,
) -> str:
    """Choose where response comes from: a table the plan maps, else images, else the PET records of TR.

    Parameters
    ----------
    raw_dir : path
        Raw folder of the study.
    tr : DataFrame or None
        SDTM TR as text.
    plan : Plan, optional
        `pet.source`, `pet.dicom_folder`, `pet.measurements_*`, `pet.classes_table`.
    tu : DataFrame, optional
        SDTM TU: a record of TR without a method has that of its lesion.

    Returns
    -------
    str
        ``classes`` (`analysis.pet.class_table`), ``table`` (`analysis.pet.measurement_table`), ``images`` or
        ``measurements``. By ``auto`` a table that the plan maps is used, classes before numbers; without one,
        images where the folder holds a PET; one that
        holds anything else (a CT, say) is read as images only if TR has no record of uptake either.

    Raises
    ------
    FileNotFoundError
        NO_PET_DATA if there is none of them, or not what the plan asks for.
    """
    plan = plans.defaults() if plan is None else plan
    wanted, folder = plan.pet.source, Path(raw_dir) / plan.pet.dicom_folder
    mapped = {"classes": "classes_table", "table": "measurements_table"}
    for kind, value in mapped.items():
        if getattr(plan.pet, value) and wanted in ("auto", kind):
            return kind
    if wanted in mapped:
        raise FileNotFoundError(f"NO_PET_DATA: pet.source is {wanted}, and pet.{mapped[wanted]} maps none")
    files = wanted == "auto" and _holds_files(folder)
    numbers = wanted != "images" and _holds_uptake(tr, tu, plan)
    if wanted == "images" or (files and (not numbers or len(index_tree(folder).series))):
        return "images"
    if numbers:
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
    rows = select_reads(rows, plan.pet, name_kinds(rows, plan.pet))
    rows, scans, problems = assign_scans(rows, adsl, plan)
    rows = interpret_records(rows, plan.pet)
    refuse_several_readers(rows)
    _refuse_repeats(rows)
    _refuse_contradictions(rows)
    scans = describe_scans(scans, rows, study, plan)
    measured = flag_volumes(derive_all_flags(_adpet(rows, study), plan))
    lost = _unmeasured(rows, scans, measured)
    adpet = add_unmeasured(measured, lost, study, plan)
    lesion_map = _lesion_map(adpet)
    derived, asked = derive_decisions(rows, tu, scans, plan.pet)
    decisions = merge_decisions(decisions, derived)
    exclusions = [
        *problems,
        *list_refused(scans),
        *_records(rows),
        *_without(adsl, rows),
        *ledger.not_evaluable(measured[~measured["USUBJID"].isin(lost["USUBJID"])]),
    ]
    asked += ask_new(lesion_map, scans, decisions, list(VISITS))
    asked += [*_ask_unmeasured(lost), *ask_targets(adpet, plan)]
    parts = [pd.DataFrame(asked, columns=quality.QUERY_COLUMNS), quality.check_subjects(scans, plan.pet)]
    parts += [quality.check_decisions(decisions, adpet)] if len(decisions) else []
    queries = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    queries.insert(0, "STEP", step)
    table = pd.DataFrame(exclusions, columns=["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"])
    used = rows.loc[rows["CODE"].isna(), "KIND"].map("used as {}".format)
    files = Counter([*used, *(["set aside"] * int(rows["CODE"].notna().sum()))])
    return Measurements(adpet, scans, table.assign(STEP=step), queries, lesion_map, decisions, files=files)


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _holds_uptake(tr: pd.DataFrame | None, tu: pd.DataFrame | None, plan: plans.Plan) -> bool:
    if tr is None or not len(tr):
        return False
    rows = interpret_records(select_records(tr, tu, plan.pet), plan.pet)
    return bool(rows["METRIC"].astype("string").str.match(f"T?(?:{_UPTAKE})").fillna(False).any())


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


def _unmeasured(rows: pd.DataFrame, scans: pd.DataFrame, adpet: pd.DataFrame) -> pd.DataFrame:
    """List baseline lesions of a measured scan that have records of uptake and not one usable value.

    On a hybrid scan a record of anything else (a diameter, a state) may be of a lesion of the CT.
    """
    metric = rows["METRIC"].where(rows["METRIC"].notna(), rows["TEST"]).astype("string")
    uptake = metric.str.match(_UPTAKE).fillna(False).astype(bool)
    of_lesion = rows["ROLE"].eq("LESION") & rows["KIND"].ne(FACT) & rows["LESIONID"].notna()
    told = of_lesion & rows["AVISIT"].eq(BASELINE) & (uptake | ~rows["HYBRID"])
    told &= ~rows["CODE"].isin(_NO_LESION) & rows["KIND"].ne(GONE)
    made = scans.loc[scans["STATUS"].eq("OK"), "PATH"]
    lost = rows[told & rows["PATH"].isin(made)].drop_duplicates(["USUBJID", "LESIONID"])
    base = adpet[adpet["AVISIT"].eq(BASELINE)]
    known = pd.MultiIndex.from_frame(base[["USUBJID", "LESIONID"]])
    lost = lost[~pd.MultiIndex.from_frame(lost[["USUBJID", "LESIONID"]]).isin(known)]
    organs = lost["PLACE"].map(_organ_of).astype(object)
    return lost[["USUBJID", "AVISIT", "LESIONID", "DATE"]].assign(ORGAN=organs)


def _ask_unmeasured(lost: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"CODE": "LESION_NOT_MEASURED", "SEVERITY": "warning", "USUBJID": row.USUBJID, "DOMAIN": "TR",
         "RECORD": f"{row.AVISIT} {row.LESIONID}",
         "MESSAGE": "recorded at baseline, and no value of it can be used; its change is unknown",
         "ACTION": "mend what the exclusions say of its records"} for row in lost.itertuples(index=False)
    ]  # fmt: skip


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
