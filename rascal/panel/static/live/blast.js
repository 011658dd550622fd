// Which flows were hurt: those on the path of a fault, and those that should not have been. Of a load run: all flows.
import { count, ms, share } from "../lib/format.js";
import { store } from "./store.js";
import { Tag, html, useState, useTopics } from "./use.js";

const FEW = 8, UNHURT = 0.95;

function Kept({ flow }) {
  if (flow.kept == null) return html`<span class="dim">–</span>`;
  const apart = flow.uses === false && flow.kept < UNHURT;
  return apart ? html`<span class="flag" title="No fault is on its path, yet it is worse">▲ ${share(flow.kept)}</span>` : share(flow.kept);
}
const Through = ({ flow }) => (flow.faults?.length ? flow.faults.map((id) => html`<${Tag} key=${id} letter=${id}/><span class="sr">${id} </span>`) : html`<span class="dim">${flow.faults ? "no fault" : "not known"}</span>`);

/** The judge's flows, or those of the last seconds while it has said nothing. */
function Judged({ flows }) {
  return html`<thead><tr><th scope="col">Flow</th><th scope="col">Through</th><th scope="col" class="r" title="Of the goodput that is usual at this load">Kept</th><th scope="col" class="r">p95</th></tr></thead>
    <tbody>${flows.map((one) => html`<tr key=${one.name}><td class="mono" title=${one.name}>${one.name}</td><td class="through"><${Through} flow=${one}/></td><td class="num r"><${Kept} flow=${one}/></td><td class="num r">${ms(one.p95)}</td></tr>`)}</tbody>`;
}
function Now({ flows }) {
  return html`<thead><tr><th scope="col">Flow</th><th scope="col" class="r">A second</th><th scope="col" class="r">Good</th><th scope="col" class="r">p95</th></tr></thead>
    <tbody>${flows.map(([name, one]) => html`<tr key=${name}><td class="mono" title=${name}>${name}</td><td class="num r">${count(one.rate, one.rate < 10 ? 1 : 0)}</td>
      <td class="num r">${one.good + one.failed > 0 ? html`<span class=${one.failed > 0.05 * (one.good + one.failed) ? "flag" : ""}>${share(one.good / (one.good + one.failed))}</span>` : "–"}</td><td class="num r">${ms(one.p95)}</td></tr>`)}</tbody>`;
}

export function Blast() {
  useTopics("verdict", "state", "faults");
  const [all, setAll] = useState(false);
  const judged = store.run.kind === "experiment" ? store.verdict?.flows ?? [] : [], live = Object.entries(store.state.flows ?? {});
  const flows = judged.length ? [...judged].sort((a, b) => (a.kept ?? 2) - (b.kept ?? 2)) : live.sort((a, b) => b[1].rate - a[1].rate);
  const title = store.run.kind === "experiment" ? "Blast radius" : "Flows", some = all ? flows : flows.slice(0, FEW);
  return html`<section class="card blast" aria-label=${title}><h2>${title}</h2>
    ${flows.length ? html`<table class="flows">${judged.length ? html`<${Judged} flows=${some}/>` : html`<${Now} flows=${some}/>`}</table>` : html`<p class="none-yet">No call has ended yet.</p>`}
    ${flows.length > FEW && html`<button type="button" class="link more" onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${flows.length} flows`}</button>`}</section>`;
}
