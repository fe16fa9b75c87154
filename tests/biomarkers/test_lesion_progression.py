"""Lesions at progression: nadir, newness and drivers by hand; the stratified odds ratio against R."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.lesion_progression import (
    estimate_lesion_progression,
    tabulate_lesions_at_progression,
)
from analysis.biomarkers.stratified import estimate_mantel_haenszel

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_adpet


def lesion(subject, name, **values):
    return [(subject, visit, name, "SUVMAX", value) for visit, value in values.items()]


@pytest.fixture
def adpet():
    rows = lesion("A", "L1", D0=10.0, D14=7.5, D28=4.0, PROG=5.0)  # falls by just the cut; up 25 % from nadir
    rows += lesion("A", "L2", D0=10.0, D14=7.6, D28=6.0, PROG=7.4)  # resistant; up 23 %
    rows += lesion("A", "L3", PROG=6.0)  # new
    rows += lesion("A", "L4", D28=3.0, PROG=9.0)  # appeared before progression
    rows += lesion("A", "L5", D0=8.0, D14=3.0)  # not measured at progression
    rows += lesion("B", "L1", D0=9.0, D14=9.5, PROG=20.0) + lesion("C", "L1", D0=9.0, D14=4.0)
    return make_adpet(rows)


def tabulate(adpet, **changed):
    table = tabulate_lesions_at_progression(adpet, **{"early": "D14", "cut": 25.0} | changed)
    contracts.check("lesion_progression", table)
    return table.set_index(["USUBJID", "LESIONID"])


def test_drivers_are_new_lesions_and_those_a_quarter_above_their_nadir(adpet):
    table = tabulate(adpet)
    assert table["DROVE"].to_dict() == {
        ("A", "L1"): "Y", ("A", "L2"): "N", ("A", "L3"): "Y", ("A", "L4"): "Y", ("A", "L5"): None, ("B", "L1"): "Y"
    }  # fmt: skip
    assert table.index[table["NEWFL"] == "Y"].tolist() == [("A", "L3")]
    assert table.loc[("A", "L1"), ["NADIR", "PCHGNAD", "PCHGBASE"]].tolist() == pytest.approx(
        [4.0, 25.0, -50.0]
    )
    assert np.isnan(table.loc[("A", "L5"), "PROG"]) and table.loc[("A", "L5"), "NADIR"] == 3.0


def test_a_fall_of_exactly_the_cut_responds_unless_the_plan_says_more(adpet):
    table = tabulate(adpet)
    assert table["EARLYRES"].tolist() == ["N", "Y", None, None, "N", "Y"]
    strict = plan.defaults().override({"response.cut_inclusive": False}).response
    assert tabulate(adpet, response=strict)["EARLYRES"].tolist()[0] == "Y"


def test_a_lesion_not_evaluable_at_baseline_has_no_early_class(adpet):
    adpet.loc[(adpet["LESIONID"] == "L2") & (adpet["AVISIT"] == "D0"), "EVALFL"] = "N"
    assert tabulate(adpet).loc[("A", "L2"), "EARLYRES"] is None


def test_without_an_earlier_scan_nothing_is_new_and_nothing_drove():
    table = tabulate(make_adpet(lesion("A", "L1", PROG=6.0)))
    assert table["NEWFL"].tolist() == ["N"] and table["DROVE"].tolist() == [None]


def test_a_lesion_listed_before_and_never_measured_is_not_called_new(adpet):
    listed = make_adpet([*lesion("A", "L3", D14=np.nan), *lesion("B", "L9", PROG=7.0, D28=np.nan)])
    table = tabulate(pd.concat([adpet, listed], ignore_index=True))
    for key in (("A", "L3"), ("B", "L9")):
        assert table.loc[key, ["NEWFL", "DROVE"]].tolist() == ["N", None]
    # A row of the day of progression, or of later, is no earlier one.
    listed["ADT"] += np.timedelta64(300, "D")
    assert tabulate(pd.concat([adpet, listed], ignore_index=True)).loc[("A", "L3"), "NEWFL"] == "Y"


def test_a_scan_dated_after_progression_is_no_nadir(adpet):
    adpet.loc[adpet["AVISIT"] == "D28", "ADT"] += np.timedelta64(300, "D")
    assert tabulate(adpet).loc[("A", "L1"), "NADIR"] == 7.5


def test_the_stratified_odds_ratio_is_what_r_prints():
    # R: z <- data.frame(s=rep(1:5, c(4,5,3,4,1)), m=c(1,1,0,0,1,1,0,0,0,1,0,0,1,1,1,1,1),
    #                    o=c(1,1,0,1,1,0,0,0,1,1,0,0,1,0,1,1,0))
    #    mantelhaen.test(xtabs(~ factor(m, c(1,0)) + factor(o, c(1,0)) + s, z[z$s != 5, ]))
    stratum = np.repeat([1, 2, 3, 4, 5], [4, 5, 3, 4, 1])
    marker = [1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    outcome = [1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0]
    found = estimate_mantel_haenszel(marker, outcome, stratum)
    assert found[:4] == pytest.approx((7.833333333, 0.5228457852, 117.3598656479, 0.3421024339))
    assert found.informative == 3


def test_the_berkeley_admissions_are_what_r_prints():
    # R: mantelhaen.test(UCBAdmissions): admitted male, admitted female, rejected male, rejected female by department
    cells = [
        (512, 89, 313, 19),
        (353, 17, 207, 8),
        (120, 202, 205, 391),
        (138, 131, 279, 244),
        (53, 94, 138, 299),
        (22, 24, 351, 317),
    ]
    admitted, male, department = (
        np.concatenate([np.repeat(values, count) for count, values in zip(cells, each, strict=True)])
        for each in (
            [(1, 1, 0, 0)] * 6, [(1, 0, 1, 0)] * 6, [(number,) * 4 for number in range(6)]
        )
    )  # fmt: skip
    found = estimate_mantel_haenszel(admitted, male, department)
    assert found[:4] == pytest.approx((0.9046968283, 0.7719073618, 1.0603297644, 0.2322635))


def test_lesions_of_one_kind_within_every_patient_say_nothing():
    found = estimate_mantel_haenszel([1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 2, 2])
    assert found.informative == 0 and np.isnan(found.estimate)


def test_progressions_are_counted_with_a_resistant_driver_and_with_new_lesions(adpet):
    found = estimate_lesion_progression(adpet, early="D14", cut=25.0)
    rows = found.estimates.set_index("MARKER")
    # A: its drivers fell, are new, or have no early class (L4), so it is not known; B: its only lesion drove.
    share = rows[rows["METHOD"] == "clopper_pearson"]
    assert share.loc["EARLYRES", ["EVENTS", "N", "ESTIMATE"]].tolist() == [1, 1, 1.0]
    # R: binom.test(1, 2)$conf.int
    expected = [1, 2, 0.5, 0.01257911709, 0.98742088291]
    assert share.loc["NEWFL", ["EVENTS", "N", "ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(
        expected
    )
    odds = rows[rows["METHOD"] == "mantel_haenszel"].iloc[0]
    assert odds["TESTED"] == "N" and odds["N"] == 3 and "3 lesions of 2 subjects" in odds["NOTE"]
    contracts.check("estimates_biomarkers", found.estimates)


def test_a_driver_first_seen_between_early_scan_and_progression_is_counted(adpet):
    adpet = adpet[~((adpet["USUBJID"] == "A") & (adpet["LESIONID"] == "L3"))]  # without the new one
    outcomes = pd.DataFrame({"PFS_EVENT": [1.0, 1.0, 1.0, 0.0]}, index=["A", "B", "C", "D"])
    found = estimate_lesion_progression(adpet, early="D14", cut=25.0, outcomes=outcomes)
    rows = found.estimates.set_index(["MARKER", "OUTCOME"])
    assert rows.loc[("NEWFL", "PROG"), ["EVENTS", "N"]].tolist() == [0, 2]
    assert rows.loc[("LATEFL", "PROG"), ["EVENTS", "N"]].tolist() == [1, 2]
    assert "first seen between (lesions: 1)" in rows.loc[("LATEFL", "PROG"), "NOTE"]
    # C had the event and no PET at progression.
    assert rows["NOTE"].str.contains("1 of 3 PFS events have no PET at progression").sum() == 3


def test_resistant_and_responding_lesions_that_drove_are_pooled_and_said_to_be(adpet):
    rows = estimate_lesion_progression(adpet, early="D14", cut=25.0).estimates.set_index("MARKER")
    # Resistant: A L2 stayed, B L1 drove. Responding: A L1 drove; L5 was not measured at progression.
    assert rows.loc["EARLYRES_Y", ["EVENTS", "N", "ESTIMATE"]].tolist() == [1, 2, 0.5]
    # R: binom.test(1, 1)$conf.int
    responding = rows.loc["EARLYRES_N", ["EVENTS", "N", "LOWER", "UPPER"]].tolist()
    assert responding == pytest.approx([1, 1, 0.025, 1.0])
    assert "pooled: lesions of a patient are not independent" in rows.loc["EARLYRES_N", "NOTE"]


def test_no_pet_at_progression_is_a_reason():
    found = estimate_lesion_progression(make_adpet(lesion("A", "L1", D0=6.0)), early="D14", cut=25.0)
    assert found.estimates.empty and "progression" in found.reason
    contracts.check("lesion_progression", found.table)
