"""Relate markers to metabolic non-response, percent change, PFS and OS. Exploratory, every row of it.

Direction, always: alteration present against absent, detected against not detected. An odds ratio or hazard
ratio above 1, or a positive shift of the percent change, goes with resistance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.effects import Effect, estimate_fisher, estimate_hazard_ratio, estimate_shift
from analysis.biomarkers.multiplicity import bh, rank_scores, westfall_young
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED, select_visit
from analysis.contracts import contract_of
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.outcome import NotEstimable, to_time_event

COLUMNS = list(contract_of("estimates_biomarkers").columns)
METHODS = {
    "NONRESPONSE": "Fisher exact, conditional odds ratio",
    "PCTCHANGE": "Wilcoxon rank sum, Hodges-Lehmann shift (percentage points)",
    "PFS": "Cox, Firth penalty, profile limits",
    "OS": "Cox, Firth penalty, profile limits",
}
_PRESENT = {"MUT": {"MUTATED": 1.0, "WT": 0.0}, "CTDNA": {DETECTED: 1.0, NOT_DETECTED: 0.0}}
_CNA_MARKERS = {"AMP": "AMPLIFIED", "DEL": "DELETED"}


def assemble_outcomes(admr: pd.DataFrame, adtte: pd.DataFrame, *, endpoints: Iterable[str] = ("PFS", "OS")):
    """Put the outcomes of each subject side by side.

    Parameters
    ----------
    admr : DataFrame
        Rows of table admr of one visit, metric, rule and cut: at most one a subject.
    adtte : DataFrame
        Table adtte.
    endpoints : iterable of str
        Endpoints to take from adtte; one that the study lacks is left out.

    Returns
    -------
    DataFrame
        Index USUBJID, sorted: NONRESPONSE (1, 0, NaN for NE), PCTCHANGE (percent, from the score), and for
        each endpoint <E>_TIME (days), <E>_EVENT (1, 0), <E>_STARTDT, <E>_ADT.

    Raises
    ------
    ValueError
        ``ADMR_NOT_ONE`` if a subject has more than one row: name visit, metric, rule and cut first.
    """
    many = admr["USUBJID"][admr["USUBJID"].duplicated()].unique()
    if len(many):
        raise ValueError(
            f"ADMR_NOT_ONE: {len(many)} subjects have several rows; select one visit, metric, rule and cut"
        )
    response = admr.set_index("USUBJID")
    parts = [
        response["MRESP"].map({"NON-RESPONDER": 1.0, "RESPONDER": 0.0}).rename("NONRESPONSE"),
        (100.0 * np.expm1(response["SCORE"].astype(float))).rename("PCTCHANGE"),
    ]
    for endpoint in endpoints:
        rows = adtte[adtte["PARAMCD"] == endpoint]
        if len(rows):
            parts.append(_endpoint_columns(rows, endpoint))
    return pd.concat(parts, axis=1).sort_index().rename_axis("USUBJID")


def _endpoint_columns(rows: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    converted = to_time_event(rows).set_index("USUBJID")
    columns = converted[["time", "event", "STARTDT", "ADT"]].astype({"event": float})
    return columns.set_axis([f"{endpoint}_{name}" for name in ("TIME", "EVENT", "STARTDT", "ADT")], axis=1)


def select_markers(
    adbm: pd.DataFrame, *, partype: str = "MUT", samptypes: Iterable[str] | None = None, rules=None
) -> pd.DataFrame:
    """Select one baseline tumour sample a subject and return its markers.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    partype : {"MUT", "CNA"}
        Kind of alteration. Copy number gives two markers a gene: ``GENE_AMP`` and ``GENE_DEL``.
    samptypes : iterable of str, optional
        Sample types, the preferred first; the plan's ``sample_preference`` if None.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Subjects x markers, both sorted: 1 present, 0 absent, NaN not assessable.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    kept = preferred_rows(adbm, partype, samptypes=samptypes, rules=rules)
    if partype != "CNA":
        return _wide(kept.assign(VALUE=kept["AVALC"].map(_PRESENT[partype])))
    level = kept["AVALC"].where(kept["AVAL"].notna())
    parts = [
        kept.assign(
            PARAMCD=kept["PARAMCD"] + "_" + short, VALUE=level.eq(word).astype(float).where(level.notna())
        )
        for short, word in _CNA_MARKERS.items()
    ]
    return _wide(pd.concat(parts))


def preferred_rows(
    adbm: pd.DataFrame, partype: str, *, samptypes: Iterable[str] | None = None, rules=None
) -> pd.DataFrame:
    """Select the adbm rows of one baseline tumour sample a subject, by preferred type, then by identifier."""
    rules = plan.defaults().biomarkers if rules is None else rules
    preference = list(rules.sample_preference if samptypes is None else samptypes)
    baseline = (adbm["PARTYPE"] == partype) & (adbm["AVISIT"] == rules.baseline_visit)
    rows = adbm[baseline & adbm["SAMPTYPE"].isin(preference)]
    return rows[rows["SAMPLEID"].isin(_preferred_samples(rows, preference))]


def _preferred_samples(rows: pd.DataFrame, preference: list[str]) -> pd.Series:
    samples = rows[["USUBJID", "SAMPLEID", "SAMPTYPE"]].drop_duplicates()
    rank = samples["SAMPTYPE"].map({name: place for place, name in enumerate(preference)})
    ordered = samples.assign(RANK=rank).sort_values(["USUBJID", "RANK", "SAMPLEID"], kind="stable")
    return ordered.drop_duplicates("USUBJID")["SAMPLEID"]


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    table = rows.set_index(["USUBJID", "PARAMCD"])["VALUE"].unstack("PARAMCD")  # noqa: PD010
    return table.sort_index().sort_index(axis=1).astype(float).rename_axis(columns="MARKER")


def estimate_associations(
    markers: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    partype: str,
    samptype: str,
    rng: np.random.Generator,
    rules=None,
    note: str | None = None,
) -> pd.DataFrame:
    """Relate every marker to every outcome, the candidate tier first, each tier with its own error control.

    A marker with fewer than ``min_prevalence_n`` subjects in either group is listed with TESTED = N. A
    family, within which Q_BH and P_MAXT are adjusted, is the tested markers of one tier, one outcome and one
    call.

    Parameters
    ----------
    markers : DataFrame
        Subjects x markers: 1, 0, NaN (as `select_markers`).
    outcomes : DataFrame
        As `assemble_outcomes`.
    partype, samptype : str
        Kind of alteration and of sample, printed in the rows.
    rng : numpy Generator
        Source of the permutations.
    rules : Section, optional
        The plan's section ``biomarkers``.
    note : str, optional
        Note for every row.

    Returns
    -------
    DataFrame
        Rows of table estimates_biomarkers.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    tiers = {
        name: "CANDIDATE" if name.split("_")[0] in rules.candidate_genes or partype == "CTDNA" else "SCREEN"
        for name in markers.columns
    }
    parts = []
    for outcome in METHODS:
        known = _known_outcome(outcomes, outcome)
        if known is None:
            continue
        subjects = markers.index.intersection(known.index).sort_values()
        for tier in ("CANDIDATE", "SCREEN"):
            family = markers.loc[subjects, [name for name in markers.columns if tiers[name] == tier]]
            if len(family.columns) and len(subjects):
                rows = _estimate_family(family, known.loc[subjects], outcome, rng, rules)
                parts.append(rows.assign(OUTCOME=outcome, TIER=tier, METHOD=METHODS[outcome]))
    if not parts:
        return pd.DataFrame(columns=COLUMNS, dtype=object)
    table = _stack(parts).assign(PARTYPE=partype, SAMPTYPE=samptype, ROLE="EXPLORATORY")
    table["NOTE"] = [_join_notes(own, note) for own in table["NOTE"]]
    return table[COLUMNS]


def _known_outcome(outcomes: pd.DataFrame, outcome: str) -> pd.DataFrame | None:
    names = [outcome] if outcome in ("NONRESPONSE", "PCTCHANGE") else [f"{outcome}_TIME", f"{outcome}_EVENT"]
    if not set(names) <= set(outcomes.columns):
        return None
    return outcomes[names].dropna()


def _estimate_family(
    family: pd.DataFrame, outcome_values: pd.DataFrame, outcome: str, rng: np.random.Generator, rules
) -> pd.DataFrame:
    values = outcome_values.to_numpy(float)
    rows = [
        _estimate_row(name, family[name].to_numpy(float), values, outcome, rules) for name in family.columns
    ]
    table = pd.DataFrame(rows)
    table[["Q_BH", "P_MAXT"]] = np.nan
    tested = (table["TESTED"] == "Y").to_numpy()
    if tested.any():
        table.loc[tested, "Q_BH"] = bh(table.loc[tested, "P"])
        table.loc[tested, "P_MAXT"] = westfall_young(
            family.to_numpy(float).T[tested],
            _scores(values, outcome),
            n_permutations=rules.permutations,
            rng=rng,
        )
    return table


def _estimate_row(name: str, marker: np.ndarray, values: np.ndarray, outcome: str, rules) -> dict:
    known = np.isfinite(marker)
    marker, values = marker[known], values[known]
    n, n_pos = len(marker), int(marker.sum())
    effect, note = Effect(np.nan, np.nan, np.nan, np.nan), None
    tested = min(n_pos, n - n_pos) >= rules.min_prevalence_n
    if tested:
        try:
            effect = _ESTIMATORS[outcome](marker, values, rules.interval_alpha)
        except NotEstimable as error:
            tested, note = False, f"not estimable: {error}"
    else:
        note = f"listed, not tested: fewer than {rules.min_prevalence_n} subjects in one group"
    events = np.nan if outcome == "PCTCHANGE" else float(values[:, -1].sum())
    return {
        **{name.upper(): value for name, value in effect._asdict().items()},
        **{"MARKER": name, "N": n, "N_POS": n_pos, "EVENTS": events},
        **{"TESTED": "Y" if tested else "N", "NOTE": note},
    }


_ESTIMATORS: dict[str, Callable[[np.ndarray, np.ndarray, float], Effect]] = {
    "NONRESPONSE": lambda marker, values, alpha: estimate_fisher(marker, values[:, 0], alpha=alpha),
    "PCTCHANGE": lambda marker, values, alpha: estimate_shift(marker, values[:, 0], alpha=alpha),
    "PFS": lambda marker, values, alpha: estimate_hazard_ratio(
        marker, values[:, 0], values[:, 1] > 0, alpha=alpha
    ),
    "OS": lambda marker, values, alpha: estimate_hazard_ratio(
        marker, values[:, 0], values[:, 1] > 0, alpha=alpha
    ),
}


def _scores(values: np.ndarray, outcome: str) -> np.ndarray:
    if outcome == "NONRESPONSE":
        return values[:, 0]
    if outcome == "PCTCHANGE":
        return rank_scores(values[:, 0])
    return log_rank_scores(values[:, 0], values[:, 1] > 0)


def _stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
    # Row by row: in a concatenation an empty column of one frame changes the type of the whole.
    return pd.DataFrame([row for table in tables for row in table.to_dict("records")], columns=COLUMNS)


def _join_notes(*notes: str | None) -> str | None:
    kept = [note for note in notes if note]
    return "; ".join(kept) if kept else None


def landmark_outcomes(
    outcomes: pd.DataFrame, landmark: pd.Series
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Start the clock of every endpoint at each subject's landmark date.

    A subject enters if the date of event or censoring is after the landmark, strictly; time is ADT minus
    landmark, without the day that CDISC adds.

    Parameters
    ----------
    outcomes : DataFrame
        As `assemble_outcomes`.
    landmark : Series of datetime64
        Landmark date, index USUBJID; subjects without one are left out.

    Returns
    -------
    tuple
        The outcomes with <E>_TIME from the landmark (NaN for who is out), and for each endpoint the subjects
        out.

    Raises
    ------
    ValueError
        ``LANDMARK_UNDATED`` where an endpoint is given in days only.
    """
    dated = landmark.dropna()
    shifted = outcomes.loc[outcomes.index.intersection(dated.index)].copy()
    left_out: dict[str, list[str]] = {}
    for column in [name for name in shifted.columns if name.endswith("_TIME")]:
        endpoint = column.removesuffix("_TIME")
        undated = shifted[column].notna() & shifted[f"{endpoint}_ADT"].isna()
        if undated.any():
            raise ValueError(
                f"LANDMARK_UNDATED: {endpoint} of {int(undated.sum())} subjects has days but no date; "
                "a study without dates needs a fixed landmark in days"
            )
        days = (shifted[f"{endpoint}_ADT"] - dated.reindex(shifted.index)).dt.days.astype(float)
        out = days <= 0
        left_out[endpoint] = sorted(shifted.index[out])
        shifted[column] = days.where(~out)
    return shifted, left_out


def estimate_ctdna(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, rng: np.random.Generator, rules=None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Relate ctDNA at each visit to response and outcome: baseline from first dose, later from the draw.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes`.
    rng : numpy Generator
        Source of the permutations.
    rules : Section, optional
        The plan's section ``biomarkers``: ``ctdna_visits``.

    Returns
    -------
    tuple of DataFrame
        Rows of table estimates_biomarkers (MARKER ``CTDNA_<visit>``), Q_BH over the visits of one outcome;
        rows of the exclusions ledger for the subjects a landmark leaves out.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    tables, aside = [], []
    for visit in rules.ctdna_visits:
        draws = select_visit(adbm, visit)
        if draws.empty:
            continue
        detected = draws["AVALC"].map(_PRESENT["CTDNA"]).rename(f"CTDNA_{visit}").to_frame()
        own, note = outcomes, "time zero: first dose"
        if visit != rules.baseline_visit:
            own, left_out = landmark_outcomes(outcomes, draws["ADT"])
            note = f"time zero: date of the {visit} draw"
            aside += [_landmark_row(name, visit, end) for end, names in left_out.items() for name in names]
        tables.append(
            estimate_associations(
                detected, own, partype="CTDNA", samptype="PLASMA", rng=rng, rules=rules, note=note
            )
        )
    table = _stack(tables)
    # Each visit was a family of one above: the visits of one outcome are the family to adjust over.
    table["Q_BH"] = table.groupby("OUTCOME")["P"].transform(lambda p: bh(p.to_numpy(float)))
    # Other subjects at each visit: no permutation is common to them, so there is no maxT over the visits.
    table["P_MAXT"] = np.nan
    table.loc[~table["OUTCOME"].isin(["PFS", "OS"]) & (table["TESTED"] == "Y"), "NOTE"] = None
    columns = list(contract_of("exclusions_05").columns)
    return table, pd.DataFrame(aside, columns=columns, dtype=object)


def _landmark_row(subject: str, visit: str, endpoint: str) -> tuple:
    reason = (
        f"{endpoint}: event or end of follow-up on or before the {visit} draw; not in its landmark analysis"
    )
    return ("05", subject, visit, "subject", "BEFORE_LANDMARK", reason)
