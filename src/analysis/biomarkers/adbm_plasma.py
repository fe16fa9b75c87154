"""Rows of adbm from serial plasma, and what must be asked about the table that was sent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS
from analysis.biomarkers.plasma import (
    DETECTED,
    NOT_ASSESSABLE,
    NOT_DETECTED,
    PROGRESSION,
    call_samples,
    detected_level,
    select_assays,
    select_visit,
)
from analysis.biomarkers.plasma_visits import ask_visits

_COLUMNS = [
    *("USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "ADT", "ADY", "ASSAY", "PARAMCD", "PARTYPE"),
    *("AVAL", "AVALC", "LOD", "DEPTH"),
]
_GENE_WORDS = {DETECTED: "MUTATED", NOT_DETECTED: "WT", NOT_ASSESSABLE: NOT_ASSESSABLE}
_ONE_RESULT = ["SAMPLEID", "ASSAY", "GENE", "VARIANT"]
_SHOWN = 5


def plasma_rows(draws: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Return the rows of adbm of serial plasma.

    For each sample CTDNA (AVAL the largest VAF) and, where given, TUMFRAC; for each gene the table reports on
    a MUT row: MUTATED where a variant was detected (AVAL the largest VAF), WT where all were looked for and
    not detected (AVAL 0), NOT ASSESSABLE where the assay failed for any of them. A gene the table does not
    name has no row: nobody said that it was looked at. TUMFRAC has no LOD: the table's limit is of the VAF,
    which is no tumour fraction (about half of it for a clonal heterozygous variant in a diploid region).

    Parameters
    ----------
    draws : DataFrame
        As `assign_visits` returns.
    rules : Section, optional
        The plan's section ``biomarkers``: which assay counts.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    called = call_samples(draws, rules=rules)
    ctdna = called.assign(PARAMCD="CTDNA", PARTYPE="CTDNA", AVAL=called["VAF"], AVALC=called["RESULT"])
    fraction = called[called["TUMFRAC"].notna()].assign(PARAMCD="TUMFRAC", PARTYPE="CTDNA")
    fraction = fraction.assign(AVAL=fraction["TUMFRAC"], AVALC=fraction["RESULT"], LOD=np.nan)
    parts = [ctdna, fraction, _gene_rows(select_assays(draws, rules=rules))]
    filled = [part.assign(ADY=part["DAY"]).reindex(columns=_COLUMNS) for part in parts if len(part)]
    stacked = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=_COLUMNS)
    return stacked.assign(SAMPTYPE="PLASMA")


def _gene_rows(draws: pd.DataFrame) -> pd.DataFrame:
    named = draws[draws["GENE"].notna()]
    named = named.assign(VAF=detected_level(named), VARIANT=named["VARIANT"].astype(object).fillna(""))
    # Of one variant the assay with a result counts. Of a gene a variant that failed may be the one there is:
    # it is wild type only where every variant was assessed.
    within = named["RESULT"].map({DETECTED: 0, NOT_DETECTED: 1, NOT_ASSESSABLE: 2})
    best = within.groupby([named["SAMPLEID"], named["GENE"], named["VARIANT"]]).transform("min")
    named = named[within == best]
    named = named.assign(RANK=named["RESULT"].map({DETECTED: 0, NOT_ASSESSABLE: 1, NOT_DETECTED: 2}))
    # Among what was not detected the largest limit of detection stands for the gene: it promises least.
    ordered = named.sort_values(
        ["SAMPLEID", "GENE", "RANK", "VAF", "LOD", "ASSAY"],
        ascending=[True, True, True, False, False, True],
        kind="stable",
    )
    genes = ordered.drop_duplicates(["SAMPLEID", "GENE"])
    level = genes["VAF"].where(genes["RESULT"] == DETECTED)
    level = level.mask(genes["RESULT"] == NOT_DETECTED, 0.0).astype(float)
    return genes.assign(
        PARAMCD=genes["GENE"], PARTYPE="MUT", AVAL=level, AVALC=genes["RESULT"].map(_GENE_WORDS)
    )


def drop_repeated(plasma: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out rows that stand in the table before; return the others and a query for each such sample."""
    again = plasma.duplicated()
    counts = plasma[again].groupby(["USUBJID", "SAMPLEID"]).size()
    rows = [
        _query(
            "PLASMA_ROW_TWICE",
            subject,
            sample,
            f"{number} rows that stand in the table before; counted once",
            "send each row once",
        )
        for (subject, sample), number in counts.items()
    ]
    return plasma[~again], _frame(rows)


def ask_plasma(plasma: pd.DataFrame, draws: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Ask about contradictions in the plasma table; none of them changes a result by itself.

    Parameters
    ----------
    plasma : DataFrame
        As `read_plasma` returns, rows of known subjects, each once.
    draws : DataFrame
        The same rows as `assign_visits` returns them.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Columns of a query table without STEP. Codes: those of `ask_visits`, PLASMA_DAY_DIFFERS (date against
        study day), PLASMA_ROWS_DIFFER (one variant of one sample and assay with two results),
        PLASMA_CONTRADICTS (word against number), PLASMA_BELOW_LOD, PLASMA_LOD_MISSING, PLASMA_ASSAYS_DIFFER,
        PLASMA_DRAWS_SEVERAL.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows = [
        *_days_that_differ(plasma, draws),
        *_rows_that_differ(draws),
        *_contradictions(draws),
        *_limits_missing(draws),
        *_assays_that_differ(draws, rules),
        *_several_draws(draws, rules),
    ]
    return pd.concat([ask_visits(plasma, draws, rules=rules), _frame(rows)], ignore_index=True)


def failed_draws(draws: pd.DataFrame, *, rules=None) -> list[tuple]:
    """List the samples on which no assay gave a result: subject, visit, what, code, reason."""
    called = call_samples(draws, rules=rules)
    failed = called[called["RESULT"] == NOT_ASSESSABLE]
    why = "the assay gave no result: not counted as negative"
    return [
        (subject, visit, "record", "PLASMA_NOT_ASSESSABLE", f"plasma sample {name}: {why}")
        for subject, visit, name in failed[["USUBJID", "AVISIT", "SAMPLEID"]].itertuples(index=False)
    ]


def unknown_draws(draws: pd.DataFrame) -> list[tuple]:
    """List the samples whose subject is not in adsl: subject, visit, what, code, reason."""
    names = sorted(set(draws["SAMPLEID"]))
    why = "its subject is not in adsl; mend the identifier"
    return [(None, None, "record", "SUBJECT_UNKNOWN", f"plasma sample {name}: {why}") for name in names]


def _query(code: str, subject, sample, said: str, todo: str, severity: str = "warning") -> tuple:
    record = None if sample is None else f"sample {sample}"
    return code, severity, subject, "plasma", record, said, todo


def _frame(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


def _days_that_differ(plasma: pd.DataFrame, draws: pd.DataFrame) -> list[tuple]:
    if "ADY" not in plasma:
        return []
    told, found = plasma["ADY"].astype(float), draws["DAY"].astype(float)
    differs = draws[told.notna() & (told != found)].drop_duplicates("SAMPLEID")
    return [
        _query(
            "PLASMA_DAY_DIFFERS",
            row["USUBJID"],
            row["SAMPLEID"],
            f"the table says day {row['ADY']:g}, its date is day {row['DAY']:g}; the date counts",
            "check date and study day",
        )
        for _, row in differs.iterrows()
    ]


def _rows_that_differ(draws: pd.DataFrame) -> list[tuple]:
    """Find rows that report on the same thing twice and otherwise: a variant, or a sample as a whole."""
    told_apart = draws["GENE"].isna() | draws["VARIANT"].notna()
    again = draws[told_apart & draws.duplicated(_ONE_RESULT, keep=False)]
    said = (
        "reported more than once with other values; detected goes before not detected, the larger VAF first"
    )
    return [
        _query("PLASMA_ROWS_DIFFER", subject, sample, said, "send one row for each result")
        for subject, sample in again[["USUBJID", "SAMPLEID"]].drop_duplicates().itertuples(index=False)
    ]


def _contradictions(draws: pd.DataFrame) -> list[tuple]:
    detected, vaf = draws["RESULT"] == DETECTED, draws["VAF"]
    cases = [
        ("PLASMA_CONTRADICTS", detected & (vaf == 0), "DETECTED with a VAF of 0; detected, level unknown"),
        (
            "PLASMA_CONTRADICTS",
            ~detected & (vaf > 0),
            "NOT DETECTED or failed, but with a VAF above 0; the word counts",
        ),
        (
            "PLASMA_BELOW_LOD",
            detected & (vaf > 0) & (vaf < draws["LOD"]),
            "DETECTED below the assay's own limit of detection; detected",
        ),
    ]
    todo = "ask the laboratory for the result"
    return [
        _query(code, subject, sample, said, todo)
        for code, found, said in cases
        for subject, sample in draws.loc[found, ["USUBJID", "SAMPLEID"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]


def _limits_missing(draws: pd.DataFrame) -> list[tuple]:
    unlimited = draws[(draws["RESULT"] != NOT_ASSESSABLE) & draws["LOD"].isna()].fillna(
        {"ASSAY": "not named"}
    )
    rows = []
    for assay, group in unlimited.groupby("ASSAY"):
        names = sorted(set(group["SAMPLEID"]))
        said = f"assay {assay}: {len(names)} samples without a limit of detection, first {names[:_SHOWN]}"
        todo = "ask the laboratory; without it a level below it cannot be taken as censored"
        rows.append(_query("PLASMA_LOD_MISSING", None, None, said, todo, "note"))
    return rows


def _assays_that_differ(draws: pd.DataFrame, rules) -> list[tuple]:
    assessed = draws[(draws["RESULT"] != NOT_ASSESSABLE) & draws["ASSAY"].notna()]
    found = assessed.groupby(["USUBJID", "SAMPLEID", "ASSAY"])["RESULT"].agg(
        lambda words: DETECTED in set(words)
    )
    taken = call_samples(draws, rules=rules).set_index("SAMPLEID")["RESULT"]
    rows = []
    for (subject, sample), calls in found.groupby(level=["USUBJID", "SAMPLEID"]):
        if calls.any() and not calls.all():
            words = [f"{key[-1]} {DETECTED if call else NOT_DETECTED}" for key, call in calls.items()]
            said = f"{', '.join(words)}; {taken[sample]} counts"
            todo = "confirm, or name the assay to prefer in biomarkers.plasma_assay_preference"
            rows.append(_query("PLASMA_ASSAYS_DIFFER", subject, sample, said, todo))
    return rows


def _several_draws(draws: pd.DataFrame, rules) -> list[tuple]:
    called = plasma_rows(draws, rules=rules)
    called = called[called["PARAMCD"] == "CTDNA"]
    rows = []
    for visit in (*rules.plasma_visit_windows, PROGRESSION):
        taken = select_visit(called, visit)["SAMPLEID"]
        for subject, group in called[called["AVISIT"] == visit].groupby("USUBJID"):
            if len(group) > 1:
                names = ", ".join(sorted(group["SAMPLEID"]))
                said = f"{len(group)} draws at {visit}: {names}; {taken[subject]} is taken at this visit"
                todo = "none: assessable goes before failed, then the earliest"
                rows.append(_query("PLASMA_DRAWS_SEVERAL", subject, taken[subject], said, todo, "note"))
    return rows
