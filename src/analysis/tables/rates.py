"""The table of tumour response rates."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import proportion
from analysis.tables.words import label_of

_NEITHER = "NON-CR/NON-PD"  # the only class whose code is not its abbreviation in print
_POPULATIONS = {
    "TREATED": "All treated",
    "MEASURABLE": "With a target lesion",
    "EVALUABLE": "With a target lesion, assessed",
}


def tabulate_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """Write response rates as text: one line a rate and source, one column a population.

    Parameters
    ----------
    rates : DataFrame
        Contract ``response_rates``.

    Returns
    -------
    DataFrame
        Rate, Response (derived or reported), and for each population ``n/N (percent; interval)``.
    """
    populations = list(dict.fromkeys(rates["POPULATION"]))
    lines = []
    for (source, name), rows in rates.groupby(["SOURCE", "PARAM"], sort=False):
        by_population = rows.set_index("POPULATION")
        line = {"Rate": name.replace(_NEITHER, label_of(_NEITHER)), "Response": source.capitalize()}
        for population in populations:
            row = by_population.loc[population]
            limits = (100 * row["LOWER"], 100 * row["UPPER"])
            text = proportion(int(row["N_RESPONSE"]), int(row["N"]), *limits)
            line[_POPULATIONS.get(population, population)] = text
        lines.append(line)
    columns = ["Rate", "Response", *(_POPULATIONS.get(name, name) for name in populations)]
    return pd.DataFrame(lines, columns=columns)
