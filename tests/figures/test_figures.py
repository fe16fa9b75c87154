"""Every figure is readable, repeats byte for byte, and refuses what it cannot show honestly."""

import hashlib
import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import plan
from analysis.figures import flow, forest, kaplan_meier, multiverse, pet, pilot, style, waterfall

BAND = (-28.2, 39.3)


def draw(demo, *names):
    """Draw the named figures, all of them if none is named."""
    stages, excluded, split = demo["flow"]()
    long, summary = demo["courses"]()
    limits = {"bias": -1.1, "lower": -19.6, "upper": 17.4}
    changes, days, curves = demo["changes"](), demo["two_days"](), demo["curves"]()
    makers = {
        "flow": lambda: flow.plot_flow(stages, excluded, split=split),
        "flow column": lambda: flow.plot_flow(stages, excluded, split=split, width="column"),
        "km": lambda: kaplan_meier.plot_km(curves, annotation="HR 1.30 (0.67–2.50)\np = 0.44"),
        "km page": lambda: kaplan_meier.plot_km(curves, width="page"),
        "waterfall": lambda: waterfall.plot_waterfall(changes, cut_percent=25, band_percent=BAND),
        "waterfall column": lambda: waterfall.plot_waterfall(
            changes, cut_percent=25, band_percent=BAND, width="column"
        ),
        "specification curve": lambda: multiverse.plot_specification_curve(demo["grid"]()),
        "forest": lambda: forest.plot_forest(demo["estimates"]()),
        "agreement": lambda: pilot.plot_agreement(days, cut_percent=25, agreement=limits, band_percent=BAND),
        "courses": lambda: pilot.plot_courses(long, summary=summary),
        "mips": lambda: pet.plot_mips(demo["mips"](), scale="SUV 0 (white) to 10 (black)"),
        "scan quality": lambda: pet.plot_scan_quality(demo["scan_qc"](), uptake_window_min=(55, 75)),
    }
    return {name: makers[name]() for name in names or makers}


def digest(figure, kind):
    buffer = io.BytesIO()
    metadata = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None, "ModDate": None, "Producer": None},
        "png": {},
    }
    figure.savefig(buffer, format=kind, metadata=metadata[kind])
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def test_no_text_of_any_figure_is_cut_off_covered_or_tiny(demo, check_readable):
    for figure in draw(demo).values():
        check_readable(figure)


@pytest.mark.parametrize(
    "names", [["all"], ["Non-responder, ctDNA not detected", "Responder, ctDNA detected"]]
)
def test_group_names_of_any_length_stand_beside_their_numbers(demo, check_readable, names):
    curves = demo["curves"]()
    renamed = curves.assign(GROUP=curves["GROUP"].map(dict(zip(["NON-RESPONDER", "RESPONDER"], names))))
    check_readable(kaplan_meier.plot_km(renamed[renamed["GROUP"].notna()], width="page"))


def test_the_legend_of_four_groups_stands_in_two_columns_and_leaves_room_for_a_second_figure(
    demo, check_readable
):
    two = demo["curves"]().dropna(subset=["GROUP"])
    four = pd.concat([two.assign(GROUP=two["GROUP"] + f", {more}") for more in ("DETECTED", "NOT DETECTED")])
    figure = kaplan_meier.plot_km(four, width="page")
    check_readable(figure)
    # two figures with heading and four lines of caption (28 mm) in the 259 mm inside the margins of A4
    assert 2 * (figure.get_size_inches()[1] * 25.4 + 28) < 259


def test_projections_outline_and_name_lesions_and_no_reference_region(demo):
    figure = pet.plot_mips(demo["mips"]())
    for axes in [axes for axes in figure.axes if axes.images]:
        assert [text.get_text() for text in axes.texts if text.get_gid() != "side"] == ["L1", "L2"]
        assert [len(lines.get_segments()) for lines in axes.collections] == [2 * (13 + 13), 2 * (15 + 15)]
    assert not any(axes.collections for axes in pet.plot_mips(demo["mips"](), outline=False).axes)


def test_projections_of_different_height_have_one_scale(demo):
    mips = demo["mips"]()
    half = mips.index == 1  # the upper half of the second one was cut
    mips.loc[half, "ROWS"] = 95
    for name in ("PIXELS", "LABELS"):
        mips[name] = [value[95 * 100 :] if cut else value for value, cut in zip(mips[name], half)]
    shown = [axes for axes in pet.plot_mips(mips).axes if axes.images]
    pixel = {np.ptp(axes.get_ylim()) / axes.get_position().height for axes in shown}
    assert max(pixel) == pytest.approx(min(pixel))
    assert shown[1].get_ylim() == (94.5, 94.5 - 190)  # feet at the bottom, nothing above what was cut


@pytest.mark.parametrize("rows", [1, 40])
def test_a_forest_of_any_length_is_readable(demo, check_readable, rows):
    estimates = pd.concat([demo["estimates"]()] * 5, ignore_index=True).head(rows)
    check_readable(forest.plot_forest(estimates))


def test_every_figure_has_one_of_the_widths_it_was_asked_for(demo):
    for name, figure in draw(demo).items():
        width = figure.get_size_inches()[0] * 25.4
        assert any(abs(width - wanted) < 0.01 for wanted in (85, 120, 180)), name


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_two_drawings_of_the_same_data_have_the_same_bytes(demo, kind):
    names = ("km", "flow") if kind == "pdf" else ("km", "forest", "waterfall", "flow")
    first, second = draw(demo, *names), draw(demo, *names)
    assert [digest(first[name], kind) for name in names] == [digest(second[name], kind) for name in names]


def test_drawing_leaves_the_users_settings_and_the_data_alone(demo):
    before = dict(matplotlib.rcParams)
    curves = demo["curves"]()
    kept = curves.copy()
    kaplan_meier.plot_km(curves)
    assert dict(matplotlib.rcParams) == before
    pd.testing.assert_frame_equal(curves, kept)


def test_a_users_own_settings_do_not_change_a_figure(demo):
    plain = digest(kaplan_meier.plot_km(demo["curves"]()), "svg")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "svg.hashsalt": None}):
        assert digest(kaplan_meier.plot_km(demo["curves"]()), "svg") == plain


def test_a_notebook_shows_a_figure_without_pyplot(demo):
    assert kaplan_meier.plot_km(demo["curves"]())._repr_png_()[0].startswith(b"\x89PNG")


# ---- numbers in figures


def test_numbers_at_risk_count_patients_with_time_at_least_t():
    # Times 1, 2, 2, 5: at risk at 0, 1, 2, 3, 5, 6 by counting on fingers.
    steps = pd.DataFrame({"TIME": [1.0, 2.0, 5.0], "AT_RISK": [4, 3, 1]})
    assert kaplan_meier.number_at_risk(steps, [0, 1, 2, 3, 5, 6]) == [4, 4, 3, 1, 1, 0]


def test_numbers_at_risk_stand_under_their_ticks(demo):
    figure = kaplan_meier.plot_km(demo["curves"]())
    figure.savefig(io.BytesIO(), format="png")
    above, below = figure.axes
    numbers = [text for text in below.texts if text.get_text().isdigit()]
    ticks = above.get_xticks()
    assert len(numbers) == 2 * len(ticks)
    for text, tick in zip(numbers, [*ticks, *ticks]):
        middle = text.get_window_extent()
        assert abs((middle.x0 + middle.x1) / 2 - above.transData.transform((tick, 0))[0]) < 2


@given(st.floats(0.5, 400), st.sampled_from([1.0, 3.0, 6.0]))
def test_time_ticks_start_at_zero_cover_the_data_and_stay_few(until, step):
    ticks = kaplan_meier.time_ticks(until, step)
    assert ticks[0] == 0
    assert ticks[-1] >= until - 1e-6
    assert len(ticks) <= 10


def test_the_curve_frame_of_the_estimator_is_taken_as_it_is():
    survival = pytest.importorskip("analysis.survival.kaplan_meier")
    frame = survival.kaplan_meier([1, 2, 3, 4, 6], [1, 0, 1, 1, 0], ["A", "A", "B", "B", "B"])
    text = kaplan_meier.caption_km(frame, endpoint="Overall survival")
    assert "A n = 2, 1 event and B n = 3, 2 events" in text
    assert kaplan_meier.plot_km(frame).axes
    given = dict(endpoint="PFS", labels={"A": "Responder, ctDNA not detected"})
    for text in (kaplan_meier.caption_km(frame, **given), kaplan_meier.alt_km(frame, **given)):
        assert "Responder, ctDNA not detected (n = " in text


def test_a_ln_ratio_of_three_quarters_is_a_fall_of_twenty_five_percent():
    assert waterfall.percent_change(pd.Series([np.log(0.75)])).iloc[0] == pytest.approx(-25)


def test_a_bar_beyond_the_cap_is_cut_and_keeps_its_number(demo):
    figure = waterfall.plot_waterfall(demo["changes"](), cut_percent=25)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert max(heights) == 100
    assert any("+212 %" in text.get_text() for text in figure.axes[0].texts)


def test_the_waterfall_caption_counts_what_is_drawn_and_what_is_not(demo):
    text = waterfall.caption_waterfall(demo["changes"](), cut_percent=25, timepoint="D14", band_percent=BAND)
    assert "(n = 38)" in text
    assert "In 15 it fell by 25 % or more" in text
    assert "new lesion (n = 2)" in text
    assert "3 patients had no computable change" in text


def test_a_forest_row_that_cannot_be_estimated_is_named(demo):
    figure = forest.plot_forest(demo["estimates"]())
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "not estimable" in texts
    assert "1.30 (0.67–2.50)" in texts


def test_the_forest_groups_rows_by_role_with_the_primary_first(demo):
    mixed = demo["estimates"]().iloc[::-1]
    figure = forest.plot_forest(mixed)
    headings = [text.get_text() for text in figure.axes[0].texts if text.get_weight() == "bold"]
    assert headings[-4:] == ["Primary", "Secondary", "Sensitivity", "Exploratory"]


# ---- flow


def test_the_flow_is_counted_from_the_ledger_and_a_patient_leaves_once():
    ledger = pd.DataFrame(
        [
            ("01", "P1", "subject", "NOT_TREATED", "never treated; ask the site"),
            ("02", "P1", "subject", "NO_SCAN", "no early scan"),
            ("02", "P2", "subject", "NO_SCAN", "no early scan"),
            ("02", "P3", "lesion", "ROI_UNMAPPED", "region without a role"),
        ],
        columns=["STEP", "USUBJID", "ITEM", "CODE", "REASON"],
    )
    stages, excluded = flow.count_flow(
        ledger, ["P1", "P2", "P3", "P4"], {"01": "Treated", "02": "Scanned"}, "Registered"
    )
    assert stages.to_numpy().tolist() == [["Registered", 4], ["Treated", 3], ["Scanned", 2]]
    assert excluded.to_numpy().tolist() == [
        ["Registered", "never treated", 1],
        ["Treated", "no early scan", 1],
    ]
    flow.check_flow(stages, excluded)


def test_a_flow_that_does_not_reconcile_is_not_drawn(demo):
    stages, excluded, split = demo["flow"]()
    with pytest.raises(ValueError, match="do not reconcile: 48 in 'Treated' less 4"):
        flow.plot_flow(stages, excluded.drop(index=3))
    with pytest.raises(ValueError, match="groups add up to 14, not to 41"):
        flow.plot_flow(stages, excluded, split=split.head(1))
    with pytest.raises(ValueError, match="no stage with a next one"):
        flow.plot_flow(stages, excluded.replace("Registered", "Screened"))


def test_boxes_of_the_flow_do_not_touch(demo):
    stages, excluded, split = demo["flow"]()
    figure = flow.plot_flow(stages, excluded, split=split)
    boxes = [
        patch.get_bbox()
        for patch in figure.axes[0].patches
        if hasattr(patch, "get_bbox") and patch.get_width() > 20
    ]
    assert len(boxes) == 4 + 3 + 2
    for index, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[index + 1 :])


# ---- refusals and style


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda demo: kaplan_meier.plot_km(demo["curves"]().iloc[:0]), "no curve to draw"),
        (
            lambda demo: kaplan_meier.plot_km(demo["curves"]().drop(columns="LOWER")),
            r"lack the columns \['LOWER'\]",
        ),
        (
            lambda demo: kaplan_meier.plot_km(demo["curves"](), groups=["X"]),
            r"no curve for the groups \['X'\]",
        ),
        (lambda demo: forest.plot_forest(demo["estimates"]().iloc[:0]), "no estimate to draw"),
        (lambda demo: forest.plot_forest(demo["estimates"]().assign(ESTIMATE=-0.3)), "must be exponentiated"),
        (
            lambda demo: forest.plot_forest(demo["estimates"]().assign(METHOD="km_median")),
            r"\['km_median'\] are none",
        ),
        (lambda demo: forest.plot_forest(demo["estimates"](), width="column"), "too narrow"),
        (
            lambda demo: waterfall.plot_waterfall(demo["changes"]().assign(CHANGE=np.nan), cut_percent=25),
            "no patient",
        ),
        (lambda demo: pilot.plot_agreement(demo["two_days"]().assign(D28=np.nan)), "both early scans"),
        (
            lambda demo: pilot.plot_courses(demo["courses"]()[0].assign(CHANGE=np.nan)),
            "no patient has a course",
        ),
        (lambda demo: pet.plot_mips(demo["mips"]().iloc[:0]), "no projection"),
        (lambda demo: pet.plot_mips(demo["mips"]().assign(ROWS=7)), "not 7 x 100"),
        (lambda demo: pet.plot_scan_quality(demo["scan_qc"]().iloc[:0]), "no scan"),
    ],
)
def test_a_figure_of_nothing_or_of_nonsense_is_refused(demo, refused, message):
    with pytest.raises(ValueError, match=message):
        refused(demo)


def test_wrapped_lines_fit_their_room_and_lose_no_word():
    text = "No FDG-evaluable lesion at baseline (all lesions below 1.5 times liver)"
    lines = style.wrap(text, 40, 8, "DejaVu Sans").split("\n")
    assert " ".join(lines) == text
    assert all(style.text_width_mm(line, 8, "DejaVu Sans") <= 40 for line in lines)


def contrast_with_white(color):
    """Contrast ratio by WCAG 2.1: relative luminance of sRGB."""
    channels = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_responders_and_non_responders_stand_out_from_white():
    palette = plan.defaults().figures.palette
    # WCAG 2.1, 1.4.11: graphical objects 3:1; text (ink and muted) 4.5:1.
    assert all(contrast_with_white(palette[name]) >= 3 for name in ("RESPONDER", "NON-RESPONDER", "NE"))
    assert all(contrast_with_white(color) >= 4.5 for color in (style.INK, style.MUTED))
