"""Power, events and their probability: planning figures, hand calculation, quadrature in R, limits."""

import numpy as np
import pytest

from analysis.survival.power import event_probability, group_hazards, schoenfeld_events, schoenfeld_power


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


def test_the_events_of_the_trials_planning_figures_by_hand():
    # (1.959964 + .841621)^2 = 7.848879; / (2/9) = 35.319956; / ln(2)^2 = .480453: 73.51; / ln(2.5)^2: 42.07
    assert schoenfeld_events(2.0, 1 / 3, power=0.8, alpha=0.05) == pytest.approx(73.514, abs=1e-3)
    assert schoenfeld_events(2.5, 1 / 3) == pytest.approx(35.319956 / 0.916291**2, abs=1e-3)


@pytest.mark.parametrize("power", [0.6, 0.8, 0.95])
def test_events_and_power_are_inverse(power):
    events = schoenfeld_events(0.6, 0.4, power=power, alpha=0.01)
    assert schoenfeld_power(events, 0.4, 0.6, alpha=0.01) == pytest.approx(power, abs=1e-12)


# R 4.2: uniroot for the baseline hazard, integrate() for the probability; hazard ratio, share, median, accrual,
# follow-up, mean time to loss.
R_EVENTS = [
    ((2.0, 0.667, 4, 24, 6, 90), 0.1071383537, 0.8564126828),
    ((3.0, 0.4, 10, 12, 3, 30), 0.0430574494, 0.3941849794),
    ((0.5, 0.3, 6, 0, 5, np.inf), 0.1397138441, 0.4403348596),
]


@pytest.mark.parametrize(("given", "hazard", "probability"), R_EVENTS)
def test_hazards_and_event_probability_are_those_of_quadrature_in_r(given, hazard, probability):
    ratio, share, median, accrual, follow_up, loss = given
    assert group_hazards(ratio, share, median) == pytest.approx((hazard, ratio * hazard), abs=1e-9)
    found = event_probability(
        ratio, share, median=median, accrual=accrual, follow_up=follow_up, loss_mean=loss
    )
    assert found == pytest.approx(probability, abs=1e-9)


def test_half_of_all_patients_have_the_event_by_the_median():
    for ratio, share in ((1.0, 0.5), (2.0, 0.667), (0.3, 0.9)):
        base, exposed = group_hazards(ratio, share, 4.0)
        alive = share * np.exp(-4 * exposed) + (1 - share) * np.exp(-4 * base)
        assert alive == pytest.approx(0.5, abs=1e-12)
        assert exposed / base == pytest.approx(ratio)


def test_swapping_the_groups_changes_nothing():
    given = {"median": 4.0, "accrual": 24.0, "follow_up": 6.0, "loss_mean": 90.0}
    assert event_probability(2.0, 0.667, **given) == pytest.approx(event_probability(0.5, 0.333, **given))


def test_the_unit_of_time_does_not_matter():
    months = event_probability(2.0, 0.6, median=4.0, accrual=24.0, follow_up=6.0, loss_mean=90.0)
    days = event_probability(2.0, 0.6, median=120.0, accrual=720.0, follow_up=180.0, loss_mean=2700.0)
    assert months == pytest.approx(days, abs=1e-12)


def test_longer_follow_up_shows_more_events_and_loss_hides_some():
    given = {"median": 4.0, "accrual": 12.0}
    short, long, endless = (event_probability(2.0, 0.6, follow_up=f, **given) for f in (0.0, 6.0, 1e4))
    assert short < long < endless == pytest.approx(1.0)
    # Followed for ever, a hazard of ln 2 / 4 competes with one of 1 / 10: ln2/4 / (ln2/4 + .1) = .634084
    lost = event_probability(1.0, 0.5, median=4.0, accrual=0.0, follow_up=1e4, loss_mean=10.0)
    assert lost == pytest.approx(0.634084, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schoenfeld_events(1.0, 0.5), "no number of events"),
        (lambda: schoenfeld_events(2.0, 1.0), "share of exposed"),
        (lambda: schoenfeld_events(-2.0, 0.5), "must be positive, found -2.0"),
        (lambda: schoenfeld_events(2.0, 0.5, power=0.01), "power must lie"),
        (lambda: group_hazards(2.0, 0.5, 0.0), "median must be a positive time, found 0.0"),
        (lambda: event_probability(2.0, 0.5, median=4, accrual=-1, follow_up=6), "found -1, 6 and inf"),
    ],
)
def test_what_no_trial_can_have_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
