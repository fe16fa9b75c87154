"""A folder of PET DICOM to one SUV image, or a coded refusal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from analysis import plan
from analysis.pet import groups, header
from analysis.pet.body_size import NORMALISATIONS
from analysis.pet.clock import parse_date
from analysis.pet.codes import Notes, SeriesRefused, keep_code, keep_model, say_code
from analysis.pet.dicomfile import find_files
from analysis.pet.enhanced import SAID
from analysis.pet.geometry import Grid, build_grid
from analysis.pet.header import PetSlice, positive
from analysis.pet.suv import compute_factors, vendor_of
from analysis.pet.technique import technique_facts

_SERIES_TEXT = [
    "PatientID",
    "PatientSex",
    "StudyInstanceUID",
    "Manufacturer",
    "Units",
    "SUVType",
    "DecayCorrection",
    "SeriesDate",
    "SeriesTime",
    "TimezoneOffsetFromUTC",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
]
_SERIES_NUMBER = ["PatientWeight", "PatientSize", "RadionuclideTotalDose", "RadionuclideHalfLife"]
_OTHER = "send the reconstruction with these corrections"
_NOT_QUANTITATIVE = {"MIP", "NAC", "REPROJECTION"}


@dataclass(frozen=True, eq=False)
class PetImage:
    """A PET series in SUV.

    Attributes
    ----------
    values : ndarray of float32, shape (slices, rows, columns)
        SUV.
    affine : ndarray, shape (4, 4)
        (slice, row, column, 1) to DICOM patient coordinates (LPS) in mm; slices ascend along row x column.
    spacing_mm : ndarray, shape (3,)
        Slice, row and column step in mm.
    suv_factors : ndarray, shape (slices,)
        SUV per unit of the rescaled pixel value.
    adaptations : list of str
        Codes of what the header said and was read otherwise.
    facts : dict
        What the header said and which rule was used; ``facts["flags"]`` lists what changes no number.
    grid : Grid
        True positions of the slices; every conversion between mm and voxels goes through it.
    coronal_mip : ndarray of float32, shape (slices, columns)
        Largest SUV along the rows of every slice.
    normalisation : str
        Body size the values are normalised by.
    """

    values: np.ndarray
    affine: np.ndarray
    spacing_mm: np.ndarray
    suv_factors: np.ndarray
    adaptations: list[str]
    facts: dict[str, Any]
    grid: Grid
    coronal_mip: np.ndarray
    normalisation: str = "bw"

    def __repr__(self) -> str:
        """Describe the image in a line, without its voxels and without whose it is."""
        size = " x ".join(str(n) for n in self.values.shape)
        voxel = " x ".join(f"{mm:.4g}" for mm in self.spacing_mm)
        unit = "cm2/ml" if self.normalisation == "bsa" else "g/ml"
        adapted = ", ".join(self.adaptations) or "none"
        kind = f"SUV {self.normalisation} in {unit}"
        return f"PetImage({size} voxels of {voxel} mm, {kind}, adaptations: {adapted})"

    @property
    def slice_volumes_ml(self) -> np.ndarray:
        """Voxel volume of every slice in ml, from its two half-gaps."""
        return self.grid.volumes_ml


def load_pet(
    path: str | Path | Sequence[str | Path],
    *,
    normalisation: str = "bw",
    strict: bool = False,
    series_uid: str | None = None,
    rules=None,
    group: str | None = None,
) -> PetImage:
    """Read one PET series and convert it to SUV.

    Parameters
    ----------
    path : path or sequence of paths
        Folder (searched below; other objects in it are passed over), file, or list of files.
    normalisation : {"bw", "lbm_james128", "lbm_janma", "bsa", "ibw"}
        Body size to normalise by. Unit g/ml, for bsa cm2/ml.
    strict : bool
        Refuse (``STRICT_<code>``) what would otherwise be adapted and recorded.
    series_uid : str, optional
        Series Instance UID to read where the folder holds several.
    rules : plan section, optional
        Section ``pet`` of the plan; the defaults without it.
    group : str, optional
        Group of slices to read where one series holds several stacks, frames or gates
        (`analysis.pet.groups`).

    Returns
    -------
    PetImage
        SUV in float32 with the factors, adaptations and facts behind it.

    Raises
    ------
    SeriesRefused
        Whenever the numbers would have to be guessed; ``.code`` says why.
    ValueError
        For an unknown `normalisation`.
    """
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}; found {normalisation!r}")
    rules = plan.defaults().pet if rules is None else rules
    notes = Notes(strict=strict)
    found = header.read_slices(find_files(path), fast=rules.fast_path, rules=rules)
    slices, passed_over = _select_series(found, series_uid)
    slices = groups.select(slices, group, rules)
    _check_consistent(slices)
    _check_corrections(slices[0], notes, rules)
    _check_rescale(slices, notes)
    ordered, grid = build_grid(slices, notes, rules)
    uptake = compute_factors(ordered, normalisation, notes, rules)
    if slices[0].number["NumberOfSlices"] not in (None, len(ordered)):
        notes.flag("SLICE_COUNT_DIFFERS")
    facts = _facts(ordered, grid, passed_over) | uptake.facts
    facts |= technique_facts(_distinct(item.technique for item in ordered), notes, rules)
    facts["flags"] = notes.flags
    values, coronal_mip = _to_suv(ordered, uptake.factors, rules)
    return PetImage(
        values=values,
        affine=grid.affine,
        spacing_mm=grid.spacing_mm,
        suv_factors=uptake.factors,
        adaptations=notes.adaptations,
        facts=facts,
        grid=grid,
        coronal_mip=coronal_mip,
        normalisation=normalisation,
    )


def _select_series(found, series_uid: str | None) -> tuple[list[PetSlice], dict[str, int]]:
    """Return the slices of the one series to read, and how many files were passed over and why."""
    passed_over: Counter[str] = Counter()
    unusable = set()
    series: dict[str, list[PetSlice]] = {}
    for item in found:
        reason = item if isinstance(item, str) else _not_quantitative(item)
        if reason:
            passed_over[reason] += 1
            if not isinstance(item, str):
                unusable.add(item.text["SeriesInstanceUID"])
        else:
            series.setdefault(item.text["SeriesInstanceUID"], []).append(item)
    if series_uid is not None:
        if series_uid not in series and series_uid in unusable:
            raise _nothing(passed_over)
        if series_uid not in series:
            raise SeriesRefused(
                "SERIES_NOT_FOUND", f"none of the {len(series)} PET series here has the UID asked for"
            )
        return series[series_uid], dict(passed_over)
    if not series:
        raise _nothing(passed_over)
    if len(series) > 1:
        sizes = ", ".join(str(len(items)) for items in series.values())
        raise SeriesRefused(
            "MULTIPLE_SERIES", f"{len(series)} PET series here (slices: {sizes}); name one with series_uid="
        )
    return next(iter(series.values())), dict(passed_over)


def _not_quantitative(item: PetSlice) -> str:
    words = set(item.image_type[2:]) | set(item.series_type[1:2])
    return "not quantitative" if words & _NOT_QUANTITATIVE else ""


def _nothing(passed_over: Counter[str]) -> SeriesRefused:
    if passed_over["not quantitative"]:
        return SeriesRefused(
            "NOT_QUANTITATIVE",
            "only projections or images without attenuation correction here; send the AC series",
        )
    seen = ", ".join(f"{count} {reason}" for reason, count in sorted(passed_over.items())) or "no files"
    return SeriesRefused("NO_PET_SERIES", f"no PET image (SOP class {header.CLASSIC_PET}) here; found {seen}")


def _check_consistent(slices: Sequence[PetSlice]) -> None:
    """Refuse slices of one group that contradict each other in what must be one value."""
    texts, numbers, corrections = (
        _distinct(map(attrgetter(name), slices)) for name in ("text", "number", "corrections")
    )
    differing = [key for key in _SERIES_TEXT if any(text[key] != texts[0][key] for text in texts)]
    differing += [key for key in _SERIES_NUMBER if any(one[key] != numbers[0][key] for one in numbers)]
    first = slices[0]
    if any((item.n_tracers, item.nuclide) != (first.n_tracers, first.nuclide) for item in slices):
        differing.append("RadiopharmaceuticalInformationSequence")
    if any(set(words) != set(corrections[0]) for words in corrections):
        differing.append("CorrectedImage")
    if differing:
        raise SeriesRefused(
            "MIXED_SERIES", f"slices of one series differ in {', '.join(differing)}; split the series"
        )


def _distinct(objects: Iterable[Any]) -> list[Any]:
    """Return every object once, in order: slices share what does not differ between their files."""
    return list({id(item): item for item in objects}.values())


def _check_corrections(item: PetSlice, notes: Notes, rules) -> None:
    done = {"DECY" if word == "DECAY" else word for word in item.corrections}
    missing = [word for word in rules.corrections_required if word not in done]
    if missing:
        code = "NOT_ATTENUATION_CORRECTED" if "ATTN" in missing else "NOT_CORRECTED"
        raise SeriesRefused(
            code,
            f"Corrected Image (0028,0051) needs {', '.join(missing)}, found "
            f"{', '.join(sorted(say_code(word, 'correction') for word in done)) or 'none'}; {_OTHER}",
        )
    if "DECY" not in done and item.text["DecayCorrection"].upper() != "NONE":
        raise SeriesRefused(
            "NOT_DECAY_CORRECTED",
            f"Corrected Image (0028,0051) lacks DECY while Decay Correction is "
            f"{say_code(item.text['DecayCorrection'].upper(), 'decay')}; {_OTHER}",
        )
    for word in rules.corrections_expected:
        if word not in done:
            notes.flag(f"NO_{word}_CORRECTION")
    if item.image_type[:1] == ("DERIVED",) or item.image_type[1:2] == ("SECONDARY",):
        notes.flag("DERIVED_IMAGE")


def _check_rescale(slices: Sequence[PetSlice], notes: Notes) -> None:
    said = {key for number in _distinct(item.number for item in slices) for key in SAID if key in number}
    if "ShiftedMap" in said:
        notes.adapt(
            "RWV_INTERCEPT", "real-world value maps with an intercept, which join without a jump, were used"
        )
    if "UncomparedMap" in said:
        notes.flag("RWV_NOT_COMPARED")
    for item in slices:
        slope, intercept = item.number["RescaleSlope"], item.number["RescaleIntercept"]
        if not positive(slope):
            raise SeriesRefused(
                "SLOPE_INVALID",
                f"Rescale Slope (0028,1053) above 0 expected, found {slope!r}; export the series again",
            )
        if intercept not in (None, 0.0):
            raise SeriesRefused(
                "INTERCEPT_NOT_ZERO",
                f"Rescale Intercept (0028,1052) 0 expected, found {intercept!r}; export the original series",
            )


def _to_suv(ordered: Sequence[PetSlice], factors: np.ndarray, rules) -> tuple[np.ndarray, np.ndarray]:
    """Rescale every slice by its own slope and factor, in float64, to a float32 volume and its projection.

    The projection is taken of the stored pixels: factors are positive and rounding keeps the order, so the
    largest stored pixel is the largest SUV.
    """
    n_rows, n_columns = ordered[0].stored.shape
    values = np.empty((len(ordered), n_rows, n_columns), np.float32)
    highest = np.empty((len(ordered), n_columns))
    exact = np.empty((n_rows, n_columns))  # one slice in float64 stays in the processor's cache
    with np.errstate(over="ignore"):  # refused below
        slopes = np.array([item.number["RescaleSlope"] for item in ordered]) * factors
    _check_highest(ordered, slopes, rules)
    for target, most, item, slope in zip(values, highest, ordered, slopes, strict=True):
        np.copyto(exact, item.stored)
        np.multiply(exact, slope, out=exact)
        np.copyto(target, exact, casting="unsafe")
        most[...] = np.maximum.reduce(item.stored, axis=0)
    return values, (highest * slopes[:, None]).astype(np.float32)


def _check_highest(ordered: Sequence[PetSlice], slopes: np.ndarray, rules) -> None:
    """Refuse SUV that no body can have, long before float32 ends; most slices are cleared by their type."""
    whole = ordered[0].stored.dtype.kind in "iu"
    for item, slope in zip(ordered, slopes.tolist(), strict=True):
        if whole and slope * 2 ** (8 * item.stored.dtype.itemsize) <= rules.suv_refuse:
            continue
        highest = max(abs(float(item.stored.min())), abs(float(item.stored.max()))) * slope
        if not highest <= rules.suv_refuse:  # nor NaN
            raise SeriesRefused(
                "SUV_IMPLAUSIBLE",
                f"SUV of at most {rules.suv_refuse:g} expected, found {highest:.3g}: Rescale Slope "
                "(0028,1053), dose, weight or times are wrong; ask the site and send the series again",
            )


def _facts(ordered: Sequence[PetSlice], grid: Grid, passed_over: dict[str, int]) -> dict[str, Any]:
    text = ordered[0].text
    slopes = [item.number["RescaleSlope"] for item in ordered]
    return {
        "units": keep_code(text["Units"], "units"),
        "suv_type": keep_code(text["SUVType"], "suv_type") or None,
        "decay_correction": keep_code(text["DecayCorrection"], "decay"),
        "vendor": vendor_of(text["Manufacturer"]),
        "model": keep_model(text["ManufacturerModelName"]),
        "series_date": parse_date(text["SeriesDate"]),
        "n_slices": len(ordered),
        "matrix": ordered[0].stored.shape,
        "voxel_volume_ml": float(np.prod(grid.spacing_mm) / 1000),
        "slopes": (min(slopes), max(slopes)),
        # Of every slice: what messages call its file and frame, and SUV-free units per stored value; NaN
        # where a table or several ranges made them.
        "sources": [item.where for item in ordered],
        "stored_slopes": [
            s if item.stored.dtype.kind in "iu" else math.nan for item, s in zip(ordered, slopes)
        ],
        "slices_beside_gap": np.flatnonzero(grid.next_to_gap).tolist(),
        "passed_over": passed_over,
        "patient_id": text["PatientID"],
        "series_uid": text["SeriesInstanceUID"],
        "study_uid": text["StudyInstanceUID"],
        "frame_of_reference_uid": text["FrameOfReferenceUID"],
    }
