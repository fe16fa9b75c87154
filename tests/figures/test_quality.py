"""The quality report's pictures: outlines follow the pixels, and a reader can read the panels."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis import plan
from analysis.figures import pet, pilot, quality
from analysis.figures.projection import draw_projection, encode_png, trace

LABELS = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 2]], np.uint8)


def projection(**changes):
    row = {"VIEW": "CORONAL", "ROWS": 3.0, "COLUMNS": 4.0, "LABELNAMES": "L1;LIVER",
           "PIXELS": np.arange(12, dtype=np.uint8), "LABELS": LABELS.ravel()}  # fmt: skip
    return row | changes


def edge_length(path):
    return sum(int(n) for n in re.findall(r"[hv](\d+)", path))


def test_an_outline_is_as_long_as_the_region_s_border():
    # Three pixels in an L have eight unit edges, a hole of one pixel in 3 x 3 adds four to twelve.
    assert edge_length(trace(LABELS == 1)) == 8
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert edge_length(trace(ring)) == 12 + 4


def test_an_outline_at_the_edge_of_the_picture_is_closed():
    assert sorted(re.findall(r"M[^M]+", trace(np.ones((1, 1), bool)))) == [
        "M0 0h1",
        "M0 0v1",
        "M0 1h1",
        "M1 0v1",
    ]


def test_the_picture_inside_is_the_projection_inverted_and_without_metadata():
    svg = draw_projection(projection())
    png = base64.b64decode(re.search(r"base64,([^\"]+)", svg).group(1))
    shown = np.asarray(Image.open(io.BytesIO(png)))
    assert np.array_equal(shown, 255 - np.arange(12).reshape(3, 4))
    kinds = re.findall(rb"(IHDR|tEXt|iTXt|zTXt|tIME|eXIf|pHYs)", encode_png(shown))
    assert kinds == [b"IHDR"]


def test_lesions_and_reference_regions_have_their_colours_and_names():
    svg = draw_projection(projection())
    outlines = re.findall(r'class="outline" stroke="(#\w+)"', svg)
    assert outlines == ["#D55E00", "#0072B2"]
    assert re.findall(r">(L1|Liver|LIVER)</text>", svg) == ["L1", "Liver"]


def test_a_name_is_escaped_and_a_region_that_does_not_show_is_not_named():
    svg = draw_projection(projection(LABELNAMES="<b>;LIVER;L9"))
    assert "<b>" not in svg and "&lt;b&gt;" in svg and "L9" not in svg


def test_names_do_not_overlap():
    labels = np.zeros((100, 40), np.uint8)
    for number in range(1, 13):
        labels[50 + number // 4, number] = number
    names = ";".join(f"L{n}" for n in range(1, 13))
    row = projection(
        ROWS=100.0, COLUMNS=40.0, PIXELS=np.zeros(4000, np.uint8), LABELS=labels, LABELNAMES=names
    )
    svg = draw_projection(row)
    size = float(re.search(r'font-size="([\d.]+)"', svg).group(1))
    placed = re.findall(r'y="([\d.]+)" text-anchor="(\w+)"', svg)
    assert len(placed) == 12
    for side in ("start", "end"):
        heights = np.sort([float(y) for y, anchor in placed if anchor == side])
        assert np.diff(heights).min() > size


def test_pixels_that_do_not_fill_the_picture_and_labels_without_names_are_refused():
    with pytest.raises(ValueError, match="PIXELS holds 3 values, not 3 x 4"):
        draw_projection(projection(PIXELS=np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match="LABELS counts to 2, LABELNAMES has 1"):
        draw_projection(projection(LABELNAMES="L1"))


def test_a_picture_without_regions_is_drawn():
    svg = draw_projection(projection(LABELS=np.zeros(12, np.uint8), LABELNAMES=None))
    assert 'outline"' not in svg and "no region" in svg


def demo_scans():
    rows = [("01", "D0", 60.0, 1.2), ("01", "D14", 62.0, 1.3), ("02", "D0", 71.0, np.nan)]
    table = pd.DataFrame(rows, columns=["SITEID", "AVISIT", "UPTAKEMIN", "LIVERSUL"])
    return table.assign(DOSEMBQ=[250.0, 240.0, 260.0], STATUS=["OK", "OK", "REFUSED"], VENDOR="GE", MODEL="Demo",
                        ADT=pd.Timestamp("2020-01-01"), PATH=["a", "b", "c"])  # fmt: skip


def test_every_site_has_a_column_and_every_quantity_a_row_with_common_limits():
    figure = quality.plot_sites(demo_scans(), windows={"UPTAKEMIN": (50, 70)})
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["Site 01 (n = 2)", "Site 02 (n = 1)"]
    assert len(figure.axes) == 6
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_small_sites_share_the_last_panel():
    scans = pd.concat([demo_scans().assign(SITEID=f"{n:02d}") for n in range(12)], ignore_index=True)
    scans = pd.concat([scans, demo_scans().assign(SITEID="05")], ignore_index=True)
    figure = quality.plot_sites(scans)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert titles[:5] == [
        "Site 00 (n = 3)",
        "Site 01 (n = 3)",
        "Site 02 (n = 3)",
        "Site 03 (n = 3)",
        "Site 05 (n = 6)",
    ]
    assert titles[5] == "Other sites (n = 21)"


def test_the_verdicts_carry_their_counts():
    counts = pd.DataFrame(
        {"AVISIT": ["D14", "D14"], "VERDICT": ["ASSESSABLE", "NOT_ASSESSABLE"], "N": [7, 2]}
    )
    figure = quality.plot_verdicts(counts)
    assert [text.get_text() for text in figure.axes[0].texts] == ["7", "2"]


def test_nothing_to_draw_is_refused():
    empty = demo_scans().assign(UPTAKEMIN=np.nan, DOSEMBQ=np.nan, LIVERSUL=np.nan)
    with pytest.raises(ValueError, match="no value to draw"):
        quality.plot_sites(empty)
    with pytest.raises(ValueError, match="no liver to draw"):
        quality.plot_liver_drift(empty)


def test_the_uptake_axis_is_filled_by_the_points_and_not_by_a_wide_window():
    scans = pd.DataFrame({"AVISIT": "D0", "VENDOR": "GE", "STATUS": "OK", "UPTAKEMIN": [55.0, 60.0, 65.0],
                          "LIVERMEAN": [2.0, 2.1, 2.2]})  # fmt: skip
    wide, near = (
        pet.plot_scan_quality(scans, uptake_window_min=window).axes[0].get_ylim()
        for window in ((30.0, 180.0), (52.0, 68.0))
    )
    assert 50 < wide[0] < 55 and 65 < wide[1] < 70
    assert near[0] < 52 and near[1] > 68


@pytest.mark.parametrize(
    ("sections", "standard", "expected"),
    [
        (("pet", "response"), "percist", (50.0, 70.0)),
        (("pet", "response"), "eanm", (55.0, 75.0)),
        (("pet",), "percist", (30.0, 180.0)),
    ],
)
def test_the_expected_uptake_time_is_that_of_the_standard_of_comparison(sections, standard, expected):
    whole = plan.defaults().override({"response.comparability_standard": standard})
    assert pet.uptake_window(whole.restrict(sections)) == expected


def test_the_agreement_of_two_days_shows_bias_and_limits():
    # Differences 0, 10 and 20: mean 10, SD 10, limits 10 -+ 19.6.
    days = pd.DataFrame({"D14": [0.0, -10.0, -30.0], "D28": [0.0, 0.0, -10.0]})
    given = {"cut_percent": 25, "agreement": {"bias": 10.0, "lower": -9.6, "upper": 29.6}}
    lines = [line.get_ydata()[0] for line in pilot.plot_agreement(days, **given).axes[1].lines]
    for expected in (10.0, -9.6, 29.6):
        assert min(abs(value - expected) for value in lines) < 0.001
    caption = pilot.caption_agreement(days, **given)
    assert "mean difference (10.0 points), dashed: 95 % limits of agreement (−9.6 to 29.6)" in caption


def test_one_patient_has_no_limits_of_agreement():
    days = pd.DataFrame({"D14": [0.0], "D28": [5.0]})
    given = {"cut_percent": 25, "agreement": {"bias": 5.0, "lower": np.nan, "upper": np.nan}}
    assert len(pilot.plot_agreement(days, **given).axes[1].lines) == 3  # zero, the bias, and the point
    assert "limits of agreement" not in pilot.caption_agreement(days, **given)


def test_the_caption_of_the_sites_names_the_panels_that_are_drawn():
    scans = pd.DataFrame({"SITEID": ["01"], "AVISIT": ["D0"], "STATUS": ["OK"], "UPTAKEMIN": [60.0],
                          "DOSEMBQ": [250.0], "LIVERSUL": [np.nan]})  # fmt: skip
    caption = quality.caption_sites(scans, {"LIVERSUL": (1.0, 3.5)})
    assert caption == (
        "Uptake time and injected activity of 1 scan by site and visit. "
        "A bar is the median of a visit (D0: baseline)."
    )
