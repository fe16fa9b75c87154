"""Files of a value a gene and sample: discrete copy number (wide and long) and expression.

Sources: "Discrete Copy Number Data" and "Expression Data" of the cBioPortal File Formats, and its study
validator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.biomarkers.files.maf import ENTREZ
from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import (
    NULL_WORDS,
    FileRefused,
    parse_number,
    read_rows,
    read_table,
    refuse_lines,
    refuse_quotes,
    to_number,
)

CNA_LEVELS = (-2.0, -1.5, -1.0, 0.0, 1.0, 2.0)
_KEYS = ("Hugo_Symbol", "Entrez_Gene_Id")
# Named by the format as something to ignore.
_IGNORED = ("Cytoband",)


def read_cna(path: Path, datatype: str, samples: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Read discrete copy number: genes x samples, levels -2 to 2, missing where not assessed.

    Raises
    ------
    FileRefused
        As `read_gene_matrix`; ``CNA_LEVEL`` with line and column.
    """
    if datatype == "DISCRETE_LONG":
        return _read_long(path, samples, notes)
    return read_gene_matrix(path, samples, notes, levels=CNA_LEVELS)


def read_gene_matrix(
    path: Path, samples: pd.DataFrame, notes: Notes, *, levels: tuple[float, ...] | None = None
) -> pd.DataFrame:
    """Read genes x samples; a gene is its symbol, or ``ENTREZ:<identifier>`` where only that tells it.

    Raises
    ------
    FileRefused
        Faults of the text; ``COLUMN_MISSING``, ``VALUE_MISSING``, ``NUMBER_MALFORMED``, ``CNA_LEVEL``,
        ``ENTREZ_MALFORMED``, ``GENE_TWICE`` (the same gene with other values).
    """
    names, columns, values = read_matrix(path, _KEYS, ignored=_IGNORED)
    known = _known_samples(columns, samples, path.name, notes)
    matrix = pd.DataFrame(values, index=names.index, columns=columns)[known]
    _check_levels(matrix, levels, path.name)
    gene = _gene_names(names, path.name, notes)
    kept = ~_repeated(gene, matrix, path.name, str(names.columns[0]), notes)
    return matrix[kept].set_axis(pd.Index(gene[kept], name="GENE")).rename_axis(columns="SAMPLE_ID")


def read_matrix(
    path: Path, keys: Sequence[str], *, ignored: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """Read a file of one row a gene and one column a sample: numbers, missing where the cell says so.

    Parameters
    ----------
    path : Path
        Tab-separated file.
    keys : sequence of str
        Columns that name the row (text); the file has at least one of them.
    ignored : sequence of str
        Columns that are neither; all others are samples.

    Returns
    -------
    names : DataFrame
        The key columns as strings (index: line number).
    samples : list of str
    values : ndarray of float, rows x samples

    Raises
    ------
    FileRefused
        As `read_table`; ``COLUMN_MISSING`` without a key or a sample; ``NUMBER_MALFORMED`` with line and
        column.
    """
    header, rows, numbers = read_rows(path)
    place = {name: header.index(name) for name in keys if name in header}
    wanted = [i for i, name in enumerate(header) if name not in place and name not in ignored]
    if not place or not wanted:
        message = "no column of a sample" if place else f"needs {' or '.join(keys)}"
        raise FileRefused("COLUMN_MISSING", message, path.name, column=None if place else keys[0])
    names = {
        name: [None if row[i].strip().lower() in NULL_WORDS else row[i].strip() for row in rows]
        for name, i in place.items()
    }
    for name, values in names.items():
        refuse_quotes([value or "" for value in values], numbers, path.name, name)
    values = np.empty((len(rows), len(wanted)))
    for r, row in enumerate(rows):
        place_of_row = (path.name, numbers[r])
        values[r] = _row_of_numbers([row[i] for i in wanted], [header[i] for i in wanted], place_of_row)
    frame = pd.DataFrame(names, index=pd.Index(numbers, name="LINE", dtype=int), dtype=object)
    return frame, [header[i] for i in wanted], values


def _row_of_numbers(cells: list[str], columns: list[str], place: tuple[str, int]) -> list[float]:
    try:
        found = list(map(float, cells))
    except ValueError:
        found = [math.inf]
    # Python also reads "1_000", "inf" and "nan": those, and words for missing, go cell by cell.
    if math.isfinite(sum(found)) and "_" not in "".join(cells):
        return found
    parsed = [parse_number(cell) for cell in cells]
    if None in parsed:
        bad = parsed.index(None)
        raise FileRefused("NUMBER_MALFORMED", f"not a number ({cells[bad]!r})", *place, columns[bad])
    return parsed


def _known_samples(names: Iterable[str], samples: pd.DataFrame, file: str, notes: Notes) -> list[str]:
    named = set(samples["SAMPLE_ID"])
    for sample in names:
        if sample not in named:
            notes.add("SAMPLE_UNKNOWN", file, record=f"sample {sample}")
    return [sample for sample in names if sample in named]


def _check_levels(matrix: pd.DataFrame, levels: tuple[float, ...] | None, file: str) -> None:
    if levels is None:
        return
    odd = matrix.notna() & ~matrix.isin(levels)
    for column in odd.columns[odd.any().to_numpy()]:
        message = f"expected one of {sorted(levels)}"
        refuse_lines(odd[column], "CNA_LEVEL", message, file, column, matrix[column])


def _gene_names(names: pd.DataFrame, file: str, notes: Notes) -> pd.Series:
    """Return the gene of each line; a symbol that stands for several Entrez identifiers tells no gene."""
    symbol = names.get("Hugo_Symbol", pd.Series(None, index=names.index, dtype=object))
    entrez = names.get("Entrez_Gene_Id", pd.Series(None, index=names.index, dtype=object))
    whole = entrez.astype("string").str.fullmatch(r"-?[0-9]+").fillna(True).astype(bool)
    refuse_lines(~whole, "ENTREZ_MALFORMED", "not a whole number", file, "Entrez_Gene_Id", entrez)
    entrez = entrez.where(~entrez.isin(["0"]), None)
    refuse_lines(
        symbol.isna() & entrez.isna(), "VALUE_MISSING", "a row without a gene", file, str(names.columns[0])
    )
    by_number = ENTREZ + entrez.astype("string")
    gene = symbol.where(symbol.notna(), by_number.astype(object)).astype(object)
    numbers = entrez.groupby(symbol).nunique()
    for name in numbers.index[numbers > 1]:
        rows = symbol == name
        found = sorted(entrez[rows].dropna().unique())
        gene = gene.where(~(rows & entrez.notna()), by_number.astype(object))
        notes.add("GENE_AMBIGUOUS", file, record=f"{name}: Entrez {', '.join(found)}")
    return gene.astype(object)


def _repeated(gene: pd.Series, matrix: pd.DataFrame, file: str, column: str, notes: Notes) -> pd.Series:
    """Return which lines repeat a gene with the same values; other values are refused."""
    again = gene.duplicated()
    if not again.any():
        return again
    first = dict(zip(gene.iloc[::-1], gene.index[::-1]))
    for line in gene.index[again.to_numpy()]:
        before = int(first[gene[line]])
        if not np.array_equal(matrix.loc[line].to_numpy(), matrix.loc[before].to_numpy(), equal_nan=True):
            message = f"the gene stands in line {before} with other values ({gene[line]!r})"
            raise FileRefused("GENE_TWICE", message, file, int(line), column)
        notes.add("GENE_TWICE", file, record=f"line {line}, {gene[line]}")
    return again


def _read_long(path: Path, samples: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    raw = read_table(path, required=("Sample_Id", "Value"), optional=_KEYS)
    keys = [name for name in _KEYS if name in raw]
    if not keys:
        message = "needs Hugo_Symbol or Entrez_Gene_Id"
        raise FileRefused("COLUMN_MISSING", message, path.name, column="Hugo_Symbol")
    refuse_lines(raw["Sample_Id"].isna(), "VALUE_MISSING", "a row without a sample", path.name, "Sample_Id")
    raw["Value"] = to_number(raw, "Value", path.name)
    _check_levels(raw[["Value"]], CNA_LEVELS, path.name)
    raw["GENE"] = _gene_names(raw[keys], path.name, notes)
    again = raw.duplicated(["GENE", "Sample_Id"])
    refuse_lines(again, "GENE_TWICE", "the gene has a value for this sample before", path.name, keys[0])
    known = _known_samples(raw["Sample_Id"].drop_duplicates().tolist(), samples, path.name, notes)
    genes = raw["GENE"].drop_duplicates().tolist()
    kept = raw[raw["Sample_Id"].isin(known)]
    wide = kept.pivot_table(index="GENE", columns="Sample_Id", values="Value", aggfunc="first")
    return (
        wide.reindex(index=genes, columns=known).rename_axis(index="GENE", columns="SAMPLE_ID").astype(float)
    )
