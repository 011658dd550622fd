// One proxy: its faults, what passes it, what struck that, and how to point an app at it.
import { html, render, useState } from "./vendor/preact-htm.js";
import { may, say, send } from "./shell.js";
import { bytes, count, ms } from "./lib/format.js";
import { editFault } from "./lib/faultform.js";
import { collection, removeFault, restartFault } from "./lib/faults.js";
import { alone, at, bytesNow, follow, isOn, place, quiet } from "./lib/nodes.js";
import { AwayBanner, Copy, FaultSwitch, LinkBanner, Spark, counted, stateWords } from "./lib/parts.js";
import { pointers } from "./lib/pointing.js";

const root = document.getElementById("root");
const { node, proxy: name } = root.dataset;
const first = JSON.parse(document.getElementById("first").textContent);
const KEPT = 100;
let rows = [], held = false, more = 0;

const tell = async (what, ask) => { try { await ask(); say(what); } catch (error) { say(`Not done: ${error.message}`, true); } };

function Fault({ name: key, fault, up, lever }) {
  const one = { node, proxy: name, name: key, form: fault.form };
  return html`<li key=${key}><${FaultSwitch} fault=${one} known=${fault} disabled=${!up || (lever.on && !isOn(fault))} why=${up ? "everything is stopped" : "the node is away"} />
    <span class="what"><strong>${key}</strong>${fault.form && fault.form !== "fault" ? html` <span class="chip">${fault.form}</span>` : ""}${fault.lease ? html` <span class="chip">leased to ${fault.lease}</span>` : ""} <span class=${isOn(fault) ? "on-words num" : "dim"}>${stateWords(fault)}</span><span class="mono">${fault.text}</span></span>
    <span class="num"><b>${counted(fault.fired ?? 0)}</b> struck of ${counted(fault.matched ?? 0)} matched${fault.waiting ? html`, <b>${count(fault.waiting)}</b> held` : ""}</span>
    ${may("operator") ? html`<span class="do"><button class="btn small" type="button" aria-label="Change ${key}" disabled=${!up} onClick=${() => editFault({ node, proxy: name, fault: key, collection: collection(fault.form) })}>Change</button>
      ${fault.form === "script" && html`<button class="btn small" type="button" aria-label="Restart ${key}" disabled=${!up || lever.on} onClick=${() => tell(`${key} begins again.`, () => restartFault(one))}>Restart</button>`}
      <button class="btn small danger" type="button" aria-label="Remove ${key}" disabled=${!up} onClick=${() => tell(`${key} is removed.`, () => removeFault(one))}>Remove</button></span>` : html`<span></span>`}
    ${fault.form === "recipe" && fault.sentences && html`<div class="parts">${Object.entries(fault.sentences).map(([part, text]) => html`<span key=${part}><span class="mono">${text}</span> <span class="dim num">${counted(fault.parts?.[part]?.[1] ?? 0)} struck</span></span>`)}</div>`}
    ${fault.form === "script" && fault.steps && html`<div class="steps" aria-label="Steps">${fault.steps.slice(0, 40).map((step) => html`<span key=${step.n} class="step ${step.state === "unused" ? "" : step.state === "fired" ? "fired" : "done"}" title=${step.state}>${step.text}</span>`)}</div>`}</li>`;
}

function Faults({ proxy, up, lever }) {
  const all = Object.entries(proxy.faults);
  const add = (what) => editFault({ node, proxy: name, collection: what });
  return html`<section class="card" aria-labelledby="faults-title"><div class="cardhead"><h2 id="faults-title">Faults</h2>${may("operator") && html`<span class="end"><button class="btn small" type="button" disabled=${!up || lever.on} onClick=${() => add("recipes")}>Apply a recipe</button><button class="btn small" type="button" disabled=${!up || lever.on} onClick=${() => add("scripts")}>Add a script</button><button class="btn small main" type="button" disabled=${!up || lever.on} onClick=${() => add("faults")}>Add fault</button></span>`}</div>
    ${all.length ? html`<ul class="faultrows">${all.map(([key, fault]) => html`<${Fault} name=${key} fault=${fault} up=${up} lever=${lever} />`)}</ul>`
      : html`<p class="quietly">Nothing is wrong here yet: everything passes as it is.${may("operator") ? " Add a fault, or apply a recipe: several faults that together imitate an incident." : ""}</p>`}</section>`;
}

const clockOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const DULL = new Set(["command", "subcommand", "n", "client", "args", "blocking"]);
/** The message in short: what was asked, and a few of its fields. */
function told({ command, fields = {} }) {
  if (fields.args) return `${command} ${fields.args}`;
  if (fields.path) return `${fields.method ?? command} ${fields.path}${fields.status ? `  ${fields.status}` : ""}`;
  if (fields.sql) return fields.sql;
  const rest = Object.entries(fields).filter(([key, value]) => !DULL.has(key) && value !== "" && value != null && value !== false && typeof value !== "object").slice(0, 3);
  return [command, ...rest.map(([key, value]) => `${key}=${String(value).slice(0, 120)}`)].join("  ");
}
function Exchanges({ proxy }) {
  const [, turn] = useState(0);
  const listens = proxy.addresses?.[0] ?? "";
  return html`<section class="card" aria-labelledby="exchanges-title"><div class="cardhead"><h2 id="exchanges-title">Exchanges</h2><span class="dim small">newest first, secrets masked${more ? `, ${count(more)} more were too many to show` : ""}</span><span class="end"><button class="btn small" type="button" aria-pressed=${String(held)} onClick=${() => { held = !held; turn((n) => n + 1); }}>${held ? "Go on" : "Hold"}</button></span></div>
    ${rows.length ? html`<div class="exchanges" tabindex="0" role="group" aria-label="The latest exchanges"><table><thead><tr><th>Time</th><th>Message</th><th>Outcome</th><th class="r">Took</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.number} class=${one.faults?.length ? "hit" : ""}><td class="mono nowrap dim">${clockOf.format(one.at * 1000)}</td><td class="mono said">${told(one)}</td><td>${(one.faults ?? []).map((key) => html`<span class="faulttag on" key=${key}>${key}</span> `)}${one.outcome}</td><td class="r num">${ms(one.seconds * 1000)}</td></tr>`)}</tbody></table></div>`
      : html`<p class="quietly">${quiet(proxy) ? html`No traffic through <strong>${name}</strong> in the last minute. Is the app pointed at <span class="mono">${listens}</span>?` : proxy.protocol === "tcp" || proxy.protocol === "udp" ? "This proxy passes bytes; it knows no messages." : "Nothing has been seen since this page was opened."}</p>`}</section>`;
}

function Traffic({ proxy, up }) {
  const speed = bytesNow(proxy), last = proxy.seconds.at(-1) ?? [0, 0, 0, 0];
  return html`<section class="card" aria-labelledby="traffic-title"><h2 id="traffic-title">Traffic</h2><div class="traffic">
    <${Spark} values=${proxy.seconds.map((one) => one[0])} flat=${1000} width=${264} height=${64} label="Bytes a second in the last minute, now ${bytes(Math.round(speed))}" />
    <div class="axis" aria-hidden="true"><span>1 min ago</span><span>now</span></div>
    <dl class="facts-list num"><dt>Now</dt><dd>${up ? `${bytes(Math.round(speed))}/s` : "–"}</dd><dt>Exchanges</dt><dd>${up ? `${count(last[1], last[1] < 10 ? 1 : 0)}/s` : "–"}</dd><dt>Struck</dt><dd>${up ? `${count(last[2], last[2] < 10 ? 1 : 0)}/s` : "–"}</dd>
      <dt>Open</dt><dd>${count(proxy.open)} of ${count(proxy.connections)} so far</dd><dt>To upstream</dt><dd>${bytes(proxy.to_upstream)}</dd><dt>To client</dt><dd>${bytes(proxy.to_client)}</dd></dl></div></section>`;
}

function Settings({ proxy, up }) {
  const [asked, ask] = useState(false);
  const path = place(node, at(name));
  return html`<section class="card" aria-labelledby="settings-title"><h2 id="settings-title">Proxy</h2><div class="traffic"><dl class="facts-list"><dt>Protocol</dt><dd>${proxy.protocol}</dd><dt>Listens</dt><dd class="mono">${(proxy.addresses ?? []).join(", ") || "not now"}</dd><dt>Upstream</dt><dd class="mono">${proxy.upstream}</dd>${!alone && html`<dt>Node</dt><dd>${node}</dd>`}</dl>
    ${may("admin") && up && html`<p class="acts">${asked ? html`<span class="left">Connections are closed, faults go.</span><button class="btn small" type="button" onClick=${() => ask(false)}>Keep</button><button class="btn small danger" type="button" onClick=${async () => { await tell(`${name} is removed.`, () => send("DELETE", path)); location = "/proxies"; }}>Remove</button>`
      : html`<button class="btn small danger left" type="button" onClick=${() => ask(true)}>Remove…</button><button class="btn small" type="button" onClick=${() => tell(proxy.enabled ? `${name} is paused.` : `${name} listens again.`, () => send("PATCH", path, { enabled: !proxy.enabled }))}>${proxy.enabled ? "Pause" : "Go on"}</button>`}</p>`}</div></section>`;
}

function Page({ state }) {
  if (state.locked) return html`<section class="card"><div class="wait"></div></section>`;
  const there = state.nodes[node], proxy = there?.proxies[name];
  const up = there?.state === "up";
  if (!there || (!proxy && up)) return html`<section class="card empty"><h2>${name} is not there any more</h2><p>It was removed from its node.</p><p><a class="btn" href="/proxies">Proxies</a></p></section>`;
  if (!proxy) return html`<${AwayBanner} node=${there} /><section class="card empty"><h2>Nothing is known of ${name} now</h2><p>Its node does not answer.</p></section>`;
  const listens = proxy.addresses?.[0];
  const on = Object.values(proxy.faults).filter(isOn).length;
  const words = !up ? ["away", "not reachable"] : !proxy.enabled ? ["slow", "paused: it does not listen"] : on ? ["fault", `${on} fault${on > 1 ? "s" : ""} on`] : ["up", "passes everything"];
  return html`<p class="facts" id="proxy-state"><span class="state ${words[0]}">${words[1]}</span><span class="path-line mono">${listens ?? "not listening"} → ${proxy.upstream}</span></p>
    <${LinkBanner} state=${state} /><${AwayBanner} node=${there} />
    <div class="columns"><div class="main-col"><${Faults} proxy=${proxy} up=${up} lever=${state.lever} /><${Exchanges} proxy=${proxy} /></div>
      <div class="side-col"><${Traffic} proxy=${proxy} up=${up} />
        ${listens && html`<section class="card" aria-labelledby="point-title"><h2 id="point-title">Point your app here</h2><div class="point">${pointers(proxy.protocol, listens).map(([label, text]) => html`<${Copy} key=${text} text=${text} label=${label} />`)}</div></section>`}
        <${Settings} proxy=${proxy} up=${up} /></div></div>`;
}

const draw = (state) => render(html`<${Page} state=${state} />`, root);
const state = follow({
  first, look: { node, proxy: name }, changed: draw,
  heard(kind, data) {
    if (kind === "snapshot" || (kind === "node" && data.state === "up")) setTimeout(learn, 0);
    if (kind !== "exchanges" || data.proxy !== name || (data.node ?? "") !== node || held) return;
    more = data.more ?? 0;
    rows = [...data.exchanges].reverse().concat(rows).slice(0, KEPT);
  },
});
root.replaceChildren();
draw(state);
// What streams do not begin with: exchanges before this page was opened, and the steps of scripts.
const learn = () => {
  send("GET", `${place(node, at(name, "exchanges"))}?limit=50`).then((found) => {
    const known = new Set(rows.map((one) => one.number));
    rows = rows.concat(found.exchanges.filter((one) => !known.has(one.number))).slice(0, KEPT);
    draw(state);
  }).catch(() => {}); // the page says itself that the node is away
  send("GET", place(node, at(name, "scripts"))).then((found) => {
    const faults = state.nodes[node]?.proxies[name]?.faults ?? {};
    for (const [key, one] of Object.entries(found)) if (faults[key]) faults[key].steps = one.steps;
    draw(state);
  }).catch(() => {});
};
