"""Clinical files of a cBioPortal study: patients and samples, with their four header comment lines.

Source: "Clinical Data" of the File Formats documentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.biomarkers.files.metafiles import DataFile
from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import read_comments, read_table, refuse_lines, to_number

_IDENTIFIER = r"[A-Za-z0-9._-]+"
_HEADER_LINES = 4
_DATATYPES = ("STRING", "NUMBER", "BOOLEAN")
_CENSORED = r"[<>]=?\s*[0-9.]+"


def read_samples(path: Path, notes: Notes) -> pd.DataFrame:
    """Read the sample file: PATIENT_ID, SAMPLE_ID and the study's own columns; one row a sample.

    Raises
    ------
    FileRefused
        ``IDENTIFIER_MISSING``, ``IDENTIFIER_MALFORMED``, ``SAMPLE_TWICE``, ``NUMBER_MALFORMED`` and faults of
        the text.
    """
    frame = _read_clinical(path, ("PATIENT_ID", "SAMPLE_ID"), notes)
    todo = "keep one line for each sample; give another sample of the patient its own SAMPLE_ID"
    _refuse_twice(frame, "SAMPLE_ID", "SAMPLE_TWICE", todo, path.name)
    return frame.reset_index(drop=True)


def read_patients(file: DataFile | None, samples: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Read the patient file; without one, the patients are those of the samples.

    Raises
    ------
    FileRefused
        As `read_samples`; ``PATIENT_TWICE``.
    """
    if file is None:
        return samples[["PATIENT_ID"]].drop_duplicates().reset_index(drop=True)
    name = file.path.name
    frame = _read_clinical(file.path, ("PATIENT_ID",), notes)
    _refuse_twice(frame, "PATIENT_ID", "PATIENT_TWICE", "keep one line for each patient", name)
    sampled, known = set(samples["PATIENT_ID"]), set(frame["PATIENT_ID"])
    for patient in sorted(sampled - known):
        notes.add("PATIENT_WITHOUT_ROW", name, patient=patient)
    for patient in sorted(known - sampled):
        notes.add("PATIENT_WITHOUT_SAMPLE", name, patient=patient)
    return frame.reset_index(drop=True)


def check_identifiers(frame: pd.DataFrame, columns: tuple[str, ...], file: str) -> None:
    """Refuse missing or malformed identifiers (letters, digits, points, underscores, hyphens)."""
    allowed = "only letters, digits, points, underscores and hyphens are allowed"
    for column in columns:
        missing = frame[column].isna()
        refuse_lines(missing, "IDENTIFIER_MISSING", "an identifier is missing", file, column)
        odd = ~frame[column].astype(str).str.fullmatch(_IDENTIFIER)
        refuse_lines(odd, "IDENTIFIER_MALFORMED", allowed, file, column, frame[column])


def _refuse_twice(frame: pd.DataFrame, column: str, code: str, todo: str, file: str) -> None:
    twice = frame[column].duplicated()
    if twice.any():
        name = frame.loc[twice, column].iloc[0]
        before = frame.index[frame[column] == name][0]
        refuse_lines(twice, code, f"{name!r} stands in line {before} already; {todo}", file, column)


def _read_clinical(path: Path, required: tuple[str, ...], notes: Notes) -> pd.DataFrame:
    frame = read_table(path, required=required)
    check_identifiers(frame, required, path.name)
    for column in frame.columns:
        if column != column.upper():
            notes.add("COLUMN_CASE", path.name, record=f"column {column}")
    for column in _number_columns(read_comments(path), list(frame.columns), path.name, notes):
        frame[column] = _numbers(frame, column, path.name, notes)
    return frame


def _number_columns(comments: list[list[str]], columns: list[str], file: str, notes: Notes) -> list[str]:
    if len(comments) != _HEADER_LINES:
        notes.add("CLINICAL_HEADER", file, record=f"{len(comments)} lines")
        return []
    datatypes = [word.strip().upper() for word in comments[2]]
    while len(datatypes) > len(columns) and not datatypes[-1]:
        datatypes.pop()
    if len(datatypes) != len(columns):
        record = f"line 3: {len(datatypes)} datatypes, {len(columns)} columns"
        notes.add("CLINICAL_HEADER_LENGTH", file, record=record)
        return []
    for name, kind in zip(columns, datatypes):
        if kind not in _DATATYPES:
            notes.add("CLINICAL_TYPE", file, record=f"line 3, column {name}: {kind or 'empty'}")
    return [name for name, kind in zip(columns, datatypes) if kind == "NUMBER"]


def _numbers(frame: pd.DataFrame, column: str, file: str, notes: Notes) -> pd.Series:
    # The format lets a number be de-identified as ">89": a bound, not a value.
    censored = frame[column].astype("string").str.fullmatch(_CENSORED).fillna(False).astype(bool)
    for line in frame.index[censored.to_numpy()]:
        notes.add("NUMBER_CENSORED", file, record=f"line {line}, column {column}")
    kept = frame[[column]].mask(censored.to_numpy()[:, np.newaxis], None)
    return to_number(kept, column, file)
