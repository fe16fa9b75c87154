"""The report stands alone, says what it is, and shows everything it was given once."""

import io
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis import tables
from analysis.figures import kaplan_meier
from analysis.report import ReportError, check_self_contained, describe_scenario, render_report

CONTEXT = {
    "title": "PEARL",
    "study": "Study virtual",
    "simulated": True,
    "question": "Is early metabolic response associated with progression-free survival?",
    "answers": ["Not shown: hazard ratio 1.30 (0.67–2.50)."],
}
TABLE = ("t1", "Patients", tables.to_html(pd.DataFrame({"What": ["Age"], "All": ["62"]})))


@pytest.fixture
def figure(demo):
    buffer = io.BytesIO()
    kaplan_meier.plot_km(demo["curves"]()).savefig(buffer, format="svg", metadata={"Date": None})
    return ("km", "Survival", "A caption.", "Two falling curves.", buffer.getvalue())


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


def test_the_page_is_well_formed_and_every_anchor_resolves(figure):
    page = Page(render_report(CONTEXT, [figure], [TABLE], {"n": 45}))
    assert page.stack == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_every_picture_has_alternative_text_and_lies_inside_the_page(figure):
    (image,) = Page(render_report(CONTEXT, [figure])).images
    assert image["alt"] == "Two falling curves."
    assert image["src"].startswith("data:image/svg+xml;base64,")


def test_a_png_is_taken_at_its_printed_size(demo):
    drawn, buffer = kaplan_meier.plot_km(demo["curves"]()), io.BytesIO()
    drawn.savefig(buffer, format="png")
    (image,) = Page(render_report(CONTEXT, [("km", "S", "c", "alt", buffer.getvalue())])).images
    # 85 mm at 96 px an inch, shown a quarter larger.
    assert int(image["width"]) == pytest.approx(85 / 25.4 * 96 * 1.25, abs=2)


def test_simulated_data_and_a_sensitivity_analysis_are_announced():
    scenario = describe_scenario({"primary.cut_percent": 15.0}, {"primary.cut_percent": 25.0}, "cut15")
    text = render_report({**CONTEXT, "scenario": scenario})
    assert "SIMULATED DATA" in text
    assert "SENSITIVITY ANALYSIS" in text
    assert re.search(r"primary\.cut_percent = <strong>15\.0</strong> \(plan: 25\.0\)", text)


def test_a_primary_analysis_of_real_data_carries_no_banner():
    text = render_report({**CONTEXT, "simulated": False, "scenario": describe_scenario({}, {}, "primary")})
    assert "SIMULATED DATA" not in text
    assert "SENSITIVITY" not in text


def test_the_answer_comes_before_the_contents_and_every_figure(figure):
    text = render_report(CONTEXT, [figure], [TABLE])
    assert (
        text.index("Not shown: hazard ratio")
        < text.index("Contents")
        < text.index("Figure 1")
        < text.index("<figure")
    )


def test_figures_follow_the_sections_and_the_rest_comes_last(figure):
    other = ("km2", *figure[1:])
    sections = [
        {"id": "survival", "title": "Survival", "paragraphs": ["Time zero is the scan."], "items": ["km2"]}
    ]
    text = render_report({**CONTEXT, "sections": sections}, [figure, other], [TABLE])
    assert (
        text.index('id="km2"')
        < text.index("Further results</h2>")
        < text.index('id="km"')
        < text.index('id="t1"')
    )


def test_an_empty_section_is_absent():
    text = render_report({**CONTEXT, "sections": [{"id": "pilot", "title": "Pilot phase", "items": []}]})
    assert "Pilot phase" not in text


def test_what_does_not_apply_is_named_with_its_reason():
    text = render_report({**CONTEXT, "not_applicable": [("05_biomarkers", "no biomarker files")]})
    assert "Not applicable in this study" in text
    assert "no biomarker files" in text


def test_text_from_outside_is_escaped():
    text = render_report({**CONTEXT, "answers": ["<b onclick='x'>p < 0.05</b>"]})
    assert "<b onclick" not in text
    assert "&lt;b onclick" in text


def test_the_same_input_gives_the_same_page(figure):
    assert render_report(CONTEXT, [figure], [TABLE]) == render_report(CONTEXT, [figure], [TABLE])


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


def test_bad_input_of_a_report_is_refused_with_its_name(figure):
    with pytest.raises(ReportError, match=r"missing \['question'\], unknown \['tittle'\]"):
        render_report({**{k: v for k, v in CONTEXT.items() if k != "question"}, "tittle": "x"})
    with pytest.raises(ReportError, match="list of sentences"):
        render_report({**CONTEXT, "answers": "one"})
    with pytest.raises(ReportError, match="no alternative text"):
        render_report(CONTEXT, [(*figure[:3], " ", figure[4])])
    with pytest.raises(ReportError, match="neither a PNG nor an SVG"):
        render_report(CONTEXT, [(*figure[:4], b"GIF89a")])
    with pytest.raises(ReportError, match="used twice"):
        render_report(CONTEXT, [figure, figure])
    with pytest.raises(ReportError, match=r"names \['nope'\]"):
        render_report({**CONTEXT, "sections": [{"id": "s", "title": "S", "items": ["nope"]}]})
    with pytest.raises(ReportError, match="no <table> element"):
        render_report(CONTEXT, [], [("t", "T", "<p>x</p>")])
