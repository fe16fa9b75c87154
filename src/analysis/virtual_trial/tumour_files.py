"""The cBioPortal study folder of the virtual trial: clinical, MAF and panel files, meta files, case lists.

Format: "File Formats" of the cBioPortal documentation. Copy numbers come from a whole-genome array, so the
panel matrix has no panel for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STUDY = "pearl_virtual"
SAMPLE_TYPE = {"primary": "Primary", "metastasis": "Metastasis", "progression": "Metastasis"}
_PATIENT_COLUMNS = {"PATIENT_ID": "STRING", "SEX": "STRING", "AGE": "NUMBER"}
_SAMPLE_COLUMNS = {
    "PATIENT_ID": "STRING",
    "SAMPLE_ID": "STRING",
    "SAMPLE_TYPE": "STRING",
    "VISIT": "STRING",
    "COLLECTION_DAY": "NUMBER",
    "SAMPLE_COVERAGE": "NUMBER",
}


def write_study(
    folder: Path, trial, samples: pd.DataFrame, *, expressed: list[str], panels: dict[str, list[str]]
) -> None:
    """Write everything of the study folder but the data of mutations, copy number and expression.

    Parameters
    ----------
    folder : path
        Exists.
    trial : VirtualTrial
    samples : DataFrame
        As `biomarkers.describe_sequencing` returns.
    expressed : list of str
        Samples with expression.
    panels : dict
        Gene panel -> genes.
    """
    since = samples["DAY"].astype(int)
    patients = trial.patients.assign(PATIENT_ID=trial.patients["USUBJID"], SEX="Female")
    files = samples.assign(
        PATIENT_ID=samples["USUBJID"],
        SAMPLE_TYPE=samples["KIND"].map(SAMPLE_TYPE),
        VISIT=np.where(samples["KIND"] == "progression", "PROG", "D0"),
        COLLECTION_DAY=since + (since >= 0),  # a study day: first dose is day 1, there is no day 0
        SAMPLE_COVERAGE=samples["COVERAGE"],
    )
    _write_clinical(patients, _PATIENT_COLUMNS, folder / "data_clinical_patient.txt")
    _write_clinical(files, _SAMPLE_COLUMNS, folder / "data_clinical_sample.txt")
    for name, lines in _metas(bool(expressed)).items():
        _write_lines(lines, folder / name)
    everyone = list(samples["SAMPLE_ID"])
    lists = {"sequenced": everyone, "cna": everyone, "rna_seq_mrna": expressed}
    _write_case_lists({kind: names for kind, names in lists.items() if names}, folder / "case_lists")
    _write_panels(samples, panels, folder)


def _write_lines(lines: dict[str, str], path: Path) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in lines.items())
    path.write_text(text, encoding="utf-8")


def _write_case_lists(lists: dict[str, list[str]], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for kind, names in lists.items():
        head = {
            "cancer_study_identifier": STUDY,
            "stable_id": f"{STUDY}_{kind}",
            "case_list_name": f"Samples with {kind} data",
            "case_list_description": f"Samples with {kind} data",
            "case_list_ids": "\t".join(names),
        }
        _write_lines(head, folder / f"cases_{kind}.txt")


def _write_panels(samples: pd.DataFrame, panels: dict[str, list[str]], folder: Path) -> None:
    """Write which panel each sample was sequenced with, and the genes of each panel."""
    matrix = samples[["SAMPLE_ID"]].assign(mutations=samples["PANEL"], gistic="NA")
    write_table(matrix, folder / "data_gene_panel_matrix.txt")
    home = folder / "gene_panels"
    home.mkdir(exist_ok=True)
    for name, genes in panels.items():
        lines = {
            "stable_id": name,
            "description": f"Targeted sequencing of {len(genes)} genes (simulated)",
            "gene_list": "\t".join(genes),
        }
        _write_lines(lines, home / f"data_gene_panel_{name.lower()}.txt")


def _metas(with_expression: bool) -> dict[str, dict[str, str]]:
    study = {"cancer_study_identifier": STUDY}
    clinical = study | {"genetic_alteration_type": "CLINICAL"}
    profiles = {
        "mutations": ("MUTATION_EXTENDED", "MAF", "mutations", "Mutations"),
        "cna": ("COPY_NUMBER_ALTERATION", "DISCRETE", "gistic", "Copy number"),
        "expression": ("MRNA_EXPRESSION", "CONTINUOUS", "rna_seq_mrna", "Expression (RSEM)"),
    }
    if not with_expression:
        del profiles["expression"]
    matrix = {"genetic_alteration_type": "GENE_PANEL_MATRIX", "datatype": "GENE_PANEL_MATRIX"}
    return {
        "meta_study.txt": {
            "type_of_cancer": "brca",
            **study,
            "name": "PEARL (virtual trial)",
            "description": "Simulated",
        },
        "meta_clinical_patient.txt": clinical
        | {"datatype": "PATIENT_ATTRIBUTES", "data_filename": "data_clinical_patient.txt"},
        "meta_clinical_sample.txt": clinical
        | {"datatype": "SAMPLE_ATTRIBUTES", "data_filename": "data_clinical_sample.txt"},
        "meta_gene_panel_matrix.txt": study | matrix | {"data_filename": "data_gene_panel_matrix.txt"},
        **{f"meta_{name}.txt": study | _profile_meta(name, *facts) for name, facts in profiles.items()},
    }


def _profile_meta(name: str, alteration: str, datatype: str, stable_id: str, title: str) -> dict[str, str]:
    return {
        "genetic_alteration_type": alteration,
        "datatype": datatype,
        "stable_id": stable_id,
        "show_profile_in_analysis_tab": "true",
        "profile_name": title,
        "profile_description": "Simulated",
        "data_filename": f"data_{name}.txt",
    }


def as_maf(variants: pd.DataFrame) -> pd.DataFrame:
    """Return the variants as a MAF; an inserted or deleted base is ``-`` on the other side."""
    deletion, insertion = variants["CLASS"].str.endswith("Del"), variants["CLASS"].str.endswith("Ins")
    return pd.DataFrame(
        {
            "Hugo_Symbol": variants["GENE"],
            "Entrez_Gene_Id": variants["ENTREZ"],
            "Center": "VIRTUAL",
            "NCBI_Build": "GRCh37",
            "Chromosome": variants["CHROMOSOME"],
            "Start_Position": variants["POSITION"],
            "End_Position": variants["POSITION"] + insertion,
            "Strand": "+",
            "Variant_Classification": variants["CLASS"],
            "Variant_Type": np.where(deletion, "DEL", np.where(insertion, "INS", "SNP")),
            "Reference_Allele": np.where(insertion, "-", "C"),
            "Tumor_Seq_Allele1": np.where(insertion, "-", "C"),
            "Tumor_Seq_Allele2": np.where(deletion, "-", "T"),
            "Tumor_Sample_Barcode": variants["SAMPLE_ID"],
            "Mutation_Status": "Somatic",
            "HGVSp_Short": variants["PROTEIN"],
            "t_alt_count": variants["READS"],
            "t_ref_count": variants["DEPTH"] - variants["READS"],
        }
    )


def _write_clinical(frame: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    """Write a clinical file with its four comment lines: names, descriptions, types, priorities."""
    names = [name.replace("_", " ").capitalize() for name in columns]
    head = [names, names, list(columns.values()), ["1"] * len(columns)]
    text = "".join("#" + "\t".join(line) + "\n" for line in head)
    body = frame[list(columns)].to_csv(sep="\t", index=False, lineterminator="\n")
    path.write_text(text + body, encoding="utf-8")


def write_table(frame: pd.DataFrame, path: Path, float_format: str | None = None) -> None:
    """Write a tab-separated file whose bytes depend on the values alone."""
    frame.to_csv(path, sep="\t", index=False, lineterminator="\n", float_format=float_format)
