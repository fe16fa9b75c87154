"""What Schoenfeld's formula expects where trials were simulated, and the size simulated trials ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.operating.planning import invert_power
from analysis.plan import Plan
from analysis.survival.power import schoenfeld_power

_CELL = ["TRUTH", "SIZE", "ENDPOINT"]
# What a size may change without changing follow-up: patients, and the weights of the stages they entail.
_ONLY_PATIENTS = {"virtual.n_patients", "pilot.planned_events"}


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
        TRUTH SIZE ENDPOINT METHOD HR EVENTS SHARE POWER FOUND SE; FOUND is the simulated power of the same
        analysis and SE its Monte Carlo error, missing where the table has none. METHOD is fixed_earlier,
        fixed_later and, where the table tells how often the pilot takes the later day, chosen: its ln hazard
        ratio, events and share are those of the two days, weighed by how often each is taken.
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
    expected = pd.DataFrame(rows, columns=names).dropna(subset=["POWER"])
    tests = characteristics[characteristics["QUANTITY"].eq("rejection")].rename(columns={"ESTIMATE": "FOUND"})
    found = tests.reindex(columns=[*_CELL, "METHOD", "FOUND", "SE"])
    return expected.merge(found, how="left", on=[*_CELL, "METHOD"])


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


def sizes_by_patients(plan: Plan) -> list[str]:
    """List the sizes of the plan that differ in the number of patients alone: follow-up is the same.

    Parameters
    ----------
    plan : Plan
        Section operating.

    Returns
    -------
    list of str
        In the plan's order.
    """
    return [name for name, changes in plan.operating.sizes.items() if set(changes) <= _ONLY_PATIENTS]


def needed_size(
    characteristics: pd.DataFrame,
    sizes: Sequence[str],
    *,
    endpoint: str,
    power: float,
    methods: Sequence[str] = ("two_stage", "fixed_earlier"),
) -> pd.DataFrame:
    """Find the patients whole virtual trials need for a power, by a probit line over the simulated sizes.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    sizes : sequence of str
        SIZE of trials with the same follow-up (`sizes_by_patients`).
    endpoint : str
        PARAMCD.
    power : float
        Power to be reached.
    methods : sequence of str
        METHOD of each test; the corrected one where a pilot chooses the day, and a day fixed in advance.

    Returns
    -------
    DataFrame
        TRUTH METHOD HR (true, first day) POWER PATIENTS (analysed at the first day) SE (Monte Carlo) ENROLLED
        LARGEST (patients of the largest trial simulated: beyond it the line is extrapolated); one row a test
        of each truth with an effect and two sizes or more.
    """
    own = characteristics[characteristics["ENDPOINT"].eq(endpoint) & characteristics["SIZE"].isin(sizes)]
    rows = []
    for truth, cells in own.groupby("TRUTH", sort=False):
        by = cells.pivot_table(index="SIZE", columns="QUANTITY", values="ESTIMATE", aggfunc="first")
        is_null = cells.loc[cells["QUANTITY"].eq("rejection"), "TARGET"].notna().any()
        if is_null or len(by) < 2 or not {"patients", "enrolled"} <= set(by):
            continue
        analysed = (by["patients"] / by["enrolled"]).mean()
        for method in methods:
            tests = cells[cells["QUANTITY"].eq("rejection") & cells["METHOD"].eq(method)].set_index("SIZE")
            tests = tests.assign(PATIENTS=by["patients"], POWER=tests["ESTIMATE"])
            found = _invert_with_error(tests, power)
            given = {"TRUTH": truth, "METHOD": method, "HR": by["truth"].mean(), "POWER": power}
            ends = {"ENROLLED": found["PATIENTS"] / analysed, "LARGEST": by["patients"].max()}
            rows.append({**given, **found, **ends})
    names = ["TRUTH", "METHOD", "HR", "POWER", "PATIENTS", "SE", "ENROLLED", "LARGEST"]
    return pd.DataFrame(rows, columns=names)


def _invert_with_error(tests: pd.DataFrame, power: float) -> dict[str, float]:
    """Return the patients needed, and how far the error of each simulated power moves them."""
    trials = tests["TRIALS"].min()
    needed = invert_power(tests, power, trials)
    moved = [
        invert_power(tests.assign(POWER=tests["POWER"] + error), power, trials) - needed
        for error in np.diag(tests["SE"])
    ]
    return {"PATIENTS": needed, "SE": float(np.linalg.norm(moved))}


def _by_day(characteristics: pd.DataFrame, quantity: str, days: Sequence[str]) -> pd.DataFrame:
    """Spread the rows of a quantity: one row a cell in the order of the table, one column a day."""
    rows = characteristics[characteristics["QUANTITY"].eq(quantity) & characteristics["METHOD"].isin(days)]
    wide = rows.pivot_table(index=_CELL, columns="METHOD", values="ESTIMATE", sort=False)
    return wide.reindex(columns=list(days))


def _row(values: pd.DataFrame, cell: tuple) -> np.ndarray:
    return values.loc[cell].to_numpy() if cell in values.index else np.full(values.shape[1], np.nan)


def formula_beside(
    characteristics: pd.DataFrame, days: Sequence[str], *, endpoint: str, alpha: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute what a figure of power draws beside the simulated trials: Schoenfeld's formula for fixed days.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    days : sequence of str
        Earlier and later day.
    endpoint : str
        PARAMCD.
    alpha : float
        Two-sided level.

    Returns
    -------
    expected, curves : DataFrame
        Rows of `expect_power` of the endpoint; `curve_power` of the earlier day, from no effect to a tenth
        beyond the largest hazard ratio.
    """
    expected = expect_power(characteristics, days, alpha=alpha)
    expected = expected[expected["ENDPOINT"].eq(endpoint)]
    reach = np.geomspace(1, 1.1 * expected["HR"].max(), 60)
    return expected, curve_power(expected, reach, method="fixed_earlier", alpha=alpha)
