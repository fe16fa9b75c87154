import json

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import selection
from analysis.survival.pilot_evidence import COLUMNS, discrimination_evidence


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
            rows.append({"ITEM": item, "TIMEPOINT": timepoint, "ESTIMATE": value, "N": 30, "EVENTS": 20})
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
    pilot = admr["USUBJID"].isin(selection.pilot_subjects(adsl))
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
    known = selection.known_at(adtte, pd.Timestamp("2020-03-01"))
    assert known["USUBJID"].tolist() == ["a", "b"]
    assert known["CNSR"].tolist() == [0, 1]
    assert known["AVAL"].tolist() == [32, 61]
    assert adtte["CNSR"].tolist() == [0, 0, 0]


def test_a_pilot_patient_with_one_day_is_in_the_ledger(simulate, plan):
    found = compare(simulate(missing={("PEARL-1-004", "D28")}), plan)
    row = found.excluded.iloc[0]
    assert (row["USUBJID"], row["AVISIT"], row["CODE"]) == ("PEARL-1-004", "D28", "PILOT_SCAN_MISSING")
    assert "PEARL-1-004" not in set(found.paired["USUBJID"])


def test_extension_patients_have_no_say(trial, plan):
    adsl, adtte, admr = trial
    pilot = set(selection.pilot_subjects(adsl))
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


def test_every_rule_by_hand(plan):
    numbers = evidence(
        plan,
        concordance=(0.60, 0.64, 0.04),
        gain_score=(1.0, 1.5, 0.5),
        gain_class=(1.0, 0.8, -0.2),
        kappa=(np.nan, np.nan, 0.5),
        bootstrap_support=(np.nan, 0.8, np.nan),
    )
    assert selection.rule_choices(numbers, plan) == {
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
    assert set(selection.rule_choices(evidence(plan, **missing), plan).values()) == {"D14"}


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


def test_a_study_without_pilot_is_refused(trial, plan):
    adsl, adtte, admr = trial
    with pytest.raises(ValueError, match="without pilot"):
        selection.compare_days(admr, adtte, adsl.assign(PILOTFL="N"), plan, generator())
