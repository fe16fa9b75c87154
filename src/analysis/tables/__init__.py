"""Tables a reader meets: number formats in one place, table one, tables of estimates.

A table is a frame of ready text: what stands in the report, the notebook and the CSV is the same string.
"""

from analysis.tables.baseline import Characteristic, tabulate_baseline
from analysis.tables.estimates import (
    is_ratio,
    name_analyses,
    tabulate_biomarkers,
    tabulate_estimates,
    tabulate_values,
)
from analysis.tables.format import (
    count_percent,
    fall,
    interval,
    number,
    p_text,
    p_value,
    percent,
    proportion,
    ratio,
    signed_percent,
)
from analysis.tables.present import to_great_table, to_html, to_left
from analysis.tables.rates import tabulate_rates
from analysis.tables.sentences import say_main, say_medians, say_proportion
from analysis.tables.words import label_of

__all__ = [
    "Characteristic",
    "count_percent",
    "fall",
    "interval",
    "is_ratio",
    "label_of",
    "name_analyses",
    "number",
    "p_text",
    "p_value",
    "percent",
    "proportion",
    "ratio",
    "say_main",
    "say_medians",
    "say_proportion",
    "signed_percent",
    "tabulate_baseline",
    "tabulate_biomarkers",
    "tabulate_estimates",
    "tabulate_rates",
    "tabulate_values",
    "to_great_table",
    "to_html",
    "to_left",
]
