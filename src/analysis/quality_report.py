"""The quality report: one self-contained page a scan, an overview of the study, a glossary of its codes.

Subjects appear as their keys, days relative to the first dose, weight and height as change: the pages
may leave the restricted zone. `write_quality_report` writes them; the `render_` functions return text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.fanout import Failure, fan_out
from analysis.figures.pet import uptake_window
from analysis.privacy.values import is_plain_region
from analysis.quality_pages import Setting
from analysis.quality_pages.overview import render_overview
from analysis.quality_pages.scan import render_codes, render_scan, render_task
from analysis.tables.format import number
from analysis.tables.words import order_visits

__all__ = ["Setting", "name_pages", "render_codes", "render_overview", "render_scan", "write_quality_report"]

BY_SUBJECT = ("adpet", "adlesion", "comparability", "reference_proposals", "lesion_map", "adsl", "mips")
FOLDER = "quality"
PAGES_OF_ONE_WORKER = 1000  # rendered in the time that starting a worker and sending it the pictures takes


def name_pages(scan_qc: pd.DataFrame, key_of: Callable[[Any], str]) -> list[str]:
    """Name the page of every scan: ``<key>_<visit>.html``, numbered where several would share a name.

    Parameters
    ----------
    scan_qc : DataFrame
        USUBJID AVISIT, in the order of the pages.
    key_of : callable
        Subject -> key; empty for none.

    Returns
    -------
    list of str
        File names, all different.
    """
    seen: dict[str, int] = {}
    names = []
    for subject, visit in zip(scan_qc["USUBJID"], scan_qc["AVISIT"]):
        key = (key_of(subject) if isinstance(subject, str) else "") or "no-subject"
        stem = re.sub(r"[^A-Za-z0-9_-]", "-", f"{key}_{visit if isinstance(visit, str) else 'no-visit'}")
        seen[stem] = seen.get(stem, 0) + 1
        names.append(f"{stem}.html" if seen[stem] == 1 else f"{stem}-{seen[stem]}.html")
    return names


def write_quality_report(
    run: Any,
    tables: Mapping[str, pd.DataFrame],
    scans: Sequence[str] | None = None,
    *,
    limits: tuple[float, float] | None = None,
    setting: Setting | None = None,
    workers: int = 1,
) -> list[Path]:
    """Write the page of every scan, the overview and the glossary under ``quality/`` of the reports.

    Parameters
    ----------
    run : storage.Run
        Gives the subjects' keys and saves the pages (`save_report`).
    tables : mapping
        As of `render_scan`; the overview also reads ``admr``.
    scans : sequence of str, optional
        PATH of the scans that get a page; all without.
    limits : (float, float), optional
        Limits of repeatability of one lesion's change, percent: ``pet.repeatability.limits`` of the plan.
    setting : Setting, optional
        Of the study; from the run's plan without.
    workers : int
        Processes that render pages, where there are so many that starting them pays; the result is the same.

    Returns
    -------
    list of Path
        Files written, the overview first.

    Raises
    ------
    ValueError
        ``PAGE_FAILED`` if a page could not be rendered; none is left out silently.
    """
    setting = setting or _setting_of(run, limits)
    scan_qc = tables["scan_qc"].copy()
    order = {visit: place for place, visit in enumerate(order_visits(scan_qc["AVISIT"]))}
    scan_qc["_KEY"] = [run.subject_key(name) if isinstance(name, str) else "" for name in scan_qc["USUBJID"]]
    scan_qc["_VISIT"] = scan_qc["AVISIT"].map(order).fillna(len(order))
    scan_qc = scan_qc.sort_values(["_KEY", "_VISIT", "AVISIT", "PATH"], kind="stable", ignore_index=True)
    keys = scan_qc.pop("_KEY").tolist()
    scan_qc = scan_qc.drop(columns="_VISIT")
    pages = name_pages(scan_qc, run.subject_key)
    wanted = [scans is None or path in set(scans) for path in scan_qc["PATH"]]
    privacy = run.rules().to_dict()
    tasks = _tasks(tables, scan_qc, keys, wanted, partial(is_plain_region, rules=privacy))
    texts = fan_out(
        tasks, partial(render_task, setting=setting), _useful(workers, len(tasks)), what="quality pages"
    )
    for text, page in zip(texts, [page for page, keep in zip(pages, wanted) if keep], strict=True):
        if isinstance(text, Failure):
            raise ValueError(f"PAGE_FAILED: {page}: {text.code}, {text.message}")
    links = [page if keep else "" for page, keep in zip(pages, wanted)]
    named = [page for page, keep in zip(pages, wanted) if keep]
    overview = render_overview({**tables, "scan_qc": scan_qc}, keys, links, setting)
    written = [run.save_report(f"{FOLDER}/index.html", overview)]
    _remove_stale(written[0].parent, {"index.html", "codes.html", *named})
    written.append(run.save_report(f"{FOLDER}/codes.html", render_codes(setting)))
    return written + [run.save_report(f"{FOLDER}/{page}", text) for page, text in zip(named, texts)]


def _remove_stale(folder: Path, names: set[str]) -> None:
    """Remove the pages of an earlier run that this one does not write: their scans are no longer there."""
    for page in folder.glob("*.html"):
        if page.name not in names:
            page.unlink()


def rename_lesions(
    tables: Mapping[str, pd.DataFrame], is_plain: Callable[[str], bool]
) -> dict[str, pd.DataFrame]:
    """Call the lesions of one subject ``Lesion 1``, ``Lesion 2`` where their names may tell who she is.

    Parameters
    ----------
    tables : mapping
        Tables of one subject; LESIONID, DRAWNID and LABELNAMES are renamed alike in all of them.
    is_plain : callable
        Name -> whether it holds no identity and stays.

    Returns
    -------
    dict
        The tables; a lesion has the same new name on all pages of its subject.
    """
    named = [frame["LESIONID"].dropna() for frame in tables.values() if "LESIONID" in frame]
    names = sorted({name for column in named for name in column if not is_plain(name) and name != "TOTAL"})
    if not names:
        return dict(tables)
    new = {name: f"Lesion {number}" for number, name in enumerate(names, start=1)}
    renamed = {}
    for table, frame in tables.items():
        for column in ("LESIONID", "DRAWNID"):
            if column in frame:
                frame = frame.assign(**{column: frame[column].replace(new)})
        if "LABELNAMES" in frame:
            labels = frame["LABELNAMES"].fillna("").str.split(";")
            frame = frame.assign(LABELNAMES=[";".join(new.get(name, name) for name in row) for row in labels])
        renamed[table] = frame
    return renamed


def _useful(workers: int, pages: int) -> int:
    return workers if pages > PAGES_OF_ONE_WORKER else 1


def _tasks(
    tables: Mapping[str, pd.DataFrame],
    scan_qc: pd.DataFrame,
    keys: Sequence[str],
    wanted: Sequence[bool],
    is_plain: Callable[[str], bool],
) -> list[dict[str, Any]]:
    """Return one task a page, each with the rows of its subject alone: searching all rows is slow."""
    given = {name: tables[name] for name in BY_SUBJECT if tables.get(name) is not None}
    groups = {name: dict(iter(frame.groupby("USUBJID"))) for name, frame in given.items()}
    scans = dict(iter(scan_qc.groupby("USUBJID")))
    tasks = []
    for row, key, keep in zip(scan_qc.to_dict("records"), keys, wanted):
        if keep:
            subject = row["USUBJID"]
            mine = {name: groups[name].get(subject, frame.iloc[:0]) for name, frame in given.items()}
            mine = rename_lesions(mine, is_plain)
            own = scans.get(subject, scan_qc.iloc[:0])
            tasks.append({"tables": {**mine, "scan_qc": own}, "scan": row, "key": key})
    return tasks


def _setting_of(run: Any, limits: tuple[float, float] | None) -> Setting:
    """Return what the pages share, from the sections of the plan that the run has."""
    design, pet = run.plan.design, run.plan.pet
    has_figures, has_response = (name in run.plan.sections() for name in ("figures", "response"))
    checks = run.plan.response.comparability_checks if has_response else {}
    return Setting(
        study=design.title or run.study,
        simulated=design.kind == "simulated",
        limits=limits,
        scale=f"SUV 0 (white) to {number(pet.mip_suv_max, 0)} (black)",
        harmonisation_limits=_recovery(pet.harmonisation_earl1_recovery),
        windows={"UPTAKEMIN": uptake_window(run.plan), "LIVERSUL": tuple(pet.liver_sul_range)},
        rules=run.plan.figures if has_figures else None,
        unknown_is={name: check["unknown_is"] for name, check in checks.items()},
        compared=tuple(design.followup_visits),
    )


def _recovery(limits: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Write the limits of EARL standard 1 as text, one row a way of measuring, one column a sphere."""
    rows = []
    for title, name in (("Mean above half of the maximum (A50)", "a50"), ("Maximum", "max")):
        ends = zip(limits["sphere_mm"], limits[f"{name}_min"], limits[f"{name}_max"], strict=True)
        spheres = {f"{size} mm": f"{number(low, 2)}–{number(high, 2)}" for size, low, high in ends}
        rows.append({"Sphere": title, **spheres})
    return pd.DataFrame(rows)
