"""Metabolic response and ctDNA together: four groups, what each adds to the other, nothing selected.

The clock starts when both are known: at the later of scan and draw, or on a fixed day.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis import plan
from analysis.biomarkers.combined_models import CELLS, RESPONSES, RESULTS, estimate_endpoint
from analysis.biomarkers.outcomes import landmark_outcomes
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED, select_visit
from analysis.biomarkers.ready_markers import is_plasma_response
from analysis.biomarkers.rows import Analysis, as_rows, join_notes
from analysis.contracts import contract_of
from analysis.survival.kaplan_meier import kaplan_meier

CURVE = "PETCTDNA"


class Combined(NamedTuple):
    """What `estimate_combined` returns.

    Attributes
    ----------
    analysis : Analysis
        Rows of estimates_biomarkers; its table counts MRESP CTDNA ENDPOINT N EVENTS from the landmark.
    excluded : DataFrame
        Rows of table exclusions_05: who is in none of the groups, or left out by the landmark, and why.
    curves : DataFrame
        Rows of table curves_biomarkers.
    """

    analysis: Analysis
    excluded: pd.DataFrame
    curves: pd.DataFrame


def estimate_combined(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    visit: str,
    days_per_month: float,
    landmark_days: float | None = None,
    rules=None,
    plan_survival=None,
) -> Combined:
    """Relate metabolic response and ctDNA at one visit, together, to every endpoint.

    Per endpoint: each of three groups against responders without ctDNA (Cox, Firth penalty); PET and ctDNA in
    one model, with the likelihood-ratio test of what each adds to the other; each alone on the same patients;
    their interaction. Firth's penalty takes the place of maximum likelihood as in the survival analysis: for
    the plan's ``firth_endpoints``, with few events, and where there is no finite estimate; the note says
    which. A group below ``min_prevalence_n`` is listed, not tested.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes` returns; PETDT is the date of the early scan.
    visit : str
        Visit of the ctDNA (plan, ``ctdna_main_visit``).
    days_per_month : float
        Days of a month (plan, ``design.days_per_month``).
    landmark_days : float, optional
        Day from the endpoint's own time zero on which the clock starts, for a study without dates. None takes
        the later of scan and draw.
    rules, plan_survival : Section, optional
        The plan's sections ``biomarkers`` and ``survival``; its defaults if None.

    Returns
    -------
    Combined

    References
    ----------
    statistics.md section 2 (combined PET and ctDNA groups).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    plan_survival = plan.defaults().survival if plan_survival is None else plan_survival
    if is_plasma_response(adbm, outcomes):
        return _none("the response is itself read from plasma: there is no scan to put beside it", [])
    groups, excluded = _assign_groups(adbm, outcomes, visit)
    if groups.empty:
        return _none(f"no subject has both a metabolic class and ctDNA at {visit}", excluded)
    try:
        moved, out = _start_clock(groups, visit, landmark_days)
    except ValueError as error:
        return _none(str(error), excluded)
    excluded += out
    note = f"time zero: the later of early PET and {visit} draw"
    if landmark_days is not None:
        note = f"time zero: {landmark_days:g} days after the endpoint's own"
    rows, curves, counts = [], [], []
    for endpoint in [name.removesuffix("_TIME") for name in moved.columns if name.endswith("_TIME")]:
        frame = _endpoint_frame(moved, endpoint)
        place = {"ANALYSIS": "combined", "AVISIT": visit, "OUTCOME": endpoint, "STATISTIC": "hazard_ratio"}
        for row in estimate_endpoint(frame, endpoint, rules, plan_survival):
            rows.append({**row, **place, "NOTE": join_notes(row.get("NOTE"), note)})
        curves.append(_tabulate_curves(frame, endpoint, days_per_month, rules, plan_survival))
        counts.append(_count_cells(frame, endpoint))
    if not rows:
        return _none("the study has no endpoint", excluded)
    nobody = not any(map(len, curves))
    reason = f"nobody is under follow-up after the landmark ({note})" if nobody else None
    table = pd.concat(counts, ignore_index=True)
    # An empty table has no types to add.
    drawn = [curve for curve in curves if len(curve)] or [_empty_curves()]
    return Combined(
        Analysis(as_rows(rows), table, reason), _ledger(excluded), pd.concat(drawn, ignore_index=True)
    )


def _none(reason: str, excluded: list[tuple]) -> Combined:
    counts = pd.DataFrame(columns=["MRESP", "CTDNA", "ENDPOINT", "N", "EVENTS"])
    return Combined(Analysis(as_rows([]), counts, reason), _ledger(excluded), _empty_curves())


def _assign_groups(adbm: pd.DataFrame, outcomes: pd.DataFrame, visit: str) -> tuple[pd.DataFrame, list]:
    """Return the outcomes of who has both results, with PET, DNA (0/1) and DRAWDT; and who has not."""
    draws = select_visit(adbm, visit)
    both = outcomes.assign(
        PET=outcomes["NONRESPONSE"],
        DNA=draws["AVALC"].map({NOT_DETECTED: 0.0, DETECTED: 1.0}).reindex(outcomes.index).astype(float),
        DRAWDT=pd.to_datetime(draws["ADT"]).reindex(outcomes.index),
    )
    excluded = []
    for subject, row in both[both["PET"].isna() | both["DNA"].isna()].iterrows():
        lacking = [
            text
            for text, value in (
                ("no metabolic class", row["PET"]),
                (f"ctDNA at {visit} missing or not assessable", row["DNA"]),
            )
            if pd.isna(value)
        ]
        text = f"{' and '.join(lacking)}; not in the groups of PET and ctDNA"
        excluded.append(("05", subject, visit, "subject", "LAYER_MISSING", text))
    return both.dropna(subset=["PET", "DNA"]), excluded


def _start_clock(groups: pd.DataFrame, visit: str, days: float | None) -> tuple[pd.DataFrame, list]:
    if days is not None:
        moved, left_out = landmark_outcomes(groups, days=days)
        undated = []
    else:
        dates = pd.concat([pd.to_datetime(groups["PETDT"]), groups["DRAWDT"]], axis=1)
        # Both must be dated: with one alone nobody knows when both were known.
        zero = dates.max(axis=1, skipna=False)
        if zero.isna().all():
            raise ValueError("early PET and draw have no dates: give a landmark in days")
        moved, left_out = landmark_outcomes(groups, zero)
        undated = zero.index[zero.isna()]
    text = f"no date of the early PET or of the {visit} draw: no time zero for PET and ctDNA together"
    rows = [("05", subject, visit, "subject", "NO_LANDMARK", text) for subject in undated]
    for endpoint, names in left_out.items():
        text = (
            f"{endpoint}: event or end of follow-up on or before time zero of PET and ctDNA at {visit}; "
            "not in their groups"
        )
        rows += [("05", subject, visit, "subject", "BEFORE_LANDMARK", text) for subject in names]
    return moved, rows


def _ledger(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(contract_of("exclusions_05").columns), dtype=object)


def _endpoint_frame(moved: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    columns = [f"{endpoint}_TIME", f"{endpoint}_EVENT", "PET", "DNA"]
    frame = moved[columns].dropna().astype(float).set_axis(["time", "event", "PET", "DNA"], axis=1)
    cell = [CELLS[int(pet), int(dna)] for pet, dna in zip(frame["PET"], frame["DNA"], strict=True)]
    return frame.assign(event=frame["event"] > 0, CELL=pd.Series(cell, index=frame.index, dtype=object))


def _count_cells(frame: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    rows = []
    for (pet, dna), name in CELLS.items():
        own = frame.loc[frame["CELL"].eq(name), "event"]
        rows.append((RESPONSES[pet], RESULTS[dna], endpoint, len(own), int(own.sum())))
    return pd.DataFrame(rows, columns=["MRESP", "CTDNA", "ENDPOINT", "N", "EVENTS"])


def _empty_curves() -> pd.DataFrame:
    return pd.DataFrame(columns=list(contract_of("curves_biomarkers").columns))


def _tabulate_curves(frame, endpoint: str, days_per_month: float, rules, plan_survival) -> pd.DataFrame:
    if frame.empty:
        return _empty_curves()
    table = kaplan_meier(
        frame["time"] / days_per_month,
        frame["event"],
        frame["CELL"],
        ci=plan_survival.ci_type,
        alpha=rules.interval_alpha,
    )
    names = {"n_risk": "AT_RISK", "n_event": "EVENTS", "n_censor": "CENSORED"}
    table = table.rename(columns=names).rename(columns=str.upper)
    order = {name: place for place, name in enumerate(CELLS.values())}
    table = table.sort_values(["GROUP", "TIME"], key=lambda c: c.map(order) if c.name == "GROUP" else c)
    return table.assign(CURVE=CURVE, ENDPOINT=endpoint)[list(_empty_curves().columns)].reset_index(drop=True)
