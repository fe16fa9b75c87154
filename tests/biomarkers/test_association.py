"""Families, floor, companions, landmark and direction: by hand and by properties."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.association import estimate_associations, select_markers
from analysis.biomarkers.outcomes import assemble_outcomes, landmark_outcomes, list_outcomes


@pytest.fixture
def rules():
    few = {"biomarkers.permutations": 199, "biomarkers.spearman_bootstrap": 99}
    return plan.defaults().override(few).biomarkers


def rng():
    return np.random.default_rng(1)


def estimate(markers, outcomes, rules, **options):
    """Return the rows of mutated genes."""
    given = {"partype": "MUT", "samptype": "X", "rng": rng(), "rules": rules, **options}
    return estimate_associations(markers, outcomes, **given).estimates


def main(table):
    """Leave the companions out."""
    return table[~table["NOTE"].fillna("").str.startswith("companion")]


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


def test_a_study_without_dates_takes_a_fixed_landmark_in_days():
    index = pd.Index(["A", "B", "C"], name="USUBJID")
    outcomes = pd.DataFrame({"PFS_TIME": [60.0, 61.0, np.nan], "PFS_EVENT": [1.0, 0.0, np.nan]}, index=index)
    outcomes.attrs["binary"] = []
    found, out = landmark_outcomes(outcomes.assign(PFS_ADT=pd.NaT), days=60)
    assert (
        out == {"PFS": ["A"]} and found["PFS_TIME"].tolist()[1] == 1 and found["PFS_TIME"].isna().sum() == 2
    )
    assert outcomes["PFS_TIME"].iloc[0] == 60  # the caller's table is left as it was
    for options in ({}, {"landmark": pd.Series(dtype="datetime64[ns]"), "days": 60}):
        with pytest.raises(ValueError, match="LANDMARK_ONE"):
            landmark_outcomes(outcomes, **options)


def test_further_binary_outcomes_stand_beside_and_are_refused_when_they_are_not_binary():
    admr = pd.DataFrame({"USUBJID": ["A", "B"], "MRESP": "RESPONDER", "SCORE": [0.0, -1.0]})
    adtte = pd.DataFrame(columns=["USUBJID", "PARAMCD", "AVAL", "CNSR", "STARTDT", "ADT"])
    further = pd.DataFrame({"NOBENEFIT": [1, np.nan]}, index=pd.Index(["B", "A"], name="USUBJID"))
    found = assemble_outcomes(admr, adtte, binary=further)
    assert found.attrs["binary"] == ["NOBENEFIT"] and found["SCORE"].tolist() == [0.0, -1.0]
    assert [(o.name, o.kind, len(o.values)) for o in list_outcomes(found)] == [
        ("NONRESPONSE", "binary", 2),
        ("NOBENEFIT", "binary", 1),
        ("PCTCHANGE", "change", 2),
    ]
    for wrong in (further + 1, further.set_axis(["SCORE"], axis=1)):
        with pytest.raises(ValueError, match="BINARY_VALUES"):
            assemble_outcomes(admr, adtte, binary=wrong)


def test_without_markers_or_outcomes_there_are_no_rows_but_a_reason(rules):
    adbm = pd.DataFrame(columns=list(contracts.contract_of("adbm").columns), dtype=object)
    nobody = estimate_associations(
        select_markers(adbm), make_outcomes(["A"]), partype="MUT", samptype="X", rng=rng(), rules=rules
    )
    markers = make_markers(["A", "B"], ["ESR1"])
    blind = estimate_associations(
        markers, pd.DataFrame(index=["A", "B"]), partype="MUT", samptype="X", rng=rng(), rules=rules
    )
    elsewhere = estimate_associations(
        markers, make_outcomes(["C"]), partype="MUT", samptype="X", rng=rng(), rules=rules
    )
    assert len(nobody.estimates) == len(blind.estimates) == 0 and nobody.reason and blind.reason
    assert set(elsewhere.estimates["TESTED"]) == {"N"} and set(elsewhere.estimates["N"]) == {0.0}
    assert "could be tested" in elsewhere.reason
    for found in (nobody, blind, elsewhere):
        contracts.check("estimates_biomarkers", found.estimates)


# -- families ------------------------------------------------------------------------------------------


def test_every_row_is_exploratory_and_fulfils_the_contract(rules):
    subjects = [f"S{i:02d}" for i in range(40)]
    markers = make_markers(subjects, ["ESR1", "TP53", "KMT2C", "GATA3"])
    table = estimate(markers, make_outcomes(subjects), rules, samptype="METASTASIS", avisit="D0")
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
    outcomes = outcomes.drop(columns=["OS_TIME"])
    alone = estimate(markers, outcomes, rules)
    markers["AKT1"], markers["MTOR"] = [1.0] * 3 + [0.0] * 17, [0.0] * 3 + [1.0] * 17
    table = estimate(markers, outcomes, rules)
    rare = table[table["MARKER"].isin(["AKT1", "MTOR"])]
    assert set(rare["TESTED"]) == {"N"} and rare[["ESTIMATE", "P", "Q_BH", "P_MAXT"]].isna().all().all()
    assert rare["NOTE"].str.contains("fewer than 4 subjects").all()
    kept = table[table["TESTED"] == "Y"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[["MARKER", "Q_BH"]], alone[["MARKER", "Q_BH"]])


def test_each_tier_is_adjusted_within_itself(rules):
    subjects = [f"S{i:02d}" for i in range(40)]
    genes = ["ESR1", *[f"G{i}" for i in range(10)]]
    table = main(estimate(make_markers(subjects, genes), make_outcomes(subjects)[["NONRESPONSE"]], rules))
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
    one = estimate(markers, outcomes, rules)
    other = estimate(markers.iloc[::-1], outcomes.sample(frac=1, random_state=1), rules)
    pd.testing.assert_frame_equal(one, other)


def test_a_planted_gene_is_found_and_resistance_is_above_one(rules):
    subjects = [f"S{i:02d}" for i in range(48)]
    markers, outcomes = make_markers(subjects, ["ESR1", "TP53", "PTEN", "AKT1"]), make_outcomes(subjects)
    outcomes["PCTCHANGE"] += 60 * markers["ESR1"]
    outcomes["NONRESPONSE"] = (outcomes["PCTCHANGE"] > -25).astype(float)
    outcomes["PFS_TIME"] /= 1 + 3 * markers["ESR1"]
    table = estimate(markers, outcomes, rules)
    planted = main(table)[main(table)["MARKER"] == "ESR1"].set_index("OUTCOME")
    assert planted.loc["PCTCHANGE", "ESTIMATE"] > 40 and planted.loc["PCTCHANGE", "P_MAXT"] < 0.05
    assert planted.loc["NONRESPONSE", "ESTIMATE"] > 1 and planted.loc["PFS", "ESTIMATE"] > 1


def test_without_any_event_a_marker_is_listed_with_its_reason(rules):
    subjects = [f"S{i:02d}" for i in range(20)]
    outcomes = make_outcomes(subjects)[["OS_TIME", "OS_EVENT"]].assign(OS_EVENT=0.0)
    table = estimate(make_markers(subjects, ["ESR1"], 0.5), outcomes, rules)
    assert table["TESTED"].tolist() == ["N"] and "not estimable" in table["NOTE"].iloc[0]


def test_each_outcome_has_its_methods_and_only_the_first_is_adjusted(rules):
    subjects = [f"S{i:02d}" for i in range(40)]
    outcomes = make_outcomes(subjects)
    outcomes["NOBENEFIT"] = 1.0 - outcomes["NONRESPONSE"]
    outcomes.attrs["binary"] = ["NOBENEFIT"]
    table = estimate(
        make_markers(subjects, ["ESR1", "TP53"]), outcomes, rules, tier="SINGLE", analysis="ctdna"
    )
    methods = table.groupby("OUTCOME", sort=False)["METHOD"].unique().map(list).to_dict()
    assert methods == {
        "NONRESPONSE": ["fisher", "firth_logistic"],
        "NOBENEFIT": ["fisher", "firth_logistic"],
        "PCTCHANGE": ["wilcoxon", "spearman"],
        "PFS": ["cox_firth"],
        "OS": ["cox_firth"],
    }
    companion = table["METHOD"].isin(["firth_logistic", "spearman"])
    assert table.loc[companion, ["Q_BH", "P_MAXT"]].isna().all().all()
    assert table.loc[~companion, ["Q_BH", "P_MAXT"]].notna().all().all()
    assert set(table["TIER"]) == {"SINGLE"} and set(table["ANALYSIS"]) == {"ctdna"}
    # the opposite outcome has the inverse odds ratio
    fisher = table[table["METHOD"] == "fisher"].pivot_table("ESTIMATE", "MARKER", "OUTCOME")
    np.testing.assert_allclose(fisher["NONRESPONSE"] * fisher["NOBENEFIT"], 1, rtol=1e-6)


def test_a_marker_that_is_the_outcome_is_listed_and_not_tested(rules):
    subjects = [f"S{i:02d}" for i in range(30)]
    outcomes = make_outcomes(subjects)
    markers = make_markers(subjects, ["TP53"]).assign(NONRESPONSE=outcomes["NONRESPONSE"])
    table = main(estimate(markers, outcomes, rules)).set_index(["MARKER", "OUTCOME"])
    itself = table.loc[("NONRESPONSE", "NONRESPONSE")]
    assert itself["TESTED"] == "N" and itself["NOTE"].endswith("the marker is the outcome itself")
    assert table.loc[("NONRESPONSE", "PCTCHANGE"), "TESTED"] == "Y"
    # it is no member of the family either
    other = table.loc[("TP53", "NONRESPONSE")]
    assert other["Q_BH"] == pytest.approx(other["P"])


@pytest.mark.parametrize("response", [0.0, 1.0])
def test_without_both_responses_no_marker_is_tested(rules, response):
    subjects = [f"S{i:02d}" for i in range(20)]
    outcomes = make_outcomes(subjects)[["NONRESPONSE"]].assign(NONRESPONSE=response)
    table = estimate(make_markers(subjects, ["ESR1"], 0.5), outcomes, rules)
    assert set(table["TESTED"]) == {"N"} and table["NOTE"].str.contains("the same response").all()


def test_amplified_and_deleted_are_two_markers_of_a_gene_and_of_its_tier(rules):
    rows = [(f"S{i:02d}", word) for i, word in enumerate(["AMPLIFIED", "DELETED", "NEUTRAL"] * 8)]
    adbm = pd.DataFrame(rows, columns=["USUBJID", "AVALC"]).assign(
        PARAMCD="FGFR1", PARTYPE="CNA", SAMPTYPE="PRIMARY", AVISIT="D0", AVAL=1.0
    )
    adbm["SAMPLEID"] = adbm["USUBJID"]
    adbm.loc[2, "AVAL"] = np.nan
    markers = select_markers(adbm, partype="CNA", rules=rules)
    assert list(markers.columns) == ["FGFR1_AMP", "FGFR1_DEL"] and markers.sum().tolist() == [8, 8]
    assert markers.iloc[2].isna().all()
    table = estimate(markers, make_outcomes(list(markers.index))[["PCTCHANGE"]], rules, partype="CNA")
    assert set(table["TIER"]) == {"CANDIDATE"}
