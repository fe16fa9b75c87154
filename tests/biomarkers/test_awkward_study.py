"""A study folder with every awkwardness of the cBioPortal format, against expectations written by hand."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.biomarkers import FileRefused, read_cbioportal

FOLDER = Path(__file__).parent / "data" / "awkward_study"
NAN = float("nan")
SMALL = frozenset({"ESR1", "PIK3CA", "TP53", "FGFR1", "PTEN"})


@pytest.fixture(scope="module")
def awkward():
    return read_cbioportal(FOLDER)


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "study"))


def test_clinical_values_survive_mark_carriage_returns_and_tabs_at_line_ends(awkward):
    expected = pd.DataFrame(
        {
            "PATIENT_ID": ["P-01", "P-01", "P-02", "P-03", "P-04", "P-05", "P-05"],
            "SAMPLE_ID": ["S1.prim", "S1.met", "S2", "S3", "S4", "S5", "S6"],
            "SAMPLE_TYPE": ["Primary", "Metastasis", "metastatic", "primary", "Recurrence", None, "Primary"],
            "VISIT": ["D0", "PROG", None, None, None, None, None],
            "PURITY": [0.4, NAN, 0.55, 0.6, 1.0, NAN, 0.0],
            "COVERAGE": [512.0, 1000.0, NAN, 200.0, 0.0, NAN, 80.0],
            "Note": ['a "quoted" word', None, None, "#1 of the series", "Ångström", None, "not sequenced"],
            "SEQUENCED": [True, True, True, True, True, True, False],
        }
    )
    pd.testing.assert_frame_equal(awkward.samples, expected)
    patients = pd.DataFrame(
        {
            "PATIENT_ID": ["P-01", "P-02", "P-03", "P-04", "P-06"],
            "AGE": [61.0, NAN, NAN, 70.5, 44.0],
            "OS_STATUS": ["0:LIVING", "1:DECEASED", "0:LIVING", None, "0:LIVING"],
            "OS_MONTHS": [24.5, 3.0, NAN, 11.0, 8.0],
        }
    )
    pd.testing.assert_frame_equal(awkward.patients, patients)


def test_variants_are_read_as_the_format_means_them(awkward):
    rows = [
        ("S1.prim", "ESR1", "Missense_Mutation", "p.D538G", "6", "152419926", "G", "Somatic", 0.3, 100.0, "152419926", "A"),
        # no reads told, a depth only: depth, and no fraction from the study's own column t_vaf
        ("S1.prim", "PIK3CA", "Missense_Mutation", "p.H1047R", "3", "178952085", "G", "Somatic", NAN, 250.0, "178952085", "A"),
        # variant reads over t_depth
        ("S1.met", "PTEN", "Frame_Shift_Ins", "p.R130fs", "10", "89692905", "AC", "Somatic", 0.25, 48.0, "89692906", "-"),
        ("S2", "BRCA2", "Frame_Shift_Del", "p.K1691fs", "13", "32913558", "-", "GERMLINE", 0.5, 100.0, "32913558", "C"),
        ("S2", "TP53", "Silent", "p.R273=", "17", "7577121", "A", None, NAN, 0.0, "7577121", "G"),
        # without position and protein change two variants of a gene are two
        ("S3", "GATA3", "Splice_Site", None, "10", None, None, None, NAN, NAN, None, None),
        ("S3", "GATA3", "Splice_Site", None, "10", None, None, None, NAN, NAN, None, None),
        ("S3", "ENTREZ:8085", "Nonsense_Mutation", "p.R5048*", "12", "49415846", "A", "Somatic", 0.2, 40.0, "49415846", "G"),
        # bases are preferred to "-" where both alleles differ from the reference
        ("S4", "MAP3K1", "In_Frame_Del", "p.S939del", "5", "56177848", "T", "Somatic", 0.25, 24.0, "56177850", "TCA"),
        ("S4", "CDH1", "missense", "p.Q23E", "16", "68835600", "G", "Somatic", 0.25, 36.0, "68835600", "C"),
        ("S4", "KMT2C", "Nonsense_Mutation", "p.Q1*", "7", "151874147", "A", "LOH", 0.1, 100.0, "151874147", "G"),
    ]  # fmt: skip
    expected = pd.DataFrame(rows, columns=awkward.mutations.columns).astype(awkward.mutations.dtypes)
    pd.testing.assert_frame_equal(awkward.mutations, expected.where(expected.notna(), awkward.mutations))
    assert awkward.mutations.columns[:4].tolist() == ["SAMPLE_ID", "GENE", "CLASS", "PROTEIN"]


def test_copy_numbers_off_the_panel_are_missing_and_ambiguous_symbols_stay_apart(awkward):
    expected = pd.DataFrame(
        {
            "S1.prim": [2, -2, NAN, NAN, NAN, NAN],
            "S1.met": [0, -1, NAN, NAN, NAN, 2],
            "S2": [NAN, 0, 0, 0, 0, 2],
            "S4": [-1.5, NAN, NAN, NAN, NAN, NAN],
        },
        index=pd.Index(
            ["FGFR1", "PTEN", "ENTREZ:8085", "ENTREZ:7006", "ENTREZ:100124696", "CCND1"], name="GENE"
        ),
    ).rename_axis(columns="SAMPLE_ID")
    pd.testing.assert_frame_equal(awkward.cna, expected)


def test_expression_is_taken_from_the_values_before_the_z_scores(awkward):
    assert awkward.expression_unit == "LOG2-VALUE"
    assert awkward.expression.index.tolist() == ["ENTREZ:2099", "ENTREZ:5290"]
    found = awkward.expression[["S1.prim", "S2", "S4"]].to_numpy()
    np.testing.assert_array_equal(found, [[7.25, NAN, -0.5], [NAN, 10, 3]])


def test_each_sequenced_sample_has_the_genes_of_its_panel(awkward):
    large = SMALL | {"MAP3K1", "CCND1"}
    assert awkward.panels == {
        "S1.prim": SMALL,
        "S1.met": large,
        "S2": None,  # WES: every gene
        "S3": None,  # NA, but listed as sequenced
        "S4": large,
        "S5": None,  # no row: told
    }


def test_all_that_was_set_aside_or_read_otherwise_is_told(awkward):
    expected = {
        ("STUDY_DIFFERS", "meta_mutations_extended.txt", "awk_2019, not awk_2020"),
        ("PROFILE_CHOSEN", "meta_expression.txt", "not read: meta_expression_zscores.txt"),
        ("FILE_UNUSED", "meta_log2_cna.txt", "COPY_NUMBER_ALTERATION LOG2-VALUE"),
        ("FILE_UNUSED", "meta_mirna.txt", "MRNA_EXPRESSION CONTINUOUS"),
        ("FILE_UNUSED", "meta_sv.txt", "STRUCTURAL_VARIANT SV"),
        ("FILE_UNREFERENCED", "data_methylation.txt", None),
        ("COLUMN_CASE", "samples_of_the_study.tsv", "column Note"),
        ("CLINICAL_TYPE", "samples_of_the_study.tsv", "line 3, column Note: TEXT"),
        ("NUMBER_CENSORED", "samples_of_the_study.tsv", "line 8, column COVERAGE"),
        ("NUMBER_CENSORED", "data_clinical_patient.txt", "line 7, column AGE"),
        ("PATIENT_WITHOUT_ROW", "data_clinical_patient.txt", None),
        ("PATIENT_WITHOUT_SAMPLE", "data_clinical_patient.txt", None),
        ("CASE_LIST_UNKNOWN", "cases_ours.txt", "awk_2020_best_responders"),
        ("SAMPLE_UNKNOWN", "cases_sequenced.txt", "sample GHOST"),
        ("SAMPLE_UNKNOWN", "data_gene_panel_matrix.txt", "line 8, sample GHOST"),
        ("SAMPLE_UNKNOWN", "variants.maf", "line 17, sample GHOST"),
        ("SAMPLE_UNKNOWN", "data_CNA.txt", "sample GHOST"),
        ("VARIANT_INTERGENIC", "variants.maf", "line 12"),
        ("ALLELE_AMBIGUOUS", "variants.maf", "line 15"),
        ("VARIANT_CLASS_UNKNOWN", "variants.maf", "missense, 1 lines, first line 15"),
        ("VARIANT_TWICE", "variants.maf", "line 4"),
        ("SEQUENCED_UNLISTED", "case_lists", "sample S4"),
        ("PANEL_UNKNOWN", "data_gene_panel_matrix.txt", "sample S5"),
        ("VARIANT_OFF_PANEL", "variants.maf", "sample S4, gene CDH1"),
        ("VARIANT_OFF_PANEL", "variants.maf", "sample S4, gene KMT2C"),
        ("GENE_AMBIGUOUS", "data_CNA.txt", "TEC: Entrez 100124696, 7006"),
        ("GENE_TWICE", "data_CNA.txt", "line 5, FGFR1"),
        ("CNA_UNLISTED", "case_lists", "sample S4"),
        ("CNA_OFF_PANEL", "data_CNA.txt", "sample S1.prim, 4 genes"),
        ("CNA_OFF_PANEL", "data_CNA.txt", "sample S1.met, 3 genes"),
        ("CNA_OFF_PANEL", "data_CNA.txt", "sample S4, 4 genes"),
    }
    found = list(awkward.problems[["CODE", "DOMAIN", "RECORD"]].itertuples(index=False, name=None))
    assert set(found) == expected and len(found) == len(expected)
    by_code = awkward.problems.drop_duplicates("CODE").set_index("CODE")
    assert by_code["USUBJID"][["PATIENT_WITHOUT_ROW", "PATIENT_WITHOUT_SAMPLE"]].tolist() == ["P-05", "P-06"]


def edit(path, old, new):
    text = path.read_bytes().decode().replace("\t", "|")
    assert old in text, path.name
    path.write_bytes(text.replace(old, new, 1).replace("|", "\t").encode())


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "line", "column"),
    [
        ("samples_of_the_study.tsv", "|PURITY|", "||", "COLUMN_UNNAMED", 5, None),
        ("samples_of_the_study.tsv", "PATIENT_ID|SAMPLE_ID", "PATIENT_ID|sample_id", "COLUMN_MISSING", 5, "SAMPLE_ID"),
        ("samples_of_the_study.tsv", "|0.55|", "|0,55|", "NUMBER_MALFORMED", 8, "PURITY"),
        ("samples_of_the_study.tsv", "|0.55|", "|1_0|", "NUMBER_MALFORMED", 8, "PURITY"),
        ("samples_of_the_study.tsv", "|0.55|", "|inf|", "NUMBER_MALFORMED", 8, "PURITY"),
        ("samples_of_the_study.tsv", "|S2|", '|"S2"|', "FIELD_QUOTED", 8, "SAMPLE_ID"),
        ("samples_of_the_study.tsv", "|S2|", "|S 2|", "IDENTIFIER_MALFORMED", 8, "SAMPLE_ID"),
        ("samples_of_the_study.tsv", "|S2|", "|S3|", "SAMPLE_TWICE", 9, "SAMPLE_ID"),
        ("samples_of_the_study.tsv", "|S2|", "|NA|", "IDENTIFIER_MISSING", 8, "SAMPLE_ID"),
        ("samples_of_the_study.tsv", "Ångström|", "Ångström|x", "ROW_LENGTH", 11, None),
        ("data_clinical_patient.txt", "P-02|", "P-01|", "PATIENT_TWICE", 7, "PATIENT_ID"),
        ("clinical_sample.meta", "data_filename: s", "data_filename: ../s", "FILE_OUTSIDE", 4, "data_filename"),
        ("clinical_sample.meta", "data_filename: s", "data_filename: \x00s", "FILE_NAME_MALFORMED", 4, "data_filename"),
        ("clinical_sample.meta", "data_filename: s", "data_filename: /s", "FILE_OUTSIDE", 4, "data_filename"),
        ("clinical_sample.meta", "datatype: SAMPLE_ATTRIBUTES", "datatype:", "META_INCOMPLETE", None, "datatype"),
        ("meta_CNA.txt", "stable_id: gistic", "datatype: DISCRETE", "META_TWICE", 4, "datatype"),
        ("meta_CNA.txt", "stable_id: gistic", "stable_id", "META_MALFORMED", 4, None),
        ("meta_CNA.txt", "data_CNA", "none", "FILE_MISSING", None, None),
        ("mutations/variants.maf", "Hugo_Symbol", "hugo_symbol", "COLUMN_MISSING", 2, "Hugo_Symbol"),
        ("mutations/variants.maf", "SEQ_ID", "Chromosome", "COLUMN_TWICE", 2, "Chromosome"),
        ("mutations/variants.maf", "CDH1|999", "|999", "VALUE_MISSING", 15, "Hugo_Symbol"),
        ("mutations/variants.maf", "|9|27|", "|9.5|27|", "NUMBER_MALFORMED", 15, "t_alt_count"),
        ("mutations/variants.maf", "|12||48|", "|49||48|", "COUNTS_CONTRADICT", 7, "t_alt_count"),
        ("mutations/variants.maf", "|10|90|", "|10|-90|", "NUMBER_RANGE", 16, "t_ref_count"),
        ("mutations/variants.maf", "|16|68835600", "|16|68.8", "POSITION_MALFORMED", 15, "Start_Position"),
        ("mutations/variants.maf", "56177848|56177850", "56177851|56177850", "POSITION_RANGE", 14, "Start_Position"),
        ("mutations/variants.maf", "|Somatic|\nESR1", "|Somatic|x\nESR1", "ROW_LENGTH", 3, None),
        ("data_CNA.txt", "CCND1|595|11q13.3|1", "CCND1|595|11q13.3|3", "CNA_LEVEL", 8, "S1.prim"),
        ("data_CNA.txt", "CCND1|595", "PTEN|5728", "GENE_TWICE", 8, "Hugo_Symbol"),
        ("data_CNA.txt", "CCND1|595", "CCND1|11q", "ENTREZ_MALFORMED", 8, "Entrez_Gene_Id"),
        ("data_CNA.txt", "CCND1|595", "|", "VALUE_MISSING", 8, "Hugo_Symbol"),
        ("data_expression.txt", "7.25", "7,25", "NUMBER_MALFORMED", 2, "S1.prim"),
        ("data_expression.txt", "S4", "S2", "COLUMN_TWICE", 1, "S2"),
        ("data_expression.txt", "Entrez_Gene_Id", "Gene_Id", "COLUMN_MISSING", None, "Hugo_Symbol"),
        ("data_gene_panel_matrix.txt", "S4|LARGE", "S4|HUGE", "PANEL_MISSING", 6, "mutations"),
        ("data_gene_panel_matrix.txt", "S4|", "S3|", "SAMPLE_TWICE", 6, "SAMPLE_ID"),
        ("data_gene_panel_large.txt", "LARGE", "SMALL", "PANEL_TWICE", None, "stable_id"),
        ("gene_panels/small.txt", "gene_list:", "genes:", "PANEL_INCOMPLETE", None, "gene_list"),
        ("case_lists/cases_cna.txt", "case_list_ids", "ids", "CASE_LIST_INCOMPLETE", None, "case_list_ids"),
    ],
)  # fmt: skip
def test_each_fault_is_refused_by_code_file_line_and_column(copied, name, old, new, code, line, column):
    edit(copied / name, old, new)
    with pytest.raises(FileRefused) as refusal:
        read_cbioportal(copied)
    found = refusal.value
    expected_file = "none.txt" if code == "FILE_MISSING" else Path(name).name
    if code == "PANEL_TWICE":
        expected_file = "small.txt"
    assert (found.code, found.file, found.line, found.column) == (code, expected_file, line, column)
    assert str(copied) not in str(found)


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "record"),
    [
        ("samples_of_the_study.tsv", "#1|1|1|1|1|1|0|\r\n", "", "CLINICAL_HEADER", "3 lines"),
        ("samples_of_the_study.tsv", "NUMBER|TEXT|", "TEXT", "CLINICAL_HEADER_LENGTH", "line 3: 6 datatypes, 7 columns"),
    ],
)  # fmt: skip
def test_a_clinical_header_that_is_not_whole_leaves_text(copied, name, old, new, code, record):
    edit(copied / name, old, new)
    study = read_cbioportal(copied)
    assert study.samples["PURITY"].tolist()[3] == ".6"
    assert study.problems.set_index("CODE").loc[code, "RECORD"] == record


def test_without_a_case_list_na_in_the_matrix_means_not_sequenced_and_is_told(copied):
    (copied / "case_lists" / "cases_sequenced.txt").unlink()
    # S3 has variants all the same; S6 has none
    study = read_cbioportal(copied)
    sequenced = study.samples.set_index("SAMPLE_ID")["SEQUENCED"]
    assert sequenced["S3"] and sequenced["S5"] and not sequenced["S6"]
    told = study.problems[study.problems["CODE"] == "SEQUENCED_NO_PANEL"]["RECORD"].tolist()
    assert told == ["sample S3", "sample S6"]


def test_one_panel_for_all_may_be_named_by_the_meta_file(copied):
    (copied / "meta_gene_panel_matrix.txt").unlink()
    (copied / "data_gene_panel_matrix.txt").unlink()
    edit(copied / "meta_mutations_extended.txt", "show_profile", "gene_panel: SMALL\nshow_profile")
    study = read_cbioportal(copied)
    assert set(study.panels.values()) == {SMALL} and "S6" not in study.panels


def test_long_copy_number_with_a_missing_value_keeps_gene_and_sample(copied):
    edit(copied / "meta_CNA.txt", "datatype: DISCRETE", "datatype: DISCRETE_LONG")
    edit(copied / "meta_CNA.txt", "stable_id: gistic\n", "stable_id: cna\n")
    text = "Hugo_Symbol|Entrez_Gene_Id|Sample_Id|Value|cbp_driver\nPTEN|5728|S2|NA|\nPTEN|5728|S4|-2|\n|999|S2|1|\n"
    (copied / "data_CNA.txt").write_text(text.replace("|", "\t"))
    cna = read_cbioportal(copied).cna
    assert cna.index.tolist() == ["PTEN", "ENTREZ:999"] and cna.columns.tolist() == ["S2", "S4"]
    np.testing.assert_array_equal(cna.to_numpy(), [[NAN, -2], [1, NAN]])


NAMES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(NAMES),
    where=st.floats(0, 1),
    length=st.integers(0, 40),
    piece=st.sampled_from(
        [b"", b"\t", b"\n", b"\r", b"#", b'"', b"\xff", b"NA", b"1e999", b"-", b"\x00", b":", b"../"]
    ),
)
def test_a_mutilated_file_is_read_or_refused_and_nothing_else(tmp_path_factory, name, where, length, piece):
    copied = Path(shutil.copytree(FOLDER, tmp_path_factory.mktemp("cut") / "study"))
    content = (copied / name).read_bytes()
    place = int(where * len(content))
    (copied / name).write_bytes(content[:place] + piece + content[place + length :])
    try:
        read_cbioportal(copied)
    except FileRefused as refusal:
        assert re.fullmatch("[A-Z_]+", refusal.code) and str(copied) not in str(refusal)
