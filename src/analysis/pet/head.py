"""Where a picture of a patient must end so that it shows no face: the neck, found in the body's outline.

Seen from the side, in a band round the body's middle that raised arms stay out of, the neck is the thin place
between head and chest. The liver, where there is one, tells what is thorax and holds no face. Where neither
is found, more is cut than is likely to be needed: a picture that was kept cannot be taken back. A hot brain
between raised arms may look like a liver, so one counts only in a trunk that reaches well below it.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.patient_view import PatientView
from analysis.pet.torso import BACK, HEAD, LEFT, Body, Torso, find_torso

NECK_NOT_FOUND, WITHHELD = "MIP_NECK_NOT_FOUND", "MIP_WITHHELD"


def rows_below_chin(pet, rules) -> tuple[int, list[str]]:
    """Count the voxels along the body, from its lower end, that a picture without a face may show.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section
        Section ``pet`` (`crop_*`, `body_suv_above`, `propose_cut_share`, and what finds a liver).

    Returns
    -------
    (int, list of str)
        Number of voxels along the image axis nearest to the body's (all of them where the field of view ends
        in the thorax or below; 0 where nothing may be shown), and flags: ``MIP_NECK_NOT_FOUND`` where it was
        cut without a neck, ``MIP_WITHHELD`` where nothing is left.
    """
    torso = find_torso(pet, rules)
    if isinstance(torso, Torso) and not _in_trunk(torso, rules):
        torso = RoiRefused("LIVER_NOT_FOUND", "what looks like a liver does not lie in a trunk")
    try:
        view = torso.view if isinstance(torso, Torso) else PatientView.of(pet, rules, rules.propose_grid_mm)
    except RoiRefused:
        return 0, [WITHHELD]
    body = torso.body if isinstance(torso, Torso) else Body.of(view, rules)
    levels = np.flatnonzero(body.mask.any(axis=(BACK, LEFT)))
    if not len(levels):
        return 0, [WITHHELD]
    step, top = float(view.step_mm[HEAD]), int(levels[-1]) + 1
    low, high = 0, top
    if isinstance(torso, Torso):
        dome = _dome_mm(torso)
        low, high = (int((dome + mm) / step) for mm in rules.crop_above_liver_mm)
        if top <= low:
            return view.fine_shape[HEAD], []
    profile = _thickness_mm(view, body, rules)
    if not isinstance(torso, Torso):
        seen = np.flatnonzero(profile)
        top = int(seen[-1]) + 1 if len(seen) else top
        low, high = max(top - int(rules.crop_search_mm / step), 0), top
        if np.mean(body.cut[low:high]) > rules.propose_cut_share:
            high = low  # an image cut out round a lesion shows no outline to go by
    neck = _find_neck(profile, low, min(high, top), step, rules)
    if neck is not None:
        return _fine(neck, view), []
    keep = low if isinstance(torso, Torso) else top - math.ceil(rules.crop_below_top_mm / step)
    fine = _fine(keep, view)
    return fine, [NECK_NOT_FOUND] if fine else [NECK_NOT_FOUND, WITHHELD]


def _fine(level: int, view: PatientView) -> int:
    return max(level, 0) * int(view.factor[HEAD])


def _dome_mm(torso: Torso) -> float:
    """Return the height of the liver's upper end above the lower end of the image, mm."""
    return float((np.flatnonzero(torso.organ.any(axis=(BACK, LEFT)))[-1] + 1) * torso.view.step_mm[HEAD])


def _in_trunk(torso: Torso, rules) -> bool:
    """Tell whether the body is thick on both sides of its middle beside the organ, and seen far below it."""
    body, step = torso.body, torso.view.step_mm
    lowest = np.flatnonzero(body.mask.any(axis=(BACK, LEFT)))[0] * step[HEAD]
    if _dome_mm(torso) - lowest < rules.crop_below_dome_mm:
        return False
    columns = np.arange(body.mask.shape[LEFT]) * step[LEFT]
    shares = []
    for level in np.flatnonzero(torso.organ.any(axis=(BACK, LEFT))):
        inside, aside = body.mask[level], np.abs(columns - body.middle[level] * step[LEFT])
        last = len(inside) - inside[::-1].argmax(axis=0)
        thick = np.where(inside.any(axis=0), last - inside.argmax(axis=0), 0)
        middle = np.median(thick[aside <= max(rules.crop_band_mm / 2, step[LEFT])])
        shares.append(thick[aside <= rules.crop_trunk_band_mm].min() / max(middle, 1))
    return bool(np.median(shares) >= rules.crop_trunk_share)


def _thickness_mm(view: PatientView, body: Body, rules) -> np.ndarray:
    """Return how thick the body is from front to back at every level, in the band round its middle."""
    seen = body.mask.any(axis=(BACK, LEFT))
    half = rules.crop_band_mm / 2 / view.step_mm[LEFT]
    columns = np.arange(view.values.shape[LEFT])
    band = np.abs(columns - np.median(body.middle[seen])) <= max(half, 0.5)
    outline = body.mask[:, :, band].any(axis=LEFT)
    return outline.sum(axis=1) * view.step_mm[BACK]


def _find_neck(profile: np.ndarray, low: int, high: int, step: float, rules) -> int | None:
    """Return the lowest level of the thinnest neck-like place in a range of levels; None without one."""
    reach, notch = (math.ceil(mm / step) for mm in (rules.crop_reach_mm, rules.crop_notch_mm))
    best = None
    for level in range(low, high):
        thin = profile[level]
        around = profile[max(level - notch, 0) : level + notch + 1]
        above = profile[level + 1 : min(level + reach + 1, len(profile))]
        below = profile[max(level - reach, 0) : level]
        if not rules.crop_neck_mm[0] <= thin <= rules.crop_neck_mm[1] or thin > around.min():
            continue
        head = above.max(initial=0) >= rules.crop_head_ratio * thin
        chest = below.max(initial=0) >= rules.crop_chest_ratio * thin
        if head and chest and (best is None or thin < profile[best]):
            best = level  # the lowest of equals, for levels ascend
    return best
