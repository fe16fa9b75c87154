"""What a reader does with a page: sorts, searches, shows the code, tabs, follows a number to its row.

Each act returns how many things it tried and what was wrong, as (where, what) pairs; the addresses are those of
the page's own links.
"""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

Faults = list[tuple[str, str]]
BLANK = {"", "–", "—", "-", "NA", "not estimable", "not reached"}
# A number at the start, not the digits of a name (01_data), a date (2015-03-07) or a version (1.2.3).
NUMBER = re.compile(
    r"(?:(?:OR|HR|RR|AUC|C)\s+)?[<>≤≥]?\s*"
    r"([-−+]?(?:∞|(?:\d{1,3}(?:[,\u2009\u202f]\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?))(?![\w.]|-\d)"
)
WHERE = re.compile(r"(^|/)(where/[^/#]+\.html|plan\.html)#")
SEARCH_MS = 3000


async def sort_tables(page: Any) -> tuple[int, Faults]:
    """Press every header button of every sortable table twice, the first of each with the keyboard."""
    tried, faults = 0, []
    for table, one in enumerate(await page.evaluate("siteProbe.sortable()")):
        for at in range(one["columns"]):
            tried += 1
            button = page.locator("table:has(thead th button)").nth(table).locator("thead th button").nth(at)
            seen = [await page.evaluate("([t, c]) => siteProbe.column(t, c)", [table, at])]
            for keys in (at == 0, False):
                await (button.press("Enter") if keys else button.evaluate("one => one.click()"))
                seen.append(await page.evaluate("([t, c]) => siteProbe.column(t, c)", [table, at]))
            faults += [(f"{one['where']} · {seen[0]['name']}", said) for said in judge_sorting(*seen)]
    return tried, faults


def judge_sorting(before: dict, first: dict, second: dict) -> list[str]:
    """Return what is wrong with a column before and after its button was pressed once and twice."""
    wrong = []
    if {first["state"], second["state"]} != {"ascending", "descending"}:
        wrong.append(f"aria-sort after one and two presses: {first['state']}, {second['state']}")
    if first["others"] or second["others"]:
        wrong.append("aria-sort stays set on another column")
    if not before["rows"] == first["rows"] == second["rows"]:
        wrong.append("the rows after sorting are not those before")
    for seen in (first, second):
        if seen["state"] in ("ascending", "descending") and not sorted_well(seen):
            wrong.append(f"not in order though aria-sort is {seen['state']}: {first_cells(seen)}")
    return wrong


def sorted_well(seen: dict) -> bool:
    """Tell whether a column stands in order: under each group's heading, each family of indented rows."""
    bodies = {cell.get("body", 0): [] for cell in seen["cells"]}
    for cell in seen["cells"]:
        bodies[cell.get("body", 0)].append(cell)
    families = [in_families(cells) for cells in bodies.values()]
    heads = [cell for top, *_ in families for cell in top]
    texts = None in [as_number(cell) for cell in heads if cell["text"] not in BLANK]
    by_dictionary = texts and seen["collated"][seen["state"] == "descending"]
    return all(
        in_order(one, seen["state"]) or (place == 0 and by_dictionary)
        for family in families
        for place, one in enumerate(family)
    )


def first_cells(seen: dict) -> str:
    """Return what a reader sees of a column first."""
    return " | ".join(cell["text"][:25] for cell in seen["cells"][:6])


def in_families(cells: list[dict]) -> list[list[dict]]:
    """Return the rows at the top, then the indented rows under each of them, which move with it."""
    heads, under = [], []
    for cell in cells:
        if cell["level"] and heads:
            under[-1].append(cell)
        else:
            heads.append(cell)
            under.append([])
    return [heads, *filter(None, under)]


def in_order(cells: list[dict], direction: str) -> bool:
    """Tell whether cells stand in order, by number where every filled one starts with one, else as text."""
    filled = [cell for cell in cells if cell["text"] not in BLANK]
    empty = [cell["text"] in BLANK for cell in cells]
    together = empty in (sorted(empty), sorted(empty, reverse=True))
    numbers = [as_number(cell) for cell in filled]
    turn = -1 if direction == "descending" else 1
    if None not in numbers:
        pairs = pairwise(numbers)
        return together and all(turn * (after - before) >= 0 for before, after in pairs)
    # Numbers and words in one column: the numbers by value, the words before or after them; or all as text.
    known = [one for one in numbers if one is not None]
    apart = [one is None for one in numbers] in (sorted_flags(numbers, False), sorted_flags(numbers, True))
    if apart and len(known) > 1 and ordered(known, turn):
        return together
    texts = [cell["value"] or cell["text"] for cell in filled]
    return together and any(
        ordered(list(map(key, texts)), turn) for key in (str, str.casefold, natural, loose)
    )


def sorted_flags(numbers: list[float | None], last: bool) -> list[bool]:
    """Return which places hold a word if all of them stand at one end."""
    return sorted((one is None for one in numbers), reverse=not last)


def ordered(keys: list, turn: int) -> bool:
    """Tell whether no key stands against the direction."""
    return all(before <= after if turn > 0 else before >= after for before, after in pairwise(keys))


def natural(text: str) -> list:
    """Return a key that orders D2 before D14."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def loose(text: str) -> list:
    """Return the key of a dictionary: letters and numbers only."""
    return natural(re.sub(r"[^\w]+", " ", text).strip())


def as_number(cell: dict) -> float | None:
    """Return the number a cell stands for: its data-value, else what its text starts with."""
    found = NUMBER.match(cell["value"] or cell["text"])
    if not found:
        return None
    return plain(found[1])


def plain(text: str) -> float:
    """Return a printed number as a number."""
    return float(re.sub(r"[,+\u2009\u202f]", "", text).replace("−", "-").replace("∞", "inf"))


async def search(page: Any, word: str, folder: str) -> tuple[int, Faults]:
    """Type a word that stands in a heading, open the first result; then a word that stands nowhere."""
    box = page.locator("input[type=search]")
    if not await box.count():
        return 0, []
    box, start = box.first, page.url
    await box.fill("qzxwvk")
    await page.wait_for_timeout(400)
    before = set(await page.evaluate("siteProbe.visibleLinks()"))
    await box.fill("")
    await box.press_sequentially(word)
    await page.wait_for_timeout(500)  # what the first letters found gives way to what the word finds
    results: list[str] = []
    for _ in range(SEARCH_MS // 100):
        results = [url for url in await page.evaluate("siteProbe.visibleLinks()") if url not in before]
        if results:
            break
        await page.wait_for_timeout(100)
    if not results:
        return 1, [("input[type=search]", f"no result for {word!r}, which stands in a heading")]
    url = results[0]
    if not url.startswith(folder):
        return 1, [("input[type=search]", "the first result lies outside the folder")]
    link = page.locator(f"a[href]:visible >> nth={await index_of(page, url)}")
    await link.click()
    await page.wait_for_load_state("load")
    wrong = await landing(page, url, word)
    await page.goto(start)
    return 1, [("input[type=search]", said) for said in wrong]


async def index_of(page: Any, url: str) -> int:
    """Return which of the visible links has an address."""
    return (await page.evaluate("siteProbe.visibleLinks()")).index(url)


async def landing(page: Any, url: str, word: str = "") -> list[str]:
    """Return what is wrong with the place a link led to."""
    wrong = []
    if page.url.split("#")[0] != url.split("#")[0]:
        wrong.append(f"leads to {name_of(page.url)}, not to {name_of(url)}")
    if "#" in url and not await page.evaluate(
        "id => siteProbe.target(id) !== null", unquote(url.split("#")[1])
    ):
        wrong.append(f"lands on #{url.split('#')[1]}, which is not there")
    if word and word.lower() not in (await page.inner_text("body")).lower():
        wrong.append(f"the page it opens does not hold {word!r}")
    return wrong


async def switch_code(page: Any) -> tuple[int, Faults]:
    """Show and hide the code of a notebook's page."""
    switch = page.get_by_role("button", name=re.compile(r"\bcode\b", re.I))
    if not await switch.count():
        return 0, []
    counts = [await page.evaluate("siteProbe.codes()")]
    for _ in range(2):
        await switch.first.click()
        counts.append(await page.evaluate("siteProbe.codes()"))
    if counts[0] == counts[1]:
        return 1, [("button code", f"pressing it changes nothing: {counts[0]} blocks shown before and after")]
    return 1, [] if counts[0] == counts[2] else [
        ("button code", "pressing it twice does not restore the page")
    ]


async def use_keyboard(page: Any, steps: int) -> tuple[int, Faults]:
    """Tab through the page: the skip link comes first and works, and every stop is seen."""
    faults: Faults = []
    await page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
    many = await page.evaluate("siteProbe.before()")
    for step in range(steps):
        await page.keyboard.press("Tab")
        now = await page.evaluate("siteProbe.focus()")
        if now is None:
            break
        if not (now["ring"] and now["inView"]):
            faults.append((now["where"], "has the focus, but is not seen to have it"))
        skips = (now["href"] or "").startswith("#")
        if step == 0 and many > 5 and not skips:
            faults.append((now["where"], f"{many} links before the main part, and no skip link comes first"))
        if step == 0 and skips:
            faults += await _skip(page, now)
    return 1, faults


async def _skip(page: Any, link: dict) -> Faults:
    await page.keyboard.press("Enter")
    if not await page.evaluate("id => siteProbe.target(id) !== null", link["href"][1:]):
        return [(link["where"], f"leads to {link['href']}, which is not there")]
    await page.keyboard.press("Tab")
    inside = await page.evaluate(
        "id => { const one = document.getElementById(id), now = document.activeElement;"
        " return one.contains(now) || Boolean(one.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING)"
        " || now === document.body; }",
        link["href"][1:],
    )
    await page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
    return [] if inside else [(link["where"], "is followed, but the next Tab goes back before its target")]


async def follow_numbers(page: Any, name: str, most: int) -> tuple[int, Faults]:
    """Click a sample of the links behind numbers: the row is there, seen, and holds a number."""
    start, faults = page.url, []
    links = await page.evaluate(
        "[...document.querySelectorAll('main a[href]')].map(a => [a.getAttribute('href'), a.innerText])"
    )
    chosen = [at for at, (href, text) in enumerate(links) if WHERE.search(href) and re.search(r"\d", text)]
    picked = random.Random(name).sample(chosen, min(most, len(chosen)))
    by_page = {}
    for at in picked:
        by_page.setdefault(links[at][0].split("#")[0], []).append(at)
    for _, mine in sorted(by_page.items()):
        await _press_link(page, mine[0])
        for at in mine:
            href, text = links[at]
            # The first was clicked; the others lie on the page it opened.
            anchor = href.split("#", 1)[1]
            await page.evaluate("anchor => { location.hash = anchor; }", anchor)
            said = judge_row(await page.evaluate("id => siteProbe.target(id)", unquote(anchor)), text)
            faults += [(href, f"number {text!r}: {said}")] if said else []
        await page.goto(start)
    return len(picked), faults


async def _press_link(page: Any, at: int) -> None:
    """Click a link of the main part, wherever it stands; one inside a closed part is opened first."""
    await page.evaluate(
        "at => { const one = [...document.querySelectorAll('main a[href]')][at];"
        " for (let up = one; up; up = up.parentElement) if (up.localName === 'details') up.open = true; }",
        at,
    )
    await page.locator("main a[href]").nth(at).click()
    await page.wait_for_load_state("load")


def judge_row(found: dict | None, printed: str) -> str:
    """Return what is wrong with the row a number led to."""
    if found is None:
        return "its row is not there"
    if not (found["shown"] and found["inView"]):
        return "its row is not in view"
    if not re.search(r"\d", found["text"]):
        return "its row holds no number"
    return "" if holds(found["text"], printed) else f"its row does not hold it: {found['text'][:120]}"


def holds(row: str, printed: str) -> bool:
    """Tell whether a row has a value that, rounded as printed, gives the number; as percent, or 1 less it."""
    shown = re.search(r"\d+(?:,\d{3})*(?:\.(\d+))?", printed)
    target, margin = plain(shown[0]), 0.501 * 10.0 ** -len(shown[1] or "")
    if "<" in printed or ">" in printed:
        margin = target if "<" in printed else float("inf")
    values = [plain(one) for one in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?", row)]
    forms = [form for value in values for form in (value, 100 * value, 100 * (1 - value))]
    return any(abs(form - target) <= margin for form in forms)


def name_of(url: str) -> str:
    """Return the last part of an address, which is the same on every machine."""
    return url.rsplit("/", 1)[-1]
