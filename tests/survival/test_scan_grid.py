from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import NotEstimable, association
from analysis.survival.association.scan_grid import (
    assessment_gaps,
    estimate_assessment_timing,
    estimate_follow_up,
    estimate_interval_censored,
    progression_intervals,
)
from analysis.survival.interval_censored import weibull_interval

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_kaplan_meier.csv", dtype={"term": str}).set_index(["dataset", "analysis"])


def expected(dataset, analysis):
    return REFERENCE.loc[[(dataset, analysis)]].set_index("quantity")["value"]


def grid(time, event, exact, width):
    """Visits every `width` days: what is not exact is known to lie between two of them."""
    on_grid = event & ~exact
    lower = np.where(on_grid, width * (np.ceil(time / width) - 1), time)
    upper = np.where(~event, np.inf, np.where(on_grid, width * np.ceil(time / width), time))
    return lower, upper


def test_interval_censored_models_are_those_of_r():
    lung = lifelines.datasets.load_lung()
    veteran = pd.read_csv(FOLDER / "veteran.csv")
    cut_lung = grid(lung["time"], lung["status"].eq(1), lung["ph.ecog"].eq(2), 90)
    cut_veteran = grid(veteran["time"], veteran["status"].eq(1), np.zeros(len(veteran), bool), 56)
    fits = {
        "lung": weibull_interval(*cut_lung, lung["sex"] == 1),
        "veteran": weibull_interval(*cut_veteran, veteran["trt"] == 2),
    }
    for dataset, fit in fits.items():
        reference = expected(dataset, "weibull_interval")
        found = fit.iloc[0][reference.index].to_numpy(dtype=float)
        assert found == pytest.approx(reference.to_numpy(), abs=1e-6)


def test_a_hazard_ratio_does_not_depend_on_the_unit_and_inverts_with_the_coding():
    rng = np.random.default_rng(3)
    exposed = np.arange(40) < 20
    lower, upper = grid(
        rng.exponential(np.where(exposed, 60, 120)), np.ones(40, bool), np.arange(40) % 5 == 0, 30
    )
    days, months = weibull_interval(lower, upper, exposed), weibull_interval(lower / 30, upper / 30, exposed)
    assert days["estimate"].iloc[0] == pytest.approx(months["estimate"].iloc[0], rel=1e-6)
    turned = weibull_interval(lower, upper, ~exposed)
    assert turned["estimate"].iloc[0] == pytest.approx(1 / days["estimate"].iloc[0], rel=1e-6)
    assert turned["lower"].iloc[0] == pytest.approx(1 / days["upper"].iloc[0], rel=1e-6)


def test_intervals_that_have_no_hazard_ratio_are_refused():
    exposed = [1, 1, 0, 0]
    with pytest.raises(NotEstimable, match="no event in the reference group"):
        weibull_interval([1, 2, 3, 4], [2, 3, np.inf, np.inf], exposed)
    with pytest.raises(NotEstimable, match="nobody in the exposed group is known to be event-free"):
        weibull_interval([0, 0, 3, 4], [2, 3, 4, 5], exposed)
    with pytest.raises(NotEstimable, match="one group is empty"):
        weibull_interval([1, 2], [2, 3], [1, 1])
    with pytest.raises(NotEstimable, match="no patients"):
        weibull_interval([], [], [])
    with pytest.raises(NotEstimable, match=r"no maximum|converge"):  # all intervals hold a common time
        weibull_interval([1, 1, 1, 1], [2, 2, 2, 2], exposed)
    with pytest.raises(NotEstimable, match=r"no maximum|converge"):  # two patients: a perfect fit
        weibull_interval([1, 2], [1, 2], [1, 0])
    with pytest.raises(ValueError, match="1 intervals are no"):
        weibull_interval([1, 3], [2, 2], [1, 0])
    with pytest.raises(ValueError, match="none missing"):
        weibull_interval([1, 1], [2, 2], [1, None])
    with pytest.raises(ValueError, match="as long"):
        weibull_interval([1, 1], [2, 2], [1])


@pytest.fixture(scope="module")
def study(trial, plan):
    """Return set, analysis and tables, PFS moved to assessments every 56 days; progression at the last one."""
    adsl, adtte, admr = trial
    adtte = adtte[adtte["PARAMCD"].eq("PFS")].copy()
    visits = np.ceil((adtte["AVAL"] - 1) / 56).astype(int).clip(lower=1)
    adtte["AVAL"] = 56.0 * visits + 1
    adtte["ADT"] = adtte["STARTDT"] + pd.to_timedelta(56 * visits, "D")
    adtte["EVNTDESC"] = "Disease Progression"
    rows = [
        (row.USUBJID, row.STARTDT + pd.Timedelta(days=56 * k), "PD" if k == n and row.CNSR == 0 else "SD")
        for row, n in zip(adtte.itertuples(), visits, strict=True)
        for k in range(1, n + 1)
    ]
    adrs = pd.DataFrame(rows, columns=["USUBJID", "ADT", "AVALC"]).assign(PARAMCD="OVRLRESP")
    analysis = association.main_analysis(admr, plan, timepoint="D14")
    data, _ = association.analysis_set(analysis, admr, adtte, adsl, plan)
    return data, analysis, adtte, adrs


def test_a_progression_lies_between_its_assessment_and_the_one_before(study, plan):
    data, analysis, adtte, adrs = study
    intervals = progression_intervals(data, analysis, adtte, adrs, plan)
    event = data["event"].to_numpy()
    assert np.isinf(intervals["upper"][~event]).all()
    assert (intervals["lower"][~event].to_numpy() == data["time"][~event].to_numpy()).all()
    width = ((intervals["upper"] - intervals["lower"])[event] * plan.design.days_per_month).round(6)
    # 56 days, or 43 from the landmark (study day 14) to the first assessment.
    assert set(width) == {56, 43}
    assert (intervals["upper"][event].to_numpy() == data["time"][event].to_numpy()).all()


def test_deaths_are_exact_and_what_is_not_evaluable_shows_nothing(study, plan):
    data, analysis, adtte, adrs = study
    patients = data[data["event"] & (data["time"] * plan.design.days_per_month > 100)]["USUBJID"].tolist()
    dead, unseen = patients[:2]
    last = adrs.groupby("USUBJID")["ADT"].transform("max").eq(adrs["ADT"])
    before = adrs["ADT"].eq(adrs["USUBJID"].map(adrs[~last].groupby("USUBJID")["ADT"].max()))
    changed = adrs[~(adrs["USUBJID"].eq(dead) & last)].copy()
    changed.loc[changed["USUBJID"].eq(unseen) & before, "AVALC"] = "NE"
    found = progression_intervals(data, analysis, adtte, changed, plan).set_index("USUBJID")
    plain = progression_intervals(data, analysis, adtte, adrs, plan).set_index("USUBJID")
    assert found.loc[dead, "lower"] == found.loc[dead, "upper"] == plain.loc[dead, "upper"]
    earlier = plain.loc[unseen, "lower"] - 56 / plan.design.days_per_month
    assert found.loc[unseen, "lower"] == pytest.approx(max(0, earlier))


def test_the_interval_censored_row_and_its_refusals(study, plan):
    data, analysis, adtte, adrs = study
    row = estimate_interval_censored(data, analysis, adtte, adrs, plan)
    contracts.check("estimates", row)
    assert row[["METHOD", "ESTIMATOR", "ROLE"]].iloc[0].tolist() == [
        "weibull_interval",
        "WEIBULL",
        "SENSITIVITY",
    ]
    assert row["LOWER"].iloc[0] < row["ESTIMATE"].iloc[0] < row["UPPER"].iloc[0]
    assert row["ESTIMATE"].iloc[0] > 1  # the planted effect
    for given, reason in ((None, "no table of tumour assessments"), (adrs.iloc[:0], "no table")):
        without = estimate_interval_censored(data, analysis, adtte, given, plan)
        assert without["ESTIMATE"].isna().all() and reason in without["LABEL"].iloc[0]
    days_only = estimate_interval_censored(data.assign(LANDMARKDT=pd.NaT), analysis, adtte, adrs, plan)
    assert "days, no dates" in days_only["LABEL"].iloc[0]
    nobody = estimate_interval_censored(data.iloc[:0], analysis, adtte, adrs, plan)
    assert nobody["ESTIMATE"].isna().all()


def test_the_plan_says_whose_responses_are_read(study, plan):
    data, analysis, adtte, adrs = study
    reported = plan.override({"clinical.response_source": "reported"})
    assert estimate_interval_censored(data, analysis, adtte, adrs, reported)["ESTIMATE"].isna().all()
    renamed = adrs.assign(PARAMCD="RSREP")
    assert estimate_interval_censored(data, analysis, adtte, renamed, reported)["ESTIMATE"].notna().all()


def gaps_of(days, study, plan):
    """Give patient k of the set one assessment, `days[k]` after the start."""
    data, analysis, adtte, _ = study
    data = data.iloc[: len(days)].assign(exposed=np.arange(len(days)) < (len(days) + 1) // 2)
    start = data["USUBJID"].map(adtte.set_index("USUBJID")["STARTDT"])
    adrs = pd.DataFrame(
        {"USUBJID": data["USUBJID"], "ADT": start + pd.to_timedelta(days, "D"), "AVALC": "SD"}
    )
    adtte = adtte.assign(ADT=adtte["STARTDT"] + pd.Timedelta(days=400))
    return data, analysis, adtte, adrs.assign(PARAMCD="OVRLRESP")


def test_the_test_of_timing_is_the_wilcoxon_test_of_r(study, plan):
    first, second = [56, 56, 57, 61, 55, 56, 58], [56, 55, 54, 56, 52, 53]
    rows = estimate_assessment_timing(*gaps_of(first + second, study, plan), plan)
    contracts.check("estimates", rows)
    assert rows["ESTIMATE"].tolist() == [56, 54.5, 1.5]
    assert rows["CONTRAST"].tolist() == ["NON-RESPONDER", "RESPONDER", "NON-RESPONDER"]
    assert rows["P"].iloc[2] == pytest.approx(expected("gaps", "wilcoxon")["p"], abs=1e-9)
    assert set(rows["ROLE"]) == {"DESCRIPTIVE"} and set(rows["METHOD"]) == {"assessment_timing"}


def test_a_small_comparison_without_ties_is_exact(study, plan):
    data, analysis, adtte, adrs = gaps_of([57, 61, 55, 54, 56, 52, 53], study, plan)
    data = data.assign(exposed=np.arange(7) < 3)
    row = estimate_assessment_timing(data, analysis, adtte, adrs, plan).iloc[-1]
    assert row["P"] == pytest.approx(expected("gaps without ties", "wilcoxon")["p"], abs=1e-9)


def test_gaps_run_from_the_start_to_the_end_of_the_endpoint(study, plan):
    data, analysis, adtte, adrs = study
    table = assessment_gaps(data, analysis, adtte, adrs, plan)
    assert (table["mean_days"] == 56).all() and len(table) == len(data)
    end = adtte.set_index("USUBJID")["ADT"]
    after = adrs.assign(ADT=adrs["USUBJID"].map(end) + pd.Timedelta(days=9)).drop_duplicates(
        ["USUBJID", "ADT"]
    )
    longer = pd.concat([adrs, after], ignore_index=True)
    assert assessment_gaps(data, analysis, adtte, longer, plan).equals(table)
    row = estimate_assessment_timing(data, analysis, adtte, adrs, plan).iloc[-1]
    assert (row["ESTIMATE"], row["P"]) == (0, 1)  # everybody on the day: no information


def test_timing_without_assessments_or_in_one_group_says_so(study, plan):
    data, analysis, adtte, adrs = study
    without = estimate_assessment_timing(data, analysis, adtte, None, plan)
    assert len(without) == 1 and "no table of tumour assessments" in without["LABEL"].iloc[0]
    exposed = adrs[adrs["USUBJID"].isin(data.loc[data["exposed"], "USUBJID"])]
    one = estimate_assessment_timing(data, analysis, adtte, exposed, plan)
    assert one["ESTIMATE"].isna().tolist() == [False, True, True]


def test_follow_up_by_group_and_for_all_takes_censoring_for_the_event(study, plan):
    data, analysis, _, _ = study
    hand = data.iloc[:4].assign(
        time=[1.0, 2, 3, 4],
        event=False,
        group=["RESPONDER"] * 2 + ["NON-RESPONDER"] * 2,
        exposed=[0, 0, 1, 1],
    )
    table = estimate_follow_up(hand, analysis, plan)
    contracts.check("estimates", table)
    assert table["CONTRAST"].tolist() == ["NON-RESPONDER", "RESPONDER", "all"]
    assert table["ESTIMATE"].tolist() == [3.5, 1.5, 2.5]
    assert table["N"].tolist() == [2, 2, 4] and table["EVENTS"].tolist() == [0, 0, 0]
    everybody = estimate_follow_up(hand.assign(event=True), analysis, plan)
    assert everybody["ESTIMATE"].isna().all()  # nobody was censored
    nobody = estimate_follow_up(hand.iloc[:0], analysis, plan)
    assert nobody["CONTRAST"].tolist() == ["all"] and "not estimable" in nobody["LABEL"].iloc[0]
