// The table of claims: shown, searched and sorted here; everything else on the page works without a script.
(() => {
  "use strict";
  const { words, columns, rows } = JSON.parse(document.getElementById("claims-data").textContent);
  const AT = 200; // rows at a time
  const [RUNG, REFERENCE, PROPERTY, STAGE, DOMAIN, DTYPE, CRITERION, VERDICT] =
    ["rung", "reference", "property", "stage", "domain", "dtype", "criterion", "verdict"].map((name) => columns.indexOf(name));
  const [CASE, AGAIN, REASON, RELATION, CASES, OBSERVED, BOUND, LEAST, RATIO] =
    ["case", "reproduce", "reason", "relation", "n_cases", "observed", "bound", "at_least", "ratio"].map((name) => columns.indexOf(name));
  const COLUMNS = [RUNG, REFERENCE, PROPERTY, STAGE, DOMAIN, DTYPE, CRITERION, RATIO, CASES, VERDICT];
  const CLASSES = { "holds": "certified", "holds, with a wide limit": "slack", "declared difference": "divergence" };
  const table = document.getElementById("claims-table");
  const body = table.tBodies[0];
  const search = document.getElementById("claims-search");
  const status = document.getElementById("claims-status");
  const more = document.getElementById("claims-more");
  const number = (value) => (typeof value === "string" ? (value === "nan" ? Infinity : Number(value.replace("inf", "Infinity"))) : value);
  const isDeclared = (row) => words[row[VERDICT]] === "declared difference";
  const texts = rows.map((row) => row.slice(0, CASES).map((i) => words[i]).join(" ").toLowerCase());
  const order = rows.map((_, i) => i);
  let found = order.slice();
  let shown = 0;

  function percent(row) {
    if (isDeclared(row)) return "";
    const share = 100 * number(row[RATIO]);
    if (share === 0) return "0";
    if (share < 1) return "<1";
    if (share >= 99 && share < 100) return (Math.floor(10 * share) / 10).toFixed(1);
    return Number.isFinite(share) ? Math.round(share).toLocaleString("en") : "∞";
  }

  function cell(row, text, column) {
    const td = row.insertCell();
    td.textContent = text;
    if (column === RATIO || column === CASES) td.className = "n";
    return td;
  }

  function tell(button, data) {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    const line = button.closest("tr");
    if (open) {
      line.nextSibling.remove();
      return;
    }
    const told = body.insertRow(line.sectionRowIndex + 1);
    told.className = "told";
    const td = told.insertCell();
    td.colSpan = COLUMNS.length;
    const allowed = isDeclared(data) ? `declared: ${data[LEAST]} to ${data[BOUND]}` : `at most ${data[BOUND]} allowed`;
    for (const [name, text, code] of [
      ["Measured", `${data[OBSERVED]}; ${allowed}`],
      ["Relation", words[data[RELATION]]],
      ["The limit", words[data[REASON]]],
      ["Worst case", words[data[CASE]], true],
      ["Run it again", words[data[AGAIN]], true],
    ]) {
      const p = td.appendChild(document.createElement("p"));
      p.appendChild(document.createElement("b")).textContent = `${name}: `;
      p.appendChild(code ? document.createElement("code") : document.createElement("span")).textContent = text;
    }
  }

  function extend() {
    for (const i of found.slice(shown, shown + AT)) {
      const data = rows[i];
      const line = body.insertRow();
      for (const column of COLUMNS) {
        if (column === RUNG) {
          const button = cell(line, "", column).appendChild(document.createElement("button"));
          button.textContent = words[data[RUNG]];
          button.setAttribute("aria-expanded", "false");
          button.title = "numbers, limit, worst case and command";
          button.addEventListener("click", () => tell(button, data));
        } else if (column === RATIO) cell(line, percent(data), column);
        else if (column === CASES) cell(line, data[CASES].toLocaleString("en"), column);
        else {
          const text = words[data[column]];
          const td = cell(line, text, column);
          if (column === VERDICT) td.className = CLASSES[text] || "failed";
        }
      }
    }
    shown = Math.min(shown + AT, found.length);
    more.hidden = shown === found.length;
    const all = rows.length.toLocaleString("en");
    status.textContent = `${found.length.toLocaleString("en")} of ${all} claims match, ${shown.toLocaleString("en")} shown`;
  }

  function show() {
    const tokens = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = order.filter((i) => tokens.every((token) => texts[i].includes(token)));
    body.replaceChildren();
    shown = 0;
    extend();
  }

  function sort(header, column) {
    const numeric = column === RATIO || column === CASES; // the largest first
    const [first, second] = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
    const direction = header.getAttribute("aria-sort") === first ? second : first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const key = column === RATIO ? (row) => (isDeclared(row) ? -1 : number(row[RATIO]))
      : column === CASES ? (row) => row[CASES] : (row) => words[row[column]];
    const keys = rows.map(key);
    order.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
    if (direction === "descending") order.reverse();
    show();
  }

  [...table.tHead.rows[0].cells].forEach((header, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    button.addEventListener("click", () => sort(header, COLUMNS[i]));
  });
  search.addEventListener("input", show);
  more.addEventListener("click", extend);
  document.getElementById("claims-live").hidden = false;
  show();
  // a link to a section opens what it leads to
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) target.querySelector("details")?.setAttribute("open", "");
  };
  addEventListener("hashchange", open);
  open();
})();
