"""VCF files written by hand (VEP and SnpEff), expectations by hand and by the rules of vcf2maf."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.biomarkers.files.maf import consequences
from analysis.biomarkers.files.textfile import FileRefused
from analysis.biomarkers.files.vcf import read_vcf, trim_alleles

FOLDER = Path(__file__).parent / "data" / "vcf"
VEP, SNPEFF = FOLDER / "vep.vcf", FOLDER / "snpeff.vcf"
NAN = float("nan")


def rows_of(frame):
    return [
        tuple(None if value is None else value for value in row)
        for row in frame.drop(columns=["SAMPLE_ID", "STATUS"]).itertuples(index=False)
    ]


def test_a_vep_vcf_gives_the_tumour_variants_by_gene():
    variants = read_vcf(VEP)
    expected = [
        # the canonical transcript, not the worse stop of another; SYNE1 lies beside
        ("ESR1", "Missense_Mutation", "p.D538G", "6", "152419926", "G", 0.3, 100, "152419926", "A"),
        # two alternative alleles: AD 60, 30, 10
        ("PTEN", "Frame_Shift_Ins", "p.R130Tfs*4", "10", "89692904", "AC", 0.3, 100, "89692905", "-"),
        ("PTEN", "Frame_Shift_Ins", None, "10", "89692904", "T", 0.1, 100, "89692905", "-"),
        # PICK goes before canonical; without AD the fraction is AF, the depth DP
        ("BRCA2", "Intron", None, "13", "32913558", "-", 0.25, 48, "32913560", "CAA"),
        # only the second allele is in the genotype; codon of c.376: (376 + 1) / 3 = 125.7
        ("TP53", "Splice_Site", "p.X126_splice", "17", "7577500", "T", 0.25, 16, "7577500", "C"),
        ("PIK3CA", "Missense_Mutation", "p.H1047R", "3", "178952085", "G", NAN, NAN, "178952085", "A"),
    ]
    assert str(rows_of(variants.frame)) == str([(*row[:7], float(row[7]), *row[8:]) for row in expected])
    assert set(variants.frame["SAMPLE_ID"]) == {"T1"} and variants.frame["STATUS"].isna().all()
    told = dict(variants.problems[["CODE", "RECORD"]].itertuples(index=False, name=None))
    assert told == {
        "VCF_FILTERED": "1 records, filter germline",
        "VCF_NOT_CALLED": "1 alleles",
        "VCF_NO_COUNTS": "1 alleles",
        "VCF_SYMBOLIC": "1 alleles",
        "VCF_WITHOUT_GENE": "1 alleles",
    }


def test_a_snpeff_vcf_of_one_sample_with_varscan_depths():
    variants = read_vcf(SNPEFF)
    assert str(rows_of(variants.frame)) == str(
        [
            ("MAP3K1", "In_Frame_Del", "p.T939del", "5", "56177851", "-", 0.25, 24.0, "56177853", "ACA"),
            ("CDH1", "Nonsense_Mutation", "p.Q23*", "16", "68835600", "T", 0.25, 36.0, "68835600", "C"),
        ]
    )
    assert variants.problems.empty


def test_gzip_and_line_ends_change_nothing_and_the_tumour_may_be_named(tmp_path):
    text = VEP.read_text().replace("##tumor_sample=T1\n", "")
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(gzip.compress(text.replace("\n", "\r\n").encode()))
    assert read_vcf(path, sample="T1").frame.equals(read_vcf(VEP).frame)
    assert "ESR1" not in set(read_vcf(path, sample="N1").frame["GENE"])  # 0/0 in the normal


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "column"),
    [
        ("##fileformat=VCFv4.2\n", "", "HEADER_MISSING", 1, None),
        ("#CHROM", "CHROM", "HEADER_MISSING", 17, None),
        ("POS|ID", "ID|POS", "HEADER_MALFORMED", 17, "POS"),
        ("|N1|T1\n", "|T1|T1\n", "COLUMN_TWICE", 17, None),
        ('<ID=DP,Number=1,Type=Integer,Description="Depth">', "<ID=DP", "HEADER_MALFORMED", 7, None),
        ("<ID=AD,Number=R,", "<ID=AD,", "HEADER_MALFORMED", 5, "FORMAT"),
        ("##tumor_sample=T1\n", "", "TUMOUR_UNKNOWN", 16, None),
        ("##tumor_sample=T1", "##tumor_sample=T9", "TUMOUR_UNKNOWN", 17, None),
        ("ID=CSQ", "ID=XYZ", "NOT_ANNOTATED", None, "INFO"),
        ("~SYMBOL~", "~Gene~", "ANNOTATION_FORMAT", None, "CSQ"),
        ("|0/1:70,30:0.29:104\n", "\n", "ROW_LENGTH", 18, None),
        ("chr6|152419926", "chrX|152419926", "CONTIG_UNKNOWN", 18, "CHROM"),
        ("152419926", "152,419", "POSITION_MALFORMED", 18, "POS"),
        ("|.|A|G|.|PASS|DP", "|.|R|G|.|PASS|DP", "ALLELE_MALFORMED", 18, "REF"),
        ("|.|A|G|.|PASS|DP", "|.|A|G,|.|PASS|DP", "ALLELE_MALFORMED", 18, "ALT"),
        ("DP=150;", "DP=150;;", "INFO_MALFORMED", 18, "INFO"),
        ("DP=150;", "DP=;", "INFO_MALFORMED", 18, "INFO"),
        ("|A|G|.|PASS|DP", "|A|G|high|PASS|DP", "RECORD_MALFORMED", 18, None),
        (":70,30:", ":70,many:", "NUMBER_MALFORMED", 18, "AD"),
        (":70,30:", ":70,30,5:", "NUMBER_MALFORMED", 18, "AD"),
        (":70,30:", ":70,-30:", "NUMBER_RANGE", 18, "AD"),
        (":70,30:", ":70," + "9" * 400 + ":", "NUMBER_RANGE", 18, "AD"),
        ("0/1:0.25:48", "0/1:25:48", "NUMBER_RANGE", 20, "AF"),
        ("=G~missense_variant", "=G~misense_variant", "CONSEQUENCE_UNKNOWN", 18, "CSQ"),
        ("=G~missense_variant~MODERATE~ESR1", "=G~missense_variant", "ANNOTATION_FORMAT", 18, "CSQ"),
        ("CSQ=AC~", "CSQ=ACG~", "ANNOTATION_ALLELE", 19, "CSQ"),
    ],
)  # fmt: skip
def test_each_fault_is_refused_by_code_line_and_column(tmp_path, old, new, code, line, column):
    old, new = (text.replace("|", "\t").replace("~", "|") for text in (old, new))
    text = VEP.read_text()
    assert old in text
    if code == "ANNOTATION_FORMAT" and line:
        new = "=G|missense_variant"  # cut the entry short
        text = re.sub(r"=G\|missense_variant\|MODERATE\|ESR1[^,]*,", new + ",", text, count=1)
    else:
        text = text.replace(old, new, 1)
    path = tmp_path / "broken.vcf"
    path.write_text(text)
    with pytest.raises(FileRefused) as refusal:
        read_vcf(path)
    found = refusal.value
    assert (found.code, found.file, found.line, found.column) == (code, "broken.vcf", line, column)


def test_a_truncated_gzip_and_a_refusal_that_names_what_to_do(tmp_path):
    whole = gzip.compress(VEP.read_bytes())
    path = tmp_path / "cut.vcf.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileRefused, match=r"FILE_TRUNCATED: cut\.vcf\.gz: .*copy it again"):
        read_vcf(path)
    bare = tmp_path / "bare.vcf"
    bare.write_text(VEP.read_text().replace("ID=CSQ", "ID=OTHER"))
    with pytest.raises(FileRefused, match="annotate the file with VEP or SnpEff"):
        read_vcf(bare)


# vcf2maf: an insertion lies between start and end, deletions start at the first base that goes.
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((10, "A", "G"), (10, 10, "A", "G")),
        ((10, "AC", "GT"), (10, 11, "AC", "GT")),
        ((10, "A", "ATT"), (10, 11, "-", "TT")),
        ((10, "ATT", "A"), (11, 12, "TT", "-")),
        ((10, "ATT", "AG"), (11, 12, "TT", "G")),
    ],
)
def test_positions_are_those_of_a_maf(given, expected):
    assert trim_alleles(*given) == expected


def test_every_class_a_consequence_gives_is_one_the_format_knows():
    words = consequences()
    given_classes = set(words["terms"].values()) - {"frameshift", "by_length"}
    assert given_classes <= set(words["classes"])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    where=st.floats(0, 1),
    length=st.integers(0, 60),
    piece=st.sampled_from(
        ["", "\t", "\n", "=", ",", "<", ">", "|", "[", "é", "-1", ".", "##", "\x00", ":", "&", "]x:1]"]
    ),
)
def test_a_mutilated_vcf_is_read_or_refused_and_nothing_else(tmp_path_factory, where, length, piece):
    text = VEP.read_text()
    place = int(where * len(text))
    path = tmp_path_factory.mktemp("cut") / "cut.vcf"
    path.write_text(text[:place] + piece + text[place + length :])
    try:
        frame = read_vcf(path).frame
    except FileRefused:
        return
    assert ((frame["VAF"].isna()) | (frame["VAF"].between(0, 1))).all() and not np.isinf(frame["DEPTH"]).any()
