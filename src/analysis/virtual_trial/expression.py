"""Expression of the virtual trial: genes in correlated modules, a signature that goes with resistance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.virtual_trial import tumour_files


def draw_expression(
    samples: pd.DataFrame,
    patients: pd.DataFrame,
    panel_genes: list[str],
    rng: np.random.Generator,
    settings,
) -> pd.DataFrame:
    """Draw expression of the samples that have it.

    On the ln scale a value is the gene's level, plus the patient's module (loading) and the sample's own
    deviation, plus weight times planted effect times latent sensitivity for the genes of a planted signature.
    The genes of a signature are one module; those of no name are spread over all modules.

    Parameters
    ----------
    samples : DataFrame
        SAMPLE_ID, ROW (of its patient).
    patients : DataFrame
        SENSITIVITY, in the order of ROW.
    panel_genes : list of str
        Genes named after those of the signatures; further ones are called SIM001, ...
    rng : numpy.random.Generator
    settings : plan section ``virtual``

    Returns
    -------
    DataFrame
        Genes x samples, RSEM, 0 or positive; index Hugo_Symbol.
    """
    level, modules, signatures = (
        settings.expression_level,
        settings.expression_modules,
        settings.expression_signatures,
    )
    named = list(dict.fromkeys([*(gene for genes in signatures.values() for gene in genes), *panel_genes]))
    genes = gene_names(named, settings.expression_genes)
    measured = samples[rng.random(len(samples)) < settings.expression_share]
    shape = (len(genes), len(measured))
    row = measured["ROW"].to_numpy()
    module = _modules(genes, signatures, modules["count"], rng)
    factor = rng.standard_normal((modules["count"], len(patients)))[module][:, row]
    own = rng.standard_normal(shape)
    deviation = modules["loading"] * factor + np.sqrt(1 - modules["loading"] ** 2) * own
    mean = rng.normal(level["mean"], level["between"], len(genes))[:, None]
    sensitivity = patients["SENSITIVITY"].to_numpy()[row]
    planted = np.outer(_effects(genes, signatures, settings.expression_planted), sensitivity)
    value = np.exp(mean + level["within"] * deviation + planted)
    unnamed = ~np.isin(genes, named)
    silent = unnamed & (rng.random(len(genes)) < level["silent_genes"])
    off = silent[:, None] & (rng.random(shape) < level["silent_samples"])
    table = pd.DataFrame(np.where(off, 0.0, value), index=genes, columns=measured["SAMPLE_ID"].to_numpy())
    return table.rename_axis("Hugo_Symbol")


def gene_names(named: list[str], count: int) -> list[str]:
    """Return `count` genes: those with a name first, the others numbered."""
    return [*named, *(f"SIM{number:03d}" for number in range(1, count - len(named) + 1))][:count]


def _modules(genes: list[str], signatures: dict, count: int, rng) -> np.ndarray:
    module = rng.integers(count, size=len(genes))
    for number, members in enumerate(signatures.values()):
        module[np.isin(genes, list(members))] = number % count
    return module


def _effects(genes: list[str], signatures: dict, planted: dict[str, float]) -> np.ndarray:
    """Return the planted effect of each gene, ln per SD of latent sensitivity."""
    effect = pd.Series(0.0, index=genes)
    for name, size in planted.items():
        for gene, weight in signatures[name].items():
            effect[gene] += size * weight
    return effect.to_numpy()


def write_expression(levels: pd.DataFrame, folder: Path) -> None:
    """Write ``data_expression.txt``; nothing where no sample has expression."""
    if levels.shape[1]:
        tumour_files.write_table(levels.reset_index(), folder / "data_expression.txt", "%.2f")
