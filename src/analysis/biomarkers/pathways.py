"""Pathways of the plan: altered when one of their genes is, in the direction that drives them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.association import preferred_rows

# Kind of row that tells whether an alteration is there.
_KIND = {"MUTATED": "MUT", "AMPLIFIED": "CNA", "DELETED": "CNA"}
_ASSESSED = ("MUTATED", "WT", "AMPLIFIED", "DELETED", "NEUTRAL")


def select_pathways(adbm: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Select one baseline tumour sample a subject and tell which pathways are altered in it.

    Altered (1): a gene of the pathway is altered in a direction the plan lists for it; one finding is enough,
    whatever else is unknown. Not altered (0): every alteration of the pathway that the study assesses at all,
    by mutation or by copy number, was assessed in this sample. Else NaN: a sample without its copy number
    shows no amplification, which does not make it wild type where other samples have theirs.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm. The sample is the preferred sequenced one; one with copy number alone where none is
        sequenced.
    rules : Section, optional
        The plan's section ``biomarkers``: ``pathways``.

    Returns
    -------
    DataFrame
        Subjects x pathways, in the order of the plan; a pathway of which the study assesses nothing is left
        out.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows = _one_sample(adbm, rules)
    subjects = pd.Index(sorted(rows["USUBJID"].unique()), name="USUBJID")
    columns = {}
    for name, genes in rules.pathways.items():
        listed = [(gene, word) for gene, words in genes.items() for word in words]
        findings = [found for gene, word in listed if (found := _finding(rows, gene, word)) is not None]
        if findings:
            table = pd.concat(findings, axis=1).reindex(subjects).to_numpy(float)
            altered, assessed = (table == 1).any(axis=1), np.isfinite(table).all(axis=1)
            columns[name] = np.where(altered, 1.0, np.where(assessed, 0.0, np.nan))
    return pd.DataFrame(columns, index=subjects).rename_axis(columns="MARKER")


def _one_sample(adbm: pd.DataFrame, rules) -> pd.DataFrame:
    sequenced, copied = (preferred_rows(adbm, kind, rules=rules) for kind in ("MUT", "CNA"))
    alone = copied[~copied["USUBJID"].isin(sequenced["USUBJID"])]
    chosen = pd.concat([sequenced["SAMPLEID"], alone["SAMPLEID"]]).unique()
    kept = adbm["SAMPLEID"].isin(chosen) & adbm["PARTYPE"].isin(set(_KIND.values()))
    return adbm.loc[kept, ["USUBJID", "PARAMCD", "PARTYPE", "AVALC"]]


def _finding(rows: pd.DataFrame, gene: str, word: str) -> pd.Series | None:
    """Return 1, 0, NaN by subject for one alteration; None where no sample was assessed for it."""
    own = rows[(rows["PARAMCD"] == gene) & (rows["PARTYPE"] == _KIND[word])].set_index("USUBJID")["AVALC"]
    found = own.eq(word).astype(float).where(own.isin(_ASSESSED))
    return found.rename(f"{gene} {word}") if found.notna().any() else None
