"""The decision rules the plan can name, the fallback, and the choice as a function of the margin."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.pilot.evidence import DECISION, contrast_of

# Rounding of floating point never decides: 12/30 exceeds 9/30 by ten points, not by more than ten.
_TOLERANCE = 1e-9


def exceeds(value, bound: float):
    """Tell whether a number is more than a bound, rounding apart; a missing number is not.

    Parameters
    ----------
    value : float or ndarray
        The number.
    bound : float
        The bound, in the same unit.

    Returns
    -------
    bool or ndarray of bool
        True where it is more.

    Examples
    --------
    >>> bool(exceeds(100 * (12 / 30 - 9 / 30), 10.0)), bool(exceeds(10.1, 10.0))
    (False, True)
    """
    return value > bound + _TOLERANCE


def reaches(value, bound: float):
    """Tell whether a number is at least a bound, rounding apart; a missing number is not.

    Parameters
    ----------
    value : float or ndarray
        The number.
    bound : float
        The bound, in the same unit.

    Returns
    -------
    bool or ndarray of bool
        True where it is as much or more.
    """
    return value >= bound - _TOLERANCE


def rule_choices(evidence: pd.DataFrame, plan: Plan) -> dict[str, str]:
    """Apply each decision rule of the plan; where a number is missing the earlier day stands.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; only the set DECISION is read.
    plan : Plan
        Sections design and pilot.

    Returns
    -------
    dict
        Rule to chosen day.
    """
    earlier, later = plan.design.followup_visits
    contrast = contrast_of(plan)
    reads = {
        "gain": value_of(evidence, "concordance", contrast),
        "gain_score": value_of(evidence, "gain_score", contrast),
        "gain_class": value_of(evidence, "gain_class", contrast),
        "agreement": value_of(evidence, "kappa", contrast),
        "support": value_of(evidence, "bootstrap_support", later),
    }
    return {rule: later if won else earlier for rule, won in later_wins(plan.pilot, **reads).items()}


def later_wins(rules, *, gain, gain_score, gain_class, agreement, support) -> dict:
    """Tell for each decision rule whether it takes the later day; without a number it does not.

    Parameters
    ----------
    rules : plan section
        Section pilot.
    gain, gain_score, gain_class : float or ndarray
        What the later day has more than the earlier: C, partial log-likelihood of the score, of the class.
    agreement : float or ndarray
        Kappa of the classes of the two days.
    support : float or ndarray
        Share of resamples in which the later day has the larger C.

    Returns
    -------
    dict
        Rule to bool, or to one bool a pilot.
    """
    # Comparisons with a missing number are false: the later day is never chosen without evidence.
    return {
        "margin": exceeds(gain, rules.margin),
        "max_concordance": exceeds(gain, 0),
        "max_partial_likelihood": exceeds(gain_score, 0),
        "bootstrap_support": reaches(support, rules.bootstrap_support),
        "agreement_first": exceeds(rules.kappa_min, agreement) & exceeds(gain_class, 0),
    }


def fallback_choice(evidence: pd.DataFrame, plan: Plan) -> str:
    """Choose without the endpoint: the earlier day, unless its scan is lacking clearly more often.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; ``missing_share`` of both days is read.
    plan : Plan
        Sections design and pilot.

    Returns
    -------
    str
        The chosen day.
    """
    earlier, later = plan.design.followup_visits
    excess = 100 * (value_of(evidence, "missing_share", earlier) - value_of(evidence, "missing_share", later))
    return later if exceeds(excess, plan.pilot.missing_points) else earlier


def tabulate_choices(evidence: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Tabulate what each rule reads, what it asks for, and the day it would take.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; only the set DECISION is read.
    plan : Plan
        Sections design, primary and pilot.

    Returns
    -------
    DataFrame
        RULE (the five rules, and the fallback), READS (in words, with its numbers), TIMEPOINT, PLAN (Y for
        the plan's rule).
    """
    choices = rule_choices(evidence, plan)
    rows = [
        (rule, reading_of(evidence, plan, rule), day, "Y" if rule == plan.pilot.rule else "N")
        for rule, day in choices.items()
    ]
    rows.append(("fallback", lacking_of(evidence, plan), fallback_choice(evidence, plan), "N"))
    return pd.DataFrame(rows, columns=["RULE", "READS", "TIMEPOINT", "PLAN"])


def choice_by_margin(evidence: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Tabulate the day the rule `margin` would take as a function of the margin.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; only the set DECISION is read.
    plan : Plan
        Sections design and pilot (`margins_shown`, and `margin` itself).

    Returns
    -------
    DataFrame
        MARGIN, TIMEPOINT, PLAN (Y at the plan's margin), by increasing margin.
    """
    earlier, later = plan.design.followup_visits
    gain = value_of(evidence, "concordance", contrast_of(plan))
    margins = sorted({*(float(margin) for margin in plan.pilot.margins_shown), float(plan.pilot.margin)})
    days = [later if exceeds(gain, margin) else earlier for margin in margins]
    table = pd.DataFrame({"MARGIN": margins, "TIMEPOINT": days})
    return table.assign(PLAN=np.where(table["MARGIN"].eq(plan.pilot.margin), "Y", "N"))


def value_of(evidence: pd.DataFrame, name: str, timepoint: str) -> float:
    """Return the estimate of one piece of evidence of the set DECISION; missing where there is none.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``.
    name, timepoint : str
        ITEM and TIMEPOINT; of several methods the first.

    Returns
    -------
    float
        The estimate.
    """
    asked = evidence["SET"].eq(DECISION) & evidence["ITEM"].eq(name) & evidence["TIMEPOINT"].eq(timepoint)
    found = evidence.loc[asked, "ESTIMATE"]
    return float(found.iloc[0]) if len(found) else float("nan")


def reading_of(evidence: pd.DataFrame, plan: Plan, rule: str) -> str:
    """Say what a rule reads, with the numbers of this evidence and what the rule asks for.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; only the set DECISION is read.
    plan : Plan
        Sections design and pilot.
    rule : str
        One of the five rules.

    Returns
    -------
    str
        Words for a table and for the decision's reason.
    """
    rules, (earlier, later) = plan.pilot, plan.design.followup_visits
    contrast = contrast_of(plan)
    gain = f"C of {later} minus C of {earlier} is {value_of(evidence, 'concordance', contrast):+.3f}"
    more = f"partial log-likelihood of the {{}}, {later} minus {earlier}, is {{:+.2f}}"
    support = 100 * value_of(evidence, "bootstrap_support", later)
    return {
        "margin": f"{gain} (margin {rules.margin:g})",
        "max_concordance": gain,
        "max_partial_likelihood": more.format("score", value_of(evidence, "gain_score", contrast)),
        "bootstrap_support": f"{later} has the larger C in {support:.0f} % of resamples "
        f"({100 * rules.bootstrap_support:g} % asked for)",
        "agreement_first": f"kappa is {value_of(evidence, 'kappa', contrast):.2f} "
        f"(below {rules.kappa_min:g} asked for), "
        f"{more.format('class', value_of(evidence, 'gain_class', contrast))}",
    }[rule]


def lacking_of(evidence: pd.DataFrame, plan: Plan) -> str:
    """Say how often each day's scan is lacking: what the fallback reads.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; only the set DECISION is read.
    plan : Plan
        Section design.

    Returns
    -------
    str
        Words for a table and for the decision's reason.
    """
    days = plan.design.followup_visits
    first, second = (100 * value_of(evidence, "missing_share", day) for day in days)
    return f"scans missing or not evaluable {first:.0f} % at {days[0]}, {second:.0f} % at {days[1]}"
