"""The sentences that state operating characteristics: five conclusions, then the numbers behind them."""

from __future__ import annotations

import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import number, percent
from analysis.tables.operating_days import say_days
from analysis.tables.operating_short import CHANCE, power_cost, say_short

_BY_SIZE = ("two_stage", "chosen", "fixed_earlier", "fixed_later")
_NAIVE = ("no_landmark", "start_of_treatment", "missing_as_nonresponse")


def say_operating(
    characteristics: pd.DataFrame,
    *,
    endpoint: str,
    alpha: float,
    needed: pd.DataFrame | None = None,
    expected: pd.DataFrame | None = None,
) -> str:
    """State what the simulated trials show, the conclusions first.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``; its first size is the planned one.
    endpoint : str
        PARAMCD of the primary endpoint.
    alpha : float
        Two-sided level.
    needed : DataFrame, optional
        From `operating.needed_size`, for the size a trial needs.
    expected : DataFrame, optional
        From `operating.expect_power`, for how Schoenfeld's formula does.

    Returns
    -------
    str
        Markdown: a paragraph of conclusions, then one a question; a question the table does not answer has
        none. Differences carry their Monte Carlo standard error (SE); for the others the largest is given.
    """
    own = characteristics[characteristics["ENDPOINT"].eq(endpoint)]
    said = [
        say_short(own, alpha, needed),
        _say_level(own, alpha),
        _say_choosing(own),
        _say_power(own),
        _say_formula(own, expected),
        _say_estimates(own),
        _say_biased(own),
        say_days(own),
        _say_few(characteristics),
        _say_errors(characteristics),
    ]
    return "\n\n".join(text for text in said if text)


def _say_level(own: pd.DataFrame, alpha: float) -> str:
    tests = words.select(own, "rejection", TRUTH=words.null_truths(own), METHOD=list(_BY_SIZE))
    parts = []
    for size, rows in tests.groupby("SIZE", sort=False):
        by = words.by_analysis(rows)
        said = [f"{_SHORT[code]} {words.share(by.loc[code])}" for code in _BY_SIZE if code in by.index]
        parts.append(f"{words.name_size(own, size, own['ENDPOINT'].iloc[0])}: {', '.join(said)}")
    if not parts:
        return ""
    trials = number(tests["TRIALS"].max(), 0)
    return (
        f"**Level.** Rejections without any effect, {percent(100 * alpha)} promised, {trials} trials a size. "
        "*Corrected* is the reported test, of pilot and extension combined; *uncorrected* analyses all "
        f"patients at the chosen day as if it had been fixed in advance. {words.sentences(parts)} The "
        "corrected test rejects only if both its hypotheses, the chosen day and either day, are rejected: it "
        "is conservative by construction."
    )


_SHORT = {
    "two_stage": "corrected",
    "chosen": "uncorrected",
    "fixed_earlier": "earlier day fixed in advance",
    "fixed_later": "later day fixed in advance",
}


def _say_choosing(own: pd.DataFrame) -> str:
    """State what the choice adds by rule and direction, and what its correction costs."""
    planned = words.planned(own)
    added = words.by_analysis(words.select(planned, "inflation"))
    if added.empty:
        return ""
    rules = [
        f"{words.name_analysis(rule)} {words.points(added.loc[rule])}"
        for rule in words.order_analyses(added.index)
    ]
    text = (
        "**What the choice adds** to the rejections without effect, in percentage points, against a day "
        f"taken by lot as often, on the same trials: {', '.join(rules)}."
    )
    sides = [words.by_analysis(words.select(planned, f"inflation_{side}")) for side in ("up", "down")]
    if all("PLAN" in by.index for by in sides):
        up, down = (words.points(by.loc["PLAN"]) for by in sides)
        text += f" Of the plan's rule {up} are with a hazard ratio above 1 and {down} with one below."
    cost = power_cost(own)
    if len(cost):
        points = lambda row: number(100 * row["ESTIMATE"], 1)
        text += f" The correction costs this many points of power: {words.span(cost, points)}."
    return text


def _say_power(own: pd.DataFrame) -> str:
    methods = ["two_stage", "fixed_earlier"]
    tests = words.select(own, "rejection", METHOD=methods, TRUTH=words.effects(own))
    said = []
    for size, rows in tests.groupby("SIZE", sort=False):
        cells = []
        for truth, of_truth in rows.groupby("TRUTH", sort=False):
            by, true = words.by_analysis(of_truth), words.true_ratios(own, truth, size)
            powers = [f"{_SHORT[code]} {words.share(by.loc[code])}" for code in methods if code in by.index]
            given = f" (true hazard ratio {true})" if true else ""
            cells.append(f"{truth}{given} {', '.join(powers)}")
        said.append(f"{words.name_size(own, size, own['ENDPOINT'].iloc[0])}: {'; '.join(cells)}")
    return f"**Power.** {words.sentences(said)}" if said else ""


def _say_formula(own: pd.DataFrame, expected: pd.DataFrame | None) -> str:
    """Compare Schoenfeld's formula, like for like, with the simulated tests of days fixed in advance."""
    if expected is None:
        return ""
    kept = expected["METHOD"].isin(["fixed_earlier", "fixed_later"]) & expected["TRUTH"].isin(
        words.effects(own)
    )
    rows = expected[kept & expected["ENDPOINT"].isin(own["ENDPOINT"])].dropna(subset=["FOUND", "SE"])
    rows = rows[rows["SE"].gt(0)]
    if rows.empty:
        return ""
    away = (rows["FOUND"] - rows["POWER"]).abs() / rows["SE"]
    far = rows.loc[away.idxmax()]
    text = (
        "**Formula.** Schoenfeld's formula, given the events, the true hazard ratio and the share of "
        f"non-responders, for a day fixed in advance: {int((away <= CHANCE).sum())} of {len(rows)} simulated "
        f"powers lie within {CHANCE} SE of it; the farthest, {number(away.max(), 1)} SE, is {far['TRUTH']}, "
        f"{far['SIZE']}, {_SHORT[far['METHOD']]}: {_beside(far)}."
    )
    first = rows[rows["TRUTH"].eq(words.effects(own)[0]) & rows["SIZE"].eq(rows["SIZE"].iloc[0])]
    near = [f"{_SHORT[row['METHOD']]} {_beside(row)}" for _, row in first.iterrows()]
    return (
        f"{text} {words.sentences(['; '.join([f'{words.effects(own)[0]}: {near[0]}', *near[1:]])])}"
        if near
        else text
    )


def _beside(row: pd.Series) -> str:
    return f"{percent(100 * row['FOUND'], 1)} simulated, {percent(100 * row['POWER'], 1)} by the formula"


def _say_estimates(own: pd.DataFrame) -> str:
    planned, said, lost = words.planned(own), [], [0.0]
    for code, rows in words.select(planned, "coverage").groupby("METHOD", sort=False):
        level = rows["TARGET"].iloc[0]
        lost.append(level - rows["ESTIMATE"].min())
        said.append(
            f"{words.name_analysis(code)}: {percent(100 * level)} intervals hold the truth in "
            f"{words.span(rows, words.share)} of trials"
        )
    cost = f"The choice of the day costs them at most {number(100 * max(lost), 1)} percentage points."
    text = f"**Intervals.** {words.sentences(said)} {cost}" if said else ""
    return "\n\n".join(part for part in (text, _say_selection(own)) if part)


def _say_selection(own: pd.DataFrame) -> str:
    planned = words.planned(own)
    codes = ["fixed_earlier", "chosen", "extension_only"]
    bias = words.select(planned, "bias", METHOD=codes)
    said = [
        f"{words.name_analysis(code)} {words.span(bias[bias['METHOD'].eq(code)], _bias)}"
        for code in words.order_analyses(bias["METHOD"])
    ]
    if not said:
        return ""
    truth = (words.effects(own) or [bias["TRUTH"].iloc[0]])[0]
    by = words.by_analysis(bias[bias["TRUTH"].eq(truth)])
    text = f"**Bias** of the ln hazard ratio, over the truths: {'; '.join(said)}."
    if {"chosen", "fixed_earlier"} <= set(by.index):
        text += (
            f" The chosen day's is of small samples and of selection: {truth} {_bias(by.loc['chosen'])}, of "
            f"which the earlier day fixed in advance has {_bias(by.loc['fixed_earlier'])} as well."
        )
    if "extension_only" in set(bias["METHOD"]):
        text += " The extension alone is free of the selection, not of the bias of small samples."
    return text


def _say_biased(own: pd.DataFrame) -> str:
    planned, null = words.planned(own), words.null_truths(own)
    bias = words.select(planned, "bias")
    tests = words.by_analysis(words.select(planned, "rejection", TRUTH=null))
    said = []
    for code in ("fixed_later", *_NAIVE):
        rows, parts = bias[bias["METHOD"].eq(code)], []
        parts += [f"rejects in {words.share(tests.loc[code])} without effect"] if code in tests.index else []
        parts += [f"bias {words.span(rows, _bias)}"] if len(rows) else []
        said += [f"{words.name_analysis(code)}: {', '.join(parts)}"] if parts else []
    said += [_say_best_cut(planned, tests)]
    text = words.sentences(said)
    if not text:
        return ""
    return (
        f"**What misleads** ({planned['SIZE'].iloc[0]}). The naive analyses are of the later day, and stand "
        f"beside that day fixed in advance. {text}{_say_landmark(bias)}"
    )


def _say_best_cut(planned: pd.DataFrame, tests: pd.DataFrame) -> str:
    typical = words.by_analysis(words.select(planned, "typical"))
    parts = [
        f"{words.name_analysis(code)}, rejects in {words.share(tests.loc[code])} without effect"
        for code in ("optimal_cut", "optimal_cut_corrected")
        if code in tests.index
    ]
    if {"optimal_cut", "fixed_earlier"} <= set(typical.index):
        best, fixed = (words.value(typical.loc[code]) for code in ("optimal_cut", "fixed_earlier"))
        parts.append(
            f"the hazard ratio of the best cut is typically {best} or its inverse without effect, that of a "
            f"day and cut fixed in advance {fixed} (a mean error would hide this: the two directions cancel, "
            "and it is taken against the ratio at the plan's cut)"
        )
    return "; ".join(parts)


def _say_landmark(bias: pd.DataFrame) -> str:
    """Say what time zero costs, where it costs less than counting a missing scan."""
    wide = bias.pivot_table(index="TRUTH", columns="METHOD", values="ESTIMATE")
    if not {"fixed_later", *_NAIVE} <= set(wide):
        return ""
    moved = wide[[*_NAIVE]].sub(wide["fixed_later"], axis=0).abs().max()
    if moved["no_landmark"] >= moved["missing_as_nonresponse"]:
        return ""
    return (
        f" Counting from treatment start moves the bias by at most {number(moved['no_landmark'], 3)}: the "
        "first assessment comes after the scans, and hardly anybody classified has an event before them. "
        "Counting a missing scan as non-response moves it by up to "
        f"{number(moved['missing_as_nonresponse'], 2)} (from treatment start "
        f"{number(moved['start_of_treatment'], 2)}); how far depends on how many patients with progression "
        "are not scanned, a share that is calibrated, not observed."
    )


def _say_few(characteristics: pd.DataFrame) -> str:
    """Compare the estimators where events are fewest."""
    events = words.select(characteristics, "events")
    lost = words.select(characteristics, "not_finite", METHOD=["cox_ml", "cox_firth"])
    cell = ["TRUTH", "SIZE", "ENDPOINT"]
    events = events[events["METHOD"].ne("decision")].groupby(cell, sort=False)["ESTIMATE"].first()
    known = [
        key for key in dict.fromkeys(lost[cell].itertuples(index=False, name=None)) if key in events.index
    ]
    if not known:
        return ""
    fewest = min(known, key=events.get)
    own = characteristics[(characteristics[cell] == fewest).all(axis=1)]
    said = []
    for code in ("cox_ml", "cox_firth"):
        parts = [
            f"{what} {write(rows.iloc[0])}"
            for quantity, what, write in (
                ("not_finite", "no finite estimate in", words.share),
                ("coverage", "intervals hold the truth in", words.share),
                ("rejection", "rejects in", words.share),
                ("bias", "bias of the finite ln hazard ratios", words.value),
            )
            if len(rows := words.select(own, quantity, METHOD=code))
        ]
        said.append(f"{words.name_analysis(code)}: {', '.join(parts)}")
    truth, size, endpoint = fewest
    return (
        f"**Few events.** {endpoint}, {truth}, {size}: {number(events[fewest], 0)} events on average. "
        f"{words.sentences(said)}"
    )


def _say_errors(characteristics: pd.DataFrame) -> str:
    rates = words.select(characteristics, "rejection")
    bias = words.select(characteristics, "bias")
    parts = [f"rates at most {number(100 * rates['SE'].max(), 1)} percentage points"] if len(rates) else []
    parts += [f"biases at most {number(bias['SE'].max(), 3)}"] if len(bias) else []
    return f"**Monte Carlo standard errors:** {', '.join(parts)}." if parts else ""


def _bias(row: pd.Series) -> str:
    return number(row["ESTIMATE"], 3)
