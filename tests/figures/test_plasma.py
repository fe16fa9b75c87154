"""Figures of plasma, of PET beside it and of lesions at progression: values as given, nothing invented."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.figures import burden, lead_time, lesion_progression, pet_ctdna, plasma


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.fixture
def draws():
    return pd.DataFrame(
        {
            "USUBJID": ["A", "A", "A"],
            "DAY": [-1, 14, 28],
            "VAF": [0.1, np.nan, np.nan],
            "RESULT": ["DETECTED", "NOT ASSESSABLE", "NOT DETECTED"],
            "LOD": [0.002] * 3,
            "MRESP": "RESPONDER",
        }
    )


@pytest.fixture
def four():
    return pd.DataFrame(
        {
            "MRESP": ["RESPONDER", "RESPONDER", "NON-RESPONDER", "NON-RESPONDER"],
            "CTDNA": ["NOT DETECTED", "DETECTED"] * 2,
            "N": [10, 0, 11, 18],
            "PFS_EVENTS": [7, 0, 9, 17],
        }
    )


@pytest.fixture
def leads():
    return pd.DataFrame(
        {
            "USUBJID": list("ABCDE"),
            "CATEGORY": [
                "RISE BEFORE PROGRESSION",
                "NO RISE BEFORE PROGRESSION",
                "RISE AT OR AFTER PROGRESSION",
                "RISE WITHOUT PROGRESSION",
                "NEITHER",
            ],
            "LEAD": [40.0, 0.0, -20.0, 100.0, np.nan],
            "CNSR": [0.0, 0.0, 0.0, 1.0, 1.0],
        }
    )


def test_a_failed_assay_is_not_drawn_and_a_negative_one_stands_at_its_limit(draws, check_readable):
    figure = plasma.plot_trajectories(draws, progression=pd.Series({"A": 20.0}))
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [-1, 28] and line.get_ydata().tolist() == [0.1, 0.002]
    check_readable(figure)
    caption = plasma.caption_trajectories(draws)
    assert "(n = 1, 2 samples)" in caption and "1 sample not assessable" in caption
    with pytest.raises(ValueError, match="no plasma result"):
        plasma.plot_trajectories(draws.assign(RESULT="NOT ASSESSABLE"))


def test_a_quantity_that_is_not_ctdna_is_measured_or_no_longer_seen(draws):
    figure = plasma.plot_trajectories(draws, ylabel="Size", words="measured")
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["Measured", "No longer seen, drawn at its floor", "At or under the highest floor"]
    caption = plasma.caption_trajectories(draws, quantity="Size", words="measured")
    assert "no longer seen, drawn at its floor (n = 1)" in caption and "etect" not in caption


def test_any_quantity_and_group_can_be_followed_with_the_model_over_it(check_readable):
    size = pd.DataFrame({"USUBJID": ["A", "A", "B", "B"], "DAY": [0, 60] * 2, "VALUE": [100, 40, 100, 130]})
    size["GROUP"] = ["NOT DETECTED"] * 2 + ["DETECTED"] * 2
    model = pd.DataFrame({"GROUP": "DETECTED", "DAY": [0, 60], "MEDIAN": [100, 120]})
    model = model.assign(LOWER=[90, 100], UPPER=[110, 150])
    figure = plasma.plot_trajectories(size, model=model, factor=1.0, scale="linear", ylabel="Size, %")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["ctDNA not detected (n = 1)", "ctDNA detected (n = 1)"]
    assert [len(axes.collections) for axes in figure.axes] == [0, 1]  # the band, where there is a model
    check_readable(figure)
    alt = plasma.alt_trajectories(size, factor=1.0, scale="linear")
    assert "ctDNA detected, n = 1: median 100 % at the first and 130 % at the last sample" in alt


def test_what_a_log_axis_cannot_show_is_counted():
    size = pd.DataFrame({"USUBJID": "A", "DAY": [0, 60], "VALUE": [100.0, 0.0], "GROUP": "PR"})
    assert "1 value could not be placed" in plasma.caption_trajectories(size)
    assert "could not" not in plasma.caption_trajectories(size, scale="linear")


def test_lead_times_are_sorted_zero_and_negative_ones_shown_and_open_ones_marked(leads, check_readable):
    figure = lead_time.plot_lead_times(leads)
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [100.0, 40.0, 0.0, -20.0]
    assert words(figure) == ["1 patient"]
    zero, open_end = (np.asarray(points.get_offsets()).tolist() for points in axes.collections)
    assert zero == [[0.0, 2.5]] and open_end == [[100.0, 0.5]]
    check_readable(figure)
    assert "1 patient with neither rise nor progression" in lead_time.caption_lead_times(leads)
    alt = lead_time.alt_lead_times(leads)
    assert "rise before progression 1, no rise before progression 1" in alt
    assert "rise without progression 1; from −20 to 100 days" in alt
    with pytest.raises(ValueError, match="no patient has a lead time"):
        lead_time.plot_lead_times(leads.assign(LEAD=np.nan))


def test_who_is_not_assessable_is_counted_apart_from_those_with_neither(leads):
    unknown = leads.iloc[[-1]].assign(USUBJID="F", CATEGORY="NOT ASSESSABLE")
    both = pd.concat([leads, unknown, unknown.assign(USUBJID="G")])
    caption = lead_time.caption_lead_times(both)
    assert "1 patient with neither rise nor progression not drawn" in caption
    assert "2 patients not assessable" in caption
    assert "n = 4" in lead_time.plot_lead_times(both).axes[0].get_ylabel()


def test_patients_without_a_lead_share_one_line(leads, check_readable):
    zeros = leads[leads["LEAD"].eq(0)]
    crowd = pd.concat([leads, *(zeros.assign(USUBJID=f"Z{n}") for n in range(25))])
    figure = lead_time.plot_lead_times(crowd)
    assert len(figure.axes[0].patches) == 4 and words(figure) == ["26 patients"]
    assert "n = 29" in figure.axes[0].get_ylabel()
    assert "The 26 patients with a lead of 0 stand as one dot" in lead_time.caption_lead_times(crowd)
    check_readable(figure)
    alone = lead_time.plot_lead_times(zeros)
    assert words(alone) == ["1 patient"]
    check_readable(alone)


def test_the_mosaic_prints_the_counts_it_is_given(four, check_readable):
    figure = pet_ctdna.plot_pet_by_ctdna(four)
    assert {"10\n7 PFS events", "11\n9 PFS events", "18\n17 PFS events"} <= set(words(figure))
    check_readable(figure)
    caption = pet_ctdna.caption_pet_by_ctdna(four, visit="D14")
    assert "18 of 29 non-responders and 0 of 10 responders" in caption
    with pytest.raises(ValueError, match="no patient has both a response and a ctDNA result"):
        pet_ctdna.plot_pet_by_ctdna(four.assign(N=0))


def test_the_streams_keep_every_patient_and_a_failed_assay_is_no_result(check_readable):
    tracks = pd.DataFrame(
        {
            "MRESP": ["RESPONDER", "NON-RESPONDER", "NON-RESPONDER", None],
            "CTDNA_D0": ["DETECTED", "DETECTED", "NOT ASSESSABLE", None],
            "CTDNA_D14": ["NOT DETECTED", "DETECTED", "DETECTED", None],
        }
    )
    figure = pet_ctdna.plot_alluvial(tracks)
    assert words(figure).count("1") == 2 and words(figure).count("2") == 2  # strata: 2 + 1 and 2 + 1
    check_readable(figure)
    caption = pet_ctdna.caption_alluvial(tracks)
    assert "(n = 3)" in caption and "Baseline: detected in 2 of 2" in caption and "1 without any" in caption
    assert "non-responder, no result then detected 1" in pet_ctdna.alt_alluvial(tracks)
    with pytest.raises(ValueError, match="fewer than two visits"):
        pet_ctdna.plot_alluvial(tracks.drop(columns="CTDNA_D14"))


def test_streams_between_two_visits_are_as_high_as_their_patients():
    tracks = pd.DataFrame({"MRESP": "RESPONDER", "CTDNA_D0": ["DETECTED"] * 3 + ["NOT DETECTED"]})
    tracks["CTDNA_D14"] = ["DETECTED", "NOT DETECTED", "NOT DETECTED", "NOT DETECTED"]
    axes = pet_ctdna.plot_alluvial(tracks).axes[0]
    ribbons = [patch for patch in axes.patches if patch.get_path().vertices.shape == (9, 2)]
    starts = [patch.get_path().vertices for patch in ribbons]
    heights = sorted(path[7, 1] - path[0, 1] for path in starts)
    assert np.array(heights) / heights[0] == pytest.approx([1, 1, 2])


def test_burden_stands_where_it_was_measured_and_the_undetected_are_open(check_readable):
    table = pd.DataFrame(
        {"METRIC": "TTLG41", "VISIT": ["D0", "D0", "D14/D0"], "PET": [100.0, 900.0, 0.5]}
    ).assign(PLASMA=[0.001, 0.05, 0.3], RESULT=["NOT DETECTED", "DETECTED", "DETECTED"], MRESP="RESPONDER")
    figure = burden.plot_burden(table, metric="TTLG41", unit="g")
    points = [np.asarray(dots.get_offsets()).tolist() for dots in figure.axes[0].collections]
    assert points == [[[900.0, 0.05]], [[100.0, 0.001]]]
    check_readable(figure)
    row = {"STATISTIC": "rho", "ESTIMATE": 0.6, "LOWER": 0.4, "UPPER": 0.8, "P": 0.002, "N": 2}
    caption = burden.caption_burden(table, metric="TTLG41", row=row)
    assert "(n = 2)" in caption and "ρ = 0.60 (0.40–0.80) (95 % interval; p = 0.002; n = 2)" in caption
    change = burden.plot_burden(table, metric="TTLG41", visit="D14/D0")
    check_readable(change)
    assert "day 14 over baseline" in change.axes[0].get_xlabel()
    with pytest.raises(ValueError, match="no patient has burden"):
        burden.plot_burden(table.assign(PET=np.nan), metric="TTLG41")


@pytest.fixture
def lesions():
    one = {"ORGAN": "LIVER", "METRIC": "SUVMAX"}
    rows = [
        dict(USUBJID="A", LESIONID="L1", NEWFL="N", BASE=8.0, EARLY=7.0, EARLYRES="Y", PROG=12.0, DROVE="Y"),
        dict(USUBJID="A", LESIONID="L2", NEWFL="Y", BASE=np.nan, EARLY=np.nan, EARLYRES=None, PROG=5.0, DROVE="Y"),
        dict(USUBJID="B", LESIONID="L1", NEWFL="N", BASE=9.0, EARLY=3.0, EARLYRES="N", PROG=3.0, DROVE="N"),
    ]  # fmt: skip
    return pd.DataFrame([one | row for row in rows])


def test_a_panel_a_patient_shows_each_lesion_from_baseline_to_progression(lesions, check_readable):
    figure = lesion_progression.plot_lesion_progression(lesions)
    first, second = figure.axes
    assert [line.get_ydata().tolist() for line in second.lines[:1]] == [[9.0, 3.0, 3.0]]
    assert {line.get_color() for line in first.lines if line.get_ls() == "-"} == {
        plan.defaults().figures.palette["PD"]
    }
    new = [line.get_ydata().tolist() for line in first.lines if line.get_xdata().tolist() == [2]]
    assert new == [[5.0]] * 2
    check_readable(figure)
    caption = lesion_progression.caption_lesion_progression(lesions)
    assert "2 drove progression, 1 of them new. " in caption
    assert "Of 1 known lesions that drove it and were seen early, 1 were resistant" in caption


def test_early_resistance_has_a_mark_of_its_own_in_figure_legend_caption_and_alt(lesions):
    late = lesions.iloc[[1]].assign(LESIONID="L9", NEWFL="N")
    lesions = pd.concat([lesions, late], ignore_index=True)
    figure = lesion_progression.plot_lesion_progression(lesions)
    marks = [
        [
            (line.get_marker(), line.get_ydata().tolist())
            for line in axes.lines
            if list(line.get_xdata()) == [1]
        ]
        for axes in figure.axes
    ]
    assert marks == [[("^", [7.0])], [("o", [3.0])]]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"Resistant at the early scan", "Responded at the early scan"} <= set(said)
    caption = lesion_progression.caption_lesion_progression(lesions)
    assert "3 drove progression, 1 of them new, 1 first seen after the early scan." in caption
    assert "filled triangle, resistant; open circle, responded" in caption
    alt = lesion_progression.alt_lesion_progression(lesions)
    assert "resistant at the early scan (filled triangle) 1 of 1" in alt


def test_many_patients_are_drawn_by_class_and_two_metrics_are_refused(lesions):
    crowd = pd.concat([lesions.assign(USUBJID=lesions["USUBJID"] + str(n)) for n in range(20)])
    figure = lesion_progression.plot_lesion_progression(crowd)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    early = "at the early scan (n = 20)"
    assert titles == [f"Resistant {early}", f"Responded {early}", "New at progression (n = 20)"]
    with pytest.raises(ValueError, match="one metric a figure"):
        lesion_progression.plot_lesion_progression(pd.concat([lesions, lesions.assign(METRIC="SULPEAK")]))
