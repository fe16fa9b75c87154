"""Baseline lesions of the virtual trial: how many, where, how large, how bright, and how each will change."""

from __future__ import annotations

import numpy as np
import pandas as pd


def correlated_pair(n: int, correlation: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two standard normal vectors of length `n` with the given correlation."""
    first, other = rng.standard_normal((2, n))
    return first, correlation * first + np.sqrt(1 - correlation**2) * other


def simulate_lesions(settings, patients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the baseline lesions: organ, diameter (mm), baseline SUVmax, true ln ratio at D14 and D28.

    Returns
    -------
    DataFrame
        One row a lesion; ``ROW`` is the position of its patient in `patients`.
    """
    n = len(patients)
    count = 1 + rng.choice(len(settings.lesion_count_share), size=n, p=np.array(settings.lesion_count_share))
    row = np.repeat(np.arange(n), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + 1
    shared_14, shared_28 = correlated_pair(len(row), settings.lesion_correlation, rng)
    suv = settings.suv_median * np.exp(
        settings.suv_sd * (rng.standard_normal(n)[row] + rng.standard_normal(len(row))) / np.sqrt(2)
    )
    diameter = settings.diameter_median_mm * np.exp(settings.diameter_sd * rng.standard_normal(len(row)))
    return pd.DataFrame(
        {
            "ROW": row,
            "NUMBER": number,
            "ORGAN": _draw_organs(settings, n, row, number, rng),
            "DIAMETER_MM": np.clip(diameter, *settings.diameter_range_mm).round(1),
            "SUVMAX_D0": np.clip(suv, *settings.suv_range).round(3),
            "LNRATIO_D14": patients["CHANGE_D14"].to_numpy()[row] + settings.lesion_sd * shared_14,
            "LNRATIO_D28": patients["CHANGE_D28"].to_numpy()[row] + settings.lesion_sd * shared_28,
        }
    )


def _draw_organs(settings, n: int, row, number, rng: np.random.Generator) -> np.ndarray:
    """Give bone-only patients bone alone, and every other one a soft-tissue lesion as L1, to measure."""
    names = np.array(list(settings.organ_share))
    share = np.array(list(settings.organ_share.values()))
    soft = names != "bone"
    organ = names[rng.choice(len(names), size=len(row), p=share)]
    first = names[soft][rng.choice(soft.sum(), size=len(row), p=share[soft] / share[soft].sum())]
    bone_only = (rng.random(n) < settings.bone_only_share)[row]
    organ = np.where(bone_only, "bone", np.where(number == 1, first, organ))
    crowded = pd.Series(organ).groupby([row, organ]).cumcount() >= settings.organ_max_lesions
    return np.where(crowded, "bone", organ)
