"""What is collected for a report: one content model, its numbers with their sources."""

import io
import json
from types import SimpleNamespace

import matplotlib.figure
import pandas as pd
import pytest

from analysis import documents, plan
from analysis.portfolio import Portfolio

RATES = pd.DataFrame({"RATE": ["ORR", "DCR"], "ESTIMATE": [0.125, 0.6875], "N": [48.0, 44.0]})


class Run:
    """A run that has one table and writes below a folder of the test."""

    step, study = "06", "small"

    def __init__(self, folder):
        self.reports_dir, self.plan = folder, plan.defaults()

    def has(self, table):
        return table == "response_rates"

    def read(self, table):
        frame = RATES.copy()
        frame.attrs["table"] = table
        return frame

    def read_if_there(self, table):
        return self.read(table) if self.has(table) else None

    def save_figure(self, figure, name, *, title, alt):
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=50)
            path = self._write(f"figures/{name}.{kind}", buffer.getvalue())
        return path

    def pass_out(self, files):
        return [self._write(name, content) for name, content in files.items()]

    def _write(self, name, content):
        path = self.reports_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def folio(tmp_path):
    return Portfolio(Run(tmp_path))


@pytest.fixture
def rates(folio):
    return folio.run.read("response_rates")


FIGURES = SimpleNamespace(
    plot_rate=lambda rows, width="page": matplotlib.figure.Figure(figsize=(180 / 25.4, 50.8 / 25.4)),
    caption_rate=lambda rows: f"Of {len(rows)} rates.",
    alt_rate=lambda rows, *, mark: f"A picture with {mark}.",
)
CONTEXT = dict(title="T", study="s", simulated=True, question="Q?", answers=[])


def tabulate(frame):
    return pd.DataFrame(
        {
            "Rate": ["All", *[f"  {name}" for name in frame["RATE"]]],
            "Share, %": ["", *[f"{100 * share:.1f}" for share in frame["ESTIMATE"]]],
        }
    )


def test_a_choice_none_of_the_three_takes_is_refused(folio, rates):
    with pytest.raises(TypeError, match="colour"):
        folio.draw("one", "One", FIGURES, "rate", rates, mark="x", colour="red")


def test_a_table_is_kept_once_with_its_levels_and_the_places_of_its_numbers(folio, rates):
    folio.add_table("table_rates", "Rates", tabulate(rates), notes=["A note."], sources=[rates])
    table = folio.content(CONTEXT)["tables"]["table-rates"]
    assert (table["name"], table["file"], table["notes"]) == ("Table 1", "tables/table_rates", [["A note."]])
    assert [row["level"] for row in table["rows"]] == [0, 1, 1]
    assert table["rows"][1]["cells"] == [["ORR"], [["12.5", "response_rates.0.ESTIMATE"]]]
    entry = folio.values["response_rates.1.ESTIMATE"]
    assert (entry["value"], entry["texts"], entry["used_in"]) == (0.6875, ["68.8"], ["table-rates"])
    assert entry["notebook"] == "01_data_cleaning.ipynb" and entry["cell"].startswith("cell-")


def test_a_wrong_number_is_listed_with_the_words_around_it(folio, rates):
    answer = folio.say(lambda frame: "The rate is 13.5 %.", rates)
    content = folio.content({**CONTEXT, "answers": [answer]})
    assert content["answers"] == [["The rate is 13.5 %."]]
    assert folio.unsourced == [("answers", "13.5", "The rate is 13.5 %.")]


def test_figures_are_numbered_in_the_order_of_the_chapters_and_none_is_left_out(folio, rates):
    for name in ("one", "two", "three"):
        folio.draw(name, name, FIGURES, "rate", rates, mark="x")
    sections = folio.chapters({"Last first": "two one", "Nothing": "four"})
    content = folio.content({**CONTEXT, "sections": sections})
    assert {name: one["name"] for name, one in content["figures"].items()} == {
        "one": "Figure 2",
        "two": "Figure 1",
        "three": "Figure 3",
    }
    assert [one["title"] for one in content["sections"]] == ["Last first", "Further results"]
    assert (content["figures"]["one"]["width_mm"], content["figures"]["one"]["height_mm"]) == (180.0, 50.8)


def test_publishing_writes_every_form_and_takes_away_what_an_earlier_run_left(folio, rates):
    old = folio.run.reports_dir / "tables" / "table_old.csv"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    folio.draw("one", "One", FIGURES, "rate", rates, mark="x")
    folio.add_table("table_rates", "Rates", tabulate(rates), sources=[rates])
    content = folio.content(CONTEXT)
    folio.publish(content)
    written = {
        path.relative_to(folio.run.reports_dir).as_posix() for path in folio.run.reports_dir.rglob("*.*")
    }
    assert {"content.json", "report.html", "report.docx", "report.pdf", "figures/one.svg"} <= written
    assert {f"tables/table_rates.{kind}" for kind in documents.ENDINGS} <= written
    assert "tables/table_old.csv" not in written
    assert json.loads((folio.run.reports_dir / "content.json").read_text()) == content


def test_a_table_without_rows_is_refused(folio):
    with pytest.raises(ValueError, match="leave it out"):
        folio.add_table("empty", "Empty", pd.DataFrame({"a": []}))
