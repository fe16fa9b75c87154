"""A study's exchange objects on disk, and reports of other writers read: expected numbers stand in the inputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from dicom_factory import change, write_seg, write_series

from analysis import contracts
from analysis import plan as plans
from analysis.pet.export import export_study, read_back, read_sr

PLAN = plans.defaults()
SHAPE = (6, 8, 8)
MASK = np.zeros(SHAPE, bool)
MASK[2:4, 2:5, 2:5] = True


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    write_series(root / "pet", np.where(MASK, 5.0, 1.0))
    write_series(root / "undated", np.where(MASK, 5.0, 1.0), edit=change(
        DecayCorrection="ADMIN", SeriesDate="", StudyDate="", AcquisitionDate=""
    ))  # fmt: skip
    write_seg(root / "roi.dcm", {"L1": MASK})
    return root


def task(raw, subject, visit="D0", path="pet"):
    scan = {"STUDYID": "T", "USUBJID": subject, "AVISIT": visit, "ADT": pd.Timestamp("2025-01-01")}
    given = {"raw_dir": str(raw), "path": path, "files": None, "series_uid": None, "roi_map": {}}
    return {**given, "rois": ["roi.dcm"], "scan": {**scan, "PATH": path}}


def adpet(*keys):
    """Return a table of one number a scan, different in every one."""
    rows = [(*key, "L1", "SUVMAX", 5 + n / 3) for n, key in enumerate(keys)]
    return pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "LESIONID", "METRIC", "AVAL"])


def test_files_table_and_ledger_account_for_every_measured_scan(raw, tmp_path):
    keys = [("S1", "D0"), ("S1", "D14"), ("S2", "D0"), ("../S4", "D0")]
    tasks = [task(raw, *key) for key in keys[:2]]
    tasks += [task(raw, "S2", path="undated"), task(raw, "S3"), task(raw, "../S4")]
    table = adpet(*keys)  # S3 was not measured
    stale = tmp_path / "dicom" / "S9" / "D0" / "sr.dcm"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier run")
    admr = pd.DataFrame([("S1", "D14", "eortc", "SUVMAX", 15.0, "PMR")],
                        columns=["USUBJID", "AVISIT", "RULE", "METRIC", "CUT", "AVALC"])  # fmt: skip
    exports, aside = export_study(tasks, table, PLAN, derived_dir=tmp_path, admr=admr)
    contracts.check("exports", exports)
    codes = exports.groupby("USUBJID")["CODE"].agg(lambda code: sorted(code.dropna().unique())).to_dict()
    assert codes == {"S1": [], "S2": ["EXPORT_NOT_POSSIBLE"], "../S4": ["EXPORT_NAME_UNSAFE"]}
    assert len(exports) == 12 and len(aside) == 6 and set(aside["ITEM"]) == {"export"}
    contracts.check("exclusions_02", aside)
    assert not stale.exists()
    on_disk = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm"))
    assert on_disk == sorted(exports["PATH"].dropna())
    assert on_disk[:3] == [f"dicom/S1/D0/{kind}.dcm" for kind in ("rwv", "seg", "sr")]
    back = read_back(tmp_path / "dicom")
    numbers = back[back["AVALC"].isna()].set_index(["USUBJID", "AVISIT"])["AVAL"].to_dict()
    assert numbers == {("S1", "D0"): 5.0, ("S1", "D14"): 5 + 1 / 3}
    assert back["AVALC"].dropna().tolist() == ["PMR"]


def test_any_number_of_workers_writes_the_same_bytes(raw, tmp_path):
    keys = [("S1", "D0"), ("S2", "D0")]
    tasks = [task(raw, *key) for key in keys]
    one, _ = export_study(tasks, adpet(*keys), PLAN, derived_dir=tmp_path / "one")
    two, _ = export_study(tasks[::-1], adpet(*keys), PLAN, derived_dir=tmp_path / "two", workers=2)
    assert one["SHA256"].notna().all()
    pd.testing.assert_frame_equal(one, two)


def test_a_scan_that_fails_takes_no_other_with_it(raw, tmp_path):
    keys = [("S1", "D0"), ("S2", "D0")]
    tasks = [task(raw, "S1"), {**task(raw, "S2"), "roi_map": None}]
    exports, aside = export_study(tasks, adpet(*keys), PLAN, derived_dir=tmp_path)
    assert exports.set_index(["USUBJID", "KIND"])["CODE"].dropna().to_dict() == {
        ("S2", kind): "MEASURE_FAILED" for kind in ("SEG", "SR", "RWV")
    }
    assert len(aside) == 3


def test_no_kind_asked_for_writes_nothing(raw, tmp_path):
    plan = PLAN.override({"pet.exports": []})
    exports, aside = export_study([task(raw, "S1")], adpet(("S1", "D0")), plan, derived_dir=tmp_path)
    contracts.check("exports", exports)
    assert exports.empty and aside.empty and not (tmp_path / "dicom").exists()


# ---- reports of other writers
def coded(value, scheme, meaning):
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


UNIT = coded("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
SUV = coded("126401", "DCM", "SUVbw")
WRONG_METHOD = coded("126401", "DCM", "SUV body weight calculation method")
ITEMS = [
    {"value": "37.3289", "quantity": SUV, "units": UNIT, "derivationModifier": coded("G-A437", "SRT", "Maximum")},
    {"value": "4.5", "quantity": SUV, "units": UNIT, "derivationModifier": coded("R-00317", "SRT", "Mean")},
    {"value": "1.25", "quantity": SUV, "units": UNIT,
     "derivationModifier": coded("126031", "DCM", "Peak Value Within ROI")},
    {"value": "2500", "quantity": coded("G-D705", "SRT", "Volume"), "units": coded("mm3", "UCUM", "cubic mm")},
    {"value": "12.5", "quantity": coded("126033", "DCM", "Total Lesion Glycolysis"),
     "units": coded("g", "UCUM", "gram")},
    {"value": "7", "quantity": coded("126037", "DCM", "Standardized Added Metabolic Activity"),
     "units": coded("g", "UCUM", "gram")},
]  # fmt: skip


@pytest.fixture
def foreign(raw, tmp_path):
    """A report in the dialect of dcmqi's sample: units turned round, a wrong method, codes of SRT."""
    writer = shutil.which("tid1500writer", path=str(Path(sys.executable).parent))
    if writer is None:
        pytest.skip("tid1500writer of dcmqi is not installed")
    export_study([task(raw, "S1")], adpet(("S1", "D0")), PLAN, derived_dir=tmp_path)
    seg = tmp_path / "dicom" / "S1" / "D0" / "seg.dcm"
    group = {
        "TrackingIdentifier": "Tumour 7",
        "ReferencedSegment": 1,
        "SourceSeriesForImageSegmentation": "1.2.826.0.1.3680043.10.999.2",
        "segmentationSOPInstanceUID": str(pydicom.dcmread(seg).SOPInstanceUID),
        "Finding": coded("M-80003", "SRT", "Neoplasm, Primary"),
        "FindingSite": coded("T-28000", "SRT", "Lung"),
        "MeasurementMethod": WRONG_METHOD,
        "measurementItems": ITEMS,
    }
    report = {
        "SeriesDescription": "Measurements",
        "SeriesNumber": "1001",
        "InstanceNumber": "1",
        "compositeContext": ["seg.dcm"],
        "imageLibrary": ["slice_002.dcm", "slice_003.dcm"],
        "observerContext": {"ObserverType": "PERSON", "PersonObserverName": "Reader1"},
        "VerificationFlag": "UNVERIFIED",
        "CompletionFlag": "COMPLETE",
        "activitySession": "1",
        "timePoint": "1",
        "Measurements": [group],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    command = [writer, "--inputMetadata", tmp_path / "report.json", "--inputImageLibraryDirectory",
               raw / "pet", "--inputCompositeContextDirectory", seg.parent, "--outputDICOM",
               tmp_path / "foreign.dcm"]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-800:] + done.stderr[-800:]
    return tmp_path / "foreign.dcm"


def test_a_report_of_dcmqi_is_read(foreign):
    found = read_sr(foreign)
    assert set(found["TRACKINGID"]) == {"Tumour 7"} and set(found["SITE"]) == {"Lung"}
    numbers = dict(zip(found["METRIC"].fillna(found["CONCEPT"]), zip(found["AVAL"], found["UNIT"])))
    assert numbers == {
        "SUVMAX": (37.3289, "g/ml"),
        "SUVMEAN": (4.5, "g/ml"),
        "SUVPEAK": (1.25, "g/ml"),
        "VOLUME": (2.5, "ml"),  # 2500 mm3
        "TLG": (12.5, "g"),
        "Standardized Added Metabolic Activity": (7.0, "g"),
    }


def test_our_own_report_is_read_by_the_same_function(raw, tmp_path):
    export_study([task(raw, "S1")], adpet(("S1", "D0")), PLAN, derived_dir=tmp_path)
    found = read_sr(tmp_path / "dicom" / "S1" / "D0" / "sr.dcm")
    row = found.iloc[0]
    assert (row["TRACKINGID"], row["METRIC"], row["AVAL"], row["TIMEPOINT"]) == ("L1", "SUVMAX", 5.0, "D0")


def test_what_is_no_measurement_report_is_refused(raw, tmp_path):
    (tmp_path / "note.dcm").write_bytes(b"no DICOM")
    for path in (tmp_path / "note.dcm", raw / "pet" / "slice_000.dcm"):
        with pytest.raises(ValueError, match="SR_UNREADABLE"):
            read_sr(path)
    empty = pydicom.dcmread(raw / "pet" / "slice_000.dcm")
    empty.ContentSequence = []
    empty.save_as(tmp_path / "empty.dcm")
    with pytest.raises(ValueError, match="SR_NO_MEASUREMENTS"):
        read_sr(tmp_path / "empty.dcm")
