"""Figures of operating characteristics: readable, and what is drawn is what the numbers say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.figures import operating, operating_bias, operating_power
from analysis.figures import operating_parts as parts

sys.path.insert(0, str(Path(__file__).parents[1]))
from operating_frame import CELLS, characteristics, planning

ALPHA = 0.05
NAMES = ["TRUTH", "SIZE", "ENDPOINT", "METHOD", "HR", "EVENTS", "SHARE", "POWER"]


@pytest.fixture(scope="module")
def table():
    return characteristics()


def expected(power=0.4):
    rows = []
    for k, (truth, size) in enumerate(CELLS):
        for method, less in (("fixed_earlier", 0.0), ("fixed_later", 0.1)):
            ratio = 1.0 if truth == "no effect" else 1.3 + 0.1 * k - less
            rows.append((truth, size, "PFS", method, ratio, 38.0, 0.66, power - less))
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
    few = expected().query("SIZE == 'as planned' and TRUTH in ['no effect', 'as planted']")
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
    # the formula stands beside the two fixed days, at their own marks' heights, and beside no other test
    ticks = [line for line in first.lines if line.get_marker() == "|" and len(line.get_xdata())]
    assert len(ticks) == 8
    assert all(np.allclose(line.get_xdata(), [0.37, 0.27]) for line in ticks)
    days = {height for line in ticks for height in np.round(line.get_ydata(), 6)}
    drawn = [line for line in first.lines if line.get_marker() in parts.MARKS[:4]]
    by_mark = {mark: {round(float(line.get_ydata()[0]), 6) for line in drawn if line.get_marker() == mark}
               for mark in parts.MARKS[:4]}  # fmt: skip
    assert by_mark["o"] | by_mark["s"] == days and not days & (by_mark["D"] | by_mark["^"])
    # as planted: level .047 + .7 x .75 = .572 for the corrected test, .049 + .525 with the earlier day fixed
    assert 0.572 in marks(first)
    assert second.get_title(loc="left") == "B  Earlier day, fixed in advance"
    heights = {round(float(y), 6) for line in second.lines for y in np.atleast_1d(line.get_ydata())}
    assert 0.574 in heights and 0.572 not in heights
    assert second.get_legend().get_title().get_text() == "line: formula; mark: simulated"
    with pytest.raises(ValueError, match="no truth with an effect"):
        operating_power.plot_power(table, expected().query("TRUTH == 'no effect'"), curves(), endpoint="PFS")


def test_the_better_day_has_a_panel_for_the_decision_date_and_one_for_all_follow_up(table):
    first, second, *level = operating.plot_better_day(table, endpoint="PFS").axes
    assert texts(first)[:2] == ["margin", "larger C"] and texts(second) == []
    # later day better: margin takes it in .5 of pilots, in .55 with all follow-up
    assert 0.5 in marks(first) and 0.55 in marks(second) and 0.55 not in marks(first)
    # no day is better: larger C takes the later one in .5 + .03, with all follow-up .05 more
    assert len(level) == 2 and 0.53 in marks(level[0]) and 0.58 in marks(level[1])
    assert "later day taken" in level[0].get_xlabel() and "better day" in first.get_xlabel()
    with pytest.raises(ValueError, match="no choice of a day"):
        operating.plot_better_day(table[table["QUANTITY"].ne("better_day")], endpoint="PFS")
    unequal = table[~table["TRUTH"].isin(["no effect", "days equally good"])]
    assert len(operating.plot_better_day(unequal, endpoint="PFS").axes) == 2


def test_bias_and_coverage_are_drawn_of_one_size(table):
    upper, naive, lower = operating_bias.plot_bias(table, size="as planned").axes
    assert {-0.05, 0.35} <= marks(naive) and {0.945, 0.952} <= marks(lower)
    # naive analyses on an axis of their own, beside the later day done right (0.0), the best cut last
    assert 0.04 in marks(upper) and 0.35 not in marks(upper)
    said = texts(naive)
    assert said[1] == "later day, fixed in advance" and said[-1] == "best of all cuts, uncorrected"
    without = table[table["QUANTITY"].ne("coverage")]
    assert len(operating_bias.plot_bias(without, size="as planned").axes) == 2
    proper = without[~without["METHOD"].isin(["optimal_cut", "start_of_treatment", "no_landmark",
                                              "missing_as_nonresponse"])]  # fmt: skip
    assert len(operating_bias.plot_bias(proper, size="as planned").axes) == 1
    with pytest.raises(ValueError, match=r"size 'huge'; sizes with one: \['as planned'"):
        operating_bias.plot_bias(table, size="huge")


def test_the_pooled_analysis_and_the_fit_it_is_are_drawn_once(table):
    ml = table[table["QUANTITY"].eq("bias") & table["METHOD"].eq("chosen")].assign(METHOD="cox_ml")
    both = pd.concat([table, ml])
    assert "drawn once" in operating_bias.caption_bias(both, size="as planned")
    assert "drawn once" not in operating_bias.caption_bias(table, size="as planned")
    upper = operating_bias.plot_bias(both, size="as planned").axes[0]
    said = texts(upper)
    assert "chosen day, Cox, maximum likelihood" not in said
    assert said.count("chosen day, Cox, Firth") == 2  # PFS and OS


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
    assert "17 events on average" in text and "as planted 65 %" in text
    # as planned and elsewhere .2; no day is better where both have one hazard ratio: larger C .5 + .03
    assert "decides 20 % (as planned), 20 % (64 patients)" in text
    # later day better: the plan's rule takes it in .5 + .03 x 5, and misses it in .35
    assert "(later day better) that rule misses it in 35 % of pilots" in text
    assert "days equally good: margin 50 %, larger C 53 %" in text
    text = operating_bias.caption_bias(table, size="as planned")
    assert "(PFS, no effect), 0.35" in text and "Coverage of 95 % intervals: 94.5 % to 95.2 %" in text
    text = operating_power.caption_planning(planning())
    # at 1.5 and 3 the simulation finds .784 and .740 of the .8 asked for
    assert "67 % non-responders" in text and "Patients analysed from the landmark" in text
    assert "78.4 % at a hazard ratio of 1.5, 1.6 points short" in text
    assert "74.0 % at a hazard ratio of 3, 6.0 points short" in text


def test_the_caption_of_power_counts_the_powers_near_the_formula(table):
    # simulated: .049 and .052 + .7 (HR - 1) (events / 38); the formula says the same in all cells but one
    same = expected().query("TRUTH != 'no effect'")
    found = table[table["QUANTITY"].eq("rejection")].set_index(["TRUTH", "SIZE", "ENDPOINT", "METHOD"])
    power = [found.loc[(*row[:4],), "ESTIMATE"] for row in same.itertuples(index=False)]
    same = same.assign(POWER=power)
    odd = same["TRUTH"].eq("stronger effect") & same["METHOD"].eq("fixed_earlier")
    same.loc[odd, "POWER"] -= 0.10
    text = operating_power.caption_power(table, same, endpoint="PFS")
    # .049 + .91 = .95 at most; SE sqrt(.95 x .05 / 2000) = .00487; .10 is 20.5 of them
    assert "15 of 16 simulated powers lie within two standard errors" in text
    assert "stronger effect, as planned, earlier day, fixed in advance: 95.0 % simulated, 85.0 %" in text
    assert "(20.5 standard errors)" in text
    # chosen less corrected: .064 - .047 = .017 everywhere; .000 where both end at .95
    assert "costs 0 to 2 percentage points" in text


def test_alt_texts_tell_every_row(table):
    text = operating.alt_level(table, alpha=ALPHA)
    assert "OS, chosen day, Cox, Firth: as planned 6.2 %" in text
    said = operating_power.alt_power(table, expected(), endpoint="PFS")
    assert "as planted, as planned: earlier day, fixed in advance 57 % (formula 40 %)" in said
    assert "chosen day, corrected (reported) 57 %" in said and said.count("(formula") == 16
    assert "margin: weaker effect 80 %" in operating.alt_better_day(table, endpoint="PFS")
    assert "OS, chosen day, Cox, Firth: no effect 95.2 %" in operating_bias.alt_bias(table, size="as planned")
    assert "hazard ratio 2: Schoenfeld's formula 87" in operating_power.alt_planning(planning())
