"""What a report collects: figures, tables, sentences and named numbers, each number with its source.

A text is traced while it is made (`analysis.numbers`): its numbers are looked for in what it was made from.
From what was collected comes one content model, ``content.json``, of which the page, the documents and the
site are renderings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import pandas as pd

from analysis.figures.style import ON_SCALE
from analysis.numbers import Origins, tracing
from analysis.numbers.ledger import Ledger, keep
from analysis.numbers.origins import running_cell, writing_cell
from analysis.numbers.trace import Traced
from analysis.numbers.tracing import Sources
from analysis.report import render_report
from analysis.steps import STEPS, writer_of
from analysis.storage import JSON_TABLES, Run, project_root
from analysis.tables import NothingToTabulate, in_study_words
from analysis.tables.format import MISSING

RESULT = {
    "hr": ("ESTIMATE", "hazard ratio"),
    "lower": ("LOWER", "lower limit"),
    "upper": ("UPPER", "upper limit"),
    "n": ("N", "patients"),
    "events": ("EVENTS", "events"),
}
FOLDERS = ("figures", "tables")
_MM_PER_INCH = 25.4


class Said(str):
    """A text that knows where its numbers come from."""

    traced: Traced
    made_in: str | None = None


class Portfolio:
    """Figures, tables, sentences and values of one run, in the order they were added.

    Parameters
    ----------
    run : storage.Run
        Where figures and tables are saved.

    Attributes
    ----------
    unsourced : list of (str, str, str)
        Where a number without a source is printed, the number, and the words around it.
    """

    def __init__(self, run: Run):
        self.run = run
        self.figures: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.cards: list[dict[str, Said]] = []
        self.pictures: dict[str, bytes] = {}
        self.rasters: dict[str, bytes] = {}
        self.unsourced: list[tuple[str, str, str]] = []
        self._files: set[str] = set()
        self._notebook = project_root() / "notebooks" / f"{STEPS[run.step].notebook}.ipynb"
        declared = STEPS[run.step]
        names = tuple(name for name in (*declared.reads, *declared.optional) if name not in JSON_TABLES)
        self._tracer = tracing.Tracer(Origins(run.read, tuple(name for name in names if run.has(name))))
        self._ledger = Ledger(self._place)
        self._decision = run.read_if_there("decision") if "decision" in declared.optional else None
        if self._decision is not None:
            self._tracer.know("decision", self._decision)
        for section in run.plan.sections():
            self._tracer.know_plan(getattr(run.plan, section))

    # ---- texts
    def say(self, make: Callable[..., str], /, *given: Any, **choices: Any) -> Said:
        """Call a function that returns a sentence, and trace its numbers within what it was given.

        Parameters
        ----------
        make : callable
            Returns the sentence; "" where there is nothing to say.
        *given, **choices
            What it takes, and all its numbers may come from.

        Returns
        -------
        Said
            The sentence.
        """
        text, sources = self._tracer.make(make, *given, **choices)
        return self._said(text, sources)

    def _said(self, text: str, sources: Sources, near: str = "") -> Said:
        if isinstance(text, Said):
            return text
        said = Said(in_study_words(str(text), self.run.plan.design.words))
        said.traced, said.made_in = self._tracer.trace(said, sources, near), running_cell(self._notebook)
        return said

    def _kept(self, text: str, where: str, sources: Sources | None = None) -> list:
        """Return the pieces of a text for the content, its numbers kept, those without a source listed."""
        said = self._said(text, sources or self._tracer.sources())
        for token in said.traced.missing:
            around = said[max(0, token.start - 40) : token.end + 25]
            self.unsourced.append((where, token.text, around))
        return keep(said.traced.pieces, self._ledger, where, said.made_in)

    # ---- figures
    def add_figure(
        self, name: str, title: str, figure, caption: str, alt: str, *, sources: Sequence[Any] = ()
    ):
        """Save `figure` in the journal's formats, keep it for the report, and return it to be shown.

        Parameters
        ----------
        name : str
            Name of its files and, in small letters, of the figure in the report.
        title, caption, alt : str
            Texts of it; `alt` describes what is seen.
        figure : Figure
            The picture.
        sources : sequence
            What the numbers of the texts come from.
        """
        made_from = self._tracer.sources(*sources)
        return self._add_figure(name, title, figure, caption, alt, made_from)

    def _add_figure(self, name, title, figure, caption, alt, sources: Sources):
        said = alt if isinstance(alt, Said) else in_study_words(alt, self.run.plan.design.words)
        path = self.run.save_figure(figure, name, title=str(title), alt=said)
        key, cell = _identifier(name), running_cell(self._notebook)
        width, height = (round(float(side) * _MM_PER_INCH, 2) for side in figure.get_size_inches())
        parts = [self._said(text, sources) for text in (title, caption, said)]
        seen = [self._said(text, sources) for text in _texts_in(figure)]
        self.pictures[key] = path.read_bytes()
        raster = path.with_suffix(".png")
        self.rasters[key] = raster.read_bytes() if raster.is_file() else self.pictures[key]
        self._files |= {f"figures/{one.name}" for one in path.parent.glob(f"{name}.*")}
        self.figures[key] = dict(
            title=parts[0], caption=parts[1], alt=parts[2], seen=seen, made_in=cell,
            file=f"figures/{name}", width_mm=width, height_mm=height,
        )  # fmt: skip
        return figure

    def draw(self, name: str, title: str, figures, what: str, /, *drawn, note: str = "", **choices):
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
        note : str
            A sentence at the end of the caption.
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
        parts, sources = [], self._tracer.sources(*drawn, **choices)
        for one, names in zip(made, known, strict=True):
            taken = {key: value for key, value in choices.items() if key in names}
            part, printed = self._tracer.watch(sources, one, *drawn, **taken)
            parts.append((part, sources.with_printed(printed)))  # each text is what its own function printed
        (figure, seen), (caption, said), (alt, described) = parts
        caption = self._joined(self._said(caption, said), note)
        alt = self._said(in_study_words(alt, self.run.plan.design.words), described)
        return self._add_figure(name, title, figure, caption, alt, seen)

    def _joined(self, text: Said, note: str) -> Said:
        if not note:
            return text
        note = self._said(note, self._tracer.sources())
        joined = Said(f"{text} {note}")
        joined.made_in = text.made_in
        moved = [tracing.moved(token, len(text) + 1) for token in note.traced.missing]
        pieces = [*text.traced.pieces, " ", *note.traced.pieces]
        joined.traced = Traced(pieces, [*text.traced.missing, *moved])
        return joined

    # ---- tables
    def add_table(self, name: str, title: str, table: pd.DataFrame, *, notes=(), sources: Sequence[Any] = ()):
        """Keep a table of ready text for the report, and return it to be shown.

        Parameters
        ----------
        name : str
            Name of its files and, in small letters, of the table in the report.
        title : str
            Title.
        table : DataFrame
            Ready text; the first column heads its row, an indented one stands a level below.
        notes : sequence of str
            Footnotes.
        sources : sequence
            What its numbers come from; the rows of one with equally many rows are taken one by one.
        """
        self._add_table(name, title, table, notes, self._tracer.sources(*sources), sources)
        return table

    def tabulate(self, name: str, title: str, make: Callable, /, *given, notes=(), **choices):
        """Add the table that `make` returns, its numbers traced within what it was given.

        Parameters
        ----------
        name, title
            As `add_table`.
        notes : sequence
            Footnotes; or the function that returns them, followed by what it takes.
        make : callable
            Returns a frame of ready text, or its title and that frame.
        *given, **choices
            What it takes.

        Returns
        -------
        DataFrame or None
            To be shown; None where `make` says that there is nothing to tabulate: the table is absent.
        """
        try:
            made, sources = self._tracer.make(make, *given, **choices)
        except NothingToTabulate:
            return None
        title, table = made if isinstance(made, tuple) else (title, made)
        self._add_table(name, title, table, self._noted(notes), sources, given)
        return table

    def _noted(self, notes: Sequence[Any]) -> Sequence[str]:
        if not notes or not callable(notes[0]):
            return notes
        made, sources = self._tracer.make(*notes)
        return [self._said(note, sources) for note in made]

    def _add_table(self, name, title, table: pd.DataFrame, notes, sources, given) -> None:
        if table.empty:
            raise ValueError(f"table {name!r} has no rows: leave it out and say why it does not apply")
        frames = [one for one in given if isinstance(one, pd.DataFrame)]
        columns = [str(column) for column in table.columns]
        records = [[MISSING if pd.isna(cell) else str(cell) for cell in row] for row in table.to_numpy()]
        kinds = [_kind(records, place) for place in range(len(records))]
        lines = [place for place, cells in enumerate(records) if any(cell.strip() for cell in cells[1:])]
        rows, above = [], ""
        for place, cells in enumerate(records):
            level = int(len(cells[0]) > len(cells[0].lstrip()))
            above = above if level else cells[0]
            own = [fact for one in frames for fact in self._line_facts(one, place, len(records), lines)]
            heads = [f"{above} {cells[0]} {column}" for column in columns]
            said = [self._said(cell.strip(), sources.after(own), near) for cell, near in zip(cells, heads)]
            rows.append({"kind": kinds[place], "level": level, "cells": said})
        self.tables[_identifier(name)] = dict(
            title=self._said(title, sources), notes=[self._said(note, sources) for note in notes],
            columns=[self._said(column, sources) for column in columns], rows=rows, file=f"tables/{name}",
        )  # fmt: skip

    def _line_facts(self, frame: pd.DataFrame, place: int, count: int, lines: Sequence[int]) -> list:
        """Return the cells of the row a line is made from: one row a line, group headings counted or not."""
        if len(frame) == count:
            return self._tracer.row_facts(frame, place)
        return (
            self._tracer.row_facts(frame, lines.index(place))
            if len(frame) == len(lines) and place in lines
            else []
        )

    # ---- named numbers
    def add_value(self, name: str, value: Any, label: str, table: str) -> None:
        """Keep a named number and say which table, and so which notebook, it comes from."""
        fact = self._tracer.named(name, value, label, table)
        self._ledger.name(name, fact, label, running_cell(self._notebook))

    def add_result(self, endpoint: str, main: pd.Series, test: pd.Series) -> None:
        """Keep the numbers of an endpoint's main hazard ratio, and the p of its reported test."""
        entries = [(key, main, *said) for key, said in RESULT.items()]
        for key, row, column, words in [*entries, ("p", test, "P", "p of the reported test")]:
            fact = self._tracer.cell(row, column)
            self._ledger.name(f"{endpoint.lower()}_{key}", fact, f"{endpoint}, {words}")

    def add_card(self, label: str, value: str, detail: str, *, sources: Sequence[Any] = ()) -> None:
        """Keep a key number for the head of the report."""
        given = self._tracer.sources(*sources)
        value, detail = self._said(value, given, label), self._said(detail, given, label)
        self.cards.append({"label": label, "value": value, "detail": detail})

    # ---- the report
    def chapters(self, titles: Mapping[str, str]) -> list[dict[str, Any]]:
        """Sort what was added into chapters of the report (its ``sections``), in the order of `titles`.

        Parameters
        ----------
        titles : mapping
            Title -> the beginnings of the names of its figures and tables, separated by spaces.
        """
        names = [*self.figures, *self.tables]
        return [
            {
                "id": _identifier(title),
                "title": title,
                "items": [name for start in starts.split() for name in names if name.startswith(start)],
            }
            for title, starts in titles.items()
        ]

    def content(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content model: everything a rendering of the report shows, its numbers with their ids.

        Parameters
        ----------
        context : mapping
            ``title study simulated question answers`` and any of ``scenario sections not_applicable limits
            colophon``.
        """
        self.unsourced.clear()
        given = {"scenario": None, "sections": [], "not_applicable": [], "limits": [], "colophon": []}
        given |= dict(context)
        sections = self._sections(given["sections"])
        order = [name for section in sections for name in section["items"]]
        named = _numbered(order, self.figures, "Figure") | _numbered(order, self.tables, "Table")
        return given | {
            "name": self.run.study,
            "answers": [self._kept(text, "answers") for text in given["answers"]],
            "cards": [self._card(card) for card in self.cards],
            "sections": sections,
            "figures": {name: self._figure(name) | {"name": named[name]} for name in self.figures},
            "tables": {name: self._table(name) | {"name": named[name]} for name in self.tables},
            "not_applicable": [list(pair) for pair in given["not_applicable"]],
            "colophon": [list(pair) for pair in given["colophon"]],
        }

    @property
    def values(self) -> dict[str, dict[str, Any]]:
        """Return every named or printed number, with its place: what ``values.json`` holds."""
        return self._ledger.values()

    def _sections(self, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the chapters; what none of them names comes last."""
        sections = [
            {**one, "paragraphs": [self._kept(text, one["id"]) for text in one.get("paragraphs", ())]}
            for one in given
            if one.get("items") or one.get("paragraphs")
        ]
        named = {name for one in sections for name in one["items"]}
        left = [name for name in (*self.figures, *self.tables) if name not in named]
        last = {"id": "further-results", "title": "Further results", "paragraphs": [], "items": left}
        return [*sections, last] if left else sections

    def _card(self, card: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "label": card["label"],
            "value": self._kept(card["value"], "cards"),
            "detail": self._kept(card["detail"], "cards"),
        }

    def _figure(self, name: str) -> dict[str, Any]:
        one = self.figures[name]
        for text in one["seen"]:
            self._kept(text, f"{name} (picture)")
        self._kept(one["alt"], f"{name} (description)")
        kept = {key: self._kept(one[key], name) for key in ("title", "caption")}
        return kept | {"alt": str(one["alt"])} | {key: one[key] for key in ("file", "width_mm", "height_mm")}

    def _table(self, name: str) -> dict[str, Any]:
        one = self.tables[name]
        for column in one["columns"]:
            self._kept(column, name)
        rows = [{**row, "cells": [self._kept(cell, name) for cell in _shown(row)]} for row in one["rows"]]
        notes = [self._kept(note, name) for note in one["notes"]]
        return {
            "title": self._kept(one["title"], name),
            "columns": [str(column) for column in one["columns"]],
            "rows": rows,
            "notes": notes,
            "file": one["file"],
        }

    def publish(self, content: Mapping[str, Any]) -> None:
        """Write the report in every form, and take away figures and tables of an earlier run.

        Parameters
        ----------
        content : mapping
            What `content` returned.
        """
        from analysis import documents  # with libraries no other notebook needs

        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        pages = {"content.json": f"{text}\n", "report.html": render_report(content, self.pictures)}
        self.run.pass_out({name: page.encode() for name, page in pages.items()})
        layout = documents.Layout.of(self.run.plan.documents)
        files = {"report.docx": documents.write_docx(content, self.rasters, layout=layout)}
        files["report.pdf"] = documents.write_pdf(content, self.pictures, layout=layout)
        about = {"study": content["study"], "simulated": content["simulated"], "layout": layout}
        for table in content["tables"].values():
            for ending, written in documents.write_table(table, **about).items():
                files[f"{table['file']}.{ending}"] = written
        self.run.pass_out(files)
        self._take_away_others(set(files) | self._files)

    def _take_away_others(self, written: set[str]) -> None:
        for folder in FOLDERS:
            for path in sorted((self.run.reports_dir / folder).glob("*")):
                if path.is_file() and f"{folder}/{path.name}" not in written:
                    path.unlink()

    def _place(self, table: str | None, made_in: str | None) -> tuple[str, str | None]:
        if table is None:
            return self._notebook.name, made_in
        notebook = f"{STEPS[writer_of(table)].notebook}.ipynb"
        return notebook, writing_cell(self._notebook.with_name(notebook), table)


def _kind(records: list[list[str]], place: int) -> str:
    """Tell whether a row heads the rows beneath it: nothing in it but its name, and they are not indented."""
    blank = not any(cell.strip() for cell in records[place][1:])
    beneath = records[place + 1][0] if place + 1 < len(records) else " "
    return "group" if blank and len(records[place]) > 1 and beneath == beneath.lstrip() else "row"


def _shown(row: Mapping[str, Any]) -> list[Said]:
    return row["cells"][:1] if row["kind"] == "group" else row["cells"]


def _numbered(order: Sequence[str], items: Mapping[str, Any], word: str) -> dict[str, str]:
    mine = [name for name in order if name in items]
    return {name: f"{word} {place}" for place, name in enumerate(mine, start=1)}


def _texts_in(figure) -> list[str]:
    """Return the texts of a picture that are not the numbers of its axes and scales."""
    from matplotlib.text import Text

    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in (*axis.get_ticklabels(which="both"), axis.get_offset_text())
    }
    found = [
        one
        for one in figure.findobj(Text)
        if one.get_visible() and id(one) not in ticks and one.get_gid() != ON_SCALE
    ]
    return [text for text in dict.fromkeys(one.get_text() for one in found) if re.search(r"\d", text)]


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
