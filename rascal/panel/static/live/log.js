// What happened in the run: phases, faults, changes of load, agents, who did what.
import { clock } from "../lib/format.js";
import { store } from "./store.js";
import { Tag, html, useState, useTopics } from "./use.js";

const KINDS = {
  fault_on: "Fault on", fault_off: "Fault over", fault_removed: "Fault removed", fault_planned: "Plan changed", phase: "Phase", changed: "Load changed", started: "Started", stopping: "Ending", ended: "Ended",
  stop_rule: "Stop rule", limit: "Limit", agent_lost: "Agent lost", agent_back: "Agent back", agent_joined: "Agent joined", error: "Error", unsound: "Not sound", note: "Note",
};
const TONES = { error: "bad", agent_lost: "warn", unsound: "warn", stop_rule: "bad", limit: "warn", fault_on: "fault", fault_off: "fault", fault_removed: "fault", fault_planned: "fault" };
const FEW = 40;
const name = (kind) => KINDS[kind] ?? (kind.charAt(0).toUpperCase() + kind.slice(1)).replaceAll("_", " ");
const letter = (line) => (line.kind.startsWith("fault_") ? store.faults.find((one) => line.text.startsWith(`${one.proxy}/${one.name}`))?.id : null);

export function Log() {
  useTopics("log", "faults");
  const [all, setAll] = useState(false), lines = [...store.log].reverse(), some = all ? lines : lines.slice(0, FEW);
  return html`<section class="card log" aria-labelledby="events"><div class="cardhead"><h2 id="events">Events</h2></div>
    <div class="rows" tabindex="0" role="region" aria-label="Event list">${lines.length ? html`<ol>${some.map((one) => html`<li key=${one.key} class=${TONES[one.kind] ?? ""}><span class="mono dim">${clock(one.t)}</span>
      <span><b>${letter(one) && html`<${Tag} letter=${letter(one)}/>`}${name(one.kind)}</b> ${one.text}${one.agent && !one.text.includes(one.agent) ? html` <span class="dim">(${one.agent})</span>` : ""}${one.by && one.by !== "plan" && !one.text.includes(` by ${one.by}`) ? html` <span class="dim">by ${one.by}</span>` : ""}</span></li>`)}</ol>` : html`<p class="none-yet">Nothing has happened yet.</p>`}
      ${lines.length > FEW && html`<button type="button" class="link more" onClick=${() => setAll(!all)}>${all ? "Newest only" : `All ${lines.length} events`}</button>`}</div></section>`;
}
