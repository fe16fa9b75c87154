"""The analysis plan: every threshold, rule and window, each with its unit, reason and source.

A default stands once, in ``plan_defaults.yaml``. A study's file under ``config/`` holds only what differs.
Names and types are taken from the defaults: an unknown name or a value of another type is refused.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

_LEAF_KEYS = {"value", "unit", "reason", "source", "choices", "type", "min", "max"}


class PlanError(ValueError):
    """A plan that cannot be used: an unknown name, a value of another type or out of its range."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML as it is, but a name that stands twice is refused: the plain loader silently keeps the last."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice; keep one", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Section:
    """Values of one section of the plan, by attribute; tab completion lists them."""

    def __init__(self, name: str, values: Mapping[str, Any]):
        self.__dict__.update(values)
        self.__dict__["_name"] = name

    def __setattr__(self, key: str, value: Any) -> None:
        raise PlanError(f"the plan is fixed once loaded; override {self._name}.{key} when loading it")

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        known = [name for name in self.__dict__ if not name.startswith("_")]
        raise AttributeError(f"plan section {self._name!r} has no value {key!r}{_suggest(key, known)}")

    def __repr__(self) -> str:
        return f"Section({self._name}: {', '.join(sorted(self.to_dict()))})"

    def to_dict(self) -> dict[str, Any]:
        """Return the values of this section as a plain dictionary."""
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}


@dataclass(frozen=True)
class Plan:
    """One study's analysis plan: the defaults, what its file overrides, and what a scenario overrides.

    Attributes
    ----------
    study : str
        Name of the study; also the name of its folders under ``data/`` and ``reports/``.
    values : dict
        ``"section.name" -> value`` for every value of the plan.
    changed : dict
        Values the study's file sets, with its reasons: ``"section.name" -> reason``.
    overrides : dict
        Values a scenario or a notebook parameter sets on top: these make a run a sensitivity analysis.
    """

    study: str
    values: dict[str, Any]
    changed: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Section:
        if name.startswith("_") or name in {"study", "values", "changed", "overrides"}:
            raise AttributeError(name)
        prefix = name + "."
        inside = {key[len(prefix) :]: value for key, value in self.values.items() if key.startswith(prefix)}
        if not inside:
            raise AttributeError(f"the plan has no section {name!r}{_suggest(name, self.sections())}")
        return Section(name, inside)

    def sections(self) -> list[str]:
        """List the names of the plan's sections, in the order of the defaults file."""
        return list(dict.fromkeys(key.split(".", 1)[0] for key in self.values))

    def override(self, changes: Mapping[str, Any]) -> Plan:
        """Return a plan with `changes` (``"section.name" -> value``) on top; None means "the plan's value".

        A change equal to the plan's own value is no change: it does not make a sensitivity analysis.
        """
        checked = {key: _check(key, value) for key, value in changes.items() if value is not None}
        real = {key: value for key, value in checked.items() if value != self.values[key]}
        _check_timepoint({**self.values, **real})
        return Plan(self.study, {**self.values, **real}, self.changed, {**self.overrides, **real})

    def settle(self, key: str, value: Any, reason: str) -> Plan:
        """Return the plan with a value the data decide, as if the study's file had given it with `reason`."""
        values = {**self.values, key: _check(key, value)}
        return Plan(self.study, values, {**self.changed, key: reason}, self.overrides)

    def restrict(self, sections: Iterable[str]) -> Plan:
        """Return the plan with only `sections`: a step reads nothing it has not declared."""
        keep = set(sections)
        missing = keep - set(self.sections())
        if missing:
            raise PlanError(f"the plan has no section {sorted(missing)}")
        inside = {key: value for key, value in self.values.items() if key.split(".", 1)[0] in keep}
        return Plan(self.study, inside, self.changed, self.overrides)

    def digest(self, sections: Iterable[str] | None = None) -> str:
        """Hash the values of `sections` (all by default): the same values give the same eight hex digits."""
        chosen = self if sections is None else self.restrict(sections)
        text = json.dumps(chosen.values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def describe(self, sections: Iterable[str] | None = None):
        """Tabulate the plan: name, value, unit, origin (default, study, override), reason and source."""
        import pandas as pd

        wanted = set(self.sections() if sections is None else sections)
        rows = []
        for key, value in self.values.items():
            if key.split(".", 1)[0] not in wanted:
                continue
            leaf = _leaves()[key]
            origin = "override" if key in self.overrides else "study" if key in self.changed else "default"
            reason = self.changed.get(key) or leaf.get("reason", "")
            reason = "asked for in this run: a sensitivity analysis" if origin == "override" else reason
            rows.append((key, value, leaf.get("unit") or "", origin, reason, leaf.get("source", "")))
        return pd.DataFrame(rows, columns=["name", "value", "unit", "origin", "reason", "source"])


def load(study: str = "virtual", plan_file: str | Path | None = None) -> Plan:
    """Load the plan of `study` from `plan_file`, or the defaults alone if there is no file.

    Parameters
    ----------
    study : str
        Name of the study; must equal the name in the file.
    plan_file : path, optional
        YAML with ``study: NAME`` and any of ``section: {name: value}`` or
        ``section: {name: {value: ..., reason: ...}}``.

    Raises
    ------
    PlanError
        For an unknown section or name (with the nearest known one), a value of another type, outside its
        choices or its range, or a file of another study.
    """
    values = {key: leaf["value"] for key, leaf in _leaves().items()}
    if plan_file is None:
        return Plan(study, values)
    path = Path(plan_file)
    content = _read(path, study)
    if content["study"] != study:
        raise PlanError(f"{path.name} is the plan of study {content['study']!r}, not of {study!r}")
    given = {key: section for key, section in content.items() if key != "study"}
    changed: dict[str, str] = {}
    for key, value, reason in _flatten(given, path.name):
        values[key] = _check(key, value)
        changed[key] = reason
    for scenario, changes in values["scenarios.list"].items():
        if not isinstance(changes, Mapping):
            raise PlanError(f"{path.name}: scenario {scenario!r} must hold 'section.name: value' lines")
        for key, value in changes.items():
            _check(key, value)
    _check_timepoint(values)
    return Plan(study, values, changed)


def study_of(plan_file: str | Path) -> str:
    """Return the name of the study a plan file is for."""
    return _read(Path(plan_file), "NAME")["study"]


def _read(path: Path, study: str) -> dict[str, Any]:
    if not path.is_file():
        raise PlanError(
            f"no plan file {path.name!r} under {path.parent.name!r}; a minimal one is 'study: {study}'"
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "see its indentation and brackets"
        raise PlanError(f"{path.name} is no valid YAML{where}: {what}") from error
    if not isinstance(content, dict) or not isinstance(content.get("study"), str):
        raise PlanError(f"{path.name} needs a first line 'study: NAME'")
    return content


def defaults() -> Plan:
    """Return the plan with every value at its documented default."""
    return load("defaults")


def _flatten(content: Mapping[str, Any], file: str):
    names = {key.split(".", 1)[0] for key in _leaves()}
    for section, inside in content.items():
        if section not in names:
            raise PlanError(f"{file}: unknown section {section!r}{_suggest(section, names)}")
        if not isinstance(inside, Mapping):
            raise PlanError(f"{file}: section {section!r} must hold 'name: value' lines")
        for name, given in inside.items():
            documented = isinstance(given, Mapping) and "value" in given and set(given) <= {"value", "reason"}
            value, reason = (given["value"], given.get("reason", "")) if documented else (given, "")
            yield f"{section}.{name}", value, reason


def _check(key: str, value: Any) -> Any:
    leaves = _leaves()
    if key not in leaves:
        raise PlanError(f"the plan has no value {key!r}{_suggest(key, leaves)}")
    leaf = leaves[key]
    accepted = [kind.strip() for kind in leaf["type"].split("|")]
    found = _kind(value)
    if found == "int" and "float" in accepted and "int" not in accepted:
        value, found = float(value), "float"
    if found not in accepted:
        raise PlanError(f"{key} must be {' or '.join(accepted)}, found {value!r} ({found})")
    if found == "float" and not math.isfinite(value):
        raise PlanError(f"{key} must be a finite number, found {value!r}")
    if "choices" in leaf and value is not None and value not in leaf["choices"]:
        raise PlanError(f"{key} must be one of {leaf['choices']}, found {value!r}")
    for bound, broken in (("min", lambda v, b: v < b), ("max", lambda v, b: v > b)):
        if bound in leaf and value is not None and broken(value, leaf[bound]):
            raise PlanError(
                f"{key} must be {'at least' if bound == 'min' else 'at most'} {leaf[bound]}, found {value!r}"
            )
    return value


def _check_timepoint(values: Mapping[str, Any]) -> None:
    """Refuse a fixed day that is no visit of the study; a part of the plan that lacks either says nothing."""
    day, visits = values.get("primary.timepoint"), values.get("design.followup_visits")
    if day in (None, "pilot") or visits is None or day in visits:
        return
    raise PlanError(
        f"primary.timepoint must be 'pilot' or one of design.followup_visits {visits}, found {day!r}"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "table"}
    return kinds.get(type(value), type(value).__name__)


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@lru_cache(maxsize=1)
def _leaves() -> dict[str, dict[str, Any]]:
    text = resources.files("analysis").joinpath("plan_defaults.yaml").read_text(encoding="utf-8")
    # The compiled reader, where PyYAML has it: the same values five times as fast, in every process.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    leaves: dict[str, dict[str, Any]] = {}
    for section, inside in yaml.load(text, loader).items():
        for name, leaf in inside.items():
            key = f"{section}.{name}"
            if (
                not isinstance(leaf, dict)
                or "value" not in leaf
                or "reason" not in leaf
                or set(leaf) - _LEAF_KEYS
            ):
                raise PlanError(
                    f"plan_defaults.yaml: {key} needs value and reason, and only {sorted(_LEAF_KEYS)}"
                )
            leaf.setdefault("type", _kind(leaf["value"]))
            leaves[key] = leaf
    return leaves
