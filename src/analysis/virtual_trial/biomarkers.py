"""Biomarkers of the virtual trial: which samples exist, which variants they hold, and the files of it all.

Primary, metastasis and biopsy at progression are separate samples of a patient; some do not exist. The
planted gene is mutated in whom the outcome model says so; all other genes and all copy numbers are drawn
independently of everything. Expression is in `expression`, plasma in `plasma_files`, how laboratories write
it in `tumour_files` and `vcf_file`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from analysis.virtual_trial import expression, plasma_files, tumour_files, vcf_file

SUFFIX = {"primary": "P", "metastasis": "M", "progression": "R"}
FAULT_COLUMNS = ["FAULT", "USUBJID", "VISIT", "SAMPLE_ID", "OTHER"]
# Parts drawn after everything else, each from a stream of its own: a new part is added at the end.
_LATER_PARTS = ("laboratory", "expression", "plasma", "vcf")


@lru_cache(maxsize=1)
def panel() -> dict[str, dict]:
    """Read the genes of the panel: gene -> entrez, chromosome and, where simulated, how it is mutated."""
    text = resources.files("analysis.virtual_trial").joinpath("panel.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def write_biomarkers(trial, folder: str | Path, rng: np.random.Generator, settings) -> pd.DataFrame:
    """Write the cBioPortal study files, the VCFs and ``plasma.csv`` of `trial`.

    Parameters
    ----------
    trial : VirtualTrial
    folder : path
        Made if absent.
    rng : numpy.random.Generator
        Its own draws come first, in an order that stays; later parts draw from children of it.
    settings : plan section ``virtual``

    Returns
    -------
    DataFrame
        What is untidy on purpose, for the truth folder: FAULT (SMALL PANEL, SHALLOW, SWAPPED, REPEATED,
        SECOND ASSAY), USUBJID, VISIT or SAMPLE_ID, OTHER (the patient whose tube it is).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mutated = draw_mutations(trial, rng, settings)
    samples = list_samples(trial, rng, settings)
    drawn = list_variants(samples, mutated, rng, settings)
    copies = draw_copy_numbers(samples, rng, settings)
    plasma = plasma_files.list_plasma(trial, drawn, rng, settings)
    later = dict(zip(_LATER_PARTS, rng.spawn(len(_LATER_PARTS))))
    samples = describe_sequencing(samples, later["laboratory"], settings)
    variants = seen_variants(drawn, samples, settings)
    levels = expression.draw_expression(samples, trial.patients, list(panel()), later["expression"], settings)
    patients = len(trial.patients)
    plasma, faults = plasma_files.add_faults(plasma, variants, patients, later["plasma"], settings)
    panels = panel_genes(settings)
    tumour_files.write_study(folder, trial, samples, expressed=list(levels.columns), panels=panels)
    tumour_files.write_table(tumour_files.as_maf(variants), folder / "data_mutations.txt")
    tumour_files.write_table(copies, folder / "data_cna.txt")
    expression.write_expression(levels, folder)
    vcf_file.write_vcfs(samples, variants, folder / "vcf", later["vcf"], settings)
    plasma_files.write_plasma(plasma, folder / "plasma.csv")
    return pd.concat([_sequencing_faults(samples, settings), faults])[FAULT_COLUMNS].reset_index(drop=True)


def draw_mutations(trial, rng: np.random.Generator, settings) -> pd.DataFrame:
    """Draw which genes each patient has mutated (patients x genes); the planted one is already drawn."""
    n = len(trial.patients)
    null = {gene: rng.random(n) < share for gene, share in settings.null_genes.items()}
    planted = trial.patients["MUTATED"].to_numpy(dtype=bool)
    return pd.DataFrame({settings.planted_gene: planted, **null})


def list_samples(trial, rng: np.random.Generator, settings) -> pd.DataFrame:
    """List the tumour samples: ROW USUBJID SAMPLE_ID KIND (primary, metastasis, progression) DAY."""
    n, share, days = len(trial.patients), settings.sample_share, settings.sample_days
    scanned = trial.scans[trial.scans["AVISIT"] == "PROG"].set_index("ROW")["DAY"]
    exists = {kind: rng.random(n) < share[kind] for kind in SUFFIX}
    exists["progression"] &= np.isin(np.arange(n), scanned.index)
    day = {
        "primary": -rng.integers(*days["primary"], n, endpoint=True),
        "metastasis": -rng.integers(*days["metastasis"], n, endpoint=True),
        "progression": scanned.reindex(range(n)).fillna(0).to_numpy() + days["progression"],
    }
    parts = [
        pd.DataFrame({"ROW": np.arange(n), "KIND": kind, "DAY": day[kind]})[exists[kind]] for kind in SUFFIX
    ]
    table = pd.concat(parts, ignore_index=True).sort_values("ROW", kind="stable", ignore_index=True)
    table["USUBJID"] = trial.patients["USUBJID"].to_numpy()[table["ROW"]]
    table["SAMPLE_ID"] = table["USUBJID"] + "-" + table["KIND"].map(SUFFIX)
    return table


def list_variants(samples: pd.DataFrame, mutated: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """List the variants that are in the samples: SAMPLE_ID ROW KIND GENE PROTEIN POSITION VAF DEPTH.

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
    names, reads = mutated.columns.to_numpy()[gene], settings.variant_reads
    choices = [panel()[name]["protein"] for name in names]
    row = samples["ROW"].to_numpy()[sample]
    chosen = [int(which[r, g] * len(proteins)) for r, g, proteins in zip(row, gene, choices)]
    facts = [panel()[name] for name in names]
    return pd.DataFrame(
        {
            "SAMPLE_ID": samples["SAMPLE_ID"].to_numpy()[sample],
            "ROW": row,
            "USUBJID": samples["USUBJID"].to_numpy()[sample],
            "KIND": kind[sample],
            "GENE": names,
            "PROTEIN": ["p." + proteins[i] for proteins, i in zip(choices, chosen)],
            # Codons that lie apart: two variants of a gene are not at one place.
            "POSITION": [panel()[name]["position"] + 3 * i for name, i in zip(names, chosen)],
            "VAF": np.clip(rng.beta(*reads["vaf_beta"], len(sample)), *reads["vaf_range"]),
            "DEPTH": rng.integers(*reads["depth"], len(sample), endpoint=True),
            **{key.upper(): [fact[key] for fact in facts] for key in ("entrez", "chromosome", "class")},
        }
    )


def draw_copy_numbers(samples: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Draw discrete copy numbers, genes x samples; a patient's alteration is in all her samples."""
    n = int(samples["ROW"].max()) + 1
    altered = {
        gene: (rng.random(n) < share) * level for gene, (share, level) in settings.copy_number_genes.items()
    }
    table = pd.DataFrame({"Hugo_Symbol": list(altered)})
    table["Entrez_Gene_Id"] = table["Hugo_Symbol"].map(lambda gene: panel()[gene]["entrez"])
    values = np.array(list(altered.values()))[:, samples["ROW"]]
    return pd.concat([table, pd.DataFrame(values, columns=samples["SAMPLE_ID"])], axis=1)


def describe_sequencing(samples: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Add what the laboratory did with each sample: PANEL, COVERAGE (reads) and SHALLOW."""
    n, depth, small = len(samples), settings.sample_coverage, settings.panel_small
    old = (samples["KIND"] == "primary").to_numpy() & (rng.random(n) < small["share"])
    shallow = rng.random(n) < depth["shallow_share"]
    level = np.where(shallow, depth["shallow"], depth["median"])
    coverage = np.maximum(np.round(level * np.exp(depth["sd"] * rng.standard_normal(n))), 1).astype(int)
    name = np.where(old, small["name"], settings.panel_full)
    return samples.assign(PANEL=name, COVERAGE=coverage, SHALLOW=shallow)


def panel_genes(settings) -> dict[str, list[str]]:
    """Return the genes of each panel: its name -> genes, sorted."""
    return {
        settings.panel_full: sorted(panel()),
        settings.panel_small["name"]: sorted(settings.panel_small["genes"]),
    }


def seen_variants(variants: pd.DataFrame, samples: pd.DataFrame, settings) -> pd.DataFrame:
    """Return the variants a laboratory reports: on the sample's panel, and with the reads a caller needs."""
    rules, of_sample = settings.sample_coverage, samples.set_index("SAMPLE_ID")
    own = of_sample.loc[variants["SAMPLE_ID"]]
    covered = [
        gene in genes
        for gene, genes in zip(variants["GENE"], own["PANEL"].map(panel_genes(settings)).to_numpy())
    ]
    share = np.where(own["SHALLOW"], own["COVERAGE"] / rules["median"], 1.0)
    depth = np.maximum(np.round(variants["DEPTH"] * share), 1).astype(int)
    reads = np.round(variants["VAF"] * depth).astype(int)
    kept = variants.assign(DEPTH=depth, READS=reads)
    return kept[np.array(covered, dtype=bool) & (reads >= rules["called_reads"])].reset_index(drop=True)


def _sequencing_faults(samples: pd.DataFrame, settings) -> pd.DataFrame:
    small = samples[samples["PANEL"] == settings.panel_small["name"]].assign(FAULT="SMALL PANEL")
    shallow = samples[samples["SHALLOW"]].assign(FAULT="SHALLOW")
    return pd.concat([small, shallow]).reindex(columns=FAULT_COLUMNS)
