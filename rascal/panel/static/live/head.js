// What runs, how it is, and what can be done with it.
import { clock, moment, span } from "../lib/format.js";
import { EndRun, Load } from "./load.js";
import { about, ends, going, now, phaseNow, store } from "./store.js";
import { Dialog, api, attempt, html, may, useState, useTopics } from "./use.js";

const WORDS = { starting: "Starting", running: "Running", draining: "Ending", judging: "Being judged", lost: "Lost", ended: "Finished" };
const OUTCOMES = { completed: "Finished", interrupted: "Stopped", stopped: "Ended by a stop rule", invalid: "Not valid", failed: "Failed" };
const FILES = [["report.html?download", "Report, one HTML file"], ["report.json", "JSON"], ["report.csv", "CSV, second by second"], ["junit.xml", "JUnit"], ["report.md", "Markdown"], ["latency.hlog", "Latency histograms (HdrHistogram)"]];

function status() {
  if (store.gone) return ["stopped", "Deleted"];
  if (store.link === "lost") return ["lost", "Reconnecting"];
  const { status: word, outcome } = store.state;
  if (going()) return [word === "running" ? "running" : "waits", WORDS[word]];
  if (word === "lost") return ["stopped", "Lost: its process is gone"];
  if (word === "judging") return ["waits", WORDS.judging];
  return [outcome === "completed" ? "finished" : "stopped", OUTCOMES[outcome] ?? WORDS.ended];
}

/** Never pushes the page down: it lies over its top. */
export function Banner() {
  useTopics("state");
  const lost = store.link === "lost";
  if (store.gone) return html`<p class="banner over-top bad" role="alert">This run was deleted. <a href="/runs">All runs</a></p>`;
  if (lost) return html`<p class="banner over-top" role="alert">Connection to the panel lost; trying again by itself. The charts stop at ${clock(store.lostAt)}. The run goes on, and faults keep their own limits.</p>`;
  return null;
}

function Facts() {
  useTopics("state", "phases", "second");
  const [look, word] = status(), phase = phaseNow(), left = phase?.to != null ? Math.max(0, Math.ceil(phase.to - now())) : null;
  const known = store.state.ends != null || store.phases.length > 0, started = store.state.started ?? store.run.started;
  const why = store.state.status === "ended" && store.state.outcome !== "completed" ? store.state.why : "";
  return html`<p class="facts num"><span class=${`status ${look}`}>${word}</span>
    ${why && html`<span>${why.replace(/^stopped /i, "")}</span>`}
    ${store.ready && html`<span>${going() ? (known ? `${clock(now())} of ${clock(ends())}` : clock(now())) : span(Math.round(store.run.lasted ?? ends()))}</span>`}
    ${going() && phase && html`<span>${phase.name}${left != null ? `, ${left} s left` : ""}</span>`}
    ${started && html`<span class="dim">${moment(started)}</span>`}
    ${store.run.by && html`<span class="dim">started by ${store.run.by}</span>`}
    <${Labels}/></p>`;
}

function Labels() {
  useTopics("state", "labels");
  const [open, setOpen] = useState(false), [labels, setLabels] = useState(store.run.labels ?? about.run.labels ?? []), [text, setText] = useState("");
  const save = async () => {
    const wanted = [...new Set(text.split(/[\s,]+/).filter(Boolean))];
    try { const found = await attempt("Labels are kept", "PATCH", api(), { labels: wanted }); store.run.labels = found.labels; setLabels(found.labels); setOpen(false); } catch { /* said */ }
  };
  return html`<span class="labels">${labels.map((one) => html`<a class="chip" key=${one} href=${`/runs?label=${encodeURIComponent(one)}`}>${one}</a>`)}
    ${may("operator") && html`<button type="button" class="link" onClick=${() => { setText(labels.join(" ")); setOpen(true); }}>${labels.length ? "Labels" : "Add label"}</button>`}</span>
    ${open && html`<${Dialog} title="Labels" lead="To find the run again, and to compare." onClose=${() => setOpen(false)}>
      <div class="field"><label for="label-text">Labels</label><div class="in"><input id="label-text" value=${text} autofocus onInput=${(event) => setText(event.target.value)}/></div><small>Words with blanks between them, such as “baseline release-42”.</small></div>
      <div class="acts"><button class="btn" value="cancel" formnovalidate>Cancel</button><button type="submit" class="btn main" onClick=${save}>Save</button></div></${Dialog}>`}`;
}

function Ended() {
  const [open, setOpen] = useState(false), run = encodeURIComponent(store.run.id), { compare } = about;
  const remove = async () => { try { await attempt("The run is deleted", "DELETE", api()); location.assign("/runs"); } catch { setOpen(false); } };
  const close = (event) => { const box = event.currentTarget; if (event.key === "Escape" && box.open) { box.open = false; box.firstElementChild.focus(); } };
  const leave = (event) => { if (!event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false; };
  return html`<a class="btn main" href=${`/runs/${run}/report.html`}>Report</a>
    <details class="menu" onKeyDown=${close} onFocusOut=${leave}><summary class="btn">Download</summary><ul>${FILES.map(([file, name]) => html`<li key=${file}><a href=${`/runs/${run}/${file}`} download>${name}</a></li>`)}</ul></details>
    <a class="btn" href=${compare ? `/compare?runs=${encodeURIComponent(compare)},${run}` : `/runs?experiment=${encodeURIComponent(store.run.name)}`} title=${compare ? `With run ${compare}` : "Choose the runs to compare with"}>Compare</a>
    ${may("operator") && html`<a class="btn" href=${`/runs/${run}/replay`}>Replay</a>
      <button type="button" class="btn danger" aria-haspopup="dialog" onClick=${() => setOpen(true)}>Delete run</button>`}
    ${open && html`<${Dialog} title=${`Delete run ${store.run.id}?`} lead="Its numbers, events and verdict are gone for good. Reports that were saved stay as they are." onClose=${() => setOpen(false)}>
      <div class="acts"><button class="btn" value="cancel" autofocus>Keep it</button><button type="submit" class="btn danger" onClick=${remove}>Delete run</button></div></${Dialog}>`}`;
}

export function Head() {
  useTopics("ready", "state");
  const { run } = store, kind = run.kind === "experiment";
  return html`<div class="head"><div class="about">
      <p class="crumb">${kind ? html`<a href=${`/experiments/${encodeURIComponent(run.name)}`}>Experiment ${run.name}</a>` : html`<a href="/runs">Runs</a>`} · run ${run.id}${!kind && run.spec?.target ? html` · <span class="mono">${run.spec.target}</span>` : ""}</p>
      <h1>${run.name}</h1><${Facts}/></div>
    <div class="controls">${going() ? html`<${Load}/><${EndRun}/>` : store.gone || store.state.status === "judging" ? null : html`<${Ended}/>`}</div></div>`;
}
