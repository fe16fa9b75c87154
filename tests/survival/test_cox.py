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
