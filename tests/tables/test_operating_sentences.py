"""The sentences and the table of operating characteristics say what the numbers say, with their errors."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import tables
from analysis.tables import operating_words

sys.path.insert(0, str(Path(__file__).parents[1]))
from operating_frame import characteristics, planning


@pytest.fixture(scope="module")
def table():
    return characteristics()


@pytest.fixture(scope="module")
def said(table):
    parts = tables.say_operating(table, endpoint="PFS", alpha=0.05).split("\n\n")
    return {part.split("**")[1].rstrip("."): part for part in parts}


def test_there_is_a_paragraph_for_each_question(said):
    assert [*said] == ["Level", "Intervals", "What misleads", "Power", "The better day", "Few events"]


def test_the_level_is_compared_in_units_of_its_error(said):
    # .047: error sqrt(.047 x .953 / 2000) = .00473; (.05 - .047) / .00473 = .63. .064: .0140 above, error .0055.
    planned = said["Level"].split("As planned (44 analysed, 38 events): ")[1].split(". 64 patients")[0]
    assert planned == (
        "corrected 4.7 % (SE 0.5), 0.6 Monte Carlo errors below the level; "
        "uncorrected 6.4 % (SE 0.5), 1.4 percentage points (SE 0.5) above it"
    )
    assert (
        "(2000 trials a size)" in said["Level"]
        and "Short follow-up (43 analysed, 28 events)" in said["Level"]
    )


def test_a_rate_without_spread_has_no_error_to_be_measured_by(table):
    never = table["QUANTITY"].eq("rejection") & table["METHOD"].eq("two_stage")
    flat = table.assign(ESTIMATE=table["ESTIMATE"].mask(never, 0.0), SE=table["SE"].mask(never, 0.0))
    text = tables.say_operating(flat, endpoint="PFS", alpha=0.05)
    assert "corrected 0.0 % (SE 0.0), below the level" in text


def test_selection_bias_spans_the_truths(table, said):
    assert "chosen day, all patients, uncorrected 0.04 (SE 0.008)" in said["Intervals"]
    chosen = table["QUANTITY"].eq("bias") & table["METHOD"].eq("chosen") & table["TRUTH"].eq("as planted")
    moved = table.assign(ESTIMATE=table["ESTIMATE"].mask(chosen, 0.09))
    text = tables.say_operating(moved, endpoint="PFS", alpha=0.05)
    assert "uncorrected 0.04 (SE 0.008) (no effect) to 0.09 (SE 0.008) (as planted)" in text


def test_what_misleads_states_level_and_bias(said):
    text = said["What misleads"]
    assert "Best of all cuts, uncorrected: rejects in 43.0 % (SE 1.1) of trials without effect" in text
    assert "bias of the ln hazard ratio 0.35 (SE 0.008)" in text
    assert "no scan = non-response: rejects in 9.0 % (SE 0.6)" in text
    assert "Classified patients" not in text and "−0.05" in text


def test_power_is_of_the_corrected_test_with_true_hazard_ratios(said):
    # .047 + .7 x .75 = .572; error sqrt(.572 x .428 / 2000) = .0111
    assert (
        "as planted (true hazard ratio 1.75 at day 14, 1.60 at day 28) 57.2 % (SE 1.1), uncorrected"
        in said["Power"]
    )
    assert "57.2 % (SE 1.1), uncorrected 58.9 % (SE 1.1)" in said["Power"]
    assert "no effect" not in said["Power"]


def test_the_better_day_names_the_rule_most_often_right(said):
    text = said["The better day"]
    assert "decides 20.0 % (SE 0.9) of pilots" in text
    assert "As planted: 65.0 % (SE 1.1), with all follow-up 60.0 % (SE 1.1)" in text
    assert "most often right on the date: margin, 80.0 % (SE 0.9)" in text
    assert "Days equally good" not in text


def test_estimators_are_compared_where_events_are_fewest(said):
    text = said["Few events"]
    assert text.startswith("**Few events.** OS, no effect, short follow-up: 10 events on average.")
    assert "maximum likelihood: no finite estimate in 3.0 % (SE 0.4)" in text
    assert (
        "Firth: no finite estimate in 0.0 % (SE 0.0)" in text and "ln hazard ratios 0.05 (SE 0.014)" in text
    )


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
    assert "Schoenfeld's formula asks for 74 events and 87 patients" in text
    assert "simulation for 80 events and 94 patients, and finds 76.8 % (SE 0.7) at the formula's size" in text
    assert "on the grid of scans for 80 events and 96 patients" in text
    assert text.endswith("78.4 % (SE 0.7) at 1.5, 76.0 % (SE 0.7) at 2.5, 74.0 % (SE 0.7) at 3.")
    with pytest.raises(ValueError, match=r"ratio of 1.7; those planned: \[1.5, 2.0, 2.5, 3.0\]"):
        tables.say_planning(planning(), hazard_ratio=1.7)


def test_one_effect_alone_has_no_others():
    alone = planning().query("HR == 2")
    assert tables.say_planning(alone, hazard_ratio=2.0).endswith("at the formula's size.")


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
