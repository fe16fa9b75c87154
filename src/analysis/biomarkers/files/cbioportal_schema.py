"""What the readers of tumour files promise: the schema of each frame, checked before it is handed out."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from analysis.biomarkers.files.genematrix import CNA_LEVELS
from analysis.biomarkers.files.problems import PROBLEM_COLUMNS, PROBLEMS

_IDENTIFIER = pa.Check.str_matches(r"^[A-Za-z0-9._-]+$")


def _text(nullable: bool = True, *checks: pa.Check) -> pa.Column:
    return pa.Column(object, checks=list(checks), nullable=nullable)


def _number(*checks: pa.Check) -> pa.Column:
    return pa.Column(float, checks=list(checks), nullable=True)


SAMPLES = pa.DataFrameSchema(
    {
        "SAMPLE_ID": _text(False, _IDENTIFIER),
        "PATIENT_ID": _text(False, _IDENTIFIER),
        "SEQUENCED": pa.Column(bool),
    },
    unique=["SAMPLE_ID"],
    strict=False,
    description="a tumour sample",
)
PATIENTS = pa.DataFrameSchema(
    {"PATIENT_ID": _text(False, _IDENTIFIER)}, unique=["PATIENT_ID"], strict=False, description="a patient"
)
MUTATIONS = pa.DataFrameSchema(
    {
        "SAMPLE_ID": _text(False),
        "GENE": _text(False),
        "CLASS": _text(False),
        "PROTEIN": _text(),
        "CHROMOSOME": _text(),
        "START": _text(True, pa.Check.str_matches(r"^[0-9]+$")),
        "ALLELE": _text(),
        "STATUS": _text(),
        "VAF": _number(pa.Check.in_range(0, 1)),
        "DEPTH": _number(pa.Check.ge(0)),
        "END": _text(True, pa.Check.str_matches(r"^[0-9]+$")),
        "REF": _text(),
    },
    strict=True,
    ordered=True,
    description="a variant of a sample",
)
PROBLEMS_SCHEMA = pa.DataFrameSchema(
    {
        name: _text(
            name in ("USUBJID", "RECORD"), *([pa.Check.isin(list(PROBLEMS))] if name == "CODE" else [])
        )
        for name in PROBLEM_COLUMNS
    },
    strict=True,
    description="what was set aside or read otherwise",
)


class SchemaBroken(RuntimeError):
    """A reader handed out a frame that breaks its own schema: a fault of the reader, not of the file."""


def check_frame(name: str, frame: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Raise `SchemaBroken` if a frame does not fulfil its schema."""
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        found = error.failure_cases[["column", "check"]].drop_duplicates().to_dict("records")
        raise SchemaBroken(f"{name}: {found[:5]}") from error


def check_matrix(name: str, matrix: pd.DataFrame, samples: pd.DataFrame, *, levels: bool = False) -> None:
    """Raise `SchemaBroken` unless `matrix` is genes x known samples of finite numbers or missing values."""
    faults = {
        "genes repeated": matrix.index.has_duplicates,
        "genes missing": matrix.index.isna().any(),
        "samples repeated": matrix.columns.has_duplicates,
        "samples unknown": not matrix.columns.isin(samples["SAMPLE_ID"]).all(),
        "no numbers": any(kind.kind != "f" for kind in matrix.dtypes),
        "axes unnamed": (matrix.index.name, matrix.columns.name) != ("GENE", "SAMPLE_ID"),
        "levels": levels and not (matrix.isna() | matrix.isin(CNA_LEVELS)).all(axis=None),
    }
    found = [fault for fault, there in faults.items() if there]
    if found:
        raise SchemaBroken(f"{name}: {found}")


def check_study(study) -> None:
    """Check every frame of a `CbioportalStudy`; raise `SchemaBroken` at the first that breaks its schema."""
    check_frame("samples", study.samples, SAMPLES)
    check_frame("patients", study.patients, PATIENTS)
    check_frame("mutations", study.mutations, MUTATIONS)
    check_frame("problems", study.problems, PROBLEMS_SCHEMA)
    if study.cna is not None:
        check_matrix("cna", study.cna, study.samples, levels=True)
    if study.expression is not None:
        check_matrix("expression", study.expression, study.samples)
    unknown = set(study.panels) - set(study.samples["SAMPLE_ID"])
    if unknown:
        raise SchemaBroken(f"panels: samples unknown {sorted(unknown)[:5]}")
