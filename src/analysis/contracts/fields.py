"""What columns of a contract are made of: a type, checks, and a meaning in words."""

from __future__ import annotations

import pandera.pandas as pa

YN = ["Y", "N"]


def text(description: str, *, nullable: bool = True, **checks) -> pa.Column:
    """Return a column of text."""
    found = [getattr(pa.Check, name)(value) for name, value in checks.items()]
    return pa.Column(str, checks=found, nullable=nullable, coerce=True, description=description)


def number(description: str, *, nullable: bool = True, **checks) -> pa.Column:
    """Return a column of numbers."""
    found = [getattr(pa.Check, name)(value) for name, value in checks.items()]
    return pa.Column(float, checks=found, nullable=nullable, coerce=True, description=description)


def date(description: str) -> pa.Column:
    """Return a column of dates."""
    return pa.Column("datetime64[ns]", nullable=True, coerce=True, description=description)


def table(row: str, columns: dict, key: list[str] | None) -> pa.DataFrameSchema:
    """Return the contract of a table: what a row is, its columns, its key."""
    return pa.DataFrameSchema(columns, strict=True, ordered=False, unique=key, description=row)


SUBJECT = {
    "STUDYID": text("study", nullable=False),
    "USUBJID": text("subject, unique across studies", nullable=False),
}
