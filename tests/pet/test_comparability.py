"""Are two scans comparable? Both sides of every limit, order of the verdicts; limits from pet.md 2.3."""

import numpy as np
import pandas as pd
import pytest
from response_factory import PLAN, adpet_of, regions, row_of

from analysis.contracts import pet as contracts
from analysis.pet.comparability import compare_pairs, judge_pairs

SAME = {
    "UPTAKEMIN": 60.0, "UPTAKEACQ": 62.0, "DOSEMBQ": 250.0, "SITEID": "01", "VENDOR": "GE", "MODEL": "D-690",
    "SOFTWARE": "pet_1", "RECON": "VPFX", "KERNEL": "std", "PSF": "N", "TOF": "Y", "MATRIX": "192x192",
    "VOXELX": 3.65, "VOXELY": 3.65, "VOXELZ": 3.27, "GLUCOSE": 5.5, "FASTING": "Y",
}  # fmt: skip
QIBA = PLAN.override({"response.comparability_standard": "qiba"})
EANM = PLAN.override({"response.comparability_standard": "eanm"})


def scans(base=None, follow=None, subject="S1"):
    rows = [
        {
            "USUBJID": subject,
            "AVISIT": visit,
            "STATUS": "OK",
            "FLAGS": None,
            "PATH": visit,
            **SAME,
            **(facts or {}),
        }
        for visit, facts in (("D0", base), ("D14", follow))
    ]
    return pd.DataFrame(rows)


def lesion_table(liver=(1.2, 1.2), aorta=None, subject="S1"):
    parts = [adpet_of({"L1": (8.0, 4.0)}, subject=subject), regions(subject=subject, liver=liver)]
    for visit, mean in zip(("D0", "D14"), aorta or ()):
        parts.append(pd.DataFrame([row_of(subject, visit, "AORTA", "SULMEAN", mean, ROLE="AORTA")]))
    return pd.concat(parts, ignore_index=True)


def compare(base=None, follow=None, plan=PLAN, **regions_given):
    return compare_pairs(scans(base, follow), lesion_table(**regions_given), plan).set_index("CHECK")


def verdict(*args, **kwargs):
    found = compare(*args, **kwargs)["VERDICT"].unique()
    assert len(found) == 1
    return found[0]


def test_two_scans_alike_in_everything_are_assessable_and_every_check_passes():
    found = compare_pairs(scans(), lesion_table(), PLAN)
    contracts.PET_CONTRACTS["comparability"].validate(found)
    assert set(found["RESULT"]) == {"PASS"} and set(found["VERDICT"]) == {"ASSESSABLE"}
    assert found["CHECK"].tolist() == list(PLAN.response.comparability_checks)


# (facts of baseline, of follow-up, check, result, verdict), PERCIST
LIMITS = [
    ({"UPTAKEMIN": 50.0}, {"UPTAKEMIN": 60.0}, "uptake_minimum", "PASS", "ASSESSABLE"),
    ({"UPTAKEMIN": 49.9}, {"UPTAKEMIN": 60.0}, "uptake_minimum", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"UPTAKEMIN": 75.0}, "uptake_difference", "PASS", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"UPTAKEMIN": 75.1}, "uptake_difference", "FAIL", "NOT_ASSESSABLE"),
    ({"UPTAKEMIN": 66.0}, {"UPTAKEMIN": 51.0}, "uptake_difference", "PASS", "ASSESSABLE"),
    ({}, {"UPTAKEMIN": 70.0}, "uptake_window", "PASS", "ASSESSABLE"),
    ({}, {"UPTAKEMIN": 70.1}, "uptake_window", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"DOSEMBQ": 300.0}, "injected_activity", "PASS", "ASSESSABLE"),
    ({}, {"DOSEMBQ": 301.0}, "injected_activity", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({"DOSEMBQ": 300.0}, {"DOSEMBQ": 245.0}, "injected_activity", "PASS", "ASSESSABLE"),  # of baseline
    ({}, {"SITEID": "02"}, "site", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"VENDOR": "SIEMENS"}, "vendor", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"MODEL": "D-710"}, "model", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"MODEL": " d-690 "}, "model", "PASS", "ASSESSABLE"),
    ({}, {"SOFTWARE": "pet_2"}, "software", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"RECON": "OSEM"}, "reconstruction", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"KERNEL": "sharp"}, "kernel", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"PSF": "Y"}, "resolution_modelling", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"TOF": "N"}, "time_of_flight", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"MATRIX": "256x256"}, "matrix", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"VOXELX": 3.66}, "voxel_x", "PASS", "ASSESSABLE"),
    ({}, {"VOXELY": 3.67}, "voxel_y", "FAIL", "NOT_ASSESSABLE"),
    ({}, {"VOXELZ": 5.0}, "voxel_z", "FAIL", "NOT_ASSESSABLE"),
    ({"GLUCOSE": 11.1}, {}, "glucose", "PASS", "ASSESSABLE"),
    ({"GLUCOSE": 11.2}, {}, "glucose", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
    ({}, {"FASTING": "N"}, "fasting", "FAIL", "ASSESSABLE_WITH_WARNINGS"),
]


@pytest.mark.parametrize(("base", "follow", "check", "result", "expected"), LIMITS)
def test_both_sides_of_every_limit_of_percist(base, follow, check, result, expected):
    found = compare(base, follow)
    assert (found.loc[check, "RESULT"], found.loc[check, "VERDICT"]) == (result, expected)


@pytest.mark.parametrize(
    ("liver", "percent", "difference"),
    [
        ((1.0, 1.25), "PASS", "PASS"),  # 20 % of the larger, 25 % of the smaller
        ((1.0, 1.26), "FAIL", "PASS"),
        ((1.5, 1.2), "PASS", "PASS"),  # exactly 20 % and exactly 0.3
        ((2.0, 2.3), "PASS", "PASS"),
        ((2.0, 2.31), "PASS", "FAIL"),
    ],
)
def test_liver_differs_by_at_most_20_percent_of_the_larger_and_0_3(liver, percent, difference):
    found = compare(liver=liver)
    results = found.loc[["reference_percent", "reference_difference"], "RESULT"].tolist()
    assert results == [percent, difference]
    assert found["VERDICT"].iloc[0] == ("ASSESSABLE" if results == ["PASS", "PASS"] else "NOT_ASSESSABLE")


@pytest.mark.parametrize(
    ("plan", "base", "follow", "expected"),
    [
        (QIBA, 55.0, 65.0, "ASSESSABLE"),
        (QIBA, 54.9, 60.0, "NOT_ASSESSABLE"),  # none under 55
        (QIBA, 60.0, 70.1, "NOT_ASSESSABLE"),  # within 10
        (QIBA, 70.0, 75.1, "ASSESSABLE_WITH_WARNINGS"),  # 55 to 75
        (EANM, 55.0, 65.0, "ASSESSABLE"),
        (EANM, 54.9, 60.0, "ASSESSABLE_WITH_WARNINGS"),  # no minimum that blocks
        (EANM, 60.0, 70.1, "NOT_ASSESSABLE"),
    ],
)
def test_qiba_and_eanm_have_their_own_limits_and_none_of_the_liver(plan, base, follow, expected):
    found = compare({"UPTAKEMIN": base}, {"UPTAKEMIN": follow}, plan, liver=(1.0, 3.0))
    assert set(found["VERDICT"]) == {expected}
    assert not {"reference_percent", "reference_difference", "injected_activity"} & set(found.index)


def test_a_blocking_failure_beats_what_is_unknown_and_that_beats_a_warning():
    assert verdict({"UPTAKEMIN": 40.0}, {"UPTAKEMIN": np.nan, "UPTAKEACQ": np.nan}) == "NOT_ASSESSABLE"
    unknown = {"UPTAKEMIN": np.nan, "UPTAKEACQ": np.nan, "SITEID": "02"}
    assert verdict({}, unknown) == "INSUFFICIENT_INFORMATION"
    assert verdict({}, {"SITEID": "02"}) == "ASSESSABLE_WITH_WARNINGS"


def test_an_uptake_time_is_taken_to_the_acquisition_where_the_decay_reference_has_none():
    found = compare({}, {"UPTAKEMIN": np.nan, "UPTAKEACQ": 68.0})
    assert found.loc["uptake_difference", ["AVALC", "DIFF", "RESULT"]].tolist() == ["68", 8.0, "PASS"]


def test_a_reconstruction_nobody_sent_is_unknown_and_decides_nothing():
    bare = scans()[["USUBJID", "AVISIT", "STATUS", "UPTAKEMIN"]]
    found = compare_pairs(bare, lesion_table(), PLAN).set_index("CHECK")
    assert found.loc["kernel", ["BASEC", "AVALC", "RESULT", "IMPACT"]].tolist() == [
        None, None, "UNKNOWN", "BLOCKING",
    ]  # fmt: skip
    assert set(found["VERDICT"]) == {"ASSESSABLE"}
    blank = compare({"KERNEL": " "}, {"KERNEL": "sharp"})
    assert blank.loc["kernel", "RESULT"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        ("insufficient", "INSUFFICIENT_INFORMATION"),
        ("warning", "ASSESSABLE_WITH_WARNINGS"),
        ("noted", "ASSESSABLE"),
    ],
)
def test_the_plan_says_what_an_unknown_means(meaning, expected):
    checks = {**PLAN.response.comparability_checks}
    checks["kernel"] = {**checks["kernel"], "unknown_is": meaning}
    plan = PLAN.override({"response.comparability_checks": checks})
    assert verdict({"KERNEL": None}, {}, plan) == expected


def test_without_a_scan_table_the_uptake_times_are_unknown():
    found = compare_pairs(None, lesion_table(), PLAN)
    assert set(found["VERDICT"]) == {"INSUFFICIENT_INFORMATION"}


@pytest.mark.parametrize(
    ("reference", "flag", "expected"),
    [
        ("LIVER", None, "NOT_ASSESSABLE"),
        ("AORTA", None, "ASSESSABLE"),
        ("AORTA_IF_LIVER_ABNORMAL", None, "NOT_ASSESSABLE"),
        ("AORTA_IF_LIVER_ABNORMAL", "TREF_X;LIVER_HOT_VOXEL", "ASSESSABLE"),
        ("AORTA_IF_LIVER_ABNORMAL", "LIVER_SUL_IMPLAUSIBLE", "NOT_ASSESSABLE"),
    ],
)
def test_blood_pool_may_stand_for_an_abnormal_liver(reference, flag, expected):
    plan = PLAN.override({"response.comparability_reference": reference})
    assert verdict({}, {"FLAGS": flag}, plan, liver=(1.0, 2.0), aorta=(1.0, 1.1)) == expected


def test_blood_pool_stands_for_a_liver_that_one_scan_lacks():
    plan = PLAN.override({"response.comparability_reference": "AORTA_IF_LIVER_ABNORMAL"})
    adpet = lesion_table(aorta=(1.0, 1.1))
    adpet = adpet[~((adpet["ROLE"] == "LIVER") & (adpet["AVISIT"] == "D14"))]
    found = compare_pairs(scans(), adpet, plan).set_index("CHECK")
    assert found.loc["reference_difference", ["BASEC", "AVALC"]].tolist() == ["1", "1.1"]


def test_every_pair_has_its_rows_and_a_scan_without_baseline_none():
    tables = [
        scans(),
        scans({}, {"UPTAKEMIN": 90.0}, subject="S2"),
        scans(subject="S3").query("AVISIT == 'D14'"),
    ]
    adpet = pd.concat([lesion_table(), lesion_table(subject="S2")])
    found = compare_pairs(pd.concat(tables).sample(frac=1, random_state=1), adpet, PLAN)
    one = found.drop_duplicates(["USUBJID", "AVISIT"])
    assert one[["USUBJID", "AVISIT", "VERDICT"]].to_numpy().tolist() == [
        ["S1", "D14", "ASSESSABLE"],
        ["S2", "D14", "NOT_ASSESSABLE"],
    ]
    assert len(found) == 2 * len(PLAN.response.comparability_checks)
    judged = judge_pairs(pd.concat(tables), adpet, PLAN)
    assert judged.to_dict() == {("S1", "D14"): "ASSESSABLE", ("S2", "D14"): "NOT_ASSESSABLE"}


def test_no_pair_gives_an_empty_table_that_meets_the_contract():
    found = compare_pairs(scans().query("AVISIT == 'D0'"), lesion_table().query("AVISIT == 'D0'"), PLAN)
    assert found.empty
    contracts.PET_CONTRACTS["comparability"].validate(found)


@pytest.mark.parametrize(
    "broken",
    [
        {"limits": {"percist": {"near": 3}}},
        {"impact": "FATAL"},
        {"unknown_is": "fine"},
        {"columns": []},
        {"limits": {"percist": {"at_least": 1, "at_most": 2}}},
    ],
)
def test_a_check_that_means_nothing_is_refused(broken):
    checks = {**PLAN.response.comparability_checks}
    checks["glucose"] = {**checks["glucose"], **broken}
    with pytest.raises(ValueError, match="COMPARABILITY_CHECK: 'glucose'"):
        compare(plan=PLAN.override({"response.comparability_checks": checks}))
