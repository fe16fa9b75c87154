"""Show a frame of ready text: as accessible HTML for the report, as a Great Table in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from analysis.tables.format import MISSING

_WIDE, _LONG = (
    16,
    42,
)  # characters: a wide row heading keeps room; a long cell may break its line, a number never

# The side of a group's heading is said here: a notebook sets heading cells to the right.
_GROUP = Markup('<tr class="group"><th scope="rowgroup" colspan="{}" style="text-align:left">{}</th></tr>')


def to_html(table: pd.DataFrame, *, notes: Sequence[str] = (), group_column: str | None = None) -> str:
    """Write a table as plain accessible HTML: header cells with scope, no script.

    Parameters
    ----------
    table : DataFrame
        One row a line; the first column (after `group_column`) heads its row. Text is escaped.
    notes : sequence of str
        Footnotes under the table.
    group_column : str, optional
        A column whose value is printed once above the rows that share it.

    Returns
    -------
    str
        ``<table>`` element and its notes.

    Raises
    ------
    ValueError
        If the table has no rows: a part that does not apply is absent, not empty.
    """
    if table.empty:
        raise ValueError("the table has no rows; leave it out and say in the report why it does not apply")
    shown = [name for name in table.columns if name != group_column]
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in shown)
    lines, last = [], None
    for record in table.to_dict("records"):
        if group_column and record[group_column] != last:
            last = record[group_column]
            lines.append(_GROUP.format(len(shown), last))
        lines.append(_row([record[name] for name in shown]))
    foot = Markup("").join(Markup('<p class="note">{}</p>').format(note) for note in notes)
    body = Markup("\n").join(lines)
    return str(
        Markup("<table><thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody></table>{}").format(head, body, foot)
    )


def to_great_table(table: pd.DataFrame, *, title: str, notes: Sequence[str] = (), **options: Any):
    """Wrap a table as a Great Table for a notebook, with an identity that does not change from run to run.

    Parameters
    ----------
    table : DataFrame
        Ready text.
    title : str
        Heading.
    notes : sequence of str
        Source notes under the table.
    **options
        Passed to ``great_tables.GT`` (``groupname_col``, ``rowname_col``).

    Returns
    -------
    great_tables.GT
        The table; Jupyter shows it.
    """
    from great_tables import GT

    slug = "".join(letter if letter.isalnum() else "-" for letter in title.casefold())
    shown = GT(table, id=f"table-{slug}", **options).tab_header(title=title)
    for note in notes:
        shown = shown.tab_source_note(note)
    return shown


def _row(values: Sequence[Any]) -> Markup:
    first, *others = [MISSING if pd.isna(value) else str(value) for value in values]
    indent = len(first) - len(first.lstrip())
    css = (
        Markup(' class="level"') if indent else Markup(' class="wide"') if len(first) > _WIDE else Markup("")
    )
    cells = Markup("").join(_cell(value) for value in others)
    return Markup('<tr><th scope="row"{}>{}</th>{}</tr>').format(css, first.strip(), cells)


def _cell(value: str) -> Markup:
    css = Markup(' class="long"') if len(value) > _LONG else Markup("")
    return Markup("<td{}>{}</td>").format(css, escape(value))


def to_left(table: pd.DataFrame) -> str:
    """Write a table of sentences as HTML for a notebook, aligned to the left; text is escaped."""
    return table.to_html(index=False, border=0, justify="left").replace(
        "<td>", '<td style="text-align: left">'
    )
