"""The tables of the paper: every printed cell by hand from rows of the tables they are made of."""

import pandas as pd
import pytest

from analysis import tables

MAIN = dict(
    POPULATION="all_scans", LANDMARK="scan", TIMEPOINT="D14", METRIC="SUVMAX", RULE="any_resistant", CUT=25.0,
    ESTIMATOR=None, TIES=None, ROLE="DESCRIPTIVE", LABEL="", REFERENCE=None, P=None, LOWER=None, UPPER=None,
)  # fmt: skip
PAIR = dict(CONTRAST="NON-RESPONDER", REFERENCE="RESPONDER", N=44, EVENTS=36)


def row(endpoint, method, estimate, **given):
    return MAIN | dict(ENDPOINT=endpoint, METHOD=method, ESTIMATE=estimate) | given


def of_group(group, n, events):
    return dict(CONTRAST=group, N=n, EVENTS=events)


NON, RES, ALL = of_group("NON-RESPONDER", 30, 27), of_group("RESPONDER", 14, 9), of_group("all", 44, 36)
ESTIMATES = pd.DataFrame([
    row("PFS", "cox", 1.72, LOWER=0.83, UPPER=3.9, P=0.148, ESTIMATOR="ML", TIES="efron", **PAIR),
    row("PFS", "two_stage", 1.47, P=0.142, LABEL="two-stage test; reported test", **PAIR),
    row("PFS", "rmst_difference", -1.249, LOWER=-2.464, UPPER=-0.034, P=0.044,
        LABEL="difference in mean event-free months within 6", **PAIR),
    row("PFS", "km_median", 3.236, LOWER=1.511, UPPER=5.092, **NON),
    row("PFS", "km_median", 6.965, LOWER=1.807, UPPER=None, **RES),
    row("PFS", "km_survival_6m", 0.291, LOWER=0.141, UPPER=0.459, **NON),
    row("PFS", "km_survival_6m", 0.625, LOWER=0.315, UPPER=0.826, **RES),
    row("PFS", "km_follow_up", 16.0, LOWER=8.6, UPPER=None, **ALL),
    row("PFS", "km_median", 3.9, TIMEPOINT="D0", RULE="median_split", CUT=9.9, **of_group("HIGH", 24, 20)),
    row("PFS", "ph_test", 0.33, P=0.565, LABEL="score test, exposure alone; 1 df", **PAIR),
    row("PFS", "ph_test", 0.81, P=0.938, LABEL="score test, adjusted model; 4 df", **PAIR | dict(
        CONTRAST="GLOBAL", REFERENCE=None)),
    row("PFS", "cox", 1.64, LOWER=0.81, UPPER=3.65, P=0.177, ESTIMATOR="FIRTH", TIES="breslow", **PAIR),
    row("PFS", "cox_adjusted", 1.75, LOWER=0.84, UPPER=3.97, P=0.137, ESTIMATOR="ML", LABEL="adjusted", **PAIR),
    row("PFS", "cox_adjusted", 1.56, LOWER=0.68, UPPER=4.27, P=0.312, ESTIMATOR="ML", N=44, EVENTS=36,
        CONTRAST="visceral disease", LABEL="covariate of the adjusted model"),
    row("PFS", "cox_adjusted_one", None, LABEL="adjusted for ECOG; not estimable: ECOG is not known in this study",
        **PAIR),
    row("OS", "cox", 2.87, LOWER=1.02, UPPER=10.92, LABEL="estimated only, not tested: PFS is not significant",
        ESTIMATOR="FIRTH", TIES="breslow", **PAIR | dict(N=45, EVENTS=20)),
    row("OS", "km_median", 12.5, LOWER=7.9, UPPER=16.7, **of_group("NON-RESPONDER", 31, 17)),
    row("OS", "km_median", None, LOWER=10.7, UPPER=None, **of_group("RESPONDER", 14, 3)),
])  # fmt: skip


def block(table, name, names):
    """Return the lines of one group of a table, by their first cell."""
    heads = table.iloc[:, 0].tolist()
    start = heads.index(name)
    stop = min([heads.index(other) for other in names if heads.index(other) > start], default=len(heads))
    return {line[0]: line[1:] for line in table.iloc[start + 1 : stop].to_numpy().tolist()}


def test_survival_by_group_is_written_from_the_rows_of_the_main_curves():
    table = tables.tabulate_survival(ESTIMATES, ["PFS", "OS"])
    assert table.columns.tolist() == ["Quantity", "Non-responder", "Responder", "All"]
    pfs = block(table, "PFS", ["PFS", "OS"])
    assert pfs["Patients"] == ["30", "14", "44"]
    assert pfs["Events, n (%)"] == ["27 (90 %)", "9 (64 %)", "36 (82 %)"]
    assert pfs["Censored, n (%)"] == ["3 (10 %)", "5 (36 %)", "8 (18 %)"]
    assert pfs["Median, months (95 % CI)"] == ["3.2 (1.5–5.1)", "7.0 (1.8 to not reached)", "–"]
    assert pfs["Survival at 6 months, % (95 % CI)"] == ["29.1 (14.1–45.9)", "62.5 (31.5–82.6)", "–"]
    follow_up = "Median follow-up, months (95 % CI), reverse Kaplan-Meier"
    assert pfs[follow_up] == ["–", "–", "16.0 (8.6 to not reached)"]
    means = "Difference of mean event-free months within 6 (95 % CI)"
    assert pfs[means] == ["−1.25 (−2.46 to −0.03)", "reference", "–"]
    assert pfs["Hazard ratio (95 % CI)"] == ["1.72 (0.83–3.90)", "reference", "–"]
    assert pfs["p (two-stage test)"] == ["0.14", "–", "–"]
    os = block(table, "OS", ["PFS", "OS"])
    assert os["Median, months (95 % CI)"] == ["12.5 (7.9–16.7)", "not reached (10.7 to not reached)", "–"]
    assert os["p (Cox model)"] == ["not tested", "–", "–"]
    assert tables.note_survival(ESTIMATES, ["PFS", "OS"]) == ["OS: estimated only, not tested."]


def test_an_endpoint_without_curves_has_no_block_and_none_at_all_no_table():
    assert "EFS" not in tables.tabulate_survival(ESTIMATES, ["EFS", "OS"])["Quantity"].tolist()
    with pytest.raises(ValueError, match="leave the table out"):
        tables.tabulate_survival(ESTIMATES, ["EFS"])


def test_the_cox_table_has_a_block_a_model_and_each_test_of_hazards_once():
    table = tables.tabulate_cox(ESTIMATES, "PFS")
    lines = table.to_numpy().tolist()
    pair = "Non-responder against responder"
    assert lines == [
        ["Exposure alone", "", "", "", ""],
        [f"{pair}: maximum likelihood, Efron ties", "36 / 44", "1.72 (0.83–3.90)", "0.15", "0.56"],
        [f"{pair}: Firth, Breslow ties", "36 / 44", "1.64 (0.81–3.65)", "0.18", "–"],
        ["Adjusted model (maximum likelihood)", "", "", "", ""],
        [pair, "36 / 44", "1.75 (0.84–3.97)", "0.14", "–"],
        ["Visceral disease", "36 / 44", "1.56 (0.68–4.27)", "0.31", "–"],
        ["All terms together", "–", "–", "–", "0.94"],
    ]
    assert tables.note_cox(ESTIMATES, "PFS") == ["Not estimable, not known in this study: adjusted for ECOG."]
    beside = ESTIMATES.assign(LABEL=ESTIMATES["LABEL"] + "; p of the Cox model, not the test")
    assert tables.note_cox(beside, "PFS")[-1].startswith(
        "p: of the Cox model; the test of the study is another"
    )


def test_an_endpoint_that_is_only_estimated_has_no_p_in_the_cox_table():
    assert tables.tabulate_cox(ESTIMATES, "OS").iloc[1, 3] == "–"
    assert tables.note_cox(ESTIMATES, "OS") == ["OS is estimated only, not tested: no p is printed."]
    with pytest.raises(ValueError, match="no Cox model of EFS"):
        tables.tabulate_cox(ESTIMATES, "EFS")


def specification(rule="any_resistant", cut=25.0, day="D14", hr=1.72, **given):
    base = dict(ENDPOINT="PFS", METRIC="SUVMAX", POPULATION="all_scans", LANDMARK="scan", CENSORING="PFS")
    base |= dict(ROLE="SENSITIVITY", POSTHOC="N", STATUS="ESTIMATED", LOWER=0.5, UPPER=4.0, N=44, EVENTS=36)
    return base | dict(RULE=rule, CUT=cut, TIMEPOINT=day, ESTIMATE=hr) | given


GRID = pd.DataFrame([
    specification(ROLE="PRIMARY"),
    specification(cut=15.0, hr=1.94, POSTHOC="Y"),
    specification(day="D28", hr=1.46, N=29, EVENTS=26),
    specification("eortc", 15.0, hr=1.77, POSTHOC="Y"),
    specification("percist", 30.0, hr=1.92, METRIC="SULPEAK"),
    specification(LANDMARK="fixed", hr=1.75),
    specification("eortc", 15.0, LANDMARK="fixed", hr=1.78, POSTHOC="Y"),
    specification(METRIC="SULMAX", hr=1.73),
    specification(CENSORING="PFSALL", hr=1.56, EVENTS=41),
    specification(CENSORING="PFSIRC", hr=None, STATUS="NOT_APPLICABLE"),
])  # fmt: skip


def test_the_grid_crosses_rules_and_cuts_with_days_and_lists_other_choices_one_at_a_time():
    table = tables.tabulate_sensitivity(GRID, {"PFSALL": "all follow-up"})
    assert table.columns.tolist() == [
        "Choice", "Day 14, events / n", "Day 14, HR (95 % CI)", "Day 28, events / n", "Day 28, HR (95 % CI)",
    ]  # fmt: skip
    assert [line[:3] for line in table.to_numpy().tolist()] == [
        ["Any resistant lesion (SUVmax)", "", ""],
        ["Fall ≥ 15 % †", "36 / 44", "1.94 (0.50–4.00)"],
        ["Fall ≥ 25 %", "36 / 44", "1.72 (0.50–4.00) *"],
        ["EORTC (SUVmax)", "", ""],
        ["Fall ≥ 15 % †", "36 / 44", "1.77 (0.50–4.00)"],
        ["PERCIST (SULpeak)", "", ""],
        ["Fall ≥ 30 %", "36 / 44", "1.92 (0.50–4.00)"],
        ["Other choices: time zero", "", ""],
        ["Fixed landmark", "36 / 44", "1.75 (0.50–4.00)"],
        ["Other choices: metric", "", ""],
        ["SULmax", "36 / 44", "1.73 (0.50–4.00)"],
        ["Other choices: endpoint", "", ""],
        ["All follow-up", "41 / 44", "1.56 (0.50–4.00)"],
    ]
    assert table.iloc[2, 3:].tolist() == ["26 / 29", "1.46 (0.50–4.00)"]
    assert table.iloc[1, 3:].tolist() == ["–", "–"]


def test_the_marks_of_the_grid_are_explained_and_a_published_cut_is_named():
    notes = tables.note_sensitivity(GRID)
    assert notes[0] == "* the primary analysis."
    assert "that of EORTC is from its publication" in notes[1]
    assert notes[-1] == "1 of 10 specifications could not be estimated."


def test_a_grid_of_one_specification_is_no_table():
    with pytest.raises(ValueError, match="two estimated specifications"):
        tables.tabulate_sensitivity(GRID.head(1))


def shares(day, rule, cut, positive, n, missing, label=None, metric="SUVMAX"):
    cases = {"observed": positive / n, "lowest": positive / (n + missing)}
    cases["highest"] = (positive + missing) / (n + missing)
    one = dict(TIMEPOINT=day, METRIC=metric, RULE=rule, CUT=cut, METHOD="clopper_pearson", LABEL=label)
    one |= dict(LOWER=0.534, UPPER=0.818, N_NONRESPONDER=positive, N=n, N_MISSING=missing)
    return [one | dict(CASE=case, ESTIMATE=value) for case, value in cases.items()]


SHARES = pd.DataFrame([
    *shares("D28", "any_resistant", 25.0, 21, 30, 0), *shares("D14", "any_resistant", 15.0, 27, 45, 3, "post hoc"),
    *shares("D14", "any_resistant", 25.0, 31, 45, 3), *shares("D14", "suvmax_sum", 25.0, 30, 45, 3),
    *shares("D14", "suvmax_sum", 40.0, 36, 45, 3), *shares("D14", "eortc", 15.0, 24, 46, 2, "post hoc"),
    *shares("D14", "any_resistant", 25.0, 33, 45, 3, metric="SULPEAK"),
])  # fmt: skip
MAIN_RULE = dict(metric="SUVMAX", rule="any_resistant", cut=25.0)


def test_metabolic_response_has_the_main_line_first_and_bounds_for_who_is_not_evaluable():
    lines = tables.tabulate_metabolic(SHARES, **MAIN_RULE).to_numpy().tolist()
    assert [line[0] for line in lines] == [
        "Day 14", "Any resistant lesion, fall ≥ 25 % *", "Any resistant lesion, fall ≥ 15 % †",
        "EORTC, fall ≥ 15 % †", "Sum of targets, fall ≥ 25 %", "Day 28", "Any resistant lesion, fall ≥ 25 % *",
    ]  # fmt: skip
    # 31 of 45 are 68.9 %; of all 48, 31 are 64.6 % and 34 are 70.8 %.
    assert lines[1][1:] == ["45", "14 (31 %)", "31/45: 68.9 % (53.4–81.8)", "3 (6 %)", "64.6 to 70.8"]
    assert lines[-1][4:] == ["0 (0 %)", "–"]
    assert len(tables.note_metabolic(SHARES)) == 4
    assert "not evaluable of all patients of that day" in tables.note_metabolic(SHARES)[2]
    with pytest.raises(ValueError, match="leave the table out"):
        tables.tabulate_metabolic(SHARES, **MAIN_RULE, method="wald")


def test_best_response_counts_who_was_never_assessed_and_keeps_the_order_of_recist():
    adrs = pd.DataFrame(
        [("A", "BOR", "PD"), ("B", "BOR", "PR"), ("C", "BOR", "PR"), ("B", "CBOR", "PR"), ("C", "CBOR", "SD"),
         ("A", "CBOR", "PD"), ("Z", "BOR", "CR")], columns=["USUBJID", "PARAMCD", "AVALC"],
    )  # fmt: skip
    table = tables.tabulate_best_response(adrs, ["A", "B", "C", "D"])
    assert table.to_numpy().tolist() == [
        ["Partial response", "2 (50 %)", "1 (25 %)"],
        ["Stable disease", "0 (0 %)", "1 (25 %)"],
        ["Progressive disease", "1 (25 %)", "1 (25 %)"],
        ["Not assessed", "1 (25 %)", "1 (25 %)"],
    ]
    with pytest.raises(ValueError, match="nobody has a best response"):
        tables.tabulate_best_response(adrs, ["X"])


DEVIATIONS = pd.DataFrame(
    [("A", "SCAN", "SCAN_MISSING", "important", "NO_FOLLOWUP_SCAN", None),
     ("A", "SCAN", "UPTAKE_TIME", "minor", None, None), ("B", "SCAN", "UPTAKE_TIME", "minor", None, None),
     ("B", "SCAN", "UPTAKE_TIME", "minor", None, None), ("C", "RECORDED", "RECORDED", "important", None, "WRONG DOSE")],
    columns=["USUBJID", "DVCAT", "CODE", "GRADE", "IMPACT", "DVDECOD"],
)  # fmt: skip
RULES = pd.DataFrame(
    [("SCAN_MISSING", "SCAN", "LOOKED", 1, None), ("UPTAKE_TIME", "SCAN", "LOOKED", 3, None),
     ("DOSE_GAP", "TREATMENT", "LOOKED", 0, None), ("CONTACT_LOST", "FOLLOW_UP", "UNKNOWN", 0, "no dates"),
     ("RECORDED", "RECORDED", "LOOKED", 1, None)],
    columns=["CODE", "DVCAT", "STATUS", "FOUND", "REASON"],
)  # fmt: skip


def test_deviations_stand_by_category_important_first_and_a_patient_counts_once_a_line():
    lines = tables.tabulate_deviations(DEVIATIONS, RULES, 10).to_numpy().tolist()
    assert lines == [
        ["Important: scans", "", "", ""],
        ["Scheduled scan not made", "1", "1 (10 %)", "1 (no follow-up scan)"],
        ["Important: recorded by the study", "", "", ""],
        ["Wrong dose", "1", "1 (10 %)", "–"],
        ["Minor: scans", "", "", ""],
        ["Uptake time outside the window", "3", "2 (20 %)", "–"],
        ["All deviations", "", "", ""],
        ["Important, any", "2", "2 (20 %)", "1 (no follow-up scan)"],
        ["Minor, any", "3", "2 (20 %)", "–"],
        ["Any", "5", "3 (30 %)", "1 (no follow-up scan)"],
    ]


def test_not_found_and_not_to_be_known_are_told_apart():
    left = pd.DataFrame({"CODE": ["NO_FOLLOWUP_SCAN", "SCAN_REFUSED"], "OTHERWISE": [2, 0]})
    assert tables.note_deviations(RULES, left) == [
        "Looked for and not found: pause of treatment longer than allowed.",
        "Cannot be known (no dates): survival follow-up ends before the data cut-off.",
        "Left out of an analysis without a deviation, patients: 2 (no follow-up scan).",
    ]
    silent = RULES.assign(REASON=RULES["REASON"].where(RULES["STATUS"].ne("UNKNOWN"), "no domain DV"))
    assert tables.note_deviations(silent)[1].startswith(
        "Cannot be known (the study sent no list of its own): "
    )
    assert tables.say_deviations(DEVIATIONS, RULES, 10) == (
        "2 important protocol deviations in 2 of 10 treated patients; 1 of them left out of an analysis for it."
    )
    none = DEVIATIONS.iloc[:0]
    assert tables.say_deviations(none, RULES, 10).startswith("None of the 10")
    assert tables.tabulate_deviations(none, RULES, 10).iloc[-1].tolist() == ["Any", "0", "0 (0 %)", "–"]


def test_a_study_whose_records_answer_no_rule_has_no_table_of_deviations():
    blind = RULES.assign(STATUS="UNKNOWN", REASON="no records")
    assert not tables.can_tabulate(blind) and tables.say_deviations(DEVIATIONS, blind, 10) == ""
    with pytest.raises(ValueError, match="leave the table out"):
        tables.tabulate_deviations(DEVIATIONS.iloc[:0], blind, 10)


def lesion(subject, name, organ, value, visit="D0", metric="SUVMAX", role="LESION"):
    return dict(
        USUBJID=subject, AVISIT=visit, LESIONID=name, ORGAN=organ, METRIC=metric, ROLE=role, AVAL=value
    )


ADPET = pd.DataFrame([
    lesion("A", "L1", "bone", 8.0), lesion("A", "L2", "bone", 12.0), lesion("A", "L3", "liver", 4.0),
    lesion("B", "L1", "lung", 6.0), lesion("B", "L2", "lung", 99.0, visit="D14"),
    lesion("A", None, None, 20.0, metric="TMTV41", role="TOTAL"), lesion("A", None, None, 30.0, metric="TMTV", role="TOTAL"),
    lesion("B", None, None, 10.0, metric="TMTV41", role="TOTAL"),
])  # fmt: skip
ADTR = pd.DataFrame({
    "USUBJID": ["A", "A", "B", "A"], "AVISITN": [0, 0, 0, 1], "LESTYPE": ["TARGET", "TARGET", "NON-TARGET", "TARGET"],
    "LESIONID": ["T1", "T2", "N1", "T1"], "DIAM_MM": [20.0, 15.0, None, 50.0],
})  # fmt: skip


def test_baseline_burden_counts_lesions_and_organs_and_takes_the_hottest_of_the_baseline_scan():
    patients = pd.DataFrame({"USUBJID": ["A", "B", "C"]})
    frame = tables.measure_burden(patients, ADPET, "SUVMAX", ADTR).set_index("USUBJID")
    # A: three lesions in bone and liver, hottest 12; targets 20 + 15 mm. B has no target, C no scan.
    assert frame.loc["A", ["NLESIONS", "NSITES", "SUVMAX", "TMTV41", "NTARGETS", "BASESUM"]].tolist() == [
        3, 2, 12.0, 20.0, 2, 35.0,
    ]  # fmt: skip
    assert frame.loc["B", "NTARGETS"] == 0 and pd.isna(frame.loc["B", "BASESUM"])
    assert frame.loc["C"].isna().all() and "TTLG41" not in frame


def test_a_burden_that_the_study_lacks_or_that_is_the_same_in_everybody_has_no_line():
    patients = pd.DataFrame({"USUBJID": ["A", "B"]})
    one_each = ADPET[ADPET["LESIONID"].eq("L1") & ADPET["AVISIT"].eq("D0")].assign(ORGAN=None)
    frame = tables.measure_burden(patients, one_each, "SUVMAX")
    shown = tables.burden_characteristics(frame, "SUVMAX")
    assert [one.label for one in shown] == ["SUVmax of the hottest lesion"]
    nothing = tables.measure_burden(patients, ADPET.iloc[:0], "CTDNA")
    assert nothing.columns.tolist() == ["USUBJID"] and tables.burden_characteristics(nothing, "CTDNA") == ()
