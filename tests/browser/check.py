"""Open every page of a folder in headless Chromium without network and try what a reader does with it.

Pages are opened by ``file://``. What is found is printed as a table and written to ``browser_report.json``, which
holds no time, path or order of arrival. Of many pages of one kind (scans) all are opened, but only some are
measured, searched by axe and photographed. Ends with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from chromium import find_chromium
from playwright.async_api import async_playwright
from site_browser import CHECKS, Browser

ROOT = Path(__file__).resolve().parents[2]


def tell(report: dict[str, Any]) -> str:
    """Return the report as text: a table, then each kind of fault with its pages."""
    lines = [f"{'tried':>7} {'faults':>7}  check"]
    lines += [f"{one['tried']:7d} {one['faults']:7d}  {one['says']}" for one in report["checks"].values()]
    grouped: dict[tuple, list[str]] = defaultdict(list)
    for one in report["faults"]:
        grouped[one["check"], one["where"], one["says"]].append(one["page"])
    for (check, where, says), pages in sorted(grouped.items()):
        more = f" and {len(pages) - 2} more" if len(pages) > 2 else ""
        lines.append(f"[{check}] {', '.join(pages[:2])}{more}: {where}: {says}")
    rest = [one for one in report["notes"] if one["kind"] != "tap target"]
    kinds = Counter((one["kind"], re.match(r"[\w-]+", one["says"])[0]) for one in rest)
    lines += [f"note: {kind}: {what} ({count})" for (kind, what), count in sorted(kinds.items())]
    taps = Counter(one["where"] for one in report["notes"] if one["kind"] == "tap target")
    lines += [f"note: small tap target: {where}, on {count} pages" for where, count in sorted(taps.items())]
    total = len(report["faults"])
    lines.append(
        f"{len(report['pages'])} pages, {len(report['looked_at'])} looked at closely, {total} faults"
    )
    return "\n".join(lines)


async def examine(
    folder: Path, shots: Path | None, needs: list[str], program: Path, environment: dict
) -> dict:
    """Return the report of a folder of pages."""
    browser = Browser(folder, shots)
    async with async_playwright() as playwright:
        await browser.run(playwright, program, environment)
    return browser.report(needs)


def main(arguments: list[str] | None = None) -> int:
    """Check the pages; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="folder of pages; every *.html below it is opened")
    parser.add_argument("--out", type=Path, help="folder for browser_report.json and the screenshots")
    parser.add_argument("--no-shots", action="store_true", help="take no screenshots")
    parser.add_argument(
        "--needs", nargs="*", default=[], choices=CHECKS, help="checks that must find something to try"
    )
    chosen = parser.parse_args(arguments)
    if not any(chosen.folder.rglob("*.html")):
        parser.error(f"NO_PAGES: no *.html below {chosen.folder}; make the site first")
    shots = None
    if chosen.out:
        shots = None if chosen.no_shots else chosen.out / "screenshots"
        (shots or chosen.out).mkdir(parents=True, exist_ok=True)
    program, environment = find_chromium(ROOT / ".cache" / "chromium")
    report = asyncio.run(examine(chosen.folder, shots, chosen.needs, program, environment))
    if chosen.out:
        text = json.dumps(report, indent=1, ensure_ascii=False, sort_keys=True)
        (chosen.out / "browser_report.json").write_text(text + "\n")
    print(tell(report))
    return int(bool(report["faults"]))


if __name__ == "__main__":
    sys.exit(main())
