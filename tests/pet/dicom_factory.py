"""Writes tiny DICOM objects for tests: PET series, structure sets, segmentations.

Independent of the code under test: pixels are made from SUV by the formula the test states, never by
`analysis`.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

PET = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
ROOT_UID = "1.2.826.0.1.3680043.10.999"
FRAME_UID = f"{ROOT_UID}.7"

HALF_LIFE = 6586.2
LAMBDA = math.log(2) / HALF_LIFE
WEIGHT_G = 70_000.0
DOSE = 368.08e6


def dataset(sop_class: str, uid: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PatientID = "P1"
    ds.PatientName = "PHANTOM"
    ds.StudyInstanceUID = f"{ROOT_UID}.1"
    ds.FrameOfReferenceUID = FRAME_UID
    return ds


def pet_slice(k: int, z_mm: float, spacing_mm=(4.0, 4.0), series: int = 2) -> Dataset:
    """One slice of an FDG scan: 70 kg, 1.75 m, 368.08 MBq at 10:00, scan at 11:00, START, Bq/ml."""
    ds = dataset(PET, f"{ROOT_UID}.{series}.{k + 1}")
    ds.SeriesInstanceUID = f"{ROOT_UID}.{series}"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Modality = "PT"
    ds.Manufacturer = "Synthetic"
    ds.ManufacturerModelName = "Phantom"
    for name in ("Study", "Series", "Acquisition"):
        setattr(ds, f"{name}Date", "20250101")
        setattr(ds, f"{name}Time", "110000.000000")
    ds.PatientSex, ds.PatientSize, ds.PatientWeight = "O", "1.75", "70.0"
    ds.SliceThickness = str(spacing_mm[0])
    ds.ActualFrameDuration = "300000"
    ds.FrameReferenceTime = "149605.34"
    ds.InstanceNumber = k + 1
    ds.ImagePositionPatient = [0.0, 0.0, z_mm]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [str(spacing_mm[-1]), str(spacing_mm[-1])]
    ds.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
    ds.SeriesType = ["STATIC", "IMAGE"]
    ds.Units, ds.DecayCorrection = "BQML", "START"
    ds.RescaleIntercept = "0"
    item = Dataset()
    item.RadiopharmaceuticalStartTime = "100000.000000"
    item.RadiopharmaceuticalStartDateTime = "20250101100000.000000"
    item.RadionuclideTotalDose = str(DOSE)
    item.RadionuclideHalfLife = str(HALF_LIFE)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
    item.RadionuclideCodeSequence = [code]
    ds.RadiopharmaceuticalInformationSequence = [item]
    return ds


def write_enhanced(
    path: Path,
    suv: np.ndarray | None = None,
    per_suv=None,
    edit=None,
    *,
    unit="Bq/ml",
    slopes=None,
    maps=None,
) -> Path:
    """Write an Enhanced PET image of the scan of `pet_slice`: frames from the top down, one map a frame.

    Parameters
    ----------
    unit : str or None
        UCUM unit of the real-world value map; None writes a Pixel Value Transformation instead.
    maps : callable, optional
        From a frame's slope to its list of maps (`real_world_map`).
    """
    suv = triple_phantom() if suv is None else np.asarray(suv, float)
    n = len(suv)
    per_suv = np.broadcast_to(np.asarray(bqml_per_suv() if per_suv is None else per_suv, float), n)
    ds = dataset(ENHANCED_PET, f"{ROOT_UID}.50.1")
    ds.SeriesInstanceUID = f"{ROOT_UID}.50"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "PT", "Synthetic", "Phantom"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.StudyDate = ds.SeriesDate = "20250101"
    ds.StudyTime = ds.SeriesTime = "110000"
    ds.PatientSex, ds.PatientSize, ds.PatientWeight = "O", "1.75", "70.0"
    for name in ("Decay", "Attenuation", "Scatter", "Randoms", "DeadTime"):
        setattr(ds, f"{name}Corrected", "YES")
    ds.DetectorNormalizationCorrection = "YES"
    ds.DecayCorrectionDateTime = "20250101110000"
    ds.RadiopharmaceuticalInformationSequence = [
        _item(
            RadiopharmaceuticalAgentNumber=1,
            RadiopharmaceuticalStartDateTime="20250101100000",
            RadionuclideTotalDose=str(DOSE / 1e6),  # MBq: PS3.3 C.8.22.4
            RadionuclideHalfLife=str(HALF_LIFE),
        )
    ]
    shared = _item(
        PixelMeasuresSequence=[_item(PixelSpacing=["4.0", "4.0"], SliceThickness="4.0")],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PETFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
    )
    ds.SharedFunctionalGroupsSequence = [shared]
    frames, groups = [], []
    for k in reversed(range(n)):
        values = suv[k] * per_suv[k]
        slope = float(values.max() / 30000 if slopes is None else slopes[k])
        frames.append(np.round(values / slope).astype(np.int16))
        group = _item(
            PlanePositionSequence=[_item(ImagePositionPatient=[0.0, 0.0, 4.0 * k])],
            FrameContentSequence=[
                _item(FrameAcquisitionDateTime="20250101110000", FrameAcquisitionDuration=300000.0)
            ],
        )
        if unit is None:
            group.PixelValueTransformationSequence = [
                _item(RescaleSlope=f"{slope:.8e}", RescaleIntercept="0", RescaleType="BQML")
            ]
        else:
            group.RealWorldValueMappingSequence = maps(slope) if maps else [real_world_map(unit, slope)]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    set_pixels(ds, np.array(frames).reshape(-1, suv.shape[2]))
    ds.NumberOfFrames, ds.Rows = n, suv.shape[1]
    if edit:
        edit(ds)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def real_world_map(
    unit: str, slope: float, first: int = -32768, last: int = 32767, intercept=0.0, table=None
):
    """One item of a Real World Value Mapping Sequence for signed pixels."""
    item = Dataset()
    for tag, value in ((0x00409216, first), (0x00409211, last)):
        item.add_new(tag, "SS", value)
    if table is None:
        item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    else:
        item.RealWorldValueLUTData = list(table)
    name = "CodeValue" if len(unit) <= 16 else "LongCodeValue"
    code = _item(CodingSchemeDesignator="UCUM", CodeMeaning="unit")
    setattr(code, name, unit)
    item.MeasurementUnitsCodeSequence = [code]
    return item


def tracer(ds: Dataset) -> Dataset:
    return ds.RadiopharmaceuticalInformationSequence[0]


def triple_phantom(shape=(4, 5, 6)) -> np.ndarray:
    """SUV 1.00 throughout, one voxel 0.20 and one 4.00: min, median and max of the IBSI reference objects."""
    suv = np.ones(shape)
    suv[1, 1, 1], suv[2, 3, 4] = 0.20, 4.00
    return suv


def write_series(
    folder: Path,
    suv: np.ndarray | None = None,
    unit_per_suv: float | np.ndarray | None = None,
    edit: Callable[[Dataset, int], None] | None = None,
    *,
    positions_mm=None,
    pixel_mm: float = 4.0,
    slopes=None,
    series: int = 2,
) -> Path:
    """Write a series whose rescaled pixels are ``suv * unit_per_suv`` (a scalar, or one number a slice)."""
    suv = triple_phantom() if suv is None else np.asarray(suv, float)
    n = len(suv)
    per_suv = bqml_per_suv() if unit_per_suv is None else unit_per_suv
    per_suv = np.broadcast_to(np.asarray(per_suv, float), n)
    positions = [4.0 * k for k in range(n)] if positions_mm is None else positions_mm
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        ds = pet_slice(k, positions[k], (4.0, pixel_mm), series)
        values = suv[k] * per_suv[k]
        slope = float(f"{max(values.max(), 1e-12) / 30000:.8e}") if slopes is None else slopes[k]
        ds.RescaleSlope = f"{slope:.8e}" if slopes is None else str(slope)
        set_pixels(ds, np.round(values / float(ds.RescaleSlope)).astype(np.int16))
        if edit:
            edit(ds, k)
        ds.save_as(folder / f"slice_{k:03d}.dcm", enforce_file_format=True)
    return folder


def set_pixels(ds: Dataset, stored: np.ndarray) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.PixelData = stored.astype("<i2").tobytes()


def bqml_per_suv(seconds: float = 3600.0, dose: float = DOSE, grams: float = WEIGHT_G) -> float:
    """Bq/ml of SUV 1: the injected activity left after `seconds`, spread over the body."""
    return dose * math.exp(-LAMBDA * seconds) / grams


def write_rtstruct(path: Path, rois: dict[str, list], edit=None, kind: str = "CLOSED_PLANAR") -> Path:
    """Write a structure set: name -> list of contours, each (n, 3) in mm."""
    ds = dataset(RTSTRUCT, f"{ROOT_UID}.30")
    ds.Modality = "RTSTRUCT"
    frame = Dataset()
    frame.FrameOfReferenceUID = FRAME_UID
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        region, drawn = Dataset(), Dataset()
        region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = number, name, FRAME_UID
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = [_contour(points, kind) for points in contours]
        ds.StructureSetROISequence.append(region)
        ds.ROIContourSequence.append(drawn)
    if edit:
        edit(ds)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def _contour(points, kind: str) -> Dataset:
    item = Dataset()
    points = np.asarray(points, float)
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{value:.10g}" for value in points.ravel()]
    return item


def square(z: float, low: float, high: float, columns: tuple[float, float] | None = None) -> np.ndarray:
    """A square contour in mm: rows (y) low..high, columns (x) the same unless given."""
    left, right = columns or (low, high)
    return np.array([[left, low, z], [right, low, z], [right, high, z], [left, high, z]])


def write_seg(
    path: Path, masks: dict[str, np.ndarray], kind: str = "BINARY", edit=None, pixel_mm=4.0, step_mm=4.0
):
    """Write a segmentation by hand: sparse frames in reversed order, one segment a mask."""
    ds = dataset(SEG if kind != "LABELMAP" else f"{SEG[:-1]}7", f"{ROOT_UID}.40")
    ds.Modality, ds.SegmentationType = "SEG", kind
    if kind == "FRACTIONAL":
        ds.SegmentationFractionalType, ds.MaximumFractionalValue = "OCCUPANCY", 200
    ds.SegmentSequence = [_segment(number, name) for number, name in enumerate(masks, start=1)]
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[str(pixel_mm)] * 2, SliceThickness=str(step_mm))]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    if len(masks) == 1 and kind != "LABELMAP":  # as highdicom does for one segment
        shared.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=1)]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames, groups = [], []
    for number, mask in enumerate(masks.values(), start=1):
        for k in reversed(range(len(mask))):
            if not mask[k].any():
                continue
            group = Dataset()
            group.PlanePositionSequence = [_item(ImagePositionPatient=[0.0, 0.0, k * step_mm])]
            if len(masks) > 1 and kind != "LABELMAP":
                group.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=number)]
            groups.append(group)
            frames.append(mask[k] * (number if kind == "LABELMAP" else 200 if kind == "FRACTIONAL" else 1))
    ds.PerFrameFunctionalGroupsSequence = groups
    _seg_pixels(ds, np.array(frames).astype(np.uint8), kind)
    if edit:
        edit(ds)
    ds.save_as(path, enforce_file_format=True)
    return path


def _seg_pixels(ds, frames, kind):
    from pydicom.pixels import pack_bits

    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.NumberOfFrames, ds.Rows, ds.Columns = frames.shape
    bits = 1 if kind == "BINARY" else 8
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelData = pack_bits(frames) if bits == 1 else frames.tobytes()


def _segment(number: int, name: str) -> Dataset:
    region = _item(CodeValue="10200004", CodingSchemeDesignator="SCT", CodeMeaning="Liver")
    return _item(SegmentNumber=number, SegmentLabel=name, AnatomicRegionSequence=[region])


def _item(**values) -> Dataset:
    ds = Dataset()
    for key, value in values.items():
        setattr(ds, key, value)
    return ds


def add_private(ds: Dataset, group: int, creator: str, element: int, vr: str, value: str) -> None:
    ds.private_block(group, creator, create=True).add_new(element, vr, value)


def clock(ds: Dataset, name: str, instant) -> None:
    """Set date and time of Series, Acquisition or Study."""
    setattr(ds, f"{name}Date", instant.strftime("%Y%m%d"))
    setattr(ds, f"{name}Time", instant.strftime("%H%M%S.%f"))


def change(**values):
    """Edit header attributes of every slice; names of the tracer item are found there."""

    def edit(ds, k):
        for name, value in values.items():
            target = tracer(ds) if name.startswith("Radio") else ds
            if value is None:
                del target[name]
            else:
                setattr(target, name, value)

    return edit


def both(*edits):
    def edit(ds, k):
        for one in edits:
            one(ds, k)

    return edit


def philips(suv=None, activity=None, creator="Philips PET Private Group"):
    """Make a series counts of a Philips scanner, with its factors."""

    def edit(ds, k):
        ds.Units, ds.Manufacturer = "CNTS", "Philips Medical Systems"
        for element, value in ((0x00, suv), (0x09, activity)):
            if value is not None and creator:
                add_private(ds, 0x7053, creator, element, "DS", str(value))
            elif value is not None:
                ds.add_new((0x7053, 0x1000 | element), "DS", str(value))

    return edit


def truncate(file: Path, keep: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])


__all__ = [name for name in dir() if not name.startswith("_")] + ["pydicom"]
