"""The words and values of the grid: what is in force, whether a cell or the plan sets it."""

import pytest

from analysis import operating
from analysis import plan as plans


def test_values_of_a_cell_stand_where_it_sets_them_and_the_plans_elsewhere():
    changes = {
        "virtual.hr_score": 1.4,
        "virtual.loading_d14": 0.9,
        "virtual.n_patients": 40,
        "operating.truths": {"null": {"virtual.hr_score": 1.0}, "flat": {"virtual.loading_d14": 0.5}},
        "operating.sizes": {"own": {}, "short": {"virtual.n_patients": 24, "design.cutoff_months": 12.0}},
        "operating.cells": [["null", "own"], ["flat", "short"]],
    }
    null, flat = operating.describe_cells(plans.defaults().override(changes)).to_dict("records")
    assert (null["Truth"], null["Size"], flat["Truth"], flat["Size"]) == ("null", "own", "flat", "short")
    assert null["Hazard ratio per SD of resistance"] == 1.0
    assert flat["Hazard ratio per SD of resistance"] == 1.4
    assert (null["Loading D14"], flat["Loading D14"]) == (0.9, 0.5)
    assert (null["Patients"], flat["Patients"], flat["Cut-off, months"]) == (40, 24, 12.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"planning.hazard_ratio": 1.0}, "hazard ratio of 1"),
        ({"planning.hazard_ratio": 0.0}, "hazard ratio must be positive"),
        ({"planning.nonresponse_share": 0.0}, "share of exposed"),
        ({"planning.median_months": 0.0}, "median must be"),
        ({"operating.cells": []}, "operating.cells is empty"),
        ({"operating.cells": [["huge", "as planned"]]}, "huge"),
        ({"design.followup_visits": ["D7", "D21"]}, "D14 and D28"),
    ],
)
def test_what_cannot_be_simulated_or_planned_is_refused_before_the_work(changes, says):
    with pytest.raises(ValueError, match=says):
        operating.check_plan(plans.defaults().override(changes))


def test_the_default_plan_can_be_simulated():
    operating.check_plan(plans.defaults())
