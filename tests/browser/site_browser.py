"""The pages of a folder in headless Chromium without network: what was tried on them and what was wrong."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter, defaultdict
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import acts
from chromium import FLAGS
from playwright.async_api import Error

PROBE = (Path(__file__).parent / "probe.js").read_text()
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
# Read from the DOM alone; the others need pages of their own or a reader's hands.
CHECKS = {
    "opens": "pages open without a word on the console, an error or a failed request",
    "network": "nothing is asked of the network",
    "links": "links, sources and anchors lead to something in the folder",
    "ids": "ids stand once, and what refers to one finds it",
    "images": "images load and have a text alternative",
    "axe": "accessibility, WCAG 2.1 A and AA (axe)",
    "narrow": "layout at 360 px",
    "wide": "layout at 1440 px",
    "print": "layout in print",
    "sort": "sortable columns",
    "search": "search boxes",
    "code": "switches of a notebook's code",
    "keyboard": "keyboard: skip link, focus that is seen",
    "numbers": "numbers followed to their row",
}
SHRINK = (
    1.4  # Chromium prints a page that is wider than its paper so much smaller; what is wider still is cut
)
NARROW, WIDE, PAPER = 360, 1440, 718  # px; paper: A4 less margins of 10 mm at 96 dpi
SMALLEST_PX, SMALLEST_PRINT_PX, TAP_PX = 9, 8, 24  # print: 6 pt
MANY, SAMPLE, NUMBERS, TABS, STOPS = 20, 3, 50, 3, 12
TALLEST_PX = 12000  # of a screenshot


class Browser:
    """The pages of a folder, what was tried on them and what was wrong."""

    def __init__(self, folder: Path, shots: Path | None) -> None:
        self.folder, self.shots = folder.resolve(), shots
        self.base = self.folder.as_uri() + "/"
        self.tried: Counter[str] = Counter()
        self.faults: list[dict[str, str]] = []
        self.notes: list[dict[str, str]] = []
        self.pages: dict[str, dict[str, Any]] = {}
        self.version = {"axe": ""}
        self.camera = asyncio.Lock()

    def clean(self, said: str) -> str:
        """Return a text without the place of the folder."""
        return re.sub(r"file:/+[^\s'\"]*/", "file:…/", said.replace(self.base, ""))[:400]

    def fault(self, check: str, name: str, where: str, says: str) -> None:
        self.faults.append({"check": check, "page": name, "where": where, "says": self.clean(says)})

    def note(self, kind: str, name: str, where: str, says: str) -> None:
        self.notes.append({"kind": kind, "page": name, "where": where, "says": self.clean(says)})

    def name(self, url: str) -> str | None:
        """Return the path of an address inside the folder, or None if it lies elsewhere."""
        plain = url.split("#")[0].split("?")[0]
        return unquote(plain[len(self.base) :]) if plain.startswith(self.base) else None

    async def run(self, playwright: Any, program: Path, environment: dict[str, str]) -> None:
        chromium = await playwright.chromium.launch(
            executable_path=str(program), args=list(FLAGS), env={**os.environ, **environment}
        )
        self.version["chromium"] = chromium.version
        self.context = await chromium.new_context(
            viewport={"width": WIDE, "height": 900}, reduced_motion="reduce"
        )
        self.context.set_default_timeout(20_000)
        await self.context.route("**/*", self._pass_files_only)
        await self.context.set_offline(True)
        await self.context.add_init_script(PROBE)
        waiting = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*.html")}
        while waiting:
            await self._each(sorted(waiting), self._open)
            linked = {name for page in self.pages.values() for name in page["html"]}
            waiting = {name for name in linked - set(self.pages) if (self.folder / name).is_file()}
        self._judge_links()
        await self._each(self.chosen(), self._look)
        await chromium.close()

    async def _each(self, names: list[str], act: Any) -> None:
        """Do something on every page, a few tabs at a time."""
        free = asyncio.Semaphore(TABS)

        async def one(name: str) -> None:
            async with free:
                page = await self.context.new_page()
                try:
                    await act(page, name)
                except Error as error:  # one page that breaks must not hide the others
                    self.fault("opens", name, act.__name__.strip("_"), str(error).splitlines()[0])
                await page.close()

        await asyncio.gather(*map(one, names))

    async def _pass_files_only(self, route: Any) -> None:
        url = route.request.url
        if urlsplit(url).scheme in ("file", "data", "blob", "about"):
            await route.continue_()
        else:
            holder = self.name(route.request.frame.url) or ""
            self.fault("network", holder, route.request.resource_type, f"asks for {url}")
            await route.abort()

    def _listen(self, page: Any, name: str) -> None:
        def heard(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.fault("opens", name, f"console {message.type}", message.text)

        def failed(request: Any) -> None:
            if request.failure != "net::ERR_ABORTED":  # a reader who left before a picture was there
                self.fault("opens", name, request.resource_type, f"did not load: {request.url}")

        page.on("console", heard)
        page.on("pageerror", lambda error: self.fault("opens", name, "script", str(error).splitlines()[0]))
        page.on("requestfailed", failed)

    async def _open(self, page: Any, name: str) -> None:
        """Open a page, listen, and read what it is made of."""
        self.tried.update(("opens", "network", "ids"))
        self._listen(page, name)
        self.pages[name] = {
            "html": [],
            "ids": [],
            "headings": [],
            "addresses": [],
            "title": "",
            "searched": False,
        }
        await page.goto(self.base + name)
        await page.wait_for_load_state("networkidle")
        found = await page.evaluate("siteProbe.anatomy()")
        inside = [self.name(one["url"]) for one in found["addresses"] if one["visit"]]
        self.pages[name] = {**found, "html": [one for one in inside if one and one.endswith(".html")]}
        for twice in found["twice"]:
            self.fault("ids", name, f"#{twice}", "stands more than once")
        for one in found["dangling"]:
            self.fault(
                "ids", name, one["where"], f"{one['attribute']} names {one['value']}, which is not there"
            )
        for one in await page.evaluate("siteProbe.images()"):
            self.tried["images"] += 1
            if not one["loaded"]:
                self.fault("images", name, one["where"], f"does not load: {one['source']}")
            if one["alt"] is None or (one["figure"] and not one["alt"].strip()):
                self.fault("images", name, one["where"], "has no text alternative")

    def _judge_links(self) -> None:
        """Hold every address of every page against the files and the ids that are there."""
        for name, page in sorted(self.pages.items()):
            for one in page["addresses"]:
                scheme = urlsplit(one["url"]).scheme
                if scheme in ("data", "blob", "about", "mailto") or (
                    scheme in ("http", "https") and one["visit"]
                ):
                    continue
                self.tried["links"] += 1
                wrong = self._wrong(one["url"])
                if wrong:
                    self.fault("links", name, one["where"], f"{one['attribute']}={one['value']!r} {wrong}")
        if "index.html" in self.pages:
            for name in sorted(set(self.pages) - self._reached()):
                self.fault("links", name, "", "no chain of links leads here from index.html")

    def _wrong(self, url: str) -> str:
        target, _, anchor = url.partition("#")
        name = self.name(target)
        if name is None:
            return "lies outside the folder"
        path = self.folder / name
        if not path.is_file():
            return "names a folder, not a file" if path.is_dir() else "is not there"
        if path.stat().st_size == 0:
            return "is an empty file"
        anchor = unquote(anchor)
        known = self.pages.get(name)
        return f"has no #{anchor}" if anchor and known and anchor not in known["ids"] else ""

    def _reached(self) -> set[str]:
        reached, waiting = set(), ["index.html"]
        while waiting:
            name = waiting.pop()
            if name not in reached and name in self.pages:
                reached.add(name)
                waiting += self.pages[name]["html"]
        return reached

    def chosen(self) -> list[str]:
        """Return the pages that are looked at closely: all, but only some of a kind of which there are many."""
        kinds = defaultdict(list)
        for name in sorted(self.pages):
            kinds[re.sub(r"(?<![a-z])[0-9a-f]*\d[0-9a-f]*", "#", name)].append(name)
        kinds = self._merge(kinds)
        picked = []
        for kind, names in sorted(kinds.items()):
            few = {names[0], names[-1], *random.Random(kind).sample(names, min(SAMPLE, len(names)))}
            picked += names if len(names) <= MANY else sorted(few)
        return picked

    @staticmethod
    def _merge(kinds: dict[str, list[str]]) -> dict[str, list[str]]:
        """Put kinds together that differ in their last word only (a visit), if together they are many."""
        merged = defaultdict(list)
        for kind, names in kinds.items():
            merged[re.sub(r"_[A-Z#]+(?=\.html$)", "_*", kind) if "#" in kind else kind] += names
        return {kind: sorted(names) for kind, names in merged.items()}

    async def _look(self, page: Any, name: str) -> None:
        """Measure, search and use one page."""
        self._listen(page, name)
        await page.goto(self.base + name)
        await page.evaluate("siteProbe.images()")
        folded = await page.evaluate("siteProbe.folded()")
        if not folded:
            await self._axe(page, name)
        await self._layout(page, name, "wide", WIDE)
        for check, act in (
            ("keyboard", partial(acts.use_keyboard, page, STOPS)),
            ("sort", partial(acts.sort_tables, page)),
            ("code", partial(acts.switch_code, page)),
            ("search", partial(acts.search, page, self._word(name), self.base)),
            ("numbers", partial(acts.follow_numbers, page, name, NUMBERS)),
        ):
            await self._act(page, name, check, act)
        await page.goto(self.base + name)
        # What is folded away is read too: closed parts, and the code of a notebook.
        await page.evaluate(
            "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
        )
        await self._layout(page, name, "narrow", NARROW)
        switch = page.get_by_role("button", name=re.compile(r"\bcode\b", re.I))
        if await switch.count():
            await switch.first.click()
        # Open, a page shows all it has: that is searched in full. Another was, and may only scroll now.
        await self._axe(page, name, rules=None if folded else ["scrollable-region-focusable"])
        for one in await page.evaluate("least => siteProbe.taps(least)", TAP_PX):
            self.note("tap target", name, one["where"], f"{one['count']} smaller than {TAP_PX} px")
        await page.goto(self.base + name)
        await page.emulate_media(media="print")
        await self._layout(page, name, "print", PAPER)

    async def _act(self, page: Any, name: str, check: str, act: Any) -> None:
        try:
            tried, faults = await act()
        except Error as error:
            tried, faults = 1, [("", f"cannot be done: {error.message.splitlines()[0]}")]
            await page.goto(self.base + name)
        self.tried[check] += tried
        for where, says in faults:
            self.fault(check, name, where, says)

    def _word(self, name: str) -> str:
        """Return a word of a heading of another page that has the search box, the same on every run."""
        others = [
            page["headings"]
            for other, page in sorted(self.pages.items())
            if other != name and page["searched"]
        ]
        words = sorted(
            {word for heads in others for head in heads for word in re.findall(r"[A-Za-z]{6,}", head)}
        )
        return random.Random(name).choice(words) if words else "results"

    async def _layout(self, page: Any, name: str, check: str, width: int) -> None:
        self.tried[check] += 1
        await page.set_viewport_size({"width": width, "height": 800 if width == NARROW else 900})
        smallest = SMALLEST_PRINT_PX if check == "print" else SMALLEST_PX
        found = await page.evaluate("smallest => siteProbe.layout(smallest)", smallest)
        if check == "print":
            limit = SHRINK * found["width"]
            found["page"] = 0 if found["page"] <= limit else found["page"]
            found["wide"] = [one for one in found["wide"] if one["right"] > limit]
        if found["page"] > found["width"] + 1:
            self.fault(check, name, "page", f"{found['page']} px wide in a window of {found['width']} px")
        for one in found["wide"]:
            self.fault(
                check,
                name,
                one["where"],
                f"reaches from {one['left']} to {one['right']} px of {found['width']}",
            )
        for one in found["clipped"]:
            self.fault(check, name, one["where"], f"cuts its text: {one['inside']} px in {one['frame']} px")
        for one in found["small"]:
            self.fault(check, name, one["where"], f"text of {one['px']} px")
        for one in found["frames"] if check == "print" else ():
            self.fault(
                check, name, one["where"], f"a scroll frame cuts {one['inside']} px to {one['frame']} px"
            )
        if self.shots is not None:
            await self._photograph(page, name, check)

    async def _photograph(self, page: Any, name: str, check: str) -> None:
        file = self.shots / f"{name.removesuffix('.html').replace('/', '__')}.{check}.png"
        height = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size(
            {"width": page.viewport_size["width"], "height": min(height, TALLEST_PX)}
        )
        async with self.camera:  # pictures taken at once come out in pieces of one another
            await page.bring_to_front()
            await page.screenshot(path=file)

    async def _axe(self, page: Any, name: str, rules: list[str] | None = None) -> None:
        self.tried["axe"] += rules is None
        await page.evaluate(AXE)
        found = await page.evaluate("rules => siteProbe.axeRun(rules)", rules)
        self.version["axe"] = found["version"]
        for rule in found["violations"]:
            for node in rule["nodes"]:
                says = f"{rule['rule']} ({rule['impact']}; {rule['count']} here): {node['says']}"
                if rule["best"]:
                    self.note("best practice", name, node["where"], says)
                else:
                    self.fault("axe", name, node["where"], says)
        for rule in found["incomplete"]:
            self.note(
                "axe cannot tell", name, rule["nodes"][0]["where"], f"{rule['rule']}: {rule['count']} here"
            )

    def report(self, needs: list[str]) -> dict[str, Any]:
        """Return everything found, each once and in order."""
        for check in needs:
            if not self.tried[check]:
                self.fault(check, "", "", "nothing of this kind was found, though the pages must have it")
        faults, notes = (
            [dict(one) for one in sorted({tuple(one.items()) for one in all_})]
            for all_ in (self.faults, self.notes)
        )
        wrong = Counter(one["check"] for one in faults)
        return {
            "versions": dict(sorted(self.version.items())),
            "checks": {check: {"says": says, "tried": self.tried[check], "faults": wrong[check]} for check, says in CHECKS.items()},
            "pages": sorted(self.pages),
            "looked_at": self.chosen(),
            "faults": faults,
            "notes": notes,
        }  # fmt: skip
