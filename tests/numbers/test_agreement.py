"""The proof of agreement finds what it is to find; and the last report of each study here agrees."""

import copy

import pandas as pd
import pytest
from agreement import agrees, check_agreement, check_folder

from analysis.storage import project_root

CONTENT = {
    "answers": [["HR ", ["1.72", "estimates.0.ESTIMATE"], " at day 14."]],
    "tables": {"t": {"rows": [{"kind": "row", "cells": [["TP53"], [["13", "estimates.0.SHARE"], " %"]]}]}},
}
VALUES = {
    "estimates.0.ESTIMATE": {
        "kind": "cell", "table": "estimates", "row": 0, "column": "ESTIMATE", "value": 1.7203, "texts": ["1.72"],
    },
    "estimates.0.SHARE": {
        "kind": "cell", "table": "estimates", "row": 0, "column": "SHARE", "value": 0.1321, "texts": ["13"],
    },
}  # fmt: skip


@pytest.fixture
def derived(tmp_path):
    pd.DataFrame({"ESTIMATE": [1.7203], "SHARE": [0.1321]}).to_parquet(tmp_path / "estimates.parquet")
    return tmp_path


def test_a_report_that_agrees_is_found_to(derived):
    assert check_agreement(CONTENT, VALUES, derived) == []


def test_a_printed_number_that_is_not_its_value_is_found(derived):
    values = copy.deepcopy(VALUES)
    values["estimates.0.ESTIMATE"]["texts"] = ["1.73"]
    assert check_agreement(CONTENT, values, derived) == ["estimates.0.ESTIMATE: '1.73' is not 1.7203"]


def test_a_value_that_is_not_its_cell_is_found(derived):
    values = copy.deepcopy(VALUES)
    values["estimates.0.ESTIMATE"]["value"] = 1.7199
    assert "the table holds" in check_agreement(CONTENT, values, derived)[0]


def test_a_number_without_a_link_is_found(derived):
    content = copy.deepcopy(CONTENT)
    content["answers"].append(["of 44 patients"])
    assert check_agreement(content, VALUES, derived) == ["no source: 44 in 'of 44 patients'"]


def test_a_link_to_nowhere_is_found(derived):
    content = copy.deepcopy(CONTENT)
    content["answers"].append([["44", "nowhere"]])
    assert check_agreement(content, VALUES, derived) == ["no value 'nowhere' for '44'"]


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("68.9", 0.68889, True),
        ("−25", 25.0, True),
        ("95", 0.05, True),
        ("<0.001", 0.0009, True),
        ("1.8", 1.74, False),
        ("0.05", "margin 0.05", True),
    ],
)
def test_the_formatter_of_the_proof_is_its_own(text, value, expected):
    assert agrees(text, value) is expected


@pytest.mark.parametrize("study", ["tiny", "virtual", "sarcoma", "ispy1", "inspire"])
def test_the_report_that_lies_here_agrees(study):
    root = project_root()
    reports, derived = root / "reports" / study / "primary", root / "data" / "derived" / study / "primary"
    if not (reports / "content.json").is_file():
        pytest.skip("this study has not been reported here")
    assert check_folder(reports, derived) == []
