"""Whose a tumour sample is, of which kind and visit; what is set aside, and what must be asked.

A sample that cannot be placed is not used: taken as a baseline sample it would show what the treatment did.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.files.textfile import read_numbers
from analysis.biomarkers.plasma import PROGRESSION

_COLUMNS = ["SAMPLE_ID", "USUBJID", "SAMPTYPE", "AVISIT", "ADY", "SEQUENCED", "SAMPLE_DEPTH"]
# CDISC: there is no day 0.
_DAY_OF_FIRST_DOSE = 1
_ASIDE = {
    "SUBJECT_UNKNOWN": "its patient is not in adsl; mend the identifier",
    "SAMPTYPE_UNKNOWN": "neither primary nor metastasis; add its type",
    "SAMPLE_VISIT_UNKNOWN": "the plan does not know the spelling of its visit; not used",
    "SAMPLE_AFTER_FIRST_DOSE": "taken after first dose: no baseline sample; not used",
}


class TumourSamples(NamedTuple):
    """The samples that count, and what was set aside or asked.

    Attributes
    ----------
    samples : DataFrame
        A row a sample: SAMPLE_ID, USUBJID, SAMPTYPE, AVISIT, ADY (study day, NaN unknown),
        SEQUENCED, SAMPLE_DEPTH (reads, NaN unknown).
    aside : list of tuple
        USUBJID, visit, what, code, reason of each sample set aside.
    queries : DataFrame
        Columns of a query table without STEP.
    """

    samples: pd.DataFrame
    aside: list[tuple]
    queries: pd.DataFrame


def assign_samples(study: CbioportalStudy, adsl: pd.DataFrame, *, rules=None) -> TumourSamples:
    """Give each tumour sample its subject, kind, visit and study day.

    The visit is that of the plan's column. Where the file names none, the type of the sample tells that it
    was taken at progression, else it is a baseline sample. Set aside and asked after are a sample whose visit
    has a spelling the plan does not know, and a baseline sample taken after the day of first dose.

    Parameters
    ----------
    study : CbioportalStudy
        As `read_cbioportal` returns.
    adsl : DataFrame
        Table adsl: USUBJID is read.
    rules : Section, optional
        The plan's section ``biomarkers``: spellings of kind and visit, columns of the sample's day and depth.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    samples = study.samples.copy()
    samples["USUBJID"] = match_subjects(samples["PATIENT_ID"], adsl["USUBJID"])
    samples["SAMPTYPE"] = _spelled(samples, rules.sample_type_column, rules.sample_types)
    samples["AVISIT"] = _visits(samples, rules)
    samples["ADY"], unread_day = _sample_day(samples, rules.sample_day_column)
    samples["SAMPLE_DEPTH"], unread_depth = _sample_depth(samples, rules.sample_depth_columns)
    late = samples["AVISIT"].eq(rules.baseline_visit) & (samples["ADY"] > _DAY_OF_FIRST_DOSE)
    cases = [samples["USUBJID"].isna(), samples["SAMPTYPE"].isna(), samples["AVISIT"].isna(), late]
    samples["CODE"] = np.select([case.to_numpy(bool) for case in cases], list(_ASIDE), "")
    kept = samples[samples["CODE"] == ""]
    strangers = samples.loc[samples["USUBJID"].isna(), ["PATIENT_ID", "SAMPLE_ID"]]
    asked = [
        ask_subjects(*(strangers[name] for name in strangers), adsl["USUBJID"], "samples"),
        *(_matched_by_ending(kept), _several(kept), _misplaced(samples, rules), unread_day, unread_depth),
    ]
    return TumourSamples(kept[_COLUMNS], _set_aside(samples), pd.concat(asked))


def match_subjects(patients: pd.Series, subjects: pd.Series) -> pd.Series:
    """Match patient identifiers to USUBJID: equal, or the one that ends in ``-<patient>``; else None."""
    ids = sorted(set(subjects))

    def match(patient: str) -> str | None:
        """Return the subject a patient identifier stands for."""
        if patient in ids:
            return patient
        ending = [subject for subject in ids if subject.endswith(f"-{patient}")]
        return ending[0] if len(ending) == 1 else None

    return patients.map({patient: match(patient) for patient in patients.unique()}).astype(object)


def ask_subjects(patients: pd.Series, samples: pd.Series, subjects: pd.Series, domain: str) -> pd.DataFrame:
    """Ask after identifiers that are no subject's, with the subject that is nearly the same.

    Parameters
    ----------
    patients, samples : Series
        The identifier as sent and the sample, of each row of a subject that adsl lacks.
    subjects : Series
        USUBJID of adsl.
    domain : str
        Where the rows come from.

    Returns
    -------
    DataFrame
        Columns of a query table without STEP: SUBJECT_UNKNOWN, one for each identifier.
    """
    ids = sorted(set(subjects))
    rows = []
    for patient, count in samples.groupby(patients).nunique().sort_index().items():
        plain = _plain(patient)
        near = [own for own in ids if _plain(own) == plain] or [
            own for own in ids if _plain(own).endswith(f"-{plain}")
        ]
        said = f"{patient!r} is no subject of adsl; its samples ({count}) are not used"
        todo = "mend the identifier, or add the subject to adsl"
        if len(near) == 1:
            said += f"; it differs from {near[0]!r} by letter case, blanks or leading zeros alone"
            todo = f"mend the identifier: is it {near[0]!r}?"
        rows.append(("SUBJECT_UNKNOWN", "error", None, domain, f"patient {patient}", said, todo))
    return _queries(rows)


def _plain(identifier: str) -> str:
    """Return an identifier without letter case, blanks and the leading zeros of its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"\s", "", str(identifier)).casefold())


def _visits(samples: pd.DataFrame, rules) -> pd.Series:
    """Return the visit of each sample; None where the file names one that the plan does not know."""
    visit = _spelled(samples, rules.sample_visit_column, rules.sample_visits)
    at_progression = {PROGRESSION: rules.sample_visits[PROGRESSION]}
    by_type = _spelled(samples, rules.sample_type_column, at_progression).fillna(rules.baseline_visit)
    return visit.where(visit.notna() | _words(samples, rules.sample_visit_column).notna(), by_type)


def _sample_day(samples: pd.DataFrame, column: str) -> tuple[pd.Series, pd.DataFrame]:
    if column not in samples:
        return pd.Series(np.nan, index=samples.index), _queries([])
    day = read_numbers(samples[column])
    day = day.where((day != 0) & (day % 1 == 0))
    unread = samples.loc[day.isna() & samples[column].notna(), "SAMPLE_ID"]
    said = f"{column} is no study day; the day of the sample is unknown"
    todo = "give a whole number: the day of first dose is 1, the day before it -1"
    return day, _queries(
        [("SAMPLE_DAY_UNREAD", "warning", None, "samples", f"sample {name}", said, todo) for name in unread]
    )


def _misplaced(samples: pd.DataFrame, rules) -> pd.DataFrame:
    """Ask after samples whose visit has an unknown spelling, or contradicts their study day."""
    column, odd, rows = rules.sample_visit_column, list(_ASIDE)[2:], []
    for sample in samples[samples["CODE"].isin(odd)].to_dict("records"):
        if sample["CODE"] == "SAMPLE_VISIT_UNKNOWN":
            said = f"{column} is {sample[column]!r}, a spelling the plan does not know; not used"
            todo = "give a visit of biomarkers.sample_visits or add the spelling there; empty is baseline"
        else:
            said = f"baseline sample of study day {sample['ADY']:g}, after first dose; not used"
            todo = "check the day of the sample; if taken at progression, give it that visit"
        record = f"sample {sample['SAMPLE_ID']}"
        rows.append((sample["CODE"], "warning", sample["USUBJID"], "samples", record, said, todo))
    return _queries(rows)


def _set_aside(samples: pd.DataFrame) -> list[tuple]:
    known = samples["USUBJID"].notna()
    found = samples.assign(AVISIT=samples["AVISIT"].where(known & samples["AVISIT"].notna(), None))
    rows = found.loc[found["CODE"] != "", ["USUBJID", "AVISIT", "CODE", "SAMPLE_ID"]]
    return [
        (subject, visit, "record", code, f"tumour sample {name}: {_ASIDE[code]}")
        for code in _ASIDE
        for subject, visit, _, name in rows[rows["CODE"] == code].itertuples(index=False)
    ]


def _queries(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


def _matched_by_ending(samples: pd.DataFrame) -> pd.DataFrame:
    found = samples.loc[samples["PATIENT_ID"] != samples["USUBJID"], ["USUBJID", "SAMPLE_ID"]]
    said = "patient identifier equals the end of one USUBJID only; taken as that subject"
    todo = "use USUBJID as PATIENT_ID"
    return _queries(
        [
            ("SUBJECT_BY_ENDING", "note", subject, "samples", f"sample {name}", said, todo)
            for subject, name in found.itertuples(index=False)
        ]
    )


def _several(samples: pd.DataFrame) -> pd.DataFrame:
    """Ask after samples of one subject, kind and visit: an analysis takes one, and says here which."""
    # Mutations come from sequenced samples alone; among them the analysis takes the first identifier.
    ordered = samples.sort_values(["SEQUENCED", "SAMPLE_ID"], ascending=[False, True], kind="stable")
    rows = []
    for (subject, kind, visit), group in ordered.groupby(["USUBJID", "SAMPTYPE", "AVISIT"]):
        names = list(group["SAMPLE_ID"])
        if len(names) > 1:
            said = f"{len(names)} samples of kind {kind} at {visit}: {', '.join(names)}; {names[0]} is taken"
            todo = "confirm the sample, or give the others their visit or kind"
            record = f"sample {names[0]}"
            rows.append(("TUMOUR_SAMPLE_SEVERAL", "warning", subject, "samples", record, said, todo))
    return _queries(rows)


def _sample_depth(samples: pd.DataFrame, columns: list[str]) -> tuple[pd.Series, pd.DataFrame]:
    found = [name for name in columns if name in samples]
    if not found:
        return pd.Series(np.nan, index=samples.index), _queries([])
    depth = read_numbers(samples[found[0]])
    depth = depth.where(depth > 0)
    unread = samples.loc[depth.isna() & samples[found[0]].notna(), "SAMPLE_ID"]
    said = f"{found[0]} is no number of reads; the depth of the sample is unknown"
    todo = "give the depth as a number above 0"
    return depth, _queries(
        [("DEPTH_UNREAD", "warning", None, "samples", f"sample {name}", said, todo) for name in unread]
    )


def _spelled(samples: pd.DataFrame, column: str, spellings: dict[str, list[str]]) -> pd.Series:
    known = {word: ours for ours, words in spellings.items() for word in words}
    if column not in samples:
        return pd.Series(None, index=samples.index, dtype=object)
    return _words(samples, column).map(known).astype(object)


def _words(samples: pd.DataFrame, column: str) -> pd.Series:
    """Return what the column says in lower case; missing where it says nothing, or is not there."""
    if column not in samples:
        return pd.Series(None, index=samples.index, dtype="string")
    words = samples[column].astype("string").str.strip().str.lower()
    return words.mask(words == "")
