// Who talks to whom: clients → proxy → upstream, with what goes over each.
import { html } from "../vendor/preact-htm.js";
import { bytes } from "./format.js";
import { bytesNow, isOn, page, quiet } from "./nodes.js";

/** Bytes a second with their unit: "48 kB/s". */
const flow = (n) => `${bytes(n < 10 ? Math.round(n) : Math.round(n))}/s`;
const port = (address) => { const at = address.lastIndexOf(":"); return address.startsWith("127.0.0.1:") || address.startsWith("localhost:") ? address.slice(at) : address; };

function Wire({ name, side, speed, cut, text }) {
  const wide = Math.min(4.5, 1.5 + Math.log10(1 + speed / 100)), quick = Math.max(0.35, 1.5 - 0.2 * Math.log10(1 + speed));
  return html`<div class="wire ${side} ${speed > 0 ? "live" : ""} ${cut ? "cut" : ""}" style=${{ "--w": wide.toFixed(1), "--t": `${quick.toFixed(2)}s` }} aria-hidden="true"><svg preserveAspectRatio="none" viewBox="0 0 100 34"><line x1="2" y1="17" x2="98" y2="17" /></svg>${text && html`<span class="rate">${text}</span>`}</div>`;
}

function Hop({ node, name, proxy }) {
  const speed = node.state === "up" ? bytesNow(proxy) : 0, on = Object.entries(proxy.faults).filter(([, one]) => isOn(one));
  const listens = (proxy.addresses ?? []).map(port).join(", ");
  const gone = node.state !== "up" || !proxy.enabled;
  const state = node.state !== "up" ? "not reachable" : !proxy.enabled ? "paused" : quiet(proxy) ? "no traffic" : `${proxy.open} open`;
  const last = proxy.seconds.at(-1);
  return html`<li class="hop ${on.length && !gone ? "struck" : ""} ${gone ? "gone" : ""}" key="${node.name}/${name}">
    <span class="end from"><strong>Clients</strong><span class="dim">${gone ? "–" : `${proxy.open} open`}</span></span>
    <${Wire} side="in" speed=${speed} text=${speed ? flow(speed) : ""} />
    <a class="box" href=${page(node.name, name)}><span class="top"><span class="name">${name}</span><span class="dim small nowrap">${proxy.protocol} ${listens}</span></span>
      <span class="dim small num">${state}${speed ? `, ${flow(speed)}` : ""}${last?.[2] ? html`, <strong>${Math.round(last[2])} struck/s</strong>` : ""}</span>
      ${on.length ? html`<span class="tags">${on.slice(0, 3).map(([key]) => html`<span class="faulttag on" key=${key}>${key}</span>`)}${on.length > 3 && html`<span class="faulttag">+${on.length - 3}</span>`}</span>` : null}</a>
    <${Wire} side="out" speed=${speed} cut=${on.length > 0 && !gone} text="" />
    <span class="end"><span class="dim">Upstream</span><strong>${proxy.upstream}</strong></span></li>`;
}

/** All proxies of all nodes. */
export function Topology({ nodes }) {
  const some = nodes.some((node) => Object.keys(node.proxies).length);
  if (!some) return html`<div class="empty"><h2>No proxies yet</h2><p>A proxy stands between your app and one backend.</p><p><a class="btn" href="/connect">Connect my app</a></p></div>`;
  return html`<div class="map">${nodes.map((node) => html`${nodes.length > 1 && html`<p class="where"><span class="state ${node.state === "up" ? "up" : "away"}">${node.name}</span></p>`}
    <ul>${Object.entries(node.proxies).map(([name, proxy]) => html`<${Hop} node=${node} name=${name} proxy=${proxy} />`)}</ul>`)}</div>`;
}
