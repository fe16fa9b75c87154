import numpy as np
import pandas as pd
import pytest

from analysis.survival.cox import cox
from analysis.survival.outcome import NotEstimable
from analysis.survival.ph_test import ph_test, transformed_time

RNG = np.random.default_rng(3)
N = 80
X = pd.DataFrame({"group": (RNG.random(N) < 0.5).astype(float), "score": RNG.normal(size=N)})
TIME = np.ceil(10 * RNG.exponential(np.exp(-0.5 * X["group"])))
EVENT = RNG.random(N) < 0.8
TRANSFORMS = ["km", "rank", "identity", "log"]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_test_is_the_score_test_of_a_covariate_that_changes_with_time(transform, ties):
    # Independent of the code: the follow-up is cut at every event time, x g(t) becomes a covariate like any
    # other, and the score statistic comes from differences of the partial likelihood itself.
    x = X["score"].to_numpy()
    clock = transformed_time(TIME, EVENT, transform)
    ends = np.unique(TIME[EVENT])
    at_end = {end: clock[(end == TIME) & EVENT][0] for end in ends}
    coef = cox(TIME, EVENT, x, ties=ties)["coef"].iloc[0]

    def value(first, second):
        total = 0.0
        for end in ends:
            linear = x * (first + second * at_end[end])
            dead, at_risk = (end == TIME) & EVENT, end <= TIME
            for earlier in range(dead.sum()):
                less = earlier / dead.sum() * np.exp(linear[dead]).sum() if ties == "efron" else 0.0
                total -= np.log(np.exp(linear[at_risk]).sum() - less)
            total += linear[dead].sum()
        return total

    step = np.array([1e-4, 1e-4 / np.abs(clock[EVENT]).max()])
    point = np.array([coef, 0.0])
    score = (value(coef, step[1]) - value(coef, -step[1])) / (2 * step[1])
    information = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            moves = [(a * step * np.eye(2)[i] + b * step * np.eye(2)[j]) for a in (1, -1) for b in (1, -1)]
            corners = [value(*(point + move)) for move in moves]
            information[i, j] = -(corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step[i] * step[j])
    expected = score**2 * np.linalg.inv(information)[1, 1]
    assert ph_test(TIME, EVENT, x, transform=transform, ties=ties)["chi2"].iloc[0] == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("identity", [1, 2, 2, 3]),
        ("rank", [1, 2.5, 2.5, 4]),
        ("log", np.log([1, 2, 2, 3])),
        ("km", [0, 0.25, 0.25, 0.5]),
    ],
)
def test_clocks_by_hand(transform, expected):
    found = transformed_time(np.array([1.0, 2, 2, 3]), np.array([True, True, False, True]), transform)
    assert found == pytest.approx(np.array(expected))


def test_one_covariate_is_its_own_global_and_units_change_nothing():
    table = ph_test(TIME, EVENT, X["group"])
    assert table["term"].tolist() == ["group", "GLOBAL"]
    assert table["chi2"].iloc[0] == table["chi2"].iloc[1]
    moved = ph_test(TIME * 30.4, EVENT, 5 - 3 * X["group"])
    assert moved["chi2"].to_numpy() == pytest.approx(table["chi2"].to_numpy(), rel=1e-8)


def test_one_stratum_is_none_and_the_plan_gives_the_scale():
    table = ph_test(TIME, EVENT, X)
    assert ph_test(TIME, EVENT, X, strata=["one"] * N, transform="km", ties="efron").equals(table)
    assert table["df"].tolist() == [1, 1, 2]
    assert set(table["n"]) == {N}
    assert set(table["events"]) == {EVENT.sum()}


def test_crossing_hazards_are_seen():
    rng = np.random.default_rng(1)
    group = np.repeat([0.0, 1.0], 150)
    time = np.where(group == 1, rng.weibull(3, 300), rng.weibull(0.7, 300))
    assert ph_test(time, np.ones(300), group)["p"].iloc[-1] < 1e-6


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(NotEstimable, match="has an event"):
        ph_test([1, 2], [0, 0], [0, 1])
    with pytest.raises(NotEstimable, match="one group is empty"):
        ph_test([1, 2], [1, 1], [1, 1])
    with pytest.raises(NotEstimable, match="the same time"):
        ph_test([5, 5, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0])
    with pytest.raises(NotEstimable, match="separation"):
        ph_test([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0])
    with pytest.raises(NotEstimable, match="too few events"):
        # At the second event one patient is at risk: it says nothing.
        ph_test([1, 2, 3], [1, 0, 1], [0.5, 0, 1])
    with pytest.raises(NotEstimable, match="no patients are left"):
        ph_test([], [], np.empty((0, 1)))
    with pytest.raises(ValueError, match="transform must be one of"):
        ph_test(TIME, EVENT, X, transform="cubic")
    with pytest.raises(ValueError, match="no logarithm"):
        ph_test([0, 1, 2, 3], [1, 1, 1, 0], [0, 1, 0, 1], transform="log")
    with pytest.raises(ValueError, match="lack a covariate"):
        ph_test([1, 2], [1, 1], [np.nan, 1])
