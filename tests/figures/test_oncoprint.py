"""The oncoprint shows what its frames hold: order, kinds, shares of those assessed, and every track."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from analysis import plan
from analysis.figures import oncoprint
from analysis.figures import oncoprint_parts as parts


@pytest.fixture
def tracks():
    return pd.DataFrame(
        {
            "SEQUENCED": [True, True, False, True],
            "MRESP": ["RESPONDER", "NON-RESPONDER", "NON-RESPONDER", "NE"],
            "PCTCHANGE": [-60.0, 5.0, 150.0, np.nan],
            "CTDNA_D14": ["NOT DETECTED", "DETECTED", "NOT ASSESSABLE", None],
            "CLEARANCE": ["+-", "++", None, None],
            "VISCFL": ["Y", "N", "Y", None],
            "SIGN_GLYCOLYSIS": [-0.5, 1.5, np.nan, np.nan],
            "PFS_MONTHS": [9.0, 2.0, 4.0, 1.0],
            "PFS_EVENT": [0.0, 1.0, 1.0, 1.0],
        },
        index=pd.Index(["A", "B", "C", "D"], name="USUBJID"),
    )


@pytest.fixture
def alterations():
    return pd.DataFrame(
        {
            "USUBJID": ["B", "B", "B", "D", "A", "A"],
            "GENE": ["TP53", "PTEN", "PTEN", "TP53", "PTEN", "TP53"],
            "KIND": ["MUTATED", "MUTATED", "DELETED", "MUTATED", "DELETED", "NOT ASSESSABLE"],
        }
    )


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_shares_are_of_the_patients_in_whom_the_gene_was_assessed(alterations, tracks):
    said = words(oncoprint.plot_oncoprint(alterations, tracks))
    # three sequenced; TP53 was on the panel of two of them, and altered in both
    assert "2/2 (100 %)" in said and "2/3 (67 %)" in said
    assert "3 with a sequenced tumour sample" in oncoprint.caption_oncoprint(alterations, tracks)
    assert "PTEN 2/3; TP53 2/2" in oncoprint.alt_oncoprint(alterations, tracks)


def test_non_responders_come_first_then_the_larger_rise(alterations, tracks):
    assert oncoprint._ordered(alterations, tracks).index.tolist() == ["C", "B", "A", "D"]


def test_a_cell_shows_both_kinds_and_no_panel_is_neither_wild_type_nor_no_sample(alterations, tracks):
    shown = oncoprint._ordered(alterations, tracks)
    rules = plan.defaults().figures
    layers, cells = parts.gene_layers(alterations, ["PTEN", "TP53"], shown, rules)
    drawn = lambda gene, subject: {
        (cell.color, cell.tall)
        for layer, cell in zip(layers, cells, strict=True)
        if layer[["PTEN", "TP53"].index(gene), shown.index.get_loc(subject)]
    }
    both = drawn("PTEN", "B")
    assert {(rules.palette["DELETED"], 1.0), (rules.palette["MUTATED"], 0.4)} <= both
    assert drawn("TP53", "A") == {(parts.OFF_PANEL, 0.14)}
    assert drawn("TP53", "C") == {(parts.NOTHING, 1.0)}
    assert drawn("PTEN", "D") == {(parts.WILD, 1.0)}


def test_every_class_of_a_track_is_in_the_legend_and_nothing_is_cut(alterations, tracks, check_readable):
    figure = oncoprint.plot_oncoprint(alterations, tracks)
    legend = {"Non-responder", "Responder", "Not evaluable", "Detected", "Not assessable", "Cleared (+−)"}
    legend |= {"Stays detected (++)", "Yes", "No", "Mutated", "Deep deletion", "Not on the panel", "+1.5"}
    assert legend | {"No sample or result", "PFS censored", "Glycolysis score"} <= set(words(figure))
    assert "Amplified" not in words(figure)
    check_readable(figure)


@pytest.mark.parametrize("width", ["page", 120.0])
def test_the_figure_is_as_wide_as_asked_and_no_figure_is_left_open(alterations, tracks, width):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = oncoprint.plot_oncoprint(alterations, tracks, width=width)
    wanted = 180.0 if width == "page" else width
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(wanted)
    assert plt.get_fignums() == []


def test_drawing_leaves_frames_and_the_global_generator_as_they_were(alterations, tracks):
    before, state = (alterations.copy(), tracks.copy()), np.random.get_state()[1].copy()  # noqa: NPY002
    oncoprint.plot_oncoprint(alterations, tracks)
    pd.testing.assert_frame_equal(alterations, before[0])
    pd.testing.assert_frame_equal(tracks, before[1])
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_two_drawings_have_the_same_bytes(alterations, tracks):
    first, second = io.BytesIO(), io.BytesIO()
    for buffer in (first, second):
        oncoprint.plot_oncoprint(alterations, tracks).savefig(buffer, format="svg", metadata={"Date": None})
    assert first.getvalue() == second.getvalue()


def test_a_bar_above_the_cap_carries_a_mark_and_the_caption_counts_it(alterations, tracks):
    figure = oncoprint.plot_oncoprint(alterations, tracks)
    heights = [patch.get_height() for axes in figure.axes for patch in axes.patches]
    assert 100.0 in heights and 150.0 not in heights
    assert "above 100 % (n = 1)" in oncoprint.caption_oncoprint(alterations, tracks)


def test_any_track_may_be_missing(alterations, tracks):
    oncoprint.plot_oncoprint(alterations, tracks[["SEQUENCED"]])
    figure = oncoprint.plot_oncoprint(alterations, pd.DataFrame(index=tracks.index))
    assert "2/3 (67 %)" in words(figure)  # who has a row was sequenced
    none = oncoprint.plot_oncoprint(alterations.iloc[:0], tracks)
    assert "No gene altered" in words(none)
    assert "No gene is altered" in oncoprint.caption_oncoprint(alterations.iloc[:0], tracks)


def test_without_a_sequenced_patient_it_is_refused(alterations, tracks):
    with pytest.raises(ValueError, match="no patient has a sequenced tumour sample"):
        oncoprint.plot_oncoprint(alterations, tracks.assign(SEQUENCED=False))


def test_the_response_strip_has_the_colours_of_the_plan_in_the_order_of_the_patients(alterations, tracks):
    from analysis import plan

    rules = plan.defaults().figures
    shown = oncoprint._ordered(alterations, tracks)
    strip = parts.list_strips(shown, {}, rules)[0]
    names = ["NON-RESPONDER", "NON-RESPONDER", "RESPONDER", "NE"]
    assert [to_hex(color) for color in strip.colors] == [rules.palette[name].lower() for name in names]
