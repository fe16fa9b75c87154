"""Overall response: every cell of Tables 1 and 2 of Eisenhauer 2009, as a function and as whole studies.

The expected values stand in ``tests/reference/recist_overall_response.csv``, each with the line of the table
it comes from.
"""

from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from analysis.clinical import overall_response

from .conftest import Study

CELLS = pd.read_csv(
    Path(__file__).parents[1] / "reference" / "recist_overall_response.csv", dtype=str, na_values=[""],
    keep_default_na=False,
).astype(object)  # fmt: skip
CELLS = CELLS.where(CELLS.notna(), None)
CELL_NAMES = [
    f"{row.target or 'none'}, {row.non_target or 'none'}, new {row.new_lesion}" for row in CELLS.itertuples()
]

# a lesion of 20 mm at baseline that gives the response at the first assessment
TARGET = {"CR": 0, "PR": 14, "SD": 20, "PD": 25, "NE": "NOT EVALUABLE"}
NON_TARGET = {
    "CR": "ABSENT",
    "NON-CR/NON-PD": "PRESENT",
    "PD": "UNEQUIVOCAL PROGRESSION",
    "NE": "NOT EVALUABLE",
}


def test_the_reference_has_every_cell_once():
    wanted = set(product([*TARGET, None], [*NON_TARGET, None], ["N", "Y"]))
    found = list(CELLS[["target", "non_target", "new_lesion"]].itertuples(index=False, name=None))
    assert len(found) == len(wanted) == 60 and set(found) == wanted


@pytest.mark.parametrize("place", range(len(CELLS)), ids=CELL_NAMES)
def test_every_cell_of_the_overall_response_table(place):
    cell = CELLS.iloc[[place]]
    assert overall_response(cell.target, cell.non_target, cell.new_lesion).tolist() == [cell.overall.item()]


def add_cell(study, cell):
    """Add a subject whose lesions give `cell` on day 56."""
    name = f"S-{cell.Index:02}"
    study.subject(name)
    if cell.target:
        study.lesion("T1", {-5: 20, 56: TARGET[cell.target]}, name)
    if cell.non_target:
        study.lesion(
            "NT1", {-5: "PRESENT", 56: NON_TARGET[cell.non_target]}, name, kind="NON-TARGET", organ="BONE"
        )
    if cell.new_lesion == "Y":
        study.lesion("N1", {56: "PRESENT"}, name, kind="NEW", organ="BRAIN")


@cache
def study_responses():
    """Derive one study with a subject for each cell: parts and overall response by subject."""
    study = Study()
    for cell in CELLS.itertuples():
        add_cell(study, cell)
    adrs = study.derive_adrs(study.plan())[2]
    return adrs.pivot_table(index="USUBJID", columns="PARAMCD", values="AVALC", aggfunc="first")


# a subject without any lesion has no assessment to respond at
WITH_LESION = [
    place
    for place, row in enumerate(CELLS.itertuples())
    if any([row.target, row.non_target, row.new_lesion == "Y"])
]


@pytest.mark.parametrize("place", WITH_LESION, ids=[CELL_NAMES[place] for place in WITH_LESION])
def test_every_cell_of_the_table_through_a_whole_study(place):
    cell = CELLS.iloc[place]
    found = study_responses().loc[f"S-{place:02}"]
    assert cell.overall == found.OVRLRESP
    assert (cell.new_lesion, cell.overall) == (found.NEWLES, found.BOR)
    for part, value in (("TRGRESP", cell.target), ("NTRGRESP", cell.non_target)):
        assert (found[part] == value) if value else pd.isna(found[part])


def test_two_targets_of_which_one_is_missing_is_not_all_evaluated(study):
    study.subject().lesion("T1", {-5: 20, 56: 0}).lesion("T2", {-5: 20, 56: None})
    assert study.responses("TRGRESP") == [(56, "NE")]
    assert study.responses() == [(56, "NE")]


def test_two_non_targets_of_which_one_is_missing_are_not_all_evaluated(study):
    study.subject()
    study.lesion("NT1", {-5: "PRESENT", 56: "ABSENT"}, kind="NON-TARGET", organ="BONE")
    study.lesion("NT2", {-5: "PRESENT", 112: "ABSENT"}, kind="NON-TARGET", organ="PLEURA")
    assert study.responses("NTRGRESP") == [(56, "NE"), (112, "NE")]


def test_one_non_target_that_progresses_is_enough_though_another_is_missing(study):
    study.subject()
    study.lesion("NT1", {-5: "PRESENT", 56: "UNEQUIVOCAL PROGRESSION"}, kind="NON-TARGET", organ="BONE")
    study.lesion("NT2", {-5: "PRESENT"}, kind="NON-TARGET", organ="PLEURA")
    assert study.responses() == [(56, "PD")]
