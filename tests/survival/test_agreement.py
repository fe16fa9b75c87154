from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis.survival import NotEstimable, bland_altman, gwet_ac1, kappa, mcnemar
from analysis.survival.agreement import icc

# Made by benchmarks/survival/r_agreement.R.
REFERENCE = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_agreement.csv")

# Shrout and Fleiss 1979, table 2: six targets, four judges.
SHROUT = np.array([9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7]).reshape(6, 4)


@pytest.fixture(scope="module")
def found():
    """Two raters of the same patients: Karnofsky by the physician and by the patient, R's `lung`."""
    lung = lifelines.datasets.load_lung().dropna(subset=["ph.karno", "pat.karno"])
    pair = (lung["ph.karno"].to_numpy(), lung["pat.karno"].to_numpy())
    below = tuple(values < 80 for values in pair)
    tables = {
        ("lung", "kappa", "karno"): kappa(*pair),
        ("lung", "kappa", "karno_below_80"): kappa(*below),
        ("lung", "gwet_ac1", "karno"): gwet_ac1(*pair),
        ("lung", "gwet_ac1", "karno_below_80"): gwet_ac1(*below),
        ("lung", "mcnemar", "karno_below_80"): mcnemar(*below),
        ("split_1_7", "mcnemar", "1 against 7"): mcnemar(*raters(10, 1, 7, 10)),
        ("lung", "bland_altman", "karno"): bland_altman(*pair),
    }
    for name, ratings in (("lung", np.column_stack(pair)), ("shrout_fleiss", SHROUT)):
        rows = icc(ratings).set_index("method")
        tables |= {(name, "icc", method): rows.loc[[method]] for method in rows.index}
    return tables


@pytest.mark.parametrize(
    "row",
    list(REFERENCE.itertuples()),
    ids=lambda row: f"{row.dataset}-{row.analysis}-{row.term}-{row.quantity}",
)
def test_numbers_of_r_are_reproduced(found, row):
    value = found[row.dataset, row.analysis, row.term][row.quantity].iloc[0]
    assert value == pytest.approx(row.value, abs=row.tolerance)


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


def test_icc_of_the_published_example():
    # Shrout and Fleiss 1979, table 4: .17, .29, .71.
    assert icc(SHROUT)["estimate"].round(2).tolist() == [0.17, 0.29, 0.71]


def test_a_constant_shift_is_forgiven_by_consistency_alone():
    rows = icc([[1.0, 3.0], [2.0, 4.0], [5.0, 7.0]]).set_index("method")["estimate"]
    assert rows["icc_consistency"] == 1
    assert rows["icc_agreement"] < 1 and rows["icc_one_way"] < 1


def test_readers_who_never_differ_agree_fully():
    rows = icc([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])
    assert (rows["estimate"] == 1).all()
    assert rows[["lower", "upper"]].isna().all(axis=None)  # no noise, no interval


def test_icc_of_equal_measurements_is_missing():
    assert icc(np.ones((4, 2)))["estimate"].isna().all()


def test_icc_of_nobody_or_of_gaps_is_refused():
    with pytest.raises(NotEstimable, match="two of each"):
        icc([[1.0, 2.0]])
    with pytest.raises(ValueError, match="one finite measurement"):
        icc([[1.0, np.nan], [2.0, 2.0]])


@pytest.mark.parametrize("measure", [kappa, gwet_ac1])
def test_a_missing_class_among_text_is_refused(measure):
    # numpy makes the text "nan" of it, a class like any other.
    for classes in (["a", np.nan, "b"], ["a", None, "b"], pd.Series(["a", pd.NA, "b"], dtype="string")):
        with pytest.raises(ValueError, match="1 patients have no class"):
            measure(classes, ["a", "b", "b"])
    with pytest.raises(ValueError, match="class mixes int, text"):
        measure([1, 0, 1], ["1", "0", "1"])


@pytest.mark.parametrize("measure", [kappa, gwet_ac1])
def test_without_a_standard_error_there_are_no_limits(measure):
    row = measure(["a", "b", "a", "c"] * 7, ["a", "b", "a", "c"] * 7).iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert np.isnan(row["lower"]) and np.isnan(row["upper"])


@pytest.mark.parametrize(
    "wrong", [[1, 0, np.nan], ["R", "N", "R"], ["1", "0", "1"], [1, 2, 3], [True, None, False]]
)
def test_mcnemar_takes_yes_and_no_alone(wrong):
    with pytest.raises(ValueError, match="first must be True/1 or False/0"):
        mcnemar(wrong, [1, 0, 1])
    with pytest.raises(ValueError, match="second must be True/1 or False/0"):
        mcnemar([1, 0, 1], wrong)


def test_mcnemar_reads_every_kind_of_yes_and_no():
    kinds = [True, True, True, False], [1.0, 1, 1, 0], pd.Series([True, True, True, False], dtype="boolean")
    for kind in (*kinds, np.array([1, 1, 1, 0])):
        assert mcnemar(kind, [0, 0, 0, 0])["p_exact"].iloc[0] == 0.25


def test_bland_altman_takes_finite_pairs_alone():
    with pytest.raises(ValueError, match="same patients"):
        bland_altman([1, 2, 3], [1])  # would be spread over all
    for gap in (np.nan, np.inf):
        with pytest.raises(ValueError, match="1 patients lack"):
            bland_altman([1, 2, gap], [1, 2, 3])
    row = bland_altman([1, 2, 3], [2, 3, 4]).iloc[0]
    assert (row["bias"], row["sd"], row["lower"], row["upper"]) == (1, 0, 1, 1)
    assert np.isnan(row["bias_lower"]) and np.isnan(row["bias_upper"])
    assert bland_altman([], [])["n"].iloc[0] == 0


@pytest.mark.parametrize("alpha", [0, 1, 1.5, 95, -0.05, np.nan, "0.05", None])
def test_a_level_that_is_none_is_refused(alpha):
    for measure in (kappa, gwet_ac1, bland_altman):
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
            measure([1, 0, 1], [1, 1, 0], alpha=alpha)
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        icc([[1.0, 2.0], [3.0, 5.0]], alpha=alpha)
