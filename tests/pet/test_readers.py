"""Several readers in TR: each is read as if the plan had named her, and classified from her own numbers."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.pet import response
from analysis.pet.corrected import add_corrected_metrics
from analysis.pet.measurements_in import read_measurements
from analysis.pet.readers import classify_readers, name_readers, read_every_reader

ASKED = {"primary.metric": "SUVMAX", "primary.response_rule": "any_resistant", "primary.cut_percent": 25.0}
PLAN = plans.defaults().override({"design.followup_visits": ["D14"], **ASKED})
DAYS = {"D0": "2024-02-28", "D14": "2024-03-15"}  # first dose 2024-03-01: study days -2 and 15
ADSL = pd.DataFrame(
    {"STUDYID": "T", "USUBJID": ["A", "B", "C"], "SITEID": "01", "TRTSDT": pd.Timestamp("2024-03-01")}
)
ONE, TWO, THREE = "Dr Ada", "Dr Bea", "Dr Cyd"
# SUVmax at D0 and D14. By hand, any lesion that falls by less than 25 %: ONE calls A a responder, TWO does not
# (L2 falls by 20 %); both call B one; of C, TWO has one lesion more (L3 rises). THREE read one lesion at D0.
SUVMAX = {
    ONE: {"A": {"L1": (10, 5), "L2": (8, 4)}, "B": {"L1": (6, 3)}, "C": {"L1": (10, 5)}},
    TWO: {"A": {"L1": (11, 5), "L2": (8, 6.4)}, "B": {"L1": (6, 3)}, "C": {"L1": (10, 5), "L3": (5, 6)}},
    THREE: {"A": {"L1": (9, None)}},
}
CLASSES = {
    (ONE, "A"): "RESPONDER", (ONE, "B"): "RESPONDER", (ONE, "C"): "RESPONDER",
    (TWO, "A"): "NON-RESPONDER", (TWO, "B"): "RESPONDER", (TWO, "C"): "NON-RESPONDER",
}  # fmt: skip


def record(subject, visit, lesion, test, value, reader, **extra):
    row = {"STUDYID": "T", "USUBJID": subject, "TRLNKID": lesion, "TRTESTCD": test, "TRORRES": str(value)}
    row |= {"TRORRESU": "g/mL", "TRGRPID": "LESION", "TRMETHOD": "PET/CT SCAN", "TRDTC": DAYS[visit]}
    return row | {"TREVAL": "INDEPENDENT ASSESSOR", "TREVALID": reader} | extra


def records(readers=SUVMAX):
    rows = [
        record(subject, visit, lesion, "SUVMAX", value, reader)
        for reader, subjects in readers.items()
        for subject, lesions in subjects.items()
        for lesion, pair in lesions.items()
        for visit, value in zip(DAYS, pair)
        if value is not None
    ]
    # Of a scan, not of a reader: the uptake time names nobody.
    times = {"TRORRESU": "min", "TREVAL": None}
    return rows + [record(s, v, None, "UPTKTM", 60, None, **times) for s in "ABC" for v in DAYS]


def numbered(rows):
    table = pd.DataFrame(rows)
    return table.assign(TRSEQ=(table.groupby("USUBJID").cumcount() + 1).astype(str))


def read(rows=None, plan=PLAN, **known):
    found = read_every_reader(numbered(records() if rows is None else rows), ADSL, plan, **known)
    return contracts.check("reads", found)


def classes(reads, plan=PLAN, **known):
    rows = classify_readers(reads, plan, **known)
    return dict(zip(zip(rows["READER"], rows["USUBJID"]), rows["MRESP"]))


def test_every_reader_is_read_as_if_the_plan_had_named_her():
    tr, reads = numbered(records()), read()
    assert sorted(set(reads["READER"])) == [ONE, TWO, THREE]
    for name in (ONE, TWO, THREE):
        plan = PLAN.override({"pet.measurements_reader": name})
        alone = read_measurements(tr, ADSL, plan)
        expected = add_corrected_metrics(alone.adpet, alone.scan_qc, plan)
        own = reads[reads["READER"].eq(name)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[list(expected)], expected, check_dtype=False)


def test_the_lesions_of_each_reader_are_hers():
    reads = read()
    base = reads[reads["AVISIT"].eq("D0") & reads["USUBJID"].eq("C") & reads["METRIC"].eq("SUVMAX")]
    assert list(zip(base["READER"], base["LESIONID"])) == [(ONE, "L1"), (TWO, "L1"), (TWO, "L3")]


def test_classes_of_each_reader_are_those_computed_by_hand():
    assert classes(read()) == CLASSES  # THREE has no second scan, so no class: not even "not evaluable"


@pytest.mark.parametrize("chosen", [ONE, TWO, ""])
def test_classes_do_not_hang_on_whom_the_plan_chose(chosen):
    plan = PLAN.override({"pet.measurements_reader": chosen})
    used = read_measurements(numbered(records()), ADSL, plan)
    # Without a choice nothing of a scan can be used, and it is refused: but each reader did read it.
    assert used.scan_qc["STATUS"].eq("REFUSED").any() == (chosen == "")
    reads = read(plan=plan, scans=used.scan_qc)
    assert classes(reads, plan, subjects=ADSL, scans=used.scan_qc) == CLASSES
    if chosen:
        admr = response.classify(
            used.adpet, plan, subjects=ADSL, scans=used.scan_qc, decisions=used.decisions
        )
        rows = classify_readers(reads, plan, subjects=ADSL, scans=used.scan_qc)
        own = rows[rows["READER"].eq(chosen)].drop(columns="READER").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, admr, check_dtype=False)


def test_records_without_a_name_make_no_reader():
    rows = [{**row, "TREVALID": None} if row["TREVALID"] == TWO else row for row in records()]
    reads = read(rows)
    assert name_readers(numbered(rows), PLAN) == [ONE, THREE]
    assert sorted(set(reads["READER"])) == [ONE, THREE]
    own = reads[reads["READER"].eq(ONE)].reset_index(drop=True)
    expected = read()
    expected = expected[expected["READER"].eq(ONE)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, expected)


@pytest.mark.parametrize("rows", [records({ONE: SUVMAX[ONE]}), records({}), records({None: SUVMAX[ONE]})])
def test_one_reader_gives_an_empty_table(rows):
    reads = read(rows)
    assert reads.empty and classify_readers(reads, PLAN).empty


def test_images_alone_give_an_empty_table():
    assert contracts.check("reads", read_every_reader(None, ADSL, PLAN)).empty


def test_a_second_name_that_measured_nothing_is_no_reader():
    rows = [*records({ONE: SUVMAX[ONE]}), record("A", "D0", None, "UPTKTM", 60, TWO, TRORRESU="min")]
    assert name_readers(numbered(rows), PLAN) == [ONE, TWO]
    assert read(rows).empty


def test_only_readers_of_the_plans_evaluator_are_compared():
    rows = [{**row, "TREVAL": "INVESTIGATOR"} if row["TREVALID"] == ONE else row for row in records()]
    plan = PLAN.override({"pet.measurements_evaluator": "INDEPENDENT ASSESSOR"})
    assert name_readers(numbered(rows), plan) == [TWO, THREE]
    assert sorted(set(read(rows, plan)["READER"])) == [TWO, THREE]


def test_a_decision_of_one_reader_is_not_the_others():
    decisions = pd.DataFrame(
        {"USUBJID": ["A", "C"], "AVISIT": "D14", "LESIONID": ["L2", "L1"], "READER": [TWO, None]}
    ).assign(DECISION=["inflammatory", "not_evaluable"])
    found = read(decisions=decisions)
    found = found[found["DECISION"].notna()]
    # THREE read neither scan: a word on it says nothing of her.
    told = list(zip(found["READER"], found["USUBJID"], found["DECISION"]))
    assert told == [(ONE, "C", "not_evaluable"), (TWO, "A", "inflammatory"), (TWO, "C", "not_evaluable")]
    assert found["METRIC"].eq("DECISION").all() and found["AVAL"].isna().all()


def test_a_lesion_one_reader_calls_gone_counts_for_her_alone():
    rows = [
        row
        for row in records()
        if (row["TREVALID"], row["TRLNKID"], row["TRDTC"]) != (TWO, "L2", DAYS["D14"])
    ]
    gone = record("A", "D14", "L2", "TUMSTATE", "ABSENT", TWO, TRORRESU=None)
    liver = {"TRGRPID": "REFERENCE"}
    rows += [gone, *(record("A", v, "LIVER", "SUVMEAN", 2, TWO, **liver) for v in DAYS)]
    reads = read(rows)
    word = reads[reads["DECISION"].notna()]
    assert word[["READER", "LESIONID", "DECISION"]].values.tolist() == [[TWO, "L2", "resolved"]]
    found = classes(reads)
    assert found[TWO, "A"] == "RESPONDER" and found[ONE, "A"] == "RESPONDER"  # 8.0 -> 2.0, the liver's mean


def test_a_new_lesion_of_one_reader_is_not_the_others():
    rows = [*records(), record("B", "D14", "L7", "SUVMAX", 6, TWO)]
    tu = identification([("B", "L7", "BONE", "NEW", TWO)])
    found = classes(read(rows, tu=tu))
    assert found[ONE, "B"] == "RESPONDER" and found[TWO, "B"] == "NON-RESPONDER"


def identification(rows):
    table = pd.DataFrame(rows, columns=["USUBJID", "TULNKID", "TULOC", "TUORRES", "TUEVALID"])
    return table.assign(TUSTRESC=table["TUORRES"], TUMETHOD="PET/CT SCAN", TUDTC=DAYS["D14"])


def test_each_reader_places_her_own_lesions():
    tu = identification(
        [
            ("A", "L1", "LUNG", "TARGET", ONE),
            ("A", "L1", "BONE", "TARGET", TWO),
            ("A", "L2", "LIVER", "TARGET", None),
            ("B", "L1", "LYMPH NODE", "TARGET", ONE),
        ]
    )
    reads = read(tu=tu)
    found = reads[reads["AVISIT"].eq("D0")].set_index(["READER", "USUBJID", "LESIONID"])["ORGAN"]
    assert found[ONE, "A", "L1"] == "lung" and found[TWO, "A", "L1"] == "bone"
    assert found[ONE, "A", "L2"] == found[TWO, "A", "L2"] == "liver"
    assert found[TWO, "B", "L1"] == "lymph node"  # she named none: the one that is known
    assert found[ONE, "C", "L1"] is None


def test_glucose_corrected_values_come_from_the_scan():
    scans = read_measurements(
        numbered(records()), ADSL, PLAN.override({"pet.measurements_reader": ONE})
    ).scan_qc.assign(GLUCOSE=11.0)
    reads = read(scans=scans)
    wide = reads.pivot_table(
        index=["READER", "USUBJID", "AVISIT", "LESIONID"], columns="METRIC", values="AVAL"
    )
    assert np.allclose(wide["SUVMAXG"], 2 * wide["SUVMAX"])  # 11.0 / 5.5 mmol/l


def test_a_study_without_a_second_scan_has_no_class():
    plan = PLAN.override({"design.followup_visits": []})
    assert classify_readers(read(plan=plan), plan).empty


def test_the_order_of_records_changes_nothing():
    pd.testing.assert_frame_equal(read(), read(records()[::-1]))


def test_a_reader_of_another_quantity_has_no_class():
    rows = [{**row, "TRTESTCD": "SULPEAK"} if row["TREVALID"] == TWO else row for row in records()]
    found = classes(read(rows))
    assert {reader for reader, _ in found} == {ONE}
