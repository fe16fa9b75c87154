"""The Cox models of metabolic response and ctDNA together, each by the estimator the plan has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED
from analysis.biomarkers.rows import join_notes
from analysis.survival.cox import cox
from analysis.survival.outcome import NotEstimable

RESPONSES, RESULTS = ("RESPONDER", "NON-RESPONDER"), (NOT_DETECTED, DETECTED)
# (PET, ctDNA) -> name; the first is what the others are held against.
CELLS = {(pet, dna): f"{RESPONSES[pet]}, {RESULTS[dna]}" for pet in (0, 1) for dna in (0, 1)}
_PET = {"MARKER": "NONRESPONSE", "PARTYPE": "PET"}
_CTDNA = {"MARKER": "CTDNA", "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA"}
_PRODUCT = {"MARKER": "NONRESPONSE x CTDNA", "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA"}
_NO_Q = "not adjusted for multiplicity"


def estimate_endpoint(frame: pd.DataFrame, endpoint: str, rules, plan_survival) -> Iterator[dict[str, Any]]:
    """Estimate the four groups, each test alone, both together and their interaction, for one endpoint.

    Parameters
    ----------
    frame : DataFrame
        time, event, PET and DNA (0/1) and CELL, from the landmark.
    endpoint : str
        Name of the endpoint; one of the plan's ``firth_endpoints`` has Firth's penalty.
    rules, plan_survival : Section
        The plan's sections ``biomarkers`` and ``survival``.

    Yields
    ------
    dict
        Columns of estimates_biomarkers without ANALYSIS, AVISIT, OUTCOME and STATISTIC.
    """
    whole = {"N": len(frame), "EVENTS": int(frame["event"].sum())}
    for row in _estimate_cells(frame, rules):
        yield {**whole, **row}
    sides = {"PET": _PET, "DNA": _CTDNA}
    asked = (endpoint, rules, plan_survival)
    for name, names in sides.items():
        alone = _fit_model(frame, frame[[name]], [frame[name]], *asked)
        row = _term_row(frame[name], alone, name, None)
        yield {**whole, **names, "METHOD": "cox_firth" if alone.firth else "cox_ml", **row}
    both = frame[list(sides)]
    additive = _fit_model(frame, both, [frame[name] for name in sides], *asked)
    for name, names in sides.items():
        row = _term_row(frame[name], additive, name, "given ctDNA" if name == "PET" else "given PET")
        yield {**whole, **names, "METHOD": "cox_additive", **row}
    product = both.assign(PRODUCT=frame["PET"] * frame["DNA"])
    # All four groups must hold events for the ratio of ratios.
    cells = [frame["CELL"].eq(name).astype(float) for name in CELLS.values()]
    together = _fit_model(frame, product, cells, *asked)
    text = "ratio of the hazard ratios of PET with and without ctDNA"
    row = _term_row(product["PRODUCT"], together, "PRODUCT", text)
    yield {**whole, **_PRODUCT, "METHOD": "cox_interaction", **row}


class _Model(NamedTuple):
    """A fitted model or None, whether it is by Firth, and why it is, or why there is none."""

    found: pd.DataFrame | None
    firth: bool
    note: str


def _fit_model(
    frame: pd.DataFrame, covariates: pd.DataFrame, groups: list, endpoint: str, rules, plan_survival
) -> _Model:
    """Fit by the plan's estimator: Firth for its endpoints, with few events, and where there is no maximum.

    `groups` are the 0/1 columns whose two sides must each hold subjects and events; the cells of an
    interaction are such columns too.
    """
    why = _why_firth(frame, covariates, groups, endpoint, plan_survival)
    sizes = [int((group == side).sum()) for group in groups for side in (0, 1)]
    if min(sizes) < rules.min_prevalence_n:
        return _Model(None, bool(why), _listed(rules))
    arguments = {"alpha": rules.interval_alpha}
    if not why:
        try:
            found = cox(frame["time"], frame["event"], covariates, ties=plan_survival.ties_ml, **arguments)
            return _Model(found, False, "maximum likelihood, p of the likelihood ratio, profile limits")
        except NotEstimable:
            why = "maximum likelihood has no finite estimate"
    arguments |= {"penalty": "firth", "ties": plan_survival.ties_firth}
    try:
        found = cox(frame["time"], frame["event"], covariates, **arguments)
    except NotEstimable as error:
        return _Model(None, True, f"not estimable: {error}")
    return _Model(
        found, True, f"Firth penalty, as {why}; p of the penalised likelihood ratio, profile limits"
    )


def _why_firth(frame, covariates: pd.DataFrame, groups: list, endpoint: str, plan_survival) -> str:
    """Return why the plan has this model by Firth's penalty, or nothing; the rules of notebook 04."""
    if endpoint.startswith(tuple(plan_survival.firth_endpoints)):
        return f"the plan has {endpoint}"
    total, event = int(frame["event"].sum()), frame["event"].astype(bool)
    least = plan_survival.firth_min_group_events
    if total < plan_survival.firth_max_events:
        return f"there are fewer than {plan_survival.firth_max_events} events"
    if min(int((event & (group == side)).sum()) for group in groups for side in (0, 1)) < least:
        return f"a group has fewer than {least} events"
    if total < least * covariates.shape[1]:
        return f"{total} events carry {covariates.shape[1]} coefficients"
    return ""


def _term_row(marker: pd.Series, model: _Model, term: str, note: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"N_POS": int(marker.sum())}
    if model.found is None:
        return {**row, "TESTED": "N", "NOTE": model.note}
    return {**row, **_numbers(model.found, term), "NOTE": join_notes(note, model.note, _NO_Q)}


def _numbers(found: pd.DataFrame, term: str) -> dict[str, float]:
    line = found.set_index("term").loc[term]
    return {name.upper(): float(line[name]) for name in ("estimate", "lower", "upper", "p")}


def _listed(rules) -> str:
    return f"listed, not tested: fewer than {rules.min_prevalence_n} subjects in one group"


def _estimate_cells(frame: pd.DataFrame, rules) -> Iterator[dict[str, Any]]:
    """Hold three groups against the first, in one model of all groups that somebody is in."""
    sizes = frame["CELL"].value_counts().reindex(list(CELLS.values()), fill_value=0)
    events = frame.groupby("CELL")["event"].sum().reindex(sizes.index, fill_value=0)
    first, *others = sizes.index
    present = [name for name in others if sizes[name]]
    dummies = pd.DataFrame({name: frame["CELL"].eq(name).astype(float) for name in present}, frame.index)
    failure, found = "nobody in one of the two groups", None
    if present and sizes[first]:
        try:
            found = cox(frame["time"], frame["event"], dummies, penalty="firth", alpha=rules.interval_alpha)
        except NotEstimable as error:
            failure = str(error)
    for name in others:
        row = {"MARKER": name, "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA", "METHOD": "cox_firth"}
        row |= {"N_POS": int(sizes[name])}
        counts = (
            f"{events[name]:g} events in {sizes[name]}, against {events[first]:g} in {sizes[first]} {first}; "
            f"the reference: {sizes[first]} subjects, {events[first]:g} events"
        )
        if min(sizes[name], sizes[first]) < rules.min_prevalence_n:
            yield {**row, "TESTED": "N", "NOTE": join_notes(_listed(rules), counts)}
        elif found is None:
            yield {**row, "TESTED": "N", "NOTE": join_notes(f"not estimable: {failure}", counts)}
        else:
            note = "Firth penalty, p of the penalised likelihood ratio, profile limits"
            yield {**row, **_numbers(found, name), "NOTE": join_notes(counts, note, _NO_Q)}
