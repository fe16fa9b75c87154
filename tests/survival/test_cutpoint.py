"""Maximally selected log-rank: numbers of R's maxstat, every allocation of a few patients, degenerate data."""

import itertools
from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis.survival.cutpoint import hothorn_lausen_scores, max_selected_log_rank, select_cut
from analysis.survival.cutpoint_distribution import bound_p, exact_p, maxstat_bound_p, permutation_p
from analysis.survival.outcome import NotEstimable

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_cutpoint.csv", dtype={"term": str})
SMALL = pd.DataFrame(
    {
        "time": [1, 2, 2, 3, 3, 4, 5, 6, 6, 8, 9, 11],
        "event": [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1],
        "score": [5, 4, 5, 3, 4, 4, 2, 3, 1, 2, 1, 2],
    }
)
METHODS = ("lausen92", "lausen94", "hothorn_lausen_maxstat", "permutation")


def is_discrete(row):
    """Tell where M takes few values: R's condMC then leaves out much by counting M > observed only."""
    return row.dataset == "small" and row.analysis == "permutation"


@pytest.fixture(scope="module")
def data():
    lung = lifelines.datasets.load_lung()
    return {
        "veteran": pd.read_csv(FOLDER / "veteran.csv").rename(columns={"status": "event"}),
        "lung": lung.rename(columns={"status": "event"}),
        "ovarian": pd.read_csv(FOLDER / "ovarian.csv").rename(columns={"futime": "time", "fustat": "event"}),
        "small": SMALL,
    }


@pytest.fixture(scope="module")
def searches(data):
    found = {}
    terms = REFERENCE[REFERENCE["analysis"].isin(METHODS)][["dataset", "term"]].drop_duplicates()
    for dataset, term in terms.itertuples(index=False):
        column, shares = term.split(" ")
        low, high = map(float, shares.split("-"))
        frame = data[dataset]
        found[dataset, term] = max_selected_log_rank(
            frame["time"],
            frame["event"],
            frame[column],
            min_share=low,
            max_share=high,
            methods=METHODS,
            permutations=10000,
            rng=np.random.default_rng(5),
        ).set_index("method")
    return found


def test_the_veteran_copy_is_the_one_r_has(data):
    veteran = data["veteran"]
    assert (len(veteran), veteran["event"].sum(), veteran["time"].sum()) == (137, 128, 16663)
    assert veteran["karno"].sum() == 8024


@pytest.mark.parametrize(
    "row",
    [row for row in REFERENCE.itertuples() if row.analysis in METHODS and not is_discrete(row)],
    ids=lambda row: f"{row.dataset}-{row.term}-{row.analysis}-{row.quantity}",
)
def test_statistic_cut_and_p_are_those_of_maxstat(searches, row):
    found = searches[row.dataset, row.term].loc[row.analysis, row.quantity]
    assert found == pytest.approx(row.value, abs=row.tolerance)


def test_r_draws_p_of_a_larger_statistic_and_ours_of_one_as_large():
    rows = [row for row in REFERENCE.itertuples() if is_discrete(row)]
    for row, below in zip(rows, (np.array([2, 5, 7, 10]), np.array([5, 7])), strict=True):
        scores = hothorn_lausen_scores(SMALL["time"], SMALL["event"])
        reached = select_cut(SMALL["time"], SMALL["event"], SMALL["score"])[0]
        assert exact_p(reached * (1 + 1e-6), scores, below) == pytest.approx(row.value, abs=1e-3)
        assert exact_p(reached, scores, below) > row.value + 0.005


def test_the_numbers_of_the_specification():
    veteran = pd.read_csv(FOLDER / "veteran.csv")
    found = max_selected_log_rank(
        veteran["time"], veteran["status"], veteran["karno"], methods=("lausen92", "lausen94")
    )
    assert found["statistic"].tolist() == pytest.approx([4.618062] * 2, abs=1e-6)
    assert found["p"].tolist() == pytest.approx([0.00018856, 0.0000191627], abs=1e-8)
    assert found["cut"].tolist() == [40, 40]


def test_scores_are_those_of_cscores(data):
    rows = REFERENCE[REFERENCE["analysis"] == "scores"]
    small = hothorn_lausen_scores(SMALL["time"], SMALL["event"])
    assert small == pytest.approx(rows.loc[rows["dataset"] == "small", "value"].to_numpy(), abs=1e-12)
    scores = hothorn_lausen_scores(data["lung"]["time"], data["lung"]["event"])
    expected = rows[rows["dataset"] == "lung"].set_index("quantity")["value"]
    assert scores.sum() == pytest.approx(expected["sum"], abs=1e-9)
    assert np.sum(scores**2) == pytest.approx(expected["sum of squares"], abs=1e-9)


def test_the_bound_is_that_of_maxstat_where_maxstat_keeps_to_it(data):
    scores = hothorn_lausen_scores(data["ovarian"]["time"], data["ovarian"]["event"])
    scores = np.round((scores - scores.min()) * 26 / np.ptp(scores))
    rows = REFERENCE[REFERENCE["analysis"] == "bound"]
    for row in rows.itertuples():
        reached = float(row.quantity.removeprefix("b "))
        for bound in (bound_p, maxstat_bound_p):
            assert bound(reached, scores, np.arange(12, 19)) == pytest.approx(row.value, abs=1e-9)


def small_trial(seed, ties):
    rng = np.random.default_rng(seed)
    top = 6 if ties else 10**6
    time, score = rng.integers(1, top, 7), rng.integers(1, top - 2, 7)
    return time, np.arange(7) < 5, score


def enumerate_p(time, event, score):
    """Share of all 5040 orders of the scores whose largest statistic reaches the observed one."""
    values = hothorn_lausen_scores(time, event)[np.argsort(score, kind="stable")]
    centred, n = values - values.mean(), len(values)
    m = np.array([k for k in range(1, n) if np.sort(score)[k] > np.sort(score)[k - 1]])
    spread = np.sqrt(m * (n - m) / (n * (n - 1)) * np.sum(centred**2))
    orders = np.array(list(itertools.permutations(centred)))
    largest = (np.abs(orders.cumsum(axis=1)[:, m - 1]) / spread).max(axis=1)
    observed = (np.abs(centred.cumsum()[m - 1]) / spread).max()
    return observed, np.mean(largest >= observed - 1e-9)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_exact_p_is_the_share_of_all_allocations(seed, ties):
    time, event, score = small_trial(seed, ties)
    found = max_selected_log_rank(
        time,
        event,
        score,
        methods=("exact", "permutation"),
        permutations=20000,
        rng=np.random.default_rng(seed),
    )
    observed, p = enumerate_p(time, event, score)
    assert found["statistic"][0] == pytest.approx(observed)
    assert found["p"][0] == pytest.approx(p, abs=1e-12)
    assert found["p"][1] == pytest.approx(p, abs=4 * np.sqrt(0.25 / 20000))


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_never_below_the_exact_p_of_its_scores_and_near_it_in_the_tail(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 13, 12)
    below = np.sort(rng.choice(np.arange(1, 12), 5, replace=False))
    for reached in (1.5, 2.0, 2.5):
        exact, bound = exact_p(reached, scores, below), bound_p(reached, scores, below)
        assert exact - 1e-12 <= bound <= 2.2 * exact + 1e-12


def test_the_number_of_maxstat_can_be_below_the_exact_p():
    """Four of six patients have the lowest score: R leaves out the draws of two of them, 6 of 15."""
    scores, below = np.array([0, 0, 0, 0, 5, 6]), np.array([2])
    reached = abs(0 - 2 * 11 / 6) / np.sqrt(2 * 4 / 6 * np.var(scores, ddof=1))
    assert exact_p(reached, scores, below) == pytest.approx(6 / 15 + 1 / 15)
    assert bound_p(reached, scores, below) == pytest.approx(6 / 15 + 1 / 15)
    assert maxstat_bound_p(reached, scores, below) == pytest.approx(1 / 15)


def test_the_bound_is_near_the_permutation_p_for_a_trial_of_26(data):
    frame = data["ovarian"]
    scores = hothorn_lausen_scores(frame["time"], frame["event"])
    scores = np.round((scores - scores.min()) * 26 / np.ptp(scores))
    below = np.arange(3, 24)
    for reached in (2.8, 3.2):
        drawn = permutation_p(reached, scores, below, 20000, np.random.default_rng(2))
        bound = bound_p(reached, scores, below)
        assert drawn - 3 * np.sqrt(drawn / 20000) < bound < 2 * drawn


def test_the_order_of_rows_the_unit_of_time_and_a_monotone_score_change_nothing():
    order = np.random.default_rng(3).permutation(len(SMALL))
    other = SMALL.iloc[order]
    plain = max_selected_log_rank(
        SMALL["time"], SMALL["event"], SMALL["score"], methods=("exact", "hothorn_lausen")
    )
    moved = max_selected_log_rank(
        30.4 * other["time"], other["event"], np.exp(other["score"]), methods=("exact", "hothorn_lausen")
    )
    pd.testing.assert_frame_equal(plain.drop(columns="cut"), moved.drop(columns="cut"))
    assert np.log(moved["cut"]).tolist() == pytest.approx(plain["cut"].tolist())


def test_a_planted_cut_is_found_and_a_null_is_not():
    rng = np.random.default_rng(2)
    score = rng.permutation(np.linspace(-1, 1, 120))
    time = rng.exponential(np.where(score <= 0.2, 20.0, 2.0))
    found = max_selected_log_rank(time, np.ones(120), score, methods=("hothorn_lausen",)).iloc[0]
    assert found["cut"] == pytest.approx(0.2, abs=0.1) and found["p"] < 1e-6
    p = max_selected_log_rank(
        rng.permutation(time), np.ones(120), score, methods=("permutation",), permutations=500, rng=rng
    )
    assert p["p"][0] > 0.05


def test_scores_that_differ_by_rounding_are_not_cut_apart():
    score = np.array([0.1 + 0.2, 0.3, 0.3, 0.7, 0.8, 0.9])
    assert select_cut([9, 8, 7, 3, 2, 1], np.ones(6), score)[1] in (0.1 + 0.2, 0.3)
    with pytest.raises(NotEstimable, match="the same in all 3 patients"):
        select_cut([1, 2, 3], np.ones(3), [0.3, 0.3, 0.1 + 0.2])


def test_two_runs_with_one_seed_give_the_same_p():
    runs = [
        max_selected_log_rank(
            SMALL["time"],
            SMALL["event"],
            SMALL["score"],
            methods=("permutation",),
            permutations=1500,
            rng=np.random.default_rng(8),
        )
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*runs)


def test_two_patients_are_one_cut_and_no_evidence():
    found = max_selected_log_rank([1, 2], [1, 1], [5, 3], methods=("exact", "hothorn_lausen", "lausen94"))
    assert found["cut"].tolist() == [3, 3, 3]
    assert found["p"][:2].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("time", "event", "score", "reason"),
    [
        ([1, 2, 3], [0, 0, 0], [1, 2, 3], "none of the 3 patients has an event"),
        ([1, 2, 3], [1, 1, 1], [2, 2, 2], "the same in all 3 patients"),
        ([4, 4, 4], [1, 1, 1], [1, 2, 3], "nobody outlives anybody"),
        ([], [], [], "no patients are left"),
        ([1], [1], [1], "the same in all 1 patients"),
        (range(1, 31), np.ones(30), np.arange(30) == 0, "widen survival.maxstat_range"),
    ],
)
def test_data_without_a_cut_are_refused(time, event, score, reason):
    with pytest.raises(NotEstimable, match=reason):
        max_selected_log_rank(list(time), list(event), list(score), methods=("lausen92",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score": [1, np.nan, 3, 4]}, "1 missing or infinite"),
        ({"score": [1, 2]}, "score must be 4 numbers"),
        ({"min_share": 0.0}, "0 < min_share < max_share < 1"),
        ({"min_share": 0.6, "max_share": 0.4}, "0 < min_share < max_share < 1"),
        ({"methods": ("bonferroni",)}, "a method must be one of"),
        ({"methods": ("permutation",)}, "needs rng"),
        ({"methods": ("permutation",), "rng": np.random.default_rng(1), "permutations": 0}, "at least 1"),
        ({"event": [1, 1, 2, 1]}, "event must be"),
    ],
)
def test_malformed_input_is_refused(change, reason):
    given = {"time": [1, 2, 3, 4], "event": [1, 1, 0, 1], "score": [1, 2, 3, 4], "methods": ("lausen92",)}
    given |= change
    with pytest.raises(ValueError, match=reason):
        max_selected_log_rank(given.pop("time"), given.pop("event"), given.pop("score"), **given)


def test_too_many_patients_for_a_method_are_refused_with_advice():
    time = np.arange(1.0, 302.0)
    with pytest.raises(NotEstimable, match="use 'permutation'"):
        max_selected_log_rank(time, np.ones(301), time, methods=("hothorn_lausen",))
    with pytest.raises(NotEstimable, match="use 'permutation'"):
        max_selected_log_rank(time[:21], np.ones(21), time[:21], methods=("exact",))
    with pytest.raises(ValueError, match="whole numbers"):
        bound_p(2.0, np.array([0.5, 1.0, 2.0]), np.array([1, 2]))


def test_a_seed_is_no_generator():
    with pytest.raises(ValueError, match=r"needs rng=numpy.random.default_rng"):
        max_selected_log_rank([1, 2, 3, 4], [1] * 4, [4, 3, 2, 1], methods=("permutation",), rng=3)
