"""The table adbm from the mini study and plasma: who is mutated, who is wild type, who was not looked at."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers import FileRefused, derive_adbm, read_cbioportal, read_plasma, select_markers
from analysis.biomarkers.adbm import COLUMNS, match_subjects, transform_expression
from analysis.biomarkers.tumour_samples import assign_samples


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
    expected = {"CTDNA": "CTDNA", "TUMFRAC": "CTDNA", "ESR1": "MUT", "PIK3CA": "MUT"}
    assert first["PARTYPE"].to_dict() == expected
    # Reported as not detected: wild type, with a fraction of 0.
    assert first.loc["PIK3CA", ["AVALC", "AVAL"]].tolist() == ["WT", 0.0]
    assert first.loc["ESR1", ["AVALC", "AVAL", "ASSAY", "ADY"]].tolist() == ["MUTATED", 0.05, "panel", -1]
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


def deep(mini_study, write, column="SAMPLE_COVERAGE"):
    """Give the mini study a column of sequencing depth in place of the purity."""
    text = (mini_study / "clinical_samples.tsv").read_text()
    text = text.replace("PURITY", column).replace("SAMPLE_COVERAGE", column)
    for share, reads in (("0.4", "400"), ("0.5", "500"), ("0.6", "600")):
        text = text.replace(f"\t{share}\n", f"\t{reads}\n")
    (mini_study / "clinical_samples.tsv").write_text(text)
    return read_cbioportal(mini_study)


def test_depth_is_of_the_variant_else_of_the_sample(mini_study, write, adsl):
    adbm = derive_adbm(deep(mini_study, write), None, adsl).adbm
    assert value(adbm, "P1-met", "ESR1", "DEPTH") == 100  # 30 and 70 reads
    assert value(adbm, "P1-prim", "PIK3CA", "DEPTH") == 400  # mutated, no reads given
    assert value(adbm, "P3-met", "ESR1", "DEPTH") == 600
    assert np.isnan(value(adbm, "P2-prim", "ESR1", "DEPTH"))  # not known
    other = derive_adbm(deep(mini_study, write, "READS_PERHAPS"), None, adsl).adbm
    assert np.isnan(value(other, "P3-met", "ESR1", "DEPTH"))


def test_a_depth_is_read_to_its_last_place_and_a_word_is_none(mini_study, write, adsl):
    # The reader of pandas is off by a unit in the last place of this one.
    study = deep(mini_study, write)
    depths = study.samples["SAMPLE_ID"].map({"P1-prim": "0.13436424411240122", "P1-met": "deep"})
    found = assign_samples(replace(study, samples=study.samples.assign(SAMPLE_COVERAGE=depths)), adsl)
    depth = found.samples.set_index("SAMPLE_ID")["SAMPLE_DEPTH"]
    assert depth["P1-prim"] == 0.13436424411240122 and np.isnan(depth["P1-met"])
    assert found.queries.set_index("CODE").loc["DEPTH_UNREAD", "RECORD"] == "sample P1-met"


def test_a_gene_off_the_panel_of_its_sample_was_not_looked_at(mini_study, adsl):
    study = read_cbioportal(mini_study)
    small = frozenset({"PIK3CA"})
    study = _with_panels(study, {"P1-prim": small, "P1-met": small, "P3-met": None})
    adbm = derive_adbm(study, None, adsl).adbm
    assert value(adbm, "P1-prim", "AKT1") == "NOT ASSESSABLE"
    assert np.isnan(value(adbm, "P1-prim", "AKT1", "AVAL"))
    assert value(adbm, "P1-met", "PIK3CA") == "WT"
    assert value(adbm, "P1-met", "ESR1") == "MUTATED"  # seen, whatever the panel is said to hold
    assert value(adbm, "P3-met", "AKT1") == value(adbm, "P2-prim", "AKT1") == "WT"
    assert np.isnan(select_markers(adbm, samptypes=["PRIMARY"]).loc["S-01-P1", "AKT1"])


def _with_panels(study, panels):
    return replace(study, panels=panels)


def test_two_samples_of_one_kind_and_visit_are_a_query_that_says_which_is_taken(mini_study, adsl):
    study = read_cbioportal(mini_study)
    again = study.samples[study.samples["SAMPLE_ID"] == "P1-met"].assign(
        SAMPLE_ID="P1-again", SEQUENCED=False
    )
    study = replace(study, samples=pd.concat([study.samples, again], ignore_index=True))
    derived = derive_adbm(study, None, adsl)
    asked = derived.queries.set_index("CODE").loc["TUMOUR_SAMPLE_SEVERAL"]
    # The other one is first by its name, but was not sequenced.
    assert asked["MESSAGE"] == "2 samples of kind METASTASIS at D0: P1-met, P1-again; P1-met is taken"
    assert select_markers(derived.adbm).loc["S-01-P1", "ESR1"] == 1


def rewrite(mini_study, *changes):
    """Replace text of the sample file, columns written with '|'; read the study again."""
    path = mini_study / "clinical_samples.tsv"
    text = path.read_text()
    for old, new in changes:
        old, new = old.replace("|", "\t"), new.replace("|", "\t")
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    return read_cbioportal(mini_study)


@pytest.mark.parametrize("word", ["EOT", "Week 12", "PD", "0"])
def test_a_visit_the_plan_cannot_spell_is_asked_after_and_its_sample_not_used(mini_study, adsl, word):
    study = rewrite(mini_study, ("P1-prog|Progression|PROG", f"P1-prog|Progression|{word}"))
    derived = derive_adbm(study, None, adsl)
    assert "P1-prog" not in set(derived.adbm["SAMPLEID"])
    contracts.check("exclusions_05", derived.exclusions)
    ledger = derived.exclusions.set_index("CODE").loc["SAMPLE_VISIT_UNKNOWN"]
    assert ledger["USUBJID"] == "S-01-P1" and ledger["AVISIT"] is None and "P1-prog" in ledger["REASON"]
    asked = derived.queries.set_index("CODE").loc["SAMPLE_VISIT_UNKNOWN"]
    assert asked["RECORD"] == "sample P1-prog" and f"'{word}'" in asked["MESSAGE"]


@pytest.mark.parametrize("word", ["Progression", "progressed"])
def test_a_sample_of_type_progression_without_visit_is_no_baseline_sample(mini_study, adsl, word):
    derived = derive_adbm(rewrite(mini_study, ("Progression|PROG", f"{word}|")), None, adsl)
    assert value(derived.adbm, "P1-prog", "KMT2C", "AVISIT") == "PROG"
    assert "SAMPLE_VISIT_UNKNOWN" not in set(derived.queries["CODE"])


def test_a_file_without_visits_has_baseline_samples_but_for_the_type_progression(mini_study, adsl):
    study = read_cbioportal(mini_study)
    adbm = derive_adbm(replace(study, samples=study.samples.drop(columns="VISIT")), None, adsl).adbm
    visits = adbm.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["AVISIT"]
    assert visits.to_dict() == {"P1-met": "D0", "P1-prim": "D0", "P1-prog": "PROG", "P2-prim": "D0"} | {
        "P3-met": "D0"
    }


def with_days(mini_study, **days):
    study = read_cbioportal(mini_study)
    names = study.samples["SAMPLE_ID"].str.replace("-", "_")
    return replace(study, samples=study.samples.assign(COLLECTION_DAY=names.map(days)))


def test_the_study_day_of_a_tumour_sample_is_that_of_the_file(mini_study, adsl):
    study = with_days(mini_study, P1_prim=-900, P1_met=1, P1_prog=200)
    derived = derive_adbm(study, None, adsl)
    assert value(derived.adbm, "P1-prim", "PIK3CA", "ADY") == -900
    assert value(derived.adbm, "P1-met", "FGFR1", "ADY", "CNA") == 1  # before the dose of that day
    assert value(derived.adbm, "P1-prog", "KMT2C", "ADY") == 200
    assert np.isnan(value(derived.adbm, "P3-met", "ESR1", "ADY"))
    assert not {"SAMPLE_AFTER_FIRST_DOSE", "SAMPLE_DAY_UNREAD"} & set(derived.queries["CODE"])
    rules = plan.defaults().override({"biomarkers.sample_day_column": "OTHER"}).biomarkers
    assert derive_adbm(study, None, adsl, rules=rules).adbm["ADY"].isna().all()


def test_a_baseline_sample_taken_after_first_dose_is_none(mini_study, adsl):
    derived = derive_adbm(with_days(mini_study, P1_met=2, P1_prim=-900), None, adsl)
    assert "P1-met" not in set(derived.adbm["SAMPLEID"])
    ledger = derived.exclusions.set_index("CODE").loc["SAMPLE_AFTER_FIRST_DOSE"]
    assert (ledger["USUBJID"], ledger["AVISIT"]) == ("S-01-P1", "D0") and "P1-met" in ledger["REASON"]
    asked = derived.queries.set_index("CODE").loc["SAMPLE_AFTER_FIRST_DOSE"]
    assert asked["RECORD"] == "sample P1-met" and "study day 2" in asked["MESSAGE"]
    # The primary takes its place: PIK3CA is mutated in it alone.
    assert select_markers(derived.adbm).loc["S-01-P1", "PIK3CA"] == 1


@pytest.mark.parametrize("day", [0, 1.5, "soon"])
def test_a_study_day_that_is_none_is_asked_after(mini_study, adsl, day):
    derived = derive_adbm(with_days(mini_study, P1_met=day), None, adsl)
    assert np.isnan(value(derived.adbm, "P1-met", "ESR1", "ADY"))
    assert derived.queries.set_index("CODE").loc["SAMPLE_DAY_UNREAD", "RECORD"] == "sample P1-met"


def test_signature_scores_and_their_genes_are_rows(mini_study, write, adsl):
    study = expression(mini_study, write, 7)
    write(mini_study / "e.txt", "Hugo_Symbol|P1-met\nESR1|7\nMKI67|3\nOTHER|1\n")
    study = read_cbioportal(mini_study)
    scores = pd.DataFrame({"GLYCOLYSIS": [0.7, np.nan]}, index=["P1-met", "P2-prim"])
    adbm = derive_adbm(study, None, adsl, signatures=scores).adbm
    contracts.check("adbm", adbm)
    genes = adbm[adbm["PARTYPE"] == "EXPR"].set_index("PARAMCD")["AVAL"]
    assert genes.to_dict() == {"ESR1": 3.0, "MKI67": 2.0}  # a candidate, a gene of a signature
    signed = adbm[adbm["PARTYPE"] == "SIGN"]
    assert signed[["SAMPLEID", "PARAMCD", "AVAL"]].to_numpy().tolist() == [["P1-met", "GLYCOLYSIS", 0.7]]


def ready(subject, **changes):
    row = dict.fromkeys(COLUMNS) | {"STUDYID": "S", "USUBJID": subject, "SAMPLEID": f"{subject}-T"}
    row |= {"SAMPTYPE": "PRIMARY", "AVISIT": "D0", "PARAMCD": "TMB", "PARTYPE": "LEVEL", "AVAL": 4.2}
    return pd.DataFrame([row | changes])


def test_ready_rows_are_appended_and_checked(adsl):
    derived = derive_adbm(None, None, adsl, ready=pd.concat([ready("S-01-P1"), ready("S-99-PX")]))
    contracts.check("adbm", derived.adbm)
    assert derived.adbm[["USUBJID", "AVAL"]].to_numpy().tolist() == [["S-01-P1", 4.2]]
    assert derived.exclusions["CODE"].tolist() == ["SUBJECT_UNKNOWN"]
    with pytest.raises(contracts.ContractError, match="PARTYPE"):
        derive_adbm(None, None, adsl, ready=ready("S-01-P1", PARTYPE="TMB"))


def test_a_ready_row_of_a_marker_that_is_there_is_refused(mini_study, adsl):
    twice = ready("S-01-P1", SAMPLEID="P1-met", PARAMCD="ESR1", PARTYPE="MUT", AVALC="WT")
    with pytest.raises(ValueError, match="ADBM_KEY_TWICE: 1 rows"):
        derive_adbm(read_cbioportal(mini_study), None, adsl, ready=twice)


@pytest.mark.parametrize("doses", [None, pd.NaT])
def test_a_study_without_dates_of_treatment_has_draws_of_unknown_day(plasma_file, adsl, doses):
    undated = adsl.drop(columns="TRTSDT") if doses is None else adsl.assign(TRTSDT=doses)
    derived = derive_adbm(None, read_plasma(plasma_file), undated)
    contracts.check("adbm", derived.adbm)
    assert set(derived.adbm["AVISIT"]) == {"UNSCHED", "PROG"} and derived.adbm["ADY"].isna().all()
    said = derived.queries.loc[derived.queries["CODE"] == "PLASMA_VISIT_DIFFERS", "MESSAGE"]
    assert said.str.contains("its study day is unknown").all() and len(said)


def test_a_tumour_sample_of_nobody_is_asked_after_by_its_patient(mini_study, adsl):
    study = read_cbioportal(mini_study)
    sent = study.samples["PATIENT_ID"].replace({"P1": "p01", "P3": "P9"})
    derived = derive_adbm(replace(study, samples=study.samples.assign(PATIENT_ID=sent)), None, adsl)
    asked = derived.queries[derived.queries["CODE"] == "SUBJECT_UNKNOWN"].set_index("RECORD")
    assert sorted(asked.index) == ["patient P9", "patient p01"] and set(asked["SEVERITY"]) == {"error"}
    # Three samples of a patient are one question; the site's prefix may be left out.
    assert "(3)" in asked.loc["patient p01", "MESSAGE"] and "'S-01-P1'" in asked.loc["patient p01", "ACTION"]
    assert "differs" not in asked.loc["patient P9", "MESSAGE"]
    assert (derived.exclusions["CODE"] == "SUBJECT_UNKNOWN").sum() == 4


def test_a_sample_twice_is_refused_with_its_name_and_first_line(mini_study):
    path = mini_study / "clinical_samples.tsv"
    path.write_text(path.read_text().replace("P1-prog", "P1-prim", 1))
    with pytest.raises(
        FileRefused, match=r"SAMPLE_TWICE: .*line 8, column SAMPLE_ID: 'P1-prim' stands in line 6 .*keep"
    ):
        read_cbioportal(mini_study)
