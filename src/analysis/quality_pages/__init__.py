"""The pages of the quality report: what they share, and their templates (HTML, one style sheet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis import plan as plans
from analysis.report import check_self_contained


@dataclass(frozen=True)
class Setting:
    """What all pages of a study share.

    Attributes
    ----------
    study : str
        Title of the study.
    simulated : bool
        Whether its patients were simulated; every page says so.
    limits : (float, float), optional
        Limits of repeatability of one lesion's SUVmax change, percent (`pet.repeatability.limits`).
    scale : str
        What white and black of a projection stand for.
    harmonisation_limits : DataFrame, optional
        Recovery limits of the harmonisation standard, ready text; shown on the overview.
    windows : mapping, optional
        UPTAKEMIN, DOSEMBQ or LIVERSUL -> what the plan expects (low, high), shaded in the overview.
    rules : Section, optional
        Section ``figures`` of the plan; its defaults without.
    unknown_is : mapping, optional
        Check of a pair -> what a missing fact means: insufficient, warning or noted
        (`response.comparability_checks`).
    compared : tuple of str, optional
        Visits whose scans are compared with baseline; without, every one but the baseline.
    """

    study: str
    simulated: bool
    limits: tuple[float, float] | None = None
    scale: str = "white to black: none to high uptake"
    harmonisation_limits: pd.DataFrame | None = None
    windows: Mapping[str, tuple[float, float]] | None = None
    rules: Any = None
    unknown_is: Mapping[str, str] | None = None
    compared: tuple[str, ...] | None = None

    @property
    def figures(self) -> Any:
        """Return section ``figures`` of the plan in force."""
        return self.rules or plans.defaults().figures


def render(name: str, **content: Any) -> str:
    """Render a template as a page that stands alone.

    Parameters
    ----------
    name : str
        File of this folder.
    **content
        What it shows.

    Returns
    -------
    str
        The page; the same input gives the same text.

    Raises
    ------
    report.ReportError
        If the page would load something from outside itself.
    """
    page = _environment().get_template(name).render(**content)
    check_self_contained(page)
    return page


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("analysis", "quality_pages")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
