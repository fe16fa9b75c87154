"""Gene panels: what a sample was looked at for, so that a gene off the panel can be told from wild type.

Source: "Gene Panel Data" of the cBioPortal File Formats and "Import Gene Panels": panel files (``stable_id``,
``gene_list``), the panel matrix (a column a profile, NA = no panel), ``gene_panel`` in a meta file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.biomarkers.files.maf import ENTREZ
from analysis.biomarkers.files.metafiles import DataFile, read_meta
from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import FileRefused, read_table, refuse_lines

Genes = frozenset[str] | None
_MATRIX = "data_gene_panel_matrix.txt"
_MATRIX_COLUMN = {"mutations": ("mutations",), "cna": ("gistic", "cna", "cna_rae", "cna_consensus")}


def read_panel_files(root: Path) -> dict[str, frozenset[str]]:
    """Read ``gene_panels/*.txt`` and ``data_gene_panel_*.txt``: stable_id -> genes.

    Raises
    ------
    FileRefused
        ``META_MALFORMED``; ``PANEL_INCOMPLETE`` without stable_id or genes, ``PANEL_TWICE``.
    """
    panels: dict[str, frozenset[str]] = {}
    files = [*root.glob("gene_panels/*.txt"), *root.glob("data_gene_panel_*.txt")]
    for path in sorted(path for path in files if path.name != _MATRIX):
        panel = read_meta(path)
        # A gene is listed by its symbol or its Entrez identifier.
        words = panel.get("gene_list", "").split()
        genes = frozenset(ENTREZ + word if word.isdigit() else word for word in words)
        for name, there in (("stable_id", panel.get("stable_id")), ("gene_list", genes)):
            if not there:
                raise FileRefused("PANEL_INCOMPLETE", f"needs {name}", path.name, column=name)
        if panel["stable_id"] in panels:
            message = f"panel {panel['stable_id']} stands in a file before"
            raise FileRefused("PANEL_TWICE", message, path.name, column="stable_id")
        panels[panel["stable_id"]] = genes
    return panels


def read_panel_matrix(file: DataFile, samples: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Read the panel matrix: index SAMPLE_ID, a column a profile, None where the file has NA.

    ``attrs["lines"]`` holds the line of each sample. Rows of unknown samples are set aside.

    Raises
    ------
    FileRefused
        Faults of the text; ``VALUE_MISSING``, ``SAMPLE_TWICE``.
    """
    path = file.path
    raw = read_table(path, required=("SAMPLE_ID",))
    refuse_lines(raw["SAMPLE_ID"].isna(), "VALUE_MISSING", "a row without a sample", path.name, "SAMPLE_ID")
    twice = raw["SAMPLE_ID"].duplicated()
    refuse_lines(twice, "SAMPLE_TWICE", "the sample stands in the file before", path.name, "SAMPLE_ID")
    unknown = ~raw["SAMPLE_ID"].isin(samples["SAMPLE_ID"])
    for line, sample in raw.loc[unknown, "SAMPLE_ID"].items():
        notes.add("SAMPLE_UNKNOWN", path.name, record=f"line {line}, sample {sample}")
    kept = raw[~unknown]
    matrix = kept.set_index("SAMPLE_ID")
    matrix.attrs = {"file": path.name, "lines": dict(zip(kept["SAMPLE_ID"], kept.index))}
    return matrix


def matrix_column(matrix: pd.DataFrame | None, kind: str, meta: dict) -> pd.Series | None:
    """Return the panel of each sample for a kind of file, by its stable_id; None if the matrix has none."""
    if matrix is None:
        return None
    names = [meta["stable_id"]] if "stable_id" in meta else list(_MATRIX_COLUMN[kind])
    found = [name for name in names if name in matrix]
    if not found:
        return None
    column = matrix[found[0]].copy()
    column.attrs = matrix.attrs
    return column


def assign_panels(
    samples: Iterable[str],
    column: pd.Series | None,
    meta: dict,
    panels: dict[str, frozenset[str]],
    rules,
    notes: Notes,
) -> dict[str, Genes]:
    """Return the genes each sample was looked at for; None stands for every gene of the file.

    The matrix goes before ``gene_panel`` of the meta file. A sample without a row in the matrix is noted.

    Raises
    ------
    FileRefused
        ``PANEL_MISSING`` where a panel is named of which there is no file.
    """
    usual = _genes_of(meta.get("gene_panel") or None, panels, rules, meta.get("file", ""), None, "gene_panel")
    assigned: dict[str, Genes] = {}
    for sample in samples:
        if column is None or sample not in column.index:
            if column is not None and not meta.get("gene_panel"):
                notes.add("PANEL_UNKNOWN", column.attrs["file"], record=f"sample {sample}")
            assigned[sample] = usual
            continue
        line = column.attrs["lines"][sample]
        assigned[sample] = _genes_of(
            column[sample], panels, rules, column.attrs["file"], line, str(column.name)
        )
    return assigned


def _genes_of(
    name: str | None, panels: dict[str, frozenset[str]], rules, file: str, line: int | None, column: str
) -> Genes:
    if name is None or (name in rules.genome_panels and name not in panels):
        return None
    if name not in panels:
        message = f"no file of panel {name!r}; add it as gene_panels/{name}.txt"
        raise FileRefused("PANEL_MISSING", message, file, line, column)
    return panels[name]


def note_off_panel(mutations: pd.DataFrame, panels: dict[str, Genes], file: str, notes: Notes) -> None:
    """Note variants of genes that the sample's panel does not hold."""
    seen = mutations[["SAMPLE_ID", "GENE"]].drop_duplicates().itertuples(index=False)
    for sample, gene in seen:
        genes = panels.get(sample)
        if genes is not None and gene not in genes:
            notes.add("VARIANT_OFF_PANEL", file, record=f"sample {sample}, gene {gene}")


def blank_off_panel(matrix: pd.DataFrame, panels: dict[str, Genes], file: str, notes: Notes) -> pd.DataFrame:
    """Return copy numbers (genes x samples) with genes off the sample's panel missing; noted by sample."""
    matrix = matrix.copy()
    for sample in matrix.columns:
        genes = panels.get(sample)
        if genes is None:
            continue
        off = ~matrix.index.isin(genes)
        count = int(matrix.loc[off, sample].notna().sum())
        if count:
            notes.add("CNA_OFF_PANEL", file, record=f"sample {sample}, {count} genes")
            matrix.loc[off, sample] = float("nan")
    return matrix
