"""Numbers of the header that SUV rests on, each through its gate: plausible, adapted, flagged or refused."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydicom.uid import UID

from analysis.pet.codes import Notes, SeriesRefused, say_code
from analysis.pet.enhanced import ENHANCED_PET
from analysis.pet.header import PetSlice, positive

# JPEG baseline and extended; JPEG-LS near-lossless, JPEG 2000 and its part 2, high-throughput JPEG 2000.
_ALWAYS_LOSSY = {f"1.2.840.10008.1.2.4.{last}" for last in (50, 51)}
_MAYBE_LOSSY = {f"1.2.840.10008.1.2.4.{last}" for last in (81, 91, 93, 203)}

_COMPLETE = "ask the site for it and send the series with a complete header"
_CORRECT = "ask the site and send the series with a correct header"


def read_weight_kg(item: PetSlice, notes: Notes, rules) -> float:
    """Read PatientWeight (0010,1030) in kg.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.
    notes : Notes
        Receives ``WEIGHT_IN_GRAMS`` and flags.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    float
        Body weight in kg.

    Raises
    ------
    SeriesRefused
        ``WEIGHT_MISSING`` (also 0), ``WEIGHT_IMPLAUSIBLE``.
    """
    weight = item.number["PatientWeight"]
    if weight is None or weight == 0:
        found = "none" if weight is None else "0"
        raise SeriesRefused(
            "WEIGHT_MISSING", f"PatientWeight (0010,1030) in kg expected, found {found}; {_COMPLETE}"
        )
    if weight > rules.weight_grams_above:
        notes.adapt("WEIGHT_IN_GRAMS", f"PatientWeight (0010,1030) {weight!r} was read as grams")
        weight /= 1000
    _within("WEIGHT_IMPLAUSIBLE", "PatientWeight (0010,1030)", weight, rules.weight_refuse_kg, "kg")
    if not rules.weight_flag_kg[0] <= weight <= rules.weight_flag_kg[1]:
        notes.flag("WEIGHT_UNUSUAL")
    height = item.number["PatientSize"]
    if positive(height):
        height_cm = height if height > rules.height_cm_above else 100 * height
        if math.isclose(weight, height_cm):
            notes.flag("WEIGHT_EQUALS_HEIGHT")
    return weight


def read_height_m(item: PetSlice, notes: Notes, rules) -> float:
    """Read PatientSize (0010,1020) in m.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.
    notes : Notes
        Receives ``HEIGHT_IN_CM`` and flags.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    float
        Body height in m.

    Raises
    ------
    SeriesRefused
        ``HEIGHT_MISSING`` (also 0), ``HEIGHT_IMPLAUSIBLE``.
    """
    height = item.number["PatientSize"]
    if height is None or height == 0:
        raise SeriesRefused(
            "HEIGHT_MISSING", f"PatientSize (0010,1020) in m expected, found {height!r}; {_COMPLETE}"
        )
    if height > rules.height_cm_above:
        notes.adapt("HEIGHT_IN_CM", f"PatientSize (0010,1020) {height!r} was read as centimetres")
        height /= 100
    _within("HEIGHT_IMPLAUSIBLE", "PatientSize (0010,1020)", height, rules.height_refuse_m, "m")
    if not rules.height_flag_m[0] <= height <= rules.height_flag_m[1]:
        notes.flag("HEIGHT_UNUSUAL")
    return height


def read_activity_bq(item: PetSlice, notes: Notes, rules) -> float:
    """Read RadionuclideTotalDose (0018,1074), the injected activity, in Bq.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.
    notes : Notes
        Receives ``DOSE_IN_MBQ`` (Enhanced PET, where the standard's unit is MBq: ``DOSE_IN_BQ``) and flags.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    float
        Activity in Bq, taken as net of the residual in the syringe.

    Raises
    ------
    SeriesRefused
        ``DOSE_MISSING``, ``DOSE_INVALID`` (not above 0), ``DOSE_IMPLAUSIBLE``, ``SEVERAL_TRACERS``,
        ``TRACER_ITEM_MISSING`` where the plan chooses one the list has not.
    """
    if item.n_tracers > 1:
        raise SeriesRefused(
            "SEVERAL_TRACERS",
            f"one item of Radiopharmaceutical Information (0054,0016) expected, found {item.n_tracers}; "
            "send the series with the one that was injected, or name it in pet.tracer_item of the plan",
        )
    if not item.tracer_listed:
        raise SeriesRefused(
            "TRACER_ITEM_MISSING",
            f"pet.tracer_item of the plan names item {rules.tracer_item} of Radiopharmaceutical Information "
            f"(0054,0016), found {item.n_tracers}; correct the plan",
        )
    dose = item.number["RadionuclideTotalDose"]
    if dose is None:
        raise SeriesRefused(
            "DOSE_MISSING", f"Radionuclide Total Dose (0018,1074) in Bq expected, found none; {_COMPLETE}"
        )
    if not positive(dose):
        raise SeriesRefused(
            "DOSE_INVALID",
            f"Radionuclide Total Dose (0018,1074) above 0 Bq expected, found {dose!r}; {_CORRECT}",
        )
    megabecquerel, enhanced = dose < rules.dose_mbq_below, is_enhanced(item)
    if megabecquerel and not enhanced:
        notes.adapt("DOSE_IN_MBQ", f"Radionuclide Total Dose (0018,1074) {dose!r} was read as MBq")
    if enhanced and not megabecquerel:
        notes.adapt(
            "DOSE_IN_BQ", f"Radionuclide Total Dose (0018,1074) {dose!r} of Enhanced PET was read as Bq"
        )
    dose *= 1e6 if megabecquerel else 1
    _within("DOSE_IMPLAUSIBLE", "Radionuclide Total Dose (0018,1074)", dose, rules.dose_refuse_bq, "Bq")
    if not rules.dose_flag_bq[0] <= dose <= rules.dose_flag_bq[1]:
        notes.flag("DOSE_UNUSUAL")
    return dose


def read_half_life_s(item: PetSlice, notes: Notes, rules) -> float:
    """Read RadionuclideHalfLife (0018,1075) in s.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.
    notes : Notes
        Receives ``HALF_LIFE_UNUSUAL`` for fluorine-18 outside its range.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    float
        Half-life in s.

    Raises
    ------
    SeriesRefused
        ``HALF_LIFE_MISSING`` (also not above 0), ``HALF_LIFE_IMPLAUSIBLE``.
    """
    half_life = item.number["RadionuclideHalfLife"]
    if not positive(half_life):
        hint = f" (fluorine-18 has {rules.protocol_half_life_s:g} s)" if is_fluorine18(item) else ""
        raise SeriesRefused(
            "HALF_LIFE_MISSING",
            f"Radionuclide Half Life (0018,1075) in s expected, found {half_life!r}{hint}; {_COMPLETE}",
        )
    _within(
        "HALF_LIFE_IMPLAUSIBLE",
        "Radionuclide Half Life (0018,1075)",
        half_life,
        rules.half_life_refuse_s,
        "s",
    )
    if is_fluorine18(item) and not rules.half_life_f18_s[0] <= half_life <= rules.half_life_f18_s[1]:
        notes.flag("HALF_LIFE_UNUSUAL")
    return half_life


def check_lossless(slices: Sequence[PetSlice], notes: Notes, rules) -> None:
    """Refuse images whose compression lost information; a voxel's value then is not the measured one.

    The discrete cosine transform always does; JPEG-LS and JPEG 2000 in a transfer syntax that allows loss do
    unless Lossy Image Compression (0028,2110) says ``00``.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.
    notes : Notes
        Receives ``LOSSY_COMPRESSION`` where the plan adapts.
    rules : plan section
        Section ``pet`` of the plan.

    Raises
    ------
    SeriesRefused
        ``LOSSY_COMPRESSION``.
    """
    for text in {id(item.text): item.text for item in slices}.values():
        label, syntax = text["LossyImageCompression"], text["TransferSyntaxUID"]
        if label == "01" or syntax in _ALWAYS_LOSSY or (syntax in _MAYBE_LOSSY and label != "00"):
            how = f"Lossy Image Compression (0028,2110) is {say_code(label, 'lossy')} in {UID(syntax).name!r}"
            if rules.lossy_pixels == "adapt":
                notes.adapt("LOSSY_COMPRESSION", f"pixels were used although {how}")
                return
            raise SeriesRefused(
                "LOSSY_COMPRESSION", f"pixels without loss expected, but {how}; send the original series"
            )


def is_enhanced(item: PetSlice) -> bool:
    """Tell whether a slice is a frame of Enhanced PET (not of a legacy conversion).

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.

    Returns
    -------
    bool
        By SOP Class UID.
    """
    return item.text["SOPClassUID"] == ENHANCED_PET


def is_fluorine18(item: PetSlice) -> bool:
    """Tell whether the header names fluorine-18 as the nuclide.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.

    Returns
    -------
    bool
        By code C-111A1 (SRT) or 77004003 (SCT), or by its meaning.
    """
    named = item.nuclide.upper().replace("^", "").replace("-", "")
    return any(word in named for word in ("C111A1", "77004003", "18FLUOR", "FLUORINE18", "F18", "18F"))


def _within(code: str, what: str, value: float, bounds: Sequence[float], unit: str) -> None:
    if not bounds[0] <= value <= bounds[1]:
        raise SeriesRefused(
            code,
            f"{what} between {bounds[0]:g} and {bounds[1]:g} {unit} expected, found {value!r}; {_CORRECT}",
        )
