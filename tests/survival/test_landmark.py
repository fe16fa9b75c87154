import pandas as pd
import pytest

from analysis.survival import landmark
from analysis.survival.landmark import study_day_date

ADTTE = pd.DataFrame(
    {
        "USUBJID": ["late", "same day", "before", "censored", "no scan", "no date"],
        "ADT": pd.to_datetime(["2020-03-01", "2020-01-15", "2020-01-10", "2020-01-12", "2020-04-01", None]),
        "AVAL": [61.0, 15, 10, 12, 92, 30],
        "AVALM": [2.0, 0.5, 0.3, 0.4, 3, 1],
        "CNSR": [0, 0, 0, 1, 0, 1],
    }
)
SCANS = {name: pd.Timestamp("2020-01-15") for name in ADTTE["USUBJID"] if name != "no scan"}


def test_only_patients_followed_strictly_beyond_the_landmark_stay():
    kept, _ = landmark(ADTTE, SCANS)
    assert kept["USUBJID"].tolist() == ["late"]
    assert kept["AVAL"].tolist() == [46]  # 15 January to 1 March 2020
    assert kept["LANDMARKDT"].tolist() == [pd.Timestamp("2020-01-15")]
    assert "AVALM" not in kept


def test_everybody_left_out_is_listed_with_a_reason():
    _, excluded = landmark(ADTTE, pd.Series(SCANS))
    codes = dict(zip(excluded["USUBJID"], excluded["CODE"], strict=True))
    assert codes == {
        "same day": "EVENT_BEFORE_LANDMARK",
        "before": "EVENT_BEFORE_LANDMARK",
        "censored": "CENSORED_BEFORE_LANDMARK",
        "no scan": "NO_LANDMARK",
        "no date": "NO_ENDPOINT_DATE",
    }
    assert excluded["REASON"].notna().all()


def test_a_landmark_in_days_serves_tables_without_dates():
    kept, excluded = landmark(ADTTE.assign(ADT=pd.NaT), 15)
    assert kept.set_index("USUBJID")["AVAL"].to_dict() == {"late": 46, "no scan": 77, "no date": 15}
    assert kept["LANDMARKDT"].isna().all()
    assert sorted(excluded["USUBJID"]) == ["before", "censored", "same day"]


def test_a_landmark_that_leaves_nobody_gives_an_empty_table_and_a_full_ledger():
    kept, excluded = landmark(ADTTE, 1000)
    assert (len(kept), len(excluded)) == (0, 6)


def test_the_input_is_not_changed():
    before = ADTTE.copy(deep=True)
    landmark(ADTTE, SCANS)
    assert ADTTE.equals(before)


def test_two_endpoints_at_once_or_missing_dates_are_refused():
    with pytest.raises(ValueError, match="one endpoint at a time"):
        landmark(pd.concat([ADTTE, ADTTE]), SCANS)
    with pytest.raises(ValueError, match="needs ADT"):
        landmark(ADTTE.drop(columns="ADT"), SCANS)


def test_the_first_dose_is_day_one():
    start = pd.Series(pd.to_datetime(["2020-01-01", None]))
    assert study_day_date(start, 1)[0] == start[0]
    assert study_day_date(start, 35)[0] == pd.Timestamp("2020-02-04")
    assert pd.isna(study_day_date(start, 35)[1])


@pytest.mark.parametrize(
    "zero",
    [
        pd.Timestamp("2020-02-01"),
        pd.Timestamp("2020-02-01").date(),
        pd.Timestamp("2020-02-01").to_datetime64(),
        pd.Timedelta(days=35),
        pd.Timedelta(days=35).to_timedelta64(),
        "2020-02-01",
        float("nan"),
        [35, 35],
        None,
    ],
)
def test_a_landmark_that_is_neither_dates_by_patient_nor_days_is_refused(zero):
    with pytest.raises(ValueError, match="a landmark is a date a patient"):
        landmark(ADTTE, zero)
