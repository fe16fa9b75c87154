"""Biomarker files of the virtual trial: a cBioPortal study folder and a long table of serial plasma.

Primary, metastasis and biopsy at progression are separate samples of a patient; some do not exist. The
planted gene is mutated in whom the outcome model says so; all other genes and all copy numbers are drawn
independently of everything.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

STUDY = "pearl_virtual"
SUFFIX = {"primary": "P", "metastasis": "M", "progression": "R"}
SAMPLE_TYPE = {"primary": "Primary", "metastasis": "Metastasis", "progression": "Metastasis"}


@lru_cache(maxsize=1)
def panel() -> dict[str, dict]:
    """Read the genes of the panel: gene -> entrez, chromosome, position, class, protein changes."""
    text = resources.files("analysis.virtual_trial").joinpath("panel.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def write_biomarkers(trial, folder: str | Path, rng: np.random.Generator, settings) -> None:
    """Write the cBioPortal study files and ``plasma.csv`` of `trial`.

    Parameters
    ----------
    trial : VirtualTrial
    folder : path
        Made if absent.
    rng : numpy.random.Generator
    settings : plan section ``virtual``
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mutated = draw_mutations(trial, rng, settings)
    samples = list_samples(trial, rng, settings)
    variants = list_variants(samples, mutated, rng, settings)
    _write_study(folder, trial, samples)
    _write_table(_maf(variants), folder / "data_mutations.txt")
    _write_table(_copy_numbers(samples, rng, settings), folder / "data_cna.txt")
    plasma = list_plasma(trial, variants, rng, settings)
    plasma.to_csv(
        folder / "plasma.csv", index=False, lineterminator="\n", float_format="%.5g", date_format="%Y-%m-%d"
    )


def draw_mutations(trial, rng: np.random.Generator, settings) -> pd.DataFrame:
    """Draw which genes each patient has mutated (patients x genes); the planted one is already drawn."""
    n = len(trial.patients)
    null = {gene: rng.random(n) < share for gene, share in settings.null_genes.items()}
    planted = trial.patients["MUTATED"].to_numpy(dtype=bool)
    return pd.DataFrame({settings.planted_gene: planted, **null})


def list_samples(trial, rng: np.random.Generator, settings) -> pd.DataFrame:
    """List the tumour samples: ROW USUBJID SAMPLE_ID KIND (primary, metastasis, progression) DAY."""
    n, share = len(trial.patients), settings.sample_share
    scanned = trial.scans[trial.scans["AVISIT"] == "PROG"].set_index("ROW")["DAY"]
    exists = {kind: rng.random(n) < share[kind] for kind in SUFFIX}
    exists["progression"] &= np.isin(np.arange(n), scanned.index)
    day = {
        "primary": -rng.integers(400, 3000, n),
        "metastasis": -rng.integers(3, 15, n),
        "progression": scanned.reindex(range(n)).fillna(0).to_numpy() + 1,
    }
    parts = [
        pd.DataFrame({"ROW": np.arange(n), "KIND": kind, "DAY": day[kind]})[exists[kind]] for kind in SUFFIX
    ]
    table = pd.concat(parts, ignore_index=True).sort_values("ROW", kind="stable", ignore_index=True)
    table["USUBJID"] = trial.patients["USUBJID"].to_numpy()[table["ROW"]]
    table["SAMPLE_ID"] = table["USUBJID"] + "-" + table["KIND"].map(SUFFIX)
    return table


def list_variants(samples: pd.DataFrame, mutated: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """List the variants of every sample: SAMPLE_ID ROW KIND GENE PROTEIN POSITION VAF DEPTH.

    A patient has one variant a gene, the same in all her samples, unless it was missed, is late (not yet in
    the primary) or acquired (only at progression).
    """
    n, genes = mutated.shape
    which = rng.random((n, genes))
    kind = samples["KIND"].to_numpy()
    present = mutated.to_numpy()[samples["ROW"]] & (
        rng.random((len(samples), genes)) >= settings.variant_missed
    )
    for gene, share in settings.late_genes.items():
        late = (kind == "primary") & (rng.random(len(samples)) >= share)
        present[late, mutated.columns.get_loc(gene)] = False
    for gene, share in settings.acquired_genes.items():
        gained = (kind == "progression") & (rng.random(len(samples)) < share)
        present[gained, mutated.columns.get_loc(gene)] = True
    sample, gene = np.nonzero(present)
    names = mutated.columns.to_numpy()[gene]
    choices = [panel()[name]["protein"] for name in names]
    row = samples["ROW"].to_numpy()[sample]
    chosen = [int(which[r, g] * len(proteins)) for r, g, proteins in zip(row, gene, choices)]
    return pd.DataFrame(
        {
            "SAMPLE_ID": samples["SAMPLE_ID"].to_numpy()[sample],
            "ROW": row,
            "KIND": kind[sample],
            "GENE": names,
            "PROTEIN": ["p." + proteins[i] for proteins, i in zip(choices, chosen)],
            "POSITION": [panel()[name]["position"] + 3 * i for name, i in zip(names, chosen)],
            "VAF": np.clip(rng.beta(4, 10, len(sample)), 0.05, 0.9),
            "DEPTH": rng.integers(150, 900, len(sample)),
        }
    )


def _maf(variants: pd.DataFrame) -> pd.DataFrame:
    facts = variants["GENE"].map(panel())
    alternative = np.round(variants["VAF"] * variants["DEPTH"]).astype(int)
    kind = facts.map(lambda gene: gene["class"])
    deletion, insertion = kind.str.endswith("Del"), kind.str.endswith("Ins")
    return pd.DataFrame(
        {
            "Hugo_Symbol": variants["GENE"],
            "Entrez_Gene_Id": facts.map(lambda gene: gene["entrez"]),
            "Center": "VIRTUAL",
            "NCBI_Build": "GRCh37",
            "Chromosome": facts.map(lambda gene: gene["chromosome"]),
            "Start_Position": variants["POSITION"],
            "End_Position": variants["POSITION"] + insertion,
            "Strand": "+",
            "Variant_Classification": kind,
            "Variant_Type": np.where(deletion, "DEL", np.where(insertion, "INS", "SNP")),
            "Reference_Allele": np.where(insertion, "-", "C"),
            "Tumor_Seq_Allele1": np.where(insertion, "-", "C"),
            "Tumor_Seq_Allele2": np.where(deletion, "-", "T"),
            "Tumor_Sample_Barcode": variants["SAMPLE_ID"],
            "Mutation_Status": "Somatic",
            "HGVSp_Short": variants["PROTEIN"],
            "t_alt_count": alternative,
            "t_ref_count": variants["DEPTH"] - alternative,
        }
    )


def _copy_numbers(samples: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Discrete copy numbers, genes x samples; a patient's alteration is in all her samples."""
    n = int(samples["ROW"].max()) + 1
    altered = {
        gene: (rng.random(n) < share) * level for gene, (share, level) in settings.copy_number_genes.items()
    }
    table = pd.DataFrame({"Hugo_Symbol": list(altered)})
    table["Entrez_Gene_Id"] = table["Hugo_Symbol"].map(lambda gene: panel()[gene]["entrez"])
    values = np.array(list(altered.values()))[:, samples["ROW"]]
    return pd.concat([table, pd.DataFrame(values, columns=samples["SAMPLE_ID"])], axis=1)


def list_plasma(trial, variants: pd.DataFrame, rng: np.random.Generator, settings) -> pd.DataFrame:
    """List serial plasma: a row a draw and variant of the baseline tumour, one row where there is none.

    Returns
    -------
    DataFrame
        USUBJID VISIT DRAWDT ASSAY GENE VARIANT VAF TUMOR_FRACTION STATUS (DETECTED, NOT DETECTED, NOT
        ASSESSABLE) LOD. A draw is detected when one of its variants is; a failed assay is never negative.
    """
    draws = _draws(trial, rng, settings)
    tracked = variants[variants["KIND"] != "progression"].drop_duplicates(["ROW", "GENE"])[
        ["ROW", "GENE", "PROTEIN"]
    ]
    tracked = tracked[tracked.groupby("ROW").cumcount() < 3]
    rows = draws.merge(tracked, on="ROW", how="left", validate="many_to_many")
    first = ~rows.duplicated(["ROW", "VISIT"])
    expected = rows["TUMOR_FRACTION"] / 2 * np.exp(0.3 * rng.standard_normal(len(rows)))
    # An allele fraction: no more than every copy carries the variant.
    vaf = np.minimum(np.maximum(expected, np.where(first, 1.2 * settings.ctdna_lod, 0.0)), 1.0)
    found = (rows["RESULT"] == "DETECTED") & (vaf >= settings.ctdna_lod)
    status = rows["RESULT"].mask((rows["RESULT"] == "DETECTED") & ~found, "NOT DETECTED")
    # An assay without a variant to follow reports the tumour fraction alone.
    return pd.DataFrame(
        {
            "USUBJID": rows["USUBJID"],
            "VISIT": rows["VISIT"],
            "DRAWDT": rows["DRAWDT"],
            "ASSAY": "TARGETED PANEL",
            "GENE": rows["GENE"],
            "VARIANT": rows["PROTEIN"],
            "VAF": pd.Series(vaf).where(found & rows["GENE"].notna()),
            "TUMOR_FRACTION": rows["TUMOR_FRACTION"],
            "STATUS": status,
            "LOD": settings.ctdna_lod,
        }
    )


def _draws(trial, rng, settings) -> pd.DataFrame:
    """One row a draw: baseline, D14, D28, every twelve weeks until progression, and at progression."""
    patients = trial.patients
    n = len(patients)
    last = patients[["DEATH_DAY", "LOST_DAY", "EXTRACT_DAY"]].min(axis=1).to_numpy()
    progression = patients["PD_DAY"].fillna(np.inf).to_numpy()
    step = 7 * settings.plasma_interval_weeks
    later = [
        (f"W{settings.plasma_interval_weeks * k}", step * k) for k in range(1, int(last.max() // step) + 1)
    ]
    parts = [_draw(visit, day, n) for visit, day in (("D0", -1), ("D14", 13), ("D28", 27), *later)]
    parts.append(_draw("PROG", np.where(np.isfinite(progression), progression + 3, 1e6), n))
    table = pd.concat(parts, ignore_index=True).sort_values(["ROW", "DAY"], kind="stable", ignore_index=True)
    row, visit = table["ROW"].to_numpy(), table["VISIT"]
    kept = (table["DAY"] < last[row]) & ((table["DAY"] < progression[row]) | (visit == "PROG"))
    attended = (rng.random(len(table)) < 0.9) | visit.isin(["D0", "D14", "D28"])
    table = table[kept & attended].reset_index(drop=True)
    row = table["ROW"].to_numpy()
    table["USUBJID"] = patients["USUBJID"].to_numpy()[row]
    start = patients["TRTSDT"].iloc[row].reset_index(drop=True)
    table["DRAWDT"] = start + pd.to_timedelta(table["DAY"].astype(int), unit="D")
    return _call(table, patients, rng, settings)


def _draw(visit: str, day, n: int) -> pd.DataFrame:
    return pd.DataFrame({"ROW": np.arange(n), "VISIT": visit, "DAY": np.broadcast_to(day, n)})


def _call(table: pd.DataFrame, patients: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Give each draw its result and, where detected, its tumour fraction around the patient's own level."""
    row, visit = table["ROW"].to_numpy(), table["VISIT"]
    detected = rng.random(len(table)) < np.where(visit == "PROG", 0.85, 0.5)
    for early in ("D0", "D14", "D28"):
        planted = patients[f"CTDNA_{early}"].to_numpy(dtype=bool)[row]
        detected = np.where(visit == early, planted, detected)
    failed = rng.random(len(table)) < settings.ctdna_not_assessable
    level = rng.normal(np.log(settings.ctdna_fraction_median), 0.7, len(patients))[row]
    shift = visit.map({"D0": 0.3, "D14": -0.2, "D28": -0.2, "PROG": 0.6}).fillna(0.0)
    resistance = -0.25 * patients["SENSITIVITY"].to_numpy()[row] * (visit != "D0")
    fraction = np.exp(level + shift + resistance + 0.3 * rng.standard_normal(len(table)))
    fraction = np.clip(fraction, 3 * settings.ctdna_lod, 0.8)
    result = np.where(failed, "NOT ASSESSABLE", np.where(detected, "DETECTED", "NOT DETECTED"))
    return table.assign(RESULT=result, TUMOR_FRACTION=np.where(result == "DETECTED", fraction, np.nan))


# ---------------------------------------------------------------- cBioPortal files

_PATIENT_COLUMNS = {"PATIENT_ID": "STRING", "SEX": "STRING", "AGE": "NUMBER"}
_SAMPLE_COLUMNS = {
    "PATIENT_ID": "STRING",
    "SAMPLE_ID": "STRING",
    "SAMPLE_TYPE": "STRING",
    "VISIT": "STRING",
    "COLLECTION_DAY": "NUMBER",
}


def _write_study(folder: Path, trial, samples: pd.DataFrame) -> None:
    patients = trial.patients.assign(PATIENT_ID=trial.patients["USUBJID"], SEX="Female")
    files = samples.assign(
        PATIENT_ID=samples["USUBJID"],
        SAMPLE_TYPE=samples["KIND"].map(SAMPLE_TYPE),
        VISIT=np.where(samples["KIND"] == "progression", "PROG", "D0"),
        COLLECTION_DAY=samples["DAY"].astype(int),
    )
    _write_clinical(patients, _PATIENT_COLUMNS, folder / "data_clinical_patient.txt")
    _write_clinical(files, _SAMPLE_COLUMNS, folder / "data_clinical_sample.txt")
    for name, lines in _metas().items():
        text = "".join(f"{key}: {value}\n" for key, value in lines.items())
        (folder / name).write_text(text, encoding="utf-8")
    lists = folder / "case_lists"
    lists.mkdir(exist_ok=True)
    for kind in ("sequenced", "cna"):
        head = {
            "cancer_study_identifier": STUDY,
            "stable_id": f"{STUDY}_{kind}",
            "case_list_name": f"Samples with {kind} data",
            "case_list_description": f"Samples with {kind} data",
            "case_list_ids": "\t".join(samples["SAMPLE_ID"]),
        }
        text = "".join(f"{key}: {value}\n" for key, value in head.items())
        (lists / f"cases_{kind}.txt").write_text(text, encoding="utf-8")


def _metas() -> dict[str, dict[str, str]]:
    study = {"cancer_study_identifier": STUDY}
    clinical = study | {"genetic_alteration_type": "CLINICAL"}
    profile = {"show_profile_in_analysis_tab": "true"}
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
        "meta_mutations.txt": study
        | {"genetic_alteration_type": "MUTATION_EXTENDED", "datatype": "MAF", "stable_id": "mutations"}
        | profile
        | {
            "profile_name": "Mutations",
            "profile_description": "Simulated",
            "data_filename": "data_mutations.txt",
        },
        "meta_cna.txt": study
        | {"genetic_alteration_type": "COPY_NUMBER_ALTERATION", "datatype": "DISCRETE", "stable_id": "gistic"}
        | profile
        | {
            "profile_name": "Copy number",
            "profile_description": "Simulated",
            "data_filename": "data_cna.txt",
        },
    }


def _write_clinical(frame: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    """Write a clinical file with its four comment lines: names, descriptions, types, priorities."""
    names = [name.replace("_", " ").capitalize() for name in columns]
    head = [names, names, list(columns.values()), ["1"] * len(columns)]
    text = "".join("#" + "\t".join(line) + "\n" for line in head)
    body = frame[list(columns)].to_csv(sep="\t", index=False, lineterminator="\n")
    path.write_text(text + body, encoding="utf-8")


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, sep="\t", index=False, lineterminator="\n")
