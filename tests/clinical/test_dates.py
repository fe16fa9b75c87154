"""Partial dates: what was written, what is filled, what cannot be."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.clinical import dates


def one(text, rule="first_day", **bounds):
    limits = {name: pd.Series([pd.Timestamp(value)]) for name, value in bounds.items()}
    found = dates.impute_dates(pd.Series([text], dtype=object), rule, **limits).iloc[0]
    return (None if pd.isna(found.DATE) else found.DATE.strftime("%Y-%m-%d")), found.FLAG


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("2014-02-11", dates.COMPLETE),
        ("2014-02-11T09:30", dates.COMPLETE),
        ("2014-02", dates.NO_DAY),
        ("2014", dates.NO_MONTH),
        ("2014---11", dates.NO_MONTH),
        (None, dates.MISSING),
        ("", dates.MISSING),
        ("2014-02-30", dates.IMPOSSIBLE),
        ("2014-13-01", dates.IMPOSSIBLE),
        ("2014-00-10", dates.IMPOSSIBLE),
        ("2015-02-29", dates.IMPOSSIBLE),
        ("2016-02-29", dates.COMPLETE),
        ("0214-02-11", dates.IMPOSSIBLE),
        ("11FEB2014", dates.NOT_ISO),
        ("2014-2-11", dates.NOT_ISO),
        ("UNK", dates.NOT_ISO),
    ],
)
def test_every_kind_of_date_is_told_apart(text, status):
    assert dates.parse_dates(pd.Series([text], dtype=object)).STATUS.item() == status


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("2016-02", "none", (None, None)),
        ("2016-02", "first_day", ("2016-02-01", "D")),
        ("2016-02", "last_day", ("2016-02-29", "D")),
        ("2016", "last_day", (None, None)),
        ("2016", "first_month", ("2016-01-01", "M")),
        ("2016", "last_month", ("2016-12-31", "M")),
        ("2016-02-11", "last_month", ("2016-02-11", None)),
        ("2016-02-30", "first_month", (None, None)),
    ],
)
def test_a_named_rule_fills_what_it_may_and_flags_it(text, rule, expected):
    assert one(text, rule) == expected


def test_filling_never_crosses_the_start_of_treatment_or_death():
    assert one("2014-02", "first_day", not_before="2014-02-11") == ("2014-02-11", "D")
    assert one("2014-02", "last_day", not_after="2014-02-20") == ("2014-02-20", "D")


def test_a_bound_outside_the_period_or_a_complete_date_moves_nothing():
    assert one("2014-02", "first_day", not_before="2014-03-11") == ("2014-02-01", "D")
    assert one("2014-02-01", "first_day", not_before="2014-02-11") == ("2014-02-01", None)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="no date rule named 'middle'"):
        one("2014-02", "middle")


@settings(max_examples=50, deadline=None)
@given(st.dates(min_value=pd.Timestamp("1900-01-01").date(), max_value=pd.Timestamp("2200-12-31").date()))
def test_a_written_date_reads_back_and_its_parts_enclose_it(day):
    text = pd.Series([day.isoformat(), day.isoformat()[:7], day.isoformat()[:4]])
    parsed = dates.parse_dates(text)
    assert parsed.FIRST[0] == parsed.LAST[0] == pd.Timestamp(day)
    assert (pd.Timestamp(day) >= parsed.FIRST).all()
    assert (pd.Timestamp(day) <= parsed.LAST).all()
