"""The joint permutation test against enumeration and slow code by hand, and its properties."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from analysis.survival.multiverse import joint_permutation_test
from analysis.survival.permuted import permute_within

STATISTICS = ["median_abs_log_hr", "share_significant", "stouffer_z", "any_significant", "same_side"]


def fit_by_hand(time, event, x):
    """Return ln HR and the signed root of the likelihood ratio, or (nan, 0); event by event, no ties."""
    inside = ~np.isnan(time) & ~np.isnan(x)
    time, event, x = time[inside], event[inside], x[inside]
    sets = [(x[i], x[time >= time[i]]) for i in np.flatnonzero(event == 1)]
    sets = [(own, risk) for own, risk in sets if 0 < risk.sum() < len(risk)]
    if not sets:
        return np.nan, 0.0

    def loss(beta):
        return sum(np.log(np.exp(beta * risk).sum()) - beta * own for own, risk in sets)

    exposed = sum(own for own, _ in sets)
    if exposed in (0, len(sets)):
        sign = 1 if exposed else -1
        return sign * np.inf, sign * np.sqrt(2 * (loss(0) - loss(sign * 40)))
    beta = minimize_scalar(loss, bracket=(-1, 1), tol=1e-12).x
    return beta, np.sign(beta) * np.sqrt(max(2 * (loss(0) - loss(beta)), 0))


def curve_by_hand(time, event, exposed, alpha=0.05):
    """Return the five statistics of a curve, and its sorted estimates."""
    fits = [fit_by_hand(*columns) for columns in zip(time.T, event.T, exposed.T, strict=True)]
    coef, z = (np.array(values) for values in zip(*fits, strict=True))
    known = coef[~np.isnan(coef)]
    median = np.median(np.abs(known)) if len(known) else 0.0
    p = chi2.sf(z**2, 1)
    one_side = len(known) > 0 and (known.min() > 0 or known.max() < 0)
    found = [median, np.mean(p < alpha), z.sum() / np.sqrt(len(z)), float(p.min() < alpha), float(one_side)]
    return found, np.sort(known)


def simulate(rng, n=24, effect=0.0, specifications=5):
    """Return a curve of related specifications with what real ones lack: scans, outcomes, a whole group."""
    sensitivity = rng.normal(size=n)
    event_time = rng.exponential(np.exp(effect * sensitivity))
    event = (rng.random(n) < 0.8).astype(float)
    time = np.repeat(event_time[:, None], specifications, axis=1)
    time[:, 1::2] -= 0.2
    time[time <= 0] = np.nan
    cuts = np.linspace(-0.7, 0.7, specifications)
    exposed = (sensitivity[:, None] + rng.normal(0, 0.6, (n, specifications)) < cuts).astype(float)
    exposed[n - n // 4 :, specifications // 2 :] = np.nan
    strata = np.where(np.arange(n) < n - n // 4, "D14 D28", "D14")
    return time, np.repeat(event[:, None], specifications, axis=1), exposed, strata


@pytest.fixture(scope="module")
def sparse():
    """Return a curve with few exposed in one specification, so that permutations lack estimates or a maximum."""
    time, event, exposed, strata = simulate(np.random.default_rng(4), n=16, effect=-0.5)
    exposed[:, 0] = np.arange(16) == 0
    time[5:10, 0] = np.nan
    event[np.argsort(time[:, 0])[8:], :2] = 0
    return time, event, exposed, strata


def test_every_permutation_is_as_slow_code_has_it(sparse):
    time, event, exposed, strata = sparse
    moved = permute_within(strata, 39, np.random.default_rng(6))
    permuted = [curve_by_hand(time, event, exposed[row]) for row in moved]
    values, curves = np.array([found for found, _ in permuted]), [curve for _, curve in permuted]
    assert {len(curve) for curve in curves} == {4, 5}, "some permutations lack a specification"
    assert any(np.isinf(curve).any() for curve in curves)
    found = joint_permutation_test(*sparse, 39, np.random.default_rng(6))
    observed = curve_by_hand(time, event, exposed)[0]
    assert found.tests["statistic"].tolist() == STATISTICS
    assert found.tests["observed"].to_numpy() == pytest.approx(observed, abs=1e-6)
    assert found.tests["expected"].to_numpy() == pytest.approx(values.mean(axis=0), abs=1e-6)
    reached = (np.abs(values) >= np.abs(observed) - 1e-6).sum(axis=0)
    assert found.tests["p"].to_numpy() == pytest.approx((1 + reached) / 40)
    # Four estimates at five places: the third lies midway between the second and the third of them.
    spread = [curve if len(curve) == 5 else np.insert(curve, 2, curve[1:3].mean()) for curve in curves]
    # Of 39 sorted values the 1st, the 20th and the 39th.
    places = np.sort(spread, axis=0)
    assert found.null["RANK"].tolist() == [1, 2, 3, 4, 5]
    for name, place in {"LOWER": 0, "MEDIAN": 19, "UPPER": 38}.items():
        assert found.null[name].to_numpy() == pytest.approx(np.exp(places[place]), abs=1e-6)


def test_p_is_that_of_all_permutations():
    time, event, exposed, _ = simulate(np.random.default_rng(30), n=8, effect=-1.5, specifications=3)
    exposed = np.nan_to_num(exposed)
    strata = np.array(list("aaaaabbb"))
    orders = itertools.product(itertools.permutations(range(5)), itertools.permutations(range(5, 8)))
    allowed = [[*first, *second] for first, second in orders]
    values = np.array([curve_by_hand(time, event, exposed[order])[0] for order in allowed])
    exact = (np.abs(values) >= np.abs(values[0]) - 1e-6).mean(axis=0)
    assert len(values) == 720 and ((exact > 0.01) & (exact < 0.99))[:4].all()
    assert values[0, 4] == 0 and exact[4] == 1, "observed on both sides: every permutation reaches it"
    permutations = 20_000
    found = joint_permutation_test(time, event, exposed, strata, permutations, np.random.default_rng(2))
    off = np.abs(found.tests["p"].to_numpy() - exact)
    assert (off < 4.5 * np.sqrt(exact * (1 - exact) / permutations) + 1 / permutations).all()
    share, found_share = values.mean(axis=0)[3:], found.tests["expected"].to_numpy()[3:]
    assert ((share > 0.01) & (share < 0.99)).all()
    assert (np.abs(found_share - share) < 4.5 * np.sqrt(share * (1 - share) / permutations)).all()


def test_tied_events_follow_the_treatment_that_is_asked_for():
    time, event, exposed = (
        np.array(column)[:, None] for column in ([1, 1, 2, 3], [1, 1, 1, 0], [1, 0, 1, 0])
    )
    given = (time, event, exposed, [0] * 4, 9)
    efron, breslow = (
        joint_permutation_test(*given, np.random.default_rng(1), ties=ties).tests["observed"][0]
        for ties in ("efron", "breslow")
    )
    # Of exposed are 2 of 3 events with both groups at risk; h solves 2 = the sum of their chances.
    assert sum(_chances(np.exp(efron), [(2, 2), (1.5, 1.5), (1, 1)])) == pytest.approx(2)
    assert sum(_chances(np.exp(breslow), [(2, 2), (2, 2), (1, 1)])) == pytest.approx(2)


def _chances(hazard_ratio, at_risk):
    return [hazard_ratio * exposed / (hazard_ratio * exposed + others) for exposed, others in at_risk]


def test_the_other_coding_inverts_the_curve_and_leaves_p(sparse):
    time, event, exposed, strata = sparse
    found, turned = (
        joint_permutation_test(time, event, coding, strata, 199, np.random.default_rng(3))
        for coding in (exposed, 1 - exposed)
    )
    assert turned.tests["p"].tolist() == found.tests["p"].tolist()
    assert turned.tests["observed"].to_numpy() == pytest.approx(
        found.tests["observed"] * [1, 1, -1, 1, 1], abs=1e-9
    )
    with np.errstate(divide="ignore"):
        inverted = 1 / found.null[["UPPER", "MEDIAN", "LOWER"]].to_numpy()[::-1]
    assert turned.null[["LOWER", "MEDIAN", "UPPER"]].to_numpy() == pytest.approx(inverted, rel=1e-9)


def test_a_curve_of_copies_has_the_p_of_one():
    time, event, exposed, strata = simulate(np.random.default_rng(8), effect=-0.6)
    one = [table[:, :1] for table in (time, event, exposed)]
    nine = [np.repeat(table, 9, axis=1) for table in one]
    first, second = (
        joint_permutation_test(*tables, strata, 199, np.random.default_rng(3)) for tables in (one, nine)
    )
    assert second.tests["p"].tolist() == first.tests["p"].tolist()
    assert second.tests["observed"].to_numpy() == pytest.approx(first.tests["observed"] * [1, 1, 3, 1, 1])
    for name in ("LOWER", "MEDIAN", "UPPER"):
        assert second.null[name].tolist() == [first.null[name][0]] * 9
    # p of one specification by absolute coefficient, and by z, is that of a permutation test of two groups.
    assert first.tests["p"][2] == pytest.approx(first.tests["p"][0], abs=0.05)


def test_the_order_of_patients_with_their_strata_changes_no_statistic_and_inputs_stay():
    tables = simulate(np.random.default_rng(1), effect=-0.6)
    kept = [table.copy() for table in tables]
    order = np.random.default_rng(5).permutation(24)
    first = joint_permutation_test(*tables, 9, np.random.default_rng(3))
    second = joint_permutation_test(*(table[order] for table in tables), 9, np.random.default_rng(3))
    assert second.tests["observed"].to_numpy() == pytest.approx(first.tests["observed"].to_numpy())
    again = joint_permutation_test(*map(pd.DataFrame, tables[:3]), tables[3], 9, np.random.default_rng(3))
    pd.testing.assert_frame_equal(again.tests, first.tests, check_exact=True)
    pd.testing.assert_frame_equal(again.null, first.null, check_exact=True)
    for table, before in zip(tables, kept, strict=True):
        np.testing.assert_array_equal(table, before)


def test_without_an_effect_p_is_uniform_and_with_one_it_is_small():
    rng = np.random.default_rng(20)
    p = np.array([joint_permutation_test(*simulate(rng), 39, rng).tests["p"].to_numpy() for _ in range(150)])
    # 150 draws of k / 40: a share of 0.2 has a standard error of 0.033, a mean of 0.5125 one of 0.024.
    assert np.abs((p[:, [0, 2]] <= 0.2).mean(axis=0) - 0.2).max() < 0.11
    assert np.abs(p[:, [0, 2]].mean(axis=0) - 0.5125).max() < 0.08
    # The share is 0 in most permutations: its p is coarse, and on the safe side.
    assert (p[:, 1] <= 0.2).mean() < 0.31
    planted = simulate(rng, n=60, effect=1.5)
    found = joint_permutation_test(*planted, 199, rng).tests
    assert found["p"][:3].tolist() == [1 / 200] * 3
    # That any is significant, or all on one side, happens by itself: no test to speak of, but what to expect.
    assert found["observed"][3:].tolist() == [1, 1] and found["p"][3:].gt(0.05).all()
    assert found["observed"][2] > 3 and found["observed"][0] > 2 * found["expected"][0]


def test_two_opposite_specifications_are_never_on_one_side_and_copies_always():
    time, event, exposed, strata = simulate(np.random.default_rng(12), specifications=1)
    pairs = {0.0: np.hstack([exposed, 1 - exposed]), 1.0: np.hstack([exposed, exposed])}
    for expected, both in pairs.items():
        outcome = [np.repeat(table, 2, axis=1) for table in (time, event)]
        found = joint_permutation_test(*outcome, both, strata, 99, np.random.default_rng(3))
        side = found.tests.set_index("statistic").loc["same_side"]
        assert side[["observed", "expected", "p"]].tolist() == [expected, expected, 1.0]


def test_a_curve_that_says_nothing_has_p_1():
    tables = [np.tile(column, (3, 1)).T for column in ([1.0, 2, 3], [1, 1, 0], [1, 1, 1])]
    found = joint_permutation_test(*tables, [0, 0, 0], 19, np.random.default_rng(1))
    assert found.tests[["observed", "expected", "p"]].to_numpy().tolist() == [[0, 0, 1]] * 5
    assert found.null["RANK"].tolist() == [1, 2, 3] and found.null["MEDIAN"].isna().all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"exposed": [[1, 0]] * 3}, "one row a patient and one column a specification"),
        ({"time": [1, 2, 3], "event": [1, 1, 0], "exposed": [1, 0, 1]}, "one column a specification"),
        ({"strata": [0, 0]}, "strata must have one label for each of the 3 patients: 2"),
        ({"rng": 5}, "needs rng"),
        ({"permutations": 0}, "at least 1"),
        ({"alpha": 5}, "alpha must lie between 0 and 1"),
        ({"ties": "exact"}, "ties must be"),
        ({"exposed": [[1], [2], [0]]}, "exposed must be 1, 0 or missing"),
    ],
)
def test_what_cannot_be_read_is_refused(changed, message):
    usual = {
        "time": [[1], [2], [3]],
        "event": [[1], [1], [0]],
        "exposed": [[1], [0], [1]],
        "strata": [0, 0, 0],
    }
    options = {"permutations": 9, "rng": np.random.default_rng(1)}
    with pytest.raises(ValueError, match=message):
        joint_permutation_test(**{**usual, **options, **changed})
