import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg

from analysis.survival import NotEstimable, cox_batch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_cox_batch.csv")
VETERAN = pd.read_csv(FOLDER / "veteran.csv")


def drawn(resample):
    patient = np.arange(1, len(VETERAN) + 1)
    return ((patient**2 + 3 * resample * patient + 5 * resample) % 11) % 3


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("model", ["karno", "karno + age + trt"])
def test_resamples_equal_r_on_the_repeated_rows(ties, model):
    names = model.split(" + ")
    counts = np.array([drawn(b) for b in range(1, 9)])
    found = cox_batch(VETERAN["time"], VETERAN["status"], VETERAN[names], counts, ties=ties)
    columns = {"coef": names[0]} if len(names) == 1 else {f"coef_{name}": name for name in names}
    found = found.rename(columns=columns)
    expected = REFERENCE[REFERENCE["analysis"].eq(ties)]
    for b in range(8):
        numbers = expected[expected["term"].eq(f"{model} {b + 1}")].set_index("quantity")["value"]
        assert len(numbers) == len(names) + 2
        assert found.loc[b, numbers.index].to_numpy(float) == pytest.approx(numbers.to_numpy(), abs=1e-9)
    assert found["converged"].all() and not found["monotone"].any()
    assert found["events"].tolist() == (counts @ VETERAN["status"].to_numpy()).tolist()


def test_a_bootstrap_equals_a_loop_over_lifelines():
    frame = VETERAN[["time", "status", "karno"]].iloc[:66]
    counts = np.random.default_rng(5).multinomial(66, np.full(66, 1 / 66), size=10)
    batch = cox_batch(frame["time"], frame["status"], frame["karno"], counts)
    for row, times in zip(batch.itertuples(), counts, strict=True):
        rows = frame.loc[frame.index.repeat(times)]
        fit = lifelines.CoxPHFitter().fit(rows, "time", "status", fit_options={"precision": 1e-20})
        assert row.coef == pytest.approx(fit.params_.iloc[0], abs=1e-8)
        assert row.loglik == pytest.approx(fit.log_likelihood_, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.booleans(), st.integers(-3, 3), st.integers(0, 3)),
        min_size=4,
        max_size=14,
    ),
    st.sampled_from(["efron", "breslow"]),
)
def test_estimates_are_where_statsmodels_has_its_score_zero(rows, ties):
    time, event, x, times = (np.array(part) for part in zip(*rows, strict=True))
    found = cox_batch(time, event, x, [times], ties=ties).iloc[0]
    assume(found["converged"] and abs(found["coef"]) < 10)
    repeat = np.repeat(np.arange(len(time)), times)
    model = PHReg(time[repeat].astype(float), x[repeat, None].astype(float), event[repeat], ties=ties)
    assert model.score(np.array([found["coef"]])) == pytest.approx(0, abs=1e-6)
    assert found["loglik"] == pytest.approx(model.loglike(np.array([found["coef"]])), abs=1e-8)
    assert found["loglik_null"] == pytest.approx(model.loglike(np.zeros(1)), abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.integers(-2, 2)), min_size=2, max_size=9))
def test_a_likelihood_is_monotone_where_every_event_is_an_extreme_of_those_at_risk(rows):
    time, event, x = (np.array(part) for part in zip(*rows, strict=True))
    found = cox_batch(time, event, x, np.ones((1, len(rows)), dtype=int)).iloc[0]
    at_risk = [(x[i], x[time >= time[i]]) for i in np.flatnonzero(event)]
    largest, smallest = all(v == s.max() for v, s in at_risk), all(v == s.min() for v, s in at_risk)
    assert found["monotone"] == (largest != smallest)
    assert found["converged"] == (not largest and not smallest)
    if largest != smallest:
        assert found["coef"] == (np.inf if largest else -np.inf)


def test_the_limit_of_a_monotone_likelihood_by_hand():
    # Largest score dies first of four, then of three; the last event's risk set has two of that largest score.
    found = cox_batch([1, 2, 3, 3], [1, 1, 1, 0], [3, 2, 1, 1], np.ones((1, 4), dtype=int)).iloc[0]
    assert found["loglik"] == pytest.approx(np.log(1 / 2), abs=1e-9)
    assert found["loglik_null"] == pytest.approx(-np.log(4 * 3 * 2))
    assert (found["coef"], found["converged"], found["monotone"]) == (np.inf, False, True)


def test_separation_by_one_of_two_covariates_leaves_the_other_finite():
    # In each half alike x tells nothing, while z is 1 in all who die and 0 in all who live.
    time = [1, 2, 3, 4, 9, 9, 9, 9]
    frame = pd.DataFrame({"x": [1, 0, 0, 1, 1, 0, 0, 1], "z": [1, 1, 1, 1, 0, 0, 0, 0]})
    event = frame["z"]
    found = cox_batch(time, event, frame, np.ones((1, 8), dtype=int)).iloc[0]
    dead = cox_batch(time[:4], event[:4], frame["x"][:4], np.ones((1, 4), dtype=int)).iloc[0]
    assert found["coef_z"] == np.inf and found["monotone"] and not found["converged"]
    assert found["coef_x"] == pytest.approx(dead["coef"], abs=1e-6)
    assert found["loglik"] == pytest.approx(dead["loglik"], abs=1e-8)


def test_separation_by_a_combination_of_covariates_is_flagged():
    time, event = np.arange(1.0, 9), np.array([1, 1, 1, 1, 0, 0, 0, 0])
    first = np.array([3, 0, 2, 1, 0, 1, 0, 1.0])
    everyone = np.ones((1, 8), dtype=int)
    for gap in (1.0, 0.0125):
        second = 5 * event - first + np.linspace(8 * gap, 0, 8)
        found = cox_batch(time, event, np.column_stack([first, second]), everyone).iloc[0]
        assert not found["converged"]
        # A hundredth of the range is too little to see how it ends, though the estimate is not trusted.
        assert found["monotone"] == (gap == 1.0)


def test_close_scores_do_not_hide_a_monotone_likelihood():
    x = [3 + 1e-9, 3, 2, 1e4]
    found = cox_batch([1, 2, 3, 4], [1, 1, 1, 0], x, [[1, 1, 1, 0]]).iloc[0]
    assert (found["coef"], found["loglik"], found["monotone"]) == (np.inf, pytest.approx(0), True)


def test_resamples_that_say_nothing():
    counts = [[0, 0, 4, 0], [3, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    found = cox_batch([1, 2, 3, 4], [1, 1, 0, 0], [4, 3, 5, 1], counts)
    assert found["events"].tolist() == [0, 3, 0, 2]
    assert found["coef"].tolist()[:3] == [0, 0, 0]
    assert found["loglik"].tolist()[:3] == found["loglik_null"].tolist()[:3]
    assert found["loglik"].tolist()[:3] == pytest.approx([0, -np.log(6), 0])
    assert found["converged"].tolist() == [False, False, False, True]
    assert not found["monotone"].any()


def test_a_covariate_without_spread_leaves_the_others_alone():
    counts = np.array([drawn(b) for b in range(1, 4)])
    alone = cox_batch(VETERAN["time"], VETERAN["status"], VETERAN["karno"], counts)
    frame = VETERAN[["karno"]].assign(same=7.0, twice=2 * VETERAN["karno"])
    beside = cox_batch(VETERAN["time"], VETERAN["status"], frame, counts)
    assert beside["coef_karno"].to_numpy() == pytest.approx(alone["coef"].to_numpy(), abs=1e-10)
    assert beside[["coef_same", "coef_twice"]].to_numpy().tolist() == [[0, 0]] * 3
    assert beside["loglik"].to_numpy() == pytest.approx(alone["loglik"].to_numpy(), abs=1e-10)
    assert not beside["converged"].any()


def test_all_events_at_one_time_and_two_patients():
    assert cox_batch([5, 5, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0], [[1, 1, 1, 1]])["coef"].iloc[
        0
    ] == pytest.approx(0, abs=1e-9)
    # Two copies of each: the first two die, in either order, while all four are at risk.
    two = cox_batch([1, 2], [1, 1], [0, 1], [[1, 1], [2, 0], [2, 2]])
    assert two["monotone"].tolist() == [True, False, True]
    assert two["coef"].tolist() == [-np.inf, 0, -np.inf]
    assert two["loglik"].tolist() == pytest.approx([0, -np.log(2), -2 * np.log(2)])


def test_scale_and_shift_of_a_covariate_and_the_order_of_rows_do_not_matter():
    counts = np.array([drawn(b) for b in range(1, 5)])
    time, event, x = (VETERAN[name].to_numpy(float) for name in ("time", "status", "karno"))
    turned = np.random.default_rng(2).permutation(len(x))
    first = cox_batch(time, event, x, counts)
    other = cox_batch(time[turned], event[turned], 1e6 + 1e3 * x[turned], counts[:, turned])
    assert 1e3 * other["coef"].to_numpy() == pytest.approx(first["coef"].to_numpy(), abs=1e-9)
    assert other["loglik"].to_numpy() == pytest.approx(first["loglik"].to_numpy(), abs=1e-9)


def test_parts_threads_and_repetition_give_the_same_bytes():
    counts = np.random.default_rng(3).multinomial(
        len(VETERAN), np.full(len(VETERAN), 1 / len(VETERAN)), size=40
    )

    def fit(part):
        return cox_batch(VETERAN["time"], VETERAN["status"], VETERAN["karno"], part)

    whole = fit(counts)
    with ThreadPoolExecutor(4) as pool:
        parts = pd.concat(pool.map(fit, np.array_split(counts, 8)), ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)
    pd.testing.assert_frame_equal(whole, fit(counts.astype(float)), check_exact=True)
    assert cox_batch([1, 2], [1, 1], [0, 1], np.zeros((0, 2), dtype=int)).empty


@pytest.mark.parametrize("name", ["list", "series", "frame", "column"])
def test_kinds_of_covariates(name):
    x = [1.0, 0.0, 1.0]
    given = {
        "list": x,
        "series": pd.Series(x),
        "frame": pd.DataFrame({"x": x}),
        "column": np.array(x)[:, None],
    }
    found = cox_batch([1, 2, 3], [1, 1, 0], given[name], [[1, 1, 1]])
    assert list(found) == ["coef", "loglik", "loglik_null", "events", "converged", "monotone"]
    assert found["coef"].iloc[0] == pytest.approx(-np.log(2) / 2, abs=1e-9)  # as in test_cox, by hand


def test_names_of_several_covariates():
    x = np.column_stack([[1, 0, 1, 0], [2, 5, 3, 1]])
    outcome, counts = ([1, 2, 3, 4], [1, 1, 1, 0]), [[1, 1, 1, 1]]
    assert list(cox_batch(*outcome, x, counts))[:2] == ["coef_x1", "coef_x2"]
    named = cox_batch(*outcome, pd.DataFrame(x, columns=["AGE", "ECOG"]), counts)
    assert list(named)[:2] == ["coef_AGE", "coef_ECOG"]


@pytest.mark.parametrize(
    ("covariates", "counts", "message"),
    [
        ([1, 2], [[1, 1, 1]], "counts must cover the 2 patients"),
        ([1, 2], [1, 1], "one row a resample"),
        ([1, 2, 3], [[1, 1]], "covariates must cover the 2 patients"),
        (np.zeros((2, 6)), [[1, 1]], "1 to 5 columns"),
        ([1, np.nan], [[1, 1]], "1 patients lack a covariate"),
        ([1, 2], [[1, -1]], "at least 0"),
        ([1, 2], [[1, 0.5]], "whole numbers"),
        ([1, 2], [[1, np.nan]], "whole numbers"),
    ],
)
def test_malformed_input_is_refused(covariates, counts, message):
    with pytest.raises(ValueError, match=message):
        cox_batch([1, 2], [1, 1], covariates, counts)


def test_unknown_ties_and_nobody_left_are_refused():
    with pytest.raises(ValueError, match="ties must be"):
        cox_batch([1, 2], [1, 1], [1, 2], [[1, 1]], ties="exact")
    with pytest.raises(NotEstimable, match="no patients are left"):
        cox_batch([], [], [], np.zeros((1, 0)))


def test_the_kernel_is_defined_where_no_folder_can_keep_its_machine_code(tmp_path):
    """A cache folder that cannot be made (a file is in its place) must not stop the import."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    code = "from analysis.survival import cox_kernel as k; print(type(k.fit_resamples._cache).__name__)"
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(blocked / "below"),
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "NullCache"), done.stderr


OUTLIER = VETERAN.iloc[:40].assign(x=lambda frame: np.log(frame["karno"]))


@pytest.mark.parametrize("columns", [["x"], ["x", "age"]])
@pytest.mark.parametrize("outlier", [1e3, 1e6, -1e6])
def test_an_outlier_who_is_not_drawn_or_never_meets_an_event_does_not_matter(columns, outlier):
    counts = np.random.default_rng(8).multinomial(40, np.full(40, 1 / 40), size=20)
    first = int(OUTLIER["time"].argmin())
    counts[:, first] = 0
    plain = cox_batch(OUTLIER["time"], OUTLIER["status"], OUTLIER[columns], counts)
    assert plain["converged"].all()
    far = OUTLIER.copy()
    far.loc[first, "x"] = outlier
    pd.testing.assert_frame_equal(
        cox_batch(far["time"], far["status"], far[columns], counts), plain, rtol=1e-9, atol=1e-9
    )
    # Censored before the first event, the outlier is drawn but in no risk set.
    counts[:, first] = 2
    far.loc[first, ["time", "status"]] = 0, 0
    drawn = cox_batch(far["time"], far["status"], far[columns], counts)
    pd.testing.assert_frame_equal(drawn, plain, rtol=1e-9, atol=1e-9)


def test_an_outlier_who_dies_first_leaves_a_coefficient_far_out_on_its_range():
    # With a positive coefficient its factor of the likelihood is 1: the fit is that of the others, as lifelines.
    time, event, x = [1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 1, 0], [1000, 1.0, 0.2, 0.5, 0.1, 0.6]
    frame = pd.DataFrame({"x": x[1:], "time": time[1:], "event": event[1:]})
    fit = lifelines.CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-14})
    found = cox_batch(time, event, x, [[1] * 6, [0] + [1] * 5])
    assert found["coef"].tolist() == pytest.approx([fit.params_.iloc[0]] * 2, abs=1e-8)
    assert found["loglik"].tolist() == pytest.approx([fit.log_likelihood_] * 2, abs=1e-8)
    assert found["converged"].all() and not found["monotone"].any()


def test_covariates_with_another_index_are_refused():
    with pytest.raises(ValueError, match="time and covariates have different indexes"):
        cox_batch(pd.Series([1, 2]), [1, 1], pd.Series([0, 1], index=[1, 0]), [[1, 1]])
