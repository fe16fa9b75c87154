"""Write a PET series fast: the shared header is encoded once, each slice's own elements are spliced in."""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jpeg_ls import encode_pixel_data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
)

from analysis.virtual_trial.acquisition import Acquisition, average_time_s, decay_constant
from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.dialects import Dialect, dialect_of, pet_header
from analysis.virtual_trial.elements import IMPLEMENTATION, clock, decimal, make_uid, scan_uid

LARGEST_STORED = 32767


@dataclass(frozen=True)
class Slice:
    """Reference to one plane of a series: the object that holds it, its z in mm (as written), and its frame.

    `frame` counts from 1 in an object of many frames; it is None where the object is the plane.
    """

    uid: UID
    z_mm: float
    frame: int | None = None


def write_series(
    folder: Path,
    suv: np.ndarray,
    grid: Grid,
    spec: Mapping[str, Any],
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> tuple[Dataset, list[Slice]]:
    """Write a classic PET series, one file a slice, numbered from head to feet.

    Parameters
    ----------
    folder : Path
        Where the files go; must exist.
    suv : ndarray
        SUVbw (slices ascending to the head, rows, columns).
    grid, spec, acquisition, rng
        Voxels, the scan's facts, its times, and the random stream of its vendor's free choices.

    Returns
    -------
    header : Dataset
        What all slices share.
    slices : list of Slice
        In the order of `suv`.
    """
    header, unit_bqml = pet_header(spec, acquisition, grid, rng)
    return header, _write_slices(folder, suv, grid, spec, acquisition, header, unit_bqml, "pet")


def write_uncorrected(
    folder: Path,
    suv: np.ndarray,
    grid: Grid,
    spec: Mapping[str, Any],
    acquisition: Acquisition,
    header: Dataset,
) -> None:
    """Write the series without attenuation correction that many scanners send beside the corrected one.

    Parameters are those of `write_series`; `header` is what that returned. The values mean nothing: `suv` as
    if it were Bq/ml per SUV, in counts.
    """
    own = copy.deepcopy(header)
    own.SeriesInstanceUID, own.SeriesNumber = scan_uid(spec, "nac"), "3"
    own.SeriesDescription = "PET WB NAC"
    own.ImageType = [*header.ImageType, "NAC"]
    own.CorrectedImage = [name for name in header.CorrectedImage if name not in ("ATTN", "SCAT")]
    own.AttenuationCorrectionMethod = own.ScatterCorrectionMethod = "NONE"
    own.Units = "PROPCNTS"
    _write_slices(folder, suv, grid, spec, acquisition, own, 1.0, "nac")


def _write_slices(folder, suv, grid, spec, acquisition, header, unit_bqml, series) -> list[Slice]:
    dialect = dialect_of(spec)
    of_slice = acquisition.suv_per_pixel_bqml(dialect.vendor.half_life_s, dialect.decay)
    write = _splicer(header, dialect.pixels)
    slices = []
    for k, plane in enumerate(suv):
        number = grid.shape[0] - k
        uid = scan_uid(spec, series, number)
        per_unit = 1.0 / (unit_bqml * float(of_slice[k]))
        values = plane.astype(np.float64) * per_unit
        slope = decimal(smallest_step(values, per_unit))
        stored = quantise(values, float(slope))
        z = decimal(round(grid.axes[0][k], 4))
        elements = _slice_elements(uid, number, z, slope, grid, acquisition, dialect, k)
        (folder / f"{number:04d}.dcm").write_bytes(write(uid, elements, stored))
        slices.append(Slice(uid, float(z)))
    return slices


def smallest_step(values: np.ndarray, per_suv: float) -> float:
    """Return the slope that spreads a plane over the stored integers; at least that of an SUV of 0.001."""
    return max(float(values.max()), per_suv * 1e-3) / LARGEST_STORED


def quantise(values: np.ndarray, slope: float) -> np.ndarray:
    """Round a plane to stored integers (16 bit, little endian); its largest value keeps within the range."""
    return np.minimum(np.rint(values / slope), LARGEST_STORED).astype("<i2")


def _slice_elements(uid, number, z, slope, grid, acquisition, dialect: Dialect, k) -> dict[str, Any]:
    """Return what differs between slices; decay starts at one time, so reference times grow with the beds."""
    vendor = dialect.vendor
    offset_s = float(acquisition.bed_starts_s[k])
    centre_s = average_time_s(acquisition.frame_s, vendor.half_life_s) if vendor.averages_decay else 0.0
    reference_s = offset_s + centre_s
    moment = clock(acquisition.started + timedelta(seconds=offset_s))
    elements = {
        "SOPInstanceUID": uid,
        "AcquisitionTime": moment,
        "ContentTime": moment,
        "InstanceNumber": str(number),
        "ImagePositionPatient": [decimal(grid.origin_mm[2]), decimal(grid.origin_mm[1]), z],
        "SliceLocation": z,
        "RescaleSlope": slope,
        "FrameReferenceTime": decimal(reference_s * 1000),
        "ImageIndex": number,
    }
    if dialect.decay != "NONE":
        waited_s = (acquisition.started - acquisition.injected).total_seconds()
        corrected_s = reference_s + (waited_s if dialect.decay == "ADMIN" else 0.0)
        factor = math.exp(decay_constant(vendor.half_life_s) * corrected_s)
        elements["DecayFactor"] = decimal(factor, 8)
    return elements


def _splicer(header: Dataset, pixels: str) -> Callable[[UID, Mapping[str, Any], np.ndarray], bytes]:
    """Return a function that makes one slice's file: the shared header is encoded once, not once a slice."""
    placeholder = make_uid("placeholder")
    syntax, encode_pixels = PIXEL_ENCODINGS[pixels]
    meta = _file_meta(placeholder, syntax)
    encoded = [(element.tag, _encode(header[element.tag : element.tag + 1])) for element in header]

    def write(uid: UID, elements: Mapping[str, Any], stored: np.ndarray) -> bytes:
        own = [(Tag(name), _encode_one(name, value)) for name, value in elements.items()]
        body = b"".join(part for _, part in sorted(encoded + own, key=lambda pair: pair[0]))
        return b"".join((meta.replace(placeholder.encode(), uid.encode()), body, encode_pixels(stored)))

    return write


def _file_meta(uid: UID, syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    buffer = BytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return b"\0" * 128 + b"DICM" + buffer.getvalue()


def _encode(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


_TEXT_VR = {"SOPInstanceUID": b"UI", "AcquisitionTime": b"TM", "ContentTime": b"TM", "InstanceNumber": b"IS"}


def _encode_one(name: str, value: Any) -> bytes:
    """Encode one short element (explicit VR, little endian)."""
    tag = BaseTag(Tag(name))
    if isinstance(value, int):
        return struct.pack("<HH2sHH", tag.group, tag.element, b"US", 2, value)
    text = "\\".join(value) if isinstance(value, list) else str(value)
    raw = text.encode("ascii")
    raw += (b"\0" if name == "SOPInstanceUID" else b" ") * (len(raw) % 2)
    return struct.pack("<HH2sH", tag.group, tag.element, _TEXT_VR.get(name, b"DS"), len(raw)) + raw


def _native(stored: np.ndarray) -> bytes:
    """Encode a plane as it is; 16-bit values, so the length is even."""
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, stored.nbytes) + stored.tobytes()


def _jpeg_ls(stored: np.ndarray) -> bytes:
    """Encode a plane as one JPEG-LS lossless fragment of all 16 bits, as the header states them.

    With the fewest bits that hold the values, readers would take the highest of them for a sign.
    """
    rows, columns = stored.shape
    stream = encode_pixel_data(
        stored.tobytes(), rows=rows, columns=columns, samples_per_pixel=1, bits_stored=16
    )
    fragments = encapsulate([bytes(stream)], has_bot=True)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + fragments + end


PIXEL_ENCODINGS = {"NATIVE": (ExplicitVRLittleEndian, _native), "JPEGLS": (JPEGLSLossless, _jpeg_ls)}
