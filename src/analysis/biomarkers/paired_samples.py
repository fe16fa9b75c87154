"""Primary tumour and metastasis of the same patient, gene by gene. Exploratory.

Direction: metastasis against primary, so that a ratio above 1 is more often altered in the metastasis.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from analysis import plan
from analysis.biomarkers.association import select_markers, tier_of
from analysis.biomarkers.effects import Effect
from analysis.biomarkers.multiplicity import bh
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.survival.agreement import kappa

PARTYPES = ("MUT", "CNA")
PAIR_COLUMNS = ["BOTH", "PRIMARY_ONLY", "METASTASIS_ONLY", "NEITHER", "NOT_ASSESSABLE"]
_COLUMNS = ["PARTYPE", "MARKER", "N", *PAIR_COLUMNS]
_NO_EFFECT = Effect(np.nan, np.nan, np.nan, np.nan)


def compare_samples(adbm: pd.DataFrame, *, rules=None) -> Analysis:
    """Compare the baseline primary with the metastasis of the same subject.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm. One sample of each kind a subject is taken, the first by identifier; the depth of a sample
        is not looked at, a gene off its panel is not assessable.
    rules : Section, optional
        The plan's section ``biomarkers``: ``paired_genes_max`` markers of each kind, the most often altered
        in either sample first; ``min_prevalence_n`` subjects with the alteration for a test.

    Returns
    -------
    Analysis
        `estimates`: for each marker McNemar's exact test with the ratio of discordant pairs (metastasis only
        to primary only) and Cohen's kappa; N pairs assessable in both, N_POS altered in the metastasis; Q_BH
        over the tested markers of one kind. `table`: PARTYPE MARKER N (pairs) BOTH PRIMARY_ONLY
        METASTASIS_ONLY NEITHER NOT_ASSESSABLE.

    References
    ----------
    McNemar Q. Psychometrika 1947;12:153-157; exact: the binomial of the discordant pairs.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows, counts = [], []
    for partype in PARTYPES:
        primary, metastasis = _pairs(adbm, partype, rules)
        found = _count_pairs(primary, metastasis, partype).head(rules.paired_genes_max)
        counts.append(found)
        compared = [_compare(row, rules) for row in found.to_dict("records")]
        rows += adjust_family([row for pair in compared for row in pair])
    table = pd.concat(counts, ignore_index=True)
    if table.empty:
        return nothing("no subject has a primary and a metastasis at baseline with an alteration", table)
    return Analysis(as_rows(rows), table)


def estimate_pair_ratio(only_late: int, only_early: int, *, alpha: float = 0.05) -> Effect:
    """Estimate the ratio of discordant pairs, late only to early only, with McNemar's exact test.

    Parameters
    ----------
    only_late, only_early : int
        Pairs with the alteration in one of the two samples alone. The ratio is 0 or infinite where one count
        is 0; all is missing where both are.
    alpha : float
        The exact (conditional, Clopper-Pearson) interval covers at least 1 - alpha.

    Examples
    --------
    R: ``binom.test(8, 10)`` has p 0.1094 and limits 0.4439 and 0.9748; p / (1 - p) of them:

    >>> ratio = estimate_pair_ratio(8, 2)
    >>> [round(value, 4) for value in ratio]
    [4.0, 0.7983, 38.6657, 0.1094]
    """
    discordant = only_late + only_early
    if discordant == 0:
        return _NO_EFFECT
    test = stats.binomtest(only_late, discordant)
    limits = test.proportion_ci(1 - alpha, method="exact")
    ratio = only_late / only_early if only_early else float("inf")
    return Effect(ratio, _odds(limits.low), _odds(limits.high), float(test.pvalue))


def _odds(share: float) -> float:
    return float(share / (1 - share)) if share < 1 else float("inf")


def pair_row(identity: dict, only_late: int, only_early: int, altered: int, rules) -> dict:
    """Return a McNemar row: tested if enough subjects have the alteration and a pair is discordant.

    Parameters
    ----------
    identity : dict
        What the row is about: columns of estimates_biomarkers.
    only_late, only_early, altered : int
        Pairs altered late only, early only, in either sample.
    rules : Section
        The plan's section ``biomarkers``.
    """
    note, effect = None, _NO_EFFECT
    if altered < rules.min_prevalence_n:
        note = f"listed, not tested: fewer than {rules.min_prevalence_n} subjects with the alteration"
    elif only_late + only_early == 0:
        note = "not estimable: no discordant pair"
    else:
        effect = estimate_pair_ratio(only_late, only_early, alpha=rules.interval_alpha)
    return {
        **identity,
        **{"METHOD": "mcnemar_exact", "STATISTIC": "odds_ratio"},
        **{name.upper(): value for name, value in effect._asdict().items()},
        **{"TESTED": "N" if note else "Y", "NOTE": join_notes(identity.get("NOTE"), note)},
    }


def adjust_family(rows: list[dict]) -> list[dict]:
    """Give the rows that were tested their Benjamini-Hochberg q-value; the rows are one family."""
    tested = [row for row in rows if row.get("TESTED") == "Y" and np.isfinite(row.get("P", np.nan))]
    for row, q in zip(tested, bh([row["P"] for row in tested])):
        row["Q_BH"] = float(q)
    return rows


def _pairs(adbm: pd.DataFrame, partype: str, rules) -> tuple[pd.DataFrame, pd.DataFrame]:
    kinds = [
        select_markers(adbm, partype=partype, samptypes=[kind], rules=rules)
        for kind in ("PRIMARY", "METASTASIS")
    ]
    subjects = kinds[0].index.intersection(kinds[1].index).sort_values()
    markers = kinds[0].columns.union(kinds[1].columns).sort_values()
    primary, metastasis = (kind.reindex(index=subjects, columns=markers) for kind in kinds)
    return primary, metastasis


def _count_pairs(primary: pd.DataFrame, metastasis: pd.DataFrame, partype: str) -> pd.DataFrame:
    """Count the pairs of each marker that is altered in any assessable pair, the most often altered first."""
    first, second = primary.to_numpy(float), metastasis.to_numpy(float)
    known = np.isfinite(first) & np.isfinite(second)
    early, late = known & (first == 1), known & (second == 1)
    counts = {
        "BOTH": early & late,
        "PRIMARY_ONLY": early & ~late,
        "METASTASIS_ONLY": late & ~early,
        "NEITHER": known & ~early & ~late,
        "NOT_ASSESSABLE": ~known,
    }
    table = pd.DataFrame({name: cells.sum(axis=0) for name, cells in counts.items()}).astype(int)
    table = table.assign(PARTYPE=partype, MARKER=primary.columns.to_numpy(), N=len(primary))[_COLUMNS]
    altered = table["BOTH"] + table["PRIMARY_ONLY"] + table["METASTASIS_ONLY"]
    order = table.assign(ALTERED=altered).sort_values(["ALTERED", "MARKER"], ascending=[False, True])
    return order[order["ALTERED"] > 0].drop(columns="ALTERED").reset_index(drop=True)


def _compare(row: dict, rules) -> list[dict]:
    both, early, late, neither = (row[name] for name in PAIR_COLUMNS[:4])
    identity = {
        **{"ANALYSIS": "paired_samples", "MARKER": row["MARKER"], "PARTYPE": row["PARTYPE"]},
        **{"SAMPTYPE": "METASTASIS", "AVISIT": rules.baseline_visit, "OUTCOME": "PRIMARY"},
        **{
            "N": both + early + late + neither,
            "N_POS": both + late,
            "TIER": tier_of(row["MARKER"], row["PARTYPE"], rules),
        },
        "NOTE": f"both {both}, metastasis only {late}, primary only {early}, neither {neither}",
    }
    return [pair_row(identity, late, early, both + early + late, rules), _kappa_row(identity, row, rules)]


def _kappa_row(identity: dict, row: dict, rules) -> dict:
    cells = [row[name] for name in PAIR_COLUMNS[:4]]
    primary, metastasis = np.repeat([1, 1, 0, 0], cells), np.repeat([1, 0, 1, 0], cells)
    found = kappa(primary, metastasis, alpha=rules.interval_alpha).iloc[0]
    note = None
    one_class = primary.min(initial=1) == primary.max(initial=0)
    one_class |= metastasis.min(initial=1) == metastasis.max(initial=0)
    if not np.isfinite(found["estimate"]):
        note = "not estimable: every sample is altered"
    elif one_class:
        # Kappa is then 0 by construction, and its standard error with it.
        note = "no interval: one of the two samples is the same in every pair"
        found = found.mask(found.index.isin(["lower", "upper"]))
    elif not np.isfinite(found["lower"]):
        note = "no interval: its standard error is 0"
    return {
        **identity,
        **{"METHOD": "cohen_kappa", "STATISTIC": "kappa"},
        **{name.upper(): float(found[name]) for name in ("estimate", "lower", "upper")},
        "TESTED": "Y" if np.isfinite(found["estimate"]) else "N",
        "NOTE": join_notes(identity["NOTE"], note),
    }
