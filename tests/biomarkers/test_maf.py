"""Plain MAF files and folders of tumour files: one reader, the same frame and refusals."""

import gzip
import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.biomarkers import FileRefused, read_cbioportal
from analysis.biomarkers.files.maf import read_maf
from analysis.biomarkers.files.tumour_folder import read_tumour_folder

DATA = Path(__file__).parent / "data"
# GDC style: version line, comments, chr prefix, columns of its own.
GDC = """#version gdc-1.0.0
#filedate 20200101
Hugo_Symbol|Entrez_Gene_Id|NCBI_Build|Chromosome|Start_Position|End_Position|Variant_Classification|Reference_Allele|Tumor_Seq_Allele1|Tumor_Seq_Allele2|Tumor_Sample_Barcode|HGVSp_Short|t_depth|t_ref_count|t_alt_count|callers
ESR1|2099|GRCh38|chr6|152098791|152098791|Missense_Mutation|A|A|G|T1|p.D538G|100|70|30|muse*
TP53|7157|GRCh38|chr17|7577500|7577500|Splice_Site|C|C|T|T1|p.X126_splice|16|12|4|mutect2
TP53|7157|GRCh38|chr17|7675088|7675088|Missense_Mutation|C|C|T|T2|p.R175H|50|25|25|mutect2
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tumour"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("|", "\t"))
    return path


def test_a_plain_maf_gives_the_frame_of_a_study_folder(tmp_path):
    found = read_maf(put(tmp_path / "a.maf", GDC))
    assert found.frame.columns.tolist() == read_cbioportal(DATA / "awkward_study").mutations.columns.tolist()
    assert found.frame[["CHROMOSOME", "GENE", "VAF", "DEPTH"]].values.tolist() == [
        ["6", "ESR1", 0.3, 100.0],
        ["17", "TP53", 0.25, 16.0],
        ["17", "TP53", 0.5, 50.0],
    ]
    assert found.problems.empty
    packed = tmp_path / "a.maf.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.maf").read_bytes()))
    pd.testing.assert_frame_equal(read_maf(packed).frame, found.frame)


def test_a_plain_maf_is_refused_as_in_a_study_folder(tmp_path):
    broken = GDC.replace("|100|70|30|", "|20|70|30|")
    with pytest.raises(FileRefused, match=r"COUNTS_CONTRADICT: a\.maf, line 4, column t_alt_count"):
        read_maf(put(tmp_path / "a.maf", broken))
    quoted = GDC.replace("|ESR1", "|").replace("ESR1|", '"ESR1"|')
    with pytest.raises(FileRefused, match=r"FIELD_QUOTED: a\.maf, line 4, column Hugo_Symbol"):
        read_maf(put(tmp_path / "a.maf", quoted))
    (tmp_path / "b.maf.gz").write_bytes(b"not gzip")
    with pytest.raises(FileRefused, match=r"FILE_TRUNCATED: b\.maf\.gz"):
        read_maf(tmp_path / "b.maf.gz")


def test_no_folder_and_no_tumour_files_are_no_fault(folder):
    assert read_tumour_folder(folder) is None
    put(folder / "plasma.csv", "a,b\n1,2\n")
    assert read_tumour_folder(folder) is None


def test_a_study_folder_is_read_as_one():
    study = read_tumour_folder(DATA / "awkward_study")
    pd.testing.assert_frame_equal(study.mutations, read_cbioportal(DATA / "awkward_study").mutations)


def test_plain_files_with_a_sheet_are_a_study(folder):
    put(folder / "cohort.maf", GDC)
    put(
        folder / "samples.csv",
        "SAMPLE_ID,PATIENT_ID,SAMPLE_TYPE,FILE\nT1,A,Primary,\nT2,B,Metastasis,\n"
        "T3,C,Primary,\nT4,D,Primary,one.vcf\n",
    )
    (folder / "vcf").mkdir()
    shutil.copy(DATA / "vcf" / "snpeff.vcf", folder / "vcf" / "one.vcf")
    study = read_tumour_folder(folder)
    assert study.samples.columns.tolist() == ["SAMPLE_ID", "PATIENT_ID", "SAMPLE_TYPE", "SEQUENCED"]
    assert study.samples["SEQUENCED"].all() and study.patients["PATIENT_ID"].tolist() == ["A", "B", "C", "D"]
    assert study.mutations["SAMPLE_ID"].tolist() == ["T1", "T1", "T2", "T4", "T4"]
    # T3 has no variant in the MAF, and nothing says that it was sequenced
    told = study.problems[["CODE", "RECORD"]].values.tolist()
    assert told == [["SEQUENCED_ASSUMED", "sample T3"]]
    assert study.cna is None and study.panels == dict.fromkeys(["T1", "T2", "T3", "T4"])


def test_only_samples_with_a_vcf_are_sequenced_where_there_is_no_maf(folder):
    put(folder / "samples.csv", "SAMPLE_ID,PATIENT_ID\nT1,A\nT2,B\n")
    shutil.copy(DATA / "vcf" / "vep.vcf", folder / "run7.vcf")  # its column T1 is the sample
    study = read_tumour_folder(folder)
    assert study.samples["SEQUENCED"].tolist() == [True, False] and set(study.mutations["SAMPLE_ID"]) == {
        "T1"
    }


@pytest.mark.parametrize(
    ("sheet", "files", "message"),
    [
        (None, ["x.vcf"], "SAMPLES_MISSING: tumour: MAF or VCF files need the sheet"),
        ("SAMPLE_ID,PATIENT\nT1,A\n", ["x.vcf"], r"COLUMN_MISSING: samples\.csv, line 1, column PATIENT_ID"),
        ("SAMPLE_ID,PATIENT_ID\nT1,A\nT1,B\n", ["x.vcf"], r"SAMPLE_TWICE: samples\.csv, line 3"),
        ("SAMPLE_ID,PATIENT_ID\nT8,A\n", ["x.vcf"], r"FILE_SAMPLE_UNKNOWN: x\.vcf"),
        ("SAMPLE_ID,PATIENT_ID\nT1,A\n", ["x.vcf", "T1.vcf"], r"FILE_TWICE: x\.vcf: sample T1"),
        ("SAMPLE_ID,PATIENT_ID,FILE\nT1,A,y.vcf\n", ["x.vcf"], r"FILE_MISSING: samples\.csv, line 2, column FILE"),
        ("SAMPLE_ID,PATIENT_ID\nT8,A\n", ["x.maf"], r"SAMPLES_UNKNOWN: x\.maf"),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_tell_whose_files_they_are_is_refused(folder, sheet, files, message):
    folder.mkdir()
    if sheet:
        (folder / "samples.csv").write_text(sheet)
    for name in files:
        content = GDC.replace("|", "\t") if name.endswith("maf") else (DATA / "vcf" / "vep.vcf").read_text()
        (folder / name).write_text(content)
    with pytest.raises(FileRefused, match=message):
        read_tumour_folder(folder)


def test_vcf_files_beside_a_study_add_samples_or_are_compared(folder):
    put(folder / "data_clinical_sample.txt", "PATIENT_ID|SAMPLE_ID\nA|T1\nB|T2\nC|only\n")
    put(folder / "data_mutations.txt", GDC)
    put(folder / "case_lists" / "s.txt", "stable_id: x_sequenced\ncase_list_ids: T1|T2\n")
    (folder / "vcf").mkdir()
    for name in ("vep.vcf", "snpeff.vcf"):
        shutil.copy(DATA / "vcf" / name, folder / "vcf" / name)
    study = read_tumour_folder(folder)
    assert study.samples["SEQUENCED"].all()
    added = study.mutations[study.mutations["SAMPLE_ID"] == "only"]
    assert added["GENE"].tolist() == ["MAP3K1", "CDH1"] and len(study.mutations) == 5
    told = study.problems[study.problems["CODE"].isin(["VCF_ADDED", "VCF_DIFFERS"])]
    assert told["RECORD"].tolist() == [
        "sample T1, ESR1 6:152098791 A>G: only in the MAF",
        "sample T1, ESR1 6:152419926 A>G: only in the VCF",
        "sample T1, PIK3CA 3:178952085 A>G: only in the VCF",
        "sample T1, PTEN 10:89692904 ->AC: only in the VCF",
        "sample T1, PTEN 10:89692904 ->T: only in the VCF",
        "sample only, 2 variants",
    ]
