// All proxies, with what passes them and the switches of their faults.
import { html, render } from "./vendor/preact-htm.js";
import { may } from "./shell.js";
import { bytes, count } from "./lib/format.js";
import { editFault } from "./lib/faultform.js";
import { alone, bytesNow, follow, isOn, page, quiet } from "./lib/nodes.js";
import { AwayBanner, FaultSwitch, LinkBanner, Spark, left } from "./lib/parts.js";

const root = document.getElementById("root");
const first = JSON.parse(document.getElementById("first").textContent);

function Row({ node, name, proxy, several, lever }) {
  const up = node.state === "up", faults = Object.entries(proxy.faults);
  const speed = bytesNow(proxy), listens = (proxy.addresses ?? []).join(", ");
  const state = !up ? ["away", "not reachable"] : !proxy.enabled ? ["slow", "paused"] : faults.some(([, one]) => isOn(one)) ? ["fault", "fault on"] : ["up", "up"];
  return html`<tr key="${node.name}/${name}"><td><a class="name" href=${page(node.name, name)}>${name}</a>${several && html` <span class="dim">${node.name}</span>`}<div><span class="state ${state[0]} small">${state[1]}</span></div></td>
    <td class="opt">${proxy.protocol}</td>
    <td class="path opt"><span class="nowrap">${listens || "not listening"}</span> <b>→</b> <span class="nowrap">${proxy.upstream}</span></td>
    <td class="r">${up ? count(proxy.open) : "–"}</td>
    <td class="r opt">${!up ? "–" : quiet(proxy) ? html`<span class="dim noone">none for 1 min</span>` : html`<span class="nowrap">${bytes(Math.round(speed))}/s</span>`}</td>
    <td class="opt"><${Spark} values=${proxy.seconds.map((one) => one[0])} flat=${1000} label="Traffic of the last minute" /></td>
    <td><div class="faults">${faults.map(([key, one]) => html`<span key=${key}><${FaultSwitch} fault=${{ node: node.name, proxy: name, name: key, form: one.form }} known=${one} disabled=${!up || (lever.on && !isOn(one))} why=${up ? "everything is stopped" : "the node is away"} /><span title=${one.text}>${key}</span>${isOn(one) && left(one) ? html`<span class="dim num small nowrap">${left(one)}</span>` : ""}</span>`)}
      ${may("operator") && up && html`<button class="link small" type="button" aria-label="Add a fault to ${name}" disabled=${lever.on} onClick=${() => editFault({ node: node.name, proxy: name })}>Add fault</button>`}</div></td></tr>`;
}

function Page({ state }) {
  if (state.locked) return html`<section class="card"><div class="wait"></div></section>`;
  const nodes = Object.values(state.nodes), rows = nodes.flatMap((node) => Object.entries(node.proxies).map(([name, proxy]) => [node, name, proxy]));
  return html`<${LinkBanner} state=${state} />${nodes.map((node) => html`<${AwayBanner} key=${node.name} node=${node} />`)}
    ${rows.length ? html`<section class="card wide" aria-label="Proxies"><table class="list proxies"><thead><tr><th>Name</th><th class="opt">Protocol</th><th class="opt">Listens → upstream</th><th class="r">Open</th><th class="r opt">Traffic</th><th class="opt">Last minute</th><th>Faults</th></tr></thead>
      <tbody>${rows.map(([node, name, proxy]) => html`<${Row} node=${node} name=${name} proxy=${proxy} several=${nodes.length > 1} lever=${state.lever} />`)}</tbody></table></section>`
      : html`<section class="card empty"><h2>No proxies yet</h2><p>A proxy stands between your app and one backend.</p>${alone ? html`<p>Add one to the file of this rascal-proxy, or with <code class="mono">rascal proxy add</code>.</p>` : html`<p><a class="btn main" href="/connect">Connect my app</a></p>`}</section>`}`;
}
const draw = (state) => render(html`<${Page} state=${state} />`, root);
const state = follow({ first, changed: draw });
root.replaceChildren();
draw(state);
