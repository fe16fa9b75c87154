"""One scan to plain rows: metrics, reference regions, totals; expected numbers by hand from what was written."""

import math

import numpy as np
import pandas as pd
import pytest
from dicom_factory import write_seg, write_series

from analysis import contracts
from analysis import plan as plans
from analysis.pet import measurement, reference_choice
from analysis.pet.measurement import measure_scan
from analysis.pet.quality import check_body

DEFAULTS = plans.defaults()
RULES = DEFAULTS.pet
SHAPE = (12, 14, 14)  # 4 mm voxels: a 30 mm sphere fits
VOXEL = 0.064


def block(low, high):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return mask


L1, L2 = block((1, 1, 1), (4, 4, 4)), block((3, 3, 3), (5, 5, 5))  # share one voxel
LIVER = block((7, 8, 8), (10, 11, 11))


def suv():
    image = np.ones(SHAPE)
    image[L2], image[L1], image[LIVER] = 3.0, 6.0, 2.0
    return image


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("scan")

    def female(ds, k=0):
        ds.PatientSex = "F"

    write_series(root / "pet", suv(), edit=female)
    write_seg(root / "all.dcm", {"L1": L1, "L2": L2, "LIVER": LIVER})
    write_seg(root / "one.dcm", {"L1": L1})
    write_seg(root / "liver.dcm", {"LIVER": LIVER})
    return root


def scan(raw, *rois, rules=RULES, **task):
    where = {
        "STUDYID": "T",
        "USUBJID": "S1",
        "AVISIT": "D0",
        "ADT": pd.Timestamp("2025-01-01"),
        "PATH": "pet",
    }
    base = {
        "raw_dir": str(raw),
        "path": "pet",
        "files": None,
        "series_uid": None,
        "roi_map": {},
        "scan": where,
    }
    return measure_scan({**base, "rois": list(rois), **task}, rules)


def values(result, lesion):
    return {row["METRIC"]: row["AVAL"] for row in result.rows if row["LESIONID"] == lesion}


def codes(rows):
    return [row["CODE"] for row in rows]


def flags(result, lesion=None):
    found = (
        [row["FLAGS"] for row in result.rows if row["LESIONID"] == lesion]
        if lesion
        else [result.scan["FLAGS"]]
    )
    return set((found[0] or "").split(";"))


def moved(region="LIVER", decision="MOVE", x=26.0, y=26.0, z=22.0, reader="R1", day="2025-02-01"):
    place = {"X": x, "Y": y, "Z": z}
    return {"REGION": region, "DECISION": decision, **place, "READER": reader, "DECIDEDDT": day}


# ---- rows ----


def test_a_lesion_has_every_metric_and_its_sul(raw):
    found = values(scan(raw, "all.dcm"), "L1")
    assert found["SUVMAX"] == pytest.approx(6.0, rel=1e-3)
    assert found["SUVMED"] == pytest.approx(6.0, rel=1e-3)
    assert found["VOLUME"] == pytest.approx(27 * VOXEL)
    assert found["MTV25F"] == pytest.approx(27 * VOXEL) and found["TLG25F"] == pytest.approx(
        27 * 6 * VOXEL, rel=1e-3
    )
    # A 3 x 3 x 3 block: centre, faces and edges of the 19 voxels about its middle all hold 6.
    assert found["SUVPEAK"] == pytest.approx(6.0, rel=1e-3) == found["SUVPEAK3"]
    assert found["SUVPEAK2"] < found["SUVPEAK"]  # the exact sphere reaches a little beyond the block
    # Janmahasatian, F, 70 kg, 1.75 m: 45.1970 kg (pet.md 1.2)
    assert found["SULMAX"] / found["SUVMAX"] == pytest.approx(45.1970 / 70, rel=1e-5)
    assert {"SULMED", "SULPEAK", "SULPEAK2", "SULPEAK3", "TLG41", "TLG50", "MTV40F", "TLG40F"} <= set(found)


def test_the_percist_volume_uses_this_scans_own_liver(raw):
    """Liver 2.0 without spread: threshold 3.0, so L2 (3.0, one voxel 6) counts whole, being inclusive or just not."""
    result = scan(raw, "all.dcm")
    liver = values(result, "LIVER")
    threshold = 1.5 * liver["SUVMEAN"] + 2 * liver["SUVSD"]
    assert threshold == pytest.approx(3.0, rel=1e-3)
    assert values(result, "L1")["MTVP"] == pytest.approx(27 * VOXEL)
    assert values(result, "L1")["TLGP"] == pytest.approx(27 * 6 * VOXEL, rel=1e-3)
    assert "MTVP" not in values(scan(raw, "one.dcm", rules=off()), "L1")


def off(**changes):
    return DEFAULTS.override({"pet.reference_proposals": "off", **changes}).pet


def test_totals_count_a_voxel_of_two_lesions_once(raw):
    result = scan(raw, "all.dcm")
    total = values(result, "TOTAL")
    assert total["NLESION"] == 2
    assert total["TMTV"] == pytest.approx((27 + 8 - 1) * VOXEL)
    assert total["TTLG"] == pytest.approx((27 * 6 + 7 * 3) * VOXEL, rel=1e-3)
    assert total["TMTV25F"] == pytest.approx(34 * VOXEL)
    assert total["TMTV40F"] == pytest.approx(27 * VOXEL)
    # L2 holds one voxel of 6, the others 3 are above 41 % and 50 % of it: all 8, one of them L1's.
    assert total["TMTV41"] == pytest.approx(34 * VOXEL) and total["TTLG41"] == pytest.approx(
        183 * VOXEL, rel=1e-3
    )
    assert {"TMTV50", "TTLG50", "TTLG25F", "TTLG40F", "TMTVP", "TTLGP"} <= set(total)
    assert "LESIONS_SHARE_VOXELS" in flags(result, "TOTAL")


def test_a_scan_with_regions_but_no_lesion_has_totals_of_zero(raw):
    total = values(scan(raw, "liver.dcm"), "TOTAL")
    assert total["NLESION"] == total["TMTV"] == total["TTLG41"] == 0


def test_a_total_that_misses_a_region_says_so(raw):
    result = scan(raw, "all.dcm", roi_map={"L2": {"ROLE": "ignore"}})
    assert "TOTAL_INCOMPLETE" not in flags(result, "TOTAL")
    write_seg(raw / "unknown.dcm", {"GTV": L2})
    result = scan(raw, "one.dcm", "unknown.dcm")
    assert codes(result.exclusions) == ["ROI_UNMAPPED"] and "TOTAL_INCOMPLETE" in flags(result, "TOTAL")


def nothing_known(total):
    return all(math.isnan(total[name]) for name in ("NLESION", "TMTV", "TTLG", "TMTV41", "TTLG40F"))


def test_where_every_region_was_set_aside_the_totals_are_unknown_and_not_zero(raw):
    """Zero metabolic volume would read as a complete response."""
    write_seg(raw / "unknown.dcm", {"GTV": L2})
    (raw / "broken.dcm").write_bytes(b"no segmentation")
    for files, task in [(["unknown.dcm"], {}), (["broken.dcm"], {}), (["liver.dcm"], {"set_aside": True})]:
        result = scan(raw, *files, **task)
        assert nothing_known(values(result, "TOTAL")), files
        assert "TOTAL_INCOMPLETE" in flags(result, "TOTAL")
    assert scan(raw, set_aside=True).rows == []
    leaks = scan(raw, seeds=[seed(x=44.0, y=44.0, z=4.0)], rules=off(**{"pet.seed_max_ml": 1.0}))
    assert codes(leaks.exclusions) == ["SEED_LEAKS"] and nothing_known(values(leaks, "TOTAL"))


def test_what_was_set_aside_before_makes_a_total_incomplete(raw):
    result = scan(raw, "one.dcm", set_aside=True)
    assert "TOTAL_INCOMPLETE" in flags(result, "TOTAL") and values(result, "TOTAL")["NLESION"] == 1


def test_a_liver_that_cannot_be_used_takes_nothing_from_the_total(raw):
    rows = [moved(reader=None)]
    write_seg(raw / "two.dcm", {"L1": L1, "Leber": LIVER, "Liver_R": L2})
    roi_map = {"Leber": {"ROLE": "liver"}, "Liver_R": {"ROLE": "liver"}}
    result = scan(raw, "two.dcm", roi_map=roi_map, reference_regions=rows)
    assert codes(result.exclusions) == ["REFERENCE_AMBIGUOUS", "REFERENCE_REGION_UNSIGNED"]
    assert "TOTAL_INCOMPLETE" not in flags(result, "TOTAL")


def test_both_uptake_times_are_reported(raw):
    row = scan(raw).scan
    assert row["UPTAKEMIN"] == pytest.approx(60.0) and row["UPTAKEACQ"] == pytest.approx(60.0)


def test_the_projection_has_the_head_up_and_the_plans_white(raw):
    coronal, sagittal = scan(raw, mip=True, crop=False).mips
    assert (coronal["USUBJID"], coronal["AVISIT"]) == ("S1", "D0")
    assert (coronal["ROWS"], coronal["COLUMNS"], coronal["PIXELMM"]) == (12, 14, 4.0)
    assert (sagittal["VIEW"], sagittal["ROWS"], sagittal["COLUMNS"]) == ("SAGITTAL", 12, 14)
    mip = coronal["PIXELS"].reshape(12, 14)
    assert mip.dtype == np.uint8
    assert mip[12 - 1 - 2, 2] == pytest.approx(6.0 / RULES.mip_suv_max * 255, abs=1.5)


def test_a_picture_is_cut_unless_its_task_says_that_it_may_show_all(raw):
    """No head can be told in these few voxels, so nothing is shown of them."""
    result = scan(raw, mip=True)
    assert result.mips == [] and {"MIP_NECK_NOT_FOUND", "MIP_WITHHELD"} <= flags(result)


def test_how_the_image_was_made_stands_in_its_row(tmp_path):
    def edit(ds, k):
        ds.SoftwareVersions, ds.ReconstructionMethod = ["VG60A", "2.1"], "PSF+TOF 2i21s"
        ds.ConvolutionKernel = "Gauss5.00"

    write_series(tmp_path / "pet", suv(), edit=edit)
    row = scan(tmp_path).scan
    made = {"SOFTWARE": "VG60A; 2.1", "RECON": "PSF+TOF 2i21s", "KERNEL": "Gauss5.00", "PSF": "Y", "TOF": "Y"}
    made |= {"MATRIX": "14 x 14", "VOXELX": 4.0, "VOXELY": 4.0, "VOXELZ": 4.0, "HARMON": "UNKNOWN"}
    assert {name: row[name] for name in made} == made
    assert (row["TREFRULE"], row["TREFSPREAD"]) == ("SERIES_TIME", 0.0)
    assert row["TREFDIFF"] == pytest.approx(0.0, abs=1e-3)  # times are written to the microsecond


def test_the_filter_of_eqpet_changes_the_numbers_and_not_the_picture(raw):
    entry = {"vendor": "Synthetic", "model": "Phantom", "earl_standard": 1, "eqpet_fwhm_mm": 6.0}
    rules = {"pet.harmonisation": [entry], "pet.eqpet_apply": True}
    where = {"STUDYID": "T", "USUBJID": "S1", "AVISIT": "D0", "ADT": pd.NaT, "PATH": "pet"}
    task = {"mip": True, "crop": False, "scan": where}
    plain, filtered = (
        scan(raw, "one.dcm", **task),
        scan(raw, "one.dcm", **task, rules=DEFAULTS.override(rules).pet),
    )
    assert filtered.scan["HARMON"] == "EQPET" and filtered.scan["ADAPTATIONS"] == "EQPET_FILTERED"
    assert values(filtered, "L1")["SUVMAX"] < values(plain, "L1")["SUVMAX"]
    assert np.array_equal(filtered.mips[0]["PIXELS"], plain.mips[0]["PIXELS"])
    assert "EQPET_FILTERED" not in codes(filtered.queries)


def test_rules_as_a_plain_dictionary_give_the_same(raw):
    assert scan(raw, "all.dcm", rules=RULES.to_dict()).rows == scan(raw, "all.dcm").rows


# ---- reference regions ----


def statuses(result):
    return {row["REGION"]: row["STATUS"] for row in result.references}


def test_a_drawn_region_wins_over_the_reader_and_no_proposal_is_computed(raw, monkeypatch):
    def never(*_):
        raise AssertionError("no proposal where a region was drawn")

    monkeypatch.setitem(reference_choice._PROPOSERS, "LIVER", never)
    result = scan(raw, "all.dcm", reference_regions=[moved(decision="REJECT")])
    liver = next(row for row in result.references if row["REGION"] == "LIVER")
    assert liver["STATUS"] == "GIVEN" and liver["N_VOXELS"] == 27
    assert (liver["X"], liver["Y"], liver["Z"]) == pytest.approx((36.0, 36.0, 32.0))
    assert liver["SUVMEAN"] == pytest.approx(2.0, rel=1e-3)


def test_a_moved_region_is_measured_where_the_reader_put_it(raw):
    result = scan(raw, "one.dcm", reference_regions=[moved()])
    row = next(row for row in result.references if row["REGION"] == "LIVER")
    assert (row["STATUS"], row["READER"], row["DECIDEDDT"]) == ("MOVED", "R1", "2025-02-01")
    z, y, x = (np.arange(n) * 4.0 for n in SHAPE)
    inside = (z[:, None, None] - 22) ** 2 + (y[:, None] - 26) ** 2 + (x - 26) ** 2 <= 15**2
    assert row["N_VOXELS"] == inside.sum()
    assert values(result, "LIVER")["SUVMEAN"] == pytest.approx(suv()[inside].mean(), rel=1e-3)
    assert result.scan["LIVERMEAN"] == pytest.approx(row["SUVMEAN"])
    touching = bool((inside & L1).any())
    assert ("LIVER_TOUCHES_LESION" in flags(result)) == touching


def test_a_place_beyond_the_image_is_asked_about(raw):
    result = scan(raw, reference_regions=[moved(x=2.0)])
    assert statuses(result)["LIVER"] == "NOT_FOUND"
    assert codes(result.queries) == ["REFERENCE_OUTSIDE_IMAGE"]
    assert not values(result, "LIVER")


def proposed(monkeypatch):
    def somewhere(pet, rules, exclude, torso):
        centre = (26.0, 26.0, 22.0)
        return reference_choice_proposal(pet, centre)

    def reference_choice_proposal(pet, centre):
        from analysis.pet.proposals import Proposal
        from analysis.pet.reference_regions import sphere_region

        return Proposal("LIVER", centre, sphere_region(pet, centre, 30.0), [])

    monkeypatch.setitem(reference_choice._PROPOSERS, "LIVER", somewhere)


@pytest.mark.parametrize(
    ("mode", "decision", "status", "used"),
    [
        ("propose", None, "PROPOSED", False),
        ("use", None, "PROPOSED", True),
        ("propose", "ACCEPT", "ACCEPTED", True),
        ("off", "ACCEPT", "ACCEPTED", True),
        ("use", "REJECT", "REJECTED", False),
    ],
)
def test_a_proposal_is_used_only_if_accepted_or_the_plan_says_so(
    raw, monkeypatch, mode, decision, status, used
):
    proposed(monkeypatch)
    rules = DEFAULTS.override({"pet.reference_proposals": mode}).pet
    rows = [moved(decision=decision, x=None, y=None, z=None)] if decision else []
    result = scan(raw, rules=rules, reference_regions=rows)
    assert statuses(result)["LIVER"] == status
    assert bool(values(result, "LIVER")) == used
    if mode == "use" and used:
        assert "REFERENCE_UNCONFIRMED" in flags(result, "LIVER")


def test_switched_off_nothing_is_proposed_or_listed(raw):
    assert scan(raw, rules=off()).references == []


def test_where_no_liver_is_seen_the_table_says_so_and_nothing_is_measured(raw):
    result = scan(raw, "one.dcm")
    assert statuses(result) == {"LIVER": "NOT_FOUND", "AORTA": "NOT_FOUND"}
    assert [row["FLAGS"] for row in result.references] == ["LIVER_NOT_FOUND", "AORTA_NOT_FOUND"]
    assert "LIVERMEAN" not in result.scan and result.queries == []


def test_the_table_of_references_keeps_its_contract(raw):
    parts = [scan(raw, "all.dcm"), scan(raw, reference_regions=[moved()])]
    rows = [row | {"AVISIT": f"V{n}"} for n, part in enumerate(parts) for row in part.references]
    checked = contracts.check("reference_proposals", pd.DataFrame(rows))
    assert checked["STATUS"].tolist() == ["GIVEN", "NOT_FOUND", "MOVED", "NOT_FOUND"]


def test_two_livers_of_a_scan_are_set_aside_and_none_is_picked(raw):
    write_seg(raw / "livers.dcm", {"L1": L1, "Leber": LIVER, "Liver_R": L2})
    livers = {"Leber": {"ROLE": "liver"}, "Liver_R": {"ROLE": "Liver "}}
    result = scan(raw, "livers.dcm", roi_map=livers)
    assert codes(result.exclusions) == ["REFERENCE_AMBIGUOUS"]
    assert "ignore all but one" in result.exclusions[0]["REASON"]
    assert "REFERENCE_AMBIGUOUS" in flags(result)
    assert {row["ROLE"] for row in result.rows} == {"LESION", "TOTAL"}
    assert "LIVERMEAN" not in result.scan and "MTVP" not in values(result, "L1")
    one = scan(raw, "livers.dcm", roi_map={**livers, "Liver_R": {"ROLE": "ignore"}})
    assert one.exclusions == [] and values(one, "LIVER")["SUVMEAN"] == pytest.approx(2.0, rel=1e-3)


def test_a_lesion_never_takes_the_name_of_other_rows(raw):
    mapped = {"L1": {"ROLE": "lesion", "LESIONID": "TOTAL"}, "L2": {"ROLE": "lesion", "LESIONID": "LIVER"}}
    result = scan(raw, "all.dcm", roi_map=mapped, seeds=[seed("AORTA")])
    assert codes(result.exclusions) == ["LESION_NAME_RESERVED"] * 3
    keys = [(row["LESIONID"], row["METRIC"]) for row in result.rows]
    assert len(set(keys)) == len(keys) and nothing_known(values(result, "TOTAL"))


@pytest.mark.parametrize("lacks", [{"reader": None}, {"reader": " "}, {"day": None}])
@pytest.mark.parametrize("decision", ["ACCEPT", "MOVE"])
def test_a_decision_without_name_or_date_is_not_followed(raw, monkeypatch, decision, lacks):
    proposed(monkeypatch)
    result = scan(raw, "one.dcm", reference_regions=[moved(decision=decision, **lacks)])
    assert codes(result.exclusions) == ["REFERENCE_REGION_UNSIGNED"]
    assert statuses(result)["LIVER"] == "PROPOSED" and not values(result, "LIVER")


@pytest.mark.parametrize(
    ("x", "flag"), [(26.0, False), (30.0, False), (32.0, True)]
)  # today's proposal is at x = 26 mm, the plan's limit 5 mm
def test_an_accepted_place_is_kept_and_a_proposal_that_moved_since_is_flagged(raw, monkeypatch, x, flag):
    proposed(monkeypatch)
    result = scan(raw, "one.dcm", reference_regions=[moved(decision="ACCEPT", x=x)])
    (liver,) = (row for row in result.references if row["REGION"] == "LIVER")
    assert (liver["STATUS"], liver["X"]) == ("ACCEPTED", x)
    for where in (flags(result), flags(result, "LIVER"), set((liver["FLAGS"] or "").split(";"))):
        assert ("PROPOSAL_MOVED_SINCE" in where) == flag and "ACCEPTED_WITHOUT_PLACE" not in where


def test_an_accepted_place_where_nothing_is_proposed_today_is_flagged(raw):
    result = scan(raw, "one.dcm", reference_regions=[moved(decision="ACCEPT")])
    assert statuses(result)["LIVER"] == "ACCEPTED" and "PROPOSAL_MOVED_SINCE" in flags(result)


def test_an_accept_without_a_place_says_so(raw, monkeypatch):
    proposed(monkeypatch)
    result = scan(raw, reference_regions=[moved(decision="ACCEPT", x=None, y=None, z=None)])
    assert "ACCEPTED_WITHOUT_PLACE" in flags(result) & flags(result, "LIVER")


# ---- seeds ----


def seed(name="L9", method="PERCENT41", x=8.0, y=8.0, z=8.0):
    return {"LESIONID": name, "METHOD": method, "X": x, "Y": y, "Z": z, "THRESHOLD": None, "ORGAN": "bone"}


def test_a_seed_grows_into_a_lesion(raw):
    result = scan(raw, "liver.dcm", seeds=[seed()])
    assert values(result, "L9")["SUVMAX"] == pytest.approx(6.0, rel=1e-3)
    # L2's voxels (3.0) touch the block of 6 and lie above 41 % of it.
    assert values(result, "L9")["VOLUME"] == pytest.approx(34 * VOXEL)
    assert {row["ORGAN"] for row in result.rows if row["LESIONID"] == "L9"} == {"bone"}


def test_a_seed_by_percist_needs_a_liver(raw):
    with_liver = scan(raw, "liver.dcm", seeds=[seed(method="PERCIST")])
    assert values(with_liver, "L9")["SUVMAX"] == pytest.approx(6.0, rel=1e-3)
    without = scan(raw, seeds=[seed(method="PERCIST")], rules=off())
    assert codes(without.exclusions) == ["PERCIST_THRESHOLD_MISSING"]
    assert math.isnan(values(without, "L9").pop("SUVMAX")) and flags(without, "L9") == {"NOT_MEASURED"}
    assert {row["ORGAN"] for row in without.rows if row["LESIONID"] == "L9"} == {"bone"}


def test_a_drawn_lesion_wins_over_a_seed_of_its_name(raw):
    result = scan(raw, "one.dcm", seeds=[seed("L1")])
    assert codes(result.exclusions) == ["SEED_HAS_ROI"]
    assert values(result, "L1")["VOLUME"] == pytest.approx(27 * VOXEL)


def test_proposals_keep_away_from_seed_lesions_and_the_touch_is_seen(raw, monkeypatch):
    """L9 grows round (8, 8, 8) mm, 27 mm from the sphere's centre; a second region lies in the sphere."""
    kept_away = []

    def somewhere(pet, rules, exclude, torso):
        from analysis.pet.proposals import Proposal
        from analysis.pet.reference_regions import sphere_region

        kept_away.extend(exclude)
        centre = (22.0, 22.0, 22.0)
        return Proposal("LIVER", centre, sphere_region(pet, centre, 30.0), [])

    monkeypatch.setitem(reference_choice._PROPOSERS, "LIVER", somewhere)
    rules = DEFAULTS.override({"pet.reference_proposals": "use"}).pet
    result = scan(raw, seeds=[seed()], rules=rules)
    assert [region.n_voxels for region in kept_away] == [34]
    assert "LIVER_TOUCHES_LESION" in flags(result)  # (16, 16, 16) belongs to L2's block and to the sphere


def test_a_seed_by_percist_that_grows_into_the_liver_is_seen(raw):
    rules = off(**{"pet.evaluable_factor": {"LIVER": 0.4, "AORTA": 2.0}})  # threshold 0.8: below the liver
    result = scan(raw, "liver.dcm", seeds=[seed(method="PERCIST")], rules=rules)
    assert "LIVER_TOUCHES_LESION" in flags(result)
    assert "ROI_SHARES_VOXELS" in flags(result, "L9") & flags(result, "LIVER")


def test_regions_of_several_files_and_seeds_that_share_voxels_are_flagged(raw):
    write_seg(raw / "l2.dcm", {"L2": L2})
    result = scan(raw, "one.dcm", "l2.dcm")
    assert "ROI_SHARES_VOXELS" in flags(result, "L1") & flags(result, "L2")
    grown = scan(raw, "one.dcm", "liver.dcm", seeds=[seed("L8"), seed("L9", "PERCIST")])
    assert "ROI_SHARES_VOXELS" in flags(grown, "L1") & flags(grown, "L8")
    assert "SEEDS_MERGED" in flags(grown, "L8") & flags(grown, "L9")
    assert "ROI_SHARES_VOXELS" not in flags(grown, "LIVER")


def test_two_seeds_of_one_name_are_set_aside_by_whatever_method(raw):
    result = scan(raw, "liver.dcm", seeds=[seed(), seed(method="PERCIST"), seed("L8")])
    assert codes(result.exclusions) == ["ROI_DUPLICATE_NAME"] * 2
    assert values(result, "L8") and math.isnan(values(result, "L9").pop("SUVMAX"))


# ---- plausibility ----


@pytest.mark.parametrize(
    ("scale", "odd"), [(1.0, False), (2.0, True), (94.0, True), (0.2, True), (1e-6, True)]
)
def test_a_body_whose_mean_suv_is_far_from_one_is_flagged(scale, odd):
    assert bool(check_body(np.full((8, 8, 8), scale, np.float32), RULES)) == odd


def test_a_region_without_a_finite_value_is_set_aside(raw, monkeypatch):
    load = measurement.load_pet

    def holed(*args, **kwargs):
        pet = load(*args, **kwargs)
        pet.values[2, 2, 2] = math.nan
        return pet

    monkeypatch.setattr(measurement, "load_pet", holed)
    result = scan(raw, "one.dcm")
    assert codes(result.exclusions) == ["ROI_NOT_FINITE"]
    # At baseline it stays as a lesion without a value, so that no response is that of the other lesions alone.
    assert list(values(result, "L1")) == ["SUVMAX"] and math.isnan(values(result, "L1")["SUVMAX"])
    assert flags(result, "L1") == {"NOT_MEASURED"} and math.isnan(values(result, "TOTAL")["NLESION"])
    asked = [row["RECORD"] for row in result.queries if row["CODE"] == "LESION_NOT_MEASURED"]
    assert asked == ["D0 L1"]
    where = {"STUDYID": "T", "USUBJID": "S1", "AVISIT": "D14", "ADT": pd.Timestamp("2025-01-15"), "PATH": "p"}
    later = scan(raw, "one.dcm", scan=where)
    assert not values(later, "L1") and "LESION_NOT_MEASURED" not in codes(later.queries)


@pytest.mark.parametrize(("kind", "drawn"), [("OCCUPANCY", 13.5), ("PROBABILITY", None)])
def test_a_region_in_shares_of_voxels_reports_its_volume_as_drawn(raw, tmp_path, kind, drawn):
    """All of L1's 27 voxels are half full; those of 50 % belong, so the mask's volume is twice as large."""

    def edit(ds):
        ds.SegmentationFractionalType = kind
        ds.PixelData = bytes(value // 2 for value in ds.PixelData)

    write_seg(raw / f"{kind}.dcm", {"L1": L1}, "FRACTIONAL", edit)
    found = values(scan(raw, f"{kind}.dcm"), "L1")
    assert found["VOLUME"] == pytest.approx(27 * VOXEL)
    assert found.get("VOLSRC") == (drawn and pytest.approx(drawn * VOXEL))


def test_missing_slices_are_asked_about_and_not_only_flagged(tmp_path):
    write_series(tmp_path / "pet", suv()[:, :, :], positions_mm=[*range(0, 24, 4), *range(28, 52, 4)])
    task = {"raw_dir": str(tmp_path), "path": "pet", "files": None, "rois": [], "series_uid": None}
    task |= {
        "group": None,
        "roi_map": {},
        "height_m": None,
        "mip": False,
        "seeds": [],
        "reference_regions": [],
    }
    task["scan"] = {"STUDYID": "S", "USUBJID": "S-1", "AVISIT": "D0", "ADT": pd.NaT, "PATH": "pet"}
    found = measure_scan(task, RULES)
    assert found.scan["STATUS"] == "OK" and "MISSING_SLICES" in found.scan["FLAGS"]
    asked = [row for row in found.queries if row["CODE"] == "MISSING_SLICES"]
    assert [row["ACTION"] for row in asked] == ["send the whole series again"]
