"""Numbers of a text, told apart from words by hand."""

import pytest

from analysis.numbers import Token, split


def numbers(text):
    return [one.text for one in split(text) if isinstance(one, Token)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hazard ratio 1.72 (0.83–3.90)", ["1.72", "0.83", "3.90"]),
        ("p <0.001, q >0.99", ["<0.001", ">0.99"]),
        ("0.46 to > 100", ["0.46", "100"]),
        ("30/45: 66.7 %", ["30", "45", "66.7"]),
        ("from −28 % to +39 %", ["−28", "+39"]),
        ("a change of -7.5 in 3-4 weeks", ["-7.5", "3", "4"]),
        ("1,234 patients.", ["1,234"]),
        ("End 12. Then 5", ["12", "5"]),
    ],
)
def test_numbers_are_found_as_they_are_printed(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("TP53", "p53", "D14", "HER2", "SUV40", "S-019649", "S-3fa2", "RECIST 1.1", "PERCIST 1.0", "day 14"),
        *("Day 28", "Lausen and Schumacher 1992", "MTV (41 %)", "exclusions_05", "notebook 04", "centre 03"),
    ],
)
def test_digits_of_a_name_are_no_number(name):
    assert numbers(f"of {name} and") == []


def test_the_pieces_of_a_text_are_the_text_again():
    text = "PFS: hazard ratio 1.72 (0.83–3.90), TP53, −28 %, 30/45; day 14."
    assert "".join(one if isinstance(one, str) else one.text for one in split(text)) == text


def test_a_percent_sign_after_a_number_is_known():
    share, count = (one for one in split("67 % of 45") if isinstance(one, Token))
    assert share.percent and not count.percent
