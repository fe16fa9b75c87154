"""Whether the scanners of a study measure alike: their EARL standard, EQ.PET, and what is known of neither.

Images of EARL standards 1 and 2 cannot be pooled. EQ.PET brings the image of a sharper reconstruction to a
standard by a Gaussian of the site, for the numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from analysis import plan as plans
from analysis.pet.codes import SeriesRefused
from analysis.pet.series import PetImage
from analysis.pet.suv import vendor_of

UNKNOWN, EQPET = "UNKNOWN", "EQPET"
FLAG, FILTERED = "HARMONISATION_UNKNOWN", "EQPET_FILTERED"
_STANDARDS = (1, 2)
_KEYS = {"vendor", "model", "site", "earl_standard", "eqpet_fwhm_mm", "from", "until", "reason"}
_SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))
_ALWAYS = (date.min, date.max)


@dataclass(frozen=True)
class Entry:
    """What the plan says of a scanner.

    Attributes
    ----------
    vendor, model : str
        Maker and model, in capitals.
    site : str or None
        Centre; None for every centre.
    standard : int or None
        EARL standard of its images, or the one EQ.PET brings them to.
    fwhm_mm : float or None
        Full width at half maximum of the Gaussian of EQ.PET, mm.
    first, last : date
        Days it holds for, both included.
    """

    vendor: str
    model: str
    site: str | None
    standard: int | None
    fwhm_mm: float | None
    first: date
    last: date

    @property
    def dated(self) -> bool:
        """Whether it holds for a part of the study only."""
        return (self.first, self.last) != _ALWAYS


def read_entries(rules) -> list[Entry]:
    """Read the plan's list of scanners.

    Parameters
    ----------
    rules : plan section
        Section ``pet`` (`harmonisation`).

    Returns
    -------
    list of Entry
        In the order of the plan.

    Raises
    ------
    ValueError
        HARMONISATION_ENTRY for an entry that cannot be read; HARMONISATION_OVERLAP for two that speak of one
        scanner at one time.
    """
    entries = [_read(number, raw) for number, raw in enumerate(rules.harmonisation, start=1)]
    for number, one in enumerate(entries):
        for other in entries[:number]:
            same = (one.vendor, one.model, one.site) == (other.vendor, other.model, other.site)
            if same and one.first <= other.last and other.first <= one.last:
                raise ValueError(
                    f"HARMONISATION_OVERLAP: entries {entries.index(other) + 1} and {number + 1} of "
                    "pet.harmonisation speak of one scanner at one time; end the first before the second"
                )
    return entries


def _read(number: int, raw: Any) -> Entry:
    where = f"HARMONISATION_ENTRY: entry {number} of pet.harmonisation"
    if not isinstance(raw, Mapping) or not raw.get("vendor") or not raw.get("model"):
        raise ValueError(f"{where} needs vendor and model")
    unknown = sorted(set(map(str, raw)) - _KEYS)
    if unknown:
        raise ValueError(f"{where} has no {', '.join(unknown)}; it may hold {', '.join(sorted(_KEYS))}")
    standard, fwhm = raw.get("earl_standard"), raw.get("eqpet_fwhm_mm")
    if standard not in (None, *_STANDARDS):
        raise ValueError(f"{where}: earl_standard 1 or 2 expected, found {standard!r}")
    if fwhm is not None and (not isinstance(fwhm, int | float) or not 0 < fwhm < np.inf):
        raise ValueError(f"{where}: eqpet_fwhm_mm above 0 expected, found {fwhm!r}")
    first, last = (_day(where, raw.get(key), bound) for key, bound in zip(("from", "until"), _ALWAYS))
    if last < first:
        raise ValueError(f"{where} ends before it begins")
    site = None if raw.get("site") is None else str(raw["site"]).strip()
    return Entry(_vendor(raw["vendor"]), _plain(raw["model"]), site, standard, fwhm, first, last)


def _day(where: str, value: Any, bound: date) -> date:
    if value is None:
        return bound
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{where}: days are written YYYY-MM-DD") from None


def find_entry(scan: Mapping[str, Any], rules) -> Entry | None:
    """Find what the plan says of the scanner of a scan; an entry of its centre goes before one of all.

    Parameters
    ----------
    scan : mapping
        VENDOR MODEL SITEID ADT, as in scan_qc.
    rules : plan section
        Section ``pet``.

    Returns
    -------
    Entry or None
        None where none holds. A scan without a date has no entry that holds for a part of the study only.
    """
    day = None if pd.isna(scan.get("ADT")) else pd.Timestamp(scan["ADT"]).date()
    holds = [
        one
        for one in read_entries(rules)
        if (one.vendor, one.model) == (_vendor(scan.get("VENDOR")), _plain(scan.get("MODEL")))
        and one.site in (None, _site(scan.get("SITEID")))
        and (not one.dated or (day is not None and one.first <= day <= one.last))
    ]
    return min(holds, key=lambda one: one.site is None, default=None)


def state(scan: Mapping[str, Any], rules=None) -> tuple[str, list[str]]:
    """Return the harmonisation state of a scan, and its flags.

    Parameters
    ----------
    scan : mapping
        VENDOR MODEL SITEID ADT, as in scan_qc.
    rules : plan section, optional
        Section ``pet`` (`harmonisation`, `eqpet_apply`); the defaults without it.

    Returns
    -------
    (str, list of str)
        EARL1 or EARL2, EQPET where the image is blurred before it is measured, UNKNOWN with the flag
        ``HARMONISATION_UNKNOWN``.
    """
    rules = plans.defaults().pet if rules is None else rules
    entry = find_entry(scan, rules)
    if entry is not None and rules.eqpet_apply and entry.fwhm_mm is not None:
        return EQPET, []
    # A filter that is not applied leaves a sharper image than its standard's.
    if entry is None or entry.standard is None or entry.fwhm_mm is not None:
        return UNKNOWN, [FLAG]
    return f"EARL{entry.standard}", []


def filter_for_quantification(pet: PetImage, scan: Mapping[str, Any], rules) -> PetImage:
    """Blur an image by the Gaussian of its scanner, where the plan asks for EQ.PET and knows one.

    Parameters
    ----------
    pet : PetImage
        As it was sent.
    scan : mapping
        VENDOR MODEL SITEID ADT, as in scan_qc.
    rules : plan section
        Section ``pet`` (`harmonisation`, `eqpet_apply`).

    Returns
    -------
    PetImage
        The image itself, or a blurred one with the adaptation ``EQPET_FILTERED``. Pictures show the image as
        it was sent.

    Raises
    ------
    SeriesRefused
        EQPET_SLICES_MISSING: across a gap the blur would mix voxels that are no neighbours.
    """
    entry = find_entry(scan, rules) if rules.eqpet_apply else None
    if entry is None or entry.fwhm_mm is None:
        return pet
    if pet.grid.next_to_gap.any():
        raise SeriesRefused(
            "EQPET_SLICES_MISSING",
            "a whole series expected for the filter of EQ.PET, found missing slices; send it again, or "
            "measure without the filter (pet.eqpet_apply)",
        )
    values = blur(pet.values, entry.fwhm_mm, pet.spacing_mm)
    adaptations = [*pet.adaptations, FILTERED]
    return replace(pet, values=values, coronal_mip=values.max(axis=1), adaptations=adaptations)


def blur(values: np.ndarray, fwhm_mm: float, spacing_mm: np.ndarray) -> np.ndarray:
    """Blur an image by a Gaussian.

    Parameters
    ----------
    values : ndarray, shape (slices, rows, columns)
        Image.
    fwhm_mm : float
        Full width at half maximum, mm; the standard deviation is this over 2 sqrt(2 ln 2).
    spacing_mm : ndarray, shape (3,)
        Size of a voxel, mm.

    Returns
    -------
    ndarray of float32, shape of `values`
        What lies beyond the image is taken as its border.
    """
    sigma = fwhm_mm * _SIGMA_PER_FWHM / np.asarray(spacing_mm, float)
    return ndimage.gaussian_filter(np.asarray(values, np.float32), sigma, mode="nearest")


def check_study(scan_qc: pd.DataFrame) -> list[dict[str, Any]]:
    """List what a person must decide about scanners that do not measure alike.

    Parameters
    ----------
    scan_qc : DataFrame
        USUBJID STATUS HARMON.

    Returns
    -------
    list of dict
        Rows of the queries: EARL_STANDARDS_MIXED once for the study, HARMONISATION_CHANGED once a subject.
        Scans of unknown state are flagged, not counted.
    """
    measured = scan_qc[(scan_qc["STATUS"] == "OK") & scan_qc["HARMON"].notna()]
    known = measured[measured["HARMON"] != UNKNOWN]
    queries = []
    counts = known["HARMON"].value_counts()
    if {"EARL1", "EARL2"} <= set(counts.index):
        what = f"{counts['EARL1']} scans of EARL standard 1 and {counts['EARL2']} of standard 2"
        message = f"{what}: their numbers cannot be pooled"
        action = "reconstruct all to one standard, or analyse them apart (pet.harmonisation)"
        queries.append(_query("EARL_STANDARDS_MIXED", None, message, action))
    for subject, states in known.groupby("USUBJID", sort=True)["HARMON"]:
        if len(set(states)) > 1:
            message = f"scans of one subject in different states: {', '.join(sorted(states.unique()))}"
            action = "reconstruct them to one standard, or leave their change out"
            queries.append(_query("HARMONISATION_CHANGED", subject, message, action))
    return queries


def _query(code: str, subject: str | None, message: str, action: str) -> dict[str, Any]:
    severity = "error" if subject is None else "warning"
    return {"CODE": code, "SEVERITY": severity, "USUBJID": subject, "DOMAIN": "PET", "RECORD": None,
            "MESSAGE": message, "ACTION": action}  # fmt: skip


def _vendor(name: Any) -> str:
    return vendor_of(_plain(name)) if _plain(name) else ""


def _plain(text: Any) -> str:
    return "" if text is None or pd.isna(text) else " ".join(str(text).upper().split())


def _site(text: Any) -> str | None:
    return None if text is None or pd.isna(text) else str(text).strip()
