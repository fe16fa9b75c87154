"""The p corrected for the pilot's choice of the day: rows, the order of testing, degenerate studies, words."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, tables
from analysis.survival import association, cox
from analysis.survival.association import pilot_choice
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.two_stage import Stage, two_stage_test

DECISION = {"timepoint": "D14", "fallback": False}
NOT_CORRECTED = "not corrected for the pilot's choice of the day"


def generator():
    return np.random.default_rng(9)


def of_study(plan, **values):
    """Return the plan with values as a study's file would have them."""
    own = {name.replace("__", "."): value for name, value in values.items()}
    return type(plan)(plan.study, {**plan.values, **own})


def main_of(cohort, plan, decision=DECISION, operating=None):
    sets = association.prepare(cohort, plan, decision=decision or DECISION)
    return association.estimate_main(sets, plan, generator(), decision, operating)


@pytest.fixture(scope="module")
def quick(plan):
    return of_study(plan, survival__permutations=300)


@pytest.fixture(scope="module")
def main(cohort, quick):
    return main_of(cohort, quick)


def row_of(rows, method, endpoint="PFS"):
    return rows[rows["METHOD"].eq(method) & rows["ENDPOINT"].eq(endpoint)].iloc[0]


def test_the_two_stage_row_is_the_reported_test_and_the_hazard_ratio_stays_first(main):
    assert (main["METHOD"].iloc[0], main["ROLE"].iloc[0]) == ("cox", "PRIMARY")
    for endpoint in ("PFS", "OS"):
        own = main[main["ENDPOINT"].eq(endpoint)]
        assert own["LABEL"].str.contains("reported test").sum() == 1
        assert association.reported_test(own)["METHOD"] == "two_stage"
        for method in ("logrank", "logrank_permutation"):
            row = row_of(main, method, endpoint)
            assert row["LABEL"].endswith(NOT_CORRECTED) and row["ROLE"] == "SENSITIVITY"
    row = row_of(main, "two_stage")
    assert row["ROLE"] == "SECONDARY" and row["ESTIMATE"] > 0 and row["N"] == main["N"].iloc[0]
    contracts.check("estimates", main)


def test_no_other_number_hangs_on_the_correction(cohort, quick, main):
    without = main_of(cohort, quick, {**DECISION, "fallback": True})
    keep = ["ENDPOINT", "METHOD", "ESTIMATOR", "TIES", "CONTRAST"]
    numbers = ["ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS"]
    of_both = [
        rows[~rows["METHOD"].eq("two_stage") & ~rows["LABEL"].str.startswith("extension")].reset_index(
            drop=True
        )[keep + numbers]
        for rows in (main, without)
    ]
    pd.testing.assert_frame_equal(*of_both)


def test_the_p_is_that_of_stages_put_together_by_hand(trial, cohort, quick):
    adsl, adtte, admr = trial
    pfs = adtte[adtte["PARAMCD"].eq("PFS")].set_index("USUBJID")
    pilot = sorted(adsl.loc[adsl["PILOTFL"].eq("Y"), "USUBJID"])
    later = sorted(adsl.loc[adsl["PILOTFL"].ne("Y"), "USUBJID"])

    def columns(subjects, day):
        rows = admr[admr["AVISIT"].eq(day) & admr["CUT"].eq(25)].set_index("USUBJID").reindex(subjects)
        left = (pfs["ADT"].reindex(subjects) - rows["PETDT"]).dt.days
        assert (left > 0).all()  # everybody is at risk in this trial
        scores = log_rank_scores(left / 30.4375, pfs["CNSR"].reindex(subjects).eq(0))
        return scores, rows["MRESP"].eq("NON-RESPONDER").to_numpy(float)

    first = [columns(pilot, day) for day in ("D14", "D28")]
    second = columns(later, "D14")
    stages = (
        Stage(*(np.column_stack(part) for part in zip(*first, strict=True))),
        Stage(*(np.column_stack([part, part]) for part in second)),
    )
    expected = two_stage_test(*stages, 0, (25, 13), 300, generator())
    sets = association.prepare(cohort, quick, decision=DECISION)
    found = association.estimate_pilot_choice(sets, quick, DECISION, generator())
    row = row_of(found, "two_stage")
    assert (row["P"], row["ESTIMATE"]) == pytest.approx((expected.p, expected.z), abs=1e-12)
    said = f"pilot at D14 {expected.p_pilot[0]:.2g}, pilot at any day {expected.p_pilot_any:.2g}"
    assert said in row["LABEL"] and f"extension at D14 {expected.p_extension:.2g}" in row["LABEL"]
    events = pfs["CNSR"].eq(0)
    sizes = f"{events[pilot].sum()} / 30 in the pilot, {events[later].sum()} / 18 in the extension"
    assert sizes in row["LABEL"] and "weighed 25 to 13" in row["LABEL"]


def test_who_is_gone_by_the_later_landmark_keeps_her_class_and_has_no_score_there(trial, as_cohort, quick):
    adsl, adtte, admr = trial
    hers = adtte["USUBJID"].eq("PEARL-1-004")
    gone = adtte.assign(
        ADT=adtte["ADT"].mask(hers, adtte["STARTDT"] + pd.Timedelta(days=20)),
        CNSR=adtte["CNSR"].mask(hers, 0),
    )
    sets = association.prepare(as_cohort((adsl, gone, admr)), quick, decision=DECISION)
    pilot, later = pilot_choice.build_stages(sets.analyses["PFS"], sets, quick)
    assert pilot.scores.shape == (30, 2) and later.scores.shape == (18, 2)
    # She is the fifth by name; the first event of the pilot of 30 from the earlier scan: 1 - 1/30.
    assert pilot.scores[4].tolist() == [pytest.approx(1 - 1 / 30), 0]
    assert np.isfinite(pilot.exposed).all() and np.isnan(later.exposed[:, 1]).all()
    assert pilot.scores.sum(axis=0) == pytest.approx([0, 0])


def test_the_extension_alone_is_described_by_firth_without_a_p(cohort, main, quick):
    sets = association.prepare(cohort, quick, decision=DECISION)
    data = sets.data["PFS"]
    own = data[data["USUBJID"].isin(cohort.adsl.loc[cohort.adsl["PILOTFL"].eq("N"), "USUBJID"])]
    expected = cox(own["time"], own["event"], own["exposed"].astype(float), penalty="firth").iloc[0]
    row = main[
        main["LABEL"].str.startswith("extension patients only, descriptive") & main["ENDPOINT"].eq("PFS")
    ]
    row = row.iloc[0]
    assert row[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(
        expected[["estimate", "lower", "upper"]].tolist()
    )
    assert (row["ROLE"], row["ESTIMATOR"], row["N"]) == ("DESCRIPTIVE", "FIRTH", 18) and pd.isna(row["P"])


def operating():
    place = {"TARGET": 0.0, "TRIALS": 2000, "LABEL": "x", "QUANTITY": "bias", "METHOD": "chosen"}
    rows = [
        ("as planted", "as planned", "PFS", 0.04, 0.005),
        ("no effect", "as planned", "PFS", -0.02, 0.005),
        ("as planted", "64 patients", "PFS", 0.5, 0.005),
        ("as planted", "as planned", "OS", 0.1, 0.01),
    ]
    table = pd.DataFrame(rows, columns=["TRUTH", "SIZE", "ENDPOINT", "ESTIMATE", "SE"]).assign(**place)
    return pd.concat([table, table.assign(METHOD="extension_only", ESTIMATE=9.0)], ignore_index=True)


@pytest.fixture(scope="module")
def rows(cohort, quick):
    return main_of(cohort, quick, operating=contracts.check("operating_characteristics", operating()))


def test_the_simulated_bias_is_a_factor_with_monte_carlo_limits_one_row_a_truth(rows):
    found = rows[rows["METHOD"].eq("selection_bias") & rows["ENDPOINT"].eq("PFS")]
    assert found["ESTIMATE"].tolist() == pytest.approx([1.040811, 0.980199], abs=1e-6)
    # exp(0.04 -+ 1.959964 x 0.005)
    assert found.iloc[0][["LOWER", "UPPER"]].tolist() == pytest.approx([1.030661, 1.051061], abs=1e-6)
    assert found["LABEL"].str.contains("truth: (?:as planted|no effect); size: as planned").all()
    assert set(found["ROLE"]) == {"DESCRIPTIVE"} and found["P"].isna().all()
    assert len(rows[rows["METHOD"].eq("selection_bias")]) == 3
    assert not tables.is_effect(found).any()
    contracts.check("estimates", rows)


@pytest.mark.parametrize(
    ("values", "decision", "reason", "noted"),
    [
        ({"primary__timepoint": "D14"}, DECISION, "not needed: the plan fixes the day", False),
        ({}, {**DECISION, "fallback": True}, "not needed: the day was chosen by the fallback", False),
        ({"pilot__correction": "none"}, DECISION, "not made: the plan asks for none", True),
        ({}, None, "not made: the pilot's decision is not at hand", True),
    ],
)
def test_without_a_correction_one_row_says_why_and_the_log_rank_is_reported(
    cohort, quick, values, decision, reason, noted
):
    rows = main_of(cohort, of_study(quick, **values), decision)
    found = rows[rows["METHOD"].eq("two_stage")]
    assert len(found) == 1 and found["P"].isna().all() and reason in found["LABEL"].iloc[0]
    assert not rows["METHOD"].eq("selection_bias").any()
    assert not rows["LABEL"].str.startswith("extension patients").any()
    test = association.reported_test(rows[rows["ENDPOINT"].eq("PFS")])
    assert test["METHOD"] == "logrank_permutation" and test["ROLE"] == "SECONDARY"
    assert (NOT_CORRECTED in test["LABEL"]) == noted
    assert (NOT_CORRECTED in tables.say_main(rows, "PFS", alpha=0.05)) == noted
    said = tables.say_choice_correction(rows, "PFS")
    assert said.startswith(f"A correction for the pilot's choice of the day is {reason}")
    assert tables.say_choice_correction(rows, "OS") == ""


def test_without_pilot_patients_and_for_the_baseline_scan_nothing_is_corrected(cohort, quick):
    nobody = cohort.adsl.assign(PILOTFL=None)
    assert pilot_choice.why_uncorrected(quick, DECISION, nobody).startswith("not made: no subject")
    lacking = cohort.adsl.drop(columns="PILOTFL")
    assert pilot_choice.why_uncorrected(quick, DECISION, lacking).startswith("not made: no subject")
    baseline = of_study(quick, primary__exposure="baseline_metric")
    assert pilot_choice.why_uncorrected(baseline, DECISION, cohort.adsl).startswith(
        "not needed: the exposure"
    )
    assert pilot_choice.why_uncorrected(quick, DECISION, cohort.adsl) is None


def test_an_override_makes_the_corrected_test_a_sensitivity_analysis(cohort, quick):
    rows = main_of(cohort, quick.override({"primary.cut_percent": 40.0}))
    assert row_of(rows, "two_stage")["ROLE"] == "SENSITIVITY"
    assert "SECONDARY" not in set(rows["ROLE"])


def test_the_corrected_p_and_not_the_log_rank_opens_the_next_endpoint(quick):
    parts = "; one-sided p (non-responders worse): pilot at D14 0.02, extension at D14 0.3"
    rows = pd.DataFrame(
        {
            "ENDPOINT": ["PFS", "PFS", "PFS", "OS", "OS"],
            "METHOD": ["cox", "logrank_permutation", "two_stage", "cox_extension", "two_stage"],
            "P": [0.01, 0.01, 0.06, 0.01, 0.01],
            "LABEL": ["main analysis", "log-rank", f"two-stage; reported test{parts}", "main analysis"]
            + [f"two-stage; reported test{parts}"],
        }
    ).assign(RULE="any_resistant", METRIC="SUVMAX")
    closed = association.gate(rows, quick)
    assert closed["P"].isna().tolist() == [False, False, False, True, True]
    # What is not tested has no p of its parts either.
    assert closed["LABEL"].iloc[4] == (
        "two-stage; reported test; estimated only, not tested: PFS is not significant"
    )
    assert closed["LABEL"].iloc[2].endswith(parts)
    opened = association.gate(rows.assign(P=[0.2, 0.2, 0.05, 0.01, 0.01]), quick)
    assert opened["P"].notna().all()


def without_extension(trial):
    keep = trial[0].loc[trial[0]["PILOTFL"].eq("Y"), "USUBJID"]
    return tuple(frame[frame["USUBJID"].isin(keep)].reset_index(drop=True) for frame in trial)


def extension_without_events(trial):
    adsl, adtte, admr = trial
    later = adtte["USUBJID"].isin(adsl.loc[adsl["PILOTFL"].eq("N"), "USUBJID"])
    return adsl, adtte.assign(CNSR=adtte["CNSR"].mask(later, 1)), admr


def one_class(trial):
    return trial[0], trial[1], trial[2].assign(MRESP="NON-RESPONDER")


def some_days_missing(trial):
    adsl, adtte, admr = trial
    drop = admr["USUBJID"].isin(adsl["USUBJID"].iloc[:4]) & admr["AVISIT"].eq("D28")
    lost = admr["USUBJID"].isin(adsl["USUBJID"].iloc[4:8]) & admr["AVISIT"].eq("D14")
    return adsl, adtte, admr.assign(MRESP=admr["MRESP"].mask(lost, "NE"))[~drop]


def one_day_only(trial):
    return trial[0], trial[1], trial[2][trial[2]["AVISIT"].eq("D14")]


def no_event(trial):
    return trial[0], trial[1].assign(CNSR=1), trial[2]


def two_patients(trial):
    keep = trial[0]["USUBJID"].iloc[[0, 40]]
    return tuple(frame[frame["USUBJID"].isin(keep)].reset_index(drop=True) for frame in trial)


DEGENERATE = {
    # study: has a p, words of the label
    without_extension: (True, "0 / 0 in the extension"),
    extension_without_events: (True, "extension at D14 no information"),
    some_days_missing: (True, " / 26 in the pilot"),
    one_day_only: (True, " / 30 in the pilot"),
    one_class: (False, "not estimable: neither pilot (n 30) nor extension (n 18)"),
    no_event: (False, "not estimable: neither pilot (n 30)"),
    two_patients: (False, "not estimable: neither pilot (n 1) nor extension (n 1)"),
}


@pytest.mark.parametrize("study", DEGENERATE, ids=lambda study: study.__name__)
def test_a_degenerate_study_has_a_row_with_a_p_or_a_reason(study, trial, as_cohort, quick):
    rows = main_of(as_cohort(study(trial)), of_study(quick, primary__endpoints=["PFS"]))
    contracts.check("estimates", rows)
    row, (known, words) = row_of(rows, "two_stage"), DEGENERATE[study]
    assert pd.notna(row["P"]) == known and words in row["LABEL"]
    assert rows["METHOD"].iloc[0] == "cox" and "reported test" in row["LABEL"]
    lacking = rows[rows["ESTIMATE"].isna() & rows["METHOD"].isin(["cox", "cox_extension", "two_stage"])]
    assert lacking["LABEL"].str.contains("not estimable|not tested", regex=True).all()
    said = tables.say_choice_correction(rows, "PFS")
    assert "the pilot patients chose day 14" in said and ("p = " in said or "p <" in said) == known
    if not known and pd.notna(rows["ESTIMATE"].iloc[0]):
        assert "Not tested: neither pilot nor extension" in tables.say_main(rows, "PFS", alpha=0.05)


def test_the_sentences_hold_the_numbers_of_the_table(rows):
    said, row = tables.say_choice_correction(rows, "PFS"), row_of(rows, "two_stage")
    assert f"closed test over both days) {tables.p_text(row['P'])}" in said
    assert f"not corrected for it, has {tables.p_text(row_of(rows, 'logrank_permutation')['P'])}" in said
    alone = rows[rows["LABEL"].str.startswith("extension") & rows["ENDPOINT"].eq("PFS")].iloc[0]
    assert f"{tables.ratio(alone['ESTIMATE'], alone['LOWER'], alone['UPPER'])} (18 patients" in said
    assert "between 0.98 (no effect) and 1.04 (as planted) times the true one" in said
    main = tables.say_main(rows, "PFS", alpha=0.05)
    assert f"two-stage test, corrected for the pilot's choice of the day, {tables.p_text(row['P'])}" in main
    one = rows[~rows["LABEL"].str.contains("truth: no effect")]
    assert "on average, 1.04 (as planted) times the true one" in tables.say_choice_correction(one, "PFS")
    gated = rows.assign(P=np.nan)
    assert "no corrected p (the endpoint before it" in tables.say_choice_correction(gated, "PFS")


def test_the_rows_are_listed_with_their_quantities(rows):
    own = rows[rows["METHOD"].isin(["two_stage", "selection_bias"]) & rows["ENDPOINT"].eq("PFS")]
    listed = tables.tabulate_estimates(own)
    assert listed["Quantity"].tolist() == ["z", "Factor of the HR", "Factor of the HR"]
    assert listed["Estimate (95 % CI)"].iloc[1] == "1.04 (1.03–1.05)"
