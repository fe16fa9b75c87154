"""A study that only sent numbers: TR PET records become adpet, scan_qc and a ledger whose counts add up."""

import pandas as pd
import pytest
from dicom_factory import write_series

from analysis import contracts
from analysis import plan as plans
from analysis.pet import response
from analysis.pet.measurements_in import choose_source, read_measurements

PLAN = plans.defaults().override({"design.followup_visits": ["D14"]})
DAYS = {"D0": "2024-02-28", "D14": "2024-03-15"}  # first dose 2024-03-01: study days -2 and 15
ADSL = pd.DataFrame(
    {"STUDYID": "T", "USUBJID": ["A", "B", "C"], "SITEID": "01", "TRTSDT": pd.Timestamp("2024-03-01")}
)
# SUVmax at D0 and D14, by hand: A falls by 50 and 40 %, B's second by 10 %, C has a new lesion beside a fall.
SUVMAX = {
    "A": {"L1": (10.0, 5.0), "L2": (8.0, 4.8)},
    "B": {"L1": (10.0, 5.0), "L2": (8.0, 7.2)},
    "C": {"L1": (10.0, 5.0), "L9": (None, 6.0)},
}
CLASSES = {"A": "RESPONDER", "B": "NON-RESPONDER", "C": "NON-RESPONDER"}


def record(subject, visit, lesion, test, value, unit="g/mL", **extra):
    row = {"STUDYID": "T", "USUBJID": subject, "TRLNKID": lesion, "TRTESTCD": test, "TRORRES": str(value)}
    row |= {"TRORRESU": unit, "TRSTRESC": None, "TRSTRESN": None, "TRSTRESU": None, "TRGRPID": "LESION"}
    row |= {"TRMETHOD": "PET/CT SCAN", "TRDTC": DAYS.get(visit, visit), "TREVAL": None, "TREVALID": None}
    return row | {"TRACPTFL": None, "TRSTAT": None, "TRREASND": None, "TRANMETH": None} | extra


def liver(subject, visit, mean="2.0", sd="0.2"):
    known = {"TRGRPID": "REFERENCE"}
    return [
        record(subject, visit, "LIVER", "SUVMEAN", mean, **known),
        record(subject, visit, "LIVER", "SUVSD", sd, **known),
    ]


def numbered(rows):
    table = pd.DataFrame(rows)
    return table.assign(TRSEQ=(table.groupby("USUBJID").cumcount() + 1).astype(str))


def clean_records():
    rows = []
    for subject, lesions in SUVMAX.items():
        for number, visit in enumerate(DAYS):
            rows += liver(subject, visit)
            pairs = [(name, values[number]) for name, values in lesions.items()]
            rows += [record(subject, visit, name, "SUVMAX", value) for name, value in pairs if value]
            rows.append(record(subject, visit, None, "UPTKTM", 60 + number, "min"))
    return rows


def identification():
    rows = [("A", "L1", "LYMPH NODE", "TARGET", DAYS["D0"]), ("C", "L9", "BONE", "NEW", DAYS["D14"])]
    table = pd.DataFrame(rows, columns=["USUBJID", "TULNKID", "TULOC", "TUORRES", "TUDTC"])
    return table.assign(TUSTRESC=table["TUORRES"], TUMETHOD="PET/CT SCAN")


def read(rows, plan=PLAN, adsl=ADSL, tu=None, decisions=None):
    table = numbered(rows)
    found = read_measurements(table, adsl, plan, tu=tu, decisions=decisions)
    aside = found.exclusions["ITEM"].eq("record").sum()
    assert found.files["set aside"] == aside and sum(found.files.values()) == len(table)
    return found


def codes(found, item="record"):
    return found.exclusions.loc[found.exclusions["ITEM"].eq(item), "CODE"].tolist()


def values(found, metric, visit="D0", subject="A"):
    table = found.adpet
    rows = table[table["METRIC"].eq(metric) & table["AVISIT"].eq(visit) & table["USUBJID"].eq(subject)]
    return dict(zip(rows["LESIONID"], rows["AVAL"]))


# ---------------------------------------------------------------- the whole way to the class


def test_numbers_alone_give_the_classes_computed_by_hand():
    found = read(clean_records(), tu=identification())
    assert codes(found) == []
    admr = response.classify(
        found.adpet, PLAN, rule="any_resistant", cut_percent=25.0, metric="SUVMAX",
        subjects=ADSL, scans=found.scan_qc, decisions=found.decisions,
    )  # fmt: skip
    assert dict(zip(admr["USUBJID"], admr["MRESP"])) == CLASSES


def test_every_value_comes_back_as_sent():
    found = read(clean_records(), tu=identification())
    for subject, lesions in SUVMAX.items():
        for number, visit in enumerate(DAYS):
            sent = {name: pair[number] for name, pair in lesions.items() if pair[number]}
            assert values(found, "SUVMAX", visit, subject) == sent
    assert found.scan_qc["UPTAKEMIN"].tolist() == [60.0, 61.0] * 3
    assert found.scan_qc["AVISIT"].tolist() == ["D0", "D14"] * 3
    assert (found.scan_qc["LIVERMEAN"] == 2.0).all() and (found.scan_qc["LIVERSD"] == 0.2).all()


@pytest.mark.parametrize("rows", [clean_records(), []], ids=["a study", "no record"])
def test_every_table_keeps_its_contract(rows):
    rows = [*rows, record("A", "2024-02", "L1", "SUVMAX", 7.0)]  # and one for the ledger
    found = read(rows, tu=identification().assign(TUDTC="2024-03-20"))
    for name in ("adpet", "scan_qc", "lesion_map", "mips", "reference_proposals"):
        contracts.check(name, getattr(found, name))
    contracts.check("reader_decisions", found.decisions)
    contracts.check("exclusions_02", found.exclusions)
    contracts.check("queries_02", found.queries)


def test_a_scan_is_named_without_its_subject():
    found = read(clean_records(), tu=identification())
    assert found.scan_qc["PATH"].tolist() == [f"sdtm/tr#{n}" for n in range(1, 7)]


def test_the_order_of_records_changes_nothing():
    rows = clean_records()
    first, second = read(rows, tu=identification()), read(rows[::-1], tu=identification())
    pd.testing.assert_frame_equal(first.adpet, second.adpet)
    pd.testing.assert_frame_equal(first.scan_qc, second.scan_qc)


def test_organs_come_from_tu_and_new_lesions_become_decisions():
    found = read(clean_records(), tu=identification())
    organ = found.adpet.loc[found.adpet["USUBJID"].eq("A") & found.adpet["LESIONID"].eq("L1"), "ORGAN"]
    assert set(organ) == {"lymph node"}
    assert found.decisions[["USUBJID", "AVISIT", "LESIONID", "DECISION"]].values.tolist() == [
        ["C", "D14", "L9", "new"]
    ]
    status = found.lesion_map.set_index(["USUBJID", "AVISIT", "LESIONID"])["STATUS"]
    assert status["C", "D14", "L9"] == "NEW" and status["C", "D14", "L1"] == "SAME"


def test_a_decision_given_by_hand_wins_over_tu():
    given = pd.DataFrame(
        {"USUBJID": ["C"], "AVISIT": "D14", "LESIONID": "L9", "DECISION": "inflammatory", "READER": "R1"}
    )
    found = read(clean_records(), tu=identification(), decisions=given)
    assert found.decisions["DECISION"].tolist() == ["inflammatory"]


def test_a_new_lesion_stays_new_on_later_scans():
    plan = plans.defaults()
    rows = [*clean_records(), record("C", "2024-03-29", "L9", "SUVMAX", 6.5)]
    found = read(rows, plan, tu=identification())
    assert found.decisions["AVISIT"].tolist() == ["D14", "D28"]


def test_a_new_lesion_on_a_day_without_scan_is_asked_about():
    tu = identification().assign(TUDTC="2024-03-20")
    found = read(clean_records(), tu=tu)
    assert found.decisions.empty and "NEW_LESION_WITHOUT_SCAN" in set(found.queries["CODE"])


def test_a_lesion_called_absent_is_resolved_and_responds():
    rows = [
        row
        for row in clean_records()
        if (row["USUBJID"], row["TRLNKID"], row["TRDTC"]) != ("A", "L2", DAYS["D14"])
    ]
    rows.append(record("A", "D14", "L2", "TUMSTATE", "ABSENT", None))
    found = read(rows, tu=identification())
    assert found.files["used as gone"] == 1
    admr = response.classify(found.adpet, PLAN, rule="any_resistant", cut_percent=25.0, metric="SUVMAX",
                             scans=found.scan_qc, decisions=found.decisions)  # fmt: skip
    assert admr.set_index("USUBJID").loc["A", "MRESP"] == "RESPONDER"  # 8.0 -> 2.0, the liver's mean


# ---------------------------------------------------------------- FDG-evaluable


def test_a_lesion_below_the_liver_threshold_is_not_evaluable():
    # 1.5 * 2.0 + 2 * 0.2 = 3.4
    rows = [
        *liver("A", "D0"),
        record("A", "D0", "L1", "SUVMAX", 3.4),
        record("A", "D0", "L2", "SUVMAX", 3.39),
    ]
    found = read(rows).adpet.query("ROLE == 'LESION'").set_index("LESIONID")
    assert found.loc["L1", "EVALFL"] == "Y" and found.loc["L2", "EVALFL"] == "N"


def test_without_a_liver_every_lesion_is_evaluable_and_flagged():
    found = read([record("A", "D0", "L1", "SUVMAX", 1.0)]).adpet
    assert found["EVALFL"].tolist() == ["Y"] and found["FLAGS"].tolist() == ["NO_REFERENCE_REGION"]


def test_a_study_in_sulpeak_alone_is_held_against_the_liver_on_its_own_scale():
    # PERCIST: 1.5 * 1.4 + 2 * 0.1 = 2.3
    known = {"TRGRPID": "REFERENCE"}
    rows = [
        record("A", "D0", "LIVER", "SULMEAN", 1.4, **known),
        record("A", "D0", "LIVER", "SULSD", 0.1, **known),
    ]
    rows += [record("A", "D0", name, "SULPEAK", value) for name, value in (("L1", 2.31), ("L2", 2.29))]
    found = read(rows).adpet.query("ROLE == 'LESION'").set_index("LESIONID")
    assert found["EVALFL"].to_dict() == {"L1": "Y", "L2": "N"}
    assert found["TARGETFL"].to_dict() == {"L1": "Y", "L2": "N"}


def test_a_lesion_without_any_uptake_has_no_flag_but_a_reason():
    found = read([*liver("A", "D0"), record("A", "D0", "L1", "MTV41", 3.0, "mL")]).adpet
    lesion = found.query("ROLE == 'LESION'").iloc[0]
    assert lesion["EVALFL"] is None and lesion["FLAGS"] == "EVALUABILITY_UNKNOWN"


# ---------------------------------------------------------------- what a record says


@pytest.mark.parametrize(
    ("test", "value", "unit", "extra", "metric", "expected", "standard"),
    [
        ("SUVMAX", "7.5", "g/ml", {}, "SUVMAX", 7.5, "g/ml"),
        ("SULPEAK", "5.25", "1", {}, "SULPEAK", 5.25, "g/ml"),
        ("MTV41", "12", "cm3", {}, "MTV41", 12.0, "ml"),
        ("MTV", "1500", "mm^3", {"TRANMETH": "41% of SUVmax"}, "MTV41", 1.5, "ml"),
        ("MTV", "4", "mL", {"TRANMETH": "SUV 4.0"}, "MTV40F", 4.0, "ml"),
        ("MTV", "4", "mL", {"TRANMETH": "MANUAL"}, "VOLUME", 4.0, "ml"),
        ("TLG", "20", "g", {"TRANMETH": "50%"}, "TLG50", 20.0, "g"),
        ("LONGDIAM", "2.5", "cm", {}, "LONGDIAM", 25.0, "mm"),
        ("LDIAM", "25", "mm", {"TRMETHOD": "FDGPET"}, "LONGDIAM", 25.0, "mm"),
    ],
)  # fmt: skip
def test_codes_and_units_become_those_of_the_table(test, value, unit, extra, metric, expected, standard):
    found = read([record("A", "D0", "L1", test, value, unit, **extra)]).adpet
    assert found[["METRIC", "UNIT"]].values.tolist() == [[metric, standard]]
    assert found["AVAL"].item() == pytest.approx(expected, rel=1e-12)


def test_the_standard_result_wins_over_the_original_one():
    sent = record("A", "D0", "L1", "LONGDIAM", "2.5", "cm", TRSTRESN="25", TRSTRESC="25", TRSTRESU="mm")
    assert read([sent]).adpet["AVAL"].tolist() == [25.0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TRORRESU": "kBq/mL"}, "MEASUREMENT_UNIT"),
        ({"TRORRESU": None}, "MEASUREMENT_UNIT"),
        ({"TRORRES": "high"}, "MEASUREMENT_NOT_NUMERIC"),
        ({"TRORRES": "inf"}, "MEASUREMENT_NOT_NUMERIC"),
        ({"TRORRES": "-1"}, "MEASUREMENT_NEGATIVE"),
        ({"TRORRES": "0"}, "MEASUREMENT_ZERO"),
        ({"TRTESTCD": "SUVXYZ"}, "MEASUREMENT_UNKNOWN"),
        ({"TRTESTCD": "MTV", "TRORRESU": "mL"}, "MTV_THRESHOLD_UNKNOWN"),
        ({"TRTESTCD": "MTV", "TRORRESU": "mL", "TRANMETH": "GRADIENT"}, "MTV_THRESHOLD_UNKNOWN"),
        ({"TRTESTCD": "LDIAM", "TRORRESU": "mm"}, "DIAMETER_OF_CT"),
        ({"TRLNKID": None}, "LESION_UNNAMED"),
        ({"TRGRPID": "REFERENCE"}, "REFERENCE_REGION_UNKNOWN"),
        ({"TRGRPID": "WHOLE BODY"}, "MEASUREMENT_UNKNOWN"),
        ({"TRSTAT": "NOT DONE", "TRORRES": None, "TRREASND": "OUT OF FIELD"}, "MEASUREMENT_NOT_DONE"),
        ({"TRDTC": "2024-02"}, "SCAN_DATE_PARTIAL"),
        ({"TRDTC": "2024-02-31"}, "SCAN_DATE_PARTIAL"),
        ({"TRDTC": None}, "SCAN_DATE_MISSING"),
        ({"TRDTC": "1900-01-01"}, "SCAN_DATE_IMPLAUSIBLE"),
        ({"USUBJID": "Z"}, "SUBJECT_NOT_IN_ADSL"),
        ({"TRMETHOD": "PSMA PET SCAN"}, "PET_METHOD_UNKNOWN"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_in_the_ledger_and_the_rest_goes_on(change, code):
    odd = record("A", "D0", "L7", "SUVMAX", "6.0") | change
    found = read([record("A", "D0", "L1", "SUVMAX", "7.0"), odd])
    assert codes(found) == [code]
    known = found.adpet.dropna(subset="AVAL")
    assert known[["LESIONID", "METRIC", "AVAL"]].values.tolist() == [["L1", "SUVMAX", 7.0]]


def test_messages_repeat_no_date_and_no_free_text():
    odd = record("A", "D0", "L7", "SUVMAX", "6.0", "Mrs Doe 19500101")
    gone = record("A", "D0", "L8", "SUVMAX", None, TRSTAT="NOT DONE", TRREASND="seen by Dr X on 2024-02-28")
    reasons = " ".join(read([odd, gone]).exclusions["REASON"])
    assert "Doe" not in reasons and "Dr X" not in reasons and "another text" in reasons


def test_a_ct_record_is_no_pet_record():
    table = numbered(
        [record("A", "D0", "L1", "SUVMAX", 7.0), record("A", "D0", "T01", "LDIAM", 17, TRMETHOD="CT SCAN")]
    )
    assert sum(read_measurements(table, ADSL, PLAN).files.values()) == 1


def test_a_record_without_a_method_has_that_of_its_lesion():
    found = read([record("A", "D0", "L1", "SUVMAX", 7.0, TRMETHOD=None)], tu=identification())
    assert values(found, "SUVMAX") == {"L1": 7.0}


def test_a_lesion_in_the_liver_is_no_reference_region():
    tu = identification().assign(TULOC="LIVER")
    found = read([record("A", "D0", "L1", "SUVMAX", 7.0)], tu=tu).adpet
    assert found[["ROLE", "LESIONID", "ORGAN"]].values.tolist() == [["LESION", "L1", "liver"]]


def test_blood_pool_and_totals_have_their_roles():
    rows = [
        record("A", "D0", "R1", "SUVMEAN", 1.5, TRGRPID="MEDIASTINAL BLOOD POOL"),
        record("A", "D0", "TB", "MTV41", 80, "mL", TRGRPID="WHOLE BODY"),
        record("A", "D0", None, "TTLG", 400, "g", TRANMETH="41%"),
    ]
    found = read(rows).adpet[["ROLE", "LESIONID", "METRIC", "AVAL"]].values.tolist()
    assert found == [["AORTA", "AORTA", "SUVMEAN", 1.5], ["TOTAL", "TOTAL", "TMTV41", 80.0],
                     ["TOTAL", "TOTAL", "TTLG41", 400.0]]  # fmt: skip


# ---------------------------------------------------------------- readers, repeats, contradictions


def two_reads(**second):
    first = record("A", "D0", "L1", "SUVMAX", "7.0", TREVALID="R1", TREVAL="INDEPENDENT ASSESSOR")
    return [first, record("A", "D0", "L1", "SUVMAX", "9.0", TREVALID="R2") | second]


@pytest.mark.parametrize("value", ["9.0", "7.0"], ids=["differ", "agree"])
def test_two_readers_of_whom_none_was_chosen_are_not_pooled(value):
    rows = [*two_reads(TRORRES=value), record("A", "D0", None, "UPTKTM", 60, "min")]
    found = read(rows)
    assert codes(found) == ["SEVERAL_READERS"] * 2 and found.adpet.empty
    assert found.exclusions["REASON"].str.contains("pet.measurements_reader").any()
    assert found.scan_qc["CODE"].tolist() == ["NO_MEASUREMENT"]


def test_a_lesion_of_each_of_two_readers_makes_no_patient_of_both():
    rows = two_reads(TRLNKID="L2")
    assert codes(read(rows)) == ["SEVERAL_READERS"] * 2
    assert codes(read([row | {"TRACPTFL": "Y"} for row in rows])) == []  # adjudicated, lesion by lesion


def test_equal_records_of_one_reader_are_one_measurement():
    found = read(two_reads(TREVALID="R1", TRORRES="7.0"))
    assert codes(found) == ["DUPLICATE_MEASUREMENT"] and values(found, "SUVMAX") == {"L1": 7.0}


def test_acceptance_of_lesions_keeps_liver_and_facts():
    accepted = {"TRACPTFL": "Y", "TREVAL": "INDEPENDENT ASSESSOR"}
    rows = [row | (accepted if row["TRTESTCD"] == "SUVMAX" else {}) for row in clean_records()]
    rows.append(record("A", "D0", "L1", "SUVMAX", 9.0))  # the investigator's
    rows.append(record("A", "D0", "LIVER", "SUVMAX", 9.0, TRGRPID="REFERENCE", TREVALID="R9"))
    found = read(rows, tu=identification())
    assert codes(found) == ["OTHER_READER"] * 2
    assert values(found, "SUVMEAN") == {"LIVER": 2.0} and values(found, "SUVMAX") == {"L1": 10.0, "L2": 8.0}
    assert found.scan_qc["UPTAKEMIN"].tolist() == [60.0, 61.0] * 3


def test_a_fact_that_names_nobody_stays_when_a_reader_is_chosen():
    rows = [*two_reads(), record("A", "D0", None, "UPTKTM", 60, "min")]
    found = read(rows, PLAN.override({"pet.measurements_reader": "R2"}))
    assert found.scan_qc["UPTAKEMIN"].tolist() == [60.0] and codes(found) == ["OTHER_READER"]


# ---------------------------------------------------------------- a baseline lesion without a value


@pytest.mark.parametrize(
    "change", [{"TRORRES": "high"}, {"TRSTAT": "NOT DONE", "TRORRES": None}, {"TRORRES": "0"}]
)
def test_a_baseline_lesion_without_a_value_does_not_vanish(change):
    rows = [
        row | (change if (row["USUBJID"], row["TRLNKID"], row["TRDTC"]) == ("A", "L2", DAYS["D0"]) else {})
        for row in clean_records()
    ]
    found = read(rows, tu=identification())
    contracts.check("adpet", found.adpet)
    kept = found.adpet[found.adpet["FLAGS"].eq("NOT_MEASURED")]
    columns = ["USUBJID", "AVISIT", "LESIONID", "METRIC", "ROLE", "UNIT"]
    assert kept[columns].values.tolist() == [["A", "D0", "L2", "SUVMAX", "LESION", "g/ml"]]
    assert kept[["AVAL", "EVALFL", "TARGETFL"]].isna().all(axis=None)
    asked = found.queries[found.queries["CODE"].eq("LESION_NOT_MEASURED")]
    assert asked[["USUBJID", "RECORD"]].values.tolist() == [["A", "D0 L2"]]
    assert "LESION_NEW_UNCONFIRMED" not in set(found.queries["CODE"])  # L2 of D14 is a lesion of the baseline


@pytest.mark.parametrize(
    "odd",
    [
        record("A", "D0", "T01", "LDIAM", 17, "mm"),  # of the CT
        record("A", "D0", "T01", "TUMSTATE", "PRESENT", None),
        record("A", "D0", "L9", "TUMSTATE", "ABSENT", None),  # not there
        record("A", "D0", "L9", "SUVMAX", "high", TRMETHOD="PSMA PET SCAN"),
        record("A", "D14", "L9", "SUVMAX", "high"),
    ],
)
def test_what_is_no_lesion_of_the_baseline_pet_gets_no_row(odd):
    found = read([*clean_records(), odd], tu=identification())
    assert not found.adpet["FLAGS"].eq("NOT_MEASURED").any()


# ---------------------------------------------------------------- new lesions


def new_ones(tu):
    found = read(clean_records(), tu=tu)
    return found.decisions["DECISION"].tolist(), sorted(
        set(found.queries["CODE"]) - {"TARGET_METRIC_MISSING"}
    )


def test_a_new_lesion_without_a_method_has_that_of_its_records():
    assert new_ones(identification().assign(TUMETHOD=None)) == (["new"], [])
    assert new_ones(identification().assign(TUMETHOD="CT SCAN")) == ([], ["LESION_NEW_UNCONFIRMED"])


def test_acceptance_at_baseline_takes_no_new_lesion_away():
    tu = identification().assign(TUACPTFL=["Y", None])
    tu.loc[0, "USUBJID"] = "C"
    assert new_ones(tu) == (["new"], [])


@pytest.mark.parametrize(
    ("words", "decided", "asked"),
    [
        ("NEW LESION", ["new"], []),
        ("UNEQUIVOCAL NEW", ["new"], []),
        ("NO NEW LESION", [], ["LESION_NEW_UNCONFIRMED"]),
        ("NOT NEW", [], ["LESION_NEW_UNCONFIRMED"]),
        ("NEW LESION: NO", [], ["LESION_NEW_UNCONFIRMED", "NEW_LESION_UNCLEAR"]),
        ("NEW, EQUIVOCAL", [], ["LESION_NEW_UNCONFIRMED", "NEW_LESION_UNCLEAR"]),
    ],
)
def test_new_in_words_that_take_it_back_is_not_new(words, decided, asked):
    tu = identification()
    tu.loc[1, ["TUORRES", "TUSTRESC"]] = words
    assert new_ones(tu) == (decided, asked)


# ---------------------------------------------------------------- regions, targets, volumes


def test_a_location_alone_makes_no_reference_region():
    tu = identification().assign(TULOC="LIVER, ADJACENT TO NORMAL PARENCHYMA")
    assert values(read(clean_records(), tu=tu), "SUVMAX") == {"L1": 10.0, "L2": 8.0}
    found = read(clean_records(), tu=identification().assign(TULOC="MEDIASTINAL BLOOD POOL"))
    assert set(codes(found)) == {"REFERENCE_REGION_UNKNOWN"} and values(found, "SUVMAX") == {"L2": 8.0}


def test_targets_are_unknown_without_their_metric():
    # SULpeak 6.0 of A's L1 alone: of L2 nobody knows whether it is a target; 10.0, 8.0 exceed 3.4.
    found = read([*clean_records(), record("A", "D0", "L1", "SULPEAK", 6.0)]).adpet
    base = found[found["AVISIT"].eq("D0") & found["ROLE"].eq("LESION")]
    flags = base.drop_duplicates(["USUBJID", "LESIONID"]).set_index(["USUBJID", "LESIONID"])["TARGETFL"]
    assert flags["A", "L1"] == "Y" and flags.drop(("A", "L1")).isna().all()


def test_the_metric_of_targets_is_asked_for_once_or_of_whom_it_lacks():
    def asked(rows):
        table = read(rows, tu=identification()).queries
        return table[table["CODE"].eq("TARGET_METRIC_MISSING")]

    assert asked(clean_records())["USUBJID"].isna().tolist() == [True]
    assert asked(clean_records())["ACTION"].str.contains("response.target_metric").all()
    some = [record("B", "D0", name, "SULPEAK", 6.0) for name in ("L1", "L2")]
    assert asked([*clean_records(), *some])["USUBJID"].tolist() == ["A", "C"]


def test_a_volume_above_the_one_drawn_is_flagged_and_kept():
    rows = [record("A", "D0", "L1", "MTV", 5.0, "mL", TRANMETH="MANUAL")]
    rows += [record("A", "D0", "L1", "MTV41", 6.0, "mL"), record("A", "D0", "L1", "SUVMAX", 9.0)]
    found = read(rows)
    assert codes(found) == [] and found.adpet["FLAGS"].str.contains("MTV_ABOVE_VOLUME").all()
    assert values(found, "MTV41") == {"L1": 6.0} and values(found, "VOLUME") == {"L1": 5.0}


@pytest.mark.parametrize(
    ("second", "changes", "expected"),
    [
        ({"TRACPTFL": "Y"}, {}, 9.0),
        ({}, {"pet.measurements_reader": "R2"}, 9.0),
        ({}, {"pet.measurements_evaluator": "INDEPENDENT ASSESSOR"}, 7.0),
        ({}, {"pet.measurements_evaluator": "INVESTIGATOR"}, 9.0),
    ],
)
def test_the_accepted_or_named_read_counts(second, changes, expected):
    found = read(two_reads(**second), PLAN.override(changes))
    assert values(found, "SUVMAX") == {"L1": expected} and codes(found) == ["OTHER_READER"]


def test_a_maximum_below_its_mean_is_believed_neither_way():
    rows = [record("A", "D0", "L1", "SUVMAX", 4.0), record("A", "D0", "L1", "SUVMEAN", 5.0)]
    rows.append(record("A", "D0", "L1", "SUVPEAK", 3.5))
    found = read(rows)
    assert codes(found) == ["MEASUREMENT_INCONSISTENT"] * 2
    assert found.adpet["METRIC"].tolist() == ["SUVPEAK"]


def test_two_dates_within_one_window_are_not_chosen_between():
    found = read([record("A", "2024-03-14", "L1", "SUVMAX", 7.0), record("A", "D14", "L1", "SUVMAX", 5.0)])
    assert codes(found) == codes(found, "scan") * 1 == ["MULTIPLE_SERIES_FOR_VISIT"] * 2
    assert found.scan_qc["CODE"].tolist() == ["MULTIPLE_SERIES_FOR_VISIT"] * 2


def test_a_subject_without_records_is_in_the_ledger():
    found = read([record("A", "D0", "L1", "SUVMAX", 7.0)])
    assert found.exclusions.loc[found.exclusions["CODE"].eq("NO_PET_SCAN"), "USUBJID"].tolist() == ["B", "C"]


def test_facts_of_a_scan_are_read_with_their_units():
    rows = [record("A", "D0", "L1", "SUVMAX", 7.0), record("A", "D0", None, "INJDOSE", 10, "mCi")]
    rows += [record("A", "D0", None, "GLUC", "100", "mg/dL"), record("A", "D0", None, "WEIGHT", "70", "kg")]
    scan = read(rows).scan_qc.iloc[0]
    assert scan["DOSEMBQ"] == 370.0 and scan["WEIGHTKG"] == 70.0
    assert scan["GLUCOSE"] == pytest.approx(100 / 18.016, rel=1e-6)


def test_an_implausible_uptake_time_is_flagged():
    rows = [record("A", "D0", "L1", "SUVMAX", 7.0), record("A", "D0", None, "UPTKTM", 200, "min")]
    assert read(rows).scan_qc["FLAGS"].tolist() == ["UPTAKE_TIME_UNUSUAL"]


def test_a_study_without_dates_has_one_baseline_scan_a_subject():
    found = read([record("A", None, "L1", "SUVMAX", 7.0, TRDTC=None)], adsl=ADSL.drop(columns="TRTSDT"))
    assert found.scan_qc["AVISIT"].tolist() == ["D0"] and values(found, "SUVMAX") == {"L1": 7.0}


def test_inputs_are_not_changed():
    table, tu = numbered(clean_records()), identification()
    before, before_tu = table.copy(), tu.copy()
    read_measurements(table, ADSL, PLAN, tu=tu)
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(tu, before_tu)


# ---------------------------------------------------------------- images or numbers


def test_images_are_used_where_there_are_any(tmp_path):
    tr = numbered([record("A", "D0", "L1", "SUVMAX", 7.0)])
    assert choose_source(tmp_path, tr, PLAN) == "measurements"
    (tmp_path / "dicom").mkdir()
    assert choose_source(tmp_path, tr, PLAN) == "measurements"  # an empty folder holds no image
    (tmp_path / "dicom" / "1.dcm").write_bytes(b"x")
    assert choose_source(tmp_path, tr, PLAN) == "measurements"  # nor does one of other files
    assert choose_source(tmp_path, None, PLAN) == "images"  # which then says what is there
    write_series(tmp_path / "dicom" / "pet")
    assert choose_source(tmp_path, tr, PLAN) == "images"
    assert choose_source(tmp_path, tr, PLAN.override({"pet.source": "measurements"})) == "measurements"


def test_recist_diameters_of_a_hybrid_scan_are_no_pet_study(tmp_path):
    tr = numbered([record("A", "D0", "T01", "LDIAM", 17, "mm")])
    with pytest.raises(FileNotFoundError, match="NO_PET_DATA: no image"):
        choose_source(tmp_path, tr, PLAN)
    with pytest.raises(FileNotFoundError, match="NO_PET_DATA: no record"):
        choose_source(tmp_path, None, PLAN.override({"pet.source": "measurements"}))


def test_records_without_a_method_are_found_by_that_of_their_lesion(tmp_path):
    tr = numbered([record("A", "D0", "L1", "SUVMAX", 7.0, TRMETHOD=None)])
    assert choose_source(tmp_path, tr, PLAN, tu=identification()) == "measurements"
    with pytest.raises(FileNotFoundError, match="NO_PET_DATA"):
        choose_source(tmp_path, tr, PLAN)
