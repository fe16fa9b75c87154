"""Constructed pairs: a real series, and the same with the voxels of its tumour multiplied by a known factor.

Nobody was scanned twice. The second scan of each pair is made here from the first one: new identifiers, dates 20
days later, the stored values inside the drawn region times the factor. So the true change is known, on real pixels
and a real region; what differs from it is the rounding of stored values.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import generate_uid

from analysis import plan as plans
from analysis.pet import response
from analysis.pet.roi import load_rois
from analysis.pet.series import load_pet
from analysis.pet.study import measure_study

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:The value length")]
DAYS = 20
SUBJECT = "STS_001"
DATES = ("DA", "DT")


def shift_date(value: str) -> str:
    day = pd.Timestamp(value[:8]) + pd.Timedelta(days=DAYS)
    return day.strftime("%Y%m%d") + value[8:]


def change_every(ds: pydicom.Dataset, uids: dict[str, str]) -> None:
    """Shift every date and replace every identifier of `uids`, in nested sequences too."""

    def visit(_, element):
        if element.VR in DATES and element.value:
            element.value = shift_date(str(element.value))
        elif element.VR == "UI" and str(element.value) in uids:
            element.value = uids[str(element.value)]

    ds.walk(visit)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID


def write_pair(source: Path, folder: Path, factor: float) -> None:
    """Write ``D0`` (the series as it is) and ``D14`` (constructed) below `folder`, each with its region."""
    files = sorted((source / "pet").glob("*.dcm"))
    pet = load_pet(source / "pet")
    drawn = next(iter((source / "rtstruct").glob("*.dcm")))
    (mask,) = [rois.full() for name, rois in load_rois(drawn, pet).voxels.items() if "Mass" in name]
    read = [pydicom.dcmread(file) for file in files]
    read.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    order = range(len(read)) if pet.affine[2, 0] > 0 else range(len(read))[::-1]
    structure, gain = pydicom.dcmread(drawn), max(1.0, factor)  # stored values must not overflow
    uids = {
        str(ds.SOPInstanceUID): generate_uid(entropy_srcs=[str(ds.SOPInstanceUID)])
        for ds in (*read, structure)
    }
    uids |= {
        uid: generate_uid(entropy_srcs=[uid])
        for uid in {str(read[0].SeriesInstanceUID), str(structure.SeriesInstanceUID)}
    }
    for visit in ("D0", "D14"):
        (folder / SUBJECT / visit).mkdir(parents=True)
        for number, (k, ds) in enumerate(zip(order, read, strict=True)):
            if visit == "D14":
                raised = ds.pixel_array * np.where(mask[k], factor, 1.0) / gain
                ds.PixelData = np.rint(raised).astype(ds.pixel_array.dtype).tobytes()
                ds.RescaleSlope = f"{float(ds.RescaleSlope) * gain:.10e}"
                change_every(ds, uids)
            ds.save_as(folder / SUBJECT / visit / f"{number:03d}.dcm")
        if visit == "D14":
            change_every(structure, uids)
        structure.save_as(folder / SUBJECT / visit / "structure.dcm")


@pytest.mark.parametrize(
    ("factor", "eortc", "percent"),
    [(0.6, "PMR", "RESPONDER"), (0.9, "SMD", "STABLE"), (1.4, "PMD", "PROGRESSOR")],
)
def test_a_constructed_pair_shows_the_factor_and_its_class(shared_data, tmp_path, factor, eortc, percent):
    write_pair(shared_data / "sarcoma" / SUBJECT, tmp_path / "dicom", factor)
    date = pydicom.dcmread(tmp_path / "dicom" / SUBJECT / "D0" / "000.dcm").SeriesDate
    start = pd.Timestamp(date) + pd.Timedelta(days=7)  # the constructed scan is then on study day 14
    adsl = pd.DataFrame({"STUDYID": "S", "USUBJID": [SUBJECT], "SUBJID": [SUBJECT], "TRTSDT": [start]})
    plan = plans.defaults().override({"pet.roi_roles": {"GTV_Mass_PET": "lesion"}})
    found = measure_study(tmp_path, adsl, plan, report=lambda *_: None, with_mips=False)
    assert found.scan_qc["AVISIT"].tolist() == ["D0", "D14"]
    wide = found.adpet[found.adpet["ROLE"].eq("LESION")].pivot_table(
        index="AVISIT", columns="METRIC", values="AVAL"
    )
    for metric in ("SUVMAX", "SUVMEAN"):
        assert wide.loc["D14", metric] / wide.loc["D0", metric] == pytest.approx(factor, rel=2e-3)
    assert wide.loc["D14", "VOLUME"] == pytest.approx(wide.loc["D0", "VOLUME"])
    for rule, expected in (("eortc", eortc), ("suvmax_hottest", percent)):
        admr = response.classify(found.adpet, plan, rule=rule, scans=found.scan_qc)
        assert admr.loc[admr["AVISIT"].eq("D14"), "AVALC"].tolist() == [expected]
