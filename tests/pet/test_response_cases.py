"""Every row and both sides of every boundary of the decision tables: a table of cases written from the specification.

``reference/response_cases.csv`` was written by hand from pet.md 2.3, 2.4 and trial.md section 4, before and without
the code it tests. A lesion is ``name baseline follow-up``; liver and uptake time are ``baseline follow-up``.
"""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from response_factory import adpet_of, decisions_of, lesions_of, one, regions, scans_of

from analysis import plan as plans

TABLE = Path(__file__).resolve().parents[1] / "reference" / "response_cases.csv"
CASES = pd.read_csv(TABLE, keep_default_na=False, dtype=str).to_dict("records")
SUL_RULES = {"percist", "percist5"}


def pair_of(text: str) -> tuple[float, float]:
    first, second = text.split()
    return float(first), float(second)


def lesions_in(text: str) -> dict[str, tuple[float, float]]:
    parts = (part.split(maxsplit=1) for part in text.split(";"))
    return {name: pair_of(values) for name, values in parts}


def table_of(case: dict[str, str]) -> pd.DataFrame:
    lesions = lesions_in(case["lesions"])
    metric = "SULPEAK" if case["rule"] in SUL_RULES else "SUVMAX"
    # A liver without spread: the threshold of a measurable lesion is 1.5 times its mean.
    parts = [adpet_of(lesions, metric=metric), regions(liver=pair_of(case["liver"]), sd=0.0)]
    for column, name in (("tlg", "TLG41"), ("longdiam", "LONGDIAM")):
        if case[column]:
            parts.append(lesions_of({next(iter(lesions)): pair_of(case[column])}, name))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_class_is_the_one_written_by_hand(case):
    settings = dict(part.split("=") for part in case["settings"].split(";") if part)
    plan = plans.defaults().override({name: yaml.safe_load(value) for name, value in settings.items()})
    decided = [tuple(part.split()) for part in case["decisions"].split(";") if part]
    found = one(
        table_of(case),
        case["rule"],
        plan,
        scans=scans_of(uptake=pair_of(case["uptake"])),
        decisions=decisions_of(*decided) if decided else None,
    )
    assert (found["AVALC"], found["MRESP"]) == (case["avalc"], case["mresp"])
    flags = str(found["FLAGS"] or "").split(";")
    for flag in filter(None, case["flags"].split(";")):
        assert (flag.lstrip("!") in flags) is not flag.startswith("!")


def test_every_class_and_table_has_cases():
    seen = {(case["rule"], case["avalc"]) for case in CASES}
    expected = {
        "percist": "PMD SMD PMR CMR NE",
        "eortc": "PMD SMD PMR CMR NE",
        "dominance_count": "I II III IV",
    }
    assert {(rule, word) for rule, words in expected.items() for word in words.split()} <= seen
