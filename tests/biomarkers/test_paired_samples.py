"""Primary against metastasis: R's numbers, hand counts, and what cannot be compared."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.paired_samples import compare_samples, estimate_pair_ratio

WORDS = {1: "MUTATED", 0: "WT", None: "NOT ASSESSABLE"}


def adbm_of(**genes):
    """Return adbm rows of pairs: gene -> ((primary, metastasis), number of subjects), in order."""
    rows = []
    for gene, cells in genes.items():
        pairs = [pair for pair, number in cells for _ in range(number)]
        for number, pair in enumerate(pairs):
            for kind, value in zip(("PRIMARY", "METASTASIS"), pair):
                rows.append((f"S{number:02d}", f"S{number:02d}-{kind}", kind, gene, WORDS[value]))
    frame = pd.DataFrame(rows, columns=["USUBJID", "SAMPLEID", "SAMPTYPE", "PARAMCD", "AVALC"])
    empty = {"ADT": pd.NaT, "ADY": np.nan, "ASSAY": None, "LOD": np.nan, "DEPTH": np.nan}
    return frame.assign(STUDYID="S", AVISIT="D0", PARTYPE="MUT", AVAL=0.1, **empty)


# 6 both, 1 primary only, 5 metastasis only, 8 neither; 16 neither and 4 metastasis only.
TWENTY = adbm_of(
    TP53=[((1, 1), 6), ((1, 0), 1), ((0, 1), 5), ((0, 0), 8)],
    ESR1=[((0, 1), 4), ((0, 0), 16)],
    AKT1=[((1, 1), 1), ((0, 0), 19)],
)


def row(analysis, marker, method="mcnemar_exact"):
    rows = analysis.estimates
    return rows[(rows["MARKER"] == marker) & (rows["METHOD"] == method)].iloc[0]


# R: b <- binom.test(x, n); c(x / (n - x), b$conf.int / (1 - b$conf.int), b$p.value)
@pytest.mark.parametrize(
    ("late", "early", "expected"),
    [
        (8, 2, (4.0, 0.7982524005, 38.6656560797, 0.109375)),
        (5, 1, (5.0, 0.5594916942, 236.4876928674, 0.21875)),
        (4, 0, (np.inf, 0.6601240194, np.inf, 0.125)),
        (3, 2, (1.5, 0.1718284926, 17.9591608300, 1.0)),
    ],
)
def test_the_ratio_of_discordant_pairs_is_that_of_r(late, early, expected):
    assert estimate_pair_ratio(late, early) == pytest.approx(expected, rel=1e-8)


def test_exchanging_the_samples_inverts_the_ratio():
    one, other = estimate_pair_ratio(8, 2), estimate_pair_ratio(2, 8)
    assert one.estimate == pytest.approx(1 / other.estimate) and one.p == other.p
    assert one.lower == pytest.approx(1 / other.upper)
    assert np.isnan(estimate_pair_ratio(0, 0)).all()


def test_metastasis_is_compared_with_primary_and_the_counts_are_told():
    found = compare_samples(TWENTY)
    contracts.check("estimates_biomarkers", found.estimates)
    table = found.table.set_index("MARKER")
    cells = ["N", "BOTH", "PRIMARY_ONLY", "METASTASIS_ONLY", "NEITHER", "NOT_ASSESSABLE"]
    assert table.loc["TP53", cells].tolist() == [20, 6, 1, 5, 8, 0]
    assert table.index.tolist() == ["TP53", "ESR1", "AKT1"]
    tp53 = row(found, "TP53")
    assert (tp53["ESTIMATE"], tp53["N"], tp53["N_POS"]) == (5.0, 20, 11)
    # R: p.adjust(c(0.21875, 0.125), "BH")
    assert [tp53["Q_BH"], row(found, "ESR1")["Q_BH"]] == pytest.approx([0.21875, 0.21875])


def test_kappa_is_that_of_fleiss_cohen_and_everitt():
    # R: kappa and its standard error (Fleiss, Cohen, Everitt 1969) by hand on matrix(c(6, 1, 5, 8), 2)
    found = row(compare_samples(TWENTY), "TP53", "cohen_kappa")
    expected = [0.41747572816, 0.05640455516, 0.77854690115]
    assert found[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected, rel=1e-8)


def test_a_rare_gene_is_listed_and_not_tested():
    found = row(compare_samples(TWENTY), "AKT1")
    assert found["TESTED"] == "N" and np.isnan(found["P"]) and np.isnan(found["Q_BH"])
    assert "fewer than 4 subjects with the alteration" in found["NOTE"]
    agreement = row(compare_samples(TWENTY), "AKT1", "cohen_kappa")
    assert agreement["ESTIMATE"] == 1.0 and "no interval" in agreement["NOTE"]


@pytest.mark.parametrize("cells", [((0, 1), (0, 0)), ((1, 1), (1, 0))])
def test_kappa_has_no_interval_where_one_sample_never_varies(cells):
    # By hand: observed agreement equals that by chance, so kappa is 0 whatever the numbers.
    for number in range(4, 14):
        pairs = adbm_of(ESR1=[(cells[0], 4), (cells[1], number)])
        found = row(compare_samples(pairs), "ESR1", "cohen_kappa")
        assert found["ESTIMATE"] == pytest.approx(0, abs=1e-12)
        assert np.isnan(found["LOWER"]) and np.isnan(found["UPPER"])
        assert "one of the two samples is the same in every pair" in found["NOTE"]


def test_a_gene_off_a_panel_is_no_wild_type():
    pairs = adbm_of(TP53=[((1, None), 3), ((None, 0), 2), ((1, 1), 4), ((0, 0), 1)])
    table = compare_samples(pairs).table.iloc[0]
    assert table["NOT_ASSESSABLE"] == 5 and table["BOTH"] == 4 and table["PRIMARY_ONLY"] == 0


def test_only_the_most_often_altered_genes_are_compared():
    rules = plan.defaults().override({"biomarkers.paired_genes_max": 2}).biomarkers
    assert compare_samples(TWENTY, rules=rules).table["MARKER"].tolist() == ["TP53", "ESR1"]


@pytest.mark.parametrize(
    "pairs",
    [
        TWENTY.iloc[:0],
        TWENTY[TWENTY["SAMPTYPE"] == "PRIMARY"],
        TWENTY.assign(AVALC="NOT ASSESSABLE"),
        TWENTY.assign(AVISIT="PROG"),
    ],
)
def test_without_pairs_there_is_a_reason_and_no_row(pairs):
    found = compare_samples(pairs)
    assert found.estimates.empty and "no subject has a primary and a metastasis" in found.reason


def test_everybody_altered_gives_rows_without_numbers():
    found = compare_samples(adbm_of(TP53=[((1, 1), 6)]))
    assert set(found.estimates["TESTED"]) == {"N"}
    assert "no discordant pair" in row(found, "TP53")["NOTE"]
