"""The table adbm from the mini study and plasma: who is mutated, who is wild type, who was not looked at."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers import derive_adbm, read_cbioportal, read_plasma, select_markers
from analysis.biomarkers.adbm import match_subjects, transform_expression


@pytest.fixture
def derived(mini_study, plasma_file, adsl):
    return derive_adbm(read_cbioportal(mini_study), read_plasma(plasma_file), adsl)


def value(adbm, sample, param, column="AVALC", partype="MUT"):
    chosen = (adbm["SAMPLEID"] == sample) & (adbm["PARAMCD"] == param) & (adbm["PARTYPE"] == partype)
    rows = adbm[chosen]
    return rows[column].iloc[0] if len(rows) else "no row"


def test_the_tables_fulfil_their_contracts(derived):
    contracts.check("adbm", derived.adbm)
    contracts.check("exclusions_05", derived.exclusions)
    contracts.check("queries_05", derived.queries)


def test_only_protein_changing_somatic_variants_make_a_gene_mutated(derived):
    assert value(derived.adbm, "P1-met", "ESR1") == "MUTATED"
    assert value(derived.adbm, "P1-met", "TP53") == "WT"  # silent
    assert value(derived.adbm, "P3-met", "BRCA2") == "WT"  # germline
    assert value(derived.adbm, "P1-met", "ESR1", "AVAL") == 0.3
    assert np.isnan(value(derived.adbm, "P2-prim", "PIK3CA", "AVAL"))  # mutated, no reads given


def test_a_candidate_gene_without_any_variant_is_wild_type_in_sequenced_samples(derived):
    assert value(derived.adbm, "P3-met", "AKT1") == "WT"


def test_primary_and_metastasis_stay_separate_samples(derived):
    assert value(derived.adbm, "P1-prim", "PIK3CA") == "MUTATED"
    assert value(derived.adbm, "P1-met", "PIK3CA") == "WT"


def test_the_sample_at_progression_is_no_baseline_sample(derived):
    assert value(derived.adbm, "P1-prog", "KMT2C", "AVISIT") == "PROG"
    assert select_markers(derived.adbm).loc["S-01-P1", "KMT2C"] == 0


def test_metastasis_goes_before_primary_in_the_main_analysis(derived):
    markers = select_markers(derived.adbm)
    assert markers.loc["S-01-P1", "ESR1"] == 1 and markers.loc["S-01-P1", "PIK3CA"] == 0
    assert markers.loc["S-01-P2", "PIK3CA"] == 1  # only a primary
    primary = select_markers(derived.adbm, samptypes=["PRIMARY"])
    assert primary.index.tolist() == ["S-01-P1", "S-01-P2"] and primary.loc["S-01-P1", "PIK3CA"] == 1


def test_copy_number_markers_keep_what_was_not_assessable_missing(derived):
    markers = select_markers(derived.adbm, partype="CNA")
    assert markers.loc["S-01-P1", ["FGFR1_AMP", "PTEN_DEL"]].tolist() == [1, 1]
    assert markers.loc["S-01-P2", "FGFR1_AMP"] == 0 and np.isnan(markers.loc["S-01-P2", "PTEN_DEL"])


def test_what_is_left_out_is_in_the_ledger_with_its_reason(derived):
    ledger = derived.exclusions
    assert sorted(ledger["CODE"]) == ["PLASMA_NOT_ASSESSABLE", "SAMPTYPE_UNKNOWN", "SUBJECT_UNKNOWN"]
    assert ledger.set_index("CODE").loc["SAMPTYPE_UNKNOWN", "USUBJID"] == "S-01-P4"


def test_plasma_gives_a_call_a_fraction_and_the_genes_found(derived):
    plasma = derived.adbm[derived.adbm["SAMPTYPE"] == "PLASMA"]
    first = plasma[plasma["SAMPLEID"] == "P1-a"].set_index("PARAMCD")
    assert first["PARTYPE"].to_dict() == {"CTDNA": "CTDNA", "TUMFRAC": "CTDNA", "ESR1": "MUT"}
    assert first.loc["CTDNA", "AVALC"] == "DETECTED" and first.loc["TUMFRAC", "AVAL"] == 0.10


def test_missing_layers_are_normal(mini_study, plasma_file, adsl):
    assert set(derive_adbm(None, read_plasma(plasma_file), adsl).adbm["SAMPTYPE"]) == {"PLASMA"}
    assert "PLASMA" not in set(derive_adbm(read_cbioportal(mini_study), None, adsl).adbm["SAMPTYPE"])
    empty = derive_adbm(None, None, adsl)
    assert len(empty.adbm) == 0 and list(empty.adbm.columns)[:2] == ["STUDYID", "USUBJID"]


def test_row_order_of_the_files_changes_nothing(derived, mini_study, plasma_file, adsl):
    again = derive_adbm(read_cbioportal(mini_study), read_plasma(plasma_file).iloc[::-1], adsl.iloc[::-1])
    pd.testing.assert_frame_equal(again.adbm, derived.adbm)


def test_a_patient_matches_by_the_ending_of_its_subject_only_if_that_is_unique():
    subjects = pd.Series(["S-01-001", "S-02-002", "S-03-002"])
    found = match_subjects(pd.Series(["001", "002", "S-03-002", "01"]), subjects)
    assert found.tolist() == ["S-01-001", None, "S-03-002", None]


def expression(mini_study, write, value):
    write(
        mini_study / "meta_expression.txt",
        "genetic_alteration_type: MRNA_EXPRESSION\ndatatype: CONTINUOUS\ndata_filename: e.txt\n",
    )
    write(mini_study / "e.txt", f"Hugo_Symbol|P1-met\nESR1|{value}\n")
    return read_cbioportal(mini_study)


def test_continuous_expression_enters_as_log2_of_value_plus_one(mini_study, write):
    assert transform_expression(expression(mini_study, write, 7)).loc["ESR1", "P1-met"] == 3.0


def test_negative_continuous_expression_is_refused(mini_study, write):
    study = expression(mini_study, write, -1)
    with pytest.raises(ValueError, match="EXPRESSION_NEGATIVE: lowest value -1"):
        transform_expression(study)
    raw = plan.defaults().override({"biomarkers.expression_log2": False}).biomarkers
    assert transform_expression(study, rules=raw).loc["ESR1", "P1-met"] == -1


def test_a_visit_that_its_date_contradicts_is_a_query(plasma_file, adsl):
    plasma = read_plasma(plasma_file)
    plasma.loc[plasma["SAMPLEID"] == "P1-b", "ADT"] = pd.Timestamp("2020-01-22")
    queries = derive_adbm(None, plasma, adsl).queries
    asked = queries[queries["USUBJID"] == "S-01-P1"]
    assert asked["CODE"].tolist() == ["PLASMA_VISIT_DIFFERS"]
    assert asked["MESSAGE"].iloc[0] == "the table says D14, its date makes it UNSCHED (day 21)"


def test_a_subject_found_by_the_ending_of_its_identifier_is_recorded(derived):
    noted = derived.queries[derived.queries["CODE"] == "SUBJECT_BY_ENDING"]
    assert set(noted["USUBJID"]) == {"S-01-P1", "S-01-P2", "S-01-P3"}
