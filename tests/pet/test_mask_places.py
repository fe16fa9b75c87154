"""A mask without header has only its place: it is paired where that means one scan, and nowhere else."""

import numpy as np
import pytest
from dicom_factory import ROOT_UID, dataset, write_seg, write_series

from analysis.pet.index import index_tree

CT = "1.2.840.10008.5.1.4.1.1.2"


def write_pet(folder, patient="P1", number=2):
    write_series(
        folder, np.ones((3, 4, 4)), edit=lambda ds, k: setattr(ds, "PatientID", patient), series=number
    )


def write_mask(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"read only when the scan is measured")


def write_ct(folder, patient):
    ds = dataset(CT, f"{ROOT_UID}.90.1")
    ds.PatientID, ds.SeriesInstanceUID = patient, f"{ROOT_UID}.90"
    folder.mkdir(parents=True, exist_ok=True)
    ds.save_as(folder / "ct.dcm", enforce_file_format=True)


def outcome(root):
    """Return the series a mask was paired with, or the code of the problem."""
    index = index_tree(root)
    codes = [problem["CODE"] for problem in index.problems if problem["CODE"] != "SCAN_WITHOUT_ROI"]
    uid = index.rois.set_index("KIND")["SERIESUID"]["NIFTI"]
    return codes[0] if codes else uid.rsplit(".", 1)[1]


@pytest.mark.parametrize(
    ("pet", "mask", "expected"),
    [
        ("scan/pet", "scan/pet/L1.nii.gz", "2"),
        ("scan/pet", "scan/pet/roi/reader1/L1.nii.gz", "2"),
        ("scan/pet", "scan/mask/L1.nii.gz", "2"),
        ("scan/pet", "scan/mask/reader1/L1.nii.gz", "2"),
        ("scan/pet", "scan/L1.nii.gz", "2"),
        ("pet", "mask/L1.nii.gz", "2"),
        (".", "L1.nii.gz", "2"),
        ("site/P01/PET", "site/P02/L1.nii.gz", "ROI_AMBIGUOUS"),
        ("site/P01/PET", "site/L1.nii.gz", "ROI_AMBIGUOUS"),
        ("site/P01", "site/P02/L1.nii.gz", "ROI_AMBIGUOUS"),
        ("P01/D0", "P01/D14/roi/L1.nii.gz", "ROI_AMBIGUOUS"),
        ("P01/D0/pet", "P01/D14/roi/L1.nii.gz", "ROI_AMBIGUOUS"),
    ],
)
def test_a_mask_belongs_to_the_scan_it_lies_in_or_beside(tmp_path, pet, mask, expected):
    write_pet(tmp_path / pet)
    write_mask(tmp_path / mask)
    assert outcome(tmp_path) == expected


def test_a_second_series_below_the_place_is_an_ambiguity(tmp_path):
    write_pet(tmp_path / "scan" / "pet")
    write_pet(tmp_path / "scan" / "more" / "pet", number=3)
    write_mask(tmp_path / "scan" / "mask" / "L1.nii.gz")
    assert outcome(tmp_path) == "ROI_AMBIGUOUS"


@pytest.mark.parametrize(("patient", "expected"), [("P1", "2"), ("P2", "ROI_AMBIGUOUS")])
def test_dicom_of_another_patient_at_the_place_forbids_the_pairing(tmp_path, patient, expected):
    write_pet(tmp_path / "pet")
    write_mask(tmp_path / "mask" / "L1.nii.gz")
    write_ct(tmp_path / "mask", patient)
    assert outcome(tmp_path) == expected


@pytest.mark.parametrize("patient", ["P1", "P2"])
def test_a_region_object_of_another_patient_at_the_place_forbids_it_too(tmp_path, patient):
    write_pet(tmp_path / "pet")
    write_mask(tmp_path / "mask" / "L1.nii.gz")
    mask = np.ones((3, 4, 4), bool)
    write_seg(tmp_path / "seg.dcm", {"L2": mask}, edit=lambda ds: setattr(ds, "PatientID", patient))
    index = index_tree(tmp_path)
    paired = index.rois.set_index("KIND")["SERIESUID"].notna()
    assert paired.to_dict() == {"NIFTI": patient == "P1", "SEG": patient == "P1"}
    expected = [] if patient == "P1" else ["ROI_AMBIGUOUS", "ROI_OF_ANOTHER_PATIENT"]
    codes = {problem["CODE"] for problem in index.problems} - {"SCAN_WITHOUT_ROI"}
    assert sorted(codes) == expected


def test_the_folders_of_the_reference_objects_pair_their_masks(shared_data):
    index = index_tree(shared_data / "dro")
    masks = index.rois[index.rois["KIND"] == "NIFTI"].merge(index.series, on="SERIESUID")
    assert len(masks) == len(index.series) and index.problems == []
    assert (masks["PATH_x"].str.split("/").str[0] == masks["PATH_y"].str.split("/").str[0]).all()
