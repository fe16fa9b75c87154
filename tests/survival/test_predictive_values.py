import numpy as np
import pytest

from analysis.survival import NotEstimable, proportion
from analysis.survival.predictive_values import predictive_values

QUANTITIES = ["ppv", "npv", "sensitivity", "specificity"]
KAPLAN_MEIER = ["kaplan_meier_log_log"] * 2 + ["kaplan_meier_delta"] * 2


def cohort(seed, n, censored):
    """Simulate times, events and a test; the positive have three times the hazard."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    time = rng.exponential(np.where(positive, 4, 12))
    followed = rng.exponential(10, n) if censored else np.full(n, np.inf)
    return np.minimum(time, followed), time <= followed, positive


def test_four_values_by_hand_where_nobody_is_censored():
    # Positive: 1 2 9; negative: 3 8 9 9. By 5: positive with 2, without 1; negative with 1, without 3.
    found = predictive_values([1, 2, 9, 3, 8, 9, 9], [1] * 7, [1, 1, 1, 0, 0, 0, 0], 5)
    expected = {"ppv": (2, 3), "npv": (3, 4), "sensitivity": (2, 3), "specificity": (3, 4)}
    for quantity, (successes, n) in expected.items():
        rows = found[found["quantity"] == quantity]
        limits = proportion(successes, n)
        assert rows["method"].tolist() == ["clopper_pearson", "wilson"]
        for name in ("estimate", "lower", "upper"):
            assert rows[name].tolist() == pytest.approx(limits[name].tolist())


def test_kaplan_meier_by_hand_where_somebody_is_censored():
    # Positive: 1, censored 2, 3, 9: S(5) = 3/4 x 1/2. Negative as above: nobody censored by 5.
    found = predictive_values([1, 2, 3, 9, 3, 8, 9, 9], [1, 0, 1, 1, 1, 1, 1, 1], [1] * 4 + [0] * 4, 5)
    first = found.set_index("quantity").loc["ppv"]
    assert (first["method"], first["estimate"]) == ("kaplan_meier_log_log", pytest.approx(5 / 8))
    assert (first["n"], first["n_censored"]) == (4, 1)
    assert found[found["quantity"] == "npv"]["method"].tolist() == ["clopper_pearson", "wilson"]
    bayes = found.set_index("quantity").loc["sensitivity", "estimate"]
    assert bayes == pytest.approx(4 * 5 / 8 / (4 * 5 / 8 + 4 * 1 / 4))


def test_a_patient_censored_on_the_horizon_is_known_to_be_free_of_the_event():
    found = predictive_values([5, 2, 5, 9], [0, 1, 1, 1], [0, 1, 1, 0], 5)
    assert found["n_censored"].eq(0).all()
    assert found.groupby("quantity")["estimate"].first().to_dict() == dict.fromkeys(QUANTITIES, 1.0)


def test_censoring_does_not_move_the_values():
    truth = predictive_values(*cohort(1, 20000, False), 6).drop_duplicates("quantity").set_index("quantity")
    found = predictive_values(*cohort(1, 20000, True), 6).set_index("quantity")
    assert found["method"].tolist() == KAPLAN_MEIER
    for quantity in QUANTITIES:
        assert found.loc[quantity, "estimate"] == pytest.approx(truth.loc[quantity, "estimate"], abs=0.02)
        assert found.loc[quantity, "lower"] < truth.loc[quantity, "estimate"] < found.loc[quantity, "upper"]


def test_intervals_of_sensitivity_cover_at_the_trials_size():
    positive = 0.4 * -np.expm1(-6 / 4)
    truth = positive / (positive + 0.6 * -np.expm1(-6 / 12))
    rows = [predictive_values(*cohort(seed, 60, True), 6).set_index("quantity") for seed in range(40)]
    covered = [row.loc["sensitivity", "lower"] <= truth <= row.loc["sensitivity", "upper"] for row in rows]
    assert np.mean(covered) > 0.85


def test_the_horizon_counts_from_before_the_landmark():
    time, event, positive = cohort(3, 40, True)
    shifted = predictive_values(time, event, positive, 7.5, entry=np.full(40, 1.5))
    expected = predictive_values(time, event, positive, 6)
    assert shifted["estimate"].tolist() == pytest.approx(expected["estimate"].tolist())


def test_an_event_on_the_horizon_day_is_by_the_horizon_whatever_the_last_bit():
    # 14 + 84 days in months are not 98 days in months to the last bit.
    days = 30.4375
    entry, time = 13 / days, 85 / days
    assert any((13 / days + k / days) != (13 + k) / days for k in range(60, 100))
    found = predictive_values([time, 200 / days], [1, 1], [1, 0], 98 / days, entry=[entry, entry])
    assert found["estimate"].eq(1).all()


def test_a_horizon_some_landmarks_have_passed_is_refused():
    with pytest.raises(NotEstimable, match="1 of 3 patients reach their landmark at or after the horizon 3"):
        predictive_values([1, 2, 3], [1, 1, 0], [1, 0, 0], 3, entry=[0.5, 3, 1])


def test_a_horizon_beyond_follow_up_is_missing_for_the_class_it_fails():
    # The negative are followed to 4 only; the positive all have the event.
    found = predictive_values([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0], 6).set_index("quantity")
    assert found.loc["ppv", "estimate"].tolist() == [1, 1]
    for quantity in ("npv", "sensitivity", "specificity"):
        assert np.isnan(found.loc[quantity, "estimate"])
        assert "negative patients are not followed to the horizon" in found.loc[quantity, "note"]


def test_without_an_event_there_is_no_sensitivity_and_no_interval():
    found = predictive_values([2, 9, 3, 9], [0, 0, 0, 0], [1, 1, 0, 0], 6).set_index("quantity")
    assert found["estimate"].drop("sensitivity").to_dict() == {"ppv": 0, "npv": 1, "specificity": 0.5}
    assert found.loc["sensitivity", "note"] == "nobody has had the event at the horizon"
    assert np.isnan(found.loc["ppv", "lower"])
    assert found.loc["ppv", "note"] == "no interval: none of the positive have the event by the horizon"
    plain = predictive_values([9, 9], [0, 0], [1, 0], 6).set_index("quantity")
    assert plain.loc["sensitivity", "estimate"].isna().all()
    assert plain.loc["sensitivity", "note"].eq("no patient to take the proportion of").all()


def test_where_all_have_the_event_the_interval_of_sensitivity_is_missing_and_says_so():
    found = predictive_values([1, 2, 3, 4, 9], [1, 0, 1, 1, 0], [1, 1, 1, 0, 0], 6).set_index("quantity")
    assert found.loc["ppv", "estimate"] == 1
    assert found.loc["sensitivity", "estimate"] == pytest.approx(3 / (3 + 2 * 0.5))
    assert found.loc["sensitivity", "note"].startswith("no interval")
    assert np.isnan(found.loc["sensitivity", "lower"])


def test_two_patients_of_one_class_each():
    found = predictive_values([1, 9], [1, 1], [1, 0], 5)
    assert found["estimate"].eq(1).all()


def test_malformed_input_is_refused():
    with pytest.raises(NotEstimable, match="one class is empty"):
        predictive_values([1, 2], [1, 1], [1, 1], 5)
    with pytest.raises(ValueError, match="positive must be True"):
        predictive_values([1, 2], [1, 1], [1, np.nan], 5)
    with pytest.raises(ValueError, match="entry must be a number"):
        predictive_values([1, 2], [1, 1], [1, 0], 5, entry=[1, np.nan])
    with pytest.raises(ValueError, match="horizon must be a positive number"):
        predictive_values([1, 2], [1, 1], [1, 0], 0)
    with pytest.raises(NotEstimable, match="no patients are left"):
        predictive_values([], [], [], 5)


def test_text_and_other_levels_are_refused():
    with pytest.raises(ValueError, match="positive must be True/1"):
        predictive_values([1, 2], [1, 1], ["0", "1"], 5)  # both would be True
    with pytest.raises(ValueError, match="found 3"):
        predictive_values([1, 2], [1, 1], [1, 0, 1], 5)
    with pytest.raises(ValueError, match="alpha must lie between"):
        predictive_values([1, 2], [1, 1], [1, 0], 5, alpha=5)
