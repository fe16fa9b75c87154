from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import association, cox
from analysis.survival.association import estimates
from analysis.survival.association.baseline import baseline_set, baseline_values, estimate_baseline_effect
from analysis.survival.association.sets import estimate_censoring_sensitivity


def generator():
    return np.random.default_rng(9)


@pytest.fixture(scope="module")
def main(trial, plan):
    adsl, adtte, admr = trial
    analysis = association.main_analysis(admr, plan, timepoint="D14")
    data, excluded = association.analysis_set(analysis, admr, adtte, adsl, plan)
    return analysis, data, excluded


def at_day_14(plan, **values):
    """Return the plan with a fixed day, as a study's file would have it: the main row is primary."""
    fixed = {"primary.timepoint": "D14"} | {name.replace("__", "."): value for name, value in values.items()}
    return type(plan)(plan.study, {**plan.values, **fixed})


def everything(cohort, plan):
    """Estimate the main analysis and its grid: rows and ledger."""
    sets = association.prepare(cohort, plan)
    rows = [
        association.estimate_main(sets, plan, generator()),
        association.estimate_time_zeros(sets, plan),
        association.estimate_grids(sets, plan),
    ]
    return association.stack(rows), sets.excluded


@pytest.fixture(scope="module")
def table(cohort, plan):
    return everything(cohort, at_day_14(plan))


def test_time_zero_is_the_scan_and_months_are_of_the_plan(trial, main):
    _, data, _ = main
    _, adtte, admr = trial
    subject = data["USUBJID"].iloc[0]
    end = adtte.loc[adtte["USUBJID"].eq(subject) & adtte["PARAMCD"].eq("PFS"), "ADT"].iloc[0]
    scan = admr.loc[admr["USUBJID"].eq(subject) & admr["AVISIT"].eq("D14"), "PETDT"].iloc[0]
    assert data["time"].iloc[0] == pytest.approx((end - scan).days / 30.4375)


def test_everybody_is_analysed_or_in_the_ledger(simulate, plan):
    adsl, adtte, admr = simulate(missing={("PEARL-1-002", "D14")})
    adtte = adtte[~(adtte["USUBJID"].eq("PEARL-1-003"))]
    analysis = association.main_analysis(admr, plan, timepoint="D14")
    data, excluded = association.analysis_set(analysis, admr, adtte, adsl, plan)
    assert len(data) + len(excluded) == 48
    codes = dict(zip(excluded["USUBJID"], excluded["CODE"], strict=True))
    assert codes["PEARL-1-002"] == "NOT_EVALUABLE"
    assert codes["PEARL-1-003"] == "NO_ENDPOINT"


def test_the_first_row_is_the_main_hazard_ratio_non_responder_to_responder(table, main):
    _, data, _ = main
    row = table[0].iloc[0]
    assert (row["ROLE"], row["METHOD"], row["CONTRAST"], row["REFERENCE"]) == (
        "PRIMARY",
        "cox",
        "NON-RESPONDER",
        "RESPONDER",
    )
    expected = cox(data["time"], data["event"], data["exposed"].astype(float)).iloc[0]
    assert row["ESTIMATE"] == pytest.approx(expected["estimate"])
    assert row["ESTIMATE"] > 1  # a planted effect: a smaller fall is worse
    assert row["N"] == row["N_EXPOSED"] + row["N_REFERENCE"] == len(data)
    assert row["EVENTS"] == row["EVENTS_EXPOSED"] + row["EVENTS_REFERENCE"]


def test_one_row_alone_is_primary_and_the_tables_keep_their_contracts(table, main, plan):
    rows, excluded = table
    assert rows["ROLE"].eq("PRIMARY").sum() == 1
    contracts.check("estimates", rows)
    contracts.check("exclusions_04", excluded.assign(STEP="04"))
    analysis, data, _ = main
    contracts.check("analysis_set", estimates.tabulate_set(data, analysis))
    contracts.check("curves", association.tabulate_landmark_curves(data, analysis, plan))


def test_both_estimators_and_the_breslow_row_stand_side_by_side(table):
    rows = table[0].query("ENDPOINT == 'PFS' and METHOD == 'cox' and LABEL.str.startswith('main')")
    assert sorted(zip(rows["ESTIMATOR"], rows["TIES"], strict=True)) == [
        ("FIRTH", "breslow"),
        ("ML", "breslow"),
        ("ML", "efron"),
    ]


def test_firth_is_the_main_estimator_with_few_events(main, plan):
    analysis, data, _ = main
    assert estimates.main_estimator(data, analysis, plan) == "ML"
    few = data.assign(event=data["event"] & (np.arange(len(data)) < 12))
    assert estimates.main_estimator(few, analysis, plan) == "FIRTH"
    one_group = data.assign(event=data["event"] & data["exposed"])
    assert estimates.main_estimator(one_group, analysis, plan) == "FIRTH"
    # A number has no groups that could have few events.
    few_in_a_group = plan.override({"survival.firth_max_events": 1})
    assert estimates.main_estimator(one_group, analysis, few_in_a_group) == "FIRTH"
    assert estimates.main_estimator(one_group, analysis, few_in_a_group, groups=False) == "ML"
    rows = estimates.estimate_hazard_ratio(few, analysis, plan, role="PRIMARY")
    assert rows["ESTIMATOR"].iloc[0] == "FIRTH"
    assert rows["ROLE"].tolist() == ["PRIMARY", "SENSITIVITY", "SENSITIVITY"]


def test_os_and_subgroups_are_by_firth_whatever_their_events(table, main, plan):
    analysis, data, _ = main
    for name, expected in {"OS": "FIRTH", "OSALL": "FIRTH", "PFSALL": "ML"}.items():
        assert estimates.main_estimator(data, replace(analysis, endpoint=name), plan) == expected
    assert estimates.main_estimator(data, analysis, plan, subgroup=True) == "FIRTH"
    every = plan.override({"survival.firth_endpoints": []})
    assert estimates.main_estimator(data, replace(analysis, endpoint="OS"), every) == "ML"
    rows = table[0].query("ENDPOINT == 'OS' and METHOD == 'cox'")
    assert rows["EVENTS"].min() >= plan.survival.firth_max_events
    beside = rows["LABEL"].str.contains("other estimator")
    assert set(rows.loc[~beside, "ESTIMATOR"]) == {"FIRTH"} and beside.sum() == 2
    assert set(rows.loc[beside, "ESTIMATOR"]) == {"ML"}
    score = estimates.estimate_score_effect(data, replace(analysis, endpoint="OS"), plan).iloc[0]
    assert (score["ESTIMATOR"], score["TIES"]) == ("FIRTH", "breslow")
    assert estimates.estimate_score_effect(data, analysis, plan)["ESTIMATOR"].iloc[0] == "ML"


def test_firth_of_ten_patients_by_hand(main, plan):
    data = pd.DataFrame({"time": np.arange(1.0, 11), "event": True, "exposed": [True, False] * 5})
    data = data.assign(group=np.where(data["exposed"], "NON-RESPONDER", "RESPONDER"), SCORE=0.0)
    row = estimates.estimate_hazard_ratio(data, replace(main[0], endpoint="OS"), plan, role="SECONDARY")
    beta = np.linspace(-2, 4, 60001)
    likelihood, information = np.zeros_like(beta), np.zeros_like(beta)
    for k in range(10):
        at_risk = [data["exposed"][k:].sum(), (~data["exposed"][k:]).sum()]
        share = at_risk[0] * np.exp(beta) / (at_risk[0] * np.exp(beta) + at_risk[1])
        likelihood += beta * data["exposed"][k] - np.log(at_risk[0] * np.exp(beta) + at_risk[1])
        information += share * (1 - share)
    penalised = likelihood + np.log(information) / 2
    inside = beta[penalised >= penalised.max() - 3.841459 / 2]
    expected = np.exp([beta[penalised.argmax()], inside[0], inside[-1]])
    assert row.loc[0, ["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected, rel=1e-3)


def test_the_two_fits_by_maximum_likelihood_beside_firth_are_named_apart(table):
    rows = table[0].query("METHOD == 'cox' and LABEL.str.startswith('main')")
    labels = rows.set_index(["ENDPOINT", "ESTIMATOR", "TIES"])["LABEL"]
    assert labels["OS", "ML", "breslow"] == "main analysis; other estimator; Breslow ties"
    assert labels["OS", "ML", "efron"] == labels["PFS", "ML", "breslow"] == "main analysis; other estimator"


def test_the_post_hoc_cut_says_so_wherever_it_appears(table, trial, plan):
    rows = table[0]
    fifteen = rows[rows["CUT"].eq(15)]
    assert len(fifteen) and fifteen["LABEL"].str.contains("post hoc").all()
    assert not rows.loc[~rows["CUT"].eq(15), "LABEL"].str.contains("post hoc").any()
    _, _, admr = trial
    other = plan.override({"primary.cut_percent": 15.0})
    analysis = association.main_analysis(admr, other, timepoint="D14")
    assert analysis.post_hoc


def test_the_naive_analysis_is_only_described(table):
    naive = table[0].query("LANDMARK == 'none'")
    assert set(naive["ROLE"]) == {"DESCRIPTIVE"}
    assert naive["LABEL"].str.contains("naive").all()
    assert naive["LABEL"].str.endswith("no event lies before a scan here, so nothing is biased").all()


def test_the_naive_analysis_counts_the_events_before_the_own_scan(trial, as_cohort, plan):
    adsl, adtte, admr = trial
    early = adtte["PARAMCD"].eq("PFS") & adtte["USUBJID"].isin(adsl["USUBJID"].iloc[:2])
    # Scans are on day 14: one event is on that day, one is earlier.
    days = pd.Series(np.where(adtte["USUBJID"].eq(adsl["USUBJID"].iloc[0]), 13, 5), index=adtte.index)
    changed = adtte.assign(
        ADT=adtte["ADT"].mask(early, adtte["STARTDT"] + pd.to_timedelta(days, "D")),
        AVAL=adtte["AVAL"].mask(early, days + 1.0),
        CNSR=adtte["CNSR"].mask(early, 0),
    )
    rule = at_day_14(plan)

    def naive(admr):
        sets = association.prepare(as_cohort((adsl, changed, admr)), rule)
        return association.estimate_time_zeros(sets, rule).query("LANDMARK == 'none'")

    rows = naive(admr)
    assert rows["LABEL"].iloc[0].endswith("2 events lie before the own scan or on its day")
    assert rows["LABEL"].iloc[1].endswith("no event lies before a scan here, so nothing is biased")
    # These two scanned early: their events follow their scans, and come while the others have no class yet.
    own = admr["USUBJID"].isin(adsl["USUBJID"].iloc[:2])
    earlier = admr.assign(PETDT=admr["PETDT"].mask(own, admr["PETDT"] - pd.Timedelta(days=10)))
    label = naive(earlier)["LABEL"].iloc[0]
    assert label.endswith("no event lies before the own scan, 2 before the last patient's")


def test_an_override_makes_the_main_row_a_sensitivity_analysis(cohort, plan):
    other = at_day_14(plan).override({"primary.cut_percent": 40.0})
    rows = association.estimate_main(association.prepare(cohort, other), other, generator())
    assert rows["ROLE"].iloc[0] == "SENSITIVITY"
    assert not rows["ROLE"].eq("PRIMARY").any()


def test_os_is_tested_only_after_a_significant_pfs(plan):
    rows = pd.DataFrame(
        {"ENDPOINT": ["PFS", "PFS", "OS", "OS"], "P": [0.06, 0.01, 0.01, np.nan], "LABEL": list("abcd")}
    ).assign(RULE="any_resistant", METRIC="SUVMAX", METHOD="cox")
    closed = association.gate(rows, plan)
    assert closed["P"].isna().tolist() == [False, False, True, True]
    assert closed["LABEL"].iloc[2].endswith("estimated only, not tested: PFS is not significant")
    assert closed["LABEL"].iloc[3] == "d"
    assert association.gate(rows.assign(P=0.05), plan)["P"].notna().all()
    assert association.gate(rows.assign(P=np.nan), plan)["P"].isna().all()


def test_the_posterior_of_an_endpoint_that_is_not_tested_says_so_once(plan):
    rows = pd.DataFrame(
        {
            "ENDPOINT": ["PFS", "PFS", "OS", "OS"],
            "P": [0.06, np.nan, 0.01, np.nan],
            "METHOD": ["cox", "cox_prior"] * 2,
            "LABEL": ["a", "prior; posterior probability"] * 2,
        }
    ).assign(RULE="any_resistant", METRIC="SUVMAX")
    closed = association.gate(association.gate(rows, plan), plan)["LABEL"]
    assert closed.iloc[1] == "prior; posterior probability"
    assert closed.iloc[3].endswith("probability; estimated only, not tested: PFS is not significant")
    assert closed.iloc[3].count("estimated only") == 1
    assert association.gate(rows.assign(P=0.01), plan)["LABEL"].tolist() == rows["LABEL"].tolist()


def test_the_reported_log_rank_opens_the_next_endpoint_not_the_wald_or_ratio_test(plan):
    labels = ["main analysis", "log-rank, permutation; reported test", "main analysis", "OS, all follow-up"]
    rows = pd.DataFrame(
        {"ENDPOINT": ["PFS", "PFS", "OS", "OSALL"], "P": [0.049, 0.051, 0.01, 0.01], "LABEL": labels}
    ).assign(RULE="any_resistant", METRIC="SUVMAX", METHOD="cox")
    assert association.gate(rows, plan)["P"].isna().tolist() == [False, False, True, True]
    opened = association.gate(rows.assign(P=[0.051, 0.049, 0.01, 0.01]), plan)
    assert opened["P"].notna().all()


def test_nothing_is_estimated_from_nobody_and_the_label_says_why(trial, as_cohort, plan):
    adsl, adtte, admr = trial
    gone = adtte.assign(ADT=adtte["STARTDT"], AVAL=1.0, CNSR=1)
    rows, excluded = everything(as_cohort((adsl, gone, admr)), at_day_14(plan))
    landmarked = rows[rows["LANDMARK"].eq("scan") & rows["METHOD"].eq("cox")]
    assert landmarked["ESTIMATE"].isna().all()
    assert landmarked["LABEL"].str.contains("not estimable: no patients are left").all()
    assert excluded["CODE"].eq("CENSORED_BEFORE_LANDMARK").sum() == 2 * 48


def test_one_empty_group_is_reported_not_raised(trial, as_cohort, plan):
    adsl, adtte, admr = trial
    rows, _ = everything(as_cohort((adsl, adtte, admr.assign(MRESP="RESPONDER"))), at_day_14(plan))
    assert rows["LABEL"].iloc[0].startswith("main analysis; not estimable: ['exposed'] does not vary")
    assert rows.query("METHOD == 'km_median'")["CONTRAST"].unique().tolist() == ["RESPONDER"]


def test_other_censoring_rules_are_estimated_one_by_one(trial, plan, main):
    adsl, adtte, admr = trial
    other = pd.concat(
        [adtte[adtte["PARAMCD"].eq("PFS")].assign(PARAMCD=name, PARAM=name) for name in ("PFS_B", "PFS_A")]
    )
    rows = estimate_censoring_sensitivity(main[0], admr, other, adsl, plan)
    assert rows["ENDPOINT"].tolist() == ["PFS_A", "PFS_B"]
    assert set(rows["ROLE"]) == {"SENSITIVITY"}


def test_the_proportion_of_non_responders_has_bounds_for_missing_scans(simulate, plan):
    admr = simulate(missing={("PEARL-1-001", "D14")})[2]
    rows = association.estimate_response_proportion(admr, plan)
    cell = rows.query("TIMEPOINT == 'D14' and CUT == 25 and METHOD == 'wilson'").set_index("CASE")
    assert cell["N"].to_dict() == {"observed": 47, "lowest": 48, "highest": 48}
    assert cell.loc["highest", "N_NONRESPONDER"] == cell.loc["observed", "N_NONRESPONDER"] + 1
    assert rows.loc[rows["CUT"].eq(15), "LABEL"].eq("post hoc cut").all()


def test_row_order_changes_nothing(trial, as_cohort, plan, table):
    whole = as_cohort(trial)
    shuffled = [
        getattr(whole, name).sample(frac=1, random_state=2)
        for name in whole.__dataclass_fields__
        if getattr(whole, name) is not None
    ]
    again, _ = everything(association.Cohort(*shuffled), at_day_14(plan))
    pd.testing.assert_frame_equal(again, table[0])


def lesions():
    rows = [("a", "L1", 4.0, 10.0), ("a", "L2", 8.0, 6.0), ("b", "L1", 2.0, 1.0), ("c", "L1", 0.0, 0.0)]
    frame = pd.DataFrame(rows, columns=["USUBJID", "LESIONID", "SUVMAX", "MTV41"])
    long = frame.melt(["USUBJID", "LESIONID"], var_name="METRIC", value_name="AVAL")
    return long.assign(AVISIT="D0", ROLE="LESION")


def test_an_suv_is_the_hottest_lesion_and_a_volume_the_sum():
    assert baseline_values(lesions(), "SUVMAX").to_dict() == {"a": 8, "b": 2, "c": 0}
    assert baseline_values(lesions(), "MTV41").to_dict() == {"a": 16, "b": 1, "c": 0}


def test_the_median_does_not_part_sums_that_differ_by_rounding(plan):
    volumes = {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1], "c": [0.1], "d": [2.0]}
    assert sum(volumes["a"]) != sum(volumes["b"])
    adpet = pd.DataFrame(
        [(name, value) for name, values in volumes.items() for value in values], columns=["USUBJID", "AVAL"]
    ).assign(METRIC="MTV41", AVISIT="D0", ROLE="LESION")
    adtte = pd.DataFrame(
        {"STUDYID": "S", "USUBJID": list("abcd"), "PARAMCD": "PFS", "AVAL": [90.0, 60, 30, 20], "CNSR": 0}
    ).assign(STARTDT=pd.NaT, ADT=pd.NaT)
    for rows in (adpet, adpet.iloc[::-1]):
        data, _ = baseline_set(rows, adtte, plan, metric="MTV41", endpoint="PFS")
        assert data["group"].tolist() == ["LOW", "LOW", "LOW", "HIGH"]


def test_a_baseline_value_without_logarithm_is_in_the_ledger(plan):
    adtte = pd.DataFrame(
        {"STUDYID": "S", "USUBJID": list("abcd"), "PARAMCD": "PFS", "AVAL": [90.0, 60, 30, 0], "CNSR": 0}
    )
    adtte = adtte.assign(STARTDT=pd.NaT, ADT=pd.NaT)
    data, excluded = baseline_set(lesions(), adtte, plan, metric="MTV41", endpoint="PFS")
    assert data["log2"].tolist() == [4, 0]
    assert data["group"].tolist() == ["HIGH", "LOW"]
    assert excluded["CODE"].tolist() == ["NO_BASELINE_METRIC", "NO_BASELINE_METRIC"]


def test_a_doubling_is_primary_only_where_the_plan_makes_it_the_exposure(trial, plan):
    _, adtte, _ = trial
    rng = np.random.default_rng(1)
    subjects = adtte["USUBJID"].unique()
    adpet = pd.concat(
        pd.DataFrame(
            {
                "USUBJID": subjects,
                "LESIONID": "L1",
                "METRIC": name,
                "AVAL": rng.lognormal(2, 1, len(subjects)),
            }
        )
        for name in plan.primary.baseline_metrics
    ).assign(AVISIT="D0", ROLE="LESION")
    rows, _ = estimate_baseline_effect(adpet, adtte, plan, generator())
    contracts.check("estimates", rows)
    assert set(rows["ROLE"]) == {"EXPLORATORY"}
    # No log-rank here is the test of an endpoint; OS is by Firth first, maximum likelihood beside it.
    assert not rows["LABEL"].str.contains("reported test").any()
    order = rows[rows["RULE"].eq("per_doubling")].groupby("ENDPOINT")["ESTIMATOR"].agg(list)
    assert order["PFS"][:2] == ["ML", "FIRTH"] and order["OS"][:2] == ["FIRTH", "ML"]
    values = {**plan.values, "primary.exposure": "baseline_metric"}
    rows, _ = estimate_baseline_effect(adpet, adtte, type(plan)(plan.study, values), generator())
    primary = rows[rows["ROLE"].eq("PRIMARY")]
    assert primary[["ENDPOINT", "METRIC", "RULE"]].to_numpy().tolist() == [["PFS", "SUVMAX", "per_doubling"]]
    assert set(rows.loc[rows["RULE"].eq("median_split"), "ROLE"]) == {"EXPLORATORY"}
