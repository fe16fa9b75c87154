"""PET and ctDNA together: numbers of R on the veteran trial; landmark, empty and separated groups by hand."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.combined import estimate_combined

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_outcomes, make_plasma

VETERAN = Path(__file__).parents[1] / "reference" / "veteran.csv"
MONTH = 30.4375


def make_tables(pet, dna, time, event):
    """Return adbm and outcomes of made subjects: PET and ctDNA 0/1, days from a landmark of 10 days."""
    names = [f"P{i:03}" for i in range(len(pet))]
    words = ["DETECTED" if value else "NOT DETECTED" for value in dna]
    adbm = make_plasma([(name, "D14", word, None, None) for name, word in zip(names, words, strict=True)])
    outcomes = make_outcomes(dict(zip(names, pet, strict=True)))
    start = pd.Timestamp("2020-01-01")
    outcomes["PFS_TIME"], outcomes["PFS_EVENT"] = np.asarray(time, float) + 10, np.asarray(event, float)
    outcomes["PFS_STARTDT"] = start
    outcomes["PFS_ADT"] = start + pd.to_timedelta(outcomes["PFS_TIME"], unit="D")
    return adbm, outcomes


def estimate(adbm, outcomes, **changed):
    return estimate_combined(adbm, outcomes, **{"visit": "D14", "days_per_month": MONTH} | changed)


@pytest.fixture(scope="module")
def veteran():
    data = pd.read_csv(VETERAN)
    adbm, outcomes = make_tables(data["prior"] == 10, data["karno"] < 60, data["time"], data["status"])
    return estimate(adbm, outcomes, landmark_days=10.0)


def numbers(found, method, marker):
    rows = found.analysis.estimates.set_index(["METHOD", "MARKER"])
    return rows.loc[(method, marker)]


def test_the_additive_model_is_what_r_prints(veteran):
    # R, survival 3.5-3, v <- veteran; pet <- prior == 10; dna <- karno < 60
    #   m <- coxph(Surv(time, status) ~ pet + dna); exp(coef(m)); anova(coxph(~ dna), m); anova(coxph(~ pet), m)
    #   limits: uniroot of 2 (logLik(m) - profile) - qchisq(.95, 1), the profile by offset()
    pet = numbers(veteran, "cox_additive", "NONRESPONSE")
    expected = [0.9349795375, 0.6223392282, 1.3737345986, 0.73725]
    assert pet[["ESTIMATE", "LOWER", "UPPER", "P"]].tolist() == pytest.approx(expected, rel=1e-5)
    dna = numbers(veteran, "cox_additive", "CTDNA")
    assert dna[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(
        [2.6033640788, 1.791937374, 3.754411192]
    )
    assert dna["P"] == pytest.approx(1.0493e-06, rel=1e-4)
    assert pet[["N", "N_POS", "EVENTS"]].tolist() == [137, 40, 128]


def test_each_alone_and_their_interaction_are_what_r_prints(veteran):
    # R: exp(coef(coxph(~ pet))), summary()$logtest; anova(m, coxph(~ pet * dna)), exp(coef())["pet:dna"]
    alone = [
        numbers(veteran, "cox_ml", name)[["ESTIMATE", "P"]].tolist() for name in ("NONRESPONSE", "CTDNA")
    ]
    assert alone[0] == pytest.approx([0.866811654, 0.4714648335], rel=1e-6)
    assert alone[1] == pytest.approx([2.618819728, 8.498360078e-07], rel=1e-6)
    product = numbers(veteran, "cox_interaction", "NONRESPONSE x CTDNA")
    assert product[["ESTIMATE", "P"]].tolist() == pytest.approx([2.3142752122, 0.040777], rel=1e-4)


def test_the_four_groups_are_firths_maximum_found_by_hand_in_r(veteran):
    # R: pen <- function(b) {k <- coxph(Surv(time, status) ~ x, init=b, iter.max=0, ties="breslow");
    #                        k$loglik[1] - .5 * log(det(k$var))}; optim over the three dummies x
    expected = {
        "RESPONDER, DETECTED": (2.0975981754, 0.001073774059, 35),
        "NON-RESPONDER, NOT DETECTED": (0.6870786607, 0.1444369411, 23),
        "NON-RESPONDER, DETECTED": (3.3020719123, 0.0001849086838, 17),
    }
    for name, (ratio, p, n) in expected.items():
        row = numbers(veteran, "cox_firth", name)
        assert row[["ESTIMATE", "P", "N_POS"]].tolist() == pytest.approx([ratio, p, n], rel=1e-4)
    assert veteran.analysis.table["N"].tolist() == [62, 35, 23, 17]
    contracts.check("estimates_biomarkers", veteran.analysis.estimates)
    contracts.check("curves_biomarkers", veteran.curves)
    assert veteran.curves.groupby("GROUP")["AT_RISK"].max().sum() == 137


def test_overall_survival_is_by_firth_as_the_plan_has_it_and_says_so():
    # R: X <- cbind(pet, dna); pen(b) as above, optim; limits: uniroot of the penalised profile likelihood
    data = pd.read_csv(VETERAN)
    adbm, outcomes = make_tables(data["prior"] == 10, data["karno"] < 60, data["time"], data["status"])
    outcomes = outcomes.rename(columns=lambda name: name.replace("PFS_", "OS_"))
    found = estimate(adbm, outcomes, landmark_days=10.0)
    dna = numbers(found, "cox_additive", "CTDNA")
    expected = [2.6006050634, 1.79264847, 3.7454317, 9.7464997e-07]
    assert dna[["ESTIMATE", "LOWER", "UPPER", "P"]].tolist() == pytest.approx(expected, rel=1e-4)
    pet = numbers(found, "cox_additive", "NONRESPONSE")
    expected = [0.9425947284, 0.629011874, 1.381971303, 0.76677973]
    assert pet[["ESTIMATE", "LOWER", "UPPER", "P"]].tolist() == pytest.approx(expected, rel=1e-4)
    assert "Firth penalty, as the plan has OS" in pet["NOTE"] and "given ctDNA" in pet["NOTE"]
    # No row says maximum likelihood, by its method or its note, and all are without a q.
    rows = found.analysis.estimates
    assert "cox_ml" not in set(rows["METHOD"])
    assert rows["NOTE"].str.contains("not adjusted for multiplicity").all()
    group = numbers(found, "cox_firth", "RESPONDER, DETECTED")["NOTE"]
    events = int(data.loc[(data["prior"] != 10) & (data["karno"] >= 60), "status"].sum())
    assert f"the reference: 62 subjects, {events} events" in group


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"survival.firth_max_events": 129}, "fewer than 129 events"),
        # 40 of the 137 had a prior therapy, 39 of them died.
        ({"survival.firth_min_group_events": 40}, "a group has fewer than 40 events"),
        ({"survival.firth_max_events": 128, "survival.firth_min_group_events": 5}, None),
    ],
)
def test_few_events_switch_to_firth_at_the_plans_numbers(changed, said):
    data = pd.read_csv(VETERAN)
    asked = plan.defaults().override(changed)
    tables = make_tables(data["prior"] == 10, data["karno"] < 60, data["time"], data["status"])
    found = estimate(*tables, landmark_days=10.0, plan_survival=asked.survival)
    alone = numbers(found, "cox_firth" if said else "cox_ml", "NONRESPONSE")
    assert (said or "maximum likelihood, p of the likelihood ratio") in alone["NOTE"]


def test_the_clock_starts_at_the_later_of_scan_and_draw_and_who_had_the_event_is_out():
    adbm, outcomes = make_tables([0] * 5 + [1] * 5, [0, 1] * 5, range(1, 11), [1] * 10)
    outcomes["PETDT"] = pd.Timestamp("2020-01-05")
    adbm["ADT"] = pd.Timestamp("2020-01-13")
    adbm.loc[adbm["USUBJID"] == "P009", "ADT"] = pd.NaT
    # No group is large enough for a model here: the clock alone is looked at.
    rules = plan.defaults().override({"biomarkers.min_prevalence_n": 50}).biomarkers
    found = estimate(adbm, outcomes, rules=rules)
    assert found.analysis.estimates["TESTED"].eq("N").all()
    reasons = found.excluded.set_index("USUBJID")["CODE"].to_dict()
    # Events fall on 12 January (P000), 13 January (P001: the day of the draw), 14 January and so on.
    assert reasons == {"P000": "BEFORE_LANDMARK", "P001": "BEFORE_LANDMARK", "P009": "NO_LANDMARK"}
    assert found.analysis.table["N"].sum() == 7
    assert found.curves["TIME"].min() == pytest.approx(1 / MONTH)
    contracts.check("exclusions_05", found.excluded)


def test_an_empty_group_is_listed_and_there_is_no_interaction():
    rng = np.random.default_rng(5)
    pet, dna = np.repeat([0, 1], 20), np.r_[np.tile([0, 1], 10), np.ones(20, int)]
    found = estimate(*make_tables(pet, dna, rng.exponential(100, 40), np.ones(40)), landmark_days=10.0)
    empty = numbers(found, "cox_firth", "NON-RESPONDER, NOT DETECTED")
    assert empty["TESTED"] == "N" and empty["N_POS"] == 0 and np.isnan(empty["ESTIMATE"])
    assert numbers(found, "cox_firth", "NON-RESPONDER, DETECTED")["TESTED"] == "Y"
    assert numbers(found, "cox_interaction", "NONRESPONSE x CTDNA")["TESTED"] == "N"
    assert numbers(found, "cox_additive", "NONRESPONSE")["TESTED"] == "Y"


def test_separation_takes_firth_and_says_so():
    pet, dna = np.repeat([1, 0], 10), np.tile([0, 1], 10)
    found = estimate(*make_tables(pet, dna, np.arange(1, 21), pet), landmark_days=10.0)
    row = numbers(found, "cox_additive", "NONRESPONSE")
    assert "Firth" in row["NOTE"] and np.isfinite(row["ESTIMATE"]) and row["ESTIMATE"] > 1


@pytest.mark.filterwarnings("error::FutureWarning")
def test_an_endpoint_nobody_has_leaves_the_curves_of_the_other():
    adbm, outcomes = make_tables([0] * 5 + [1] * 5, [0, 1] * 5, range(1, 11), [1] * 10)
    outcomes = outcomes.assign(OS_TIME=outcomes["PFS_TIME"], OS_EVENT=1.0).assign(
        PFS_TIME=np.nan, PFS_EVENT=np.nan
    )
    found = estimate(adbm, outcomes, landmark_days=10.0)
    assert set(found.curves["ENDPOINT"]) == {"OS"} and found.curves["TIME"].dtype == float


def test_nobody_with_both_and_no_dates_give_a_reason():
    adbm, outcomes = make_tables([0, 1], [1, 0], [5, 6], [1, 1])
    assert "no dates" in estimate(adbm, outcomes).analysis.reason
    assert "no subject" in estimate(adbm.iloc[:0], outcomes, landmark_days=1.0).analysis.reason
    none = estimate(adbm, outcomes, landmark_days=999.0)
    assert none.analysis.reason and none.analysis.estimates["TESTED"].eq("N").all() and none.curves.empty
