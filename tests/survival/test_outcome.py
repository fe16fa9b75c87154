import numpy as np
import pandas as pd
import pytest

from analysis.survival import NotEstimable, concordance, cox, kaplan_meier, to_time_event
from analysis.survival.outcome import (
    check_alpha,
    check_groups,
    check_time_event,
    equal_times,
    select_response,
)


def test_cnsr_zero_is_an_event_and_anything_above_is_not():
    frame = pd.DataFrame({"USUBJID": list("abc"), "AVAL": [10, 20, 30], "CNSR": [0, 1, 2]})
    found = to_time_event(frame)
    assert found["event"].tolist() == [True, False, False]
    assert found["time"].tolist() == [10.0, 20.0, 30.0]
    assert "event" not in frame


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("AVAL", -1, "AVAL must be"),
        ("AVAL", np.nan, "first in .*b"),
        ("CNSR", 0.5, "CNSR must be"),
        ("CNSR", None, "CNSR"),
    ],
)
def test_rows_that_are_no_outcome_are_refused(column, value, match):
    frame = pd.DataFrame({"USUBJID": list("ab"), "AVAL": [10.0, 20.0], "CNSR": [0.0, 1.0]})
    frame.loc[1, column] = value
    with pytest.raises(ValueError, match=match):
        to_time_event(frame)


def test_a_table_without_cnsr_is_refused():
    with pytest.raises(ValueError, match="missing: \\['CNSR'\\]"):
        to_time_event(pd.DataFrame({"AVAL": [1]}))


def test_malformed_arrays_are_refused():
    with pytest.raises(ValueError, match="as long"):
        check_time_event([1, 2], [1])
    with pytest.raises(ValueError, match="1 times are missing"):
        check_time_event([1, np.nan], [1, 0])
    with pytest.raises(ValueError, match="True/1"):
        check_time_event([1, 2], [1, 2])
    with pytest.raises(NotEstimable, match="no patients are left"):
        kaplan_meier([], [])


def test_groups_are_checked():
    with pytest.raises(ValueError, match="1 patients have no group"):
        check_groups(["a", None], 2)
    with pytest.raises(ValueError, match="one label for each"):
        check_groups(["a"], 2)
    with pytest.raises(NotEstimable, match="one group is empty"):
        check_groups(["a", "a"], 2, at_least=2)


def response_rows(**changes):
    base = {
        "USUBJID": "a",
        "AVISIT": "D14",
        "METRIC": "SUVMAX",
        "RULE": "any_resistant",
        "CUT": 25.0,
        "MRESP": "NE",
    }
    return pd.DataFrame([{**base, **changes}])


def test_a_rule_with_its_own_cut_is_found_whatever_cut_is_asked():
    admr = response_rows(RULE="percist", CUT=30.0)
    found = select_response(admr, timepoint="D14", metric="SUVMAX", rule="percist", cut=25.0)
    assert found["CUT"].tolist() == [30.0]


def test_response_rows_that_are_absent_or_ambiguous_are_refused():
    admr = pd.concat([response_rows(), response_rows(CUT=15.0)], ignore_index=True)
    with pytest.raises(ValueError, match="has cuts"):
        select_response(admr, timepoint="D14", metric="SUVMAX", rule="any_resistant", cut=99)
    with pytest.raises(ValueError, match="two rows"):
        select_response(admr, timepoint="D14", metric="SUVMAX", rule="any_resistant")
    with pytest.raises(ValueError, match="no response rows"):
        select_response(admr, timepoint="D28", metric="SUVMAX", rule="any_resistant", cut=25)


def test_times_equal_up_to_rounding_are_made_equal_as_aeqsurv_of_r():
    # R: aeqSurv(Surv(...)) gives each time the smallest of its run, by absolute and by relative distance.
    assert check_time_event([0.1 + 0.2, 0.3, 0.9], [1, 1, 0])[0].tolist() == [0.3, 0.3, 0.9]
    assert check_time_event([1e9, 1e9 + 10, 1e9 + 40], [1, 1, 0])[0].tolist() == [1e9, 1e9, 1e9 + 40]
    # Neighbours make a run: 0, 1e-8 and 2e-8 are one time though the ends are farther apart than 1.5e-8.
    assert check_time_event([2e-8, 0, 1e-8, 1], [1, 1, 1, 0])[0].tolist() == [0, 0, 0, 1]
    assert check_time_event([1, 1 + 1e-7], [1, 1])[0].tolist() == [1, 1 + 1e-7]
    curve = kaplan_meier([0.1 + 0.2, 0.3, 0.7, 0.9], [1, 1, 1, 0])
    assert curve["time"].tolist() == [0.3, 0.7, 0.9]
    assert curve["n_event"].tolist() == [2, 1, 0]


def test_starts_and_ends_are_made_equal_together():
    stop, start = equal_times(np.array([0.1 + 0.2, 0.9]), np.array([0.0, 0.3]))
    assert (stop.tolist(), start.tolist()) == ([0.3, 0.9], [0.0, 0.3])
    whole = np.array([3.0, 1.0, 1.0])
    assert equal_times(whole)[0] is whole


def test_series_with_different_indexes_are_refused():
    time, event = pd.Series([1.0, 2.0], index=["a", "b"]), pd.Series([1, 0], index=["b", "a"])
    with pytest.raises(ValueError, match="time and event have different indexes: align them first"):
        check_time_event(time, event)
    assert check_time_event(time, event.to_numpy())[1].tolist() == [True, False]
    assert check_time_event(time, event.reindex(time.index))[1].tolist() == [False, True]
    with pytest.raises(ValueError, match="as long"):
        check_time_event(time, event.iloc[:1])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_label_among_text_is_no_label(missing):
    with pytest.raises(ValueError, match="2 patients have no strata"):
        check_groups(["a", missing, "b", missing], 4, name="strata")


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="group mixes int, text"):
        check_groups(["1", 1], 2)
    assert check_groups(pd.Series(["b", "a"], dtype="category"), 2)[1].tolist() == ["a", "b"]
    assert check_groups([True, 0, 1.0], 3)[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    "time",
    [
        pd.to_datetime(["2020-01-01", "2020-02-01"]),
        pd.Series(pd.to_timedelta([3, 4], unit="D")),
        [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-02-01")],
        [pd.Timedelta(days=3), pd.Timedelta(days=4)],
        np.array(["2020-01-01", "2020-02-01"], dtype="datetime64[D]"),
    ],
)
def test_dates_are_no_times(time):
    with pytest.raises(ValueError, match="not dates or spans"):
        check_time_event(time, [1, 0])


def test_alpha_is_one_minus_a_level():
    assert check_alpha(np.float64(0.1)) == 0.1
    for wrong in (0, 1, 1.5, 5, 95, -0.1, np.nan, None, "0.05", True):
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
            check_alpha(wrong)


@pytest.mark.parametrize("alpha", [0, 1, 1.5, 95, float("nan")])
def test_a_level_out_of_range_is_refused_by_the_models_too(alpha):
    for estimate in (cox, concordance):
        with pytest.raises(ValueError, match="alpha"):
            estimate([1, 2, 3, 4], [1, 1, 1, 0], [0.0, 1.0, 0.0, 1.0], alpha=alpha)
