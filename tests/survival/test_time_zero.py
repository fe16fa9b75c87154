from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import association, cox
from analysis.survival.association.time_zero import (
    estimate_time_dependent,
    tabulate_simon_makuch,
    time_dependent_set,
)


@pytest.fixture
def tables(trial):
    """Return the tables, with one event before the scan and one scan that gave no class."""
    adsl, adtte, admr = (table.copy() for table in trial)
    early, lost = adsl["USUBJID"].iloc[1], adsl["USUBJID"].iloc[2]
    start = adsl.set_index("USUBJID").loc[early, "TRTSDT"]
    row = adtte["USUBJID"].eq(early) & adtte["PARAMCD"].eq("PFS")
    adtte.loc[row, ["ADT", "AVAL", "CNSR"]] = [start + pd.Timedelta(days=8), 9.0, 0]
    adtte["CNSR"] = adtte["CNSR"].astype(int)
    admr.loc[admr["USUBJID"].eq(early), ["PETDT", "MRESP"]] = [pd.NaT, "NE"]
    admr.loc[admr["USUBJID"].eq(lost), ["PETDT", "MRESP"]] = [pd.NaT, "NE"]
    return adsl, adtte, admr, early, lost


def analysis_of(admr, plan, **kwargs):
    return association.main_analysis(admr, plan, timepoint="D14", **kwargs)


def test_follow_up_after_the_scan_is_the_landmarks_to_the_day(trial, plan):
    adsl, adtte, admr = trial
    analysis = analysis_of(admr, plan)
    data = time_dependent_set(analysis, admr, adtte, adsl, plan).set_index("USUBJID")
    kept, _ = association.analysis_set(analysis, admr, adtte, adsl, plan)
    after = (data["time"] - data["change_time"])[kept["USUBJID"]] / plan.design.days_per_month
    assert after.to_numpy() == pytest.approx(kept["time"].to_numpy())
    assert data.loc[kept["USUBJID"], "state"].tolist() == kept["group"].tolist()
    assert (data["change_time"] == 14).all()  # the scan is on day 14 of treatment, the first dose on day 1


def test_those_the_landmark_leaves_out_are_back_in(tables, plan):
    adsl, adtte, admr, early, lost = tables
    data = time_dependent_set(analysis_of(admr, plan), admr, adtte, adsl, plan).set_index("USUBJID")
    assert len(data) == 48
    assert data.loc[early, ["time", "event", "state"]].tolist() == [9, True, None]
    # No scan: her class is unknown from the plan's day on, not before.
    assert data.loc[lost, "change_time"] == plan.survival.fixed_landmark_day
    assert pd.isna(data.loc[lost, "state"])


def test_a_scan_that_was_not_planned_chooses_nobody_by_the_future(tables, plan):
    adsl, adtte, admr, early, _ = tables
    unplanned = admr[~admr["USUBJID"].eq(early)]
    assert early not in set(
        time_dependent_set(analysis_of(admr, plan), unplanned, adtte, adsl, plan)["USUBJID"]
    )


def test_both_set_ups_are_estimated_with_all_their_patients(tables, plan):
    adsl, adtte, admr, _, _ = tables
    table = estimate_time_dependent(analysis_of(admr, plan), admr, adtte, adsl, plan)
    contracts.check("estimates", table)
    assert table["METHOD"].tolist() == ["cox_time_dependent", "cox_time_dependent", "logrank"]
    assert set(table["LANDMARK"]) == {"time_dependent"} and set(table["ROLE"]) == {"SENSITIVITY"}
    assert table["N"].tolist() == [48, 46, 48]
    assert table["EVENTS"].iloc[0] == table["EVENTS"].iloc[1] + 1  # the event before the scan
    assert (table["N_EXPOSED"] + table["N_REFERENCE"]).equals(table["N"])
    assert table["ESTIMATE"].iloc[0] > 1  # the planted effect
    # Delayed entry by hand: everybody at risk from study day 14 on.
    data, _ = association.analysis_set(analysis_of(admr, plan), admr, adtte, adsl, plan)
    days = data["time"] * plan.design.days_per_month
    expected = cox(days.round() + 14, data["event"], data["exposed"].astype(float), entry=[14.0] * len(data))
    numbers = table.loc[1, ["ESTIMATE", "LOWER", "UPPER", "P"]].tolist()
    assert numbers == pytest.approx(expected.loc[0, ["estimate", "lower", "upper", "p"]].tolist())


def test_a_time_dependent_covariate_has_no_firth_and_the_row_of_os_says_so(tables, plan):
    adsl, adtte, admr, _, _ = tables
    for endpoint, expected in {"OS": True, "PFS": False}.items():
        analysis = replace(analysis_of(admr, plan), endpoint=endpoint)
        rows = estimate_time_dependent(analysis, admr, adtte, adsl, plan).iloc[:2]
        assert set(rows["ESTIMATOR"]) == {"ML"}
        assert rows["LABEL"].str.contains("as Firth has no time-dependent").tolist() == [expected] * 2


def test_a_study_without_scan_dates_takes_the_plans_day(trial, plan):
    adsl, adtte, admr = trial
    adtte, admr = adtte.assign(ADT=pd.NaT), admr.assign(PETDT=pd.NaT)
    data = time_dependent_set(analysis_of(admr, plan), admr, adtte, adsl, plan)
    assert (data["change_time"] == plan.survival.fixed_landmark_day).all()
    assert data["state"].notna().all()


def test_a_class_without_the_date_of_its_scan_counts_as_unknown(trial, plan):
    adsl, adtte, admr = trial
    subject = adsl["USUBJID"].iloc[4]
    admr = admr.assign(PETDT=admr["PETDT"].mask(admr["USUBJID"].eq(subject)))
    data = time_dependent_set(analysis_of(admr, plan), admr, adtte, adsl, plan).set_index("USUBJID")
    assert pd.isna(data.loc[subject, "state"]) and data["state"].isna().sum() == 1


def test_what_cannot_be_estimated_says_so(trial, plan):
    adsl, adtte, admr = trial
    analysis = analysis_of(admr, plan)
    nobody = estimate_time_dependent(analysis, admr, adtte[adtte["PARAMCD"].eq("OS")], adsl, plan)
    assert nobody["ESTIMATE"].isna().all() and (nobody["N"] == 0).all()
    assert nobody["LABEL"].str.contains("not estimable").all()
    no_event = estimate_time_dependent(analysis, admr, adtte.assign(CNSR=1), adsl, plan)
    assert no_event["ESTIMATE"].isna().all() and no_event["LABEL"].str.contains("event").all()
    one_group = admr.assign(MRESP="NON-RESPONDER")
    alone = estimate_time_dependent(analysis, one_group, adtte, adsl, plan)
    assert alone["ESTIMATE"].isna().all() and (alone["N_REFERENCE"] == 0).all()
    late = adtte.assign(AVAL=5.0, ADT=adtte["STARTDT"] + pd.Timedelta(days=4))
    assert tabulate_simon_makuch(analysis, admr, late, adsl, plan).empty


def test_the_curves_start_at_the_plans_day_and_keep_their_contract(tables, plan):
    adsl, adtte, admr, _, _ = tables
    table = tabulate_simon_makuch(analysis_of(admr, plan), admr, adtte, adsl, plan)
    contracts.check("curves", table)
    first = table.groupby("GROUP").first()
    start = plan.survival.fixed_landmark_day / plan.design.days_per_month
    assert first["TIME"].tolist() == pytest.approx([start, start])
    assert (first["SURVIVAL"] == 1).all() and table["SURVIVAL"].between(0, 1).all()
    data = time_dependent_set(analysis_of(admr, plan), admr, adtte, adsl, plan)
    beyond = data[data["time"] > plan.survival.fixed_landmark_day]
    expected = beyond["state"].value_counts()
    assert first["AT_RISK"].to_dict() == expected.to_dict()
    assert table["EVENTS"].sum() == (beyond["event"] & beyond["state"].notna()).sum()


def test_inputs_are_not_changed(trial, plan):
    before = [table.copy(deep=True) for table in trial]
    adsl, adtte, admr = trial
    estimate_time_dependent(analysis_of(admr, plan), admr, adtte, adsl, plan)
    assert all(np.array_equal(a.isna(), b.isna()) and a.equals(b) for a, b in zip(trial, before, strict=True))
