"""Effects against published numbers; families, floor, landmark and direction by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers import (
    assemble_outcomes,
    derive_adbm,
    estimate_associations,
    estimate_ctdna,
    landmark_outcomes,
    read_plasma,
    select_markers,
    tabulate_pet_by_ctdna,
)
from analysis.biomarkers.effects import estimate_fisher, estimate_hazard_ratio, estimate_shift


@pytest.fixture
def rules():
    return plan.defaults().override({"biomarkers.permutations": 199}).biomarkers


def rng():
    return np.random.default_rng(1)


# -- effects ------------------------------------------------------------------------------------------


def test_fisher_on_fishers_twins_is_what_r_prints():
    # R fisher.test(Convictions): OR 0.04693661, 95 % 0.003325764-0.363182271, p 0.0005367
    marker = np.repeat([1, 0], [12, 18])
    convicted = np.r_[np.ones(2), np.zeros(10), np.ones(15), np.zeros(3)]
    found = estimate_fisher(marker, convicted)
    assert found.estimate == pytest.approx(0.04693661, rel=1e-5)
    assert (found.lower, found.upper) == pytest.approx((0.003325764, 0.363182271), rel=5e-3)
    assert found.p == pytest.approx(0.0005367, abs=5e-8)


def test_fisher_with_an_empty_cell_is_unbounded_on_one_side():
    found = estimate_fisher(np.repeat([1, 0], 5), np.r_[np.ones(5), [1, 1, 0, 0, 0]])
    assert np.isinf(found.estimate) and np.isinf(found.upper) and found.lower > 0


def test_fisher_without_non_responders_has_no_odds_ratio_and_p_one():
    found = estimate_fisher(np.repeat([1, 0], 5), np.zeros(10))
    assert np.isnan(found.estimate) and found.p == 1.0


def test_swapping_the_coding_inverts_the_odds_ratio():
    rng_ = np.random.default_rng(2)
    marker, response = rng_.integers(0, 2, 40), rng_.integers(0, 2, 40)
    one, other = estimate_fisher(marker, response), estimate_fisher(1 - marker, response)
    assert other.estimate == pytest.approx(1 / one.estimate, rel=1e-6)
    assert other.lower == pytest.approx(1 / one.upper, rel=1e-4)


def test_hodges_lehmann_on_the_placenta_data_is_what_r_prints():
    # R wilcox.test example, Hollander & Wolfe 1973 p. 69: shift .305, 95 % -.15 to .76, p .2544
    x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    y = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = estimate_shift(np.repeat([1, 0], [10, 5]), np.r_[x, y])
    assert found == pytest.approx((0.305, -0.15, 0.76, 0.2544), abs=5e-5)


def test_a_tied_change_gives_a_finite_interval_around_the_shift():
    found = estimate_shift(np.repeat([1, 0], 6), np.array([0, 0, 5, 5, 5, 9, -9, -5, -5, 0, 0, 0.0]))
    assert found.lower <= found.estimate <= found.upper and found.p < 0.05


def test_firth_hazard_ratio_stays_finite_when_one_group_has_no_event():
    time, event = np.arange(1.0, 11.0), np.r_[np.ones(5, bool), np.zeros(5, bool)]
    found = estimate_hazard_ratio(np.repeat([1, 0], 5), time, event)
    assert np.isfinite(found.estimate) and found.estimate > 1 and found.p < 0.05


# -- outcomes ------------------------------------------------------------------------------------------


def make_outcomes(subjects, seed=3):
    rng_ = np.random.default_rng(seed)
    n = len(subjects)
    nonresponse = (rng_.random(n) < 0.6).astype(float)
    return pd.DataFrame(
        {
            "NONRESPONSE": nonresponse,
            "PCTCHANGE": -40 + 40 * nonresponse + rng_.normal(0, 8, n),
            "PFS_TIME": rng_.exponential(120, n) + 20,
            "PFS_EVENT": 1.0,
            "OS_TIME": rng_.exponential(600, n) + 20,
            "OS_EVENT": (rng_.random(n) < 0.3).astype(float),
        },
        index=pd.Index(subjects, name="USUBJID"),
    )


def make_markers(subjects, genes, prevalence=0.3, seed=4):
    rng_ = np.random.default_rng(seed)
    return pd.DataFrame((rng_.random((len(subjects), len(genes))) < prevalence) * 1.0, subjects, genes)


def test_outcomes_are_put_side_by_side_in_one_direction():
    admr = pd.DataFrame(
        {
            "USUBJID": ["B", "A", "C"],
            "MRESP": ["NON-RESPONDER", "RESPONDER", "NE"],
            "SCORE": [0.0, np.log(0.5), np.nan],
        }
    )
    adtte = pd.DataFrame(
        {
            "USUBJID": ["A", "B"],
            "PARAMCD": "PFS",
            "AVAL": [100, 50],
            "CNSR": [1, 0],
            "STARTDT": pd.Timestamp("2020-01-01"),
            "ADT": pd.to_datetime(["2020-04-09", "2020-02-19"]),
        }
    )
    found = assemble_outcomes(admr, adtte)
    assert found["NONRESPONSE"].tolist()[:2] == [0, 1] and np.isnan(found.loc["C", "NONRESPONSE"])
    assert found.loc["A", "PCTCHANGE"] == pytest.approx(-50)
    assert found["PFS_EVENT"].tolist()[:2] == [0, 1] and "OS_TIME" not in found
    with pytest.raises(ValueError, match="ADMR_NOT_ONE: 3 subjects"):
        assemble_outcomes(pd.concat([admr, admr]), adtte)


def test_a_subject_enters_the_landmark_only_if_its_end_is_after_the_draw():
    day = pd.Timestamp("2020-01-15")
    outcomes = pd.DataFrame(
        {
            "PFS_TIME": [15.0, 16.0, 40.0],
            "PFS_EVENT": 1.0,
            "PFS_STARTDT": pd.Timestamp("2020-01-01"),
            "PFS_ADT": [day, day + pd.Timedelta(days=1), day + pd.Timedelta(days=25)],
        },
        index=pd.Index(["A", "B", "C"], name="USUBJID"),
    )
    found, out = landmark_outcomes(outcomes, pd.Series(day, index=["A", "B"]))
    assert out == {"PFS": ["A"]} and "C" not in found.index
    assert np.isnan(found.loc["A", "PFS_TIME"]) and found.loc["B", "PFS_TIME"] == 1
    with pytest.raises(ValueError, match="LANDMARK_UNDATED: PFS of 2 subjects"):
        landmark_outcomes(outcomes.assign(PFS_ADT=pd.NaT), pd.Series(day, index=["A", "B"]))


def test_a_study_without_samples_or_plasma_gives_empty_tables_and_no_error(adsl, rules):
    adbm = derive_adbm(None, None, adsl).adbm
    outcomes = make_outcomes(["S-01-P1", "S-01-P2"]).assign(PFS_ADT=pd.Timestamp("2020-06-01"))
    genes = estimate_associations(
        select_markers(adbm), outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules
    )
    ctdna, aside = estimate_ctdna(adbm, outcomes, rng=rng(), rules=rules)
    assert len(genes) == len(ctdna) == len(aside) == 0
    contracts.check("estimates_biomarkers", pd.concat([genes, ctdna]))
    assert tabulate_pet_by_ctdna(adbm, outcomes, "D14")["N"].tolist() == [0, 0, 0, 0]


# -- families ------------------------------------------------------------------------------------------


def test_every_row_is_exploratory_and_fulfils_the_contract(rules):
    subjects = [f"S{i:02d}" for i in range(40)]
    markers = make_markers(subjects, ["ESR1", "TP53", "KMT2C", "GATA3"])
    table = estimate_associations(
        markers, make_outcomes(subjects), partype="MUT", samptype="METASTASIS", rng=rng(), rules=rules
    )
    contracts.check("estimates_biomarkers", table)
    assert set(table["ROLE"]) == {"EXPLORATORY"}
    assert list(dict.fromkeys(table["OUTCOME"])) == ["NONRESPONSE", "PCTCHANGE", "PFS", "OS"]
    assert list(dict.fromkeys(table["TIER"])) == ["CANDIDATE", "SCREEN"]
    both = table[table["TESTED"] == "Y"]
    assert (both["LOWER"] <= both["ESTIMATE"]).all() and (both["ESTIMATE"] <= both["UPPER"]).all()


def test_a_marker_under_the_floor_is_listed_and_not_tested_and_does_not_count(rules):
    subjects = [f"S{i:02d}" for i in range(20)]
    markers = pd.DataFrame({"ESR1": [1.0] * 8 + [0.0] * 12, "TP53": [0.0, 1.0] * 10}, index=subjects)
    outcomes = make_outcomes(subjects)
    alone = estimate_associations(markers, outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules)
    markers["AKT1"], markers["MTOR"] = [1.0] * 3 + [0.0] * 17, [0.0] * 3 + [1.0] * 17
    table = estimate_associations(markers, outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules)
    rare = table[table["MARKER"].isin(["AKT1", "MTOR"])]
    assert set(rare["TESTED"]) == {"N"} and rare[["ESTIMATE", "P", "Q_BH", "P_MAXT"]].isna().all().all()
    assert rare["NOTE"].str.contains("fewer than 4 subjects").all()
    kept = table[table["TESTED"] == "Y"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[["MARKER", "Q_BH"]], alone[["MARKER", "Q_BH"]])


def test_each_tier_is_adjusted_within_itself(rules):
    subjects = [f"S{i:02d}" for i in range(40)]
    genes = ["ESR1", *[f"G{i}" for i in range(30)]]
    table = estimate_associations(
        make_markers(subjects, genes),
        make_outcomes(subjects),
        partype="MUT",
        samptype="X",
        rng=rng(),
        rules=rules,
    )
    first = table[(table["MARKER"] == "ESR1") & (table["OUTCOME"] == "NONRESPONSE")].iloc[0]
    assert first["TIER"] == "CANDIDATE" and first["Q_BH"] == pytest.approx(
        first["P"]
    )  # one candidate: nothing to adjust
    screen = table[
        (table["TIER"] == "SCREEN") & (table["OUTCOME"] == "NONRESPONSE") & (table["TESTED"] == "Y")
    ]
    assert (screen["Q_BH"] >= screen["P"] - 1e-12).all() and (screen["Q_BH"] > screen["P"]).any()


def test_subject_names_and_order_change_no_effect(rules):
    subjects = [f"S{i:02d}" for i in range(30)]
    markers, outcomes = make_markers(subjects, ["ESR1", "TP53"]), make_outcomes(subjects)
    one = estimate_associations(markers, outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules)
    other = estimate_associations(
        markers.iloc[::-1],
        outcomes.sample(frac=1, random_state=1),
        partype="MUT",
        samptype="X",
        rng=rng(),
        rules=rules,
    )
    pd.testing.assert_frame_equal(one, other)


def test_a_planted_gene_is_found_and_resistance_is_above_one(rules):
    subjects = [f"S{i:02d}" for i in range(48)]
    markers, outcomes = make_markers(subjects, ["ESR1", "TP53", "PTEN", "AKT1"]), make_outcomes(subjects)
    outcomes["PCTCHANGE"] += 60 * markers["ESR1"]
    outcomes["NONRESPONSE"] = (outcomes["PCTCHANGE"] > -25).astype(float)
    outcomes["PFS_TIME"] /= 1 + 3 * markers["ESR1"]
    table = estimate_associations(markers, outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules)
    planted = table[table["MARKER"] == "ESR1"].set_index("OUTCOME")
    assert planted.loc["PCTCHANGE", "ESTIMATE"] > 40 and planted.loc["PCTCHANGE", "P_MAXT"] < 0.05
    assert planted.loc["NONRESPONSE", "ESTIMATE"] > 1 and planted.loc["PFS", "ESTIMATE"] > 1


def test_without_any_event_a_marker_is_listed_with_its_reason(rules):
    subjects = [f"S{i:02d}" for i in range(20)]
    outcomes = make_outcomes(subjects)[["OS_TIME", "OS_EVENT"]].assign(OS_EVENT=0.0)
    table = estimate_associations(
        make_markers(subjects, ["ESR1"], 0.5), outcomes, partype="MUT", samptype="X", rng=rng(), rules=rules
    )
    assert table["TESTED"].tolist() == ["N"] and "not estimable" in table["NOTE"].iloc[0]


# -- ctDNA ------------------------------------------------------------------------------------------


def test_ctdna_at_day_14_runs_from_the_draw_and_names_who_is_left_out(plasma_file, adsl):
    low = (
        plan.defaults().override({"biomarkers.permutations": 99, "biomarkers.min_prevalence_n": 1}).biomarkers
    )
    adbm = derive_adbm(None, read_plasma(plasma_file), adsl).adbm
    subjects = ["S-01-P1", "S-01-P2", "S-01-P3"]
    outcomes = make_outcomes(subjects).drop(columns=["OS_TIME", "OS_EVENT"])
    outcomes["PFS_STARTDT"] = pd.to_datetime(["2020-01-02", "2020-02-01", "2020-03-02"])
    # P2 progresses on the day of its draw, 2020-02-14
    outcomes["PFS_ADT"] = pd.to_datetime(["2020-05-01", "2020-02-14", "2020-06-01"])
    table, aside = estimate_ctdna(adbm, outcomes, rng=rng(), rules=low)
    contracts.check("estimates_biomarkers", table)
    assert aside[["USUBJID", "AVISIT", "CODE"]].to_numpy().tolist() == [["S-01-P2", "D14", "BEFORE_LANDMARK"]]
    rows = table.set_index(["MARKER", "OUTCOME"])
    assert rows.loc[("CTDNA_D14", "PFS"), "N"] == 2 and "D14 draw" in rows.loc[("CTDNA_D14", "PFS"), "NOTE"]
    assert rows.loc[("CTDNA_D0", "PFS"), "N"] == 2  # P2's baseline assay failed


def test_the_four_groups_of_pet_and_ctdna_are_always_shown(plasma_file, adsl):
    adbm = derive_adbm(None, read_plasma(plasma_file), adsl).adbm
    outcomes = make_outcomes(["S-01-P1", "S-01-P2", "S-01-P3"]).assign(NONRESPONSE=[0.0, 1.0, 1.0])
    table = tabulate_pet_by_ctdna(adbm, outcomes, "D14")
    assert table["N"].tolist() == [1, 0, 0, 2] and table["PFS_EVENTS"].tolist() == [1, 0, 0, 2]
