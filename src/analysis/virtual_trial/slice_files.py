"""Write a PET series fast: the shared header is encoded once, each slice's own elements are spliced in."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.dialects import (
    IMPLEMENTATION,
    VENDORS,
    Acquisition,
    average_time_s,
    clock,
    decay_constant,
    decimal,
    make_uid,
    pet_header,
    scan_uid,
)

LARGEST_STORED = 32767


@dataclass(frozen=True)
class Slice:
    """Reference to one written slice: its UID and the z of its plane in mm (as written)."""

    uid: UID
    z_mm: float


def write_series(
    folder: Path,
    suv: np.ndarray,
    grid: Grid,
    spec: Mapping[str, Any],
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> tuple[Dataset, list[Slice]]:
    """Write a PET series, one file a slice, numbered from head to feet.

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
    vendor = VENDORS[spec["VENDOR"]]
    per_unit = 1.0 / (unit_bqml * acquisition.suv_per_bqml(vendor.half_life_s))
    write = _splicer(header)
    slices = []
    for k, plane in enumerate(suv):
        number = grid.shape[0] - k
        uid = scan_uid(spec, "pet", number)
        values = plane.astype(np.float64) * per_unit
        slope = decimal(max(float(values.max()), per_unit * 1e-3) / LARGEST_STORED)
        stored = np.minimum(np.rint(values / float(slope)), LARGEST_STORED).astype("<i2")
        z = decimal(round(grid.axes[0][k], 4))
        elements = _slice_elements(uid, number, z, slope, grid, acquisition, vendor, k)
        (folder / f"{number:04d}.dcm").write_bytes(write(uid, elements, stored.tobytes()))
        slices.append(Slice(uid, float(z)))
    return header, slices


def _slice_elements(uid, number, z, slope, grid, acquisition, vendor, k) -> dict[str, Any]:
    """Return what differs between slices; decay starts at one time, so reference times grow with the beds."""
    offset_s = float(acquisition.bed_starts_s[k])
    centre_s = average_time_s(acquisition.frame_s, vendor.half_life_s) if vendor.averages_decay else 0.0
    reference_s = offset_s + centre_s
    moment = clock(acquisition.started + timedelta(seconds=offset_s))
    return {
        "SOPInstanceUID": uid,
        "AcquisitionTime": moment,
        "ContentTime": moment,
        "InstanceNumber": str(number),
        "ImagePositionPatient": [decimal(grid.origin_mm[2]), decimal(grid.origin_mm[1]), z],
        "SliceLocation": z,
        "RescaleSlope": slope,
        "FrameReferenceTime": decimal(reference_s * 1000),
        "DecayFactor": decimal(math.exp(decay_constant(vendor.half_life_s) * reference_s), 8),
        "ImageIndex": number,
    }


def _splicer(header: Dataset) -> Callable[[UID, Mapping[str, Any], bytes], bytes]:
    """Return a function that makes one slice's file: the shared header is encoded once, not once a slice."""
    placeholder = make_uid("placeholder")
    meta = _file_meta(placeholder)
    encoded = [(element.tag, _encode(header[element.tag : element.tag + 1])) for element in header]

    def write(uid: UID, elements: Mapping[str, Any], pixels: bytes) -> bytes:
        own = [(Tag(name), _encode_one(name, value)) for name, value in elements.items()]
        body = b"".join(part for _, part in sorted(encoded + own, key=lambda pair: pair[0]))
        return b"".join((meta.replace(placeholder.encode(), uid.encode()), body, _pixel_data(pixels)))

    return write


def _file_meta(uid: UID) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
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


def _pixel_data(pixels: bytes) -> bytes:
    padded = pixels + b"\0" * (len(pixels) % 2)
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(padded)) + padded
