// The numbers of the window that is shown, as a table: for those who do not see charts, and for copying.
import { clock, count, ms } from "../lib/format.js";
import { now, phaseNow, shown, spans, store, title } from "./store.js";
import { classOf } from "./tracks.js";
import { html, useTopics } from "./use.js";

const MOST = 240;
const value = (name, v) => {
  if (v == null) return "–";
  if (name === "t") return clock(v);
  if (/^p\d/.test(name)) return ms(v);
  if (name === "attempts") return `${v.toFixed(2)} ×`;
  return count(v, v < 10 && v % 1 ? 1 : 0);
};
const NAMES = { t: "Time", offered: "Offered", in_flight: "In flight", attempts: "Attempts per call", arrivals: "Iterations due", users: "Users" };
const head = (name) => NAMES[name] ?? (store.classes.includes(name) ? classOf(name).name : name);
const unit = (name) => (store.units?.[name] === "/s" ? "/s" : "");
const phaseAt = (t) => store.phases.findLast((one) => (one.entered ?? one.from) <= t)?.name ?? "";
const lettersAt = (t) => store.faults.filter((fault) => spans(fault).some((one) => one.kind !== "planned" && one.from <= t && (one.to ?? now()) > t)).map((one) => one.id).join(" ");

export function Table() {
  useTopics("second", "view", "faults", "phases");
  const { data } = store, [from, to] = shown(), step = Math.max(1, Math.ceil((to - from) / MOST));
  const rows = [];
  for (let i = to - 1; i >= from; i -= step) rows.push(i);
  const names = data.names.filter((name) => name !== "arrivals" && (name !== "users" || data.get("users").some((v) => v)));
  const phases = store.phases.length > 0, faults = store.faults.length > 0;
  return html`<div class="numbers" tabindex="0" role="region" aria-label="Seconds of the run">
    <table><caption class="sr">The newest second first${step > 1 ? `, every ${step} rows` : ""}. ${phaseNow()?.name ?? ""}</caption>
    <thead><tr>${names.map((name) => html`<th key=${name} scope="col">${head(name)}${unit(name) && html` <u>${unit(name)}</u>`}</th>`)}${phases && html`<th scope="col" class="l">Phase</th>`}${faults && html`<th scope="col" class="l">Faults on</th>`}</tr></thead>
    <tbody>${rows.map((i) => { const t = data.columns[0][i]; return html`<tr key=${t}>${names.map((name) => (name === "t" ? html`<th scope="row">${value(name, t)}</th>` : html`<td>${value(name, data.get(name)[i])}</td>`))}
      ${phases && html`<td class="l">${phaseAt(t)}</td>`}${faults && html`<td class="l">${lettersAt(t) || "–"}</td>`}</tr>`; })}</tbody></table>
    ${faults && html`<p class="dim">${store.faults.map((one) => `${one.id}: ${title(one)} on ${one.proxy}`).join(" · ")}</p>`}</div>`;
}
