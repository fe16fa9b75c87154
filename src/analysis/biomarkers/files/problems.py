"""What a reader of tumour files set aside or read otherwise: codes, their severity, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

PROBLEM_COLUMNS = ["CODE", "SEVERITY", "USUBJID", "DOMAIN", "RECORD", "MESSAGE", "ACTION"]

# code -> (severity, what was found, what to do)
PROBLEMS = {
    # --- files of a study folder
    "META_MISSING": ("note", "no meta file; the data file was taken by its usual name", "add the meta file"),
    "LAYER_ABSENT": ("note", "the study has no such file", "what needs it is not run"),
    "FILE_UNUSED": ("note", "a file of a kind that is not used here", "nothing, if that is meant"),
    "FILE_UNREFERENCED": ("note", "no meta file names this data file; not read", "add its meta file"),
    "PROFILE_CHOSEN": (
        "warning",
        "several files of one kind; the one named is read, the others are not",
        "take away the meta files of the others, if another one is meant",
    ),
    "STUDY_DIFFERS": (
        "warning",
        "cancer_study_identifier is not that of the other files; the file is used",
        "check that the file belongs to this study",
    ),
    # --- clinical files
    "CLINICAL_HEADER": (
        "warning",
        "not the 4 header comment lines of the format; all columns are read as text",
        "add the lines: names, descriptions, datatypes, priorities",
    ),
    "CLINICAL_HEADER_LENGTH": (
        "warning",
        "the line of datatypes is not as long as the header; all columns are read as text",
        "give every column a datatype",
    ),
    "CLINICAL_TYPE": ("warning", "no datatype of the format; read as text", "STRING, NUMBER or BOOLEAN"),
    "COLUMN_CASE": ("note", "a column name not in upper case; kept as it is", "use upper case"),
    "COLUMN_REPLACED": (
        "note",
        "a column SEQUENCED of the study's own; replaced by what case lists and panels say",
        "give it another name",
    ),
    "NUMBER_CENSORED": ("note", "a number with < or >; missing here", "nothing, if that is meant"),
    "PATIENT_WITHOUT_ROW": ("warning", "has a sample, but no row among the patients; is used", "add the row"),
    "PATIENT_WITHOUT_SAMPLE": ("note", "a patient without a tumour sample", "nothing, if that is meant"),
    # --- samples and genes of data files
    "SAMPLE_UNKNOWN": (
        "error",
        "values of a sample that the sample file does not name; set aside",
        "add the sample or mend its identifier",
    ),
    "GENE_TWICE": ("warning", "the same gene again with the same values; set aside", "remove one line"),
    "GENE_AMBIGUOUS": (
        "error",
        "one symbol with several Entrez identifiers; the rows are kept as ENTREZ:<identifier>",
        "mend the symbols",
    ),
    "CNA_OFF_PANEL": (
        "warning",
        "levels of genes that the panel of the sample does not hold; taken as not assessed",
        "check the panel of the sample",
    ),
    "CNA_UNLISTED": (
        "warning",
        "has copy numbers, but is not in the case list of them; is used",
        "add it to the list",
    ),
    # --- variants
    "VARIANT_TWICE": ("warning", "the same variant of the same sample again; set aside", "remove one line"),
    "VARIANT_INTERGENIC": (
        "note",
        "gene Unknown with Entrez identifier 0: between genes; set aside",
        "nothing",
    ),
    "VARIANT_CLASS_UNKNOWN": (
        "warning",
        "a Variant_Classification that the format does not know; does not make a gene mutated",
        "mend the spelling",
    ),
    "VARIANT_OFF_PANEL": (
        "warning",
        "a variant of a gene that the panel of the sample does not hold; is used",
        "check the panel of the sample",
    ),
    "ALLELE_AMBIGUOUS": (
        "note",
        "both tumour alleles differ from the reference; Tumor_Seq_Allele2 is taken",
        "leave Tumor_Seq_Allele1 empty where it is not known",
    ),
    # --- what was sequenced
    "SEQUENCED_ASSUMED": (
        "warning",
        "no case list of sequenced samples; all samples are taken as sequenced",
        "add case_lists/cases_sequenced.txt",
    ),
    "SEQUENCED_UNLISTED": (
        "warning",
        "has variants, but is not in the case list of sequenced samples; is taken as sequenced",
        "add it to the list",
    ),
    "SEQUENCED_NO_PANEL": (
        "note",
        "its panel is NA and no case list says that it was sequenced; taken as not sequenced",
        "add it to the case list if it was",
    ),
    "SEQUENCED_LISTS_DIFFER": (
        "warning",
        "a case list says that the sample was sequenced, the list of sequenced samples does not; taken as "
        "sequenced",
        "mend the lists",
    ),
    "PANEL_UNKNOWN": (
        "warning",
        "sequenced, but without a row in the panel matrix; taken as assessed for every gene of the file",
        "add its row",
    ),
    "CASE_LIST_UNKNOWN": ("note", "a case list of no documented kind; not used", "nothing"),
    # --- VCF
    "VCF_FILTERED": ("note", "records that did not pass a filter; set aside", "nothing"),
    "VCF_SYMBOLIC": ("note", "symbolic, break-end or empty alternative alleles; set aside", "nothing"),
    "VCF_NOT_CALLED": ("note", "alleles that the tumour's genotype does not hold; set aside", "nothing"),
    "VCF_WITHOUT_GENE": ("note", "alleles without an annotation in a gene; set aside", "nothing"),
    "VCF_NO_COUNTS": (
        "warning",
        "variants without AD or AF of the tumour; no allele fraction",
        "export the VCF with AD",
    ),
    "VCF_DIFFERS": (
        "warning",
        "a protein-changing variant that MAF and VCF tell differently; the MAF is used",
        "find out which is right",
    ),
    "VCF_ADDED": ("note", "the MAF does not have this sample; its variants come from the VCF", "nothing"),
}


@dataclass
class Notes:
    """A growing list of problems."""

    rows: list[tuple] = field(default_factory=list)

    def add(self, code: str, file: str, *, record: str | None = None, patient: str | None = None) -> None:
        """Add a problem of a file: `record` says where in it, `patient` of whom."""
        severity, message, action = PROBLEMS[code]
        self.rows.append((code, severity, patient, file, record, message, action))

    def frame(self) -> pd.DataFrame:
        """Return the problems with the columns of a query table without STEP."""
        return pd.DataFrame(self.rows, columns=PROBLEM_COLUMNS).astype(object)
