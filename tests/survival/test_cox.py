import lifelines
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.duration.hazard_regression import PHReg

from analysis.survival import NotEstimable, cox, cox_batch, partial_log_likelihood

RNG = np.random.default_rng(11)
N = 60
X = pd.DataFrame({"group": (RNG.random(N) < 0.4).astype(float), "score": RNG.normal(size=N)})
TIME = np.ceil(RNG.exponential(8 * np.exp(-0.5 * X["group"])))
EVENT = RNG.random(N) < 0.7


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_estimates_equal_statsmodels(ties):
    found = cox(TIME, EVENT, X, ties=ties)
    expected = PHReg(TIME, X.to_numpy(), EVENT, ties=ties).fit(method="newton", disp=0)
    assert found["coef"].to_numpy() == pytest.approx(expected.params, abs=1e-6)
    assert found["se"].to_numpy() == pytest.approx(expected.bse, abs=1e-6)
    assert found["loglik"].iloc[0] == pytest.approx(expected.llf, abs=1e-8)
    assert set(found["ties"]) == {ties}


def test_strata_equal_lifelines():
    frame = X.assign(time=TIME, event=EVENT, centre=np.arange(N) % 3)
    fit = lifelines.CoxPHFitter().fit(
        frame, "time", "event", strata=["centre"], fit_options={"precision": 1e-12}
    )
    found = cox(TIME, EVENT, X, strata=frame["centre"])
    assert found["coef"].to_numpy() == pytest.approx(fit.params_.to_numpy(), abs=1e-7)


def test_three_patients_by_hand():
    # Events at 1 (x = 1) and 2 (x = 0), a third patient (x = 1) censored at 3: with r = exp(b) the partial
    # likelihood is r / (2r + 1) x 1 / (1 + r), largest at r = 1 / sqrt(2).
    found = cox([1, 2, 3], [1, 1, 0], [1, 0, 1]).iloc[0]
    assert found["estimate"] == pytest.approx(1 / np.sqrt(2), abs=1e-9)
    assert found["loglik_null"] == pytest.approx(-np.log(6))


def test_efron_ties_by_hand():
    # Two of four die at 1 (x = 1 and 0), nothing after: likelihood r / ((2r + 2)(1.5r + 1.5)), best at r = 1.
    found = cox([1, 1, 2, 2], [1, 1, 0, 0], [1, 0, 1, 0]).iloc[0]
    assert found["coef"] == pytest.approx(0, abs=1e-9)
    assert found["loglik"] == pytest.approx(-np.log(4 * 3))


def test_limits_lie_where_the_profile_likelihood_has_fallen_by_half_the_quantile():
    row = cox(TIME, EVENT, X["group"]).iloc[0]
    model = PHReg(TIME, X[["group"]].to_numpy(), EVENT, ties="efron")
    for limit in (row["lower"], row["upper"]):
        drop = 2 * (row["loglik"] - model.loglike(np.array([np.log(limit)])))
        assert drop == pytest.approx(chi2.ppf(0.95, 1), abs=1e-7)


@pytest.mark.parametrize("penalty", [None, "firth"])
def test_p_and_limits_agree_on_significance(penalty):
    p = cox(TIME, EVENT, X["group"], penalty=penalty)["p"].iloc[0]
    edge = cox(TIME, EVENT, X["group"], penalty=penalty, alpha=p).iloc[0]
    nearest = edge["lower"] if edge["estimate"] > 1 else edge["upper"]
    assert nearest == pytest.approx(1, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.booleans()), min_size=6, max_size=20),
    st.booleans(),
)
def test_the_hazard_ratio_inverts_when_the_coding_flips_and_row_order_changes_nothing(rows, firth):
    time, event, x = (np.array(part) for part in zip(*rows, strict=True))
    penalty = "firth" if firth else None
    try:
        first = cox(time, event, x.astype(float), penalty=penalty).iloc[0]
    except NotEstimable:
        assume(False)
    flipped = cox(time, event, 1.0 - x, penalty=penalty).iloc[0]
    turned = cox(time[::-1], event[::-1], x[::-1].astype(float), penalty=penalty).iloc[0]
    assert first["estimate"] * flipped["estimate"] == pytest.approx(1, rel=1e-4)
    assert first["lower"] * flipped["upper"] == pytest.approx(1, rel=1e-4)
    assert turned[["estimate", "lower", "upper", "p"]].to_numpy(float) == pytest.approx(
        first[["estimate", "lower", "upper", "p"]].to_numpy(float), rel=1e-4
    )


def test_firth_stays_finite_under_separation_where_maximum_likelihood_is_refused():
    time, event, x = [1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]
    with pytest.raises(NotEstimable, match=r"separation.*penalty='firth'"):
        cox(time, event, x)
    row = cox(time, event, x, penalty="firth").iloc[0]
    assert np.isfinite(row[["estimate", "lower", "upper", "p"]].astype(float)).all()
    assert (row["estimator"], row["ties"]) == ("FIRTH", "breslow")
    assert row["lower"] < row["estimate"] < row["upper"]


def test_separation_by_a_combination_of_covariates_is_found():
    time, event = np.arange(1.0, 9), np.array([1, 1, 1, 1, 0, 0, 0, 0])
    first = np.array([3, 0, 2, 1, 0, 1, 0, 1.0])
    frame = pd.DataFrame({"a": first, "b": 5 * event - first + np.linspace(0.1, 0, 8)})
    with pytest.raises(NotEstimable, match="separation"):
        cox(time, event, frame)


def test_firth_with_two_patients_by_hand():
    # One event among two: penalised likelihood r / (1 + r) x sqrt(r) / (1 + r), largest at r = 3.
    assert cox([1, 2], [1, 0], [1, 0], penalty="firth")["estimate"].iloc[0] == pytest.approx(3, rel=1e-5)


def test_the_default_ties_are_recorded():
    assert cox(TIME, EVENT, X["group"])["ties"].iloc[0] == "efron"
    assert cox(TIME, EVENT, X["group"], penalty="firth")["ties"].iloc[0] == "breslow"


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(NotEstimable, match="no hazard ratio"):
        cox([1, 2], [0, 0], [0, 1])
    with pytest.raises(NotEstimable, match="one group is empty"):
        cox([1, 2], [1, 1], [1, 1])
    with pytest.raises(NotEstimable, match="collinear"):
        cox(TIME, EVENT, pd.DataFrame({"a": X["score"], "b": 2 * X["score"]}))
    with pytest.raises(NotEstimable, match="nothing to compare"):
        cox([1, 2, 3], [0, 1, 1], [1, 0, 0])
    with pytest.raises(NotEstimable, match=r"nothing to compare|separation"):
        cox([5, 5], [1, 1], [1, 0], ties="breslow", strata=["a", "b"])


def test_all_events_at_one_time_give_a_ratio_of_one():
    # Everybody dies at once: under Efron the order inside the tie is unknown, and nothing points either way.
    assert cox([5, 5, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0])["estimate"].iloc[0] == pytest.approx(1)


def test_malformed_input_is_refused():
    with pytest.raises(ValueError, match="code it as numbers"):
        cox([1, 2], [1, 1], pd.DataFrame({"sex": ["F", "M"]}))
    with pytest.raises(ValueError, match="lack a covariate"):
        cox([1, 2], [1, 1], [1, np.nan])
    with pytest.raises(ValueError, match="must have 2 rows"):
        cox([1, 2], [1, 1], [1, 0, 1])
    with pytest.raises(ValueError, match="ties must be"):
        cox([1, 2], [1, 1], [1, 0], ties="exact")
    with pytest.raises(ValueError, match="penalty must be"):
        cox([1, 2], [1, 1], [1, 0], penalty="ridge")
    with pytest.raises(ValueError, match="Breslow ties and no strata"):
        cox([1, 2], [1, 1], [1, 0], penalty="firth", ties="efron")


def test_the_likelihood_alone_equals_the_fit_and_survives_separation():
    best, null = partial_log_likelihood(TIME, EVENT, X["score"])
    row = cox(TIME, EVENT, X["score"]).iloc[0]
    assert (best, null) == (
        pytest.approx(row["loglik"], abs=1e-9),
        pytest.approx(row["loglik_null"], abs=1e-9),
    )
    # Two events, always in the patient with the larger score: the likelihood tends to 1.
    assert partial_log_likelihood([1, 2, 3], [1, 1, 0], [3, 2, 1])[0] == pytest.approx(0, abs=1e-6)
    assert len(set(partial_log_likelihood([1, 2, 3], [1, 1, 0], [1, 1, 1]))) == 1


def test_a_batch_of_resamples_equals_fitting_each_one():
    counts = np.random.default_rng(5).multinomial(N, np.full(N, 1 / N), size=20)
    batch = cox_batch(TIME, EVENT, X["score"], counts)
    for drawn, row in zip(counts, batch.itertuples(), strict=True):
        rows = np.repeat(np.arange(N), drawn)
        single = cox(TIME[rows], EVENT[rows], X["score"].to_numpy()[rows]).iloc[0]
        assert row.coef == pytest.approx(single["coef"], abs=1e-8)
        assert row.loglik == pytest.approx(single["loglik"], abs=1e-8)
        assert row.loglik_null == pytest.approx(single["loglik_null"], abs=1e-8)
        assert row.converged


def test_a_batch_survives_separation_and_resamples_without_events():
    counts = np.array([[1, 1, 1, 1], [0, 0, 4, 0]])
    batch = cox_batch([1, 2, 3, 4], [1, 1, 0, 0], [4, 3, 2, 1], counts)
    assert batch["loglik"].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert batch["events"].tolist() == [2, 0]
    with pytest.raises(ValueError, match="must cover"):
        cox_batch([1, 2], [1, 1], [1, 2], [[1, 1, 1]])


def _sample(rows):
    time, event, x = (np.array(part) for part in zip(*rows, strict=True))
    return time.astype(float), event, x.astype(float)


SMALL = st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.booleans()), min_size=6, max_size=16)
COMPARED = ["estimate", "lower", "upper", "p", "loglik"]


def _or_none(*data, **options):
    try:
        return cox(*data, **options)[COMPARED].to_numpy(float)
    except NotEstimable:
        return None


@settings(max_examples=20, deadline=None)
@given(SMALL, st.floats(0.05, 50))
def test_the_unit_of_time_changes_nothing(rows, unit):
    time, event, x = _sample(rows)
    first, scaled = _or_none(time, event, x), _or_none(time * unit, event, x)
    assume(first is not None)
    assert scaled == pytest.approx(first, rel=1e-6, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(SMALL, st.sampled_from(["efron", "breslow"]), st.data())
def test_splitting_an_interval_changes_nothing(rows, ties, data):
    time, event, x = _sample(rows)
    first = _or_none(time, event, x, ties=ties)
    assume(first is not None)
    who = data.draw(st.integers(0, len(time) - 1))
    at = data.draw(st.floats(0.01, float(time[who]) - 0.01))
    entry = np.append(np.zeros(len(time)), at)
    ends = np.append(time, time[who])
    ends[who] = at
    had = np.append(event, event[who])
    had[who] = False
    split = _or_none(ends, had, np.append(x, x[who]), ties=ties, entry=entry)
    assert split == pytest.approx(first, rel=1e-6, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(SMALL, st.data())
def test_a_weight_of_two_is_the_row_twice_under_breslow(rows, data):
    # Under Efron it is not, by definition: two rows are a tie of two, one row of weight 2 is no tie.
    time, event, x = _sample(rows)
    weights = np.array(data.draw(st.lists(st.integers(1, 3), min_size=len(x), max_size=len(x))))
    try:
        weighted = cox(time, event, x, ties="breslow", weights=weights).iloc[0]
    except NotEstimable:
        assume(False)
    again = np.repeat(np.arange(len(x)), weights)
    # Copies of a patient are one cluster: then the robust error agrees too.
    copied = cox(time[again], event[again], x[again], ties="breslow", cluster=again).iloc[0]
    kept = ["coef", "se", "lower", "upper", "p", "loglik", "n"]
    assert weighted[kept].to_numpy(float) == pytest.approx(copied[kept].to_numpy(float), rel=1e-6, abs=1e-9)


def test_equal_weights_change_neither_estimate_nor_error():
    for ties in ("efron", "breslow"):
        alone, twice = (cox(TIME, EVENT, X, ties=ties, weights=np.full(N, w)) for w in (1, 2.5))
        assert twice[["coef", "se"]].to_numpy() == pytest.approx(alone[["coef", "se"]].to_numpy(), abs=1e-9)
        assert alone["coef"].to_numpy() == pytest.approx(cox(TIME, EVENT, X, ties=ties)["coef"], abs=1e-9)


def test_entry_at_the_beginning_changes_nothing_and_is_not_at_risk_at_its_own_time():
    assert cox(TIME, EVENT, X, entry=np.zeros(N)).equals(cox(TIME, EVENT, X))
    # The third patient enters at 1, after the first event: likelihood r / (r + 1) x 1 / (1 + r), best at 1.
    late = cox([1, 2, 3], [1, 1, 0], [1, 0, 1], entry=[0, 0, 1]).iloc[0]
    assert late["estimate"] == pytest.approx(1, abs=1e-9)


def test_how_limits_are_found_is_recorded():
    assert set(cox(TIME, EVENT, X)["interval"]) == {"profile"}
    assert set(cox(TIME, EVENT, X["group"], penalty="firth")["interval"]) == {"profile"}
    robust = cox(TIME, EVENT, X, weights=np.ones(N))
    assert set(robust["interval"]) == {"wald"}
    assert robust["p"].equals(robust["p_wald"])
    grouped = cox(TIME, EVENT, X, cluster=np.arange(N) // 3)
    assert set(grouped["interval"]) == {"wald"}
    assert set(grouped["n"]) == {20}


def test_frames_series_and_lists_are_one():
    whole = cox(TIME, EVENT, X, strata=np.arange(N) % 2, entry=TIME / 2, weights=np.ones(N))
    loose = cox(
        TIME.tolist(),
        pd.Series(EVENT).astype(int),
        X,
        strata=pd.Series(np.arange(N) % 2).map({0: "a", 1: "b"}),
        entry=pd.Series(TIME / 2),
        weights=[1] * N,
    )
    assert loose.equals(whole)


def test_malformed_intervals_weights_and_clusters_are_refused():
    data = ([1, 2, 3], [1, 1, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="1 intervals are empty"):
        cox(*data, entry=[0, 2, 0])
    with pytest.raises(ValueError, match="entry must be 3 numbers"):
        cox(*data, entry=[0, np.nan, 0])
    with pytest.raises(ValueError, match="2 weights are not above 0"):
        cox(*data, weights=[0, -1, 1])
    with pytest.raises(ValueError, match="weights must be 3 numbers"):
        cox(*data, weights=[1, 1])
    with pytest.raises(ValueError, match="have no group"):
        cox(*data, cluster=["a", None, "b"])
    for option in ("strata", "entry", "weights", "cluster"):
        with pytest.raises(ValueError, match="Breslow ties and no strata"):
            cox(*data, penalty="firth", **{option: [0.5, 0.5, 0.5]})


def test_degenerate_intervals_and_clusters_are_refused():
    with pytest.raises(NotEstimable, match="1 clusters cannot give"):
        cox(TIME, EVENT, X["group"], cluster=np.zeros(N))
    with pytest.raises(NotEstimable, match="nothing to compare"):
        # Nobody else is at risk at either event.
        cox([1, 2, 3], [1, 1, 1], [1, 0, 1], entry=[0, 1, 2])
    with pytest.raises(NotEstimable, match=r"separation.*penalty='firth'"):
        cox([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0], weights=[1, 2, 1, 2])
    with pytest.raises(NotEstimable, match="no patients are left"):
        cox([], [], np.empty((0, 1)))
    with pytest.raises(NotEstimable, match="none of the 2 patients"):
        cox([1, 2, 3], [0, 0, 0], [0, 1, 0], entry=[0, 0, 2], cluster=["a", "b", "b"])


def test_two_patients_who_both_have_the_event_are_separated():
    with pytest.raises(NotEstimable, match="separation"):
        cox([1, 2], [1, 1], [1, 0])
    assert np.isfinite(cox([1, 2], [1, 1], [1, 0], penalty="firth")["upper"].iloc[0])


def test_separation_that_only_all_covariates_together_show_is_found():
    # One event, in the only patient who has all five; no coefficient is large when the gradient vanishes.
    x = np.zeros((20, 5))
    x[0] = 1
    for i in range(1, 20):
        x[i, i % 6 : i % 6 + 1] = 1
    with pytest.raises(NotEstimable, match=r"separation.*penalty='firth'"):
        cox(np.arange(1, 21), [1] + [0] * 19, x)


def test_an_outlier_who_says_nothing_leaves_the_fit_of_the_others():
    # The largest of all scores dies first: with a positive coefficient its factor of the likelihood is 1.
    time, event, x = [1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 1, 0], [1000, 1.0, 0.2, 0.5, 0.1, 0.6]
    frame = pd.DataFrame({"x": x[1:], "time": time[1:], "event": event[1:]})
    fit = lifelines.CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-14})
    assert cox(time, event, x)["coef"].iloc[0] == pytest.approx(fit.params_.iloc[0], abs=1e-7)


def test_times_equal_up_to_rounding_are_ties():
    # coxph(Surv(c(.1 + .2, .3, .7, .9), c(1, 1, 1, 0)) ~ c(1, 0, 0, 1)), R survival 3.5-3: -0.69314718056.
    times = [0.1 + 0.2, 0.3, 0.7, 0.9]
    assert cox(times, [1, 1, 1, 0], [1, 0, 0, 1])["coef"].iloc[0] == pytest.approx(-np.log(2), abs=1e-9)
    # R joins starts and stops: who stops at 0.3 is not at risk with who starts at 0.1 + 0.2, and no row is empty.
    entered = cox([0.3, 0.5, 0.9, 0.9], [1, 1, 1, 0], [1, 0, 1, 0], entry=[0, 0.1 + 0.2, 0, 0])
    exact = cox([0.3, 0.5, 0.9, 0.9], [1, 1, 1, 0], [1, 0, 1, 0], entry=[0, 0.3, 0, 0])
    assert entered.equals(exact)
    with pytest.raises(ValueError, match="1 intervals are empty"):
        cox([0.1 + 0.2, 1, 2], [1, 1, 0], [1, 0, 1], entry=[0.3, 0, 0])


def test_rows_are_never_combined_across_different_indexes():
    time, event = pd.Series(TIME), pd.Series(EVENT)
    turned = X.set_index(X.index[::-1])
    with pytest.raises(ValueError, match="time and covariates have different indexes: align them first"):
        cox(time, event, turned)
    with pytest.raises(ValueError, match="covariates and entry have different indexes"):
        cox(TIME, EVENT, turned, entry=pd.Series(TIME / 2))
    assert cox(TIME, EVENT, turned).equals(cox(time, event, X))
