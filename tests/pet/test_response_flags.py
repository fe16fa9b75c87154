"""What stands beside a class: flags, the verdict on the scans, the per-protocol mark; pet.md 2.4 and 3."""

import numpy as np
import pandas as pd
import pytest
from response_factory import PLAN, adpet_of, decisions_of, one, percist, regions, row_of, scans_of

from analysis.pet.response import classify

LATER = PLAN.override({"response.eortc_phase": "later"})


def flags(row):
    return set((row["FLAGS"] or "").split(";")) - {""}


def test_flags_are_empty_where_there_is_nothing_to_say():
    assert one(adpet_of({"L1": (10.0, 5.0)}), "any_resistant")["FLAGS"] is None


@pytest.mark.parametrize(
    ("follow", "read", "expected"),
    [
        (1.9, True, False),  # both gates: CMR
        (2.1, True, True),  # the reader alone
        (1.9, False, True),  # the liver alone
        (2.1, False, False),  # neither
    ],
)
def test_complete_response_by_one_gate_alone_is_discordant(follow, read, expected):
    decisions = decisions_of(("L1", "resolved")) if read else None
    assert ("CMR_DISCORDANT" in flags(percist({"L1": (10.0, follow)}, decisions=decisions))) is expected


@pytest.mark.parametrize(
    ("follow", "expected"),
    [(85.0, True), (84.9, True), (75.0, True), (74.9, False), (85.1, False)],
)
def test_the_gap_of_the_published_table_is_stable_and_flagged_in_the_later_phase(follow, expected):
    row = one(adpet_of({"L1": (100.0, follow)}), "eortc", LATER)
    assert ("EORTC_GAP_15_25" in flags(row)) is expected
    assert row["AVALC"] == ("PMR" if follow < 75 else "SMD")
    assert "EORTC_GAP_15_25" not in flags(one(adpet_of({"L1": (100.0, follow)}), "eortc"))


@pytest.mark.parametrize("plan", [PLAN, LATER])
@pytest.mark.parametrize(
    ("base", "follow", "expected"), [(100.0, 75.0, True), (7.1, 5.325, True), (100.0, 74.99, False)]
)
def test_a_fall_of_exactly_25_percent_is_listed_under_either_phase(plan, base, follow, expected):
    row = one(adpet_of({"L1": (base, follow)}), "eortc", plan)
    assert ("EORTC_EXACT_25" in flags(row)) is expected
    assert "EORTC_EXACT_25" not in flags(one(adpet_of({"L1": (base, follow)}), "suvmax_sum"))


@pytest.mark.parametrize(("follow", "expected"), [(112.0, True), (111.9, False), (90.0, False)])
def test_a_rise_at_the_first_follow_up_visit_may_be_a_flare(follow, expected):
    assert ("FLARE" in flags(one(adpet_of({"L1": (100.0, follow)}), "suvmax_sum"))) is expected
    assert "FLARE" not in flags(one(adpet_of({"L1": (100.0, follow)}, visit="D28"), "suvmax_sum"))


@pytest.mark.parametrize(("word", "flag"), [("inflammatory", "INFLAMMATORY"), (None, "NEW_UNCONFIRMED")])
def test_new_uptake_that_does_not_count_is_flagged(word, flag):
    adpet = adpet_of({"L1": (10.0, 2.0), "L2": (None, 6.0)})
    row = one(adpet, "any_resistant", decisions=decisions_of(("L2", word)) if word else None)
    assert (flags(row), row["MRESP"]) == ({flag}, "RESPONDER" if word else "NE")


def test_a_baseline_lesion_cannot_be_a_new_inflammation():
    row = one(adpet_of({"L1": (10.0, 2.0)}), "any_resistant", decisions=decisions_of(("L1", "inflammatory")))
    assert row["FLAGS"] is None


# At 12 % the limits are -28.2 and +39.3 %.
@pytest.mark.parametrize(
    ("rule", "lesions", "expected"),
    [
        ("any_resistant", {"L1": (100.0, 72.0)}, True),
        ("any_resistant", {"L1": (100.0, 71.0)}, False),
        ("any_resistant", {"L1": (100.0, 139.0)}, True),
        ("any_resistant", {"L1": (100.0, 140.0)}, False),
        ("any_resistant", {"L1": (100.0, 40.0), "L2": (100.0, 80.0)}, True),  # the worst lesion decides
        ("suvmax_sum", {"L1": (100.0, 80.0), "L2": (100.0, 80.0)}, False),  # a sum is not one lesion
        ("suvmax_hottest", {"L1": (100.0, 80.0), "L2": (50.0, 20.0)}, True),
        ("suvmax_hottest", {"L1": (100.0, 20.0), "L2": (90.0, 80.0)}, False),  # two lesions, one each scan
    ],
)
def test_a_single_lesion_inside_test_retest_limits_is_flagged(rule, lesions, expected):
    row = one(adpet_of(lesions), rule, cut_percent=25.0)
    assert ("WITHIN_REPEATABILITY" in flags(row)) is expected


def test_a_new_lesion_decides_whatever_the_repeatability_of_the_others():
    row = one(adpet_of({"L1": (100.0, 90.0)}), "any_resistant", decisions=decisions_of(("L9", "new")))
    assert row["FLAGS"] is None


def test_a_volume_has_no_limits_of_repeatability():
    adpet = adpet_of({"L1": (100.0, 90.0)}, metric="MTV41")
    assert one(adpet, "any_resistant", metric="MTV41")["FLAGS"] is None


def test_a_class_that_rests_on_the_known_lesions_alone_says_so():
    row = one(adpet_of({"L1": (10.0, 10.0), "L2": (2.0, None)}), "suvmax_sum")
    assert flags(row) == {"AT_LEAST_THIS_BAD"}


# ---- the pair of scans


@pytest.mark.parametrize(
    ("uptake", "liver", "verdict", "mark"),
    [
        ((60.0, 60.0), (2.0, 2.0), "ASSESSABLE", "Y"),
        ((60.0, 71.0), (2.0, 2.0), "ASSESSABLE_WITH_WARNINGS", "Y"),
        ((60.0, 76.0), (2.0, 2.0), "NOT_ASSESSABLE", "N"),
        ((np.nan, 60.0), (2.0, 2.0), "INSUFFICIENT_INFORMATION", "N"),
    ],
)
def test_comparability_blocks_percist_alone_and_is_told_of_every_rule(uptake, liver, verdict, mark):
    adpet = pd.concat([adpet_of({"L1": (10.0, 5.0)}), regions(liver=liver)])
    row = one(adpet, "any_resistant", scans=scans_of(uptake=uptake))
    assert (row["MRESP"], row["COMPARE"], row["PPFL"]) == ("RESPONDER", verdict, mark)
    assert ("NOT_COMPARABLE" in flags(row)) is (verdict == "NOT_ASSESSABLE")
    expected = "PMR" if mark == "Y" else "NE"
    assert percist({"L1": (10.0, 5.0)}, uptake=uptake, liver=liver)["AVALC"] == expected


def test_without_a_second_scan_there_is_no_verdict():
    subjects = pd.DataFrame({"USUBJID": ["S1"], "PILOTFL": ["Y"]})
    admr = classify(adpet_of({"L1": (10.0, 5.0)}), rule="any_resistant", subjects=subjects)
    assert admr.set_index("AVISIT").loc["D28", ["COMPARE", "PPFL"]].tolist() == [None, "N"]


def test_a_refused_scan_is_never_per_protocol():
    adpet = pd.concat([adpet_of({"L1": (10.0, 5.0)}), regions()])
    row = one(adpet.query("AVISIT == 'D0'"), "any_resistant", scans=scans_of(status=("OK", "REFUSED")))
    assert row["PPFL"] == "N"


# ---- what a lesion that is gone counts with


def gone(metric, *rows, base=10.0):
    adpet = pd.concat([adpet_of({"L1": (base, None)}, metric=metric), pd.DataFrame(list(rows))])
    return one(adpet, "any_resistant", metric=metric, decisions=decisions_of(("L1", "resolved")))


def region(role, metric, value, visit="D14"):
    return row_of("S1", visit, role, metric, value, ROLE=role)


def test_the_place_where_a_lesion_was_comes_before_any_reference_region():
    place = row_of("S1", "D14", "L1", "SUVBKG", 2.0)
    row = gone("SUVMAX", place, region("AORTA", "SUVMEAN", 1.5), region("LIVER", "SUVMEAN", 3.0))
    assert row["SCORE"] == pytest.approx(np.log(2.0 / 10.0))
    assert "BACKGROUND_IMPUTED" in flags(row)


def test_an_suv_of_the_background_is_brought_to_the_scale_of_the_scan():
    # the liver says 0.6 g/ml SUL for each g/ml SUV: 2.0 becomes 1.2
    place = row_of("S1", "D14", "L1", "SUVBKG", 2.0)
    liver = [region("LIVER", "SUVMEAN", 3.0), region("LIVER", "SULMEAN", 1.8)]
    assert gone("SULMAX", place, *liver)["SCORE"] == pytest.approx(np.log(1.2 / 10.0))
    own = row_of("S1", "D14", "L1", "SULBKG", 1.3)
    assert gone("SULMAX", place, own, *liver)["SCORE"] == pytest.approx(np.log(1.3 / 10.0))


def test_a_background_corrected_for_glucose_needs_a_lesion_to_tell_the_factor():
    place = row_of("S1", "D14", "L1", "SUVBKG", 2.0)
    other = [row_of("S1", "D14", "L2", "SUVMAX", 5.0), row_of("S1", "D14", "L2", "SUVMAXG", 6.0)]
    other += [row_of("S1", "D0", "L2", "SUVMAX", 5.0), row_of("S1", "D0", "L2", "SUVMAXG", 6.0)]
    row = one(
        pd.concat([adpet_of({"L1": (10.0, None)}, metric="SUVMAXG"), pd.DataFrame([place, *other])]),
        "suvmax_sum", metric="SUVMAXG", decisions=decisions_of(("L1", "resolved")),
    )  # fmt: skip
    # 2.0 x 6.0 / 5.0 = 2.4 for L1; (2.4 + 6.0) / (10.0 + 6.0)
    assert row["SCORE"] == pytest.approx(np.log(8.4 / 16.0))
    assert gone("SUVMAXG", place)["AVALC"] == "NE"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("SUVMAXG", 2.0 * 6.6 / 5.5), ("TLRMAX", 2.0 / 2.5)],
)
def test_a_corrected_background_takes_its_factor_from_the_scan_where_no_lesion_is_left(metric, expected):
    place, liver = row_of("S1", "D14", "L1", "SUVBKG", 2.0), region("LIVER", "SUVMEAN", 2.5)
    adpet = pd.concat([adpet_of({"L1": (10.0, None)}, metric=metric), pd.DataFrame([place, liver])])
    row = one(
        adpet, "any_resistant", metric=metric, scans=scans_of().assign(GLUCOSE=[5.5, 6.6]),
        decisions=decisions_of(("L1", "resolved")),
    )  # fmt: skip
    assert row["SCORE"] == pytest.approx(np.log(expected / 10.0))


def test_a_volume_has_no_background():
    row = gone("MTV41", region("AORTA", "SUVMEAN", 1.5))
    assert (row["AVALC"], row["FLAGS"]) == ("NE", None)
