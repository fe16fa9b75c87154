"""How numbers are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables import format as fmt


def test_the_published_hazard_ratio_is_written_as_in_a_journal():
    assert fmt.ratio(1.30, 0.67, 2.50) == "1.30 (0.67–2.50)"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.44, "0.44"),
        (0.012, "0.012"),
        (0.0001, "<0.001"),
        (0.001, "0.001"),
        (1.0, ">0.99"),
        (0.1, "0.10"),
        (None, "–"),
    ],
)
def test_a_p_value_has_two_or_three_decimals_and_is_never_zero_or_one(p, text):
    assert fmt.p_value(p) == text


def test_a_p_value_in_a_sentence_has_an_equals_sign_only_when_it_is_equal():
    assert (fmt.p_text(0.44), fmt.p_text(1e-9)) == ("p = 0.44", "p <0.001")


def test_a_p_value_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        fmt.p_value(1.2)


def test_a_median_whose_upper_limit_is_not_reached_says_so():
    assert fmt.interval(6.0, 4.4, float("nan"), missing="not reached") == "6.0 (4.4 to not reached)"
    assert (
        fmt.interval(float("nan"), 4.4, float("nan"), missing="not reached")
        == "not reached (4.4 to not reached)"
    )
    assert fmt.interval(None, None, None, missing="not reached") == "not reached"


def test_an_unbounded_interval_is_written_with_the_infinity_sign():
    assert fmt.ratio(3.0, 0.9, math.inf) == "3.00 (0.90 to ∞)"


def test_a_negative_number_has_a_minus_sign_and_its_range_the_word_to():
    assert fmt.interval(-5.2, -9.1, 2.0, 0) == "−5 (−9 to 2)"
    assert fmt.signed_percent(-28.0) == "−28 %"
    assert fmt.signed_percent(39.0) == "+39 %"


def test_a_rounded_zero_has_no_sign():
    assert fmt.signed_percent(0.2) == "0 %"
    assert fmt.signed_percent(-0.2) == "0 %"
    assert fmt.number(-0.001, 2) == "0.00"


def test_thirty_of_forty_five_non_responders_are_written_with_their_clopper_pearson_interval():
    assert fmt.proportion(30, 45, 51.0, 80.0) == "30/45: 66.7 % (51.0–80.0)"
    assert fmt.count_percent(30, 45) == "30 (67 %)"


def test_a_share_of_nobody_is_a_dash():
    assert fmt.count_percent(0, 0) == "0 (–)"
    assert fmt.proportion(0, 0, None, None) == "0/0: –"


@given(st.floats(0, 1))
def test_a_written_p_value_lies_within_its_rounding(p):
    text = fmt.p_value(p)
    if text[0] == "<":
        assert p < float(text[1:])
    elif text[0] == ">":
        assert p > float(text[1:])
    else:
        assert abs(float(text) - p) <= 0.005 + 1e-12


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_written_number_reads_back_to_itself(value, decimals):
    text = fmt.number(value, decimals).replace(fmt.MINUS, "-")
    assert abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-9
