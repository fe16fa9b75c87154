"""The p corrected for the pilot's choice of the day: rows, the order of testing, degenerate studies, words."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, tables
from analysis.survival import association, cox
from analysis.survival.association import pilot_choice
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.two_stage import Stage, two_stage_test
from analysis.tables.estimates import add_reported_test

DECISION = {"timepoint": "D14", "fallback": False}
NOT_CORRECTED = "not corrected for the pilot's choice of the day"
STAGES = ["cox_pilot", "cox_extension", "cox_stages"]


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
    return of_study(plan, survival__permutations=300, pilot__correction_permutations=300)


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
        assert own["METHOD"].tolist()[:3] == ["cox", "two_stage", "cox"]
        assert "p of the Cox model, not the test" in own["LABEL"].iloc[0]
    assert main["METHOD"].tolist()[:2] == ["cox", "two_stage"]
    row = row_of(main, "two_stage")
    assert row["ROLE"] == "SECONDARY" and row["ESTIMATE"] > 0 and row["N"] == main["N"].iloc[0]
    contracts.check("estimates", main)


def test_no_other_number_hangs_on_the_correction(cohort, quick, main):
    without = main_of(cohort, quick, {**DECISION, "fallback": True})
    keep = ["ENDPOINT", "METHOD", "ESTIMATOR", "TIES", "CONTRAST"]
    numbers = ["ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS"]
    of_both = [
        rows[~rows["METHOD"].isin(["two_stage", *STAGES])].reset_index(drop=True)[keep + numbers]
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
    said = f"pilot {expected.p_pilot[0]:.2g}, any day of the pilot {expected.p_pilot_any:.2g}"
    assert f"{said}, extension {expected.p_extension:.2g}" in row["LABEL"]
    assert "weighed 25 to 13" in row["LABEL"] and "D14" not in row["LABEL"]
    events = pfs["CNSR"].eq(0)
    sizes = [(found["N"], found["EVENTS"]) for found in (row_of(found, name) for name in STAGES[:2])]
    assert sizes == [(30, events[pilot].sum()), (18, events[later].sum())]


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


@pytest.mark.parametrize(("method", "flag", "n"), [("cox_pilot", "Y", 30), ("cox_extension", "N", 18)])
def test_each_stage_alone_is_described_by_firth_without_a_p(cohort, main, quick, method, flag, n):
    sets = association.prepare(cohort, quick, decision=DECISION)
    data = sets.data["PFS"]
    own = data[data["USUBJID"].isin(cohort.adsl.loc[cohort.adsl["PILOTFL"].eq(flag), "USUBJID"])]
    expected = cox(own["time"], own["event"], own["exposed"].astype(float), penalty="firth").iloc[0]
    row = row_of(main, method)
    assert row[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(
        expected[["estimate", "lower", "upper"]].tolist()
    )
    assert (row["ROLE"], row["ESTIMATOR"], row["N"]) == ("DESCRIPTIVE", "FIRTH", n) and pd.isna(row["P"])


def test_the_stages_are_divided_with_limits_from_both(main):
    first, second, both = (row_of(main, name) for name in STAGES)
    assert both["ESTIMATE"] == pytest.approx(second["ESTIMATE"] / first["ESTIMATE"])
    assert (
        pd.isna(both["P"]) and both["ROLE"] == "DESCRIPTIVE" and not tables.is_effect(both.to_frame().T).any()
    )
    # Wald limits on both: the limits are those of the sum of the variances. ln 2 +- 1.96 x .3, ln 4 +- 1.96 x .4
    one, other = (
        dict(ESTIMATE=hr, LOWER=hr * np.exp(-1.96 * se), UPPER=hr * np.exp(1.96 * se))
        for hr, se in ((4, 0.4), (2, 0.3))
    )
    found = pilot_choice.divide_ratios(one, other)
    assert list(found.values()) == pytest.approx([2, 2 * np.exp(-0.98), 2 * np.exp(0.98)])
    with pytest.raises(association.pilot_choice.NotEstimable, match="do not both"):
        pilot_choice.divide_ratios(one, {**other, "UPPER": np.inf})


def operating():
    place = {"TARGET": 0.0, "TRIALS": 2000, "LABEL": "x", "QUANTITY": "bias", "METHOD": "chosen"}
    rows = [
        ("as planted", "as planned", "PFS", 0.04, 0.005),
        ("no effect", "as planned", "PFS", -0.02, 0.005),
        ("as planted", "64 patients", "PFS", 0.5, 0.005),
        ("as planted", "as planned", "OS", 0.1, 0.01),
    ]
    table = pd.DataFrame(rows, columns=["TRUTH", "SIZE", "ENDPOINT", "ESTIMATE", "SE"]).assign(**place)
    fixed = table[table["ENDPOINT"].eq("PFS")].assign(METHOD="fixed_earlier", ESTIMATE=0.02)
    later = fixed.assign(METHOD="fixed_later", ESTIMATE=9.0)
    parts = [table, table.assign(METHOD="extension_only", ESTIMATE=9.0), fixed, later]
    none = {"SE": 0.01, "TARGET": np.nan}
    for truth, ratio, share in (("as planted", 1.5, 0.2), ("no effect", 1.0, 0.03), ("stronger", 2.2, 0.4)):
        row = table.head(1).assign(TRUTH=truth, **none)
        parts.append(row.assign(QUANTITY="truth", METHOD="D14", ESTIMATE=ratio))
        parts.append(row.assign(QUANTITY="truth", METHOD="D28", ESTIMATE=9.0))
        level = 0.05 if truth == "no effect" else np.nan
        test = row.assign(QUANTITY="rejection", METHOD="two_stage", ESTIMATE=share, TARGET=level)
        parts += [
            test,
            test.assign(METHOD="chosen", ESTIMATE=0.9),
            test.assign(SIZE="64 patients", ESTIMATE=0.8),
        ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def rows(cohort, quick):
    return main_of(cohort, quick, operating=contracts.check("operating_characteristics", operating()))


def test_the_simulated_bias_is_a_factor_with_monte_carlo_limits_one_row_a_truth(rows):
    found = rows[rows["METHOD"].eq("selection_bias") & rows["ENDPOINT"].eq("PFS")]
    assert found["ESTIMATE"].tolist() == pytest.approx([1.040811, 0.980199], abs=1e-6)
    # exp(0.04 -+ 1.959964 x 0.005)
    assert found.iloc[0][["LOWER", "UPPER"]].tolist() == pytest.approx([1.030661, 1.051061], abs=1e-6)
    # exp(0.02): the same day fixed in advance, in which nothing is selected
    assert found["LABEL"].tolist() == [
        f"simulated bias, small samples and selection; truth: {truth}; day fixed in advance: 1.02"
        for truth in ("as planted", "no effect")
    ]
    assert set(found["ROLE"]) == {"DESCRIPTIVE"} and found["P"].isna().all()
    assert len(rows[rows["METHOD"].eq("selection_bias")]) == 3
    assert not tables.is_effect(found).any()
    contracts.check("estimates", rows)


def test_the_simulated_power_is_of_the_corrected_test_and_the_nearest_truth_is_first(rows, cohort, quick):
    found = rows[rows["METHOD"].eq("simulated_power")]
    # The plan asks for 2; nothing planted is no power; 0.4 -+ 1.959964 x 0.01
    assert found["ESTIMATE"].tolist() == [0.4, 0.2] and set(found["ROLE"]) == {"DESCRIPTIVE"}
    assert found.iloc[0][["LOWER", "UPPER"]].tolist() == pytest.approx([0.3804, 0.4196], abs=1e-5)
    assert found["LABEL"].iloc[0].endswith("true hazard ratio of 2.20; truth: stronger")
    words = "corrected test that is reported found a true hazard ratio of 2.20 in 40 % of virtual trials"
    main = tables.say_main(rows, "PFS", alpha=0.05)
    assert "power of a test on a day fixed in advance to find a hazard ratio of 2" in main and words in main
    sets = association.prepare(cohort, quick, decision=DECISION)
    warn = [
        association.caution(sets.data["PFS"], sets.analyses["PFS"], quick, given) for given in (rows, None)
    ]
    assert words in warn[0] and "test on a day fixed in advance" in warn[0] and "fixed in" not in warn[1]
    unasked = association.caution(sets.data["OS"], sets.analyses["OS"], quick, rows)
    assert "fixed in advance" in unasked and "virtual trials" not in unasked


def test_without_a_correction_the_power_is_that_of_the_reported_test(cohort, quick):
    rows = main_of(cohort, of_study(quick, primary__timepoint="D14"), operating=operating())
    assert not rows["METHOD"].isin(["simulated_power", *STAGES]).any()
    assert rows["LABEL"].iloc[0] == "main analysis" and rows["METHOD"].iloc[1] == "cox"
    said = tables.say_main(rows, "PFS", alpha=0.05)
    assert "The power to find a hazard ratio of 2 with these events (Schoenfeld) is" in said


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
    assert not rows["METHOD"].isin(STAGES).any()
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
    without_extension: (True, "extension no information"),
    extension_without_events: (True, "extension no information"),
    some_days_missing: (True, "pilot 0."),
    one_day_only: (True, "pilot 0."),
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
    lacking = rows[rows["ESTIMATE"].isna() & rows["METHOD"].isin(["cox", "two_stage", *STAGES])]
    assert lacking["LABEL"].str.contains("not estimable|not tested", regex=True).all()
    said = tables.say_choice_correction(rows, "PFS")
    assert "the pilot patients chose day 14" in said and ("p = " in said or "p <" in said) == known
    if not known and pd.notna(rows["ESTIMATE"].iloc[0]):
        assert "Not tested: neither pilot nor extension" in tables.say_main(rows, "PFS", alpha=0.05)


def test_the_sentences_hold_the_numbers_of_the_table(rows):
    said, row = tables.say_choice_correction(rows, "PFS"), row_of(rows, "two_stage")
    assert f"closed test over both days) {tables.p_text(row['P'])}" in said
    assert f"not corrected for it, has {tables.p_text(row_of(rows, 'logrank_permutation')['P'])}" in said
    first, second, both = (
        tables.ratio(*row_of(rows, name)[["ESTIMATE", "LOWER", "UPPER"]]) for name in STAGES
    )
    assert f"{first} in the pilot alone (30 patients" in said
    assert f"{second} in the extension alone (18 patients" in said and f"is {both} times that" in said
    fixed = "the same day fixed in advance 1.02"
    assert f"between 0.98 (no effect; {fixed}) and 1.04 (as planted; {fixed}) times the true one" in said
    assert "bias of small samples and the selection" in said
    main = tables.say_main(rows, "PFS", alpha=0.05)
    assert f"two-stage test, corrected for the pilot's choice of the day, {tables.p_text(row['P'])}" in main
    one = rows[~rows["LABEL"].str.contains("truth: no effect")]
    assert f"on average, 1.04 (as planted; {fixed}) times the true one" in tables.say_choice_correction(
        one, "PFS"
    )
    gated = rows.assign(P=np.nan)
    assert "no corrected p (the endpoint before it" in tables.say_choice_correction(gated, "PFS")


def test_a_limit_far_out_is_cut_and_stages_that_differ_say_so(rows):
    wide = rows.assign(UPPER=rows["UPPER"].mask(rows["METHOD"].isin(STAGES), 633.5))
    near = wide.assign(LOWER=wide["LOWER"].mask(wide["METHOD"].isin(STAGES), 0.5))
    said = tables.say_choice_correction(near, "PFS")
    assert said.count("(0.50 to > 100)") == 3 and "633" not in said
    assert "they differ no more than expected of one effect" in said
    far = wide.assign(LOWER=wide["LOWER"].mask(wide["METHOD"].eq("cox_stages"), 1.1))
    assert "they differ more than expected of one effect" in tables.say_choice_correction(far, "PFS")


def test_the_corrected_test_is_put_under_the_hazard_ratio_of_a_table(rows, cohort, quick):
    named = tables.name_analyses(rows[tables.is_effect(rows) & rows["ENDPOINT"].eq("PFS")])
    found = tables.tabulate_estimates(add_reported_test(named, rows, "PFS"))
    assert len(found) == len(named) + 1 and found["Quantity"].tolist()[:3] == ["HR", "z", "HR"]
    assert found["Analysis"].iloc[0].endswith("p of the Cox model, not the test")
    assert found["Analysis"].iloc[1] == (
        "Two-stage test, corrected for the pilot's choice of the day, reported test"
    )
    assert found["p"].iloc[1] == tables.p_value(row_of(rows, "two_stage")["P"])
    plain = main_of(cohort, of_study(quick, primary__timepoint="D14"))
    assert add_reported_test(plain, plain, "PFS") is plain


def test_the_rows_are_listed_with_their_quantities(rows):
    own = rows[rows["METHOD"].isin(["two_stage", "selection_bias"]) & rows["ENDPOINT"].eq("PFS")]
    listed = tables.tabulate_estimates(own)
    assert listed["Quantity"].tolist() == ["z", "Factor of the HR", "Factor of the HR"]
    assert listed["Estimate (95 % CI)"].iloc[1] == "1.04 (1.03–1.05)"
