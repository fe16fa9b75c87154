"""Rows on the cut: the sweep, the selected cut, its bootstrap distribution, degenerate data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.survival.association.cutpoints import (
    estimate_cut_bootstrap,
    estimate_selected_cut,
    estimate_sweep,
    exposed_at,
    sweep_cuts,
)
from analysis.survival.association.estimates import ESTIMATES
from analysis.survival.association.sets import analysis_set, main_analysis
from analysis.survival.cox import cox
from analysis.survival.cutpoint import max_selected_log_rank, select_cut
from analysis.survival.log_rank import log_rank


@pytest.fixture(scope="module")
def main(trial, plan):
    adsl, adtte, admr = trial
    analysis = main_analysis(admr, plan, timepoint="D14")
    return analysis, analysis_set(analysis, admr, adtte, adsl, plan)[0]


@pytest.fixture(scope="module")
def few(plan):
    """Return the plan with few resamples and a coarse sweep."""
    return plan.override(
        {
            "survival.cut_bootstrap": 60,
            "survival.permutations": 200,
            "survival.sweep_percent": [0.0, 50.0, 12.5],
        }
    )


def rng():
    return np.random.default_rng(20104)


def test_the_sweep_has_the_hazard_ratio_and_the_log_rank_of_each_cut(main, plan):
    analysis, data = main
    table = estimate_sweep(data, analysis, plan)
    assert table.columns.tolist() == ESTIMATES and table["METHOD"].eq("cut_sweep").all()
    assert table["CUT"].tolist() == np.arange(0, 50.1, 2.5).tolist()
    assert table["ROLE"].eq("EXPLORATORY").all()
    row = table[table["CUT"].eq(30.0)].iloc[0]
    exposed = (data["SCORE"] > np.log(0.7)).astype(float)
    fit = cox(data["time"], data["event"], exposed, alpha=plan.primary.alpha).iloc[0]
    found = row[["ESTIMATE", "LOWER", "UPPER"]].astype(float).tolist()
    assert found == pytest.approx(fit[["estimate", "lower", "upper"]].astype(float).tolist())
    assert row["P"] == pytest.approx(log_rank(data["time"], data["event"], exposed)["p"][0])
    assert row["N_EXPOSED"] == exposed.sum() and row["N_EXPOSED"] + row["N_REFERENCE"] == len(data)


def test_labels_say_which_cut_is_pre_specified_post_hoc_or_one_of_many(main, plan):
    analysis, data = main
    plan = plan.override({"survival.sweep_percent": [15.0, 30.0, 5.0]})
    labels = estimate_sweep(data, analysis, plan).set_index("CUT")["LABEL"]
    assert labels[25.0] == "cut 25 %, the pre-specified cut; p of the log-rank"
    assert labels[15.0].endswith("post hoc cut") and "not corrected" in labels[15.0]
    assert labels[30.0] == "cut 30 %, not corrected for looking at many cuts; p of the log-rank"
    later = estimate_sweep(data, replace(analysis, cut=15.0, post_hoc=True), plan).set_index("CUT")["LABEL"]
    assert not later.str.contains("pre-specified").any()


def test_the_main_row_of_the_sweep_is_the_main_analysis(main, plan):
    analysis, data = main
    row = estimate_sweep(data, analysis, plan).query("CUT == 25").iloc[0]
    fit = cox(data["time"], data["event"], data["exposed"].astype(float)).iloc[0]
    assert row["ESTIMATE"] == pytest.approx(fit["estimate"])


def test_a_fall_of_exactly_the_cut_responds(main, plan):
    analysis, _ = main
    scores = np.log([0.75, 0.75 + 1e-6, 0.75 - 1e-6])
    assert exposed_at(scores, 25.0, analysis, plan).tolist() == [False, True, False]
    strict = plan.override({"response.cut_inclusive": False})
    assert exposed_at(scores, 25.0, analysis, strict).tolist() == [True, True, False]
    assert exposed_at([0.0], 0.0, analysis, plan).tolist() == [False]


def test_cuts_of_the_plan_that_are_off_the_grid_are_added(main, plan):
    analysis, data = main
    other = plan.override(
        {"survival.sweep_percent": [10.0, 40.0, 10.0], "primary.cut_post_hoc": [33.3, 90.0]}
    )
    assert sweep_cuts(data["SCORE"], analysis, other).tolist() == [10, 20, 25, 30, 33.3, 40]
    with pytest.raises(ValueError, match="from, to, step"):
        sweep_cuts(data["SCORE"], analysis, plan.override({"survival.sweep_percent": [10.0, 40.0, 0.0]}))


def test_a_rule_that_is_no_cut_of_its_score_is_named(main, few):
    analysis, data = main
    table = estimate_sweep(data, replace(analysis, rule="eortc"), few)
    assert table["LABEL"].str.contains("classes by a cut of the score of eortc, not by its table").all()
    new_lesion = data.assign(exposed=data["exposed"] | (data.index < 3))
    differ = int((new_lesion["exposed"] != data["exposed"]).sum())
    labels = estimate_sweep(new_lesion, analysis, few)["LABEL"]
    assert differ and labels.str.contains(f"the rule itself classes {differ} patients otherwise").all()


def test_a_cut_that_empties_a_group_has_no_ratio_and_few_events_take_firth(main, plan, few):
    analysis, data = main
    wide = plan.override({"survival.sweep_percent": [0.0, 95.0, 95.0]})
    last = estimate_sweep(data, analysis, wide).iloc[-1]
    assert pd.isna(last["ESTIMATE"]) and "not estimable" in last["LABEL"] and last["N_REFERENCE"] == 0
    sparse = data.assign(event=data["event"] & (data.index % 4 == 0))
    assert estimate_sweep(sparse, analysis, few)["ESTIMATOR"].eq("FIRTH").all()


def test_the_selected_cut_is_that_of_the_statistic_in_percent_fall(main, few):
    analysis, data = main
    table = estimate_selected_cut(data, analysis, few, rng()).set_index("METHOD")
    assert table.index.tolist() == [
        "maxstat_lausen92",
        "maxstat_lausen94",
        "maxstat_hothorn_lausen",
        "maxstat_permutation",
    ]
    assert table["ROLE"].eq("EXPLORATORY").all() and table["LABEL"].str.contains("selected by the data").all()
    found = max_selected_log_rank(
        data["time"], data["event"], data["SCORE"], methods=("lausen92", "hothorn_lausen")
    )
    first = table.loc["maxstat_lausen92"]
    assert first["ESTIMATE"] == pytest.approx(found["statistic"][0]) and first["P"] == found["p"][0]
    assert np.log(1 - first["CUT"] / 100) == pytest.approx(found["cut"][0])
    assert first["N_REFERENCE"] == (data["SCORE"] <= found["cut"][0]).sum()
    assert table.loc["maxstat_hothorn_lausen", "P"] == pytest.approx(found["p"][1])
    assert not table["LABEL"].str.contains("post hoc").any()


def test_the_selected_cut_separates_as_its_row_of_the_sweep_would(main, few):
    analysis, data = main
    row = estimate_selected_cut(data, analysis, few, rng()).iloc[0]
    inclusive = exposed_at(data["SCORE"], row["CUT"], analysis, few)
    assert inclusive.sum() == row["N_EXPOSED"]


def test_the_bootstrap_shares_sum_to_1_on_the_grid_of_the_sweep(main, few):
    analysis, data = main
    table = estimate_cut_bootstrap(data, analysis, few, rng())
    first, shares = table.iloc[0], table.iloc[1:]
    own = -100 * np.expm1(select_cut(data["time"], data["event"], data["SCORE"])[1])
    assert first["ESTIMATE"] == first["CUT"] == pytest.approx(own)
    assert first["LABEL"] == "middle 95 % of the selected cuts, 60 resamples"
    assert first["LOWER"] <= first["UPPER"]
    assert shares["ESTIMATE"].sum() == pytest.approx(1) and shares["CUT"].is_monotonic_increasing
    assert (shares["CUT"] % 12.5).eq(0).all() and shares["LOWER"].isna().all()
    mean = (shares["CUT"] * shares["ESTIMATE"]).sum()
    assert first["LOWER"] - 12.5 <= mean <= first["UPPER"] + 12.5


def test_one_resample_is_the_cut_of_that_resample(main, few):
    analysis, data = main
    once = few.override({"survival.cut_bootstrap": 1})
    table = estimate_cut_bootstrap(data, analysis, once, rng())
    drawn = data.iloc[rng().integers(0, len(data), size=(1, len(data)))[0]]
    cut = -100 * np.expm1(select_cut(drawn["time"], drawn["event"], drawn["SCORE"])[1])
    assert table["LOWER"][0] == table["UPPER"][0] == pytest.approx(cut)
    assert table["CUT"][1] == pytest.approx(12.5 * np.round(cut / 12.5))


def test_two_runs_with_one_seed_give_the_same_rows(main, few):
    analysis, data = main
    for estimate in (estimate_selected_cut, estimate_cut_bootstrap):
        pd.testing.assert_frame_equal(
            estimate(data, analysis, few, rng()), estimate(data, analysis, few, rng())
        )


def test_a_baseline_value_is_cut_at_the_values_of_the_patients(main, few):
    analysis, data = main
    data = data.assign(SCORE=np.log2(8 * np.exp(data["SCORE"])))
    median = float(np.median(np.exp2(data["SCORE"])))
    value = replace(
        analysis, scale="value", cut=median, rule="median_split", contrast="HIGH", reference="LOW"
    )
    data["exposed"] = np.exp2(data["SCORE"]) > median
    sweep = estimate_sweep(data, value, few).set_index("CUT")
    assert sweep.loc[median, "LABEL"].endswith("the cut of the main split; p of the log-rank")
    assert not sweep["LABEL"].str.contains("post hoc|%").any()
    low, high = few.survival.maxstat_range
    share = sweep["N_REFERENCE"].astype(float) / len(data)
    assert share.between(low, high).all() and share.is_monotonic_increasing
    selected = estimate_selected_cut(data, value, few, rng()).iloc[0]
    assert np.isclose(np.exp2(data["SCORE"]), selected["CUT"]).any()
    assert sweep.loc[np.isclose(sweep.index, selected["CUT"]), "N_EXPOSED"].tolist() == [
        selected["N_EXPOSED"]
    ]
    shares = estimate_cut_bootstrap(data, value, few, rng()).iloc[1:]
    assert shares["ESTIMATE"].sum() == pytest.approx(1)


def lacking(data):
    return {
        "no events": data.assign(event=False),
        "one score": data.assign(SCORE=-0.3),
        "no score": data.assign(SCORE=np.nan),
        "one time": data.assign(time=4.0, event=True),
        "nobody": data.iloc[:0],
    }


@pytest.mark.parametrize("case", ["no events", "one score", "no score", "one time", "nobody"])
def test_data_without_a_cut_have_rows_with_the_reason(main, few, case):
    analysis, data = main
    data = lacking(data)[case]
    selected = estimate_selected_cut(data, analysis, few, rng())
    assert len(selected) == 4 and selected[["ESTIMATE", "P", "CUT"]].isna().all(axis=None)
    bootstrap = estimate_cut_bootstrap(data, analysis, few, rng())
    assert len(bootstrap) == 1 and bootstrap["ESTIMATE"].isna().all()
    for table in (selected, bootstrap):
        assert table["LABEL"].str.contains("not estimable: ").all()
    sweep = estimate_sweep(data, analysis, few)
    assert len(sweep) == 6 and (case == "one time" or sweep["ESTIMATE"].isna().all())


def test_two_patients_have_rows(main, few):
    analysis, data = main
    pair = data.iloc[:2].assign(time=[3.0, 5.0], event=True, SCORE=[0.1, -0.4])
    assert estimate_selected_cut(pair, analysis, few, rng())["P"].between(0, 1).all()
    bootstrap = estimate_cut_bootstrap(pair, analysis, few, rng())
    # Half the resamples are one patient twice.
    assert "more had no cut to select" in bootstrap["LABEL"][0]


def test_patients_without_a_score_are_counted_out(main, few):
    analysis, data = main
    partly = data.assign(SCORE=data["SCORE"].where(data.index > 1))
    for table in (
        estimate_sweep(partly, analysis, few),
        estimate_selected_cut(partly, analysis, few, rng()),
    ):
        assert table["LABEL"].str.contains("2 patients without a score are left out").all()
        assert table["N"].eq(len(data) - 2).all()
    pd.testing.assert_frame_equal(
        estimate_cut_bootstrap(partly, analysis, few, rng()),
        estimate_cut_bootstrap(partly.iloc[2:], analysis, few, rng()),
    )
