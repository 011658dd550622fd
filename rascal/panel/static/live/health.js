// Whether the numbers can be believed: agents, their loops, how late calls were begun.
import { count, ms, share } from "../lib/format.js";
import { going, store } from "./store.js";
import { html, useTopics } from "./use.js";

const worst = (agents, name) => agents.reduce((most, one) => (one[name] == null ? most : Math.max(most ?? 0, one[name])), null);
const REASONS = { late: "calls begin late", busy: "its loop is busy all the time", cpu: "its processor is busy all the time", lag: "its loop is held up" };
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** How it is: ok, warn or bad; in a word; and why. */
function judged(agents) {
  const { sound, outcome, exit } = store.state, why = Object.entries(sound?.why ?? {}).flatMap(([name, reasons]) => reasons.map((one) => (agents.length > 1 ? `${name}: ${REASONS[one] ?? one}` : REASONS[one] ?? one)));
  const lost = agents.filter((one) => one.state === "lost").map((one) => `${one.name} is lost${one.why ? `: ${one.why}` : ""}`);
  if (outcome === "invalid" || exit === 3 || store.verdict?.word === "invalid") return ["bad", "Not sound", [...lost, ...why]];
  if (sound && !sound.ok) return ["warn", "Not sound now", [...lost, ...why]];
  if (sound?.seconds) return ["warn", "Sound, but not always", lost];
  return store.data?.length ? ["ok", "Sound", []] : ["none", "Not known yet", []];
}

export function Health() {
  useTopics("state", "agents", "verdict");
  const agents = Object.values(store.agents), { state } = store, [tone, word, why] = judged(agents), bad = state.sound?.seconds ?? 0;
  const rows = [
    ["Agents", state.agents?.want ? `${state.agents.up} of ${state.agents.want}` : "–", agents.map((one) => `${one.name}: ${one.state}`).join("\n")],
    ...(going() ? [["Event loop lag, worst", ms(worst(agents, "lag")), "How long the load client's own loop was held up in the last second"],
    ["Late starts, p99", ms(worst(agents, "late")), "How long after its moment a call was begun, 1 in 100"],
    ["Busy, worst", share(worst(agents, "busy")), "Of one processor core"]] : []),
    ["Seconds not sound", bad ? `${count(bad)} of ${count(Math.max(bad, (state.closed ?? 0) + 1))}` : "none", ""],
  ];
  return html`<section class=${`card health h-${tone}`} aria-label="Measurement"><h2>Measurement <span class=${`word ${tone}`}>${word}</span></h2>
    ${why.length > 0 && html`<ul class="reasons">${why.slice(0, 5).map((one) => html`<li key=${one}>${capital(one)}</li>`)}</ul>`}
    <dl>${rows.map(([name, value, help]) => html`<div key=${name} title=${help}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${agents.length > 1 && html`<ul class="agents">${agents.map((one) => html`<li key=${one.name} class=${`state ${one.state}`} title=${[one.host, one.why].filter(Boolean).join(": ")}>${one.name}${one.state === "up" ? "" : html` <b>${one.state}</b>`}</li>`)}</ul>`}
</section>`;
}
