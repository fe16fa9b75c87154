"""A study with a ready table of measurements: one row a subject, one column a visit, one lesion a subject.

Any imaging will do (the longest diameter on MRI, say): nothing here asks for uptake. The mapping is data of
the plan, `pet.measurements_table`::

    file: patients.csv                       # CSV under the study's raw folder
    subject: SUBJECTID
    metric: LDIAM                            # METRIC of adpet
    unit: mm                                 # unit of the values, as the tables write it
    lesion: L1                               # LESIONID of the one lesion
    organ: breast                            # optional
    visits: {D0: DIAMETER_BASELINE, MRI1: DIAMETER_EARLY, MRI2: DIAMETER_LATER}
    limit: 5.0                               # optional, limit of measurement in that unit
    below_limit: half                        # half, limit or refuse: what a value below it becomes

A lesion that cannot be seen has a size all the same, and a ratio to it needs one: under ``half`` a value
below half the limit (0 above all) is put at half the limit, under ``limit`` one below the limit at the limit,
so that a larger lesion never counts as the smaller one. A baseline below the limit is refused: whatever stood
for it would decide the ratio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.pet import quality
from analysis.pet.measurement_records import empty_table
from analysis.pet.measurements_in import Measurements
from analysis.pet.reference_regions import BASELINE

BELOW_LIMIT = "BELOW_LIMIT"
_NEEDED = {"file", "subject", "metric", "unit", "lesion", "visits"}
_OPTIONAL = {"organ", "limit", "below_limit"}
_BELOW = ("half", "limit", "refuse")
_REASONS = {
    "MEASUREMENT_MISSING": "no value; missing stays missing",
    "MEASUREMENT_NOT_NUMERIC": "its value is no number; correct it",
    "MEASUREMENT_NEGATIVE": "its value is negative; correct it",
    "MEASUREMENT_ZERO": "its value is 0 and the plan states no limit of measurement; state it (limit)",
    "BASELINE_BELOW_LIMIT": "a baseline below the limit of measurement is no ground for a ratio",
    "MEASUREMENT_BELOW_LIMIT": "its value lies below the limit of measurement, which the plan refuses",
    "SUBJECT_NOT_IN_ADSL": "no subject of ADSL has this number; correct it, or add the subject",
}
_NOBODY = "no measurement of this subject is in the table; send it, or correct the subject's number"


def check_table_mapping(mapping: Mapping[str, Any], plan: plans.Plan) -> list[str]:
    """List what is wrong with `pet.measurements_table`: names, visits, unit, limit.

    Parameters
    ----------
    mapping : mapping
        As at the head of this module.
    plan : Plan
        `design.followup_visits` and `pet.measurements_units`.

    Returns
    -------
    list of str
        One line a problem.
    """
    where = "pet.measurements_table"
    known = _NEEDED | _OPTIONAL
    problems = [
        f"{where}: unknown name {name!r}; known: {', '.join(sorted(known))}"
        for name in sorted(set(mapping) - known)
    ]
    problems += [f"{where}: {name!r} is missing" for name in sorted(_NEEDED - set(mapping))]
    visits, wanted = mapping.get("visits", {}), [BASELINE, *plan.design.followup_visits]
    if not isinstance(visits, Mapping) or (visits and set(visits) != set(wanted)):
        problems.append(f"{where}: visits must name a column for each of {', '.join(wanted)} and no other")
    units = plan.pet.measurements_units
    if mapping.get("unit", next(iter(units))) not in units:
        problems.append(f"{where}: unit {mapping['unit']!r} is none of the tables' ({', '.join(units)})")
    limit = mapping.get("limit", 0.0)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < np.inf:
        problems.append(f"{where}: limit must be a number, at least 0")
    if mapping.get("below_limit", "half") not in _BELOW:
        problems.append(f"{where}: below_limit must be one of {', '.join(_BELOW)}")
    return problems


def read_measurement_table(
    table: pd.DataFrame | None,
    adsl: pd.DataFrame,
    plan: plans.Plan,
    *,
    decisions: pd.DataFrame | None = None,
    step: str = "02",
) -> Measurements:
    """Read the measurements of a study from one wide table.

    Parameters
    ----------
    table : DataFrame or None
        The file of the mapping, as text.
    adsl : DataFrame
        USUBJID, and STUDYID SITEID where known.
    plan : Plan
        Sections ``pet`` (`measurements_table`, `measurements_units`) and ``design`` (`followup_visits`).
    decisions : DataFrame, optional
        ``reader_decisions.csv``.
    step : str
        Number of the notebook, for the ledger.

    Returns
    -------
    Measurements
        A scan is a filled cell; it has no date. EVALFL and TARGETFL are Y for a lesion with a usable
        baseline: no threshold of uptake applies to it. Rows flagged BELOW_LIMIT hold a value below the limit
        of measurement, put at what the plan says or, where it is at least that, as sent; each is a query
        (note).
        `files` counts the cells by what became of them.

    Raises
    ------
    FileNotFoundError
        NO_MEASUREMENT_TABLE without the file.
    ValueError
        MEASUREMENT_TABLE for a mapping or a table that cannot be used; every problem is listed.
    """
    mapping = plan.pet.measurements_table
    _refuse(check_table_mapping(mapping, plan))
    if table is None:
        raise FileNotFoundError(
            f"NO_MEASUREMENT_TABLE: no file {mapping['file']!r} in the raw folder; put it there "
            "(pet.measurements_table)"
        )
    _refuse(list(_check_columns(table, mapping)))
    study = next(iter(adsl["STUDYID"].dropna()), plan.study) if "STUDYID" in adsl else plan.study
    cells = _judge(_cells(table, mapping, adsl), mapping)
    scans = _scans(cells, adsl, mapping, study)
    adpet = _adpet(cells, mapping, study)
    decisions = contracts.empty("reader_decisions") if decisions is None else decisions
    parts = [pd.DataFrame(_ask(cells, mapping), columns=quality.QUERY_COLUMNS)]
    parts += [quality.check_decisions(decisions, adpet)] if len(decisions) else []
    queries = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    queries.insert(0, "STEP", step)
    columns = ["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"]
    exclusions = pd.DataFrame(_exclusions(cells, adsl, mapping), columns=columns).assign(STEP=step)
    fate = np.select([cells["CODE"].isna(), cells["CODE"].eq("MEASUREMENT_MISSING")],
                     ["used as measurement", "empty"], "set aside")  # fmt: skip
    return Measurements(
        adpet, scans, exclusions, queries, _lesion_map(adpet), decisions, files=Counter(fate.tolist())
    )


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError(f"MEASUREMENT_TABLE: {len(problems)} problem(s)\n" + "\n".join(problems))


def _check_columns(table: pd.DataFrame, mapping: Mapping[str, Any]) -> Iterator[str]:
    file, name = mapping["file"], mapping["subject"]
    for column in dict.fromkeys([name, *mapping["visits"].values()]):
        if column not in table:
            yield f"{file} has no column {column!r}, which pet.measurements_table names; add or map it"
        elif isinstance(table[column], pd.DataFrame):
            yield f"{file} has the column {column!r} twice; keep one"
    if name in table and not isinstance(table[name], pd.DataFrame):
        subject = table[name].astype("string").str.strip().replace("", pd.NA)
        twice = subject[subject.duplicated() & subject.notna()].unique()
        if len(twice):
            yield f"{len(twice)} subject(s) have two rows, first: {', '.join(twice[:5])}; keep one"
        if subject.isna().any():
            yield f"{int(subject.isna().sum())} row(s) without {name!r}; complete them"
    if table.empty:
        yield f"{file} has no rows; export it again"


def _cells(table: pd.DataFrame, mapping: Mapping[str, Any], adsl: pd.DataFrame) -> pd.DataFrame:
    """One row a subject and visit, sorted: USUBJID AVISIT COLUMN TEXT VALUE INADSL."""
    wide = table.assign(USUBJID=table[mapping["subject"]].astype(str).str.strip()).sort_values("USUBJID")
    parts = [
        pd.DataFrame({"USUBJID": wide["USUBJID"], "ORDER": order, "AVISIT": visit, "COLUMN": column,
                      "TEXT": wide[column].astype("string").str.strip().replace("", pd.NA)})
        for order, (visit, column) in enumerate(mapping["visits"].items())
    ]  # fmt: skip
    cells = pd.concat(parts).sort_values(["USUBJID", "ORDER"], kind="stable", ignore_index=True)
    value = pd.to_numeric(cells["TEXT"], errors="coerce").astype("Float64").to_numpy(float, na_value=np.nan)
    return cells.assign(VALUE=value, INADSL=cells["USUBJID"].isin(adsl["USUBJID"]))


def _judge(cells: pd.DataFrame, mapping: Mapping[str, Any]) -> pd.DataFrame:
    """Add CODE (why a cell is not used), AVAL and SMALL (below the limit of measurement)."""
    limit, policy = float(mapping.get("limit", 0.0)), mapping.get("below_limit", "half")
    value, base = cells["VALUE"], cells["AVISIT"].eq(BASELINE)
    small = value.lt(limit)
    reasons = {
        "MEASUREMENT_MISSING": cells["TEXT"].isna(),
        "SUBJECT_NOT_IN_ADSL": ~cells["INADSL"],
        "MEASUREMENT_NOT_NUMERIC": ~np.isfinite(value),
        "MEASUREMENT_NEGATIVE": value.lt(0),
        "BASELINE_BELOW_LIMIT": base & small,
        "MEASUREMENT_BELOW_LIMIT": small & (policy == "refuse"),
        "MEASUREMENT_ZERO": value.eq(0) & (limit == 0),
    }
    code = pd.Series(np.select(list(reasons.values()), list(reasons), ""), cells.index, dtype=object)
    floor = limit / 2 if policy == "half" else limit
    aval = value.clip(lower=floor).where(code.eq(""))
    return cells.assign(CODE=code.where(code.ne(""), None), AVAL=aval, SMALL=small & code.eq(""))


def _scans(cells: pd.DataFrame, adsl: pd.DataFrame, mapping: Mapping[str, Any], study: str) -> pd.DataFrame:
    """Build scan_qc: a row a filled cell of a subject of ADSL; there are no dates and no facts."""
    made = cells[cells["TEXT"].notna() & cells["INADSL"]].reset_index(drop=True)
    site = adsl.drop_duplicates("USUBJID").set_index("USUBJID")["SITEID"] if "SITEID" in adsl else {}
    table = empty_table("scan_qc").reindex(range(len(made)))
    return table.assign(
        STUDYID=study, USUBJID=made["USUBJID"], AVISIT=made["AVISIT"],
        SITEID=made["USUBJID"].map(site).astype(object),
        PATH=[f"{mapping['file']}#{number}" for number in range(1, len(made) + 1)],
        STATUS=np.where(made["CODE"].isna(), "OK", "REFUSED"),
        CODE=made["CODE"], MESSAGE=made["CODE"].map(_REASONS).astype(object),
        FLAGS=pd.Series(BELOW_LIMIT, made.index, dtype=object).where(made["SMALL"], None),
    )  # fmt: skip


def _adpet(cells: pd.DataFrame, mapping: Mapping[str, Any], study: str) -> pd.DataFrame:
    used = cells[cells["CODE"].isna()].reset_index(drop=True)
    known = used["USUBJID"].isin(used.loc[used["AVISIT"].eq(BASELINE), "USUBJID"])
    flag = pd.Series("Y", used.index, dtype=object).where(known, None)
    table = used[["USUBJID", "AVISIT", "AVAL"]].assign(
        STUDYID=study, LESIONID=mapping["lesion"], METRIC=mapping["metric"], UNIT=mapping["unit"],
        ROLE="LESION", ORGAN=mapping.get("organ"), ADT=pd.NaT, EVALFL=flag, TARGETFL=flag,
        FLAGS=pd.Series(BELOW_LIMIT, used.index, dtype=object).where(used["SMALL"], None),
    )  # fmt: skip
    order = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
    return table[contracts.columns("adpet")].sort_values(order, kind="stable", ignore_index=True)


def _lesion_map(adpet: pd.DataFrame) -> pd.DataFrame:
    """Map the one lesion of every scan to itself; without a baseline value it is no new lesion."""
    table = adpet[["USUBJID", "AVISIT", "LESIONID"]].assign(
        DRAWNID=adpet["LESIONID"], STATUS=np.where(adpet["AVISIT"].eq(BASELINE), "BASELINE", "SAME"),
        SOURCE="NAME", DICE=np.nan, DISTANCEMM=np.nan, FLAGS=None,
    )  # fmt: skip
    return table[contracts.columns("lesion_map")]


def _exclusions(cells: pd.DataFrame, adsl: pd.DataFrame, mapping: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List every cell that gives no value; a subject without any filled cell is one row."""
    file, filled = mapping["file"], set(cells.loc[cells["TEXT"].notna(), "USUBJID"])
    rows = [
        {"USUBJID": row.USUBJID, "AVISIT": row.AVISIT, "CODE": row.CODE,
         "ITEM": "scan" if row.CODE == "MEASUREMENT_MISSING" else "record",
         "REASON": f"{file}, {row.COLUMN}: {_REASONS[row.CODE]}"}
        for row in cells[cells["CODE"].notna()].itertuples(index=False) if row.USUBJID in filled
    ]  # fmt: skip
    return rows + [
        {"USUBJID": name, "AVISIT": None, "ITEM": "subject", "CODE": "NO_PET_SCAN", "REASON": _NOBODY}
        for name in sorted(set(adsl["USUBJID"]) - filled)
    ]


def _ask(cells: pd.DataFrame, mapping: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Note each value below the limit of measurement, and ask for what cannot be read."""
    unit, small = mapping["unit"], cells[cells["SMALL"]]
    floor = f"the limit of measurement ({mapping.get('limit', 0):g} {unit})"
    notes = [
        {"CODE": BELOW_LIMIT, "SEVERITY": "note", "USUBJID": row.USUBJID, "DOMAIN": mapping["file"],
         "RECORD": f"{row.AVISIT} {mapping['lesion']}",
         "MESSAGE": f"{row.VALUE:g} {unit} lies below {floor}; "
         + (f"{row.AVAL:g} {unit} stands for it" if row.AVAL != row.VALUE else "it is used as sent"),
         "ACTION": "nothing, if the lesion could not be seen or measured"}
        for row in small.itertuples(index=False)
    ]  # fmt: skip
    wrong = cells[cells["CODE"].notna() & cells["CODE"].ne("MEASUREMENT_MISSING")]
    return notes + [
        {"CODE": row.CODE, "SEVERITY": "error", "USUBJID": row.USUBJID, "DOMAIN": mapping["file"],
         "RECORD": f"{row.AVISIT} {mapping['lesion']}", "MESSAGE": _REASONS[row.CODE],
         "ACTION": "correct the table"} for row in wrong.itertuples(index=False)
    ]  # fmt: skip
