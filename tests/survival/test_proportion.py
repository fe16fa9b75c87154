import pytest

from analysis.survival import proportion, proportion_bounds


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [
        (37, 69, 41.2, 65.7),
        (21, 48, 29.5, 58.8),
        (6, 25, 9.4, 45.1),
        (19, 20, 75.1, 99.9),
        (13, 18, 46.5, 90.3),
    ],
)
def test_published_clopper_pearson_intervals_are_reproduced(successes, n, lower, upper):
    # AVATAXHER complete response, and SoMore by patient (doi 10.1007/s00259-016-3365-x).
    row = proportion(successes, n).iloc[0]
    assert row["method"] == "clopper_pearson"
    assert (100 * row["lower"], 100 * row["upper"]) == (
        pytest.approx(lower, abs=0.06),
        pytest.approx(upper, abs=0.06),
    )


def test_wilson_by_its_formula():
    # 30 of 45: (p + z^2/2n -+ z sqrt(p q / n + z^2 / 4n^2)) / (1 + z^2/n)
    row = proportion(30, 45).iloc[1]
    assert (row["lower"], row["upper"]) == (pytest.approx(0.5208, abs=2e-4), pytest.approx(0.7864, abs=2e-4))


def test_nobody_and_everybody_have_one_sided_room():
    assert proportion(0, 10)["lower"].tolist() == [0, 0]
    assert proportion(10, 10)["upper"].tolist() == pytest.approx([1, 1])
    # Rule of Clopper-Pearson at zero: 1 - (alpha/2)^(1/n)
    assert proportion(0, 10)["upper"].iloc[0] == pytest.approx(1 - 0.025**0.1)


def test_no_patients_give_no_estimate_and_no_information():
    table = proportion(0, 0)
    assert table["estimate"].isna().all()
    assert table[["lower", "upper"]].to_numpy().tolist() == [[0, 1], [0, 1]]


def test_more_successes_than_patients_are_refused():
    with pytest.raises(ValueError, match="found 3 of 2"):
        proportion(3, 2)


def test_missing_patients_bound_the_proportion():
    table = proportion_bounds(6, 10, 2).drop_duplicates("case").set_index("case")
    assert table["estimate"].to_dict() == pytest.approx({"observed": 0.6, "lowest": 0.5, "highest": 8 / 12})


@pytest.mark.parametrize(
    "pair", [(2.7, 10), (2, 10.5), (float("nan"), 10), ("2", 10), (2, None), (2, float("inf"))]
)
def test_patients_come_in_whole_numbers(pair):
    with pytest.raises(ValueError, match="number of patients"):
        proportion(*pair)


def test_a_whole_number_may_be_a_float():
    assert proportion(3.0, 10.0).equals(proportion(3, 10))
    with pytest.raises(ValueError, match="missing must be"):
        proportion_bounds(3, 10, -1)


def test_a_level_that_is_none_is_refused():
    for alpha in (1.5, 95):
        with pytest.raises(ValueError, match="alpha must lie"):
            proportion(3, 10, alpha=alpha)
