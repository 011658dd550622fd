// The charts of a run: what each draws, and what is painted beneath and above the lines.
import { across, area, between, chartSet, css, hatched, line, stack, tint, upright } from "../lib/charts.js";
import { emit, ends, going, now, on, setView, spans, store } from "./store.js";

export const CLASSES = {
  good: { name: "Goodput", of: "answered as they should be", look: () => ({ ...area("good"), width: 1.75 }) },
  shed: { name: "Shed", of: "429 or 503 with a time to come back", look: () => area("shed") },
  http: { name: "HTTP errors", of: "4xx and 5xx", look: () => area("http") },
  refused: { name: "Refused, reset", of: "no connection, or it broke", look: () => area("refused", hatched("refused")) },
  timeout: { name: "Timed out", of: "no answer in time", look: () => area("timeout") },
  wrong: { name: "Wrong data", of: "cut short, garbled or not what was expected", look: () => area("wrong", hatched("wrong", { cross: true })) },
  dropped: { name: "Not sent", of: "more in flight than the client may have", look: () => area("dropped", hatched("dropped", { back: true })) },
};
const other = (name) => ({ name: name.charAt(0).toUpperCase() + name.slice(1), of: "", look: () => area("dropped") });
export const classOf = (name) => CLASSES[name] ?? other(name);

const col = (name) => store.data.get(name);
const decades = (u) => {
  const found = [];
  for (let p = Math.ceil(Math.log10(u.scales.y.min) - 1e-9); 10 ** p <= u.scales.y.max * 1.0001; p += 1) found.push(+(10 ** p).toPrecision(1));
  return found;
};
const nice = (v) => (v >= 10 || Number.isInteger(v) ? Math.round(v) : +v.toFixed(2));

export const tracks = () => {
  const users = store.run.spec?.shares?.some((one) => /users/.test(one.profile));
  return [
    {
      id: "throughput", title: "Requests per second", height: 188, letters: true,
      data: () => [col("t"), ...stack(...[...store.classes].reverse().map(col)), col("offered")],
      series: [{}, ...[...store.classes].reverse().map((name) => classOf(name).look()), line("offered", { dash: [5, 4], width: 1.5 })],
      bands: store.classes.slice(1).map((_, i) => ({ series: [i + 1, i + 2] })),
      y: { range: (u, lo, hi) => [0, Math.max(5, (hi || 0) * 1.12)] },
      coarse: "good",
      legend: [["offered", "dash", "Offered", "what was asked, and what is still open"], ...store.classes.map((name) => [name, "", classOf(name).name, classOf(name).of])],
    },
    {
      id: "latency", title: "Latency from intended start", height: 132,
      data: () => [col("t"), col("p50"), col("p95"), col("p99")],
      series: [{}, line("p50", { width: 2.25 }), line("p95"), line("p99", { width: 1.25 })],
      y: { distr: 3, log: 10, range: (u, lo, hi) => { const low = 10 ** Math.floor(Math.log10(lo > 0 ? lo : 1)), high = 10 ** Math.ceil(Math.log10(hi > 0 ? hi : 1000) + 0.05); return [low * 0.8, Math.max(high, low * 100)]; } },
      ticks: decades, fmt: (v) => (v >= 1000 ? `${nice(v / 1000)} s` : `${nice(v)} ms`),
      coarse: "p95",
      legend: [["p99", "line", "p99", "1 in 100 took longer"], ["p95", "line", "p95", "1 in 20 took longer"], ["p50", "line", "p50", "half took longer"]],
    },
    {
      id: "flight", title: users ? "In flight, users" : "In flight", height: users ? 84 : 78,
      data: () => (users ? [col("t"), col("in_flight"), col("users")] : [col("t"), col("in_flight")]),
      series: [{}, line("flight"), ...(users ? [line("offered", { dash: [5, 4], width: 1.5 })] : [])],
      y: { range: (u, lo, hi) => [0, Math.max(4, (hi || 0) * 1.2)] },
      coarse: "in_flight",
      legend: [["in_flight", "line", "Requests open", "at the end of the second"], ...(users ? [["users", "dash", "Users", "those who are at it"]] : [])],
    },
    {
      id: "tries", title: "Attempts per call", height: 92, xaxis: true,
      data: () => [col("t"), col("attempts")],
      series: [{}, line("tries")],
      y: { range: (u, lo, hi) => [0.9, Math.max(2.1, (hi || 0) * 1.1)] },
      ticks: (u) => { const top = u.scales.y.max, by = top > 6 ? Math.ceil(top / 4) : 1, found = []; for (let v = 1; v <= top; v += by) found.push(v); return found; },
      fmt: (v) => `${v} ×`, coarse: "attempts",
      legend: [["attempts", "line", "With retries", "requests for one call"]],
    },
  ];
};

// ---- painted beneath: what Rascal did, and the borders of phases

function under(u, chart) {
  const t = now(), { data, hover } = store;
  for (const fault of store.faults) {
    const dim = hover && hover !== fault.id ? 0.35 : 1;
    for (const span of spans(fault)) {
      if (span.kind === "planned") {
        upright(u, span.from, "fault", { dash: [4, 4], alpha: dim, label: chart.letters ? fault.id : "" });
        upright(u, span.to, "fault", { dash: [4, 4], alpha: dim });
        continue;
      }
      tint(u, span.from, span.to ?? t, "fault-tint", dim);
      if (hover === fault.id) tint(u, span.from, span.to ?? t, "fault-tint");
    }
  }
  for (const phase of store.phases.slice(1)) upright(u, phase.entered ?? phase.from, "grid");
  if (data.coarse) {
    const i = data.at[chart.coarse];
    between(u, data.columns[0].slice(0, data.coarse), data.low[i], data.high[i], chart.coarse === "good" ? "good" : chart.coarse === "p95" ? "p95" : "flight");
  }
}

// ---- painted above: letters, limits, what happened

const LIMITS = { p50: "latency", p95: "latency", p99: "latency", attempts: "tries" };
const MARKS = { agent_lost: ["warn", "agent lost"], agent_back: ["warn", "agent back"], changed: ["text-3", "load"], stop_rule: ["bad", "stop rule"], stopping: ["text-3", "end"] };

function letters(u) {
  // Those that begin close to each other stand beside each other.
  const r = devicePixelRatio || 1, { ctx, bbox } = u;
  let ends_ = -Infinity;
  const last = {};
  const all = store.faults.flatMap((fault) => spans(fault).filter((one) => one.kind !== "planned").map((span) => [span.from, fault.id])).sort((a, b) => a[0] - b[0]);
  ctx.save();
  ctx.font = `700 ${10.5 * r}px ${css("sans")}`; ctx.textBaseline = "top"; ctx.textAlign = "left"; ctx.fillStyle = css("fault");
  for (const [from, id] of all) {
    const own = u.valToPos(from, "x", true) + 5 * r, at = Math.max(own, ends_);
    if (own - last[id] < 24 * r) continue; // one letter is enough for many short bands
    last[id] = own;
    if (at < bbox.left || at > bbox.left + bbox.width - 8 * r) continue;
    ctx.fillText(id, at, bbox.top + 4 * r);
    ends_ = at + ctx.measureText(id).width + 4 * r;
  }
  ctx.restore();
}

function flag(u) {
  // The moment at which everything that was struck was back.
  const back = Math.max(...(store.verdict?.flows ?? []).map((one) => one.recovered ?? -1));
  const end = store.phases.find((one) => one.kind === "fault")?.to;
  if (back < 0.5 || end == null) return;
  const { ctx, bbox } = u, r = devicePixelRatio || 1, x = Math.round(u.valToPos(end + back, "x", true)) + 0.5, foot = bbox.top + bbox.height;
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = css("ok"); ctx.lineWidth = 1.5 * r;
  ctx.beginPath(); ctx.moveTo(x, foot); ctx.lineTo(x, foot - 34 * r); ctx.stroke();
  ctx.beginPath(); ctx.moveTo(x, foot - 34 * r); ctx.lineTo(x + 8 * r, foot - 30 * r); ctx.lineTo(x, foot - 26 * r); ctx.fill();
  ctx.font = `600 ${10.5 * r}px ${css("sans")}`; ctx.textBaseline = "bottom"; ctx.textAlign = x > bbox.left + 80 * r ? "right" : "left";
  ctx.fillText(`back +${Math.round(back)} s`, x + (ctx.textAlign === "right" ? -6 : 6) * r, foot - 5 * r);
  ctx.restore();
}

function over(u, chart) {
  for (const one of store.verdict?.measures ?? []) {
    const kind = /^(p50|p95|p99|attempts)\b/.exec(one.name)?.[1];
    if (one.limit != null && !one.flow && LIMITS[kind] === chart.id) across(u, kind === "attempts" ? one.limit : one.limit * 1000, "bad");
  }
  if (chart.letters) {
    letters(u);
    flag(u);
    for (const one of store.log) {
      const mark = MARKS[one.kind];
      if (mark && one.t >= u.scales.x.min && one.t <= u.scales.x.max) upright(u, one.t, mark[0], { dash: [2, 3], label: mark[1], low: true });
    }
  }
  if (going()) upright(u, now(), "text", { alpha: 0.55 });
}

export const set = chartSet({
  view: () => [store.view.min, store.view.max],
  zoom: (min, max) => setView("zoom", Math.max(0, Math.floor(min)), Math.min(Math.ceil(max), Math.ceil(ends()))),
  whole: () => setView("all"),
  cursor: (x, left) => { store.cursor = x; store.left = left; emit("cursor"); },
  under, over,
});
on((changed) => {
  if (["second", "view", "ready"].some((one) => changed.has(one))) set.draw();
  else if (["faults", "phases", "verdict", "hover", "log"].some((one) => changed.has(one))) set.paint();
});
/** One fault's bands stand out. */
export const highlight = (id) => { if (store.hover !== id) { store.hover = id; emit("hover"); } };
