"""What columns of a contract are made of: a type, checks, and a meaning in words."""

from __future__ import annotations

import pandera.pandas as pa

YN = ["Y", "N"]


def text(description: str, *, title: str = "", nullable: bool = True, **checks) -> pa.Column:
    """Return a column of text; `title` is its label in a file for exchange."""
    found = [getattr(pa.Check, name)(value) for name, value in checks.items()]
    return pa.Column(str, checks=found, nullable=nullable, coerce=True, description=description, title=title)


def number(description: str, *, title: str = "", nullable: bool = True, **checks) -> pa.Column:
    """Return a column of numbers; `title` is its label in a file for exchange."""
    found = [getattr(pa.Check, name)(value) for name, value in checks.items()]
    return pa.Column(
        float, checks=found, nullable=nullable, coerce=True, description=description, title=title
    )


def date(description: str, *, title: str = "") -> pa.Column:
    """Return a column of dates; `title` is its label in a file for exchange."""
    return pa.Column("datetime64[ns]", nullable=True, coerce=True, description=description, title=title)


def table(row: str, columns: dict, key: list[str] | None, *, title: str = "") -> pa.DataFrameSchema:
    """Return the contract of a table: a row, its columns, its key, its label for exchange (`title`)."""
    return pa.DataFrameSchema(columns, strict=True, ordered=False, unique=key, description=row, title=title)


SUBJECT = {
    "STUDYID": text("study", nullable=False, title="Study Identifier"),
    "USUBJID": text("subject, unique across studies", nullable=False, title="Unique Subject Identifier"),
}
