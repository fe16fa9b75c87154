"""Analysis datasets for exchange: SAS transport files with labels (XPT version 5), Dataset-JSON 1.1, CSV.

Every writer returns bytes and takes the date it stamps: the same table gives the same file on every run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import pandas as pd

from analysis.exchange.csvfile import csv_bytes
from analysis.exchange.datasetjson import dataset_json
from analysis.exchange.variables import DATASETS, ExchangeError, Variable, dataset_label, variables
from analysis.exchange.xpt import xpt_bytes

__all__ = [
    "DATASETS",
    "FORMATS",
    "ExchangeError",
    "Variable",
    "csv_bytes",
    "cutoff",
    "dataset_json",
    "dataset_label",
    "twins",
    "variables",
    "xpt_bytes",
]

_WRITERS: dict[str, Callable[[str, pd.DataFrame, str, dt.date | None], bytes]] = {
    "xpt": lambda table, frame, study, created: xpt_bytes(table, frame, created=created),
    "json": lambda table, frame, study, created: dataset_json(table, frame, study=study, created=created),
}

FORMATS = tuple(_WRITERS)


def twins(
    table: str, frame: pd.DataFrame, formats: Sequence[str], *, study: str, created: dt.date | None
) -> dict[str, bytes]:
    """Return the files for exchange of one table: file name -> content; none for a table not in `DATASETS`.

    Parameters
    ----------
    table, frame : str, DataFrame
        Name and content, as `contracts.check` returns it.
    formats : sequence of str
        ``xpt`` and ``json``, the plan's ``design.exchange_formats``.
    study : str
        Name of the study (Dataset-JSON names it).
    created : datetime.date or None
        Stamp of the files: the data cut-off, see `cutoff`.

    Raises
    ------
    ExchangeError
        If a value cannot be held by a format, or a format is unknown.
    """
    unknown = sorted(set(formats) - set(_WRITERS))
    if unknown:
        raise ExchangeError("FORMAT_UNKNOWN", table, f"no format {unknown}; known: {sorted(_WRITERS)}")
    wanted = [kind for kind in _WRITERS if kind in formats] if table in DATASETS else []
    return {f"{table}.{kind}": _WRITERS[kind](table, frame, study, created) for kind in wanted}


def cutoff(adsl: pd.DataFrame | None) -> dt.date | None:
    """Return the date the files are stamped with: the data cut-off, the latest ADSL.DCUTDT.

    None where there is no ADSL, or it names none: the files then carry 1960-01-01, day zero of SAS.
    """
    dates = pd.Series(dtype="datetime64[ns]") if adsl is None else adsl["DCUTDT"].dropna()
    return dates.max().date() if len(dates) else None
