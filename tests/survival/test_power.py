"""Power against the trial's own planning figures."""

import pytest

from analysis.survival.power import schoenfeld_power


@pytest.mark.parametrize(("hazard_ratio", "events"), [(2.5, 43), (2.0, 74)])
def test_the_trials_planning_figures_give_80_percent(hazard_ratio, events):
    # specification of the trial, section 2: at one third positive, two-sided 0.05
    assert schoenfeld_power(events, 1 / 3, hazard_ratio) == pytest.approx(0.80, abs=0.01)


def test_no_effect_is_found_as_often_as_one_side_of_the_level():
    assert schoenfeld_power(40, 0.5, 1.0) == pytest.approx(0.025)


def test_the_direction_of_the_effect_does_not_matter():
    assert schoenfeld_power(40, 0.3, 2.0) == pytest.approx(schoenfeld_power(40, 0.3, 0.5))


def test_an_empty_group_has_no_power():
    assert schoenfeld_power(40, 0.0, 2.0) != schoenfeld_power(40, 0.0, 2.0)


def test_the_planned_power_by_hand():
    # ln 2.5 = .916291, sqrt(43 x 2/9) = 3.091206: drift 2.832444; Phi(2.832444 - 1.959964) = Phi(.872480).
    assert schoenfeld_power(43, 1 / 3, 2.5) == pytest.approx(0.8085, abs=1e-4)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ValueError, match="alpha must lie"):
        schoenfeld_power(43, 1 / 3, 2.5, alpha=5)
