"""Rows of adbm from the tumour samples: whose they are, what was found in them, what could not be seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.files.plasma_table import NOT_ASSESSABLE

_COLUMNS = ["USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "PARAMCD", "AVAL", "AVALC", "DEPTH"]


class TumourSamples(NamedTuple):
    """The samples that count, and what was set aside or asked.

    Attributes
    ----------
    samples : DataFrame
        A row a sample: SAMPLE_ID, USUBJID, SAMPTYPE, AVISIT, SEQUENCED, SAMPLE_DEPTH (reads, NaN unknown).
    aside : list of tuple
        USUBJID, visit, what, code, reason of each sample set aside.
    queries : DataFrame
        Columns of a query table without STEP.
    """

    samples: pd.DataFrame
    aside: list[tuple]
    queries: pd.DataFrame


def assign_samples(study: CbioportalStudy, adsl: pd.DataFrame, *, rules=None) -> TumourSamples:
    """Give each tumour sample its subject, kind and visit.

    Parameters
    ----------
    study : CbioportalStudy
        As `read_cbioportal` returns.
    adsl : DataFrame
        Table adsl: USUBJID is read.
    rules : Section, optional
        The plan's section ``biomarkers``: spellings of kind and visit, columns of the sample's depth.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    samples = study.samples.copy()
    samples["USUBJID"] = match_subjects(samples["PATIENT_ID"], adsl["USUBJID"])
    samples["SAMPTYPE"] = _spelled(samples, rules.sample_type_column, rules.sample_types)
    visit = _spelled(samples, rules.sample_visit_column, rules.sample_visits)
    samples["AVISIT"] = visit.fillna(rules.baseline_visit)
    samples["SAMPLE_DEPTH"], unread = _sample_depth(samples, rules.sample_depth_columns)
    unknown, untyped = samples["USUBJID"].isna(), samples["SAMPTYPE"].isna()
    kept = samples[~unknown & ~untyped]
    queries = [_matched_by_ending(kept), _several(kept), unread]
    columns = ["SAMPLE_ID", "USUBJID", "SAMPTYPE", "AVISIT", "SEQUENCED", "SAMPLE_DEPTH"]
    return TumourSamples(kept[columns], _set_aside(samples, unknown, untyped), pd.concat(queries))


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


def select_variants(study: CbioportalStudy, *, rules=None) -> pd.DataFrame:
    """Select the variants that make a gene mutated: protein-changing by class, not left out by status."""
    rules = plan.defaults().biomarkers if rules is None else rules
    changing = study.mutations["CLASS"].isin(rules.nonsilent_classes)
    return study.mutations[changing & ~left_out_by_status(study.mutations["STATUS"], rules)]


def left_out_by_status(status: pd.Series, rules) -> pd.Series:
    """Tell which variants the plan's ``mutation_status_left_out`` leaves out."""
    words = status.astype("string").str.lower()
    return words.isin(rules.mutation_status_left_out).fillna(False).astype(bool)


def tumour_rows(
    study: CbioportalStudy, samples: pd.DataFrame, signatures: pd.DataFrame | None = None, *, rules=None
) -> pd.DataFrame:
    """Return the rows of adbm of the tumour samples: MUT, CNA, EXPR and SIGN.

    Parameters
    ----------
    study : CbioportalStudy
    samples : DataFrame
        As `assign_samples` gives.
    signatures : DataFrame, optional
        Score of each signature: index SAMPLE_ID, a column a signature. A sample without a score has no row.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    scores = None if signatures is None else signatures.T
    parts = [
        _mutation_rows(study, samples, rules).assign(PARTYPE="MUT"),
        _copy_number_rows(study, samples, rules).assign(PARTYPE="CNA"),
        _long(_expression_of_interest(study, rules), samples).assign(PARTYPE="EXPR"),
        _long(scores, samples).dropna(subset="AVAL").assign(PARTYPE="SIGN"),
    ]
    filled = [part.reindex(columns=[*_COLUMNS, "PARTYPE"]) for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=[*_COLUMNS, "PARTYPE"])


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
    values = matrix.to_numpy(float)
    lowest = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
    if lowest < 0:
        raise ValueError(
            f"EXPRESSION_NEGATIVE: lowest value {lowest:g} in a file declared CONTINUOUS; declare it "
            "LOG2-VALUE or Z-SCORE in its meta file, or set biomarkers.expression_log2 to false"
        )
    return np.log2(matrix + rules.expression_log2_offset)


def _set_aside(samples: pd.DataFrame, unknown: pd.Series, untyped: pd.Series) -> list[tuple]:
    strange = samples.loc[unknown, "SAMPLE_ID"]
    odd = samples.loc[~unknown & untyped, ["USUBJID", "AVISIT", "SAMPLE_ID"]]
    whose = "its patient is not in adsl; mend the identifier"
    which = "neither primary nor metastasis; add its type"
    return [
        *[(None, None, "record", "SUBJECT_UNKNOWN", f"tumour sample {name}: {whose}") for name in strange],
        *[
            (subject, visit, "record", "SAMPTYPE_UNKNOWN", f"tumour sample {name}: {which}")
            for subject, visit, name in odd.itertuples(index=False)
        ],
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
    depth = pd.to_numeric(samples[found[0]], errors="coerce").astype(float)
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
    return samples[column].astype("string").str.lower().map(known).astype(object)


def _mutation_rows(study: CbioportalStudy, samples: pd.DataFrame, rules) -> pd.DataFrame:
    sequenced = samples[samples["SEQUENCED"].astype(bool)].rename(columns={"SAMPLE_ID": "SAMPLEID"})
    genes = list(dict.fromkeys([*rules.candidate_genes, *sorted(set(study.mutations["GENE"]))]))
    grid = sequenced.merge(pd.DataFrame({"PARAMCD": genes}), how="cross")
    # The variant with the largest fraction stands for its gene, and so does its number of reads.
    largest = select_variants(study, rules=rules).sort_values("VAF", ascending=False, kind="stable")
    found = largest.drop_duplicates(["SAMPLE_ID", "GENE"])[["SAMPLE_ID", "GENE", "VAF", "DEPTH"]]
    found = found.set_axis(["SAMPLEID", "PARAMCD", "AVAL", "DEPTH"], axis=1).assign(MUTATED=True)
    rows = grid.merge(found, how="left", on=["SAMPLEID", "PARAMCD"], validate="one_to_one")
    mutated = rows["MUTATED"].eq(True)
    # A variant in a gene that the panel is said not to cover was seen all the same.
    unseen = _off_panel(rows, getattr(study, "panels", {}) or {}) & ~mutated
    rows["AVAL"] = rows["AVAL"].where(mutated, 0.0).astype(float).where(~unseen)
    rows["AVALC"] = mutated.map({True: "MUTATED", False: "WT"}).mask(unseen, NOT_ASSESSABLE)
    reads = rows["DEPTH"].astype(float)
    rows["DEPTH"] = reads.where(reads > 0).fillna(rows["SAMPLE_DEPTH"]).where(~unseen)
    return rows


def _off_panel(rows: pd.DataFrame, panels: dict[str, frozenset[str] | None]) -> pd.Series:
    """Tell which rows (sample x gene) are of a gene that the sample's panel does not hold."""
    off = pd.Series(False, index=rows.index)
    for genes in {found for found in panels.values() if found is not None}:
        of_panel = rows["SAMPLEID"].isin([name for name, found in panels.items() if found == genes])
        off |= of_panel & ~rows["PARAMCD"].isin(genes)
    return off


def _copy_number_rows(study: CbioportalStudy, samples: pd.DataFrame, rules) -> pd.DataFrame:
    rows = _long(study.cna, samples)
    rows["AVALC"] = "NEUTRAL"
    rows.loc[rows["AVAL"] >= rules.cna_amplified_min, "AVALC"] = "AMPLIFIED"
    rows.loc[rows["AVAL"] <= rules.cna_deleted_max, "AVALC"] = "DELETED"
    rows.loc[rows["AVAL"].isna(), "AVALC"] = NOT_ASSESSABLE
    return rows


def _expression_of_interest(study: CbioportalStudy, rules) -> pd.DataFrame | None:
    # The table carries the genes that are named; a screen of all genes reads the matrix itself.
    if study.expression is None:
        return None
    named = set(rules.candidate_genes).union(*(set(genes) for genes in rules.signatures.values()))
    matrix = transform_expression(study, rules=rules)
    return matrix.loc[matrix.index.isin(named)]


def _long(matrix: pd.DataFrame | None, samples: pd.DataFrame) -> pd.DataFrame:
    matrix = pd.DataFrame(dtype=float) if matrix is None else matrix
    kept = [name for name in samples["SAMPLE_ID"] if name in matrix.columns]
    long = matrix[kept].rename_axis(index="PARAMCD", columns=None).reset_index()
    long = long.melt("PARAMCD", var_name="SAMPLE_ID", value_name="AVAL").astype({"SAMPLE_ID": object})
    rows = long.merge(samples, on="SAMPLE_ID", validate="many_to_one")
    return rows.rename(columns={"SAMPLE_ID": "SAMPLEID"}).assign(AVALC=None, DEPTH=np.nan)
