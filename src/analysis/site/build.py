"""Build the site of a study: read its analyses, write and check its pages, let them out by the gate."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from analysis import storage
from analysis.site import links, notebooks, planned, results, scenarios, where
from analysis.site.edition import CONTENT, Edition, SiteError, read_content
from analysis.site.pages import Site

FOLDER = "site"
QUALITY = "quality"
_BACK = (
    b'<nav aria-label="Report site"><p style="margin:.5rem 1rem">'
    b'<a href="../index.html">Report site</a></p></nav>'
)
# The beginning of a page, with the link to its content, which stays the first.
_BODY = re.compile(rb'<body[^>]*>(?:\s*<a class="skip.*?</a>)?', re.DOTALL)
STEP = "06"  # the site reads what the publication reads


def open_editions(study: str, raw_dir: str | None = None) -> list[Edition]:
    """Open the primary analysis of a study and every scenario of its plan that has been run.

    Parameters
    ----------
    study : str
        Name of the study.
    raw_dir : str, optional
        Its raw folder, where that is not ``data/raw/<study>``.

    Returns
    -------
    list of Edition
        The primary analysis first, then scenarios in the order of the plan.

    Raises
    ------
    SiteError, storage.RunError, plan.PlanError
        If the primary analysis has not been published.
    """
    whole = storage.load_study_plan(study)
    reports = storage.project_root() / "reports" / whole.study
    names = [name for name in whole.scenarios.list if (reports / name / CONTENT).is_file()]
    editions: list[Edition] = []
    for name in (storage.PRIMARY, *names):
        run = storage.resolve(STEP, study=study, scenario=name, raw_dir=raw_dir)
        in_force = whole.override(whole.scenarios.list[name]) if name in names else whole
        editions.append(
            Edition(
                name=name,
                base=f"scenarios/{name}/" if name in names else "",
                folder=reports / name,
                content=read_content(reports / name),
                values=run.read("values"),
                read=run.read,
                plan=in_force,
                primary=editions[0] if editions else None,
            )
        )
    return editions


def build(editions: list[Edition], may_show: Callable[[str], bool] | None = None) -> dict[str, bytes]:
    """Build every file of the site.

    Parameters
    ----------
    editions : list of Edition
        The primary analysis first.
    may_show : callable, optional
        Tells whether a text may leave the restricted zone; all may if not given. Asked of single values of
        the plan, so that one of them does not hold back the page.

    Returns
    -------
    dict
        Path below the site -> content; the same for the same analyses.

    Raises
    ------
    SiteError
        If a link of a page leads nowhere, or a number has no place.
    """
    primary = editions[0]
    site = Site(primary.content["title"].split(":")[0], _menu(editions))
    site.may_show = may_show or site.may_show
    for edition in editions:
        _add_edition(site, edition)
    if len(editions) > 1 or primary.plan.scenarios.list:
        scenarios.add_scenarios(site, editions, primary.plan.scenarios.list)
    planned.add_plan(site, primary, primary.plan.scenarios.list)
    planned.add_dictionary(site, primary)
    _add_quality(site, primary)
    site.add_static()
    site.add_index()
    files = {name: site.files[name] for name in sorted(site.files)}
    broken = links.check_pages(files)
    if broken:
        raise SiteError(f"{len(broken)} broken links: " + "; ".join(broken[:5]))
    return files


def write(run: storage.Run, files: dict[str, bytes], searched: Collection[str] = ()) -> Path:
    """Write the site through the privacy gate and remove what an earlier one left.

    Parameters
    ----------
    run : storage.Run
        Whose reports folder is that of the study: the site stands in ``site/`` of it.
    files : dict
        As `build` returns them.
    searched : collection of str
        SHA-256 of what the gate has let pass before: its copies are not searched again.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    privacy.gate.PrivacyError
        If a file holds what must not leave: then none is written, and the earlier site is removed.
    """
    folder = run.reports_dir / FOLDER
    if folder.is_dir():
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(folder).as_posix() not in files:
                path.unlink()
    placed = {f"{FOLDER}/{name}": content for name, content in files.items()}
    copies = {name for name, content in placed.items() if hashlib.sha256(content).hexdigest() in searched}
    run.pass_out(placed, copies)
    return folder / "index.html"


def _menu(editions: list[Edition]) -> list[tuple[str, str]]:
    """List the sections the site will have."""
    primary = editions[0]
    menu = [("Results", "index.html")]
    if primary.content.get("figures"):
        menu.append(("Figures", "figures.html"))
    if len(editions) > 1 or primary.plan.scenarios.list:
        menu.append(("Scenarios", scenarios.PAGE))
    if primary.values:
        menu.append(("Numbers", "where/index.html"))
    if primary.notebooks():
        menu.append(("Notebooks", "notebooks/index.html"))
    menu += [("Plan", "plan.html"), ("Data", "data.html")]
    if (primary.folder / QUALITY / "index.html").is_file():
        menu.append(("Scan quality", f"{QUALITY}/index.html"))
    return menu


def _add_edition(site: Site, edition: Edition) -> None:
    """Write the pages of one analysis."""
    trail = [("Scenarios", scenarios.PAGE)] if edition.base else []
    inside = [*trail, (edition.name, f"{edition.base}index.html")] if edition.base else []
    own: list[tuple[str, str]] = []
    if results.add_gallery(site, edition, inside):
        own.append(("figures", f"{edition.base}figures.html"))
    if edition.values:
        limit = edition.plan.site.table_rows
        where.add_where(site, edition, inside, limit)
        own.append(("numbers", f"{edition.base}where/index.html"))
        site.files[f"{edition.base}values.json"] = _json(edition.values)
    if notebooks.add_notebooks(site, edition, inside):
        own.append(("notebooks", f"{edition.base}notebooks/index.html"))
    results.add_report(site, edition, trail, own if edition.base else [])


def _add_quality(site: Site, primary: Edition) -> None:
    """Copy the quality pages, with a way back to the site: each stands alone and has its own style."""
    folder = primary.folder / QUALITY
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".html" and path.parent == folder:
            start = _BODY.search(content).end()
            content = content[:start] + _BACK + content[start:]
        site.files[f"{QUALITY}/{path.relative_to(folder).as_posix()}"] = content


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
