import numpy as np
import pytest

from analysis.survival import bland_altman, gwet_ac1, kappa, mcnemar


def raters(both_yes, only_first, only_second, both_no):
    first = [1] * (both_yes + only_first) + [0] * (only_second + both_no)
    second = [1] * both_yes + [0] * only_first + [1] * only_second + [0] * both_no
    return np.array(first), np.array(second)


def test_kappa_by_hand_with_its_published_error():
    # 20 5 / 10 15: agreement .70, chance .50, kappa .40.
    row = kappa(*raters(20, 5, 10, 15)).iloc[0]
    assert row["estimate"] == pytest.approx(0.4)
    assert row["agreement"] == pytest.approx(0.7)
    assert row["lower"] < 0.4 < row["upper"]


def test_ac1_stays_high_where_kappa_collapses():
    # Gwet's example: 118 5 / 2 0. AC1 = (.944 - .054432) / (1 - .054432); kappa is below 0.
    first, second = raters(118, 5, 2, 0)
    assert gwet_ac1(first, second)["estimate"].iloc[0] == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))
    assert kappa(first, second)["estimate"].iloc[0] == pytest.approx(-0.0234, abs=1e-4)


def test_the_error_of_ac1_comes_near_that_of_the_bootstrap():
    first, second = raters(20, 5, 10, 15)
    row, rng = gwet_ac1(first, second).iloc[0], np.random.default_rng(2)
    draws = [
        gwet_ac1(first[rows], second[rows])["estimate"].iloc[0] for rows in rng.integers(0, 50, (400, 50))
    ]
    assert row["upper"] - row["lower"] == pytest.approx(2 * 2.01 * np.std(draws), rel=0.15)


def test_full_agreement_in_one_class_leaves_kappa_missing():
    assert np.isnan(kappa([1, 1], [1, 1])["estimate"].iloc[0])
    assert gwet_ac1([1, 1], [1, 1])["estimate"].iloc[0] == 1


def test_who_is_first_does_not_matter():
    first, second = raters(7, 5, 2, 6)
    for measure in (kappa, gwet_ac1):
        forth, back = measure(first, second).iloc[0], measure(second, first).iloc[0]
        assert forth["estimate"] == pytest.approx(back["estimate"])


def test_mcnemar_by_hand():
    # 1 against 7 discordant: exact 2 x (1 + 8) / 256; mid-p is smaller by the point probability 8 / 256.
    row = mcnemar(*raters(10, 1, 7, 10)).iloc[0]
    assert (row["only_first"], row["only_second"]) == (1, 7)
    assert row["p_exact"] == pytest.approx(18 / 256)
    assert row["p_mid"] == pytest.approx(10 / 256)


def test_mcnemar_without_discordant_patients_is_one():
    row = mcnemar(*raters(3, 0, 0, 4)).iloc[0]
    assert (row["p_exact"], row["p_mid"]) == (1, 1)


def test_bland_altman_by_hand():
    row = bland_altman([1, 2, 3], [2, 4, 3]).iloc[0]
    assert (row["bias"], row["sd"]) == (1, 1)
    assert (row["lower"], row["upper"]) == (pytest.approx(1 - 1.959964), pytest.approx(1 + 1.959964))


def test_classes_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="same patients"):
        kappa([1, 0], [1])
    with pytest.raises(ValueError, match="missing"):
        gwet_ac1(["a", None], ["a", "b"])
    with pytest.raises(ValueError, match="same patients"):
        mcnemar([1], [1, 0])
