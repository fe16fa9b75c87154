"""Rows of adbm from the tumour samples: what was found in them, and what could not be seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import CbioportalStudy
from analysis.biomarkers.files.plasma_table import NOT_ASSESSABLE
from analysis.biomarkers.tumour_samples import assign_samples, match_subjects

__all__ = [
    "assign_samples",
    "left_out_by_status",
    "match_subjects",
    "select_variants",
    "transform_expression",
    "tumour_rows",
]
_COLUMNS = ["USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "ADY", "PARAMCD", "AVAL", "AVALC", "DEPTH"]


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
