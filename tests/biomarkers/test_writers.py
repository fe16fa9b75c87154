"""What is written reads back as it was, and twice the same bytes are written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.biomarkers import read_cbioportal
from analysis.biomarkers.files.maf import read_maf
from analysis.biomarkers.files.vcf import read_vcf
from analysis.biomarkers.files.writers import write_cbioportal, write_maf

DATA = Path(__file__).parent / "data"
ABOUT = {"name": "Written", "description": "By hand: and back", "identifier": "written_2020"}


@pytest.fixture(scope="module")
def study():
    return read_cbioportal(DATA / "awkward_study")


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_study_reads_back_as_it_was_written(study, tmp_path):
    # values a float only tells with all its digits
    expression = study.expression * (1 / 3)
    written = replace(study, expression=expression)
    back = read_cbioportal(write_cbioportal(written, tmp_path / "a", **ABOUT))
    for name in ("patients", "samples", "mutations", "cna", "expression"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(written, name), check_exact=True)
    assert back.panels == study.panels and back.expression_unit == study.expression_unit
    # what is left to tell: the study's own peculiarities, no fault of the files
    assert set(back.problems["CODE"]) == {
        *("COLUMN_CASE", "PATIENT_WITHOUT_ROW", "PATIENT_WITHOUT_SAMPLE"),
        *("VARIANT_CLASS_UNKNOWN", "VARIANT_OFF_PANEL"),
    }


def test_two_writes_give_the_same_bytes_with_line_feeds_only(study, tmp_path):
    first = bytes_of(write_cbioportal(study, tmp_path / "a", **ABOUT))
    assert first == bytes_of(write_cbioportal(study, tmp_path / "b", **ABOUT))
    assert not any(b"\r" in content for content in first.values())
    again = read_cbioportal(tmp_path / "a")
    assert first == bytes_of(write_cbioportal(again, tmp_path / "c", **ABOUT))


def test_the_files_are_those_the_format_asks_for(study, tmp_path):
    folder = write_cbioportal(study, tmp_path / "a", **ABOUT)
    header = (folder / "data_clinical_sample.txt").read_text().split("\n")[:5]
    assert [line[0] for line in header] == ["#", "#", "#", "#", "P"]
    assert header[2] == "#STRING\tSTRING\tSTRING\tSTRING\tNUMBER\tNUMBER\tSTRING"
    assert (folder / "data_mutations.txt").read_text().startswith("#version 2.4\nHugo_Symbol\t")
    sequenced = (folder / "case_lists" / "cases_sequenced.txt").read_text().split("\n")
    assert sequenced[1] == "stable_id: written_2020_sequenced"
    assert sequenced[-2] == "case_list_ids: S1.prim\tS1.met\tS2\tS3\tS4\tS5"
    matrix = (folder / "data_gene_panel_matrix.txt").read_text().split("\n")
    assert matrix[:4] == ["SAMPLE_ID\tmutations", "S1.prim\tPANEL_2", "S1.met\tPANEL_1", "S2\tNA"]


def test_a_study_of_samples_alone_is_a_study(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data_clinical_sample.txt").write_text("PATIENT_ID\tSAMPLE_ID\nA\tT1\n")
    study = read_cbioportal(tmp_path / "in")
    back = read_cbioportal(write_cbioportal(study, tmp_path / "out", **ABOUT))
    pd.testing.assert_frame_equal(back.samples, study.samples)
    assert back.mutations.empty and back.cna is None and back.panels == {}


def test_variants_of_a_vcf_keep_fraction_and_depth_in_a_maf(tmp_path):
    frame = read_vcf(DATA / "vcf" / "vep.vcf").frame
    frame.loc[0, ["VAF", "DEPTH"]] = [0.123456789, 100.0]  # no whole number of reads
    frame.loc[1, "DEPTH"] = np.nan
    back = read_maf(write_maf(frame, tmp_path / "a.maf")).frame
    pd.testing.assert_frame_equal(back, frame, check_exact=True)


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "NA", " x", '"x"', "#x"])
def test_what_would_not_come_back_is_not_written(study, tmp_path, value):
    mutations = study.mutations.copy()
    mutations.loc[0, "GENE"] = value
    with pytest.raises(ValueError, match="TEXT_UNWRITABLE: column Hugo_Symbol"):
        write_maf(mutations, tmp_path / "a.maf")


def test_a_folder_with_files_is_not_written_into(study, tmp_path):
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(ValueError, match="FOLDER_NOT_EMPTY"):
        write_cbioportal(study, tmp_path, **ABOUT)
    with pytest.raises(ValueError, match="IDENTIFIER_MALFORMED"):
        write_cbioportal(study, tmp_path / "new", **{**ABOUT, "identifier": "a b"})
