"""Which hazard ratios a reader is shown, and how many are left out."""

import numpy as np
import pandas as pd

from analysis import tables

MAIN = dict(
    ENDPOINT="PFS", POPULATION="all_scans", LANDMARK="scan", TIMEPOINT="D14", METRIC="SUVMAX",
    RULE="any_resistant", CUT=25.0, CONTRAST="NON-RESPONDER", REFERENCE="RESPONDER", METHOD="cox",
    ESTIMATOR="ML", TIES="efron", ESTIMATE=1.7, LOWER=0.8, UPPER=3.9, P=0.15, N=44, EVENTS=36,
    ROLE="PRIMARY", LABEL="main analysis",
)  # fmt: skip


def rows():
    other = dict(ROLE="SENSITIVITY")
    adjusted = "adjusted for age; unadjusted in the same 44 patients 1.70 (0.80-3.90)"
    fewer = "adjusted for site; unadjusted in the same 40 patients 1.60 (0.70-3.80)"
    return pd.DataFrame(
        [
            MAIN,
            MAIN | other | dict(METHOD="cox_adjusted", ESTIMATE=1.8, LABEL=adjusted),
            MAIN | other | dict(METHOD="cox_adjusted", ESTIMATE=1.5, N=40, LABEL=fewer),
            MAIN | other | dict(METHOD="cox_prior", ESTIMATOR="PRIOR", ESTIMATE=1.6, LABEL="normal prior, sd 0.75"),
            MAIN | other | dict(METHOD="cox_ipw", ESTIMATE=np.nan, LABEL="weighted; not estimable: too few"),
            MAIN | other | dict(ENDPOINT="PFSALL", LABEL="other censoring rule"),
            MAIN | other | dict(ENDPOINT="PFSCLIN", ESTIMATE=1.4, LABEL="other censoring rule"),
            MAIN | other | dict(CUT=15.0, ESTIMATE=1.9, LABEL="other rule, cut or day; post hoc cut"),
            MAIN | other | dict(RULE="suvmax_sum", ESTIMATE=2.9, LABEL="other rule, cut or day"),
            MAIN | other | dict(METRIC="SULPEAK", ESTIMATE=2.8, LABEL="other rule, cut or day"),
            MAIN | other | dict(METHOD="cut_sweep", CUT=10.0, ESTIMATE=2.7, LABEL="cut 10 %"),
            MAIN | dict(ENDPOINT="OS", ROLE="SECONDARY", ESTIMATE=2.0),
        ]
    )  # fmt: skip


def found(endpoint="PFS"):
    names = {"PFSALL": "all follow-up", "PFSCLIN": "clinical progression counts"}
    return tables.list_alternatives(rows(), endpoint, metrics=["SUVMAX"], names=names)


def test_models_of_the_same_patients_and_other_choices_stand_apart_each_after_the_main_row():
    shown = found()
    assert shown.models["LABEL"].tolist() == [
        "Day 14, SUVmax, any resistant lesion, fall ≥ 25 %",
        "Adjusted for age",
        "Adjusted for site, unadjusted in the same 40 patients 1.60 (0.70-3.80)",
        "Normal prior, sd 0.75",
    ]
    assert shown.choices["LABEL"].tolist()[1:] == [
        "Clinical progression counts",
        "Post hoc cut, fall ≥ 15 %",
    ]
    assert shown.choices["ROLE"].iloc[0] == "PRIMARY"


def test_what_is_left_out_is_counted():
    shown = found()
    assert (shown.same, shown.not_estimable) == (1, 1)
    assert shown.note() == (
        "Not shown: 1 further choice with the same estimate and limits as the main analysis; "
        "1 that could not be estimated."
    )


def test_an_endpoint_without_alternatives_has_its_main_row_and_nothing_to_say():
    shown = found("OS")
    assert len(shown.models) == len(shown.choices) == 1
    assert shown.note() == ""


def test_a_split_at_the_median_is_no_fall():
    baseline = MAIN | dict(TIMEPOINT="D0", RULE="per_doubling", CUT=np.nan, LABEL="hazard ratio per doubling")
    split = baseline | dict(
        RULE="median_split", CUT=10.3709, ROLE="EXPLORATORY", LABEL="median split, data-driven", ESTIMATE=3.2
    )
    frame = pd.DataFrame([baseline, split, split | dict(METRIC="MTV41", CUT=61.6)])
    shown = tables.list_alternatives(frame, "PFS", metrics=["SUVMAX", "MTV41"], names={})
    assert shown.choices["LABEL"].tolist()[1:] == ["Split at the median", "MTV (41 %), split at the median"]
