"""The REMARK table has all items, prints what is known and says what is not."""

from pathlib import Path

import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.remark_facts import collect_facts
from analysis.biomarkers.rows import as_rows
from analysis.contracts import contract_of
from analysis.tables.remark import NOT_REPORTED, fact_names, fill_remark


def test_all_twenty_items_and_the_profile_are_there_in_order_under_the_contract():
    table = fill_remark({})
    assert table["ITEM"].tolist() == [*map(str, range(1, 21)), "Profile A", "Profile B"]
    known = table["REPORTED"].ne(NOT_REPORTED)
    assert table.loc[known, "ITEM"].tolist() == ["16", "17", "18", "19", "20"]  # which say what was not done
    contract_of("remark").validate(table)


def test_a_fact_is_printed_wherever_an_item_asks_for_it():
    every = {name: f"<{name}>" for name in fact_names()}
    told = " ".join(fill_remark(every)["REPORTED"])
    assert all(text in told for text in every.values()) and NOT_REPORTED not in told


def test_what_is_absent_beside_known_facts_is_said_so_and_never_left_as_a_brace():
    table = fill_remark({"n_tumour_samples": 50, "n_tumour_patients": 48, "sample_preference": "metastasis"})
    specimens = table.set_index("ITEM").loc["4", "REPORTED"]
    assert specimens.startswith("50 tumour samples of 48 patients")
    assert f"Preservation and storage: {NOT_REPORTED}." in specimens and "plasma" not in specimens
    assert not table["REPORTED"].str.contains(r"[{}]").any()


def test_codes_are_printed_in_words():
    table = fill_remark({"standing_out": "TP53 (NONRESPONSE), FGFR1_AMP (PFS)", "fwer_level": 0.05})
    reported = table.set_index("ITEM").loc["15", "REPORTED"]
    assert reported == "maxT p at or below 0.05: TP53 (metabolic non-response), FGFR1 amplified (PFS)."


def test_names_that_came_in_capitals_are_no_shouts_and_genes_keep_theirs():
    facts = {"standing_out": "GLYCOLYSIS score (PFS), ALDOA expression (PFS)", "fwer_level": 0.05}
    said = fill_remark(facts | {"assays": "DIGITAL PCR, TARGETED PANEL"}).set_index("ITEM")["REPORTED"]
    assert said["15"].endswith("glycolysis score (PFS), ALDOA expression (PFS).")
    assert "Assays of plasma: digital PCR, targeted panel." in said["5"]


def test_one_of_anything_is_no_plural_and_no_digit_of_another_number_is_one():
    facts = dict(n_plasma_samples=1, n_plasma_patients=1, n_plasma_failed=0, n_patients=21, n_response=1)
    said = fill_remark(facts).set_index("ITEM")["REPORTED"]
    assert "1 plasma sample of 1 patient, 0 not assessable." in said["4"] and "21 patients" in said["2"]


def test_a_missing_number_counts_as_absent_and_a_misspelt_fact_is_refused():
    table = fill_remark({"n_patients": 48, "n_events_PFS": float("nan"), "treatment": ""})
    reported = table.set_index("ITEM")["REPORTED"]
    assert reported["9"] == NOT_REPORTED and reported["3"] == NOT_REPORTED
    with pytest.raises(KeyError, match="n_patient'"):
        fill_remark({"n_patient": 48})


def _facts(asked, markers, estimates):
    columns = ["USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "PARAMCD", "PARTYPE", "AVAL", "AVALC"]
    adbm = pd.DataFrame(markers, columns=columns).assign(LOD=float("nan"), ASSAY=None)
    outcomes = pd.DataFrame({"NONRESPONSE": [1.0, 0.0, None]}, index=["A", "B", "C"])
    parts = dict(profile=pd.DataFrame(), exclusions=[], queries=[])
    parts["layers"] = pd.DataFrame({"STATUS": ["RUN"], "TITLE": ["Levels of markers"]})
    return collect_facts(asked, outcomes, adbm, parts | {"estimates": as_rows(estimates)})


def test_a_study_without_genes_names_no_candidates_but_what_it_sent_ready():
    level = dict(ANALYSIS="level", MARKER="TMB", PARTYPE="LEVEL", OUTCOME="NONRESPONSE", P_MAXT=0.5)
    level |= dict(METHOD="mann_whitney", STATISTIC="auc", ESTIMATE=0.4)
    asked = plan.load("inspire", Path(__file__).parents[2] / "config/inspire.yaml")
    facts = _facts(
        asked,
        [
            ("A", "A1", "TUMOUR", "D0", "TMB", "LEVEL", 3.0, None),
            ("B", "B1", "IMAGING", "D0", "TARGETSZ", "LEVEL", 9.0, None),
        ],
        [level],
    )
    said = fill_remark(facts, asked.design.words).set_index("ITEM")["REPORTED"]
    assert "candidate" not in said["1"] and "Sent ready and related one by one were TMB." in said["1"]
    assert "Tumour markers sent ready, without samples: TMB (patients: 1)." in said["4"]
    assert "Cut of the ctDNA response: none here, the class as it was sent." in said["11"]
    assert "no class of ctDNA response 1, no tumour sample or marker 2" in said["13"]
    assert said["16"] == "no model of several markers was fitted"
    assert said["17"].endswith("the response adjusted for covariates: notebook 04.")


def test_the_candidates_named_are_those_assessed_and_the_clocks_those_of_the_rows():
    survival = dict(ANALYSIS="ctdna", PARTYPE="CTDNA", OUTCOME="PFS", METHOD="cox_firth", P_MAXT=0.5)
    survival |= dict(STATISTIC="hazard_ratio", ESTIMATE=2.0)
    facts = _facts(
        plan.load(),
        [
            ("A", "A1", "METASTASIS", "D0", "ESR1", "MUT", 0.2, "MUTATED"),
            ("A", "A1", "METASTASIS", "D0", "PTEN", "MUT", None, "NOT ASSESSABLE"),
            ("A", "A2", "PLASMA", "D0", "CTDNA", "CTDNA", 0.1, "DETECTED"),
        ],
        [
            survival | dict(MARKER="CTDNA_D0", AVISIT="D0", NOTE="time zero: first dose"),
            survival | dict(MARKER="CTDNA_D14", AVISIT="D14", NOTE="time zero: date of the D14 draw"),
        ],
    )
    assert facts["candidates"] == "ESR1"
    said = fill_remark(facts).set_index("ITEM")["REPORTED"]
    assert "survival runs from: first dose (baseline); date of the day 14 draw." in said["11"]
    assert "sent ready" not in said["1"] and "a fall of less than 25 %" in said["11"]


def test_what_stands_out_says_what_of_the_gene_and_methods_without_a_number_are_left_out():
    row = dict(MARKER="MTOR", METHOD="spearman", STATISTIC="rho", ESTIMATE=-0.5, P_MAXT=0.01, TESTED="Y")
    row |= dict(OUTCOME="PCTCHANGE", PARTYPE="EXPR", ANALYSIS="expression")
    silent = row | dict(MARKER="AKT1", METHOD="fisher", ANALYSIS="gene", PARTYPE="MUT", TESTED="N")
    silent |= dict(ESTIMATE=None, P=None, P_MAXT=None, STATISTIC="odds_ratio", OUTCOME="NONRESPONSE")
    bounded = row | dict(MARKER="TP53", PARTYPE="MUT", ANALYSIS="gene", LOWER=-0.8, UPPER=-0.1)
    draw = ("A", "A1", "PLASMA", "D0", "CTDNA", "CTDNA", 0.1, "DETECTED")
    facts = _facts(plan.load(), [draw], [row, silent, bounded])
    assert facts["standing_out"] == "MTOR expression (PCTCHANGE), TP53 mutated (PCTCHANGE)"
    assert "Spearman" in facts["methods"] and "Fisher" not in facts["methods"]
    assert (facts["n_tests"], facts["n_intervals"]) == (2, 1)
    assert facts["tested_by_analysis"] == "Mutated genes 1 of 2; Expression, gene by gene 1 of 1"
