"""Pathways by hand: direction, coverage, one sample a subject."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.pathways import select_pathways

PATHWAYS = {
    "PI3K": {"PIK3CA": ["MUTATED", "AMPLIFIED"], "PTEN": ["MUTATED", "DELETED"]},
    "p53": {"TP53": ["MUTATED"], "MDM2": ["AMPLIFIED"]},
    "empty": {"NOWHERE": ["MUTATED"]},
}


@pytest.fixture
def rules():
    return plan.defaults().override({"biomarkers.pathways": PATHWAYS}).biomarkers


def make(rows):
    """Return adbm of rows (subject, gene, kind, word); the sample is the subject's primary."""
    frame = pd.DataFrame(rows, columns=["USUBJID", "PARAMCD", "PARTYPE", "AVALC"])
    return frame.assign(SAMPLEID=frame["USUBJID"] + "-1", SAMPTYPE="PRIMARY", AVISIT="D0", AVAL=0.0)


def sample(subject, pik3ca="WT", pten="WT", pik3ca_copies="NEUTRAL", pten_copies="NEUTRAL"):
    """Return the rows of a subject's sample for PI3K."""
    return [
        (subject, "PIK3CA", "MUT", pik3ca),
        (subject, "PTEN", "MUT", pten),
        (subject, "PIK3CA", "CNA", pik3ca_copies),
        (subject, "PTEN", "CNA", pten_copies),
    ]


def test_a_gene_counts_in_the_direction_that_drives_it(rules):
    adbm = make(
        [
            *sample("wild"),
            *sample("mutated", pten="MUTATED"),
            *sample("lost", pten_copies="DELETED"),
            *sample("gained", pik3ca_copies="AMPLIFIED"),
            # a tumour suppressor gained and an oncogene lost drive nothing
            *sample("opposite", pik3ca_copies="DELETED", pten_copies="AMPLIFIED"),
        ]
    )
    found = select_pathways(adbm, rules=rules)["PI3K"].to_dict()
    assert found == {"wild": 0, "mutated": 1, "lost": 1, "gained": 1, "opposite": 0}


def test_wild_type_needs_every_member_assessed_and_altered_needs_one(rules):
    unknown = "NOT ASSESSABLE"
    adbm = make(
        [
            *sample("all"),
            *sample("unknown", pten=unknown),
            *sample("altered", pik3ca="MUTATED", pten=unknown, pten_copies=unknown),
            *sample("no copies")[:2],
            *sample("altered, no copies", pik3ca="MUTATED")[:2],
        ]
    )
    found = select_pathways(adbm, rules=rules)["PI3K"]
    assert found[["all", "altered", "altered, no copies"]].tolist() == [0, 1, 1]
    assert found[["unknown", "no copies"]].isna().all()


def test_a_study_without_copy_number_is_judged_by_mutations_alone(rules):
    found = select_pathways(make([row for row in sample("A") if row[2] == "MUT"]), rules=rules)
    assert found["PI3K"].tolist() == [0.0]


def test_a_pathway_of_which_nothing_is_assessed_is_left_out_and_nobody_gives_nobody(rules):
    found = select_pathways(make([*sample("A"), ("A", "TP53", "MUT", "NOT ASSESSABLE")]), rules=rules)
    assert list(found.columns) == ["PI3K"]
    assert select_pathways(make([]), rules=rules).shape == (0, 0)


def test_the_sequenced_metastasis_comes_before_the_primary(rules):
    primary, metastasis = make(sample("A", pten="MUTATED")), make(sample("A"))
    metastasis = metastasis.assign(SAMPLEID="A-2", SAMPTYPE="METASTASIS")
    late = make(sample("A", pik3ca="MUTATED")).assign(SAMPLEID="A-3", AVISIT="PROG")
    found = select_pathways(pd.concat([primary, metastasis, late], ignore_index=True), rules=rules)
    assert found["PI3K"].tolist() == [0.0]
    # copy number alone in the metastasis: the sequenced primary is the sample
    partly = pd.concat([primary, metastasis[metastasis["PARTYPE"] == "CNA"]], ignore_index=True)
    assert select_pathways(partly, rules=rules)["PI3K"].tolist() == [1.0]


def test_the_plans_own_pathways_name_known_directions():
    for genes in plan.defaults().biomarkers.pathways.values():
        assert all(set(words) <= {"MUTATED", "AMPLIFIED", "DELETED"} and words for words in genes.values())
    assert np.isin(["PI3K", "p53"], list(plan.defaults().biomarkers.pathways)).all()
