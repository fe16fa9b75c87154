"""Lead time: one hand-worked patient for every category and every trap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.lead_time import estimate_lead_time, tabulate_lead_times
from analysis.contracts import check

LOD = 0.001
FIRST_DOSE = pd.Timestamp("2020-01-01")
# patient: draws (study day, visit, level or None for not detected or "x" for failed, LOD), PFS day, event.
# Plan: a rise is at least 2 x the lowest before and 3 x LOD; draws 0-7 days before progression do not count.
PATIENTS = {
    # 0.002 at day 57 is twice the nadir but under 3 x LOD; 0.004 at day 113 counts: 169 - 113 = 56 days.
    "RISES": ([(1, "D0", 0.05), (29, "D28", None), (57, "U", 0.002), (113, "U", 0.004)], 169, 1),
    # The only high draw is 7 days before progression: taken because of it.
    "ATPROG": ([(1, "D0", 0.05), (29, "D28", None), (93, "U", 0.2)], 100, 1),
    # Eight days before it counts: lead 8.
    "DAYEIGHT": ([(1, "D0", 0.05), (29, "D28", None), (92, "U", 0.2)], 100, 1),
    # A draw the table calls PROG does not count, whatever its day.
    "SAIDPROG": ([(1, "D0", 0.05), (29, "D28", None), (60, "PROG", 0.2)], 100, 1),
    # The rise comes 40 days after progression.
    "LATER": ([(1, "D0", 0.01), (29, "D28", 0.01), (140, "U", 0.02)], 100, 1),
    # Noise about the limit: 0.0025 is 2.5 x nadir, but not 3 x LOD.
    "NOISE": ([(1, "D0", None), (29, "D28", 0.0025), (57, "U", None)], 200, 1),
    # No progression: censored, 300 - 57 = 243 days at least.
    "CENSORED": ([(1, "D0", 0.01), (29, "D28", None), (57, "U", 0.003)], 300, 0),
    "NEITHER": ([(1, "D0", 0.01), (29, "D28", 0.01)], 300, 0),
    # The rise is seen after the end of a follow-up without progression: not known then.
    "AFTEREND": ([(1, "D0", 0.01), (29, "D28", 0.01), (80, "U", 0.9)], 70, 0),
    # Without a limit of detection a draw can be the nadir and no rise; a failed draw is neither.
    "NOLOD": ([(1, "D0", 0.01, np.nan), (29, "D28", 0.9, np.nan), (40, "U", "x"), (57, "U", 0.02)], 100, 1),
    "ONEDRAW": ([(1, "D0", 0.01)], 90, 1),
    # Day -1 is the day before day 1: from day -1 there are 10 days to day 10.
    "NODAYZERO": ([(-9, "U", None), (-1, "D0", 0.01)], 10, 1),
    "ONLYPROG": ([(60, "PROG", 0.2)], 61, 1),
    "NODAY": ([(np.nan, "U", 0.2)], 61, 1),
    "NOPFS": ([(1, "D0", 0.01)], np.nan, np.nan),
}
EXPECTED = {
    "RISES": ("RISE BEFORE PROGRESSION", 0.001, 0.004, 113, 169, 56, 0, 4),
    "ATPROG": ("NO RISE BEFORE PROGRESSION", 0.001, np.nan, np.nan, 100, 0, 0, 2),
    "DAYEIGHT": ("RISE BEFORE PROGRESSION", 0.001, 0.2, 92, 100, 8, 0, 3),
    "SAIDPROG": ("NO RISE BEFORE PROGRESSION", 0.001, np.nan, np.nan, 100, 0, 0, 2),
    "LATER": ("RISE AT OR AFTER PROGRESSION", 0.01, 0.02, 140, 100, -40, 0, 3),
    "NOISE": ("NO RISE BEFORE PROGRESSION", 0.001, np.nan, np.nan, 200, 0, 0, 3),
    "CENSORED": ("RISE WITHOUT PROGRESSION", 0.001, 0.003, 57, 300, 243, 1, 3),
    "NEITHER": ("NEITHER", 0.01, np.nan, np.nan, 300, np.nan, 1, 2),
    "AFTEREND": ("NEITHER", 0.01, np.nan, np.nan, 70, np.nan, 1, 2),
    "NOLOD": ("RISE BEFORE PROGRESSION", 0.01, 0.02, 57, 100, 43, 0, 3),
    "ONEDRAW": ("NO RISE BEFORE PROGRESSION", 0.01, np.nan, np.nan, 90, 0, 0, 1),
    "NODAYZERO": ("RISE BEFORE PROGRESSION", 0.001, 0.01, -1, 10, 10, 0, 2),
}
NUMBERS = ["NADIR", "RISE", "RISEDY", "PROGDY", "LEAD", "CNSR", "N_DRAWS"]


def plasma(patients):
    rows = []
    for subject, (draws, *_) in patients.items():
        for place, (day, visit, level, *lod) in enumerate(draws):
            word = {None: "NOT DETECTED", "x": "NOT ASSESSABLE"}.get(level, "DETECTED")
            rows.append(
                {
                    **{"STUDYID": "S", "USUBJID": subject, "SAMPLEID": f"{subject}-{place}"},
                    **{"SAMPTYPE": "PLASMA", "AVISIT": "UNSCHED" if visit == "U" else visit, "ADT": pd.NaT},
                    **{"ADY": day, "PARAMCD": "CTDNA", "PARTYPE": "CTDNA", "AVALC": word},
                    **{"AVAL": level if word == "DETECTED" else np.nan, "LOD": lod[0] if lod else LOD},
                }
            )
    return pd.DataFrame(rows).astype({"AVAL": float})


def ends(patients):
    frame = pd.DataFrame(
        {name: {"PFS_TIME": end - 1, "PFS_EVENT": event} for name, (_, end, event) in patients.items()}
    ).T.astype(float)
    # Without dates a time is days elapsed: on study day 1 there are none.
    frame["PFS_ADT"] = pd.NaT
    return frame.assign(NONRESPONSE=np.nan).sort_index().rename_axis("USUBJID")


def test_every_category_and_every_trap_is_as_worked_by_hand():
    table = tabulate_lead_times(plasma(PATIENTS), ends(PATIENTS))
    check("lead_times", table)
    found = table.set_index("USUBJID")
    assert sorted(found.index) == sorted(EXPECTED)
    for subject, (category, *numbers) in EXPECTED.items():
        assert found.loc[subject, "CATEGORY"] == category, subject
        assert found.loc[subject, NUMBERS].to_numpy(float) == pytest.approx(numbers, nan_ok=True), subject


def test_dates_tell_where_the_clock_of_the_endpoint_starts_elsewhere():
    # The endpoint counts from 10 days before first dose; its date is that of study day 169.
    patients = {"RISES": PATIENTS["RISES"]}
    adbm, outcomes = plasma(patients), ends(patients)
    adbm["ADT"] = FIRST_DOSE + pd.to_timedelta(adbm["ADY"] - 1, unit="D")
    outcomes["PFS_TIME"] = 179.0
    outcomes["PFS_ADT"] = FIRST_DOSE + pd.Timedelta(days=168)
    row = tabulate_lead_times(adbm, outcomes).iloc[0]
    assert (row["PROGDY"], row["LEAD"]) == (169, 56)


def test_a_time_without_dates_is_days_elapsed_and_one_between_dates_counts_its_first_day():
    # A rise on day 15 is 14 days after first dose, progression 340.9 days after it: 326.9 days between.
    patients = {"A": ([(1, "D0", 0.01), (8, "U", 0.01), (15, "D14", 0.05)], 341.9, 1)}
    adbm, outcomes = plasma(patients), ends(patients)
    outcomes["PFS_TIME"] = 340.9
    row = tabulate_lead_times(adbm, outcomes).iloc[0]
    assert (row["RISEDY"], row["PROGDY"]) == (15, pytest.approx(341.9))
    assert row["LEAD"] == pytest.approx(326.9)
    # With dates: day 341 less day 15. The draws have study days alone.
    outcomes["PFS_TIME"], outcomes["PFS_STARTDT"] = 341.0, FIRST_DOSE
    outcomes["PFS_ADT"] = FIRST_DOSE + pd.Timedelta(days=340)
    row = tabulate_lead_times(adbm, outcomes).iloc[0]
    assert (row["PROGDY"], row["LEAD"]) == (341, 326)


def test_a_death_without_progression_ends_follow_up():
    patients = {"RISES": PATIENTS["RISES"], "NOISE": PATIENTS["NOISE"]}
    died = pd.Series(False, index=["RISES", "NOISE"])
    table = tabulate_lead_times(plasma(patients), ends(patients), progressed=died).set_index("USUBJID")
    assert table["CATEGORY"].to_dict() == {"RISES": "RISE WITHOUT PROGRESSION", "NOISE": "NEITHER"}
    assert table.loc["RISES", ["LEAD", "CNSR"]].tolist() == [56, 1]


def test_median_and_share_take_all_who_progressed_and_censor_who_did_not():
    outcomes = ends(PATIENTS)
    outcomes.loc[["RISES", "LATER"], "NONRESPONSE"] = [1.0, 1.0]
    result = estimate_lead_time(plasma(PATIENTS), outcomes)
    check("estimates_biomarkers", result.estimates)
    rows = result.estimates.set_index(["OUTCOME", "METHOD"])
    # Leads of 10: -40, 0, 0, 0, 0 | 8, 10, 43, 56 and 243 censored. Half of 10 lie at or under 0, S is 0.5
    # from 0 to 8, and the median the middle of that stretch.
    median = rows.loc[("ALL", "kaplan_meier")]
    assert (median["ESTIMATE"], median["N"], median["EVENTS"]) == (4.0, 10, 9)
    assert "neither 2" in median["NOTE"]
    assert "1 with one draw" in median["NOTE"]
    # R: binom.test(4, 9)
    share = rows.loc[("ALL", "clopper_pearson")]
    assert (share["N_POS"], share["N"]) == (4, 9)
    assert share[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(float) == pytest.approx(
        [4 / 9, 0.1369957, 0.7879915], abs=1e-6
    )
    assert rows.loc[("NON-RESPONDER", "clopper_pearson"), "ESTIMATE"] == 0.5
    assert rows.loc[("RESPONDER", "kaplan_meier"), "TESTED"] == "N"
    assert "3 subjects without a draw that counts or without PFS" in result.reason


def with_fractions(adbm, fractions):
    """Add a tumour fraction to samples (sample -> value); its table has no limit for it."""
    rows = adbm[adbm["SAMPLEID"].isin(fractions)]
    own = rows.assign(PARAMCD="TUMFRAC", AVAL=rows["SAMPLEID"].map(fractions), LOD=np.nan)
    return pd.concat([adbm, own], ignore_index=True)


@pytest.fixture
def mixed():
    """Four patients of whom some draws are detected and have no VAF, and their ends."""
    draws = [(1, "D0", 0.05), (29, "D28", None), (57, "U", np.nan), (90, "U", 0.05)]
    patients = {
        # The detected draw of day 57 has a fraction alone, as has the last: without it the rise is of day 90.
        "FRACTION": (draws, 169, 1),
        # No fraction at day 57: nobody knows when it rose.
        "UNKNOWN": (draws, 169, 1),
        # What lacks its level does not count: taken because of progression.
        "ATPROG": ([(1, "D0", 0.05), (29, "D28", None), (57, "U", 0.02), (100, "U", np.nan)], 104, 1),
        "VAF": ([(1, "D0", 0.05), (29, "D28", None), (57, "U", 0.02)], 169, 1),
    }
    adbm = plasma(patients)
    adbm = with_fractions(adbm, {"FRACTION-0": 0.1, "FRACTION-2": 0.04, "FRACTION-3": 0.1, "UNKNOWN-0": 0.1})
    return adbm, ends(patients)


def test_a_patient_is_followed_in_one_measure_that_all_her_detected_draws_have(mixed):
    table = tabulate_lead_times(*mixed)
    check("lead_times", table)
    found = table.set_index("USUBJID")
    assert found["MEASURE"].to_dict() == {
        "ATPROG": "VAF",
        "FRACTION": "TUMFRAC",
        "UNKNOWN": None,
        "VAF": "VAF",
    }
    assert found.loc["FRACTION", ["NADIR", "RISE", "RISEDY", "LEAD"]].tolist() == [0.001, 0.04, 57, 112]
    assert found.loc["UNKNOWN", "CATEGORY"] == "NOT ASSESSABLE"
    assert found.loc["UNKNOWN", ["NADIR", "RISE", "LEAD"]].isna().all()
    assert found.loc["ATPROG", ["RISEDY", "LEAD"]].tolist() == [57, 47]
    rules = plan.defaults().override({"biomarkers.trajectory_measure": "TUMFRAC"}).biomarkers
    first = tabulate_lead_times(*mixed, rules=rules).set_index("USUBJID")["MEASURE"]
    assert first[["FRACTION", "VAF"]].tolist() == ["TUMFRAC", "VAF"]


def test_who_cannot_be_followed_is_in_no_estimate_and_is_counted(mixed):
    rows = estimate_lead_time(*mixed).estimates.set_index(["OUTCOME", "METHOD"])
    for method in ("kaplan_meier", "clopper_pearson"):
        row = rows.loc[("ALL", method)]
        assert row["N"] == 3
        assert "1 subjects not assessable" in row["NOTE"] and "VAF 2, TUMFRAC 1" in row["NOTE"]
    # Leads 47, 112, 112.
    assert rows.loc[("ALL", "kaplan_meier"), "ESTIMATE"] == 112


def test_without_plasma_or_endpoint_there_is_a_reason():
    outcomes = ends(PATIENTS)
    assert estimate_lead_time(plasma(PATIENTS).iloc[:0], outcomes).reason
    assert estimate_lead_time(plasma(PATIENTS), outcomes[["NONRESPONSE"]]).reason
