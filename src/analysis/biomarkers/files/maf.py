"""Mutation annotation format (MAF): one reader for the file of a study folder and for a plain one.

Sources: "Mutation Data" of the cBioPortal File Formats and its study validator; GDC MAF format.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import FileRefused, read_table, refuse_lines, to_number

COLUMNS = ["SAMPLE_ID", "GENE", "CLASS", "PROTEIN", "CHROMOSOME", "START", "ALLELE"]
COLUMNS += ["STATUS", "VAF", "DEPTH", "END", "REF"]
SAME_VARIANT = ["SAMPLE_ID", "GENE", "CLASS", "PROTEIN", "CHROMOSOME", "START", "ALLELE"]
# A gene that only its Entrez identifier tells.
ENTREZ = "ENTREZ:"
# Our own column, in a namespace of its own as the format asks: an allele fraction that no read counts tell.
OWN_VAF = "PEARL.VAF"
_REQUIRED = ("Hugo_Symbol", "Tumor_Sample_Barcode", "Variant_Classification")
_TEXT = {
    "SAMPLE_ID": "Tumor_Sample_Barcode",
    "GENE": "Hugo_Symbol",
    "CLASS": "Variant_Classification",
    "START": "Start_Position",
    "END": "End_Position",
    "REF": "Reference_Allele",
    "STATUS": "Mutation_Status",
}
_COUNTS = ("t_alt_count", "t_ref_count", "t_depth")
_OPTIONAL = (
    *(*_TEXT.values(), *_COUNTS, OWN_VAF, "Chromosome", "Entrez_Gene_Id"),
    *("Tumor_Seq_Allele1", "Tumor_Seq_Allele2", "HGVSp_Short", "Amino_Acid_Change"),
)
_BASES = r"[ACGTacgt]+"


class Variants(NamedTuple):
    """The variants of a file and what was set aside or asked on the way."""

    frame: pd.DataFrame
    problems: pd.DataFrame


@lru_cache(maxsize=1)
def consequences() -> dict:
    """Read the words of variants: Sequence Ontology terms, classes of the MAF, amino acids."""
    text = (
        resources.files("analysis.biomarkers.files").joinpath("consequences.yaml").read_text(encoding="utf-8")
    )
    return yaml.safe_load(text)


def read_maf(path: str | Path) -> Variants:
    """Read a plain MAF (GDC style, also gzipped): a row a variant of a sample.

    Parameters
    ----------
    path : path
        Tab-separated; comment lines (``#version``) anywhere. Hugo_Symbol, Tumor_Sample_Barcode and
        Variant_Classification are required, spelled so.

    Returns
    -------
    Variants
        `frame`: SAMPLE_ID GENE CLASS PROTEIN CHROMOSOME (without ``chr``) START ALLELE STATUS VAF (fraction)
        DEPTH (reads) END REF; missing is None or NaN. The allele fraction comes from read counts only
        (t_alt_count with t_ref_count or t_depth), never from a column of another name. `problems`: the
        columns of a query table without STEP.

    Raises
    ------
    FileRefused
        Faults of the text; ``VALUE_MISSING``, ``NUMBER_MALFORMED``, ``NUMBER_RANGE``, ``POSITION_MALFORMED``,
        ``COUNTS_CONTRADICT``, each with line and column.
    """
    notes = Notes()
    frame = read_variants(Path(path), notes)
    kept = drop_duplicates(frame, Path(path).name, notes)
    return Variants(kept.reset_index(drop=True), notes.frame())


def no_variants() -> pd.DataFrame:
    """Return the frame of variants without rows."""
    return pd.DataFrame(columns=COLUMNS, dtype=object).astype({"VAF": float, "DEPTH": float})


def read_variants(path: Path, notes: Notes) -> pd.DataFrame:
    """Read the variants of a MAF as `read_maf` does, duplicates included; the index is the line."""
    raw = read_table(path, required=_REQUIRED, optional=_OPTIONAL)
    for column in _REQUIRED:
        refuse_lines(raw[column].isna(), "VALUE_MISSING", "a required value is missing", path.name, column)
    raw = _drop_intergenic(raw, path.name, notes)
    for column in ("Start_Position", "End_Position"):
        _check_position(raw, column, path.name)
    frame = pd.DataFrame({ours: _optional(raw, theirs) for ours, theirs in _TEXT.items()}, index=raw.index)
    frame["PROTEIN"] = _optional(raw, "HGVSp_Short" if "HGVSp_Short" in raw else "Amino_Acid_Change")
    frame["CHROMOSOME"] = without_prefix(_optional(raw, "Chromosome"))
    frame["ALLELE"] = _tumour_allele(raw, path.name, notes)
    frame["VAF"], frame["DEPTH"] = _fractions(raw, path.name)
    _check_order(frame, path.name)
    _note_classes(frame, path.name, notes)
    return frame[COLUMNS]


def drop_duplicates(frame: pd.DataFrame, file: str, notes: Notes) -> pd.DataFrame:
    """Return the variants without repeated ones, which are noted with their line."""
    # Without a position and a protein change two variants of a gene cannot be told apart: both are kept.
    told_apart = frame["START"].notna() | frame["PROTEIN"].notna()
    again = told_apart & frame.duplicated(SAME_VARIANT)
    for line in frame.index[again]:
        notes.add("VARIANT_TWICE", file, record=f"line {line}")
    return frame[~again]


def without_prefix(chromosome: pd.Series) -> pd.Series:
    """Return names of chromosomes as the MAF has them: ``7``, not ``chr7``."""
    return chromosome.map(lambda name: name if pd.isna(name) else str(name).removeprefix("chr")).astype(
        object
    )


def _optional(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column] if column in frame else pd.Series(None, index=frame.index, dtype=object)


def _drop_intergenic(raw: pd.DataFrame, file: str, notes: Notes) -> pd.DataFrame:
    # "Filtered mutations" of the format: symbol Unknown with Entrez 0 is read as between genes.
    entrez = _optional(raw, "Entrez_Gene_Id")
    unnamed = raw["Hugo_Symbol"] == "Unknown"
    between = unnamed & (entrez.isna() | (entrez == "0"))
    for line in raw.index[between.to_numpy(bool)]:
        notes.add("VARIANT_INTERGENIC", file, record=f"line {line}")
    by_number = ENTREZ + entrez.astype("string").astype(object)
    named = raw.assign(Hugo_Symbol=raw["Hugo_Symbol"].where(~unnamed, by_number))
    return named[~between.to_numpy(bool)]


def _check_position(raw: pd.DataFrame, column: str, file: str) -> None:
    values = _optional(raw, column)
    odd = values.notna() & ~values.astype("string").str.fullmatch(r"[0-9]{1,12}").fillna(False).astype(bool)
    refuse_lines(odd, "POSITION_MALFORMED", "not a whole number", file, column, values)


def _check_order(frame: pd.DataFrame, file: str) -> None:
    both = frame[["START", "END"]].dropna()
    crossed = both["START"].map(int) > both["END"].map(int)
    refuse_lines(crossed, "POSITION_RANGE", "after its end", file, "Start_Position", both["START"])


def _tumour_allele(raw: pd.DataFrame, file: str, notes: Notes) -> pd.Series:
    """Return the variant allele: Tumor_Seq_Allele2, unless only the other one is a change."""
    first, second = _optional(raw, "Tumor_Seq_Allele1"), _optional(raw, "Tumor_Seq_Allele2")
    reference = _optional(raw, "Reference_Allele")
    one = first.notna() & (first != reference)
    two = second.notna() & (second != reference)
    bases = [
        allele.astype("string").str.fullmatch(_BASES).fillna(False).astype(bool) for allele in (first, second)
    ]
    # The format prefers a sequence of bases to "-".
    take_first = one & (~two | (bases[0] & ~bases[1] & reference.notna()))
    unclear = one & two & (first != second) & ~take_first
    for line in raw.index[unclear.to_numpy(bool)]:
        notes.add("ALLELE_AMBIGUOUS", file, record=f"line {line}")
    return second.where(~take_first, first).astype(object)


def _fractions(raw: pd.DataFrame, file: str) -> tuple[pd.Series, pd.Series]:
    """Return allele fraction and depth, from alternative and reference reads, else from the total depth."""
    alt, ref, total = (_counts(raw, name, file) for name in _COUNTS)
    refuse_lines(
        alt > total, "COUNTS_CONTRADICT", "more variant reads than t_depth", file, "t_alt_count", alt
    )
    depth = (alt + ref).fillna(total)
    vaf = (alt / depth.where(depth > 0)).astype(float)
    if OWN_VAF in raw:
        vaf = vaf.fillna(to_number(raw, OWN_VAF, file, low=0, high=1))
    return vaf, depth


def _counts(raw: pd.DataFrame, column: str, file: str) -> pd.Series:
    if column not in raw:
        return pd.Series(np.nan, index=raw.index)
    # The validator takes "." as no count.
    count = to_number(raw[[column]].where(raw[column] != ".", None), column, file, low=0)
    part = count.notna() & (count % 1 != 0)
    refuse_lines(part, "NUMBER_MALFORMED", "not a whole number of reads", file, column, raw[column])
    return count


def _note_classes(frame: pd.DataFrame, file: str, notes: Notes) -> None:
    unknown = frame.loc[~frame["CLASS"].isin(consequences()["classes"]), "CLASS"]
    for name, count in unknown.value_counts().sort_index().items():
        notes.add(
            "VARIANT_CLASS_UNKNOWN",
            file,
            record=f"{name}, {count} lines, first line {unknown[unknown == name].index[0]}",
        )


def refuse_without_samples(frame: pd.DataFrame, samples: pd.DataFrame, file: str) -> None:
    """Refuse a file none of whose samples is known: it belongs to another study."""
    if len(frame) and not frame["SAMPLE_ID"].isin(samples["SAMPLE_ID"]).any():
        message = f"none of its samples is among the samples ({frame['SAMPLE_ID'].iloc[0]!r} and others)"
        raise FileRefused("SAMPLES_UNKNOWN", message, file, column="Tumor_Sample_Barcode")
