// Several runs over one axis: lanes of phases and faults, a chart for each measure, a table of differences.
import uPlot from "./vendor/uplot.js";
import { say, send } from "./shell.js";
import { clock, count, ms, rate } from "./lib/format.js";
import { el } from "./lib/ask.js";
import { moments, refresh } from "./lib/refresh.js";

const stack = document.getElementById("stack");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const DASHES = [[6, 4], [], [10, 3, 2, 3], [2, 3], [14, 4]];
const KINDS = {
  good: { high: 150, text: (v) => `${rate(v)}/s` }, failed: { high: 110, text: (v) => `${rate(v)}/s` }, p95: { high: 130, text: ms, log: true },
  in_flight: { high: 90, text: (v) => count(v, 0) }, attempts: { high: 90, text: (v) => `${count(v, 2)} ×`, low: 0.9, top: 2 },
};
const params = new URLSearchParams(location.search);
let align = params.get("align") === "start" ? "start" : "fault";
let data = null, shown = null, charts = [], cursor = null;

// ---- one axis

/** Seconds by which a run is moved, on whole points. */
const zero = (run) => (align === "fault" ? Math.round(data.runs[run].zero / data.step) * data.step : 0);
const moment = (s) => (align === "fault" ? (s < 0 ? `−${clock(-s)}` : `+${clock(s)}`) : clock(s));

function laid() {
  const { step, order } = data;
  const first = Math.min(...order.map((run) => -zero(run))), last = Math.max(...order.map((run) => data.runs[run].length - zero(run)), first + step);
  const x = [];
  for (let t = first; t < last; t += step) x.push(t);
  const columns = {};
  data.columns.slice(1).forEach((name, at) => {
    columns[name] = order.map((run) => {
      const found = new Array(x.length).fill(null);
      for (const row of data.runs[run].rows) { const i = Math.round((row[0] - zero(run) - first) / step); if (i >= 0 && i < found.length) found[i] = row[at + 1]; }
      return found;
    });
  });
  return { x, first, last, columns };
}

// ---- lanes

function lanes() {
  const { first, last } = shown, at = (s) => `${(100 * (s - first)) / (last - first)}%`;
  for (const track of document.querySelectorAll("[data-lane]")) {
    const run = data.runs[track.dataset.lane], off = zero(track.dataset.lane);
    const place = (node, from, to) => { node.style.left = at(from - off); node.style.width = `${(100 * (to - from)) / (last - first)}%`; return node; };
    const parts = [];
    if (!run.phases.length) parts.push(place(el("span", { class: "extent" }), 0, run.length));
    for (const one of run.phases) parts.push(place(el("span", { class: `phase ${one.kind === "fault" ? "fault" : ""}`, title: one.name }, one.name), one.from, one.to ?? run.length));
    for (const fault of run.faults) for (const [from, to] of fault.spans) parts.push(place(el("span", { class: "span", title: `${fault.id}: ${fault.proxy}/${fault.name} ${fault.text}` }, fault.id), from, to ?? run.length));
    track.replaceChildren(...parts);
  }
}

/** The faults of all runs, where they lie on the axis, each stretch once. */
const bands = () => data.order.flatMap((run) => data.runs[run].faults.flatMap((fault) => fault.spans.map(([from, to]) => [from - zero(run), (to ?? data.runs[run].length) - zero(run)])))
  .sort((a, b) => a[0] - b[0]).reduce((all, [from, to]) => { const end = all.at(-1); if (end && from <= end[1] + 0.5) end[1] = Math.max(end[1], to); else all.push([from, to]); return all; }, []);

// ---- charts

const decades = (u, axis, low, high) => { const found = []; for (let n = low; n <= high * 1.01; n *= 10) found.push(Number(n.toPrecision(1))); return found; };
function chart(root, id) {
  const kind = KINDS[id], axis = { stroke: () => css("text-3"), font: `11px ${css("sans")}`, grid: { stroke: () => css("grid"), width: 1 }, ticks: { show: false } };
  const most = Math.max(0, ...shown.columns[id].flat().map((v) => v ?? 0)), last = id === Object.keys(KINDS).at(-1);
  root.style.setProperty("--high", `${kind.high + (last ? 26 : 0)}px`);
  const u = new uPlot({
    width: root.clientWidth, height: kind.high + (last ? 26 : 0), legend: { show: false }, padding: [10, 0, last ? 0 : 8, 0],
    cursor: { sync: { key: "compare", setSeries: false }, y: false, drag: { x: false, y: false }, points: { size: 6, width: 1.5, stroke: (chart, i) => chart.series[i].stroke(), fill: () => css("surface") } },
    scales: { x: { time: false, range: () => [shown.first, shown.last] }, y: kind.log && most > 0 ? { distr: 3, log: 10, range: (chart, low, high) => [Math.max(0.1, 10 ** Math.floor(Math.log10(Math.max(low, 0.1)))), 10 ** Math.ceil(Math.log10(Math.max(high, 1) * 1.01))] } : { range: () => [kind.low ?? 0, Math.max(most * 1.12, kind.top ?? 1)] } },
    axes: [
      { ...axis, show: last, size: 26, gap: 6, values: (chart, v) => v.map((s) => (s <= shown.first ? "" : moment(s))), incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600], space: 64 },
      { ...axis, side: 1, size: 46, gap: 6, space: 28, ...(kind.log && most > 0 && { splits: decades }), values: (chart, v) => v.map((n) => (kind.log ? (n >= 1000 ? `${n / 1000} s` : `${n} ms`) : n >= 1000 ? `${n / 1000}k` : String(n))) },
    ],
    series: [{}, ...data.order.map((run, i) => ({ stroke: () => css(`run-${i + 1}`), width: i ? 1.75 : 2, dash: DASHES[i], points: { show: false }, spanGaps: id === "p95" }))],
    hooks: { drawClear: [paint], setCursor: [read] },
  }, [shown.x, ...shown.columns[id]], root);
  u.id = id;
  return u;
}

function paint(u) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
  ctx.fillStyle = css("fault-tint");
  for (const [from, to] of bands()) ctx.fillRect(u.valToPos(from, "x", true), bbox.top, Math.max(1, u.valToPos(to, "x", true) - u.valToPos(from, "x", true)), bbox.height);
  ctx.restore();
}

function read(u) {
  const index = u.cursor.idx;
  if (index === cursor && u.id !== "good") return;
  cursor = index ?? null;
  for (const one of document.querySelectorAll("[data-value]")) {
    const [id, run] = [one.dataset.value.slice(0, one.dataset.value.lastIndexOf("-")), Number(one.dataset.value.split("-").at(-1))];
    const value = cursor == null ? mean(id, run) : shown.columns[id][run][cursor];
    one.textContent = value == null ? "–" : KINDS[id].text(value);
  }
}
/** Without a pointer: the mean over what was aligned (the median of latencies). */
function mean(id, run) {
  const known = shown.columns[id][run].filter((v) => v != null);
  if (!known.length) return null;
  return id === "p95" ? [...known].sort((a, b) => a - b)[known.length >> 1] : known.reduce((a, b) => a + b, 0) / known.length;
}

function keys(event) {
  const u = charts[0];
  if (!u) return;
  const step = event.shiftKey ? 10 : 1, now = cursor ?? 0;
  const next = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: shown.x.length - 1, Escape: -1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  if (event.key === "Escape") { for (const one of charts) one.setCursor({ left: -10, top: -10 }); return; }
  const at = Math.min(Math.max(next, 0), shown.x.length - 1);
  for (const one of charts) one.setCursor({ left: u.valToPos(shown.x[at], "x"), top: 10 });
  const words = data.order.map((run, i) => `run ${run}: ${KINDS.good.text(shown.columns.good[i][at])} served, p95 ${ms(shown.columns.p95[i][at])}`);
  document.getElementById("reading").textContent = `${moment(shown.x[at])}, ${words.join("; ")}`;
}

function draw() {
  for (const one of charts) one.destroy();
  shown = laid();
  lanes();
  charts = [...document.querySelectorAll("[data-chart]")].map((root) => chart(root, root.dataset.chart));
  cursor = undefined;
  read({ cursor: { idx: null }, id: "good" });
}
function choose(which) {
  align = which;
  for (const one of document.querySelectorAll("[data-align]")) one.setAttribute("aria-pressed", String(one.dataset.align === align));
  const address = new URL(location.href);
  if (align === "start") address.searchParams.set("align", "start"); else address.searchParams.delete("align");
  history.replaceState(null, "", address);
  if (data) draw();
}

// ---- tables

const mark = (met) => (met == null ? null : el("span", { class: `met ${met ? "pass" : "fail"}` }, met ? "✓" : "✗", el("span", { class: "sr" }, met ? "met " : "not met ")));
const arrow = (cell) => (cell.arrow ? (cell.arrow === "up" ? "▲ " : "▼ ") : "");
function table(rows) {
  const root = document.getElementById("table");
  if (!rows.length) { root.replaceChildren(el("p", { class: "empty" }, "These runs have nothing in common that could be compared.")); return; }
  let last;
  root.replaceChildren(el("table", { class: "list" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Measure"), ...data.order.map((run, i) => el("th", { scope: "col" }, el("span", { class: `key line run-${i + 1}` }), `#${run}${i ? "" : " (reference)"}`)))),
    el("tbody", {}, ...rows.map((row) => {
      const group = row.objective ? "objectives" : row.flow, named = group !== last;
      last = group;
      return el("tr", { class: named ? "first" : null }, el("th", { scope: "row" }, row.flow && !row.objective ? el("span", { class: "dim" }, row.flow) : null, row.name),
        ...row.cells.map((cell) => el("td", { class: cell.quiet ? "dim" : null }, mark(cell.met), cell.text, cell.change ? el("span", { class: `change ${cell.tone ?? ""}` }, arrow(cell), cell.change) : null)));
    }))));
}

function differs(found) {
  const root = document.getElementById("differs"), reference = data.order[0];
  root.replaceChildren(...data.order.slice(1).map((run) => {
    const one = found[run], parts = [el("h3", {}, `#${run} against #${reference}`)];
    if (one.sentence) parts.push(el("p", {}, one.sentence));
    if (one.before.length) parts.push(el("p", { class: "banner" }, `Before any fault it was not the same system: ${one.before.join("; ")}`));
    if (one.settings.length) parts.push(el("div", { class: "wide" }, el("table", { class: "list" },
      el("thead", {}, el("tr", {}, el("th", {}, "What"), el("th", {}, `#${reference}`), el("th", {}, `#${run}`), el("th", { class: "opt" }, "What that does"))),
      el("tbody", {}, ...one.settings.map((it) => el("tr", {}, el("td", {}, it.what), el("td", {}, it.before || "–"), el("td", {}, it.after || "–"), el("td", { class: "opt dim" }, it.meaning)))))));
    if (one.file.length) parts.push(el("pre", { class: "code", tabindex: "0", "aria-label": "What changed in the experiment's file" }, ...one.file.map((text) => el("span", { class: /^\+(?!\+)/.test(text) ? "plus" : /^-(?!-)/.test(text) ? "minus" : "dim" }, `${text}\n`))));
    if (!one.settings.length && !one.file.length) parts.push(el("p", {}, "Nothing: file, load, seed, versions and agents were the same."));
    return el("div", { class: "against" }, ...parts);
  }));
}

async function begin() {
  const runs = stack.dataset.runs;
  const failed = (id) => (error) => document.getElementById(id).replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
  const slow = send("GET", `compare/differences?runs=${runs}`);
  try { data = await send("GET", `compare?runs=${runs}`); }
  catch (error) { failed("table")(error); failed("differs")(error); document.getElementById("charts").replaceChildren(el("p", { class: "empty" }, `The curves cannot be drawn: ${error.message}`)); slow.catch(() => {}); return; }
  if (!data.order.some((run) => data.runs[run].zero)) { stack.querySelector(".seg").hidden = true; align = "start"; }
  choose(align);
  try { const found = await slow; const plain = data.measures.filter((one) => !one.objective); table([...plain, ...found.rows, ...data.measures.filter((one) => one.objective)]); differs(found.differs); }
  catch (error) { failed("table")(error); failed("differs")(error); }
}

if (stack) {
  begin();
  for (const one of document.querySelectorAll("[data-align]")) one.addEventListener("click", () => choose(one.dataset.align));
  document.getElementById("charts").addEventListener("keydown", keys);
  new ResizeObserver(() => { for (const one of charts) one.setSize({ width: one.root.parentElement.clientWidth, height: one.height }); }).observe(stack);
  const redraw = () => { for (const one of charts) one.redraw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-pin]");
    if (!button) return;
    try { await send("PUT", `runs/${button.dataset.pin}/baseline`, { on: Boolean(button.dataset.on) }); await refresh("sides"); say(button.dataset.on ? `Run ${button.dataset.pin} is the baseline of its name.` : "It is pinned no more."); }
    catch (error) { say(error.message, true); }
  });
}
moments();
