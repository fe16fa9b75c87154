"""Glucose, fasting and days without drug of a scan; corrected uptake; drift: all expected values by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.pet.conditions import (
    add_conditions,
    add_corrected_metrics,
    tabulate_corrected,
    tabulate_drift,
)
from analysis.virtual_trial import simulate_trial, stream
from analysis.virtual_trial.tables import write_sdtm

PLAN = plans.defaults()


def scans_of(**dates):
    rows = [(name[0], name[1:], date) for name, date in dates.items()]
    table = pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "ADT"]).assign(STATUS="OK", GLUCOSE=np.nan)
    return table.assign(ADT=pd.to_datetime(table["ADT"]))


SCAN = scans_of(AD14="2024-03-15")


def lab(value="5.5", unit="mmol/L", date="2024-03-15", fast="Y", **extra):
    row = {
        "USUBJID": "A",
        "LBSEQ": "1",
        "LBTESTCD": "GLUC",
        "LBORRES": value,
        "LBORRESU": unit,
        "LBDTC": date,
    }
    return row | {"LBFAST": fast, "LBSPEC": "SERUM", "LBSTAT": None} | extra


def drug(first, last, dose="10", **extra):
    row = {"USUBJID": "A", "EXTRT": "EVEROLIMUS", "EXDOSE": dose, "EXSTDTC": first, "EXENDTC": last}
    return row | extra


def glucose(*rows, scans=SCAN, plan=PLAN):
    found, queries = add_conditions(scans, pd.DataFrame(rows), None, plan)
    return found["GLUCOSE"].iloc[0], found["FASTING"].iloc[0], queries["CODE"].tolist()


# ---------------------------------------------------------------- glucose and fasting


def test_glucose_of_the_day_in_mmol_per_litre():
    assert glucose(lab("6.1")) == (6.1, "Y", [])


def test_queries_keep_their_contract():
    contracts.check("queries_02", add_conditions(SCAN, pd.DataFrame([lab("high")]), None, PLAN)[1])


def test_milligrams_per_decilitre_are_converted():
    assert glucose(lab("99.088", "mg/dL"))[0] == pytest.approx(5.5, rel=1e-9)  # 5.5 * 18.016


def test_the_standard_result_wins_over_the_original_one():
    assert glucose(lab("99", "mg/dL", LBSTRESN="5.4", LBSTRESU="mmol/L"))[0] == 5.4


def test_a_time_of_day_is_no_part_of_the_date():
    assert glucose(lab(date="2024-03-15T08:10"))[0] == 5.5


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (lab(date="2024-03"), "GLUCOSE_DATE_PARTIAL"),
        (lab(date=None), "GLUCOSE_DATE_PARTIAL"),
        (lab("high"), "GLUCOSE_NOT_NUMERIC"),
        (lab(unit="g/L"), "GLUCOSE_UNIT"),
        (lab(unit=None), "GLUCOSE_UNIT"),
        (lab("99"), "GLUCOSE_IMPLAUSIBLE"),  # mg/dl called mmol/l
    ],
)
def test_a_glucose_that_cannot_be_read_is_asked_about_and_not_used(row, code):
    value, _, asked = glucose(row)
    assert np.isnan(value) and asked == [code]


@pytest.mark.parametrize("extra", [{"LBSPEC": "URINE"}, {"LBTESTCD": "HGB"}, {"LBSTAT": "NOT DONE"}])
def test_another_test_specimen_or_an_undone_one_is_no_blood_glucose(extra):
    value, fasting, asked = glucose(lab(**extra))
    assert np.isnan(value) and fasting is None and asked == []


def test_values_of_one_day_that_differ_are_a_conflict_and_equal_ones_are_not():
    assert glucose(lab("5.5"), lab("5.5"))[::2] == (5.5, [])
    value, _, asked = glucose(lab("5.5"), lab("6.5"))
    assert np.isnan(value) and asked == ["GLUCOSE_CONFLICT"]


def test_a_value_the_scan_already_has_must_agree():
    value, _, asked = glucose(lab("5.5"), scans=SCAN.assign(GLUCOSE=7.0))
    assert np.isnan(value) and asked == ["GLUCOSE_CONFLICT"]
    assert glucose(lab("5.5", date="2024-01-01"), scans=SCAN.assign(GLUCOSE=7.0))[0] == 7.0


def test_another_day_counts_only_where_the_plan_says_so_and_never_one_after_the_scan():
    before, earlier, after = (
        lab("5.0", date="2024-03-14"),
        lab("4.0", date="2024-03-13"),
        lab(date="2024-03-16"),
    )
    assert np.isnan(glucose(before, earlier, after)[0])
    assert glucose(before, earlier, after, plan=PLAN.override({"pet.condition_glucose_days": 2}))[0] == 5.0


def test_fasting_is_taken_from_the_record_and_a_contradiction_is_asked_about():
    assert glucose(lab(fast="N"))[1:] == ("N", ["NOT_FASTING"])
    assert glucose(lab(fast="U"))[1:] == (None, [])
    assert glucose(lab(fast="Y"), lab(fast="N"))[1:] == (None, ["FASTING_CONFLICT"])


def test_without_laboratory_and_exposure_the_columns_are_empty():
    found, queries = add_conditions(SCAN, None, None, PLAN)
    assert found[["GLUCOSE", "FASTING", "OFFDRUG7"]].isna().all().all() and queries.empty


# ---------------------------------------------------------------- days without drug


def off_drug(*rows, scans=SCAN):
    found, queries = add_conditions(scans, None, pd.DataFrame(rows), PLAN)
    return found["OFFDRUG7"].iloc[0], queries["CODE"].tolist()


# The scan is on 15 March: the seven days are 8 to 14 March.
@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ([drug("2024-03-01", "2024-06-01")], 0),
        ([drug("2024-03-01", "2024-03-09"), drug("2024-03-15", "2024-06-01")], 5),
        ([drug("2024-03-01", "2024-03-07")], 7),
        ([drug("2024-03-01", "2024-03-08")], 6),
        ([drug("2024-03-01", "2024-03-11"), drug("2024-03-12", "2024-03-20", "0")], 3),
        ([drug("2024-03-01", "2024-03-11"), drug("2024-03-10", "2024-03-20", "5")], 0),
        ([drug("2024-03-12", "2024-06-01")], 4),
        ([drug("2024-03-01", "2024-03-07"), drug("2024-03-08", "2024-06-01", EXTRT="EXEMESTANE")], 7),
    ],
)
def test_days_without_drug_are_counted_in_the_week_before_the_scan(rows, days):
    assert off_drug(*rows) == (float(days), [])


@pytest.mark.parametrize(("first", "last"), [("2024-03-15", "2024-06-01"), ("2024-03-20", None)])
def test_a_scan_on_or_before_the_first_dose_has_no_days_off(first, last):
    value, asked = off_drug(drug(first, last))
    assert np.isnan(value) and asked == []


@pytest.mark.parametrize(
    "row",
    [
        drug("2024-03-01", None),
        drug("2024-03-01", "2024-03"),
        drug("2024-03", "2024-06-01"),
        drug("2024-03-01", "2024-06-01", None),
        drug("2024-03-01", "2024-06-01", EXDOSFRQ="QOD"),
    ],
)
def test_an_incomplete_record_leaves_the_count_open(row):
    value, asked = off_drug(row)
    assert np.isnan(value) and asked == ["DRUG_RECORD_INCOMPLETE"]


def test_strength_beside_the_name_is_the_drug_and_a_placebo_is_not():
    known = drug("2024-03-01", "2024-03-09")
    assert off_drug(known | {"EXTRT": "EVEROLIMUS 10 MG"}) == (5.0, [])  # 10 to 14 March
    placebo = drug("2024-03-10", "2024-06-01", EXTRT="PLACEBO FOR EVEROLIMUS")
    assert off_drug(known, placebo) == (5.0, [])


@pytest.mark.parametrize(
    "rows",
    [
        [drug("2024-03-01", "2024-03-31"), drug("2024-03-08", "2024-03-14", "0")],
        [drug("2024-03-01", "2024-03-31"), drug("2024-03-12", None, "0")],
        [drug("2024-03-20", "2024-03-01")],
        [drug("2024-02-01", "2024-02-10"), drug("2024-03-20", "2024-03-01")],
    ],
    ids=["0 mg within", "0 mg without end", "end before start", "one of them turned"],
)
def test_records_that_contradict_each_other_are_asked_about(rows):
    value, asked = off_drug(*rows)
    assert np.isnan(value) and asked == ["DRUG_RECORD_CONFLICT"]


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        (
            [drug("2024-03-01", "2024-03-11"), drug("2024-03-11", "2024-03-20", "0")],
            3,
        ),  # last dose on 11 March
        ([drug("2024-03-01", "2024-03-31"), drug("2024-03-16", "2024-03-20", "0")], 0),  # after the scan
        (
            [
                drug("2024-03-01", "2024-03-05"),
                drug("2024-03-06", None, "0"),
                drug("2024-03-08", "2024-06-01"),
            ],
            0,
        ),
    ],
)
def test_a_pause_that_fits_its_neighbours_is_no_contradiction(rows, days):
    assert off_drug(*rows) == (float(days), [])


def test_an_incomplete_record_does_not_matter_where_another_covers_the_week():
    assert off_drug(drug("2024-03-01", "2024-03-14"), drug("2024-03-15", None)) == (0.0, [])


# ---------------------------------------------------------------- corrected uptake


def measured(*rows):
    columns = ["USUBJID", "AVISIT", "LESIONID", "METRIC", "ROLE", "AVAL"]
    table = pd.DataFrame(rows, columns=columns).assign(STUDYID="T", ORGAN=None, ADT=pd.NaT, UNIT="g/ml")
    return table.assign(EVALFL="Y", TARGETFL="N", FLAGS="SMALL_LESION")


ADPET = measured(
    ("A", "D0", "L1", "SUVMAX", "LESION", 8.0),
    ("A", "D0", "L1", "SUVPEAK", "LESION", 6.0),
    ("A", "D0", "LIVER", "SUVMEAN", "LIVER", 2.0),
    ("A", "D14", "L1", "SUVMAX", "LESION", 6.0),
)
QC = scans_of(AD0="2024-02-28", AD14="2024-03-15").assign(GLUCOSE=[6.6, np.nan])


def test_uptake_is_corrected_for_glucose_and_for_the_liver():
    found = add_corrected_metrics(ADPET, QC, PLAN)
    contracts.check("adpet", found)
    values = found.set_index(["AVISIT", "METRIC"])
    assert values.loc[("D0", "SUVMAXG"), "AVAL"] == pytest.approx(9.6)  # 8 * 6.6 / 5.5
    assert values.loc[("D0", "SUVPEAKG"), "AVAL"] == pytest.approx(7.2)
    assert values.loc[("D0", "TLRMAX"), "AVAL"] == 4.0 and values.loc[("D0", "TLRPEAK"), "AVAL"] == 3.0
    assert values.loc[("D0", "TLRMAX"), ["UNIT", "EVALFL", "TARGETFL", "FLAGS"]].tolist() == [
        "1", "Y", "N", "SMALL_LESION"
    ]  # fmt: skip


def test_where_the_factor_is_unknown_there_is_no_row_and_it_is_counted():
    found = add_corrected_metrics(ADPET, QC, PLAN)
    assert set(found.loc[found["AVISIT"].eq("D14"), "METRIC"]) == {"SUVMAX"}
    counts = tabulate_corrected(found, PLAN).set_index(["METRIC", "AVISIT"])
    assert counts.loc[("SUVMAXG", "D0")].tolist() == [1, 1, 0]
    assert counts.loc[("SUVMAXG", "D14")].tolist() == [1, 0, 1]


def test_a_lesion_without_a_value_is_not_counted():
    lost = measured(("A", "D0", "L2", "SUVMAX", "LESION", np.nan))
    found = add_corrected_metrics(pd.concat([ADPET, lost], ignore_index=True), QC, PLAN)
    pd.testing.assert_frame_equal(
        tabulate_corrected(found, PLAN), tabulate_corrected(add_corrected_metrics(ADPET, QC, PLAN), PLAN)
    )


def test_correcting_twice_changes_nothing():
    once = add_corrected_metrics(ADPET, QC, PLAN)
    pd.testing.assert_frame_equal(add_corrected_metrics(once, QC, PLAN), once)
    assert not once.duplicated(["USUBJID", "AVISIT", "LESIONID", "METRIC"]).any()


def test_two_livers_of_one_scan_correct_nothing():
    second = measured(("A", "D0", "LIVER2", "SUVMEAN", "LIVER", 3.0))
    found = add_corrected_metrics(pd.concat([ADPET, second], ignore_index=True), QC, PLAN)
    assert not found["METRIC"].str.startswith("TLR").any()


# ---------------------------------------------------------------- drift


def test_drift_is_the_paired_change_with_its_t_interval():
    # Changes 0.1, 0.2, 0.3: mean 0.2, SD 0.1, t(2; 0.975) = 4.302653, half width 4.302653 * 0.1 / sqrt(3).
    base, later = (2.0, 2.1, 2.2, 2.6), (2.1, 2.3, 2.5)
    rows = [(name, "D0", "LIVER", "SULMEAN", "LIVER", value) for name, value in zip("ABCD", base)]
    rows += [(name, "D14", "LIVER", "SULMEAN", "LIVER", value) for name, value in zip("ABC", later)]
    table = tabulate_drift(measured(*rows), QC.assign(GLUCOSE=[5.0, 6.0]), PLAN).set_index(
        ["QUANTITY", "AVISIT"]
    )
    found = table.loc[("LIVER", "D14")]
    assert found[["N", "PAIRS"]].tolist() == [3, 3] and found["MEDIAN"] == 2.3
    half = 4.302653 * 0.1 / 3**0.5
    assert found[["CHANGE", "LOWER", "UPPER"]].tolist() == pytest.approx(
        [0.2, 0.2 - half, 0.2 + half], abs=1e-6
    )
    assert found["P"] == pytest.approx(0.0742, abs=5e-5)  # t = 3.4641 on 2 degrees of freedom
    assert table.loc[("LIVER", "D0"), ["N", "PAIRS"]].tolist() == [4, 0]


def test_one_pair_has_a_change_and_no_interval():
    table = tabulate_drift(ADPET, QC.assign(GLUCOSE=[5.0, 6.0]), PLAN).set_index(["QUANTITY", "AVISIT"])
    found = table.loc[("GLUCOSE", "D14")]
    assert found["CHANGE"] == 1.0 and found["PAIRS"] == 1 and np.isnan(found["LOWER"])
    assert found["UNIT"] == "mmol/l"


def test_the_scans_handed_in_are_not_changed():
    before = SCAN.copy()
    add_conditions(SCAN, pd.DataFrame([lab()]), pd.DataFrame([drug("2024-03-01", "2024-06-01")]), PLAN)
    pd.testing.assert_frame_equal(SCAN, before)


# ---------------------------------------------------------------- the simulated trial


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdtm")
    trial = simulate_trial(PLAN)
    write_sdtm(trial, folder, stream(PLAN.virtual.seed, 1), PLAN.virtual)
    starts = trial.patients.set_index("USUBJID")["TRTSDT"]
    scans = trial.scans[["USUBJID", "AVISIT", "GLUCOSE_MMOLL"]].reset_index(drop=True)
    days = pd.to_timedelta(trial.scans["DAY"].to_numpy(), unit="D")
    scans["ADT"] = scans["USUBJID"].map(starts) + days
    lb, ex = (pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("lb", "ex"))
    return trial, scans, lb, ex


def test_the_planted_glucose_and_the_planted_pause_are_found(simulated):
    trial, scans, lb, ex = simulated
    found, queries = add_conditions(scans, lb, ex, PLAN)
    assert (found["GLUCOSE"] == found["GLUCOSE_MMOLL"]).all()
    assert set(queries["CODE"]) <= {"NOT_FASTING"}
    early = found[found["AVISIT"].eq("D14")].set_index("USUBJID")["OFFDRUG7"]
    pause = early.index.isin(trial.roles.loc[trial.roles["ROLE"].eq("pause"), "USUBJID"])
    assert pause.any() and (early[pause] == 5).all() and (early[~pause] == 0).all()
    assert found.loc[found["AVISIT"].eq("D0"), "OFFDRUG7"].isna().all()


def test_who_had_eaten_moves_nothing_else(simulated, tmp_path):
    trial, _, lb, ex = simulated
    half = PLAN.override({"virtual.not_fasting_share": 0.5})
    write_sdtm(trial, tmp_path, stream(PLAN.virtual.seed, 1), half.virtual)
    other = pd.read_csv(tmp_path / "lb.csv", dtype=str)
    pd.testing.assert_frame_equal(other.drop(columns="LBFAST"), lb.drop(columns="LBFAST"))
    assert 0 < lb["LBFAST"].eq("N").sum() < 10 < other["LBFAST"].eq("N").sum()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "ex.csv", dtype=str), ex)
