"""Dataset-JSON 1.1 (CDISC, 2024-12-05): one dataset as JSON, with labels, types and key.

References
----------
CDISC Dataset-JSON v1.1 specification: order of the attributes, data types; for ADaM a date is an ISO 8601
text whose ``targetDataType`` is integer.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd

from analysis.exchange.variables import (
    DATE_FORMAT,
    NO_CUTOFF,
    Variable,
    checked,
    dataset_label,
    iso_dates,
)

_DATA_TYPES = {"text": "string", "number": "float"}


def dataset_json(table: str, frame: pd.DataFrame, *, study: str, created: dt.date | None) -> bytes:
    """Return `frame` as Dataset-JSON 1.1: one row a line, UTF-8, missing values null.

    Numbers are written with as many digits as they need to be read back the same.

    Parameters
    ----------
    table : str
        Name of the table; its contract gives labels, types and key.
    frame : DataFrame
        As `contracts.check` returns it; may have no rows.
    study : str
        Identifier of the study.
    created : datetime.date or None
        Stamp of the file (00:00:00); 1960-01-01 where None.

    Raises
    ------
    ExchangeError
        See `variables.checked`.
    """
    found = checked(table, frame)
    name = table.upper()
    head = {
        "datasetJSONCreationDateTime": f"{created or NO_CUTOFF}T00:00:00",
        "datasetJSONVersion": "1.1.0",
        "studyOID": study,
        "itemGroupOID": f"IG.{name}",
        "records": len(frame),
        "name": name,
        "label": dataset_label(table),
        "columns": [_column(name, one, frame[one.name]) for one in found],
    }
    opened = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    cells = [_as_json(one, frame[one.name]) for one in found]
    rows = ",\n".join(f"[{','.join(row)}]" for row in zip(*cells))
    return f'{opened},\n "rows": [\n{rows}\n]\n}}\n'.encode()


def _column(dataset: str, one: Variable, values: pd.Series) -> dict[str, Any]:
    described: dict[str, Any] = {
        "itemOID": f"IT.{dataset}.{one.name}",
        "name": one.name,
        "label": one.label,
        "dataType": _DATA_TYPES.get(one.kind, one.kind),
    }
    if one.kind == "date":
        described |= {"targetDataType": "integer", "displayFormat": DATE_FORMAT}
    if one.kind == "text":
        described["length"] = max([1, *(len(str(text)) for text in values.dropna().unique())])
    if one.key is not None:
        described["keySequence"] = one.key
    return described


def _as_json(one: Variable, values: pd.Series) -> list[str]:
    """Return each value as JSON; every distinct one is turned once."""
    if one.kind == "date":
        values = iso_dates(values)
    places, distinct = pd.factorize(values)
    texts = [json.dumps(_plain(one, value), ensure_ascii=False) for value in distinct]
    texts.append("null")  # at place -1: missing
    return [texts[place] for place in places]


def _plain(one: Variable, value: Any) -> Any:
    plain = {"integer": int, "number": float, "boolean": bool}.get(one.kind, str)
    return plain(value)
