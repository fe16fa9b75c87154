"""Two-group Cox models against R, the project's own `cox`, scipy on the likelihood, and hand calculation."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from analysis.survival.cox import cox
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import NotEstimable
from analysis.survival.permuted import permute_within
from analysis.survival.two_group import fit_two_groups

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_two_group.csv")
VETERAN = pd.read_csv(FOLDER / "veteran.csv")
OPTIONS = {
    "efron": {"ties": "efron"},
    "breslow": {"ties": "breslow"},
    "firth": {"ties": "breslow", "penalty": "firth"},
}


def part(b):
    """Return the patients of benchmarks/survival/r_two_group.R: time, event and group, nan for the others."""
    patient = np.arange(1, len(VETERAN) + 1)
    inside = ((7 * patient + 5 * b) % 17 < [1, 3, 5][b % 3]) & ((patient + b) % 11 != 0)
    time = np.ceil(VETERAN["time"] / 30) if b % 2 else VETERAN["time"]
    event = VETERAN["status"].eq(1) & ((patient + b) % 4 != 0)
    exposed = (patient**2 + 2 * b * patient) % 7 < 3
    return np.where(inside, time, np.nan), event.to_numpy(float), exposed.astype(float)


@pytest.mark.parametrize("analysis", OPTIONS)
def test_numbers_of_r_are_reproduced_in_one_call(analysis):
    expected = REFERENCE[REFERENCE["analysis"].eq(analysis)]
    parts = sorted(expected["term"].unique())
    time, event, exposed = (np.array(stack) for stack in zip(*map(part, parts), strict=True))
    found = fit_two_groups(time, event, exposed, alpha=0.05, **OPTIONS[analysis]).assign(term=parts)
    found = found.set_index("term")
    assert len(expected) == 18 * 9
    for row in expected.itertuples():
        value = float(found.loc[row.term, row.quantity])
        assert value == row.value or abs(value - row.value) < row.tolerance * (1 + abs(row.value)), row
    assert found["estimable"].all()
    assert found.index[found["monotone"]].tolist() == [12]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_fit_equals_the_model_fitted_alone(options):
    rng = np.random.default_rng(7)
    compared = 0
    for _ in range(25):
        n = int(rng.integers(6, 25))
        time, event = rng.integers(1, 12, n).astype(float), rng.random(n) < 0.7
        exposed = (rng.random((1, n)) < rng.uniform(0.3, 0.7)).astype(float)
        found = fit_two_groups(time, event, exposed, alpha=0.1, **options).iloc[0]
        try:
            one = cox(time, event, exposed[0], alpha=0.1, **options).iloc[0]
        except NotEstimable:
            assert found["monotone"] or not found["estimable"]
            continue
        compared += 1
        # firthmodels stops at a gradient of 1e-8 to 1e-6.
        near = pytest.approx(np.log([one["estimate"], one["lower"], one["upper"]]), abs=1e-6)
        if "penalty" not in options:
            near = pytest.approx([one["coef"], *np.log([one["lower"], one["upper"]])], abs=1e-8)
        assert found[["coef", "lower", "upper"]].to_numpy(float) == near
        assert found["z"] ** 2 == pytest.approx(2 * (one["loglik"] - one["loglik_null"]), abs=1e-8)
        assert found["score_z"] ** 2 == pytest.approx(log_rank(time, event, exposed[0])["chi2"][0], abs=1e-9)
    assert compared > 15


def penalised_score(beta, time, event, x):
    """Return the derivative of Firth's log-likelihood, event by event (Breslow)."""
    score, information, slope = 0.0, 0.0, 0.0
    for i in np.flatnonzero(event):
        weight = np.exp(beta * x) * (time >= time[i])
        p = weight @ x / weight.sum()
        score += x[i] - p
        information += p * (1 - p)
        slope += p * (1 - p) * (1 - 2 * p)
    return score + slope / information / 2


def test_firth_solves_its_own_score_to_ten_digits():
    rng = np.random.default_rng(9)
    time, event = rng.integers(1, 9, 20).astype(float), rng.random(20) < 0.6
    rows = (rng.random((12, 20)) < 0.4).astype(float)
    found = fit_two_groups(time, event, rows, penalty="firth")
    by_hand = [brentq(penalised_score, -9, 9, args=(time, event, row), xtol=1e-14) for row in rows]
    assert found["coef"].to_numpy() == pytest.approx(by_hand, abs=1e-10)


ROWS = st.lists(
    st.tuples(st.integers(1, 6), st.booleans(), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=12
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from(list(OPTIONS)))
def test_exchanged_groups_invert_every_number_and_order_changes_none(rows, analysis):
    time, event, exposed = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    options = {**OPTIONS[analysis], "alpha": 0.05}
    found = fit_two_groups(time, event, [exposed, 1 - exposed], **options)
    first, second = found.iloc[0], found.iloc[1]
    names = ["coef", "z", "score_z", "lower", "upper"]
    turned = second[["coef", "z", "score_z", "upper", "lower"]].to_numpy(float)
    assert first[names].to_numpy(float) == pytest.approx(-turned, abs=1e-8, nan_ok=True)
    assert first["n_exposed"] + second["n_exposed"] == first["n"] == (~np.isnan(exposed)).sum()
    back = fit_two_groups(time[::-1], event[::-1], [exposed[::-1]], **options).iloc[0]
    assert back[names].to_numpy(float) == pytest.approx(first[names].to_numpy(float), abs=1e-10, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_who_is_not_in_a_fit_does_not_matter(rows):
    time, event, exposed = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    inside = ~np.isnan(exposed)
    whole = fit_two_groups(time, event, [exposed])
    alone = fit_two_groups(time[inside], event[inside], [exposed[inside]])
    without_time = fit_two_groups(np.where(inside, time, np.nan), event, [np.nan_to_num(exposed)])
    pd.testing.assert_frame_equal(whole, alone, check_exact=True)
    pd.testing.assert_frame_equal(whole, without_time, check_exact=True)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_estimable_and_monotone_are_what_they_say(rows):
    inside = [row for row in rows if not np.isnan(row[2])]
    together = [
        x
        for time, event, x in inside
        if event and len({other for later, _, other in inside if later >= time}) == 2
    ]
    time, event, exposed = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    found = fit_two_groups(time, event, [exposed], alpha=0.05).iloc[0]
    assert found["estimable"] == bool(together)
    assert found["monotone"] == (len(set(together)) == 1)
    assert np.isnan(found["coef"]) == (not together)
    if found["monotone"]:
        assert found["coef"] == (np.inf if together[0] else -np.inf) and np.isfinite(found["z"])
        assert np.isfinite(found["lower"]) == bool(together[0]) != np.isfinite(found["upper"])


def test_two_patients_by_hand():
    # The exposed goes first of two: likelihood HR / (1 + HR), which tends to 1 from 1/2. The lower limit has
    # half the chi-square quantile less: HR / (1 + HR) = exp(-q / 2).
    found = fit_two_groups([1, 2], [1, 1], [[1, 0], [0, 1], [1, np.nan], [np.nan, np.nan]], alpha=0.5).T
    share = np.exp(-0.454936423119572 / 2)
    assert found[0][["z", "score_z", "lower", "upper"]].tolist() == pytest.approx(
        [np.sqrt(2 * np.log(2)), 1.0, np.log(share / (1 - share)), np.inf]
    )
    assert found[1]["coef"] == -np.inf
    assert found[2][["z", "score_z", "n", "events", "n_exposed", "estimable"]].tolist() == [
        0,
        0,
        1,
        1,
        1,
        False,
    ]
    assert found[3][["n", "events", "z"]].tolist() == [0, 0, 0]
    # Firth: the score 1 - p + (1 - 2 p) / 2 is 0 at p = 3/4.
    firth = fit_two_groups([1, 2], [1, 1], [[1, 0]], penalty="firth")["coef"]
    assert firth.tolist() == pytest.approx([np.log(3)])


def test_four_patients_by_hand():
    # Events in an unexposed of (2, 2), an exposed of (1, 2), an unexposed of (1, 1): with h the hazard ratio
    # 1 = h / (h + 1) + 2 h / (1 + 2 h) + h / (1 + h), so 4 h^2 + h - 1 = 0.
    found = fit_two_groups([1, 2, 3, 4], [1, 1, 1, 0], [[0, 1, 0, 1]])
    assert np.exp(found["coef"][0]) == pytest.approx((np.sqrt(17) - 1) / 8)
    # Observed 1, expected 1/2 + 2/3 + 1/2; variance 1/4 + 2/9 + 1/4.
    assert found["score_z"][0] == pytest.approx(-(2 / 3) / np.sqrt(13 / 18))


def test_copies_of_all_patients_double_the_breslow_information():
    rng = np.random.default_rng(2)
    time, event = rng.integers(1, 8, 15), rng.random(15) < 0.7
    exposed = (rng.random((6, 15)) < 0.5).astype(float)
    once = fit_two_groups(time, event, exposed, ties="breslow")
    twice = fit_two_groups(np.tile(time, 2), np.tile(event, 2), np.tile(exposed, 2), ties="breslow")
    assert twice["coef"].to_numpy() == pytest.approx(once["coef"].to_numpy(), abs=1e-9)
    assert twice["z"].to_numpy() == pytest.approx(np.sqrt(2) * once["z"].to_numpy(), abs=1e-9)


def test_times_equal_up_to_rounding_are_ties():
    exposed = [[1, 0, 1, 0]] * 2
    tied = fit_two_groups([0.3, 0.3, 0.6, 0.9], [1, 1, 1, 1], exposed)
    rounded = fit_two_groups([0.1 + 0.2, 0.3, 0.6, 0.9], [1, 1, 1, 1], exposed)
    pd.testing.assert_frame_equal(tied, rounded, check_exact=True)
    each = fit_two_groups([[0.1 + 0.2, 0.3, 0.6, np.nan]] * 2, [[1, 1, 1, np.nan]] * 2, exposed)
    # Expected 2 x 2/3 + 1 of the exposed events, observed 2 of 3; variance 2 x 2/9 x 1/2.
    assert each["score_z"].tolist() == pytest.approx([-(1 / 3) / np.sqrt(2 / 9)] * 2)


def test_the_kernel_is_compiled_for_one_kind_of_input():
    from analysis.survival.two_group_kernel import fit_groups

    fixed = np.asfortranarray(np.array([[1.0, 0, 1], [0, 1, 1]]))
    fixed.flags.writeable = False
    for exposed in (fixed, fixed.astype(bool), fixed.astype(int).tolist(), pd.DataFrame(fixed)):
        fit_two_groups([1, 2, 3], [True, True, False], exposed)
        fit_two_groups(np.array([[1, 2, 3]] * 2), np.ones((2, 3)), exposed, penalty="firth", alpha=0.1)
    assert len(fit_groups.signatures) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ties": "exact"}, "ties must be 'efron' or 'breslow'"),
        ({"penalty": "ridge"}, "penalty must be None or 'firth'"),
        ({"alpha": 5}, "alpha must lie between 0 and 1"),
        ({"exposed": [1, 0, 1]}, "exposed must be 2-dimensional"),
        ({"exposed": [[1, 0, 2]]}, r"exposed must be 1, 0 or missing; found \[2.0\]"),
        ({"event": [1, 0, 2]}, "event must be 1, 0 or missing"),
        ({"event": [1, 0, np.nan]}, "1 events are missing though there is a time"),
        ({"time": [1, -2, 3]}, "1 times are infinite or negative"),
        ({"time": [1, 2]}, "as long as a row of exposed"),
        ({"time": [[1, 2, 3]] * 2, "event": [[1, 1, 0]] * 2}, "or of its shape"),
    ],
)
def test_what_cannot_be_read_is_refused(changed, message):
    given_ = {"time": [1, 2, 3], "event": [1, 1, 0], "exposed": [[1, 0, 1]]}
    with pytest.raises(ValueError, match=message):
        fit_two_groups(**{**given_, **changed})


def test_a_permutation_moves_within_strata_and_every_order_is_as_likely():
    strata = ["b", "a", "b", "a", "b"]
    found = permute_within(strata, 12_000, np.random.default_rng(3))
    labels = np.array(strata)
    assert (labels[found] == labels).all()
    assert (np.sort(found, axis=1) == np.arange(5)).all()
    orders = [(*b, *a) for b in itertools.permutations([0, 2, 4]) for a in itertools.permutations([1, 3])]
    counts = pd.Series(map(tuple, found[:, [0, 2, 4, 1, 3]].tolist())).value_counts()
    assert sorted(counts.index) == sorted(orders)
    # 12 orders, 1000 of each expected with a standard deviation of 30.
    assert abs(counts - 1000).max() < 130


def test_permutations_are_the_generators_and_nothing_elses():
    first, second = (permute_within([0] * 9, 5, np.random.default_rng(8)) for _ in range(2))
    assert (first == second).all()
    with pytest.raises(ValueError, match="needs rng"):
        permute_within([0, 0], 5, 8)
    with pytest.raises(ValueError, match="1 patients have no strata"):
        permute_within(["a", None], 5, np.random.default_rng(1))
    for count in (0, 2.5):
        with pytest.raises(ValueError, match="permutations must be a whole number of at least 1"):
            permute_within([0, 0], count, np.random.default_rng(1))
