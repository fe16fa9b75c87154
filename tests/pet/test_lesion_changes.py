"""The table of lesions, the cap on their number, and response within strata of it; trial.md section 4."""

import numpy as np
import pandas as pd
import pytest
from response_factory import PLAN, adpet_of, decisions_of, lesions_of, regions, row_of, scans_of

from analysis.contracts import pet as contracts
from analysis.pet.lesion_changes import ADLESION_COLUMNS
from analysis.pet.response import change_lesions, classify, tabulate_by_lesion_count


def test_every_lesion_has_a_row_a_visit_and_metric_with_its_change():
    adpet = pd.concat(
        [adpet_of({"L1": (10.0, 5.0), "L2": (8.0, 8.8)}), lesions_of({"L1": (4.0, 6.0)}, "MTV41")]
    )
    found = change_lesions(adpet)
    contracts.PET_CONTRACTS["adlesion"].validate(found)
    rows = found.set_index(["LESIONID", "METRIC"])
    assert rows.loc[("L1", "SUVMAX"), ["BASE", "AVAL", "PCHG", "REPEAT"]].tolist() == [
        10.0,
        5.0,
        -50.0,
        "FALL",
    ]
    assert rows.loc[("L1", "SUVMAX"), "LNRATIO"] == pytest.approx(np.log(0.5))
    assert rows.loc[("L2", "SUVMAX"), "PCHG"] == pytest.approx(10.0)
    assert rows.loc[("L2", "SUVMAX"), "REPEAT"] == "WITHIN"
    assert rows.loc[("L1", "MTV41"), ["PCHG", "REPEAT", "STATUS"]].tolist() == [50.0, None, "MEASURED"]
    # MTV41 of L2 was not measured: the lesion keeps its row
    assert rows.loc[("L2", "MTV41"), "STATUS"] == "MISSING"


def test_how_a_lesion_without_a_value_came_about_is_told():
    adpet = adpet_of(
        {"L1": (10.0, None), "L2": (9.0, None), "L3": (8.0, 4.0), "L4": (7.0, 3.0), "L5": (6.0, None)}
    )
    places = [row_of("S1", "D14", "L1", "SUVBKG", 1.2)]
    places += [row_of("S1", "D14", "AORTA", "SUVMEAN", 1.5, ROLE="AORTA")]
    decisions = decisions_of(
        ("L1", "resolved"), ("L2", "resolved"), ("L3", "not_evaluable"), ("L4", "resolved")
    )
    found = change_lesions(pd.concat([adpet, pd.DataFrame(places)]), metrics=["SUVMAX"], decisions=decisions)
    told = found.set_index("LESIONID")[["STATUS", "DTYPE", "AVAL"]]
    assert told.loc["L1"].tolist() == ["RESOLVED", "PROPAGATED", 1.2]
    assert told.loc["L2"].tolist() == ["RESOLVED", "AORTA", 1.5]
    assert told.loc["L3", "STATUS"] == "NOT_EVALUABLE" and np.isnan(told.loc["L3", "AVAL"])
    assert told.loc["L4"].tolist() == ["RESOLVED", None, 3.0]  # drawn all the same: its own value
    assert told.loc["L5", "STATUS"] == "MISSING"


def test_lesions_of_the_follow_up_scan_alone_have_a_row_without_baseline():
    adpet = adpet_of({"L1": (10.0, 5.0), "L7": (None, 4.0), "L8": (None, 5.0), "L9": (None, 6.0)})
    decisions = decisions_of(("L7", "new"), ("L8", "inflammatory"), ("L6", "new"))
    found = change_lesions(adpet, metrics=["SUVMAX"], decisions=decisions).set_index("LESIONID")
    contracts.PET_CONTRACTS["adlesion"].validate(found.reset_index())
    assert found["STATUS"].to_dict() == {
        "L1": "MEASURED", "L6": "NEW", "L7": "NEW", "L8": "INFLAMMATORY", "L9": "NEW_UNCONFIRMED",
    }  # fmt: skip
    assert found.loc[["L6", "L7", "L8", "L9"], "BASE"].isna().all()
    assert np.isnan(found.loc["L6", "AVAL"]) and found.loc["L7", "AVAL"] == 4.0


def test_one_reader_who_says_new_is_believed_over_one_who_says_inflammatory():
    adpet = adpet_of({"L1": (10.0, 5.0), "L7": (None, 4.0)})
    both = decisions_of(("L7", "inflammatory"), ("L7", "new"))
    found = change_lesions(adpet, metrics=["SUVMAX"], decisions=both)
    assert found.loc[found["LESIONID"] == "L7", "STATUS"].tolist() == ["NEW"]
    assert classify(adpet, rule="any_resistant", decisions=both)["AVALC"].tolist() == ["PROGRESSOR"]


def test_a_refused_scan_leaves_its_lesions_missing_and_one_never_made_none():
    adpet = adpet_of({"L1": (10.0, 5.0)}).query("AVISIT == 'D0'")
    refused = change_lesions(adpet, metrics=["SUVMAX"], scans=scans_of(status=("OK", "REFUSED")))
    assert refused[["AVISIT", "STATUS"]].to_numpy().tolist() == [["D14", "MISSING"]]
    assert change_lesions(adpet, metrics=["SUVMAX"]).empty


def test_a_change_from_nothing_is_unknown():
    row = change_lesions(adpet_of({"L1": (0.0, 5.0)}), metrics=["SUVMAX"]).iloc[0]
    assert np.isnan(row["PCHG"]) and np.isnan(row["LNRATIO"]) and row["STATUS"] == "MEASURED"


def test_a_study_without_any_of_the_metrics_has_no_rows_unless_one_was_asked_for():
    volumes = adpet_of({"L1": (1.0, 1.0)}, metric="VOLUME")
    for adpet in (volumes, regions()):
        found = change_lesions(adpet)
        assert found.empty and list(found) == ADLESION_COLUMNS
    with pytest.raises(ValueError, match="METRIC_MISSING: adpet has no 'SUVMAX'"):
        change_lesions(volumes, metrics=["SUVMAX"])


def test_the_primary_metric_is_always_among_the_changes():
    plan = PLAN.override({"primary.metric": "SULMAX"})
    found = change_lesions(adpet_of({"L1": (8.0, 4.0)}, metric="SULMAX"), plan)
    assert found[["METRIC", "PCHG"]].to_numpy().tolist() == [["SULMAX", -50.0]]


def test_a_lesion_not_measured_at_baseline_keeps_its_row_without_change_or_flags():
    lost = row_of("S1", "D0", "L2", "SUVMAX", np.nan, FLAGS="NOT_MEASURED", EVALFL="N", TARGETFL="N")
    adpet = pd.concat([adpet_of({"L1": (10.0, 5.0), "L2": (None, 4.0)}), pd.DataFrame([lost])])
    found = change_lesions(adpet, metrics=["SUVMAX"])
    contracts.PET_CONTRACTS["adlesion"].validate(found)
    row = found.set_index("LESIONID").loc["L2"]
    assert (row["STATUS"], row["AVAL"], row["EVALFL"], row["TARGETFL"]) == ("MEASURED", 4.0, None, None)
    assert np.isnan(row["BASE"]) and np.isnan(row["PCHG"])


# ---- the number of lesions


def test_a_cap_reads_the_hottest_lesions_at_baseline_by_sulpeak():
    # L1 is the hotter by SUVmax, L2 by SULpeak, by which lesions are ranked; L1 alone resists
    adpet = pd.concat(
        [
            adpet_of({"L1": (10.0, 10.0), "L2": (8.0, 2.0)}),
            lesions_of({"L1": (3.0, 3.0), "L2": (5.0, 1.0)}, "SULPEAK"),
        ]
    )
    capped = classify(adpet, rule="any_resistant", lesion_cap=1).iloc[0]
    assert (capped["MRESP"], capped["NLESION"]) == ("RESPONDER", 1)
    both = classify(adpet, rule="any_resistant", lesion_cap=3).iloc[0]
    assert (both["MRESP"], both["NLESION"]) == ("NON-RESPONDER", 2)
    by_plan = classify(adpet, PLAN.override({"response.lesion_cap": 1}), rule="any_resistant")
    assert by_plan["MRESP"].tolist() == ["RESPONDER"]


def test_a_cap_breaks_ties_by_name_and_takes_the_rule_s_own_metric_without_sulpeak():
    tied = adpet_of({"L2": (10.0, 10.0), "L1": (10.0, 2.0)})
    assert classify(tied, rule="any_resistant", lesion_cap=1)["MRESP"].tolist() == ["RESPONDER"]
    hotter = adpet_of({"L1": (9.0, 2.0), "L2": (10.0, 10.0)})
    assert classify(hotter, rule="any_resistant", lesion_cap=1)["MRESP"].tolist() == ["NON-RESPONDER"]


def test_a_cap_chooses_among_the_lesions_of_the_rule():
    adpet = adpet_of({"L1": (10.0, 10.0), "L2": (8.0, 2.0)})
    adpet.loc[adpet["LESIONID"] == "L1", "TARGETFL"] = "N"
    assert classify(adpet, rule="all_respond", lesion_cap=1)["MRESP"].tolist() == ["RESPONDER"]


def test_non_responders_are_counted_by_the_number_of_lesions():
    admr = pd.DataFrame({"NLESION": [0, 1, 1, 2, 3, 4, 9, 9]}).assign(
        METRIC="SUVMAX", RULE="any_resistant", CUT=25.0, AVISIT="D14",
        MRESP=["NE", "RESPONDER", "NON-RESPONDER", "NE", "NON-RESPONDER", "NON-RESPONDER", "RESPONDER", "RESPONDER"],
    )  # fmt: skip
    found = tabulate_by_lesion_count(admr)
    assert found[["STRATUM", "N", "N_NE", "N_NONRESPONDER"]].to_numpy().tolist() == [
        ["0", 1, 1, 0], ["1", 2, 0, 1], ["2-3", 2, 1, 1], ["4+", 3, 0, 1],
    ]  # fmt: skip
    assert found["N"].sum() == len(admr)
    assert found["PERCENT"].tolist() == pytest.approx([np.nan, 50.0, 100.0, 100 / 3], nan_ok=True)


def test_one_lesion_alone_resists_less_often_than_one_of_five():
    """Within-subject CV 12 %, cut 25 %, a true fall of 35 % everywhere: 20 and 67 % (trial.md section 4)."""
    rng, sd = np.random.default_rng(1), np.sqrt(np.log1p(0.12**2))
    rows = []
    for count in (1, 5):
        for patient in range(400):
            for lesion in range(count):
                pair = np.exp(rng.normal(0, sd, 2)) * np.array([10.0, 6.5])
                for visit, value in zip(("D0", "D14"), pair):
                    rows.append(row_of(f"{count}-{patient}", visit, f"L{lesion}", "SUVMAX", value))
    admr = classify(pd.DataFrame(rows), rule="any_resistant", cut_percent=25.0)
    strata = tabulate_by_lesion_count(admr).set_index("STRATUM")["PERCENT"]
    assert strata["1"] == pytest.approx(20, abs=6) and strata["4+"] == pytest.approx(67, abs=7)
