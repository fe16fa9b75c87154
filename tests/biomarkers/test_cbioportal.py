"""The reader of cBioPortal study folders, on a study written by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from analysis.biomarkers import FileRefused, read_cbioportal


def codes(study):
    return study.problems["CODE"].tolist()


def test_all_layers_of_the_mini_study_are_read(mini_study):
    study = read_cbioportal(mini_study)
    assert study.samples["SAMPLE_ID"].tolist() == [
        "P1-prim",
        "P1-met",
        "P1-prog",
        "P2-prim",
        "P3-met",
        "P4-odd",
    ]
    assert study.patients["PATIENT_ID"].tolist() == ["P1", "P2", "P3"]
    assert study.expression is None


def test_number_columns_are_numbers_and_null_words_are_missing(mini_study):
    study = read_cbioportal(mini_study)
    assert study.samples["PURITY"].tolist()[0] == 0.4
    assert study.samples["PURITY"].isna().tolist() == [False, True, False, True, False, False]
    assert np.isnan(study.patients.loc[1, "AGE"])


def test_variant_allele_fraction_is_alt_over_depth_and_missing_without_reads(mini_study):
    mutations = read_cbioportal(mini_study).mutations.set_index(["SAMPLE_ID", "GENE"])
    assert mutations.loc[("P1-met", "ESR1"), "VAF"] == pytest.approx(0.3)
    assert np.isnan(mutations.loc[("P1-prim", "PIK3CA"), "VAF"])
    assert np.isnan(mutations.loc[("P2-prim", "PIK3CA"), "VAF"])


def test_duplicate_and_ghost_variants_are_set_aside_and_told(mini_study):
    study = read_cbioportal(mini_study)
    assert "PTEN" not in set(study.mutations["GENE"])
    assert (study.mutations["GENE"] == "ESR1").sum() == 1
    twice = study.problems.set_index("CODE").loc["VARIANT_TWICE"]
    assert twice["RECORD"] == "line 4" and twice["DOMAIN"] == "data_mutations.txt"
    assert "line 9, sample GHOST-1" in study.problems["RECORD"].tolist()


def test_a_sample_is_wild_type_only_if_it_was_sequenced(mini_study):
    study = read_cbioportal(mini_study)
    sequenced = study.samples.set_index("SAMPLE_ID")["SEQUENCED"]
    assert sequenced["P3-met"] and not sequenced["P4-odd"]
    # it has variants, so it was sequenced, whatever the list says
    assert sequenced["P1-prog"] and "SEQUENCED_UNLISTED" in codes(study)


def test_without_a_case_list_all_samples_count_as_sequenced_and_that_is_told(mini_study):
    (mini_study / "case_lists" / "cases_sequenced.txt").unlink()
    study = read_cbioportal(mini_study)
    assert study.samples["SEQUENCED"].all() and "SEQUENCED_ASSUMED" in codes(study)


def test_copy_number_is_genes_by_samples_with_missing_kept_missing(mini_study):
    cna = read_cbioportal(mini_study).cna
    assert cna.index.tolist() == ["FGFR1", "PTEN", "ENTREZ:999"]
    assert cna.columns.tolist() == ["P1-met", "P2-prim"]
    assert cna.loc["FGFR1", "P1-met"] == 2 and np.isnan(cna.loc["PTEN", "P2-prim"])


def test_long_copy_number_gives_the_same_as_wide(mini_study, write):
    wide = read_cbioportal(mini_study).cna
    write(
        mini_study / "meta_cna.txt",
        "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: DISCRETE_LONG\ndata_filename: long.txt\n",
    )
    write(
        mini_study / "long.txt",
        "Hugo_Symbol|Entrez_Gene_Id|Sample_Id|Value\nFGFR1|1|P1-met|2\nFGFR1|1|P2-prim|0\nPTEN|2|P1-met|-2\n",
    )
    pd.testing.assert_frame_equal(read_cbioportal(mini_study).cna, wide.loc[["FGFR1", "PTEN"]])


def test_crlf_and_byte_order_mark_change_nothing(mini_study, write):
    before = read_cbioportal(mini_study)
    for name in ("clinical_samples.tsv", "data_mutations.txt"):
        text = (mini_study / name).read_text()
        write(mini_study / name, text, newline="\r\n", bom=True)
    after = read_cbioportal(mini_study)
    pd.testing.assert_frame_equal(after.samples, before.samples)
    pd.testing.assert_frame_equal(after.mutations, before.mutations)


def test_optional_files_may_be_missing_and_are_named(mini_study):
    for name in ("meta_cna.txt", "data_cna.txt", "meta_mutations.txt", "data_mutations.txt"):
        (mini_study / name).unlink()
    study = read_cbioportal(mini_study)
    assert study.cna is None and study.mutations.empty and not study.samples["SEQUENCED"].any()
    absent = study.problems[study.problems["CODE"] == "LAYER_ABSENT"]["DOMAIN"].tolist()
    assert absent == ["mutations", "cna", "expression"]


def test_data_files_without_meta_files_are_taken_by_their_usual_name(mini_study):
    (mini_study / "meta_mutations.txt").unlink()
    study = read_cbioportal(mini_study)
    assert len(study.mutations) == 6 and "META_MISSING" in codes(study)


def test_raw_expression_is_preferred_to_z_scores(mini_study, write):
    for datatype, value in (("Z-SCORE", "-1.5"), ("CONTINUOUS", "7")):
        write(
            mini_study / f"meta_{datatype}.txt",
            "genetic_alteration_type: MRNA_EXPRESSION\n"
            f"datatype: {datatype}\ndata_filename: {datatype}.txt\n",
        )
        write(mini_study / f"{datatype}.txt", f"Hugo_Symbol|P1-met|P3-met\nESR1|{value}|NA\n")
    study = read_cbioportal(mini_study)
    assert study.expression_unit == "CONTINUOUS" and study.expression.loc["ESR1", "P1-met"] == 7


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("clinical_samples.tsv", "|SAMPLE_ID|", "|SAMPLE|", "COLUMN_MISSING: @, line 5, column SAMPLE_ID"),
        ("clinical_samples.tsv", "P1-met", "P1-prim", "SAMPLE_TWICE: @, line 7, column SAMPLE_ID"),
        ("clinical_samples.tsv", "P2-prim", "P2 prim", "IDENTIFIER_MALFORMED: @, line 9, column SAMPLE_ID"),
        ("clinical_samples.tsv", "P3|", "|", "IDENTIFIER_MISSING: @, line 10, column PATIENT_ID"),
        ("clinical_samples.tsv", "|0.4", "|high", "NUMBER_MALFORMED: @, line 6, column PURITY.*'high'"),
        ("data_clinical_patient.txt", "P2|", "P1|", "PATIENT_TWICE: @, line 7"),
        ("data_mutations.txt", "|Missense_Mutation|G|P2", "||G|P2", "VALUE_MISSING.*line 7, column Variant_"),
        ("data_mutations.txt", "|30|70", "|-3|70", "NUMBER_RANGE: @, line 3, column t_alt_count"),
        ("data_mutations.txt", "|10|90|Somatic", "|10|90", "ROW_LENGTH: @, line 5: 9 fields.*10"),
        ("data_mutations.txt", "HGVSp_Short", "Chromosome", "COLUMN_TWICE: @, line 2, column Chromosome"),
        ("data_cna.txt", "|2|0|0", "|3|0|0", "CNA_LEVEL: @, line 2, column P1-met"),
        ("data_cna.txt", "PTEN|5728", "FGFR1|2260", "GENE_TWICE: @, line 3, column Hugo_Symbol"),
        ("data_cna.txt", "Hugo_Symbol|Entrez_Gene_Id", "Gene|Id", "COLUMN_MISSING: @"),
        ("meta_cna.txt", "datatype: DISCRETE\n", "", "META_INCOMPLETE: meta_cna.txt"),
        ("meta_cna.txt", "stable_id: gistic", "stable_id gistic", "META_MALFORMED: meta_cna.txt, line 3"),
        ("meta_cna.txt", "data_cna.txt", "other.txt", "FILE_MISSING: other.txt"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_file_line_and_column(mini_study, write, name, old, new, expected):
    text = (mini_study / name).read_text().replace("\t", "|")
    assert old in text
    expected = expected.replace("@", re.escape(name))
    write(mini_study / name, text.replace(old, new, 1))
    with pytest.raises(FileRefused, match=expected):
        read_cbioportal(mini_study)


def test_an_absent_folder_is_refused(tmp_path):
    with pytest.raises(FileRefused, match="FOLDER_MISSING: nowhere"):
        read_cbioportal(tmp_path / "nowhere")


def test_a_folder_without_the_sample_file_is_refused(mini_study):
    (mini_study / "meta_clinical_sample.txt").unlink()
    (mini_study / "clinical_samples.tsv").unlink()
    with pytest.raises(FileRefused, match="SAMPLES_MISSING"):
        read_cbioportal(mini_study)


def test_another_encoding_is_refused_with_its_line(mini_study):
    (mini_study / "data_clinical_patient.txt").write_bytes(b"PATIENT_ID\nP1\nP\xe9\n")
    with pytest.raises(FileRefused, match=r"FILE_ENCODING: data_clinical_patient\.txt, line 3") as refusal:
        read_cbioportal(mini_study)
    assert (refusal.value.code, refusal.value.line) == ("FILE_ENCODING", 3)


def test_empty_and_header_only_files_are_told_apart(mini_study):
    (mini_study / "data_mutations.txt").write_text("")
    with pytest.raises(FileRefused, match="FILE_EMPTY"):
        read_cbioportal(mini_study)
    (mini_study / "data_mutations.txt").write_text("# nothing here\n")
    with pytest.raises(FileRefused, match="HEADER_MISSING"):
        read_cbioportal(mini_study)
