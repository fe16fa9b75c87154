"""PET burden beside plasma: ranks, limits of detection and matched visits, against R on the same twelve."""

import sys
from pathlib import Path

import numpy as np
import pytest

from analysis import contracts, plan
from analysis.biomarkers.burden import estimate_burden

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_adpet, make_outcomes, make_plasma

PET = [91.3, 35.5, 120.4, 60.2, 15.8, 210.9, 44.1, 77.7, 150.2, 28.4, 99.9, 12.6]
EARLY = [80.1, 40.2, 60.7, 66.0, 10.3, 190.4, 39.8, 30.2, 170.8, 25.5, 45.6, 13.9]
FRACTION = [0.09, None, 0.075, 0.025, None, 0.218, None, 0.03, 0.05, None, 0.012, 0.041]
LATER = [0.06, None, None, 0.031, None, 0.190, 0.02, None, 0.066, None, 0.004, 0.03]
NAMES = [f"P{i:02}" for i in range(12)]


@pytest.fixture
def rules():
    changed = {"biomarkers.burden_metrics": ["TTLG41"], "biomarkers.spearman_bootstrap": 200}
    return plan.defaults().override(changed).biomarkers


def plasma_rows(fractions, visit):
    return [
        (name, visit, "NOT DETECTED" if value is None else "DETECTED", value and value / 2, value)
        for name, value in zip(NAMES, fractions, strict=True)
    ]


@pytest.fixture
def tables():
    rows = [(name, "D0", "TOTAL", "TTLG41", value) for name, value in zip(NAMES, PET, strict=True)]
    rows += [(name, "D14", "TOTAL", "TTLG41", value) for name, value in zip(NAMES, EARLY, strict=True)]
    adbm = make_plasma(plasma_rows(FRACTION, "D0") + plasma_rows(LATER, "D14"))
    return make_adpet(rows), adbm, make_outcomes(dict.fromkeys(NAMES, 1))


def estimate(tables, rules, **changed):
    adpet, adbm, outcomes = tables
    arguments = {"early": "D14", "rng": np.random.default_rng(1), "rules": rules} | changed
    return estimate_burden(adpet, adbm, outcomes, **arguments)


def test_levels_and_shift_at_baseline_are_what_r_prints(tables, rules):
    # R: det <- !is.na(tf); cor.test(pet, ifelse(det, tf, -1), method="spearman", exact=FALSE)
    #    wilcox.test(pet[det], pet[!det], conf.int=TRUE)
    rows = estimate(tables, rules).estimates.set_index("OUTCOME")
    for name in ("TUMFRAC", "VAF"):
        assert rows.loc[name, ["ESTIMATE", "P"]].tolist() == pytest.approx([0.6905007781, 0.01292308957])
        assert rows.loc[name, ["N", "N_POS"]].tolist() == [12, 8]
        assert rows.loc[name, "LOWER"] < rows.loc[name, "ESTIMATE"] < rows.loc[name, "UPPER"]
    found = rows.loc["CTDNA", ["ESTIMATE", "LOWER", "UPPER", "P"]].tolist()
    assert found == pytest.approx([63.65, 16.1, 134.4, 0.04848484848])


def test_changes_put_undetected_samples_at_the_limit_of_detection(tables, rules):
    # R: x <- log(early/pet); y <- log(ifelse(is.na(tf2), .002, tf2) / ifelse(is.na(tf), .002, tf))
    #    cor.test(x, y, method="spearman", exact=FALSE); of who is detected twice cor.test(x[k], y[k], ...)
    rows = estimate(tables, rules).estimates.set_index("OUTCOME")
    found = rows.loc["TUMFRAC_CHANGE"]
    assert [found["ESTIMATE"], found["P"], found["N"]] == pytest.approx([0.6760731026, 0.01579277208, 12])
    assert "3 at one visit, 3 at both" in found["NOTE"]
    twice = rows.loc["TUMFRAC_CHANGE_DETECTED"]
    assert [twice["ESTIMATE"], twice["P"], twice["N"]] == pytest.approx([0.8285714286, 0.05833333333, 6])
    contracts.check("estimates_biomarkers", estimate(tables, rules).estimates)


def test_a_failed_sample_is_missing_and_not_undetected(tables, rules):
    adpet, adbm, outcomes = tables
    failed = adbm.copy()
    failed.loc[(failed["USUBJID"] == "P01") & (failed["AVISIT"] == "D0"), "AVALC"] = "NOT ASSESSABLE"
    found = estimate((adpet, failed, outcomes), rules)
    assert (
        found.estimates.set_index("OUTCOME").loc[["TUMFRAC", "CTDNA", "TUMFRAC_CHANGE"], "N"].tolist()
        == [11] * 3
    )
    assert "P01" not in set(found.table["USUBJID"])


def test_the_scatter_has_the_limit_of_detection_where_nothing_was_found(tables, rules):
    table = estimate(tables, rules).table
    base = table[table["VISIT"] == "D0"].set_index("USUBJID")
    assert base.loc["P01", ["PET", "PLASMA", "RESULT"]].tolist() == [35.5, 0.002, "NOT DETECTED"]
    ratio = table[table["VISIT"] == "D14/D0"].set_index("USUBJID")
    assert ratio.loc["P06", ["PET", "PLASMA"]].tolist() == pytest.approx([39.8 / 44.1, 10.0])


def test_without_a_limit_of_the_fraction_that_of_the_assay_stands_in_and_is_named(tables, rules):
    adpet, adbm, outcomes = tables
    bare = adbm.copy()
    bare.loc[bare["PARAMCD"] == "TUMFRAC", "LOD"] = np.nan
    with_own, without = (estimate((adpet, table, outcomes), rules) for table in (adbm, bare))
    row = without.estimates.set_index("OUTCOME").loc["TUMFRAC_CHANGE"]
    assert row["N"] == 12 and "the assay's, for VAF" in row["NOTE"]
    assert without.table.equals(with_own.table)


def test_missing_layers_give_a_reason_and_no_error(tables, rules):
    adpet, adbm, outcomes = tables
    assert "PET" in estimate((adpet.iloc[:0], adbm, outcomes), rules).reason
    assert "plasma" in estimate((adpet, adbm.iloc[:0], outcomes), rules).reason
    later = estimate(tables, rules, early="D28")
    rows = later.estimates.set_index("OUTCOME")
    assert (
        "D28" in later.reason
        and rows.loc["TUMFRAC_CHANGE", "TESTED"] == "N"
        and rows.loc["VAF", "TESTED"] == "Y"
    )
