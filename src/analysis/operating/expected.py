"""What Schoenfeld's formula expects where the virtual trial was simulated, to stand beside what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.survival.power import schoenfeld_power

_CELL = ["TRUTH", "SIZE", "ENDPOINT"]


def expect_power(characteristics: pd.DataFrame, days: Sequence[str], *, alpha: float = 0.05) -> pd.DataFrame:
    """Tabulate the power Schoenfeld's formula gives at the simulated events and the true hazard ratios.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    days : sequence of str
        The earlier and the later day.
    alpha : float
        Two-sided level.

    Returns
    -------
    DataFrame
        TRUTH SIZE ENDPOINT METHOD HR EVENTS SHARE POWER; METHOD is fixed_earlier, fixed_later and, where the
        table tells how often the pilot takes the later day, chosen: its ln hazard ratio, events and share are
        those of the two days, weighed by how often each is taken.
    """
    hazard, events = (_by_day(characteristics, name, days) for name in ("truth", "events"))
    share = _by_day(characteristics, "nonresponse", days).groupby(level=_CELL[:2]).first()
    pilot = characteristics["QUANTITY"].eq("later_day") & characteristics["METHOD"].eq("PLAN")
    later = characteristics[pilot].groupby(_CELL[:2])["ESTIMATE"].first()
    rows = []
    for cell in hazard.index:
        known = np.vstack([np.log(hazard.loc[cell]), _row(events, cell), _row(share, cell[:2])])
        taken = {"fixed_earlier": 0.0, "fixed_later": 1.0, "chosen": later.get(cell[:2], np.nan)}
        for method, weight in taken.items():
            log_ratio, count, exposed = known @ [1 - weight, weight]
            ratio = np.exp(log_ratio)
            power = schoenfeld_power(count, exposed, ratio, alpha=alpha)
            rows.append((*cell, method, ratio, count, exposed, power))
    names = [*_CELL, "METHOD", "HR", "EVENTS", "SHARE", "POWER"]
    return pd.DataFrame(rows, columns=names).dropna(subset=["POWER"]).reset_index(drop=True)


def curve_power(
    expected: pd.DataFrame, hazard_ratios: Sequence[float], *, method: str = "chosen", alpha: float = 0.05
) -> pd.DataFrame:
    """Tabulate Schoenfeld's power over hazard ratios at the mean events and share of each size.

    Parameters
    ----------
    expected : DataFrame
        From `expect_power`.
    hazard_ratios : sequence of float
        Where the curve is computed.
    method : str
        METHOD whose events and share are averaged over the truths.
    alpha : float
        Two-sided level.

    Returns
    -------
    DataFrame
        SIZE ENDPOINT HR EVENTS SHARE POWER.
    """
    own = expected[expected["METHOD"].eq(method)]
    rows = []
    for (size, endpoint), cells in own.groupby(["SIZE", "ENDPOINT"], sort=False):
        events, share = cells[["EVENTS", "SHARE"]].mean()
        for ratio in hazard_ratios:
            power = schoenfeld_power(events, share, ratio, alpha=alpha)
            rows.append((size, endpoint, ratio, events, share, power))
    return pd.DataFrame(rows, columns=["SIZE", "ENDPOINT", "HR", "EVENTS", "SHARE", "POWER"])


def _by_day(characteristics: pd.DataFrame, quantity: str, days: Sequence[str]) -> pd.DataFrame:
    """Spread the rows of a quantity: one row a cell in the order of the table, one column a day."""
    rows = characteristics[characteristics["QUANTITY"].eq(quantity) & characteristics["METHOD"].isin(days)]
    wide = rows.pivot_table(index=_CELL, columns="METHOD", values="ESTIMATE", sort=False)
    return wide.reindex(columns=list(days))


def _row(values: pd.DataFrame, cell: tuple) -> np.ndarray:
    return values.loc[cell].to_numpy() if cell in values.index else np.full(values.shape[1], np.nan)
