"""Regions of interest to mutate: structure set, segmentations of three kinds, NIfTI; and how they are judged.

A mask that changes by more than 1 % of its voxels needs a flag the clean one lacks, unless the mutation touched
what states the shape itself (contour points, pixels, positions, segment numbers, how pixels are to be read).
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from dicom_factory import square, write_rtstruct, write_seg, write_series

from analysis.pet.metrics import measure
from analysis.pet.roi import load_rois
from analysis.pet.series import load_pet
from fuzzing import damage, mutations
from fuzzing.bases import Base, parse
from fuzzing.judge import CPU_SECONDS, FORBIDDEN, Hang, Verdict, _where, attempt, written
from fuzzing.reference import touched

SHAPES = {
    "ContourData", "ContourGeometricType", "ContourSequence", "NumberOfContourPoints", "ROIContourSequence", "PixelData",
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence", "SegmentIdentificationSequence", "ReferencedSegmentNumber", "SegmentNumber",
    "SegmentSequence", "StructureSetROISequence", "ROINumber", "ReferencedROINumber", "MaximumFractionalValue",
    "SegmentationType", "SegmentationFractionalType", "TransferSyntaxUID", "SamplesPerPixel", "DAMAGED",
}  # fmt: skip
NAMES = {"ROIName", "SegmentLabel"}
MUTATIONS = {
    name: mutations.MUTATIONS[name]
    for name in (
        "nothing", "element anywhere", "any bytes", "header bytes", "truncated", "bytes inserted or lost",
        "transfer syntax label", "no preamble", "zero byte file", "other identity",
    )
}  # fmt: skip


@dataclass
class RoiBase(Base):
    """A clean ROI file: its masks and flags by name."""

    masks: dict[str, np.ndarray] = field(default_factory=dict)
    flags: dict[str, set[str]] = field(default_factory=dict)


def roi_bases(folder: Path) -> tuple[object, list[RoiBase]]:
    """Write a tiny image and its regions in every format; return the image as read, and the files."""
    suv = np.random.default_rng(2).gamma(4.0, 0.5, (8, 12, 12))
    pet = load_pet(write_series(folder / "pet", suv))
    one, two = np.zeros(suv.shape, bool), np.zeros(suv.shape, bool)
    one[2:5, 2:6, 2:6] = two[3:7, 6:10, 5:10] = True
    masks, files = {"L1": one, "L2": two}, {}
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        files[kind.lower()] = {"seg.dcm": write_seg(folder / "seg.dcm", masks, kind, _identify).read_bytes()}
    single = write_seg(folder / "seg.dcm", {"L1": one}, "BINARY", _identify)
    files["binary, one segment"] = {"seg.dcm": single.read_bytes()}
    contours = {
        "L1": [square(4.0 * k, 8, 20) for k in (2, 3, 4)],
        "L2": [square(4.0 * k, 24, 36, (20, 36)) for k in (3, 4)],
    }
    contours["L1"] += [square(12.0, 12, 16)]  # a hole
    drawn = write_rtstruct(folder / "rt.dcm", contours, _identify)
    files["rtstruct"] = {"rt.dcm": drawn.read_bytes()}
    image = nib.Nifti1Image(one.transpose(2, 1, 0).astype(np.uint8), np.diag([-4.0, -4, 4, 1]))
    for name in ("L1.nii", "L1.nii.gz"):
        nib.save(image, folder / name)
        files[f"nifti {name[3:]}"] = {name: (folder / name).read_bytes()}
    return pet, [_learned(name, content, pet) for name, content in files.items()]


def _identify(ds) -> None:
    ds.PatientName, ds.StudyDate = "NOBODY^NEMO", "20250101"
    ds.PatientID = "P1"  # of the image


def _learned(name: str, files: dict[str, bytes], pet) -> RoiBase:
    with written(files) as folder:
        rois = load_rois(folder, pet)
    assert rois, name
    flags = {key: set(rois.flags[key]) for key in rois}
    return RoiBase(name, files, np.zeros(0), masks={key: np.array(rois[key]) for key in rois}, flags=flags)


def mutate(rng, base: RoiBase, name: str) -> dict[str, bytes]:
    """Mutate a region file; a NIfTI file has mutations of its own."""
    if not base.name.startswith("nifti"):
        return MUTATIONS[name](rng, base, [base])
    ((file, content),) = base.files.items()
    packed = file.endswith(".gz")
    plain = gzip.decompress(content) if packed and rng.random() < 0.7 else content
    if rng.random() < 0.3:
        changed = plain[: int(rng.integers(len(plain)))]
    elif rng.random() < 0.5:
        changed = damage.flip(rng, plain, 0, min(352, len(plain)))
    else:
        at, what = mutations.pick(rng, [(40, "h"), (42, "h"), (44, "h"), (46, "h"), (48, "h"), (70, "h"), (72, "h"), (108, "f"),
                                        (80, "f"), (112, "f"), (116, "f"), (252, "h"), (254, "h"), (280, "f"), (296, "f")])  # fmt: skip
        value = mutations.pick(
            rng,
            [0, -1, 1, 3, 30000, 32767, 16, 1024] if what == "h" else [0.0, np.nan, np.inf, 1e38, -4.0, 0.5],
        )
        changed = plain[:at] + struct.pack(f"<{what}", value) + plain[at + struct.calcsize(what) :]
    return {file: gzip.compress(changed, 1) if packed and plain is not content else changed}


def judge_regions(base: RoiBase, files: dict[str, bytes], pet) -> Verdict:
    """Read mutated regions and judge the outcome."""
    with written(files) as folder:
        try:
            rois, refusal = attempt(lambda: load_rois(folder, pet))
            if refusal is None:
                for name in rois:
                    attempt(lambda name=name: measure(pet, rois[name]))
        except Hang:
            return Verdict("FAILED", f"more than {CPU_SECONDS:g} s of processor time")
        except Exception as error:  # that is what is looked for
            return Verdict("FAILED", f"raised {_where(error)}")
    if refusal is not None:
        leak = FORBIDDEN.search(refusal.message)
        return (
            Verdict("FAILED", f"message of {refusal.code} tells {leak[0]!r}")
            if leak
            else Verdict("REFUSED", refusal.code)
        )
    return _judge_masks(base, files, rois, pet)


def _judge_masks(base: RoiBase, files, rois, pet) -> Verdict:
    if any(rois[name].shape != pet.values.shape or rois[name].dtype != bool for name in rois):
        return Verdict("FAILED", "a mask of another shape or type")
    nifti = base.name.startswith("nifti")
    elements = {"DAMAGED"} if nifti else set(touched(base.files, files, parse))
    new = {flag for name in rois for flag in rois.flags[name]} - {
        flag for own in base.flags.values() for flag in own
    }
    lost = [name for name in base.masks if name not in rois]
    if lost and not (elements & (SHAPES | NAMES)):
        return Verdict("FAILED", f"{len(lost)} regions lost by {sorted(elements)}")
    worst = max((_change(base.masks[name], rois[name]) for name in base.masks if name in rois), default=0.0)
    if worst > 0.01 and not new and not elements & SHAPES:
        return Verdict("FAILED", f"silent: {worst:.0%} of the voxels by {sorted(elements)}")
    if new:
        return Verdict("NOTED", "+".join(sorted(new)))
    return Verdict("LEGITIMATE", "shape") if worst > 0.01 or lost else Verdict("CLEAN")


def _change(clean: np.ndarray, found: np.ndarray) -> float:
    return float(np.count_nonzero(clean != found) / np.count_nonzero(clean))
