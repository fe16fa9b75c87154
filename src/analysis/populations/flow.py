"""Count populations, and the flow of patients through those that lie within one another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd


def count_populations(populations: pd.DataFrame) -> pd.DataFrame:
    """Count the subjects in and outside each population: POPULATION, N_IN, N_OUT, in the table's order."""
    inside = populations["INFL"].eq("Y").groupby(populations["POPULATION"], sort=False)
    return pd.DataFrame({"N_IN": inside.sum(), "N_OUT": inside.size() - inside.sum()}).reset_index()


def reasons_outside(populations: pd.DataFrame) -> pd.DataFrame:
    """Count the reasons of those outside: POPULATION, STEP, CODE, N, the most frequent first."""
    out = populations[populations["INFL"].eq("N")]
    counts = out.groupby(["POPULATION", "STEP", "CODE"]).size().rename("N").reset_index()
    order = {name: rank for rank, name in enumerate(populations["POPULATION"].unique())}
    counts["RANK"] = counts["POPULATION"].map(order)
    by = ["RANK", "N", "CODE", "STEP"]
    ordered = counts.sort_values(by, ascending=[True, False, True, True], ignore_index=True)
    return ordered.drop(columns="RANK")


def nest_populations(populations: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Choose those of `names`, ordered from wide to narrow, that contain one another and the last one.

    A population that does not contain the next one is no stage on the way to it: a patient treated without a
    registration record, or one analysed under a rule that reads lesions below the FDG threshold.
    """
    members = _members(populations)
    kept: list[str] = []
    for name in reversed([name for name in names if name in members]):
        if not kept or members[kept[0]] <= members[name]:
            kept.insert(0, name)
    return kept


def flow_from_populations(
    populations: pd.DataFrame,
    labels: Mapping[str, str],
    start: str,
    *,
    words: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count the flow of patients; every box is as large as the population it names.

    Parameters
    ----------
    populations : DataFrame
        As `derive_populations` returns.
    labels : mapping
        POPULATION -> what the patients are who belong to it, from wide to narrow. Stages that this study does
        not have, and those that do not contain the following ones (`nest_populations`), are left out. A stage
        that nobody left shares the box of the one before it; the last stands alone.
    start : str
        What the patients are at the start: everybody.
    words : mapping, optional
        CODE -> short reason; else the first clause of REASON.

    Returns
    -------
    tuple of DataFrame
        Stages (STAGE, N) and excluded (STAGE they were in, REASON, N; the most frequent reason first), as
        `figures.flow.plot_flow` draws them.
    """
    members = _members(populations)
    remaining = set(populations["USUBJID"])
    stages, excluded = [[start, len(remaining)]], []
    chain = nest_populations(populations, labels)
    for name in chain:
        outside = populations[populations["POPULATION"].eq(name) & populations["USUBJID"].isin(remaining)]
        outside = outside[outside["INFL"].eq("N")]
        if outside.empty and len(stages) > 1 and name != chain[-1]:
            stages[-1][0] = f"{stages[-1][0]}, {_lower(labels[name])}"
            continue
        texts = [(words or {}).get(c) or _first_clause(r) for c, r in zip(outside["CODE"], outside["REASON"])]
        # the box they leave may still get a longer name: its place stands for it until the end
        counts = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
        excluded += [(len(stages) - 1, text, count) for text, count in counts]
        remaining = members[name]
        stages.append([labels[name], len(remaining)])
    named = [(stages[place][0], text, count) for place, text, count in excluded]
    return pd.DataFrame(stages, columns=["STAGE", "N"]), pd.DataFrame(named, columns=["STAGE", "REASON", "N"])


def _members(populations: pd.DataFrame) -> dict[str, set[str]]:
    inside = populations[populations["INFL"].eq("Y")].groupby("POPULATION")["USUBJID"].agg(set).to_dict()
    return {name: inside.get(name, set()) for name in populations["POPULATION"].unique()}


def _first_clause(text: str) -> str:
    return re.split(r"[;:]|\. ", text, maxsplit=1)[0].strip().rstrip(".")


def _lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
