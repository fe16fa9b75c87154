"""Files of a figure, its alternative text, and colours that everybody can tell apart."""

import base64
import hashlib
import io
import itertools
import os
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ET

import nbformat
import numpy as np
import pypdf
import pytest
from colorspacious import cspace_convert, deltaE
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image

from analysis import figure_files, plan
from analysis.figures import kaplan_meier, style
from analysis.privacy import gate, vocabulary

RULES = plan.defaults().figures
TITLE, ALT = "Figure 1. S(t) ≥ 50 %", "Two curves; <A> falls − below one half & stays."
SVG = "{http://www.w3.org/2000/svg}"


def make_figure(width="column", height_mm=40.0):
    figure = style.new_figure(width, height_mm, RULES)
    axes = style.axes_mm(figure, 12, 10, 60, 25)
    axes.plot([0, 1, 2], [3, 1, 2])
    axes.set(title="A title", xlabel="Months", ylabel="Share −1")
    return figure


@pytest.fixture(scope="module")
def files():
    return figure_files.files_of(make_figure(), "demo", RULES, title=TITLE, alt=ALT)


def opened(content):
    return Image.open(io.BytesIO(content))


# ---- files
def test_a_figure_has_the_formats_of_the_plan(files):
    starts = {"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG", "tif": b"II*\0"}
    assert list(files) == RULES.formats == list(starts)
    assert all(files[kind].startswith(start) for kind, start in starts.items())


def test_every_format_has_the_width_of_the_journal(files):
    assert opened(files["png"]).size == opened(files["tif"]).size == (2007, 944)  # 85 and 40 mm at 600 dpi
    for kind in ("png", "tif"):
        assert np.allclose([float(dots) for dots in opened(files[kind]).info["dpi"]], 600, atol=0.05)
    points = 85 / 25.4 * 72
    assert float(pypdf.PdfReader(io.BytesIO(files["pdf"])).pages[0].mediabox.width) == pytest.approx(
        points, 1e-4
    )
    assert float(ET.fromstring(files["svg"]).get("width").removesuffix("pt")) == pytest.approx(points, 1e-4)


def test_png_and_tiff_are_one_drawing_opaque_on_white(files):
    png, tiff = opened(files["png"]), opened(files["tif"])
    assert png.mode == tiff.mode == "RGB" and tiff.info["compression"] == "tiff_lzw"
    assert np.array_equal(np.asarray(png), np.asarray(tiff))
    assert png.getpixel((0, 0)) == (255, 255, 255) and np.asarray(png).min() < 60


def test_a_figure_without_a_ground_is_flattened_on_white():
    figure = make_figure()
    figure.set_facecolor("none")
    files = figure_files.files_of(figure, "demo", RULES, formats=("tif",))
    assert opened(files["tif"]).getpixel((0, 0)) == (255, 255, 255)


def test_title_and_description_travel_with_every_file(files):
    png = opened(files["png"])
    png.load()
    assert (png.text["Title"], png.text["Description"]) == (TITLE, ALT)
    tags = opened(files["tif"]).tag_v2
    assert tags[269].encode("latin-1").decode() == TITLE and tags[270].encode("latin-1").decode() == ALT
    about = pypdf.PdfReader(io.BytesIO(files["pdf"])).metadata
    assert (about.title, about.subject) == (TITLE, ALT)
    svg = ET.fromstring(files["svg"])
    assert [(child.tag, child.text) for child in svg][:2] == [(f"{SVG}title", TITLE), (f"{SVG}desc", ALT)]
    assert svg.get("role") == "img"


def test_a_figure_without_a_description_says_nothing():
    files = figure_files.files_of(make_figure(), "demo", RULES)
    assert b"<desc>" not in files["svg"] and b"<title>" not in files["svg"]
    assert 270 not in opened(files["tif"]).tag_v2 and not opened(files["png"]).info.get("Title")


def test_nothing_in_a_file_tells_when_it_was_made(files):
    about = pypdf.PdfReader(io.BytesIO(files["pdf"])).metadata
    assert about.creation_date is None and about.modification_date is None
    assert 306 not in opened(files["tif"]).tag_v2 and 305 not in opened(files["tif"]).tag_v2
    assert b"tIME" not in files["png"] and b"dc:date" not in files["svg"]


def test_letters_need_no_font_of_the_reader(files):
    fonts = re.findall(rb"/FontFile2 \d+ 0 R", files["pdf"])
    assert fonts and b"/Subtype /Type3" not in files["pdf"]
    text = files["svg"].decode()
    assert "<text" not in text and "font-family" not in text
    assert "<!-- Months -->" in text  # what was set as outlines can be searched for


def test_the_gate_lets_every_format_pass(files):
    for kind, content in files.items():
        gate.check(f"a.{kind}", content, vocabulary.Vocabulary({}), plan.defaults().privacy)


DRAW = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from test_style import ALT, RULES, TITLE, make_figure
from analysis import figure_files
made = figure_files.files_of(make_figure(), "demo", RULES, title=TITLE, alt=ALT)
print({kind: hashlib.sha256(content).hexdigest() for kind, content in made.items()})
"""


def test_another_process_zone_home_and_folder_give_the_same_bytes(files, tmp_path):
    here = {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()}
    away = os.environ | {
        "TZ": "Pacific/Auckland",
        "HOME": str(tmp_path),
        "LC_ALL": "C",
        "PYTHONHASHSEED": "7",
    }
    away.pop("MPLCONFIGDIR", None)
    command = [sys.executable, "-c", DRAW, os.path.dirname(os.path.abspath(__file__))]
    told = subprocess.run(command, env=away, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(here)


def test_a_width_no_journal_prints_is_refused():
    with pytest.raises(
        figure_files.FigureError, match=r"'demo' is 99\.0 mm wide.*column 85, half 120, page 180"
    ):
        figure_files.files_of(Figure(figsize=(99 / 25.4, 2)), "demo", RULES)
    for width, shown in ((99.0, r"'99\.0 mm'"), ("quarter", "'quarter'")):
        with pytest.raises(figure_files.FigureError, match=shown):
            style.new_figure(width, 40.0, RULES)
    assert [style.width_mm(width, RULES) for width in ("column", "half", "page", 120)] == [85, 120, 180, 120]


def test_a_format_nobody_writes_is_refused():
    with pytest.raises(figure_files.FigureError, match=r"\['eps'\].*'svg', 'pdf', 'png', 'tif'"):
        figure_files.files_of(make_figure(), "demo", RULES, formats=("svg", "eps"))


# ---- alternative text
def module_of(monkeypatch, **functions):
    """Return functions as if they stood in a module of figures of their own."""
    module = types.ModuleType("figures_of_a_test")
    for name, function in functions.items():
        function.__module__, function.__name__ = module.__name__, name
        setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def plot(rows, *, ylabel="", width="column", rules=None):
    figure = style.new_figure(width, 40.0, rules)
    figure.subplots().set(title="Head", ylabel=ylabel, xlabel="Months")
    return figure


def test_a_figure_carries_the_description_its_module_has_for_it(monkeypatch):
    made = module_of(
        monkeypatch, plot_rows=plot, alt_rows=lambda rows, *, unit="mm": f"{len(rows)} rows, {unit}"
    )
    assert style.drawn(made.plot_rows)([1, 2]).alt == "2 rows, mm"


def test_the_name_on_the_axis_stands_for_the_endpoint(monkeypatch):
    made = module_of(monkeypatch, plot_rows=plot, alt_rows=lambda rows, *, endpoint: f"Curves of {endpoint}")
    assert style.drawn(made.plot_rows)([1], ylabel="PFS").alt == "Curves of PFS"


def test_where_the_description_asks_for_more_titles_and_axes_are_told(monkeypatch):
    made = module_of(monkeypatch, plot_rows=plot, alt_rows=lambda rows, *, model: f"{model}")
    assert style.drawn(made.plot_rows)([1], ylabel="PFS").alt == "Figure. Head: PFS against Months."
    alone = module_of(monkeypatch, plot_alone=plot)
    assert style.drawn(alone.plot_alone)([1]).alt == "Figure. Head: Months."
    assert style.plain_alt(Figure()) == "Figure."


def test_a_description_that_fails_is_not_hidden(monkeypatch):
    made = module_of(monkeypatch, plot_rows=plot, alt_rows=lambda rows: rows["no such column"])
    with pytest.raises(TypeError):
        style.drawn(made.plot_rows)([1])


@pytest.mark.parametrize("template", ["basic", "classic"])
def test_nbconvert_writes_the_description_into_the_page(demo, template):
    from IPython.core.formatters import DisplayFormatter

    figure = kaplan_meier.plot_km(demo["curves"](), ylabel="PFS")
    data, metadata = DisplayFormatter().format(figure)
    data["image/png"] = base64.b64encode(data["image/png"]).decode()
    shown = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[shown])])
    page, _ = HTMLExporter(template_name=template).from_notebook_node(notebook)
    (alt,) = re.findall(r'<img[^>]*alt="([^"]*)"', page, re.DOTALL)
    assert alt == figure.alt and alt.startswith("Kaplan-Meier curves of PFS. Responder (n = 15, 11 events)")


# ---- colours
# CAM02-UCS: a difference of 1 is just seen where two areas touch; small marks apart need more.
LEAST_APART = 10.0
LEAST_LIGHTER = 10.0  # L* of CIELAB, for a print in grey
MARK_ON_WHITE, LETTER_ON_WHITE = 3.0, 4.5  # WCAG 2.2, 1.4.11 and 1.4.3
DEFICIENCIES = ("protanomaly", "deuteranomaly", "tritanomaly")
TOGETHER = [
    ["RESPONDER", "NON-RESPONDER", "NE"],
    ["STABLE", "PROGRESSOR"],
    ["CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE"],
    ["CMR", "PMR", "SMD", "PMD", "MISSING"],
    ["I", "II", "III", "IV"],
    ["HIGH", "LOW"],
    ["DETECTED", "NOT DETECTED", "MISSING"],
    ["--", "+-", "-+", "++", "MISSING"],
    ["MUTATED", "AMPLIFIED", "DELETED"],
    ["ASSESSABLE", "ASSESSABLE_WITH_WARNINGS", "NOT_ASSESSABLE"],
    ["RISE BEFORE PROGRESSION", "RISE AT OR AFTER PROGRESSION", "RISE WITHOUT PROGRESSION"],
]
PAIRS = [pair for group in TOGETHER for pair in itertools.combinations(group, 2)]


def rgb(color):
    return np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def seen_by(color, deficiency):
    """Return what a reader without one kind of cones sees (Machado and others, 2009)."""
    space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
    return np.clip(cspace_convert(rgb(color), space, "sRGB1"), 0, 1)


def apart(one, other):
    """Return the least CAM02-UCS distance of two colours over all readers."""
    pairs = [(rgb(one), rgb(other)), *((seen_by(one, kind), seen_by(other, kind)) for kind in DEFICIENCIES)]
    return min(float(deltaE(a, b, input_space="sRGB1")) for a, b in pairs)


def lightness(color):
    return float(cspace_convert(rgb(color), "sRGB1", "CIELab")[0])


def contrast_with_white(color):
    """Return (1 + 0.05) / (L + 0.05), L the relative luminance of WCAG 2.2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(color)]
    return 1.05 / (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05)


def channels(name, index=0):
    return (
        style.line_style_of(name, index, RULES),
        style.marker_of(name, index, RULES),
        style.hatch_of(name, index, RULES),
    )


def test_the_measures_agree_with_published_examples():
    assert contrast_with_white("#767676") == pytest.approx(
        4.54, abs=0.005
    )  # WebAIM: lightest grey for letters
    assert lightness("#777777") == pytest.approx(50.03, abs=0.05)  # CIE: L* of sRGB 119
    assert apart("#808080", "#808080") == 0 and apart("#FF0000", "#00FF00") > 20


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_classes_drawn_together_stay_apart_for_every_reader(one, other):
    assert apart(RULES.palette[one], RULES.palette[other]) >= LEAST_APART


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_classes_drawn_together_differ_in_grey_or_without_colour(one, other):
    lighter = abs(lightness(RULES.palette[one]) - lightness(RULES.palette[other]))
    pairs = list(zip(channels(one), channels(other), strict=True))
    assert lighter >= LEAST_LIGHTER or all(a != b for a, b in pairs)


def test_responders_and_non_responders_differ_in_grey_alone():
    for one, other in (("RESPONDER", "NON-RESPONDER"), ("DETECTED", "NOT DETECTED"), ("HIGH", "LOW")):
        assert abs(lightness(RULES.palette[one]) - lightness(RULES.palette[other])) >= LEAST_LIGHTER


def test_any_two_colours_of_the_cycle_stay_apart_for_every_reader():
    assert min(apart(*pair) for pair in itertools.combinations(RULES.cycle, 2)) >= LEAST_APART


def test_neighbours_of_the_cycle_differ_without_colour():
    for index in range(1, len(RULES.cycle)):
        assert all(a != b for a, b in zip(channels("x", index - 1), channels("x", index), strict=True))


@pytest.mark.parametrize("color", sorted({*RULES.palette.values(), *RULES.cycle, style.INK, style.MUTED}))
def test_every_colour_stands_out_from_white(color):
    assert contrast_with_white(color) >= MARK_ON_WHITE


def test_colours_of_letters_stand_out_from_white():
    for color in (style.INK, style.MUTED, *RULES.cycle[:3]):
        assert contrast_with_white(color) >= LETTER_ON_WHITE


def test_every_class_with_a_colour_has_its_place_among_line_styles_and_hatches():
    assert set(RULES.palette) == set(RULES.class_order)
    assert style.hatch_of("RESPONDER", 3, RULES) == "" and style.marker_of("responder", 3, RULES) == "o"
    assert len(set(map(str, style.LINE_STYLES))) == len(set(style.MARKERS)) == len(set(style.HATCHES)) == 6
