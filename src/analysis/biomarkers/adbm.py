"""Derive the table adbm: a marker in a sample, from the tumour files and the serial plasma."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis import plan
from analysis.biomarkers.adbm_plasma import (
    ask_plasma,
    drop_repeated,
    failed_draws,
    plasma_rows,
    unknown_draws,
)
from analysis.biomarkers.adbm_tumour import (
    assign_samples,
    match_subjects,
    select_variants,
    transform_expression,
    tumour_rows,
)
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.identity import check_identity
from analysis.biomarkers.plasma import assign_visits
from analysis.biomarkers.tumour_samples import ask_subjects
from analysis.contracts import check, contract_of

__all__ = [
    "COLUMNS",
    "STEP",
    "DerivedMarkers",
    "derive_adbm",
    "match_subjects",
    "select_variants",
    "transform_expression",
]
STEP = "05"
COLUMNS = list(contract_of("adbm").columns)
_KEY = ["USUBJID", "SAMPLEID", "PARAMCD", "PARTYPE"]
_LEDGER_COLUMNS = list(contract_of("exclusions_05").columns)
_NUMBERS = {"ADY": float, "AVAL": float, "LOD": float, "DEPTH": float}


class DerivedMarkers(NamedTuple):
    """The table and what was set aside or asked on the way."""

    adbm: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def derive_adbm(
    study: CbioportalStudy | None,
    plasma: pd.DataFrame | None,
    adsl: pd.DataFrame,
    *,
    signatures: pd.DataFrame | None = None,
    ready: pd.DataFrame | None = None,
    rules=None,
) -> DerivedMarkers:
    """Derive adbm from a study folder, a plasma table and rows that are ready; any of them may be absent.

    Parameters
    ----------
    study : CbioportalStudy or None
        As `read_cbioportal` returns. A patient is matched to USUBJID, or to the end of it (site prefix left
        out).
    plasma : DataFrame or None
        As `read_plasma` returns.
    adsl : DataFrame
        Table adsl: STUDYID, USUBJID and, where the study has dates, TRTSDT are read.
    signatures : DataFrame, optional
        Scores of the expression signatures: index SAMPLE_ID, a column a signature.
    ready : DataFrame, optional
        Rows in adbm's own columns, of a study whose markers come in one row a subject; rows of subjects that
        adsl lacks go to the ledger.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DerivedMarkers
        `adbm` holds, for each sequenced sample, a MUT row for every gene of the candidate list or of the file
        (AVALC MUTATED by a protein-changing variant, WT, or NOT ASSESSABLE off the sample's panel; AVAL the
        variant allele fraction, 0 for WT; DEPTH the reads at the variant, else of the sample), a CNA row for
        every gene of the file (AVALC AMPLIFIED, DELETED, NEUTRAL or NOT ASSESSABLE; AVAL the level), EXPR
        rows for the candidate and signature genes, SIGN rows; for each plasma sample CTDNA (AVAL the largest
        VAF), TUMFRAC and the genes reported on. A tumour sample has no date; its study day is
        that of the plan's column, where the file has it. `exclusions` names samples of unknown subjects,
        tumour samples without type, of a visit the plan does not know or taken after first dose and called
        baseline, failed assays; `queries` what contradicts itself, identifiers that are no subject's, and
        samples that may have been exchanged.

    Raises
    ------
    ValueError
        ``ADBM_KEY_TWICE`` where a ready row has subject, sample and marker of another row.
    ContractError
        Where `ready` breaks the contract of adbm.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    parts, aside, queries = [], [], []
    if study is not None:
        tumour = assign_samples(study, adsl, rules=rules)
        parts.append(tumour_rows(study, tumour.samples, signatures, rules=rules))
        aside += tumour.aside
        queries += [study.problems, tumour.queries]
    if plasma is not None:
        plasma, repeated = drop_repeated(plasma)
        known = plasma["USUBJID"].isin(adsl["USUBJID"])
        draws = assign_visits(plasma[known], _first_dose(adsl), rules=rules)
        parts.append(plasma_rows(draws, rules=rules))
        aside += [*unknown_draws(plasma[~known]), *failed_draws(draws, rules=rules)]
        strangers = plasma[~known]
        unknown = ask_subjects(strangers["USUBJID"], strangers["SAMPLEID"], adsl["USUBJID"], "plasma")
        queries += [repeated, unknown, ask_plasma(plasma[known], draws, rules=rules)]
    queries.append(check_identity(study, plasma, adsl=adsl, rules=rules))
    if ready is not None:
        rows, strangers = _ready_rows(ready, adsl)
        parts.append(rows)
        aside += strangers
    ledger = pd.DataFrame([(STEP, *row) for row in aside], columns=_LEDGER_COLUMNS).astype(object)
    asked = _stack(queries, PROBLEM_COLUMNS).assign(STEP=STEP)
    return DerivedMarkers(_assemble(parts, adsl), ledger, asked)


def _first_dose(adsl: pd.DataFrame) -> pd.Series:
    dose = adsl["TRTSDT"] if "TRTSDT" in adsl else pd.Series(pd.NaT, index=adsl.index)
    return pd.to_datetime(dose).set_axis(adsl["USUBJID"])


def _ready_rows(ready: pd.DataFrame, adsl: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple]]:
    rows = check("adbm", ready)
    known = rows["USUBJID"].isin(adsl["USUBJID"])
    samples = sorted(set(rows.loc[~known, "SAMPLEID"]))
    why = "its subject is not in adsl; mend the identifier"
    strangers = [(None, None, "record", "SUBJECT_UNKNOWN", f"sample {name}: {why}") for name in samples]
    return rows[known], strangers


def _stack(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns, dtype=object)


def _assemble(parts: list[pd.DataFrame], adsl: pd.DataFrame) -> pd.DataFrame:
    # As objects first: a column that is empty in one part must not decide the type of the whole.
    adbm = _stack([part.reindex(columns=COLUMNS).astype(object) for part in parts], COLUMNS)
    twice = int(adbm.duplicated(_KEY).sum())
    if twice:
        raise ValueError(f"ADBM_KEY_TWICE: {twice} rows of a subject, sample and marker that has one already")
    study = adsl["STUDYID"].iloc[0] if len(adsl) else None
    adbm = adbm.where(adbm.notna(), None).assign(STUDYID=study).astype(_NUMBERS)
    adbm["ADT"] = pd.to_datetime(adbm["ADT"]).astype("datetime64[ns]")
    order = ["USUBJID", "SAMPTYPE", "SAMPLEID", "PARTYPE", "PARAMCD"]
    return adbm.sort_values(order, kind="stable", ignore_index=True)[COLUMNS]
