"""A tiny trial in tables: response on two days, PFS and OS, with a planted effect of the change."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.survival.association import Cohort


def make_trial(seed=1, n=48, pilot=30, effect=3.0, noise=(0.1, 0.1), missing=()):
    """Simulate `n` patients; PFS hazard rises by exp(effect x ln ratio), `noise` is the error of each day."""
    rng = np.random.default_rng(seed)
    ids = [f"PEARL-1-{k:03d}" for k in range(n)]
    start = pd.Timestamp("2012-01-02") + pd.to_timedelta(np.sort(rng.integers(0, 400, n)), "D")
    change = rng.normal(-0.3, 0.3, n)
    days = 30 + np.ceil(rng.exponential(110 * np.exp(-effect * (change + 0.3)))).astype(int)
    adsl = pd.DataFrame({"STUDYID": "PEARL", "USUBJID": ids, "TRTSDT": start})
    adsl["PILOTFL"] = np.where(np.arange(n) < pilot, "Y", "N")
    ends = {"PFS": start + pd.to_timedelta(days, "D"), "OS": start + pd.to_timedelta(4 * days, "D")}
    adtte = pd.concat([_endpoint(ids, start, name, end) for name, end in ends.items()], ignore_index=True)
    visits = {"D14": (13, noise[0]), "D28": (27, noise[1])}
    rows = []
    for k, subject in enumerate(ids):
        for visit, (day, error) in visits.items():
            score = change[k] + rng.normal(0, error)
            if k < pilot or visit == "D14":
                rows += _responses(
                    subject, visit, start[k] + pd.Timedelta(days=day), score, (subject, visit) in missing
                )
    return adsl, adtte, pd.DataFrame(rows)


def _endpoint(ids, start, name, end):
    cutoff = pd.Timestamp("2014-07-01")
    date = end.where(end <= cutoff, cutoff)
    frame = pd.DataFrame({"STUDYID": "PEARL", "USUBJID": ids, "PARAMCD": name, "STARTDT": start, "ADT": date})
    return frame.assign(AVAL=(date - start).days + 1.0, CNSR=(end > cutoff).astype(int))


def _responses(subject, visit, date, score, lacking):
    base = {
        "STUDYID": "PEARL",
        "USUBJID": subject,
        "AVISIT": visit,
        "METRIC": "SUVMAX",
        "RULE": "any_resistant",
    }
    classes = {
        cut: "RESPONDER" if 100 * np.expm1(score) <= -cut else "NON-RESPONDER" for cut in (15.0, 25.0, 40.0)
    }
    given = {"PETDT": date, "SCORE": score, "NEREAS": None}
    lost = {"PETDT": pd.NaT, "SCORE": np.nan, "NEREAS": "no scan", "MRESP": "NE"}
    return [
        {**base, "CUT": cut, "MRESP": name, **given, **(lost if lacking else {})}
        for cut, name in classes.items()
    ]


@pytest.fixture(scope="session")
def plan():
    """Return the default plan with few resamples: the tests look at logic, not at Monte Carlo error."""
    return plans.defaults().override(
        {"pilot.bootstrap": 200, "survival.permutations": 500, "pilot.correction_permutations": 500}
    )


def make_cohort(trial):
    """Return the tables of step 04: those of a simulated trial, one measured lesion each, a covariate or two."""
    adsl, adtte, admr = trial
    rng = np.random.default_rng(5)
    subjects = adsl["USUBJID"].tolist()
    adpet = pd.DataFrame({"USUBJID": subjects, "AVISIT": "D0", "LESIONID": "L1", "ROLE": "LESION"})
    adpet = pd.concat(
        [
            adpet.assign(METRIC=name, AVAL=rng.lognormal(2, 1, len(adpet)))
            for name in ("SUVMAX", "MTV41", "TLG41")
        ],
        ignore_index=True,
    ).assign(EVALFL="Y")
    adsl = adsl.assign(SITEID=np.where(np.arange(len(adsl)) % 3, "01", "02"), VISCFL="N")
    adsl.loc[adsl.index[::2], "VISCFL"] = "Y"
    other = adtte[adtte["PARAMCD"].eq("PFS")].assign(PARAMCD="PFSALL", PARAM="PFS, all follow-up")
    return Cohort(admr, adpet, adtte, adsl, other)


@pytest.fixture(scope="session")
def cohort(trial):
    return make_cohort(trial)


@pytest.fixture(scope="session")
def as_cohort():
    return make_cohort


@pytest.fixture(scope="session")
def trial():
    return make_trial()


@pytest.fixture(scope="session")
def simulate():
    return make_trial
