"""Read a cBioPortal study folder: patients, samples, mutations (MAF), discrete copy number, expression.

Which file is which is told by its meta file (``data_filename``); where meta files are missing, the usual file
names are taken and that is recorded. Only the sample file is required. Format: "File Formats" of the
cBioPortal documentation (clinical data, discrete copy number, expression, mutation data, case lists).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.biomarkers.textfile import (
    FileRefused,
    read_comments,
    read_lines,
    read_table,
    refuse_lines,
    to_number,
)

# kind of file -> (genetic_alteration_type, datatypes of its meta file, usual names without a meta file)
_KINDS = {
    "patients": ("CLINICAL", ("PATIENT_ATTRIBUTES",), ("data_clinical_patient.txt",)),
    "samples": ("CLINICAL", ("SAMPLE_ATTRIBUTES",), ("data_clinical_sample.txt",)),
    "mutations": ("MUTATION_EXTENDED", ("MAF",), ("data_mutations.txt", "data_mutations_extended.txt")),
    "cna": ("COPY_NUMBER_ALTERATION", ("DISCRETE", "DISCRETE_LONG"), ("data_cna.txt", "data_CNA.txt")),
    "expression": (
        "MRNA_EXPRESSION",
        ("CONTINUOUS", "Z-SCORE", "LOG2-VALUE"),
        ("data_expression.txt", "data_mrna_seq_v2_rsem.txt"),
    ),
}
_IDENTIFIER = r"[A-Za-z0-9._-]+"
_CNA_LEVELS = {-2.0, -1.5, -1.0, 0.0, 1.0, 2.0}
_MUTATION_COLUMNS = ("Hugo_Symbol", "Tumor_Sample_Barcode", "Variant_Classification")
_SAME_VARIANT = ["SAMPLE_ID", "GENE", "CLASS", "PROTEIN", "CHROMOSOME", "START", "ALLELE"]
_CLINICAL_HEADER_LINES = 4
PROBLEM_COLUMNS = ["CODE", "SEVERITY", "USUBJID", "DOMAIN", "RECORD", "MESSAGE", "ACTION"]


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
        A row a variant: SAMPLE_ID, GENE, CLASS, PROTEIN, STATUS, CHROMOSOME, START, ALLELE, VAF (fraction,
        missing without read counts), DEPTH (reads).
    cna : DataFrame or None
        Genes x samples, discrete level -2 to 2; missing where not assessed.
    expression : DataFrame or None
        Genes x samples, in the unit of `expression_unit`.
    problems : DataFrame
        What was set aside or read otherwise: the columns of a query table without STEP.
    expression_unit : str or None
        Datatype of the expression file: CONTINUOUS, Z-SCORE or LOG2-VALUE.
    """

    patients: pd.DataFrame
    samples: pd.DataFrame
    mutations: pd.DataFrame
    cna: pd.DataFrame | None
    expression: pd.DataFrame | None
    problems: pd.DataFrame
    expression_unit: str | None = None


# code -> (severity, what was found, what to do)
_PROBLEMS = {
    "META_MISSING": ("note", "no meta file; the data file was taken by its usual name", "add the meta file"),
    "LAYER_ABSENT": ("note", "the study has no such file", "what needs it is not run"),
    "CLINICAL_HEADER": (
        "warning",
        f"not the {_CLINICAL_HEADER_LINES} header comment lines of the format; all columns are read as text",
        "add the lines: names, descriptions, datatypes, priorities",
    ),
    "PATIENT_WITHOUT_ROW": ("warning", "has a sample, but no row among the patients; is used", "add the row"),
    "SAMPLE_UNKNOWN": (
        "error",
        "values of a sample that the sample file does not name; set aside",
        "add the sample or mend its identifier",
    ),
    "VARIANT_TWICE": ("warning", "the same variant of the same sample again; set aside", "remove one line"),
    "SEQUENCED_ASSUMED": (
        "warning",
        "no case list of sequenced samples; all samples are taken as sequenced",
        "add case_lists/cases_sequenced.txt",
    ),
    "SEQUENCED_UNLISTED": (
        "warning",
        "has variants, but is not in the case list of sequenced samples; is taken as sequenced",
        "add it to the list",
    ),
}


@dataclass
class _Notes:
    rows: list[tuple] = field(default_factory=list)

    def add(self, code: str, file: str, *, record: str | None = None, patient: str | None = None) -> None:
        severity, message, action = _PROBLEMS[code]
        self.rows.append((code, severity, patient, file, record, message, action))

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=PROBLEM_COLUMNS).astype(object)


def read_cbioportal(folder: str | Path) -> CbioportalStudy:
    """Read a cBioPortal study folder.

    Parameters
    ----------
    folder : path
        Folder with ``meta_*.txt`` and ``data_*.txt`` files and, if any, ``case_lists/``.

    Returns
    -------
    CbioportalStudy

    Raises
    ------
    FileRefused
        ``FOLDER_MISSING``, ``SAMPLES_MISSING``, and every fault of a file that leaves its meaning open, with
        file, line and column: ``COLUMN_MISSING``, ``ROW_LENGTH``, ``SAMPLE_TWICE``, ``IDENTIFIER_MALFORMED``,
        ``NUMBER_MALFORMED``, ``CNA_LEVEL``, ``GENE_TWICE`` and others. A record whose meaning is clear but
        which cannot be used (a variant of an unknown sample) is set aside and told in `problems`.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileRefused("FOLDER_MISSING", "no such folder of biomarker files", root.name)
    notes = _Notes()
    files = _find_files(root, notes)
    if "samples" not in files:
        raise FileRefused("SAMPLES_MISSING", "the clinical sample file is required", root.name)
    samples = _read_samples(files["samples"][0], notes)
    patients = _read_patients(files, samples, notes)
    mutations = (
        _read_mutations(files["mutations"][0], samples, notes) if "mutations" in files else _no_mutations()
    )
    samples["SEQUENCED"] = _sequenced(root, samples, mutations, "mutations" in files, notes)
    cna = _read_cna(*files["cna"], samples, notes) if "cna" in files else None
    expression = _read_matrix(files["expression"][0], samples, notes) if "expression" in files else None
    unit = files["expression"][1] if "expression" in files else None
    return CbioportalStudy(patients, samples, mutations, cna, expression, notes.frame(), unit)


def _find_files(root: Path, notes: _Notes) -> dict[str, tuple[Path, str]]:
    metas = [_read_meta(path) for path in sorted(root.glob("meta_*.txt"))]
    files: dict[str, tuple[Path, str]] = {}
    for kind, (alteration, datatypes, usual) in _KINDS.items():
        named = [meta for meta in metas if _is_kind(meta, alteration, datatypes)]
        # Raw values before z-scores where a study has both: the order of the datatypes.
        named.sort(key=lambda meta: datatypes.index(meta["datatype"].upper()))
        found = [name for name in usual if (root / name).is_file()]
        if named:
            files[kind] = (root / named[0]["data_filename"], named[0]["datatype"].upper())
        elif found:
            files[kind] = (root / found[0], datatypes[0])
            notes.add("META_MISSING", found[0])
        elif kind != "samples":
            notes.add("LAYER_ABSENT", kind)
    return files


def _read_meta(path: Path) -> dict[str, str]:
    meta = {"file": path.name}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise FileRefused("META_MALFORMED", "expected 'name: value'", path.name, number)
        meta[key.strip()] = value.strip()
    if "genetic_alteration_type" in meta and not {"datatype", "data_filename"} <= set(meta):
        raise FileRefused("META_INCOMPLETE", "needs datatype and data_filename", path.name)
    return meta


def _is_kind(meta: dict[str, str], alteration: str, datatypes: tuple[str, ...]) -> bool:
    return (
        meta.get("genetic_alteration_type", "").upper() == alteration
        and meta["datatype"].upper() in datatypes
    )


def _read_clinical(path: Path, required: tuple[str, ...], notes: _Notes) -> pd.DataFrame:
    frame = read_table(path, required=required)
    comments = read_comments(path)
    if len(comments) != _CLINICAL_HEADER_LINES:
        notes.add("CLINICAL_HEADER", path.name, record=f"{len(comments)} lines")
    for column in required:
        refuse_lines(
            frame[column].isna(), "IDENTIFIER_MISSING", "an identifier is missing", path.name, column
        )
        odd = ~frame[column].str.fullmatch(_IDENTIFIER)
        allowed = "only letters, digits, points, underscores and hyphens are allowed"
        refuse_lines(odd, "IDENTIFIER_MALFORMED", allowed, path.name, column)
    for column in _number_columns(comments, frame):
        frame[column] = to_number(frame, column, path.name)
    return frame


def _number_columns(comments: list[list[str]], frame: pd.DataFrame) -> list[str]:
    if len(comments) != _CLINICAL_HEADER_LINES:
        return []
    datatypes = [word.strip().upper() for word in comments[2]]
    return [name for name, kind in zip(frame.columns, datatypes) if kind == "NUMBER"]


def _read_samples(path: Path, notes: _Notes) -> pd.DataFrame:
    frame = _read_clinical(path, ("PATIENT_ID", "SAMPLE_ID"), notes)
    twice = frame["SAMPLE_ID"].duplicated()
    refuse_lines(twice, "SAMPLE_TWICE", "the sample stands in the file before", path.name, "SAMPLE_ID")
    return frame.reset_index(drop=True)


def _read_patients(files: dict, samples: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    if "patients" not in files:
        return samples[["PATIENT_ID"]].drop_duplicates().reset_index(drop=True)
    path = files["patients"][0]
    frame = _read_clinical(path, ("PATIENT_ID",), notes)
    twice = frame["PATIENT_ID"].duplicated()
    refuse_lines(twice, "PATIENT_TWICE", "the patient stands in the file before", path.name, "PATIENT_ID")
    for patient in sorted(set(samples["PATIENT_ID"]) - set(frame["PATIENT_ID"])):
        notes.add("PATIENT_WITHOUT_ROW", path.name, patient=patient)
    return frame.reset_index(drop=True)


def _no_mutations() -> pd.DataFrame:
    frame = pd.DataFrame(columns=[*_SAME_VARIANT, "STATUS", "VAF", "DEPTH"], dtype=object)
    return frame.astype({"VAF": float, "DEPTH": float})


def _read_mutations(path: Path, samples: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    raw = read_table(path, required=_MUTATION_COLUMNS)
    for column in _MUTATION_COLUMNS:
        refuse_lines(raw[column].isna(), "VALUE_MISSING", "a required value is missing", path.name, column)
    counts = {name: _counts(raw, name, path.name) for name in ("t_alt_count", "t_ref_count")}
    depth = counts["t_alt_count"] + counts["t_ref_count"]
    frame = pd.DataFrame(
        {
            "SAMPLE_ID": raw["Tumor_Sample_Barcode"],
            "GENE": raw["Hugo_Symbol"],
            "CLASS": raw["Variant_Classification"],
            "PROTEIN": _optional(raw, "HGVSp_Short"),
            "CHROMOSOME": _optional(raw, "Chromosome"),
            "START": _optional(raw, "Start_Position"),
            "ALLELE": _optional(raw, "Tumor_Seq_Allele2"),
            "STATUS": _optional(raw, "Mutation_Status"),
            "VAF": counts["t_alt_count"] / depth.where(depth > 0),
            "DEPTH": depth,
        }
    )
    known = _set_aside_unknown(frame, samples, path.name, notes)
    return _set_aside_duplicates(known, path.name, notes).reset_index(drop=True)


def _optional(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column] if column in frame else pd.Series(None, index=frame.index, dtype=object)


def _counts(frame: pd.DataFrame, column: str, file: str) -> pd.Series:
    if column not in frame:
        return pd.Series(np.nan, index=frame.index)
    return to_number(frame, column, file, low=0)


def _set_aside_unknown(frame: pd.DataFrame, samples: pd.DataFrame, file: str, notes: _Notes) -> pd.DataFrame:
    unknown = ~frame["SAMPLE_ID"].isin(samples["SAMPLE_ID"])
    for line, row in frame[unknown].iterrows():
        notes.add("SAMPLE_UNKNOWN", file, record=f"line {line}, sample {row['SAMPLE_ID']}")
    return frame[~unknown]


def _set_aside_duplicates(frame: pd.DataFrame, file: str, notes: _Notes) -> pd.DataFrame:
    # Without a position and a protein change two variants of a gene cannot be told apart: both are kept.
    told_apart = frame["START"].notna() | frame["PROTEIN"].notna()
    again = told_apart & frame.duplicated(_SAME_VARIANT)
    for line in frame.index[again]:
        notes.add("VARIANT_TWICE", file, record=f"line {line}")
    return frame[~again]


def _sequenced(
    root: Path, samples: pd.DataFrame, mutations: pd.DataFrame, has_file: bool, notes: _Notes
) -> pd.Series:
    """Tell which samples were sequenced: without that, "no variant" cannot be told from "not looked at"."""
    if not has_file:
        return pd.Series(False, index=samples.index)
    listed = _case_list(root, "_sequenced")
    if listed is None:
        notes.add("SEQUENCED_ASSUMED", "case_lists")
        return pd.Series(True, index=samples.index)
    outside = sorted(set(mutations["SAMPLE_ID"]) - listed)
    for sample in outside:
        notes.add("SEQUENCED_UNLISTED", "case_lists", record=f"sample {sample}")
    return samples["SAMPLE_ID"].isin(listed | set(outside))


def _case_list(root: Path, ending: str) -> set[str] | None:
    for path in sorted((root / "case_lists").glob("*.txt")):
        meta = _read_meta(path)
        if meta.get("stable_id", "").endswith(ending):
            return set(meta.get("case_list_ids", "").split())
    return None


def _read_cna(path: Path, datatype: str, samples: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    if datatype == "DISCRETE_LONG":
        return _read_long(path, samples, notes)
    return _read_matrix(path, samples, notes, levels=_CNA_LEVELS)


def _check_levels(values: pd.Series, levels: set[float] | None, file: str, column: str) -> None:
    if levels is not None:
        odd = values.notna() & ~values.isin(levels)
        refuse_lines(odd, "CNA_LEVEL", f"expected one of {sorted(levels)}", file, column, values)


def _read_long(path: Path, samples: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    raw = read_table(path, required=("Hugo_Symbol", "Sample_Id", "Value"))
    again = raw.duplicated(["Hugo_Symbol", "Sample_Id"])
    refuse_lines(again, "GENE_TWICE", "the gene has a value for this sample before", path.name, "Hugo_Symbol")
    raw["Value"] = to_number(raw, "Value", path.name)
    _check_levels(raw["Value"], _CNA_LEVELS, path.name, "Value")
    known = set(_known_samples(raw["Sample_Id"].drop_duplicates(), samples, path.name, notes))
    wide = raw[raw["Sample_Id"].isin(known)].pivot_table(
        index="Hugo_Symbol", columns="Sample_Id", values="Value"
    )
    return wide.rename_axis(index="GENE", columns="SAMPLE_ID")


def _read_matrix(
    path: Path, samples: pd.DataFrame, notes: _Notes, *, levels: set[float] | None = None
) -> pd.DataFrame:
    raw = read_table(path)
    keys = [name for name in ("Hugo_Symbol", "Entrez_Gene_Id", "Cytoband") if name in raw]
    if not {"Hugo_Symbol", "Entrez_Gene_Id"} & set(keys):
        raise FileRefused(
            "COLUMN_MISSING", "needs Hugo_Symbol or Entrez_Gene_Id", path.name, column="Hugo_Symbol"
        )
    gene = _gene_names(raw)
    refuse_lines(gene.isna(), "VALUE_MISSING", "a row without a gene", path.name, keys[0])
    refuse_lines(
        gene.duplicated(), "GENE_TWICE", "the gene stands in the file before", path.name, keys[0], gene
    )
    known = _known_samples([name for name in raw.columns if name not in keys], samples, path.name, notes)
    values = pd.DataFrame({sample: to_number(raw, sample, path.name) for sample in known}, index=raw.index)
    for sample in known:
        _check_levels(values[sample], levels, path.name, sample)
    return values.set_axis(pd.Index(gene, name="GENE")).rename_axis(columns="SAMPLE_ID")


def _known_samples(names: Iterable[str], samples: pd.DataFrame, file: str, notes: _Notes) -> list[str]:
    named = set(samples["SAMPLE_ID"])
    for sample in names:
        if sample not in named:
            notes.add("SAMPLE_UNKNOWN", file, record=f"sample {sample}")
    return [sample for sample in names if sample in named]


def _gene_names(raw: pd.DataFrame) -> pd.Series:
    symbol = raw.get("Hugo_Symbol")
    entrez = raw.get("Entrez_Gene_Id")
    if symbol is None:
        return "ENTREZ:" + entrez
    return symbol if entrez is None else symbol.fillna("ENTREZ:" + entrez)
