"""CSV as pandas writes it, byte for byte, in a fraction of the time on large tables."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_TEXT = pa.large_string()


def csv_bytes(frame: pd.DataFrame) -> bytes:
    r"""Return `frame` as CSV: header, dates as ``2014-02-11``, missing values empty, lines ending in ``\n``.

    The bytes are those of ``frame.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d")``; every
    distinct value is turned to text once, and the lines are joined column by column.
    """
    header = ",".join(_quote(str(name)) for name in frame.columns) + "\n"
    if len(frame) == 0:
        return header.encode()
    if frame.shape[1] < 2:  # a line that holds one missing value only is written as "", an exception
        return frame.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d").encode()
    columns = [_as_text(frame.iloc[:, place]) for place in range(frame.shape[1])]
    lines = pc.binary_join_element_wise(*columns, pa.scalar(",", _TEXT))
    ended = pc.binary_join_element_wise(lines, pa.scalar("", _TEXT), pa.scalar("\n", _TEXT))
    _, _, content = ended.buffers()
    return header.encode() + content.to_pybytes()[: pc.sum(pc.binary_length(ended)).as_py()]


def _as_text(values: pd.Series) -> pa.Array:
    """Return the fields of a column, quoted where they must be; missing is empty."""
    places, distinct = _distinct(values)
    fields = [_quote(text) for text in distinct]
    # the last one, at place -1, is "missing"
    taken = np.where(places < 0, len(fields), places)
    return pa.array([*fields, ""], _TEXT).take(pa.array(taken))


def _distinct(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        places, days = pd.factorize(values)
        return places, list(days.strftime("%Y-%m-%d"))
    if values.dtype == np.float64:
        # by their bits: -0.0 and 0.0 are equal, but not the same text
        places, bits = pd.factorize(values.to_numpy().view(np.int64))
        return np.where(values.isna(), -1, places), [repr(one) for one in bits.view(np.float64).tolist()]
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
        # mixed: 1 and True are equal, but not the same text
        return np.where(values.isna(), -1, np.arange(len(values))), [str(one) for one in values]
    places, distinct = pd.factorize(values)
    return places, [str(one) for one in np.asarray(distinct)]


def _quote(text: str) -> str:
    if not any(sign in text for sign in ',"\r\n'):
        return text
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([text, ""])  # its own rule, which newlines count
    return buffer.getvalue().removesuffix(",\n")
