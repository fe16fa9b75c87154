"""What a report collects: figures saved with their captions, tables saved with their CSV, named numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from typing import Any

import pandas as pd

from analysis.report import render_report
from analysis.steps import STEPS, writer_of
from analysis.storage import JSON_TABLES, Run
from analysis.tables import in_study_words, to_html

RESULT = {
    "hr": ("ESTIMATE", "hazard ratio"),
    "lower": ("LOWER", "lower limit"),
    "upper": ("UPPER", "upper limit"),
    "n": ("N", "patients"),
    "events": ("EVENTS", "events"),
}


class Portfolio:
    """Figures, tables and values of one run, in the order they were added.

    Parameters
    ----------
    run : storage.Run
        Where figures and tables are saved.
    """

    def __init__(self, run: Run):
        self.run = run
        self.figures: list[tuple[str, str, str, str, bytes]] = []
        self.tables: list[tuple[str, str, str]] = []
        self.values: dict[str, dict[str, Any]] = {}
        self.cards: list[dict[str, str]] = []

    def add_figure(self, name: str, title: str, figure, caption: str, alt: str):
        """Save `figure` as SVG, PNG and PDF, keep it for the report, and return it to be shown."""
        path = self.run.save_figure(figure, name)
        said = (self._in_words(text) for text in (title, caption, alt))
        self.figures.append((_identifier(name), *said, path.read_bytes()))
        return figure

    def draw(self, name: str, title: str, figures, what: str, /, *drawn, **choices):
        """Add a figure whose picture, caption and description are drawn from the same tables.

        Parameters
        ----------
        name, title : str
            As `add_figure`.
        figures : module
            One of ``analysis.figures`` with ``plot_<what>``, ``caption_<what>`` and ``alt_<what>``.
        what : str
            Which of its figures.
        *drawn
            What all three take.
        **choices
            Further arguments, each handed to those of the three that know it.

        Returns
        -------
        Figure
            To be shown.
        """
        made = [getattr(figures, f"{part}_{what}") for part in ("plot", "caption", "alt")]
        known = [set(signature(one).parameters) for one in made]
        unknown = set(choices) - set().union(*known)
        if unknown:
            raise TypeError(
                f"neither picture nor caption nor description of {what!r} takes {sorted(unknown)}"
            )
        parts = [
            one(*drawn, **{key: value for key, value in choices.items() if key in names})
            for one, names in zip(made, known, strict=True)
        ]
        return self.add_figure(name, title, *parts)

    def add_table(
        self, name: str, title: str, table: pd.DataFrame, *, group_column: str | None = None, notes=()
    ):
        """Save `table` as CSV, keep it for the report, and return it to be shown."""
        self.run.save_report(f"tables/{name}.csv", table.to_csv(index=False, lineterminator="\n"))
        html = to_html(table, notes=notes)
        self.tables.append((_identifier(name), self._in_words(title), self._in_words(html)))
        return table

    def _in_words(self, text: str) -> str:
        """Return a text in the study's own words for its response."""
        return in_study_words(text, self.run.plan.design.words)

    def add_value(self, name: str, value: Any, label: str, table: str) -> None:
        """Keep a named number and say which table, and so which notebook, it comes from."""
        file = f"{table}.json" if table in JSON_TABLES else f"{table}.parquet"
        plain = value.item() if hasattr(value, "item") else value
        plain = None if isinstance(plain, float) and pd.isna(plain) else plain
        self.values[name] = {
            "value": plain,
            "label": label,
            "file": file,
            "notebook": f"{STEPS[writer_of(table)].notebook}.ipynb",
        }

    def add_result(self, endpoint: str, main: pd.Series, test: pd.Series) -> None:
        """Keep the numbers of an endpoint's main hazard ratio, and the p of its reported test."""
        for key, (column, words) in RESULT.items():
            self.add_value(f"{endpoint.lower()}_{key}", main[column], f"{endpoint}, {words}", "estimates")
        self.add_value(f"{endpoint.lower()}_p", test["P"], f"{endpoint}, p of the reported test", "estimates")

    def add_card(self, label: str, value: str, detail: str) -> None:
        """Keep a key number for the head of the report."""
        self.cards.append({"label": label, "value": value, "detail": detail})

    def chapters(self, titles: Mapping[str, str]) -> list[dict[str, Any]]:
        """Sort what was added into chapters of the report (its ``sections``), in the order of `titles`.

        Parameters
        ----------
        titles : mapping
            Title -> the beginnings of the names of its figures and tables, separated by spaces.
        """
        names = [one[0] for one in (*self.figures, *self.tables)]
        return [
            {
                "id": _identifier(title),
                "title": title,
                "items": [name for start in starts.split() for name in names if name.startswith(start)],
            }
            for title, starts in titles.items()
        ]

    def render(self, context: dict[str, Any]) -> str:
        """Return the report's page."""
        return render_report({**context, "cards": self.cards}, self.figures, self.tables, self.values)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
