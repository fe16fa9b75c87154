"""Who belongs to the plan's population; trial.md section 4 and pet.md 2.3."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.survival import association
from analysis.survival.association.population import apply_population


def admr():
    return pd.DataFrame(
        {
            "USUBJID": ["S1", "S2", "S3", "S4"], "AVISIT": "D14", "AVALC": ["RESPONDER", "STABLE", "STABLE", "NE"],
            "MRESP": ["RESPONDER", "NON-RESPONDER", "NON-RESPONDER", "NE"],
            "NEREAS": [None, None, None, "SCAN_REFUSED"], "PPFL": ["Y", "N", "Y", "N"],
            "FLAGS": [None, None, "FLARE", None],
        }
    )  # fmt: skip


def adpet():
    rows = {"USUBJID": ["S1", "S2", "S3"], "AVISIT": "D0", "ROLE": "LESION", "EVALFL": ["Y", "N", "Y"]}
    return pd.DataFrame(rows)


def scans(*days, visit="D14"):
    return pd.DataFrame({"USUBJID": ["S1", "S2", "S3"], "AVISIT": visit, "OFFDRUG7": days})


def population(name, **given):
    plan = plans.defaults().override({"primary.population": name})
    before = admr()
    found = apply_population(before, adpet(), plan, **given)
    pd.testing.assert_frame_equal(before, admr())
    return found.set_index("USUBJID")


def test_all_scans_keeps_every_class():
    pd.testing.assert_frame_equal(population("all_scans"), admr().set_index("USUBJID"))


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("fdg_evaluable", {}, "NOT_FDG_EVALUABLE"),
        ("comparable", {}, "SCANS_NOT_COMPARABLE"),
        ("on_drug", {"scans": scans(3.0, 4.0, 0.0)}, "OFF_DRUG"),
    ],
)
def test_who_is_outside_is_not_evaluable_with_the_reason_and_nobody_is_lost(name, given, reason):
    found = population(name, **given)
    assert found["MRESP"].tolist() == ["RESPONDER", "NE", "NON-RESPONDER", "NE"]
    assert found["AVALC"].tolist() == ["RESPONDER", "NE", "STABLE", "NE"]
    # whoever was not evaluable before keeps her own reason
    assert found["NEREAS"].tolist() == [None, reason, None, "SCAN_REFUSED"]


def test_unknown_days_off_drug_stay_in_and_are_counted_by_their_flag():
    found = population("on_drug", scans=scans(np.nan, 7.0, np.nan))
    assert found["MRESP"].tolist() == ["RESPONDER", "NE", "NON-RESPONDER", "NE"]
    assert found["FLAGS"].tolist() == ["OFF_DRUG_UNKNOWN", None, "FLARE;OFF_DRUG_UNKNOWN", None]


def test_days_off_drug_are_those_before_the_scan_of_that_visit():
    early = scans(0.0, 0.0, 0.0)
    later = scans(7.0, 7.0, 7.0, visit="D28")
    assert (
        population("on_drug", scans=pd.concat([early, later]))["MRESP"].tolist() == admr()["MRESP"].tolist()
    )


@pytest.mark.parametrize(
    "given", [None, scans(1, 1, 1).drop(columns="OFFDRUG7"), scans(np.nan, np.nan, np.nan)]
)
def test_a_population_nothing_is_known_of_is_refused(given):
    with pytest.raises(ValueError, match="POPULATION_UNKNOWN"):
        population("on_drug", scans=given)


def test_the_main_analysis_is_repeated_in_the_other_populations_where_they_are_known():
    subjects = [f"S{number:02d}" for number in range(40)]
    rng = np.random.default_rng(3)
    classes = np.where(np.arange(40) % 2, "RESPONDER", "NON-RESPONDER")
    table = pd.DataFrame(
        {
            "STUDYID": "T", "USUBJID": subjects, "AVISIT": "D14", "METRIC": "SUVMAX", "RULE": "any_resistant",
            "CUT": 25.0, "AVALC": classes, "MRESP": classes, "SCORE": rng.normal(size=40), "NLESION": 1.0,
            "PETDT": pd.Timestamp("2020-01-15"), "NEREAS": None, "ONBOUND": "N", "FLAGS": None,
            "PPFL": np.where(np.arange(40) < 30, "Y", "N"),
        }
    )  # fmt: skip
    start = pd.Timestamp("2020-01-01")
    adtte = pd.DataFrame(
        {
            "STUDYID": "T", "USUBJID": subjects * 2, "PARAMCD": ["PFS"] * 40 + ["OS"] * 40, "STARTDT": start,
            "ADT": start + pd.to_timedelta(rng.integers(60, 300, 80), unit="D"), "CNSR": [0, 0, 1, 0] * 20,
        }
    )  # fmt: skip
    adtte = adtte.assign(AVAL=(adtte["ADT"] - adtte["STARTDT"]).dt.days + 1.0)
    lesions = pd.DataFrame(
        {
            "USUBJID": subjects, "AVISIT": "D0", "ROLE": "LESION", "EVALFL": "Y", "LESIONID": "L1",
            "METRIC": "SUVMAX", "AVAL": 5.0,
        }
    )  # fmt: skip
    plan = plans.defaults()
    plan = type(plan)(plan.study, {**plan.values, "primary.timepoint": "D14"})
    adsl = pd.DataFrame({"USUBJID": subjects, "TRTSDT": start})
    other = adtte[adtte["PARAMCD"].eq("PFS")].iloc[:0].assign(PARAM="")
    cohort = association.Cohort(table, lesions, adtte, adsl, other)
    rows = association.estimate_populations(association.prepare(cohort, plan), plan)
    rows = rows[rows["ENDPOINT"].eq("PFS")]
    # Nobody knows who was off the drug: that population is left out, the others are not.
    assert dict(zip(rows["POPULATION"], rows["N"])) == {"fdg_evaluable": 40, "comparable": 30}
    assert set(rows["ROLE"]) == {"SENSITIVITY"}
    # Who leaves patients out is a subgroup: by Firth, whatever its events.
    estimators = dict(zip(rows["POPULATION"], rows["ESTIMATOR"]))
    assert estimators == {"fdg_evaluable": "ML", "comparable": "FIRTH"}
