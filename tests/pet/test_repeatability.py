"""Limits of repeatability of one lesion: QIBA's numbers, as quoted in pet.md section 3."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.pet import repeatability

RULES = plans.defaults().response


@pytest.mark.parametrize(("cv", "low", "high"), [(12, -28.2, 39.3), (10, -24.2, 31.9), (0, 0.0, 0.0)])
def test_limits_are_the_published_ones(cv, low, high):
    assert repeatability.limits(cv) == (pytest.approx(low, abs=0.05), pytest.approx(high, abs=0.05))


def test_a_fall_to_the_lower_limit_and_a_rise_to_the_upper_undo_each_other():
    low, high = repeatability.limits(12)
    assert (1 + low / 100) * (1 + high / 100) == pytest.approx(1)


@pytest.mark.parametrize("cv", [-1, float("nan"), float("inf")])
def test_a_coefficient_that_cannot_be_is_refused(cv):
    with pytest.raises(ValueError, match="REPEATABILITY_CV"):
        repeatability.limits(cv)


def test_a_change_is_within_the_limits_or_a_fall_or_a_rise():
    change = pd.Series([-28.3, -28.1, -25.0, -15.0, 39.2, 39.4, np.nan])
    found = repeatability.judge_change(change, "SUVMAX", RULES)
    assert found.tolist() == ["FALL", "WITHIN", "WITHIN", "WITHIN", "WITHIN", "RISE", None]


def test_percist_partial_response_just_clears_the_limits():
    assert repeatability.judge_change(pd.Series([-30.0]), "SULPEAK", RULES).tolist() == ["FALL"]


def test_a_metric_without_a_known_coefficient_is_not_judged():
    assert repeatability.judge_change(pd.Series([-90.0]), "MTV41", RULES).tolist() == [None]
