"""Figures of the pilot: what is drawn is what the numbers say, for visits of any name."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures import pilot, pilot_decision
from analysis.survival.pilot.behaviour import COLUMNS

BAND = (-28.2, 39.3)
LIMITS = {"bias": -1.1, "lower": -19.6, "upper": 17.4}
LIMITS_LN = {"bias": -0.01, "lower": -0.3, "upper": 0.28}


def evidence(*rows):
    frame = pd.DataFrame(rows, columns=["SET", "ESTIMATE", "LOWER", "UPPER"])
    return frame.assign(ITEM="concordance", METHOD="paired_bootstrap", N=28.0, EVENTS=19.0)


def margins(chosen=("D28", "D14", "D14")):
    table = pd.DataFrame({"MARGIN": [0.0, 0.05, 0.1], "TIMEPOINT": list(chosen)})
    return table.assign(PLAN=["N", "Y", "N"])


def simulated(rules=("margin", "agreement_first", "PLAN")):
    rows = [
        (truth, *c, data, rule, share, 0.01, 0.3, 30.0, 18.0, 1000.0)
        for truth, c, share in (("equal", (0.62, 0.62), 0.2), ("better", (0.58, 0.64), 0.6))
        for data in ("MATURE", "DECISION")
        for rule in rules
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


ALL_SETS = [("DECISION", 0.007, -0.1, 0.11), ("FINAL", 0.005, -0.09, 0.1), ("EVERYONE", 0.01, -0.02, 0.04)]


def test_every_text_of_the_pilots_figures_is_readable(demo, check_readable):
    days = demo["two_days"]()
    drawn = dict(cut_percent=25, agreement=LIMITS, band_percent=BAND)
    check_readable(pilot.plot_agreement(days, **drawn))
    check_readable(pilot.plot_agreement(days, agreement_ln=LIMITS_LN, **drawn))
    check_readable(pilot_decision.plot_choice(evidence(*ALL_SETS), margins(), days=("D14", "D28")))
    check_readable(pilot_decision.plot_choice(evidence(ALL_SETS[0]), margins(), days=("MRI1", "MRI2")))
    check_readable(pilot_decision.plot_behaviour(simulated(), plan_rule="margin"))


def test_repeatability_of_two_follow_ups_is_a_band_of_their_ratio(demo):
    # Ratio 1.393 at mean uptake 100 % of baseline: 2 x 100 x .393 / 2.393 points; at half the uptake, half.
    figure = pilot.plot_agreement(demo["two_days"](), band_percent=(-28.2, 39.3), agreement_ln=LIMITS_LN)
    edges = figure.axes[1].collections[0].get_paths()[0].vertices
    upper = edges[edges[:, 1] > 0]
    upper = upper[np.argsort(upper[:, 0])]
    assert np.interp(0.0, *upper.T) == pytest.approx(2 * 100 * 0.393 / 2.393, rel=0.01)
    assert np.interp(-50.0, *upper.T) == pytest.approx(100 * 0.393 / 2.393, rel=0.01)
    band = figure.axes[2].patches[0]
    assert (band.get_y(), band.get_height()) == (
        pytest.approx(-np.log(1.393)),
        pytest.approx(2 * np.log(1.393)),
    )


def test_visits_of_any_name_stand_on_the_axes(demo):
    days = demo["two_days"]().rename(columns={"D14": "MRI1", "D28": "MRI2"})
    figure = pilot.plot_agreement(days, days=("MRI1", "MRI2"))
    assert figure.axes[0].get_xlabel() == "Change at MRI1"
    assert "MRI1 and MRI2" in pilot.caption_agreement(days, cut_percent=25)
    assert "at MRI2 against MRI1" in pilot.alt_agreement(days)
    courses = demo["courses"]()[0]
    courses["AVISIT"] = courses["AVISIT"].map({"D14": "MRI1", "D28": "MRI2"})
    visits = ["D0", "MRI1", "MRI2"]
    axes = pilot.plot_courses(courses, visits=visits).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["Baseline", "MRI1", "MRI2"]
    assert "MRI2: median" in pilot.alt_courses(courses, visits=visits)
    assert "n = 20" in pilot.caption_courses(courses, visits=visits)


def test_days_stand_on_a_scale_of_days(demo):
    axes = pilot.plot_courses(demo["courses"]()[0]).axes[0]
    assert axes.get_xticks().tolist() == [0, 14, 28]
    assert axes.get_xlabel() == "Nominal day of the scan"


def test_more_than_two_days_must_be_named(demo):
    days = demo["two_days"]().assign(D35=0.0)
    with pytest.raises(ValueError, match="two days are compared"):
        pilot.plot_agreement(days)
    assert len(pilot.plot_agreement(days, days=("D14", "D35")).axes) == 2


def test_the_caption_says_what_the_shading_is(demo):
    days = demo["two_days"]()
    caption = pilot.caption_agreement(days, cut_percent=25, agreement_ln=LIMITS_LN, band_percent=BAND)
    assert "0.72 to 1.39" in caption and "ln ratios" in caption
    assert "Shaded" not in pilot.caption_agreement(days, cut_percent=25)


def test_the_deciding_set_stands_first_and_its_interval_is_drawn():
    table = evidence(*reversed(ALL_SETS))
    axes = pilot_decision.plot_choice(table, margins(), days=("D14", "D28")).axes[0]
    names = [text.get_text().split("\n")[0] for text in axes.get_yticklabels()]
    assert names == ["On the decision date", "Pilot, all follow-up", "Everybody with both scans"]
    undated = pilot_decision.plot_choice(table, margins(), days=("D14", "D28"), dated=False).axes[0]
    assert undated.get_yticklabels()[0].get_text().startswith("Pilot, deciding\n")
    ends = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert [-0.1, 0.11] in ends


def test_margins_at_which_the_later_day_is_taken_are_filled():
    axes = pilot_decision.plot_choice(evidence(ALL_SETS[0]), margins(), days=("D14", "D28")).axes[0]
    marks = {
        line.get_xdata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "v"
    }
    assert [marks[m] == "white" for m in (0.0, 0.05, 0.1)] == [False, True, True]
    caption = pilot_decision.caption_choice(evidence(*ALL_SETS), margins(), days=("D14", "D28"))
    assert "of those shown, at 0)" in caption and "Only the first row decides" in caption
    never = pilot_decision.caption_choice(evidence(ALL_SETS[0]), margins(["D14"] * 3), days=("D14", "D28"))
    assert "at none of those shown" in never


def test_each_rule_and_truth_is_a_mark_at_its_probability():
    figure = pilot_decision.plot_behaviour(simulated(), plan_rule="margin")
    assert len(figure.axes) == 2
    places = [line.get_xdata() for axes in figure.axes for line in axes.lines]
    assert {0.2, 0.6} <= set(np.round(np.concatenate(places).astype(float), 6))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[-1] == "plan: margin\nwith its fallback"
    assert "1000 simulated pilots of 30 patients" in pilot_decision.caption_behaviour(simulated())


def test_nothing_to_choose_between_is_refused():
    nothing = evidence(("DECISION", np.nan, np.nan, np.nan))
    with pytest.raises(ValueError, match="no difference in C"):
        pilot_decision.plot_choice(nothing, margins(), days=("D14", "D28"))
    with pytest.raises(ValueError, match="no simulated pilot"):
        pilot_decision.plot_behaviour(simulated().iloc[:0], plan_rule="margin")
