"""Expression signatures: weighted mean of the genes' z-scores over one baseline sample a patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy


class SignatureScores(NamedTuple):
    """Scores of signatures and what they rest on.

    Attributes
    ----------
    scores : DataFrame
        Samples x signatures; NaN where a signature, or a sample, has too few of the genes.
    genes : DataFrame
        SIGNATURE, GENES (in the plan), USED (in the file, with spread), MISSING (names).
    problems : DataFrame
        Columns of a query table without STEP: signatures that are not scored.
    """

    scores: pd.DataFrame
    genes: pd.DataFrame
    problems: pd.DataFrame


def score_signatures(
    study: CbioportalStudy, *, samples: Iterable[str] | None = None, rules=None
) -> SignatureScores:
    """Score the plan's signatures as the weighted mean of z-scores, weights divided by their absolute sum.

    Z-scores (standard deviation with n - 1) are taken over the samples given and over nobody else: give one
    baseline sample a patient, else patients with several weigh more. A score is relative to these samples,
    and not comparable with that of another study.

    Parameters
    ----------
    study : CbioportalStudy
        As `read_cbioportal` returns.
    samples : iterable of str, optional
        SAMPLE_ID of the samples that enter; all of the file if None. One that the file lacks is left out.
    rules : Section, optional
        The plan's section ``biomarkers``: ``signatures``, ``signature_min_share``.

    Returns
    -------
    SignatureScores
        A signature is scored where the file holds at least ``signature_min_share`` of its genes with spread,
        a sample where it has a value for at least that share.
    """
    from analysis.biomarkers.adbm import transform_expression

    rules = plan.defaults().biomarkers if rules is None else rules
    matrix = (
        pd.DataFrame(dtype=float) if study.expression is None else transform_expression(study, rules=rules)
    )
    wanted = list(matrix.columns) if samples is None else list(dict.fromkeys(samples))
    matrix = matrix[[name for name in wanted if name in matrix.columns]]
    scores, genes, problems = {}, [], []
    for name, weights in rules.signatures.items():
        z = _standardise(matrix.loc[matrix.index.isin(list(weights))])
        missing = [gene for gene in weights if gene not in z.index]
        genes.append((name, len(weights), len(z), ", ".join(missing)))
        scores[name] = _weighted_mean(z, pd.Series(weights, dtype=float), rules.signature_min_share)
        if len(z) < rules.signature_min_share * len(weights) and study.expression is not None:
            problems.append(_too_few(name, missing, len(weights)))
    return SignatureScores(
        pd.DataFrame(scores, index=matrix.columns, dtype=float).rename_axis("SAMPLE_ID"),
        pd.DataFrame(genes, columns=["SIGNATURE", "GENES", "USED", "MISSING"]),
        pd.DataFrame(problems, columns=PROBLEM_COLUMNS).astype(object),
    )


def select_samples(study: CbioportalStudy, samples: pd.DataFrame, *, rules=None) -> pd.Series:
    """Select one baseline sample with expression a subject, by preferred type, then by identifier.

    Parameters
    ----------
    study : CbioportalStudy
        As `read_cbioportal` returns.
    samples : DataFrame
        USUBJID, SAMPLE_ID, SAMPTYPE, AVISIT of its samples, as `assign_samples` gives.
    rules : Section, optional
        The plan's section ``biomarkers``: ``baseline_visit``, ``sample_preference``.

    Returns
    -------
    Series
        SAMPLE_ID, index USUBJID, sorted.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    held = [] if study.expression is None else list(study.expression.columns)
    rank = samples["SAMPTYPE"].map({name: place for place, name in enumerate(rules.sample_preference)})
    kept = samples.assign(RANK=rank)[samples["SAMPLE_ID"].isin(held) & rank.notna()]
    kept = kept[kept["AVISIT"] == rules.baseline_visit].sort_values(["USUBJID", "RANK", "SAMPLE_ID"])
    return kept.drop_duplicates("USUBJID").set_index("USUBJID")["SAMPLE_ID"]


def select_expression(study: CbioportalStudy, samples: pd.Series, *, rules=None) -> pd.DataFrame:
    """Return expression, genes x subjects, of one sample a subject (as `select_samples` chose them)."""
    from analysis.biomarkers.adbm import transform_expression

    if study.expression is None:
        return pd.DataFrame(columns=samples.index, dtype=float)
    return transform_expression(study, rules=rules)[list(samples)].set_axis(samples.index, axis=1)


def _standardise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return z-scores of the genes that vary; a gene named twice is taken at its first row."""
    single = rows[~rows.index.duplicated()].astype(float)
    deviation = single.std(axis=1, ddof=1)
    kept = deviation > 0
    return single[kept].sub(single[kept].mean(axis=1), axis=0).div(deviation[kept], axis=0)


def _weighted_mean(z: pd.DataFrame, weights: pd.Series, min_share: float) -> pd.Series:
    own = weights.reindex(z.index)
    known = z.notna()
    total = known.mul(own.abs(), axis=0).sum()
    score = z.mul(own, axis=0).sum() / total.where(total > 0)
    return score.where(known.sum() >= max(1.0, min_share * len(weights))).astype(float)


def _too_few(name: str, missing: list[str], genes: int) -> tuple:
    found = f"{genes - len(missing)} of its {genes} genes are in the file with spread: not scored"
    action = f"add the genes, or take the signature out of the plan; missing: {', '.join(missing)}"
    return ("SIGNATURE_GENES", "warning", None, "expression", f"signature {name}", found, action)
