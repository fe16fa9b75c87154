"""Meta files and case lists of a cBioPortal study folder: which file is which.

Rules of the documentation ("Data Loading", "File Formats"): a meta file may have any name that starts or
ends with ``meta``, the data file is what its ``data_filename`` says; case lists lie in ``case_lists/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import FileRefused, read_lines


class Kind(NamedTuple):
    """A kind of file: genetic_alteration_type, the datatypes read (best first), names without a meta file."""

    alteration: str
    datatypes: tuple[str, ...]
    usual: tuple[str, ...]


class DataFile(NamedTuple):
    """A data file that is read: where it is, its datatype, and the fields of its meta file."""

    path: Path
    datatype: str
    meta: Mapping[str, str]


KINDS = {
    "patients": Kind("CLINICAL", ("PATIENT_ATTRIBUTES",), ("data_clinical_patient.txt",)),
    "samples": Kind("CLINICAL", ("SAMPLE_ATTRIBUTES",), ("data_clinical_sample.txt",)),
    "mutations": Kind("MUTATION_EXTENDED", ("MAF",), ("data_mutations.txt", "data_mutations_extended.txt")),
    "cna": Kind("COPY_NUMBER_ALTERATION", ("DISCRETE", "DISCRETE_LONG"), ("data_cna.txt", "data_CNA.txt")),
    # Raw values before z-scores where a study has both.
    "expression": Kind(
        "MRNA_EXPRESSION",
        ("CONTINUOUS", "LOG2-VALUE", "Z-SCORE"),
        ("data_expression.txt", "data_mrna_seq_v2_rsem.txt"),
    ),
    "panels": Kind("GENE_PANEL_MATRIX", ("GENE_PANEL_MATRIX",), ("data_gene_panel_matrix.txt",)),
}
# A layer whose absence is told; the others are optional parts of layers.
_LAYERS = ("patients", "mutations", "cna", "expression")
_META_NAME = re.compile(r"(\b|_)meta(\b|[_0-9])", re.IGNORECASE)
_META_ENDINGS = ("", ".txt", ".meta")
# microRNA is declared as expression by the format; it is no expression of genes.
_NOT_GENES = "mirna"
# What is part of the study without being a layer of data.
_NO_LAYER = ("CANCER_TYPE",)

# what a case list says was done, by the end of its stable_id or by its category (None: nothing that is used)
CASE_LISTS = {
    "_sequenced": "sequenced",
    "_cna": "cna",
    "_cnaseq": "sequenced+cna",
    "_3way_complete": "sequenced+cna",
    "_all": None,
    "_mrna": None,
    "_rna_seq_mrna": None,
    "_rna_seq_v2_mrna": None,
    "_normal_mrna": None,
    "_microrna": None,
    "_methylation_hm27": None,
    "_rppa": None,
    "_sv": None,
}
CATEGORIES = {
    "all_cases_with_mutation_data": "sequenced",
    "all_cases_with_cna_data": "cna",
    "all_cases_with_mutation_and_cna_data": "sequenced+cna",
    "all_cases_with_mutation_and_cna_and_mrna_data": "sequenced+cna",
    "all_cases_in_study": None,
    "all_cases_with_log2_cna_data": None,
    "all_cases_with_methylation_data": None,
    "all_cases_with_mrna_array_data": None,
    "all_cases_with_mrna_rnaseq_data": None,
    "all_cases_with_rppa_data": None,
    "all_cases_with_microrna_data": None,
    "all_cases_with_gsva_data": None,
    "all_cases_with_sv_data": None,
    "other": None,
}


class CaseList(NamedTuple):
    """A case list: its file, its stable_id, what it says was done, its samples."""

    file: str
    stable_id: str
    done: str | None
    samples: frozenset[str]


def list_meta_files(root: Path) -> list[Path]:
    """Return the meta files of a folder, sorted by name."""
    return sorted(
        path
        for path in root.iterdir()
        if path.is_file()
        and path.suffix.lower() in _META_ENDINGS
        and not path.name.startswith((".", "data_"))
        and _META_NAME.search(path.name)
    )


def find_files(root: Path, notes: Notes) -> dict[str, DataFile]:
    """Tell which file of a study folder is which; what is there and not used is noted.

    Returns
    -------
    dict
        Kind of file (`KINDS`) -> the file to read.

    Raises
    ------
    FileRefused
        ``META_MALFORMED``, ``META_INCOMPLETE``, ``META_TWICE``, ``FILE_OUTSIDE``, ``FILE_NAME_MALFORMED``.
    """
    metas = [read_meta(path) for path in list_meta_files(root)]
    _compare_studies(metas, notes)
    located = [(meta, _inside(root, meta)) for meta in metas if "genetic_alteration_type" in meta]
    files = {}
    for kind, description in KINDS.items():
        found = _of_kind(located, description)
        usual = [name for name in description.usual if (root / name).is_file()]
        if found:
            meta, path = found[0]
            files[kind] = DataFile(path, meta["datatype"].upper(), meta)
            if len(found) > 1:
                others = ", ".join(other["file"] for other, _ in found[1:])
                notes.add("PROFILE_CHOSEN", meta["file"], record=f"not read: {others}")
        elif usual:
            files[kind] = DataFile(root / usual[0], description.datatypes[0], {})
            notes.add("META_MISSING", usual[0])
        elif kind in _LAYERS:
            notes.add("LAYER_ABSENT", kind)
    _note_unused(root, located, files, notes)
    return files


def _of_kind(located: list[tuple[dict, Path]], kind: Kind) -> list[tuple[dict, Path]]:
    found = [
        (meta, path)
        for meta, path in located
        if meta["genetic_alteration_type"].upper() == kind.alteration
        and meta["datatype"].upper() in kind.datatypes
        and not meta.get("stable_id", "").startswith(_NOT_GENES)
    ]
    return sorted(
        found, key=lambda item: (kind.datatypes.index(item[0]["datatype"].upper()), item[0]["file"])
    )


def _compare_studies(metas: list[dict[str, str]], notes: Notes) -> None:
    named = {
        meta["file"]: meta["cancer_study_identifier"] for meta in metas if "cancer_study_identifier" in meta
    }
    if not named:
        return
    study = named.get("meta_study.txt") or next(iter(named.values()))
    for file, found in named.items():
        if found != study:
            notes.add("STUDY_DIFFERS", file, record=f"{found}, not {study}")


def _inside(root: Path, meta: dict[str, str]) -> Path:
    try:
        path = (root / meta["data_filename"]).resolve()
        path.is_file()
    except (OSError, ValueError) as error:
        message = "data_filename is no name of a file"
        place = (meta["file"], int(meta["line"]), "data_filename")
        raise FileRefused("FILE_NAME_MALFORMED", message, *place) from error
    if not path.is_relative_to(root.resolve()) or path == root.resolve():
        message = "data_filename must name a file in the study folder"
        raise FileRefused("FILE_OUTSIDE", message, meta["file"], int(meta["line"]), "data_filename")
    return root / meta["data_filename"]


def _note_unused(
    root: Path, located: list[tuple[dict, Path]], files: dict[str, DataFile], notes: Notes
) -> None:
    used = {file.path.resolve() for file in files.values()}
    named = {path.resolve() for _, path in located}
    kinds = {(kind.alteration, datatype) for kind in KINDS.values() for datatype in kind.datatypes}
    for meta, path in located:
        what = (meta["genetic_alteration_type"].upper(), meta["datatype"].upper())
        micro = meta.get("stable_id", "").startswith(_NOT_GENES)
        if path.resolve() not in used and what[0] not in _NO_LAYER and (what not in kinds or micro):
            notes.add("FILE_UNUSED", meta["file"], record=" ".join(what))
    for path in sorted(root.glob("data_*")):
        known = path.resolve() in named | used or path.name.startswith("data_gene_panel_")
        if path.is_file() and not known:
            notes.add("FILE_UNREFERENCED", path.name)


def read_meta(path: Path) -> dict[str, str]:
    """Read ``name: value`` lines; ``file`` is the file's name, ``line`` that of data_filename.

    Raises
    ------
    FileRefused
        ``META_MALFORMED``, ``META_TWICE`` and ``META_INCOMPLETE``.
    """
    meta = {"file": path.name}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not key:
            raise FileRefused("META_MALFORMED", "expected 'name: value'", path.name, number)
        if key in meta:
            raise FileRefused("META_TWICE", "the name stands before; keep one line", path.name, number, key)
        meta[key] = value
        if key == "data_filename":
            meta["line"] = str(number)
    needed = ("datatype", "data_filename")
    missing = [name for name in needed if "genetic_alteration_type" in meta and not meta.get(name)]
    if missing:
        raise FileRefused("META_INCOMPLETE", f"needs {missing[0]}", path.name, column=missing[0])
    return meta


def read_case_lists(root: Path, notes: Notes) -> list[CaseList]:
    """Read ``case_lists/*.txt``; lists of no documented kind are noted.

    Raises
    ------
    FileRefused
        ``META_MALFORMED``, ``META_TWICE``; ``CASE_LIST_INCOMPLETE`` without stable_id or case_list_ids.
    """
    lists = []
    for path in sorted((root / "case_lists").glob("*.txt")):
        meta = read_meta(path)
        for name in ("stable_id", "case_list_ids"):
            if name not in meta:
                raise FileRefused("CASE_LIST_INCOMPLETE", f"needs {name}", path.name, column=name)
        ending = max((end for end in CASE_LISTS if meta["stable_id"].endswith(end)), key=len, default=None)
        category = meta.get("case_list_category")
        if ending is None and category not in CATEGORIES:
            notes.add("CASE_LIST_UNKNOWN", path.name, record=meta["stable_id"])
        done = CASE_LISTS.get(ending) or CATEGORIES.get(category)
        samples = frozenset(meta["case_list_ids"].split())
        lists.append(CaseList(path.name, meta["stable_id"], done, samples))
    return lists
