"""One analysis of a study as the site shows it: the primary one, or a scenario of the plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from analysis import plan
from analysis.numbers.origins import is_of_patients
from analysis.report import Said

CONTENT = "content.json"


class SiteError(ValueError):
    """A site that cannot be built: something is missing, or a link leads nowhere."""


@dataclass(frozen=True)
class Edition:
    """One analysis on disk.

    Attributes
    ----------
    name : str
        ``primary``, or the scenario.
    base : str
        Folder of its pages in the site: empty for the primary analysis, else ``scenarios/<name>/``.
    folder : Path
        Its reports: content.json, documents, figures, tables, executed notebooks.
    content : mapping
        The content model (`analysis.report.render_report`).
    values : mapping
        Id -> number of the report with its place (``values.json``).
    read : callable
        Name of a table -> DataFrame or dictionary.
    plan : plan.Plan
        The plan in force.
    primary : Edition, optional
        The primary analysis, for a scenario: it lends what the scenario did not run again.
    """

    name: str
    base: str
    folder: Path
    content: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]
    read: Callable[[str], Any]
    plan: plan.Plan
    primary: Edition | None = None
    _tables: dict[str, Any] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> Any:
        """Read a table, once."""
        if name not in self._tables:
            self._tables[name] = self.read(name)
        return self._tables[name]

    def is_shown(self, name: str | None) -> bool:
        """Tell whether the rows of a table may stand on a page: a table of patients never does."""
        return name is not None and not (hasattr(self.table(name), "columns") and hides(self.table(name)))

    def notebooks(self) -> list[Path]:
        """List the executed copies this analysis has."""
        return sorted((self.folder / "notebooks").glob("*.ipynb"))

    def notebook_page(self, notebook: str | None, cell: str | None = None) -> str | None:
        """Return the address of an executed notebook, or of a cell of it; None where it was not run."""
        if not notebook:
            return None
        for edition in (self, self.primary):
            if edition is not None and (edition.folder / "notebooks" / notebook).is_file():
                anchor = f"#{cell}" if cell else ""
                return f"{edition.base}notebooks/{Path(notebook).stem}.html{anchor}"
        return None

    def address(self, name: str) -> str:
        """Return where on the site a number comes from: a row of a table, a value of the plan, or its rule.

        Raises
        ------
        SiteError
            If ``values.json`` does not know the number.
        """
        if name not in self.values:
            raise SiteError(
                f"the report of {self.name!r} prints number {name!r}, which values.json does not hold; "
                "rerun 06_publication"
            )
        value = self.values[name]
        if value["kind"] == "plan":
            return f"plan.html#{quote(plan_name(name, value))}"
        row = self.row_of(name)
        if row is not None:
            return f"{self.base}where/{value['table']}.html#row-{row}"
        return f"{self.base}where/computed.html#{quote(name)}"

    def row_of(self, name: str) -> int | None:
        """Return the row a number stands in, where the site shows that table; else None."""
        value = self.values[name]
        if value["kind"] != "cell" or not self.is_shown(value["table"]):
            return None
        table = self.table(value["table"])
        if isinstance(table, Mapping):
            column = str(value.get("column") or "").split(".")[0]
            return list(table).index(column) if column in table else None
        return value["row"]

    def say(self, page: str) -> Callable[[Said], Markup]:
        """Return the function that writes a text of pieces on `page`, each number linked to its source."""

        def write(said: Said) -> Markup:
            """Write one text."""
            pieces = [said] if isinstance(said, str) else said
            return Markup("").join(
                escape(piece) if isinstance(piece, str) else self._linked(page, *piece) for piece in pieces
            )

        return write

    def _linked(self, page: str, printed: str, name: str) -> Markup:
        return Markup('<a class="n" href="{}">{}</a>').format(relative(page, self.address(name)), printed)


def hides(table: Any) -> bool:
    """Tell whether a table has rows of single patients or files, which no page shows."""
    return is_of_patients(table) or bool({"USUBJID", "SUBJID", "PATH", "PIXELS"} & set(table.columns))


def plan_name(name: str, value: Mapping[str, Any]) -> str:
    """Return the plan's name, ``section.name``, of a number that is, or stands in, a value of it."""
    return ".".join((value.get("column") or name.removeprefix("plan.")).split(".")[:2])


def relative(page: str, address: str) -> str:
    """Return the link from `page` to `address`, both as paths below the site's folder."""
    path, _, anchor = address.partition("#")
    parts, target = page.split("/")[:-1], path.split("/")
    while parts and len(target) > 1 and parts[0] == target[0]:
        parts, target = parts[1:], target[1:]
    link = "" if path == page else "../" * len(parts) + "/".join(target)
    return f"{link}#{anchor}" if anchor else link or path.split("/")[-1]


def read_content(folder: Path) -> dict[str, Any]:
    """Read the content model of one analysis.

    Raises
    ------
    SiteError
        If it is not there, or cannot be read.
    """
    path = folder / CONTENT
    if not path.is_file():
        raise SiteError(f"no {folder.name}/{CONTENT}: run 06_publication first")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SiteError(f"{folder.name}/{CONTENT} cannot be read: rerun 06_publication") from error
