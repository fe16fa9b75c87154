/* The report site without a server: search, tables that sort, code that folds. Nothing is loaded from outside. */
(function () {
  "use strict";
  const root = document.currentScript ? document.currentScript.dataset.root : "";
  const MOST = 40;

  /* ---- tables: a number is what the text begins with; a dash or nothing comes last */
  const NUMBER = /^(?:(?:OR|HR|RR|AUC|C)\s+)?([<>≤≥]?)\s*([-+]?(?:∞|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?))(?![\w.]|-\d)/i;

  function sortKey(text) {
    const plain = text.replace(/[\u00a0\u2009\u202f]/g, " ").replace(/\u2212/g, "-").trim();
    if (plain === "" || /^[–—-]+$/.test(plain)) return null;
    const found = NUMBER.exec(plain);
    if (!found) return plain;
    const value = Number(found[2].replace(/,/g, "").replace("∞", "Infinity"));
    if (!Number.isFinite(value)) return value;
    const beyond = { "<": -1e-9, "≤": 0, ">": 1e-9, "≥": 0 }[found[1]] || 0;
    return value + beyond * Math.max(1, Math.abs(value));
  }

  function compare(a, b, up) {
    if (a === null || b === null) return (a === null) - (b === null);
    const numbers = typeof a === "number" && typeof b === "number";
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    const order = numbers ? Math.sign(a - b) || 0 : String(a).localeCompare(String(b), "en", { numeric: true });
    return up ? order : -order;
  }

  /* A row and the indented rows under it stay together; what stands under a group's heading stays there. */
  function families(body) {
    const found = [];
    for (const row of body.rows) {
      if (row.classList.contains("group")) continue;
      if (row.dataset.level === "1" && found.length) found[found.length - 1].push(row);
      else found.push([row]);
    }
    return found;
  }

  /* A column is one of numbers if at least half of what it holds begins with one. */
  function holdsNumbers(table, column) {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => row.cells[column] && !row.classList.contains("group"));
    const keys = rows.map((row) => sortKey(row.cells[column].textContent)).filter((key) => key !== null);
    return 2 * keys.filter((key) => typeof key === "number").length >= keys.length;
  }

  function sortBody(body, column, up, numbers) {
    const textOf = (row) => (row.cells[column] ? row.cells[column].textContent : "");
    const order = (list, rowOf) => {
      const keyed = list.map((one, place) => ({ one, place, key: sortKey(textOf(rowOf(one))) }));
      if (!numbers) keyed.forEach((entry) => { if (entry.key !== null) entry.key = textOf(rowOf(entry.one)).trim(); });
      return keyed.sort((a, b) => compare(a.key, b.key, up) || a.place - b.place).map((entry) => entry.one);
    };
    for (const family of order(families(body), (rows) => rows[0])) {
      body.append(family[0], ...order(family.slice(1), (row) => row));
    }
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const told = document.createElement("p");
    told.className = "unseen";
    told.setAttribute("role", "status");
    table.parentElement.after(told);
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const numbers = holdsNumbers(table, column);
        for (const body of table.tBodies) sortBody(body, column, up, numbers);
        told.textContent = `Sorted by ${button.textContent.trim()}, ${up ? "ascending" : "descending"}`;
      });
    });
  }

  function makeFilter(input) {
    const table = document.getElementById(input.dataset.filter);
    const holder = input.closest(".filter");
    const told = holder.querySelector("[role=status]");
    holder.hidden = false;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      told.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
    });
  }

  /* ---- code of a notebook */
  function makeSwitch(button) {
    const all = [...document.querySelectorAll("details.code")];
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-pressed") !== "true";
      all.forEach((one) => { one.open = open; });
      button.setAttribute("aria-pressed", String(open));
      button.textContent = open ? "Hide all code" : "Show all code";
    });
  }

  /* ---- contents: open beside the page, closed above it on a small screen */
  function foldContents(toc) {
    const wide = window.matchMedia("(min-width: 64rem)");
    const fold = () => { toc.open = wide.matches; };
    wide.addEventListener("change", fold);
    fold();
  }

  /* Whoever comes for a cell sees its code. */
  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const inside = target.querySelector(":scope > details.code");
    if (inside) inside.open = true;
    for (let up = target.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  }

  /* ---- search: the index is a script, read when the box is first used */
  function makeSearch(form) {
    const input = form.querySelector("input");
    const panel = form.querySelector(".found");
    const told = panel.querySelector("[role=status]");
    const list = panel.querySelector("ul");
    let asked = false;
    form.hidden = false;

    function load() {
      if (asked) return;
      asked = true;
      const script = document.createElement("script");
      script.src = root + "search-index.js";
      script.addEventListener("load", show);
      script.addEventListener("error", () => { told.textContent = "The search index is missing."; });
      document.head.append(script);
    }

    function item([page, anchor, text], words) {
      const [path, title] = window.searchIndex.pages[page];
      const link = document.createElement("a");
      link.href = root + path + (anchor ? "#" + encodeURIComponent(anchor) : "");
      const head = document.createElement("strong");
      head.textContent = title;
      link.append(head, ...marked(cut(text, words), words));
      const entry = document.createElement("li");
      entry.append(link);
      return entry;
    }

    function cut(text, words) {
      const at = Math.max(0, Math.min(...words.map((word) => text.toLowerCase().indexOf(word)).filter((n) => n >= 0)) - 60);
      const start = Number.isFinite(at) ? at : 0;
      return (start ? "… " : "") + text.slice(start, start + 180) + (text.length > start + 180 ? " …" : "");
    }

    function marked(text, words) {
      const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      return text.split(new RegExp(`(${escaped.join("|")})`, "i")).map((part, place) => {
        if (place % 2 === 0) return part;
        const mark = document.createElement("mark");
        mark.textContent = part;
        return mark;
      });
    }

    function show() {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      panel.hidden = !words.length;
      list.replaceChildren();
      if (!words.length || !window.searchIndex) return;
      const { pages, entries } = window.searchIndex;
      const found = entries.filter(([page, , text]) => {
        const where = `${pages[page][1]} ${text}`.toLowerCase();
        return words.every((word) => where.includes(word));
      });
      list.append(...found.slice(0, MOST).map((one) => item(one, words)));
      const more = found.length > MOST ? `, the first ${MOST} are shown` : "";
      told.textContent = found.length ? `${found.length} place${found.length === 1 ? "" : "s"} found${more}` : "Nothing found";
    }

    input.addEventListener("focus", load);
    input.addEventListener("input", () => { load(); show(); });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = list.querySelector("a");
      if (first) first.click();
    });
    form.addEventListener("keydown", (event) => {
      const links = [...list.querySelectorAll("a")];
      const place = links.indexOf(document.activeElement);
      if (event.key === "Escape") { panel.hidden = true; input.focus(); }
      else if (event.key === "ArrowDown" && links.length) { event.preventDefault(); links[Math.min(place + 1, links.length - 1)].focus(); }
      else if (event.key === "ArrowUp" && place >= 0) { event.preventDefault(); (links[place - 1] || input).focus(); }
    });
    document.addEventListener("click", (event) => { if (!form.contains(event.target)) panel.hidden = true; });
    list.addEventListener("click", () => { panel.hidden = true; });
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll("input[data-filter]").forEach(makeFilter);
  document.querySelectorAll("[data-switch=code]").forEach(makeSwitch);
  document.querySelectorAll("form.search").forEach(makeSearch);
  document.querySelectorAll("details.toc").forEach(foldContents);
  window.addEventListener("hashchange", openTarget);
  openTarget();
  window.reportSite = { sortKey, compare };
})();
