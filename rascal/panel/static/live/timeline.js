// The one axis: phases, charts, lanes; or the same as a table.
import { clock, count, ms, span } from "../lib/format.js";
import { keys } from "../lib/charts.js";
import { Lanes } from "./lanes.js";
import { Table } from "./table.js";
import { on, going, now, phaseNow, rowAt, setView, spans, store } from "./store.js";
import { classOf, set, tracks } from "./tracks.js";
import { html, outside, place, say, useEffect, useRef, useState, useTopics } from "./use.js";

const WINDOWS = [["60", "1 min"], ["120", "2 min"], ["all", "Whole run"]];

/** A value with its unit, as [number, unit]. */
const split = (text) => { const at = text.lastIndexOf(" "); return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)]; };
const shown = (name, value) => {
  if (value == null) return ["–", ""];
  if (/^p\d/.test(name)) return split(ms(value));
  if (name === "attempts") return [value.toFixed(2), "×"];
  return [count(value, value < 10 && value % 1 ? 1 : 0), ""];
};

function Legend({ track }) {
  useTopics("second", "cursor");
  const at = rowAt();
  return html`<h3>${track.title}</h3><ul class="legend">${track.legend.map(([name, look, label, help]) => {
    const [number, unit] = shown(name, at == null ? null : store.data.get(name)[at]);
    return html`<li key=${name} title=${help}><span class=${`key ${look} k-${name}`}></span><span class="label">${label}</span><b>${number}${unit && html`<u>${unit}</u>`}</b></li>`;
  })}</ul>`;
}

/** What the crosshair says to those who cannot see it. */
function said(second) {
  const { data } = store, i = data.index(second), value = (name) => data.get(name)[i];
  if (i < 0) return "";
  const bad = store.classes.filter((name) => name !== "good" && value(name) > 0).map((name) => `${classOf(name).name.toLowerCase()} ${count(value(name))}`);
  const faults = store.faults.filter((fault) => spans(fault).some((one) => one.kind !== "planned" && one.from <= second && (one.to ?? now()) > second)).map((one) => one.id);
  return [`${clock(second)}: offered ${count(value("offered"))} a second, goodput ${count(value("good"))}`, ...bad, `p95 ${ms(value("p95"))}`, `${count(value("in_flight"))} in flight`,
    `attempts ${value("attempts")?.toFixed(2) ?? "none"}`, ...(faults.length ? [`fault ${faults.join(" ")} on`] : [])].join(", ");
}

function Chart({ track, first }) {
  const root = useRef();
  useEffect(() => set.add(root.current, track), []);
  const key = (event) => {
    const { data, view } = store, last = data.last;
    if (!data.length) return;
    const at = store.cursor ?? Math.min(last, view.max);
    const second = keys(event, set, { at, step: data.index(at) < data.coarse ? data.step : 1, least: Math.max(0, Math.ceil(view.min)), most: Math.min(last, Math.floor(view.max)) });
    if (second != null) say(said(second));
  };
  return html`<div class="row chart"><div class="side"><${Legend} track=${track}/></div><div class="plot" ref=${root} style=${{ height: `${track.height}px` }} onKeyDown=${first ? key : undefined}
    tabindex=${first ? 0 : undefined} role=${first ? "application" : undefined} aria-label=${first ? "Charts. Arrow keys move the crosshair, Shift by ten seconds. The button Table shows the numbers." : undefined}></div></div>`;
}

const lettersIn = (from, to) => store.faults.filter((fault) => spans(fault).some((one) => one.from < to && (one.to ?? now()) > from)).map((fault) => fault.id).join(" ");

function Phases() {
  useTopics("view", "state", "phases", "faults");
  if (!store.phases.length) return null;
  const current = phaseNow();
  return html`<div class="row phases"><div class="side">Phase</div><ol class="track">${store.phases.map((one, i) => {
    const from = one.entered ?? one.from, next = store.phases[i + 1], to = next?.entered ?? one.to ?? Math.max(from, now());
    if (outside(from, to)) return null;
    return html`<li key=${one.kind} class=${`phase ${one.kind === "fault" ? "fault" : ""} ${going() && to > now() ? "" : "past"}`} style=${place(from, to)} aria-current=${one === current ? "step" : undefined}
      title=${`${one.name}, ${clock(from)} to ${clock(to)}`}><span class="lbl">${one.name}${one.kind === "fault" && html` <span class="num">${lettersIn(from, to)}</span>`}</span></li>`;
  })}</ol></div>`;
}

function Toolbar({ table, setTable }) {
  useTopics("view", "second");
  const { mode, min, max } = store.view, { data } = store, coarse = data.coarse && data.columns[0][data.coarse] > min;
  return html`<div class="toolbar"><h2 id="timeline">Timeline</h2>
    <span class="dim num note">${mode === "zoom" ? `${clock(min)}–${clock(max)}` : coarse ? `before ${clock(data.columns[0][data.coarse])} rows of ${span(data.step)}` : ""}</span>
    <div class="seg" role="group" aria-label="Time shown">${WINDOWS.map(([value, name]) => html`<button key=${value} type="button" aria-pressed=${String(mode === value)} onClick=${() => setView(value)}>${name}</button>`)}</div>
    <div class="seg lone"><button type="button" aria-pressed=${String(table)} onClick=${() => setTable(!table)}>Table</button></div></div>`;
}

export function Timeline({ onInject }) {
  useTopics("ready");
  const [table, setTable] = useState(false);
  const root = useRef();
  const list = useRef(null);
  list.current ??= tracks();
  useEffect(() => on((changed) => { // the crosshair runs on through the lanes, without drawing them again
    if (!changed.has("cursor")) return;
    root.current.classList.toggle("hovering", store.left >= 0);
    root.current.style.setProperty("--hair", `${store.left}px`);
  }), []);
  return html`<section class="card stack" ref=${root} aria-labelledby="timeline">
    <${Toolbar} table=${table} setTable=${setTable}/>
    ${table ? html`<${Table}/>` : html`<${Phases}/>${list.current.map((track, i) => html`<${Chart} key=${track.id} track=${track} first=${i === 0}/>`)}`}
    <${Lanes} onInject=${onInject}/>
  </section>`;
}
