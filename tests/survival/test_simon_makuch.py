from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_stanford_heart_transplants

from analysis.survival import NotEstimable, cox, kaplan_meier, log_rank
from analysis.survival.simon_makuch import counting_process, mantel_byar, simon_makuch

REFERENCE = pd.read_csv(
    Path(__file__).parents[1] / "reference" / "r_kaplan_meier.csv", dtype={"term": str}
).set_index(["dataset", "analysis"])

# The ten patients of benchmarks/survival/r_kaplan_meier.R: ties, events before the change, a late change.
TIME = [9, 12, 3, 20, 15, 8, 30, 4, 9, 6]
EVENT = [1, 1, 1, 0, 1, 1, 0, 0, 1, 1]
CHANGE = [4, 2, 6, 4, 3, 5, 3, 7, 4, 8]
STATE = ["R", "R", "R", "N", "N", "R", "R", "N", "N", "N"]


def heart():
    """Stanford heart transplants (the `heart` data of R's survival package) as one row a patient."""
    rows = load_stanford_heart_transplants()
    time = rows.groupby("id")["stop"].max()
    event = rows.groupby("id")["event"].last()
    change = rows[rows["transplant"].eq(1)].set_index("id")["start"].reindex(time.index)
    return time, event, change, np.where(change.notna(), "1", None)


CASES = {
    "heart": (heart(), "0", 30),
    "ten non_responder": ((TIME, EVENT, CHANGE, STATE), "N", 5),
    "ten unclassified": ((TIME, EVENT, CHANGE, STATE), None, 5),
}


def expected(dataset, analysis):
    return REFERENCE.loc[[(dataset, analysis)]].set_index(["term", "quantity"])


def test_the_copy_of_the_heart_data_is_the_one_r_has():
    time, event, change, _ = heart()
    rows = counting_process(time, event, change, np.where(change.notna(), "1", None), before="0")
    totals = [len(rows), rows["start"].sum(), rows["stop"].sum(), rows["event"].sum()]
    assert totals == [172, 2668.5, 34622.5, 75]
    assert rows["state"].value_counts().to_dict() == {"0": 103, "1": 69}


@pytest.mark.parametrize("name", CASES)
def test_curves_by_delayed_entry_are_those_of_r(name):
    arrays, before, origin = CASES[name]
    table = simon_makuch(*arrays, before=before, origin=origin)
    table["term"] = table["group"] + "@" + table["time"].map("{:g}".format)
    long = table.melt("term", ["n_risk", "survival", "se", "lower", "upper"], "quantity")
    found = long.set_index(["term", "quantity"])["value"]
    rows = expected(name, "simon_makuch")
    assert found.reindex(rows.index).to_numpy(dtype=float) == pytest.approx(
        rows["value"].to_numpy(), abs=1e-9
    )


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("name", CASES)
def test_the_cox_model_of_the_periods_is_that_of_r(name, ties):
    arrays, before, _ = CASES[name]
    rows = counting_process(*arrays, before=before)
    x = rows["state"].eq(max(rows["state"])).astype(float)
    found = cox(rows["stop"], rows["event"], x, ties=ties, entry=rows["start"]).iloc[0]
    reference = expected(name, f"cox_entry_{ties}")["value"].droplevel("term")
    assert found[reference.index].to_numpy(dtype=float) == pytest.approx(reference.to_numpy(), abs=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_the_mantel_byar_test_is_the_score_test_of_r(name):
    arrays, before, _ = CASES[name]
    rows = counting_process(*arrays, before=before)
    found = mantel_byar(rows["start"], rows["stop"], rows["event"], rows["state"]).iloc[0]
    assert found["chi2"] == pytest.approx(expected(name, "mantel_byar")["value"].iloc[0], abs=1e-8)
    assert (found["df"], found["events"]) == (1, rows["event"].sum())


def test_follow_up_is_cut_where_the_state_becomes_known():
    # Changes at 4; event before the change; event on the day of the change; never changes; state unknown.
    rows = counting_process(
        [9, 3, 4, 7, 8], [1, 1, 1, 0, 1], [4, 5, 4, np.nan, 6], ["R", "R", "R", None, None], before="N"
    )
    assert rows[["patient", "start", "stop", "event", "state", "last"]].to_numpy().tolist() == [
        [0, 0, 4, False, "N", False],
        [0, 4, 9, True, "R", True],
        [1, 0, 3, True, "N", True],
        [2, 0, 4, True, "N", True],
        [3, 0, 7, False, "N", True],
        [4, 0, 6, False, "N", True],  # her event at 8 is in a state nobody knows: censored at 6
    ]


def test_without_a_state_before_nobody_is_at_risk_until_it_is_known():
    rows = counting_process([9, 3, 4, 8], [1, 1, 1, 1], [4, 5, 4, 6], ["R", "R", "N", None])
    assert rows[["patient", "start", "stop", "state"]].to_numpy().tolist() == [[0, 4, 9, "R"]]


def test_a_patient_who_stays_in_the_first_state_has_one_row():
    rows = counting_process([9], [1], [4], ["N"], before="N")
    assert rows[["start", "stop", "event"]].to_numpy().tolist() == [[0, 9, True]]


def test_a_state_known_from_the_start_gives_the_ordinary_curves_and_test():
    time, event, state = [1, 2, 3, 4, 5, 6], [1, 1, 0, 1, 1, 1], ["a", "b", "a", "b", "a", "b"]
    table = simon_makuch(time, event, np.zeros(6), state)
    ordinary = kaplan_meier(time, event, state)
    assert table[table["time"] > 0].reset_index(drop=True).equals(ordinary[table.columns])
    rows = counting_process(time, event, np.zeros(6), state)
    found = mantel_byar(rows["start"], rows["stop"], rows["event"], rows["state"])
    assert found["chi2"].iloc[0] == pytest.approx(log_rank(time, event, state)["chi2"].iloc[0])


def test_a_change_of_state_is_no_censoring_and_the_curve_begins_at_one():
    table = simon_makuch(TIME, EVENT, CHANGE, STATE, before="N", origin=2.5)
    # Patients 4 and 7 are censored in N (20, 4), patient 6 in R (30); the changes at 3 to 5 are none.
    assert table.groupby("group")["n_censor"].sum().to_dict() == {"N": 2, "R": 1}
    first = table.groupby("group").first()
    assert first["survival"].tolist() == [1, 1] and first["time"].tolist() == [2.5, 2.5]
    assert first["n_risk"].tolist() == [9, 1]


def test_the_start_moves_on_to_where_both_states_have_somebody():
    table = simon_makuch(TIME, EVENT, CHANGE, STATE, origin=0)  # N is entered at 3, R at 2
    assert table.groupby("group")["time"].min().tolist() == [3, 3]


def test_one_event_among_few_at_risk_does_not_ruin_a_curve_that_starts_later():
    time, event, change, state = [3, 9, 10, 9], [1, 1, 0, 0], [1, 4, 4, 0], ["R", "R", "R", "N"]
    rows = counting_process(time, event, change, state)
    naive = kaplan_meier(rows["stop"], rows["event"], rows["state"], entry=rows["start"])
    assert naive.query("group == 'R'")["survival"].tolist() == [0, 0, 0]  # one of one at 3: never up again
    later = simon_makuch(time, event, change, state, origin=5)
    assert later.query("group == 'R'")["survival"].tolist() == [1, 0.5, 0.5]


def test_degenerate_data_are_refused_or_clear():
    with pytest.raises(NotEstimable, match="nobody is at risk after 40"):
        simon_makuch(TIME, EVENT, CHANGE, STATE, before="N", origin=40)
    assert counting_process([2, 3], [1, 0], [5, 5], ["R", "R"]).empty
    with pytest.raises(NotEstimable, match="nobody is at risk"):
        simon_makuch([2, 3], [1, 0], [5, 5], ["R", "R"])
    with pytest.raises(NotEstimable, match="no patients"):
        counting_process([], [], [], [])
    with pytest.raises(ValueError, match="one value for each of the 2"):
        counting_process([1, 2], [1, 1], [1], ["R", "R"])
    with pytest.raises(NotEstimable, match="only the state"):
        mantel_byar([0, 0], [1, 2], [1, 1], ["N", "N"])
    with pytest.raises(NotEstimable, match="no event"):
        mantel_byar([0, 0], [1, 2], [0, 0], ["N", "R"])
    with pytest.raises(ValueError, match="lie before its stop"):
        mantel_byar([1, 0], [1, 2], [1, 1], ["N", "R"])
    # All events at one time in everybody, or never two states at risk together: no information.
    assert mantel_byar([0, 0], [2, 2], [1, 1], ["N", "R"])[["chi2", "p"]].iloc[0].tolist() == [0, 1]
    assert mantel_byar([0, 2], [2, 4], [1, 1], ["N", "R"])[["chi2", "p"]].iloc[0].tolist() == [0, 1]


def test_two_patients_and_inputs_unchanged():
    arrays = [np.array([5.0, 6.0]), np.array([True, True]), np.array([2.0, 3.0]), np.array(["R", "N"])]
    before = [part.copy() for part in arrays]
    table = simon_makuch(*arrays)
    assert table["survival"].tolist() == [1, 0, 1, 0]
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


def test_the_start_waits_for_a_time_at_which_every_state_has_somebody():
    # A lasts from 0 to 1 and again from 5 to 9, B from 2 to 10: together from 5 on.
    table = simon_makuch([1, 10, 9], [1, 1, 1], [0, 2, 5], ["A", "B", "A"])
    assert table["group"].tolist() == ["A", "A", "B", "B"]
    assert table["time"].tolist() == [5, 9, 5, 10]
    assert table["survival"].tolist() == [1, 0, 1, 0]
    assert table["n_risk"].tolist() == [1, 1, 1, 1]


def test_a_state_that_is_over_before_the_other_begins_is_not_lost_silently():
    with pytest.raises(NotEstimable, match="at no time from 0 on do all the states"):
        simon_makuch([1, 10, 9], [1, 1, 1], [0, 2, 3], ["A", "B", "B"])
    with pytest.raises(NotEstimable, match="at no time from 9 on"):
        simon_makuch([1, 10, 9], [1, 1, 1], [0, 2, 5], ["A", "B", "A"], origin=9)
    with pytest.raises(ValueError, match="origin must be"):
        simon_makuch([1, 10, 9], [1, 1, 1], [0, 2, 5], ["A", "B", "A"], origin=np.nan)


def test_states_that_are_missing_or_mixed_are_refused_by_the_test():
    for missing in (None, np.nan):
        with pytest.raises(ValueError, match="1 patients have no state"):
            mantel_byar([0, 0, 0], [1, 2, 3], [1, 1, 1], ["N", missing, "R"])
    with pytest.raises(ValueError, match="state mixes int, text"):
        mantel_byar([0, 0, 0], [1, 2, 3], [1, 1, 1], ["N", 1, "R"])
    with pytest.raises(ValueError, match="state mixes int, text"):
        counting_process([3, 4], [1, 1], [1, 2], [1, 0], before="N")


def test_a_change_that_equals_an_end_but_for_rounding_leaves_no_sliver():
    rows = counting_process([0.1 + 0.2, 1.0], [1, 1], [0.3, 0.3], ["R", "R"], before="N")
    assert rows[["patient", "start", "state"]].to_numpy().tolist() == [
        [0, 0, "N"],
        [1, 0, "N"],
        [1, 0.3, "R"],
    ]
    # Who enters at the time of an event is not at risk at it, whatever the last bit says.
    curve = kaplan_meier([0.1 + 0.2, 1.0, 1.0], [1, 0, 0], entry=[0, 0, 0.3])
    assert curve["n_risk"].tolist() == [2, 2] and curve["survival"].iloc[0] == 0.5
