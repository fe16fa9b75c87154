// What a page is made of, read from its DOM as the browser built it. Every function returns plain data.
window.siteProbe = (() => {
  const REFERENCES = ["aria-labelledby", "aria-describedby", "aria-controls", "aria-owns", "aria-details", "for", "headers", "list"];
  const ADDRESSES = [["a", "href"], ["area", "href"], ["link", "href"], ["script", "src"], ["img", "src"], ["source", "src"],
    ["iframe", "src"], ["embed", "src"], ["object", "data"], ["use", "href"], ["image", "href"], ["video", "src"], ["audio", "src"]];
  const LIMIT = 12;

  function selector(element) {
    const parts = [];
    for (let one = element; one && one.nodeType === 1 && parts.length < 4; one = one.parentElement) {
      if (one.id) { parts.unshift(`${one.localName}#${one.id}`); break; }
      const names = (one.getAttribute("class") || "").trim().split(/\s+/).filter(Boolean).slice(0, 2);
      parts.unshift(one.localName + names.map((name) => `.${name}`).join(""));
    }
    return parts.join(" > ");
  }

  const shown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const text = (element) => (element.innerText ?? element.textContent ?? "").replace(/\s+/g, " ").trim();
  const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);

  function anatomy() {
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    const seen = new Set(), twice = new Set();
    for (const id of ids) (seen.has(id) ? twice : seen).add(id);
    for (const one of document.querySelectorAll("a[name]")) seen.add(one.name);
    const addresses = [];
    const add = (element, attribute, value) => {
      let url;
      try { url = new URL(value, document.baseURI).href; } catch { url = `unreadable:${value}`; }
      addresses.push({ where: selector(element), attribute, value: value.slice(0, 200), url: url.startsWith("data:") ? "data:" : url,
        visit: element.localName === "a" || element.localName === "area" });
    };
    for (const [tag, attribute] of ADDRESSES)
      for (const one of document.querySelectorAll(tag))
        for (const name of attribute === "href" ? ["href", "xlink:href"] : [attribute])
          if (one.hasAttribute(name)) add(one, name, one.getAttribute(name));
    for (const one of document.querySelectorAll("[srcset]"))
      for (const part of one.getAttribute("srcset").split(/,\s+/)) add(one, "srcset", part.trim().split(/\s+/)[0]);
    const dangling = [];
    for (const attribute of REFERENCES)
      for (const one of document.querySelectorAll(`[${attribute}]`))
        for (const id of one.getAttribute(attribute).trim().split(/\s+/))
          if (!seen.has(id)) dangling.push({ where: selector(one), attribute, value: id });
    for (const one of document.querySelectorAll("svg *"))
      for (const { name, value } of one.attributes)
        for (const [, id] of value.matchAll(/url\(["']?#([^"')]+)/g))
          if (!seen.has(id)) dangling.push({ where: selector(one), attribute: name, value: id });
    const headings = [...document.querySelectorAll("main h2, main h3")].filter((one) => shown(one) && !one.closest("nav")).map(text);
    return { ids: [...seen], twice: [...twice], addresses, dangling, headings, title: document.title, searched: Boolean(document.querySelector("input[type=search]")) };
  }

  async function images() {
    const all = [...document.images];
    for (const one of all) one.loading = "eager";
    await Promise.all(all.map((one) => one.decode().catch(() => null)));
    return all.map((one) => ({ where: selector(one), alt: one.getAttribute("alt"), loaded: one.naturalWidth > 0,
      figure: Boolean(one.closest("figure")), source: (one.getAttribute("src") || "").slice(0, 60) }));
  }

  function size(element) {
    const size = parseFloat(getComputedStyle(element).fontSize);
    const drawn = element.ownerSVGElement ? element.getScreenCTM() : null;
    return drawn ? size * Math.hypot(drawn.a, drawn.b) : size;
  }

  function layout(smallest) {
    const page = document.scrollingElement, width = page.clientWidth;
    const wide = [], frames = [], clipped = [];
    for (const one of document.body.querySelectorAll("*")) {
      if (!shown(one) || one.ownerSVGElement) continue;
      const style = getComputedStyle(one), rect = one.getBoundingClientRect();
      if (scrolls(one) && one.scrollWidth > one.clientWidth + 1) frames.push({ where: selector(one), inside: one.scrollWidth, frame: one.clientWidth });
      if (/hidden|clip/.test(style.overflowX) && one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1 && text(one))
        clipped.push({ where: selector(one), inside: one.scrollWidth, frame: one.clientWidth });
      const beyond = rect.right > width + 1 || (rect.left < -1 && rect.right > 0);
      if (!beyond || rect.width === 0 || wide.some((other) => other.element.contains(one))) continue;
      let inside = one.parentElement;
      while (inside && !scrolls(inside) && !/hidden|clip/.test(getComputedStyle(inside).overflowX)) inside = inside.parentElement;
      if (!inside || inside === document.documentElement || inside === document.body)
        wide.push({ element: one, where: selector(one), left: Math.round(rect.left), right: Math.round(rect.right) });
    }
    const small = new Map(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const one = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "TITLE", "DESC", "NOSCRIPT"].includes(one.tagName.toUpperCase())) continue;
      if (!shown(one)) continue;
      const px = size(one);
      if (px < smallest - 0.01) small.set(selector(one), Math.round(px * 10) / 10);
    }
    return { page: page.scrollWidth, width, wide: wide.slice(0, LIMIT).map(({ element, ...rest }) => rest), frames, clipped: clipped.slice(0, LIMIT),
      small: [...small].slice(0, LIMIT).map(([where, px]) => ({ where, px })) };
  }

  function taps(least) {
    const found = new Map();
    for (const one of document.querySelectorAll("a[href], button, input, select, summary, [role=button]")) {
      const rect = one.getBoundingClientRect();
      if (!shown(one) || rect.right < 0 || (rect.width >= least && rect.height >= least)) continue;
      // A link inside a sentence is as high as its line: WCAG 2.2 excepts it.
      const around = getComputedStyle(one).display === "inline" ? text(one.parentElement) : "";
      if (around.length > text(one).length + 3) continue;
      const key = [one.parentElement, one].map((up) => up.localName + [...up.classList].map((name) => `.${name}`).join("")).join(" > ");
      found.set(key, (found.get(key) || 0) + 1);
    }
    return [...found].map(([where, count]) => ({ where, count }));
  }

  async function axeRun(rules) {
    const run = await axe.run(document, { resultTypes: ["violations", "incomplete"],
      iframes: false, preload: false, runOnly: rules || ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    const brief = (rules) => rules.map((rule) => ({ rule: rule.id, impact: rule.impact, help: rule.help,
      best: rule.tags.includes("best-practice"), count: rule.nodes.length,
      nodes: rule.nodes.slice(0, 5).map((node) => ({ where: node.target.flat().join(" "),
        says: node.failureSummary.split("\n").slice(1).map((line) => line.trim()).join("; ").slice(0, 300) })) }));
    return { violations: brief(run.violations), incomplete: brief(run.incomplete), version: axe.version };
  }

  const folded = () => Boolean(document.querySelector("details:not([open])"));

  const tables = () => [...document.querySelectorAll("table")].filter((one) => one.querySelector("thead th button"));

  const digest = (said) => { let sum = 7; for (let at = 0; at < said.length; at++) sum = (sum * 31 + said.charCodeAt(at)) | 0; return `${said.length}:${sum}`; };

  function column(table, at) {
    const one = tables()[table];
    const head = one.querySelectorAll("thead th button")[at].closest("th");
    const rows = [...one.tBodies].flatMap((body) => [...body.rows]).filter((row) => row.cells.length > head.cellIndex && !row.classList.contains("group"));
    return { name: text(head), state: head.getAttribute("aria-sort"),
      others: [...one.querySelectorAll("th[aria-sort]")].filter((th) => th !== head && th.getAttribute("aria-sort") !== "none").length,
      cells: rows.map((row) => ({ text: text(row.cells[head.cellIndex]), level: Number(row.dataset.level || 0), body: [...one.tBodies].indexOf(row.parentElement),
        value: row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].dataset.sort ?? null })),
      collated: [1, -1].map((turn) => [...one.tBodies].every((body) => collated(rows.filter((row) => row.parentElement === body && !row.dataset.level)
        .map((row) => text(row.cells[head.cellIndex])).filter((said) => said && !/^[–—-]+$/.test(said)), turn))),
      rows: digest(rows.map((row) => row.textContent).sort().join("\n")) };
  }

  // Whether texts stand in the order of an English dictionary, numbers inside them by value: Python has no such order.
  const collated = (texts, turn) => { const order = new Intl.Collator("en", { numeric: true });
    return texts.every((text, at) => at === 0 || turn * order.compare(texts[at - 1], text) <= 0); };

  const sortable = () => tables().map((one) => ({ where: selector(one), columns: one.querySelectorAll("thead th button").length, shown: shown(one) }));

  function focus() {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const style = getComputedStyle(one), rect = one.getBoundingClientRect();
    const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    return { where: selector(one), ring, inView: rect.width > 0 && rect.right > 0 && rect.bottom > 0 && rect.left < innerWidth && rect.top < innerHeight,
      href: one.getAttribute("href") };
  }

  function before() {
    const main = document.querySelector("main");
    if (!main) return 0;
    return [...document.querySelectorAll("a[href], button")].filter((one) => shown(one)
      && one.compareDocumentPosition(main) & Node.DOCUMENT_POSITION_FOLLOWING && !main.contains(one)).length;
  }

  const visibleLinks = () => [...document.querySelectorAll("a[href]")].filter(shown).map((one) => one.href);
  const codes = () => [...document.querySelectorAll("main pre")].filter(shown).length;

  function target(id) {
    const one = document.getElementById(id);
    if (!one) return null;
    const rect = one.getBoundingClientRect();
    return { shown: shown(one), inView: rect.bottom > 0 && rect.top < innerHeight, text: text(one).slice(0, 2000) };
  }

  return { anatomy, folded, images, layout, taps, axeRun, sortable, column, focus, before, visibleLinks, codes, target };
})();
