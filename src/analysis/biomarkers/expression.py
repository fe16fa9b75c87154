"""Expression of a study: scores of the plan's signatures, and one sample a patient for the screen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.adbm_tumour import assign_samples
from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.levels import estimate_levels, select_levels
from analysis.biomarkers.rows import Analysis, nothing
from analysis.biomarkers.screening import screen_expression
from analysis.biomarkers.signatures import score_signatures, select_expression, select_samples

WITHOUT = "the study has no expression file"


class Expression(NamedTuple):
    """What the expression file gave.

    Attributes
    ----------
    scores : DataFrame or None
        Samples x signatures, for `derive_adbm`.
    matrix : DataFrame or None
        Genes x subjects, one baseline sample each, log scale or z-scores.
    genes : DataFrame
        SIGNATURE, GENES, USED, MISSING.
    problems : DataFrame
        Columns of a query table without STEP.
    """

    scores: pd.DataFrame | None
    matrix: pd.DataFrame | None
    genes: pd.DataFrame
    problems: pd.DataFrame


def prepare_expression(study: CbioportalStudy | None, adsl: pd.DataFrame, *, rules=None) -> Expression:
    """Select one baseline sample with expression a subject, and score the plan's signatures over them.

    Parameters
    ----------
    study : CbioportalStudy or None
        As `read_cbioportal` returns.
    adsl : DataFrame
        Table adsl: USUBJID is read.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    if study is None or study.expression is None:
        nobody = pd.DataFrame(columns=["SIGNATURE", "GENES", "USED", "MISSING"])
        return Expression(None, None, nobody, pd.DataFrame(columns=PROBLEM_COLUMNS))
    chosen = select_samples(study, assign_samples(study, adsl, rules=rules).samples, rules=rules)
    scored = score_signatures(study, samples=chosen, rules=rules)
    matrix = select_expression(study, chosen, rules=rules)
    return Expression(scored.scores, matrix, scored.genes, scored.problems)


def estimate_signatures(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, rng: np.random.Generator, rules=None
) -> Analysis:
    """Relate the signature scores in adbm (PARTYPE SIGN) to every outcome; a family of their own."""
    rules = plan.defaults().biomarkers if rules is None else rules
    if preferred_rows(adbm, "SIGN", rules=rules).empty:
        return nothing(WITHOUT)
    scores = select_levels(adbm, "SIGN", rules=rules)
    samptype = ">".join(rules.sample_preference)
    labels = dict(analysis="signature", partype="SIGN", samptype=samptype, avisit=rules.baseline_visit)
    return estimate_levels(scores, outcomes, rng=rng, rules=rules, **labels)


def estimate_expression(
    expression: Expression, outcomes: pd.DataFrame, *, rng: np.random.Generator, rules=None
) -> Analysis:
    """Relate every expressed gene to every outcome (`screen_expression`), where the study has expression."""
    rules = plan.defaults().biomarkers if rules is None else rules
    if expression.matrix is None:
        return nothing(WITHOUT)
    labels = dict(samptype=">".join(rules.sample_preference), avisit=rules.baseline_visit)
    return screen_expression(expression.matrix, outcomes, rng=rng, rules=rules, **labels)
