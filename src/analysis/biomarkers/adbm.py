"""Derive the table adbm: a marker in a sample, from the tumour files and the serial plasma."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.plasma import DETECTED, NOT_ASSESSABLE, assign_visits, call_samples
from analysis.contracts import contract_of

STEP = "05"
COLUMNS = list(contract_of("adbm").columns)
_LEDGER_COLUMNS = list(contract_of("exclusions_05").columns)


class DerivedMarkers(NamedTuple):
    """The table and what was set aside or asked on the way."""

    adbm: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def derive_adbm(
    study: CbioportalStudy | None, plasma: pd.DataFrame | None, adsl: pd.DataFrame, *, rules=None
) -> DerivedMarkers:
    """Derive adbm from a study folder and a plasma table; either may be absent.

    Parameters
    ----------
    study : CbioportalStudy or None
        As `read_cbioportal` returns. A patient is matched to USUBJID, or to the end of it (site prefix left
        out).
    plasma : DataFrame or None
        As `read_plasma` returns.
    adsl : DataFrame
        Table adsl: STUDYID, USUBJID, TRTSDT are read.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DerivedMarkers
        `adbm` holds, for each sequenced sample, a MUT row for every gene of the candidate list or of the file
        (AVALC MUTATED by a protein-changing variant, else WT; AVAL the variant allele fraction, 0 for WT), a
        CNA row for every gene of the file (AVALC AMPLIFIED, DELETED, NEUTRAL or NOT ASSESSABLE; AVAL the
        level), EXPR rows for the candidate genes; for each plasma sample CTDNA (AVAL the largest VAF),
        TUMFRAC and the genes found. `exclusions` names samples of unknown subjects, tumour samples without
        type, failed assays.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    parts, aside, queries = [], [], []
    if study is not None:
        samples, left_out = _tumour_samples(study, adsl, rules)
        aside.append(left_out)
        queries += [study.problems, _matched_by_ending(samples)]
        parts += [
            _mutation_rows(study, samples, rules),
            _copy_number_rows(study, samples, rules),
            _expression_rows(study, samples, rules),
        ]
    if plasma is not None:
        known = plasma["USUBJID"].isin(adsl["USUBJID"])
        draws = assign_visits(plasma[known], adsl.set_index("USUBJID")["TRTSDT"], rules=rules)
        parts.append(_plasma_rows(draws))
        aside += [_unknown_draws(plasma[~known]), _failed_draws(draws)]
        queries.append(_visits_that_differ(plasma[known], draws, rules))
    adbm = _stack(parts, COLUMNS).assign(STUDYID=adsl["STUDYID"].iloc[0] if len(adsl) else None)
    adbm["ADT"] = pd.to_datetime(adbm["ADT"]).astype("datetime64[ns]")
    adbm = adbm.sort_values(["USUBJID", "SAMPTYPE", "SAMPLEID", "PARTYPE", "PARAMCD"], kind="stable")
    queries = _stack(queries, PROBLEM_COLUMNS).assign(STEP=STEP)
    return DerivedMarkers(adbm.reset_index(drop=True)[COLUMNS], _stack(aside, _LEDGER_COLUMNS), queries)


def _stack(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns, dtype=object)


def _ledger(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame([(STEP, *row) for row in rows], columns=_LEDGER_COLUMNS).astype(object)


def _tumour_samples(study: CbioportalStudy, adsl: pd.DataFrame, rules) -> tuple[pd.DataFrame, pd.DataFrame]:
    samples = study.samples.copy()
    samples["USUBJID"] = match_subjects(samples["PATIENT_ID"], adsl["USUBJID"])
    samples["SAMPTYPE"] = _spelled(samples, rules.sample_type_column, rules.sample_types)
    visit = _spelled(samples, rules.sample_visit_column, rules.sample_visits)
    samples["AVISIT"] = visit.fillna(rules.baseline_visit)
    unknown, untyped = samples["USUBJID"].isna(), samples["SAMPTYPE"].isna()
    rows = [
        (
            None,
            None,
            "record",
            "SUBJECT_UNKNOWN",
            f"tumour sample {name}: its patient is not in adsl; mend the identifier",
        )
        for name in samples.loc[unknown, "SAMPLE_ID"]
    ] + [
        (
            subject,
            visit,
            "record",
            "SAMPTYPE_UNKNOWN",
            f"tumour sample {name}: neither primary nor metastasis; add its type",
        )
        for subject, visit, name in samples.loc[
            ~unknown & untyped, ["USUBJID", "AVISIT", "SAMPLE_ID"]
        ].itertuples(index=False)
    ]
    return samples[~unknown & ~untyped], _ledger(rows)


def _matched_by_ending(samples: pd.DataFrame) -> pd.DataFrame:
    found = samples.loc[samples["PATIENT_ID"] != samples["USUBJID"], ["USUBJID", "SAMPLE_ID"]]
    message = "patient identifier equals the end of one USUBJID only; taken as that subject"
    rows = [
        (
            "SUBJECT_BY_ENDING",
            "note",
            subject,
            "samples",
            f"sample {name}",
            message,
            "use USUBJID as PATIENT_ID",
        )
        for subject, name in found.itertuples(index=False)
    ]
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


def _visits_that_differ(plasma: pd.DataFrame, draws: pd.DataFrame, rules) -> pd.DataFrame:
    said = plasma["AVISIT"].str.upper()
    differs = said.isin(list(rules.plasma_visit_windows)) & (said != draws["AVISIT"])
    found = draws[differs].assign(SAID=said[differs]).drop_duplicates("SAMPLEID")
    rows = [
        (
            *("PLASMA_VISIT_DIFFERS", "warning", subject, "plasma", f"sample {name}"),
            *(
                f"the table says {said}, its date makes it {visit} (day {day:g})",
                "check the date of the draw",
            ),
        )
        for subject, name, said, visit, day in found[
            ["USUBJID", "SAMPLEID", "SAID", "AVISIT", "DAY"]
        ].itertuples(index=False)
    ]
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


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


def _spelled(samples: pd.DataFrame, column: str, spellings: dict[str, list[str]]) -> pd.Series:
    known = {word: ours for ours, words in spellings.items() for word in words}
    if column not in samples:
        return pd.Series(None, index=samples.index, dtype=object)
    return samples[column].astype("string").str.lower().map(known).astype(object)


def select_variants(study: CbioportalStudy, *, rules=None) -> pd.DataFrame:
    """Select the variants that make a gene mutated: protein-changing by class, not left out by status."""
    rules = plan.defaults().biomarkers if rules is None else rules
    changing = study.mutations["CLASS"].isin(rules.nonsilent_classes)
    status = study.mutations["STATUS"].astype("string").str.lower()
    return study.mutations[changing & ~status.isin(rules.mutation_status_left_out).fillna(False).astype(bool)]


def _mutation_rows(study: CbioportalStudy, samples: pd.DataFrame, rules) -> pd.DataFrame:
    sequenced = samples[samples["SEQUENCED"].astype(bool)]
    variants = select_variants(study, rules=rules)
    genes = list(dict.fromkeys([*rules.candidate_genes, *sorted(set(study.mutations["GENE"]))]))
    grid = sequenced.merge(pd.DataFrame({"PARAMCD": genes}), how="cross")
    found = variants.groupby(["SAMPLE_ID", "GENE"], as_index=False).agg(AVAL=("VAF", "max"))
    rows = grid.merge(
        found.assign(MUTATED=True),
        how="left",
        left_on=["SAMPLE_ID", "PARAMCD"],
        right_on=["SAMPLE_ID", "GENE"],
        validate="one_to_one",
    )
    mutated = rows["MUTATED"].eq(True)
    rows["AVAL"] = rows["AVAL"].where(mutated, 0.0).astype(float)
    rows["AVALC"] = mutated.map({True: "MUTATED", False: "WT"})
    return _tumour_rows(rows, "MUT")


def _copy_number_rows(study: CbioportalStudy, samples: pd.DataFrame, rules) -> pd.DataFrame:
    rows = _long(study.cna, samples)
    rows["AVALC"] = "NEUTRAL"
    rows.loc[rows["AVAL"] >= rules.cna_amplified_min, "AVALC"] = "AMPLIFIED"
    rows.loc[rows["AVAL"] <= rules.cna_deleted_max, "AVALC"] = "DELETED"
    rows.loc[rows["AVAL"].isna(), "AVALC"] = NOT_ASSESSABLE
    return _tumour_rows(rows, "CNA")


def _expression_rows(study: CbioportalStudy, samples: pd.DataFrame, rules) -> pd.DataFrame:
    # The table carries the candidates; a screen of all genes reads the matrix itself, which is no long table.
    matrix = None if study.expression is None else transform_expression(study, rules=rules)
    kept = None if matrix is None else matrix.loc[matrix.index.isin(rules.candidate_genes)]
    return _tumour_rows(_long(kept, samples).assign(AVALC=None), "EXPR")


def transform_expression(study: CbioportalStudy, *, rules=None) -> pd.DataFrame:
    """Return expression (genes x samples) as log2(value + offset); z-scores and log values stay as they are.

    Raises
    ------
    ValueError
        ``EXPRESSION_NEGATIVE`` where a value declared as continuous is negative: it is on a log scale
        already.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    matrix = study.expression
    if study.expression_unit != "CONTINUOUS" or not rules.expression_log2:
        return matrix
    lowest = float(np.nanmin(matrix.to_numpy(float))) if matrix.size else 0.0
    if lowest < 0:
        raise ValueError(
            f"EXPRESSION_NEGATIVE: lowest value {lowest:g} in a file declared CONTINUOUS; declare it "
            "LOG2-VALUE or Z-SCORE in its meta file, or set biomarkers.expression_log2 to false"
        )
    return np.log2(matrix + rules.expression_log2_offset)


def _long(matrix: pd.DataFrame | None, samples: pd.DataFrame) -> pd.DataFrame:
    if matrix is None:
        matrix = pd.DataFrame(dtype=float)
    kept = [name for name in samples["SAMPLE_ID"] if name in matrix.columns]
    long = (
        matrix[kept]
        .rename_axis("PARAMCD")
        .reset_index()
        .melt("PARAMCD", var_name="SAMPLE_ID", value_name="AVAL")
    )
    return long.astype({"SAMPLE_ID": object}).merge(samples, on="SAMPLE_ID", validate="many_to_one")


def _tumour_rows(rows: pd.DataFrame, partype: str) -> pd.DataFrame:
    kept = rows.rename(columns={"SAMPLE_ID": "SAMPLEID"})
    kept = kept[["USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "PARAMCD", "AVAL", "AVALC"]]
    return kept.assign(ADT=pd.NaT, PARTYPE=partype, LOD=float("nan"))


def _plasma_rows(draws: pd.DataFrame) -> pd.DataFrame:
    called = call_samples(draws)
    ctdna = called.assign(PARAMCD="CTDNA", PARTYPE="CTDNA", AVAL=called["VAF"], AVALC=called["RESULT"])
    fraction = called[called["TUMFRAC"].notna()]
    fraction = fraction.assign(
        PARAMCD="TUMFRAC", PARTYPE="CTDNA", AVAL=fraction["TUMFRAC"], AVALC=fraction["RESULT"]
    )
    found = draws[draws["GENE"].notna() & (draws["RESULT"] == DETECTED)]
    genes = found.sort_values("VAF", ascending=False, kind="stable").drop_duplicates(["SAMPLEID", "GENE"])
    genes = genes.assign(PARAMCD=genes["GENE"], PARTYPE="MUT", AVAL=genes["VAF"], AVALC="MUTATED")
    stacked = pd.concat([ctdna, fraction, genes], ignore_index=True).assign(SAMPTYPE="PLASMA")
    return stacked[[name for name in COLUMNS if name in stacked]]


def _unknown_draws(draws: pd.DataFrame) -> pd.DataFrame:
    names = draws["SAMPLEID"].drop_duplicates()
    why = "its subject is not in adsl; mend the identifier"
    return _ledger(
        [(None, None, "record", "SUBJECT_UNKNOWN", f"plasma sample {name}: {why}") for name in names]
    )


def _failed_draws(draws: pd.DataFrame) -> pd.DataFrame:
    called = call_samples(draws)
    failed = called[called["RESULT"] == NOT_ASSESSABLE]
    why = "the assay gave no result: not counted as negative"
    return _ledger(
        [
            (subject, visit, "record", "PLASMA_NOT_ASSESSABLE", f"plasma sample {name}: {why}")
            for subject, visit, name in failed[["USUBJID", "AVISIT", "SAMPLEID"]].itertuples(index=False)
        ]
    )
