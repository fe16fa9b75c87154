"""The sentences and the table of operating characteristics say what the numbers say, with their errors."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import tables
from analysis.tables import operating_words

sys.path.insert(0, str(Path(__file__).parents[1]))
from operating_frame import characteristics, expected, needed, planning


@pytest.fixture(scope="module")
def table():
    return characteristics()


@pytest.fixture(scope="module")
def said(table):
    return split(table, needed=needed(), expected=expected())


def split(table, **given):
    """Return the paragraphs by their headings."""
    parts = tables.say_operating(table, endpoint="PFS", alpha=0.05, **given).split("\n\n")
    return {part.split("**")[1].rstrip(".:"): part for part in parts}


def changed(table, value, quantity, **columns):
    """Return the table with another estimate of a quantity."""
    found = table["QUANTITY"].eq(quantity)
    for column, wanted in columns.items():
        found &= table[column].eq(wanted)
    assert found.any()
    return table.assign(ESTIMATE=table["ESTIMATE"].mask(found, value))


def test_conclusions_come_first_then_a_paragraph_for_each_question(said):
    assert [*said] == [
        *("In short", "Level", "What the choice adds", "Power", "Formula", "Intervals", "Bias"),
        *("What misleads", "The better day", "Few events", "Monte Carlo standard errors"),
    ]


def test_five_conclusions(said):
    text = said["In short"]
    # .047: error sqrt(.047 x .953 / 2000) = .0047
    assert "The reported test holds its level of 5 %: without any effect it rejects in 4.7 % (SE 0.5)" in text
    assert "plan's rule adds 0.1 (SE 0.2) percentage points" in text
    assert "(the rule that adds most, agreement first: 1.4 (SE 0.3))" not in text and "1.4 (SE 0.2)" in text
    assert "under this rule it costs more than it prevents" in text
    # .047 + .7 x .75 = .572, fixed in advance .049 + .525 = .574; error .0111
    assert "With the effect as planted, a true hazard ratio of 1.75 at day 14, the reported test" in text
    assert "57.2 % (SE 1.1) of trials of the size as planned (44 analysed, 38 events)" in text
    assert "earlier day fixed in advance in 57.4 % (SE 1.1)" in text
    # Later day better: plan's rule .5 + .15 = .65; none misses it less than it does.
    assert "(later day better) this pilot misses it in 35 % of trials by the plan's rule." in text
    assert "150 patients enrolled (141 analysed) if a pilot chooses" in text
    assert "100 patients enrolled (94 analysed) with the earlier day fixed in advance." in text


def test_a_level_that_is_lost_is_said(table):
    # 2 errors of sqrt(.05 x .95 / 2000) = .00487 above .05 is .0597.
    for rate, word in ((0.0596, "holds"), (0.0599, "does not hold")):
        lost = changed(table, rate, "rejection", METHOD="two_stage", TRUTH="no effect", SIZE="64 patients")
        assert f"The reported test {word} its level of 5 %" in split(lost)["In short"]


def test_a_choice_that_is_worth_correcting_is_said(table):
    real = changed(table, 0.03, "inflation", METHOD="PLAN")
    assert "it prevents a real excess" in split(real)["In short"]


def test_the_rule_that_misses_least_is_named_with_what_it_does_elsewhere(table):
    better = dict(METHOD="margin", TRUTH="later day better")
    text = split(changed(changed(table, 0.9, "better_day", **better), 0.9, "later_day", **better))["In short"]
    # Margin takes the later day in .2 where the earlier is better, the plan's rule in .35.
    assert "that misses it least, margin, in 10 %, but where the earlier day is better" in text
    assert "takes the later one in 20 % (plan's rule 35 %)" in text


def test_the_level_stands_beside_days_fixed_in_advance(said):
    text = said["Level"]
    assert (
        "As planned (44 analysed, 38 events): corrected 4.7 %, uncorrected 6.4 %, earlier day fixed" in text
    )
    assert "in advance 4.9 %, later day fixed in advance 5.2 %. 64 patients" in text
    assert "2000 trials a size" in text and "Short follow-up (43 analysed, 28 events)" in text


def test_what_the_choice_adds_by_rule_and_direction_and_what_its_correction_costs(said):
    text = said["What the choice adds"]
    assert "margin 0.2 (SE 0.2), agreement first 1.4 (SE 0.2), plan's rule with its fallback 0.1" in text
    assert "0.6 (SE 0.2) are with a hazard ratio above 1 and −0.5 (SE 0.2) with one below" in text
    # .064 - .047 in each truth; with the strongest both are at .95
    assert "points of power: 1.7" in text or "points of power: 0.0 (stronger effect) to 1.7" in text


def test_power_is_of_the_reported_test_with_true_hazard_ratios(said):
    ratios = "as planted (true hazard ratio 1.75 at day 14, 1.60 at day 28) corrected 57.2 %, earlier day"
    assert ratios in said["Power"] and "no effect" not in said["Power"]


def test_the_formula_is_compared_like_for_like(said):
    # (.482 - .48) / .011 = .2 and (.43 - .40) / .01 = 3.0; not the chosen day, not the null
    assert (
        "1 of 2 simulated powers lie within 2 SE of it; the farthest, 3.0 SE, is as planted"
        in said["Formula"]
    )
    assert "later day fixed in advance: 43.0 % simulated, 40.0 % by the formula" in said["Formula"]


def test_coverage_is_set_against_its_level(table, said):
    # .95 - .945 = .5 points
    assert "hold the truth in 94.5 % of trials" in said["Intervals"]
    assert "costs them at most 0.5 percentage points" in said["Intervals"]


def test_selection_bias_spans_the_truths_and_small_samples_have_a_part_of_it(table, said):
    assert "as planted 0.040, of which the earlier day fixed in advance has 0.010 as well" in said["Bias"]
    moved = split(changed(table, 0.09, "bias", METHOD="chosen", TRUTH="as planted"))
    assert "uncorrected 0.040 (no effect) to 0.090 (as planted)" in moved["Bias"]


def test_what_misleads_stands_beside_the_later_day(said):
    text = said["What misleads"]
    assert "Later day, fixed in advance: rejects in 5.2 % without effect, bias 0.000." in text
    assert "no scan = non-response: rejects in 9.0 % without effect, bias 0.100" in text
    assert "typically 2.10 or its inverse without effect, that of a day and cut fixed in advance 1.30" in text
    # No landmark -.05 from 0, missing as non-response .1, from treatment start .2.
    assert "moves the bias by at most 0.050" in text and "by up to 0.10 (from treatment start 0.20)" in text


def test_nothing_excuses_time_zero_where_it_costs_more(table):
    worse = changed(table, 0.3, "bias", METHOD="no_landmark")
    assert "hardly anybody" not in split(worse)["What misleads"]


def test_the_better_day_names_the_rule_most_often_right_and_days_equally_good(said):
    text = said["The better day"]
    assert "As planted: 65.0 %, with all follow-up 60.0 %" in text
    assert "most often right on the date: margin, 80.0 %" in text
    # Equal days: .5 + .03 k
    assert "Days equally good, where neither is right: the plan's rule takes the later day in 65.0 %" in text


def test_the_fallback_is_said_by_size(said):
    text = said["The better day"]
    assert "decides 20.0 % of pilots as planned, most at 120 patients: 40.0 %" in text
    assert "17 events are known at the decision instead of 17, as more patients" in text
    assert "Where it decides, the corrected test is the uncorrected one." in text


def test_estimators_are_compared_where_events_are_fewest(said):
    text = said["Few events"]
    assert text.startswith("**Few events.** OS, no effect, short follow-up: 10 events on average.")
    assert "maximum likelihood: no finite estimate in 3.0 %" in text
    assert "Firth: no finite estimate in 0.0 %" in text and "ln hazard ratios 0.05" in text


def test_the_largest_monte_carlo_errors_are_given_once(table, said):
    text = said["Monte Carlo standard errors"]
    # sqrt(.5 x .5 / 2000) = .0112 is the largest of a rate; .008 x 1.8 = .0144
    assert "rates at most 1.1 percentage points, biases at most 0.014" in text


def test_a_question_the_table_does_not_answer_has_no_paragraph(table):
    only = table[table["QUANTITY"].isin(["rejection"])]
    text = tables.say_operating(only, endpoint="PFS", alpha=0.05)
    assert "**Level.**" in text and "better day" not in text and "Few events" not in text
    assert tables.say_operating(table.iloc[:0], endpoint="PFS", alpha=0.05) == ""


def test_no_code_stands_in_a_sentence(said):
    text = " ".join(said.values())
    assert not [code for code in (*operating_words.ANALYSES, "_mature") if "_" in code and code in text]


def test_planned_sizes_are_stated_with_what_the_formulas_size_finds():
    text = tables.say_planning(planning(), hazard_ratio=2.0)
    assert "formula asks for 74 events and 87 patients analysed from the landmark;" in text
    assert "simulation for 80 events and 94 patients" in text
    assert "and finds 76.8 % (SE 0.7) at the formula's size" in text
    assert "where 80 % is promised, is 78.4 % (SE 0.7) at a hazard ratio of 1.5 and 74.0 % (SE 0.7)" in text
    assert "more must be enrolled" in text and "lost" not in text
    with pytest.raises(ValueError, match=r"ratio of 1.7; those planned: \[1.5, 2.0, 2.5, 3.0\]"):
        tables.say_planning(planning(), hazard_ratio=1.7)


def test_enrolment_and_the_size_of_a_trial_whose_pilot_chooses_are_stated():
    text = tables.say_planning(planning(), hazard_ratio=2.0, needed=needed(), lost_mean_months=90)
    # 94 of 100 and 141 of 150 enrolled are analysed: 87 / .94 = 92.6
    assert "87 patients analysed from the landmark (93 enrolled)" in text and "enrolled 6 % are not" in text
    assert "loss to follow-up after 90 months on average" in text
    assert "150 patients enrolled (141 analysed, SE 4) if a pilot chooses the day" in text
    assert "extended beyond the 110 analysed of the largest" in text
    near = needed().assign(LARGEST=150.0)
    assert "extended" not in tables.say_planning(planning(), hazard_ratio=2.0, needed=near)


def test_one_effect_alone_has_no_others():
    alone = planning().query("HR == 2")
    assert "is promised" not in tables.say_planning(alone, hazard_ratio=2.0)


def test_planned_sizes_stand_side_by_side():
    groups = pd.DataFrame(
        {"HR": [2.0], "MEDIAN_RESPONDER": [6.47], "MEDIAN_NONRESPONDER": [3.23], "EVENT_SHARE": [0.856]}
    )
    (line,) = tables.tabulate_planning(planning(), groups).to_dict("records")
    assert [*line.values()] == [
        "2", "6.5 / 3.2", "86", "74 / 87", "80 / 94", "80 / 96", "76.8 (0.7)", "76.2 (0.7)",
    ]  # fmt: skip
    alone = planning().query("METHOD == 'schoenfeld'")
    assert [*tables.tabulate_planning(alone, groups).iloc[0]] == ["2", "6.5 / 3.2", "86", "74 / 87"]


def test_a_rule_is_named_only_where_it_beats_the_plans(table):
    plans = table["METHOD"].eq("PLAN") & table["QUANTITY"].eq("better_day")
    best = table.assign(ESTIMATE=table["ESTIMATE"].mask(plans, 0.99))
    assert "most often right" not in tables.say_operating(best, endpoint="PFS", alpha=0.05)


def test_the_table_writes_values_with_their_errors(table):
    shown = tables.tabulate_operating(table, ["truth", "patients", "nonresponse"], endpoint="PFS")
    first = shown.iloc[0]
    assert first["Analysis"] == "Day 14" and first["True HR"] == "1.00 (0.00)"
    assert first["Patients"] == "44.0 (0.1)" and first["Non-responders, %"] == "66.0 (0.2)"
    assert len(shown) == 2 * 12 and "Endpoint" not in shown


def test_a_value_the_table_does_not_hold_is_a_dash(table):
    asked = dict(endpoint="OS", methods=["cox_ml", "cox_firth"])
    shown = tables.tabulate_operating(table, ["not_finite", "bias"], **asked)
    own = shown[shown["Truth"].eq("as planted") & shown["Size"].eq("short follow-up")]
    assert own["Analysis"].tolist() == ["chosen day, Cox, maximum likelihood", "chosen day, Cox, Firth"]
    assert own["No finite estimate, %"].tolist() == ["3.0 (0.4)", "0.0 (0.0)"]
    assert own["Bias of ln HR"].tolist() == ["–", "0.054 (0.014)"]


def test_every_endpoint_is_named_where_none_is_asked_for(table):
    shown = tables.tabulate_operating(table, ["events"])
    assert set(shown["Endpoint"]) == {"PFS", "OS"}
    assert "known on the decision date" in set(shown["Analysis"])


def test_sizes_are_named_by_patients_and_events(table):
    assert operating_words.name_size(table, "64 patients", "OS") == "64 patients (58 analysed, 18 events)"
    bare = table[table["QUANTITY"].eq("rejection")]
    assert operating_words.name_size(bare, "64 patients", "OS") == "64 patients"


def test_the_order_of_the_rows_does_not_matter_to_the_order_of_analyses(table):
    codes = ["zz", "optimal_cut", "chosen", "fixed_earlier", "chosen"]
    assert operating_words.order_analyses(codes) == ["fixed_earlier", "chosen", "optimal_cut", "zz"]
    assert operating_words.null_truths(table.assign(TARGET=np.nan)) == []
