"""All text of an executed notebook: sources, outputs, metadata, attachments and pictures."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from analysis.privacy.formats import Contents, FormatRefused, decode_base64, name_of, read, walk_json


def read_notebook(content: Any, depth: int = 0) -> Contents:
    """Read a notebook given as parsed JSON.

    Raises
    ------
    FormatRefused
        If it is no notebook, or an output is of a kind that cannot be read.
    """
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise FormatRefused("FORMAT", "the file", "no notebook: it has no list of cells")
    found = Contents("ipynb")
    walk_json(found, "notebook", {key: value for key, value in content.items() if key != "cells"}, depth)
    for number, cell in enumerate(content["cells"]):
        where = f"cell {number}"
        _read_lines(found, f"{where} source", cell.get("source", ""))
        for name, attachment in cell.get("attachments", {}).items():
            _read_bundle(found, f"{where} attachment {name}", attachment, depth)
        _read_streams(found, where, cell.get("outputs", []))
        for place, output in enumerate(cell.get("outputs", [])):
            _read_output(found, f"{where} output {place}", output, depth)
        rest = {key: value for key, value in cell.items() if key not in {"source", "attachments", "outputs"}}
        walk_json(found, where, rest, depth)
    return found


def _read_output(found: Contents, where: str, output: dict[str, Any], depth: int) -> None:
    _read_lines(found, where, output.get("text", ""))
    lines = output.get("traceback", [])
    _read_lines(found, f"{where} traceback", lines if isinstance(lines, str) else "\n".join(lines))
    if len(lines) > 1 and not isinstance(lines, str):
        _read_lines(found, f"{where} traceback", lines)
    _read_bundle(found, where, output.get("data", {}), depth)
    rest = {key: value for key, value in output.items() if key not in {"text", "traceback", "data"}}
    walk_json(found, where, rest, depth)


def _read_streams(found: Contents, where: str, outputs: list[dict[str, Any]]) -> None:
    """Read what streams of one name wrote in a row as the one text it is shown as."""
    for name, group in groupby(outputs, key=lambda output: output.get("name")):
        texts = ["".join(output.get("text", "")) for output in group]
        if name and len(texts) > 1:
            _read_lines(found, f"{where} {name}", texts)


def _read_bundle(found: Contents, where: str, bundle: dict[str, Any], depth: int) -> None:
    for mime, value in bundle.items():
        if isinstance(value, dict) or mime.endswith("json"):
            walk_json(found, f"{where} {mime}", value, depth)
            continue
        text = "".join(value)
        written = mime.startswith("text/") or mime.endswith(("xml", "javascript"))
        body = text.encode() if written else decode_base64(text)
        found.include(f"{where} {mime}", read(name_of(mime), body, depth + 1))


def _read_lines(found: Contents, where: str, text: str | list[str]) -> None:
    whole = text if isinstance(text, str) else "".join(text)
    found.add([(f"{where} line {number}", line) for number, line in enumerate(whole.splitlines(), start=1)])
