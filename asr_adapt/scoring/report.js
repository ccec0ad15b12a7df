"use strict";
// The table of utterances: filtered, sorted, and drawn only where it is in view, so that 10,000 rows stay fluid.
// Rows arrive as lists, see rows_json in report_data.py. Nothing is fetched.
const ID = 0, SECONDS = 1, WORDS = 2, REFERENCE = 3, HEARD = 4, ERRORS = 5, FIELDS = 6, AUDIO = 7, LOOPED = 8;
const ROW_HEIGHT = 34, MARGIN_ROWS = 8, WORST = 10;
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const state = { set: 0, view: [], sort: "change", falling: true, selected: -1, filters: [] };
const current = () => data.sets[state.set];
const rate = (row, system) => row[ERRORS][system] / Math.max(row[WORDS], 1);
const looks = (column) => column.number ? "number" : "";
const narrow = matchMedia("(max-width: 600px)");
const count = (number, word) => number + " " + word + (number === 1 ? "" : "s");
const percent = (value) => (100 * value).toFixed(1) + " %";

function columns() {
  const systems = current().systems;
  const list = [
    { key: "id", label: "id", width: "9rem", wide: true, value: (row) => row[ID] },
    { key: "text", label: "said", width: "auto", value: (row) => row[REFERENCE], show: (row) => (row[LOOPED].includes(1) ? "↻ " : "") + row[REFERENCE] },
    { key: "seconds", label: "seconds", width: "5.5rem", number: true, wide: true, value: (row) => row[SECONDS] ?? -1, show: (row) => row[SECONDS] ?? "–" },
    { key: "words", label: "words", width: "4.5rem", number: true, wide: true, value: (row) => row[WORDS] },
  ];
  systems.forEach((label, index) => list.push({
    key: "wer" + index, label: systems.length > 1 ? label : "WER", width: "5.4rem", number: true,
    wide: index < systems.length - 1, value: (row) => rate(row, index), show: (row) => percent(rate(row, index)),
  }));
  if (systems.length > 1) list.push({
    key: "change", label: "change", width: "5.5rem", number: true,
    value: (row) => row[ERRORS].at(-1) - row[ERRORS][0],
    show: (row) => { const change = row[ERRORS].at(-1) - row[ERRORS][0]; return (change > 0 ? "+" : "") + change; },
  });
  return narrow.matches ? list.filter((column) => !column.wide) : list; // the text needs the room
}

function align(said, heard) { // Levenshtein over words; its length is the number of errors counted on the server
  const a = said ? said.split(" ") : [], b = heard ? heard.split(" ") : [], wide = b.length + 1;
  const cost = new Uint16Array((a.length + 1) * wide);
  for (let i = 0; i <= a.length; i++) for (let j = 0; j <= b.length; j++) cost[i * wide + j] = !i ? j : !j ? i : Math.min(
    cost[(i - 1) * wide + j - 1] + (a[i - 1] !== b[j - 1]), cost[(i - 1) * wide + j] + 1, cost[i * wide + j - 1] + 1);
  const steps = [];
  for (let i = a.length, j = b.length; i || j;) {
    const here = cost[i * wide + j];
    if (i && j && here === cost[(i - 1) * wide + j - 1] + (a[i - 1] !== b[j - 1])) { i--; j--; steps.push([a[i] === b[j] ? "hit" : "sub", a[i], b[j]]); }
    else if (i && here === cost[(i - 1) * wide + j] + 1) { i--; steps.push(["del", a[i], ""]); }
    else { j--; steps.push(["ins", "", b[j]]); }
  }
  return steps.reverse();
}

function alignment(said, heard) {
  const line = element("p", { class: "alignment" });
  for (const [kind, before, after] of align(said, heard)) {
    const span = element("span", kind === "hit" ? {} : { class: kind, title: { sub: "substituted", del: "deleted", ins: "inserted" }[kind] });
    if (kind === "sub" || kind === "del") span.append(element("s", {}, before), kind === "sub" ? " " + after : "");
    else span.append(after);
    line.append(span, " ");
  }
  return line;
}

function describe(row, preload) {
  const set = current(), parts = [element("h3", {}, row[ID])];
  const facts = set.fields.map((name, index) => row[FIELDS][index] && name + " " + row[FIELDS][index]).filter(Boolean);
  parts.push(element("p", { class: "quiet" }, [row[SECONDS] === null ? "" : row[SECONDS] + " s", count(row[WORDS], "word"), ...facts].filter(Boolean).join(" · ")));
  if (row[AUDIO]) parts.push(element("audio", { controls: "", preload, src: row[AUDIO], "aria-label": "sound of " + row[ID] }));
  set.systems.forEach((label, index) => {
    parts.push(element("strong", {}, label + " "), element("span", { class: "quiet" }, count(row[ERRORS][index], "error") + ", " + percent(rate(row, index))), ...looped(row, index), alignment(row[REFERENCE], row[HEARD][index]));
  });
  return parts;
}

function looped(row, system) {
  return row[LOOPED][system] ? [" ", element("span", { class: "verdict underpowered", title: "the decoder repeated itself over and over" }, "↻ looped")] : [];
}

function drawHead() {
  $("head").replaceChildren(...columns().map((column) => {
    const sorted = state.sort === column.key;
    const button = element("button", { type: "button", "data-key": column.key }, column.label + (sorted ? (state.falling ? " ▾" : " ▴") : ""));
    button.addEventListener("click", () => {
      state.falling = sorted ? !state.falling : Boolean(column.number);
      state.sort = column.key;
      refresh();
      document.querySelector(`[data-key="${column.key}"]`).focus();
    });
    return element("th", { scope: "col", style: "width:" + column.width, class: looks(column), "aria-sort": sorted ? (state.falling ? "descending" : "ascending") : "none" }, button);
  }));
}

function refresh() {
  const set = current(), needle = $("search").value.trim().toLowerCase(), kind = $("kind").value;
  const chosen = state.filters.map((select) => select.value);
  state.view = set.rows.map((_, index) => index).filter((index) => {
    const row = set.rows[index], change = row[ERRORS].at(-1) - row[ERRORS][0];
    if (kind === "wrong" && !row[ERRORS].some((n) => n > 0)) return false;
    if (kind === "looped" && !row[LOOPED].includes(1)) return false;
    if (kind === "worse" && change <= 0) return false;
    if (kind === "better" && change >= 0) return false;
    if (chosen.some((value, field) => value !== "" && row[FIELDS][field] !== value)) return false;
    return !needle || [row[ID], row[REFERENCE], ...row[HEARD]].some((text) => text.toLowerCase().includes(needle));
  });
  const list = columns(), column = list.find((item) => item.key === state.sort) ?? list.at(-1);
  state.sort = column.key;
  const sign = state.falling ? -1 : 1;
  state.view.sort((a, b) => {
    const x = column.value(set.rows[a]), y = column.value(set.rows[b]);
    return (x < y ? -sign : x > y ? sign : 0) || a - b;
  });
  $("count").textContent = state.view.length + " of " + set.rows.length + " rows";
  drawHead();
  drawRows(true);
}

let drawn = "";
function drawRows(force) {
  const box = $("viewport"), set = current(), list = columns();
  const first = Math.max(0, Math.floor(box.scrollTop / ROW_HEIGHT) - MARGIN_ROWS);
  const last = Math.min(state.view.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW_HEIGHT) + MARGIN_ROWS);
  const key = first + "-" + last;
  if (!force && key === drawn) return;
  drawn = key;
  const spacer = (rows) => element("tr", { class: "spacer", "aria-hidden": "true" }, element("td", { colspan: list.length, style: `height:${rows * ROW_HEIGHT}px` }));
  const made = [];
  if (first > 0) made.push(spacer(first));
  for (let place = first; place < last; place++) {
    const index = state.view[place], row = set.rows[index];
    const line = element("tr", { "data-row": index, "aria-rowindex": place + 2, "aria-selected": String(index === state.selected) });
    for (const column of list) line.append(element("td", { class: looks(column) }, String((column.show ?? column.value)(row))));
    made.push(line);
  }
  if (last < state.view.length) made.push(spacer(state.view.length - last));
  $("rows").setAttribute("aria-rowcount", state.view.length + 1);
  $("body").replaceChildren(...made);
}

function select(index) {
  state.selected = index;
  $("detail").replaceChildren(...describe(current().rows[index], "metadata"));
  drawRows(true);
}

function move(step) {
  if (!state.view.length) return;
  const place = Math.min(state.view.length - 1, Math.max(0, state.view.indexOf(state.selected) + step));
  const box = $("viewport"), top = place * ROW_HEIGHT;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top + 2 * ROW_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + 2 * ROW_HEIGHT - box.clientHeight;
  select(state.view[place]);
}

function drawFilters() {
  const set = current();
  state.filters = set.fields.map((name, field) => {
    const values = [...new Set(set.rows.map((row) => row[FIELDS][field]))].filter(Boolean).sort();
    return element("select", { "data-field": name }, element("option", { value: "" }, "all"), ...values.map((value) => element("option", { value }, value)));
  });
  $("field-filters").replaceChildren(...state.filters.map((select, index) => element("label", {}, set.fields[index] + " ", select)));
  const several = set.systems.length > 1;
  const loops = set.rows.some((row) => row[LOOPED].includes(1));
  for (const option of $("kind").options) option.hidden = (!several && (option.value === "worse" || option.value === "better")) || (!loops && option.value === "looped");
}

function scatter(id, value, label) {
  const canvas = $(id), pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim(), system = current().systems.length - 1;
  const points = current().rows.map((row) => [value(row), rate(row, system)]).filter(([x]) => x !== null);
  const right = Math.max(1, ...sample(points.map(([x]) => x))), top = Math.min(2, Math.max(1, ...sample(points.map(([, y]) => y))));
  const size = narrow.matches ? 19 : 12, left = 4 * size - 2;  // a phone shows the drawing at half its size
  const px = (x) => left + x / right * (626 - left), py = (y) => 250 - Math.min(y, top) / top * 236;
  pen.clearRect(0, 0, 640, 280);
  pen.font = size + "px system-ui, sans-serif";
  for (let i = 0; i <= 4; i++) {
    pen.strokeStyle = colour("--line"); pen.beginPath(); pen.moveTo(left, py(top * i / 4)); pen.lineTo(626, py(top * i / 4)); pen.stroke();
    pen.fillStyle = colour("--quiet"); pen.textAlign = "right"; pen.fillText(Math.round(100 * top * i / 4) + " %", left - 4, py(top * i / 4) + 4);
    pen.textAlign = "center"; pen.fillText((right * i / 4).toFixed(right < 8 ? 1 : 0), px(right * i / 4), 254 + size);
  }
  if (!narrow.matches) { pen.textAlign = "right"; pen.fillText(label, 626, 278); }
  pen.fillStyle = colour("--c1"); pen.globalAlpha = points.length > 1000 ? .25 : .5;
  for (const [x, y] of points) { pen.beginPath(); pen.arc(px(x), py(y), 2.5, 0, 7); pen.fill(); }
  pen.globalAlpha = 1;
}
const sample = (values) => [values.reduce((most, value) => Math.max(most, value), 0)];

function drawWorst() {
  const set = current(), last = set.systems.length - 1;
  const worst = [...set.rows].sort((a, b) => b[ERRORS][last] - a[ERRORS][last]).slice(0, WORST).filter((row) => row[ERRORS][last]);
  $("worst-rows").replaceChildren(...worst.map((row) => element("div", { class: "worst-row" }, ...describe(row, "none"))));
}

function drawPlots() {
  scatter("scatter-duration", (row) => row[SECONDS], "seconds");
  scatter("scatter-words", (row) => row[WORDS], "words");
}

function open(set) {
  state.set = set; state.selected = -1; $("viewport").scrollTop = 0;
  drawFilters(); refresh(); drawPlots(); drawWorst();
}

data.sets.forEach((set, index) => $("set").append(element("option", { value: index }, set.name)));
$("set-label").hidden = data.sets.length < 2;
$("set").addEventListener("change", () => open(Number($("set").value)));
$("filters").addEventListener("input", (event) => { if (event.target.id !== "set") { $("viewport").scrollTop = 0; refresh(); } });
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("viewport").addEventListener("scroll", () => drawRows(false), { passive: true });
$("body").addEventListener("click", (event) => { const line = event.target.closest("[data-row]"); if (line) select(Number(line.dataset.row)); });
$("viewport").addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  if (event.target === $("viewport") && event.key in steps) { event.preventDefault(); move(steps[event.key]); }
  if (event.target === $("viewport") && event.key === "Enter") { if (state.selected < 0) move(1); $("detail").querySelector("audio")?.play(); }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
addEventListener("resize", () => drawRows(true));
narrow.addEventListener("change", () => { refresh(); drawPlots(); });
open(0);
