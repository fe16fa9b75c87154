"""A cBioPortal study written by hand, with the awkwardness of real ones."""

from __future__ import annotations

import pandas as pd
import pytest

# Written with '|' for a tab, so that the columns can be seen.
MINI_STUDY = {
    "meta_study.txt": "type_of_cancer: brca\ncancer_study_identifier: mini\nname: Mini\n"
    "description: By hand: small\n",
    "meta_clinical_sample.txt": "cancer_study_identifier: mini\ngenetic_alteration_type: CLINICAL\n"
    "datatype: SAMPLE_ATTRIBUTES\ndata_filename: clinical_samples.tsv\n",
    "clinical_samples.tsv": "#Patient|Sample|Type|Visit|Purity\n#Patient id|Sample id|Type|Visit|Share\n"
    "#STRING|STRING|STRING|STRING|NUMBER\n#1|1|1|1|1\n"
    "PATIENT_ID|SAMPLE_ID|SAMPLE_TYPE|VISIT|PURITY\n"
    "P1|P1-prim|Primary||0.4\n"
    "P1|P1-met|Metastatic|baseline|[Not Available]\n"
    "P1|P1-prog|Progression|PROG|0.5\n"
    "P2|P2-prim|primary||NA\n"
    "P3|P3-met|Metastasis||0.6\n"
    "P4|P4-odd|Cell line||0.9\n\n",
    "meta_clinical_patient.txt": "genetic_alteration_type: CLINICAL\ndatatype: PATIENT_ATTRIBUTES\n"
    "data_filename: data_clinical_patient.txt\n",
    "data_clinical_patient.txt": "#A|B\n#A|B\n#STRING|NUMBER\n#1|1\nPATIENT_ID|AGE\nP1|61\nP2|\nP3|70\n",
    "meta_mutations.txt": "genetic_alteration_type: MUTATION_EXTENDED\ndatatype: MAF\nstable_id: mutations\n"
    "data_filename: data_mutations.txt\n",
    "data_mutations.txt": "#version 2.4\n"
    "Hugo_Symbol|Chromosome|Start_Position|Variant_Classification|Tumor_Seq_Allele2|Tumor_Sample_Barcode"
    "|HGVSp_Short|t_alt_count|t_ref_count|Mutation_Status\n"
    "ESR1|6|152419926|Missense_Mutation|G|P1-met|p.D538G|30|70|Somatic\n"
    "ESR1|6|152419926|Missense_Mutation|G|P1-met|p.D538G|30|70|Somatic\n"
    "TP53|17|7577121|Silent|A|P1-met|p.R273R|10|90|Somatic\n"
    "PIK3CA|3|178952085|Missense_Mutation|G|P1-prim|p.H1047R|||Somatic\n"
    "PIK3CA|3|178952085|Missense_Mutation|G|P2-prim|p.H1047R|0|0|SOMATIC\n"
    "BRCA2|13|32913558|Frame_Shift_Del|-|P3-met|p.K1691fs|50|50|GERMLINE\n"
    "PTEN|10|89692905|Nonsense_Mutation|T|GHOST-1|p.R130*|5|95|Somatic\n"
    "KMT2C|7|151874147|Frame_Shift_Ins|AT|P1-prog|p.Q1|12|108|Somatic\n",
    "case_lists/cases_sequenced.txt": "cancer_study_identifier: mini\nstable_id: mini_sequenced\n"
    "case_list_name: Sequenced\ncase_list_ids: P1-prim|P1-met|P2-prim|P3-met\n",
    "meta_cna.txt": "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: DISCRETE\nstable_id: gistic\n"
    "data_filename: data_cna.txt\n",
    "data_cna.txt": "Hugo_Symbol|Entrez_Gene_Id|P1-met|P2-prim|GHOST-1\n"
    "FGFR1|2260|2|0|0\nPTEN|5728|-2|NA|0\n|999|0|1|0\n",
}


@pytest.fixture
def mini_study(tmp_path):
    """Write the mini study; a test may overwrite a file by ``write(name, text)``."""
    folder = tmp_path / "biomarkers"
    for name, text in MINI_STUDY.items():
        write_tabbed(folder / name, text)
    return folder


def write_tabbed(path, text, *, newline="\n", bom=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.replace("|", "\t").replace("\n", newline)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + content.encode())


@pytest.fixture(name="write")
def _write():
    return write_tabbed


PLASMA = """USUBJID,SAMPLEID,DRAWDT,VISIT,ASSAY,GENE,VARIANT,VAF,TUMOUR_FRACTION,RESULT,LOD
S-01-P1,P1-a,2020-01-01,D0,panel,ESR1,p.D538G,0.05,0.10,detected,0.001
S-01-P1,P1-a,2020-01-01,D0,panel,PIK3CA,p.H1047R,,,Not detected,0.001
S-01-P1,P1-b,2020-01-15,D14,panel,,,,,NOT_DETECTED,0.001
S-01-P2,P2-a,2020-01-30,D0,panel,,,,,not assessable,
S-01-P2,P2-b,2020-02-14,D14,panel,TP53,p.R273H,0.2,,Positive,0.001
S-01-P3,P3-a,2020-03-02,D0,panel,,,,,negative,0.001
S-01-P3,P3-b,2020-03-15,D14,panel,,,,,detected,0.001
S-01-P3,P3-c,2020-08-01,Progression,panel,,,,,detected,0.001
S-99-PX,PX-a,2020-03-15,D14,panel,,,,,detected,0.001
"""


@pytest.fixture
def plasma_file(tmp_path):
    path = tmp_path / "plasma.csv"
    path.write_text(PLASMA)
    return path


@pytest.fixture
def adsl():
    return pd.DataFrame(
        {
            "STUDYID": "S",
            "USUBJID": ["S-01-P1", "S-01-P2", "S-01-P3", "S-01-P4"],
            # P1 starts the day after its first draw; P3 on the day of its first draw (day 1).
            "TRTSDT": pd.to_datetime(["2020-01-02", "2020-02-01", "2020-03-02", None]),
        }
    )
