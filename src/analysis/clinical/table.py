"""Start from a ready time-to-event table: the plan says which columns mean what, as data.

The mapping (``clinical.table`` of the plan)::

    file: clinical.csv                 # under the study's raw folder; any format read_frame knows
    subject: patient_id
    age: age_years                     # optional
    sex: {column: sex, map: {Male: M, Female: F}}                     # optional
    time_unit: days                    # optional: unit of every time, days (default), weeks or months
    time_zero: [days_a_to_b, days_b_to_scan]       # day columns, summed; [] is the table's own day 0
    endpoints:
      - paramcd: OS
        param: Overall survival
        events:
          - {when: {column: status, op: "==", value: D}, day: days_a_to_last_contact, description: Death}
        censor_day: days_a_to_last_contact
        censor_description: Last follow-up
        not_after: DSS                             # optional: an endpoint this one cannot outlast; a query

Months become days as ``design.days_per_month`` says; no day is rounded, so that months stay what they
were. Only what the product leaves of a whole day (60.00000000000001) is that day again, or a landmark on it
would be decided by chance.
Without dates nobody knows who came first: the pilot is the first ``design.pilot_n`` subject numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.endpoints import ADTTE_COLUMNS
from analysis.clinical.queries import EXCLUSION_COLUMNS, QUERY_COLUMNS, STEP
from analysis.clinical.sdtm import FileBroken, read_frame
from analysis.clinical.subjects import ADSL_COLUMNS
from analysis.clinical.table_mapping import CONDITIONS, check_mapping, days_per_unit
from analysis.clinical.terms import to_number

_DATES = ["ENRLDT", "TRTSDT", "TRTEDT", "DTHDT", "LSTALVDT", "DCUTDT", "NACTDT"]
_NUMBER = re.compile(r"(\d+)")
# Days; a tenth of a second. What separates a whole day from the product of its months is a millionth of this.
_NOISE = 1e-6

REASONS = {
    "TIME_ZERO_MISSING": "a day that makes up time zero is missing",
    "DAY_MISSING": "the day of the event or of the last follow-up is missing",
    "EVENT_NOT_AFTER_START": "the event lies on or before time zero",
    "FOLLOWUP_NOT_AFTER_START": "follow-up ends on or before time zero",
}


class TableError(ValueError):
    """A ready table, or its mapping in the plan, that cannot be used; `problems` lists every reason."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__(f"{len(problems)} problem(s) with the ready table:\n" + "\n".join(problems))

    def __reduce__(self):
        return type(self), (self.problems,)


@dataclass(frozen=True)
class MappedTable:
    """What a ready table gives: ADSL, ADTTE (days only, no dates), ledger and queries."""

    adsl: pd.DataFrame
    adtte: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def read_mapped_table(raw_dir: str | Path, plan: plans.Plan) -> MappedTable:
    """Read the table the plan maps and derive ADSL and ADTTE from it.

    Time is the day of the earliest event (else of censoring) minus the day of time zero, in days, without the
    + 1 of calendar dates; times in weeks or months (`time_unit`) become days first, months = days / 30.4375.
    A time of zero or less, or a missing day, sets the subject aside for that endpoint, with a code in the
    ledger.

    Parameters
    ----------
    raw_dir : path
        The study's raw folder.
    plan : Plan
        ``clinical.table``, ``design.days_per_month`` and ``design.pilot_n``.

    Raises
    ------
    TableError
        For a mapping with unknown or missing names, a missing file or column, or two rows of one subject.
    """
    mapping = plan.clinical.table
    problems = check_mapping(mapping)
    if problems:
        raise TableError(problems)
    file = Path(raw_dir) / mapping["file"]
    if not file.is_file():
        raise TableError(
            [f"no file {mapping['file']!r} in the raw folder; put it there (clinical.table.file)"]
        )
    try:
        table = read_frame(file).astype(object)
    except FileBroken as error:
        raise TableError([str(error)]) from error
    table = table.where(table.notna() & table.ne(""), None)
    problems = _check_table(table, mapping)
    if problems:
        raise TableError(problems)
    table = table.set_index(table[mapping["subject"]].astype(str)).sort_index()
    month = plan.design.days_per_month
    days = _days(table, mapping, month)
    zero = sum((days[name] for name in mapping["time_zero"]), start=pd.Series(0.0, table.index))
    pieces = [_endpoint(table, days, zero, spec, month) for spec in mapping["endpoints"]]
    every = pd.concat(pieces, ignore_index=True).assign(STUDYID=plan.study.upper(), SRCDOM=mapping["file"])
    kept = every[every.CODE.isna()].sort_values(["USUBJID", "PARAMCD"], ignore_index=True)
    adsl = _subjects(table, mapping, plan.study.upper(), plan.design.pilot_n)
    return MappedTable(
        adsl, kept.reindex(columns=ADTTE_COLUMNS), _ledger(every), _queries(table, days, every, adsl, mapping)
    )


def _columns_used(mapping: Mapping) -> list[str]:
    names = [mapping["subject"], *mapping["time_zero"]]
    names += [mapping["age"]] if "age" in mapping else []
    names += [mapping["sex"]["column"]] if "sex" in mapping else []
    for endpoint in mapping["endpoints"]:
        names.append(endpoint["censor_day"])
        names += [name for event in endpoint["events"] for name in (event["when"]["column"], event["day"])]
    return list(dict.fromkeys(names))


def _check_table(table: pd.DataFrame, mapping: Mapping) -> list[str]:
    missing = [name for name in _columns_used(mapping) if name not in table]
    if missing:
        return [
            f"{mapping['file']} has no column {name!r}, which clinical.table names; add or map it"
            for name in missing
        ]
    repeated = [name for name in _columns_used(mapping) if isinstance(table[name], pd.DataFrame)]
    if repeated:
        return [f"{mapping['file']} has the column {name!r} twice; keep one" for name in repeated]
    if table.empty:
        return [f"{mapping['file']} has no rows; export it again"]
    subject = table[mapping["subject"]]
    twice = subject[subject.duplicated() & subject.notna()].unique()
    problems = (
        [f"{len(twice)} subject(s) have two rows, first: {', '.join(twice[:5])}; keep one"]
        if len(twice)
        else []
    )
    if subject.isna().any():
        problems.append(f"{int(subject.isna().sum())} row(s) without {mapping['subject']!r}; complete them")
    return problems


def _days(table: pd.DataFrame, mapping: Mapping, days_per_month: float) -> pd.DataFrame:
    """Return the columns that are times as numbers of days, whatever unit the mapping states."""
    names = [*mapping["time_zero"], *(spec["censor_day"] for spec in mapping["endpoints"])]
    names += [event["day"] for spec in mapping["endpoints"] for event in spec["events"]]
    unit = days_per_unit(mapping, days_per_month)
    days = pd.DataFrame({name: to_number(table[name]) * unit for name in names}, index=table.index)
    whole = days.round()
    return days.mask((days - whole).abs() < _NOISE, whole)


def _endpoint(
    table: pd.DataFrame, times: pd.DataFrame, zero: pd.Series, spec: Mapping, days_per_month: float
) -> pd.DataFrame:
    events = [_event_day(table, times, event) for event in spec["events"]]
    occurred = pd.concat([happened for happened, _ in events], axis=1).any(axis=1)
    days = pd.concat([day for _, day in events], axis=1).set_axis(range(len(events)), axis=1)
    unknown = pd.concat([happened & day.isna() for happened, day in events], axis=1).any(axis=1)
    first = days.fillna(np.inf).to_numpy().argmin(axis=1)
    censored = times[spec["censor_day"]]
    day = days.min(axis=1).where(occurred, censored).mask(unknown)
    time = day - zero
    out = pd.DataFrame({"USUBJID": table.index, "PARAMCD": spec["paramcd"], "PARAM": spec["param"]})
    out["AVAL"] = time.to_numpy()
    out["AVALM"] = out.AVAL / days_per_month
    out["CNSR"] = np.where(occurred, 0, 1)
    words = np.array([event["description"] for event in spec["events"]], dtype=object)[first]
    out["EVNTDESC"] = np.where(occurred, words, "Event free")
    out["CNSDTDSC"] = np.where(occurred, None, spec.get("censor_description", "Last follow-up"))
    sources = np.array([event["day"] for event in spec["events"]], dtype=object)[first]
    out["SRCVAR"] = np.where(occurred, sources, spec["censor_day"])
    out[["STARTDT", "ADT"]] = pd.NaT
    out["SRCSEQ"] = np.nan
    out["CODE"] = _refusals(zero, day, time, occurred)
    return out


def _event_day(table: pd.DataFrame, times: pd.DataFrame, event: Mapping) -> tuple[pd.Series, pd.Series]:
    when = event["when"]
    happened = CONDITIONS[when["op"]](table[when["column"]], when.get("value")).astype(bool)
    return happened, times[event["day"]].where(happened)


def _refusals(zero: pd.Series, day: pd.Series, time: pd.Series, occurred: pd.Series) -> np.ndarray:
    code = np.select(
        [zero.isna(), day.isna(), time.le(0) & occurred, time.le(0)],
        ["TIME_ZERO_MISSING", "DAY_MISSING", "EVENT_NOT_AFTER_START", "FOLLOWUP_NOT_AFTER_START"],
        "",
    ).astype(object)
    return np.where(code == "", None, code)


def _subjects(table: pd.DataFrame, mapping: Mapping, study: str, pilot_n: int) -> pd.DataFrame:
    adsl = pd.DataFrame({"USUBJID": table.index, "STUDYID": study, "SAFFL": "Y"}).reindex(
        columns=ADSL_COLUMNS
    )
    adsl[_DATES] = pd.NaT
    adsl["AGE"] = to_number(table[mapping["age"]]).to_numpy() if "age" in mapping else np.nan
    adsl["SEX"] = "U"
    if "sex" in mapping:
        adsl["SEX"] = table[mapping["sex"]["column"]].map(mapping["sex"]["map"]).fillna("U").to_numpy()
    pilot = sorted(table.index, key=_subject_order)[:pilot_n]
    adsl["PILOTFL"] = np.where(adsl.USUBJID.isin(pilot), "Y", "N")
    text = [name for name in ADSL_COLUMNS if name not in (*_DATES, "AGE", "ECOG")]
    adsl[text] = adsl[text].astype(object).where(adsl[text].notna(), None)
    return adsl


def _subject_order(name: str) -> list[tuple[bool, int, str]]:
    """Order subject numbers as a person counts them: 9 before 10, whatever letters stand around them."""
    parts = _NUMBER.split(name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]


def _ledger(every: pd.DataFrame) -> pd.DataFrame:
    out = every[every.CODE.notna()]
    # a subject without any endpoint left is one row of the flow; else one endpoint of it is set aside
    lost = ~out.USUBJID.isin(every.USUBJID[every.CODE.isna()]) & ~out.USUBJID.duplicated()
    ledger = pd.DataFrame({"STEP": STEP, "USUBJID": out.USUBJID, "AVISIT": None, "CODE": out.CODE})
    ledger["ITEM"] = np.where(lost, "subject", "record")
    ledger["REASON"] = out.PARAMCD + ": " + out.CODE.map(REASONS)
    return ledger[EXCLUSION_COLUMNS].sort_values(["CODE", "USUBJID", "ITEM"], ignore_index=True)


def _queries(
    table: pd.DataFrame, times: pd.DataFrame, every: pd.DataFrame, adsl: pd.DataFrame, mapping: Mapping
) -> pd.DataFrame:
    found = [
        (
            f"{name.upper()}_UNKNOWN",
            "warning",
            subjects,
            f"{name} is missing or not in the plan's map",
            "complete it",
        )
        for name, subjects in (
            ("age", adsl.USUBJID[adsl.AGE.isna()]),
            ("sex", adsl.USUBJID[adsl.SEX.eq("U")]),
        )
        if name in mapping
    ]
    for spec in mapping["endpoints"]:
        last = times[spec["censor_day"]]
        late = [day.gt(last) for _, day in (_event_day(table, times, event) for event in spec["events"])]
        subjects = table.index[pd.concat(late, axis=1).any(axis=1)]
        message = f"{spec['paramcd']}: an event after {spec['censor_day']}"
        found.append(
            ("EVENT_AFTER_FOLLOWUP", "warning", subjects, message, "check both days; the event counts")
        )
        if "not_after" in spec:
            found.append(_outlasting(every, spec["paramcd"], spec["not_after"]))
    refused = every[every.CODE.notna()]
    rows = [(STEP, code, grade, who, mapping["file"], "", message, action)
            for code, grade, subjects, message, action in found for who in subjects]  # fmt: skip
    rows += [
        (
            STEP,
            row.CODE,
            "error",
            row.USUBJID,
            mapping["file"],
            row.PARAMCD,
            REASONS[row.CODE],
            "check the days",
        )
        for row in refused.itertuples()
    ]
    return pd.DataFrame(rows, columns=QUERY_COLUMNS)


def _outlasting(every: pd.DataFrame, paramcd: str, other: str) -> tuple[str, str, list[str], str, str]:
    """Ask about subjects whose one endpoint ends after the other; both records count as they are.

    A date of contact behind one of them is too early, and nothing tells which; time to a recurrence seen
    later than the last contact is still time without one.
    """
    days = every.pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL", dropna=False)
    subjects = days.index[days[paramcd] > days[other]].tolist()
    message = f"{paramcd} ends after {other}"
    return (
        f"{paramcd}_AFTER_{other}",
        "warning",
        subjects,
        message,
        "check both days; the records count as they are",
    )
