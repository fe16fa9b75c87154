"""The clinical rules as a document: what is read, how PFS and OS are derived, what is asked of the data."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis import plan as plans
from analysis.clinical.queries import query_codes
from analysis.clinical.rule_table import rule_table
from analysis.clinical.sdtm import DOMAINS, OPTIONAL, REQUIRED, domains_needed

_HEAD = """# Clinical derivations: what is read, how PFS and OS follow, what is asked

Generated from the plan's defaults and the package by `python -m analysis.clinical`; a test holds
the two together. Every rule is a value of the plan, section `clinical`
(`src/analysis/plan_defaults.yaml`), with its reason and source; a study's file overrides it.
Notebook 01 shows the same tables with the study's own values.

"""
_CORRECTIONS = """## Corrections

A query never changes a value. `corrections.csv` (in the raw folder or its `sdtm/`) does, one cell a
line, with the columns domain, key, variable, old, new, reason, who, when:

```
domain,key,variable,old,new,reason,who,when
TR,USUBJID=S-014; TRSEQ=12,TRSTRESC,140,14,typed ten times too large,data manager,2016-03-02
DM,S-015,DTHDTC,,2015-11-20,death certificate,data manager,2016-03-02
```

The key names columns of the domain (`NAME=value; NAME=value`), or a subject (`S-015`), or a subject
and its sequence number (`S-014 12`). An old value that is not in the data, a record that is not
there or not the only one, a missing reason, name or date: all are listed, and nothing is applied.
What was applied is the table `corrections`.

"""


def clinical_text() -> str:
    """Return the document as Markdown."""
    parts = [_HEAD, _domains(), _CORRECTIONS]
    for rule_set in ("pearl", "admiralonco"):
        plan = plans.defaults().override({"clinical.endpoint_rules": rule_set})
        parts.append(_rules(rule_set, plan))
    codes = query_codes()
    note = "`clinical.query_severity` changes a severity."
    parts.append(f"## Queries\n\n{len(codes)} codes; {note}\n\n{_table(codes)}\n")
    return "".join(parts)


def _domains() -> str:
    needed = {}
    for rule_set in ("pearl", "admiralonco"):
        plan = plans.defaults().override({"clinical.endpoint_rules": rule_set})
        needed[rule_set] = domains_needed(plan.clinical)
    rows = [
        (
            name,
            ", ".join(sorted(rule_set for rule_set, domains in needed.items() if name in domains)) or "no",
            ", ".join(column.replace("|", " or ") for column in REQUIRED[name]),
            ", ".join(OPTIONAL[name]),
        )
        for name in DOMAINS
    ]
    table = pd.DataFrame(rows, columns=["domain", "needed by", "required columns", "used where present"])
    return (
        "## SDTM domains\n\n`sdtm/<domain>.{csv,csv.gz,xpt,sas7bdat,parquet,json,ndjson}` (Dataset-JSON "
        "1.1), names in any case.\nWith `response_source: reported`, `pearl` needs RS in place of TU and TR. "
        f"Other columns are left out with a note.\n\n{_table(table)}\n"
    )


def _rules(rule_set: str, plan: plans.Plan) -> str:
    rules = plan.clinical
    text = f"## Rule set `{rule_set}`\n\nRead from the top; the first row that applies wins.\n\n"
    for endpoint, spec in rules.tte_rules[rule_set]["endpoints"].items():
        text += f"### {endpoint}: {spec['param']}\n\n{_table(rule_table(plan, endpoint))}\n"
    variants = [
        (name, spec["param"], ", ".join(f"{key}: {value}" for key, value in spec["changes"].items()))
        for name, spec in rules.tte_sensitivity[rule_set].items()
    ]
    table = pd.DataFrame(variants, columns=["PARAMCD", "PARAM", "the switch it flips"])
    return text + f"### `adtte_sensitivity`\n\n{_table(table)}\n"


def _table(frame: pd.DataFrame) -> str:
    lines = [_line(frame.columns), _line("---" for _ in frame.columns)]
    lines += [_line(row) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
