"""The PET images an exported object refers to: which file and frame every slice is, and what they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.filereader import read_partial

from analysis.pet.codes import SeriesRefused
from analysis.pet.dicomfile import find_files
from analysis.pet.export.uids import derive_uid
from analysis.pet.measurement import series_files
from analysis.pet.series import PetImage

_KEPT = [
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyDate", "StudyTime", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime",
    "TimezoneOffsetFromUTC", "PatientID", "PatientName", "PatientSex", "PatientIdentityRemoved",
    "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified", "StudyInstanceUID",
    "SeriesInstanceUID", "StudyID", "FrameOfReferenceUID", "BitsStored",
    "PixelRepresentation", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
]  # fmt: skip
_INSTANCE = 0x00080018
_FRAME = re.compile(r", frame (\d+)$")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"\d{6}(\.\d{1,6})?")


class ExportRefused(SeriesRefused):
    """An object that cannot be written without saying what is not known."""


@dataclass(frozen=True, eq=False)
class Source:
    """PET images of one scan.

    Attributes
    ----------
    header : pydicom.Dataset
        What the images share: patient, study, series, pixel type.
    instances : tuple of str
        SOP Instance UID of every slice of the image, in its order.
    frames : tuple of int, or None
        Frame number of every slice; None for classic images.
    slopes : ndarray, shape (slices,)
        SUVbw per stored value; NaN where no one number says it.
    """

    header: pydicom.Dataset
    instances: tuple[str, ...]
    frames: tuple[int, ...] | None
    slopes: np.ndarray

    @property
    def sop_class(self) -> str:
        """SOP class of the images."""
        return str(self.header.SOPClassUID)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Each SOP Instance UID once, in the order of the slices."""
        return tuple(dict.fromkeys(self.instances))

    @cached_property
    def identity(self) -> str:
        """UID that stands for these images in this order, to derive others from."""
        frames = ",".join(map(str, self.frames or ()))
        places = (self.header.StudyInstanceUID, self.header.SeriesInstanceUID, *self.instances)
        return derive_uid("source", *map(str, places), frames)

    def date(self, name: str) -> tuple[str, str]:
        """Return date and time (DA, TM) of the study, series, acquisition or content.

        Parameters
        ----------
        name : {"Study", "Series", "Acquisition", "Content"}
            Which.

        Returns
        -------
        (str, str)
            Empty where the header has none that is valid.
        """
        date, time = (str(self.header.get(f"{name}{what}") or "").strip() for what in ("Date", "Time"))
        return date if _DATE.fullmatch(date) else "", time if _TIME.fullmatch(time) else ""

    def moment(self) -> tuple[str, str]:
        """Return the date and time (DA, TM) of the images.

        Returns
        -------
        (str, str)
            Of the series; else of the acquisition, the content or the study.

        Raises
        ------
        ExportRefused
            ``EXPORT_NOT_POSSIBLE`` without a date in the header.
        """
        for name in ("Series", "Acquisition", "Content", "Study"):
            date, time = self.date(name)
            if date:
                return date, time or "000000"
        raise ExportRefused(
            "EXPORT_NOT_POSSIBLE",
            "date of series, acquisition, content or study expected, found none: an exported object must be "
            "dated; send the series with (shifted) dates",
        )


def read_source(task: Mapping[str, Any], pet: PetImage) -> Source:
    """Read which file and frame every slice of an image came from.

    Parameters
    ----------
    task : mapping
        As for `measurement.measure_scan`.
    pet : PetImage
        The image, read from that task.

    Returns
    -------
    Source
        In the order of the slices of `pet`.
    """
    files = dict(find_files(series_files(task)))
    frames = [_FRAME.search(where) for where in pet.facts["sources"]]
    names = [_FRAME.sub("", where) for where in pet.facts["sources"]]
    with disable_value_validation():
        header = pydicom.dcmread(files[names[0]], stop_before_pixels=True, specific_tags=_KEPT, force=True)
        list(header)  # parsed here: values of other writers may break a rule
        known = {name: _instance(files[name]) for name in dict.fromkeys(names)}
    numbers = tuple(int(frame[1]) for frame in frames if frame)
    slopes = np.asarray(pet.facts["stored_slopes"]) * pet.suv_factors
    return Source(header, tuple(known[name] for name in names), numbers or None, slopes)


def _instance(file: str) -> str:
    with open(file, "rb") as stream:
        ds = read_partial(
            stream, lambda tag, vr, length: tag > _INSTANCE, force=True, specific_tags=[_INSTANCE]
        )
    return str(ds.SOPInstanceUID)
