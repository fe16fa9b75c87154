"""Decision tables row by row and both sides of every boundary; classes from pet.md 2.4 and trial.md 4."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from response_factory import PLAN, adpet_of, decisions_of, lesions_of, one, percist, regions, row_of, scans_of

from analysis.pet.quality import check_decisions
from analysis.pet.response import classify, classify_grid, decide
from analysis.pet.response_rules import compute_weighted_median

# ---- rules by percent


@pytest.mark.parametrize(
    ("follow", "expected"), [(75.0, "RESPONDER"), (75.0001, "STABLE"), (74.9, "RESPONDER")]
)
@pytest.mark.parametrize(
    "rule", ["suvmax_hottest", "suvmax_sum", "suvmax_mean", "any_resistant", "all_respond"]
)
def test_a_fall_of_exactly_the_cut_responds_under_every_rule(rule, follow, expected):
    assert one(adpet_of({"L1": (100.0, follow)}), rule, cut_percent=25.0)["AVALC"] == expected


@pytest.mark.parametrize(
    ("follow", "expected"),
    [
        (125.0, "PROGRESSOR"),
        (124.9999, "STABLE"),
        (100.0, "STABLE"),
        (75.0001, "STABLE"),
        (75.0, "RESPONDER"),
    ],
)
def test_a_rule_by_percent_has_three_classes_and_only_a_responder_responds(follow, expected):
    row = one(adpet_of({"L1": (100.0, follow)}), "any_resistant", cut_percent=25.0)
    assert row["AVALC"] == expected
    assert row["MRESP"] == ("RESPONDER" if expected == "RESPONDER" else "NON-RESPONDER")


def test_the_row_of_the_table_that_decided_is_named():
    rows = {
        "falls": one(adpet_of({"L1": (10.0, 5.0)}), "any_resistant"),
        "rises": one(adpet_of({"L1": (10.0, 15.0)}), "any_resistant"),
        "otherwise": one(adpet_of({"L1": (10.0, 10.0)}), "any_resistant"),
        "new_lesion": one(
            adpet_of({"L1": (10.0, 5.0)}), "any_resistant", decisions=decisions_of(("L9", "new"))
        ),
        "not_computable": one(adpet_of({"L1": (10.0, 5.0)}, EVALFL="N"), "any_resistant"),
        "lesion_unknown": one(adpet_of({"L1": (10.0, 3.0), "L2": (2.0, None)}), "any_resistant"),
        "scan_refused": one(
            adpet_of({"L1": (10.0, 5.0)}).query("AVISIT == 'D0'"),
            "any_resistant",
            scans=scans_of(status=("OK", "REFUSED")),
        ),
    }
    assert {name: row["DECIDED"] for name, row in rows.items()} == {name: name for name in rows}


def test_an_exclusive_cut_leaves_the_exact_fall_a_non_responder():
    strict = PLAN.override({"response.cut_inclusive": False})
    assert one(adpet_of({"L1": (100.0, 75.0)}), "any_resistant", strict)["MRESP"] == "NON-RESPONDER"


@pytest.mark.parametrize(("base", "follow"), [(0.1 + 0.2, 0.225), (7.1, 5.325), (3.3, 2.475), (1 / 3, 0.25)])
def test_rounding_never_decides_an_exact_fall(base, follow):
    assert one(adpet_of({"L1": (base, follow)}), "any_resistant", cut_percent=25.0)["MRESP"] == "RESPONDER"


def test_each_rule_reads_the_lesions_its_own_way():
    # L1 -50 %, L2 -10 %: hottest 10 -> 7.2 (-28 %); sum 18 -> 12.2; mean exp((ln .5 + ln .9)/2) = .6708
    adpet = adpet_of({"L1": (10.0, 5.0), "L2": (8.0, 7.2)})
    expected = {"suvmax_hottest": 0.72, "suvmax_sum": 12.2 / 18, "suvmax_mean": np.sqrt(0.45)}
    expected |= {"any_resistant": 0.9, "all_respond": 0.9}
    for rule, ratio in expected.items():
        row = one(adpet, rule, cut_percent=25.0)
        assert row["SCORE"] == pytest.approx(np.log(ratio))
        assert row["MRESP"] == ("RESPONDER" if ratio <= 0.75 else "NON-RESPONDER")


def test_all_respond_looks_at_targets_only_and_any_resistant_at_evaluable_lesions():
    adpet = adpet_of({"L1": (10.0, 5.0), "L2": (8.0, 8.0)})
    adpet.loc[adpet["LESIONID"] == "L2", "TARGETFL"] = "N"
    assert one(adpet, "all_respond")["MRESP"] == "RESPONDER"
    assert one(adpet, "any_resistant")["MRESP"] == "NON-RESPONDER"
    adpet.loc[adpet["LESIONID"] == "L2", "EVALFL"] = "N"
    row = one(adpet, "any_resistant")
    assert (row["MRESP"], row["NLESION"]) == ("RESPONDER", 1)


def test_a_confirmed_new_lesion_is_non_response_unless_the_switch_is_off():
    adpet, new = adpet_of({"L1": (10.0, 2.0)}), decisions_of(("L9", "new"))
    assert one(adpet, "any_resistant", decisions=new)["MRESP"] == "NON-RESPONDER"
    off = PLAN.override({"response.new_lesion_is_nonresponse": False})
    assert one(adpet, "any_resistant", off, decisions=new)["MRESP"] == "RESPONDER"


def test_inflammatory_uptake_is_no_progression_of_the_rules_by_percent():
    adpet = adpet_of({"L1": (10.0, 2.0), "L2": (None, 6.0)})
    said = decisions_of(("L2", "inflammatory"))
    assert one(adpet, "any_resistant", decisions=said)["MRESP"] == "RESPONDER"


@pytest.mark.parametrize("rule", ["any_resistant", "suvmax_sum", "dominance_count"])
@pytest.mark.parametrize(("follow", "open_case"), [(2.0, True), (10.0, False), (20.0, False)])
def test_unjudged_new_uptake_leaves_a_response_open_and_nothing_else(rule, follow, open_case):
    row = one(adpet_of({"L1": (10.0, follow), "L2": (None, 6.0)}), rule)
    expected = ("NE", "NEW_UNCONFIRMED") if open_case else ("NON-RESPONDER", None)
    assert (row["MRESP"], row["NEREAS"]) == expected


def test_unjudged_new_uptake_changes_nothing_where_new_lesions_do_not_count():
    off = PLAN.override({"response.new_lesion_is_nonresponse": False})
    adpet = adpet_of({"L1": (10.0, 2.0), "L2": (None, 6.0)})
    assert one(adpet, "any_resistant", off)["MRESP"] == "RESPONDER"
    # the published tables keep their row
    assert one(adpet, "dominance_count", off)["MRESP"] == "NE"


@pytest.mark.parametrize(
    ("said", "expected"),
    [(["new", None], ["PROGRESSOR", "PROGRESSOR"]), (["new", "inflammatory"], ["PROGRESSOR", "RESPONDER"]),
     ([None, "new"], ["NE", "PROGRESSOR"]), (["inflammatory", None], ["RESPONDER", "NE"])],
)  # fmt: skip
def test_a_lesion_judged_new_stays_new_until_a_reader_says_otherwise(said, expected):
    later = adpet_of({"L1": (10.0, 3.0)}, visit="D28").query("AVISIT == 'D28'")
    new = pd.DataFrame([row_of("S1", visit, "L9", "SUVMAX", 8.0) for visit in ("D14", "D28")])
    words = [decisions_of(("L9", word), visit=visit) for visit, word in zip(("D14", "D28"), said) if word]
    adpet = pd.concat([adpet_of({"L1": (10.0, 4.0)}), later, new])
    found = classify(adpet, PLAN, rule="any_resistant", decisions=pd.concat(words))
    assert found["AVALC"].tolist() == expected


def lost_at_baseline(follow, **extra):
    """Build two lesions, the second recorded at baseline but not measured."""
    lost = {"FLAGS": "NOT_MEASURED", "EVALFL": "N", "TARGETFL": "N"}
    rows = [row_of("S1", "D0", "L2", "SUVMAX", np.nan, **lost), row_of("S1", "D14", "L2", "SUVMAX", 4.0)]
    rows += [row_of("S1", "D0", "L2", name, value, **lost) for name, value in extra.items()]
    return pd.concat([adpet_of({"L1": (10.0, follow)}), pd.DataFrame(rows)])


@pytest.mark.parametrize("rule", ["any_resistant", "all_respond", "dominance_count", "eortc"])
def test_a_baseline_lesion_that_was_not_measured_belongs_to_every_set_of_lesions(rule):
    row = one(lost_at_baseline(4.0), rule)
    assert (row["MRESP"], row["NEREAS"], row["NLESION"]) == ("NE", "LESION_NOT_EVALUABLE", 2)
    # a volume was measured, its uptake was not: still not known
    assert one(lost_at_baseline(4.0, MTV41=3.0), rule)["MRESP"] == "NE"


def test_the_rest_decides_beside_a_baseline_lesion_that_was_not_measured():
    row = one(lost_at_baseline(10.0), "any_resistant")
    assert (row["AVALC"], row["FLAGS"].split(";")[0]) == ("STABLE", "AT_LEAST_THIS_BAD")
    # it may have been the hottest: then L1 is not read under a cap of one
    assert one(lost_at_baseline(10.0), "any_resistant", lesion_cap=1)["MRESP"] == "NE"


def test_a_lesion_without_a_value_on_the_metric_s_own_scale_is_not_left_out():
    adpet = pd.concat(
        [adpet_of({"L1": (10.0, 4.0), "L2": (8.0, 8.0)}), lesions_of({"L1": (8.0, 3.0)}, "SULPEAK")]
    )
    assert one(adpet, "any_resistant", metric="SULPEAK")["MRESP"] == "NE"


def test_a_lesion_the_reader_cannot_evaluate_has_no_size_and_no_glycolysis_either():
    lesions = {"L1": (10.0, 4.0), "L2": (8.0, 4.0)}
    said = decisions_of(("L2", "not_evaluable"))
    sizes = lesions_of({"L1": (20.0, 15.0), "L2": (20.0, 30.0)}, "LONGDIAM")
    adpet = pd.concat([adpet_of(lesions), sizes])
    assert one(adpet, "eortc")["AVALC"] == "PMD"
    assert one(adpet, "eortc", decisions=said)["AVALC"] == "NE"
    # 40 -> 200 is a rise beyond 75 %; L1 stays as it was
    steady, tlg = {"L1": (10.0, 10.0), "L2": (8.0, 4.0)}, {"L1": (20.0, 20.0), "L2": (20.0, 180.0)}
    assert percist(steady, tlg=tlg)["AVALC"] == "PMD"
    assert percist(steady, tlg=tlg, decisions=said)["AVALC"] == "SMD"


@pytest.mark.parametrize(("follow", "expected"), [(200.0, "PMD"), (70.0, "SMD"), (70.1, "PMD")])
def test_a_lesion_that_is_gone_adds_no_glycolysis_and_hides_none(follow, expected):
    # 20 + 20 before: more than 70 is a rise beyond 75 %
    lesions, tlg = {"L1": (10.0, 10.0), "L2": (8.0, None)}, {"L1": (20.0, follow), "L2": (20.0, None)}
    row = percist(lesions, tlg=tlg, decisions=decisions_of(("L2", "resolved")))
    assert row["AVALC"] == expected


def test_targets_that_could_not_be_ranked_are_told_from_lesions_that_are_too_faint():
    faint = adpet_of({"L1": (10.0, 4.0)}, EVALFL="N", TARGETFL="N")
    assert one(faint, "suvmax_sum")["NEREAS"] == "NOT_FDG_EVALUABLE"
    unranked = adpet_of({"L1": (10.0, 4.0)}, TARGETFL="N")
    assert one(unranked, "suvmax_sum")["NEREAS"] == "NO_TARGET_METRIC"
    assert one(unranked, "any_resistant")["MRESP"] == "RESPONDER"


def test_a_study_of_scans_without_any_lesion_is_not_evaluable():
    found = classify_grid(regions(), PLAN)
    assert set(found["MRESP"]) == {"NE"} and set(found["NEREAS"]) == {"NO_LESION"}


@pytest.mark.parametrize("rule", ["any_resistant", "eortc", "percist"])
def test_a_lesion_called_both_gone_and_not_evaluable_is_not_known(rule):
    adpet = pd.concat([adpet_of({"L1": (10.0, None)}), lesions_of({"L1": (8.0, None)}, "SULPEAK"), regions()])
    both = decisions_of(("L1", "resolved"), ("L1", "not_evaluable"))
    assert one(adpet, rule, scans=scans_of(), decisions=both)["MRESP"] == "NE"
    assert check_decisions(both, adpet)["CODE"].tolist() == ["DECISION_CONFLICT"]


def test_readers_who_disagree_on_new_uptake_are_asked():
    adpet = adpet_of({"L1": (10.0, 4.0), "L9": (None, 8.0)})
    both = decisions_of(("L9", "new"), ("L9", "inflammatory"))
    assert check_decisions(both, adpet)["CODE"].tolist() == ["DECISION_CONFLICT"]
    assert check_decisions(decisions_of(("L9", "new"), ("L8", "inflammatory")), adpet).empty


@pytest.mark.parametrize(
    ("liver", "aorta", "expected"),
    [(2.0, None, ("CMR", True)), (2.0, 1.5, ("CMR", False)), (2.0, 2.1, ("PMR", False))],
)
def test_the_liver_standing_in_for_a_lesion_is_not_held_against_itself(liver, aorta, expected):
    parts = [adpet_of({"L1": (8.0, None)}, metric="SULPEAK"), regions(liver=(liver, liver))]
    if aorta:
        parts.append(pd.DataFrame([row_of("S1", "D14", "AORTA", "SULMEAN", aorta, ROLE="AORTA")]))
    row = one(pd.concat(parts), "percist", scans=scans_of(), decisions=decisions_of(("L1", "resolved")))
    assert (row["AVALC"], "CMR_BY_READER" in row["FLAGS"]) == expected
    assert "BACKGROUND_IMPUTED" in row["FLAGS"]


def test_new_is_not_believed_of_a_lesion_measured_at_baseline():
    assert one(adpet_of({"L1": (10.0, 2.0)}), "any_resistant", decisions=decisions_of(("L1", "new")))[
        "MRESP"
    ] == "RESPONDER"  # fmt: skip


# ---- lesions that cannot be evaluated


@pytest.mark.parametrize("rule", ["suvmax_hottest", "suvmax_sum", "any_resistant", "all_respond"])
def test_a_missing_lesion_is_non_response_where_the_rest_decides_and_else_ne(rule):
    decided = one(adpet_of({"L1": (10.0, 10.0), "L2": (2.0, None)}), rule)
    assert (decided["MRESP"], decided["NEREAS"]) == ("NON-RESPONDER", None)
    assert np.isnan(decided["SCORE"])
    undecided = one(adpet_of({"L1": (10.0, 3.0), "L2": (2.0, None)}), rule)
    assert (undecided["MRESP"], undecided["NEREAS"]) == ("NE", "LESION_NOT_EVALUABLE")


def test_a_geometric_mean_with_an_unknown_lesion_is_ne():
    assert one(adpet_of({"L1": (10.0, 30.0), "L2": (2.0, None)}), "suvmax_mean")["AVALC"] == "NE"


def test_a_reader_can_call_a_measured_lesion_not_evaluable():
    adpet = adpet_of({"L1": (10.0, 3.0)})
    assert one(adpet, "any_resistant", decisions=decisions_of(("L1", "not_evaluable")))["MRESP"] == "NE"


def test_a_resolved_lesion_without_contour_counts_with_the_background_and_never_with_zero():
    adpet = adpet_of({"L1": (10.0, None)})
    blood = pd.DataFrame([row_of("S1", "D14", "AORTA", "SUVMEAN", 1.5, ROLE="AORTA")])
    row = one(pd.concat([adpet, blood]), "any_resistant", decisions=decisions_of(("L1", "resolved")))
    assert row["MRESP"] == "RESPONDER"
    assert row["SCORE"] == pytest.approx(np.log(0.15))


@pytest.mark.parametrize("base", [0.0, -1.0, np.nan, np.inf])
def test_a_baseline_that_is_not_positive_is_not_evaluable(base):
    assert one(adpet_of({"L1": (base, 1.0)}), "any_resistant")["AVALC"] == "NE"


# ---- dominance


@pytest.mark.parametrize(
    ("lesions", "expected"),
    [
        ({"L1": (100.0, 85.0), "L2": (100.0, 50.0)}, "I"),  # exactly -15 responds
        ({"L1": (100.0, 85.0), "L2": (100.0, 50.0), "L3": (100.0, 85.1)}, "II"),
        ({"L1": (100.0, 50.0), "L2": (100.0, 90.0)}, "III"),  # exactly half
        ({"L1": (100.0, 50.0), "L2": (100.0, 90.0), "L3": (100.0, 90.0)}, "III"),
        ({"L1": (100.0, 90.0), "L2": (100.0, 100.0)}, "IV"),
        (
            {"L1": (100.0, 50.0), "L2": (100.0, 50.0), "L3": (100.0, 125.0)},
            "II",
        ),  # exactly +25: not progressive
        ({"L1": (100.0, 50.0), "L2": (100.0, 50.0), "L3": (100.0, 125.1)}, "IV"),
    ],
)
def test_dominance_by_count(lesions, expected):
    row = one(adpet_of(lesions), "dominance_count")
    assert (row["AVALC"], row["CUT"]) == (expected, 15.0)
    assert row["MRESP"] == ("RESPONDER" if expected in {"I", "II"} else "NON-RESPONDER")


def test_a_scan_with_two_livers_is_not_compared_and_stops_no_study():
    lesions, liver = adpet_of({"L1": (8.0, 3.0)}, metric="SULPEAK"), regions(liver=(2.0, 2.0))
    second = liver.assign(LESIONID="Liver_R", AVAL=9.0)
    found = one(pd.concat([lesions, liver, second]), "percist", scans=scans_of())
    without = one(lesions, "percist", scans=scans_of())
    assert (found["AVALC"], found["NEREAS"]) == (without["AVALC"], without["NEREAS"])


def test_a_new_lesion_is_class_iv():
    row = one(adpet_of({"L1": (10.0, 1.0)}), "dominance_count", decisions=decisions_of(("L9", "new")))
    assert row["AVALC"] == "IV"


@pytest.mark.parametrize(("load", "expected"), [((3.0, 1.0), "II"), ((1.0, 1.0), "III"), ((1.0, 3.0), "III")])
def test_dominance_by_volume_weighs_lesions_by_their_baseline_load(load, expected):
    uptake = adpet_of({"L1": (100.0, 50.0), "L2": (100.0, 90.0)})
    volume = adpet_of({"L1": (load[0], None), "L2": (load[1], None)}, metric="MTV41").query(
        "ROLE == 'LESION'"
    )
    assert one(pd.concat([uptake, volume]), "dominance_volume")["AVALC"] == expected


def test_dominance_by_volume_without_volumes_is_ne_with_its_reason():
    row = one(adpet_of({"L1": (100.0, 50.0), "L2": (100.0, 90.0)}), "dominance_volume")
    assert (row["AVALC"], row["NEREAS"]) == ("NE", "NO_BASELINE_LOAD")


def test_the_weighted_median_is_the_median_for_equal_weights():
    values = np.array([3.0, 1.0, 2.0, 10.0])
    assert compute_weighted_median(values, np.ones(4)) == np.median(values)


# ---- EORTC 1999


@pytest.mark.parametrize(
    ("follow", "expected"),
    [(125.1, "PMD"), (125.0, "SMD"), (100.0, "SMD"), (85.01, "SMD"), (85.0, "PMR"), (10.0, "PMR")],
)
def test_eortc_after_one_cycle(follow, expected):
    row = one(adpet_of({"L1": (100.0, follow)}), "eortc")
    assert (row["AVALC"], row["CUT"]) == (expected, 15.0)


@pytest.mark.parametrize(("follow", "expected"), [(75.0, "SMD"), (74.9, "PMR"), (80.0, "SMD"), (85.0, "SMD")])
def test_eortc_after_more_than_one_cycle_needs_more_than_25_percent(follow, expected):
    later = PLAN.override({"response.eortc_phase": "later"})
    row = one(adpet_of({"L1": (100.0, follow)}), "eortc", later)
    assert (row["AVALC"], row["CUT"]) == (expected, 25.0)


def test_eortc_may_read_at_least_25_percent_as_progression():
    inclusive = PLAN.override({"response.eortc_pmd_inclusive": True})
    assert one(adpet_of({"L1": (100.0, 125.0)}), "eortc", inclusive)["AVALC"] == "PMD"


@pytest.mark.parametrize(("length", "expected"), [(60.0, "CMR"), (60.1, "PMD")])
def test_eortc_growth_and_new_lesions_beat_complete_response(length, expected):
    uptake = adpet_of({"L1": (100.0, 20.0)})
    longest = adpet_of({"L1": (50.0, length)}, metric="LONGDIAM").query("ROLE == 'LESION'")
    adpet, resolved = pd.concat([uptake, longest]), decisions_of(("L1", "resolved"))
    assert one(adpet, "eortc", decisions=resolved)["AVALC"] == expected
    new = decisions_of(("L1", "resolved"), ("L9", "new"))
    assert one(adpet, "eortc", decisions=new)["AVALC"] == "PMD"


def test_eortc_takes_all_reader_lesions_evaluable_or_not():
    adpet = adpet_of({"L1": (10.0, 5.0), "L2": (10.0, 5.0)})
    adpet["EVALFL"] = "N"
    assert one(adpet, "eortc")["NLESION"] == 2


def test_unjudged_new_uptake_leaves_eortc_open_unless_progression_is_certain():
    row = one(adpet_of({"L1": (10.0, 2.0), "L2": (None, 6.0)}), "eortc")
    assert (row["AVALC"], row["NEREAS"]) == ("NE", "NEW_UNCONFIRMED")
    assert one(adpet_of({"L1": (10.0, 20.0), "L2": (None, 6.0)}), "eortc")["AVALC"] == "PMD"


# ---- PERCIST 1.0


@pytest.mark.parametrize(
    ("base", "follow", "expected"),
    [
        (10.0, 13.0, "SMD"),  # exactly +30 % is no PMD
        (10.0, 13.01, "PMD"),
        (4.0, 5.21, "PMD"),
        (10.0, 7.0, "PMR"),  # exactly -30 %
        (10.0, 7.01, "SMD"),
        (4.0, 2.8, "PMR"),
        (10.0, 10.0, "SMD"),
    ],
)
def test_percist_by_the_hottest_lesion(base, follow, expected):
    row = percist({"L1": (base, follow)})
    assert (row["AVALC"], row["METRIC"], row["CUT"]) == (expected, "SULPEAK", 30.0)


@pytest.mark.parametrize(
    ("base", "follow", "expected"),
    [(2.1, 1.4, "SMD"), (2.4, 1.6, "PMR"), (2.4, 1.601, "SMD"), (2.4, 3.2, "SMD"), (2.4, 3.21, "PMD")],
)
def test_percist_floor_of_0_8_sul(base, follow, expected):
    # a liver of 1.0 makes 2.1 measurable: 1.5 x 1.0 + 2 x 0.1 = 1.7
    assert percist({"L1": (base, follow)}, liver=(1.0, 1.0))["AVALC"] == expected


def test_percist_may_read_the_limits_of_progression_as_inclusive():
    inclusive = PLAN.override({"response.percist_pmd_inclusive": True})
    assert percist({"L1": (10.0, 13.0)}, plan=inclusive)["AVALC"] == "PMD"


def test_percist_follows_the_hottest_lesion_of_each_scan():
    row = percist({"L1": (10.0, 4.0), "L2": (6.0, 6.5)})
    assert row["SCORE"] == pytest.approx(np.log(0.65))
    assert row["AVALC"] == "PMR"


def test_percist_partial_response_is_lost_when_another_lesion_rises():
    assert percist({"L1": (10.0, 5.0), "L2": (4.0, 5.3)})["AVALC"] == "SMD"
    assert percist({"L1": (10.0, 5.0), "L2": (4.0, 5.2)})["AVALC"] == "PMR"


@pytest.mark.parametrize(
    ("tlg", "sul", "expected"), [(175.0, 10.0, "SMD"), (175.1, 10.0, "PMD"), (175.1, 9.9, "SMD")]
)
def test_percist_glycolysis_beyond_75_percent_is_progression_only_without_decline(tlg, sul, expected):
    assert percist({"L1": (10.0, sul)}, tlg={"L1": (100.0, tlg)})["AVALC"] == expected


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        ((25.0, 30.0), "SMD"),  # exactly 20 % and exactly 5 mm
        ((25.0, 29.9), "PMR"),  # 19.6 %
        ((20.0, 24.9), "PMR"),  # 24.5 %, but 4.9 mm
        ((40.0, 45.0), "PMR"),  # 5 mm, but 12.5 %
        ((25.0, None), "PMR"),  # unknown size blocks nothing
    ],
)
def test_percist_partial_response_is_lost_when_a_lesion_grows_as_recist_progression_does(longest, expected):
    row = percist({"L1": (10.0, 5.0), "L2": (6.0, 3.0)}, longest={"L1": (30.0, 20.0), "L2": longest})
    assert row["AVALC"] == expected


def test_percist5_sums_the_five_hottest_of_each_scan_two_of_an_organ():
    # baseline, hottest first: bone 10 and 9 (8 is the third of bone), liver 7, lung 6, node 5: sum 37
    # follow-up: bone 8 and 6, liver 5, lung 4, node 3 of L6 (2 of L5): sum 26, -29.7 %
    lesions = {"L1": (10.0, 6.0), "L2": (9.0, 3.0), "L3": (8.0, 8.0), "L4": (7.0, 5.0), "L7": (6.0, 4.0)}
    lesions |= {"L5": (5.0, 2.0), "L6": (4.0, 3.0)}
    organs = {
        "L1": "bone",
        "L2": "bone",
        "L3": "bone",
        "L4": "liver",
        "L5": "node",
        "L6": "node",
        "L7": "lung",
    }
    row = percist(lesions, rule="percist5", organs=organs)
    assert (row["METRIC"], row["CUT"], row["AVALC"]) == ("SULPEAK", 30.0, "SMD")
    assert row["SCORE"] == pytest.approx(np.log(26 / 37))
    # node 2.8 instead of 3.0: the sum falls to 25.8, by 30.3 %
    assert percist(lesions | {"L6": (4.0, 2.8)}, rule="percist5", organs=organs)["AVALC"] == "PMR"


def test_percist5_never_grows_by_lesions_too_faint_to_count_at_baseline():
    # 1.5 x 2.0 + 2 x 0.1 = 3.2: L2 is no target, so one lesion is read at each scan
    row = percist({"L1": (10.0, 6.0), "L2": (3.0, 4.0)}, rule="percist5", organs={"L1": "bone", "L2": "lung"})
    assert row["SCORE"] == pytest.approx(np.log(0.6))


def test_percist5_needs_a_measurable_lesion_and_a_complete_response_of_its_hottest():
    assert percist({"L1": (3.1, 3.1)}, rule="percist5")["NEREAS"] == "NOT_FDG_EVALUABLE"
    gone = decisions_of(("L1", "resolved"), ("L2", "resolved"))
    # each is below the liver (2.0), their sum is not
    both = {"L1": (10.0, 1.5), "L2": (8.0, 1.5)}
    assert percist(both, rule="percist5", decisions=gone)["AVALC"] == "CMR"


def test_percist_complete_response_needs_the_reader_and_the_liver():
    resolved = decisions_of(("L1", "resolved"))
    assert percist({"L1": (10.0, 1.5)}, decisions=resolved)["AVALC"] == "CMR"
    assert percist({"L1": (10.0, 1.5)})["AVALC"] == "PMR"
    assert percist({"L1": (10.0, 2.1)}, decisions=resolved)["AVALC"] == "PMR"


@pytest.mark.parametrize(("base", "expected"), [(3.2, "SMD"), (3.19, "NE")])
def test_percist_needs_a_measurable_lesion_equal_to_the_threshold_counts(base, expected):
    # 1.5 x 2.0 + 2 x 0.1 = 3.2
    assert percist({"L1": (base, base)})["AVALC"] == expected


@pytest.mark.parametrize(
    ("uptake", "liver", "expected"),
    [
        ((60.0, 75.0), (2.0, 2.0), "SMD"),  # 15 minutes apart
        ((60.0, 75.1), (2.0, 2.0), "NE"),
        ((50.0, 60.0), (2.0, 2.0), "SMD"),
        ((49.9, 60.0), (2.0, 2.0), "NE"),
        ((60.0, 60.0), (2.0, 2.3), "SMD"),  # 0.3 apart
        ((60.0, 60.0), (2.0, 2.31), "NE"),
        ((60.0, 60.0), (1.0, 1.25), "SMD"),  # 20 % of the larger
        ((60.0, 60.0), (1.0, 1.26), "NE"),
        ((np.nan, 60.0), (2.0, 2.0), "NE"),
    ],
)
def test_percist_compares_comparable_scans_only(uptake, liver, expected):
    assert percist({"L1": (10.0, 10.0)}, uptake=uptake, liver=liver)["AVALC"] == expected


def test_percist_new_lesion_is_progression_even_on_scans_that_are_not_comparable():
    assert (
        percist({"L1": (10.0, 2.0)}, uptake=(20.0, 90.0), decisions=decisions_of(("L9", "new")))["AVALC"]
        == "PMD"
    )


def test_a_missing_comparability_fact_blocks_percist_only_as_the_plan_says():
    row = percist({"L1": (10.0, 10.0)}, uptake=(np.nan, 60.0))
    assert row["NEREAS"] == "COMPARABILITY_UNKNOWN"
    lenient = PLAN.override({"response.comparability_unknown_is": "comparable"})
    assert percist({"L1": (10.0, 10.0)}, uptake=(np.nan, 60.0), plan=lenient)["AVALC"] == "SMD"


# ---- who gets a row, and why a row is NE


def test_every_pilot_patient_has_a_row_for_every_follow_up_visit():
    subjects = pd.DataFrame({"USUBJID": ["S1", "S2", "S3"], "PILOTFL": ["Y", "Y", "N"]})
    adpet = pd.concat([adpet_of({"L1": (10.0, 5.0)}), adpet_of({"L1": (10.0, 5.0)}, subject="S3")])
    admr = classify(adpet, subjects=subjects)
    found = dict(zip(zip(admr["USUBJID"], admr["AVISIT"]), admr["NEREAS"]))
    assert found == {
        ("S1", "D14"): None,
        ("S1", "D28"): "NO_FOLLOWUP_SCAN",
        ("S2", "D14"): "NO_BASELINE_SCAN",
        ("S2", "D28"): "NO_BASELINE_SCAN",
        ("S3", "D14"): None,
    }


@pytest.mark.parametrize(
    ("status", "reason"), [(("OK", "REFUSED"), "SCAN_REFUSED"), (("REFUSED", "OK"), "BASELINE_REFUSED")]
)
def test_a_refused_scan_gives_ne_with_its_own_reason(status, reason):
    adpet = adpet_of({"L1": (10.0, 5.0)})
    kept = adpet[adpet["AVISIT"] == ("D0" if status[0] == "OK" else "D14")]
    row = one(kept, "any_resistant", scans=scans_of(status=status))
    assert (row["AVALC"], row["NEREAS"]) == ("NE", reason)
    assert row["PETDT"] == pd.Timestamp("2024-01-15")


def test_a_patient_without_an_evaluable_lesion_is_ne_and_says_so():
    adpet = adpet_of({"L1": (1.0, 0.5)})
    adpet["EVALFL"] = "N"
    row = one(adpet, "any_resistant")
    assert (row["MRESP"], row["NEREAS"], row["NLESION"]) == ("NE", "NOT_FDG_EVALUABLE", 0)


def test_a_patient_without_any_lesion_is_ne_and_says_so():
    assert one(adpet_of({}), "any_resistant", metric="NLESION")["NEREAS"] == "NO_LESION"


@pytest.mark.parametrize(
    ("base", "follow", "flag"),
    [
        (10.0, 7.0, "Y"),
        (10.0, 7.004, "Y"),  # -29.96 %
        (10.0, 7.005, "N"),  # -29.95 %: 0.05 away, the tolerance itself is outside
        (10.0, 13.004, "Y"),
        (10.0, 13.006, "N"),
        (4.0, 3.2, "Y"),  # 0.8 apart
        (4.0, 3.204, "Y"),
        (4.0, 3.206, "N"),  # 0.794
        (4.0, 4.804, "Y"),
    ],
)
def test_percist_marks_changes_near_30_percent_or_0_8_sul(base, follow, flag):
    assert percist({"L1": (base, follow)})["ONBOUND"] == flag


@pytest.mark.parametrize(
    ("follow", "flag"), [(75.0, "Y"), (75.04, "Y"), (74.96, "Y"), (75.1, "N"), (60.0, "N")]
)
def test_a_change_near_the_cut_is_flagged_as_on_the_boundary(follow, flag):
    adpet = adpet_of({"L1": (100.0, follow)})
    for rule in ("any_resistant", "suvmax_sum", "suvmax_hottest"):
        assert one(adpet, rule, cut_percent=25.0)["ONBOUND"] == flag


def test_a_study_without_follow_up_scans_has_no_response_rows():
    plan = PLAN.override({"design.followup_visits": []})
    admr = classify(adpet_of({"L1": (10.0, 5.0)}), plan)
    assert admr.empty and "AVALC" in admr


# ---- refusals


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="UNKNOWN_RULE: 'hotest'"):
        classify(adpet_of({"L1": (1.0, 1.0)}), rule="hotest")


def test_a_metric_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="METRIC_MISSING: adpet has no 'TLG41'"):
        classify(adpet_of({"L1": (1.0, 1.0)}), metric="TLG41")


def test_a_repeated_measurement_is_refused():
    adpet = adpet_of({"L1": (1.0, 1.0)})
    with pytest.raises(ValueError, match="DUPLICATE_MEASUREMENT: 4 rows"):
        classify(pd.concat([adpet, adpet]))


def test_a_decision_table_with_an_unknown_row_is_refused():
    with pytest.raises(ValueError, match="DECISION_TABLE"):
        decide(pd.DataFrame({"rises": [True]}), [["shrinks", "PMR"], ["otherwise", "SMD"]])


# ---- the grid and its invariants


def trial_of(values):
    """Build a small trial: one subject an entry, each a list of (baseline, follow-up) pairs."""
    parts = []
    for number, pairs in enumerate(values):
        lesions = {f"L{i + 1}": pair for i, pair in enumerate(pairs)}
        for metric in ("SUVMAX", "SULPEAK", "MTV41"):
            part = adpet_of(lesions, subject=f"S{number}", metric=metric)
            parts.append(part if metric == "SUVMAX" else part[part["ROLE"] == "LESION"])
        parts.append(regions(subject=f"S{number}"))
    return pd.concat(parts, ignore_index=True)


def test_the_grid_holds_every_rule_and_cut_once_and_the_primary_one():
    admr = classify_grid(trial_of([[(10.0, 5.0)]]), PLAN.override({"primary.cut_percent": 20.0}))
    assert not admr.duplicated(["USUBJID", "AVISIT", "METRIC", "RULE", "CUT"]).any()
    assert set(admr.loc[admr["RULE"] == "any_resistant", "CUT"]) == {15.0, 20.0, 25.0, 30.0, 40.0}
    assert set(admr["RULE"]) == set(PLAN.response.grid_rules)


pairs = st.lists(st.tuples(st.floats(4, 20), st.floats(1, 20)), min_size=1, max_size=4)


@settings(max_examples=3, deadline=None)
@given(st.lists(pairs, min_size=1, max_size=3), st.randoms())
def test_row_order_and_subject_names_change_nothing(values, random):
    adpet = trial_of(values)
    before = adpet.copy()
    plain = classify_grid(adpet)
    rows = list(range(len(adpet)))
    random.shuffle(rows)
    # reversed names: the sort order of the subjects turns round
    renamed = adpet.iloc[rows].assign(
        USUBJID=lambda t: t["USUBJID"].str.translate(str.maketrans("S012", "Z987"))
    )
    other = classify_grid(renamed)
    other["USUBJID"] = other["USUBJID"].str.translate(str.maketrans("Z987", "S012"))
    key = ["METRIC", "RULE", "CUT", "USUBJID", "AVISIT"]
    pd.testing.assert_frame_equal(
        plain.sort_values(key, ignore_index=True), other.sort_values(key, ignore_index=True)
    )
    pd.testing.assert_frame_equal(adpet, before)


@settings(max_examples=3, deadline=None)
@given(pairs)
def test_a_deeper_cut_never_makes_a_responder_of_a_non_responder(values):
    adpet = trial_of([values])
    rules = ["any_resistant", "suvmax_sum", "suvmax_mean", "suvmax_hottest"]
    admr = classify_grid(adpet, PLAN.override({"response.grid_rules": rules})).sort_values("CUT")
    assert set(admr["RULE"]) == set(rules)
    for _, rows in admr.groupby("RULE"):
        calls = (rows["MRESP"] == "RESPONDER").tolist()
        assert len(calls) == 4 and calls == sorted(calls, reverse=True)
