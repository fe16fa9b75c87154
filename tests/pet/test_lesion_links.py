"""Lesions followed through a small study whose scans lie elsewhere on the table: names, links, what is gone.

The baseline shows a, b, c and d; at follow-up they are called L4 to L1, and the patient lies 12, -8, 20 mm away.
"""

import numpy as np
import pandas as pd
import pytest
from dicom_factory import ROOT_UID, bqml_per_suv, write_seg, write_series

from analysis import contracts
from analysis import plan as plans
from analysis.pet.reader_tables import LESION_MAP, rows_by_scan, signed_rows
from analysis.pet.study import measure_study

SHAPE, SHIFT = (40, 44, 44), (12.0, -8.0, 20.0)
LESIONS = {"L1": (12, 16, 14), "L2": (12, 24, 28), "L3": (28, 16, 28), "L4": (28, 24, 14)}
RENAMED = {"L1": "L4", "L2": "L3", "L3": "L2", "L4": "L1"}
ADSL = pd.DataFrame({"STUDYID": ["T"], "USUBJID": ["P1"], "TRTSDT": [pd.Timestamp("2025-01-01")]})


def quiet(what, done, total):
    """Progress that nobody watches."""


def balls(names):
    axes = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return {name: ((axes - LESIONS[of]) ** 2).sum(axis=-1) <= 3.5**2 for name, of in names.items()}


def body():
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    suv = np.where(((z - 20) / 18) ** 2 + ((y - 20) / 14) ** 2 + ((x - 21) / 18) ** 2 <= 1, 0.8, 0.0)
    suv[((z - 22) / 7) ** 2 + ((y - 18) / 6) ** 2 + ((x - 12) / 7) ** 2 <= 1] = 2.0
    suv[((z - 14) / 4) ** 2 + ((y - 26) / 3) ** 2 + ((x - 20) / 6) ** 2 <= 1] = 1.5
    return suv


def write(folder, number, date, names, hot, shift=(0, 0, 0), cut=0):
    """Write a scan whose regions are `names` (drawn -> lesion); `hot` are the lesions it shows, SUV 6."""

    def same(ds):
        ds.PatientID, ds.PatientSex = "P1", "F"
        ds.FrameOfReferenceUID, ds.StudyInstanceUID = f"{ROOT_UID}.7.{number}", f"{ROOT_UID}.1.{number}"

    def of_slice(ds, k):
        same(ds)
        for name in ("Study", "Series", "Acquisition"):
            setattr(ds, f"{name}Date", date)
        ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = f"{date}100000.000000"
        ds.ImagePositionPatient = list(np.add([0.0, 0.0, 4.0 * (k + cut)], shift))

    def of_regions(ds):
        same(ds)
        ds.ReferencedFrameOfReferenceSequence = []
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT_UID}.40.{number}"
        for group in ds.PerFrameFunctionalGroupsSequence:
            place = group.PlanePositionSequence[0]
            place.ImagePositionPatient = list(np.add(list(map(float, place.ImagePositionPatient)), shift))

    suv = body()
    for mask in balls({name: name for name in hot}).values():
        suv[mask] = 6.0
    write_series(folder / "pet", suv[cut:], bqml_per_suv(), of_slice, series=number)
    if names:
        write_seg(folder / "seg.dcm", balls(names), edit=of_regions)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    own = {name: name for name in LESIONS}
    write(root / "dicom" / "a", 2, "20241231", own, LESIONS)
    drawn = {RENAMED[name]: name for name in LESIONS}
    write(root / "dicom" / "b", 3, "20250114", drawn, LESIONS, SHIFT)
    return root


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    """L2 and L4 without a region at follow-up, where the uptake of L4 has not changed."""
    root = tmp_path_factory.mktemp("gone")
    write(root / "dicom" / "a", 2, "20241231", {name: name for name in LESIONS}, LESIONS)
    write(root / "dicom" / "b", 3, "20250114", {"L1": "L1", "L3": "L3"}, ["L1", "L3", "L4"], SHIFT)
    return root


def measure(raw, workers=1, **values):
    tables = {name: values.pop(name) for name in ("lesion_map", "decisions") if name in values}
    plan = plans.defaults().override({f"pet.{name}": value for name, value in values.items()})
    return measure_study(raw, ADSL, plan, workers=workers, with_mips=False, report=quiet, **tables)


def lesions_of(study, visit="D14"):
    table = study.lesion_map[study.lesion_map["AVISIT"] == visit]
    return dict(zip(table["DRAWNID"], table["LESIONID"]))


def reader(*rows, who="R1", when="2025-02-01"):
    table = pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "ROINAME", "LESIONID"], dtype=object)
    return table.assign(READER=who, DECIDEDDT=when)


def asked(study, code):
    return study.queries.loc[study.queries["CODE"] == code, "RECORD"].str.cat(sep=";").split(";")


@pytest.fixture(scope="module")
def matched(raw):
    return measure(raw, lesion_identity="match")


def test_geometry_gives_every_region_the_name_of_the_baseline(matched):
    contracts.check("lesion_map", matched.lesion_map)
    assert lesions_of(matched) == {drawn: name for name, drawn in RENAMED.items()}
    follow = matched.lesion_map[matched.lesion_map["AVISIT"] == "D14"]
    assert set(follow["STATUS"]) == {"SAME"} and set(follow["SOURCE"]) == {"PROPOSED"}
    assert (follow["DICE"] > 0.7).all() and (follow["DISTANCEMM"] < 3).all()
    assert sorted(asked(matched, "LESION_MATCH_PROPOSED")) == [f"D14 L{n}" for n in (1, 2, 3, 4)]
    assert len(matched.adpet.query("ROLE == 'LESION' and METRIC == 'SUVMAX'")) == 8


def test_the_result_does_not_depend_on_the_number_of_workers(raw, matched):
    other = measure(raw, workers=2, lesion_identity="match")
    for name in ("adpet", "lesion_map", "queries", "exclusions"):
        pd.testing.assert_frame_equal(getattr(other, name), getattr(matched, name), check_exact=True)


def test_names_are_identities_by_default_and_registering_all_pairs_shows_that_they_were_swapped(raw):
    study = measure(raw)
    assert lesions_of(study) == {name: name for name in LESIONS}
    assert study.lesion_map["DICE"].isna().all() and set(study.lesion_map["SOURCE"]) == {"NAME"}
    checked = measure(raw, match_check="all")
    assert lesions_of(checked) == lesions_of(study)
    assert asked(checked, "LESION_MOVED") == [f"D14 L{n}" for n in (1, 2, 3, 4)]
    pd.testing.assert_frame_equal(checked.adpet, study.adpet)


@pytest.mark.parametrize("identity", ["names", "match"])
def test_the_reader_wins_joins_parts_and_confirms(raw, identity):
    table = reader(("P1", "D14", "L4", "L1"), ("P1", "D14", "L3", "L1"), ("P1", "D14", "L2", "L3"))
    study = measure(raw, lesion_identity=identity, lesion_map=table)
    found = lesions_of(study)
    assert (found["L4"], found["L3"], found["L2"]) == ("L1", "L1", "L3")
    rows = study.lesion_map[study.lesion_map["AVISIT"] == "D14"].set_index("DRAWNID")
    assert rows.loc[["L4", "L3", "L2"], "SOURCE"].eq("READER").all()
    assert rows.loc[["L4", "L3"], "STATUS"].eq("SPLIT").all()
    assert "D14 L4" not in asked(study, "LESION_MATCH_PROPOSED")
    volumes = study.adpet[study.adpet["METRIC"] == "VOLUME"].set_index(["AVISIT", "LESIONID"])["AVAL"]
    # A ball has 179 voxels of 0.064 ml (r 3.5 voxels). By name, the follow-up's own L1 is L1 as well. By
    # place, the second region is what baseline calls L2: both are one lesion at baseline, too.
    balls_of = {"names": (1, 3), "match": (2, 2)}[identity]
    found = (volumes[("D0", "L1")], volumes[("D14", "L1")])
    assert found == pytest.approx([n * 179 * 0.064 for n in balls_of])
    joined = study.adpet.query("AVISIT == 'D14' and LESIONID == 'L1'")
    assert joined["FLAGS"].str.contains("PARTS_JOINED").all()
    assert joined.set_index("METRIC").loc["SUVMAX", "AVAL"] == pytest.approx(6.0, rel=1e-3)


def test_a_word_on_the_baseline_holds_for_the_same_name_at_every_visit(raw):
    study = measure(raw, lesion_map=reader(("P1", "D0", "L2", "L1")))
    assert lesions_of(study, "D0")["L2"] == lesions_of(study)["L2"] == "L1"


def test_what_the_reader_wrote_wrongly_goes_to_the_ledger(raw):
    table = pd.concat(
        [reader(("P1", "D14", "nobody", "L1")), reader(("P1", "D14", "L1", "L2"), who=None)],
        ignore_index=True,
    )
    study = measure(raw, lesion_map=table)
    codes = set(study.exclusions["CODE"])
    assert {"LESION_MAP_WITHOUT_ROI", "LESION_MAP_UNSIGNED"} <= codes
    assert lesions_of(study) == {name: name for name in LESIONS}
    bad = reader(("P1", "D14", "x", "TOTAL"), ("P1", "D14", "y", None), ("P1", "D28", "x", "L1"))
    _, problems = rows_by_scan(bad, LESION_MAP, [("P1", "D14")], ["P1"])
    assert [row["CODE"] for row in problems] == [
        "LESION_MAP_INVALID",
        "LESION_MAP_INVALID",
        "LESION_MAP_WITHOUT_SCAN",
    ]
    cousin = reader(("P1", "D14", "x", "L1")).assign(RELATION="COUSIN")
    rows, problems = rows_by_scan(cousin, LESION_MAP, [("P1", "D14")], ["P1"])
    assert rows == {} and "RELATION must be one of" in problems[0]["REASON"]
    assert signed_rows({}, LESION_MAP) == ({}, [])


def test_links_that_wait_for_the_reader_pair_nothing(raw):
    study = measure(raw, lesion_identity="match", match_confirmed_only=True)
    assert not set(lesions_of(study).values()) & set(LESIONS)
    assert set(study.lesion_map.query("AVISIT == 'D14'")["STATUS"]) == {"NEW"}
    assert len(asked(study, "LESION_MATCH_PROPOSED")) == 4


def test_a_scan_that_cannot_be_laid_over_is_paired_with_nothing(raw):
    study = measure(raw, lesion_identity="match", body_suv_above=100.0)
    assert not set(lesions_of(study).values()) & set(LESIONS)
    assert set(study.lesion_map.query("AVISIT == 'D14'")["FLAGS"]) == {"REGISTRATION_FAILED"}
    assert asked(study, "REGISTRATION_FAILED") == ["D14"]


def backgrounds(study):
    rows = study.adpet[study.adpet["METRIC"] == "SUVBKG"]
    return dict(zip(rows["LESIONID"], rows["AVAL"]))


@pytest.mark.parametrize("identity", ["names", "match"])
def test_where_a_lesion_is_gone_its_place_is_measured_and_it_does_not_count_as_measured(gone, identity):
    study = measure(gone, lesion_identity=identity)
    found = backgrounds(study)
    # L2 lies in soft tissue of SUV 0.8 (its rim may hold 1.5); nobody drew L4, which is still as hot as before.
    assert set(found) == {"L2", "L4"} and 0.7 < found["L2"] < 1.3 and 4 < found["L4"] <= 6.001
    rows = study.adpet[study.adpet["METRIC"].isin(["SUVBKG", "SULBKG"])]
    assert set(rows["FLAGS"].str.split(";").str[0]) == {"PROPAGATED"} and len(rows) == 4
    follow = study.adpet[study.adpet["AVISIT"] == "D14"]
    assert follow.loc[follow["METRIC"] == "NLESION", "AVAL"].tolist() == [2.0]
    assert set(follow.loc[follow["METRIC"] == "SUVMAX", "LESIONID"]) == {"L1", "L3"}
    assert sorted(asked(study, "LESION_WITHOUT_FOLLOWUP")) == ["D14 L2", "D14 L4"]
    contracts.check("adpet", study.adpet)


def test_the_readers_word_closes_the_question_and_the_place_is_still_measured(gone):
    words = pd.DataFrame(
        [("P1", "D14", "L2", "resolved", "R1")],
        columns=["USUBJID", "AVISIT", "LESIONID", "DECISION", "READER"],
    )
    study = measure(gone, decisions=words)
    assert asked(study, "LESION_WITHOUT_FOLLOWUP") == ["D14 L4"] and set(backgrounds(study)) == {"L2", "L4"}


def test_no_pair_is_registered_where_the_plan_says_none(gone):
    study = measure(gone, match_check="none")
    assert backgrounds(study) == {} and study.lesion_map["DICE"].isna().all()


def test_a_place_outside_the_field_of_view_has_no_value(tmp_path):
    own = {name: name for name in LESIONS}
    write(tmp_path / "dicom" / "a", 2, "20241231", own, LESIONS)
    write(tmp_path / "dicom" / "b", 3, "20250114", {"L3": "L3"}, ["L3"], SHIFT, cut=14)
    study = measure(tmp_path)
    assert set(backgrounds(study)) == {"L4"}
    texts = study.queries.loc[study.queries["CODE"] == "LESION_WITHOUT_FOLLOWUP", ["RECORD", "MESSAGE"]]
    outside = {r for records, text in texts.to_numpy() if "outside" in text for r in records.split(";")}
    assert outside == {"D14 L1", "D14 L2"}


def word(*rows):
    table = pd.DataFrame(rows, columns=["LESIONID", "DECISION"])
    return table.assign(USUBJID="P1", AVISIT="D14", READER="R1")


def test_a_complete_responder_without_any_region_at_follow_up_is_read_and_her_lesions_looked_at(tmp_path):
    write(tmp_path / "dicom" / "a", 2, "20241231", {name: name for name in LESIONS}, LESIONS)
    write(tmp_path / "dicom" / "b", 3, "20250114", {}, [], SHIFT)
    unread = measure(tmp_path)
    assert asked(unread, "SCAN_WITHOUT_ROI") == ["D14"] and not len(backgrounds(unread))
    study = measure(tmp_path, decisions=word(*((name, "resolved") for name in LESIONS)))
    assert not asked(study, "SCAN_WITHOUT_ROI")[0] and not asked(study, "LESION_WITHOUT_FOLLOWUP")[0]
    rows = study.adpet[study.adpet["METRIC"] == "SUVBKG"]
    assert list(rows["LESIONID"]) == list(LESIONS)
    assert rows["AVAL"].to_numpy() == pytest.approx(0.8, abs=0.15)  # the body, where the lesions were
    part = measure(tmp_path, decisions=word(("L1", "resolved")))
    assert asked(part, "LESION_WITHOUT_FOLLOWUP") == ["D14 L2", "D14 L3", "D14 L4"]


def test_the_place_of_a_lesion_is_measured_in_the_image_the_numbers_come_from(gone):
    first = measure(gone).scan_qc.iloc[0]
    entry = {"vendor": first["VENDOR"], "model": first["MODEL"], "earl_standard": 1, "eqpet_fwhm_mm": 8.0}
    study = measure(gone, harmonisation=[entry | {"reason": "test"}], eqpet_apply=True)
    rows = study.adpet.query("LESIONID == 'L4' and METRIC == 'SUVBKG'")
    # A ball of SUV 6 in 0.8: blurred, its mean is lower than 6 and higher than half of it.
    assert 3.4 < rows["AVAL"].item() < 5.5


def test_a_baseline_lesion_that_cannot_be_measured_stays_without_a_value(tmp_path, monkeypatch):
    whole = balls

    def empty_l2(names):
        return {name: mask & (name != "L2") for name, mask in whole(names).items()}

    write(tmp_path / "dicom" / "b", 3, "20250114", {name: name for name in LESIONS}, ["L2"], SHIFT)
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "balls", empty_l2)
        write(tmp_path / "dicom" / "a", 2, "20241231", {name: name for name in LESIONS}, [])
    study = measure(tmp_path)
    contracts.check("adpet", study.adpet)
    lost = study.adpet.query("AVISIT == 'D0' and LESIONID == 'L2'")
    assert list(lost["METRIC"]) == ["SUVMAX"] and lost["AVAL"].isna().all() and lost["EVALFL"].isna().all()
    assert asked(study, "LESION_NOT_MEASURED") == ["D0 L2"]
    total = study.adpet.query("AVISIT == 'D0' and METRIC == 'NLESION'")
    assert total["AVAL"].item() == 3
