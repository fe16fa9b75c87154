"""Prove that what a report prints agrees with values.json and with the tables, by a formatter of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pandas as pd

from analysis.numbers import Token, split

TEXTS = {"answers", "value", "detail", "paragraphs", "title", "caption", "cells", "notes"}


def check_agreement(content: dict, values: dict, derived_dir: Path) -> list[str]:
    """List what does not agree: a link without an entry, a cell that is another number, a number without link.

    Parameters
    ----------
    content, values : dict
        As ``content.json`` and ``values.json`` hold them.
    derived_dir : Path
        Where the tables lie.
    """
    wrong, tables = [], {}
    for said in said_in(content):
        for piece in [said] if isinstance(said, str) else said:
            if isinstance(piece, str):
                wrong += [f"no source: {one.text} in {piece!r}" for one in split(piece) if _is(one)]
            elif piece[1] not in values:
                wrong.append(f"no value {piece[1]!r} for {piece[0]!r}")
    for name, entry in values.items():
        if entry["kind"] == "cell" and entry["row"] is not None:
            table = entry["table"]
            if table not in tables:
                tables[table] = pd.read_parquet(derived_dir / f"{table}.parquet")
            cell = tables[table].iloc[entry["row"]][entry["column"]]
            if cell != entry["value"] and not (pd.isna(cell) and entry["value"] is None):
                wrong.append(f"{name}: the table holds {cell!r}, values.json {entry['value']!r}")
        wrong += [f"{name}: {text!r} is not {entry['value']!r}" for text in entry["texts"]
                  if not agrees(text, entry["value"])]  # fmt: skip
    return wrong


def said_in(node, under: str = "") -> Iterator[list | str]:
    """Yield every text of a content model that is made of pieces."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("colophon", "limits", "not_applicable"):
                yield from said_in(value, key)
    elif isinstance(node, list):
        pieces = node and all(isinstance(one, str) or _is_link(one) for one in node)
        if under in TEXTS and pieces:
            yield node
        else:
            for one in node:
                yield from said_in(one, under)


def agrees(text: str, value: object) -> bool:
    """Tell whether `text` is `value`, rounded half to even, as it is, in percent or turned in sign."""
    if isinstance(value, str):
        return text in value or text.lstrip("+−") in value
    digits = text.replace("−", "-").replace(",", "").lstrip("+")
    if digits[0] == "<":
        return value < Decimal(digits[1:])
    if digits[0] == ">":
        return value >= 0.995
    places, number = len(digits.partition(".")[2]), Decimal(float(value))
    forms = [number, 100 * number, 100 * (1 - number), -number]
    step = Decimal(1).scaleb(-places)
    rounded = [one.quantize(step, ROUND_HALF_EVEN) for one in forms]
    # 100 x is computed in floating point: a tie may fall to either side.
    near = [abs(one - Decimal(digits)) <= step / 2 * Decimal("1.000001") for one in forms]
    return Decimal(digits) in rounded or any(near) or (digits == "100" and number > 100)


def _is_link(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one)


def _is(one: object) -> bool:
    return isinstance(one, Token)


def check_folder(reports_dir: Path, derived_dir: Path) -> list[str]:
    """Check the report of a run; see `check_agreement`."""
    content = json.loads((reports_dir / "content.json").read_text(encoding="utf-8"))
    values = json.loads((derived_dir / "values.json").read_text(encoding="utf-8"))
    return check_agreement(content, values, derived_dir)
