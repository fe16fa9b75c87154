"""Acquired alterations: counted only where the baseline sample would have shown them."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.acquired import compare_acquired, power_to_show
from analysis.biomarkers.files.cbioportal import CbioportalStudy


def sample(subject, visit, gene, word, *, depth=450.0, kind="METASTASIS", lod=np.nan, partype="MUT"):
    values = {"MUTATED": 0.3, "WT": 0.0, "NOT ASSESSABLE": np.nan, "DETECTED": 0.1, "NOT DETECTED": np.nan}
    values |= {"AMPLIFIED": 2.0, "DELETED": -2.0, "NEUTRAL": 0.0}
    return {
        **{"STUDYID": "S", "USUBJID": subject, "SAMPLEID": f"{subject}-{kind}-{visit}", "SAMPTYPE": kind},
        **{"AVISIT": visit, "ADT": pd.NaT, "ADY": np.nan, "ASSAY": None, "PARAMCD": gene},
        **{"PARTYPE": partype, "AVAL": values[word], "AVALC": word, "LOD": lod, "DEPTH": depth},
    }


def pair(subject, gene, before, after, *, depth=450.0, late_depth=450.0):
    return [
        sample(subject, "D0", gene, before, depth=depth),
        sample(subject, "PROG", gene, after, depth=late_depth),
    ]


def plasma(subject, gene, before, after, *, lod=0.001, ctdna=("DETECTED", "DETECTED")):
    rows = []
    for visit, word, call in zip(("D0", "PROG"), (before, after), ctdna):
        common = {"kind": "PLASMA", "lod": lod, "depth": np.nan}
        rows.append(sample(subject, visit, "CTDNA", call, partype="CTDNA", **common))
        if word:
            rows.append(sample(subject, visit, gene, word, **common))
    return rows


def compare(*parts, study=None, **changes):
    rules = (
        plan.defaults().override({f"biomarkers.{key}": value for key, value in changes.items()}).biomarkers
    )
    return compare_acquired(study, pd.DataFrame([row for part in parts for row in part]), rules=rules)


def only(found):
    assert len(found.table) == 1
    return found.table.iloc[0]


def test_the_power_is_the_binomials():
    # R: pbinom(2, c(40, 100, 123, 124, 125, 450), 0.05, lower.tail = FALSE)
    expected = [0.3232642393, 0.8817370188, 0.9485791802, 0.9504702223, 0.9522961630, 0.9999999712]
    depth = np.array([40, 100, 123, 124, 125, 450])
    assert power_to_show(depth, vaf=0.05, reads=3) == pytest.approx(expected, rel=1e-8)
    assert np.isnan(power_to_show(np.array([np.nan]), vaf=0.05, reads=3)).all()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("WT", "MUTATED", "ACQUIRED"),
        ("MUTATED", "MUTATED", "PRESENT AT BASELINE"),
        ("MUTATED", "WT", "LOST"),
        ("NOT ASSESSABLE", "MUTATED", "NOT ASSESSABLE"),
        ("MUTATED", "NOT ASSESSABLE", "NOT ASSESSABLE"),
    ],
)
def test_a_gene_is_called_from_both_samples(before, after, expected):
    found = compare(pair("A", "ESR1", before, after))
    contracts.check("acquired", found.table)
    contracts.check("estimates_biomarkers", found.estimates)
    assert only(found)["AVALC"] == expected


@pytest.mark.parametrize(
    ("depth", "expected", "note"),
    [
        (124, "ACQUIRED", None),  # 0.9505 by R, the plan asks for 0.95
        (123, "NOT ASSESSABLE", "baseline sample: too few reads to show it"),
        (np.nan, "NOT ASSESSABLE", "baseline sample: its depth is not known"),
    ],
)
def test_a_shallow_baseline_sample_is_no_evidence_of_absence(depth, expected, note):
    found = only(compare(pair("A", "ESR1", "WT", "MUTATED", depth=depth)))
    assert (found["AVALC"], found["NOTE"]) == (expected, note)
    assert found["VAF"] == 0.3 and found["BASESAMP"] == "A-METASTASIS-D0"
    assert found["DEPTH"] == depth or np.isnan(depth)


def test_a_gene_is_lost_only_if_the_later_sample_would_have_shown_it():
    found = only(compare(pair("A", "ESR1", "MUTATED", "WT", depth=10, late_depth=20)))
    assert found["AVALC"] == "NOT ASSESSABLE" and found["DEPTH"] == 20
    assert found["NOTE"] == "later sample: too few reads to show it"


def test_the_plan_says_what_a_sample_must_show():
    shallow = pair("A", "ESR1", "WT", "MUTATED", depth=40)
    assert only(compare(shallow))["AVALC"] == "NOT ASSESSABLE"
    assert only(compare(shallow, acquired_min_vaf=0.2))["AVALC"] == "ACQUIRED"


def test_the_baseline_sample_is_the_preferred_one():
    primary = sample("A", "D0", "ESR1", "MUTATED", kind="PRIMARY")
    found = only(compare([primary, *pair("A", "ESR1", "WT", "MUTATED")]))
    assert (found["AVALC"], found["BASESAMP"]) == ("ACQUIRED", "A-METASTASIS-D0")


def test_the_share_acquired_is_of_those_without_the_gene_assessable_in_both_samples():
    # Of eight subjects one is too shallow and one has it at baseline: two of six acquired it.
    parts = [
        *[pair(f"A{n}", "ESR1", "WT", "MUTATED") for n in range(2)],
        pair("B", "ESR1", "MUTATED", "MUTATED"),
        *[pair(f"C{n}", "ESR1", "WT", "WT") for n in range(4)],
        pair("D", "ESR1", "WT", "WT", depth=20),
    ]
    found = compare(*parts, min_prevalence_n=2).estimates.set_index("METHOD")
    share = found.loc["clopper_pearson"]
    # R: binom.test(2, 6)
    expected = [2 / 6, 0.0432718682927, 0.777221904496]
    assert share[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected, rel=1e-8)
    assert (share["N"], share["N_POS"]) == (6, 2)
    ratio = found.loc["mcnemar_exact"]
    assert ratio["N"] == 7
    # R: binom.test(2, 2)$p.value
    assert (ratio["ESTIMATE"], ratio["P"], ratio["N_POS"]) == (np.inf, 0.5, 3)


def test_a_later_sample_counts_by_what_it_could_show_not_by_what_it_shows():
    # Baseline 500 reads, later 60: R pbinom(2, 60, 0.05, lower.tail = FALSE) = 0.583, under 0.95. Whether the
    # other eight have acquired it cannot be told, so neither do the two count: else the share is 2 of 2.
    parts = [
        pair(f"A{n}", "ESR1", "WT", "MUTATED" if n < 2 else "WT", depth=500, late_depth=60) for n in range(10)
    ]
    found = compare(*parts, min_prevalence_n=2)
    assert found.table["AVALC"].tolist() == ["ACQUIRED"] * 2  # of each patient it is known
    assert set(found.table["NOTE"]) == {"called, not counted: later sample: too few reads to show it"}
    rows = found.estimates.set_index("METHOD")
    assert rows["N"].tolist() == [0, 0] and rows["TESTED"].tolist() == ["N", "N"]
    assert rows.loc["clopper_pearson", "NOTE"].startswith("acquired 0, lost 0; 2 called, not counted; nobody")
    deep = [pair(f"B{n}", "ESR1", "WT", "MUTATED" if n < 1 else "WT", depth=500) for n in range(3)]
    share = compare(*parts, *deep).estimates.set_index("METHOD").loc["clopper_pearson"]
    # R: binom.test(1, 3)
    expected = [1 / 3, 0.00840375865961, 0.90570067595]
    assert share[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected, rel=1e-8)


def test_lost_is_judged_like_acquired():
    # The mirror of the test above: a baseline sample of 60 reads that shows the gene does not count either.
    parts = [pair(f"A{n}", "ESR1", "MUTATED" if n < 4 else "WT", "WT", depth=60) for n in range(10)]
    found = compare(*parts).estimates.set_index("METHOD").loc["mcnemar_exact"]
    assert (found["N"], found["TESTED"]) == (0, "N")


def test_who_had_the_gene_at_baseline_cannot_acquire_it():
    found = compare(*[pair(f"A{n}", "TP53", "MUTATED", "MUTATED") for n in range(5)])
    rows = found.estimates.set_index("METHOD")
    assert rows["N"].to_dict() == {"clopper_pearson": 0, "mcnemar_exact": 5}
    assert rows.loc["clopper_pearson", "TESTED"] == "N" and np.isnan(rows.loc["clopper_pearson", "UPPER"])


def test_a_sample_has_one_depth_whether_the_gene_is_altered_or_not():
    # Reads are known at the variant alone, as in a file without coverage: A's later WT genes have none, and
    # B, whose ESR1 is not altered later, could never count.
    def patient(name, after):
        late = 300.0 if after == "MUTATED" else np.nan
        rows = pair(name, "ESR1", "WT", after, late_depth=late)
        return [*rows, *pair(name, "AKT1", "WT", "WT", late_depth=np.nan)]

    found = compare(patient("A", "MUTATED"), patient("B", "WT"))
    assert only(found)["NOTE"] == "called, not counted: later sample: its depth is not known"
    assert found.estimates["N"].tolist() == [0, 0]


def test_a_gene_below_the_floor_is_listed_with_its_share():
    found = compare(pair("A", "ESR1", "WT", "MUTATED")).estimates.set_index("METHOD")
    assert found.loc["mcnemar_exact", "TESTED"] == "N" and found.loc["clopper_pearson", "ESTIMATE"] == 1.0


def test_an_amplification_and_a_deletion_are_different_alterations():
    def copies(before, after):
        return [
            sample("A", visit, "PTEN", word, partype="CNA")
            for visit, word in (("D0", before), ("PROG", after))
        ]

    found = compare(copies("AMPLIFIED", "DELETED")).table.set_index("PARAMCD")["AVALC"]
    assert found.to_dict() == {"PTEN_AMP": "LOST", "PTEN_DEL": "ACQUIRED"}
    unknown = [copies("NEUTRAL", "DELETED")[1], sample("A", "D0", "PTEN", "NOT ASSESSABLE", partype="CNA")]
    assert only(compare(unknown))["AVALC"] == "NOT ASSESSABLE"


@pytest.mark.parametrize(
    ("before", "after", "options", "expected"),
    [
        ("WT", "MUTATED", {}, "ACQUIRED"),
        ("MUTATED", "WT", {}, "LOST"),
        ("WT", "MUTATED", {"lod": 0.1}, "NOT ASSESSABLE"),
        ("WT", "MUTATED", {"lod": 0.05}, "ACQUIRED"),
        ("WT", "MUTATED", {"lod": np.nan}, "NOT ASSESSABLE"),
        (None, "MUTATED", {}, "NOT ASSESSABLE"),  # nobody reported on the gene at baseline
        ("WT", "MUTATED", {"ctdna": ("NOT DETECTED", "DETECTED")}, "NOT ASSESSABLE"),
        ("MUTATED", "WT", {"ctdna": ("DETECTED", "NOT DETECTED")}, "NOT ASSESSABLE"),
    ],
)
def test_plasma_is_judged_by_its_limit_of_detection(before, after, options, expected):
    other = plasma("A", "TP53", "MUTATED", "MUTATED", **options)  # so that both draws name a gene
    rows = {
        row["SAMPLEID"] + row["PARAMCD"]: row
        for row in [*other, *plasma("A", "ESR1", before, after, **options)]
    }
    found = compare(list(rows.values())).table.set_index("PARAMCD")
    assert found.loc["ESR1", "AVALC"] == expected
    assert (expected != "NOT ASSESSABLE") == (found.loc["ESR1", "NOTE"] is None)


def test_the_plan_can_let_the_limit_of_detection_decide_alone():
    draws = plasma("A", "ESR1", "WT", "MUTATED", ctdna=("NOT DETECTED", "DETECTED"))
    assert only(compare(draws, acquired_plasma_ctdna=False))["AVALC"] == "ACQUIRED"


@pytest.mark.parametrize(
    ("call", "lone", "expected", "note"),
    [
        ("NOT DETECTED", True, "NOT ASSESSABLE", "baseline draw: no ctDNA at all"),
        ("NOT DETECTED", False, "NOT ASSESSABLE", "baseline sample: the gene was not assessed"),
        ("NOT ASSESSABLE", True, "NOT ASSESSABLE", "baseline sample: the gene was not assessed"),
    ],
)
def test_a_baseline_draw_that_names_no_gene_is_a_draw(call, lone, expected, note):
    draws = plasma("A", "ESR1", None, "MUTATED", ctdna=(call, "DETECTED"))
    found = compare(draws, acquired_plasma_ctdna=lone)
    row = only(found)
    assert (row["AVALC"], row["NOTE"]) == (expected, note)
    assert row["BASESAMP"] == "A-PLASMA-D0" and "plasma" not in (found.reason or "")
    later = compare(plasma("A", "ESR1", "MUTATED", None, ctdna=("DETECTED", "NOT DETECTED")))
    assert only(later)["NOTE"] == "later draw: no ctDNA at all"


def test_another_variant_of_the_gene_is_noted():
    names = ["SAMPLE_ID", "GENE", "CLASS", "PROTEIN", "STATUS"]
    rows = [
        ("A-METASTASIS-D0", "p.D538G"),
        ("A-METASTASIS-PROG", "p.D538G"),
        ("A-METASTASIS-PROG", "p.Y537S"),
    ]
    variants = pd.DataFrame(
        [(name, "ESR1", "Missense_Mutation", change, "Somatic") for name, change in rows], columns=names
    )
    empty = pd.DataFrame()
    study = CbioportalStudy(empty, empty, variants, None, None, empty)
    found = only(compare(pair("A", "ESR1", "MUTATED", "MUTATED"), study=study))
    assert (
        found["AVALC"] == "PRESENT AT BASELINE"
        and found["NOTE"] == "another variant of the gene later: p.Y537S"
    )


def test_missing_layers_have_a_reason():
    tissue = compare(pair("A", "ESR1", "WT", "MUTATED"))
    assert tissue.reason == "no subject has plasma at baseline and at progression that names a gene"
    nobody = compare_acquired(None, pd.DataFrame(pair("A", "ESR1", "WT", "WT")).iloc[:0])
    assert nobody.estimates.empty and nobody.table.empty and "tumour samples at baseline" in nobody.reason
    unaltered = compare(pair("A", "ESR1", "WT", "WT"))
    assert unaltered.table.empty and unaltered.estimates.empty


def test_later_against_baseline_turned_round_is_lost_against_acquired():
    parts = [pair(f"A{n}", "ESR1", "WT", "MUTATED") for n in range(4)] + [pair("B", "ESR1", "MUTATED", "WT")]
    turned = [
        [{**row, "AVISIT": {"D0": "PROG", "PROG": "D0"}[row["AVISIT"]]} for row in part] for part in parts
    ]
    one, other = (
        compare(*side).estimates.set_index("METHOD").loc["mcnemar_exact"] for side in (parts, turned)
    )
    assert one["ESTIMATE"] == 4.0 and other["ESTIMATE"] == 0.25 and one["P"] == other["P"]
