"""What is known of a scan once it is read: its columns of scan_qc, and SUL per SUV of its patient."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis import plan as plans
from analysis.pet import body_size
from analysis.pet.codes import SeriesRefused
from analysis.pet.series import PetImage

_VOXEL = {"VOXELX": 2, "VOXELY": 1, "VOXELZ": 0}  # axis of the image (slice, row, column)


def scan_facts(pet: PetImage) -> dict[str, Any]:
    """Return the columns of the table scan_qc that the image alone tells.

    Parameters
    ----------
    pet : PetImage
        The image as it was sent.

    Returns
    -------
    dict
        VENDOR to TREFDIFF; None for what is not known.
    """
    facts = pet.facts
    dose = facts.get("injected_activity_bq")
    return {
        "VENDOR": facts["vendor"],
        "MODEL": facts["model"],
        "UNITS": facts["units"],
        "DECAYCORR": facts["decay_correction"],
        "UPTAKEMIN": facts.get("uptake_time_min"),
        "UPTAKEACQ": facts.get("uptake_time_acquisition_min"),
        "DOSEMBQ": None if dose is None else dose / 1e6,
        "WEIGHTKG": facts.get("body_weight_kg"),
        "HEIGHTM": facts.get("body_height_m"),
        "NSLICES": facts["n_slices"],
        "VOXELML": facts["voxel_volume_ml"],
        "SOFTWARE": facts["software"],
        "RECON": facts["reconstruction"],
        "KERNEL": facts["kernel"],
        "PSF": facts["psf"],
        "TOF": facts["time_of_flight"],
        "MATRIX": "{} x {}".format(*facts["matrix"]),
        **{name: float(pet.spacing_mm[axis]) for name, axis in _VOXEL.items()},
        "TREFRULE": facts.get("tref_rule"),
        "TREFSPREAD": facts.get("tref_spread_s"),
        "TREFDIFF": facts.get("tref_disagreement_s"),
    }


def sul_factor(
    pet: PetImage, rules: plans.Section, other_height_m: float | None = None
) -> tuple[float, list[str]]:
    """Return SUL per SUV (lean over whole body mass), NaN with a flag where it cannot be computed.

    Parameters
    ----------
    pet : PetImage
        The image, in SUVbw.
    rules : Section
        Plan section ``pet`` (`sul_formula`).
    other_height_m : float, optional
        Body height in m of another scan of the patient, where this one states none.

    Returns
    -------
    (float, list of str)
        Factor, and flags.
    """
    weight, height, sex = (pet.facts.get(key) for key in ("body_weight_kg", "body_height_m", "sex"))
    flags = []
    if height is None and other_height_m:
        height, flags = other_height_m, ["HEIGHT_CARRIED"]
    if weight is None:
        return np.nan, ["SUL_WEIGHT_MISSING"]
    if rules.sul_formula == "lbm_james128" and height and body_size.beyond_james_vertex(weight, height, sex):
        return np.nan, ["JAMES_BEYOND_VERTEX"]
    try:
        lean = body_size.normaliser(rules.sul_formula, weight, height, sex)
    except SeriesRefused as error:
        return np.nan, [f"SUL_{error.code}"]
    return lean / body_size.normaliser("bw", weight), flags
