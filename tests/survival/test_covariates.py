import numpy as np
import pandas as pd
import pytest

from analysis.survival import NotEstimable
from analysis.survival.association.covariates import (
    COVARIATES,
    baseline_covariates,
    check_known,
    check_names,
    describe_effect,
    known_rows,
)


@pytest.fixture
def adsl():
    return pd.DataFrame(
        {
            "USUBJID": ["b", "a", "c"],
            "SITEID": ["02", "01", None],
            "VISCFL": ["Y", "N", None],
            "BONEONLY": ["N", "U", ""],
            "ECOG": [1, 0, np.nan],
            "AGE": [60.0, 51.0, 70.0],
        }
    )


@pytest.fixture
def adpet():
    rows = [
        ("a", "D0", "L1", "SUVMAX", "LESION", 4.0),
        ("a", "D0", "L2", "SUVMAX", "LESION", 9.0),
        ("a", "D0", "L2", "SUVMAX", "LESION", 9.0),
        ("a", "D0", "L3", "SUVMAX", "LESION", np.nan),
        ("a", "D14", "L4", "SUVMAX", "LESION", 30.0),
        ("a", "D0", "L5", "MTV41", "LESION", 50.0),
        ("a", "D0", "LIVER", "SUVMAX", "LIVER", 99.0),
        ("b", "D0", "L1", "SUVMAX", "LESION", 0.0),
    ]
    return pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "LESIONID", "METRIC", "ROLE", "AVAL"])


def test_lesions_are_counted_once_where_the_metric_is_known_at_baseline(adsl, adpet, plan):
    table = baseline_covariates(adsl, adpet, plan).set_index("USUBJID")
    assert table.loc["a", ["LNLESION", "LNBASE"]].tolist() == pytest.approx([np.log(2), np.log(9)])
    assert table.loc["b", "LNLESION"] == 0  # one lesion, whose value has no logarithm
    assert np.isnan(table.loc["b", "LNBASE"])


def test_what_is_not_known_stays_missing_and_no_lesion_measured_is_not_none(adsl, adpet, plan):
    table = baseline_covariates(adsl, adpet, plan)
    assert list(table) == ["USUBJID", *COVARIATES, "SITEID"]
    assert table["USUBJID"].tolist() == ["a", "b", "c"]
    assert table.set_index("USUBJID").loc["c", [*COVARIATES, "SITEID"]].isna().sum() == 8  # all but AGE
    assert table["VISCFL"].tolist()[:2] == [0.0, 1.0]
    assert np.isnan(table["BONEONLY"].iloc[0])  # U is unknown
    assert table["ENDOSENS"].isna().all() and table["PRIORCHM"].isna().all()


@pytest.mark.parametrize("lesions", [None, pd.DataFrame()])
def test_a_study_without_these_columns_has_them_all_missing(lesions, plan):
    table = baseline_covariates(pd.DataFrame({"USUBJID": ["1", "2"]}), lesions, plan)
    assert table[[*COVARIATES, "SITEID"]].isna().all(axis=None)
    with pytest.raises(NotEstimable, match="VISCFL is not known in this study"):
        check_known(table, ["VISCFL"])


def test_an_unknown_name_in_the_plan_is_refused_with_those_that_are_known(adsl, adpet, plan):
    for value in ("survival.adjust", "survival.adjust_singly", "survival.ipw_covariates"):
        with pytest.raises(ValueError, match=r"\['TUMOR'\].*LNLESION \(ln\(number of lesions\)\)"):
            baseline_covariates(adsl, adpet, plan.override({value: ["TUMOR"]}))
    check_names(COVARIATES)


def test_malformed_tables_are_refused(adsl, adpet, plan):
    with pytest.raises(ValueError, match="1 subjects twice"):
        baseline_covariates(pd.concat([adsl, adsl.iloc[:1]]), adpet, plan)
    with pytest.raises(ValueError, match="VISCFL must be Y, N, U or empty, found also"):
        baseline_covariates(adsl.assign(VISCFL="liver"), adpet, plan)
    with pytest.raises(ValueError, match="ECOG must be a number, found 3"):
        baseline_covariates(adsl.assign(ECOG="good"), adpet, plan)
    with pytest.raises(ValueError, match="join baseline_covariates"):
        check_known(adsl, ["LNBASE"])


def test_the_order_of_rows_changes_nothing_and_the_input_is_not_touched(adsl, adpet, plan):
    before = adsl.copy(), adpet.copy()
    first = baseline_covariates(adsl, adpet, plan)
    second = baseline_covariates(adsl.iloc[::-1], adpet.sample(frac=1, random_state=1), plan)
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(adsl, before[0])
    pd.testing.assert_frame_equal(adpet, before[1])


def test_patients_with_every_covariate_are_kept_and_the_others_counted(adsl, adpet, plan):
    table = baseline_covariates(adsl, adpet, plan)
    kept, lost = known_rows(table, ["VISCFL", "LNBASE"])
    assert (kept["USUBJID"].tolist(), lost) == (["a"], 2)
    assert describe_effect("AGE") == "age, per year"
