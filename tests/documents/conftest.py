"""One small content model with every kind of part, and signs that each format gives a meaning of its own."""

import io

import pytest
from PIL import Image

NASTY = "#_%&{}\\$~^<>\"'*`[x](y)@| ≥ 2 − 3 – ∞ ρ µ"


@pytest.fixture
def nasty():
    return NASTY


@pytest.fixture
def table():
    return {
        "name": "Table 2",
        "title": ["Hazard ratios"],
        "columns": ["Analysis", "Events / n", "Hazard ratio (95 % CI)", "Role"],
        "rows": [
            {"kind": "group", "level": 0, "cells": ["PFS"]},
            {
                "kind": "row",
                "level": 1,
                "cells": ["Day 14", [["36", "e.0.EVENTS"], " / ", ["44", "e.0.N"]], [["1.72", "e.0.ESTIMATE"], " (0.83–3.90)"], "Primary"],
            },
            {"kind": "row", "level": 1, "cells": [NASTY, "36 / 44", "∞ (at least 2.79)", ""]},
            {"kind": "group", "level": 0, "cells": ["OS", "", "", ""]},
            {"kind": "row", "level": 0, "cells": ["Day 28", "9 / 14", "−0.49 (−0.70 to −0.21)", "Secondary"]},
        ],
        "notes": [["p of ", ["0.14", "e.0.P"], " is not corrected: ", NASTY]],
    }  # fmt: skip


@pytest.fixture
def content(table):
    wide = {
        "name": "Table 3", "title": ["Wide"], "notes": [],
        "columns": [f"Column {i}" for i in range(14)],
        "rows": [{"kind": "row", "level": 0, "cells": [f"{i}.{j:03d} (0.11–0.99)" for j in range(14)]} for i in range(90)],
    }  # fmt: skip
    figure = {
        "title": ["Curve"],
        "alt": "A line that falls.",
        "file": "figures/km",
        "width_mm": 85.0,
        "height_mm": 60.0,
    }
    return {
        "title": "A trial * of #things", "study": "Study X", "name": "x", "simulated": True,
        "scenario": {"name": "sensitivity-0a1b2c3d", "changes": [{"name": "response.cut_percent", "value": 15.0, "default": 25.0, "note": None}]},
        "question": "Does it fall?",
        "answers": [["Hazard ratio ", ["1.72", "pfs_hr"], ", ", NASTY]],
        "cards": [{"label": "PFS", "value": [["1.72", "pfs_hr"]], "detail": ["44 patients"]}],
        "sections": [
            {"id": "a", "title": "Survival", "paragraphs": [["A sentence with *stars*."]], "items": ["km", "table-2"]},
            {"id": "b", "title": "Empty chapter", "paragraphs": [], "items": []},
        ],
        "figures": {
            "km": figure | {"name": "Figure 1", "caption": ["Curve. It falls below ", ["50", "k.0"], " %: " + NASTY]},
            "tall": figure | {"name": "Figure 2", "caption": "Too tall.", "width_mm": 180.0, "height_mm": 400.0},
        },
        "tables": {"table-2": table, "table-3": wide},
        "not_applicable": [["Pilot", "no pilot in this study"]],
        "limits": ["It is small."],
        "colophon": [["analysis", "0.1.0"]],
    }  # fmt: skip


@pytest.fixture
def rasters():
    drawn = io.BytesIO()
    Image.new("RGB", (20, 14), "white").save(drawn, "PNG")
    return {"km": drawn.getvalue(), "tall": drawn.getvalue()}


@pytest.fixture
def vectors():
    line = '<path d="M 0 0 L 90 60" style="stroke:#000000"/>'
    head = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="60pt" viewBox="0 0 90 60">'
    return dict.fromkeys(("km", "tall"), f"{head}{line}</svg>".encode())
