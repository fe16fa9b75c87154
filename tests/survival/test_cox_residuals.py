import numpy as np
import pandas as pd
import pytest

from analysis.survival.cox import cox
from analysis.survival.cox_residuals import leave_one_out, martingale_residuals, schoenfeld_residuals
from analysis.survival.outcome import NotEstimable

RNG = np.random.default_rng(8)
N = 40
X = pd.DataFrame({"group": (RNG.random(N) < 0.5).astype(float), "score": RNG.normal(size=N)})
TIME = np.ceil(8 * RNG.exponential(np.exp(-0.5 * X["group"])))
EVENT = RNG.random(N) < 0.8


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_residuals_sum_to_nothing_at_the_maximum(ties):
    by_event = schoenfeld_residuals(TIME, EVENT, X, ties=ties)
    coef = cox(TIME, EVENT, X, ties=ties).set_index("term")["coef"]
    assert by_event.groupby("term")["residual"].sum().to_numpy() == pytest.approx([0, 0], abs=1e-8)
    assert by_event.groupby("term")["scaled"].mean().to_numpy() == pytest.approx(
        coef.sort_index().to_numpy(), abs=1e-8
    )
    by_row = martingale_residuals(TIME, EVENT, X, ties=ties)
    assert by_row["martingale"].sum() == pytest.approx(0, abs=1e-8)
    assert by_row["expected"].sum() == pytest.approx(EVENT.sum())
    assert len(by_event) == 2 * EVENT.sum()


def test_three_patients_by_hand():
    # As in test_cox: r = exp(coef) = 1 / sqrt(2). At 1 the expected x is 2r / (2r + 1), at 2 r / (1 + r).
    r = 1 / np.sqrt(2)
    first, second = 2 * r / (2 * r + 1), r / (1 + r)
    by_event = schoenfeld_residuals([1, 2, 3], [1, 1, 0], [1, 0, 1])
    assert by_event["row"].tolist() == [0, 1]
    assert by_event["residual"].tolist() == pytest.approx([1 - first, -second])
    information = first * (1 - first) + second * (1 - second)
    assert by_event["scaled"].tolist() == pytest.approx(
        (np.array([1 - first, -second]) * 2 / information + np.log(r)).tolist()
    )
    by_row = martingale_residuals([1, 2, 3], [1, 1, 0], [1, 0, 1])
    hazards = np.array([1 / (2 * r + 1), 1 / (1 + r)])
    expected = [r * hazards[0], hazards.sum(), r * hazards.sum()]
    assert by_row["expected"].tolist() == pytest.approx(expected)
    m = np.array([1, 1, 0]) - expected
    by_hand = np.sign(m) * np.sqrt(-2 * (m + np.array([np.log(expected[0]), np.log(expected[1]), 0])))
    assert by_row["deviance"].tolist() == pytest.approx(by_hand.tolist())


def test_residuals_are_ordered_by_stratum_and_time():
    strata = np.arange(N) % 2
    table = schoenfeld_residuals(TIME, EVENT, X["score"], strata=strata)
    assert table["row"].tolist() == sorted(
        np.flatnonzero(EVENT), key=lambda row: (strata[row], TIME[row], row)
    )
    assert (table["time"] == TIME[table["row"]]).all()


@pytest.mark.parametrize("penalty", [None, "firth"])
def test_leaving_one_out_is_fitting_without_it(penalty):
    n = 25
    time, event, x = TIME[:n], EVENT[:n], X[:n]
    table = leave_one_out(time, event, x, penalty=penalty)
    assert table["left_out"].tolist() == np.repeat(np.arange(n), 2).tolist()
    whole = cox(time, event, x, penalty=penalty)["coef"].to_numpy()
    for k in (0, n - 1):
        kept = np.arange(n) != k
        expected = cox(time[kept], event[kept], x[kept], penalty=penalty)
        rows = table[table["left_out"].eq(k)]
        assert rows["coef"].to_numpy() == pytest.approx(expected["coef"].to_numpy(), abs=1e-7)
        assert rows["estimate"].to_numpy() == pytest.approx(expected["estimate"].to_numpy(), rel=1e-7)
        assert rows["change"].to_numpy() == pytest.approx(expected["coef"].to_numpy() - whole, abs=1e-7)
        assert rows["n"].tolist() == [n - 1] * 2
        assert rows["events"].tolist() == [event[kept].sum()] * 2


def test_a_cluster_is_left_out_whole():
    centre = np.array(["a", "b", "c", "d"])[np.arange(N) % 4]
    table = leave_one_out(TIME, EVENT, X["group"], cluster=centre, weights=1 + np.arange(N) % 2)
    assert table["left_out"].tolist() == ["a", "b", "c", "d"]
    kept = centre != "b"
    expected = cox(TIME[kept], EVENT[kept], X["group"][kept], weights=(1 + np.arange(N) % 2)[kept])
    assert table["coef"].iloc[1] == pytest.approx(expected["coef"].iloc[0], abs=1e-9)


def test_without_whom_there_is_no_estimate_is_said():
    # The event at 4 and the censoring at 6 keep the groups from being separated, each by itself.
    time, event, x = [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 1]
    table = leave_one_out(time, event, x)
    refused = table[table["reason"].ne("")]
    assert refused["left_out"].tolist() == [3, 5]
    assert refused["reason"].str.contains("separation").all()
    assert refused["coef"].isna().all()
    assert table.loc[table["reason"].eq(""), "coef"].notna().all()
    assert leave_one_out(time, event, x, penalty="firth")["coef"].notna().all()


def test_leaving_out_the_only_event_or_the_only_one_of_a_group_is_said():
    table = leave_one_out([1, 2, 3], [1, 0, 0], [1, 0, 1], penalty="firth")
    assert table["reason"].str.contains("has an event").tolist() == [True, False, False]
    assert table["reason"].str.contains("one group is empty").tolist() == [False, True, False]
    two = leave_one_out([1, 2], [1, 0], [1, 0], penalty="firth")
    assert two["estimate"].isna().all()


def test_what_cannot_be_fitted_is_refused():
    for compute in (schoenfeld_residuals, martingale_residuals, leave_one_out):
        with pytest.raises(NotEstimable, match="has an event"):
            compute([1, 2], [0, 0], [0, 1])
        with pytest.raises(NotEstimable, match="separation"):
            compute([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0])
        with pytest.raises(NotEstimable, match="one group is empty"):
            compute([1, 2], [1, 1], [1, 1])
        with pytest.raises(NotEstimable, match="no patients are left"):
            compute([], [], np.empty((0, 1)))
        with pytest.raises(ValueError, match="lack a covariate"):
            compute([1, 2], [1, 1], [np.nan, 1])
    with pytest.raises(ValueError, match="penalty must be"):
        leave_one_out(TIME, EVENT, X, penalty="ridge")
    with pytest.raises(ValueError, match="Breslow ties and no strata"):
        leave_one_out(TIME, EVENT, X, penalty="firth", strata=np.zeros(N))


def test_all_events_tied_leave_nothing_to_explain():
    table = martingale_residuals([5, 5, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0])
    # Under Efron a tie of four shares 1/4 + 1/3 x 3/4 + 1/2 x 2/4 + 1/4 = 1 of a hazard: nobody is a surprise.
    assert table["martingale"].tolist() == pytest.approx([0, 0, 0, 0], abs=1e-9)
