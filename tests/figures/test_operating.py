"""Figures of operating characteristics: readable, and what is drawn is what the numbers say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.figures import operating, operating_bias, operating_power

sys.path.insert(0, str(Path(__file__).parents[1]))
from operating_frame import CELLS, characteristics, planning

ALPHA = 0.05
NAMES = ["TRUTH", "SIZE", "ENDPOINT", "METHOD", "HR", "EVENTS", "SHARE", "POWER"]


@pytest.fixture(scope="module")
def table():
    return characteristics()


def expected(power=0.4):
    rows = [
        (truth, size, "PFS", "chosen", 1.0 if truth == "no effect" else 1.3 + 0.1 * k, 38.0, 0.66, power)
        for k, (truth, size) in enumerate(CELLS)
    ]
    return pd.DataFrame(rows, columns=NAMES)


def curves():
    ratios = np.geomspace(1, 2.5, 10)
    parts = [pd.DataFrame({"SIZE": size, "HR": ratios}) for size in dict.fromkeys(size for _, size in CELLS)]
    return pd.concat(parts).assign(ENDPOINT="PFS", EVENTS=38.0, SHARE=0.66, POWER=0.3)


def marks(axes):
    """Return the places of all error-bar marks of a panel, rounded."""
    drawn = [line for line in axes.lines if line.get_marker() not in ("None", None, "|", "")]
    return {(round(float(x), 6)) for line in drawn for x in np.atleast_1d(line.get_xdata())}


def texts(axes):
    return [text.get_text().replace("\n", " ") for text in axes.texts]


def test_the_hand_made_frames_hold_their_contracts(table):
    contracts.CONTRACTS["operating_characteristics"].validate(table)
    contracts.CONTRACTS["planning"].validate(planning())


def test_every_text_is_readable(table, check_readable):
    check_readable(operating.plot_level(table, alpha=ALPHA))
    check_readable(operating.plot_better_day(table, endpoint="PFS"))
    check_readable(operating_power.plot_power(table, expected(), curves(), endpoint="PFS"))
    check_readable(operating_bias.plot_bias(table, size="as planned"))
    check_readable(operating_power.plot_planning(planning()))


def test_a_grid_of_two_cells_is_readable(check_readable):
    small = characteristics(CELLS[:3:2])
    check_readable(operating.plot_level(small, alpha=ALPHA))
    few = expected()[expected()["TRUTH"].isin(["no effect", "as planted"])].iloc[:2]
    check_readable(operating_power.plot_power(small, few, curves(), endpoint="PFS"))


def test_tests_that_promise_the_level_stand_first_and_are_no_codes(table):
    axes = operating.plot_level(table, alpha=ALPHA).axes[0]
    said = texts(axes)
    promised, others = said.index("PFS: theory promises the level"), said.index("PFS: no such promise")
    assert promised == 0 < said.index("chosen day, corrected (reported)") < others
    assert others < said.index("best of all cuts, uncorrected")
    assert not [text for text in said if "_" in text]


def test_rates_are_drawn_where_they_are_and_the_axis_reaches_the_largest(table):
    axes = operating.plot_level(table, alpha=ALPHA).axes[0]
    assert {0.049, 0.064, 0.43} <= marks(axes)
    assert axes.get_xlim()[0] == 0 and 0.43 < axes.get_xlim()[1] < 0.6
    assert ALPHA in {line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1}


def test_no_truth_without_effect_is_said(table):
    planted = table[table["TRUTH"].ne("no effect")]
    with pytest.raises(ValueError, match="no truth without effect"):
        operating.plot_level(planted, alpha=ALPHA)


def test_a_truth_without_effect_is_known_by_its_target_not_its_name(table):
    renamed = table.assign(TRUTH=table["TRUTH"].replace({"no effect": "nichts", "as planted": "null"}))
    axes = operating.plot_level(renamed, alpha=ALPHA).axes[0]
    assert {0.049, 0.064, 0.43} <= marks(axes) and 0.574 not in marks(axes)


def test_truths_stand_by_rising_hazard_ratio_with_the_formulas_tick(table):
    figure = operating_power.plot_power(table, expected(0.37), curves(), endpoint="PFS")
    first, second = figure.axes
    rows = [text.split(" (")[0] for text in texts(first)]
    planned = rows[1 : rows.index("64 patients")]
    assert planned == [
        "weaker effect",
        "as planted",
        "stronger effect",
        "days equally good",
        "later day better",
    ]
    ticks = [line for line in first.lines if line.get_marker() == "|"]
    assert len(ticks) == 8 and {line.get_xdata()[0] for line in ticks} == {0.37}
    # as planted: level .047 + .7 x .75 = .572 for the corrected test
    assert 0.572 in marks(first)
    assert second.get_xlabel() == "True hazard ratio of the chosen day"
    with pytest.raises(ValueError, match="no truth with an effect"):
        operating_power.plot_power(table, expected().query("TRUTH == 'no effect'"), curves(), endpoint="PFS")


def test_the_better_day_has_a_panel_for_the_decision_date_and_one_for_all_follow_up(table):
    first, second = operating.plot_better_day(table, endpoint="PFS").axes
    assert texts(first)[:2] == ["margin", "larger C"] and texts(second) == []
    # later day better: margin takes it in .5 of pilots, in .55 with all follow-up
    assert 0.5 in marks(first) and 0.55 in marks(second) and 0.55 not in marks(first)
    with pytest.raises(ValueError, match="no choice of a day"):
        operating.plot_better_day(table[table["QUANTITY"].ne("better_day")], endpoint="PFS")


def test_bias_and_coverage_are_drawn_of_one_size(table):
    upper, lower = operating_bias.plot_bias(table, size="as planned").axes
    assert {-0.05, 0.35, 0.04} <= marks(upper) and {0.945, 0.952} <= marks(lower)
    without = table[table["QUANTITY"].ne("coverage")]
    assert len(operating_bias.plot_bias(without, size="as planned").axes) == 1
    with pytest.raises(ValueError, match=r"size 'huge'; sizes with one: \['as planned'"):
        operating_bias.plot_bias(table, size="huge")


def test_planned_sizes_are_drawn_by_method():
    first, second = operating_power.plot_planning(planning()).axes
    assert first.lines[0].get_ydata().tolist() == [249, 87, 51, 36]
    assert first.lines[2].get_ydata().tolist() == [258, 96, 60, 45]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["1.5", "2", "2.5", "3"]
    assert second.get_title(loc="left") == "B  Power found at Schoenfeld's size"
    with pytest.raises(ValueError, match="no size was planned"):
        operating_power.plot_planning(planning().iloc[:0])


def test_captions_state_the_numbers(table):
    text = operating.caption_level(table, alpha=ALPHA)
    assert "2000 trials a size" in text and "best of all cuts, uncorrected (PFS, as planned), 43.0 %" in text
    text = operating.caption_better_day(table, endpoint="PFS")
    assert "17 events on average" in text and "as planted 65 %" in text and "decides 20 % of" in text
    text = operating_bias.caption_bias(table, size="as planned")
    assert "(PFS, no effect), 0.35" in text and "Coverage of 95 % intervals: 94.5 % to 95.2 %" in text
    text = operating_power.caption_planning(planning())
    assert "67 % non-responders" in text and "73 to 78 % are found" in text
    # corrected power as planned: .047 + .7 x (.35, .75, 1.3, .7, .5), at most .95, against .4 everywhere
    text = operating_power.caption_power(table, expected(), endpoint="PFS")
    assert "−11 to 55 percentage points" in text and "(38 to 38 events)" in text


def test_alt_texts_tell_every_row(table):
    text = operating.alt_level(table, alpha=ALPHA)
    assert "OS, chosen day, Cox, Firth: as planned 6.2 %" in text
    assert "as planted, 64 patients, hazard ratio" in operating_power.alt_power(
        table, expected(), endpoint="PFS"
    )
    assert "margin: weaker effect 80 %" in operating.alt_better_day(table, endpoint="PFS")
    assert "OS, chosen day, Cox, Firth: no effect 95.2 %" in operating_bias.alt_bias(table, size="as planned")
    assert "hazard ratio 2: Schoenfeld's formula 87" in operating_power.alt_planning(planning())
