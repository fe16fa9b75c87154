"""Write tumour data as a cBioPortal study folder or a MAF: what is written reads back as it was.

Text is UTF-8 with line feeds, in the order of the frames; the same data gives the same bytes. Format: "File
Formats" of the cBioPortal documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.biomarkers.files.cbioportal import CbioportalStudy
from analysis.biomarkers.files.maf import ENTREZ, OWN_VAF
from analysis.biomarkers.files.textfile import NULL_WORDS

_MAF_TEXT = {
    "GENE": "Hugo_Symbol",
    "CHROMOSOME": "Chromosome",
    "START": "Start_Position",
    "END": "End_Position",
    "CLASS": "Variant_Classification",
    "REF": "Reference_Allele",
    "ALLELE": "Tumor_Seq_Allele2",
    "SAMPLE_ID": "Tumor_Sample_Barcode",
    "STATUS": "Mutation_Status",
    "PROTEIN": "HGVSp_Short",
}
_STABLE_ID = {
    "CONTINUOUS": "rna_seq_mrna",
    "LOG2-VALUE": "rna_seq_mrna",
    "Z-SCORE": "rna_seq_mrna_median_Zscores",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]+")


def write_maf(mutations: pd.DataFrame, path: str | Path) -> Path:
    """Write variants as a MAF: read counts, and a column of our own for a fraction they do not give.

    Parameters
    ----------
    mutations : DataFrame
        As `analysis.biomarkers.files.maf.read_maf` returns it.
    path : path
        File to write; its folder must be there.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        ``TEXT_UNWRITABLE`` where a value holds a tab or a line break, or would not be read as it is.
    """
    table = pd.DataFrame({theirs: mutations[ours] for ours, theirs in _MAF_TEXT.items()}, dtype=object)
    vaf, depth = mutations["VAF"].to_numpy(float), mutations["DEPTH"].to_numpy(float)
    alt = np.round(vaf * depth)
    with np.errstate(invalid="ignore", divide="ignore"):
        told = (depth > 0) & (alt / depth == vaf)
    table["t_alt_count"] = np.where(told, alt, np.nan)
    table["t_ref_count"] = np.where(told, depth - alt, np.nan)
    table["t_depth"] = depth
    own = np.where(told, np.nan, vaf)
    if not np.isnan(own).all():
        table[OWN_VAF] = own
    return _write(Path(path), ["#version 2.4", *_lines(table)])


def write_cbioportal(
    study: CbioportalStudy,
    folder: str | Path,
    *,
    name: str,
    description: str,
    identifier: str,
    type_of_cancer: str = "brca",
) -> Path:
    """Write a study folder: meta and data files, case lists, gene panels.

    Parameters
    ----------
    study : CbioportalStudy
        `problems` is not written.
    folder : path
        New or empty folder.
    name, description : str
        Of the study, for its meta file.
    identifier : str
        cancer_study_identifier: letters, digits, points, underscores and hyphens.
    type_of_cancer : str
        Cancer type of the portal.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        ``FOLDER_NOT_EMPTY``, ``IDENTIFIER_MALFORMED``, or ``TEXT_UNWRITABLE`` as `write_maf`.
    """
    root = Path(folder)
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"FOLDER_NOT_EMPTY: {root.name}: write into a new folder")
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"IDENTIFIER_MALFORMED: {identifier!r}: letters, digits, . _ - only")
    root.mkdir(parents=True, exist_ok=True)
    about = {"type_of_cancer": type_of_cancer, "cancer_study_identifier": identifier, "name": name}
    _write_meta(root / "meta_study.txt", {**about, "description": description})
    samples = study.samples.drop(columns="SEQUENCED")
    _write_clinical(root, identifier, "sample", samples)
    _write_clinical(root, identifier, "patient", study.patients)
    sequenced = list(study.samples.loc[study.samples["SEQUENCED"], "SAMPLE_ID"])
    if sequenced or len(study.mutations):
        _write_mutations(root, identifier, study)
        _write_panels(root, identifier, study)
    if study.cna is not None and len(study.cna.columns):
        meta = _profile("COPY_NUMBER_ALTERATION", "DISCRETE", "cna", "Copy number", "data_cna.txt")
        _write_meta(root / "meta_cna.txt", {"cancer_study_identifier": identifier, **meta})
        _write_matrix(study.cna, root / "data_cna.txt")
    if study.expression is not None and len(study.expression.columns):
        unit = study.expression_unit or "CONTINUOUS"
        meta = _profile("MRNA_EXPRESSION", unit, _STABLE_ID[unit], "mRNA expression", "data_expression.txt")
        _write_meta(root / "meta_expression.txt", {"cancer_study_identifier": identifier, **meta})
        _write_matrix(study.expression, root / "data_expression.txt")
    _write_case_lists(root, identifier, study, sequenced)
    return root


def _profile(alteration: str, datatype: str, stable_id: str, name: str, file: str) -> dict[str, str]:
    return {
        "genetic_alteration_type": alteration,
        "datatype": datatype,
        "stable_id": stable_id,
        "show_profile_in_analysis_tab": "false" if datatype in ("CONTINUOUS", "LOG2-VALUE") else "true",
        "profile_name": name,
        "profile_description": name,
        "data_filename": file,
    }


def _write_mutations(root: Path, identifier: str, study: CbioportalStudy) -> None:
    meta = _profile("MUTATION_EXTENDED", "MAF", "mutations", "Mutations", "data_mutations.txt")
    path = write_maf(study.mutations, root / "data_mutations.txt")
    if OWN_VAF in path.read_text(encoding="utf-8").split("\n", 2)[1]:
        meta["namespaces"] = OWN_VAF.partition(".")[0]
    _write_meta(root / "meta_mutations.txt", {"cancer_study_identifier": identifier, **meta})


def _write_clinical(root: Path, identifier: str, kind: str, frame: pd.DataFrame) -> None:
    """Write a clinical file with its four header lines: names, descriptions, datatypes, priorities."""
    numbers = [pd.api.types.is_float_dtype(frame[name]) for name in frame.columns]
    header = [
        list(frame.columns),
        list(frame.columns),
        ["NUMBER" if number else "STRING" for number in numbers],
        ["1"] * len(frame.columns),
    ]
    file = f"data_clinical_{kind}.txt"
    meta = {
        "genetic_alteration_type": "CLINICAL",
        "datatype": f"{kind.upper()}_ATTRIBUTES",
        "data_filename": file,
    }
    _write_meta(root / f"meta_clinical_{kind}.txt", {"cancer_study_identifier": identifier, **meta})
    _write(root / file, ["#" + "\t".join(line) for line in header] + _lines(frame))


def _write_matrix(matrix: pd.DataFrame, path: Path) -> None:
    numbered = matrix.index.str.startswith(ENTREZ)
    keys = {"Hugo_Symbol": np.where(numbered, None, matrix.index)}
    if numbered.any():
        keys["Entrez_Gene_Id"] = np.where(numbered, matrix.index.str.removeprefix(ENTREZ), None)
    values = matrix.reset_index(drop=True).rename_axis(columns=None)
    _write(path, _lines(pd.concat([pd.DataFrame(keys, dtype=object), values], axis=1), missing="NA"))


def _write_panels(root: Path, identifier: str, study: CbioportalStudy) -> None:
    """Write a file a set of genes and the matrix; a sample looked at for every gene has NA there."""
    distinct = sorted({tuple(sorted(genes)) for genes in study.panels.values() if genes is not None})
    if not distinct:
        return
    names = {genes: f"PANEL_{number}" for number, genes in enumerate(distinct, 1)}
    for genes, name in names.items():
        meta = {"stable_id": name, "description": f"{len(genes)} genes", "gene_list": "\t".join(genes)}
        _write_meta(root / f"data_gene_panel_{name}.txt", meta)
    panel = [
        None if study.panels.get(sample) is None else names[tuple(sorted(study.panels[sample]))]
        for sample in study.samples["SAMPLE_ID"]
    ]
    matrix = pd.DataFrame({"SAMPLE_ID": study.samples["SAMPLE_ID"], "mutations": panel}, dtype=object)
    _write(root / "data_gene_panel_matrix.txt", _lines(matrix, missing="NA"))
    kind = dict.fromkeys(("genetic_alteration_type", "datatype"), "GENE_PANEL_MATRIX")
    meta = {"cancer_study_identifier": identifier, **kind, "data_filename": "data_gene_panel_matrix.txt"}
    _write_meta(root / "meta_gene_panel_matrix.txt", meta)


def _write_case_lists(root: Path, identifier: str, study: CbioportalStudy, sequenced: list[str]) -> None:
    assessed = [] if study.cna is None else list(study.cna.columns)
    both = [sample for sample in sequenced if sample in set(assessed)]
    expressed = [] if study.expression is None else list(study.expression.columns)
    lists = {
        "all": (list(study.samples["SAMPLE_ID"]), "all_cases_in_study"),
        "sequenced": (sequenced, "all_cases_with_mutation_data"),
        "cna": (assessed, "all_cases_with_cna_data"),
        "cnaseq": (both, "all_cases_with_mutation_and_cna_data"),
        "rna_seq_mrna": (expressed, "all_cases_with_mrna_rnaseq_data"),
    }
    for kind, (samples, category) in lists.items():
        if not samples and kind != "all":
            continue
        meta = {
            "cancer_study_identifier": identifier,
            "stable_id": f"{identifier}_{kind}",
            "case_list_name": kind,
            "case_list_description": f"{len(samples)} samples",
            "case_list_category": category,
            "case_list_ids": "\t".join(samples),
        }
        _write_meta(root / "case_lists" / f"cases_{kind}.txt", meta)


def _write_meta(path: Path, meta: dict[str, str]) -> None:
    for key, value in meta.items():
        _refuse_breaks([value], key, tabs=key not in ("case_list_ids", "gene_list"))
    _write(path, [f"{key}: {value}" for key, value in meta.items()])


def _lines(frame: pd.DataFrame, missing: str = "") -> list[str]:
    """Return a frame as tab-separated lines, the header first; whole numbers without a decimal point."""
    columns = []
    for name in frame.columns:
        told = [None if pd.isna(value) else _text(value) for value in frame[name]]
        _refuse_breaks([str(name), *(value for value in told if value is not None)], str(name))
        _refuse_misread((value for value in told if value is not None), str(name))
        columns.append([missing if value is None else value for value in told])
    lines = ["\t".join(map(str, frame.columns)), *map("\t".join, zip(*columns))]
    comment = next((line for line in lines if line.startswith("#")), None)
    if comment is not None:
        raise ValueError(
            f"TEXT_UNWRITABLE: column {frame.columns[0]}: {comment!r} would be read as a comment"
        )
    return lines


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return str(value)


def _refuse_breaks(values: Iterable[str], column: str, *, tabs: bool = True) -> None:
    for value in values:
        if re.search(r"[\r\n\t]" if tabs else r"[\r\n]", value):
            raise ValueError(f"TEXT_UNWRITABLE: column {column}: a tab or line break in {value!r}")


def _refuse_misread(values: Iterable[str], column: str) -> None:
    # What would come back as missing, or without its ends.
    for value in values:
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        if value.lower() in NULL_WORDS or value != value.strip() or quoted:
            raise ValueError(f"TEXT_UNWRITABLE: column {column}: {value!r} would not be read as it is")


def _write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))
    return path
