"""A hand-made table of operating characteristics: invented numbers in the shape of the contract."""

import pandas as pd

from analysis import contracts

TRUTHS = {
    "no effect": (1.0, 1.0),
    "weaker effect": (1.35, 1.3),
    "as planted": (1.75, 1.6),
    "stronger effect": (2.3, 2.1),
    "days equally good": (1.7, 1.7),
    "later day better": (1.5, 1.8),
}
SIZES = {
    "as planned": (44, 38),
    "64 patients": (58, 51),
    "120 patients": (110, 96),
    "short follow-up": (43, 28),
}
CELLS = [(truth, "as planned") for truth in TRUTHS] + [
    (truth, size) for size in list(SIZES)[1:] for truth in ("no effect", "as planted")
]
LEVEL = {
    "fixed_earlier": (0.049, 0.05), "fixed_later": (0.052, 0.05), "chosen": (0.064, None),
    "two_stage": (0.047, 0.05), "extension_only": (0.05, 0.05), "chosen_asymptotic": (0.072, None),
    "cox_ml": (0.07, None), "cox_firth": (0.062, None), "optimal_cut": (0.43, None),
    "optimal_cut_corrected": (0.043, 0.05), "start_of_treatment": (0.11, None),
    "missing_as_nonresponse": (0.09, None),
}  # fmt: skip
BIAS = {
    "fixed_earlier": 0.01, "fixed_later": 0.0, "chosen": 0.04, "extension_only": 0.02, "cox_firth": 0.03,
    "optimal_cut": 0.35, "start_of_treatment": 0.2, "missing_as_nonresponse": 0.1, "no_landmark": -0.05,
}  # fmt: skip
RULES = (
    "margin",
    "max_concordance",
    "max_partial_likelihood",
    "bootstrap_support",
    "agreement_first",
    "PLAN",
)
# What the choice adds to the rejections without effect: in all, above 1, below 1.
ADDED = {
    "margin": (0.002, 0.005, -0.003),
    "agreement_first": (0.014, 0.01, 0.004),
    "PLAN": (0.001, 0.006, -0.005),
}
ENROLLED = {"as planned": 48, "64 patients": 64, "120 patients": 120, "short follow-up": 48}
TRIALS = 2000


def characteristics(cells=CELLS):
    """Return the table for `cells` of (truth, size)."""
    rows = [row for truth, size in cells for row in _cell(truth, size)]
    return pd.DataFrame(rows, columns=list(contracts.CONTRACTS["operating_characteristics"].columns))


def _cell(truth, size):
    null, ratios = truth == "no effect", TRUTHS[truth]
    patients, events = SIZES[size]
    for endpoint, share in (("PFS", 1.0), ("OS", 0.35)):
        for day, ratio in zip(("D14", "D28"), ratios, strict=True):
            yield _row(truth, size, endpoint, "truth", day, ratio, 0.003)
            yield _row(truth, size, endpoint, "patients", day, patients, 0.05)
            yield _row(truth, size, endpoint, "events", day, round(events * share), 0.1)
            if endpoint == "PFS":
                yield _row(truth, size, endpoint, "nonresponse", day, 0.66, 0.002)
        own = [*LEVEL] if endpoint == "PFS" else ["chosen", "two_stage", "cox_ml", "cox_firth"]
        for method in own:
            level, target = LEVEL[method]
            power = level if null else min(0.95, level + 0.7 * (ratios[0] - 1) * (events * share / 38))
            yield _rate(truth, size, endpoint, "rejection", method, power, target if null else None)
        for method in ("cox_ml", "cox_firth"):
            covered = 0.945 if method == "cox_ml" else 0.952
            yield _rate(truth, size, endpoint, "coverage", method, covered, 0.95)
            lost = 0.0 if endpoint == "PFS" or method == "cox_firth" else 0.03
            yield _rate(truth, size, endpoint, "not_finite", method, lost, None)
        for method, bias in BIAS.items():
            if endpoint == "PFS" or method in ("chosen", "cox_firth"):
                wide = 1.0 if endpoint == "PFS" else 1.8
                yield _row(truth, size, endpoint, "bias", method, bias * wide, 0.008 * wide, 0.0)
                yield _row(truth, size, endpoint, "estimate", method, ratios[0] * (1 + bias), 0.01)
    yield _row(truth, size, "PFS", "events", "decision", 17.0, 0.1)
    yield _row(truth, size, "PFS", "enrolled", "all", ENROLLED[size], None)
    yield _rate(truth, size, "PFS", "fallback", "PLAN", 0.4 if size == "120 patients" else 0.2, None)
    if null:
        for rule, added in ADDED.items():
            for quantity, more in zip(("inflation", "inflation_up", "inflation_down"), added, strict=True):
                yield _row(truth, size, "PFS", quantity, rule, more, 0.002)
        for method, ratio in (("fixed_earlier", 1.3), ("chosen", 1.31), ("optimal_cut", 2.1)):
            yield _row(truth, size, "PFS", "typical", method, ratio, 0.01)
    for k, rule in enumerate(RULES):
        for ending, more in (("", 0.0), ("_mature", 0.05)):
            later = (0.2 if ratios[0] > ratios[1] else 0.5) + 0.03 * k + more
            yield _rate(truth, size, "PFS", "later_day", rule + ending, later, None)
            if ratios[0] != ratios[1]:
                better = later if ratios[1] > ratios[0] else 1 - later
                yield _rate(truth, size, "PFS", "better_day", rule + ending, better, None)


def _rate(truth, size, endpoint, quantity, method, value, target):
    return _row(truth, size, endpoint, quantity, method, value, (value * (1 - value) / TRIALS) ** 0.5, target)


def _row(truth, size, endpoint, quantity, method, value, error, target=None):
    return (truth, size, endpoint, quantity, method, value, error, target, TRIALS, f"{quantity}, {method}")


def needed():
    """Return the sizes whole trials need: invented, in the shape of `operating.needed_size`."""
    rows = [
        ("as planted", "two_stage", 1.75, 0.8, 141.0, 4.0, 150.0, 110.0),
        ("as planted", "fixed_earlier", 1.75, 0.8, 94.0, 2.0, 100.0, 110.0),
    ]
    names = ["TRUTH", "METHOD", "HR", "POWER", "PATIENTS", "SE", "ENROLLED", "LARGEST"]
    return pd.DataFrame(rows, columns=names)


def expected():
    """Return what the formula expects: invented, in the shape of `operating.expect_power`."""
    rows = [
        ("as planted", "as planned", "PFS", "fixed_earlier", 1.75, 0.48, 0.482, 0.011),
        ("as planted", "as planned", "PFS", "fixed_later", 1.6, 0.40, 0.43, 0.01),
        ("no effect", "as planned", "PFS", "fixed_later", 1.01, 0.05, 0.09, 0.005),
        ("as planted", "as planned", "PFS", "chosen", 1.7, 0.45, 0.6, 0.01),
    ]
    return pd.DataFrame(rows, columns=["TRUTH", "SIZE", "ENDPOINT", "METHOD", "HR", "POWER", "FOUND", "SE"])


def planning():
    """Return a table of planning: invented, in the shape of the contract."""
    rows = []
    for ratio, events, patients, found in (
        (1.5, 215, 249, 0.784), (2.0, 74, 87, 0.768), (2.5, 43, 51, 0.760), (3.0, 30, 36, 0.740),
    ):  # fmt: skip
        given = (ratio, 0.667, 24.0, 6.0, 4.0)
        rows.append((*given, "schoenfeld", 0.8, events, patients, None, None, None))
        rows.append((*given, "simulation", 0.8, events + 6, patients + 7, found, 0.0066, 4000))
        rows.append((*given, "simulation_grid", 0.8, events + 6, patients + 9, found - 0.006, 0.0067, 4000))
    names = list(contracts.CONTRACTS["planning"].columns)
    return pd.DataFrame(rows, columns=names)
