import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival.pilot import rules as pilot_rules
from analysis.survival.pilot import selection
from analysis.survival.pilot.behaviour import simulate_behaviour, tabulate_costs
from analysis.survival.pilot.discrimination import discrimination_evidence
from analysis.survival.pilot.evidence import COLUMNS
from analysis.survival.pilot.lesions import class_changes, count_explained
from analysis.survival.pilot.patients import adequate_assessments, known_at, pair_visits, pilot_subjects
from analysis.survival.pilot.reanalysis import reanalyse, repeats_pilot
from analysis.tables.pilot_sentences import say_choice, say_rule


def generator():
    return np.random.default_rng(5)


def compare(tables, plan):
    adsl, adtte, admr = tables
    return selection.compare_days(admr, adtte, adsl, plan, generator())


def evidence(plan, **numbers):
    """Make evidence rows from ITEM=(D14, D28, between)."""
    rows = []
    for item, (first, second, between) in numbers.items():
        for timepoint, value in (("D14", first), ("D28", second), ("D28 - D14", between)):
            fixed = {"SET": "DECISION", "ROLE": "DECIDES", "N": 30, "EVENTS": 20}
            rows.append({"ITEM": item, "TIMEPOINT": timepoint, "ESTIMATE": value, **fixed})
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_decision_is_complete_and_ready_for_json(trial, plan):
    found = compare(trial, plan)
    decision = json.loads(json.dumps(found.decision, allow_nan=False))
    assert {
        "rule",
        "timepoint",
        "support",
        "evidence",
        "decision_date",
        "n_common",
        "n_events",
        "fallback",
        "reason",
    } <= set(decision)
    assert set(decision["support"]["choices"]) == {
        "margin",
        "max_concordance",
        "max_partial_likelihood",
        "bootstrap_support",
        "agreement_first",
    }
    assert decision["timepoint"] == decision["support"]["choices"]["margin"]
    assert decision["n_common"] == 30 == len(found.paired)
    assert decision["n_compared"] + len(found.excluded) == 30
    contracts.check("pilot_evidence", found.evidence)


def test_the_decision_uses_nothing_after_its_date(trial, plan):
    adsl, adtte, admr = trial
    date = pd.Timestamp(compare(trial, plan).decision["decision_date"])
    pilot = admr["USUBJID"].isin(pilot_subjects(adsl))
    assert date == admr.loc[pilot & admr["AVISIT"].eq("D28"), "PETDT"].max() + pd.Timedelta(days=28)
    later = adtte["ADT"] > date
    moved = adtte.assign(ADT=adtte["ADT"].where(~later, adtte["ADT"] + pd.Timedelta(days=200)))
    moved["CNSR"] = moved["CNSR"].where(~later, 1 - moved["CNSR"])
    moved["AVAL"] += 200.0 * later
    assert compare((adsl, moved, admr), plan).decision == compare(trial, plan).decision


def test_follow_up_known_on_a_date_ends_on_it():
    adtte = pd.DataFrame(
        {
            "USUBJID": ["a", "b", "c"],
            "STARTDT": pd.to_datetime(["2020-01-01", "2020-01-01", "2020-05-01"]),
            "ADT": pd.to_datetime(["2020-02-01", "2020-04-01", "2020-06-01"]),
            "AVAL": [32.0, 92.0, 32.0],
            "CNSR": [0, 0, 0],
        }
    )
    known = known_at(adtte, pd.Timestamp("2020-03-01"))
    assert known["USUBJID"].tolist() == ["a", "b"]
    assert known["CNSR"].tolist() == [0, 1]
    assert known["AVAL"].tolist() == [32, 61]
    assert adtte["CNSR"].tolist() == [0, 0, 0]


def assessed(*rows):
    frame = pd.DataFrame(rows, columns=["USUBJID", "ADT", "AVALC"])
    return frame.assign(PARAMCD="OVRLRESP", ADT=pd.to_datetime(frame["ADT"]))


def test_a_patient_is_known_event_free_only_to_her_last_adequate_assessment(plan):
    adtte = pd.DataFrame(
        {
            "USUBJID": ["seen", "never", "progressed", "known", "later"],
            "STARTDT": pd.to_datetime(["2020-01-01"] * 5),
            "ADT": pd.to_datetime(["2020-06-01", "2020-06-01", "2020-04-01", "2020-02-20", "2020-03-01"]),
            "CNSR": [1, 0, 0, 0, 1],
        }
    )
    adtte["AVAL"] = (adtte["ADT"] - adtte["STARTDT"]).dt.days + 1.0
    adrs = assessed(
        ("seen", "2020-02-01", "SD"),
        ("seen", "2020-02-25", "NE"),  # not adequate
        ("seen", "2020-03-10", "SD"),  # after the date
        ("never", "2019-12-20", "SD"),  # before time zero
        ("progressed", "2020-02-10", "PR"),
        ("progressed", "2020-04-01", "PD"),
        ("known", "2020-02-20", "PD"),
    )
    date = pd.Timestamp("2020-03-01")
    known = known_at(adtte, date, adequate_assessments(adrs, plan))
    ends = ["2020-02-01", "2020-01-01", "2020-02-10", "2020-02-20", "2020-03-01"]
    assert known["ADT"].tolist() == pd.to_datetime(ends).tolist()
    assert known["AVAL"].tolist() == [32, 1, 41, 51, 61]
    assert known["CNSR"].tolist() == [1, 1, 1, 0, 1]


def test_only_an_endpoint_seen_on_assessments_ends_at_one(plan):
    adrs = assessed(("a", "2020-02-01", "SD"), ("a", "2020-03-01", "NE"))
    assert adequate_assessments(adrs, plan)["ADT"].tolist() == [pd.Timestamp("2020-02-01")]
    assert adequate_assessments(adrs, plan.override({"primary.endpoint": "PFSALL"})) is not None
    assert len(adequate_assessments(adrs, plan.override({"clinical.not_evaluable": "adequate"}))) == 2
    assert adequate_assessments(adrs, plan.override({"primary.endpoint": "OS"})) is None
    assert adequate_assessments(adrs, plan.override({"clinical.response_source": "reported"})) is None
    assert adequate_assessments(None, plan) is None


def test_an_assessment_after_the_decision_date_changes_nothing(trial, plan):
    adsl, adtte, admr = trial
    date = pd.Timestamp(compare(trial, plan).decision["decision_date"])
    subjects = adsl["USUBJID"].tolist()
    before = assessed(*((who, date - pd.Timedelta(days=20), "SD") for who in subjects))
    after = assessed(*((who, date + pd.Timedelta(days=20), "SD") for who in subjects))
    early, both = (
        selection.compare_days(admr, adtte, adsl, plan, generator(), adrs=table)
        for table in (before, pd.concat([before, after]))
    )
    assert early.decision == both.decision
    assert early.compared["time"].sum() < compare(trial, plan).compared["time"].sum()


def test_a_pilot_patient_with_one_day_is_in_the_ledger(simulate, plan):
    found = compare(simulate(missing={("PEARL-1-004", "D28")}), plan)
    row = found.excluded.iloc[0]
    assert (row["USUBJID"], row["AVISIT"], row["CODE"]) == ("PEARL-1-004", "D28", "PILOT_SCAN_MISSING")
    assert "PEARL-1-004" not in set(found.paired["USUBJID"])


def test_extension_patients_have_no_say(trial, plan):
    adsl, adtte, admr = trial
    pilot = set(pilot_subjects(adsl))
    alone = compare(
        (
            adsl[adsl["PILOTFL"].eq("Y")],
            adtte[adtte["USUBJID"].isin(pilot)],
            admr[admr["USUBJID"].isin(pilot)],
        ),
        plan,
    )
    assert alone.decision == compare(trial, plan).decision


def test_the_better_day_is_usually_found(simulate, plan):
    eager = plan.override({"pilot.rule": "max_partial_likelihood", "pilot.min_pilot_events": 5})
    chosen = [
        compare(simulate(seed=seed, noise=(1.0, 0.02)), eager).decision["timepoint"] for seed in range(8)
    ]
    assert chosen.count("D28") >= 7


def test_few_events_leave_the_decision_to_the_scans(simulate, plan):
    cautious = plan.override({"pilot.min_pilot_events": 31})
    lacking = {(f"PEARL-1-{k:03d}", "D14") for k in range(4)}
    early = compare(simulate(), cautious).decision
    assert early["fallback"] and early["timepoint"] == "D14"
    assert "decided without the endpoint" in early["reason"]
    # Four of thirty lack the earlier scan: 13 points, more than ten.
    assert compare(simulate(missing=lacking), cautious).decision["timepoint"] == "D28"
    fewer = set(sorted(lacking)[:3])  # ten points are not more than ten
    assert compare(simulate(missing=fewer), cautious).decision["timepoint"] == "D14"


def test_rounding_never_decides(plan):
    # 100 (12/30 - 9/30) is a little more than 10 in floating point.
    table = evidence(plan, missing_share=(12 / 30, 9 / 30, np.nan))
    assert pilot_rules.fallback_choice(table, plan) == "D14"
    table = evidence(plan, missing_share=(13 / 30, 9 / 30, np.nan))
    assert pilot_rules.fallback_choice(table, plan) == "D28"
    gap = 0.65 - 0.60  # a little more than 0.05
    assert gap > plan.pilot.margin
    table = evidence(plan, concordance=(0.60, 0.65, gap), bootstrap_support=(np.nan, 0.8 - 1e-12, np.nan))
    choices = pilot_rules.rule_choices(table, plan)
    assert (choices["margin"], choices["bootstrap_support"]) == ("D14", "D28")
    shown = pilot_rules.choice_by_margin(table, plan).set_index("PLAN")
    assert shown.loc["Y", "TIMEPOINT"] == "D14"


def test_every_rule_by_hand(plan):
    numbers = evidence(
        plan,
        concordance=(0.60, 0.64, 0.04),
        gain_score=(1.0, 1.5, 0.5),
        gain_class=(1.0, 0.8, -0.2),
        kappa=(np.nan, np.nan, 0.5),
        bootstrap_support=(np.nan, 0.8, np.nan),
    )
    assert pilot_rules.rule_choices(numbers, plan) == {
        "margin": "D14",  # 0.04 is not more than 0.05
        "max_concordance": "D28",
        "max_partial_likelihood": "D28",
        "bootstrap_support": "D28",  # at least 0.8
        "agreement_first": "D14",  # the days disagree, but the class of day 28 gains less
    }


def test_without_numbers_every_rule_keeps_the_earlier_day(plan):
    missing = {
        name: (np.nan,) * 3
        for name in ("concordance", "gain_score", "gain_class", "kappa", "bootstrap_support")
    }
    assert set(pilot_rules.rule_choices(evidence(plan, **missing), plan).values()) == {"D14"}


def test_the_pilot_of_eight_patients_is_decided(simulate, plan):
    small = plan.override({"pilot.min_pilot_events": 2})
    decision = compare(simulate(n=8, pilot=8), small).decision
    assert decision["timepoint"] in {"D14", "D28"}


def test_nobody_left_after_the_landmark_gives_missing_numbers_and_the_fallback(trial, plan):
    adsl, adtte, admr = trial
    early = adtte.assign(ADT=adtte["STARTDT"] + pd.Timedelta(days=20), AVAL=21.0, CNSR=0)
    found = compare((adsl, early, admr), plan)
    assert found.compared.empty
    assert found.decision["fallback"]
    assert "no two patients can be ordered" in found.decision["reason"]
    table = discrimination_evidence(found.compared, plan, generator())
    assert table["ESTIMATE"].isna().all()


def test_the_same_seed_gives_the_same_decision_whatever_the_row_order(trial, plan):
    shuffled = [table.sample(frac=1, random_state=4) for table in trial]
    first, second = compare(trial, plan), compare(tuple(shuffled), plan)
    assert first.decision == second.decision
    pd.testing.assert_frame_equal(first.evidence, second.evidence)


@pytest.mark.parametrize(("absent", "taken"), [("D28", "D14"), ("D14", "D28")])
def test_a_day_on_which_nobody_was_scanned_leaves_the_fallback(trial, plan, absent, taken):
    adsl, adtte, admr = trial
    found = compare((adsl, adtte, admr[admr["AVISIT"].ne(absent)]), plan)
    assert found.decision["fallback"] and found.decision["timepoint"] == taken
    assert set(found.excluded["USUBJID"]) == set(pilot_subjects(adsl))
    assert set(found.excluded["AVISIT"]) == {absent}
    assert set(found.excluded["CODE"]) == {"PILOT_SCAN_MISSING"}
    contracts.check("pilot_evidence", found.evidence)


def test_a_pilot_nobody_of_which_was_scanned_is_refused(trial, plan):
    adsl, adtte, admr = trial
    others = admr[~admr["USUBJID"].isin(pilot_subjects(adsl))]
    with pytest.raises(ValueError, match="no pilot patient has a scan on D14 or D28"):
        compare((adsl, adtte, others), plan)
    with pytest.raises(ValueError, match="no response rows"):
        compare((adsl, adtte, admr[admr["AVISIT"].eq("D0")]), plan)


def test_a_post_hoc_change_stands_in_the_decision(trial, plan):
    decision = compare(trial, plan).decision
    assert selection.note_deviations(decision, []) == decision
    changed = [SimpleNamespace(name="pilot.margin", first=0.1, now=0.05, reason="")]
    noted = json.loads(json.dumps(selection.note_deviations(decision, changed)))
    assert noted["post_hoc"] == ["pilot.margin 0.1 -> 0.05"]
    assert noted["reason"].endswith("; after a post hoc change of the plan: pilot.margin")
    assert "post_hoc" not in decision
    assert say_rule(decision) == "the rule of the plan"
    assert say_rule(noted) == "the rule of the plan, changed after outcomes were first analysed"


def say(tables, plan, **more):
    adsl, adtte, admr = tables
    found = compare(tables, plan)
    again = reanalyse(admr, adtte, adsl, plan, generator())
    few = plan.override({"pilot.behaviour_trials": 20, "pilot.behaviour_bootstrap": 2})
    behaviour = simulate_behaviour(few, generator(), 30, found.decision["n_common"])
    return say_choice(
        {**found.decision, **more}, pd.concat([found.evidence, again]), behaviour,
        tabulate_costs(behaviour, few), days=("D14", "D28"), endpoint="PFS", margin=0.05, cost_ratio=2.0,
    )  # fmt: skip


def test_the_reading_says_the_post_hoc_change_first_and_has_no_codes(trial, plan):
    text = say(trial, plan, post_hoc=["pilot.margin 0.1 -> 0.05"])
    assert text.startswith(
        "**Changed after outcomes were first analysed (post hoc): pilot.margin 0.1 -> 0.05"
    )
    assert "by the rule of the plan, changed" in text
    assert not re.search(r"D14|D28", text)
    assert say(trial, plan).startswith("**day ")


def test_everybody_is_said_once_where_only_the_pilot_has_both_scans(trial, simulate, plan):
    text = say(trial, plan)
    assert "Nobody but pilot patients has both scans." in text and "everybody with" not in text
    adsl, adtte, admr = trial
    assert repeats_pilot(reanalyse(admr, adtte, adsl, plan, generator()))
    adsl, adtte, admr = simulate(n=40, pilot=40)
    fewer = adsl.assign(PILOTFL=np.where(np.arange(40) < 30, "Y", "N"))
    assert not repeats_pilot(reanalyse(admr, adtte, fewer, plan, generator()))
    assert "everybody with both scans (" in say((fewer, adtte, admr), plan)


def test_a_study_without_pilot_is_refused(trial, plan):
    adsl, adtte, admr = trial
    with pytest.raises(ValueError, match="without pilot"):
        selection.compare_days(admr, adtte, adsl.assign(PILOTFL="N"), plan, generator())


def test_only_what_a_rule_reads_decides_and_only_on_the_decision_date(trial, plan):
    adsl, adtte, admr = trial
    found = compare(trial, plan)
    again = reanalyse(admr, adtte, adsl, plan, generator())
    table = pd.concat([found.evidence, again], ignore_index=True)
    contracts.check("pilot_evidence", table)
    assert set(table["SET"]) == {"DECISION", "FINAL", "EVERYONE"}
    read = table[table["ROLE"].eq("DECIDES")]
    assert set(read["SET"]) == {"DECISION"}
    assert set(read["ITEM"]) == {
        *("missing_share", "kappa", "concordance", "bootstrap_support", "gain_score", "gain_class")
    }
    assert set(table.loc[table["ITEM"].str.contains("landmark|nonresponse$"), "ROLE"]) == {"SENSITIVITY"}


def test_later_sets_never_change_the_decision(trial, plan):
    adsl, adtte, admr = trial
    found = compare(trial, plan)
    again = reanalyse(admr, adtte, adsl, plan, generator()).assign(ESTIMATE=9.0)
    for table in (pd.concat([found.evidence, again]), pd.concat([again, found.evidence])):
        assert pilot_rules.rule_choices(table, plan) == found.decision["support"]["choices"]
        assert pilot_rules.fallback_choice(table, plan) == found.decision["support"]["fallback_choice"]


def test_everybody_with_both_scans_is_reanalysed_not_only_the_pilot(simulate, plan):
    adsl, adtte, admr = simulate(n=20, pilot=20)
    fewer = adsl.assign(PILOTFL=np.where(np.arange(20) < 12, "Y", "N"))
    sizes = reanalyse(admr, adtte, fewer, plan, generator()).groupby("SET")["N"].max()
    assert sizes["EVERYONE"] > sizes["FINAL"]


def test_the_difference_of_every_measure_is_the_later_minus_the_earlier(trial, plan):
    table = compare(trial, plan).evidence
    for item in ("concordance", "uno_c", "auc_3m", "gain_score", "gain_class", "concordance_own_landmark"):
        rows = table[table["ITEM"].eq(item)].drop_duplicates("TIMEPOINT").set_index("TIMEPOINT")
        gap = rows.loc["D28", "ESTIMATE"] - rows.loc["D14", "ESTIMATE"]
        assert rows.loc["D28 - D14", "ESTIMATE"] == pytest.approx(gap, abs=1e-12)
        assert rows.loc["D28 - D14", "LOWER"] <= gap <= rows.loc["D28 - D14", "UPPER"]


def test_a_missing_scan_counted_as_non_response_adds_the_patient(simulate, plan):
    # Patients 2 and 5 have an event after the landmark; their missing scans join the sensitivity analysis.
    found = compare(simulate(missing={("PEARL-1-002", "D14"), ("PEARL-1-005", "D28")}), plan)
    sizes = found.evidence.drop_duplicates(["ITEM", "TIMEPOINT"]).set_index(["ITEM", "TIMEPOINT"])["N"]
    assert (
        sizes["gain_class_missing_as_nonresponse", "D14"]
        == sizes["gain_class", "D14"] + found.excluded["CODE"].eq("PILOT_SCAN_MISSING").sum()
    )


def test_the_choice_falls_to_the_earlier_day_as_the_margin_grows(plan):
    numbers = evidence(plan, concordance=(0.60, 0.64, 0.04))
    table = pilot_rules.choice_by_margin(numbers, plan.override({"pilot.margins_shown": [0.0, 0.1]}))
    assert table["MARGIN"].tolist() == [0.0, 0.05, 0.1]
    assert table["TIMEPOINT"].tolist() == ["D28", "D14", "D14"]
    assert table["PLAN"].tolist() == ["N", "Y", "N"]


def test_the_table_of_rules_says_what_each_reads(trial, plan):
    table = pilot_rules.tabulate_choices(compare(trial, plan).evidence, plan).set_index("RULE")
    assert len(table) == 6
    assert table["PLAN"].eq("Y").sum() == 1 and table.loc["margin", "PLAN"] == "Y"
    assert "margin 0.05" in table.loc["margin", "READS"]


def undated(tables):
    """A study that gives times and no dates, its visits under names of its own."""
    adsl, adtte, admr = tables
    visits = {"D14": "MRI1", "D28": "MRI2"}
    admr = admr.assign(AVISIT=admr["AVISIT"].map(visits), PETDT=pd.NaT)
    return adsl.assign(TRTSDT=pd.NaT), adtte.assign(STARTDT=pd.NaT, ADT=pd.NaT), admr


def test_a_study_without_dates_and_with_its_own_visits_is_decided(simulate, plan):
    own = plan.override({"design.followup_visits": ["MRI1", "MRI2"]})
    missing = {("PEARL-1-004", "D28")}
    adsl, adtte, admr = undated(simulate(missing=missing))
    lost = admr["USUBJID"].eq("PEARL-1-007") & admr["AVISIT"].eq("MRI1")
    admr.loc[lost, ["SCORE", "MRESP", "NEREAS"]] = [np.nan, "NE", "NO_LESION"]
    none = admr["USUBJID"].eq("PEARL-1-004") & admr["AVISIT"].eq("MRI2")
    admr.loc[none, "NEREAS"] = "NO_FOLLOWUP_SCAN"
    found = compare((adsl, adtte, admr), own)
    assert found.decision["decision_date"] is None
    assert found.decision["timepoint"] in {"MRI1", "MRI2"}
    codes = found.excluded.dropna(subset=["AVISIT"]).set_index(["USUBJID", "AVISIT"])["CODE"]
    assert codes["PEARL-1-004", "MRI2"] == "PILOT_SCAN_MISSING"
    assert codes["PEARL-1-007", "MRI1"] == "PILOT_SCAN_NE"
    own_landmark = found.evidence[found.evidence["ITEM"].eq("concordance_own_landmark")]
    assert own_landmark["ESTIMATE"].isna().all() and own_landmark["N"].eq(0).all()
    contracts.check("pilot_evidence", reanalyse(admr, adtte, adsl, own, generator()))


def test_follow_up_without_dates_counts_from_the_fixed_landmark(simulate, plan):
    own = plan.override({"design.followup_visits": ["MRI1", "MRI2"]})
    adsl, adtte, admr = undated(simulate())
    found = compare((adsl, adtte, admr), own)
    pfs = adtte[adtte["PARAMCD"].eq("PFS")].set_index("USUBJID")["AVAL"]
    left = found.compared.set_index("USUBJID")["time"]
    assert left.to_dict() == (pfs.loc[left.index] - own.pilot.landmark_day).to_dict()


@pytest.mark.parametrize("who", ["nobody", "one patient"])
def test_a_pilot_in_which_hardly_anybody_has_both_scans_falls_back(simulate, plan, who):
    spared = set() if who == "nobody" else {"PEARL-1-003"}
    lacking = {(f"PEARL-1-{k:03d}", "D28") for k in range(8)} - {(name, "D28") for name in spared}
    found = compare(simulate(n=8, pilot=8, missing=lacking), plan.override({"pilot.min_pilot_events": 0}))
    assert found.decision["fallback"] and found.decision["timepoint"] == "D14"
    assert found.decision["n_common"] == len(spared)
    contracts.check("pilot_evidence", found.evidence)


def paired_classes(**classes):
    return pd.DataFrame(
        [(name, first, second) for name, (first, second) in classes.items()],
        columns=["USUBJID", "MRESP_D14", "MRESP_D28"],
    )


def lesion_rows(*rows):
    names = ["USUBJID", "LESIONID", "D14", "D28"]
    wide = pd.DataFrame(rows, columns=names)
    long = wide.melt(names[:2], names[2:], var_name="AVISIT", value_name="PCHG")
    return long.assign(METRIC="SUVMAX", LNRATIO=np.log1p(long["PCHG"] / 100))


def test_the_lesion_that_changes_the_class_is_named(plan):
    paired = paired_classes(
        a=("NON-RESPONDER", "RESPONDER"), b=("RESPONDER", "RESPONDER"), c=("RESPONDER", "NON-RESPONDER")
    )
    lesions = lesion_rows(
        ("a", "L1", -24.0, -26.0),  # crosses, by less than error
        ("a", "L2", -60.0, -70.0),
        ("b", "L1", -50.0, -50.0),
        ("c", "L1", -30.0, -28.0),
        ("c", "L2", -40.0, 10.0),  # crosses, by more than error
    )
    table = class_changes(paired, lesions, plan, repeatability_percent=39.0)
    assert table["USUBJID"].tolist() == ["a", "a", "c", "c"]
    assert table["LESIONID"].tolist() == ["L1", "L1", "L1", "L2"]
    assert table["CROSSED"].tolist() == ["Y", "Y", "N", "Y"]
    assert table["REPEAT"].tolist() == ["WITHIN", "WITHIN", "WITHIN", "RISE"]
    assert count_explained(table) == {
        "patients": 2,
        "to_response": 1,
        "same_lesion": 1,
        "crossed": 2,
        "within": 1,
    }


def test_a_new_lesion_explains_a_class_before_any_other(plan):
    paired = paired_classes(a=("RESPONDER", "NON-RESPONDER"))
    lesions = lesion_rows(("a", "L1", -40.0, -40.0), ("a", "N1", np.nan, np.nan)).assign(STATUS="MEASURED")
    lesions.loc[lesions["LESIONID"].eq("N1") & lesions["AVISIT"].eq("D28"), "STATUS"] = "NEW"
    table = class_changes(paired, lesions, plan)
    assert table["LESIONID"].tolist() == ["L1", "N1"]
    assert table["CROSSED"].tolist() == ["N", None]
    assert table["REPEAT"].isna().all()


def test_without_a_change_of_class_there_is_nothing_to_explain(plan):
    table = class_changes(
        paired_classes(a=("RESPONDER", "RESPONDER")), lesion_rows(("a", "L1", 1.0, 2.0)), plan
    )
    assert table.empty
    assert count_explained(table)["patients"] == 0


def test_whose_scan_is_dated_but_has_no_score_is_not_evaluable(trial, plan):
    adsl, _, admr = trial
    lost = admr["USUBJID"].eq("PEARL-1-002") & admr["AVISIT"].eq("D14")
    admr = admr.assign(SCORE=admr["SCORE"].where(~lost), MRESP=admr["MRESP"].where(~lost, "NE"))
    _, ledger = pair_visits(admr, pilot_subjects(adsl), plan)
    assert ledger[["USUBJID", "CODE"]].to_numpy().tolist() == [["PEARL-1-002", "PILOT_SCAN_NE"]]
    assert "no continuous response" in ledger["REASON"].iloc[0]
