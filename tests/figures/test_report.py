"""The report stands alone, says what it is, and shows everything it was given once."""

import io
import re
from html.parser import HTMLParser

import pytest

from analysis.figures import kaplan_meier
from analysis.report import ReportError, check_self_contained, describe_scenario, plain, render_report

CONTENT = {
    "title": "PEARL",
    "study": "Study virtual",
    "simulated": True,
    "question": "Is early metabolic response associated with progression-free survival?",
    "answers": [["Not shown: hazard ratio ", ["1.30", "pfs_hr"], " (0.67–2.50)."]],
}
FIGURE = {
    "name": "Figure 1",
    "title": "Survival",
    "caption": ["A caption with ", ["45", "subjects"], "."],
    "alt": "Two falling curves.",
    "file": "figures/km",
    "width_mm": 85.0,
    "height_mm": 60.0,
}
TABLE = {
    "name": "Table 1",
    "title": "Patients",
    "columns": ["What", "All"],
    "rows": [
        {"kind": "group", "level": 0, "cells": ["Demography"]},
        {"kind": "row", "level": 0, "cells": ["Age", [["62", "age"]]]},
        {"kind": "row", "level": 1, "cells": ["over 65", "–"]},
    ],
    "notes": ["A note."],
    "file": "tables/t1",
}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10pt" height="10pt"></svg>'


def content(**changes):
    return {**CONTENT, "figures": {"km": FIGURE}, "tables": {"t1": TABLE}, **changes}


def render(**changes):
    return render_report(content(**changes), {"km": SVG, "km2": SVG})


class Page(HTMLParser):
    """Ids, links, images and open tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.stack = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.images += [found] if tag == "img" else []
        if tag not in {"img", "meta", "link", "br"}:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_well_formed_and_every_anchor_resolves():
    page = Page(render())
    assert page.stack == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_every_picture_has_alternative_text_and_lies_inside_the_page():
    (image,) = Page(render()).images
    assert image["alt"] == "Two falling curves."
    assert image["src"].startswith("data:image/svg+xml;base64,")


def test_a_picture_is_shown_a_quarter_larger_than_printed(demo):
    drawn, buffer = kaplan_meier.plot_km(demo["curves"]()), io.BytesIO()
    drawn.savefig(buffer, format="png")
    (image,) = Page(render_report(content(), {"km": buffer.getvalue()})).images
    assert image["src"].startswith("data:image/png;base64,")
    assert int(image["width"]) == pytest.approx(85 / 25.4 * 96 * 1.25, abs=1)


def test_a_number_of_a_text_is_printed_as_text():
    assert plain(["a ", ["1.30", "pfs_hr"], " b"]) == "a 1.30 b"
    text = render()
    assert "hazard ratio 1.30 (0.67–2.50)." in text
    assert "A caption with 45." in text
    assert "pfs_hr" not in text


def test_rows_of_a_table_stand_under_the_heading_of_their_group():
    text = render()
    assert '<th scope="rowgroup" colspan="2">Demography</th>' in text
    assert '<tr data-level="1"><th scope="row" class="level">over 65</th><td>–</td></tr>' in text
    assert '<p class="note">A note.</p>' in text


def test_simulated_data_and_a_sensitivity_analysis_are_announced():
    scenario = describe_scenario({"primary.cut_percent": 15.0}, {"primary.cut_percent": 25.0}, "cut15")
    text = render(scenario=scenario)
    assert "SIMULATED DATA" in text
    assert "SENSITIVITY ANALYSIS" in text
    assert re.search(r"primary\.cut_percent = <strong>15\.0</strong> \(plan: 25\.0\)", text)


def test_a_primary_analysis_of_real_data_carries_no_banner():
    text = render(simulated=False, scenario=describe_scenario({}, {}, "primary"))
    assert "SIMULATED DATA" not in text
    assert "SENSITIVITY" not in text


def test_the_answer_comes_before_the_contents_and_every_figure():
    text = render()
    places = [text.index(part) for part in ("Not shown: hazard ratio", ">Contents<", "Figure 1", "<figure")]
    assert places == sorted(places)


def test_figures_follow_the_sections_and_the_rest_comes_last():
    sections = [
        {"id": "survival", "title": "Survival", "paragraphs": ["Time zero is the scan."], "items": ["km2"]}
    ]
    text = render(sections=sections, figures={"km": FIGURE, "km2": {**FIGURE, "name": "Figure 2"}})
    parts = ('id="km2"', "Further results</h2>", 'id="km"', 'id="t1"')
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_an_empty_section_is_absent():
    assert "Pilot phase" not in render(sections=[{"id": "pilot", "title": "Pilot phase", "items": []}])


def test_what_does_not_apply_is_named_with_its_reason():
    text = render(not_applicable=[["05_biomarkers", "no biomarker files"]])
    assert "Not applicable in this study" in text
    assert "no biomarker files" in text


def test_text_from_outside_is_escaped():
    text = render(answers=[["<b onclick='x'>p < ", ["<i>0.05", "p"], "</b>"]])
    assert "<b onclick" not in text
    assert "<i>" not in text
    assert "&lt;b onclick" in text


def test_the_same_input_gives_the_same_page():
    assert render() == render()


@pytest.mark.parametrize(
    "inside",
    [
        "<script>1</script>",
        '<img src="https://x.y/z.png">',
        "<style>@import 'a'</style>",
        '<a href="http://x">',
        "url(//x/y)",
    ],
)
def test_content_that_reaches_outside_is_refused(inside):
    with pytest.raises(ReportError, match="must stand alone"):
        check_self_contained(f"<p>{inside}</p>")


def test_bad_input_of_a_report_is_refused_with_its_name():
    with pytest.raises(ReportError, match=r"missing \['question'\], unknown \['tittle'\]"):
        render_report({**{k: v for k, v in CONTENT.items() if k != "question"}, "tittle": "x"}, {})
    with pytest.raises(ReportError, match="list of sentences"):
        render(answers="one")
    with pytest.raises(ReportError, match="no alternative text"):
        render(figures={"km": {**FIGURE, "alt": " "}})
    with pytest.raises(ReportError, match=r"figure 'km' has no picture"):
        render_report(content(), {})
    with pytest.raises(ReportError, match="neither a PNG nor an SVG"):
        render_report(content(), {"km": b"GIF89a"})
    with pytest.raises(ReportError, match=r"ids used twice: \['km'\]"):
        render(tables={"km": TABLE})
    with pytest.raises(ReportError, match=r"ids used twice: \['t1'\]"):
        render(sections=[{"id": "t1", "title": "S", "paragraphs": ["x"], "items": []}])
    with pytest.raises(ReportError, match=r"names \['nope'\]"):
        render(sections=[{"id": "s", "title": "S", "items": ["nope"]}])
    with pytest.raises(ReportError, match=r"table 't1' has no rows"):
        render(tables={"t1": {**TABLE, "rows": TABLE["rows"][:1]}})
    with pytest.raises(ReportError, match="1 cells under 2 columns"):
        render(tables={"t1": {**TABLE, "rows": [{"kind": "row", "level": 0, "cells": ["Age"]}]}})
