"""When things happened in one scan, and how the decay of the tracer relates its pixel values to SUV."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.elements import decimal


@dataclass(frozen=True)
class Acquisition:
    """When things happened in one scan, and what was injected.

    Attributes
    ----------
    injected, started : datetime
        Injection and start of the scan; SUV compares all activities as if measured at the start.
    bed_starts_s : ndarray
        Start of each slice's bed position, seconds after `started`.
    frame_s : float
        Acquisition time of one bed position, seconds.
    dose_bq : float
        Injected activity, Bq.
    weight_kg : float
        Body weight, kg.
    """

    injected: datetime
    started: datetime
    bed_starts_s: np.ndarray
    frame_s: float
    dose_bq: float
    weight_kg: float

    def suv_per_bqml(self, half_life_s: float) -> float:
        """Return SUVbw of 1 Bq/ml at the start of the scan: body weight in g over the activity left then."""
        waited_s = (self.started - self.injected).total_seconds()
        left_bq = self.dose_bq * math.exp(-math.log(2) * waited_s / half_life_s)
        return self.weight_kg * 1000.0 / left_bq

    def suv_per_pixel_bqml(self, half_life_s: float, decay: str) -> np.ndarray:
        """Return for each slice the SUVbw of 1 Bq/ml as its pixels state it.

        Parameters
        ----------
        half_life_s : float
            Half-life, seconds.
        decay : str
            What the pixels were corrected for. START: decay since the start of the scan. ADMIN: decay since
            the injection. NONE: nothing, the pixel is the activity averaged over its bed's frame.

        Returns
        -------
        ndarray, shape (slices,)
        """
        slices = len(self.bed_starts_s)
        if decay == "START":
            return np.full(slices, self.suv_per_bqml(half_life_s))
        at_injection = self.weight_kg * 1000.0 / self.dose_bq
        if decay == "ADMIN":
            return np.full(slices, at_injection)
        if decay != "NONE":
            raise ValueError(f"decay correction must be START, ADMIN or NONE, found {decay!r}")
        rate = decay_constant(half_life_s)
        waited_s = (self.started - self.injected).total_seconds() + self.bed_starts_s
        kept = -math.expm1(-rate * self.frame_s) / (rate * self.frame_s)  # average over the frame / its start
        return at_injection * np.exp(rate * waited_s) / kept


def decay_constant(half_life_s: float) -> float:
    """Return the decay constant in 1/s."""
    return math.log(2) / half_life_s


def average_time_s(frame_s: float, half_life_s: float) -> float:
    """Return when, after the start of a frame, the activity equals its average over the frame (s).

    ``ln(x / (1 - exp(-x))) / lambda`` with ``x = lambda * frame``.

    >>> round(average_time_s(60, 6586.2), 5)
    29.98421
    """
    x = decay_constant(half_life_s) * frame_s
    return math.log(x / -math.expm1(-x)) / decay_constant(half_life_s)


def bed_starts_s(grid: Grid, settings: Any) -> np.ndarray:
    """Return the start of each slice's bed position in seconds; the first bed lies at the thighs."""
    bed = np.floor((grid.axes[0] - grid.axes[0][0]) / settings.bed_mm)
    return bed * (settings.bed_seconds + settings.bed_pause_seconds)


def draw_acquisition(
    spec: Mapping[str, Any], grid: Grid, rng: np.random.Generator, settings: Any
) -> Acquisition:
    """Draw the clock times of a scan: start in working hours, injection the given uptake time before it."""
    first, last = (round(hour * 3600) for hour in settings.scan_clock)
    day = datetime.fromisoformat(str(np.datetime64(spec["SCANDT"], "D")))
    started = day + timedelta(seconds=int(rng.integers(first, last)))
    injected = started - timedelta(seconds=round(spec["UPTAKE_MIN"] * 60))
    return Acquisition(
        injected=injected,
        started=started,
        bed_starts_s=bed_starts_s(grid, settings),
        frame_s=float(settings.bed_seconds),
        dose_bq=float(np.round(spec["DOSE_MBQ"] * 1e6)),
        weight_kg=float(decimal(spec["WEIGHT_KG"])),
    )
