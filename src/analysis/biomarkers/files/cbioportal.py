"""Read a cBioPortal study folder: patients, samples, variants, copy number, expression, gene panels.

Which file is which is told by its meta file (``data_filename``); where meta files are missing, the usual file
names are taken and that is recorded. Only the sample file is required. Format: "File Formats" and "Data
Loading" of the cBioPortal documentation, and what its study validator accepts. Names of columns are
case-sensitive there; fields are not quoted; CRLF, a byte order mark and tabs at the end of a line are
tolerated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal_schema import check_study
from analysis.biomarkers.files.clinicalfile import read_patients, read_samples
from analysis.biomarkers.files.genematrix import read_cna, read_gene_matrix
from analysis.biomarkers.files.maf import drop_duplicates, no_variants, read_variants
from analysis.biomarkers.files.metafiles import CaseList, DataFile, find_files, read_case_lists
from analysis.biomarkers.files.panels import (
    Genes,
    assign_panels,
    blank_off_panel,
    matrix_column,
    note_off_panel,
    read_panel_files,
    read_panel_matrix,
)
from analysis.biomarkers.files.problems import PROBLEM_COLUMNS, Notes
from analysis.biomarkers.files.textfile import FileRefused

__all__ = ["PROBLEM_COLUMNS", "CbioportalStudy", "read_cbioportal"]


@dataclass(frozen=True)
class CbioportalStudy:
    """One study folder as frames.

    Attributes
    ----------
    patients : DataFrame
        A row a patient: PATIENT_ID and the study's own columns.
    samples : DataFrame
        A row a sample: SAMPLE_ID, PATIENT_ID, SEQUENCED (bool: it was sequenced, even if nothing was found)
        and the study's own columns.
    mutations : DataFrame
        A row a variant: SAMPLE_ID, GENE, CLASS, PROTEIN, CHROMOSOME, START, ALLELE, STATUS, VAF (fraction,
        missing without read counts), DEPTH (reads), END, REF.
    cna : DataFrame or None
        Genes x samples, discrete level -2 to 2; missing where not assessed.
    expression : DataFrame or None
        Genes x samples, in the unit of `expression_unit`.
    problems : DataFrame
        What was set aside or read otherwise: the columns of a query table without STEP.
    expression_unit : str or None
        Datatype of the expression file: CONTINUOUS, LOG2-VALUE or Z-SCORE.
    panels : dict
        Sequenced sample -> the genes its panel holds, or None for every gene of the file. A gene off the
        panel without a variant is not assessable, not wild type; a variant off the panel is still a variant.
    """

    patients: pd.DataFrame
    samples: pd.DataFrame
    mutations: pd.DataFrame
    cna: pd.DataFrame | None
    expression: pd.DataFrame | None
    problems: pd.DataFrame
    expression_unit: str | None = None
    panels: dict[str, Genes] = field(default_factory=dict)


def read_cbioportal(folder: str | Path, *, rules=None) -> CbioportalStudy:
    """Read a cBioPortal study folder.

    Parameters
    ----------
    folder : path
        Folder with meta and data files and, if any, ``case_lists/`` and ``gene_panels/``.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    CbioportalStudy

    Raises
    ------
    FileRefused
        ``FOLDER_MISSING``, ``SAMPLES_MISSING``, and every fault of a file that leaves its meaning open, with
        file, line and column: ``COLUMN_MISSING``, ``ROW_LENGTH``, ``SAMPLE_TWICE``, ``IDENTIFIER_MALFORMED``,
        ``NUMBER_MALFORMED``, ``CNA_LEVEL``, ``GENE_TWICE``, ``FILE_OUTSIDE``, ``PANEL_MISSING`` and others. A
        record whose meaning is clear but which cannot be used (a variant of an unknown sample) is set aside
        and told in `problems`.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    root = Path(folder)
    if not root.is_dir():
        raise FileRefused("FOLDER_MISSING", "no such folder of biomarker files", root.name)
    notes = Notes()
    files = find_files(root, notes)
    if "samples" not in files:
        raise FileRefused("SAMPLES_MISSING", "the clinical sample file is required", root.name)
    samples = read_samples(files["samples"].path, notes)
    patients = read_patients(files.get("patients"), samples, notes)
    lists = _known_lists(read_case_lists(root, notes), samples, notes)
    panels = read_panel_files(root)
    matrix = read_panel_matrix(files["panels"], samples, notes) if "panels" in files else None
    mutations = _mutations(files.get("mutations"), samples, notes)
    if "SEQUENCED" in samples:
        notes.add("COLUMN_REPLACED", files["samples"].path.name)
    samples["SEQUENCED"], assigned = _sequenced(
        files.get("mutations"), samples, mutations, lists, matrix, panels, rules, notes
    )
    cna = _copy_number(files.get("cna"), samples, lists, matrix, panels, rules, notes)
    expression = files.get("expression")
    values = None if expression is None else read_gene_matrix(expression.path, samples, notes)
    unit = None if expression is None else expression.datatype
    study = CbioportalStudy(patients, samples, mutations, cna, values, notes.frame(), unit, assigned)
    check_study(study)
    return study


def _known_lists(lists: list[CaseList], samples: pd.DataFrame, notes: Notes) -> list[CaseList]:
    known = set(samples["SAMPLE_ID"])
    for listed in lists:
        for sample in sorted(listed.samples - known):
            notes.add("SAMPLE_UNKNOWN", listed.file, record=f"sample {sample}")
    return [listed._replace(samples=listed.samples & known) for listed in lists]


def _listed(lists: list[CaseList], done: str) -> set[str] | None:
    """Return the samples that case lists say were sequenced or assessed for copy number; None: no list."""
    found = [listed.samples for listed in lists if listed.done is not None and done in listed.done.split("+")]
    return set().union(*found) if found else None


def _mutations(file: DataFile | None, samples: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    if file is None:
        return no_variants()
    frame = read_variants(file.path, notes)
    unknown = ~frame["SAMPLE_ID"].isin(samples["SAMPLE_ID"])
    for line, sample in frame.loc[unknown, "SAMPLE_ID"].items():
        notes.add("SAMPLE_UNKNOWN", file.path.name, record=f"line {line}, sample {sample}")
    return drop_duplicates(frame[~unknown], file.path.name, notes).reset_index(drop=True)


def _sequenced(
    file: DataFile | None,
    samples: pd.DataFrame,
    mutations: pd.DataFrame,
    lists: list[CaseList],
    matrix: pd.DataFrame | None,
    panels: dict[str, frozenset[str]],
    rules,
    notes: Notes,
) -> tuple[pd.Series, dict[str, Genes]]:
    """Tell which samples were sequenced, for which genes: "no variant" is not "not looked at"."""
    if file is None:
        return pd.Series(False, index=samples.index), {}
    column = matrix_column(matrix, "mutations", file.meta)
    named = set() if column is None else set(column.index[column.notna()])
    listed = _listed(lists, "sequenced")
    exact = [entry.samples for entry in lists if entry.done == "sequenced"]
    if listed is not None and exact:
        for sample in sorted(listed - set().union(*exact)):
            notes.add("SEQUENCED_LISTS_DIFFER", "case_lists", record=f"sample {sample}")
    if listed is None and column is None:
        notes.add("SEQUENCED_ASSUMED", "case_lists")
        listed = set(samples["SAMPLE_ID"])
    elif listed is None:
        # NA may be "whole exome" or "not profiled" in the format; the case list would tell which.
        listed = named | (set(samples["SAMPLE_ID"]) - set(column.index))
        for sample in column.index[column.isna()]:
            notes.add("SEQUENCED_NO_PANEL", column.attrs["file"], record=f"sample {sample}")
    outside = (set(mutations["SAMPLE_ID"]) | named) - listed
    for sample in sorted(outside & set(mutations["SAMPLE_ID"])):
        notes.add("SEQUENCED_UNLISTED", "case_lists", record=f"sample {sample}")
    for sample in sorted(outside - set(mutations["SAMPLE_ID"])):
        notes.add("SEQUENCED_LISTS_DIFFER", column.attrs["file"], record=f"sample {sample}")
    sequenced = samples["SAMPLE_ID"].isin(listed | outside)
    assigned = assign_panels(samples.loc[sequenced, "SAMPLE_ID"], column, file.meta, panels, rules, notes)
    note_off_panel(mutations, assigned, file.path.name, notes)
    return sequenced, assigned


def _copy_number(
    file: DataFile | None,
    samples: pd.DataFrame,
    lists: list[CaseList],
    matrix: pd.DataFrame | None,
    panels: dict[str, frozenset[str]],
    rules,
    notes: Notes,
) -> pd.DataFrame | None:
    if file is None:
        return None
    cna = read_cna(file.path, file.datatype, samples, notes)
    listed = _listed(lists, "cna")
    if listed is not None:
        for sample in sorted(set(cna.columns) - listed):
            notes.add("CNA_UNLISTED", "case_lists", record=f"sample {sample}")
    column = matrix_column(matrix, "cna", file.meta)
    # A sample without a row has no panel here, and its variants have told so already.
    rows = [sample for sample in cna.columns if column is None or sample in column.index]
    assigned = assign_panels(rows, column, file.meta, panels, rules, notes)
    return blank_off_panel(cna, assigned, file.path.name, notes)
