"""The table of Cox models of one endpoint: main, adjusted with every covariate, one at a time, stratified."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from analysis.tables.estimates import UNTESTED, write_estimate
from analysis.tables.format import MISSING, NothingToTabulate, p_value
from analysis.tables.words import ESTIMATORS, label_of

_SAME = ["POPULATION", "LANDMARK", "TIMEPOINT", "METRIC", "RULE", "CUT"]
_GROUPS = {
    "cox": "Exposure alone",
    "cox_adjusted": "Adjusted model",
    "cox_adjusted_one": "Adjusted for one covariate at a time",
    "cox_stratified": "Stratified",
}
_TESTED = {"cox": ", exposure alone;", "cox_adjusted": ", adjusted model;"}
_NOT_ESTIMABLE = re.compile(r"not estimable: ([^;]+)")
_UNKNOWN = re.compile(r"[A-Z0-9]+ is (not known in this study)")
_OTHER_DAY = "fixed landmark at "
_NOT_THE_TEST = "p of the Cox model, not the test"
_ESTIMATED_BY = {"ML": "maximum likelihood", "FIRTH": "Firth"}


def select_models(estimates: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Select the Cox models of the main comparison of an endpoint, and their tests of proportional hazards.

    The comparison is that of groups, and where the main exposure is a metric per doubling, that one too.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.

    Returns
    -------
    DataFrame
        Rows of methods cox, cox_adjusted, cox_adjusted_one, cox_stratified and ph_test, the main one first.
    """
    own = estimates[estimates["ENDPOINT"].eq(endpoint)]
    if own.empty:
        return own
    main = own.iloc[0]
    pairs = own[own["METHOD"].eq("cox") & own["REFERENCE"].notna() & own["METRIC"].eq(main["METRIC"])]
    firsts = [main] if pairs.empty else [main, pairs.iloc[0]]
    keep = pd.Series(False, index=own.index)
    for first in firsts:
        alike = [own[name].eq(first[name]) | (own[name].isna() & pd.isna(first[name])) for name in _SAME]
        keep |= pd.concat(alike, axis=1).all(axis=1)
    elsewhere = own["LABEL"].str.startswith(_OTHER_DAY)  # other fixed landmarks: alternatives, not models
    return own[keep & ~elsewhere & own["METHOD"].isin([*_GROUPS, "ph_test"])]


def tabulate_cox(estimates: pd.DataFrame, endpoint: str, *, level: int = 95) -> pd.DataFrame:
    """Tabulate the Cox models of the main comparison of an endpoint.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.
    level : int
        Confidence level, percent.

    Returns
    -------
    DataFrame
        Term, Events / n, Hazard ratio (.. % CI), p, PH test p: ready text, a block a model. What could not be
        estimated is left out; `note_cox` says why.

    Raises
    ------
    NothingToTabulate
        If no model of the endpoint was estimated.
    """
    models = select_models(estimates, endpoint)
    fitted = models[models["METHOD"].ne("ph_test") & models["ESTIMATE"].notna()]
    if fitted.empty:
        raise NothingToTabulate(f"no Cox model of {endpoint} was estimated: leave the table out and say why")
    tests = models[models["METHOD"].eq("ph_test") & models["P"].notna()]
    lines = []
    for method, name in _GROUPS.items():
        rows = fitted[fitted["METHOD"].eq(method)]
        if rows.empty:
            continue
        lines.append((f"{name}{_how(method, rows)}", "", "", "", ""))
        own = tests[tests["LABEL"].str.contains(_TESTED.get(method, "no test"), regex=False)]
        # A comparison is tested once: on its first line, whatever other estimators follow.
        first = ~rows.duplicated(["RULE", "CONTRAST"])
        lines += [
            _line(row, method, own if told else own.iloc[:0])
            for row, told in zip(rows.to_dict("records"), first)
        ]
        lines += _global(tests) if method == "cox_adjusted" else []
    heads = ["Term", "Events / n", f"Hazard ratio ({level} % CI)", "p", "Proportional hazards, p"]
    return pd.DataFrame(lines, columns=heads)


def note_cox(estimates: pd.DataFrame, endpoint: str) -> list[str]:
    """Say what the models leave open: not estimated and why, tested or only estimated.

    Returns
    -------
    list of str
        Notes for under the table; empty where there is nothing to say.
    """
    models = select_models(estimates, endpoint)
    missing: dict[str, list[str]] = {}
    for row in models[models["METHOD"].ne("ph_test")].to_dict("records"):
        why = _NOT_ESTIMABLE.search(str(row["LABEL"]))
        if why and pd.isna(row["ESTIMATE"]):
            said = _UNKNOWN.sub(r"\1", why[1])  # the code of a covariate is in its name already
            missing.setdefault(said, []).append(str(row["LABEL"]).split("; ")[0])
    notes = [f"Not estimable, {why}: {'; '.join(dict.fromkeys(names))}." for why, names in missing.items()]
    untested = models["LABEL"].str.contains(UNTESTED, regex=False).any()
    if models["LABEL"].str.contains(_NOT_THE_TEST, regex=False).any() and not untested:
        notes.append("p: of the Cox model; the test of the study is another one and stands with its result.")
    if untested:
        notes.append(f"{endpoint} is estimated only, not tested: no p is printed.")
    return notes


def _how(method: str, rows: pd.DataFrame) -> str:
    """Say how a block was estimated, where one way holds for all of it; strata too."""
    label = str(rows["LABEL"].iloc[0]).split("; ")[0]
    way = _ESTIMATED_BY.get(rows["ESTIMATOR"].iloc[0]) if len(set(rows["ESTIMATOR"])) == 1 else None
    strata = label.removeprefix("stratified") if method == "cox_stratified" else ""
    return strata + (f" ({way})" if way else "")


def _line(row: Mapping, method: str, tests: pd.DataFrame) -> tuple[str, ...]:
    test = tests[tests["CONTRAST"].eq(row["CONTRAST"]) & tests["RULE"].eq(row["RULE"])]
    return (
        _term(row, method),
        f"{row['EVENTS']:.0f} / {row['N']:.0f}",
        write_estimate(row),
        MISSING if UNTESTED in str(row["LABEL"]) else p_value(row["P"]),
        p_value(test["P"].iloc[0]) if len(test) else MISSING,
    )


def _term(row: Mapping, method: str) -> str:
    contrast = row["CONTRAST"]
    if method == "cox_adjusted_one":
        text = str(row["LABEL"]).split("; ")[0]
        return text[:1].upper() + text[1:]
    if pd.notna(row["REFERENCE"]):
        named = f"{label_of(contrast)} against {label_of(row['REFERENCE']).lower()}"
    elif row["RULE"] == "per_doubling" and contrast == "per doubling":
        named = f"{label_of(row['METRIC'])}, per doubling"
    else:
        named = contrast if contrast.startswith("ln(") else contrast[:1].upper() + contrast[1:]
    if method != "cox":
        return named
    ties = f", {str(row['TIES']).capitalize()} ties" if pd.notna(row["TIES"]) else ""
    return f"{named}: {ESTIMATORS.get(row['ESTIMATOR'], row['ESTIMATOR'])}{ties}"


def _global(tests: pd.DataFrame) -> list[tuple[str, ...]]:
    whole = tests[tests["CONTRAST"].eq("GLOBAL")]
    return [("All terms together", MISSING, MISSING, MISSING, p_value(p)) for p in whole["P"].head(1)]
