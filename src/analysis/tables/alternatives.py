"""What a reader is shown of many hazard ratios: the main analysis, other models, and other choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.tables.estimates import is_effect, name_analyses
from analysis.tables.format import counted
from analysis.tables.words import ESTIMATORS, LANDMARKS

_SAME = ("TIMEPOINT", "METRIC", "RULE", "CUT", "POPULATION")
# Said in a label and worth a line only where other patients than those of the main analysis are analysed.
_BESIDE = ("unadjusted in the same", "unweighted ", "maximum likelihood, as", "posterior probability")
_NUMBERS = ["ESTIMATE", "LOWER", "UPPER"]


@dataclass(frozen=True)
class Alternatives:
    """Hazard ratios of one endpoint, sorted for a reader; every frame is named and begins with the main row.

    Attributes
    ----------
    models : DataFrame
        The main analysis; the same exposure and patients by another estimator, model or time zero.
    choices : DataFrame
        The main analysis; other populations, rules of the endpoint, cuts, days and, where the exposure is a
        metric, other metrics.
    same : int
        Choices left out because they give the main analysis' estimate and limits.
    not_estimable : int
        Alternatives left out because they could not be estimated.
    """

    models: pd.DataFrame
    choices: pd.DataFrame
    same: int
    not_estimable: int

    def note(self) -> str:
        """Say what is left out, as a sentence or two; empty where nothing is."""
        said = []
        if self.same:
            same = counted(self.same, "further choice")
            said.append(f"{same} with the same estimate and limits as the main analysis")
        if self.not_estimable:
            said.append(f"{self.not_estimable} that could not be estimated")
        return f"Not shown: {'; '.join(said)}." if said else ""


def list_alternatives(
    estimates: pd.DataFrame, endpoint: str, *, metrics: Sequence[str], names: Mapping[str, str]
) -> Alternatives:
    """Sort the hazard ratios of the exposure for a forest plot: at most a page each.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates; the endpoint's first row is its main analysis.
    endpoint : str
        PARAMCD; variants of its censoring rules begin with it.
    metrics : sequence of str
        Metrics that are shown; those of the main rule only, and splits at the median of the main metrics.
    names : mapping
        PARAMCD of a variant -> what it changes, in words.

    Returns
    -------
    Alternatives
        LABEL tells the rows apart.
    """
    main = estimates[estimates["ENDPOINT"].eq(endpoint)].iloc[0]
    rules = [main["RULE"], "median_split"] if main["RULE"] == "per_doubling" else [main["RULE"]]
    asked = is_effect(estimates) & estimates["ENDPOINT"].str.startswith(endpoint)
    rows = estimates[asked & estimates["RULE"].isin(rules) & estimates["METRIC"].isin(metrics)]
    known = rows["ESTIMATE"].notna() | (rows.index == main.name)
    rows, gone = rows[known], int((~known).sum())
    own = rows["ENDPOINT"].eq(endpoint)
    for name in _SAME:
        own &= rows[name].eq(main[name]) | (rows[name].isna() & pd.isna(main[name]))
    others, first = rows[~own], rows.index == main.name
    alike = np.isclose(
        others[_NUMBERS].to_numpy(float), main[_NUMBERS].to_numpy(float), rtol=1e-9, equal_nan=True
    ).all(axis=1)
    shown = pd.concat([rows[first], others[~alike]])
    return Alternatives(
        _named(rows[own], main, names, endpoint), _named(shown, main, names, endpoint), int(alike.sum()), gone
    )


def _named(rows: pd.DataFrame, main: pd.Series, names: Mapping[str, str], endpoint: str) -> pd.DataFrame:
    variant = rows["ENDPOINT"].where(rows["ENDPOINT"].ne(endpoint))
    short = [_shorten(label, rows["N"].iloc[k] == main["N"]) for k, label in enumerate(rows["LABEL"])]
    # A split at the median has a value of the metric for a cut, not a fall; its rule says where it splits.
    cuts = rows["CUT"].where(rows["RULE"].ne("median_split"))
    named = name_analyses(rows.assign(ENDPOINT=endpoint, LABEL=short, CUT=cuts))
    said = [text if pd.isna(code) else names.get(code, code) for code, text in zip(variant, named["LABEL"])]
    said = [text.removeprefix(", ") for text in said]
    return named.assign(LABEL=[_say_once(text[:1].upper() + text[1:]) for text in said])


def _say_once(text: str) -> str:
    """Take off how a row differs where its own label says so already."""
    for words in (*LANDMARKS.values(), *ESTIMATORS.values()):
        rest = text.removesuffix(f", {words}")
        text = rest if words.casefold() in rest.casefold() else text
    return text


def _shorten(label: str, same_patients: bool) -> str:
    parts = [part for part in label.split("; ") if not (same_patients and part.startswith(_BESIDE))]
    return "; ".join(part for part in parts if not part.startswith("median split"))
