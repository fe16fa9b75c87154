"""One contract per table that crosses a notebook boundary: its row, its key, its columns and units.

Checked when a table is written and when it is read; ``data/README.md`` is generated from here.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrors

from analysis.contracts.biomarkers import BIOMARKER_CONTRACTS
from analysis.contracts.clinical import CLINICAL_CONTRACTS
from analysis.contracts.fields import SUBJECT as _SUBJECT
from analysis.contracts.fields import YN
from analysis.contracts.fields import date as _date
from analysis.contracts.fields import number as _number
from analysis.contracts.fields import table as _table
from analysis.contracts.fields import text as _text
from analysis.contracts.pet import PET_CONTRACTS


class ContractError(ValueError):
    """A table that breaks its contract: names the table, the column, the rule and how many rows."""


_EXCLUSIONS = {
    "STEP": _text("notebook that set it aside", nullable=False),
    "USUBJID": _text("subject; missing where the item belongs to none"),
    "AVISIT": _text("visit, where there is one"),
    "ITEM": _text("what was set aside: subject, scan, lesion or record", nullable=False),
    "CODE": _text("reason as a code", nullable=False),
    "REASON": _text("reason in words and what to do", nullable=False),
}

_QUERIES = {
    "STEP": _text("notebook that asks", nullable=False),
    "CODE": _text("kind of query", nullable=False),
    "SEVERITY": _text("error, warning or note", nullable=False, isin=["error", "warning", "note"]),
    "USUBJID": _text("subject"),
    "DOMAIN": _text("domain or table"),
    "RECORD": _text("record: sequence number, visit or lesion"),
    "MESSAGE": _text("what was found", nullable=False),
    "ACTION": _text("what to do about it", nullable=False),
}


_ESTIMATE_TEXT = {
    "ENDPOINT": "endpoint (PARAMCD of adtte, or of adtte_sensitivity under another censoring rule)",
    "POPULATION": "who is analysed: a population of the plan, or a part of one",
    "LANDMARK": "time zero: scan, fixed (the plan's day), none (start of treatment), time_dependent",
    "TIMEPOINT": "day of the scan that gave the class",
    "METRIC": "quantity the rule reads",
    "RULE": "rule of response, or per_doubling of a continuous metric",
    "CONTRAST": "group the estimate is of; of a hazard ratio, the numerator",
    "REFERENCE": "group it is compared with; missing where it is of one group alone",
    "METHOD": "how it was found, as a code: cox, km_median, log_rank, two_stage, cut_sweep and so on",
    "ESTIMATOR": "ML (partial likelihood), FIRTH (penalised), KM and so on; APPARENT or CORRECTED (optimism)",
    "TIES": "handling of tied times: efron or breslow",
    "ROLE": "PRIMARY, SECONDARY, SENSITIVITY, DESCRIPTIVE or EXPLORATORY",
    "LABEL": "what tells the row apart, in words; marks such as post hoc stand here",
}
_ESTIMATE_COUNTS = {
    "N": "subjects",
    "EVENTS": "events",
    "N_EXPOSED": "subjects of CONTRAST",
    "EVENTS_EXPOSED": "events in CONTRAST",
    "N_REFERENCE": "subjects of REFERENCE",
    "EVENTS_REFERENCE": "events in REFERENCE",
}

CONTRACTS: dict[str, pa.DataFrameSchema] = {
    "manifest": _table(
        "a file of the simulated study",
        {
            "PATH": _text("path under the raw folder", nullable=False),
            "BYTES": _number("size, bytes", nullable=False),
            "SHA256": _text("SHA-256 of the content", nullable=False),
        },
        ["PATH"],
    ),
    **CLINICAL_CONTRACTS,
    **PET_CONTRACTS,
    "pilot_evidence": _table(
        "a piece of evidence on the two candidate days",
        {
            "SET": _text(
                "DECISION (pilot, what was known on the decision date), FINAL (pilot, all follow-up) or "
                "EVERYONE (every subject with both scans, all follow-up); only DECISION decides",
                nullable=False,
            ),
            "ITEM": _text("quantity", nullable=False),
            "TIMEPOINT": _text("day, or the later minus the earlier", nullable=False),
            "ESTIMATE": _number("value"),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "P": _number("two-sided p-value"),
            "N": _number("patients"),
            "EVENTS": _number("events behind it"),
            "METHOD": _text("method"),
            "ROLE": _text("DECIDES (read by a decision rule), DESCRIPTIVE or SENSITIVITY", nullable=False),
        },
        ["SET", "ITEM", "TIMEPOINT", "METHOD"],
    ),
    "pilot_behaviour": _table(
        "a decision rule in one simulated truth",
        {
            "TRUTH": _text("which day is truly better", nullable=False),
            "C_EARLIER": _number("true C of the earlier day", nullable=False),
            "C_LATER": _number("true C of the later day", nullable=False),
            "DATA": _text("MATURE (all events) or DECISION (known on the decision date)", nullable=False),
            "RULE": _text("decision rule; PLAN is the plan's with its fallback", nullable=False),
            "SHARE_LATER": _number("share of simulated pilots that choose the later day", nullable=False),
            "SE": _number("Monte Carlo standard error", nullable=False),
            "COST": _number("mean cost of its errors, in units of missing a better later day"),
            "N": _number("patients a simulated pilot", nullable=False),
            "EVENTS": _number("mean events known", nullable=False),
            "TRIALS": _number("simulated pilots", nullable=False),
            "FALLBACK": _number("rows PLAN: share of simulated pilots that the fallback decides"),
        },
        ["TRUTH", "DATA", "RULE"],
    ),
    "diagnostics": _table(
        "a subject's part in the main model of one endpoint",
        {
            **_SUBJECT,
            "ENDPOINT": _text("endpoint", nullable=False),
            "GROUP": _text("exposure group", nullable=False),
            "TIME": _number("time from the landmark, months", nullable=False),
            "EVENT": pa.Column(bool, coerce=True, description="event (True) or censored"),
            "SCHOENFELD": _number("scaled Schoenfeld residual plus the log hazard ratio; events only"),
            "MARTINGALE": _number("martingale residual"),
            "DEVIANCE": _number("deviance residual"),
            "HR_WITHOUT": _number("hazard ratio without this subject"),
        },
        ["USUBJID", "ENDPOINT"],
    ),
    "analysis_set": _table(
        "a subject of the landmark analysis of one endpoint",
        {
            **_SUBJECT,
            "ENDPOINT": _text("endpoint", nullable=False),
            "TIMEPOINT": _text("day of the scan", nullable=False),
            "GROUP": _text("exposure group", nullable=False),
            "SCORE": _number("continuous exposure"),
            "LANDMARKDT": _date("time zero of this patient; missing where the study gives days only"),
            "TIME": _number("time from the landmark, months", nullable=False),
            "EVENT": pa.Column(bool, coerce=True, description="event (True) or censored"),
        },
        ["USUBJID", "ENDPOINT"],
    ),
    "curves": _table(
        "a step of a Kaplan-Meier curve",
        {
            "CURVE": _text(
                "landmark (time zero is each patient's landmark) or simon_makuch (from the endpoint's time "
                "zero, patients change group at the scan)",
                nullable=False,
            ),
            "ENDPOINT": _text("endpoint", nullable=False),
            "GROUP": _text("group", nullable=False),
            "TIME": _number("time, months", nullable=False),
            "SURVIVAL": _number("estimate", nullable=False),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "AT_RISK": _number("subjects with T >= t", nullable=False),
            "EVENTS": _number("events at t", nullable=False),
            "CENSORED": _number("censored at t", nullable=False),
        },
        ["CURVE", "ENDPOINT", "GROUP", "TIME"],
    ),
    "estimates": _table(
        "one estimate",
        {
            **{name: _text(words) for name, words in _ESTIMATE_TEXT.items()},
            "CUT": _number("cut, percent fall"),
            "ESTIMATE": _number("estimate (hazard ratio: non-responder / responder)"),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "P": _number("two-sided p-value"),
            **{name: _number(words) for name, words in _ESTIMATE_COUNTS.items()},
        },
        None,
    ),
    "specifications": _table(
        "a specification of the main comparison: one set of choices a reviewer would accept",
        {
            "SPECIFICATION": _number("number, in the order of the plan", nullable=False),
            **{
                name: _text(words, nullable=False)
                for name, words in {
                    "ENDPOINT": "endpoint",
                    "TIMEPOINT": "day of the scan",
                    "METRIC": "quantity the rule reads",
                    "RULE": "rule of the plan",
                    "POPULATION": "who belongs to it",
                    "LANDMARK": "time zero: scan, fixed or none",
                    "CENSORING": "endpoint under its censoring rule (PARAMCD of adtte or adtte_sensitivity)",
                }.items()
            },
            "CUT": _number("cut, percent fall; missing where it is not known"),
            "ROLE": _text("PRIMARY (the primary analysis) or SENSITIVITY", nullable=False),
            "POSTHOC": _text("a choice made after seeing outcomes", nullable=False, isin=YN),
            "STATUS": _text(
                "ESTIMATED, SAME (means what another specification means), NOT_APPLICABLE or NOT_ESTIMABLE",
                nullable=False,
                isin=["ESTIMATED", "SAME", "NOT_APPLICABLE", "NOT_ESTIMABLE"],
            ),
            "REASON": _text("why it is not estimated, or with which specification it is the same"),
            "ESTIMATOR": _text("ML or FIRTH"),
            "ESTIMATE": _number("hazard ratio, non-responder against responder"),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "P": _number("two-sided p-value, not corrected for the other specifications"),
            "N": _number("subjects"),
            "EVENTS": _number("events"),
            "N_EXPOSED": _number("non-responders"),
            "EVENTS_EXPOSED": _number("events in non-responders"),
            "RANK": _number("place in the curve, 1 for the smallest estimate"),
            "NULL_LOWER": _number(
                "hazard ratio at this place of the curve without any effect: 2.5th percentile"
            ),
            "NULL_MEDIAN": _number("the same, median"),
            "NULL_UPPER": _number("the same, 97.5th percentile"),
        },
        ["SPECIFICATION"],
    ),
    "misclassification": _table(
        "what measurement error does to the classes and to the hazard ratio",
        {
            "QUANTITY": _text(
                "class_change, not_evaluable, nonresponse (shares of patients), hazard_ratio, attenuation "
                "(share of the ln hazard ratio, negative where error adds), simex (without error), "
                "simex_curve, nonresponse_true (chance of the class given a true change)",
                nullable=False,
            ),
            "ENDPOINT": _text("endpoint, where it is a hazard ratio"),
            "CV": _number("within-subject CV of one lesion, percent", nullable=False),
            "CORRELATION": _number("correlation of the errors of two lesions of a scan", nullable=False),
            "LEVEL": _number("variance of the error added, times that of one scan; -1: none left"),
            "LESIONS": _number("lesions of a patient, or the first count of a stratum of them"),
            "FALL": _number("true change, percent fall"),
            "ESTIMATE": _number("share or hazard ratio"),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "N": _number("subjects"),
            "DRAWS": _number("redrawn studies"),
        },
        None,
    ),
    "operating_characteristics": _table(
        "how one analysis behaves in one simulated truth",
        {
            "TRUTH": _text("what is planted", nullable=False),
            "SIZE": _text("size and follow-up of the trial", nullable=False),
            "ENDPOINT": _text("endpoint", nullable=False),
            "QUANTITY": _text(
                "rejection (type I error where nothing is planted, else power), coverage, bias (of the ln "
                "hazard ratio), estimate (median hazard ratio), not_finite (share without a finite "
                "estimate), later_day (share of pilots that take it), better_day (share that take the "
                "better), fallback, events, patients (analysed from the landmark), enrolled, nonresponse, "
                "truth (hazard ratio); where nothing is planted: inflation (rejections that choosing the day "
                "adds, against a day taken by lot), inflation_up and inflation_down (with a ratio above and "
                "below 1), typical (median of the larger of hazard ratio and its inverse)",
                nullable=False,
            ),
            "METHOD": _text("analysis, day or rule", nullable=False),
            "ESTIMATE": _number("value"),
            "SE": _number("Monte Carlo standard error"),
            "TARGET": _number("value where theory promises one"),
            "TRIALS": _number("virtual trials behind it", nullable=False),
            "LABEL": _text("in words", nullable=False),
        },
        ["TRUTH", "SIZE", "ENDPOINT", "QUANTITY", "METHOD"],
    ),
    "planning": _table(
        "the size a trial needs, by one method",
        {
            "HR": _number("expected hazard ratio", nullable=False),
            "SHARE": _number("share of non-responders", nullable=False),
            "ACCRUAL": _number("accrual, months", nullable=False),
            "FOLLOWUP": _number("follow-up of the last patient, months", nullable=False),
            "MEDIAN": _number("median event-free time of all patients, months", nullable=False),
            "METHOD": _text(
                "schoenfeld; simulation (events when they occur); simulation_grid (seen on scans)",
                nullable=False,
            ),
            "POWER": _number("power asked for", nullable=False),
            "EVENTS": _number("events needed"),
            "PATIENTS": _number("patients needed"),
            "FOUND": _number("simulated power at the size Schoenfeld gives"),
            "SE": _number("its Monte Carlo standard error"),
            "TRIALS": _number("simulated trials"),
        },
        ["HR", "METHOD"],
    ),
    "proportions": _table(
        "a proportion of metabolic non-responders",
        {
            "TIMEPOINT": _text("day of the scan", nullable=False),
            "METRIC": _text("quantity the rule reads", nullable=False),
            "RULE": _text("rule of the plan", nullable=False),
            "CUT": _number("cut, percent fall", nullable=False),
            "METHOD": _text("interval: clopper_pearson or wilson", nullable=False),
            "CASE": _text(
                "observed; lowest and highest: every patient not evaluable a responder, or a non-responder",
                nullable=False,
            ),
            "ESTIMATE": _number("proportion, 0-1"),
            "LOWER": _number("lower limit"),
            "UPPER": _number("upper limit"),
            "N_NONRESPONDER": _number("metabolic non-responders"),
            "N": _number("subjects classified"),
            "N_MISSING": _number("subjects not evaluable"),
            "LABEL": _text("post hoc cut, where it is one"),
        },
        ["TIMEPOINT", "METRIC", "RULE", "CUT", "METHOD", "CASE"],
    ),
    **BIOMARKER_CONTRACTS,
}

FAMILIES = {
    "exclusions": _table("an item set aside", _EXCLUSIONS, None),
    "queries": _table("a query", _QUERIES, None),
}


def contract_of(table: str) -> pa.DataFrameSchema:
    """Return the contract of `table`; ``exclusions_NN`` and ``queries_NN`` share one each."""
    schema = CONTRACTS.get(table) or FAMILIES.get(table.rsplit("_", 1)[0])
    if schema is None:
        raise ContractError(f"no contract for a table named {table!r}")
    return schema


def check(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` in the contract's column order and types, or raise.

    Raises
    ------
    ContractError
        Naming the table, each broken column and rule, and the number of rows that break it; never a value.
    """
    schema = contract_of(table)
    missing = [name for name in schema.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in schema.columns]
    if missing or extra:
        raise ContractError(f"{table}: missing columns {missing}, unknown columns {extra}")
    ordered = frame[list(schema.columns)].reset_index(drop=True)
    try:
        return schema.validate(ordered, lazy=True)
    except (SchemaErrors, SchemaError) as error:
        cases = error.failure_cases
        if not isinstance(cases, pd.DataFrame):
            raise ContractError(f"{table}: {error.reason_code}") from error
        counts = cases.groupby(["column", "check"], dropna=False).size()
        broken = "; ".join(f"{column}: {rule} ({count} rows)" for (column, rule), count in counts.items())
        raise ContractError(f"{table} breaks its contract: {broken}") from error


def columns(table: str) -> list[str]:
    """Return the names of the columns of `table`, in the contract's order."""
    return list(contract_of(table).columns)


def empty(table: str) -> pd.DataFrame:
    """Return the table of that contract without rows."""
    columns = contract_of(table).columns
    return check(table, pd.DataFrame({name: pd.Series(dtype=object) for name in columns}))


def dictionary(table: str) -> pd.DataFrame:
    """Tabulate the contract: column, type, may be missing, meaning."""
    rows = [
        (name, str(column.dtype), "yes" if column.nullable else "no", column.description or "")
        for name, column in contract_of(table).columns.items()
    ]
    return pd.DataFrame(rows, columns=["column", "type", "may be missing", "meaning"])


def dictionary_text() -> str:
    """Return the dictionary of every table as Markdown; ``data/README.md`` ends with it."""
    parts = []
    for table in [*CONTRACTS, *FAMILIES]:
        schema = contract_of(table if table in CONTRACTS else f"{table}_01")
        name = table if table in CONTRACTS else f"{table}_<NN>"
        key = f" Key: {', '.join(schema.unique)}." if schema.unique else ""
        rows = [
            f"| {column} | {kind} | {missing} | {meaning} |"
            for column, kind, missing, meaning in dictionary(
                table if table in CONTRACTS else f"{table}_01"
            ).itertuples(index=False)
        ]
        head = ["| column | type | may be missing | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([f"### {name}", f"One row: {schema.description}.{key}", "", *head, *rows]))
    return "\n\n".join(parts) + "\n"
