"""The words a reader sees for the codes of the tables: the one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

GROUPS = {
    "all": "All patients",
    "RESPONDER": "Responder",
    "NON-RESPONDER": "Non-responder",
    "STABLE": "Stable",
    "PROGRESSOR": "Progressor",
    "CR": "Complete response",
    "PR": "Partial response",
    "SD": "Stable disease",
    "NON-CR/NON-PD": "Non-CR/non-PD",
    "PD": "Progressive disease",
    "NE": "Not evaluable",
    "MISSING": "Not assessed",
    "CMR": "Complete metabolic response",
    "PMR": "Partial metabolic response",
    "SMD": "Stable metabolic disease",
    "PMD": "Progressive metabolic disease",
    "I": "Class I",
    "II": "Class II",
    "III": "Class III",
    "IV": "Class IV",
    "LOW": "At or below the median",
    "HIGH": "Above the median",
    "NOT DETECTED": "ctDNA not detected",
    "DETECTED": "ctDNA detected",
}
METRICS = {
    "SUVMAX": "SUVmax",
    "SUVMEAN": "SUVmean",
    "SUVPEAK": "SUVpeak",
    "SUVPEAK2": "SUVpeak (exact sphere)",
    "SUVPEAK3": "SUVpeak (about the maximum)",
    "SULMAX": "SULmax",
    "SULMEAN": "SULmean",
    "SULPEAK": "SULpeak",
    "SUVMAXG": "SUVmax (glucose-corrected)",
    "SUVPEAKG": "SUVpeak (glucose-corrected)",
    "TLRMAX": "SUVmax over liver",
    "TLRPEAK": "SUVpeak over liver",
    "MTV41": "MTV (41 %)",
    "TLG41": "TLG (41 %)",
    "MTVP": "MTV (PERCIST threshold)",
    "TLGP": "TLG (PERCIST threshold)",
    "LONGDIAM": "Longest diameter of uptake",
    "LDIAM": "Longest diameter",
    "TMTV": "Total MTV (as drawn)",
    "TTLG": "Total TLG (as drawn)",
    "TMTV41": "Total MTV (41 %)",
    "TTLG41": "Total TLG (41 %)",
    "CTDNA": "ctDNA",
    "PCTCHANGE": "Change of uptake",
    "NONRESPONSE": "Non-response",
}
VISITS = {
    "D0": "Baseline",
    "D14": "Day 14",
    "D28": "Day 28",
    "PROG": "Progression",
    "UNSCHED": "Unscheduled",
    "EARLY": "Early time point",
}
RULES = {
    "any_resistant": "any resistant lesion",
    "all_respond": "all targets respond",
    "suvmax_hottest": "hottest lesion",
    "suvmax_sum": "sum of targets",
    "suvmax_mean": "mean over lesions",
    "dominance_count": "dominance by count",
    "dominance_volume": "dominance by volume",
    "eortc": "EORTC",
    "percist": "PERCIST",
    "percist5": "PERCIST, up to five lesions",
    "per_doubling": "per doubling",
    "median_split": "split at the median",
    "reported": "class as sent",
}
POPULATIONS = {
    "all_scans": "all computable pairs of scans",
    "fdg_evaluable": "FDG-evaluable patients",
    "comparable": "comparable pairs of scans",
    "on_drug": "on the drug before the scan",
}
LANDMARKS = {
    "scan": "from the scan",
    "fixed": "fixed landmark",
    "none": "no landmark",
    "time_dependent": "time-dependent",
}
ESTIMATORS = {
    "ML": "maximum likelihood",
    "FIRTH": "Firth",
    "KM": "Kaplan-Meier",
    "WEIBULL": "interval-censored Weibull",
    "PRIOR": "normal prior",
    "APPARENT": "apparent",
    "CORRECTED": "optimism-corrected",
}
VENDORS = {"SIEMENS": "Siemens", "GE": "GE", "PHILIPS": "Philips", "UNKNOWN": "unknown maker"}
ROLES = {
    "PRIMARY": "Primary",
    "SECONDARY": "Secondary",
    "SENSITIVITY": "Sensitivity",
    "EXPLORATORY": "Exploratory",
    "DESCRIPTIVE": "Descriptive",
}
REASONS = {
    "BASELINE_REFUSED": "baseline scan refused",
    "NO_BASELINE_SCAN": "no baseline scan",
    "NO_FOLLOWUP_SCAN": "no follow-up scan",
    "SCAN_REFUSED": "scan refused",
    "NO_LESION": "no lesion drawn",
    "NOT_FDG_EVALUABLE": "no FDG-evaluable lesion",
    "SCANS_NOT_COMPARABLE": "scans not comparable",
    "COMPARABILITY_UNKNOWN": "comparability unknown",
    "NEW_UNCONFIRMED": "new lesion not confirmed",
    "NO_BASELINE_LOAD": "no baseline load",
    "NO_TARGET_METRIC": "targets not ranked",
    "OFF_DRUG": "off the drug before the scan",
    "LESION_NOT_EVALUABLE": "a lesion not evaluable",
    "CLASS_MISSING": "no class sent",
    "CLASS_NOT_EVALUABLE": "class sent as not evaluable",
    "SUBJECT_NOT_IN_TABLE": "not in the table of classes",
}
_ALL = GROUPS | METRICS | VISITS | RULES | REASONS
# Rules that choose the day in the pilot.
PILOT_RULES = {
    "margin": "margin",
    "max_concordance": "larger C",
    "max_partial_likelihood": "larger partial likelihood",
    "bootstrap_support": "bootstrap support",
    "agreement_first": "agreement first",
}


def order_visits(found: Iterable[Any]) -> list[str]:
    """List the visits of `found` in their order; a study's own names stand before progression, by name.

    Examples
    --------
    >>> order_visits(["PROG", "MRI2", "D0", "MRI1", "D0"])
    ['D0', 'MRI1', 'MRI2', 'PROG']
    """
    there = {str(visit) for visit in found if isinstance(visit, str)}
    known = list(VISITS)
    last = known.index("PROG")
    own = sorted(there - set(known))
    return [visit for visit in [*known[:last], *own, *known[last:]] if visit in there]


def label_of(code: Any) -> str:
    """Return the words a reader sees for a class, metric, visit or rule; unknown codes stay as they are.

    Examples
    --------
    >>> label_of("SUVMAX"), label_of("D14"), label_of("anything")
    ('SUVmax', 'Day 14', 'anything')
    """
    return _ALL.get(str(code), str(code))


def phrase_of(code: Any) -> str:
    """Return the words for a code as they stand inside a sentence; abbreviations and unknown codes stay.

    Examples
    --------
    >>> phrase_of("D14"), phrase_of("MRI1"), phrase_of("LDIAM"), phrase_of("SUVMAX")
    ('day 14', 'MRI1', 'longest diameter', 'SUVmax')
    """
    label = label_of(code)
    return label if label == str(code) or label[1:2].isupper() else label[:1].lower() + label[1:]
