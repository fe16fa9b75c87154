import itertools
from pathlib import Path

import lifelines.datasets
import lifelines.statistics
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.survival import NotEstimable, log_rank
from analysis.survival.log_rank import log_rank_scores, stratified_log_rank

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_log_rank.csv")
TIME = np.array([1, 2, 3, 4, 5, 6, 7, 8.0])
EVENT = np.array([1, 1, 0, 1, 1, 0, 1, 1], dtype=bool)
GROUP = np.array(list("abababab"))


def generator():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def data():
    """Return the data sets of benchmarks/survival/r_log_rank.R, with its names."""
    lung = lifelines.datasets.load_lung().rename(columns={"status": "event"})
    veteran = pd.read_csv(FOLDER / "veteran.csv").rename(columns={"status": "event"})
    ovarian = pd.read_csv(FOLDER / "ovarian.csv").rename(columns={"futime": "time", "fustat": "event"})
    return {
        "lung": lung,
        "veteran": veteran,
        "veteran_over_64": veteran[veteran["age"] > 64],
        "ovarian": ovarian,
        "ovarian_coarse": ovarian.assign(time=np.ceil(ovarian["time"] / 100)),
    }


@pytest.mark.parametrize(
    "row",
    list(REFERENCE.itertuples()),
    ids=lambda row: f"{row.dataset}-{row.analysis}-{row.term}-{row.quantity}",
)
def test_numbers_of_r_are_reproduced(data, row):
    group, _, stratum = row.term.partition("|")
    if row.analysis == "scores":
        known = data[row.dataset]
        found = log_rank_scores(known["time"], known["event"])[int(row.term) - 1]
    else:
        known = data[row.dataset].dropna(subset=[group, stratum] if stratum else [group])
        arrays = [known["time"], known["event"], known[group]]
        method = next((name for name in ("permutation", "exact") if name in row.analysis), "asymptotic")
        options = {"permutations": 20000, "rng": generator()} if method == "permutation" else {}
        if stratum:
            table = stratified_log_rank(*arrays, known[stratum], method=method, **options)
        else:
            table = log_rank(*arrays, method=method, **options)
        found = table[row.quantity].iloc[0]
    assert found == pytest.approx(row.value, abs=row.tolerance)


def test_four_patients_by_hand():
    # a 1 2, b 3 4: E(a) = 1/2 + 1/3, V = 1/4 + 2/9.
    found = log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("aabb")).iloc[0]
    expected = (2 - 5 / 6) ** 2 / (1 / 4 + 2 / 9)
    assert found["chi2"] == pytest.approx(expected)
    assert (found["n"], found["events"], found["df"]) == (4, 4, 1)


def test_exact_p_counts_the_allocations():
    # Of the six ways to choose two of four, 1 2 and 3 4 are the most extreme: 2 / 6.
    found = log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("aabb"), method="exact").iloc[0]
    assert found["p"] == pytest.approx(2 / 6)
    assert found["permutations"] == 6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.booleans()), min_size=3, max_size=12))
def test_exact_p_equals_a_plain_enumeration(rows):
    time, event, group = (np.array(part) for part in zip(*rows, strict=True))
    if not event.any() or group.all() or not group.any():
        return
    scores = log_rank_scores(time, event)
    observed = abs(scores[group].sum())
    sums = [
        abs(scores[list(chosen)].sum()) for chosen in itertools.combinations(range(len(time)), group.sum())
    ]
    expected = np.mean(np.array(sums) >= observed - 1e-9)
    assert log_rank(time, event, group, method="exact")["p"].iloc[0] == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 2)), min_size=8, max_size=30))
def test_chi_square_equals_lifelines(rows):
    time, event, group = (np.array(part) for part in zip(*rows, strict=True))
    if not event.any() or len(np.unique(group)) < 2:
        return
    try:
        found = log_rank(time, event, group)["chi2"].iloc[0]
    except NotEstimable:
        return
    expected = lifelines.statistics.multivariate_logrank_test(time, group, event).test_statistic
    if np.isfinite(expected):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_permutation_p_comes_near_the_exact_one_and_repeats_with_its_seed():
    exact = log_rank(TIME, EVENT, GROUP, method="exact")["p"].iloc[0]
    first, second = (
        log_rank(TIME, EVENT, GROUP, method="permutation", permutations=20000, rng=generator())["p"].iloc[0]
        for _ in range(2)
    )
    assert first == second
    assert first == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20000))


def test_permutation_stays_within_strata():
    # Each stratum holds one group only: no allocation differs from the observed one.
    options = {"strata": GROUP, "method": "permutation", "permutations": 50, "rng": generator()}
    assert log_rank(TIME, EVENT, GROUP, **options)["p"].iloc[0] == 1.0


def test_scores_sum_to_zero_and_to_observed_minus_expected():
    scores = log_rank_scores([1, 2, 3, 4], [1, 1, 1, 1])
    assert scores.sum() == pytest.approx(0)
    assert scores[:2].sum() == pytest.approx(2 - 5 / 6)


def test_swapping_labels_and_reordering_rows_change_nothing():
    order = generator().permutation(len(TIME))
    swapped = np.where(GROUP == "a", "b", "a")
    found = [
        log_rank(TIME, EVENT, GROUP),
        log_rank(TIME, EVENT, swapped),
        log_rank(TIME[order], EVENT[order], GROUP[order]),
    ]
    assert [table["chi2"].iloc[0] for table in found] == pytest.approx([found[0]["chi2"].iloc[0]] * 3)


def test_all_events_at_one_time_carry_no_information():
    found = log_rank([5, 5, 5, 5], [1, 1, 1, 1], list("aabb")).iloc[0]
    assert (found["chi2"], found["p"]) == (0, 1)


def test_all_events_at_one_time_say_nothing_about_three_groups_either():
    found = log_rank([5] * 6, [1] * 6, list("aabbcc")).iloc[0]
    assert (found["chi2"], found["df"], found["p"]) == (0, 2, 1)


def test_groups_that_are_never_compared_are_refused():
    # c is censored before the first event.
    with pytest.raises(NotEstimable, match="never at risk together"):
        log_rank([3, 4, 5, 6, 1, 2], [1, 1, 1, 1, 0, 0], list("ababcc"))
    # a and b in one stratum, c and d in the other.
    outcome = (np.arange(1.0, 9), np.ones(8), list("abcdabcd"))
    with pytest.raises(NotEstimable, match="never at risk together"):
        stratified_log_rank(*outcome, list("xxyyxxyy"))


def test_strata_that_compare_nothing_add_nothing():
    alone = log_rank(TIME, EVENT, GROUP).iloc[0]
    more = (np.r_[TIME, 1, 2, 1, 2], np.r_[EVENT, 1, 1, 0, 0], np.r_[GROUP, list("aaab")])
    found = stratified_log_rank(*more, ["x"] * 8 + ["one group"] * 2 + ["no event"] * 2).iloc[0]
    assert found["chi2"] == pytest.approx(alone["chi2"])
    assert (found["n"], found["events"]) == (12, alone["events"] + 2)


def test_observed_minus_expected_within_two_strata_by_hand():
    # In each stratum a dies first of two: O - E = 1/2, V = 1/4; together 1 and 1/2.
    found = stratified_log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("abab"), list("xxyy")).iloc[0]
    assert found["chi2"] == pytest.approx(1 / (1 / 2))


def test_the_observed_allocation_alone_decides_where_no_other_is_possible():
    for method, options in (("exact", {}), ("permutation", {"permutations": 99, "rng": generator()})):
        found = log_rank([5, 5, 5, 5], [1, 1, 1, 1], list("abab"), method=method, **options).iloc[0]
        assert found["p"] == 1


def test_the_exact_test_of_26_patients_counts_every_allocation(data):
    known = data["ovarian"]
    found = log_rank(known["time"], known["event"], known["rx"], method="exact").iloc[0]
    assert found["permutations"] == 10_400_600  # 26 choose 13


def test_two_patients_are_tested():
    found = log_rank([1, 2], [1, 1], ["a", "b"], method="exact").iloc[0]
    assert (found["chi2"], found["p"]) == (pytest.approx(1), 1.0)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(NotEstimable, match="none of the 2 patients has an event"):
        log_rank([1, 2], [0, 0], ["a", "b"])
    with pytest.raises(NotEstimable, match="one group is empty"):
        log_rank([1, 2], [1, 1], ["a", "a"])
    with pytest.raises(ValueError, match="needs rng"):
        log_rank(TIME, EVENT, GROUP, method="permutation")
    with pytest.raises(ValueError, match="at least one permutation"):
        log_rank(TIME, EVENT, GROUP, method="permutation", permutations=0, rng=generator())
    with pytest.raises(ValueError, match="needs strata"):
        stratified_log_rank(TIME, EVENT, GROUP, None)
    with pytest.raises(ValueError, match="have no group"):
        log_rank([1, 2], [1, 1], ["a", None])
    with pytest.raises(NotEstimable, match="no patients are left"):
        log_rank([], [], [])
    with pytest.raises(ValueError, match="no strata"):
        stratified_log_rank(TIME, EVENT, GROUP, GROUP, method="exact")
    with pytest.raises(ValueError, match="at most 30"):
        log_rank(np.arange(40), np.ones(40), np.arange(40) % 2, method="exact")
    with pytest.raises(ValueError, match="method must be"):
        log_rank(TIME, EVENT, GROUP, method="bayes")


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_a_missing_label_in_a_list_of_text_is_no_group(missing):
    labels = ["a", missing, "b", "a", "b", "a"]
    with pytest.raises(ValueError, match="1 patients have no group"):
        log_rank([1, 2, 3, 4, 5, 6], [1] * 6, labels)
    with pytest.raises(ValueError, match="1 patients have no strata"):
        log_rank([1, 2, 3, 4, 5, 6], [1] * 6, list("ababab"), strata=labels)
    with pytest.raises(ValueError, match="1 patients have no strata"):
        log_rank_scores([1, 2, 3, 4, 5, 6], [1] * 6, labels)


def test_a_seed_is_no_generator():
    for seed in (3, np.random.RandomState(3)):
        with pytest.raises(ValueError, match=r"needs rng=numpy.random.default_rng"):
            log_rank(TIME, EVENT, GROUP, method="permutation", rng=seed)
