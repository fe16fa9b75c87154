"""Signatures by hand: z-scores over the samples that enter, weights, genes that are missing."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.files.cbioportal import CbioportalStudy
from analysis.biomarkers.signatures import score_signatures, select_expression, select_samples

SIGNATURES = {"UP": {"A": 1, "B": 1}, "BOTH": {"A": 2, "C": -1}, "ABSENT": {"X": 1, "Y": 1, "A": 1}}


@pytest.fixture
def rules():
    return plan.defaults().override({"biomarkers.signatures": SIGNATURES}).biomarkers


def study(matrix, unit="LOG2-VALUE"):
    """Return a study with expression alone."""
    nothing = pd.DataFrame()
    return CbioportalStudy(nothing, nothing, nothing, None, matrix, nothing, expression_unit=unit)


MATRIX = pd.DataFrame(
    {"s1": [1.0, 10, 3], "s2": [2.0, 30, 3], "s3": [3.0, 20, 6], "other": [99.0, 99, 99]}, index=list("ABC")
)


def test_a_score_is_the_weighted_mean_of_z_scores_over_the_samples_given(rules):
    # by hand (R: scale): A: -1, 0, 1; B: -1, 1, 0; C: mean 4, sd 1.7320508: -.5773503, -.5773503, 1.1547005
    found = score_signatures(study(MATRIX), samples=["s1", "s2", "s3"], rules=rules)
    np.testing.assert_allclose(found.scores["UP"], [-1, 0.5, 0.5])
    c = np.array([-0.5773503, -0.5773503, 1.1547005])
    np.testing.assert_allclose(found.scores["BOTH"], (2 * np.array([-1, 0, 1]) - c) / 3, atol=1e-7)
    assert list(found.scores.index) == ["s1", "s2", "s3"]


def test_who_else_is_in_the_file_changes_nothing(rules):
    some = score_signatures(study(MATRIX), samples=["s1", "s2", "s3"], rules=rules).scores
    alone = score_signatures(study(MATRIX[["s1", "s2", "s3"]]), rules=rules).scores
    pd.testing.assert_frame_equal(some, alone)
    every = score_signatures(study(MATRIX), rules=rules).scores
    assert not np.allclose(every.loc[["s1", "s2", "s3"], "UP"], some["UP"])


def test_a_signature_with_too_few_genes_is_not_scored_and_is_a_problem(rules):
    found = score_signatures(study(MATRIX), rules=rules)
    assert found.scores["ABSENT"].isna().all()
    assert found.problems["CODE"].tolist() == ["SIGNATURE_GENES"]
    assert "missing: X, Y" in found.problems["ACTION"].iloc[0]
    assert found.genes.set_index("SIGNATURE").loc["ABSENT", ["GENES", "USED"]].tolist() == [3, 1]


def test_a_gene_without_spread_does_not_count_and_a_sample_without_values_has_no_score(rules):
    flat = score_signatures(study(MATRIX.assign(other=2.0).replace({"B": 1})), rules=rules)
    assert flat.scores["UP"].notna().all()
    matrix = MATRIX.copy()
    matrix.loc["B"] = 5.0
    found = score_signatures(study(matrix), samples=["s1", "s2", "s3"], rules=rules)
    np.testing.assert_allclose(found.scores["UP"], [-1, 0, 1])  # A alone, half of the genes
    matrix["s1"] = np.nan
    found = score_signatures(study(matrix), samples=["s1", "s2", "s3"], rules=rules)
    assert np.isnan(found.scores.loc["s1", "UP"]) and found.scores.loc["s2", "UP"] == pytest.approx(
        -np.sqrt(0.5)
    )


def test_values_are_logged_first_where_the_file_holds_none(rules):
    raw = 2.0**MATRIX - 1
    logged = score_signatures(study(raw, "CONTINUOUS"), rules=rules).scores
    pd.testing.assert_frame_equal(logged, score_signatures(study(MATRIX), rules=rules).scores)


def test_a_study_without_expression_has_no_scores_and_no_problem(rules):
    found = score_signatures(study(None, None), rules=rules)
    assert found.scores.shape == (0, 3) and found.problems.empty


def test_one_baseline_sample_a_subject_enters_the_metastasis_first(rules):
    rows = [
        ("P1", "s1", "PRIMARY", "D0"),
        ("P1", "s2", "METASTASIS", "D0"),
        ("P2", "s3", "PRIMARY", "D0"),
        ("P2", "not in file", "METASTASIS", "D0"),
        ("P3", "other", "METASTASIS", "PROG"),
    ]
    samples = pd.DataFrame(rows, columns=["USUBJID", "SAMPLE_ID", "SAMPTYPE", "AVISIT"])
    chosen = select_samples(study(MATRIX), samples, rules=rules)
    assert chosen.to_dict() == {"P1": "s2", "P2": "s3"}
    assert select_expression(study(MATRIX), chosen, rules=rules).loc["A"].to_dict() == {"P1": 2.0, "P2": 3.0}
    assert select_samples(study(None, None), samples, rules=rules).empty
