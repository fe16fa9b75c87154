import numpy as np
import pandas as pd
import pytest

from analysis.survival import NotEstimable, kaplan_meier, to_time_event
from analysis.survival.outcome import check_groups, check_time_event, select_response


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
