from pathlib import Path

import lifelines
import lifelines.datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.survival import (
    NotEstimable,
    kaplan_meier,
    median_follow_up,
    median_survival,
    numbers_at_risk,
    rmst,
    survival_at,
)

REFERENCE = pd.read_csv(
    Path(__file__).parents[1] / "reference" / "r_kaplan_meier.csv", dtype={"term": str}
).set_index(["dataset", "analysis"])
TYPES = ["log-log", "log", "plain", "logit", "arcsin"]
# The tiny data of benchmarks/survival/r_kaplan_meier.R: what happens at S = 0, S = 1, S = 0.5.
TINY = {
    "four events": ([1, 2, 3, 4], [1, 1, 1, 1]),
    "half by a product": ([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0]),
    "half after censoring": (range(1, 10), [0, 1, 1, 0, 0, 0, 1, 0, 0]),
    "half then an event": ([2, 3, 5, 8], [1, 1, 0, 1]),
    "all censored": ([1, 2, 3, 4], [0, 0, 0, 0]),
    "one event": ([5], [1]),
    "one censored": ([5], [0]),
    "all tied": ([2, 2, 2], [1, 1, 1]),
    "tied event and censoring": ([2, 2, 3, 5], [1, 0, 1, 0]),
    "censored first": ([1, 2, 3, 4, 5], [0, 1, 1, 0, 1]),
}

patients = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def datasets():
    lung = lifelines.datasets.load_lung()
    ovarian, veteran = (
        pd.read_csv(Path(__file__).parents[1] / "reference" / f"{name}.csv")
        for name in ("ovarian", "veteran")
    )
    tiny = {name: (list(time), event, None) for name, (time, event) in TINY.items()}
    large = {
        "lung": (lung["time"], lung["status"], lung["sex"]),
        "ovarian": (ovarian["futime"], ovarian["fustat"], ovarian["rx"]),
        "veteran": (veteran["time"], veteran["status"], veteran["trt"]),
    }
    return tiny | large


def expected(dataset, analysis):
    return REFERENCE.loc[[(dataset, analysis)]].set_index(["term", "quantity"])


def agree(found, rows):
    assert found.reindex(rows.index).to_numpy(dtype=float) == pytest.approx(
        rows["value"].to_numpy(), abs=rows["tolerance"].max(), rel=1e-9, nan_ok=True
    )


def quantities(table, term):
    numbers = table.select_dtypes("number").assign(term=term)
    return numbers.melt("term", var_name="quantity").set_index(["term", "quantity"])["value"]


@pytest.mark.parametrize("ci", TYPES)
@pytest.mark.parametrize("dataset", [*TINY, "lung", "ovarian"])
def test_curves_limits_and_medians_are_those_of_r(datasets, dataset, ci):
    table = kaplan_meier(*datasets[dataset], ci=ci)
    term = table["group"].astype(str) + "@" + table["time"].map("{:g}".format)
    agree(quantities(table, term.to_numpy()), expected(dataset, f"kaplan_meier_{ci}"))
    medians = median_survival(*datasets[dataset], ci=ci)
    agree(quantities(medians, medians["group"].astype(str).to_numpy()), expected(dataset, f"median_{ci}"))


def test_delayed_entry_is_that_of_r():
    entry, time, event = [0, 0, 1, 2, 4, 1], [3, 5, 2, 6, 7, 5], [1, 1, 1, 0, 1, 0]
    table = kaplan_meier(time, event, entry=entry)
    term = "all@" + table["time"].map("{:g}".format)
    agree(quantities(table, term.to_numpy()), expected("late entry", "kaplan_meier_entry"))


def test_entries_that_make_no_interval_are_refused():
    with pytest.raises(ValueError, match="1 entries are missing or not before"):
        kaplan_meier([1, 2], [1, 1], entry=[1, 0])
    with pytest.raises(ValueError, match="missing or not before"):
        kaplan_meier([1, 2], [1, 1], entry=[np.nan, 0])
    with pytest.raises(ValueError, match="one value for each"):
        kaplan_meier([1, 2], [1, 1], entry=[0])


def test_entry_at_time_zero_changes_nothing():
    time, event = [2, 2, 3, 5], [1, 0, 1, 0]
    assert kaplan_meier(time, event, entry=np.zeros(4)).equals(kaplan_meier(time, event))


def split(rows):
    time, event = zip(*rows, strict=True)
    return np.array(time, dtype=float), np.array(event)


def test_a_hand_sized_curve_with_a_tie_and_a_censored_patient():
    # At 2 both an event and a censoring: the event comes first, three of four remain.
    table = kaplan_meier([2, 2, 3, 5], [1, 0, 1, 0])
    assert table["time"].tolist() == [2, 3, 5]
    assert table["n_risk"].tolist() == [4, 2, 1]
    assert table["n_event"].tolist() == [1, 1, 0]
    assert table["n_censor"].tolist() == [1, 0, 1]
    assert table["survival"].tolist() == pytest.approx([0.75, 0.375, 0.375])
    # Greenwood: 0.75^2 x 1 / (4 x 3)
    assert table["se"].iloc[0] == pytest.approx(0.75 * np.sqrt(1 / 12))


@pytest.mark.parametrize("ci", TYPES)
def test_intervals_are_symmetric_on_their_own_scale(ci):
    row = kaplan_meier([1, 2, 3, 4, 5], [1, 1, 0, 1, 0], ci=ci).iloc[1]
    scales = {"plain": lambda s: s, "log": np.log, "log-log": lambda s: np.log(-np.log(s))}
    scales |= {"logit": lambda s: np.log(s / (1 - s)), "arcsin": lambda s: np.arcsin(np.sqrt(s))}
    scale = scales[ci]
    below, above = scale(row["survival"]) - scale(row["lower"]), scale(row["upper"]) - scale(row["survival"])
    if row["upper"] < 1:
        assert below == pytest.approx(above)
    assert row["lower"] < row["survival"] < row["upper"]


def test_an_interval_is_missing_where_the_curve_is_zero():
    assert kaplan_meier([1, 2], [1, 1]).iloc[-1][["lower", "upper", "se"]].isna().all()


def test_an_unknown_interval_is_refused():
    with pytest.raises(ValueError, match="ci must be one of"):
        kaplan_meier([1, 2], [1, 1], ci="loglog")


def test_nobody_and_malformed_input_are_refused():
    with pytest.raises(NotEstimable, match="no patients"):
        kaplan_meier([], [])
    with pytest.raises(ValueError, match="missing, infinite or negative"):
        kaplan_meier([1, np.nan], [1, 1])
    with pytest.raises(ValueError, match="have no group"):
        kaplan_meier([1, 2], [1, 1], ["a", None])


@settings(max_examples=40, deadline=None)
@given(patients)
def test_the_curve_and_its_interval_equal_lifelines(rows):
    time, event = split(rows)
    fit = lifelines.KaplanMeierFitter().fit(time, event)
    table = kaplan_meier(time, event)
    expected = fit.survival_function_.loc[table["time"], "KM_estimate"].to_numpy()
    assert table["survival"].to_numpy() == pytest.approx(expected, abs=1e-9)
    inside = ((table["survival"] > 1e-12) & (table["survival"] < 1 - 1e-12)).to_numpy()
    limits = fit.confidence_interval_.loc[table["time"]].to_numpy()[inside]
    assert table.loc[inside, ["lower", "upper"]].to_numpy() == pytest.approx(limits, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(patients, st.randoms())
def test_s_never_rises_and_row_order_changes_nothing(rows, random):
    time, event = split(rows)
    table = kaplan_meier(time, event)
    assert (np.diff(table["survival"]) <= 1e-12).all()
    assert table["survival"].between(0, 1).all()
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert kaplan_meier(*split(shuffled)).equals(table)


def test_the_median_is_the_middle_of_the_stretch_where_s_is_one_half():
    assert median_survival([1, 2, 3, 4], [1, 1, 1, 1])["median"].iloc[0] == 2.5
    # S is 0.5 from 2 on and never falls further: the stretch ends with follow-up, at 6.
    assert median_survival([1, 2, 5, 6], [1, 1, 0, 0])["median"].iloc[0] == 4


def test_a_half_above_one_half_by_rounding_is_still_one_half():
    # 23/24 x 22/23 x ... x 12/13 is 0.5 + 1.1e-16 in floating point.
    time, event = np.arange(1, 25), np.arange(1, 25) <= 12
    assert kaplan_meier(time, event)["survival"].iloc[-1] > 0.5
    assert median_survival(time, event)["median"].iloc[0] == 18  # 12 to 24


def test_a_median_that_is_not_reached_is_missing():
    assert median_survival([1, 2, 3], [1, 0, 0]).iloc[0][["median", "upper"]].isna().all()


def test_reverse_kaplan_meier_takes_censoring_for_the_event():
    assert median_follow_up([1, 2, 3, 4], [0, 0, 0, 0])["median"].iloc[0] == 2.5


def test_s_is_read_at_times_and_not_carried_beyond_follow_up():
    table = survival_at([1, 2, 3, 4], [1, 1, 1, 0], [0.5, 2, 5]).set_index("time")
    assert table["survival"].tolist()[:2] == [1.0, 0.5]
    assert np.isnan(table.loc[5, "survival"])
    assert table["n_risk"].tolist() == [4, 3, 0]
    assert survival_at([1, 2], [1, 1], [5])["survival"].iloc[0] == 0


def test_numbers_at_risk_count_those_with_t_at_least_t():
    table = numbers_at_risk([1, 2, 2, 3], [1, 1, 0, 0], [0, 2, 3], ["a", "a", "b", "b"])
    assert table["n_risk"].tolist() == [2, 1, 0, 2, 2, 1]
    assert table["n_event"].tolist() == [0, 2, 2, 0, 0, 0]


def test_restricted_means_by_hand():
    # a dies at 1 and 3, b at 2 and 4; to 2: a 1 + 1/2, b 2.
    table = rmst([1, 3, 2, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], tau=2).set_index("term")
    assert table.loc["a", "estimate"] == pytest.approx(1.5)
    assert table.loc["b - a", "estimate"] == pytest.approx(0.5)
    turned = rmst([1, 3, 2, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], tau=2, reference="b")
    assert turned["estimate"].iloc[-1] == pytest.approx(-0.5)


@pytest.mark.parametrize(("dataset", "tau"), [("ovarian", 600), ("veteran", 180)])
def test_restricted_means_are_those_of_r(datasets, dataset, tau):
    table = rmst(*datasets[dataset], tau=tau)
    agree(quantities(table[["estimate", "se"]], table["term"].to_numpy()), expected(dataset, "rmst"))


def test_restricted_means_of_groups_that_all_have_their_event_before_tau():
    # The area is the mean: 2 and 3; nothing is left to grow beyond the last event.
    table = rmst([1, 3, 2, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], tau=9)
    assert table["estimate"].tolist() == pytest.approx([2, 3, 1])
    assert table["se"].tolist() == pytest.approx([np.sqrt(0.5), np.sqrt(0.5), 1])


def test_restricted_means_refuse_what_they_cannot_give():
    with pytest.raises(NotEstimable, match="lies beyond the last follow-up"):
        rmst([1, 3, 2, 4], [1, 0, 1, 1], ["a", "a", "b", "b"], tau=5)
    with pytest.raises(ValueError, match="two groups"):
        rmst([1, 2, 3], [1, 1, 1], ["a", "b", "c"], tau=1)
    with pytest.raises(ValueError, match="is no group"):
        rmst([1, 2], [1, 1], ["a", "b"], tau=1, reference="c")
    with pytest.raises(ValueError, match="tau must be positive"):
        rmst([1, 2], [1, 1], ["a", "b"], tau=0)


def test_times_to_read_at_may_be_one_number_and_must_be_numbers():
    assert survival_at([1, 2, 3], [1, 1, 1], 2)["survival"].tolist() == [pytest.approx(1 / 3)]
    assert numbers_at_risk([1, 2, 3], [1, 1, 1], 2)["n_risk"].tolist() == [2]
    for read in (survival_at, numbers_at_risk):
        for wrong in (np.nan, [1, -1], np.inf, [[1, 2]]):
            with pytest.raises(ValueError, match="times must be finite"):
                read([1, 2, 3], [1, 1, 1], wrong)


def test_restricted_means_without_an_event_have_no_limits():
    # Nobody has an event by 2: both means are 2 and known without error.
    table = rmst([3, 4, 3, 5], [1, 1, 1, 0], ["a", "a", "b", "b"], tau=2)
    assert table["estimate"].tolist() == [2, 2, 0] and table["se"].tolist() == [0, 0, 0]
    assert table[["lower", "upper", "p"]].isna().all(axis=None)


def test_restricted_means_take_a_finite_tau():
    for tau in (np.inf, np.nan, -1):
        with pytest.raises(ValueError, match="tau must be positive and finite"):
            rmst([1, 3, 2, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], tau=tau)


@pytest.mark.parametrize("alpha", [1.5, 95, 0])
def test_a_level_that_is_none_is_refused(alpha):
    arrays = [1, 3, 2, 4], [1, 1, 1, 1]
    for estimate in (kaplan_meier, median_survival, median_follow_up):
        with pytest.raises(ValueError, match="alpha must lie"):
            estimate(*arrays, alpha=alpha)
    with pytest.raises(ValueError, match="alpha must lie"):
        survival_at(*arrays, 2, alpha=alpha)
    with pytest.raises(ValueError, match="alpha must lie"):
        rmst(*arrays, ["a", "a", "b", "b"], tau=2, alpha=alpha)
