// What the screen of a run knows. One stream feeds it; views subscribe to topics, told once a frame.
import { listen } from "../lib/stream.js";
import { Seconds } from "./data.js";

const LOG = 500, EXCHANGES = 300, PATIENCE = 1500;
const RUNNING = ["starting", "running", "draining"];
const listeners = new Set();

export const about = JSON.parse(document.getElementById("about").textContent);
export const store = {
  ready: false, link: "connecting", lostAt: 0, gone: null, data: null, classes: [],
  run: about.run, state: { status: about.run.state, t: 0, closed: -1, flows: {} }, phases: [], faults: [], agents: {}, verdict: null,
  plan: { points: [], shares: [] }, log: [], exchanges: [], lever: null, told: 0,
  view: { mode: "all", min: 0, max: 60 }, cursor: null, left: -10, hover: null,
};

export const on = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };
let due = 0, changed = new Set();
const flush = () => {
  due = 0;
  const now = changed;
  changed = new Set();
  for (const listener of listeners) listener(now);
};
export function emit(...topics) {
  for (const topic of topics) changed.add(topic);
  due ||= document.hidden ? setTimeout(flush, 500) : requestAnimationFrame(flush);
}

// ---- what is asked of it

export const going = () => RUNNING.includes(store.state.status) && !store.gone;
export const now = () => store.state.t ?? 0;
/** Where the run ends, as far as is known. */
export const ends = () => {
  if (!going()) return Math.max(2, store.data ? store.data.last + 1 : 0, now());
  const planned = Math.max(store.state.ends ?? 0, ...store.phases.map((one) => one.to ?? 0));
  if (planned) return Math.max(planned, now());
  const steps = [60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400];
  return steps.find((one) => one >= now() * 1.05) ?? Math.ceil(now() / 86400) * 86400;
};
export const phaseNow = () => store.phases.findLast((one) => (one.entered ?? one.from) <= now() && (one.to == null || now() < one.to));
/** A span is over, on, or planned. */
export const spans = (fault) => [
  ...fault.spans.map(([from, to]) => ({ kind: to == null ? "on" : "past", from, to })),
  ...(fault.planned ?? []).map(([from, to], index) => ({ kind: "planned", from, to, index })),
];
/** Its sentence without what it is called by; that stands beneath. */
export const title = (fault) => (fault.text || fault.name).replace(/ name [\w.-]+$/, "");
/** Rows on screen: where they begin, and where they end. */
export const shown = () => {
  const { data, view } = store;
  return [Math.max(0, data.index(view.min)), data.index(view.max) + 1];
};
/** The row under the crosshair, else the newest that has settled. */
export const rowAt = () => {
  const { data, cursor, state } = store;
  if (!data?.length) return null;
  let at = data.index(cursor ?? (going() ? Math.max(0, (state.closed ?? 0) - 1) : data.last));
  if (cursor == null && !going()) { const offered = data.get("offered"); while (at > 0 && !offered[at]) at -= 1; } // of a run that is over: its last second under load
  return at < 0 ? null : at;
};

export function setView(mode, min, max) {
  const last = ends(), t = now();
  if (mode === "all") [min, max] = [0, last];
  else if (mode !== "zoom") {
    const width = Number(mode);
    max = going() ? Math.max(width, Math.min(last, t + width * 0.12)) : Math.max(width, last);
    min = max - width;
  } else if (max - min < 2) [min, max] = [min, min + 2];
  const known = store.view;
  if (known.mode === mode && known.min === min && known.max === max) return;
  store.view = { mode, min, max };
  emit("view");
}
const follow = () => { if (store.view.mode !== "zoom") setView(store.view.mode); };

// ---- what the stream tells

const keep = (list, more, most) => { list.push(...more); if (list.length > most) list.splice(0, list.length - most); };
const number = (items) => items.map((one) => ({ ...one, key: (store.told += 1) }));

const hear = {
  snapshot(found) {
    const { rows, fine, bands, columns, classes, log, exchanges, csrf, role, ...rest } = found;
    const data = new Seconds(columns);
    data.fill(rows, fine, bands);
    Object.assign(store, rest, { data, ready: true, gone: null, classes: Object.keys(classes), log: number(log), exchanges: number(exchanges) });
    store.state ??= { status: store.run.state, t: 0, flows: {} };
    follow();
    emit("ready", "second", "state", "phases", "faults", "verdict", "exchanges", "log", "agents", "view");
  },
  second(row) { store.data.add(Array.isArray(row) ? row : row.row); follow(); emit("second"); },
  amend({ rows }) { rows.forEach((row) => store.data.amend(row)); emit("second"); },
  state(state) { store.state = state; follow(); emit("state"); },
  phase(found) { Object.assign(store, found); follow(); emit("phases"); },
  faults(faults) { store.faults = faults; emit("faults"); },
  verdict(verdict) { store.verdict = verdict; emit("verdict"); },
  agent({ agents }) { store.agents = agents; emit("agents"); },
  log(lines) { keep(store.log, number(Array.isArray(lines) ? lines : [lines]), LOG); emit("log"); },
  exchanges(items) { keep(store.exchanges, number(items), EXCHANGES); emit("exchanges"); },
  lever(lever) { store.lever = lever.on ? lever : null; emit("state"); },
  gone(why) { if (why.why === "deleted") { store.gone = why; emit("state", "faults", "ready"); } },
};

let late = 0;
export function connect() {
  const safe = Object.fromEntries(Object.entries(hear).map(([kind, tell]) => [kind, (data) => { if (kind === "snapshot" || store.ready) tell(data); }]));
  return listen(`/api/v1/runs/${encodeURIComponent(about.run.id)}/events`, safe, (link) => {
    if (link === "live") {
      clearTimeout(late);
      late = 0;
      store.link = "live";
      emit("state");
    } else if (!late && store.link !== "lost") {
      // A stream that is back within a moment is nobody's concern.
      store.lostAt = now();
      late = setTimeout(() => { late = 0; store.link = "lost"; emit("state"); }, PATIENCE);
    }
  });
}
